/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Formats that a schema may name, and "did you mean". Pure.
 */
#include <stdio.h>

#include "api/quantity.h"
#include "api/schema_internal.h"
#include "api/validate.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/ip.h"
#include "base/memory.h"
#include "base/random.h"

#define WORD_MAX 64

static bool is_ip(const char *s, int family, Error *err)
{
	IpAddress a;

	return ip_parse(s, &a, err) == 0 && (!family || a.family == family);
}

/* "name" or "namespace/name", of an object. */
static bool is_reference(const char *s)
{
	const char *slash = strchr(s, '/');
	_cleanup_(xfreep) char *namespace = slash ? xstrndup(s, (size_t)(slash - s)) : NULL;

	return (!namespace || name_is_label(namespace)) && name_is_subdomain(slash ? slash + 1 : s);
}

static bool is_date(const char *s)
{
	_cleanup_(xfreep) char *midnight = xasprintf("%s%s", s, "T00:00:00Z");
	char back[TIMESTAMP_MAX];
	usec_t t;

	/* The 30th of February would be read as a day in March. */
	return strlen(s) == strlen("2006-01-02") && timestamp_parse(midnight, &t) == 0 &&
	       streq(timestamp_format(t, back), midnight);
}

/* "1h30m", "1.5s", "2 weeks" */
static bool is_duration(const char *s)
{
	static const char *const units[] = {
		"ns", "us", "µs", "ms", "s", "m", "h", "d", "w", NULL
	};
	static const char *const words[] = { "nanosecond", "microsecond", "millisecond",
					     "second",     "minute",      "hour",
					     "day",        "week",        NULL };

	s += *s == '-' || *s == '+';
	if (streq(s, "0"))
		return true;
	do {
		size_t digits = strspn(s, "0123456789."), n;
		_cleanup_(xfreep) char *unit = NULL;

		s += digits;
		s += strspn(s, " ");
		n = strcspn(s, "0123456789. ");
		unit = xstrndup(s, n);
		if (!digits)
			return false;
		if (!strv_contains((char *const *)units, unit)) {
			if (n > 1 && unit[n - 1] == 's')
				unit[n - 1] = '\0';
			if (!strv_contains((char *const *)words, unit))
				return false;
		}
		s += n;
		s += strspn(s, " ");
	} while (*s);
	return true;
}

static bool is_hostname(const char *s)
{
	_cleanup_(xfreep) char *lower = xstrdup_lower(s);

	return name_is_subdomain(lower);
}

static bool is_email(const char *s)
{
	const char *at = strrchr(s, '@');

	return at && at != s && strcspn(s, " \t\r\n<>") == strlen(s) && is_hostname(at + 1);
}

/* An absolute URL or path. */
static bool is_uri(const char *s)
{
	size_t scheme =
		strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

	for (const unsigned char *p = (const unsigned char *)s; *p; p++)
		if (*p <= ' ' || *p == 0x7f)
			return false;
	return *s == '/' || (scheme && s[scheme] == ':' && s[scheme + 1]);
}

static bool is_date_time(const char *s)
{
	usec_t t;

	return timestamp_parse(s, &t) == 0;
}

static bool is_bytes(const char *s)
{
	char *bytes;

	if (base64_decode(s, &bytes, NULL, NULL) < 0)
		return false;
	free(bytes);
	return true;
}

static bool is_any_ip(const char *s, Error *err)
{
	return is_ip(s, 0, err);
}

static bool is_ipv4(const char *s, Error *err)
{
	return is_ip(s, AF_INET, err);
}

static bool is_ipv6(const char *s, Error *err)
{
	return is_ip(s, AF_INET6, err);
}

static bool is_cidr(const char *s, Error *err)
{
	IpPrefix prefix;

	return ip_prefix_parse(s, &prefix, err) == 0;
}

static bool is_mac(const char *s, Error *err)
{
	MacAddress mac;

	return mac_parse(s, &mac, err) == 0;
}

/* The formats of strings; one of the two says whether a text is of it, neither: any is. */
static const struct {
	const char *name;
	bool (*is)(const char *s);
	bool (*explains)(const char *s, Error *err);
} formats[] = {
	{"date-time",       is_date_time,      NULL     },
	{ "datetime",       is_date_time,      NULL     },
	{ "date",           is_date,           NULL     },
	{ "duration",       is_duration,       NULL     },
	{ "ip",             NULL,              is_any_ip},
	{ "ipv4",           NULL,              is_ipv4  },
	{ "ipv6",           NULL,              is_ipv6  },
	{ "cidr",           NULL,              is_cidr  },
	{ "mac",            NULL,              is_mac   },
	{ "uuid",           uuid_is_valid,     NULL     },
	{ "dns-label",      name_is_label,     NULL     },
	{ "k8s-short-name", name_is_label,     NULL     },
	{ "dns-subdomain",  name_is_subdomain, NULL     },
	{ "k8s-long-name",  name_is_subdomain, NULL     },
	{ "hostname",       is_hostname,       NULL     },
	{ "email",          is_email,          NULL     },
	{ "uri",            is_uri,            NULL     },
	{ "reference",      is_reference,      NULL     },
	{ "byte",           is_bytes,          NULL     },
	{ "password",       NULL,              NULL     },
	{ "quantity",       NULL,              NULL     },
	{ "int-or-string",  NULL,              NULL     },
	{ "int32",          NULL,              NULL     },
	{ "int64",          NULL,              NULL     },
	{ "float",          NULL,              NULL     },
	{ "double",         NULL,              NULL     },
};

bool schema_format_is_known(const char *format)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (streq(formats[i].name, format))
			return true;
	return false;
}

static bool format_string(const char *format, const char *s, Error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (!streq(formats[i].name, format))
			continue;
		if (formats[i].explains)
			return formats[i].explains(s, err);
		return !formats[i].is || formats[i].is(s);
	}
	return true;
}

bool schema_format_matches(const char *format, const json_t *v, char why[static 200])
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	uint64_t quantity;
	bool ok = true;

	if (streq(format, "quantity"))
		ok = quantity_parse_json(v, &quantity, &err) == 0;
	else if (streq(format, "int32") && json_is_integer(v))
		ok = json_integer_value(v) >= INT32_MIN && json_integer_value(v) <= INT32_MAX;
	else if (json_is_string(v))
		ok = format_string(format, json_string_value(v), &err);
	if (!ok && err.code)
		snprintf(why, 200, "%.199s", error_message(&err));
	else if (!ok && streq(format, "dns-label"))
		snprintf(why, 200, "use 1 to 63 lower-case letters, digits and '-'");
	else if (!ok && streq(format, "reference"))
		snprintf(why, 200,
			 "write it as \"name\" or \"namespace/name\", of lower-case letters, "
			 "digits, '-' and '.'");
	else if (!ok)
		snprintf(why, 200, "must be of format %.100s", format);
	return ok;
}

/* ---- did you mean ---- */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/*
 * How many letters to change, add, leave out or swap with their neighbour, without regard to case;
 * words past WORD_MAX are far from everything.
 */
static unsigned distance(const char *a, const char *b)
{
	unsigned rows[3][WORD_MAX + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > WORD_MAX || m > WORD_MAX)
		return UINT32_MAX;
	for (size_t j = 0; j <= m; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		unsigned *row = rows[i % 3], *above = rows[(i - 1) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= m; j++) {
			unsigned change = above[j - 1] + (lower(a[i - 1]) != lower(b[j - 1]));

			row[j] = MIN(row[j - 1], above[j]) + 1;
			row[j] = MIN(row[j], change);
			if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
			    lower(a[i - 2]) == lower(b[j - 1]))
				row[j] = MIN(row[j], rows[(i - 2) % 3][j - 2] + 1);
		}
	}
	return rows[n % 3][m];
}

const char *nearest(const char *word, const char *const *candidates, size_t n)
{
	unsigned best = (unsigned)MAX(strlen(word) / 3, (size_t)1) + 1, d;
	const char *found = NULL;

	for (size_t i = 0; i < n; i++) {
		d = distance(word, candidates[i]);
		if (d < best) {
			best = d;
			found = candidates[i];
		}
	}
	return found;
}

const char *schema_nearest_property(const Schema *s, const char *word)
{
	_cleanup_(xfreep) const char **names = xnew0(const char *, s->n_properties + 1);

	for (size_t i = 0; i < s->n_properties; i++)
		names[i] = s->properties[i].name;
	return nearest(word, names, s->n_properties);
}
