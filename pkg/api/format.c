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

static bool format_string(const char *format, const char *s, Error *err)
{
	IpPrefix prefix;
	MacAddress mac;
	usec_t t;
	char *bytes;

	if (streq(format, "date-time"))
		return timestamp_parse(s, &t) == 0;
	if (streq(format, "ip"))
		return is_ip(s, 0, err);
	if (streq(format, "ipv4"))
		return is_ip(s, AF_INET, err);
	if (streq(format, "ipv6"))
		return is_ip(s, AF_INET6, err);
	if (streq(format, "cidr"))
		return ip_prefix_parse(s, &prefix, err) == 0;
	if (streq(format, "mac"))
		return mac_parse(s, &mac, err) == 0;
	if (streq(format, "uuid"))
		return uuid_is_valid(s);
	if (streq(format, "dns-label"))
		return name_is_label(s);
	if (streq(format, "dns-subdomain"))
		return name_is_subdomain(s);
	if (streq(format, "reference"))
		return is_reference(s);
	if (streq(format, "byte")) {
		if (base64_decode(s, &bytes, NULL, NULL) < 0)
			return false;
		free(bytes);
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
