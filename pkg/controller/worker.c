/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker loop: what surrounds every reconcile. Log fields, deadline, timing, what is next for
 * the key, and telling of failures: once per key and text, again when the text changes or after an
 * hour, so that a host that stays broken does not fill the journal.
 */
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "controller/manager_internal.h"
#include "controller/reasons.h"

#define TELL_AGAIN     USEC_PER_HOUR
#define CONFLICTS_FREE 10 /* in a row, retried at once and without a word */

typedef struct Failure {
	uint64_t hash; /* of the text that was told; 0 = none */
	usec_t told;
	unsigned conflicts;
} Failure;

void controller_init(Controller *c)
{
	pthread_mutex_init(&c->lock, NULL);
	histogram_init(&c->durations, &histogram_bounds_reconcile);
	c->failures = hashmap_new(free);
}

void controller_done(Controller *c)
{
	hashmap_free(c->failures);
	pthread_mutex_destroy(&c->lock);
}

#define NAME_MAX_TEXT (KEY_NAMESPACE_MAX + KEY_NAME_MAX + 1)

static const char *name_of(const Key *key, char buf[static NAME_MAX_TEXT])
{
	if (*key->namespace)
		snprintf(buf, NAME_MAX_TEXT, "%s/%s", key->namespace, key->name);
	else
		snprintf(buf, NAME_MAX_TEXT, "%s", key->name);
	return buf;
}

static Failure *failure_get(Controller *c, const char *name)
{
	Failure *f = hashmap_get(c->failures, name);

	if (!f) {
		f = xnew0(Failure, 1);
		hashmap_put(c->failures, name, f);
	}
	return f;
}

/* True if this text has to be told. */
static bool failure_is_news(Controller *c, const char *name, const char *text)
{
	uint64_t hash = hash_bytes(text, strlen(text)) | 1;
	usec_t now = clock_now(c->manager->clock);
	Failure *f;
	bool news;

	pthread_mutex_lock(&c->lock);
	f = failure_get(c, name);
	news = f->hash != hash || now - f->told >= TELL_AGAIN;
	if (news) {
		f->hash = hash;
		f->told = now;
	}
	pthread_mutex_unlock(&c->lock);
	return news;
}

/* True while conflicts are the normal weather of concurrent writers. */
static bool conflict_is_free(Controller *c, const char *name)
{
	bool is_free;

	pthread_mutex_lock(&c->lock);
	is_free = failure_get(c, name)->conflicts++ < CONFLICTS_FREE;
	pthread_mutex_unlock(&c->lock);
	return is_free;
}

static void tell(Controller *c, const Key *key, const char *name, const Error *err)
{
	_cleanup_(object_unrefp) Object *o = NULL;
	const char *text = error_message(err);
	LogField reason = { "SF_REASON", REASON_RECONCILE_FAILED };

	if (!failure_is_news(c, name, text))
		return;
	/* The recorder also writes the journal entry. */
	if (c->manager->recorder && store_get(c->manager->store, key, &o, NULL) == 0)
		recorder_event(c->manager->recorder, o, EVENT_WARNING, REASON_RECONCILE_FAILED,
			       "%s", text);
	else
		log_fields(LOG_LEVEL_WARNING, reason_message_id(REASON_RECONCILE_FAILED), &reason,
			   1, "reconcile %s %s: %s", c->spec.name, name, text);
}

/* Up to a quarter less, so that keys do not march in step. */
static usec_t jittered(usec_t t)
{
	return t - random_u64() % (t / 4 + 1);
}

static void count_result(Controller *c, ReconcileResult result, bool terminal)
{
	pthread_mutex_lock(&c->lock);
	c->results[result]++;
	c->terminal += terminal;
	pthread_mutex_unlock(&c->lock);
}

static void succeeded(Controller *c, const Key *key, const char *name, const Result *result)
{
	usec_t after = result->requeue_after;

	count_result(c, after ? RECONCILE_REQUEUE_AFTER : RECONCILE_SUCCESS, false);
	workqueue_forget(c->queue, key);
	pthread_mutex_lock(&c->lock);
	hashmap_remove(c->failures, name);
	pthread_mutex_unlock(&c->lock);
	/* What is gone needs no look from time to time. */
	if (c->spec.resync && store_exists(c->manager->store, key))
		after = after ? MIN(after, c->spec.resync) : jittered(c->spec.resync);
	if (after)
		workqueue_add_after(c->queue, key, after);
}

static void failed(Controller *c, const Key *key, const char *name, int rc, const Error *err)
{
	if (atomic_load(&c->manager->canceled))
		return;
	if (rc == -ERR_CONFLICT && conflict_is_free(c, name)) {
		count_result(c, RECONCILE_REQUEUE, false);
		workqueue_add(c->queue, key);
		return;
	}
	count_result(c, RECONCILE_ERROR, error_code_is_terminal(rc));
	if (error_code_is_terminal(rc))
		workqueue_add_after(c->queue, key, jittered(c->spec.backoff_max));
	else
		workqueue_add_rate_limited(c->queue, key);
	tell(c, key, name, err);
}

static void set_state(Worker *w, const Key *key)
{
	Manager *m = w->controller->manager;

	pthread_mutex_lock(&m->lock);
	w->since = key ? clock_now(m->clock) : 0;
	if (key)
		w->key = *key;
	pthread_mutex_unlock(&m->lock);
}

static void reconcile(Controller *c, const Key *key)
{
	Manager *m = c->manager;
	Context ctx = { .clock = m->clock, .deadline = USEC_INFINITY, .canceled = &m->canceled };
	_cleanup_(error_done) Error err = ERROR_INIT;
	char name[NAME_MAX_TEXT];
	usec_t began = clock_now(m->clock);
	Result result = { 0 };
	int rc;

	ctx = context_with_timeout(&ctx, c->spec.deadline);
	rc = c->spec.reconcile(c->self, &ctx, key, &result, &err);
	histogram_observe(&c->durations, clock_now(m->clock) - began);
	name_of(key, name);
	log_debug("reconcile %s %s: %s", c->spec.name, name, rc < 0 ? error_message(&err) : "done");
	if (rc < 0)
		failed(c, key, name, rc, &err);
	else
		succeeded(c, key, name, &result);
}

/* With the fields that every line about this object carries. */
static void reconcile_logged(Controller *c, const Key *key)
{
	_cleanup_(object_unrefp) Object *o = NULL;
	size_t depth;

	(void)store_get(c->manager->store, key, &o, NULL);
	depth = log_push(
		(LogField[]){
			{"SF_KIND",       c->kind_name                           },
			{ "SF_NAMESPACE", *key->namespace ? key->namespace : NULL},
			{ "SF_NAME",      key->name                              },
			{ "SF_UID",       o ? object_head(o)->uid : NULL         },
        },
		4);
	reconcile(c, key);
	log_pop(depth);
}

void *worker_main(void *arg)
{
	Worker *w = arg;
	Controller *c = w->controller;
	Manager *m = c->manager;
	char name[16]; /* what Linux has room for */
	Key key;

	snprintf(name, sizeof(name), "%s", c->spec.name);
	pthread_setname_np(pthread_self(), name);
	while (workqueue_get(c->queue, &key)) {
		set_state(w, &key);
		reconcile_logged(c, &key);
		set_state(w, NULL);
		workqueue_done(c->queue, &key);
	}
	pthread_mutex_lock(&m->lock);
	w->ended = true;
	pthread_cond_broadcast(&m->ended);
	pthread_mutex_unlock(&m->lock);
	return NULL;
}
