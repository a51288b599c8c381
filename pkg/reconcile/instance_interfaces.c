/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instance reconciler: its interfaces. Each claims a port and addresses of its network before the
 * guest starts, and gives them back while the guest is off; status.interfaces tells what is held.
 * See instance.h.
 */
#include "base/failpoint.h"
#include "base/memory.h"
#include "controller/reasons.h"
#include "reconcile/instance.h"

#define TAKEN_RECHECK (15 * USEC_PER_SEC)

static bool nic_has_network(const InstanceNic *n)
{
	return n->object && !object_is_deleting(n->object) && n->vni;
}

/* 0, STEP_WAITS (the network is not there or not numbered yet), or an error. The first look was
 * long ago: it may have come up since. */
static int nic_needs_network(InstanceWork *w, InstanceNic *n, Error *err)
{
	int rc;

	if (nic_has_network(n))
		return 0;
	instance_wait_on(w, "network", n->network);
	rc = instance_resolve_nic(w, n, err);
	if (rc < 0 || nic_has_network(n))
		return rc;
	if (!n->object)
		return instance_waits(w, "WaitingForNetwork", "interface %s: %s", n->name,
				      error_message(&n->trouble));
	if (object_is_deleting(n->object))
		return instance_waits(w, "WaitingForNetwork",
				      "interface %s: network %s is being deleted", n->name,
				      n->network);
	return instance_waits(w, "WaitingForNetwork", "interface %s: network %s is not up yet",
			      n->name, n->network);
}

static int allocation_failed(InstanceWork *w, const InstanceNic *n, int rc, Error *trouble,
			     Error *err)
{
	const char *reason = rc == -ERR_EXISTS        ? "AddressInUse"
			     : rc == -ERR_INVALID     ? "InvalidAddress"
			     : rc == -ERR_EXHAUSTED   ? "NoFreeAddress"
			     : rc == -ERR_UNAVAILABLE ? "WaitingForRestart"
						      : NULL;

	if (!reason)
		return error_move(err, trouble);
	if (rc == -ERR_EXISTS)
		recorder_event(w->r->env.recorder, w->obj, EVENT_WARNING,
			       REASON_INSTANCE_ADDRESS_TAKEN, "%s", error_message(trouble));
	instance_waits(w, reason, "interface %s: %s", n->name, error_message(trouble));
	/* Its own old interface lets go when the guest is off, which wakes us. */
	w->wait_for = rc == -ERR_UNAVAILABLE ? 0 : TAKEN_RECHECK;
	error_done(trouble);
	return STEP_WAITS;
}

/* What the instance's other interfaces on that network ask for, or were just given. */
static char **others_of(const InstanceWork *w, const InstanceNic *n)
{
	char **others = NULL, text[IP_TEXT_MAX];

	for (size_t i = 0; i < w->n_nics; i++) {
		const InstanceNic *o = &w->nics[i];

		if (o == n || !o->object ||
		    !streq(object_head(o->object)->uid, object_head(n->object)->uid))
			continue;
		strv_foreach (a, o->addresses)
			others = strv_append(others, *a);
		for (size_t j = 0; o->allocated && j < o->port.n_addresses; j++)
			others = strv_append(others, ip_format(&o->port.addresses[j], text));
	}
	return others;
}

static int allocate_nic(InstanceWork *w, Txn *t, InstanceNic *n, Error *err)
{
	_cleanup_(strv_freep) char **others = others_of(w, n);
	Error trouble = ERROR_INIT;
	NicRequest q = { .network_uid = object_head(n->object)->uid,
			 .instance_uid = w->uid,
			 .owner = w->owner,
			 .nic = n->name,
			 .hostname = w->key.name,
			 .mac = n->mac,
			 .addresses = n->addresses,
			 .others = others,
			 .prefix4 = n->addressing.prefix4,
			 .prefix6 = n->addressing.prefix6,
			 .gateway4 = n->addressing.gateway4,
			 .gateway6 = n->addressing.gateway6 };
	int rc = nic_allocate(w->r->env.store, w->r->env.clock, t, &q, &n->port, &trouble);

	if (rc < 0)
		return allocation_failed(w, n, rc, &trouble, err);
	/* What is claimed on a network that has gone is given back by nobody. */
	txn_require_active(t, n->object);
	return 0;
}

static json_t *interface_status(const InstanceNic *n)
{
	json_t *addresses = json_array();
	char text[IP_TEXT_MAX], mac[MAC_TEXT_MAX], tap[16];

	for (size_t i = 0; i < n->port.n_addresses; i++)
		json_array_append_new(addresses,
				      json_string(ip_format(&n->port.addresses[i], text)));
	network_tap_name(n->port.id, tap);
	return json_pack("{s:s, s:s, s:s, s:o, s:I, s:s}", "name", n->name, "network", n->network,
			 "macAddress", mac_format(&n->port.mac, mac), "addresses", addresses,
			 "portID", (json_int_t)n->port.id, "tap", tap);
}

/* Does the spec still have the interface that this entry of the status is about? */
static bool is_wanted(const InstanceWork *w, const json_t *entry)
{
	for (size_t i = 0; i < w->n_nics; i++)
		if (streq_ptr(w->nics[i].name, json_string_at(entry, "name")))
			return true;
	return false;
}

/* The spec's, and after them those that it no longer has and that are not released yet. */
static void status_interfaces(InstanceWork *w)
{
	json_t *entry, *list = json_array();
	size_t i;

	for (i = 0; i < w->n_nics; i++)
		if (w->nics[i].allocated)
			json_array_append_new(list, interface_status(&w->nics[i]));
	json_array_foreach (json_object_get(w->status, "interfaces"), i, entry)
		if (!is_wanted(w, entry))
			json_array_append(list, entry);
	json_object_set_new(w->status, "interfaces", list);
}

/* The network of an interface that went still has its tap. */
static void wake_network(InstanceWork *w, const char *reference)
{
	_cleanup_(object_unrefp) Object *network = NULL;

	if (reference &&
	    reference_get(w->r, GR_NETWORK, w->key.namespace, reference, &network, NULL) == 0)
		manager_enqueue(w->r->env.manager, object_key(network));
}

int instance_release_removed(InstanceWork *w, Error *err)
{
	json_t *entry, *list = json_object_get(w->status, "interfaces");
	size_t i;

	json_array_foreach (list, i, entry) {
		_cleanup_(txn_freep) Txn *t = txn_new();
		const char *name = json_string_at(entry, "name");
		int rc;

		if (!name || is_wanted(w, entry))
			continue;
		rc = nic_release(w->r->env.store, w->r->env.clock, t, w->uid, name, err);
		if (rc == 0 && !txn_is_empty(t))
			rc = FAIL_POINT_AROUND("instance.release-interface",
					       store_commit(w->r->env.store, w->ctx, t, NULL, err));
		if (rc < 0)
			return error_wrap_rc(err, rc, "release interface %s", name);
		wake_network(w, json_string_at(entry, "network"));
	}
	status_interfaces(w);
	return 0;
}

/* In the Txn that also writes it into the status. A new interface may ask for what one that went
 * still holds. */
int instance_allocate(InstanceWork *w, Error *err)
{
	bool off = domain_is_off(&w->domain);
	_cleanup_(txn_freep) Txn *t = txn_new();
	int rc = off ? instance_release_removed(w, err) : 0;

	for (size_t i = 0; rc == 0 && i < w->n_nics; i++) {
		if (w->nics[i].allocated)
			continue;
		rc = nic_needs_network(w, &w->nics[i], err);
		if (rc == 0 && !w->nics[i].allocated)
			rc = allocate_nic(w, t, &w->nics[i], err);
		w->nics[i].allocated = rc == 0;
	}
	if (rc != 0)
		return rc;
	status_interfaces(w);
	/* Who reads it between this and the report at the end finds a word all the same. */
	if (!json_object_get(w->status, "printableStatus"))
		json_object_set_new(w->status, "printableStatus", json_string(w->plan.reason));
	rc = status_write(w->r, w->ctx, w->obj, w->tree, json_deep_copy(w->status), TAKE_PTR(t),
			  err);
	w->claimed = rc == 0;
	if (rc == 0)
		rc = instance_reload(w, err);
	if (rc == 0 && w->n_nics && w->nics[0].port.n_addresses) {
		char text[IP_TEXT_MAX];

		recorder_event(w->r->env.recorder, w->obj, EVENT_NORMAL, REASON_INSTANCE_ADDRESS,
			       "%s has address %s", w->nics[0].name,
			       ip_format(&w->nics[0].port.addresses[0], text));
	}
	return rc;
}

int instance_prepare_network(InstanceWork *w, InstanceNic *n, Error *err)
{
	NetworkStatus st = { 0 };
	int rc = nic_needs_network(w, n, err);

	if (rc != 0)
		return rc;
	instance_wait_on(w, "network", n->network);
	rc = network_ensure(w->r, w->ctx, n->object, n->vni, &w->key, &st, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "network %s", n->network);
	if (rc == NETWORK_BUSY)
		return STEP_WAITS;
	if (st.ready)
		return 0;
	w->wait_for = USEC_PER_SEC;
	return instance_waits(w, "WaitingForNetwork", "network %s: %s", n->network, st.message);
}

/* Also later than at the release, whose report may have been lost with us. */
void instance_forget_released(InstanceWork *w)
{
	json_t *list = json_object_get(w->status, "interfaces");

	for (size_t i = json_array_size(list); i-- > 0;) {
		_cleanup_(txn_freep) Txn *t = txn_new();
		const json_t *entry = json_array_get(list, i);
		const char *name = json_string_at(entry, "name");

		if (name && (is_wanted(w, entry) || nic_release(w->r->env.store, w->r->env.clock, t,
								w->uid, name, NULL) < 0))
			continue;
		if (txn_is_empty(t))
			json_array_remove(list, i);
	}
}
