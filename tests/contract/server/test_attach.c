/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kubectl attach and a forwarded port, over a WebSocket whose frames are made here by hand.
 */
#include "tests/contract/server/fixture.h"

#include <poll.h>
#include <sys/socket.h>

#include "server/websocket.h"

#define PODS "/api/v1/namespaces/default/pods"
#define KEY  "dGhlIHNhbXBsZSBub25jZQ=="
#define WEBSOCKET \
	"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
	"Sec-WebSocket-Key: " KEY "\r\n"
#define ATTACH PODS "/vm/attach?container=console&stdin=true&stdout=true&tty=true"

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
		ssize_t got = http_read_raw(c, (char *)p + at, n - at, HTTP_DEADLINE_MS);

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
	assert_int_equal(http_read_raw(c, &byte, 1, HTTP_DEADLINE_MS), 0);
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
	assert_int_equal(http_read_raw(c, &byte, 1, HTTP_DEADLINE_MS), 0);
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
	assert_int_equal(http_read_raw(c, &byte, 1, HTTP_DEADLINE_MS), 0);
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
	assert_int_equal(http_read_raw(c, &byte, 1, HTTP_DEADLINE_MS), 0);
	http_close(c);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
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
