/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches and lists: every change exactly once and in order, history first, 410 for what is
 * compacted; pages of one snapshot while the store changes underneath.
 */
#include "base/base64.h"
#include "tests/unit/store/fixture.h"

#include <pthread.h>
#include <sched.h>

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

typedef struct Log {
	pthread_mutex_t lock;
	char text[16384];
	int64_t last;
	int n;
	bool disorder;
	Watch *close_at_first;
} Log;

#define LOG_INIT \
	(Log) \
	{ \
		.lock = PTHREAD_MUTEX_INITIALIZER \
	}

static void on_event(void *arg, const WatchEvent *e)
{
	static const char signs[] = { '+', '~', '-' };
	Log *l = arg;
	size_t n;

	pthread_mutex_lock(&l->lock);
	n = strlen(l->text);
	snprintf(l->text + n, sizeof(l->text) - n, "%c%s", signs[e->type],
		 object_key(e->object)->name);
	n = strlen(l->text);
	snprintf(l->text + n, sizeof(l->text) - n, " ");
	l->disorder |= e->revision <= l->last || object_revision(e->object) != e->revision ||
		       (e->type == WATCH_ADDED) != (e->old == NULL);
	l->last = e->revision;
	l->n++;
	if (l->close_at_first)
		l->close_at_first = watch_close(l->close_at_first);
	pthread_mutex_unlock(&l->lock);
}

/* Until n events have come; fails after ten seconds. */
static void wait_for(Log *l, int n)
{
	usec_t deadline = clock_now(clock_system()) + 10 * USEC_PER_SEC;
	int seen;

	do {
		pthread_mutex_lock(&l->lock);
		seen = l->n;
		pthread_mutex_unlock(&l->lock);
		if (seen < n)
			sched_yield();
	} while (seen < n && clock_now(clock_system()) < deadline);
	assert_int_equal(seen, n);
	assert_false(l->disorder);
}

static void test_live_events(void **state)
{
	Fixture *f = *state;
	Log l = LOG_INIT;
	Watch *w;

	assert_int_equal(
		store_watch(f->s, GR_CONFIGMAP, store_revision(f->s), on_event, &l, &w, NULL), 0);
	create_config(f->s, "a", "1");
	create_config(f->s, "b", "1");
	set_config(f->s, "a", "2");
	delete_config(f->s, "b");
	/* What a commit did is delivered before it is answered. */
	assert_int_equal(l.n, 4);
	assert_string_equal(l.text, "+a +b ~a -b ");
	assert_false(l.disorder);
	watch_close(w);
	create_config(f->s, "c", "1");
	assert_int_equal(l.n, 4);
}

static void test_history_then_live(void **state)
{
	Fixture *f = *state;
	int64_t start = store_revision(f->s);
	Log l = LOG_INIT, half = LOG_INIT;
	Watch *w, *v;

	create_config(f->s, "a", "1");
	set_config(f->s, "a", "2");
	assert_int_equal(store_watch(f->s, GR_CONFIGMAP, start, on_event, &l, &w, NULL), 0);
	assert_int_equal(store_watch(f->s, NULL, start + 1, on_event, &half, &v, NULL), 0);
	create_config(f->s, "b", "1");
	wait_for(&l, 3);
	assert_string_equal(l.text, "+a ~a +b ");
	wait_for(&half, 2);
	assert_string_equal(half.text, "~a +b ");
	watch_close(w);
	watch_close(v);
}

static void test_other_kinds_are_left_out(void **state)
{
	Fixture *f = *state;
	Log l = LOG_INIT;
	Watch *w;

	store_watch(f->s, GR_SECRET, store_revision(f->s), on_event, &l, &w, NULL);
	create_config(f->s, "a", "1");
	watch_close(w);
	assert_int_equal(l.n, 0);
}

static void create_in(Store *s, const char *namespace, const char *name)
{
	Key key = key_make(GR_CONFIGMAP, namespace, name);

	assert_int_equal(create_tree(s, &key, config_tree(name, "1"), NULL), 0);
}

/* Each narrowness sees its own events and no others, live and from the history alike. */
static void test_filters(void **state)
{
	static const struct {
		const char *namespace, *name, *want;
	} cases[] = {
		{NULL,       NULL, "+a +b +a -a "},
                { "default", NULL, "+a +b -a "   },
		{ "other",   "",   "+a "         },
                { NULL,      "a",  "+a +a -a "   },
		{ "default", "a",  "+a -a "      },
                { "other",   "b",  ""            },
	};
	Fixture *f = *state;
	Log live[ARRAY_SIZE(cases)], past[ARRAY_SIZE(cases)];
	Watch *w[ARRAY_SIZE(cases)];
	Key namespace = key_make(GR_NAMESPACE, "", "other");
	int64_t start;

	create_tree(f->s, &namespace,
		    json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "Namespace",
			      "metadata", "name", "other"),
		    NULL);
	start = store_revision(f->s);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		WatchFilter filter = { GR_CONFIGMAP, cases[i].namespace, cases[i].name };

		live[i] = past[i] = LOG_INIT;
		assert_int_equal(
			store_watch_filtered(f->s, &filter, start, on_event, &live[i], &w[i], NULL),
			0);
	}
	create_in(f->s, "default", "a");
	create_in(f->s, "default", "b");
	create_in(f->s, "other", "a");
	delete_config(f->s, "a");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		WatchFilter filter = { GR_CONFIGMAP, cases[i].namespace, cases[i].name };

		/* Nothing that concerned it happened, and yet it knows how far the store is. */
		assert_int_equal(watch_revision(w[i]), store_revision(f->s));
		watch_close(w[i]);
		assert_string_equal(live[i].text, cases[i].want);
		store_watch_filtered(f->s, &filter, start, on_event, &past[i], &w[i], NULL);
		wait_for(&past[i], live[i].n);
		watch_close(w[i]);
		assert_string_equal(past[i].text, cases[i].want);
	}
}

/* More than the index begins with; each hears of its own name only. */
static void test_many_watches(void **state)
{
	enum { MANY = 300 };
	Fixture *f = *state;
	static Log logs[MANY];
	static Watch *w[MANY];
	char name[16];

	for (int i = 0; i < MANY; i++) {
		WatchFilter filter = { GR_CONFIGMAP, "default", name };

		logs[i] = LOG_INIT;
		snprintf(name, sizeof(name), "c%d", i);
		assert_int_equal(store_watch_filtered(f->s, &filter, store_revision(f->s), on_event,
						      &logs[i], &w[i], NULL),
				 0);
	}
	for (int i = 0; i < MANY; i += 2) {
		snprintf(name, sizeof(name), "c%d", i);
		create_config(f->s, name, "1");
	}
	/* A store does not close while it is watched: first all of them, then the verdict. */
	for (int i = 0; i < MANY; i++)
		watch_close(w[i]);
	for (int i = 0; i < MANY; i++)
		if (logs[i].n != (i % 2 == 0))
			fail_msg("the watch of c%d heard of %d events, of %d that were", i,
				 logs[i].n, i % 2 == 0);
}

static void test_close_from_inside(void **state)
{
	Fixture *f = *state;
	Log l = LOG_INIT;

	store_watch(f->s, GR_CONFIGMAP, store_revision(f->s), on_event, &l, &l.close_at_first,
		    NULL);
	create_config(f->s, "a", "1");
	create_config(f->s, "b", "1");
	assert_int_equal(l.n, 1);
}

static void test_unknown_revisions_are_gone(void **state)
{
	Fixture *f = *state;
	_cleanup_(error_done) Error err = ERROR_INIT;
	Log l = LOG_INIT;
	Watch *w;

	assert_int_equal(store_watch(f->s, NULL, store_revision(f->s) + 1, on_event, &l, &w, &err),
			 -ERR_GONE);
	assert_int_equal(store_watch(f->s, NULL, -1, on_event, &l, &w, &err), -ERR_GONE);
}

static void test_compaction(void **state)
{
	Fixture *f = fixture_new(20);
	_cleanup_(object_list_freep) ObjectList *first = NULL;
	ListOptions o = { .gr = GR_CONFIGMAP, .limit = 1 };
	ObjectList *more = NULL;
	int64_t start;
	StoreStats st;
	Log l = LOG_INIT;
	Watch *w;

	(void)state;
	create_config(f->s, "a", "0");
	create_config(f->s, "b", "0");
	start = store_revision(f->s);
	assert_int_equal(store_list(f->s, &o, &first, NULL), 0);
	for (int i = 0; i < 100; i++) {
		char v[16];

		snprintf(v, sizeof(v), "%d", i);
		assert_int_equal(set_config(f->s, "a", v), 0);
	}
	store_stats(f->s, &st);
	assert_true(st.compacted > start && st.revision - st.compacted <= 22);
	assert_int_equal(store_watch(f->s, NULL, start, on_event, &l, &w, NULL), -ERR_GONE);
	o.continue_token = first->continue_token;
	assert_int_equal(store_list(f->s, &o, &more, NULL), -ERR_GONE);
	assert_int_equal(store_watch(f->s, NULL, st.compacted, on_event, &l, &w, NULL), 0);
	wait_for(&l, (int)(st.revision - st.compacted));
	watch_close(w);
	fixture_teardown((void **)&f);
}

static void test_compaction_by_age(void **state)
{
	Fixture *f = *state;
	StoreStats st;

	create_config(f->s, "a", "0");
	fake_clock_advance(f->clock, 2 * USEC_PER_HOUR);
	set_config(f->s, "a", "1");
	/* The writer compacts after it has answered: the next commit comes behind that. */
	set_config(f->s, "a", "2");
	store_stats(f->s, &st);
	assert_int_equal(st.compacted, st.revision - 2);
}

/* ---- lists ---- */

static void expect_names(const ObjectList *l, const char *want)
{
	char names[1024] = "";

	for (size_t i = 0; i < l->n; i++) {
		text_add(names, sizeof(names), object_key(l->items[i])->name);
		text_add(names, sizeof(names), " ");
	}
	assert_string_equal(names, want);
}

static bool is_even(void *arg, const Object *o)
{
	(void)arg;
	return (object_key(o)->name[0] - 'a') % 2 == 0;
}

static void test_list(void **state)
{
	Fixture *f = *state;
	_cleanup_(object_list_freep) ObjectList *all = NULL, *none = NULL, *even = NULL;
	ListOptions o = { .gr = GR_CONFIGMAP };

	assert_int_equal(store_list(f->s, &o, &none, NULL), 0);
	assert_int_equal(none->n, 0);
	assert_int_equal(none->revision, store_revision(f->s));
	create_config(f->s, "c", "1");
	create_config(f->s, "a", "1");
	create_config(f->s, "b", "1");
	assert_int_equal(store_list(f->s, &o, &all, NULL), 0);
	expect_names(all, "a b c ");
	assert_null(all->continue_token);
	o.match = is_even;
	assert_int_equal(store_list(f->s, &o, &even, NULL), 0);
	expect_names(even, "a c ");
	assert_int_equal(store_count(f->s, GR_CONFIGMAP, NULL), 3);
	assert_int_equal(store_count(f->s, GR_CONFIGMAP, "default"), 3);
	assert_int_equal(store_count(f->s, GR_CONFIGMAP, "defaul"), 0);
}

static void make_namespace(Store *s, const char *name)
{
	Key key = key_make(GR_NAMESPACE, "", name);

	assert_int_equal(create_tree(s, &key,
				     json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind",
					       "Namespace", "metadata", "name", name),
				     NULL),
			 0);
}

static void test_namespaces_do_not_mix(void **state)
{
	static const char *const names[] = { "a", "a-b", "a0", "b" };
	Fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		Key key = key_make(GR_CONFIGMAP, names[i], "x");

		make_namespace(f->s, names[i]);
		assert_int_equal(create_tree(f->s, &key, config_tree("x", "1"), NULL), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_(object_list_freep) ObjectList *l = NULL, *every = NULL;
		ListOptions o = { .gr = GR_CONFIGMAP, .namespace = names[i] };

		assert_int_equal(store_list(f->s, &o, &l, NULL), 0);
		assert_int_equal(l->n, 1);
		assert_string_equal(object_key(l->items[0])->namespace, names[i]);
		assert_int_equal(store_list_namespace(f->s, names[i], &every, NULL), 0);
		assert_int_equal(every->n, 1);
	}
}

/* The pages together are the state of the first one, whatever happens between. */
static void test_pages_are_one_snapshot(void **state)
{
	Fixture *f = *state;
	_cleanup_(object_list_freep) ObjectList *one = NULL, *two = NULL, *three = NULL;
	ListOptions o = { .gr = GR_CONFIGMAP, .namespace = "default", .limit = 2 };
	json_t *t = NULL;

	for (char c = 'b'; c <= 'f'; c++)
		create_config(f->s, (char[]){ c, '\0' }, "1");
	assert_int_equal(store_list(f->s, &o, &one, NULL), 0);
	expect_names(one, "b c ");
	assert_int_equal(one->remaining, 3);
	o.continue_token = one->continue_token;
	assert_int_equal(store_list(f->s, &o, &two, NULL), 0);
	expect_names(two, "d e ");
	assert_int_equal(two->remaining, 1);
	object_list_free(TAKE_PTR(two));

	create_config(f->s, "a", "1");
	create_config(f->s, "da", "1");
	set_config(f->s, "d", "2");
	set_config(f->s, "d", "3");
	delete_config(f->s, "e");
	create_config(f->s, "e", "new");
	delete_config(f->s, "f");
	create_config(f->s, "g", "1");
	assert_int_equal(store_list(f->s, &o, &two, NULL), 0);
	expect_names(two, "d e ");
	assert_int_equal(two->revision, one->revision);
	assert_string_equal(field(two->items[0], "data.k", &t), "1");
	assert_string_equal(field(two->items[1], "data.k", &t), "1");
	o.continue_token = two->continue_token;
	assert_int_equal(store_list(f->s, &o, &three, NULL), 0);
	expect_names(three, "f ");
	assert_null(three->continue_token);
	json_decref(t);
}

/* 0 or the error of a list that goes on with this text as its token. */
static int list_with_token(Fixture *f, const char *namespace, const char *text)
{
	_cleanup_(xfreep) char *token = base64url_encode(text, strlen(text));
	ListOptions o = { .gr = GR_CONFIGMAP, .namespace = namespace, .continue_token = token };
	_cleanup_(object_list_freep) ObjectList *l = NULL;

	return store_list(f->s, &o, &l, NULL);
}

static void test_bad_tokens(void **state)
{
	static const char *const bad[] = { "x",
					   "v2",
					   "v1\n1\nconfigmaps\n\ndefault\na",
					   "v2\n1\nconfigmaps\n\ndefault",
					   "v2\n1\nconfigmaps\n\ndefault\n",
					   "v2\n1\nconfigmaps\n\ndefault\na\n",
					   "v2\n\nconfigmaps\n\ndefault\na",
					   "v2\n-3\nconfigmaps\n\ndefault\na",
					   "v2\n1x\nconfigmaps\n\ndefault\na",
					   "v2\n99999999999999999999\nconfigmaps\n\ndefault\na",
					   "v2\n1\nsecrets\n\ndefault\na",
					   "v2\n1\nconfigmaps\ndefault\ndefault\na" };
	Fixture *f = *state;
	ObjectList *l = NULL;
	char longer[600];

	create_config(f->s, "a", "1");
	assert_int_equal(list_with_token(f, NULL, "v2\n1\nconfigmaps\n\ndefault\na"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(list_with_token(f, NULL, bad[i]), -ERR_INVALID);
	/* A token of one namespace is no way into another. */
	assert_int_equal(list_with_token(f, "default", "v2\n1\nconfigmaps\ndefault\ndefault\na"),
			 0);
	assert_int_equal(
		list_with_token(f, "default", "v2\n1\nconfigmaps\ndefault\nkube-system\na"),
		-ERR_INVALID);
	assert_int_equal(list_with_token(f, "lab", "v2\n1\nconfigmaps\ndefault\ndefault\na"),
			 -ERR_INVALID);
	snprintf(longer, sizeof(longer), "v2\n1\nconfigmaps\n\ndefault\n%0500d", 1);
	assert_int_equal(list_with_token(f, NULL, longer), -ERR_INVALID);
	assert_int_equal(store_list(f->s,
				    &(ListOptions){ .gr = GR_CONFIGMAP, .continue_token = "!*" },
				    &l, NULL),
			 -ERR_INVALID);
	assert_int_equal(list_with_token(f, NULL, "v2\n4000\nconfigmaps\n\ndefault\na"), -ERR_GONE);
}

static void test_owned(void **state)
{
	Fixture *f = *state;
	_cleanup_(object_list_freep) ObjectList *l = NULL, *none = NULL;
	_cleanup_(object_unrefp) Object *owner = NULL;
	Key key = config_key("owner"), child = config_key("child");
	json_t *tree = config_tree("child", "1");

	create_config(f->s, "owner", "1");
	owner = get(f->s, &key);
	json_set_at(tree, "metadata.ownerReferences",
		    json_pack("[{s:s, s:s, s:s, s:s}]", "apiVersion", "v1", "kind", "ConfigMap",
			      "name", "owner", "uid", object_head(owner)->uid));
	assert_int_equal(create_tree(f->s, &child, tree, NULL), 0);
	assert_int_equal(store_list_owned(f->s, object_head(owner)->uid, &l, NULL), 0);
	expect_names(l, "child ");
	delete_config(f->s, "child");
	assert_int_equal(store_list_owned(f->s, object_head(owner)->uid, &none, NULL), 0);
	assert_int_equal(none->n, 0);
}

/* ---- many at once ---- */

#define WRITERS 4
#define WRITES  60

typedef struct Race {
	Store *s;
	int id;
	atomic_bool *stop;
} Race;

static void *write_many(void *arg)
{
	Race *r = arg;
	char name[16];

	for (int i = 0; i < WRITES; i++) {
		snprintf(name, sizeof(name), "w%d-%d", r->id, i % 7);
		if (create_config(r->s, name, "1") == -ERR_EXISTS)
			delete_config(r->s, name);
	}
	return NULL;
}

static void *read_many(void *arg)
{
	Race *r = arg;

	while (!atomic_load(r->stop)) {
		_cleanup_(object_list_freep) ObjectList *l = NULL;
		ListOptions o = { .gr = GR_CONFIGMAP, .limit = 3 };

		assert_int_equal(store_list(r->s, &o, &l, NULL), 0);
		for (size_t i = 1; i < l->n; i++)
			assert_true(key_compare(object_key(l->items[i - 1]),
						object_key(l->items[i])) < 0);
		sched_yield();
	}
	return NULL;
}

static void *watch_many(void *arg)
{
	Race *r = arg;

	/* In turns from the history, into the index at once, and for part of the kind. */
	for (int i = 0; !atomic_load(r->stop); i++) {
		WatchFilter filter = { GR_CONFIGMAP, i % 3 ? "default" : NULL, NULL };
		int64_t from = i % 2 ? store_revision(r->s) : store_revision(r->s) / 2;
		Log l = LOG_INIT;
		Watch *w = NULL;

		if (store_watch_filtered(r->s, &filter, from, on_event, &l, &w, NULL) == 0) {
			sched_yield();
			assert_true(watch_revision(w) >= from);
		}
		watch_close(w);
		assert_false(l.disorder);
	}
	return NULL;
}

static void test_everything_at_once(void **state)
{
	Fixture *f = *state;
	atomic_bool stop = false;
	Race races[WRITERS + 2];
	pthread_t threads[WRITERS + 2];
	Log l = LOG_INIT;
	Watch *w;
	StoreStats st;

	store_watch(f->s, GR_CONFIGMAP, store_revision(f->s), on_event, &l, &w, NULL);
	for (int i = 0; i < WRITERS + 2; i++) {
		races[i] = (Race){ .s = f->s, .id = i, .stop = &stop };
		pthread_create(&threads[i], NULL,
			       i < WRITERS    ? write_many
			       : i == WRITERS ? read_many
					      : watch_many,
			       &races[i]);
	}
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&stop, true);
	pthread_join(threads[WRITERS], NULL);
	pthread_join(threads[WRITERS + 1], NULL);
	store_stats(f->s, &st);
	watch_close(w);
	if (l.n != WRITERS * WRITES)
		fail_msg("the watch heard of %d events, of %d that were", l.n, WRITERS * WRITES);
	assert_false(l.disorder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_live_events),
		TEST(test_history_then_live),
		TEST(test_other_kinds_are_left_out),
		TEST(test_filters),
		TEST(test_many_watches),
		TEST(test_close_from_inside),
		TEST(test_unknown_revisions_are_gone),
		cmocka_unit_test(test_compaction),
		TEST(test_compaction_by_age),
		TEST(test_list),
		TEST(test_namespaces_do_not_mix),
		TEST(test_pages_are_one_snapshot),
		TEST(test_bad_tokens),
		TEST(test_owned),
		TEST(test_everything_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
