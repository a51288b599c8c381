/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an instance refers to: a network in use is not taken away from under it, an image may go
 * once a disk is made from it, and what belongs to another namespace must be shared.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/condition.h"
#include "base/memory.h"
#include "lib_world.h"
#include "json/json.h"

static int setup(void **state)
{
	World *w = world_new();

	world_start(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

static void expect_ready(World *w, const char *resource, const char *name, const char *member,
			 const char *want)
{
	_cleanup_(json_decrefp) json_t *tree = world_get(w, resource, name);
	const char *got;

	assert_non_null(tree);
	got = json_string_at(condition_find(json_object_get(tree, "status"), "Ready"), member);
	assert_string_equal(got ? got : "", want);
}

static void a_network_in_use_stays_until_its_last_instance_is_gone(void **state)
{
	World *w = *state;

	world_create_hello(w);
	world_settle(w);
	world_delete(w, "network", "front");
	world_settle(w);
	assert_true(world_exists(w, "network", "front"));
	assert_string_equal(world_string(w, "network", "front", "status.phase"), "Terminating");
	expect_ready(w, "network", "front", "reason", "InUse");
	expect_ready(w, "network", "front", "message",
		     "1 instance interface still uses it (the first: web)");
	assert_string_equal(world_string(w, "instance", "web", "status.printableStatus"),
			    "Running");
	world_delete(w, "instance", "web");
	world_pass(w, 120);
	assert_false(world_exists(w, "instance", "web"));
	assert_false(world_exists(w, "network", "front"));
}

static void an_image_may_go_when_the_disk_is_made(void **state)
{
	World *w = *state;

	world_create_hello(w);
	world_settle(w);
	world_delete(w, "image", "debian");
	world_settle(w);
	assert_false(world_exists(w, "image", "debian"));
	/* The disk keeps what it is made of, also over a restart of the guest. */
	fake_hypervisor_end(w->hypervisor, "default.web", DOMAIN_REASON_SHUTDOWN);
	world_pass(w, 10);
	assert_string_equal(world_string(w, "instance", "web", "status.printableStatus"),
			    "Running");
}

static void set_shared(World *w, bool shared)
{
	Key key = key_make(GR_NETWORK, "lab", "back");
	Context ctx = CONTEXT_BACKGROUND;
	_cleanup_(object_unrefp) Object *o = NULL;
	_cleanup_(json_decrefp) json_t *tree = NULL;
	_cleanup_(txn_freep) Txn *t = txn_new();

	assert_int_equal(store_get(w->store, &key, &o, NULL), 0);
	tree = object_decode(o);
	json_set_at(tree, "spec.shared", json_boolean(shared));
	txn_update(t, o, tree);
	assert_int_equal(store_commit(w->store, &ctx, t, NULL, NULL), 0);
}

static void create_in_lab(World *w)
{
	Key key = key_make(GR_NETWORK, "lab", "back");
	Context ctx = CONTEXT_BACKGROUND;
	_cleanup_(txn_freep) Txn *t = txn_new();
	_cleanup_(json_decrefp) json_t *tree = NULL;

	world_create(w, "{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'lab'}}");
	tree = json_pack("{s:s, s:s, s:{s:s, s:s, s:[s]}, s:{s:[s], s:{s:b}, s:{s:b, s:s}, s:s, "
			 "s:b}}",
			 "apiVersion", "shakenfist.io/v1alpha1", "kind", "Network", "metadata",
			 "name", "back", "namespace", "lab", "finalizers", "shakenfist.io/teardown",
			 "spec", "cidrs", "10.30.0.0/24", "dhcp", "enabled", 1, "dns", "enabled", 1,
			 "domain", "lab.internal", "egress", "NAT", "shared", 0);
	assert_non_null(tree);
	txn_create(t, &key, tree, false);
	assert_int_equal(store_commit(w->store, &ctx, t, NULL, NULL), 0);
}

static void another_namespaces_network_must_be_shared(void **state)
{
	World *w = *state;

	create_in_lab(w);
	world_create(w, "{'apiVersion':'shakenfist.io/v1alpha1','kind':'Instance','metadata':"
			"{'name':'web'},'spec':{'disks':[{'name':'root','size':'1Gi'}],"
			"'interfaces':[{'name':'eth0','network':'lab/back'}]}}");
	world_settle(w);
	assert_string_equal(world_string(w, "instance", "web", "status.printableStatus"),
			    "WaitingForNetwork");
	expect_ready(w, "instance", "web", "message",
		     "interface eth0: network \"back\" of namespace \"lab\" is not shared (its "
		     "spec.shared is false)");
	set_shared(w, true);
	world_pass(w, 60);
	assert_string_equal(world_string(w, "instance", "web", "status.printableStatus"),
			    "Running");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_network_in_use_stays_until_its_last_instance_is_gone),
		TEST(an_image_may_go_when_the_disk_is_made),
		TEST(another_namespaces_network_must_be_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
