/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retry on conflict: what is tried again, what is not, and when it ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/retry.h"

typedef struct Script {
	unsigned lost; /* so many attempts lose a race first */
	int end;       /* what the next one returns */
	unsigned attempts;
} Script;

static int attempt(void *arg, Error *err)
{
	Script *s = arg;

	assert_int_equal(err->code, ERR_NONE);
	assert_null(err->message);
	if (s->attempts++ < s->lost) {
		error_set(err, ERR_CONFLICT, "race %u", s->attempts);
		return RETRY_CONFLICT;
	}
	return s->end < 0 ? error_set(err, (ErrorCode)-s->end, "the end") : s->end;
}

#define GAVE_UP "somebody else changed it 20 times in a row: race 20"

/* A conflict that an attempt returns as such is there to stay, as that over another's field. */
static void what_is_tried_again(void **state _unused_)
{
	static const struct {
		Script script;
		int want;
		unsigned attempts;
		const char *text;
	} cases[] = {
		{{ 0, 0 },                   0,              1,              NULL     },
		{ { 3, 0 },                  0,              4,              NULL     },
		{ { RETRY_ATTEMPTS - 1, 0 }, 0,              RETRY_ATTEMPTS, NULL     },
		{ { RETRY_ATTEMPTS, 0 },     -ERR_CONFLICT,  RETRY_ATTEMPTS, GAVE_UP  },
		{ { 2, -ERR_NOT_FOUND },     -ERR_NOT_FOUND, 3,              "the end"},
		{ { 1, -ERR_CONFLICT },      -ERR_CONFLICT,  2,              "the end"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(error_done) Error err = ERROR_INIT;
		Script s = cases[i].script;

		assert_int_equal(retry_on_conflict(attempt, &s, &err), cases[i].want);
		assert_int_equal(s.attempts, cases[i].attempts);
		assert_int_equal(err.code, -cases[i].want);
		if (cases[i].text)
			assert_string_equal(err.message, cases[i].text);
		s = cases[i].script;
		assert_int_equal(retry_on_conflict(attempt, &s, NULL), cases[i].want);
	}
}

static void only_a_conflict_is_one(void **state _unused_)
{
	assert_int_equal(retry_if_conflict(-ERR_CONFLICT), RETRY_CONFLICT);
	assert_int_equal(retry_if_conflict(-ERR_EXISTS), -ERR_EXISTS);
	assert_int_equal(retry_if_conflict(0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_tried_again),
		cmocka_unit_test(only_a_conflict_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
