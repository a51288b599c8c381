/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main() of a fuzz target in the ordinary build: every file of corpus/<target>/ is one test,
 * which passes if the target comes back. A target without a corpus fails.
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/fs.h"
#include "fuzz.h"

#define INPUT_MAX (8U << 20)

static void feed(void **state)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *text = NULL;
	uint8_t *exact;
	size_t len;

	if (fs_read(*state, INPUT_MAX, &text, &len, &err) < 0)
		fail_msg("%s", error_message(&err));
	/* Not one byte more than the input, so that reading past its end is seen. */
	exact = xmalloc(len ? len : 1);
	memcpy(exact, text, len);
	assert_int_equal(LLVMFuzzerTestOneInput(exact, len), 0);
	free(exact);
}

static int visible(const struct dirent *e)
{
	return *e->d_name != '.';
}

int main(void)
{
	const char *name = program_invocation_short_name;
	_cleanup_(xfreep) char *folder = NULL;
	struct dirent **entries = NULL;
	struct CMUnitTest *tests;
	int n, failed;

	name += strncmp(name, "fuzz_", 5) == 0 ? 5 : 0;
	folder = xasprintf("tests/fuzz/corpus/%s", name);
	n = scandir(folder, &entries, visible, alphasort);
	if (n <= 0) {
		fprintf(stderr, "%s: no corpus\n", folder);
		return 1;
	}
	tests = xnew0(struct CMUnitTest, (size_t)n);
	for (int i = 0; i < n; i++)
		tests[i] = (struct CMUnitTest){ .name = entries[i]->d_name,
						.test_func = feed,
						.initial_state = xasprintf("%s/%s", folder,
									   entries[i]->d_name) };
	failed = _cmocka_run_group_tests(name, tests, (size_t)n, NULL, NULL);
	for (int i = 0; i < n; i++) {
		free(tests[i].initial_state);
		free(entries[i]);
	}
	free(tests);
	free(entries);
	return failed;
}
