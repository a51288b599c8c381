/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transfer: one GET over HTTP(S) with libcurl, redirects included, written for servers that lie.
 *
 * libcurl is told as little as possible to do by itself: redirects are followed here, one handle
 * each, with the scheme, the credentials and the address of every socket checked again; no content
 * encoding is accepted, no proxy or netrc is read; the header fields that frame a body are judged
 * here. Blocks until done or the deadline. One thread.
 */
#pragma once

#include "driver/image/guard.h"

typedef struct TransferRequest {
	const char *url;
	char *const *headers; /* strv of "Name: value"; may be NULL */
	Guard guard;
	unsigned connect_seconds, total_seconds;
	unsigned low_speed_bytes, low_speed_seconds; /* slower than this for so long = given up */
} TransferRequest;

typedef struct TransferResponse {
	long status; /* 200, 206, 304 or 416 */
	char etag[256], last_modified[64];
	int64_t length;                   /* of this body; -1 = not told */
	int64_t range_start, range_total; /* of a 206; -1 = not told */
} TransferResponse;

typedef struct TransferSink {
	/* Before the first byte of a body, and also when there is none; a negative result ends it.
	 */
	int (*begin)(void *arg, const TransferResponse *r, Error *err);
	int (*body)(void *arg, const void *p, size_t n, Error *err);
	void (*tick)(
		void *arg); /* often, and about once a second while nothing comes; may be NULL */
	void *arg;
} TransferSink;

/*
 * -ERR_NOT_FOUND: there is no such file at the source (404, 410). -ERR_FORBIDDEN: 401, 403, or a
 * refused address or redirect. -ERR_INVALID: not HTTP as it should be. -ERR_UNAVAILABLE,
 * -ERR_TIMEOUT: try later.
 */
int transfer_run(const TransferRequest *r, const TransferSink *sink, TransferResponse *ret,
		 Error *err);

/* Without credentials and query, fit for messages. Caller frees. */
char *url_redact(const char *url);
/* 0 if a server at `from` may send us to `to`: http or https, never down from https. */
int redirect_check(const char *from, const char *to, Error *err);
