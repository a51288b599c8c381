/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power verbs: POST …/instances/NAME/{start,stop,restart,pause,resume}.
 *
 * A request is an annotation with a fresh id, written like any other change; the reconciler does it
 * once and says so in status.powerRequest. So a request survives a restart of the server and is
 * never done twice. Body (optional): {"force": true}. HTTP threads.
 */
#include "base/random.h"
#include "server/handlers.h"
#include "server/internal.h"
#include "server/reply.h"
#include "server/write.h"

static void power_done(Request *r)
{
	const Commit *c = &r->commit;

	if (c->rc == -ERR_CONFLICT && r->attempts < CONFLICT_RETRIES) {
		r->attempts++;
		handle_power(r);
	} else if (c->rc < 0) {
		reply_error(r, c->rc, &c->err, r->route.name);
	} else {
		reply_object(r, MHD_HTTP_ACCEPTED, c->object);
	}
}

/* What was asked for last; "" if nothing. The tree's. */
static const char *last_action(const json_t *annotations, json_t **ret_request)
{
	const char *text = json_string_value(json_object_get(annotations, ANNOTATION_POWER));
	const char *action;

	if (!text || json_decode(text, strlen(text), ret_request, NULL) < 0)
		return "";
	action = json_string_at(*ret_request, "action");
	return action ? action : "";
}

/* The newest request replaces the one before: to pause what was stopped would take the stop back,
 * and start it. */
static bool takes_stop_back(const Request *r, const json_t *annotations)
{
	_cleanup_(json_decrefp) json_t *last = NULL;

	return (streq(r->route.subresource, "pause") || streq(r->route.subresource, "resume")) &&
	       streq(last_action(annotations, &last), "stop");
}

void handle_power(Request *r)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(json_decrefp) json_t *body = NULL;
	_cleanup_(json_decrefp) json_t *tree = NULL, *old_tree = NULL;
	_cleanup_(json_decrefp) json_t *request = NULL;
	_cleanup_(xfreep) char *text = NULL;
	json_t *metadata, *annotations;
	char id[UUID_MAX];
	bool force;
	Txn *t;
	Key key;
	int rc;

	if (request_dry_run(r) < 0 || body_decode(r, &body) < 0 || !request_key(r, &key))
		return;
	if (body && !json_is_object(body)) {
		reply_bad_request(r, "the body must be an object");
		return;
	}
	force = json_bool_at(body, "force", target_query_bool(&r->target, "force"));
	object_unref(TAKE_PTR(r->base));
	rc = store_get(r->server->options.store, &key, &r->base, &err);
	if (rc < 0) {
		reply_error(r, rc, &err, r->route.name);
		return;
	}
	if (object_is_deleting(r->base)) {
		reply_conflict(r, r->route.name, "it is being deleted");
		return;
	}
	old_tree = object_decode_lean(r->base);
	tree = object_decode_lean(r->base);
	metadata = json_object_get(tree, "metadata");
	annotations = json_object_get(metadata, "annotations");
	if (takes_stop_back(r, annotations)) {
		reply_conflict(r, r->route.name, "it was stopped: start it first");
		return;
	}
	request = json_pack("{s:s, s:s, s:b}", "id", uuid_new(id), "action", r->route.subresource,
			    "force", force);
	text = json_text(request);
	if (!json_is_object(annotations)) {
		annotations = json_object();
		json_object_set_new(metadata, "annotations", annotations);
	}
	json_object_set_new(annotations, ANNOTATION_POWER, json_string(text));
	ownership_update(r, old_tree, tree);
	t = txn_new();
	txn_update_take(t, r->base, TAKE_PTR(tree));
	request_commit(r, t, power_done);
}
