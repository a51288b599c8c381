/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Talking to nf_tables: texts go through libnftables, small questions that are asked often go
 * straight over netlink. Every function blocks for milliseconds at most. One thread.
 */
#pragma once

#include "base/sha.h"
#include "driver/net/netlink.h"
#include "driver/net/nft_text.h"

/* Runs a text in a namespace (-1 = here); the first line of nft's complaint becomes the error. */
int nft_run(int netns_fd, const char *text, Error *err);
/* The hash of how the kernel prints that table (no counters; elements only if `elements`);
 * -ERR_NOT_FOUND if there is none. */
int nft_fingerprint(int netns_fd, const char *table, bool elements, char ret[static SHA_HEX_MAX],
		    Error *err);

/* The rest takes a NETLINK_NETFILTER socket of the namespace that is meant. */

/* Counts every change of any table in that namespace. */
int nft_generation(Netlink *nfnl, uint32_t *ret, Error *err);
/* All elements of one of our sets of the bridge table. */
int nft_elements_list(Netlink *nfnl, NftSet set, NftElements *to, Error *err);
/* Raw keys of any set of the bridge table: link name and value. */
int nft_set_list(Netlink *nfnl, const char *set, NftElements *to, Error *err);
/* Packets of a named counter in the host's table. */
int nft_counter(Netlink *nfnl, const char *name, uint64_t *ret, Error *err);
/*
 * True if a chain that is not ours drops forwarded packets by policy, and its table does not speak
 * of our transit links; nor of our bridges, if `bridged` packets pass such chains too.
 * `ret_table` gets "family table".
 */
int nft_forward_blocked(Netlink *nfnl, bool bridged, bool *ret, char ret_table[static 64],
			Error *err);
