/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taps of a network's ports. See network.h.
 *
 * A tap is made only after its filter elements are in, joins the bridge locked, and is up last; it
 * stays through every change of its network and of its port, because a guest holds its other end.
 */
#include <stdio.h>

#include "base/memory.h"
#include "driver/net/network.h"
#include "driver/net/sysctl.h"

/* A tap of this network, wanted or not. */
bool pass_is_port(const Net *net, const Link *l)
{
	if (!name_port(l->name))
		return false;
	if (l->alias[0])
		return streq(l->alias, net->alias_port);
	for (size_t i = 0; i < net->config.n_ports; i++)
		if (net->config.ports[i].id == name_port(l->name))
			return true;
	return false;
}

static bool is_wanted(const Net *net, uint32_t id)
{
	size_t low = 0, high = net->config.n_ports;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (net->config.ports[mid].id == id)
			return true;
		if (net->config.ports[mid].id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

static int make_taps(Pass *p, Error *err)
{
	bool made = false;
	int rc = 0;

	for (size_t i = 0; i < p->net->config.n_ports && rc == 0; i++) {
		const NetworkPort *port = &p->net->config.ports[i];
		const Link *l;
		char name[16];

		network_tap_name(port->id, name);
		l = links_find(&p->root, name);
		if (l && (!streq(l->kind, "tun") ||
			  (l->alias[0] && !streq(l->alias, p->net->alias_port))))
			return error_set(err, ERR_CONFLICT, "link %s is not ours", name);
		if (l || !change_add(p->c, "made", name, NULL))
			continue;
		rc = link_create_tap(name, port->multi_queue, err);
		made = true;
	}
	if (rc == 0 && made)
		rc = pass_observe(p, err);
	return rc;
}

/* Everything but "up". */
static int set_tap(Pass *p, const Link *l, const LinkWant *want, Error *err)
{
	const char *what = NULL;
	char key[64];
	const SysctlWant no_ipv6 = { .key = key, .value = 1, .optional = true };
	int rc = 0;

	if (!link_matches(l, want, &what) && change_add(p->c, "set", l->name, what))
		rc = link_apply(p->all->host.rt, l->index, want, err);
	if (rc == 0 && l->disable_ipv6 != 1) {
		snprintf(key, sizeof(key), "ipv6/conf/%s/disable_ipv6", l->name);
		rc = sysctl_converge(-1, &no_ipv6, 1, "the host", p->c, err);
	}
	return error_wrap_rc(err, rc, "set %s", l->name);
}

static const Link *find_tap(const Pass *p, size_t port)
{
	char name[16];

	network_tap_name(p->net->config.ports[port].id, name);
	return links_find(&p->root, name);
}

int pass_taps(Pass *p, Error *err)
{
	const Link *bridge = links_find(&p->root, p->net->names.bridge);
	const LinkWant want = { .alias = p->net->alias_port,
				.mtu = p->net->mtu + MTU_OVERHEAD,
				.master = bridge ? bridge->index : 0,
				.arp_ignore8 = ON,
				.rp_filter = ON,
				.no_addr_gen = ON,
				.learning = OFF,
				.flood = OFF,
				.locked = ON };
	int rc;

	if (!bridge)
		return 0;
	rc = make_taps(p, err);
	for (size_t i = 0; i < p->net->config.n_ports && rc == 0; i++) {
		const Link *l = find_tap(p, i);

		if (l)
			rc = set_tap(p, l, &want, err);
	}
	return rc;
}

int pass_taps_up(Pass *p, Error *err)
{
	int rc = 0;

	for (size_t i = 0; i < p->net->config.n_ports && rc == 0; i++) {
		const Link *l = find_tap(p, i);

		if (l && !(l->flags & IFF_UP) && change_add(p->c, "set up", l->name, NULL))
			rc = link_up(p->all->host.rt, l->index, true, err);
	}
	return rc;
}

int pass_remove_taps(Pass *p, Error *err)
{
	_cleanup_(xfreep) unsigned *indexes = xnew0(unsigned, p->root.n + 1);
	size_t n = 0;
	int rc;

	for (size_t i = 0; i < p->root.n; i++) {
		const Link *l = &p->root.links[i];
		uint32_t id = name_port(l->name);

		if (id && streq(l->alias, p->net->alias_port) && !is_wanted(p->net, id) &&
		    change_add(p->c, "removed", l->name, NULL))
			indexes[n++] = l->index;
	}
	rc = links_delete(p->all->host.rt, indexes, n, err);
	if (rc == 0 && n)
		rc = pass_observe(p, err);
	return rc;
}
