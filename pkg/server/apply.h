/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-side apply: what one manager wants merged into a live object, by ownership of fields.
 *
 * Ownership is kept in metadata.managedFields as FieldsV1 trees ("f:name" for members, "k:{...}"
 * for items of keyed lists, "v:..." for items of sets, "." for the thing itself) of managers that
 * apply. Lists follow their schema: keyed by x-kubernetes-list-map-keys, sets, or atomic. Fields
 * that a manager owned and no longer names go away unless another manager owns them. Pure.
 */
#pragma once

#include "api/schema.h"

#define APPLY_CONFLICTS_MAX 100

typedef struct ApplyConflict {
	char *manager, *path; /* ".spec.disks[name=\"root\"].size" */
} ApplyConflict;

typedef struct ApplyConflicts {
	ApplyConflict *items;
	size_t n, cap;
} ApplyConflicts;
void apply_conflicts_done(ApplyConflicts *c);

/* The set of fields of a value, as FieldsV1. New reference. */
json_t *fieldset_of(const Schema *schema, const json_t *value);
/* In place: takes from set what other has. True if nothing is left. */
bool fieldset_subtract(json_t *set, const json_t *other);
/* In place: adds to set what other has. */
void fieldset_union(json_t *set, const json_t *other);

typedef struct ApplyRequest {
	const Kind *kind;
	const json_t *live;    /* the stored object, with its managedFields */
	const json_t *applied; /* the client's, pruned */
	const char *manager, *subresource, *now;
	bool force;
} ApplyRequest;

/* The new object (the caller's), or NULL with the conflicts. */
json_t *apply_to(const ApplyRequest *request, ApplyConflicts *conflicts);
/* The first apply: the object with its one managedFields entry. New reference. */
json_t *apply_new(const Kind *kind, const json_t *applied, const char *manager, const char *now);
