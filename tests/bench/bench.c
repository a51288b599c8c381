/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See bench.h. One thread.
 */
#include "bench.h"

#include <jansson.h>
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

static void append_line(json_t *line)
{
	const char *path = getenv("BENCH_ROWS");
	FILE *f = path ? fopen(path, "ae") : NULL;

	if (f) {
		if (json_dumpf(line, f, JSON_COMPACT) < 0 || fputc('\n', f) == EOF ||
		    fclose(f) != 0)
			bench_die("%s cannot be written", path);
	} else if (path) {
		bench_die("%s: %m", path);
	}
	json_decref(line);
}

/* Median, 10th and 90th percentile, and how many there were. */
static json_t *samples_json(Samples *s)
{
	return json_pack("{s:f, s:f, s:f, s:I}", "median", samples_quantile(s, 0.5), "low",
			 samples_quantile(s, 0.1), "high", samples_quantile(s, 0.9), "runs",
			 (json_int_t)s->n);
}

static int digits_of(double value)
{
	return value < 10 ? 2 : value < 1000 ? 1 : 0;
}

static void print_samples(Samples *s, const char *name, const char *unit)
{
	double middle = samples_quantile(s, 0.5);
	int digits = digits_of(middle);

	printf("  %-44s %10.*f %-5s", name, digits, middle, unit);
	if (s->n > 1)
		printf(" (10th to 90th percentile %.*f to %.*f, %zu runs)", digits,
		       samples_quantile(s, 0.1), digits, samples_quantile(s, 0.9), s->n);
	printf("\n");
}

void bench_row(const Row *r)
{
	json_t *line = json_pack("{s:s, s:s, s:o}", "name", r->name, "unit", r->unit, "ours",
				 samples_json(r->ours));

	print_samples(r->ours, r->name, r->unit);
	if (r->peer) {
		_cleanup_(xfreep) char *name = xasprintf("  beside it: %s", r->peer);
		double ratio = r->ratios ? samples_quantile(r->ratios, 0.5)
					 : samples_quantile(r->ours, 0.5) /
						   samples_quantile(r->theirs, 0.5);

		print_samples(r->theirs, name, r->unit);
		printf("  %-44s %10.2f x\n", "  ratio", ratio);
		json_object_set_new(line, "peer", json_string(r->peer));
		json_object_set_new(line, "theirs", samples_json(r->theirs));
		json_object_set_new(line, "ratio", json_real(ratio));
	}
	if (r->goal)
		json_object_set_new(line, "goal", json_string(r->goal));
	if (r->detail)
		json_object_set_new(line, "detail", json_true());
	fflush(stdout);
	append_line(line);
}

void bench_point(const char *series, const char *unit, double n, double value)
{
	append_line(json_pack("{s:s, s:s, s:f, s:f}", "series", series, "unit", unit, "x", n, "y",
			      value));
}

void samples_done(Samples *s)
{
	free(s->values);
	*s = (Samples){ 0 };
}
