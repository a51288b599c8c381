/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kinds that are stored: a user's CustomResourceDefinition is in force with its commit, again after
 * a restart, gone when deleted; ours cannot be replaced; what does not compile is not stored.
 */
#include <pthread.h>
#include <sched.h>

#include "api/definition.h"
#include "tests/unit/store/fixture.h"

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

static json_t *crd_tree(const char *plural, const char *group, const char *kind)
{
	_cleanup_(xfreep) char *name = xasprintf("%s.%s", plural, group);

	return json_pack(
		"{s:s, s:s, s:{s:s}, s:{s:s, s:s, s:{s:s, s:s, s:s, s:s}, s:[{s:s, s:b, s:b, "
		"s:{s:{s:s, s:{s:{s:s, s:{s:{s:s}}}}}}}]}}",
		"apiVersion", "apiextensions.k8s.io/v1", "kind", "CustomResourceDefinition",
		"metadata", "name", name, "spec", "group", group, "scope", "Namespaced", "names",
		"plural", plural, "singular", "thing", "kind", kind, "listKind", "ThingList",
		"versions", "name", "v1", "served", 1, "storage", 1, "schema", "openAPIV3Schema",
		"type", "object", "properties", "spec", "type", "object", "properties", "size",
		"type", "integer");
}

static Key crd_key(const char *name)
{
	return key_make(GR_CRD, "", name);
}

static const GroupResource *things(void)
{
	return group_resource("example.com", "things");
}

static bool is_known(Fixture *f)
{
	_cleanup_(kind_unrefp) Kind *k = kind_registry_find(f->kinds, things());

	return k && streq(k->kind, "Thing");
}

static void test_life_of_a_definition(void **state)
{
	Fixture *f = *state;
	Key crd = crd_key("things.example.com");
	Key thing = key_make(things(), "default", "a");
	_cleanup_(object_unrefp) Object *o = NULL;
	json_t *t = NULL,
	       *tree = json_pack("{s:s, s:s, s:{s:s}, s:{s:i}}", "apiVersion", "example.com/v1",
				 "kind", "Thing", "metadata", "name", "a", "spec", "size", 1);

	assert_int_equal(create_tree(f->s, &thing, json_deep_copy(tree), NULL), -ERR_NOT_FOUND);
	assert_int_equal(create_tree(f->s, &crd, crd_tree("things", "example.com", "Thing"), NULL),
			 0);
	assert_true(is_known(f));
	o = get(f->s, &crd);
	assert_string_equal(field(o, "status.acceptedNames.kind", &t), "Thing");
	assert_int_equal(json_array_size(json_at(t, "status.conditions")), 2);
	assert_int_equal(create_tree(f->s, &thing, tree, NULL), 0);
	assert_int_equal(delete_key(f->s, &thing), 0);
	assert_int_equal(delete_key(f->s, &crd), 0);
	assert_false(is_known(f));
	json_decref(t);
}

static void test_ours_cannot_be_replaced(void **state)
{
	Fixture *f = *state;
	Key crd = crd_key("instances.shakenfist.io");

	assert_int_equal(
		create_tree(f->s, &crd, crd_tree("instances", "shakenfist.io", "Instance"), NULL),
		-ERR_FORBIDDEN);
	assert_false(store_exists(f->s, &crd));
}

static void test_bad_definitions_are_not_stored(void **state)
{
	Fixture *f = *state;
	Key crd = crd_key("things.example.com"), other = crd_key("others.example.com");
	json_t *tree = crd_tree("things", "example.com", "Thing");

	json_object_del(json_object_get(tree, "spec"), "versions");
	assert_true(create_tree(f->s, &crd, tree, NULL) < 0);
	assert_int_equal(
		create_tree(f->s, &other, crd_tree("things", "example.com", "Thing"), NULL),
		-ERR_INVALID);
	assert_int_equal(store_count(f->s, GR_CRD, NULL), 0);
}

/* Other columns: what is in memory gets other cells, without a write and without an event. */
static void test_columns_change(void **state)
{
	Fixture *f = *state;
	Key crd = crd_key("things.example.com");
	Key thing = key_make(things(), "default", "a");
	_cleanup_(object_unrefp) Object *definition = NULL, *before = NULL, *after = NULL;
	json_t *t = NULL;
	Txn *txn = txn_new();

	create_tree(f->s, &crd, crd_tree("things", "example.com", "Thing"), NULL);
	create_tree(f->s, &thing,
		    json_pack("{s:s, s:s, s:{s:s}, s:{s:i}}", "apiVersion", "example.com/v1",
			      "kind", "Thing", "metadata", "name", "a", "spec", "size", 7),
		    NULL);
	before = get(f->s, &thing);
	assert_null(strchr(object_head(before)->cells, '7'));
	definition = get(f->s, &crd);
	t = object_decode(definition);
	json_object_set_new(json_array_get(json_at(t, "spec.versions"), 0),
			    "additionalPrinterColumns",
			    json_pack("[{s:s, s:s, s:s}]", "name", "Size", "type", "integer",
				      "jsonPath", ".spec.size"));
	txn_update(txn, definition, t);
	json_decref(t);
	assert_int_equal(commit(f->s, txn, NULL, NULL), 0);
	after = get(f->s, &thing);
	assert_string_equal(object_head(after)->cells, "[7]");
	assert_int_equal(object_revision(after), object_revision(before));
}

/* The commit's answer was lost: the definition that was stored is in force all the same. */
static void test_definition_after_a_lost_answer(void **state)
{
	Fixture *f = *state;
	Key crd = crd_key("things.example.com");

	fault_backend_set_after(f->fault, true);
	fault_backend_set(f->fault, 1, false, ERR_UNAVAILABLE);
	assert_int_equal(create_tree(f->s, &crd, crd_tree("things", "example.com", "Thing"), NULL),
			 -ERR_UNAVAILABLE);
	assert_true(store_exists(f->s, &crd));
	assert_true(is_known(f));
}

static void *create_many(void *arg)
{
	for (int i = 0; i < 20; i++) {
		_cleanup_(xfreep) char *name = xasprintf("b%d", i);
		Key thing = key_make(things(), "default", name);

		create_tree(arg, &thing,
			    json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "example.com/v1", "kind",
				      "Thing", "metadata", "name", name),
			    NULL);
	}
	return NULL;
}

/* However creates and the deletion meet: what is gone has left no object behind, and what is going
 * gets no new one. */
static void test_no_object_outlives_its_definition(void **state)
{
	Fixture *f = *state;
	Key crd = crd_key("things.example.com");
	unsigned gone = 0, going = 0;

	for (int round = 0; round < 60; round++) {
		pthread_t thread;
		size_t n;
		int rc;

		create_tree(f->s, &crd, crd_tree("things", "example.com", "Thing"), NULL);
		assert_int_equal(pthread_create(&thread, NULL, create_many, f->s), 0);
		for (int wait = 0; wait < round * 20; wait++)
			sched_yield();
		do
			rc = delete_key(f->s, &crd);
		while (rc == -ERR_CONFLICT);
		assert_int_equal(rc, 0);
		n = store_count(f->s, things(), NULL);
		pthread_join(thread, NULL);
		assert_int_equal(store_count(f->s, things(), NULL), n);
		if (!store_exists(f->s, &crd)) {
			assert_int_equal(n, 0);
			gone++;
			continue;
		}
		going++;
		assert_true(n > 0);
		for (int i = 0; i < 20; i++) {
			_cleanup_(xfreep) char *name = xasprintf("b%d", i);
			Key thing = key_make(things(), "default", name);

			if (store_exists(f->s, &thing))
				assert_int_equal(delete_key(f->s, &thing), 0);
		}
		{
			_cleanup_(object_unrefp) Object *o = get(f->s, &crd);
			Txn *t = txn_new();

			txn_finalize(t, o, FINALIZER_CRD_CLEANUP);
			assert_int_equal(commit(f->s, t, NULL, NULL), 0);
		}
	}
	assert_int_equal(gone + going, 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_life_of_a_definition),
		TEST(test_ours_cannot_be_replaced),
		TEST(test_bad_definitions_are_not_stored),
		TEST(test_columns_change),
		TEST(test_definition_after_a_lost_answer),
		TEST(test_no_object_outlives_its_definition),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
