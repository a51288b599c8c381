/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl wait: what is told while it waits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "lib_run.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(the_awaited_condition_is_told) };

	run_prepare();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
