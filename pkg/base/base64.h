/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base64 (RFC 4648) by GnuTLS. Any thread.
 */
#pragma once

#include "base/error.h"

/* Decodes a whole text; *ret is NUL-terminated and the caller's. -ERR_INVALID. */
int base64_decode(const char *text, char **ret, size_t *ret_len, Error *err);
/* Encodes without line breaks; caller frees. */
char *base64_encode(const void *p, size_t n);
/* The same with '-' and '_', without padding (RFC 4648, 5): what fits into URLs and names. */
int base64url_decode(const char *text, char **ret, size_t *ret_len, Error *err);
char *base64url_encode(const void *p, size_t n);
