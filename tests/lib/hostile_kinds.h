/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hostile_http.c and hostile_kinds.c share: a connection, how it talks, and the table of bad
 * manners. The thread that serves the connection.
 */
#pragma once

#include <pthread.h>

#include "base/clock.h"
#include "base/hashmap.h"
#include "tests/lib/hostile_http.h"

#define REQUEST_MAX 65536

typedef struct File {
	char *data, *etag;
	size_t len;
} File;

struct HostileHttp {
	int fd;
	unsigned port;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stop, go, turned;
	unsigned connections;
	Hashmap *files;
	char **paths;  /* of all requests; with credentials once more, as "authorization:PATH" */
	usec_t *times; /* of the paths */
	size_t n_times, cap_times;
	char *last; /* request */
	uint64_t sent;
};

typedef struct Connection {
	HostileHttp *h;
	int fd;
	char path[4096];
	char request[REQUEST_MAX];
} Connection;

/* False when the client has left. */
bool say_n(Connection *c, const void *p, size_t n);
bool say(Connection *c, const char *s);
/* Holds the line for a while; false when the server stops or the client has left. */
bool hold(Connection *c, unsigned msec);
/* A field of the request's header, NULL if it has none; the caller's. */
char *header_of(const char *request, const char *name);
/* A copy of what was put there, its parts the caller's. */
bool file_get(HostileHttp *h, const char *name, File *ret);

/* Behaves as `kind` says; its path tells further. */
void serve_kind(Connection *c, const char *kind);
