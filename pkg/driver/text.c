/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A strict UTF-8 reader that also refuses what must not reach XML or a terminal. See text.h.
 */
#include "driver/text.h"

/* The code point at p and its length; 0 = malformed. */
static size_t decode(const unsigned char *p, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = p[0] < 0x80             ? 1
		   : (p[0] & 0xe0) == 0xc0 ? 2
		   : (p[0] & 0xf0) == 0xe0 ? 3
		   : (p[0] & 0xf8) == 0xf0 ? 4
					   : 0;
	uint32_t c = n > 1 ? p[0] & (0x7fU >> n) : p[0];

	/* A NUL is no continuation byte, so this never reads past the end. */
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	*ret = c;
	return n && c >= least[n] ? n : 0;
}

bool text_is_printable(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	uint32_t c;
	size_t n;

	for (; *p; p += n) {
		n = decode(p, &c);
		if (n == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0) || c > 0x10ffff ||
		    (c >= 0xd800 && c < 0xe000) || c == 0xfffe || c == 0xffff)
			return false;
	}
	return true;
}
