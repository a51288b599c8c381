/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who somebody is: a user name and groups (authn.c), and the names that the machine has for the
 * ids of a local peer (names.c), which may take long to find. Any thread.
 */
#pragma once

#include "base/memory.h"
#include "server/server.h"

#define GROUP_MASTERS         "system:masters" /* may do everything, whatever the rules say */
#define GROUP_AUTHENTICATED   "system:authenticated"
#define GROUP_UNAUTHENTICATED "system:unauthenticated"
#define USER_ANONYMOUS        "system:anonymous"
#define USER_LOOPBACK         "system:loopback"

/* How somebody came; decides no right, only what a refusal advises. */
typedef enum IdentitySource {
	IDENTITY_ANONYMOUS, /* TLS without any credential */
	IDENTITY_UNIX,      /* the kernel's word */
	IDENTITY_LOOPBACK,  /* plain TCP of this host: no user is known */
	IDENTITY_CERTIFICATE,
	IDENTITY_TOKEN,
} IdentitySource;

/*
 * A user name and groups: nothing else decides what somebody may do. Immutable and refcounted: a
 * Conn holds the one that its peer or certificate gave, a Request one of its own (the same, or that
 * of its bearer token), whoever keeps one longer takes a reference.
 */
typedef struct Identity {
	_Atomic unsigned refs;
	IdentitySource source;
	bool masters; /* in GROUP_MASTERS */
	uid_t uid;    /* of a Unix peer; else (uid_t)-1 */
	char *name;
	char **groups;    /* NULL-terminated */
	char *credential; /* uid of the Credential it came by; NULL = none */
	usec_t expires;   /* wall clock; 0 = never. Set by whoever makes it, before others see it */
} Identity;

/* Adds system:authenticated, or system:unauthenticated for the anonymous. groups and credential may
 * be NULL; all is copied. */
Identity *identity_new(IdentitySource source, const char *name, char *const *groups,
		       const char *credential);
Identity *identity_ref(Identity *i);
Identity *identity_unref(Identity *i);
DEFINE_CLEANUP(Identity *, identity_unref)

/* A peer of a Unix socket by its ids, its primary group first. */
typedef struct PeerIds {
	uid_t uid;
	bool admin; /* of this host: may do everything */
	size_t n;
	gid_t gids[];
} PeerIds;

typedef struct PeerNames PeerNames;

/* ---- authn.c ---- */

/* Of a Unix socket's peer, as the kernel noted them at connect(2); NULL if it does not say. The
 * caller frees. */
PeerIds *peer_ids_of(const Server *s, int fd);
PeerIds *peer_ids_copy(const PeerIds *ids);
Identity *identity_from_peer(const PeerIds *ids, const char *name, char *const *groups);

/* ---- names.c ---- */

/* who is the callee's; NULL = the server stops. */
typedef void (*PeerNamedFn)(void *arg, Identity *who);

PeerNames *peer_names_new(void);
PeerNames *peer_names_free(PeerNames *p);
/* Who it is, if all names are known already; else NULL. Does not block. */
Identity *peer_names_known(PeerNames *p, const PeerIds *ids);
/* Looks them up and calls done, from its own thread; false = it cannot. Does not block. */
bool peer_names_ask(PeerNames *p, const PeerIds *ids, PeerNamedFn done, void *arg);
/* Whoever waits is told so. */
void peer_names_stop(PeerNames *p);
/* What the machine calls a group, NULL = nothing; may take as long as its directory likes. Caller
 * frees. */
char *group_name(gid_t gid);
