/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structured values: which fields a value has, in what two values differ, and how one is merged
 * into or cut out of another, by the list and map types of their schema.
 *
 * Maps are walked member by member unless x-kubernetes-map-type is atomic; lists only if they are
 * sets or keyed (x-kubernetes-list-type). A list whose items lack their key, or share one, is one
 * value, and validation refuses it. So is what lies deeper than STRUCTURED_DEPTH. The rules are
 * those of Kubernetes' structured-merge-diff. A schema of NULL knows nothing: maps are walked,
 * lists are values. Pure; the sets live in the caller's Arena.
 */
#pragma once

#include "api/fieldset.h"

#define STRUCTURED_DEPTH 48

/* Which members of the root ("", "status") and of its members ("metadata", "name") are passed over.
 */
typedef bool (*StructuredSkipFn)(void *arg, const char *parent, const char *name);

/* The fields that a value names: what somebody owns who applies it. skip may be NULL. */
const FieldSet *structured_fields(Arena *a, const Schema *s, const json_t *v, StructuredSkipFn skip,
				  void *arg);

typedef struct Difference {
	const FieldSet *removed, *modified, *added;
} Difference;

/* What makes `after` of `before`; skip may be NULL. */
Difference structured_compare(Arena *a, const Schema *s, const json_t *before, const json_t *after,
			      StructuredSkipFn skip, void *arg);

/* Everything of both; where they differ, what `applied` says. A new tree that shares nothing. */
json_t *structured_merge(Arena *a, const Schema *s, const json_t *live, const json_t *applied);

/* Takes the members of the set out of the tree, in place. */
void structured_remove(Arena *a, const Schema *s, json_t *tree, const FieldSet *fields);

/* The set, with every member of a map above a field in it that the schema names. */
const FieldSet *structured_with_named(Arena *a, const Schema *s, const FieldSet *fields);
