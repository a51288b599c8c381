/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who takes our finalizer off an object takes its teardown away. What it held is given back all the
 * same: by the node's sweep, once nobody needs it, and never while that is not known. Guests and
 * disks are somebody's data: test_unmanaged.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "reconcile/instance.h"
#include "tests/lib/world.h"
#include "json/json.h"

#define NETWORK(name, cidr) \
	"{'apiVersion':'shakenfist.io/v1alpha1','kind':'Network','metadata':{'name':'" name \
	"'},'spec':{'cidrs':['" cidr "']}}"
#define URL "http://images.test/slow.qcow2"

static void tear_out(World *w, const char *resource, const char *name)
{
	world_patch(w, resource, name, "{'metadata':{'finalizers':null}}");
	world_delete(w, resource, name);
	world_settle(w);
	assert_false(world_exists(w, resource, name));
}

static void sweep(World *w)
{
	manager_resync(w->manager, GR_NODE);
	world_settle(w);
}

/* Somebody ends and undefines it. */
static void end_guest(World *w)
{
	fake_hypervisor_virsh(w->hypervisor, "default.web", POWER_DESTROY);
	fake_hypervisor_undefine(w->hypervisor, "default.web");
}

/* What is left of the instance but its guest goes, or the network could never be deleted. */
static void an_instance_holds_its_address_as_long_as_its_guest(void **state)
{
	World *w = *state;

	world_create_hello(w);
	world_settle(w);
	tear_out(w, "instance", "web");
	sweep(w);
	assert_int_equal(fake_hypervisor_count(w->hypervisor), 1);
	assert_int_equal(world_allocations(w), 5);
	end_guest(w);
	sweep(w);
	world_delete(w, "network", "front");
	world_settle(w);
	assert_false(world_exists(w, "network", "front"));
	assert_int_equal(world_allocations(w), 0);
}

/* The number and the addresses at rest go after the data plane; while nobody knows whether that is
 * there, nothing does. One that is there keeps all it has. */
static void a_network_holds_no_number_for_ever(void **state)
{
	World *w = *state;

	world_create(w, NETWORK("back", "10.30.0.0/24"));
	world_create_hello(w);
	world_settle(w);
	world_delete(w, "instance", "web");
	world_settle(w);
	assert_int_equal(world_allocations(w), 3);
	fake_network_set_failure(w->network, ERR_UNAVAILABLE);
	tear_out(w, "network", "front");
	sweep(w);
	assert_int_equal(world_allocations(w), 3);
	fake_network_set_failure(w->network, ERR_NONE);
	sweep(w);
	assert_int_equal(fake_network_count(w->network), 1);
	assert_int_equal(world_allocations(w), 1);
	assert_string_equal(world_string(w, "network", "back", "status.phase"), "Ready");
	world_delete(w, "network", "back");
	world_settle(w);
	assert_int_equal(fake_network_count(w->network), 0);
	assert_int_equal(world_allocations(w), 0);
}

#define STUCK_VNI   4711u
#define OTHER_STORE "5d3c8f0e-7a52-4c0b-9a53-2f0a6f1f3c11"
#define OTHERS_NET  "5d3c8f0e-7a52-4c0b-9a53-2f0a6f1f3c12"
#define DEAD_UID    "5d3c8f0e-7a52-4c0b-9a53-2f0a6f1f3c13"

/* A network that nobody has any more, with the number of one that another store keeps on this host:
 * its removal fails. */
static void make_stuck(World *w)
{
	NetworkConfig others = { .store_id = OTHER_STORE, .uid = OTHERS_NET, .vni = STUCK_VNI };
	_cleanup_(json_decrefp) json_t *body = json_pack("{s:s}", "network", DEAD_UID);
	Key key = key_make(GR_ALLOC, "", "vni/4711");
	_cleanup_(txn_freep) Txn *t = txn_new();
	Context ctx = CONTEXT_BACKGROUND;
	NetworkStatus status;

	assert_int_equal(ip_prefix_parse("10.99.0.0/24", &others.prefix4, NULL), 0);
	assert_int_equal(ip_parse("10.99.0.1", &others.gateway4, NULL), 0);
	assert_int_equal(w->network->ops->ensure(w->network, &ctx, &others, &status, NULL), 0);
	txn_record_put(t, &key, body, 0);
	assert_int_equal(store_commit(w->store, &ctx, t, NULL, NULL), 0);
}

/* In whatever order they come. */
static void one_that_cannot_go_holds_up_no_other(void **state)
{
	World *w = *state;
	char name[8], text[256];

	make_stuck(w);
	for (int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		snprintf(text, sizeof(text),
			 "{'apiVersion':'shakenfist.io/v1alpha1','kind':'Network','metadata':{"
			 "'name':'%s'},'spec':{'cidrs':['10.30.%d.0/24']}}",
			 name, i);
		world_create(w, text);
	}
	world_settle(w);
	for (int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		tear_out(w, "network", name);
	}
	sweep(w);
	assert_int_equal(fake_network_count(w->network), 1);
	assert_int_equal(world_allocations(w), 1);
}

/* Guests stay, and with them what they use. */
static void a_network_stays_for_who_is_on_it(void **state)
{
	World *w = *state;

	world_create_hello(w);
	world_settle(w);
	tear_out(w, "network", "front");
	sweep(w);
	assert_int_equal(fake_network_count(w->network), 1);
	assert_int_equal(world_allocations(w), 5);
	assert_int_equal(fake_hypervisor_state(w->hypervisor, "default.web"), DOMAIN_RUNNING);
	tear_out(w, "instance", "web");
	sweep(w);
	assert_int_equal(fake_network_count(w->network), 1);
	assert_int_equal(world_allocations(w), 5);
	end_guest(w);
	sweep(w);
	assert_int_equal(fake_network_count(w->network), 0);
	assert_int_equal(world_allocations(w), 0);
}

/* A network of the same name is another one: the instance goes over to it when its guest is next
 * off, and lets go of the one that is gone. */
static void a_network_is_let_go_for_one_of_its_name(void **state)
{
	World *w = *state;

	world_create_hello(w);
	world_settle(w);
	tear_out(w, "network", "front");
	world_create(w, NETWORK("front", "10.20.0.0/24"));
	world_settle(w);
	sweep(w);
	assert_int_equal(fake_network_count(w->network), 2);
	assert_int_equal(fake_hypervisor_state(w->hypervisor, "default.web"), DOMAIN_RUNNING);
	world_patch(w, "instance", "web", "{'spec':{'runStrategy':'Halted'}}");
	world_settle(w);
	world_patch(w, "instance", "web", "{'spec':{'runStrategy':'Always'}}");
	world_settle(w);
	assert_string_equal(world_string(w, "instance", "web", "status.printableStatus"),
			    "Running");
	sweep(w);
	assert_int_equal(fake_network_count(w->network), 1);
	assert_int_equal(world_allocations(w), 5);
}

static void what_a_guest_was_asked_is_forgotten_with_it(void **state)
{
	World *w = *state;
	StopState stop = { .first = 1 }, found;

	world_create_hello(w);
	world_settle(w);
	instance_stop_set(w->reconcilers, DEAD_UID, &stop);
	assert_true(instance_stop_get(w->reconcilers, DEAD_UID, &found));
	sweep(w);
	assert_false(instance_stop_get(w->reconcilers, DEAD_UID, &found));
}

/* Its fetch would go on for nobody, and what one that failed has left would stay for ever. */
static void an_image_is_not_fetched_for_nobody(void **state)
{
	World *w = *state;

	world_create_hello(w);
	world_settle(w);
	fake_image_set_manual(w->images, true);
	fake_image_source_set(w->images, URL, &(FakeSource){ .content = "slow" });
	world_create(w, "{'apiVersion':'shakenfist.io/v1alpha1','kind':'Image','metadata':{'name':"
			"'slow'},'spec':{'source':{'url':'" URL "'}}}");
	world_settle(w);
	fake_image_advance(w->images, 1);
	world_settle(w);
	assert_string_equal(world_string(w, "image", "slow", "status.phase"), "Fetching");
	assert_int_equal(fake_image_jobs(w->images), 2);
	tear_out(w, "image", "slow");
	sweep(w);
	assert_int_equal(fake_image_jobs(w->images), 1);
	assert_int_equal(fake_image_cached(w->images), 1);
	assert_string_equal(world_string(w, "image", "debian", "status.phase"), "Ready");
}

#define assert_summary(w, expected) \
	do { \
		char _text[256]; \
		reconcilers_summary((w)->reconcilers, _text, sizeof(_text)); \
		assert_string_equal(_text, expected); \
	} while (0)

/* In what systemctl status says of sfd. */
static void what_is_gone_is_not_counted(void **state)
{
	World *w = *state;

	world_create(w, NETWORK("back", "10.30.0.0/24"));
	world_create_hello(w);
	world_settle(w);
	assert_summary(w, "1 of 1 instances running, 2 of 2 networks and 1 of 1 images ready");
	tear_out(w, "instance", "web");
	tear_out(w, "network", "front");
	tear_out(w, "image", "debian");
	sweep(w);
	assert_summary(w, "0 of 0 instances running, 1 of 1 networks and 0 of 0 images ready");
}

#define in_a_world(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_a_world(an_instance_holds_its_address_as_long_as_its_guest),
		in_a_world(a_network_holds_no_number_for_ever),
		in_a_world(one_that_cannot_go_holds_up_no_other),
		in_a_world(a_network_stays_for_who_is_on_it),
		in_a_world(a_network_is_let_go_for_one_of_its_name),
		in_a_world(what_a_guest_was_asked_is_forgotten_with_it),
		in_a_world(an_image_is_not_fetched_for_nobody),
		in_a_world(what_is_gone_is_not_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
