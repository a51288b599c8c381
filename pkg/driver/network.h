/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Port: the data plane of this host's virtual networks.
 *
 * A network is a bridge, a router namespace and dnsmasq, all named from its VNI and marked with
 * store and uid; a port of it is a tap plus filter elements, DHCP and DNS records. `ensure` is
 * level-triggered: it compares what is with what is wanted (including every port) and makes only
 * the difference; repeated without a change it changes nothing and says so. Nothing it does to a
 * network touches the taps of ports that did not change.
 *
 * Implementations: net/ (a client of the net role, and inside that role the netlink one) and fake/.
 * Functions block until ctx's deadline; any thread; calls for one network are serialised inside.
 */
#pragma once

#include "base/context.h"
#include "base/ip.h"
#include "base/random.h"

#define NETWORK_PORTS_MAX          4096
#define NETWORK_UPSTREAMS_MAX      8
#define NETWORK_PORT_ADDRESSES_MAX 4

typedef enum NetworkEgress { EGRESS_NONE, EGRESS_NAT, EGRESS_ROUTED } NetworkEgress;

typedef struct NetworkPort {
	uint32_t id;        /* allocated; names the tap: sft<8 hex digits> */
	char uid[UUID_MAX]; /* of the Instance */
	char hostname[64];  /* RFC 1123 label, lower case */
	MacAddress mac;
	IpAddress addresses[NETWORK_PORT_ADDRESSES_MAX];
	size_t n_addresses;
	bool multi_queue;
} NetworkPort;

typedef struct NetworkConfig {
	char store_id[UUID_MAX], uid[UUID_MAX];
	uint32_t vni;              /* 1 .. 16777215 */
	IpPrefix prefix4, prefix6; /* family 0 = none */
	IpAddress gateway4, gateway6;
	unsigned mtu; /* what guests are told; 0 = 1450 derived from the uplink */
	bool dhcp, dns;
	char domain[254];                           /* RFC 1123, lower case */
	IpAddress upstreams[NETWORK_UPSTREAMS_MAX]; /* none given: the host's own, never a loopback
						       one */
	size_t n_upstreams;
	NetworkEgress egress;
	const NetworkPort *ports; /* all of this network; caller's */
	size_t n_ports;
} NetworkConfig;

/* What ensure found and did. */
typedef struct NetworkStatus {
	bool ready;          /* everything is as wanted now */
	unsigned changes;    /* how many things had to be made or mended; 0 = was right already */
	bool repaired;       /* changes were made to something that had been complete before */
	bool egress_blocked; /* another firewall drops forwarded traffic */
	bool no_upstreams; /* DNS is on, but the host has no name server that guests could reach */
	char message[512]; /* for people: what was mended, what blocks */
	char bridge[16];
	char netns[16];
	unsigned mtu;
	pid_t dnsmasq_pid; /* 0 = none wanted */
} NetworkStatus;

typedef struct NetworkEntry {
	uint32_t vni;
	char store_id[UUID_MAX], uid[UUID_MAX];
} NetworkEntry;

/* uid NULL = anything may have changed (net role restarted, events were lost). From an own thread:
 * only enqueue. */
typedef void (*NetworkEventFn)(void *arg, const char *uid, const char *what);

/*
 * What every implementation refuses: -ERR_INVALID (or -ERR_EXHAUSTED) with a text for people. Names
 * are RFC 1123 labels, addresses lie in the prefixes, ports are distinct, MACs are not ours.
 */
int network_config_validate(const NetworkConfig *config, Error *err);
bool network_port_equal(const NetworkPort *a, const NetworkPort *b);
/* Everything but the ports. */
bool network_settings_equal(const NetworkConfig *a, const NetworkConfig *b);

static inline void network_tap_name(uint32_t port_id, char buf[static 16])
{
	static const char digits[] = "0123456789abcdef";

	memcpy(buf, "sft", 3);
	for (int i = 0; i < 8; i++)
		buf[3 + i] = digits[port_id >> (28 - 4 * i) & 0xf];
	buf[11] = '\0';
}

typedef struct NetworkDriver NetworkDriver;

typedef struct NetworkDriverOps {
	const char *name;
	int (*ensure)(NetworkDriver *self, Context *ctx, const NetworkConfig *config,
		      NetworkStatus *ret, Error *err);
	/* Removes everything of that network, its ports included; 0 if absent. -ERR_CONFLICT:
	 * carries another mark. */
	int (*remove)(NetworkDriver *self, Context *ctx, const char *uid, uint32_t vni, Error *err);
	/* Every network of this store id that is there in part or whole; caller frees *ret. */
	int (*list)(NetworkDriver *self, Context *ctx, const char *store_id, NetworkEntry **ret,
		    size_t *ret_n, Error *err);
	/* True in *ret if the address was seen in use on that network (lease or neighbour entry).
	 */
	int (*address_seen)(NetworkDriver *self, Context *ctx, const char *uid,
			    const IpAddress *address, bool *ret, Error *err);
	/*
	 * False in *ret if the tap of that port is one that nobody has opened since it was made:
	 * a guest that runs holds another, which is gone. Of a tap that was held and let go it is
	 * true, so that a guest that is just ending does not look as if it had lost its link.
	 * -ERR_NOT_FOUND: no such network or port is set up.
	 */
	int (*port_attached)(NetworkDriver *self, Context *ctx, const char *uid, uint32_t port_id,
			     bool *ret, Error *err);
	/* A connected TCP socket to address:port inside the network's router namespace; caller
	 * closes. */
	int (*dial)(NetworkDriver *self, Context *ctx, const char *uid, const IpAddress *address,
		    uint16_t port, int *ret_fd, Error *err);
	/* One subscriber, fn NULL = none from now on; it may be told uid NULL before this returns,
	 * in the caller's thread. An event that was on its way may still reach the one before after
	 * this has returned: what arg points to outlives the implementation. */
	void (*subscribe)(NetworkDriver *self, NetworkEventFn fn, void *arg);
	NetworkDriver *(*free)(NetworkDriver *self);
} NetworkDriverOps;

struct NetworkDriver {
	const NetworkDriverOps *ops;
};
