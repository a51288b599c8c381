/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A DiskStore that keeps its disks in memory, with the real one's refusals: nothing is made twice
 * or over something else, nothing shrinks, a base must be cached and then stays. Any thread.
 */
#pragma once

#include "driver/fake/fault.h"
#include "driver/image.h"

/* images: a fake_image_cache_new(), borrowed; it must outlive the store. root: where paths pretend
 * to be, NULL = "/var/lib/sfd/instances". Nothing is written there. */
DiskStore *fake_disk_store_new(ImageCache *images, const char *root);

size_t fake_disk_instances(DiskStore *d); /* directories */
size_t fake_disk_count(DiskStore *d);     /* disks in all of them */
unsigned fake_disk_changes(DiskStore *d); /* disks and directories made, grown, removed, ever */
/* No space for anything new from now on (-ERR_EXHAUSTED). */
void fake_disk_set_full(DiskStore *d, bool full);

/* Owns inner, not fault. */
DiskStore *faulty_disk_store_new(DiskStore *inner, Fault *fault);
