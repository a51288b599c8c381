/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP: what libmicrohttpd calls, from a connection's first byte to the end of an answer.
 *
 * The order for one request: request_begin() with the raw target, access_handler() once with the
 * head (framing, size, who, may they), then with pieces of the body, then once more to dispatch,
 * and again each time the request was suspended and resumed; request_completed() at the end,
 * however it ended. All on the connection's own HTTP thread.
 */
#include <errno.h>
#include <sys/socket.h>

#include "base/log.h"
#include "pki/tls.h"
#include "server/internal.h"
#include "server/metrics.h"
#include "server/reply.h"
#include "server/session.h"

/* Head of one request, with all its headers. */
#define LOG_KINDS_MAX     64
#define CONNECTION_MEMORY (12u * 1024)

static void busy_change(Server *s, bool up)
{
	pthread_mutex_lock(&s->lock);
	s->n_busy += up ? 1 : (size_t)-1;
	if (!up)
		pthread_cond_broadcast(&s->idle);
	pthread_mutex_unlock(&s->lock);
}

/* Before the handshake, which the deadline of the head covers. */
static void connection_secure(Listener *l, Conn *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);

	c->tls = info ? info->tls_session : NULL;
	assert(c->tls);
	tls_session_begin(c->tls, l->server->options.authority);
}

/* Who nobody knows is nobody; whose name is not known yet is asked for with the first request. */
static void connection_identify(Server *s, Conn *c)
{
	c->peer = peer_ids_of(s, c->fd);
	if (!c->peer) {
		c->who = identity_ref(s->anonymous);
		return;
	}
	if (!c->peer->admin)
		c->stranger = c->peer->uid;
	c->who = peer_names_known(s->names, c->peer);
}

static void connection_notify(void *cls, struct MHD_Connection *mhd, void **context,
			      enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *info;
	Listener *l = cls;
	Server *s = l->server;
	Conn *c = *context;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (!c)
			return;
		conn_remove(s, c);
		atomic_fetch_sub(&s->counters.open, 1);
		if (l->tls && !c->served)
			atomic_fetch_add(&s->counters.handshakes_failed, 1);
		identity_unref(c->who);
		free(c->peer);
		identity_unref(c->used);
		free(c);
		*context = NULL;
		return;
	}
	info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	c = xnew0(Conn, 1);
	*c = (Conn){ .server = s,
		     .mhd = mhd,
		     .fd = info ? info->connect_fd : -1,
		     .stranger = (uid_t)-1,
		     .wake = USEC_INFINITY,
		     .expires = USEC_INFINITY,
		     .deadline = clock_now(server_clock(s)) + HEAD_DEADLINE };
	if (l->tls)
		connection_secure(l, c);
	else if (l->tcp)
		c->who = identity_ref(s->loopback);
	else
		connection_identify(s, c);
	atomic_fetch_add(&s->counters.connections, 1);
	atomic_fetch_add(&s->counters.open, 1);
	conn_add(s, c);
	*context = c;
}

static Conn *connection_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void *request_begin(void *cls, const char *uri, struct MHD_Connection *mhd)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Listener *l = cls;
	Request *r = xnew0(Request, 1);

	r->server = l->server;
	r->mhd = mhd;
	r->conn = connection_of(mhd);
	r->conn->served = true;
	r->began = clock_now(server_clock(r->server));
	r->raw_target = uri;
	r->raw_target_len = strlen(uri);
	r->body = STRBUF_INIT_MAX(BODY_MAX);
	if (target_parse(uri, &r->target, &err) < 0) {
		r->bad_target = true;
		r->bad_reason = xstrdup(error_message(&err));
	}
	busy_change(l->server, true);
	return r;
}

static void request_free(Request *r)
{
	if (r->stream) {
		conn_detach(r->conn);
		r->stream_free(r->stream);
	}
	if (r->session)
		session_abandon(r->session);
	reply_done(&r->reply);
	error_done(&r->commit.err);
	object_unref(r->commit.object);
	object_unref(r->base);
	json_decref(r->work);
	field_errors_done(&r->doubled);
	kind_unref(r->kind);
	kind_unref(r->shown);
	identity_unref(r->who);
	strbuf_done(&r->body);
	target_done(&r->target);
	free(r->bad_reason);
	free(r);
}

static void request_completed(void *cls, struct MHD_Connection *mhd _unused_, void **context,
			      enum MHD_RequestTerminationCode code)
{
	Listener *l = cls;
	Request *r = *context;
	Server *s = l->server;
	Conn *c;

	if (!r)
		return;
	c = r->conn;
	if (code != MHD_REQUEST_TERMINATED_COMPLETED_OK && !r->streams)
		atomic_fetch_add(&s->counters.broken, 1);
	request_count_end(r);
	request_free(r);
	*context = NULL;
	if (c)
		conn_set_deadline(c, IDLE_DEADLINE);
	busy_change(s, false);
}

const char *request_header(Request *r, const char *name)
{
	return MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, name);
}

/* ---- the answer ---- */

static struct MHD_Response *reply_response(Reply *reply)
{
	struct MHD_Response *response;

	if (reply->response)
		return TAKE_PTR(reply->response);
	if (reply->object) {
		size_t len;
		const char *text = object_text(reply->object, &len);

		/* The reply, and so the object, outlives the response's use: see request_free(). */
		return MHD_create_response_from_buffer(len, (void *)text, MHD_RESPMEM_PERSISTENT);
	}
	response = MHD_create_response_from_buffer(
		reply->len, reply->body ? reply->body : (char *)"", MHD_RESPMEM_PERSISTENT);
	return response;
}

static enum MHD_Result request_answer(Request *r)
{
	Reply *reply = &r->reply;
	struct MHD_Response *response;
	enum MHD_Result rc;

	if (r->yaml)
		reply_to_yaml(r);
	response = reply_response(reply);
	if (!response)
		return MHD_NO;
	if (reply->content_type)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
					reply->content_type);
	if (*reply->allow)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, reply->allow);
	if (reply->code == MHD_HTTP_UNAUTHORIZED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
					reply->bad_credential
						? "Bearer realm=\"sfd\", error=\"invalid_token\""
						: "Bearer realm=\"sfd\"");
	if (reply->close)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	if (reply->code == MHD_HTTP_SERVICE_UNAVAILABLE ||
	    reply->code == MHD_HTTP_TOO_MANY_REQUESTS)
		MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
	if (reply->code != MHD_HTTP_SWITCHING_PROTOCOLS) {
		MHD_add_response_header(response, "Cache-Control", "no-cache, private");
		MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	}
	strv_foreach (w, reply->warnings)
		MHD_add_response_header(response, MHD_HTTP_HEADER_WARNING, *w);
	if (r->stream || reply->code == MHD_HTTP_SWITCHING_PROTOCOLS)
		request_count_stream(r);
	log_debug("%s %s %u", r->verb ? r->verb : "?", r->target.path ? r->target.path : "?",
		  reply->code);
	if (!r->stream)
		conn_set_deadline(r->conn, REPLY_DEADLINE);
	rc = MHD_queue_response(r->mhd, reply->code, response);
	MHD_destroy_response(response);
	r->state = REQUEST_ANSWERED;
	return rc;
}

void request_suspend(Request *r)
{
	r->state = REQUEST_ASLEEP;
	conn_set_deadline(r->conn, USEC_INFINITY);
	MHD_suspend_connection(r->mhd);
}

/* The last touch: after this the request is the HTTP thread's again. */
void request_resume(Request *r)
{
	MHD_resume_connection(r->mhd);
}

static enum MHD_Result request_proceed(Request *r)
{
	if (r->state == REQUEST_ASLEEP)
		return MHD_YES;
	if (!r->reply.code)
		reply_failure(r, MHD_HTTP_INTERNAL_SERVER_ERROR, "InternalError", NULL,
			      "the server made no answer");
	return request_answer(r);
}

/* A body that will not be used is read and dropped: the answer must find somebody who listens. */
static enum MHD_Result take_body(Request *r, const char *data, size_t *size)
{
	if (r->admitted)
		strbuf_add(&r->body, data, *size);
	if (r->body.overflow || !r->admitted) {
		r->discarded += *size;
		if (r->discarded > BODY_DISCARD_MAX)
			return MHD_NO;
	}
	*size = 0;
	return MHD_YES;
}

static void peer_is_named(void *arg, Identity *who)
{
	Request *r = arg;

	r->conn->who = who;
	request_resume(r);
}

/* Suspends the request until the names of its peer are there; false = they are, or cannot be had.
 */
static bool request_wait_for_name(Request *r)
{
	Conn *c = r->conn;

	if (c->who || !c->peer)
		return false;
	c->who = peer_names_known(r->server->names, c->peer);
	if (c->who)
		return false;
	r->state = REQUEST_NAMING;
	conn_set_deadline(c, BODY_DEADLINE);
	MHD_suspend_connection(r->mhd);
	if (!peer_names_ask(r->server->names, c->peer, peer_is_named, r))
		request_resume(r);
	return true;
}

static void request_begin_body(Request *r)
{
	r->state = REQUEST_BODY;
	conn_set_deadline(r->conn, BODY_DEADLINE);
	if (r->conn->peer && !r->conn->who)
		reply_failure(r, MHD_HTTP_SERVICE_UNAVAILABLE, "ServiceUnavailable", NULL,
			      "the server is stopping");
	else
		request_admit(r);
}

static enum MHD_Result access_handler(void *cls _unused_, struct MHD_Connection *mhd,
				      const char *url _unused_, const char *method,
				      const char *version, const char *upload_data,
				      size_t *upload_data_size, void **context)
{
	Request *r = *context;

	assert(r && r->mhd == mhd);
	switch (r->state) {
	case REQUEST_HEAD:
		r->method = method_from_string(method);
		if (!request_check_head(r, method, version))
			return request_answer(r);
		if (!request_wait_for_name(r))
			request_begin_body(r);
		return MHD_YES;
	case REQUEST_NAMING: /* libmicrohttpd begins again where it was: before the body */
		request_begin_body(r);
		return MHD_YES;
	case REQUEST_BODY:
		if (*upload_data_size)
			return take_body(r, upload_data, upload_data_size);
		if (!r->admitted)
			return request_proceed(r);
		if (r->body.overflow) {
			reply_failure(r, MHD_HTTP_CONTENT_TOO_LARGE, "RequestEntityTooLarge", NULL,
				      "the body is larger than %u bytes", BODY_MAX);
			r->reply.close = true;
			return request_answer(r);
		}
		request_dispatch(r);
		return request_proceed(r);
	case REQUEST_ASLEEP:
		/* We are only called again after a resume. */
		r->state = REQUEST_BODY;
		r->commit.done(r);
		return request_proceed(r);
	case REQUEST_ANSWERED:
		break;
	}
	return MHD_YES;
}

/* Names and values are taken apart in target.c; libmicrohttpd must leave them alone. */
static size_t keep_escapes(void *cls _unused_, struct MHD_Connection *mhd _unused_, char *s)
{
	return strlen(s);
}

/* True the first time that this complaint comes: its format is its kind. Hostile peers make
 * thousands. */
static bool is_new_kind(const char *fmt)
{
	static _Atomic(const char *) seen[LOG_KINDS_MAX];

	for (size_t i = 0; i < LOG_KINDS_MAX; i++) {
		const char *none = NULL;

		if (atomic_load(&seen[i]) == fmt)
			return false;
		if (atomic_compare_exchange_strong(&seen[i], &none, fmt))
			return true;
		if (none == fmt)
			return false;
	}
	return false;
}

/* Of libmicrohttpd's list for poll(): it would ask again at once, for ever, and serve nobody. */
static bool is_out_of_memory(const char *fmt)
{
	return str_has_prefix(fmt, "Error allocating memory");
}

static _printf_(2, 0) void mhd_log(void *cls _unused_, const char *fmt, va_list ap)
{
	_cleanup_(xfreep) char *text = NULL;
	size_t n;

	if (is_out_of_memory(fmt))
		out_of_memory();
	if (!log_enabled(LOG_LEVEL_DEBUG) || !is_new_kind(fmt))
		return;
	text = xvasprintf(fmt, ap);
	n = strlen(text);
	while (n && text[n - 1] == '\n')
		text[--n] = '\0';
	log_debug("http: %s", text);
}

/*
 * poll, not epoll: in libmicrohttpd 0.9.75 MHD_quiesce_daemon() and an epoll worker both take the
 * listening socket out of the set, and whoever comes second ends the process.
 */
int http_listener_start(Server *s, Listener *l, unsigned threads, Error *err)
{
	l->server = s;
	l->daemon = MHD_start_daemon(
		MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE |
			MHD_USE_ITC | MHD_USE_ERROR_LOG | (l->tls ? MHD_USE_TLS : 0),
		0, NULL, NULL, access_handler, l, MHD_OPTION_EXTERNAL_LOGGER, mhd_log, NULL,
		MHD_OPTION_LISTEN_SOCKET, l->fd, MHD_OPTION_THREAD_POOL_SIZE, threads,
		/* Never reached in any thread: see conn_add(). */
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)(2 * threads * CONNECTIONS_MAX),
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(IDLE_DEADLINE / USEC_PER_SEC),
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_THREAD_STACK_SIZE, (size_t)512 * 1024,
		MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_URI_LOG_CALLBACK,
		request_begin, l, MHD_OPTION_NOTIFY_COMPLETED, request_completed, l,
		MHD_OPTION_NOTIFY_CONNECTION, connection_notify, l,
		/* What follows is read only where it does not end here. */
		l->tls ? MHD_OPTION_HTTPS_PRIORITIES : MHD_OPTION_END, TLS_PRIORITIES,
		MHD_OPTION_HTTPS_CERT_CALLBACK2, tls_retrieve_function(),
		MHD_OPTION_HTTPS_MEM_TRUST, l->tls ? authority_ca(s->options.authority) : NULL,
		MHD_OPTION_END);
	if (!l->daemon)
		return error_set(err, ERR_UNAVAILABLE, "the HTTP server did not start");
	return 0;
}
