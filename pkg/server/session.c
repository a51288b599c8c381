/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions: port calls that may block (console, log, dial), and the raw streams that follow them.
 *
 * Each has a thread of its own, short-lived and few (SESSIONS_MAX), so that a console that hangs
 * stops neither an HTTP thread nor another console. The thread makes the port call, resumes the
 * request, and, for a stream, waits until libmicrohttpd hands it the socket after the 101; then it
 * copies bytes both ways until either side ends. What both threads touch is under Server.lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/log.h"
#include "server/internal.h"
#include "server/reply.h"
#include "server/session.h"

#define SESSION_STACK       (256u * 1024)
#define COPY_BUFFER         (16u * 1024)
#define HALF_CLOSED_IDLE_MS 60000

static void session_copy(Session *s);

Session *session_new(Request *r, SessionOpenFn open, void (*done)(Request *r))
{
	Session *s = xnew0(Session, 1);

	s->server = r->server;
	s->request = r;
	s->open = open;
	s->done = done;
	s->relay = session_copy;
	s->fd = s->sock = -1;
	clock_cond_init(&s->cond);
	return s;
}

static void session_free(Session *s)
{
	fd_close(s->fd);
	pthread_cond_destroy(&s->cond);
	error_done(&s->err);
	free(s->node);
	free(s->target);
	free(s->uid);
	free(s->extra);
	free(s->state);
	free(s);
}

/* ---- copying ---- */

typedef struct Pipe {
	int from, to;
	char buf[COPY_BUFFER];
	size_t at, len;
	bool ended;
} Pipe;

/* One step in one direction; false = this direction is over. */
static bool pipe_step(Pipe *p, short from_events, short to_events)
{
	ssize_t n;

	if (p->len == p->at && (from_events & (POLLIN | POLLHUP | POLLERR))) {
		n = read(p->from, p->buf, sizeof(p->buf));
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return false;
		p->at = 0;
		p->len = n > 0 ? (size_t)n : 0;
	}
	if (p->len > p->at && (to_events & (POLLOUT | POLLHUP | POLLERR))) {
		n = send(p->to, p->buf + p->at, p->len - p->at, MSG_NOSIGNAL);
		if (n < 0 && errno == ENOTSOCK)
			n = write(p->to, p->buf + p->at, p->len - p->at);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (n > 0)
			p->at += (size_t)n;
	}
	return true;
}

static void set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

static short wanted(const Pipe *in, const Pipe *out)
{
	short events = 0;

	if (!in->ended && in->at == in->len)
		events |= POLLIN;
	if (!out->ended && out->at < out->len)
		events |= POLLOUT;
	return events;
}

/*
 * Until it is over: at once when the guest's side ends, or the client is gone for good. A client
 * that only closed its sending half still gets what comes back, where that makes sense (a forwarded
 * port, not a console), for as long as something does.
 */
static void session_copy(Session *s)
{
	int sock = s->sock, port = s->fd;
	bool half_close = s->port != 0;
	_cleanup_(xfreep) Pipe *up = xnew0(Pipe, 1);
	_cleanup_(xfreep) Pipe *down = xnew0(Pipe, 1);

	*up = (Pipe){ .from = sock, .to = port };
	*down = (Pipe){ .from = port, .to = sock };
	up->len = MIN(s->n_extra, sizeof(up->buf));
	if (up->len)
		memcpy(up->buf, s->extra, up->len);
	set_nonblocking(sock);
	set_nonblocking(port);
	for (;;) {
		struct pollfd fds[2] = {
			{.fd = sock,  .events = wanted(up,   down)},
			{ .fd = port, .events = wanted(down, up)  }
		};
		int n;

		if (!fds[1].events)
			fds[1].fd = -1; /* its hang-up can wait, and would make us spin */
		n = poll(fds, 2, up->ended ? HALF_CLOSED_IDLE_MS : -1);
		if (n == 0 || (n < 0 && errno != EINTR))
			return;
		if (!up->ended && !pipe_step(up, fds[0].revents, fds[1].revents)) {
			up->ended = true;
			if (!half_close)
				return;
			(void)shutdown(port, SHUT_WR);
		}
		if (!pipe_step(down, fds[1].revents, fds[0].revents))
			return;
		if (up->ended && (fds[0].revents & (POLLHUP | POLLERR)))
			return;
	}
}

/* ---- the thread ---- */

static void session_unlist(Session *s)
{
	Server *server = s->server;

	pthread_mutex_lock(&server->lock);
	if (s->prev)
		s->prev->next = s->next;
	else
		server->sessions = s->next;
	if (s->next)
		s->next->prev = s->prev;
	server->n_sessions--;
	atomic_fetch_sub(&server->counters.sessions, 1);
	pthread_cond_broadcast(&server->idle);
	pthread_mutex_unlock(&server->lock);
}

/* Waits for the socket; false if there will be none. */
static bool session_await_socket(Session *s)
{
	Server *server = s->server;
	bool got;

	pthread_mutex_lock(&server->lock);
	while (s->sock < 0 && !s->abandoned)
		pthread_cond_wait(&s->cond, &server->lock);
	got = s->sock >= 0;
	pthread_mutex_unlock(&server->lock);
	return got;
}

/* Nothing may resume the request before it is suspended. */
static void session_await_start(Session *s)
{
	pthread_mutex_lock(&s->server->lock);
	while (!s->started)
		pthread_cond_wait(&s->cond, &s->server->lock);
	pthread_mutex_unlock(&s->server->lock);
}

static void session_hand_back(Session *s)
{
	Server *server = s->server;

	pthread_mutex_lock(&server->lock);
	s->sock = -1; /* no longer ours to shut down */
	pthread_mutex_unlock(&server->lock);
	MHD_upgrade_action(s->urh, MHD_UPGRADE_ACTION_CLOSE);
}

static void *session_run(void *arg)
{
	Session *s = arg;
	Context ctx = { .clock = server_clock(s->server), .canceled = &s->canceled };
	int rc, fd = -1;

	pthread_setname_np(pthread_self(), "http-session");
	session_await_start(s);
	ctx.deadline = clock_now(ctx.clock) + SESSION_OPEN_SECONDS * USEC_PER_SEC;
	rc = s->open(s, &ctx, &fd, &s->err);
	s->rc = rc;
	s->fd = rc < 0 ? -1 : fd;
	request_resume(s->request);
	/* From here on the request is not ours; it gives us a socket or lets us go. */
	if (session_await_socket(s)) {
		s->relay(s);
		session_hand_back(s);
	}
	session_unlist(s);
	session_free(s);
	return NULL;
}

int session_thread(void *(*run)(void *arg), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, SESSION_STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&thread, &attr, run, arg);
	pthread_attr_destroy(&attr);
	return rc;
}

void session_start(Session *s)
{
	Server *server = s->server;
	Request *r = s->request;
	bool full;

	pthread_mutex_lock(&server->lock);
	full = server->n_sessions >= SESSIONS_MAX || server->stopping;
	if (!full) {
		s->next = server->sessions;
		if (s->next)
			s->next->prev = s;
		server->sessions = s;
		server->n_sessions++;
		atomic_fetch_add(&server->counters.sessions, 1);
	}
	pthread_mutex_unlock(&server->lock);
	if (!full && session_thread(session_run, s) == 0) {
		r->session = s;
		r->commit.done = s->done;
		request_suspend(r);
		pthread_mutex_lock(&server->lock);
		s->started = true;
		pthread_cond_broadcast(&s->cond);
		pthread_mutex_unlock(&server->lock);
		return;
	}
	if (!full)
		session_unlist(s);
	session_free(s);
	reply_failure(r, MHD_HTTP_TOO_MANY_REQUESTS, "TooManyRequests", NULL,
		      "too many consoles and forwarded ports are open already");
}

/* The request lets its session go: what it wanted of it, it has. */
void session_release(Request *r)
{
	session_abandon(TAKE_PTR(r->session));
}

void session_abandon(Session *s)
{
	Server *server = s->server;

	pthread_mutex_lock(&server->lock);
	if (s->sock < 0)
		s->abandoned = true;
	pthread_cond_broadcast(&s->cond);
	pthread_mutex_unlock(&server->lock);
}

static void upgraded(void *cls, struct MHD_Connection *mhd _unused_, void *context _unused_,
		     const char *extra, size_t n_extra, MHD_socket sock,
		     struct MHD_UpgradeResponseHandle *urh)
{
	Session *s = cls;
	Server *server = s->server;

	/* From here on the session lives as long as its socket, the request may end before it. */
	s->request->session = NULL;
	conn_set_deadline(s->request->conn, USEC_INFINITY);
	pthread_mutex_lock(&server->lock);
	s->urh = urh;
	s->sock = sock;
	s->extra = n_extra ? xmemdup(extra, n_extra) : NULL;
	s->n_extra = n_extra;
	if (server->stopping)
		(void)shutdown(sock, SHUT_RDWR);
	pthread_cond_broadcast(&s->cond);
	pthread_mutex_unlock(&server->lock);
}

void session_upgrade(Request *r, const char *protocol)
{
	Session *s = r->session;

	r->reply.code = MHD_HTTP_SWITCHING_PROTOCOLS;
	r->reply.content_type = NULL;
	r->reply.response = MHD_create_response_for_upgrade(upgraded, s);
	MHD_add_response_header(r->reply.response, MHD_HTTP_HEADER_UPGRADE, protocol);
}

void sessions_stop(Server *s)
{
	pthread_mutex_lock(&s->lock);
	for (Session *i = s->sessions; i; i = i->next) {
		atomic_store(&i->canceled, true);
		if (i->sock >= 0)
			(void)shutdown(i->sock, SHUT_RDWR);
	}
	while (s->n_sessions > 0)
		pthread_cond_wait(&s->idle, &s->lock);
	pthread_mutex_unlock(&s->lock);
}
