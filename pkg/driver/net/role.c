/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The net role: one thread, one epoll. See net.h.
 *
 * Requests are served one after the other, whole; a network takes a few milliseconds. Events are
 * gathered for a moment, then every network that they may concern is looked at, and the clients
 * hear of those that are not as they should be; mending is left to the next ensure. What is looked
 * for without an event (has a new guest used its address?) is asked less and less often.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cap-ng.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/memory.h"
#include "driver/net/events.h"
#include "driver/net/net.h"
#include "driver/net/proto.h"
#include "driver/net/request.h"

#define LOOK_DELAY    (20 * USEC_PER_MSEC)  /* after the last event */
#define LOOK_LATEST   (200 * USEC_PER_MSEC) /* after the first */
#define SEEN_SHORTEST (100 * USEC_PER_MSEC)
#define SEEN_LONGEST  (10 * USEC_PER_SEC)
#define SEND_TIMEOUT  (2 * USEC_PER_SEC)
#define CLIENTS_MAX   32

typedef struct Role Role;
typedef struct Source Source;

/* Something that epoll watches. */
struct Source {
	int fd;
	void (*ready)(Role *r, Source *s);
};

typedef struct Client {
	Source source;
	ProtoReader reader;
	bool only; /* the role ends with it */
} Client;

/* The process of a network; the descriptor is a copy. */
typedef struct Watch {
	Source source;
	pid_t pid;
	char uid[UUID_MAX];
} Watch;

struct Role {
	Networks networks;
	Events events;
	int epoll;
	Source signals, route, nft, names;
	Source *listeners;
	size_t n_listeners;
	Client *clients[CLIENTS_MAX];
	Hashmap *watches;            /* uid -> Watch */
	usec_t look_at, look_latest; /* 0 = nothing to look at */
	usec_t seen_at, seen_delay;
	usec_t alive_at;
	const NetRoleOptions *options;
	uid_t client_uid;
	bool stop;
};

static usec_t now(void)
{
	return clock_now(clock_system());
}

static int source_add(Role *r, Source *s, int fd, void (*ready)(Role *, Source *), Error *err)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = s };

	s->fd = fd;
	s->ready = ready;
	if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
		return error_set_errno(err, errno, "epoll");
	return 0;
}

static void source_close(Role *r, Source *s)
{
	epoll_ctl(r->epoll, EPOLL_CTL_DEL, s->fd, NULL);
	s->fd = fd_close(s->fd);
}

/* ---- clients ---- */

static void client_drop(Role *r, Client *c)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (r->clients[i] == c)
			r->clients[i] = NULL;
	r->stop |= c->only;
	source_close(r, &c->source);
	proto_reader_done(&c->reader);
	free(c);
}

/* A client that does not read is cut off: it connects again and asks for everything. */
static bool client_send(Role *r, Client *c, json_t *v, int fd)
{
	Context background = CONTEXT_BACKGROUND;
	Context ctx = context_with_timeout(&background, SEND_TIMEOUT);
	int rc = proto_send(c->source.fd, v, fd, &ctx, NULL);

	json_decref(v);
	if (rc < 0)
		client_drop(r, c);
	return rc == 0;
}

static void tell(Role *r, const char *uid, const char *what)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (r->clients[i])
			client_send(r, r->clients[i],
				    json_pack("{s:{s:s?, s:s}}", "event", "uid", uid, "what", what),
				    -1);
}

/* ---- dnsmasq ---- */

static void on_dnsmasq(Role *r, Source *s)
{
	Watch *w = CONTAINER_OF(s, Watch, source);
	Net *net = networks_get(&r->networks, w->uid);

	source_close(r, s);
	w->pid = 0;
	if (!net)
		return;
	if (net->dnsmasq.pid > 0 && !dnsmasq_runs(&net->dnsmasq))
		dnsmasq_reap(&net->dnsmasq);
	net->dirty = true;
	r->look_at = now();
}

static void watch_free(void *p)
{
	Watch *w = p;

	if (w->pid)
		fd_close(w->source.fd);
	free(w);
}

/* Follows what ensure, remove and restarts did to the processes. */
static void watch_processes(Role *r)
{
	hashmap_foreach (it, r->networks.nets) {
		Net *net = it.value;
		Watch *w = hashmap_get(r->watches, net->uid);
		int fd;

		if (!w && net->dnsmasq.pid) {
			w = xnew0(Watch, 1);
			memcpy(w->uid, net->uid, sizeof(w->uid));
			hashmap_put(r->watches, net->uid, w);
		}
		if (!w || w->pid == net->dnsmasq.pid)
			continue;
		if (w->pid)
			source_close(r, &w->source);
		w->pid = 0;
		fd = net->dnsmasq.pid ? fcntl(net->dnsmasq.pidfd, F_DUPFD_CLOEXEC, 3) : -1;
		if (fd >= 0 && source_add(r, &w->source, fd, on_dnsmasq, NULL) == 0)
			w->pid = net->dnsmasq.pid;
	}
	hashmap_foreach (it, r->watches) {
		Watch *w = it.value;

		if (networks_get(&r->networks, w->uid))
			continue;
		if (w->pid)
			source_close(r, &w->source);
		w->pid = 0;
		hashmap_remove(r->watches, w->uid);
	}
}

/* ---- looking ---- */

static void look_soon(Role *r)
{
	usec_t t = now();

	if (!r->look_at)
		r->look_latest = t + LOOK_LATEST;
	r->look_at = MIN(t + LOOK_DELAY, r->look_latest);
}

/* The next look at who uses its address, from now on often again. */
static void seen_soon(Role *r)
{
	r->seen_delay = SEEN_SHORTEST;
	r->seen_at = now() + r->seen_delay;
}

static void look_at_net(Role *r, Net *net)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Change c = { 0 };
	int rc;

	net->dirty = false;
	if (!net->complete)
		return; /* its ensure failed and will come again by itself */
	rc = net_look(&r->networks, net, &c, &err);
	if (rc < 0 || c.n) {
		_cleanup_(xfreep) char *what =
			xasprintf("%s%s%s", rc < 0 ? error_message(&err) : strbuf_str(&c.text),
				  r->events.blame[0] ? ", nft changed by " : "", r->events.blame);

		net->drifted = true;
		tell(r, net->uid, what);
	}
	change_done(&c);
}

static void look(Role *r)
{
	bool was_blocked = r->networks.host.egress_blocked;

	r->look_at = r->look_latest = 0;
	hashmap_foreach (it, r->networks.nets)
		if (((Net *)it.value)->dirty)
			look_at_net(r, it.value);
	if (r->events.host_changed)
		(void)host_check_egress(&r->networks.host, NULL);
	if (was_blocked != r->networks.host.egress_blocked)
		tell(r, NULL, "the host's firewall changed");
	r->events.host_changed = false;
	r->events.blame[0] = '\0';
	watch_processes(r);
}

static void tell_seen(void *arg, const Net *net, _unused_ const IpAddress *a)
{
	tell(arg, net->uid, "address seen");
}

static void look_for_seen(Role *r)
{
	bool waiting = false;

	r->seen_at = 0;
	if (networks_seen(&r->networks, tell_seen, r, &waiting, NULL) < 0)
		waiting = true;
	watch_processes(r);
	if (!waiting)
		return;
	r->seen_at = now() + r->seen_delay;
	r->seen_delay = MIN(r->seen_delay * 5 / 4, SEEN_LONGEST);
}

static void on_event(Role *r, Source *s)
{
	uint32_t carriers = r->events.carriers;

	if (events_read(&r->events, s->fd, &r->networks))
		look_soon(r);
	if (carriers != r->events.carriers)
		seen_soon(r);
}

/* ---- clients' requests ---- */

/* False if the client has gone. */
static bool client_serve(Role *r, Client *c, json_t *request)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	json_t *id = json_object_get(request, "id"), *answer;
	RequestReply reply = { .fd = -1 };
	bool alive;
	int rc;

	if (!json_is_integer(id)) {
		client_drop(r, c);
		return false;
	}
	rc = request_serve(&r->networks, request, &reply, &err);
	if (rc < 0)
		log_debug("net: %s", error_message(&err));
	watch_processes(r);
	if (streq_ptr(json_string_value(json_object_get(request, "op")), "ensure"))
		seen_soon(r); /* a new port's guest may start now */
	if (rc < 0) {
		json_decref(reply.result);
		answer = json_pack("{s:O, s:o}", "id", id, "error", proto_error_encode(&err, rc));
	} else {
		answer = json_pack("{s:O, s:o, s:b}", "id", id, "result", reply.result, "fd",
				   reply.fd >= 0);
	}
	alive = client_send(r, c, answer, reply.fd);
	fd_close(reply.fd);
	return alive;
}

static void on_client(Role *r, Source *s)
{
	Client *c = CONTAINER_OF(s, Client, source);
	int rc = proto_read(&c->reader, s->fd, NULL);

	while (rc > 0) {
		json_t *request;
		int fd;
		bool alive;

		rc = proto_next(&c->reader, &request, &fd, NULL);
		if (rc <= 0)
			break;
		fd_close(fd);
		alive = client_serve(r, c, request);
		json_decref(request);
		if (!alive)
			return;
	}
	if (rc < 0)
		client_drop(r, c);
}

static int client_add(Role *r, int fd, bool only, Error *err)
{
	Client *c;
	int rc;

	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (r->clients[i])
			continue;
		c = xnew0(Client, 1);
		c->reader = PROTO_READER_INIT;
		c->only = only;
		rc = source_add(r, &c->source, fd, on_client, err);
		if (rc < 0) {
			free(c);
			return rc;
		}
		r->clients[i] = c;
		return 0;
	}
	return error_set(err, ERR_EXHAUSTED, "too many clients");
}

static void on_listener(Role *r, Source *s)
{
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(peer);

	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ||
	    (peer.uid != 0 && peer.uid != r->client_uid) || client_add(r, fd, false, NULL) < 0)
		fd_close(fd);
}

/* ---- start and end ---- */

static int listen_on_path(const NetRoleOptions *o, Error *err)
{
	_cleanup_(fd_closep) int fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	mode_t mask;
	int rc;

	if (strlen(o->socket_path) >= sizeof(a.sun_path))
		return error_set(err, ERR_INVALID, "socket path too long: %s", o->socket_path);
	memcpy(a.sun_path, o->socket_path, strlen(o->socket_path) + 1);
	rc = fs_unlink(o->socket_path, err);
	if (rc < 0)
		return rc;
	mask = umask(0177); /* never open to others, not even for a moment */
	rc = bind(fd, (struct sockaddr *)&a, sizeof(a));
	umask(mask);
	if (rc < 0 || (o->client_uid && chown(o->socket_path, o->client_uid, (gid_t)-1) < 0) ||
	    listen(fd, 16) < 0)
		return error_set_errno(err, errno, "listen on %s", o->socket_path);
	return TAKE_FD(fd);
}

static int open_sockets(Role *r, const NetRoleOptions *o, Error *err)
{
	int rc = 0, fd;

	r->client_uid = o->client_uid;
	r->listeners = xnew0(Source, o->n_listen_fds + 1);
	for (size_t i = 0; i < o->n_listen_fds && rc == 0; i++)
		rc = source_add(r, &r->listeners[r->n_listeners++], o->listen_fds[i], on_listener,
				err);
	if (rc == 0 && o->socket_path) {
		fd = listen_on_path(o, err);
		if (fd < 0)
			return fd;
		rc = source_add(r, &r->listeners[r->n_listeners++], fd, on_listener, err);
	}
	if (rc == 0 && o->connection_fd > 0)
		rc = client_add(r, o->connection_fd, true, err);
	return rc;
}

/*
 * NET_ADMIN, SYS_ADMIN: links, nft, sysctls; namespaces. NET_BROADCAST: events of other namespaces.
 * SYS_PTRACE: which namespace and executable a dnsmasq of another user has, before it is adopted.
 * KILL: end it. The rest is for dnsmasq: ports 53 and 67, raw sockets, leaving root.
 */
static int drop_capabilities(Error *err)
{
	capng_clear(CAPNG_SELECT_BOTH);
	if (capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET,
			  CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_NET_BROADCAST, CAP_SYS_PTRACE, CAP_KILL,
			  CAP_NET_BIND_SERVICE, CAP_NET_RAW, CAP_SETUID, CAP_SETGID, -1) < 0 ||
	    capng_apply(CAPNG_SELECT_BOTH) < 0)
		return error_set(err, ERR_FORBIDDEN, "drop capabilities");
	return 0;
}

/* What a predecessor left is taken over, and compared, before anybody asks. */
static void role_adopt(Role *r)
{
	hashmap_foreach (it, r->networks.nets) {
		Net *net = it.value;

		net->complete = net->dirty = true;
	}
	look(r);
	seen_soon(r);
}

static void on_signal(Role *r, Source *s)
{
	struct signalfd_siginfo si;

	if (read(s->fd, &si, sizeof(si)) != sizeof(si))
		return;
	if (si.ssi_signo != SIGHUP) {
		r->stop = true;
		return;
	}
	if (r->options->reloading)
		r->options->reloading(r->options->arg);
	role_adopt(r);
	if (r->options->ready)
		r->options->ready(r->options->arg);
}

static int role_start(Role *r, const NetRoleOptions *o, Error *err)
{
	sigset_t signals;
	int rc;

	fs_raise_descriptor_limit(); /* libnftables ends the process when it gets none */
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	rc = source_add(r, &r->signals, signalfd(-1, &signals, SFD_CLOEXEC), on_signal, err);
	if (rc == 0)
		rc = networks_init(&r->networks, o->state_dir, err);
	if (rc == 0)
		rc = events_open(&r->events, err);
	if (rc == 0)
		rc = source_add(r, &r->route, r->events.route, on_event, err);
	if (rc == 0)
		rc = source_add(r, &r->nft, r->events.nft, on_event, err);
	if (rc == 0)
		rc = source_add(r, &r->names, r->events.names, on_event, err);
	if (rc == 0)
		rc = open_sockets(r, o, err);
	if (rc == 0)
		rc = drop_capabilities(err);
	return rc;
}

static int wait_time(const Role *r)
{
	usec_t next = USEC_INFINITY, t = now();

	if (r->look_at)
		next = r->look_at;
	if (r->seen_at)
		next = MIN(next, r->seen_at);
	if (r->alive_at)
		next = MIN(next, r->alive_at);
	if (next == USEC_INFINITY)
		return -1;
	return next > t ? (int)((next - t + USEC_PER_MSEC - 1) / USEC_PER_MSEC) : 0;
}

/* What is told is that the loop turns: after the work, not beside it. */
static void role_is_alive(Role *r)
{
	r->options->alive(r->options->arg);
	r->alive_at = now() + r->options->alive_every;
}

static void role_run(Role *r)
{
	if (r->options->alive && r->options->alive_every)
		role_is_alive(r);
	while (!r->stop) {
		struct epoll_event ev;
		/* One at a time: what an event frees cannot be the next one's. */
		int n = epoll_wait(r->epoll, &ev, 1, wait_time(r));
		usec_t t = now();

		if (n == 1)
			((Source *)ev.data.ptr)->ready(r, ev.data.ptr);
		if (r->look_at && t >= r->look_at)
			look(r);
		if (r->seen_at && t >= r->seen_at)
			look_for_seen(r);
		if (r->alive_at && t >= r->alive_at)
			role_is_alive(r);
	}
}

static void role_stop(Role *r, const NetRoleOptions *o)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (r->clients[i])
			client_drop(r, r->clients[i]);
	for (size_t i = 0; i < r->n_listeners; i++)
		source_close(r, &r->listeners[i]);
	if (o->socket_path)
		(void)fs_unlink(o->socket_path, NULL);
	free(r->listeners);
	hashmap_free(r->watches);
	fd_close(r->signals.fd);
	events_close(&r->events);
	networks_done(&r->networks);
	fd_close(r->epoll);
}

int net_role_main(const NetRoleOptions *o, Error *err)
{
	Role r = { .watches = hashmap_new(watch_free), .epoll = -1, .options = o };
	int rc = role_start(&r, o, err);

	if (rc == 0) {
		role_adopt(&r);
		if (o->ready)
			o->ready(o->arg);
		role_run(&r);
	}
	role_stop(&r, o);
	return rc;
}
