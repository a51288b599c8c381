/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake Hypervisor's own hooks and its fault wrapper; what it shares with the real one is in the
 * contract suite.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/memory.h"
#include "driver/fake/hypervisor.h"

#define UUID_A "11111111-1111-4111-8111-111111111111"
#define UUID_B "22222222-2222-4222-8222-222222222222"

static Context ctx;

static DomainConfig config(const char *name, const char *uuid)
{
	return (DomainConfig){ .name = name,
			       .uuid = uuid,
			       .store_id = "store",
			       .uid = uuid,
			       .generation = 1,
			       .config_hash = "h1",
			       .cpus = 1,
			       .max_cpus = 4,
			       .memory = 1ULL << 30,
			       .max_memory = 2ULL << 30 };
}

static void on_event(void *arg, const char *name)
{
	char **last = arg;

	free(*last);
	*last = xstrdup(name ? name : "*");
}

static int power(Hypervisor *h, const char *name, DomainPower action)
{
	return h->ops->power(h, &ctx, name, action, NULL, NULL);
}

static DomainInfo inspect(Hypervisor *h, const char *name)
{
	DomainInfo info;

	assert_int_equal(h->ops->inspect(h, &ctx, name, &info, NULL), 0);
	return info;
}

static Hypervisor *running(const char *name)
{
	Hypervisor *h = fake_hypervisor_new();
	DomainConfig c = config(name, UUID_A);

	assert_int_equal(h->ops->define(h, &ctx, &c, NULL), 0);
	assert_int_equal(power(h, name, POWER_START), 0);
	return h;
}

static void test_guests_differ(void **state _unused_)
{
	Hypervisor *h = running("a");

	fake_hypervisor_set_guest(h, NULL, FAKE_GUEST_IGNORES);
	assert_int_equal(power(h, "a", POWER_SHUTDOWN), 0);
	assert_int_equal(inspect(h, "a").state, DOMAIN_RUNNING);
	fake_hypervisor_set_guest(h, "a", FAKE_GUEST_SLOW);
	assert_int_equal(power(h, "a", POWER_SHUTDOWN), 0);
	assert_int_equal(inspect(h, "a").state, DOMAIN_STOPPING);
	fake_hypervisor_end(h, "a", DOMAIN_REASON_CRASHED);
	assert_int_equal(inspect(h, "a").reason, DOMAIN_REASON_CRASHED);
	assert_int_equal(power(h, "a", POWER_START), 0);
	fake_hypervisor_set_guest(h, "a", FAKE_GUEST_OBEYS);
	assert_int_equal(power(h, "a", POWER_SHUTDOWN), 0);
	assert_int_equal(inspect(h, "a").reason, DOMAIN_REASON_SHUTDOWN);
	assert_int_equal(fake_hypervisor_starts(h, "a"), 2);
	h->ops->free(h);
}

static void test_events_and_mute(void **state _unused_)
{
	_cleanup_(xfreep) char *last = NULL;
	Hypervisor *h = running("a");

	h->ops->subscribe(h, on_event, &last);
	fake_hypervisor_set_mute(h, true);
	fake_hypervisor_virsh(h, "a", POWER_DESTROY);
	assert_null(last);
	fake_hypervisor_set_mute(h, false);
	assert_int_equal(power(h, "a", POWER_START), 0);
	assert_string_equal(last, "a");
	fake_hypervisor_host_crash(h);
	assert_string_equal(last, "*");
	assert_int_equal(inspect(h, "a").state, DOMAIN_SHUTOFF);
	assert_int_equal(inspect(h, "a").reason, DOMAIN_REASON_NONE);
	h->ops->free(h);
}

static void test_hung_guest(void **state _unused_)
{
	Hypervisor *h = running("a");

	fake_hypervisor_set_hung(h, "a", true);
	assert_int_equal(power(h, "a", POWER_SHUTDOWN), -ERR_TIMEOUT);
	assert_int_equal(power(h, "a", POWER_SHUTDOWN), -ERR_UNAVAILABLE);
	assert_int_equal(inspect(h, "a").state, DOMAIN_RUNNING);
	assert_int_equal(power(h, "a", POWER_DESTROY), 0);
	assert_int_equal(inspect(h, "a").reason, DOMAIN_REASON_DESTROYED);
	h->ops->free(h);
}

/* What takes long is done in the end, and told; a fifth is not begun before there is room. */
static void test_slow_end(void **state _unused_)
{
	static const char *const names[] = { "a", "b", "c", "d", "e" };
	_cleanup_(xfreep) char *last = NULL;
	Hypervisor *h = running("a");

	h->ops->subscribe(h, on_event, &last);
	for (size_t i = 1; i < ARRAY_SIZE(names); i++) {
		_cleanup_(xfreep) char *uuid = xstrdup(UUID_B);
		DomainConfig c = config(names[i], uuid);

		uuid[0] = (char)('0' + i);
		assert_int_equal(h->ops->define(h, &ctx, &c, NULL), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		fake_hypervisor_set_slow_end(h, names[i], true);
	assert_int_equal(power(h, "a", POWER_DESTROY), -ERR_UNAVAILABLE);
	assert_int_equal(power(h, "a", POWER_DESTROY), -ERR_UNAVAILABLE);
	for (size_t i = 1; i < 4; i++)
		assert_int_equal(h->ops->remove(h, &ctx, names[i], NULL), -ERR_UNAVAILABLE);
	assert_int_equal(h->ops->remove(h, &ctx, "e", NULL), -ERR_EXHAUSTED);
	assert_int_equal(inspect(h, "a").state, DOMAIN_RUNNING);
	fake_hypervisor_set_slow_end(h, "a", false);
	assert_string_equal(last, "*");
	assert_int_equal(inspect(h, "a").reason, DOMAIN_REASON_DESTROYED);
	fake_hypervisor_set_slow_end(h, "b", false);
	assert_string_equal(last, "b");
	assert_int_equal(inspect(h, "b").state, DOMAIN_ABSENT);
	assert_int_equal(h->ops->remove(h, &ctx, "e", NULL), -ERR_UNAVAILABLE);
	fake_hypervisor_give_up(h, "e");
	assert_string_equal(last, "e");
	assert_int_equal(inspect(h, "e").state, DOMAIN_SHUTOFF);
	assert_int_equal(h->ops->remove(h, &ctx, "e", NULL), -ERR_UNAVAILABLE);
	fake_hypervisor_set_slow_end(h, "e", false);
	assert_int_equal(inspect(h, "e").state, DOMAIN_ABSENT);
	h->ops->free(h);
}

static void test_failures(void **state _unused_)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Hypervisor *h = running("a");
	DomainConfig c = config("b", UUID_B);
	DomainInfo info = { .pid = 42 };

	fake_hypervisor_set_failure(h, ERR_UNAVAILABLE);
	assert_int_equal(h->ops->inspect(h, &ctx, "a", &info, &err), -ERR_UNAVAILABLE);
	assert_int_equal(info.pid, 42);
	fake_hypervisor_set_failure(h, ERR_NONE);
	fake_hypervisor_set_start_failure(h, "b", "Address already in use");
	assert_int_equal(h->ops->define(h, &ctx, &c, NULL), 0);
	assert_int_equal(h->ops->power(h, &ctx, "b", POWER_START, NULL, &err), -ERR_INTERNAL);
	assert_string_equal(error_message(&err), "Address already in use");
	assert_int_equal(inspect(h, "b").reason, DOMAIN_REASON_FAILED);
	h->ops->free(h);
}

static void test_foreign_and_outsiders(void **state _unused_)
{
	Hypervisor *h = running("a");
	DomainConfig c = config("x", UUID_B);

	fake_hypervisor_add_foreign(h, "x", NULL, true);
	assert_true(inspect(h, "x").foreign);
	assert_int_equal(power(h, "x", POWER_DESTROY), -ERR_CONFLICT);
	assert_int_equal(h->ops->remove(h, &ctx, "x", NULL), -ERR_CONFLICT);
	assert_int_equal(h->ops->define(h, &ctx, &c, NULL), -ERR_CONFLICT);
	assert_int_equal(fake_hypervisor_state(h, "x"), DOMAIN_RUNNING);
	fake_hypervisor_undefine(h, "a");
	assert_false(inspect(h, "a").persistent);
	fake_hypervisor_end(h, "a", DOMAIN_REASON_SHUTDOWN);
	assert_int_equal(inspect(h, "a").state, DOMAIN_ABSENT);
	assert_int_equal(fake_hypervisor_count(h), 1);
	h->ops->free(h);
}

static void test_fault_before_and_after(void **state _unused_)
{
	Hypervisor *inner = fake_hypervisor_new();
	Fault fault = { .fail_at = 1 };
	Hypervisor *h = faulty_hypervisor_new(inner, &fault);
	DomainConfig c = config("a", UUID_A);

	assert_int_equal(h->ops->define(h, &ctx, &c, NULL), -ERR_UNAVAILABLE);
	assert_int_equal(fake_hypervisor_count(inner), 0);
	fault.fail_at = 2;
	fault.mode = FAULT_AFTER;
	assert_int_equal(h->ops->define(h, &ctx, &c, NULL), -ERR_UNAVAILABLE);
	assert_int_equal(fake_hypervisor_count(inner), 1);
	assert_int_equal(h->ops->define(h, &ctx, &c, NULL), 0);
	assert_int_equal(fault.calls, 3);
	h->ops->free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_guests_differ),
		cmocka_unit_test(test_events_and_mute),
		cmocka_unit_test(test_hung_guest),
		cmocka_unit_test(test_slow_end),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_foreign_and_outsiders),
		cmocka_unit_test(test_fault_before_and_after),
	};

	ctx = CONTEXT_BACKGROUND;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
