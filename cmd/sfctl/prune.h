/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prune: of the members of an ApplySet those that the manifests no longer name, with what stands
 * between a slip of the pen and a deleted guest. Shared by apply and diff. One thread.
 *
 *	- without a document nothing is pruned (the caller sees to that);
 *	- not more than a share of the set, unless it is only two objects;
 *	- what holds data (instances with their disks, namespaces, definitions with their objects) only
 *	  with --prune-data or the annotation shakenfist.io/prune=allow;
 *	- never what has the annotation shakenfist.io/prune=disabled;
 *	- not a network that an instance is on which stays.
 */
#pragma once

#include "applyset.h"
#include "waiter.h"

#define PRUNE_ALWAYS_ALLOWED 2 /* so many may go, whatever share of the set they are */

typedef struct PruneOptions {
	bool data;
	int64_t max_percent;
} PruneOptions;

/* Decides every member's fate. -ERR_EXHAUSTED if more would go than the cap allows. */
int prune_plan(ApplySet *s, const PruneOptions *o, Error *err);
/* "kept (data: needs --prune-data)"; NULL for what is applied or pruned. Caller frees. */
char *prune_kept_because(const Member *member);
/* True for a fate that leaves something undone that the manifests ask for. */
bool prune_was_held_back(const ApplySet *s);
/* Members in the order in which they go: users before what they use. */
void prune_sort(ApplySet *s);
/*
 * Deletes what is FATE_PRUNED, in that order; prints one line each. With wait, until they are gone.
 * The exit code.
 */
int prune_run(ApplySet *s, bool wait, usec_t deadline);
