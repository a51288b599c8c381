/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owner controller: garbage collection by ownerReferences, by the rules of Kubernetes' own
 * (https://kubernetes.io/docs/concepts/architecture/garbage-collection/).
 *
 * A key is an object that has owners, or one that is being deleted with a finalizer of ours. Of the
 * owners of an object some are there, some are gone, some wait in the foreground until it is gone:
 *
 *	one is there            the references to all others are taken out, the object stays
 *	none, one waits         deleted, in the foreground too if it has dependents of its own
 *	all are gone            deleted in the background, or as its own finalizers say
 *
 * "foregroundDeletion" holds an owner until no dependent blocks it any more, "orphan" until its
 * dependents have forgotten it. Owners that wait for each other in a circle are freed by letting
 * one of them block no more. Events own nothing and are not owned. Only the store; any worker.
 */
#include "base/failpoint.h"
#include "base/memory.h"
#include "controller/reasons.h"
#include "reconcile/internal.h"

#define FINALIZER_FOREGROUND "foregroundDeletion"
#define FINALIZER_ORPHAN     "orphan"
#define FOREGROUND_RECHECK   (30 * USEC_PER_SEC)
#define ORPHANS_PER_TXN      64

/* ---- owners that are gone ---- */

#define GONE_MAX 4096

struct GoneSet {
	pthread_mutex_t lock;
	Hashmap *uids;
};

GoneSet *gone_new(void)
{
	GoneSet *g = xnew0(GoneSet, 1);

	pthread_mutex_init(&g->lock, NULL);
	g->uids = hashmap_new(NULL);
	return g;
}

GoneSet *gone_free(GoneSet *g)
{
	if (!g)
		return NULL;
	hashmap_free(g->uids);
	pthread_mutex_destroy(&g->lock);
	free(g);
	return NULL;
}

void gone_add(GoneSet *g, const char *uid)
{
	pthread_mutex_lock(&g->lock);
	if (hashmap_size(g->uids) >= GONE_MAX) {
		hashmap_free(g->uids);
		g->uids = hashmap_new(NULL);
	}
	hashmap_put(g->uids, uid, g);
	pthread_mutex_unlock(&g->lock);
}

bool gone_has(GoneSet *g, const char *uid)
{
	bool has;

	pthread_mutex_lock(&g->lock);
	has = hashmap_contains(g->uids, uid);
	pthread_mutex_unlock(&g->lock);
	return has;
}

/* ---- owners of an object ---- */

typedef enum OwnerState { OWNER_THERE, OWNER_GONE, OWNER_WAITS } OwnerState;

static bool waits_for_dependents(const Object *o)
{
	return object_is_deleting(o) && object_has_finalizer(o, FINALIZER_FOREGROUND);
}

/*
 * An owner is known by uid: one of the same name but another uid is a stranger. Owners live in the
 * dependent's namespace or in none. What cannot be looked up is not known to be gone: an owner
 * whose kind is not served, and one in a namespace whose dependent is in none.
 */
static OwnerState owner_state(Reconcilers *r, const Object *o, const OwnerReference *ref)
{
	_cleanup_(kind_unrefp) Kind *kind =
		kind_registry_find_by_kind(r->env.kinds, ref->api_version, ref->kind);
	_cleanup_(object_unrefp) Object *owner = NULL;
	const char *namespace = object_key(o)->namespace;
	Key key;
	int rc;

	if (gone_has(r->gone, ref->uid))
		return OWNER_GONE;
	if (!kind || strlen(ref->name) >= KEY_NAME_MAX || (kind->namespaced && !*namespace))
		return OWNER_THERE;
	key = key_make(kind->gr, kind->namespaced ? namespace : "", ref->name);
	rc = store_get(r->env.store, &key, &owner, NULL);
	if (rc < 0)
		return rc == -ERR_NOT_FOUND ? OWNER_GONE : OWNER_THERE;
	if (!streq(object_head(owner)->uid, ref->uid))
		return OWNER_GONE;
	return waits_for_dependents(owner) ? OWNER_WAITS : OWNER_THERE;
}

/* Looked at once: who is there now may be gone in a moment, and then none would be left. */
typedef struct Owners {
	OwnerState *states; /* of each */
	size_t n[OWNER_WAITS + 1];
} Owners;

static void owners_done(Owners *owners)
{
	free(owners->states);
}

static Owners owners_look(Reconcilers *r, const Object *o)
{
	const ObjectHead *head = object_head(o);
	Owners owners = { .states = xnew0(OwnerState, head->n_owners + 1) };

	for (size_t i = 0; i < head->n_owners; i++) {
		owners.states[i] = owner_state(r, o, &head->owners[i]);
		owners.n[owners.states[i]]++;
	}
	return owners;
}

/* ---- steps ---- */

static int delete_object(Reconcilers *r, Context *ctx, const Object *o, const char *propagation,
			 Error *err)
{
	_cleanup_(txn_freep) Txn *t = txn_new();

	txn_delete(t, o,
		   &(DeleteOptions){ .grace_period_seconds = -1, .propagation = propagation });
	return FAIL_POINT_AROUND("owner.delete", store_commit(r->env.store, ctx, t, NULL, err));
}

/* Adds to t: the object without its references to uid. */
static void forget_owner(Txn *t, const Object *o, const char *uid)
{
	_cleanup_(json_decrefp) json_t *tree = object_decode_lean(o);
	json_t *owners = json_at(tree, "metadata.ownerReferences");

	for (size_t i = json_array_size(owners); i-- > 0;)
		if (streq_ptr(json_string_at(json_array_get(owners, i), "uid"), uid))
			json_array_remove(owners, i);
	if (json_array_size(owners) == 0)
		json_object_del(json_object_get(tree, "metadata"), "ownerReferences");
	txn_set_manager(t, FIELD_MANAGER);
	txn_update(t, o, tree);
}

/* Keeps only the references to owners that are there: what stays is not held by what goes. */
static int keep_solid_owners(Reconcilers *r, Context *ctx, const Object *o, const Owners *look,
			     Error *err)
{
	_cleanup_(json_decrefp) json_t *tree = object_decode_lean(o);
	json_t *owners = json_at(tree, "metadata.ownerReferences");
	const ObjectHead *head = object_head(o);
	_cleanup_(txn_freep) Txn *t = txn_new();

	for (size_t i = head->n_owners; i-- > 0;)
		if (look->states[i] != OWNER_THERE)
			json_array_remove(owners, i);
	txn_set_manager(t, FIELD_MANAGER);
	txn_update(t, o, tree);
	return FAIL_POINT_AROUND("owner.keep-solid", store_commit(r->env.store, ctx, t, NULL, err));
}

/* Adds to t: the object, whose references block its owners no more. */
static void unblock_owners(Txn *t, const Object *o)
{
	_cleanup_(json_decrefp) json_t *tree = object_decode_lean(o);
	json_t *ref;
	size_t i;

	json_array_foreach (json_at(tree, "metadata.ownerReferences"), i, ref)
		if (json_bool_at(ref, "blockOwnerDeletion", false))
			json_object_set_new(ref, "blockOwnerDeletion", json_false());
	txn_set_manager(t, FIELD_MANAGER);
	txn_update(t, o, tree);
}

/* ---- owners that are being deleted ---- */

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
	return FAIL_POINT_AROUND("owner.finalize", store_commit(r->env.store, ctx, t, NULL, err));
}

/* Its dependents wake it as they go. */
static int reconcile_foreground(Reconcilers *r, Context *ctx, const Object *o, Result *ret,
				Error *err)
{
	_cleanup_(object_list_freep) ObjectList *dependents = NULL;
	const char *uid = object_head(o)->uid;
	int rc = store_list_owned(r->env.store, uid, &dependents, err);

	for (size_t i = 0; rc == 0 && i < dependents->n; i++)
		if (blocks(dependents->items[i], uid)) {
			ret->requeue_after = FOREGROUND_RECHECK;
			return 0;
		}
	return rc < 0 ? rc : finalize(r, ctx, o, FINALIZER_FOREGROUND, err);
}

static int reconcile_orphan(Reconcilers *r, Context *ctx, const Object *o, Error *err)
{
	_cleanup_(object_list_freep) ObjectList *dependents = NULL;
	const char *uid = object_head(o)->uid;
	int rc = store_list_owned(r->env.store, uid, &dependents, err);

	for (size_t i = 0; rc == 0 && i < dependents->n; i += ORPHANS_PER_TXN) {
		_cleanup_(txn_freep) Txn *t = txn_new();

		for (size_t j = i; j < dependents->n && j < i + ORPHANS_PER_TXN; j++)
			forget_owner(t, dependents->items[j], uid);
		rc = FAIL_POINT_AROUND("owner.orphan",
				       store_commit(r->env.store, ctx, t, NULL, err));
	}
	return rc < 0 ? rc : finalize(r, ctx, o, FINALIZER_ORPHAN, err);
}

/* ---- dependents ---- */

/* The object with that uid and kind in whatever namespace it is; NULL if there is none. */
static Object *find_elsewhere(Reconcilers *r, const OwnerReference *ref)
{
	_cleanup_(kind_unrefp) Kind *kind =
		kind_registry_find_by_kind(r->env.kinds, ref->api_version, ref->kind);
	_cleanup_(object_list_freep) ObjectList *list = NULL;

	if (!kind || !kind->namespaced ||
	    store_list(r->env.store, &(ListOptions){ .gr = kind->gr }, &list, NULL) < 0)
		return NULL;
	for (size_t i = 0; i < list->n; i++)
		if (streq(object_head(list->items[i])->uid, ref->uid))
			return object_ref(list->items[i]);
	return NULL;
}

/* An owner of another namespace is none: whoever wrote such a reference should hear of it. */
static void tell_wrong_namespaces(Reconcilers *r, const Object *o)
{
	const ObjectHead *head = object_head(o);

	for (size_t i = 0; i < head->n_owners; i++) {
		const OwnerReference *ref = &head->owners[i];
		_cleanup_(object_unrefp) Object *owner = find_elsewhere(r, ref);

		if (owner && !streq(object_key(owner)->namespace, object_key(o)->namespace))
			recorder_event(r->env.recorder, o, EVENT_WARNING, REASON_OWNER_ELSEWHERE,
				       "ownerRef [%s/%s, namespace: %s, name: %s, uid: %s] does "
				       "not exist in namespace \"%s\"",
				       ref->api_version, ref->kind, object_key(o)->namespace,
				       ref->name, ref->uid, object_key(o)->namespace);
	}
}

/* Some owner waits for it: what depends on it goes first, if anything does. */
static int delete_for_waiting_owner(Reconcilers *r, Context *ctx, const Object *o, Error *err)
{
	DeleteOptions how = { .grace_period_seconds = -1, .propagation = "Background" };
	_cleanup_(object_list_freep) ObjectList *dependents = NULL;
	_cleanup_(txn_freep) Txn *t = txn_new();
	bool circle = false;
	int rc = store_list_owned(r->env.store, object_head(o)->uid, &dependents, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < dependents->n; i++)
		circle |= waits_for_dependents(dependents->items[i]);
	if (circle)
		unblock_owners(t, o);
	if (dependents->n)
		how.propagation = "Foreground";
	txn_delete(t, o, &how);
	return FAIL_POINT_AROUND("owner.delete-waiting",
				 store_commit(r->env.store, ctx, t, NULL, err));
}

static const char *own_propagation(const Object *o)
{
	if (object_has_finalizer(o, FINALIZER_ORPHAN))
		return "Orphan";
	return object_has_finalizer(o, FINALIZER_FOREGROUND) ? "Foreground" : "Background";
}

static int reconcile_dependent(Reconcilers *r, Context *ctx, const Object *o, Error *err)
{
	_cleanup_(owners_done) Owners owners = { 0 };

	if (object_head(o)->n_owners == 0)
		return 0;
	/* A store that was put back knows less than the world does: collect nothing until somebody
	 * has looked. */
	if (store_is_restored(r->env.store))
		return 0;
	owners = owners_look(r, o);
	if (owners.n[OWNER_THERE])
		return owners.n[OWNER_GONE] + owners.n[OWNER_WAITS]
			       ? keep_solid_owners(r, ctx, o, &owners, err)
			       : 0;
	if (owners.n[OWNER_WAITS])
		return delete_for_waiting_owner(r, ctx, o, err);
	tell_wrong_namespaces(r, o);
	return delete_object(r, ctx, o, own_propagation(o), err);
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
	if (!object_is_deleting(o))
		return reconcile_dependent(r, ctx, o, err);
	if (object_has_finalizer(o, FINALIZER_ORPHAN))
		return reconcile_orphan(r, ctx, o, err);
	if (object_has_finalizer(o, FINALIZER_FOREGROUND))
		return reconcile_foreground(r, ctx, o, ret, err);
	return 0;
}

/* ---- what wakes it ---- */

static const GroupResource *every_kind(void)
{
	return NULL;
}

static bool when_owned_or_owner(const WatchEvent *e)
{
	if (object_key(e->object)->gr == GR_EVENT)
		return false;
	return e->type == WATCH_DELETED || object_is_deleting(e->object) ||
	       object_head(e->object)->n_owners || (e->old && object_head(e->old)->n_owners);
}

static void add_dependents(Reconcilers *r, Workqueue *q, const char *uid, bool gone)
{
	_cleanup_(object_list_freep) ObjectList *list = NULL;

	if (store_list_owned(r->env.store, uid, &list, NULL) < 0 || list->n == 0)
		return;
	if (gone)
		gone_add(r->gone, uid);
	for (size_t i = 0; i < list->n; i++)
		workqueue_add(q, object_key(list->items[i]));
}

/* Those that may have waited for it. */
static void add_owners(Reconcilers *r, Workqueue *q, const Object *o)
{
	const ObjectHead *head = object_head(o);

	for (size_t i = 0; i < head->n_owners; i++) {
		const OwnerReference *ref = &head->owners[i];
		_cleanup_(kind_unrefp) Kind *kind =
			kind_registry_find_by_kind(r->env.kinds, ref->api_version, ref->kind);
		Key key;

		if (!kind || strlen(ref->name) >= KEY_NAME_MAX)
			continue;
		key = key_make(kind->gr, kind->namespaced ? object_key(o)->namespace : "",
			       ref->name);
		workqueue_add(q, &key);
	}
}

static bool owners_changed(const Object *a, const Object *b)
{
	const ObjectHead *x = object_head(a), *y = object_head(b);

	if (x->n_owners != y->n_owners)
		return true;
	for (size_t i = 0; i < x->n_owners; i++)
		if (!streq(x->owners[i].uid, y->owners[i].uid) ||
		    x->owners[i].block_owner_deletion != y->owners[i].block_owner_deletion)
			return true;
	return false;
}

static void map_owner(const WatchEvent *e, Workqueue *q, void *self)
{
	const char *uid = object_head(e->object)->uid;
	Reconcilers *r = self;

	if (e->type == WATCH_DELETED) {
		add_dependents(r, q, uid, true);
		add_owners(r, q, e->object);
		return;
	}
	workqueue_add(q, object_key(e->object));
	if (waits_for_dependents(e->object) && !(e->old && waits_for_dependents(e->old)))
		add_dependents(r, q, uid, false);
	if (e->old && owners_changed(e->old, e->object))
		add_owners(r, q, e->old);
}

ControllerSpec owner_controller(void)
{
	static const Trigger triggers[] = {
		{every_kind, when_owned_or_owner, map_owner },
		{ NULL},
	};

	return (ControllerSpec){
		.name = "owner", .workers = 4, .triggers = triggers, .reconcile = owner_reconcile
	};
}
