/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WebSocket frames and handshake. See websocket.h. Pure.
 */
#include "server/websocket.h"

#include <jansson.h>
#include <stdint.h>

#include "base/base64.h"
#include "base/memory.h"
#include "base/sha.h"

#define KEY_BYTES 16
#define FIN       0x80
#define RESERVED  0x70
#define MASKED    0x80

/* ---- reading ---- */

void ws_reader_done(WsReader *r)
{
	strbuf_done(&r->in);
	strbuf_done(&r->message);
	strbuf_done(&r->control);
}

void ws_reader_feed(WsReader *r, const void *p, size_t n)
{
	if (r->at) {
		memmove(r->in.buf, r->in.buf + r->at, r->in.len - r->at);
		strbuf_truncate(&r->in, r->in.len - r->at);
		r->at = 0;
	}
	strbuf_add(&r->in, p, n);
}

typedef struct Head {
	bool fin;
	WsOpcode opcode;
	uint64_t len;
	uint8_t mask[4];
	size_t size; /* of the head itself */
} Head;

static bool is_control(WsOpcode opcode)
{
	return opcode >= WS_CLOSE;
}

static bool is_opcode(unsigned opcode)
{
	return opcode <= WS_BINARY || (opcode >= WS_CLOSE && opcode <= WS_PONG);
}

static uint64_t big_endian(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

/* 1 = there is a whole head, 0 = not yet, < 0 = broken. */
static int read_head(const WsReader *r, Head *ret)
{
	const uint8_t *p = (const uint8_t *)strbuf_str(&r->in) + r->at;
	size_t n = r->in.len - r->at, extra;
	Head h;

	if (n < 2)
		return 0;
	h = (Head){ .fin = p[0] & FIN, .opcode = (WsOpcode)(p[0] & 0xf), .len = p[1] & 0x7f };
	if ((p[0] & RESERVED) || !(p[1] & MASKED) || !is_opcode(h.opcode))
		return -WS_PROTOCOL_ERROR;
	if (is_control(h.opcode) && (!h.fin || h.len > WS_CONTROL_MAX))
		return -WS_PROTOCOL_ERROR;
	extra = h.len == 126 ? 2 : h.len == 127 ? 8 : 0;
	h.size = 2 + extra + sizeof(h.mask);
	if (n < h.size)
		return 0;
	if (extra)
		h.len = big_endian(p + 2, extra);
	if (h.len >> 63)
		return -WS_PROTOCOL_ERROR;
	if (h.len > WS_MESSAGE_MAX)
		return -WS_TOO_BIG;
	memcpy(h.mask, p + 2 + extra, sizeof(h.mask));
	*ret = h;
	return 1;
}

static void add_unmasked(StrBuf *to, const uint8_t *p, const Head *h)
{
	size_t from = to->len;

	strbuf_add(to, p, h->len);
	for (uint64_t i = 0; i < h->len; i++)
		to->buf[from + i] = (char)(to->buf[from + i] ^ h->mask[i & 3]);
}

static bool is_utf8(const char *p, size_t n)
{
	_cleanup_(json_decrefp) json_t *text = json_stringn(p, n);

	return text;
}

static bool may_be_received(WsCode code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
	       (code >= 3000 && code <= 4999);
}

static int take_control(WsReader *r, const Head *h, const uint8_t *payload, WsMessage *ret)
{
	WsMessage m = { .opcode = h->opcode, .code = WS_NO_CODE };

	strbuf_reset(&r->control);
	add_unmasked(&r->control, payload, h);
	m.data = strbuf_str(&r->control);
	m.len = r->control.len;
	if (h->opcode == WS_CLOSE && m.len > 0) {
		if (m.len < 2)
			return -WS_PROTOCOL_ERROR;
		m.code = (WsCode)big_endian((const uint8_t *)m.data, 2);
		m.data += 2;
		m.len -= 2;
		if (!may_be_received(m.code))
			return -WS_PROTOCOL_ERROR;
		if (!is_utf8(m.data, m.len))
			return -WS_BAD_DATA;
	}
	*ret = m;
	return 1;
}

/* 1 = the message is complete. */
static int take_data(WsReader *r, const Head *h, const uint8_t *payload, WsMessage *ret)
{
	if (r->fragmented != (h->opcode == WS_CONTINUATION))
		return -WS_PROTOCOL_ERROR;
	if (!r->fragmented)
		r->opcode = h->opcode;
	if (h->len > WS_MESSAGE_MAX - r->message.len)
		return -WS_TOO_BIG;
	add_unmasked(&r->message, payload, h);
	r->fragmented = !h->fin;
	if (!h->fin)
		return 0;
	if (r->opcode == WS_TEXT && !is_utf8(strbuf_str(&r->message), r->message.len))
		return -WS_BAD_DATA;
	r->delivered = true;
	*ret = (WsMessage){ .opcode = r->opcode,
			    .data = strbuf_str(&r->message),
			    .len = r->message.len };
	return 1;
}

int ws_reader_next(WsReader *r, WsMessage *ret)
{
	for (;;) {
		const uint8_t *payload;
		Head h;
		int rc;

		if (r->delivered) {
			strbuf_reset(&r->message);
			r->delivered = false;
		}
		rc = read_head(r, &h);
		if (rc <= 0)
			return rc;
		if (h.len > r->in.len - r->at - h.size)
			return 0;
		payload = (const uint8_t *)r->in.buf + r->at + h.size;
		r->at += h.size + h.len;
		rc = is_control(h.opcode) ? take_control(r, &h, payload, ret)
					  : take_data(r, &h, payload, ret);
		if (rc != 0)
			return rc;
	}
}

/* ---- writing ---- */

void ws_frame(StrBuf *out, WsOpcode opcode, const void *head, size_t n_head, const void *p,
	      size_t n)
{
	uint64_t len = (uint64_t)n_head + n;
	unsigned bytes = len < 126 ? 0 : len <= UINT16_MAX ? 2 : 8;

	strbuf_addc(out, (char)(FIN | opcode));
	strbuf_addc(out, (char)(bytes == 0 ? len : bytes == 2 ? 126 : 127));
	while (bytes-- > 0)
		strbuf_addc(out, (char)(len >> (8 * bytes)));
	strbuf_add(out, head, n_head);
	strbuf_add(out, p, n);
}

void ws_frame_close(StrBuf *out, WsCode code, const char *reason)
{
	char head[2] = { (char)(code >> 8), (char)code };
	size_t n = reason ? strlen(reason) : 0;

	ws_frame(out, WS_CLOSE, head, code == WS_NO_CODE ? 0 : sizeof(head), reason,
		 MIN(n, (size_t)WS_CONTROL_MAX - sizeof(head)));
}

/* ---- the handshake ---- */

int ws_accept_key(const char *key, char **ret, Error *err)
{
	_cleanup_(xfreep) char *decoded = NULL, *text = NULL;
	uint8_t digest[SHA1_BYTES];
	size_t n;

	if (!key || base64_decode(key, &decoded, &n, NULL) < 0 || n != KEY_BYTES)
		return error_set(err, ERR_INVALID, "Sec-WebSocket-Key must be 16 bytes in base64");
	text = xasprintf("%s" WS_GUID, key);
	sha1_of(text, strlen(text), digest);
	*ret = base64_encode(digest, sizeof(digest));
	return 0;
}

int ws_choose_protocol(const char *header, const char *const *known)
{
	for (const char *p = header; p && *p;) {
		size_t n;

		p += strspn(p, " \t,");
		n = strcspn(p, " \t,");
		for (int i = 0; n && known[i]; i++)
			if (strlen(known[i]) == n && strncmp(p, known[i], n) == 0)
				return i;
		p += n;
	}
	return -1;
}
