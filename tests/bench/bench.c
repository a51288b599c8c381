/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See bench.h. One thread.
 */
#include "bench.h"

#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>

#include "base/memory.h"

extern char **environ;

void bench_die(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("bench: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

void bench_check(int rc, Error *err, const char *what)
{
	if (rc < 0)
		bench_die("%s: %s", what, error_message(err));
}

pid_t bench_start(const char *const *argv, int out)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int e;

	posix_spawn_file_actions_init(&actions);
	if (out >= 0)
		posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	else
		posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", 1, 0);
	e = posix_spawn(&pid, argv[0], &actions, NULL, (char **)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (e)
		bench_die("%s: %s", argv[0], strerror(e));
	return pid;
}

void bench_wait(pid_t pid, const char *what)
{
	int status;

	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		bench_die("%s failed", what);
}

void bench_run(const char *const *argv)
{
	bench_wait(bench_start(argv, -1), argv[0]);
}

void samples_add(Samples *s, double value)
{
	GROW_ARRAY(s->values, s->n, s->cap);
	s->values[s->n++] = value;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double samples_quantile(Samples *s, double q)
{
	double at = q * (double)(s->n - 1);
	size_t i = (size_t)at;

	assert(s->n);
	qsort(s->values, s->n, sizeof(*s->values), compare);
	if (i + 1 >= s->n)
		return s->values[s->n - 1];
	return s->values[i] + (at - (double)i) * (s->values[i + 1] - s->values[i]);
}

void samples_print(Samples *s, const char *name, const char *unit)
{
	int digits = samples_quantile(s, 0.5) < 10 ? 2 : 1;

	printf("  %-44s %8.*f %-4s  (10th to 90th percentile %.*f to %.*f, %zu runs)\n", name,
	       digits, samples_quantile(s, 0.5), unit, digits, samples_quantile(s, 0.1), digits,
	       samples_quantile(s, 0.9), s->n);
}

void samples_done(Samples *s)
{
	free(s->values);
	*s = (Samples){ 0 };
}
