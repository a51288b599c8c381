/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tunnel: an upgraded connection through TLS as a plain socket, for those who poll, read and write
 * one (console, port-forward, ssh).
 *
 * libcurl makes the connection and does the TLS; a detached thread carries bytes between it and one
 * end of a socket pair until either side ends. It owns the handle and its end; the caller's end is
 * the caller's. TLS knows no half-closed connection: a caller who shuts down his sending half still
 * receives what comes within HALF_CLOSED_IDLE_MS of the last byte.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "client/internal.h"

#define CHUNK               (16u * 1024)
#define HALF_CLOSED_IDLE_MS 60000

typedef struct Tunnel {
	CURL *curl;
	curl_socket_t remote;
	int local; /* our end of the pair; does not block */
	char up[CHUNK], down[CHUNK];
	size_t up_at, up_len, down_at, down_len;
	bool up_ended;
} Tunnel;

static void tunnel_free(Tunnel *t)
{
	curl_easy_cleanup(t->curl);
	fd_close(t->local);
	explicit_bzero(t, sizeof(*t));
	free(t);
}

/* From the server to the caller; false = over. */
static bool carry_down(Tunnel *t)
{
	CURLcode code;
	ssize_t n;

	if (t->down_at == t->down_len) {
		t->down_at = t->down_len = 0;
		code = curl_easy_recv(t->curl, t->down, sizeof(t->down), &t->down_len);
		if (code == CURLE_AGAIN)
			return true;
		if (code != CURLE_OK || t->down_len == 0)
			return false;
	}
	n = send(t->local, t->down + t->down_at, t->down_len - t->down_at, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	t->down_at += (size_t)n;
	return true;
}

static bool carry_up(Tunnel *t)
{
	size_t sent = 0;
	CURLcode code;
	ssize_t n;

	if (t->up_at == t->up_len && !t->up_ended) {
		n = recv(t->local, t->up, sizeof(t->up), 0);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		t->up_ended = n == 0;
		t->up_at = 0;
		t->up_len = (size_t)n;
	}
	if (t->up_at == t->up_len)
		return true;
	code = curl_easy_send(t->curl, t->up + t->up_at, t->up_len - t->up_at, &sent);
	t->up_at += sent;
	return code == CURLE_OK || code == CURLE_AGAIN;
}

static void *tunnel_run(void *arg)
{
	Tunnel *t = arg;

	for (;;) {
		bool up = t->up_at < t->up_len, down = t->down_at < t->down_len;
		struct pollfd fds[2] = {
			{.fd = t->local,
                         .events = (short)((up || t->up_ended ? 0 : POLLIN) |
					    (down ? POLLOUT : 0))                   },
			{ .fd = t->remote,
                         .events = (short)((down ? 0 : POLLIN) | (up ? POLLOUT : 0))},
		};
		int n = poll(fds, 2, t->up_ended ? HALF_CLOSED_IDLE_MS : -1);

		if (n == 0 || (n < 0 && errno != EINTR))
			break;
		/* The caller closed his end for good. */
		if ((fds[0].revents & (POLLHUP | POLLERR)) && !(fds[0].revents & POLLIN))
			break;
		/* TLS may hold more than the socket shows: until there is nothing left. */
		do {
			if (!carry_down(t))
				goto out;
		} while (t->down_len && t->down_at == t->down_len);
		if (!carry_up(t))
			break;
	}
out:
	tunnel_free(t);
	return NULL;
}

static int tunnel_connect(Client *c, Context *ctx, Tunnel *t, Error *err)
{
	CURLcode code;

	t->curl = curl_easy_init();
	if (!t->curl)
		return error_set(err, ERR_INTERNAL, "libcurl does not start");
	client_secure_setup(c, t->curl);
	curl_easy_setopt(t->curl, CURLOPT_URL, c->base);
	curl_easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(t->curl, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(t->curl, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(t->curl, CURLOPT_ERRORBUFFER, c->curl_error);
	curl_easy_setopt(t->curl, CURLOPT_TIMEOUT_MS,
			 (long)(MIN(context_remaining(ctx), CLIENT_CONNECT_MAX) / USEC_PER_MSEC) +
				 1);
	code = curl_easy_perform(t->curl);
	/* It points into the client, which may go before the tunnel does. */
	curl_easy_setopt(t->curl, CURLOPT_ERRORBUFFER, NULL);
	if (code == CURLE_OK)
		code = curl_easy_getinfo(t->curl, CURLINFO_ACTIVESOCKET, &t->remote);
	return code == CURLE_OK ? 0 : client_curl_error(c, t->curl, code, err);
}

int client_tunnel(Client *c, Context *ctx, Error *err)
{
	Tunnel *t = xnew0(Tunnel, 1);
	int pair[2], rc;
	pthread_t thread;

	t->local = -1;
	rc = tunnel_connect(c, ctx, t, err);
	if (rc == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		rc = error_set_errno(err, errno, "socketpair");
	if (rc < 0) {
		tunnel_free(t);
		return rc;
	}
	t->local = pair[0];
	if (pthread_create(&thread, NULL, tunnel_run, t) != 0) {
		tunnel_free(t);
		fd_close(pair[1]);
		return error_set(err, ERR_UNAVAILABLE, "no thread for the connection");
	}
	pthread_detach(thread);
	return pair[1];
}
