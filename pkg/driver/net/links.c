/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links over rtnetlink. See links.h. Formats: linux/if_link.h, linux/if_bridge.h, linux/if_tun.h.
 */
#include "driver/net/links.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/veth.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "base/memory.h"

#define ADDR_GEN_MODE_NONE 1 /* IN6_ADDR_GEN_MODE_NONE */

static void copy_string(char *to, size_t size, struct nlattr *a)
{
	if (a)
		snprintf(to, size, "%.*s", (int)nla_len(a), (const char *)nla_data(a));
}

static uint32_t conf_at(struct nlattr *a, unsigned index)
{
	const uint32_t *v = nla_data(a);

	return (unsigned)nla_len(a) >= (index + 1) * sizeof(*v) ? v[index] : 0;
}

static void parse_af_spec(Link *l, struct nlattr *spec)
{
	struct nlattr *a, *af;
	int rem, rem_af;

	nla_for_each_nested(af, spec, rem_af)
	{
		nla_for_each_nested(a, af, rem)
		{
			if (nla_type(af) == AF_INET && nla_type(a) == IFLA_INET_CONF) {
				l->arp_ignore = (int)conf_at(a, IPV4_DEVCONF_ARP_IGNORE - 1);
				l->rp_filter = (int)conf_at(a, IPV4_DEVCONF_RP_FILTER - 1);
				l->forwarding4 = (int)conf_at(a, IPV4_DEVCONF_FORWARDING - 1);
			} else if (nla_type(af) == AF_INET6 && nla_type(a) == IFLA_INET6_CONF) {
				l->disable_ipv6 = (int)conf_at(a, DEVCONF_DISABLE_IPV6);
				l->forwarding6 = (int)conf_at(a, DEVCONF_FORWARDING);
				l->accept_ra = (int)conf_at(a, DEVCONF_ACCEPT_RA);
			} else if (nla_type(af) == AF_INET6 &&
				   nla_type(a) == IFLA_INET6_ADDR_GEN_MODE) {
				l->addr_gen_mode = nla_get_u8(a);
			}
		}
	}
}

static void parse_port(Link *l, struct nlattr *data)
{
	struct nlattr *a;
	int rem;

	nla_for_each_nested(a, data, rem)
	{
		switch (nla_type(a)) {
		case IFLA_BRPORT_LEARNING:
			l->learning = nla_get_u8(a);
			break;
		case IFLA_BRPORT_UNICAST_FLOOD:
			l->flood = nla_get_u8(a);
			break;
		case IFLA_BRPORT_ISOLATED:
			l->isolated = nla_get_u8(a);
			break;
		case IFLA_BRPORT_LOCKED:
			l->locked = nla_get_u8(a);
			break;
		}
	}
}

static void parse_info_data(Link *l, struct nlattr *data)
{
	struct nlattr *a;
	int rem;

	nla_for_each_nested(a, data, rem)
	{
		if (streq(l->kind, "bridge") && nla_type(a) == IFLA_BR_STP_STATE)
			l->stp = nla_get_u32(a) != 0;
		else if (streq(l->kind, "bridge") && nla_type(a) == IFLA_BR_MCAST_SNOOPING)
			l->mcast_snooping = nla_get_u8(a);
		else if (streq(l->kind, "tun") && nla_type(a) == IFLA_TUN_VNET_HDR)
			l->vnet_hdr = nla_get_u8(a);
		else if (streq(l->kind, "tun") && nla_type(a) == IFLA_TUN_MULTI_QUEUE)
			l->multi_queue = nla_get_u8(a);
		else if (streq(l->kind, "tun") && nla_type(a) == IFLA_TUN_PERSIST)
			l->persistent = nla_get_u8(a);
	}
}

static void parse_linkinfo(Link *l, struct nlattr *info)
{
	struct nlattr *tb[IFLA_INFO_SLAVE_DATA + 1];

	if (nla_parse_nested(tb, IFLA_INFO_SLAVE_DATA, info, NULL) < 0)
		return;
	copy_string(l->kind, sizeof(l->kind), tb[IFLA_INFO_KIND]);
	copy_string(l->slave_kind, sizeof(l->slave_kind), tb[IFLA_INFO_SLAVE_KIND]);
	if (tb[IFLA_INFO_DATA])
		parse_info_data(l, tb[IFLA_INFO_DATA]);
	if (tb[IFLA_INFO_SLAVE_DATA] && streq(l->slave_kind, "bridge"))
		parse_port(l, tb[IFLA_INFO_SLAVE_DATA]);
}

static void links_add(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[IFLA_MAX + 1];
	struct ifinfomsg *info = nlmsg_data(h);
	Links *ls = arg;
	Link *l;

	if (h->nlmsg_type != RTM_NEWLINK ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*info), tb, IFLA_MAX, NULL) < 0 ||
	    !tb[IFLA_IFNAME])
		return;
	GROW_ARRAY(ls->links, ls->n, ls->cap);
	l = &ls->links[ls->n++];
	*l = (Link){ .index = (unsigned)info->ifi_index,
		     .flags = info->ifi_flags,
		     .peer_nsid = -1 };
	copy_string(l->name, sizeof(l->name), tb[IFLA_IFNAME]);
	copy_string(l->alias, sizeof(l->alias), tb[IFLA_IFALIAS]);
	l->mtu = tb[IFLA_MTU] ? nla_get_u32(tb[IFLA_MTU]) : 0;
	l->master = tb[IFLA_MASTER] ? nla_get_u32(tb[IFLA_MASTER]) : 0;
	l->group = tb[IFLA_GROUP] ? nla_get_u32(tb[IFLA_GROUP]) : 0;
	l->peer = tb[IFLA_LINK] ? nla_get_u32(tb[IFLA_LINK]) : 0;
	if (tb[IFLA_LINK_NETNSID])
		l->peer_nsid = nla_get_s32(tb[IFLA_LINK_NETNSID]);
	if (tb[IFLA_ADDRESS] && nla_len(tb[IFLA_ADDRESS]) == sizeof(l->mac))
		memcpy(&l->mac, nla_data(tb[IFLA_ADDRESS]), sizeof(l->mac));
	if (tb[IFLA_AF_SPEC])
		parse_af_spec(l, tb[IFLA_AF_SPEC]);
	if (tb[IFLA_LINKINFO])
		parse_linkinfo(l, tb[IFLA_LINKINFO]);
}

static int link_compare(const void *a, const void *b)
{
	return strcmp(((const Link *)a)->name, ((const Link *)b)->name);
}

int links_list(Netlink *nl, Links *ret, Error *err)
{
	const struct ifinfomsg info = { 0 };
	_cleanup_(netlink_message_freep) NetlinkMessage *m =
		netlink_message_new(RTM_GETLINK, 0, &info, sizeof(info));
	Links ls = { 0 };
	int rc;

	netlink_put_u32(m, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	rc = netlink_dump(nl, m, links_add, &ls, err);
	if (rc < 0) {
		links_done(&ls);
		return error_wrap_rc(err, rc, "list links");
	}
	if (ls.n)
		qsort(ls.links, ls.n, sizeof(*ls.links), link_compare);
	*ret = ls;
	return 0;
}

void links_done(Links *l)
{
	free(l->links);
	*l = (Links){ 0 };
}

const Link *links_find(const Links *l, const char *name)
{
	Link key;

	if (!l->n)
		return NULL;
	snprintf(key.name, sizeof(key.name), "%s", name);
	return bsearch(&key, l->links, l->n, sizeof(*l->links), link_compare);
}

const Link *links_by_index(const Links *l, unsigned index)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->links[i].index == index)
			return &l->links[i];
	return NULL;
}

static bool differs(Tristate want, int is)
{
	return want != UNSET && (want == ON) != (is != 0);
}

bool link_matches(const Link *l, const LinkWant *want, const char **ret_what)
{
	const char *what = NULL;

	if (want->alias && !streq(l->alias, want->alias))
		what = "alias";
	else if (l->group != LINK_GROUP)
		what = "group";
	else if (want->mtu && l->mtu != want->mtu)
		what = "mtu";
	else if (want->master && l->master != want->master)
		what = "master";
	else if (want->mac && !mac_equal(&l->mac, want->mac))
		what = "address";
	else if (differs(want->rp_filter, l->rp_filter))
		what = "rp_filter";
	else if (want->arp_ignore8 == ON && l->arp_ignore != 8)
		what = "arp_ignore";
	else if (differs(want->forwarding4, l->forwarding4))
		what = "forwarding";
	else if (want->no_addr_gen == ON && l->addr_gen_mode != ADDR_GEN_MODE_NONE)
		what = "addrgenmode";
	else if (differs(want->learning, l->learning))
		what = "learning";
	else if (differs(want->flood, l->flood))
		what = "flood";
	else if (differs(want->isolated, l->isolated))
		what = "isolated";
	else if (differs(want->locked, l->locked))
		what = "locked";
	if (what && ret_what)
		*ret_what = what;
	return !what;
}

static NetlinkMessage *link_message(int type, int flags, unsigned index, unsigned ifi_flags,
				    unsigned change)
{
	const struct ifinfomsg info = { .ifi_index = (int)index,
					.ifi_flags = ifi_flags,
					.ifi_change = change };

	return netlink_message_new(type, flags, &info, sizeof(info));
}

static void put_mac(NetlinkMessage *m, const MacAddress *mac)
{
	netlink_put(m, IFLA_ADDRESS, mac->bytes, sizeof(mac->bytes));
}

static void put_af_spec(NetlinkMessage *m, const LinkWant *w)
{
	struct nlattr *spec = nla_nest_start(m, IFLA_AF_SPEC), *af, *conf;

	if (w->arp_ignore8 == ON || w->rp_filter != UNSET || w->forwarding4 != UNSET) {
		af = nla_nest_start(m, AF_INET);
		conf = nla_nest_start(m, IFLA_INET_CONF);
		if (w->arp_ignore8 == ON)
			netlink_put_u32(m, IPV4_DEVCONF_ARP_IGNORE, 8);
		if (w->rp_filter != UNSET)
			netlink_put_u32(m, IPV4_DEVCONF_RP_FILTER, w->rp_filter == ON);
		if (w->forwarding4 != UNSET)
			netlink_put_u32(m, IPV4_DEVCONF_FORWARDING, w->forwarding4 == ON);
		nla_nest_end(m, conf);
		nla_nest_end(m, af);
	}
	if (w->no_addr_gen == ON) {
		af = nla_nest_start(m, AF_INET6);
		netlink_put_u8(m, IFLA_INET6_ADDR_GEN_MODE, ADDR_GEN_MODE_NONE);
		nla_nest_end(m, af);
	}
	nla_nest_end(m, spec);
}

static void put_port_flags(NetlinkMessage *m, const LinkWant *w)
{
	const struct {
		int type;
		Tristate value;
	} flags[] = {
		{IFLA_BRPORT_LEARNING,       w->learning},
		{ IFLA_BRPORT_UNICAST_FLOOD, w->flood   },
		{ IFLA_BRPORT_ISOLATED,      w->isolated},
		{ IFLA_BRPORT_LOCKED,        w->locked  }
	};
	struct nlattr *info = nla_nest_start(m, IFLA_LINKINFO), *data;

	netlink_put_string(m, IFLA_INFO_SLAVE_KIND, "bridge");
	data = nla_nest_start(m, IFLA_INFO_SLAVE_DATA);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (flags[i].value != UNSET)
			netlink_put_u8(m, flags[i].type, flags[i].value == ON);
	nla_nest_end(m, data);
	nla_nest_end(m, info);
}

static int link_set(Netlink *nl, unsigned index, const LinkWant *w, bool master, Error *err)
{
	_cleanup_(netlink_message_freep) NetlinkMessage *m =
		link_message(RTM_NEWLINK, 0, index, 0, 0);

	if (master) {
		/* Joining a bridge resets the port flags, so it is a message of its own, before
		 * them. */
		netlink_put_u32(m, IFLA_MASTER, w->master);
		if (w->mtu)
			netlink_put_u32(m, IFLA_MTU, w->mtu);
	} else {
		if (w->alias)
			netlink_put_string(m, IFLA_IFALIAS, w->alias);
		netlink_put_u32(m, IFLA_GROUP, LINK_GROUP);
		if (w->mtu)
			netlink_put_u32(m, IFLA_MTU, w->mtu);
		if (w->mac)
			put_mac(m, w->mac);
		put_af_spec(m, w);
		if (w->learning != UNSET || w->isolated != UNSET || w->locked != UNSET)
			put_port_flags(m, w);
	}
	return netlink_talk(nl, m, err);
}

int link_apply(Netlink *nl, unsigned index, const LinkWant *want, Error *err)
{
	int rc = 0;

	if (want->master)
		rc = link_set(nl, index, want, true, err);
	if (rc == 0)
		rc = link_set(nl, index, want, false, err);
	return rc;
}

int link_up(Netlink *nl, unsigned index, bool up, Error *err)
{
	_cleanup_(netlink_message_freep) NetlinkMessage *m =
		link_message(RTM_NEWLINK, 0, index, up ? IFF_UP : 0, IFF_UP);

	return netlink_talk(nl, m, err);
}

int link_create_bridge(Netlink *nl, const char *name, const MacAddress *mac, unsigned mtu,
		       Error *err)
{
	_cleanup_(netlink_message_freep) NetlinkMessage *m =
		link_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0);
	struct nlattr *info, *data;

	netlink_put_string(m, IFLA_IFNAME, name);
	netlink_put_u32(m, IFLA_GROUP, LINK_GROUP);
	netlink_put_u32(m, IFLA_MTU, mtu);
	put_mac(m, mac);
	info = nla_nest_start(m, IFLA_LINKINFO);
	netlink_put_string(m, IFLA_INFO_KIND, "bridge");
	data = nla_nest_start(m, IFLA_INFO_DATA);
	netlink_put_u32(m, IFLA_BR_STP_STATE, 0);
	netlink_put_u32(m, IFLA_BR_FORWARD_DELAY, 0);
	netlink_put_u8(m, IFLA_BR_MCAST_SNOOPING, 0);
	nla_nest_end(m, data);
	nla_nest_end(m, info);
	return netlink_talk(nl, m, err);
}

int link_create_veth(Netlink *nl, const char *name, const MacAddress *mac, unsigned mtu,
		     unsigned master, int netns_fd, const char *peer, const MacAddress *peer_mac,
		     Error *err)
{
	_cleanup_(netlink_message_freep) NetlinkMessage *m =
		link_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0);
	const struct ifinfomsg none = { 0 };
	struct nlattr *info, *data, *other;

	netlink_put_string(m, IFLA_IFNAME, name);
	netlink_put_u32(m, IFLA_GROUP, LINK_GROUP);
	netlink_put_u32(m, IFLA_MTU, mtu);
	if (mac)
		put_mac(m, mac);
	if (master)
		netlink_put_u32(m, IFLA_MASTER, master);
	info = nla_nest_start(m, IFLA_LINKINFO);
	netlink_put_string(m, IFLA_INFO_KIND, "veth");
	data = nla_nest_start(m, IFLA_INFO_DATA);
	other = nla_nest_start(m, VETH_INFO_PEER);
	assert(nlmsg_append(m, (void *)(uintptr_t)&none, sizeof(none), NLMSG_ALIGNTO) == 0);
	netlink_put_string(m, IFLA_IFNAME, peer);
	netlink_put_u32(m, IFLA_MTU, mtu);
	put_mac(m, peer_mac);
	netlink_put_u32(m, IFLA_NET_NS_FD, (uint32_t)netns_fd);
	nla_nest_end(m, other);
	nla_nest_end(m, data);
	nla_nest_end(m, info);
	return netlink_talk(nl, m, err);
}

int link_create_tap(const char *name, bool multi_queue, Error *err)
{
	_cleanup_(fd_closep) int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	struct ifreq r = { 0 };

	if (fd < 0)
		return error_set_errno(err, errno, "open /dev/net/tun");
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	r.ifr_flags =
		(short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (multi_queue ? IFF_MULTI_QUEUE : 0));
	if (ioctl(fd, TUNSETIFF, &r) < 0)
		return error_set_errno(err, errno, "create tap %s", name);
	if (ioctl(fd, TUNSETPERSIST, 1) < 0)
		return error_set_errno(err, errno, "keep tap %s", name);
	return 0;
}

static void index_from(void *arg, const struct nlmsghdr *h)
{
	if (h->nlmsg_type == RTM_NEWLINK)
		*(unsigned *)arg = (unsigned)((struct ifinfomsg *)nlmsg_data(h))->ifi_index;
}

int link_index(Netlink *nl, const char *name, unsigned *ret, Error *err)
{
	_cleanup_(netlink_message_freep) NetlinkMessage *m = link_message(RTM_GETLINK, 0, 0, 0, 0);

	netlink_put_string(m, IFLA_IFNAME, name);
	return netlink_get(nl, m, index_from, ret, err);
}

static bool is_gone(const Error *err)
{
	return err->os_errno == ENODEV || err->os_errno == ENXIO;
}

/* Made by us and closed again, a tap has no carrier until somebody opens it; the kernel counts how
 * often that was. */
static void held_from(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[IFLA_MAX + 1];
	Link l = { 0 };

	if (h->nlmsg_type != RTM_NEWLINK ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(struct ifinfomsg), tb, IFLA_MAX,
			NULL) < 0 ||
	    !tb[IFLA_LINKINFO])
		return;
	parse_linkinfo(&l, tb[IFLA_LINKINFO]);
	*(bool *)arg = streq(l.kind, "tun") &&
		       ((tb[IFLA_CARRIER] && nla_get_u8(tb[IFLA_CARRIER])) ||
			(tb[IFLA_CARRIER_UP_COUNT] && nla_get_u32(tb[IFLA_CARRIER_UP_COUNT])));
}

int link_was_held(Netlink *nl, const char *name, bool *ret, Error *err)
{
	_cleanup_(netlink_message_freep) NetlinkMessage *m = link_message(RTM_GETLINK, 0, 0, 0, 0);
	_cleanup_(error_done) Error e = ERROR_INIT;
	bool held = false;
	int rc;

	netlink_put_string(m, IFLA_IFNAME, name);
	netlink_put_u32(m, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	rc = netlink_get(nl, m, held_from, &held, &e);
	if (rc < 0 && !is_gone(&e))
		return error_move(err, &e);
	*ret = held;
	return 0;
}

static int link_doom(Netlink *nl, unsigned index, Error *err)
{
	_cleanup_(netlink_message_freep) NetlinkMessage *m =
		link_message(RTM_NEWLINK, 0, index, 0, 0);

	netlink_put_u32(m, IFLA_GROUP, LINK_GROUP_DOOMED);
	return netlink_talk(nl, m, err);
}

int links_delete(Netlink *nl, const unsigned *indexes, size_t n, Error *err)
{
	_cleanup_(error_done) Error e = ERROR_INIT;
	_cleanup_(netlink_message_freep) NetlinkMessage *m =
		link_message(RTM_DELLINK, 0, n == 1 ? indexes[0] : 0, 0, 0);
	int rc;

	if (n == 0)
		return 0;
	for (size_t i = 0; n > 1 && i < n; i++) {
		rc = link_doom(nl, indexes[i], &e);
		if (rc < 0 && !is_gone(&e))
			return error_move(err, &e);
		error_ignore(&e);
	}
	if (n > 1)
		netlink_put_u32(m, IFLA_GROUP, LINK_GROUP_DOOMED);
	rc = netlink_talk(nl, m, &e);
	if (rc < 0 && !is_gone(&e)) {
		error_wrap(&e, "delete %zu links", n);
		return error_move(err, &e);
	}
	return 0;
}
