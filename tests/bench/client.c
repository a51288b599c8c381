/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfd under measurement, and clients that cost as little as possible beside it. See bench.h. A
 * client belongs to one thread.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "base/fs.h"
#include "base/memory.h"

#define START_DEADLINE 30000 /* ms */

const char *const transport_names[_TRANSPORT_MAX] = { "unix", "tcp", "tls" };

/* ---- sfd ---- */

unsigned short bench_free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		bench_die("no free port: %m");
	fd_close(fd);
	return ntohs(a.sin_port);
}

static int connect_unix(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return fd_close(fd);
	return fd;
}

static int connect_port(unsigned short port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return fd_close(fd);
	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

void bench_wait_port(unsigned short port)
{
	for (int ms = 0; ms < START_DEADLINE; ms += 10) {
		int fd = connect_port(port);

		if (fd >= 0) {
			fd_close(fd);
			return;
		}
		poll(NULL, 0, 10);
	}
	bench_die("nobody listens on port %u", port);
}

/* Whoever shows nothing over TLS may do everything: no credential is part of what is measured. */
static void open_to_all(const BenchServer *s)
{
	BenchClient c = { 0 };

	bench_connect(&c, s, TRANSPORT_UNIX);
	bench_must(&c, 201, "POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
		   "{\"metadata\":{\"name\":\"bench\"},\"roleRef\":{\"apiGroup\":"
		   "\"rbac.authorization.k8s.io\",\"kind\":\"ClusterRole\",\"name\":"
		   "\"cluster-admin\"},\"subjects\":[{\"apiGroup\":\"rbac.authorization.k8s.io\","
		   "\"kind\":\"Group\",\"name\":\"system:unauthenticated\"}]}");
	bench_close(&c);
}

void bench_server_start(BenchServer *s, const char *sfd, const char *dir)
{
	_cleanup_(xfreep) char *listen_unix = NULL, *listen_tcp = NULL, *listen_tls = NULL;
	_cleanup_(xfreep) char *runtime = xasprintf("%s/run", dir);

	*s = (BenchServer){ 0 };
	snprintf(s->socket, sizeof(s->socket), "%s/bench.sock", dir);
	s->port[TRANSPORT_TCP] = bench_free_port();
	s->port[TRANSPORT_TLS] = bench_free_port();
	listen_unix = xasprintf("unix:%s", s->socket);
	listen_tcp = xasprintf("tcp:127.0.0.1:%u", s->port[TRANSPORT_TCP]);
	listen_tls = xasprintf("tls:127.0.0.1:%u", s->port[TRANSPORT_TLS]);
	s->pid = bench_start((const char *const[]){ sfd, "--controllers", "none", "--state-dir",
						    dir, "--runtime-dir", runtime, "--log-level",
						    "warning", "--listen", listen_unix, "--listen",
						    listen_tcp, "--listen", listen_tls, NULL },
			     -1);
	/* The last one that it opens. */
	bench_wait_port(s->port[TRANSPORT_TLS]);
	open_to_all(s);
}

void bench_server_stop(BenchServer *s)
{
	kill(s->pid, SIGTERM);
	bench_wait(s->pid, "sfd");
}

double bench_pss(pid_t pid)
{
	_cleanup_(xfreep) char *path = xasprintf("/proc/%d/smaps_rollup", (int)pid);
	_cleanup_(xfreep) char *text = NULL;
	const char *at;

	if (fs_read(path, 65536, &text, NULL, NULL) < 0 || !(at = strstr(text, "\nPss:")))
		bench_die("%s cannot be read", path);
	return strtod(at + 5, NULL);
}

double bench_cpu(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
		bench_die("processor time of %d: %m", (int)pid);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1000;
}

/* ---- a client ---- */

static void start_tls(BenchClient *c)
{
	static gnutls_certificate_credentials_t credentials;
	gnutls_session_t session;
	int rc;

	if (!credentials)
		gnutls_certificate_allocate_credentials(&credentials);
	if (gnutls_init(&session, GNUTLS_CLIENT) < 0 || gnutls_set_default_priority(session) < 0 ||
	    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials) < 0)
		bench_die("TLS cannot be set up");
	gnutls_transport_set_int(session, c->fd);
	do {
		rc = gnutls_handshake(session);
	} while (rc < 0 && !gnutls_error_is_fatal(rc));
	if (rc < 0)
		bench_die("TLS handshake: %s", gnutls_strerror(rc));
	c->tls = session;
}

void bench_connect_port(BenchClient *c, unsigned short port)
{
	*c = (BenchClient){ .fd = connect_port(port) };
	if (c->fd < 0)
		bench_die("connect: %m");
}

void bench_connect(BenchClient *c, const BenchServer *s, Transport t)
{
	if (t == TRANSPORT_UNIX) {
		*c = (BenchClient){ .fd = connect_unix(s->socket) };
		if (c->fd < 0)
			bench_die("connect: %m");
		return;
	}
	bench_connect_port(c, s->port[t]);
	if (t == TRANSPORT_TLS)
		start_tls(c);
}

void bench_close(BenchClient *c)
{
	if (c->tls)
		gnutls_deinit(c->tls);
	fd_close(c->fd);
	strbuf_done(&c->in);
}

void bench_send(BenchClient *c, const char *text, size_t n)
{
	while (n > 0) {
		ssize_t sent = c->tls ? gnutls_record_send(c->tls, text, n)
				      : send(c->fd, text, n, MSG_NOSIGNAL);

		if (sent <= 0)
			bench_die("the connection broke");
		text += sent;
		n -= (size_t)sent;
	}
}

bool bench_receive(BenchClient *c)
{
	static _Thread_local char buf[65536]; /* not on the stack, where it would be zeroed */
	ssize_t n;

	if (c->tls) {
		do {
			n = gnutls_record_recv(c->tls, buf, sizeof(buf));
		} while (n == GNUTLS_E_INTERRUPTED);
		if (n == GNUTLS_E_AGAIN)
			return false;
	} else {
		n = recv(c->fd, buf, sizeof(buf), 0);
		if (n < 0 && errno == EAGAIN)
			return false;
	}
	if (n <= 0)
		bench_die("the connection ended");
	strbuf_add(&c->in, buf, (size_t)n);
	return true;
}

char *bench_request(const char *method, const char *target, const char *type, const char *body)
{
	return xasprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n"
			 "User-Agent: bench/1 (linux/amd64)\r\nContent-Type: %s\r\n"
			 "Content-Length: %zu\r\n\r\n%s",
			 method, target, type ? type : "application/json", body ? strlen(body) : 0,
			 body ? body : "");
}

int bench_call(BenchClient *c, const char *request)
{
	const char *end, *length;
	size_t want;

	strbuf_reset(&c->in);
	bench_send(c, request, strlen(request));
	do
		bench_receive(c);
	while (!(end = strstr(c->in.buf, "\r\n\r\n")));
	length = strcasestr(c->in.buf, "\r\nContent-Length:");
	if (!length || length > end)
		bench_die("an answer without a length");
	want = (size_t)(end - c->in.buf) + 4 + strtoul(length + 17, NULL, 10);
	while (c->in.len < want)
		bench_receive(c);
	return (int)strtol(c->in.buf + strlen("HTTP/1.1 "), NULL, 10);
}

void bench_must(BenchClient *c, int code, const char *method, const char *target, const char *body)
{
	_cleanup_(xfreep) char *request = bench_request(method, target, NULL, body);
	int got = bench_call(c, request);

	if (got != code)
		bench_die("%s %s: %d: %.500s", method, target, got, c->in.buf);
}
