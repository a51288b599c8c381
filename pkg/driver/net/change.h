/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Change: the running account of one comparison of what is with what is wanted. The same walk
 * either mends (ensure) or only looks (what an event leads to), so that the two cannot disagree.
 */
#pragma once

#include "base/strbuf.h"

typedef struct Change {
	bool look;   /* only count and describe */
	unsigned n;  /* differences found */
	StrBuf text; /* the first few of them, "; "-separated */
} Change;

#define CHANGE_TEXT_MAX 400

/* Notes a difference; true if it is to be mended now. */
static inline bool change_add(Change *c, const char *verb, const char *name, const char *detail)
{
	c->n++;
	c->text.max = CHANGE_TEXT_MAX;
	strbuf_addf(&c->text, "%s%s %s%s%s", c->text.len ? "; " : "", verb, name, detail ? " " : "",
		    detail ? detail : "");
	return !c->look;
}

static inline void change_done(Change *c)
{
	strbuf_done(&c->text);
}
