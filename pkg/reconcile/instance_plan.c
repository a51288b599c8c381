/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Instance reconciler's decisions. Pure: no IO, no clock but the view's. See instance_plan.h.
 */
#include "reconcile/instance_plan.h"

#define BACKOFF_FIRST (2 * USEC_PER_SEC)
#define BACKOFF_MAX   (5 * USEC_PER_MIN)

static const char *const step_names[_STEP_MAX] = {
	[STEP_SETTLED] = "settle",    [STEP_WAIT] = "wait for",
	[STEP_FOREIGN] = "leave",     [STEP_ALLOCATE] = "allocate addresses of",
	[STEP_PREPARE] = "prepare",   [STEP_DEFINE] = "define",
	[STEP_START] = "start",       [STEP_SHUTDOWN] = "shut down",
	[STEP_DESTROY] = "force off", [STEP_PAUSE] = "pause",
	[STEP_RESUME] = "resume",     [STEP_UPDATE_LIVE] = "update",
	[STEP_REMOVE] = "remove",     [STEP_RELEASE] = "release",
};

static const char *const action_names[_POWER_REQUEST_MAX] = {
	[POWER_REQUEST_NONE] = "",       [POWER_REQUEST_START] = "start",
	[POWER_REQUEST_STOP] = "stop",   [POWER_REQUEST_RESTART] = "restart",
	[POWER_REQUEST_PAUSE] = "pause", [POWER_REQUEST_RESUME] = "resume",
};

const char *instance_step_to_string(InstanceStep s)
{
	return step_names[s];
}

const char *power_action_to_string(PowerAction a)
{
	return action_names[a];
}

PowerAction power_action_from_string(const char *s)
{
	for (int a = POWER_REQUEST_NONE + 1; s && a < _POWER_REQUEST_MAX; a++)
		if (streq(action_names[a], s))
			return (PowerAction)a;
	return POWER_REQUEST_NONE;
}

usec_t instance_backoff(unsigned failures)
{
	usec_t delay = BACKOFF_FIRST;

	if (failures <= 1)
		return 0;
	for (unsigned i = 2; i < failures && delay < BACKOFF_MAX; i++)
		delay *= 2;
	return MIN(delay, BACKOFF_MAX);
}

/* A request to run that nobody has carried out yet. */
static bool start_is_pending(const InstanceView *v)
{
	return v->request_pending &&
	       (v->request == POWER_REQUEST_START || v->request == POWER_REQUEST_RESTART);
}

bool instance_wants_running(const InstanceView *v)
{
	bool on = !domain_is_off(v->domain);

	if (v->strategy == RUN_STRATEGY_HALTED || v->request == POWER_REQUEST_STOP)
		return false;
	switch (v->strategy) {
	case RUN_STRATEGY_ALWAYS:
		return true;
	case RUN_STRATEGY_RERUN_ON_FAILURE:
		return on || start_is_pending(v) || !v->has_run || !v->ended_in_order;
	case RUN_STRATEGY_ONCE:
		return on || !v->has_run ||
		       (v->request_pending && v->request == POWER_REQUEST_RESTART);
	default:
		return on || start_is_pending(v);
	}
}

static InstancePlan step(InstanceStep s, const char *reason)
{
	return (InstancePlan){ .step = s, .reason = reason };
}

static InstancePlan wait_for(const char *reason, usec_t after)
{
	return (InstancePlan){ .step = STEP_WAIT, .reason = reason, .requeue_after = after };
}

/* Asks first, forces after the grace period. */
static InstancePlan plan_off(const InstanceView *v)
{
	if (v->force || v->grace == 0)
		return step(STEP_DESTROY, "Stopping");
	/* A paused guest cannot answer. */
	if (v->domain->state == DOMAIN_PAUSED)
		return step(STEP_DESTROY, "Stopping");
	if (!v->stop_asked)
		return step(STEP_SHUTDOWN, "Stopping");
	if (v->now >= v->stop_asked + v->grace)
		return step(STEP_DESTROY, "GracePeriodOver");
	if (v->now >= v->stop_asked_last + INSTANCE_ASK_AGAIN)
		return step(STEP_SHUTDOWN, "Stopping");
	return wait_for("Stopping",
			MIN(v->stop_asked + v->grace, v->stop_asked_last + INSTANCE_ASK_AGAIN) -
				v->now);
}

static InstancePlan plan_delete(const InstanceView *v)
{
	if (v->domain->foreign || v->domain->state == DOMAIN_ABSENT)
		return step(STEP_RELEASE, "Terminating");
	if (!domain_is_off(v->domain))
		return plan_off(v);
	return step(STEP_REMOVE, "Terminating");
}

/* The guest is off and should run. */
static InstancePlan plan_start(const InstanceView *v)
{
	if (v->host_stopping)
		return wait_for("HostShuttingDown", 30 * USEC_PER_SEC);
	if (v->next_start > v->now && !start_is_pending(v))
		return wait_for("CrashLoopBackOff", v->next_start - v->now);
	if (!v->allocated)
		return step(STEP_ALLOCATE, "Provisioning");
	if (!v->prepared)
		return step(STEP_PREPARE, "Provisioning");
	if (v->domain->state == DOMAIN_ABSENT || v->config_changed)
		return step(STEP_DEFINE, "Provisioning");
	return step(STEP_START, "Starting");
}

/*
 * QEMU pauses a guest whose disk finds no space, so that it loses nothing. It goes on when there is
 * space; not before it was told of, and not over the pause of somebody who asked for one.
 */
static InstancePlan plan_paused_by_disk(const InstanceView *v)
{
	if (v->request == POWER_REQUEST_PAUSE)
		return step(STEP_SETTLED, "Running");
	if (!v->io_error_told || v->disk_room < INSTANCE_DISK_ROOM ||
	    v->now < v->io_error_told + INSTANCE_LOOK_AGAIN)
		return wait_for("IOError", INSTANCE_LOOK_AGAIN);
	return step(STEP_RESUME, "Resuming");
}

/* It runs, and may. */
static InstancePlan plan_running(const InstanceView *v)
{
	if (v->request_pending) {
		switch (v->request) {
		case POWER_REQUEST_RESTART:
			return plan_off(v);
		case POWER_REQUEST_PAUSE:
			if (v->domain->state == DOMAIN_RUNNING)
				return step(STEP_PAUSE, "Pausing");
			break;
		case POWER_REQUEST_START:
		case POWER_REQUEST_RESUME:
			if (v->domain->state == DOMAIN_PAUSED)
				return step(STEP_RESUME, "Resuming");
			break;
		default:
			break;
		}
	}
	if (!v->allocated)
		return step(STEP_ALLOCATE, "Updating");
	if (v->config_changed)
		return step(v->prepared ? STEP_DEFINE : STEP_PREPARE, "Updating");
	if (v->live_changed)
		return step(STEP_UPDATE_LIVE, "Updating");
	if (v->domain->state == DOMAIN_PAUSED && v->domain->reason == DOMAIN_REASON_IO_ERROR)
		return plan_paused_by_disk(v);
	return step(STEP_SETTLED, "Running");
}

InstancePlan instance_plan(const InstanceView *v)
{
	if (v->deleting)
		return plan_delete(v);
	if (v->domain->foreign)
		return step(STEP_FOREIGN, "ForeignDomain");
	if (!instance_wants_running(v)) {
		if (!domain_is_off(v->domain))
			return plan_off(v);
		/* Off, and to stay so: the definition follows spec all the same once there is one.
		 */
		if (v->domain->state != DOMAIN_ABSENT && v->config_changed && v->allocated &&
		    v->prepared)
			return step(STEP_DEFINE, "Stopped");
		return step(STEP_SETTLED, "Stopped");
	}
	return domain_is_off(v->domain) ? plan_start(v) : plan_running(v);
}
