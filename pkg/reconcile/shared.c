/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the reconcilers share: waiting, counting, taking turns, and writing status. See internal.h.
 */
#include "reconcile/internal.h"

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/retry.h"

/* ---- waiting ---- */

typedef struct Waiters {
	Key *keys;
	size_t n, cap;
} Waiters;

/* Both ways, so that neither a thing that comes nor a waiter that leaves makes anybody search. */
struct Waitlist {
	pthread_mutex_t lock;
	Hashmap *by_what;   /* -> Waiters */
	Hashmap *by_waiter; /* text of its key -> Whats */
};

typedef struct Whats {
	char **names;
} Whats;

static void waiters_free(void *p)
{
	Waiters *w = p;

	free(w->keys);
	free(w);
}

static void waiters_add(Waiters *w, const Key *waiter)
{
	for (size_t i = 0; i < w->n; i++)
		if (key_equal(&w->keys[i], waiter))
			return;
	GROW_ARRAY(w->keys, w->n, w->cap);
	w->keys[w->n++] = *waiter;
}

static void waiters_remove(Waiters *w, const Key *waiter)
{
	for (size_t i = 0; i < w->n; i++)
		if (key_equal(&w->keys[i], waiter)) {
			w->keys[i] = w->keys[--w->n];
			return;
		}
}

static void whats_free(void *p)
{
	Whats *w = p;

	strv_free(w->names);
	free(w);
}

/* Frees them, too. */
static void waiters_wake(Waiters *w, Manager *m)
{
	for (size_t i = 0; i < w->n; i++)
		manager_enqueue(m, &w->keys[i]);
	waiters_free(w);
}

Waitlist *waitlist_new(void)
{
	Waitlist *w = xnew0(Waitlist, 1);

	pthread_mutex_init(&w->lock, NULL);
	w->by_what = hashmap_new(waiters_free);
	w->by_waiter = hashmap_new(whats_free);
	return w;
}

Waitlist *waitlist_free(Waitlist *w)
{
	if (!w)
		return NULL;
	hashmap_free(w->by_what);
	hashmap_free(w->by_waiter);
	pthread_mutex_destroy(&w->lock);
	free(w);
	return NULL;
}

void waitlist_add(Waitlist *w, const char *what, const Key *waiter)
{
	char text[KEY_TEXT_MAX];
	Waiters *list;
	Whats *whats;

	key_format(waiter, text, sizeof(text));
	pthread_mutex_lock(&w->lock);
	list = hashmap_get(w->by_what, what);
	if (!list) {
		list = xnew0(Waiters, 1);
		hashmap_put(w->by_what, what, list);
	}
	waiters_add(list, waiter);
	whats = hashmap_get(w->by_waiter, text);
	if (!whats) {
		whats = xnew0(Whats, 1);
		hashmap_put(w->by_waiter, text, whats);
	}
	if (!strv_contains(whats->names, what))
		whats->names = strv_append(whats->names, what);
	pthread_mutex_unlock(&w->lock);
}

static void forget_locked(Waitlist *w, const Key *waiter)
{
	char text[KEY_TEXT_MAX];
	Whats *whats = hashmap_take(w->by_waiter, key_format(waiter, text, sizeof(text)));

	if (!whats)
		return;
	strv_foreach (what, whats->names) {
		Waiters *list = hashmap_get(w->by_what, *what);

		if (!list)
			continue;
		waiters_remove(list, waiter);
		if (!list->n)
			hashmap_remove(w->by_what, *what);
	}
	whats_free(whats);
}

void waitlist_forget(Waitlist *w, const Key *waiter)
{
	pthread_mutex_lock(&w->lock);
	forget_locked(w, waiter);
	pthread_mutex_unlock(&w->lock);
}

void waitlist_wake(Waitlist *w, const char *what, Manager *m)
{
	Waiters *list;

	pthread_mutex_lock(&w->lock);
	list = hashmap_take(w->by_what, what);
	for (size_t i = 0; list && i < list->n; i++)
		forget_locked(w, &list->keys[i]);
	pthread_mutex_unlock(&w->lock);
	if (list)
		waiters_wake(list, m);
}

size_t waitlist_size(Waitlist *w)
{
	size_t n;

	pthread_mutex_lock(&w->lock);
	n = hashmap_size(w->by_what) + hashmap_size(w->by_waiter);
	pthread_mutex_unlock(&w->lock);
	return n;
}

char *waitlist_what(const char *word, const char *namespace, const char *name)
{
	return strchr(name, '/') ? xasprintf("%s/%s", word, name)
				 : xasprintf("%s/%s/%s", word, namespace, name);
}

char *waitlist_link(const char *network_uid)
{
	return xasprintf("link/%s", network_uid);
}

/* ---- counting ---- */

typedef struct CensusEntry {
	char kind[16], word[24];
} CensusEntry;

struct Census {
	pthread_mutex_t lock;
	Hashmap *by_uid; /* -> CensusEntry */
	void (*changed)(void *arg);
	void *arg;
};

Census *census_new(void (*changed)(void *arg), void *arg)
{
	Census *c = xnew0(Census, 1);

	pthread_mutex_init(&c->lock, NULL);
	c->by_uid = hashmap_new(free);
	c->changed = changed;
	c->arg = arg;
	return c;
}

Census *census_free(Census *c)
{
	if (!c)
		return NULL;
	hashmap_free(c->by_uid);
	pthread_mutex_destroy(&c->lock);
	free(c);
	return NULL;
}

void census_set(Census *c, const char *uid, const char *kind, const char *word)
{
	CensusEntry *e;
	bool new;

	pthread_mutex_lock(&c->lock);
	e = hashmap_get(c->by_uid, uid);
	new = word ? !e || !streq(e->word, word) : e != NULL;
	if (!word) {
		hashmap_remove(c->by_uid, uid);
	} else if (new) {
		e = xnew0(CensusEntry, 1);
		snprintf(e->kind, sizeof(e->kind), "%s", kind);
		snprintf(e->word, sizeof(e->word), "%s", word);
		hashmap_put(c->by_uid, uid, e);
	}
	pthread_mutex_unlock(&c->lock);
	if (new && c->changed)
		c->changed(c->arg);
}

Hashmap *census_uids(Census *c)
{
	Hashmap *uids = hashmap_new(NULL);

	pthread_mutex_lock(&c->lock);
	hashmap_foreach (it, c->by_uid)
		hashmap_put(uids, it.key, c);
	pthread_mutex_unlock(&c->lock);
	return uids;
}

static void census_count(Census *c, const char *kind, const char *good, unsigned *ret_good,
			 unsigned *ret_other)
{
	hashmap_foreach (it, c->by_uid) {
		const CensusEntry *e = it.value;

		if (!streq(e->kind, kind))
			continue;
		if (streq(e->word, good))
			(*ret_good)++;
		else
			(*ret_other)++;
	}
}

void census_summary(Census *c, char *buf, size_t size)
{
	unsigned running = 0, other = 0, networks = 0, networks_bad = 0, images = 0, images_bad = 0;
	size_t at;

	pthread_mutex_lock(&c->lock);
	census_count(c, "Instance", "Running", &running, &other);
	census_count(c, "Network", "Ready", &networks, &networks_bad);
	census_count(c, "Image", "Ready", &images, &images_bad);
	pthread_mutex_unlock(&c->lock);
	at = (size_t)snprintf(
		buf, size,
		"%u of %u instances running, %u of %u networks and %u of %u images ready", running,
		running + other, networks, networks + networks_bad, images, images + images_bad);
	assert(at < size);
}

/* ---- taking turns ---- */

struct BusySet {
	pthread_mutex_t lock;
	Hashmap *inside; /* uid -> Waiters */
};

BusySet *busy_new(void)
{
	BusySet *b = xnew0(BusySet, 1);

	pthread_mutex_init(&b->lock, NULL);
	b->inside = hashmap_new(waiters_free);
	return b;
}

BusySet *busy_free(BusySet *b)
{
	if (!b)
		return NULL;
	hashmap_free(b->inside);
	pthread_mutex_destroy(&b->lock);
	free(b);
	return NULL;
}

bool busy_enter(BusySet *b, const char *uid, const Key *who)
{
	Waiters *others;

	pthread_mutex_lock(&b->lock);
	others = hashmap_get(b->inside, uid);
	if (others)
		waiters_add(others, who);
	else
		hashmap_put(b->inside, uid, xnew0(Waiters, 1));
	pthread_mutex_unlock(&b->lock);
	return !others;
}

void busy_leave(BusySet *b, const char *uid, Manager *m)
{
	Waiters *others;

	pthread_mutex_lock(&b->lock);
	others = hashmap_take(b->inside, uid);
	pthread_mutex_unlock(&b->lock);
	waiters_wake(others, m);
}

/* ---- status ---- */

json_t *status_begin(const json_t *tree)
{
	json_t *status = json_object_get(tree, "status");

	return json_is_object(status) ? json_deep_copy(status) : json_object();
}

void status_condition(Reconcilers *r, const Object *obj, json_t *status, const char *type,
		      ConditionStatus value, const char *reason, const char *message)
{
	condition_set(status, type, value, reason, message, object_head(obj)->generation,
		      clock_wall(r->env.clock));
}

int status_write(Reconcilers *r, Context *ctx, const Object *obj, const json_t *tree,
		 json_t *status, Txn *txn, Error *err)
{
	_cleanup_(json_decrefp) json_t *owned = status;
	_cleanup_(txn_freep) Txn *t = txn ? txn : txn_new();

	txn_set_manager(t, FIELD_MANAGER);
	if (!json_same(json_object_get(tree, "status"), status))
		txn_update_status(t, obj, status);
	if (txn_is_empty(t))
		return 0;
	return FAIL_POINT_AROUND("status.write", store_commit(r->env.store, ctx, t, NULL, err));
}

int status_undecodable(Reconcilers *r, Context *ctx, const Object *obj, const json_t *tree, int rc,
		       Error *err)
{
	json_t *status = status_begin(tree);

	error_wrap_rc(err, rc, "decode spec");
	json_object_set_new(status, "phase", json_string("Failed"));
	status_condition(r, obj, status, "Ready", CONDITION_FALSE, "InvalidSpec",
			 error_message(err));
	status_write(r, ctx, obj, tree, status, NULL, NULL);
	return rc;
}

int object_release(Reconcilers *r, Context *ctx, const Object *obj, Txn *txn, Error *err)
{
	_cleanup_(txn_freep) Txn *t = txn ? txn : txn_new();

	if (object_has_finalizer(obj, FINALIZER_TEARDOWN))
		txn_finalize(t, obj, FINALIZER_TEARDOWN);
	census_set(r->census, object_head(obj)->uid, "", NULL);
	if (txn_is_empty(t))
		return 0;
	return FAIL_POINT_AROUND("object.release", store_commit(r->env.store, ctx, t, NULL, err));
}

int reference_get(Reconcilers *r, const GroupResource *gr, const char *own_namespace,
		  const char *reference, Object **ret, Error *err)
{
	const char *slash = strchr(reference, '/'), *name = slash ? slash + 1 : reference;
	_cleanup_(xfreep) char *ns =
		slash ? xstrndup(reference, (size_t)(slash - reference)) : xstrdup(own_namespace);
	const char *word = gr == GR_IMAGE ? "image" : "network";
	_cleanup_(object_unrefp) Object *obj = NULL;
	_cleanup_(json_decrefp) json_t *tree = NULL;
	Key key;
	int rc;

	if (strlen(ns) >= KEY_NAMESPACE_MAX || strlen(name) >= KEY_NAME_MAX)
		return error_set(err, ERR_NOT_FOUND, "there is no %s \"%.80s\"", word, reference);
	key = key_make(gr, ns, name);
	rc = store_get(r->env.store, &key, &obj, err);
	if (rc < 0 && rc != -ERR_NOT_FOUND)
		return rc;
	error_done(err);
	if (streq(ns, own_namespace) && !obj)
		return error_set(err, ERR_NOT_FOUND, "there is no %s \"%s\" in namespace \"%s\"",
				 word, name, ns);
	if (!streq(ns, own_namespace)) {
		/* What is there and not for others is told nobody: the same words for both. */
		tree = obj ? object_decode_lean(obj) : NULL;
		if (!json_bool_at(tree, "spec.shared", false))
			return error_set(err, ERR_NOT_FOUND,
					 "namespace \"%s\" shares no %s \"%s\" (spec.shared of it "
					 "must be true)",
					 ns, word, name);
	}
	*ret = TAKE_PTR(obj);
	return 0;
}

static const DeleteOptions background = { .grace_period_seconds = -1, .propagation = "Background" };

typedef struct ObjectDelete {
	Reconcilers *r;
	Context *ctx;
	const Key *key;
} ObjectDelete;

static int object_delete_once(void *arg, Error *err)
{
	_cleanup_(object_unrefp) Object *now = NULL;
	_cleanup_(txn_freep) Txn *t = txn_new();
	const ObjectDelete *d = arg;
	int rc = store_get(d->r->env.store, d->key, &now, err);

	if (rc == -ERR_NOT_FOUND)
		return error_ignore(err);
	if (rc < 0 || object_is_deleting(now))
		return rc;
	txn_delete(t, now, &background);
	return retry_if_conflict(store_commit(d->r->env.store, d->ctx, t, NULL, err));
}

/* One that others write to all the time: our turn comes. */
static int object_delete(Reconcilers *r, Context *ctx, const Key *key, Error *err)
{
	ObjectDelete d = { .r = r, .ctx = ctx, .key = key };

	return retry_on_conflict(object_delete_once, &d, err);
}

int objects_delete_some(Reconcilers *r, Context *ctx, const ObjectList *list, Error *err)
{
	_cleanup_(txn_freep) Txn *t = txn_new();
	size_t n = 0, i;
	int rc;

	for (i = 0; i < list->n && n < DELETES_MAX; i++) {
		if (object_is_deleting(list->items[i]))
			continue;
		txn_delete(t, list->items[i], &background);
		n++;
	}
	if (n == 0)
		return 0;
	rc = FAIL_POINT_AROUND("objects.delete", store_commit(r->env.store, ctx, t, NULL, err));
	/* All or nothing would be nothing for ever where somebody is always writing to one. */
	if (rc == -ERR_CONFLICT) {
		rc = error_ignore(err);
		for (size_t j = 0; rc == 0 && j < i; j++)
			rc = object_delete(r, ctx, object_key(list->items[j]), err);
	}
	return rc < 0 ? rc : i < list->n;
}
