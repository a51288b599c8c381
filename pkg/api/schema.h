/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schema: an OpenAPI v3 schema (the structural subset of CustomResourceDefinitions) compiled to a
 * tree, and the four things done with it: prune unknown fields, fill in defaults, validate,
 * explain.
 *
 * Supported: type, properties, required, items, additionalProperties, default, enum, pattern,
 * format, minimum, maximum (with exclusive...), minLength, maxLength, minItems, maxItems,
 * uniqueItems, minProperties, maxProperties, nullable, description, x-kubernetes-int-or-string,
 * x-kubernetes-preserve-unknown-fields, x-kubernetes-embedded-resource, x-kubernetes-list-type
 * (atomic, set, map), x-kubernetes-list-map-keys, x-kubernetes-map-type, allOf, anyOf, oneOf, not,
 * of x-kubernetes-validations the rule self == oldSelf, x-sf-apply. Formats that are checked:
 * date-time, date, duration, ipv4, ipv6, ip, cidr, mac, uuid, quantity, dns-label, dns-subdomain,
 * hostname, email, reference, uri, byte, int32, int64. Pure; any thread.
 */
#pragma once

#include <jansson.h>

#include "api/kind.h"
#include "base/strbuf.h"

/* One thing that is wrong, named the way Kubernetes names it. */
typedef enum FieldErrorType {
	FIELD_INVALID,       /* FieldValueInvalid */
	FIELD_REQUIRED,      /* FieldValueRequired */
	FIELD_NOT_SUPPORTED, /* FieldValueNotSupported: not one of the enum */
	FIELD_DUPLICATE,     /* FieldValueDuplicate */
	FIELD_TYPE_INVALID,  /* FieldValueTypeInvalid */
	FIELD_TOO_LONG,      /* FieldValueTooLong */
	FIELD_TOO_MANY,      /* FieldValueTooMany */
	FIELD_FORBIDDEN,     /* FieldValueForbidden */
	FIELD_UNKNOWN,       /* an unknown field: 400 under Strict, pruned otherwise */
	FIELD_DOUBLED,       /* named twice: 400 under Strict, else the last one counts */
	_FIELD_ERROR_MAX,
} FieldErrorType;

typedef struct FieldError {
	FieldErrorType type;
	char *path;    /* "spec.disks[0].size" (an unknown field's path includes its name) */
	char *message; /* `Invalid value: 0: must be at least 1`; "did you mean" is part of it */
} FieldError;

typedef struct FieldErrors {
	FieldError *items;
	size_t n, cap;
	size_t dropped; /* how many more there were: a list is not longer than what people read */
} FieldErrors;

#define FIELD_ERRORS_INIT \
	(FieldErrors) \
	{ \
		0 \
	}
void field_errors_add(FieldErrors *e, FieldErrorType type, const char *path, const char *fmt, ...)
	_printf_(4, 5);
void field_errors_done(FieldErrors *e);
const char *field_error_reason(FieldErrorType t); /* "FieldValueInvalid" */

Schema *schema_compile(const json_t *openapi, const char *path, Error *err); /* NULL on error */
Schema *schema_free(Schema *s);

/* Removes fields that the schema does not know, adding a FIELD_UNKNOWN each (with "did you mean");
 * unknown may be NULL. */
void schema_prune(const Schema *s, json_t *tree, FieldErrors *unknown);
/* Fills in defaults, depth first, as Kubernetes does (an absent parent is not created unless it has
 * a default). */
void schema_default(const Schema *s, json_t *tree);
/* All errors at once. A tree of more than SCHEMA_VALUES_MAX values is one: nested defaults
 * multiply, and defaulting stops there. */
#define SCHEMA_VALUES_MAX 200000
void schema_validate(const Schema *s, const json_t *tree, FieldErrors *errors);
/* What may not change once it is given (x-kubernetes-validations: self == oldSelf). */
void schema_validate_change(const Schema *s, const json_t *tree, const json_t *old,
			    FieldErrors *errors);

/* The candidate nearest to word, if it is near enough to be meant; NULL otherwise. */
const char *nearest(const char *word, const char *const *candidates, size_t n);
/* What `sfctl explain kind.path` prints; path "" = the root. -ERR_NOT_FOUND with "did you mean". */
int schema_explain(const Kind *k, const char *path, bool recursive, StrBuf *out, Error *err);

/* Look-ups for server-side apply and merge keys. */
typedef enum ListType { LIST_ATOMIC, LIST_SET, LIST_MAP } ListType;
const Schema *schema_property(const Schema *s,
			      const char *name); /* also additionalProperties; NULL if unknown */
/* The same for any object's root, whose metadata is described by Kubernetes' ObjectMeta. */
const Schema *schema_member(const Schema *s, const char *name);
bool schema_is_open(const Schema *s); /* keeps members that it does not name */
const Schema *schema_items(const Schema *s);
/* What a step of a FieldSet leads to ("f:cpus", "k:{...}"). */
const Schema *schema_at_step(const Schema *s, const char *step);
/* True for a member that the schema names, not one that additionalProperties allow. */
bool schema_names(const Schema *s, const char *name);
bool schema_is_list(const Schema *s);
const json_t *schema_default_of(const Schema *s); /* borrowed; NULL if there is none */
ListType schema_list_type(const Schema *s);
const char *const *schema_list_map_keys(const Schema *s); /* NULL-terminated */
bool schema_is_atomic_map(const Schema *s);
/* "live", "restart", "recreate", "immutable", or NULL when nothing is said. */
const char *schema_apply_cost(const Schema *s);
/* How many rules in x-kubernetes-validations of an OpenAPI schema are not evaluated here. */
size_t schema_count_rules(const json_t *openapi);
bool schema_format_is_known(const char *format);

/*
 * The whole check of a candidate: apiVersion/kind/metadata rules (names, labels, annotations,
 * finalizers, owners), schema, then the rules of a compiled-in kind that no schema can say
 * (api/validate_*.c: prefixes that hold their gateway, addresses that are given twice, ...). `old`
 * is NULL at create; immutable fields are compared with it.
 */
void object_validate(const Kind *k, const json_t *tree, const json_t *old, FieldErrors *errors);
