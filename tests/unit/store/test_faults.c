/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults: commits that fail before or after they happened, for once and for ever, at every call of
 * the backend. Whatever the caller was told, memory, watchers and backend agree in the end, and
 * what was acknowledged is there.
 */
#include "tests/unit/store/fixture.h"

#include <pthread.h>
#include <sched.h>

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

static void last_value(void *arg, const WatchEvent *e)
{
	json_t *t = object_decode(e->object);

	snprintf(arg, 16, "%s", e->type == WATCH_DELETED ? "-" : json_string_at(t, "data.k"));
	json_decref(t);
}

/* Advances the clock until a commit is possible again; fails after ten seconds. */
static void wait_until_open(Fixture *f)
{
	usec_t deadline = clock_now(clock_system()) + 10 * USEC_PER_SEC;

	while (create_config(f->s, "probe", "1") != 0) {
		assert_true(clock_now(clock_system()) < deadline);
		fake_clock_advance(f->clock, USEC_PER_SEC);
		sched_yield();
	}
	assert_int_equal(delete_config(f->s, "probe"), 0);
}

static void test_lost_answer_is_found_out(void **state)
{
	Fixture *f = *state;
	_cleanup_(object_unrefp) Object *o = NULL;
	Key key = config_key("a");
	char seen[16] = "";
	StoreStats st;
	json_t *t = NULL;
	Watch *w;

	create_config(f->s, "a", "1");
	store_watch(f->s, GR_CONFIGMAP, store_revision(f->s), last_value, seen, &w, NULL);
	fault_backend_set_after(f->fault, true);
	fault_backend_set(f->fault, 1, false, ERR_UNAVAILABLE);
	/* It happened, the answer was lost: an error, and then the truth. */
	assert_int_equal(set_config(f->s, "a", "2"), -ERR_UNAVAILABLE);
	o = get(f->s, &key);
	assert_string_equal(field(o, "data.k", &t), "2");
	assert_string_equal(seen, "2");
	assert_int_equal(set_config(f->s, "a", "3"), 0);
	store_stats(f->s, &st);
	assert_int_equal(st.failures, 1);
	assert_int_equal(st.reloads, 1);
	watch_close(w);
	json_decref(t);
}

static void test_failed_commit_did_not_happen(void **state)
{
	Fixture *f = *state;
	_cleanup_(object_unrefp) Object *o = NULL;
	Key key = config_key("a");
	json_t *t = NULL;
	int64_t before;

	create_config(f->s, "a", "1");
	before = store_revision(f->s);
	fault_backend_set(f->fault, 1, false, ERR_INTERNAL);
	assert_int_equal(set_config(f->s, "a", "2"), -ERR_UNAVAILABLE);
	o = get(f->s, &key);
	assert_string_equal(field(o, "data.k", &t), "1");
	assert_int_equal(store_revision(f->s), before);
	assert_int_equal(set_config(f->s, "a", "3"), 0);
	json_decref(t);
}

/* For want of space, and the log says that it was not done: it is done in the space kept for that.
 */
static void test_no_space_once(void **state)
{
	Fixture *f = *state;
	_cleanup_(object_unrefp) Object *o = NULL;
	Key key = config_key("a");
	json_t *t = NULL;
	int64_t before;

	create_config(f->s, "a", "1");
	before = store_revision(f->s);
	fault_backend_set(f->fault, 1, false, ERR_EXHAUSTED);
	assert_int_equal(set_config(f->s, "a", "2"), 0);
	o = get(f->s, &key);
	assert_string_equal(field(o, "data.k", &t), "2");
	assert_int_equal(store_revision(f->s), before + 1);
	json_decref(t);
	/* It was done, or there is no end to it: told, and never done a second time. */
	fault_backend_set_after(f->fault, true);
	fault_backend_set(f->fault, 1, false, ERR_EXHAUSTED);
	assert_int_equal(set_config(f->s, "a", "3"), -ERR_EXHAUSTED);
	assert_int_equal(store_revision(f->s), before + 2);
	fault_backend_set_after(f->fault, false);
	fault_backend_set(f->fault, 1, true, ERR_EXHAUSTED);
	assert_int_equal(set_config(f->s, "a", "4"), -ERR_EXHAUSTED);
	assert_int_equal(store_revision(f->s), before + 2);
}

/* Reads go on while the backend is away; writes are refused and work again once it is back. */
static void test_backend_away(void **state)
{
	Fixture *f = *state;
	Key key = config_key("a");

	create_config(f->s, "a", "1");
	fault_backend_set(f->fault, 1, true, ERR_UNAVAILABLE);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(set_config(f->s, "a", "2"), -ERR_UNAVAILABLE);
		assert_true(store_exists(f->s, &key));
		fake_clock_advance(f->clock, 10 * USEC_PER_SEC);
	}
	fault_backend_set(f->fault, 0, false, ERR_UNAVAILABLE);
	wait_until_open(f);
	assert_int_equal(set_config(f->s, "a", "2"), 0);
}

/* A scenario of all kinds of writes; how often an acknowledged one was lost. */
static void run_scenario(Fixture *f, unsigned n, bool for_ever, bool after)
{
	int64_t acknowledged = 0, rev;
	char name[16];

	fault_backend_set_after(f->fault, after);
	fault_backend_set(f->fault, n, for_ever, ERR_UNAVAILABLE);
	for (int i = 0; i < 12; i++) {
		Key key;

		snprintf(name, sizeof(name), "c%d", i % 4);
		key = config_key(name);
		if (!store_exists(f->s, &key) ? create_config(f->s, name, "x") == 0
		    : i % 3                   ? set_config(f->s, name, name) == 0
					      : delete_config(f->s, name) == 0) {
			rev = store_revision(f->s);
			assert_true(rev > acknowledged || i % 3);
			acknowledged = rev;
		}
		fake_clock_advance(f->clock, USEC_PER_SEC);
	}
	fault_backend_set(f->fault, 0, false, ERR_UNAVAILABLE);
	wait_until_open(f);
	assert_true(store_revision(f->s) >= acknowledged);
}

typedef struct Mirror {
	char names[16][KEY_NAME_MAX];
	int n;
} Mirror;

/* Memory as a watcher would build it. */
static void mirror(void *arg, const WatchEvent *e)
{
	const char *name = object_key(e->object)->name;
	Mirror *m = arg;
	int i;

	for (i = 0; i < m->n && !streq(m->names[i], name); i++)
		;
	assert_true((e->type == WATCH_ADDED) == (i == m->n));
	if (e->type == WATCH_ADDED)
		snprintf(m->names[m->n++], KEY_NAME_MAX, "%s", name);
	else if (e->type == WATCH_DELETED)
		memmove(m->names[i], m->names[--m->n], KEY_NAME_MAX);
}

static int same_as_memory(void *arg, const Record *r)
{
	Fixture *f = arg;
	_cleanup_(object_unrefp) Object *o = get(f->s, &r->key);

	assert_int_equal(object_revision(o), r->rev);
	assert_int_equal(object_create_revision(o), r->create_rev);
	assert_int_equal(strlen(object_text(o, NULL)), r->body_len);
	assert_memory_equal(object_text(o, NULL), r->body, r->body_len);
	return 0;
}

typedef struct Look {
	Fixture *f;
	int64_t rev, store_rev;
	int rc;
	atomic_bool done;
} Look;

/* A backend is the writer's alone while the store is open: looked at where the writer answers. */
static void look(void *arg, int rc, const TxnResult *result, const Error *err)
{
	int64_t compacted;
	Look *l = arg;

	(void)result;
	(void)err;
	l->rc = rc < 0 ? rc
		       : l->f->fault->ops->load(l->f->fault, same_as_memory, l->f, &l->rev,
						&compacted, NULL);
	l->store_rev = store_revision(l->f->s);
	atomic_store(&l->done, true);
}

static void assert_backend_is_memory(Fixture *f)
{
	usec_t deadline = clock_now(clock_system()) + 10 * USEC_PER_SEC;
	_cleanup_(json_decrefp) json_t *tree = config_tree("last", "1");
	Key key = config_key("last");
	Look l = { .f = f };
	Txn *t = txn_new();

	txn_create(t, &key, tree, false);
	store_commit_async(f->s, t, look, &l);
	while (!atomic_load(&l.done)) {
		assert_true(clock_now(clock_system()) < deadline);
		sched_yield();
	}
	assert_int_equal(l.rc, 0);
	assert_int_equal(l.rev, l.store_rev);
}

static void test_sweep(void **state)
{
	unsigned runs = 0;

	(void)state;
	for (int mode = 0; mode < 4; mode++) {
		for (unsigned n = 1; n <= 20; n++) {
			Fixture *f = fixture_new(8);
			_cleanup_(object_list_freep) ObjectList *l = NULL;
			ListOptions o = { .gr = GR_CONFIGMAP };
			Mirror m = { 0 };
			Watch *w;

			store_watch(f->s, GR_CONFIGMAP, store_revision(f->s), mirror, &m, &w, NULL);
			run_scenario(f, n, mode & 1, mode & 2);
			assert_int_equal(store_list(f->s, &o, &l, NULL), 0);
			assert_int_equal(l->n, m.n);
			watch_close(w);
			assert_backend_is_memory(f);
			fixture_teardown((void **)&f);
			runs++;
		}
	}
	assert_int_equal(runs, 80);
}

/* Opening fails cleanly at each call it makes. */
static void test_open_sweep(void **state)
{
	unsigned n;

	(void)state;
	for (n = 1; n < 50; n++) {
		KindRegistry *kinds = kind_registry_new();
		Backend *b = fault_backend_new(memory_backend_new());
		_cleanup_(error_done) Error err = ERROR_INIT;
		Store *s = NULL;
		int rc;

		fault_backend_set(b, n, false, ERR_UNAVAILABLE);
		rc = store_open(b, &(StoreOptions){ .kinds = kinds }, &s, &err);
		if (rc < 0)
			assert_true(err.code != ERR_NONE);
		store_free(s);
		kind_registry_free(kinds);
		if (rc == 0)
			break;
	}
	assert_true(n > 4 && n < 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lost_answer_is_found_out),
		TEST(test_failed_commit_did_not_happen),
		TEST(test_no_space_once),
		TEST(test_backend_away),
		cmocka_unit_test(test_sweep),
		cmocka_unit_test(test_open_sweep),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
