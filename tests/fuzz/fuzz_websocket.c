/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WebSocket frames: the first byte is the size of the pieces in which the rest arrives. What comes
 * out does not depend on the pieces, is bounded, and ends with the first broken rule.
 */
#include "fuzz.h"
#include "server/websocket.h"

static int read_in_pieces(const uint8_t *data, size_t size, size_t piece, StrBuf *out)
{
	WsReader r = { 0 };
	WsMessage m;
	int rc = 0;

	for (size_t at = 0; at < size && rc == 0; at += piece) {
		ws_reader_feed(&r, data + at, MIN(piece, size - at));
		while ((rc = ws_reader_next(&r, &m)) > 0) {
			FUZZ_REQUIRE(m.opcode != WS_CONTINUATION);
			FUZZ_REQUIRE(m.len <= WS_MESSAGE_MAX);
			FUZZ_REQUIRE(m.opcode < WS_CLOSE || m.len <= WS_CONTROL_MAX);
			strbuf_addf(out, "%d:%zu:", m.opcode, m.len);
			strbuf_add(out, m.data, m.len);
		}
		FUZZ_REQUIRE(rc == 0 || (-rc >= WS_NORMAL && -rc <= WS_INTERNAL));
	}
	ws_reader_done(&r);
	return rc;
}

static void handshake(const uint8_t *data, size_t size)
{
	static const char *const known[] = { "channel.k8s.io", "v5.channel.k8s.io", NULL };
	_cleanup_(xfreep) char *text = fuzz_text(data, size), *accept = NULL;
	int chosen = ws_choose_protocol(text, known);

	FUZZ_REQUIRE(chosen >= -1 && chosen < 2);
	FUZZ_REQUIRE(chosen < 0 || strstr(text, known[chosen]));
	if (ws_accept_key(text, &accept, NULL) == 0)
		FUZZ_REQUIRE(strlen(accept) == 28);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(strbuf_done) StrBuf whole = STRBUF_INIT, pieces = STRBUF_INIT;

	if (size < 2)
		return 0;
	handshake(data, size);
	FUZZ_REQUIRE(read_in_pieces(data + 1, size - 1, size, &whole) ==
		     read_in_pieces(data + 1, size - 1, (size_t)data[0] + 1, &pieces));
	FUZZ_REQUIRE(whole.len == pieces.len &&
		     memcmp(strbuf_str(&whole), strbuf_str(&pieces), whole.len) == 0);
	return 0;
}
