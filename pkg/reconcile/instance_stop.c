/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instance reconciler: when guests were asked to stop. The hypervisor does not say that a guest was
 * asked, so we remember; lost with the process, which then asks again. Any thread. See instance.h.
 */
#include "base/memory.h"
#include "reconcile/instance.h"

bool instance_stop_get(Reconcilers *r, const char *uid, StopTimes *ret)
{
	StopTimes *t;

	pthread_mutex_lock(&r->stops_lock);
	t = hashmap_get(r->stops, uid);
	if (t)
		*ret = *t;
	pthread_mutex_unlock(&r->stops_lock);
	return t != NULL;
}

void instance_stop_set(Reconcilers *r, const char *uid, const StopTimes *t)
{
	pthread_mutex_lock(&r->stops_lock);
	if (t)
		hashmap_put(r->stops, uid, xmemdup(t, sizeof(*t)));
	else
		hashmap_remove(r->stops, uid);
	pthread_mutex_unlock(&r->stops_lock);
}

void instance_late_forget(Reconcilers *r, const char *uid, InstanceStep due)
{
	StopTimes *t;

	pthread_mutex_lock(&r->stops_lock);
	t = hashmap_get(r->stops, uid);
	if (t && t->late.step != due)
		memset(&t->late, 0, sizeof(t->late));
	pthread_mutex_unlock(&r->stops_lock);
}
