/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conditions: status.conditions[], the Kubernetes way: one entry per type, lastTransitionTime moves
 * only with status.
 */
#pragma once

#include <jansson.h>

#include "base/clock.h"

typedef enum ConditionStatus { CONDITION_FALSE, CONDITION_TRUE, CONDITION_UNKNOWN } ConditionStatus;

/*
 * Sets the condition of that type in `status` (an object; its "conditions" array is made if
 * absent). reason is one CamelCase word, message for people. Returns true if anything but the time
 * changed.
 */
bool condition_set(json_t *status, const char *type, ConditionStatus value, const char *reason,
		   const char *message, int64_t observed_generation, usec_t wall);
bool condition_remove(json_t *status, const char *type);
/* The entry or NULL (borrowed). */
json_t *condition_find(const json_t *status, const char *type);
bool condition_is_true(const json_t *status, const char *type);
