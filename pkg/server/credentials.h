/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CredentialCache: which certificates and tokens are good at this moment, looked up by serial
 * number or hash. Kept right by a watch of the store: a credential that is deleted is gone from
 * here, and its connections cut, before whoever deleted it has an answer.
 *
 * Threads: look-ups on any; changes on the store's writer. One mutex, a leaf, never held while
 * calling out.
 */
#pragma once

#include "base/clock.h"
#include "base/memory.h"
#include "store/store.h"

typedef struct CredentialCache CredentialCache;

/* What a good credential says. The strings are the caller's copies. */
typedef struct CredentialFacts {
	char *uid, *user;
	char **groups;
	usec_t expires; /* wall clock */
} CredentialFacts;
void credential_facts_done(CredentialFacts *f);

/* `gone` is told the uid of each credential that is no longer good; on the writer's thread. */
int credential_cache_new(Store *store, void (*gone)(void *arg, const char *uid), void *arg,
			 CredentialCache **ret, Error *err);
CredentialCache *credential_cache_free(CredentialCache *c);

/* By a certificate's serial number or a token's hash ("sha256:…"), if it is good at `wall`. */
bool credential_find(CredentialCache *c, const char *proof, usec_t wall, CredentialFacts *ret);
/* Is the credential with that uid still there? */
bool credential_is_known(CredentialCache *c, const char *uid);
