/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of roles: what one allows, and whether some cover others. Tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "server/rbac.h"
#include "json/json.h"

/* '...' stands for quotes. */
static RuleSet *rules(const char *text)
{
	_cleanup_(xfreep) char *json = xstrdup(text);
	_cleanup_(json_decrefp) json_t *tree = NULL;
	json_error_t error;

	for (char *p = json; *p; p++)
		if (*p == '\'')
			*p = '"';
	tree = json_loads(json, 0, &error);
	if (!tree)
		fail_msg("%s: %s", text, error.text);
	return rule_set_new(tree);
}

typedef struct AllowCase {
	const char *rule;
	const char *verb, *group, *resource, *subresource, *name;
	bool allowed;
} AllowCase;

#define PODS "'apiGroups':[''],'resources':['pods']"

/* clang-format off */
static const AllowCase resource_cases[] = {
	{ "[{'verbs':['get']," PODS "}]", "get", "", "pods", NULL, "a", true },
	{ "[{'verbs':['get']," PODS "}]", "get", "", "pods", NULL, NULL, true },
	{ "[{'verbs':['get']," PODS "}]", "get", "", "pods", "", "a", true },
	{ "[{'verbs':['get']," PODS "}]", "list", "", "pods", NULL, NULL, false },
	{ "[{'verbs':['get']," PODS "}]", "GET", "", "pods", NULL, "a", false },
	{ "[{'verbs':['get']," PODS "}]", "", "", "pods", NULL, "a", false },
	{ "[{'verbs':['get']," PODS "}]", "get", "g", "pods", NULL, "a", false },
	{ "[{'verbs':['get']," PODS "}]", "get", "", "pod", NULL, "a", false },
	{ "[{'verbs':['get']," PODS "}]", "get", "", "podsx", NULL, "a", false },
	/* a subresource is something else */
	{ "[{'verbs':['get']," PODS "}]", "get", "", "pods", "log", "a", false },
	{ "[{'verbs':['get'],'apiGroups':[''],'resources':['pods/log']}]", "get", "", "pods", "log", "a", true },
	{ "[{'verbs':['get'],'apiGroups':[''],'resources':['pods/log']}]", "get", "", "pods", NULL, "a", false },
	{ "[{'verbs':['get'],'apiGroups':[''],'resources':['pods/log']}]", "get", "", "pods", "logs", "a", false },
	{ "[{'verbs':['get'],'apiGroups':[''],'resources':['pods/log']}]", "get", "", "pods", "lo", "a", false },
	{ "[{'verbs':['get'],'apiGroups':[''],'resources':['*/log']}]", "get", "", "pods", "log", "a", true },
	{ "[{'verbs':['get'],'apiGroups':[''],'resources':['*/log']}]", "get", "", "pods", NULL, "a", false },
	{ "[{'verbs':['get'],'apiGroups':[''],'resources':['*/log']}]", "get", "", "pods", "status", "a", false },
	{ "[{'verbs':['get'],'apiGroups':[''],'resources':['pods/*']}]", "get", "", "pods", "log", "a", false },
	{ "[{'verbs':['get'],'apiGroups':[''],'resources':['*']}]", "get", "", "pods", "log", "a", true },
	{ "[{'verbs':['get'],'apiGroups':[''],'resources':['*']}]", "get", "g", "pods", NULL, "a", false },
	{ "[{'verbs':['*'],'apiGroups':['*'],'resources':['*']}]", "anything", "g", "things", "sub", "a", true },
	{ "[{'verbs':['*'],'apiGroups':['*'],'resources':['*']}]", "", "g", "things", NULL, "a", true },
	{ "[{'verbs':['get'],'apiGroups':['g*'],'resources':['pods']}]", "get", "gx", "pods", NULL, "a", false },
	/* names */
	{ "[{'verbs':['get']," PODS ",'resourceNames':['a','b']}]", "get", "", "pods", NULL, "b", true },
	{ "[{'verbs':['get']," PODS ",'resourceNames':['a','b']}]", "get", "", "pods", NULL, "c", false },
	{ "[{'verbs':['list']," PODS ",'resourceNames':['a']}]", "list", "", "pods", NULL, NULL, false },
	{ "[{'verbs':['list']," PODS ",'resourceNames':['a']}]", "list", "", "pods", NULL, "a", true },
	{ "[{'verbs':['create']," PODS ",'resourceNames':['a']}]", "create", "", "pods", NULL, NULL, false },
	{ "[{'verbs':['get']," PODS ",'resourceNames':['*']}]", "get", "", "pods", NULL, "a", false },
	{ "[{'verbs':['get']," PODS ",'resourceNames':[]}]", "get", "", "pods", NULL, "a", true },
	/* what is no rule gives nothing */
	{ "[{'verbs':['*'],'nonResourceURLs':['*']}]", "get", "", "pods", NULL, "a", false },
	{ "[{'verbs':[]," PODS "}]", "get", "", "pods", NULL, "a", false },
	{ "[{'verbs':'get'," PODS "}]", "get", "", "pods", NULL, "a", false },
	{ "[{'verbs':['get'],'apiGroups':[''],'resources':'*'}]", "get", "", "pods", NULL, "a", false },
	{ "[{}]", "get", "", "pods", NULL, "a", false },
	{ "[null]", "get", "", "pods", NULL, "a", false },
};

static const AllowCase path_cases[] = { /* group is the path */
	{ "[{'verbs':['get'],'nonResourceURLs':['/metrics']}]", "get", "/metrics", NULL, NULL, NULL, true },
	{ "[{'verbs':['get'],'nonResourceURLs':['/metrics']}]", "get", "/metrics/", NULL, NULL, NULL, false },
	{ "[{'verbs':['get'],'nonResourceURLs':['/metrics']}]", "post", "/metrics", NULL, NULL, NULL, false },
	{ "[{'verbs':['get'],'nonResourceURLs':['/metrics']}]", "get", "/metricsx", NULL, NULL, NULL, false },
	{ "[{'verbs':['get'],'nonResourceURLs':['/logs/*']}]", "get", "/logs/a/b", NULL, NULL, NULL, true },
	{ "[{'verbs':['get'],'nonResourceURLs':['/logs/*']}]", "get", "/logs", NULL, NULL, NULL, false },
	{ "[{'verbs':['get'],'nonResourceURLs':['/logs*']}]", "get", "/logs", NULL, NULL, NULL, true },
	{ "[{'verbs':['get'],'nonResourceURLs':['/*/x']}]", "get", "/logs/x", NULL, NULL, NULL, false },
	{ "[{'verbs':['get'],'nonResourceURLs':['*']}]", "get", "/anything", NULL, NULL, NULL, true },
	{ "[{'verbs':['get'],'nonResourceURLs':['']}]", "get", "/", NULL, NULL, NULL, false },
	{ "[{'verbs':['*'],'apiGroups':['*'],'resources':['*']}]", "get", "/metrics", NULL, NULL, NULL, false },
};
/* clang-format on */

static void test_allows(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(resource_cases); i++) {
		const AllowCase *c = &resource_cases[i];
		_cleanup_(rule_set_unrefp) RuleSet *set = rules(c->rule);
		const AccessRequest r = { .verb = c->verb,
					  .group = c->group,
					  .resource = c->resource,
					  .subresource = c->subresource,
					  .name = c->name };

		if (rule_allows(&set->rules[0], &r) != c->allowed)
			fail_msg("%s: %s %s/%s/%s %s is %sallowed", c->rule, c->verb, c->group,
				 c->resource, c->subresource ? c->subresource : "",
				 c->name ? c->name : "", c->allowed ? "not " : "");
	}
	for (size_t i = 0; i < ARRAY_SIZE(path_cases); i++) {
		const AllowCase *c = &path_cases[i];
		_cleanup_(rule_set_unrefp) RuleSet *set = rules(c->rule);
		const AccessRequest r = { .verb = c->verb, .path = c->group };

		if (rule_allows(&set->rules[0], &r) != c->allowed)
			fail_msg("%s: %s %s is %sallowed", c->rule, c->verb, c->group,
				 c->allowed ? "not " : "");
	}
}

/* clang-format off */
static const struct {
	const char *held, *wanted;
	const char *missing; /* NULL = covered */
} cover_cases[] = {
	{ "[{'verbs':['get','list']," PODS "}]", "[{'verbs':['get']," PODS "}]", NULL },
	{ "[{'verbs':['get']," PODS "}]", "[{'verbs':['get','list','watch']," PODS "}]",
	  "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"list\" \"watch\"]}" },
	{ "[{'verbs':['get']," PODS "},{'verbs':['list']," PODS "}]", "[{'verbs':['get','list']," PODS "}]", NULL },
	{ "[{'verbs':['*'],'apiGroups':['*'],'resources':['*']}]", "[{'verbs':['x'],'apiGroups':['g'],'resources':['t/u']}]", NULL },
	{ "[{'verbs':['get','list','watch','create','update','patch','delete','deletecollection']," PODS "}]",
	  "[{'verbs':['*']," PODS "}]", "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"*\"]}" },
	{ "[{'verbs':['get']," PODS "}]", "[{'verbs':['get'],'apiGroups':[''],'resources':['*']}]",
	  "{APIGroups:[\"\"], Resources:[\"*\"], Verbs:[\"get\"]}" },
	{ "[{'verbs':['get'],'apiGroups':[''],'resources':['*/log']}]", "[{'verbs':['get'],'apiGroups':[''],'resources':['pods/log']}]", NULL },
	{ "[{'verbs':['get'],'apiGroups':[''],'resources':['pods/log']}]", "[{'verbs':['get'],'apiGroups':[''],'resources':['*/log']}]",
	  "{APIGroups:[\"\"], Resources:[\"*/log\"], Verbs:[\"get\"]}" },
	{ "[{'verbs':['get']," PODS "}]", "[{'verbs':['get']," PODS ",'resourceNames':['a']}]", NULL },
	{ "[{'verbs':['get']," PODS ",'resourceNames':['a']}]", "[{'verbs':['get']," PODS "}]",
	  "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"get\"]}" },
	{ "[{'verbs':['get']," PODS ",'resourceNames':['a']}]", "[{'verbs':['get']," PODS ",'resourceNames':['a','b']}]",
	  "{APIGroups:[\"\"], Resources:[\"pods\"], ResourceNames:[\"b\"], Verbs:[\"get\"]}" },
	{ "[{'verbs':['get'],'nonResourceURLs':['/a/*']}]", "[{'verbs':['get'],'nonResourceURLs':['/a/b','/a/c/*']}]", NULL },
	{ "[{'verbs':['get'],'nonResourceURLs':['/a/b']}]", "[{'verbs':['get'],'nonResourceURLs':['/a/*']}]",
	  "{NonResourceURLs:[\"/a/*\"], Verbs:[\"get\"]}" },
	{ "[{'verbs':['*'],'apiGroups':['*'],'resources':['*']}]", "[{'verbs':['get'],'nonResourceURLs':['/a']}]",
	  "{NonResourceURLs:[\"/a\"], Verbs:[\"get\"]}" },
	{ "[]", "[]", NULL },
	{ "[]", "[{'verbs':['get'],'apiGroups':['a','b'],'resources':['x']}]",
	  "{APIGroups:[\"a\"], Resources:[\"x\"], Verbs:[\"get\"]}\n{APIGroups:[\"b\"], Resources:[\"x\"], Verbs:[\"get\"]}" },
};
/* clang-format on */

static void test_covers(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(cover_cases); i++) {
		_cleanup_(rule_set_unrefp) RuleSet *held = rules(cover_cases[i].held);
		_cleanup_(rule_set_unrefp) RuleSet *wanted = rules(cover_cases[i].wanted);
		_cleanup_(json_decrefp) json_t *missing = json_array();
		_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT;
		const RuleSets sets = { .items = &held, .n = 1 };
		int rc = rules_cover(&sets, wanted, missing);
		json_t *rule;
		size_t k;

		json_array_foreach (missing, k, rule) {
			strbuf_adds(&text, k ? "\n" : "");
			rule_describe(rule, &text);
		}
		assert_int_equal(rc, cover_cases[i].missing ? 0 : 1);
		assert_string_equal(strbuf_str(&text),
				    cover_cases[i].missing ? cover_cases[i].missing : "");
	}
}

/* A rule that multiplies out to more than anybody means is not worth a processor. */
static void test_too_many(void **state _unused_)
{
	json_t *words = json_array();
	_cleanup_(json_decrefp) json_t *tree = NULL;
	_cleanup_(rule_set_unrefp) RuleSet *wanted = NULL, *held = NULL;
	const RuleSets sets = { .items = &held, .n = 1 };

	for (int i = 0; i < 300; i++) {
		_cleanup_(xfreep) char *word = xasprintf("w%d", i);

		json_array_append_new(words, json_string(word));
	}
	tree = json_pack("[{s:O, s:O, s:o}]", "verbs", words, "apiGroups", words, "resources",
			 words);
	wanted = rule_set_new(tree);
	held = rules("[{'verbs':['*'],'apiGroups':['*'],'resources':['*']}]");
	assert_int_equal(rules_cover(&sets, wanted, NULL), -ERR_EXHAUSTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allows),
		cmocka_unit_test(test_covers),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
