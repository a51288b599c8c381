/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the net role share: the role as a process of its own (the test program again,
 * so that it can be killed), the driver connected to it, two networks to ask for, and after each
 * test the proof that nothing is left. Included once per test program.
 */
#pragma once

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
#define DEADLINE  (60 * USEC_PER_SEC)

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

static _unused_ void on_event(void *arg, const char *uid, const char *what)
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

static _unused_ unsigned counter(const unsigned *c)
{
	unsigned v;

	pthread_mutex_lock(&fx.lock);
	v = *c;
	pthread_mutex_unlock(&fx.lock);
	return v;
}

static _unused_ void tick(void)
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

static _unused_ void role_start(void)
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

static _unused_ void role_end(int signo)
{
	int status;

	kill(fx.role, signo);
	waitpid(fx.role, &status, 0);
	fx.role_fd = fd_close(fx.role_fd);
}

static _unused_ Context timeout_context(void)
{
	static Context background;

	background = CONTEXT_BACKGROUND;
	return context_with_timeout(&background, 20 * USEC_PER_SEC);
}

static _unused_ NetworkStatus ensure(const NetworkConfig *c)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Context ctx = timeout_context();
	NetworkStatus s = { 0 };

	if (fx.driver->ops->ensure(fx.driver, &ctx, c, &s, &err) < 0)
		fail_msg("ensure: %s", error_message(&err));
	assert_true(s.ready);
	return s;
}

static _unused_ void remove_net(const NetworkConfig *c)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Context ctx = timeout_context();

	if (fx.driver->ops->remove(fx.driver, &ctx, c->uid, c->vni, &err) < 0)
		fail_msg("remove: %s", error_message(&err));
}

static _unused_ bool seen(const NetworkConfig *c, const char *address)
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

static _unused_ void add_port(int net, uint32_t id, const char *name, const char *mac,
			      const char *a4, const char *a6)
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

static _unused_ void configure(int net, const char *uid, uint32_t vni)
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

static _unused_ int setup(void **state)
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
static _unused_ int teardown(void **state)
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

static _unused_ NetGuest *guest_1(void)
{
	return netguest_new("g1", 0x2a, MAC_1);
}

static _unused_ void two_ports(int net)
{
	add_port(net, net ? 0x3a : 0x2a, "web-1", MAC_1, "10.20.0.10", "fd00:20::10");
	add_port(net, net ? 0x3b : 0x2b, "web-2", MAC_2, "10.20.0.11", "fd00:20::11");
}

static _unused_ void give_addresses(NetGuest *g, const char *last)
{
	assert_int_equal(netguest_sh(g, NULL,
				     "ip addr add 10.20.0.%s/24 dev eth0;"
				     "ip addr add fd00:20::%s/64 dev eth0 nodad;"
				     "ip route replace default via 10.20.0.1;"
				     "ip -6 route replace default via fe80::1 dev eth0",
				     last, last),
			 0);
}

static _unused_ int ping(NetGuest *g, const char *to)
{
	return netguest_sh(g, NULL, "ping -q -n -c 1 -W 1 %s >/dev/null", to);
}

/* Until it answers: the first packets of a new network may meet a bridge port not yet forwarding.
 */
static _unused_ void wait_ping(NetGuest *g, const char *to)
{
	WAIT_FOR(ping(g, to) == 0);
}

/* What the role tells its caller comes as files. */
static void told(const char *what)
{
	_cleanup_(xfreep) char *path = xasprintf("/run/sfd/%s", what);

	fd_close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static void on_role_reloading(void *arg _unused_)
{
	told("reloading");
}

static void on_role_alive(void *arg _unused_)
{
	told("alive");
}

static int role(int connection_fd)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	NetRoleOptions o = { .state_dir = STATE_DIR,
			     .reloading = on_role_reloading,
			     .alive = on_role_alive,
			     .alive_every = 50 * USEC_PER_MSEC };

	if (connection_fd)
		o.connection_fd = connection_fd;
	else
		o.socket_path = SOCKET;

	if (net_role_main(&o, &err) == 0)
		return 0;
	fprintf(stderr, "role: %s\n", error_message(&err));
	return 1;
}

static int fixture_main(int argc, char **argv, const struct CMUnitTest *tests, size_t n)
{
	if (argc > 1 && streq(argv[1], "role"))
		return role(0);
	/* The options of sfd. */
	if (argc > 3 && streq(argv[1], "--role=net"))
		return role((int)strtol(argv[3], NULL, 10));
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return _cmocka_run_group_tests("driver_net", tests, n, NULL, NULL);
}
