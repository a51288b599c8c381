/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of users and groups: what may stand in a certificate, an RBAC binding and a log line alike;
 * and the small helpers that the files of this package share.
 */
#include "pki/internal.h"

/* Bytes of the UTF-8 character at p, 0 if it is none. Surrogates and overlong forms are none. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
	static const struct {
		unsigned char mask, lead;
		unsigned min;
	} forms[] = {
		{0xe0,  0xc0, 0x80   },
                { 0xf0, 0xe0, 0x800  },
                { 0xf8, 0xf0, 0x10000}
	};

	if (*p < 0x80)
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		unsigned c = *p & (unsigned char)~forms[i].mask;

		if ((*p & forms[i].mask) != forms[i].lead)
			continue;
		if (left < i + 2)
			return 0;
		for (size_t j = 1; j < i + 2; j++) {
			if ((p[j] & 0xc0) != 0x80)
				return 0;
			c = c << 6 | (p[j] & 0x3f);
		}
		/* U+0080 to U+009F are control characters too. */
		if (c < forms[i].min || c < 0xa0 || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
			return 0;
		return i + 2;
	}
	return 0;
}

bool pki_name_is_valid(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;

	if (n == 0 || n > PKI_NAME_MAX || s[0] == ' ' || s[n - 1] == ' ')
		return false;
	for (size_t i = 0; i < n;) {
		size_t step = p[i] < ' ' || p[i] == 0x7f ? 0 : utf8_length(p + i, n - i);

		if (step == 0)
			return false;
		i += step;
	}
	return true;
}

/*
 * Read here and not by GnuTLS, which gives a value that it does not like (with a NUL in it) as "#"
 * and hexadecimal: a name like another.
 */
char *dn_value_decode(const unsigned char *der, size_t n)
{
	enum { UTF8_STRING = 0x0c, PRINTABLE_STRING = 0x13, IA5_STRING = 0x16, LONG_FORM = 0x81 };
	size_t head = n > 2 && der[1] == LONG_FORM ? 3 : 2;

	if (n <= head || der[head - 1] != n - head || (head == 2 && der[1] >= 0x80))
		return NULL;
	if (der[0] != UTF8_STRING && der[0] != PRINTABLE_STRING && der[0] != IA5_STRING)
		return NULL;
	if (!pki_name_is_valid((const char *)der + head, n - head))
		return NULL;
	return xstrndup((const char *)der + head, n - head);
}

char *datum_take(gnutls_datum_t *d)
{
	char *text = xmemdup(d->data, d->size);

	gnutls_memset(d->data, 0, d->size);
	datum_free(d);
	return text;
}

int pki_error(Error *err, int gnutls_rc, const char *what)
{
	return error_set(err, ERR_INVALID, "%s: %s", what, gnutls_strerror(gnutls_rc));
}

char *pki_secret_free(char *s)
{
	if (s)
		gnutls_memset(s, 0, strlen(s));
	free(s);
	return NULL;
}
