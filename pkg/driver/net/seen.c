/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which guests use their addresses. See network.h.
 *
 * The packets fill three sets of the bridge table (ARP, neighbour discovery, DHCP
 * acknowledgements), which outlive us; nothing announces it, so they are read while a running guest
 * is still unseen. When a tap loses its carrier its guest has stopped: then it has not been seen
 * any more, and dnsmasq forgets its DHCPv6 lease, which would refuse a reinstalled guest for a day.
 */
#include <stdio.h>

#include "base/memory.h"
#include "driver/net/network.h"

static const char *const sets[] = { "seen4", "acked", "seennd" };

static bool is_seen(const NftElements *found, const char *tap, const IpAddress *a)
{
	for (size_t i = 0; i < found->n; i++)
		if (streq(found->elements[i].link, tap) &&
		    memcmp(found->elements[i].value, a->bytes, sizeof(a->bytes)) == 0)
			return true;
	return false;
}

static int sets_read(const Networks *n, NftElements *found, Error *err)
{
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(sets) && rc == 0; i++)
		rc = nft_set_list(n->host.nfnl, sets[i], found, err);
	return rc;
}

/* Takes what is there of a tap out of the sets; somebody may have reloaded them meanwhile. */
static void forget_tap(const NftElements *found, const char *tap, const NetworkPort *p)
{
	char text[IP_TEXT_MAX], hex[33];

	for (size_t i = 0; i < p->n_addresses; i++) {
		const IpAddress *a = &p->addresses[i];
		_cleanup_(strbuf_done) StrBuf command = STRBUF_INIT;

		if (!is_seen(found, tap, a))
			continue;
		hex_encode(a->bytes, a->family == AF_INET ? 4 : 16, hex);
		for (size_t j = 0; j < ARRAY_SIZE(sets); j++) {
			if ((a->family == AF_INET6) != streq(sets[j], "seennd"))
				continue;
			strbuf_reset(&command);
			strbuf_addf(&command,
				    "delete element bridge " TABLE_NAME " %s { \"%s\" . %s%s }",
				    sets[j], tap, j ? "0x" : "", j ? hex : ip_format(a, text));
			(void)nft_run(-1, strbuf_str(&command), NULL);
		}
	}
}

typedef struct Look {
	Networks *n;
	Net *net;
	const Links *links;
	const NftElements *found;
	SeenFn told;
	void *arg;
	bool waiting, stopped6;
} Look;

static void look_at_port(Look *l, const NetworkPort *p)
{
	char tap[16], text[IP_TEXT_MAX];
	const Link *link;
	bool runs, any = false;

	network_tap_name(p->id, tap);
	link = links_find(l->links, tap);
	runs = link && (link->flags & LINK_CARRIER);
	for (size_t i = 0; i < p->n_addresses; i++) {
		const IpAddress *a = &p->addresses[i];
		bool seen = is_seen(l->found, tap, a);
		bool known = hashmap_contains(l->net->seen, ip_format(a, text));

		any |= seen;
		if (runs && seen && !known) {
			hashmap_put(l->net->seen, text, l->net);
			l->told(l->arg, l->net, a);
		} else if (!runs && (seen || known)) {
			hashmap_remove(l->net->seen, text);
			l->stopped6 |= a->family == AF_INET6;
		}
	}
	if (!runs && any)
		forget_tap(l->found, tap, p);
	l->waiting |= runs && !any && p->n_addresses;
}

int networks_seen(Networks *n, SeenFn told, void *arg, bool *ret_waiting, Error *err)
{
	NftElements found = { 0 };
	Links links = { 0 };
	bool waiting = false;
	int rc;

	if (!hashmap_size(n->nets)) {
		*ret_waiting = false;
		return 0;
	}
	rc = sets_read(n, &found, err);
	if (rc == 0)
		rc = links_list(n->host.rt, &links, err);
	hashmap_foreach (it, n->nets) {
		Look l = { n, it.value, &links, &found, told, arg, false, false };

		for (size_t i = 0; rc == 0 && i < l.net->config.n_ports; i++)
			look_at_port(&l, &l.net->ports[i]);
		waiting |= l.waiting;
		if (rc == 0 && l.stopped6 && l.net->config.dhcp && dnsmasq_runs(&l.net->dnsmasq))
			rc = dnsmasq_restart(&l.net->dnsmasq, l.net->directory, l.net->netns_fd,
					     err);
	}
	nft_elements_done(&found);
	links_done(&links);
	if (rc == 0)
		*ret_waiting = waiting;
	return rc;
}
