/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Definition controller: a CustomResourceDefinition that is being deleted takes its objects along,
 * and goes when none is left.
 *
 * Objects are only marked: one with finalizers stays until whoever set them lets go, and the
 * definition's condition Terminating names it. New ones are refused meanwhile by the store. Runs on
 * controller workers; only writes to the store.
 */
#include "api/definition.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "reconcile/internal.h"

#define LEFT_RECHECK (30 * USEC_PER_SEC) /* a safety net: each removal wakes us */
#define NAMED_MAX    3                   /* how many of those that are left are named */

/* "2 objects remain: default/a (waits for example.com/hold), default/b" */
static char *describe_left(const ObjectList *list)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;

	strbuf_addf(&b, "CustomResource deletion is in progress: %zu object%s remain%s", list->n,
		    list->n == 1 ? "" : "s", list->n == 1 ? "s" : "");
	for (size_t i = 0; i < list->n && i < NAMED_MAX; i++) {
		const Key *key = object_key(list->items[i]);
		const char *const *finalizers = object_head(list->items[i])->finalizers;
		_cleanup_(xfreep) char *waits =
			strv_join((char *const *)(uintptr_t)finalizers, ", ");

		strbuf_addf(&b, "%s%s%s%s", i ? ", " : ": ", key->namespace,
			    *key->namespace ? "/" : "", key->name);
		if (*finalizers)
			strbuf_addf(&b, " (waits for %s)", waits);
	}
	if (list->n > NAMED_MAX)
		strbuf_adds(&b, ", ...");
	return strbuf_take(&b);
}

static int definition_report(Reconcilers *r, Context *ctx, const Object *crd,
			     const ObjectList *left, Error *err)
{
	_cleanup_(json_decrefp) json_t *tree = object_decode_lean(crd);
	_cleanup_(xfreep) char *message = describe_left(left);
	_cleanup_(txn_freep) Txn *t = txn_new();
	json_t *status = json_object_get(tree, "status");

	if (!status ||
	    !definition_set_condition(status, "Terminating", "True", "InstanceDeletionInProgress",
				      message, clock_wall(r->env.clock)))
		return 0;
	txn_update_status(t, crd, status);
	return FAIL_POINT_AROUND("definition.report",
				 store_commit(r->env.store, ctx, t, NULL, err));
}

static int definition_reconcile(void *self, Context *ctx, const Key *key, Result *ret, Error *err)
{
	const char *dot = strchr(key->name, '.');
	_cleanup_(xfreep) char *plural =
		dot ? xstrndup(key->name, (size_t)(dot - key->name)) : NULL;
	_cleanup_(object_list_freep) ObjectList *left = NULL;
	_cleanup_(object_unrefp) Object *crd = NULL;
	_cleanup_(txn_freep) Txn *t = NULL;
	Reconcilers *r = self;
	ListOptions all = { 0 };
	int rc = store_get(r->env.store, key, &crd, err);

	if (rc == -ERR_NOT_FOUND)
		return error_ignore(err);
	if (rc < 0 || !dot || !object_is_deleting(crd) ||
	    !object_has_finalizer(crd, FINALIZER_CRD_CLEANUP))
		return rc;
	all.gr = group_resource(dot + 1, plural);
	do {
		left = object_list_free(left);
		rc = store_list(r->env.store, &all, &left, err);
		if (rc == 0)
			rc = objects_delete_some(r, ctx, left, err);
	} while (rc == 1);
	if (rc < 0)
		return error_wrap_rc(err, rc, "delete the objects of %s", key->name);
	left = object_list_free(left);
	rc = store_list(r->env.store, &all, &left, err);
	if (rc < 0)
		return rc;
	if (left->n) {
		ret->requeue_after = LEFT_RECHECK;
		return definition_report(r, ctx, crd, left, err);
	}
	t = txn_new();
	txn_finalize(t, crd, FINALIZER_CRD_CLEANUP);
	return FAIL_POINT_AROUND("definition.finalize",
				 store_commit(r->env.store, ctx, t, NULL, err));
}

static const GroupResource *every_kind(void)
{
	return NULL;
}

/* Ours have no definition that goes. */
static bool when_users_object_changed(const WatchEvent *e)
{
	const char *group = object_key(e->object)->gr->group;

	return e->type != WATCH_ADDED && strchr(group, '.') && !streq(group, "shakenfist.io") &&
	       (e->type == WATCH_DELETED || object_is_deleting(e->object));
}

static void map_definition(const WatchEvent *e, Workqueue *q, void *self)
{
	const GroupResource *gr = object_key(e->object)->gr;
	_cleanup_(xfreep) char *name = xasprintf("%s.%s", gr->resource, gr->group);
	_cleanup_(object_unrefp) Object *crd = NULL;
	Reconcilers *r = self;
	Key key;

	if (strlen(name) >= KEY_NAME_MAX)
		return;
	key = key_make(GR_CRD, "", name);
	if (store_get(r->env.store, &key, &crd, NULL) == 0 && object_is_deleting(crd))
		workqueue_add(q, &key);
}

ControllerSpec definition_controller(void)
{
	static const Trigger triggers[] = {
		{every_kind,      when_users_object_changed, map_definition },
		{ NULL},
	};

	return (ControllerSpec){ .name = "definition",
				 .gr = GR_CRD,
				 .workers = 1,
				 .triggers = triggers,
				 .reconcile = definition_reconcile };
}
