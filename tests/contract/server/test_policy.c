/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands between a valid object and the store: quotas of a namespace, and what a change costs
 * a guest that runs.
 */
#include "tests/contract/server/fixture.h"

#define QUOTAS "/api/v1/namespaces/default/resourcequotas"
#define MERGE  "application/merge-patch+json"

static void make_quota(Fixture *f, const char *hard)
{
	_cleanup_(xfreep) char *body =
		xasprintf("{\"metadata\":{\"name\":\"compute\"},\"spec\":{\"hard\":%s}}", hard);

	call_done(f, 201, "POST", QUOTAS, NULL, body);
}

static void test_over_quota_is_forbidden(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *status = NULL;

	make_quota(f, "{\"requests.cpu\":\"8\",\"count/secrets\":\"0\"}");
	call_done(f, 201, "POST", INSTANCES, NULL, INSTANCE_BODY("a", ",\"cpus\":7"));
	status = call(f, 403, "POST", INSTANCES, NULL, INSTANCE_BODY("x", ",\"cpus\":2"));
	expect_text(status, "reason", "Forbidden");
	expect_text(status, "message",
		    "instances.shakenfist.io \"x\" is forbidden: exceeded quota: compute, "
		    "requested: requests.cpu=2, used: requests.cpu=7, limited: requests.cpu=8");
	expect_text(status, "details.name", "x");
	expect_text(status, "details.group", "shakenfist.io");
	call_fails(f, 403, "Forbidden", "POST", INSTANCES "?dryRun=All", NULL,
		   INSTANCE_BODY("x", ",\"cpus\":2"));
	call_done(f, 201, "POST", INSTANCES "?dryRun=All", NULL, INSTANCE_BODY("x", ",\"cpus\":1"));
	call_done(f, 201, "POST", INSTANCES, NULL, INSTANCE_BODY("x", ",\"cpus\":1"));
	call_fails(f, 403, "Forbidden", "PATCH", INSTANCES "/x", MERGE, "{\"spec\":{\"cpus\":2}}");
	call_done(f, 200, "PATCH", INSTANCES "/a", MERGE, "{\"spec\":{\"cpus\":6}}");
	call_done(f, 200, "PATCH", INSTANCES "/x", MERGE, "{\"spec\":{\"cpus\":2}}");
	call_fails(f, 403, "Forbidden", "PATCH", INSTANCES "/y?fieldManager=m",
		   "application/apply-patch+yaml", INSTANCE_BODY("y", ",\"cpus\":1"));
	call_fails(f, 403, "Forbidden", "POST", SECRETS, NULL, "{\"metadata\":{\"name\":\"s\"}}");
}

static void test_numbers_are_stored_as_text(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *quota = NULL, *again = NULL;
	static const char apply[] = "{\"apiVersion\":\"v1\",\"kind\":\"ResourceQuota\","
				    "\"metadata\":{\"name\":\"n\"},\"spec\":{\"hard\":{\"pods\":4,"
				    "\"memory\":\"4Gi\"}}}";

	quota = call(f, 201, "PATCH", QUOTAS "/n?fieldManager=m", "application/apply-patch+yaml",
		     apply);
	assert_string_equal(json_string_value(json_object_get(json_at(quota, "spec.hard"), "pods")),
			    "4");
	again = call(f, 200, "PATCH", QUOTAS "/n?fieldManager=m", "application/apply-patch+yaml",
		     apply);
	expect_text(again, "metadata.resourceVersion",
		    json_string_at(quota, "metadata.resourceVersion"));
}

static void test_quotas_are_validated(void **state)
{
	static const struct {
		const char *hard, *message;
	} bad[] = {
		{"{\"gpus\":\"1\"}",
                 "ResourceQuota \"compute\" is invalid: spec.hard[gpus]: Invalid value: \"gpus\": "
		  "must be a standard resource for quotas"							    },
		{ "{\"pods\":\"1500m\"}", "ResourceQuota \"compute\" is invalid: spec.hard[pods]: "
					  "Invalid value: must be an integer"},
	};
	Fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(xfreep) char *body =
			xasprintf("{\"metadata\":{\"name\":\"compute\"},\"spec\":{\"hard\":%s}}",
				  bad[i].hard);
		_cleanup_(json_decrefp) json_t *status = call(f, 422, "POST", QUOTAS, NULL, body);

		expect_text(status, "message", bad[i].message);
	}
	call_fails(f, 422, "Invalid", "POST", QUOTAS, NULL,
		   "{\"metadata\":{\"name\":\"q\"},\"spec\":{\"hard\":{\"cpu\":\"-1\"}}}");
	/* A scope that nobody keeps would be a bound that is not what it says. */
	call_fails(f, 400, "BadRequest", "POST", QUOTAS "?fieldValidation=Strict", NULL,
		   "{\"metadata\":{\"name\":\"q\"},\"spec\":{\"scopes\":[\"BestEffort\"]}}");
}

/* The Warning of a write, or NULL. Caller frees. */
static char *warning_of(Fixture *f, const char *method, const char *target, const char *type,
			const char *body)
{
	HttpAnswer a = http_call(f->path, method, target, type, body);
	char *warning;

	assert_int_equal(a.code / 100, 2);
	warning = http_header(&a, "Warning");
	http_answer_done(&a);
	return warning;
}

/* Once, when it is made: it runs all the same, for there is no other node. */
static void test_another_node_is_warned_of(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *made = warning_of(f, "POST", INSTANCES, NULL,
						  INSTANCE_BODY("vm", ",\"nodeName\":\"far\""));
	_cleanup_(xfreep) char *changed = warning_of(f, "PATCH", INSTANCES "/vm", MERGE,
						     "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}");
	_cleanup_(xfreep) char *here = warning_of(
		f, "POST", INSTANCES, NULL, INSTANCE_BODY("here", ",\"nodeName\":\"node-1\""));
	_cleanup_(xfreep) char *none =
		warning_of(f, "POST", INSTANCES, NULL, INSTANCE_BODY("none", ""));

	assert_string_equal(made,
			    "299 - \"spec.nodeName: there is no node far here: the instance runs "
			    "on node-1\"");
	assert_null(changed);
	assert_null(here);
	assert_null(none);
}

static void test_a_change_says_what_it_costs(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *dry = NULL, *real = NULL, *live = NULL, *off = NULL, *label = NULL;

	call_done(f, 201, "POST", INSTANCES, NULL,
		  INSTANCE_BODY("a", ",\"cpus\":2,\"maxMemory\":\"4Gi\""));
	off = warning_of(f, "PATCH", INSTANCES "/a?dryRun=All", MERGE, "{\"spec\":{\"cpus\":4}}");
	assert_null(off);
	call_done(f, 200, "PATCH", INSTANCES "/a/status", MERGE,
		  "{\"status\":{\"printableStatus\":\"Running\"}}");
	dry = warning_of(f, "PATCH", INSTANCES "/a?dryRun=All", MERGE, "{\"spec\":{\"cpus\":4}}");
	assert_string_equal(dry, "299 - \"spec.cpus: takes effect when the guest restarts (is "
				 "beyond what the running guest can grow to)\"");
	live = warning_of(f, "PATCH", INSTANCES "/a", MERGE, "{\"spec\":{\"memory\":\"2Gi\"}}");
	assert_null(live);
	label = warning_of(f, "PATCH", INSTANCES "/a", MERGE,
			   "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}");
	assert_null(label);
	real = warning_of(f, "PATCH", INSTANCES "/a", MERGE, "{\"spec\":{\"cpus\":4}}");
	assert_string_equal(real, dry);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_over_quota_is_forbidden),     TEST(test_numbers_are_stored_as_text),
		TEST(test_quotas_are_validated),        TEST(test_another_node_is_warned_of),
		TEST(test_a_change_says_what_it_costs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
