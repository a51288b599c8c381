/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client against a scripted server: answers, errors, watches, streams, upgrades, and servers that
 * are not there or misbehave.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/memory.h"
#include "client/client.h"
#include "tests/lib/http_fake.h"
#include "json/json.h"

static Client *client_to(HttpFake *f)
{
	Client *c = NULL;

	assert_int_equal(client_new(http_fake_address(f), &c, NULL), 0);
	return c;
}

static void test_addresses(void **state _unused_)
{
	static const char *const good[] = { "unix:/run/x.sock", "unix:///run/x.sock",
					    "/run/x.sock",      "http://127.0.0.1:8080",
					    "http://[::1]:80/", "tcp:localhost:1",
					    "https://h",        "https://[::1]:6443/" };
	static const char *const bad[] = { "",
					   "unix:",
					   "unix:relative",
					   "https://",
					   "http://127.0.0.1",
					   "http://:80",
					   "http://h:port",
					   "http://h:123456",
					   "http://a@b:80",
					   "http://h:80/x",
					   "http://[::1:80",
					   "ftp://h:1" };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		_cleanup_(client_freep) Client *c = NULL;

		assert_int_equal(client_new(good[i], &c, NULL), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(error_done) Error err = ERROR_INIT;
		Client *c = NULL;

		assert_true(client_new(bad[i], &c, &err) < 0);
		assert_null(c);
		assert_non_null(strstr(error_message(&err), "server '"));
	}
}

static void test_call(void **state _unused_)
{
	HttpRule rules[] = {
		HTTP_RULE(.method = "GET", .path = "/version", .body = "{\"minor\":\"34\"}"),
		HTTP_RULE(.method = "POST", .path = "/things?x=a%20b", .code = 201,
			  .body = "{\"a\":1}",
			  .headers = "Warning: 299 - \"say \\\"hello\\\"\"\r\nwarning: 299 - "
				     "\"two\"\r\n"),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(client_freep) Client *c = client_to(f);
	_cleanup_(strbuf_done) StrBuf path = STRBUF_INIT;
	_cleanup_(xfreep) char *log = NULL;
	json_t *answer = NULL, *body = json_pack("{s:s}", "name", "v");

	assert_int_equal(client_call(c, &(ClientRequest){ .method = "GET", .path = "/version" },
				     &answer, NULL),
			 0);
	assert_string_equal(json_string_at(answer, "minor"), "34");
	assert_null(client_warnings(c)[0]);
	json_decref(answer);
	strbuf_adds(&path, "/things?x=");
	url_encode(&path, "a b");
	assert_int_equal(client_call(c,
				     &(ClientRequest){ .method = "POST",
						       .path = strbuf_str(&path),
						       .body = body },
				     &answer, NULL),
			 0);
	assert_int_equal(client_http_code(c), 201);
	assert_string_equal(client_warnings(c)[0], "say \"hello\"");
	assert_string_equal(client_warnings(c)[1], "two");
	assert_null(client_warnings(c)[2]);
	log = http_fake_log(f);
	assert_string_equal(log, "GET /version\nPOST /things?x=a%20b\n{\"name\":\"v\"}\n");
	json_decref(answer);
	json_decref(body);
	http_fake_stop(f);
}

static void test_status_codes(void **state _unused_)
{
	static const struct {
		int http, code;
		const char *reason;
	} cases[] = {
		{404,  ERR_NOT_FOUND,   "NotFound"     },
                { 409, ERR_EXISTS,      "AlreadyExists"},
		{ 409, ERR_CONFLICT,    "Conflict"     },
                { 422, ERR_INVALID,     "Invalid"      },
		{ 400, ERR_INVALID,     "BadRequest"   },
                { 403, ERR_FORBIDDEN,   "Forbidden"    },
		{ 401, ERR_FORBIDDEN,   "Unauthorized" },
                { 410, ERR_GONE,        "Expired"      },
		{ 503, ERR_UNAVAILABLE, "Unheard"      },
                { 504, ERR_TIMEOUT,     "Timeout"      },
		{ 415, ERR_UNSUPPORTED, "Unheard"      },
                { 500, ERR_INTERNAL,    "InternalError"},
		{ 413, ERR_EXHAUSTED,   "Unheard"      },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(xfreep) char *body =
			xasprintf("{\"kind\":\"Status\",\"message\":\"because\",\"reason\":\"%s\","
				  "\"code\":%d}",
				  cases[i].reason, cases[i].http);
		HttpRule rule = { .path = "/x", .code = cases[i].http, .body = body };
		HttpFake *f = http_fake_start(&rule, 1);
		_cleanup_(client_freep) Client *c = client_to(f);
		_cleanup_(error_done) Error err = ERROR_INIT;
		json_t *answer = NULL;

		assert_int_equal(client_call(c, &(ClientRequest){ .method = "GET", .path = "/x" },
					     &answer, &err),
				 -cases[i].code);
		assert_string_equal(error_message(&err), "because");
		assert_string_equal(json_string_at(client_status(c), "reason"), cases[i].reason);
		assert_ptr_equal(answer, client_status(c));
		json_decref(answer);
		http_fake_stop(f);
	}
}

static void test_error_without_status(void **state _unused_)
{
	HttpRule rules[] = { HTTP_RULE(.path = "/html", .code = 502, .type = "text/html",
				       .body = "Bad gateway\nmore"),
			     HTTP_RULE(.path = "/empty", .code = 500),
			     HTTP_RULE(.path = "/page", .code = 404, .type = "text/html",
				       .body = "<html>not here</html>"),
			     HTTP_RULE(.path = "/other", .code = 404, .body = "{\"kind\":\"X\"}"),
			     HTTP_RULE(.path = "/method", .code = 501, .body = "no such method"),
			     HTTP_RULE(.path = "/notjson", .body = "hello"),
			     HTTP_RULE(.path = "/drop", .drop = true),
			     HTTP_RULE(.path = "/raw", .raw = "gibberish\r\n\r\n") };
	static const struct {
		const char *path;
		int code;
		const char *text;
	} cases[] = {
		{"/html",     ERR_UNAVAILABLE, "the server answered 502: Bad gateway"},
		{ "/empty",   ERR_INTERNAL,    "the server answered 500"             },
		{ "/page",    ERR_UNAVAILABLE, "is not sfd: it answered 404"         },
		{ "/other",   ERR_UNAVAILABLE, "is not sfd: it answered 404"         },
		{ "/method",  ERR_UNAVAILABLE, "is not sfd: it answered 501"         },
		{ "/notjson", ERR_INTERNAL,    "the answer is not JSON"              },
		{ "/drop",    ERR_UNAVAILABLE, "connection to sfd at"                },
		{ "/raw",     ERR_UNAVAILABLE, "connection to sfd at"                },
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(client_freep) Client *c = client_to(f);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(error_done) Error err = ERROR_INIT;
		json_t *answer = NULL;

		assert_int_equal(
			client_call(c, &(ClientRequest){ .method = "GET", .path = cases[i].path },
				    &answer, &err),
			-cases[i].code);
		assert_non_null(strstr(error_message(&err), cases[i].text));
		assert_null(answer);
		assert_null(client_status(c));
	}
	http_fake_stop(f);
}

static void test_not_there(void **state _unused_)
{
	_cleanup_(client_freep) Client *c = NULL;
	_cleanup_(error_done) Error err = ERROR_INIT, upgrade_err = ERROR_INIT;
	Context ctx = CONTEXT_BACKGROUND;
	json_t *answer = NULL;
	int fd = -1;

	assert_int_equal(client_new("unix:/nonexistent/sfd.sock", &c, NULL), 0);
	assert_int_equal(
		client_call(c, &(ClientRequest){ .method = "GET", .path = "/" }, &answer, &err),
		-ERR_UNAVAILABLE);
	assert_int_equal(err.os_errno, ENOENT);
	assert_string_equal(error_message(&err), "cannot reach sfd at unix:/nonexistent/sfd.sock: "
						 "No such file or directory");
	assert_int_equal(client_upgrade(c, &ctx, "/x", "sfd-stream", &fd, &upgrade_err),
			 -ERR_UNAVAILABLE);
	assert_int_equal(upgrade_err.os_errno, ENOENT);
	assert_int_equal(fd, -1);
}

static void test_timeout(void **state _unused_)
{
	HttpRule rule = { .path = "/slow", .hang = true };
	HttpFake *f = http_fake_start(&rule, 1);
	_cleanup_(client_freep) Client *c = client_to(f);
	_cleanup_(error_done) Error err = ERROR_INIT;
	json_t *answer = NULL;

	assert_int_equal(client_call(c,
				     &(ClientRequest){ .method = "GET",
						       .path = "/slow",
						       .timeout = 50 * USEC_PER_MSEC },
				     &answer, &err),
			 -ERR_TIMEOUT);
	client_free(TAKE_PTR(c));
	http_fake_stop(f);
}

/* ---- watch -------------------------------------------------------------------------------- */

typedef struct Seen {
	int n, stop_at, fail_at;
	StrBuf names;
} Seen;

static int on_event(void *arg, const json_t *event)
{
	Seen *s = arg;

	strbuf_addf(&s->names, "%s %s;", json_string_at(event, "type"),
		    json_string_at(event, "object.name"));
	s->n++;
	if (s->fail_at == s->n)
		return -ERR_EXHAUSTED;
	return s->stop_at == s->n;
}

static const char three_events[] = "{\"type\":\"ADDED\",\"object\":{\"name\":\"a\"}}\n"
				   "\n"
				   "{\"type\":\"MODIFIED\",\"object\":{\"name\":\"b\"}}\r\n"
				   "{\"type\":\"DELETED\",\"object\":{\"name\":\"c\"}}";

static void test_watch(void **state _unused_)
{
	static const struct {
		Seen start;
		int rc;
		const char *names;
	} cases[] = {
		{{ .n = 0 },        0,              "ADDED a;MODIFIED b;DELETED c;"},
		{ { .stop_at = 2 }, 0,              "ADDED a;MODIFIED b;"          },
		{ { .fail_at = 1 }, -ERR_EXHAUSTED, "ADDED a;"                     },
	};
	HttpRule rule = { .path = "/w", .body = three_events, .chunked = true };
	HttpFake *f = http_fake_start(&rule, 1);
	_cleanup_(client_freep) Client *c = client_to(f);
	Context ctx = CONTEXT_BACKGROUND;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		Seen seen = cases[i].start;

		assert_int_equal(client_watch(c, &ctx, "/w", NULL, on_event, &seen, NULL),
				 cases[i].rc);
		assert_string_equal(strbuf_str(&seen.names), cases[i].names);
		strbuf_done(&seen.names);
	}
	http_fake_stop(f);
}

static void test_watch_errors(void **state _unused_)
{
	HttpRule rules[] = {
		HTTP_RULE(.path = "/expired",
			  .body = "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\","
				  "\"reason\":\"Expired\",\"message\":\"too old\","
				  "\"code\":410}}\n"),
		HTTP_RULE(.path = "/gone", .code = 410,
			  .body = "{\"kind\":\"Status\",\"reason\":\"Expired\",\"message\":\"too "
				  "old\"}"),
		HTTP_RULE(.path = "/broken", .body = "{\"type\":\"ADDED\",\"obj\n"),
		HTTP_RULE(.path = "/noobject", .body = "{\"type\":\"ADDED\"}\n"),
	};
	static const struct {
		const char *path;
		int code;
	} cases[] = {
		{"/expired",   ERR_GONE    },
		{ "/gone",     ERR_GONE    },
		{ "/broken",   ERR_INTERNAL},
		{ "/noobject", ERR_INTERNAL}
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(client_freep) Client *c = client_to(f);
	Context ctx = CONTEXT_BACKGROUND;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(error_done) Error err = ERROR_INIT;
		Seen seen = { 0 };

		assert_int_equal(client_watch(c, &ctx, cases[i].path, NULL, on_event, &seen, &err),
				 -cases[i].code);
		assert_int_equal(err.code, cases[i].code);
		assert_int_equal(seen.n, 0);
	}
	http_fake_stop(f);
}

static void test_watch_deadline(void **state _unused_)
{
	HttpRule rule = { .path = "/w",
			  .hang = true,
			  .chunked = true,
			  .body = "{\"type\":\"ADDED\",\"object\":{\"name\":\"a\"}}\n" };
	HttpFake *f = http_fake_start(&rule, 1);
	_cleanup_(client_freep) Client *c = client_to(f);
	_cleanup_(error_done) Error err = ERROR_INIT;
	Context background = CONTEXT_BACKGROUND;
	Context ctx = context_with_timeout(&background, 50 * USEC_PER_MSEC);
	Seen seen = { 0 };

	assert_int_equal(client_watch(c, &ctx, "/w", NULL, on_event, &seen, &err), -ERR_TIMEOUT);
	assert_int_equal(seen.n, 1);
	strbuf_done(&seen.names);
	client_free(TAKE_PTR(c));
	http_fake_stop(f);
}

/* ---- streams and upgrades ----------------------------------------------------------------- */

static int on_data(void *arg, const char *p, size_t n)
{
	strbuf_add(arg, p, n);
	return 0;
}

static void test_stream(void **state _unused_)
{
	HttpRule rules[] = { HTTP_RULE(.path = "/log", .type = "text/plain", .chunked = true,
				       .body = "first line\nsecond line\n"),
			     HTTP_RULE(.path = "/no", .code = 404,
				       .body = "{\"kind\":\"Status\",\"reason\":\"NotFound\","
					       "\"message\":\"none\"}") };
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(client_freep) Client *c = client_to(f);
	_cleanup_(strbuf_done) StrBuf got = STRBUF_INIT;
	Context ctx = CONTEXT_BACKGROUND;

	assert_int_equal(client_stream(c, &ctx, "/log", on_data, &got, NULL), 0);
	assert_string_equal(strbuf_str(&got), "first line\nsecond line\n");
	assert_int_equal(client_stream(c, &ctx, "/no", on_data, &got, NULL), -ERR_NOT_FOUND);
	assert_int_equal(got.len, strlen("first line\nsecond line\n"));
	http_fake_stop(f);
}

static void test_upgrade(void **state _unused_)
{
	HttpRule rules[] = {
		HTTP_RULE(.path = "/console", .echo = true, .body = "login: "),
		HTTP_RULE(.path = "/refused", .code = 409,
			  .body = "{\"kind\":\"Status\",\"reason\":\"Conflict\",\"message\":"
				  "\"off\"}"),
		HTTP_RULE(.path = "/plain", .body = "{}"),
		HTTP_RULE(.path = "/raw", .raw = "SSH-2.0-OpenSSH\r\n\r\n"),
		HTTP_RULE(.path = "/drop", .drop = true),
	};
	static const struct {
		const char *path;
		int code;
	} bad[] = {
		{"/refused", ERR_CONFLICT   },
		{ "/plain",  ERR_INTERNAL   },
		{ "/raw",    ERR_INTERNAL   },
		{ "/drop",   ERR_UNAVAILABLE}
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(client_freep) Client *c = client_to(f);
	Context ctx = CONTEXT_BACKGROUND;
	char got[32] = { 0 };
	int fd = -1;
	size_t n = 0;
	ssize_t more;

	assert_int_equal(client_upgrade(c, &ctx, "/console", "sfd-stream", &fd, NULL), 0);
	assert_int_equal(send(fd, "root\n", 5, 0), 5);
	shutdown(fd, SHUT_WR);
	while ((more = recv(fd, got + n, sizeof(got) - 1 - n, 0)) > 0)
		n += (size_t)more;
	assert_string_equal(got, "login: root\n"); /* not a byte lost behind the head */
	close(fd);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		fd = -1;
		assert_int_equal(client_upgrade(c, &ctx, bad[i].path, "sfd-stream", &fd, NULL),
				 -bad[i].code);
		assert_int_equal(fd, -1);
	}
	http_fake_stop(f);
}

static void test_url_encode(void **state _unused_)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;

	url_encode(&b, "a-b_c.d~/?&=+%\n\xc3\xa9");
	assert_string_equal(strbuf_str(&b), "a-b_c.d~%2F%3F%26%3D%2B%25%0A%C3%A9");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),      cmocka_unit_test(test_call),
		cmocka_unit_test(test_status_codes),   cmocka_unit_test(test_error_without_status),
		cmocka_unit_test(test_not_there),      cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_watch),          cmocka_unit_test(test_watch_errors),
		cmocka_unit_test(test_watch_deadline), cmocka_unit_test(test_stream),
		cmocka_unit_test(test_upgrade),        cmocka_unit_test(test_url_encode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
