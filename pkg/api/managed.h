/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Managed fields: who owns which fields of an object (metadata.managedFields), and server-side
 * apply, which is a merge by that ownership.
 *
 * Each entry is a manager with what it applied (Apply) or changed by other writes (Update), the
 * latter apart for each subresource and version. An update takes what it changes from all others;
 * an apply that would do so conflicts unless it is forced. What an applier no longer names goes
 * away unless somebody else owns it. What the server itself fills in belongs to nobody. All as
 * Kubernetes does it (k8s.io/apimachinery, util/managedfields). Pure; any thread.
 */
#pragma once

#include <jansson.h>

#include "api/kind.h"

#define MANAGED_UPDATERS_MAX  10  /* older ones become one entry, "ancient-changes" */
#define MANAGED_ENTRIES_MAX   200 /* what validation lets pass: appliers are never forgotten */
#define MANAGED_CONFLICTS_MAX 200 /* told one by one */
#define MANAGER_NAME_MAX      128 /* bytes */

/* Who writes. */
typedef struct FieldWriter {
	const Kind *kind;
	const char *manager;     /* "" = unknown */
	const char *subresource; /* NULL = the object itself */
	const char *now;         /* RFC 3339 */
} FieldWriter;

/*
 * For a create (live NULL) or a write that made `tree` of `live`: sets the tree's managedFields,
 * which makes it a lean one (object.h). An object without any is left so when it is updated. What
 * the tree itself says of managedFields replaces the live ones if it is valid; [] and [{}] forget
 * them all.
 */
void managed_update(const FieldWriter *w, const json_t *live, json_t *tree);

typedef struct FieldConflict {
	char *manager; /* as it is told: `"kubectl-edit" using shakenfist.io/v1alpha1` */
	char *path;    /* ".spec.disks[name=\"root\"].size" */
} FieldConflict;

typedef struct FieldConflicts {
	FieldConflict *items; /* by manager, then in the order of the fields */
	size_t n, cap;
	size_t total;
} FieldConflicts;
void field_conflicts_done(FieldConflicts *c);

/*
 * What an apply of `applied` makes of `live` (NULL = nothing is there yet), with its managedFields
 * as in a lean tree; without defaults. The caller's tree, or NULL with the conflicts.
 */
json_t *managed_apply(const FieldWriter *w, const json_t *live, const json_t *applied, bool force,
		      FieldConflicts *conflicts);

/* How many entries there are, of a lean tree too. */
size_t managed_count(const json_t *tree);

/* If the tree is the live object but for times in its managedFields, it gets the live ones: nothing
 * has happened. */
void managed_settle(const json_t *live, json_t *tree);
