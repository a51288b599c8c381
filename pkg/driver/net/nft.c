/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nf_tables through libnftables and netlink. See nft.h. Formats: linux/netfilter/nf_tables.h.
 *
 * A context of libnftables is made per call and namespace: keeping one per router would cost memory
 * for something that happens a few times in a network's life. libnftables ends the process when it
 * gets no socket, so descriptors are counted before (role.c raises the limit).
 */
#include "driver/net/nft.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <nftables/libnftables.h>
#include <stdio.h>

#include "base/memory.h"
#include "driver/net/names.h"
#include "driver/net/netns.h"

static void nft_ctx_freep(struct nft_ctx **c)
{
	if (*c)
		nft_ctx_free(*c);
}

static int nft_fail(struct nft_ctx *nft, Error *err)
{
	const char *text = nft_ctx_get_error_buffer(nft), *end = strchr(text, '\n');
	int n = end ? (int)(end - text) : (int)strlen(text);

	if (strstr(text, "No such file or directory"))
		return error_set(err, ERR_NOT_FOUND, "nft: %.*s", n, text);
	return error_set(err, ERR_UNAVAILABLE, "nft: %.*s", n, text);
}

static int nft_command(int netns_fd, const char *text, unsigned flags, char **ret_output,
		       Error *err)
{
	_cleanup_(nft_ctx_freep) struct nft_ctx *nft = NULL;
	NetnsSaved saved;
	int rc = netns_enter(netns_fd, &saved, err);

	if (rc < 0)
		return rc;
	nft = nft_ctx_new(NFT_CTX_DEFAULT);
	if (nft) {
		nft_ctx_buffer_error(nft);
		nft_ctx_buffer_output(nft);
		nft_ctx_output_set_flags(nft, flags);
		rc = nft_run_cmd_from_buffer(nft, text);
	}
	netns_leave(&saved);
	if (!nft)
		return error_set(err, ERR_UNAVAILABLE, "nft: no context");
	if (rc != 0)
		return nft_fail(nft, err);
	if (ret_output)
		*ret_output = xstrdup(nft_ctx_get_output_buffer(nft));
	return 0;
}

int nft_run(int netns_fd, const char *text, Error *err)
{
	return nft_command(netns_fd, text, 0, NULL, err);
}

int nft_fingerprint(int netns_fd, const char *table, bool elements, char ret[static SHA_HEX_MAX],
		    Error *err)
{
	_cleanup_(xfreep) char *output = NULL;
	char command[64];
	int rc;

	snprintf(command, sizeof(command), "list table %s", table);
	rc = nft_command(netns_fd, command,
			 NFT_CTX_OUTPUT_STATELESS | (elements ? 0 : NFT_CTX_OUTPUT_TERSE), &output,
			 err);
	if (rc < 0)
		return rc;
	sha_hex_of(SHA_256, output, strlen(output), ret);
	return 0;
}

static NetlinkMessage *nft_message(int type, int family)
{
	const struct nfgenmsg h = { .nfgen_family = (uint8_t)family };

	return netlink_message_new(NFNL_SUBSYS_NFTABLES << 8 | type, 0, &h, sizeof(h));
}

static int message_parse(const struct nlmsghdr *h, struct nlattr **tb, int max)
{
	return nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(struct nfgenmsg), tb, max, NULL);
}

static void generation_from(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[NFTA_GEN_MAX + 1];

	if (message_parse(h, tb, NFTA_GEN_MAX) == 0 && tb[NFTA_GEN_ID])
		*(uint32_t *)arg = ntohl(nla_get_u32(tb[NFTA_GEN_ID]));
}

int nft_generation(Netlink *nfnl, uint32_t *ret, Error *err)
{
	_cleanup_(netlink_message_freep) NetlinkMessage *m = nft_message(NFT_MSG_GETGEN, AF_UNSPEC);

	return netlink_get(nfnl, m, generation_from, ret, err);
}

typedef struct SetListing {
	NftSet set;
	NftElements *to;
} SetListing;

/* A key of two registers: 16 bytes of link name, then the value. */
static void elements_from(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[NFTA_SET_ELEM_LIST_MAX + 1], *entry;
	SetListing *l = arg;
	int rem;

	if (message_parse(h, tb, NFTA_SET_ELEM_LIST_MAX) < 0 || !tb[NFTA_SET_ELEM_LIST_ELEMENTS])
		return;
	nla_for_each_nested(entry, tb[NFTA_SET_ELEM_LIST_ELEMENTS], rem)
	{
		struct nlattr *e[NFTA_SET_ELEM_MAX + 1], *data[NFTA_DATA_MAX + 1];
		const char *key;
		int n;

		if (nla_parse_nested(e, NFTA_SET_ELEM_MAX, entry, NULL) < 0 ||
		    !e[NFTA_SET_ELEM_KEY] ||
		    nla_parse_nested(data, NFTA_DATA_MAX, e[NFTA_SET_ELEM_KEY], NULL) < 0 ||
		    !data[NFTA_DATA_VALUE])
			continue;
		key = nla_data(data[NFTA_DATA_VALUE]);
		n = nla_len(data[NFTA_DATA_VALUE]);
		if (n > 16 && n <= 32 && memchr(key, 0, 16))
			nft_elements_add(l->to, key, l->set, key + 16, (size_t)n - 16);
	}
}

static int set_list(Netlink *nfnl, const char *name, SetListing *l, Error *err)
{
	_cleanup_(netlink_message_freep) NetlinkMessage *m =
		nft_message(NFT_MSG_GETSETELEM, NFPROTO_BRIDGE);
	int rc;

	netlink_put_string(m, NFTA_SET_ELEM_LIST_TABLE, TABLE_NAME);
	netlink_put_string(m, NFTA_SET_ELEM_LIST_SET, name);
	rc = netlink_dump(nfnl, m, elements_from, l, err);
	return error_wrap_rc(err, rc, "list nft set %s", name);
}

int nft_elements_list(Netlink *nfnl, NftSet set, NftElements *to, Error *err)
{
	SetListing l = { .set = set, .to = to };

	return set_list(nfnl, nft_set_names[set], &l, err);
}

int nft_set_list(Netlink *nfnl, const char *set, NftElements *to, Error *err)
{
	SetListing l = { .set = NFT_SET_IN6, .to = to }; /* the widest: nothing is cut */

	return set_list(nfnl, set, &l, err);
}

static void counter_from(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[NFTA_OBJ_MAX + 1], *data[NFTA_COUNTER_MAX + 1];

	if (message_parse(h, tb, NFTA_OBJ_MAX) == 0 && tb[NFTA_OBJ_DATA] &&
	    nla_parse_nested(data, NFTA_COUNTER_MAX, tb[NFTA_OBJ_DATA], NULL) == 0 &&
	    data[NFTA_COUNTER_PACKETS])
		*(uint64_t *)arg = be64toh(nla_get_u64(data[NFTA_COUNTER_PACKETS]));
}

int nft_counter(Netlink *nfnl, const char *name, uint64_t *ret, Error *err)
{
	_cleanup_(netlink_message_freep) NetlinkMessage *m =
		nft_message(NFT_MSG_GETOBJ, NFPROTO_INET);

	netlink_put_string(m, NFTA_OBJ_TABLE, TABLE_NAME);
	netlink_put_string(m, NFTA_OBJ_NAME, name);
	netlink_put_u32(m, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
	return netlink_get(nfnl, m, counter_from, ret, err);
}

typedef struct Blockers {
	char tables[8][64]; /* "family name"; more than a few would be odd */
	size_t n;
} Blockers;

static const char *family_name(int family)
{
	switch (family) {
	case NFPROTO_INET:
		return "inet";
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_IPV6:
		return "ip6";
	default:
		return NULL;
	}
}

/* Only names that need no quoting are asked about further. */
static bool is_plain(const char *s)
{
	for (; *s; s++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.",
			    *s))
			return false;
	return true;
}

static void blockers_from(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[NFTA_CHAIN_MAX + 1], *hook[NFTA_HOOK_MAX + 1];
	const struct nfgenmsg *g = nlmsg_data(h);
	const char *family = family_name(g->nfgen_family), *table;
	Blockers *b = arg;

	if (!family || message_parse(h, tb, NFTA_CHAIN_MAX) < 0 || !tb[NFTA_CHAIN_HOOK] ||
	    !tb[NFTA_CHAIN_POLICY] || !tb[NFTA_CHAIN_TABLE] ||
	    nla_parse_nested(hook, NFTA_HOOK_MAX, tb[NFTA_CHAIN_HOOK], NULL) < 0 ||
	    !hook[NFTA_HOOK_HOOKNUM])
		return;
	table = nla_get_string(tb[NFTA_CHAIN_TABLE]);
	if (streq(table, TABLE_NAME) || ntohl(nla_get_u32(tb[NFTA_CHAIN_POLICY])) != NF_DROP ||
	    ntohl(nla_get_u32(hook[NFTA_HOOK_HOOKNUM])) != NF_INET_FORWARD || !is_plain(table) ||
	    b->n >= ARRAY_SIZE(b->tables))
		return;
	snprintf(b->tables[b->n++], sizeof(b->tables[0]), "%s %.56s", family, table);
}

/* An administrator's rule may name our links one by one or all at once. */
static bool speaks_of(const char *listing, const char *prefix)
{
	return strstr(listing, prefix) || strstr(listing, "\"sf*\"");
}

int nft_forward_blocked(Netlink *nfnl, bool bridged, bool *ret, char ret_table[static 64],
			Error *err)
{
	_cleanup_(netlink_message_freep) NetlinkMessage *m =
		nft_message(NFT_MSG_GETCHAIN, NFPROTO_UNSPEC);
	Blockers b = { 0 };
	int rc = netlink_dump(nfnl, m, blockers_from, &b, err);

	if (rc < 0)
		return rc;
	*ret = false;
	for (size_t i = 0; i < b.n && !*ret; i++) {
		_cleanup_(xfreep) char *output = NULL;
		char command[80];

		snprintf(command, sizeof(command), "list table %s", b.tables[i]);
		rc = nft_command(-1, command, NFT_CTX_OUTPUT_STATELESS, &output, err);
		if (rc == -ERR_NOT_FOUND) {
			error_ignore(err);
			continue; /* gone meanwhile */
		}
		if (rc < 0)
			return rc;
		if (speaks_of(output, "\"sfu") && (!bridged || speaks_of(output, "\"sfb")))
			continue;
		*ret = true;
		memcpy(ret_table, b.tables[i], 64);
	}
	return 0;
}
