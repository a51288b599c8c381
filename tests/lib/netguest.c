/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests made of namespaces. See netguest.h.
 */
#include "netguest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "base/context.h"
#include "base/memory.h"
#include "base/spawn.h"

#define FRAME_MAX 70000
#define VNET_LEN  10

struct NetGuest {
	char name[32];
	int outer, inner, wake; /* the network's tap; the guest's eth0; the end */
	pthread_t thread;
};

static int tun_open(const char *name)
{
	struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	assert(fd >= 0);
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &r) < 0) {
		fprintf(stderr, "attach to %s: %s\n", name, strerror(errno));
		abort();
	}
	return fd;
}

static void *carry(void *arg)
{
	NetGuest *g = arg;
	char *frame = xmalloc(FRAME_MAX);

	for (;;) {
		struct pollfd p[] = {
			{.fd = g->outer,  .events = POLLIN},
			{ .fd = g->inner, .events = POLLIN},
			{ .fd = g->wake,  .events = POLLIN}
		};
		ssize_t n;

		poll(p, 3, -1);
		if (p[2].revents)
			break;
		while ((n = read(g->outer, frame, FRAME_MAX)) > 0)
			(void)!write(g->inner, frame, (size_t)n);
		while ((n = read(g->inner, frame, FRAME_MAX)) > 0)
			(void)!write(g->outer, frame, (size_t)n);
		if (p[0].revents & POLLERR) /* the tap was deleted under us */
			break;
	}
	free(frame);
	return NULL;
}

static int sh(const char *name, StrBuf *out, const char *command)
{
	const char *argv[] = {
		"/usr/bin/ip", "netns", "exec", name, "/bin/sh", "-c", command, NULL
	};
	_cleanup_(strbuf_done) StrBuf errout = STRBUF_INIT;
	_cleanup_(error_done) Error err = ERROR_INIT;
	Context background = CONTEXT_BACKGROUND;
	Context ctx = context_with_timeout(&background, 60 * USEC_PER_SEC);
	int rc = spawn_run(&ctx, name ? argv : argv + 4, out, &errout, &err), code = 1;
	const char *at;

	if (rc == 0)
		return 0;
	at = strstr(error_message(&err), "exit ");
	if (at)
		code = (int)strtol(at + 5, NULL, 10);
	if (getenv("TEST_VERBOSE"))
		fprintf(stderr, "%s: %s: %s\n", name ? name : "host", command, error_message(&err));
	return code;
}

int netguest_sh(NetGuest *g, StrBuf *out, const char *fmt, ...)
{
	_cleanup_(xfreep) char *command = NULL;
	va_list ap;

	va_start(ap, fmt);
	command = xvasprintf(fmt, ap);
	va_end(ap);
	return sh(g->name, out, command);
}

int host_sh(StrBuf *out, const char *fmt, ...)
{
	_cleanup_(xfreep) char *command = NULL;
	va_list ap;

	va_start(ap, fmt);
	command = xvasprintf(fmt, ap);
	va_end(ap);
	return sh(NULL, out, command);
}

static void enter(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert(fd >= 0);
	if (setns(fd, CLONE_NEWNET) < 0)
		abort();
	fd_close(fd);
}

NetGuest *netguest_new(const char *name, uint32_t port_id, const char *mac)
{
	NetGuest *g = xnew0(NetGuest, 1);
	int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	char tap[16];

	snprintf(g->name, sizeof(g->name), "%s", name);
	network_tap_name(port_id, tap);
	assert(host_sh(NULL, "ip netns add %s", name) == 0);
	g->outer = tun_open(tap);
	enter(name);
	g->inner = tun_open("eth0");
	if (setns(home, CLONE_NEWNET) < 0)
		abort();
	fd_close(home);
	g->wake = eventfd(0, EFD_CLOEXEC);
	assert(pthread_create(&g->thread, NULL, carry, g) == 0);
	assert(netguest_sh(g, NULL,
			   "sysctl -qw net.ipv6.conf.eth0.accept_dad=0;"
			   "ip link set lo up; ip link set eth0 address %s mtu 1450 up",
			   mac) == 0);
	return g;
}

NetGuest *netguest_free(NetGuest *g)
{
	uint64_t one = 1;

	if (!g)
		return NULL;
	(void)!write(g->wake, &one, sizeof(one));
	pthread_join(g->thread, NULL);
	fd_close(g->wake);
	fd_close(g->inner);
	fd_close(g->outer);
	host_sh(NULL, "ip netns del %s", g->name);
	free(g);
	return NULL;
}

void netguest_send(NetGuest *g, const char *hex)
{
	unsigned char frame[2048] = { 0 };
	size_t n = VNET_LEN;
	unsigned v;
	int used;

	while (n < sizeof(frame) && sscanf(hex, " %2x%n", &v, &used) == 1) {
		frame[n++] = (unsigned char)v;
		hex += used;
	}
	if (n < VNET_LEN + 60)
		n = VNET_LEN + 60;
	assert(write(g->outer, frame, n) == (ssize_t)n);
}
