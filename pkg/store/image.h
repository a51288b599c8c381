/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image: the current state in memory: per kind one array of references in key order. Finding is a
 * binary search, a list is a copied range of references, loading in key order appends. Inserting
 * moves pointers: 80 KB for the first of 10,000 objects, which is nothing beside the fsync that the
 * same write waits for. No lock of its own: the Store's guards it.
 */
#pragma once

#include "api/object.h"
#include "base/hashmap.h"

/* An internal record: what a Backend holds without the meaning of an Object. The image owns it. */
typedef struct Datum {
	int64_t rev;
	const char *namespace, *name, *text; /* in `bytes` */
	char bytes[];
} Datum;

/* One of the two. */
typedef struct Slot {
	Object *object;
	Datum *datum;
} Slot;

typedef struct Table {
	const GroupResource *gr;
	Slot *slots;
	size_t n, cap;
} Table;

typedef struct Image {
	Table *tables;
	size_t n, cap;
	size_t n_objects;
	Hashmap *owned; /* uid of an owner -> Owned; made with the first */
} Image;

/* The objects that name one uid as their owner, each once; in no order. Borrowed from their slots.
 */
typedef struct Owned {
	Object **items;
	size_t n, cap;
} Owned;

const Owned *image_owned(const Image *m, const char *uid); /* NULL if there are none */

/* True for kinds that hold records of ours and are never served. */
bool gr_is_internal(const GroupResource *gr);

Image *image_new(void);
Image *image_free(Image *m);
DEFINE_CLEANUP(Image *, image_free)

Table *image_table(const Image *m, const GroupResource *gr); /* NULL if there is nothing of it */
Object *image_get(const Image *m, const Key *key);           /* borrowed, or NULL */
const Datum *image_datum(const Image *m, const Key *key);    /* borrowed, or NULL */
int64_t image_revision(const Image *m, const Key *key);      /* 0 = absent */
void image_put(Image *m, Object *o);                         /* takes its own reference */
void image_put_datum(Image *m, const Key *key, int64_t rev, const char *text, size_t len);
void image_remove(Image *m, const Key *key);
/* Slots [*from, *to) of that namespace; "" or NULL = all. */
void table_range(const Table *t, const char *namespace, size_t *from, size_t *to);
/* The first slot behind (namespace, name). */
size_t table_after(const Table *t, const char *namespace, const char *name);
/* The first slot whose name is not before `name`. */
size_t table_find(const Table *t, const char *namespace, const char *name, bool *ret_found);
