/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base64 by GnuTLS. See base64.h.
 */
#include "base/base64.h"

#include <gnutls/gnutls.h>

#include "base/memory.h"

int base64_decode(const char *text, char **ret, size_t *ret_len, Error *err)
{
	const gnutls_datum_t in = { .data = (unsigned char *)text, .size = (unsigned)strlen(text) };
	gnutls_datum_t out = { 0 };

	/* GnuTLS takes an empty text for an error. */
	if (in.size && gnutls_base64_decode2(&in, &out) < 0)
		return error_set(err, ERR_INVALID, "not base64");
	*ret = xmemdup(out.data, out.size);
	if (ret_len)
		*ret_len = out.size;
	gnutls_free(out.data);
	return 0;
}

char *base64_encode(const void *p, size_t n)
{
	const gnutls_datum_t in = { .data = (unsigned char *)p, .size = (unsigned)n };
	gnutls_datum_t out = { 0 };
	char *text;
	int rc = n ? gnutls_base64_encode2(&in, &out) : 0;

	assert(rc == 0);
	text = xmemdup(out.data, out.size);
	gnutls_free(out.data);
	return text;
}

int base64url_decode(const char *text, char **ret, size_t *ret_len, Error *err)
{
	size_t n = strlen(text), padded = (n + 3) / 4 * 4;
	_cleanup_(xfreep) char *plain = xmalloc(padded + 1);

	for (size_t i = 0; i < padded; i++) {
		char c = i < n ? text[i] : '=';

		if (c == '+' || c == '/' || (c == '=' && i < n))
			return error_set(err, ERR_INVALID, "not base64url");
		plain[i] = c == '-' ? '+' : c == '_' ? '/' : c;
	}
	plain[padded] = '\0';
	return base64_decode(plain, ret, ret_len, err);
}

char *base64url_encode(const void *p, size_t n)
{
	char *text = base64_encode(p, n);
	char *end = text;

	for (; *end && *end != '='; end++)
		*end = *end == '+' ? '-' : *end == '/' ? '_' : *end;
	*end = '\0';
	return text;
}
