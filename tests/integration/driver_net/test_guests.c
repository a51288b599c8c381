/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What guests of a network get and what they cannot do: real kernel, real dnsmasq, guests made of
 * namespaces.
 *
 * Sandbox: --outside
 */
#include "fixture.h"

static void test_hello(void **state)
{
	StrBuf out = STRBUF_INIT;
	NetworkStatus s;
	NetGuest *g;

	(void)state;
	two_ports(0);
	s = ensure(&fx.config[0]);
	assert_true(s.changes > 10);
	assert_false(s.repaired);
	assert_false(s.egress_blocked);
	assert_false(s.no_upstreams);
	assert_int_equal(s.mtu, 1450);
	assert_string_equal(s.bridge, "sfb7");
	assert_true(s.dnsmasq_pid > 0);
	s = ensure(&fx.config[0]);
	assert_int_equal(s.changes, 0);
	assert_false(seen(&fx.config[0], "10.20.0.10"));

	g = guest_1();
	/* DHCP gives the address that was asked for, the MTU, the router, the name server. */
	WAIT_FOR(netguest_sh(g, (strbuf_reset(&out), &out),
			     "busybox udhcpc -f -q -n -t 3 -T 1 -i eth0 -O mtu -O search -s "
			     "/run/dhcp.sh "
			     "2>/dev/null") == 0);
	assert_string_equal(strbuf_str(&out),
			    "10.20.0.10 24 router=10.20.0.1 dns=10.20.0.1 mtu=1450 "
			    "search=lab.internal\n");
	WAIT_FOR(counter(&fx.n_events) > 0);
	assert_string_equal(fx.last.uid, NET_A);
	assert_string_equal(fx.last.what, "address seen");
	assert_true(seen(&fx.config[0], "10.20.0.10"));
	assert_false(seen(&fx.config[0], "10.20.0.11"));

	/* DNS: names of guests, both ways, and the world outside. */
	assert_int_equal(netguest_sh(g, NULL,
				     "busybox nslookup web-2.lab.internal 10.20.0.1 | grep -q "
				     "10.20.0.11"),
			 0);
	assert_int_equal(
		netguest_sh(g, NULL, "busybox nslookup 10.20.0.11 10.20.0.1 | grep -q web-2"), 0);
	assert_int_equal(
		netguest_sh(g, NULL, "busybox nslookup outside.test 10.20.0.1 | grep -q 192.0.2.1"),
		0);
	/* NAT: the server outside sees the host. */
	strbuf_reset(&out);
	assert_int_equal(netguest_sh(g, &out,
				     "printf 'GET /cgi-bin/peer HTTP/1.0\\r\\n\\r\\n' | "
				     "socat -t 3 - TCP:192.0.2.1:80 | tail -n 1"),
			 0);
	assert_non_null(strstr(strbuf_str(&out), "192.0.2.2"));
	netguest_free(g);
	/* The guest has gone: so has its being seen. */
	WAIT_FOR(!seen(&fx.config[0], "10.20.0.10"));
	strbuf_done(&out);
}

static void test_ipv6(void **state)
{
	NetGuest *a, *b;

	(void)state;
	two_ports(0);
	ensure(&fx.config[0]);
	a = guest_1();
	b = netguest_new("g2", 0x2b, MAC_2);
	/* The router advertises itself: "managed", no prefix for SLAAC, our MTU. */
	WAIT_FOR(netguest_sh(a, NULL,
			     "ip -6 route show default | grep -q 'via fe80::1.*proto ra'") == 0);
	assert_int_equal(
		netguest_sh(a, NULL, "ip -6 addr show dev eth0 scope global | grep -q fd00"), 1);
	give_addresses(a, "10");
	give_addresses(b, "11");
	wait_ping(a, "fd00:20::1");
	wait_ping(a, "fe80::1%eth0");
	wait_ping(a, "fd00:20::11");
	wait_ping(a, "2001:db8:2::1");
	assert_int_equal(netguest_sh(a, NULL,
				     "busybox nslookup -type=aaaa web-2.lab.internal fd00:20::1 | "
				     "grep -q fd00:20::11"),
			 0);
	WAIT_FOR(seen(&fx.config[0], "fd00:20::10"));
	netguest_free(a);
	netguest_free(b);
}

/* Equal CIDRs, equal MACs, equal addresses: two worlds. */
static void test_isolation(void **state)
{
	NetGuest *a, *b;

	(void)state;
	add_port(0, 0x2a, "web-1", MAC_1, "10.20.0.10", NULL);
	add_port(1, 0x3a, "web-1", MAC_1, "10.20.0.10", NULL);
	add_port(1, 0x3b, "web-2", MAC_2, "10.20.0.11", NULL);
	ensure(&fx.config[0]);
	ensure(&fx.config[1]);
	assert_int_equal(ensure(&fx.config[0]).changes, 0);
	assert_int_equal(ensure(&fx.config[1]).changes, 0);
	a = guest_1();
	b = netguest_new("g2", 0x3b, MAC_2);
	give_addresses(a, "10");
	give_addresses(b, "11");
	wait_ping(a, "10.20.0.1");
	wait_ping(b, "10.20.0.1");
	wait_ping(a, "192.0.2.1");
	wait_ping(b, "192.0.2.1");
	assert_int_not_equal(ping(a, "10.20.0.11"), 0);
	assert_int_not_equal(ping(b, "10.20.0.10"), 0);
	/* Neither by the other's transit address. */
	assert_int_not_equal(ping(a, "240.0.0.8"), 0);
	assert_int_not_equal(netguest_sh(a, NULL,
					 "busybox nslookup web-2.lab.internal 10.20.0.1 | grep "
					 "10.20.0.11"),
			     0);
	netguest_free(a);
	netguest_free(b);
}

static void test_host_unreachable(void **state)
{
	NetGuest *g;

	(void)state;
	two_ports(0);
	ensure(&fx.config[0]);
	g = guest_1();
	give_addresses(g, "10");
	wait_ping(g, "10.20.0.1");
	wait_ping(g, "192.0.2.1");
	host_sh(NULL, "ip addr add 198.51.100.1/32 dev lo");
	WAIT_FOR(ping(g, "198.51.100.1") != 0);
	assert_int_equal(host_sh(NULL, "socat TCP-LISTEN:2222,fork,reuseaddr SYSTEM:'echo hi' "
				       ">/dev/null 2>&1 & echo $! >/run/socat.pid"),
			 0);
	assert_int_not_equal(ping(g, "192.0.2.2"), 0);
	assert_int_not_equal(ping(g, "2001:db8:2::2"), 0);
	assert_int_not_equal(ping(g, "169.254.0.1"), 0);
	assert_int_not_equal(
		netguest_sh(g, NULL, "socat -T 1 - TCP:192.0.2.2:2222,connect-timeout=1"), 0);
	/* Not even when the guest hands the packet to the bridge itself. */
	netguest_sh(g, NULL, "ip neigh replace 10.20.0.200 lladdr 02:73:67:00:00:03 dev eth0");
	assert_int_not_equal(
		netguest_sh(g, NULL, "socat -T 1 - TCP:10.20.0.200:2222,connect-timeout=1"), 0);
	/* The router offers DHCP and DNS and nothing else. */
	assert_int_not_equal(
		netguest_sh(g, NULL, "socat -T 1 - TCP:10.20.0.1:22,connect-timeout=1"), 0);
	host_sh(NULL, "kill $(cat /run/socat.pid); ip addr del 198.51.100.1/32 dev lo");
	netguest_free(g);
}

static unsigned long drops(void)
{
	StrBuf out = STRBUF_INIT;
	unsigned long n;

	assert_int_equal(host_sh(&out, "nft list counter bridge sfd drop_guest | sed -n "
				       "'s/.*packets \\([0-9]*\\).*/\\1/p'"),
			 0);
	n = strtoul(strbuf_str(&out), NULL, 10);
	strbuf_done(&out);
	return n;
}

/* Frames of a guest that lies; each is dropped and counted, or never leaves the locked port. */
static void test_spoofing(void **state)
{
#define TO     "525400000002"
#define ME     "525400000001"
#define OTHER  "525400000099"
#define IP_HDR "4500001c000000004011"
	static const struct {
		const char *what, *frame;
		bool counted; /* false: the locked bridge port took it first */
	} frames[] = {
		{"MAC",				 TO OTHER "0800" IP_HDR "0000 0a14000a 0a14000b 0001000100080000",      true },
		{ "IPv4",			       TO ME "0800" IP_HDR "0000 0a140063 0a14000b 0001000100080000",         true },
		{ "gateway's IPv4",                     TO ME "0800" IP_HDR "0000 0a140001 0a14000b 0001000100080000",
                 true													       },
		{ "IPv6",
                 TO ME "86dd 6000000000083b40 fd002000000000000000000000000063 "
			"fd002000000000000000000000000011 8000000000010001",						   true },
		{ "ARP sender MAC",
                 "ffffffffffff" ME "0806 0001080006040001" OTHER "0a14000a 000000000000 0a14000b",
                 true													       },
		{ "ARP sender IP",
                 "ffffffffffff" ME "0806 0001080006040001" ME "0a140001 000000000000 0a14000b",
                 true													       },
		{ "gratuitous ARP",
                 "ffffffffffff" ME "0806 0001080006040002" ME "0a14000b ffffffffffff 0a14000b",
                 true													       },
		{ "ARP of another kind",
                 "ffffffffffff" ME "0806 0006080006040001" ME "0a14000a 000000000000 0a14000b",
                 true													       },
		{ "neighbour advertisement of another",
                 TO ME "86dd 6000000000203aff fe8000000000000050540000fe000001"
			"fd002000000000000000000000000011 8800000020000000 "
			"fd002000000000000000000000000001 0201" ME,
                 true													       },
		{ "router advertisement",
                 "333300000001" ME "86dd 6000000000103aff fe8000000000000050540000fe000001"
		  "ff020000000000000000000000000001 860000004000070800000000 00000000",					true },
		{ "DHCP server",                        TO ME "0800" IP_HDR "0000 0a14000a 0a14000b 0043004400080000",
                 true													       },
		{ "DHCPv6 server",
                 TO ME "86dd 6000000000081140 fd002000000000000000000000000010"
			"fd002000000000000000000000000011 0223022200080000",						   true },
		{ "RARP",			       "ffffffffffff" ME "8035 0001080006040003" ME "0a14000a" ME "0a14000a",
                 true													       },
		{ "VLAN tag",
                 TO ME "8100 0001 0800" IP_HDR "0000 0a14000a 0a14000b 0001000100080000",                                      true },
		{ "unknown ethertype",                  TO ME "88b5 0102030405",                                               true },
		{ "LLDP",			       "0180c200000e" ME "88cc 0207",                                         false},
	};
	NetGuest *a, *b;

	(void)state;
	two_ports(0);
	ensure(&fx.config[0]);
	a = guest_1();
	b = netguest_new("g2", 0x2b, MAC_2);
	give_addresses(a, "10");
	give_addresses(b, "11");
	wait_ping(a, "10.20.0.11");
	for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
		unsigned long before = drops();

		print_message("spoof: %s\n", frames[i].what);
		netguest_send(a, frames[i].frame);
		if (frames[i].counted)
			WAIT_FOR(drops() > before);
	}
	wait_ping(a, "10.20.0.11");
	netguest_free(a);
	netguest_free(b);
}

static void test_dial(void **state)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Context ctx = timeout_context();
	char buf[16] = "";
	IpAddress a;
	NetGuest *g;
	int fd = -1;

	(void)state;
	two_ports(0);
	ensure(&fx.config[0]);
	g = guest_1();
	give_addresses(g, "10");
	wait_ping(g, "10.20.0.1");
	ip_parse("10.20.0.10", &a, NULL);
	assert_int_equal(fx.driver->ops->dial(fx.driver, &ctx, NET_A, &a, 7, &fd, &err),
			 -ERR_UNAVAILABLE); /* refused */
	netguest_sh(g, NULL, "socat TCP-LISTEN:7,reuseaddr SYSTEM:'echo hello' >/dev/null 2>&1 &");
	error_done(&err);
	WAIT_FOR(fx.driver->ops->dial(fx.driver, &ctx, NET_A, &a, 7, &fd, NULL) == 0);
	WAIT_FOR(read(fd, buf, sizeof(buf)) == 6);
	assert_memory_equal(buf, "hello\n", 6);
	fd_close(fd);
	ip_parse("10.20.0.99", &a, NULL);
	assert_int_equal(fx.driver->ops->dial(fx.driver, &ctx, NET_A, &a, 7, &fd, &err),
			 -ERR_NOT_FOUND);
	netguest_free(g);
}

static void test_egress_blocked(void **state)
{
	NetGuest *g;

	(void)state;
	two_ports(0);
	ensure(&fx.config[0]);
	g = guest_1();
	give_addresses(g, "10");
	wait_ping(g, "192.0.2.1");
	host_sh(NULL, "nft 'add table ip other; add chain ip other f { type filter hook forward "
		      "priority 0; policy drop; }'");
	assert_true(ensure(&fx.config[0]).egress_blocked);
	assert_non_null(strstr(ensure(&fx.config[0]).message, "other"));
	assert_int_not_equal(ping(g, "192.0.2.1"), 0);
	host_sh(NULL, "nft 'add rule ip other f iifname { \"sfu*\", \"sfb*\" } accept; "
		      "add rule ip other f oifname \"sfu*\" accept'");
	wait_ping(g, "192.0.2.1");
	WAIT_FOR(!ensure(&fx.config[0]).egress_blocked);
	host_sh(NULL, "nft delete table ip other");
	netguest_free(g);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_hello, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ipv6, setup, teardown),
		cmocka_unit_test_setup_teardown(test_isolation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host_unreachable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_spoofing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dial, setup, teardown),
		cmocka_unit_test_setup_teardown(test_egress_blocked, setup, teardown),
	};

	return fixture_main(argc, argv, tests, ARRAY_SIZE(tests));
}
