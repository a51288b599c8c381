/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ApplySet: objects that were applied together, as kubectl knows them (KEP-3659,
 * https://kubernetes.io/docs/reference/labels-annotations-taints/#applyset-kubernetes-io-id): a
 * parent object names the kinds and namespaces of its members, each member carries the set's id as
 * a label. Shared by apply and diff. One thread.
 *
 * The parent is widened before anything is applied and narrowed after everything was pruned, so an
 * end in between loses track of nothing: the next run goes on.
 */
#pragma once

#include "manifest.h"

/* What becomes of a member. */
typedef enum Fate {
	FATE_APPLIED,   /* the manifests name it */
	FATE_PRUNED,    /* they do not, and nothing speaks for it */
	FATE_PROTECTED, /* an annotation says that it stays */
	FATE_DATA,      /* it holds data, and nobody said that these may go */
	FATE_IN_USE,    /* a network that an instance is on which stays */
} Fate;

typedef struct Member {
	const Resource *resource;
	char *namespace, *name; /* namespace NULL for cluster scope */
	json_t *object;
	Fate fate;
	char *user; /* FATE_IN_USE: "instance.shakenfist.io/web-1" */
} Member;

typedef struct ApplySet {
	Cli *cli;
	const Resource *resource; /* the parent's */
	char *name, *namespace, *id;
	json_t *parent; /* as stored; NULL = not yet */
	Member *members;
	size_t n, cap;
} ApplySet;

/*
 * ref: "NAME" (a Secret) or "KIND/NAME": a ConfigMap, a Secret, or a kind whose definition says
 * that it may be one. -ERR_CONFLICT if the parent is another tool's, -ERR_INVALID if it is no set.
 */
int applyset_open(Cli *cli, const char *ref, ApplySet *ret, Error *err);
void applyset_done(ApplySet *s);
/* Puts the label into every document. Prints errors; the exit code. With take_over, members of
 * other sets are taken. */
int applyset_join(ApplySet *s, Manifests *m, bool take_over);
/* Reads the members that are there now; all are FATE_PRUNED but those that m names. */
int applyset_list(ApplySet *s, const Manifests *m, Error *err);
/*
 * Writes the parent: before (all that was and will be in it) or after (what is left). Nothing is
 * sent if it says so already.
 */
int applyset_widen(ApplySet *s, const Manifests *m, Error *err);
int applyset_narrow(ApplySet *s, const Manifests *m, Error *err);
/* "secret/web", for messages; caller frees. */
char *applyset_name(const ApplySet *s);
