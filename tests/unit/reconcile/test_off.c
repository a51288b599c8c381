/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reconcile: forcing guests off and removing them takes its time, above all for many at once on a
 * busy machine. What is under way is no failure; what does not come to its end is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "tests/lib/world.h"
#include "json/json.h"

#define GUESTS 12

/* How often something with this reason (NULL = any) was told of guests as a warning. */
static unsigned warnings(World *w, const char *reason)
{
	_cleanup_(object_list_freep) ObjectList *list = NULL;
	unsigned n = 0;

	world_pass(w, 2); /* events are written a moment later */
	assert_int_equal(store_list(w->store, &(ListOptions){ .gr = GR_EVENT }, &list, NULL), 0);
	for (size_t i = 0; i < list->n; i++) {
		_cleanup_(json_decrefp) json_t *tree = object_decode(list->items[i]);

		if (!streq_ptr(json_string_at(tree, "type"), "Warning") ||
		    !streq_ptr(json_string_at(tree, "involvedObject.kind"), "Instance") ||
		    (reason && !streq_ptr(json_string_at(tree, "reason"), reason)))
			continue;
		print_message("%s: %s\n", json_string_at(tree, "involvedObject.name"),
			      json_string_at(tree, "message"));
		n += (unsigned)json_integer_at(tree, "count", 1);
	}
	return n;
}

static const char *guest(unsigned i)
{
	static char name[16];

	snprintf(name, sizeof(name), "guest-%u", i);
	return name;
}

static const char *domain(unsigned i)
{
	static char name[32];

	snprintf(name, sizeof(name), "default.%s", guest(i));
	return name;
}

/* They run, do not listen, and are slow to die. */
static void create_guests(World *w, unsigned n, unsigned grace)
{
	for (unsigned i = 0; i < n; i++) {
		_cleanup_(xfreep) char *json =
			xasprintf("{'apiVersion': 'shakenfist.io/v1alpha1', 'kind': 'Instance', "
				  "'metadata': {'name': '%s'}, 'spec': "
				  "{'disks': [{'name': 'root', 'size': '1Gi'}], "
				  "'terminationGracePeriodSeconds': %u}}",
				  guest(i), grace);

		world_create(w, json);
		fake_hypervisor_set_slow_end(w->hypervisor, domain(i), true);
		fake_hypervisor_set_guest(w->hypervisor, domain(i), FAKE_GUEST_IGNORES);
	}
	world_settle(w);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(fake_hypervisor_state(w->hypervisor, domain(i)), DOMAIN_RUNNING);
}

static void assert_ready(World *w, unsigned i, const char *status, const char *text)
{
	const char *message;

	assert_string_equal(world_ready(w, guest(i), "status"), status);
	message = world_ready(w, guest(i), "message");
	if (!strstr(message, text))
		fail_msg("\"%s\" is not in \"%s\"", text, message);
}

/* All of those that are under way come to their end, until there are none; nobody waits. */
static void let_all_end(World *w, unsigned n)
{
	for (unsigned round = 0; round < n; round++)
		for (unsigned i = 0; i < n; i++) {
			fake_hypervisor_set_slow_end(w->hypervisor, domain(i), false);
			world_settle(w);
			fake_hypervisor_set_slow_end(w->hypervisor, domain(i), true);
		}
}

static unsigned left(World *w, unsigned n)
{
	unsigned there = 0;

	for (unsigned i = 0; i < n; i++)
		there += world_exists(w, "instance", guest(i));
	return there;
}

static void what_is_under_way_is_no_failure(void **state)
{
	unsigned behind = 0;
	World *w = *state;

	create_guests(w, GUESTS, 0);
	for (unsigned i = 0; i < GUESTS; i++)
		world_delete(w, "instance", guest(i));
	world_pass(w, 20);
	for (unsigned i = 0; i < GUESTS; i++) {
		assert_string_equal(world_string(w, "instance", guest(i), "status.printableStatus"),
				    "Terminating");
		assert_ready(w, i, "False", "the guest is being forced off: ");
		behind +=
			strstr(world_ready(w, guest(i), "message"), "others are under way") != NULL;
	}
	assert_int_equal(behind, GUESTS - 4);
	let_all_end(w, GUESTS);
	assert_int_equal(left(w, GUESTS), 0);
	assert_int_equal(fake_hypervisor_count(w->hypervisor), 0);
	assert_int_equal(warnings(w, NULL), 0);
}

/* Its end is told; where that is lost, somebody looks, soon and no later each time. */
static void an_end_that_nobody_told_of_is_seen(void **state)
{
	World *w = *state;

	create_guests(w, 1, 0);
	world_delete(w, "instance", guest(0));
	world_pass(w, 25);
	fake_hypervisor_set_mute(w->hypervisor, true);
	fake_hypervisor_set_slow_end(w->hypervisor, domain(0), false);
	world_pass(w, 6);
	assert_int_equal(left(w, 1), 0);
	assert_int_equal(warnings(w, NULL), 0);
}

static void what_does_not_end_is_told(void **state)
{
	World *w = *state;

	create_guests(w, 1, 0);
	world_delete(w, "instance", guest(0));
	world_pass(w, 25);
	assert_int_equal(warnings(w, NULL), 0);
	world_pass(w, 10);
	assert_int_equal(warnings(w, "ReconcileFailed"), 1);
	assert_ready(w, 0, "Unknown", "force off: a call is under way");
	/* Off at last, but the definition does not go. */
	fake_hypervisor_virsh(w->hypervisor, domain(0), POWER_DESTROY);
	world_settle(w);
	assert_int_equal(fake_hypervisor_state(w->hypervisor, domain(0)), DOMAIN_SHUTOFF);
	world_pass(w, 20);
	assert_ready(w, 0, "False", "the domain is being removed: a call is under way");
	assert_int_equal(warnings(w, NULL), 1);
	world_pass(w, 15);
	assert_int_equal(warnings(w, "ReconcileFailed"), 2);
	assert_ready(w, 0, "Unknown", "remove: a call is under way");
	fake_hypervisor_set_slow_end(w->hypervisor, domain(0), false);
	world_settle(w);
	assert_int_equal(left(w, 1), 0);
}

/* A turn that never comes is told, too, but not of those who only wait in a long row. */
static void who_waits_for_a_turn_waits_longer(void **state)
{
	World *w = *state;

	create_guests(w, 6, 0);
	for (unsigned i = 0; i < 6; i++)
		world_delete(w, "instance", guest(i));
	world_pass(w, 60);
	assert_int_equal(warnings(w, "ReconcileFailed"), 4);
	world_pass(w, 300);
	assert_true(warnings(w, "ReconcileFailed") >= 6);
	let_all_end(w, 6);
	world_pass(w, 300);
	assert_int_equal(left(w, 6), 0);
}

/* Somebody else than its instance has it forced off: it takes its place among those under way. */
static void take_place(World *w, unsigned i)
{
	Context ctx = { .clock = w->clock, .deadline = USEC_INFINITY };

	assert_int_equal(w->hypervisor->ops->power(w->hypervisor, &ctx, domain(i), POWER_DESTROY,
						   NULL, NULL),
			 -ERR_UNAVAILABLE);
}

/* Tried for 15 s, given up, and behind the others for the next 15, again and again: it is late,
 * though no try and no wait ever is. */
static void one_that_only_changes_places_is_told(void **state)
{
	World *w = *state;

	create_guests(w, 5, 0);
	for (unsigned i = 1; i < 5; i++)
		take_place(w, i);
	world_delete(w, "instance", guest(0));
	for (unsigned passed = 0; passed < 360; passed += 30) {
		world_pass(w, 15);
		if (passed < 270)
			assert_ready(w, 0, "False", "others are under way");
		fake_hypervisor_give_up(w->hypervisor, domain(4));
		world_pass(w, 15);
		if (passed < 270) {
			assert_ready(w, 0, "False", "a call is under way");
			assert_int_equal(warnings(w, NULL), 0);
		}
		fake_hypervisor_set_mute(w->hypervisor, true);
		fake_hypervisor_give_up(w->hypervisor, domain(0));
		take_place(w, 4);
		fake_hypervisor_set_mute(w->hypervisor, false);
	}
	assert_true(warnings(w, "ReconcileFailed") > 0);
	assert_ready(w, 0, "Unknown", "force off: a call is under way");
	fake_hypervisor_set_slow_end(w->hypervisor, domain(0), false);
	world_pass(w, 300);
	assert_false(world_exists(w, "instance", guest(0)));
}

/* libvirt gives up, and is asked again at once: all of that is one try. */
static void what_is_given_up_is_told(void **state)
{
	World *w = *state;

	create_guests(w, 1, 0);
	world_delete(w, "instance", guest(0));
	world_pass(w, 15);
	fake_hypervisor_give_up(w->hypervisor, domain(0));
	world_pass(w, 10);
	assert_ready(w, 0, "False", "a call is under way");
	assert_int_equal(warnings(w, NULL), 0);
	world_pass(w, 10);
	assert_int_equal(warnings(w, "ReconcileFailed"), 1);
}

/* What was asked before nobody could look is over; what is asked after it has its own time. */
static void a_failed_look_begins_anew(void **state)
{
	World *w = *state;
	unsigned told;

	create_guests(w, 1, 0);
	world_delete(w, "instance", guest(0));
	world_settle(w);
	assert_ready(w, 0, "False", "a call is under way");
	fake_hypervisor_set_failure(w->hypervisor, ERR_UNAVAILABLE);
	fake_hypervisor_give_up(w->hypervisor, domain(0));
	world_pass(w, 120);
	told = warnings(w, "ReconcileFailed");
	assert_true(told > 0);
	assert_ready(w, 0, "Unknown", "inspect domain ");
	fake_hypervisor_set_failure(w->hypervisor, ERR_NONE);
	world_pass(w, 20);
	assert_ready(w, 0, "False", "the guest is being forced off: a call is under way");
	assert_int_equal(warnings(w, "ReconcileFailed"), told);
	world_pass(w, 15);
	assert_int_equal(warnings(w, "ReconcileFailed"), told + 1);
}

/* Forced off, then given more time after all: what is asked at its end is not late yet. */
static void another_step_begins_anew(void **state)
{
	World *w = *state;

	create_guests(w, 1, 10);
	world_patch(w, "instance", guest(0), "{'spec': {'runStrategy': 'Halted'}}");
	world_pass(w, 20);
	assert_ready(w, 0, "False", "the guest is being forced off: a call is under way");
	world_patch(w, "instance", guest(0), "{'spec': {'terminationGracePeriodSeconds': 100}}");
	fake_hypervisor_give_up(w->hypervisor, domain(0));
	world_pass(w, 95);
	assert_ready(w, 0, "False", "the guest is being forced off: a call is under way");
	assert_int_equal(warnings(w, "ReconcileFailed"), 0);
	world_pass(w, 20);
	assert_int_equal(warnings(w, "ReconcileFailed"), 1);
}

/* However often it takes; and only of one that was asked first. */
static void that_it_was_forced_off_is_told_once(void **state)
{
	World *w = *state;

	create_guests(w, 1, 10);
	world_patch(w, "instance", guest(0), "{'spec': {'runStrategy': 'Halted'}}");
	world_pass(w, 30);
	assert_ready(w, 0, "False", "the guest is being forced off: a call is under way");
	assert_string_equal(world_string(w, "instance", guest(0), "status.printableStatus"),
			    "Stopping");
	fake_hypervisor_set_slow_end(w->hypervisor, domain(0), false);
	world_settle(w);
	assert_string_equal(world_string(w, "instance", guest(0), "status.printableStatus"),
			    "Stopped");
	assert_int_equal(warnings(w, "ForcedOff"), 1);
	assert_int_equal(warnings(w, NULL), 1);
}

#define story(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		story(what_is_under_way_is_no_failure),
		story(an_end_that_nobody_told_of_is_seen),
		story(what_does_not_end_is_told),
		story(who_waits_for_a_turn_waits_longer),
		story(one_that_only_changes_places_is_told),
		story(what_is_given_up_is_told),
		story(a_failed_look_begins_anew),
		story(another_step_begins_anew),
		story(that_it_was_forced_off_is_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
