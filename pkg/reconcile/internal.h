/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the reconcilers share: their environment, who waits for what, which networks are being
 * changed, and the one way to write a status. Private to pkg/reconcile.
 */
#pragma once

#include <pthread.h>

#include "api/condition.h"
#include "api/wellknown.h"
#include "base/hashmap.h"
#include "reconcile/reconcile.h"
#include "json/json.h"

#define FIELD_MANAGER "sfd" /* of what reconcilers write, in metadata.managedFields */

/*
 * Keys that wait for something else ("image/default/debian-12"): a reconcile forgets what its key
 * waited for, registers for what it finds missing now, then checks; whoever changes the thing wakes
 * them, and a woken key waits for nothing. So what stays is what somebody still waits for. In
 * memory only: at start every key is reconciled and registers again. Any thread.
 */
typedef struct Waitlist Waitlist;
Waitlist *waitlist_new(void);
Waitlist *waitlist_free(Waitlist *w);
void waitlist_add(Waitlist *w, const char *what, const Key *waiter);
void waitlist_forget(Waitlist *w, const Key *waiter);
void waitlist_wake(Waitlist *w, const char *what, Manager *m);
size_t waitlist_size(Waitlist *w); /* things waited for and waiters, together; 0 = nobody waits */
/* "image/default/debian-12" from the kind's word and a reference as written: "name" or
 * "namespace/name". */
char *waitlist_what(const char *word, const char *namespace, const char *name);
/* "link/<uid>": that something of a network's data plane was made again. */
char *waitlist_link(const char *network_uid);

/* How many objects of a kind have which one-word state; feeds STATUS= and never the API. Any
 * thread. */
typedef struct Census Census;
Census *census_new(void (*changed)(void *arg), void *arg); /* changed: see ReconcileEnv */
Census *census_free(Census *c);
void census_set(Census *c, const char *uid, const char *kind,
		const char *word); /* word NULL = gone */
Hashmap *census_uids(Census *c);   /* of all that are counted; caller frees */
void census_summary(Census *c, char *buf, size_t size);

/*
 * Networks whose data plane somebody is changing. Two workers must not give a driver two pictures
 * of one network in the wrong order, and no lock may be held across a driver call: so the second
 * one goes away and is woken when the first one leaves. Any thread.
 */
typedef struct BusySet BusySet;
BusySet *busy_new(void);
BusySet *busy_free(BusySet *b);
/* false: somebody else is inside; `who` is enqueued when that one leaves. */
bool busy_enter(BusySet *b, const char *uid, const Key *who);
void busy_leave(BusySet *b, const char *uid, Manager *m);

/*
 * Owners that are known to be gone, by uid: their kind may have gone with them, and then nobody
 * could look. In memory only and bounded; what is forgotten counts as not known. Any thread.
 */
typedef struct GoneSet GoneSet;
GoneSet *gone_new(void);
GoneSet *gone_free(GoneSet *g);
void gone_add(GoneSet *g, const char *uid);
bool gone_has(GoneSet *g, const char *uid);

struct Reconcilers {
	ReconcileEnv env;
	Waitlist *waits;
	Census *census;
	BusySet *busy;
	GoneSet *gone;
	pthread_mutex_t stops_lock; /* guards stops */
	Hashmap *stops;             /* instance uid -> StopState (instance.h) */
	/* Until then nobody asks for links: the net role did not answer, and workers that wait for
	 * it do nothing else. */
	_Atomic usec_t links_silent;
};

/*
 * Writes `status` (consumed) if it differs from obj's, together with what `txn` (may be NULL;
 * consumed) already holds. A status that says the same as before is no write at all.
 */
int status_write(Reconcilers *r, Context *ctx, const Object *obj, const json_t *tree,
		 json_t *status, Txn *txn, Error *err);
/* A copy of the tree's status, or a new object. Caller's. */
json_t *status_begin(const json_t *tree);
void status_condition(Reconcilers *r, const Object *obj, json_t *status, const char *type,
		      ConditionStatus value, const char *reason, const char *message);
/*
 * A stored spec that this version cannot read: says so in the Ready condition and touches nothing.
 * Returns rc, with err as it is.
 */
int status_undecodable(Reconcilers *r, Context *ctx, const Object *obj, const json_t *tree, int rc,
		       Error *err);
/* Removes the teardown finalizer together with what txn holds (consumed, may be NULL). */
int object_release(Reconcilers *r, Context *ctx, const Object *obj, Txn *txn, Error *err);
/*
 * Resolves a reference to an Image or Network: "name" in the object's own namespace,
 * "namespace/name" elsewhere, which must be shared. -ERR_NOT_FOUND with a text for people, which is
 * the same for what is not there and for what is not shared.
 */
int reference_get(Reconcilers *r, const GroupResource *gr, const char *own_namespace,
		  const char *reference, Object **ret, Error *err);

#define DELETES_MAX (TXN_OPS_MAX / 2)
/* Marks up to DELETES_MAX objects for deletion in one Txn. 1 = there are more to mark. */
int objects_delete_some(Reconcilers *r, Context *ctx, const ObjectList *list, Error *err);

/* One controller each. */
ControllerSpec instance_controller(void);
ControllerSpec network_controller(void);
ControllerSpec image_controller(void);
ControllerSpec node_controller(void);
ControllerSpec namespace_controller(void);
ControllerSpec definition_controller(void);
ControllerSpec owner_controller(void);
ControllerSpec quota_controller(void);
ControllerSpec event_controller(void);
ControllerSpec cluster_role_controller(void);
ControllerSpec credential_controller(void);
ControllerSpec cluster_info_controller(void);
/* There may be no such object yet. */
void cluster_info_enqueue(Reconcilers *r);
