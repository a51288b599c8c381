/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pattern: regular expressions of Go's syntax (https://github.com/google/re2/wiki/Syntax), which is
 * what patterns in Kubernetes' schemas are written in; the texts of errors are Go's, too.
 *
 * Both patterns and texts may be hostile, so a match walks all states side by side, one character
 * at a time: its time is bounded by states times characters, whatever the pattern, and is taken
 * from a budget. There are no back references and no look-around. \p{...} is not supported.
 * Immutable once compiled; any thread.
 */
#pragma once

#include "base/error.h"

#define PATTERN_STATES_MAX 10000
#define PATTERN_WORK_MAX   (20u * 1000 * 1000) /* steps; some tenths of a second */

typedef struct Pattern Pattern;

/* -ERR_INVALID: "error parsing regexp: missing closing ): `(`". */
int pattern_compile(const char *text, Pattern **ret, Error *err);
Pattern *pattern_free(Pattern *p);
DEFINE_CLEANUP(Pattern *, pattern_free)

/*
 * 1 if the text (UTF-8) matches somewhere, 0 if it does not, -ERR_EXHAUSTED if that would take more
 * steps than are left in *budget, which goes down by what it took.
 */
int pattern_match(const Pattern *p, const char *text, size_t *budget);
