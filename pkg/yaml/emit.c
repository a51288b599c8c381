/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML out: block style, in the tree's order, quoted wherever a reader could take a string for
 * something else. Text of several lines becomes a literal block if a literal block can hold it.
 * Pure.
 */
#include <stdio.h>

#include "base/memory.h"
#include "yaml/internal.h"

#define INDENT 2

static void emit_value(const json_t *v, unsigned indent, bool inline_start, StrBuf *out);

static void pad(StrBuf *out, unsigned indent)
{
	for (unsigned i = 0; i < indent; i++)
		strbuf_addc(out, ' ');
}

/* The escape of one of the three characters of three bytes that yaml_is_unprintable() knows. */
static const char *special_escape(const unsigned char *p)
{
	static const char *const known[][2] = {
		{"\xe2\x80\xa8",  "\\u2028"},
		{ "\xe2\x80\xa9", "\\u2029"},
		{ "\xef\xbb\xbf", "\\ufeff"}
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (str_has_prefix((const char *)p, known[i][0]))
			return known[i][1];
	return NULL;
}

static void emit_quoted(const char *s, StrBuf *out)
{
	const char *special;

	strbuf_addc(out, '"');
	for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
		if (*p == '"' || *p == '\\')
			strbuf_addf(out, "\\%c", *p);
		else if (*p == '\n')
			strbuf_adds(out, "\\n");
		else if (*p == '\t')
			strbuf_adds(out, "\\t");
		else if (*p == '\r')
			strbuf_adds(out, "\\r");
		else if (*p < 0x20 || *p == 0x7f)
			strbuf_addf(out, "\\x%02x", *p);
		else if (p[0] == 0xc2 && p[1] < 0xa0)
			strbuf_addf(out, "\\x%02x", *++p);
		else if ((special = special_escape(p))) {
			strbuf_adds(out, special);
			p += 2;
		} else
			strbuf_addc(out, (char)*p);
	}
	strbuf_addc(out, '"');
}

/* A literal block holds printable lines; its first line must not begin with a space, no line may be
 * blank but for spaces. */
static bool fits_literal(const char *s)
{
	if (!strchr(s, '\n') || *s == ' ' || *s == '\n' || strstr(s, " \n"))
		return false;
	for (; *s; s += strcspn(s, "\n"), s += *s == '\n') {
		_cleanup_(xfreep) char *line = xstrndup(s, strcspn(s, "\n"));

		if (yaml_is_unprintable(line) || str_has_suffix(line, " "))
			return false;
	}
	return true;
}

static void emit_literal(const char *s, unsigned indent, StrBuf *out)
{
	size_t len = strlen(s), n;
	bool newline = s[len - 1] == '\n', more = len > 1 && newline && s[len - 2] == '\n';

	strbuf_adds(out, more ? "|+" : newline ? "|" : "|-");
	while (*s) {
		n = strcspn(s, "\n");
		strbuf_addc(out, '\n');
		if (n) {
			pad(out, indent);
			strbuf_add(out, s, n);
		}
		s += n + (s[n] == '\n');
	}
}

static void emit_string(const char *s, unsigned indent, StrBuf *out)
{
	if (fits_literal(s))
		emit_literal(s, indent, out);
	else if (yaml_needs_quotes(s))
		emit_quoted(s, out);
	else
		strbuf_adds(out, s);
}

static void emit_object(const json_t *v, unsigned indent, bool inline_start, StrBuf *out)
{
	const char *key;
	json_t *member;

	json_object_foreach ((json_t *)v, key, member) {
		bool nested = (json_is_object(member) && json_object_size(member)) ||
			      (json_is_array(member) && json_array_size(member));

		if (!inline_start)
			pad(out, indent);
		inline_start = false;
		if (yaml_needs_quotes(key))
			emit_quoted(key, out);
		else
			strbuf_adds(out, key);
		strbuf_adds(out, nested ? ":\n" : ": ");
		/* Lists sit below their key without more indentation, as kubectl writes them. */
		emit_value(member, indent + (json_is_array(member) ? 0 : INDENT), false, out);
	}
}

static void emit_array(const json_t *v, unsigned indent, StrBuf *out)
{
	json_t *item;
	size_t i;

	json_array_foreach (v, i, item) {
		pad(out, indent);
		strbuf_adds(out, "- ");
		if (json_is_array(item) && json_array_size(item)) {
			strbuf_addc(out, '\n');
			emit_value(item, indent + INDENT, false, out);
		} else {
			emit_value(item, indent + INDENT, true, out);
		}
	}
}

/* A value and the newline behind it. inline_start: the cursor stands where the first line begins.
 */
static void emit_value(const json_t *v, unsigned indent, bool inline_start, StrBuf *out)
{
	_cleanup_(xfreep) char *text = NULL;

	if (json_is_object(v) && json_object_size(v)) {
		emit_object(v, indent, inline_start, out);
		return;
	}
	if (json_is_array(v) && json_array_size(v)) {
		emit_array(v, indent, out);
		return;
	}
	if (json_is_string(v)) {
		emit_string(json_string_value(v), indent, out);
	} else {
		text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
		strbuf_adds(out, text ? text : "null");
	}
	strbuf_addc(out, '\n');
}

void yaml_emit(const json_t *tree, StrBuf *out)
{
	/* A text that is the whole document is indented too: at column 0 its lines could end it. */
	emit_value(tree, json_is_string(tree) ? INDENT : 0, false, out);
}
