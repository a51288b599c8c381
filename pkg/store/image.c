/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image: sorted arrays of what is stored now. See image.h.
 */
#include "store/image.h"

#include "base/memory.h"

bool gr_is_internal(const GroupResource *gr)
{
	return streq(gr->group, "internal.shakenfist.io");
}

Image *image_new(void)
{
	return xnew0(Image, 1);
}

static void slot_done(Slot *s)
{
	if (s->object)
		object_unref(s->object);
	free(s->datum);
}

Image *image_free(Image *m)
{
	if (!m)
		return NULL;
	for (size_t i = 0; i < m->n; i++) {
		for (size_t j = 0; j < m->tables[i].n; j++)
			slot_done(&m->tables[i].slots[j]);
		free(m->tables[i].slots);
	}
	free(m->tables);
	hashmap_free(m->owned);
	free(m);
	return NULL;
}

/* Kinds are few: a walk over pointers beats a hash. */
Table *image_table(const Image *m, const GroupResource *gr)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->tables[i].gr == gr)
			return &m->tables[i];
	return NULL;
}

static Table *table_make(Image *m, const GroupResource *gr)
{
	Table *t = image_table(m, gr);

	if (t)
		return t;
	GROW_ARRAY(m->tables, m->n, m->cap);
	t = &m->tables[m->n++];
	*t = (Table){ .gr = gr };
	return t;
}

static int slot_compare(const Slot *s, const char *namespace, const char *name)
{
	const Key *key;
	int c;

	if (s->datum) {
		c = strcmp(s->datum->namespace, namespace);
		return c ? c : strcmp(s->datum->name, name);
	}
	key = object_key(s->object);
	c = strcmp(key->namespace, namespace);
	return c ? c : strcmp(key->name, name);
}

size_t table_find(const Table *t, const char *namespace, const char *name, bool *ret_found)
{
	size_t lo = 0, hi = t->n;

	*ret_found = false;
	/* Loading comes in key order: what belongs behind the last needs no search. */
	if (t->n > 0 && slot_compare(&t->slots[t->n - 1], namespace, name) < 0)
		return t->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = slot_compare(&t->slots[mid], namespace, name);

		if (c == 0) {
			*ret_found = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

size_t table_after(const Table *t, const char *namespace, const char *name)
{
	bool found;
	size_t at = table_find(t, namespace, name, &found);

	return found ? at + 1 : at;
}

void table_range(const Table *t, const char *namespace, size_t *from, size_t *to)
{
	char next[KEY_NAMESPACE_MAX + 1];
	bool found;
	int n;

	if (str_is_empty(namespace)) {
		*from = 0;
		*to = t->n;
		return;
	}
	/* "ns\x01" comes after every name of "ns" and before any other namespace's first. */
	n = snprintf(next, sizeof(next), "%s\x01", namespace);
	assert(n > 0 && (size_t)n < sizeof(next));
	*from = table_find(t, namespace, "", &found);
	*to = table_find(t, next, "", &found);
}

static Slot *slot_of(const Image *m, const Key *key)
{
	Table *t = image_table(m, key->gr);
	bool found;
	size_t at;

	if (!t)
		return NULL;
	at = table_find(t, key->namespace, key->name, &found);
	return found ? &t->slots[at] : NULL;
}

Object *image_get(const Image *m, const Key *key)
{
	Slot *s = slot_of(m, key);

	return s ? s->object : NULL;
}

const Datum *image_datum(const Image *m, const Key *key)
{
	Slot *s = slot_of(m, key);

	return s ? s->datum : NULL;
}

int64_t image_revision(const Image *m, const Key *key)
{
	Slot *s = slot_of(m, key);

	if (!s)
		return 0;
	return s->object ? object_revision(s->object) : s->datum->rev;
}

/* The slot of that name, empty if it is new. */
static Slot *slot_make(Table *t, const char *namespace, const char *name, bool *ret_found)
{
	size_t at = table_find(t, namespace, name, ret_found);

	if (!*ret_found) {
		GROW_ARRAY(t->slots, t->n, t->cap);
		memmove(t->slots + at + 1, t->slots + at, (t->n - at) * sizeof(*t->slots));
		t->slots[at] = (Slot){ 0 };
		t->n++;
	}
	return &t->slots[at];
}

/* ---- owners ---- */

static void owned_free(void *p)
{
	Owned *set = p;

	free(set->items);
	free(set);
}

const Owned *image_owned(const Image *m, const char *uid)
{
	return m->owned ? hashmap_get(m->owned, uid) : NULL;
}

static size_t owned_find(const Owned *set, const Object *o)
{
	size_t i;

	for (i = 0; i < set->n && set->items[i] != o; i++)
		;
	return i;
}

static void owned_add(Image *m, Object *o)
{
	const ObjectHead *head = object_head(o);

	if (head->n_owners && !m->owned)
		m->owned = hashmap_new(owned_free);
	for (size_t i = 0; i < head->n_owners; i++) {
		Owned *set = hashmap_get(m->owned, head->owners[i].uid);

		if (!set) {
			set = xnew0(Owned, 1);
			hashmap_put(m->owned, head->owners[i].uid, set);
		}
		if (owned_find(set, o) < set->n)
			continue; /* the same owner twice */
		GROW_ARRAY(set->items, set->n, set->cap);
		set->items[set->n++] = o;
	}
}

static void owned_remove(Image *m, const Object *o)
{
	const ObjectHead *head = object_head(o);

	for (size_t i = 0; i < head->n_owners; i++) {
		Owned *set = hashmap_get(m->owned, head->owners[i].uid);
		size_t at = set ? owned_find(set, o) : 0;

		if (!set || at == set->n)
			continue;
		set->items[at] = set->items[--set->n];
		if (set->n == 0)
			hashmap_remove(m->owned, head->owners[i].uid);
	}
}

static void object_leaves(Image *m, Object *o)
{
	m->n_objects--;
	owned_remove(m, o);
}

void image_put(Image *m, Object *o)
{
	const Key *key = object_key(o);
	bool found;
	Slot *s = slot_make(table_make(m, key->gr), key->namespace, key->name, &found);

	if (found) {
		object_leaves(m, s->object);
		object_unref(s->object);
	}
	s->object = object_ref(o);
	m->n_objects++;
	owned_add(m, o);
}

void image_put_datum(Image *m, const Key *key, int64_t rev, const char *text, size_t len)
{
	size_t namespace_size = strlen(key->namespace) + 1, name_size = strlen(key->name) + 1;
	Datum *d = xmalloc(sizeof(*d) + namespace_size + name_size + len + 1);
	bool found;
	Slot *s = slot_make(table_make(m, key->gr), key->namespace, key->name, &found);

	*d = (Datum){ .rev = rev,
		      .namespace = d->bytes,
		      .name = d->bytes + namespace_size,
		      .text = d->bytes + namespace_size + name_size };
	memcpy(d->bytes, key->namespace, namespace_size);
	memcpy(d->bytes + namespace_size, key->name, name_size);
	memcpy(d->bytes + namespace_size + name_size, text, len);
	d->bytes[namespace_size + name_size + len] = '\0';
	free(s->datum);
	s->datum = d;
}

void image_remove(Image *m, const Key *key)
{
	Table *t = image_table(m, key->gr);
	bool found;
	size_t at;

	if (!t)
		return;
	at = table_find(t, key->namespace, key->name, &found);
	if (!found)
		return;
	if (t->slots[at].object)
		object_leaves(m, t->slots[at].object);
	slot_done(&t->slots[at]);
	t->n--;
	memmove(t->slots + at, t->slots + at + 1, (t->n - at) * sizeof(*t->slots));
}
