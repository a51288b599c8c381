/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-side apply over HTTP: created, unchanged, changed, conflicts with causes, force, YAML.
 */
#include "tests/contract/server/fixture.h"

#define APPLY "application/apply-patch+yaml"

static json_t *apply(Fixture *f, int expect, const char *manager, const char *spec)
{
	_cleanup_(xfreep) char *target = xasprintf(INSTANCES "/a?fieldManager=%s", manager);
	_cleanup_(xfreep) char *body = xasprintf(
		"{\"apiVersion\":\"shakenfist.io/v1alpha1\",\"kind\":\"Instance\",\"metadata\":{"
		"\"name\":\"a\",\"namespace\":\"default\"},\"spec\":%s}",
		spec);

	return call(f, expect, "PATCH", target, APPLY, body);
}

#define DISKS "\"memory\":\"1Gi\",\"disks\":[{\"name\":\"root\",\"size\":\"1Gi\"}]"

static void test_life(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *made = apply(f, 201, "m", "{\"cpus\":2," DISKS "}");
	_cleanup_(json_decrefp) json_t *same = apply(f, 200, "m", "{\"cpus\":2," DISKS "}");
	_cleanup_(json_decrefp) json_t *less = NULL, *conflict = NULL, *forced = NULL;

	assert_true(json_same(made, same)); /* no write at all */
	less = apply(f, 200, "m", "{\"cpus\":3," DISKS ",\"terminationGracePeriodSeconds\":5}");
	assert_int_equal(json_integer_at(less, "metadata.generation", 0), 2);
	conflict = apply(f, 409, "other", "{\"cpus\":4," DISKS "}");
	expect_text(conflict, "reason", "Conflict");
	expect_text(conflict, "message",
		    "Apply failed with 1 conflict: conflict with \"m\": .spec.cpus");
	expect_text(json_array_get(json_at(conflict, "details.causes"), 0), "reason",
		    "FieldManagerConflict");
	expect_text(json_array_get(json_at(conflict, "details.causes"), 0), "field", ".spec.cpus");
	forced = apply(f, 200, "other&force=true", "{\"cpus\":4," DISKS "}");
	assert_int_equal(json_integer_at(forced, "spec.cpus", 0), 4);
	json_decref(less);
	less = apply(f, 200, "m", "{" DISKS "}");
	assert_int_equal(json_integer_at(less, "spec.cpus", 0), 4); /* the other's now */
	/* Gone, and defaulted again. */
	assert_int_equal(json_integer_at(less, "spec.terminationGracePeriodSeconds", 0), 60);
}

static void test_finalizer_survives_apply(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *after = NULL;

	json_decref(apply(f, 201, "m", "{\"cpus\":2," DISKS "}"));
	after = apply(f, 200, "m", "{\"cpus\":1," DISKS "}");
	assert_int_equal(json_array_size(json_at(after, "metadata.finalizers")), 1);
}

static void test_yaml_body(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *made =
		call(f, 201, "PATCH", SECRETS "/y?fieldManager=m", APPLY,
		     "apiVersion: v1\nkind: Secret\nmetadata:\n  name: y\n  labels: {a: \"b\"}\n");

	expect_text(made, "metadata.labels.a", "b");
	call_fails(f, 400, "BadRequest", "PATCH", SECRETS "/y?fieldManager=m", APPLY, "a: [");
	call_fails(f, 400, "BadRequest", "PATCH", SECRETS "/y?fieldManager=m", APPLY,
		   "metadata: &x {name: y}\n");
}

static void test_refusals(void **state)
{
	Fixture *f = *state;

	call_fails(f, 422, "Invalid", "PATCH", SECRETS "/r", APPLY, "{}");
	call_fails(f, 400, "BadRequest", "PATCH", SECRETS "/r?fieldManager=m", APPLY,
		   "{\"metadata\":{\"managedFields\":[]}}");
	call_fails(f, 400, "BadRequest", "PATCH", SECRETS "/r?fieldManager=m", APPLY,
		   "{\"metadata\":{\"name\":\"other\"}}");
	call_fails(f, 404, "NotFound", "PATCH", "/api/v1/namespaces/none/secrets/r?fieldManager=m",
		   APPLY, "{}");
	call_fails(f, 409, "Conflict", "PATCH", SECRETS "/r?fieldManager=m", APPLY,
		   "{\"metadata\":{\"resourceVersion\":\"3\"}}");
	call_fails(f, 422, "Invalid", "PATCH", INSTANCES "/r?fieldManager=m", APPLY,
		   "{\"spec\":{\"cpus\":0}}");
	call_fails(f, 400, "BadRequest", "PATCH", INSTANCES "/r?fieldManager=m", APPLY,
		   "{\"spec\":{\"cpuz\":1}}");
	call_fails(f, 404, "NotFound", "GET", SECRETS "/r", NULL, NULL);
}

static void test_dry_run(void **state)
{
	Fixture *f = *state;

	json_decref(apply(f, 201, "m&dryRun=All", "{" DISKS "}"));
	call_fails(f, 404, "NotFound", "GET", INSTANCES "/a", NULL, NULL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

/* Also on an object that is there: one answer, everything that is wrong. */
static void test_apply_tells_all(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *made = apply(f, 201, "m", "{\"cpus\":2," DISKS "}");
	_cleanup_(json_decrefp) json_t *status =
		apply(f, 400, "m", "{\"cpus\":0,\"memroy\":\"1Gi\"," DISKS "}");
	const json_t *causes = json_at(status, "details.causes");

	assert_int_equal(json_array_size(causes), 2);
	expect_text(json_array_get(causes, 0), "field", "spec.memroy");
	expect_text(json_array_get(causes, 1), "field", "spec.cpus");
}

static void test_twins_are_refused(void **state)
{
	Fixture *f = *state;

	call_done(f, 201, "PATCH", INSTANCES "/twins?fieldManager=a", APPLY,
		  INSTANCE_BODY("twins", ""));
	call_fails(f, 422, "Invalid", "PATCH", INSTANCES "/twins?fieldManager=a", APPLY,
		   INSTANCE_BODY("twins", ",\"interfaces\":[{\"name\":\"a\",\"network\":\"n\"},"
					  "{\"name\":\"a\",\"network\":\"m\"}]"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_apply_tells_all),
		TEST(test_life),
		TEST(test_finalizer_survives_apply),
		TEST(test_yaml_body),
		TEST(test_refusals),
		TEST(test_dry_run),
		TEST(test_twins_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
