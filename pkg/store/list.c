/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists: references copied under the lock, everything else done without it. A list that goes on
 * with a continue token shows the state at the token's revision: what has changed since is undone
 * from the history.
 */
#include "base/memory.h"
#include "store/store_internal.h"
#include "store/token.h"

typedef struct Refs {
	Object **items;
	size_t n, cap;
} Refs;

static void refs_add(Refs *r, Object *o)
{
	GROW_ARRAY(r->items, r->n, r->cap);
	r->items[r->n++] = object_ref(o);
}

/* ---- the past ---- */

static int event_compare(const void *a, const void *b)
{
	const WatchEvent *x = *(const WatchEvent *const *)a, *y = *(const WatchEvent *const *)b;
	int c = key_compare(object_key(x->object), object_key(y->object));

	return c ? c : (x->revision > y->revision) - (x->revision < y->revision);
}

static bool is_after(const Key *key, const Cursor *c)
{
	int d = strcmp(key->namespace, c->namespace);

	return d > 0 || (d == 0 && strcmp(key->name, c->name) > 0);
}

/* The first event of each key that matters since the cursor's revision, in key order. */
static const WatchEvent **events_since(Store *s, const ListOptions *o, const Cursor *c, size_t *ret)
{
	const WatchEvent **events = NULL;
	size_t n = 0, cap = 0, kept = 0;

	for (uint64_t i = history_after(&s->history, c->revision); i < history_end(&s->history);
	     i++) {
		const WatchEvent *e = &history_at(&s->history, i)->event;
		const Key *key = object_key(e->object);

		if (key->gr != o->gr || !is_after(key, c) ||
		    (!str_is_empty(o->namespace) && !streq(key->namespace, o->namespace)))
			continue;
		GROW_ARRAY(events, n, cap);
		events[n++] = e;
	}
	if (n > 0)
		qsort(events, n, sizeof(*events), event_compare);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 ||
		    !key_equal(object_key(events[kept - 1]->object), object_key(events[i]->object)))
			events[kept++] = events[i];
	*ret = kept;
	return events;
}

/* Merges the present [from, to) with what was there instead: the old state of each event's key. */
static void collect_past(Store *s, const ListOptions *o, const Cursor *c, const Table *t,
			 size_t from, size_t to, Refs *refs)
{
	_cleanup_(xfreep) const WatchEvent **events = NULL;
	size_t n, i = 0;

	events = events_since(s, o, c, &n);
	while (from < to || i < n) {
		int d = from >= to ? 1
			: i >= n   ? -1
				   : key_compare(object_key(t->slots[from].object),
						 object_key(events[i]->object));

		if (d < 0) {
			refs_add(refs, t->slots[from++].object);
			continue;
		}
		if (events[i]->old)
			refs_add(refs, events[i]->old);
		i++;
		from += d == 0;
	}
}

/* ---- list ---- */

/* References to all candidates, or to the first `limit` if nothing is filtered. */
static int collect(Store *s, const ListOptions *o, Cursor *c, Refs *refs, uint64_t *ret_remaining,
		   Error *err)
{
	static const Table nothing;
	const Table *t = image_table(s->image, o->gr);
	size_t from, to;

	*ret_remaining = 0;
	if (c->revision == 0)
		c->revision = s->revision;
	if (c->revision < s->compacted || c->revision > s->revision)
		return error_set(err, ERR_GONE, "revision %lld is no longer kept",
				 (long long)c->revision);
	if (!t)
		t = &nothing;
	table_range(t, o->namespace, &from, &to);
	if (*c->name)
		from = MAX(from, table_after(t, c->namespace, c->name));
	from = MIN(from, to);
	if (c->revision < s->revision) {
		collect_past(s, o, c, t, from, to, refs);
		return 0;
	}
	if (o->limit && !o->match && to - from > o->limit) {
		*ret_remaining = to - from - o->limit;
		to = from + o->limit;
	}
	refs->items = xnew(Object *, to - from);
	refs->cap = to - from;
	for (; from < to; from++)
		refs->items[refs->n++] = object_ref(t->slots[from].object);
	return 0;
}

/* Keeps what matches, up to the limit; how many were looked at. */
static size_t filter(const ListOptions *o, Refs *refs)
{
	size_t kept = 0, i;

	for (i = 0; i < refs->n && (!o->limit || kept < o->limit); i++) {
		if (o->match && !o->match(o->match_arg, refs->items[i]))
			object_unref(refs->items[i]);
		else
			refs->items[kept++] = refs->items[i];
	}
	for (size_t j = i; j < refs->n; j++)
		object_unref(refs->items[j]);
	refs->n = kept;
	return i;
}

int store_list(Store *s, const ListOptions *options, ObjectList **ret, Error *err)
{
	Cursor cursor = { .revision = options->revision };
	uint64_t remaining;
	Refs refs = { 0 };
	size_t candidates;
	ObjectList *l;
	int rc = 0;

	if (!str_is_empty(options->continue_token))
		rc = token_parse(options->continue_token, options, &cursor, err);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&s->lock);
	rc = collect(s, options, &cursor, &refs, &remaining, err);
	pthread_mutex_unlock(&s->lock);
	if (rc < 0)
		return rc;
	candidates = refs.n;
	remaining += candidates - filter(options, &refs);
	l = xnew0(ObjectList, 1);
	*l = (ObjectList){ .items = refs.items, .n = refs.n, .revision = cursor.revision };
	if (remaining > 0 && refs.n > 0) {
		l->continue_token =
			token_new(options, cursor.revision, object_key(refs.items[refs.n - 1]));
		/* With a filter nobody knows how many of the rest match. */
		l->remaining = options->match ? 0 : remaining;
	}
	*ret = l;
	return 0;
}

static ObjectList *list_of(Store *s, Refs *refs)
{
	ObjectList *l = xnew0(ObjectList, 1);

	*l = (ObjectList){ .items = refs->items, .n = refs->n, .revision = s->revision };
	return l;
}

int store_list_owned(Store *s, const char *uid, ObjectList **ret, Error *err)
{
	const Owned *set;
	Refs refs = { 0 };

	(void)err;
	pthread_mutex_lock(&s->lock);
	set = image_owned(s->image, uid);
	for (size_t i = 0; set && i < set->n; i++)
		refs_add(&refs, set->items[i]);
	*ret = list_of(s, &refs);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

int store_list_namespace(Store *s, const char *namespace, ObjectList **ret, Error *err)
{
	Refs refs = { 0 };
	size_t from, to;

	assert(!str_is_empty(namespace));
	(void)err;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->image->n; i++) {
		const Table *t = &s->image->tables[i];

		if (gr_is_internal(t->gr) || t->gr == GR_EVENT)
			continue;
		table_range(t, namespace, &from, &to);
		for (; from < to; from++)
			refs_add(&refs, t->slots[from].object);
	}
	*ret = list_of(s, &refs);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

size_t store_count(Store *s, const GroupResource *gr, const char *namespace)
{
	size_t from = 0, to = 0;
	const Table *t;

	pthread_mutex_lock(&s->lock);
	t = image_table(s->image, gr);
	if (t)
		table_range(t, namespace, &from, &to);
	pthread_mutex_unlock(&s->lock);
	return to - from;
}
