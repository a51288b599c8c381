/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/spawn: programs by argv, with a clean environment, bounded output, and an end that we
 * decide.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/spawn.h"

static Context soon(usec_t timeout)
{
	Context background = CONTEXT_BACKGROUND;

	return context_with_timeout(&background, timeout);
}

static void output_and_environment(void **state _unused_)
{
	static const char *const argv[] = { "/usr/bin/env", NULL };
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;
	_cleanup_(error_done) Error err = ERROR_INIT;
	Context ctx = soon(10 * USEC_PER_SEC);

	setenv("SECRET", "x", 1);
	assert_int_equal(spawn_run(&ctx, argv, &out, NULL, &err), 0);
	assert_string_equal(out.buf, "PATH=/usr/sbin:/usr/bin:/sbin:/bin\nLC_ALL=C\n");
}

static void failure_names_program_and_first_line(void **state _unused_)
{
	static const char *const argv[] = { "/bin/ls", "/nowhere", NULL };
	_cleanup_(error_done) Error err = ERROR_INIT;
	Context ctx = soon(10 * USEC_PER_SEC);

	assert_int_equal(spawn_run(&ctx, argv, NULL, NULL, &err), -ERR_UNAVAILABLE);
	assert_string_equal(
		err.message,
		"ls: exit 2: /bin/ls: cannot access '/nowhere': No such file or directory");
}

static void missing_program_is_not_found(void **state _unused_)
{
	static const char *const argv[] = { "/nowhere/x", NULL };
	_cleanup_(error_done) Error err = ERROR_INIT;
	Context ctx = soon(10 * USEC_PER_SEC);

	assert_int_equal(spawn_run(&ctx, argv, NULL, NULL, &err), -ERR_NOT_FOUND);
}

static void endless_output_is_cut(void **state _unused_)
{
	static const char *const argv[] = { "/usr/bin/head", "-c", "3000000", "/dev/zero", NULL };
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT_MAX(1000);
	Context ctx = soon(20 * USEC_PER_SEC);

	assert_int_equal(spawn_run(&ctx, argv, &out, NULL, NULL), 0);
	assert_int_equal(out.len, 1000);
	assert_true(out.overflow);
}

static void deadline_kills(void **state _unused_)
{
	static const char *const argv[] = { "/bin/sleep", "100", NULL };
	_cleanup_(error_done) Error err = ERROR_INIT;
	Context ctx = soon(50 * USEC_PER_MSEC);
	usec_t before = clock_now(clock_system());

	assert_int_equal(spawn_run(&ctx, argv, NULL, NULL, &err), -ERR_TIMEOUT);
	assert_true(clock_now(clock_system()) - before < 10 * USEC_PER_SEC);
}

static void descriptors_are_those_asked_for(void **state _unused_)
{
	static const char *const argv[] = { "/bin/ls", "/proc/self/fd", NULL };
	_cleanup_(fd_closep) int pidfd = -1;
	char text[64] = "";
	int fds[2], status;
	pid_t pid;
	Context ctx = soon(10 * USEC_PER_SEC);

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(spawn_start(
				 &(SpawnOptions){
					 .argv = argv,
					 .fds = (SpawnFd[]){{ fds[1], 1 }, { fds[0], 5 }},
					 .n_fds = 2
        },
				 &pid, &pidfd, NULL),
			 0);
	close(fds[1]);
	assert_int_equal(spawn_wait(&ctx, pid, pidfd, &status, NULL), 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
	close(fds[0]);
	/* 3 is the directory that ls reads. */
	assert_string_equal(text, "0\n1\n2\n3\n5\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_and_environment),
		cmocka_unit_test(failure_names_program_and_first_line),
		cmocka_unit_test(missing_program_is_not_found),
		cmocka_unit_test(endless_output_is_cut),
		cmocka_unit_test(deadline_kills),
		cmocka_unit_test(descriptors_are_those_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
