/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workqueue: order, deduplication, one worker per key, delays and backoff on a fake clock, and a
 * storm of adds from several threads.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "controller/workqueue.h"

typedef struct Fixture {
	Clock *clock;
	Workqueue *q;
} Fixture;

static int setup(void **state)
{
	Fixture *f = xnew0(Fixture, 1);

	f->clock = fake_clock_new(USEC_PER_SEC, USEC_PER_SEC);
	f->q = workqueue_new("test", f->clock, 100 * USEC_PER_MSEC, 10 * USEC_PER_SEC);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	Fixture *f = *state;

	workqueue_free(f->q);
	fake_clock_free(f->clock);
	free(f);
	return 0;
}

static Key key_of(const char *name)
{
	return key_make(group_resource("example.com", "things"), "default", name);
}

static void add(Workqueue *q, const char *name)
{
	Key k = key_of(name);

	workqueue_add(q, &k);
}

/* The next key is `name`; it is not handed back. */
static void expect_get(Workqueue *q, const char *name)
{
	Key k;

	assert_true(workqueue_get(q, &k));
	assert_string_equal(k.name, name);
}

static void done(Workqueue *q, const char *name)
{
	Key k = key_of(name);

	workqueue_done(q, &k);
}

static void expect_stats(Workqueue *q, size_t ready, size_t waiting, size_t processing)
{
	WorkqueueStats s;

	workqueue_stats(q, &s);
	assert_int_equal(s.ready, ready);
	assert_int_equal(s.waiting, waiting);
	assert_int_equal(s.processing, processing);
}

static void test_first_come_first_served(void **state)
{
	Fixture *f = *state;

	add(f->q, "b");
	add(f->q, "a");
	add(f->q, "c");
	add(f->q, "a");
	expect_stats(f->q, 3, 0, 0);
	expect_get(f->q, "b");
	expect_get(f->q, "a");
	expect_get(f->q, "c");
	expect_stats(f->q, 0, 0, 3);
}

static void test_added_while_processing_comes_again(void **state)
{
	Fixture *f = *state;

	add(f->q, "a");
	expect_get(f->q, "a");
	add(f->q, "a");
	add(f->q, "a");
	expect_stats(f->q, 0, 0, 1);
	done(f->q, "a");
	expect_stats(f->q, 1, 0, 0);
	expect_get(f->q, "a");
	done(f->q, "a");
	expect_stats(f->q, 0, 0, 0);
}

static void test_earliest_delay_wins(void **state)
{
	Fixture *f = *state;
	Key k = key_of("a");

	workqueue_add_after(f->q, &k, 5 * USEC_PER_SEC);
	workqueue_add_after(f->q, &k, 2 * USEC_PER_SEC);
	workqueue_add_after(f->q, &k, 9 * USEC_PER_SEC);
	fake_clock_advance(f->clock, 2 * USEC_PER_SEC - 1);
	expect_stats(f->q, 0, 1, 0);
	fake_clock_advance(f->clock, 1);
	expect_stats(f->q, 1, 0, 0);
	expect_get(f->q, "a");
	done(f->q, "a");
	fake_clock_advance(f->clock, USEC_PER_MIN);
	expect_stats(f->q, 0, 0, 0);
}

static void test_add_now_replaces_delay(void **state)
{
	Fixture *f = *state;
	Key k = key_of("a");

	workqueue_add_after(f->q, &k, 5 * USEC_PER_SEC);
	add(f->q, "a");
	workqueue_add_after(f->q, &k, USEC_PER_SEC);
	expect_stats(f->q, 1, 0, 0);
}

static void test_delay_that_ends_while_processing(void **state)
{
	Fixture *f = *state;
	Key k = key_of("a");

	add(f->q, "a");
	expect_get(f->q, "a");
	workqueue_add_after(f->q, &k, USEC_PER_SEC);
	fake_clock_advance(f->clock, USEC_PER_SEC);
	expect_stats(f->q, 0, 0, 1);
	done(f->q, "a");
	expect_stats(f->q, 1, 0, 0);
}

static void test_endless_delay_does_not_overflow(void **state)
{
	Fixture *f = *state;
	Key k = key_of("a");

	workqueue_add_after(f->q, &k, USEC_INFINITY);
	fake_clock_advance(f->clock, 1000 * USEC_PER_HOUR);
	expect_stats(f->q, 0, 1, 0);
}

static void test_delays_come_in_order(void **state)
{
	Fixture *f = *state;
	usec_t last = 0;

	for (int i = 0; i < 500; i++) {
		char name[16];
		Key k;

		snprintf(name, sizeof(name), "%06u", (unsigned)(random_u64() % 1000000));
		k = key_of(name);
		workqueue_add_after(f->q, &k, strtoull(name, NULL, 10) * USEC_PER_MSEC + 1);
	}
	/* Take some out of the middle by wanting them now. */
	for (int i = 0; i < 50; i++)
		add(f->q, "now");
	expect_get(f->q, "now");
	for (;;) {
		WorkqueueStats s;
		Key k;

		workqueue_stats(f->q, &s);
		if (s.ready == 0 && s.waiting == 0)
			break;
		if (s.ready == 0) {
			fake_clock_advance(f->clock, 500 * USEC_PER_MSEC);
			continue;
		}
		assert_true(workqueue_get(f->q, &k));
		assert_true(strtoull(k.name, NULL, 10) + 500 >= last);
		last = strtoull(k.name, NULL, 10);
		workqueue_done(f->q, &k);
	}
}

static void test_backoff_grows_with_jitter_to_the_cap(void **state)
{
	Fixture *f = *state;
	Key k = key_of("a");
	usec_t nominal = 100 * USEC_PER_MSEC;

	for (unsigned i = 1; i <= 20; i++) {
		workqueue_add_rate_limited(f->q, &k);
		assert_int_equal(workqueue_failures(f->q, &k), i);
		fake_clock_advance(f->clock, nominal * 3 / 4 - 1);
		expect_stats(f->q, 0, 1, 0);
		fake_clock_advance(f->clock, nominal / 4 + 1);
		expect_stats(f->q, 1, 0, 0);
		expect_get(f->q, "a");
		done(f->q, "a");
		nominal = MIN(nominal * 2, 10 * USEC_PER_SEC);
	}
	workqueue_forget(f->q, &k);
	assert_int_equal(workqueue_failures(f->q, &k), 0);
	workqueue_add_rate_limited(f->q, &k);
	fake_clock_advance(f->clock, 100 * USEC_PER_MSEC);
	expect_stats(f->q, 1, 0, 0);
}

static void *get_until_shutdown(void *arg)
{
	Key k;

	while (workqueue_get(arg, &k))
		workqueue_done(arg, &k);
	return NULL;
}

static void test_shutdown_wakes_all(void **state)
{
	Fixture *f = *state;
	Key delayed = key_of("late");
	pthread_t t[3];

	workqueue_add_after(f->q, &delayed, USEC_PER_HOUR);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, get_until_shutdown, f->q), 0);
	workqueue_shutdown(f->q);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		pthread_join(t[i], NULL);
	add(f->q, "ignored");
	expect_stats(f->q, 0, 1, 0);
}

/* ---- the storm ---- */

#define STORM_KEYS    40
#define STORM_ADDERS  4
#define STORM_ADDS    500 /* per adder */
#define STORM_WORKERS 4

typedef struct Storm {
	Workqueue *q;
	atomic_int inside[STORM_KEYS];  /* workers that have the key */
	atomic_int wanted[STORM_KEYS];  /* bumped before each add */
	atomic_int handled[STORM_KEYS]; /* what `wanted` was when a worker looked last */
	atomic_int runs, overlaps;
} Storm;

static void *storm_worker(void *arg)
{
	Storm *s = arg;
	Key k;

	while (workqueue_get(s->q, &k)) {
		unsigned long i = strtoul(k.name, NULL, 10);

		if (atomic_fetch_add(&s->inside[i], 1) != 0)
			atomic_fetch_add(&s->overlaps, 1);
		atomic_store(&s->handled[i], atomic_load(&s->wanted[i]));
		atomic_fetch_add(&s->runs, 1);
		atomic_fetch_sub(&s->inside[i], 1);
		workqueue_done(s->q, &k);
	}
	return NULL;
}

static void *storm_adder(void *arg)
{
	Storm *s = arg;

	for (int i = 0; i < STORM_ADDS; i++) {
		int n = (int)(random_u64() % STORM_KEYS);
		char name[16];
		Key k;

		snprintf(name, sizeof(name), "%d", n);
		k = key_of(name);
		atomic_fetch_add(&s->wanted[n], 1);
		switch (random_u64() % 3) {
		case 0:
			workqueue_add(s->q, &k);
			break;
		case 1:
			workqueue_add_after(s->q, &k, random_u64() % 2000);
			break;
		default:
			workqueue_add_rate_limited(s->q, &k);
			break;
		}
	}
	return NULL;
}

static bool storm_is_over(Storm *s)
{
	WorkqueueStats st;

	workqueue_stats(s->q, &st);
	return st.ready == 0 && st.waiting == 0 && st.processing == 0;
}

static void test_storm(void **state)
{
	pthread_t workers[STORM_WORKERS], adders[STORM_ADDERS];
	Storm s = { .q = workqueue_new("storm", clock_system(), 1000, 4000) };
	usec_t deadline = clock_now(clock_system()) + 30 * USEC_PER_SEC;

	(void)state;
	for (int i = 0; i < STORM_WORKERS; i++)
		assert_int_equal(pthread_create(&workers[i], NULL, storm_worker, &s), 0);
	for (int i = 0; i < STORM_ADDERS; i++)
		assert_int_equal(pthread_create(&adders[i], NULL, storm_adder, &s), 0);
	for (int i = 0; i < STORM_ADDERS; i++)
		pthread_join(adders[i], NULL);
	while (!storm_is_over(&s) && clock_now(clock_system()) < deadline)
		sched_yield();
	assert_true(storm_is_over(&s));
	workqueue_shutdown(s.q);
	for (int i = 0; i < STORM_WORKERS; i++)
		pthread_join(workers[i], NULL);
	assert_int_equal(s.overlaps, 0);
	assert_true(s.runs > 0 && s.runs <= STORM_ADDERS * STORM_ADDS);
	/* No wish is lost: each key's last add was seen by a run after it. */
	for (int i = 0; i < STORM_KEYS; i++)
		assert_int_equal(s.handled[i], s.wanted[i]);
	workqueue_free(s.q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_first_come_first_served, setup, teardown),
		cmocka_unit_test_setup_teardown(test_added_while_processing_comes_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_earliest_delay_wins, setup, teardown),
		cmocka_unit_test_setup_teardown(test_add_now_replaces_delay, setup, teardown),
		cmocka_unit_test_setup_teardown(test_delay_that_ends_while_processing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_endless_delay_does_not_overflow, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_delays_come_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_backoff_grows_with_jitter_to_the_cap, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_shutdown_wakes_all, setup, teardown),
		cmocka_unit_test(test_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
