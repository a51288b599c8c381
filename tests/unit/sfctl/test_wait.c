/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl wait and describe: what is told of how an object is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "tests/unit/sfctl/lib_run.h"

/* It runs already, and has no address yet: what is waited for is what is told. */
static void the_awaited_condition_is_told(void **state _unused_)
{
	static const char list[] =
		"{\"items\":[{\"metadata\":{\"name\":\"web-1\"},\"status\":{"
		"\"printableStatus\":\"Running\",\"conditions\":["
		"{\"type\":\"Ready\",\"status\":\"True\",\"message\":\"it runs\"},"
		"{\"type\":\"AddressReady\",\"status\":\"False\","
		"\"message\":\"eth0 uses none\"}]}}],\"metadata\":{\"resourceVersion\":\"9\"}}";
	HttpRule rules[] = {
		HTTP_RULE(.path = INSTANCES "?fieldSelector=metadata.name%3Dweb-1&watch=true*",
			  .hang = true),
		HTTP_RULE(.path = INSTANCES "?fieldSelector=metadata.name%3Dweb-1", .body = list),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run address =
		sfctl(f, "wait vm web-1 --for=condition=addressready --timeout=100ms");
	_cleanup_(run_done) Run other =
		sfctl(f, "wait vm web-1 --for=condition=Other --timeout=100ms");

	run_expect(&address, EXIT_TIMEOUT, "",
		   "instance.shakenfist.io/web-1: Running: eth0 uses none\n"
		   "error: timed out waiting for condition=addressready of "
		   "instance.shakenfist.io/web-1, which is: Running: eth0 uses none\n");
	run_expect(&other, EXIT_TIMEOUT, "",
		   "instance.shakenfist.io/web-1: Running\n"
		   "error: timed out waiting for condition=Other of "
		   "instance.shakenfist.io/web-1, which is: Running\n");
	http_fake_stop(f);
}

#define LEAVING(seen) \
	"{\"kind\":\"Instance\",\"metadata\":{\"name\":\"web-1\",\"generation\":2," \
	"\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"},\"status\":{\"printableStatus\":" \
	"\"WaitingForNetwork\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"," \
	"\"observedGeneration\":" #seen ",\"message\":\"why\"}]}}"

/* Why it was not ready before it was deleted is not why it is still there. */
static void what_keeps_it_is_told_of_the_deletion_only(void **state _unused_)
{
	HttpRule rules[] = {
		HTTP_RULE(.path = INSTANCES "/old", .body = LEAVING(1)),
		HTTP_RULE(.path = INSTANCES "/new", .body = LEAVING(2)),
		HTTP_RULE(.path = NS "/events*", .body = "{\"items\":[]}"),
		HTTP_RULE(.path = "/api*", .body = "{\"items\":[]}"),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run before = sfctl(f, "describe vm old");
	_cleanup_(run_done) Run after = sfctl(f, "describe vm new");

	assert_non_null(strstr(before.out, "\nState:        Terminating\n"));
	assert_non_null(strstr(after.out, "\nState:        Terminating: why\n"));
	http_fake_stop(f);
}

/* What has a status, but no word for how it is, gets none. */
static void a_state_is_told_of_what_has_one(void **state _unused_)
{
#define QUOTAS "/api/v1/namespaces/default/resourcequotas/"
	HttpRule rules[] = {
		HTTP_RULE(.path = QUOTAS "in-force", .body = "{\"kind\":\"ResourceQuota\","
							     "\"metadata\":{\"name\":\"in-force\"},"
							     "\"status\":{\"hard\":{\"pods\":\"4\"}"
							     ",\"used\":{\"pods\":\"0\"}}}"),
		HTTP_RULE(.path = QUOTAS "leaving",
			  .body = "{\"kind\":\"ResourceQuota\",\"metadata\":{\"name\":\"leaving\","
				  "\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"}}"),
		HTTP_RULE(.path = "/api*", .body = "{\"items\":[]}"),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run in_force = sfctl(f, "describe quota in-force");
	_cleanup_(run_done) Run leaving = sfctl(f, "describe quota leaving");

	assert_non_null(strstr(in_force.out, "\nKind:         ResourceQuota (v1)\n"));
	assert_null(strstr(in_force.out, "State:"));
	assert_non_null(strstr(leaving.out, "\nState:        Terminating\n"));
	http_fake_stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_awaited_condition_is_told),
		cmocka_unit_test(what_keeps_it_is_told_of_the_deletion_only),
		cmocka_unit_test(a_state_is_told_of_what_has_one),
	};

	run_prepare();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
