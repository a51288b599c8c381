/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel events. See events.h.
 *
 * Our own changes come back as events too. They lead to a look that finds nothing, which costs half
 * a millisecond and tells nobody; only changes of nf_tables say who made them and are skipped.
 */
#include "driver/net/events.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netconf.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/netlink.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "driver/net/netns.h"

#define RECEIVE_BUFFER (4 * 1024 * 1024)
#define MESSAGE_MAX    65536

#ifndef NETLINK_LISTEN_ALL_NSID
#define NETLINK_LISTEN_ALL_NSID 8
#endif

static const int route_groups[] = {
	RTNLGRP_LINK,       RTNLGRP_NEIGH,      RTNLGRP_IPV4_IFADDR,  RTNLGRP_IPV6_IFADDR,
	RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF,
};
static const int nft_groups[] = { NFNLGRP_NFTABLES };

static int listen_on(int protocol, const int *groups, size_t n, Error *err)
{
	_cleanup_(fd_closep) int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	const struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	int on = 1, size = RECEIVE_BUFFER;

	if (fd < 0 || bind(fd, (const struct sockaddr *)&any, sizeof(any)) < 0)
		return error_set_errno(err, errno, "open netlink event socket");
	if (setsockopt(fd, SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, &on, sizeof(on)) < 0)
		return error_set_errno(err, errno, "listen to all namespaces");
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	for (size_t i = 0; i < n; i++)
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			       sizeof(groups[i])) < 0)
			return error_set_errno(err, errno, "join netlink group %d", groups[i]);
	return TAKE_FD(fd);
}

int events_open(Events *e, Error *err)
{
	*e = (Events){ .route = -1, .nft = -1, .names = -1 };
	e->route = listen_on(NETLINK_ROUTE, route_groups, ARRAY_SIZE(route_groups), err);
	if (e->route < 0)
		return e->route;
	e->nft = listen_on(NETLINK_NETFILTER, nft_groups, ARRAY_SIZE(nft_groups), err);
	if (e->nft < 0)
		return e->nft;
	e->names = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (e->names < 0 || inotify_add_watch(e->names, NETNS_DIR,
					      IN_DELETE | IN_CREATE | IN_MOVE | IN_UNMOUNT) < 0)
		return error_set_errno(err, errno, "watch " NETNS_DIR);
	return 0;
}

void events_close(Events *e)
{
	e->route = fd_close(e->route);
	e->nft = fd_close(e->nft);
	e->names = fd_close(e->names);
}

/* ---- whom a message concerns ---- */

static bool mark(Net *net)
{
	if (net)
		net->dirty = true;
	return net != NULL;
}

static bool mark_all(Networks *n)
{
	bool any = false;

	hashmap_foreach (it, n->nets)
		any |= mark(it.value);
	return any;
}

static bool mark_vni(Networks *n, uint32_t vni)
{
	return vni && mark(networks_by_vni(n, vni));
}

static bool mark_port(Networks *n, uint32_t id)
{
	bool any = false;

	hashmap_foreach (it, n->nets) {
		Net *net = it.value;

		for (size_t i = 0; i < net->config.n_ports; i++)
			if (net->ports[i].id == id)
				any = mark(net);
	}
	return any;
}

static bool mark_nsid(Networks *n, int nsid)
{
	bool any = false;

	hashmap_foreach (it, n->nets)
		if (((Net *)it.value)->nsid == nsid)
			any = mark(it.value);
	return any;
}

/* A link of the host that is ours, by index; false if it is none. */
static bool mark_index(Networks *n, unsigned index)
{
	hashmap_foreach (it, n->nets) {
		Net *net = it.value;

		if (net->bridge_index == index || net->transit_index == index)
			return mark(net);
	}
	return false;
}

static bool on_link(Events *e, Networks *n, const struct nlmsghdr *h)
{
	struct nlattr *tb[IFLA_MAX + 1];
	const struct ifinfomsg *m = nlmsg_data(h);
	const char *name;

	if (nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*m), tb, IFLA_MAX, NULL) < 0 ||
	    !tb[IFLA_IFNAME])
		return false;
	name = nla_get_string(tb[IFLA_IFNAME]);
	if (name_port(name)) {
		e->carriers++;
		return mark_port(n, name_port(name));
	}
	if (name_vni(name))
		return mark_vni(n, name_vni(name));
	/* Somebody else's link: its addresses and routes speak for themselves; joining a bridge of
	 * ours does not. */
	return tb[IFLA_MASTER] && mark_index(n, nla_get_u32(tb[IFLA_MASTER]));
}

static bool on_neighbour(Networks *n, const struct nlmsghdr *h)
{
	struct nlattr *tb[16];
	const struct ndmsg *m = nlmsg_data(h);

	if (m->ndm_family != AF_BRIDGE)
		return mark_index(n, (unsigned)m->ndm_ifindex);
	return nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*m), tb, 15, NULL) == 0 &&
	       tb[NDA_MASTER] && mark_index(n, nla_get_u32(tb[NDA_MASTER]));
}

static bool on_route(Networks *n, const struct nlmsghdr *h)
{
	const struct rtmsg *m = nlmsg_data(h);

	/* A default route makes a link an uplink. */
	return (m->rtm_protocol == ROUTE_PROTOCOL || m->rtm_dst_len == 0) && mark_all(n);
}

static bool on_host(Events *e, Networks *n, const struct nlmsghdr *h)
{
	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return on_link(e, n, h);
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		return on_neighbour(n, h);
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		return on_route(n, h);
	case RTM_NEWADDR:
	case RTM_DELADDR: /* guests may not reach any address of the host */
	case RTM_NEWNETCONF:
	case RTM_DELNETCONF:
		return mark_all(n);
	default:
		return false;
	}
}

static bool on_nft(Events *e, Networks *n, const struct nlmsghdr *h, int nsid)
{
	struct nlattr *tb[NFTA_GEN_MAX + 1];
	uint32_t pid;

	if (h->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN) ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(struct nfgenmsg), tb, NFTA_GEN_MAX,
			NULL) < 0)
		return false;
	pid = tb[NFTA_GEN_PROC_PID] ? ntohl(nla_get_u32(tb[NFTA_GEN_PROC_PID])) : 0;
	if (pid == (uint32_t)getpid())
		return false;
	snprintf(e->blame, sizeof(e->blame), "%.32s (pid %u)",
		 tb[NFTA_GEN_PROC_NAME] ? nla_get_string(tb[NFTA_GEN_PROC_NAME]) : "?", pid);
	if (nsid >= 0)
		return mark_nsid(n, nsid);
	e->host_changed = true;
	return mark_all(n);
}

/* ---- receiving ---- */

static int message_nsid(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		int nsid;

		if (c->cmsg_level != SOL_NETLINK || c->cmsg_type != NETLINK_LISTEN_ALL_NSID)
			continue;
		memcpy(&nsid, CMSG_DATA(c), sizeof(nsid));
		return nsid;
	}
	return -1;
}

static bool read_netlink(Events *e, int fd, Networks *n)
{
	_cleanup_(xfreep) char *buf = xmalloc(MESSAGE_MAX);
	char control[256];
	bool any = false;

	for (;;) {
		struct iovec io = { .iov_base = buf, .iov_len = MESSAGE_MAX };
		struct msghdr m = { .msg_iov = &io,
				    .msg_iovlen = 1,
				    .msg_control = control,
				    .msg_controllen = sizeof(control) };
		ssize_t len = recvmsg(fd, &m, 0);
		struct nlmsghdr *h = (struct nlmsghdr *)buf;
		int left = (int)len, nsid;

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0 && errno == ENOBUFS) { /* some were lost */
			e->host_changed = true;
			any |= mark_all(n);
			continue;
		}
		if (len < 0)
			return any;
		nsid = message_nsid(&m);
		for (; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
			if (fd == e->nft)
				any |= on_nft(e, n, h, nsid);
			else if (nsid >= 0)
				any |= mark_nsid(n, nsid);
			else
				any |= on_host(e, n, h);
		}
	}
}

static bool read_names(int fd, Networks *n)
{
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool any = false;
	ssize_t len;

	while ((len = read(fd, buf, sizeof(buf))) > 0) {
		const struct inotify_event *ev;

		for (char *at = buf; at < buf + len; at += sizeof(*ev) + ev->len) {
			ev = (const struct inotify_event *)at;
			if (ev->mask & IN_Q_OVERFLOW)
				any |= mark_all(n);
			else if (ev->len && str_has_prefix(ev->name, "sf-"))
				any |= mark_vni(n, name_vni(ev->name));
		}
	}
	return any;
}

bool events_read(Events *e, int fd, Networks *n)
{
	return fd == e->names ? read_names(fd, n) : read_netlink(e, fd, n);
}
