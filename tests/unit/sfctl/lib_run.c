/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines of sfctl in process: see lib_run.h.
 */
#include "tests/unit/sfctl/lib_run.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

void run_done(Run *r)
{
	free(r->out);
	free(r->err);
	free(r->log);
}

Run sfctl(HttpFake *f, const char *line)
{
	_cleanup_(strv_freep) char **words = strv_split(line, ' '), **argv = NULL;
	size_t out_size, err_size;
	Run r = { 0 };
	FILE *out = open_memstream(&r.out, &out_size), *err = open_memstream(&r.err, &err_size);
	Cli cli;

	argv = strv_append(argv, "sfctl");
	argv = strv_append(argv, "--server");
	argv = strv_append(argv, f ? http_fake_address(f) : "unix:/nonexistent/sfd.sock");
	strv_foreach (w, words)
		argv = strv_append(argv, *w);
	cli_init(&cli, out, err);
	r.code = cli_main(&cli, sfctl_verbs, (int)strv_len(argv), argv);
	cli_done(&cli);
	fclose(out);
	fclose(err);
	r.log = f ? http_fake_log(f) : NULL;
	return r;
}

void run_expect(const Run *r, int code, const char *out, const char *err)
{
	assert_string_equal(r->err, err);
	assert_string_equal(r->out, out);
	assert_int_equal(r->code, code);
}

void run_prepare(void)
{
	setlocale(LC_CTYPE, "C.UTF-8");
	unsetenv("SFD_SERVER");
	unsetenv("SFD_NAMESPACE");
}
