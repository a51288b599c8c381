/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Console port over libvirt.
 *
 * libvirt gives a guest's console to one stream at a time, so there is one Session per domain, with
 * a thread that carries bytes between that stream and the socket pairs of all who are attached. The
 * stream's callback runs on libvirt's event loop and only wakes the thread. A reader that does not
 * read is cut off when its socket is full: the log has what it missed.
 *
 * Locks: LibvirtConsole.lock guards the list of sessions and each one's clients; the thread holds
 * it only while it looks at the list.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/fs.h"
#include "base/memory.h"
#include "driver/libvirt/domain.h"
#include "driver/libvirt/errors.h"
#include "driver/libvirt/hypervisor.h"

#define CLIENTS_MAX 16
#define INPUT_MAX   4096
#define SEND_BUFFER (256 << 10)

typedef struct LibvirtConsole LibvirtConsole;

typedef struct Session {
	LibvirtConsole *console;
	char *domain;
	virStreamPtr stream;
	int wake;          /* eventfd */
	atomic_int events; /* VIR_STREAM_EVENT_* that happened */
	int clients[CLIENTS_MAX];
	size_t n_clients;
	bool ending;           /* takes no more clients; gone in a moment */
	char input[INPUT_MAX]; /* on its way to the guest */
	size_t n_input;
	atomic_uint refs; /* the thread's, and a running callback's */
	uintptr_t id;
	struct Session *next;
} Session;

/*
 * What stream callbacks find their session by: libvirt calls no free function for them over a
 * socket, and one may still run when it was removed. Its lock is taken last.
 */
static struct {
	pthread_mutex_t lock;
	Session *first;
	uintptr_t last_id;
} live = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct LibvirtConsole {
	Console console;
	Libvirt *libvirt;
	char *instances; /* directory */
	pthread_mutex_t lock;
	pthread_cond_t ended;
	Hashmap *sessions; /* domain -> Session */
	unsigned threads;
	bool stopping;
};

static LibvirtConsole *console_of(Console *c)
{
	return CONTAINER_OF(c, LibvirtConsole, console);
}

/* ---- a session ---- */

static void session_unref(Session *s)
{
	if (atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	fd_close(s->wake);
	free(s->domain);
	free(s);
}

static void session_wake(Session *s)
{
	uint64_t one = 1;

	(void)!write(s->wake, &one, sizeof(one));
}

static void live_add(Session *s)
{
	pthread_mutex_lock(&live.lock);
	s->id = ++live.last_id;
	s->next = live.first;
	live.first = s;
	pthread_mutex_unlock(&live.lock);
}

static void live_remove(Session *s)
{
	pthread_mutex_lock(&live.lock);
	for (Session **at = &live.first; *at; at = &(*at)->next)
		if (*at == s) {
			*at = s->next;
			break;
		}
	pthread_mutex_unlock(&live.lock);
}

/* With a reference; NULL if it ended. */
static Session *live_get(uintptr_t id)
{
	Session *s;

	pthread_mutex_lock(&live.lock);
	for (s = live.first; s && s->id != id; s = s->next)
		;
	if (s)
		atomic_fetch_add(&s->refs, 1);
	pthread_mutex_unlock(&live.lock);
	return s;
}

/* On libvirt's event loop. Events are level-triggered, so they are off until the thread is done. */
static void on_stream(virStreamPtr stream, int events, void *opaque)
{
	Session *s = live_get((uintptr_t)opaque);

	virStreamEventUpdateCallback(stream, 0);
	if (!s)
		return;
	atomic_fetch_or(&s->events, events);
	session_wake(s);
	session_unref(s);
}

/* All clients in one snapshot; their descriptors are closed by the thread alone. */
static size_t session_clients(Session *s, int fds[CLIENTS_MAX])
{
	size_t n;

	pthread_mutex_lock(&s->console->lock);
	n = s->n_clients;
	memcpy(fds, s->clients, sizeof(s->clients));
	pthread_mutex_unlock(&s->console->lock);
	return n;
}

static void session_drop(Session *s, int fd)
{
	pthread_mutex_lock(&s->console->lock);
	for (size_t i = 0; i < s->n_clients; i++)
		if (s->clients[i] == fd) {
			s->clients[i] = s->clients[--s->n_clients];
			break;
		}
	pthread_mutex_unlock(&s->console->lock);
	fd_close(fd);
}

static void session_fan_out(Session *s, const char *data, size_t len)
{
	int fds[CLIENTS_MAX];
	size_t n = session_clients(s, fds);

	for (size_t i = 0; i < n; i++)
		if (send(fds[i], data, len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len)
			session_drop(s, fds[i]);
}

/* false when the guest's side ended. */
static bool session_receive(Session *s)
{
	char data[4096];
	int n;

	while ((n = virStreamRecv(s->stream, data, sizeof(data))) > 0)
		session_fan_out(s, data, (size_t)n);
	return n == -2;
}

static bool session_send(Session *s)
{
	int n;

	while (s->n_input > 0) {
		n = virStreamSend(s->stream, s->input, s->n_input);
		if (n < 0)
			return n == -2;
		s->n_input -= (size_t)n;
		memmove(s->input, s->input + n, s->n_input);
	}
	return true;
}

static void session_read_client(Session *s, int fd)
{
	ssize_t n = recv(fd, s->input + s->n_input, sizeof(s->input) - s->n_input, MSG_DONTWAIT);

	if (n > 0)
		s->n_input += (size_t)n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		session_drop(s, fd);
}

static void session_poll(Session *s)
{
	struct pollfd polls[CLIENTS_MAX + 1];
	int fds[CLIENTS_MAX];
	size_t n = session_clients(s, fds);
	uint64_t count;

	polls[0] = (struct pollfd){ .fd = s->wake, .events = POLLIN };
	for (size_t i = 0; i < n; i++)
		polls[i + 1] =
			(struct pollfd){ .fd = fds[i],
					 .events = s->n_input < sizeof(s->input) ? POLLIN : 0 };
	if (poll(polls, n + 1, -1) < 0)
		return;
	if (polls[0].revents)
		(void)!read(s->wake, &count, sizeof(count));
	for (size_t i = 0; i < n; i++) {
		if (polls[i + 1].revents & POLLIN && s->n_input < sizeof(s->input))
			session_read_client(s, fds[i]);
		else if (polls[i + 1].revents & (POLLHUP | POLLERR))
			session_drop(s, fds[i]);
	}
}

/* Nobody is attached any more, or we are stopping: then nobody can attach to it either. */
static bool session_retire(Session *s)
{
	LibvirtConsole *c = s->console;

	pthread_mutex_lock(&c->lock);
	s->ending |= s->n_clients == 0 || c->stopping;
	pthread_mutex_unlock(&c->lock);
	return s->ending;
}

static void session_run(Session *s)
{
	int events = VIR_STREAM_EVENT_READABLE;

	while (!session_retire(s)) {
		if (events & (VIR_STREAM_EVENT_ERROR | VIR_STREAM_EVENT_HANGUP)) {
			session_receive(s);
			return;
		}
		if (!session_receive(s) || !session_send(s))
			return;
		virStreamEventUpdateCallback(s->stream,
					     VIR_STREAM_EVENT_READABLE | VIR_STREAM_EVENT_ERROR |
						     VIR_STREAM_EVENT_HANGUP |
						     (s->n_input ? VIR_STREAM_EVENT_WRITABLE : 0));
		session_poll(s);
		events = atomic_exchange(&s->events, 0);
	}
}

/* Closes everything; libvirt takes the next stream only when this one is gone. */
static void session_end(Session *s)
{
	LibvirtConsole *c = s->console;
	int fds[CLIENTS_MAX];
	size_t n;

	pthread_mutex_lock(&c->lock);
	s->ending = true;
	n = s->n_clients;
	memcpy(fds, s->clients, sizeof(fds));
	s->n_clients = 0;
	pthread_mutex_unlock(&c->lock);
	for (size_t i = 0; i < n; i++)
		fd_close(fds[i]);
	live_remove(s);
	virStreamEventRemoveCallback(s->stream);
	virStreamAbort(s->stream);
	virStreamFree(s->stream);
}

static void *session_main(void *arg)
{
	Session *s = arg;
	LibvirtConsole *c = s->console;

	pthread_setname_np(pthread_self(), "console");
	session_run(s);
	session_end(s);
	pthread_mutex_lock(&c->lock);
	hashmap_take(c->sessions, s->domain);
	c->threads--;
	pthread_cond_broadcast(&c->ended);
	pthread_mutex_unlock(&c->lock);
	session_unref(s);
	return NULL;
}

static int session_thread(LibvirtConsole *c, Session *s, Error *err)
{
	sigset_t all, old;
	pthread_t thread;
	int e;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	e = pthread_create(&thread, NULL, session_main, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (e)
		return error_set_errno(err, e, "start a console thread");
	pthread_detach(thread);
	c->threads++;
	return 0;
}

/* Takes the stream and the client over on success; the lock is held. */
static int session_start(LibvirtConsole *c, const char *domain, virStreamPtr stream, int client,
			 Error *err)
{
	Session *s = xnew0(Session, 1);
	int rc = 0;

	s->console = c;
	s->domain = xstrdup(domain);
	s->stream = stream;
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->refs = 1;
	live_add(s);
	s->clients[s->n_clients++] = client;
	if (s->wake < 0)
		rc = error_set_errno(err, errno, "eventfd");
	else if (virStreamEventAddCallback(stream, 0, on_stream, (void *)s->id, NULL) < 0)
		rc = libvirt_error(err, "listen to the console");
	if (rc < 0) {
		live_remove(s);
		session_unref(s);
		return rc;
	}
	hashmap_put(c->sessions, domain, s);
	rc = session_thread(c, s, err);
	if (rc < 0) {
		hashmap_take(c->sessions, domain);
		live_remove(s);
		virStreamEventRemoveCallback(stream);
		session_unref(s);
	}
	return rc;
}

/* ---- attach ---- */

typedef struct OpenCall {
	LibvirtCall base;
	virStreamPtr stream;
} OpenCall;

static void open_free(LibvirtCall *c)
{
	OpenCall *o = CONTAINER_OF(c, OpenCall, base);

	if (o->stream) {
		virStreamAbort(o->stream);
		virStreamFree(o->stream);
	}
	free(o);
}

static int op_open(LibvirtCall *c, virConnectPtr conn, Error *err)
{
	_cleanup_(domain_freep) virDomainPtr dom = NULL;
	virStreamPtr stream;
	int rc = domain_find_ours(c->libvirt, conn, c->domain, &dom, NULL, err);

	if (rc < 0)
		return rc;
	if (!dom)
		return error_set(err, ERR_NOT_FOUND, "domain %s does not exist", c->domain);
	stream = virStreamNew(conn, VIR_STREAM_NONBLOCK);
	if (!stream)
		return libvirt_error(err, "new stream");
	if (virDomainOpenConsole(dom, NULL, stream, 0) < 0) {
		rc = libvirt_error(err, "open the console of %s", c->domain);
		/* Somebody else (virsh console) has it. */
		if (libvirt_last_code() == VIR_ERR_OPERATION_FAILED) {
			rc = -ERR_CONFLICT;
			if (err)
				err->code = ERR_CONFLICT;
		}
		virStreamFree(stream);
		return rc;
	}
	CONTAINER_OF(c, OpenCall, base)->stream = stream;
	return 0;
}

static int client_pair(int fds[2], Error *err)
{
	int size = SEND_BUFFER;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return error_set_errno(err, errno, "socketpair");
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return 0;
}

/* 1 = joined, 0 = there is no session; the lock is held. */
static int session_join(LibvirtConsole *c, Context *ctx, const char *domain, int client, Error *err)
{
	Session *s;
	int rc;

	while ((s = hashmap_get(c->sessions, domain)) && s->ending) {
		rc = context_check(ctx, err);
		if (rc < 0)
			return rc;
		clock_wait(ctx->clock, &c->ended, &c->lock, ctx->deadline);
	}
	if (!s)
		return 0;
	if (s->n_clients == CLIENTS_MAX)
		return error_set(err, ERR_EXHAUSTED, "%d are attached already", CLIENTS_MAX);
	s->clients[s->n_clients++] = client;
	session_wake(s);
	return 1;
}

static int attach_client(LibvirtConsole *c, Context *ctx, const char *domain, int client,
			 Error *err)
{
	_cleanup_(error_done) Error open_error = ERROR_INIT;
	OpenCall *o;
	int rc, opened;

	pthread_mutex_lock(&c->lock);
	rc = session_join(c, ctx, domain, client, err);
	pthread_mutex_unlock(&c->lock);
	if (rc != 0)
		return rc;
	o = xnew0(OpenCall, 1);
	libvirt_call_init(&o->base, c->libvirt, CALL_LOOK, "open console", domain, NULL);
	o->base.op = op_open;
	o->base.done = open_free;
	opened = libvirt_call_run(&o->base, ctx, &open_error);
	pthread_mutex_lock(&c->lock);
	/* Another caller may have been faster; then libvirt refused us the second stream. */
	rc = session_join(c, ctx, domain, client, err);
	if (rc == 0 && opened == 0) {
		rc = session_start(c, domain, o->stream, client, err);
		if (rc == 0)
			o->stream = NULL;
	} else if (rc == 0) {
		rc = error_move(err, &open_error);
	}
	pthread_mutex_unlock(&c->lock);
	libvirt_call_unref(&o->base);
	return rc;
}

static int console_attach(Console *self, Context *ctx, const char *node _unused_,
			  const char *domain, int *ret_fd, Error *err)
{
	int fds[2], rc = domain_name_validate(domain, err);

	if (rc == 0)
		rc = client_pair(fds, err);
	if (rc < 0)
		return rc;
	rc = attach_client(console_of(self), ctx, domain, fds[0], err);
	if (rc < 0) {
		fd_close(fds[0]);
		fd_close(fds[1]);
		return rc;
	}
	*ret_fd = fds[1];
	return 0;
}

/* ---- log ---- */

static int console_log(Console *self, Context *ctx, const char *node _unused_,
		       const char *instance_uid, int *ret_fd, Error *err)
{
	LibvirtConsole *c = console_of(self);
	_cleanup_(fd_closep) int dir = -1;
	_cleanup_(xfreep) char *path = NULL;
	int fd, rc = context_check(ctx, err);

	if (rc < 0)
		return rc;
	if (!uuid_is_valid(instance_uid))
		return error_set(err, ERR_INVALID, "bad uid");
	dir = open(c->instances, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return error_set_errno(err, errno, "%s", c->instances);
	path = xasprintf("%s/console.log", instance_uid);
	fd = fs_open_beneath(dir, path, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0, err);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

static Console *console_free(Console *self)
{
	LibvirtConsole *c;
	usec_t deadline = clock_now(clock_system()) + 2 * USEC_PER_SEC;
	bool left;

	if (!self)
		return NULL;
	c = console_of(self);
	pthread_mutex_lock(&c->lock);
	c->stopping = true;
	hashmap_foreach (it, c->sessions)
		session_wake(it.value);
	while (c->threads && clock_now(clock_system()) < deadline)
		clock_wait(clock_system(), &c->ended, &c->lock, deadline);
	left = c->threads > 0;
	pthread_mutex_unlock(&c->lock);
	/* A thread that hangs in libvirt keeps what it needs. */
	if (left)
		return NULL;
	hashmap_free(c->sessions);
	pthread_cond_destroy(&c->ended);
	pthread_mutex_destroy(&c->lock);
	libvirt_unref(c->libvirt);
	free(c->instances);
	free(c);
	return NULL;
}

static const ConsoleOps console_ops = {
	.name = "libvirt",
	.attach = console_attach,
	.log = console_log,
	.free = console_free,
};

int libvirt_console_new(Hypervisor *h, const char *state_dir, Console **ret, Error *err)
{
	LibvirtConsole *c;

	if (str_is_empty(state_dir) || *state_dir != '/')
		return error_set(err, ERR_INVALID, "state directory is not absolute");
	c = xnew0(LibvirtConsole, 1);
	c->console.ops = &console_ops;
	c->libvirt = hypervisor_libvirt(h);
	libvirt_ref(c->libvirt);
	c->instances = xasprintf("%s/instances", state_dir);
	pthread_mutex_init(&c->lock, NULL);
	clock_cond_init(&c->ended);
	c->sessions = hashmap_new(NULL);
	*ret = &c->console;
	return 0;
}
