/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The working set of one reconcile of one instance, shared by the Instance reconciler's files:
 *	instance.c         the loop: look, plan, one step, again
 *	instance_plan.c    what to do next (pure)
 *	instance_view.c    what is wanted and what is there
 *	instance_config.c  from spec and records to a DomainConfig and its hash
 *	instance_step.c    doing it
 *	instance_stop.c    what guests were asked that are to end
 *	instance_status.c  telling it
 * Private to pkg/reconcile. An InstanceWork lives on its worker's stack.
 */
#pragma once

#include "reconcile/allocate.h"
#include "reconcile/instance_plan.h"
#include "reconcile/network_config.h"

/* One interface of the spec with what it resolves to. */
typedef struct InstanceNic {
	const char *name;    /* the spec's */
	const char *network; /* as written in the spec */
	const char *model;
	const char *mac;  /* wanted or NULL */
	char **addresses; /* wanted; strv, owned */
	Object *object;   /* the Network; NULL if it is not there */
	NetworkSpec *spec;
	NetworkConfig addressing; /* prefixes and gateways only */
	uint32_t vni;             /* 0 = not yet */
	bool allocated;
	NetworkPort port; /* valid if allocated */
	Error trouble;    /* why there is no object */
} InstanceNic;

typedef struct InstanceWork {
	Reconcilers *r;
	Context *ctx;
	Key key;
	Object *obj;
	json_t *tree, *status; /* status: a copy that this reconcile fills */
	InstanceSpec *spec;
	const char *uid;
	char domain_name[DOMAIN_NAME_MAX];
	char owner[KEY_NAMESPACE_MAX + KEY_NAME_MAX]; /* "namespace/name" */
	char request_id[64];
	DomainInfo domain;
	InstanceNic nics[DOMAIN_NICS_MAX];
	size_t n_nics;
	DiskInfo disks[DOMAIN_DISKS_MAX]; /* of the spec's disks, once prepared */
	char seed_path[4096];
	char console_path[4096];
	char config_hash[65];
	InstanceView view;
	InstancePlan plan;
	const char *wait_reason; /* set by a step that has to wait */
	char wait_message[600];
	usec_t wait_for;  /* 0 = until woken */
	usec_t ask_again; /* 0 = all that was asked while it runs was answered */
	bool claimed;     /* addresses: its networks' status is to count them */
} InstanceWork;

/* A step's third result beside 0 and an error: it cannot go on now; wait_reason and wait_message
 * say why. Without a reason it is only a moment: somebody else has the network in hand. */
#define STEP_WAITS 1

/* Of the guest of that instance, whose name is a label (63 bytes), as its namespace is. */
void instance_domain_name(const Key *instance, char buf[static DOMAIN_NAME_MAX]);

/* Reads the object. INSTANCE_GONE (1): there is none. */
#define INSTANCE_GONE 1
int instance_work_init(InstanceWork *w, Reconcilers *r, Context *ctx, const Key *key, Error *err);
void instance_work_done(InstanceWork *w);
/* Reads the object again after a write of ours; -ERR_CONFLICT if it is another one than before. */
int instance_reload(InstanceWork *w, Error *err);
/* Looks at the domain and the records and fills w->view; also notes in the status that a guest has
 * ended. */
int instance_observe(InstanceWork *w, Error *err);

/* Looks the network of an interface up, again if need be. Its absence is kept in nic->trouble for
 * the step that needs it. */
int instance_resolve_nic(InstanceWork *w, InstanceNic *n, Error *err);

/* Ends a step that cannot go on now: says why. STEP_WAITS. */
int instance_waits(InstanceWork *w, const char *reason, const char *fmt, ...) _printf_(3, 4);
/* To be called before the look at what is waited for, so that what becomes ready between that look
 * and its answer wakes us all the same. */
void instance_wait_on(InstanceWork *w, const char *word, const char *reference);

/* Claims what interfaces still miss. */
int instance_allocate(InstanceWork *w, Error *err);
/* Makes sure that the network of an allocated interface is there. */
int instance_prepare_network(InstanceWork *w, InstanceNic *n, Error *err);
/* Interfaces that the spec no longer has give up what they held; only while the guest is off. */
int instance_release_removed(InstanceWork *w, Error *err);
/* Takes interfaces out of the status that the spec no longer has and that hold nothing any more. */
void instance_forget_released(InstanceWork *w);

/* The hash of all that the spec and the records say about the domain. "" if not everything is
 * allocated. */
void instance_config_hash(InstanceWork *w, char buf[static 65]);
/* Valid until w changes; needs a prepared w. */
void instance_domain_config(InstanceWork *w, DomainConfig *ret);
/* What differs from what runs, as status.pendingChanges. *ret_live: something does in the domain,
 * and all of that could be done live. */
json_t *instance_pending_changes(InstanceWork *w, bool *ret_live);

/* What a force off or a removal is given to come to its end, and to come to its turn, before it
 * counts as a failure; and both together for all its tries. libvirt kills a QEMU that does not end
 * after 10 s. */
#define INSTANCE_LATE_MAX (30 * USEC_PER_SEC)
#define INSTANCE_TURN_MAX (5 * USEC_PER_MIN)

int instance_do(InstanceWork *w, InstanceStep step, Error *err);

/* Writes the status after the last step of a reconcile. */
int instance_report(InstanceWork *w, Error *err);
/* Writes a status that says that the guest's state is not known, or that something failed. */
int instance_report_trouble(InstanceWork *w, int code, const char *message, Error *err);

/*
 * What a guest was asked that is to end, when, and what of it is under way, by uid; lost with the
 * process, which then asks again. Any thread.
 */
typedef struct StopState {
	usec_t first, last; /* asked to shut down or forced off; of the wall clock */
	bool ours;          /* we made it end: no crash, no back-off */
	bool forced;        /* it was forced off, too, and that was told */
	struct {
		InstanceStep step; /* a force off or a removal that is under way */
		int code;          /* what it was answered with the last time */
		/* Of the clock that only goes forward: when it was first asked for, and since when
		 * that is the answer. */
		usec_t asked, turn;
	} late;
} StopState;
bool instance_stop_get(Reconcilers *r, const char *uid, StopState *ret);
void instance_stop_set(Reconcilers *r, const char *uid, const StopState *t); /* NULL = forget */
/* Adds the instances that something is remembered of. */
void instance_stop_uids(Reconcilers *r, Hashmap *add);
/* `due` is to be done now, or nothing is known (STEP_SETTLED): what was under way and is another
 * step has all its time again when it is asked for again. */
void instance_late_forget(Reconcilers *r, const char *uid, InstanceStep due);
