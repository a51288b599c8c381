/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashmap: string keys to pointers. Keys are copied; values are the caller's unless free_value is
 * given. The hash is keyed with a random seed per process, so a client that chooses the keys cannot
 * make it slow. Iteration order is unspecified; deleting the current entry while iterating is
 * allowed. One thread, or under its owner's lock.
 */
#pragma once

#include "base/macro.h"
#include "base/random.h"

typedef struct Hashmap Hashmap;
typedef struct HashmapIter {
	size_t i;
	const char *key;
	void *value;
} HashmapIter;

Hashmap *hashmap_new(void (*free_value)(void *)); /* free_value may be NULL */
Hashmap *hashmap_free(Hashmap *m);
DEFINE_CLEANUP(Hashmap *, hashmap_free)

size_t hashmap_size(const Hashmap *m);
void *hashmap_get(const Hashmap *m, const char *key); /* NULL if absent */
bool hashmap_contains(const Hashmap *m, const char *key);
/* Replaces (and frees, if free_value) an old value. */
void hashmap_put(Hashmap *m, const char *key, void *value);
/* Removes and returns the value without freeing it; NULL if absent. */
void *hashmap_take(Hashmap *m, const char *key);
/* Removes and frees the value; true if it was there. */
bool hashmap_remove(Hashmap *m, const char *key);
bool hashmap_next(const Hashmap *m, HashmapIter *it);
/* Its keys, which are UUIDs, as a list that the caller frees; how many. */
size_t hashmap_uuids(const Hashmap *m, char (**ret)[UUID_MAX]);

#define hashmap_foreach(it, m) for (HashmapIter it = { 0 }; hashmap_next((m), &it);)

/* SipHash-2-4 of any bytes under the process's random key. */
uint64_t hash_bytes(const void *p, size_t n);
