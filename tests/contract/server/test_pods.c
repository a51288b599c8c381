/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods, which only show Instances: get, list, watch, tables, events, logs, and what is refused.
 */
#include "tests/contract/server/fixture.h"

#define PODS  "/api/v1/namespaces/default/pods"
#define MERGE "application/merge-patch+json"

static char *make_web(Fixture *f)
{
	_cleanup_(json_decrefp) json_t *made = call(
		f, 201, "POST", INSTANCES, NULL,
		"{\"metadata\":{\"name\":\"vm\",\"labels\":{\"app\":\"web\"}},\"spec\":{"
		"\"cpus\":2,\"memory\":\"1Gi\",\"disks\":[{\"name\":\"root\",\"size\":\"1Gi\"}]}}");

	return xstrdup(json_string_at(made, "metadata.uid"));
}

static void set_status(Fixture *f, const char *status)
{
	_cleanup_(xfreep) char *body = xasprintf("{\"status\":%s}", status);

	call_done(f, 200, "PATCH", INSTANCES "/vm/status", MERGE, body);
}

#define RUNNING \
	"{\"printableStatus\":\"Running\",\"startTime\":\"2026-01-01T00:00:00Z\",\"conditions\":[" \
	"{" \
	"\"type\":\"Ready\",\"status\":\"True\",\"reason\":\"Running\"}],\"interfaces\":[{" \
	"\"name\":" \
	"\"eth0\",\"addresses\":[\"10.20.0.10\",\"fd00::10\"]}]}"

static const json_t *first(const json_t *tree, const char *list)
{
	return json_array_get(json_at(tree, list), 0);
}

/* ---- reading ---- */

static void test_pod(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_web(f);
	_cleanup_(json_decrefp) json_t *pending = NULL, *pod = NULL, *again = NULL;
	const json_t *c;

	pending = call(f, 200, "GET", PODS "/vm", NULL, NULL);
	expect_text(pending, "kind", "Pod");
	expect_text(pending, "status.phase", "Pending");
	set_status(f, RUNNING);
	pod = call(f, 200, "GET", PODS "/vm", NULL, NULL);
	expect_text(pod, "metadata.labels.app", "web");
	expect_text(pod, "status.phase", "Running");
	expect_text(pod, "status.podIP", "10.20.0.10");
	assert_int_equal(json_array_size(json_at(pod, "status.podIPs")), 2);
	expect_text(pod, "spec.nodeName", "node-1");
	expect_text(first(pod, "metadata.ownerReferences"), "uid", uid);
	expect_text(first(pod, "metadata.ownerReferences"), "kind", "Instance");
	c = first(pod, "spec.containers");
	expect_text(c, "name", "console");
	expect_text(c, "resources.limits.cpu", "2");
	expect_text(c, "resources.limits.memory", "1Gi");
	c = first(pod, "status.containerStatuses");
	assert_true(json_bool_at(c, "ready", false));
	expect_text(c, "state.running.startedAt", "2026-01-01T00:00:00Z");
	/* A uid of its own, and always the same. */
	again = call(f, 200, "GET", PODS "/vm", NULL, NULL);
	assert_string_not_equal(json_string_at(pod, "metadata.uid"), uid);
	expect_text(again, "metadata.uid", json_string_at(pod, "metadata.uid"));
	call_fails(f, 404, "NotFound", "GET", PODS "/none", NULL, NULL);
}

static void test_phases(void **state)
{
	static const struct {
		const char *status, *phase, *state;
	} cases[] = {
		{"{\"printableStatus\":\"Provisioning\"}", "Pending",   "waiting"   },
		{ "{\"printableStatus\":\"Paused\"}",      "Running",   "running"   },
		{ "{\"printableStatus\":\"Stopped\"}",     "Pending",   "waiting"   },
		{ "{\"printableStatus\":\"Stopped\",\"lastTermination\":{\"reason\":"
		  "\"GuestShutdown\"}}",  "Succeeded", "terminated"},
		{ "{\"printableStatus\":\"Stopped\",\"lastTermination\":{\"reason\":"
		  "\"GuestPanicked\"}}",  "Failed",    "terminated"},
		{ "{\"printableStatus\":\"CrashLoopBackOff\",\"lastTermination\":{\"reason\":"
		  "\"GuestPanicked\"}}",  "Running",   "waiting"   },
	};
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_web(f);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(json_decrefp) json_t *pod = NULL;
		const json_t *c;

		set_status(f, cases[i].status);
		pod = call(f, 200, "GET", PODS "/vm", NULL, NULL);
		expect_text(pod, "status.phase", cases[i].phase);
		c = first(pod, "status.containerStatuses");
		if (!json_object_get(json_object_get(c, "state"), cases[i].state))
			fail_msg("%s: no state %s", cases[i].status, cases[i].state);
	}
}

static size_t count(Fixture *f, const char *target)
{
	_cleanup_(json_decrefp) json_t *list = call(f, 200, "GET", target, NULL, NULL);

	expect_text(list, "kind", "PodList");
	return json_array_size(json_object_get(list, "items"));
}

static void test_list(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_web(f);

	assert_int_equal(count(f, PODS), 1);
	assert_int_equal(count(f, "/api/v1/pods?labelSelector=app%3Dweb"), 1);
	assert_int_equal(count(f, "/api/v1/pods?labelSelector=app%3Ddb"), 0);
	/* Fields are those of a pod. */
	assert_int_equal(count(f, PODS "?fieldSelector=status.phase%3DPending"), 1);
	assert_int_equal(count(f, PODS "?fieldSelector=status.phase%3DRunning"), 0);
	assert_int_equal(count(f, PODS "?fieldSelector=spec.nodeName%3Dnode-1"), 1);
	assert_int_equal(count(f, PODS "?fieldSelector=metadata.name%3Dvm"), 1);
}

#define ELSEWHERE \
	"{\"metadata\":{\"name\":\"vm\"},\"spec\":{\"nodeName\":\"elsewhere\",\"disks\":[{" \
	"\"name\":" \
	"\"root\",\"size\":\"1Gi\"}]}}"

/* What is asked for is no news of where it is: that comes from who runs it. */
static void test_node(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *pod = NULL;

	call_done(f, 201, "POST", INSTANCES, NULL, ELSEWHERE);
	expect_cell(f, INSTANCES, "Node", "null");
	set_status(f, "{\"printableStatus\":\"Running\",\"nodeName\":\"node-1\"}");
	expect_cell(f, INSTANCES, "Node", "\"node-1\"");
	expect_cell(f, PODS, "Node", "\"node-1\"");
	pod = call(f, 200, "GET", PODS "/vm", NULL, NULL);
	expect_text(pod, "spec.nodeName", "node-1");
	assert_int_equal(count(f, PODS "?fieldSelector=spec.nodeName%3Dnode-1"), 1);
	assert_int_equal(count(f, PODS "?fieldSelector=spec.nodeName%3Delsewhere"), 0);
}

static void test_table(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_web(f);

	set_status(f, RUNNING);
	expect_cell(f, PODS, "Name", "\"vm\"");
	expect_cell(f, PODS, "Ready", "\"1/1\"");
	expect_cell(f, PODS, "Status", "\"Running\"");
	expect_cell(f, PODS, "IP", "\"10.20.0.10\"");
}

static json_t *read_event(HttpClient *c, const char *type)
{
	_cleanup_(xfreep) char *line = http_read_line(c, HTTP_DEADLINE_MS, NULL);
	json_t *event = NULL;

	assert_non_null(line);
	assert_int_equal(json_decode(line, strlen(line), &event, NULL), 0);
	expect_text(event, "type", type);
	expect_text(event, "object.kind", "Pod");
	return event;
}

static void test_watch(void **state)
{
	Fixture *f = *state;
	HttpClient *c = http_connect(f->path);
	_cleanup_(xfreep) char *uid = NULL;
	HttpAnswer a;

	/* By a field that only the pod has: it comes when it runs, and goes when it does not. */
	http_request(c, "GET", PODS "?watch=true&fieldSelector=status.phase%3DRunning", "", NULL);
	a = http_read_head(c);
	assert_int_equal(a.code, 200);
	http_answer_done(&a);
	uid = make_web(f);
	set_status(f, RUNNING);
	json_decref(read_event(c, "ADDED"));
	call_done(f, 200, "PATCH", INSTANCES "/vm", MERGE,
		  "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}");
	json_decref(read_event(c, "MODIFIED"));
	set_status(f, "{\"printableStatus\":\"Provisioning\"}");
	json_decref(read_event(c, "DELETED"));
	http_close(c);
}

static size_t count_events(Fixture *f, const char *selector)
{
	_cleanup_(xfreep) char *target =
		xasprintf("/api/v1/namespaces/default/events?fieldSelector=%s", selector);
	_cleanup_(json_decrefp) json_t *list = call(f, 200, "GET", target, NULL, NULL);

	return json_array_size(json_object_get(list, "items"));
}

/* Who asks for a Pod's gets its Instance's; kubectl describe names no kind, but the uid. */
static void test_events(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_web(f);
	_cleanup_(json_decrefp) json_t *pod = call(f, 200, "GET", PODS "/vm", NULL, NULL);
	_cleanup_(xfreep) char *event =
		xasprintf("{\"metadata\":{\"name\":\"e\"},\"involvedObject\":{\"kind\":"
			  "\"Instance\",\"namespace\":"
			  "\"default\",\"name\":\"vm\",\"uid\":\"%s\"},\"reason\":\"Started\"}",
			  uid);
	_cleanup_(xfreep) char *by_uid =
		xasprintf("involvedObject.name%%3Dvm,involvedObject.uid%%3D%s",
			  json_string_at(pod, "metadata.uid"));
	_cleanup_(xfreep) char *of_other =
		xasprintf("involvedObject.name%%3Dother,involvedObject.uid%%3D%s",
			  json_string_at(pod, "metadata.uid"));

	call_done(f, 201, "POST", "/api/v1/namespaces/default/events", NULL, event);
	assert_int_equal(count_events(f, by_uid), 1);
	assert_int_equal(count_events(f, of_other), 0);
	assert_int_equal(count_events(f, "involvedObject.kind%3DPod,involvedObject.name%3Dvm,"
					 "involvedObject.apiVersion%3Dv1"),
			 1);
	assert_int_equal(count_events(f, "involvedObject.kind%3DPod,involvedObject.name%3Dother"),
			 0);
	assert_int_equal(count_events(f, "involvedObject.kind%3DNode,involvedObject.name%3Dvm"), 0);
	assert_int_equal(count_events(f, "involvedObject.name%3Dvm,involvedObject.uid%3Dx"), 0);
}

static void test_writes_are_refused(void **state)
{
	static const char *const methods[] = { "PUT", "PATCH", "DELETE" };
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_web(f);
	_cleanup_(json_decrefp) json_t *status = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		call_fails(f, 405, "MethodNotAllowed", methods[i], PODS "/vm", MERGE, "{}");
	call_fails(f, 405, "MethodNotAllowed", "DELETE", PODS, NULL, NULL);
	status = call(f, 405, "POST", PODS, NULL, "{\"metadata\":{\"name\":\"x\"}}");
	assert_non_null(strstr(json_string_at(status, "message"), "instances.shakenfist.io"));
	call_fails(f, 501, "NotImplemented", "POST", PODS "/vm/exec?command=ls", NULL, NULL);
	call_fails(f, 501, "NotImplemented", "GET", PODS "/vm/exec?command=ls", NULL, NULL);
	call_fails(f, 501, "NotImplemented", "POST", PODS "/vm/portforward", NULL, NULL);
}

/* ---- log ---- */

static void expect_log(Fixture *f, const char *query, const char *want)
{
	_cleanup_(xfreep) char *target = xasprintf(PODS "/vm/log%s", query);
	HttpAnswer a = http_call(f->path, "GET", target, NULL, NULL);

	if (a.code != 200 || !streq(a.body, want))
		fail_msg("%s: %d \"%s\", expected \"%s\"", query, a.code, a.body, want);
	http_answer_done(&a);
}

static void test_log(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_web(f);
	HttpAnswer a;

	call_fails(f, 400, "BadRequest", "GET", PODS "/vm/log", NULL, NULL);
	fake_console_print(f->console, "default.vm", uid, "one\ntwo\n");
	expect_log(f, "?container=console&tailLines=1", "two\n");
	expect_log(f, "?sinceSeconds=3600", "one\ntwo\n");
	expect_log(f, "?sinceTime=2020-01-01T00:00:00Z", "one\ntwo\n");
	/* Nothing has come since then. */
	expect_log(f, "?sinceTime=2999-01-01T00:00:00Z", "");
	call_fails(f, 400, "BadRequest", "GET", PODS "/vm/log?container=other", NULL, NULL);
	call_fails(f, 400, "BadRequest", "GET", PODS "/vm/log?previous=true", NULL, NULL);
	call_fails(f, 400, "BadRequest", "GET", PODS "/vm/log?sinceSeconds=0", NULL, NULL);
	call_fails(f, 400, "BadRequest", "GET", PODS "/vm/log?sinceTime=x", NULL, NULL);
	call_fails(f, 404, "NotFound", "GET", PODS "/none/log", NULL, NULL);
	a = http_call(f->path, "GET", PODS "/vm/log?timestamps=true", NULL, NULL);
	/* "2026-01-31T12:00:00.000000000Z one" */
	assert_int_equal(a.len, 2 * 31 + 8);
	assert_memory_equal(a.body + 29, "Z one\n", 6);
	assert_memory_equal(a.body + 31 + 4 + 29, "Z two\n", 6);
	http_answer_done(&a);
}

/* A line that comes in parts gets one time, and so does each that follows. */
static void test_log_timestamps_follow(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_web(f);
	HttpClient *c = http_connect(f->path);
	_cleanup_(xfreep) char *one = NULL, *two = NULL;
	HttpAnswer a;

	fake_console_print(f->console, "default.vm", uid, "on");
	http_request(c, "GET", PODS "/vm/log?follow=true&timestamps=true", "", NULL);
	a = http_read_head(c);
	assert_int_equal(a.code, 200);
	http_answer_done(&a);
	fake_console_print(f->console, "default.vm", uid, "e\ntwo\n");
	one = http_read_line(c, HTTP_DEADLINE_MS, NULL);
	two = http_read_line(c, HTTP_DEADLINE_MS, NULL);
	assert_string_equal(one + 31, "one");
	assert_string_equal(two + 31, "two");
	http_close(c);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_pod),    TEST(test_phases),
		TEST(test_list),   TEST(test_node),
		TEST(test_table),  TEST(test_watch),
		TEST(test_events), TEST(test_writes_are_refused),
		TEST(test_log),    TEST(test_log_timestamps_follow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
