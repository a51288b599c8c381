/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HttpFake: a scripted HTTP server on a Unix socket, for tests of the client side. One thread
 * answers one connection after the other, one request each. The first rule that fits answers;
 * a rule with `times` is used up. What no rule fits is answered 404 with a Status.
 */
#pragma once

#include "base/strbuf.h"

typedef struct HttpRule {
	const char *method;  /* NULL = any */
	const char *path;    /* of the request with its query; a trailing * takes any rest */
	int times;           /* 0 = for ever */
	int code;            /* 0 = 200 */
	const char *type;    /* NULL = application/json */
	const char *headers; /* more header lines, each with \r\n; may be NULL */
	const char *body;
	bool chunked;    /* body in pieces of 7 bytes */
	bool echo;       /* 101, then every byte comes back until the client half-closes */
	bool hang;       /* answer the head, then nothing, until the client goes away */
	bool drop;       /* close without an answer */
	const char *raw; /* exactly these bytes instead of an answer */
} HttpRule;

/* A row of a table of rules. */
#define HTTP_RULE(...) \
	{ \
		__VA_ARGS__ \
	}

typedef struct HttpFake HttpFake;

HttpFake *http_fake_start(const HttpRule *rules, size_t n);
/* "unix:/tmp/…/sock" */
const char *http_fake_address(const HttpFake *f);
/* "METHOD path\nbody\n" of each request so far. Caller frees. */
char *http_fake_log(HttpFake *f);
HttpFake *http_fake_stop(HttpFake *f);
