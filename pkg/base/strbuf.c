/* SPDX-License-Identifier: Apache-2.0 */
/*
 * StrBuf: a growing byte string. See strbuf.h.
 */
#include "base/strbuf.h"

#include "base/memory.h"

void strbuf_add(StrBuf *b, const void *p, size_t n)
{
	if (b->max && n > b->max - b->len) {
		b->overflow = true;
		n = b->max - b->len;
	}
	if (b->len + n + 1 > b->cap) {
		b->cap = MAX(b->len + n + 1, b->cap * 2);
		b->buf = xrealloc(b->buf, b->cap, 1);
	}
	if (n)
		memcpy(b->buf + b->len, p, n);
	b->len += n;
	b->buf[b->len] = '\0';
}

void strbuf_adds(StrBuf *b, const char *s)
{
	strbuf_add(b, s, strlen(s));
}

void strbuf_addc(StrBuf *b, char c)
{
	if (b->max || b->len + 1 >= b->cap) {
		strbuf_add(b, &c, 1);
		return;
	}
	b->buf[b->len++] = c;
	b->buf[b->len] = '\0';
}

void strbuf_vaddf(StrBuf *b, const char *fmt, va_list ap)
{
	_cleanup_(xfreep) char *s = xvasprintf(fmt, ap);

	strbuf_adds(b, s);
}

void strbuf_addf(StrBuf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(b, fmt, ap);
	va_end(ap);
}

void strbuf_reset(StrBuf *b)
{
	strbuf_truncate(b, 0);
	b->overflow = false;
}

void strbuf_truncate(StrBuf *b, size_t len)
{
	assert(len <= b->len);
	b->len = len;
	if (b->buf)
		b->buf[len] = '\0';
}

const char *strbuf_str(const StrBuf *b)
{
	return b->buf ? b->buf : "";
}

char *strbuf_take(StrBuf *b)
{
	char *s = b->buf ? b->buf : xstrdup("");

	*b = (StrBuf){ .max = b->max };
	return s;
}

void strbuf_done(StrBuf *b)
{
	free(b->buf);
	*b = STRBUF_INIT;
}
