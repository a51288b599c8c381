/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Store: life cycle, single reads, commits. See store.h for the contract and store_internal.h for
 * what is in which file.
 */
#include "store/store.h"

#include "base/log.h"
#include "base/memory.h"
#include "store/store_internal.h"
#include "json/json.h"

#define HISTORY_DEFAULT     10000
#define HISTORY_AGE_DEFAULT USEC_PER_HOUR
#define CANCEL_LOOK         (100 * USEC_PER_MSEC) /* how often a waiting commit looks for it */

/* ---- opening ---- */

static int load_record(void *arg, const Record *r)
{
	_cleanup_(object_unrefp) Object *o = NULL;
	_cleanup_(error_done) Error err = ERROR_INIT;
	Store *s = arg;
	int rc;

	if (gr_is_internal(r->key.gr)) {
		image_put_datum(s->image, &r->key, r->rev, r->body, r->body_len);
		return 0;
	}
	rc = store_object_from_record(s, r, &o, &err);
	if (rc < 0) {
		log_error("store: %s", error_message(&err));
		return rc;
	}
	image_put(s->image, o);
	return 0;
}

typedef struct Definitions {
	Store *store;
	const GroupResource *gr;
} Definitions;

/* Definitions come first: with their kinds the heads of all others can be read. */
static int load_definition(void *arg, const Record *r)
{
	Definitions *d = arg;

	return r->key.gr == d->gr ? load_record(d->store, r) : 0;
}

typedef struct Replay {
	Store *store;
	Image *past; /* the state before, of keys that changed since */
} Replay;

/* The history of before this start, so that watches and lists of before it can go on. */
static int replay_record(void *arg, const Record *r)
{
	_cleanup_(object_unrefp) Object *made = NULL;
	Replay *rp = arg;
	Store *s = rp->store;
	Object *o, *old;
	int rc;

	if (gr_is_internal(r->key.gr))
		return 0;
	o = image_get(s->image, &r->key);
	if (!o || object_revision(o) != r->rev) {
		rc = store_object_from_record(s, r, &made, NULL);
		if (rc < 0)
			return rc;
		o = made;
	}
	if (r->rev <= s->compacted) {
		image_put(rp->past, o);
		return 0;
	}
	old = image_get(rp->past, &r->key);
	history_add(&s->history,
		    r->deleted ? WATCH_DELETED
		    : old      ? WATCH_MODIFIED
			       : WATCH_ADDED,
		    r->rev, o, old, clock_now(s->clock));
	if (r->deleted)
		image_remove(rp->past, &r->key);
	else
		image_put(rp->past, o);
	return 0;
}

static int load(Store *s, Error *err)
{
	_cleanup_(image_freep) Image *past = image_new();
	Replay rp = { .store = s, .past = past };
	Definitions definitions = { .store = s, .gr = GR_CRD };
	const BackendOps *ops = s->backend->ops;
	int rc;

	rc = ops->load(s->backend, load_definition, &definitions, &s->revision, &s->compacted, err);
	if (rc == 0)
		kinds_load(s);
	if (rc == 0)
		rc = ops->load(s->backend, load_record, s, &s->revision, &s->compacted, err);
	if (rc == 0)
		rc = ops->replay(s->backend, s->compacted, replay_record, &rp, err);
	/* A record that cannot be read stops the load without a text of the backend's. */
	if (rc < 0 && err && err->code == ERR_NONE)
		error_set(err, ERR_INTERNAL, "a stored record cannot be read");
	return rc;
}

static int load_id(Store *s, Error *err)
{
	_cleanup_(error_done) Error e = ERROR_INIT;
	_cleanup_(xfreep) char *id = NULL;
	int rc = s->backend->ops->meta_get(s->backend, "store-id", &id, &e);

	if (rc == -ERR_NOT_FOUND) {
		uuid_new(s->id);
		return s->backend->ops->meta_set(s->backend, "store-id", s->id, err);
	}
	if (rc < 0)
		return error_move(err, &e);
	if (!uuid_is_valid(id))
		return error_set(err, ERR_INTERNAL, "the store's id is damaged: \"%s\"", id);
	memcpy(s->id, id, UUID_MAX);
	return 0;
}

/* What was detected once holds until it is accepted, over restarts. */
static int load_restored(Store *s, Error *err)
{
	_cleanup_(error_done) Error e = ERROR_INIT;
	_cleanup_(xfreep) char *value = NULL;
	int rc = s->backend->ops->meta_get(s->backend, "restored", &value, &e);

	if (rc == -ERR_NOT_FOUND)
		return 0;
	if (rc < 0)
		return error_move(err, &e);
	atomic_store(&s->restored, *value != '\0');
	return 0;
}

/*
 * A head below what was once reached, or another store where this one was: somebody restored or
 * replaced the database. Revisions that clients may hold must not be given out twice.
 */
static int detect_restored(Store *s, int64_t known, bool other_store, Error *err)
{
	const BackendOps *ops = s->backend->ops;
	int rc;

	if (known <= s->revision && !other_store)
		return 0;
	/* Who puts back a copy puts back a whole one; who begins anew leaves no file. */
	if (!other_store && s->backend->torn)
		return error_set(err, ERR_INTERNAL,
				 "the store is damaged: the end of its log is broken at revision "
				 "%lld, %lld was acknowledged; restore a backup as sfd(8) says",
				 (long long)s->revision, (long long)known);
	if (s->revision == 0 && !s->backend->fresh)
		return error_set(err, ERR_INTERNAL,
				 "the store is damaged: its file is there and holds nothing, and "
				 "revision %lld was acknowledged; restore a backup as sfd(8) says, "
				 "or remove the file to begin with an empty store",
				 (long long)known);
	log_warning("store: this database is %s: revision %lld, %lld was reached; nothing is "
		    "collected until `sfctl store accept`",
		    other_store ? "not the one that was here" : "an older one",
		    (long long)s->revision, (long long)known);
	atomic_store(&s->restored, true);
	rc = ops->meta_set(s->backend, "restored", "yes", err);
	if (rc < 0 || known <= s->revision)
		return rc;
	rc = ops->advance(s->backend, known, err);
	if (rc < 0)
		return rc;
	s->revision = s->compacted = known;
	history_trim(&s->history, known);
	return 0;
}

static int seed_default_namespace(Store *s, Error *err)
{
	Key key = key_make(GR_NAMESPACE, "", "default");
	_cleanup_(txn_freep) Txn *t = NULL;
	Context ctx = { .clock = s->clock, .deadline = USEC_INFINITY };
	json_t *tree;
	int rc;

	if (store_exists(s, &key))
		return 0;
	t = txn_new();
	tree = json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "Namespace", "metadata",
			 "name", "default");
	txn_create(t, &key, tree, false);
	json_decref(tree);
	rc = store_commit(s, &ctx, t, NULL, err);
	return rc < 0 ? error_wrap_rc(err, rc, "create namespace default") : 0;
}

static int open_all(Store *s, const StoreOptions *o, Error *err)
{
	int64_t known = o->known_revision;
	bool other_store = false;
	int rc = load_id(s, err);

	if (rc == 0)
		rc = load_restored(s, err);
	if (rc == 0)
		rc = load(s, err);
	if (rc == 0 && o->revision_file)
		rc = revision_file_open(s, o->revision_file, &known, &other_store, err);
	if (rc == 0)
		rc = detect_restored(s, known, other_store, err);
	if (rc < 0)
		return rc;
	revision_file_write(s);
	watches_init(s);
	rc = pthread_create(&s->writer, NULL, writer_main, s);
	if (rc != 0)
		return error_set_errno(err, rc, "start the writer");
	s->writer_runs = true;
	return seed_default_namespace(s, err);
}

int store_open(Backend *backend, const StoreOptions *options, Store **ret, Error *err)
{
	static const StoreOptions defaults;
	const StoreOptions *o = options ? options : &defaults;
	Store *s = xnew0(Store, 1);
	int rc;

	s->backend = backend;
	s->kinds = o->kinds;
	s->clock = o->clock ? o->clock : clock_system();
	s->history_max = o->history ? o->history : HISTORY_DEFAULT;
	s->history_age = o->history_age ? o->history_age : HISTORY_AGE_DEFAULT;
	s->revision_fd = -1;
	s->image = image_new();
	histogram_init(&s->commit_durations, &histogram_bounds_commit);
	s->jobs_tail = &s->jobs;
	pthread_mutex_init(&s->lock, NULL);
	clock_cond_init(&s->work);
	clock_cond_init(&s->delivered);
	rc = open_all(s, o, err);
	if (rc < 0) {
		store_free(s);
		return error_wrap_rc(err, rc, "open store");
	}
	*ret = s;
	return 0;
}

Store *store_free(Store *s)
{
	if (!s)
		return NULL;
	if (s->writer_runs) {
		pthread_mutex_lock(&s->lock);
		s->stopping = true;
		pthread_cond_signal(&s->work);
		pthread_mutex_unlock(&s->lock);
		pthread_join(s->writer, NULL);
	}
	watches_done(s);
	s->backend->ops->free(s->backend);
	fd_close(s->revision_fd);
	history_done(&s->history);
	usage_forget(s);
	image_free(s->image);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->work);
	pthread_cond_destroy(&s->delivered);
	free(s);
	return NULL;
}

/* ---- facts ---- */

const char *store_id(const Store *s)
{
	return s->id;
}

KindRegistry *store_kinds(const Store *s)
{
	return s->kinds;
}

int64_t store_revision(Store *s)
{
	int64_t rev;

	pthread_mutex_lock(&s->lock);
	rev = s->revision;
	pthread_mutex_unlock(&s->lock);
	return rev;
}

bool store_is_available(Store *s)
{
	bool available;

	pthread_mutex_lock(&s->lock);
	available = !s->broken;
	pthread_mutex_unlock(&s->lock);
	return available;
}

bool store_is_restored(const Store *s)
{
	return atomic_load(&s->restored);
}

void store_stats(Store *s, StoreStats *ret)
{
	pthread_mutex_lock(&s->lock);
	*ret = s->stats;
	ret->revision = s->revision;
	ret->compacted = s->compacted;
	ret->objects = s->image->n_objects;
	pthread_mutex_unlock(&s->lock);
}

const Histogram *store_commit_durations(const Store *s)
{
	return &s->commit_durations;
}

void store_count_kinds(Store *s, void (*fn)(void *arg, const GroupResource *gr, size_t n),
		       void *arg)
{
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->image->n; i++)
		if (!gr_is_internal(s->image->tables[i].gr))
			fn(arg, s->image->tables[i].gr, s->image->tables[i].n);
	pthread_mutex_unlock(&s->lock);
}

/* ---- reading ---- */

int store_get(Store *s, const Key *key, Object **ret, Error *err)
{
	char buf[512];
	Object *o;

	assert(!gr_is_internal(key->gr));
	pthread_mutex_lock(&s->lock);
	o = image_get(s->image, key);
	if (o)
		object_ref(o);
	pthread_mutex_unlock(&s->lock);
	if (!o)
		return error_set(err, ERR_NOT_FOUND, "%s \"%s\" not found",
				 group_resource_format(key->gr, buf, sizeof(buf)), key->name);
	*ret = o;
	return 0;
}

bool store_exists(Store *s, const Key *key)
{
	bool exists;

	pthread_mutex_lock(&s->lock);
	exists = image_revision(s->image, key) > 0;
	pthread_mutex_unlock(&s->lock);
	return exists;
}

int store_record_get(Store *s, const Key *key, json_t **ret, int64_t *ret_rev, Error *err)
{
	_cleanup_(xfreep) char *text = NULL;
	const Datum *d;
	char buf[KEY_TEXT_MAX];
	int64_t rev = 0;
	int rc;

	pthread_mutex_lock(&s->lock);
	d = gr_is_internal(key->gr) ? image_datum(s->image, key) : NULL;
	if (d) {
		text = xstrdup(d->text);
		rev = d->rev;
	}
	pthread_mutex_unlock(&s->lock);
	key_format(key, buf, sizeof(buf));
	if (!text)
		return error_set(err, ERR_NOT_FOUND, "no record %s", buf);
	rc = json_decode(text, strlen(text), ret, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "record %s", buf);
	if (ret_rev)
		*ret_rev = rev;
	return 0;
}

typedef struct DatumCopy {
	Key key;
	int64_t rev;
	char *text;
} DatumCopy;

/* Copies, so that fn runs without the lock. */
static DatumCopy *copy_data(Store *s, const GroupResource *gr, const char *prefix, size_t *ret_n)
{
	DatumCopy *copies = NULL;
	size_t n = 0, cap = 0;
	const Table *t;
	bool found;

	pthread_mutex_lock(&s->lock);
	t = image_table(s->image, gr);
	/* Records have no namespace, so names with one prefix lie together. */
	for (size_t i = t ? table_find(t, "", prefix, &found) : 0; t && i < t->n; i++) {
		const Datum *d = t->slots[i].datum;

		if (!str_has_prefix(d->name, prefix))
			break;
		GROW_ARRAY(copies, n, cap);
		copies[n++] = (DatumCopy){ .key = key_make(gr, d->namespace, d->name),
					   .rev = d->rev,
					   .text = xstrdup(d->text) };
	}
	pthread_mutex_unlock(&s->lock);
	*ret_n = n;
	return copies;
}

int store_record_list(Store *s, const GroupResource *gr, const char *name_prefix, RecordJsonFn fn,
		      void *arg, Error *err)
{
	size_t n;
	DatumCopy *copies;
	int rc = 0;

	assert(gr_is_internal(gr));
	copies = copy_data(s, gr, name_prefix ? name_prefix : "", &n);
	for (size_t i = 0; i < n; i++) {
		json_t *body = NULL;

		if (rc == 0)
			rc = json_decode(copies[i].text, strlen(copies[i].text), &body, err);
		if (rc == 0)
			rc = fn(arg, &copies[i].key, body, copies[i].rev);
		json_decref(body);
		free(copies[i].text);
	}
	free(copies);
	return rc;
}

/* ---- writing ---- */

/* Waits for the answer; -ERR_TIMEOUT or -ERR_CANCELED if ctx ends first. The lock is held. */
static int job_wait(Store *s, Context *ctx, Job *job, Error *err)
{
	usec_t deadline;
	int rc;

	while (!job->answered) {
		rc = context_check(ctx, err);
		if (rc < 0)
			return error_wrap_rc(err, rc, "the commit's outcome is unknown");
		deadline = ctx->deadline;
		/* Nobody signals a cancellation. */
		if (ctx->canceled)
			deadline = MIN(deadline, clock_now(ctx->clock) + CANCEL_LOOK);
		clock_wait(ctx->clock, &job->cond, &s->lock, deadline);
	}
	return 0;
}

static int job_run(Store *s, Context *ctx, Job *job, TxnResult *ret, Error *err)
{
	int rc;

	job->refs = 1;
	pthread_mutex_lock(&s->lock);
	store_submit(s, job);
	rc = job_wait(s, ctx, job, err);
	if (rc == 0) {
		rc = job->rc;
		if (rc < 0)
			error_move(err, &job->err);
		else if (ret)
			*ret = job->result;
		if (rc == 0 && ret)
			job->result = (TxnResult){ 0 };
	}
	job_unref(job);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

int store_commit(Store *s, Context *ctx, Txn *t, TxnResult *ret, Error *err)
{
	int rc = context_check(ctx, err);
	Job *job;

	if (rc < 0)
		return rc;
	job = job_new(s, t);
	if (job->rc < 0) {
		rc = job->rc;
		error_move(err, &job->err);
		job_free(job);
		return rc;
	}
	return job_run(s, ctx, job, ret, err);
}

void store_commit_async(Store *s, Txn *t, CommitFn done, void *arg)
{
	Job *job = job_new(s, t);

	txn_free(t);
	job->done = done;
	job->arg = arg;
	pthread_mutex_lock(&s->lock);
	store_submit(s, job);
	pthread_mutex_unlock(&s->lock);
}

int store_dry_run(Store *s, Txn *t, TxnResult *ret, Error *err)
{
	Job *job = job_new(s, t);
	int64_t revision;
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = job->rc < 0 ? job->rc : job_check(s, job);
	if (rc == 0)
		rc = usage_admit(s, job);
	if (rc == 0)
		usage_revert(s, job);
	revision = s->revision;
	pthread_mutex_unlock(&s->lock);
	if (rc < 0) {
		error_move(err, &job->err);
	} else if (ret) {
		job_fill_result(job, revision, job_would_change(job));
		*ret = job->result;
		job->result = (TxnResult){ 0 };
	}
	job_free(job);
	return rc;
}

static int accept_call(Store *s, Error *err)
{
	int rc = s->backend->ops->meta_set(s->backend, "restored", "", err);

	if (rc == 0)
		atomic_store(&s->restored, false);
	return rc;
}

int store_accept(Store *s, Error *err)
{
	Context ctx = { .clock = s->clock, .deadline = USEC_INFINITY };
	_cleanup_(txn_freep) Txn *t = txn_new();
	Job *job = job_new(s, t);

	job->call = accept_call;
	return job_run(s, &ctx, job, NULL, err);
}
