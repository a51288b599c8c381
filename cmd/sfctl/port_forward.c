/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl port-forward: local TCP ports, or standard input and output, to a port in a guest, through
 * the server. Each connection has a thread and a Client of its own; they share nothing but what
 * main prepared before the first of them and never changes.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "relay.h"
#include "sfctl.h"

#define FORWARDS_MAX    32
#define CONNECTIONS_MAX 256

typedef struct ForwardOptions {
	const char *stdio, *interface, *address;
} ForwardOptions;

static const Option options[] = {
	OPTION(0, "stdio", STRING, ForwardOptions, stdio, "PORT",
	       "connect standard input and output to this port of the guest"),
	OPTION(0, "interface", STRING, ForwardOptions, interface, "NAME",
	       "reach the guest by the address of this interface"),
	OPTION(0, "address", STRING, ForwardOptions, address, "ADDRESS", "where to listen",
	       .preset = "127.0.0.1"),
	OPTIONS_END
};

typedef struct Forward {
	int listen_fd;
	char *path; /* of the upgrade */
	const ClientOptions *server;
	FILE *err;
} Forward;

typedef struct Connection {
	const Forward *forward;
	int fd;
} Connection;

static atomic_int n_connections;

/* zero: any free one. */
static int parse_port(const char *text, bool zero, unsigned *ret, Error *err)
{
	size_t digits = strspn(text, "0123456789");
	long n;

	if (!digits || text[digits])
		return error_set(err, ERR_INVALID, "'%s' is no port", text);
	n = digits > 5 ? -1 : strtol(text, NULL, 10);
	if (n < 0 || n > 65535 || (n == 0 && !zero))
		return error_set(err, ERR_INVALID, "port %s: 1 to 65535", text);
	*ret = (unsigned)n;
	return 0;
}

static char *forward_path(Cli *cli, const Resource *r, const char *name, unsigned port,
			  const char *interface)
{
	_cleanup_(xfreep) char *base = resource_path(r, cli->namespace, name, "portforward");
	_cleanup_(strbuf_done) StrBuf path = STRBUF_INIT;
	char text[16];

	snprintf(text, sizeof(text), "%u", port);
	strbuf_adds(&path, base);
	path_add_query(&path, "port", text);
	if (interface)
		path_add_query(&path, "interface", interface);
	return strbuf_take(&path);
}

/* ---- one connection ----------------------------------------------------------------------- */

static void *serve_connection(void *arg)
{
	Connection *c = arg;
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(client_freep) Client *client = NULL;
	_cleanup_(fd_closep) int remote = -1;
	Context ctx = CONTEXT_BACKGROUND;
	int rc;

	rc = client_new_with(c->forward->server, &client, &err);
	if (rc == 0)
		rc = client_upgrade(client, &ctx, c->forward->path, "sfd-stream", &remote, &err);
	if (rc == 0)
		rc = relay_run(&(RelayOptions){ .in_fd = c->fd, .out_fd = c->fd, .escape = -1 },
			       remote, &err);
	if (rc < 0)
		fprintf(c->forward->err, "error: %s\n", error_message(&err));
	close(c->fd);
	free(c);
	atomic_fetch_sub(&n_connections, 1);
	return NULL;
}

static void accept_one(const Forward *f)
{
	int fd = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	Connection *c;
	pthread_t thread;

	if (fd < 0)
		return;
	if (atomic_fetch_add(&n_connections, 1) >= CONNECTIONS_MAX) {
		atomic_fetch_sub(&n_connections, 1);
		fprintf(f->err, "error: more than %d connections at once\n", CONNECTIONS_MAX);
		close(fd);
		return;
	}
	c = xnew0(Connection, 1);
	*c = (Connection){ f, fd };
	if (pthread_create(&thread, NULL, serve_connection, c) == 0) {
		pthread_detach(thread);
		return;
	}
	atomic_fetch_sub(&n_connections, 1);
	close(fd);
	free(c);
}

/* ---- listening ---------------------------------------------------------------------------- */

static int listen_on(const char *address, unsigned port, int *ret_fd, unsigned *ret_port,
		     Error *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_NUMERICHOST | AI_PASSIVE };
	struct addrinfo *list = NULL;
	struct sockaddr_storage bound;
	socklen_t size = sizeof(bound);
	_cleanup_(fd_closep) int fd = -1;
	char service[16];
	int rc;

	snprintf(service, sizeof(service), "%u", port);
	if (getaddrinfo(address, service, &hints, &list) != 0)
		return error_set(err, ERR_INVALID, "--address=%s: not an address", address);
	fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (fd < 0 || bind(fd, list->ai_addr, list->ai_addrlen) < 0 || listen(fd, 64) < 0 ||
	    getsockname(fd, (struct sockaddr *)&bound, &size) < 0) {
		rc = error_set_errno(err, errno, "listen on %s port %u", address, port);
		freeaddrinfo(list);
		return rc;
	}
	freeaddrinfo(list);
	*ret_port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
						      : ((struct sockaddr_in *)&bound)->sin_port);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* "8080:80", ":80" (any local port), "80" (the same one) */
static int parse_pair(const char *text, unsigned *ret_local, unsigned *ret_remote, Error *err)
{
	const char *colon = strchr(text, ':');
	_cleanup_(xfreep) char *local = xstrndup(text, colon ? (size_t)(colon - text) : 0);
	const char *remote = colon ? colon + 1 : text;
	int rc;

	*ret_local = 0;
	if (!*remote || strspn(remote, "0123456789") < strlen(remote) ||
	    strspn(local, "0123456789") < strlen(local))
		return error_set(err, ERR_INVALID, "'%s': write LOCAL:REMOTE, like 8080:80", text);
	rc = parse_port(remote, false, ret_remote, err);
	if (rc == 0 && *local)
		rc = parse_port(local, true, ret_local, err);
	if (rc == 0 && !colon)
		*ret_local = *ret_remote;
	return rc;
}

static int start_forward(Cli *cli, const ForwardOptions *o, const Resource *r, const char *name,
			 const char *pair, Forward *f, Error *err)
{
	unsigned local, remote, bound = 0;
	int rc;

	rc = parse_pair(pair, &local, &remote, err);
	if (rc == 0)
		rc = listen_on(o->address, local, &f->listen_fd, &bound, err);
	if (rc < 0)
		return rc;
	f->path = forward_path(cli, r, name, remote, o->interface);
	f->server = &cli->endpoint.client;
	f->err = cli->err;
	fprintf(cli->out, "forwarding %s:%u to %s port %u\n", o->address, bound, name, remote);
	fflush(cli->out);
	return 0;
}

static int forward_ports(Cli *cli, const ForwardOptions *o, const Resource *r, const char *name,
			 char *const *pairs, Error *err)
{
	/* Until the process ends: connections point into it. */
	static Forward forwards[FORWARDS_MAX];
	struct pollfd p[FORWARDS_MAX];
	size_t n = 0;
	int rc;

	for (; *pairs; pairs++, n++) {
		if (n == FORWARDS_MAX)
			return error_set(err, ERR_INVALID, "at most %d ports", FORWARDS_MAX);
		rc = start_forward(cli, o, r, name, *pairs, &forwards[n], err);
		if (rc < 0)
			return rc;
		p[n] = (struct pollfd){ .fd = forwards[n].listen_fd, .events = POLLIN };
	}
	for (;;) {
		if (poll(p, n, -1) < 0 && errno != EINTR)
			return error_set_errno(err, errno, "poll");
		for (size_t i = 0; i < n; i++)
			if (p[i].revents)
				accept_one(&forwards[i]);
	}
}

static int forward_stdio(Cli *cli, const ForwardOptions *o, const Resource *r, const char *name,
			 Error *err)
{
	_cleanup_(xfreep) char *path = NULL;
	_cleanup_(fd_closep) int fd = -1;
	Context ctx = CONTEXT_BACKGROUND;
	unsigned port;
	Client *client;
	int rc;

	if (parse_port(o->stdio, false, &port, err) < 0)
		return (int)cli_usage(cli, "port-forward: --stdio=%s: %s", o->stdio,
				      error_message(err));
	path = forward_path(cli, r, name, port, o->interface);
	rc = cli_client(cli, &client, err);
	if (rc == 0)
		rc = client_upgrade(client, &ctx, path, "sfd-stream", &fd, err);
	if (rc == 0)
		rc = relay_run(&(RelayOptions){ .in_fd = STDIN_FILENO,
						.out_fd = STDOUT_FILENO,
						.escape = -1 },
			       fd, err);
	return MIN(rc, 0);
}

static int run(Cli *cli, const void *values, const Parsed *parsed, Error *err)
{
	const ForwardOptions *o = values;
	_cleanup_(xfreep) char *name = NULL, *path = NULL;
	unsigned local, remote;
	json_t *object = NULL;
	const Resource *r;
	int rc;

	if (!parsed->args[0] || !o->stdio == !parsed->args[1])
		return (int)cli_usage(cli,
				      "port-forward: INSTANCE and LOCAL:REMOTE, or INSTANCE and "
				      "--stdio=PORT");
	rc = cli_instance(cli, parsed->args[0], &r, &name, err);
	if (rc < 0)
		return rc;
	if (o->stdio)
		return forward_stdio(cli, o, r, name, err);
	/* What cannot work is told now, not at first use. */
	strv_foreach (pair, parsed->args + 1) {
		rc = parse_pair(*pair, &local, &remote, err);
		if (rc < 0)
			return rc;
	}
	path = resource_path(r, cli->namespace, name, NULL);
	rc = cli_get(cli, path, &object, err);
	if (rc == 0)
		rc = instance_check_running(object, name, err);
	json_decref(object);
	return rc < 0 ? rc : forward_ports(cli, o, r, name, parsed->args + 1, err);
}

const Verb verb_port_forward = {
	.name = "port-forward",
	.synopsis = "INSTANCE [LOCAL:]REMOTE... | INSTANCE --stdio=PORT",
	.summary = "reach TCP ports of an instance from here",
	.details = "  sfctl port-forward web-1 8080:80\n"
		   "  sfctl port-forward web-1 :5432           any free local port\n",
	.options = options,
	.options_size = sizeof(ForwardOptions),
	.completes = "instance",
	.run = run,
};
