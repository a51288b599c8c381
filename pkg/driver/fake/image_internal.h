/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fake image cache and a test's hooks share. Private to them.
 */
#pragma once

#include <pthread.h>

#include "base/hashmap.h"
#include "driver/fake/image.h"

typedef struct Source {
	char *content, *sums, *etag;
	uint64_t size, virtual_size;
	ErrorCode failure;
} Source;

/* One content in the cache. */
typedef struct Content {
	char digest[IMAGE_DIGEST_MAX];
	char *source_key;
	ImageState state; /* as READY reports it */
	usec_t used, checked;
	int pins;
} Content;

/* One transfer and what became of it, shared by all Images of the same source. */
typedef struct Fetch {
	char *key, *url, *checksum, *checksum_url;
	char *old_digest; /* of what is revalidated; NULL = a first fetch */
	uint64_t max_size;
	ImageState state;
	unsigned failures;
	bool running;
} Fetch;

typedef struct FakeCache {
	ImageCache cache;
	pthread_mutex_t lock;
	Clock *clock;
	Hashmap *sources;  /* url -> Source */
	Hashmap *fetches;  /* source key -> Fetch */
	Hashmap *jobs;     /* uid -> char *source key */
	Hashmap *contents; /* digest -> Content */
	bool manual;
	uint64_t limit;
	unsigned started;
	ImageEventFn event;
	void *event_arg;
} FakeCache;

static inline FakeCache *fake_of(ImageCache *c)
{
	return CONTAINER_OF(c, FakeCache, cache);
}

/* Under the lock: gives a running fetch some bytes; true if its state changed. */
bool fake_fetch_step(FakeCache *c, Fetch *f, uint64_t bytes);
void fake_fetch_release(void *p);
/* Not under the lock. */
void fake_image_emit(FakeCache *f, const char *uid);
