/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Target: a raw request target taken apart. See route.h. Pure; any thread.
 */
#include <strings.h>

#include "base/memory.h"
#include "base/strbuf.h"
#include "server/route.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Decodes n bytes of s; NULL if an escape is broken or hides a NUL. */
static char *percent_decode(const char *s, size_t n, bool plus_is_space)
{
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;

	for (size_t i = 0; i < n; i++) {
		int high, low;

		if (s[i] == '+' && plus_is_space) {
			strbuf_addc(&out, ' ');
			continue;
		}
		if (s[i] != '%') {
			strbuf_addc(&out, s[i]);
			continue;
		}
		if (i + 2 >= n)
			return NULL;
		high = hex_digit(s[i + 1]);
		low = hex_digit(s[i + 2]);
		if (high < 0 || low < 0 || (high == 0 && low == 0))
			return NULL;
		strbuf_addc(&out, (char)(high << 4 | low));
		i += 2;
	}
	return out.len ? strbuf_take(&out) : xstrdup("");
}

static int add_segment(Target *t, const char *s, size_t n, Error *err)
{
	_cleanup_(xfreep) char *text = percent_decode(s, n, false);

	if (!text)
		return error_set(err, ERR_INVALID, "the path has a broken escape");
	if (!*text)
		return error_set(err, ERR_INVALID, "the path has an empty segment");
	if (streq(text, ".") || streq(text, ".."))
		return error_set(err, ERR_INVALID, "the path has a \"%s\" segment", text);
	for (const char *p = text; *p; p++)
		if (*p == '/' || *p == '\\' || (unsigned char)*p < 0x20 || *p == 0x7f)
			return error_set(err, ERR_INVALID,
					 "a path segment has a slash or control character");
	if (t->n_segments == PATH_SEGMENTS_MAX)
		return error_set(err, ERR_INVALID, "the path has too many segments");
	t->segments[t->n_segments++] = TAKE_PTR(text);
	return 0;
}

static int parse_path(Target *t, const char *path, size_t len, Error *err)
{
	size_t from = 1;
	int rc;

	if (len == 0 || path[0] != '/')
		return error_set(err, ERR_INVALID, "the path does not begin with a slash");
	while (from < len) {
		const char *slash = memchr(path + from, '/', len - from);
		size_t end = slash ? (size_t)(slash - path) : len;

		rc = add_segment(t, path + from, end - from, err);
		if (rc < 0)
			return rc;
		from = end + 1; /* one slash at the very end is fine */
	}
	return 0;
}

static int parse_query(Target *t, const char *query, Error *err)
{
	while (*query) {
		size_t len = strcspn(query, "&");
		const char *equals = memchr(query, '=', len);
		size_t name_len = equals ? (size_t)(equals - query) : len;
		QueryParam *p;

		if (len > 0) {
			if (t->n_params == QUERY_PARAMS_MAX)
				return error_set(err, ERR_INVALID, "too many query parameters");
			GROW_ARRAY(t->params, t->n_params, t->cap_params);
			p = &t->params[t->n_params];
			p->name = percent_decode(query, name_len, true);
			p->value = equals ? percent_decode(equals + 1, len - name_len - 1, true)
					  : xstrdup("");
			t->n_params++;
			if (!p->name || !p->value)
				return error_set(err, ERR_INVALID, "the query has a broken escape");
		}
		query += len;
		if (*query == '&')
			query++;
	}
	return 0;
}

int target_parse(const char *raw, Target *t, Error *err)
{
	size_t len = strcspn(raw, "?");
	int rc;

	*t = (Target){ .path = xstrndup(raw, len) };
	rc = parse_path(t, raw, len, err);
	return rc < 0 || !raw[len] ? rc : parse_query(t, raw + len + 1, err);
}

void target_done(Target *t)
{
	free(t->path);
	for (size_t i = 0; i < t->n_segments; i++)
		free(t->segments[i]);
	for (size_t i = 0; i < t->n_params; i++) {
		free(t->params[i].name);
		free(t->params[i].value);
	}
	free(t->params);
	*t = (Target){ 0 };
}

char *target_plain_path(const Target *t)
{
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;

	for (size_t i = 0; i < t->n_segments; i++)
		strbuf_addf(&out, "/%s", t->segments[i]);
	if (str_has_suffix(t->path, "/"))
		strbuf_addc(&out, '/');
	return xstrdup(strbuf_str(&out));
}

const char *target_query(const Target *t, const char *name)
{
	for (size_t i = 0; i < t->n_params; i++)
		if (t->params[i].value && streq_ptr(t->params[i].name, name))
			return t->params[i].value;
	return NULL;
}

bool target_query_bool(const Target *t, const char *name)
{
	const char *v = target_query(t, name);

	return !str_is_empty(v) && !streq(v, "0") && strcasecmp(v, "false") != 0;
}

Method method_from_string(const char *s)
{
	static const char *const names[] = {
		[METHOD_GET] = "GET", [METHOD_HEAD] = "HEAD",   [METHOD_POST] = "POST",
		[METHOD_PUT] = "PUT", [METHOD_PATCH] = "PATCH", [METHOD_DELETE] = "DELETE",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (streq(names[i], s))
			return (Method)i;
	return METHOD_OTHER;
}
