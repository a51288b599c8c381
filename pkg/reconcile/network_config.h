/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a Network object and the allocation records to what the network port wants; and the one way
 * to ask for it, and to give it up. Used by the Network reconciler, by the Instance one for the
 * networks a guest is about to start on, and by the node's sweep.
 */
#pragma once

#include "api/types.h"
#include "reconcile/internal.h"

typedef struct NetworkPlan {
	NetworkConfig config; /* config.ports points to ports */
	NetworkPort *ports;
} NetworkPlan;

void network_plan_done(NetworkPlan *p);

/*
 * The prefixes and gateways of a spec: the gateway is the first address unless the spec says
 * otherwise. Fills the prefix and gateway members only.
 */
int network_addressing(const NetworkSpec *spec, NetworkConfig *ret, Error *err);
/* Everything; vni is the allocated one. */
int network_plan(Reconcilers *r, const Object *net, const NetworkSpec *spec, uint32_t vni,
		 NetworkPlan *ret, Error *err);

/*
 * Asks for the network as it is now, however old `net` is. NETWORK_BUSY (1): somebody else is
 * changing this network, and nothing was asked; `who` is enqueued when that is done. *ret is filled
 * by 0 only, neither by that answer nor by a failure. A network that was deleted meanwhile is left
 * alone and not ready.
 */
#define NETWORK_BUSY 1
int network_ensure(Reconcilers *r, Context *ctx, const Object *net, uint32_t vni, const Key *who,
		   NetworkStatus *ret, Error *err);
/*
 * Takes down the data plane and then what the network holds: its addresses at rest in Txns of their
 * own, its VNI (0 = it has none) in t, which the caller commits. To be called between busy_enter()
 * and busy_leave(), when no port is left on it.
 */
int network_dismantle(Reconcilers *r, Context *ctx, const char *uid, uint32_t vni, Txn *t,
		      Error *err);
