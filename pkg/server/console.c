/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw streams after an HTTP upgrade: a guest's console and its ports.
 *
 * Addressed by node through the ports of pkg/driver; the port call runs on a session's thread.
 * HTTP threads.
 */
#include <errno.h>
#include <strings.h>

#include "server/console.h"
#include "server/handlers.h"
#include "server/render.h"
#include "server/reply.h"
#include "server/session.h"
#include "server/write.h"

#define STREAM_PROTOCOL "sfd-stream"

bool console_instance(Request *r, json_t **ret_tree)
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

const char *console_node(const Server *s, const json_t *tree)
{
	const char *node = json_string_at(tree, "status.nodeName");

	if (str_is_empty(node))
		node = json_string_at(tree, "spec.nodeName");
	return str_is_empty(node) ? s->node_name : node;
}

void reply_unavailable(Request *r, const char *what)
{
	reply_failure(r, MHD_HTTP_SERVICE_UNAVAILABLE, "ServiceUnavailable", NULL, "%s", what);
}

/* Nothing is changed by opening, so nothing is uncertain: it is the other side that is silent. */
static void reply_silent(Request *r, const Session *s)
{
	const char *name = r->route.name;

	if (s->port)
		reply_failure(r, MHD_HTTP_GATEWAY_TIMEOUT, "Timeout", NULL,
			      "port %u of instance %s does not answer (%us)", s->port, name,
			      SESSION_OPEN_SECONDS);
	else
		reply_failure(r, MHD_HTTP_GATEWAY_TIMEOUT, "Timeout", NULL,
			      "the console of instance %s does not answer (%us)", name,
			      SESSION_OPEN_SECONDS);
}

void reply_open_failure(Request *r, const Session *s, const char *absent)
{
	if (s->rc == -ERR_NOT_FOUND)
		reply_failure(r, MHD_HTTP_CONFLICT, "Conflict",
			      status_details(r, r->route.name, NULL), "%s", absent);
	else if (s->rc == -ERR_TIMEOUT)
		reply_silent(r, s);
	else if (s->rc == -ERR_CONFLICT)
		reply_failure(
			r, MHD_HTTP_CONFLICT, "Conflict", status_details(r, r->route.name, NULL),
			"cannot connect to instance %s: %s", r->route.name, error_message(&s->err));
	else if (s->rc == -ERR_UNAVAILABLE && s->port)
		reply_failure(r, MHD_HTTP_SERVICE_UNAVAILABLE, "ServiceUnavailable", NULL,
			      "nothing answers at port %u of instance %s", s->port, r->route.name);
	else if (s->rc == -ERR_UNAVAILABLE)
		reply_unavailable(r, "nothing answers there");
	else
		reply_error(r, s->rc, &s->err, r->route.name);
}

bool reply_off(Request *r, const json_t *tree)
{
	_cleanup_(xfreep) char *why = instance_why_off(tree);

	if (why)
		reply_failure(r, MHD_HTTP_CONFLICT, "Conflict",
			      status_details(r, r->route.name, NULL), "%s", why);
	return why;
}

void reply_stream_failure(Request *r, const Session *s)
{
	_cleanup_(json_decrefp) json_t *tree = object_decode_lean(r->base);

	if ((s->rc == -ERR_NOT_FOUND || s->rc == -ERR_CONFLICT) && reply_off(r, tree))
		return;
	reply_open_failure(r, s, "the instance is not running");
}

int query_number(Request *r, const char *name, uint64_t *ret)
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

/* ---- streams ---- */

bool header_has_token(const char *header, const char *token)
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

int console_open(Session *s, Context *ctx, int *ret_fd, Error *err)
{
	Console *console = s->server->options.console;

	return console->ops->attach(console, ctx, s->node, s->target, ret_fd, err);
}

static void stream_opened(Request *r)
{
	Session *s = r->session;

	if (s->rc == 0) {
		session_upgrade(r, STREAM_PROTOCOL);
		return;
	}
	reply_stream_failure(r, s);
	session_release(r);
}

void handle_console(Request *r)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	Session *s;

	if (!wants_upgrade(r) || !console_instance(r, &tree))
		return;
	if (!r->server->options.console) {
		reply_unavailable(r, "this server has no console");
		return;
	}
	s = session_new(r, console_open, stream_opened);
	s->node = xstrdup(console_node(r->server, tree));
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

Session *port_session_new(Request *r, const json_t *tree, const char *port_parameter,
			  void (*done)(Request *r))
{
	const char *name = target_query(&r->target, "interface");
	_cleanup_(xfreep) char *uid = NULL;
	const json_t *interface;
	uint64_t port = 0;
	IpAddress address;
	Session *s;

	if (query_number(r, port_parameter, &port) < 0)
		return NULL;
	if (port < 1 || port > UINT16_MAX) {
		reply_bad_request(r, "%s: a number from 1 to 65535 is required", port_parameter);
		return NULL;
	}
	if (!r->server->options.network) {
		reply_unavailable(r, "this server has no network");
		return NULL;
	}
	interface = find_interface(tree, str_is_empty(name) ? NULL : name, &address);
	uid = interface ? network_uid(r, interface) : NULL;
	if (!uid) {
		reply_failure(r, MHD_HTTP_CONFLICT, "Conflict",
			      status_details(r, r->route.name, NULL),
			      "the instance has no such interface with an address");
		return NULL;
	}
	s = session_new(r, open_port, done);
	s->uid = TAKE_PTR(uid);
	s->address = address;
	s->port = (uint16_t)port;
	return s;
}

void handle_portforward(Request *r)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	Session *s;

	if (!wants_upgrade(r) || !console_instance(r, &tree))
		return;
	s = port_session_new(r, tree, "port", stream_opened);
	if (s)
		session_start(s);
}
