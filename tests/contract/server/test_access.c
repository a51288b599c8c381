/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may come in and how long they may take: socket credentials, loopback TCP, deadlines, many
 * idle watches. Needs root, to be somebody else for a while.
 */
#include "tests/contract/server/fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define NOBODY 65534

typedef struct Stranger {
	const char *path;
	int code;
	char *body;
} Stranger;

/* Only this thread becomes somebody else: the raw system call, not libc's, which changes all. */
static void *stranger_calls(void *arg)
{
	Stranger *s = arg;
	HttpAnswer a;

	if (syscall(SYS_setgroups, 0, NULL) < 0 ||
	    syscall(SYS_setresgid, NOBODY, NOBODY, NOBODY) < 0 ||
	    syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY) < 0)
		return NULL;
	a = http_call(s->path, "GET", SECRETS, NULL, NULL);
	s->code = a.code;
	s->body = xstrdup(a.body);
	http_answer_done(&a);
	return NULL;
}

static void test_stranger_is_told_the_fix(void **state)
{
	Fixture *f = *state;
	Stranger s = { .path = f->path };
	struct stat st;
	pthread_t thread;

	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0666);
	assert_int_equal(chmod(f->dir, 0755), 0);
	assert_int_equal(pthread_create(&thread, NULL, stranger_calls, &s), 0);
	pthread_join(thread, NULL);
	assert_int_equal(s.code, 403);
	assert_non_null(strstr(s.body, "\"reason\":\"Forbidden\""));
	assert_non_null(strstr(s.body, "secrets is forbidden: User \\\"nobody\\\" cannot list "
				       "resource \\\"secrets\\\" in API group \\\"\\\" in the "
				       "namespace \\\"default\\\""));
	assert_non_null(strstr(s.body, "use sudo"));
	assert_non_null(strstr(s.body, "kubectl create rolebinding nobody"));
	free(s.body);
}

/* A second server over the same store, on loopback TCP. */
static Server *tcp_server(Fixture *f, unsigned short *ret_port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ServerOptions options = { .store = f->store, .kinds = f->kinds, .admin_gid = (gid_t)-1 };
	Server *s;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	assert_int_equal(server_new(&options, &s, NULL), 0);
	assert_int_equal(server_listen_fd(s, fd, NULL), 0);
	assert_int_equal(server_start(s, NULL), 0);
	*ret_port = ntohs(addr.sin_port);
	return s;
}

static int tcp_get(unsigned short port, const char *headers)
{
	HttpClient *c = http_connect_tcp(port);
	HttpAnswer a;
	int code;

	http_sendf(c, "GET /version HTTP/1.1\r\n%s\r\n", headers);
	a = http_read_answer(c);
	code = a.code;
	http_answer_done(&a);
	http_close(c);
	return code;
}

static void test_loopback_is_not_for_browsers(void **state)
{
	Fixture *f = *state;
	unsigned short port;
	Server *s = tcp_server(f, &port);

	assert_int_equal(tcp_get(port, "Host: 127.0.0.1\r\n"), 200);
	assert_int_equal(tcp_get(port, "Host: localhost:8080\r\n"), 200);
	assert_int_equal(tcp_get(port, "Host: [::1]:8080\r\n"), 200);
	assert_int_equal(tcp_get(port, "Host: evil.example\r\n"), 403);
	assert_int_equal(tcp_get(port, "Host: 127.0.0.1.evil.example\r\n"), 403);
	assert_int_equal(tcp_get(port, "Host: localhost.evil.example\r\n"), 403);
	assert_int_equal(tcp_get(port, "Host: localhost\r\nOrigin: http://evil.example\r\n"), 403);
	assert_int_equal(tcp_get(port, "Host: localhost\r\nOrigin: http://localhost:80\r\n"), 403);
	assert_int_equal(tcp_get(port, "Host: localhost\r\nOrigin: https://localhost\r\n"), 403);
	assert_int_equal(tcp_get(port, "Host: localhost\r\nOrigin: null\r\n"), 403);
	assert_int_equal(tcp_get(port, "Host: evil.example\r\nOrigin: http://evil.example\r\n"),
			 403);
	assert_int_equal(tcp_get(port, "Host: localhost:1\r\nOrigin: http://localhost:1\r\n"), 200);
	server_free(s);
}

static void test_address_not_loopback_refused(void **state)
{
	Fixture *f = *state;
	ServerOptions options = { .store = f->store, .kinds = f->kinds, .admin_gid = (gid_t)-1 };
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	Server *s;

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(server_new(&options, &s, NULL), 0);
	assert_int_equal(server_listen_fd(s, fd, NULL), -ERR_FORBIDDEN);
	assert_int_equal(server_start(s, NULL), -ERR_INVALID); /* nothing to listen on */
	server_free(s);
}

/* One byte a second keeps no connection open: ten seconds for a head, whatever comes. */
static void test_slow_head_is_cut(void **state)
{
	static const char head[] = "GET /version HTTP/1.1\r\nHost: localhost\r\nX-Slow: aaaaaaaaaa";
	Fixture *f = *state;
	HttpClient *c[50], *open = NULL;
	size_t closed = 0;

	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		c[i] = http_connect(f->path);
	for (size_t t = 0; t < strlen(head) && closed < ARRAY_SIZE(c); t++) {
		closed = 0;
		for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
			http_send(c[i], head + t, 1);
			if (http_is_closed(c[i], 0))
				closed++;
			else
				open = c[i];
		}
		call_done(f, 200, "GET", "/version", NULL, NULL); /* others are served */
		if (closed < ARRAY_SIZE(c))
			(void)http_is_closed(open, 1000);
	}
	assert_int_equal(closed, ARRAY_SIZE(c));
	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		http_close(c[i]);
}

static size_t count_closed(HttpClient **c, size_t n)
{
	size_t closed = 0;

	for (size_t i = 0; i < n; i++)
		closed += http_is_closed(c[i], 0);
	return closed;
}

/*
 * Few descriptors, many connections: the silent ones give way, in the order in which they came. No
 * time passes, so that it is not their deadline that ends them. Several threads accept, so that a
 * connection may come a little later than the next ones.
 */
static void test_silent_connections_give_way(void **state)
{
	HttpClient *watch, *busy, *silent[300];
	Clock *still = fake_clock_new(USEC_PER_HOUR, clock_wall(clock_system()));
	struct rlimit before, few;
	HttpAnswer a;
	Fixture *f;

	/* The server looks at its limit when it is made. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = (struct rlimit){ .rlim_cur = 256, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(fixture_teardown(state), 0);
	assert_int_equal(fixture_setup_on(state, still), 0);
	f = *state;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	watch = http_connect(f->path);
	http_request(watch, "GET", SECRETS "?watch=1", "", NULL);
	a = http_read_head(watch);
	assert_int_equal(a.code, 200);
	http_answer_done(&a);
	busy = http_connect(f->path);
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++) {
		silent[i] = http_connect(f->path);
		if (i % 50)
			continue;
		http_request(busy, "GET", "/version", "", NULL);
		a = http_read_answer(busy);
		assert_int_equal(a.code, 200);
		http_answer_done(&a);
	}
	json_decref(make_secret(f, "news", NULL)); /* on a new one */
	free(http_read_line(watch, HTTP_DEADLINE_MS, NULL));
	while (count_closed(silent, ARRAY_SIZE(silent)) < 170)
		poll(NULL, 0, 1);
	assert_true(count_closed(silent, 160) > 140);
	assert_int_equal(count_closed(silent + 200, 100), 0);
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
		http_close(silent[i]);
	http_close(watch);
	http_close(busy);
	assert_int_equal(fixture_teardown(state), 0);
	fake_clock_free(still);
	assert_int_equal(fixture_setup(state), 0); /* for the teardown of all */
}

static void test_many_idle_watches(void **state)
{
	Fixture *f = *state;
	HttpClient *c[300];

	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		HttpAnswer a;

		c[i] = http_connect(f->path);
		http_request(c[i], "GET", SECRETS "?watch=1", "", NULL);
		a = http_read_head(c[i]);
		assert_int_equal(a.code, 200);
		http_answer_done(&a);
	}
	json_decref(make_secret(f, "news", NULL));
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		char *line = http_read_line(c[i], HTTP_DEADLINE_MS, NULL);

		assert_non_null(line);
		assert_non_null(strstr(line, "\"news\""));
		free(line);
		http_close(c[i]);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_stranger_is_told_the_fix),
		TEST(test_loopback_is_not_for_browsers),
		TEST(test_address_not_loopback_refused),
		TEST(test_slow_head_is_cut),
		TEST(test_many_idle_watches),
		TEST(test_silent_connections_give_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
