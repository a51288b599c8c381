/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 and SHA-512, incremental, by GnuTLS. A Sha belongs to one thread.
 */
#pragma once

#include "base/error.h"

typedef enum ShaAlgorithm { SHA_256, SHA_512 } ShaAlgorithm;
#define SHA_HEX_MAX 129 /* 128 digits and NUL */

typedef struct Sha Sha;

Sha *sha_new(ShaAlgorithm algorithm);
void sha_update(Sha *s, const void *p, size_t n);
/* Lower-case hexadecimal of what was added so far; the state goes on. */
const char *sha_hex(Sha *s, char buf[static SHA_HEX_MAX]);
Sha *sha_free(Sha *s);
DEFINE_CLEANUP(Sha *, sha_free)
/* One call for a short text. */
const char *sha_hex_of(ShaAlgorithm algorithm, const void *p, size_t n,
		       char buf[static SHA_HEX_MAX]);
/* For what a protocol wants it for (WebSocket's handshake), and never for trust. */
#define SHA1_BYTES 20
void sha1_of(const void *p, size_t n, unsigned char ret[static SHA1_BYTES]);
size_t sha_hex_len(ShaAlgorithm algorithm); /* 64 or 128 */
