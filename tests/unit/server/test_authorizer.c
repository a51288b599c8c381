/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The authorizer's index against a look through everything: roles and bindings come, change and go
 * at random, and after each step both must say the same; so must one that starts from what is
 * stored.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "server/internal.h"

#define STEPS   1500
#define QUERIES 12

static const char *const namespaces[] = { "a", "b", "c" };
static const char *const names[] = { "n1", "n2", "n3", "n4" };
static const char *const users[] = { "u1", "u2", "system:serviceaccount:a:bot" };
static const char *const groups[] = { "g1", "g2", "g3" };
static const char *const verbs[] = { "get", "list", "*" };
static const char *const resources[] = { "pods", "secrets", "pods/log", "*" };

typedef struct World {
	KindRegistry *kinds;
	Store *store;
	Authorizer *authz;
	uint64_t seed;
} World;

/* The same steps in every run: xorshift. */
static size_t pick(World *w, size_t n)
{
	w->seed ^= w->seed << 13;
	w->seed ^= w->seed >> 7;
	w->seed ^= w->seed << 17;
	return (size_t)(w->seed % n);
}

#define PICK(w, list) ((list)[pick((w), ARRAY_SIZE(list))])

static void commit(World *w, Txn *t)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Context ctx = CONTEXT_BACKGROUND;

	if (store_commit(w->store, &ctx, t, NULL, &err) < 0)
		fail_msg("%s", error_message(&err));
	txn_free(t);
}

static int setup(void **state)
{
	World *w = xnew0(World, 1);

	w->seed = 0x9e3779b97f4a7c15ULL;
	w->kinds = kind_registry_new();
	assert_int_equal(store_open(memory_backend_new(), &(StoreOptions){ .kinds = w->kinds },
				    &w->store, NULL),
			 0);
	assert_int_equal(authorizer_new(w->store, &w->authz, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
		json_t *tree = json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind",
					 "Namespace", "metadata", "name", namespaces[i]);
		Key key = key_make(GR_NAMESPACE, "", namespaces[i]);
		Txn *t = txn_new();

		txn_create(t, &key, tree, false);
		commit(w, t);
		json_decref(tree);
	}
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	World *w = *state;

	authorizer_free(w->authz);
	store_free(w->store);
	kind_registry_free(w->kinds);
	free(w);
	return 0;
}

/* ---- changing ---- */

static json_t *random_subject(World *w)
{
	switch (pick(w, 3)) {
	case 0:
		return json_pack("{s:s, s:s}", "kind", "User", "name", PICK(w, users));
	case 1:
		return json_pack("{s:s, s:s}", "kind", "Group", "name", PICK(w, groups));
	default:
		return pick(w, 2) ? json_pack("{s:s, s:s}", "kind", "ServiceAccount", "name", "bot")
				  : json_pack("{s:s, s:s, s:s}", "kind", "ServiceAccount", "name",
					      "bot", "namespace", PICK(w, namespaces));
	}
}

static void fill_role(World *w, json_t *tree)
{
	json_t *rules = json_array();

	for (size_t i = pick(w, 3); i-- > 0;)
		json_array_append_new(rules,
				      json_pack("{s:[s], s:[s], s:[s]}", "verbs", PICK(w, verbs),
						"apiGroups", "", "resources", PICK(w, resources)));
	json_object_set_new(tree, "rules", rules);
}

static void fill_binding(World *w, json_t *tree, bool cluster)
{
	json_t *subjects = json_array();

	for (size_t i = pick(w, 4); i-- > 0;)
		json_array_append_new(subjects, random_subject(w));
	json_object_set_new(tree, "subjects", subjects);
	/* roleRef never changes through the API, but what is stored is what counts. */
	json_object_set_new(tree, "roleRef",
			    json_pack("{s:s, s:s}", "kind",
				      cluster || pick(w, 2) ? "ClusterRole" : "Role", "name",
				      PICK(w, names)));
}

static void step(World *w)
{
	static const struct {
		const char *resource, *kind;
	} kinds[] = {
		{"roles",                "Role"              },
		{ "clusterroles",        "ClusterRole"       },
		{ "rolebindings",        "RoleBinding"       },
		{ "clusterrolebindings", "ClusterRoleBinding"}
	};
	size_t k = pick(w, ARRAY_SIZE(kinds));
	bool cluster = k % 2, binding = k >= 2;
	Key key = key_make(group_resource(RBAC_GROUP, kinds[k].resource),
			   cluster ? "" : PICK(w, namespaces), PICK(w, names));
	_cleanup_(object_unrefp) Object *old = NULL;
	_cleanup_(json_decrefp) json_t *tree = NULL;
	Txn *t = txn_new();

	if (store_get(w->store, &key, &old, NULL) == 0 && pick(w, 3) == 0) {
		txn_delete(t, old, &(DeleteOptions){ .grace_period_seconds = -1 });
		commit(w, t);
		return;
	}
	tree = old ? object_decode(old)
		   : json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", RBAC_GROUP "/v1", "kind",
			       kinds[k].kind, "metadata", "name", key.name);
	if (!cluster)
		json_object_set_new(json_object_get(tree, "metadata"), "namespace",
				    json_string(key.namespace));
	if (binding)
		fill_binding(w, tree, cluster);
	else
		fill_role(w, tree);
	if (old)
		txn_update(t, old, tree);
	else
		txn_create(t, &key, tree, false);
	commit(w, t);
}

/* ---- the look through everything ---- */

static bool is_subject(const json_t *s, const AccessRequest *r, const char *binding_namespace)
{
	const char *kind = json_string_at(s, "kind"), *name = json_string_at(s, "name");
	const char *namespace = json_string_at(s, "namespace");
	char account[200];

	if (streq(kind, "User"))
		return streq(name, r->who->name);
	if (streq(kind, "Group"))
		return strv_contains(r->who->groups, name);
	snprintf(account, sizeof(account), "system:serviceaccount:%s:%s",
		 namespace ? namespace : binding_namespace, name);
	return streq(account, r->who->name);
}

static bool role_gives(World *w, const char *resource, const char *namespace, const char *name,
		       const AccessRequest *r)
{
	Key key = key_make(group_resource(RBAC_GROUP, resource), namespace, name);
	_cleanup_(object_unrefp) Object *role = NULL;
	_cleanup_(json_decrefp) json_t *tree = NULL;
	_cleanup_(rule_set_unrefp) RuleSet *rules = NULL;
	bool gives = false;

	if (store_get(w->store, &key, &role, NULL) < 0)
		return false;
	tree = object_decode(role);
	rules = rule_set_new(json_object_get(tree, "rules"));
	for (size_t i = 0; i < rules->n; i++)
		gives |= rule_allows(&rules->rules[i], r);
	return gives;
}

static bool binding_gives(World *w, const Object *binding, const AccessRequest *r)
{
	_cleanup_(json_decrefp) json_t *tree = object_decode(binding);
	const char *namespace = object_key(binding)->namespace;
	const char *role = json_string_at(tree, "roleRef.name");
	json_t *s;
	size_t i;

	if (*namespace && !streq_ptr(namespace, r->namespace))
		return false;
	json_array_foreach (json_object_get(tree, "subjects"), i, s) {
		if (!is_subject(s, r, namespace))
			continue;
		return streq(json_string_at(tree, "roleRef.kind"), "Role")
			       ? role_gives(w, "roles", namespace, role, r)
			       : role_gives(w, "clusterroles", "", role, r);
	}
	return false;
}

static bool expected(World *w, const AccessRequest *r)
{
	static const char *const kinds[] = { "rolebindings", "clusterrolebindings" };
	bool allowed = false;

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		const ListOptions options = { .gr = group_resource(RBAC_GROUP, kinds[k]) };
		_cleanup_(object_list_freep) ObjectList *list = NULL;

		assert_int_equal(store_list(w->store, &options, &list, NULL), 0);
		for (size_t i = 0; i < list->n; i++)
			allowed |= binding_gives(w, list->items[i], r);
	}
	return allowed;
}

static void compare(World *w, Authorizer *authz, int at)
{
	char *mine[3] = { (char *)PICK(w, groups), (char *)PICK(w, groups), NULL };
	_cleanup_(identity_unrefp) Identity *who =
		identity_new(IDENTITY_TOKEN, PICK(w, users), mine, NULL);
	const AccessRequest r = { .who = who,
				  .verb = verbs[pick(w, 2)],
				  .group = "",
				  .resource = resources[pick(w, 2)],
				  .subresource = pick(w, 3) ? NULL : "log",
				  .namespace = pick(w, 4) ? PICK(w, namespaces) : NULL };
	bool want = expected(w, &r);

	if (authorizer_allows(authz, &r, NULL) != want)
		fail_msg("step %d: %s %s/%s in %s by %s: must be %s", at, r.verb, r.resource,
			 r.subresource ? r.subresource : "", r.namespace ? r.namespace : "all",
			 who->name, want ? "allowed" : "refused");
}

static void test_index(void **state)
{
	World *w = *state;

	for (int i = 0; i < STEPS; i++) {
		step(w);
		for (int q = 0; q < QUERIES; q++)
			compare(w, w->authz, i);
		if (i % 100 == 0) {
			_cleanup_(authorizer_freep) Authorizer *fresh = NULL;

			assert_int_equal(authorizer_new(w->store, &fresh, NULL), 0);
			for (int q = 0; q < QUERIES * 10; q++)
				compare(w, fresh, i);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_index, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
