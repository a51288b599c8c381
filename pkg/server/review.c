/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reviews: `kubectl auth can-i` and `auth whoami`, answered from the same decision that every
 * request passes. HTTP threads.
 */
#include "server/internal.h"

static void access_status(Request *r, json_t *tree)
{
	const json_t *resource = json_at(tree, "spec.resourceAttributes");
	const json_t *path = json_at(tree, "spec.nonResourceAttributes");
	const char *verb = json_string_at(resource ? resource : path, "verb");
	const char *group = json_string_at(resource, "group");
	AccessRequest a = {
		.who = r->who,
		.verb = verb ? verb : "",
		.path = resource ? NULL : json_string_at(path, "path"),
		.group = group ? group : "",
		.resource = json_string_at(resource, "resource"),
		.subresource = json_string_at(resource, "subresource"),
		.namespace = json_string_at(resource, "namespace"),
		.name = json_string_at(resource, "name"),
	};
	_cleanup_(strbuf_done) StrBuf why = STRBUF_INIT;
	bool allowed = authorizer_allows(r->server->authz, &a, &why);
	json_t *status = json_pack("{s:b}", "allowed", allowed);

	if (why.len)
		json_object_set_new(status, "reason", json_string(strbuf_str(&why)));
	json_object_set_new(tree, "status", status);
}

static void rules_status(json_t *tree)
{
	json_object_set_new(tree, "status",
			    json_pack("{s:b, s:[{s:[s], s:[s], s:[s]}], s:[{s:[s], s:[s]}]}",
				      "incomplete", 0, "resourceRules", "verbs", "*", "apiGroups",
				      "*", "resources", "*", "nonResourceRules", "verbs", "*",
				      "nonResourceURLs", "*"));
}

static void user_status(Request *r, json_t *tree)
{
	json_t *groups = json_array(), *user;

	strv_foreach (group, r->who->groups)
		json_array_append_new(groups, json_string(*group));
	user = json_pack("{s:s, s:o}", "username", r->who->name, "groups", groups);
	json_object_set_new(tree, "status", json_pack("{s:o}", "userInfo", user));
}

void handle_review(Request *r)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	_cleanup_(xfreep) char *gv = xasprintf("%s/%s", r->route.group, r->route.version);
	bool access = streq(r->route.resource, "selfsubjectaccessreviews");
	bool rules = streq(r->route.resource, "selfsubjectrulesreviews");

	if (body_decode(r, &tree) < 0)
		return;
	if (tree && !json_is_object(tree)) {
		reply_bad_request(r, "the body must be an object");
		return;
	}
	if (!tree)
		tree = json_object();
	json_object_set_new(tree, "apiVersion", json_string(gv));
	json_object_set_new(tree, "kind",
			    json_string(access  ? "SelfSubjectAccessReview"
					: rules ? "SelfSubjectRulesReview"
						: "SelfSubjectReview"));
	if (!json_object_get(tree, "metadata"))
		json_object_set_new(tree, "metadata", json_object());
	if (access)
		access_status(r, tree);
	else if (rules)
		rules_status(tree);
	else
		user_status(r, tree);
	reply_json(r, MHD_HTTP_CREATED, json_incref(tree));
}
