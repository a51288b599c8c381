/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ClusterRoles that are put together from others: what their rules become, and when.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "tests/lib/world.h"
#include "json/json.h"

/* A role with a label "part: <part>" and one rule on that resource. */
static void create_part(World *w, const char *name, const char *part, const char *resource)
{
	_cleanup_(xfreep) char *text =
		xasprintf("{'apiVersion':'rbac.authorization.k8s.io/v1','kind':'ClusterRole',"
			  "'metadata':{'name':'%s','labels':{'part':'%s'}},"
			  "'rules':[{'apiGroups':[''],'resources':['%s'],'verbs':['get']}]}",
			  name, part, resource);

	world_create(w, text);
}

static void create_whole(World *w, const char *name, const char *part, const char *selector)
{
	_cleanup_(xfreep) char *text =
		xasprintf("{'apiVersion':'rbac.authorization.k8s.io/v1','kind':'ClusterRole',"
			  "'metadata':{'name':'%s','labels':{'part':'%s'}},"
			  "'aggregationRule':{'clusterRoleSelectors':[%s]}}",
			  name, part, selector);

	world_create(w, text);
}

/* "configmaps,secrets": the resources of its rules, in order. */
static void expect_rules(World *w, const char *name, const char *want)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	_cleanup_(strbuf_done) StrBuf got = STRBUF_INIT;
	json_t *rule;
	size_t i;

	world_settle(w);
	tree = world_get(w, "clusterrole", name);
	assert_non_null(tree);
	json_array_foreach (json_object_get(tree, "rules"), i, rule)
		strbuf_addf(
			&got, "%s%s", i ? "," : "",
			json_string_value(json_array_get(json_object_get(rule, "resources"), 0)));
	assert_string_equal(strbuf_str(&got), want);
}

static void parts_come_and_go(void **state)
{
	World *w = *state;

	create_part(w, "b", "x", "secrets");
	create_whole(w, "whole", "none", "{'matchLabels':{'part':'x'}}");
	expect_rules(w, "whole", "secrets");
	create_part(w, "a", "x", "configmaps");
	create_part(w, "other", "y", "events");
	expect_rules(w, "whole", "configmaps,secrets"); /* by name */
	world_patch(w, "clusterrole", "other", "{'metadata':{'labels':{'part':'x'}}}");
	expect_rules(w, "whole", "configmaps,secrets,events");
	world_patch(w, "clusterrole", "b", "{'metadata':{'labels':{'part':'y'}}}");
	expect_rules(w, "whole", "configmaps,events");
	world_delete(w, "clusterrole", "a");
	expect_rules(w, "whole", "events");
	world_delete(w, "clusterrole", "other");
	expect_rules(w, "whole", "");
}

static void the_same_rule_is_there_once(void **state)
{
	World *w = *state;

	create_part(w, "a", "x", "secrets");
	create_part(w, "b", "x", "secrets");
	create_whole(w, "whole", "none",
		     "{'matchLabels':{'part':'x'}},{'matchExpressions':[{'key':'part',"
		     "'operator':'In','values':['x']}]}");
	expect_rules(w, "whole", "secrets");
}

/* view is part of edit: what view learns reaches edit. And nobody is part of himself. */
static void a_whole_is_part_of_another(void **state)
{
	World *w = *state;

	create_whole(w, "outer", "outer", "{'matchLabels':{'part':'inner'}}");
	create_whole(w, "inner", "inner", "{'matchLabels':{'part':'leaf'}}");
	expect_rules(w, "outer", "");
	create_part(w, "leaf", "leaf", "secrets");
	expect_rules(w, "inner", "secrets");
	expect_rules(w, "outer", "secrets");
}

static void expressions_select(void **state)
{
	World *w = *state;

	create_part(w, "a", "x", "configmaps");
	create_part(w, "b", "y", "secrets");
	create_whole(w, "in", "whole",
		     "{'matchExpressions':[{'key':'part','operator':'In','values':['y','z']}]}");
	create_whole(w, "not-in", "whole",
		     "{'matchExpressions':[{'key':'part','operator':'NotIn',"
		     "'values':['y','whole']}]}");
	create_whole(w, "exists", "whole",
		     "{'matchExpressions':[{'key':'nothing','operator':'Exists'}]}");
	create_whole(w, "absent", "whole",
		     "{'matchLabels':{'part':'x'},"
		     "'matchExpressions':[{'key':'nothing','operator':'DoesNotExist'}]}");
	expect_rules(w, "in", "secrets");
	expect_rules(w, "not-in", "configmaps");
	expect_rules(w, "exists", "");
	expect_rules(w, "absent", "configmaps");
}

/* Rules that somebody wrote by hand into such a role do not stay. */
static void what_is_written_by_hand_is_written_over(void **state)
{
	World *w = *state;

	create_part(w, "a", "x", "configmaps");
	world_create(w, "{'apiVersion':'rbac.authorization.k8s.io/v1','kind':'ClusterRole',"
			"'metadata':{'name':'whole'},'aggregationRule':{'clusterRoleSelectors':"
			"[{'matchLabels':{'part':'x'}}]},"
			"'rules':[{'apiGroups':['*'],'resources':['*'],'verbs':['*']}]}");
	expect_rules(w, "whole", "configmaps");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(parts_come_and_go),
		TEST(the_same_rule_is_there_once),
		TEST(a_whole_is_part_of_another),
		TEST(expressions_select),
		TEST(what_is_written_by_hand_is_written_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
