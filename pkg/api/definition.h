/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a stored CustomResourceDefinition says about itself: which of its names are accepted,
 * whether it is established, which versions were ever stored. The conditions and their words are
 * those of Kubernetes' naming, establishing and finalizing controllers. Pure: trees in, trees out.
 */
#pragma once

#include "api/kind.h"
#include "base/clock.h"

#define FINALIZER_CRD_CLEANUP "customresourcecleanup.apiextensions.k8s.io"

/*
 * Fills in status: acceptedNames, storedVersions and the conditions NamesAccepted and Established.
 * `others` are the kinds that are in force; a name that one of the same group has is not accepted,
 * and what was accepted before stays. A definition that is not established is not served. True if
 * anything changed.
 */
bool definition_accept(json_t *crd, Kind *const *others, size_t n_others, usec_t wall);
bool definition_is_established(const json_t *crd);
/* Marks a definition that is being deleted: its finalizer and the condition Terminating. */
void definition_terminate(json_t *crd, usec_t wall);
/* Sets one condition; lastTransitionTime moves with its status. True if anything changed. */
bool definition_set_condition(json_t *status, const char *type, const char *value,
			      const char *reason, const char *message, usec_t wall);
/* What is taken but not acted upon, as sentences for who applies it; the caller's. NULL = nothing.
 */
char **definition_warnings(const json_t *crd);
/* What Kubernetes fills in of a definition's spec: singular, listKind, conversion. */
void definition_default(json_t *crd);
