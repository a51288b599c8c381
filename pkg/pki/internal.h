/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this package share: GnuTLS objects with cleanup, PEM in and out, and errors.
 * Private to pkg/pki.
 */
#pragma once

#include <gnutls/abstract.h>
#include <gnutls/x509.h>

#include "base/memory.h"
#include "pki/pki.h"

#define DEFINE_GNUTLS_CLEANUP(type, fn) \
	static inline void fn##p(type *p) \
	{ \
		if (*p) \
			fn(*p); \
	}

DEFINE_GNUTLS_CLEANUP(gnutls_x509_privkey_t, gnutls_x509_privkey_deinit)
DEFINE_GNUTLS_CLEANUP(gnutls_x509_crq_t, gnutls_x509_crq_deinit)
DEFINE_GNUTLS_CLEANUP(gnutls_pubkey_t, gnutls_pubkey_deinit)
DEFINE_GNUTLS_CLEANUP(gnutls_x509_crt_t, gnutls_x509_crt_deinit)

static inline void datum_free(gnutls_datum_t *d)
{
	gnutls_free(d->data);
	*d = (gnutls_datum_t){ 0 };
}

static inline gnutls_datum_t datum_of(const char *s)
{
	return (gnutls_datum_t){ .data = (unsigned char *)s, .size = (unsigned)strlen(s) };
}

/* Takes the text over; NUL-terminated, the caller's. */
char *datum_take(gnutls_datum_t *d);
/* "what: GnuTLS' words", with our code. */
int pki_error(Error *err, int gnutls_rc, const char *what);

#define DN_VALUE_MAX (PKI_NAME_MAX + 4) /* with tag and length */
/* The name in one value of a subject as it is encoded; NULL if it cannot be anybody's. Caller's. */
char *dn_value_decode(const unsigned char *der, size_t n);

int key_load(const char *pem, gnutls_x509_privkey_t *ret, Error *err);
int certificate_load(const char *pem, gnutls_x509_crt_t *ret, Error *err);
/* Our own key sizes and curves, at least. */
int key_strength_check(int algorithm, unsigned bits, Error *err);
int certificate_describe(gnutls_x509_crt_t crt, PkiCertificate *ret, Error *err);
/* Random, positive, 16 bytes; set on the certificate. */
void certificate_set_serial(gnutls_x509_crt_t crt);
