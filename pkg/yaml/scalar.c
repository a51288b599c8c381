/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scalars and bytes: what a plain word means, and which bytes may come in at all. Pure. See
 * internal.h.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "yaml/internal.h"

/* ---- bytes ---- */

/* Length of the valid UTF-8 sequence at p (1 to 4), or 0. */
static size_t utf8_len(const unsigned char *p, size_t left)
{
	static const unsigned char lead[] = { 0, 0, 0xc2, 0xe0, 0xf0 };
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;

	if (n == 1)
		return 1;
	if (p[0] < lead[n] || p[0] > 0xf4 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

static int byte_error(const char *name, unsigned line, unsigned column, const char *what,
		      Error *err)
{
	return error_set(err, ERR_INVALID, "%s:%u:%u: %s", name, line, column, what);
}

static const char *bad_byte(const unsigned char *p, size_t n)
{
	if (n == 0)
		return "not UTF-8: save the file as UTF-8";
	if (*p == 0)
		return "a NUL byte: is this a text file?";
	if ((*p < 0x20 && *p != '\t' && *p != '\n' && *p != '\r') || *p == 0x7f ||
	    (n == 2 && p[0] == 0xc2 && p[1] < 0xa0 && p[1] != 0x85))
		return "a control character: remove it";
	return NULL;
}

/*
 * A line that begins with % is a directive wherever it may stand at all. Of those, YAML's version
 * is harmless; all others mean tags, and libfyaml keeps each of them.
 */
static bool is_directive(const unsigned char *p, size_t left)
{
	static const char version[] = "%YAML ";

	return *p == '%' && (left < strlen(version) || memcmp(p, version, strlen(version)) != 0);
}

int yaml_check_bytes(const char *text, size_t len, const char *name, Error *err)
{
	const unsigned char *p = (const unsigned char *)text;
	unsigned line = 1, column = 1;
	const char *what;
	size_t n;

	if (len > YAML_BYTES_MAX)
		return error_set(err, ERR_EXHAUSTED,
				 "%s: %zu bytes, and at most %u are accepted: split the file", name,
				 len, YAML_BYTES_MAX);
	if (len >= 2 && ((p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff)))
		return byte_error(name, 1, 1, "UTF-16: save the file as UTF-8", err);
	for (size_t i = 0; i < len; i += n) {
		n = utf8_len(p + i, len - i);
		what = bad_byte(p + i, n);
		if (!what && column == 1 && is_directive(p + i, len - i))
			what = "directives (%NAME) are not accepted: remove the line";
		if (what)
			return byte_error(name, line, column, what, err);
		column = p[i] == '\n' ? 1 : column + 1;
		line += p[i] == '\n';
	}
	return 0;
}

/* ---- scalars ---- */

static bool is_one_of(const char *s, const char *const *words)
{
	for (; *words; words++)
		if (streq(s, *words))
			return true;
	return false;
}

static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
static const char *const trues[] = { "true", "True", "TRUE", NULL };
static const char *const falses[] = { "false", "False", "FALSE", NULL };
static const char *const not_finite[] = { ".inf",  ".Inf",  ".INF",  "-.inf", "-.Inf",
					  "-.INF", "+.inf", "+.Inf", "+.INF", ".nan",
					  ".NaN",  ".NAN",  NULL };

/* [-+]? [0-9]+ ( \. [0-9]* )? ( [eE] [-+]? [0-9]+ )?, or \.[0-9]+...: 1 an integer, 2 a float, 0
 * neither. */
static int number_kind(const char *s)
{
	size_t before, after = 0;
	int kind = 1;

	s += *s == '-' || *s == '+';
	before = strspn(s, "0123456789");
	s += before;
	if (*s == '.') {
		kind = 2;
		after = strspn(++s, "0123456789");
		s += after;
	}
	if (before + after == 0)
		return 0;
	if (*s == 'e' || *s == 'E') {
		kind = 2;
		s++;
		s += *s == '-' || *s == '+';
		if (!isdigit((unsigned char)*s))
			return 0;
		s += strspn(s, "0123456789");
	}
	return *s ? 0 : kind;
}

static int integer_value(const char *s, int base, json_t **ret, Error *err)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(s, &end, base);
	if (errno == ERANGE)
		return error_set(err, ERR_INVALID,
				 "%.40s%s does not fit into 64 bits: quote it if it is a string", s,
				 strlen(s) > 40 ? "..." : "");
	*ret = json_integer(v);
	return 0;
}

/* 0x1F and 0o17; "010" is ten in YAML 1.2. */
static bool is_prefixed(const char *s, char letter, const char *digits)
{
	return s[0] == '0' && s[1] == letter && s[2] && strspn(s + 2, digits) == strlen(s + 2);
}

static int plain_value(const char *s, json_t **ret, Error *err)
{
	double v;

	if (is_one_of(s, nulls))
		*ret = json_null();
	else if (is_one_of(s, trues))
		*ret = json_true();
	else if (is_one_of(s, falses))
		*ret = json_false();
	else if (is_prefixed(s, 'x', "0123456789abcdefABCDEF"))
		return integer_value(s, 16, ret, err);
	else if (is_prefixed(s, 'o', "01234567"))
		return integer_value(s + 2, 8, ret, err);
	else if (is_one_of(s, not_finite))
		return error_set(err, ERR_INVALID,
				 "%s is not a number that JSON knows: quote it if it is a string",
				 s);
	else if (number_kind(s) == 1)
		return integer_value(s, 10, ret, err);
	else if (number_kind(s) == 2) {
		v = strtod(s, NULL);
		if (!isfinite(v))
			return error_set(err, ERR_INVALID,
					 "%.40s%s is too large a number: quote it if it is a "
					 "string",
					 s, strlen(s) > 40 ? "..." : "");
		*ret = json_real(v);
	} else {
		*ret = json_string(s);
	}
	return 0;
}

int yaml_scalar(const char *text, size_t len, bool plain, json_t **ret, Error *err)
{
	_cleanup_(xfreep) char *s = xmemdup(text, len);
	json_t *value;

	if (strlen(s) != len)
		return error_set(err, ERR_INVALID, "a NUL character (\\0): remove it");
	if (plain)
		return plain_value(s, ret, err);
	value = json_string(s);
	if (!value)
		return error_set(err, ERR_INVALID, "an escape that is no valid character");
	*ret = value;
	return 0;
}

/* U+0080 to U+009F, U+2028, U+2029 and U+FEFF: control characters, line ends to YAML 1.1, and a
 * mark. */
static bool is_special(const unsigned char *p)
{
	return (p[0] == 0xc2 && p[1] < 0xa0) ||
	       (p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9)) ||
	       (p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf);
}

bool yaml_is_unprintable(const char *s)
{
	for (const unsigned char *p = (const unsigned char *)s; *p; p++)
		if (*p < 0x20 || *p == 0x7f || is_special(p))
			return true;
	return false;
}

bool yaml_needs_quotes(const char *s)
{
	/* Words that YAML 1.1 readers (kubectl among them) take for booleans. */
	static const char *const old_booleans[] = { "y",  "Y",   "yes", "Yes", "YES", "n",
						    "N",  "no",  "No",  "NO",  "on",  "On",
						    "ON", "off", "Off", "OFF", NULL };
	size_t len = strlen(s);

	if (is_one_of(s, nulls) || is_one_of(s, trues) || is_one_of(s, falses) ||
	    is_one_of(s, not_finite) || is_one_of(s, old_booleans))
		return true;
	/* Numbers, dates, sexagesimals, "---". */
	if (strchr("-.", *s) ||
	    (strchr("0123456789+", *s) && strspn(s, "0123456789+-._:eExXoOabcdefABCDEFTZ ") == len))
		return true;
	if (strchr("!&*?|>%@`\"'#,[]{}=<:~ ", *s) || s[len - 1] == ' ' || s[len - 1] == ':')
		return true;
	return strstr(s, ": ") || strstr(s, " #") || yaml_is_unprintable(s);
}
