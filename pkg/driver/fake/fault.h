/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault: one counter shared by any number of wrapped ports, that makes the n-th call of them all
 * fail, or that and all later ones. A sweep runs a scenario once to learn how many calls it makes,
 * then once for every n.
 *
 * FAULT_BEFORE is a call that never happened; FAULT_AFTER is one that happened and whose answer was
 * lost, which is the harder half. Besides, lists can lie and events go astray, and a test may do
 * something of its own just before a call. Any thread; belongs to the test, which sets it while
 * nothing moves.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/error.h"

typedef enum FaultMode {
	FAULT_BEFORE,
	FAULT_AFTER,
} FaultMode;

/* What a list of what is there leaves out. */
typedef enum FaultLists {
	LISTS_WHOLE,
	LISTS_EMPTY,
	LISTS_HALF, /* the first half */
	LISTS_FAIL,
} FaultLists;

typedef enum FaultEvents {
	EVENTS_PASS,
	EVENTS_LOST,
	EVENTS_DOUBLED,
	EVENTS_LATE, /* each comes after the next one; the last one never */
} FaultEvents;

typedef struct Fault {
	atomic_uint calls; /* so far */
	unsigned fail_at;  /* 1 = the first call; 0 = none */
	bool for_ever;     /* all calls from there on */
	FaultMode mode;
	FaultLists lists;
	FaultEvents events;
	ErrorCode code; /* ERR_NONE stands for ERR_UNAVAILABLE */
	/* Called in the caller's thread before each call ("define", "network ensure"): what comes
	 * to pass just then. */
	_Atomic(void (*)(void *arg, const char *call)) visit;
	void *visit_arg;
} Fault;

static inline void fault_visit(Fault *f, const char *call)
{
	void (*visit)(void *arg, const char *call) = atomic_load(&f->visit);

	if (visit)
		visit(f->visit_arg, call);
}

/* Counts a call; true if it is one that fails. Each wrapper calls it once per port call. */
static inline bool fault_next(Fault *f)
{
	unsigned n = atomic_fetch_add(&f->calls, 1) + 1;

	return n == f->fail_at || (f->for_ever && f->fail_at && n > f->fail_at);
}

/* Of n entries that are there, how many a list has. */
static inline size_t fault_listed(const Fault *f, size_t n)
{
	return f->lists == LISTS_EMPTY ? 0 : f->lists == LISTS_HALF ? n / 2 : n;
}

/*
 * Events on their way to a subscriber. It is told and changed under `lock`: once it has been taken
 * away, nobody is in it any more, and it may be freed, which is more than the ports promise. So
 * this lock is above all that a subscriber takes (pkg/README.md).
 */
typedef struct FaultEvent {
	pthread_mutex_t lock;
	char kept[256]; /* EVENTS_LATE: the one before; "" = none */
} FaultEvent;

/* Writes what the subscriber is to hear, and how often: 0, 1 or 2 times. The lock is held. */
static inline unsigned fault_event(const Fault *f, FaultEvent *e, const char **text)
{
	static __thread char late[256];

	if (f->events == EVENTS_LOST)
		return 0;
	if (f->events != EVENTS_LATE || !*text)
		return f->events == EVENTS_DOUBLED ? 2 : 1;
	snprintf(late, sizeof(late), "%s", e->kept);
	snprintf(e->kept, sizeof(e->kept), "%s", *text);
	*text = late;
	return *late ? 1 : 0;
}

static inline int fault_error(const Fault *f, const char *what, Error *err)
{
	return error_set(err, f->code ? f->code : ERR_UNAVAILABLE, "%s: injected fault", what);
}

/*
 * Runs `call` (an expression of type int) under the fault, inside a function that returns int and
 * has `err`. A fault after a success reports the failure and leaves what was done.
 */
#define FAULT_CALL(fault, what, call) \
	({ \
		Fault *_f = (fault); \
		bool _hit = fault_next(_f); \
		int _rc; \
		fault_visit(_f, (what)); \
		if (_hit && _f->mode == FAULT_BEFORE) \
			return fault_error(_f, (what), err); \
		_rc = (call); \
		if (_hit && _rc >= 0) \
			return fault_error(_f, (what), err); \
		_rc; \
	})
