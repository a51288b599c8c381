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
