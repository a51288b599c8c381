/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authority: the certificate authority of one cluster, with its files, and the server's own
 * certificate, which it makes and renews.
 *
 * In the folder are ca.crt and ca.key, made at the first start and never again, and server.crt and
 * server.key, made anew whenever they have to be; all 0600. The server's certificate holds every
 * name and address this host has, and is renewed when two thirds of its life are over or when
 * somebody connects to an address it does not hold: both are seen at a handshake, so that neither
 * needs a timer, a restart, or a clock that never jumped.
 *
 * Threads: all functions, any thread; one mutex, a leaf, held while a certificate is signed and
 * written. An Authority outlives every connection that uses it.
 */
#pragma once

#include "base/ip.h"
#include "pki/pki.h"

typedef struct Authority Authority;

typedef struct AuthorityOptions {
	const char *dir;    /* is made if it is missing */
	Clock *clock;       /* NULL = the system's */
	const char *name;   /* of this machine: part of the CA's name */
	char *const *names; /* strv of further DNS names and addresses of the server; may be NULL */
} AuthorityOptions;

/*
 * Reads the CA, or makes it if there is none, and makes sure of the server's certificate. What is
 * there and cannot be used is an error that names the file and what to do; nothing is overwritten
 * then.
 */
int authority_open(const AuthorityOptions *options, Authority **ret, Error *err);
Authority *authority_free(Authority *a);
DEFINE_CLEANUP(Authority *, authority_free)

/* The CA's certificate, PEM. Borrowed. */
const char *authority_ca(const Authority *a);
usec_t authority_ca_not_after(const Authority *a);

typedef struct Issued {
	char *certificate; /* PEM */
	char serial[PKI_SERIAL_MAX];
	usec_t not_after;
} Issued;
void issued_done(Issued *i);

/*
 * Signs the key of a request for a client called `user` in `groups` (n of them) until not_after, or
 * until the CA itself ends. Subject and extensions of the request are not looked at.
 */
int authority_sign(Authority *a, const char *request_pem, const char *user, char *const *groups,
		   size_t n_groups, usec_t not_after, Issued *ret, Error *err);
/*
 * Is this DER certificate one of a client, signed by this CA, valid now, with one good name? Then
 * *ret is filled in; else -ERR_FORBIDDEN and the text says why, for the log.
 */
int authority_check_client(Authority *a, const void *der, size_t n, PkiCertificate *ret,
			   Error *err);

/* When the server's certificate in use ends. */
usec_t authority_server_not_after(Authority *a);
/*
 * Renews the server's certificate if its time has come or `local` (may be NULL) is missing in it: 1
 * = renewed, 0 = was good. On failure the old one stays in use.
 */
int authority_refresh(Authority *a, const IpAddress *local, Error *err);

/* For sfd --check: reads what is in the folder and changes nothing; -ERR_NOT_FOUND if there is
 * none. Times of end. */
int authority_inspect(const char *dir, usec_t wall, usec_t *ret_ca, usec_t *ret_server, Error *err);
