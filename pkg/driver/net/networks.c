/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All networks of this host: the port functions as the net role does them. See network.h.
 *
 * What was asked for last is kept in <state>/<uid>/config.json, written before anything is done: a
 * successor knows every network and every port from the start, adopts what is there and keeps
 * watching it without being told again.
 */
#include "driver/net/network.h"

#include <stdio.h>

#include "base/failpoint.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/memory.h"
#include "driver/net/netns.h"
#include "driver/net/proto.h"
#include "json/json.h"

static void net_free(void *p)
{
	Net *net = p;

	net_close_inside(net);
	nft_table_done(&net->table);
	fd_close(net->dnsmasq.pid ? net->dnsmasq.pidfd : -1);
	hashmap_free(net->seen);
	free(net->directory);
	free(net->ports);
	free(net);
}

static int port_compare(const void *a, const void *b)
{
	const NetworkPort *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static void net_configure(Net *net, const NetworkConfig *c)
{
	NetworkPort *ports = xnew0(NetworkPort, c->n_ports + 1);

	if (c->n_ports)
		memcpy(ports, c->ports, c->n_ports * sizeof(*ports));
	qsort(ports, c->n_ports, sizeof(*ports), port_compare);
	free(net->ports);
	net->ports = ports;
	net->config = *c;
	net->config.ports = ports;
	if (!c->store_id[0]) /* of one that is being removed only the name is known */
		return;
	alias_format(net->alias_bridge, c->store_id, c->uid, "bridge");
	alias_format(net->alias_port, c->store_id, c->uid, "port");
	alias_format(net->alias_router, c->store_id, c->uid, "router");
}

static Net *net_new(const char *state_dir, const NetworkConfig *c)
{
	Net *net = xnew0(Net, 1);

	memcpy(net->uid, c->uid, sizeof(net->uid));
	net->netns_fd = -1;
	net->nsid = -1;
	net->names = net_names(c->vni);
	net->directory = xasprintf("%s/%s", state_dir, c->uid);
	net->seen = hashmap_new(NULL);
	net->table.table = "inet " TABLE_NAME;
	net->table.elements = true;
	net->table.file = xasprintf("%s/router.sum", net->directory);
	net_configure(net, c);
	return net;
}

Net *networks_get(Networks *n, const char *uid)
{
	return hashmap_get(n->nets, uid);
}

Net *networks_by_vni(Networks *n, uint32_t vni)
{
	hashmap_foreach (it, n->nets) {
		Net *net = it.value;

		if (net->config.vni == vni)
			return net;
	}
	return NULL;
}

/* ---- what was asked for, on disk ---- */

static int config_save(Net *net, Error *err)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/config.json", net->directory), *text = NULL;
	json_t *v = proto_config_encode(&net->config);
	int rc = fs_mkdir_p(net->directory, 0755, err);

	text = json_canonical(v);
	json_decref(v);
	if (rc == 0)
		rc = fs_write_atomic(path, text, strlen(text), 0600, false, err);
	return error_wrap_rc(err, rc, "save network");
}

static int config_load(const char *path, NetworkConfig *ret, NetworkPort **ret_ports, Error *err)
{
	_cleanup_(xfreep) char *text = NULL;
	json_t *v = NULL;
	size_t len;
	int rc = fs_read(path, PROTO_FRAME_MAX, &text, &len, err);

	if (rc == 0)
		rc = json_decode(text, len, &v, err);
	if (rc == 0)
		rc = proto_config_decode(v, ret, ret_ports, err);
	json_decref(v);
	return rc;
}

/* A role that was killed has left half of what it wrote; the next one has the folder to itself. */
static void drop_temporary(const char *state_dir, const char *uid)
{
	static const char *const folders[] = { "", "/dhcp.d", "/hosts.d" };

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		_cleanup_(xfreep) char *path = xasprintf("%s/%s%s", state_dir, uid, folders[i]);

		fs_drop_temporary(path);
	}
}

static void networks_load(Networks *n)
{
	_cleanup_(closedirp) DIR *dir = opendir(n->state_dir);
	struct dirent *e;

	fs_drop_temporary(n->state_dir);
	while (dir && (e = readdir(dir))) {
		_cleanup_(xfreep) char *path = NULL;
		_cleanup_(xfreep) NetworkPort *ports = NULL;
		_cleanup_(error_done) Error err = ERROR_INIT;
		NetworkConfig c;
		int rc;

		if (!uuid_is_valid(e->d_name))
			continue;
		drop_temporary(n->state_dir, e->d_name);
		path = xasprintf("%s/%s/config.json", n->state_dir, e->d_name);
		rc = config_load(path, &c, &ports, &err);
		/* Nothing is lost: sfd says again what it wants. */
		if (rc < 0 || !streq(c.uid, e->d_name)) {
			log_warning("network %s: its record is not readable: %s", e->d_name,
				    error_message(&err));
			continue;
		}
		hashmap_put(n->nets, c.uid, net_new(n->state_dir, &c));
	}
}

int networks_init(Networks *n, const char *state_dir, Error *err)
{
	int rc;

	*n = (Networks){ .nets = hashmap_new(net_free), .state_dir = xstrdup(state_dir) };
	rc = fs_mkdir_p(state_dir, 0755, err);
	if (rc == 0)
		rc = netns_setup(err);
	if (rc == 0)
		rc = host_init(&n->host, state_dir, err);
	if (rc == 0)
		networks_load(n);
	return rc;
}

void networks_done(Networks *n)
{
	hashmap_free(n->nets);
	host_done(&n->host);
	free(n->state_dir);
}

/* ---- the host's share ---- */

int networks_converge_host(Networks *n, const char *store, Change *c, Error *err)
{
	NftElements all = { 0 };
	PrefixList routed = { 0 };
	HostWant want = { .store = store, .all = &all, .routed = &routed };
	int rc;

	hashmap_foreach (it, n->nets) {
		const NetworkConfig *nc = &((Net *)it.value)->config;

		for (size_t i = 0; i < nc->n_ports; i++)
			nft_elements_for_port(&all, &nc->ports[i]);
		want.forward4 |= nc->egress != EGRESS_NONE;
		want.forward6 |= nc->egress != EGRESS_NONE && nc->prefix6.address.family;
		if (nc->egress != EGRESS_ROUTED)
			continue;
		GROW_ARRAY(routed.prefixes, routed.n + 1, routed.cap);
		if (nc->prefix4.address.family)
			routed.prefixes[routed.n++] = nc->prefix4;
		if (nc->prefix6.address.family)
			routed.prefixes[routed.n++] = nc->prefix6;
	}
	nft_elements_sort(&all);
	prefix_list_sort(&routed);
	rc = host_converge(&n->host, &want, c, err);
	nft_elements_done(&all);
	free(routed.prefixes);
	return rc;
}

/* ---- one network ---- */

/*
 * What guests are told is fixed when the network is made: they hear of a change only with their
 * next lease. It is kept in a file, because a bridge's own MTU follows its smallest port.
 */
static int mtu_decide(const Networks *n, Net *net, const Change *c, Error *err)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/mtu", net->directory), *text = NULL;
	char line[16];

	if (net->config.mtu) {
		net->mtu = net->config.mtu;
		return 0;
	}
	if (!net->mtu_fixed && fs_read(path, 16, &text, NULL, NULL) == 0) {
		long v = strtol(text, NULL, 10);

		net->mtu_fixed = v >= MTU_MIN && v <= 65000 ? (unsigned)v : 0;
	}
	if (net->mtu_fixed) {
		net->mtu = net->mtu_fixed;
		return 0;
	}
	net->mtu = n->host.uplink_mtu - MTU_OVERHEAD;
	if (c->look)
		return 0;
	net->mtu_fixed = net->mtu;
	snprintf(line, sizeof(line), "%u\n", net->mtu);
	return fs_write_atomic(path, line, strlen(line), 0644, false, err);
}

static int pass_dnsmasq(Pass *p, Error *err)
{
	const DnsmasqConfig c = { .network = &p->net->config,
				  .mtu = p->net->mtu,
				  .upstreams = &p->upstreams,
				  .directory = p->net->directory,
				  .user = dnsmasq_user() };

	return dnsmasq_converge(&p->net->dnsmasq, &c, p->net->netns_fd, p->c, err);
}

static int link_name_compare(const void *a, const void *b)
{
	return strcmp(((const NftElement *)a)->link, ((const NftElement *)b)->link);
}

bool networks_has_port(const Net *net, uint32_t id)
{
	return id && bsearch(&(NetworkPort){ .id = id }, net->ports, net->config.n_ports,
			     sizeof(NetworkPort), port_compare);
}

/* A tap that is there keeps its guest's traffic until somebody says whose it is. */
static bool is_stray(const Pass *p, const char *link)
{
	if (links_find(&p->root, link))
		return false;
	hashmap_foreach (it, p->all->nets)
		if (networks_has_port(it.value, name_port(link)))
			return false;
	return true;
}

/* Elements of our taps that are not wanted any more; after the taps have gone. */
static int pass_prune_elements(Pass *p, const NftElements *want, Error *err)
{
	const Host *h = &p->all->host;
	char(*names)[16] = xcalloc(h->elements.n + 1, sizeof(*names));
	size_t n = 0;
	int rc;

	for (size_t i = 0; i < h->elements.n; i++) {
		const NftElement *e = &h->elements.elements[i];

		if (n && streq(names[n - 1], e->link))
			continue;
		if ((want->n &&
		     bsearch(e, want->elements, want->n, sizeof(*e), link_name_compare)) ||
		    is_stray(p, e->link))
			memcpy(names[n++], e->link, sizeof(names[0]));
	}
	rc = host_elements_prune(&p->all->host, want, names, n, p->c, err);
	free(names);
	return rc;
}

static int pass_run(Pass *p, Error *err)
{
	Net *net = p->net;
	NftElements want = { 0 };
	int rc = pass_observe(p, err);

	if (rc == 0)
		rc = host_observe(&p->all->host, &p->root, NULL, err);
	if (rc < 0)
		return rc;
	rc = mtu_decide(p->all, net, p->c, err);
	if (rc < 0)
		return rc;
	upstreams_find(p->all, net, &p->upstreams);
	for (size_t i = 0; i < net->config.n_ports; i++)
		nft_elements_for_port(&want, &net->config.ports[i]);
	nft_elements_sort(&want);
	rc = FAIL_POINT_AROUND("net.host",
			       networks_converge_host(p->all, net->config.store_id, p->c, err));
	if (rc == 0)
		rc = FAIL_POINT_AROUND("net.elements",
				       host_elements_add(&p->all->host, &want, p->c, err));
	if (rc == 0)
		rc = FAIL_POINT_AROUND("net.links", pass_links(p, err));
	if (rc == 0)
		rc = FAIL_POINT_AROUND("net.remove-taps", pass_remove_taps(p, err));
	if (rc == 0)
		rc = FAIL_POINT_AROUND("net.taps", pass_taps(p, err));
	if (rc == 0)
		rc = FAIL_POINT_AROUND("net.records", pass_records(p, err));
	if (rc == 0 && net->rt)
		rc = FAIL_POINT_AROUND("net.dnsmasq", pass_dnsmasq(p, err));
	if (rc == 0)
		rc = FAIL_POINT_AROUND("net.taps-up", pass_taps_up(p, err));
	if (rc == 0)
		rc = FAIL_POINT_AROUND("net.prune", pass_prune_elements(p, &want, err));
	nft_elements_done(&want);
	return rc;
}

static int net_converge(Networks *n, Net *net, Change *c, Error *err)
{
	Pass p = { .all = n, .net = net, .c = c };
	int rc = pass_run(&p, err);

	links_done(&p.root);
	links_done(&p.inside);
	address_list_done(&p.upstreams);
	return rc;
}

int net_look(Networks *n, Net *net, Change *c, Error *err)
{
	c->look = true;
	return net_converge(n, net, c, err);
}

static bool ports_equal(const Net *net, const NetworkConfig *c)
{
	_cleanup_(xfreep) NetworkPort *sorted = xnew0(NetworkPort, c->n_ports + 1);

	if (net->config.n_ports != c->n_ports)
		return false;
	if (c->n_ports)
		memcpy(sorted, c->ports, c->n_ports * sizeof(*sorted));
	qsort(sorted, c->n_ports, sizeof(*sorted), port_compare);
	for (size_t i = 0; i < c->n_ports; i++)
		if (!network_port_equal(&sorted[i], &net->ports[i]))
			return false;
	return true;
}

static void status_fill(const Networks *n, const Net *net, const Change *c, bool repaired,
			NetworkStatus *s)
{
	const Host *h = &n->host;
	const char *text = c->n ? strbuf_str(&c->text) : "";

	*s = (NetworkStatus){
		.ready = true,
		.changes = c->n,
		.repaired = repaired,
		.egress_blocked = net->config.egress != EGRESS_NONE && h->egress_blocked,
		.no_upstreams = net->no_upstreams,
		.mtu = net->mtu,
		.dnsmasq_pid = net->dnsmasq.pid,
	};
	memcpy(s->bridge, net->names.bridge, sizeof(s->bridge));
	memcpy(s->netns, net->names.netns, sizeof(s->netns));
	if (s->egress_blocked)
		snprintf(s->message, sizeof(s->message),
			 "%s drops forwarded traffic: accept interfaces \"sfu*\" there",
			 h->blocker);
	else if (net->foreign[0])
		snprintf(s->message, sizeof(s->message), "link %s in bridge %s is not ours",
			 net->foreign, net->names.bridge);
	else if (c->n)
		snprintf(s->message, sizeof(s->message), "%s%.*s", repaired ? "mended: " : "",
			 CHANGE_TEXT_MAX, text);
}

/* The kernel's "invalid" means that something is odd here, not that asking again is pointless. */
int networks_soften(int rc, Error *err)
{
	if (rc == -ERR_CONFLICT || rc == -ERR_EXHAUSTED || rc == -ERR_TIMEOUT || rc >= 0)
		return rc;
	if (err)
		err->code = ERR_UNAVAILABLE;
	return -ERR_UNAVAILABLE;
}

static int ensure_known(Networks *n, Net *net, bool was_complete, NetworkStatus *ret, Error *err)
{
	Change c = { 0 };
	int rc = net_converge(n, net, &c, err);

	if (rc == 0 && net->config.egress != EGRESS_NONE)
		rc = host_check_egress(&n->host, err);
	if (rc == 0)
		status_fill(n, net, &c, c.n && was_complete, ret);
	net->complete = rc == 0;
	change_done(&c);
	return networks_soften(rc, err);
}

/* Somebody deleted the tap of a port that had one: no new wish explains that it is made again. */
static bool lost_tap(const Networks *n, const Net *net)
{
	Links links = { 0 };
	bool lost = false;

	if (links_list(n->host.rt, &links, NULL) < 0)
		return false;
	for (size_t i = 0; i < net->config.n_ports && !lost; i++) {
		char tap[16];

		network_tap_name(net->ports[i].id, tap);
		lost = !links_find(&links, tap);
	}
	links_done(&links);
	return lost;
}

int networks_ensure(Networks *n, const NetworkConfig *config, NetworkStatus *ret, Error *err)
{
	Net *net = networks_get(n, config->uid), *other = networks_by_vni(n, config->vni);
	bool same, was_complete, drifted;
	int rc = network_config_validate(config, err);

	if (rc < 0)
		return rc;
	if ((other && other != net) || (net && net->config.vni != config->vni))
		return error_set(err, ERR_CONFLICT, "VNI %u belongs to another network",
				 config->vni);
	same = net && network_settings_equal(&net->config, config) && ports_equal(net, config);
	if (!net) {
		net = net_new(n->state_dir, config);
		hashmap_put(n->nets, config->uid, net);
	}
	/* Asked for something new, only what was seen to be broken before counts as mended. */
	drifted = net->drifted || (!same && net->complete && lost_tap(n, net));
	was_complete = (same && net->complete) || drifted;
	net->drifted = false;
	if (!same) {
		net_configure(net, config);
		rc = FAIL_POINT_AROUND("net.save", config_save(net, err));
		if (rc < 0)
			return rc;
	}
	return error_wrap_rc(err, ensure_known(n, net, was_complete, ret, err), "network %s",
			     net->names.bridge);
}

/* ---- removing ---- */

/* Links of the network, by mark; -ERR_CONFLICT if its names carry another. */
static int collect_links(Networks *n, const Net *net, unsigned **ret, size_t *ret_n, Error *err)
{
	const char *const names[] = { net->names.bridge, net->names.router, net->names.transit };
	Links links = { 0 };
	unsigned *indexes;
	size_t count = 0;
	int rc = links_list(n->host.rt, &links, err);

	if (rc < 0)
		return rc;
	indexes = xnew0(unsigned, links.n + 1);
	for (size_t i = 0; i < links.n && rc == 0; i++) {
		const Link *l = &links.links[i];
		char store[UUID_MAX], uid[UUID_MAX], role[16];
		bool named = false;

		for (size_t j = 0; j < ARRAY_SIZE(names); j++)
			named |= streq(l->name, names[j]);
		if (alias_parse(l->alias, store, uid, role)) {
			if (streq(uid, net->uid))
				indexes[count++] = l->index;
			else if (named)
				rc = error_set(err, ERR_CONFLICT, "link %s belongs to network %s",
					       l->name, uid);
		} else if (named && (l->group == LINK_GROUP || !(l->flags & IFF_UP))) {
			indexes[count++] = l->index; /* half-made */
		}
	}
	links_done(&links);
	if (rc < 0) {
		free(indexes);
		return rc;
	}
	*ret = indexes;
	*ret_n = count;
	return 0;
}

static int remove_netns(Net *net, Error *err)
{
	_cleanup_(error_done) Error e = ERROR_INIT;
	int fd;

	net_close_inside(net);
	fd = netns_open(net->names.netns, &e);
	if (fd >= 0)
		fd_close(fd);
	else if (fd != -ERR_NOT_FOUND)
		return error_move(err, &e);
	return netns_remove(net->names.netns, err);
}

static int remove_pieces(Networks *n, Net *net, Error *err)
{
	_cleanup_(xfreep) unsigned *indexes = NULL;
	Change c = { 0 };
	size_t count;
	int rc = collect_links(n, net, &indexes, &count, err);

	if (rc == 0)
		rc = dnsmasq_adopt(&net->dnsmasq, net->directory, -1, err);
	if (rc == 0)
		rc = FAIL_POINT_AROUND("net.stop-dnsmasq", dnsmasq_stop(&net->dnsmasq, err));
	if (rc == 0)
		rc = FAIL_POINT_AROUND("net.delete-links",
				       links_delete(n->host.rt, indexes, count, err));
	if (rc == 0)
		rc = FAIL_POINT_AROUND("net.delete-namespace", remove_netns(net, err));
	if (rc == 0) { /* its elements are nobody's now */
		NftElements none = { 0 };
		Pass p = { .all = n, .net = net, .c = &c };

		net_configure(net, &(NetworkConfig){ .vni = net->config.vni });
		rc = links_list(n->host.rt, &p.root, err);
		if (rc == 0)
			rc = host_elements_add(&n->host, &none, &c, err);
		if (rc == 0)
			rc = FAIL_POINT_AROUND("net.drop-elements",
					       pass_prune_elements(&p, &none, err));
		if (rc == -ERR_NOT_FOUND) /* the tables have gone already */
			rc = error_ignore(err);
		links_done(&p.root);
	}
	if (rc == 0)
		rc = FAIL_POINT_AROUND("net.forget", fs_remove_tree(net->directory, err));
	change_done(&c);
	return rc;
}

int networks_remove(Networks *n, const char *uid, uint32_t vni, Error *err)
{
	Net *net = networks_get(n, uid), *other = networks_by_vni(n, vni);
	char store[UUID_MAX] = "";
	int rc;

	if (other && other != net)
		return error_set(err, ERR_CONFLICT, "VNI %u belongs to another network", vni);
	if (net && net->config.vni != vni)
		return error_set(err, ERR_CONFLICT, "network %s has VNI %u, not %u", uid,
				 net->config.vni, vni);
	if (!net) { /* pieces may be there that nobody remembers */
		NetworkConfig c = { .vni = vni };

		memcpy(c.uid, uid, sizeof(c.uid));
		net = net_new(n->state_dir, &c);
		hashmap_put(n->nets, uid, net);
	}
	memcpy(store, net->config.store_id, sizeof(store));
	rc = remove_pieces(n, net, err);
	if (rc < 0)
		return networks_soften(
			error_wrap_rc(err, rc, "remove network %s", net->names.bridge), err);
	hashmap_remove(n->nets, uid);
	if (hashmap_size(n->nets) == 0)
		return networks_soften(host_clear(&n->host, err), err);
	return 0;
}
