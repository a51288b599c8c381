/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS of a client: what it shows, whom it believes, and why it does not.
 *
 * libcurl's GnuTLS flavour (7.88) takes certificates and keys from files only, so they become files
 * in memory: nothing touches a disk.
 */
#include <errno.h>
#include <sys/mman.h>

#include "base/fs.h"
#include "base/memory.h"
#include "client/internal.h"
#include "pki/pki.h"

#define FD_PATH_MAX 32

static int memory_file(const char *name, const char *text, int *ret, Error *err)
{
	_cleanup_(fd_closep) int fd = -1;
	int rc;

	if (!text)
		return 0;
	fd = memfd_create(name, MFD_CLOEXEC);
	if (fd < 0)
		return error_set_errno(err, errno, "memfd_create");
	rc = fs_write_all(fd, text, strlen(text), err);
	if (rc == 0)
		*ret = TAKE_FD(fd);
	return rc;
}

static bool is_loopback_name(const char *host)
{
	return streq(host, "localhost") || streq(host, "::1") || str_has_prefix(host, "127.");
}

static int check_certificate(const Client *c, Error *err)
{
	usec_t now = clock_wall(clock_system());
	PkiCertificate cert = { 0 };
	char at[TIMESTAMP_MAX];
	int rc = 0;

	if (!c->certificate && !c->key)
		return 0;
	if (!c->certificate || !c->key)
		return error_set(err, ERR_INVALID,
				 "a client certificate and its key go together; there is no %s",
				 c->certificate ? "key" : "certificate");
	rc = pki_pair_check(c->certificate, c->key, err);
	if (rc == 0)
		rc = pki_certificate_read(c->certificate, &cert, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "client certificate");
	if (now > cert.not_after)
		rc = error_set(err, ERR_FORBIDDEN,
			       "the client certificate of \"%s\" expired at %s: get another with "
			       "sfctl kubeconfig on the server",
			       cert.subject, timestamp_format(cert.not_after, at));
	pki_certificate_done(&cert);
	return rc;
}

static int check_token(const Client *c, Error *err)
{
	if (!c->token)
		return 0;
	for (const char *p = c->token; *p; p++)
		if (*p <= ' ' || (unsigned char)*p >= 0x7f)
			return error_set(err, ERR_INVALID,
					 "the token has a character that no token has");
	if (!c->tls && !c->unix_path && !is_loopback_name(c->host))
		return error_set(err, ERR_INVALID,
				 "server '%s': a token is not sent to other hosts over plain HTTP: "
				 "use https",
				 c->server);
	return 0;
}

/* The name is what is asked for and verified, the host where it is reached. */
static void redirect(Client *c, const char *name)
{
	_cleanup_(xfreep) char *to =
		xasprintf(strchr(c->host, ':') ? "::[%s]:%s" : "::%s:%s", c->host, c->port);

	c->tls_name = xstrdup(name);
	c->connect_to = curl_slist_append(NULL, to);
	assert(c->connect_to);
	free(c->base);
	c->base = xasprintf(strchr(name, ':') ? "https://[%s]:%s" : "https://%s:%s", name, c->port);
}

int client_secure(Client *c, const ClientOptions *o, Error *err)
{
	int rc;

	c->token = xstrdup(o->token);
	rc = check_token(c, err);
	if (rc < 0 || !c->tls)
		return rc;
	c->ca = xstrdup(o->ca);
	c->certificate = xstrdup(o->certificate);
	c->key = xstrdup(o->key);
	c->insecure = o->insecure;
	if (o->server_name)
		redirect(c, o->server_name);
	rc = check_certificate(c, err);
	if (rc == 0)
		rc = memory_file("ca", c->ca, &c->ca_fd, err);
	if (rc == 0)
		rc = memory_file("certificate", c->certificate, &c->certificate_fd, err);
	if (rc == 0)
		rc = memory_file("key", c->key, &c->key_fd, err);
	return rc;
}

void client_secure_done(Client *c)
{
	fd_close(c->ca_fd);
	fd_close(c->certificate_fd);
	fd_close(c->key_fd);
	curl_slist_free_all(c->connect_to);
	free(c->tls_name);
	free(c->ca);
	free(c->certificate);
	pki_secret_free(c->key);
	pki_secret_free(c->token);
}

static void set_file(CURL *h, CURLoption option, int fd)
{
	char path[FD_PATH_MAX];

	if (fd < 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	curl_easy_setopt(h, option, path);
}

void client_secure_setup(Client *c, CURL *h)
{
	curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, c->tls ? "https" : "http");
	if (!c->tls) {
		curl_easy_setopt(h, CURLOPT_NOPROXY, "*");
		return;
	}
	curl_easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	if (c->connect_to)
		curl_easy_setopt(h, CURLOPT_CONNECT_TO, c->connect_to);
	if (c->ca) {
		curl_easy_setopt(h, CURLOPT_CAPATH, NULL);
		set_file(h, CURLOPT_CAINFO, c->ca_fd);
	}
	set_file(h, CURLOPT_SSLCERT, c->certificate_fd);
	set_file(h, CURLOPT_SSLKEY, c->key_fd);
	if (c->insecure) {
		curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 0L);
	}
}

/* The chain that the server shows, whatever it is worth. Caller frees; NULL = could not be had. */
static char *fetch_chain(Client *c)
{
	_cleanup_(strbuf_done) StrBuf chain = STRBUF_INIT_MAX(PKI_PEM_MAX);
	struct curl_certinfo *info = NULL;
	CURL *h = curl_easy_init();

	if (!h)
		return NULL;
	client_secure_setup(c, h);
	curl_easy_setopt(h, CURLOPT_URL, c->base);
	curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 0L);
	curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 0L);
	curl_easy_setopt(h, CURLOPT_SSLCERT, NULL);
	curl_easy_setopt(h, CURLOPT_SSLKEY, NULL);
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h, CURLOPT_CERTINFO, 1L);
	curl_easy_setopt(h, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)(CLIENT_CONNECT_MAX / USEC_PER_MSEC));
	if (curl_easy_perform(h) == CURLE_OK &&
	    curl_easy_getinfo(h, CURLINFO_CERTINFO, &info) == CURLE_OK && info)
		for (int i = 0; i < info->num_of_certs; i++)
			for (const struct curl_slist *l = info->certinfo[i]; l; l = l->next)
				if (str_has_prefix(l->data, "Cert:"))
					strbuf_addf(&chain, "%s\n", l->data + strlen("Cert:"));
	curl_easy_cleanup(h);
	return chain.len && !chain.overflow ? strbuf_take(&chain) : NULL;
}

int client_explain_tls(Client *c, const char *text, Error *err)
{
	_cleanup_(error_done) Error why = ERROR_INIT;
	_cleanup_(xfreep) char *chain = fetch_chain(c);
	int rc = 0;

	if (chain)
		rc = pki_server_explain(chain, c->ca, c->tls_name ? c->tls_name : c->host,
					clock_wall(clock_system()), &why);
	if (rc < 0)
		text = error_message(&why);
	return error_set(
		err, ERR_UNAVAILABLE, "sfd at %s is not to be trusted: %s%s", c->server, text,
		rc != -ERR_NOT_FOUND ? ""
				     : "\nOn its host:  sudo sfctl certificates ca >ca.crt\n"
				       "Here:         sfctl --certificate-authority ca.crt …");
}
