/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reconcile: guests that are started, stopped, restarted and paused, by requests and by themselves.
 */
#include "tests/unit/reconcile/web.h"

static void crashes_back_off(void **state)
{
	World *w = *state;

	world_create_hello(w);
	world_settle(w);
	fake_hypervisor_end(w->hypervisor, DOMAIN_WEB, DOMAIN_REASON_CRASHED);
	world_settle(w);
	assert_status(w, "Running"); /* the first time at once */
	fake_hypervisor_end(w->hypervisor, DOMAIN_WEB, DOMAIN_REASON_CRASHED);
	world_settle(w);
	assert_status(w, "CrashLoopBackOff");
	assert_string_equal(world_string(w, "instance", "web", "status.lastTermination.reason"),
			    "GuestPanicked");
	world_pass(w, 1);
	assert_status(w, "CrashLoopBackOff");
	world_pass(w, 2);
	assert_status(w, "Running");
	assert_int_equal(fake_hypervisor_starts(w->hypervisor, DOMAIN_WEB), 3);
}

static void stop_holds_and_start_ends_it(void **state)
{
	World *w = *state;

	world_create_hello(w);
	world_settle(w);
	power(w, "r1", "stop");
	assert_status(w, "Stopped");
	assert_string_equal(world_string(w, "instance", "web", "status.powerRequest.state"),
			    "Done");
	world_pass(w, 30);
	assert_status(w, "Stopped");
	power(w, "r2", "start");
	assert_status(w, "Running");
	assert_string_equal(world_string(w, "instance", "web", "status.powerRequest.id"), "r2");
	assert_int_equal(fake_hypervisor_starts(w->hypervisor, DOMAIN_WEB), 2);
}

static void restart_is_done_once(void **state)
{
	World *w = *state;

	world_create_hello(w);
	world_settle(w);
	power(w, "r1", "restart");
	assert_status(w, "Running");
	assert_int_equal(fake_hypervisor_starts(w->hypervisor, DOMAIN_WEB), 2);
	world_restart(w);
	world_pass(w, 5);
	assert_int_equal(fake_hypervisor_starts(w->hypervisor, DOMAIN_WEB), 2);
}

static void a_restart_waits_for_a_slow_guest(void **state)
{
	World *w = *state;

	world_create_hello(w);
	world_settle(w);
	fake_hypervisor_set_guest(w->hypervisor, DOMAIN_WEB, FAKE_GUEST_IGNORES);
	power(w, "r1", "restart");
	world_pass(w, 5);
	assert_status(w, "Stopping");
	assert_string_equal(world_string(w, "instance", "web", "status.powerRequest.state"),
			    "Pending");
	fake_hypervisor_end(w->hypervisor, DOMAIN_WEB, DOMAIN_REASON_SHUTDOWN);
	world_settle(w);
	assert_status(w, "Running");
	assert_string_equal(world_string(w, "instance", "web", "status.powerRequest.state"),
			    "Done");
	assert_string_equal(world_string(w, "instance", "web", "status.lastTermination.reason"),
			    "Stopped");
	assert_int_equal(fake_hypervisor_starts(w->hypervisor, DOMAIN_WEB), 2);
}

static void a_restart_forces_a_deaf_guest(void **state)
{
	World *w = *state;

	world_create_hello(w);
	world_settle(w);
	fake_hypervisor_set_guest(w->hypervisor, DOMAIN_WEB, FAKE_GUEST_IGNORES);
	world_patch(w, "instance", "web", "{'spec': {'terminationGracePeriodSeconds': 10}}");
	power(w, "r1", "restart");
	world_pass(w, 8);
	assert_status(w, "Stopping");
	world_pass(w, 4);
	assert_status(w, "Running");
	assert_string_equal(world_string(w, "instance", "web", "status.powerRequest.state"),
			    "Done");
	assert_int_equal(fake_hypervisor_starts(w->hypervisor, DOMAIN_WEB), 2);
}

static void pause_and_resume(void **state)
{
	World *w = *state;

	world_create_hello(w);
	world_settle(w);
	power(w, "r1", "pause");
	assert_status(w, "Paused");
	power(w, "r2", "resume");
	assert_status(w, "Running");
	assert_int_equal(fake_hypervisor_starts(w->hypervisor, DOMAIN_WEB), 1);
}

/* Looked at again and again, and resumed when there is room; never over somebody's pause. */
static void a_full_disk_pauses_and_room_resumes(void **state)
{
	World *w = *state;

	world_create_hello(w);
	world_settle(w);
	fake_disk_set_full(w->disks, true);
	fake_hypervisor_io_error(w->hypervisor, DOMAIN_WEB);
	world_pass(w, 30);
	assert_status(w, "Paused");
	fake_disk_set_full(w->disks, false);
	world_pass(w, 11);
	assert_status(w, "Running");
	power(w, "r1", "pause");
	fake_hypervisor_io_error(w->hypervisor, DOMAIN_WEB);
	world_pass(w, 30);
	assert_status(w, "Paused");
}

static void a_deaf_guest_is_forced_off(void **state)
{
	World *w = *state;

	world_create_hello(w);
	world_settle(w);
	fake_hypervisor_set_guest(w->hypervisor, DOMAIN_WEB, FAKE_GUEST_IGNORES);
	world_patch(w, "instance", "web", "{'spec': {'terminationGracePeriodSeconds': 10}}");
	world_settle(w);
	power(w, "r1", "stop");
	assert_status(w, "Stopping");
	world_pass(w, 8);
	assert_status(w, "Stopping");
	world_pass(w, 4);
	assert_status(w, "Stopped");
	power(w, "r2", "start");
	fake_hypervisor_set_guest(w->hypervisor, DOMAIN_WEB, FAKE_GUEST_IGNORES);
	world_delete(w, "instance", "web");
	world_pass(w, 1);
	assert_ready(w, "message",
		     "the guest was asked to shut down, and is forced off 10 s later; then its "
		     "disks and its addresses are removed");
	world_pass(w, 11);
	assert_false(world_exists(w, "instance", "web"));
}

static void a_start_takes_back_a_stop(void **state)
{
	World *w = *state;

	world_create_hello(w);
	world_settle(w);
	fake_hypervisor_set_guest(w->hypervisor, DOMAIN_WEB, FAKE_GUEST_IGNORES);
	power(w, "r1", "stop");
	assert_status(w, "Stopping");
	power(w, "r2", "start");
	assert_status(w, "Running");
	world_pass(w, 70);
	assert_status(w, "Running");
	assert_int_equal(fake_hypervisor_starts(w->hypervisor, DOMAIN_WEB), 1);
}

static void nothing_starts_while_the_host_stops(void **state)
{
	World *w = *state;

	world_create_hello(w);
	world_settle(w);
	w->host_stopping = true;
	fake_hypervisor_virsh(w->hypervisor, DOMAIN_WEB, POWER_SHUTDOWN);
	world_settle(w);
	world_pass(w, 40);
	assert_int_equal(fake_hypervisor_state(w->hypervisor, DOMAIN_WEB), DOMAIN_SHUTOFF);
	w->host_stopping = false;
	world_pass(w, 40);
	assert_status(w, "Running");
}

#define story(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		story(crashes_back_off),
		story(stop_holds_and_start_ends_it),
		story(restart_is_done_once),
		story(a_restart_waits_for_a_slow_guest),
		story(a_restart_forces_a_deaf_guest),
		story(pause_and_resume),
		story(a_full_disk_pauses_and_room_resumes),
		story(a_deaf_guest_is_forced_off),
		story(a_start_takes_back_a_stop),
		story(nothing_starts_while_the_host_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
