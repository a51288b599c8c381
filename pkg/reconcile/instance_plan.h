/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What to do next about one instance: a pure function of what is wanted, what was observed, and
 *what happened before.
 *
 * Power requests (subresources start, stop, restart, pause, resume) are done exactly once: an id
 *that the status or the domain's metadata already carries is done. What they mean:
 *
 *	runStrategy      by itself                      start   stop                   restart
 *	Always           runs; again after any end      run     off until "start"      once
 *	RerunOnFailure   runs; again after a crash      run     off until "start"      once
 *	Once             runs until its first end       -       off for good           run once more
 *	Manual           stays as it is                 run     off                    run
 *	Halted           off                            -       off                    -
 *
 * A restart is a shutdown and a start, so that what was pending becomes real. pause and resume hold
 *under every strategy as long as the guest runs; an end of the guest ends the pause.
 */
#pragma once

#include "api/types.h"
#include "driver/hypervisor.h"

typedef enum PowerAction {
	POWER_REQUEST_NONE,
	POWER_REQUEST_START,
	POWER_REQUEST_STOP,
	POWER_REQUEST_RESTART,
	POWER_REQUEST_PAUSE,
	POWER_REQUEST_RESUME,
	_POWER_REQUEST_MAX,
} PowerAction;

const char *power_action_to_string(PowerAction a);
PowerAction power_action_from_string(const char *s); /* NONE for anything else */

typedef enum InstanceStep {
	STEP_SETTLED,  /* as wanted: only report */
	STEP_WAIT,     /* for `reason`; come back after requeue_after, or when woken */
	STEP_FOREIGN,  /* a domain of that name is not ours: hands off */
	STEP_ALLOCATE, /* claim addresses, MACs, tap ids */
	STEP_PREPARE,  /* network data plane, disks, seed: everything a start needs */
	STEP_DEFINE,
	STEP_START,
	STEP_SHUTDOWN, /* ask the guest */
	STEP_DESTROY,  /* by force */
	STEP_PAUSE,
	STEP_RESUME,
	STEP_UPDATE_LIVE,
	STEP_REMOVE,  /* the domain */
	STEP_RELEASE, /* disks, ports, allocations, finalizer */
	_STEP_MAX,
} InstanceStep;

const char *instance_step_to_string(InstanceStep s);

/* Nothing runs; there may be a definition. */
static inline bool domain_is_off(const DomainInfo *d)
{
	return d->state == DOMAIN_ABSENT || d->state == DOMAIN_SHUTOFF;
}

/* Everything the decision depends on; times are microseconds of the wall clock, as the status keeps
 * them. */
typedef struct InstanceView {
	/* wanted */
	RunStrategy strategy;
	bool deleting;
	bool force;          /* stop without asking the guest */
	usec_t grace;        /* between asking and forcing */
	PowerAction request; /* the newest one, done or not */
	bool request_pending;
	bool config_changed; /* the persistent definition differs from spec */
	bool live_changed; /* what runs differs from spec, and all of the difference can be changed
			      live */
	/* observed */
	const DomainInfo *domain;
	bool allocated; /* every interface has its records */
	bool prepared;  /* this reconcile already made network, disks and seed */
	bool host_stopping;
	uint64_t disk_room; /* where the fullest of its disks lies; of a guest paused by its disk */
	/* before */
	bool has_run;           /* it was started at least once */
	bool ended_in_order;    /* its last end was an orderly shutdown by the guest */
	usec_t stop_asked;      /* when the guest was first asked to shut down; 0 = it was not */
	usec_t stop_asked_last; /* and the last time: a guest that still boots does not hear */
	usec_t io_error_told; /* since when the status says that its disk paused it; 0 = not yet */
	usec_t next_start;    /* earliest restart (back-off); 0 = now */
	usec_t now;
} InstanceView;

typedef struct InstancePlan {
	InstanceStep step;
	const char *reason; /* CamelCase, of the Ready condition while it is not done */
	usec_t requeue_after;
} InstancePlan;

InstancePlan instance_plan(const InstanceView *v);

/* True if the guest should be running, disregarding back-off and the host's state. */
bool instance_wants_running(const InstanceView *v);

/* Delay before restart number `failures` (1, 2, ...) of a guest that keeps ending: 0, 2 s, 4 s, ...
 * 5 min. */
usec_t instance_backoff(unsigned failures);
/* A guest that its disk paused goes on once there is so much room, looked at so often. */
#define INSTANCE_DISK_ROOM  (64ull << 20)
#define INSTANCE_LOOK_AGAIN (5 * USEC_PER_SEC)
/* How often a guest that does not shut down is asked again. */
#define INSTANCE_ASK_AGAIN (5 * USEC_PER_SEC)
/* A guest that ran this long has recovered: its next end counts as the first. */
#define INSTANCE_STABLE (10 * USEC_PER_MIN)
