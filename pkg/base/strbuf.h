/* SPDX-License-Identifier: Apache-2.0 */
/*
 * StrBuf: a growing byte string.
 *
 * Invariants: buf is never NULL after STRBUF_INIT + first append, and buf[len] is always NUL;
 *before the first append strbuf_str() still answers "". `max`, when not 0, bounds len: what would
 *go past it is dropped and `overflow` set, so that whoever fills a buffer from outside checks one
 *flag at the end. Aborts when out of memory. One thread.
 *
 *	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;
 *	strbuf_addf(&b, "%s.%s", ns, name);
 *	return strbuf_take(&b);
 */
#pragma once

#include "base/macro.h"
#include <stdarg.h>

typedef struct StrBuf {
	char *buf;
	size_t len, cap;
	size_t max; /* bytes; 0 = no bound */
	bool overflow;
} StrBuf;

#define STRBUF_INIT \
	(StrBuf) \
	{ \
		0 \
	}
#define STRBUF_INIT_MAX(n) \
	(StrBuf) \
	{ \
		.max = (n) \
	}

void strbuf_add(StrBuf *b, const void *p, size_t n);
void strbuf_adds(StrBuf *b, const char *s);
void strbuf_addc(StrBuf *b, char c);
void strbuf_addf(StrBuf *b, const char *fmt, ...) _printf_(2, 3);
void strbuf_vaddf(StrBuf *b, const char *fmt, va_list ap) _printf_(2, 0);
void strbuf_reset(StrBuf *b); /* len = 0, memory kept */
void strbuf_truncate(StrBuf *b, size_t len);
const char *strbuf_str(const StrBuf *b); /* never NULL */
char *strbuf_take(StrBuf *b);            /* the string, now the caller's; b is empty again */
void strbuf_done(StrBuf *b);
