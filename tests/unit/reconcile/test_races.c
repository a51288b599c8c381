/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Races, one interleaving each, made to happen: what comes between a look and what follows from it
 * costs nothing but another look, and nobody is told that it was their fault.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/condition.h"
#include "base/memory.h"
#include "tests/lib/world.h"
#include "json/json.h"

static int setup(void **state)
{
	World *w = world_new();

	*state = w;
	world_start(w);
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

static void create_network(World *w, const char *name)
{
	_cleanup_(xfreep) char *text = xasprintf(
		"{'apiVersion':'shakenfist.io/v1alpha1','kind':'Network','metadata':{'name':'%s'},"
		"'spec':{'cidrs':['10.20.0.0/24']}}",
		name);

	world_create(w, text);
}

static void create_instance(World *w, const char *name, const char *interfaces)
{
	_cleanup_(xfreep) char *text =
		xasprintf("{'apiVersion':'shakenfist.io/v1alpha1','kind':'Instance','metadata':"
			  "{'name':'%s'},'spec':{'memory':'256Mi','disks':[{'name':'root','size':"
			  "'1Gi'}],'interfaces':[%s]}}",
			  name, interfaces);

	world_create(w, text);
}

#define assert_state(w, word) \
	assert_string_equal(world_string(w, "instance", "web", "status.printableStatus"), word)
#define assert_ready(w, name, word) \
	do { \
		_cleanup_(json_decrefp) json_t *_tree = world_get(w, "instance", name); \
		assert_string_equal( \
			json_string_at(condition_find(json_object_get(_tree, "status"), "Ready"), \
				       "reason"), \
			word); \
	} while (0)
#define assert_text(w, path, text) \
	assert_string_equal(world_string(w, "instance", "web", path), text)

/* The address that interface number i holds; valid until the next call. */
static const char *address_of(World *w, const char *instance, size_t i)
{
	_cleanup_(json_decrefp) json_t *tree = world_get(w, "instance", instance);
	const json_t *nic = json_array_get(json_at(tree, "status.interfaces"), i);
	static char text[64];
	const char *a = json_string_value(json_array_get(json_object_get(nic, "addresses"), 0));

	snprintf(text, sizeof(text), "%s", a ? a : "");
	return text;
}

/* ---- addresses ---- */

/* The second looks at what is free before the first is written down. */
static void two_interfaces_on_one_network_do_not_choose_alike(void **state)
{
	World *w = *state;

	create_network(w, "front");
	create_instance(w, "web",
			"{'name':'eth0','network':'front'},{'name':'eth1','network':'front'}");
	world_settle(w);
	assert_state(w, "Running");
	assert_string_equal(address_of(w, "web", 0), "10.20.0.2");
	assert_string_equal(address_of(w, "web", 1), "10.20.0.3");
}

static void what_one_interface_asks_for_is_not_chosen_for_another(void **state)
{
	World *w = *state;

	create_network(w, "front");
	create_instance(w, "web",
			"{'name':'eth0','network':'front'},"
			"{'name':'eth1','network':'front','addresses':['10.20.0.2']}");
	world_settle(w);
	assert_state(w, "Running");
	assert_string_equal(address_of(w, "web", 0), "10.20.0.3");
	assert_string_equal(address_of(w, "web", 1), "10.20.0.2");
}

/* The new interface claims it before the old one, of the same instance, lets go. */
static void an_interface_under_a_new_name_keeps_its_address(void **state)
{
	World *w = *state;

	create_network(w, "front");
	create_instance(w, "web",
			"{'name':'eth0','network':'front','addresses':['10.20.0.9'],"
			"'macAddress':'52:54:00:00:00:09'}");
	world_settle(w);
	world_patch(
		w, "instance", "web",
		"{'spec':{'runStrategy':'Halted','interfaces':[{'name':'net0','network':'front',"
		"'addresses':['10.20.0.9'],'macAddress':'52:54:00:00:00:09'}]}}");
	world_settle(w);
	world_patch(w, "instance", "web", "{'spec':{'runStrategy':'Always'}}");
	world_settle(w);
	assert_state(w, "Running");
	assert_string_equal(address_of(w, "web", 0), "10.20.0.9");
	create_instance(w, "thief", "{'name':'eth0','network':'front','addresses':['10.20.0.9']}");
	world_settle(w);
	assert_ready(w, "thief", "AddressInUse");
	world_delete(w, "instance", "thief");
	world_delete(w, "instance", "web");
	world_settle(w);
	world_delete(w, "network", "front");
	world_settle(w);
	assert_int_equal(world_allocations(w), 0);
}

/* Two ports with one address would be refused, and nobody's port would change any more. */
static void a_guest_that_runs_holds_its_address_until_it_is_off(void **state)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	World *w = *state;

	create_network(w, "front");
	create_instance(w, "web", "{'name':'eth0','network':'front','addresses':['10.20.0.9']}");
	world_settle(w);
	world_patch(w, "instance", "web",
		    "{'spec':{'interfaces':[{'name':'net0','network':'front',"
		    "'addresses':['10.20.0.9']}]}}");
	world_settle(w);
	assert_state(w, "Running");
	tree = world_get(w, "instance", "web");
	assert_int_equal(json_array_size(json_at(tree, "status.pendingChanges")), 1);
	create_instance(w, "other", "{'name':'eth0','network':'front'}");
	world_settle(w);
	assert_string_equal(world_string(w, "instance", "other", "status.printableStatus"),
			    "Running");
	world_patch(w, "instance", "web", "{'spec':{'runStrategy':'Halted'}}");
	world_settle(w);
	world_patch(w, "instance", "web", "{'spec':{'runStrategy':'Always'}}");
	world_settle(w);
	assert_state(w, "Running");
	assert_string_equal(address_of(w, "web", 0), "10.20.0.9");
}

/* ---- networks ---- */

static void isolate_network(World *w)
{
	world_patch(w, "network", "front", "{'spec':{'egress':'None'}}");
	for (;;) {
		_cleanup_(json_decrefp) json_t *tree = world_get(w, "network", "front");

		if (json_integer_at(tree, "status.observedGeneration", 0) == 2)
			return;
		poll(NULL, 0, 1);
	}
}

/* An instance that starts makes sure of its network; it may have looked before the change. */
static void an_old_look_does_not_undo_a_change_of_the_network(void **state)
{
	_cleanup_(xfreep) char *uid = NULL;
	World *w = *state;
	NetworkConfig c;

	create_network(w, "front");
	create_instance(w, "web", "{'name':'eth0','network':'front'}");
	world_settle(w);
	world_patch(w, "instance", "web", "{'spec':{'runStrategy':'Halted'}}");
	world_settle(w);
	assert_state(w, "Stopped");
	atomic_store(&w->meanwhile, isolate_network);
	world_patch(w, "instance", "web", "{'spec':{'runStrategy':'Always'}}");
	world_settle(w);
	assert_state(w, "Running");
	uid = xstrdup(world_string(w, "network", "front", "metadata.uid"));
	assert_true(fake_network_get(w->network, uid, &c));
	free((void *)(uintptr_t)c.ports);
	assert_int_equal(c.egress, EGRESS_NONE);
}

static void remove_network(World *w)
{
	world_delete(w, "network", "front");
	while (world_exists(w, "network", "front"))
		poll(NULL, 0, 1);
}

/* Nobody would ever give such addresses back. */
static void nothing_is_claimed_on_a_network_that_goes(void **state)
{
	World *w = *state;

	create_network(w, "front");
	world_settle(w);
	atomic_store(&w->meanwhile, remove_network);
	create_instance(w, "web", "{'name':'eth0','network':'front'}");
	world_settle(w);
	assert_state(w, "WaitingForNetwork");
	assert_int_equal(world_allocations(w), 0);
	create_network(w, "front");
	world_settle(w);
	assert_state(w, "Running");
	world_delete(w, "instance", "web");
	world_settle(w);
	world_delete(w, "network", "front");
	world_settle(w);
	assert_int_equal(world_allocations(w), 0);
}

/* ---- conflicts ---- */

static atomic_int touches;

static void touch_after_shutdown(void *arg, const char *call)
{
	World *w = arg;

	if (streq(call, "shut down")) {
		atomic_store(&touches, 1);
	} else if (streq(call, "inspect") && atomic_exchange(&touches, 0)) {
		world_patch(w, "instance", "web", "{'metadata':{'labels':{'a':'b'}}}");
	}
}

/* We stopped it, and somebody wrote to the object before we could say so. */
static void a_lost_race_makes_no_crash_of_a_stop(void **state)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	World *w = *state;

	create_network(w, "front");
	create_instance(w, "web", "{'name':'eth0','network':'front'}");
	world_settle(w);
	w->fault.visit_arg = w;
	atomic_store(&w->fault.visit, touch_after_shutdown);
	world_patch(w, "instance", "web", "{'spec':{'runStrategy':'Halted'}}");
	world_settle(w);
	assert_state(w, "Stopped");
	assert_text(w, "metadata.labels.a", "b");
	assert_text(w, "status.lastTermination.reason", "Stopped");
	tree = world_get(w, "instance", "web");
	assert_int_equal(json_integer_at(tree, "status.failures", 0), 0);
}

static void touch_after_start(void *arg, const char *call)
{
	World *w = arg;

	if (streq(call, "start")) {
		atomic_store(&touches, 1);
	} else if (streq(call, "inspect") && atomic_exchange(&touches, 0)) {
		world_patch(w, "instance", "web", "{'metadata':{'labels':{'a':'b'}}}");
	}
}

/* A guest that ends and is started again has ended, whoever writes to the object meanwhile. */
static void a_lost_race_forgets_no_failure(void **state)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	World *w = *state;

	create_network(w, "front");
	create_instance(w, "web", "{'name':'eth0','network':'front'}");
	world_settle(w);
	w->fault.visit_arg = w;
	atomic_store(&w->fault.visit, touch_after_start);
	fake_hypervisor_end(w->hypervisor, "default.web", DOMAIN_REASON_CRASHED);
	world_settle(w);
	assert_state(w, "Running");
	assert_text(w, "metadata.labels.a", "b");
	assert_text(w, "status.lastTermination.reason", "GuestPanicked");
	tree = world_get(w, "instance", "web");
	assert_int_equal(json_integer_at(tree, "status.failures", 0), 1);
	assert_int_equal(json_integer_at(tree, "status.restarts", 0), 1);
}

#define in_a_world(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_a_world(two_interfaces_on_one_network_do_not_choose_alike),
		in_a_world(what_one_interface_asks_for_is_not_chosen_for_another),
		in_a_world(an_interface_under_a_new_name_keeps_its_address),
		in_a_world(a_guest_that_runs_holds_its_address_until_it_is_off),
		in_a_world(an_old_look_does_not_undo_a_change_of_the_network),
		in_a_world(nothing_is_claimed_on_a_network_that_goes),
		in_a_world(a_lost_race_makes_no_crash_of_a_stop),
		in_a_world(a_lost_race_forgets_no_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
