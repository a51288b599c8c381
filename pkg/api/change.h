/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Change: what it costs to bring a running thing from one state of its object to another, field by
 * field. One pure function, asked by the server (warnings of a write), by `sfctl diff`, and by the
 * reconciler for what it can do live, so that what is announced is what happens.
 *
 * The schema's x-sf-apply says the best case of a field; what was observed decides.
 */
#pragma once

#include "api/schema.h"

typedef enum ChangeCost {
	COST_NONE,     /* nothing that runs is touched */
	COST_LIVE,     /* done while it runs */
	COST_RESTART,  /* in force when the guest starts the next time */
	COST_RECREATE, /* only a new object can have it */
	COST_BLOCKED,  /* refused */
	_COST_MAX,
} ChangeCost;

const char *change_cost_to_string(ChangeCost c); /* "none", "live", ... */

/* What runs, as far as it is known. */
typedef struct ChangeObserved {
	bool running;          /* a guest runs (or is held) */
	bool accepted;         /* the change was validated: nothing of it is refused */
	uint64_t cpus, memory; /* what it has; 0 = what the old spec says */
} ChangeObserved;

/* From the status of an object. */
void change_observe(const json_t *object, ChangeObserved *ret);

typedef struct FieldChange {
	char *path;        /* "spec.disks[root].size": list entries by their key */
	json_t *from, *to; /* NULL = absent */
	ChangeCost cost;
	char *reason; /* one clause for people; "" = the cost says it all */
} FieldChange;

typedef struct FieldChanges {
	FieldChange *items;
	size_t n, cap;
} FieldChanges;

/*
 * All that differs but metadata and status, in the order of what is wanted. Both trees are
 * complete (defaults filled in). k without a schema: everything costs nothing.
 */
void changes_find(const Kind *k, const json_t *from, const json_t *to, const ChangeObserved *seen,
		  FieldChanges *ret);
ChangeCost changes_worst(const FieldChanges *c);
/* [{path, from, to, cost, reason}] */
json_t *changes_to_json(const FieldChanges *c);
/* "spec.cpus: takes effect when the guest restarts": caller frees. */
char *change_sentence(const FieldChange *c);
void changes_done(FieldChanges *c);

/* CPUs or bytes of memory of a running guest: up to `max` they can be added, never taken away. */
ChangeCost change_cost_of_size(uint64_t live, uint64_t want, uint64_t max);
