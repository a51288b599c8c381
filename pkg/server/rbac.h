/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of roles, compiled, and who has them: authorization as rbac.authorization.k8s.io/v1 means
 * it.
 *
 * A RuleSet is immutable and refcounted. The Authorizer knows all roles and bindings of the store,
 * current as of the last commit that was answered (the store's writer brings it up to date before
 * it answers), and finds what a user has by his name and groups: no decision looks through all
 * bindings. Any thread; its lock is a leaf and held for look-ups only.
 */
#pragma once

#include "base/strbuf.h"
#include "store/store.h"

#define RBAC_GROUP "rbac.authorization.k8s.io"

struct Identity;

typedef struct PolicyRule {
	char **verbs, **groups, **resources, **names, **urls; /* NULL-terminated, never NULL */
} PolicyRule;

typedef struct RuleSet {
	_Atomic unsigned refs;
	size_t n;
	PolicyRule rules[];
} RuleSet;

/* What is asked. */
typedef struct AccessRequest {
	const struct Identity *who;
	const char *verb;
	const char *path; /* of a request that is not about a resource; else NULL */
	const char *group, *resource;
	const char *subresource, *namespace, *name; /* NULL = none */
} AccessRequest;

/* From the `rules` of a role; what is no list of strings counts as an empty one. */
RuleSet *rule_set_new(const json_t *rules);
RuleSet *rule_set_ref(RuleSet *s);
RuleSet *rule_set_unref(RuleSet *s);
DEFINE_CLEANUP(RuleSet *, rule_set_unref)
bool rule_allows(const PolicyRule *rule, const AccessRequest *r);

/* Rule sets that somebody has, each referenced. */
typedef struct RuleSets {
	RuleSet **items;
	size_t n, cap;
} RuleSets;
void rule_sets_done(RuleSets *sets);

/*
 * Are all of `wanted` among what `held` allows? What is not, taken apart into rules of one group
 * and resource each, goes into missing (a JSON array of policy rules; may be NULL). -ERR_EXHAUSTED
 * if wanted says more than RULE_COMBINATIONS_MAX things.
 */
#define RULE_COMBINATIONS_MAX 50000
int rules_cover(const RuleSets *held, const RuleSet *wanted, json_t *missing);
/* `{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}`, as Kubernetes writes it. */
void rule_describe(const json_t *rule, StrBuf *out);

typedef struct Authorizer Authorizer;

/* Reads the store and watches it from then on. */
int authorizer_new(Store *store, Authorizer **ret, Error *err);
Authorizer *authorizer_free(Authorizer *a);
DEFINE_CLEANUP(Authorizer *, authorizer_free)

/*
 * The one decision. reason (may be NULL) gets what Kubernetes says of it: which binding allowed, or
 * which roles that bindings name are missing; often nothing.
 */
bool authorizer_allows(Authorizer *a, const AccessRequest *r, StrBuf *reason);
/* All that somebody may do in a namespace (NULL = only what holds everywhere). problem (may be
 * NULL) gets the roles that are missing. */
void authorizer_rules(Authorizer *a, const struct Identity *who, const char *namespace,
		      RuleSets *ret, StrBuf *problem);
/* The rules of a role; namespace NULL = a ClusterRole. NULL if there is none. */
RuleSet *authorizer_role(Authorizer *a, const char *namespace, const char *name);
/* Is anything bound to this user here or everywhere, other than what everybody has? */
bool authorizer_knows(Authorizer *a, const struct Identity *who, const char *namespace);

/*
 * Makes the built-in roles and bindings, and puts back what is missing of them, except where the
 * annotation rbac.authorization.kubernetes.io/autoupdate says "false". Blocks on the store; before
 * the first request.
 */
int rbac_seed(Store *store, Error *err);
