/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods, which only show Instances: get, list, watch, tables, what is refused, logs, and attach over
 * a WebSocket whose frames are made here by hand.
 */
#include "tests/contract/server/fixture.h"

#include <poll.h>
#include <sys/socket.h>

#include "server/websocket.h"

#define PODS  "/api/v1/namespaces/default/pods"
#define MERGE "application/merge-patch+json"
#define KEY   "dGhlIHNhbXBsZSBub25jZQ=="
#define WEBSOCKET \
	"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
	"Sec-WebSocket-Key: " KEY "\r\n"
#define ATTACH PODS "/vm/attach?container=console&stdin=true&stdout=true&tty=true"

static char *make_instance(Fixture *f)
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
	_cleanup_(xfreep) char *uid = make_instance(f);
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
	_cleanup_(xfreep) char *uid = make_instance(f);

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
	_cleanup_(xfreep) char *uid = make_instance(f);

	assert_int_equal(count(f, PODS), 1);
	assert_int_equal(count(f, "/api/v1/pods?labelSelector=app%3Dweb"), 1);
	assert_int_equal(count(f, "/api/v1/pods?labelSelector=app%3Ddb"), 0);
	/* Fields are those of a pod. */
	assert_int_equal(count(f, PODS "?fieldSelector=status.phase%3DPending"), 1);
	assert_int_equal(count(f, PODS "?fieldSelector=status.phase%3DRunning"), 0);
	assert_int_equal(count(f, PODS "?fieldSelector=spec.nodeName%3Dnode-1"), 1);
	assert_int_equal(count(f, PODS "?fieldSelector=metadata.name%3Dvm"), 1);
}

static void test_table(void **state)
{
	static const char *const want[] = { "vm", "1/1", "Running" };
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_instance(f);
	HttpClient *c = http_connect(f->path);
	HttpAnswer a;
	json_t *cells;

	set_status(f, RUNNING);
	http_request(c, "GET", PODS, "Accept: application/json;as=Table;v=v1;g=meta.k8s.io\r\n",
		     NULL);
	a = http_read_answer(c);
	cells = json_object_get(json_array_get(json_object_get(a.json, "rows"), 0), "cells");
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		assert_string_equal(json_string_value(json_array_get(cells, i)), want[i]);
	/* Behind the age: the columns of -o wide. */
	assert_string_equal(json_string_value(json_array_get(cells, 5)), "10.20.0.10");
	http_answer_done(&a);
	http_close(c);
}

static json_t *read_event(HttpClient *c, const char *type)
{
	_cleanup_(xfreep) char *line = http_read_line(c, 5000, NULL);
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
	uid = make_instance(f);
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
	_cleanup_(xfreep) char *uid = make_instance(f);
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
	_cleanup_(xfreep) char *uid = make_instance(f);
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
	_cleanup_(xfreep) char *uid = make_instance(f);
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
	_cleanup_(xfreep) char *uid = make_instance(f);
	HttpClient *c = http_connect(f->path);
	_cleanup_(xfreep) char *one = NULL, *two = NULL;
	HttpAnswer a;

	fake_console_print(f->console, "default.vm", uid, "on");
	http_request(c, "GET", PODS "/vm/log?follow=true&timestamps=true", "", NULL);
	a = http_read_head(c);
	assert_int_equal(a.code, 200);
	http_answer_done(&a);
	fake_console_print(f->console, "default.vm", uid, "e\ntwo\n");
	one = http_read_line(c, 5000, NULL);
	two = http_read_line(c, 5000, NULL);
	assert_string_equal(one + 31, "one");
	assert_string_equal(two + 31, "two");
	http_close(c);
}

/* ---- attach ---- */

static HttpClient *attach(Fixture *f, const char *target, const char *protocol)
{
	_cleanup_(xfreep) char *headers =
		protocol ? xasprintf(WEBSOCKET "Sec-WebSocket-Protocol: %s\r\n", protocol)
			 : xstrdup(WEBSOCKET);
	HttpClient *c = http_connect(f->path);
	_cleanup_(xfreep) char *accept = NULL;
	HttpAnswer a;

	http_request(c, "GET", target, headers, NULL);
	a = http_read_head(c);
	if (a.code != 101)
		fail_msg("%s: %d", target, a.code);
	accept = http_header(&a, "Sec-WebSocket-Accept");
	assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	if (protocol) {
		_cleanup_(xfreep) char *chosen = http_header(&a, "Sec-WebSocket-Protocol");

		assert_non_null(strstr(protocol, chosen));
	}
	http_answer_done(&a);
	return c;
}

/* A masked frame, as a client sends it. */
static void send_frame(HttpClient *c, unsigned char first_byte, const char *p, size_t n)
{
	static const unsigned char mask[4] = { 0x37, 0xfa, 0x21, 0x3d };
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;

	assert_true(n < 126);
	strbuf_addc(&b, (char)first_byte);
	strbuf_addc(&b, (char)(0x80 | n));
	strbuf_add(&b, mask, 4);
	for (size_t i = 0; i < n; i++)
		strbuf_addc(&b, (char)(p[i] ^ mask[i & 3]));
	http_send(c, b.buf, b.len);
}

static void read_exactly(HttpClient *c, void *p, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t got = http_read_raw(c, (char *)p + at, n - at, 5000);

		if (got <= 0)
			fail_msg("end or timeout after %zu of %zu bytes", at, n);
		at += (size_t)got;
	}
}

/* One short frame. */
static void expect_frame(HttpClient *c, unsigned char first_byte, const char *p, size_t n)
{
	unsigned char head[2];
	char got[128];

	read_exactly(c, head, 2);
	assert_int_equal(head[0], first_byte);
	assert_int_equal(head[1], n);
	read_exactly(c, got, n);
	assert_memory_equal(got, p, n);
}

static void wait_typed(Fixture *f, const char *want)
{
	char buf[256];

	for (int i = 0; i < 500; i++) {
		size_t n = fake_console_typed(f->console, "default.vm", buf, sizeof(buf));

		if (n == strlen(want) && memcmp(buf, want, n) == 0)
			return;
		poll(NULL, 0, 10);
	}
	fail_msg("\"%s\" was not typed", want);
}

#define SUCCESS "{\"metadata\":{},\"status\":\"Success\"}"

static void test_attach(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_instance(f);
	HttpClient *c;
	char byte;

	fake_console_print(f->console, "default.vm", uid, "");
	c = attach(f, ATTACH, "v5.channel.k8s.io");
	expect_frame(c, 0x82, "\1", 1); /* connected */
	fake_console_print(f->console, "default.vm", NULL, "login: ");
	expect_frame(c, 0x82, "\1login: ", 8);
	/* In two fragments, a ping and a resize between and behind them. */
	send_frame(c, 0x02, "\0ro", 3);
	send_frame(c, 0x89, "hi", 2);
	expect_frame(c, 0x8a, "hi", 2);
	send_frame(c, 0x80, "ot\n", 3);
	send_frame(c, 0x82, "\4{\"Width\":80,\"Height\":24}", 25);
	wait_typed(f, "root\n");
	/* stdin ends: nothing more is typed, and what the guest prints still comes. */
	send_frame(c, 0x82, "\xff\0", 2);
	send_frame(c, 0x82, "\0lost", 5);
	fake_console_print(f->console, "default.vm", NULL, "$ ");
	expect_frame(c, 0x82, "\1$ ", 3);
	wait_typed(f, "");
	fake_console_end(f->console, "default.vm");
	expect_frame(c, 0x82, "\3" SUCCESS, sizeof(SUCCESS));
	expect_frame(c, 0x88, "\x03\xe8", 2);
	send_frame(c, 0x88, "\x03\xe8", 2);
	assert_int_equal(http_read_raw(c, &byte, 1, 5000), 0);
	http_close(c);
}

static void test_attach_client_closes(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_instance(f);
	HttpClient *c;
	char byte;

	fake_console_print(f->console, "default.vm", uid, "");
	c = attach(f, PODS "/vm/attach?stdin=true", "v4.channel.k8s.io");
	send_frame(c, 0x82, "\0x", 2);
	wait_typed(f, "x");
	send_frame(c, 0x88,
		   "\x03\xe9"
		   "bye",
		   5);
	expect_frame(c, 0x88, "\x03\xe9", 2);
	assert_int_equal(http_read_raw(c, &byte, 1, 5000), 0);
	http_close(c);
	for (int i = 0; i < 500 && fake_console_attached(f->console, "default.vm"); i++)
		poll(NULL, 0, 10);
	assert_int_equal(fake_console_attached(f->console, "default.vm"), 0);
}

static void test_attach_base64(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_instance(f);
	HttpClient *c;

	fake_console_print(f->console, "default.vm", uid, "");
	c = attach(f, ATTACH, "nothing.of.ours, base64.channel.k8s.io");
	expect_frame(c, 0x81, "1", 1);
	send_frame(c, 0x81, "0bHMK", 5);
	wait_typed(f, "ls\n");
	fake_console_print(f->console, "default.vm", NULL, "a");
	expect_frame(c, 0x81, "1YQ==", 5);
	http_close(c);
}

/* Without a protocol it is the oldest one; without stdin nothing is typed. */
static void test_attach_output_only(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_instance(f);
	HttpClient *c;

	fake_console_print(f->console, "default.vm", uid, "");
	c = attach(f, PODS "/vm/attach?stdout=true", NULL);
	expect_frame(c, 0x82, "\1", 1);
	send_frame(c, 0x82, "\0x", 2);
	fake_console_print(f->console, "default.vm", NULL, "a");
	expect_frame(c, 0x82, "\1a", 2);
	wait_typed(f, "");
	fake_console_end(f->console, "default.vm");
	expect_frame(c, 0x88, "\x03\xe8", 2); /* it had no Status yet */
	http_close(c);
}

static void test_attach_protocol_error(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_instance(f);
	HttpClient *c;
	char byte;

	fake_console_print(f->console, "default.vm", uid, "");
	c = attach(f, ATTACH, "v5.channel.k8s.io");
	expect_frame(c, 0x82, "\1", 1);
	http_send(c, "\x82\x02\0x", 4); /* not masked */
	expect_frame(c, 0x88, "\x03\xea", 2);
	assert_int_equal(http_read_raw(c, &byte, 1, 5000), 0);
	http_close(c);
}

static void test_attach_refusals(void **state)
{
	static const struct {
		const char *method, *target, *headers;
		int code;
	} cases[] = {
		{"GET",   ATTACH,				       "",							400},
		{ "GET",  ATTACH,				       "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n",            400},
		{ "POST", ATTACH,
                 "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n",                                              409},
		{ "GET",  ATTACH,
                 "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
		  "12\r\nSec-WebSocket-Key: " KEY "\r\n",
                 400														  },
		{ "GET",  ATTACH,
                 "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
		  "13\r\nSec-WebSocket-Key: short\r\n",									    400},
		{ "GET",  ATTACH,				       WEBSOCKET "Sec-WebSocket-Protocol: v9.channel.k8s.io\r\n", 400},
		{ "GET",  PODS "/vm/attach",                            WEBSOCKET,                                                 400},
		{ "GET",  PODS "/vm/attach?stdin=true&container=other", WEBSOCKET,                                                 400},
		{ "GET",  PODS "/none/attach?stdin=true",               WEBSOCKET,                                                 404},
	};
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_instance(f);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		HttpClient *c = http_connect(f->path);
		HttpAnswer a;

		http_request(c, cases[i].method, cases[i].target, cases[i].headers, NULL);
		a = http_read_answer(c);
		if (a.code != cases[i].code)
			fail_msg("case %zu: %d %s", i, a.code, a.body);
		expect_text(a.json, "kind", "Status");
		http_answer_done(&a);
		http_close(c);
	}
}

/* As client-node and Python's client forward a port: data on channel 0, errors on channel 1. */
static void test_portforward(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_instance(f);
	char buf[16];
	HttpClient *c;
	int guest;

	make_reachable(f, "10.20.0.10");
	c = attach(f, PODS "/vm/portforward?ports=8080", "v4.channel.k8s.io");
	guest = fake_network_accept(f->network);
	assert_true(guest >= 0);
	expect_frame(c, 0x82, "\0\x90\x1f", 3);
	expect_frame(c, 0x82, "\1\x90\x1f", 3);
	send_frame(c, 0x82, "\0ping", 5);
	assert_int_equal(recv(guest, buf, 4, MSG_WAITALL), 4);
	assert_memory_equal(buf, "ping", 4);
	assert_int_equal(send(guest, "pong", 4, 0), 4);
	expect_frame(c, 0x82, "\0pong", 5);
	fd_close(guest);
	expect_frame(c, 0x88, "\x03\xe8", 2); /* and no Status */
	http_close(c);
}

static void test_portforward_refusals(void **state)
{
	static const struct {
		const char *query, *protocol;
		int code;
	} cases[] = {
		{"?ports=0",      "v4.channel.k8s.io",           400},
		{ "",             "v4.channel.k8s.io",           400},
		{ "?ports=80,81", "v4.channel.k8s.io",           400},
		{ "?ports=80",    "v4.channel.k8s.io",           409},
		{ "?ports=80",    "SPDY/3.1+portforward.k8s.io", 501},
	};
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_instance(f);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		HttpClient *c = http_connect(f->path);
		_cleanup_(xfreep) char *target =
			xasprintf(PODS "/vm/portforward%s", cases[i].query);
		_cleanup_(xfreep) char *headers =
			xasprintf(WEBSOCKET "Sec-WebSocket-Protocol: %s\r\n", cases[i].protocol);
		HttpAnswer a;

		http_request(c, "GET", target, headers, NULL);
		a = http_read_answer(c);
		if (a.code != cases[i].code)
			fail_msg("case %zu: %d %s", i, a.code, a.body);
		http_answer_done(&a);
		http_close(c);
	}
}

static void test_stop_while_attached(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_instance(f);
	HttpClient *c;
	char byte;

	fake_console_print(f->console, "default.vm", uid, "");
	c = attach(f, ATTACH, "v5.channel.k8s.io");
	expect_frame(c, 0x82, "\1", 1);
	server_stop(f->server, USEC_PER_SEC);
	assert_int_equal(http_read_raw(c, &byte, 1, 5000), 0);
	http_close(c);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_pod),
		TEST(test_phases),
		TEST(test_list),
		TEST(test_table),
		TEST(test_watch),
		TEST(test_events),
		TEST(test_writes_are_refused),
		TEST(test_log),
		TEST(test_log_timestamps_follow),
		TEST(test_attach),
		TEST(test_attach_client_closes),
		TEST(test_attach_base64),
		TEST(test_attach_output_only),
		TEST(test_attach_protocol_error),
		TEST(test_attach_refusals),
		TEST(test_portforward),
		TEST(test_portforward_refusals),
		TEST(test_stop_while_attached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
