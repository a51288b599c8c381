/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules: what a write does to an object's tree: system metadata, generation, status apart from
 * spec, finalizers, deletion. The behaviour is that of a Kubernetes API server (its object metadata
 * rules: https://kubernetes.io/docs/reference/using-api/api-concepts/). Pure: trees in, trees out;
 * any thread.
 */
#pragma once

#include "api/kind.h"
#include "base/clock.h"

typedef enum Outcome {
	OUTCOME_SAME,    /* nothing to write */
	OUTCOME_CHANGED, /* write the tree */
	OUTCOME_REMOVED, /* the object is gone; the tree is its last state */
} Outcome;

#define FINALIZER_FOREGROUND "foregroundDeletion"
#define FINALIZER_ORPHAN     "orphan"

/* kind may be NULL (a definition that is gone): then status is taken as apart from spec. */
int rules_create(const Kind *kind, const Key *key, json_t *tree, bool with_status, usec_t wall,
		 Error *err);
/* tree becomes what is to be stored in place of old. Returns an Outcome. */
int rules_update(const Kind *kind, const Key *key, const json_t *old, json_t *tree, Error *err);
/* The others change a copy of the stored tree in place and return an Outcome. */
int rules_status(json_t *tree, const json_t *status);
/* Status and managedFields as that other tree has them. */
int rules_status_of(json_t *tree, const json_t *from);
int rules_delete(const Key *key, json_t *tree, int64_t grace, const char *propagation, usec_t wall);
int rules_finalize(const Key *key, json_t *tree, const char *finalizer);
int rules_namespace_finalize(const Key *key, json_t *tree);
