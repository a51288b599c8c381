/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Controller: a kind's reconcile function, what wakes it, and how many workers run it. Manager: all
 * of them over one Store. A Trigger is one row of a constant table: when an object of that kind
 * changes and `when` says so, `map` adds keys. Only keys travel; a reconcile reads everything
 * afresh.
 *
 * The worker loop owns what surrounds a reconcile, once for all: log fields, timing, deadline, what
 * happens next (requeue, back off, forget), one log line per failure. Reconcilers only return.
 */
#pragma once

#include "base/context.h"
#include "controller/recorder.h"
#include "controller/workqueue.h"
#include "store/store.h"

typedef struct Result {
	usec_t requeue_after; /* 0 = when something changes */
} Result;

typedef struct Trigger {
	const GroupResource *(*gr)(
		void); /* of the kind that is watched; what returns NULL: every kind */
	bool (*when)(const WatchEvent *event);
	void (*map)(const WatchEvent *event, Workqueue *q, void *self);
} Trigger;

typedef struct ControllerSpec {
	const char *name;        /* "instance" */
	const GroupResource *gr; /* its own kind: every object is enqueued at start and when spec or
				    deletion changes */
	unsigned workers;
	usec_t resync;   /* each key again after this long, spread by jitter; 0 = never */
	usec_t deadline; /* of one reconcile call; the watchdog allows it this long. 0 = 5 minutes
			  */
	usec_t backoff_min, backoff_max; /* 0 = 200 ms, 5 min */
	const Trigger *triggers;         /* ends with { NULL } */
	/*
	 * The object may be gone: look. < 0 is retried with backoff, also a terminal code (slowly);
	 * the error is logged once.
	 */
	int (*reconcile)(void *self, Context *ctx, const Key *key, Result *ret, Error *err);
} ControllerSpec;

/* Common predicates and maps. */
bool when_any(const WatchEvent *e);
bool when_spec_changed(const WatchEvent *e); /* added, deleted, generation, deletion, finalizers,
						labels or annotations */
bool when_status_changed(const WatchEvent *e);
void map_self(const WatchEvent *e, Workqueue *q, void *self);

typedef struct Manager Manager;

Manager *manager_new(Store *store, Clock *clock);
Manager *manager_free(Manager *m);
DEFINE_CLEANUP(Manager *, manager_free)
/* Failures of reconciles become Warning events too. Before start; borrowed until stopped. */
void manager_set_recorder(Manager *m, Recorder *recorder);
void manager_add(Manager *m, const ControllerSpec *spec, void *self); /* before start */
/* Enqueues every key of every kind, watches from that revision, starts the workers. */
int manager_start(Manager *m, Error *err);
/* From a driver's event: the same door as a user's change. Any thread. Ignored if no controller
 * owns that kind. */
void manager_enqueue(Manager *m, const Key *key);
void manager_enqueue_after(Manager *m, const Key *key, usec_t delay);
/* Every key of that kind (NULL: of all). */
void manager_resync(Manager *m, const GroupResource *gr);
/* Cancels contexts, waits up to grace for workers; -ERR_TIMEOUT if some still run. */
int manager_stop(Manager *m, usec_t grace, Error *err);
/* True while every worker is idle or within its deadline: the watchdog asks this. */
bool manager_is_healthy(Manager *m, char *why, size_t size);
/* Until every queue is empty and idle, delayed keys not counted (tests); -ERR_TIMEOUT. */
int manager_wait_idle(Manager *m, usec_t timeout, Error *err);
/* For /metrics: calls fn per controller. */
typedef enum ReconcileResult {
	RECONCILE_SUCCESS,
	RECONCILE_REQUEUE_AFTER, /* asked for another look at a time */
	RECONCILE_REQUEUE,       /* lost a race, again at once */
	RECONCILE_ERROR,
	_RECONCILE_MAX,
} ReconcileResult;
typedef struct ControllerStats {
	const char *name;
	WorkqueueStats queue;
	uint64_t results[_RECONCILE_MAX];
	uint64_t terminal; /* errors that trying again will not mend */
	unsigned workers, active;
	/* Live as long as the manager. */
	const Histogram *waits, *works, *durations;
} ControllerStats;
void manager_stats(Manager *m, void (*fn)(void *arg, const ControllerStats *s), void *arg);
