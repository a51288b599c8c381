/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches: those that have seen everything are in an index by what they want, so that an event
 * costs what its own watchers cost and not a walk over all; a new one waits in a list of those
 * behind until the writer has given it its part of the history. Every call of fn is on the writer's
 * thread, so history and live events cannot interleave.
 *
 * What is wanted is a Key of which kind, namespace and name may be open. An event looks under the
 * five keys that it could be wanted by. While the writer walks a chain of the index others take
 * watches out (never the one that runs) but put none in.
 */
#include "base/memory.h"
#include "store/store_internal.h"

#define BUCKETS_MIN 64
#define WANTED_BY   5

/* ---- the index ---- */

static void list_insert(Watch **list, Watch *w)
{
	w->list = list;
	w->prev = NULL;
	w->next = *list;
	if (w->next)
		w->next->prev = w;
	*list = w;
}

static void list_remove(Watch *w)
{
	if (w->prev)
		w->prev->next = w->next;
	else
		*w->list = w->next;
	if (w->next)
		w->next->prev = w->prev;
}

static Watch **bucket_of(WatchIndex *x, uint64_t hash)
{
	return &x->buckets[hash & (x->n_buckets - 1)];
}

static void index_insert(WatchIndex *x, Watch *w)
{
	w->behind = false;
	list_insert(bucket_of(x, w->hash), w);
}

/* As many buckets as watches. Only when nobody walks a chain. */
static void index_grow(WatchIndex *x)
{
	WatchIndex old = *x;
	Watch *next;

	if (x->n_buckets && x->n <= x->n_buckets)
		return;
	x->n_buckets = MAX(x->n_buckets, (size_t)BUCKETS_MIN);
	while (x->n_buckets < x->n)
		x->n_buckets *= 2;
	x->buckets = xnew0(Watch *, x->n_buckets);
	for (size_t i = 0; i < old.n_buckets; i++) {
		for (Watch *w = old.buckets[i]; w; w = next) {
			next = w->next;
			list_insert(bucket_of(x, w->hash), w);
		}
	}
	free(old.buckets);
}

static bool key_wanted(const Key *wanted, const Key *key)
{
	return (!wanted->gr || wanted->gr == key->gr) &&
	       (!*wanted->namespace || streq(wanted->namespace, key->namespace)) &&
	       (!*wanted->name || streq(wanted->name, key->name));
}

/* The keys under which those who want this one are found, each once. */
static size_t wanted_by(const Key *key, Key ret[WANTED_BY])
{
	size_t n = 0;

	ret[n++] = (Key){ 0 };
	ret[n++] = (Key){ .gr = key->gr };
	ret[n] = (Key){ .gr = key->gr };
	memcpy(ret[n++].name, key->name, sizeof(key->name));
	if (!*key->namespace)
		return n;
	ret[n] = (Key){ .gr = key->gr };
	memcpy(ret[n++].namespace, key->namespace, sizeof(key->namespace));
	ret[n++] = *key;
	return n;
}

/* ---- opening and closing ---- */

static Watch *watch_new(Store *s, const WatchFilter *f, WatchFn fn, void *arg)
{
	Watch *w = xnew0(Watch, 1);

	*w = (Watch){ .store = s, .fn = fn, .arg = arg };
	w->wanted = key_make(f->gr, f->namespace ? f->namespace : "", f->name ? f->name : "");
	w->hash = key_hash(&w->wanted);
	return w;
}

int store_watch_filtered(Store *s, const WatchFilter *filter, int64_t from, WatchFn fn, void *arg,
			 Watch **ret, Error *err)
{
	WatchIndex *x = &s->watches;
	int64_t compacted, revision;
	Watch *w;

	pthread_mutex_lock(&s->lock);
	compacted = s->compacted;
	revision = s->revision;
	/* A revision from the future was given out by a store that is no more. */
	if (from < compacted || from > revision) {
		pthread_mutex_unlock(&s->lock);
		return error_set(err, ERR_GONE, "%s resource version: %lld (%lld)",
				 from < compacted ? "too old" : "unknown", (long long)from,
				 (long long)(from < compacted ? compacted : revision));
	}
	w = watch_new(s, filter, fn, arg);
	w->from = from;
	w->next_event = history_after(&s->history, from);
	x->n++;
	/* The caller must have its Watch before fn can run, as fn may close it. */
	*ret = w;
	if (!x->delivering && w->next_event == x->delivered) {
		index_grow(x);
		index_insert(x, w);
	} else {
		w->behind = true;
		list_insert(&x->behind, w);
		s->deliver = true;
		pthread_cond_signal(&s->work);
	}
	pthread_mutex_unlock(&s->lock);
	return 0;
}

int store_watch(Store *s, const GroupResource *gr, int64_t from, WatchFn fn, void *arg, Watch **ret,
		Error *err)
{
	return store_watch_filtered(s, &(WatchFilter){ .gr = gr }, from, fn, arg, ret, err);
}

static void watch_unlink(Watch *w)
{
	list_remove(w);
	w->store->watches.n--;
	free(w);
}

Watch *watch_close(Watch *w)
{
	Store *s;

	if (!w)
		return NULL;
	s = w->store;
	pthread_mutex_lock(&s->lock);
	atomic_store(&w->closed, true);
	if (w->running && pthread_equal(pthread_self(), s->writer)) {
		w->doomed = true;
	} else {
		s->watches.closing++;
		while (w->running)
			pthread_cond_wait(&s->delivered, &s->lock);
		s->watches.closing--;
		watch_unlink(w);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int64_t watch_revision(Watch *w)
{
	Store *s = w->store;
	int64_t rev = w->from;

	pthread_mutex_lock(&s->lock);
	if (!w->behind)
		rev = MAX(rev, s->watches.delivered_revision);
	pthread_mutex_unlock(&s->lock);
	return rev;
}

void watches_init(Store *s)
{
	s->watches.delivered = history_end(&s->history);
	s->watches.delivered_revision = s->revision;
}

void watches_done(Store *s)
{
	assert(s->watches.n == 0);
	free(s->watches.buckets);
}

/* ---- delivering, on the writer's thread ---- */

/* Events [from, end) for one watch. The lock is held, and given up while fn runs. */
static void watch_run(Store *s, Watch *w, uint64_t from, uint64_t end)
{
	w->running = true;
	pthread_mutex_unlock(&s->lock);
	for (uint64_t i = from; i < end && !atomic_load(&w->closed); i++) {
		const WatchEvent *e = &history_at(&s->history, i)->event;

		if (key_wanted(&w->wanted, object_key(e->object)))
			w->fn(w->arg, e);
	}
	pthread_mutex_lock(&s->lock);
	w->running = false;
	if (s->watches.closing > 0)
		pthread_cond_broadcast(&s->delivered);
}

/* One event for those under one key. */
static void deliver_under(Store *s, const Key *wanted, uint64_t number)
{
	uint64_t hash = key_hash(wanted);
	Watch *next;

	for (Watch *w = *bucket_of(&s->watches, hash); w; w = next) {
		if (w->hash == hash && key_equal(&w->wanted, wanted) && !atomic_load(&w->closed))
			watch_run(s, w, number, number + 1);
		/* Read after the run: while it ran, its neighbours could go. */
		next = w->next;
		if (w->doomed)
			watch_unlink(w);
	}
}

static void deliver_live(Store *s, uint64_t end)
{
	WatchIndex *x = &s->watches;
	Key keys[WANTED_BY];

	for (; x->delivered < end; x->delivered++) {
		size_t n = wanted_by(
			object_key(history_at(&s->history, x->delivered)->event.object), keys);

		for (size_t i = 0; i < n; i++)
			deliver_under(s, &keys[i], x->delivered);
	}
}

/* What each of those behind has missed; then it is one of the others. */
static void deliver_history(Store *s, uint64_t end)
{
	WatchIndex *x = &s->watches;
	Watch *w;

	while ((w = x->behind)) {
		if (!atomic_load(&w->closed))
			watch_run(s, w, w->next_event, end);
		if (w->doomed) {
			watch_unlink(w);
			continue;
		}
		list_remove(w);
		index_insert(x, w);
	}
}

void watches_deliver(Store *s)
{
	WatchIndex *x = &s->watches;
	int64_t revision;
	uint64_t end;

	pthread_mutex_lock(&s->lock);
	s->deliver = false;
	end = history_end(&s->history);
	revision = s->revision;
	index_grow(x);
	x->delivering = true;
	if (x->n > 0)
		deliver_live(s, end);
	x->delivered = end;
	deliver_history(s, end);
	x->delivered_revision = revision;
	x->delivering = false;
	pthread_mutex_unlock(&s->lock);
}

bool watches_need(const Store *s, int64_t rev)
{
	uint64_t end = history_after(&s->history, rev);

	if (s->watches.n > 0 && s->watches.delivered < end)
		return true;
	for (const Watch *w = s->watches.behind; w; w = w->next)
		if (w->next_event < end && !atomic_load(&w->closed))
			return true;
	return false;
}
