/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ResourceQuota controller: writes into each quota's status what it allows and what is taken.
 *
 * The bound itself is kept by the store with every Txn, whether this runs or not; here it is only
 * told. A burst of writes gives a few statuses a second, not one each. Runs on a controller worker;
 * only the store.
 */
#include "base/memory.h"
#include "reconcile/internal.h"

#define STATUS_DELAY (50 * USEC_PER_MSEC)

static int quota_write(Reconcilers *r, Context *ctx, const Object *obj, const json_t *tree,
		       json_t *used, Error *err)
{
	json_t *status = status_begin(tree), *hard = json_at(tree, "spec.hard");

	json_object_set_new(status, "hard", hard ? json_deep_copy(hard) : json_object());
	json_object_set_new(status, "used", used);
	return status_write(r, ctx, obj, tree, status, NULL, err);
}

static int quota_reconcile(void *self, Context *ctx, const Key *key, Result *ret _unused_,
			   Error *err)
{
	_cleanup_(object_unrefp) Object *obj = NULL;
	_cleanup_(json_decrefp) json_t *tree = NULL;
	json_t *used = NULL;
	Reconcilers *r = self;
	int rc = store_get(r->env.store, key, &obj, err);

	if (rc == 0)
		rc = store_quota_used(r->env.store, obj, &used, err);
	if (rc == -ERR_NOT_FOUND)
		return error_ignore(err);
	if (rc < 0)
		return rc;
	tree = object_decode_lean(obj);
	return quota_write(r, ctx, obj, tree, used, err);
}

static const GroupResource *every_kind(void)
{
	return NULL;
}

/* What came, went, or takes something else than before; and what others are weighed by. */
static bool when_usage_may_change(const WatchEvent *e)
{
	const GroupResource *gr = object_key(e->object)->gr;

	if (e->type != WATCH_MODIFIED || !e->old)
		return true;
	if (gr == GR_IMAGE || gr == GR_NETWORK)
		return !streq(object_head(e->object)->cells, object_head(e->old)->cells) ||
		       object_head(e->object)->generation != object_head(e->old)->generation;
	return !streq(object_head(e->object)->charge, object_head(e->old)->charge);
}

/* A shared image or network weighs in other namespaces too. */
static void map_quotas(const WatchEvent *e, Workqueue *q, void *self)
{
	const Key *key = object_key(e->object);
	bool weighs = key->gr == GR_IMAGE || key->gr == GR_NETWORK;
	ListOptions options = { .gr = GR_QUOTA, .namespace = weighs ? NULL : key->namespace };
	_cleanup_(object_list_freep) ObjectList *list = NULL;
	Reconcilers *r = self;

	if (!*key->namespace || store_count(r->env.store, GR_QUOTA, options.namespace) == 0 ||
	    store_list(r->env.store, &options, &list, NULL) < 0)
		return;
	for (size_t i = 0; i < list->n; i++)
		workqueue_add_after(q, object_key(list->items[i]), STATUS_DELAY);
}

ControllerSpec quota_controller(void)
{
	static const Trigger triggers[] = {
		{every_kind,  when_usage_may_change, map_quotas },
		{ NULL},
	};

	return (ControllerSpec){ .name = "quota",
				 .gr = GR_QUOTA,
				 .workers = 1,
				 .resync = 10 * USEC_PER_MIN,
				 .triggers = triggers,
				 .reconcile = quota_reconcile };
}
