/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options: reading the command line by tables. See options.h.
 */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>

#include "base/memory.h"
#include "base/strbuf.h"

#define SUGGEST_MAX   64
#define HELP_COLUMN   30
#define OPTIONS_COUNT 64

void parsed_done(Parsed *p)
{
	p->args = strv_free(p->args);
}

static void *option_slot(const Option *o, void *values)
{
	return (char *)values + o->offset;
}

/* ---- values ------------------------------------------------------------------------------- */

int duration_parse(const char *s, int64_t *ret, Error *err)
{
	static const struct {
		const char *suffix;
		int64_t usec;
	} units[] = {
		{"ms", 1000                        },
		{ "h", 3600 * (int64_t)USEC_PER_SEC},
		{ "m", 60 * (int64_t)USEC_PER_SEC  },
		{ "s", (int64_t)USEC_PER_SEC       },
	};
	const char *p = s + (*s == '-');
	int64_t total = 0;

	if (!isdigit((unsigned char)*p))
		goto bad;
	while (*p) {
		char *end;
		int64_t unit = 0;
		long n;

		if (!isdigit((unsigned char)*p))
			goto bad;
		errno = 0;
		n = strtol(p, &end, 10);
		if (errno || n > 1000000000L)
			goto bad;
		for (size_t i = 0; i < ARRAY_SIZE(units) && !unit; i++)
			if (str_has_prefix(end, units[i].suffix)) {
				unit = units[i].usec;
				p = end + strlen(units[i].suffix);
			}
		if (!unit) {
			if (*end || total)
				goto bad;
			unit = (int64_t)USEC_PER_SEC; /* a bare number */
			p = end;
		}
		if (n > (INT64_MAX - total) / unit)
			goto bad;
		total += n * unit;
	}
	*ret = *s == '-' ? -total : total;
	return 0;
bad:
	return error_set(err, ERR_INVALID, "'%s' is no duration: write 30s, 5m or 1h30m", s);
}

static int parse_bool(const char *value, bool *ret, Error *err)
{
	if (!value || streq(value, "true") || streq(value, "yes") || streq(value, "1"))
		*ret = true;
	else if (streq(value, "false") || streq(value, "no") || streq(value, "0"))
		*ret = false;
	else
		return error_set(err, ERR_INVALID, "'%s' is neither true nor false", value);
	return 0;
}

static int parse_integer(const char *value, int64_t *ret, Error *err)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(value, &end, 10);
	if (errno || end == value || *end)
		return error_set(err, ERR_INVALID, "'%s' is no number", value);
	*ret = n;
	return 0;
}

static int option_store(const Option *o, void *values, const char *value, Error *err)
{
	void *slot = option_slot(o, values);

	switch (o->type) {
	case OPTION_FLAG:
	case OPTION_BOOL:
		return parse_bool(value, slot, err);
	case OPTION_STRING:
		*(const char **)slot = value;
		return 0;
	case OPTION_LIST:
		*(char ***)slot = strv_append(*(char ***)slot, value);
		return 0;
	case OPTION_INTEGER:
		return parse_integer(value, slot, err);
	case OPTION_DURATION:
		return duration_parse(value, slot, err);
	}
	return 0;
}

void options_init(const Option *table, void *values)
{
	for (const Option *o = table; o && o->name; o++)
		if (o->preset) {
			int rc = option_store(o, values, o->preset, NULL);

			assert(rc == 0);
			(void)rc;
		}
}

void options_done(const Option *table, void *values)
{
	for (const Option *o = table; o && o->name; o++)
		if (o->type == OPTION_LIST) {
			char ***slot = option_slot(o, values);

			*slot = strv_free(*slot);
		}
}

/* ---- "did you mean" ----------------------------------------------------------------------- */

/* Damerau's distance (with swapped neighbours) of two short words. */
static size_t word_distance(const char *a, const char *b)
{
	size_t rows[3][SUGGEST_MAX + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > SUGGEST_MAX || m > SUGGEST_MAX)
		return SUGGEST_MAX;
	for (size_t j = 0; j <= m; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t *now = rows[i % 3], *up = rows[(i - 1) % 3], *up2 = rows[(i + 1) % 3];

		now[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t cost = tolower((unsigned char)a[i - 1]) !=
				      tolower((unsigned char)b[j - 1]);

			now[j] = MIN(up[j], now[j - 1]) + 1;
			now[j] = MIN(now[j], up[j - 1] + cost);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = MIN(now[j], up2[j - 2] + 1);
		}
	}
	return rows[n % 3][m];
}

const char *suggest(const char *word, const char *const *candidates, size_t n)
{
	size_t best = 3, length = strlen(word), d;
	const char *found = NULL;

	for (size_t i = 0; i < n; i++) {
		d = word_distance(word, candidates[i]);
		if (d < best && d * 2 <= length) {
			best = d;
			found = candidates[i];
		}
	}
	return found;
}

/* ---- parsing ------------------------------------------------------------------------------ */

typedef struct Tables {
	const Option *table[2];
	void *values[2];
} Tables;

static const Option *find_name(const Tables *t, const char *name, size_t n, void **ret_values)
{
	for (size_t i = 0; i < 2; i++)
		for (const Option *o = t->table[i]; o && o->name; o++)
			if (strlen(o->name) == n && memcmp(o->name, name, n) == 0) {
				*ret_values = t->values[i];
				return o;
			}
	return NULL;
}

static const Option *find_letter(const Tables *t, char letter, void **ret_values)
{
	for (size_t i = 0; i < 2; i++)
		for (const Option *o = t->table[i]; o && o->name; o++)
			if (o->letter && o->letter == letter) {
				*ret_values = t->values[i];
				return o;
			}
	return NULL;
}

static int unknown_option(const Tables *t, const char *word, size_t n, Error *err)
{
	_cleanup_(xfreep) char *name = xstrndup(word, n);
	const char *names[2 * OPTIONS_COUNT], *near;
	size_t count = 0;

	for (size_t i = 0; i < 2; i++)
		for (const Option *o = t->table[i]; o && o->name; o++)
			if (count < ARRAY_SIZE(names))
				names[count++] = o->name;
	near = suggest(name, names, count);
	return error_set(err, ERR_INVALID, "unknown option --%s%s%s%s", name,
			 near ? " (did you mean --" : "", near ? near : "", near ? "?)" : "");
}

static bool takes_value(const Option *o)
{
	return o->type != OPTION_FLAG && o->type != OPTION_BOOL;
}

/* --name, --name=value, --name value */
static int parse_long(const Tables *t, char *const **words, Error *err)
{
	const char *word = **words + 2, *equals = strchr(word, '=');
	size_t n = equals ? (size_t)(equals - word) : strlen(word);
	const char *value = equals ? equals + 1 : NULL;
	void *values;
	const Option *o = find_name(t, word, n, &values);
	int rc;

	if (!o)
		return unknown_option(t, word, n, err);
	if (o->type == OPTION_FLAG && value && !streq(value, "true") && !streq(value, "false"))
		return error_set(err, ERR_INVALID, "--%s takes no value", o->name);
	if (takes_value(o) && !value) {
		value = o->implied;
		if (!value)
			value = (*words)[1] ? *++*words : NULL;
		if (!value)
			return error_set(err, ERR_INVALID, "--%s needs a value (%s)", o->name,
					 o->argument);
	}
	rc = option_store(o, values, value, err);
	return error_wrap_rc(err, rc, "--%s", o->name);
}

/* -f FILE, -fFILE, -Aw */
static int parse_short(const Tables *t, char *const **words, Error *err)
{
	int rc;

	for (const char *p = **words + 1; *p; p++) {
		const char *value = NULL;
		void *values;
		const Option *o = find_letter(t, *p, &values);

		if (!o)
			return error_set(err, ERR_INVALID, "unknown option -%c", *p);
		if (takes_value(o)) {
			value = p[1] == '=' ? p + 2 : p[1] ? p + 1 : (*words)[1];
			if (!value)
				return error_set(err, ERR_INVALID, "-%c needs a value (%s)", *p,
						 o->argument);
			if (!p[1])
				++*words;
		}
		rc = option_store(o, values, value, err);
		if (rc < 0)
			return error_wrap_rc(err, rc, "-%c", o->letter);
		if (takes_value(o))
			break;
	}
	return 0;
}

int options_parse(const Option *table, void *values, const Option *global, void *global_values,
		  char *const *words, Parsed *ret, Error *err)
{
	Tables t = {
		.table = {table,   global       },
                  .values = { values, global_values}
	};
	Parsed p = { 0 };
	int rc = 0;

	for (; *words && rc == 0; words++) {
		const char *w = *words;

		if (p.saw_dashes || w[0] != '-' || !w[1])
			p.args = strv_append(p.args, w);
		else if (streq(w, "--"))
			p.saw_dashes = true;
		else if (streq(w, "--help") || streq(w, "-h"))
			p.wants_help = true;
		else if (w[1] == '-')
			rc = parse_long(&t, &words, err);
		else
			rc = parse_short(&t, &words, err);
		if (!p.saw_dashes)
			p.n_before = strv_len(p.args);
	}
	if (rc < 0) {
		parsed_done(&p);
		return rc;
	}
	if (!p.args)
		p.args = xnew0(char *, 1);
	*ret = p;
	return 0;
}

/* ---- help --------------------------------------------------------------------------------- */

void options_help(const Option *table, FILE *out)
{
	for (const Option *o = table; o && o->name; o++) {
		_cleanup_(strbuf_done) StrBuf left = STRBUF_INIT;

		if (o->letter)
			strbuf_addf(&left, "  -%c, --%s", o->letter, o->name);
		else
			strbuf_addf(&left, "      --%s", o->name);
		if (takes_value(o))
			strbuf_addf(&left, o->implied ? "[=%s]" : "=%s", o->argument);
		else if (o->type == OPTION_BOOL)
			strbuf_adds(&left, "[=true|false]");
		if (left.len >= HELP_COLUMN)
			fprintf(out, "%s\n%*s", strbuf_str(&left), HELP_COLUMN, "");
		else
			fprintf(out, "%-*s", HELP_COLUMN, strbuf_str(&left));
		fprintf(out, "%s%s%s%s\n", o->help, o->preset ? " (default " : "",
			o->preset ? o->preset : "", o->preset ? ")" : "");
	}
}
