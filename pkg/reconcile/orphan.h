/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Orphans: what carries our mark but has no object. Collected (orphan.c) if it is nobody's data,
 * else told and left to people (unmanaged.c). On the node's worker.
 */
#pragma once

#include "reconcile/internal.h"

/* One look around: removes networks, gives back what was allocated, stops fetches, evicts images
 * that nothing needs, and forgets what was remembered. One that cannot go is told and holds up no
 * other. */
void orphans_sweep(Reconcilers *r, Context *ctx);
/*
 * Writes status.unmanaged and its condition, carries out a request to collect, and says so in
 * status.collectRequest. When to look again for that request's sake; 0 = it waits for nothing.
 */
usec_t unmanaged_observe(Reconcilers *r, Context *ctx, const Object *node, const json_t *tree,
			 json_t *status);

/* uids of every stored object of a kind; NULL on failure. */
Hashmap *stored_uids(Reconcilers *r, const GroupResource *gr, Error *err);
