/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenAPI v2 in protobuf: what kubectl before 1.29 reads. Written from the JSON document, field by
 * field of gnostic's messages. See openapi.h. Pure.
 */
#include <string.h>

#include "base/memory.h"
#include "server/openapi.h"
#include "json/json.h"

/* ---- wire format: https://protobuf.dev/programming-guides/encoding/ ---- */

typedef enum Wire { WIRE_VARINT = 0, WIRE_DOUBLE = 1, WIRE_BYTES = 2 } Wire;

static void put_varint(StrBuf *out, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		strbuf_addc(out, (char)(v | 0x80));
	strbuf_addc(out, (char)v);
}

static void put_tag(StrBuf *out, unsigned field, Wire wire)
{
	put_varint(out, (uint64_t)field << 3 | wire);
}

static void put_bytes(StrBuf *out, unsigned field, const void *p, size_t n)
{
	put_tag(out, field, WIRE_BYTES);
	put_varint(out, n);
	strbuf_add(out, p, n);
}

static void put_text(StrBuf *out, unsigned field, const char *s)
{
	if (!str_is_empty(s))
		put_bytes(out, field, s, strlen(s));
}

static void put_number(StrBuf *out, unsigned field, uint64_t v)
{
	if (!v)
		return;
	put_tag(out, field, WIRE_VARINT);
	put_varint(out, v);
}

static void put_double(StrBuf *out, unsigned field, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	put_tag(out, field, WIRE_DOUBLE);
	for (int i = 0; i < 8; i++)
		strbuf_addc(out, (char)(bits >> (8 * i)));
}

/* Takes sub over. An empty message is still one. */
static void put_message(StrBuf *out, unsigned field, StrBuf *sub)
{
	put_bytes(out, field, strbuf_str(sub), sub->len);
	strbuf_done(sub);
}

/* ---- any value, as YAML (which JSON is) ---- */

static void put_any(StrBuf *out, unsigned field, const json_t *v)
{
	_cleanup_(xfreep) char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
	StrBuf any = STRBUF_INIT;

	put_text(&any, 2, text);
	put_message(out, field, &any);
}

/* Members that begin with "x-", as NamedAny. */
static void put_extensions(StrBuf *out, unsigned field, const json_t *object)
{
	const char *name;
	json_t *v;

	json_object_foreach ((json_t *)object, name, v) {
		StrBuf named = STRBUF_INIT;

		if (!str_has_prefix(name, "x-"))
			continue;
		put_text(&named, 1, name);
		put_any(&named, 2, v);
		put_message(out, field, &named);
	}
}

/* ---- schemas ---- */

static void put_schema(StrBuf *out, unsigned field, const json_t *schema);

static void put_named_schemas(StrBuf *out, unsigned field, const json_t *schemas)
{
	StrBuf all = STRBUF_INIT;
	const char *name;
	json_t *v;

	json_object_foreach ((json_t *)schemas, name, v) {
		StrBuf named = STRBUF_INIT;

		put_text(&named, 1, name);
		put_schema(&named, 2, v);
		put_message(&all, 1, &named);
	}
	put_message(out, field, &all);
}

static void put_bounds(StrBuf *out, const json_t *schema)
{
	static const struct {
		const char *member;
		unsigned field;
		bool is_double;
	} bounds[] = {
		{"multipleOf",     6,  true },
                { "maximum",       7,  true },
		{ "minimum",       9,  true },
                { "maxLength",     11, false},
		{ "minLength",     12, false},
                { "maxItems",      14, false},
		{ "minItems",      15, false},
                { "maxProperties", 17, false},
		{ "minProperties", 18, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bounds); i++) {
		const json_t *v = json_object_get(schema, bounds[i].member);

		if (json_is_number(v) && bounds[i].is_double)
			put_double(out, bounds[i].field, json_number_value(v));
		else if (json_is_integer(v))
			put_number(out, bounds[i].field, (uint64_t)json_integer_value(v));
	}
	put_number(out, 8, json_is_true(json_object_get(schema, "exclusiveMaximum")));
	put_number(out, 10, json_is_true(json_object_get(schema, "exclusiveMinimum")));
	put_number(out, 16, json_is_true(json_object_get(schema, "uniqueItems")));
}

static void put_inside(StrBuf *out, const json_t *schema)
{
	const json_t *additional = json_object_get(schema, "additionalProperties"),
		     *items = json_object_get(schema, "items"),
		     *properties = json_object_get(schema, "properties");
	const char *type = json_string_at(schema, "type");
	StrBuf sub = STRBUF_INIT;

	if (additional) {
		if (json_is_object(additional))
			put_schema(&sub, 1, additional);
		else
			put_number(&sub, 2, json_is_true(additional));
		put_message(out, 21, &sub);
	}
	if (type) {
		put_text(&sub, 1, type);
		put_message(out, 22, &sub);
	}
	if (json_is_object(items)) {
		put_schema(&sub, 1, items);
		put_message(out, 23, &sub);
	}
	if (json_object_size(properties))
		put_named_schemas(out, 25, properties);
}

static void put_schema(StrBuf *out, unsigned field, const json_t *schema)
{
	StrBuf s = STRBUF_INIT;
	json_t *v;
	size_t i;

	put_text(&s, 1, json_string_at(schema, "$ref"));
	put_text(&s, 2, json_string_at(schema, "format"));
	put_text(&s, 3, json_string_at(schema, "title"));
	put_text(&s, 4, json_string_at(schema, "description"));
	put_bounds(&s, schema);
	put_text(&s, 13, json_string_at(schema, "pattern"));
	json_array_foreach (json_object_get(schema, "required"), i, v)
		put_text(&s, 19, json_string_value(v));
	json_array_foreach (json_object_get(schema, "enum"), i, v)
		put_any(&s, 20, v);
	put_inside(&s, schema);
	put_extensions(&s, 31, schema);
	put_message(out, field, &s);
}

/* ---- paths ---- */

/* ParametersItem > Parameter > NonBodyParameter > QueryParameterSubSchema */
static void put_parameter(StrBuf *out, unsigned field, const json_t *p)
{
	StrBuf query = STRBUF_INIT, non_body = STRBUF_INIT, any = STRBUF_INIT, item = STRBUF_INIT;

	put_text(&query, 2, json_string_at(p, "in"));
	put_text(&query, 3, json_string_at(p, "description"));
	put_text(&query, 4, json_string_at(p, "name"));
	put_text(&query, 6, json_string_at(p, "type"));
	put_message(&non_body, 3, &query);
	put_message(&any, 2, &non_body);
	put_message(&item, 1, &any);
	put_message(out, field, &item);
}

static void put_operation(StrBuf *out, unsigned field, const json_t *operation)
{
	StrBuf o = STRBUF_INIT;
	json_t *p;
	size_t i;

	if (!operation)
		return;
	json_array_foreach (json_object_get(operation, "parameters"), i, p)
		put_parameter(&o, 8, p);
	put_extensions(&o, 13, operation);
	put_message(out, field, &o);
}

static void put_paths(StrBuf *out, unsigned field, const json_t *paths)
{
	static const struct {
		const char *method;
		unsigned field;
	} methods[] = {
		{"get",     2},
                { "put",    3},
                { "post",   4},
                { "delete", 5},
                { "patch",  8}
	};
	StrBuf all = STRBUF_INIT;
	const char *path;
	json_t *item;

	json_object_foreach ((json_t *)paths, path, item) {
		StrBuf named = STRBUF_INIT, operations = STRBUF_INIT;

		for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
			put_operation(&operations, methods[i].field,
				      json_object_get(item, methods[i].method));
		put_text(&named, 1, path);
		put_message(&named, 2, &operations);
		put_message(&all, 2, &named);
	}
	put_message(out, field, &all);
}

void openapi_v2_encode(const json_t *document, StrBuf *out)
{
	StrBuf info = STRBUF_INIT;

	put_text(out, 1, json_string_at(document, "swagger"));
	put_text(&info, 1, json_string_at(document, "info.title"));
	put_text(&info, 2, json_string_at(document, "info.version"));
	put_message(out, 2, &info);
	put_paths(out, 8, json_object_get(document, "paths"));
	put_named_schemas(out, 9, json_object_get(document, "definitions"));
}
