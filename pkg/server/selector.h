/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Selectors: label selectors (`a=b,c!=d,e in (x,y),!f,g>1`) and field selectors
 * (`metadata.name=x,status.phase!=Ready`), parsed once per request and matched per object. Pure.
 */
#pragma once

#include "api/object.h"
#include "base/error.h"

#define SELECTOR_TERMS_MAX 128

typedef enum SelectorOp {
	SELECTOR_IN,     /* also =, == */
	SELECTOR_NOT_IN, /* also !=: matches an absent key too */
	SELECTOR_EXISTS,
	SELECTOR_ABSENT,
	SELECTOR_GREATER, /* than the one value; both are whole numbers */
	SELECTOR_LESS,
} SelectorOp;

typedef struct SelectorTerm {
	SelectorOp op;
	char *key; /* label key, or dotted path of a field */
	char **values;
} SelectorTerm;

typedef struct Selector {
	SelectorTerm *terms;
	size_t n;
} Selector;

#define SELECTOR_INIT \
	(Selector) \
	{ \
		0 \
	}

/* NULL and "" select everything. -ERR_INVALID with the reason. */
int selector_parse_labels(const char *s, Selector *ret, Error *err);
int selector_parse_fields(const char *s, Selector *ret, Error *err);
void selector_done(Selector *s);

bool selector_match_labels(const Selector *s, const Object *o);
/* tree may be NULL when selector_needs_tree() says no: then only metadata.name and .namespace are
 * looked at. An absent field is "". */
bool selector_match_fields(const Selector *s, const Object *o, const json_t *tree);
bool selector_needs_tree(const Selector *s);
/* The value that `path` must equal, or NULL. */
const char *selector_exact(const Selector *s, const char *path);
