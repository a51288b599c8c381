/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compiled form of a schema, shared by what compiles it, checks with it and explains it.
 * Private to pkg/api. Immutable after schema_compile().
 */
#pragma once

#include "api/schema.h"
#include "base/pattern.h"

#define FIELD_ERRORS_MAX 100

typedef enum SchemaType {
	TYPE_ANY,
	TYPE_OBJECT,
	TYPE_ARRAY,
	TYPE_STRING,
	TYPE_INTEGER,
	TYPE_NUMBER,
	TYPE_BOOLEAN,
	_TYPE_MAX
} SchemaType;

typedef struct SchemaProperty {
	char *name;
	Schema *schema;
	bool required;
} SchemaProperty;

typedef struct SchemaBounds {
	int64_t min, max; /* -1 = none */
} SchemaBounds;

struct Schema {
	SchemaType type;
	bool root; /* of a whole object: apiVersion, kind and metadata are always known */
	char *description, *format, *apply_cost;
	SchemaProperty *properties; /* in the CRD's order */
	size_t n_properties;
	char **required;
	Schema *items, *additional; /* additionalProperties */
	bool preserve_unknown, nullable, int_or_string, unique, atomic_map;
	bool embedded;     /* a whole object: apiVersion, kind and metadata are always known */
	bool lenient_null; /* of ours: null is "not given" */
	/* Each of these lists ends with NULL, and is NULL if there is none. */
	Schema **all_of, **any_of, **one_of;
	Schema * not ;
	bool keeps_value; /* the rule self == oldSelf: once given, it stays what it is */
	char *keeps_message;
	json_t *dflt, *enumeration;
	char *pattern; /* and compiled */
	Pattern *compiled;
	long double minimum, maximum; /* holds every integer and every double exactly */
	double multiple_of;           /* 0 = of nothing */
	bool has_minimum, has_maximum, exclusive_minimum, exclusive_maximum;
	SchemaBounds length, items_count, properties_count;
	ListType list_type;
	char **map_keys;
};

/* A path that grows and shrinks with a walk: "spec.disks[0]". push gives what pop wants. */
size_t path_push_name(StrBuf *path, const char *name);
size_t path_push_index(StrBuf *path, size_t i);
void path_pop(StrBuf *path, size_t len);
/* Then what would only make the next message better is not worth its time. */
bool field_errors_full(const FieldErrors *e);
size_t schema_count_values(const json_t *v);

/* apiVersion, kind and metadata of a whole object. */
bool schema_root_member(const Schema *s, const char *name);
const char *schema_type_to_string(SchemaType t);
/* The value of a number, as exact as it was given. */
long double schema_number(const json_t *v);
const char *schema_number_text(long double n, char buf[static 64]);
/* The schema of a member of every object's metadata. */
const Schema *schema_of_metadata(const char *name);
/* Of a compiled-in kind: null is as good as nothing, as in Kubernetes' own types. */
void schema_set_builtin(Schema *s);
/* 0 or what is wrong as a sentence in *ret_why (literal or buf). */
bool schema_format_matches(const char *format, const json_t *v, char why[static 200]);
/* The nearest known member of an object's schema. */
const char *schema_nearest_property(const Schema *s, const char *word);
bool metadata_is_known(const char *field);
extern const char *const metadata_fields[];
