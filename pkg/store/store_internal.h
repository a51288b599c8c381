/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the Store share. store.c: life cycle and reads; txn.c: from operations to a
 * Job; writer.c: the writer thread; history.c: events kept for watches and old lists; watch.c;
 * list.c; kinds.c: definitions that are stored; usage.c: quotas.
 *
 * `lock` guards everything below it in Store. Image, history and revision are changed by the writer
 * only (under the lock), so the writer reads them without. The backend is the writer's alone once
 * it runs.
 */
#pragma once

#include <stdatomic.h>

#include "store/image.h"
#include "store/rules.h"
#include "store/store.h"
#include "store/usage.h"

/* ---- history ---- */

typedef struct HistoryEvent {
	WatchEvent event; /* both objects referenced */
	usec_t time;
} HistoryEvent;

/* A queue in an array: events have consecutive numbers, `first` is that of events[start]. */
typedef struct History {
	HistoryEvent *events;
	size_t start, n, cap;
	uint64_t first;
} History;

void history_add(History *h, WatchType type, int64_t revision, Object *object, Object *old,
		 usec_t now);
const HistoryEvent *history_at(const History *h, uint64_t number);
uint64_t history_end(const History *h); /* the number that the next event gets */
/* The first event with revision > rev. */
uint64_t history_after(const History *h, int64_t rev);
/* Drops events with revision <= rev. */
void history_trim(History *h, int64_t rev);
void history_done(History *h);

/* ---- jobs: what waits for the writer ---- */

/* What a Txn does to one key. */
typedef struct Change {
	Key key;
	Object *base; /* what must be the head; NULL = a create, or a datum */
	json_t *tree; /* while the job is made: the state so far */
	Object *next; /* the new state, its revision still open; base itself if nothing changed */
	Outcome outcome;
	bool created;
	Kind *kind;       /* of the object */
	Kind *defines;    /* the kind that this definition makes */
	char *datum;      /* text of an internal record; NULL = delete it */
	int64_t expected; /* of a datum, as in txn_record_put() */
} Change;

/* A namespace, definition or any object that must be there and not be on its way out. */
typedef struct Guard {
	Key key;
	Key about;          /* for the message */
	char uid[UUID_MAX]; /* "" = whichever is there */
} Guard;

typedef struct Job Job;
struct Job {
	Job *next;
	Change *changes;
	size_t n_changes, cap_changes;
	size_t *operations; /* change of each object operation */
	size_t n_operations, cap_operations;
	Precondition *requires;
	size_t n_requires, cap_requires;
	Guard *guards;
	size_t n_guards, cap_guards;
	bool removed;   /* by the last object operation that can */
	bool publishes; /* of the store's own: may write descriptions of compiled-in kinds */
	/* Of the definition that is removed: there may be no object, not even in the same batch. */
	const GroupResource *must_be_empty;

	/* While in a batch. */
	Precondition *preconditions;
	Record *records;
	size_t *record_change; /* change of each record */
	void **heads;
	size_t n_records;

	/* A job of the store's own instead of a Txn. */
	int (*call)(Store *s, Error *err);

	int rc;
	Error err;
	TxnResult result;
	CommitFn done;
	void *arg;
	bool answered; /* under the lock */
	unsigned refs; /* under the lock: the writer's and a waiting committer's */
	pthread_cond_t cond;
};

struct Watch {
	Store *store;
	Key wanted; /* NULL and "" are open */
	uint64_t hash;
	WatchFn fn;
	void *arg;
	int64_t from;
	uint64_t next_event; /* number in the history, while it is behind */
	bool behind;         /* not yet in the index */
	bool running;        /* the writer is inside fn */
	bool doomed;         /* closed from inside fn: the writer frees it */
	atomic_bool closed;
	Watch **list, *prev, *next; /* a bucket of the index, or those behind */
};

typedef struct WatchIndex {
	Watch **buckets;
	size_t n_buckets, n; /* n: of all watches */
	Watch *behind;
	uint64_t delivered; /* the first event that those in the index have not seen */
	int64_t delivered_revision;
	bool delivering; /* the writer walks the index: nothing may be put in */
	unsigned closing;
} WatchIndex;

struct Store {
	Backend *backend;
	KindRegistry *kinds;
	Clock *clock;
	int64_t history_max;
	usec_t history_age;
	char id[UUID_MAX];
	int revision_fd; /* -1 = none */
	atomic_bool restored;
	pthread_t writer;
	bool writer_runs;

	pthread_mutex_t lock;
	pthread_cond_t work;      /* for the writer */
	pthread_cond_t delivered; /* a watch stopped running */
	Image *image;
	History history;
	int64_t revision, compacted;
	Job *jobs, **jobs_tail;
	WatchIndex watches;
	bool deliver; /* a watch waits for history */
	bool broken;  /* the backend must be opened again */
	bool stopping;
	usec_t retry_at, retry_delay; /* of opening it again */
	usec_t compact_at;            /* not before, after a failure */
	Usage *usages;                /* of namespaces with quotas, as far as somebody has asked */
	StoreStats stats;
	Histogram commit_durations; /* atomic by itself */
};

/* txn.c: never NULL; with job->rc < 0 it only wants to be answered. */
Job *job_new(Store *s, const Txn *t);
Job *job_unref(Job *job); /* the lock is held */
void job_free(Job *job);
void job_forget_records(Job *job); /* what was made of it for the backend */
/* Checks against the image; the lock is held or the caller is the writer. 0 or job->rc. */
int job_check(Store *s, Job *job);
/* Fills job->result for a txn at revision; `final` tells each change's new state. */
void job_fill_result(Job *job, int64_t revision, bool changed);
bool job_would_change(const Job *job);

/* writer.c */
void *writer_main(void *arg);
void store_submit(Store *s, Job *job); /* the lock is held */
/* Applies one record of load() or replay() to the image. */
int store_object_from_record(Store *s, const Record *r, Object **ret, Error *err);
/* revision.c */
int revision_file_open(Store *s, const char *path, int64_t *known, bool *ret_other_store,
		       Error *err);
void revision_file_write(Store *s);

/* watch.c. What was loaded is not news; before the writer starts. */
void watches_init(Store *s);
void watches_done(Store *s);
/* On the writer thread, the lock not held. */
void watches_deliver(Store *s);
/* True if a watch still needs events up to and including rev; the lock is held. */
bool watches_need(const Store *s, int64_t rev);

/* kinds.c */
/* Of a definition about to be stored. ours: it may describe a compiled-in kind. */
int kinds_check(Store *s, Change *c, bool ours, Error *err);
void txn_publish(Txn *t);                    /* makes its Job one that publishes */
void kinds_apply(Store *s, const Change *c); /* after its commit */
void kinds_load(Store *s);
/* What a definition of that name defines; NULL if the name is of no such form. */
const GroupResource *kinds_resource(const char *crd_name);
/* The definition of a user's kind. */
Key kinds_definition_key(const Kind *k);
