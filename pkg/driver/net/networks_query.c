/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions about networks, which change nothing. See network.h.
 */
#include <errno.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "driver/net/netns.h"
#include "driver/net/network.h"

static void entries_add(NetworkEntry **entries, size_t *n, size_t *cap, const char *store,
			const char *uid, uint32_t vni)
{
	for (size_t i = 0; i < *n; i++)
		if (streq((*entries)[i].uid, uid))
			return;
	GROW_ARRAY(*entries, *n, *cap);
	(*entries)[*n].vni = vni;
	memcpy((*entries)[*n].store_id, store, UUID_MAX);
	memcpy((*entries)[(*n)++].uid, uid, UUID_MAX);
}

int networks_list(Networks *n, const char *store_id, NetworkEntry **ret, size_t *ret_n, Error *err)
{
	NetworkEntry *entries = NULL;
	size_t count = 0, cap = 0;
	Links links = { 0 };
	int rc = links_list(n->host.rt, &links, err);

	if (rc < 0)
		return rc;
	hashmap_foreach (it, n->nets) {
		const NetworkConfig *c = &((Net *)it.value)->config;

		if (streq(c->store_id, store_id))
			entries_add(&entries, &count, &cap, store_id, it.key, c->vni);
	}
	for (size_t i = 0; i < links.n; i++) {
		char store[UUID_MAX], uid[UUID_MAX], role[16];
		uint32_t vni = name_vni(links.links[i].name);

		if (vni && alias_parse(links.links[i].alias, store, uid, role) &&
		    streq(store, store_id))
			entries_add(&entries, &count, &cap, store, uid, vni);
	}
	links_done(&links);
	*ret = entries ? entries : xnew0(NetworkEntry, 1);
	*ret_n = count;
	return 0;
}

/* Which port of the network has that address. */
static const NetworkPort *port_of(const Net *net, const IpAddress *a)
{
	for (size_t i = 0; i < net->config.n_ports; i++)
		for (size_t j = 0; j < net->ports[i].n_addresses; j++)
			if (ip_equal(&net->ports[i].addresses[j], a))
				return &net->ports[i];
	return NULL;
}

int networks_address_seen(Networks *n, const char *uid, const IpAddress *a, bool *ret, Error *err)
{
	static const char *const sets4[] = { "seen4", "acked", NULL };
	static const char *const sets6[] = { "seennd", NULL };
	Net *net = networks_get(n, uid);
	const NetworkPort *port = net ? port_of(net, a) : NULL;
	NftElements found = { 0 };
	bool seen = false;
	char tap[16];
	int rc = 0;

	if (!net)
		return error_set(err, ERR_NOT_FOUND, "network %s is not set up", uid);
	if (!port) {
		*ret = false;
		return 0;
	}
	network_tap_name(port->id, tap);
	for (const char *const *s = a->family == AF_INET ? sets4 : sets6; *s && rc == 0; s++)
		rc = nft_set_list(n->host.nfnl, *s, &found, err);
	for (size_t i = 0; i < found.n && rc == 0; i++)
		seen |= streq(found.elements[i].link, tap) &&
			memcmp(found.elements[i].value, a->bytes, a->family == AF_INET ? 4 : 16) ==
				0;
	nft_elements_done(&found);
	if (rc < 0)
		return networks_soften(rc, err);
	*ret = seen;
	return 0;
}

int networks_port_attached(Networks *n, const char *uid, uint32_t port_id, bool *ret, Error *err)
{
	const Net *net = networks_get(n, uid);
	char tap[16];
	int rc;

	if (!net)
		return error_set(err, ERR_NOT_FOUND, "network %s is not set up", uid);
	if (!networks_has_port(net, port_id))
		return error_set(err, ERR_NOT_FOUND, "network %s has no port %08x", uid, port_id);
	network_tap_name(port_id, tap);
	rc = link_was_held(n->host.rt, tap, ret, err);
	return rc < 0 ? networks_soften(rc, err) : 0;
}

int networks_dial(Networks *n, const char *uid, const IpAddress *a, uint16_t port, int *ret_fd,
		  Error *err)
{
	Net *net = networks_get(n, uid);
	struct sockaddr_in to4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	_cleanup_(fd_closep) int fd = -1;
	NetnsSaved saved;
	int rc;

	if (!net || net->netns_fd < 0)
		return error_set(err, ERR_NOT_FOUND, "network %s is not set up", uid);
	if (!port_of(net, a))
		return error_set(err, ERR_NOT_FOUND, "no guest has that address");
	rc = netns_enter(net->netns_fd, &saved, err);
	if (rc < 0)
		return rc;
	fd = socket(a->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	netns_leave(&saved);
	if (fd < 0)
		return error_set_errno(err, errno, "socket");
	memcpy(&to4.sin_addr, a->bytes, 4);
	memcpy(&to6.sin6_addr, a->bytes, 16);
	if (connect(fd, a->family == AF_INET ? (void *)&to4 : (void *)&to6,
		    a->family == AF_INET ? sizeof(to4) : sizeof(to6)) < 0 &&
	    errno != EINPROGRESS)
		return error_set_errno(err, errno, "connect");
	*ret_fd = TAKE_FD(fd);
	return 0;
}
