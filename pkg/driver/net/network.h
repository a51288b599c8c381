/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One network of this host: its bridge, router namespace, ports and dnsmasq, as last asked for and
 * as found. One thread. Nets are owned by the Networks they are in.
 */
#pragma once

#include "base/hashmap.h"
#include "driver/net/dnsmasq.h"
#include "driver/net/host.h"

typedef struct Net {
	char uid[UUID_MAX];
	NetworkConfig config; /* as last asked for; `ports` is ours, sorted by id */
	NetworkPort *ports;
	NetNames names;
	char *directory; /* <state>/<uid> */
	char alias_bridge[ALIAS_MAX], alias_port[ALIAS_MAX], alias_router[ALIAS_MAX];
	int netns_fd;       /* -1 = not open */
	Netlink *rt, *nfnl; /* inside */
	NftTable table;
	Dnsmasq dnsmasq;
	unsigned mtu;       /* what guests are told */
	unsigned mtu_fixed; /* decided when it was made, if not asked for */
	bool complete;      /* everything of `config` was there at the end of an ensure */
	bool drifted;       /* and then something was found missing */
	bool dirty;         /* events came: look again */
	bool no_upstreams;
	char foreign[IFNAMSIZ]; /* a link in our bridge that is not ours */
	Hashmap *seen;          /* texts of addresses in use, told to the subscriber */
	int nsid;               /* by which events name our namespace; -1 = unknown */
	unsigned bridge_index, transit_index;
} Net;

typedef struct Networks {
	Host host;
	Hashmap *nets; /* uid -> Net */
	char *state_dir;
} Networks;

int networks_init(Networks *n, const char *state_dir, Error *err);
void networks_done(Networks *n);
Net *networks_get(Networks *n, const char *uid);
Net *networks_by_vni(Networks *n, uint32_t vni);
bool networks_has_port(const Net *net, uint32_t id);

/* The port functions, without deadline handling. */
int networks_ensure(Networks *n, const NetworkConfig *config, NetworkStatus *ret, Error *err);
int networks_remove(Networks *n, const char *uid, uint32_t vni, Error *err);
int networks_list(Networks *n, const char *store_id, NetworkEntry **ret, size_t *ret_n, Error *err);
int networks_address_seen(Networks *n, const char *uid, const IpAddress *a, bool *ret, Error *err);
int networks_port_attached(Networks *n, const char *uid, uint32_t port_id, bool *ret, Error *err);
/* A socket whose non-blocking connect has begun. */
int networks_dial(Networks *n, const char *uid, const IpAddress *a, uint16_t port, int *ret_fd,
		  Error *err);

/* Addresses that guests began to use since the last call: `told` for each. True if a guest that
 * runs has not been seen yet: ask again soon. */
typedef void (*SeenFn)(void *arg, const Net *net, const IpAddress *a);
int networks_seen(Networks *n, SeenFn told, void *arg, bool *ret_waiting, Error *err);

/* Compares without mending; c tells. */
int net_look(Networks *n, Net *net, Change *c, Error *err);

/* ---- parts of net_converge(), each in its own file ---- */

/* One run over a network. */
typedef struct Pass {
	Networks *all;
	Net *net;
	Change *c;
	Links root, inside; /* observed; inside is empty while there is no namespace */
	AddressList upstreams;
} Pass;

/* Bridge, namespace, veths. */
int pass_links(Pass *p, Error *err);
/* Addresses, routes, neighbours, FDB, forwarding, links up. */
int pass_records(Pass *p, Error *err);
/* Taps: others of this network removed; wanted ones made and set; and, once all else is there, up.
 */
int pass_remove_taps(Pass *p, Error *err);
int pass_taps(Pass *p, Error *err);
int pass_taps_up(Pass *p, Error *err);
int pass_observe(Pass *p, Error *err);
bool pass_is_port(const Net *net, const Link *l);
/* Elements of every network, and what the host has to be. */
int networks_converge_host(Networks *n, const char *store, Change *c, Error *err);
/* Fills `to` and net->no_upstreams. */
void upstreams_find(const Networks *n, Net *net, AddressList *to);
/* What a caller may take for "never" becomes "try again": its request was right. */
int networks_soften(int rc, Error *err);
int net_open_inside(Net *net, Error *err);
void net_close_inside(Net *net);
