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
	unsigned threads;              /* of the pool; 0 = 2 */
} ServerOptions;

int server_new(const ServerOptions *options, Server **ret, Error *err);
/* "unix:PATH" or "tcp:ADDR:PORT" (loopback only; TLS comes with identities). Before start. */
int server_listen(Server *s, const char *address, Error *err);
/* A listening socket from systemd; taken over. */
int server_listen_fd(Server *s, int fd, Error *err);
int server_start(Server *s, Error *err);
/* Stops accepting, ends watches, answers what runs, up to grace. */
void server_stop(Server *s, usec_t grace);
Server *server_free(Server *s);
DEFINE_CLEANUP(Server *, server_free)
