/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole cloud in one process for tests: memory store, every controller, and fakes behind every
 * port, on a fake clock. The test writes objects, waits until nothing moves any more, and looks.
 * One thread, but for world_try_...().
 */
#pragma once

#include "driver/fake/disk.h"
#include "driver/fake/hypervisor.h"
#include "driver/fake/image.h"
#include "driver/fake/network.h"
#include "driver/fake/seed.h"
#include "reconcile/reconcile.h"

typedef struct World {
	Clock *clock;
	KindRegistry *kinds;
	Backend *backend; /* the fault decorator around the memory backend; owned by store */
	Store *store;
	Recorder *recorder;
	Manager *manager;
	Reconcilers *reconcilers;
	Hypervisor *hypervisor; /* fakes, for asking and poking */
	NetworkDriver *network;
	ImageCache *images;
	DiskStore *disks;
	SeedWriter *seeds;
	Fault fault;                 /* of all ports together */
	Hypervisor *hypervisor_port; /* what the controllers see: the same behind the fault */
	NetworkDriver *network_port;
	ImageCache *images_port;
	DiskStore *disks_port;
	SeedWriter *seeds_port;
	bool host_stopping;
	/* Runs inside the next question whether the host stops, which an instance asks between its
	 * look at the world and its first step: what comes to pass just then. */
	_Atomic(void (*)(struct World *w)) meanwhile;
	const char *controllers; /* from the next restart on; "all" at first */
	bool patient;         /* what a store could not say is asked again, as any client would */
	Authority *authority; /* of a TLS listener; from the next restart on. Borrowed */
	const char *endpoint;
} World;

/* Everything made but the controllers not running yet. */
World *world_new(void);
/* For cmocka: a test's state is a World of its own that has started. */
int world_setup(void **state);
int world_teardown(void **state);

/* What is there already, for a world that goes on with what another process left behind. */
typedef struct WorldParts {
	Backend *backend;          /* taken over */
	const StoreOptions *store; /* NULL = none but clock and kinds, which are the world's */
	Hypervisor *hypervisor;    /* instead of new fakes, where not NULL; taken over */
	NetworkDriver *network;
	ImageCache *images;
	DiskStore *disks;
	SeedWriter *seeds;
	usec_t age;   /* how long the clock of the world has been going; or: */
	Clock *clock; /* a fake one of the caller's making; taken over */
} WorldParts;
/* NULL and an error if the store cannot be opened. */
World *world_new_of(const WorldParts *parts, Error *err);
void world_start(World *w);
/* Controllers and reconcilers again from nothing, as after kill -9; store and fakes go on. */
void world_restart(World *w);
/* The host goes down with everything on it, and comes back. */
void world_reboot(World *w);
void world_free(World *w);

/* No call of a driver or of the store fails any more. */
void world_heal(World *w);

/* Creates from JSON text ('...' may stand for quotes); defaults and the teardown finalizer are
 * added. */
void world_create(World *w, const char *json);
/* Merges a patch into an object's spec and metadata. */
void world_patch(World *w, const char *resource, const char *name, const char *json);
void world_delete(World *w, const char *resource, const char *name);
/* The same for a test of several threads, which meet: 0 or what the store says (not that somebody
 * was faster: then it tries again). Patch NULL = delete. */
int world_try_create(World *w, const char *json);
int world_try_modify(World *w, const char *resource, const char *name, const char *patch);
/* The annotation that the subresources start, stop, restart, pause and resume write. */
void world_power(World *w, const char *instance, const char *id, const char *action);
/* Until every queue is idle; fails the test after 20 s. */
void world_settle(World *w);
/* Advances the fake clock in steps of a second and settles after each. */
void world_pass(World *w, unsigned seconds);

/* The object's tree (caller's) or NULL. All in namespace "default". */
json_t *world_get(World *w, const char *resource, const char *name);
bool world_exists(World *w, const char *resource, const char *name);
/* A string of it by path; "" if absent. Valid until the next call. */
const char *world_string(World *w, const char *resource, const char *name, const char *path);
/* The same of a member of an instance's condition Ready. */
const char *world_ready(World *w, const char *instance, const char *member);
/* How many allocation records there are. */
size_t world_allocations(World *w);

/* The usual three: network "front", image "debian", instance "web". */
void world_create_hello(World *w);
