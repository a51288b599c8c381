/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault backend: a decorator that counts calls and fails the n-th, either before the inner backend
 * sees it or after it was done and only the answer is lost. See backend.h. A failed append leaves
 * it broken until load(), as the contract says, so that tests see what a real failure does. Any
 * thread may set it; calls come from the store.
 */
#include <stdatomic.h>

#include "base/memory.h"
#include "store/backend.h"

typedef struct FaultBackend {
	Backend backend;
	Backend *inner;
	atomic_uint calls, fail_at;
	atomic_bool for_ever, after, broken;
	_Atomic ErrorCode code;
	_Atomic(void (*)(void *arg)) visit;
	void *visit_arg;
} FaultBackend;

typedef enum Verdict { PASS, FAIL_BEFORE, FAIL_AFTER } Verdict;

static FaultBackend *fault_of(Backend *b)
{
	return CONTAINER_OF(b, FaultBackend, backend);
}

static Verdict fault_next(FaultBackend *f)
{
	unsigned n = atomic_fetch_add(&f->calls, 1) + 1, at = atomic_load(&f->fail_at);
	void (*visit)(void *arg) = atomic_load(&f->visit);

	if (visit)
		visit(f->visit_arg);
	if (at == 0 || n < at || (n > at && !atomic_load(&f->for_ever)))
		return PASS;
	return atomic_load(&f->after) ? FAIL_AFTER : FAIL_BEFORE;
}

static int fault_error(FaultBackend *f, const char *what, Error *err)
{
	return error_set(err, atomic_load(&f->code), "%s: injected fault", what);
}

static int check_broken(FaultBackend *f, Error *err)
{
	if (atomic_load(&f->broken))
		return error_set(err, ERR_UNAVAILABLE, "broken by a failed append");
	return 0;
}

/*
 * Runs `call` (of type int) under the fault, in a function that has `err`: it fails without being
 * made, or it is made and its answer lost.
 */
#define UNDER_FAULT(f, what, call) \
	({ \
		Verdict _v = fault_next(f); \
		int _rc = check_broken((f), err); \
		if (_rc == 0 && _v != FAIL_BEFORE) \
			_rc = (call); \
		if (_v != PASS && !atomic_load(&(f)->broken)) \
			_rc = fault_error((f), (what), err); \
		_rc; \
	})

static int fault_load(Backend *self, RecordFn fn, void *arg, int64_t *ret_rev,
		      int64_t *ret_compacted, Error *err)
{
	FaultBackend *f = fault_of(self);
	int rc;

	if (fault_next(f) != PASS)
		return fault_error(f, "load", err);
	rc = f->inner->ops->load(f->inner, fn, arg, ret_rev, ret_compacted, err);
	if (rc == 0)
		atomic_store(&f->broken, false);
	return rc;
}

static int fault_append(Backend *self, BackendTxn *txns, size_t n,
			void (*prepare)(void *arg, BackendTxn *txn), void *arg, Error *err)
{
	FaultBackend *f = fault_of(self);
	Verdict v = fault_next(f);
	int rc = check_broken(f, err);

	if (rc < 0)
		return rc;
	if (v == PASS)
		return f->inner->ops->append(f->inner, txns, n, prepare, arg, err);
	if (v == FAIL_AFTER)
		(void)f->inner->ops->append(f->inner, txns, n, prepare, arg, NULL);
	atomic_store(&f->broken, true);
	rc = fault_error(f, "append", err);
	for (size_t i = 0; i < n; i++)
		txns[i].rc = rc;
	return rc;
}

static int fault_replay(Backend *self, int64_t from, RecordFn fn, void *arg, Error *err)
{
	FaultBackend *f = fault_of(self);

	return UNDER_FAULT(f, "replay", f->inner->ops->replay(f->inner, from, fn, arg, err));
}

static int fault_compact(Backend *self, int64_t rev, Error *err)
{
	FaultBackend *f = fault_of(self);

	return UNDER_FAULT(f, "compact", f->inner->ops->compact(f->inner, rev, err));
}

static int fault_advance(Backend *self, int64_t rev, Error *err)
{
	FaultBackend *f = fault_of(self);

	return UNDER_FAULT(f, "advance", f->inner->ops->advance(f->inner, rev, err));
}

static int fault_meta_get(Backend *self, const char *name, char **ret, Error *err)
{
	FaultBackend *f = fault_of(self);

	if (fault_next(f) != PASS)
		return fault_error(f, "meta get", err);
	return f->inner->ops->meta_get(f->inner, name, ret, err);
}

static int fault_meta_set(Backend *self, const char *name, const char *value, Error *err)
{
	FaultBackend *f = fault_of(self);

	return UNDER_FAULT(f, "meta set", f->inner->ops->meta_set(f->inner, name, value, err));
}

static Backend *fault_free(Backend *self)
{
	FaultBackend *f = fault_of(self);

	f->inner->ops->free(f->inner);
	free(f);
	return NULL;
}

static const BackendOps fault_ops = {
	.name = "fault",
	.load = fault_load,
	.append = fault_append,
	.replay = fault_replay,
	.compact = fault_compact,
	.advance = fault_advance,
	.meta_get = fault_meta_get,
	.meta_set = fault_meta_set,
	.free = fault_free,
};

Backend *fault_backend_new(Backend *inner)
{
	FaultBackend *f = xnew0(FaultBackend, 1);

	f->backend.ops = &fault_ops;
	f->inner = inner;
	atomic_store(&f->code, ERR_UNAVAILABLE);
	return &f->backend;
}

void fault_backend_set(Backend *b, unsigned n, bool for_ever, ErrorCode code)
{
	FaultBackend *f = fault_of(b);

	atomic_store(&f->fail_at, 0);
	atomic_store(&f->calls, 0);
	atomic_store(&f->for_ever, for_ever);
	atomic_store(&f->code, code);
	atomic_store(&f->fail_at, n);
}

void fault_backend_set_after(Backend *b, bool after)
{
	atomic_store(&fault_of(b)->after, after);
}

void fault_backend_set_visit(Backend *b, void (*visit)(void *arg), void *arg)
{
	fault_of(b)->visit_arg = arg;
	atomic_store(&fault_of(b)->visit, visit);
}

unsigned fault_backend_calls(const Backend *b)
{
	return atomic_load(&fault_of((Backend *)b)->calls);
}
