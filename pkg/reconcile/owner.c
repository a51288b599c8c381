/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owner controller: garbage collection by ownerReferences, as Kubernetes does it.
 *
 * An object all of whose owners are gone is deleted (background propagation). An owner with the
 * finalizer "foregroundDeletion" waits until those that block it are gone; with "orphan" its
 * references are taken out of its dependents first. Keys are owners that are being deleted or are
 * gone, and dependents at start. Only the store.
 */
#include "base/memory.h"
#include "reconcile/internal.h"

#define FINALIZER_FOREGROUND "foregroundDeletion"
#define FINALIZER_ORPHAN     "orphan"
#define FOREGROUND_RECHECK   (30 * USEC_PER_SEC)

/*
 * An owner is known by uid: one of the same name but another uid is a stranger. Owners live in the
 * dependent's namespace or in none; an owner whose kind is not served counts as there, and so does
 * one in a namespace whose dependent is in none.
 */
static bool owner_is_there(Reconcilers *r, const Object *o, const OwnerReference *ref)
{
	_cleanup_(kind_unrefp) Kind *kind =
		kind_registry_find_by_kind(r->env.kinds, ref->api_version, ref->kind);
	_cleanup_(object_unrefp) Object *owner = NULL;
	const char *namespace = object_key(o)->namespace;
	Key key;
	int rc;

	/* What cannot be looked up is not known to be gone. */
	if (!kind || strlen(ref->name) >= KEY_NAME_MAX || (kind->namespaced && !*namespace))
		return true;
	key = key_make(kind->gr, kind->namespaced ? namespace : "", ref->name);
	rc = store_get(r->env.store, &key, &owner, NULL);
	if (rc < 0)
		return rc != -ERR_NOT_FOUND;
	return streq(object_head(owner)->uid, ref->uid);
}

static bool has_living_owner(Reconcilers *r, const Object *o)
{
	const ObjectHead *head = object_head(o);

	for (size_t i = 0; i < head->n_owners; i++)
		if (owner_is_there(r, o, &head->owners[i]))
			return true;
	return head->n_owners == 0;
}

static int delete_object(Reconcilers *r, Context *ctx, const Object *o, const char *propagation,
			 Error *err)
{
	_cleanup_(txn_freep) Txn *t = txn_new();

	txn_delete(t, o,
		   &(DeleteOptions){ .grace_period_seconds = -1, .propagation = propagation });
	return store_commit(r->env.store, ctx, t, NULL, err);
}

/* The dependent without its references to uid. */
static int orphan_one(Reconcilers *r, Context *ctx, const Object *o, const char *uid, Error *err)
{
	_cleanup_(json_decrefp) json_t *tree = object_decode(o);
	_cleanup_(txn_freep) Txn *t = txn_new();
	json_t *owners = json_at(tree, "metadata.ownerReferences");

	for (size_t i = json_array_size(owners); i-- > 0;)
		if (streq_ptr(json_string_at(json_array_get(owners, i), "uid"), uid))
			json_array_remove(owners, i);
	txn_set_manager(t, FIELD_MANAGER);
	txn_update(t, o, tree);
	return store_commit(r->env.store, ctx, t, NULL, err);
}

static bool blocks(const Object *o, const char *uid)
{
	const ObjectHead *head = object_head(o);

	for (size_t i = 0; i < head->n_owners; i++)
		if (streq(head->owners[i].uid, uid) && head->owners[i].block_owner_deletion)
			return true;
	return false;
}

static int finalize(Reconcilers *r, Context *ctx, const Object *o, const char *finalizer,
		    Error *err)
{
	_cleanup_(txn_freep) Txn *t = txn_new();

	txn_finalize(t, o, finalizer);
	return store_commit(r->env.store, ctx, t, NULL, err);
}

/* An owner that is being deleted in the foreground or orphans its dependents. */
static int reconcile_owner(Reconcilers *r, Context *ctx, const Object *o, Result *ret, Error *err)
{
	bool orphan = object_has_finalizer(o, FINALIZER_ORPHAN);
	_cleanup_(object_list_freep) ObjectList *dependents = NULL;
	const char *uid = object_head(o)->uid;
	bool blocked = false;
	int rc = store_list_owned(r->env.store, uid, &dependents, err);

	for (size_t i = 0; rc >= 0 && i < dependents->n; i++) {
		const Object *d = dependents->items[i];

		if (orphan) {
			rc = orphan_one(r, ctx, d, uid, err);
			continue;
		}
		blocked |= blocks(d, uid);
		if (!object_is_deleting(d))
			rc = delete_object(r, ctx, d, "Foreground", err);
	}
	if (rc < 0)
		return rc;
	if (blocked) {
		ret->requeue_after = FOREGROUND_RECHECK;
		return 0;
	}
	return finalize(r, ctx, o, orphan ? FINALIZER_ORPHAN : FINALIZER_FOREGROUND, err);
}

static int owner_reconcile(void *self, Context *ctx, const Key *key, Result *ret, Error *err)
{
	_cleanup_(object_unrefp) Object *o = NULL;
	Reconcilers *r = self;
	int rc = store_get(r->env.store, key, &o, err);

	if (rc == -ERR_NOT_FOUND)
		return error_ignore(err);
	if (rc < 0)
		return rc;
	if (object_is_deleting(o)) {
		if (object_has_finalizer(o, FINALIZER_FOREGROUND) ||
		    object_has_finalizer(o, FINALIZER_ORPHAN))
			return reconcile_owner(r, ctx, o, ret, err);
		return 0;
	}
	/* A store that was put back knows less than the world does: collect nothing until somebody
	 * has looked. */
	if (has_living_owner(r, o) || store_is_restored(r->env.store))
		return 0;
	return delete_object(r, ctx, o, "Background", err);
}

static const GroupResource *every_kind(void)
{
	return NULL;
}

static bool when_owned_or_owner(const WatchEvent *e)
{
	const GroupResource *gr = object_key(e->object)->gr;

	if (gr == GR_EVENT)
		return false;
	return e->type == WATCH_DELETED || object_is_deleting(e->object) ||
	       object_head(e->object)->n_owners;
}

/* The object itself; for one that is gone, those that named it as owner, and the owners that waited
 * for it. */
static void map_owner(const WatchEvent *e, Workqueue *q, void *self)
{
	const ObjectHead *head = object_head(e->object);
	_cleanup_(object_list_freep) ObjectList *list = NULL;
	Reconcilers *r = self;

	if (e->type != WATCH_DELETED) {
		workqueue_add(q, object_key(e->object));
		return;
	}
	if (store_list_owned(r->env.store, head->uid, &list, NULL) == 0)
		for (size_t i = 0; i < list->n; i++)
			workqueue_add(q, object_key(list->items[i]));
	for (size_t i = 0; i < head->n_owners; i++) {
		_cleanup_(kind_unrefp) Kind *kind = kind_registry_find_by_kind(
			r->env.kinds, head->owners[i].api_version, head->owners[i].kind);
		Key key;

		if (!kind || strlen(head->owners[i].name) >= KEY_NAME_MAX)
			continue;
		key = key_make(kind->gr, kind->namespaced ? object_key(e->object)->namespace : "",
			       head->owners[i].name);
		workqueue_add(q, &key);
	}
}

ControllerSpec owner_controller(void)
{
	static const Trigger triggers[] = {
		{every_kind, when_owned_or_owner, map_owner },
		{ NULL},
	};

	return (ControllerSpec){
		.name = "owner", .workers = 1, .triggers = triggers, .reconcile = owner_reconcile
	};
}
