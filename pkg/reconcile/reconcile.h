/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reconcilers: one file per kind, each plan() (pure) and reconcile() (inspect, plan, one step,
 * again). This header is all that main needs: an environment of ports, and one function that
 * registers every controller with the manager.
 */
#pragma once

#include "controller/controller.h"
#include "controller/recorder.h"
#include "driver/console.h"
#include "driver/hypervisor.h"
#include "driver/image.h"
#include "driver/network.h"
#include "driver/seed.h"
#include "pki/authority.h"

typedef struct Reconcilers Reconcilers;

typedef struct ReconcileEnv {
	Store *store;
	KindRegistry *kinds;
	Recorder *recorder;
	Clock *clock;
	Manager *manager;
	Hypervisor *hypervisor; /* ports: borrowed */
	NetworkDriver *network;
	ImageCache *images;
	DiskStore *disks;
	SeedWriter *seeds;
	const char *node_name;
	const char *architecture; /* "x86_64" */
	/* Of the TLS listener; NULL where there is none. */
	Authority *authority;
	const char *endpoint; /* "https://192.0.2.1:6443": where others reach it */
	/* True while the host shuts down: nothing is started then. */
	bool (*host_is_stopping)(void *arg);
	void *host_arg;
	/* Called, from any thread, when reconcilers_summary() would say something new; only posts.
	 * May be NULL. */
	void (*changed)(void *arg);
	void *changed_arg;
} ReconcileEnv;

/*
 * Adds the controllers named in `list` ("all", "none", or "instance,network,...") and subscribes to
 * the ports' events. The result must live until the manager is stopped.
 */
int reconcilers_new(const ReconcileEnv *env, const char *list, Reconcilers **ret, Error *err);
Reconcilers *reconcilers_free(Reconcilers *r);
DEFINE_CLEANUP(Reconcilers *, reconcilers_free)

/* One line for STATUS=: "3 instances running, 1 starting; 2 networks; 1 image fetching". */
void reconcilers_summary(Reconcilers *r, char *buf, size_t size);
