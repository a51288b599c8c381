/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reconcile: the host goes down and comes back. libvirt then knows no reason why its guests are
 * off, and neither do we: that is what is told, and no guest waits as if it had crashed.
 */
#include "base/memory.h"
#include "tests/unit/reconcile/web.h"
#include "json/json.h"

static int setup(void **state)
{
	World *w = world_new();

	*state = w;
	world_start(w);
	world_create_hello(w);
	world_settle(w);
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

static void guests_start_again_at_once(void **state)
{
	World *w = *state;

	/* As often as it pleases: an end that nobody saw is no crash of the guest. */
	for (unsigned i = 0; i < 3; i++) {
		world_reboot(w);
		assert_status(w, "Running");
		assert_int_equal(fake_hypervisor_starts(w->hypervisor, DOMAIN_WEB), i + 2);
	}
}

static void the_end_was_not_seen(void **state)
{
	World *w = *state;

	world_reboot(w);
	assert_string_equal(world_string(w, "instance", "web", "status.lastTermination.reason"),
			    "EndedUnseen");
}

static void a_boot_does_not_forgive_crashes(void **state)
{
	World *w = *state;

	fake_hypervisor_end(w->hypervisor, DOMAIN_WEB, DOMAIN_REASON_CRASHED);
	world_settle(w);
	world_reboot(w);
	fake_hypervisor_end(w->hypervisor, DOMAIN_WEB, DOMAIN_REASON_CRASHED);
	world_settle(w);
	assert_status(w, "CrashLoopBackOff");
}

#define story(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		story(guests_start_again_at_once),
		story(the_end_was_not_seen),
		story(a_boot_does_not_forgive_crashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
