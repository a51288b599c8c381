/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quotas: what an object takes of its namespace, and what a ResourceQuota allows.
 *
 * An Instance's charge stands in its head, so that a whole namespace is added up without decoding
 * anything. Two parts of it depend on other objects and are kept as references: disks that have
 * their image's size, and interfaces, which take an address of each CIDR of their network. Pure;
 * any thread.
 */
#pragma once

#include <jansson.h>

#include "api/key.h"

/*
 * "CPUS MAXCPUS MEMORY MAXMEMORY STORAGE", then " iNAMESPACE/NAME" for each disk of its image's
 * size and " nNAMESPACE/NAME" for each interface. NULL for a kind that is only counted. Caller
 * frees.
 */
char *quota_charge(const Key *key, const json_t *tree);

/* What the names of a quota measure. */
typedef enum QuotaUnit {
	QUOTA_CPUS,
	QUOTA_MAX_CPUS,
	QUOTA_MEMORY,
	QUOTA_MAX_MEMORY,
	QUOTA_STORAGE,
	QUOTA_ADDRESSES,
	QUOTA_COUNT, /* objects of the kind that *ret_kind names: "instances.shakenfist.io" */
	_QUOTA_UNIT_MAX,
} QuotaUnit;
/* False for a name that means nothing here. *ret_kind points into name, or is constant. */
bool quota_unit(const char *name, QuotaUnit *ret, const char **ret_kind);

/* "2" or "1Gi", whichever that unit is written in. */
json_t *quota_amount(QuotaUnit unit, uint64_t value);
/* The bound as a whole number: rounded down, because what is counted are whole units. */
int quota_bound(const json_t *hard, uint64_t *ret);
bool quota_is_whole(const json_t *hard);
/* Bounds that were given as numbers become the text that Kubernetes stores. */
void quota_normalize(json_t *tree);
/* "requests.cpu: 1/4, requests.memory: 1Gi/8Gi": kubectl's columns; limits apart from the rest. */
json_t *quota_cell(const json_t *tree, bool limits);
