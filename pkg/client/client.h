/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client: the same HTTP API from the other side, by libcurl over a Unix socket or TCP. Used by
 * sfctl and by tests. A Client belongs to one thread. Functions block. Server errors come back with
 * their Status message as text and the code mapped to ours; the whole Status can be had from
 * client_status().
 */
#pragma once

#include <jansson.h>

#include "base/context.h"
#include "base/strbuf.h"

typedef struct Client Client;

typedef struct ClientOptions {
	const char *server; /* "unix:/run/sfd/sfd.sock", "https://HOST[:PORT]",
			       "http://127.0.0.1:PORT" */
	/* The rest is for https; PEM texts. */
	const char *ca; /* who signs the server's certificate; NULL = the system's CAs */
	const char *certificate, *key;
	const char *token;
	const char *server_name; /* that its certificate must have; NULL = the host of `server` */
	bool insecure;           /* talk to anybody */
} ClientOptions;

/* Everything is copied. A certificate that has expired, or is not for the key, is an error here. */
int client_new_with(const ClientOptions *options, Client **ret, Error *err);
/* The same without anything to show. */
int client_new(const char *server, Client **ret, Error *err);
Client *client_free(Client *c);
DEFINE_CLEANUP(Client *, client_free)

#define CLIENT_TIMEOUT_DEFAULT (60 * USEC_PER_SEC)

typedef struct ClientRequest {
	const char *method;       /* "GET", "POST", ... */
	const char *path;         /* with query, already encoded */
	const char *content_type; /* NULL = application/json when there is a body */
	const char *accept;       /* NULL = application/json */
	const json_t *body;       /* NULL = none */
	usec_t timeout;           /* 0 = CLIENT_TIMEOUT_DEFAULT */
} ClientRequest;

/* *ret is the answer's JSON (caller's), also for an error Status: then the function returns its
 * code. */
int client_call(Client *c, const ClientRequest *request, json_t **ret, Error *err);
/* Last Status object (borrowed until the next call) and HTTP code; NULL / 0 if there was none. */
const json_t *client_status(const Client *c);
long client_http_code(const Client *c);
/* Warning headers of the last answer, NULL-terminated; borrowed. */
char *const *client_warnings(const Client *c);

/* A watch: fn gets each event ({type, object}); return > 0 to stop. Ends with 0 when the server
 * closes. */
typedef int (*ClientWatchFn)(void *arg, const json_t *event);
int client_watch(Client *c, Context *ctx, const char *path, const char *accept, ClientWatchFn fn,
		 void *arg, Error *err);
/* A byte stream (log): fn gets each piece; return > 0 to stop. */
typedef int (*ClientDataFn)(void *arg, const char *p, size_t n);
int client_stream(Client *c, Context *ctx, const char *path, ClientDataFn fn, void *arg,
		  Error *err);
/*
 * An upgraded connection ("Connection: Upgrade, Upgrade: websocket" or our raw "sfd-stream"):
 * returns the socket after 101. Caller closes. Over TLS it is our end of a pair, whose other end a
 * thread of its own encrypts and decrypts until either side closes.
 */
int client_upgrade(Client *c, Context *ctx, const char *path, const char *protocol, int *ret_fd,
		   Error *err);

/* Percent-encodes one path segment or query value into out. */
void url_encode(StrBuf *out, const char *s);
