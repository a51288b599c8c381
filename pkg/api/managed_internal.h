/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entries of metadata.managedFields, decoded: shared by what reads and writes them and what
 * decides by them. Private to pkg/api. Sets and strings live in the arena or in the tree that was
 * decoded.
 */
#pragma once

#include "api/managed.h"
#include "api/structured.h"
#include "base/clock.h"

#define ANNOTATION_LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"

typedef struct ManagedEntry {
	const char *manager, *api_version, *subresource, *time; /* subresource "" = none */
	bool apply;
	usec_t at; /* of time; 0 = none */
	const FieldSet *set;
	json_t *json; /* borrowed: as it was decoded; NULL = it has changed since */
} ManagedEntry;

typedef struct ManagedList {
	Arena *arena;
	ManagedEntry *items;
	size_t n, cap;
	json_t *source; /* what it was decoded from, if that was a text */
} ManagedList;

void managed_list_done(ManagedList *l);
/* From an array, or the string of a lean tree. -ERR_INVALID if anything in it is wrong. `keep`:
 * entries that do not change are written as they are. */
int managed_list_decode(ManagedList *l, const Schema *schema, const json_t *list, bool keep);
/* Without those that own nothing, in Kubernetes' order, as in a lean tree (object.h); NULL if there
 * are none. */
json_t *managed_list_encode(ManagedList *l);
/* The writer's own entry; NULL if there is none. */
ManagedEntry *managed_list_find(ManagedList *l, const FieldWriter *w, bool apply);
/* Adds one that owns nothing yet. Pointers to others become invalid. */
ManagedEntry *managed_list_add(ManagedList *l, const FieldWriter *w, bool apply);
void managed_entry_set(ManagedEntry *e, const FieldSet *set);
void managed_entry_touch(ManagedEntry *e, const char *now);
/* Merges the oldest entries of updaters while there are too many. */
void managed_list_cap(ManagedList *l);
