/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses, routes, neighbours and FDB entries. See records.h.
 */
#include "driver/net/records.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "driver/net/names.h"

void records_add(Records *l, const Record *r)
{
	GROW_ARRAY(l->records, l->n, l->cap);
	l->records[l->n++] = *r;
}

void records_done(Records *l)
{
	free(l->records);
	*l = (Records){ 0 };
}

static unsigned address_len(int family)
{
	return family == AF_INET ? 4 : 16;
}

static IpAddress address_from(int family, struct nlattr *a)
{
	IpAddress ip = { .family = family };

	if (a)
		memcpy(ip.bytes, nla_data(a), MIN((unsigned)nla_len(a), address_len(family)));
	return ip;
}

typedef struct Listing {
	Records *to;
	const unsigned *indexes;
	size_t n;
} Listing;

static bool listing_has(const Listing *l, unsigned index)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->indexes[i] == index)
			return true;
	return false;
}

static void add_address(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[IFA_MAX + 1];
	struct ifaddrmsg *m = nlmsg_data(h);
	Listing *l = arg;

	if (h->nlmsg_type != RTM_NEWADDR || !listing_has(l, m->ifa_index) ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*m), tb, IFA_MAX, NULL) < 0)
		return;
	records_add(l->to, &(Record){ .kind = RECORD_ADDRESS,
				      .index = m->ifa_index,
				      .length = m->ifa_prefixlen,
				      .address = address_from(m->ifa_family,
							      tb[IFA_LOCAL] ? tb[IFA_LOCAL]
									    : tb[IFA_ADDRESS]) });
}

int records_list_addresses(Netlink *nl, const unsigned *indexes, size_t n, Records *to, Error *err)
{
	const struct ifaddrmsg all = { 0 };
	_cleanup_(netlink_message_freep) NetlinkMessage *m =
		netlink_message_new(RTM_GETADDR, 0, &all, sizeof(all));
	Listing l = { to, indexes, n };

	return netlink_dump(nl, m, add_address, &l, err);
}

static void add_route(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[RTA_MAX + 1];
	struct rtmsg *m = nlmsg_data(h);
	Listing *l = arg;
	Record r = { .kind = RECORD_ROUTE };

	if (h->nlmsg_type != RTM_NEWROUTE || m->rtm_protocol != ROUTE_PROTOCOL ||
	    m->rtm_table != RT_TABLE_MAIN ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*m), tb, RTA_MAX, NULL) < 0 ||
	    !tb[RTA_OIF] || !listing_has(l, nla_get_u32(tb[RTA_OIF])))
		return;
	r.index = nla_get_u32(tb[RTA_OIF]);
	r.length = m->rtm_dst_len;
	r.address = address_from(m->rtm_family, tb[RTA_DST]);
	r.metric = tb[RTA_PRIORITY] ? nla_get_u32(tb[RTA_PRIORITY]) : 0;
	if (tb[RTA_GATEWAY])
		r.via = address_from(m->rtm_family, tb[RTA_GATEWAY]);
	records_add(l->to, &r);
}

int records_list_routes(Netlink *nl, const unsigned *indexes, size_t n, Records *to, Error *err)
{
	Listing l = { to, indexes, n };
	const int families[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		const struct rtmsg all = { .rtm_family = (unsigned char)families[i] };
		_cleanup_(netlink_message_freep) NetlinkMessage *m =
			netlink_message_new(RTM_GETROUTE, 0, &all, sizeof(all));
		int rc = netlink_dump(nl, m, add_route, &l, err);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static void add_neighbour(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[NDA_MAX + 1];
	struct ndmsg *m = nlmsg_data(h);
	Listing *l = arg;
	Record r = { .kind = RECORD_NEIGHBOUR, .index = (unsigned)m->ndm_ifindex };

	if (h->nlmsg_type != RTM_NEWNEIGH || !(m->ndm_state & NUD_PERMANENT) ||
	    (m->ndm_flags & NTF_PROXY) || !listing_has(l, r.index) ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*m), tb, NDA_MAX, NULL) < 0 ||
	    !tb[NDA_DST] || !tb[NDA_LLADDR] || nla_len(tb[NDA_LLADDR]) != sizeof(r.mac))
		return;
	r.address = address_from(m->ndm_family, tb[NDA_DST]);
	memcpy(&r.mac, nla_data(tb[NDA_LLADDR]), sizeof(r.mac));
	records_add(l->to, &r);
}

int records_list_neighbours(Netlink *nl, const unsigned *indexes, size_t n, Records *to, Error *err)
{
	const struct ndmsg all = { 0 };
	_cleanup_(netlink_message_freep) NetlinkMessage *m =
		netlink_message_new(RTM_GETNEIGH, 0, &all, sizeof(all));
	Listing l = { to, indexes, n };

	return netlink_dump(nl, m, add_neighbour, &l, err);
}

static void add_fdb(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[NDA_MAX + 1];
	struct ndmsg *m = nlmsg_data(h);
	Listing *l = arg;
	Record r = { .kind = RECORD_FDB, .index = (unsigned)m->ndm_ifindex };

	/* PERMANENT is the port's own address, SELF the device's filter list. */
	if (h->nlmsg_type != RTM_NEWNEIGH || m->ndm_family != AF_BRIDGE ||
	    (m->ndm_flags & NTF_SELF) || (m->ndm_state & NUD_PERMANENT) ||
	    !(m->ndm_state & NUD_NOARP) ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*m), tb, NDA_MAX, NULL) < 0 ||
	    !tb[NDA_LLADDR] || nla_len(tb[NDA_LLADDR]) != sizeof(r.mac))
		return;
	memcpy(&r.mac, nla_data(tb[NDA_LLADDR]), sizeof(r.mac));
	records_add(l->to, &r);
}

int records_list_fdb(Netlink *nl, unsigned bridge, Records *to, Error *err)
{
	const struct ndmsg all = { .ndm_family = AF_BRIDGE };
	_cleanup_(netlink_message_freep) NetlinkMessage *m =
		netlink_message_new(RTM_GETNEIGH, 0, &all, sizeof(all));
	Listing l = { .to = to };

	netlink_put_u32(m, NDA_MASTER, bridge);
	return netlink_dump(nl, m, add_fdb, &l, err);
}

static int set_address(Netlink *nl, const Record *r, bool remove, Error *err)
{
	const struct ifaddrmsg a = { .ifa_family = (uint8_t)r->address.family,
				     .ifa_prefixlen = (uint8_t)r->length,
				     .ifa_index = r->index };
	_cleanup_(netlink_message_freep) NetlinkMessage *m =
		netlink_message_new(remove ? RTM_DELADDR : RTM_NEWADDR,
				    remove ? 0 : NLM_F_CREATE | NLM_F_REPLACE, &a, sizeof(a));

	netlink_put(m, IFA_LOCAL, r->address.bytes, address_len(r->address.family));
	netlink_put(m, IFA_ADDRESS, r->address.bytes, address_len(r->address.family));
	if (r->address.family == AF_INET6 && !remove)
		netlink_put_u32(m, IFA_FLAGS, IFA_F_NODAD);
	return netlink_talk(nl, m, err);
}

static int set_route(Netlink *nl, const Record *r, bool remove, Error *err)
{
	const struct rtmsg t = {
		.rtm_family = (unsigned char)r->address.family,
		.rtm_dst_len = (unsigned char)r->length,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = ROUTE_PROTOCOL,
		.rtm_scope = remove                         ? RT_SCOPE_NOWHERE
			     : r->via.family                ? RT_SCOPE_UNIVERSE
			     : r->address.family == AF_INET ? RT_SCOPE_LINK
							    : RT_SCOPE_UNIVERSE,
		.rtm_type = RTN_UNICAST,
		.rtm_flags = r->via.family ? RTNH_F_ONLINK : 0,
	};
	_cleanup_(netlink_message_freep) NetlinkMessage *m =
		netlink_message_new(remove ? RTM_DELROUTE : RTM_NEWROUTE,
				    remove ? 0 : NLM_F_CREATE | NLM_F_REPLACE, &t, sizeof(t));

	if (r->length)
		netlink_put(m, RTA_DST, r->address.bytes, address_len(r->address.family));
	if (r->via.family)
		netlink_put(m, RTA_GATEWAY, r->via.bytes, address_len(r->via.family));
	netlink_put_u32(m, RTA_OIF, r->index);
	return netlink_talk(nl, m, err);
}

static int set_neighbour(Netlink *nl, const Record *r, bool remove, Error *err)
{
	const bool fdb = r->kind == RECORD_FDB;
	const struct ndmsg d = {
		.ndm_family = (uint8_t)(fdb ? AF_BRIDGE : r->address.family),
		.ndm_ifindex = (int)r->index,
		/* NOARP alone is refused by some drivers, PERMANENT means "local" to a bridge. */
		.ndm_state = fdb ? NUD_NOARP | NUD_REACHABLE : NUD_PERMANENT,
		.ndm_flags = fdb ? NTF_MASTER : 0,
	};
	_cleanup_(netlink_message_freep) NetlinkMessage *m =
		netlink_message_new(remove ? RTM_DELNEIGH : RTM_NEWNEIGH,
				    remove ? 0 : NLM_F_CREATE | NLM_F_REPLACE, &d, sizeof(d));

	if (!fdb)
		netlink_put(m, NDA_DST, r->address.bytes, address_len(r->address.family));
	if (fdb || !remove)
		netlink_put(m, NDA_LLADDR, r->mac.bytes, sizeof(r->mac.bytes));
	if (!fdb && !remove)
		netlink_put_u8(m, NDA_PROTOCOL, ROUTE_PROTOCOL);
	return netlink_talk(nl, m, err);
}

int record_set(Netlink *nl, const Record *r, bool remove, Error *err)
{
	switch (r->kind) {
	case RECORD_ADDRESS:
		return set_address(nl, r, remove, err);
	case RECORD_ROUTE:
		return set_route(nl, r, remove, err);
	default:
		return set_neighbour(nl, r, remove, err);
	}
}

static int key_compare(const Record *a, const Record *b)
{
	int d;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->index != b->index)
		return a->index < b->index ? -1 : 1;
	if (a->kind == RECORD_FDB)
		return memcmp(&a->mac, &b->mac, sizeof(a->mac));
	d = ip_compare(&a->address, &b->address);
	if (d)
		return d;
	return a->length == b->length ? 0 : a->length < b->length ? -1 : 1;
}

static int record_compare(const void *a, const void *b)
{
	return key_compare(a, b);
}

static bool value_equal(const Record *have, const Record *want)
{
	switch (want->kind) {
	case RECORD_NEIGHBOUR:
		return mac_equal(&have->mac, &want->mac);
	case RECORD_ROUTE:
		return ip_equal(&have->via, &want->via);
	default:
		return true;
	}
}

static void describe(const Record *r, const char *where, char *buf, size_t size)
{
	static const char *const kinds[] = { "FDB entry", "address", "neighbour", "route" };
	char text[IP_TEXT_MAX], mac[MAC_TEXT_MAX];

	if (r->kind == RECORD_FDB)
		snprintf(buf, size, "%s %s in %s", kinds[r->kind], mac_format(&r->mac, mac), where);
	else
		snprintf(buf, size, "%s %s/%u in %s", kinds[r->kind], ip_format(&r->address, text),
			 r->length, where);
}

/* Gone already is as good as removed. */
static bool is_absent(const Error *err)
{
	return err->os_errno == ENOENT || err->os_errno == ESRCH ||
	       err->os_errno == EADDRNOTAVAIL || err->os_errno == ENODEV;
}

static int converge_one(Netlink *nl, const Record *r, bool remove, const char *where, Change *c,
			Error *err)
{
	_cleanup_(error_done) Error e = ERROR_INIT;
	char text[160];
	int rc;

	describe(r, where, text, sizeof(text));
	if (!change_add(c, remove ? "removed" : "set", text, NULL))
		return 0;
	rc = record_set(nl, r, remove, &e);
	if (rc < 0 && !(remove && is_absent(&e))) {
		error_wrap(&e, "%s %s", remove ? "remove" : "set", text);
		return error_move(err, &e);
	}
	return 0;
}

/* One walk: either the removals or the settings. */
static int converge_walk(Netlink *nl, const Records *have, const Records *want, bool remove,
			 const char *where, Change *c, Error *err)
{
	size_t i = 0, j = 0;
	int rc = 0;

	while (rc == 0 && (i < have->n || j < want->n)) {
		const Record *h = i < have->n ? &have->records[i] : NULL;
		const Record *w = j < want->n ? &want->records[j] : NULL;
		int d = !h ? 1 : !w ? -1 : key_compare(h, w);

		if (remove && d < 0)
			rc = converge_one(nl, h, true, where, c, err);
		else if (!remove && (d > 0 || (d == 0 && !value_equal(h, w))))
			rc = converge_one(nl, w, false, where, c, err);
		i += d <= 0;
		j += d >= 0;
	}
	return rc;
}

/* Removals first: the kernel takes an IPv6 address of another length for the same address. */
int records_converge(Netlink *nl, Records *have, Records *want, const char *where, Change *c,
		     Error *err)
{
	int rc;

	if (have->n)
		qsort(have->records, have->n, sizeof(Record), record_compare);
	if (want->n)
		qsort(want->records, want->n, sizeof(Record), record_compare);
	rc = converge_walk(nl, have, want, true, where, c, err);
	return rc < 0 ? rc : converge_walk(nl, have, want, false, where, c, err);
}
