/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A raw HTTP client for tests: it can send anything, also what no decent client would, and reads
 * answers and streams with a deadline. Aborts the test on what cannot be a server's doing. One
 * thread per client.
 */
#pragma once

#include <jansson.h>

#include "base/strbuf.h"

#define HTTP_DEADLINE_MS 60000

typedef struct HttpClient {
	int fd;
	StrBuf in; /* received and not yet taken */
	size_t at;
	bool chunked, eof;
	size_t chunk_left; /* of the chunk being read */
	bool chunk_open;
	StrBuf line;
} HttpClient;

typedef struct HttpAnswer {
	int code; /* 0 = the connection ended without one */
	char *head;
	char *body;
	size_t len;
	json_t *json; /* NULL if the body is none */
} HttpAnswer;

HttpClient *http_connect(const char *path); /* of a Unix socket */
HttpClient *http_connect_tcp(unsigned short port);
HttpClient *http_close(HttpClient *c);
void http_send(HttpClient *c, const void *p, size_t n);
void http_sendf(HttpClient *c, const char *fmt, ...) _printf_(2, 3);
/* A whole request; body may be NULL. headers is extra lines, each ending in \r\n, or "". */
void http_request(HttpClient *c, const char *method, const char *target, const char *headers,
		  const char *body);
/* Reads status line and headers only; for streams. */
HttpAnswer http_read_head(HttpClient *c);
HttpAnswer http_read_answer(HttpClient *c);
/* The next line of a chunked stream; NULL at its end. *timeout (may be NULL) tells a timeout from
 * an end. Caller frees. */
char *http_read_line(HttpClient *c, int timeout_ms, bool *timeout);
/* Raw bytes as they come, at most n; 0 at the end, -1 on timeout. */
ssize_t http_read_raw(HttpClient *c, void *p, size_t n, int timeout_ms);
/* True if the server closed the connection within the time. */
bool http_is_closed(HttpClient *c, int timeout_ms);
void http_answer_done(HttpAnswer *a);
/* The value of a header in a->head, caller frees; NULL if absent. */
char *http_header(const HttpAnswer *a, const char *name);
/* One request on a connection of its own. type NULL = application/json. */
HttpAnswer http_call(const char *path, const char *method, const char *target, const char *type,
		     const char *body);
