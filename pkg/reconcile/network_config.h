/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a Network object and the allocation records to what the network port wants; and the one way
 * to ask for it. Used by the Network reconciler, and by the Instance one for the networks a guest
 * is about to start on.
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
 * changing this network; `who` is enqueued when that is done. A network that was deleted meanwhile
 * is left alone and not ready.
 */
#define NETWORK_BUSY 1
int network_ensure(Reconcilers *r, Context *ctx, const Object *net, uint32_t vni, const Key *who,
		   NetworkStatus *ret, Error *err);
