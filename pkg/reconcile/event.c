/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event controller: an Event is removed a day after it was last seen. Only the store.
 */
#include "base/failpoint.h"
#include "base/memory.h"
#include "reconcile/internal.h"

#define EVENT_AGE (24 * USEC_PER_HOUR)

static usec_t event_last_seen(const Object *o)
{
	_cleanup_(json_decrefp) json_t *tree = object_decode_lean(o);
	const char *text = json_string_at(tree, "lastTimestamp");
	usec_t t;

	if (!text)
		text = object_head(o)->creation_timestamp;
	return text && timestamp_parse(text, &t) == 0 ? t : 0;
}

static int event_reconcile(void *self, Context *ctx, const Key *key, Result *ret, Error *err)
{
	_cleanup_(object_unrefp) Object *o = NULL;
	_cleanup_(txn_freep) Txn *t = NULL;
	Reconcilers *r = self;
	usec_t wall = clock_wall(r->env.clock), seen;
	int rc = store_get(r->env.store, key, &o, err);

	if (rc == -ERR_NOT_FOUND)
		return error_ignore(err);
	if (rc < 0)
		return rc;
	seen = event_last_seen(o);
	if (wall < seen + EVENT_AGE) {
		ret->requeue_after = seen + EVENT_AGE - wall;
		return 0;
	}
	t = txn_new();
	txn_delete(t, o, &(DeleteOptions){ .grace_period_seconds = -1 });
	return FAIL_POINT_AROUND("event.expire", store_commit(r->env.store, ctx, t, NULL, err));
}

ControllerSpec event_controller(void)
{
	static const Trigger triggers[] = { { NULL } };

	return (ControllerSpec){ .name = "event",
				 .gr = GR_EVENT,
				 .workers = 1,
				 .triggers = triggers,
				 .reconcile = event_reconcile };
}
