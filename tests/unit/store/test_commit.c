/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commits: internal records, requirements, dry run, commits that are answered later, and that what
 * waits together is written together.
 */
#include "tests/unit/store/fixture.h"

#include <pthread.h>

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

/* ---- records ---- */

static int collect_names(void *arg, const Key *key, const json_t *body, int64_t rev)
{
	char *names = arg;

	assert_true(json_is_object(body) && rev > 0);
	text_add(names, 512, key->name);
	text_add(names, 512, " ");
	return 0;
}

static int claim(Store *s, const char *name, const char *owner, int64_t rev)
{
	Key key = key_make(GR_ALLOC, "", name);
	json_t *body = json_pack("{s:s}", "owner", owner);
	Txn *t = txn_new();

	txn_record_put(t, &key, body, rev);
	json_decref(body);
	return commit(s, t, NULL, NULL);
}

static void test_records(void **state)
{
	Fixture *f = *state;
	Key key = key_make(GR_ALLOC, "", "vni/7");
	int64_t rev = 0, before;
	char names[512] = "";
	json_t *body = NULL;
	Txn *t;

	assert_int_equal(claim(f->s, "vni/7", "a", 0), 0);
	assert_int_equal(claim(f->s, "vni/7", "b", 0), -ERR_CONFLICT);
	assert_int_equal(claim(f->s, "vni/12", "b", 0), 0);
	assert_int_equal(claim(f->s, "mac/1", "b", -2), 0);
	assert_int_equal(store_record_get(f->s, &key, &body, &rev, NULL), 0);
	assert_string_equal(json_string_at(body, "owner"), "a");
	json_decref(body);
	assert_int_equal(store_record_list(f->s, GR_ALLOC, "vni/", collect_names, names, NULL), 0);
	assert_string_equal(names, "vni/12 vni/7 ");
	/* The same again writes nothing; another revision does not match. */
	before = store_revision(f->s);
	assert_int_equal(claim(f->s, "vni/7", "a", -2), 0);
	assert_int_equal(store_revision(f->s), before);
	assert_int_equal(claim(f->s, "vni/7", "c", rev + 100), -ERR_CONFLICT);
	assert_int_equal(claim(f->s, "vni/7", "c", rev), 0);
	t = txn_new();
	txn_record_delete(t, &key, -1);
	assert_int_equal(commit(f->s, t, NULL, NULL), 0);
	assert_int_equal(store_record_get(f->s, &key, &body, &rev, NULL), -ERR_NOT_FOUND);
	t = txn_new();
	txn_record_delete(t, &key, -2);
	assert_int_equal(commit(f->s, t, NULL, NULL), 0);
}

/* An allocation and the status that tells of it stand or fall together. */
static void test_record_and_status_together(void **state)
{
	Fixture *f = *state;
	_cleanup_(object_unrefp) Object *a = make_instance(f->s, "a", NULL);
	Key alloc = key_make(GR_ALLOC, "", "address/10.0.0.2");
	json_t *status = json_pack("{s:s}", "printableStatus", "Running"), *body = json_object();
	Txn *t = txn_new();

	txn_update_status(t, a, status);
	txn_record_put(t, &alloc, body, 0);
	assert_int_equal(commit(f->s, t, NULL, NULL), 0);
	t = txn_new();
	txn_update_status(t, a, status);
	txn_record_put(t, &alloc, body, -2);
	assert_int_equal(commit(f->s, t, NULL, NULL), -ERR_CONFLICT);
	json_decref(status);
	json_decref(body);
}

static void test_requirements(void **state)
{
	Fixture *f = *state;
	Key a = config_key("a"), b = config_key("b");
	json_t *tree = config_tree("a", "1");
	Txn *t = txn_new();

	txn_require(t, &b, -1);
	txn_create(t, &a, tree, false);
	assert_int_equal(commit(f->s, t, NULL, NULL), -ERR_CONFLICT);
	create_config(f->s, "b", "1");
	t = txn_new();
	txn_require(t, &b, -1);
	txn_require_namespace_active(t, "default");
	txn_create(t, &a, tree, false);
	assert_int_equal(commit(f->s, t, NULL, NULL), 0);
	json_decref(tree);
}

/* Whatever its revision, but the very object, and not on its way out. */
static void test_require_active(void **state)
{
	Fixture *f = *state;
	static const char finalizer[] = "example.com/hold";
	_cleanup_(object_unrefp) Object *old = make_instance(f->s, "a", finalizer), *now = NULL;
	Key alloc = key_make(GR_ALLOC, "", "address/10.0.0.2"), key = *object_key(old);
	json_t *body = json_object(), *status = json_pack("{s:s}", "printableStatus", "Running");

	for (int i = 0; i < 4; i++) {
		Txn *t = txn_new(), *change = txn_new();

		txn_require_active(t, old);
		txn_record_put(t, &alloc, body, -2);
		json_object_set_new(body, "i", json_integer(i));
		assert_int_equal(commit(f->s, t, NULL, NULL), i < 2 ? 0 : -ERR_CONFLICT);
		now = object_unref(now);
		(void)store_get(f->s, &key, &now, NULL);
		if (i == 0)
			txn_update_status(change, now, status);
		else if (i == 1)
			txn_delete(change, now, NULL);
		else if (i == 2)
			txn_finalize(change, now, finalizer);
		assert_int_equal(commit(f->s, change, NULL, NULL), 0);
	}
	now = object_unref(now);
	now = make_instance(f->s, "a", NULL);
	{
		Txn *t = txn_new();

		txn_require_active(t, old);
		txn_record_put(t, &alloc, body, -2);
		assert_int_equal(commit(f->s, t, NULL, NULL), -ERR_CONFLICT);
	}
	json_decref(status);
	json_decref(body);
}

static void test_dry_run(void **state)
{
	Fixture *f = *state;
	_cleanup_(txn_freep) Txn *t = txn_new(), *u = txn_new();
	Key key = config_key("a");
	json_t *tree = config_tree("a", "1");
	int64_t before = store_revision(f->s);
	TxnResult r = { 0 };

	txn_create(t, &key, tree, false);
	assert_int_equal(store_dry_run(f->s, t, &r, NULL), 0);
	assert_true(r.changed);
	assert_true(uuid_is_valid(object_head(r.objects[0])->uid));
	txn_result_done(&r);
	assert_false(store_exists(f->s, &key));
	assert_int_equal(store_revision(f->s), before);
	create_config(f->s, "a", "1");
	assert_int_equal(store_dry_run(f->s, t, &r, NULL), -ERR_EXISTS);
	json_decref(tree);
}

typedef struct Async {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int done, rc, objects;
} Async;

static void on_async(void *arg, int rc, const TxnResult *result, const Error *err)
{
	Async *a = arg;

	pthread_mutex_lock(&a->lock);
	a->done++;
	a->rc = rc;
	a->objects = result ? (int)result->n_objects : -1;
	assert_true(rc == 0 || err->code != ERR_NONE);
	pthread_cond_signal(&a->cond);
	pthread_mutex_unlock(&a->lock);
}

static void test_async(void **state)
{
	Fixture *f = *state;
	Async a = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	Key key = config_key("a");
	json_t *tree = config_tree("a", "1");

	for (int i = 0; i < 2; i++) {
		Txn *t = txn_new();

		txn_create(t, &key, tree, false);
		store_commit_async(f->s, t, on_async, &a);
		pthread_mutex_lock(&a.lock);
		while (a.done <= i)
			pthread_cond_wait(&a.cond, &a.lock);
		pthread_mutex_unlock(&a.lock);
		assert_int_equal(a.rc, i == 0 ? 0 : -ERR_EXISTS);
		assert_int_equal(a.objects, i == 0 ? 1 : -1);
	}
	json_decref(tree);
}

static void test_canceled_before_commit(void **state)
{
	Fixture *f = *state;
	atomic_bool canceled = true;
	Context ctx = { .clock = f->clock, .deadline = USEC_INFINITY, .canceled = &canceled };
	_cleanup_(txn_freep) Txn *t = txn_new();
	Key key = config_key("a");
	json_t *tree = config_tree("a", "1");

	txn_create(t, &key, tree, false);
	json_decref(tree);
	assert_int_equal(store_commit(f->s, &ctx, t, NULL, NULL), -ERR_CANCELED);
	assert_false(store_exists(f->s, &key));
}

/* ---- group commit ---- */

typedef struct Gate {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool inside, open;
	int answered;
	char order[1024];
} Gate;

/* Holds the writer until the gate opens. */
static void hold(void *arg, const WatchEvent *e)
{
	Gate *g = arg;

	if (!streq(object_key(e->object)->name, "gate"))
		return;
	pthread_mutex_lock(&g->lock);
	g->inside = true;
	pthread_cond_broadcast(&g->cond);
	while (!g->open)
		pthread_cond_wait(&g->cond, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

typedef struct Wish {
	Gate *gate;
	char name[16];
} Wish;

static void on_answer(void *arg, int rc, const TxnResult *result, const Error *err)
{
	Wish *w = arg;

	(void)result;
	(void)err;
	pthread_mutex_lock(&w->gate->lock);
	if (rc == 0) {
		text_add(w->gate->order, sizeof(w->gate->order), w->name);
		text_add(w->gate->order, sizeof(w->gate->order), " ");
	}
	w->gate->answered++;
	pthread_cond_broadcast(&w->gate->cond);
	pthread_mutex_unlock(&w->gate->lock);
}

static void wish(Store *s, Gate *g, Wish *w, unsigned i, const char *name)
{
	Key key = config_key(name);
	json_t *tree = config_tree(name, "1");
	Txn *t = txn_new();

	*w = (Wish){ .gate = g };
	snprintf(w->name, sizeof(w->name), "%u", i);
	txn_create(t, &key, tree, false);
	json_decref(tree);
	store_commit_async(s, t, on_answer, w);
}

static void gate_wait(Gate *g, const bool *flag, int answered)
{
	pthread_mutex_lock(&g->lock);
	while (!*flag || g->answered < answered)
		pthread_cond_wait(&g->cond, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

/* Thirty that wait are one write; the second of a name waits for the next, and fails alone. */
static void test_what_waits_is_written_together(void **state)
{
	Fixture *f = *state;
	Gate g = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	StoreStats before, after;
	char expected[1024] = "gate ", name[16];
	Wish wishes[32];
	Watch *w;

	store_watch(f->s, GR_CONFIGMAP, store_revision(f->s), hold, &g, &w, NULL);
	wish(f->s, &g, &wishes[30], 30, "gate");
	snprintf(wishes[30].name, sizeof(wishes[30].name), "gate");
	gate_wait(&g, &g.inside, 0);
	store_stats(f->s, &before);
	for (unsigned i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		wish(f->s, &g, &wishes[i], i, name);
		snprintf(name, sizeof(name), "%u ", i);
		text_add(expected, sizeof(expected), name);
	}
	wish(f->s, &g, &wishes[31], 31, "c7");
	pthread_mutex_lock(&g.lock);
	g.open = true;
	pthread_cond_broadcast(&g.cond);
	pthread_mutex_unlock(&g.lock);
	gate_wait(&g, &g.open, 32);
	store_stats(f->s, &after);
	assert_int_equal(after.commits - before.commits, 1);
	assert_int_equal(after.txns - before.txns, 30);
	assert_string_equal(g.order, expected);
	watch_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_records),
		TEST(test_record_and_status_together),
		TEST(test_requirements),
		TEST(test_require_active),
		TEST(test_dry_run),
		TEST(test_async),
		TEST(test_canceled_before_commit),
		TEST(test_what_waits_is_written_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
