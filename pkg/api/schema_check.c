/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done with a compiled schema and a tree before it is validated: prune and default; and
 * the list of errors that both fill. Pure.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/schema_internal.h"
#include "api/validate.h"
#include "base/memory.h"
#include "json/json.h"

#define EXACT_MAX 9007199254740992.0 /* 2^53: up to here a double is an integer or is not */

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
	[FIELD_DOUBLED] = "FieldValueDuplicate",
};

const char *field_error_reason(FieldErrorType t)
{
	return reasons[t];
}

bool field_errors_full(const FieldErrors *e)
{
	return e->n >= FIELD_ERRORS_MAX;
}

void field_errors_add(FieldErrors *e, FieldErrorType type, const char *path, const char *fmt, ...)
{
	va_list ap;

	if (field_errors_full(e)) {
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

size_t path_push_name(StrBuf *path, const char *name)
{
	size_t len = path->len;

	/* For every field of every object that comes: no printf. */
	if (len)
		strbuf_addc(path, '.');
	strbuf_adds(path, name);
	return len;
}

size_t path_push_index(StrBuf *path, size_t i)
{
	size_t len = path->len;

	strbuf_addf(path, "[%zu]", i);
	return len;
}

void path_pop(StrBuf *path, size_t len)
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
	const char *meant = unknown && !field_errors_full(unknown) ? near(where, name) : NULL;

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

static void prune(const Schema *s, json_t *tree, StrBuf *path, FieldErrors *unknown);

static void prune_metadata(json_t *meta, StrBuf *path, FieldErrors *unknown)
{
	size_t len = path_push_name(path, "metadata");
	const char *name;
	json_t *v;
	void *next;

	json_object_foreach_safe(meta, next, name, v)
	{
		if (streq(name, "ownerReferences")) {
			size_t at = path_push_name(path, name);

			prune(schema_of_metadata(name), v, path, unknown);
			path_pop(path, at);
		}
		if (metadata_is_known(name))
			continue;
		unknown_field(unknown, path, name, nearest_metadata, NULL);
		json_object_del(meta, name);
	}
	path_pop(path, len);
}

bool schema_root_member(const Schema *s, const char *name)
{
	return (s->root || s->embedded) &&
	       (streq(name, "apiVersion") || streq(name, "kind") || streq(name, "metadata"));
}

static void prune_object(const Schema *s, json_t *tree, StrBuf *path, FieldErrors *unknown)
{
	const char *name;
	json_t *v;
	void *next;

	json_object_foreach_safe(tree, next, name, v)
	{
		const Schema *child = schema_property(s, name);
		size_t len;

		if (schema_root_member(s, name)) {
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

	/* What is of the wrong type is left for validation to show as it is. */
	if (json_is_object(tree) && s->type != TYPE_OBJECT && s->type != TYPE_ANY)
		return;
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

size_t schema_count_values(const json_t *v)
{
	const char *name;
	json_t *child;
	size_t i, n = 1;

	json_array_foreach (v, i, child)
		n += schema_count_values(child);
	json_object_foreach ((json_t *)v, name, child)
		n += schema_count_values(child);
	return n;
}

static void fill_one(const SchemaProperty *p, json_t *tree, size_t *room)
{
	size_t n = schema_count_values(p->schema->dflt);

	if (*room == 0)
		return;
	json_object_set_new(tree, p->name, json_deep_copy(p->schema->dflt));
	*room -= MIN(n, *room);
}

/* A null where null is no value is "not given". */
static bool is_nothing(const Schema *s, const json_t *v)
{
	return json_is_null(v) && !s->nullable && (s->type != TYPE_ANY || s->int_or_string);
}

/* 2.0 and 1e9 are how some languages write an integer. */
static bool is_whole(const Schema *s, const json_t *v)
{
	double n = json_real_value(v);

	return (s->type == TYPE_INTEGER || s->int_or_string) && json_is_real(v) && n == floor(n) &&
	       fabs(n) <= EXACT_MAX;
}

/* Drops or rewrites a member in place, and fills in what is below it. */
static void settle(const Schema *s, json_t *map, const char *name, json_t *v, size_t *room)
{
	if (is_nothing(s, v))
		json_object_del(map, name);
	else if (is_whole(s, v))
		json_object_set_new(map, name, json_integer((json_int_t)json_real_value(v)));
	else
		fill(s, v, room);
}

static void default_object(const Schema *s, json_t *tree, size_t *room)
{
	const char *name;
	json_t *v;
	void *next;

	for (size_t i = 0; i < s->n_properties; i++) {
		const SchemaProperty *p = &s->properties[i];

		v = json_object_get(tree, p->name);
		if (p->schema->dflt && (!v || is_nothing(p->schema, v)))
			fill_one(p, tree, room);
		v = json_object_get(tree, p->name);
		if (v)
			settle(p->schema, tree, p->name, v, room);
	}
	if (s->additional)
		json_object_foreach_safe(tree, next, name, v)
		{
			if (schema_property(s, name) == s->additional)
				settle(s->additional, tree, name, v, room);
		}
}

static void fill(const Schema *s, json_t *tree, size_t *room)
{
	json_t *v;
	size_t i;

	if (json_is_object(tree)) {
		default_object(s, tree, room);
	} else if (json_is_array(tree) && s->items) {
		json_array_foreach (tree, i, v) {
			if (is_whole(s->items, v))
				json_array_set_new(tree, i,
						   json_integer((json_int_t)json_real_value(v)));
			else
				fill(s->items, v, room);
		}
	}
}

void schema_default(const Schema *s, json_t *tree)
{
	/* One more than validation takes: what did not fit is then seen. */
	size_t room = SCHEMA_VALUES_MAX + 1;

	fill(s, tree, &room);
}
