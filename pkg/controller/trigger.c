/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Triggers: the common predicates and maps. They run on the store's writer thread and decode
 * nothing: an object's head has all they need.
 */
#include "controller/controller.h"

bool when_any(const WatchEvent *e)
{
	(void)e;
	return true;
}

static bool labels_differ(const Label *a, size_t n_a, const Label *b, size_t n_b)
{
	if (n_a != n_b)
		return true;
	for (size_t i = 0; i < n_a; i++)
		if (!streq(a[i].key, b[i].key) || !streq(a[i].value, b[i].value))
			return true;
	return false;
}

static bool finalizers_differ(const ObjectHead *a, const ObjectHead *b)
{
	size_t i = 0;

	for (; a->finalizers[i] && b->finalizers[i]; i++)
		if (!streq(a->finalizers[i], b->finalizers[i]))
			return true;
	return a->finalizers[i] || b->finalizers[i];
}

bool when_spec_changed(const WatchEvent *e)
{
	const ObjectHead *now, *was;

	if (e->type != WATCH_MODIFIED || !e->old)
		return true;
	now = object_head(e->object);
	was = object_head(e->old);
	return now->generation != was->generation ||
	       !streq_ptr(now->deletion_timestamp, was->deletion_timestamp) ||
	       finalizers_differ(now, was) ||
	       labels_differ(now->labels, now->n_labels, was->labels, was->n_labels) ||
	       labels_differ(now->annotations_kept, now->n_annotations_kept, was->annotations_kept,
			     was->n_annotations_kept);
}

/* The head does not hold status: a change of nothing else, or of what the columns show. */
bool when_status_changed(const WatchEvent *e)
{
	if (e->type != WATCH_MODIFIED || !e->old)
		return true;
	return !when_spec_changed(e) ||
	       !streq_ptr(object_head(e->object)->cells, object_head(e->old)->cells);
}

void map_self(const WatchEvent *e, Workqueue *q, void *self)
{
	(void)self;
	workqueue_add(q, object_key(e->object));
}
