/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a watch share: watch.c (the stream), watch_options.c (what was asked for),
 * watch_render.c (texts that several watches send).
 */
#pragma once

#include "server/internal.h"

/* A client that resumes from the last bookmark before its timeout has little to catch up with. */
#define BOOKMARK_BEFORE_END (2 * USEC_PER_SEC)

typedef struct WatchOptions {
	int64_t from; /* -1 = the current state first */
	bool send_initial, bookmarks;
	usec_t timeout; /* USEC_INFINITY = none */
} WatchOptions;

/* < 0 = answered. HTTP threads. */
int watch_options_parse(Request *r, WatchOptions *ret);

/* The form in which a watch sends its objects. */
typedef struct RenderForm {
	Kind *kind;
	Accept accept;
	const char *include; /* of includeObject, by include_parse() */
	bool with_columns;   /* a Table's first event tells them */
} RenderForm;

/* A constant that stands for the client's text: "Object", "None", or NULL for the metadata. */
const char *include_parse(const char *text);

/*
 * The object in that form and at that revision. Whoever is second to send an event in the same form
 * gets the first one's text. Any thread.
 */
void render_shared(Server *s, StrBuf *out, const RenderForm *form, Object *o, int64_t revision);
/* An object of which only the revision is true. Pure. */
void render_bookmark(StrBuf *out, const RenderForm *form, int64_t revision, bool initial_end);

typedef struct RenderCache RenderCache;
RenderCache *render_cache_new(void);
RenderCache *render_cache_free(RenderCache *c);
