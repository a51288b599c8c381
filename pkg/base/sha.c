/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-2 by GnuTLS. See sha.h.
 */
#include "base/sha.h"

#include <gnutls/crypto.h>

#include "base/memory.h"
#include "base/random.h"

struct Sha {
	gnutls_hash_hd_t handle;
	ShaAlgorithm algorithm;
};

static gnutls_digest_algorithm_t sha_digest(ShaAlgorithm a)
{
	return a == SHA_512 ? GNUTLS_DIG_SHA512 : GNUTLS_DIG_SHA256;
}

size_t sha_hex_len(ShaAlgorithm algorithm)
{
	return gnutls_hash_get_len(sha_digest(algorithm)) * 2;
}

Sha *sha_new(ShaAlgorithm algorithm)
{
	Sha *s = xnew0(Sha, 1);
	int rc = gnutls_hash_init(&s->handle, sha_digest(algorithm));

	assert(rc == 0);
	s->algorithm = algorithm;
	return s;
}

void sha_update(Sha *s, const void *p, size_t n)
{
	int rc = gnutls_hash(s->handle, p, n);

	assert(rc == 0);
}

const char *sha_hex(Sha *s, char buf[static SHA_HEX_MAX])
{
	gnutls_hash_hd_t copy = gnutls_hash_copy(s->handle);
	uint8_t out[64];

	assert(copy);
	gnutls_hash_deinit(copy, out);
	hex_encode(out, gnutls_hash_get_len(sha_digest(s->algorithm)), buf);
	return buf;
}

Sha *sha_free(Sha *s)
{
	if (!s)
		return NULL;
	gnutls_hash_deinit(s->handle, NULL);
	free(s);
	return NULL;
}

const char *sha_hex_of(ShaAlgorithm algorithm, const void *p, size_t n,
		       char buf[static SHA_HEX_MAX])
{
	uint8_t out[64];
	int rc = gnutls_hash_fast(sha_digest(algorithm), p, n, out);

	assert(rc == 0);
	hex_encode(out, gnutls_hash_get_len(sha_digest(algorithm)), buf);
	return buf;
}

void sha1_of(const void *p, size_t n, unsigned char ret[static SHA1_BYTES])
{
	int rc = gnutls_hash_fast(GNUTLS_DIG_SHA1, p, n, ret);

	assert(rc == 0);
	(void)rc;
}
