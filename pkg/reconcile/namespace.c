/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespace controller: a namespace that is being deleted takes everything in it along, and goes
 * when nothing is left.
 *
 * Objects are only marked; their own controllers tear down what they stand for and let go of their
 * finalizers. Until then the namespace's status says how much is left of what. Runs on controller
 * workers; only writes to the store.
 */
#include "base/failpoint.h"
#include "base/memory.h"
#include "reconcile/internal.h"

#define LEFT_RECHECK (30 * USEC_PER_SEC) /* a safety net: each removal wakes us */

/* "2 instances.shakenfist.io, 1 images.shakenfist.io" */
static char *describe_left(const ObjectList *list)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;
	const GroupResource *gr = NULL;
	size_t count = 0;
	char name[512];

	for (size_t i = 0; i <= list->n; i++) {
		const GroupResource *next = i < list->n ? object_key(list->items[i])->gr : NULL;

		if (next == gr) {
			count++;
			continue;
		}
		if (gr)
			strbuf_addf(&b, "%s%zu %s", b.len ? ", " : "", count,
				    group_resource_format(gr, name, sizeof(name)));
		gr = next;
		count = 1;
	}
	return strbuf_take(&b);
}

/* Removes the namespace's events, all of them. */
static int delete_events(Reconcilers *r, Context *ctx, const char *namespace, Error *err)
{
	ListOptions all = { .gr = GR_EVENT, .namespace = namespace };
	int rc;

	do {
		_cleanup_(object_list_freep) ObjectList *events = NULL;

		rc = store_list(r->env.store, &all, &events, err);
		if (rc == 0)
			rc = objects_delete_some(r, ctx, events, err);
	} while (rc == 1);
	return rc;
}

static int namespace_report(Reconcilers *r, Context *ctx, const Object *ns, const char *left,
			    Error *err)
{
	_cleanup_(json_decrefp) json_t *tree = object_decode_lean(ns);
	json_t *status = status_begin(tree);

	json_object_set_new(status, "phase", json_string("Terminating"));
	status_condition(r, ns, status, "NamespaceContentRemaining",
			 *left ? CONDITION_TRUE : CONDITION_FALSE,
			 *left ? "SomeResourcesRemain" : "ContentRemoved", left);
	return status_write(r, ctx, ns, tree, status, NULL, err);
}

static int namespace_reconcile(void *self, Context *ctx, const Key *key, Result *ret, Error *err)
{
	_cleanup_(object_list_freep) ObjectList *content = NULL;
	_cleanup_(object_unrefp) Object *ns = NULL;
	_cleanup_(txn_freep) Txn *t = NULL;
	_cleanup_(xfreep) char *left = NULL;
	Reconcilers *r = self;
	int rc = store_get(r->env.store, key, &ns, err);

	if (rc == -ERR_NOT_FOUND)
		return error_ignore(err);
	if (rc < 0 || !object_is_deleting(ns))
		return rc;
	do {
		content = object_list_free(content);
		rc = store_list_namespace(r->env.store, key->name, &content, err);
		if (rc == 0)
			rc = objects_delete_some(r, ctx, content, err);
	} while (rc == 1);
	if (rc < 0)
		return error_wrap_rc(err, rc, "delete the content of namespace %s", key->name);
	content = object_list_free(content);
	rc = store_list_namespace(r->env.store, key->name, &content, err);
	if (rc < 0)
		return rc;
	if (content->n) {
		left = describe_left(content);
		ret->requeue_after = LEFT_RECHECK;
		return namespace_report(r, ctx, ns, left, err);
	}
	rc = delete_events(r, ctx, key->name, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "delete the events of namespace %s", key->name);
	t = txn_new();
	txn_namespace_finalize(t, ns);
	return FAIL_POINT_AROUND("namespace.finalize",
				 store_commit(r->env.store, ctx, t, NULL, err));
}

static const GroupResource *every_kind(void)
{
	return NULL;
}

static bool when_removed_from_namespace(const WatchEvent *e)
{
	return e->type == WATCH_DELETED && *object_key(e->object)->namespace &&
	       object_key(e->object)->gr != GR_EVENT;
}

static void map_namespace(const WatchEvent *e, Workqueue *q, void *self _unused_)
{
	Key ns = key_make(GR_NAMESPACE, "", object_key(e->object)->namespace);

	workqueue_add(q, &ns);
}

ControllerSpec namespace_controller(void)
{
	static const Trigger triggers[] = {
		{every_kind,     when_removed_from_namespace, map_namespace },
		{ NULL},
	};

	return (ControllerSpec){ .name = "namespace",
				 .gr = GR_NAMESPACE,
				 .workers = 1,
				 .triggers = triggers,
				 .reconcile = namespace_reconcile };
}
