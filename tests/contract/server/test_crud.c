/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every verb on real objects, and every refusal as the Status that a Kubernetes server sends.
 */
#include "tests/contract/server/fixture.h"

static void test_create_get_list(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *made =
		call(f, 201, "POST", INSTANCES, NULL, INSTANCE_BODY("web-1", ""));
	_cleanup_(json_decrefp) json_t *got = call(f, 200, "GET", INSTANCES "/web-1", NULL, NULL);
	_cleanup_(json_decrefp) json_t *list = call(f, 200, "GET", INSTANCES, NULL, NULL);
	_cleanup_(json_decrefp) json_t *all =
		call(f, 200, "GET", API_GROUP "/instances?limit=500", NULL, NULL);

	assert_true(json_same(made, got));
	expect_text(made, "metadata.namespace", "default");
	expect_text(made, "spec.nodeName", "node-1");
	expect_text(made, "spec.runStrategy", "Always");
	assert_int_equal(json_integer_at(made, "metadata.generation", 0), 1);
	assert_non_null(json_string_at(made, "metadata.uid"));
	assert_non_null(json_string_at(made, "metadata.resourceVersion"));
	assert_string_equal(
		json_string_value(json_array_get(json_at(made, "metadata.finalizers"), 0)),
		"shakenfist.io/teardown");
	expect_text(list, "kind", "InstanceList");
	expect_text(list, "apiVersion", "shakenfist.io/v1alpha1");
	assert_int_equal(json_array_size(json_object_get(list, "items")), 1);
	assert_true(json_same(json_array_get(json_object_get(all, "items"), 0), made));
}

static void test_secret_text_is_encoded(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *made =
		call(f, 201, "POST", SECRETS, NULL,
		     "{\"metadata\":{\"name\":\"s\"},\"data\":{\"a\":\"eA==\",\"b\":\"eA==\"},"
		     "\"stringData\":{\"a\":\"hello\"}}");

	_cleanup_(json_decrefp) json_t *plain =
		call(f, 201, "POST", SECRETS, NULL,
		     "{\"metadata\":{\"name\":\"p\",\"annotations\":{},\"labels\":{},"
		     "\"finalizers\":[]}}");

	assert_null(json_at(plain, "metadata.annotations"));
	assert_null(json_at(plain, "metadata.finalizers"));
	expect_text(made, "data.a", "aGVsbG8=");
	expect_text(made, "data.b", "eA==");
	assert_null(json_object_get(made, "stringData"));
	call_fails(f, 422, "Invalid", "POST", SECRETS, NULL,
		   "{\"metadata\":{\"name\":\"t\"},\"stringData\":{\"a\":1}}");
	call_fails(f, 422, "Invalid", "POST", SECRETS, NULL,
		   "{\"metadata\":{\"name\":\"t\"},\"data\":{\"a\":\"not base64!\"}}");
}

static void test_create_refusals(void **state)
{
	Fixture *f = *state;

	json_decref(make_secret(f, "a", NULL));
	call_fails(f, 409, "AlreadyExists", "POST", SECRETS, NULL,
		   "{\"metadata\":{\"name\":\"a\"}}");
	call_fails(f, 404, "NotFound", "POST", "/api/v1/namespaces/none/secrets", NULL,
		   "{\"metadata\":{\"name\":\"a\"}}");
	call_fails(f, 400, "BadRequest", "POST", SECRETS, NULL, "");
	call_fails(f, 400, "BadRequest", "POST", SECRETS, NULL, "{");
	call_fails(f, 400, "BadRequest", "POST", SECRETS, NULL, "[]");
	call_fails(f, 400, "BadRequest", "POST", SECRETS, NULL, "{\"a\":1,\"a\":2}");
	call_fails(f, 400, "BadRequest", "POST", SECRETS, NULL,
		   "{\"kind\":\"Instance\",\"metadata\":{\"name\":\"b\"}}");
	call_fails(f, 400, "BadRequest", "POST", SECRETS, NULL,
		   "{\"apiVersion\":\"v2\",\"metadata\":{\"name\":\"b\"}}");
	call_fails(f, 400, "BadRequest", "POST", SECRETS, NULL,
		   "{\"metadata\":{\"name\":\"b\",\"namespace\":\"other\"}}");
	call_fails(f, 400, "BadRequest", "POST", SECRETS, NULL,
		   "{\"metadata\":{\"name\":\"b\",\"resourceVersion\":\"1\"}}");
	call_fails(f, 400, "BadRequest", "POST", SECRETS, NULL, "{\"metadata\":[]}");
	call_fails(f, 415, "UnsupportedMediaType", "POST", SECRETS, "application/cbor", "k8s");
	call_fails(f, 415, "UnsupportedMediaType", "POST", SECRETS, "text/plain", "{}");
	call_fails(f, 422, "Invalid", "POST", SECRETS, NULL, "{\"metadata\":{\"name\":\"A/b\"}}");
	call_fails(f, 422, "Invalid", "POST", SECRETS, NULL, "{\"metadata\":{}}");
	/* What we would fill in ourselves is refused all the same when it is of the wrong type. */
	call_fails(f, 422, "Invalid", "POST", INSTANCES, NULL,
		   "{\"metadata\":{\"name\":\"x\",\"finalizers\":\"x\"},\"spec\":{\"disks\":["
		   "{\"name\":\"root\",\"size\":\"1Gi\"}]}}");
	call_fails(f, 422, "Invalid", "POST", INSTANCES, NULL,
		   INSTANCE_BODY("x", ",\"nodeName\":1"));
	call_fails(f, 422, "Invalid", "POST", SECRETS, NULL,
		   "{\"metadata\":{\"name\":\"x\"},\"data\":\"x\",\"stringData\":{\"a\":\"b\"}}");
	call_fails(f, 405, "MethodNotAllowed", "POST", "/api/v1/secrets", NULL,
		   "{\"metadata\":{\"name\":\"b\"}}");
	call_fails(f, 405, "MethodNotAllowed", "POST", SECRETS "/a", NULL, "{}");
	call_fails(f, 422, "Invalid", "POST", SECRETS "?dryRun=Some", NULL,
		   "{\"metadata\":{\"name\":\"b\"}}");
}

static void test_validation_tells_all(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *status =
		call(f, 422, "POST", INSTANCES, NULL,
		     "{\"metadata\":{\"name\":\"x\"},\"spec\":{\"cpus\":0,\"memory\":\"-1\","
		     "\"runStrategy\":\"Sometimes\"}}");

	expect_text(status, "reason", "Invalid");
	expect_text(status, "details.kind", "Instance");
	expect_text(status, "details.group", "shakenfist.io");
	expect_text(status, "details.name", "x");
	assert_true(json_array_size(json_at(status, "details.causes")) >= 3);
}

static void test_field_validation(void **state)
{
	static const char body[] = INSTANCE_BODY("fv", ",\"cpuz\":1");
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *strict = NULL, *ignored = NULL;
	_cleanup_(xfreep) char *warning = NULL;
	HttpAnswer a;

	strict = call(f, 400, "POST", INSTANCES, NULL, body);
	assert_non_null(strstr(json_string_at(strict, "message"),
			       "strict decoding error: unknown field \"spec.cpuz\""));
	call_done(f, 400, "POST", INSTANCES "?fieldValidation=Strict", NULL, body);
	call_fails(f, 422, "Invalid", "POST", INSTANCES "?fieldValidation=Maybe", NULL, body);
	a = http_call(f->path, "POST", INSTANCES "?fieldValidation=Warn&dryRun=All", NULL, body);
	assert_int_equal(a.code, 201);
	warning = http_header(&a, "Warning");
	assert_string_equal(warning, "299 - \"unknown field \\\"spec.cpuz\\\"\"");
	assert_null(json_at(a.json, "spec.cpuz"));
	http_answer_done(&a);
	ignored = call(f, 201, "POST", INSTANCES "?fieldValidation=Ignore", NULL, body);
	assert_null(json_at(ignored, "spec.cpuz"));
}

/* An unknown field does not hide what else is wrong. */
static void test_strict_tells_all(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *status =
		call(f, 400, "POST", INSTANCES, NULL,
		     "{\"metadata\":{\"name\":\"x\"},\"spec\":{\"cpus\":0,\"cpuz\":1,\"memory\":"
		     "\"-1\"}}");
	const json_t *causes = json_at(status, "details.causes");

	assert_true(json_array_size(causes) >= 3);
	expect_text(json_array_get(causes, 0), "field", "spec.cpuz");
}

static void test_generate_name(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *a =
		call(f, 201, "POST", SECRETS, NULL, "{\"metadata\":{\"generateName\":\"gen-\"}}");
	const char *name = json_string_at(a, "metadata.name");

	assert_non_null(name);
	assert_true(str_has_prefix(name, "gen-"));
	assert_int_equal(strlen(name), strlen("gen-") + 5);
}

static void test_dry_run_stores_nothing(void **state)
{
	Fixture *f = *state;

	call_done(f, 201, "POST", SECRETS "?dryRun=All", NULL, "{\"metadata\":{\"name\":\"d\"}}");
	call_fails(f, 404, "NotFound", "GET", SECRETS "/d", NULL, NULL);
	json_decref(make_secret(f, "d", NULL));
	call_done(f, 200, "DELETE", SECRETS "/d", NULL, "{\"dryRun\":[\"All\"]}");
	call_done(f, 200, "DELETE", SECRETS "/d?dryRun=All", NULL, NULL);
	call_done(f, 200, "GET", SECRETS "/d", NULL, NULL);
}

static void test_update(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *old = make_secret(f, "u", NULL);
	_cleanup_(json_decrefp) json_t *new = NULL, *same = NULL;
	_cleanup_(xfreep) char *body = NULL, *stale = NULL;

	json_set_at(old, "metadata.labels", json_pack("{s:s}", "x", "y"));
	json_set_at(old, "metadata.generation", json_integer(77));
	body = json_text(old);
	new = call(f, 200, "PUT", SECRETS "/u", NULL, body);
	expect_text(new, "metadata.labels.x", "y");
	assert_int_equal(json_integer_at(new, "metadata.generation", 0), 1);
	call_fails(f, 409, "Conflict", "PUT", SECRETS "/u", NULL, body);
	/* Without a resourceVersion: unconditional; the same again is no write. */
	same = call(f, 200, "PUT", SECRETS "/u", NULL,
		    "{\"metadata\":{\"labels\":{\"x\":\"y\"}},\"type\":\"Opaque\"}");
	expect_text(same, "metadata.resourceVersion",
		    json_string_at(new, "metadata.resourceVersion"));
	call_fails(f, 404, "NotFound", "PUT", SECRETS "/none", NULL, "{}");
	call_fails(f, 400, "BadRequest", "PUT", SECRETS "/u", NULL,
		   "{\"metadata\":{\"name\":\"v\"}}");
	call_fails(f, 409, "Conflict", "PUT", SECRETS "/u", NULL,
		   "{\"metadata\":{\"uid\":\"00000000-0000-4000-8000-000000000000\"}}");
	call_fails(f, 400, "BadRequest", "PUT", SECRETS "/u", NULL,
		   "{\"metadata\":{\"resourceVersion\":\"soon\"}}");
}

static void test_status_is_apart(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *made =
		call(f, 201, "POST", INSTANCES, NULL,
		     "{\"metadata\":{\"name\":\"s\"},\"spec\":{\"memory\":\"1Gi\",\"disks\":[{"
		     "\"name\":\"root\",\"size\":\"1Gi\"}]},\"status\":{\"printableStatus\":"
		     "\"Running\"}}");
	_cleanup_(json_decrefp) json_t *status = NULL, *patched = NULL, *main_write = NULL;
	_cleanup_(xfreep) char *body = NULL;

	assert_null(json_at(made, "status.printableStatus"));
	/* By which those who wait know that nobody has looked at it yet. */
	expect_text(json_array_get(json_at(made, "status.conditions"), 0), "status", "Unknown");
	body = xasprintf("{\"metadata\":{\"resourceVersion\":\"%s\",\"labels\":{\"no\":\"no\"}},"
			 "\"spec\":{\"cpus\":99},\"status\":{\"printableStatus\":\"Running\"}}",
			 json_string_at(made, "metadata.resourceVersion"));
	status = call(f, 200, "PUT", INSTANCES "/s/status", NULL, body);
	expect_text(status, "status.printableStatus", "Running");
	assert_int_equal(json_integer_at(status, "spec.cpus", 0), 1);
	assert_null(json_at(status, "metadata.labels.no"));
	assert_int_equal(json_integer_at(status, "metadata.generation", 0), 1);
	patched = call(f, 200, "PATCH", INSTANCES "/s/status", "application/merge-patch+json",
		       "{\"status\":{\"printableStatus\":\"Stopped\"},\"spec\":{\"cpus\":7}}");
	expect_text(patched, "status.printableStatus", "Stopped");
	assert_int_equal(json_integer_at(patched, "spec.cpus", 0), 1);
	main_write = call(f, 200, "PATCH", INSTANCES "/s", "application/merge-patch+json",
			  "{\"spec\":{\"cpus\":2},\"status\":{\"printableStatus\":\"Paused\"}}");
	expect_text(main_write, "status.printableStatus", "Stopped");
	assert_int_equal(json_integer_at(main_write, "metadata.generation", 0), 2);
	call_fails(f, 404, "NotFound", "GET", INSTANCES "/s/scale", NULL, NULL);
	call_fails(f, 404, "NotFound", "GET", SECRETS "/s/status", NULL, NULL);
}

static void test_patches(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *merged = NULL, *patched = NULL, *nothing = NULL;

	json_decref(make_secret(f, "p", "{\"a\":\"1\",\"b\":\"2\"}"));
	merged = call(f, 200, "PATCH", SECRETS "/p", "application/merge-patch+json",
		      "{\"metadata\":{\"labels\":{\"a\":null,\"c\":\"3\"}}}");
	assert_null(json_at(merged, "metadata.labels.a"));
	expect_text(merged, "metadata.labels.c", "3");
	patched = call(f, 200, "PATCH", SECRETS "/p", "application/json-patch+json",
		       "[{\"op\":\"test\",\"path\":\"/metadata/labels/b\",\"value\":\"2\"},"
		       "{\"op\":\"replace\",\"path\":\"/metadata/labels/b\",\"value\":\"9\"}]");
	expect_text(patched, "metadata.labels.b", "9");
	call_fails(f, 422, "Invalid", "PATCH", SECRETS "/p", "application/json-patch+json",
		   "[{\"op\":\"test\",\"path\":\"/metadata/labels/b\",\"value\":\"2\"}]");
	nothing = call(f, 200, "PATCH", SECRETS "/p", "application/merge-patch+json", "{}");
	expect_text(nothing, "metadata.resourceVersion",
		    json_string_at(patched, "metadata.resourceVersion"));
	call_fails(f, 409, "Conflict", "PATCH", SECRETS "/p", "application/merge-patch+json",
		   "{\"metadata\":{\"resourceVersion\":\"1\",\"labels\":{\"z\":\"z\"}}}");
	call_fails(f, 400, "BadRequest", "PATCH", SECRETS "/p", "application/merge-patch+json",
		   "[]");
	call_fails(f, 404, "NotFound", "PATCH", SECRETS "/q", "application/merge-patch+json", "{}");
	call_fails(f, 415, "UnsupportedMediaType", "PATCH", INSTANCES "/p",
		   "application/strategic-merge-patch+json", "{}");
	call_done(f, 200, "PATCH", SECRETS "/p", "application/strategic-merge-patch+json",
		  "{\"$patch\":\"merge\",\"metadata\":{\"labels\":{\"s\":\"t\"},"
		  "\"$setElementOrder/x\":[]}}");
}

static void test_delete(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *made = make_secret(f, "d", NULL);
	_cleanup_(json_decrefp) json_t *gone = NULL, *marked = NULL, *again = NULL;

	call_fails(f, 409, "Conflict", "DELETE", SECRETS "/d", NULL,
		   "{\"preconditions\":{\"uid\":\"00000000-0000-4000-8000-000000000000\"}}");
	call_fails(f, 409, "Conflict", "DELETE", SECRETS "/d", NULL,
		   "{\"preconditions\":{\"resourceVersion\":\"1\"}}");
	call_fails(f, 422, "Invalid", "DELETE", SECRETS "/d", NULL,
		   "{\"propagationPolicy\":\"Sideways\"}");
	gone = call(f, 200, "DELETE", SECRETS "/d", NULL,
		    "{\"propagationPolicy\":\"Background\",\"kind\":\"DeleteOptions\"}");
	expect_text(gone, "status", "Success");
	expect_text(gone, "details.uid", json_string_at(made, "metadata.uid"));
	call_fails(f, 404, "NotFound", "DELETE", SECRETS "/d", NULL, NULL);
	call_done(f, 201, "POST", INSTANCES, NULL, INSTANCE_BODY("d", ""));
	marked = call(f, 200, "DELETE", INSTANCES "/d", NULL, NULL);
	expect_text(marked, "kind", "Instance");
	assert_non_null(json_string_at(marked, "metadata.deletionTimestamp"));
	again = call(f, 200, "DELETE", INSTANCES "/d", NULL, NULL);
	expect_text(again, "metadata.resourceVersion",
		    json_string_at(marked, "metadata.resourceVersion"));
	call_done(f, 200, "PATCH", INSTANCES "/d", "application/merge-patch+json",
		  "{\"metadata\":{\"finalizers\":null}}");
	call_fails(f, 404, "NotFound", "GET", INSTANCES "/d", NULL, NULL);
	call_fails(f, 403, "Forbidden", "DELETE", "/api/v1/namespaces/default", NULL, NULL);
}

static void test_list_pages_and_selectors(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *target = NULL;
	_cleanup_(json_decrefp) json_t *page = NULL, *rest = NULL, *one = NULL, *none = NULL;
	char name[16];

	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "s-%d", i);
		json_decref(make_secret(f, name, i % 2 ? "{\"o\":\"1\"}" : NULL));
	}
	page = call(f, 200, "GET", SECRETS "?limit=2", NULL, NULL);
	assert_int_equal(json_array_size(json_object_get(page, "items")), 2);
	assert_int_equal(json_integer_at(page, "metadata.remainingItemCount", 0), 3);
	target = xasprintf(SECRETS "?limit=9&continue=%s",
			   json_string_at(page, "metadata.continue"));
	rest = call(f, 200, "GET", target, NULL, NULL);
	assert_int_equal(json_array_size(json_object_get(rest, "items")), 3);
	assert_null(json_at(rest, "metadata.continue"));
	one = call(f, 200, "GET", SECRETS "?labelSelector=o=1&fieldSelector=metadata.name=s-3",
		   NULL, NULL);
	assert_int_equal(json_array_size(json_object_get(one, "items")), 1);
	none = call(f, 200, "GET", "/api/v1/namespaces/nowhere/secrets", NULL, NULL);
	assert_int_equal(json_array_size(json_object_get(none, "items")), 0);
	call_fails(f, 400, "BadRequest", "GET", SECRETS "?labelSelector=a%20b", NULL, NULL);
	call_fails(f, 400, "BadRequest", "GET", SECRETS "?fieldSelector=a", NULL, NULL);
	call_fails(f, 400, "BadRequest", "GET", SECRETS "?limit=x", NULL, NULL);
	call_fails(f, 400, "BadRequest", "GET", SECRETS "?continue=%21", NULL, NULL);
	call_fails(f, 400, "BadRequest", "GET", SECRETS "?resourceVersion=-1", NULL, NULL);
	call_fails(f, 504, "Timeout", "GET", SECRETS "?resourceVersion=999999", NULL, NULL);
}

static void test_no_such_route(void **state)
{
	static const char *const targets[] = {
		"/nothing",
		"/livez/none",
		"/api/v2/secrets",
		"/apis/none/v1/things",
		API_GROUP "/namespaces/default/things",
		"/api/v1/secrets/a", /* namespaced, without a namespace */
		"/apis/shakenfist.io/v1alpha1/namespaces/default/nodes/n",
		"/api/v1/namespaces/default/namespaces",
		INSTANCES "/a/b/c",
	};
	Fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(targets); i++)
		call_fails(f, 404, "NotFound", "GET", targets[i], NULL, NULL);
	call_fails(f, 405, "MethodNotAllowed", "POST", "/version", NULL, "{}");
	call_fails(f, 405, "MethodNotAllowed", "BREW", "/version", NULL, NULL);
}

static void test_address_admission(void **state)
{
	static const struct {
		const char *address;
		int code;
	} cases[] = {
		{"10.20.0.10",   201},
                { "10.21.0.10",  422},
                { "10.20.0.0",   422},
		{ "10.20.0.255", 422},
                { "10.20.0.1",   422},
	};
	Fixture *f = *state;

	call_done(f, 201, "POST", NETWORKS, NULL,
		  "{\"metadata\":{\"name\":\"front\"},\"spec\":{\"cidrs\":[\"10.20.0.0/24\"]}}");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(xfreep) char *body =
			xasprintf("{\"metadata\":{\"name\":\"i-%zu\"},\"spec\":{\"memory\":\"1Gi\","
				  "\"disks\":[{\"name\":\"root\",\"size\":\"1Gi\"}],\"interfaces\":"
				  "[{\"name\":\"eth0\",\"network\":\"front\",\"addresses\":[\"%s\"]"
				  "}]}}",
				  i, cases[i].address);
		_cleanup_(json_decrefp) json_t *answer =
			call(f, cases[i].code, "POST", INSTANCES, NULL, body);

		if (cases[i].code == 422)
			expect_text(json_array_get(json_at(answer, "details.causes"), 0), "field",
				    "spec.interfaces[0].addresses[0]");
	}
}

static void test_power(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *after = NULL, *request = NULL;

	call_done(f, 201, "POST", INSTANCES, NULL, INSTANCE_BODY("p", ""));
	after = call(f, 202, "POST", INSTANCES "/p/stop", NULL, "{\"force\":true}");
	request =
		json_loads(json_string_value(json_object_get(json_at(after, "metadata.annotations"),
							     "shakenfist.io/power-request")),
			   0, NULL);
	expect_text(request, "action", "stop");
	assert_true(json_bool_at(request, "force", false));
	assert_true(uuid_is_valid(json_string_at(request, "id")));
	call_fails(f, 409, "Conflict", "POST", INSTANCES "/p/pause", NULL, NULL);
	call_fails(f, 409, "Conflict", "POST", INSTANCES "/p/resume", NULL, NULL);
	call_done(f, 202, "POST", INSTANCES "/p/start", NULL, NULL);
	call_done(f, 202, "POST", INSTANCES "/p/pause", NULL, NULL);
	call_fails(f, 404, "NotFound", "POST", INSTANCES "/p/explode", NULL, NULL);
	call_fails(f, 404, "NotFound", "POST", INSTANCES "/q/stop", NULL, NULL);
	call_fails(f, 405, "MethodNotAllowed", "GET", INSTANCES "/p/stop", NULL, NULL);
	call_fails(f, 404, "NotFound", "POST", NETWORKS "/p/stop", NULL, NULL);
}

static void test_namespace_life(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *made = call(f, 201, "POST", "/api/v1/namespaces", NULL,
						    "{\"metadata\":{\"name\":\"team\"}}");
	_cleanup_(json_decrefp) json_t *dying = NULL;

	expect_text(made, "status.phase", "Active");
	assert_string_equal(json_string_value(json_object_get(json_at(made, "metadata.labels"),
							      "kubernetes.io/metadata.name")),
			    "team");
	dying = call(f, 200, "DELETE", "/api/v1/namespaces/team", NULL, NULL);
	expect_text(dying, "status.phase", "Terminating");
	call_fails(f, 403, "Forbidden", "POST", "/api/v1/namespaces/team/secrets", NULL,
		   "{\"metadata\":{\"name\":\"late\"}}");
	call_done(f, 200, "PUT", "/api/v1/namespaces/team/finalize", NULL,
		  "{\"spec\":{\"finalizers\":[]}}");
	call_fails(f, 404, "NotFound", "GET", "/api/v1/namespaces/team", NULL, NULL);
}

static const char crd[] =
	"{\"metadata\":{\"name\":\"crops.farm.example\"},\"spec\":{\"group\":\"farm.example\","
	"\"scope\":\"Namespaced\",\"names\":{\"plural\":\"crops\",\"singular\":\"crop\",\"kind\":"
	"\"Crop\",\"listKind\":\"CropList\"},\"versions\":[{\"name\":\"v1\",\"served\":true,"
	"\"storage\":true,\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\",\"properties\":{"
	"\"spec\":{\"type\":\"object\",\"properties\":{\"rows\":{\"type\":\"integer\"}}}}}}}]}}";

static void test_user_defined_kind(void **state)
{
	static const char base[] = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
	static const char crops[] = "/apis/farm.example/v1/namespaces/default/crops";
	Fixture *f = *state;

	call_fails(f, 404, "NotFound", "GET", crops, NULL, NULL);
	call_done(f, 201, "POST", base, NULL, crd);
	call_done(f, 200, "GET", crops, NULL, NULL);
	call_done(f, 201, "POST", crops, NULL,
		  "{\"metadata\":{\"name\":\"c\"},\"spec\":{\"rows\":3}}");
	call_fails(f, 400, "BadRequest", "POST", crops, NULL,
		   "{\"metadata\":{\"name\":\"e\"},\"spec\":{\"rowz\":3}}");
	call_fails(f, 422, "Invalid", "POST", crops, NULL,
		   "{\"metadata\":{\"name\":\"e\"},\"spec\":{\"rows\":\"3\"}}");
	call_done(f, 200, "DELETE", "/apis/farm.example/v1/namespaces/default/crops/c", NULL, NULL);
	call_done(f, 200, "DELETE",
		  "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/crops.farm.example",
		  NULL, NULL);
	call_fails(f, 404, "NotFound", "GET", crops, NULL, NULL);
}

/* Whoever replaces an Instance by its manifest has not asked for its guest to be forgotten. */
static void test_teardown_stays(void **state)
{
	static const struct {
		const char *method, *type, *body;
	} writes[] = {
		{"PUT",    NULL,                           NULL                                  },
		{ "PATCH", "application/merge-patch+json", "{\"metadata\":{\"finalizers\":null}}"},
		{ "PATCH", "application/json-patch+json",
                 "[{\"op\":\"remove\",\"path\":\"/metadata/finalizers\"}]"                       },
	};
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *made =
		call(f, 201, "POST", INSTANCES, NULL, INSTANCE_BODY("kept", ""));
	_cleanup_(xfreep) char *body = NULL;

	json_object_del(json_object_get(made, "metadata"), "finalizers");
	body = json_text(made);
	for (size_t i = 0; i < ARRAY_SIZE(writes); i++) {
		_cleanup_(json_decrefp) json_t *o =
			call(f, 200, writes[i].method, INSTANCES "/kept", writes[i].type,
			     writes[i].body ? writes[i].body : body);
		_cleanup_(xfreep) char *text = json_text(json_at(o, "metadata.finalizers"));

		assert_string_equal(text, "[\"shakenfist.io/teardown\"]");
	}
	call_done(f, 200, "DELETE", INSTANCES "/kept", NULL, NULL);
	call_done(f, 200, "GET", INSTANCES "/kept", NULL, NULL);
	/* Now it is for who knows that there is nothing to tear down. */
	call_done(f, 200, "PATCH", INSTANCES "/kept", "application/merge-patch+json",
		  writes[1].body);
	call_done(f, 404, "GET", INSTANCES "/kept", NULL, NULL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_create_get_list),
		TEST(test_secret_text_is_encoded),
		TEST(test_create_refusals),
		TEST(test_teardown_stays),
		TEST(test_validation_tells_all),
		TEST(test_field_validation),
		TEST(test_strict_tells_all),
		TEST(test_generate_name),
		TEST(test_dry_run_stores_nothing),
		TEST(test_update),
		TEST(test_status_is_apart),
		TEST(test_patches),
		TEST(test_delete),
		TEST(test_list_pages_and_selectors),
		TEST(test_no_such_route),
		TEST(test_address_admission),
		TEST(test_power),
		TEST(test_namespace_life),
		TEST(test_user_defined_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
