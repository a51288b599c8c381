/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reconcile: a guest whose tap was deleted while it runs. The network makes the tap again, but
 * nothing takes it before the guest starts anew: the Instance says so, once, and no longer than
 * that. And what an instance says of interfaces that its spec no longer has.
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

/* Who waits for its address is woken by each event of its network. */
static void see(World *w, const char *text)
{
	IpAddress address;

	assert_int_equal(ip_parse(text, &address, NULL), 0);
	fake_network_see(w->network, world_string(w, "network", "front", "metadata.uid"), &address);
	world_settle(w);
}

static int setup(void **state)
{
	World *w = world_new();

	*state = w;
	world_start(w);
	world_create_hello(w);
	world_settle(w);
	see(w, "10.20.0.2");
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

#define assert_ready(w, instance, member, wanted) \
	assert_string_equal(world_ready(w, instance, member), wanted)

static void create_second(World *w)
{
	world_create(w, "{'apiVersion': 'shakenfist.io/v1alpha1', 'kind': 'Instance', 'metadata': "
			"{'name': 'two'},"
			" 'spec': {'disks': [{'name': 'root', 'image': 'debian'}],"
			" 'interfaces': [{'name': 'eth0', 'network': 'front'}]}}");
	world_settle(w);
}

static void restart(World *w, const char *id)
{
	world_power(w, "web", id, "restart");
	world_settle(w);
}

typedef struct Link {
	char network[UUID_MAX];
	uint32_t port;
} Link;

static Link link_of(World *w, const char *instance)
{
	_cleanup_(json_decrefp) json_t *tree = world_get(w, "instance", instance);
	const json_t *nic = json_array_get(json_at(tree, "status.interfaces"), 0);
	Link l = { .port = (uint32_t)json_integer_at(nic, "portID", 0) };

	snprintf(l.network, sizeof(l.network), "%s",
		 world_string(w, "network", "front", "metadata.uid"));
	assert_int_not_equal(l.port, 0);
	return l;
}

/* How often it was told, as an Event that counts. */
static unsigned told_of(World *w, const char *reason)
{
	_cleanup_(object_list_freep) ObjectList *list = NULL;
	unsigned n = 0;

	assert_int_equal(store_list(w->store, &(ListOptions){ .gr = GR_EVENT }, &list, NULL), 0);
	for (size_t i = 0; i < list->n; i++) {
		_cleanup_(json_decrefp) json_t *tree = object_decode(list->items[i]);

		if (streq_ptr(json_string_at(tree, "reason"), reason))
			n += (unsigned)json_integer_at(tree, "count", 1);
	}
	return n;
}

static void a_lost_link_is_told_until_the_next_start(void **state)
{
	World *w = *state;
	_cleanup_(xfreep) char *version = NULL;
	unsigned calls;
	Link l = link_of(w, "web");

	fake_network_lose_tap(w->network, l.network, l.port);
	world_settle(w);
	assert_string_equal(world_string(w, "instance", "web", "status.printableStatus"),
			    "Running");
	assert_ready(w, "web", "status", "False");
	assert_ready(w, "web", "reason", "InterfaceDetached");
	assert_ready(w, "web", "message",
		     "interface eth0 lost its link to the host: restart the guest (sfctl -n "
		     "default restart web)");
	/* Told once, and looked at again only when something happens. */
	calls = fake_network_calls(w->network);
	world_pass(w, 60);
	assert_int_equal(fake_network_calls(w->network), calls);
	assert_int_equal(told_of(w, "InterfaceDetached"), 1);
	version = xstrdup(world_string(w, "instance", "web", "metadata.resourceVersion"));
	manager_resync(w->manager, NULL);
	world_settle(w);
	assert_string_equal(world_string(w, "instance", "web", "metadata.resourceVersion"),
			    version);
	assert_int_equal(told_of(w, "InterfaceDetached"), 1);
	fake_network_hold_tap(w->network, l.network, l.port); /* as the new QEMU does */
	restart(w, "r1");
	assert_string_equal(world_string(w, "instance", "web", "status.printableStatus"),
			    "Running");
	assert_ready(w, "web", "status", "True");
	assert_int_equal(fake_hypervisor_starts(w->hypervisor, "default.web"), 2);
	/* Again lost is told again. */
	fake_network_lose_tap(w->network, l.network, l.port);
	world_settle(w);
	world_pass(w, 2);
	assert_ready(w, "web", "reason", "InterfaceDetached");
	assert_int_equal(told_of(w, "InterfaceDetached"), 2);
}

/* The others of the network are looked at, too, and nothing is said of them. */
static void only_the_guest_that_lost_it_is_told_of(void **state)
{
	World *w = *state;
	Link l;

	create_second(w);
	l = link_of(w, "two");
	fake_network_lose_tap(w->network, l.network, l.port);
	world_settle(w);
	assert_ready(w, "web", "status", "True");
	assert_ready(w, "two", "reason", "InterfaceDetached");
}

/* Somebody else's start finds the damage first and mends it in passing. */
static void who_mends_it_in_passing_wakes_its_guest(void **state)
{
	World *w = *state;
	Link l = link_of(w, "web");

	w->network->ops->subscribe(w->network, NULL, NULL); /* no event comes */
	fake_network_lose_tap(w->network, l.network, l.port);
	create_second(w);
	assert_ready(w, "web", "reason", "InterfaceDetached");
}

/* Unknown neither claims that it is lost nor that it is there again. */
static void an_unknown_link_leaves_what_was_said(void **state)
{
	World *w = *state;
	Link l = link_of(w, "web");

	fake_network_set_failure(w->network, ERR_UNAVAILABLE);
	fake_network_lose_tap(w->network, l.network, l.port);
	world_settle(w);
	manager_resync(w->manager, GR_INSTANCE);
	world_settle(w);
	assert_ready(w, "web", "status", "True");
	fake_network_set_failure(w->network, ERR_NONE);
	world_pass(w, 25); /* asked again by itself */
	assert_ready(w, "web", "reason", "InterfaceDetached");
	fake_network_set_failure(w->network, ERR_UNAVAILABLE);
	fake_network_hold_tap(w->network, l.network, l.port);
	manager_resync(w->manager, GR_INSTANCE);
	world_settle(w);
	assert_ready(w, "web", "reason", "InterfaceDetached");
	fake_network_set_failure(w->network, ERR_NONE);
	world_pass(w, 25);
	assert_ready(w, "web", "status", "True");
}

/* Workers that wait for a net role that hangs do nothing else: once it did not answer, it is left
 * alone for a while. */
static void who_does_not_answer_is_not_asked_by_everybody(void **state)
{
	World *w = *state;
	unsigned calls;
	Link l;

	create_second(w);
	l = link_of(w, "web");
	see(w, "10.20.0.3");
	world_settle(w);
	fake_network_set_failure(w->network, ERR_TIMEOUT);
	manager_resync(w->manager, GR_INSTANCE);
	world_settle(w);
	calls = fake_network_calls(w->network);
	for (int i = 0; i < 5; i++) {
		manager_resync(w->manager, GR_INSTANCE);
		world_settle(w);
	}
	assert_int_equal(fake_network_calls(w->network), calls);
	world_pass(w, 25);
	assert_true(fake_network_calls(w->network) > calls);
	assert_ready(w, "web", "status", "True");
	fake_network_lose_tap(w->network, l.network, l.port);
	fake_network_set_failure(w->network, ERR_NONE);
	world_pass(w, 25);
	assert_ready(w, "web", "reason", "InterfaceDetached");
	assert_ready(w, "two", "status", "True");
}

/* It has a tap, and the guest that runs was never to hold it. */
static void an_interface_that_waits_for_a_restart_has_lost_nothing(void **state)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	World *w = *state;
	const json_t *nic;

	world_patch(w, "instance", "web",
		    "{\"spec\": {\"interfaces\": [{\"name\": \"eth0\", \"network\": \"front\"},"
		    "{\"name\": \"eth1\", \"network\": \"front\"}]}}");
	world_settle(w);
	tree = world_get(w, "instance", "web");
	nic = json_array_get(json_at(tree, "status.interfaces"), 1);
	assert_non_null(nic);
	fake_network_lose_tap(w->network, link_of(w, "web").network,
			      (uint32_t)json_integer_at(nic, "portID", 0));
	world_settle(w);
	manager_resync(w->manager, NULL);
	world_settle(w);
	assert_ready(w, "web", "status", "True");
}

static size_t ports_in_use(World *w)
{
	_cleanup_(json_decrefp) json_t *tree = world_get(w, "network", "front");

	return (size_t)json_integer_at(tree, "status.portsInUse", -1);
}

static char *names_of_interfaces(World *w)
{
	_cleanup_(json_decrefp) json_t *tree = world_get(w, "instance", "web");
	StrBuf names = STRBUF_INIT;
	const json_t *entry;
	size_t i;

	json_array_foreach (json_at(tree, "status.interfaces"), i, entry)
		strbuf_addf(&names, "%s ", json_string_at(entry, "name"));
	return strbuf_take(&names);
}

static void assert_interfaces(World *w, const char *want)
{
	_cleanup_(xfreep) char *names = names_of_interfaces(w);

	assert_string_equal(names, want);
}

/* What the guest holds until its next start is not forgotten for what takes its place. */
static void an_interface_in_place_of_another_gives_back_the_first(void **state)
{
	World *w = *state;

	world_patch(w, "instance", "web",
		    "{\"spec\": {\"interfaces\": [{\"name\": \"eth1\", \"network\": "
		    "\"front\"}]}}");
	world_settle(w);
	assert_interfaces(w, "eth1 eth0 ");
	restart(w, "r1");
	assert_interfaces(w, "eth1 ");
	manager_resync(w->manager, NULL);
	world_settle(w);
	assert_int_equal(ports_in_use(w), 1);
}

/* As a crash leaves it between the start without an interface and the report of it. */
static void write_status(World *w, const json_t *status)
{
	Key key = key_make(GR_INSTANCE, "default", "web");
	_cleanup_(object_unrefp) Object *o = NULL;
	_cleanup_(txn_freep) Txn *t = txn_new();
	Context ctx = CONTEXT_BACKGROUND;

	assert_int_equal(store_get(w->store, &key, &o, NULL), 0);
	txn_update_status(t, o, status);
	assert_int_equal(store_commit(w->store, &ctx, t, NULL, NULL), 0);
}

static void an_interface_that_holds_nothing_is_not_told(void **state)
{
	World *w = *state;
	_cleanup_(json_decrefp) json_t *before = world_get(w, "instance", "web");

	world_patch(w, "instance", "web", "{\"spec\": {\"interfaces\": []}}");
	restart(w, "r1");
	assert_interfaces(w, "");
	write_status(w, json_object_get(before, "status"));
	world_restart(w);
	assert_interfaces(w, "");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_lost_link_is_told_until_the_next_start),
		TEST(only_the_guest_that_lost_it_is_told_of),
		TEST(who_mends_it_in_passing_wakes_its_guest),
		TEST(an_unknown_link_leaves_what_was_said),
		TEST(who_does_not_answer_is_not_asked_by_everybody),
		TEST(an_interface_that_waits_for_a_restart_has_lost_nothing),
		TEST(an_interface_in_place_of_another_gives_back_the_first),
		TEST(an_interface_that_holds_nothing_is_not_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
