/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all networks of this host share: the two nft tables, the sysctls, the host's own addresses
 * and uplinks, and whether somebody else's firewall stops forwarded traffic. One thread.
 */
#pragma once

#include "driver/net/change.h"
#include "driver/net/links.h"
#include "driver/net/nft.h"

/* A table that we load as a whole, and how we know that it still is what we loaded. */
typedef struct NftTable {
	const char *table;             /* "inet sfd" */
	bool elements;                 /* its elements never change by themselves */
	char *file;                    /* where revision and fingerprint are kept, for adoption */
	char revision[REVISION_MAX];   /* of the text that was loaded; "" = unknown */
	char fingerprint[SHA_HEX_MAX]; /* of how the kernel printed it then */
	uint32_t generation;           /* the rule set's, when it was last compared */
	bool verified;
} NftTable;

/* Loads text unless what is there came from it untouched; *ret_loaded may be NULL. */
int nft_table_converge(NftTable *t, int netns_fd, Netlink *nfnl, const char *text,
		       const char *revision, const char *where, bool *ret_loaded, Change *c,
		       Error *err);
void nft_table_done(NftTable *t);

#define UPLINKS_MAX 8

typedef struct Host {
	char *state_dir;
	Netlink *rt, *nfnl;
	NftTable bridge, inet;
	NftElements elements; /* of the bridge table, sorted; valid while the generation stands */
	uint32_t elements_generation;
	bool elements_known;
	AddressList addresses; /* guests may not reach them */
	char uplinks[UPLINKS_MAX][IFNAMSIZ];
	size_t n_uplinks;
	unsigned uplink_mtu;
	uint64_t gap; /* packets let through that did not leave */
	uint64_t left;
	bool gap_known, gap_grew;
	bool egress_blocked;
	bool bridged; /* br_netfilter shows frames inside our bridges to the host's firewall */
	char blocker[96];
} Host;

int host_init(Host *h, const char *state_dir, Error *err);
void host_done(Host *h);

/* Addresses and uplinks; *ret_changed if they are not what they were. */
int host_observe(Host *h, const Links *links, bool *ret_changed, Error *err);

/* What the networks need of the host. */
typedef struct HostWant {
	const char *store;
	const NftElements *all; /* every element of every known network */
	const PrefixList *routed;
	bool forward4, forward6;
} HostWant;

int host_converge(Host *h, const HostWant *want, Change *c, Error *err);
/* Adds what is wanted (sorted) and missing. */
int host_elements_add(Host *h, const NftElements *want, Change *c, Error *err);
/* Removes elements of the given links (sorted names) that are not wanted. */
int host_elements_prune(Host *h, const NftElements *want, char (*links)[16], size_t n_links,
			Change *c, Error *err);
int host_check_egress(Host *h, Error *err);
/* The last network has gone: nothing stays. */
int host_clear(Host *h, Error *err);
