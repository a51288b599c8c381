/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Store: the objects' meaning above a Backend: uid, generation, finalizers, status apart from spec,
 * watch.
 *
 * Reads come from memory and never block on the disk. Writes are Txns: all or nothing, one
 * revision, checked against the head by the one writer thread, which commits all that wait
 * together, then swaps memory, calls the watchers in revision order and answers. What a watcher
 * sees is durable. Any thread may call everything here, except that a watch function runs on the
 * writer thread and may only enqueue, copy or post; it must not call store_commit().
 *
 * A failed commit is unknown, not "not done": the txn gets -ERR_UNAVAILABLE, the backend is opened
 * and read again, and watchers see whatever turns out to have happened.
 */
#pragma once

#include "api/kind.h"
#include "api/object.h"
#include "base/context.h"
#include "base/metrics.h"
#include "store/backend.h"

typedef struct Store Store;

typedef struct StoreOptions {
	Clock *clock; /* NULL = the system's */
	KindRegistry
		*kinds;  /* kinds of stored CRDs are registered at open and as they come and go */
	int64_t history; /* revisions kept for watches; 0 = 10000 */
	usec_t history_age;     /* 0 = an hour */
	int64_t known_revision; /* highest revision ever seen outside the database; a lower head is
				   a restored store */
	const char *revision_file; /* where that is kept up to date; NULL = nowhere */
} StoreOptions;

/* Takes the backend over, also on failure. */
int store_open(Backend *backend, const StoreOptions *options, Store **ret, Error *err);
Store *store_free(Store *s); /* stops the writer; all watches must be closed */
DEFINE_CLEANUP(Store *, store_free)

/* UUID of this store: part of every ownership mark. */
const char *store_id(const Store *s);
int64_t store_revision(Store *s);
KindRegistry *store_kinds(const Store *s); /* that of the options; may be NULL */
/* True when the database is older than what was once acknowledged: collect nothing until accepted.
 */
bool store_is_restored(const Store *s);
int store_accept(Store *s, Error *err);
/* False while the backend is being opened again after a failed commit: writes are refused. */
bool store_is_available(Store *s);

/*
 * Stores a description of each kind of ours as a CustomResourceDefinition, so that clients find
 * them where they look for kinds; only what differs is written. They are read only: nothing follows
 * from them.
 */
int store_publish_kinds(Store *s, Error *err);

/* ---- reading ---- */

int store_get(Store *s, const Key *key, Object **ret, Error *err); /* -ERR_NOT_FOUND */
bool store_exists(Store *s, const Key *key);

typedef struct ListOptions {
	const GroupResource *gr;
	const char *namespace;                     /* NULL or "" = all */
	bool (*match)(void *arg, const Object *o); /* NULL = all; no lock is held */
	void *match_arg;
	size_t limit;     /* 0 = no limit */
	int64_t revision; /* the state at that one; 0 = now. A token has its own */
	const char *continue_token;
} ListOptions;

/* -ERR_GONE if the revision, or the token's, is no longer kept; -ERR_INVALID for a token that was
 * not given for this list. */
int store_list(Store *s, const ListOptions *options, ObjectList **ret, Error *err);
/*
 * For a token that is too old: one that goes on at the same place in the state of now, so that the
 * whole is no state that ever was. Caller frees.
 */
int store_token_renew(const ListOptions *list, char **ret, Error *err);
/* Objects whose ownerReferences name this uid, of every kind. */
int store_list_owned(Store *s, const char *uid, ObjectList **ret, Error *err);
size_t store_count(Store *s, const GroupResource *gr, const char *namespace);
/* All namespaced objects of a namespace, of every kind but Event. */
int store_list_namespace(Store *s, const char *namespace, ObjectList **ret, Error *err);
/*
 * How much of each resource that this ResourceQuota bounds is taken in its namespace: exact, as of
 * now. A new object of amounts. -ERR_NOT_FOUND if it is gone.
 */
int store_quota_used(Store *s, const Object *quota, json_t **ret, Error *err);

/* Internal records (GR_ALLOC, ...): body is any JSON; name order. */
int store_record_get(Store *s, const Key *key, json_t **ret, int64_t *ret_rev, Error *err);
typedef int (*RecordJsonFn)(void *arg, const Key *key, const json_t *body, int64_t rev);
int store_record_list(Store *s, const GroupResource *gr, const char *name_prefix, RecordJsonFn fn,
		      void *arg, Error *err);

/* ---- writing ---- */

typedef struct Txn Txn;
/*
 * Operations of one Txn on one object build on each other (update_status and finalize of the same
 * base: one record is written). A create and another operation on the same key do not mix.
 */
Txn *txn_new(void);
Txn *txn_free(Txn *t);
DEFINE_CLEANUP(Txn *, txn_free)
bool txn_is_empty(const Txn *t);

/*
 * Creates. The tree (not consumed) has apiVersion, kind, metadata; the store gives uid,
 * creationTimestamp, generation 1 and resourceVersion, and drops `status` if the kind has that
 * subresource, unless with_status. In a namespaced kind the namespace must exist and be Active
 * (-ERR_NOT_FOUND / -ERR_FORBIDDEN). -ERR_EXISTS if the key is taken.
 * -ERR_FORBIDDEN too, here and for an update, if more would be taken than a ResourceQuota allows.
 */
void txn_create(Txn *t, const Key *key, const json_t *tree, bool with_status);
/*
 * Replaces spec and metadata of `base`, which must still be the head (-ERR_CONFLICT). System
 * metadata is kept from base; generation goes up if anything but metadata and status changed; with
 * a deletionTimestamp and no finalizers left the object is removed. Nothing changed = no revision,
 * no event.
 */
void txn_update(Txn *t, const Object *base, const json_t *tree);
/* The same with a tree that is the Txn's from now on, which saves a copy. */
void txn_create_take(Txn *t, const Key *key, json_t *tree, bool with_status);
void txn_update_take(Txn *t, const Object *base, json_t *tree);
/* Replaces only status (the whole member); other members of tree are ignored. */
void txn_update_status(Txn *t, const Object *base, const json_t *status);
/* Replaces status and metadata.managedFields by those of the tree, which it takes over. */
void txn_update_status_take(Txn *t, const Object *base, json_t *tree);
/*
 * Who changes what the operations added from now on change: metadata.managedFields then says so.
 * NULL (at first) leaves managedFields as the trees have them.
 */
void txn_set_manager(Txn *t, const char *manager);
/*
 * Deletes: with finalizers it sets deletionTimestamp (and generation), else removes. uid and rev,
 * if given, must match
 * (-ERR_CONFLICT). Deleting again is nothing.
 */
typedef struct DeleteOptions {
	const char *uid;              /* NULL = any */
	int64_t revision;             /* 0 = any */
	int64_t grace_period_seconds; /* -1 = none given: deletionGracePeriodSeconds stays away */
	const char *propagation;      /* "Background", "Foreground", "Orphan" or NULL */
} DeleteOptions;
void txn_delete(Txn *t, const Object *base, const DeleteOptions *options);
/* Removes one finalizer from base (and the object, if it was the last and it is being deleted). */
void txn_finalize(Txn *t, const Object *base, const char *finalizer);
/*
 * A Namespace's spec.finalizers count as finalizers and no update changes them: this empties them,
 * and so removes a Namespace that is being deleted. For its controller, once nothing is left in it.
 */
void txn_namespace_finalize(Txn *t, const Object *base);

/* Internal records: expected_rev as in Precondition; -2 = no condition. */
void txn_record_put(Txn *t, const Key *key, const json_t *body, int64_t expected_rev);
void txn_record_delete(Txn *t, const Key *key, int64_t expected_rev);
/* Bare preconditions. */
void txn_require(Txn *t, const Key *key, int64_t rev);
void txn_require_namespace_active(Txn *t, const char *namespace);
/* That object, whatever its revision is then, must be there and not be deleted (-ERR_CONFLICT). */
void txn_require_active(Txn *t, const Object *o);

typedef struct TxnResult {
	int64_t revision; /* of this txn; the head's when nothing changed */
	bool changed;
	Object **objects; /* one per object operation, in order: the new state (its last one when
			     removed) */
	size_t n_objects;
	bool removed; /* the last delete/finalize/update removed its object for good */
} TxnResult;
void txn_result_done(TxnResult *r);

/* Blocks until durable. ret may be NULL. The error text names the key that was in the way. */
int store_commit(Store *s, Context *ctx, Txn *t, TxnResult *ret, Error *err);
/* Takes t over; done() is called on the writer thread (result and err are borrowed) and must not
 * block. */
typedef void (*CommitFn)(void *arg, int rc, const TxnResult *result, const Error *err);
void store_commit_async(Store *s, Txn *t, CommitFn done, void *arg);
/* The same checks and results without appending (dry run): resourceVersion stays the base's, or "0"
 * for a create. */
int store_dry_run(Store *s, Txn *t, TxnResult *ret, Error *err);

/* ---- watching ---- */

typedef enum WatchType { WATCH_ADDED, WATCH_MODIFIED, WATCH_DELETED } WatchType;

typedef struct WatchEvent {
	WatchType type;
	int64_t revision;
	Object *object; /* new state; for DELETED the last one, at the revision of the deletion.
			   Borrowed. */
	Object *old;    /* NULL for ADDED. Borrowed. */
} WatchEvent;

typedef void (*WatchFn)(void *arg, const WatchEvent *event);
typedef struct Watch Watch;

/*
 * Calls fn for each change with revision > from, in order, exactly once, history first; always on
 * the writer thread and without a lock of the store: fn may read, enqueue, post, close its own
 * watch and store_commit_async(). *ret is set before the first call. gr NULL = every kind.
 * -ERR_GONE if from is older than the kept history, or newer than the store.
 */
int store_watch(Store *s, const GroupResource *gr, int64_t from, WatchFn fn, void *arg, Watch **ret,
		Error *err);
/* The same for part of a kind: a change elsewhere costs such a watch nothing. */
typedef struct WatchFilter {
	const GroupResource *gr;      /* NULL = every kind */
	const char *namespace, *name; /* NULL or "" = any; copied */
} WatchFilter;
int store_watch_filtered(Store *s, const WatchFilter *filter, int64_t from, WatchFn fn, void *arg,
			 Watch **ret, Error *err);
/* Up to here fn was called for everything that it is called for: what a bookmark may say. */
int64_t watch_revision(Watch *w);
Watch *watch_close(Watch *w); /* returns after the last call of fn */
DEFINE_CLEANUP(Watch *, watch_close)

/* For /metrics and bench. */
typedef struct StoreStats {
	uint64_t commits, txns, conflicts, failures, reloads;
	int64_t revision, compacted;
	size_t objects;
} StoreStats;
void store_stats(Store *s, StoreStats *ret);
/* How long durable writes took; lives as long as s. */
const Histogram *store_commit_durations(const Store *s);
/* Calls fn with each kind that has objects, and how many. */
void store_count_kinds(Store *s, void (*fn)(void *arg, const GroupResource *gr, size_t n),
		       void *arg);
