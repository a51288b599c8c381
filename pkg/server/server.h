/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server: the Kubernetes HTTP API over the store, on Unix and TCP sockets (libmicrohttpd).
 *
 * Threads: the HTTP pool decodes, validates and reads; a write suspends its connection and the
 * store's writer resumes it; a watch is a suspended connection. Nothing here waits. See research
 * notes on the surface in docs of each file.
 */
#pragma once

#include "controller/controller.h"
#include "driver/console.h"
#include "driver/hypervisor.h"
#include "driver/network.h"
#include "pki/authority.h"
#include "store/store.h"

typedef struct Server Server;

typedef struct ServerOptions {
	Store *store;
	KindRegistry *kinds;
	Clock *clock;
	Console *console;       /* may be NULL: log and console answer 503 */
	NetworkDriver *network; /* for portforward; may be NULL */
	Manager *manager;       /* for /metrics; may be NULL */
	const char *node_name;
	const char *default_namespace; /* "default" */
	gid_t admin_gid;               /* group "sfd"; (gid_t)-1 = none. Root always may. */
	unsigned threads;              /* of each listener's pool; 0 = by the processors */
	Authority *authority;          /* for TLS listeners; NULL = there may be none */
	const char *tls_name;          /* by which others know this host; NULL = an address */
} ServerOptions;

int server_new(const ServerOptions *options, Server **ret, Error *err);
/* "unix:PATH", "tls:ADDR:PORT", or "tcp:ADDR:PORT" (plain, loopback only). Before start. */
int server_listen(Server *s, const char *address, Error *err);
/* A listening socket from systemd; taken over. TCP on loopback is plain, on other addresses TLS. */
int server_listen_fd(Server *s, int fd, Error *err);
/* Is there a listener on that Unix socket ("unix:PATH"), or on any ("unix:")? */
bool server_listens_on(const Server *s, const char *address);
/* Would that one be served with TLS? */
bool server_fd_needs_tls(int fd);
/* "https://192.0.2.1:6443": where others reach the first TLS listener; NULL if there is none. */
const char *server_endpoint(const Server *s);
int server_start(Server *s, Error *err);
/* Stops accepting, ends watches, answers what runs, up to grace. */
void server_stop(Server *s, usec_t grace);
Server *server_free(Server *s);
DEFINE_CLEANUP(Server *, server_free)
