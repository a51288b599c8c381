/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clock: where time comes from, so that tests own it.
 *
 * All deadlines are microseconds of CLOCK_MONOTONIC (clock_now); wall-clock time is only ever
 * printed or compared with a certificate. Waiting goes through the clock too: with the fake one a
 * wait ends when the test advances it past the deadline, never by real time. Every function is safe
 * from any thread.
 */
#pragma once

#include "base/macro.h"
#include <pthread.h>

typedef uint64_t usec_t;

#define USEC_PER_MSEC ((usec_t)1000)
#define USEC_PER_SEC  ((usec_t)1000000)
#define USEC_PER_MIN  (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MIN)
#define USEC_INFINITY UINT64_MAX

typedef struct Clock Clock;

usec_t clock_now(const Clock *c);  /* monotonic, microseconds; never 0 */
usec_t clock_wall(const Clock *c); /* microseconds since 1970 */
/*
 * Waits on cond (made by clock_cond_init) until signalled or `deadline` (USEC_INFINITY: for ever);
 * mutex is held. May return early, as every condition variable may: call it in a loop.
 */
void clock_wait(Clock *c, pthread_cond_t *cond, pthread_mutex_t *mutex, usec_t deadline);
void clock_cond_init(pthread_cond_t *cond);

/* The real clock; static, never freed. */
Clock *clock_system(void);

/* A clock that stands still until advanced. Free it after the last waiter is gone. */
Clock *fake_clock_new(usec_t now, usec_t wall);
void fake_clock_advance(Clock *c, usec_t by);
Clock *fake_clock_free(Clock *c);

/* "2026-01-31T12:00:00Z" from microseconds since 1970; the buffer holds the text. */
#define TIMESTAMP_MAX 32
const char *timestamp_format(usec_t wall, char buf[static TIMESTAMP_MAX]);
/* RFC 3339 with Z or offset, fractions allowed; -ERR_INVALID otherwise. */
int timestamp_parse(const char *s, usec_t *ret);
/* "5s", "3m", "2d3h": how kubectl prints an age. */
const char *duration_format(usec_t d, char buf[static TIMESTAMP_MAX]);
