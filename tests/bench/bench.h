/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the measuring programs share: dying with a message, running a program, medians.
 */
#pragma once

#include "base/clock.h"
#include "base/error.h"

_noreturn_ void bench_die(const char *fmt, ...) _printf_(1, 2);
/* Dies with the error's text when rc < 0. */
void bench_check(int rc, Error *err, const char *what);

/* Starts argv (argv[0] an absolute path) with our standard error and `out` as standard output (-1:
 * /dev/null). */
pid_t bench_start(const char *const *argv, int out);
/* Waits; dies unless it succeeded. */
void bench_wait(pid_t pid, const char *what);
void bench_run(const char *const *argv);

typedef struct Samples {
	double *values;
	size_t n, cap;
} Samples;

void samples_add(Samples *s, double value);
/* q = 0.5 is the median. Sorts the values. */
double samples_quantile(Samples *s, double q);
void samples_done(Samples *s);
/* "name   median   p10 .. p90 unit" on a line of its own. */
void samples_print(Samples *s, const char *name, const char *unit);
