/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arena: see arena.h. Chunks double in size up to a bound, so that small work stays small.
 */
#include "base/arena.h"

#include "base/memory.h"

#define CHUNK_MIN 4096
#define CHUNK_MAX (256u * 1024)

struct ArenaChunk {
	ArenaChunk *next;
	max_align_t data[];
};

static void add_chunk(Arena *a, size_t size)
{
	ArenaChunk *c;

	a->chunk_size = a->chunk_size ? MIN(a->chunk_size * 2, CHUNK_MAX) : CHUNK_MIN;
	a->room = MAX(a->chunk_size, size);
	c = xmalloc(sizeof(*c) + a->room);
	c->next = a->chunks;
	a->chunks = c;
	a->next = (char *)c->data;
}

void *arena_alloc(Arena *a, size_t size)
{
	void *p;

	size = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
	if (size > a->room)
		add_chunk(a, size);
	p = a->next;
	a->next += size;
	a->room -= size;
	return p;
}

char *arena_strcat(Arena *a, const char *prefix, const char *s)
{
	size_t n = strlen(prefix), m = strlen(s);
	char *p = arena_alloc(a, n + m + 1);

	memcpy(p, prefix, n);
	memcpy(p + n, s, m + 1);
	return p;
}

void arena_done(Arena *a)
{
	while (a->chunks) {
		ArenaChunk *c = a->chunks;

		a->chunks = c->next;
		free(c);
	}
	*a = ARENA_INIT;
}
