/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bridge, router namespace and the veths between them. See network.h.
 *
 * Order within a network: bridge (down), namespace with sysctls and rules, lan0, up0. Nothing is up
 * before its filter is in.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/memory.h"
#include "driver/net/netns.h"
#include "driver/net/network.h"
#include "driver/net/sysctl.h"

/* By what events will name us. */
static void note_indexes(Pass *p)
{
	const Link *bridge = links_find(&p->root, p->net->names.bridge);
	const Link *router = links_find(&p->root, p->net->names.router);
	const Link *transit = links_find(&p->root, p->net->names.transit);

	p->net->bridge_index = bridge ? bridge->index : 0;
	p->net->transit_index = transit ? transit->index : 0;
	if (router && router->peer_nsid >= 0)
		p->net->nsid = router->peer_nsid;
}

int pass_observe(Pass *p, Error *err)
{
	int rc;

	links_done(&p->root);
	links_done(&p->inside);
	rc = links_list(p->all->host.rt, &p->root, err);
	if (rc == 0 && p->net->rt)
		rc = links_list(p->net->rt, &p->inside, err);
	if (rc == 0)
		note_indexes(p);
	return rc;
}

/* -ERR_CONFLICT if a link with a name of ours carries another mark, or is up without any. */
static int check_mark(const Link *l, const char *alias, const char *kind, Error *err)
{
	if (streq(l->alias, alias) || (!l->alias[0] && !(l->flags & IFF_UP)) ||
	    (!l->alias[0] && l->group == LINK_GROUP && streq(l->kind, kind)))
		return 0;
	return error_set(err, ERR_CONFLICT, "link %s is not ours%s%s", l->name,
			 l->alias[0] ? ": its alias is " : "", l->alias);
}

static int converge_link(Netlink *nl, const Link *l, const LinkWant *want, Change *c, Error *err)
{
	const char *what = NULL;
	int rc;

	if (link_matches(l, want, &what) || !change_add(c, "set", l->name, what))
		return 0;
	rc = link_apply(nl, l->index, want, err);
	return error_wrap_rc(err, rc, "set %s of %s", what, l->name);
}

/* AF_SPEC cannot carry this one. */
static int disable_ipv6(const Link *l, Change *c, Error *err)
{
	char key[64];
	const SysctlWant want = { .key = key, .value = 1, .optional = true };

	if (l->disable_ipv6 == 1)
		return 0;
	snprintf(key, sizeof(key), "ipv6/conf/%s/disable_ipv6", l->name);
	return sysctl_converge(-1, &want, 1, "the host", c, err);
}

static unsigned device_mtu(const Net *net)
{
	return net->mtu + MTU_OVERHEAD;
}

/* Finds or makes a link of the host; *ret stays NULL if it is missing and we only look. */
static int want_bridge(Pass *p, const Link **ret, Error *err)
{
	const NetNames *n = &p->net->names;
	const Link *l = links_find(&p->root, n->bridge);
	int rc;

	if (l) {
		*ret = l;
		if (!streq(l->kind, "bridge"))
			return error_set(err, ERR_CONFLICT, "link %s is no bridge", l->name);
		return check_mark(l, p->net->alias_bridge, "bridge", err);
	}
	if (!change_add(p->c, "made", n->bridge, NULL))
		return 0;
	rc = link_create_bridge(p->all->host.rt, n->bridge, &BRIDGE_MAC, device_mtu(p->net), err);
	if (rc == 0)
		rc = pass_observe(p, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "make bridge %s", n->bridge);
	*ret = links_find(&p->root, n->bridge);
	return *ret ? 0 : error_set(err, ERR_UNAVAILABLE, "bridge %s has vanished", n->bridge);
}

static int pass_bridge(Pass *p, unsigned *ret_index, Error *err)
{
	const LinkWant want = { .alias = p->net->alias_bridge,
				.mtu = device_mtu(p->net),
				.arp_ignore8 = ON,
				.rp_filter = ON,
				.forwarding4 = OFF,

				.no_addr_gen = ON };
	const Link *l = NULL;
	int rc = want_bridge(p, &l, err);

	if (rc < 0 || !l)
		return rc;
	rc = converge_link(p->all->host.rt, l, &want, p->c, err);
	if (rc == 0)
		rc = disable_ipv6(l, p->c, err);
	*ret_index = l->index;
	return rc;
}

/* ---- namespace ---- */

int net_open_inside(Net *net, Error *err)
{
	int rc = 0;

	if (!net->rt)
		rc = netlink_open(net->netns_fd, NETLINK_ROUTE, &net->rt, err);
	if (rc == 0 && !net->nfnl)
		rc = netlink_open(net->netns_fd, NETLINK_NETFILTER, &net->nfnl, err);
	return rc;
}

void net_close_inside(Net *net)
{
	net->rt = netlink_free(net->rt);
	net->nfnl = netlink_free(net->nfnl);
	net->netns_fd = fd_close(net->netns_fd);
	net->table.verified = false;
}

/* The namespace that dnsmasq still lives in after its name was taken away. */
static int netns_of_dnsmasq(Net *net)
{
	char path[64];

	if (!dnsmasq_runs(&net->dnsmasq))
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)net->dnsmasq.pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int make_netns(Pass *p, Error *err)
{
	Net *net = p->net;
	int rc;

	if (!change_add(p->c, "made", net->names.netns, NULL))
		return 0;
	if (net->netns_fd < 0)
		net->netns_fd = netns_of_dnsmasq(net);
	if (net->netns_fd >= 0)
		return netns_bind(net->names.netns, net->netns_fd, err);
	rc = netns_create(net->names.netns, err);
	if (rc < 0)
		return rc;
	net->netns_fd = rc;
	return 0;
}

/* The name must lead to the namespace that we hold; one that we do not hold yet is adopted. */
static int pass_netns(Pass *p, Error *err)
{
	_cleanup_(error_done) Error e = ERROR_INIT;
	_cleanup_(fd_closep) int fd = netns_open(p->net->names.netns, &e);
	Net *net = p->net;
	int rc = 0;

	if (fd < 0 && fd != -ERR_NOT_FOUND) {
		fd = -1;
		return error_move(err, &e);
	}
	if (fd >= 0 && net->netns_fd < 0)
		net->netns_fd = TAKE_FD(fd);
	else if (fd < 0 || netns_inode(fd) != netns_inode(net->netns_fd))
		rc = make_netns(p, err);
	fd = fd < 0 ? -1 : fd;
	if (rc == 0 && net->netns_fd >= 0)
		rc = net_open_inside(net, err);
	if (rc == 0 && net->rt && !p->inside.n)
		rc = links_list(net->rt, &p->inside, err);
	return error_wrap_rc(err, rc, "namespace %s", net->names.netns);
}

static int pass_netns_mark(Pass *p, Error *err)
{
	const LinkWant want = { .alias = p->net->alias_router };
	const Link *lo = links_find(&p->inside, "lo");
	int rc;

	if (!lo)
		return 0;
	if (lo->alias[0] && !streq(lo->alias, p->net->alias_router))
		return error_set(err, ERR_CONFLICT, "namespace %s is not ours: its mark is %s",
				 p->net->names.netns, lo->alias);
	rc = converge_link(p->net->rt, lo, &want, p->c, err);
	if (rc == 0 && !(lo->flags & IFF_UP) && change_add(p->c, "set up", "lo in router", NULL))
		rc = link_up(p->net->rt, lo->index, true, err);
	return rc;
}

/* A new namespace copies IPv4 settings from the first one and resets IPv6: all are written. */
static int pass_router_sysctls(Pass *p, Error *err)
{
	static const SysctlWant want[] = {
		{"ipv6/conf/all/accept_ra",             0, true },
		{ "ipv6/conf/default/accept_ra",        0, true },
		{ "ipv6/conf/all/accept_dad",           0, true },
		{ "ipv6/conf/default/accept_dad",       0, true },
		{ "ipv6/conf/all/accept_redirects",     0, true },
		{ "ipv6/conf/default/accept_redirects", 0, true },
		{ "ipv6/conf/default/addr_gen_mode",    1, true },
		{ "ipv6/conf/all/keep_addr_on_down",    1, true },
		{ "ipv4/conf/all/rp_filter",            1, false},
		{ "ipv4/conf/default/rp_filter",        1, false},
		{ "ipv4/conf/all/accept_redirects",     0, false},
		{ "ipv4/conf/default/accept_redirects", 0, false},
		{ "ipv4/conf/all/send_redirects",       0, false},
		{ "ipv4/conf/default/send_redirects",   0, false},
		{ "ipv4/conf/all/arp_ignore",           1, false},
		{ "ipv4/conf/all/arp_announce",         2, false},
	};

	return sysctl_converge(p->net->netns_fd, want, ARRAY_SIZE(want), p->net->names.netns, p->c,
			       err);
}

static int pass_router_table(Pass *p, Error *err)
{
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT;
	char revision[REVISION_MAX];

	nft_router_render(&p->net->config, &p->all->host.addresses, &text, revision);
	return nft_table_converge(&p->net->table, p->net->netns_fd, p->net->nfnl, strbuf_str(&text),
				  revision, p->net->names.netns, NULL, p->c, err);
}

/* ---- veths ---- */

typedef struct VethWant {
	const char *name, *peer; /* outside, inside */
	const MacAddress *mac, *peer_mac;
	unsigned mtu, master;
	LinkWant outside, inside;
} VethWant;

/* A veth of which one end is missing or ends elsewhere is made again as a whole. */
static int want_veth(Pass *p, const VethWant *v, const Link **ret, Error *err)
{
	const Link *out = links_find(&p->root, v->name), *in = links_find(&p->inside, v->peer);
	unsigned old[2];
	size_t n = 0;
	int rc = 0;

	if (out) {
		rc = check_mark(out, v->outside.alias, "veth", err);
		if (rc < 0)
			return rc;
		if (in && out->peer == in->index && out->peer_nsid >= 0) {
			*ret = out;
			return 0;
		}
	}
	if (!change_add(p->c, "made", v->name, NULL))
		return 0;
	if (out)
		old[n++] = out->index;
	rc = links_delete(p->all->host.rt, old, n, err);
	if (rc == 0 && in && (!out || out->peer != in->index))
		rc = links_delete(p->net->rt, &in->index, 1, err);
	if (rc == 0)
		rc = link_create_veth(p->all->host.rt, v->name, v->mac, v->mtu, v->master,
				      p->net->netns_fd, v->peer, v->peer_mac, err);
	if (rc == 0)
		rc = pass_observe(p, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "make veth %s", v->name);
	*ret = links_find(&p->root, v->name);
	return *ret ? 0 : error_set(err, ERR_UNAVAILABLE, "link %s has vanished", v->name);
}

static int pass_veth(Pass *p, const VethWant *v, bool no_ipv6, Error *err)
{
	const Link *out = NULL, *in;
	int rc = want_veth(p, v, &out, err);

	if (rc < 0 || !out)
		return rc;
	rc = converge_link(p->all->host.rt, out, &v->outside, p->c, err);
	if (rc == 0 && no_ipv6)
		rc = disable_ipv6(out, p->c, err);
	in = links_find(&p->inside, v->peer);
	if (rc == 0 && in)
		rc = converge_link(p->net->rt, in, &v->inside, p->c, err);
	return rc;
}

static int pass_lan(Pass *p, unsigned bridge, Error *err)
{
	const VethWant v = {
		.name = p->net->names.router,
		.peer = LAN_NAME,
		.peer_mac = &p->net->names.gateway_mac,
		.mtu = device_mtu(p->net),
		.master = bridge,
		.outside = {.alias = p->net->alias_router,
                            .master = bridge,
                            .mtu = device_mtu(p->net),
                            .arp_ignore8 = ON,
                            .rp_filter = ON,
                            .no_addr_gen = ON,
                            .learning = OFF,
                            .flood = OFF,
                            .isolated = ON },
		.inside = { .alias = p->net->alias_router,
			    .mtu = device_mtu(p->net),
			    .mac = &p->net->names.gateway_mac,
			    .no_addr_gen = ON   },
	};

	return pass_veth(p, &v, true, err);
}

static int pass_transit(Pass *p, Error *err)
{
	const VethWant v = {
		.name = p->net->names.transit,
		.peer = UP_NAME,
		.mac = &TRANSIT_HOST_MAC,
		.peer_mac = &TRANSIT_ROUTER_MAC,
		.mtu = p->net->mtu,
		.outside = {.alias = p->net->alias_router,
                            .mtu = p->net->mtu,
                            .mac = &TRANSIT_HOST_MAC,
                            .no_addr_gen = ON,
                            .forwarding4 = ON },
		.inside = { .alias = p->net->alias_router,
			    .mtu = p->net->mtu,
			    .mac = &TRANSIT_ROUTER_MAC,
			    .no_addr_gen = ON},
	};
	const Link *l = links_find(&p->root, v.name);

	if (p->net->config.egress != EGRESS_NONE)
		return pass_veth(p, &v, false, err);
	if (!l || !change_add(p->c, "removed", v.name, NULL))
		return 0;
	return links_delete(p->all->host.rt, &l->index, 1, err);
}

/* A link that somebody else put into our bridge is reported, not touched. */
static void find_foreign(Pass *p, unsigned bridge)
{
	p->net->foreign[0] = '\0';
	for (size_t i = 0; i < p->root.n; i++) {
		const Link *l = &p->root.links[i];

		if (l->master == bridge && !streq(l->name, p->net->names.router) &&
		    !pass_is_port(p->net, l) && !name_port(l->name))
			memcpy(p->net->foreign, l->name, sizeof(p->net->foreign));
	}
}

int pass_links(Pass *p, Error *err)
{
	unsigned bridge = 0;
	int rc = pass_bridge(p, &bridge, err);

	if (rc == 0)
		rc = pass_netns(p, err);
	if (rc < 0 || !p->net->rt)
		return rc;
	rc = pass_netns_mark(p, err);
	if (rc == 0)
		rc = pass_router_sysctls(p, err);
	if (rc == 0)
		rc = pass_router_table(p, err);
	if (rc < 0 || !bridge)
		return rc;
	rc = pass_lan(p, bridge, err);
	if (rc == 0)
		rc = pass_transit(p, err);
	if (rc == 0 && !p->c->look)
		rc = pass_observe(p, err);
	if (rc == 0)
		find_foreign(p, bridge);
	return rc;
}
