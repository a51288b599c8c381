/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A web server for tests, on 127.0.0.1, that behaves well under /file/ and badly under /bad/.
 *
 * /file/NAME serves what was put there, with ETag, Range, If-Range, If-None-Match, and Basic
 * authentication where asked for. /hold/NAME is the same, but stops half-way until released.
 * /to/URL redirects to URL (not decoded). /bad/KIND: see hostile_http.c, where each kind is one
 * entry of a table. One thread accepts, one serves each connection; every function may be called
 * from any thread.
 */
#pragma once

#include "base/macro.h"

typedef struct HostileHttp HostileHttp;

HostileHttp *hostile_http_new(void);
HostileHttp *hostile_http_free(HostileHttp *h);
DEFINE_CLEANUP(HostileHttp *, hostile_http_free)

unsigned hostile_http_port(const HostileHttp *h);
/* "http://127.0.0.1:PORT" and path; the caller's. */
char *hostile_http_url(const HostileHttp *h, const char *path);
/* Copies data; etag may be NULL. */
void hostile_http_put(HostileHttp *h, const char *name, const void *data, size_t n,
		      const char *etag);
void hostile_http_remove(HostileHttp *h, const char *name);
/* Lets everything under /hold/ go on, now and later (or stop again). */
void hostile_http_release(HostileHttp *h, bool go);
/* Requests so far whose path begins so. */
unsigned hostile_http_count(HostileHttp *h, const char *prefix);
/* Bytes of bodies sent from /file/ and /hold/. */
uint64_t hostile_http_sent(HostileHttp *h);
/* A header of the last request, NULL if it had none; the caller's. */
char *hostile_http_header(HostileHttp *h, const char *name);
