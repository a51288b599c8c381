/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manager: all controllers over one store. One watch feeds all of them; its function runs on the
 * store's writer thread and only adds keys. See controller.h.
 */
#include "base/log.h"
#include "base/memory.h"
#include "controller/manager_internal.h"

#define DEADLINE_DEFAULT    (5 * USEC_PER_MIN)
#define BACKOFF_MIN_DEFAULT (200 * USEC_PER_MSEC)
#define BACKOFF_MAX_DEFAULT (5 * USEC_PER_MIN)
/* A reconcile that sees its deadline pass still has to return. */
#define DEADLINE_SLACK (5 * USEC_PER_SEC)

Manager *manager_new(Store *store, Clock *clock)
{
	Manager *m = xnew0(Manager, 1);

	m->store = store;
	m->clock = clock ? clock : clock_system();
	pthread_mutex_init(&m->lock, NULL);
	clock_cond_init(&m->ended);
	return m;
}

static bool workers_run(Manager *m)
{
	for (size_t i = 0; i < m->n_controllers; i++)
		for (unsigned j = 0; j < m->controllers[i]->spec.workers; j++)
			if (m->controllers[i]->workers[j].started &&
			    !m->controllers[i]->workers[j].ended)
				return true;
	return false;
}

static void controller_free(Controller *c)
{
	workqueue_free(c->queue);
	controller_done(c);
	free(c->workers);
	free(c->kind_name);
	free(c);
}

Manager *manager_free(Manager *m)
{
	bool stuck;

	if (!m)
		return NULL;
	watch_close(m->watch);
	pthread_mutex_lock(&m->lock);
	stuck = workers_run(m);
	pthread_mutex_unlock(&m->lock);
	/* A worker that hangs in a driver still holds all of this; the process is about to end. */
	if (stuck)
		return NULL;
	for (size_t i = 0; i < m->n_controllers; i++)
		controller_free(m->controllers[i]);
	free(m->controllers);
	pthread_mutex_destroy(&m->lock);
	pthread_cond_destroy(&m->ended);
	free(m);
	return NULL;
}

void manager_set_recorder(Manager *m, Recorder *recorder)
{
	m->recorder = recorder;
}

static char *kind_name(Store *store, const GroupResource *gr)
{
	_cleanup_(kind_unrefp) Kind *k =
		store_kinds(store) ? kind_registry_find(store_kinds(store), gr) : NULL;

	return xstrdup(k ? k->kind : gr->resource);
}

void manager_add(Manager *m, const ControllerSpec *spec, void *self)
{
	Controller *c = xnew0(Controller, 1);

	assert(!m->watch && spec->reconcile);
	c->manager = m;
	c->spec = *spec;
	c->self = self;
	c->spec.workers = spec->workers ? spec->workers : 1;
	c->spec.deadline = spec->deadline ? spec->deadline : DEADLINE_DEFAULT;
	c->spec.backoff_min = spec->backoff_min ? spec->backoff_min : BACKOFF_MIN_DEFAULT;
	c->spec.backoff_max = spec->backoff_max ? spec->backoff_max : BACKOFF_MAX_DEFAULT;
	c->kind_name = spec->gr ? kind_name(m->store, spec->gr) : xstrdup(spec->name);
	c->queue = workqueue_new(spec->name, m->clock, c->spec.backoff_min, c->spec.backoff_max);
	c->workers = xnew0(Worker, c->spec.workers);
	controller_init(c);
	GROW_ARRAY(m->controllers, m->n_controllers, m->cap_controllers);
	m->controllers[m->n_controllers++] = c;
}

/* ---- what wakes a controller ---- */

static void on_event(void *arg, const WatchEvent *e)
{
	const GroupResource *gr = object_key(e->object)->gr;
	Manager *m = arg;

	for (size_t i = 0; i < m->n_controllers; i++) {
		Controller *c = m->controllers[i];

		if (c->spec.gr == gr && when_spec_changed(e))
			workqueue_add(c->queue, object_key(e->object));
		for (const Trigger *t = c->spec.triggers; t && t->gr; t++)
			if ((!t->gr() || t->gr() == gr) && t->when(e))
				t->map(e, c->queue, c->self);
	}
}

static void enqueue_kind(Manager *m, Controller *c, const GroupResource *gr)
{
	_cleanup_(object_list_freep) ObjectList *l = NULL;
	ListOptions o = { .gr = gr };

	/* Without a token a list of memory cannot fail. */
	if (store_list(m->store, &o, &l, NULL) < 0)
		return;
	for (size_t i = 0; i < l->n; i++)
		workqueue_add(c->queue, object_key(l->items[i]));
}

static void enqueue_all(Manager *m, Controller *c)
{
	Kind **kinds;
	size_t n;

	if (c->spec.gr) {
		enqueue_kind(m, c, c->spec.gr);
		return;
	}
	kinds = kind_registry_list(store_kinds(m->store), &n);
	for (size_t i = 0; i < n; i++) {
		enqueue_kind(m, c, kinds[i]->gr);
		kind_unref(kinds[i]);
	}
	free(kinds);
}

/* The watch comes first: what changes while the keys are listed is then seen twice, never not. */
static int start_watch(Manager *m, Error *err)
{
	int rc;

	do {
		error_done(err);
		rc = store_watch(m->store, NULL, store_revision(m->store), on_event, m, &m->watch,
				 err);
	} while (rc == -ERR_GONE); /* compacted between the two calls */
	return rc;
}

int manager_start(Manager *m, Error *err)
{
	int rc = start_watch(m, err);

	if (rc < 0)
		return error_wrap_rc(err, rc, "watch the store");
	for (size_t i = 0; i < m->n_controllers; i++)
		enqueue_all(m, m->controllers[i]);
	for (size_t i = 0; i < m->n_controllers; i++) {
		Controller *c = m->controllers[i];

		for (unsigned j = 0; j < c->spec.workers; j++) {
			Worker *w = &c->workers[j];

			w->controller = c;
			rc = pthread_create(&w->thread, NULL, worker_main, w);
			if (rc != 0)
				return error_set_errno(err, rc, "start worker of %s", c->spec.name);
			w->started = true;
		}
	}
	return 0;
}

void manager_enqueue(Manager *m, const Key *key)
{
	manager_enqueue_after(m, key, 0);
}

void manager_enqueue_after(Manager *m, const Key *key, usec_t delay)
{
	for (size_t i = 0; i < m->n_controllers; i++)
		if (m->controllers[i]->spec.gr == key->gr)
			workqueue_add_after(m->controllers[i]->queue, key, delay);
}

void manager_resync(Manager *m, const GroupResource *gr)
{
	for (size_t i = 0; i < m->n_controllers; i++)
		if (!gr || m->controllers[i]->spec.gr == gr)
			enqueue_all(m, m->controllers[i]);
}

/* ---- stopping ---- */

int manager_stop(Manager *m, usec_t grace, Error *err)
{
	usec_t deadline = clock_now(clock_system()) + grace;
	bool run;

	atomic_store(&m->canceled, true);
	m->watch = watch_close(m->watch);
	for (size_t i = 0; i < m->n_controllers; i++)
		workqueue_shutdown(m->controllers[i]->queue);
	pthread_mutex_lock(&m->lock);
	while ((run = workers_run(m)) && clock_now(clock_system()) < deadline)
		clock_wait(clock_system(), &m->ended, &m->lock, deadline);
	pthread_mutex_unlock(&m->lock);
	if (run)
		return error_set(err, ERR_TIMEOUT, "workers still run after %llu ms",
				 (unsigned long long)(grace / USEC_PER_MSEC));
	for (size_t i = 0; i < m->n_controllers; i++) {
		for (unsigned j = 0; j < m->controllers[i]->spec.workers; j++) {
			Worker *w = &m->controllers[i]->workers[j];

			if (w->started)
				pthread_join(w->thread, NULL);
			w->started = false;
		}
	}
	return 0;
}

/* ---- health and figures ---- */

static bool is_overdue(const Worker *w, usec_t now)
{
	return w->started && w->since &&
	       now > w->since + w->controller->spec.deadline + DEADLINE_SLACK;
}

bool manager_is_healthy(Manager *m, char *why, size_t size)
{
	usec_t now = clock_now(m->clock);
	char buf[KEY_TEXT_MAX];
	bool healthy = true;

	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; healthy && i < m->n_controllers; i++) {
		Controller *c = m->controllers[i];

		for (unsigned j = 0; healthy && j < c->spec.workers; j++) {
			if (!is_overdue(&c->workers[j], now))
				continue;
			healthy = false;
			if (why)
				snprintf(why, size, "reconcile of %s runs since %llu s",
					 key_format(&c->workers[j].key, buf, sizeof(buf)),
					 (unsigned long long)((now - c->workers[j].since) /
							      USEC_PER_SEC));
		}
	}
	pthread_mutex_unlock(&m->lock);
	return healthy;
}

/* True if nothing is ready or runs; *ret_work counts what was ever asked and taken. */
static bool is_idle(Manager *m, uint64_t *ret_work)
{
	WorkqueueStats s;
	bool idle = true;

	*ret_work = 0;
	for (size_t i = 0; i < m->n_controllers; i++) {
		workqueue_stats(m->controllers[i]->queue, &s);
		idle = idle && s.ready == 0 && s.processing == 0;
		*ret_work += s.adds + s.gets;
	}
	return idle;
}

int manager_wait_idle(Manager *m, usec_t timeout, Error *err)
{
	usec_t deadline = clock_now(clock_system()) + timeout;
	uint64_t before, after;
	int rc = 0;

	pthread_mutex_lock(&m->lock);
	/* Twice the same, or a key could have moved from a queue not yet seen to one seen. */
	while (!(is_idle(m, &before) && is_idle(m, &after) && before == after) && rc == 0) {
		if (clock_now(clock_system()) >= deadline)
			rc = error_set(err, ERR_TIMEOUT, "controllers are still busy");
		else
			clock_wait(clock_system(), &m->ended, &m->lock,
				   clock_now(clock_system()) + USEC_PER_MSEC);
	}
	pthread_mutex_unlock(&m->lock);
	return rc;
}

void manager_stats(Manager *m, void (*fn)(void *arg, const ControllerStats *s), void *arg)
{
	for (size_t i = 0; i < m->n_controllers; i++) {
		Controller *c = m->controllers[i];
		ControllerStats s = { .name = c->spec.name };

		workqueue_stats(c->queue, &s.queue);
		s.workers = c->spec.workers;
		s.active = (unsigned)s.queue.processing;
		s.waits = workqueue_waits(c->queue);
		s.works = workqueue_works(c->queue);
		s.durations = &c->durations;
		pthread_mutex_lock(&c->lock);
		memcpy(s.results, c->results, sizeof(s.results));
		s.terminal = c->terminal;
		pthread_mutex_unlock(&c->lock);
		fn(arg, &s);
	}
}
