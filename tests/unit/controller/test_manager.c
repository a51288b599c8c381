/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manager: what wakes a reconcile, what is done with its result, how failures are told, health and
 * stopping. The clock is a fake one; a worker that must be waited for is waited for by
 * manager_wait_idle().
 */
#include "tests/unit/store/fixture.h"

#include <pthread.h>
#include <sched.h>

#include "base/log.h"
#include "controller/controller.h"

#define PATIENCE (60 * USEC_PER_SEC)

typedef struct Probe {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	char seen[4096]; /* names in order of reconcile */
	int runs;
	int rc;           /* what to return */
	const char *text; /* of the failure */
	usec_t requeue;
	bool block; /* until it is cleared, or canceled */
	bool canceled;
} Probe;

typedef struct World {
	Fixture *f;
	Manager *m;
	Probe probe;
} World;

static int reconcile(void *self, Context *ctx, const Key *key, Result *ret, Error *err)
{
	Probe *p = self;
	int rc;

	pthread_mutex_lock(&p->lock);
	text_add(p->seen, sizeof(p->seen), key->name);
	text_add(p->seen, sizeof(p->seen), " ");
	p->runs++;
	pthread_cond_broadcast(&p->cond);
	while (p->block && !context_is_canceled(ctx))
		clock_wait(clock_system(), &p->cond, &p->lock,
			   clock_now(clock_system()) + USEC_PER_MSEC);
	p->canceled = context_is_canceled(ctx);
	rc = p->rc;
	ret->requeue_after = p->requeue;
	if (rc < 0)
		error_set(err, (ErrorCode)-rc, "%s", p->text ? p->text : "no luck");
	pthread_mutex_unlock(&p->lock);
	return rc;
}

static const GroupResource *config_gr(void)
{
	return GR_CONFIGMAP;
}

static const GroupResource *secret_gr(void)
{
	return GR_SECRET;
}

/* A secret wakes the ConfigMap of its name. */
static void map_secret(const WatchEvent *e, Workqueue *q, void *self)
{
	Key key = config_key(object_key(e->object)->name);

	(void)self;
	workqueue_add(q, &key);
}

static const Trigger triggers[] = {
	{secret_gr,   when_any, map_secret },
	{ NULL},
};

static World *world_new(const ControllerSpec *spec)
{
	World *w = xnew0(World, 1);
	ControllerSpec s = spec ? *spec : (ControllerSpec){ 0 };

	w->f = fixture_new(0);
	w->m = manager_new(w->f->s, w->f->clock);
	pthread_mutex_init(&w->probe.lock, NULL);
	clock_cond_init(&w->probe.cond);
	s.name = "probe";
	s.gr = config_gr();
	s.triggers = triggers;
	s.reconcile = reconcile;
	manager_add(w->m, &s, &w->probe);
	return w;
}

static void world_free(World *w)
{
	assert_int_equal(manager_stop(w->m, PATIENCE, NULL), 0);
	manager_free(w->m);
	fixture_teardown((void **)&w->f);
	free(w);
}

static void start(World *w)
{
	assert_int_equal(manager_start(w->m, NULL), 0);
	assert_int_equal(manager_wait_idle(w->m, PATIENCE, NULL), 0);
}

/* What ran since the last question. */
static void expect_seen(World *w, const char *names)
{
	assert_int_equal(manager_wait_idle(w->m, PATIENCE, NULL), 0);
	pthread_mutex_lock(&w->probe.lock);
	assert_string_equal(w->probe.seen, names);
	*w->probe.seen = '\0';
	pthread_mutex_unlock(&w->probe.lock);
}

static void set_result(World *w, int rc, const char *text, usec_t requeue)
{
	pthread_mutex_lock(&w->probe.lock);
	w->probe.rc = rc;
	w->probe.text = text;
	w->probe.requeue = requeue;
	pthread_mutex_unlock(&w->probe.lock);
}

static void wait_runs(World *w, int n)
{
	usec_t deadline = clock_now(clock_system()) + PATIENCE;

	pthread_mutex_lock(&w->probe.lock);
	while (w->probe.runs < n && clock_now(clock_system()) < deadline)
		clock_wait(clock_system(), &w->probe.cond, &w->probe.lock, deadline);
	assert_true(w->probe.runs >= n);
	pthread_mutex_unlock(&w->probe.lock);
}

static void test_start_enqueues_all(void **state)
{
	World *w = world_new(NULL);

	(void)state;
	create_config(w->f->s, "b", "1");
	create_config(w->f->s, "a", "1");
	start(w);
	expect_seen(w, "a b ");
	world_free(w);
}

static void test_what_wakes(void **state)
{
	World *w = world_new(NULL);
	Key secret = key_make(GR_SECRET, "default", "s"), other = key_make(GR_NODE, "", "n");
	Key a = config_key("a");

	(void)state;
	start(w);
	create_config(w->f->s, "a", "1");
	expect_seen(w, "a ");
	set_config(w->f->s, "a", "2");
	expect_seen(w, "a ");
	set_config(w->f->s, "a", "2");
	expect_seen(w, "");
	create_tree(w->f->s, &secret,
		    json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "Secret",
			      "metadata", "name", "s"),
		    NULL);
	expect_seen(w, "s ");
	delete_config(w->f->s, "a");
	expect_seen(w, "a ");
	manager_enqueue(w->m, &a);
	expect_seen(w, "a ");
	manager_enqueue(w->m, &other);
	expect_seen(w, "");
	manager_enqueue_after(w->m, &a, USEC_PER_SEC);
	expect_seen(w, "");
	fake_clock_advance(w->f->clock, USEC_PER_SEC);
	expect_seen(w, "a ");
	create_config(w->f->s, "c", "1");
	expect_seen(w, "c ");
	manager_resync(w->m, NULL);
	expect_seen(w, "c ");
	world_free(w);
}

static void test_requeue_and_resync(void **state)
{
	World *w = world_new(&(ControllerSpec){ .resync = USEC_PER_MIN });

	(void)state;
	create_config(w->f->s, "a", "1");
	set_result(w, 0, NULL, 3 * USEC_PER_SEC);
	start(w);
	expect_seen(w, "a ");
	fake_clock_advance(w->f->clock, 3 * USEC_PER_SEC - 1);
	expect_seen(w, "");
	set_result(w, 0, NULL, 0);
	fake_clock_advance(w->f->clock, 1);
	expect_seen(w, "a ");
	/* From time to time, spread. */
	fake_clock_advance(w->f->clock, 45 * USEC_PER_SEC - 1);
	expect_seen(w, "");
	fake_clock_advance(w->f->clock, 15 * USEC_PER_SEC + 1);
	expect_seen(w, "a ");
	/* What is gone is left in peace. */
	delete_config(w->f->s, "a");
	expect_seen(w, "a ");
	fake_clock_advance(w->f->clock, USEC_PER_HOUR);
	expect_seen(w, "");
	world_free(w);
}

static void test_backoff_and_terminal(void **state)
{
	World *w = world_new(
		&(ControllerSpec){ .backoff_min = USEC_PER_SEC, .backoff_max = USEC_PER_MIN });

	(void)state;
	create_config(w->f->s, "a", "1");
	set_result(w, -ERR_UNAVAILABLE, "libvirt is away", 0);
	start(w);
	expect_seen(w, "a ");
	fake_clock_advance(w->f->clock, USEC_PER_SEC);
	expect_seen(w, "a ");
	fake_clock_advance(w->f->clock, USEC_PER_SEC);
	expect_seen(w, "");
	fake_clock_advance(w->f->clock, USEC_PER_SEC);
	expect_seen(w, "a ");
	/* What cannot be helped by trying again is tried at the slowest pace. */
	set_result(w, -ERR_INVALID, "never", 0);
	fake_clock_advance(w->f->clock, 4 * USEC_PER_SEC);
	expect_seen(w, "a ");
	fake_clock_advance(w->f->clock, 44 * USEC_PER_SEC);
	expect_seen(w, "");
	fake_clock_advance(w->f->clock, 16 * USEC_PER_SEC);
	expect_seen(w, "a ");
	world_free(w);
}

/* ---- how failures are told ---- */

typedef struct Lines {
	pthread_mutex_t lock;
	int warnings;
	char fields[512], id[64];
} Lines;

static void sink(void *arg, LogLevel level, const char *message_id, const char *text,
		 const LogField *fields, size_t n_fields)
{
	Lines *l = arg;

	(void)text;
	if (level != LOG_LEVEL_WARNING)
		return;
	pthread_mutex_lock(&l->lock);
	l->warnings++;
	snprintf(l->id, sizeof(l->id), "%s", message_id ? message_id : "");
	*l->fields = '\0';
	for (size_t i = 0; i < n_fields; i++) {
		text_add(l->fields, sizeof(l->fields), fields[i].name);
		text_add(l->fields, sizeof(l->fields), "=");
		text_add(l->fields, sizeof(l->fields), fields[i].value);
		text_add(l->fields, sizeof(l->fields), " ");
	}
	pthread_mutex_unlock(&l->lock);
}

static int warnings(Lines *l)
{
	int n;

	pthread_mutex_lock(&l->lock);
	n = l->warnings;
	pthread_mutex_unlock(&l->lock);
	return n;
}

static void test_failures_are_told_once(void **state)
{
	Lines l = { .lock = PTHREAD_MUTEX_INITIALIZER };
	World *w = world_new(
		&(ControllerSpec){ .backoff_min = USEC_PER_SEC, .backoff_max = USEC_PER_SEC });

	(void)state;
	log_set_sink(sink, &l);
	create_config(w->f->s, "a", "1");
	set_result(w, -ERR_UNAVAILABLE, "libvirt is away", 0);
	start(w);
	for (int i = 0; i < 5; i++) {
		fake_clock_advance(w->f->clock, USEC_PER_SEC);
		assert_int_equal(manager_wait_idle(w->m, PATIENCE, NULL), 0);
	}
	assert_int_equal(warnings(&l), 1);
	assert_string_equal(l.id, "e982f3ec8d0947c2b55267c95969a399");
	assert_non_null(
		strstr(l.fields, "SF_KIND=ConfigMap SF_NAMESPACE=default SF_NAME=a SF_UID="));
	assert_non_null(strstr(l.fields, "SF_REASON=ReconcileFailed"));
	set_result(w, -ERR_UNAVAILABLE, "another thing", 0);
	fake_clock_advance(w->f->clock, USEC_PER_SEC);
	assert_int_equal(manager_wait_idle(w->m, PATIENCE, NULL), 0);
	assert_int_equal(warnings(&l), 2);
	fake_clock_advance(w->f->clock, USEC_PER_HOUR);
	assert_int_equal(manager_wait_idle(w->m, PATIENCE, NULL), 0);
	assert_int_equal(warnings(&l), 3);
	/* After a success the same text is news again. */
	set_result(w, 0, NULL, 0);
	fake_clock_advance(w->f->clock, USEC_PER_SEC);
	assert_int_equal(manager_wait_idle(w->m, PATIENCE, NULL), 0);
	set_result(w, -ERR_UNAVAILABLE, "another thing", 0);
	set_config(w->f->s, "a", "2");
	assert_int_equal(manager_wait_idle(w->m, PATIENCE, NULL), 0);
	assert_int_equal(warnings(&l), 4);
	world_free(w);
	log_set_sink(NULL, NULL);
}

static void test_conflicts_are_weather(void **state)
{
	Lines l = { .lock = PTHREAD_MUTEX_INITIALIZER };
	World *w = world_new(NULL);

	(void)state;
	log_set_sink(sink, &l);
	create_config(w->f->s, "a", "1");
	set_result(w, -ERR_CONFLICT, "changed", 0);
	assert_int_equal(manager_start(w->m, NULL), 0);
	/* Ten are tried again at once and in silence; one that never ends is told and backs off. */
	wait_runs(w, 11);
	assert_int_equal(manager_wait_idle(w->m, PATIENCE, NULL), 0);
	assert_int_equal(w->probe.runs, 11);
	assert_int_equal(warnings(&l), 1);
	world_free(w);
	log_set_sink(NULL, NULL);
}

/* ---- health, stopping ---- */

static void test_health(void **state)
{
	World *w = world_new(&(ControllerSpec){ .deadline = USEC_PER_MIN });
	char why[256] = "";

	(void)state;
	w->probe.block = true;
	create_config(w->f->s, "a", "1");
	assert_int_equal(manager_start(w->m, NULL), 0);
	wait_runs(w, 1);
	fake_clock_advance(w->f->clock, USEC_PER_MIN);
	assert_true(manager_is_healthy(w->m, why, sizeof(why)));
	fake_clock_advance(w->f->clock, USEC_PER_MIN);
	assert_false(manager_is_healthy(w->m, why, sizeof(why)));
	assert_non_null(strstr(why, "configmaps default/a runs since 120 s"));
	pthread_mutex_lock(&w->probe.lock);
	w->probe.block = false;
	pthread_cond_broadcast(&w->probe.cond);
	pthread_mutex_unlock(&w->probe.lock);
	assert_int_equal(manager_wait_idle(w->m, PATIENCE, NULL), 0);
	assert_true(manager_is_healthy(w->m, NULL, 0));
	world_free(w);
}

static void test_stop_cancels(void **state)
{
	World *w = world_new(NULL);

	(void)state;
	w->probe.block = true;
	create_config(w->f->s, "a", "1");
	assert_int_equal(manager_start(w->m, NULL), 0);
	wait_runs(w, 1);
	assert_int_equal(manager_wait_idle(w->m, USEC_PER_MSEC, NULL), -ERR_TIMEOUT);
	assert_int_equal(manager_stop(w->m, PATIENCE, NULL), 0);
	assert_true(w->probe.canceled);
	world_free(w);
}

static void add_up(void *arg, const ControllerStats *s)
{
	for (size_t i = 0; i < _RECONCILE_MAX; i++)
		*(uint64_t *)arg += s->results[i];
	assert_string_equal(s->name, "probe");
}

static void test_many_keys_many_workers(void **state)
{
	World *w = world_new(&(ControllerSpec){ .workers = 4 });
	uint64_t runs = 0;
	char name[16];

	(void)state;
	start(w);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		create_config(w->f->s, name, "1");
	}
	assert_int_equal(manager_wait_idle(w->m, PATIENCE, NULL), 0);
	manager_stats(w->m, add_up, &runs);
	assert_int_equal(runs, 100);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start_enqueues_all),
		cmocka_unit_test(test_what_wakes),
		cmocka_unit_test(test_requeue_and_resync),
		cmocka_unit_test(test_backoff_and_terminal),
		cmocka_unit_test(test_failures_are_told_once),
		cmocka_unit_test(test_conflicts_are_weather),
		cmocka_unit_test(test_health),
		cmocka_unit_test(test_stop_cancels),
		cmocka_unit_test(test_many_keys_many_workers),
	};

	log_set_level(LOG_LEVEL_WARNING);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
