/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arena: memory for many small things that live exactly as long as one piece of work. Nothing in it
 * is freed alone; arena_done() frees all. One thread.
 */
#pragma once

#include "base/macro.h"

typedef struct ArenaChunk ArenaChunk;

typedef struct Arena {
	ArenaChunk *chunks;
	char *next;
	size_t room, chunk_size;
} Arena;

#define ARENA_INIT \
	(Arena) \
	{ \
		0 \
	}
void *arena_alloc(Arena *a, size_t size); /* aligned for any type; not cleared */
char *arena_strcat(Arena *a, const char *prefix, const char *s); /* a new string of both */
void arena_done(Arena *a);

#define arena_new(a, type, n) ((type *)arena_alloc((a), sizeof(type) * (n)))
