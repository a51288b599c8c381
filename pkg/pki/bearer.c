/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bearer tokens: made, recognized and hashed. See pki.h for the form.
 */
#include <gnutls/gnutls.h>

#include "base/memory.h"
#include "base/random.h"
#include "base/sha.h"
#include "pki/pki.h"

#define PREFIX_LENGTH   4
#define RANDOM_LENGTH   30
#define CHECKSUM_LENGTH 6

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* CRC-32 as in ISO-HDLC (zlib). */
static uint32_t crc32_of(const char *s, size_t n)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < n; i++) {
		crc ^= (unsigned char)s[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

static void checksum_write(const char *random, char out[CHECKSUM_LENGTH])
{
	uint32_t crc = crc32_of(random, RANDOM_LENGTH);

	for (int i = CHECKSUM_LENGTH - 1; i >= 0; i--) {
		out[i] = digits[crc % 62];
		crc /= 62;
	}
}

/* Bytes from 248 on are thrown away: each of the 62 characters is equally likely. */
static char random_digit(void)
{
	uint8_t byte;

	do
		random_bytes(&byte, 1);
	while (byte >= 248);
	return digits[byte % 62];
}

char *bearer_new(void)
{
	char *token = xmalloc(BEARER_LENGTH + 1);

	memcpy(token, BEARER_PREFIX, PREFIX_LENGTH);
	for (size_t i = 0; i < RANDOM_LENGTH; i++)
		token[PREFIX_LENGTH + i] = random_digit();
	checksum_write(token + PREFIX_LENGTH, token + PREFIX_LENGTH + RANDOM_LENGTH);
	token[BEARER_LENGTH] = '\0';
	return token;
}

bool bearer_is_wellformed(const char *s)
{
	char checksum[CHECKSUM_LENGTH];

	if (!str_has_prefix(s, BEARER_PREFIX) || strlen(s) != BEARER_LENGTH ||
	    strspn(s + PREFIX_LENGTH, digits) != BEARER_LENGTH - PREFIX_LENGTH)
		return false;
	checksum_write(s + PREFIX_LENGTH, checksum);
	return memcmp(checksum, s + PREFIX_LENGTH + RANDOM_LENGTH, CHECKSUM_LENGTH) == 0;
}

const char *bearer_hash(const char *token, char buf[static BEARER_HASH_MAX])
{
	char hex[SHA_HEX_MAX];

	snprintf(buf, BEARER_HASH_MAX, "sha256:%.64s",
		 sha_hex_of(SHA_256, token, strlen(token), hex));
	return buf;
}

bool bearer_hash_is_wellformed(const char *s)
{
	const char *hex = s + strlen("sha256:");

	return str_has_prefix(s, "sha256:") && strlen(hex) == 64 &&
	       strspn(hex, "0123456789abcdef") == 64;
}

bool bearer_hash_equal(const char *a, const char *b)
{
	size_t n = strlen(a);

	return n == strlen(b) && gnutls_memcmp(a, b, n) == 0;
}
