/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clock: the system's and a fake one, and the two texts of time that the API speaks. See clock.h.
 */
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/error.h"
#include "base/memory.h"

struct Clock {
	bool fake;
	pthread_mutex_t lock; /* guards the rest; taken alone or under a waiter's mutex */
	usec_t now, wall;
};

static Clock system_clock = { .lock = PTHREAD_MUTEX_INITIALIZER };

static usec_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (usec_t)ts.tv_sec * USEC_PER_SEC + (usec_t)ts.tv_nsec / 1000;
}

Clock *clock_system(void)
{
	return &system_clock;
}

static usec_t fake_read(const Clock *c, const usec_t *field)
{
	Clock *m = (Clock *)c;
	usec_t v;

	pthread_mutex_lock(&m->lock);
	v = *field;
	pthread_mutex_unlock(&m->lock);
	return v;
}

usec_t clock_now(const Clock *c)
{
	return c->fake ? fake_read(c, &c->now) : read_clock(CLOCK_MONOTONIC);
}

usec_t clock_wall(const Clock *c)
{
	return c->fake ? fake_read(c, &c->wall) : read_clock(CLOCK_REALTIME);
}

void clock_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

/*
 * A fake wait is a short real one that may end early: every waiter checks its condition in a loop
 * anyway, and so no list of waiters (and no lost wake-up between a waiter's check and its wait) has
 * to be thought about.
 */
static void fake_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
	usec_t until = read_clock(CLOCK_MONOTONIC) + 2 * USEC_PER_MSEC;
	struct timespec ts = { .tv_sec = (time_t)(until / USEC_PER_SEC),
			       .tv_nsec = (long)(until % USEC_PER_SEC) * 1000 };

	pthread_cond_timedwait(cond, mutex, &ts);
}

void clock_wait(Clock *c, pthread_cond_t *cond, pthread_mutex_t *mutex, usec_t deadline)
{
	struct timespec ts = { .tv_sec = (time_t)(deadline / USEC_PER_SEC),
			       .tv_nsec = (long)(deadline % USEC_PER_SEC) * 1000 };

	if (c->fake)
		fake_wait(cond, mutex);
	else if (deadline == USEC_INFINITY)
		pthread_cond_wait(cond, mutex);
	else
		pthread_cond_timedwait(cond, mutex, &ts);
}

Clock *fake_clock_new(usec_t now, usec_t wall)
{
	Clock *c = xnew0(Clock, 1);

	pthread_mutex_init(&c->lock, NULL);
	c->fake = true;
	c->now = now;
	c->wall = wall;
	return c;
}

void fake_clock_advance(Clock *c, usec_t by)
{
	pthread_mutex_lock(&c->lock);
	c->now += by;
	c->wall += by;
	pthread_mutex_unlock(&c->lock);
}

Clock *fake_clock_free(Clock *c)
{
	if (!c)
		return NULL;
	pthread_mutex_destroy(&c->lock);
	free(c);
	return NULL;
}

const char *timestamp_format(usec_t wall, char buf[static TIMESTAMP_MAX])
{
	time_t t = (time_t)(wall / USEC_PER_SEC);
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(buf, TIMESTAMP_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return buf;
}

static int parse_offset(const char *s, long *ret)
{
	unsigned h, m;
	char end;

	if (streq(s, "Z") || streq(s, "z")) {
		*ret = 0;
		return 0;
	}
	if ((*s != '+' && *s != '-') || sscanf(s + 1, "%2u:%2u%c", &h, &m, &end) != 2 || h > 23 ||
	    m > 59)
		return -ERR_INVALID;
	*ret = (long)(h * 3600 + m * 60) * (*s == '-' ? -1 : 1);
	return 0;
}

int timestamp_parse(const char *s, usec_t *ret)
{
	struct tm tm = { 0 };
	usec_t fraction = 0, unit = USEC_PER_SEC / 10;
	const char *p = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
	long offset;
	time_t t;

	if (!p)
		return -ERR_INVALID;
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9'; p++, unit /= 10)
			fraction += (usec_t)(*p - '0') * unit;
	if (parse_offset(p, &offset) < 0)
		return -ERR_INVALID;
	t = timegm(&tm) - offset;
	if (t < 0)
		return -ERR_INVALID;
	*ret = (usec_t)t * USEC_PER_SEC + fraction;
	return 0;
}

const char *duration_format(usec_t d, char buf[static TIMESTAMP_MAX])
{
	uint64_t s = d / USEC_PER_SEC, m = s / 60, h = m / 60, days = h / 24;

	if (s < 120)
		snprintf(buf, TIMESTAMP_MAX, "%us", (unsigned)s);
	else if (m < 10 && s % 60)
		snprintf(buf, TIMESTAMP_MAX, "%um%us", (unsigned)m, (unsigned)(s % 60));
	else if (m < 180)
		snprintf(buf, TIMESTAMP_MAX, "%um", (unsigned)m);
	else if (h < 8 && m % 60)
		snprintf(buf, TIMESTAMP_MAX, "%uh%um", (unsigned)h, (unsigned)(m % 60));
	else if (h < 48)
		snprintf(buf, TIMESTAMP_MAX, "%uh", (unsigned)h);
	else if (days < 8 && h % 24)
		snprintf(buf, TIMESTAMP_MAX, "%ud%uh", (unsigned)days, (unsigned)(h % 24));
	else
		snprintf(buf, TIMESTAMP_MAX, "%ud", (unsigned)days);
	return buf;
}
