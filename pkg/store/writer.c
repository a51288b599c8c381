/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer thread: takes what waits, checks it against memory, appends it in one durable write,
 * swaps memory, calls the watches, answers.
 *
 * A batch holds jobs that touch different keys; one that reads or writes a key which an earlier job
 * of the batch writes waits for the next batch, at once after this one. So memory is always the
 * whole truth for a check, and per key jobs are done in the order they came.
 *
 * A failed append is unknown: the backend opens its file again and tells what is in it beyond the
 * last known revision; that is applied and fanned out like any commit, then the jobs are answered
 * with an error. While it cannot be opened, reads go on from memory and writes are refused.
 */
#include "base/failpoint.h"
#include "base/log.h"
#include "base/memory.h"
#include "store/store_internal.h"
#include "json/json.h"

#define BATCH_MAX       64
#define RETRY_DELAY_MIN (100 * USEC_PER_MSEC)
#define RETRY_DELAY_MAX (5 * USEC_PER_SEC)
#define COMPACT_RETRY   USEC_PER_MIN

void store_submit(Store *s, Job *job)
{
	job->refs++;
	*s->jobs_tail = job;
	s->jobs_tail = &job->next;
	pthread_cond_signal(&s->work);
}

/* ---- choosing a batch ---- */

typedef struct KeySet {
	const Key **keys;
	uint64_t *hashes;
	size_t n, cap, cap_hashes;
} KeySet;

static void key_set_done(KeySet *set)
{
	free(set->keys);
	free(set->hashes);
}

static bool key_set_has(const KeySet *set, const Key *key)
{
	uint64_t hash = key_hash(key);

	for (size_t i = 0; i < set->n; i++)
		if (set->hashes[i] == hash && key_equal(set->keys[i], key))
			return true;
	return false;
}

static void key_set_add(KeySet *set, const Key *key)
{
	GROW_ARRAY(set->keys, set->n, set->cap);
	GROW_ARRAY(set->hashes, set->n, set->cap_hashes);
	set->keys[set->n] = key;
	set->hashes[set->n++] = key_hash(key);
}

static bool job_touches(const Job *job, const KeySet *written)
{
	for (size_t i = 0; i < job->n_changes; i++)
		if (key_set_has(written, &job->changes[i].key))
			return true;
	for (size_t i = 0; i < job->n_requires; i++)
		if (key_set_has(written, &job->requires[i].key))
			return true;
	for (size_t i = 0; i < job->n_guards; i++)
		if (key_set_has(written, &job->guards[i].key))
			return true;
	return false;
}

/* A call of the store's own, and what must see the whole of memory. */
static bool job_is_alone(const Job *job)
{
	return job->call || job->must_be_empty;
}

/* Unlinks a batch from the waiting jobs. */
static size_t batch_take(Store *s, Job *batch[BATCH_MAX])
{
	_cleanup_(key_set_done) KeySet written = { 0 };
	Job **at = &s->jobs;
	size_t n = 0;

	while (*at && n < BATCH_MAX) {
		Job *job = *at;

		if (job_is_alone(job) && n > 0)
			break;
		if (job_touches(job, &written)) {
			at = &job->next;
		} else {
			*at = job->next;
			job->next = NULL;
			batch[n++] = job;
		}
		/* Also of a job that waits: what comes behind it must not overtake it. */
		for (size_t i = 0; i < job->n_changes; i++)
			key_set_add(&written, &job->changes[i].key);
		if (job_is_alone(job))
			break;
	}
	for (at = &s->jobs; *at; at = &(*at)->next)
		;
	s->jobs_tail = at;
	return n;
}

/* ---- appending ---- */

static void precondition_add(Job *job, size_t *n, const Key *key, int64_t rev)
{
	job->preconditions[(*n)++] = (Precondition){ .key = *key, .rev = rev };
}

/* From changes to what the backend takes. The image is what job_check() has just looked at. */
static void job_encode_records(Store *s, Job *job, BackendTxn *t)
{
	size_t n = 0;

	job->preconditions = xnew0(Precondition, job->n_changes + job->n_requires + job->n_guards);
	job->records = xnew0(Record, job->n_changes);
	job->record_change = xnew0(size_t, job->n_changes);
	job->heads = xnew0(void *, job->n_changes);
	for (size_t i = 0; i < job->n_changes; i++) {
		Change *c = &job->changes[i];

		if (c->expected != -2)
			precondition_add(job, &n, &c->key, image_revision(s->image, &c->key));
		if (c->outcome == OUTCOME_SAME)
			continue;
		job->record_change[job->n_records] = i;
		job->records[job->n_records++] =
			(Record){ .key = c->key,
				  .deleted = c->outcome == OUTCOME_REMOVED,
				  .leaving = c->next && object_is_deleting(c->next) };
	}
	for (size_t i = 0; i < job->n_requires; i++)
		precondition_add(job, &n, &job->requires[i].key, job->requires[i].rev);
	for (size_t i = 0; i < job->n_guards; i++)
		precondition_add(job, &n, &job->guards[i].key,
				 image_revision(s->image, &job->guards[i].key));
	*t = (BackendTxn){ .records = job->records,
			   .n_records = job->n_records,
			   .preconditions = job->preconditions,
			   .n_preconditions = n };
}

/* What is stored as a head: the hash of the form it was made by, then the blob. */
static void *head_encode(const Object *o, const Kind *kind, size_t *ret_len)
{
	uint64_t hash = kind ? kind->form : 0;
	_cleanup_(xfreep) void *blob = NULL;
	char *head;
	size_t len;

	object_head_encode(o, &blob, &len);
	head = xmalloc(sizeof(hash) + len);
	memcpy(head, &hash, sizeof(hash));
	memcpy(head + sizeof(hash), blob, len);
	*ret_len = sizeof(hash) + len;
	return head;
}

typedef struct Batch {
	Job *jobs[BATCH_MAX]; /* those that are appended */
	BackendTxn txns[BATCH_MAX];
	size_t n;
} Batch;

/* The revision is known now: the texts get it. */
static void prepare(void *arg, BackendTxn *t)
{
	Batch *b = arg;
	Job *job = b->jobs[t - b->txns];

	for (size_t i = 0; i < t->n_records; i++) {
		Change *c = &job->changes[job->record_change[i]];
		Record *r = &t->records[i];
		Object *o;

		if (gr_is_internal(c->key.gr)) {
			r->body = c->datum ? c->datum : "";
			r->body_len = strlen(r->body);
			continue;
		}
		o = object_with_revision(c->next, r->create_rev, r->rev);
		object_unref(c->next);
		c->next = o;
		free(job->heads[i]);
		job->heads[i] = head_encode(o, c->kind, &r->head_len);
		r->head = job->heads[i];
		r->body = object_text(o, &r->body_len);
	}
}

static void apply_change(Store *s, const Change *c, int64_t rev, usec_t now)
{
	Object *old;

	if (gr_is_internal(c->key.gr)) {
		if (c->datum)
			image_put_datum(s->image, &c->key, rev, c->datum, strlen(c->datum));
		else
			image_remove(s->image, &c->key);
		return;
	}
	old = image_get(s->image, &c->key);
	history_add(&s->history,
		    c->outcome == OUTCOME_REMOVED ? WATCH_DELETED
		    : old                         ? WATCH_MODIFIED
						  : WATCH_ADDED,
		    rev, c->next, old, now);
	if (c->outcome == OUTCOME_REMOVED)
		image_remove(s->image, &c->key);
	else
		image_put(s->image, c->next);
}

/* Memory follows what is durable. */
static void batch_apply(Store *s, Batch *b)
{
	usec_t now = clock_now(s->clock);

	pthread_mutex_lock(&s->lock);
	s->stats.commits++;
	for (size_t i = 0; i < b->n; i++) {
		Job *job = b->jobs[i];

		job->rc = b->txns[i].rc;
		if (job->rc < 0)
			continue;
		s->stats.txns++;
		for (size_t j = 0; j < job->n_records; j++) {
			const Change *c = &job->changes[job->record_change[j]];

			apply_change(s, c, b->txns[i].rev, now);
			usage_reweigh(s, &c->key);
		}
		s->revision = b->txns[i].rev;
	}
	pthread_mutex_unlock(&s->lock);
	for (size_t i = 0; i < b->n; i++)
		for (size_t j = 0; b->jobs[i]->rc == 0 && j < b->jobs[i]->n_changes; j++)
			if (b->jobs[i]->changes[j].key.gr == GR_CRD &&
			    b->jobs[i]->changes[j].outcome != OUTCOME_SAME)
				kinds_apply(s, &b->jobs[i]->changes[j]);
	FAIL_POINT("store.revision-file.before");
	revision_file_write(s);
	FAIL_POINT("store.revision-file.after");
}

static void job_refused(Job *job, BackendTxn *t)
{
	char buf[KEY_TEXT_MAX];

	if (t->err.code != ERR_NONE)
		job->rc = error_move(&job->err, &t->err);
	else
		job->rc = error_set(&job->err, ERR_CONFLICT, "%s changed meanwhile",
				    key_format(&t->preconditions[t->failed].key, buf, sizeof(buf)));
}

/* Some of what was let through has not happened, or not as far as is known. */
static void usages_forget(Store *s)
{
	pthread_mutex_lock(&s->lock);
	usage_forget(s);
	pthread_mutex_unlock(&s->lock);
}

static void batch_failed(Store *s, Batch *b, int rc, const Error *cause)
{
	ErrorCode code = rc == -ERR_EXHAUSTED ? ERR_EXHAUSTED : ERR_UNAVAILABLE;

	for (size_t i = 0; i < b->n; i++) {
		Job *job = b->jobs[i];

		job->rc = error_set(&job->err, code, "commit failed, its outcome is unknown: %s",
				    error_message(cause));
	}
	pthread_mutex_lock(&s->lock);
	s->stats.failures++;
	s->broken = true;
	s->retry_at = 0;
	s->retry_delay = RETRY_DELAY_MIN;
	pthread_mutex_unlock(&s->lock);
	log_warning("store: commit failed, opening the store again: %s", error_message(cause));
}

static int batch_append(Store *s, Batch *b)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	bool refused = false;
	usec_t began;
	int rc;

	for (size_t i = 0; i < b->n; i++)
		job_encode_records(s, b->jobs[i], &b->txns[i]);
	began = clock_now(s->clock);
	rc = s->backend->ops->append(s->backend, b->txns, b->n, prepare, b, &err);
	histogram_observe(&s->commit_durations, clock_now(s->clock) - began);
	if (rc < 0) {
		batch_failed(s, b, rc, &err);
	} else {
		FAIL_POINT("store.apply.before");
		batch_apply(s, b);
		FAIL_POINT("store.apply.after");
		for (size_t i = 0; i < b->n; i++)
			if (b->txns[i].rc < 0) {
				job_refused(b->jobs[i], &b->txns[i]);
				refused = true;
			}
	}
	if (rc < 0 || refused)
		usages_forget(s);
	for (size_t i = 0; i < b->n; i++)
		error_done(&b->txns[i].err);
	return rc;
}

/*
 * A batch for which there was no space. The log was read again and has none of it, so its outcome
 * is known; and the backend has given up what it keeps for this, so that deletes can be done now.
 */
static void batch_append_again(Store *s, Batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		job_forget_records(b->jobs[i]);
		error_done(&b->jobs[i]->err);
		b->jobs[i]->rc = 0;
	}
	/* They were counted before the first try, and somebody may have counted anew since. */
	if (batch_append(s, b) == 0)
		usages_forget(s);
}

/* An internal record that is already there with the same text, or already gone. */
static void drop_equal_data(Store *s, Job *job)
{
	for (size_t i = 0; i < job->n_changes; i++) {
		Change *c = &job->changes[i];
		const Datum *d;

		if (!gr_is_internal(c->key.gr))
			continue;
		d = image_datum(s->image, &c->key);
		if (c->datum ? d && streq(d->text, c->datum) : !d)
			c->outcome = OUTCOME_SAME;
	}
}

/* ---- answering ---- */

static void jobs_answer(Store *s, Job **jobs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (jobs[i]->done)
			jobs[i]->done(jobs[i]->arg, jobs[i]->rc,
				      jobs[i]->rc == 0 ? &jobs[i]->result : NULL, &jobs[i]->err);
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < n; i++) {
		jobs[i]->answered = true;
		s->stats.conflicts += jobs[i]->rc == -ERR_CONFLICT;
		pthread_cond_signal(&jobs[i]->cond);
		job_unref(jobs[i]);
	}
	pthread_mutex_unlock(&s->lock);
}

/* ---- opening again ---- */

typedef struct Recovery {
	Store *store;
	int64_t from, last;
	bool definitions;
} Recovery;

int store_object_from_record(Store *s, const Record *r, Object **ret, Error *err)
{
	_cleanup_(kind_unrefp) Kind *kind =
		s->kinds ? kind_registry_find(s->kinds, r->key.gr) : NULL;
	uint64_t hash;
	json_t *tree;
	char buf[KEY_TEXT_MAX];
	int rc;

	if (r->head_len > sizeof(hash)) {
		memcpy(&hash, r->head, sizeof(hash));
		if (hash == (kind ? kind->form : 0) &&
		    object_new_from_parts(
			    &r->key, r->create_rev, r->rev, (const char *)r->head + sizeof(hash),
			    r->head_len - sizeof(hash), r->body, r->body_len, ret, NULL) == 0)
			return 0;
	}
	/* A head of another version of the program, or none: the body has everything. */
	rc = json_decode(r->body, r->body_len, &tree, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "stored %s", key_format(&r->key, buf, sizeof(buf)));
	if (kind)
		kind_refresh(kind, tree);
	*ret = object_new(&r->key, kind, tree, r->create_rev, r->rev);
	json_decref(tree);
	return 0;
}

static int recover_record(void *arg, const Record *r)
{
	_cleanup_(object_unrefp) Object *o = NULL;
	_cleanup_(error_done) Error err = ERROR_INIT;
	Recovery *rec = arg;
	Store *s = rec->store;
	Change c = { .key = r->key, .outcome = r->deleted ? OUTCOME_REMOVED : OUTCOME_CHANGED };
	int rc;

	if (r->rev <= rec->from)
		return 0; /* the state before, which memory has */
	if (gr_is_internal(r->key.gr)) {
		c.datum = r->deleted ? NULL : xmemdup(r->body, r->body_len);
	} else {
		rc = store_object_from_record(s, r, &o, &err);
		if (rc < 0)
			return rc;
		c.next = o;
		rec->definitions |= r->key.gr == GR_CRD;
	}
	pthread_mutex_lock(&s->lock);
	apply_change(s, &c, r->rev, clock_now(s->clock));
	s->revision = rec->last = r->rev;
	pthread_mutex_unlock(&s->lock);
	free(c.datum);
	return 0;
}

static int recover(Store *s, Error *err)
{
	Recovery rec = { .store = s, .from = s->revision };
	int64_t rev, compacted;
	int rc = s->backend->ops->load(s->backend, NULL, NULL, &rev, &compacted, err);

	if (rc < 0)
		return rc;
	if (rev < s->revision)
		return error_set(
			err, ERR_INTERNAL,
			"the store lost acknowledged writes: it ends at revision %lld, %lld "
			"was reached; stop sfd and restore a backup",
			(long long)rev, (long long)s->revision);
	rc = s->backend->ops->replay(s->backend, s->revision, recover_record, &rec, err);
	if (rc < 0)
		return rc;
	if (rec.definitions)
		kinds_load(s);
	pthread_mutex_lock(&s->lock);
	s->revision = MAX(s->revision, rev);
	usage_forget(s);
	s->broken = false;
	s->stats.reloads++;
	pthread_mutex_unlock(&s->lock);
	revision_file_write(s);
	return 0;
}

/* Tries unless it is too early. */
static void try_recover(Store *s)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	usec_t now = clock_now(s->clock);

	if (now < s->retry_at)
		return;
	if (recover(s, &err) == 0) {
		log_notice("store: open again at revision %lld", (long long)s->revision);
		return;
	}
	log_warning("store: cannot be opened again, next try in %llu ms: %s",
		    (unsigned long long)(s->retry_delay / USEC_PER_MSEC), error_message(&err));
	s->retry_at = now + s->retry_delay;
	s->retry_delay = MIN(s->retry_delay * 2, RETRY_DELAY_MAX);
}

/* ---- history ---- */

static int64_t compaction_goal(const Store *s, usec_t now)
{
	int64_t goal = s->compacted;

	/* A tenth late, so that not every commit compacts. */
	if (s->revision - s->compacted > s->history_max + s->history_max / 10)
		goal = s->revision - s->history_max;
	for (uint64_t i = s->history.first; i < history_end(&s->history); i++) {
		const HistoryEvent *e = history_at(&s->history, i);

		if (e->time + s->history_age + s->history_age / 10 > now)
			break;
		goal = MAX(goal, e->event.revision);
	}
	return goal;
}

static void compact(Store *s)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	usec_t now = clock_now(s->clock);
	int64_t goal;

	pthread_mutex_lock(&s->lock);
	goal = s->broken || now < s->compact_at ? s->compacted : compaction_goal(s, now);
	if (goal > s->compacted && !watches_need(s, goal)) {
		s->compacted = goal;
		history_trim(&s->history, goal);
	} else {
		goal = 0;
	}
	pthread_mutex_unlock(&s->lock);
	if (goal == 0 || s->backend->ops->compact(s->backend, goal, &err) == 0)
		return;
	log_warning("store: compaction failed, next try in a minute: %s", error_message(&err));
	pthread_mutex_lock(&s->lock);
	s->compact_at = now + COMPACT_RETRY;
	s->broken = true;
	s->retry_at = 0;
	s->retry_delay = RETRY_DELAY_MIN;
	pthread_mutex_unlock(&s->lock);
}

/* ---- the loop ---- */

static int job_admit(Store *s, Job *job)
{
	int rc = job_check(s, job);

	if (rc < 0)
		return rc;
	drop_equal_data(s, job);
	pthread_mutex_lock(&s->lock);
	rc = usage_admit(s, job);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static void batch_run(Store *s, Job **jobs, size_t n)
{
	int64_t before = s->revision;
	Batch b = { 0 };
	int rc = 0;

	for (size_t i = 0; i < n; i++) {
		Job *job = jobs[i];

		if (job->rc < 0)
			continue;
		if (s->broken) {
			job->rc =
				error_set(&job->err, ERR_UNAVAILABLE,
					  "the store is being opened again after a failed commit");
		} else if (job->call) {
			job->rc = job->call(s, &job->err);
		} else if (job_admit(s, job) == 0 && job_would_change(job)) {
			b.jobs[b.n++] = job;
		}
	}
	if (b.n > 0)
		rc = batch_append(s, &b);
	if (s->broken)
		try_recover(s);
	if (rc == -ERR_EXHAUSTED && !s->broken && s->revision == before) {
		batch_append_again(s, &b);
		if (s->broken)
			try_recover(s);
	}
	for (size_t i = 0; i < n; i++)
		if (jobs[i]->rc == 0)
			job_fill_result(jobs[i],
					jobs[i]->n_records ? jobs[i]->records[0].rev : s->revision,
					jobs[i]->n_records > 0);
}

static usec_t writer_deadline(const Store *s)
{
	return s->broken ? s->retry_at : USEC_INFINITY;
}

void *writer_main(void *arg)
{
	Store *s = arg;
	Job *jobs[BATCH_MAX];
	size_t n;

	pthread_setname_np(pthread_self(), "store-writer");
	pthread_mutex_lock(&s->lock);
	for (;;) {
		while (!s->jobs && !s->deliver && !s->stopping &&
		       clock_now(s->clock) < writer_deadline(s))
			clock_wait(s->clock, &s->work, &s->lock, writer_deadline(s));
		if (!s->jobs && s->stopping)
			break;
		n = batch_take(s, jobs);
		pthread_mutex_unlock(&s->lock);
		if (n > 0 || s->broken)
			batch_run(s, jobs, n);
		FAIL_POINT("store.deliver");
		watches_deliver(s);
		FAIL_POINT("store.answer.before");
		jobs_answer(s, jobs, n);
		FAIL_POINT("store.answer.after");
		compact(s);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}
