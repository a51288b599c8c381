/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP itself: framing that must be refused, limits, pipelining, broken connections, and a server
 * that goes on afterwards.
 */
#include "tests/contract/server/fixture.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

/* Sends raw bytes; the status code of the answer, 0 if the server just hung up. */
static int raw(Fixture *f, const char *bytes)
{
	HttpClient *c = http_connect(f->path);
	HttpAnswer a;
	int code;

	http_send(c, bytes, strlen(bytes));
	a = http_read_answer(c);
	code = a.code;
	http_answer_done(&a);
	http_close(c);
	return code;
}

static void still_alive(Fixture *f)
{
	call_done(f, 200, "GET", "/version", NULL, NULL);
}

#define POST_HEAD "POST " SECRETS " HTTP/1.1\r\nHost: x\r\n"

static void test_framing(void **state)
{
	Fixture *f = *state;

	assert_int_equal(raw(f, POST_HEAD "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
					  "0\r\n\r\n"),
			 400);
	assert_int_equal(raw(f, POST_HEAD "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n"
					  "0\r\n\r\n"),
			 400);
	assert_int_equal(raw(f, POST_HEAD "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"), 400);
	assert_int_equal(raw(f, POST_HEAD "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), 400);
	assert_int_equal(raw(f, POST_HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
			 400);
	assert_int_equal(raw(f, "GET /version HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
	assert_int_equal(raw(f, "GET /version HTTP/1.1\r\n\r\n"), 400);
	assert_int_not_equal(raw(f, POST_HEAD "Content-Length: -1\r\n\r\n"), 201);
	assert_int_not_equal(raw(f, POST_HEAD "Content-Length: 0x10\r\n\r\n"), 201);
	assert_int_not_equal(raw(f, POST_HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n"), 201);
	still_alive(f);
}

/* Like raw(), and the number of answers that came: what a refused head hides is no request. */
static int raw_answers(Fixture *f, const char *bytes, size_t n, int *ret_code)
{
	HttpClient *c = http_connect(f->path);
	int answers = 0;

	http_send(c, bytes, n);
	for (;;) {
		HttpAnswer a = http_read_answer(c);
		int code = a.code;

		http_answer_done(&a);
		if (!code)
			break;
		*ret_code = answers++ ? *ret_code : code;
	}
	http_close(c);
	return answers;
}

#define HIDDEN "GET /version HTTP/1.1\r\nHost: x\r\n\r\n"

/* What libmicrohttpd lets pass, and understands in its own way. */
static void test_heads_with_two_meanings(void **state)
{
#define HEAD(text) \
	{ \
		text, sizeof(text) - 1 \
	}
	static const struct {
		const char *bytes;
		size_t n;
	} heads[] = {
		HEAD(POST_HEAD "Content-Length : 2\r\n\r\n" HIDDEN),
		HEAD(POST_HEAD "X A: b\r\n\r\n" HIDDEN),
		HEAD(POST_HEAD ": b\r\nContent-Length: 40\r\n\r\n" HIDDEN),
		HEAD(POST_HEAD ":\r\nContent-Length: 40\r\n\r\n" HIDDEN),
		HEAD(POST_HEAD "X-A: b\r\n c\r\n\r\n" HIDDEN),
		HEAD(POST_HEAD "X-A:\r\n\tb\r\nX-B: c\r\n\r\n" HIDDEN),
		HEAD(POST_HEAD "X-A: b\rContent-Length: 40\r\n\r\n" HIDDEN),
		HEAD(POST_HEAD "X-A: b\0c\r\n\r\n" HIDDEN),
		HEAD(POST_HEAD "X-A: b\0c\r\nX-B: c\r\n\r\n" HIDDEN),
		HEAD(POST_HEAD "X-A: b\nX-B: c\r\n\r\n" HIDDEN),
		HEAD("GET /version\0/x HTTP/1.1\r\nHost: x\r\n\r\n" HIDDEN),
		HEAD("GET /version?a=b\0c HTTP/1.1\r\nHost: x\r\n\r\n" HIDDEN),
		HEAD("GET  /version HTTP/1.1\r\nHost: x\r\n\r\n" HIDDEN),
	};
	Fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		int code = 0, n = raw_answers(f, heads[i].bytes, heads[i].n, &code);

		if (n != 1 || code != 400)
			fail_msg("head %zu: %d answers, the first %d", i, n, code);
	}
	assert_int_equal(raw(f, "GET /version?a=b&c HTTP/1.1\r\nHost:x\r\nX-A:\r\nX-B: \t c d "
				"\r\nCookie: a=b; c=d\r\n\r\n"),
			 200);
}

static void test_body_limits(void **state)
{
	Fixture *f = *state;
	HttpClient *c;
	HttpAnswer a;
	char block[65536];

	assert_int_equal(raw(f, POST_HEAD "Content-Length: 3145729\r\n\r\n"), 413);
	assert_int_equal(raw(f, POST_HEAD "Content-Length: 1073741824\r\n\r\n"), 413);
	assert_int_not_equal(raw(f, POST_HEAD "Content-Length: 9223372036854775808\r\n\r\n"), 201);
	assert_int_not_equal(raw(f, POST_HEAD "Content-Length: 99999999999999999999\r\n\r\n"), 201);
	/* Chunked and endless: read to its end within reason, then refused. */
	memset(block, ' ', sizeof(block));
	c = http_connect(f->path);
	http_sendf(c, POST_HEAD "Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 64; i++) {
		http_sendf(c, "10000\r\n");
		http_send(c, block, sizeof(block));
		http_sendf(c, "\r\n");
	}
	http_sendf(c, "0\r\n\r\n");
	a = http_read_answer(c);
	assert_int_equal(a.code, 413);
	http_answer_done(&a);
	assert_true(http_is_closed(c, HTTP_DEADLINE_MS));
	http_close(c);
	c = http_connect(f->path);
	http_sendf(c, POST_HEAD "Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 400; i++) {
		http_sendf(c, "10000\r\n");
		http_send(c, block, sizeof(block));
		http_sendf(c, "\r\n");
	}
	assert_true(http_is_closed(c, HTTP_DEADLINE_MS));
	http_close(c);
	still_alive(f);
}

static void test_chunked_body(void **state)
{
	Fixture *f = *state;

	assert_int_equal(raw(f, POST_HEAD "Transfer-Encoding: chunked\r\n\r\n"
					  "10;ext=1\r\n{\"metadata\":{\"na\r\n"
					  "d\r\nme\":\"chunk\"}}\r\n0\r\n\r\n"),
			 201);
}

static void test_head_limits(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *junk = xnew0(char, 200001);
	_cleanup_(xfreep) char *text = NULL;

	memset(junk, 'a', 200000);
	text = xasprintf("GET /%s HTTP/1.1\r\nHost: x\r\n\r\n", junk);
	assert_int_not_equal(raw(f, text), 200);
	free(text);
	text = xasprintf("GET /version HTTP/1.1\r\nHost: x\r\nX-Junk: %s\r\n\r\n", junk);
	assert_int_not_equal(raw(f, text), 200);
	still_alive(f);
}

/* In one piece: two who both write and do not read would wait for each other. */
static void test_pipelining(void **state)
{
	static const char body[] = "{\"metadata\":{\"name\":\"piped\"}}";
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT;
	Fixture *f = *state;
	HttpClient *c = http_connect(f->path);

	for (int i = 0; i < 200; i++)
		strbuf_addf(&text, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n",
			    i % 2 ? "/livez" : SECRETS);
	strbuf_addf(&text,
		    "POST " SECRETS " HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s",
		    strlen(body), body);
	strbuf_adds(&text, "GET " SECRETS "/piped HTTP/1.1\r\nHost: localhost\r\n"
			   "Connection: close\r\n\r\n");
	http_send(c, text.buf, text.len);
	for (int i = 0; i < 202; i++) {
		HttpAnswer a = http_read_answer(c);

		assert_int_equal(a.code, i == 200 ? 201 : 200);
		http_answer_done(&a);
	}
	assert_true(http_is_closed(c, HTTP_DEADLINE_MS));
	http_close(c);
}

static void test_bad_paths(void **state)
{
	static const char *const targets[] = {
		"/api/v1/namespaces/default/../other/secrets",
		"/api/v1/namespaces/%2e%2e/secrets",
		"//api/v1/secrets",
		"/api/v1/namespaces/a%2fb/secrets",
		"/api/v1/namespaces/a%00/secrets",
		"/version?a=%zz",
	};
	Fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(targets); i++)
		call_fails(f, 400, "BadRequest", "GET", targets[i], NULL, NULL);
}

static void test_clients_that_leave_early(void **state)
{
	static const char *const starts[] = {
		"",
		"GET",
		"GET / HTTP/1.1\r\nHost: x\r\n",
		POST_HEAD "Content-Length: 500\r\n\r\n{",
		POST_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\n{",
		POST_HEAD "Content-Length: 29\r\n\r\n{\"metadata\":{\"name\":\"left\"}} ",
	};
	Fixture *f = *state;

	for (int i = 0; i < 300; i++) {
		HttpClient *c = http_connect(f->path);

		http_sendf(c, "%s", starts[(size_t)i % ARRAY_SIZE(starts)]);
		http_close(c);
	}
	still_alive(f);
}

static void test_impersonation_refused(void **state)
{
	Fixture *f = *state;
	HttpClient *c = http_connect(f->path);
	HttpAnswer a;

	http_request(c, "GET", "/version", "Impersonate-User: root\r\n", NULL);
	a = http_read_answer(c);
	assert_int_equal(a.code, 403);
	http_answer_done(&a);
	http_close(c);
}

/* Writes from many connections at once: each is answered, each is stored. */
static void test_concurrent_writes(void **state)
{
	Fixture *f = *state;
	HttpClient *c[50];
	_cleanup_(json_decrefp) json_t *list = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		_cleanup_(xfreep) char *body = xasprintf("{\"metadata\":{\"name\":\"c-%zu\"}}", i);

		c[i] = http_connect(f->path);
		http_request(c[i], "POST", SECRETS, "", body);
	}
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		HttpAnswer a = http_read_answer(c[i]);

		assert_int_equal(a.code, 201);
		http_answer_done(&a);
		http_close(c[i]);
	}
	list = call(f, 200, "GET", SECRETS, NULL, NULL);
	assert_int_equal(json_array_size(json_object_get(list, "items")), ARRAY_SIZE(c));
}

/* Patches without a revision never lose to each other. */
static void test_concurrent_patches(void **state)
{
	Fixture *f = *state;
	HttpClient *c[8];
	_cleanup_(json_decrefp) json_t *after = NULL;

	json_decref(make_secret(f, "hot", NULL));
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		_cleanup_(xfreep) char *body =
			xasprintf("{\"metadata\":{\"labels\":{\"l%zu\":\"x\"}}}", i);

		c[i] = http_connect(f->path);
		http_request(c[i], "PATCH", SECRETS "/hot",
			     "Content-Type: application/merge-patch+json\r\n", body);
	}
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		HttpAnswer a = http_read_answer(c[i]);

		assert_true(a.code == 200 || a.code == 409);
		http_answer_done(&a);
		http_close(c[i]);
	}
	after = call(f, 200, "GET", SECRETS "/hot", NULL, NULL);
	assert_true(json_object_size(json_at(after, "metadata.labels")) >= 5);
}

static void test_head_method(void **state)
{
	Fixture *f = *state;
	HttpClient *c = http_connect(f->path);
	HttpAnswer a;

	http_request(c, "HEAD", "/version", "Connection: close\r\n", NULL);
	a = http_read_head(c);
	assert_int_equal(a.code, 200);
	http_answer_done(&a);
	assert_true(http_is_closed(c, HTTP_DEADLINE_MS));
	http_close(c);
}

static void test_second_server_refused(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *address = xasprintf("unix:%s", f->path);
	_cleanup_(error_done) Error err = ERROR_INIT;
	ServerOptions options = { .store = f->store, .kinds = f->kinds, .admin_gid = (gid_t)-1 };
	Server *s;

	assert_int_equal(server_new(&options, &s, NULL), 0);
	assert_int_equal(server_listen(s, address, &err), -ERR_CONFLICT);
	assert_int_equal(server_listen(s, "tcp:0.0.0.0:0", NULL), -ERR_FORBIDDEN);
	assert_int_equal(server_listen(s, "tcp:192.0.2.1:80", NULL), -ERR_FORBIDDEN);
	assert_int_equal(server_listen(s, "tcp:127.0.0.1:99999", NULL), -ERR_INVALID);
	assert_int_equal(server_listen(s, "tcp:127.0.0.1", NULL), -ERR_INVALID);
	assert_int_equal(server_listen(s, "http://x", NULL), -ERR_INVALID);
	server_free(s);
	still_alive(f);
}

/* Listens at `path` in a process that ends at once; another one, that it made, has the socket until
 * the descriptor that is returned is closed. */
static int leave_listener(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int hold[2];
	pid_t pid;

	assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);
		char end;

		snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
		if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 8) < 0)
			_exit(1);
		if (fork() > 0)
			_exit(0);
		close(hold[1]);
		_exit(read(hold[0], &end, 1) != 0);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(hold[0]);
	return hold[1];
}

static void test_socket_of_a_dead_server(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *path = xasprintf("%s.dead", f->path);
	_cleanup_(xfreep) char *address = xasprintf("unix:%s", path);
	ServerOptions options = { .store = f->store, .kinds = f->kinds, .admin_gid = (gid_t)-1 };
	int rc, held = leave_listener(path);
	Server *s;

	assert_int_equal(server_new(&options, &s, NULL), 0);
	rc = server_listen(s, address, NULL);
	server_free(s);
	close(held);
	assert_int_equal(rc, 0);
}

/* However much there is to warn of, the answer has room for its head. */
static void test_many_long_warnings(void **state)
{
	_cleanup_(strbuf_done) StrBuf body = STRBUF_INIT;
	Fixture *f = *state;
	HttpAnswer a;
	size_t n = 0;

	strbuf_adds(&body, "{\"metadata\":{\"name\":\"w\"},\"spec\":{\"disks\":[{\"name\":\"root\","
			   "\"size\":\"1Gi\"}]");
	for (int i = 0; i < 40; i++)
		strbuf_addf(&body, ",\"x%0*d\":1", 1500, i);
	strbuf_adds(&body, "}}");
	a = http_call(f->path, "POST", INSTANCES "?fieldValidation=Warn", NULL, strbuf_str(&body));
	assert_int_equal(a.code, 201);
	for (const char *p = a.head; (p = strstr(p, "\r\nWarning: 299 - \"")); p++)
		n++;
	assert_in_range(n, 2, 40);
	assert_true(strlen(a.head) < 6000);
	http_answer_done(&a);
}

static int with_header_of(Fixture *f, int size)
{
	_cleanup_(xfreep) char *head =
		xasprintf("GET /version HTTP/1.1\r\nHost: x\r\nX-Big: %0*d\r\n\r\n", size, 0);

	return raw(f, head);
}

static void test_long_heads(void **state)
{
	Fixture *f = *state;

	assert_int_equal(with_header_of(f, 8 * 1024), 200);
	assert_int_equal(with_header_of(f, 20 * 1024), 431);
	still_alive(f);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_many_long_warnings),
		TEST(test_long_heads),
		TEST(test_framing),
		TEST(test_heads_with_two_meanings),
		TEST(test_body_limits),
		TEST(test_chunked_body),
		TEST(test_head_limits),
		TEST(test_pipelining),
		TEST(test_bad_paths),
		TEST(test_clients_that_leave_early),
		TEST(test_impersonation_refused),
		TEST(test_concurrent_writes),
		TEST(test_concurrent_patches),
		TEST(test_head_method),
		TEST(test_second_server_refused),
		TEST(test_socket_of_a_dead_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
