/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A web server for tests that behaves well under /file/ and badly under /bad/.
 *
 * /file/NAME serves what was put there, with ETag, Range, If-Range, If-None-Match, and Basic
 * authentication where asked for. /hold/NAME is the same, but stops half-way until released.
 * /to/URL redirects to URL (not decoded). /bad/KIND: see hostile_kinds.c, where each kind is one
 * entry of a table; raw-NAME answers with the bytes that were put as NAME, head and all.
 * /turn/KIND/NAME is /file/NAME until hostile_http_turn(), and KIND from then on. /half/KIND/NAME
 * sends the first half of NAME once and hangs up; a request for the rest meets KIND.
 *
 * One thread accepts, one serves each connection; every function may be called from any thread.
 */
#pragma once

#include "base/clock.h"

typedef struct HostileHttp HostileHttp;

/* On 127.0.0.1, a port of its own. */
HostileHttp *hostile_http_new(void);
/* On all addresses of both families. */
HostileHttp *hostile_http_new_public(void);
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
/* What is under /turn/ shows its other face. */
void hostile_http_turn(HostileHttp *h);
/* Requests so far whose path begins so; "authorization:/..." counts those with credentials. */
unsigned hostile_http_count(HostileHttp *h, const char *prefix);
/* When (monotonic) those requests came; at most max. Returns how many it wrote. */
size_t hostile_http_times(HostileHttp *h, const char *prefix, usec_t *ret, size_t max);
/* Bytes of bodies sent from /file/ and /hold/. */
uint64_t hostile_http_sent(HostileHttp *h);
/* A header of the last request, NULL if it had none; the caller's. */
char *hostile_http_header(HostileHttp *h, const char *name);
