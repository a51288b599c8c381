/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocations: VNIs, tap ids, MAC addresses and IP addresses, as records of the store's log. What a
 * function here chooses is only claimed when the Txn it added to commits; a neighbour that was
 * faster makes that Txn fail with -ERR_CONFLICT and the reconcile runs again. Drivers and
 * configurations are made from these records, never from a status.
 *
 * Names (all of GR_ALLOC) and bodies (JSON); networks and instances are named by their uid:
 *
 *	vni/<vni>                       {network}
 *	nic/<network>/<instance>/<nic>  {portID, mac, addresses, hostname, owner}
 *	port/<port id>                  {instance}
 *	mac/<network>/<mac>             {instance, owner, nic}
 *	address/<network>/<address>     {instance, owner, nic} or {released: in us since 1970}
 *
 * A released address rests before it is given to somebody else, so that caches of its neighbours
 * forget.
 */
#pragma once

#include "base/hashmap.h"
#include "driver/network.h"
#include "store/store.h"

#define ADDRESS_REST (5 * USEC_PER_MIN)
#define VNI_MIN      1u
#define VNI_MAX      16777215u

/*
 * The network's VNI, by its record: -ERR_NOT_FOUND if it has none. hint (0 = none) is where to look
 * first, as a status says it; users may write a status, so it is never believed.
 */
int vni_get(Store *s, const char *network_uid, uint32_t hint, uint32_t *ret, Error *err);
/* Claims one for a network that has none; t must be committed before it is used. */
int vni_allocate(Store *s, Txn *t, const char *network_uid, uint32_t *ret, Error *err);
void vni_release(Txn *t, uint32_t vni);
/* Adds the networks that have one; the value is the VNI, as hint for vni_get(). */
int vni_list(Store *s, Hashmap *add, Error *err);

typedef struct NicRequest {
	const char *network_uid;
	const char *instance_uid;
	const char *owner; /* "namespace/name", for messages */
	const char *nic;   /* the spec's interface name */
	const char *hostname;
	const char *mac;           /* NULL = choose */
	char *const *addresses;    /* strv of wanted ones; families that are not named are chosen */
	char *const *others;       /* strv of those that are not to be chosen */
	IpPrefix prefix4, prefix6; /* family 0 = none */
	IpAddress gateway4, gateway6;
} NicRequest;

/* -ERR_NOT_FOUND if that nic has nothing yet. */
int nic_get(Store *s, const char *network_uid, const char *instance_uid, const char *nic,
	    NetworkPort *ret, Error *err);
/*
 * Adds the claims to t. -ERR_EXISTS: a wanted address or MAC belongs to somebody else (the text
 * names whom); -ERR_UNAVAILABLE: to another interface of the same instance; -ERR_EXHAUSTED: the
 * prefix is full; -ERR_INVALID: outside the prefix.
 */
int nic_allocate(Store *s, Clock *clock, Txn *t, const NicRequest *request, NetworkPort *ret,
		 Error *err);
/* Gives up everything of an instance (of one nic, if nic is not NULL). */
int nic_release(Store *s, Clock *clock, Txn *t, const char *instance_uid, const char *nic,
		Error *err);
/* The same for all that it has on one network. */
int nic_release_on(Store *s, Clock *clock, Txn *t, const char *network_uid,
		   const char *instance_uid, Error *err);
/* All ports of a network in port order; caller frees. */
int nic_list(Store *s, const char *network_uid, NetworkPort **ret, size_t *ret_n, Error *err);
/* Add the networks, or the instances, that have ports; no values. */
int nic_networks(Store *s, Hashmap *add, Error *err);
int nic_instances(Store *s, Hashmap *add, Error *err);
/* Forgets every address record of a network that is being removed, in Txns of its own. */
int network_forget_addresses(Store *s, Context *ctx, const char *network_uid, Error *err);
