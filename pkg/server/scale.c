/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scale subresource: an object of any kind that says where its replicas are, seen as an
 * autoscaling/v1 Scale. A write changes that one number of the object and passes all of its checks.
 * HTTP threads.
 */
#include "server/handlers.h"
#include "server/internal.h"
#include "server/render.h"
#include "server/reply.h"
#include "server/write.h"

#define REPLICAS_MAX INT32_MAX

/* Paths begin with a dot, which json_at() does not know. */
static const char *simple(const char *path)
{
	return *path == '.' ? path + 1 : path;
}

static json_t *scale_metadata(const json_t *tree)
{
	static const char *const fields[] = { "name", "namespace", "uid", "resourceVersion",
					      "creationTimestamp" };
	const json_t *from = json_object_get(tree, "metadata");
	json_t *to = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		json_t *v = json_object_get(from, fields[i]);

		if (v)
			json_object_set(to, fields[i], v);
	}
	return to;
}

/* The Scale of a tree; NULL and answered if the object says no number. */
static json_t *scale_of(Request *r, const json_t *tree)
{
	const KindScale *paths = r->kind->scale;
	const json_t *replicas = json_at(tree, simple(paths->spec_replicas));
	const char *selector =
		paths->label_selector ? json_string_at(tree, simple(paths->label_selector)) : NULL;
	json_t *status;

	if (!json_is_integer(replicas)) {
		reply_failure(r, MHD_HTTP_INTERNAL_SERVER_ERROR, "InternalError", NULL,
			      "Internal error occurred: the spec replicas field \"%s\" does not "
			      "exist",
			      paths->spec_replicas);
		return NULL;
	}
	status = json_pack("{s:I}", "replicas",
			   (json_int_t)json_integer_at(tree, simple(paths->status_replicas), 0));
	if (selector)
		json_object_set_new(status, "selector", json_string(selector));
	return json_pack("{s:s, s:s, s:o, s:{s:I}, s:o}", "kind", "Scale", "apiVersion",
			 "autoscaling/v1", "metadata", scale_metadata(tree), "spec", "replicas",
			 json_integer_value(replicas), "status", status);
}

static void reply_scale(Request *r, const Object *o)
{
	_cleanup_(json_decrefp) json_t *tree = render_tree(r->kind, o);
	json_t *scale = scale_of(r, tree);

	if (scale)
		reply_json(r, MHD_HTTP_OK, scale);
}

void handle_scale_get(Request *r)
{
	Key key;

	if (read_base(r, &key) == 0)
		reply_scale(r, r->base);
}

/* ---- writing ---- */

static void scale_done(Request *r)
{
	const Commit *c = &r->commit;

	if (c->rc == -ERR_CONFLICT && r->attempts < CONFLICT_RETRIES && !r->pinned) {
		r->attempts++;
		handle_scale_write(r);
	} else if (c->rc < 0) {
		reply_error(r, c->rc, &c->err, r->route.name);
	} else {
		reply_scale(r, c->object);
	}
}

static int check_scale(Request *r, const json_t *scale, json_int_t *ret)
{
	const char *kind = json_string_at(scale, "kind"),
		   *version = json_string_at(scale, "apiVersion"),
		   *name = json_string_at(scale, "metadata.name");
	const json_t *replicas = json_at(scale, "spec.replicas");
	char cause[200] = "";

	if (!json_is_object(scale) || (kind && !streq(kind, "Scale")) ||
	    (version && !streq(version, "autoscaling/v1"))) {
		reply_bad_request(r, "the body must be a Scale of autoscaling/v1");
		return -ERR_INVALID;
	}
	if (name && !streq(name, r->route.name)) {
		reply_bad_request(r,
				  "the name of the object (%.128s) does not match the name on the "
				  "URL (%s)",
				  name, r->route.name);
		return -ERR_INVALID;
	}
	/* Absent is 0, as in the type. */
	if (replicas && !json_is_integer(replicas) && !json_is_null(replicas))
		snprintf(cause, sizeof(cause), "Invalid value: must be an integer");
	else if (json_integer_value(replicas) < 0)
		snprintf(cause, sizeof(cause),
			 "Invalid value: %lld: must be greater than or equal to 0",
			 (long long)json_integer_value(replicas));
	else if (json_integer_value(replicas) > REPLICAS_MAX)
		snprintf(cause, sizeof(cause), "Invalid value: %lld: must be at most %d",
			 (long long)json_integer_value(replicas), REPLICAS_MAX);
	if (*cause) {
		reply_failure(r, MHD_HTTP_UNPROCESSABLE_CONTENT, "Invalid",
			      json_pack("{s:s, s:s, s:s, s:[{s:s, s:s, s:s}]}", "name",
					r->route.name, "group", "autoscaling", "kind", "Scale",
					"causes", "reason", "FieldValueInvalid", "message", cause,
					"field", "spec.replicas"),
			      "Scale.autoscaling \"%s\" is invalid: spec.replicas: %s",
			      r->route.name, cause);
		return -ERR_INVALID;
	}
	*ret = json_integer_value(replicas);
	return 0;
}

/* What the body makes of the Scale there is: a patch is applied to it, anything else replaces it.
 * New reference, or NULL and answered. */
static json_t *wanted_scale(Request *r, const json_t *tree, json_t *body)
{
	json_t *scale, *wanted = NULL;

	if (r->method == METHOD_PUT)
		return json_incref(body);
	scale = scale_of(r, tree);
	if (!scale)
		return NULL;
	if (patch_document(r, scale, body, &wanted) < 0)
		wanted = NULL;
	json_decref(scale);
	return wanted;
}

void handle_scale_write(Request *r)
{
	_cleanup_(json_decrefp) json_t *body = NULL;
	_cleanup_(json_decrefp) json_t *old_tree = NULL;
	_cleanup_(json_decrefp) json_t *tree = NULL;
	_cleanup_(json_decrefp) json_t *scale = NULL;
	json_int_t replicas;
	Key key;

	if (request_dry_run(r) < 0 || body_decode(r, &body) < 0)
		return;
	if (!body) {
		reply_bad_request(r, "the body is empty");
		return;
	}
	if (read_base(r, &key) < 0)
		return;
	old_tree = render_tree_lean(r->kind, r->base);
	scale = wanted_scale(r, old_tree, body);
	if (!scale || check_scale(r, scale, &replicas) < 0 ||
	    body_preconditions(r, scale, r->base, &r->pinned) < 0)
		return;
	/* A patch carries the revision that it was made from; only the client's own pins. */
	r->pinned = json_string_at(body, "metadata.resourceVersion") != NULL;
	tree = json_deep_copy(old_tree);
	json_set_at(tree, simple(r->kind->scale->spec_replicas), json_integer(replicas));
	if (write_prepare(r, tree, old_tree) < 0)
		return;
	write_replace(r, r->base, TAKE_PTR(tree), scale_done);
}
