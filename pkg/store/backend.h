/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Port: a log of records with revisions. It knows keys, bytes and revisions, nothing of Kubernetes.
 *
 * Everything is one log: an append gives each Txn that passes its preconditions the next revision;
 * all records of a Txn share it. Only durable records are ever reported. One thread (the Store's
 * writer) appends and compacts; `load` runs before it starts. Implementations: memory.c, sqlite.c
 * (later etcd.c). One contract suite runs over each.
 */
#pragma once

#include "api/key.h"
#include "base/context.h"

typedef struct Record {
	Key key;
	int64_t rev, create_rev;
	bool deleted;     /* a tombstone; body is the last state */
	bool leaving;     /* append() only: what it is of is being deleted, so it goes first */
	const void *head; /* opaque bytes beside the body; may be NULL */
	size_t head_len;
	const char *body;
	size_t body_len;
} Record;

/* rev: -1 = must exist, 0 = must be absent (or a tombstone), > 0 = must be exactly there. */
typedef struct Precondition {
	Key key;
	int64_t rev;
} Precondition;

#define TXN_OPS_MAX 128 /* etcd's limit, kept everywhere */

typedef struct BackendTxn {
	Record *records; /* rev and create_rev are filled in by append() */
	size_t n_records;
	const Precondition *preconditions;
	size_t n_preconditions;
	/* Results, by append(): 0, -ERR_CONFLICT (failed_key says which), or the batch's common
	 * failure. */
	int rc;
	int64_t rev;
	size_t failed; /* index of the precondition that failed */
	Error err;     /* what a backend has to say beyond rc, if anything; the caller's to free */
} BackendTxn;

typedef int (*RecordFn)(void *arg, const Record *record); /* < 0 stops; bytes are borrowed */

typedef struct Backend Backend;

/*
 * After a failed append() the outcome of the batch is unknown and the backend is broken: every
 * function but load(), meta_get() and free() answers -ERR_UNAVAILABLE until load() has opened it
 * anew.
 */
typedef struct BackendOps {
	const char *name;
	/*
	 * Every live record in key order (fn NULL: none is read), then *ret_rev = the head revision
	 * and *ret_compacted.
	 */
	int (*load)(Backend *self, RecordFn fn, void *arg, int64_t *ret_rev, int64_t *ret_compacted,
		    Error *err);
	/*
	 * Group commit: all txns in one durable write. Each stands alone and is checked against the
	 * head including earlier ones of the batch. < 0: the whole batch's outcome is unknown (each
	 * rc = that). -ERR_EXHAUSTED is one such: no space. `prepare`, called once per txn that
	 * passed, after its revision is known and before bytes are written, may replace head/body
	 * (they contain the revision).
	 */
	int (*append)(Backend *self, BackendTxn *txns, size_t n,
		      void (*prepare)(void *arg, BackendTxn *txn), void *arg, Error *err);
	/*
	 * First, with rev <= from, the live state at `from` of each key that changed after it; then
	 * the log's records with rev > from, in revision order. -ERR_GONE if compacted past `from`.
	 */
	int (*replay)(Backend *self, int64_t from, RecordFn fn, void *arg, Error *err);
	/* Drops what only states before rev need; the state at rev stays. */
	int (*compact)(Backend *self, int64_t rev, Error *err);
	/* Head and compaction go to rev without a record: the next append gets rev + 1. Never back.
	 */
	int (*advance)(Backend *self, int64_t rev, Error *err);
	/*
	 * Small named values outside the log ("store-id"): get copies into *ret (caller frees;
	 * -ERR_NOT_FOUND).
	 */
	int (*meta_get)(Backend *self, const char *name, char **ret, Error *err);
	int (*meta_set)(Backend *self, const char *name, const char *value, Error *err);
	Backend *(*free)(Backend *self);
} BackendOps;

struct Backend {
	const BackendOps *ops;
	/* How it was found, set when it is opened. */
	bool fresh; /* nothing was there: it was made */
	bool torn;  /* its end was not whole: what was not acknowledged, or what was and is damaged
		     */
};

Backend *memory_backend_new(void);
/*
 * Opens or creates DIR/store.db (0600), locks DIR/store.lock (-ERR_CONFLICT naming the holder's
 * PID), migrates forward after a backup copy; a newer schema is -ERR_UNSUPPORTED and left
 * untouched, and so is a file that is not ours.
 */
int sqlite_backend_open(const char *dir, Backend **ret, Error *err);
/*
 * A decorator for tests: the n-th call (1-based, 0 = never) of any function but free fails with
 * `code`; for_ever: all later ones too. With `after` the call happens and its answer is lost.
 */
Backend *fault_backend_new(Backend *inner);
void fault_backend_set(Backend *b, unsigned n, bool for_ever, ErrorCode code);
void fault_backend_set_after(Backend *b, bool after);
/* Called before each call, by the thread that makes it: what comes to pass just then. NULL =
 * nothing.
 */
void fault_backend_set_visit(Backend *b, void (*visit)(void *arg), void *arg);
unsigned fault_backend_calls(const Backend *b); /* since the last fault_backend_set() */
