/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key: interned group and resource pairs, and keys as values. See key.h.
 *
 * The table of pairs only grows (kinds are few and an administrator makes them) and its entries are
 * never freed. Readers take no lock: the list is published by its head, with release and acquire.
 */
#include "api/key.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/hashmap.h"
#include "base/memory.h"

typedef struct Interned {
	GroupResource gr;
	struct Interned *next;
} Interned;

static _Atomic(Interned *) interned;
static pthread_mutex_t interned_lock = PTHREAD_MUTEX_INITIALIZER;

static const GroupResource *lookup(const char *group, const char *resource)
{
	for (Interned *i = atomic_load_explicit(&interned, memory_order_acquire); i; i = i->next)
		if (streq(i->gr.resource, resource) && streq(i->gr.group, group))
			return &i->gr;
	return NULL;
}

const GroupResource *group_resource(const char *group, const char *resource)
{
	const GroupResource *gr = lookup(group, resource);
	Interned *i;

	if (gr)
		return gr;
	pthread_mutex_lock(&interned_lock);
	gr = lookup(group, resource);
	if (!gr) {
		i = xnew0(Interned, 1);
		i->gr.group = xstrdup(group);
		i->gr.resource = xstrdup(resource);
		i->next = atomic_load_explicit(&interned, memory_order_relaxed);
		atomic_store_explicit(&interned, i, memory_order_release);
		gr = &i->gr;
	}
	pthread_mutex_unlock(&interned_lock);
	return gr;
}

const char *group_resource_format(const GroupResource *gr, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s%s", gr->resource, *gr->group ? "." : "", gr->group);
	return buf;
}

static void copy_part(char *to, size_t size, const char *from)
{
	size_t n = strlen(from);

	assert(n < size);
	memcpy(to, from, n + 1);
}

Key key_make(const GroupResource *gr, const char *namespace, const char *name)
{
	Key k = { .gr = gr };

	copy_part(k.namespace, sizeof(k.namespace), namespace ? namespace : "");
	copy_part(k.name, sizeof(k.name), name);
	return k;
}

int key_compare(const Key *a, const Key *b)
{
	int c = 0;

	if (a->gr != b->gr) {
		c = strcmp(a->gr->group, b->gr->group);
		if (c == 0)
			c = strcmp(a->gr->resource, b->gr->resource);
	}
	if (c == 0)
		c = strcmp(a->namespace, b->namespace);
	return c ? c : strcmp(a->name, b->name);
}

bool key_equal(const Key *a, const Key *b)
{
	return a->gr == b->gr && streq(a->name, b->name) && streq(a->namespace, b->namespace);
}

uint64_t key_hash(const Key *k)
{
	/* The pair is unique by its address; the texts are followed by a NUL each, so that a/bc and
	 * ab/c differ. */
	char buf[sizeof(k->gr) + sizeof(k->namespace) + sizeof(k->name)];
	size_t n = sizeof(k->gr), m;

	memcpy(buf, &k->gr, n);
	m = strlen(k->namespace) + 1;
	memcpy(buf + n, k->namespace, m);
	n += m;
	m = strlen(k->name) + 1;
	memcpy(buf + n, k->name, m);
	return hash_bytes(buf, n + m);
}

const char *key_format(const Key *k, char *buf, size_t size)
{
	char gr[512];

	snprintf(buf, size, "%s %s%s%s", group_resource_format(k->gr, gr, sizeof(gr)), k->namespace,
		 *k->namespace ? "/" : "", k->name);
	return buf;
}
