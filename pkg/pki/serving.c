/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's own certificate: made with every name of this host, renewed in time, handed out at
 * handshakes. See authority.h.
 *
 * The key is made once and kept over renewals, so that there is no moment at which the two files do
 * not belong together. A certificate that was replaced is kept for a while: a handshake that began
 * with it may still be under way.
 */
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>

#include "base/fs.h"
#include "base/ip.h"
#include "base/log.h"
#include "pki/authority_internal.h"
#include "pki/tls.h"

#define CERTIFICATE "server.crt"
#define KEY         "server.key"
#define NAMES_MAX   500

/* ---- names ---- */

static char **names_add(char **names, const char *name)
{
	if (!name || !*name || strv_contains(names, name) || strv_len(names) >= NAMES_MAX)
		return names;
	return strv_append(names, name);
}

static char **names_add_ip(char **names, const IpAddress *ip)
{
	char text[IP_TEXT_MAX];

	return names_add(names, ip_format(ip, text));
}

static bool ip_from_sockaddr(const struct sockaddr *sa, IpAddress *ret)
{
	*ret = (IpAddress){ 0 };
	if (sa && sa->sa_family == AF_INET)
		memcpy(ret->bytes, &((const struct sockaddr_in *)sa)->sin_addr, 4);
	else if (sa && sa->sa_family == AF_INET6)
		memcpy(ret->bytes, &((const struct sockaddr_in6 *)sa)->sin6_addr, 16);
	else
		return false;
	ret->family = sa->sa_family;
	/* IPv4 on a socket of both families. */
	if (ret->family == AF_INET6 && IN6_IS_ADDR_V4MAPPED((struct in6_addr *)ret->bytes)) {
		memmove(ret->bytes, ret->bytes + 12, 4);
		memset(ret->bytes + 4, 0, 12);
		ret->family = AF_INET;
	}
	return true;
}

static bool is_link_local(const IpAddress *ip)
{
	return ip->family == AF_INET6 && ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0x80;
}

/* Those of this host's links that others may connect to; bridges of guests are among them. */
static char **names_add_local(char **names)
{
	struct ifaddrs *list = NULL;
	IpAddress ip;

	if (getifaddrs(&list) < 0)
		return names;
	for (struct ifaddrs *i = list; i; i = i->ifa_next)
		if ((i->ifa_flags & IFF_UP) && ip_from_sockaddr(i->ifa_addr, &ip) &&
		    !is_link_local(&ip))
			names = names_add_ip(names, &ip);
	freeifaddrs(list);
	return names;
}

/* `local`, if given, is what the certificate in use lacks: the names that it has are kept. */
static char **wanted_names(const Authority *a, const IpAddress *local)
{
	char host[HOST_NAME_MAX + 1] = "", *dot;
	char **names = NULL;

	names = names_add(names, "localhost");
	names = names_add(names, "127.0.0.1");
	names = names_add(names, "::1");
	if (gethostname(host, sizeof(host) - 1) == 0) {
		names = names_add(names, host);
		dot = strchr(host, '.');
		if (dot) {
			*dot = '\0';
			names = names_add(names, host);
		}
	}
	names = names_add(names, a->name);
	strv_foreach (n, a->extra_names)
		names = names_add(names, *n);
	names = names_add_local(names);
	if (!local)
		return names;
	names = names_add_ip(names, local);
	strv_foreach (n, a->serving->names)
		names = names_add(names, *n);
	return names;
}

static int set_name(gnutls_x509_crt_t crt, const char *name)
{
	IpAddress ip;

	if (ip_parse(name, &ip, NULL) == 0)
		return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, ip.bytes,
							    ip.family == AF_INET ? 4 : 16,
							    GNUTLS_FSAN_APPEND);
	return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, name,
						    (unsigned)strlen(name), GNUTLS_FSAN_APPEND);
}

/* ---- making ---- */

static void serving_free(Serving *s)
{
	gnutls_pcert_deinit(&s->pcert);
	if (s->key)
		gnutls_privkey_deinit(s->key);
	strv_free(s->names);
	free(s);
}

void serving_free_all(Authority *a)
{
	while (a->serving) {
		Serving *s = a->serving;

		a->serving = s->next;
		serving_free(s);
	}
}

/* Both texts were checked to be a pair. */
static int serving_load(const char *certificate, const char *key, Serving **ret, Error *err)
{
	gnutls_datum_t crt = datum_of(certificate), priv = datum_of(key);
	Serving *s = xnew0(Serving, 1);
	PkiCertificate c = { 0 };
	int rc = pki_certificate_read(certificate, &c, err);

	if (rc == 0) {
		s->names = TAKE_PTR(c.names);
		s->not_before = c.not_before;
		s->not_after = c.not_after;
		rc = gnutls_pcert_import_x509_raw(&s->pcert, &crt, GNUTLS_X509_FMT_PEM, 0);
		if (rc == 0)
			rc = gnutls_privkey_init(&s->key);
		if (rc == 0)
			rc = gnutls_privkey_import_x509_raw(s->key, &priv, GNUTLS_X509_FMT_PEM,
							    NULL, 0);
		if (rc < 0)
			rc = pki_error(err, rc, "load the server's certificate");
	}
	pki_certificate_done(&c);
	if (rc < 0)
		serving_free(s);
	else
		*ret = s;
	return rc;
}

static int certificate_make(Authority *a, const char *key_pem, char *const *names, char **ret,
			    Error *err)
{
	_cleanup_(gnutls_x509_privkey_deinitp) gnutls_x509_privkey_t key = NULL;
	_cleanup_(gnutls_x509_crt_deinitp) gnutls_x509_crt_t crt = NULL;
	usec_t now = clock_wall(a->clock);
	gnutls_datum_t out = { 0 };
	int rc = key_load(key_pem, &key, err);

	if (rc < 0)
		return rc;
	rc = gnutls_x509_crt_init(&crt);
	if (rc == 0)
		rc = gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, "sfd", 3);
	if (rc == 0)
		rc = gnutls_x509_crt_set_key(crt, key);
	if (rc == 0)
		rc = gnutls_x509_crt_set_basic_constraints(crt, 0, -1);
	if (rc == 0)
		rc = gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE);
	if (rc == 0)
		rc = gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_SERVER, 0);
	strv_foreach (name, names)
		if (rc == 0)
			rc = set_name(crt, *name);
	if (rc < 0)
		return pki_error(err, rc, "make the server's certificate");
	rc = authority_seal(a, crt, now - MIN(now, PKI_CLOCK_SKEW), now + SERVER_LIFE, err);
	if (rc == 0)
		rc = gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &out);
	if (rc == 0)
		*ret = datum_take(&out);
	return rc;
}

/* Puts it in front; what is long retired goes. Under the lock, or before there are threads. */
static void serving_use(Authority *a, Serving *fresh)
{
	usec_t now = clock_now(a->clock);

	if (a->serving)
		a->serving->retired = now;
	fresh->next = a->serving;
	a->serving = fresh;
	for (Serving **at = &fresh->next; *at;) {
		Serving *s = *at;

		if (s->retired + RETIRED_AFTER > now) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		serving_free(s);
	}
}

static int serving_make(Authority *a, const char *key, const IpAddress *local, Error *err)
{
	_cleanup_(strv_freep) char **names = wanted_names(a, local);
	_cleanup_(xfreep) char *certificate = NULL;
	Serving *s;
	int rc = certificate_make(a, key, names, &certificate, err);

	if (rc == 0)
		rc = authority_write(a->dir, CERTIFICATE, certificate, err);
	if (rc == 0)
		rc = serving_load(certificate, key, &s, err);
	if (rc == 0)
		serving_use(a, s);
	return rc;
}

/* ---- opening ---- */

static bool is_signed_by(const char *certificate, gnutls_x509_crt_t ca)
{
	_cleanup_(gnutls_x509_crt_deinitp) gnutls_x509_crt_t crt = NULL;
	unsigned status = 0;

	return certificate_load(certificate, &crt, NULL) == 0 &&
	       gnutls_x509_crt_verify(crt, &ca, 1,
				      GNUTLS_VERIFY_DISABLE_TIME_CHECKS |
					      GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS,
				      &status) == 0 &&
	       status == 0;
}

static int key_open(Authority *a, char **ret, Error *err)
{
	_cleanup_(gnutls_x509_privkey_deinitp) gnutls_x509_privkey_t parsed = NULL;
	_cleanup_(pki_secret_freep) char *key = NULL;
	_cleanup_(xfreep) char *path = authority_path(a->dir, CERTIFICATE);
	int rc = authority_read(a->dir, KEY, &key, err);

	if (rc == -ERR_NOT_FOUND) {
		/* A certificate without its key is of no use, and would not fit the next one. */
		error_ignore(err);
		key = pki_key_new();
		rc = fs_unlink(path, err);
		if (rc == 0)
			rc = authority_write(a->dir, KEY, key, err);
	} else if (rc == 0) {
		rc = key_load(key, &parsed, err);
		if (rc < 0)
			return error_wrap_rc(err, rc,
					     "%s/" KEY " is broken: remove it, sfd makes another",
					     a->dir);
	}
	if (rc == 0)
		*ret = TAKE_PTR(key);
	return rc;
}

static int serving_read(Authority *a, const char *key, Error *err)
{
	_cleanup_(xfreep) char *certificate = NULL;
	Serving *s;
	int rc = authority_read(a->dir, CERTIFICATE, &certificate, err);

	if (rc < 0)
		return rc;
	rc = pki_pair_check(certificate, key, err);
	if (rc == -ERR_CONFLICT)
		return error_set(err, ERR_CONFLICT,
				 "%s/" KEY " is not the key of " CERTIFICATE
				 ": remove both, sfd makes others",
				 a->dir);
	if (rc < 0)
		return error_wrap_rc(err, rc,
				     "%s/" CERTIFICATE " is broken: remove it, sfd makes another",
				     a->dir);
	/* After a change of the CA. */
	if (!is_signed_by(certificate, a->ca))
		return error_set(err, ERR_NOT_FOUND, "of another CA");
	rc = serving_load(certificate, key, &s, err);
	if (rc == 0)
		serving_use(a, s);
	return rc;
}

static bool has_names(const Serving *s, char *const *names)
{
	strv_foreach (n, names)
		if (!strv_contains(s->names, *n))
			return false;
	return true;
}

static bool is_due(const Serving *s, usec_t wall)
{
	return wall < s->not_before ||
	       wall >= s->not_before + (s->not_after - s->not_before) / 3 * 2;
}

int serving_open(Authority *a, Error *err)
{
	_cleanup_(strv_freep) char **names = wanted_names(a, NULL);
	_cleanup_(pki_secret_freep) char *key = NULL;
	int rc = key_open(a, &key, err);

	if (rc < 0)
		return rc;
	rc = serving_read(a, key, err);
	if (rc == 0 && !is_due(a->serving, clock_wall(a->clock)) && has_names(a->serving, names))
		return 0;
	if (rc < 0 && rc != -ERR_NOT_FOUND)
		return rc;
	error_ignore(err);
	return serving_make(a, key, NULL, err);
}

/* ---- renewal ---- */

/* All of 127.0.0.0/8 answers, but 127.0.0.1 is the one that is meant. */
static bool holds_address(const Serving *s, const IpAddress *local)
{
	char text[IP_TEXT_MAX];

	return !local || is_link_local(local) ||
	       (local->family == AF_INET && local->bytes[0] == 127) ||
	       strv_contains(s->names, ip_format(local, text));
}

static int refresh_locked(Authority *a, const IpAddress *local, Error *err)
{
	_cleanup_(pki_secret_freep) char *key = NULL;
	usec_t now = clock_now(a->clock);
	int rc;

	if (!is_due(a->serving, clock_wall(a->clock)) && holds_address(a->serving, local))
		return 0;
	if (now < a->pause_until)
		return 0;
	a->pause_until = now + RENEW_PAUSE;
	rc = authority_read(a->dir, KEY, &key, err);
	if (rc == 0)
		rc = serving_make(a, key, holds_address(a->serving, local) ? NULL : local, err);
	return rc < 0 ? error_wrap_rc(err, rc, "renew the server's certificate") : 1;
}

int authority_refresh(Authority *a, const IpAddress *local, Error *err)
{
	int rc;

	pthread_mutex_lock(&a->lock);
	rc = refresh_locked(a, local, err);
	pthread_mutex_unlock(&a->lock);
	return rc;
}

usec_t authority_server_not_after(Authority *a)
{
	usec_t t;

	pthread_mutex_lock(&a->lock);
	t = a->serving->not_after;
	pthread_mutex_unlock(&a->lock);
	return t;
}

/* ---- at a handshake ---- */

static int retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info _unused_,
		    gnutls_pcert_st **pcert, unsigned *n, gnutls_ocsp_data_st **ocsp,
		    unsigned *n_ocsp, gnutls_privkey_t *key, unsigned *flags)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Authority *a = gnutls_db_get_ptr(session);
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	IpAddress local;
	bool known =
		getsockname(gnutls_transport_get_int(session), (struct sockaddr *)&sa, &len) == 0 &&
		ip_from_sockaddr((struct sockaddr *)&sa, &local);

	pthread_mutex_lock(&a->lock);
	if (refresh_locked(a, known ? &local : NULL, &err) < 0)
		log_debug("%s", error_message(&err));
	*pcert = &a->serving->pcert;
	*key = a->serving->key;
	pthread_mutex_unlock(&a->lock);
	*n = 1;
	*ocsp = NULL;
	*n_ocsp = 0;
	*flags = 0; /* they stay ours */
	return 0;
}

TlsRetrieveFn tls_retrieve_function(void)
{
	return (TlsRetrieveFn)retrieve;
}
