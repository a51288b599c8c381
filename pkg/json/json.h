/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON: what jansson lacks: strict decoding with limits, canonical text, equality, paths, merge
 * patch (RFC 7386), JSON patch (RFC 6902), jsonpath as kubectl writes it. Pure; a tree belongs to
 * one thread.
 */
#pragma once

#include <jansson.h>

#include "base/error.h"
#include "base/strbuf.h"

#define JSON_DEPTH_MAX 64
#define JSON_TEXT_MAX  (3u * 1024 * 1024)
/* Of what clients send: a value takes up to eighty times its text in memory. */
#define JSON_VALUES_MAX 100000

/* Strict: UTF-8, no duplicate keys, no trailing bytes, depth and size bounded. */
int json_decode(const char *text, size_t len, json_t **ret, Error *err);
/*
 * The same, but a member that is named twice is no error: the last one counts, and fn is told of
 * each ("spec.disks[0].name"), and values are counted: for what clients send. text[len] is NUL.
 */
typedef void (*JsonDoubledFn)(void *arg, const char *path);
int json_decode_doubled(const char *text, size_t len, json_t **ret, JsonDoubledFn fn, void *arg,
			Error *err);
/* Text that we wrote ourselves, of any kind and without limits; NULL if it is no JSON. */
json_t *json_load(const char *text, size_t len);
/* Compact, keys sorted: equal trees give equal text. Caller frees. */
char *json_canonical(const json_t *v);
char *json_text(const json_t *v); /* compact, insertion order */
/* The string as either of them writes it, quoted. False, and nothing added, if it is no UTF-8. */
bool json_add_string(StrBuf *b, const char *s);
/* jansson's json_equal() but 1 == 1.0 and NULL pointers allowed. */
bool json_same(const json_t *a, const json_t *b);

/* "spec.cpus" (dots, no indexes): borrowed, NULL if any step is missing. */
json_t *json_at(const json_t *v, const char *path);
const char *json_string_at(const json_t *v, const char *path); /* NULL if absent or no string */
int64_t json_integer_at(const json_t *v, const char *path, int64_t dflt);
bool json_bool_at(const json_t *v, const char *path, bool dflt);
/* Creates objects on the way; steals value. */
void json_set_at(json_t *v, const char *path, json_t *value);
/* The object member of that name, made (in place of anything else) if it is none. Borrowed. */
json_t *json_make_object(json_t *parent, const char *name);
/* True if word is one of the list's strings. */
bool json_list_has(const json_t *list, const char *word);

/* RFC 7386, in place on target (an object or NULL); a new reference to the result. */
json_t *json_merge_patch(json_t *target, const json_t *patch);
/* RFC 6902 on a copy; -ERR_INVALID with the operation's index and path; -ERR_EXHAUSTED if it copies
 * or nests too much. */
#define JSON_PATCH_OPERATIONS_MAX 10000
int json_patch_apply(const json_t *doc, const json_t *patch, json_t **ret, Error *err);

/* "{.status.conditions[?(@.type==\"Ready\")].status}" or ".a.b[0]": results joined by spaces into
 * out. */
typedef struct JsonPath JsonPath;
int jsonpath_compile(const char *expr, JsonPath **ret, Error *err);
JsonPath *jsonpath_free(JsonPath *p);
DEFINE_CLEANUP(JsonPath *, jsonpath_free)
/* Matches as an array of borrowed values (the array is the caller's). */
json_t *jsonpath_find(const JsonPath *p, const json_t *doc);
/* A kubectl template: text with {...} parts, {range}{end}, quotes. */
int jsonpath_template(const char *tmpl, const json_t *doc, StrBuf *out, Error *err);
