/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The name servers that a network's dnsmasq asks: those of its configuration, else the host's own,
 * as far as a router namespace can reach them. A loopback stub or an address of the host it cannot.
 * See network.h.
 */
#include <stdio.h>

#include "base/fs.h"
#include "base/memory.h"
#include "driver/net/network.h"

#define RESOLV_MAX    65536
#define UPSTREAMS_MAX 3

static bool upstream_usable(const Networks *n, const Net *net, const IpAddress *a)
{
	if (a->family == AF_INET && (a->bytes[0] == 127 || a->bytes[0] == 0))
		return false;
	if (a->family == AF_INET6 && (!net->config.prefix6.address.family ||
				      (a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80) ||
				      (!a->bytes[0] && !a->bytes[1])))
		return false;
	/* The host's own addresses are closed to its guests, and to their routers. */
	return !address_list_contains(&n->host.addresses, a);
}

static void upstreams_from(const Networks *n, const Net *net, const char *path, AddressList *to)
{
	_cleanup_(xfreep) char *text = NULL;
	_cleanup_(strv_freep) char **lines = NULL;

	if (fs_read(path, RESOLV_MAX, &text, NULL, NULL) < 0)
		return;
	lines = strv_split(text, '\n');
	strv_foreach (line, lines) {
		char word[IP_TEXT_MAX];
		IpAddress a;

		if (to->n < UPSTREAMS_MAX && sscanf(*line, " nameserver %63s", word) == 1 &&
		    ip_parse(word, &a, NULL) == 0 && upstream_usable(n, net, &a))
			address_list_add(to, &a);
	}
}

void upstreams_find(const Networks *n, Net *net, AddressList *to)
{
	const NetworkConfig *c = &net->config;

	net->no_upstreams = false;
	if (!c->dns || c->egress == EGRESS_NONE)
		return;
	for (size_t i = 0; i < c->n_upstreams; i++)
		if (upstream_usable(n, net, &c->upstreams[i]))
			address_list_add(to, &c->upstreams[i]);
	if (!c->n_upstreams)
		upstreams_from(n, net, "/run/systemd/resolve/resolv.conf", to);
	if (!c->n_upstreams && !to->n)
		upstreams_from(n, net, "/etc/resolv.conf", to);
	net->no_upstreams = !to->n;
}
