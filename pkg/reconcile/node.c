/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Node controller: this machine registers itself and says what it has and how it is; and on the
 * same occasion looks for what carries our mark but has no object any more.
 *
 * Guests and disks without an object are reported (they are somebody's data); networks without one
 * are collected after a grace period, never while the store is one that was put back. Runs on a
 * controller worker; calls drivers.
 */
#include <stdio.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include "api/quantity.h"
#include "base/failpoint.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/retry.h"
#include "controller/reasons.h"
#include "reconcile/orphan.h"

#define NODE_RESYNC (10 * USEC_PER_MIN)

/* PRETTY_NAME of os-release(5), or "Linux". Caller frees. */
static char *os_image(void)
{
	static const char key[] = "PRETTY_NAME=\"";
	_cleanup_(xfreep) char *text = NULL;
	const char *at, *end;

	if (fs_read("/etc/os-release", 65536, &text, NULL, NULL) < 0)
		return xstrdup("Linux");
	at = strstr(text, key);
	end = at ? strchr(at + sizeof(key) - 1, '"') : NULL;
	return end ? xstrndup(at + sizeof(key) - 1, (size_t)(end - at) - sizeof(key) + 1)
		   : xstrdup("Linux");
}

static char *machine_id(void)
{
	char *text = NULL;

	if (fs_read("/etc/machine-id", 256, &text, NULL, NULL) < 0)
		return xstrdup("");
	text[strcspn(text, "\n")] = '\0';
	return text;
}

static json_t *node_info(const Reconcilers *r, const HypervisorInfo *h)
{
	_cleanup_(xfreep) char *os = os_image(), *machine = machine_id();
	struct utsname u;

	uname(&u);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "architecture",
			 r->env.architecture ? r->env.architecture : u.machine, "kernelVersion",
			 u.release, "osImage", os, "hypervisorVersion", h->version, "virtType",
			 h->virt_type, "sfdVersion", SF_VERSION, "machineID", machine);
}

static json_t *node_resources(unsigned cpus, uint64_t memory)
{
	char text[QUANTITY_TEXT_MAX];

	return json_pack("{s:o, s:s}", "cpu", json_sprintf("%u", cpus), "memory",
			 quantity_format(memory, text));
}

static void node_fill(Reconcilers *r, const Object *node, json_t *status, const HypervisorInfo *h,
		      const char *trouble)
{
	struct sysinfo si;
	unsigned cpus = h->cpus;
	uint64_t memory = h->memory, reserve;

	/* libvirt counts what NUMA cells had at boot; memory that was plugged in since is there
	 * too. */
	if (sysinfo(&si) == 0)
		memory = MAX(memory, (uint64_t)si.totalram * si.mem_unit);
	if (!cpus)
		cpus = (unsigned)get_nprocs();
	reserve = MIN(memory / 8, (uint64_t)1 << 30); /* what the host keeps for itself */
	json_object_set_new(status, "capacity", node_resources(cpus, memory));
	json_object_set_new(status, "allocatable",
			    node_resources(cpus, (memory - reserve) & ~(((uint64_t)1 << 20) - 1)));
	json_object_set_new(status, "nodeInfo", node_info(r, h));
	json_object_set_new(status, "observedGeneration",
			    json_integer(object_head(node)->generation));
	if (trouble)
		status_condition(r, node, status, "Ready", CONDITION_FALSE, "HypervisorUnavailable",
				 trouble);
	else
		status_condition(r, node, status, "Ready", CONDITION_TRUE, "Ready",
				 "the hypervisor answers");
}

/* A store that was put back knows less than the world: nothing is collected until somebody has
 * looked. */
static void report_store(Reconcilers *r, const Object *node, json_t *status)
{
	if (store_is_restored(r->env.store))
		status_condition(r, node, status, "StoreRestored", CONDITION_TRUE,
				 "OlderThanAcknowledged",
				 "the store is older than what was once acknowledged; what has no "
				 "object is left alone: compare, then "
				 "start sfd once with --accept-store");
	else
		condition_remove(status, "StoreRestored");
}

/* Creates the Node object of this machine. */
static int node_register(Reconcilers *r, Context *ctx, const Key *key, Error *err)
{
	_cleanup_(txn_freep) Txn *t = txn_new();
	_cleanup_(json_decrefp) json_t *tree =
		json_pack("{s:s, s:s, s:{s:s}, s:{}}", "apiVersion", "shakenfist.io/v1alpha1",
			  "kind", "Node", "metadata", "name", key->name, "spec");

	txn_set_manager(t, FIELD_MANAGER);
	txn_create(t, key, tree, false);
	return FAIL_POINT_AROUND("node.register", store_commit(r->env.store, ctx, t, NULL, err));
}

typedef struct NodeWrite {
	Reconcilers *r;
	Context *ctx;
	const Key *key;
	const json_t *status;
} NodeWrite;

static int node_write_once(void *arg, Error *err)
{
	_cleanup_(object_unrefp) Object *now = NULL;
	_cleanup_(json_decrefp) json_t *tree = NULL;
	const NodeWrite *w = arg;
	int rc = store_get(w->r->env.store, w->key, &now, err);

	if (rc < 0)
		return rc;
	tree = object_decode_lean(now);
	return retry_if_conflict(
		status_write(w->r, w->ctx, now, tree, json_deep_copy(w->status), NULL, err));
}

/*
 * What was removed on request can be told only once: so the status is written over whatever else
 * was changed of the object meanwhile. It is all ours.
 */
static int node_write(Reconcilers *r, Context *ctx, const Key *key, const json_t *status,
		      Error *err)
{
	NodeWrite w = { .r = r, .ctx = ctx, .key = key, .status = status };

	return retry_on_conflict(node_write_once, &w, err);
}

static int node_reconcile(void *self, Context *ctx, const Key *key, Result *ret, Error *err)
{
	_cleanup_(object_unrefp) Object *node = NULL;
	_cleanup_(json_decrefp) json_t *tree = NULL, *status = NULL;
	_cleanup_(error_done) Error trouble = ERROR_INIT;
	Reconcilers *r = self;
	HypervisorInfo h = { 0 };
	bool was_ready, was_known;
	usec_t retry;
	int rc;

	if (!streq(key->name, r->env.node_name))
		return 0;
	rc = store_get(r->env.store, key, &node, err);
	if (rc == -ERR_NOT_FOUND) {
		error_ignore(err);
		ret->requeue_after =
			1; /* our own key: nothing else would bring us back to fill in the status */
		return node_register(r, ctx, key, err);
	}
	if (rc < 0)
		return rc;
	tree = object_decode_lean(node);
	status = status_begin(tree);
	was_known = condition_find(status, "Ready") != NULL;
	was_ready = condition_is_true(status, "Ready");
	rc = FAIL_POINT_AROUND("node.inspect",
			       r->env.hypervisor->ops->info(r->env.hypervisor, ctx, &h, &trouble));
	node_fill(r, node, status, &h, rc < 0 ? error_message(&trouble) : NULL);
	report_store(r, node, status);
	retry = unmanaged_observe(r, ctx, node, tree, status);
	if (!was_known || was_ready != condition_is_true(status, "Ready"))
		recorder_event(r->env.recorder, node, rc < 0 ? EVENT_WARNING : EVENT_NORMAL,
			       rc < 0 ? REASON_NODE_NOT_READY : REASON_NODE_READY, "%s",
			       rc < 0 ? error_message(&trouble) : "the hypervisor answers");
	rc = node_write(r, ctx, key, status, err);
	if (rc == 0)
		orphans_sweep(r, ctx);
	ret->requeue_after = retry ? retry : NODE_RESYNC;
	return rc;
}

ControllerSpec node_controller(void)
{
	static const Trigger triggers[] = { { NULL } };

	return (ControllerSpec){ .name = "node",
				 .gr = GR_NODE,
				 .workers = 1,
				 .triggers = triggers,
				 .reconcile = node_reconcile };
}
