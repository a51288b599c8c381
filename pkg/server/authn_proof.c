/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authentication by proof: a bearer token of the request, else the client certificate of its
 * connection, else the word of the kernel, else nobody.
 *
 * A token that is sent decides, on every transport: who shows one means to be its user, and a bad
 * one is always 401. A certificate counts while its Credential exists, so that deleting that is
 * enough; one that is not good is 401 as well, never "anonymous". Headers of front proxies
 * (X-Remote-User and the like) are nothing here. The token's text is wiped from the request's
 * memory as soon as it was hashed. HTTP threads.
 */
#include <strings.h>

#include "base/log.h"
#include "pki/tls.h"
#include "server/internal.h"
#include "server/reply.h"

#define SCHEME "Bearer"

static bool unauthorized(Request *r, const char *why)
{
	atomic_fetch_add(&r->server->counters.logins_failed, 1);
	log_debug("not authenticated: %s", why);
	/* Kubernetes' words; why would help those who guess. */
	reply_failure(r, MHD_HTTP_UNAUTHORIZED, "Unauthorized", NULL, "Unauthorized");
	r->reply.bad_credential = true;
	return false;
}

/*
 * From now on the connection falls with the credential. It may have been revoked since it was
 * looked up, when nobody knew yet that this connection uses it: so look again.
 */
static bool accept_identity(Request *r, Identity *who)
{
	Conn *c = r->conn;

	conn_use(c, who);
	if (who->credential && !credential_is_known(r->server->credentials, who->credential))
		return unauthorized(r, "the credential was revoked");
	r->who = identity_ref(who);
	if (who->credential)
		atomic_fetch_add(&r->server->counters.logins, 1);
	return true;
}

static Identity *identity_from_facts(IdentitySource source, const CredentialFacts *facts)
{
	Identity *who = identity_new(source, facts->user, facts->groups, facts->uid);

	who->expires = facts->expires;
	return who;
}

/* ---- tokens ---- */

/* The text after "Bearer ", or NULL if the header is of another scheme. */
static const char *bearer_text(const char *header)
{
	size_t n = strlen(SCHEME);

	if (!header || strncasecmp(header, SCHEME, n) != 0 || (header[n] && header[n] != ' '))
		return NULL;
	return header + n + strspn(header + n, " ");
}

static bool authenticate_token(Request *r, const char *token)
{
	_cleanup_(credential_facts_done) CredentialFacts facts = { 0 };
	_cleanup_(identity_unrefp) Identity *who = NULL;
	bool wellformed = bearer_is_wellformed(token);
	char hash[BEARER_HASH_MAX];

	bearer_hash(token, hash);
	/* libmicrohttpd's copy, which is ours until the request ends; no other one was made. */
	explicit_bzero((char *)token, strlen(token));
	if (!wellformed)
		return unauthorized(r, "no token of ours");
	if (!credential_find(r->server->credentials, hash, clock_wall(server_clock(r->server)),
			     &facts))
		return unauthorized(r, "a token that is unknown, revoked or expired");
	who = identity_from_facts(IDENTITY_TOKEN, &facts);
	return accept_identity(r, who);
}

/* ---- certificates ---- */

/* Who the connection's certificate makes of its holder; NULL = nobody, and *ret_why says why. */
static Identity *identity_from_certificate(Server *s, const void *der, size_t n, char **ret_why)
{
	_cleanup_(credential_facts_done) CredentialFacts facts = { 0 };
	_cleanup_(error_done) Error err = ERROR_INIT;
	PkiCertificate c = { 0 };
	Identity *who = NULL;

	if (authority_check_client(s->options.authority, der, n, &c, &err) < 0) {
		*ret_why = xasprintf("client certificate: %s", error_message(&err));
		return NULL;
	}
	if (credential_find(s->credentials, c.serial, clock_wall(server_clock(s)), &facts)) {
		/* The certificate says who; the object, for how long. */
		who = identity_new(IDENTITY_CERTIFICATE, c.user, c.groups, facts.uid);
		who->expires = MIN(facts.expires, c.not_after);
	} else {
		*ret_why = xasprintf("client certificate %s of %s: revoked or never issued",
				     c.serial, c.user);
	}
	pki_certificate_done(&c);
	return who;
}

/* Once per connection: what it was opened with does not change. */
static bool authenticate_connection(Request *r)
{
	_cleanup_(xfreep) char *why = NULL;
	Conn *c = r->conn;
	const void *der;
	size_t n = 0;

	if (!c->who) {
		der = tls_session_peer(c->tls, &n);
		c->who = der ? identity_from_certificate(r->server, der, n, &why)
			     : identity_ref(r->server->anonymous);
	}
	if (!c->who)
		return unauthorized(r, why);
	if (c->who->expires && clock_wall(server_clock(r->server)) >= c->who->expires)
		return unauthorized(r, "the client certificate has expired");
	return accept_identity(r, c->who);
}

bool request_authenticate(Request *r)
{
	const char *token = bearer_text(request_header(r, MHD_HTTP_HEADER_AUTHORIZATION));

	if (token)
		return authenticate_token(r, token);
	return authenticate_connection(r);
}
