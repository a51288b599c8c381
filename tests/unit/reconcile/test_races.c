/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Races, one interleaving each, made to happen: what comes between a look and what follows from it
 * costs nothing but another look, and nobody is told that it was their fault.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "reconcile/network_config.h"
#include "tests/lib/world.h"
#include "json/json.h"

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
#define assert_ready(w, name, word) assert_string_equal(world_ready(w, name, "reason"), word)
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

/* Whoever asks has written nothing into the answer. */
static void a_network_that_has_gone_is_not_ready(void **state)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(object_unrefp) Object *net = NULL;
	Key key = key_make(GR_NETWORK, "default", "front");
	NetworkStatus st;
	World *w = *state;

	create_network(w, "front");
	world_settle(w);
	assert_int_equal(store_get(w->store, &key, &net, &err), 0);
	remove_network(w);
	world_settle(w); /* its controller has it until it is done */
	memset(&st, 0xff, sizeof(st));
	assert_int_equal(
		network_ensure(w->reconcilers, &CONTEXT_BACKGROUND, net, 1, &key, &st, &err), 0);
	assert_false(*(unsigned char *)&st.ready);
	assert_false(*(unsigned char *)&st.repaired);
	assert_string_equal(st.message, "it is gone");
}

/* Somebody else has the network in hand, or the driver fails: the answer is not touched. */
static void a_network_that_tells_nothing_leaves_the_answer_alone(void **state)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(object_unrefp) Object *net = NULL;
	Key key = key_make(GR_NETWORK, "default", "front");
	NetworkStatus st, before;
	World *w = *state;
	const char *uid;

	create_network(w, "front");
	world_settle(w);
	assert_int_equal(store_get(w->store, &key, &net, &err), 0);
	uid = object_head(net)->uid;
	memset(&st, 0xff, sizeof(st));
	before = st;
	assert_true(busy_enter(w->reconcilers->busy, uid, &key));
	assert_int_equal(
		network_ensure(w->reconcilers, &CONTEXT_BACKGROUND, net, 1, &key, &st, &err),
		NETWORK_BUSY);
	assert_memory_equal(&st, &before, sizeof(st));
	busy_leave(w->reconcilers->busy, uid, w->manager);
	world_settle(w);
	fake_network_set_failure(w->network, ERR_UNAVAILABLE);
	assert_int_equal(
		network_ensure(w->reconcilers, &CONTEXT_BACKGROUND, net, 1, &key, &st, &err),
		-ERR_UNAVAILABLE);
	assert_memory_equal(&st, &before, sizeof(st));
}

/* ---- images ---- */

static void create_image(World *w, const char *content)
{
	_cleanup_(xfreep) char *url = xasprintf("http://images.test/%s", content);
	_cleanup_(xfreep) char *text =
		xasprintf("{'apiVersion':'shakenfist.io/v1alpha1','kind':'Image','metadata':"
			  "{'name':'debian'},'spec':{'source':{'url':'%s'}}}",
			  url);

	fake_image_source_set(w->images, url, &(FakeSource){ .content = content });
	world_create(w, text);
}

/* An image's status is about the source that its controller saw last. */
static void no_disk_is_made_of_what_an_image_was_before(void **state)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	char digest[IMAGE_DIGEST_MAX];
	World *w = *state;

	create_image(w, "old");
	world_settle(w);
	w->controllers = "instance,network,node"; /* the image's is slow */
	world_restart(w);
	fake_image_source_set(w->images, "http://images.test/new",
			      &(FakeSource){ .content = "new" });
	world_patch(w, "image", "debian", "{'spec':{'source':{'url':'http://images.test/new'}}}");
	world_create(w, "{'apiVersion':'shakenfist.io/v1alpha1','kind':'Instance','metadata':"
			"{'name':'web'},'spec':{'memory':'256Mi','disks':[{'name':'root','image':"
			"'debian'}]}}");
	world_settle(w);
	assert_state(w, "WaitingForImage");
	w->controllers = "all";
	world_restart(w);
	assert_state(w, "Running");
	tree = world_get(w, "instance", "web");
	assert_string_equal(
		json_string_at(json_array_get(json_at(tree, "status.disks"), 0), "imageDigest"),
		fake_image_digest("new", digest));
}

/* ---- conflicts ---- */

static atomic_int touches;

static _Atomic(const char *) touch_after; /* the call */

/* Somebody writes to the object at the first look after that call. */
static void touch(void *arg, const char *call)
{
	World *w = arg;

	if (streq(call, atomic_load(&touch_after))) {
		atomic_store(&touches, 1);
	} else if (streq(call, "inspect") && atomic_exchange(&touches, 0)) {
		world_patch(w, "instance", "web", "{'metadata':{'labels':{'a':'b'}}}");
	}
}

static void touch_web_after(World *w, const char *call)
{
	atomic_store(&touch_after, call);
	w->fault.visit_arg = w;
	atomic_store(&w->fault.visit, touch);
}

/* We stopped it, and somebody wrote to the object before we could say so. */
static void a_lost_race_makes_no_crash_of_a_stop(void **state)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	World *w = *state;

	create_network(w, "front");
	create_instance(w, "web", "{'name':'eth0','network':'front'}");
	world_settle(w);
	touch_web_after(w, "shut down");
	world_patch(w, "instance", "web", "{'spec':{'runStrategy':'Halted'}}");
	world_settle(w);
	assert_state(w, "Stopped");
	assert_text(w, "metadata.labels.a", "b");
	assert_text(w, "status.lastTermination.reason", "Stopped");
	tree = world_get(w, "instance", "web");
	assert_int_equal(json_integer_at(tree, "status.failures", 0), 0);
}

/* A guest that ends and is started again has ended, whoever writes to the object meanwhile. */
static void a_lost_race_forgets_no_failure(void **state)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	World *w = *state;

	create_network(w, "front");
	create_instance(w, "web", "{'name':'eth0','network':'front'}");
	world_settle(w);
	touch_web_after(w, "start");
	fake_hypervisor_end(w->hypervisor, "default.web", DOMAIN_REASON_CRASHED);
	world_settle(w);
	assert_state(w, "Running");
	assert_text(w, "metadata.labels.a", "b");
	assert_text(w, "status.lastTermination.reason", "GuestPanicked");
	tree = world_get(w, "instance", "web");
	assert_int_equal(json_integer_at(tree, "status.failures", 0), 1);
	assert_int_equal(json_integer_at(tree, "status.restarts", 0), 1);
}

/* ---- what comes right after a write ---- */

int __real_store_commit(Store *s, Context *ctx, Txn *t, TxnResult *ret, Error *err);
int __wrap_store_commit(Store *s, Context *ctx, Txn *t, TxnResult *ret, Error *err);

static _Atomic(World *) watched;
static _Thread_local bool watching;
static pthread_mutex_t watch_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the two below */
static bool was_changed;
static unsigned lies;

/* Changes the instance as soon as addresses are claimed for it. From then on no status may say that
 * it is about the new spec while the guest is one of the old. */
static void watch(World *w)
{
	_cleanup_(json_decrefp) json_t *tree = world_get(w, "instance", "web");
	Hypervisor *h = w->hypervisor;
	DomainInfo d = { 0 };

	if (!was_changed && json_array_size(json_at(tree, "status.interfaces"))) {
		was_changed = true;
		(void)world_try_modify(w, "instance", "web", "{'spec':{'cpus':2}}");
	} else if (json_integer_at(tree, "status.observedGeneration", 0) == 2 &&
		   !json_array_size(json_at(tree, "status.pendingChanges")) &&
		   h->ops->inspect(h, &CONTEXT_BACKGROUND, "default.web", &d, NULL) == 0) {
		lies += d.live_cpus == 1;
	}
}

/* Every commit comes by here (--wrap of the linker), and its caller goes on after that. */
int __wrap_store_commit(Store *s, Context *ctx, Txn *t, TxnResult *ret, Error *err)
{
	int rc = __real_store_commit(s, ctx, t, ret, err);
	World *w = atomic_load(&watched);

	if (rc < 0 || !w || watching)
		return rc;
	watching = true;
	pthread_mutex_lock(&watch_lock);
	watch(w);
	pthread_mutex_unlock(&watch_lock);
	watching = false;
	return rc;
}

/* Who claimed for the old spec does not go on with it under the name of the new one. */
static void a_change_during_a_claim_is_not_told_as_carried_out(void **state)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	World *w = *state;

	create_network(w, "front");
	world_settle(w);
	atomic_store(&watched, w);
	create_instance(w, "web", "{'name':'eth0','network':'front'}");
	world_settle(w);
	atomic_store(&watched, NULL);
	assert_true(was_changed);
	assert_int_equal(lies, 0);
	assert_state(w, "Running");
	tree = world_get(w, "instance", "web");
	assert_int_equal(json_integer_at(tree, "status.observedGeneration", 0), 2);
	assert_int_equal(json_array_size(json_at(tree, "status.pendingChanges")), 0);
}

#define WRITERS 3
#define WRITTEN 60

static atomic_bool enough;

static void *write_on(void *arg)
{
	World *w = arg;

	for (unsigned i = 0; !atomic_load(&enough); i++) {
		_cleanup_(xfreep) char *name = xasprintf("c-%u", i * 7 % WRITTEN);
		_cleanup_(xfreep) char *patch = xasprintf("{'data':{'i':'%u'}}", i);

		(void)world_try_modify(w, "configmap", name, patch);
	}
	return NULL;
}

/* All at once would not work for as long as somebody writes to one of them. */
static void a_namespace_goes_while_its_objects_are_written_to(void **state)
{
	usec_t until = clock_now(clock_system()) + USEC_PER_MIN;
	pthread_t threads[WRITERS];
	World *w = *state;

	for (unsigned i = 0; i < WRITTEN; i++) {
		_cleanup_(xfreep) char *text = xasprintf(
			"{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'c-%u'}}", i);

		world_create(w, text);
	}
	atomic_store(&enough, false);
	for (unsigned i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_on, w), 0);
	world_delete(w, "namespace", "default");
	while (world_exists(w, "namespace", "default") && clock_now(clock_system()) < until)
		poll(NULL, 0, 1);
	atomic_store(&enough, true);
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	assert_false(world_exists(w, "namespace", "default"));
}

/* ---- owners ---- */

#define OWNERS 12
#define ROUNDS 60

static void create_owned(World *w)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;

	for (unsigned i = 0; i < OWNERS; i++) {
		_cleanup_(xfreep) char *name = xasprintf("owner-%u", i);
		_cleanup_(xfreep) char *text = xasprintf(
			"{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'%s'}}", name);

		world_create(w, text);
		strbuf_addf(&b, "%s{'apiVersion':'v1','kind':'ConfigMap','name':'%s','uid':'%s'}",
			    i ? "," : "", name, world_string(w, "configmap", name, "metadata.uid"));
	}
	{
		_cleanup_(xfreep) char *text =
			xasprintf("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':"
				  "'owned','ownerReferences':[%s]}}",
				  strbuf_str(&b));

		world_create(w, text);
	}
}

/* The last owner goes between two looks at it. */
static void what_is_owned_goes_with_the_last_of_many_owners(void **state)
{
	World *w = *state;

	for (int round = 0; round < ROUNDS; round++) {
		create_owned(w);
		world_settle(w);
		for (unsigned i = 0; i < OWNERS; i++) {
			_cleanup_(xfreep) char *name = xasprintf("owner-%u", i);

			world_delete(w, "configmap", name);
		}
		world_settle(w);
		assert_false(world_exists(w, "configmap", "owned"));
	}
}

#define in_a_world(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_a_world(two_interfaces_on_one_network_do_not_choose_alike),
		in_a_world(what_one_interface_asks_for_is_not_chosen_for_another),
		in_a_world(an_interface_under_a_new_name_keeps_its_address),
		in_a_world(a_guest_that_runs_holds_its_address_until_it_is_off),
		in_a_world(an_old_look_does_not_undo_a_change_of_the_network),
		in_a_world(nothing_is_claimed_on_a_network_that_goes),
		in_a_world(a_network_that_has_gone_is_not_ready),
		in_a_world(a_network_that_tells_nothing_leaves_the_answer_alone),
		in_a_world(no_disk_is_made_of_what_an_image_was_before),
		in_a_world(a_lost_race_makes_no_crash_of_a_stop),
		in_a_world(a_lost_race_forgets_no_failure),
		in_a_world(a_change_during_a_claim_is_not_told_as_carried_out),
		in_a_world(a_namespace_goes_while_its_objects_are_written_to),
		in_a_world(what_is_owned_goes_with_the_last_of_many_owners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
