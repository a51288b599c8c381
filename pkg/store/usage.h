/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Usage: what the objects of a namespace take together, and whether a Txn keeps within its
 * ResourceQuotas.
 *
 * It is made from the heads of the objects in memory when a namespace has a quota and somebody
 * asks, and then follows each Txn that is let through: nothing is added up again for a create. It
 * is never stored, so it cannot drift from what is. The writer lets Txns through one by one, so of
 * two that would take the last unit one is refused. Private to pkg/store; the Store's lock is held.
 */
#pragma once

#include "store/store.h"

typedef struct Usage Usage;
struct Job;

/*
 * Counts what the job changes. -ERR_FORBIDDEN in Kubernetes' words if that is more than a quota of
 * its namespaces allows and more than before; then nothing is counted.
 */
int usage_admit(Store *s, struct Job *job);
/* Takes back what usage_admit() has counted: the job is not going to happen. */
void usage_revert(Store *s, struct Job *job);
/* That object has changed in the image: what refers to it may weigh something else. */
void usage_reweigh(Store *s, const Key *key);
/* Something was counted that may not have happened: make them again when they are asked for. */
void usage_forget(Store *s);
