/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this package share: the client itself, and how answers become errors. Not for
 * others.
 */
#pragma once

#include <curl/curl.h>

#include "client/client.h"

/* Of an error's body, a header and a watch's line: nothing legitimate comes near. */
#define CLIENT_ERROR_MAX  (1024u * 1024)
#define CLIENT_HEADER_MAX (16u * 1024)
#define CLIENT_LINE_MAX   (16u * 1024 * 1024)
/* Of one answer: a list of 10,000 objects is about 30 MB. */
#define CLIENT_BODY_MAX    (1024u * 1024 * 1024)
#define CLIENT_CONNECT_MAX (10 * USEC_PER_SEC)

struct Client {
	char *server;    /* as given: for messages */
	char *unix_path; /* NULL = TCP */
	char *host;      /* of TCP, without brackets */
	char *port;
	char *base; /* "http://localhost", "http://127.0.0.1:8080", "https://…" */
	bool tls, insecure;
	char *ca, *certificate, *key, *token; /* PEM texts and the token, as given */
	char *tls_name;                       /* to be verified instead of the host */
	int ca_fd, certificate_fd, key_fd;    /* the same as files in memory: see secure.c */
	struct curl_slist *connect_to;        /* where tls_name really is */
	CURL *curl;
	json_t *status;
	long http_code;
	char **warnings;
	char curl_error[CURL_ERROR_SIZE];
};

/* ---- secure.c ---- */

/* After the server's address is known: what is shown to it, and what it must show. */
int client_secure(Client *c, const ClientOptions *o, Error *err);
void client_secure_done(Client *c);
/* On a handle that was reset. */
void client_secure_setup(Client *c, CURL *h);
/* What went wrong between us and the server's certificate, in words. Connects once more. */
int client_explain_tls(Client *c, const char *text, Error *err);
/* ---- tunnel.c ---- */

/* A connection through TLS as a socket: plain bytes in and out. */
int client_tunnel(Client *c, Context *ctx, Error *err);

/* The failure of a transfer on h, in words. */
int client_curl_error(Client *c, CURL *h, CURLcode code, Error *err);
/* Forgets what the last call left behind. */
void client_reset(Client *c);
/*
 * Makes an error of an answer with code 400 or above: keeps the Status for client_status(), sets
 * err to its message. Returns the negative code.
 */
int client_fail(Client *c, long http_code, const char *body, size_t len, Error *err);
/* The same from a Status tree: an ERROR event of a watch. Takes a reference of its own. */
int client_fail_status(Client *c, json_t *status, long http_code, Error *err);
