/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Txns: what Kubernetes' rules make of creates, updates, status, deletes and finalizers; that a Txn
 * is all or nothing; and that what changes nothing writes nothing.
 */
#include "tests/unit/store/fixture.h"

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

static void test_create_gives_system_metadata(void **state)
{
	Fixture *f = *state;
	Key key = instance_key("a");
	json_t *tree = instance_tree("a");
	_cleanup_(object_unrefp) Object *o = NULL;
	json_t *t = NULL;

	json_set_at(tree, "metadata.uid", json_string("mine"));
	json_set_at(tree, "metadata.generation", json_integer(77));
	json_set_at(tree, "metadata.resourceVersion", json_string("5"));
	json_set_at(tree, "metadata.deletionTimestamp", json_string("2020-01-01T00:00:00Z"));
	assert_int_equal(create_tree(f->s, &key, tree, NULL), 0);
	o = get(f->s, &key);
	assert_true(uuid_is_valid(object_head(o)->uid));
	assert_string_equal(object_head(o)->creation_timestamp, "2026-01-01T00:00:00Z");
	assert_int_equal(object_head(o)->generation, 1);
	assert_null(object_head(o)->deletion_timestamp);
	assert_int_equal(object_revision(o), store_revision(f->s));
	assert_int_equal(object_create_revision(o), object_revision(o));
	assert_string_equal(field(o, "metadata.namespace", &t), "default");
	/* Status is not the client's to create. */
	assert_null(json_object_get(t, "status"));
	assert_int_equal(strtoll(json_string_at(t, "metadata.resourceVersion"), NULL, 10),
			 object_revision(o));
	json_decref(t);
}

static void test_create_twice(void **state)
{
	Fixture *f = *state;
	_cleanup_(error_done) Error err = ERROR_INIT;
	Key key = config_key("a");

	assert_int_equal(create_config(f->s, "a", "1"), 0);
	assert_int_equal(create_tree(f->s, &key, config_tree("a", "2"), &err), -ERR_EXISTS);
	assert_string_equal(error_message(&err), "configmaps \"a\" already exists");
}

static void test_create_needs_an_active_namespace(void **state)
{
	Fixture *f = *state;
	_cleanup_(error_done) Error err = ERROR_INIT;
	Key key = key_make(GR_CONFIGMAP, "nowhere", "a");
	Key ns = key_make(GR_NAMESPACE, "", "nowhere");

	assert_int_equal(create_tree(f->s, &key, config_tree("a", "1"), &err), -ERR_NOT_FOUND);
	assert_string_equal(error_message(&err), "namespaces \"nowhere\" not found");
	assert_int_equal(create_tree(f->s, &ns,
				     json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind",
					       "Namespace", "metadata", "name", "nowhere"),
				     NULL),
			 0);
	assert_int_equal(create_tree(f->s, &key, config_tree("a", "1"), &err), 0);
	assert_int_equal(delete_key(f->s, &ns), 0);
	key = key_make(GR_CONFIGMAP, "nowhere", "b");
	assert_int_equal(create_tree(f->s, &key, config_tree("b", "1"), &err), -ERR_FORBIDDEN);
	assert_non_null(strstr(error_message(&err), "because it is being terminated"));
}

static void test_scope_is_checked(void **state)
{
	Fixture *f = *state;
	Key no_namespace = key_make(GR_CONFIGMAP, "", "a");
	Key in_namespace = key_make(GR_NAMESPACE, "default", "a");

	assert_int_equal(create_tree(f->s, &no_namespace, config_tree("a", "1"), NULL),
			 -ERR_INVALID);
	assert_int_equal(create_tree(f->s, &in_namespace, config_tree("a", "1"), NULL),
			 -ERR_INVALID);
}

static void test_namespace_life(void **state)
{
	Fixture *f = *state;
	Key ns = key_make(GR_NAMESPACE, "", "default");
	_cleanup_(object_unrefp) Object *o = get(f->s, &ns);
	TxnResult r = { 0 };
	json_t *t = NULL;
	Txn *txn;

	assert_string_equal(field(o, "status.phase", &t), "Active");
	assert_string_equal(object_label(o, "kubernetes.io/metadata.name"), "default");
	assert_int_equal(json_array_size(json_at(t, "spec.finalizers")), 1);
	/* An update cannot take the finalizer away. */
	json_object_del(t, "spec");
	txn = txn_new();
	txn_update(txn, o, t);
	assert_int_equal(commit(f->s, txn, &r, NULL), 0);
	assert_false(r.changed);
	txn_result_done(&r);

	assert_int_equal(delete_key(f->s, &ns), 0);
	object_unref(o);
	o = get(f->s, &ns);
	assert_true(object_is_deleting(o));
	assert_string_equal(field(o, "status.phase", &t), "Terminating");
	txn = txn_new();
	txn_namespace_finalize(txn, o);
	assert_int_equal(commit(f->s, txn, &r, NULL), 0);
	assert_true(r.removed);
	assert_false(store_exists(f->s, &ns));
	txn_result_done(&r);
	json_decref(t);
}

static void test_update_rules(void **state)
{
	Fixture *f = *state;
	_cleanup_(object_unrefp) Object *a = make_instance(f->s, "a", NULL), *b = NULL, *c = NULL;
	Key key = instance_key("a");
	json_t *tree = object_decode(a);
	Txn *t = txn_new();

	/* System metadata and status are not the client's; labels do not make a generation. */
	json_set_at(tree, "metadata.uid", json_string("other"));
	json_set_at(tree, "metadata.labels", json_pack("{s:s}", "app", "web"));
	json_set_at(tree, "status", json_pack("{s:s}", "printableStatus", "Lies"));
	txn_update(t, a, tree);
	assert_int_equal(commit(f->s, t, NULL, NULL), 0);
	b = get(f->s, &key);
	assert_string_equal(object_head(b)->uid, object_head(a)->uid);
	assert_string_equal(object_label(b, "app"), "web");
	assert_int_equal(object_head(b)->generation, 1);
	assert_int_equal(object_create_revision(b), object_revision(a));
	json_decref(tree);

	tree = object_decode(b);
	assert_null(json_object_get(tree, "status"));
	json_set_at(tree, "spec.cpus", json_integer(2));
	t = txn_new();
	txn_update(t, b, tree);
	assert_int_equal(commit(f->s, t, NULL, NULL), 0);
	c = get(f->s, &key);
	assert_int_equal(object_head(c)->generation, 2);
	json_decref(tree);
}

static void test_stale_base_is_a_conflict(void **state)
{
	Fixture *f = *state;
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(object_unrefp) Object *old = NULL;
	Key key = config_key("a");
	json_t *tree;
	Txn *t = txn_new();

	create_config(f->s, "a", "1");
	old = get(f->s, &key);
	tree = object_decode(old);
	assert_int_equal(set_config(f->s, "a", "2"), 0);
	json_set_at(tree, "data.k", json_string("3"));
	txn_update(t, old, tree);
	json_decref(tree);
	assert_int_equal(commit(f->s, t, NULL, &err), -ERR_CONFLICT);
	assert_string_equal(
		error_message(&err),
		"Operation cannot be fulfilled on configmaps \"a\": the object has been "
		"modified; please apply your changes to the latest version and try "
		"again");
}

static void count_event(void *arg, const WatchEvent *e)
{
	(void)e;
	atomic_fetch_add((atomic_int *)arg, 1);
}

static void test_no_change_writes_nothing(void **state)
{
	Fixture *f = *state;
	atomic_int events = 0;
	int64_t before;
	unsigned calls;
	Watch *w;

	create_config(f->s, "a", "1");
	before = store_revision(f->s);
	calls = fault_backend_calls(f->fault);
	assert_int_equal(store_watch(f->s, NULL, before, count_event, &events, &w, NULL), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(set_config(f->s, "a", "1"), 0);
	assert_int_equal(store_revision(f->s), before);
	assert_int_equal(fault_backend_calls(f->fault), calls);
	watch_close(w);
	assert_int_equal(events, 0);
}

static void test_status_apart_from_spec(void **state)
{
	Fixture *f = *state;
	_cleanup_(object_unrefp) Object *a = make_instance(f->s, "a", NULL), *b = NULL;
	Key key = instance_key("a");
	json_t *status = json_pack("{s:s}", "printableStatus", "Running"), *t = NULL;
	TxnResult r = { 0 };
	Txn *txn = txn_new();

	txn_update_status(txn, a, status);
	assert_int_equal(commit(f->s, txn, &r, NULL), 0);
	assert_true(r.changed);
	assert_int_equal(r.n_objects, 1);
	b = get(f->s, &key);
	assert_ptr_equal(r.objects[0], b);
	txn_result_done(&r);
	assert_string_equal(field(b, "status.printableStatus", &t), "Running");
	assert_int_equal(object_head(b)->generation, 1);
	/* The same again is nothing. */
	txn = txn_new();
	txn_update_status(txn, b, status);
	assert_int_equal(commit(f->s, txn, &r, NULL), 0);
	assert_false(r.changed);
	assert_ptr_equal(r.objects[0], b);
	assert_int_equal(r.revision, object_revision(b));
	txn_result_done(&r);
	json_decref(status);
	json_decref(t);
}

static void test_delete_with_finalizer(void **state)
{
	Fixture *f = *state;
	_cleanup_(object_unrefp) Object *a = make_instance(f->s, "a", "shakenfist.io/teardown");
	_cleanup_(object_unrefp) Object *b = NULL, *c = NULL;
	Key key = instance_key("a");
	DeleteOptions o = { .grace_period_seconds = 5 };
	TxnResult r = { 0 };
	json_t *t = NULL;
	Txn *txn = txn_new();

	txn_delete(txn, a, &o);
	assert_int_equal(commit(f->s, txn, &r, NULL), 0);
	assert_false(r.removed);
	txn_result_done(&r);
	b = get(f->s, &key);
	assert_string_equal(object_head(b)->deletion_timestamp, "2026-01-01T00:00:00Z");
	assert_int_equal(object_head(b)->generation, 2);
	t = object_decode(b);
	assert_int_equal(json_integer_at(t, "metadata.deletionGracePeriodSeconds", -1), 5);
	/* Again: nothing. */
	fake_clock_advance(f->clock, USEC_PER_MIN);
	txn = txn_new();
	txn_delete(txn, b, NULL);
	assert_int_equal(commit(f->s, txn, &r, NULL), 0);
	assert_false(r.changed);
	txn_result_done(&r);
	/* No new finalizers now. */
	json_array_append_new(json_at(t, "metadata.finalizers"), json_string("late"));
	txn = txn_new();
	txn_update(txn, b, t);
	assert_int_equal(commit(f->s, txn, NULL, NULL), -ERR_INVALID);
	/* Another's finalizer is not ours to take. */
	txn = txn_new();
	txn_finalize(txn, b, "other");
	assert_int_equal(commit(f->s, txn, &r, NULL), 0);
	assert_false(r.changed);
	txn_result_done(&r);
	txn = txn_new();
	txn_finalize(txn, b, "shakenfist.io/teardown");
	assert_int_equal(commit(f->s, txn, &r, NULL), 0);
	assert_true(r.removed);
	assert_int_equal(object_revision(r.objects[0]), r.revision);
	assert_false(store_exists(f->s, &key));
	txn_result_done(&r);
	json_decref(t);
}

static void test_update_that_empties_finalizers_removes(void **state)
{
	Fixture *f = *state;
	_cleanup_(object_unrefp) Object *a = make_instance(f->s, "a", "x/y"), *b = NULL;
	Key key = instance_key("a");
	TxnResult r = { 0 };
	json_t *t;
	Txn *txn;

	assert_int_equal(delete_key(f->s, &key), 0);
	b = get(f->s, &key);
	t = object_decode(b);
	json_object_del(json_object_get(t, "metadata"), "finalizers");
	txn = txn_new();
	txn_update(txn, b, t);
	assert_int_equal(commit(f->s, txn, &r, NULL), 0);
	assert_true(r.removed);
	assert_false(store_exists(f->s, &key));
	txn_result_done(&r);
	json_decref(t);
}

static void test_delete_preconditions(void **state)
{
	Fixture *f = *state;
	_cleanup_(object_unrefp) Object *a = make_instance(f->s, "a", NULL);
	DeleteOptions uid = { .uid = "4e1f0c8e-0000-4000-8000-000000000000",
			      .grace_period_seconds = -1 };
	DeleteOptions rev = { .revision = object_revision(a) + 1, .grace_period_seconds = -1 };
	DeleteOptions right = { .uid = object_head(a)->uid,
				.revision = object_revision(a),
				.grace_period_seconds = -1 };
	Txn *t = txn_new();

	txn_delete(t, a, &uid);
	assert_int_equal(commit(f->s, t, NULL, NULL), -ERR_CONFLICT);
	t = txn_new();
	txn_delete(t, a, &rev);
	assert_int_equal(commit(f->s, t, NULL, NULL), -ERR_CONFLICT);
	t = txn_new();
	txn_delete(t, a, &right);
	assert_int_equal(commit(f->s, t, NULL, NULL), 0);
	assert_false(store_exists(f->s, object_key(a)));
}

static void test_propagation(void **state)
{
	Fixture *f = *state;
	DeleteOptions o = { .grace_period_seconds = -1, .propagation = "Foreground" };
	_cleanup_(object_unrefp) Object *a = make_instance(f->s, "a", NULL), *b = NULL;
	_cleanup_(object_unrefp) Object *c = make_instance(f->s, "c", "orphan");
	Key key = instance_key("a");
	Txn *t = txn_new();

	txn_delete(t, a, &o);
	assert_int_equal(commit(f->s, t, NULL, NULL), 0);
	b = get(f->s, &key);
	assert_true(object_is_deleting(b));
	assert_true(object_has_finalizer(b, "foregroundDeletion"));
	t = txn_new();
	txn_finalize(t, b, "foregroundDeletion");
	assert_int_equal(commit(f->s, t, NULL, NULL), 0);
	assert_false(store_exists(f->s, &key));
	/* An explicit wish takes the place of a finalizer that says otherwise. */
	o.propagation = "Background";
	t = txn_new();
	txn_delete(t, c, &o);
	assert_int_equal(commit(f->s, t, NULL, NULL), 0);
	assert_false(store_exists(f->s, object_key(c)));
}

static void test_operations_on_one_object_build_on_each_other(void **state)
{
	Fixture *f = *state;
	_cleanup_(object_unrefp) Object *a = make_instance(f->s, "a", "x/y"), *b = NULL, *c = NULL;
	Key key = instance_key("a");
	json_t *status = json_pack("{s:s}", "printableStatus", "Terminating"), *t = NULL;
	int64_t before;
	TxnResult r = { 0 };
	Txn *txn;

	assert_int_equal(delete_key(f->s, &key), 0);
	b = get(f->s, &key);
	before = store_revision(f->s);
	txn = txn_new();
	txn_update_status(txn, b, status);
	txn_finalize(txn, b, "x/y");
	assert_int_equal(commit(f->s, txn, &r, NULL), 0);
	assert_true(r.removed);
	assert_int_equal(r.revision, before + 1);
	assert_int_equal(r.n_objects, 2);
	assert_string_equal(field(r.objects[1], "status.printableStatus", &t), "Terminating");
	txn_result_done(&r);
	/* On different states they do not mix. */
	c = make_instance(f->s, "a", NULL);
	txn = txn_new();
	txn_update_status(txn, c, status);
	txn_finalize(txn, b, "x/y");
	assert_int_equal(commit(f->s, txn, NULL, NULL), -ERR_INVALID);
	json_decref(status);
	json_decref(t);
}

static void test_all_or_nothing(void **state)
{
	Fixture *f = *state;
	Key a = config_key("a"), b = config_key("b");
	json_t *tree_a = config_tree("a", "1"), *tree_b = config_tree("b", "1");
	int64_t before;
	TxnResult r = { 0 };
	Txn *t = txn_new();

	create_config(f->s, "b", "1");
	before = store_revision(f->s);
	txn_create(t, &a, tree_a, false);
	txn_create(t, &b, tree_b, false);
	assert_int_equal(commit(f->s, t, NULL, NULL), -ERR_EXISTS);
	assert_false(store_exists(f->s, &a));
	assert_int_equal(store_revision(f->s), before);
	delete_config(f->s, "b");
	t = txn_new();
	txn_create(t, &a, tree_a, false);
	txn_create(t, &b, tree_b, false);
	assert_int_equal(commit(f->s, t, &r, NULL), 0);
	assert_int_equal(r.n_objects, 2);
	assert_int_equal(object_revision(r.objects[0]), r.revision);
	assert_int_equal(object_revision(r.objects[1]), r.revision);
	txn_result_done(&r);
	json_decref(tree_a);
	json_decref(tree_b);
}

static void test_too_many_operations(void **state)
{
	Fixture *f = *state;
	Txn *t = txn_new();

	for (int i = 0; i <= TXN_OPS_MAX; i++) {
		char name[16];
		Key key;
		json_t *tree;

		snprintf(name, sizeof(name), "c%d", i);
		key = config_key(name);
		tree = config_tree(name, "1");
		txn_create(t, &key, tree, false);
		json_decref(tree);
	}
	assert_int_equal(commit(f->s, t, NULL, NULL), -ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_create_gives_system_metadata),
		TEST(test_create_twice),
		TEST(test_create_needs_an_active_namespace),
		TEST(test_scope_is_checked),
		TEST(test_namespace_life),
		TEST(test_update_rules),
		TEST(test_stale_base_is_a_conflict),
		TEST(test_no_change_writes_nothing),
		TEST(test_status_apart_from_spec),
		TEST(test_delete_with_finalizer),
		TEST(test_update_that_empties_finalizers_removes),
		TEST(test_delete_preconditions),
		TEST(test_propagation),
		TEST(test_operations_on_one_object_build_on_each_other),
		TEST(test_all_or_nothing),
		TEST(test_too_many_operations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
