/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reconcile/allocate: addresses, MACs and tap ids as records that only one can have.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "reconcile/allocate.h"

#define NETWORK "11111111-1111-4111-8111-111111111111"

typedef struct Fixture {
	Clock *clock;
	KindRegistry *kinds;
	Store *store;
} Fixture;

static int setup(void **state)
{
	Fixture *f = xnew0(Fixture, 1);

	f->clock = fake_clock_new(USEC_PER_HOUR, 1700000000 * USEC_PER_SEC);
	f->kinds = kind_registry_new();
	assert_int_equal(store_open(memory_backend_new(),
				    &(StoreOptions){ .clock = f->clock, .kinds = f->kinds },
				    &f->store, NULL),
			 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	Fixture *f = *state;

	store_free(f->store);
	kind_registry_free(f->kinds);
	fake_clock_free(f->clock);
	free(f);
	return 0;
}

static NicRequest request(const char *instance, const char *cidr)
{
	NicRequest q = { .network_uid = NETWORK,
			 .instance_uid = instance,
			 .owner = instance,
			 .nic = "eth0",
			 .hostname = "web" };
	IpPrefix p;

	assert_int_equal(ip_prefix_parse(cidr, &p, NULL), 0);
	if (p.address.family == AF_INET) {
		q.prefix4 = p;
		q.gateway4 = ip_prefix_nth(&p, 1);
	} else {
		q.prefix6 = p;
		q.gateway6 = ip_prefix_nth(&p, 1);
	}
	return q;
}

static int claim(Fixture *f, const NicRequest *q, NetworkPort *ret, Error *err)
{
	Context ctx = CONTEXT_BACKGROUND;
	_cleanup_(txn_freep) Txn *t = txn_new();
	int rc = nic_allocate(f->store, f->clock, t, q, ret, err);

	return rc < 0 ? rc : store_commit(f->store, &ctx, t, NULL, err);
}

static void release(Fixture *f, const char *instance)
{
	Context ctx = CONTEXT_BACKGROUND;
	_cleanup_(txn_freep) Txn *t = txn_new();

	assert_int_equal(nic_release(f->store, f->clock, t, instance, NULL, NULL), 0);
	assert_int_equal(store_commit(f->store, &ctx, t, NULL, NULL), 0);
}

static const char *address(const NetworkPort *p)
{
	static char text[IP_TEXT_MAX];

	return ip_format(&p->addresses[0], text);
}

static void lowest_free_address_is_given(void **state)
{
	NicRequest a = request("a", "10.0.0.0/29"), b = request("b", "10.0.0.0/29");
	NetworkPort p, q, again;

	assert_int_equal(claim(*state, &a, &p, NULL), 0);
	assert_string_equal(address(&p), "10.0.0.2");
	assert_int_equal(claim(*state, &b, &q, NULL), 0);
	assert_string_equal(address(&q), "10.0.0.3");
	assert_true(p.id != q.id && !mac_equal(&p.mac, &q.mac));
	assert_int_equal(nic_get(((Fixture *)*state)->store, NETWORK, "a", "eth0", &again, NULL),
			 0);
	assert_memory_equal(&again, &p, sizeof(p));
}

static void a_small_network_fills_up(void **state)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	NicRequest last;
	NetworkPort p;
	char name[8];

	for (int i = 0; i < 5; i++) {
		NicRequest q;

		snprintf(name, sizeof(name), "i%d", i);
		q = request(name, "10.0.0.0/29");
		assert_int_equal(claim(*state, &q, &p, NULL), 0);
	}
	assert_string_equal(address(&p), "10.0.0.6");
	last = request("one too many", "10.0.0.0/29");
	assert_int_equal(claim(*state, &last, &p, &err), -ERR_EXHAUSTED);
	assert_string_equal(err.message, "every address of 10.0.0.0/29 is in use");
}

static void a_wanted_address_is_honoured_or_refused(void **state)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	NicRequest a = request("a", "10.0.0.0/24"), b = request("b", "10.0.0.0/24");
	char *wanted[] = { (char[]){ "10.0.0.77" }, NULL };
	NetworkPort p;

	a.addresses = b.addresses = wanted;
	assert_int_equal(claim(*state, &a, &p, NULL), 0);
	assert_string_equal(address(&p), "10.0.0.77");
	assert_int_equal(claim(*state, &b, &p, &err), -ERR_EXISTS);
	assert_non_null(strstr(err.message, "taken by instance a"));
	for (size_t i = 0; i < 4; i++) {
		static const char *const bad[] = { "10.0.1.5", "10.0.0.1", "10.0.0.0",
						   "10.0.0.255" };
		char *one[] = { (char *)bad[i], NULL };

		b.addresses = one;
		assert_int_equal(claim(*state, &b, &p, NULL), -ERR_INVALID);
	}
}

static void a_released_address_rests(void **state)
{
	Fixture *f = *state;
	NicRequest a = request("a", "10.0.0.0/24"), b = request("b", "10.0.0.0/24"),
		   c = request("c", "10.0.0.0/24");
	NetworkPort p;

	assert_int_equal(claim(f, &a, &p, NULL), 0);
	release(f, "a");
	assert_int_equal(claim(f, &b, &p, NULL), 0);
	assert_string_equal(address(&p), "10.0.0.3");
	fake_clock_advance(f->clock, ADDRESS_REST);
	assert_int_equal(claim(f, &c, &p, NULL), 0);
	assert_string_equal(address(&p), "10.0.0.2");
}

static void a_full_network_gives_what_rested_longest(void **state)
{
	Fixture *f = *state;
	NetworkPort p;
	char name[8];

	for (int i = 0; i < 5; i++) {
		NicRequest q;

		snprintf(name, sizeof(name), "i%d", i);
		q = request(name, "10.0.0.0/29");
		assert_int_equal(claim(f, &q, &p, NULL), 0);
	}
	release(f, "i3");
	fake_clock_advance(f->clock, USEC_PER_SEC);
	release(f, "i1");
	{
		NicRequest q = request("x", "10.0.0.0/29");

		assert_int_equal(claim(f, &q, &p, NULL), 0);
		assert_string_equal(address(&p), "10.0.0.5");
	}
}

static void both_families_at_once(void **state)
{
	NicRequest q = request("a", "10.0.0.0/24"), six = request("a", "fd00::/64");
	NetworkPort p;
	char text[IP_TEXT_MAX];

	q.prefix6 = six.prefix6;
	q.gateway6 = six.gateway6;
	assert_int_equal(claim(*state, &q, &p, NULL), 0);
	assert_int_equal(p.n_addresses, 2);
	assert_string_equal(ip_format(&p.addresses[1], text), "fd00::2");
}

static void two_cannot_claim_the_same(void **state)
{
	Fixture *f = *state;
	Context ctx = CONTEXT_BACKGROUND;
	NicRequest a = request("a", "10.0.0.0/24"), b = request("b", "10.0.0.0/24");
	_cleanup_(txn_freep) Txn *first = txn_new(), *second = txn_new();
	NetworkPort p;

	/* Both look before either commits, and so choose alike. */
	assert_int_equal(nic_allocate(f->store, f->clock, first, &a, &p, NULL), 0);
	assert_int_equal(nic_allocate(f->store, f->clock, second, &b, &p, NULL), 0);
	assert_int_equal(store_commit(f->store, &ctx, first, NULL, NULL), 0);
	assert_int_equal(store_commit(f->store, &ctx, second, NULL, NULL), -ERR_CONFLICT);
}

#define CROWD  8  /* threads */
#define CLAIMS 40 /* of each */

typedef struct Crowd {
	Fixture *f;
	unsigned number;
	unsigned refused; /* told that an address which it never asked for is taken */
} Crowd;

static void *claim_many(void *arg)
{
	Crowd *c = arg;

	for (unsigned i = 0; i < CLAIMS; i++) {
		_cleanup_(xfreep) char *name = xasprintf("%u-%u", c->number, i);
		NicRequest q = request(name, "10.0.0.0/16");
		NetworkPort p;
		int rc;

		while ((rc = claim(c->f, &q, &p, NULL)) == -ERR_CONFLICT)
			continue;
		c->refused += rc != 0;
	}
	return NULL;
}

/* Between a look at what is free and the claim of it somebody else may come. */
static void who_asks_for_no_address_is_never_told_that_it_is_taken(void **state)
{
	pthread_t threads[CROWD];
	Crowd crowd[CROWD];
	unsigned refused = 0;

	for (unsigned i = 0; i < CROWD; i++) {
		crowd[i] = (Crowd){ .f = *state, .number = i };
		assert_int_equal(pthread_create(&threads[i], NULL, claim_many, &crowd[i]), 0);
	}
	for (unsigned i = 0; i < CROWD; i++) {
		pthread_join(threads[i], NULL);
		refused += crowd[i].refused;
	}
	assert_int_equal(refused, 0);
}

static uint32_t claim_vni(Fixture *f, const char *network)
{
	Context ctx = CONTEXT_BACKGROUND;
	_cleanup_(txn_freep) Txn *t = txn_new();
	uint32_t vni = 0;

	assert_int_equal(vni_allocate(f->store, t, network, &vni, NULL), 0);
	assert_true(vni >= VNI_MIN && vni <= VNI_MAX);
	assert_int_equal(store_commit(f->store, &ctx, t, NULL, NULL), 0);
	return vni;
}

static void a_vni_is_found_by_its_record(void **state)
{
	Fixture *f = *state;
	uint32_t vni, other, found = 0;

	assert_int_equal(vni_get(f->store, NETWORK, 0, &found, NULL), -ERR_NOT_FOUND);
	vni = claim_vni(f, NETWORK);
	other = claim_vni(f, "another-network");
	assert_int_equal(vni_get(f->store, NETWORK, vni, &found, NULL), 0);
	assert_int_equal(found, vni);
	/* What a status says is a hint: neither a neighbour's nor one that nobody has counts. */
	assert_int_equal(vni_get(f->store, NETWORK, other, &found, NULL), 0);
	assert_int_equal(found, vni);
	assert_int_equal(vni_get(f->store, NETWORK, 0, &found, NULL), 0);
	assert_int_equal(found, vni);
	assert_int_equal(vni_get(f->store, "third-network", other, &found, NULL), -ERR_NOT_FOUND);
}

#define with_store(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_store(lowest_free_address_is_given),
		with_store(a_small_network_fills_up),
		with_store(a_wanted_address_is_honoured_or_refused),
		with_store(a_released_address_rests),
		with_store(a_full_network_gives_what_rested_longest),
		with_store(both_families_at_once),
		with_store(two_cannot_claim_the_same),
		with_store(who_asks_for_no_address_is_never_told_that_it_is_taken),
		with_store(a_vni_is_found_by_its_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
