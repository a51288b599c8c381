/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree as text, the bytes that jansson's json_dumps() would write, in a fraction of its time:
 * that one remembers the way to each value to find cycles, which a tree of ours cannot have, and
 * looks each sorted key up again. Every object that is stored passes here. Pure.
 */
#include "json/json.h"

#include <stdio.h>

#include "base/memory.h"

#define MEMBERS_SMALL 32 /* sorted without a heap, by insertion: they mostly come in order */

typedef struct Member {
	const char *key;
	size_t len;
	const json_t *value;
} Member;

static void write_value(StrBuf *b, const json_t *v, bool sorted);

static void write_escaped(StrBuf *b, unsigned char c)
{
	static const char names[32] = {
		['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'
	};
	char text[8];

	if (c >= 32)
		strbuf_add(b, (const char[]){ '\\', (char)c }, 2);
	else if (names[c])
		strbuf_add(b, (const char[]){ '\\', names[c] }, 2);
	else
		strbuf_add(b, text, (size_t)snprintf(text, sizeof(text), "\\u%04X", c));
}

static void write_string(StrBuf *b, const char *s, size_t len)
{
	size_t from = 0;

	strbuf_addc(b, '"');
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c >= 32 && c != '"' && c != '\\')
			continue;
		strbuf_add(b, s + from, i - from);
		write_escaped(b, c);
		from = i + 1;
	}
	strbuf_add(b, s + from, len - from);
	strbuf_addc(b, '"');
}

static void write_integer(StrBuf *b, json_int_t value)
{
	char text[24], *at = text + sizeof(text);
	/* The smallest one has no positive counterpart. */
	uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	do {
		*--at = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest);
	if (value < 0)
		*--at = '-';
	strbuf_add(b, at, (size_t)(text + sizeof(text) - at));
}

/* Rare, and how digits are chosen is jansson's business. */
static void write_real(StrBuf *b, const json_t *v)
{
	char text[64];
	size_t n = json_dumpb(v, text, sizeof(text), JSON_COMPACT | JSON_ENCODE_ANY);

	assert(n && n <= sizeof(text));
	strbuf_add(b, text, n);
}

static int compare_members(const void *a, const void *b)
{
	const Member *x = a, *y = b;
	int c = memcmp(x->key, y->key, MIN(x->len, y->len));

	return c ? c : (x->len > y->len) - (x->len < y->len);
}

static void sort_members(Member *m, size_t n)
{
	if (n > MEMBERS_SMALL) {
		qsort(m, n, sizeof(*m), compare_members);
		return;
	}
	for (size_t i = 1; i < n; i++) {
		Member one = m[i];
		size_t at = i;

		for (; at > 0 && compare_members(&m[at - 1], &one) > 0; at--)
			m[at] = m[at - 1];
		m[at] = one;
	}
}

static void write_object(StrBuf *b, const json_t *v, bool sorted)
{
	_cleanup_(xfreep) Member *many = NULL;
	Member few[MEMBERS_SMALL], *m = few;
	size_t n = json_object_size(v), i = 0;

	if (n > MEMBERS_SMALL)
		m = many = xnew0(Member, n);
	for (void *it = json_object_iter((json_t *)v); it;
	     it = json_object_iter_next((json_t *)v, it))
		m[i++] = (Member){ json_object_iter_key(it), json_object_iter_key_len(it),
				   json_object_iter_value(it) };
	if (sorted)
		sort_members(m, n);
	strbuf_addc(b, '{');
	for (i = 0; i < n; i++) {
		if (i)
			strbuf_addc(b, ',');
		write_string(b, m[i].key, m[i].len);
		strbuf_addc(b, ':');
		write_value(b, m[i].value, sorted);
	}
	strbuf_addc(b, '}');
}

static void write_array(StrBuf *b, const json_t *v, bool sorted)
{
	size_t n = json_array_size(v);

	strbuf_addc(b, '[');
	for (size_t i = 0; i < n; i++) {
		if (i)
			strbuf_addc(b, ',');
		write_value(b, json_array_get(v, i), sorted);
	}
	strbuf_addc(b, ']');
}

static void write_value(StrBuf *b, const json_t *v, bool sorted)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		write_object(b, v, sorted);
		return;
	case JSON_ARRAY:
		write_array(b, v, sorted);
		return;
	case JSON_STRING:
		write_string(b, json_string_value(v), json_string_length(v));
		return;
	case JSON_INTEGER:
		write_integer(b, json_integer_value(v));
		return;
	case JSON_REAL:
		write_real(b, v);
		return;
	case JSON_TRUE:
		strbuf_add(b, "true", 4);
		return;
	case JSON_FALSE:
		strbuf_add(b, "false", 5);
		return;
	case JSON_NULL:
		strbuf_add(b, "null", 4);
	}
}

char *json_canonical(const json_t *v)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;

	write_value(&b, v, true);
	return strbuf_take(&b);
}

char *json_text(const json_t *v)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;

	write_value(&b, v, false);
	return strbuf_take(&b);
}
