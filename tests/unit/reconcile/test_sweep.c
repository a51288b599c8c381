/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reconcile: the fault sweep. One whole life (network, image, instance; a change; a crash; the end
 * of all) is lived once to count the calls of all drivers, and then again for every n with the n-th
 * call failing: before it happened, and after it happened with its answer lost. It must converge to
 * the same end, start no guest once too often, and leak nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/world.h"
#include "json/json.h"

#define DOMAIN_WEB "default.web"
#define HEAL       12 /* seconds of back-off that a single failure may cost */

static void expect(World *w, unsigned n, const char *what, bool ok)
{
	if (!ok)
		fail_msg("fault at call %u (%s): %s; status %s", n,
			 w->fault.mode == FAULT_BEFORE ? "before" : "after", what,
			 world_string(w, "instance", "web", "status.printableStatus"));
}

static void settle(World *w)
{
	world_settle(w);
	world_pass(w, HEAL);
}

/* Lives the story; returns how many driver calls it took. */
static unsigned live(unsigned fail_at, FaultMode mode)
{
	World *w = world_new();
	unsigned calls;

	w->fault.fail_at = fail_at;
	w->fault.mode = mode;
	world_start(w);
	world_create_hello(w);
	settle(w);
	expect(w, fail_at, "does not run",
	       fake_hypervisor_state(w->hypervisor, DOMAIN_WEB) == DOMAIN_RUNNING);
	expect(w, fail_at, "started more than once",
	       fake_hypervisor_starts(w->hypervisor, DOMAIN_WEB) == 1);
	world_patch(w, "instance", "web", "{'spec': {'cpus': 2}}");
	settle(w);
	expect(w, fail_at, "definition is old",
	       fake_hypervisor_config(w->hypervisor, DOMAIN_WEB, false)->cpus == 2);
	fake_hypervisor_virsh(w->hypervisor, DOMAIN_WEB, POWER_DESTROY);
	settle(w);
	expect(w, fail_at, "not healed",
	       fake_hypervisor_state(w->hypervisor, DOMAIN_WEB) == DOMAIN_RUNNING);
	expect(w, fail_at, "healed more than once",
	       fake_hypervisor_starts(w->hypervisor, DOMAIN_WEB) == 2);
	expect(w, fail_at, "not Running",
	       streq(world_string(w, "instance", "web", "status.printableStatus"), "Running"));
	world_delete(w, "instance", "web");
	world_delete(w, "network", "front");
	world_delete(w, "image", "debian");
	settle(w);
	world_pass(w, 31); /* a network in use looks again after 30 s at the latest */
	expect(w, fail_at, "objects left",
	       !world_exists(w, "instance", "web") && !world_exists(w, "network", "front") &&
		       !world_exists(w, "image", "debian"));
	expect(w, fail_at, "domains left", fake_hypervisor_count(w->hypervisor) == 0);
	expect(w, fail_at, "networks left", fake_network_count(w->network) == 0);
	expect(w, fail_at, "disks left", fake_disk_instances(w->disks) == 0);
	expect(w, fail_at, "allocations left", world_allocations(w) == 0);
	calls = w->fault.calls;
	world_free(w);
	return calls;
}

static void sweep(FaultMode mode)
{
	unsigned calls = live(0, mode);

	assert_true(calls > 20);
	for (unsigned n = 1; n <= calls; n++)
		live(n, mode);
}

static void every_call_may_fail(void **state _unused_)
{
	sweep(FAULT_BEFORE);
}

static void every_answer_may_be_lost(void **state _unused_)
{
	sweep(FAULT_AFTER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call_may_fail),
		cmocka_unit_test(every_answer_may_be_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
