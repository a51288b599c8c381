/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log, console and portforward over the fakes: text, follow, raw streams both ways, refusals.
 */
#include "tests/contract/server/fixture.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#define UPGRADE "Connection: Upgrade\r\nUpgrade: sfd-stream\r\n"

static void test_log(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_instance(f);
	HttpAnswer a;

	call_fails(f, 409, "Conflict", "GET", INSTANCES "/vm/log", NULL, NULL);
	call_fails(f, 404, "NotFound", "GET", INSTANCES "/none/log", NULL, NULL);
	fake_console_print(f->console, "default.vm", uid, "one\ntwo\nthree\n");
	a = http_call(f->path, "GET", INSTANCES "/vm/log", NULL, NULL);
	assert_int_equal(a.code, 200);
	assert_string_equal(a.body, "one\ntwo\nthree\n");
	http_answer_done(&a);
	a = http_call(f->path, "GET", INSTANCES "/vm/log?tailLines=2", NULL, NULL);
	assert_string_equal(a.body, "two\nthree\n");
	http_answer_done(&a);
	a = http_call(f->path, "GET", INSTANCES "/vm/log?tailLines=0", NULL, NULL);
	assert_string_equal(a.body, "");
	http_answer_done(&a);
	a = http_call(f->path, "GET", INSTANCES "/vm/log?tailLines=99&limitBytes=5", NULL, NULL);
	assert_string_equal(a.body, "one\nt");
	http_answer_done(&a);
	call_fails(f, 400, "BadRequest", "GET", INSTANCES "/vm/log?tailLines=x", NULL, NULL);
}

static void test_log_follow(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_instance(f);
	HttpClient *c = http_connect(f->path);
	char *line;
	HttpAnswer a;

	fake_console_print(f->console, "default.vm", uid, "first\n");
	http_request(c, "GET", INSTANCES "/vm/log?follow=true", "", NULL);
	a = http_read_head(c);
	assert_int_equal(a.code, 200);
	http_answer_done(&a);
	line = http_read_line(c, HTTP_DEADLINE_MS, NULL);
	assert_string_equal(line, "first");
	free(line);
	fake_console_print(f->console, "default.vm", uid, "second\n");
	line = http_read_line(c, HTTP_DEADLINE_MS, NULL);
	assert_string_equal(line, "second");
	free(line);
	/* The log is moved away, which the follower does not notice: it goes on with the next one.
	 */
	fake_console_print(f->console, "default.vm", uid, "third\n");
	fake_console_rotate(f->console, uid);
	fake_console_print(f->console, "default.vm", uid, "fourth\n");
	for (size_t i = 0; i < 2; i++) {
		line = http_read_line(c, HTTP_DEADLINE_MS, NULL);
		assert_string_equal(line, i ? "fourth" : "third");
		free(line);
	}
	/* The instance is gone: there is nothing to wait for. */
	fake_console_remove(f->console, uid);
	assert_null(http_read_line(c, HTTP_DEADLINE_MS, NULL));
	http_close(c);
}

static HttpClient *upgrade(Fixture *f, const char *target)
{
	HttpClient *c = http_connect(f->path);
	HttpAnswer a;

	http_request(c, "GET", target, UPGRADE, NULL);
	a = http_read_head(c);
	if (a.code != 101)
		fail_msg("%s: %d", target, a.code);
	http_answer_done(&a);
	return c;
}

static void read_text(HttpClient *c, const char *want)
{
	char buf[256];
	size_t len = 0;

	while (len < strlen(want)) {
		ssize_t n = http_read_raw(c, buf + len, sizeof(buf) - 1 - len, HTTP_DEADLINE_MS);

		if (n <= 0)
			fail_msg("end or timeout after %zu bytes of \"%s\"", len, want);
		len += (size_t)n;
	}
	buf[len] = '\0';
	assert_string_equal(buf, want);
}

static void test_console(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_instance(f);
	char byte;
	HttpClient *c;

	fake_console_print(f->console, "default.vm", uid, "");
	c = upgrade(f, INSTANCES "/vm/console");
	fake_console_print(f->console, "default.vm", uid, "login: ");
	read_text(c, "login: ");
	http_sendf(c, "root\n");
	wait_typed(f, "root\n");
	fake_console_end(f->console, "default.vm");
	assert_int_equal(http_read_raw(c, &byte, 1, HTTP_DEADLINE_MS), 0);
	http_close(c);
}

static void test_console_client_leaves(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_instance(f);
	HttpClient *c;

	fake_console_print(f->console, "default.vm", uid, "");
	for (int i = 0; i < 100; i++) { /* more than may be open at once */
		c = upgrade(f, INSTANCES "/vm/console");
		http_close(c);
		for (int j = 0; j < 500 && fake_console_attached(f->console, "default.vm"); j++)
			poll(NULL, 0, 10);
	}
}

static void test_portforward(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_instance(f);
	char buf[16] = "";
	HttpClient *c;
	int guest;

	make_reachable(f, "10.20.0.10");
	c = upgrade(f, INSTANCES "/vm/portforward?port=80&interface=eth0");
	guest = fake_network_accept(f->network);
	assert_true(guest >= 0);
	http_sendf(c, "ping");
	assert_int_equal(recv(guest, buf, 4, MSG_WAITALL), 4);
	assert_memory_equal(buf, "ping", 4);
	/* The client is done sending, and still gets its answer. */
	assert_int_equal(shutdown(c->fd, SHUT_WR), 0);
	assert_int_equal(recv(guest, buf, 1, 0), 0);
	assert_int_equal(send(guest, "pong", 4, 0), 4);
	read_text(c, "pong");
	fd_close(guest);
	assert_int_equal(http_read_raw(c, buf, 1, HTTP_DEADLINE_MS), 0);
	http_close(c);
}

static void test_stream_refusals(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_instance(f);
	HttpClient *c = http_connect(f->path);
	HttpAnswer a;

	call_done(f, 426, "GET", INSTANCES "/vm/console", NULL, NULL);
	http_request(c, "GET", INSTANCES "/vm/portforward?port=0", UPGRADE, NULL);
	a = http_read_answer(c);
	assert_int_equal(a.code, 400);
	http_answer_done(&a);
	http_request(c, "GET", INSTANCES "/vm/portforward?port=22", UPGRADE, NULL);
	a = http_read_answer(c);
	assert_int_equal(a.code, 409); /* it has no address yet */
	http_answer_done(&a);
	fake_console_set_failure(f->console, ERR_UNAVAILABLE);
	http_request(c, "GET", INSTANCES "/vm/console", UPGRADE, NULL);
	a = http_read_answer(c);
	assert_int_equal(a.code, 503);
	http_answer_done(&a);
	http_close(c);
}

static void set_status(Fixture *f, const char *status)
{
	_cleanup_(xfreep) char *body = xasprintf("{\"status\":%s}", status);

	call_done(f, 200, "PATCH", INSTANCES "/vm/status", "application/merge-patch+json", body);
}

static void expect_refusal(Fixture *f, const char *target, int code, const char *want)
{
	HttpClient *c = http_connect(f->path);
	HttpAnswer a;

	http_request(c, "GET", target, UPGRADE, NULL);
	a = http_read_answer(c);
	if (a.code != code)
		fail_msg("%s: %d %s", target, a.code, a.body);
	expect_text(a.json, "message", want);
	http_answer_done(&a);
	http_close(c);
}

/* A guest that is off is said to be off, and what to do about it. */
static void test_console_of_stopped(void **state)
{
	static const struct {
		const char *status, *message;
	} cases[] = {
		{"{}",							   "instance vm is not running"                                 },
		{ "{\"printableStatus\":\"Stopped\",\"conditions\":[{\"type\":\"Ready\",\"status\":"
		  "\"False\","
		  "\"message\":\"shut down by sfctl stop\"}]}", "instance vm is not running: Stopped: shut down by sfctl stop; start it: sfctl "
		  "start vm"				  },
		{ "{\"printableStatus\":\"Pending\",\"conditions\":[{\"type\":\"Ready\",\"status\":"
		  "\"False\","
		  "\"message\":\"waits for image debian\"}]}",  "instance vm is not running: Pending: waits for image debian"},
 /* It runs as far as is known: what the hypervisor says then. */
		{ "{\"printableStatus\":\"Running\",\"conditions\":[]}",
                 "cannot connect to instance vm: console: fake failure"                                                                       },
	};
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_instance(f);

	fake_console_set_failure(f->console, ERR_CONFLICT);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		set_status(f, cases[i].status);
		expect_refusal(f, INSTANCES "/vm/console", 409, cases[i].message);
	}
	set_status(f, cases[1].status);
	fake_console_set_failure(f->console, ERR_NOT_FOUND);
	expect_refusal(f, INSTANCES "/vm/console", 409, cases[1].message);
}

/* Nothing was changed, so there is nothing to be unsure about: it is the guest that is silent. */
static void test_silent_port(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_instance(f);

	make_reachable(f, "10.20.0.10");
	fake_network_set_failure(f->network, ERR_TIMEOUT);
	expect_refusal(f, INSTANCES "/vm/portforward?port=22", 504,
		       "port 22 of instance vm does not answer (10s)");
	fake_console_set_failure(f->console, ERR_TIMEOUT);
	expect_refusal(f, INSTANCES "/vm/console", 504,
		       "the console of instance vm does not answer (10s)");
}

static void test_stop_with_console_open(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *uid = make_instance(f);
	HttpClient *c;
	char byte;

	fake_console_print(f->console, "default.vm", uid, "");
	c = upgrade(f, INSTANCES "/vm/console");
	server_stop(f->server, USEC_PER_SEC);
	assert_int_equal(http_read_raw(c, &byte, 1, HTTP_DEADLINE_MS), 0);
	http_close(c);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_log),
		TEST(test_log_follow),
		TEST(test_console),
		TEST(test_console_client_leaves),
		TEST(test_portforward),
		TEST(test_stream_refusals),
		TEST(test_console_of_stopped),
		TEST(test_silent_port),
		TEST(test_stop_with_console_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
