/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fail points. See failpoint.h. Nothing of this is in an ordinary build.
 */
#include "base/failpoint.h"

#ifdef SF_FAIL_POINTS

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "base/memory.h"

#define VARIABLE "SF_FAIL_POINT="

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char setting[256]; /* VARIABLE and the spec; "" = not looked at yet */
static char target[128];  /* "" = none, "*" = every one is told */
static unsigned wanted, passed;
static void (*last_words)(void);
static bool (*gate)(void);

/* NAME[:COUNT]:ACTION; what cannot be read is no setting. */
static void set_locked(const char *spec)
{
	const char *first = spec ? strchr(spec, ':') : NULL;
	unsigned long count = 1;
	char *end;

	snprintf(setting, sizeof(setting), VARIABLE "%s", spec ? spec : "");
	target[0] = '\0';
	passed = 0;
	if (!first || (size_t)(first - spec) >= sizeof(target))
		return;
	if (first[1] >= '0' && first[1] <= '9') {
		count = strtoul(first + 1, &end, 10);
		if (*end != ':')
			return;
	} else {
		end = (char *)first;
	}
	if (!streq(end, ":kill") && !streq(end, ":trace"))
		return;
	memcpy(target, spec, (size_t)(first - spec));
	target[first - spec] = '\0';
	wanted = (unsigned)count;
}

static void look_at_environment(void)
{
	if (!setting[0])
		set_locked(getenv("SF_FAIL_POINT"));
}

void fail_point_set(const char *spec)
{
	pthread_mutex_lock(&lock);
	set_locked(spec);
	pthread_mutex_unlock(&lock);
}

void fail_point_set_last_words(void (*fn)(void))
{
	last_words = fn;
}

void fail_point_set_gate(bool (*fn)(void))
{
	gate = fn;
}

const char *fail_point_environment(void)
{
	const char *text;

	if (gate && !gate())
		return NULL;
	pthread_mutex_lock(&lock);
	look_at_environment();
	text = target[0] ? setting : NULL;
	pthread_mutex_unlock(&lock);
	return text;
}

/* One write(2), because a role's standard error is also its parent's. */
static void tell(const char *what, const char *name)
{
	char line[160];
	int n = snprintf(line, sizeof(line), "fail point %s %s in %s\n", what, name,
			 program_invocation_short_name);

	(void)!write(STDERR_FILENO, line, (size_t)n);
}

void fail_point_reached(const char *name)
{
	bool hit = false, told;

	pthread_mutex_lock(&lock);
	look_at_environment();
	told = streq(target, "*");
	if (streq(target, name))
		hit = ++passed == wanted;
	pthread_mutex_unlock(&lock);
	if (told)
		tell("passed", name);
	if (!hit)
		return;
	tell("killed", name);
	if (last_words)
		last_words();
	raise(SIGKILL);
}

#endif
