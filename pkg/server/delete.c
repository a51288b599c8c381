/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deleting: one object, or all that a selection names, in batches that are a Txn each.
 *
 * Several Txns cannot be all or nothing: what was deleted when one fails stays deleted, and asking
 * again goes on from there, as with Kubernetes. HTTP threads.
 */
#include "server/handlers.h"
#include "server/internal.h"
#include "server/list.h"
#include "server/reply.h"
#include "server/write.h"

#define DELETE_BATCH 64

/* ---- DeleteOptions ---- */

static int parse_dry_run(Request *r, const json_t *body)
{
	const json_t *list = json_object_get(body, "dryRun"), *item;
	size_t i;

	if (request_dry_run(r) < 0)
		return -ERR_INVALID;
	json_array_foreach (list, i, item) {
		if (!streq_ptr(json_string_value(item), "All"))
			return reply_bad_option(r, "dryRun", FIELD_NOT_SUPPORTED,
						"Unsupported value: supported values: \"All\"");
		r->dry_run = true;
	}
	return 0;
}

/* propagationPolicy, or its forerunner orphanDependents. */
static int parse_propagation(Request *r, const json_t *body, const char **ret)
{
	static const char *const policies[] = { "Background", "Foreground", "Orphan", NULL };
	const char *policy = json_string_at(body, "propagationPolicy");
	const json_t *orphan = json_object_get(body, "orphanDependents");

	if (str_is_empty(policy))
		policy = target_query(&r->target, "propagationPolicy");
	if (str_is_empty(policy))
		policy = NULL;
	if (policy && json_is_boolean(orphan))
		return reply_bad_option(r, "propagationPolicy", FIELD_INVALID,
					"Invalid value: \"%.32s\": orphanDependents and "
					"deletionPropagation cannot be both set",
					policy);
	if (policy && !strv_contains((char *const *)policies, policy))
		return reply_bad_option(r, "propagationPolicy", FIELD_NOT_SUPPORTED,
					"Unsupported value: \"%.32s\": supported values: "
					"\"Background\", \"Foreground\", \"Orphan\"",
					policy);
	if (json_is_boolean(orphan))
		policy = json_is_true(orphan) ? "Orphan" : "Background";
	*ret = policy;
	return 0;
}

/* From body and query. ret borrows from the tree. */
static int parse_delete_options(Request *r, json_t **ret_tree, DeleteOptions *ret)
{
	const char *grace = target_query(&r->target, "gracePeriodSeconds");
	DeleteOptions o = { .grace_period_seconds = -1 };
	const char *revision;

	if (body_decode(r, ret_tree) < 0)
		return -ERR_INVALID;
	if (*ret_tree && !json_is_object(*ret_tree)) {
		reply_bad_request(r, "the body must be an object");
		return -ERR_INVALID;
	}
	if (parse_dry_run(r, *ret_tree) < 0 || parse_propagation(r, *ret_tree, &o.propagation) < 0)
		return -ERR_INVALID;
	o.grace_period_seconds = json_integer_at(*ret_tree, "gracePeriodSeconds",
						 grace ? strtoll(grace, NULL, 10) : -1);
	o.uid = json_string_at(*ret_tree, "preconditions.uid");
	revision = json_string_at(*ret_tree, "preconditions.resourceVersion");
	o.revision = revision ? strtoll(revision, NULL, 10) : 0;
	if (revision && o.revision <= 0) {
		reply_bad_request(r, "preconditions.resourceVersion: Invalid value");
		return -ERR_INVALID;
	}
	*ret = o;
	return 0;
}

/* ---- one ---- */

static void delete_done(Request *r)
{
	const Commit *c = &r->commit;

	if (c->rc == -ERR_CONFLICT && r->attempts < CONFLICT_RETRIES && !r->pinned) {
		r->attempts++;
		handle_delete(r);
	} else if (c->rc < 0) {
		reply_error(r, c->rc, &c->err, r->route.name);
	} else if (c->removed || !c->object) {
		reply_deleted(r, r->route.name, object_head(r->base)->uid);
	} else {
		reply_object(r, MHD_HTTP_OK, c->object);
	}
}

/* What may not be deleted, with the reason; NULL = may. */
static const char *delete_veto(Request *r, const Object *o)
{
	if (r->kind->gr == GR_NAMESPACE && streq(object_key(o)->name, r->server->default_namespace))
		return "this namespace may not be deleted";
	if (r->kind->gr == GR_CRD && server_describes_builtin(r->server, object_key(o)->name))
		return "this kind is part of the server and changes with it";
	return NULL;
}

/* Checked here too, so that the client is told which of its preconditions failed. */
static bool delete_preconditions(Request *r, const DeleteOptions *o)
{
	_cleanup_(xfreep) char *why = NULL;

	if (o->uid && !streq(o->uid, object_head(r->base)->uid))
		why = xasprintf("Precondition failed: UID in precondition: %.64s, UID in object "
				"meta: %s",
				o->uid, object_head(r->base)->uid);
	else if (o->revision && o->revision != object_revision(r->base))
		why = xasprintf("Precondition failed: ResourceVersion in precondition: %lld, "
				"ResourceVersion in object meta: %lld",
				(long long)o->revision, (long long)object_revision(r->base));
	if (why)
		reply_conflict(r, r->route.name, why);
	return !why;
}

void handle_delete(Request *r)
{
	_cleanup_(json_decrefp) json_t *body = NULL;
	const char *veto;
	DeleteOptions options;
	Txn *t;
	Key key;

	if (parse_delete_options(r, &body, &options) < 0 || read_base(r, &key) < 0 ||
	    !delete_preconditions(r, &options))
		return;
	r->pinned = options.revision;
	veto = delete_veto(r, r->base);
	if (veto) {
		reply_forbidden(r, r->route.name, veto);
		return;
	}
	t = txn_new();
	txn_delete(t, r->base, &options);
	request_commit(r, t, delete_done);
}

/* ---- a collection ---- */

/* What was selected, by and by deleted; r->stream. */
typedef struct Collection {
	ObjectList *list;
	DeleteOptions how; /* borrows from body */
	json_t *body;
	size_t done, batch; /* items behind us; items of the Txn in flight */
	bool counted;
} Collection;

static void collection_free(void *p)
{
	Collection *c = p;

	object_list_free(c->list);
	json_decref(c->body);
	free(c);
}

/* Nothing streams here: the answer gets its deadline like any other. */
static void collection_end(Request *r)
{
	collection_free(TAKE_PTR(r->stream));
}

static void collection_next(Request *r);

static void collection_committed(Request *r)
{
	Collection *c = r->stream;

	if (r->commit.rc == -ERR_CONFLICT && r->attempts < CONFLICT_RETRIES) {
		r->attempts++; /* somebody wrote to one of them: fewer at once, read anew */
	} else if (r->commit.rc < 0) {
		collection_end(r);
		reply_error(r, r->commit.rc, &r->commit.err, NULL);
		return;
	} else {
		r->attempts = 0;
		c->done += c->batch;
	}
	collection_next(r);
}

/* Its newest state, unless it is another one by now, or on its way already. NULL = leave it. */
static Object *still_to_delete(Request *r, const Object *listed)
{
	_cleanup_(object_unrefp) Object *o = NULL;
	const char *veto;

	if (store_get(r->server->options.store, object_key(listed), &o, NULL) < 0 ||
	    !streq(object_head(o)->uid, object_head(listed)->uid) || object_is_deleting(o))
		return NULL;
	veto = delete_veto(r, o);
	return veto ? NULL : TAKE_PTR(o);
}

static void collection_next(Request *r)
{
	Collection *c = r->stream;
	_cleanup_(txn_freep) Txn *t = txn_new();

	while (txn_is_empty(t) && c->done < c->list->n && !r->dry_run) {
		unsigned halvings = MIN(r->attempts * 2, 31u);

		c->batch = MIN(c->list->n - c->done, (size_t)DELETE_BATCH >> halvings);
		c->batch = MAX(c->batch, (size_t)1);
		for (size_t i = c->done; i < c->done + c->batch; i++) {
			_cleanup_(object_unrefp) Object *o = still_to_delete(r, c->list->items[i]);

			if (o)
				txn_delete(t, o, &c->how);
		}
		if (txn_is_empty(t))
			c->done += c->batch;
	}
	if (txn_is_empty(t)) {
		ObjectList *list = TAKE_PTR(c->list);
		bool counted = c->counted;

		collection_end(r);
		reply_list(r, list, counted);
	} else {
		request_commit(r, TAKE_PTR(t), collection_committed);
	}
}

static bool match_selection(void *arg, const Object *o)
{
	return selection_match(arg, o);
}

/* What the list options of the request select. */
static int collection_list(Request *r, Collection *c)
{
	const char *token = target_query(&r->target, "continue");
	_cleanup_(selection_done) Selection sel = { 0 };
	_cleanup_(error_done) Error err = ERROR_INIT;
	ListOptions options = { .gr = r->kind->gr,
				.namespace = r->route.namespace,
				.continue_token = str_is_empty(token) ? NULL : token };
	int rc;

	if (list_limit(r, &options.limit) < 0 || selection_parse(r, &sel) < 0)
		return -ERR_INVALID;
	if (sel.labels.n || sel.fields.n) {
		options.match = match_selection;
		options.match_arg = &sel;
	}
	c->counted = !options.match;
	rc = store_list(r->server->options.store, &options, &c->list, &err);
	if (rc < 0)
		reply_list_error(r, &options, rc, &err);
	return rc;
}

void handle_delete_collection(Request *r)
{
	Collection *c;

	/* Deleting namespaces is not a thing to be done in bulk: Kubernetes refuses it too. */
	if (r->kind->gr == GR_NAMESPACE) {
		reply_method(r, "GET, POST");
		return;
	}
	c = xnew0(Collection, 1);
	if (parse_delete_options(r, &c->body, &c->how) < 0 || collection_list(r, c) < 0) {
		collection_free(c);
		return;
	}
	if (c->how.uid || c->how.revision) {
		collection_free(c);
		reply_bad_request(r, "preconditions are for one object");
		return;
	}
	r->stream = c;
	r->stream_free = collection_free;
	collection_next(r);
}
