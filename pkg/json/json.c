/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON: strict decoding, text forms, equality and dotted paths. See json.h.
 */
#include "json/json.h"

#include <math.h>

#include "base/memory.h"
#include "json/json_internal.h"

/*
 * jansson tells of a failed allocation where hardly anybody looks (json_object_set_new() and what
 * is built of it): a member would silently be missing. Out of memory ends the process, here too.
 * Before main(), because whoever uses jansson first may not be here.
 */
static __attribute__((constructor)) void json_allocate_or_abort(void)
{
	json_set_alloc_funcs(xmalloc, free);
}

/* jansson recurses as deep as the text does; the text is measured first so that it never gets that
 * far. Every value but the first follows a comma or opens a collection. */
static int check_shape(const char *text, size_t len, size_t values_max, Error *err)
{
	unsigned depth = 0;
	bool quoted = false;
	size_t values = 1;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (quoted) {
			if (c == '\\')
				i++;
			else if (c == '"')
				quoted = false;
		} else if (c == '"') {
			quoted = true;
		} else if (c == '{' || c == '[') {
			if (++depth > JSON_DEPTH_MAX)
				return error_set(err, ERR_INVALID,
						 "JSON is nested more than %d levels deep",
						 JSON_DEPTH_MAX);
			values++;
		} else if ((c == '}' || c == ']') && depth > 0) {
			depth--;
		} else if (c == ',') {
			values++;
		}
	}
	if (values > values_max)
		return error_set(err, ERR_INVALID, "JSON of more than %zu values", values_max);
	return 0;
}

static int load(const char *text, size_t len, size_t flags, json_t **ret, json_error_t *e,
		Error *err)
{
	json_t *v = json_loadb(text, len, flags | JSON_DECODE_ANY, e);

	if (!v)
		return error_set(err, ERR_INVALID, "JSON, line %d, column %d: %s", e->line,
				 e->column,
				 json_error_code(e) == json_error_null_character ||
						 json_error_code(e) == json_error_null_byte_in_key
					 ? "a NUL character (\\u0000): remove it"
					 : e->text);
	*ret = v;
	return 0;
}

static int decode(const char *text, size_t len, size_t values_max, json_t **ret, json_error_t *e,
		  Error *err)
{
	int rc;

	if (len > JSON_TEXT_MAX)
		return error_set(err, ERR_INVALID,
				 "JSON of %zu bytes is larger than the limit of %u", len,
				 JSON_TEXT_MAX);
	rc = check_shape(text, len, values_max, err);
	return rc < 0 ? rc : load(text, len, JSON_REJECT_DUPLICATES, ret, e, err);
}

int json_decode(const char *text, size_t len, json_t **ret, Error *err)
{
	json_error_t e;

	return decode(text, len, SIZE_MAX, ret, &e, err);
}

int json_decode_doubled(const char *text, size_t len, json_t **ret, JsonDoubledFn fn, void *arg,
			Error *err)
{
	json_error_t e = { 0 };
	int rc = decode(text, len, JSON_VALUES_MAX, ret, &e, err);

	if (rc == 0 || json_error_code(&e) != json_error_duplicate_key)
		return rc;
	error_done(err);
	rc = load(text, len, 0, ret, &e, err);
	if (rc == 0)
		json_find_doubled(text, fn, arg);
	return rc;
}

json_t *json_load(const char *text, size_t len)
{
	return json_loadb(text, len, JSON_DECODE_ANY, NULL);
}

static char *dump(const json_t *v, size_t flags)
{
	char *s = json_dumps(v, flags | JSON_COMPACT | JSON_ENCODE_ANY);

	/* A tree is only ever made of valid UTF-8 and finite numbers: what fails here is memory. */
	if (!s)
		abort();
	return s;
}

char *json_canonical(const json_t *v)
{
	return dump(v, JSON_SORT_KEYS);
}

char *json_text(const json_t *v)
{
	return dump(v, 0);
}

/* What stands for itself in JSON. */
static size_t plain_prefix(const char *s)
{
	size_t n = 0;

	while ((unsigned char)s[n] >= ' ' && (unsigned char)s[n] < 0x80 && s[n] != '"' &&
	       s[n] != '\\')
		n++;
	return n;
}

bool json_add_string(StrBuf *b, const char *s)
{
	_cleanup_(json_decrefp) json_t *v = NULL;
	_cleanup_(xfreep) char *text = NULL;
	size_t before = b->len;
	const char *p = s;

	strbuf_addc(b, '"');
	for (;;) {
		size_t n = plain_prefix(p);

		strbuf_add(b, p, n);
		p += n;
		if (*p != '"' && *p != '\\')
			break;
		strbuf_addc(b, '\\');
		strbuf_addc(b, *p++);
	}
	if (!*p) {
		strbuf_addc(b, '"');
		return true;
	}
	strbuf_truncate(b, before);
	v = json_string(s);
	if (!v)
		return false;
	text = json_text(v);
	strbuf_adds(b, text);
	return true;
}

static bool array_same(const json_t *a, const json_t *b)
{
	size_t n = json_array_size(a);

	if (n != json_array_size(b))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!json_same(json_array_get(a, i), json_array_get(b, i)))
			return false;
	return true;
}

static bool object_same(const json_t *a, const json_t *b)
{
	const char *key;
	json_t *v;

	if (json_object_size(a) != json_object_size(b))
		return false;
	json_object_foreach ((json_t *)a, key, v) {
		json_t *w = json_object_get(b, key);

		if (!w || !json_same(v, w))
			return false;
	}
	return true;
}

/* Through the integers where both are, so that values over 2^53 stay apart. */
static bool number_same(const json_t *a, const json_t *b)
{
	if (json_is_integer(a) && json_is_integer(b))
		return json_integer_value(a) == json_integer_value(b);
	return json_number_value(a) == json_number_value(b);
}

bool json_same(const json_t *a, const json_t *b)
{
	if (a == b)
		return true;
	if (!a || !b)
		return false;
	if (json_is_number(a) && json_is_number(b))
		return number_same(a, b);
	if (json_typeof(a) != json_typeof(b))
		return false;
	switch (json_typeof(a)) {
	case JSON_OBJECT:
		return object_same(a, b);
	case JSON_ARRAY:
		return array_same(a, b);
	default:
		return json_equal(a, b);
	}
}

json_t *json_at(const json_t *v, const char *path)
{
	while (v && *path) {
		size_t n = strcspn(path, ".");

		v = json_object_getn(v, path, n);
		path += n;
		path += *path == '.';
	}
	return (json_t *)v;
}

const char *json_string_at(const json_t *v, const char *path)
{
	return json_string_value(json_at(v, path));
}

int64_t json_integer_at(const json_t *v, const char *path, int64_t dflt)
{
	const json_t *x = json_at(v, path);

	return json_is_integer(x) ? json_integer_value(x) : dflt;
}

bool json_bool_at(const json_t *v, const char *path, bool dflt)
{
	const json_t *x = json_at(v, path);

	return json_is_boolean(x) ? json_boolean_value(x) : dflt;
}

void json_set_at(json_t *v, const char *path, json_t *value)
{
	for (;;) {
		size_t n = strcspn(path, ".");
		json_t *next;

		if (!path[n]) {
			json_object_setn_new(v, path, n, value);
			return;
		}
		next = json_object_getn(v, path, n);
		if (!json_is_object(next)) {
			next = json_object();
			json_object_setn_new(v, path, n, next);
		}
		v = next;
		path += n + 1;
	}
}

json_t *json_make_object(json_t *parent, const char *name)
{
	json_t *o = json_object_get(parent, name);

	if (!json_is_object(o)) {
		o = json_object();
		json_object_set_new(parent, name, o);
	}
	return o;
}

bool json_list_has(const json_t *list, const char *word)
{
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v)
		if (streq_ptr(json_string_value(v), word))
			return true;
	return false;
}
