/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hangs on a network's links: addresses, routes, neighbours, FDB entries; forwarding; and
 * bringing the links up. See network.h.
 */
#include <stdio.h>

#include "base/memory.h"
#include "driver/net/network.h"
#include "driver/net/records.h"
#include "driver/net/sysctl.h"

static int want_up(Netlink *nl, const Link *l, Change *c, Error *err)
{
	if (!l || (l->flags & IFF_UP) || !change_add(c, "set up", l->name, NULL))
		return 0;
	return error_wrap_rc(err, link_up(nl, l->index, true, err), "set up %s", l->name);
}

static int pass_up(Pass *p, Error *err)
{
	const NetNames *n = &p->net->names;
	Netlink *root = p->all->host.rt;
	int rc = want_up(p->net->rt, links_find(&p->inside, UP_NAME), p->c, err);

	if (rc == 0)
		rc = want_up(root, links_find(&p->root, n->transit), p->c, err);
	if (rc == 0)
		rc = want_up(p->net->rt, links_find(&p->inside, LAN_NAME), p->c, err);
	if (rc == 0)
		rc = want_up(root, links_find(&p->root, n->router), p->c, err);
	if (rc == 0)
		rc = want_up(root, links_find(&p->root, n->bridge), p->c, err);
	return rc;
}

static void add_address(Records *l, unsigned index, const IpAddress *a, unsigned length)
{
	records_add(l,
		    &(Record){ RECORD_ADDRESS, .index = index, .address = *a, .length = length });
}

static void add_neighbour(Records *l, unsigned index, const IpAddress *a, const MacAddress *mac)
{
	records_add(l, &(Record){ RECORD_NEIGHBOUR, .index = index, .address = *a, .mac = *mac });
}

static void add_route(Records *l, unsigned index, const IpPrefix *to, const IpAddress *via)
{
	records_add(l, &(Record){ RECORD_ROUTE, .index = index, .address = to->address,
				  .length = to->length, .via = via ? *via : (IpAddress){ 0 } });
}

static unsigned host_length(const IpAddress *a)
{
	return a->family == AF_INET ? 32 : 128;
}

static void want_lan(const Net *net, unsigned lan, Records *addresses, Records *rest)
{
	const NetworkConfig *c = &net->config;

	if (c->prefix4.address.family)
		add_address(addresses, lan, &c->gateway4, c->prefix4.length);
	if (c->prefix6.address.family) {
		add_address(addresses, lan, &c->gateway6, c->prefix6.length);
		add_address(addresses, lan, &LINK_LOCAL_GATEWAY, 64);
	}
	for (size_t i = 0; i < c->n_ports; i++)
		for (size_t j = 0; j < c->ports[i].n_addresses; j++)
			add_neighbour(rest, lan, &c->ports[i].addresses[j], &c->ports[i].mac);
}

/* The host's end has no IPv4 address and needs none: both sides know each other's MAC. */
static void want_up0(const Net *net, unsigned up, Records *addresses, Records *rest)
{
	const IpPrefix default4 = { .address = { .family = AF_INET } };
	const IpPrefix default6 = { .address = { .family = AF_INET6 } };

	add_address(addresses, up, &net->names.transit4, 32);
	add_neighbour(rest, up, &TRANSIT_GATEWAY4, &TRANSIT_HOST_MAC);
	add_route(rest, up, &default4, &TRANSIT_GATEWAY4);
	if (!net->config.prefix6.address.family)
		return;
	add_address(addresses, up, &net->names.transit6, 128);
	add_neighbour(rest, up, &LINK_LOCAL_GATEWAY, &TRANSIT_HOST_MAC);
	add_route(rest, up, &default6, &LINK_LOCAL_GATEWAY);
}

static int converge_rest(Netlink *nl, const unsigned *indexes, size_t n, Records *want,
			 const char *where, Change *c, Error *err)
{
	Records have = { 0 };
	int rc = records_list_neighbours(nl, indexes, n, &have, err);

	if (rc == 0)
		rc = records_list_routes(nl, indexes, n, &have, err);
	if (rc == 0)
		rc = records_converge(nl, &have, want, where, c, err);
	records_done(&have);
	return rc;
}

/* Addresses by themselves and first: the kernel takes neighbours and routes away with them. */
static int converge_addresses(Netlink *nl, const unsigned *indexes, size_t n, Records *want,
			      const char *where, Change *c, Error *err)
{
	Records have = { 0 };
	int rc = records_list_addresses(nl, indexes, n, &have, err);

	if (rc == 0)
		rc = records_converge(nl, &have, want, where, c, err);
	records_done(&have);
	return rc;
}

static int pass_router_records(Pass *p, Error *err)
{
	const Link *lan = links_find(&p->inside, LAN_NAME), *up = links_find(&p->inside, UP_NAME);
	Records addresses = { 0 }, rest = { 0 };
	unsigned indexes[2];
	size_t n = 0;
	int rc;

	if (lan) {
		indexes[n++] = lan->index;
		want_lan(p->net, lan->index, &addresses, &rest);
	}
	if (up && p->net->config.egress != EGRESS_NONE) {
		indexes[n++] = up->index;
		want_up0(p->net, up->index, &addresses, &rest);
	}
	rc = converge_addresses(p->net->rt, indexes, n, &addresses, p->net->names.netns, p->c, err);
	if (rc == 0)
		rc = converge_rest(p->net->rt, indexes, n, &rest, p->net->names.netns, p->c, err);
	records_done(&addresses);
	records_done(&rest);
	return rc;
}

static void want_transit(const Net *net, unsigned index, Records *want)
{
	const NetworkConfig *c = &net->config;
	const IpAddress *t[] = { &net->names.transit4, &net->names.transit6 };
	const IpPrefix *networks[] = { &c->prefix4, &c->prefix6 };

	for (size_t i = 0; i < 2; i++) {
		const IpPrefix host = { .address = *t[i], .length = host_length(t[i]) };

		if (i == 1 && !c->prefix6.address.family)
			break;
		add_route(want, index, &host, NULL);
		add_neighbour(want, index, t[i], &TRANSIT_ROUTER_MAC);
		if (c->egress == EGRESS_ROUTED && networks[i]->address.family)
			add_route(want, index, networks[i], t[i]);
	}
}

static int pass_host_records(Pass *p, Error *err)
{
	const Link *l = links_find(&p->root, p->net->names.transit);
	Records want = { 0 };
	int rc;

	if (!l || p->net->config.egress == EGRESS_NONE)
		return 0;
	want_transit(p->net, l->index, &want);
	/* Addresses are left alone: the kernel may give the link a link-local one. */
	rc = converge_rest(p->all->host.rt, &l->index, 1, &want, "the host", p->c, err);
	records_done(&want);
	return rc;
}

static int pass_fdb(Pass *p, Error *err)
{
	const Link *bridge = links_find(&p->root, p->net->names.bridge);
	const Link *router = links_find(&p->root, p->net->names.router);
	Records have = { 0 }, want = { 0 };
	size_t kept = 0;
	int rc;

	if (!bridge || !router)
		return 0;
	records_add(&want, &(Record){ RECORD_FDB, .index = router->index,
				      .mac = p->net->names.gateway_mac });
	for (size_t i = 0; i < p->net->config.n_ports; i++) {
		const NetworkPort *port = &p->net->config.ports[i];
		const Link *tap;
		char name[16];

		network_tap_name(port->id, name);
		tap = links_find(&p->root, name);
		if (tap)
			records_add(&want,
				    &(Record){ RECORD_FDB, .index = tap->index, .mac = port->mac });
	}
	rc = records_list_fdb(p->all->host.rt, bridge->index, &have, err);
	for (size_t i = 0; i < have.n; i++) { /* entries of foreign members are not our business */
		const Link *l = links_by_index(&p->root, have.records[i].index);

		if (l && (l == router || pass_is_port(p->net, l)))
			have.records[kept++] = have.records[i];
	}
	have.n = kept;
	if (rc == 0)
		rc = records_converge(p->all->host.rt, &have, &want, p->net->names.bridge, p->c,
				      err);
	records_done(&have);
	records_done(&want);
	return rc;
}

/* Only once the filter is in. Without egress, nothing is forwarded, yet RA needs lan0 a router. */
static int pass_forwarding(Pass *p, Error *err)
{
	const bool egress = p->net->config.egress != EGRESS_NONE;
	const SysctlWant want[] = {
		{"ipv4/ip_forward",                 egress, false},
		{ "ipv6/conf/all/forwarding",       egress, true },
		{ "ipv4/conf/all/accept_redirects", 0,      false}, /* ip_forward sets it */
	};
	const SysctlWant lan = { "ipv6/conf/" LAN_NAME "/forwarding", 1, true };
	int rc = sysctl_converge(p->net->netns_fd, want, ARRAY_SIZE(want), p->net->names.netns,
				 p->c, err);

	if (rc < 0 || !links_find(&p->inside, LAN_NAME))
		return rc;
	return sysctl_converge(p->net->netns_fd, &lan, 1, p->net->names.netns, p->c, err);
}

int pass_records(Pass *p, Error *err)
{
	int rc;

	if (!p->net->rt)
		return 0;
	rc = pass_fdb(p, err);
	if (rc == 0)
		rc = pass_up(p, err);
	if (rc == 0)
		rc = pass_router_records(p, err);
	if (rc == 0)
		rc = pass_host_records(p, err);
	if (rc == 0)
		rc = pass_forwarding(p, err);
	return rc;
}
