/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of networks: repair of each piece, adoption by a successor, changes, strangers, hostile
 * clients.
 *
 * Sandbox: --outside
 */
#include "fixture.h"

/* By the kernel's message, 7 to 52 ms on an idle machine: nobody waited for the next look at all.
 */
#define HEARD_MAX (10 * USEC_PER_SEC)

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
		assert_true(heard < HEARD_MAX);
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

static bool attached(uint32_t port)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Context ctx = timeout_context();
	bool is = false;

	if (fx.driver->ops->port_attached(fx.driver, &ctx, NET_A, port, &is, &err) < 0)
		fail_msg("attached: %s", error_message(&err));
	return is;
}

/* A guest holds the tap that it was started with: one that is made again is nobody's, however it
 * came to that, until the guest starts anew. */
static void test_lost_tap(void **state)
{
	NetGuest *g;

	(void)state;
	two_ports(0);
	ensure(&fx.config[0]);
	assert_false(attached(0x2a));
	g = guest_1();
	assert_true(attached(0x2a));
	assert_false(attached(0x2b));
	host_sh(NULL, "ip link set sft0000002a down nomaster");
	assert_true(attached(0x2a));
	assert_true(ensure(&fx.config[0]).repaired);
	assert_true(attached(0x2a));
	host_sh(NULL, "ip link del sft0000002a");
	assert_false(attached(0x2a)); /* before it is made again */
	assert_true(ensure(&fx.config[0]).repaired);
	assert_false(attached(0x2a));
	g = netguest_free(g);
	assert_false(attached(0x2a));
	g = guest_1();
	assert_true(attached(0x2a));
	/* One that is just ending has not lost anything. */
	g = netguest_free(g);
	assert_true(attached(0x2a));
	/* Asked for something new at the same time, it is a repair all the same. */
	host_sh(NULL, "ip link del sft0000002a");
	add_port(0, 0x2c, "web-3", "52:54:00:00:00:03", "10.20.0.12", NULL);
	assert_true(ensure(&fx.config[0]).repaired);
	assert_false(attached(0x2a));
	/* Another kind of link in its place is nobody's tap. */
	host_sh(NULL, "ip link del sft0000002a; ip link add sft0000002a type dummy");
	assert_false(attached(0x2a));
	host_sh(NULL, "ip link del sft0000002a");
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

/* Every shape that validation lets through is one that nft and dnsmasq take. */
static void test_shapes(void **state)
{
	static const struct {
		const char *prefix4, *gateway4, *prefix6, *gateway6;
		bool dhcp, dns;
		NetworkEgress egress;
		unsigned mtu;
	} shapes[] = {
		{"10.1.2.8/29",    "10.1.2.9",       NULL,             NULL,         true,  true,  EGRESS_NAT,    0   },
		{ "10.0.0.0/8",    "10.0.0.1",       NULL,             NULL,         true,  true,  EGRESS_NAT,    1280},
		{ "172.16.0.0/12", "172.31.255.254", "fd00::/64",      "fd00::1",    true,  true,
                 EGRESS_ROUTED,										   1400},
		{ NULL,            NULL,             "fd00:20::/64",   "fd00:20::1", true,  true,  EGRESS_NAT,    1450},
		{ NULL,            NULL,             "fd00:20::8/125", "fd00:20::9", true,  true,  EGRESS_NONE,   8950},
		{ "10.20.0.0/23",  "10.20.1.1",      "fd00:20::/80",   "fd00:20::1", false, true,
                 EGRESS_NAT,										      0   },
		{ "10.20.0.0/24",  "10.20.0.1",      "fd00:20::/64",   "fd00:20::1", true,  false,
                 EGRESS_NONE,										     0   },
		{ "10.20.0.0/24",  "10.20.0.1",      NULL,             NULL,         false, false, EGRESS_ROUTED, 0   },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		NetworkConfig *c = &fx.config[0];
		NetworkStatus s;

		configure(0, NET_A, 7);
		c->prefix4 = c->prefix6 = (IpPrefix){ 0 };
		c->gateway4 = c->gateway6 = (IpAddress){ 0 };
		if (shapes[i].prefix4) {
			assert_int_equal(ip_prefix_parse(shapes[i].prefix4, &c->prefix4, NULL), 0);
			ip_parse(shapes[i].gateway4, &c->gateway4, NULL);
		}
		if (shapes[i].prefix6) {
			assert_int_equal(ip_prefix_parse(shapes[i].prefix6, &c->prefix6, NULL), 0);
			ip_parse(shapes[i].gateway6, &c->gateway6, NULL);
		}
		c->dhcp = shapes[i].dhcp;
		c->dns = shapes[i].dns;
		c->egress = shapes[i].egress;
		c->mtu = shapes[i].mtu;
		print_message("%s %s\n", shapes[i].prefix4 ? shapes[i].prefix4 : "-",
			      shapes[i].prefix6 ? shapes[i].prefix6 : "-");
		s = ensure(c); /* each turns the one before into itself */
		assert_true(s.changes > 0);
		assert_false(s.repaired);
		assert_int_equal(!!s.dnsmasq_pid, c->dhcp || c->dns);
		assert_int_equal(s.mtu, shapes[i].mtu ? shapes[i].mtu : 1450);
		s = ensure(c);
		if (s.changes)
			fail_msg("not still: %s", s.message);
	}
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
		"{\"id\":1,\"op\":\"attached\",\"uid\":\"" NET_A "\",\"port\":0}",
		"{\"id\":1,\"op\":\"attached\",\"uid\":\"" NET_A "\",\"port\":4294967296}",
		"{\"id\":1,\"op\":\"attached\",\"uid\":\"../x\",\"port\":42}",
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

/* An idle role still says that it lives; SIGHUP makes it look again and ends nothing. */
static void test_reload(void **state)
{
	unsigned connects = counter(&fx.n_connects);
	NetworkStatus before;

	(void)state;
	before = ensure(&fx.config[0]);
	host_sh(NULL, "rm -f /run/sfd/alive /run/sfd/reloading");
	WAIT_FOR(fs_exists("/run/sfd/alive"));
	assert_false(fs_exists("/run/sfd/reloading"));
	kill(fx.role, SIGHUP);
	WAIT_FOR(fs_exists("/run/sfd/reloading"));
	assert_int_equal(ensure(&fx.config[0]).changes, 0);
	assert_int_equal(ensure(&fx.config[0]).dnsmasq_pid, before.dnsmasq_pid);
	assert_int_equal(counter(&fx.n_connects), connects);
	remove_net(&fx.config[0]);
}

static atomic_int spawned; /* the driver's thread has the NetSpawn */

static int spawn_role(void *arg, int *ret_fd, Error *err)
{
	NetSpawn *s = arg;
	int rc = net_spawn(s, ret_fd, err);

	atomic_store(&spawned, s->pid);
	return rc;
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
	assert_int_equal(network_client_new(&(NetClientOptions){ .connect = spawn_role,
								 .connect_arg = &spawn },
					    &fx.driver, &err),
			 0);
	fx.driver->ops->subscribe(fx.driver, on_event, &fx);
	assert_true(ensure(&fx.config[0]).ready);
	WAIT_FOR(counter(&fx.n_connects) > connects);
	first = atomic_load(&spawned);
	kill(first, SIGKILL);
	WAIT_FOR(counter(&fx.n_connects) > connects + 1);
	assert_int_equal(ensure(&fx.config[0]).changes, 0);
	assert_int_not_equal(atomic_load(&spawned), first);
	remove_net(&fx.config[0]);
	fx.driver->ops->free(fx.driver);
	net_spawn_done(&spawn);
	role_start();
	assert_int_equal(
		network_client_new(&(NetClientOptions){ .socket_path = SOCKET }, &fx.driver, &err),
		0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_repair, setup, teardown),
		cmocka_unit_test_setup_teardown(test_adoption, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_tap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shapes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_contract, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_client, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reload, setup, teardown),
		cmocka_unit_test_setup_teardown(test_socket_pair, setup, teardown),
	};

	return fixture_main(argc, argv, tests, ARRAY_SIZE(tests));
}
