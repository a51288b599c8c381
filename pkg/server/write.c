/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing: create, update, namespace finalize; and committing, which delete.c shares.
 *
 * A handler makes a Txn from the state it read and hands it to the store; the connection sleeps
 * until the writer has made it durable, then request_committed() answers on the HTTP thread. Where
 * the client named no resourceVersion, a lost race is run again from the new state, a few times.
 */
#include "server/write.h"
#include "base/log.h"
#include "base/random.h"
#include "controller/recorder.h"
#include "server/handlers.h"
#include "server/internal.h"
#include "server/render.h"
#include "server/reply.h"

#define GENERATED_SUFFIX  5
#define GENERATE_NAME_MAX 58
#define GENERATE_RETRIES  7 /* as in Kubernetes */

/* ---- committing ---- */

static void commit_take(Commit *c, int rc, const TxnResult *result, const Error *err)
{
	object_unref(TAKE_PTR(c->object));
	error_done(&c->err);
	c->rc = rc;
	if (rc < 0 && err)
		error_copy(&c->err, err);
	if (rc < 0 || !result)
		return;
	c->removed = result->removed;
	c->changed = result->changed;
	c->revision = result->revision;
	if (result->n_objects)
		c->object = object_ref(result->objects[result->n_objects - 1]);
}

/* On the writer's thread: nothing here may block. */
static void commit_done(void *arg, int rc, const TxnResult *result, const Error *err)
{
	Request *r = arg;
	Server *s = r->server;

	commit_take(&r->commit, rc, result, err);
	request_resume(r);
	server_leave(s);
}

void request_commit(Request *r, Txn *t, void (*done)(Request *r))
{
	Server *s = r->server;

	if (r->dry_run) {
		_cleanup_(error_done) Error err = ERROR_INIT;
		TxnResult result = { 0 };
		int rc = store_dry_run(s->options.store, t, &result, &err);

		commit_take(&r->commit, rc, &result, &err);
		txn_result_done(&result);
		txn_free(t);
		done(r);
		return;
	}
	if (!server_enter(s)) {
		txn_free(t);
		reply_failure(r, MHD_HTTP_SERVICE_UNAVAILABLE, "ServiceUnavailable", NULL,
			      "the server is stopping; nothing was changed");
		return;
	}
	r->commit.done = done;
	request_suspend(r);
	store_commit_async(s->options.store, t, commit_done, r);
}

bool request_is_status(const Request *r)
{
	return r->route.subresource && streq(r->route.subresource, "status");
}

void write_replace(Request *r, Object *base, json_t *tree, void (*done)(Request *r))
{
	Txn *t = txn_new();

	if (request_is_status(r))
		txn_update_status_take(t, base, tree);
	else
		txn_update_take(t, base, tree);
	request_commit(r, t, done);
}

/* ---- create ---- */

/* What may be missing is not the object but where it goes: its namespace, or its kind meanwhile. */
void reply_create_error(Request *r, int rc, const Error *err, const char *name)
{
	if (rc == -ERR_NOT_FOUND && r->route.namespace &&
	    str_has_prefix(error_message(err), "namespaces "))
		reply_failure(
			r, MHD_HTTP_NOT_FOUND, "NotFound",
			json_pack("{s:s, s:s}", "name", r->route.namespace, "kind", "namespaces"),
			"namespaces \"%s\" not found", r->route.namespace);
	else if (rc == -ERR_NOT_FOUND)
		reply_no_route(r);
	else if (rc == -ERR_UNSUPPORTED)
		reply_failure(r, MHD_HTTP_METHOD_NOT_ALLOWED, "MethodNotAllowed",
			      status_details(r, NULL, NULL), "%s", error_message(err));
	else
		reply_error(r, rc, err, name);
}

bool refuse_terminating(Request *r)
{
	if (r->kind->terminating)
		reply_failure(r, MHD_HTTP_METHOD_NOT_ALLOWED, "MethodNotAllowed",
			      status_details(r, NULL, NULL),
			      "create not allowed while custom resource definition is terminating");
	return r->kind->terminating;
}

static void create_done(Request *r)
{
	const Commit *c = &r->commit;

	/* The name that is taken was our choice, and so was the old event that had to make room:
	 * neither is the client's mistake. */
	if ((c->rc == -ERR_EXISTS && r->generated && r->attempts < GENERATE_RETRIES) ||
	    (c->rc == -ERR_CONFLICT && r->attempts < CONFLICT_RETRIES)) {
		r->attempts++;
		handle_create(r);
	} else if (c->rc < 0) {
		reply_create_error(r, c->rc, &c->err, json_string_value(r->work));
	} else {
		reply_object(r, MHD_HTTP_CREATED, c->object);
	}
}

/* tree is complete and valid but for its size of name; stolen. name is for messages. */
void write_create(Request *r, json_t *tree, const char *name)
{
	Txn *t;
	Key key;

	if (strlen(name) >= KEY_NAME_MAX) {
		reply_bad_request(r, "metadata.name: must be no more than %d bytes",
				  KEY_NAME_MAX - 1);
		json_decref(tree);
		return;
	}
	json_decref(r->work);
	r->work = json_string(name);
	key = key_make(r->kind->gr, r->route.namespace ? r->route.namespace : "", name);
	t = txn_new();
	if (key.gr == GR_EVENT)
		events_make_room(r->server->options.store, t, key.namespace);
	txn_create_take(t, &key, tree, admission_first_status(r, tree));
	request_commit(r, t, create_done);
}

/* "prefix-" and five characters that make no words and are not mistaken for each other. False = the
 * client gave a name, or nothing to make one from. */
static bool generate_name(json_t *metadata)
{
	static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";
	const char *prefix = json_string_value(json_object_get(metadata, "generateName"));
	const char *name = json_string_value(json_object_get(metadata, "name"));
	char suffix[GENERATED_SUFFIX + 1] = "";
	_cleanup_(xfreep) char *text = NULL;
	uint64_t bits;

	if (!str_is_empty(name) || str_is_empty(prefix))
		return false;
	bits = random_u64();
	for (size_t i = 0; i < GENERATED_SUFFIX; i++) {
		suffix[i] = alphabet[bits % (sizeof(alphabet) - 1)];
		bits /= sizeof(alphabet) - 1;
	}
	text = xasprintf("%.*s%s", GENERATE_NAME_MAX, prefix, suffix);
	json_object_set_new(metadata, "name", json_string(text));
	return true;
}

void handle_create(Request *r)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	int64_t revision;
	const char *name;

	if (refuse_terminating(r) || request_options(r, false) < 0 ||
	    body_decode_object(r, &tree) < 0)
		return;
	if (admission_identity(r, tree, NULL) < 0 || body_revision(r, tree, &revision) < 0)
		return;
	if (revision) {
		reply_bad_request(r, "resourceVersion should not be set on objects to be created");
		return;
	}
	admission_keep_system(tree, NULL);
	r->generated = generate_name(json_object_get(tree, "metadata"));
	if (r->kind->has_status)
		json_object_del(tree, "status");
	if (admission_fields(r, tree) < 0)
		return;
	admission_default(r, tree);
	ownership_update(r, NULL, tree);
	if (admission_complete(r, tree, NULL, NULL) < 0)
		return;
	name = json_string_at(tree, "metadata.name");
	if (str_is_empty(name)) {
		reply_bad_request(r, "metadata.name: name or generateName is required");
		return;
	}
	write_create(r, json_incref(tree), name);
}

/* ---- update ---- */

/* again: computes the same write anew, from what is there now. */
static void replaced(Request *r, void (*again)(Request *r))
{
	const Commit *c = &r->commit;

	if (c->rc == -ERR_CONFLICT && r->base && r->attempts < CONFLICT_RETRIES && !r->pinned) {
		r->attempts++;
		again(r);
	} else if (c->rc < 0) {
		reply_error(r, c->rc, &c->err, r->route.name);
	} else {
		reply_object(r, MHD_HTTP_OK, c->object);
	}
}

static void update_done(Request *r)
{
	replaced(r, handle_update);
}

int read_base(Request *r, Key *key)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	int rc;

	object_unref(TAKE_PTR(r->base));
	if (!request_key(r, key))
		return -ERR_NOT_FOUND;
	rc = store_get(r->server->options.store, key, &r->base, &err);
	if (rc < 0)
		reply_error(r, rc, &err, r->route.name);
	return rc;
}

/* Main-resource writes keep status, status writes keep everything else. */
static void keep_other_half(Request *r, json_t *tree, json_t *old_tree)
{
	json_t *status = json_object_get(tree, "status");

	if (request_is_status(r)) {
		json_t *metadata = json_copy(json_object_get(old_tree, "metadata"));
		json_t *managed =
			json_object_get(json_object_get(tree, "metadata"), "managedFields");

		if (managed)
			json_object_set(metadata, "managedFields", managed);
		json_incref(status);
		json_object_clear(tree);
		json_object_update(tree, old_tree);
		json_object_set_new(tree, "metadata", metadata);
		if (status)
			json_object_set_new(tree, "status", status);
		else
			json_object_del(tree, "status");
	} else if (r->kind->has_status) {
		status = json_object_get(old_tree, "status");
		if (status)
			json_object_set(tree, "status", status);
		else
			json_object_del(tree, "status");
	}
}

int write_prepare(Request *r, json_t *tree, json_t *old_tree)
{
	admission_keep_system(tree, old_tree);
	keep_other_half(r, tree, old_tree);
	if (admission_fields(r, tree) < 0)
		return -ERR_INVALID;
	admission_default(r, tree);
	ownership_update(r, old_tree, tree);
	return admission_complete(r, tree, r->base, old_tree);
}

int write_prepare_applied(Request *r, json_t *tree, json_t *old_tree)
{
	admission_keep_system(tree, old_tree);
	keep_other_half(r, tree, old_tree);
	admission_default(r, tree);
	return admission_complete(r, tree, r->base, old_tree);
}

void handle_update(Request *r)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	_cleanup_(json_decrefp) json_t *old_tree = NULL;
	Key key;

	if (request_options(r, false) < 0 || body_decode_object(r, &tree) < 0)
		return;
	if (admission_identity(r, tree, r->route.name) < 0 || read_base(r, &key) < 0 ||
	    body_preconditions(r, tree, r->base, &r->pinned) < 0)
		return;
	old_tree = render_tree_lean(r->kind, r->base);
	if (write_prepare(r, tree, old_tree) < 0)
		return;
	write_replace(r, r->base, TAKE_PTR(tree), update_done);
}

static void finalize_done(Request *r)
{
	replaced(r, handle_finalize);
}

/* PUT .../namespaces/NAME/finalize: only spec.finalizers of the body counts. */
void handle_finalize(Request *r)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	_cleanup_(json_decrefp) json_t *whole = NULL, *old_tree = NULL;
	const json_t *finalizers;
	Key key;

	if (request_dry_run(r) < 0 || body_decode(r, &tree) < 0)
		return;
	if (!tree || !json_is_object(tree)) {
		reply_bad_request(r, "the body must be an object");
		return;
	}
	if (admission_identity(r, tree, r->route.name) < 0 || read_base(r, &key) < 0 ||
	    body_preconditions(r, tree, r->base, &r->pinned) < 0)
		return;
	finalizers = json_at(tree, "spec.finalizers");
	if (json_array_size(finalizers) == 0 && object_is_deleting(r->base)) {
		Txn *t = txn_new();

		txn_namespace_finalize(t, r->base);
		request_commit(r, t, finalize_done);
		return;
	}
	old_tree = object_decode_lean(r->base);
	whole = object_decode_lean(r->base);
	if (finalizers)
		json_set_at(whole, "spec.finalizers", json_deep_copy(finalizers));
	if (write_prepare(r, whole, old_tree) < 0)
		return;
	write_replace(r, r->base, TAKE_PTR(whole), finalize_done);
}
