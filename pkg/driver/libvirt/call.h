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

/*
 * Kinds of calls, by whom they wait for. Each kind has its own limit of calls that hang, so that
 * QEMUs that do not answer never keep anybody from looking, or from starting another guest; all
 * limits together stay below what libvirtd serves at a time (20). A caller waits for a QEMU only
 * as long as one that is well needs: what takes longer goes on by itself, and its end is told.
 */
typedef enum CallKind {
	CALL_LOOK, /* libvirtd itself answers */
	CALL_MAKE, /* define, start: takes as long as it takes */
	CALL_ASK,  /* a running QEMU has to answer */
	CALL_OFF,  /* force off: libvirtd gives a QEMU that is stuck 10 s */
	_CALL_KIND_MAX,
} CallKind;

/* The most calls of a kind that hang at any time; beyond that none of that kind are made. */
#define CALLS_LOOK_MAX 4
#define CALLS_MAKE_MAX 4
#define CALLS_ASK_MAX  8
#define CALLS_OFF_MAX  4
/* No call is waited for longer than this, whatever its context says. */
#define CALL_TIMEOUT_MAX (60 * USEC_PER_SEC)
/* And none that waits for a QEMU longer than this; the second while others hang already. */
#define CALL_PATIENCE         USEC_PER_SEC
#define CALL_PATIENCE_CROWDED (USEC_PER_SEC / 2)

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
	CallKind kind;
	const char *what; /* the verb, for messages; static */
	bool crowded;     /* set before returned(): while it hung its kind was at its limit */

	/* Private to call.c. */
	unsigned refs;
	bool done, left;
	int rc;
	Error error;
	usec_t started; /* wall clock */
	Call *next;
};

Calls *calls_new(Clock *clock);
/*
 * Runs c and waits for it. -ERR_TIMEOUT or -ERR_CANCELED when the context ends first, and
 * -ERR_UNAVAILABLE when it takes longer than its kind may (the call goes on), or when an earlier
 * call of that slot, or too many of that kind, still hang (of CALL_OFF, which come to their turn,
 * that is -ERR_EXHAUSTED); else its own result. Why a call failed that went on alone is told with
 * the next one of its slot that hangs. The caller keeps its reference; what the call brought may be
 * read only on success.
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
