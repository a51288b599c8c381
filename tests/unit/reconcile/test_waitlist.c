/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting: who waits is woken by what comes, and nothing is remembered of those who left.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "reconcile/internal.h"
#include "tests/lib/world.h"

static size_t waiting(World *w)
{
	return waitlist_size(w->reconcilers->waits);
}

static void create_instance(World *w, const char *name, const char *network)
{
	_cleanup_(xfreep) char *text =
		xasprintf("{'apiVersion':'shakenfist.io/v1alpha1','kind':'Instance','metadata':"
			  "{'name':'%s'},'spec':{'memory':'256Mi','disks':[{'name':'root','size':"
			  "'1Gi'}],'interfaces':[{'name':'eth0','network':'%s'}]}}",
			  name, network);

	world_create(w, text);
}

static void who_was_deleted_waits_for_nothing(void **state)
{
	World *w = *state;

	for (int i = 0; i < 5; i++) {
		_cleanup_(xfreep) char *name = xasprintf("web-%d", i);
		_cleanup_(xfreep) char *never = xasprintf("never-%d", i);

		create_instance(w, name, never);
		world_settle(w);
		assert_true(waiting(w) > 0);
		world_delete(w, "instance", name);
		world_settle(w);
	}
	assert_int_equal(waiting(w), 0);
}

static void who_names_another_thing_waits_for_that(void **state)
{
	World *w = *state;
	size_t before;

	create_instance(w, "web", "never");
	world_settle(w);
	before = waiting(w);
	for (int i = 0; i < 5; i++) {
		_cleanup_(xfreep) char *patch = xasprintf(
			"{'spec':{'interfaces':[{'name':'eth0','network':'other-%d'}]}}", i);

		for (char *c = patch; *c; c++)
			*c = *c == '\'' ? '"' : *c;
		world_patch(w, "instance", "web", patch);
		world_settle(w);
	}
	assert_int_equal(waiting(w), before);
	world_create(w, "{'apiVersion':'shakenfist.io/v1alpha1','kind':'Network','metadata':"
			"{'name':'other-4'},'spec':{'cidrs':['10.0.0.0/24']}}");
	world_settle(w);
	assert_string_equal(world_string(w, "instance", "web", "status.printableStatus"),
			    "Running");
}

static void bring_up_network(World *w)
{
	world_create(w, "{'apiVersion':'shakenfist.io/v1alpha1','kind':'Network','metadata':"
			"{'name':'late'},'spec':{'cidrs':['10.0.0.0/24']}}");
	while (!streq(world_string(w, "network", "late", "status.phase"), "Ready"))
		poll(NULL, 0, 1);
}

/* The instance has seen no network and does not wait yet: what comes up just then wakes it all the
 * same. */
static void what_comes_between_a_look_and_the_wait_is_seen(void **state)
{
	World *w = *state;

	atomic_store(&w->meanwhile, bring_up_network);
	create_instance(w, "web", "late");
	world_settle(w);
	assert_string_equal(world_string(w, "network", "late", "status.phase"), "Ready");
	assert_string_equal(world_string(w, "instance", "web", "status.printableStatus"),
			    "Running");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_was_deleted_waits_for_nothing, world_setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(who_names_another_thing_waits_for_that, world_setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(what_comes_between_a_look_and_the_wait_is_seen,
						world_setup, world_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
