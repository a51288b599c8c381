/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CredentialCache. See credentials.h.
 *
 * Two indexes over the same entries: by uid, which owns them, and by proof. Two credentials with
 * the same token hash (somebody copied an object) are chained: revoking one leaves the other.
 */
#include "server/credentials.h"

#include <pthread.h>

#include "api/credential.h"
#include "base/hashmap.h"
#include "pki/pki.h"
#include "json/json.h"

typedef struct Entry {
	struct Entry *next; /* with the same proof */
	char *proof;        /* NULL = a request that is not signed yet */
	CredentialFacts facts;
} Entry;

struct CredentialCache {
	pthread_mutex_t lock;
	Hashmap *by_uid, *by_proof;
	Watch *watch;
	void (*gone)(void *arg, const char *uid);
	void *arg;
};

void credential_facts_done(CredentialFacts *f)
{
	free(f->uid);
	free(f->user);
	strv_free(f->groups);
	*f = (CredentialFacts){ 0 };
}

static void entry_free(void *p)
{
	Entry *e = p;

	credential_facts_done(&e->facts);
	free(e->proof);
	free(e);
}

static Entry *entry_new(const Object *o)
{
	_cleanup_(json_decrefp) json_t *tree = object_decode(o);
	const char *hash = json_string_at(tree, "spec.tokenHash");
	const char *user = json_string_at(tree, "spec.user");
	Entry *e = xnew0(Entry, 1);
	const json_t *group;
	size_t i;

	/* The serial number counts only where a request was signed: a token has no certificate. */
	e->proof = xstrdup(hash ? hash : json_string_at(tree, "status.serialNumber"));
	e->facts = (CredentialFacts){ .uid = xstrdup(object_head(o)->uid),
				      .user = xstrdup(user ? user : ""),
				      .expires = credential_expires(tree) };
	json_array_foreach (json_at(tree, "spec.groups"), i, group)
		e->facts.groups = strv_append(e->facts.groups, json_string_value(group));
	return e;
}

/* ---- under the lock ---- */

static void link_proof(CredentialCache *c, Entry *e)
{
	if (!e->proof)
		return;
	e->next = hashmap_get(c->by_proof, e->proof);
	hashmap_put(c->by_proof, e->proof, e);
}

static void unlink_proof(CredentialCache *c, Entry *e)
{
	Entry *first = e->proof ? hashmap_get(c->by_proof, e->proof) : NULL, **at = &first;

	while (*at && *at != e)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = e->next;
	if (first)
		hashmap_put(c->by_proof, e->proof, first);
	else
		hashmap_take(c->by_proof, e->proof);
}

static bool forget(CredentialCache *c, const char *uid)
{
	Entry *e = hashmap_take(c->by_uid, uid);

	if (!e)
		return false;
	unlink_proof(c, e);
	entry_free(e);
	return true;
}

static void remember(CredentialCache *c, const Object *o)
{
	Entry *e = entry_new(o);

	pthread_mutex_lock(&c->lock);
	forget(c, e->facts.uid);
	hashmap_put(c->by_uid, e->facts.uid, e);
	link_proof(c, e);
	pthread_mutex_unlock(&c->lock);
}

/* ---- the writer's side ---- */

static void on_event(void *arg, const WatchEvent *event)
{
	const char *uid = object_head(event->object)->uid;
	CredentialCache *c = arg;
	bool known;

	/* One that waits for a foreign finalizer is revoked all the same. */
	if (event->type != WATCH_DELETED && !object_is_deleting(event->object)) {
		remember(c, event->object);
		return;
	}
	pthread_mutex_lock(&c->lock);
	known = forget(c, uid);
	pthread_mutex_unlock(&c->lock);
	if (known)
		c->gone(c->arg, uid);
}

/* ---- life cycle ---- */

int credential_cache_new(Store *store, void (*gone)(void *arg, const char *uid), void *arg,
			 CredentialCache **ret, Error *err)
{
	_cleanup_(object_list_freep) ObjectList *list = NULL;
	CredentialCache *c;
	int rc = store_list(store, &(ListOptions){ .gr = GR_CREDENTIAL }, &list, err);

	if (rc < 0)
		return rc;
	c = xnew0(CredentialCache, 1);
	pthread_mutex_init(&c->lock, NULL);
	c->by_uid = hashmap_new(entry_free);
	c->by_proof = hashmap_new(NULL);
	c->gone = gone;
	c->arg = arg;
	for (size_t i = 0; i < list->n; i++)
		if (!object_is_deleting(list->items[i]))
			remember(c, list->items[i]);
	rc = store_watch(store, GR_CREDENTIAL, list->revision, on_event, c, &c->watch, err);
	if (rc < 0) {
		credential_cache_free(c);
		return rc;
	}
	*ret = c;
	return 0;
}

CredentialCache *credential_cache_free(CredentialCache *c)
{
	if (!c)
		return NULL;
	if (c->watch)
		watch_close(c->watch);
	hashmap_free(c->by_proof);
	hashmap_free(c->by_uid);
	pthread_mutex_destroy(&c->lock);
	free(c);
	return NULL;
}

/* ---- look-ups ---- */

bool credential_find(CredentialCache *c, const char *proof, usec_t wall, CredentialFacts *ret)
{
	bool found = false;

	pthread_mutex_lock(&c->lock);
	for (const Entry *e = hashmap_get(c->by_proof, proof); e && !found; e = e->next) {
		if (!bearer_hash_equal(e->proof, proof) || wall >= e->facts.expires)
			continue;
		*ret = (CredentialFacts){ .uid = xstrdup(e->facts.uid),
					  .user = xstrdup(e->facts.user),
					  .groups = strv_copy(e->facts.groups),
					  .expires = e->facts.expires };
		found = true;
	}
	pthread_mutex_unlock(&c->lock);
	return found;
}

bool credential_is_known(CredentialCache *c, const char *uid)
{
	bool known;

	pthread_mutex_lock(&c->lock);
	known = hashmap_contains(c->by_uid, uid);
	pthread_mutex_unlock(&c->lock);
	return known;
}
