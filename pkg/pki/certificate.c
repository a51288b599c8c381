/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates, read: who they name, what they are for, until when; and why a client does not
 * accept a server's. See pki.h.
 */
#include <gnutls/x509.h>

#include "base/ip.h"
#include "base/random.h"
#include "base/strbuf.h"
#include "pki/internal.h"

#define NAMES_MAX 1000 /* of one certificate; ours have a few dozen */
#define CHAIN_MAX 16

void pki_certificate_done(PkiCertificate *c)
{
	free(c->subject);
	free(c->issuer);
	free(c->user);
	strv_free(c->groups);
	strv_free(c->names);
	*c = (PkiCertificate){ 0 };
}

void certificate_set_serial(gnutls_x509_crt_t crt)
{
	uint8_t serial[16];
	int rc;

	random_bytes(serial, sizeof(serial));
	/* Positive, and of one length: the first bit 0, the second 1 (RFC 5280, 4.1.2.2). */
	serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x40);
	rc = gnutls_x509_crt_set_serial(crt, serial, sizeof(serial));
	assert(rc == 0);
}

int certificate_load(const char *pem, gnutls_x509_crt_t *ret, Error *err)
{
	_cleanup_(gnutls_x509_crt_deinitp) gnutls_x509_crt_t crt = NULL;
	gnutls_datum_t in = datum_of(pem);
	int rc;

	if (in.size > PKI_PEM_MAX)
		return error_set(err, ERR_INVALID, "the certificate is too long");
	rc = gnutls_x509_crt_init(&crt);
	assert(rc == 0);
	rc = gnutls_x509_crt_import(crt, &in, GNUTLS_X509_FMT_PEM);
	if (rc < 0)
		return pki_error(err, rc, "no certificate in PEM form");
	*ret = TAKE_PTR(crt);
	return 0;
}

static usec_t usec_of(time_t t)
{
	return t > 0 ? (usec_t)t * USEC_PER_SEC : 0;
}

/* NULL unless there is exactly one, and it can be a user's name. */
static char *common_name(gnutls_x509_crt_t crt)
{
	unsigned char value[DN_VALUE_MAX];
	size_t n = sizeof(value), more = 0;

	if (gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 1, value, &n) < 0 ||
	    gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 1, 1, NULL, &more) !=
		    GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
		return NULL;
	return dn_value_decode(value, n);
}

static char **organizations(gnutls_x509_crt_t crt)
{
	unsigned char value[DN_VALUE_MAX];
	char **groups = NULL;

	for (unsigned i = 0; i < PKI_GROUPS_MAX; i++) {
		_cleanup_(xfreep) char *group = NULL;
		size_t n = sizeof(value);
		int rc = gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_ORGANIZATION_NAME, i, 1,
						       value, &n);

		if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		group = rc < 0 ? NULL : dn_value_decode(value, n);
		if (group)
			groups = strv_append(groups, group);
	}
	return groups;
}

static char **alternative_names(gnutls_x509_crt_t crt)
{
	char **names = NULL;

	for (unsigned i = 0; i < NAMES_MAX; i++) {
		unsigned char value[256];
		size_t n = sizeof(value);
		char text[IP_TEXT_MAX];
		IpAddress ip = { 0 };
		int rc = gnutls_x509_crt_get_subject_alt_name(crt, i, value, &n, NULL);

		if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		if (rc == GNUTLS_SAN_DNSNAME && pki_name_is_valid((char *)value, n)) {
			_cleanup_(xfreep) char *name = xstrndup((char *)value, n);

			names = strv_append(names, name);
		} else if (rc == GNUTLS_SAN_IPADDRESS && (n == 4 || n == 16)) {
			ip.family = n == 4 ? AF_INET : AF_INET6;
			memcpy(ip.bytes, value, n);
			names = strv_append(names, ip_format(&ip, text));
		}
	}
	return names;
}

static char *distinguished_name(int (*get)(gnutls_x509_crt_t, gnutls_datum_t *, unsigned),
				gnutls_x509_crt_t crt)
{
	gnutls_datum_t out = { 0 };

	return get(crt, &out, 0) < 0 ? xstrdup("") : datum_take(&out);
}

static bool has_purpose(gnutls_x509_crt_t crt, const char *oid)
{
	return gnutls_x509_crt_check_key_purpose(crt, oid, 0) != 0;
}

int certificate_describe(gnutls_x509_crt_t crt, PkiCertificate *ret, Error *err)
{
	uint8_t serial[(PKI_SERIAL_MAX - 1) / 2];
	size_t n = sizeof(serial);
	unsigned critical;
	int rc = gnutls_x509_crt_get_serial(crt, serial, &n);

	if (rc < 0)
		return pki_error(err, rc, "the certificate has no serial number of ours");
	*ret = (PkiCertificate){
		.subject = distinguished_name(gnutls_x509_crt_get_dn3, crt),
		.issuer = distinguished_name(gnutls_x509_crt_get_issuer_dn3, crt),
		.user = common_name(crt),
		.groups = organizations(crt),
		.names = alternative_names(crt),
		.not_before = usec_of(gnutls_x509_crt_get_activation_time(crt)),
		.not_after = usec_of(gnutls_x509_crt_get_expiration_time(crt)),
		.is_ca = gnutls_x509_crt_get_ca_status(crt, &critical) > 0,
		.for_server = has_purpose(crt, GNUTLS_KP_TLS_WWW_SERVER),
		.for_client = has_purpose(crt, GNUTLS_KP_TLS_WWW_CLIENT),
	};
	hex_encode(serial, n, ret->serial);
	return 0;
}

int pki_certificate_read(const char *pem, PkiCertificate *ret, Error *err)
{
	_cleanup_(gnutls_x509_crt_deinitp) gnutls_x509_crt_t crt = NULL;
	int rc = certificate_load(pem, &crt, err);

	return rc < 0 ? rc : certificate_describe(crt, ret, err);
}

int pki_pair_check(const char *certificate_pem, const char *key_pem, Error *err)
{
	_cleanup_(gnutls_x509_privkey_deinitp) gnutls_x509_privkey_t key = NULL;
	_cleanup_(gnutls_x509_crt_deinitp) gnutls_x509_crt_t crt = NULL;
	uint8_t of_key[64], of_crt[64];
	size_t n = sizeof(of_key), m = sizeof(of_crt);
	int rc = certificate_load(certificate_pem, &crt, err);

	if (rc == 0)
		rc = key_load(key_pem, &key, err);
	if (rc < 0)
		return rc;
	if (gnutls_x509_privkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256, of_key, &n) < 0 ||
	    gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, of_crt, &m) < 0 || n != m ||
	    memcmp(of_key, of_crt, n) != 0)
		return error_set(err, ERR_CONFLICT, "the certificate is not for this key");
	return 0;
}

/* ---- why a server is not trusted ---- */

typedef struct Chain {
	gnutls_x509_crt_t *list;
	unsigned n;
} Chain;

static void chain_done(Chain *c)
{
	for (unsigned i = 0; i < c->n; i++)
		gnutls_x509_crt_deinit(c->list[i]);
	gnutls_free(c->list);
}

static int chain_load(const char *pem, Chain *ret, Error *err)
{
	gnutls_datum_t in = datum_of(pem);
	int rc = gnutls_x509_crt_list_import2(&ret->list, &ret->n, &in, GNUTLS_X509_FMT_PEM, 0);

	if (rc == 0 && (ret->n == 0 || ret->n > CHAIN_MAX))
		rc = GNUTLS_E_CERTIFICATE_ERROR;
	return rc < 0 ? pki_error(err, rc, "certificates") : 0;
}

static int explain_host(gnutls_x509_crt_t leaf, const char *host, Error *err)
{
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT;
	_cleanup_(strv_freep) char **names = NULL;

	if (gnutls_x509_crt_check_hostname2(leaf, host, 0))
		return 0;
	names = alternative_names(leaf);
	strv_foreach (name, names)
		strbuf_addf(&text, "%s%s", text.len ? ", " : "", *name);
	return error_set(err, ERR_FORBIDDEN, "its certificate is not for \"%s\" but for %s", host,
			 text.len ? strbuf_str(&text) : "nobody");
}

static int explain_time(gnutls_x509_crt_t leaf, usec_t wall, Error *err)
{
	usec_t from = usec_of(gnutls_x509_crt_get_activation_time(leaf));
	usec_t to = usec_of(gnutls_x509_crt_get_expiration_time(leaf));
	char a[TIMESTAMP_MAX], b[TIMESTAMP_MAX];

	if (wall < from)
		return error_set(err, ERR_FORBIDDEN,
				 "its certificate is valid from %s on, and here it is %s",
				 timestamp_format(from, a), timestamp_format(wall, b));
	if (wall > to)
		return error_set(err, ERR_FORBIDDEN,
				 "its certificate expired at %s, and here it is %s",
				 timestamp_format(to, a), timestamp_format(wall, b));
	return 0;
}

int pki_server_explain(const char *chain_pem, const char *ca_pem, const char *host, usec_t wall,
		       Error *err)
{
	_cleanup_(chain_done) Chain chain = { 0 };
	gnutls_x509_trust_list_t trust;
	gnutls_datum_t ca;
	unsigned status = 0;
	int rc = chain_load(chain_pem, &chain, err);

	if (rc < 0)
		return rc;
	rc = gnutls_x509_trust_list_init(&trust, 0);
	assert(rc == 0);
	if (ca_pem) {
		ca = datum_of(ca_pem);
		(void)gnutls_x509_trust_list_add_trust_mem(trust, &ca, NULL, GNUTLS_X509_FMT_PEM, 0,
							   0);
	} else {
		(void)gnutls_x509_trust_list_add_system_trust(trust, 0, 0);
	}
	rc = gnutls_x509_trust_list_verify_crt2(trust, chain.list, chain.n, NULL, 0,
						GNUTLS_VERIFY_DISABLE_TIME_CHECKS |
							GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS,
						&status, NULL);
	gnutls_x509_trust_list_deinit(trust, 1);
	if (rc < 0 || status != 0) {
		_cleanup_(xfreep) char *issuer =
			distinguished_name(gnutls_x509_crt_get_issuer_dn3, chain.list[0]);

		return error_set(err, ERR_NOT_FOUND,
				 "its certificate is signed by a CA that is not trusted here: %s",
				 issuer);
	}
	rc = explain_time(chain.list[0], wall, err);
	return rc < 0 ? rc : explain_host(chain.list[0], host, err);
}
