/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Port: a log of records with revisions. It knows keys, bytes and revisions, nothing of Kubernetes.
 *
 * Everything is one log: an append gives each Txn that passes its preconditions the next revision; all records of a
 * Txn share it. Only durable records are ever reported. One thread (the Store's writer) appends and compacts; `load`
 * runs before it starts. Implementations: memory.c, sqlite.c (later etcd.c). One contract suite runs over each.
 */
#pragma once

#include "api/key.h"
#include "base/context.h"

typedef struct Record {
	Key key;
	int64_t rev, create_rev;
	bool deleted;          /* a tombstone; body is the last state */
	const void *head;      /* opaque bytes beside the body; may be NULL */
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
	Record *records;       /* rev and create_rev are filled in by append() */
	size_t n_records;
	const Precondition *preconditions;
	size_t n_preconditions;
	/* Results, by append(): 0, -ERR_CONFLICT (failed_key says which), or the batch's common failure. */
	int rc;
	int64_t rev;
	size_t failed;         /* index of the precondition that failed */
} BackendTxn;

typedef int (*RecordFn)(void *arg, const Record *record); /* < 0 stops; bytes are borrowed */

typedef struct Backend Backend;

typedef struct BackendOps {
	const char *name;
	/* Every live record in key order, then *ret_rev = the head revision and *ret_compacted. */
	int (*load)(Backend *self, RecordFn fn, void *arg, int64_t *ret_rev, int64_t *ret_compacted, Error *err);
	/*
	 * Group commit: all txns in one durable write. Each stands alone and is checked against the head including
	 * earlier ones of the batch. < 0: the whole batch's outcome is unknown (each rc = that); the caller reloads.
	 * `prepare`, called once per txn that passed, after its revision is known and before bytes are written, may
	 * replace head/body (they contain the revision).
	 */
	int (*append)(Backend *self, BackendTxn *txns, size_t n, void (*prepare)(void *arg, BackendTxn *txn), void *arg,
		      Error *err);
	/* Calls fn for the log's records with rev > from, in revision order; -ERR_GONE if compacted past it. */
	int (*replay)(Backend *self, int64_t from, RecordFn fn, void *arg, Error *err);
	/* Drops superseded records and tombstones up to and including rev. */
	int (*compact)(Backend *self, int64_t rev, Error *err);
	/* Small named values outside the log ("store-id", "accepted"): get copies into *ret (caller frees; -ERR_NOT_FOUND). */
	int (*meta_get)(Backend *self, const char *name, char **ret, Error *err);
	int (*meta_set)(Backend *self, const char *name, const char *value, Error *err);
	Backend *(*free)(Backend *self);
} BackendOps;

struct Backend {
	const BackendOps *ops;
};

Backend *memory_backend_new(void);
/*
 * Opens or creates DIR/store.db, locks DIR/store.lock (-ERR_CONFLICT naming the holder's PID), migrates forward after a backup
 * copy; a newer schema is -ERR_UNSUPPORTED and left untouched.
 */
int sqlite_backend_open(const char *dir, Backend **ret, Error *err);
/* A decorator for tests: the n-th call (1-based, 0 = never) of any function fails with `code`; for_ever: all later ones too. */
Backend *fault_backend_new(Backend *inner);
void fault_backend_set(Backend *b, unsigned n, bool for_ever, ErrorCode code);
unsigned fault_backend_calls(const Backend *b);
