/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instance reconciler: what guests were asked that are to end, and since when their force off or
 * removal is under way. The hypervisor says neither, so we remember; lost with the process, which
 * then asks again. Any thread. See instance.h.
 */
#include "base/memory.h"
#include "reconcile/instance.h"

bool instance_stop_get(Reconcilers *r, const char *uid, StopState *ret)
{
	StopState *t;

	pthread_mutex_lock(&r->stops_lock);
	t = hashmap_get(r->stops, uid);
	if (t)
		*ret = *t;
	pthread_mutex_unlock(&r->stops_lock);
	return t != NULL;
}

void instance_stop_set(Reconcilers *r, const char *uid, const StopState *t)
{
	pthread_mutex_lock(&r->stops_lock);
	if (t)
		hashmap_put(r->stops, uid, xmemdup(t, sizeof(*t)));
	else
		hashmap_remove(r->stops, uid);
	pthread_mutex_unlock(&r->stops_lock);
}

void instance_stop_uids(Reconcilers *r, Hashmap *add)
{
	pthread_mutex_lock(&r->stops_lock);
	hashmap_foreach (it, r->stops)
		hashmap_put(add, it.key, NULL);
	pthread_mutex_unlock(&r->stops_lock);
}

void instance_late_forget(Reconcilers *r, const char *uid, InstanceStep due)
{
	StopState *t;

	pthread_mutex_lock(&r->stops_lock);
	t = hashmap_get(r->stops, uid);
	if (t && t->late.step != due)
		memset(&t->late, 0, sizeof(t->late));
	pthread_mutex_unlock(&r->stops_lock);
}
