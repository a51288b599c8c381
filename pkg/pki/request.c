/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and certificate requests (PKCS #10). See pki.h.
 */
#include "pki/internal.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192 /* more only costs time, which the client would choose */

char *pki_key_new(void)
{
	_cleanup_(gnutls_x509_privkey_deinitp) gnutls_x509_privkey_t key = NULL;
	gnutls_datum_t out = { 0 };
	int rc = gnutls_x509_privkey_init(&key);

	if (rc == 0)
		rc = gnutls_x509_privkey_generate(
			key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	if (rc == 0)
		rc = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL,
						       GNUTLS_PKCS_PLAIN, &out);
	/* Needs memory and the kernel's random numbers, nothing that could be wrong. */
	assert(rc == 0);
	return datum_take(&out);
}

int key_load(const char *pem, gnutls_x509_privkey_t *ret, Error *err)
{
	_cleanup_(gnutls_x509_privkey_deinitp) gnutls_x509_privkey_t key = NULL;
	gnutls_datum_t in = datum_of(pem);
	int rc;

	if (in.size > PKI_PEM_MAX)
		return error_set(err, ERR_INVALID, "the key is too long");
	rc = gnutls_x509_privkey_init(&key);
	assert(rc == 0);
	rc = gnutls_x509_privkey_import2(key, &in, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (rc < 0)
		return pki_error(err, rc, "no private key in PEM form");
	*ret = TAKE_PTR(key);
	return 0;
}

int key_strength_check(int algorithm, unsigned bits, Error *err)
{
	switch (algorithm) {
	case GNUTLS_PK_RSA:
	case GNUTLS_PK_RSA_PSS:
		if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
			return error_set(err, ERR_INVALID,
					 "an RSA key has %d to %d bits here, not %u", RSA_BITS_MIN,
					 RSA_BITS_MAX, bits);
		return 0;
	case GNUTLS_PK_ECDSA:
		if (bits < 256)
			return error_set(err, ERR_INVALID,
					 "an EC key has 256 bits and more here, not %u", bits);
		return 0;
	case GNUTLS_PK_EDDSA_ED25519:
	case GNUTLS_PK_EDDSA_ED448:
		return 0;
	default:
		return error_set(err, ERR_INVALID,
				 "a key of this kind cannot be used: make an "
				 "ECDSA P-256 key");
	}
}

int pki_request_new(const char *key_pem, const char *user, char *const *groups, char **ret_pem,
		    Error *err)
{
	_cleanup_(gnutls_x509_privkey_deinitp) gnutls_x509_privkey_t key = NULL;
	_cleanup_(gnutls_x509_crq_deinitp) gnutls_x509_crq_t crq = NULL;
	gnutls_datum_t out = { 0 };
	int rc = key_load(key_pem, &key, err);

	if (rc < 0)
		return rc;
	rc = gnutls_x509_crq_init(&crq);
	if (rc == 0)
		rc = gnutls_x509_crq_set_version(crq, 1);
	if (rc == 0)
		rc = gnutls_x509_crq_set_dn_by_oid(crq, GNUTLS_OID_X520_COMMON_NAME, 0, user,
						   (unsigned)strlen(user));
	strv_foreach (g, groups)
		if (rc == 0)
			rc = gnutls_x509_crq_set_dn_by_oid(crq, GNUTLS_OID_X520_ORGANIZATION_NAME,
							   0, *g, (unsigned)strlen(*g));
	if (rc == 0)
		rc = gnutls_x509_crq_set_key(crq, key);
	if (rc == 0)
		rc = gnutls_x509_crq_sign2(crq, key, GNUTLS_DIG_SHA256, 0);
	if (rc == 0)
		rc = gnutls_x509_crq_export2(crq, GNUTLS_X509_FMT_PEM, &out);
	if (rc < 0)
		return pki_error(err, rc, "make a certificate request");
	*ret_pem = datum_take(&out);
	return 0;
}

/* The one common name; NULL is none. */
static int request_user(gnutls_x509_crq_t crq, char **ret, Error *err)
{
	_cleanup_(xfreep) char *name = NULL;
	unsigned char value[DN_VALUE_MAX];
	size_t n = sizeof(value), more = 0;
	int rc = gnutls_x509_crq_get_dn_by_oid(crq, GNUTLS_OID_X520_COMMON_NAME, 0, 1, value, &n);

	if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
		*ret = NULL;
		return 0;
	}
	name = rc < 0 ? NULL : dn_value_decode(value, n);
	if (!name)
		return error_set(err, ERR_INVALID, "its common name cannot be a user's name");
	if (gnutls_x509_crq_get_dn_by_oid(crq, GNUTLS_OID_X520_COMMON_NAME, 1, 1, NULL, &more) !=
	    GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
		return error_set(err, ERR_INVALID, "it has more than one common name");
	*ret = TAKE_PTR(name);
	return 0;
}

int pki_request_check(const char *pem, char **ret_user, Error *err)
{
	_cleanup_(gnutls_x509_crq_deinitp) gnutls_x509_crq_t crq = NULL;
	gnutls_datum_t in = datum_of(pem);
	unsigned bits = 0;
	int rc;

	if (in.size > PKI_PEM_MAX)
		return error_set(err, ERR_INVALID, "it is longer than %u bytes", PKI_PEM_MAX);
	rc = gnutls_x509_crq_init(&crq);
	assert(rc == 0);
	rc = gnutls_x509_crq_import(crq, &in, GNUTLS_X509_FMT_PEM);
	if (rc < 0)
		return pki_error(err, rc,
				 "it is no certificate request in PEM form (-----BEGIN "
				 "CERTIFICATE REQUEST-----)");
	rc = gnutls_x509_crq_get_pk_algorithm(crq, &bits);
	if (rc < 0)
		return pki_error(err, rc, "its key cannot be read");
	/* The strength first: checking the signature of a monstrous key takes its time. */
	rc = key_strength_check(rc, bits, err);
	if (rc < 0)
		return rc;
	rc = gnutls_x509_crq_verify(crq, 0);
	if (rc < 0)
		return pki_error(err, rc, "it is not signed with its own key");
	return request_user(crq, ret_user, err);
}
