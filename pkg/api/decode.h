/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the generated decode functions (types.c) are made of: one value of one type out of a tree
 * that has been defaulted and validated. Absent is NULL, 0 or false. Private to pkg/api.
 */
#pragma once

#include <jansson.h>

#include "base/error.h"

char *decode_string(const json_t *o, const char *name);
int64_t decode_integer(const json_t *o, const char *name);
bool decode_boolean(const json_t *o, const char *name);
uint64_t decode_quantity(const json_t *o, const char *name);
/* An array of n strings (not NULL-terminated); NULL if there are none. */
char **decode_strings(const json_t *o, const char *name, size_t *ret_n);
void decode_strings_free(char **v, size_t n);
/* Index of the member's text in names, 0 if absent. */
int decode_enum(const json_t *o, const char *name, const char *const *names, size_t n);
/* A copy of tree with the defaults of that compiled-in kind, if it is valid; -ERR_INVALID with the
 * first error. */
int decode_prepare(const char *group, const char *resource, const json_t *tree, json_t **ret,
		   Error *err);
