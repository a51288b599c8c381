/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network port's contract over the fake, and what is special about the fake and its wrapper.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../lib/network_contract.h"
#include "base/memory.h"
#include "driver/fake/network.h"

#define STORE "22222222-2222-4222-8222-222222222222"
#define UID   "33333333-3333-4333-8333-333333333333"

static NetworkConfig config(void)
{
	NetworkConfig c = { .store_id = STORE, .uid = UID, .vni = 7 };

	ip_prefix_parse("10.20.0.0/24", &c.prefix4, NULL);
	ip_parse("10.20.0.1", &c.gateway4, NULL);
	return c;
}

static void test_contract(void **state)
{
	NetworkDriver *d = fake_network_new();

	(void)state;
	network_contract(d);
	assert_int_equal(fake_network_count(d), 0);
	d->ops->free(d);
}

/* The wrapper without a fault changes nothing of the contract. */
static void test_contract_wrapped(void **state)
{
	Fault fault = { 0 };
	NetworkDriver *d = faulty_network_new(fake_network_new(), &fault);

	(void)state;
	network_contract(d);
	assert_true(fault.calls > 10);
	d->ops->free(d);
}

static void on_event(void *arg, const char *uid, const char *what)
{
	snprintf(arg, 64, "%.20s %.40s", uid ? uid + 24 : "-", what);
}

static void test_outside_world(void **state)
{
	NetworkDriver *d = fake_network_new();
	Context ctx = CONTEXT_BACKGROUND;
	NetworkConfig c = config();
	NetworkStatus s;
	char event[64] = "", byte = 0;
	IpAddress a;
	int fd, peer;
	bool seen;

	(void)state;
	d->ops->subscribe(d, on_event, event);
	assert_int_equal(d->ops->ensure(d, &ctx, &c, &s, NULL), 0);
	fake_network_break(d, UID, "link gone");
	assert_string_equal(event, "333333333333 link gone");
	assert_int_equal(d->ops->ensure(d, &ctx, &c, &s, NULL), 0);
	assert_true(s.repaired && s.changes == 1);
	ip_parse("10.20.0.10", &a, NULL);
	assert_int_equal(d->ops->dial(d, &ctx, UID, &a, 22, &fd, NULL), -ERR_UNAVAILABLE);
	fake_network_see(d, UID, &a);
	assert_int_equal(d->ops->address_seen(d, &ctx, UID, &a, &seen, NULL), 0);
	assert_true(seen);
	assert_int_equal(d->ops->dial(d, &ctx, UID, &a, 22, &fd, NULL), 0);
	peer = fake_network_accept(d);
	assert_int_equal(write(peer, "x", 1), 1);
	assert_int_equal(read(fd, &byte, 1), 1);
	close(fd);
	close(peer);
	fake_network_set_failure(d, ERR_UNAVAILABLE);
	assert_int_equal(d->ops->ensure(d, &ctx, &c, &s, NULL), -ERR_UNAVAILABLE);
	fake_network_set_failure(d, ERR_NONE);
	assert_string_equal(event, "- net role connected");
	d->ops->free(d);
}

static bool attached(NetworkDriver *d, uint32_t port)
{
	Context ctx = CONTEXT_BACKGROUND;
	bool is = false;

	assert_int_equal(d->ops->port_attached(d, &ctx, UID, port, &is, NULL), 0);
	return is;
}

/* A tap that is made again is nobody's until the guest starts anew. */
static void test_lost_taps(void **state)
{
	NetworkPort ports[2] = {
		{.id = 0x2a,
                 .uid = STORE,
                 .hostname = "a",
                 .mac = { .bytes = { 0x52, [5] = 1 } }                                            },
		{ .id = 0x2b, .uid = STORE, .hostname = "b", .mac = { .bytes = { 0x52, [5] = 2 } }}
	};
	Fault fault = { 0 };
	NetworkDriver *fake = fake_network_new(), *d = faulty_network_new(fake, &fault);
	Context ctx = CONTEXT_BACKGROUND;
	NetworkConfig c = config();
	NetworkStatus s;
	bool is = true;

	(void)state;
	c.ports = ports;
	c.n_ports = 2;
	assert_int_equal(d->ops->ensure(d, &ctx, &c, &s, NULL), 0);
	assert_true(attached(d, 0x2a) && attached(d, 0x2b));
	fake_network_lose_tap(fake, UID, 0x2a);
	assert_int_equal(d->ops->ensure(d, &ctx, &c, &s, NULL), 0);
	assert_true(s.repaired);
	assert_false(attached(d, 0x2a));
	assert_true(attached(d, 0x2b));
	fake_network_hold_tap(fake, UID, 0x2a);
	assert_true(attached(d, 0x2a));
	fault.fail_at = fault.calls + 1;
	assert_int_equal(d->ops->port_attached(d, &ctx, UID, 0x2a, &is, NULL), -ERR_UNAVAILABLE);
	assert_true(is);
	d->ops->free(d);
}

static void test_faults(void **state)
{
	static const FaultMode modes[] = { FAULT_BEFORE, FAULT_AFTER };
	Context ctx = CONTEXT_BACKGROUND;
	NetworkConfig c = config();
	NetworkStatus s = { .changes = 77 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		Fault fault = { .fail_at = 1, .mode = modes[i] };
		NetworkDriver *fake = fake_network_new();
		NetworkDriver *d = faulty_network_new(fake, &fault);

		assert_int_equal(d->ops->ensure(d, &ctx, &c, &s, NULL), -ERR_UNAVAILABLE);
		assert_int_equal(s.changes, 77);
		assert_int_equal(fake_network_count(fake), modes[i] == FAULT_AFTER);
		assert_int_equal(d->ops->ensure(d, &ctx, &c, &s, NULL), 0);
		s.changes = 77;
		d->ops->free(d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_contract),      cmocka_unit_test(test_contract_wrapped),
		cmocka_unit_test(test_outside_world), cmocka_unit_test(test_lost_taps),
		cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
