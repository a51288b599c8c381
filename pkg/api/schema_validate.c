/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Validating a tree by a compiled schema: all errors at once, each with its path in the form of
 * Kubernetes ("spec.disks[0].size"). Pure.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>

#include "api/schema_internal.h"
#include "api/validate.h"
#include "base/hashmap.h"
#include "base/memory.h"
#include "json/json.h"

typedef struct Check {
	StrBuf path;
	FieldErrors *errors;
	size_t *work; /* left for matching patterns, of all values together */
} Check;

static void validate(const Schema *s, const json_t *v, Check *c);

/* A value in a message: strings quoted and escaped, everything else as JSON, cut short. */
static const char *show(const json_t *v, char buf[static 200])
{
	_cleanup_(xfreep) char *text = NULL;

	if (json_is_string(v))
		return quoted(json_string_value(v), buf);
	text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
	snprintf(buf, 200, "%.150s%s", text ? text : "null",
		 text && strlen(text) > 150 ? "..." : "");
	return buf;
}

static bool type_matches(const Schema *s, const json_t *v)
{
	if (s->int_or_string)
		return json_is_integer(v) || json_is_string(v);
	switch (s->type) {
	case TYPE_OBJECT:
		return json_is_object(v);
	case TYPE_ARRAY:
		return json_is_array(v);
	case TYPE_STRING:
		return json_is_string(v);
	case TYPE_INTEGER:
		return json_is_integer(v);
	case TYPE_NUMBER:
		return json_is_number(v);
	case TYPE_BOOLEAN:
		return json_is_boolean(v);
	default:
		return true;
	}
}

static const char *type_hint(const Schema *s, const json_t *v)
{
	if (s->int_or_string)
		return "an integer or a string";
	switch (s->type) {
	case TYPE_OBJECT:
		return "a mapping";
	case TYPE_ARRAY:
		return "a list";
	case TYPE_STRING:
		return json_is_object(v) || json_is_array(v) ? "a string" : "a string: quote it";
	case TYPE_INTEGER:
		return "an integer";
	case TYPE_NUMBER:
		return "a number";
	default:
		return "true or false";
	}
}

static void validate_enum(const Schema *s, const json_t *v, Check *c)
{
	_cleanup_(strbuf_done) StrBuf list = STRBUF_INIT;
	_cleanup_(xfreep) const char **words =
		xnew0(const char *, json_array_size(s->enumeration) + 1);
	const char *meant = NULL;
	char text[200];
	json_t *e;
	size_t i, n = 0;

	json_array_foreach (s->enumeration, i, e)
		if (json_same(e, v))
			return;
	json_array_foreach (s->enumeration, i, e) {
		if (field_errors_full(c->errors))
			break;
		strbuf_addf(&list, "%s%s", i ? ", " : "", show(e, text));
		if (json_is_string(e))
			words[n++] = json_string_value(e);
	}
	if (json_is_string(v) && n)
		meant = nearest(json_string_value(v), words, n);
	field_errors_add(c->errors, FIELD_NOT_SUPPORTED, strbuf_str(&c->path),
			 "Unsupported value: %s: supported values: %s%s%s%s", show(v, text),
			 strbuf_str(&list), meant ? "; did you mean \"" : "", meant ? meant : "",
			 meant ? "\"?" : "");
}

static void validate_number(const Schema *s, const json_t *v, Check *c)
{
	long double n = schema_number(v);
	const char *path = strbuf_str(&c->path);
	char text[200], bound[64];

	if (s->has_minimum && (s->exclusive_minimum ? n <= s->minimum : n < s->minimum))
		field_errors_add(c->errors, FIELD_INVALID, path,
				 "Invalid value: %s: should be greater than %s%s", show(v, text),
				 s->exclusive_minimum ? "" : "or equal to ",
				 schema_number_text(s->minimum, bound));
	if (s->has_maximum && (s->exclusive_maximum ? n >= s->maximum : n > s->maximum))
		field_errors_add(c->errors, FIELD_INVALID, path,
				 "Invalid value: %s: should be less than %s%s", show(v, text),
				 s->exclusive_maximum ? "" : "or equal to ",
				 schema_number_text(s->maximum, bound));
	if (s->multiple_of > 0 && fabsl(remainderl(n, s->multiple_of)) > s->multiple_of * 1e-9)
		field_errors_add(c->errors, FIELD_INVALID, path,
				 "Invalid value: %s: should be a multiple of %.*g", show(v, text),
				 DBL_DIG, s->multiple_of);
}

static size_t utf8_length(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* What is in a Secret, and whatever else asks for it, is told to nobody: also not to who wrote it,
 * for his tools keep logs. */
static bool is_confidential(const Schema *s)
{
	/* Whoever writes a value where a map of such values belongs, means one of them. */
	if ((s->additional && is_confidential(s->additional)) ||
	    (s->items && is_confidential(s->items)))
		return true;
	return s->format && (streq(s->format, "byte") || streq(s->format, "password"));
}

/* Some reasons name the value themselves: it is not said twice. */
static void format_error(const Schema *s, const json_t *v, const char *why, Check *c)
{
	char shown[200];
	bool named;

	if (is_confidential(s)) {
		field_errors_add(c->errors, FIELD_INVALID, strbuf_str(&c->path),
				 "Invalid value: %s",
				 streq_ptr(s->format, "byte") ? "must be base64" : why);
		return;
	}
	named = str_has_prefix(why, show(v, shown));
	field_errors_add(c->errors, FIELD_INVALID, strbuf_str(&c->path), "Invalid value: %s%s%s",
			 named ? "" : shown, named ? "" : ": ", why);
}

static void validate_pattern(const Schema *s, const json_t *v, Check *c)
{
	int rc = pattern_match(s->compiled, json_string_value(v), c->work);
	char shown[200];

	if (rc == 0)
		field_errors_add(c->errors, FIELD_INVALID, strbuf_str(&c->path),
				 "Invalid value: %s: should match '%s'", show(v, shown),
				 s->pattern);
	else if (rc < 0)
		field_errors_add(c->errors, FIELD_INVALID, strbuf_str(&c->path),
				 "Invalid value: %s: matching '%s' takes too long", show(v, shown),
				 s->pattern);
}

static void validate_string(const Schema *s, const json_t *v, Check *c)
{
	const char *text = json_string_value(v), *path = strbuf_str(&c->path);
	int64_t len = (int64_t)utf8_length(text);
	char shown[200], why[200];

	if (s->length.max >= 0 && len > s->length.max)
		field_errors_add(c->errors, FIELD_TOO_LONG, path,
				 "Too long: may not be more than %lld characters",
				 (long long)s->length.max);
	else if (s->length.min >= 0 && len < s->length.min)
		field_errors_add(c->errors, FIELD_INVALID, path,
				 "Invalid value: %s: should be at least %lld characters long",
				 show(v, shown), (long long)s->length.min);
	else if (s->pattern)
		validate_pattern(s, v, c);
	if (s->format && !schema_format_matches(s->format, v, why))
		format_error(s, v, why, c);
}

/* "name: root" of an item of a map list, whole, for it is compared; NULL if a key is missing (which
 * is an error of its own). */
static char *item_identity(const Schema *s, const json_t *item)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;

	strv_foreach (key, s->map_keys) {
		const json_t *v = json_object_get(item, *key);

		_cleanup_(xfreep) char *text = v ? json_canonical(v) : NULL;

		if (!text)
			return NULL;
		strbuf_addf(&b, "%s%s: %s", b.len ? ", " : "", *key, text);
	}
	return strbuf_take(&b);
}

/* What two items must not share: the keys of a map list, the whole value otherwise. */
static char *unique_text(const Schema *s, const json_t *item)
{
	return s->list_type == LIST_MAP ? item_identity(s, item) : json_canonical(item);
}

/* By a table: comparing all with all would let a long list keep the server busy for minutes. */
static void validate_unique(const Schema *s, const json_t *list, Check *c)
{
	_cleanup_(hashmap_freep) Hashmap *seen = NULL;
	char text[200];
	json_t *item;
	size_t i, len;

	if (s->list_type == LIST_ATOMIC && !s->unique)
		return;
	seen = hashmap_new(NULL);
	json_array_foreach (list, i, item) {
		_cleanup_(xfreep) char *identity = unique_text(s, item);

		if (!identity)
			continue;
		if (hashmap_contains(seen, identity)) {
			len = path_push_index(&c->path, i);
			field_errors_add(c->errors, FIELD_DUPLICATE, strbuf_str(&c->path),
					 "Duplicate value: %.200s",
					 s->list_type == LIST_MAP ? identity : show(item, text));
			path_pop(&c->path, len);
		}
		hashmap_put(seen, identity, seen);
	}
}

static void validate_count(const SchemaBounds *b, size_t n, const char *what, Check *c)
{
	if (b->max >= 0 && n > (size_t)b->max)
		field_errors_add(c->errors, FIELD_TOO_MANY, strbuf_str(&c->path),
				 "Too many: %zu: must have at most %lld %s", n, (long long)b->max,
				 what);
	if (b->min >= 0 && n < (size_t)b->min)
		field_errors_add(c->errors, FIELD_INVALID, strbuf_str(&c->path),
				 "Invalid value: %zu: should have at least %lld %s", n,
				 (long long)b->min, what);
}

static void wrong_type(const Schema *s, const json_t *v, Check *c)
{
	char text[200];

	if (is_confidential(s))
		snprintf(text, sizeof(text), "(not shown)");
	else
		show(v, text);
	field_errors_add(c->errors, FIELD_TYPE_INVALID, strbuf_str(&c->path),
			 "Invalid value: %s: must be %s", text, type_hint(s, v));
}

static void validate_array(const Schema *s, const json_t *v, Check *c)
{
	json_t *item;
	size_t i, len;

	validate_count(&s->items_count, json_array_size(v), "items", c);
	/* Past the bound the rest is not looked at: one error says enough. */
	if (s->items_count.max >= 0 && json_array_size(v) > (size_t)s->items_count.max)
		return;
	validate_unique(s, v, c);
	json_array_foreach (v, i, item) {
		len = path_push_index(&c->path, i);
		/* What is not given cannot stand in a list. */
		if (s->items && json_is_null(item) && !s->items->nullable)
			wrong_type(s->items, item, c);
		else if (s->items)
			validate(s->items, item, c);
		path_pop(&c->path, len);
	}
}

static void validate_members(const Schema *s, const json_t *v, Check *c)
{
	const char *name;
	json_t *member;
	size_t len;

	json_object_foreach ((json_t *)v, name, member) {
		const Schema *child = schema_property(s, name);

		if (!child)
			continue;
		len = path_push_name(&c->path, name);
		validate(child, member, c);
		path_pop(&c->path, len);
	}
}

/* A whole object inside another says what it is. */
static void validate_embedded(const json_t *v, Check *c)
{
	static const char *const needed[] = { "apiVersion", "kind" };
	size_t len;

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		if (!str_is_empty(json_string_at(v, needed[i])))
			continue;
		len = path_push_name(&c->path, needed[i]);
		field_errors_add(c->errors, FIELD_REQUIRED, strbuf_str(&c->path),
				 "Required value: must not be empty");
		path_pop(&c->path, len);
	}
}

static void validate_object(const Schema *s, const json_t *v, Check *c)
{
	size_t len;

	validate_count(&s->properties_count, json_object_size(v), "properties", c);
	strv_foreach (name, s->required) {
		if (json_object_get(v, *name) && !json_is_null(json_object_get(v, *name)))
			continue;
		len = path_push_name(&c->path, *name);
		field_errors_add(c->errors, FIELD_REQUIRED, strbuf_str(&c->path), "Required value");
		path_pop(&c->path, len);
	}
	if (s->embedded)
		validate_embedded(v, c);
	validate_members(s, v, c);
}

static bool conforms(const Schema *s, const json_t *v, size_t *work, size_t *ret_errors)
{
	/* A list that is full takes no more texts: it only counts. */
	FieldErrors count = { .n = FIELD_ERRORS_MAX };
	Check c = { .path = STRBUF_INIT, .errors = &count, .work = work };

	validate(s, v, &c);
	strbuf_done(&c.path);
	*ret_errors = count.dropped;
	return count.dropped == 0;
}

/* How many of the list take the value; the one that comes nearest. */
static size_t count_conforming(Schema *const *list, const json_t *v, size_t *work,
			       const Schema **ret_nearest)
{
	size_t n = 0, errors, best = SIZE_MAX;

	for (; *list; list++) {
		n += conforms(*list, v, work, &errors);
		if (errors < best) {
			best = errors;
			*ret_nearest = *list;
		}
	}
	return n;
}

static const char *path_or_self(const Check *c)
{
	const char *path = strbuf_str((StrBuf *)&c->path);

	return *path ? path : "<root>";
}

static void validate_junctors(const Schema *s, const json_t *v, Check *c)
{
	const Schema *near = NULL;
	size_t n, errors;

	for (Schema *const *all = s->all_of; all && *all; all++)
		validate(*all, v, c);
	if (s->any_of && count_conforming(s->any_of, v, c->work, &near) == 0) {
		field_errors_add(c->errors, FIELD_INVALID, strbuf_str(&c->path),
				 "Invalid value: \"%s\" must validate at least one schema (anyOf)",
				 path_or_self(c));
		validate(near, v, c);
	}
	n = s->one_of ? count_conforming(s->one_of, v, c->work, &near) : 1;
	if (n != 1)
		field_errors_add(c->errors, FIELD_INVALID, strbuf_str(&c->path),
				 n ? "Invalid value: \"%s\" must validate one and only one schema "
				     "(oneOf). Found %zu valid alternatives"
				   : "Invalid value: \"%s\" must validate one and only one schema "
				     "(oneOf). Found none valid",
				 path_or_self(c), n);
	if (n == 0)
		validate(near, v, c);
	if (s->not &&conforms(s->not, v, c->work, &errors))
		field_errors_add(c->errors, FIELD_INVALID, strbuf_str(&c->path),
				 "Invalid value: \"%s\" must not validate the schema (not)",
				 path_or_self(c));
}

static void validate(const Schema *s, const json_t *v, Check *c)
{
	char text[200];

	/* A null that is not allowed was either defaulted, or stands for "not given" in kinds of
	 * ours, or is wrong. */
	if (json_is_null(v) && (s->nullable || s->lenient_null))
		return;
	if (!type_matches(s, v)) {
		wrong_type(s, v, c);
		return;
	}
	if (s->enumeration)
		validate_enum(s, v, c);
	if (json_is_object(v))
		validate_object(s, v, c);
	else if (json_is_array(v))
		validate_array(s, v, c);
	else if (json_is_string(v))
		validate_string(s, v, c);
	else if (json_is_number(v))
		validate_number(s, v, c);
	if (json_is_integer(v) && s->format && !schema_format_matches(s->format, v, text))
		format_error(s, v, text, c);
	validate_junctors(s, v, c);
}

void schema_validate(const Schema *s, const json_t *tree, FieldErrors *errors)
{
	size_t work = PATTERN_WORK_MAX;
	Check c = { .path = STRBUF_INIT, .errors = errors, .work = &work };

	if (schema_count_values(tree) > SCHEMA_VALUES_MAX) {
		field_errors_add(
			errors, FIELD_TOO_MANY, "",
			"Too many: an object may have at most %d values, defaults included",
			SCHEMA_VALUES_MAX);
		return;
	}
	validate(s, tree, &c);
	strbuf_done(&c.path);
}

/* ---- changes ---- */

static void change(const Schema *s, const json_t *v, const json_t *old, Check *c);

/* Items are the same ones if their keys say so; in other lists nobody can tell. */
static void change_items(const Schema *s, const json_t *v, const json_t *old, Check *c)
{
	_cleanup_(hashmap_freep) Hashmap *before = NULL;
	json_t *item;
	size_t i, len;

	if (s->list_type != LIST_MAP || !s->items)
		return;
	before = hashmap_new(NULL);
	json_array_foreach (old, i, item) {
		_cleanup_(xfreep) char *identity = item_identity(s, item);

		if (identity)
			hashmap_put(before, identity, item);
	}
	json_array_foreach (v, i, item) {
		_cleanup_(xfreep) char *identity = item_identity(s, item);
		const json_t *was = identity ? hashmap_get(before, identity) : NULL;

		if (!was)
			continue;
		len = path_push_index(&c->path, i);
		change(s->items, item, was, c);
		path_pop(&c->path, len);
	}
}

static void change(const Schema *s, const json_t *v, const json_t *old, Check *c)
{
	const char *name;
	char text[200];
	json_t *member;
	size_t len;

	if (!v || !old)
		return;
	if (s->keeps_value && !json_same(v, old))
		field_errors_add(c->errors, FIELD_INVALID, strbuf_str(&c->path),
				 "Invalid value: %s: %s", show(v, text),
				 s->keeps_message ? s->keeps_message
						  : "failed rule: self == oldSelf");
	json_object_foreach ((json_t *)v, name, member) {
		const Schema *child = schema_property(s, name);

		if (!child)
			continue;
		len = path_push_name(&c->path, name);
		change(child, member, json_object_get(old, name), c);
		path_pop(&c->path, len);
	}
	if (json_is_array(v))
		change_items(s, v, old, c);
}

void schema_validate_change(const Schema *s, const json_t *tree, const json_t *old,
			    FieldErrors *errors)
{
	Check c = { .path = STRBUF_INIT, .errors = errors };

	change(s, tree, old, &c);
	strbuf_done(&c.path);
}
