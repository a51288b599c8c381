/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports: the image cache of this host, and the disks made over it.
 *
 * ImageCache: `ensure` never waits: it starts or continues the fetch and conversion of one Image
 * and returns where that stands; the subscriber hears when to look again (at most once a second
 * while bytes come). A cached image is named by the sha256 of its converted content (`digest`),
 * immutable, shared by all who ask for the same content. DiskStore: disks of instances, named by
 * instance uid and disk name; copy-on-write over a cached image or blank.
 *
 * Implementations: image/ and fake/. Any thread.
 */
#pragma once

#include "base/context.h"
#include "base/random.h"

typedef enum ImagePhase {
	IMAGE_PENDING, /* queued */
	IMAGE_FETCHING,
	IMAGE_VERIFYING,
	IMAGE_CONVERTING,
	IMAGE_READY,
	IMAGE_FAILED, /* see error; a later ensure tries again after retry_after */
	_IMAGE_PHASE_MAX,
} ImagePhase;

const char *image_phase_to_string(ImagePhase p);

typedef struct ImageRequest {
	const char *uid;          /* of the Image object */
	const char *url;          /* http or https */
	const char *checksum;     /* "sha256:hex", "sha512:hex" or NULL */
	const char *checksum_url; /* a SHA256SUMS-like file, or NULL */
	bool revalidate;  /* ask the source whether it changed (pullPolicy Always), unless it
			     was asked minutes ago; meanwhile `digest` names the cached copy */
	const char *etag; /* what the cached copy came with; NULL = unknown */
	const char *last_modified;
	const char *digest; /* what this object has now; NULL = nothing */
	uint64_t max_size;  /* bytes of download and of virtual size; 0 = the driver's default */
} ImageRequest;

#define IMAGE_DIGEST_MAX 72 /* "sha256:" and 64 digits */

typedef struct ImageState {
	ImagePhase phase;
	uint64_t bytes_fetched, bytes_total; /* total 0 = not told by the server */
	uint64_t rate;                       /* bytes per second, over the last seconds */
	char digest[IMAGE_DIGEST_MAX];       /* of the cached, converted file; "" until ready */
	char source_checksum[140];           /* "sha256:hex" of what was downloaded */
	char etag[256], last_modified[64];
	uint64_t virtual_size, file_size; /* bytes */
	char source_format[16];           /* "qcow2", "raw" */
	bool source_gone;   /* revalidation failed; the cached copy is kept and used */
	usec_t retry_after; /* monotonic; 0 = now */
	Error error;        /* owned by the ImageState: image_state_done() */
} ImageState;

void image_state_done(ImageState *s);

/* digest is what a caller in use keeps; the cache never evicts those. Called whenever the cache
 * wants to evict. */
typedef struct ImageDigestList {
	char (*digests)[IMAGE_DIGEST_MAX];
	size_t n;
} ImageDigestList;

/* uid of the Image whose state changed; NULL = any. From an own thread: only enqueue. */
typedef void (*ImageEventFn)(void *arg, const char *uid);

typedef struct ImageCache ImageCache;

typedef struct ImageCacheOps {
	const char *name;
	int (*ensure)(ImageCache *self, Context *ctx, const ImageRequest *request, ImageState *ret,
		      Error *err);
	/* Stops a fetch and forgets its partial file; the cached content stays until evicted. 0 if
	 * unknown. */
	int (*forget)(ImageCache *self, Context *ctx, const char *uid, Error *err);
	/* uids of the Images that it was asked for and that were not forgotten since; caller frees
	 * *ret. */
	int (*list)(ImageCache *self, Context *ctx, char (**ret)[UUID_MAX], size_t *ret_n,
		    Error *err);
	/* Absolute path and format ("qcow2") of cached content; -ERR_NOT_FOUND if it is not (or no
	 * longer) there. */
	int (*path)(ImageCache *self, Context *ctx, const char *digest, char ret_path[static 4096],
		    Error *err);
	/* Evicts by age and size what is in neither `keep` nor any disk's chain; *ret_freed bytes.
	 */
	int (*evict)(ImageCache *self, Context *ctx, const ImageDigestList *keep,
		     uint64_t *ret_freed, Error *err);
	/* One subscriber, fn NULL = none from now on. An event that was on its way may still reach
	 * the one before after this has returned: what arg points to outlives the implementation.
	 */
	void (*subscribe)(ImageCache *self, ImageEventFn fn, void *arg);
	ImageCache *(*free)(ImageCache *self);
} ImageCacheOps;

struct ImageCache {
	const ImageCacheOps *ops;
};

typedef struct DiskRequest {
	const char *instance_uid;
	const char *name;   /* the spec's disk name: a DNS label */
	const char *digest; /* NULL = blank */
	uint64_t size; /* bytes; 0 = the image's own size. Grows an existing disk, never shrinks it.
			*/
} DiskRequest;

typedef struct DiskInfo {
	char path[4096];
	char format[8];       /* "qcow2" */
	char base_path[4096]; /* "" = none */
	char base_digest[IMAGE_DIGEST_MAX];
	uint64_t virtual_size, allocated; /* bytes */
	uint64_t room; /* bytes it can still grow by: free space of its file system */
	bool created;  /* this call made it */
} DiskInfo;

typedef struct DiskStore DiskStore;

typedef struct DiskStoreOps {
	const char *name;
	/* Makes it if absent (never over an existing file), grows it if asked for more and
	 * `offline`. */
	int (*ensure)(DiskStore *self, Context *ctx, const DiskRequest *request, bool offline,
		      DiskInfo *ret, Error *err);
	/* What is on disk now; -ERR_NOT_FOUND. */
	int (*inspect)(DiskStore *self, Context *ctx, const char *instance_uid, const char *name,
		       DiskInfo *ret, Error *err);
	/* Removes every file of that instance: disks, seed, console log, NVRAM. 0 if absent. */
	int (*remove)(DiskStore *self, Context *ctx, const char *instance_uid, Error *err);
	/* uids that own a directory; caller frees *ret. */
	int (*list)(DiskStore *self, Context *ctx, char (**ret)[UUID_MAX], size_t *ret_n,
		    Error *err);
	/* The instance's directory, made if absent (for the seed and the console log). */
	int (*directory)(DiskStore *self, Context *ctx, const char *instance_uid,
			 char ret_path[static 4096], Error *err);
	DiskStore *(*free)(DiskStore *self);
} DiskStoreOps;

struct DiskStore {
	const DiskStoreOps *ops;
};
