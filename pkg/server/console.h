/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the handlers of a guest's console share: console.c (raw streams), log.c (text), attach.c
 * (WebSocket). HTTP threads.
 */
#pragma once

#include "server/internal.h"
#include "server/session.h"

#define CONSOLE_CONTAINER "console" /* the one container of a Pod */

/* The Instance of the request in r->base and as a tree; false if answered. */
bool console_instance(Request *r, json_t **ret_tree);
/* Where it runs, as far as that was seen; where it should, before. Of the tree or the server. */
const char *console_node(const Server *s, const json_t *tree);
/* Opens the console of s->target at s->node; on the session's thread. */
int console_open(Session *s, Context *ctx, int *ret_fd, Error *err);
/* For a port of the guest's, which that parameter names; NULL = answered. */
Session *port_session_new(Request *r, const json_t *tree, const char *port_parameter,
			  void (*done)(Request *r));
/* 1 = given, 0 = not; answers and returns < 0 if it is no number. */
int query_number(Request *r, const char *name, uint64_t *ret);
/* True if a header that is a list of tokens has that one. */
bool header_has_token(const char *header, const char *token);
void reply_unavailable(Request *r, const char *what);
/* Why the port did not open, in words for the client; `absent` if there is nothing to open. */
void reply_open_failure(Request *r, const Session *s, const char *absent);
/* The same of what only a guest that runs has: if this one does not, that is the answer. */
void reply_stream_failure(Request *r, const Session *s);
/* True and answered if the instance is not running. */
bool reply_off(Request *r, const json_t *tree);
