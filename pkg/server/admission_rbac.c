/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nobody makes himself, or others, more than he is: who writes a role must hold all that it says,
 * who writes a binding all that its role says, or be allowed the verbs `escalate` and `bind`; who
 * makes a credential must be allowed to be whom it names. As Kubernetes does it, and in its words.
 * HTTP threads.
 */
#include "server/internal.h"
#include "server/reply.h"
#include "server/write.h"

#define TOLD_MAX 50 /* lines about what is missing */

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* `user "alice" (groups=["a" "b"]) is attempting to grant RBAC permissions not currently held:` */
static char *not_held(const Identity *who, const json_t *missing)
{
	_cleanup_(strv_freep) char **lines = NULL;
	_cleanup_(xfreep) char *joined = NULL;
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT, line = STRBUF_INIT;
	json_t *rule;
	size_t i;

	strbuf_addf(&text, "user \"%s\" (groups=[", who->name);
	strv_foreach (group, who->groups)
		strbuf_addf(&text, "%s\"%s\"", group == who->groups ? "" : " ", *group);
	strbuf_adds(&text, "]) is attempting to grant RBAC permissions not currently held:\n");
	json_array_foreach (missing, i, rule) {
		if (i == TOLD_MAX)
			break;
		strbuf_reset(&line);
		rule_describe(rule, &line);
		lines = strv_append(lines, strbuf_str(&line));
	}
	qsort(lines, strv_len(lines), sizeof(*lines), compare_text);
	joined = strv_join(lines, "\n");
	strbuf_adds(&text, joined);
	return xstrdup(strbuf_str(&text));
}

static bool may(Request *r, const char *verb, const char *resource, const char *name)
{
	const AccessRequest a = { .who = r->who,
				  .verb = verb,
				  .group = RBAC_GROUP,
				  .resource = resource,
				  .namespace = r->route.namespace,
				  .name = name };

	return authorizer_allows(r->server->authz, &a, NULL);
}

/* Does the caller hold all that is wanted? Answers and < 0 if not. */
static int confirm_held(Request *r, const RuleSet *wanted, const char *name)
{
	_cleanup_(rule_sets_done) RuleSets held = { 0 };
	_cleanup_(json_decrefp) json_t *missing = json_array();
	_cleanup_(strbuf_done) StrBuf problem = STRBUF_INIT;
	_cleanup_(xfreep) char *why = NULL, *text = NULL;
	int rc;

	authorizer_rules(r->server->authz, r->who, r->route.namespace, &held, &problem);
	rc = rules_cover(&held, wanted, missing);
	if (rc == 1)
		return 0;
	if (rc < 0) {
		reply_forbidden(r, name, "the rules say more than can be checked: make them fewer");
		return -ERR_FORBIDDEN;
	}
	why = not_held(r->who, missing);
	text = problem.len ? xasprintf("%s; resolution errors: %s", why, strbuf_str(&problem))
			   : xstrdup(why);
	reply_forbidden(r, name, text);
	return -ERR_FORBIDDEN;
}

/* Everything, everywhere: what the right to aggregate needs, because it can gather anything. */
static bool holds_everything(Request *r)
{
	static const char text[] =
		"[{\"verbs\":[\"*\"],\"apiGroups\":[\"*\"],\"resources\":[\"*\"]},"
		"{\"verbs\":[\"*\"],\"nonResourceURLs\":[\"*\"]}]";
	_cleanup_(json_decrefp) json_t *rules = json_loads(text, 0, NULL);
	_cleanup_(rule_set_unrefp) RuleSet *all = rule_set_new(rules);
	_cleanup_(rule_sets_done) RuleSets held = { 0 };

	authorizer_rules(r->server->authz, r->who, NULL, &held, NULL);
	return rules_cover(&held, all, NULL) == 1;
}

static int check_role(Request *r, const json_t *tree, const json_t *old, const char *name)
{
	_cleanup_(rule_set_unrefp) RuleSet *wanted = NULL;

	if (may(r, "escalate", r->kind->plural, r->route.name))
		return 0;
	wanted = rule_set_new(json_object_get(tree, "rules"));
	if (confirm_held(r, wanted, name) < 0)
		return -ERR_FORBIDDEN;
	if ((json_object_get(tree, "aggregationRule") || json_object_get(old, "aggregationRule")) &&
	    !holds_everything(r)) {
		reply_forbidden(r, name,
				"must have cluster-admin privileges to use an aggregationRule");
		return -ERR_FORBIDDEN;
	}
	return 0;
}

static int check_binding(Request *r, const json_t *tree, const char *name)
{
	bool cluster = streq_ptr(json_string_at(tree, "roleRef.kind"), "ClusterRole");
	const char *role = json_string_at(tree, "roleRef.name");
	const char *resource = cluster ? "clusterroles" : "roles";
	_cleanup_(rule_set_unrefp) RuleSet *wanted = NULL;

	if (may(r, "bind", resource, role))
		return 0;
	wanted = authorizer_role(r->server->authz, cluster ? NULL : r->route.namespace, role);
	if (!wanted) {
		reply_failure(r, MHD_HTTP_NOT_FOUND, "NotFound",
			      json_pack("{s:s, s:s, s:s}", "name", role, "group", RBAC_GROUP,
					"kind", resource),
			      "%s." RBAC_GROUP " \"%s\" not found", resource, role);
		return -ERR_NOT_FOUND;
	}
	return confirm_held(r, wanted, name);
}

/*
 * A credential makes its holder the user and groups that it names: to make one is to be able to be
 * them, which is the verb `impersonate` on users and groups.
 */
static bool may_become(Request *r, const char *resource, const char *who)
{
	const AccessRequest a = {
		.who = r->who, .verb = "impersonate", .group = "", .resource = resource, .name = who
	};

	return authorizer_allows(r->server->authz, &a, NULL);
}

static int check_credential(Request *r, const json_t *tree, const char *name)
{
	const char *user = json_string_at(tree, "spec.user"), *refused = NULL;
	const char *resource = "users";
	_cleanup_(xfreep) char *why = NULL;
	json_t *group;
	size_t i;

	if (user && !may_become(r, resource, user))
		refused = user;
	json_array_foreach (json_at(tree, "spec.groups"), i, group) {
		if (refused || may_become(r, "groups", json_string_value(group)))
			continue;
		refused = json_string_value(group);
		resource = "groups";
	}
	if (!refused)
		return 0;
	why = xasprintf("User \"%s\" cannot impersonate resource \"%s\" in API group \"\" at the "
			"cluster scope: a credential for \"%s\" would make its holder that",
			r->who->name, resource, refused);
	reply_forbidden(r, name, why);
	return -ERR_FORBIDDEN;
}

/* What the garbage collector changes is no grant: finalizers and owners. */
static bool grants_nothing(const json_t *tree, const json_t *old)
{
	static const char *const fields[] = { "finalizers", "ownerReferences", "managedFields" };
	_cleanup_(json_decrefp) json_t *a = json_deep_copy(tree);
	_cleanup_(json_decrefp) json_t *b = json_deep_copy(old);

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		json_object_del(json_object_get(a, "metadata"), fields[i]);
		json_object_del(json_object_get(b, "metadata"), fields[i]);
	}
	return json_equal(a, b);
}

int admission_rbac(Request *r, const json_t *tree, const json_t *old)
{
	const char *name = json_string_at(tree, "metadata.name");

	if (!r->kind->builtin || r->who->masters)
		return 0;
	/* What a credential says never changes. */
	if (streq(r->kind->plural, "credentials") && streq(r->kind->group, "shakenfist.io"))
		return old ? 0 : check_credential(r, tree, name);
	if (!streq(r->kind->group, RBAC_GROUP) || (old && grants_nothing(tree, old)))
		return 0;
	if (streq(r->kind->plural, "roles") || streq(r->kind->plural, "clusterroles"))
		return check_role(r, tree, old, name);
	return check_binding(r, tree, name);
}
