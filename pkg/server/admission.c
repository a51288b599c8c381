/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admission: what stands between the bytes of a body and a tree that may be stored.
 *
 * decode (strict, bounded) - identity agrees with the URL - unknown fields - defaults - what the
 * server fills in - schema and rules, all errors at once. A write either passes all of it or
 * changes nothing. HTTP threads.
 */
#include <errno.h>
#include <strings.h>

#include "api/condition.h"
#include "api/definition.h"
#include "api/quota.h"
#include "base/base64.h"
#include "server/internal.h"
#include "server/protobuf.h"
#include "server/render.h"
#include "server/reply.h"
#include "server/write.h"
#include "yaml/yaml.h"
#include "json/json.h"

/* What a body may be; as protobuf only the kinds of protobuf_kinds.c. */
#define WARNINGS_MAX 20
#define BODY_TYPES   "application/json, application/yaml, application/vnd.kubernetes.protobuf"

/* ---- decoding ---- */

static int decode_yaml(Request *r, json_t **ret)
{
	_cleanup_(yaml_docs_freep) YamlDocs *docs = NULL;
	_cleanup_(error_done) Error err = ERROR_INIT;
	int rc;

	rc = yaml_parse(strbuf_str(&r->body), r->body.len, "body", &docs, &err);
	if (rc == 0 && docs->n != 1)
		rc = error_set(&err, ERR_INVALID, "the body must hold one document, not %zu",
			       docs->n);
	if (rc < 0) {
		reply_bad_request(r, "error decoding YAML: %s", error_message(&err));
		return rc;
	}
	*ret = json_incref(yaml_doc_tree(docs->docs[0]));
	return 0;
}

static void add_doubled(void *arg, const char *path)
{
	field_errors_add(arg, FIELD_DOUBLED, path, "duplicate field");
}

static int decode_json(Request *r, json_t **ret)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	int rc;

	field_errors_done(&r->doubled);
	rc = json_decode_doubled(strbuf_str(&r->body), r->body.len, ret, add_doubled, &r->doubled,
				 &err);
	if (rc < 0)
		reply_bad_request(r, "error decoding JSON: %s", error_message(&err));
	return rc;
}

static int decode_protobuf(Request *r, json_t **ret)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	int rc = proto_decode(strbuf_str(&r->body), r->body.len, ret, &err);

	if (rc == -ERR_UNSUPPORTED)
		reply_media_type(r, BODY_TYPES);
	else if (rc < 0)
		reply_bad_request(r, "error decoding protobuf: %s", error_message(&err));
	return rc;
}

static bool media_type_is(const char *header, const char *type)
{
	size_t n = strlen(type);

	return strncasecmp(header, type, n) == 0 &&
	       (!header[n] || header[n] == ';' || header[n] == ' ');
}

static int decode_form(Request *r, json_t **ret)
{
	const char *type = request_header(r, MHD_HTTP_HEADER_CONTENT_TYPE);
	size_t blank = strspn(strbuf_str(&r->body), " \t\r\n");

	if (blank == r->body.len) {
		*ret = NULL;
		return 0;
	}
	if (str_is_empty(type) || media_type_is(type, "application/json") ||
	    (r->method == METHOD_PATCH && strcasestr(type, "+json")))
		return decode_json(r, ret);
	if (media_type_is(type, "application/apply-patch+yaml")) {
		/* Nearly always JSON, which the strict JSON reader takes ten times faster. */
		if (strbuf_str(&r->body)[blank] == '{')
			return decode_json(r, ret);
		return decode_yaml(r, ret);
	}
	if (media_type_is(type, "application/yaml"))
		return decode_yaml(r, ret);
	if (media_type_is(type, "application/vnd.kubernetes.protobuf") && r->method != METHOD_PATCH)
		return decode_protobuf(r, ret);
	reply_media_type(r, BODY_TYPES);
	return -ERR_UNSUPPORTED;
}

/* A body for a view becomes one for what it shows. */
static int decode_any(Request *r, json_t **ret)
{
	int rc = decode_form(r, ret);

	if (rc == 0 && r->shown && *ret)
		view_take(r->shown, *ret);
	return rc;
}

static int refuse_doubled(Request *r)
{
	if (!r->doubled.n)
		return 0;
	reply_bad_request(r, "error decoding JSON: duplicate field \"%s\"",
			  r->doubled.items[0].path);
	return -ERR_INVALID;
}

int body_decode(Request *r, json_t **ret)
{
	int rc = decode_any(r, ret);

	return rc < 0 ? rc : refuse_doubled(r);
}

int refuse_text(Request *r, const json_t *tree)
{
	if (!json_is_string(json_at(tree, "metadata.managedFields")))
		return 0;
	reply_bad_request(r, "metadata.managedFields must be a list");
	return -ERR_INVALID;
}

int body_decode_object(Request *r, json_t **ret)
{
	int rc = decode_any(r, ret);

	if (rc == 0 && !*ret) {
		reply_bad_request(r, "the body is empty");
		return -ERR_INVALID;
	}
	/* In trees of ours it may be one: see api/object.h. */
	return rc < 0 ? rc : refuse_text(r, *ret);
}

bool request_key(Request *r, Key *ret)
{
	const char *namespace = r->route.namespace ? r->route.namespace : "";

	if (strlen(namespace) >= KEY_NAMESPACE_MAX || strlen(r->route.name) >= KEY_NAME_MAX) {
		reply_not_found(r, r->route.name);
		return false;
	}
	*ret = key_make(kind_source(r->kind), namespace, r->route.name);
	return true;
}

/* ---- identity ---- */

/* The words are Kubernetes'. */
static const char *const disagreement[] = {
	[0] = "the API version in the data (%.128s) does not match the expected API version (%s)",
	[1] = "the kind in the data (%.128s) does not match the expected kind (%s)",
	[2] = "the namespace of the provided object (%.128s) does not match the namespace sent on "
	      "the request (%s)",
	[3] = "the name of the object (%.128s) does not match the name on the URL (%s)",
};

typedef enum Identifier { API_VERSION, KIND, NAMESPACE, NAME } Identifier;

static int agree(Request *r, json_t *tree, Identifier what, const char *field, const char *want)
{
	json_t *v = json_object_get(tree, field);

	if (!v || json_is_null(v) || (json_is_string(v) && !*json_string_value(v))) {
		if (want)
			json_object_set_new(tree, field, json_string(want));
		else
			json_object_del(tree, field);
		return 0;
	}
	if (json_is_string(v) && want && streq(json_string_value(v), want))
		return 0;
	if (!json_is_string(v))
		reply_bad_request(r, "%s%s must be a string", what >= NAMESPACE ? "metadata." : "",
				  field);
	else
		reply_bad_request(r, disagreement[what], json_string_value(v),
				  want ? want : "none");
	return -ERR_INVALID;
}

int admission_identity(Request *r, json_t *tree, const char *name)
{
	json_t *metadata;

	if (!json_is_object(tree)) {
		reply_bad_request(r, "the body must be an object");
		return -ERR_INVALID;
	}
	if (agree(r, tree, API_VERSION, "apiVersion", r->kind->api_version) < 0 ||
	    agree(r, tree, KIND, "kind", r->kind->kind) < 0)
		return -ERR_INVALID;
	metadata = json_object_get(tree, "metadata");
	if (!metadata || json_is_null(metadata)) {
		metadata = json_object();
		json_object_set_new(tree, "metadata", metadata);
	} else if (!json_is_object(metadata)) {
		reply_bad_request(r, "metadata must be an object");
		return -ERR_INVALID;
	}
	if (agree(r, metadata, NAMESPACE, "namespace", r->route.namespace) < 0)
		return -ERR_INVALID;
	return name ? agree(r, metadata, NAME, "name", name) : 0;
}

/* ---- unknown fields ---- */

/* What else is wrong, so that one answer names it all. An apply to something stored is only a part:
 * it is looked at together with the rest (lists as they were applied, which is near enough here).
 */
static void add_other_errors(Request *r, const json_t *tree, FieldErrors *errors)
{
	_cleanup_(json_decrefp) json_t *base = NULL, *copy = NULL;

	if (r->method == METHOD_PATCH && r->base) {
		base = render_tree_lean(r->kind, r->base);
		copy = json_merge_patch(base, tree);
	} else {
		copy = json_deep_copy(tree);
	}
	schema_default(r->kind->schema, copy);
	object_validate(r->kind, copy, NULL, errors);
}

int admission_fields(Request *r, json_t *tree)
{
	const char *mode = target_query(&r->target, "fieldValidation");
	FieldErrors strict = r->doubled;
	int rc = 0;

	r->doubled = FIELD_ERRORS_INIT;
	schema_prune(r->kind->schema, tree, &strict);
	if (strict.n && (str_is_empty(mode) || streq(mode, "Strict"))) {
		add_other_errors(r, tree, &strict);
		reply_strict(r, &strict);
		rc = -ERR_INVALID;
	} else if (strict.n && streq(mode, "Warn") && !r->attempts) {
		for (size_t i = 0; i < strict.n && i < WARNINGS_MAX; i++) {
			_cleanup_(xfreep) char *text = xasprintf(
				"%s field \"%s\"",
				strict.items[i].type == FIELD_DOUBLED ? "duplicate" : "unknown",
				strict.items[i].path);

			reply_warning(r, text);
		}
	}
	field_errors_done(&strict);
	return rc;
}

/* ---- defaults and validation ---- */

static bool is_kind(const Request *r, const char *group, const char *kind)
{
	return r->kind->builtin && streq(r->kind->group, group) && streq(r->kind->kind, kind);
}

/* What a controller makes real. */
static bool is_realized(const Request *r)
{
	return is_kind(r, "shakenfist.io", "Instance") || is_kind(r, "shakenfist.io", "Network") ||
	       is_kind(r, "shakenfist.io", "Image");
}

/* Who waits by Kubernetes' conventions (helm --wait, Flux) takes an object without conditions for
 * done: one that no controller has seen yet says so. */
bool admission_first_status(const Request *r, json_t *tree)
{
	json_t *status;

	if (!is_realized(r))
		return false;
	status = json_object();
	json_object_set_new(tree, "status", status);
	condition_set(status, "Ready", CONDITION_UNKNOWN, "Pending", "Waiting for its controller.",
		      0, clock_wall(server_clock(r->server)));
	return true;
}

/* Tearing down takes time and steps: the object stays until its controller is through. */
static void add_teardown(json_t *tree)
{
	json_t *metadata = json_object_get(tree, "metadata");
	json_t *list = json_object_get(metadata, "finalizers");
	json_t *f;
	size_t i;

	if (!list || json_is_null(list)) {
		list = json_array();
		json_object_set_new(metadata, "finalizers", list);
	}
	if (!json_is_array(list))
		return; /* for validation to refuse */
	json_array_foreach (list, i, f)
		if (json_is_string(f) && streq(json_string_value(f), FINALIZER_TEARDOWN))
			return;
	json_array_append_new(list, json_string(FINALIZER_TEARDOWN));
}

/* stringData is for writing only: its values go into data, and win over those that are there. */
static void encode_string_data(json_t *tree)
{
	json_t *texts = json_object_get(tree, "stringData"), *data = json_object_get(tree, "data"),
	       *v;
	const char *name;

	if (!json_is_object(texts))
		return;
	if (!data || json_is_null(data)) {
		data = json_object();
		json_object_set_new(tree, "data", data);
	}
	if (!json_is_object(data))
		return; /* as below */
	json_object_foreach (texts, name, v) {
		_cleanup_(xfreep) char *encoded = NULL;

		/* What is no string stays where it is, for the schema to refuse. */
		if (!json_is_string(v))
			return;
		encoded = base64_encode(json_string_value(v), json_string_length(v));
		json_object_set_new(data, name, json_string(encoded));
	}
	json_object_del(tree, "stringData");
}

/* Empty members of metadata are as good as none, and Kubernetes stores none. */
static void drop_empty_metadata(json_t *tree)
{
	static const char *const members[] = { "labels", "annotations", "finalizers",
					       "ownerReferences" };
	json_t *metadata = json_object_get(tree, "metadata");

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const json_t *v = json_object_get(metadata, members[i]);

		if ((json_is_object(v) && json_object_size(v) == 0) ||
		    (json_is_array(v) && json_array_size(v) == 0))
			json_object_del(metadata, members[i]);
	}
}

/* The API group of a subject follows from its kind. */
static void fill_in_subjects(json_t *tree)
{
	json_t *subject;
	size_t i;

	json_array_foreach (json_object_get(tree, "subjects"), i, subject) {
		const char *kind = json_string_at(subject, "kind");

		if ((streq_ptr(kind, "User") || streq_ptr(kind, "Group")) &&
		    str_is_empty(json_string_at(subject, "apiGroup")))
			json_object_set_new(subject, "apiGroup", json_string(RBAC_GROUP));
	}
}

void admission_normalize(Request *r, json_t *tree)
{
	if (is_kind(r, "", "Secret"))
		encode_string_data(tree);
	else if (is_kind(r, "", "ResourceQuota"))
		quota_normalize(tree);
}

void admission_default(Request *r, json_t *tree)
{
	schema_default(r->kind->schema, tree);
	drop_empty_metadata(tree);
	admission_normalize(r, tree);
	if (is_kind(r, RBAC_GROUP, "RoleBinding") || is_kind(r, RBAC_GROUP, "ClusterRoleBinding"))
		fill_in_subjects(tree);
}

static void fill_in(Request *r, json_t *tree, const Object *old)
{
	json_t *spec = json_object_get(tree, "spec"), *node = json_object_get(spec, "nodeName");

	/* Also when a PUT leaves it out: a guest must not outlive its object by a replace. Once it
	 * is being deleted it may be taken out, to let go of what cannot be torn down. */
	if ((!old || !object_is_deleting(old)) && is_realized(r))
		add_teardown(tree);
	if (is_kind(r, "shakenfist.io", "Instance") && json_is_object(spec) &&
	    (!node || json_is_null(node) || streq_ptr(json_string_value(node), "")) &&
	    *r->server->node_name)
		json_object_set_new(spec, "nodeName", json_string(r->server->node_name));
	if (is_kind(r, "apiextensions.k8s.io", "CustomResourceDefinition"))
		definition_default(tree);
}

/* A user's definition must not take the place of a compiled-in kind. */
static int check_definition(Request *r, const json_t *tree)
{
	const char *name = json_string_at(tree, "metadata.name");

	if (!is_kind(r, "apiextensions.k8s.io", "CustomResourceDefinition") || !name ||
	    !server_describes_builtin(r->server, name))
		return 0;
	reply_forbidden(r, name, "this kind is part of the server and changes with it");
	return -ERR_FORBIDDEN;
}

/* Once, however often a lost race lets it begin again, and when there is news. */
static void warn_of_definition(Request *r, const json_t *tree, const json_t *old_tree)
{
	_cleanup_(strv_freep) char **warnings = NULL;

	if (r->attempts || !is_kind(r, "apiextensions.k8s.io", "CustomResourceDefinition") ||
	    json_same(json_object_get(tree, "spec"), json_object_get(old_tree, "spec")))
		return;
	warnings = definition_warnings(tree);
	strv_foreach (w, warnings)
		reply_warning(r, *w);
}

/* It is no reason to refuse one: after the host was renamed, what was exported before still counts.
 */
static void warn_of_node(Request *r, const json_t *tree, const Object *old)
{
	const char *here = r->server->node_name, *node = json_string_at(tree, "spec.nodeName");
	_cleanup_(xfreep) char *warning = NULL;

	if (old || r->attempts || !is_kind(r, "shakenfist.io", "Instance") || !*here ||
	    streq_ptr(node, here))
		return;
	warning = xasprintf("spec.nodeName: there is no node %s here: the instance runs on %s",
			    node, here);
	reply_warning(r, warning);
}

int admission_complete(Request *r, json_t *tree, const Object *old, const json_t *old_tree)
{
	FieldErrors errors = FIELD_ERRORS_INIT;
	int rc;

	fill_in(r, tree, old);
	if (old)
		managed_settle(old_tree, tree);
	object_validate(r->kind, tree, old_tree, &errors);
	if (is_kind(r, "shakenfist.io", "Instance") && errors.n == 0)
		admission_instance(r->server->options.store, tree, &errors);
	rc = check_definition(r, tree);
	if (rc == 0 && errors.n) {
		reply_invalid(r, json_string_at(tree, "metadata.name"), &errors);
		rc = -ERR_INVALID;
	}
	if (rc == 0)
		rc = admission_rbac(r, tree, old_tree);
	if (rc == 0) {
		warn_of_definition(r, tree, old_tree);
		warn_of_node(r, tree, old);
	}
	field_errors_done(&errors);
	if (rc == 0 && old_tree && !r->attempts && is_kind(r, "shakenfist.io", "Instance") &&
	    !request_is_status(r))
		admission_tell_costs(r, old_tree, tree);
	return rc;
}

void admission_keep_system(json_t *tree, const json_t *old_tree)
{
	static const char *const fields[] = { "uid",
					      "creationTimestamp",
					      "generation",
					      "deletionTimestamp",
					      "resourceVersion",
					      "deletionGracePeriodSeconds",
					      "selfLink" };
	json_t *to = json_object_get(tree, "metadata");
	const json_t *from = json_object_get(old_tree, "metadata");

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		json_t *v = json_object_get(from, fields[i]);

		if (v)
			json_object_set(to, fields[i], v);
		else
			json_object_del(to, fields[i]);
	}
	if (!json_object_get(to, "managedFields") && json_object_get(from, "managedFields"))
		json_object_set(to, "managedFields", json_object_get(from, "managedFields"));
}

/* ---- preconditions in a body ---- */

int body_revision(Request *r, const json_t *tree, int64_t *ret)
{
	const json_t *v = json_object_get(json_object_get(tree, "metadata"), "resourceVersion");
	const char *text = json_string_value(v);
	char *end;
	long long n;

	*ret = 0;
	if (!v || json_is_null(v) || (text && !*text))
		return 0;
	errno = 0;
	n = text ? strtoll(text, &end, 10) : 0;
	if (!text || errno || *end || n <= 0) {
		reply_bad_request(r, "metadata.resourceVersion: Invalid value");
		return -ERR_INVALID;
	}
	*ret = n;
	return 0;
}

int body_preconditions(Request *r, const json_t *tree, const Object *base, bool *ret_pinned)
{
	const char *uid = json_string_at(tree, "metadata.uid");
	_cleanup_(xfreep) char *why = NULL;
	int64_t revision;

	if (body_revision(r, tree, &revision) < 0)
		return -ERR_INVALID;
	*ret_pinned = revision > 0;
	if (revision > 0 && revision != object_revision(base)) {
		reply_conflict(r, r->route.name, NULL);
		return -ERR_CONFLICT;
	}
	if (!str_is_empty(uid) && !streq(uid, object_head(base)->uid)) {
		why = xasprintf("Precondition failed: UID in precondition: %.64s, UID in object "
				"meta: %s",
				uid, object_head(base)->uid);
		reply_conflict(r, r->route.name, why);
		return -ERR_CONFLICT;
	}
	return 0;
}
