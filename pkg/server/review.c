/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reviews: what somebody may do and who he is (`kubectl auth can-i`, `auth whoami`), answered from
 * the decision that every request passes. Served without a kind: nothing is stored. HTTP threads.
 */
#include "server/handlers.h"
#include "server/internal.h"
#include "server/reply.h"
#include "server/write.h"

#define AUTHORIZATION "authorization.k8s.io"

/* ---- may he? ---- */

static const char *text_at(const json_t *o, const char *path)
{
	const char *s = json_string_at(o, path);

	return s ? s : "";
}

static void check_spec(const json_t *spec, FieldErrors *errors)
{
	bool resource = json_is_object(json_object_get(spec, "resourceAttributes"));
	bool path = json_is_object(json_object_get(spec, "nonResourceAttributes"));

	if (resource && path)
		field_errors_add(errors, FIELD_INVALID, "spec.nonResourceAttributes",
				 "Invalid value: cannot be specified in combination with "
				 "resourceAttributes");
	if (!resource && !path)
		field_errors_add(errors, FIELD_INVALID, "spec.resourceAttributes",
				 "Invalid value: exactly one of nonResourceAttributes or "
				 "resourceAttributes must be specified");
}

/* Of the reviews that are about others. */
static void check_subject(const json_t *spec, FieldErrors *errors)
{
	if (!*text_at(spec, "user") && json_array_size(json_object_get(spec, "groups")) == 0)
		field_errors_add(errors, FIELD_INVALID, "spec.user",
				 "Invalid value: \"\": at least one of user or group must be "
				 "specified");
}

static void decide(Request *r, json_t *tree, const Identity *who)
{
	const json_t *spec = json_object_get(tree, "spec");
	const json_t *resource = json_object_get(spec, "resourceAttributes");
	const json_t *path = json_object_get(spec, "nonResourceAttributes");
	_cleanup_(strbuf_done) StrBuf why = STRBUF_INIT;
	AccessRequest a = {
		.who = who,
		.verb = text_at(resource ? resource : path, "verb"),
		.path = resource ? NULL : text_at(path, "path"),
		.group = text_at(resource, "group"),
		.resource = text_at(resource, "resource"),
		.subresource = json_string_at(resource, "subresource"),
		.namespace = json_string_at(resource, "namespace"),
		.name = json_string_at(resource, "name"),
	};
	json_t *status =
		json_pack("{s:b}", "allowed", authorizer_allows(r->server->authz, &a, &why));

	if (why.len)
		json_object_set_new(status, "reason", json_string(strbuf_str(&why)));
	json_object_set_new(tree, "status", status);
}

static void self_access(Request *r, json_t *tree, FieldErrors *errors)
{
	check_spec(json_object_get(tree, "spec"), errors);
	if (errors->n == 0)
		decide(r, tree, r->who);
}

static char **groups_of(const json_t *spec)
{
	char **groups = xnew0(char *, 1);
	json_t *group;
	size_t i;

	json_array_foreach (json_object_get(spec, "groups"), i, group)
		if (json_is_string(group))
			groups = strv_append(groups, json_string_value(group));
	return groups;
}

/* Exactly the groups that are named: nothing is added for being somebody. */
static void decide_for(Request *r, json_t *tree)
{
	const json_t *spec = json_object_get(tree, "spec");
	_cleanup_(xfreep) char *name = xstrdup(text_at(spec, "user"));
	_cleanup_(strv_freep) char **groups = groups_of(spec);
	const Identity who = { .name = name,
			       .groups = groups,
			       .masters = strv_contains(groups, GROUP_MASTERS) };

	decide(r, tree, &who);
}

static void access_of(Request *r, json_t *tree, FieldErrors *errors)
{
	check_spec(json_object_get(tree, "spec"), errors);
	check_subject(json_object_get(tree, "spec"), errors);
	if (errors->n == 0)
		decide_for(r, tree);
}

static void local_access_of(Request *r, json_t *tree, FieldErrors *errors)
{
	const json_t *spec = json_object_get(tree, "spec");

	check_spec(spec, errors);
	check_subject(spec, errors);
	if (json_object_get(spec, "nonResourceAttributes"))
		field_errors_add(errors, FIELD_INVALID, "spec.nonResourceAttributes",
				 "Invalid value: disallowed on this kind of request");
	else if (!streq(text_at(spec, "resourceAttributes.namespace"), r->route.namespace))
		field_errors_add(errors, FIELD_INVALID, "spec.resourceAttributes.namespace",
				 "Invalid value: \"%.64s\": must match metadata.namespace",
				 text_at(spec, "resourceAttributes.namespace"));
	if (errors->n == 0)
		decide_for(r, tree);
}

/* ---- what may he? ---- */

static json_t *strings(char *const *v)
{
	json_t *list = json_array();

	strv_foreach (s, v)
		json_array_append_new(list, json_string(*s));
	return list;
}

static void add_rule(json_t *resources, json_t *paths, const PolicyRule *rule)
{
	json_t *out;

	if (*rule->resources) {
		out = json_pack("{s:o, s:o, s:o}", "verbs", strings(rule->verbs), "apiGroups",
				strings(rule->groups), "resources", strings(rule->resources));
		if (*rule->names)
			json_object_set_new(out, "resourceNames", strings(rule->names));
		json_array_append_new(resources, out);
	}
	if (*rule->urls)
		json_array_append_new(paths, json_pack("{s:o, s:o}", "verbs", strings(rule->verbs),
						       "nonResourceURLs", strings(rule->urls)));
}

static void self_rules(Request *r, json_t *tree, FieldErrors *errors _unused_)
{
	const char *namespace = text_at(tree, "spec.namespace");
	_cleanup_(rule_sets_done) RuleSets sets = { 0 };
	_cleanup_(strbuf_done) StrBuf problem = STRBUF_INIT;
	json_t *resources, *paths, *status;

	if (!*namespace) {
		reply_bad_request(r, "no namespace on request");
		return;
	}
	resources = json_array();
	paths = json_array();
	authorizer_rules(r->server->authz, r->who, namespace, &sets, &problem);
	for (size_t i = 0; i < sets.n; i++)
		for (size_t k = 0; k < sets.items[i]->n; k++)
			add_rule(resources, paths, &sets.items[i]->rules[k]);
	status = json_pack("{s:o, s:o, s:b}", "resourceRules", resources, "nonResourceRules", paths,
			   "incomplete", 0);
	if (problem.len)
		json_object_set_new(status, "evaluationError", json_string(strbuf_str(&problem)));
	json_object_set_new(tree, "status", status);
}

/* ---- who is he? ---- */

static void self(Request *r, json_t *tree, FieldErrors *errors _unused_)
{
	json_object_set_new(tree, "status",
			    json_pack("{s:{s:s, s:o}}", "userInfo", "username", r->who->name,
				      "groups", strings(r->who->groups)));
}

/* ---- all of them ---- */

static const ReviewKind review_kinds[] = {
	{"authentication.k8s.io", "selfsubjectreviews",        "SelfSubjectReview",        false, self      },
	{ AUTHORIZATION,          "localsubjectaccessreviews", "LocalSubjectAccessReview", true,
         local_access_of										    },
	{ AUTHORIZATION,          "selfsubjectaccessreviews",  "SelfSubjectAccessReview",  false,
         self_access											},
	{ AUTHORIZATION,          "selfsubjectrulesreviews",   "SelfSubjectRulesReview",   false, self_rules},
	{ AUTHORIZATION,          "subjectaccessreviews",      "SubjectAccessReview",      false, access_of },
};

const ReviewKind *review_list(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(review_kinds);
	return review_kinds;
}

static const ReviewKind *find(const Request *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(review_kinds); i++)
		if (streq(review_kinds[i].resource, r->route.resource) &&
		    streq(review_kinds[i].group, r->route.group))
			return &review_kinds[i];
	return NULL;
}

/* kind and apiVersion are those of the path, or absent. */
static bool agree(Request *r, json_t *tree, const char *field, const char *want)
{
	const char *got = json_string_at(tree, field);

	if (!str_is_empty(got) && !streq(got, want)) {
		reply_bad_request(r,
				  "the %s in the data (%.64s) does not match the expected one (%s)",
				  field, got, want);
		return false;
	}
	json_object_set_new(tree, field, json_string(want));
	return true;
}

static void reply_errors(Request *r, const ReviewKind *kind, const FieldErrors *errors)
{
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT;
	json_t *causes = json_array();

	for (size_t i = 0; i < errors->n; i++) {
		const FieldError *e = &errors->items[i];

		strbuf_addf(&text, "%s%s: %s", i ? ", " : "", e->path, e->message);
		json_array_append_new(causes, json_pack("{s:s, s:s, s:s}", "reason",
							field_error_reason(e->type), "message",
							e->message, "field", e->path));
	}
	reply_failure(r, MHD_HTTP_UNPROCESSABLE_CONTENT, "Invalid",
		      json_pack("{s:s, s:s, s:o}", "group", kind->group, "kind", kind->kind,
				"causes", causes),
		      "%s.%s \"\" is invalid: %s%s%s", kind->kind, kind->group,
		      errors->n > 1 ? "[" : "", strbuf_str(&text), errors->n > 1 ? "]" : "");
}

void handle_review(Request *r)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	_cleanup_(field_errors_done) FieldErrors errors = FIELD_ERRORS_INIT;
	_cleanup_(xfreep) char *gv = xasprintf("%s/%s", r->route.group, r->route.version);
	const ReviewKind *kind = find(r);

	if (body_decode(r, &tree) < 0)
		return;
	if (!tree || !json_is_object(tree)) {
		reply_bad_request(r, tree ? "the body must be an object" : "the body is empty");
		return;
	}
	if (!agree(r, tree, "apiVersion", gv) || !agree(r, tree, "kind", kind->kind))
		return;
	if (!json_is_object(json_object_get(tree, "metadata")))
		json_object_set_new(tree, "metadata", json_object());
	kind->answer(r, tree, &errors);
	if (errors.n)
		reply_errors(r, kind, &errors);
	else if (!r->reply.code)
		reply_json(r, MHD_HTTP_CREATED, json_incref(tree));
}
