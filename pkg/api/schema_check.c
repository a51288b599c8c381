/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done with a compiled schema and a tree: prune, default, validate. All errors at once,
 * each with its path in the form of Kubernetes ("spec.disks[0].size"). Pure.
 */
#include <float.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/quantity.h"
#include "api/schema_internal.h"
#include "api/validate.h"
#include "base/hashmap.h"
#include "base/memory.h"
#include "json/json.h"

#define ERRORS_MAX       100
#define PATTERN_TEXT_MAX 65536 /* longer texts are not matched: they are refused */

/* ---- the error list ---- */

static const char *const reasons[_FIELD_ERROR_MAX] = {
	[FIELD_INVALID] = "FieldValueInvalid",
	[FIELD_REQUIRED] = "FieldValueRequired",
	[FIELD_NOT_SUPPORTED] = "FieldValueNotSupported",
	[FIELD_DUPLICATE] = "FieldValueDuplicate",
	[FIELD_TYPE_INVALID] = "FieldValueTypeInvalid",
	[FIELD_TOO_LONG] = "FieldValueTooLong",
	[FIELD_TOO_MANY] = "FieldValueTooMany",
	[FIELD_FORBIDDEN] = "FieldValueForbidden",
	[FIELD_UNKNOWN] = "FieldValueInvalid",
};

const char *field_error_reason(FieldErrorType t)
{
	return reasons[t];
}

/* Then what would only make the next message better is not worth its time. */
static bool errors_full(const FieldErrors *e)
{
	return e->n >= ERRORS_MAX;
}

void field_errors_add(FieldErrors *e, FieldErrorType type, const char *path, const char *fmt, ...)
{
	va_list ap;

	if (errors_full(e)) {
		e->dropped++;
		return;
	}
	GROW_ARRAY(e->items, e->n, e->cap);
	va_start(ap, fmt);
	e->items[e->n++] =
		(FieldError){ .type = type, .path = xstrdup(path), .message = xvasprintf(fmt, ap) };
	va_end(ap);
}

void field_errors_done(FieldErrors *e)
{
	for (size_t i = 0; i < e->n; i++) {
		free(e->items[i].path);
		free(e->items[i].message);
	}
	free(e->items);
	*e = FIELD_ERRORS_INIT;
}

/* ---- paths ---- */

static size_t path_push_name(StrBuf *path, const char *name)
{
	size_t len = path->len;

	strbuf_addf(path, "%s%s", len ? "." : "", name);
	return len;
}

static size_t path_push_index(StrBuf *path, size_t i)
{
	size_t len = path->len;

	strbuf_addf(path, "[%zu]", i);
	return len;
}

static void path_pop(StrBuf *path, size_t len)
{
	if (path->buf)
		strbuf_truncate(path, len);
}

/* ---- prune ---- */

const char *const metadata_fields[] = { "name",
					"generateName",
					"namespace",
					"uid",
					"resourceVersion",
					"generation",
					"creationTimestamp",
					"deletionTimestamp",
					"deletionGracePeriodSeconds",
					"labels",
					"annotations",
					"ownerReferences",
					"finalizers",
					"managedFields",
					"selfLink",
					NULL };

bool metadata_is_known(const char *field)
{
	for (const char *const *f = metadata_fields; *f; f++)
		if (streq(*f, field))
			return true;
	return false;
}

/* `near` finds what was meant in `where`; it is only asked while somebody listens. */
static void unknown_field(FieldErrors *unknown, StrBuf *path, const char *name,
			  const char *(*near)(const Schema *where, const char *name),
			  const Schema *where)
{
	size_t len = path_push_name(path, name);
	const char *meant = unknown && !errors_full(unknown) ? near(where, name) : NULL;

	if (unknown && meant)
		field_errors_add(unknown, FIELD_UNKNOWN, strbuf_str(path),
				 "unknown field, did you mean \"%s\"?", meant);
	else if (unknown)
		field_errors_add(unknown, FIELD_UNKNOWN, strbuf_str(path), "unknown field");
	path_pop(path, len);
}

static const char *nearest_metadata(const Schema *where _unused_, const char *name)
{
	return nearest(name, metadata_fields, ARRAY_SIZE(metadata_fields) - 1);
}

static void prune_metadata(json_t *meta, StrBuf *path, FieldErrors *unknown)
{
	size_t len = path_push_name(path, "metadata");
	const char *name;
	json_t *v;
	void *next;

	json_object_foreach_safe(meta, next, name, v)
	{
		if (metadata_is_known(name))
			continue;
		unknown_field(unknown, path, name, nearest_metadata, NULL);
		json_object_del(meta, name);
	}
	path_pop(path, len);
}

static bool root_member(const Schema *s, const char *name)
{
	return s->root &&
	       (streq(name, "apiVersion") || streq(name, "kind") || streq(name, "metadata"));
}

static void prune(const Schema *s, json_t *tree, StrBuf *path, FieldErrors *unknown);

static void prune_object(const Schema *s, json_t *tree, StrBuf *path, FieldErrors *unknown)
{
	const char *name;
	json_t *v;
	void *next;

	json_object_foreach_safe(tree, next, name, v)
	{
		const Schema *child = schema_property(s, name);
		size_t len;

		if (root_member(s, name)) {
			if (streq(name, "metadata"))
				prune_metadata(v, path, unknown);
			continue;
		}
		if (!child) {
			if (s->preserve_unknown || (s->type == TYPE_ANY && !s->n_properties))
				continue;
			unknown_field(unknown, path, name, schema_nearest_property, s);
			json_object_del(tree, name);
			continue;
		}
		len = path_push_name(path, name);
		prune(child, v, path, unknown);
		path_pop(path, len);
	}
}

static void prune(const Schema *s, json_t *tree, StrBuf *path, FieldErrors *unknown)
{
	json_t *v;
	size_t i, len;

	if (json_is_object(tree)) {
		prune_object(s, tree, path, unknown);
	} else if (json_is_array(tree) && s->items) {
		json_array_foreach (tree, i, v) {
			len = path_push_index(path, i);
			prune(s->items, v, path, unknown);
			path_pop(path, len);
		}
	}
}

void schema_prune(const Schema *s, json_t *tree, FieldErrors *unknown)
{
	_cleanup_(strbuf_done) StrBuf path = STRBUF_INIT;

	prune(s, tree, &path, unknown);
}

/* ---- default ---- */

/*
 * A default may hold a list whose items have defaults that hold lists …: a schema of a page can ask
 * for more than any memory. *room is how many values may still be added; at 0 nothing is, and
 * validation refuses what has become so large.
 */
static void fill(const Schema *s, json_t *tree, size_t *room);

static size_t count_values(const json_t *v)
{
	const char *name;
	json_t *child;
	size_t i, n = 1;

	json_array_foreach (v, i, child)
		n += count_values(child);
	json_object_foreach ((json_t *)v, name, child)
		n += count_values(child);
	return n;
}

static void fill_one(const SchemaProperty *p, json_t *tree, size_t *room)
{
	size_t n = count_values(p->schema->dflt);

	if (*room == 0)
		return;
	json_object_set_new(tree, p->name, json_deep_copy(p->schema->dflt));
	*room -= MIN(n, *room);
}

static void default_object(const Schema *s, json_t *tree, size_t *room)
{
	const char *name;
	json_t *v;

	for (size_t i = 0; i < s->n_properties; i++) {
		const SchemaProperty *p = &s->properties[i];

		v = json_object_get(tree, p->name);
		/* A null where null is no value is "not given". */
		if (p->schema->dflt && (!v || (json_is_null(v) && !p->schema->nullable)))
			fill_one(p, tree, room);
		v = json_object_get(tree, p->name);
		if (v)
			fill(p->schema, v, room);
	}
	if (s->additional)
		json_object_foreach (tree, name, v) {
			if (schema_property(s, name) == s->additional)
				fill(s->additional, v, room);
		}
}

static void fill(const Schema *s, json_t *tree, size_t *room)
{
	json_t *v;
	size_t i;

	if (json_is_object(tree)) {
		default_object(s, tree, room);
	} else if (json_is_array(tree) && s->items) {
		json_array_foreach (tree, i, v)
			fill(s->items, v, room);
	}
}

void schema_default(const Schema *s, json_t *tree)
{
	/* One more than validation takes: what did not fit is then seen. */
	size_t room = SCHEMA_VALUES_MAX + 1;

	fill(s, tree, &room);
}

/* ---- validate ---- */

typedef struct Check {
	StrBuf path;
	FieldErrors *errors;
} Check;

static void validate(const Schema *s, const json_t *v, Check *c);

/* A value in a message: strings quoted and escaped, everything else as JSON, cut short. */
static const char *show(const json_t *v, char buf[static 200])
{
	_cleanup_(xfreep) char *text = NULL;

	if (json_is_string(v))
		return quoted(json_string_value(v), buf);
	text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
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
		if (errors_full(c->errors))
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
	double n = json_number_value(v);
	const char *path = strbuf_str(&c->path);
	char text[200];

	if (s->has_minimum && (s->exclusive_minimum ? n <= s->minimum : n < s->minimum))
		field_errors_add(c->errors, FIELD_INVALID, path,
				 "Invalid value: %s: should be greater than %s%.*g", show(v, text),
				 s->exclusive_minimum ? "" : "or equal to ", DBL_DIG, s->minimum);
	if (s->has_maximum && (s->exclusive_maximum ? n >= s->maximum : n > s->maximum))
		field_errors_add(c->errors, FIELD_INVALID, path,
				 "Invalid value: %s: should be less than %s%.*g", show(v, text),
				 s->exclusive_maximum ? "" : "or equal to ", DBL_DIG, s->maximum);
}

static size_t utf8_length(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* Some reasons name the value themselves: it is not said twice. */
static void format_error(const json_t *v, const char *why, Check *c)
{
	char shown[200];
	bool named = str_has_prefix(why, show(v, shown));

	field_errors_add(c->errors, FIELD_INVALID, strbuf_str(&c->path), "Invalid value: %s%s%s",
			 named ? "" : shown, named ? "" : ": ", why);
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
	else if (s->pattern &&
		 (strlen(text) > PATTERN_TEXT_MAX || !schema_pattern_matches(s, text)))
		field_errors_add(c->errors, FIELD_INVALID, path,
				 "Invalid value: %s: should match '%s'", show(v, shown),
				 s->pattern);
	else if (s->format && !schema_format_matches(s->format, v, why))
		format_error(v, why, c);
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
		if (s->items)
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

		if (!child || root_member(s, name))
			continue;
		len = path_push_name(&c->path, name);
		validate(child, member, c);
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
	validate_members(s, v, c);
}

static void validate(const Schema *s, const json_t *v, Check *c)
{
	char text[200];

	/* A null that is not allowed was either defaulted or stands for "not given". */
	if (json_is_null(v))
		return;
	if (!type_matches(s, v)) {
		field_errors_add(c->errors, FIELD_TYPE_INVALID, strbuf_str(&c->path),
				 "Invalid value: %s: must be %s", show(v, text), type_hint(s, v));
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
		format_error(v, text, c);
}

void schema_validate(const Schema *s, const json_t *tree, FieldErrors *errors)
{
	Check c = { .path = STRBUF_INIT, .errors = errors };

	if (count_values(tree) > SCHEMA_VALUES_MAX) {
		field_errors_add(
			errors, FIELD_TOO_MANY, "",
			"Too many: an object may have at most %d values, defaults included",
			SCHEMA_VALUES_MAX);
		return;
	}
	validate(s, tree, &c);
	strbuf_done(&c.path);
}
