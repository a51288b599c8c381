/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Caretaker: the thread that watches over connections from outside libmicrohttpd.
 *
 * libmicrohttpd 0.9.75 restarts its timeout with every byte, and neither notices that the peer of a
 * suspended connection left nor times it out. So each connection has a deadline here (head, body,
 * answer, idle) after which its socket is shut down, and a stream (watch, followed log) registers
 * its socket for EPOLLRDHUP and may ask to be poked at a time. The thread sleeps until the earliest
 * of these, or for ever: an idle server does not wake.
 *
 * It also keeps descriptors for what is inside: libmicrohttpd would stop to accept, or spin, when
 * there are none, so there are never so many connections.
 *
 * A Conn is in the list from accept until just before its descriptor is closed, both under
 * Server.lock, so a shutdown() under that lock can never hit a descriptor that was given to someone
 * else.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/log.h"
#include "server/internal.h"

#define WAKE_ID            UINT64_MAX
#define EVENTS_MAX         64
#define SHED_TELL_INTERVAL (60 * USEC_PER_SEC)
/* For a stream's last bytes when the server stops. */
#define STREAM_END_DEADLINE USEC_PER_SEC

static void caretaker_wake(Server *s)
{
	uint64_t one = 1;

	(void)!write(s->wake_fd, &one, sizeof(one));
}

/* Under the lock: makes sure the thread is up by `at`. */
static void need_by_locked(Server *s, usec_t at)
{
	if (at < s->next_wake) {
		s->next_wake = at;
		caretaker_wake(s);
	}
}

void conns_set_limits(Server *s)
{
	struct rlimit l = { .rlim_cur = 2 * (rlim_t)CONNECTIONS_MAX };
	size_t n, inside;

	(void)getrlimit(RLIMIT_NOFILE, &l);
	n = (size_t)MIN(l.rlim_cur, (rlim_t)2 * CONNECTIONS_MAX);
	inside = MIN(n / 2, (size_t)DESCRIPTORS_INSIDE);
	s->conns_max = MIN(n - inside, (size_t)CONNECTIONS_MAX);
	s->conns_per_user = MIN(s->conns_max / 4, (size_t)CONNECTIONS_PER_USER);
}

/* Everybody may connect to the Unix socket: nobody but an administrator may fill it. */
static bool user_has_too_many_locked(const Server *s, const Conn *c)
{
	size_t n = 0;

	if (c->stranger == (uid_t)-1)
		return false;
	for (const Conn *other = s->conns; other; other = other->next)
		n += other->stranger == c->stranger;
	return n > s->conns_per_user;
}

/*
 * Who goes for the new connection c: the oldest of those that have not said who they are. Whoever
 * opens many and sends nothing, or nothing good, makes room for himself so; a client that sends its
 * request at once is not the oldest. Where all are known, the new one goes.
 */
static Conn *to_shed_locked(const Server *s, Conn *c)
{
	bool of_root = c->peer && c->peer->admin;
	size_t n = s->n_conns - s->n_shed;

	if (user_has_too_many_locked(s, c))
		return c;
	if (n <= s->conns_max)
		return NULL;
	for (Conn *old = s->conns_tail; old != c; old = old->prev)
		if (!old->known && !old->shed)
			return old;
	return of_root && n <= s->conns_max + CONNECTIONS_OF_ROOT ? NULL : c;
}

static void conn_shed_locked(Server *s, Conn *c)
{
	/* libmicrohttpd sees the end of file and cleans up on its own thread. */
	(void)shutdown(c->fd, SHUT_RDWR);
	c->shed = true;
	s->n_shed++;
	atomic_fetch_add(&s->counters.cut, 1);
}

void conn_add(Server *s, Conn *c)
{
	usec_t now = clock_now(server_clock(s));
	bool full, tell;
	Conn *shed;

	pthread_mutex_lock(&s->lock);
	c->id = s->next_conn_id++;
	c->next = s->conns;
	if (s->conns)
		s->conns->prev = c;
	else
		s->conns_tail = c;
	s->conns = c;
	s->n_conns++;
	shed = to_shed_locked(s, c);
	if (shed)
		conn_shed_locked(s, shed);
	full = s->n_conns - s->n_shed >= s->conns_max;
	tell = full && (!s->shed_told || now - s->shed_told >= SHED_TELL_INTERVAL);
	if (tell)
		s->shed_told = now;
	need_by_locked(s, c->deadline);
	pthread_mutex_unlock(&s->lock);
	if (tell)
		log_warning("%zu connections are open, and no more are possible: the oldest of "
			    "those that did not say who they are give way",
			    s->conns_max);
}

void conn_remove(Server *s, Conn *c)
{
	pthread_mutex_lock(&s->lock);
	if (c->prev)
		c->prev->next = c->next;
	else
		s->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	else
		s->conns_tail = c->prev;
	s->n_conns--;
	s->n_shed -= c->shed;
	pthread_cond_broadcast(&s->idle);
	pthread_mutex_unlock(&s->lock);
}

void conn_set_deadline(Conn *c, usec_t after)
{
	Server *s = c->server;

	usec_t at = after == USEC_INFINITY ? after : clock_now(server_clock(s)) + after;

	pthread_mutex_lock(&s->lock);
	/* A stream that has to end gets no more time. */
	c->deadline = s->stopping && c->poke ? MIN(c->deadline, at) : at;
	need_by_locked(s, c->deadline);
	pthread_mutex_unlock(&s->lock);
}

void conn_attach(Conn *c, PokeFn poke, void *arg)
{
	struct epoll_event ev = { .events = EPOLLRDHUP | EPOLLONESHOT, .data.u64 = c->id };
	Server *s = c->server;

	pthread_mutex_lock(&s->lock);
	c->poke = poke;
	c->poke_arg = arg;
	c->wake = USEC_INFINITY;
	c->deadline = USEC_INFINITY;
	if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, c->fd, &ev) < 0 && errno == EEXIST)
		(void)epoll_ctl(s->epoll_fd, EPOLL_CTL_MOD, c->fd, &ev);
	if (s->stopping)
		poke(arg, POKE_STOPPING);
	pthread_mutex_unlock(&s->lock);
}

void conn_detach(Conn *c)
{
	Server *s = c->server;

	pthread_mutex_lock(&s->lock);
	c->poke = NULL;
	c->poke_arg = NULL;
	c->wake = USEC_INFINITY;
	(void)epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
	pthread_mutex_unlock(&s->lock);
}

void conn_set_wake(Conn *c, usec_t at)
{
	Server *s = c->server;

	pthread_mutex_lock(&s->lock);
	c->wake = at;
	need_by_locked(s, at);
	pthread_mutex_unlock(&s->lock);
}

void conn_use(Conn *c, Identity *who)
{
	Server *s = c->server;
	Identity *before;
	usec_t now, wall;

	/* Most come by a socket's peer and stay who they are. */
	if (!who->credential && !c->used && (c->known || who->source == IDENTITY_ANONYMOUS))
		return;
	now = clock_now(server_clock(s));
	wall = clock_wall(server_clock(s));
	pthread_mutex_lock(&s->lock);
	c->known |= who->source != IDENTITY_ANONYMOUS;
	before = c->used;
	c->used = who->credential ? identity_ref(who) : NULL;
	c->expires = c->used && who->expires ? now + (who->expires - MIN(who->expires, wall))
					     : USEC_INFINITY;
	need_by_locked(s, c->expires);
	pthread_mutex_unlock(&s->lock);
	identity_unref(before);
}

void server_cut_credential(void *server, const char *uid)
{
	Server *s = server;

	pthread_mutex_lock(&s->lock);
	for (Conn *c = s->conns; c; c = c->next)
		if (c->used && streq(c->used->credential, uid)) {
			shutdown(c->fd, SHUT_RDWR);
			atomic_fetch_add(&s->counters.cut, 1);
		}
	pthread_mutex_unlock(&s->lock);
}

void server_end_streams(Server *s)
{
	usec_t cut = clock_now(server_clock(s)) + STREAM_END_DEADLINE;

	pthread_mutex_lock(&s->lock);
	for (Conn *c = s->conns; c; c = c->next) {
		if (!c->poke)
			continue;
		c->poke(c->poke_arg, POKE_STOPPING);
		c->deadline = MIN(c->deadline, cut);
	}
	need_by_locked(s, cut);
	pthread_mutex_unlock(&s->lock);
}

void server_review_streams(Server *s)
{
	pthread_mutex_lock(&s->lock);
	for (Conn *c = s->conns; c; c = c->next)
		if (c->poke)
			c->poke(c->poke_arg, POKE_KINDS);
	pthread_mutex_unlock(&s->lock);
}

static void peer_gone_locked(Server *s, uint64_t id)
{
	for (Conn *c = s->conns; c; c = c->next) {
		if (c->id != id)
			continue;
		if (c->poke)
			c->poke(c->poke_arg, POKE_PEER_GONE);
		return;
	}
}

/* Cuts what is over its deadline, pokes what asked for it; when the next one is due. */
static usec_t sweep_locked(Server *s)
{
	usec_t now = clock_now(server_clock(s)), next = USEC_INFINITY;

	for (Conn *c = s->conns; c; c = c->next) {
		if (c->deadline <= now || c->expires <= now) {
			/* libmicrohttpd sees the end of file and cleans up on its own thread. */
			shutdown(c->fd, SHUT_RDWR);
			c->deadline = c->expires = USEC_INFINITY;
			atomic_fetch_add(&s->counters.cut, 1);
		}
		if (c->wake <= now) {
			c->wake = USEC_INFINITY;
			if (c->poke)
				c->poke(c->poke_arg, POKE_TIMER);
		}
		next = MIN(next, c->deadline);
		next = MIN(next, c->expires);
		next = MIN(next, c->wake);
	}
	return next;
}

static int sleep_ms(Server *s, usec_t until)
{
	usec_t now = clock_now(server_clock(s));

	if (until == USEC_INFINITY)
		return -1;
	/* Rounded up, or the last millisecond would be spent spinning. */
	until -= MIN(until, now);
	return (int)MIN((until + 999) / 1000, (usec_t)3600 * 1000);
}

static void *caretaker_run(void *arg)
{
	struct epoll_event events[EVENTS_MAX];
	Server *s = arg;
	bool stop = false;
	uint64_t drain;

	pthread_setname_np(pthread_self(), "http-caretaker");
	while (!stop) {
		usec_t until;
		int n;

		pthread_mutex_lock(&s->lock);
		until = s->next_wake;
		pthread_mutex_unlock(&s->lock);
		n = epoll_wait(s->epoll_fd, events, EVENTS_MAX, sleep_ms(s, until));
		pthread_mutex_lock(&s->lock);
		for (int i = 0; i < n; i++) {
			if (events[i].data.u64 == WAKE_ID)
				(void)!read(s->wake_fd, &drain, sizeof(drain));
			else
				peer_gone_locked(s, events[i].data.u64);
		}
		s->next_wake = sweep_locked(s);
		stop = s->caretaker_stop;
		pthread_mutex_unlock(&s->lock);
	}
	return NULL;
}

int caretaker_start(Server *s, Error *err)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = WAKE_ID };

	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->epoll_fd < 0 || s->wake_fd < 0 ||
	    epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->wake_fd, &ev) < 0) {
		error_set_errno(err, errno, "start the server");
		s->epoll_fd = fd_close(s->epoll_fd);
		s->wake_fd = fd_close(s->wake_fd);
		return -(int)error_code_from_errno(errno);
	}
	if (pthread_create(&s->caretaker, NULL, caretaker_run, s) != 0)
		return error_set(err, ERR_UNAVAILABLE, "start the server: no thread");
	return 0;
}

void caretaker_stop(Server *s)
{
	pthread_mutex_lock(&s->lock);
	s->caretaker_stop = true;
	pthread_mutex_unlock(&s->lock);
	caretaker_wake(s);
	pthread_join(s->caretaker, NULL);
}

void caretaker_done(Server *s)
{
	s->epoll_fd = fd_close(s->epoll_fd);
	s->wake_fd = fd_close(s->wake_fd);
}
