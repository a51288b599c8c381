/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Textdiff: two texts as a unified diff. In memory, because what is compared may hold secrets that
 * have no business in a temporary file. Pure.
 */
#pragma once

#include "base/strbuf.h"

/* Appends "--- a", "+++ b" and the hunks; appends nothing if they are equal. */
void text_diff(const char *a_name, const char *a, const char *b_name, const char *b, StrBuf *out);
