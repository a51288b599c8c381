/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol between sfd and the net role: frames over a Unix stream socket. A frame is four
 *bytes of length (big endian) and that many bytes of JSON; one descriptor may come with its first
 *byte.
 *
 *	request  {"id":7,"op":"ensure","config":{...}}      ops: ensure remove list seen attached
 *dial reply    {"id":7,"result":{...},"fd":false} or {"id":7,"error":{"code":6,"message":"..."}}
 *	event    {"event":{"uid":"..." or null,"what":"..."}}
 *
 * Both sides decode strictly: an unknown key, a wrong type, a name that is not one ends the
 *request; a frame that is too long or no JSON ends the connection.
 */
#pragma once

#include <jansson.h>

#include "base/context.h"
#include "base/strbuf.h"
#include "driver/network.h"

#define PROTO_FRAME_MAX (3u * 1024 * 1024)

/* ---- values ---- */

json_t *proto_config_encode(const NetworkConfig *c);
/* *ret_ports is ret->ports, the caller's to free. Checked by network_config_validate(). */
int proto_config_decode(const json_t *v, NetworkConfig *ret, NetworkPort **ret_ports, Error *err);
json_t *proto_status_encode(const NetworkStatus *s);
int proto_status_decode(const json_t *v, NetworkStatus *ret, Error *err);
json_t *proto_entries_encode(const NetworkEntry *entries, size_t n);
int proto_entries_decode(const json_t *v, NetworkEntry **ret, size_t *ret_n, Error *err);
json_t *proto_error_encode(const Error *e, int rc);
/* Sets *err to what v says and returns its negative code. */
int proto_error_decode(const json_t *v, Error *err);

/* ---- frames ---- */

/* Sends all of it within the deadline; fd -1 = none. A failure leaves half a frame: close then. */
int proto_send(int socket, const json_t *v, int fd, Context *ctx, Error *err);

/* What has come so far on one connection. */
typedef struct ProtoReader {
	StrBuf buf;
	int fd; /* that came with the frame being read; -1 = none */
} ProtoReader;
#define PROTO_READER_INIT \
	(ProtoReader) \
	{ \
		.fd = -1 \
	}

/* Reads what is there without waiting: 1 = something came, 0 = nothing, -ERR_UNAVAILABLE at the end
 * of the stream. */
int proto_read(ProtoReader *r, int socket, Error *err);
/* 1 and the next whole frame (the tree and the descriptor are the caller's), 0 = not yet. */
int proto_next(ProtoReader *r, json_t **ret, int *ret_fd, Error *err);
void proto_reader_done(ProtoReader *r);
