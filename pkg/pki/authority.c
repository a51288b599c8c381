/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authority: the CA's files, and what it signs. See authority.h.
 */
#include <errno.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/random.h"
#include "pki/authority_internal.h"

#define CA_CERTIFICATE     "ca.crt"
#define CA_KEY             "ca.key"
#define SERVER_CERTIFICATE "server.crt"

/* ---- files ---- */

char *authority_path(const char *dir, const char *file)
{
	return xasprintf("%s/%s", dir, file);
}

int authority_read(const char *dir, const char *file, char **ret, Error *err)
{
	_cleanup_(xfreep) char *path = authority_path(dir, file);

	return fs_read(path, PKI_PEM_MAX, ret, NULL, err);
}

int authority_write(const char *dir, const char *file, const char *pem, Error *err)
{
	_cleanup_(xfreep) char *path = authority_path(dir, file);

	return fs_write_atomic(path, pem, strlen(pem), 0600, true, err);
}

static int make_dir(const char *dir, Error *err)
{
	int rc = fs_mkdir_p(dir, 0700, err);

	if (rc == 0 && chmod(dir, 0700) < 0)
		rc = error_set_errno(err, errno, "%s: set its mode", dir);
	return rc;
}

/* ---- signing ---- */

/* UTCTime ends in 2049; later times are GeneralizedTime, which GnuTLS chooses by itself. */
static time_t seconds(usec_t t)
{
	return (time_t)(t / USEC_PER_SEC);
}

static int set_key_ids(gnutls_x509_crt_t crt, gnutls_x509_crt_t issuer)
{
	unsigned char id[20];
	size_t n = sizeof(id);
	int rc = gnutls_x509_crt_get_key_id(crt, 0, id, &n);

	if (rc == 0)
		rc = gnutls_x509_crt_set_subject_key_id(crt, id, n);
	n = sizeof(id);
	if (rc == 0)
		rc = gnutls_x509_crt_get_key_id(issuer, 0, id, &n);
	return rc < 0 ? rc : gnutls_x509_crt_set_authority_key_id(crt, id, n);
}

static int seal(gnutls_x509_crt_t crt, gnutls_x509_crt_t issuer, gnutls_x509_privkey_t key,
		usec_t from, usec_t to, Error *err)
{
	int rc = gnutls_x509_crt_set_version(crt, 3);

	certificate_set_serial(crt);
	if (rc == 0)
		rc = gnutls_x509_crt_set_activation_time(crt, seconds(from));
	if (rc == 0)
		rc = gnutls_x509_crt_set_expiration_time(crt, seconds(to));
	if (rc == 0)
		rc = set_key_ids(crt, issuer);
	if (rc == 0)
		rc = gnutls_x509_crt_sign2(crt, issuer, key, GNUTLS_DIG_SHA256, 0);
	return rc < 0 ? pki_error(err, rc, "sign a certificate") : 0;
}

int authority_seal(Authority *a, gnutls_x509_crt_t crt, usec_t from, usec_t to, Error *err)
{
	return seal(crt, a->ca, a->ca_key, from, MIN(to, a->ca_not_after), err);
}

static char *export_pem(gnutls_x509_crt_t crt)
{
	gnutls_datum_t out = { 0 };
	int rc = gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &out);

	assert(rc == 0);
	return datum_take(&out);
}

/* ---- the CA itself ---- */

/* "sfd CA web-host 3f9a2c": two installations are told apart by whoever reads it. */
static int set_ca_name(Authority *a, gnutls_x509_crt_t crt)
{
	_cleanup_(xfreep) char *name = NULL;
	uint8_t mark[3];
	char hex[7];

	random_bytes(mark, sizeof(mark));
	hex_encode(mark, sizeof(mark), hex);
	/* X.520 allows 64 characters. */
	name = xasprintf("sfd CA %.40s %s", a->name, hex);
	return gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, name,
					     (unsigned)strlen(name));
}

static int ca_certificate_make(Authority *a, const char *key_pem, char **ret, Error *err)
{
	_cleanup_(gnutls_x509_privkey_deinitp) gnutls_x509_privkey_t key = NULL;
	_cleanup_(gnutls_x509_crt_deinitp) gnutls_x509_crt_t crt = NULL;
	usec_t now = clock_wall(a->clock);
	int rc = key_load(key_pem, &key, err);

	if (rc < 0)
		return rc;
	rc = gnutls_x509_crt_init(&crt);
	assert(rc == 0);
	rc = set_ca_name(a, crt);
	if (rc == 0)
		rc = gnutls_x509_crt_set_key(crt, key);
	if (rc == 0) /* signs no other CA */
		rc = gnutls_x509_crt_set_basic_constraints(crt, 1, 0);
	if (rc == 0)
		rc = gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_KEY_CERT_SIGN |
								GNUTLS_KEY_CRL_SIGN |
								GNUTLS_KEY_DIGITAL_SIGNATURE);
	if (rc < 0)
		return pki_error(err, rc, "make a CA");
	rc = seal(crt, crt, key, now - MIN(now, PKI_CLOCK_SKEW), now + CA_LIFE, err);
	if (rc == 0)
		*ret = export_pem(crt);
	return rc;
}

/* The key first: a crash in between leaves a key, and the next start makes its certificate. */
static int ca_make(Authority *a, char **ret_key, char **ret_certificate, Error *err)
{
	_cleanup_(pki_secret_freep) char *key = *ret_key ? xstrdup(*ret_key) : pki_key_new();
	_cleanup_(xfreep) char *certificate = NULL;
	int rc = 0;

	if (!*ret_key)
		rc = authority_write(a->dir, CA_KEY, key, err);
	if (rc == 0)
		rc = ca_certificate_make(a, key, &certificate, err);
	if (rc == 0)
		rc = authority_write(a->dir, CA_CERTIFICATE, certificate, err);
	if (rc < 0)
		return rc;
	pki_secret_free(*ret_key);
	*ret_key = TAKE_PTR(key);
	*ret_certificate = TAKE_PTR(certificate);
	return 0;
}

static int ca_check(const char *dir, const char *certificate, const char *key, usec_t wall,
		    usec_t *ret_not_after, Error *err)
{
	PkiCertificate c = { 0 };
	char at[TIMESTAMP_MAX];
	usec_t not_after;
	bool is_ca;
	int rc = pki_certificate_read(certificate, &c, err);

	if (rc < 0)
		return error_wrap_rc(err, rc,
				     "%s/" CA_CERTIFICATE " is broken: put it back from a backup, "
				     "or remove %s to begin anew (every kubeconfig must then be "
				     "made again)",
				     dir, dir);
	is_ca = c.is_ca;
	not_after = c.not_after;
	pki_certificate_done(&c);
	if (!is_ca)
		return error_set(err, ERR_INVALID,
				 "%s/" CA_CERTIFICATE " is no CA's certificate: put the right one "
				 "back from a backup",
				 dir);
	rc = pki_pair_check(certificate, key, err);
	if (rc == -ERR_CONFLICT)
		return error_set(err, ERR_CONFLICT,
				 "%s/" CA_KEY " is not the key of " CA_CERTIFICATE
				 ": put the pair back from one backup",
				 dir);
	if (rc < 0)
		return error_wrap_rc(err, rc,
				     "%s/" CA_KEY " is broken: put it back from a backup, or "
				     "remove %s to begin anew (every kubeconfig must then be made "
				     "again)",
				     dir, dir);
	if (wall > not_after)
		return error_set(err, ERR_INVALID,
				 "%s/" CA_CERTIFICATE " expired at %s: remove %s to begin anew "
				 "(every kubeconfig must then be made again)",
				 dir, timestamp_format(not_after, at), dir);
	*ret_not_after = not_after;
	return 0;
}

static int read_optional(const char *dir, const char *file, char **ret, Error *err)
{
	int rc = authority_read(dir, file, ret, err);

	return rc == -ERR_NOT_FOUND ? error_ignore(err) : rc;
}

static int ca_open(Authority *a, Error *err)
{
	_cleanup_(pki_secret_freep) char *key = NULL;
	int rc = read_optional(a->dir, CA_KEY, &key, err);

	if (rc == 0)
		rc = read_optional(a->dir, CA_CERTIFICATE, &a->ca_pem, err);
	if (rc < 0)
		return rc;
	if (a->ca_pem && !key)
		return error_set(err, ERR_NOT_FOUND,
				 "%s/" CA_CERTIFICATE " is there but " CA_KEY
				 " is missing: put it back from a backup, or remove %s to begin "
				 "anew (every kubeconfig must then be made again)",
				 a->dir, a->dir);
	if (!a->ca_pem)
		rc = ca_make(a, &key, &a->ca_pem, err);
	if (rc == 0)
		rc = ca_check(a->dir, a->ca_pem, key, clock_wall(a->clock), &a->ca_not_after, err);
	if (rc == 0)
		rc = certificate_load(a->ca_pem, &a->ca, err);
	return rc < 0 ? rc : key_load(key, &a->ca_key, err);
}

int authority_open(const AuthorityOptions *options, Authority **ret, Error *err)
{
	_cleanup_(authority_freep) Authority *a = xnew0(Authority, 1);
	int rc;

	a->clock = options->clock ? options->clock : clock_system();
	a->dir = xstrdup(options->dir);
	a->name = xstrdup(options->name ? options->name : "sfd");
	a->extra_names = strv_copy(options->names);
	pthread_mutex_init(&a->lock, NULL);
	rc = make_dir(a->dir, err);
	if (rc == 0)
		fs_drop_temporary(a->dir);
	if (rc == 0)
		rc = ca_open(a, err);
	if (rc == 0)
		rc = serving_open(a, err);
	if (rc < 0)
		return rc;
	*ret = TAKE_PTR(a);
	return 0;
}

Authority *authority_free(Authority *a)
{
	if (!a)
		return NULL;
	serving_free_all(a);
	if (a->ca)
		gnutls_x509_crt_deinit(a->ca);
	if (a->ca_key)
		gnutls_x509_privkey_deinit(a->ca_key);
	pthread_mutex_destroy(&a->lock);
	strv_free(a->extra_names);
	free(a->ca_pem);
	free(a->name);
	free(a->dir);
	free(a);
	return NULL;
}

const char *authority_ca(const Authority *a)
{
	return a->ca_pem;
}

usec_t authority_ca_not_after(const Authority *a)
{
	return a->ca_not_after;
}

/* ---- clients ---- */

void issued_done(Issued *i)
{
	free(i->certificate);
	*i = (Issued){ 0 };
}

static int set_client_subject(gnutls_x509_crt_t crt, const char *user, char *const *groups,
			      size_t n_groups)
{
	int rc = gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, user,
					       (unsigned)strlen(user));

	for (size_t i = 0; rc == 0 && i < n_groups; i++)
		rc = gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_ORGANIZATION_NAME, 0,
						   groups[i], (unsigned)strlen(groups[i]));
	if (rc == 0)
		rc = gnutls_x509_crt_set_basic_constraints(crt, 0, -1);
	if (rc == 0)
		rc = gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE);
	return rc < 0 ? rc : gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_CLIENT, 0);
}

/* A certificate with the request's key, and nothing else of it. */
static int certificate_for(const char *request_pem, gnutls_x509_crt_t *ret)
{
	_cleanup_(gnutls_x509_crt_deinitp) gnutls_x509_crt_t crt = NULL;
	_cleanup_(gnutls_x509_crq_deinitp) gnutls_x509_crq_t crq = NULL;
	_cleanup_(gnutls_pubkey_deinitp) gnutls_pubkey_t key = NULL;
	gnutls_datum_t in = datum_of(request_pem);
	int rc = gnutls_x509_crq_init(&crq);

	if (rc == 0)
		rc = gnutls_x509_crq_import(crq, &in, GNUTLS_X509_FMT_PEM);
	if (rc == 0)
		rc = gnutls_pubkey_init(&key);
	if (rc == 0)
		rc = gnutls_pubkey_import_x509_crq(key, crq, 0);
	if (rc == 0)
		rc = gnutls_x509_crt_init(&crt);
	if (rc == 0)
		rc = gnutls_x509_crt_set_pubkey(crt, key);
	if (rc == 0)
		*ret = TAKE_PTR(crt);
	return rc;
}

int authority_sign(Authority *a, const char *request_pem, const char *user, char *const *groups,
		   size_t n_groups, usec_t not_after, Issued *ret, Error *err)
{
	_cleanup_(gnutls_x509_crt_deinitp) gnutls_x509_crt_t crt = NULL;
	_cleanup_(xfreep) char *asked = NULL;
	usec_t now = clock_wall(a->clock);
	PkiCertificate made = { 0 };
	int rc = pki_request_check(request_pem, &asked, err);

	if (rc < 0)
		return error_wrap_rc(err, rc, "request");
	rc = certificate_for(request_pem, &crt);
	if (rc == 0)
		rc = set_client_subject(crt, user, groups, n_groups);
	if (rc < 0)
		return pki_error(err, rc, "make a certificate");
	rc = authority_seal(a, crt, now - MIN(now, PKI_CLOCK_SKEW), not_after, err);
	if (rc == 0)
		rc = certificate_describe(crt, &made, err);
	if (rc < 0)
		return rc;
	*ret = (Issued){ .certificate = export_pem(crt), .not_after = made.not_after };
	memcpy(ret->serial, made.serial, sizeof(ret->serial));
	pki_certificate_done(&made);
	return 0;
}

static int check_client(Authority *a, const PkiCertificate *c, Error *err)
{
	usec_t now = clock_wall(a->clock);

	if (now < c->not_before)
		return error_set(err, ERR_FORBIDDEN, "it is not valid yet");
	if (now > c->not_after)
		return error_set(err, ERR_FORBIDDEN, "it has expired");
	if (c->is_ca || !c->for_client)
		return error_set(err, ERR_FORBIDDEN, "it is not for clients");
	if (!c->user)
		return error_set(err, ERR_FORBIDDEN, "it names no user, or more than one");
	return 0;
}

int authority_check_client(Authority *a, const void *der, size_t n, PkiCertificate *ret, Error *err)
{
	_cleanup_(gnutls_x509_crt_deinitp) gnutls_x509_crt_t crt = NULL;
	gnutls_datum_t in = { .data = (unsigned char *)der, .size = (unsigned)n };
	PkiCertificate c = { 0 };
	unsigned status = 0;
	int rc;

	if (n > PKI_PEM_MAX)
		return error_set(err, ERR_FORBIDDEN, "it is too long");
	rc = gnutls_x509_crt_init(&crt);
	assert(rc == 0);
	if (gnutls_x509_crt_import(crt, &in, GNUTLS_X509_FMT_DER) < 0)
		return error_set(err, ERR_FORBIDDEN, "it cannot be read");
	rc = gnutls_x509_crt_verify(crt, &a->ca, 1,
				    GNUTLS_VERIFY_DISABLE_TIME_CHECKS |
					    GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS,
				    &status);
	if (rc < 0 || status != 0)
		return error_set(err, ERR_FORBIDDEN, "it is not signed by this server's CA");
	if (certificate_describe(crt, &c, err) < 0)
		return -ERR_FORBIDDEN;
	rc = check_client(a, &c, err);
	if (rc < 0)
		pki_certificate_done(&c);
	else
		*ret = c;
	return rc;
}

/* ---- for the doctor ---- */

int authority_inspect(const char *dir, usec_t wall, usec_t *ret_ca, usec_t *ret_server, Error *err)
{
	_cleanup_(xfreep) char *certificate = NULL, *server = NULL;
	_cleanup_(pki_secret_freep) char *key = NULL;
	PkiCertificate c = { 0 };
	usec_t ca;
	int rc = authority_read(dir, CA_CERTIFICATE, &certificate, err);

	if (rc == 0)
		rc = authority_read(dir, CA_KEY, &key, err);
	if (rc == 0)
		rc = ca_check(dir, certificate, key, wall, &ca, err);
	if (rc == 0)
		rc = authority_read(dir, SERVER_CERTIFICATE, &server, err);
	if (rc == 0)
		rc = error_wrap_rc(err, pki_certificate_read(server, &c, err), "%s/%s", dir,
				   SERVER_CERTIFICATE);
	if (rc < 0)
		return rc;
	*ret_ca = ca;
	*ret_server = c.not_after;
	pki_certificate_done(&c);
	return 0;
}
