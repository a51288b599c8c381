/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image cache and the disk store of this host, on one directory:
 *
 *	STATE/incoming/NAME.part, NAME.json, NAME.qcow2   what is being fetched and converted; NAME
 *is the sha256 of what was asked for (URL and checksum) STATE/images/SHA256.qcow2, SHA256.json
 *cached content, root's and read-only, and what is known about it STATE/instances/UID/NAME.qcow2
 *disks, copy-on-write over the cache
 *
 * QEMU runs as another user and must reach disks and their bases: directories are 0711 (incoming:
 * 0700), cached content 0444, disks 0600 for libvirt to hand over. One process uses a directory.
 *
 * The cache has one thread of its own, which starts the roles (roles.h), listens to them and sends
 * the events; every function of the ports may be called from any thread and only ever blocks for a
 * look at the disk.
 */
#pragma once

#include "driver/image.h"

typedef struct ImageCacheOptions {
	const char *state_dir; /* absolute; made if absent */
	const char *program;   /* what is run with --role=; NULL = this very binary */
	Clock *clock;          /* NULL = clock_system() */

	uint64_t max_size;   /* of a download and of a disk, where the request gives none */
	uint64_t min_free;   /* bytes of the file system that stay free */
	bool deny_private;   /* refuse private addresses too */
	bool allow_loopback; /* tests */
	unsigned max_fetches, max_converts; /* at the same time */
	unsigned connect_seconds, total_seconds, low_speed_bytes, low_speed_seconds;
	unsigned convert_seconds;

	usec_t backoff_min, backoff_max; /* between tries of a failing source */
	usec_t revalidate_after;         /* a source asked more recently is not asked again */

	uint64_t max_bytes;  /* evict() shrinks the cache below this; 0 = no limit */
	usec_t max_age;      /* and drops what was not used for so long; 0 = no limit */
	usec_t evict_grace;  /* but nothing used more recently than this */
	usec_t part_max_age; /* partial files nobody asked for are dropped after this */
} ImageCacheOptions;

/* Sensible values for everything but state_dir. */
void image_cache_options_init(ImageCacheOptions *o);
int image_cache_new(const ImageCacheOptions *o, ImageCache **ret, Error *err);

typedef struct DiskStoreOptions {
	const char *state_dir; /* the cache's */
	uint64_t min_free;     /* no new disk when less is free */
} DiskStoreOptions;

int disk_store_new(const DiskStoreOptions *o, DiskStore **ret, Error *err);
