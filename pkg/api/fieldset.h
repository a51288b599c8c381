/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FieldSet: a set of fields of an object, as a tree of the steps that lead to them, and its
 * algebra.
 *
 * A step is the text that Kubernetes' FieldsV1 form has for it: "f:name" for a member of a map,
 * "k:{"name":"root"}" for an item of a keyed list, "v:"x"" for an item of a set. A node is a member
 * of the set itself, or leads to members below it, or both. No set has a node that is neither; the
 * empty set is NULL. Sets are immutable and share their parts: all of one piece of work live in one
 * Arena. The rules are those of Kubernetes' structured-merge-diff. Pure; one thread.
 */
#pragma once

#include <jansson.h>

#include "api/kind.h"
#include "base/arena.h"
#include "base/strbuf.h"

typedef struct FieldSet FieldSet;
struct FieldSet {
	const char *step; /* "" at the root */
	bool member;
	uint32_t n;
	const FieldSet *const *children; /* sorted by step */
};

/* ---- making ---- */

/* Collects the children of a node to be. */
typedef struct FieldBuilder {
	Arena *arena;
	const FieldSet **items;
	size_t n, cap;
	bool unsorted;
} FieldBuilder;

void field_builder_add(FieldBuilder *b, const FieldSet *child); /* NULL is nothing */
/* The node; NULL if it would be empty. `step` is borrowed for as long as the set lives. */
const FieldSet *field_builder_end(FieldBuilder *b, const char *step, bool member);

/*
 * From FieldsV1. -ERR_INVALID if it is none. Steps of a kind that nobody knows are left out, keys
 * are put in order. What a schema now calls atomic is owned as a whole by whoever owned parts of
 * it.
 */
int fieldset_from_json(Arena *a, const Schema *schema, const json_t *fields, const FieldSet **ret);
/* FieldsV1, as json_canonical() would write it; false if a step of it is no UTF-8. */
bool fieldset_add_text(StrBuf *b, const FieldSet *s);

/* ---- algebra ---- */

const FieldSet *fieldset_union(Arena *a, const FieldSet *x, const FieldSet *y);
const FieldSet *fieldset_intersection(Arena *a, const FieldSet *x, const FieldSet *y);
/* Members of x that are no members of y. Whether y has what is above or below does not matter. */
const FieldSet *fieldset_difference(Arena *a, const FieldSet *x, const FieldSet *y);
bool fieldset_contains(const FieldSet *x, const FieldSet *y); /* every member of y is one of x */
const FieldSet *fieldset_child(const FieldSet *s, const char *step); /* NULL if absent */

/*
 * Calls fn for each member with its path as Kubernetes writes it (".spec.disks[name="root"].size"),
 * those of one level before those below.
 */
typedef void (*FieldPathFn)(void *arg, const char *path);
void fieldset_each(const FieldSet *s, FieldPathFn fn, void *arg);

/* ---- steps ---- */

const char *step_of_member(Arena *a, const char *name);
/* Of an item of a list of that schema: NULL if the item lacks what the list's type needs. */
const char *step_of_item(Arena *a, const Schema *list, const json_t *item);
