/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object as the client wants to see it: as text, as a row of a table, as its metadata alone, or
 * in the form of another kind that is a view of it. Any thread.
 */
#pragma once

#include "server/internal.h"
#include "server/selector.h"

/* ---- render.c, table.c ---- */

void json_quote(StrBuf *out, const char *s);
Accept accept_parse(const char *header);
/*
 * The object's text in version k. What is stored in it is borrowed from the object; the text of
 * another version is made, and *ret_made is the caller's (NULL otherwise).
 */
bool render_is_text(const Kind *k, const Object *o); /* the stored bytes are that text */
const char *render_text(const Kind *k, const Object *o, size_t *ret_len, char **ret_made);
/* The object's tree in version k, the caller's. */
json_t *render_tree(const Kind *k, const Object *o);
json_t *render_tree_lean(const Kind *k, const Object *o); /* for writing: api/object.h */
/* The object in that form, without a trailing newline. */
void render_object(StrBuf *out, const Kind *k, Accept accept, const char *include, const Object *o,
		   bool with_columns, usec_t wall);
json_t *render_metadata_only(const Object *o, bool item);
void table_head(StrBuf *out, const Kind *k, int64_t revision, const char *continue_token,
		uint64_t remaining, bool with_columns);
void table_row(StrBuf *out, const Kind *k, const Object *o, const char *include, usec_t wall);
void table_tail(StrBuf *out);

/* ---- view.c: kinds that show the objects of another one in their own form ---- */

/* The object as that kind shows it: itself, or made from it. A new reference. */
Object *view_object(Server *s, const Kind *k, Object *o);
/* A body (object, merge patch or JSON patch) in that form into the one of what it shows, in place.
 */
void view_take(const Kind *k, json_t *body);
json_t *view_event_make(Server *s, const json_t *stored);
void view_event_take(json_t *body);
/* A Pod from an Instance (pod.c); the tree is the caller's. */
json_t *pod_from_instance(Server *s, const json_t *instance);
/* "instance vm is not running: Stopped: ...", and what would start it; NULL = it runs, or may.
 * Caller frees. */
char *instance_why_off(const json_t *instance);
/* Who asks for the Events of a Pod is asking for those of its Instance. */
void pod_events(Request *r, Selector *fields);
