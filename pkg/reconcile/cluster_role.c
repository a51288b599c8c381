/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ClusterRole controller: the rules of a ClusterRole with an aggregationRule are those of all that
 * it selects, in the order of their names, each once.
 *
 * One role may be part of many, and a part of another in turn, so every change of any role asks for
 * the same thing: one look at all of them. That is the key named ALL_ROLES; the roles' own keys
 * only lead to it. Runs on controller workers; only the store.
 */
#include "base/failpoint.h"
#include "base/memory.h"
#include "reconcile/internal.h"

#define ALL_ROLES "/all" /* no role can have this name */

static const GroupResource *cluster_roles(void)
{
	return group_resource("rbac.authorization.k8s.io", "clusterroles");
}

/* ---- selecting ---- */

static bool value_is_among(const json_t *values, const char *value)
{
	json_t *v;
	size_t i;

	json_array_foreach (values, i, v)
		if (streq_ptr(json_string_value(v), value))
			return true;
	return false;
}

static bool expression_holds(const json_t *e, const Object *o)
{
	const char *key = json_string_at(e, "key"), *operator= json_string_at(e, "operator");
	const char *label = key ? object_label(o, key) : NULL;
	const json_t *values = json_object_get(e, "values");

	if (!key || !operator)
		return false;
	if (streq(operator, "In"))
		return label && value_is_among(values, label);
	if (streq(operator, "NotIn"))
		return !label || !value_is_among(values, label);
	if (streq(operator, "Exists"))
		return label != NULL;
	return streq(operator, "DoesNotExist") && !label;
}

/* An empty selector selects everything. */
static bool is_selected(const json_t *selector, const Object *o)
{
	json_t *e, *value;
	const char *key;
	size_t i;

	json_object_foreach (json_object_get(selector, "matchLabels"), key, value)
		if (!streq_ptr(object_label(o, key), json_string_value(value)))
			return false;
	json_array_foreach (json_object_get(selector, "matchExpressions"), i, e)
		if (!expression_holds(e, o))
			return false;
	return true;
}

/* ---- putting together ---- */

static void add_rules(json_t *rules, Hashmap *known, const json_t *more)
{
	json_t *rule;
	size_t i;

	json_array_foreach (more, i, rule) {
		_cleanup_(xfreep) char *text = json_text(rule);

		if (hashmap_contains(known, text))
			continue;
		hashmap_put(known, text, rules);
		json_array_append(rules, rule);
	}
}

/* trees[i] is all->items[i], decoded. */
static json_t *aggregate(const ObjectList *all, json_t *const *trees, size_t self)
{
	const json_t *selectors = json_at(trees[self], "aggregationRule.clusterRoleSelectors");
	_cleanup_(hashmap_freep) Hashmap *known = hashmap_new(NULL);
	json_t *rules = json_array(), *selector;
	size_t s;

	json_array_foreach (selectors, s, selector)
		for (size_t i = 0; i < all->n; i++)
			if (i != self && is_selected(selector, all->items[i]))
				add_rules(rules, known, json_object_get(trees[i], "rules"));
	return rules;
}

static bool same_rules(const json_t *a, const json_t *b)
{
	return (json_array_size(a) == 0 && json_array_size(b) == 0) || json_equal(a, b);
}

/* What changes here comes back as a change of that role, and so reaches those it is part of. */
static int aggregate_all(Reconcilers *r, Context *ctx, const ObjectList *all, json_t *const *trees,
			 Error *err)
{
	int rc = 0;

	for (size_t i = 0; i < all->n && rc >= 0; i++) {
		_cleanup_(json_decrefp) json_t *rules = NULL;
		_cleanup_(txn_freep) Txn *t = NULL;

		if (!json_is_object(json_object_get(trees[i], "aggregationRule")))
			continue;
		rules = aggregate(all, trees, i);
		if (same_rules(rules, json_object_get(trees[i], "rules")))
			continue;
		json_object_set(trees[i], "rules", rules);
		t = txn_new();
		txn_update(t, all->items[i], trees[i]);
		rc = FAIL_POINT_AROUND("clusterrole.aggregate",
				       store_commit(r->env.store, ctx, t, NULL, err));
		if (rc < 0)
			error_wrap(err, "rules of cluster role %s",
				   object_key(all->items[i])->name);
	}
	return rc;
}

static int cluster_role_reconcile(void *self, Context *ctx, const Key *key, Result *ret _unused_,
				  Error *err)
{
	_cleanup_(object_list_freep) ObjectList *all = NULL;
	Reconcilers *r = self;
	json_t **trees;
	int rc;

	if (!streq(key->name, ALL_ROLES)) {
		Key every = key_make(cluster_roles(), "", ALL_ROLES);

		manager_enqueue(r->env.manager, &every);
		return 0;
	}
	rc = store_list(r->env.store, &(ListOptions){ .gr = cluster_roles() }, &all, err);
	if (rc < 0)
		return rc;
	trees = xnew0(json_t *, all->n + 1);
	for (size_t i = 0; i < all->n; i++)
		trees[i] = object_decode_lean(all->items[i]);
	rc = aggregate_all(r, ctx, all, trees, err);
	for (size_t i = 0; i < all->n; i++)
		json_decref(trees[i]);
	free(trees);
	return rc;
}

ControllerSpec cluster_role_controller(void)
{
	static const Trigger triggers[] = { { NULL } };

	return (ControllerSpec){ .name = "clusterrole",
				 .gr = cluster_roles(),
				 .workers = 1,
				 .triggers = triggers,
				 .reconcile = cluster_role_reconcile };
}
