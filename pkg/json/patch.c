/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two patch formats: JSON merge patch (RFC 7386) and JSON patch (RFC 6902) with JSON pointers
 * (RFC 6901). See json.h.
 */
#include "json/json.h"

#include "base/memory.h"

/* A copy of the whole document into itself doubles it: what operations add up to is bounded, not
 * only how many. */
#define PATCH_COPIED_MAX JSON_TEXT_MAX
#define PATCH_SEEN_MAX   5000000

/* ---- merge patch
 * ------------------------------------------------------------------------------------------ */

json_t *json_merge_patch(json_t *target, const json_t *patch)
{
	json_t *result;
	const char *key;
	json_t *value;

	if (!json_is_object(patch))
		return json_deep_copy(patch);
	result = json_is_object(target) ? json_incref(target) : json_object();
	json_object_foreach ((json_t *)patch, key, value) {
		if (json_is_null(value))
			json_object_del(result, key);
		else
			json_object_set_new(result, key,
					    json_merge_patch(json_object_get(result, key), value));
	}
	return result;
}

/* ---- JSON pointer
 * ----------------------------------------------------------------------------------------- */

/* Splits "/a/b~1c" into its unescaped parts; NULL if it is no pointer, or deeper than any document.
 * "" has no parts. */
static char **pointer_split(const char *s)
{
	char **parts = xnew0(char *, JSON_DEPTH_MAX + 1);
	size_t n = 0;

	while (*s == '/' && n < JSON_DEPTH_MAX) {
		_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;

		for (s++; *s && *s != '/'; s++) {
			if (*s != '~') {
				strbuf_addc(&b, *s);
			} else if (s[1] == '0' || s[1] == '1') {
				strbuf_addc(&b, *++s == '0' ? '~' : '/');
			} else {
				return strv_free(parts);
			}
		}
		parts[n++] = xstrdup(strbuf_str(&b));
	}
	return *s ? strv_free(parts) : parts;
}

/* An array index: digits without a leading zero, at most `max`. */
static bool parse_index(const char *s, size_t max, size_t *ret)
{
	size_t v = 0;

	if (!*s || (s[0] == '0' && s[1]))
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		v = v * 10 + (size_t)(*s - '0');
		if (v > max)
			return false;
	}
	*ret = v;
	return true;
}

static json_t *child(json_t *v, const char *part)
{
	size_t i;

	if (json_is_object(v))
		return json_object_get(v, part);
	if (json_is_array(v) && json_array_size(v) > 0 &&
	    parse_index(part, json_array_size(v) - 1, &i))
		return json_array_get(v, i);
	return NULL;
}

/* The value at the first n parts; NULL if there is none. */
static json_t *walk(json_t *v, char *const *parts, size_t n)
{
	for (size_t i = 0; i < n && v; i++)
		v = child(v, parts[i]);
	return v;
}

/* ---- operations
 * ------------------------------------------------------------------------------------------- */

typedef struct PatchRun {
	json_t *doc;   /* the working copy */
	size_t copied; /* bytes that "copy" operations have added */
	size_t seen;   /* values looked at to keep the result's depth in bounds */
	Error *err;
} PatchRun;

static int fail(PatchRun *run, const char *path, const char *why)
{
	return error_set(run->err, ERR_INVALID, "%s: %s", path, why);
}

/* True if v fits into `room` levels. */
static bool fits(PatchRun *run, const json_t *v, size_t room)
{
	const char *key;
	json_t *sub;
	size_t i;

	if (++run->seen > PATCH_SEEN_MAX)
		return false;
	if (json_is_object(v)) {
		json_object_foreach ((json_t *)v, key, sub)
			if (room == 0 || !fits(run, sub, room - 1))
				return false;
	} else if (json_is_array(v)) {
		json_array_foreach (v, i, sub)
			if (room == 0 || !fits(run, sub, room - 1))
				return false;
	}
	return true;
}

/* Steals value. */
static int op_add(PatchRun *run, const char *path, char *const *parts, json_t *value)
{
	size_t n = strv_len(parts), i;
	json_t *parent;

	if (n >= JSON_DEPTH_MAX || !fits(run, value, JSON_DEPTH_MAX - 1 - n)) {
		json_decref(value);
		return error_set(run->err, ERR_EXHAUSTED,
				 "%s: the result would be nested too deep or be too large", path);
	}
	if (n == 0) {
		json_decref(run->doc);
		run->doc = value;
		return 0;
	}
	parent = walk(run->doc, parts, n - 1);
	if (json_is_object(parent)) {
		json_object_set_new(parent, parts[n - 1], value);
		return 0;
	}
	if (json_is_array(parent)) {
		if (streq(parts[n - 1], "-")) {
			json_array_append_new(parent, value);
			return 0;
		}
		if (parse_index(parts[n - 1], json_array_size(parent), &i)) {
			json_array_insert_new(parent, i, value);
			return 0;
		}
		json_decref(value);
		return fail(run, path, "no such index in the array");
	}
	json_decref(value);
	return fail(run, path, "the parent does not exist");
}

/* The removed value goes to *ret, referenced, if ret is not NULL. */
static int op_remove(PatchRun *run, const char *path, char *const *parts, json_t **ret)
{
	size_t n = strv_len(parts), i = 0;
	json_t *target = walk(run->doc, parts, n), *parent;

	if (!target)
		return fail(run, path, "does not exist");
	if (n == 0)
		return fail(run, path, "the whole document cannot be removed");
	json_incref(target);
	parent = walk(run->doc, parts, n - 1);
	if (json_is_object(parent)) {
		json_object_del(parent, parts[n - 1]);
	} else {
		parse_index(parts[n - 1], json_array_size(parent), &i);
		json_array_remove(parent, i);
	}
	if (ret)
		*ret = target;
	else
		json_decref(target);
	return 0;
}

static int op_replace(PatchRun *run, const char *path, char *const *parts, json_t *value)
{
	size_t n = strv_len(parts), i = 0;
	json_t *parent;

	if (!walk(run->doc, parts, n)) {
		json_decref(value);
		return fail(run, path, "does not exist");
	}
	parent = n ? walk(run->doc, parts, n - 1) : NULL;
	if (json_is_array(parent)) {
		parse_index(parts[n - 1], json_array_size(parent), &i);
		json_array_remove(parent, i);
	}
	return op_add(run, path, parts, value);
}

static int op_copy(PatchRun *run, const char *path, char *const *parts, const char *from,
		   char *const *from_parts)
{
	json_t *v = walk(run->doc, from_parts, strv_len(from_parts));

	if (!v)
		return fail(run, from, "does not exist");
	run->copied += json_dumpb(v, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
	if (run->copied > PATCH_COPIED_MAX)
		return error_set(run->err, ERR_EXHAUSTED, "%s: the patch copies too much", path);
	return op_add(run, path, parts, json_deep_copy(v));
}

static int op_move(PatchRun *run, const char *path, char *const *parts, const char *from,
		   char *const *from_parts)
{
	size_t n = strlen(from);
	json_t *v = NULL;
	int rc;

	if (strncmp(path, from, n) == 0 && path[n] == '/')
		return fail(run, path, "a value cannot be moved into itself");
	rc = op_remove(run, from, from_parts, &v);
	return rc < 0 ? rc : op_add(run, path, parts, v);
}

static int op_test(PatchRun *run, const char *path, char *const *parts, const json_t *value)
{
	const json_t *v = walk(run->doc, parts, strv_len(parts));

	if (!v)
		return fail(run, path, "test failed: does not exist");
	return json_same(v, value) ? 0 : fail(run, path, "test failed: the value is another");
}

static int run_one(PatchRun *run, const json_t *op)
{
	const char *name = json_string_value(json_object_get(op, "op"));
	const char *path = json_string_value(json_object_get(op, "path"));
	const char *from = json_string_value(json_object_get(op, "from"));
	json_t *value = json_object_get(op, "value");
	_cleanup_(strv_freep) char **parts = NULL, **from_parts = NULL;

	if (!name || !path)
		return error_set(run->err, ERR_INVALID, "needs the strings \"op\" and \"path\"");
	parts = pointer_split(path);
	if (!parts)
		return fail(run, path,
			    "is not a JSON pointer: it starts with /, writes ~ as ~0 and has at "
			    "most 64 parts");
	if (streq(name, "remove"))
		return op_remove(run, path, parts, NULL);
	if (streq(name, "copy") || streq(name, "move")) {
		from_parts = from ? pointer_split(from) : NULL;
		if (!from_parts)
			return fail(run, path, "needs \"from\", a JSON pointer");
		return (*name == 'c' ? op_copy : op_move)(run, path, parts, from, from_parts);
	}
	if (!streq(name, "add") && !streq(name, "replace") && !streq(name, "test"))
		return error_set(run->err, ERR_INVALID, "unknown operation \"%s\"", name);
	if (!value)
		return fail(run, path, "needs a \"value\"");
	if (streq(name, "test"))
		return op_test(run, path, parts, value);
	return (*name == 'a' ? op_add : op_replace)(run, path, parts, json_deep_copy(value));
}

int json_patch_apply(const json_t *doc, const json_t *patch, json_t **ret, Error *err)
{
	PatchRun run = { .err = err };
	size_t n = json_array_size(patch);
	int rc = 0;

	if (!json_is_array(patch))
		return error_set(err, ERR_INVALID, "a JSON patch is an array of operations");
	if (n > JSON_PATCH_OPERATIONS_MAX)
		return error_set(err, ERR_INVALID,
				 "a JSON patch of %zu operations is longer than %d", n,
				 JSON_PATCH_OPERATIONS_MAX);
	run.doc = json_deep_copy(doc);
	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = run_one(&run, json_array_get(patch, i));
		if (rc < 0)
			rc = error_wrap_rc(err, rc, "operation %zu", i);
	}
	if (rc < 0) {
		json_decref(run.doc);
		return rc;
	}
	*ret = run.doc;
	return 0;
}
