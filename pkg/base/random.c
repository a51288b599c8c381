/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random bytes and UUIDs. See random.h.
 */
#include "base/random.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void random_bytes(void *p, size_t n)
{
	uint8_t *out = p;
	ssize_t got;

	while (n > 0) {
		got = getrandom(out, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			abort(); /* no entropy call, no safe identity: nothing sensible can follow
				  */
		out += got;
		n -= (size_t)got;
	}
}

uint64_t random_u64(void)
{
	uint64_t v;

	random_bytes(&v, sizeof(v));
	return v;
}

void hex_encode(const void *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *in = p;

	for (size_t i = 0; i < n; i++) {
		*out++ = digits[in[i] >> 4];
		*out++ = digits[in[i] & 0xf];
	}
	*out = '\0';
}

/* Positions of the dashes in the text form: 8-4-4-4-12 (RFC 9562). */
static bool uuid_is_dash(size_t i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

const char *uuid_new(char buf[static UUID_MAX])
{
	uint8_t b[16];
	char hex[33], *in = hex;

	random_bytes(b, sizeof(b));
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	hex_encode(b, sizeof(b), hex);
	for (size_t i = 0; i < UUID_MAX - 1; i++)
		buf[i] = uuid_is_dash(i) ? '-' : *in++;
	buf[UUID_MAX - 1] = '\0';
	return buf;
}

bool uuid_is_valid(const char *s)
{
	size_t i;

	for (i = 0; s[i]; i++)
		if (i >= UUID_MAX - 1 ||
		    (uuid_is_dash(i) ? s[i] != '-' : !isxdigit((unsigned char)s[i])))
			return false;
	return i == UUID_MAX - 1;
}
