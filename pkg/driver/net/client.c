/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NetworkDriver over a socket to the net role. See net.h and proto.h.
 *
 * Any number of threads call; each sends its request and waits for the reply with its id. One
 * thread of ours connects, reads and hands out replies and events, and connects again. One lock; it
 * is not held while anything blocks but a send, which has the caller's deadline.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/log.h"
#include "base/memory.h"
#include "driver/net/net.h"
#include "driver/net/proto.h"

#define CONNECT_WAIT  (2 * USEC_PER_SEC) /* what a call waits for a connection */
#define BACKOFF_FIRST (20 * USEC_PER_MSEC)
#define BACKOFF_MAX   (2 * USEC_PER_SEC)
#define LIVED_LONG    BACKOFF_MAX /* a connection after which the next one may come soon */

/* A call that waits; lives on its caller's stack. */
typedef struct Call {
	struct Call *next;
	json_int_t id;
	bool done;
	json_t *reply; /* NULL with done: the connection was lost */
	int fd;
} Call;

typedef struct NetClient {
	NetworkDriver driver;
	NetClientOptions options;
	char *socket_path;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;    /* a reply, a connection, the end */
	pthread_mutex_t send_lock; /* taken after `lock` is let go; frames do not mix */
	int socket;                /* -1 = not connected */
	int wake;                  /* eventfd: the thread is to end */
	bool stop;
	json_int_t last_id;
	Call *calls;
	NetworkEventFn event;
	void *event_arg;
} NetClient;

static NetClient *client_of(NetworkDriver *d)
{
	return CONTAINER_OF(d, NetClient, driver);
}

/* ---- the thread ---- */

static void emit(NetClient *c, const char *uid, const char *what)
{
	NetworkEventFn fn;
	void *arg;

	pthread_mutex_lock(&c->lock);
	fn = c->event;
	arg = c->event_arg;
	pthread_mutex_unlock(&c->lock);
	if (fn)
		fn(arg, uid, what);
}

static int connect_path(const char *path, int *ret_fd, Error *err)
{
	_cleanup_(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	if (fd < 0)
		return error_set_errno(err, errno, "socket");
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return error_set_errno(err, errno, "connect to %s", path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int client_connect(NetClient *c, int *ret_fd, Error *err)
{
	return c->socket_path ? connect_path(c->socket_path, ret_fd, err)
			      : c->options.connect(c->options.connect_arg, ret_fd, err);
}

/* Takes over both: a reply is its caller's alone. */
static void hand_out(NetClient *c, json_t *v, int fd)
{
	json_t *id = json_object_get(v, "id"), *event = json_object_get(v, "event");
	const char *uid = json_string_value(json_object_get(event, "uid"));
	const char *what = json_string_value(json_object_get(event, "what"));

	if (event && what)
		emit(c, uid, what);
	pthread_mutex_lock(&c->lock);
	for (Call *call = c->calls; call && json_is_integer(id); call = call->next) {
		if (call->id != json_integer_value(id) || call->done)
			continue;
		call->reply = TAKE_PTR(v);
		call->fd = TAKE_FD(fd);
		call->done = true;
		pthread_cond_broadcast(&c->changed);
		break;
	}
	pthread_mutex_unlock(&c->lock);
	json_decref(v);
	fd_close(fd);
}

/* Until the connection ends or we are to. */
static void client_read(NetClient *c, int socket)
{
	ProtoReader r = PROTO_READER_INIT;
	int rc = 0;

	while (rc >= 0) {
		struct pollfd p[] = {
			{.fd = socket,   .events = POLLIN},
                        { .fd = c->wake, .events = POLLIN}
		};
		json_t *v;
		int fd;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			break;
		if (p[1].revents)
			break;
		rc = proto_read(&r, socket, NULL);
		while (rc > 0 && (rc = proto_next(&r, &v, &fd, NULL)) > 0)
			hand_out(c, v, fd);
	}
	proto_reader_done(&r);
}

static void client_connected(NetClient *c, int socket)
{
	pthread_mutex_lock(&c->lock);
	c->socket = socket;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	emit(c, NULL, "connected to the net role");
	client_read(c, socket);
	pthread_mutex_lock(&c->send_lock);
	pthread_mutex_lock(&c->lock);
	c->socket = -1;
	for (Call *call = c->calls; call; call = call->next)
		call->done = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_unlock(&c->send_lock);
	fd_close(socket);
}

static bool client_stopping(NetClient *c)
{
	bool stop;

	pthread_mutex_lock(&c->lock);
	stop = c->stop;
	pthread_mutex_unlock(&c->lock);
	return stop;
}

static void *client_thread(void *arg)
{
	usec_t backoff = BACKOFF_FIRST, since;
	NetClient *c = arg;

	pthread_setname_np(pthread_self(), "net-client");
	while (!client_stopping(c)) {
		_cleanup_(error_done) Error err = ERROR_INIT;
		struct pollfd p = { .fd = c->wake, .events = POLLIN };
		int fd;

		if (client_connect(c, &fd, &err) == 0) {
			since = clock_now(clock_system());
			client_connected(c, fd);
			if (clock_now(clock_system()) - since >= LIVED_LONG)
				backoff = BACKOFF_FIRST;
		} else if (backoff == BACKOFF_FIRST) {
			log_debug("net role: %s", error_message(&err));
		}
		/* Also after a connection that ended: a role that dies at once is not started in a
		 * circle. */
		poll(&p, 1, (int)(backoff / USEC_PER_MSEC));
		backoff = MIN(backoff * 2, BACKOFF_MAX);
	}
	return NULL;
}

/* ---- a call ---- */

static int wait_connected(NetClient *c, Context *ctx, Error *err)
{
	Context bounded = context_with_timeout(ctx, CONNECT_WAIT);

	while (c->socket < 0) {
		if (c->stop || context_is_canceled(ctx))
			return error_set(err, ERR_CANCELED, "canceled");
		if (context_check(&bounded, NULL) < 0)
			return error_set(err, ERR_UNAVAILABLE, "the net role is not running");
		clock_wait(ctx->clock, &c->changed, &c->lock, bounded.deadline);
	}
	return 0;
}

/* Sends under its own lock, so that a role that does not read stops only senders. */
static int send_request(NetClient *c, Context *ctx, json_t *request, Error *err)
{
	int rc, socket;

	pthread_mutex_lock(&c->send_lock);
	pthread_mutex_lock(&c->lock);
	socket = c->socket;
	pthread_mutex_unlock(&c->lock);
	if (socket < 0) {
		rc = error_set(err, ERR_UNAVAILABLE, "the net role has gone");
	} else {
		rc = proto_send(socket, request, -1, ctx, err);
		if (rc < 0) /* half a frame may be out: start over */
			shutdown(socket, SHUT_RDWR);
	}
	pthread_mutex_unlock(&c->send_lock);
	return rc;
}

static int wait_reply(NetClient *c, Context *ctx, Call *call, Error *err)
{
	while (!call->done) {
		int rc = context_check(ctx, err);

		if (rc < 0)
			return error_wrap_rc(err, rc, "net role");
		if (c->stop)
			return error_set(err, ERR_CANCELED, "canceled");
		clock_wait(ctx->clock, &c->changed, &c->lock, ctx->deadline);
	}
	if (!call->reply)
		return error_set(err, ERR_UNAVAILABLE, "the net role went away");
	return 0;
}

static void call_unlink(NetClient *c, Call *call)
{
	for (Call **at = &c->calls; *at; at = &(*at)->next)
		if (*at == call) {
			*at = call->next;
			return;
		}
}

/* Takes `request` (without id). *ret is the whole reply, the caller's; ret_fd may be NULL. */
static int client_call(NetClient *c, Context *ctx, json_t *request, json_t **ret, int *ret_fd,
		       Error *err)
{
	Call call = { .fd = -1 };
	json_t *error;
	int rc;

	pthread_mutex_lock(&c->lock);
	rc = wait_connected(c, ctx, err);
	call.id = ++c->last_id;
	call.next = c->calls;
	c->calls = &call;
	pthread_mutex_unlock(&c->lock);
	json_object_set_new(request, "id", json_integer(call.id));
	if (rc == 0)
		rc = send_request(c, ctx, request, err);
	pthread_mutex_lock(&c->lock);
	if (rc == 0)
		rc = wait_reply(c, ctx, &call, err);
	call_unlink(c, &call);
	pthread_mutex_unlock(&c->lock);
	json_decref(request);
	error = json_object_get(call.reply, "error");
	if (rc == 0 && error)
		rc = proto_error_decode(error, err);
	if (rc < 0 || !ret_fd)
		call.fd = fd_close(call.fd);
	if (rc < 0) {
		json_decref(call.reply);
		return rc;
	}
	*ret = call.reply;
	if (ret_fd)
		*ret_fd = call.fd;
	return 0;
}

/* ---- the port ---- */

static int client_ensure(NetworkDriver *self, Context *ctx, const NetworkConfig *config,
			 NetworkStatus *ret, Error *err)
{
	json_t *reply;
	int rc = network_config_validate(config, err);

	if (rc == 0)
		rc = client_call(client_of(self), ctx,
				 json_pack("{s:s, s:o}", "op", "ensure", "config",
					   proto_config_encode(config)),
				 &reply, NULL, err);
	if (rc < 0)
		return rc;
	rc = proto_status_decode(json_object_get(reply, "result"), ret, err);
	json_decref(reply);
	return rc;
}

static int client_remove(NetworkDriver *self, Context *ctx, const char *uid, uint32_t vni,
			 Error *err)
{
	json_t *reply;
	int rc = client_call(
		client_of(self), ctx,
		json_pack("{s:s, s:s, s:I}", "op", "remove", "uid", uid, "vni", (json_int_t)vni),
		&reply, NULL, err);

	if (rc == 0)
		json_decref(reply);
	return rc;
}

static int client_list(NetworkDriver *self, Context *ctx, const char *store_id, NetworkEntry **ret,
		       size_t *ret_n, Error *err)
{
	json_t *reply;
	int rc = client_call(client_of(self), ctx,
			     json_pack("{s:s, s:s}", "op", "list", "store", store_id), &reply, NULL,
			     err);

	if (rc < 0)
		return rc;
	rc = proto_entries_decode(json_object_get(reply, "result"), ret, ret_n, err);
	json_decref(reply);
	return rc;
}

static int client_address_seen(NetworkDriver *self, Context *ctx, const char *uid,
			       const IpAddress *address, bool *ret, Error *err)
{
	char text[IP_TEXT_MAX];
	json_t *reply;
	int rc = client_call(client_of(self), ctx,
			     json_pack("{s:s, s:s, s:s}", "op", "seen", "uid", uid, "address",
				       ip_format(address, text)),
			     &reply, NULL, err);

	if (rc < 0)
		return rc;
	*ret = json_is_true(json_object_get(reply, "result"));
	json_decref(reply);
	return 0;
}

static int client_port_attached(NetworkDriver *self, Context *ctx, const char *uid,
				uint32_t port_id, bool *ret, Error *err)
{
	json_t *reply;
	int rc = client_call(client_of(self), ctx,
			     json_pack("{s:s, s:s, s:I}", "op", "attached", "uid", uid, "port",
				       (json_int_t)port_id),
			     &reply, NULL, err);

	if (rc < 0)
		return rc;
	*ret = json_is_true(json_object_get(reply, "result"));
	json_decref(reply);
	return 0;
}

/* The role only begins to connect: waiting is done here, where it stops nobody else. */
static int finish_connect(int fd, Context *ctx, const char *to, uint16_t port, Error *err)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };
		usec_t left = MIN(context_remaining(ctx), USEC_PER_SEC);
		socklen_t len = sizeof(int);
		int e = 0, rc = context_check(ctx, err);

		if (rc < 0)
			return error_wrap_rc(err, rc, "connect to %s port %u", to, port);
		if (poll(&p, 1, (int)(left / USEC_PER_MSEC) + 1) <= 0)
			continue;
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len);
		return e ? error_set_errno(err, e, "connect to %s port %u", to, port) : 0;
	}
}

static int client_dial(NetworkDriver *self, Context *ctx, const char *uid, const IpAddress *address,
		       uint16_t port, int *ret_fd, Error *err)
{
	_cleanup_(fd_closep) int fd = -1;
	char text[IP_TEXT_MAX];
	json_t *reply;
	int rc = client_call(client_of(self), ctx,
			     json_pack("{s:s, s:s, s:s, s:I}", "op", "dial", "uid", uid, "address",
				       ip_format(address, text), "port", (json_int_t)port),
			     &reply, &fd, err);

	if (rc < 0)
		return rc;
	json_decref(reply);
	if (fd < 0)
		return error_set(err, ERR_INTERNAL, "net role: no descriptor came");
	rc = finish_connect(fd, ctx, text, port, err);
	if (rc == 0)
		*ret_fd = TAKE_FD(fd);
	return rc;
}

static void client_subscribe(NetworkDriver *self, NetworkEventFn fn, void *arg)
{
	NetClient *c = client_of(self);
	bool connected;

	pthread_mutex_lock(&c->lock);
	c->event = fn;
	c->event_arg = arg;
	connected = c->socket >= 0;
	pthread_mutex_unlock(&c->lock);
	if (connected) /* which nobody heard */
		emit(c, NULL, "connected to the net role");
}

static NetworkDriver *client_free(NetworkDriver *self)
{
	NetClient *c = client_of(self);
	uint64_t one = 1;

	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	(void)!write(c->wake, &one, sizeof(one));
	pthread_join(c->thread, NULL);
	fd_close(c->wake);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->send_lock);
	free(c->socket_path);
	free(c);
	return NULL;
}

static const NetworkDriverOps client_ops = {
	.name = "net",
	.ensure = client_ensure,
	.remove = client_remove,
	.list = client_list,
	.address_seen = client_address_seen,
	.port_attached = client_port_attached,
	.dial = client_dial,
	.subscribe = client_subscribe,
	.free = client_free,
};

int network_client_new(const NetClientOptions *o, NetworkDriver **ret, Error *err)
{
	NetClient *c = xnew0(NetClient, 1);
	int rc;

	assert(!o->socket_path != !o->connect);
	c->driver.ops = &client_ops;
	c->options = *o;
	c->socket_path = xstrdup(o->socket_path);
	c->socket = -1;
	c->wake = eventfd(0, EFD_CLOEXEC);
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->send_lock, NULL);
	clock_cond_init(&c->changed);
	rc = c->wake < 0 ? errno : pthread_create(&c->thread, NULL, client_thread, c);
	if (rc) {
		fd_close(c->wake);
		free(c->socket_path);
		free(c);
		return error_set_errno(err, rc, "start the network driver");
	}
	*ret = &c->driver;
	return 0;
}
