/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Orphans: what carries our mark, has no object, and is nobody's data: it is collected.
 *
 * A network's data plane, and after it its VNI and its addresses at rest: by the record of its VNI,
 * and without one as the driver lists it; what was allocated to an instance that is gone with its
 * guest, which is only where somebody took our finalizer away; what is fetched for an image that is
 * gone, and cached content that none names. By a store that is a restored one only these last two.
 * A guest keeps what it uses: a network stays while there is one on it. What a driver could not
 * tell is unknown and nothing follows from it. The drivers are asked before the store, and records
 * before objects: what they tell of was made for an object that the store then either has or has no
 * more. Guests and disks: unmanaged.c. Runs on the node's worker.
 */
#include "reconcile/orphan.h"

#include "base/failpoint.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/retry.h"
#include "reconcile/instance.h"

Hashmap *stored_uids(Reconcilers *r, const GroupResource *gr, Error *err)
{
	_cleanup_(object_list_freep) ObjectList *list = NULL;
	Hashmap *uids;

	if (store_list(r->env.store, &(ListOptions){ .gr = gr }, &list, err) < 0)
		return NULL;
	uids = hashmap_new(NULL);
	for (size_t i = 0; i < list->n; i++)
		hashmap_put(uids, object_head(list->items[i])->uid, uids);
	return uids;
}

/* Takes out of the set what the store has. */
static int remove_stored(Reconcilers *r, const GroupResource *gr, Hashmap *set, Error *err)
{
	_cleanup_(hashmap_freep) Hashmap *known = stored_uids(r, gr, err);

	if (!known)
		return error_wrap(err, "list %s", gr->resource);
	hashmap_foreach (it, known)
		hashmap_remove(set, it.key);
	return 0;
}

/* One that cannot go holds up no other. It is tried again in the next sweep. */
static void cannot_go(const char *kind, const char *uid, Error *err)
{
	log_warning("%s %s has no object any more and cannot go: %s", kind, uid,
		    error_message(err));
	error_ignore(err);
}

/* ---- what instances held ---- */

/* Guests are somebody's data and stay, and with them what they use. */
static int guests_are_needed(Reconcilers *r, Context *ctx, Hashmap *holders, Error *err)
{
	_cleanup_(xfreep) DomainEntry *domains = NULL;
	Hypervisor *h = r->env.hypervisor;
	size_t n = 0;
	int rc = FAIL_POINT_AROUND("orphan.list-guests", h->ops->list(h, ctx, &domains, &n, err));

	for (size_t i = 0; rc >= 0 && i < n; i++)
		hashmap_remove(holders, domains[i].uid);
	return rc;
}

typedef struct Release {
	Reconcilers *r;
	Context *ctx;
	const char *uid, *network;
} Release;

static int release_once(void *arg, Error *err)
{
	_cleanup_(txn_freep) Txn *t = txn_new();
	const Release *q = arg;
	Store *s = q->r->env.store;
	int rc = q->network ? nic_release_on(s, q->r->env.clock, t, q->network, q->uid, err)
			    : nic_release(s, q->r->env.clock, t, q->uid, NULL, err);

	return rc < 0 || txn_is_empty(t)
		       ? rc
		       : retry_if_conflict(FAIL_POINT_AROUND(
				 "orphan.release-records", store_commit(s, q->ctx, t, NULL, err)));
}

/* Of all networks, or of one. */
static int release_records(Reconcilers *r, Context *ctx, const char *uid, const char *network,
			   Error *err)
{
	Release q = { .r = r, .ctx = ctx, .uid = uid, .network = network };

	return retry_on_conflict(release_once, &q, err);
}

static int sweep_holders(Reconcilers *r, Context *ctx, Error *err)
{
	_cleanup_(hashmap_freep) Hashmap *holders = hashmap_new(NULL);
	bool released = false;
	int rc = nic_instances(r->env.store, holders, err);

	/* Records first: each was written together with its object. */
	if (rc == 0)
		rc = remove_stored(r, GR_INSTANCE, holders, err);
	if (rc < 0 || hashmap_size(holders) == 0)
		return rc;
	rc = guests_are_needed(r, ctx, holders, err);
	if (rc < 0)
		return rc;
	hashmap_foreach (it, holders) {
		rc = context_check(ctx, err);
		if (rc < 0)
			break;
		log_notice("instance %s has neither object nor guest any more: giving its "
			   "addresses back",
			   it.key);
		if (release_records(r, ctx, it.key, NULL, err) < 0)
			cannot_go("instance", it.key, err);
		else
			released = true;
	}
	/* Their taps go, and who is being deleted goes on. */
	if (released)
		manager_resync(r->env.manager, GR_NETWORK);
	return rc;
}

/* ---- networks ---- */

/* Networks that nothing may happen to: those that are there, and those that somebody still has a
 * port on: an instance, or a guest that has lost its own. NULL on failure. */
static Hashmap *networks_needed(Reconcilers *r, Error *err)
{
	Hashmap *needed = stored_uids(r, GR_NETWORK, err);

	if (!needed)
		return NULL;
	if (nic_networks(r->env.store, needed, err) < 0)
		needed = hashmap_free(needed);
	return needed;
}

/* True if its guest is on one of these ports, or may be: what cannot be told is no absence. */
static bool guest_uses(Reconcilers *r, Context *ctx, const Object *instance,
		       const NetworkPort *ports, size_t n)
{
	_cleanup_(xfreep) DomainInfo *d = xnew0(DomainInfo, 1);
	Hypervisor *h = r->env.hypervisor;
	char name[DOMAIN_NAME_MAX], tap[16];

	instance_domain_name(object_key(instance), name);
	if (FAIL_POINT_AROUND("orphan.inspect-guest", h->ops->inspect(h, ctx, name, d, NULL)) < 0 ||
	    d->foreign)
		return true;
	/* One of an older instance of that name has ports of its own: guests_are_needed(). */
	if (!streq(d->uid, object_head(instance)->uid))
		return false;
	if (domain_is_off(d))
		return false;
	for (size_t i = 0; i < n; i++) {
		network_tap_name(ports[i].id, tap);
		for (size_t j = 0; j < d->n_live_taps; j++)
			if (streq(d->live_taps[j], tap))
				return true;
	}
	return d->n_live_taps == 0;
}

/* The ports of a network that is gone, of instances that are there. A guest that is started between
 * the look and the release was prepared while its network was there, and loses it: as it would have
 * by a start a moment later. */
static int sweep_ports(Reconcilers *r, Context *ctx, const char *network,
		       const ObjectList *instances, Error *err)
{
	_cleanup_(xfreep) NetworkPort *ports = NULL;
	size_t n = 0;
	int rc = nic_list(r->env.store, network, &ports, &n, err);

	for (size_t i = 0; rc >= 0 && i < instances->n; i++) {
		const char *uid = object_head(instances->items[i])->uid;
		size_t at;

		rc = context_check(ctx, err);
		if (rc < 0)
			break;
		for (at = 0; at < n && !streq(ports[at].uid, uid); at++)
			;
		if (at == n || guest_uses(r, ctx, instances->items[i], ports, n))
			continue;
		log_notice("network %s has no object any more, and instance %s does not run on "
			   "it: giving its addresses there back",
			   network, uid);
		if (release_records(r, ctx, uid, network, err) < 0)
			cannot_go("network", network, err);
	}
	return rc;
}

/* A network that is gone is of use only to a guest that was started on it. */
static int sweep_gone_ports(Reconcilers *r, Context *ctx, Error *err)
{
	_cleanup_(hashmap_freep) Hashmap *ported = hashmap_new(NULL);
	_cleanup_(object_list_freep) ObjectList *instances = NULL;
	int rc = nic_networks(r->env.store, ported, err);

	if (rc == 0)
		rc = remove_stored(r, GR_NETWORK, ported, err);
	if (rc < 0 || hashmap_size(ported) == 0)
		return rc;
	rc = store_list(r->env.store, &(ListOptions){ .gr = GR_INSTANCE }, &instances, err);
	hashmap_foreach (it, ported) {
		if (rc < 0)
			break;
		rc = sweep_ports(r, ctx, it.key, instances, err);
	}
	return rc;
}

/* With its data plane. Nobody can bring that back: who would, looks first whether there is a
 * network.
 */
static int release_network(Reconcilers *r, Context *ctx, const char *uid, uint32_t vni, Error *err)
{
	_cleanup_(txn_freep) Txn *t = txn_new();
	int rc = vni_get(r->env.store, uid, vni, &vni, err);

	if (rc == -ERR_NOT_FOUND) /* its own controller was in the middle of it */
		return error_ignore(err);
	if (rc < 0)
		return rc;
	log_notice("network %s has no object any more: removing it, and giving VNI %u back", uid,
		   vni);
	rc = network_dismantle(r, ctx, uid, vni, t, err);
	return rc < 0 ? rc
		      : FAIL_POINT_AROUND("orphan.release-network",
					  store_commit(r->env.store, ctx, t, NULL, err));
}

/* Networks that nobody needs and that have a VNI. Records first: each was written together with its
 * object. */
static int sweep_numbered(Reconcilers *r, Context *ctx, Error *err)
{
	_cleanup_(hashmap_freep) Hashmap *vnis = hashmap_new(NULL), *needed = NULL;
	Key node = key_make(GR_NODE, "", r->env.node_name);
	int rc = vni_list(r->env.store, vnis, err);

	if (rc < 0 || !(needed = networks_needed(r, err)))
		return rc < 0 ? rc : error_wrap(err, "list networks");
	hashmap_foreach (it, vnis) {
		rc = context_check(ctx, err);
		if (rc < 0)
			break;
		if (hashmap_contains(needed, it.key) || !busy_enter(r->busy, it.key, &node))
			continue;
		if (release_network(r, ctx, it.key, (uint32_t)(uintptr_t)it.value, err) < 0)
			cannot_go("network", it.key, err);
		busy_leave(r->busy, it.key, r->env.manager);
	}
	return rc;
}

static int remove_network(Reconcilers *r, Context *ctx, const NetworkEntry *n, Error *err)
{
	log_notice("network %s (VNI %u) has neither object nor number any more: removing it",
		   n->uid, n->vni);
	return FAIL_POINT_AROUND(
		"orphan.remove-network",
		r->env.network->ops->remove(r->env.network, ctx, n->uid, n->vni, err));
}

/* What the driver has of networks that nobody needs and the store knows nothing of. */
static int sweep_unnumbered(Reconcilers *r, Context *ctx, Error *err)
{
	_cleanup_(hashmap_freep) Hashmap *known = NULL;
	_cleanup_(xfreep) NetworkEntry *networks = NULL;
	Key node = key_make(GR_NODE, "", r->env.node_name);
	size_t n = 0;
	int rc = FAIL_POINT_AROUND("orphan.list-networks",
				   r->env.network->ops->list(r->env.network, ctx,
							     store_id(r->env.store), &networks, &n,
							     err));

	if (rc < 0 || !(known = networks_needed(r, err)))
		return rc < 0 ? rc : error_wrap(err, "list networks");
	rc = vni_list(r->env.store, known, err);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		rc = context_check(ctx, err);
		if (rc < 0 || hashmap_contains(known, networks[i].uid) ||
		    !busy_enter(r->busy, networks[i].uid, &node))
			continue;
		if (remove_network(r, ctx, &networks[i], err) < 0)
			cannot_go("network", networks[i].uid, err);
		busy_leave(r->busy, networks[i].uid, r->env.manager);
	}
	return rc;
}

/* ---- images ---- */

/* Nobody asks for them any more: what is fetched for them stops, and leaves nothing half done. */
static int forget_images(Reconcilers *r, Context *ctx, Error *err)
{
	_cleanup_(xfreep) char(*uids)[UUID_MAX] = NULL;
	_cleanup_(hashmap_freep) Hashmap *known = NULL;
	ImageCache *c = r->env.images;
	size_t n = 0;
	int rc = FAIL_POINT_AROUND("orphan.list-images", c->ops->list(c, ctx, &uids, &n, err));

	if (rc < 0 || !(known = stored_uids(r, GR_IMAGE, err)))
		return rc < 0 ? rc : error_wrap(err, "list images");
	for (size_t i = 0; rc >= 0 && i < n; i++) {
		rc = context_check(ctx, err);
		if (rc < 0 || hashmap_contains(known, uids[i]))
			continue;
		log_notice("image %s has no object any more: forgetting it", uids[i]);
		if (FAIL_POINT_AROUND("orphan.forget-image", c->ops->forget(c, ctx, uids[i], err)) <
		    0)
			cannot_go("image", uids[i], err);
	}
	return rc;
}

/* The digests that Image objects name; a disk's own chain is the cache's business. */
static int evict_images(Reconcilers *r, Context *ctx, Error *err)
{
	_cleanup_(object_list_freep) ObjectList *images = NULL;
	ImageDigestList keep = { 0 };
	uint64_t freed = 0;
	int rc = store_list(r->env.store, &(ListOptions){ .gr = GR_IMAGE }, &images, err);

	if (rc < 0)
		return rc;
	keep.digests = xcalloc(images->n, sizeof(*keep.digests));
	for (size_t i = 0; i < images->n; i++) {
		_cleanup_(json_decrefp) json_t *tree = object_decode_lean(images->items[i]);
		const char *digest = json_string_at(tree, "status.digest");

		if (digest)
			snprintf(keep.digests[keep.n++], IMAGE_DIGEST_MAX, "%s", digest);
	}
	rc = FAIL_POINT_AROUND("orphan.evict-images",
			       r->env.images->ops->evict(r->env.images, ctx, &keep, &freed, err));
	free(keep.digests);
	if (rc == 0 && freed)
		log_info("image cache: %llu bytes freed", (unsigned long long)freed);
	return rc;
}

/* ---- what we remember ---- */

/* Of objects that went without their controller. */
static int forget_states(Reconcilers *r, Error *err)
{
	const GroupResource *const kinds[] = { GR_INSTANCE, GR_NETWORK, GR_IMAGE };
	_cleanup_(hashmap_freep) Hashmap *gone = census_uids(r->census);
	int rc = 0;

	instance_stop_uids(r, gone);
	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(kinds); i++)
		rc = remove_stored(r, kinds[i], gone, err);
	if (rc < 0)
		return rc;
	hashmap_foreach (it, gone) {
		census_set(r->census, it.key, "", NULL);
		instance_stop_set(r, it.key, NULL);
	}
	return 0;
}

/* A part of the sweep that could not find out is no failure of the node: it is said, and the next
 * sweep tries again. */
static void sweep_failed(const char *what, Error *err)
{
	log_debug("sweep %s: %s", what, error_message(err));
	error_ignore(err);
}

void orphans_sweep(Reconcilers *r, Context *ctx)
{
	_cleanup_(error_done) Error trouble = ERROR_INIT;

	if (!store_is_restored(r->env.store)) {
		if (sweep_holders(r, ctx, &trouble) < 0)
			sweep_failed("addresses", &trouble);
		if (sweep_gone_ports(r, ctx, &trouble) < 0)
			sweep_failed("ports", &trouble);
		if (sweep_numbered(r, ctx, &trouble) < 0)
			sweep_failed("networks", &trouble);
		if (sweep_unnumbered(r, ctx, &trouble) < 0)
			sweep_failed("data planes", &trouble);
	}
	if (forget_images(r, ctx, &trouble) < 0)
		sweep_failed("images", &trouble);
	if (evict_images(r, ctx, &trouble) < 0)
		sweep_failed("image cache", &trouble);
	if (forget_states(r, &trouble) < 0)
		sweep_failed("states", &trouble);
}
