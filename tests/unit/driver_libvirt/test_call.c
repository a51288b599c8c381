/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that hang: deadlines, slots, the limit of abandoned ones, and what comes back late.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdatomic.h>

#include "base/memory.h"
#include "driver/libvirt/call.h"

#define SHORT (20 * USEC_PER_MSEC)
#define LONG  (30 * USEC_PER_SEC)

/* Hanging calls wait here until the test lets them go. */
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_cond = PTHREAD_COND_INITIALIZER;
static bool gate_open;
static atomic_uint released, returned, abandoned, ran, crowded;

typedef struct TestCall {
	Call call;
	bool hang;
	int answer;
} TestCall;

static int test_run(Call *c, Error *err)
{
	TestCall *t = CONTAINER_OF(c, TestCall, call);

	pthread_mutex_lock(&gate_lock);
	while (t->hang && !gate_open)
		pthread_cond_wait(&gate_cond, &gate_lock);
	pthread_mutex_unlock(&gate_lock);
	atomic_fetch_add(&ran, 1);
	t->answer = 42;
	return t->hang ? error_set(err, ERR_CONFLICT, "too late") : 0;
}

static void test_release(Call *c)
{
	atomic_fetch_add(&released, 1);
	free(CONTAINER_OF(c, TestCall, call));
}

static void on_abandoned(Call *c _unused_)
{
	atomic_fetch_add(&abandoned, 1);
}

static void on_returned(Call *c)
{
	atomic_fetch_add(&crowded, c->crowded);
	atomic_fetch_add(&returned, 1);
}

static TestCall *call_new(bool hang, const char *slot)
{
	TestCall *t = xnew0(TestCall, 1);

	t->call = (Call){ .run = test_run,
			  .release = test_release,
			  .abandoned = on_abandoned,
			  .returned = on_returned,
			  .slot = xstrdup(slot),
			  .refs = 1 };
	t->hang = hang;
	return t;
}

static int run_kind(Calls *calls, CallKind kind, bool hang, const char *slot, usec_t timeout,
		    Error *err)
{
	Context background = CONTEXT_BACKGROUND, ctx = context_with_timeout(&background, timeout);
	TestCall *t = call_new(hang, slot);
	int rc;

	t->call.kind = kind;
	t->call.what = "test";
	rc = calls_run(calls, &ctx, &t->call, err);
	if (rc == 0)
		assert_int_equal(t->answer, 42);
	call_unref(calls, &t->call);
	return rc;
}

static int run(Calls *calls, bool hang, const char *slot, usec_t timeout)
{
	return run_kind(calls, CALL_LOOK, hang, slot, timeout, NULL);
}

static void gate(bool open)
{
	pthread_mutex_lock(&gate_lock);
	gate_open = open;
	pthread_cond_broadcast(&gate_cond);
	pthread_mutex_unlock(&gate_lock);
}

static int setup(void **state)
{
	released = returned = abandoned = ran = crowded = 0;
	gate_open = false;
	*state = calls_new(clock_system());
	return 0;
}

static int teardown(void **state)
{
	gate(true);
	calls_free(*state, LONG);
	return 0;
}

static void wait_for(atomic_uint *counter, unsigned value)
{
	usec_t until = clock_now(clock_system()) + LONG;

	while (atomic_load(counter) < value) {
		struct timespec ts = { .tv_nsec = 1000000 };

		assert_true(clock_now(clock_system()) < until);
		nanosleep(&ts, NULL);
	}
}

static void test_plain(void **state)
{
	for (int i = 0; i < 100; i++)
		assert_int_equal(run(*state, false, i % 2 ? "a" : NULL, LONG), 0);
	wait_for(&released, 100);
	assert_int_equal(abandoned, 0);
}

static void test_hanging_slot(void **state)
{
	assert_int_equal(run(*state, true, "a", SHORT), -ERR_TIMEOUT);
	assert_int_equal(calls_abandoned(*state), 1);
	assert_int_equal(run(*state, false, "a", LONG), -ERR_UNAVAILABLE);
	assert_int_equal(run(*state, false, "b", LONG), 0);
	assert_int_equal(run(*state, false, NULL, LONG), 0);
	gate(true);
	wait_for(&returned, 1);
	assert_int_equal(calls_abandoned(*state), 0);
	assert_int_equal(run(*state, false, "a", LONG), 0);
}

/* What hangs keeps those of its kind away, and nobody else. */
static void test_limit(void **state)
{
	static const unsigned limits[] = { CALLS_LOOK_MAX, CALLS_MAKE_MAX, CALLS_ASK_MAX,
					   CALLS_OFF_MAX };
	unsigned total = 0;
	char slot[16] = "a";

	for (int kind = 0; kind < _CALL_KIND_MAX; kind++) {
		for (unsigned i = 0; i < limits[kind]; i++, slot[0]++)
			assert_int_equal(run_kind(*state, kind, true, slot, SHORT, NULL),
					 -ERR_TIMEOUT);
		total += limits[kind];
		for (int other = 0; other < _CALL_KIND_MAX; other++)
			assert_int_equal(run_kind(*state, other, false, "other", LONG, NULL),
					 other > kind        ? 0
					 : other == CALL_OFF ? -ERR_EXHAUSTED
							     : -ERR_UNAVAILABLE);
	}
	gate(true);
	wait_for(&returned, total);
	assert_int_equal(run(*state, false, "other", LONG), 0);
	assert_int_equal(abandoned, total);
	/* Each kind's first to return says that others had to stand back. */
	assert_true(crowded >= _CALL_KIND_MAX);
}

/* A QEMU that is stuck holds its caller up for moments, and the text is the same for as long. */
static void test_patience(void **state)
{
	_cleanup_(error_done) Error first = ERROR_INIT, again = ERROR_INIT;
	usec_t began = clock_now(clock_system());

	assert_int_equal(run_kind(*state, CALL_ASK, true, "a", LONG, &first), -ERR_UNAVAILABLE);
	assert_true(clock_now(clock_system()) < began + LONG / 2);
	assert_int_equal(run_kind(*state, CALL_ASK, false, "a", LONG, &again), -ERR_UNAVAILABLE);
	assert_string_equal(error_message(&first), error_message(&again));
	assert_non_null(strstr(error_message(&first), "not answered a call (test) since 20"));
	assert_int_equal(run_kind(*state, CALL_OFF, true, "a/off", LONG, NULL), -ERR_UNAVAILABLE);
	assert_true(clock_now(clock_system()) < began + LONG / 2);
	assert_int_equal(calls_abandoned(*state), 2);
}

/* Nobody hears why one failed that was left behind, so the next that hangs tells it; until one of
 * that slot has an answer for its caller. */
static void test_late_failure_is_told(void **state)
{
	_cleanup_(error_done) Error first = ERROR_INIT, second = ERROR_INIT, again = ERROR_INIT;
	_cleanup_(error_done) Error other = ERROR_INIT, third = ERROR_INIT;

	assert_int_equal(run_kind(*state, CALL_OFF, true, "a", LONG, &first), -ERR_UNAVAILABLE);
	assert_null(strstr(error_message(&first), "too late"));
	gate(true);
	wait_for(&returned, 1);
	gate(false);
	assert_int_equal(run_kind(*state, CALL_OFF, true, "b", LONG, &other), -ERR_UNAVAILABLE);
	assert_null(strstr(error_message(&other), "too late"));
	assert_int_equal(run_kind(*state, CALL_OFF, true, "a", LONG, &second), -ERR_UNAVAILABLE);
	assert_non_null(strstr(error_message(&second), "; the one before failed: too late"));
	assert_int_equal(run_kind(*state, CALL_OFF, true, "a", LONG, &again), -ERR_UNAVAILABLE);
	assert_string_equal(error_message(&second), error_message(&again));
	gate(true);
	wait_for(&returned, 3);
	gate(false);
	assert_int_equal(run(*state, false, "a", LONG), 0);
	assert_int_equal(run_kind(*state, CALL_OFF, true, "a", LONG, &third), -ERR_UNAVAILABLE);
	assert_null(strstr(error_message(&third), "too late"));
}

static void test_cancel(void **state)
{
	atomic_bool canceled = true;
	Context ctx = { .clock = clock_system(), .deadline = USEC_INFINITY, .canceled = &canceled };
	TestCall *t = call_new(false, NULL);

	assert_int_equal(calls_run(*state, &ctx, &t->call, NULL), -ERR_CANCELED);
	call_unref(*state, &t->call);
	assert_int_equal(ran, 0);
	assert_int_equal(released, 1);
}

static void *slot_worker(void *arg)
{
	for (int i = 0; i < 200; i++)
		assert_int_equal(run(arg, false, "same", LONG), 0);
	return NULL;
}

static void test_many_threads_one_slot(void **state)
{
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, slot_worker, *state), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	wait_for(&released, 800);
}

/* Freed while a call hangs: whoever comes back last cleans up. */
static void test_free_while_hanging(void **state _unused_)
{
	Calls *calls = calls_new(clock_system());
	unsigned before = released;

	assert_int_equal(run(calls, true, "a", SHORT), -ERR_TIMEOUT);
	calls_free(calls, SHORT);
	assert_int_equal(released, before);
	gate(true);
	wait_for(&released, before + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_plain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hanging_slot, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_patience, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late_failure_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_threads_one_slot, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_while_hanging, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
