/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WebSocket frames: RFC 6455's own examples, fragments with control frames between them, and what
 * must be refused, each also byte by byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "server/websocket.h"

/* A string literal with NULs in it, and its length without the last one. */
#define BYTES(text) (text), sizeof(text) - 1
/* Masked by 0, so that the payload can be read here. */
#define MASK "\0\0\0\0"

static void test_accept_key(void **state _unused_)
{
	static const char *const bad[] = { NULL, "", "x", "AAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=" };
	_cleanup_(xfreep) char *accept = NULL;

	/* RFC 6455, 1.3 */
	assert_int_equal(ws_accept_key("dGhlIHNhbXBsZSBub25jZQ==", &accept, NULL), 0);
	assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_true(ws_accept_key(bad[i], &accept, NULL) < 0);
}

static void test_protocol(void **state _unused_)
{
	static const char *const known[] = { "a", "v5.b", NULL };

	assert_int_equal(ws_choose_protocol("v5.b, a", known), 1);
	assert_int_equal(ws_choose_protocol("x,a,v5.b", known), 0);
	assert_int_equal(ws_choose_protocol("v5.b.x, v5", known), -1);
	assert_int_equal(ws_choose_protocol(" ,, ", known), -1);
	assert_int_equal(ws_choose_protocol(NULL, known), -1);
}

/* RFC 6455, 5.7: a single-frame masked text message. */
static void test_example(void **state _unused_)
{
	WsReader r = { 0 };
	WsMessage m;

	ws_reader_feed(&r, BYTES("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"));
	assert_int_equal(ws_reader_next(&r, &m), 1);
	assert_int_equal(m.opcode, WS_TEXT);
	assert_int_equal(m.len, 5);
	assert_memory_equal(m.data, "Hello", 5);
	assert_int_equal(ws_reader_next(&r, &m), 0);
	ws_reader_done(&r);
}

typedef struct Case {
	const char *name, *bytes;
	size_t len;
	int rc;               /* after all messages: 0, or -WsCode */
	const char *messages; /* "opcode:text|..." */
} Case;

#define CASE(name, bytes, rc, messages) \
	{ \
		(name), (bytes), sizeof(bytes) - 1, (rc), (messages) \
	}

static const Case cases[] = {
	CASE("two messages", "\x82\x81" MASK "a\x82\x80" MASK, 0, "2:a|2:|"),
	CASE("fragments", "\x01\x81" MASK "a\x00\x81" MASK "b\x80\x81" MASK "c", 0, "1:abc|"),
	CASE("a ping in between", "\x02\x81" MASK "a\x89\x81" MASK "p\x80\x81" MASK "b", 0,
	     "9:p|2:ab|"),
	CASE("empty fragments", "\x02\x80" MASK "\x80\x80" MASK, 0, "2:|"),
	CASE("16 bits of length", "\x82\xfe\0\x03" MASK "abc", 0, "2:abc|"),
	CASE("64 bits of length", "\x82\xff\0\0\0\0\0\0\0\x03" MASK "abc", 0, "2:abc|"),
	CASE("close",
	     "\x88\x85" MASK "\x03\xe8"
	     "bye",
	     0, "8:bye|"),
	CASE("close without a code", "\x88\x80" MASK, 0, "8:|"),
	CASE("not masked",
	     "\x82\x01"
	     "a",
	     -WS_PROTOCOL_ERROR, ""),
	CASE("reserved bit", "\xc2\x81" MASK "a", -WS_PROTOCOL_ERROR, ""),
	CASE("reserved opcode", "\x83\x80" MASK, -WS_PROTOCOL_ERROR, ""),
	CASE("reserved control opcode", "\x8b\x80" MASK, -WS_PROTOCOL_ERROR, ""),
	CASE("long control frame", "\x89\xfe\0\x7e" MASK, -WS_PROTOCOL_ERROR, ""),
	CASE("control frame in parts", "\x09\x80" MASK, -WS_PROTOCOL_ERROR, ""),
	CASE("nothing to continue", "\x80\x81" MASK "a", -WS_PROTOCOL_ERROR, ""),
	CASE("message in a message", "\x02\x81" MASK "a\x82\x81" MASK "b", -WS_PROTOCOL_ERROR, ""),
	CASE("negative length", "\x82\xff\x80\0\0\0\0\0\0\0" MASK, -WS_PROTOCOL_ERROR, ""),
	CASE("too long", "\x82\xff\0\0\0\0\0\x10\0\x01" MASK, -WS_TOO_BIG, ""),
	CASE("text that is none", "\x81\x82" MASK "\xc3\x28", -WS_BAD_DATA, ""),
	CASE("half a close code", "\x88\x81" MASK "\x03", -WS_PROTOCOL_ERROR, ""),
	CASE("close code 1005", "\x88\x82" MASK "\x03\xed", -WS_PROTOCOL_ERROR, ""),
	CASE("close code 999", "\x88\x82" MASK "\x03\xe7", -WS_PROTOCOL_ERROR, ""),
	CASE("close reason that is no text", "\x88\x83" MASK "\x03\xe8\xff", -WS_BAD_DATA, ""),
};

/* All messages that are there, as text. */
static int read_all(WsReader *r, StrBuf *out)
{
	WsMessage m;
	int rc;

	while ((rc = ws_reader_next(r, &m)) > 0) {
		strbuf_addf(out, "%d:", m.opcode);
		strbuf_add(out, m.data, m.len);
		strbuf_addc(out, '|');
	}
	return rc;
}

static void run_case(const Case *c, size_t step)
{
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;
	WsReader r = { 0 };
	int rc = 0;

	for (size_t at = 0; at < c->len && rc == 0; at += step) {
		ws_reader_feed(&r, c->bytes + at, MIN(step, c->len - at));
		rc = read_all(&r, &out);
	}
	if (rc != c->rc || !streq(strbuf_str(&out), c->messages))
		fail_msg("%s, by %zu: %d, \"%s\"", c->name, step, rc, strbuf_str(&out));
	ws_reader_done(&r);
}

static void test_cases(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		run_case(&cases[i], cases[i].len);
		run_case(&cases[i], 1);
	}
}

/* Fragments together are bounded as one message is. */
static void test_fragments_are_bounded(void **state _unused_)
{
	_cleanup_(xfreep) char *half = xmalloc(WS_MESSAGE_MAX / 2 + 1);
	WsReader r = { 0 };
	WsMessage m;

	memset(half, 'x', WS_MESSAGE_MAX / 2 + 1);
	for (int i = 0; i < 2; i++) {
		ws_reader_feed(&r, i ? "\x00" : "\x02", 1);
		ws_reader_feed(&r, BYTES("\xff\0\0\0\0\0\x08\0\x01" MASK));
		ws_reader_feed(&r, half, WS_MESSAGE_MAX / 2 + 1);
		assert_int_equal(ws_reader_next(&r, &m), i ? -WS_TOO_BIG : 0);
	}
	ws_reader_done(&r);
}

/* What the server sends is a client's frame without a mask. */
static void expect_frame(size_t payload, const char *head, size_t n_head)
{
	_cleanup_(xfreep) char *p = xmalloc(payload + 1);
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;

	memset(p, 'x', payload + 1);
	ws_frame(&out, WS_BINARY, "\x01", 1, p, payload - 1);
	assert_int_equal(out.len, n_head + payload);
	assert_memory_equal(out.buf, head, n_head);
	assert_int_equal(out.buf[n_head], 1);
}

static void test_frames(void **state _unused_)
{
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;

	expect_frame(1, BYTES("\x82\x01"));
	expect_frame(125, BYTES("\x82\x7d"));
	expect_frame(126, BYTES("\x82\x7e\0\x7e"));
	expect_frame(65535, BYTES("\x82\x7e\xff\xff"));
	expect_frame(65536, BYTES("\x82\x7f\0\0\0\0\0\x01\0\0"));
	ws_frame_close(&out, WS_NORMAL, "bye");
	assert_int_equal(out.len, 7);
	assert_memory_equal(out.buf,
			    "\x88\x05\x03\xe8"
			    "bye",
			    7);
	strbuf_reset(&out);
	ws_frame_close(&out, WS_NO_CODE, NULL);
	assert_int_equal(out.len, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accept_key),
		cmocka_unit_test(test_protocol),
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_fragments_are_bounded),
		cmocka_unit_test(test_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
