/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's console: log (text), console and portforward (raw streams after an HTTP upgrade).
 *
 * Addressed by node through the Console port; the port call runs on a session's thread. A followed
 * log is a suspended connection that looks at the file again a few times a second for as long as
 * somebody follows; nothing else here keeps time. HTTP threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <strings.h>
#include <sys/stat.h>

#include "server/internal.h"

#define FOLLOW_INTERVAL (250 * USEC_PER_MSEC)
#define TAIL_SCAN_MAX   (16 * 1024 * 1024)
#define STREAM_PROTOCOL "sfd-stream"

/* The Instance of the request in r->base; false if answered. */
static bool read_instance(Request *r, json_t **ret_tree)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Key key;
	int rc;

	if (!request_key(r, &key))
		return false;
	object_unref(TAKE_PTR(r->base));
	rc = store_get(r->server->options.store, &key, &r->base, &err);
	if (rc < 0) {
		reply_error(r, rc, &err, r->route.name);
		return false;
	}
	*ret_tree = object_decode(r->base);
	return true;
}

static char *node_of(const Request *r, const json_t *tree)
{
	const char *node = json_string_at(tree, "status.nodeName");

	if (str_is_empty(node))
		node = json_string_at(tree, "spec.nodeName");
	return xstrdup(str_is_empty(node) ? r->server->node_name : node);
}

static void reply_unavailable(Request *r, const char *what)
{
	reply_failure(r, MHD_HTTP_SERVICE_UNAVAILABLE, "ServiceUnavailable", NULL, "%s", what);
}

/* Why the port did not open, in words for the client. */
static void reply_open_failure(Request *r, const Session *s, const char *absent)
{
	if (s->rc == -ERR_NOT_FOUND)
		reply_failure(r, MHD_HTTP_CONFLICT, "Conflict",
			      status_details(r, r->route.name, NULL), "%s", absent);
	else if (s->rc == -ERR_UNAVAILABLE && s->port)
		reply_failure(r, MHD_HTTP_SERVICE_UNAVAILABLE, "ServiceUnavailable", NULL,
			      "nothing answers at port %u of instance %s", s->port, r->route.name);
	else if (s->rc == -ERR_UNAVAILABLE)
		reply_unavailable(r, "nothing answers there");
	else
		reply_error(r, s->rc, &s->err, r->route.name);
}

/* ---- log ---- */

typedef struct LogStream {
	Server *server;
	Conn *conn;
	struct MHD_Connection *mhd;
	int fd;
	bool follow;
	off_t at;
	uint64_t left; /* bytes still to be sent; UINT64_MAX = no limit */
	pthread_mutex_t lock;
	bool suspended, closed; /* under lock */
} LogStream;

static void log_stream_free(void *arg)
{
	LogStream *l = arg;

	fd_close(l->fd);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static void log_poke(void *arg, Poke why)
{
	LogStream *l = arg;

	pthread_mutex_lock(&l->lock);
	if (why != POKE_TIMER)
		l->closed = true;
	if (l->suspended) {
		l->suspended = false;
		MHD_resume_connection(l->mhd);
	}
	pthread_mutex_unlock(&l->lock);
}

/* True if the file was replaced or cut: the follower has to ask again. */
static bool log_is_over(const LogStream *l)
{
	struct stat st;

	return fstat(l->fd, &st) < 0 || st.st_nlink == 0 || st.st_size < l->at;
}

static ssize_t log_wait(LogStream *l)
{
	bool closed;

	conn_set_wake(l->conn, clock_now(server_clock(l->server)) + FOLLOW_INTERVAL);
	pthread_mutex_lock(&l->lock);
	closed = l->closed;
	if (!closed) {
		l->suspended = true;
		MHD_suspend_connection(l->mhd);
	}
	pthread_mutex_unlock(&l->lock);
	return closed ? MHD_CONTENT_READER_END_OF_STREAM : 0;
}

static ssize_t log_read(void *cls, uint64_t pos _unused_, char *buf, size_t max)
{
	LogStream *l = cls;
	ssize_t n;

	if (l->left == 0)
		return MHD_CONTENT_READER_END_OF_STREAM;
	n = pread(l->fd, buf, (size_t)MIN((uint64_t)max, l->left), l->at);
	if (n > 0) {
		l->at += n;
		if (l->left != UINT64_MAX)
			l->left -= (uint64_t)n;
		return n;
	}
	if (n < 0 && errno != EINTR && errno != EAGAIN)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (!l->follow || log_is_over(l))
		return MHD_CONTENT_READER_END_OF_STREAM;
	return log_wait(l);
}

/* Where the last `lines` lines begin. */
static off_t tail_offset(int fd, off_t size, unsigned long long lines)
{
	off_t at = size;
	char buf[4096];
	bool end = true; /* the newline that ends the last line is not a line's beginning */

	if (lines == 0)
		return size;
	while (at > 0 && size - at < TAIL_SCAN_MAX) {
		size_t want = (size_t)MIN((off_t)sizeof(buf), at);
		ssize_t n = pread(fd, buf, want, at - (off_t)want);

		if (n <= 0)
			return at;
		for (ssize_t i = n; i-- > 0;) {
			if (buf[i] != '\n' || end) {
				end = false;
				continue;
			}
			if (--lines == 0)
				return at - (off_t)want + i + 1;
		}
		at -= n;
	}
	return at;
}

static int query_number(Request *r, const char *name, uint64_t *ret)
{
	const char *text = target_query(&r->target, name);
	char *end;

	if (str_is_empty(text))
		return 0;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (errno || *end || strspn(text, "0123456789") != strlen(text)) {
		reply_bad_request(r, "%s: Invalid value: \"%.64s\"", name, text);
		return -ERR_INVALID;
	}
	return 1;
}

static int open_log(Session *s, Context *ctx, int *ret_fd, Error *err)
{
	Console *console = s->server->options.console;

	return console->ops->log(console, ctx, s->node, s->uid, ret_fd, err);
}

static void log_opened(Request *r)
{
	Session *s = r->session;
	uint64_t tail = 0, limit = UINT64_MAX;
	struct stat st = { 0 };
	LogStream *l;
	int has_tail;

	if (s->rc < 0) {
		reply_open_failure(r, s,
				   "there is no console log: the instance has not been "
				   "started yet");
		session_release(r);
		return;
	}
	has_tail = query_number(r, "tailLines", &tail);
	if (has_tail < 0 || query_number(r, "limitBytes", &limit) < 0)
		return;
	l = xnew0(LogStream, 1);
	l->server = r->server;
	l->conn = r->conn;
	l->mhd = r->mhd;
	l->fd = TAKE_FD(s->fd);
	session_release(r);
	l->follow = target_query_bool(&r->target, "follow");
	l->left = limit;
	pthread_mutex_init(&l->lock, NULL);
	(void)fstat(l->fd, &st);
	l->at = has_tail ? tail_offset(l->fd, st.st_size, tail) : 0;
	r->stream = l;
	r->stream_free = log_stream_free;
	conn_attach(r->conn, log_poke, l);
	r->reply.code = MHD_HTTP_OK;
	r->reply.content_type = "text/plain; charset=utf-8";
	r->reply.response =
		MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16 * 1024, log_read, l, NULL);
}

void handle_log(Request *r)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	Session *s;

	if (!read_instance(r, &tree))
		return;
	if (!r->server->options.console) {
		reply_unavailable(r, "this server has no console");
		return;
	}
	s = session_new(r, open_log, log_opened);
	s->node = node_of(r, tree);
	s->uid = xstrdup(object_head(r->base)->uid);
	session_start(s);
}

/* ---- streams ---- */

static bool header_has_token(const char *header, const char *token)
{
	size_t n = strlen(token);

	for (const char *p = header; p && *p;) {
		p += strspn(p, " ,\t");
		if (strncasecmp(p, token, n) == 0 && strchr(" ,\t", p[n]))
			return true;
		p += strcspn(p, ",");
	}
	return false;
}

static bool wants_upgrade(Request *r)
{
	if (header_has_token(request_header(r, MHD_HTTP_HEADER_CONNECTION), "upgrade") &&
	    header_has_token(request_header(r, MHD_HTTP_HEADER_UPGRADE), STREAM_PROTOCOL))
		return true;
	reply_failure(
		r, MHD_HTTP_UPGRADE_REQUIRED, "BadRequest", NULL,
		"this is a stream: ask with \"Connection: Upgrade\" and \"Upgrade: " STREAM_PROTOCOL
		"\"");
	return false;
}

static int open_console(Session *s, Context *ctx, int *ret_fd, Error *err)
{
	Console *console = s->server->options.console;

	return console->ops->attach(console, ctx, s->node, s->target, ret_fd, err);
}

static void stream_opened(Request *r)
{
	Session *s = r->session;

	if (s->rc == 0) {
		session_upgrade(r);
		return;
	}
	reply_open_failure(r, s, "the instance is not running");
	session_release(r);
}

void handle_console(Request *r)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	Session *s;

	if (!wants_upgrade(r) || !read_instance(r, &tree))
		return;
	if (!r->server->options.console) {
		reply_unavailable(r, "this server has no console");
		return;
	}
	s = session_new(r, open_console, stream_opened);
	s->node = node_of(r, tree);
	s->target = xasprintf("%s.%s", r->route.namespace, r->route.name);
	session_start(s);
}

/* ---- portforward ---- */

static int open_port(Session *s, Context *ctx, int *ret_fd, Error *err)
{
	NetworkDriver *network = s->server->options.network;

	return network->ops->dial(network, ctx, s->uid, &s->address, s->port, ret_fd, err);
}

/* The first address of the interface asked for, or of the first that has one. */
static const json_t *find_interface(const json_t *tree, const char *name, IpAddress *ret)
{
	const json_t *list = json_at(tree, "status.interfaces"), *item, *text;
	size_t i, j;

	json_array_foreach (list, i, item) {
		if (name && !streq_ptr(json_string_at(item, "name"), name))
			continue;
		json_array_foreach (json_object_get(item, "addresses"), j, text)
			if (json_is_string(text) &&
			    ip_parse(json_string_value(text), ret, NULL) == 0)
				return item;
	}
	return NULL;
}

static char *network_uid(Request *r, const json_t *interface)
{
	const char *ref = json_string_at(interface, "network");
	const char *slash = ref ? strchr(ref, '/') : NULL;
	_cleanup_(xfreep) char *namespace =
		slash ? xstrndup(ref, (size_t)(slash - ref)) : xstrdup(r->route.namespace);
	_cleanup_(object_unrefp) Object *o = NULL;
	const char *name = slash ? slash + 1 : ref;
	Key key;

	if (!name || strlen(name) >= KEY_NAME_MAX || strlen(namespace) >= KEY_NAMESPACE_MAX)
		return NULL;
	key = key_make(GR_NETWORK, namespace, name);
	if (store_get(r->server->options.store, &key, &o, NULL) < 0)
		return NULL;
	return xstrdup(object_head(o)->uid);
}

void handle_portforward(Request *r)
{
	const char *name = target_query(&r->target, "interface");
	_cleanup_(json_decrefp) json_t *tree = NULL;
	_cleanup_(xfreep) char *uid = NULL;
	const json_t *interface;
	uint64_t port = 0;
	IpAddress address;
	Session *s;

	if (!wants_upgrade(r) || query_number(r, "port", &port) < 0 || !read_instance(r, &tree))
		return;
	if (port < 1 || port > UINT16_MAX) {
		reply_bad_request(r, "port: a number from 1 to 65535 is required");
		return;
	}
	if (!r->server->options.network) {
		reply_unavailable(r, "this server has no network");
		return;
	}
	interface = find_interface(tree, str_is_empty(name) ? NULL : name, &address);
	uid = interface ? network_uid(r, interface) : NULL;
	if (!uid) {
		reply_failure(r, MHD_HTTP_CONFLICT, "Conflict",
			      status_details(r, r->route.name, NULL),
			      "the instance has no such interface with an address");
		return;
	}
	s = session_new(r, open_port, stream_opened);
	s->uid = TAKE_PTR(uid);
	s->address = address;
	s->port = (uint16_t)port;
	session_start(s);
}
