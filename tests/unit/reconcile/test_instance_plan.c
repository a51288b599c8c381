/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reconcile/instance_plan: what to do next, as a table. Each row is one view of the world and the
 * step it calls for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "reconcile/instance_plan.h"

#define NOW   (1000 * USEC_PER_SEC)
#define GRACE (60 * USEC_PER_SEC)

typedef struct Row {
	const char *what;
	RunStrategy strategy;
	DomainState state;
	PowerAction request;
	bool pending;
	InstanceView view; /* the rest; grace and now are filled in */
	InstanceStep step;
	const char *reason; /* NULL = any */
} Row;

#define READY .allocated = true, .prepared = true

static const Row rows[] = {
  /* Coming to life, one step at a time. */
	{"new",			   RUN_STRATEGY_ALWAYS, DOMAIN_ABSENT,  0, 0, { 0 },     STEP_ALLOCATE, "Provisioning"    },
	{ "has addresses",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_ABSENT,
         0,								       0,
         { .allocated = true },
         STEP_PREPARE,											 NULL              },
	{ "has disks",                    RUN_STRATEGY_ALWAYS, DOMAIN_ABSENT,  0, 0, { READY }, STEP_DEFINE,   NULL              },
	{ "is defined",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_SHUTOFF,
         0,								       0,
         { READY },
         STEP_START,											   "Starting"        },
	{ "definition is old",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_SHUTOFF,
         0,								       0,
         { READY, .config_changed = true },
         STEP_DEFINE,											  NULL              },
	{ "runs",			 RUN_STRATEGY_ALWAYS, DOMAIN_RUNNING, 0, 0, { READY }, STEP_SETTLED,  "Running"         },
 /* Every strategy, off and on. */
	{ "always, ended in order",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_SHUTOFF,
         0,								       0,
         { READY, .has_run = true, .ended_in_order = true },
         STEP_START,											   NULL              },
	{ "rerun, never ran",
         RUN_STRATEGY_RERUN_ON_FAILURE,			DOMAIN_SHUTOFF,
         0,								       0,
         { READY },
         STEP_START,											   NULL              },
	{ "rerun, crashed",
         RUN_STRATEGY_RERUN_ON_FAILURE,			DOMAIN_SHUTOFF,
         0,								       0,
         { READY, .has_run = true },
         STEP_START,											   NULL              },
	{ "rerun, ended in order",
         RUN_STRATEGY_RERUN_ON_FAILURE,			DOMAIN_SHUTOFF,
         0,								       0,
         { READY, .has_run = true, .ended_in_order = true },
         STEP_SETTLED,											 "Stopped"         },
	{ "once, never ran",              RUN_STRATEGY_ONCE,   DOMAIN_ABSENT,  0, 0, { 0 },     STEP_ALLOCATE, NULL              },
	{ "once, has run",
         RUN_STRATEGY_ONCE,				    DOMAIN_SHUTOFF,
         0,								       0,
         { READY, .has_run = true },
         STEP_SETTLED,											 "Stopped"         },
	{ "manual, off",                  RUN_STRATEGY_MANUAL, DOMAIN_ABSENT,  0, 0, { 0 },     STEP_SETTLED,  "Stopped"         },
	{ "manual, on",
         RUN_STRATEGY_MANUAL,				  DOMAIN_RUNNING,
         0,								       0,
         { READY },
         STEP_SETTLED,											 "Running"         },
	{ "halted, on",
         RUN_STRATEGY_HALTED,				  DOMAIN_RUNNING,
         0,								       0,
         { READY },
         STEP_SHUTDOWN,											"Stopping"        },
	{ "halted, off",
         RUN_STRATEGY_HALTED,				  DOMAIN_SHUTOFF,
         0,								       0,
         { READY },
         STEP_SETTLED,											 "Stopped"         },
 /* Requests. */
	{ "manual, start",
         RUN_STRATEGY_MANUAL,				  DOMAIN_SHUTOFF,
         POWER_REQUEST_START,						     1,
         { READY },
         STEP_START,											   NULL              },
	{ "manual, start done, ended",
         RUN_STRATEGY_MANUAL,				  DOMAIN_SHUTOFF,
         POWER_REQUEST_START,						     0,
         { READY, .has_run = true },
         STEP_SETTLED,											 "Stopped"         },
	{ "always, stop",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_RUNNING,
         POWER_REQUEST_STOP,						      1,
         { READY },
         STEP_SHUTDOWN,											NULL              },
	{ "always, stop done",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_SHUTOFF,
         POWER_REQUEST_STOP,						      0,
         { READY, .has_run = true },
         STEP_SETTLED,											 "Stopped"         },
	{ "always, forced stop",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_RUNNING,
         POWER_REQUEST_STOP,						      1,
         { READY, .force = true },
         STEP_DESTROY,											 NULL              },
	{ "restart, on",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_RUNNING,
         POWER_REQUEST_RESTART,						   1,
         { READY },
         STEP_SHUTDOWN,											NULL              },
	{ "restart, off",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_SHUTOFF,
         POWER_REQUEST_RESTART,						   1,
         { READY, .has_run = true },
         STEP_START,											   NULL              },
	{ "restart skips back-off",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_SHUTOFF,
         POWER_REQUEST_RESTART,						   1,
         { READY, .has_run = true, .next_start = NOW + USEC_PER_SEC },
         STEP_START,											   NULL              },
	{ "restart done",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_RUNNING,
         POWER_REQUEST_RESTART,						   0,
         { READY },
         STEP_SETTLED,											 NULL              },
	{ "once, restart after its end",
         RUN_STRATEGY_ONCE,				    DOMAIN_SHUTOFF,
         POWER_REQUEST_RESTART,						   1,
         { READY, .has_run = true },
         STEP_START,											   NULL              },
	{ "once, start after its end",
         RUN_STRATEGY_ONCE,				    DOMAIN_SHUTOFF,
         POWER_REQUEST_START,						     1,
         { READY, .has_run = true },
         STEP_SETTLED,											 NULL              },
	{ "halted, start",
         RUN_STRATEGY_HALTED,				  DOMAIN_SHUTOFF,
         POWER_REQUEST_START,						     1,
         { READY },
         STEP_SETTLED,											 "Stopped"         },
	{ "pause",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_RUNNING,
         POWER_REQUEST_PAUSE,						     1,
         { READY },
         STEP_PAUSE,											   NULL              },
	{ "pause done",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_PAUSED,
         POWER_REQUEST_PAUSE,						     0,
         { READY },
         STEP_SETTLED,											 NULL              },
	{ "resume",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_PAUSED,
         POWER_REQUEST_RESUME,						    1,
         { READY },
         STEP_RESUME,											  NULL              },
	{ "start of a paused one",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_PAUSED,
         POWER_REQUEST_START,						     1,
         { READY },
         STEP_RESUME,											  NULL              },
 /* Stopping. */
	{ "asked just now",
         RUN_STRATEGY_HALTED,				  DOMAIN_RUNNING,
         0,								       0,
         { READY, .stop_asked = NOW - USEC_PER_SEC, .stop_asked_last = NOW - USEC_PER_SEC },
         STEP_WAIT,											    "Stopping"        },
	{ "asked a while ago",
         RUN_STRATEGY_HALTED,				  DOMAIN_RUNNING,
         0,								       0,
         { READY, .stop_asked = NOW - 20 * USEC_PER_SEC,
	    .stop_asked_last = NOW - 6 * USEC_PER_SEC },
         STEP_SHUTDOWN,											NULL              },
	{ "grace is over",
         RUN_STRATEGY_HALTED,				  DOMAIN_RUNNING,
         0,								       0,
         { READY, .stop_asked = NOW - GRACE, .stop_asked_last = NOW },
         STEP_DESTROY,											 "GracePeriodOver" },
	{ "a paused guest does not hear",
         RUN_STRATEGY_HALTED,				  DOMAIN_PAUSED,
         0,								       0,
         { READY },
         STEP_DESTROY,											 NULL              },
 /* Back-off and the host. */
	{ "back-off",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_SHUTOFF,
         0,								       0,
         { READY, .has_run = true, .next_start = NOW + USEC_PER_SEC },
         STEP_WAIT,											    "CrashLoopBackOff"},
	{ "back-off is over",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_SHUTOFF,
         0,								       0,
         { READY, .has_run = true, .next_start = NOW },
         STEP_START,											   NULL              },
	{ "host stops",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_SHUTOFF,
         0,								       0,
         { READY, .host_stopping = true },
         STEP_WAIT,											    "HostShuttingDown"},
	{ "host stops, guest runs",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_RUNNING,
         0,								       0,
         { READY, .host_stopping = true },
         STEP_SETTLED,											 NULL              },
 /* Changes of a running guest. */
	{ "definition follows",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_RUNNING,
         0,								       0,
         { READY, .config_changed = true },
         STEP_DEFINE,											  NULL              },
	{ "definition needs its parts",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_RUNNING,
         0,								       0,
         { .allocated = true, .config_changed = true },
         STEP_PREPARE,											 NULL              },
	{ "new interface",                RUN_STRATEGY_ALWAYS, DOMAIN_RUNNING, 0, 0, { 0 },     STEP_ALLOCATE, NULL              },
	{ "live change",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_RUNNING,
         0,								       0,
         { READY, .live_changed = true },
         STEP_UPDATE_LIVE,										     NULL              },
 /* Strangers and the end. */
	{ "foreign",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_RUNNING,
         0,								       0,
         { .domain = (void *)1 },
         STEP_FOREIGN,											 "ForeignDomain"   },
	{ "delete, runs",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_RUNNING,
         0,								       0,
         { READY, .deleting = true },
         STEP_SHUTDOWN,											"Stopping"        },
	{ "delete, off",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_SHUTOFF,
         0,								       0,
         { READY, .deleting = true },
         STEP_REMOVE,											  "Terminating"     },
	{ "delete, gone",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_ABSENT,
         0,								       0,
         { .deleting = true },
         STEP_RELEASE,											 "Terminating"     },
	{ "delete, foreign",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_RUNNING,
         0,								       0,
         { .deleting = true, .domain = (void *)1 },
         STEP_RELEASE,											 NULL              },
	{ "delete, host stops",
         RUN_STRATEGY_ALWAYS,				  DOMAIN_RUNNING,
         0,								       0,
         { READY, .deleting = true, .host_stopping = true },
         STEP_SHUTDOWN,											NULL              },
};

static void every_row_is_planned(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const Row *row = &rows[i];
		DomainInfo domain = { .state = row->state, .foreign = row->view.domain != NULL };
		InstanceView v = row->view;
		InstancePlan p;

		v.strategy = row->strategy;
		v.request = row->request;
		v.request_pending = row->pending;
		v.domain = &domain;
		v.now = NOW;
		v.grace = GRACE;
		p = instance_plan(&v);
		if (p.step != row->step || (row->reason && !streq(row->reason, p.reason)))
			fail_msg("%s: planned to %s (%s), not to %s (%s)", row->what,
				 instance_step_to_string(p.step), p.reason,
				 instance_step_to_string(row->step),
				 row->reason ? row->reason : "-");
		assert_true(p.step != STEP_WAIT || p.requeue_after > 0);
	}
}

static void waiting_ends_when_something_is_due(void **state _unused_)
{
	DomainInfo domain = { .state = DOMAIN_RUNNING };
	InstanceView v = { .strategy = RUN_STRATEGY_HALTED,
			   .domain = &domain,
			   .now = NOW,
			   .grace = 3 * USEC_PER_SEC,
			   .stop_asked = NOW - USEC_PER_SEC,
			   .stop_asked_last = NOW - USEC_PER_SEC };

	assert_int_equal(instance_plan(&v).requeue_after, 2 * USEC_PER_SEC);
	v.grace = GRACE;
	assert_int_equal(instance_plan(&v).requeue_after, INSTANCE_ASK_AGAIN - USEC_PER_SEC);
}

static void no_grace_means_force(void **state _unused_)
{
	DomainInfo domain = { .state = DOMAIN_RUNNING };
	InstanceView v = { .deleting = true, .domain = &domain, .now = NOW };

	assert_int_equal(instance_plan(&v).step, STEP_DESTROY);
}

static void back_off_doubles_and_stops_growing(void **state _unused_)
{
	assert_int_equal(instance_backoff(0), 0);
	assert_int_equal(instance_backoff(1), 0);
	assert_int_equal(instance_backoff(2), 2 * USEC_PER_SEC);
	assert_int_equal(instance_backoff(3), 4 * USEC_PER_SEC);
	assert_int_equal(instance_backoff(9), 256 * USEC_PER_SEC);
	assert_int_equal(instance_backoff(10), 5 * USEC_PER_MIN);
	assert_int_equal(instance_backoff(UINT32_MAX), 5 * USEC_PER_MIN);
}

static void actions_have_names(void **state _unused_)
{
	for (int a = POWER_REQUEST_NONE + 1; a < _POWER_REQUEST_MAX; a++)
		assert_int_equal(power_action_from_string(power_action_to_string((PowerAction)a)),
				 a);
	assert_int_equal(power_action_from_string("explode"), POWER_REQUEST_NONE);
	assert_int_equal(power_action_from_string(NULL), POWER_REQUEST_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_is_planned),
		cmocka_unit_test(waiting_ends_when_something_is_due),
		cmocka_unit_test(no_grace_means_force),
		cmocka_unit_test(back_off_doubles_and_stops_growing),
		cmocka_unit_test(actions_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
