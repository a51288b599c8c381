/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instance reconciler: makes one libvirt domain, its disks and its ports be what its Instance says.
 *
 * Level-triggered: every call looks at the object, the records and the domain afresh, takes the
 * next step, and looks again; it never matters what woke it. instance_plan() decides and does no
 * IO; instance_do() acts and decides nothing. Runs on controller workers and may block; only these
 * files write an Instance's status.
 */
#include "reconcile/instance.h"

#include "base/memory.h"
#include "controller/reasons.h"

#define STEPS_MAX 16 /* far more than any path through the plan has */

/* True when nothing more can be done in this call. */
static bool plan_is_final(const InstanceWork *w)
{
	return w->plan.step == STEP_SETTLED || w->plan.step == STEP_WAIT ||
	       w->plan.step == STEP_FOREIGN;
}

/* Asked to stop and then to run after all: what was asked before counts no more, whether the guest
 * heard it or not. */
static void forget_stop(InstanceWork *w)
{
	bool restarting = w->view.request_pending && w->view.request == POWER_REQUEST_RESTART;

	if (!w->view.stop_asked || w->view.deleting || restarting ||
	    !instance_wants_running(&w->view))
		return;
	instance_stop_set(w->r, w->uid, NULL);
	w->view.stop_asked = w->view.stop_asked_last = 0;
}

/* 0 = as far as it goes now, 1 = the object is released, or an error. */
static int instance_steps(InstanceWork *w, Error *err)
{
	int rc;

	for (int i = 0; i < STEPS_MAX; i++) {
		rc = instance_observe(w, err);
		if (rc < 0) {
			instance_late_forget(w->r, w->uid, STEP_SETTLED);
			return rc;
		}
		forget_stop(w);
		w->plan = instance_plan(&w->view);
		instance_late_forget(w->r, w->uid, w->plan.step);
		if (plan_is_final(w))
			return 0;
		rc = instance_do(w, w->plan.step, err);
		if (rc < 0)
			return error_wrap_rc(err, rc, "%s", instance_step_to_string(w->plan.step));
		if (rc == STEP_WAITS)
			return 0;
		if (w->plan.step == STEP_RELEASE)
			return 1;
	}
	return error_set(err, ERR_INTERNAL, "no end after %d steps, the last: %s", STEPS_MAX,
			 instance_step_to_string(w->plan.step));
}

static usec_t next_look(const InstanceWork *w)
{
	usec_t next = w->wait_reason              ? w->wait_for
		      : w->plan.step == STEP_WAIT ? w->plan.requeue_after
						  : 0;

	return w->ask_again && (!next || w->ask_again < next) ? w->ask_again : next;
}

static int instance_finish(InstanceWork *w, int code, Error *trouble, Error *err)
{
	_cleanup_(error_done) Error report = ERROR_INIT;

	if (code == 1)
		return 0;
	if (code == 0) {
		if (w->plan.step == STEP_FOREIGN)
			recorder_event(w->r->env.recorder, w->obj, EVENT_WARNING,
				       REASON_INSTANCE_FOREIGN,
				       "a domain named %s exists and is not ours; it is left alone",
				       w->domain_name);
		return instance_report(w, err);
	}
	/* What went wrong matters more than that it could not be written down. A conflict is only a
	 * race: try again. */
	if (code != -ERR_CONFLICT && code != -ERR_CANCELED && w->obj)
		instance_report_trouble(w, code, error_message(trouble), &report);
	return error_move(err, trouble);
}

/* Their status says how many ports they have. Last of all: who starts a guest does not wait for it.
 */
static void recount_networks(const InstanceWork *w)
{
	for (size_t i = 0; w->claimed && i < w->n_nics; i++)
		if (w->nics[i].object)
			manager_enqueue(w->r->env.manager, object_key(w->nics[i].object));
}

static int instance_reconcile(void *self, Context *ctx, const Key *key, Result *ret, Error *err)
{
	Error trouble = ERROR_INIT;
	InstanceWork *w = xnew0(InstanceWork, 1);
	Reconcilers *r = self;
	int rc;

	waitlist_forget(r->waits, key);
	rc = instance_work_init(w, r, ctx, key, &trouble);
	if (rc == INSTANCE_GONE) {
		rc = 0;
		goto out;
	}
	if (rc == 0)
		rc = instance_steps(w, &trouble);
	rc = instance_finish(w, rc, &trouble, err);
	ret->requeue_after = next_look(w);
	recount_networks(w);
out:
	instance_work_done(w);
	free(w);
	return rc;
}

static const GroupResource *secrets(void)
{
	return GR_SECRET;
}

static void map_secret(const WatchEvent *e, Workqueue *q _unused_, void *self)
{
	_cleanup_(xfreep) char *what = waitlist_what("secret", object_key(e->object)->namespace,
						     object_key(e->object)->name);
	Reconcilers *r = self;

	waitlist_wake(r->waits, what, r->env.manager);
}

ControllerSpec instance_controller(void)
{
	static const Trigger triggers[] = {
		{secrets,     when_any, map_secret },
		{ NULL},
	};

	return (ControllerSpec){ .name = "instance",
				 .gr = GR_INSTANCE,
				 .workers = 4,
				 .resync = 30 * USEC_PER_MIN,
				 .triggers = triggers,
				 .reconcile = instance_reconcile };
}
