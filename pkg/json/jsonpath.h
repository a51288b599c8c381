/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parsed form of a jsonpath, shared by the path and the template half. Private to pkg/json. A
 * path belongs to one thread while it is compiled and may be used by any number of them afterwards.
 */
#pragma once

#include "json/json.h"

#define JSONPATH_STEPS_MAX   64
#define JSONPATH_RESULTS_MAX 100000

typedef enum StepType {
	STEP_FIELD,     /* .name, ['name'] */
	STEP_INDEX,     /* [3], [-1] */
	STEP_SLICE,     /* [1:3], [::2] */
	STEP_WILDCARD,  /* [*], .* */
	STEP_RECURSIVE, /* ..name */
	STEP_FILTER,    /* [?(@.a=="b")] */
	STEP_UNION,     /* [0,2], ['a','b'] */
} StepType;

typedef enum FilterOp {
	FILTER_EXISTS,
	FILTER_EQ,
	FILTER_NE,
	FILTER_LT,
	FILTER_LE,
	FILTER_GT,
	FILTER_GE
} FilterOp;

typedef struct Step {
	StepType type;
	char *name;           /* FIELD, RECURSIVE (NULL = all) */
	int64_t from, to, by; /* INDEX: from; SLICE */
	bool has_from, has_to;
	struct JsonPath *left; /* FILTER */
	FilterOp op;
	struct JsonPath *right; /* FILTER: a path, or NULL and `literal` */
	json_t *literal;
	struct Step *members; /* UNION */
	size_t n_members;
} Step;

struct JsonPath {
	Step *steps;
	size_t n_steps, cap;
	bool from_root; /* starts with $ inside a filter or a range */
};

/* Parses from *s up to a character that cannot belong to a path; *s moves there. */
int jsonpath_parse(const char **s, JsonPath **ret, Error *err);
/* root is what $ means, v what @ and a leading dot mean. */
json_t *jsonpath_eval(const JsonPath *p, const json_t *root, const json_t *v);
/* A quoted string at *s ('...' or "..."), with backslash escapes; *s moves behind it. NULL if it
 * does not end. */
char *jsonpath_quoted(const char **s);
/* One value the way kubectl prints it: strings as they are, the rest as JSON. */
void jsonpath_print(const json_t *v, StrBuf *out);
