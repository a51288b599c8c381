/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links: observing, making, setting, deleting. Attributes that the kernel takes only in a second
 * message after creation (alias, AF_SPEC, bridge port flags) are one LinkWant, which is also what
 * an observed link is compared with.
 */
#pragma once

#include <net/if.h>

#include "base/ip.h"
#include "driver/net/names.h"
#include "driver/net/netlink.h"

#define LINK_CARRIER (1u << 16) /* IFF_LOWER_UP, which <net/if.h> lacks */

typedef enum Tristate { UNSET, OFF, ON } Tristate;

typedef struct Link {
	unsigned index;
	char name[IFNAMSIZ];
	char kind[16], slave_kind[16];
	char alias[ALIAS_MAX];
	unsigned mtu, flags, master, group;
	unsigned peer; /* of a veth */
	int peer_nsid; /* -1 = this namespace */
	MacAddress mac;
	int arp_ignore, rp_filter, forwarding4, forwarding6, disable_ipv6, accept_ra;
	int addr_gen_mode;
	int learning, flood, isolated, locked; /* of a bridge port */
	bool stp, mcast_snooping;
	bool vnet_hdr, multi_queue, persistent; /* of a tap */
} Link;

typedef struct Links {
	Link *links; /* by name */
	size_t n, cap;
} Links;

int links_list(Netlink *nl, Links *ret, Error *err);
void links_done(Links *l);
const Link *links_find(const Links *l, const char *name);
const Link *links_by_index(const Links *l, unsigned index);

/* What a link should be; zero (UNSET, NULL) leaves an attribute alone. */
typedef struct LinkWant {
	const char *alias;
	unsigned mtu, master;
	Tristate arp_ignore8, rp_filter, forwarding4, no_addr_gen;
	Tristate learning, flood, isolated, locked;
	const MacAddress *mac;
} LinkWant;
/* True if it is as wanted; else *ret_what names the first attribute that is not. */
bool link_matches(const Link *l, const LinkWant *want, const char **ret_what);
int link_apply(Netlink *nl, unsigned index, const LinkWant *want, Error *err);
int link_up(Netlink *nl, unsigned index, bool up, Error *err);

int link_create_bridge(Netlink *nl, const char *name, const MacAddress *mac, unsigned mtu,
		       Error *err);
/* The peer is made inside netns_fd. */
int link_create_veth(Netlink *nl, const char *name, const MacAddress *mac, unsigned mtu,
		     unsigned master, int netns_fd, const char *peer, const MacAddress *peer_mac,
		     Error *err);
int link_create_tap(const char *name, bool multi_queue, Error *err);
/* The index by asking the kernel; -ERR_NOT_FOUND. */
int link_index(Netlink *nl, const char *name, unsigned *ret, Error *err);
/* True in *ret if something holds that tap open, or did since it was made; false also if there is
 * no such tap. Whether it is up does not matter. */
int link_was_held(Netlink *nl, const char *name, bool *ret, Error *err);
/* All of them with one wait for RCU. Links that are gone already are fine. */
int links_delete(Netlink *nl, const unsigned *indexes, size_t n, Error *err);
