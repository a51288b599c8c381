/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WebSocket (RFC 6455), the server's side: the handshake's answer, messages out of what a client
 * sent, frames for what it gets. Fragments are put together; control frames come out between them
 * as they came in. No extension is offered, so no reserved bit may be set; a client masks all it
 * sends. What breaks a rule is answered by the code to close with. Pure; one thread per WsReader.
 */
#pragma once

#include "base/error.h"
#include "base/strbuf.h"

#define WS_GUID        "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define WS_MESSAGE_MAX (1024u * 1024)
#define WS_CONTROL_MAX 125

typedef enum WsOpcode {
	WS_CONTINUATION = 0,
	WS_TEXT = 1,
	WS_BINARY = 2,
	WS_CLOSE = 8,
	WS_PING = 9,
	WS_PONG = 10,
} WsOpcode;

typedef enum WsCode {
	WS_NORMAL = 1000,
	WS_GOING_AWAY = 1001,
	WS_PROTOCOL_ERROR = 1002,
	WS_NO_CODE = 1005, /* a close frame without one; never sent */
	WS_BAD_DATA = 1007,
	WS_TOO_BIG = 1009,
	WS_INTERNAL = 1011,
} WsCode;

/* data is valid until the next call with its reader. */
typedef struct WsMessage {
	WsOpcode opcode; /* WS_TEXT, WS_BINARY or a control frame */
	const char *data;
	size_t len;
	WsCode code; /* of WS_CLOSE; data is then the reason */
} WsMessage;

typedef struct WsReader {
	StrBuf in;      /* received, not yet taken apart */
	size_t at;      /* so far taken of it */
	StrBuf message; /* of the fragments so far */
	WsOpcode opcode;
	bool fragmented; /* a message is being put together */
	StrBuf control;
	bool delivered; /* the message was handed out, and is cleared by the next call */
} WsReader;

void ws_reader_done(WsReader *r);
void ws_reader_feed(WsReader *r, const void *p, size_t n);
/* 1 = a message, 0 = more bytes are needed, < 0 = -WsCode: close with it, and read no more. */
int ws_reader_next(WsReader *r, WsMessage *ret);

/* Appends one unmasked frame of a whole message. */
void ws_frame(StrBuf *out, WsOpcode opcode, const void *head, size_t n_head, const void *p,
	      size_t n);
void ws_frame_close(StrBuf *out, WsCode code, const char *reason);

/* What Sec-WebSocket-Accept answers; caller frees. -ERR_INVALID: no key of 16 bytes in base64. */
int ws_accept_key(const char *key, char **ret, Error *err);
/* The first protocol of a Sec-WebSocket-Protocol header that is in `known` (NULL-terminated): its
 * index, or -1. */
int ws_choose_protocol(const char *header, const char *const *known);
