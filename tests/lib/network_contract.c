/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of the network port. See network_contract.h.
 */
#include "network_contract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define STORE "22222222-2222-4222-8222-222222222222"
#define OTHER "99999999-2222-4222-8222-222222222222"
#define NET_A "aaaaaaaa-0000-4000-8000-000000000001"
#define NET_B "bbbbbbbb-0000-4000-8000-000000000002"

static NetworkConfig config(const char *uid, uint32_t vni, NetworkPort *ports, size_t n)
{
	NetworkConfig c = { .vni = vni,
			    .dhcp = true,
			    .dns = true,
			    .egress = EGRESS_NAT,
			    .ports = ports,
			    .n_ports = n };

	snprintf(c.store_id, sizeof(c.store_id), STORE);
	snprintf(c.uid, sizeof(c.uid), "%s", uid);
	snprintf(c.domain, sizeof(c.domain), "lab.internal");
	ip_prefix_parse("10.20.0.0/24", &c.prefix4, NULL);
	ip_parse("10.20.0.1", &c.gateway4, NULL);
	for (unsigned i = 0; i < n; i++) {
		char text[32];

		ports[i] = (NetworkPort){ .id = vni * 16 + i, .n_addresses = 1 };
		snprintf(ports[i].uid, sizeof(ports[i].uid), "cccccccc-0000-4000-8000-%012x", i);
		snprintf(ports[i].hostname, sizeof(ports[i].hostname), "web-%u", i);
		snprintf(text, sizeof(text), "52:54:00:00:00:%02x", i);
		mac_parse(text, &ports[i].mac, NULL);
		snprintf(text, sizeof(text), "10.20.0.%u", 10 + i);
		ip_parse(text, &ports[i].addresses[0], NULL);
	}
	return c;
}

static int ensure(NetworkDriver *d, const NetworkConfig *c, NetworkStatus *ret)
{
	Context background = CONTEXT_BACKGROUND;
	Context ctx = context_with_timeout(&background, 20 * USEC_PER_SEC);

	return d->ops->ensure(d, &ctx, c, ret, NULL);
}

static size_t count(NetworkDriver *d, const char *store)
{
	Context ctx = CONTEXT_BACKGROUND;
	NetworkEntry *entries = NULL;
	size_t n = 0;

	assert_int_equal(d->ops->list(d, &ctx, store, &entries, &n, NULL), 0);
	free(entries);
	return n;
}

static void contract_ensure(NetworkDriver *d)
{
	NetworkPort ports[3];
	NetworkConfig c = config(NET_A, 7, ports, 3);
	NetworkStatus s;

	c.n_ports = 2;
	assert_int_equal(ensure(d, &c, &s), 0);
	assert_true(s.ready && s.changes > 0 && !s.repaired);
	assert_string_equal(s.bridge, "sfb7");
	assert_string_equal(s.netns, "sf-7");
	assert_true(s.dnsmasq_pid > 0);
	assert_int_equal(s.mtu, 1450);
	/* Again: nothing. */
	assert_int_equal(ensure(d, &c, &s), 0);
	assert_true(s.ready && s.changes == 0 && !s.repaired);
	/* A change of what is wanted is no repair. */
	c.n_ports = 3;
	assert_int_equal(ensure(d, &c, &s), 0);
	assert_true(s.changes > 0 && !s.repaired);
	snprintf(c.domain, sizeof(c.domain), "other.internal");
	assert_int_equal(ensure(d, &c, &s), 0);
	assert_true(s.changes > 0 && !s.repaired);
	c.n_ports = 1;
	assert_int_equal(ensure(d, &c, &s), 0);
	assert_true(s.changes > 0 && !s.repaired);
	assert_int_equal(ensure(d, &c, &s), 0);
	assert_int_equal(s.changes, 0);
}

static void contract_refusals(NetworkDriver *d)
{
	NetworkPort ports[2];
	NetworkConfig c = config(NET_B, 8, ports, 2);
	NetworkStatus s = { .changes = 77 };
	Context ctx = CONTEXT_BACKGROUND, late = CONTEXT_BACKGROUND;

	snprintf(ports[0].hostname, sizeof(ports[0].hostname), "a,ignore");
	assert_int_equal(ensure(d, &c, &s), -ERR_INVALID);
	c = config(NET_B, 7, ports, 2); /* the other network's VNI */
	assert_int_equal(ensure(d, &c, &s), -ERR_CONFLICT);
	assert_int_equal(d->ops->remove(d, &ctx, NET_B, 7, NULL), -ERR_CONFLICT);
	late.deadline = 1;
	c = config(NET_B, 8, ports, 2);
	assert_int_equal(d->ops->ensure(d, &late, &c, &s, NULL), -ERR_TIMEOUT);
	assert_int_equal(s.changes, 77); /* untouched on failure */
}

static void contract_questions(NetworkDriver *d)
{
	Context ctx = CONTEXT_BACKGROUND;
	IpAddress a;
	bool seen = true;
	int fd = -1;

	ip_parse("10.20.0.10", &a, NULL);
	assert_int_equal(d->ops->address_seen(d, &ctx, NET_A, &a, &seen, NULL), 0);
	assert_false(seen);
	assert_int_equal(d->ops->address_seen(d, &ctx, OTHER, &a, &seen, NULL), -ERR_NOT_FOUND);
	seen = true;
	assert_int_equal(d->ops->port_attached(d, &ctx, NET_A, 7 * 16, &seen, NULL), 0);
	seen = true;
	assert_int_equal(d->ops->port_attached(d, &ctx, NET_A, 7 * 16 + 9, &seen, NULL),
			 -ERR_NOT_FOUND);
	assert_int_equal(d->ops->port_attached(d, &ctx, OTHER, 7 * 16, &seen, NULL),
			 -ERR_NOT_FOUND);
	assert_true(seen); /* untouched on failure */
	assert_int_equal(d->ops->dial(d, &ctx, OTHER, &a, 22, &fd, NULL), -ERR_NOT_FOUND);
	assert_int_equal(fd, -1);
}

void network_contract(NetworkDriver *d)
{
	Context ctx = CONTEXT_BACKGROUND;
	NetworkPort ports[1];
	NetworkConfig b = config(NET_B, 8, ports, 1);
	NetworkStatus s;

	assert_int_equal(count(d, STORE), 0);
	assert_int_equal(d->ops->remove(d, &ctx, NET_A, 7, NULL), 0);
	contract_ensure(d);
	assert_int_equal(count(d, STORE), 1);
	contract_refusals(d);
	assert_int_equal(ensure(d, &b, &s), 0);
	assert_int_equal(count(d, STORE), 2);
	assert_int_equal(count(d, OTHER), 0);
	contract_questions(d);
	assert_int_equal(d->ops->remove(d, &ctx, NET_A, 7, NULL), 0);
	assert_int_equal(d->ops->remove(d, &ctx, NET_A, 7, NULL), 0);
	assert_int_equal(d->ops->remove(d, &ctx, NET_B, 8, NULL), 0);
	assert_int_equal(count(d, STORE), 0);
}
