/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Discovery, OpenAPI, tables, reviews, health and metrics: what clients ask before they do
 * anything.
 */
#include "tests/contract/server/fixture.h"

#define TABLE \
	"Accept: application/json;as=Table;v=v1;g=meta.k8s.io," \
	"application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json\r\n"

static HttpAnswer get(Fixture *f, const char *target, const char *headers)
{
	HttpClient *c = http_connect(f->path);
	HttpAnswer a;

	http_request(c, "GET", target, headers, NULL);
	a = http_read_answer(c);
	http_close(c);
	return a;
}

/* The entry of a list whose member `name` is `value`. */
static const json_t *entry(const json_t *list, const char *name, const char *value)
{
	const json_t *item;
	size_t i;

	json_array_foreach (list, i, item)
		if (streq_ptr(json_string_at(item, name), value))
			return item;
	return NULL;
}

static void test_legacy(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *api = call(f, 200, "GET", "/api", NULL, NULL);
	_cleanup_(json_decrefp) json_t *groups = call(f, 200, "GET", "/apis", NULL, NULL);
	_cleanup_(json_decrefp) json_t *group =
		call(f, 200, "GET", "/apis/shakenfist.io", NULL, NULL);
	_cleanup_(json_decrefp) json_t *core = call(f, 200, "GET", "/api/v1", NULL, NULL);
	_cleanup_(json_decrefp) json_t *ours = call(f, 200, "GET", API_GROUP, NULL, NULL);
	const json_t *instances = entry(json_object_get(ours, "resources"), "name", "instances");

	expect_text(api, "kind", "APIVersions");
	assert_non_null(entry(json_object_get(groups, "groups"), "name", "shakenfist.io"));
	assert_non_null(entry(json_object_get(groups, "groups"), "name", "apiextensions.k8s.io"));
	expect_text(group, "kind", "APIGroup");
	expect_text(group, "preferredVersion.groupVersion", "shakenfist.io/v1alpha1");
	assert_non_null(entry(json_object_get(core, "resources"), "name", "namespaces"));
	assert_non_null(entry(json_object_get(core, "resources"), "name", "secrets"));
	assert_non_null(entry(json_object_get(core, "resources"), "name", "events"));
	expect_text(instances, "kind", "Instance");
	assert_int_equal(json_array_size(json_object_get(instances, "verbs")), 8);
	assert_non_null(entry(json_object_get(ours, "resources"), "name", "instances/status"));
	assert_non_null(entry(json_object_get(ours, "resources"), "name", "instances/start"));
	call_fails(f, 404, "NotFound", "GET", "/apis/none.example", NULL, NULL);
	call_fails(f, 404, "NotFound", "GET", "/apis/shakenfist.io/v9", NULL, NULL);
	/* Internal records are nobody's. */
	call_fails(f, 404, "NotFound", "GET", "/apis/internal.shakenfist.io/v1", NULL, NULL);
}

static void test_aggregated(void **state)
{
	static const char *const accepts[] = {
		"Accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
		"application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,"
		"application/json\r\n",
		"Accept: application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,"
		"application/json\r\n",
	};
	static const char *const types[] = {
		"application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
		"application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
	};
	Fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(accepts); i++) {
		HttpAnswer a = get(f, "/apis", accepts[i]);
		_cleanup_(xfreep) char *type = http_header(&a, "Content-Type");
		const json_t *ours =
			entry(json_object_get(a.json, "items"), "metadata.name", "shakenfist.io");
		const json_t *version = json_array_get(json_object_get(ours, "versions"), 0);

		assert_string_equal(type, types[i]);
		assert_non_null(
			entry(json_object_get(version, "resources"), "resource", "instances"));
		http_answer_done(&a);
		a = get(f, "/api", accepts[i]);
		expect_text(a.json, "kind", "APIGroupDiscoveryList");
		assert_int_equal(json_array_size(json_object_get(a.json, "items")), 1);
		http_answer_done(&a);
	}
}

static void test_openapi(void **state)
{
	Fixture *f = *state;
	HttpAnswer v2 =
		get(f, "/openapi/v2",
		    "Accept: application/com.github.proto-openapi.spec.v2@v1.0+protobuf\r\n");
	_cleanup_(xfreep) char *type = http_header(&v2, "Content-Type");
	_cleanup_(json_decrefp) json_t *v3 = call(f, 200, "GET", "/openapi/v3", NULL, NULL);
	const json_t *listed =
		json_object_get(json_object_get(v3, "paths"), "apis/shakenfist.io/v1alpha1");
	_cleanup_(json_decrefp) json_t *doc = NULL;
	const json_t *schema;

	assert_string_equal(type, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf");
	/* swagger: "2.0" comes first */
	assert_memory_equal(v2.body,
			    "\x0a\x03"
			    "2.0",
			    5);
	http_answer_done(&v2);
	doc = call(f, 200, "GET", json_string_at(listed, "serverRelativeURL"), NULL, NULL);
	schema = json_object_get(json_at(doc, "components.schemas"),
				 "io.shakenfist.v1alpha1.Instance");
	assert_non_null(json_at(schema, "properties.spec.properties.cpus"));
	assert_non_null(json_object_get(schema, "x-kubernetes-group-version-kind"));
	assert_non_null(json_object_get(
		json_object_get(doc, "paths"),
		"/apis/shakenfist.io/v1alpha1/namespaces/{namespace}/instances/{name}"));
	call_done(f, 200, "GET", "/openapi/v3/api/v1", NULL, NULL);
	call_fails(f, 404, "NotFound", "GET", "/openapi/v3/apis/none/v1", NULL, NULL);
}

static void test_tables(void **state)
{
	Fixture *f = *state;
	const json_t *row;
	HttpAnswer a;

	call_done(f, 201, "POST", INSTANCES, NULL, INSTANCE_BODY("t", ""));
	a = get(f, INSTANCES "?limit=500", TABLE);
	expect_text(a.json, "kind", "Table");
	expect_text(a.json, "apiVersion", "meta.k8s.io/v1");
	assert_non_null(json_string_at(a.json, "metadata.resourceVersion"));
	expect_text(json_array_get(json_object_get(a.json, "columnDefinitions"), 0), "name",
		    "Name");
	row = json_array_get(json_object_get(a.json, "rows"), 0);
	assert_int_equal(json_array_size(json_object_get(row, "cells")),
			 json_array_size(json_object_get(a.json, "columnDefinitions")));
	assert_string_equal(json_string_value(json_array_get(json_object_get(row, "cells"), 0)),
			    "t");
	expect_text(row, "object.kind", "PartialObjectMetadata");
	expect_text(row, "object.metadata.namespace", "default");
	http_answer_done(&a);
	a = get(f, INSTANCES "/t?includeObject=Object", TABLE);
	row = json_array_get(json_object_get(a.json, "rows"), 0);
	expect_text(row, "object.kind", "Instance");
	http_answer_done(&a);
	a = get(f, INSTANCES "?includeObject=None", TABLE);
	row = json_array_get(json_object_get(a.json, "rows"), 0);
	assert_null(json_object_get(row, "object"));
	http_answer_done(&a);
	a = get(f, INSTANCES,
		"Accept: application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io\r\n");
	expect_text(a.json, "kind", "PartialObjectMetadataList");
	row = json_array_get(json_object_get(a.json, "items"), 0);
	expect_text(row, "metadata.name", "t");
	assert_null(json_object_get(row, "spec"));
	http_answer_done(&a);
}

static void test_reviews(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *can =
		call(f, 201, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", NULL,
		     "{\"spec\":{\"resourceAttributes\":{\"verb\":\"get\",\"resource\":"
		     "\"secrets\"}}}");
	_cleanup_(json_decrefp) json_t *who = call(
		f, 201, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", NULL, "{}");
	_cleanup_(json_decrefp) json_t *rules =
		call(f, 201, "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", NULL,
		     "{\"spec\":{\"namespace\":\"default\"}}");

	assert_true(json_bool_at(can, "status.allowed", false));
	assert_non_null(json_string_at(who, "status.userInfo.username"));
	assert_false(json_bool_at(rules, "status.incomplete", true));
	call_fails(f, 405, "MethodNotAllowed", "GET",
		   "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", NULL, NULL);
	call_fails(f, 404, "NotFound", "POST", "/apis/authorization.k8s.io/v1/selfsubjectreviews",
		   NULL, "{}");
}

static void test_health(void **state)
{
	static const char *const targets[] = { "/livez", "/readyz", "/healthz" };
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *version = call(f, 200, "GET", "/version/", NULL, NULL);
	HttpAnswer a;

	expect_text(version, "major", "1");
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		a = get(f, targets[i], "");
		assert_int_equal(a.code, 200);
		assert_string_equal(a.body, "ok");
		http_answer_done(&a);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_legacy), TEST(test_aggregated), TEST(test_openapi),
		TEST(test_tables), TEST(test_reviews),    TEST(test_health),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
