/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl delete: what it takes its words for, before anything goes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "tests/unit/sfctl/lib_run.h"

/* A kind among the names: somebody means another object, and nothing of his line is done. */
static void several_kinds_on_one_line(void **state _unused_)
{
	HttpRule rules[] = {
		HTTP_RULE(.method = "GET", .path = INSTANCES "/image", .body = "{}"),
		HTTP_RULE(.method = "DELETE", .path = INSTANCES "/*",
			  .body = "{\"kind\":\"Status\",\"status\":\"Success\"}"),
	};
	static const struct {
		const char *line;
		int code;
		const char *out, *err;
	} cases[] = {
		{"delete vm hello network hello", EXIT_USAGE,   "",
                 "error: delete: 'network' is a kind: write vm/hello network/hello\n"                       },
		{ "delete vm network hello",      EXIT_USAGE,   "",
                 "error: delete: 'network' is a kind: write network/hello\n"                                },
 /* An instance may be called so. */
		{ "delete vm image hello",        EXIT_OK,
                 "instance.shakenfist.io \"image\" deleted\n"
		  "instance.shakenfist.io \"hello\" deleted\n",					   ""},
		{ "delete vm hello network",      EXIT_OK,
                 "instance.shakenfist.io \"hello\" deleted\n"
		  "instance.shakenfist.io \"network\" deleted\n",					 ""},
		{ "delete vm a a instances/a",    EXIT_INVALID, "",
                 "error: 'instances/a' cannot be a name: use lower-case letters, digits, '-' and "
		  "'.'\n"										   },
		{ "delete vm a b a",              EXIT_OK,
                 "instance.shakenfist.io \"a\" deleted\n"
		  "instance.shakenfist.io \"b\" deleted\n",					       ""},
		{ "delete vm/a instance/a",       EXIT_OK,      "instance.shakenfist.io \"a\" deleted\n", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
		_cleanup_(run_done) Run r = sfctl(f, cases[i].line);

		run_expect(&r, cases[i].code, cases[i].out, cases[i].err);
		assert_int_equal(!strstr(r.log, "DELETE"), r.code != EXIT_OK);
		http_fake_stop(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(several_kinds_on_one_line) };

	run_prepare();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
