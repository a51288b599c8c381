/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two halves of an Authority share: authority.c (the CA) and serving.c (the server's own
 * certificate). Private to pkg/pki.
 */
#pragma once

#include <pthread.h>

#include "pki/authority.h"
#include "pki/internal.h"

#define CA_LIFE       (3650 * PKI_DAY)
#define SERVER_LIFE   (365 * PKI_DAY)
#define RETIRED_AFTER USEC_PER_HOUR /* a handshake is over long before */
#define RENEW_PAUSE \
	USEC_PER_MIN /* between two renewals for addresses' sake, and after one that failed */

/* One certificate with its key as GnuTLS hands it out in a handshake. */
typedef struct Serving {
	struct Serving *next;
	gnutls_pcert_st pcert;
	gnutls_privkey_t key;
	char **names;
	usec_t not_before, not_after;
	usec_t retired; /* monotonic */
} Serving;

struct Authority {
	Clock *clock;
	char *dir, *name;
	char **extra_names;
	char *ca_pem;
	gnutls_x509_crt_t ca;
	gnutls_x509_privkey_t ca_key;
	usec_t ca_not_after;
	pthread_mutex_t lock;
	Serving *serving; /* the one in use; after it those that a handshake may still hold */
	usec_t pause_until;
};

char *authority_path(const char *dir, const char *file);
/* Reads a file of the folder; the error names it. */
int authority_read(const char *dir, const char *file, char **ret, Error *err);
int authority_write(const char *dir, const char *file, const char *pem, Error *err);
/* Sets times, serial and issuer's data and signs with the CA. */
int authority_seal(Authority *a, gnutls_x509_crt_t crt, usec_t from, usec_t to, Error *err);

/* serving.c: the certificate on disk if it is good, a new one if there is none or its time is over.
 */
int serving_open(Authority *a, Error *err);
void serving_free_all(Authority *a);
