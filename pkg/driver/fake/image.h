/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ImageCache that keeps everything in memory: sources that a test sets up stand for web servers,
 * jobs move on when the test says so (or at once), and the rules are the real cache's: one fetch
 * for equal sources, checksums, revalidation, a source that disappears, back-off, eviction. Any
 * thread.
 */
#pragma once

#include "driver/fake/fault.h"
#include "driver/image.h"

/* A restart of sfd is fake_image_restart(): jobs are forgotten, cached content stays. */
ImageCache *fake_image_cache_new(Clock *clock);

/* ---- what a test may do ---- */

typedef struct FakeSource {
	const char *content; /* what the server sends; decides checksum and digest */
	const char *sums;    /* the checksum file that goes with it ("hex  name" lines), or NULL */
	uint64_t size;       /* bytes it counts as; 0 = 1 MiB */
	uint64_t virtual_size; /* 0 = 1 GiB */
	const char *etag;      /* NULL = none */
	ErrorCode failure;     /* not ERR_NONE: every request fails with it */
} FakeSource;

/* Sets or replaces what a URL answers. An unknown URL is "404": -ERR_NOT_FOUND. */
void fake_image_source_set(ImageCache *c, const char *url, const FakeSource *source);
void fake_image_source_remove(ImageCache *c, const char *url);
/* With manual steps a fetch only moves by fake_image_advance(); otherwise it is done when ensure
 * returns, and the next ensure says so. */
void fake_image_set_manual(ImageCache *c, bool manual);
/* Every running fetch gets this many bytes; one that is complete becomes ready with the next call.
 */
void fake_image_advance(ImageCache *c, uint64_t bytes);
/* Content over this many bytes is evicted, least recently used first; 0 = no limit. */
void fake_image_set_limit(ImageCache *c, uint64_t bytes);
void fake_image_restart(ImageCache *c);
/* Somebody deletes a cached file behind our back. */
void fake_image_lose(ImageCache *c, const char *digest);

/* ---- what a test may ask ---- */

/* The digest that content converts to. */
const char *fake_image_digest(const char *content, char buf[static IMAGE_DIGEST_MAX]);
unsigned fake_image_fetches(ImageCache *c); /* started, ever */
size_t fake_image_jobs(ImageCache *c);      /* Images it knows */
size_t fake_image_cached(ImageCache *c);    /* contents */

/* For the fake DiskStore: a base in use is never evicted. */
void fake_image_pin(ImageCache *c, const char *digest, int by);

/* Owns inner, not fault. */
ImageCache *faulty_image_cache_new(ImageCache *inner, Fault *fault);
