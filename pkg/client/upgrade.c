/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Upgrade: an HTTP/1.1 request that becomes a raw byte stream (RFC 9110, 7.8). libcurl has no call
 * for that, so the handshake is written here over a plain socket. The head of the answer is read
 * byte by byte: what follows it belongs to the stream.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fs.h"
#include "base/memory.h"
#include "client/internal.h"

#define POLL_MAX USEC_PER_SEC /* how late a cancellation may be seen */

/* Waits until fd is ready; 0, or the context's code. */
static int wait_ready(Context *ctx, int fd, short events, Error *err)
{
	struct pollfd p = { .fd = fd, .events = events };
	int rc;

	for (;;) {
		rc = context_check(ctx, err);
		if (rc < 0)
			return rc;
		rc = poll(&p, 1, (int)(MIN(context_remaining(ctx), POLL_MAX) / USEC_PER_MSEC) + 1);
		if (rc > 0)
			return 0;
		if (rc < 0 && errno != EINTR)
			return error_set_errno(err, errno, "poll");
	}
}

/* Connects a socket that is not blocking yet; 0 or a positive errno. */
static int connect_wait(Context *ctx, int fd, const struct sockaddr *sa, socklen_t len, Error *err)
{
	socklen_t size = sizeof(int);
	int failure = 0, rc;

	if (connect(fd, sa, len) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	rc = wait_ready(ctx, fd, POLLOUT, err);
	if (rc < 0)
		return rc;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) < 0)
		return errno;
	return failure;
}

static int connect_failed(Client *c, int os_errno, Error *err)
{
	int rc = error_set(err, ERR_UNAVAILABLE, "cannot reach sfd at %s: %s", c->server,
			   strerror(os_errno));

	if (err)
		err->os_errno = os_errno;
	return rc;
}

static int connect_unix(Client *c, Context *ctx, Error *err)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	_cleanup_(fd_closep) int fd = -1;
	int rc;

	if (strlen(c->unix_path) >= sizeof(sa.sun_path))
		return error_set(err, ERR_INVALID, "server '%s': the path is too long for a socket",
				 c->server);
	memcpy(sa.sun_path, c->unix_path, strlen(c->unix_path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set_errno(err, errno, "socket");
	rc = connect_wait(ctx, fd, (struct sockaddr *)&sa, sizeof(sa), err);
	if (rc != 0)
		return rc < 0 ? rc : connect_failed(c, rc, err);
	return TAKE_FD(fd);
}

static int connect_tcp(Client *c, Context *ctx, Error *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	struct addrinfo *list = NULL;
	int fd = -1, rc;

	rc = getaddrinfo(c->host, c->port, &hints, &list);
	if (rc != 0)
		return error_set(err, ERR_UNAVAILABLE, "cannot reach sfd at %s: %s", c->server,
				 gai_strerror(rc));
	rc = ECONNREFUSED;
	for (struct addrinfo *a = list; a; a = a->ai_next) {
		fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd < 0) {
			rc = errno;
			continue;
		}
		rc = connect_wait(ctx, fd, a->ai_addr, a->ai_addrlen, err);
		if (rc == 0)
			break;
		fd = fd_close(fd);
		if (rc < 0)
			break;
	}
	freeaddrinfo(list);
	if (rc != 0)
		return rc < 0 ? rc : connect_failed(c, rc, err);
	return fd;
}

static int send_all(Context *ctx, int fd, const char *p, size_t n, Error *err)
{
	ssize_t done;
	int rc;

	while (n) {
		done = send(fd, p, n, MSG_NOSIGNAL);
		if (done < 0 && errno != EAGAIN && errno != EINTR) {
			rc = error_set_errno(err, errno, "send");
			return error_wrap_rc(err, rc, "upgrade");
		}
		if (done > 0) {
			p += done;
			n -= (size_t)done;
			continue;
		}
		rc = wait_ready(ctx, fd, POLLOUT, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Appends what comes next, at most n bytes: > 0, or 0 at the end, or a negative code. */
static int receive(Context *ctx, int fd, StrBuf *out, size_t n, Error *err)
{
	char chunk[4096];
	ssize_t got;
	int rc;

	for (;;) {
		got = recv(fd, chunk, MIN(n, sizeof(chunk)), 0);
		if (got >= 0)
			break;
		if (errno != EAGAIN && errno != EINTR)
			return error_set_errno(err, errno, "receive");
		rc = wait_ready(ctx, fd, POLLIN, err);
		if (rc < 0)
			return rc;
	}
	strbuf_add(out, chunk, (size_t)got);
	return (int)got;
}

static int read_head(Client *c, Context *ctx, int fd, StrBuf *head, Error *err)
{
	int rc;

	do {
		rc = receive(ctx, fd, head, 1, err);
		if (rc < 0)
			return rc;
		if (rc == 0)
			return error_set(err, ERR_UNAVAILABLE,
					 "sfd at %s closed the connection without an answer",
					 c->server);
		if (head->len > CLIENT_HEADER_MAX)
			return error_set(err, ERR_INTERNAL, "the head of the answer is too long");
	} while (!str_has_suffix(strbuf_str(head), "\r\n\r\n"));
	return 0;
}

/* The value of a header, or NULL; points into head. */
static const char *head_find(const char *head, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = strstr(head, "\r\n"); p; p = strstr(p, "\r\n")) {
		p += 2;
		if (strncasecmp(p, name, n) == 0 && p[n] == ':')
			return p + n + 1 + strspn(p + n + 1, " \t");
	}
	return NULL;
}

/* Any other answer than 101: reads its body, as far as it says or until it ends, for the Status. */
static int read_refusal(Client *c, Context *ctx, int fd, const char *head, Error *err)
{
	_cleanup_(strbuf_done) StrBuf body = STRBUF_INIT_MAX(CLIENT_ERROR_MAX);
	const char *length = head_find(head, "Content-Length");
	size_t left = length ? (size_t)strtoul(length, NULL, 10) : CLIENT_ERROR_MAX;
	int rc = 1;

	while (left > body.len && !body.overflow && rc > 0)
		rc = receive(ctx, fd, &body, left - body.len, err);
	if (rc < 0)
		return rc;
	if (c->http_code < 400)
		return error_set(err, ERR_INTERNAL,
				 "the server answered %ld where it should have switched protocols",
				 c->http_code);
	return client_fail(c, c->http_code, strbuf_str(&body), body.len, err);
}

int client_upgrade(Client *c, Context *ctx, const char *path, const char *protocol, int *ret_fd,
		   Error *err)
{
	_cleanup_(strbuf_done) StrBuf request = STRBUF_INIT, head = STRBUF_INIT;
	Context limited = context_with_timeout(ctx, 3 * CLIENT_CONNECT_MAX);
	_cleanup_(fd_closep) int fd = -1;
	int rc, flags;

	client_reset(c);
	fd = c->tls         ? client_tunnel(c, &limited, err)
	     : c->unix_path ? connect_unix(c, &limited, err)
			    : connect_tcp(c, &limited, err);
	if (fd < 0) {
		rc = fd;
		fd = -1;
		return rc;
	}
	strbuf_addf(&request,
		    "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sfctl/" SF_VERSION "\r\n"
		    "Connection: Upgrade\r\nUpgrade: %s\r\n%s%s%s\r\n",
		    path, c->unix_path ? "localhost" : strstr(c->base, "://") + 3, protocol,
		    c->token ? "Authorization: Bearer " : "", c->token ? c->token : "",
		    c->token ? "\r\n" : "");
	rc = send_all(&limited, fd, strbuf_str(&request), request.len, err);
	explicit_bzero(request.buf, request.len);
	if (rc < 0)
		return rc;
	rc = read_head(c, &limited, fd, &head, err);
	if (rc < 0)
		return rc;
	if (!str_has_prefix(strbuf_str(&head), "HTTP/1.1 ") || head.len < strlen("HTTP/1.1 200"))
		return error_set(err, ERR_INTERNAL, "sfd at %s does not speak HTTP/1.1", c->server);
	c->http_code = strtol(strbuf_str(&head) + strlen("HTTP/1.1 "), NULL, 10);
	if (c->http_code != 101)
		return read_refusal(c, &limited, fd, strbuf_str(&head), err);
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return error_set_errno(err, errno, "fcntl");
	*ret_fd = TAKE_FD(fd);
	return 0;
}
