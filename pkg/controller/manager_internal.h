/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What manager.c (life cycle, doors, health) and worker.c (the loop around a reconcile) share.
 */
#pragma once

#include <stdatomic.h>

#include "base/hashmap.h"
#include "controller/controller.h"

typedef struct Controller Controller;

typedef struct Worker {
	Controller *controller;
	pthread_t thread;
	bool started, ended; /* under the manager's lock, as is what follows */
	usec_t since;        /* when the current reconcile began; 0 = idle */
	Key key;
} Worker;

struct Controller {
	Manager *manager;
	ControllerSpec spec; /* with defaults filled in */
	void *self;
	char *kind_name; /* "Instance" */
	Workqueue *queue;
	Worker *workers;

	pthread_mutex_t lock; /* guards the rest */
	Hashmap *failures;    /* "namespace/name" to Failure */
	uint64_t results[_RECONCILE_MAX], terminal;
	Histogram durations; /* atomic by itself */
};

struct Manager {
	Store *store;
	Clock *clock;
	Recorder *recorder;
	Controller **controllers;
	size_t n_controllers, cap_controllers;
	Watch *watch;
	atomic_bool canceled;

	pthread_mutex_t lock; /* guards the workers' state */
	pthread_cond_t ended;
};

/* Fills in the loop's part of a new controller, and frees it. */
void controller_init(Controller *c);
void controller_done(Controller *c);
void *worker_main(void *arg);
