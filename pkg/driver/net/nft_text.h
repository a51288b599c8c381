/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rule sets as text for libnftables. Pure: from values that were parsed and are printed again,
 * never from text of a client. Every table comes as "make, delete, make whole", which the kernel
 * takes as one transaction: there is never a moment without rules.
 */
#pragma once

#include "base/strbuf.h"
#include "driver/network.h"

typedef struct AddressList {
	IpAddress *addresses; /* sorted, distinct */
	size_t n, cap;
} AddressList;

void address_list_add(AddressList *l, const IpAddress *a);
void address_list_sort(AddressList *l);
bool address_list_contains(const AddressList *l, const IpAddress *a);
bool address_list_equal(const AddressList *a, const AddressList *b);
void address_list_done(AddressList *l);

typedef struct PrefixList {
	IpPrefix *prefixes;
	size_t n, cap;
} PrefixList;

void prefix_list_sort(PrefixList *l); /* and makes them distinct */

#define REVISION_MAX 17 /* 16 hexadecimal digits of the text's hash */

/* table bridge sfd, without elements: anti-spoofing, isolation, who has been seen. */
void nft_bridge_render(const char *store, StrBuf *out, char revision[static REVISION_MAX]);
/* table inet sfd of the host: what may pass between uplink and router namespaces. */
void nft_host_render(const char *store, const AddressList *hosts, const PrefixList *routed,
		     StrBuf *out, char revision[static REVISION_MAX]);
/* table inet sfd of a router namespace. */
void nft_router_render(const NetworkConfig *c, const AddressList *hosts, StrBuf *out,
		       char revision[static REVISION_MAX]);

/* A guest is elements of these sets of the bridge table. */
typedef enum NftSet {
	NFT_SET_MAC,
	NFT_SET_DH,
	NFT_SET_IN4,
	NFT_SET_IN6,
	NFT_SET_ND,
	_NFT_SET_MAX
} NftSet;
extern const char *const nft_set_names[_NFT_SET_MAX];

typedef struct NftElement {
	NftSet set;
	char link[16];
	uint8_t value[16]; /* as on the wire; unused bytes are zero */
} NftElement;

typedef struct NftElements {
	NftElement *elements;
	size_t n, cap;
} NftElements;

void nft_elements_add(NftElements *l, const char *link, NftSet set, const void *value, size_t n);
void nft_elements_for_port(NftElements *l, const NetworkPort *p);
void nft_elements_sort(NftElements *l);
int nft_element_compare(const void *a, const void *b);
void nft_elements_done(NftElements *l);
/* "add element ..." or "delete element ...", one line. */
void nft_element_render(const NftElement *e, bool remove, StrBuf *out);
