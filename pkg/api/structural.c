/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structural schemas: what a user's OpenAPI v3 schema must be so that objects can be pruned,
 * defaulted and explained by it. The rules and their words are those of Kubernetes
 * (https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
 * under "Specifying a structural schema"). Pure.
 */
#include "api/validate.h"
#include "base/memory.h"
#include "base/pattern.h"
#include "json/json.h"

#define DEPTH_MAX 60

/* Where a schema stands decides what it may say. */
typedef enum Place {
	PLACE_ROOT,
	PLACE_FIELD,
	PLACE_ITEM,
	PLACE_JUNCTOR, /* below allOf, anyOf, oneOf or not: only checks of values */
} Place;

typedef struct Walk {
	FieldErrors *errors;
	StrBuf path;
} Walk;

static void walk(Walk *w, const json_t *schema, Place place, unsigned depth);

static size_t push(Walk *w, const char *fmt, const char *arg)
{
	size_t len = w->path.len;

	strbuf_addf(&w->path, fmt, arg);
	return len;
}

static _printf_(4, 5) void complain(Walk *w, FieldErrorType type, const char *member,
				    const char *fmt, ...)
{
	_cleanup_(xfreep) char *at = xasprintf("%s.%s", strbuf_str(&w->path), member);
	_cleanup_(xfreep) char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	field_errors_add(w->errors, type, at, "%s", text);
}

static bool is_set(const json_t *schema, const char *member)
{
	const json_t *v = json_object_get(schema, member);

	return v && !json_is_null(v) && !json_is_false(v) &&
	       !(json_is_string(v) && !*json_string_value(v));
}

/* ---- members that are never allowed, or not here ---- */

static void check_forbidden(Walk *w, const json_t *schema)
{
	static const struct {
		const char *member, *why;
	} never[] = {
		{"$ref",               "$ref is not supported"             },
		{ "definitions",       "definitions is not supported"      },
		{ "dependencies",      "dependencies is not supported"     },
		{ "id",                "id is not supported"               },
		{ "patternProperties", "patternProperties is not supported"},
		{ "additionalItems",   "additionalItems is not supported"  },
	};

	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		if (is_set(schema, never[i].member))
			complain(w, FIELD_FORBIDDEN, never[i].member, "Forbidden: %s",
				 never[i].why);
}

/* What Kubernetes' own decoder refuses: a member of another type, and bounds that bound nothing. */
static void check_members(Walk *w, const json_t *schema)
{
	enum { TEXT, FLAG, NUMBER, COUNT, LIST, MAP };
	static const char *const wanted[] = { "a string",       "true or false", "a number",
					      "a whole number", "a list",        "a mapping" };
	static const struct {
		const char *member;
		int type;
	} members[] = {
		{"title",				 TEXT  },
		{ "description",                          TEXT  },
		{ "format",			       TEXT  },
		{ "pattern",			      TEXT  },
		{ "type",				 TEXT  },
		{ "x-kubernetes-list-type",               TEXT  },
		{ "x-kubernetes-map-type",                TEXT  },
		{ "nullable",                             FLAG  },
		{ "uniqueItems",                          FLAG  },
		{ "exclusiveMinimum",                     FLAG  },
		{ "exclusiveMaximum",                     FLAG  },
		{ "x-kubernetes-preserve-unknown-fields", FLAG  },
		{ "x-kubernetes-embedded-resource",       FLAG  },
		{ "x-kubernetes-int-or-string",           FLAG  },
		{ "minimum",			      NUMBER},
		{ "maximum",			      NUMBER},
		{ "multipleOf",                           NUMBER},
		{ "minLength",                            COUNT },
		{ "maxLength",                            COUNT },
		{ "minItems",                             COUNT },
		{ "maxItems",                             COUNT },
		{ "minProperties",                        COUNT },
		{ "maxProperties",                        COUNT },
		{ "required",                             LIST  },
		{ "enum",				 LIST  },
		{ "allOf",				LIST  },
		{ "anyOf",				LIST  },
		{ "oneOf",				LIST  },
		{ "x-kubernetes-list-map-keys",           LIST  },
		{ "properties",                           MAP   },
	};

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const json_t *v = json_object_get(schema, members[i].member);
		const bool fits[] = { json_is_string(v),  json_is_boolean(v), json_is_number(v),
				      json_is_integer(v), json_is_array(v),   json_is_object(v) };

		if (v && !json_is_null(v) && !fits[members[i].type])
			complain(w, FIELD_TYPE_INVALID, members[i].member,
				 "Invalid value: must be %s", wanted[members[i].type]);
		else if (members[i].type == COUNT && json_integer_value(v) < 0)
			complain(w, FIELD_INVALID, members[i].member,
				 "Invalid value: must not be negative");
	}
}

static void check_bounds(Walk *w, const json_t *schema)
{
	const json_t *multiple = json_object_get(schema, "multipleOf"),
		     *values = json_object_get(schema, "enum");

	if (json_is_number(multiple) && json_number_value(multiple) <= 0)
		complain(w, FIELD_INVALID, "multipleOf", "Invalid value: must be greater than 0");
	if (json_is_array(values) && json_array_size(values) == 0)
		complain(w, FIELD_INVALID, "enum",
			 "Invalid value: no value would be valid: name at least one");
	if (json_is_true(json_object_get(schema, "uniqueItems")))
		complain(
			w, FIELD_FORBIDDEN, "uniqueItems",
			"Forbidden: uniqueItems cannot be set to true since the runtime complexity "
			"becomes quadratic: use x-kubernetes-list-type: set");
	if (json_is_false(json_object_get(schema, "additionalProperties")))
		complain(w, FIELD_FORBIDDEN, "additionalProperties",
			 "Forbidden: additionalProperties cannot be set to false: fields that "
			 "properties does not name are dropped anyway");
	if (json_is_false(json_object_get(schema, "x-kubernetes-preserve-unknown-fields")))
		complain(w, FIELD_INVALID, "x-kubernetes-preserve-unknown-fields",
			 "Invalid value: false: must be true or undefined");
}

/* Under a junctor a schema only checks: what it would say of shape must be said outside. */
static void check_junctor(Walk *w, const json_t *schema, bool int_or_string)
{
	static const char *const shape[] = { "type",
					     "title",
					     "description",
					     "default",
					     "nullable",
					     "additionalProperties",
					     "x-kubernetes-preserve-unknown-fields",
					     "x-kubernetes-embedded-resource",
					     "x-kubernetes-int-or-string",
					     "x-kubernetes-list-type",
					     "x-kubernetes-map-type" };

	for (size_t i = 0; i < ARRAY_SIZE(shape); i++) {
		if (!is_set(schema, shape[i]) || (int_or_string && streq(shape[i], "type")))
			continue;
		complain(w, FIELD_FORBIDDEN, shape[i], "Forbidden: must be %s to be structural",
			 streq(shape[i], "nullable") || str_has_prefix(shape[i], "x-kubernetes")
				 ? "false"
			 : streq(shape[i], "default") || streq(shape[i], "additionalProperties")
				 ? "undefined"
				 : "empty");
	}
}

/* ---- types ---- */

static bool type_is_known(const char *type)
{
	static const char *const types[] = { "array",  "boolean", "integer", "number",
					     "object", "string",  NULL };

	return strv_contains((char *const *)types, type);
}

static void check_type(Walk *w, const json_t *schema, Place place)
{
	const char *type = json_string_value(json_object_get(schema, "type"));
	bool int_or_string = is_set(schema, "x-kubernetes-int-or-string");
	char text[200];

	if (type && *type && !type_is_known(type)) {
		complain(w, FIELD_NOT_SUPPORTED, "type",
			 "Unsupported value: %s: supported values: \"array\", \"boolean\", "
			 "\"integer\", \"number\", \"object\", \"string\"",
			 quoted(type, text));
		return;
	}
	if (int_or_string && !str_is_empty(type)) {
		complain(w, FIELD_INVALID, "type",
			 "Invalid value: %s: must be empty if x-kubernetes-int-or-string is true",
			 quoted(type, text));
		return;
	}
	if (is_set(schema, "x-kubernetes-embedded-resource") && !streq_ptr(type, "object"))
		complain(w, FIELD_INVALID, "type",
			 "Invalid value: %s: must be object if x-kubernetes-embedded-resource is "
			 "true",
			 quoted(type ? type : "", text));
	if (place == PLACE_ROOT && str_is_empty(type))
		complain(w, FIELD_REQUIRED, "type",
			 "Required value: must not be empty at the root");
	else if (place == PLACE_ROOT && !streq(type, "object"))
		complain(w, FIELD_INVALID, "type", "Invalid value: %s: must be object at the root",
			 quoted(type, text));
	else if (str_is_empty(type) && !int_or_string &&
		 !is_set(schema, "x-kubernetes-preserve-unknown-fields"))
		complain(w, FIELD_REQUIRED, "type",
			 "Required value: must not be empty for specified %s",
			 place == PLACE_ITEM ? "array items" : "object fields");
}

static void check_shape(Walk *w, const json_t *schema)
{
	const char *type = json_string_value(json_object_get(schema, "type"));
	const json_t *items = json_object_get(schema, "items");

	if (streq_ptr(type, "array") && !items)
		complain(w, FIELD_REQUIRED, "items", "Required value: must be specified");
	if (json_is_array(items))
		complain(w, FIELD_FORBIDDEN, "items",
			 "Forbidden: items must be a schema object and not an array");
	if (json_object_size(json_object_get(schema, "properties")) &&
	    is_set(schema, "additionalProperties"))
		complain(w, FIELD_FORBIDDEN, "additionalProperties",
			 "Forbidden: additionalProperties and properties are mutual exclusive");
}

/* ---- lists ---- */

/* An item without its key could not be told from another: it is required, or has a default. */
static void check_map_key(Walk *w, const json_t *items, const char *key)
{
	const json_t *property = json_object_get(json_object_get(items, "properties"), key);
	_cleanup_(xfreep) char *member = xasprintf("items.properties[%s].default", key);
	const char *type = json_string_value(json_object_get(property, "type"));

	if (!property)
		complain(w, FIELD_INVALID, "x-kubernetes-list-map-keys",
			 "Invalid value: \"%.100s\": entries must all be names of item properties",
			 key);
	else if (streq_ptr(type, "array") || streq_ptr(type, "object"))
		complain(w, FIELD_INVALID, member,
			 "Invalid value: must be a scalar type if parent array's "
			 "x-kubernetes-list-type is map");
	else if (!json_list_has(json_object_get(items, "required"), key) &&
		 !json_object_get(property, "default"))
		complain(w, FIELD_REQUIRED, member,
			 "Required value: this property is in x-kubernetes-list-map-keys, so it "
			 "must have a default or be a required property");
}

static void check_list(Walk *w, const json_t *schema)
{
	const char *type = json_string_value(json_object_get(schema, "type")),
		   *list = json_string_value(json_object_get(schema, "x-kubernetes-list-type")),
		   *map = json_string_value(json_object_get(schema, "x-kubernetes-map-type"));
	const json_t *keys = json_object_get(schema, "x-kubernetes-list-map-keys");
	char text[200];
	json_t *key;
	size_t i;

	if (map && !streq(map, "atomic") && !streq(map, "granular"))
		complain(w, FIELD_NOT_SUPPORTED, "x-kubernetes-map-type",
			 "Unsupported value: %s: supported values: \"atomic\", \"granular\"",
			 quoted(map, text));
	if (list && !streq(list, "atomic") && !streq(list, "set") && !streq(list, "map")) {
		complain(w, FIELD_NOT_SUPPORTED, "x-kubernetes-list-type",
			 "Unsupported value: %s: supported values: \"atomic\", \"map\", \"set\"",
			 quoted(list, text));
		return;
	}
	if (list && !streq_ptr(type, "array"))
		complain(w, FIELD_INVALID, "type",
			 "Invalid value: %s: must be array if x-kubernetes-list-type is specified",
			 quoted(type ? type : "", text));
	if (!streq_ptr(list, "map")) {
		if (json_array_size(keys))
			complain(w, FIELD_INVALID, "x-kubernetes-list-type",
				 "Invalid value: %s: must be map if x-kubernetes-list-map-keys is "
				 "non-empty",
				 quoted(list ? list : "", text));
		return;
	}
	if (json_array_size(keys) == 0)
		complain(w, FIELD_REQUIRED, "x-kubernetes-list-map-keys",
			 "Required value: must not be empty if x-kubernetes-list-type is map");
	json_array_foreach (keys, i, key)
		if (json_is_string(key))
			check_map_key(w, json_object_get(schema, "items"), json_string_value(key));
}

/* ---- values ---- */

static void check_default(Walk *w, const json_t *schema)
{
	const json_t *value = json_object_get(schema, "default");
	FieldErrors found = FIELD_ERRORS_INIT;
	Schema *compiled;

	if (!value || (json_is_null(value) && is_set(schema, "nullable")))
		return;
	/* What does not compile has an error of its own. */
	compiled = schema_compile(schema, ".", NULL);
	if (compiled)
		schema_validate(compiled, value, &found);
	for (size_t i = 0; i < found.n; i++) {
		_cleanup_(xfreep) char *member = xasprintf(
			"default%s%s", *found.items[i].path ? "." : "", found.items[i].path);

		complain(w, found.items[i].type, member, "%s", found.items[i].message);
	}
	field_errors_done(&found);
	schema_free(compiled);
}

static void check_pattern(Walk *w, const json_t *schema)
{
	const char *pattern = json_string_value(json_object_get(schema, "pattern"));
	_cleanup_(error_done) Error err = ERROR_INIT;
	Pattern *compiled = NULL;
	char text[200];

	if (pattern && pattern_compile(pattern, &compiled, &err) < 0)
		complain(w, FIELD_INVALID, "pattern",
			 "Invalid value: %s: must be a valid regular expression, but isn't: %s",
			 quoted(pattern, text), error_message(&err));
	pattern_free(compiled);
}

/* metadata is the same for every kind: only its names can be checked further. */
static void check_metadata(Walk *w, const json_t *metadata)
{
	const char *name;
	json_t *v;

	json_object_foreach (json_object_get(metadata, "properties"), name, v)
		if (!streq(name, "name") && !streq(name, "generateName"))
			complain(w, FIELD_FORBIDDEN, "properties[metadata]",
				 "Forbidden: must not specify anything other than name and "
				 "generateName, but metadata is implicitly specified");
}

/* ---- the walk ---- */

static void walk_properties(Walk *w, const json_t *schema, Place place, unsigned depth)
{
	const json_t *properties = json_object_get(schema, "properties");
	const char *name;
	json_t *v;
	size_t len;

	json_object_foreach ((json_t *)properties, name, v) {
		if (place == PLACE_ROOT && streq(name, "metadata"))
			check_metadata(w, v);
		len = push(w, ".properties[%s]", name);
		walk(w, v, place == PLACE_JUNCTOR ? PLACE_JUNCTOR : PLACE_FIELD, depth + 1);
		strbuf_truncate(&w->path, len);
	}
}

/* integer and string are what an int-or-string is: there, and only there, types may be told. */
static void walk_junctors(Walk *w, const json_t *schema, unsigned depth)
{
	static const char *const junctors[] = { "allOf", "anyOf", "oneOf" };
	const json_t *not = json_object_get(schema, "not");
	json_t *v;
	size_t i, len;

	for (size_t j = 0; j < ARRAY_SIZE(junctors); j++) {
		const json_t *list = json_object_get(schema, junctors[j]);

		json_array_foreach (list, i, v) {
			_cleanup_(xfreep) char *step = xasprintf("%s[%zu]", junctors[j], i);

			len = push(w, ".%s", step);
			check_junctor(w, v, is_set(schema, "x-kubernetes-int-or-string"));
			walk(w, v, PLACE_JUNCTOR, depth + 1);
			strbuf_truncate(&w->path, len);
		}
	}
	if (not ) {
		len = push(w, ".%s", "not");
		check_junctor(w, not, false);
		walk(w, not, PLACE_JUNCTOR, depth + 1);
		strbuf_truncate(&w->path, len);
	}
}

static void walk_inside(Walk *w, const json_t *schema, Place place, unsigned depth)
{
	const json_t *items = json_object_get(schema, "items"),
		     *additional = json_object_get(schema, "additionalProperties");
	bool junctor = place == PLACE_JUNCTOR;
	size_t len;

	walk_properties(w, schema, place, depth);
	if (json_is_object(items)) {
		len = push(w, ".%s", "items");
		walk(w, items, junctor ? PLACE_JUNCTOR : PLACE_ITEM, depth + 1);
		strbuf_truncate(&w->path, len);
	}
	if (json_is_object(additional)) {
		len = push(w, ".%s", "additionalProperties");
		walk(w, additional, junctor ? PLACE_JUNCTOR : PLACE_FIELD, depth + 1);
		strbuf_truncate(&w->path, len);
	}
	walk_junctors(w, schema, depth);
}

static void walk(Walk *w, const json_t *schema, Place place, unsigned depth)
{
	if (!json_is_object(schema) || depth > DEPTH_MAX) {
		field_errors_add(w->errors, FIELD_INVALID, strbuf_str(&w->path),
				 depth > DEPTH_MAX ? "Invalid value: nested too deeply"
						   : "Invalid value: must be a schema");
		return;
	}
	check_forbidden(w, schema);
	check_members(w, schema);
	check_bounds(w, schema);
	if (place != PLACE_JUNCTOR) {
		check_type(w, schema, place);
		check_shape(w, schema);
		check_list(w, schema);
	}
	check_pattern(w, schema);
	walk_inside(w, schema, place, depth);
	if (place != PLACE_JUNCTOR)
		check_default(w, schema);
}

void validate_structural(const json_t *schema, const char *path, FieldErrors *errors)
{
	Walk w = { .errors = errors, .path = STRBUF_INIT };

	push(&w, "%s", path);
	walk(&w, schema, PLACE_ROOT, 0);
	strbuf_done(&w.path);
}
