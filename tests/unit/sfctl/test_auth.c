/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl auth, and how roles and bindings are described.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/sfctl/lib_run.h"

#define AUTHORIZATION "/apis/authorization.k8s.io/v1"
#define RBAC          "/apis/rbac.authorization.k8s.io/v1"

static void test_can_i(void **state _unused_)
{
	/* clang-format off */
	static const struct {
		const char *line, *asked, *answer;
		int code;
		const char *out, *err;
	} cases[] = {
		{ "auth can-i create vm",
		  "{\"spec\":{\"resourceAttributes\":{\"verb\":\"create\",\"resource\":\"instances\","
		  "\"group\":\"shakenfist.io\",\"version\":\"v1alpha1\",\"namespace\":\"default\"}}}",
		  "{\"status\":{\"allowed\":true,\"reason\":\"RBAC: allowed by x\"}}", EXIT_OK, "yes\n", "" },
		{ "auth can-i get vm/web --subresource=console -n lab",
		  "\"name\":\"web\",\"subresource\":\"console\",\"namespace\":\"lab\"",
		  "{\"status\":{\"allowed\":false}}", EXIT_FAILED, "no\n", "" },
		{ "auth can-i list nodes",
		  "\"resource\":\"nodes\",\"group\":\"shakenfist.io\",\"version\":\"v1alpha1\"}}",
		  "{\"status\":{\"allowed\":false,\"reason\":\"RBAC: a role is missing\"}}", EXIT_FAILED,
		  "no - RBAC: a role is missing\n", "" },
		{ "auth can-i * * -A", "{\"verb\":\"*\",\"resource\":\"*\",\"group\":\"*\"}",
		  "{\"status\":{\"allowed\":true}}", EXIT_OK, "yes\n", "" },
		{ "auth can-i get /metrics -q",
		  "{\"nonResourceAttributes\":{\"verb\":\"get\",\"path\":\"/metrics\"}}",
		  "{\"status\":{\"allowed\":false}}", EXIT_FAILED, "", "" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		HttpRule rule = HTTP_RULE(.method = "POST",
					  .path = AUTHORIZATION "/selfsubjectaccessreviews",
					  .code = 201, .body = cases[i].answer);
		HttpFake *f = http_fake_start(&rule, 1);
		_cleanup_(run_done) Run r = sfctl(f, cases[i].line);

		run_expect(&r, cases[i].code, cases[i].out, cases[i].err);
		if (!strstr(r.log, cases[i].asked))
			fail_msg("%s asked: %s", cases[i].line, r.log);
		http_fake_stop(f);
	}
}

static void test_list(void **state _unused_)
{
	HttpRule rule =
		HTTP_RULE(.path = AUTHORIZATION "/selfsubjectrulesreviews", .code = 201,
			  .body = "{\"status\":{\"incomplete\":false,\"resourceRules\":[{\"verbs\":"
				  "[\"get\","
				  "\"list\"],\"apiGroups\":[\"shakenfist.io\"],\"resources\":["
				  "\"instances\","
				  "\"instances/"
				  "log\"],\"resourceNames\":[\"web\"]},{\"verbs\":[\"*\"],"
				  "\"apiGroups\":[\"\"],\"resources\":[\"secrets\"]}],"
				  "\"nonResourceRules\":"
				  "[{\"verbs\":[\"get\"],\"nonResourceURLs\":[\"/api/*\",\"/"
				  "livez\"]},"
				  /* Two roles may say the same. */
				  "{\"verbs\":[\"get\"],\"nonResourceURLs\":[\"/livez\"]}]}}");
	HttpFake *f = http_fake_start(&rule, 1);
	_cleanup_(run_done) Run r = sfctl(f, "auth can-i --list");

	run_expect(&r, EXIT_OK,
		   "RESOURCE OR PATH              NAMES   VERBS\n"
		   "instances.shakenfist.io       web     get list\n"
		   "instances.shakenfist.io/log   web     get list\n"
		   "secrets                               *\n"
		   "/api/*                                get\n"
		   "/livez                                get\n",
		   "");
	http_fake_stop(f);
}

static void test_whoami(void **state _unused_)
{
	HttpRule rule =
		HTTP_RULE(.path = "/apis/authentication.k8s.io/v1/selfsubjectreviews", .code = 201,
			  .body = "{\"status\":{\"userInfo\":{\"username\":\"alice\",\"groups\":["
				  "\"dev\","
				  "\"system:authenticated\"]}}}");
	HttpFake *f = http_fake_start(&rule, 1);
	_cleanup_(run_done) Run r = sfctl(f, "auth whoami");

	run_expect(&r, EXIT_OK,
		   "USER    GROUPS\n"
		   "alice   dev system:authenticated\n",
		   "");
	http_fake_stop(f);
}

static void test_usage(void **state _unused_)
{
	static const char *const lines[] = { "auth",
					     "auth whoami x",
					     "auth can-i",
					     "auth can-i get",
					     "auth can-i get vm web more",
					     "auth can-i --list get",
					     "auth whoami -o name" };

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_(run_done) Run r = sfctl(NULL, lines[i]);

		assert_int_equal(r.code, EXIT_USAGE);
	}
}

static void test_describe(void **state _unused_)
{
	HttpRule rules[] = {
		HTTP_RULE(.path = RBAC "/clusterroles/view",
			  .body = "{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":"
				  "\"ClusterRole\",\"metadata\":{\"name\":\"view\"},\"rules\":"
				  "[{\"verbs\":[\"get\"],\"apiGroups\":[\"\"],\"resources\":"
				  "[\"secrets\"]}]}"),
		HTTP_RULE(.path = RBAC "/namespaces/default/rolebindings/b",
			  .body = "{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":"
				  "\"RoleBinding\",\"metadata\":{\"name\":\"b\",\"namespace\":"
				  "\"default\"},\"roleRef\":{\"kind\":\"ClusterRole\",\"name\":"
				  "\"view\"},\"subjects\":[{\"kind\":\"User\",\"name\":\"alice\"}]"
				  "}"),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run role = sfctl(f, "describe clusterrole view --show-events=false");
	_cleanup_(run_done) Run binding = sfctl(f, "describe rolebinding b --show-events=false");

	assert_non_null(strstr(role.out, "\nRules:\n"
					 "  RESOURCE OR PATH   NAMES   VERBS\n"
					 "  secrets                    get\n"));
	assert_non_null(strstr(binding.out, "\nRole:         ClusterRole/view\n"
					    "\nSubjects:\n"
					    "  KIND   NAME    NAMESPACE\n"
					    "  User   alice\n"));
	assert_null(strstr(role.out, "Other:"));
	assert_null(strstr(binding.out, "Other:"));
	http_fake_stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_can_i),    cmocka_unit_test(test_list),
		cmocka_unit_test(test_whoami),   cmocka_unit_test(test_usage),
		cmocka_unit_test(test_describe),
	};

	run_prepare();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
