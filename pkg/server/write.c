/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing: create, update, delete, deletecollection, namespace finalize.
 *
 * A handler makes a Txn from the state it read and hands it to the store; the connection sleeps
 * until the writer has made it durable, then request_committed() answers on the HTTP thread. Where
 * the client named no resourceVersion, a lost race is run again from the new state, a few times.
 */
#include "base/log.h"
#include "base/random.h"
#include "controller/recorder.h"
#include "server/internal.h"

#define GENERATED_SUFFIX  5
#define GENERATE_NAME_MAX 58
#define DELETE_BATCH      64

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
	pthread_mutex_lock(&s->lock);
	s->in_flight--;
	pthread_cond_broadcast(&s->idle);
	pthread_mutex_unlock(&s->lock);
}

void request_commit(Request *r, Txn *t, void (*done)(Request *r))
{
	Server *s = r->server;
	bool stopping;

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
	pthread_mutex_lock(&s->lock);
	stopping = s->stopping;
	if (!stopping)
		s->in_flight++;
	pthread_mutex_unlock(&s->lock);
	if (stopping) {
		txn_free(t);
		reply_failure(r, MHD_HTTP_SERVICE_UNAVAILABLE, "ServiceUnavailable", NULL,
			      "the server is stopping; nothing was changed");
		return;
	}
	r->commit.done = done;
	request_suspend(r);
	store_commit_async(s->options.store, t, commit_done, r);
}

int request_dry_run(Request *r)
{
	const char *v = target_query(&r->target, "dryRun");

	if (!v)
		return 0;
	if (!streq(v, "All")) {
		reply_bad_request(r,
				  "dryRun: Unsupported value: \"%.32s\": supported values: "
				  "\"All\"",
				  v);
		return -ERR_INVALID;
	}
	r->dry_run = true;
	return 0;
}

bool request_is_status(const Request *r)
{
	return r->route.subresource && streq(r->route.subresource, "status");
}

void write_replace(Request *r, Object *base, const json_t *tree, void (*done)(Request *r))
{
	Txn *t = txn_new();

	if (request_is_status(r))
		txn_update_status(t, base, json_object_get(tree, "status"));
	else
		txn_update(t, base, tree);
	request_commit(r, t, done);
}

/* ---- create ---- */

static void create_done(Request *r)
{
	const Commit *c = &r->commit;

	if (c->rc == -ERR_NOT_FOUND) /* the namespace; the store words it as Kubernetes does */
		reply_failure(
			r, MHD_HTTP_NOT_FOUND, "NotFound",
			json_pack("{s:s, s:s}", "name", r->route.namespace, "kind", "namespaces"),
			"namespaces \"%s\" not found", r->route.namespace);
	else if (c->rc < 0)
		reply_error(r, c->rc, &c->err, json_string_value(r->work));
	else
		reply_object(r, MHD_HTTP_CREATED, c->object);
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
	txn_create(t, &key, tree, false);
	json_decref(tree);
	request_commit(r, t, create_done);
}

/* "prefix-" and five characters that make no words and are not mistaken for each other. */
static void generate_name(json_t *metadata)
{
	static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";
	const char *prefix = json_string_value(json_object_get(metadata, "generateName"));
	const char *name = json_string_value(json_object_get(metadata, "name"));
	char suffix[GENERATED_SUFFIX + 1] = "";
	_cleanup_(xfreep) char *text = NULL;
	uint64_t bits;

	if (!str_is_empty(name) || str_is_empty(prefix))
		return;
	bits = random_u64();
	for (size_t i = 0; i < GENERATED_SUFFIX; i++) {
		suffix[i] = alphabet[bits % (sizeof(alphabet) - 1)];
		bits /= sizeof(alphabet) - 1;
	}
	text = xasprintf("%.*s%s", GENERATE_NAME_MAX, prefix, suffix);
	json_object_set_new(metadata, "name", json_string(text));
}

static void drop_system(json_t *metadata)
{
	static const char *const fields[] = { "uid",
					      "creationTimestamp",
					      "generation",
					      "deletionTimestamp",
					      "resourceVersion",
					      "deletionGracePeriodSeconds",
					      "selfLink" };

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		json_object_del(metadata, fields[i]);
}

void handle_create(Request *r)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	int64_t revision;
	const char *name;

	if (request_dry_run(r) < 0 || body_decode(r, &tree) < 0)
		return;
	if (!tree) {
		reply_bad_request(r, "the body is empty");
		return;
	}
	if (admission_identity(r, tree, NULL) < 0 || body_revision(r, tree, &revision) < 0)
		return;
	if (revision) {
		reply_bad_request(r, "resourceVersion should not be set on objects to be created");
		return;
	}
	drop_system(json_object_get(tree, "metadata"));
	generate_name(json_object_get(tree, "metadata"));
	if (r->kind->has_status)
		json_object_del(tree, "status");
	if (admission_fields(r, tree) < 0 || admission_complete(r, tree, NULL, NULL) < 0)
		return;
	name = json_string_at(tree, "metadata.name");
	if (str_is_empty(name)) {
		reply_bad_request(r, "metadata.name: name or generateName is required");
		return;
	}
	write_create(r, json_incref(tree), name);
}

/* ---- update ---- */

static void update_done(Request *r)
{
	const Commit *c = &r->commit;

	if (c->rc == -ERR_CONFLICT && r->base && r->attempts < CONFLICT_RETRIES && !r->pinned) {
		r->attempts++;
		handle_update(r);
	} else if (c->rc < 0) {
		reply_error(r, c->rc, &c->err, r->route.name);
	} else {
		reply_object(r, MHD_HTTP_OK, c->object);
	}
}

/* The stored object under the request's name, kept in r->base. */
static int read_base(Request *r, Key *key)
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
		json_t *whole = json_deep_copy(old_tree);

		if (status)
			json_object_set(whole, "status", status);
		else
			json_object_del(whole, "status");
		json_object_clear(tree);
		json_object_update(tree, whole);
		json_decref(whole);
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
	return admission_complete(r, tree, r->base, old_tree);
}

void handle_update(Request *r)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	_cleanup_(json_decrefp) json_t *old_tree = NULL;
	Key key;

	if (request_dry_run(r) < 0 || body_decode(r, &tree) < 0)
		return;
	if (!tree) {
		reply_bad_request(r, "the body is empty");
		return;
	}
	if (admission_identity(r, tree, r->route.name) < 0 || read_base(r, &key) < 0 ||
	    body_preconditions(r, tree, r->base, &r->pinned) < 0)
		return;
	old_tree = object_decode(r->base);
	if (write_prepare(r, tree, old_tree) < 0)
		return;
	write_replace(r, r->base, tree, update_done);
}

/* PUT .../namespaces/NAME/finalize: only spec.finalizers of the body counts. */
void handle_finalize(Request *r)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	_cleanup_(json_decrefp) json_t *whole = NULL;
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
		request_commit(r, t, update_done);
		return;
	}
	whole = object_decode(r->base);
	if (finalizers)
		json_set_at(whole, "spec.finalizers", json_deep_copy(finalizers));
	if (write_prepare(r, whole, whole) < 0)
		return;
	write_replace(r, r->base, whole, update_done);
}

/* ---- delete ---- */

/* DeleteOptions from body and query. options borrows from the tree. */
static int parse_delete_options(Request *r, json_t **ret_tree, DeleteOptions *ret)
{
	static const char *const policies[] = { "Background", "Foreground", "Orphan", NULL };
	DeleteOptions o = { .grace_period_seconds = -1 };
	const char *grace = target_query(&r->target, "gracePeriodSeconds");
	const char *revision;
	const json_t *list, *item;
	size_t i;

	if (request_dry_run(r) < 0 || body_decode(r, ret_tree) < 0)
		return -ERR_INVALID;
	if (*ret_tree && !json_is_object(*ret_tree)) {
		reply_bad_request(r, "the body must be an object");
		return -ERR_INVALID;
	}
	list = json_object_get(*ret_tree, "dryRun");
	json_array_foreach (list, i, item)
		r->dry_run |= streq_ptr(json_string_value(item), "All");
	o.grace_period_seconds = json_integer_at(*ret_tree, "gracePeriodSeconds",
						 grace ? strtoll(grace, NULL, 10) : -1);
	o.propagation = json_string_at(*ret_tree, "propagationPolicy");
	if (!o.propagation)
		o.propagation = target_query(&r->target, "propagationPolicy");
	o.uid = json_string_at(*ret_tree, "preconditions.uid");
	revision = json_string_at(*ret_tree, "preconditions.resourceVersion");
	o.revision = revision ? strtoll(revision, NULL, 10) : 0;
	if ((o.propagation && !strv_contains((char *const *)policies, o.propagation)) ||
	    (revision && o.revision <= 0)) {
		reply_bad_request(r, "invalid DeleteOptions");
		return -ERR_INVALID;
	}
	*ret = o;
	return 0;
}

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

/* What may not be deleted, with the reason; NULL = may. Caller frees. */
static char *delete_veto(Request *r, const Object *o)
{
	_cleanup_(kind_unrefp) Kind *kind = NULL;
	_cleanup_(json_decrefp) json_t *tree = NULL;
	const char *group, *plural, *version;
	size_t n;

	if (r->kind->gr == GR_NAMESPACE && streq(object_key(o)->name, r->server->default_namespace))
		return xstrdup("this namespace may not be deleted");
	if (r->kind->gr != GR_CRD)
		return NULL;
	tree = object_decode(o);
	group = json_string_at(tree, "spec.group");
	plural = json_string_at(tree, "spec.names.plural");
	version = json_string_value(
		json_object_get(json_array_get(json_at(tree, "spec.versions"), 0), "name"));
	if (!group || !plural || !version)
		return NULL;
	kind = server_kind(r->server, group, version, plural);
	n = kind ? store_count(r->server->options.store, kind->gr, NULL) : 0;
	if (n == 1)
		return xstrdup("one object of this kind exists: delete it first");
	return n ? xasprintf("%zu objects of this kind exist: delete them first", n) : NULL;
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
	_cleanup_(xfreep) char *veto = NULL;
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

/* ---- deletecollection: in batches, each its own Txn ---- */

static bool match_undeleted(void *arg, const Object *o)
{
	return !object_is_deleting(o) && selection_match(arg, o);
}

static void delete_batch(Request *r);

static void delete_batch_done(Request *r)
{
	const Commit *c = &r->commit;

	if (c->rc == -ERR_CONFLICT && r->attempts < CONFLICT_RETRIES) {
		r->attempts++; /* somebody wrote to one of them: a fresh list */
		delete_batch(r);
	} else if (c->rc < 0) {
		reply_error(r, c->rc, &c->err, NULL);
	} else if (r->dry_run) {
		reply_deleted(r, NULL, NULL);
	} else {
		r->attempts = 0;
		delete_batch(r);
	}
}

static void delete_batch(Request *r)
{
	_cleanup_(object_list_freep) ObjectList *list = NULL;
	_cleanup_(selection_done) Selection sel = { 0 };
	_cleanup_(json_decrefp) json_t *body = NULL;
	_cleanup_(error_done) Error err = ERROR_INIT;
	ListOptions options = { .gr = r->kind->gr,
				.namespace = r->route.namespace,
				.match = match_undeleted,
				.match_arg = &sel,
				.limit = DELETE_BATCH };
	DeleteOptions how;
	size_t n = 0;
	Txn *t;
	int rc;

	if (parse_delete_options(r, &body, &how) < 0 || selection_parse(r, &sel) < 0)
		return;
	if (how.uid || how.revision) {
		reply_bad_request(r, "preconditions are for one object");
		return;
	}
	rc = store_list(r->server->options.store, &options, &list, &err);
	if (rc < 0) {
		reply_error(r, rc, &err, NULL);
		return;
	}
	t = txn_new();
	for (size_t i = 0; i < list->n; i++) {
		_cleanup_(xfreep) char *veto = delete_veto(r, list->items[i]);

		if (veto)
			continue;
		txn_delete(t, list->items[i], &how);
		n++;
	}
	if (n == 0) {
		txn_free(t);
		reply_deleted(r, NULL, NULL);
		return;
	}
	request_commit(r, t, delete_batch_done);
}

void handle_delete_collection(Request *r)
{
	delete_batch(r);
}
