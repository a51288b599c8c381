/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a Network object and the allocation records to the network port's config, and back to
 * nothing. See network_config.h.
 */
#include "reconcile/network_config.h"

#include "base/failpoint.h"
#include "base/memory.h"
#include "reconcile/allocate.h"

void network_plan_done(NetworkPlan *p)
{
	free(p->ports);
}

static IpPrefix *prefix_of(NetworkConfig *c, int family)
{
	return family == AF_INET ? &c->prefix4 : &c->prefix6;
}

static IpAddress *gateway_of(NetworkConfig *c, int family)
{
	return family == AF_INET ? &c->gateway4 : &c->gateway6;
}

int network_addressing(const NetworkSpec *spec, NetworkConfig *ret, Error *err)
{
	IpAddress gateway;
	IpPrefix prefix;
	int rc;

	for (size_t i = 0; i < spec->n_cidrs; i++) {
		rc = ip_prefix_parse(spec->cidrs[i], &prefix, err);
		if (rc < 0)
			return error_wrap_rc(err, rc, "spec.cidrs[%zu]", i);
		*prefix_of(ret, prefix.address.family) = prefix;
		*gateway_of(ret, prefix.address.family) = ip_prefix_nth(&prefix, 1);
	}
	for (size_t i = 0; i < spec->n_gateways; i++) {
		rc = ip_parse(spec->gateways[i], &gateway, err);
		if (rc < 0)
			return error_wrap_rc(err, rc, "spec.gateways[%zu]", i);
		*gateway_of(ret, gateway.family) = gateway;
	}
	return 0;
}

_Static_assert((int)EGRESS_MODE_ROUTED == (int)EGRESS_ROUTED &&
		       (int)EGRESS_MODE_NONE == (int)EGRESS_NONE,
	       "the kind and the port count alike");

static int fill_dns(const NetworkSpec *spec, NetworkConfig *c, Error *err)
{
	int rc;

	c->dhcp = spec->dhcp.enabled;
	c->dns = spec->dns.enabled;
	snprintf(c->domain, sizeof(c->domain), "%s", spec->dns.domain ? spec->dns.domain : "");
	for (size_t i = 0; i < spec->dns.n_upstreams && i < NETWORK_UPSTREAMS_MAX; i++) {
		rc = ip_parse(spec->dns.upstreams[i], &c->upstreams[i], err);
		if (rc < 0)
			return error_wrap_rc(err, rc, "spec.dns.upstreams[%zu]", i);
		c->n_upstreams++;
	}
	return 0;
}

int network_plan(Reconcilers *r, const Object *net, const NetworkSpec *spec, uint32_t vni,
		 NetworkPlan *ret, Error *err)
{
	NetworkPlan p = {
		.config = {.vni = vni,
                           .mtu = (unsigned)spec->mtu,
                           .egress = (NetworkEgress)spec->egress}
	};
	int rc;

	snprintf(p.config.store_id, sizeof(p.config.store_id), "%s", store_id(r->env.store));
	snprintf(p.config.uid, sizeof(p.config.uid), "%s", object_head(net)->uid);
	rc = network_addressing(spec, &p.config, err);
	if (rc == 0)
		rc = fill_dns(spec, &p.config, err);
	if (rc == 0)
		rc = nic_list(r->env.store, p.config.uid, &p.ports, &p.config.n_ports, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "network %s", object_key(net)->name);
	p.config.ports = p.ports;
	*ret = p;
	return 0;
}

/*
 * The network as it is now: the caller's may be an old one, and must neither undo what was changed
 * since nor bring back to life what has gone. False: gone.
 */
static int plan_now(Reconcilers *r, const Object *net, uint32_t vni, NetworkPlan *ret, bool *there,
		    Error *err)
{
	_cleanup_(network_spec_freep) NetworkSpec *spec = NULL;
	_cleanup_(object_unrefp) Object *now = NULL;
	_cleanup_(json_decrefp) json_t *tree = NULL;
	int rc;

	*there = store_get(r->env.store, object_key(net), &now, NULL) == 0 &&
		 streq(object_head(now)->uid, object_head(net)->uid);
	if (!*there)
		return 0;
	tree = object_decode_lean(now);
	rc = network_spec_decode(tree, &spec, err);
	return rc < 0 ? rc : network_plan(r, now, spec, vni, ret, err);
}

int network_ensure(Reconcilers *r, Context *ctx, const Object *net, uint32_t vni, const Key *who,
		   NetworkStatus *ret, Error *err)
{
	_cleanup_(network_plan_done) NetworkPlan plan = { 0 };
	const char *uid = object_head(net)->uid;
	NetworkStatus st = { 0 };
	bool there;
	int rc;

	if (!busy_enter(r->busy, uid, who))
		return NETWORK_BUSY;
	rc = plan_now(r, net, vni, &plan, &there, err);
	if (rc == 0 && there)
		rc = FAIL_POINT_AROUND(
			"network.ensure",
			r->env.network->ops->ensure(r->env.network, ctx, &plan.config, &st, err));
	else if (rc == 0)
		snprintf(st.message, sizeof(st.message), "it is gone");
	busy_leave(r->busy, uid, r->env.manager);
	/* A failure may hide that something was mended before it. */
	if (rc < 0 || st.repaired) {
		_cleanup_(xfreep) char *what = waitlist_link(uid);

		waitlist_wake(r->waits, what, r->env.manager);
	}
	if (rc == 0)
		*ret = st;
	return rc;
}

int network_dismantle(Reconcilers *r, Context *ctx, const char *uid, uint32_t vni, Txn *t,
		      Error *err)
{
	NetworkDriver *d = r->env.network;
	int rc = 0;

	if (vni) {
		rc = FAIL_POINT_AROUND("network.remove", d->ops->remove(d, ctx, uid, vni, err));
		if (rc < 0)
			return rc;
		vni_release(t, vni);
	}
	/* Addresses at rest belong to a network that no longer is. */
	return network_forget_addresses(r->env.store, ctx, uid, err);
}
