/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network reconciler: the data plane of this host is what the Network and the allocation records
 * say.
 *
 * First the VNI is claimed, in the Txn that writes it into the status; then the driver is asked,
 * which compares and mends. A Network that guests are on is not deleted: it waits and says for
 * whom. Runs on controller workers.
 */
#include "base/memory.h"
#include "controller/reasons.h"
#include "reconcile/allocate.h"
#include "reconcile/network_config.h"

#define IN_USE_RECHECK (30 * USEC_PER_SEC)

static json_t *gateways_of(const NetworkConfig *c)
{
	json_t *list = json_array();
	char text[IP_TEXT_MAX];

	if (c->gateway4.family)
		json_array_append_new(list, json_string(ip_format(&c->gateway4, text)));
	if (c->gateway6.family)
		json_array_append_new(list, json_string(ip_format(&c->gateway6, text)));
	return list;
}

/* The VNI of a network, or 0 if it has none. */
static int network_vni(Reconcilers *r, const Object *obj, const json_t *tree, uint32_t *ret,
		       Error *err)
{
	uint32_t hint = (uint32_t)json_integer_at(tree, "status.vni", 0);
	int rc = vni_get(r->env.store, object_head(obj)->uid, hint, ret, err);

	if (rc == -ERR_NOT_FOUND) {
		*ret = 0;
		return error_ignore(err);
	}
	return rc;
}

/* Claims the VNI and says so in the status, in one Txn. */
static int network_claim(Reconcilers *r, Context *ctx, const Object *obj, const json_t *tree,
			 Error *err)
{
	_cleanup_(txn_freep) Txn *t = txn_new();
	json_t *status;
	uint32_t vni;
	int rc = vni_allocate(r->env.store, t, object_head(obj)->uid, &vni, err);

	if (rc < 0)
		return rc;
	status = status_begin(tree);
	json_object_set_new(status, "vni", json_integer(vni));
	json_object_set_new(status, "phase", json_string("Pending"));
	return status_write(r, ctx, obj, tree, status, TAKE_PTR(t), err);
}

static void report_conditions(Reconcilers *r, const Object *obj, json_t *status,
			      const NetworkStatus *st)
{
	if (st->ready)
		status_condition(r, obj, status, "Ready", CONDITION_TRUE, "Ready",
				 "bridge, router and services are in place");
	else
		status_condition(r, obj, status, "Ready", CONDITION_FALSE, "Incomplete",
				 st->message);
	if (st->egress_blocked)
		status_condition(r, obj, status, "EgressBlocked", CONDITION_TRUE, "ForeignFirewall",
				 st->message);
	else
		condition_remove(status, "EgressBlocked");
	if (st->no_upstreams)
		status_condition(r, obj, status, "NoUpstreams", CONDITION_TRUE,
				 "NoReachableNameServer",
				 "the host has no name server that guests could reach: set "
				 "spec.dns.upstreams");
	else
		condition_remove(status, "NoUpstreams");
}

static void tell(Reconcilers *r, const Object *obj, const json_t *tree, const NetworkStatus *st)
{
	const char *phase = json_string_at(tree, "status.phase");
	bool was_ready = streq_ptr(phase, "Ready");

	if (st->ready && !was_ready)
		recorder_event(r->env.recorder, obj, EVENT_NORMAL, REASON_NETWORK_CREATED,
			       "network is up on bridge %s", st->bridge);
	else if (st->repaired && was_ready)
		recorder_event(r->env.recorder, obj, EVENT_WARNING, REASON_NETWORK_REPAIRED, "%s",
			       *st->message ? st->message
					    : "something had been changed and was put back");
	if (st->egress_blocked && !condition_find(json_object_get(tree, "status"), "EgressBlocked"))
		recorder_event(r->env.recorder, obj, EVENT_WARNING, REASON_NETWORK_BLOCKED, "%s",
			       st->message);
}

static int network_report(Reconcilers *r, Context *ctx, const Object *obj, const json_t *tree,
			  const NetworkSpec *spec, uint32_t vni, const NetworkStatus *st,
			  Error *err)
{
	_cleanup_(xfreep) char *what =
		waitlist_what("network", object_key(obj)->namespace, object_key(obj)->name);
	const char *phase = st->ready ? "Ready" : "Pending";
	_cleanup_(xfreep) NetworkPort *ports = NULL;
	json_t *status = status_begin(tree);
	NetworkConfig addressing = { 0 };
	size_t n_ports = 0;
	int rc;

	network_addressing(spec, &addressing, NULL);
	if (nic_list(r->env.store, object_head(obj)->uid, &ports, &n_ports, NULL) == 0)
		json_object_set_new(status, "portsInUse", json_integer((json_int_t)n_ports));
	json_object_set_new(status, "phase", json_string(phase));
	json_object_set_new(status, "vni", json_integer(vni));
	json_object_set_new(status, "observedGeneration",
			    json_integer(object_head(obj)->generation));
	json_object_set_new(status, "bridge", json_string(st->bridge));
	json_object_set_new(status, "mtu", json_integer(st->mtu));
	json_object_set_new(status, "gateways", gateways_of(&addressing));
	json_object_set_new(
		status, "nodes",
		json_pack("[{s:s, s:s}]", "nodeName", r->env.node_name, "phase", phase));
	report_conditions(r, obj, status, st);
	tell(r, obj, tree, st);
	rc = status_write(r, ctx, obj, tree, status, NULL, err);
	if (rc == 0 && st->ready)
		waitlist_wake(r->waits, what, r->env.manager);
	census_set(r->census, object_head(obj)->uid, "Network", phase);
	return rc;
}

/* The finalizer last, so that a crash in between leaves an object to come back for. */
static int network_take_down(Reconcilers *r, Context *ctx, const Object *obj, uint32_t vni,
			     Error *err)
{
	_cleanup_(txn_freep) Txn *t = txn_new();
	int rc = network_dismantle(r, ctx, object_head(obj)->uid, vni, t, err);

	if (rc < 0)
		return error_wrap_rc(err, rc, "remove network %s", object_key(obj)->name);
	recorder_event(r->env.recorder, obj, EVENT_NORMAL, REASON_NETWORK_DELETED,
		       "network is gone");
	return object_release(r, ctx, obj, TAKE_PTR(t), err);
}

/* Waits while somebody is on it, else takes it down and lets go. */
static int network_delete(Reconcilers *r, Context *ctx, const Object *obj, const json_t *tree,
			  Result *ret, Error *err)
{
	_cleanup_(xfreep) NetworkPort *ports = NULL;
	const char *uid = object_head(obj)->uid;
	char text[160];
	uint32_t vni;
	size_t n = 0;
	int rc = nic_list(r->env.store, uid, &ports, &n, err);

	if (rc == 0)
		rc = network_vni(r, obj, tree, &vni, err);
	if (rc < 0)
		return rc;
	if (n) {
		json_t *status = status_begin(tree);

		snprintf(text, sizeof(text),
			 "%zu instance interface%s still use%s it (the first: %s)", n,
			 n == 1 ? "" : "s", n == 1 ? "s" : "", ports[0].hostname);
		json_object_set_new(status, "phase", json_string("Terminating"));
		status_condition(r, obj, status, "Ready", CONDITION_FALSE, "InUse", text);
		ret->requeue_after = IN_USE_RECHECK;
		return status_write(r, ctx, obj, tree, status, NULL, err);
	}
	/* Until the object is gone too: whoever waits for its turn then sees that it must not be
	 * made again. */
	if (!busy_enter(r->busy, uid, object_key(obj)))
		return 0;
	rc = network_take_down(r, ctx, obj, vni, err);
	busy_leave(r->busy, uid, r->env.manager);
	return rc;
}

/* NETWORK_CLAIMED (1): the object has changed, read it again. */
#define NETWORK_CLAIMED 1
static int network_once(Reconcilers *r, Context *ctx, const Key *key, Result *ret, Error *err)
{
	_cleanup_(network_spec_freep) NetworkSpec *spec = NULL;
	_cleanup_(object_unrefp) Object *obj = NULL;
	_cleanup_(json_decrefp) json_t *tree = NULL;
	NetworkStatus st = { 0 };
	uint32_t vni;
	int rc = store_get(r->env.store, key, &obj, err);

	if (rc == -ERR_NOT_FOUND)
		return error_ignore(err);
	if (rc < 0)
		return rc;
	tree = object_decode_lean(obj);
	if (object_is_deleting(obj))
		return network_delete(r, ctx, obj, tree, ret, err);
	rc = network_spec_decode(tree, &spec, err);
	if (rc < 0)
		return status_undecodable(r, ctx, obj, tree, rc, err);
	rc = network_vni(r, obj, tree, &vni, err);
	if (rc < 0)
		return rc;
	if (!vni) {
		rc = network_claim(r, ctx, obj, tree, err);
		return rc < 0 ? rc : NETWORK_CLAIMED;
	}
	rc = network_ensure(r, ctx, obj, vni, key, &st, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "network data plane");
	if (rc == NETWORK_BUSY)
		return 0;
	return network_report(r, ctx, obj, tree, spec, vni, &st, err);
}

static int network_reconcile(void *self, Context *ctx, const Key *key, Result *ret, Error *err)
{
	int rc = network_once(self, ctx, key, ret, err);

	return rc == NETWORK_CLAIMED ? network_once(self, ctx, key, ret, err) : rc;
}

ControllerSpec network_controller(void)
{
	static const Trigger triggers[] = { { NULL } };

	return (ControllerSpec){ .name = "network",
				 .gr = GR_NETWORK,
				 .workers = 2,
				 .resync = 10 * USEC_PER_MIN,
				 .triggers = triggers,
				 .reconcile = network_reconcile };
}
