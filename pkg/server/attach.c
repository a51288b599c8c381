/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kubectl attach: a guest's console over WebSocket, as Kubernetes' remotecommand protocols have it;
 * and a port of the guest's, as its clients in Python and JavaScript forward it (kubectl tunnels
 * SPDY, which is not offered).
 *
 * A message begins with its channel: 0 what is typed, 1 what the guest prints, 3 how it ended (a
 * Status), 4 the size of the terminal, which a serial line has none of; 255 closes a channel. In
 * the base64 protocols the channel is a digit and the rest is base64. Of a port, channel 0 goes
 * both ways, and each channel begins with the port's number. What is attached to opens on a
 * session's thread, which then goes between the two until one of them ends. Both directions are
 * bounded: who does not read is not read from.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/base64.h"
#include "server/console.h"
#include "server/handlers.h"
#include "server/reply.h"
#include "server/session.h"
#include "server/websocket.h"

#define BLOCK        (16u * 1024)
#define OUT_HIGH     (128u * 1024) /* more than this waits for a client: nothing new is made */
#define PING_AFTER   (60 * USEC_PER_SEC)
#define GOODBYE_TIME (5 * USEC_PER_SEC)

enum { CHANNEL_STDIN = 0, CHANNEL_STDOUT = 1, CHANNEL_ERROR = 3, CHANNEL_CLOSE = 255 };

typedef struct Protocol {
	bool base64;
	bool status; /* the error channel carries a Status; before v4, text */
} Protocol;

/* What a client may ask for by name; no name at all is the first one. */
static const char *const protocol_names[] = {
	"channel.k8s.io",    "base64.channel.k8s.io", "v4.base64.channel.k8s.io",
	"v4.channel.k8s.io", "v5.channel.k8s.io",     NULL,
};
static const Protocol protocols[] = {
	{false,  false},
        { true,  false},
        { true,  true },
        { false, true },
        { false, true },
};

/* ---- between client and guest ---- */

typedef struct Attach {
	Protocol protocol;
	bool input, output;   /* what was asked for */
	unsigned out_channel; /* of what the guest says */
	int sock, guest;
	WsReader reader;
	StrBuf out, typed; /* to the client, to the guest */
	size_t out_at, typed_at;
	bool guest_ended, input_ended;
	bool close_sent, over;
	Clock *clock;
	usec_t heard; /* when the client last sent anything */
	bool pinged;  /* ... and was asked since whether it is there */
	usec_t goodbye;
} Attach;

static void send_channel(Attach *a, unsigned channel, const char *p, size_t n)
{
	_cleanup_(xfreep) char *text = NULL;
	char head = (char)(a->protocol.base64 ? '0' + channel : channel);

	if (!a->protocol.base64) {
		ws_frame(&a->out, WS_BINARY, &head, 1, p, n);
		return;
	}
	text = base64_encode(p, n);
	ws_frame(&a->out, WS_TEXT, &head, 1, text, strlen(text));
}

static void send_close(Attach *a, WsCode code, const char *reason)
{
	if (a->close_sent)
		return;
	ws_frame_close(&a->out, code, reason);
	a->close_sent = true;
	a->goodbye = clock_now(a->clock) + GOODBYE_TIME;
}

static void type_text(Attach *a, const char *p, size_t n)
{
	_cleanup_(xfreep) char *decoded = NULL;

	if (a->protocol.base64) {
		if (base64_decode(p, &decoded, &n, NULL) < 0)
			return;
		p = decoded;
	}
	strbuf_add(&a->typed, p, n);
}

static void take_message(Attach *a, const WsMessage *m)
{
	unsigned channel;

	if (m->len == 0)
		return;
	channel = (unsigned char)m->data[0];
	if (a->protocol.base64)
		channel -= '0';
	if (channel == CHANNEL_STDIN && a->input && !a->input_ended)
		type_text(a, m->data + 1, m->len - 1);
	else if (channel == CHANNEL_CLOSE && m->len > 1 && m->data[1] == CHANNEL_STDIN)
		a->input_ended = true;
}

/* Takes the client's messages apart for as long as there is room for what they cause. */
static void take_messages(Attach *a)
{
	WsMessage m;
	int rc = 0;

	while (!a->over && a->out.len < OUT_HIGH && (rc = ws_reader_next(&a->reader, &m)) > 0) {
		if (m.opcode == WS_PING && !a->close_sent)
			ws_frame(&a->out, WS_PONG, NULL, 0, m.data, m.len);
		if (m.opcode == WS_CLOSE) {
			send_close(a, m.code, NULL);
			a->over = true;
		} else if ((m.opcode == WS_TEXT || m.opcode == WS_BINARY) && !a->close_sent) {
			take_message(a, &m);
		}
	}
	if (rc < 0) {
		send_close(a, (WsCode)-rc, NULL);
		a->over = true;
	}
}

/* The guest is through: says so on the error channel, and goodbye. */
static void say_ended(Attach *a)
{
	static const char success[] = "{\"metadata\":{},\"status\":\"Success\"}";

	a->guest_ended = true;
	if (a->close_sent)
		return;
	if (a->protocol.status)
		send_channel(a, CHANNEL_ERROR, success, sizeof(success) - 1);
	send_close(a, WS_NORMAL, NULL);
}

/* ---- input and output ---- */

static bool failed(ssize_t n)
{
	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

/* False = there is no client any more. */
static bool read_client(Attach *a)
{
	char buf[BLOCK];
	ssize_t n = recv(a->sock, buf, sizeof(buf), MSG_DONTWAIT);

	if (n > 0) {
		ws_reader_feed(&a->reader, buf, (size_t)n);
		a->heard = clock_now(a->clock);
		a->pinged = false;
	}
	return !failed(n);
}

static void read_guest(Attach *a)
{
	char buf[BLOCK];
	ssize_t n = recv(a->guest, buf, sizeof(buf), MSG_DONTWAIT);

	if (n > 0 && a->output)
		send_channel(a, a->out_channel, buf, (size_t)n);
	if (failed(n))
		say_ended(a);
}

/* Sends what it can; false = the other side is gone. */
static bool flush_to(int fd, StrBuf *b, size_t *at)
{
	ssize_t n = send(fd, b->buf + *at, b->len - *at, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n > 0)
		*at += (size_t)n;
	if (*at == b->len) {
		strbuf_reset(b);
		*at = 0;
	}
	return !failed(n);
}

/* How long may be waited, in ms; asks a silent client whether it is there. -1 = it is not. */
static int attach_patience(Attach *a)
{
	usec_t now = clock_now(a->clock), until;

	if (a->close_sent) {
		until = a->goodbye;
	} else {
		if (now >= a->heard + PING_AFTER && !a->pinged) {
			ws_frame(&a->out, WS_PING, NULL, 0, NULL, 0);
			a->pinged = true;
		}
		until = a->heard + (a->pinged ? 2 : 1) * PING_AFTER;
	}
	return now >= until ? -1 : (int)((until - now) / USEC_PER_MSEC) + 1;
}

/* One round; false = over. */
static bool attach_step(Attach *a)
{
	bool full = a->out.len - a->out_at >= OUT_HIGH, typing = a->typed.len > a->typed_at;
	int patience = attach_patience(a);
	struct pollfd fds[2] = {
		{.fd = a->sock,                         .events = a->out.len > a->out_at ? POLLOUT : 0},
		{ .fd = a->guest_ended ? -1 : a->guest, .events = typing ? POLLOUT : 0                },
	};

	if (patience < 0)
		return false;
	if (!full && !typing && !a->over)
		fds[0].events |= POLLIN;
	if (!full && !a->close_sent)
		fds[1].events |= POLLIN;
	if (!fds[1].events)
		fds[1].fd = -1; /* its hang-up can wait, and would make us spin */
	if (poll(fds, ARRAY_SIZE(fds), patience) < 0)
		return errno == EINTR;
	if ((fds[0].events & POLLOUT) && fds[0].revents && !flush_to(a->sock, &a->out, &a->out_at))
		return false;
	if ((fds[1].events & POLLOUT) && fds[1].revents &&
	    !flush_to(a->guest, &a->typed, &a->typed_at))
		say_ended(a);
	if ((fds[1].events & POLLIN) && fds[1].revents)
		read_guest(a);
	if ((fds[0].events & POLLIN) && fds[0].revents && !read_client(a))
		return false;
	if (!(fds[0].events & POLLIN) && (fds[0].revents & (POLLHUP | POLLERR)))
		return false;
	take_messages(a);
	/* Both have said goodbye, and all of ours is out. */
	return !a->over || a->out.len > a->out_at;
}

/* Tells the client that it is connected before the guest has anything to say. */
static void send_greeting(Attach *a, uint16_t port)
{
	char number[2] = { (char)(port & 0xff), (char)(port >> 8) };

	if (port) {
		send_channel(a, CHANNEL_STDIN, number, sizeof(number));
		send_channel(a, CHANNEL_STDIN + 1, number, sizeof(number));
	} else if (a->output) {
		send_channel(a, a->out_channel, "", 0);
	}
}

static void attach_relay(Session *s)
{
	Attach *a = s->state;

	a->sock = s->sock;
	a->guest = s->fd;
	a->clock = server_clock(s->server);
	a->heard = clock_now(a->clock);
	ws_reader_feed(&a->reader, s->extra, s->n_extra);
	send_greeting(a, s->port);
	take_messages(a);
	while (attach_step(a))
		;
	ws_reader_done(&a->reader);
	strbuf_done(&a->out);
	strbuf_done(&a->typed);
}

/* ---- the request ---- */

static bool check_handshake(Request *r, char **ret_accept)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	const char *upgrade = request_header(r, MHD_HTTP_HEADER_UPGRADE);
	const char *version = request_header(r, "Sec-WebSocket-Version");

	if (!header_has_token(request_header(r, MHD_HTTP_HEADER_CONNECTION), "upgrade") ||
	    !upgrade) {
		reply_bad_request(r, "Upgrade request required");
		return false;
	}
	if (!header_has_token(upgrade, "websocket")) {
		reply_bad_request(
			r,
			"unable to upgrade: \"%.32s\" is not offered, only WebSocket: use "
			"kubectl 1.31 or later",
			upgrade);
		return false;
	}
	if (!version || !streq(version, "13")) {
		reply_bad_request(r, "websocket: Sec-WebSocket-Version must be 13");
		return false;
	}
	if (ws_accept_key(request_header(r, "Sec-WebSocket-Key"), ret_accept, &err) < 0) {
		reply_bad_request(r, "websocket: %s", error_message(&err));
		return false;
	}
	return true;
}

static bool check_options(Request *r, Attach *a)
{
	const char *container = target_query(&r->target, "container");

	if (!str_is_empty(container) && !streq(container, CONSOLE_CONTAINER)) {
		reply_bad_request(r, "container %.64s is not valid for pod %s", container,
				  r->route.name);
		return false;
	}
	a->out_channel = CHANNEL_STDOUT;
	a->input = target_query_bool(&r->target, "stdin");
	/* A serial line has no second output: whoever asks only for stderr gets it all. */
	a->output =
		target_query_bool(&r->target, "stdout") || target_query_bool(&r->target, "stderr");
	if (!a->input && !a->output)
		reply_bad_request(r, "you must specify at least 1 of stdin, stdout, stderr");
	return a->input || a->output;
}

static bool choose_protocol(Request *r, Attach *a)
{
	const char *wanted = request_header(r, "Sec-WebSocket-Protocol");
	int chosen = str_is_empty(wanted) ? 0 : ws_choose_protocol(wanted, protocol_names);

	if (chosen < 0)
		reply_bad_request(r, "websocket: none of these protocols is offered: %.200s",
				  wanted);
	else
		a->protocol = protocols[chosen];
	return chosen >= 0;
}

static void attach_opened(Request *r)
{
	_cleanup_(xfreep) char *accept = NULL;
	const char *wanted = request_header(r, "Sec-WebSocket-Protocol");
	Session *s = r->session;

	if (s->rc < 0) {
		reply_stream_failure(r, s);
		session_release(r);
		return;
	}
	if (!check_handshake(r, &accept)) {
		session_release(r);
		return;
	}
	session_upgrade(r, "websocket");
	MHD_add_response_header(r->reply.response, "Sec-WebSocket-Accept", accept);
	if (!str_is_empty(wanted))
		MHD_add_response_header(r->reply.response, "Sec-WebSocket-Protocol",
					protocol_names[ws_choose_protocol(wanted, protocol_names)]);
}

static void attach_start(Session *s, Attach *a)
{
	s->relay = attach_relay;
	s->state = a;
	session_start(s);
}

void handle_attach(Request *r)
{
	_cleanup_(xfreep) char *accept = NULL;
	_cleanup_(xfreep) Attach *a = xnew0(Attach, 1);
	_cleanup_(json_decrefp) json_t *tree = NULL;
	Session *s;

	/* A GET that opens a terminal is more than reading. */
	if (!request_may(r, "create") || !check_options(r, a) || !console_instance(r, &tree) ||
	    !check_handshake(r, &accept) || !choose_protocol(r, a))
		return;
	if (!r->server->options.console) {
		reply_unavailable(r, "this server has no console");
		return;
	}
	s = session_new(r, console_open, attach_opened);
	s->node = xstrdup(console_node(r->server, tree));
	s->target = xasprintf("%s.%s", r->route.namespace, r->route.name);
	attach_start(s, TAKE_PTR(a));
}

/*
 * kubectl falls back to this when a WebSocket is refused, whatever the reason was, and tells the
 * answer to this one.
 */
void handle_attach_spdy(Request *r)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	_cleanup_(xfreep) char *accept = NULL;
	Attach a = { 0 };

	if (!check_options(r, &a) || !console_instance(r, &tree))
		return;
	if (!reply_off(r, tree) && check_handshake(r, &accept))
		reply_bad_request(r, "a WebSocket begins with GET");
}

void handle_pod_exec(Request *r)
{
	reply_failure(r, MHD_HTTP_NOT_IMPLEMENTED, "NotImplemented", NULL,
		      "pods/exec is not offered: an instance is a virtual machine, and a program "
		      "in it is started over ssh or its console: kubectl attach -it %s",
		      r->route.name);
}

void handle_pod_portforward_spdy(Request *r)
{
	reply_failure(r, MHD_HTTP_NOT_IMPLEMENTED, "NotImplemented", NULL,
		      "forwarding a port by SPDY is not offered: use sfctl port-forward %s",
		      r->route.name);
}

void handle_pod_portforward(Request *r)
{
	const char *wanted = request_header(r, "Sec-WebSocket-Protocol");
	_cleanup_(xfreep) char *accept = NULL;
	_cleanup_(xfreep) Attach *a = xnew0(Attach, 1);
	_cleanup_(json_decrefp) json_t *tree = NULL;
	Session *s;

	if (wanted && strcasestr(wanted, "SPDY/")) {
		handle_pod_portforward_spdy(r);
		return;
	}
	if (!request_may(r, "create") || !console_instance(r, &tree) ||
	    !check_handshake(r, &accept) || !choose_protocol(r, a))
		return;
	a->input = a->output = true;
	a->out_channel = CHANNEL_STDIN;
	a->protocol.status = false;
	s = port_session_new(r, tree, "ports", attach_opened);
	if (s)
		attach_start(s, TAKE_PTR(a));
}
