/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Context: how long a call may take and whether anybody still wants it. Made on the caller's stack,
 * passed down, never stored beyond the call. Every port function takes one and returns -ERR_TIMEOUT
 * / -ERR_CANCELED by it.
 */
#pragma once

#include <stdatomic.h>

#include "base/clock.h"
#include "base/error.h"

typedef struct Context {
	Clock *clock;
	usec_t deadline;       /* monotonic; USEC_INFINITY = none */
	atomic_bool *canceled; /* NULL = never */
} Context;

/* A context on the system clock without a deadline, for tools and tests. */
#define CONTEXT_BACKGROUND \
	(Context) \
	{ \
		.clock = clock_system(), .deadline = USEC_INFINITY \
	}

static inline Context context_with_timeout(const Context *parent, usec_t timeout)
{
	Context c = *parent;
	usec_t deadline = clock_now(parent->clock) + timeout;

	c.deadline = MIN(parent->deadline, deadline);
	return c;
}

static inline bool context_is_canceled(const Context *c)
{
	return c->canceled && atomic_load(c->canceled);
}

/* 0 = go on; else the code, with *err set. */
static inline int context_check(const Context *c, Error *err)
{
	if (context_is_canceled(c))
		return error_set(err, ERR_CANCELED, "canceled");
	if (c->deadline != USEC_INFINITY && clock_now(c->clock) >= c->deadline)
		return error_set(err, ERR_TIMEOUT, "deadline exceeded");
	return 0;
}

/* Microseconds left, 0 when passed, USEC_INFINITY without a deadline. */
static inline usec_t context_remaining(const Context *c)
{
	usec_t now;

	if (c->deadline == USEC_INFINITY)
		return USEC_INFINITY;
	now = clock_now(c->clock);
	return c->deadline > now ? c->deadline - now : 0;
}
