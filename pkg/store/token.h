/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token: where a list that came in part goes on: `continue`. Opaque to clients and good for the
 * list it was given for only: the same kind and the same namespace. Nothing in it is trusted, and
 * nothing is kept for it: it survives restarts as long as its revision is in the history. Private
 * to pkg/store. Pure.
 */
#pragma once

#include "store/store.h"

typedef struct Cursor {
	int64_t revision; /* 0 = now */
	char namespace[KEY_NAMESPACE_MAX];
	char name[KEY_NAME_MAX]; /* of the last one that was returned; "" = from the start */
} Cursor;

/* Caller frees. */
char *token_new(const ListOptions *list, int64_t revision, const Key *last);
/* -ERR_INVALID for what we have not made, or for another list. */
int token_parse(const char *token, const ListOptions *list, Cursor *ret, Error *err);
