/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reconcile: whole stories of an instance, over the memory store and fakes that keep real state.
 */
#include "api/condition.h"
#include "base/memory.h"
#include "tests/unit/reconcile/web.h"
#include "json/json.h"

static void hello_runs(void **state)
{
	World *w = *state;
	const DomainConfig *c;

	world_create_hello(w);
	world_settle(w);
	assert_status(w, "Running");
	assert_ready(w, "status", "True");
	assert_int_equal(fake_hypervisor_state(w->hypervisor, DOMAIN_WEB), DOMAIN_RUNNING);
	c = fake_hypervisor_config(w->hypervisor, DOMAIN_WEB, true);
	assert_int_equal(c->memory, 256u << 20);
	assert_int_equal(c->n_disks, 2);
	assert_int_equal(c->n_nics, 1);
	assert_non_null(c->disks[0].base_path);
	assert_string_equal(world_string(w, "network", "front", "status.phase"), "Ready");
	assert_string_equal(world_string(w, "image", "debian", "status.phase"), "Ready");
	assert_string_equal(world_string(w, "node", "node-1", "status.nodeInfo.virtType"), "qemu");
}

static void a_second_look_changes_nothing(void **state)
{
	World *w = *state;
	unsigned changes, network;
	int64_t revision;

	world_create_hello(w);
	world_settle(w);
	world_pass(w, 2); /* events are written a moment later */
	changes = fake_hypervisor_changes(w->hypervisor);
	network = fake_network_changes(w->network);
	revision = store_revision(w->store);
	manager_resync(w->manager, NULL);
	world_settle(w);
	assert_int_equal(fake_hypervisor_changes(w->hypervisor), changes);
	assert_int_equal(fake_network_changes(w->network), network);
	assert_int_equal(store_revision(w->store), revision);
}

static void order_does_not_matter(void **state)
{
	World *w = *state;

	world_create(w, "{'apiVersion': 'shakenfist.io/v1alpha1', 'kind': 'Instance', 'metadata': "
			"{'name': 'web'},"
			" 'spec': {'disks': [{'name': 'root', 'image': 'debian', 'size': '10Gi'}],"
			" 'interfaces': [{'name': 'eth0', 'network': 'front'}]}}");
	world_settle(w);
	assert_status(w, "WaitingForNetwork");
	assert_ready(w, "message",
		     "interface eth0: there is no network \"front\" in namespace \"default\"");
	world_create(w, "{'apiVersion': 'shakenfist.io/v1alpha1', 'kind': 'Network', 'metadata': "
			"{'name': 'front'},"
			" 'spec': {'cidrs': ['10.20.0.0/24'], 'dns': {'domain': 'lab.internal'}}}");
	world_settle(w);
	assert_status(w, "WaitingForImage");
	fake_image_source_set(w->images, "http://images.test/x", &(FakeSource){ .content = "x" });
	world_create(w, "{'apiVersion': 'shakenfist.io/v1alpha1', 'kind': 'Image', 'metadata': "
			"{'name': 'debian'},"
			" 'spec': {'source': {'url': 'http://images.test/x'}}}");
	world_settle(w);
	assert_status(w, "Running");
}

static void destroyed_is_healed(void **state)
{
	World *w = *state;

	world_create_hello(w);
	world_settle(w);
	fake_hypervisor_virsh(w->hypervisor, DOMAIN_WEB, POWER_DESTROY);
	world_settle(w);
	assert_status(w, "Running");
	assert_int_equal(fake_hypervisor_starts(w->hypervisor, DOMAIN_WEB), 2);
	assert_string_equal(world_string(w, "instance", "web", "status.lastTermination.reason"),
			    "Destroyed");
}

/* Who waits for a condition of the newest generation must see it, though no packet comes again. */
static void an_address_once_seen_is_said_of_each_generation(void **state)
{
	World *w = *state;
	_cleanup_(json_decrefp) json_t *tree = NULL;
	const json_t *c;
	IpAddress address;

	world_create_hello(w);
	world_settle(w);
	assert_int_equal(ip_parse("10.20.0.2", &address, NULL), 0);
	fake_network_see(w->network, world_string(w, "network", "front", "metadata.uid"), &address);
	world_settle(w);
	world_patch(w, "instance", "web", "{'spec': {'terminationGracePeriodSeconds': 10}}");
	world_settle(w);
	tree = world_get(w, "instance", "web");
	c = condition_find(json_object_get(tree, "status"), "AddressReady");
	assert_string_equal(json_string_at(c, "status"), "True");
	assert_int_equal(json_integer_at(c, "observedGeneration", 0), 2);
}

static void delete_leaves_nothing(void **state)
{
	World *w = *state;

	world_create_hello(w);
	world_settle(w);
	world_delete(w, "instance", "web");
	world_delete(w, "network", "front"); /* waits for the instance */
	world_delete(w, "image", "debian");
	world_settle(w);
	world_pass(w, 40);
	assert_false(world_exists(w, "instance", "web"));
	assert_false(world_exists(w, "network", "front"));
	assert_false(world_exists(w, "image", "debian"));
	assert_int_equal(fake_hypervisor_count(w->hypervisor), 0);
	assert_int_equal(fake_network_count(w->network), 0);
	assert_int_equal(fake_disk_instances(w->disks), 0);
	assert_int_equal(world_allocations(w), 0);
}

static void a_strangers_domain_is_left_alone(void **state)
{
	World *w = *state;

	fake_hypervisor_add_foreign(w->hypervisor, DOMAIN_WEB, NULL, true);
	world_create_hello(w);
	world_settle(w);
	assert_status(w, "Failed");
	assert_ready(w, "reason", "ForeignDomain");
	world_delete(w, "instance", "web");
	world_settle(w);
	assert_false(world_exists(w, "instance", "web"));
	assert_int_equal(fake_hypervisor_state(w->hypervisor, DOMAIN_WEB), DOMAIN_RUNNING);
}

static void unknown_is_not_absent(void **state)
{
	World *w = *state;

	world_create_hello(w);
	world_settle(w);
	fake_hypervisor_set_failure(w->hypervisor, ERR_UNAVAILABLE);
	manager_resync(w->manager, NULL);
	world_settle(w);
	assert_status(w, "Unknown");
	assert_ready(w, "status", "Unknown");
	fake_hypervisor_set_failure(w->hypervisor, ERR_NONE);
	world_pass(w, 5);
	assert_status(w, "Running");
	assert_int_equal(fake_hypervisor_starts(w->hypervisor, DOMAIN_WEB), 1);
}

static void a_restart_of_sfd_touches_no_guest(void **state)
{
	World *w = *state;
	unsigned changes;

	world_create_hello(w);
	world_settle(w);
	changes = fake_hypervisor_changes(w->hypervisor);
	world_restart(w);
	assert_status(w, "Running");
	assert_int_equal(fake_hypervisor_changes(w->hypervisor), changes);
}

static void a_taken_address_is_told(void **state)
{
	World *w = *state;

	world_create_hello(w);
	world_settle(w);
	world_patch(w, "instance", "web", "{'spec': {'runStrategy': 'Halted'}}");
	world_create(w, "{'apiVersion': 'shakenfist.io/v1alpha1', 'kind': 'Instance', 'metadata': "
			"{'name': 'two'},"
			" 'spec': {'disks': [{'name': 'root', 'image': 'debian'}],"
			" 'interfaces': [{'name': 'eth0', 'network': 'front', 'addresses': "
			"['10.20.0.2']}]}}");
	world_settle(w);
	assert_string_equal(world_string(w, "instance", "two", "status.printableStatus"), "Failed");
	world_delete(w, "instance", "web");
	world_settle(w);
	world_pass(w, 20);
	assert_string_equal(world_string(w, "instance", "two", "status.printableStatus"),
			    "Running");
}

static void addresses_are_stable_and_rest(void **state)
{
	World *w = *state;
	_cleanup_(json_decrefp) json_t *before = NULL, *after = NULL;
	json_t *interfaces;

	world_create_hello(w);
	world_settle(w);
	before = world_get(w, "instance", "web");
	power(w, "r1", "restart");
	world_restart(w);
	after = world_get(w, "instance", "web");
	assert_true(json_same(json_at(before, "status.interfaces"),
			      json_at(after, "status.interfaces")));
	world_delete(w, "instance", "web");
	world_settle(w);
	world_create(w, "{'apiVersion': 'shakenfist.io/v1alpha1', 'kind': 'Instance', 'metadata': "
			"{'name': 'two'},"
			" 'spec': {'disks': [{'name': 'root', 'image': 'debian'}],"
			" 'interfaces': [{'name': 'eth0', 'network': 'front'}]}}");
	world_settle(w);
	json_decref(after);
	after = world_get(w, "instance", "two");
	interfaces = json_at(after, "status.interfaces");
	assert_string_equal(
		json_string_value(json_array_get(
			json_object_get(json_array_get(interfaces, 0), "addresses"), 0)),
		"10.20.0.3");
}

static void a_change_that_needs_a_restart_is_pending(void **state)
{
	World *w = *state;
	_cleanup_(json_decrefp) json_t *tree = NULL;
	json_t *pending;

	world_create_hello(w);
	world_settle(w);
	world_patch(w, "instance", "web", "{'spec': {'cpus': 4}}");
	world_settle(w);
	assert_status(w, "Running");
	tree = world_get(w, "instance", "web");
	assert_int_equal(json_array_size(json_at(tree, "status.pendingChanges")), 1);
	pending = json_array_get(json_at(tree, "status.pendingChanges"), 0);
	assert_string_equal(json_string_at(pending, "path"), "spec.cpus");
	assert_string_equal(json_string_at(pending, "needs"), "restart");
	assert_int_equal(fake_hypervisor_config(w->hypervisor, DOMAIN_WEB, false)->cpus, 4);
	assert_int_equal(fake_hypervisor_config(w->hypervisor, DOMAIN_WEB, true)->cpus, 1);
	power(w, "r1", "restart");
	json_decref(tree);
	tree = world_get(w, "instance", "web");
	assert_null(json_at(tree, "status.pendingChanges"));
	assert_int_equal(fake_hypervisor_config(w->hypervisor, DOMAIN_WEB, true)->cpus, 4);
}

static void a_disk_grows_at_the_restart_and_says_so(void **state)
{
	World *w = *state;
	_cleanup_(json_decrefp) json_t *tree = NULL;
	json_t *pending;

	world_create_hello(w);
	world_settle(w);
	world_patch(w, "instance", "web",
		    "{'spec': {'disks': [{'name': 'root', 'image': 'debian', 'size': '40Gi'}]}}");
	world_settle(w);
	assert_status(w, "Running");
	tree = world_get(w, "instance", "web");
	assert_int_equal(json_array_size(json_at(tree, "status.pendingChanges")), 1);
	pending = json_array_get(json_at(tree, "status.pendingChanges"), 0);
	assert_string_equal(json_string_at(pending, "path"), "spec.disks[root].size");
	assert_string_equal(json_string_at(pending, "to"), "40Gi");
	assert_string_equal(json_string_at(pending, "needs"), "restart");
	power(w, "r1", "restart");
	json_decref(tree);
	tree = world_get(w, "instance", "web");
	assert_null(json_at(tree, "status.pendingChanges"));
}

/* At the start without it, not when the network looks again by itself, ten minutes later. */
static void an_interface_that_went_takes_its_port_along(void **state)
{
	_cleanup_(xfreep) char *uid = NULL;
	World *w = *state;
	NetworkConfig c;

	world_create_hello(w);
	world_settle(w);
	uid = xstrdup(world_string(w, "network", "front", "metadata.uid"));
	world_patch(w, "instance", "web", "{'spec': {'interfaces': []}}");
	world_settle(w);
	power(w, "r1", "restart");
	world_settle(w);
	assert_status(w, "Running");
	assert_true(fake_network_get(w->network, uid, &c));
	free((void *)c.ports);
	assert_int_equal(c.n_ports, 0);
}

static void a_namespace_takes_its_content_along(void **state)
{
	World *w = *state;
	Key key = key_make(GR_NAMESPACE, "", "default");

	world_create_hello(w);
	world_settle(w);
	world_delete(w, "namespace", "default");
	world_settle(w);
	world_pass(w, 60);
	assert_false(store_exists(w->store, &key));
	assert_int_equal(fake_hypervisor_count(w->hypervisor), 0);
}

/* As another version may have left it: stored past the door. */
static void store_strange(World *w)
{
	Key key = key_make(GR_INSTANCE, "default", "web");
	_cleanup_(object_unrefp) Object *o = NULL;
	_cleanup_(json_decrefp) json_t *tree = NULL;
	_cleanup_(txn_freep) Txn *t = txn_new();
	Context ctx = CONTEXT_BACKGROUND;

	assert_int_equal(store_get(w->store, &key, &o, NULL), 0);
	tree = object_decode(o);
	json_set_at(tree, "spec.cpus", json_string("many"));
	txn_update(t, o, tree);
	assert_int_equal(store_commit(w->store, &ctx, t, NULL, NULL), 0);
	world_settle(w);
}

static void a_spec_that_cannot_be_read_leaves_the_guest_alone(void **state)
{
	World *w = *state;

	world_create_hello(w);
	world_settle(w);
	store_strange(w);
	assert_status(w, "Failed");
	assert_int_equal(fake_hypervisor_state(w->hypervisor, DOMAIN_WEB), DOMAIN_RUNNING);
	assert_int_equal(fake_hypervisor_starts(w->hypervisor, DOMAIN_WEB), 1);
	world_delete(w, "instance", "web");
	world_settle(w);
	assert_false(world_exists(w, "instance", "web"));
	assert_int_equal(fake_hypervisor_count(w->hypervisor), 0);
	assert_int_equal(fake_disk_instances(w->disks), 0);
}

static void more_memory_than_the_node_has_is_told(void **state)
{
	World *w = *state;

	world_create_hello(w);
	world_patch(w, "instance", "web", "{'spec': {'runStrategy': 'Halted', 'memory': '15Ti'}}");
	world_settle(w);
	world_patch(w, "instance", "web", "{'spec': {'runStrategy': 'Always'}}");
	world_settle(w);
	power(w, "r1", "restart");
	assert_status(w, "Unschedulable");
	assert_ready(w, "reason", "Unschedulable");
	world_patch(w, "instance", "web", "{'spec': {'memory': '256Mi'}}");
	world_settle(w);
	assert_status(w, "Running");
}

static void a_broken_network_is_mended(void **state)
{
	World *w = *state;
	char uid[UUID_MAX];

	world_create_hello(w);
	world_settle(w);
	snprintf(uid, sizeof(uid), "%s", world_string(w, "network", "front", "metadata.uid"));
	fake_network_break(w->network, uid, "bridge");
	world_settle(w);
	assert_string_equal(world_string(w, "network", "front", "status.phase"), "Ready");
	assert_int_equal(fake_hypervisor_starts(w->hypervisor, DOMAIN_WEB), 1);
}

static void count_wordless(void *arg, const WatchEvent *e)
{
	_cleanup_(json_decrefp) json_t *tree = object_decode(e->object);

	if (json_object_get(tree, "status") && !json_string_at(tree, "status.printableStatus"))
		(*(unsigned *)arg)++;
}

static void a_status_always_has_its_word(void **state)
{
	Watch *watch = NULL;
	World *w = *state;
	unsigned n = 0;

	assert_int_equal(store_watch(w->store, GR_INSTANCE, store_revision(w->store),
				     count_wordless, &n, &watch, NULL),
			 0);
	world_create_hello(w);
	world_settle(w);
	assert_status(w, "Running");
	watch_close(watch);
	assert_int_equal(n, 0);
}

/* Everybody needs the same network at once: who finds it taken is woken, not put off to a time that
 * never comes on a clock that stands still. */
static void many_take_turns_on_a_network(void **state)
{
	World *w = *state;

	world_create_hello(w);
	for (unsigned i = 0; i < 12; i++) {
		_cleanup_(xfreep) char *json = xasprintf(
			"{'apiVersion': 'shakenfist.io/v1alpha1', 'kind': 'Instance', 'metadata': "
			"{'name': 'many-%u'}, 'spec': {'disks': [{'name': 'root', 'image': "
			"'debian'}], 'interfaces': "
			"[{'name': 'eth0', 'network': 'front'}]}}",
			i);

		world_create(w, json);
	}
	world_settle(w);
	for (unsigned i = 0; i < 12; i++) {
		_cleanup_(xfreep) char *name = xasprintf("many-%u", i);

		assert_string_equal(world_string(w, "instance", name, "status.printableStatus"),
				    "Running");
	}
	{
		_cleanup_(json_decrefp) json_t *net = world_get(w, "network", "front");

		assert_int_equal(json_integer_at(net, "status.portsInUse", 0), 13);
	}
}

#define story(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		story(hello_runs),
		story(a_second_look_changes_nothing),
		story(order_does_not_matter),
		story(destroyed_is_healed),
		story(an_address_once_seen_is_said_of_each_generation),
		story(delete_leaves_nothing),
		story(a_strangers_domain_is_left_alone),
		story(unknown_is_not_absent),
		story(a_restart_of_sfd_touches_no_guest),
		story(a_taken_address_is_told),
		story(addresses_are_stable_and_rest),
		story(a_change_that_needs_a_restart_is_pending),
		story(a_disk_grows_at_the_restart_and_says_so),
		story(an_interface_that_went_takes_its_port_along),
		story(a_namespace_takes_its_content_along),
		story(a_spec_that_cannot_be_read_leaves_the_guest_alone),
		story(more_memory_than_the_node_has_is_told),
		story(a_broken_network_is_mended),
		story(a_status_always_has_its_word),
		story(many_take_turns_on_a_network),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
