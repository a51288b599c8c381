/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retry on conflict: what is read, changed and written back only if nobody else has written
 * meanwhile is done again from the start where somebody has. Any thread; blocks as the attempts do.
 */
#pragma once

#include "base/error.h"

/* How often something is tried before we give up: status moves, too, but not that often between a
 * look and a write. */
#define RETRY_ATTEMPTS 20

/* What an attempt returns when somebody else was faster; *err says how. */
#define RETRY_CONFLICT 1

/*
 * Calls attempt(arg) until it returns anything but RETRY_CONFLICT, and returns that: 0, or an error
 * (also a conflict of another kind, which is there to stay). -ERR_CONFLICT after RETRY_ATTEMPTS,
 * with what the last one said. Each attempt looks afresh, and finds *err empty.
 */
int retry_on_conflict(int (*attempt)(void *arg, Error *err), void *arg, Error *err);

/* The result of a write whose every -ERR_CONFLICT is a lost race, as that of an attempt. */
static inline int retry_if_conflict(int rc)
{
	return rc == -ERR_CONFLICT ? RETRY_CONFLICT : rc;
}
