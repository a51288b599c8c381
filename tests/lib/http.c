/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The raw HTTP client of tests. See http.h.
 */
#include "tests/lib/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/memory.h"

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static HttpClient *client_new(int fd, const struct sockaddr *addr, socklen_t len)
{
	HttpClient *c;

	if (fd < 0 || connect(fd, addr, len) < 0) {
		perror("connect");
		abort();
	}
	c = xnew0(HttpClient, 1);
	c->fd = fd;
	return c;
}

HttpClient *http_connect(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	return client_new(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), (struct sockaddr *)&addr,
			  sizeof(addr));
}

HttpClient *http_connect_tcp(unsigned short port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return client_new(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), (struct sockaddr *)&addr,
			  sizeof(addr));
}

HttpClient *http_close(HttpClient *c)
{
	if (!c)
		return NULL;
	fd_close(c->fd);
	strbuf_done(&c->in);
	strbuf_done(&c->line);
	free(c);
	return NULL;
}

/* A server that hangs up while we send is a result, not a failure: it shows when reading. */
void http_send(HttpClient *c, const void *p, size_t n)
{
	const char *from = p;

	while (n > 0) {
		ssize_t sent = send(c->fd, from, n, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return;
		from += sent;
		n -= (size_t)sent;
	}
}

void http_sendf(HttpClient *c, const char *fmt, ...)
{
	_cleanup_(xfreep) char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	http_send(c, text, strlen(text));
}

void http_request(HttpClient *c, const char *method, const char *target, const char *headers,
		  const char *body)
{
	http_sendf(c, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s", method, target, headers);
	if (body)
		http_sendf(c, "Content-Length: %zu\r\n\r\n", strlen(body));
	else
		http_sendf(c, "\r\n");
	if (body)
		http_send(c, body, strlen(body));
}

/* Receives more; false at the end or after the deadline. */
static bool receive(HttpClient *c, long long deadline)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	long long left = deadline - now_ms();
	char buf[65536];
	ssize_t n;

	if (c->eof || poll(&p, 1, left > 0 ? (int)left : 0) <= 0)
		return false;
	n = recv(c->fd, buf, sizeof(buf), 0);
	if (n <= 0) {
		c->eof = true;
		return false;
	}
	strbuf_add(&c->in, buf, (size_t)n);
	return true;
}

static size_t available(const HttpClient *c)
{
	return c->in.len - c->at;
}

static void drop(HttpClient *c, size_t n)
{
	c->at += n;
	if (c->at == c->in.len) {
		strbuf_reset(&c->in);
		c->at = 0;
	}
}

char *http_header(const HttpAnswer *a, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = a->head; p && *p; p = strstr(p, "\r\n") ? strstr(p, "\r\n") + 2 : "") {
		if (strncasecmp(p, name, n) == 0 && p[n] == ':') {
			p += n + 1;
			p += strspn(p, " ");
			return xstrndup(p, strcspn(p, "\r"));
		}
	}
	return NULL;
}

HttpAnswer http_read_head(HttpClient *c)
{
	long long deadline = now_ms() + HTTP_DEADLINE_MS;
	_cleanup_(xfreep) char *encoding = NULL;
	HttpAnswer a = { 0 };
	const char *end;

	do {
		end = available(c) ? strstr(c->in.buf + c->at, "\r\n\r\n") : NULL;
	} while (!end && receive(c, deadline));
	if (!end)
		return a;
	a.head = xstrndup(c->in.buf + c->at, (size_t)(end - c->in.buf) + 4 - c->at);
	drop(c, strlen(a.head));
	if (sscanf(a.head, "HTTP/1.1 %d", &a.code) != 1)
		abort();
	encoding = http_header(&a, "Transfer-Encoding");
	c->chunked = encoding && streq(encoding, "chunked");
	c->chunk_open = false;
	if (a.code == 100) {
		http_answer_done(&a);
		return http_read_head(c);
	}
	return a;
}

/* One piece of a chunked body into out: 1, 0 at its end, -1 on timeout or a cut. */
static int read_chunk_piece(HttpClient *c, StrBuf *out, long long deadline)
{
	size_t n;

	if (!c->chunk_open) {
		const char *end;

		do {
			end = available(c) ? strstr(c->in.buf + c->at, "\r\n") : NULL;
		} while (!end && receive(c, deadline));
		if (!end)
			return -1;
		c->chunk_left = strtoul(c->in.buf + c->at, NULL, 16);
		drop(c, (size_t)(end - c->in.buf) + 2 - c->at);
		if (c->chunk_left == 0) {
			while (available(c) < 2 && receive(c, deadline))
				;
			drop(c, MIN(available(c), (size_t)2));
			return 0;
		}
		c->chunk_open = true;
	}
	while (available(c) == 0)
		if (!receive(c, deadline))
			return -1;
	n = MIN(available(c), c->chunk_left);
	strbuf_add(out, c->in.buf + c->at, n);
	drop(c, n);
	c->chunk_left -= n;
	if (c->chunk_left == 0) {
		while (available(c) < 2)
			if (!receive(c, deadline))
				return -1;
		drop(c, 2);
		c->chunk_open = false;
	}
	return 1;
}

HttpAnswer http_read_answer(HttpClient *c)
{
	long long deadline = now_ms() + HTTP_DEADLINE_MS;
	HttpAnswer a = http_read_head(c);
	_cleanup_(xfreep) char *length = http_header(&a, "Content-Length");
	StrBuf body = STRBUF_INIT;

	if (!a.code)
		return a;
	if (c->chunked) {
		while (read_chunk_piece(c, &body, deadline) > 0)
			;
	} else {
		size_t want = length ? strtoul(length, NULL, 10) : 0;

		while (available(c) < want && receive(c, deadline))
			;
		want = MIN(want, available(c));
		strbuf_add(&body, c->in.buf ? c->in.buf + c->at : "", want);
		drop(c, want);
	}
	a.len = body.len;
	a.body = body.len ? strbuf_take(&body) : xstrdup("");
	strbuf_done(&body);
	a.json = json_loadb(a.body, a.len, 0, NULL);
	return a;
}

char *http_read_line(HttpClient *c, int timeout_ms, bool *timeout)
{
	long long deadline = now_ms() + timeout_ms;
	int rc = 1;

	if (timeout)
		*timeout = false;
	for (;;) {
		const char *nl = c->line.len ? memchr(c->line.buf, '\n', c->line.len) : NULL;

		if (nl) {
			size_t n = (size_t)(nl - c->line.buf);
			char *line = xstrndup(c->line.buf, n);
			StrBuf rest = STRBUF_INIT;

			strbuf_add(&rest, c->line.buf + n + 1, c->line.len - n - 1);
			strbuf_done(&c->line);
			c->line = rest;
			return line;
		}
		rc = read_chunk_piece(c, &c->line, deadline);
		if (rc <= 0) {
			if (timeout)
				*timeout = rc < 0 && !c->eof;
			return NULL;
		}
	}
}

ssize_t http_read_raw(HttpClient *c, void *p, size_t n, int timeout_ms)
{
	long long deadline = now_ms() + timeout_ms;

	while (available(c) == 0)
		if (!receive(c, deadline))
			return c->eof ? 0 : -1;
	n = MIN(n, available(c));
	memcpy(p, c->in.buf + c->at, n);
	drop(c, n);
	return (ssize_t)n;
}

bool http_is_closed(HttpClient *c, int timeout_ms)
{
	long long deadline = now_ms() + timeout_ms;

	while (receive(c, deadline))
		;
	return c->eof;
}

void http_answer_done(HttpAnswer *a)
{
	free(a->head);
	free(a->body);
	json_decref(a->json);
	*a = (HttpAnswer){ 0 };
}

HttpAnswer http_call(const char *path, const char *method, const char *target, const char *type,
		     const char *body)
{
	_cleanup_(xfreep) char *headers = xasprintf("Connection: close\r\nContent-Type: %s\r\n",
						    type ? type : "application/json");
	HttpClient *c = http_connect(path);
	HttpAnswer a;

	http_request(c, method, target, headers, body);
	a = http_read_answer(c);
	http_close(c);
	return a;
}
