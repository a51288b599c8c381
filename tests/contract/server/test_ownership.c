/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who owns which field, over HTTP, with the requests that kubectl sends: two managers, an editor
 * and a controller fight over one Instance; client-side apply moves to server-side apply and back.
 */
#include "tests/contract/server/fixture.h"

#define APPLY "application/apply-patch+yaml"
#define MERGE "application/merge-patch+json"
#define PATCH "application/json-patch+json"
#define GV    "shakenfist.io/v1alpha1"

#define MANIFEST(spec) \
	"{\"apiVersion\":\"" GV "\",\"kind\":\"Instance\",\"metadata\":{\"name\":\"a\"," \
	"\"namespace\":\"default\"},\"spec\":" spec "}"
#define DISK "\"disks\":[{\"name\":\"root\",\"size\":\"1Gi\"}]"

static json_t *apply(Fixture *f, int expect, const char *query, const char *body)
{
	_cleanup_(xfreep) char *target = xasprintf(INSTANCES "/a?fieldManager=%s", query);

	return call(f, expect, "PATCH", target, APPLY, body);
}

static json_t *patch(Fixture *f, int expect, const char *manager, const char *type,
		     const char *body)
{
	_cleanup_(xfreep) char *target = xasprintf(INSTANCES "/a?fieldManager=%s", manager);

	return call(f, expect, "PATCH", target, type, body);
}

static json_t *get(Fixture *f)
{
	return call(f, 200, "GET", INSTANCES "/a", NULL, NULL);
}

/* The entry of a manager, borrowed; "manager/subresource" for one of those. */
static json_t *entry(const json_t *object, const char *operation, const char *manager)
{
	json_t *e;
	size_t i;

	json_array_foreach (json_at(object, "metadata.managedFields"), i, e) {
		const char *name = json_string_at(e, "manager");
		const char *sub = json_string_at(e, "subresource");
		_cleanup_(xfreep) char *full =
			xasprintf("%s%s%s", name, sub ? "/" : "", sub ? sub : "");

		if (streq(full, manager) && streq_ptr(json_string_at(e, "operation"), operation))
			return e;
	}
	return NULL;
}

/* fieldsV1 of the entry; "" if there is none. Caller frees. */
static char *owned(const json_t *object, const char *operation, const char *manager)
{
	json_t *e = entry(object, operation, manager);

	return e ? json_canonical(json_object_get(e, "fieldsV1")) : xstrdup("");
}

static void expect_owned(const json_t *object, const char *operation, const char *manager,
			 const char *want)
{
	_cleanup_(xfreep) char *got = owned(object, operation, manager);

	if (!streq(got, want))
		fail_msg("%s (%s) owns %s, expected %s", manager, operation, got, want);
}

#define SPEC_CREATED(more) \
	"{\"f:spec\":{\".\":{}," more "\"f:disks\":{\".\":{},\"k:{\\\"name\\\":\\\"root\\\"}\":{" \
	"\".\":{},\"f:name\":{},\"f:size\":{}}},\"f:firmware\":{},\"f:memory\":{}," \
	"\"f:runStrategy\":{},\"f:terminationGracePeriodSeconds\":{}}}"

static void test_create_and_edit(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *made = NULL, *edited = NULL, *same = NULL, *gone = NULL;

	made = call(f, 201, "POST", INSTANCES "?fieldManager=kubectl-create", NULL,
		    MANIFEST("{\"cpus\":2," DISK "}"));
	expect_owned(made, "Update", "kubectl-create", SPEC_CREATED("\"f:cpus\":{},"));
	/* What the server filled in is nobody's. */
	expect_text(made, "spec.nodeName", "node-1");
	edited = patch(f, 200, "kubectl-edit", MERGE, "{\"spec\":{\"cpus\":4}}");
	expect_owned(edited, "Update", "kubectl-edit", "{\"f:spec\":{\"f:cpus\":{}}}");
	expect_owned(edited, "Update", "kubectl-create", SPEC_CREATED(""));
	/* No change: no revision, no time, whoever asks. */
	same = patch(f, 200, "third", MERGE, "{\"spec\":{\"cpus\":4}}");
	assert_true(json_same(edited, same));
	gone = patch(f, 200, "third", MERGE, "{\"spec\":{\"maxCpus\":8}}");
	expect_owned(gone, "Update", "third", "{\"f:spec\":{\"f:maxCpus\":{}}}");
	json_decref(gone);
	gone = patch(f, 200, "fourth", MERGE, "{\"spec\":{\"maxCpus\":null}}");
	assert_null(entry(gone, "Update", "third"));
	assert_null(entry(gone, "Update", "fourth"));
}

static void test_fight(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *v = NULL;

	v = apply(f, 201, "team", MANIFEST("{\"cpus\":2," DISK "}"));
	expect_owned(v, "Apply", "team",
		     "{\"f:spec\":{\"f:cpus\":{},\"f:disks\":{\"k:{\\\"name\\\":\\\"root\\\"}\":{"
		     "\".\":{},\"f:name\":{},\"f:size\":{}}}}}");
	json_decref(v);
	/* Somebody edits: it is his now. */
	json_decref(patch(f, 200, "kubectl-edit", MERGE, "{\"spec\":{\"cpus\":4}}"));
	v = apply(f, 409, "team", MANIFEST("{\"cpus\":3," DISK "}"));
	expect_text(v, "reason", "Conflict");
	expect_text(v, "message",
		    "Apply failed with 1 conflict: conflict with \"kubectl-edit\" using " GV
		    ": .spec.cpus");
	expect_text(json_array_get(json_at(v, "details.causes"), 0), "message",
		    "conflict with \"kubectl-edit\" using " GV);
	expect_text(json_array_get(json_at(v, "details.causes"), 0), "field", ".spec.cpus");
	json_decref(v);
	/* The same value is no conflict: both own it. */
	v = apply(f, 200, "team", MANIFEST("{\"cpus\":4," DISK "}"));
	expect_owned(v, "Update", "kubectl-edit", "{\"f:spec\":{\"f:cpus\":{}}}");
	json_decref(v);
	/* By force. */
	v = apply(f, 200, "team&force=true", MANIFEST("{\"cpus\":3," DISK "}"));
	assert_null(entry(v, "Update", "kubectl-edit"));
	assert_int_equal(json_integer_at(v, "spec.cpus", 0), 3);
	json_decref(v);
	/* Another applier: several conflicts, by manager. */
	json_decref(patch(f, 200, "kubectl-edit", MERGE, "{\"spec\":{\"memory\":\"3Gi\"}}"));
	v = apply(f, 409, "ci",
		  MANIFEST("{\"cpus\":5,\"memory\":\"2Gi\",\"disks\":[{\"name\":\"root\",\"size\":"
			   "\"2Gi\"},{\"name\":\"data\",\"size\":\"1Gi\"}]}"));
	expect_text(v, "message",
		    "Apply failed with 3 conflicts: conflicts with \"kubectl-edit\" using " GV
		    ":\n- .spec.memory\nconflicts with \"team\":\n- .spec.cpus\n"
		    "- .spec.disks[name=\"root\"].size");
	assert_int_equal(json_array_size(json_at(v, "details.causes")), 3);
	json_decref(v);
	/* A disk of his own beside theirs; what he gives up goes. */
	v = apply(f, 200, "ci", MANIFEST("{\"disks\":[{\"name\":\"data\",\"size\":\"1Gi\"}]}"));
	assert_int_equal(json_array_size(json_at(v, "spec.disks")), 2);
	json_decref(v);
	v = apply(f, 200, "ci", MANIFEST("{}"));
	assert_int_equal(json_array_size(json_at(v, "spec.disks")), 1);
	expect_text(json_array_get(json_at(v, "spec.disks"), 0), "name", "root");
}

/* As `kubectl apply` and then `kubectl apply --server-side` do it. */
static void test_migration(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *v = NULL, *managed = NULL, *ops = NULL;
	_cleanup_(xfreep) char *body = NULL;
	json_t *e;

	json_decref(call(
		f, 201, "POST", INSTANCES "?fieldManager=kubectl-client-side-apply", NULL,
		"{\"apiVersion\":\"" GV "\",\"kind\":\"Instance\",\"metadata\":{\"name\":\"a\","
		"\"annotations\":{\"kubectl.kubernetes.io/last-applied-configuration\":"
		"\"{\\\"apiVersion\\\":\\\"" GV "\\\",\\\"kind\\\":\\\"Instance\\\","
		"\\\"metadata\\\":{\\\"annotations\\\":{},\\\"name\\\":\\\"a\\\"},\\\"spec\\\":{"
		"\\\"cpus\\\":2,\\\"disks\\\":[{\\\"name\\\":\\\"root\\\",\\\"size\\\":\\\"1Gi\\\"}"
		"]"
		"}}\\n\"}},\"spec\":{\"cpus\":2," DISK "}}"));
	/* Any other name conflicts; kubectl itself may take what the annotation says is kubectl's.
	 */
	json_decref(apply(f, 409, "team", MANIFEST("{\"cpus\":3," DISK "}")));
	v = apply(f, 200, "kubectl", MANIFEST("{\"cpus\":3," DISK "}"));
	assert_non_null(strstr(json_string_value(json_object_get(
				       json_at(v, "metadata.annotations"),
				       "kubectl.kubernetes.io/last-applied-configuration")),
			       "\"cpus\":3"));
	/* Then it makes its old entry part of the new one. */
	managed = json_deep_copy(json_at(v, "metadata.managedFields"));
	assert_int_equal(json_array_size(managed), 2);
	e = json_array_get(managed, 1);
	expect_text(e, "manager", "kubectl-client-side-apply");
	json_array_remove(managed, 1);
	ops = json_pack("[{s:s,s:s,s:O},{s:s,s:s,s:s}]", "op", "replace", "path",
			"/metadata/managedFields", "value", managed, "op", "replace", "path",
			"/metadata/resourceVersion", "value",
			json_string_at(v, "metadata.resourceVersion"));
	body = json_text(ops);
	json_decref(v);
	v = patch(f, 200, "kubectl", PATCH, body);
	assert_int_equal(json_array_size(json_at(v, "metadata.managedFields")), 1);
	assert_int_equal(json_integer_at(v, "metadata.generation", 0), 2);
	/* The same patch again names a revision that is gone. */
	json_decref(patch(f, 409, "kubectl", PATCH, body));
}

static void test_reset_and_first_apply(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *v = NULL;

	json_decref(call(f, 201, "POST", INSTANCES "?fieldManager=m", NULL,
			 MANIFEST("{\"cpus\":2," DISK "}")));
	v = patch(f, 200, "n", MERGE, "{\"metadata\":{\"managedFields\":[{}]}}");
	assert_null(json_at(v, "metadata.managedFields"));
	json_decref(v);
	/* Without owners there are none to keep up to date. */
	v = patch(f, 200, "n", MERGE, "{\"spec\":{\"cpus\":3}}");
	assert_null(json_at(v, "metadata.managedFields"));
	json_decref(v);
	v = apply(f, 409, "m", MANIFEST("{\"cpus\":2," DISK "}"));
	expect_text(v, "message",
		    "Apply failed with 1 conflict: conflict with \"before-first-apply\" using " GV
		    ": .spec.cpus");
	json_decref(v);
	v = apply(f, 200, "m", MANIFEST("{\"cpus\":3," DISK "}"));
	assert_non_null(entry(v, "Update", "before-first-apply"));
	assert_non_null(entry(v, "Apply", "m"));
	json_decref(v);
	/* Nonsense is not believed. */
	v = patch(f, 200, "n", MERGE, "{\"metadata\":{\"managedFields\":[{\"manager\":\"x\"}]}}");
	assert_non_null(entry(v, "Apply", "m"));
}

static void test_status_is_apart(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *v = NULL;

	json_decref(apply(f, 201, "m", MANIFEST("{\"cpus\":2," DISK "}")));
	v = call(f, 200, "PATCH", INSTANCES "/a/status?fieldManager=agent", MERGE,
		 "{\"status\":{\"printableStatus\":\"Running\"},\"spec\":{\"cpus\":9}}");
	expect_owned(v, "Update", "agent/status", "{\"f:status\":{\"f:printableStatus\":{}}}");
	assert_int_equal(json_integer_at(v, "spec.cpus", 0), 2);
	assert_int_equal(json_integer_at(v, "metadata.generation", 0), 1);
	json_decref(v);
	v = call(f, 409, "PATCH", INSTANCES "/a/status?fieldManager=other", APPLY,
		 "{\"status\":{\"printableStatus\":\"Stopped\"}}");
	expect_text(v, "message",
		    "Apply failed with 1 conflict: conflict with \"agent\" with subresource "
		    "\"status\" using " GV ": .status.printableStatus");
	json_decref(v);
	v = call(f, 200, "PATCH", INSTANCES "/a/status?fieldManager=other", APPLY,
		 "{\"status\":{\"restarts\":3},\"metadata\":{\"labels\":{\"x\":\"y\"}}}");
	expect_owned(v, "Apply", "other/status", "{\"f:status\":{\"f:restarts\":{}}}");
	assert_null(json_at(v, "metadata.labels"));
}

/* A text in place of the list would be taken for the server's own form of it. */
static void test_no_text(void **state)
{
	static const char text[] = "{\"metadata\":{\"name\":\"a\",\"managedFields\":\"[]\"}}";
	static const char *const patches[] = {
		"[{\"op\":\"add\",\"path\":\"/metadata/managedFields\",\"value\":\"[]\"}]",
		"[{\"op\":\"replace\",\"path\":\"/"
		"metadata\",\"value\":{\"managedFields\":\"[]\"}}]",
		"[{\"op\":\"copy\",\"path\":\"/metadata/managedFields\",\"from\":\"/metadata/"
		"name\"}]",
		"[{\"op\":\"replace\",\"path\":\"\",\"value\":{\"metadata\":{\"managedFields\":"
		"\"x\"}}}]",
	};
	Fixture *f = *state;

	call_fails(f, 400, "BadRequest", "POST", INSTANCES, NULL, text);
	json_decref(apply(f, 201, "m", MANIFEST("{" DISK "}")));
	call_fails(f, 400, "BadRequest", "PUT", INSTANCES "/a", NULL, text);
	call_fails(f, 400, "BadRequest", "PATCH", INSTANCES "/a", MERGE, text);
	call_fails(f, 400, "BadRequest", "PATCH", INSTANCES "/a?fieldManager=m", APPLY, text);
	for (size_t i = 0; i < ARRAY_SIZE(patches); i++)
		call_fails(f, 400, "BadRequest", "PATCH", INSTANCES "/a", PATCH, patches[i]);
	/* A patch sees the list. */
	json_decref(
		patch(f, 200, "m", PATCH,
		      "[{\"op\":\"test\",\"path\":\"/metadata/managedFields/0/manager\",\"value\":"
		      "\"m\"},{\"op\":\"replace\",\"path\":\"/metadata/managedFields/0/manager\","
		      "\"value\":\"n\"}]"));
	json_decref(apply(f, 200, "n", MANIFEST("{\"cpus\":2," DISK "}")));
	json_decref(apply(f, 200, "o", MANIFEST("{" DISK "}")));
}

/* Read, change, replace: as clients do it that know nothing of all this. */
static void test_read_and_replace(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *v = NULL, *same = NULL, *after = NULL;
	_cleanup_(xfreep) char *body = NULL, *changed = NULL;

	json_decref(apply(f, 201, "m", MANIFEST("{" DISK "}")));
	v = get(f);
	body = json_text(v);
	same = call(f, 200, "PUT", INSTANCES "/a?fieldManager=py", NULL, body);
	assert_true(json_same(v, same));
	json_set_at(v, "spec.cpus", json_integer(7));
	changed = json_text(v);
	after = call(f, 200, "PUT", INSTANCES "/a?fieldManager=py", NULL, changed);
	expect_owned(after, "Update", "py", "{\"f:spec\":{\"f:cpus\":{}}}");
	assert_non_null(entry(after, "Apply", "m"));
}

/* Who does not say who he is, is what his client calls itself. */
static void test_user_agent(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *v = NULL;
	HttpClient *c = http_connect(f->path);
	HttpAnswer a;

	http_request(c, "POST", INSTANCES, "User-Agent: Terraform/1.9 (linux)\r\n",
		     MANIFEST("{" DISK "}"));
	a = http_read_answer(c);
	http_close(c);
	assert_int_equal(a.code, 201);
	assert_non_null(entry(a.json, "Update", "Terraform"));
	http_answer_done(&a);
	v = get(f);
	assert_non_null(entry(v, "Update", "Terraform"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_create_and_edit), TEST(test_fight),
		TEST(test_migration),       TEST(test_reset_and_first_apply),
		TEST(test_status_is_apart), TEST(test_user_agent),
		TEST(test_no_text),         TEST(test_read_and_replace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
