/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashmap: open addressing with linear probing and tombstones, SipHash-2-4 under a random key. See
 * hashmap.h. SipHash after Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012).
 */
#include "base/hashmap.h"

#include <pthread.h>

#include "base/memory.h"

typedef struct Slot {
	char *key; /* NULL = never used; TOMBSTONE = was used */
	void *value;
	uint64_t hash;
} Slot;

struct Hashmap {
	Slot *slots;
	size_t n, used, cap; /* live, live + tombstones, power of two */
	void (*free_value)(void *);
};

static char tombstone;
#define TOMBSTONE (&tombstone)

static uint64_t sip_key[2];
static pthread_once_t sip_once = PTHREAD_ONCE_INIT;

static void sip_init(void)
{
	random_bytes(sip_key, sizeof(sip_key));
}

static inline uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

uint64_t hash_bytes(const void *p, size_t n)
{
	const uint8_t *in = p;
	uint64_t v[4], m;
	size_t left = n;

	pthread_once(&sip_once, sip_init);
	v[0] = sip_key[0] ^ 0x736f6d6570736575ULL;
	v[1] = sip_key[1] ^ 0x646f72616e646f6dULL;
	v[2] = sip_key[0] ^ 0x6c7967656e657261ULL;
	v[3] = sip_key[1] ^ 0x7465646279746573ULL;
	for (; left >= 8; left -= 8, in += 8) {
		memcpy(&m, in, 8);
		v[3] ^= m;
		sip_round(v);
		sip_round(v);
		v[0] ^= m;
	}
	m = (uint64_t)n << 56;
	for (size_t i = 0; i < left; i++)
		m |= (uint64_t)in[i] << (8 * i);
	v[3] ^= m;
	sip_round(v);
	sip_round(v);
	v[0] ^= m;
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

Hashmap *hashmap_new(void (*free_value)(void *))
{
	Hashmap *m = xnew0(Hashmap, 1);

	m->cap = 8;
	m->slots = xnew0(Slot, m->cap);
	m->free_value = free_value;
	return m;
}

Hashmap *hashmap_free(Hashmap *m)
{
	if (!m)
		return NULL;
	for (size_t i = 0; i < m->cap; i++) {
		if (!m->slots[i].key || m->slots[i].key == TOMBSTONE)
			continue;
		free(m->slots[i].key);
		if (m->free_value)
			m->free_value(m->slots[i].value);
	}
	free(m->slots);
	free(m);
	return NULL;
}

size_t hashmap_size(const Hashmap *m)
{
	return m->n;
}

/* The slot of key, or NULL. */
static Slot *hashmap_find(const Hashmap *m, const char *key, uint64_t hash)
{
	for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
		Slot *s = &m->slots[i];

		if (!s->key)
			return NULL;
		if (s->key != TOMBSTONE && s->hash == hash && streq(s->key, key))
			return s;
	}
}

static void hashmap_insert(Hashmap *m, char *key, uint64_t hash, void *value)
{
	size_t i = hash & (m->cap - 1);

	while (m->slots[i].key)
		i = (i + 1) & (m->cap - 1);
	m->slots[i] = (Slot){ .key = key, .value = value, .hash = hash };
	m->n++;
	m->used++;
}

static void hashmap_rehash(Hashmap *m, size_t cap)
{
	Slot *old = m->slots;
	size_t old_cap = m->cap;

	m->slots = xnew0(Slot, cap);
	m->cap = cap;
	m->n = m->used = 0;
	for (size_t i = 0; i < old_cap; i++)
		if (old[i].key && old[i].key != TOMBSTONE)
			hashmap_insert(m, old[i].key, old[i].hash, old[i].value);
	free(old);
}

void *hashmap_get(const Hashmap *m, const char *key)
{
	Slot *s = hashmap_find(m, key, hash_bytes(key, strlen(key)));

	return s ? s->value : NULL;
}

bool hashmap_contains(const Hashmap *m, const char *key)
{
	return hashmap_find(m, key, hash_bytes(key, strlen(key))) != NULL;
}

void hashmap_put(Hashmap *m, const char *key, void *value)
{
	uint64_t hash = hash_bytes(key, strlen(key));
	Slot *s = hashmap_find(m, key, hash);

	if (s) {
		if (m->free_value && s->value != value)
			m->free_value(s->value);
		s->value = value;
		return;
	}
	if ((m->used + 1) * 4 > m->cap * 3)
		hashmap_rehash(m, m->n * 2 >= m->cap ? m->cap * 2 : m->cap);
	hashmap_insert(m, xstrdup(key), hash, value);
}

void *hashmap_take(Hashmap *m, const char *key)
{
	Slot *s = hashmap_find(m, key, hash_bytes(key, strlen(key)));
	void *value;

	if (!s)
		return NULL;
	value = s->value;
	free(s->key);
	*s = (Slot){ .key = TOMBSTONE };
	m->n--;
	return value;
}

bool hashmap_remove(Hashmap *m, const char *key)
{
	void *value;

	if (!hashmap_contains(m, key))
		return false;
	value = hashmap_take(m, key);
	if (m->free_value)
		m->free_value(value);
	return true;
}

bool hashmap_next(const Hashmap *m, HashmapIter *it)
{
	for (; it->i < m->cap; it->i++) {
		Slot *s = &m->slots[it->i];

		if (!s->key || s->key == TOMBSTONE)
			continue;
		it->key = s->key;
		it->value = s->value;
		it->i++;
		return true;
	}
	return false;
}

size_t hashmap_uuids(const Hashmap *m, char (**ret)[UUID_MAX])
{
	char(*uuids)[UUID_MAX] = xcalloc(hashmap_size(m), sizeof(*uuids));
	size_t n = 0;

	hashmap_foreach (it, m)
		snprintf(uuids[n++], UUID_MAX, "%s", it.key);
	*ret = uuids;
	return n;
}
