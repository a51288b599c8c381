/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text into a tree, for the text that there mostly is: objects as clients and we ourselves write
 * them. jansson takes each byte through two function calls and a buffer; half of the time of a read
 * went there. What is in any way unusual (a mistake, a fraction, a member named twice, \u, too
 * deep) is left to jansson, which decides and words it: nothing is accepted here that it would not
 * read as the same tree. Pure.
 */
#include "json/json_internal.h"

#include "base/memory.h"

#define DIGITS_MAX 18 /* always fit an int64_t */

typedef struct Reader {
	const char *p, *end;
	StrBuf room; /* a string whose escapes are resolved */
	unsigned depth;
} Reader;

/* A string between quotes: in the text, or in r->room when it has escapes. */
typedef struct Span {
	const char *s;
	size_t len;
	bool ascii;
} Span;

static json_t *read_value(Reader *r);

static char peek(const Reader *r)
{
	return r->p < r->end ? *r->p : '\0';
}

static char next_token(Reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\t' || *r->p == '\r'))
		r->p++;
	return peek(r);
}

/* The byte that stands for \c; 0 if that is none or more than one. */
static char unescape(char c)
{
	static const char bytes[128] = { ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
					 ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t' };

	return (unsigned char)c < sizeof(bytes) ? bytes[(unsigned char)c] : '\0';
}

/* From r->p, the first backslash, to the closing quote. */
static bool read_escaped(Reader *r, const char *begin, Span *span)
{
	strbuf_reset(&r->room);
	strbuf_add(&r->room, begin, (size_t)(r->p - begin));
	for (; r->p < r->end && *r->p != '"'; r->p++) {
		char c = *r->p;

		if (c == '\\') {
			r->p++;
			c = unescape(peek(r));
			if (!c)
				return false;
		} else if ((unsigned char)c < 32) {
			return false;
		}
		span->ascii &= !(c & 0x80);
		strbuf_addc(&r->room, c);
	}
	span->s = strbuf_str(&r->room);
	span->len = r->room.len;
	return r->p < r->end;
}

/* r->p is at the opening quote; afterwards behind the closing one. */
static bool read_string(Reader *r, Span *ret)
{
	const char *begin = ++r->p, *p = begin;
	unsigned char all = 0;

	while (p < r->end && *p != '"' && *p != '\\' && (unsigned char)*p >= 32)
		all |= (unsigned char)*p++;
	*ret = (Span){ begin, (size_t)(p - begin), !(all & 0x80) };
	r->p = p;
	if (peek(r) == '\\' && !read_escaped(r, begin, ret))
		return false;
	if (peek(r) != '"')
		return false;
	r->p++;
	return true;
}

static json_t *string_value(Reader *r)
{
	Span s;

	if (!read_string(r, &s))
		return NULL;
	return s.ascii ? json_stringn_nocheck(s.s, s.len) : json_stringn(s.s, s.len);
}

/* Whole numbers that fit. */
static json_t *number_value(Reader *r)
{
	bool negative = *r->p == '-';
	json_int_t value = 0;
	const char *digits;

	r->p += negative;
	digits = r->p;
	for (; peek(r) >= '0' && peek(r) <= '9' && r->p - digits < DIGITS_MAX; r->p++)
		value = value * 10 + (*r->p - '0');
	if (r->p == digits || (*digits == '0' && r->p - digits > 1))
		return NULL;
	if ((peek(r) >= '0' && peek(r) <= '9') || peek(r) == '.' || peek(r) == 'e' ||
	    peek(r) == 'E')
		return NULL;
	return json_integer(negative ? -value : value);
}

static json_t *word_value(Reader *r, const char *word, json_t *value)
{
	size_t n = strlen(word);

	if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0)
		return NULL;
	r->p += n;
	return value;
}

/* Takes r->p behind a comma, or behind the closing bracket and says that it was the last one. */
static bool ends(Reader *r, char bracket, bool *ret_bad)
{
	char c = next_token(r);

	*ret_bad = c != ',' && c != bracket;
	r->p++;
	return c == bracket;
}

static bool read_member(Reader *r, json_t *object)
{
	_cleanup_(xfreep) char *copy = NULL;
	size_t before = json_object_size(object);
	json_t *value;
	Span name;
	int rc;

	if (next_token(r) != '"' || !read_string(r, &name) || next_token(r) != ':')
		return false;
	r->p++;
	/* The value may need the room as well. */
	if (name.s == r->room.buf)
		name.s = copy = xstrndup(name.s, name.len);
	value = read_value(r);
	if (!value)
		return false;
	rc = name.ascii ? json_object_setn_new_nocheck(object, name.s, name.len, value)
			: json_object_setn_new(object, name.s, name.len, value);
	return rc == 0 && json_object_size(object) > before;
}

static json_t *object_value(Reader *r)
{
	_cleanup_(json_decrefp) json_t *object = json_object();
	bool bad = false, last;

	r->p++;
	last = next_token(r) == '}';
	r->p += last;
	while (!last) {
		if (!read_member(r, object))
			return NULL;
		last = ends(r, '}', &bad);
		if (bad)
			return NULL;
	}
	return TAKE_PTR(object);
}

static json_t *array_value(Reader *r)
{
	_cleanup_(json_decrefp) json_t *array = json_array();
	bool bad = false, last;

	r->p++;
	last = next_token(r) == ']';
	r->p += last;
	while (!last) {
		json_t *value = read_value(r);

		if (!value)
			return NULL;
		json_array_append_new(array, value);
		last = ends(r, ']', &bad);
		if (bad)
			return NULL;
	}
	return TAKE_PTR(array);
}

static json_t *read_value(Reader *r)
{
	json_t *value = NULL;
	char c = next_token(r);

	if (c == '"')
		return string_value(r);
	if (c == '{' || c == '[') {
		if (r->depth == JSON_DEPTH_MAX)
			return NULL;
		r->depth++;
		value = c == '{' ? object_value(r) : array_value(r);
		r->depth--;
	} else if (c == '-' || (c >= '0' && c <= '9'))
		value = number_value(r);
	else if (c == 't')
		value = word_value(r, "true", json_true());
	else if (c == 'f')
		value = word_value(r, "false", json_false());
	else if (c == 'n')
		value = word_value(r, "null", json_null());
	return value;
}

json_t *json_read_usual(const char *text, size_t len)
{
	Reader r = { .p = text, .end = text + len };
	_cleanup_(json_decrefp) json_t *value = read_value(&r);

	if (value && (next_token(&r) || r.p != r.end))
		json_decref(TAKE_PTR(value));
	strbuf_done(&r.room);
	return TAKE_PTR(value);
}
