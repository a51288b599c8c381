/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What list, watch and deletecollection share (get.c): what they select by, how a list is told.
 * HTTP threads.
 */
#pragma once

#include "server/internal.h"
#include "server/selector.h"

/* limit=; answers and returns < 0 if it is none. */
int list_limit(Request *r, size_t *ret);
/* In the form that the client accepts; list is taken over. */
void reply_list(Request *r, ObjectList *list, bool count_remaining);
/* Why a list failed; for a token that is too old with another one that goes on. */
void reply_list_error(Request *r, const ListOptions *options, int rc, const Error *err);

/* What list, watch and deletecollection select by. */
typedef struct Selection {
	Selector labels, fields;
	const char *namespace; /* borrowed; NULL = all */
	const char *name;      /* borrowed from fields: metadata.name=X, or NULL */
	Server *server;
	const Kind *kind; /* borrowed: fields are of its form */
} Selection;
/* Answers and returns < 0 if a selector is wrong. */
int selection_parse(Request *r, Selection *ret);
void selection_done(Selection *sel);
bool selection_match_quick(const Selection *sel, const Object *o); /* name and labels only */
bool selection_match(const Selection *sel, const Object *o);
