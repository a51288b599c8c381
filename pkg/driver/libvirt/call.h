/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that may never come back, made on helper threads that can be left behind. Knows nothing of
 * libvirt. Any thread.
 *
 * A Call owns all its input and output, because whoever made it may leave before it ends: it is
 * counted by reference, the caller holds one and the helper thread another. At most one call per
 * slot (a domain) runs; an abandoned one keeps its slot until it ends.
 */
#pragma once

#include "base/context.h"

/* The most calls that hang at any time; beyond that none are made. */
#define CALLS_ABANDONED_MAX 10
/* No call is waited for longer than this, whatever its context says. */
#define CALL_TIMEOUT_MAX (60 * USEC_PER_SEC)

typedef struct Calls Calls;
typedef struct Call Call;

/* First member of the user's own type. */
struct Call {
	/* On a helper thread; 0 or a negative code with *err set. */
	int (*run)(Call *c, Error *err);
	/* Frees the user's type when the last reference goes. */
	void (*release)(Call *c);
	/* Under no lock. abandoned: nobody waits any more. returned: an abandoned one came back. */
	void (*abandoned)(Call *c);
	void (*returned)(Call *c);
	char *slot; /* owned; NULL = shares none */

	/* Private to call.c. */
	unsigned refs;
	bool done, left;
	int rc;
	Error error;
	usec_t started;
	Call *next;
};

Calls *calls_new(Clock *clock);
/*
 * Runs c and waits for it. -ERR_TIMEOUT or -ERR_CANCELED when the context ends first (the call goes
 * on), -ERR_UNAVAILABLE when an earlier call of that slot, or too many in all, still hang; else its
 * own result. The caller keeps its reference; what the call brought may be read only on success.
 */
int calls_run(Calls *calls, Context *ctx, Call *c, Error *err);
/* Runs c some time, nobody waits for it; takes the caller's reference. */
void calls_post(Calls *calls, Call *c);
unsigned calls_abandoned(Calls *calls);
/* Waits `patience` for what runs, then lets go: helpers that still hang free the rest at their end.
 */
Calls *calls_free(Calls *calls, usec_t patience);

/* refs of a new Call is 1. */
void call_unref(Calls *calls, Call *c);
