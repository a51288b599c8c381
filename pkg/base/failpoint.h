/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fail points: named places where a test kills the process, to show that whatever was half done is
 * finished, or begun anew, by the next one. They exist only where SF_FAIL_POINTS is defined (`make
 * FAIL_POINTS=1`); elsewhere both macros leave nothing behind, not even the name.
 *
 * The environment says what happens: SF_FAIL_POINT=NAME[:COUNT]:kill ends the process with SIGKILL
 * when it comes by for the COUNT-th time (the first, without one); SF_FAIL_POINT=*:trace tells
 * every passage on standard error. Roles inherit it. Names are "noun.verb" or "noun.verb.part" in
 * the order of the way of an object; hack/list-fail-points prints them all, out of the binary. Any
 * thread.
 */
#pragma once

#ifdef SF_FAIL_POINTS

#include <stdbool.h>

/* Kept in a section of their own, from which the list of all is made. */
#define FAIL_POINT(name) \
	do { \
		static const char _fail_point[] __attribute__((used, section("sf_fail_points"))) = \
			name; \
		fail_point_reached(_fail_point); \
	} while (0)

/* Runs `call`, of whatever type, between the points "NAME.before" and "NAME.after". */
#define FAIL_POINT_AROUND(name, call) \
	({ \
		FAIL_POINT(name ".before"); \
		__typeof__(call) _fail_point_result = (call); \
		FAIL_POINT(name ".after"); \
		_fail_point_result; \
	})

void fail_point_reached(const char *name);
/* As the environment says it; NULL = nothing. Counts begin anew. */
void fail_point_set(const char *spec);
/* Called right before the process ends, by the thread that came by; for who shares memory. */
void fail_point_set_last_words(void (*fn)(void));
/* Asked before a role is started, by any thread: false = this one is to live. For who wants one
 * death, and not that of each role that comes after it. */
void fail_point_set_gate(bool (*fn)(void));
/* "SF_FAIL_POINT=..." for a role that is about to be started; NULL = nothing is set. */
const char *fail_point_environment(void);

#else

#define FAIL_POINT(name)              ((void)0)
#define FAIL_POINT_AROUND(name, call) (call)

static inline const char *fail_point_environment(void)
{
	return (const char *)0;
}

#endif
