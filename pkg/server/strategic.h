/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strategic merge patch: a merge patch in which some lists are merged and not replaced, and which
 * may say how ($patch, $retainKeys, $deleteFromPrimitiveList/x, $setElementOrder/x). It is what
 * kubectl edit, label, annotate, patch and apply send for the kinds that it knows as its own types.
 * Merged are metadata.finalizers, metadata.ownerReferences by uid, and the lists that the schema
 * calls maps, by their first key. Pure.
 */
#pragma once

#include "api/schema.h"

/* The patched document, a new reference; -ERR_INVALID says what is wrong with the patch. schema is
 * of the whole object and may be NULL. */
int strategic_merge(const Schema *schema, const json_t *document, const json_t *patch, json_t **ret,
		    Error *err);
