/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collection by ownerReferences: what goes with its owner, and above all what stays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/strbuf.h"
#include "tests/lib/world.h"
#include "json/json.h"

#define STRANGER "00000000-0000-4000-8000-000000000000"

/* A thing of that kind whose only owner is named so. */
static void create_owned(World *w, const char *kind, const char *name, const char *owner_version,
			 const char *owner_kind, const char *owner, const char *uid)
{
	_cleanup_(xfreep) char *text =
		xasprintf("{'apiVersion':'%s','kind':'%s','metadata':{'name':'%s',"
			  "'ownerReferences':[{'apiVersion':'%s','kind':'%s','name':'%s',"
			  "'uid':'%s'}]}}",
			  streq(kind, "Node") ? "shakenfist.io/v1alpha1" : "v1", kind, name,
			  owner_version, owner_kind, owner, uid);

	world_create(w, text);
}

static void what_is_owned_goes_with_its_owner(void **state)
{
	World *w = *state;

	world_create(w, "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'owner'}}");
	create_owned(w, "ConfigMap", "owned", "v1", "ConfigMap", "owner",
		     world_string(w, "configmap", "owner", "metadata.uid"));
	world_settle(w);
	assert_true(world_exists(w, "configmap", "owned"));
	world_delete(w, "configmap", "owner");
	world_settle(w);
	assert_false(world_exists(w, "configmap", "owned"));
}

static void an_owner_of_the_same_name_is_a_stranger(void **state)
{
	World *w = *state;

	world_create(w, "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'owner'}}");
	create_owned(w, "ConfigMap", "owned", "v1", "ConfigMap", "owner", STRANGER);
	world_settle(w);
	assert_false(world_exists(w, "configmap", "owned"));
}

/* Nothing goes because its owner cannot be looked up. */
static void what_has_an_owner_beyond_knowing_stays(void **state)
{
	World *w = *state;

	create_owned(w, "ConfigMap", "a", "example.com/v9", "Unknown", "x", STRANGER);
	create_owned(w, "Node", "b", "v1", "ConfigMap", "owner", STRANGER);
	world_settle(w);
	assert_true(world_exists(w, "configmap", "a"));
	assert_true(world_exists(w, "node", "b"));
}

/* ---- several owners ---- */

/* A ConfigMap with these owners: "name" or "name!" (blocks its deletion), all ConfigMaps. */
static void create_child(World *w, const char *name, const char *const *owners)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;

	strbuf_addf(&b,
		    "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'%s',"
		    "'ownerReferences':[",
		    name);
	for (size_t i = 0; owners[i]; i++) {
		size_t len = strcspn(owners[i], "!");
		_cleanup_(xfreep) char *owner = xstrndup(owners[i], len);
		const char *uid = world_string(w, "configmap", owner, "metadata.uid");

		strbuf_addf(&b, "%s{'apiVersion':'v1','kind':'ConfigMap','name':'%s','uid':'%s'%s}",
			    i ? "," : "", owner, *uid ? uid : STRANGER,
			    owners[i][len] ? ",'blockOwnerDeletion':true" : "");
	}
	strbuf_adds(&b, "]}}");
	world_create(w, strbuf_str(&b));
}

#define OWNERS(...) \
	(const char *const[]) \
	{ \
		__VA_ARGS__, NULL \
	}

static void create_plain(World *w, const char *name)
{
	_cleanup_(xfreep) char *text =
		xasprintf("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'%s'}}", name);

	world_create(w, text);
}

static size_t owners_of(World *w, const char *name)
{
	_cleanup_(json_decrefp) json_t *tree = world_get(w, "configmap", name);

	assert_non_null(tree);
	return json_array_size(json_at(tree, "metadata.ownerReferences"));
}

static void delete_with(World *w, const char *name, const char *propagation)
{
	Key key = key_make(GR_CONFIGMAP, "default", name);
	_cleanup_(object_unrefp) Object *o = NULL;
	_cleanup_(txn_freep) Txn *t = txn_new();
	Context ctx = { .clock = w->clock, .deadline = USEC_INFINITY };

	assert_int_equal(store_get(w->store, &key, &o, NULL), 0);
	txn_delete(t, o,
		   &(DeleteOptions){ .grace_period_seconds = -1, .propagation = propagation });
	assert_int_equal(store_commit(w->store, &ctx, t, NULL, NULL), 0);
	world_settle(w);
}

static void what_has_another_owner_stays_and_forgets_the_gone_one(void **state)
{
	World *w = *state;

	create_plain(w, "a");
	create_plain(w, "b");
	create_child(w, "child", OWNERS("a", "b"));
	world_settle(w);
	delete_with(w, "a", "Background");
	assert_int_equal(owners_of(w, "child"), 1);
	delete_with(w, "b", "Background");
	assert_false(world_exists(w, "configmap", "child"));
}

static void foreground_spares_what_has_another_owner(void **state)
{
	World *w = *state;

	create_plain(w, "a");
	create_plain(w, "b");
	create_child(w, "shared", OWNERS("a!", "b"));
	create_child(w, "own", OWNERS("a!"));
	delete_with(w, "a", "Foreground");
	assert_false(world_exists(w, "configmap", "a"));
	assert_false(world_exists(w, "configmap", "own"));
	assert_int_equal(owners_of(w, "shared"), 1);
}

static void foreground_waits_for_what_blocks_and_for_nothing_else(void **state)
{
	World *w = *state;

	create_plain(w, "a");
	create_plain(w, "c");
	create_child(w, "blocker", OWNERS("a!"));
	create_child(w, "loose", OWNERS("c"));
	world_patch(w, "configmap", "blocker", "{'metadata':{'finalizers':['example.com/hold']}}");
	world_patch(w, "configmap", "loose", "{'metadata':{'finalizers':['example.com/hold']}}");
	delete_with(w, "a", "Foreground");
	delete_with(w, "c", "Foreground");
	assert_true(world_exists(w, "configmap", "a"));
	assert_false(world_exists(w, "configmap", "c"));
	assert_string_not_equal(
		world_string(w, "configmap", "blocker", "metadata.deletionTimestamp"), "");
	assert_string_not_equal(world_string(w, "configmap", "loose", "metadata.deletionTimestamp"),
				"");
	world_patch(w, "configmap", "blocker", "{'metadata':{'finalizers':null}}");
	world_settle(w);
	assert_false(world_exists(w, "configmap", "a"));
	assert_false(world_exists(w, "configmap", "blocker"));
}

static void a_blocker_that_lets_go_frees_its_owner(void **state)
{
	World *w = *state;

	create_plain(w, "a");
	create_child(w, "blocker", OWNERS("a!"));
	world_patch(w, "configmap", "blocker", "{'metadata':{'finalizers':['example.com/hold']}}");
	delete_with(w, "a", "Foreground");
	assert_true(world_exists(w, "configmap", "a"));
	world_patch(w, "configmap", "blocker", "{'metadata':{'ownerReferences':null}}");
	world_settle(w);
	assert_false(world_exists(w, "configmap", "a"));
}

static void grandchildren_go_first_in_the_foreground(void **state)
{
	World *w = *state;

	create_plain(w, "a");
	create_child(w, "b", OWNERS("a!"));
	create_child(w, "c", OWNERS("b!"));
	world_patch(w, "configmap", "c", "{'metadata':{'finalizers':['example.com/hold']}}");
	delete_with(w, "a", "Foreground");
	assert_true(world_exists(w, "configmap", "a"));
	assert_true(world_exists(w, "configmap", "b"));
	world_patch(w, "configmap", "c", "{'metadata':{'finalizers':null}}");
	world_settle(w);
	assert_false(world_exists(w, "configmap", "a"));
	assert_false(world_exists(w, "configmap", "b"));
	assert_false(world_exists(w, "configmap", "c"));
}

static void circles_end(void **state)
{
	static const char *const ways[] = { "Foreground", "Background" };
	World *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		_cleanup_(xfreep) char *patch = NULL;

		create_plain(w, "a");
		create_child(w, "b", OWNERS("a!"));
		create_child(w, "c", OWNERS("b!"));
		patch = xasprintf("{'metadata':{'ownerReferences':[{'apiVersion':'v1','kind':"
				  "'ConfigMap','name':'c','uid':'%s','blockOwnerDeletion':true}]}}",
				  world_string(w, "configmap", "c", "metadata.uid"));
		world_patch(w, "configmap", "a", patch);
		world_settle(w);
		assert_true(world_exists(w, "configmap", "a"));
		delete_with(w, "a", ways[i]);
		assert_false(world_exists(w, "configmap", "a"));
		assert_false(world_exists(w, "configmap", "b"));
		assert_false(world_exists(w, "configmap", "c"));
	}
}

static void orphans_stay_without_the_reference(void **state)
{
	World *w = *state;
	char name[32];

	create_plain(w, "a");
	for (int i = 0; i < 150; i++) {
		snprintf(name, sizeof(name), "child-%d", i);
		create_child(w, name, OWNERS("a!"));
	}
	delete_with(w, "a", "Orphan");
	assert_false(world_exists(w, "configmap", "a"));
	for (int i = 0; i < 150; i++) {
		snprintf(name, sizeof(name), "child-%d", i);
		assert_int_equal(owners_of(w, name), 0);
	}
}

static void many_go_with_one(void **state)
{
	World *w = *state;
	char name[32];

	create_plain(w, "a");
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "child-%d", i);
		create_child(w, name, OWNERS("a"));
	}
	delete_with(w, "a", "Background");
	assert_int_equal(store_count(w->store, GR_CONFIGMAP, "default"), 0);
}

static void a_cluster_wide_owner_owns_in_every_namespace(void **state)
{
	World *w = *state;

	world_create(w, "{'apiVersion':'shakenfist.io/v1alpha1','kind':'Node','metadata':{'name':"
			"'rack-9'}}");
	create_owned(w, "ConfigMap", "a", "shakenfist.io/v1alpha1", "Node", "rack-9",
		     world_string(w, "node", "rack-9", "metadata.uid"));
	world_settle(w);
	assert_true(world_exists(w, "configmap", "a"));
	world_delete(w, "node", "rack-9");
	world_settle(w);
	assert_false(world_exists(w, "configmap", "a"));
}

static bool event_says(World *w, const char *reason)
{
	_cleanup_(object_list_freep) ObjectList *events = NULL;
	bool found = false;

	assert_int_equal(store_list(w->store, &(ListOptions){ .gr = GR_EVENT }, &events, NULL), 0);
	for (size_t i = 0; i < events->n; i++) {
		_cleanup_(json_decrefp) json_t *tree = object_decode(events->items[i]);

		found |= streq_ptr(json_string_at(tree, "reason"), reason);
	}
	return found;
}

static void an_owner_of_another_namespace_is_none_and_that_is_told(void **state)
{
	Context ctx = CONTEXT_BACKGROUND;
	Key key = key_make(GR_CONFIGMAP, "lab", "far");
	_cleanup_(object_unrefp) Object *far = NULL;
	_cleanup_(txn_freep) Txn *t = txn_new();
	World *w = *state;
	json_t *tree;

	world_create(w, "{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'lab'}}");
	tree = json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion", "v1", "kind", "ConfigMap",
			 "metadata", "name", "far", "namespace", "lab");
	txn_create(t, &key, tree, false);
	json_decref(tree);
	assert_int_equal(store_commit(w->store, &ctx, t, NULL, NULL), 0);
	assert_int_equal(store_get(w->store, &key, &far, NULL), 0);
	create_owned(w, "ConfigMap", "near", "v1", "ConfigMap", "far", object_head(far)->uid);
	world_settle(w);
	assert_false(world_exists(w, "configmap", "near"));
	assert_true(event_says(w, "OwnerRefInvalidNamespace"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_owned_goes_with_its_owner),
		TEST(an_owner_of_the_same_name_is_a_stranger),
		TEST(what_has_an_owner_beyond_knowing_stays),
		TEST(what_has_another_owner_stays_and_forgets_the_gone_one),
		TEST(foreground_spares_what_has_another_owner),
		TEST(foreground_waits_for_what_blocks_and_for_nothing_else),
		TEST(a_blocker_that_lets_go_frees_its_owner),
		TEST(grandchildren_go_first_in_the_foreground),
		TEST(circles_end),
		TEST(orphans_stay_without_the_reference),
		TEST(many_go_with_one),
		TEST(a_cluster_wide_owner_owns_in_every_namespace),
		TEST(an_owner_of_another_namespace_is_none_and_that_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
