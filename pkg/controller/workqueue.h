/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workqueue: which keys want a reconcile. Each key is in it at most once; no two workers ever have
 * the same key; a key added while a worker has it comes again when that worker is done. Delays: the
 * earliest wish wins. Failures back off per key, exponentially with jitter, up to a cap, until
 * forgotten. Order is first come, first served. Any thread.
 */
#pragma once

#include "api/key.h"
#include "base/clock.h"
#include "base/metrics.h"

typedef struct Workqueue Workqueue;

typedef struct WorkqueueStats {
	size_t ready, waiting, processing;
	uint64_t adds, gets, retries;
	usec_t unfinished, longest; /* how long keys are being worked on: all together, and one */
} WorkqueueStats;

Workqueue *workqueue_new(const char *name, Clock *clock, usec_t backoff_min, usec_t backoff_max);
Workqueue *workqueue_free(Workqueue *q); /* after shutdown, when no worker is inside */
DEFINE_CLEANUP(Workqueue *, workqueue_free)

void workqueue_add(Workqueue *q, const Key *key);
void workqueue_add_after(Workqueue *q, const Key *key, usec_t delay);
void workqueue_add_rate_limited(Workqueue *q, const Key *key); /* after the key's next backoff */
void workqueue_forget(Workqueue *q, const Key *key);           /* its backoff starts over */
unsigned workqueue_failures(Workqueue *q, const Key *key);
/* Blocks for a key; false = shut down. Hand it back with workqueue_done(). */
bool workqueue_get(Workqueue *q, Key *ret);
void workqueue_done(Workqueue *q, const Key *key);
void workqueue_shutdown(Workqueue *q); /* wakes every getter; later adds are ignored */
void workqueue_stats(Workqueue *q, WorkqueueStats *ret);
/* How long keys waited while they were ready, and how long they were worked on. Live as long as q.
 */
const Histogram *workqueue_waits(const Workqueue *q);
const Histogram *workqueue_works(const Workqueue *q);
