/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault: one counter shared by any number of wrapped ports, that makes the n-th call of them all
 * fail. A sweep runs a scenario once to learn how many calls it makes, then once for every n.
 *
 * FAULT_BEFORE is a call that never happened; FAULT_AFTER is one that happened and whose answer was
 * lost, which is the harder half. Any thread; belongs to the test.
 */
#pragma once

#include <stdatomic.h>

#include "base/error.h"

typedef enum FaultMode {
	FAULT_BEFORE,
	FAULT_AFTER,
} FaultMode;

typedef struct Fault {
	atomic_uint calls; /* so far */
	unsigned fail_at;  /* 1 = the first call; 0 = none */
	FaultMode mode;
	ErrorCode code; /* ERR_NONE stands for ERR_UNAVAILABLE */
} Fault;

/* Counts a call; true if it is the one that fails. Each wrapper calls it once per port call. */
static inline bool fault_next(Fault *f)
{
	return atomic_fetch_add(&f->calls, 1) + 1 == f->fail_at;
}

static inline int fault_error(const Fault *f, const char *what, Error *err)
{
	return error_set(err, f->code ? f->code : ERR_UNAVAILABLE, "%s: fault at call %u", what,
			 f->fail_at);
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
		if (_hit && _f->mode == FAULT_BEFORE) \
			return fault_error(_f, (what), err); \
		_rc = (call); \
		if (_hit && _rc >= 0) \
			return fault_error(_f, (what), err); \
		_rc; \
	})
