/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The net role and its client against the real kernel and dnsmasq, with guests made of namespaces.
 * The role is this program again, with "role" as argument, so that it can be killed.
 *
 * Sandbox: --outside
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "../../lib/netguest.h"
#include "../../lib/network_contract.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/spawn.h"
#include "driver/net/net.h"

#define STATE_DIR "/run/sfd/net"
#define SOCKET    "/run/sfd/net.sock"
#define STORE     "22222222-2222-4222-8222-222222222222"
#define NET_A     "aaaaaaaa-0000-4000-8000-000000000001"
#define NET_B     "bbbbbbbb-0000-4000-8000-000000000002"
#define MAC_1     "52:54:00:00:00:01"
#define MAC_2     "52:54:00:00:00:02"
#define DEADLINE  (10 * USEC_PER_SEC)

static const char DHCP_SCRIPT[] =
	"#!/bin/sh\n"
	"[ \"$1\" = bound ] || [ \"$1\" = renew ] || exit 0\n"
	"ip addr replace $ip/$mask dev eth0\n"
	"[ -n \"$router\" ] && ip route replace default via $router\n"
	"echo \"$ip $mask router=$router dns=$dns mtu=$mtu search=$search\"\n";

/* ---- the role, the driver, the configuration ---- */

typedef struct Event {
	char uid[UUID_MAX];
	char what[512];
} Event;

typedef struct Fixture {
	NetworkDriver *driver;
	pid_t role;
	int role_fd;
	pthread_mutex_t lock;
	unsigned n_events, n_connects;
	Event last;
	NetworkConfig config[2];
	NetworkPort ports[2][8];
} Fixture;

static Fixture fx;

static void on_event(void *arg, const char *uid, const char *what)
{
	Fixture *f = arg;

	pthread_mutex_lock(&f->lock);
	if (uid) {
		f->n_events++;
		snprintf(f->last.uid, sizeof(f->last.uid), "%s", uid);
		snprintf(f->last.what, sizeof(f->last.what), "%s", what);
	} else {
		f->n_connects++;
	}
	pthread_mutex_unlock(&f->lock);
}

static unsigned counter(const unsigned *c)
{
	unsigned v;

	pthread_mutex_lock(&fx.lock);
	v = *c;
	pthread_mutex_unlock(&fx.lock);
	return v;
}

static void tick(void)
{
	poll(NULL, 0, 5);
}

#define WAIT_FOR(condition) \
	do { \
		usec_t _end = clock_now(clock_system()) + DEADLINE; \
		while (!(condition)) { \
			if (clock_now(clock_system()) > _end) \
				fail_msg("timed out waiting for %s", #condition); \
			tick(); \
		} \
	} while (0)

static void role_start(void)
{
	const char *const argv[] = { "/proc/self/exe", "role", NULL };
	const SpawnFd fds[] = {
		{2, 2}
	};
	_cleanup_(error_done) Error err = ERROR_INIT;
	SpawnOptions o = { .argv = argv, .fds = fds, .n_fds = 1 };

	if (spawn_start(&o, &fx.role, &fx.role_fd, &err) < 0)
		fail_msg("%s", error_message(&err));
}

static void role_end(int signo)
{
	int status;

	kill(fx.role, signo);
	waitpid(fx.role, &status, 0);
	fx.role_fd = fd_close(fx.role_fd);
}

static Context timeout_context(void)
{
	static Context background;

	background = CONTEXT_BACKGROUND;
	return context_with_timeout(&background, 20 * USEC_PER_SEC);
}

static NetworkStatus ensure(const NetworkConfig *c)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Context ctx = timeout_context();
	NetworkStatus s = { 0 };

	if (fx.driver->ops->ensure(fx.driver, &ctx, c, &s, &err) < 0)
		fail_msg("ensure: %s", error_message(&err));
	assert_true(s.ready);
	return s;
}

static void remove_net(const NetworkConfig *c)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Context ctx = timeout_context();

	if (fx.driver->ops->remove(fx.driver, &ctx, c->uid, c->vni, &err) < 0)
		fail_msg("remove: %s", error_message(&err));
}

static bool seen(const NetworkConfig *c, const char *address)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Context ctx = timeout_context();
	bool is = false;
	IpAddress a;

	assert_int_equal(ip_parse(address, &a, NULL), 0);
	if (fx.driver->ops->address_seen(fx.driver, &ctx, c->uid, &a, &is, &err) < 0)
		fail_msg("seen: %s", error_message(&err));
	return is;
}

static void add_port(int net, uint32_t id, const char *name, const char *mac, const char *a4,
		     const char *a6)
{
	NetworkConfig *c = &fx.config[net];
	NetworkPort *p = &fx.ports[net][c->n_ports++];

	*p = (NetworkPort){ .id = id };
	snprintf(p->uid, sizeof(p->uid), "cccccccc-0000-4000-8000-%012x", id);
	snprintf(p->hostname, sizeof(p->hostname), "%s", name);
	assert_int_equal(mac_parse(mac, &p->mac, NULL), 0);
	assert_int_equal(ip_parse(a4, &p->addresses[p->n_addresses++], NULL), 0);
	if (a6)
		assert_int_equal(ip_parse(a6, &p->addresses[p->n_addresses++], NULL), 0);
}

static void configure(int net, const char *uid, uint32_t vni)
{
	NetworkConfig *c = &fx.config[net];

	*c = (NetworkConfig){ .vni = vni, .dhcp = true, .dns = true, .egress = EGRESS_NAT };
	snprintf(c->store_id, sizeof(c->store_id), STORE);
	snprintf(c->uid, sizeof(c->uid), "%s", uid);
	snprintf(c->domain, sizeof(c->domain), "lab.internal");
	ip_prefix_parse("10.20.0.0/24", &c->prefix4, NULL);
	ip_parse("10.20.0.1", &c->gateway4, NULL);
	ip_prefix_parse("fd00:20::/64", &c->prefix6, NULL);
	ip_parse("fd00:20::1", &c->gateway6, NULL);
	c->ports = fx.ports[net];
}

static int setup(void **state)
{
	Error err = ERROR_INIT;

	(void)state;
	pthread_mutex_init(&fx.lock, NULL);
	fx.n_events = fx.n_connects = 0;
	assert_int_equal(fs_mkdir_p("/run/sfd", 0755, &err), 0);
	assert_int_equal(fs_write_atomic("/run/dhcp.sh", DHCP_SCRIPT, strlen(DHCP_SCRIPT), 0755,
					 false, &err),
			 0);
	role_start();
	assert_int_equal(
		network_client_new(&(NetClientOptions){ .socket_path = SOCKET }, &fx.driver, &err),
		0);
	fx.driver->ops->subscribe(fx.driver, on_event, &fx);
	WAIT_FOR(counter(&fx.n_connects) > 0);
	configure(0, NET_A, 7);
	configure(1, NET_B, 8);
	return 0;
}

/* Every test ends with nothing left, which is half of what they test. */
static int teardown(void **state)
{
	StrBuf out = STRBUF_INIT;

	(void)state;
	remove_net(&fx.config[0]);
	remove_net(&fx.config[1]);
	assert_int_equal(host_sh(&out,
				 "ip -o link | grep -c ' sf[a-z]'; ip netns | grep ^sf-;"
				 "nft list tables | grep sfd; pgrep -f [c]onf-file=" STATE_DIR
				 "; ls " STATE_DIR "; cat /proc/sys/net/ipv6/conf/all/forwarding"),
			 0);
	assert_string_equal(strbuf_str(&out), "0\n0\n");
	strbuf_done(&out);
	fx.driver->ops->free(fx.driver);
	role_end(SIGTERM);
	pthread_mutex_destroy(&fx.lock);
	return 0;
}

static NetGuest *guest_1(void)
{
	return netguest_new("g1", 0x2a, MAC_1);
}

static void two_ports(int net)
{
	add_port(net, net ? 0x3a : 0x2a, "web-1", MAC_1, "10.20.0.10", "fd00:20::10");
	add_port(net, net ? 0x3b : 0x2b, "web-2", MAC_2, "10.20.0.11", "fd00:20::11");
}

static void give_addresses(NetGuest *g, const char *last)
{
	assert_int_equal(netguest_sh(g, NULL,
				     "ip addr add 10.20.0.%s/24 dev eth0;"
				     "ip addr add fd00:20::%s/64 dev eth0 nodad;"
				     "ip route replace default via 10.20.0.1;"
				     "ip -6 route replace default via fe80::1 dev eth0",
				     last, last),
			 0);
}

static int ping(NetGuest *g, const char *to)
{
	return netguest_sh(g, NULL, "ping -q -n -c 1 -W 1 %s >/dev/null", to);
}

/* Until it answers: the first packets of a new network may meet a bridge port not yet forwarding.
 */
static void wait_ping(NetGuest *g, const char *to)
{
	WAIT_FOR(ping(g, to) == 0);
}

/* ---- tests ---- */

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
			     "udhcpc -f -q -n -t 3 -T 1 -i eth0 -O mtu -O search -s /run/dhcp.sh "
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

/* Each piece is deleted by somebody; an event comes, and one ensure mends it. */
static void test_repair(void **state)
{
	static const char *const deeds[] = {
		"ip link del sft0000002b",
		"ip link set sft0000002b nomaster",
		"ip link set sft0000002b down",
		"ip link set sft0000002b mtu 1400",
		"ip link set sfb7 down",
		"ip link del sfr7",
		"ip link del sfu7",
		"ip link set sfu7 down",
		"ip link del sfb7",
		"bridge link set dev sft0000002a locked off",
		"bridge fdb del " MAC_1 " dev sft0000002a master",
		"ip netns exec sf-7 ip addr del 10.20.0.1/24 dev lan0",
		"ip netns exec sf-7 ip route del default",
		"ip netns exec sf-7 ip neigh del 10.20.0.10 dev lan0",
		"ip netns exec sf-7 ip link set lan0 down",
		"ip netns exec sf-7 sysctl -qw net.ipv4.ip_forward=0",
		"ip netns exec sf-7 nft flush ruleset",
		"ip netns exec sf-7 nft delete chain inet sfd nat_post",
		"ip netns del sf-7",
		"ip route del 240.0.0.7",
		"ip neigh del 240.0.0.7 dev sfu7",
		"sysctl -qw net.ipv4.conf.sfu7.forwarding=0",
		"nft flush ruleset",
		"nft delete table bridge sfd",
		"nft delete table inet sfd",
		"nft flush chain bridge sfd g_arp",
		"nft delete element bridge sfd in4 { sft0000002a . 10.20.0.10 }",
		"kill -9 $(cat " STATE_DIR "/" NET_A "/dnsmasq.pid)",
	};
	NetGuest *g;

	(void)state;
	two_ports(0);
	ensure(&fx.config[0]);
	g = guest_1();
	give_addresses(g, "10");
	wait_ping(g, "192.0.2.1");
	wait_ping(g, "2001:db8:2::1");
	for (size_t i = 0; i < ARRAY_SIZE(deeds); i++) {
		unsigned before;
		usec_t start, heard;
		NetworkStatus s;

		assert_int_equal(ensure(&fx.config[0]).changes, 0);
		before = counter(&fx.n_events);
		start = clock_now(clock_system());
		assert_int_equal(host_sh(NULL, "%s", deeds[i]), 0);
		WAIT_FOR(counter(&fx.n_events) > before &&
			 strcmp(fx.last.what, "address seen") != 0);
		heard = clock_now(clock_system()) - start;
		s = ensure(&fx.config[0]);
		print_message("%s: heard after %u ms: %s\n", deeds[i],
			      (unsigned)(heard / USEC_PER_MSEC), s.message);
		assert_true(s.changes > 0);
		assert_true(s.repaired);
		assert_true(heard < USEC_PER_SEC);
		wait_ping(g, "192.0.2.1");
		wait_ping(g, "2001:db8:2::1");
	}
	netguest_free(g);
}

/* The role is killed: guests go on, its successor adopts all and changes nothing. */
static void test_adoption(void **state)
{
	NetworkStatus before, after;
	unsigned connects;
	NetGuest *g;

	(void)state;
	two_ports(0);
	before = ensure(&fx.config[0]);
	g = guest_1();
	give_addresses(g, "10");
	wait_ping(g, "192.0.2.1");
	connects = counter(&fx.n_connects);
	role_end(SIGKILL);
	assert_int_equal(ping(g, "192.0.2.1"), 0);
	assert_int_equal(netguest_sh(g, NULL, "busybox nslookup web-2.lab.internal 10.20.0.1"), 0);
	/* Without a role a call says so, in time. */
	{
		_cleanup_(error_done) Error err = ERROR_INIT;
		Context ctx = timeout_context();
		NetworkStatus s;

		ctx.deadline = clock_now(clock_system()) + 100 * USEC_PER_MSEC;
		assert_int_equal(fx.driver->ops->ensure(fx.driver, &ctx, &fx.config[0], &s, &err),
				 -ERR_UNAVAILABLE);
	}
	role_start();
	WAIT_FOR(counter(&fx.n_connects) > connects);
	after = ensure(&fx.config[0]);
	assert_int_equal(after.changes, 0);
	assert_int_equal(after.dnsmasq_pid, before.dnsmasq_pid);
	/* The successor hears of deletions without having been asked for anything but that. */
	connects = counter(&fx.n_events);
	host_sh(NULL, "kill -9 %d", (int)after.dnsmasq_pid);
	WAIT_FOR(counter(&fx.n_events) > connects);
	assert_true(ensure(&fx.config[0]).repaired);
	netguest_free(g);
}

/* Settings change, ports come and go; nobody else's tap or traffic is touched. */
static void test_changes(void **state)
{
	StrBuf before = STRBUF_INIT, after = STRBUF_INIT;
	NetworkStatus s;
	NetGuest *g;

	(void)state;
	add_port(0, 0x2a, "web-1", MAC_1, "10.20.0.10", "fd00:20::10");
	ensure(&fx.config[0]);
	g = guest_1();
	give_addresses(g, "10");
	wait_ping(g, "192.0.2.1");
	host_sh(&before, "cat /sys/class/net/sft0000002a/ifindex /sys/class/net/sft0000002a/flags");
	assert_int_equal(netguest_sh(g, NULL,
				     "ping -q -i 0.01 192.0.2.1 >/run/ping.txt 2>&1 & echo $! "
				     ">/run/ping.pid"),
			 0);
	snprintf(fx.config[0].domain, sizeof(fx.config[0].domain), "other.internal");
	s = ensure(&fx.config[0]);
	assert_true(s.changes > 0);
	assert_false(s.repaired);
	assert_int_equal(netguest_sh(g, NULL, "busybox nslookup web-1.other.internal 10.20.0.1"),
			 0);
	for (uint32_t i = 0; i < 5; i++) {
		char mac[MAC_TEXT_MAX], a[16], name[16];

		snprintf(mac, sizeof(mac), "52:54:00:00:01:%02x", i);
		snprintf(a, sizeof(a), "10.20.0.%u", 20 + i);
		snprintf(name, sizeof(name), "n%u", i);
		add_port(0, 0x50 + i, name, mac, a, NULL);
		s = ensure(&fx.config[0]);
		assert_false(s.repaired);
		assert_int_equal(ensure(&fx.config[0]).changes, 0);
	}
	assert_int_equal(netguest_sh(g, NULL, "busybox nslookup n4.other.internal 10.20.0.1"), 0);
	fx.config[0].n_ports = 1;
	ensure(&fx.config[0]);
	assert_int_equal(ensure(&fx.config[0]).changes, 0);
	assert_int_not_equal(host_sh(NULL, "nft list table bridge sfd | grep -q sft00000050"), 0);
	assert_int_not_equal(host_sh(NULL, "ip link show sft00000050 2>/dev/null"), 0);
	/* Without egress there is no way out, and back again. */
	fx.config[0].egress = EGRESS_NONE;
	ensure(&fx.config[0]);
	assert_int_not_equal(ping(g, "192.0.2.1"), 0);
	assert_int_equal(ping(g, "10.20.0.1"), 0);
	host_sh(&after, "cat /sys/class/net/sft0000002a/ifindex /sys/class/net/sft0000002a/flags");
	assert_string_equal(strbuf_str(&before), strbuf_str(&after));
	netguest_sh(g, NULL, "kill $(cat /run/ping.pid)");
	fx.config[0].egress = EGRESS_NAT;
	ensure(&fx.config[0]);
	wait_ping(g, "192.0.2.1");
	netguest_free(g);
	strbuf_done(&before);
	strbuf_done(&after);
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

/* What carries another mark, or none, is not touched. */
static void test_foreign(void **state)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Context ctx = timeout_context();
	NetworkStatus s;

	(void)state;
	two_ports(0);
	assert_int_equal(
		host_sh(NULL, "ip link add sfb7 type bridge; ip link set sfb7 up alias mine"), 0);
	assert_int_equal(fx.driver->ops->ensure(fx.driver, &ctx, &fx.config[0], &s, &err),
			 -ERR_CONFLICT);
	assert_non_null(strstr(error_message(&err), "sfb7"));
	assert_int_equal(host_sh(NULL, "ip link show sfb7 >/dev/null && ip link del sfb7"), 0);
	assert_true(ensure(&fx.config[0]).ready);
	/* The VNI is taken. */
	fx.config[1].vni = 7;
	assert_int_equal(fx.driver->ops->ensure(fx.driver, &ctx, &fx.config[1], &s, &err),
			 -ERR_CONFLICT);
	assert_int_equal(fx.driver->ops->remove(fx.driver, &ctx, NET_B, 7, &err), -ERR_CONFLICT);
	fx.config[1].vni = 8;
	/* A stranger in our bridge is reported and left alone. */
	host_sh(NULL, "ip link add stranger type veth peer name stranger1; ip link set stranger "
		      "master sfb7");
	s = ensure(&fx.config[0]);
	assert_int_equal(s.changes, 0);
	assert_non_null(strstr(s.message, "stranger"));
	host_sh(NULL, "ip link del stranger");
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

static void test_list(void **state)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Context ctx = timeout_context();
	NetworkEntry *entries;
	size_t n;

	(void)state;
	ensure(&fx.config[0]);
	ensure(&fx.config[1]);
	assert_int_equal(fx.driver->ops->list(fx.driver, &ctx, STORE, &entries, &n, &err), 0);
	assert_int_equal(n, 2);
	free(entries);
	assert_int_equal(fx.driver->ops->list(fx.driver, &ctx, NET_A, &entries, &n, &err), 0);
	assert_int_equal(n, 0);
	free(entries);
}

static void test_contract(void **state)
{
	(void)state;
	network_contract(fx.driver);
}

/* What anybody who gets at the socket can send: refused, and the role goes on. */
static void test_hostile_client(void **state)
{
	static const char *const requests[] = {
		"{}",
		"[]",
		"{\"id\":1}",
		"{\"id\":1,\"op\":\"reboot\"}",
		"{\"id\":1,\"op\":\"ensure\"}",
		"{\"id\":1,\"op\":\"ensure\",\"config\":{}}",
		"{\"id\":1,\"op\":\"ensure\",\"config\":[[[[[[[[]]]]]]]]}",
		"{\"id\":1,\"op\":\"remove\",\"uid\":\"../../../../../etc\",\"vni\":7}",
		"{\"id\":1,\"op\":\"remove\",\"uid\":\"" NET_A "\",\"vni\":0}",
		"{\"id\":1,\"op\":\"list\",\"store\":\"x\"}",
		"{\"id\":1,\"op\":\"seen\",\"uid\":\"" NET_A "\",\"address\":\"x; y\"}",
		"{\"id\":1,\"op\":\"dial\",\"uid\":\"" NET_A
		"\",\"address\":\"10.20.0.1\",\"port\":70000}",
		"{\"id\":\"x\",\"op\":\"list\"}",
		"{\"id\":1,\"id\":2}",
		"no json",
	};

	(void)state;
	ensure(&fx.config[0]);
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		unsigned char head[4] = { 0, 0, (unsigned char)(strlen(requests[i]) >> 8),
					  (unsigned char)strlen(requests[i]) };
		struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = SOCKET };
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		char answer[4096];
		ssize_t n;

		assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
		assert_int_equal(write(fd, head, 4), 4);
		assert_int_equal(write(fd, requests[i], strlen(requests[i])),
				 (ssize_t)strlen(requests[i]));
		n = read(fd, answer, sizeof(answer) - 1);
		answer[n > 0 ? n : 0] = '\0';
		print_message("%s -> %s\n", requests[i], n > 4 ? answer + 4 : "closed");
		assert_true(n <= 0 || strstr(answer + 4, "\"error\""));
		fd_close(fd);
	}
	assert_int_equal(ensure(&fx.config[0]).changes, 0);
	assert_int_equal(counter(&fx.n_connects), 1);
}

/* As sfd runs it where there is no systemd: the role hangs on a socket pair and ends with it. */
static void test_socket_pair(void **state)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	NetSpawn spawn = { .exe = "/proc/self/exe", .runtime_dir = "/run/sfd" };
	NetworkDriver *driver = fx.driver;
	unsigned connects = counter(&fx.n_connects);
	pid_t first;

	(void)state;
	/* Two roles at once would mend each other's work. */
	driver->ops->free(driver);
	role_end(SIGTERM);
	assert_int_equal(network_client_new(
				 &(NetClientOptions){ .connect = net_spawn, .connect_arg = &spawn },
				 &fx.driver, &err),
			 0);
	fx.driver->ops->subscribe(fx.driver, on_event, &fx);
	assert_true(ensure(&fx.config[0]).ready);
	WAIT_FOR(counter(&fx.n_connects) > connects);
	first = spawn.pid;
	kill(first, SIGKILL);
	WAIT_FOR(counter(&fx.n_connects) > connects + 1);
	assert_int_equal(ensure(&fx.config[0]).changes, 0);
	assert_int_not_equal(spawn.pid, first);
	remove_net(&fx.config[0]);
	fx.driver->ops->free(fx.driver);
	net_spawn_done(&spawn);
	role_start();
	assert_int_equal(
		network_client_new(&(NetClientOptions){ .socket_path = SOCKET }, &fx.driver, &err),
		0);
}

static int role(int connection_fd)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	NetRoleOptions o = { .state_dir = STATE_DIR };

	if (connection_fd)
		o.connection_fd = connection_fd;
	else
		o.socket_path = SOCKET;

	if (net_role_main(&o, &err) == 0)
		return 0;
	fprintf(stderr, "role: %s\n", error_message(&err));
	return 1;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_hello, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ipv6, setup, teardown),
		cmocka_unit_test_setup_teardown(test_isolation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host_unreachable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_spoofing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_repair, setup, teardown),
		cmocka_unit_test_setup_teardown(test_adoption, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dial, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign, setup, teardown),
		cmocka_unit_test_setup_teardown(test_egress_blocked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_contract, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_client, setup, teardown),
		cmocka_unit_test_setup_teardown(test_socket_pair, setup, teardown),
	};

	if (argc > 1 && streq(argv[1], "role"))
		return role(0);
	/* The options of sfd. */
	if (argc > 3 && streq(argv[1], "--role=net"))
		return role((int)strtol(argv[3], NULL, 10));
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
