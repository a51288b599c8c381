/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quotas in the store: what is counted, what is refused and in which words, what many writers at
 * once, failed commits and restarts do to it.
 */
#include "tests/unit/store/fixture.h"

#include <pthread.h>
#include <sched.h>

#include "api/quota.h"

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

static Key quota_key(const char *name)
{
	return key_make(GR_QUOTA, "default", name);
}

static void make_quota(Store *s, const char *name, json_t *hard)
{
	Key key = quota_key(name);

	assert_int_equal(create_tree(s, &key,
				     json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:o}}", "apiVersion",
					       "v1", "kind", "ResourceQuota", "metadata", "name",
					       name, "namespace", "default", "spec", "hard", hard),
				     NULL),
			 0);
}

static json_t *machine_tree(const char *name, int cpus)
{
	return json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:i, s:s, s:i, s:[{s:s, s:s}, {s:s, s:s}], "
			 "s:[{s:s, s:s}]}}",
			 "apiVersion", "shakenfist.io/v1alpha1", "kind", "Instance", "metadata",
			 "name", name, "namespace", "default", "spec", "cpus", cpus, "memory",
			 "1Gi", "maxCpus", 4, "disks", "name", "root", "image", "debian", "name",
			 "data", "size", "2Gi", "interfaces", "name", "eth0", "network", "front");
}

static int make_machine(Store *s, const char *name, int cpus, Error *err)
{
	Key key = key_make(GR_INSTANCE, "default", name);

	return create_tree(s, &key, machine_tree(name, cpus), err);
}

static int set_cpus(Store *s, const char *name, int cpus)
{
	Key key = key_make(GR_INSTANCE, "default", name);
	_cleanup_(object_unrefp) Object *base = get(s, &key);
	_cleanup_(json_decrefp) json_t *tree = machine_tree(name, cpus);
	Txn *t = txn_new();

	txn_update(t, base, tree);
	return commit(s, t, NULL, NULL);
}

static void expect_used(Store *s, const char *quota, const char *resource, const char *want)
{
	Key key = quota_key(quota);
	_cleanup_(object_unrefp) Object *o = get(s, &key);
	_cleanup_(json_decrefp) json_t *used = NULL;

	assert_int_equal(store_quota_used(s, o, &used, NULL), 0);
	assert_string_equal(json_string_value(json_object_get(used, resource)), want);
}

static void test_refusal_is_worded_as_kubernetes_does(void **state)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Fixture *f = *state;

	make_quota(f->s, "compute", json_pack("{s:s, s:i}", "requests.cpu", "8", "pods", 10));
	assert_int_equal(make_machine(f->s, "a", 7, NULL), 0);
	assert_int_equal(make_machine(f->s, "x", 2, &err), -ERR_FORBIDDEN);
	assert_string_equal(error_message(&err),
			    "instances.shakenfist.io \"x\" is forbidden: exceeded quota: compute, "
			    "requested: requests.cpu=2, used: requests.cpu=7, limited: "
			    "requests.cpu=8");
	assert_int_equal(make_machine(f->s, "x", 1, NULL), 0);
	expect_used(f->s, "compute", "requests.cpu", "8");
}

static void test_every_resource_in_name_order(void **state)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Fixture *f = *state;

	make_quota(f->s, "all",
		   json_pack("{s:s, s:s, s:s}", "requests.memory", "1536Mi", "limits.cpu", "3500m",
			     "count/instances.shakenfist.io", "0"));
	assert_int_equal(make_machine(f->s, "x", 2, &err), -ERR_FORBIDDEN);
	assert_string_equal(error_message(&err),
			    "instances.shakenfist.io \"x\" is forbidden: exceeded quota: all, "
			    "requested: count/instances.shakenfist.io=1,limits.cpu=4, used: "
			    "count/instances.shakenfist.io=0,limits.cpu=0, limited: "
			    "count/instances.shakenfist.io=0,limits.cpu=3500m");
}

static void test_all_quotas_of_a_namespace_hold(void **state)
{
	Fixture *f = *state;

	make_quota(f->s, "wide", json_pack("{s:s}", "cpu", "100"));
	make_quota(f->s, "narrow", json_pack("{s:s}", "cpu", "2"));
	assert_int_equal(make_machine(f->s, "a", 3, NULL), -ERR_FORBIDDEN);
	expect_used(f->s, "wide", "cpu", "0");
	assert_int_equal(make_machine(f->s, "a", 2, NULL), 0);
	expect_used(f->s, "wide", "cpu", "2");
	expect_used(f->s, "narrow", "cpu", "2");
}

static void test_updates_count_the_difference(void **state)
{
	Fixture *f = *state;

	assert_int_equal(make_machine(f->s, "a", 6, NULL), 0);
	/* A quota over what exists already: nothing is taken away, nothing may grow. */
	make_quota(f->s, "late", json_pack("{s:s}", "cpu", "4"));
	expect_used(f->s, "late", "cpu", "6");
	assert_int_equal(set_cpus(f->s, "a", 7), -ERR_FORBIDDEN);
	assert_int_equal(set_cpus(f->s, "a", 5), 0);
	assert_int_equal(make_machine(f->s, "b", 1, NULL), -ERR_FORBIDDEN);
	assert_int_equal(set_cpus(f->s, "a", 3), 0);
	assert_int_equal(make_machine(f->s, "b", 1, NULL), 0);
	expect_used(f->s, "late", "cpu", "4");
}

static void test_what_goes_is_given_back_at_once(void **state)
{
	Fixture *f = *state;

	make_quota(f->s, "few", json_pack("{s:s}", "configmaps", "1"));
	assert_int_equal(create_config(f->s, "a", "1"), 0);
	assert_int_equal(create_config(f->s, "b", "1"), -ERR_FORBIDDEN);
	assert_int_equal(delete_config(f->s, "a"), 0);
	assert_int_equal(create_config(f->s, "b", "1"), 0);
	expect_used(f->s, "few", "configmaps", "1");
}

static void test_images_and_networks_weigh(void **state)
{
	Key image = key_make(GR_IMAGE, "default", "debian");
	Key network = key_make(GR_NETWORK, "default", "front");
	Fixture *f = *state;
	Txn *t = txn_new();
	json_t *tree;

	make_quota(f->s, "q",
		   json_pack("{s:s, s:i}", "requests.storage", "8Gi",
			     "requests.shakenfist.io/addresses", 3));
	assert_int_equal(make_machine(f->s, "a", 1, NULL), 0);
	expect_used(f->s, "q", "requests.storage", "2Gi");
	expect_used(f->s, "q", "requests.shakenfist.io/addresses", "1");
	/* Now the image has a size and the network two families. */
	tree = json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:I}}", "apiVersion",
			 "shakenfist.io/v1alpha1", "kind", "Image", "metadata", "name", "debian",
			 "namespace", "default", "status", "virtualSize", (json_int_t)3 << 30);
	txn_create(t, &image, tree, true);
	json_decref(tree);
	tree = json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:[s, s]}}", "apiVersion",
			 "shakenfist.io/v1alpha1", "kind", "Network", "metadata", "name", "front",
			 "namespace", "default", "spec", "cidrs", "10.0.0.0/24", "fd00::/64");
	txn_create(t, &network, tree, false);
	json_decref(tree);
	assert_int_equal(commit(f->s, t, NULL, NULL), 0);
	expect_used(f->s, "q", "requests.storage", "5Gi");
	expect_used(f->s, "q", "requests.shakenfist.io/addresses", "2");
	assert_int_equal(make_machine(f->s, "b", 1, NULL), -ERR_FORBIDDEN);
	/* Gone again, they weigh what is not known. */
	assert_int_equal(delete_key(f->s, &image), 0);
	assert_int_equal(delete_key(f->s, &network), 0);
	expect_used(f->s, "q", "requests.storage", "2Gi");
	expect_used(f->s, "q", "requests.shakenfist.io/addresses", "1");
}

static void test_dry_run_counts_and_takes_nothing(void **state)
{
	Key key = key_make(GR_INSTANCE, "default", "a");
	Fixture *f = *state;

	make_quota(f->s, "q", json_pack("{s:s}", "cpu", "2"));
	for (int i = 0; i < 4; i++) {
		_cleanup_(json_decrefp) json_t *tree = machine_tree("a", i < 3 ? 2 : 3);
		_cleanup_(txn_freep) Txn *t = txn_new();

		txn_create(t, &key, tree, false);
		assert_int_equal(store_dry_run(f->s, t, NULL, NULL), i < 3 ? 0 : -ERR_FORBIDDEN);
	}
	expect_used(f->s, "q", "cpu", "0");
}

/* ---- many at once ---- */

#define WRITERS 8
#define EACH    25
#define ALLOWED 60

typedef struct Race {
	Fixture *f;
	int number;
	int made;
} Race;

static void *race_main(void *arg)
{
	Race *r = arg;

	for (int i = 0; i < EACH; i++) {
		char name[32];
		int rc;

		snprintf(name, sizeof(name), "w%d-%d", r->number, i);
		rc = make_machine(r->f->s, name, 1, NULL);
		r->made += rc == 0;
		if (rc < 0 && rc != -ERR_FORBIDDEN)
			r->made = -1000;
	}
	return NULL;
}

static void test_nobody_gets_the_last_unit_twice(void **state)
{
	pthread_t threads[WRITERS];
	Race races[WRITERS];
	Fixture *f = *state;
	int made = 0;

	make_quota(f->s, "q", json_pack("{s:i}", "cpu", ALLOWED));
	for (int i = 0; i < WRITERS; i++) {
		races[i] = (Race){ .f = f, .number = i };
		assert_int_equal(pthread_create(&threads[i], NULL, race_main, &races[i]), 0);
	}
	for (int i = 0; i < WRITERS; i++) {
		pthread_join(threads[i], NULL);
		made += races[i].made;
	}
	assert_int_equal(made, ALLOWED);
	assert_int_equal(store_count(f->s, GR_INSTANCE, "default"), ALLOWED);
	expect_used(f->s, "q", "cpu", "60");
}

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

/* A commit whose outcome is unknown must leave neither too much nor too little. */
static void test_failed_commits_do_not_count(void **state)
{
	Fixture *f = *state;
	int rc;

	make_quota(f->s, "q", json_pack("{s:s}", "cpu", "2"));
	for (int after = 0; after < 2; after++) {
		fault_backend_set_after(f->fault, after);
		fault_backend_set(f->fault, 1, false, ERR_UNAVAILABLE);
		rc = make_machine(f->s, after ? "kept" : "lost", 1, NULL);
		assert_int_equal(rc, -ERR_UNAVAILABLE);
		fault_backend_set(f->fault, 0, false, ERR_UNAVAILABLE);
		wait_until_open(f);
	}
	expect_used(f->s, "q", "cpu", "1");
	assert_int_equal(make_machine(f->s, "b", 1, NULL), 0);
	assert_int_equal(make_machine(f->s, "c", 1, NULL), -ERR_FORBIDDEN);
}

static void test_quotas_come_and_go(void **state)
{
	Key key = quota_key("q");
	Fixture *f = *state;

	for (int i = 0; i < 3; i++) {
		char name[24], next[24];

		snprintf(name, sizeof(name), "a%d", i);
		snprintf(next, sizeof(next), "b%d", i);
		make_quota(f->s, "q", json_pack("{s:i}", "cpu", 2 * i + 1));
		assert_int_equal(make_machine(f->s, name, 1, NULL), 0);
		assert_int_equal(make_machine(f->s, next, 1, NULL), -ERR_FORBIDDEN);
		assert_int_equal(delete_key(f->s, &key), 0);
		assert_int_equal(make_machine(f->s, next, 1, NULL), 0);
	}
}

static void test_names(void **state _unused_)
{
	const char *kind;
	QuotaUnit unit;

	assert_true(quota_unit("count/widgets.example.com", &unit, &kind));
	assert_int_equal(unit, QUOTA_COUNT);
	assert_string_equal(kind, "widgets.example.com");
	assert_true(quota_unit("memory", &unit, &kind));
	assert_int_equal(unit, QUOTA_MEMORY);
	assert_false(quota_unit("count/", &unit, &kind));
	assert_false(quota_unit("gpus", &unit, &kind));
}

static void ask_what_is_used(void *arg)
{
	Key key = quota_key("few");
	Fixture *f = arg;
	_cleanup_(object_unrefp) Object *o = get(f->s, &key);
	_cleanup_(json_decrefp) json_t *used = NULL;

	assert_int_equal(store_quota_used(f->s, o, &used, NULL), 0);
}

/* Somebody asks between the first try, for which there was no space, and the second. */
static void test_a_second_try_counts(void **state)
{
	Fixture *f = *state;

	make_quota(f->s, "few", json_pack("{s:s}", "configmaps", "1"));
	fault_backend_set_visit(f->fault, ask_what_is_used, f);
	fault_backend_set(f->fault, 1, false, ERR_EXHAUSTED);
	assert_int_equal(create_config(f->s, "a", "1"), 0);
	fault_backend_set_visit(f->fault, NULL, NULL);
	expect_used(f->s, "few", "configmaps", "1");
	assert_int_equal(create_config(f->s, "b", "1"), -ERR_FORBIDDEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_refusal_is_worded_as_kubernetes_does),
		TEST(test_every_resource_in_name_order),
		TEST(test_all_quotas_of_a_namespace_hold),
		TEST(test_updates_count_the_difference),
		TEST(test_what_goes_is_given_back_at_once),
		TEST(test_images_and_networks_weigh),
		TEST(test_dry_run_counts_and_takes_nothing),
		TEST(test_nobody_gets_the_last_unit_twice),
		TEST(test_failed_commits_do_not_count),
		TEST(test_quotas_come_and_go),
		TEST(test_a_second_try_counts),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
