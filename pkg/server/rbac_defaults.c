/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The built-in roles: view, edit, admin and cluster-admin for people, a few system: roles that make
 * clients work, and their bindings. Seeded at start; what somebody took away is put back, what was
 * added stays. view, edit and admin are put together from labelled roles, so that whoever defines a
 * kind of his own adds a labelled role and these three know it.
 *
 * No role for people writes a status, a Credential or what the cloud keeps for itself. As in
 * Kubernetes, view reads logs and no Secret; the console, where one types, is for edit. The main
 * thread, before requests.
 */
#include "base/log.h"
#include "base/memory.h"
#include "server/rbac.h"
#include "json/json.h"

#define SEED_DEADLINE (30 * USEC_PER_SEC)

#define LABEL_BOOTSTRAPPING   "kubernetes.io/bootstrapping"
#define ANNOTATION_AUTOUPDATE "rbac.authorization.kubernetes.io/autoupdate"
#define LABEL_AGGREGATE       RBAC_GROUP "/aggregate-to-"

/* Lists with commas. */
typedef struct DefaultRule {
	const char *verbs, *group, *resources, *urls; /* resources of one group, or urls */
} DefaultRule;

typedef struct DefaultRole {
	const char *name;
	const char *part_of;    /* aggregated to this role; NULL = to none */
	const char *aggregates; /* put together from what is part of this; NULL = has rules */
	const DefaultRule *rules;
} DefaultRole;

#define READ      "get,list,watch"
#define WRITE     "create,delete,deletecollection,patch,update"
#define ALL_VERBS READ "," WRITE
#define OURS      "shakenfist.io"
#define CORE      ""
#define PUBLIC    "/healthz,/livez,/readyz,/version,/version/"

/* clang-format off */
#define ON(group_, verbs_, resources_) { .verbs = verbs_, .group = group_, .resources = resources_ }
#define AT(verbs_, urls_)              { .verbs = verbs_, .urls = urls_ }
#define END                            { .verbs = NULL }

static const DefaultRule everything[] = {
	ON("*", "*", "*"),
	AT("*", "*"),
	END
};

static const DefaultRule discovery[] = {
	AT("get", "/api,/api/*,/apis,/apis/*,/openapi,/openapi/*," PUBLIC),
	END
};

static const DefaultRule public_info[] = {
	AT("get", PUBLIC),
	END
};

static const DefaultRule basic_user[] = {
	ON("authorization.k8s.io",  "create", "selfsubjectaccessreviews,selfsubjectrulesreviews"),
	ON("authentication.k8s.io", "create", "selfsubjectreviews"),
	END
};

static const DefaultRule monitoring[] = {
	AT("get", "/healthz,/healthz/*,/livez,/livez/*,/metrics,/metrics/*,/readyz,/readyz/*"),
	END
};

static const DefaultRule to_view[] = {
	ON(OURS, READ,  "images,images/status,instances,instances/status,networks,networks/status"),
	ON(OURS, READ,  "nodes,nodes/status"),
	ON(OURS, "get", "instances/log"),
	ON(CORE, READ,  "configmaps,events,namespaces,namespaces/status,pods,pods/status"),
	ON(CORE, READ,  "resourcequotas,resourcequotas/status,services"),
	ON(CORE, "get", "pods/log"),
	ON("events.k8s.io", READ, "events"),
	END
};

static const DefaultRule to_edit[] = {
	ON(OURS, WRITE,        "images,instances,networks"),
	ON(OURS, "create",     "instances/pause,instances/restart,instances/resume,instances/start"),
	ON(OURS, "create",     "instances/stop"),
	ON(OURS, "create,get", "instances/console,instances/portforward"),
	ON(CORE, ALL_VERBS,    "secrets"),
	ON(CORE, WRITE,        "configmaps,events"),
	ON(CORE, "create,get", "pods/attach,pods/exec,pods/portforward"),
	ON("events.k8s.io", WRITE, "events"),
	ON("coordination.k8s.io", ALL_VERBS, "leases"),
	END
};

static const DefaultRule to_admin[] = {
	ON(RBAC_GROUP, ALL_VERBS, "rolebindings,roles"),
	ON("authorization.k8s.io", "create", "localsubjectaccessreviews"),
	END
};

/* Parts before what is put together from them, and the parts of one by name: a new store has
 * complete rules at once, in the order in which their controller writes them. */
static const DefaultRole roles[] = {
	/* name                        part of  aggregates  rules */
	{ "cluster-admin",             NULL,    NULL,       everything  },
	{ "system:basic-user",         NULL,    NULL,       basic_user  },
	{ "system:discovery",          NULL,    NULL,       discovery   },
	{ "system:monitoring",         NULL,    NULL,       monitoring  },
	{ "system:public-info-viewer", NULL,    NULL,       public_info },
	{ "system:aggregate-to-edit",  "edit",  NULL,       to_edit     },
	{ "system:aggregate-to-view",  "view",  NULL,       to_view     },
	{ "view",                      "edit",  "view",     NULL        },
	{ "edit",                      "admin", "edit",     NULL        },
	{ "system:aggregate-to-admin", "admin", NULL,       to_admin    },
	{ "admin",                     NULL,    "admin",    NULL        },
};
/* clang-format on */

static const struct {
	const char *name;   /* of the role too */
	const char *groups; /* with commas */
} bindings[] = {
	{"cluster-admin",              "system:masters"                             },
	{ "system:basic-user",         "system:authenticated"                       },
	{ "system:discovery",          "system:authenticated"                       },
	{ "system:monitoring",         "system:monitoring"                          },
	{ "system:public-info-viewer", "system:authenticated,system:unauthenticated"},
};

/* ---- as JSON ---- */

static json_t *list_of(const char *words)
{
	_cleanup_(strv_freep) char **v = strv_split(words, ',');
	json_t *list = json_array();

	strv_foreach (word, v)
		json_array_append_new(list, json_string(*word));
	return list;
}

static json_t *rules_of(const DefaultRule *rules)
{
	json_t *list = json_array();

	for (; rules && rules->verbs; rules++)
		json_array_append_new(
			list,
			json_pack("{s:o*, s:o*, s:o*, s:o}", "apiGroups",
				  rules->group ? json_pack("[s]", rules->group) : NULL, "resources",
				  rules->resources ? list_of(rules->resources) : NULL,
				  "nonResourceURLs", rules->urls ? list_of(rules->urls) : NULL,
				  "verbs", list_of(rules->verbs)));
	return list;
}

static json_t *new_object(const char *kind, const char *name)
{
	return json_pack("{s:s, s:s, s:{s:s, s:{s:s}, s:{s:s}}}", "apiVersion", RBAC_GROUP "/v1",
			 "kind", kind, "metadata", "name", name, "labels", LABEL_BOOTSTRAPPING,
			 "rbac-defaults", "annotations", ANNOTATION_AUTOUPDATE, "true");
}

static json_t *role_tree(const DefaultRole *role)
{
	json_t *tree = new_object("ClusterRole", role->name);

	if (role->part_of) {
		_cleanup_(xfreep) char *label = xasprintf(LABEL_AGGREGATE "%s", role->part_of);

		json_object_set_new(json_at(tree, "metadata.labels"), label, json_string("true"));
	}
	if (role->aggregates) {
		_cleanup_(xfreep) char *label = xasprintf(LABEL_AGGREGATE "%s", role->aggregates);

		json_object_set_new(tree, "aggregationRule",
				    json_pack("{s:[{s:{s:s}}]}", "clusterRoleSelectors",
					      "matchLabels", label, "true"));
	}
	json_object_set_new(tree, "rules", rules_of(role->rules));
	return tree;
}

static json_t *subject_of(const char *group)
{
	return json_pack("{s:s, s:s, s:s}", "kind", "Group", "apiGroup", RBAC_GROUP, "name", group);
}

static json_t *binding_tree(const char *name, const char *groups)
{
	_cleanup_(strv_freep) char **v = strv_split(groups, ',');
	json_t *tree = new_object("ClusterRoleBinding", name), *subjects = json_array();

	strv_foreach (group, v)
		json_array_append_new(subjects, subject_of(*group));
	json_object_set_new(tree, "subjects", subjects);
	json_object_set_new(tree, "roleRef",
			    json_pack("{s:s, s:s, s:s}", "apiGroup", RBAC_GROUP, "kind",
				      "ClusterRole", "name", name));
	return tree;
}

/* ---- repairing ---- */

/* Members of `from` that `to` lacks; what is there stays as it is. */
static void add_members(json_t *to, const char *member, const json_t *from)
{
	json_t *mine = json_object_get(to, member), *v;
	const char *key;

	if (!json_is_object(mine)) {
		json_object_set_new(to, member, json_deep_copy(from));
		return;
	}
	json_object_foreach ((json_t *)from, key, v)
		if (!json_object_get(mine, key))
			json_object_set(mine, key, v);
}

static void add_items(json_t *tree, const char *member, const json_t *items)
{
	json_t *mine = json_object_get(tree, member);

	if (!json_is_array(mine)) {
		mine = json_array();
		json_object_set_new(tree, member, mine);
	}
	json_array_extend(mine, (json_t *)items);
}

static void repair_rules(json_t *tree, const json_t *wanted_rules)
{
	_cleanup_(rule_set_unrefp) RuleSet *wanted = rule_set_new(wanted_rules);
	_cleanup_(rule_set_unrefp) RuleSet *have = rule_set_new(json_object_get(tree, "rules"));
	_cleanup_(json_decrefp) json_t *missing = json_array();
	const RuleSets held = { .items = &have, .n = 1 };

	if (rules_cover(&held, wanted, missing) != 1)
		add_items(tree, "rules", missing);
}

static void repair_subjects(json_t *tree, const json_t *wanted)
{
	json_t *s;
	size_t i;

	json_array_foreach (wanted, i, s) {
		const json_t *mine = json_object_get(tree, "subjects");
		bool found = false;
		json_t *m;
		size_t k;

		json_array_foreach (mine, k, m)
			found |= json_equal(m, s);
		if (!found) {
			_cleanup_(json_decrefp) json_t *one = json_pack("[O]", s);

			add_items(tree, "subjects", one);
		}
	}
}

/* What the stored one should be; the caller compares. A role that is put together keeps the rules
 * that its controller wrote. */
static json_t *repaired(const json_t *stored, const json_t *wanted)
{
	json_t *tree = json_deep_copy(stored), *metadata = json_object_get(tree, "metadata");

	add_members(metadata, "labels", json_at(wanted, "metadata.labels"));
	add_members(metadata, "annotations", json_at(wanted, "metadata.annotations"));
	if (json_object_get(wanted, "aggregationRule"))
		json_object_set(tree, "aggregationRule",
				json_object_get(wanted, "aggregationRule"));
	else if (json_object_get(wanted, "rules"))
		repair_rules(tree, json_object_get(wanted, "rules"));
	if (json_object_get(wanted, "subjects"))
		repair_subjects(tree, json_object_get(wanted, "subjects"));
	return tree;
}

static bool is_left_alone(const json_t *stored)
{
	return streq_ptr(json_string_value(json_object_get(json_at(stored, "metadata.annotations"),
							   ANNOTATION_AUTOUPDATE)),
			 "false");
}

/* A binding of another role under this name is none of ours, and no update can change it. */
static int replace_binding(Store *store, Context *ctx, Object *stored, const Key *key,
			   const json_t *wanted, Error *err)
{
	_cleanup_(txn_freep) Txn *gone = txn_new();
	_cleanup_(txn_freep) Txn *made = txn_new();
	int rc;

	txn_delete(gone, stored, &(DeleteOptions){ .grace_period_seconds = -1 });
	rc = store_commit(store, ctx, gone, NULL, err);
	if (rc < 0)
		return rc;
	txn_create(made, key, wanted, false);
	return store_commit(store, ctx, made, NULL, err);
}

static int seed(Store *store, Context *ctx, const char *resource, json_t *wanted, Error *err)
{
	_cleanup_(json_decrefp) json_t *steal = wanted, *old = NULL, *tree = NULL;
	_cleanup_(object_unrefp) Object *stored = NULL;
	_cleanup_(txn_freep) Txn *t = NULL;
	Key key = key_make(group_resource(RBAC_GROUP, resource), "",
			   json_string_at(steal, "metadata.name"));
	int rc = store_get(store, &key, &stored, err);

	if (rc == -ERR_NOT_FOUND) {
		(void)error_ignore(err);
		t = txn_new();
		txn_create(t, &key, wanted, false);
		return store_commit(store, ctx, t, NULL, err);
	}
	if (rc < 0)
		return rc;
	old = object_decode(stored);
	if (is_left_alone(old))
		return 0;
	if (json_object_get(wanted, "roleRef") &&
	    !json_equal(json_object_get(old, "roleRef"), json_object_get(wanted, "roleRef")))
		return replace_binding(store, ctx, stored, &key, wanted, err);
	tree = repaired(old, wanted);
	if (json_equal(tree, old))
		return 0;
	log_notice("repair built-in %s %s", resource, key.name);
	t = txn_new();
	txn_update(t, stored, tree);
	return store_commit(store, ctx, t, NULL, err);
}

/* Rules of the parts that are in the store by now, in the order of their names. */
static void put_together(Store *store, const DefaultRole *role, json_t *tree)
{
	json_t *rules = json_object_get(tree, "rules");

	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		_cleanup_(object_unrefp) Object *part = NULL;
		_cleanup_(json_decrefp) json_t *part_tree = NULL;
		Key key = key_make(group_resource(RBAC_GROUP, "clusterroles"), "", roles[i].name);

		if (!streq_ptr(roles[i].part_of, role->aggregates) ||
		    store_get(store, &key, &part, NULL) < 0)
			continue;
		part_tree = object_decode(part);
		json_array_extend(rules, json_object_get(part_tree, "rules"));
	}
}

int rbac_seed(Store *store, Error *err)
{
	Context ctx = CONTEXT_BACKGROUND;
	int rc = 0;

	ctx = context_with_timeout(&ctx, SEED_DEADLINE);

	for (size_t i = 0; i < ARRAY_SIZE(roles) && rc >= 0; i++) {
		json_t *tree = role_tree(&roles[i]);

		if (roles[i].aggregates)
			put_together(store, &roles[i], tree);
		rc = seed(store, &ctx, "clusterroles", tree, err);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bindings) && rc >= 0; i++)
		rc = seed(store, &ctx, "clusterrolebindings",
			  binding_tree(bindings[i].name, bindings[i].groups), err);
	return rc < 0 ? error_wrap_rc(err, rc, "built-in roles") : 0;
}
