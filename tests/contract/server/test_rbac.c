/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roles and bindings at work: what is given and taken takes effect with the answer, nobody gives
 * what he has not, the built-in roles heal, reviews answer like Kubernetes. Needs root.
 */
#include "tests/contract/server/as_user.h"

#include <sys/stat.h>

#define RBAC       "/apis/rbac.authorization.k8s.io/v1"
#define ROLES      RBAC "/namespaces/default/roles"
#define BINDINGS   RBAC "/namespaces/default/rolebindings"
#define CONFIGMAPS "/api/v1/namespaces/default/configmaps"
#define REVIEWS    "/apis/authorization.k8s.io/v1"
#define ALICE      USER_BASE
#define ALICE_NAME "uid:4200000000"
#define READ_MAPS \
	"{\"apiGroups\":[\"\"],\"resources\":[\"configmaps\"],\"verbs\":[\"get\",\"list\"]}"

static int setup(void **state)
{
	Fixture *f;

	fixture_setup(state);
	f = *state;
	return chmod(f->dir, 0755);
}

static void make_role(Fixture *f, const char *name, const char *rule)
{
	_cleanup_(xfreep) char *body =
		xasprintf("{\"metadata\":{\"name\":\"%s\"},\"rules\":[%s]}", name, rule);

	call_done(f, 201, "POST", ROLES, NULL, body);
}

static void alice(Fixture *f, int expect, const char *method, const char *target, const char *type,
		  const char *body)
{
	json_decref(expect_as(f, ALICE, expect, method, target, type, body));
}

/* She fails with a message that has this in it. */
static void alice_fails(Fixture *f, int expect, const char *method, const char *target,
			const char *type, const char *body, const char *message)
{
	_cleanup_(json_decrefp) json_t *status =
		expect_as(f, ALICE, expect, method, target, type, body);
	const char *got = json_string_at(status, "message");

	if (!got || !strstr(got, message))
		fail_msg("%s %s: %s\nexpected in it: %s", method, target, got, message);
}

/* ---- what to do about a refusal ---- */

/* The least that helps: and it does help. */
static void test_hint_is_enough(void **state)
{
	static const struct {
		const char *method, *target, *namespace, *role;
	} cases[] = {
		{"GET",     INSTANCES,                                "default", "view" },
		{ "GET",    INSTANCES "?watch=true&timeoutSeconds=1", "default", "view" },
		{ "GET",    CONFIGMAPS "/none",                       "default", "view" },
		{ "GET",    API_GROUP "/instances",                   NULL,      "view" },
		{ "GET",    API_GROUP "/nodes",                       NULL,      "view" },
		{ "GET",    SECRETS,				  "default", "edit" },
		{ "DELETE", INSTANCES "/none",                        "default", "edit" },
		{ "GET",    ROLES,				    "default", "admin"},
		{ "GET",    INSTANCES "/none/console",                "default", "edit" },
	};
	Fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *namespace = cases[i].namespace;
		_cleanup_(xfreep) char *hint =
			xasprintf("\"kubectl create %srolebinding " ALICE_NAME
				  " --clusterrole=%s --user=" ALICE_NAME "%s%s\"",
				  namespace ? "" : "cluster", cases[i].role,
				  namespace ? " --namespace=" : "", namespace ? namespace : "");
		HttpAnswer a;

		alice_fails(f, 403, cases[i].method, cases[i].target, NULL, NULL, hint);
		bind_role(f, namespace, "alice", "ClusterRole", cases[i].role, "User:" ALICE_NAME);
		a = call_as(f, ALICE, cases[i].method, cases[i].target, NULL, NULL);
		if (a.code == 403)
			fail_msg("%s %s: %s", cases[i].method, cases[i].target, a.body);
		http_answer_done(&a);
		call_done(f, 200, "DELETE",
			  namespace ? BINDINGS "/alice" : RBAC "/clusterrolebindings/alice", NULL,
			  NULL);
	}
}

/* What no role for people has is not said to come with one. */
static void test_hint_without_a_role(void **state)
{
	static const struct {
		const char *target, *hint;
	} cases[] = {
		{RBAC "/clusterroles",                                      "; use sudo"},
		{ API_GROUP "/credentials",
                 "; ask an administrator: sudo sfctl kubeconfig --user " ALICE_NAME     },
		{ "/api/v1/namespaces/kube-public/configmaps/cluster-info",
                 "; ask an administrator: sudo sfctl kubeconfig --user " ALICE_NAME     },
	};
	Fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		HttpAnswer a = call_as(f, ALICE, "GET", cases[i].target, NULL, NULL);
		const char *message = json_string_at(a.json, "message");

		assert_int_equal(a.code, 403);
		if (!strstr(message, cases[i].hint) || strstr(message, "rolebinding"))
			fail_msg("%s: %s", cases[i].target, message);
		http_answer_done(&a);
	}
}

/* ---- giving and taking ---- */

static void test_in_force_at_once(void **state)
{
	Fixture *f = *state;

	for (int i = 0; i < 20; i++) {
		alice(f, 403, "GET", CONFIGMAPS, NULL, NULL);
		make_role(f, "reader", READ_MAPS);
		bind_role(f, "default", "alice", "Role", "reader", "User:" ALICE_NAME);
		alice(f, 200, "GET", CONFIGMAPS, NULL, NULL);
		call_done(f, 200, "PATCH", ROLES "/reader", "application/merge-patch+json",
			  "{\"rules\":[]}");
		alice(f, 403, "GET", CONFIGMAPS, NULL, NULL);
		call_done(f, 200, "PATCH", ROLES "/reader", "application/merge-patch+json",
			  "{\"rules\":[" READ_MAPS "]}");
		alice(f, 200, "GET", CONFIGMAPS, NULL, NULL);
		call_done(f, 200, "DELETE", i % 2 ? ROLES "/reader" : BINDINGS "/alice", NULL,
			  NULL);
		alice(f, 403, "GET", CONFIGMAPS, NULL, NULL);
		call_done(f, 200, "DELETE", i % 2 ? BINDINGS "/alice" : ROLES "/reader", NULL,
			  NULL);
	}
}

static void test_binding_before_its_role(void **state)
{
	Fixture *f = *state;

	bind_role(f, "default", "alice", "Role", "reader", "Group:unix:gid:4200000000");
	alice_fails(f, 403, "GET", CONFIGMAPS, NULL, NULL,
		    "in the namespace \"default\": RBAC: role.rbac.authorization.k8s.io "
		    "\"reader\" not found");
	make_role(f, "reader", READ_MAPS);
	alice(f, 200, "GET", CONFIGMAPS, NULL, NULL);
	/* there, and only there */
	alice(f, 403, "GET", "/api/v1/configmaps", NULL, NULL);
	alice(f, 403, "GET", "/api/v1/namespaces/other/configmaps", NULL, NULL);
	call_done(f, 200, "PUT", BINDINGS "/alice", NULL,
		  "{\"metadata\":{\"name\":\"alice\"},\"roleRef\":{\"kind\":\"Role\",\"name\":"
		  "\"reader\"},\"subjects\":[{\"kind\":\"User\",\"name\":\"bob\"}]}");
	alice(f, 403, "GET", CONFIGMAPS, NULL, NULL);
}

static void test_names(void **state)
{
	Fixture *f = *state;

	make_role(f, "one",
		  "{\"apiGroups\":[\"\"],\"resources\":[\"secrets\"],\"verbs\":[\"*\"],"
		  "\"resourceNames\":[\"mine\"]}");
	bind_role(f, "default", "alice", "Role", "one", "User:" ALICE_NAME);
	json_decref(make_secret(f, "mine", NULL));
	json_decref(make_secret(f, "yours", NULL));
	alice(f, 200, "GET", SECRETS "/mine", NULL, NULL);
	alice(f, 403, "GET", SECRETS "/yours", NULL, NULL);
	alice(f, 403, "GET", SECRETS, NULL, NULL);
	alice(f, 200, "GET", SECRETS "?fieldSelector=metadata.name%3Dmine", NULL, NULL);
	alice(f, 200, "GET", SECRETS "?fieldSelector=metadata.name==mine,type=Opaque", NULL, NULL);
	alice(f, 403, "GET", SECRETS "?fieldSelector=metadata.name=yours", NULL, NULL);
	alice(f, 403, "GET", SECRETS "?fieldSelector=metadata.name!=yours", NULL, NULL);
	alice(f, 403, "GET",
	      SECRETS "?fieldSelector=metadata.name=yours&fieldSelector=metadata.name=mine", NULL,
	      NULL);
	alice(f, 403, "DELETE", SECRETS "?fieldSelector=metadata.name=mine", NULL, NULL);
	/* a name in the body gives no right to create */
	alice(f, 403, "POST", SECRETS, NULL, "{\"metadata\":{\"name\":\"mine\"}}");
	alice(f, 200, "DELETE", SECRETS "/mine", NULL, NULL);
}

/* A namespace is in itself: who may see what is in it may see it, and no list of all. */
static void test_own_namespace(void **state)
{
	Fixture *f = *state;

	bind_role(f, "default", "alice", "ClusterRole", "view", "User:" ALICE_NAME);
	alice(f, 200, "GET", "/api/v1/namespaces/default", NULL, NULL);
	alice(f, 200, "GET", "/api/v1/namespaces/default/status", NULL, NULL);
	alice_fails(f, 403, "GET", "/api/v1/namespaces/other", NULL, NULL,
		    "namespaces \"other\" is forbidden: User \"" ALICE_NAME
		    "\" cannot get resource \"namespaces\" in API group \"\" in the namespace "
		    "\"other\"");
	alice(f, 403, "GET", "/api/v1/namespaces", NULL, NULL);
	alice(f, 403, "GET", "/api/v1/namespaces?fieldSelector=metadata.name=default", NULL, NULL);
	alice(f, 403, "DELETE", "/api/v1/namespaces/default", NULL, NULL);
	alice(f, 403, "PUT", "/api/v1/namespaces/default/finalize", NULL, "{}");
}

/* Who may change but not create, creates neither by PUT nor by apply. */
static void test_no_creation_by_the_back_door(void **state)
{
	static const char map[] = "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\","
				  "\"metadata\":{\"name\":\"new\"},\"data\":{\"a\":\"b\"}}";
	static const char apply[] = "application/apply-patch+yaml";
	Fixture *f = *state;

	make_role(f, "changer",
		  "{\"apiGroups\":[\"\"],\"resources\":[\"configmaps\"],"
		  "\"verbs\":[\"update\",\"patch\"]}");
	bind_role(f, "default", "alice", "Role", "changer", "User:" ALICE_NAME);
	alice(f, 404, "PUT", CONFIGMAPS "/new", NULL, map);
	alice_fails(f, 403, "PATCH", CONFIGMAPS "/new?fieldManager=m", apply, map,
		    "configmaps \"new\" is forbidden: User \"" ALICE_NAME
		    "\" cannot create resource \"configmaps\" in API group \"\" in the namespace "
		    "\"default\"");
	alice_fails(f, 403, "PATCH", CONFIGMAPS "/new?fieldManager=m&dryRun=All", apply, map,
		    "cannot create");
	alice(f, 404, "PATCH", CONFIGMAPS "/new", "application/merge-patch+json", "{}");
	call_done(f, 201, "POST", CONFIGMAPS, NULL, map);
	alice(f, 200, "PATCH", CONFIGMAPS "/new?fieldManager=m&force=true", apply, map);
}

/* ---- nobody gives what he has not ---- */

static void test_no_escalation_by_roles(void **state)
{
	Fixture *f = *state;

	bind_role(f, "default", "alice", "ClusterRole", "admin", "User:" ALICE_NAME);
	alice(f, 201, "POST", ROLES, NULL,
	      "{\"metadata\":{\"name\":\"fine\"},\"rules\":[" READ_MAPS "]}");
	alice_fails(f, 403, "POST", ROLES, NULL,
		    "{\"metadata\":{\"name\":\"evil\"},\"rules\":[{\"apiGroups\":[\"\"],"
		    "\"resources\":[\"configmaps\",\"widgets\"],\"verbs\":[\"get\",\"own\"]}]}",
		    "roles.rbac.authorization.k8s.io \"evil\" is forbidden: user \"" ALICE_NAME
		    "\" (groups=[\"unix:gid:4200000000\" \"system:authenticated\"]) is attempting "
		    "to grant RBAC permissions not currently held:\n"
		    "{APIGroups:[\"\"], Resources:[\"configmaps\"], Verbs:[\"own\"]}\n"
		    "{APIGroups:[\"\"], Resources:[\"widgets\"], Verbs:[\"get\" \"own\"]}");
	/* by no other way either */
	alice(f, 403, "PUT", ROLES "/fine", NULL,
	      "{\"metadata\":{\"name\":\"fine\"},\"rules\":[{\"apiGroups\":[\"*\"],"
	      "\"resources\":[\"*\"],\"verbs\":[\"*\"]}]}");
	alice(f, 403, "PATCH", ROLES "/fine", "application/json-patch+json",
	      "[{\"op\":\"add\",\"path\":\"/rules/0/verbs/-\",\"value\":\"*\"}]");
	alice(f, 403, "PATCH", ROLES "/other?fieldManager=m", "application/apply-patch+yaml",
	      "{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"Role\","
	      "\"metadata\":{\"name\":\"other\"},\"rules\":[{\"apiGroups\":[\"shakenfist.io\"],"
	      "\"resources\":[\"instances/status\"],\"verbs\":[\"update\"]}]}");
	alice(f, 403, "POST", RBAC "/clusterroles", NULL,
	      "{\"metadata\":{\"name\":\"mine\"},\"rules\":[]}");
	/* with the verb, all may be given */
	make_role(f, "escalator",
		  "{\"apiGroups\":[\"rbac.authorization.k8s.io\"],\"resources\":[\"roles\"],"
		  "\"verbs\":[\"escalate\"]}");
	bind_role(f, "default", "escalator", "Role", "escalator", "User:" ALICE_NAME);
	alice(f, 201, "POST", ROLES, NULL,
	      "{\"metadata\":{\"name\":\"evil\"},\"rules\":[{\"apiGroups\":[\"*\"],"
	      "\"resources\":[\"*\"],\"verbs\":[\"*\"]}]}");
}

static char *binding_of(const char *kind, const char *role)
{
	return xasprintf("{\"metadata\":{\"name\":\"%s\"},\"roleRef\":{\"kind\":\"%s\",\"name\":"
			 "\"%s\"},\"subjects\":[{\"kind\":\"User\",\"name\":\"bob\"}]}",
			 role, kind, role);
}

static void test_no_escalation_by_bindings(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *edit = binding_of("ClusterRole", "edit");
	_cleanup_(xfreep) char *all = binding_of("ClusterRole", "cluster-admin");
	_cleanup_(xfreep) char *none = binding_of("Role", "nothing");

	bind_role(f, "default", "alice", "ClusterRole", "admin", "User:" ALICE_NAME);
	alice(f, 201, "POST", BINDINGS, NULL, edit);
	alice_fails(f, 403, "POST", BINDINGS, NULL, all,
		    "is attempting to grant RBAC permissions not currently held:\n"
		    "{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}\n"
		    "{NonResourceURLs:[\"*\"], Verbs:[\"*\"]}");
	alice_fails(f, 404, "POST", BINDINGS, NULL, none,
		    "roles.rbac.authorization.k8s.io \"nothing\" not found");
	alice(f, 403, "POST", RBAC "/clusterrolebindings", NULL, edit);
	make_role(f, "binder",
		  "{\"apiGroups\":[\"rbac.authorization.k8s.io\"],\"resources\":[\"clusterroles\"],"
		  "\"resourceNames\":[\"cluster-admin\"],\"verbs\":[\"bind\"]}");
	bind_role(f, "default", "binder", "Role", "binder", "User:" ALICE_NAME);
	alice(f, 201, "POST", BINDINGS, NULL, all);
}

static void test_aggregation_needs_everything(void **state)
{
	static const char role[] =
		"{\"metadata\":{\"name\":\"gather\"},\"aggregationRule\":{\"clusterRoleSelectors\":"
		"[{\"matchLabels\":{\"a\":\"b\"}}]}}";
	Fixture *f = *state;

	call_done(f, 201, "POST", RBAC "/clusterroles", NULL,
		  "{\"metadata\":{\"name\":\"roles\"},\"rules\":[{\"apiGroups\":"
		  "[\"rbac.authorization.k8s.io\"],\"resources\":[\"clusterroles\"],\"verbs\":"
		  "[\"create\",\"update\"]}]}");
	bind_role(f, NULL, "alice", "ClusterRole", "roles", "User:" ALICE_NAME);
	alice_fails(f, 403, "POST", RBAC "/clusterroles", NULL, role,
		    "must have cluster-admin privileges to use an aggregationRule");
	bind_role(f, NULL, "alice-admin", "ClusterRole", "cluster-admin", "User:" ALICE_NAME);
	alice(f, 201, "POST", RBAC "/clusterroles", NULL, role);
}

/* To make a credential is to be able to be whom it names. */
static void test_no_escalation_by_credentials(void **state)
{
	static const char credential[] =
		"{\"metadata\":{\"name\":\"%s\"},\"spec\":{\"user\":\"%s\",\"groups\":[%s],"
		"\"tokenHash\":\"sha256:0000000000000000000000000000000000000000000000000000000000"
		"00%04x\"}}";
	Fixture *f = *state;
	_cleanup_(xfreep) char *root = xasprintf(credential, "a", "bob", "\"system:masters\"", 1);
	_cleanup_(xfreep) char *carl = xasprintf(credential, "b", "carl", "", 2);
	_cleanup_(xfreep) char *bob = xasprintf(credential, "c", "bob", "\"ci\"", 3);
	_cleanup_(xfreep) char *mighty = xasprintf(credential, "d", "bob", "\"system:masters\"", 4);

	call_done(f, 201, "POST", RBAC "/clusterroles", NULL,
		  "{\"metadata\":{\"name\":\"issuer\"},\"rules\":[{\"apiGroups\":"
		  "[\"shakenfist.io\"],\"resources\":[\"credentials\"],\"verbs\":[\"create\"]},"
		  "{\"apiGroups\":[\"\"],\"resources\":[\"users\",\"groups\"],\"verbs\":"
		  "[\"impersonate\"],\"resourceNames\":[\"bob\",\"ci\"]}]}");
	bind_role(f, NULL, "alice", "ClusterRole", "issuer", "User:" ALICE_NAME);
	alice_fails(f, 403, "POST", API_GROUP "/credentials", NULL, root,
		    "credentials.shakenfist.io \"a\" is forbidden: User \"" ALICE_NAME
		    "\" cannot impersonate resource \"groups\" in API group \"\" at the cluster "
		    "scope");
	alice_fails(f, 403, "POST", API_GROUP "/credentials", NULL, carl, "cannot impersonate");
	alice(f, 201, "POST", API_GROUP "/credentials", NULL, bob);
	bind_role(f, NULL, "alice-admin", "ClusterRole", "cluster-admin", "User:" ALICE_NAME);
	alice(f, 201, "POST", API_GROUP "/credentials", NULL, mighty);
}

/* ---- what is valid ---- */

static void test_validation(void **state)
{
	static const struct {
		const char *path, *body, *message;
	} cases[] = {
		{BINDINGS,
                 "{\"metadata\":{\"name\":\"b\"},\"roleRef\":{\"kind\":\"Rolle\",\"name\":\"r\"}}",                 "RoleBinding.rbac.authorization.k8s.io \"b\" is invalid: roleRef.kind: "
		  "Unsupported value: \"Rolle\": supported values: \"Role\", \"ClusterRole\""},
		{ RBAC "/clusterrolebindings",
                 "{\"metadata\":{\"name\":\"b\"},\"roleRef\":{\"kind\":\"Role\",\"name\":\"r\"}}",		  "supported values: \"ClusterRole\""                                         },
		{ BINDINGS,                    "{\"metadata\":{\"name\":\"b\"}}",                                   "roleRef.name: Required value"                                              },
		{ BINDINGS,
                 "{\"metadata\":{\"name\":\"b\"},\"roleRef\":{\"kind\":\"Role\",\"name\":\"r\"},"
		  "\"subjects\":[{\"kind\":\"Robot\",\"name\":\"x\"},{\"kind\":\"User\"}]}",			"[subjects[0].kind: Unsupported value: \"Robot\": supported values: "
		  "\"ServiceAccount\", \"User\", \"Group\", subjects[1].name: Required value]"      },
		{ RBAC "/clusterroles",        "{\"metadata\":{\"name\":\"r\"},\"aggregationRule\":{}}",
                 "aggregationRule.clusterRoleSelectors: Required value: at least one "
		  "clusterRoleSelector required if aggregationRule is non-nil"														  },
		{ ROLES,                       "{\"metadata\":{\"name\":\"r\"},\"rules\":[{\"verbs\":[\"get\"]}]}",
                 "rules[0].resources: Required value: resource rules must supply at least one "
		  "resource"																				    },
		{ ROLES,                       "{\"metadata\":{\"name\":\"a/b\"}}",
                 "may not be '.' or '..' nor contain"																	   },
	};
	Fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(json_decrefp) json_t *status =
			call(f, 422, "POST", cases[i].path, NULL, cases[i].body);
		const char *message = json_string_at(status, "message");

		if (!strstr(message, cases[i].message))
			fail_msg("%s\nexpected in it: %s", message, cases[i].message);
	}
	bind_role(f, "default", "b", "Role", "one", "User:x");
	call_fails(f, 422, "Invalid", "PATCH", BINDINGS "/b", "application/merge-patch+json",
		   "{\"roleRef\":{\"name\":\"two\"}}");
	call_done(f, 201, "POST", ROLES, NULL, "{\"metadata\":{\"name\":\"with:colon UPPER\"}}");
	{
		_cleanup_(json_decrefp) json_t *b = call(f, 200, "GET", BINDINGS "/b", NULL, NULL);

		expect_text(b, "roleRef.apiGroup", "rbac.authorization.k8s.io");
		expect_text(json_array_get(json_object_get(b, "subjects"), 0), "apiGroup",
			    "rbac.authorization.k8s.io");
	}
}

/* ---- built-in roles ---- */

static void restart(Fixture *f)
{
	_cleanup_(xfreep) char *address = xasprintf("unix:%s", f->path);
	ServerOptions options = { .store = f->store, .kinds = f->kinds, .admin_gid = (gid_t)-1 };

	server_stop(f->server, USEC_PER_SEC);
	server_free(f->server);
	assert_int_equal(server_new(&options, &f->server, NULL), 0);
	assert_int_equal(server_listen(f->server, address, NULL), 0);
	assert_int_equal(server_start(f->server, NULL), 0);
}

static void test_built_in_roles_heal(void **state)
{
	Fixture *f = *state;
	int64_t revision;

	call_done(f, 200, "DELETE", RBAC "/clusterroles/view", NULL, NULL);
	call_done(f, 200, "DELETE", RBAC "/clusterrolebindings/system:discovery", NULL, NULL);
	call_done(f, 200, "PATCH", RBAC "/clusterroles/system:aggregate-to-view",
		  "application/merge-patch+json",
		  "{\"rules\":[{\"apiGroups\":[\"mine\"],\"resources\":[\"x\"],\"verbs\":[\"get\"]}"
		  "]}");
	call_done(f, 200, "PATCH", RBAC "/clusterroles/system:aggregate-to-edit",
		  "application/merge-patch+json",
		  "{\"metadata\":{\"annotations\":{\"rbac.authorization.kubernetes.io/"
		  "autoupdate\":\"false\"}},\"rules\":[]}");
	alice(f, 403, "GET", "/api", NULL, NULL);
	restart(f);
	alice(f, 200, "GET", "/api", NULL, NULL);
	{
		_cleanup_(json_decrefp) json_t *view = call(
			f, 200, "GET", RBAC "/clusterroles/system:aggregate-to-view", NULL, NULL);
		_cleanup_(json_decrefp) json_t *edit = call(
			f, 200, "GET", RBAC "/clusterroles/system:aggregate-to-edit", NULL, NULL);
		_cleanup_(xfreep) char *text = json_text(view);

		/* what was added stays, what was missing is back */
		assert_non_null(strstr(text, "\"mine\""));
		assert_non_null(strstr(text, "\"instances\""));
		assert_int_equal(json_array_size(json_object_get(edit, "rules")), 0);
	}
	bind_role(f, "default", "alice", "ClusterRole", "view", "User:" ALICE_NAME);
	alice(f, 200, "GET", INSTANCES, NULL, NULL);
	alice(f, 403, "GET", SECRETS, NULL, NULL);
	/* nothing to heal, nothing written */
	revision = store_revision(f->store);
	restart(f);
	assert_int_equal(store_revision(f->store), revision);
}

/* ---- reviews ---- */

static json_t *review(Fixture *f, int expect, const char *path, const char *spec)
{
	_cleanup_(xfreep) char *body = xasprintf("{\"spec\":{%s}}", spec);

	return call(f, expect, "POST", path, NULL, body);
}

static void test_reviews_of_others(void **state)
{
	Fixture *f = *state;

	make_role(f, "reader", READ_MAPS);
	bind_role(f, "default", "alice", "Role", "reader", "User:alice");
	bind_role(f, "default", "robots", "Role", "reader", "Group:system:serviceaccounts:default");
	{
		_cleanup_(json_decrefp) json_t *yes = review(
			f, 201, REVIEWS "/subjectaccessreviews",
			"\"user\":\"alice\",\"resourceAttributes\":{\"namespace\":\"default\","
			"\"verb\":\"list\",\"resource\":\"configmaps\"}");
		_cleanup_(json_decrefp) json_t *no =
			review(f, 201, REVIEWS "/subjectaccessreviews",
			       "\"user\":\"alice\",\"resourceAttributes\":{\"namespace\":\"other\","
			       "\"verb\":\"list\",\"resource\":\"configmaps\"}");
		/* nobody is authenticated by being asked about */
		_cleanup_(json_decrefp) json_t *api =
			review(f, 201, REVIEWS "/subjectaccessreviews",
			       "\"user\":\"alice\",\"nonResourceAttributes\":{\"path\":\"/api\","
			       "\"verb\":\"get\"}");
		_cleanup_(json_decrefp) json_t *group = review(
			f, 201, REVIEWS "/namespaces/default/localsubjectaccessreviews",
			"\"groups\":[\"system:serviceaccounts:default\"],\"resourceAttributes\":{"
			"\"namespace\":\"default\",\"verb\":\"get\",\"resource\":\"configmaps\"}");

		assert_true(json_bool_at(yes, "status.allowed", false));
		expect_text(yes, "status.reason",
			    "RBAC: allowed by RoleBinding \"alice/default\" of Role \"reader\" to "
			    "User \"alice\"");
		assert_false(json_bool_at(no, "status.allowed", true));
		expect_text(no, "status.reason", NULL);
		assert_false(json_bool_at(api, "status.allowed", true));
		assert_true(json_bool_at(group, "status.allowed", false));
		expect_text(group, "kind", "LocalSubjectAccessReview");
	}
	json_decref(review(f, 422, REVIEWS "/subjectaccessreviews", "\"user\":\"alice\""));
	json_decref(review(f, 422, REVIEWS "/subjectaccessreviews",
			   "\"resourceAttributes\":{\"verb\":\"get\"}"));
	json_decref(review(f, 422, REVIEWS "/selfsubjectaccessreviews", ""));
	json_decref(review(f, 422, REVIEWS "/namespaces/default/localsubjectaccessreviews",
			   "\"user\":\"a\",\"resourceAttributes\":{\"namespace\":\"other\"}"));
	json_decref(review(f, 400, REVIEWS "/selfsubjectrulesreviews", ""));
	alice(f, 403, "POST", REVIEWS "/subjectaccessreviews", NULL, "{}");
	alice(f, 422, "POST", REVIEWS "/selfsubjectaccessreviews", NULL, "{\"spec\":{}}");
}

static void test_own_rules(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *rules = NULL;
	_cleanup_(xfreep) char *text = NULL;

	make_role(f, "reader", READ_MAPS);
	bind_role(f, "default", "alice", "Role", "reader", "User:" ALICE_NAME);
	bind_role(f, "default", "lost", "Role", "lost", "User:" ALICE_NAME);
	rules = expect_as(f, ALICE, 201, "POST", REVIEWS "/selfsubjectrulesreviews", NULL,
			  "{\"spec\":{\"namespace\":\"default\"}}");
	text = json_text(json_object_get(rules, "status"));
	assert_non_null(strstr(text, "{\"verbs\":[\"get\",\"list\"],\"apiGroups\":[\"\"],"
				     "\"resources\":[\"configmaps\"]}"));
	assert_non_null(strstr(text, "\"nonResourceURLs\":[\"/api\""));
	expect_text(rules, "status.evaluationError",
		    "role.rbac.authorization.k8s.io \"lost\" not found");
}

/* ---- the door ---- */

static int code_with(Fixture *f, uid_t uid, const char *target, const char *headers)
{
	HttpClient *c = connect_as(f->path, uid);
	HttpAnswer a;
	int code;

	http_request(c, "GET", target, headers, NULL);
	a = http_read_answer(c);
	code = a.code;
	http_answer_done(&a);
	http_close(c);
	return code;
}

static void test_nobody_is_somebody_else(void **state)
{
	static const char *const impersonations[] = {
		"Impersonate-User: root\r\n",
		"impersonate-group: system:masters\r\n",
		"IMPERSONATE-UID: 0\r\n",
		"Impersonate-Extra-scopes: all\r\n",
	};
	static const char front_proxy[] =
		"X-Remote-User: root\r\nX-Remote-Group: system:masters\r\n"
		"X-Forwarded-User: root\r\n";
	Fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(impersonations); i++) {
		assert_int_equal(code_with(f, 0, SECRETS, impersonations[i]), 403);
		assert_int_equal(code_with(f, 0, "/version", impersonations[i]), 403);
		assert_int_equal(code_with(f, 0, "/nothing", impersonations[i]), 403);
	}
	assert_int_equal(code_with(f, 0, SECRETS, front_proxy), 200);
	assert_int_equal(code_with(f, ALICE, SECRETS, front_proxy), 403);
}

/* A body that nobody will read is taken all the same: the refusal must arrive. */
static void test_refused_with_a_body(void **state)
{
	Fixture *f = *state;
	size_t size = 2 * 1024 * 1024;
	_cleanup_(xfreep) char *body = xmalloc(size + 1);
	HttpClient *c = connect_as(f->path, ALICE);

	memset(body, ' ', size);
	body[size] = '\0';
	for (int i = 0; i < 3; i++) { /* on one connection */
		HttpAnswer a;

		http_request(c, "POST", SECRETS, "Content-Type: application/json\r\n", body);
		a = http_read_answer(c);
		assert_int_equal(a.code, 403);
		http_answer_done(&a);
	}
	http_close(c);
}

/* Everybody may connect, but not fill the house. */
static void test_one_user_takes_not_all_connections(void **state)
{
	Fixture *f = *state;
	HttpClient *c[300];
	size_t open = 0;

	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		HttpAnswer a = { 0 };

		c[i] = connect_as(f->path, ALICE);
		if (!http_is_closed(c[i], 0)) {
			http_request(c[i], "GET", "/version", "", NULL);
			a = http_read_head(c[i]);
		}
		open += a.code == 200;
		http_answer_done(&a);
	}
	assert_int_equal(open, 256);
	call_done(f, 200, "GET", SECRETS, NULL, NULL);
	json_decref(expect_as(f, ALICE + 1, 200, "GET", "/version", NULL, NULL));
	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		http_close(c[i]);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_hint_is_enough),
		TEST(test_hint_without_a_role),
		TEST(test_in_force_at_once),
		TEST(test_binding_before_its_role),
		TEST(test_names),
		TEST(test_own_namespace),
		TEST(test_no_creation_by_the_back_door),
		TEST(test_no_escalation_by_roles),
		TEST(test_no_escalation_by_bindings),
		TEST(test_aggregation_needs_everything),
		TEST(test_no_escalation_by_credentials),
		TEST(test_validation),
		TEST(test_built_in_roles_heal),
		TEST(test_reviews_of_others),
		TEST(test_own_rules),
		TEST(test_nobody_is_somebody_else),
		TEST(test_refused_with_a_body),
		TEST(test_one_user_takes_not_all_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
