/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiling a schema from OpenAPI JSON, and looking things up in it. See schema.h for what is
 * supported.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/schema_internal.h"
#include "base/memory.h"
#include "json/json.h"

#define PATTERN_MAX 4096
#define NESTING_MAX 60

static const char *const type_names[_TYPE_MAX] = {
	[TYPE_ANY] = "",
	[TYPE_OBJECT] = "object",
	[TYPE_ARRAY] = "array",
	[TYPE_STRING] = "string",
	[TYPE_INTEGER] = "integer",
	[TYPE_NUMBER] = "number",
	[TYPE_BOOLEAN] = "boolean",
};

static Schema *compile(const json_t *o, const char *path, unsigned depth, Error *err);

const char *schema_type_to_string(SchemaType t)
{
	return type_names[t];
}

static void free_list(Schema **list)
{
	for (Schema **s = list; s && *s; s++)
		schema_free(*s);
	free(list);
}

Schema *schema_free(Schema *s)
{
	if (!s)
		return NULL;
	for (size_t i = 0; i < s->n_properties; i++) {
		free(s->properties[i].name);
		schema_free(s->properties[i].schema);
	}
	free(s->properties);
	schema_free(s->items);
	schema_free(s->additional);
	free_list(s->all_of);
	free_list(s->any_of);
	free_list(s->one_of);
	schema_free(s->not );
	free(s->keeps_message);
	strv_free(s->required);
	strv_free(s->map_keys);
	json_decref(s->dflt);
	json_decref(s->enumeration);
	pattern_free(s->compiled);
	free(s->pattern);
	free(s->description);
	free(s->format);
	free(s->apply_cost);
	free(s);
	return NULL;
}

static int bad(Error *err, const char *path, const char *what)
{
	return error_set(err, ERR_INVALID, "%s: %s", *path ? path : "schema", what);
}

static char *string_member(const json_t *o, const char *name)
{
	return xstrdup(json_string_value(json_object_get(o, name)));
}

static char **strings_member(const json_t *o, const char *name)
{
	const json_t *list = json_object_get(o, name);
	char **v = xnew0(char *, json_array_size(list) + 1);
	json_t *s;
	size_t i, n = 0;

	json_array_foreach (list, i, s) {
		if (json_is_string(s))
			v[n++] = xstrdup(json_string_value(s));
	}
	return v;
}

static SchemaBounds bounds_member(const json_t *o, const char *min, const char *max)
{
	return (SchemaBounds){ json_integer_at(o, min, -1), json_integer_at(o, max, -1) };
}

static int compile_type(Schema *s, const json_t *o, const char *path, Error *err)
{
	const char *type = json_string_value(json_object_get(o, "type"));

	if (!type)
		return 0;
	for (int t = TYPE_OBJECT; t < _TYPE_MAX; t++)
		if (streq(type_names[t], type)) {
			s->type = (SchemaType)t;
			return 0;
		}
	return bad(err, path, "unknown type");
}

static int compile_pattern(Schema *s, const json_t *o, const char *path, Error *err)
{
	const char *p = json_string_value(json_object_get(o, "pattern"));
	_cleanup_(error_done) Error why = ERROR_INIT;

	if (!p)
		return 0;
	if (strlen(p) > PATTERN_MAX)
		return bad(err, path, "the pattern is too long");
	if (pattern_compile(p, &s->compiled, &why) < 0)
		return bad(err, path, error_message(&why));
	s->pattern = xstrdup(p);
	return 0;
}

void schema_set_builtin(Schema *s)
{
	if (!s)
		return;
	s->lenient_null = true;
	for (size_t i = 0; i < s->n_properties; i++)
		schema_set_builtin(s->properties[i].schema);
	schema_set_builtin(s->items);
	schema_set_builtin(s->additional);
}

long double schema_number(const json_t *v)
{
	return json_is_integer(v) ? (long double)json_integer_value(v)
				  : (long double)json_real_value(v);
}

const char *schema_number_text(long double n, char buf[static 64])
{
	snprintf(buf, 64, n == floorl(n) && fabsl(n) < 1e19L ? "%.0Lf" : "%.15Lg", n);
	return buf;
}

static void compile_numbers(Schema *s, const json_t *o)
{
	const json_t *min = json_object_get(o, "minimum"), *max = json_object_get(o, "maximum");

	s->multiple_of = json_number_value(json_object_get(o, "multipleOf"));
	s->has_minimum = json_is_number(min);
	s->minimum = schema_number(min);
	s->has_maximum = json_is_number(max);
	s->maximum = schema_number(max);
	s->exclusive_minimum = json_is_true(json_object_get(o, "exclusiveMinimum"));
	s->exclusive_maximum = json_is_true(json_object_get(o, "exclusiveMaximum"));
	s->length = bounds_member(o, "minLength", "maxLength");
	s->items_count = bounds_member(o, "minItems", "maxItems");
	s->properties_count = bounds_member(o, "minProperties", "maxProperties");
}

static int compile_list_type(Schema *s, const json_t *o, const char *path, Error *err)
{
	const char *type = json_string_value(json_object_get(o, "x-kubernetes-list-type"));
	const char *map = json_string_value(json_object_get(o, "x-kubernetes-map-type"));

	s->map_keys = strings_member(o, "x-kubernetes-list-map-keys");
	s->atomic_map = streq_ptr(map, "atomic");
	if (!type || streq(type, "atomic"))
		s->list_type = LIST_ATOMIC;
	else if (streq(type, "set"))
		s->list_type = LIST_SET;
	else if (streq(type, "map"))
		s->list_type = LIST_MAP;
	else
		return bad(err, path, "x-kubernetes-list-type is atomic, set or map");
	if (s->list_type == LIST_MAP && strv_len(s->map_keys) == 0)
		return bad(err, path, "a list of type map needs x-kubernetes-list-map-keys");
	return 0;
}

static int compile_properties(Schema *s, const json_t *o, const char *path, unsigned depth,
			      Error *err)
{
	json_t *properties = json_object_get(o, "properties"), *p;
	const char *name;
	size_t cap = 0;

	json_object_foreach (properties, name, p) {
		_cleanup_(xfreep) char *at = xasprintf("%s%s%s", path, *path ? "." : "", name);
		Schema *child = compile(p, at, depth + 1, err);

		if (!child)
			return -ERR_INVALID;
		GROW_ARRAY(s->properties, s->n_properties, cap);
		s->properties[s->n_properties++] =
			(SchemaProperty){ .name = xstrdup(name),
					  .schema = child,
					  .required = strv_contains(s->required, name) };
	}
	return 0;
}

static int compile_children(Schema *s, const json_t *o, const char *path, unsigned depth,
			    Error *err)
{
	const json_t *items = json_object_get(o, "items"),
		     *additional = json_object_get(o, "additionalProperties");
	_cleanup_(xfreep) char *items_path = xasprintf("%s[]", path),
			       *any_path = xasprintf("%s.*", path);
	int rc = compile_properties(s, o, path, depth, err);

	if (rc < 0)
		return rc;
	if (json_is_object(items) && !(s->items = compile(items, items_path, depth + 1, err)))
		return -ERR_INVALID;
	if (json_is_object(additional) &&
	    !(s->additional = compile(additional, any_path, depth + 1, err)))
		return -ERR_INVALID;
	s->preserve_unknown |= json_is_true(additional);
	if (s->type == TYPE_ARRAY && !s->items)
		return bad(err, path, "an array needs items");
	return 0;
}

static int compile_list(const json_t *o, const char *member, const char *path, unsigned depth,
			Schema ***ret, Error *err)
{
	const json_t *list = json_object_get(o, member);
	size_t n = json_array_size(list);

	if (n == 0)
		return 0;
	*ret = xnew0(Schema *, n + 1);
	for (size_t i = 0; i < n; i++) {
		_cleanup_(xfreep) char *at = xasprintf("%s.%s[%zu]", path, member, i);

		(*ret)[i] = compile(json_array_get(list, i), at, depth + 1, err);
		if (!(*ret)[i])
			return -ERR_INVALID;
	}
	return 0;
}

/* Schemas that only check a value: they add nothing to what is known, and fill in nothing. */
static int compile_junctors(Schema *s, const json_t *o, const char *path, unsigned depth,
			    Error *err)
{
	const json_t *not = json_object_get(o, "not");
	_cleanup_(xfreep) char *not_path = xasprintf("%s.not", path);

	if (compile_list(o, "allOf", path, depth, &s->all_of, err) < 0 ||
	    compile_list(o, "anyOf", path, depth, &s->any_of, err) < 0 ||
	    compile_list(o, "oneOf", path, depth, &s->one_of, err) < 0)
		return -ERR_INVALID;
	if (json_is_object(not ) && !(s->not = compile(not, not_path, depth + 1, err)))
		return -ERR_INVALID;
	return 0;
}

/* The one rule in CEL that is understood: by far the most common. */
static bool rule_keeps_value(const char *rule)
{
	char packed[32];
	size_t n = 0;

	for (; rule && *rule; rule++) {
		if (*rule == ' ')
			continue;
		if (n == sizeof(packed) - 1)
			return false;
		packed[n++] = *rule;
	}
	packed[n] = '\0';
	return streq(packed, "self==oldSelf") || streq(packed, "oldSelf==self");
}

static void compile_rules(Schema *s, const json_t *o)
{
	const json_t *rules = json_object_get(o, "x-kubernetes-validations");
	json_t *rule;
	size_t i;

	json_array_foreach (rules, i, rule) {
		if (!rule_keeps_value(json_string_at(rule, "rule")))
			continue;
		s->keeps_value = true;
		free(s->keeps_message);
		s->keeps_message = string_member(rule, "message");
	}
}

size_t schema_count_rules(const json_t *openapi)
{
	const json_t *rules = json_object_get(openapi, "x-kubernetes-validations");
	const char *name;
	json_t *v;
	size_t i, n = 0;

	json_array_foreach (rules, i, v)
		n += !rule_keeps_value(json_string_at(v, "rule"));
	json_object_foreach ((json_t *)openapi, name, v)
		if (!streq(name, "default") && !streq(name, "x-kubernetes-validations"))
			n += schema_count_rules(v);
	json_array_foreach (openapi, i, v)
		n += schema_count_rules(v);
	return n;
}

static Schema *compile(const json_t *o, const char *path, unsigned depth, Error *err)
{
	Schema *s;

	if (!json_is_object(o) || depth > NESTING_MAX) {
		bad(err, path, depth > NESTING_MAX ? "nested too deeply" : "must be an object");
		return NULL;
	}
	s = xnew0(Schema, 1);
	s->root = depth == 0 && !*path;
	s->description = string_member(o, "description");
	s->format = string_member(o, "format");
	s->apply_cost = string_member(o, "x-sf-apply");
	s->required = strings_member(o, "required");
	s->preserve_unknown =
		json_is_true(json_object_get(o, "x-kubernetes-preserve-unknown-fields"));
	s->nullable = json_is_true(json_object_get(o, "nullable"));
	s->int_or_string = json_is_true(json_object_get(o, "x-kubernetes-int-or-string"));
	s->unique = json_is_true(json_object_get(o, "uniqueItems"));
	s->dflt = json_deep_copy(json_object_get(o, "default"));
	if (json_is_array(json_object_get(o, "enum")))
		s->enumeration = json_deep_copy(json_object_get(o, "enum"));
	s->embedded = json_is_true(json_object_get(o, "x-kubernetes-embedded-resource"));
	compile_numbers(s, o);
	compile_rules(s, o);
	if (compile_type(s, o, path, err) < 0 || compile_pattern(s, o, path, err) < 0 ||
	    compile_list_type(s, o, path, err) < 0 ||
	    compile_children(s, o, path, depth, err) < 0 ||
	    compile_junctors(s, o, path, depth, err) < 0)
		return schema_free(s);
	return s;
}

Schema *schema_compile(const json_t *openapi, const char *path, Error *err)
{
	return compile(openapi, path, 0, err);
}

/* ---- look-ups ---- */

const Schema *schema_property(const Schema *s, const char *name)
{
	for (size_t i = 0; s && i < s->n_properties; i++)
		if (streq(s->properties[i].name, name))
			return s->properties[i].schema;
	return s ? s->additional : NULL;
}

bool schema_is_open(const Schema *s)
{
	return s && s->preserve_unknown;
}

const Schema *schema_items(const Schema *s)
{
	return s ? s->items : NULL;
}

ListType schema_list_type(const Schema *s)
{
	return s ? s->list_type : LIST_ATOMIC;
}

const char *const *schema_list_map_keys(const Schema *s)
{
	return (const char *const *)s->map_keys;
}

bool schema_is_atomic_map(const Schema *s)
{
	return s && s->atomic_map;
}

const char *schema_apply_cost(const Schema *s)
{
	return s ? s->apply_cost : NULL;
}
