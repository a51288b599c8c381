/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Target and Route: what paths mean, and which are refused rather than cleaned up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "server/route.h"

static int parse(const char *raw, Target *t)
{
	_cleanup_(error_done) Error err = ERROR_INIT;

	return target_parse(raw, t, &err);
}

static void test_refused(void **state _unused_)
{
	static const char *const bad[] = {
		"",
		"api",
		"//",
		"//api",
		"/api//v1",
		"/api/v1//",
		"/api/./v1",
		"/api/../version",
		"/api/v1/namespaces/a/../b",
		"/api/v1/namespaces/%2e%2e/secrets",
		"/api/v1/namespaces/%2E./secrets",
		"/api/v1/namespaces/a%2fb",
		"/api/v1/namespaces/a%5cb",
		"/api/v1/namespaces/a%00b",
		"/api/v1/namespaces/a%0ab",
		"/api/v1/namespaces/a%",
		"/api/v1/namespaces/a%4",
		"/api/v1/namespaces/a%zz",
		"/version?a=%",
		"/version?a=%00",
		"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17",
	};
	Target t;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (parse(bad[i], &t) != -ERR_INVALID)
			fail_msg("accepted: %s", bad[i]);
		target_done(&t);
	}
}

static void test_query(void **state _unused_)
{
	Target t;

	assert_int_equal(parse("/version/?labelSelector=app+in+(web,db),tier!%3Dx&watch=True&a&f=0"
			       "&g=False&h=&&a=2",
			       &t),
			 0);
	assert_int_equal(t.n_segments, 1);
	assert_string_equal(t.path, "/version/");
	assert_string_equal(target_query(&t, "labelSelector"), "app in (web,db),tier!=x");
	assert_true(target_query_bool(&t, "watch"));
	assert_string_equal(target_query(&t, "a"), "");
	assert_false(target_query_bool(&t, "a"));
	assert_false(target_query_bool(&t, "f"));
	assert_false(target_query_bool(&t, "g"));
	assert_false(target_query_bool(&t, "h"));
	assert_null(target_query(&t, "z"));
	target_done(&t);
}

static void test_too_many_parameters(void **state _unused_)
{
	_cleanup_(xfreep) char *raw = xnew0(char, 16 + 2 * (QUERY_PARAMS_MAX + 1));
	Target t;

	memcpy(raw, "/a?", 4);
	for (int i = 0; i <= QUERY_PARAMS_MAX; i++)
		memcpy(raw + strlen(raw), "x&", 3);
	assert_int_equal(parse(raw, &t), -ERR_INVALID);
	target_done(&t);
}

typedef struct RouteCase {
	const char *path;
	RouteType type;
	const char *group, *version, *namespace, *resource, *name, *sub;
} RouteCase;

static void test_routes(void **state _unused_)
{
	/* clang-format off */
	static const RouteCase cases[] = {
		{ "/", ROUTE_ROOT, "", NULL, NULL, NULL, NULL, NULL },
		{ "/version", ROUTE_VERSION, "", NULL, NULL, NULL, NULL, NULL },
		{ "/version/", ROUTE_VERSION, "", NULL, NULL, NULL, NULL, NULL },
		{ "/version/x", ROUTE_NONE, "", NULL, NULL, NULL, NULL, NULL },
		{ "/livez", ROUTE_HEALTH, "", NULL, NULL, NULL, NULL, NULL },
		{ "/livez/ping", ROUTE_HEALTH, "", NULL, NULL, NULL, NULL, NULL },
		{ "/metrics", ROUTE_METRICS, "", NULL, NULL, NULL, NULL, NULL },
		{ "/api", ROUTE_API, "", NULL, NULL, NULL, NULL, NULL },
		{ "/apis", ROUTE_GROUPS, "", NULL, NULL, NULL, NULL, NULL },
		{ "/apis/shakenfist.io", ROUTE_GROUP, "shakenfist.io", NULL, NULL, NULL, NULL, NULL },
		{ "/api/v1", ROUTE_RESOURCES, "", "v1", NULL, NULL, NULL, NULL },
		{ "/apis/g/v1", ROUTE_RESOURCES, "g", "v1", NULL, NULL, NULL, NULL },
		{ "/openapi/v2", ROUTE_OPENAPI_V2, "", NULL, NULL, NULL, NULL, NULL },
		{ "/openapi/v3", ROUTE_OPENAPI_V3, "", NULL, NULL, NULL, NULL, NULL },
		{ "/openapi/v3/api/v1", ROUTE_OPENAPI_V3_GROUP, "", "v1", NULL, NULL, NULL, NULL },
		{ "/openapi/v3/apis/g/v1", ROUTE_OPENAPI_V3_GROUP, "g", "v1", NULL, NULL, NULL, NULL },
		{ "/api/v1/namespaces", ROUTE_COLLECTION, "", "v1", NULL, "namespaces", NULL, NULL },
		{ "/api/v1/namespaces/a", ROUTE_NAMED, "", "v1", NULL, "namespaces", "a", NULL },
		{ "/api/v1/namespaces/a/status", ROUTE_SUBRESOURCE, "", "v1", NULL, "namespaces", "a", "status" },
		{ "/api/v1/namespaces/a/finalize", ROUTE_SUBRESOURCE, "", "v1", NULL, "namespaces", "a", "finalize" },
		{ "/api/v1/namespaces/a/secrets", ROUTE_COLLECTION, "", "v1", "a", "secrets", NULL, NULL },
		{ "/api/v1/namespaces/a/secrets/s", ROUTE_NAMED, "", "v1", "a", "secrets", "s", NULL },
		{ "/api/v1/secrets", ROUTE_COLLECTION, "", "v1", NULL, "secrets", NULL, NULL },
		{ "/apis/g/v1/namespaces/a/things/t/status", ROUTE_SUBRESOURCE, "g", "v1", "a", "things", "t", "status" },
		{ "/apis/g/v1/namespaces/a/things/t/status/x", ROUTE_NONE, "g", "v1", "a", "things", "t", "status" },
		{ "/apis/g/v1/namespaces/a/status", ROUTE_COLLECTION, "g", "v1", "a", "status", NULL, NULL },
		{ "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", ROUTE_COLLECTION, "authorization.k8s.io", "v1", NULL, "selfsubjectaccessreviews", NULL, NULL },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const RouteCase *c = &cases[i];
		Route r;
		Target t;

		assert_int_equal(parse(c->path, &t), 0);
		r = route_parse(&t);
		if (r.type != c->type || !streq_ptr(r.group, c->group) ||
		    !streq_ptr(r.version, c->version) || !streq_ptr(r.namespace, c->namespace) ||
		    !streq_ptr(r.resource, c->resource) || !streq_ptr(r.name, c->name) ||
		    !streq_ptr(r.subresource, c->sub))
			fail_msg("%s: type %d group %s version %s namespace %s resource %s name %s "
				 "sub %s",
				 c->path, r.type, r.group, r.version, r.namespace, r.resource,
				 r.name, r.subresource);
		target_done(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_too_many_parameters),
		cmocka_unit_test(test_routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
