/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The drivers' side of the world: fakes in memory that survives, and ports to them for the one
 * process that is alive. A port takes the lock of survive.h around each call; its subscriber is
 * that process's own.
 */
#pragma once

#include "driver/fake/disk.h"
#include "driver/fake/hypervisor.h"
#include "driver/fake/image.h"
#include "driver/fake/network.h"
#include "driver/fake/seed.h"

typedef struct Fakes {
	Hypervisor *hypervisor;
	NetworkDriver *network;
	ImageCache *images;
	DiskStore *disks;
	SeedWriter *seeds;
} Fakes;

/* In memory that survives. */
void fakes_new(Fakes *ret);
/* What they were told to do and did, ever: something to compare. */
unsigned fakes_changes(const Fakes *f);

Hypervisor *surviving_hypervisor_new(Hypervisor *inner);
NetworkDriver *surviving_network_new(NetworkDriver *inner);
ImageCache *surviving_images_new(ImageCache *inner);
DiskStore *surviving_disks_new(DiskStore *inner);
SeedWriter *surviving_seeds_new(SeedWriter *inner);
