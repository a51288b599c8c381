/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has our mark but no object: told, left alone, and removed only when somebody names it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "reconcile/internal.h"
#include "tests/lib/world.h"
#include "json/json.h"

#define LOST   "11111111-1111-4111-8111-111111111111"
#define DOMAIN "default.lost"
#define RESYNC 601

static int setup(void **state)
{
	World *w = world_new();

	*state = w;
	world_start(w);
	world_settle(w);
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

static void make_guest(World *w, const char *name, const char *store, const char *uid)
{
	DomainConfig c = { .name = name,
			   .uuid = uid,
			   .store_id = store,
			   .uid = uid,
			   .title = "default/lost",
			   .request_id = "",
			   .config_hash = "",
			   .cpus = 1,
			   .memory = 64u << 20 };
	Hypervisor *h = w->hypervisor;

	assert_int_equal(h->ops->define(h, &CONTEXT_BACKGROUND, &c, NULL), 0);
	assert_int_equal(h->ops->power(h, &CONTEXT_BACKGROUND, name, POWER_START, NULL, NULL), 0);
}

static void make_disks(World *w, const char *uid)
{
	char path[4096];

	assert_int_equal(w->disks->ops->directory(w->disks, &CONTEXT_BACKGROUND, uid, path, NULL),
			 0);
}

static bool disks_exist(World *w, const char *uid)
{
	_cleanup_(xfreep) char(*uids)[UUID_MAX] = NULL;
	size_t n = 0;

	assert_int_equal(w->disks->ops->list(w->disks, &CONTEXT_BACKGROUND, &uids, &n, NULL), 0);
	for (size_t i = 0; i < n; i++)
		if (streq(uids[i], uid))
			return true;
	return false;
}

static const char *node(World *w, const char *path)
{
	return world_string(w, "node", w->reconcilers->env.node_name, path);
}

static size_t told(World *w)
{
	_cleanup_(json_decrefp) json_t *tree = world_get(w, "node", w->reconcilers->env.node_name);

	return json_array_size(json_at(tree, "status.unmanaged"));
}

static void ask(World *w, const char *id, const char *uid)
{
	_cleanup_(xfreep) char *patch =
		xasprintf("{\"metadata\": {\"annotations\": {\"shakenfist.io/collect-request\": "
			  "\"{\\\"id\\\":\\\"%s\\\",\\\"uids\\\":[\\\"%s\\\"]}\"}}}",
			  id, uid);

	world_patch(w, "node", w->reconcilers->env.node_name, patch);
	world_settle(w);
}

static void lose(World *w)
{
	make_guest(w, DOMAIN, store_id(w->store), LOST);
	make_disks(w, LOST);
	world_pass(w, RESYNC);
	assert_int_equal(told(w), 2);
}

static void what_is_lost_is_told_and_left_alone(void **state)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	_cleanup_(xfreep) char *text = NULL;
	World *w = *state;

	lose(w);
	tree = world_get(w, "node", w->reconcilers->env.node_name);
	text = json_text(json_at(tree, "status.unmanaged"));
	assert_string_equal(text, "[{\"name\":\"" DOMAIN "\",\"type\":\"Guest\",\"uid\":\"" LOST
				  "\"},{\"type\":\"Disks\",\"uid\":\"" LOST "\"}]");
	world_pass(w, RESYNC);
	assert_int_equal(fake_hypervisor_state(w->hypervisor, DOMAIN), DOMAIN_RUNNING);
	assert_true(disks_exist(w, LOST));
}

static void what_is_named_is_removed_once(void **state)
{
	World *w = *state;

	lose(w);
	ask(w, "first", LOST);
	assert_string_equal(node(w, "status.collectRequest.id"), "first");
	assert_string_equal(node(w, "status.collectRequest.state"), "Done");
	assert_int_equal(told(w), 0);
	assert_int_equal(fake_hypervisor_state(w->hypervisor, DOMAIN), DOMAIN_ABSENT);
	assert_false(disks_exist(w, LOST));
	/* The request is over: it does not stand for what gets lost later. */
	lose(w);
	world_pass(w, RESYNC);
	assert_int_equal(told(w), 2);
}

/*
 * Unknown is not absent: disks are not removed under a guest that libvirt did not tell of. The
 * request waits, and is carried out as soon as the hypervisor answers.
 */
static void while_guests_are_unknown_nothing_goes(void **state)
{
	World *w = *state;

	lose(w);
	fake_hypervisor_set_failure(w->hypervisor, ERR_UNAVAILABLE);
	ask(w, "blind", LOST);
	assert_int_equal(told(w), 2);
	assert_true(disks_exist(w, LOST));
	assert_int_equal(fake_hypervisor_state(w->hypervisor, DOMAIN), DOMAIN_RUNNING);
	assert_string_equal(node(w, "status.collectRequest.state"), "");
	fake_hypervisor_set_failure(w->hypervisor, ERR_NONE);
	world_pass(w, 11);
	assert_string_equal(node(w, "status.collectRequest.state"), "Done");
	assert_int_equal(fake_hypervisor_state(w->hypervisor, DOMAIN), DOMAIN_ABSENT);
	assert_false(disks_exist(w, LOST));
}

static void nothing_else_is_removed(void **state)
{
	World *w = *state;
	_cleanup_(xfreep) char *alive = NULL;

	world_create_hello(w);
	world_settle(w);
	alive = xstrdup(world_string(w, "instance", "web", "metadata.uid"));
	make_guest(w, "default.foreign", "22222222-2222-4222-8222-222222222222", LOST);
	ask(w, "of-a-living-one", alive);
	ask(w, "of-a-stranger", LOST);
	assert_string_equal(node(w, "status.collectRequest.id"), "of-a-stranger");
	assert_int_equal(fake_hypervisor_state(w->hypervisor, "default.web"), DOMAIN_RUNNING);
	assert_int_equal(fake_hypervisor_state(w->hypervisor, "default.foreign"), DOMAIN_RUNNING);
	assert_true(disks_exist(w, alive));
}

static void touch_node(void *arg, const char *call)
{
	World *w = arg;

	if (!streq(call, "disk remove"))
		return;
	atomic_store(&w->fault.visit, NULL);
	world_patch(w, "node", w->reconcilers->env.node_name, "{'metadata':{'labels':{'a':'b'}}}");
}

/* Somebody writes to the node between the removal and its telling. */
static void a_lost_race_does_not_hide_what_was_removed(void **state)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	World *w = *state;

	lose(w);
	w->fault.visit_arg = w;
	atomic_store(&w->fault.visit, touch_node);
	ask(w, "r1", LOST);
	assert_string_equal(node(w, "metadata.labels.a"), "b");
	assert_string_equal(node(w, "status.collectRequest.state"), "Done");
	tree = world_get(w, "node", w->reconcilers->env.node_name);
	assert_int_equal(json_integer_at(tree, "status.collectRequest.collected", 0), 2);
	assert_int_equal(told(w), 0);
}

/* Goes on as an instance that is deleted does: after it was listed, before it is looked at again.
 */
static void goes_now(void *arg, const char *call)
{
	static unsigned disks;
	World *w = arg;

	if (streq(call, "inspect")) {
		fake_hypervisor_undefine(w->hypervisor, DOMAIN);
		fake_hypervisor_virsh(w->hypervisor, DOMAIN, POWER_DESTROY);
	}
	if (streq(call, "disk list") && ++disks % 2 == 0)
		assert_int_equal(w->disks->ops->remove(w->disks, &CONTEXT_BACKGROUND, LOST, NULL),
				 0);
}

static void what_just_goes_is_not_told(void **state)
{
	World *w = *state;

	make_guest(w, DOMAIN, store_id(w->store), LOST);
	make_disks(w, LOST);
	w->fault.visit_arg = w;
	atomic_store(&w->fault.visit, goes_now);
	world_pass(w, RESYNC);
	atomic_store(&w->fault.visit, NULL);
	assert_int_equal(told(w), 0);
	assert_int_equal(fake_hypervisor_state(w->hypervisor, DOMAIN), DOMAIN_ABSENT);
	assert_false(disks_exist(w, LOST));
}

static void count_lists(void *arg, const char *call)
{
	*(unsigned *)arg += streq(call, "disk list");
}

/* After a lost store there may be thousands. */
static void many_are_looked_at_together(void **state)
{
	char uid[UUID_MAX] = LOST;
	World *w = *state;
	unsigned lists = 0;

	for (char c = '1'; c <= '9'; c++) {
		uid[strlen(uid) - 1] = c;
		make_disks(w, uid);
	}
	w->fault.visit_arg = &lists;
	atomic_store(&w->fault.visit, count_lists);
	world_pass(w, RESYNC);
	atomic_store(&w->fault.visit, NULL);
	assert_int_equal(told(w), 9);
	assert_in_range(lists, 2, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_lost_is_told_and_left_alone, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_lost_race_does_not_hide_what_was_removed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_is_named_is_removed_once, setup, teardown),
		cmocka_unit_test_setup_teardown(while_guests_are_unknown_nothing_goes, setup,
						teardown),
		cmocka_unit_test_setup_teardown(nothing_else_is_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(what_just_goes_is_not_told, setup, teardown),
		cmocka_unit_test_setup_teardown(many_are_looked_at_together, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
