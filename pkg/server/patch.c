/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PATCH: JSON patch, merge patch, strategic merge on Kubernetes' own kinds, and the door to
 * server-side apply.
 *
 * A patch is a function of the stored object, so when another writer came in between it is computed
 * again from the new state, unless the client pinned a resourceVersion. HTTP threads.
 */
#include <strings.h>

#include "controller/recorder.h"
#include "server/handlers.h"
#include "server/internal.h"
#include "server/render.h"
#include "server/reply.h"
#include "server/strategic.h"
#include "server/write.h"

typedef enum PatchType { PATCH_JSON, PATCH_MERGE, PATCH_STRATEGIC, PATCH_APPLY } PatchType;

/* Of the kinds that clients know as their own types they send nothing but strategic merges. */
static bool kind_is_typed(const Kind *k)
{
	return k->builtin && !streq(k->group, "shakenfist.io") && k->gr != GR_CRD;
}

/* strategic: where there is a strategic merge, on types that Kubernetes' clients know. Custom kinds
 * have none; clients then fall back or say so clearly. */
static int patch_type(Request *r, bool strategic, PatchType *ret)
{
	static const struct {
		const char *media;
		PatchType type;
	} types[] = {
		{"application/json-patch+json",             PATCH_JSON     },
		{ "application/merge-patch+json",           PATCH_MERGE    },
		{ "application/strategic-merge-patch+json", PATCH_STRATEGIC},
		{ "application/apply-patch+yaml",           PATCH_APPLY    },
	};
	const char *header = request_header(r, MHD_HTTP_HEADER_CONTENT_TYPE);

	for (size_t i = 0; header && i < ARRAY_SIZE(types); i++) {
		if (strncasecmp(header, types[i].media, strlen(types[i].media)) != 0 ||
		    (types[i].type == PATCH_STRATEGIC && !strategic))
			continue;
		*ret = types[i].type;
		return 0;
	}
	reply_media_type(r, strategic
				    ? "application/json-patch+json, application/merge-patch+json, "
				      "application/strategic-merge-patch+json, "
				      "application/apply-patch+yaml"
				    : "application/json-patch+json, application/merge-patch+json, "
				      "application/apply-patch+yaml");
	return -ERR_UNSUPPORTED;
}

static void patch_done(Request *r)
{
	const Commit *c = &r->commit;

	if (c->rc == -ERR_CONFLICT && r->attempts < CONFLICT_RETRIES && !r->pinned) {
		r->attempts++;
		handle_patch(r);
	} else if (c->rc < 0) {
		reply_error(r, c->rc, &c->err, r->route.name);
	} else {
		reply_object(r, MHD_HTTP_OK, c->object);
	}
}

static bool is_operations(const json_t *patch)
{
	json_t *op;
	size_t i;

	json_array_foreach (patch, i, op)
		if (!json_is_object(op))
			return false;
	return json_is_array(patch);
}

/* A body that is no patch is 400; one that cannot be applied to this object is 422. */
static int json_patch(Request *r, const json_t *old_tree, const json_t *patch, json_t **ret)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *why = NULL;
	int rc;

	if (!is_operations(patch)) {
		reply_bad_request(r, "a JSON patch must be an array of operations");
		return -ERR_INVALID;
	}
	if (json_array_size(patch) > JSON_PATCH_OPERATIONS_MAX) {
		why = xasprintf("The allowed maximum operations in a JSON patch is %d, got %zu",
				JSON_PATCH_OPERATIONS_MAX, json_array_size(patch));
		reply_too_large(r, why);
		return -ERR_INVALID;
	}
	rc = json_patch_apply(old_tree, patch, ret, &err);
	if (rc == -ERR_EXHAUSTED)
		reply_too_large(r, error_message(&err));
	else if (rc == -ERR_INVALID)
		reply_failure(r, MHD_HTTP_UNPROCESSABLE_CONTENT, "Invalid",
			      json_object(), /* kubectl tells the message only without details */
			      "the server rejected our request due to an error in our request: %s",
			      error_message(&err));
	else if (rc < 0)
		reply_error(r, rc, &err, r->route.name);
	return rc;
}

static int merge_patch(Request *r, PatchType type, const json_t *old_tree, json_t *patch,
		       json_t **ret)
{
	json_t *target;

	if (!json_is_object(patch)) {
		reply_bad_request(r, "a merge patch must be an object");
		return -ERR_INVALID;
	}
	if (type == PATCH_STRATEGIC) {
		_cleanup_(error_done) Error err = ERROR_INIT;
		int rc = strategic_merge(r->kind ? r->kind->schema : NULL, old_tree, patch, ret,
					 &err);

		if (rc < 0)
			reply_bad_request(r, "%s", error_message(&err));
		return rc;
	}
	target = json_deep_copy(old_tree);
	*ret = json_merge_patch(target, patch);
	json_decref(target);
	return 0;
}

/* A small document of a type that every client knows has no owners: to apply is to merge. */
int patch_document(Request *r, const json_t *document, json_t *patch, json_t **ret)
{
	PatchType type;

	if (patch_type(r, true, &type) < 0)
		return -ERR_UNSUPPORTED;
	return type == PATCH_JSON ? json_patch(r, document, patch, ret)
				  : merge_patch(r, PATCH_STRATEGIC, document, patch, ret);
}

/* True for a pointer to managedFields, to what is in them, or to what holds them. */
static bool points_at_managed(const char *pointer)
{
	return pointer && (!*pointer || streq(pointer, "/metadata") ||
			   str_has_prefix(pointer, "/metadata/managedFields"));
}

static bool touches_managed(const json_t *patch)
{
	json_t *op;
	size_t i;

	json_array_foreach (patch, i, op)
		if (points_at_managed(json_string_at(op, "path")) ||
		    points_at_managed(json_string_at(op, "from")))
			return true;
	return false;
}

static int apply_plain(Request *r, PatchType type, json_t *patch)
{
	bool whole = type == PATCH_JSON && touches_managed(patch);
	_cleanup_(json_decrefp) json_t *old_tree =
		(whole ? render_tree : render_tree_lean)(r->kind, r->base);
	_cleanup_(json_decrefp) json_t *tree = NULL;
	int rc;

	rc = type == PATCH_JSON ? json_patch(r, old_tree, patch, &tree)
				: merge_patch(r, type, old_tree, patch, &tree);
	if (rc < 0)
		return rc;
	if (admission_identity(r, tree, r->route.name) < 0 || (whole && refuse_text(r, tree) < 0))
		return -ERR_INVALID;
	/* What the patched object says of its revision and uid is a precondition. It is the stored
	 * one's where the patch is silent, and then it pins nothing. */
	if (body_preconditions(r, tree, r->base, &r->pinned) < 0)
		return -ERR_CONFLICT;
	r->pinned = type != PATCH_JSON && json_string_at(patch, "metadata.resourceVersion");
	if (write_prepare(r, tree, old_tree) < 0)
		return -ERR_INVALID;
	write_replace(r, r->base, TAKE_PTR(tree), patch_done);
	return 0;
}

/* ---- server-side apply ---- */

static void apply_create_done(Request *r)
{
	const Commit *c = &r->commit;

	if ((c->rc == -ERR_EXISTS || c->rc == -ERR_CONFLICT) && r->attempts < CONFLICT_RETRIES) {
		r->attempts++;
		handle_patch(r);
	} else if (c->rc < 0) {
		reply_create_error(r, c->rc, &c->err, r->route.name);
	} else {
		reply_object(r, MHD_HTTP_CREATED, c->object);
	}
}

/* An apply of something that is not there is a create with an owner. */
static int apply_create(Request *r, const Key *key, json_t *applied)
{
	json_t *tree;
	Txn *t;

	if (refuse_terminating(r))
		return -ERR_UNSUPPORTED;
	if (request_is_status(r)) {
		reply_not_found(r, r->route.name);
		return -ERR_NOT_FOUND;
	}
	if (!request_may(r, "create"))
		return -ERR_FORBIDDEN;
	/* A revision or uid names an object that was there. */
	if (!str_is_empty(json_string_at(applied, "metadata.resourceVersion")) ||
	    !str_is_empty(json_string_at(applied, "metadata.uid"))) {
		reply_conflict(r, r->route.name, "the object has been deleted");
		return -ERR_CONFLICT;
	}
	tree = ownership_apply(r, NULL, applied);
	admission_default(r, tree);
	if (admission_complete(r, tree, NULL, NULL) < 0) {
		json_decref(tree);
		return -ERR_INVALID;
	}
	t = txn_new();
	if (key->gr == GR_EVENT)
		events_make_room(r->server->options.store, t, key->namespace);
	txn_create_take(t, key, tree, admission_first_status(r, tree));
	request_commit(r, t, apply_create_done);
	return 0;
}

static int apply_merge(Request *r, json_t *applied)
{
	_cleanup_(json_decrefp) json_t *old_tree = render_tree_lean(r->kind, r->base);
	_cleanup_(json_decrefp) json_t *tree = NULL;

	if (body_preconditions(r, applied, r->base, &r->pinned) < 0)
		return -ERR_CONFLICT;
	tree = ownership_apply(r, old_tree, applied);
	if (!tree)
		return -ERR_CONFLICT;
	if (write_prepare_applied(r, tree, old_tree) < 0)
		return -ERR_INVALID;
	write_replace(r, r->base, TAKE_PTR(tree), patch_done);
	return 0;
}

static int apply_server_side(Request *r, const Key *key, json_t *applied)
{
	const json_t *managed;

	if (admission_identity(r, applied, r->route.name) < 0)
		return -ERR_INVALID;
	managed = json_at(applied, "metadata.managedFields");
	if (managed && !json_is_null(managed)) {
		reply_bad_request(r, "metadata.managedFields must be nil");
		return -ERR_INVALID;
	}
	if (r->kind->has_status && !request_is_status(r))
		json_object_del(applied, "status");
	if (admission_fields(r, applied) < 0)
		return -ERR_INVALID;
	admission_normalize(r, applied);
	return r->base ? apply_merge(r, applied) : apply_create(r, key, applied);
}

void handle_patch(Request *r)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(json_decrefp) json_t *patch = NULL;
	PatchType type;
	Key key;
	int rc;

	if (patch_type(r, kind_is_typed(r->kind), &type) < 0 ||
	    request_options(r, type == PATCH_APPLY) < 0 || body_decode_object(r, &patch) < 0)
		return;
	if (!request_key(r, &key))
		return;
	object_unref(TAKE_PTR(r->base));
	rc = store_get(r->server->options.store, &key, &r->base, &err);
	if (rc < 0 && !(rc == -ERR_NOT_FOUND && type == PATCH_APPLY)) {
		reply_error(r, rc, &err, r->route.name);
		return;
	}
	if (type == PATCH_APPLY)
		(void)apply_server_side(r, &key, patch);
	else
		(void)apply_plain(r, type, patch);
}
