/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PKI: keys, certificate requests, certificates and bearer tokens: what identities are made of.
 * GnuTLS is used here, and nowhere else for anything but hashes. Certificates and keys go in and
 * out as PEM text, times are microseconds since 1970 (clock_wall()).
 *
 * The functions of this header are pure but for randomness, and may be called from any thread;
 * authority.h holds the CA with its files, tls.h what is asked of a TLS connection. Input is
 * hostile unless it says otherwise: sizes are bounded, and every name that comes out is text
 * without NUL and control characters.
 */
#pragma once

#include "base/clock.h"
#include "base/error.h"

#define PKI_PEM_MAX    (64u * 1024) /* of one request, certificate or key */
#define PKI_NAME_MAX   253          /* bytes of a user or group name */
#define PKI_GROUPS_MAX 64
#define PKI_SERIAL_MAX 41                 /* 40 hexadecimal digits and NUL */
#define PKI_CLOCK_SKEW (5 * USEC_PER_MIN) /* how much earlier than now a certificate begins */
#define PKI_DAY        (24 * USEC_PER_HOUR)

/* ---- names (names.c) ---- */

/* Can it be the name of a user or group: 1 to PKI_NAME_MAX bytes of UTF-8, no control characters,
 * no space at either end. */
bool pki_name_is_valid(const char *s, size_t n);

/* ---- keys and requests (request.c) ---- */

/* A new ECDSA P-256 key, PKCS #8. The caller wipes it with pki_secret_free(). */
char *pki_key_new(void);
/* Overwrites and frees; NULL is fine. */
char *pki_secret_free(char *s);
DEFINE_CLEANUP(char *, pki_secret_free)

/* A signed PKCS #10 request for that user (CN) and groups (O; strv, may be NULL). */
int pki_request_new(const char *key_pem, const char *user, char *const *groups, char **ret_pem,
		    Error *err);
/*
 * Is it one request, signed by its own key, with a key of sufficient strength (EC of 256 bits and
 * more, Ed25519, RSA of 2048 bits and more)? *ret_user is its common name, NULL if it has none.
 */
int pki_request_check(const char *pem, char **ret_user, Error *err);

/* ---- certificates (certificate.c) ---- */

typedef struct PkiCertificate {
	char *subject, *issuer; /* as people write them: "CN=alice,O=ops" */
	char *user;             /* the common name; NULL unless there is exactly one good one */
	char **groups;          /* organizations; NULL = none */
	char **names;           /* subject alternative names: DNS names and addresses as text */
	char serial[PKI_SERIAL_MAX]; /* lower-case hexadecimal */
	usec_t not_before, not_after;
	bool is_ca, for_server, for_client;
} PkiCertificate;

void pki_certificate_done(PkiCertificate *c);
/* Reads the first certificate of a PEM text. */
int pki_certificate_read(const char *pem, PkiCertificate *ret, Error *err);
/* Do key and certificate belong together? -ERR_CONFLICT if they do not. */
int pki_pair_check(const char *certificate_pem, const char *key_pem, Error *err);
/*
 * Why a server's certificate is not good for a client that knows `ca_pem` (NULL = the system's) and
 * wants to reach `host`: an error that says it, -ERR_NOT_FOUND if it is the CA that is missing; 0
 * if nothing is wrong. chain_pem: leaf first.
 */
int pki_server_explain(const char *chain_pem, const char *ca_pem, const char *host, usec_t wall,
		       Error *err);

/* ---- bearer tokens (bearer.c) ---- */

/*
 * "sfp_", 30 random characters of [0-9A-Za-z], and 6 that are the CRC-32 of those: scanners for
 * leaked secrets find it, and a token that was cut or mistyped is known as such without a look-up.
 */
#define BEARER_PREFIX   "sfp_"
#define BEARER_LENGTH   40
#define BEARER_HASH_MAX 72 /* "sha256:", 64 digits and NUL */

/* Wiped with pki_secret_free(). */
char *bearer_new(void);
bool bearer_is_wellformed(const char *s);
/* "sha256:…": what the server keeps of it. */
const char *bearer_hash(const char *token, char buf[static BEARER_HASH_MAX]);
bool bearer_hash_is_wellformed(const char *s);
/* In a time that does not tell where they differ. */
bool bearer_hash_equal(const char *a, const char *b);
