/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's side. See host.h.
 *
 * Forwarding is switched on for the transit links and for links that hold a default route, never
 * for the whole host (IPv4); IPv6 knows only the whole host, after which an uplink ignores router
 * advertisements unless accept_ra is 2. What was there before is kept in a file and put back with
 * the last network.
 */
#include "driver/net/host.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/memory.h"
#include "driver/net/records.h"
#include "driver/net/sysctl.h"

#define GAP_TOLERANCE 2 /* packets between the two counters while we read them */

int host_init(Host *h, const char *state_dir, Error *err)
{
	int rc;

	*h = (Host){ .state_dir = xstrdup(state_dir), .uplink_mtu = MTU_DEFAULT };
	h->bridge.table = "bridge " TABLE_NAME;
	h->bridge.file = xasprintf("%s/bridge.sum", state_dir);
	h->inet.table = "inet " TABLE_NAME;
	h->inet.elements = true;
	h->inet.file = xasprintf("%s/host.sum", state_dir);
	rc = netlink_open(-1, NETLINK_ROUTE, &h->rt, err);
	if (rc == 0)
		rc = netlink_open(-1, NETLINK_NETFILTER, &h->nfnl, err);
	return rc;
}

void host_done(Host *h)
{
	netlink_free(h->rt);
	netlink_free(h->nfnl);
	nft_table_done(&h->bridge);
	nft_table_done(&h->inet);
	nft_elements_done(&h->elements);
	address_list_done(&h->addresses);
	free(h->state_dir);
}

/* ---- addresses and uplinks ---- */

static bool is_ours(const Link *l)
{
	return l->group == LINK_GROUP && str_has_prefix(l->name, "sf");
}

/* Addresses that mean "this host" only from inside it are dropped elsewhere. */
static bool is_reachable(const IpAddress *a)
{
	static const IpAddress loopback6 = { .family = AF_INET6, .bytes = { [15] = 1 } };

	if (a->family == AF_INET)
		return a->bytes[0] != 127;
	return !ip_equal(a, &loopback6) && !(a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80);
}

/* A host also hears what is sent to the last address of its networks, and older ones the first. */
static void add_broadcasts(AddressList *to, const Record *r)
{
	if (r->address.family != AF_INET || r->length > 30)
		return;
	for (int last = 0; last <= 1; last++) {
		IpAddress a = r->address;

		for (unsigned bit = r->length; bit < 32; bit++) {
			uint8_t mask = (uint8_t)(0x80 >> (bit % 8));

			if (last)
				a.bytes[bit / 8] |= mask;
			else
				a.bytes[bit / 8] &= (uint8_t)~mask;
		}
		address_list_add(to, &a);
	}
}

static int observe_addresses(Host *h, const Links *links, AddressList *to, Error *err)
{
	_cleanup_(xfreep) unsigned *indexes = xnew0(unsigned, links->n + 1);
	Records found = { 0 };
	size_t n = 0;
	int rc;

	for (size_t i = 0; i < links->n; i++)
		if (!is_ours(&links->links[i]))
			indexes[n++] = links->links[i].index;
	rc = records_list_addresses(h->rt, indexes, n, &found, err);
	for (size_t i = 0; i < found.n; i++)
		if (is_reachable(&found.records[i].address)) {
			address_list_add(to, &found.records[i].address);
			add_broadcasts(to, &found.records[i]);
		}
	records_done(&found);
	address_list_sort(to);
	return rc;
}

typedef struct Defaults {
	unsigned indexes[UPLINKS_MAX];
	size_t n;
} Defaults;

static void add_default(void *arg, const struct nlmsghdr *msg)
{
	struct nlattr *tb[RTA_MAX + 1];
	struct rtmsg *m = nlmsg_data(msg);
	Defaults *d = arg;

	if (msg->nlmsg_type != RTM_NEWROUTE || m->rtm_dst_len || m->rtm_type != RTN_UNICAST ||
	    m->rtm_table != RT_TABLE_MAIN || d->n >= UPLINKS_MAX ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)msg, sizeof(*m), tb, RTA_MAX, NULL) < 0 ||
	    !tb[RTA_OIF])
		return;
	for (size_t i = 0; i < d->n; i++)
		if (d->indexes[i] == nla_get_u32(tb[RTA_OIF]))
			return;
	d->indexes[d->n++] = nla_get_u32(tb[RTA_OIF]);
}

static int observe_uplinks(Host *h, const Links *links, bool *changed, Error *err)
{
	char names[UPLINKS_MAX][IFNAMSIZ] = { 0 };
	Defaults d = { 0 };
	unsigned mtu = 0;
	size_t n = 0;

	for (int i = 0; i < 2; i++) {
		const struct rtmsg all = { .rtm_family = i ? AF_INET6 : AF_INET };
		_cleanup_(netlink_message_freep) NetlinkMessage *m =
			netlink_message_new(RTM_GETROUTE, 0, &all, sizeof(all));
		int rc = netlink_dump(h->rt, m, add_default, &d, err);

		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < d.n; i++) {
		const Link *l = links_by_index(links, d.indexes[i]);

		if (!l)
			continue;
		memcpy(names[n++], l->name, IFNAMSIZ);
		mtu = mtu ? MIN(mtu, l->mtu) : l->mtu;
	}
	*changed |= n != h->n_uplinks || memcmp(names, h->uplinks, sizeof(names)) != 0;
	memcpy(h->uplinks, names, sizeof(names));
	h->n_uplinks = n;
	h->uplink_mtu = mtu >= MTU_MIN + MTU_OVERHEAD && mtu <= 65000 ? mtu : MTU_DEFAULT;
	return 0;
}

int host_observe(Host *h, const Links *links, bool *ret_changed, Error *err)
{
	AddressList found = { 0 };
	bool changed = false;
	int rc = observe_addresses(h, links, &found, err);

	if (rc == 0)
		rc = observe_uplinks(h, links, &changed, err);
	if (rc < 0) {
		address_list_done(&found);
		return error_wrap_rc(err, rc, "observe host");
	}
	changed |= !address_list_equal(&found, &h->addresses);
	address_list_done(&h->addresses);
	h->addresses = found;
	if (ret_changed)
		*ret_changed = changed;
	return 0;
}

/* ---- elements ---- */

static int elements_refresh(Host *h, Error *err)
{
	uint32_t before = 0, after = 0;
	NftElements found = { 0 };
	int rc = nft_generation(h->nfnl, &before, err);

	if (rc < 0 || (h->elements_known && h->elements_generation == before))
		return rc;
	h->elements_known = false;
	for (NftSet set = 0; set < _NFT_SET_MAX && rc == 0; set++)
		rc = nft_elements_list(h->nfnl, set, &found, err);
	if (rc == 0)
		rc = nft_generation(h->nfnl, &after, err);
	if (rc < 0) {
		nft_elements_done(&found);
		return rc;
	}
	nft_elements_sort(&found);
	nft_elements_done(&h->elements);
	h->elements = found;
	h->elements_generation = after;
	h->elements_known = before == after;
	return 0;
}

/* Runs text; if nobody else changed anything meanwhile, what we knew of the tables stays true. */
static int elements_commit(Host *h, const StrBuf *text, Error *err)
{
	uint32_t before = 0, after = 0;
	int rc;

	if (!text->len)
		return 0;
	rc = nft_generation(h->nfnl, &before, err);
	if (rc == 0)
		rc = nft_run(-1, strbuf_str(text), err);
	if (rc == 0)
		rc = nft_generation(h->nfnl, &after, err);
	h->elements_known = false;
	if (rc < 0)
		return error_wrap_rc(err, rc, "change filter elements");
	if (after == before + 1) {
		NftTable *tables[] = { &h->bridge, &h->inet };

		for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
			if (tables[i]->verified && tables[i]->generation == before)
				tables[i]->generation = after;
	}
	return 0;
}

static bool elements_have(const NftElements *l, const NftElement *e)
{
	return l->n && bsearch(e, l->elements, l->n, sizeof(*e), nft_element_compare);
}

int host_elements_add(Host *h, const NftElements *want, Change *c, Error *err)
{
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT;
	int rc = elements_refresh(h, err);

	if (rc == -ERR_NOT_FOUND && c->look) {
		error_ignore(err);
		change_add(c, "missing", "filter elements", NULL);
		return 0;
	}
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < want->n; i++) {
		const NftElement *e = &want->elements[i];

		if (!elements_have(&h->elements, e) &&
		    change_add(c, "added filter element", nft_set_names[e->set], e->link))
			nft_element_render(e, false, &text);
	}
	return elements_commit(h, &text, err);
}

static int name_compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

int host_elements_prune(Host *h, const NftElements *want, char (*links)[16], size_t n_links,
			Change *c, Error *err)
{
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT;
	int rc = elements_refresh(h, err);

	if (rc == -ERR_NOT_FOUND && c->look) {
		error_ignore(err);
		return 0;
	}
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < h->elements.n; i++) {
		const NftElement *e = &h->elements.elements[i];

		if (bsearch(e->link, links, n_links, sizeof(*links), name_compare) &&
		    !elements_have(want, e) &&
		    change_add(c, "removed filter element", nft_set_names[e->set], e->link))
			nft_element_render(e, true, &text);
	}
	return elements_commit(h, &text, err);
}

/* ---- tables and sysctls ---- */

static int converge_tables(Host *h, const HostWant *want, Change *c, Error *err)
{
	_cleanup_(strbuf_done) StrBuf bridge = STRBUF_INIT, inet = STRBUF_INIT;
	char revision[REVISION_MAX];
	bool loaded = false;
	int rc;

	nft_bridge_render(want->store, &bridge, revision);
	/* The guests' elements come in the same transaction: their traffic never stops. */
	for (size_t i = 0; i < want->all->n; i++)
		nft_element_render(&want->all->elements[i], false, &bridge);
	rc = nft_table_converge(&h->bridge, -1, h->nfnl, strbuf_str(&bridge), revision,
				"bridge sfd", &loaded, c, err);
	if (loaded)
		h->elements_known = false;
	if (rc < 0)
		return rc;
	nft_host_render(want->store, &h->addresses, want->routed, &inet, revision);
	return nft_table_converge(&h->inet, -1, h->nfnl, strbuf_str(&inet), revision,
				  "inet sfd on the host", NULL, c, err);
}

static int sysctl_remember(Host *h, const char *key, int value, Error *err)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/sysctl.saved", h->state_dir), *text = NULL;
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;

	if (fs_read(path, 65536, &text, NULL, NULL) == 0) {
		_cleanup_(xfreep) char *prefix = xasprintf("%s ", key);

		if (strstr(text, prefix))
			return 0; /* the first value is the host's own */
		strbuf_adds(&b, text);
	}
	strbuf_addf(&b, "%s %d\n", key, value);
	return fs_write_atomic(path, b.buf, b.len, 0644, false, err);
}

static int host_sysctl(Host *h, const char *key, int value, int only_if, Change *c, Error *err)
{
	const SysctlWant want = { .key = key, .value = value };
	_cleanup_(error_done) Error e = ERROR_INIT;
	int is, rc = sysctl_read(key, &is, &e);

	if (rc == -ERR_NOT_FOUND)
		return 0; /* no IPv6, or the link has just gone */
	if (rc < 0)
		return error_move(err, &e);
	if (is == value || (only_if >= 0 && is != only_if))
		return 0;
	if (!c->look) {
		rc = sysctl_remember(h, key, is, err);
		if (rc < 0)
			return rc;
	}
	return sysctl_converge(-1, &want, 1, "the host", c, err);
}

static int converge_sysctls(Host *h, const HostWant *want, Change *c, Error *err)
{
	char key[64];
	int rc = 0;

	for (size_t i = 0; i < h->n_uplinks && rc == 0; i++) {
		snprintf(key, sizeof(key), "ipv4/conf/%s/forwarding", h->uplinks[i]);
		if (want->forward4)
			rc = host_sysctl(h, key, 1, -1, c, err);
		snprintf(key, sizeof(key), "ipv6/conf/%s/accept_ra", h->uplinks[i]);
		if (want->forward6 && rc == 0)
			rc = host_sysctl(h, key, 2, 1, c, err);
	}
	if (want->forward6 && rc == 0)
		rc = host_sysctl(h, "ipv6/conf/all/forwarding", 1, -1, c, err);
	return rc;
}

int host_converge(Host *h, const HostWant *want, Change *c, Error *err)
{
	int rc = converge_tables(h, want, c, err);

	return rc < 0 ? rc : converge_sysctls(h, want, c, err);
}

/* ---- other people's firewalls ---- */

int host_check_egress(Host *h, Error *err)
{
	_cleanup_(error_done) Error e = ERROR_INIT;
	uint64_t seen = 0, left = 0, gap;
	bool policy = false, moved;
	int bridged = 0;
	char table[64] = "";
	int rc;

	/* In this order a packet on its way makes the gap smaller, not larger. */
	rc = nft_counter(h->nfnl, "fwd_seen", &seen, &e);
	if (rc == 0)
		rc = nft_counter(h->nfnl, "fwd_left", &left, &e);
	if (rc == -ERR_NOT_FOUND)
		return 0; /* no table yet */
	h->bridged = sysctl_read("bridge/bridge-nf-call-iptables", &bridged, NULL) == 0 && bridged;
	if (rc == 0)
		rc = nft_forward_blocked(h->nfnl, h->bridged, &policy, table, &e);
	if (rc < 0)
		return error_move(err, &e);
	gap = seen > left ? seen - left : 0;
	moved = h->gap_known && left > h->left;
	if (h->gap_known && gap > h->gap + GAP_TOLERANCE)
		h->gap_grew = true;
	else if (moved || !h->gap_known)
		h->gap_grew = false;
	if (!h->gap_known || gap < h->gap || gap > h->gap + GAP_TOLERANCE)
		h->gap = gap;
	h->left = left;
	h->gap_known = true;
	h->egress_blocked = policy || h->gap_grew;
	snprintf(h->blocker, sizeof(h->blocker), "%s%s",
		 policy ? "nft table " : "the host's firewall", table);
	return 0;
}

/* ---- the end ---- */

static void sysctls_restore(Host *h)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/sysctl.saved", h->state_dir), *text = NULL;
	_cleanup_(strv_freep) char **lines = NULL;

	if (fs_read(path, 65536, &text, NULL, NULL) < 0)
		return;
	lines = strv_split(text, '\n');
	strv_foreach (line, lines) {
		char key[128];
		int value;

		/* A link may have gone since; there is nothing to put back on it then. */
		if (sscanf(*line, "%127s %d", key, &value) == 2 && !strstr(key, ".."))
			(void)sysctl_write(key, value, NULL);
	}
	(void)fs_unlink(path, NULL);
}

int host_clear(Host *h, Error *err)
{
	NftTable *tables[] = { &h->bridge, &h->inet };
	int rc = nft_run(-1,
			 "table bridge " TABLE_NAME "\ndelete table bridge " TABLE_NAME
			 "\ntable inet " TABLE_NAME "\ndelete table inet " TABLE_NAME "\n",
			 err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		tables[i]->verified = false;
		tables[i]->revision[0] = '\0';
		(void)fs_unlink(tables[i]->file, NULL);
	}
	h->elements_known = false;
	h->gap_known = false;
	sysctls_restore(h);
	return 0;
}
