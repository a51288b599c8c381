/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conditions in status. See condition.h.
 */
#include "api/condition.h"

#include "base/macro.h"

static const char *const values[] = {
	[CONDITION_FALSE] = "False",
	[CONDITION_TRUE] = "True",
	[CONDITION_UNKNOWN] = "Unknown",
};

static bool member_is(const json_t *o, const char *name, const char *text)
{
	return streq_ptr(json_string_value(json_object_get(o, name)), text);
}

json_t *condition_find(const json_t *status, const char *type)
{
	json_t *list = json_object_get(status, "conditions"), *c;
	size_t i;

	json_array_foreach (list, i, c) {
		if (member_is(c, "type", type))
			return c;
	}
	return NULL;
}

bool condition_is_true(const json_t *status, const char *type)
{
	const json_t *c = condition_find(status, type);

	return c && member_is(c, "status", "True");
}

bool condition_remove(json_t *status, const char *type)
{
	json_t *list = json_object_get(status, "conditions");

	for (size_t i = 0; i < json_array_size(list); i++)
		if (member_is(json_array_get(list, i), "type", type)) {
			json_array_remove(list, i);
			return true;
		}
	return false;
}

static json_t *condition_add(json_t *status, const char *type)
{
	json_t *list = json_object_get(status, "conditions"), *c = json_object();

	if (!json_is_array(list)) {
		list = json_array();
		json_object_set_new(status, "conditions", list);
	}
	json_object_set_new(c, "type", json_string(type));
	json_array_append_new(list, c);
	return c;
}

bool condition_set(json_t *status, const char *type, ConditionStatus value, const char *reason,
		   const char *message, int64_t observed_generation, usec_t wall)
{
	json_t *c = condition_find(status, type), *generation = json_integer(observed_generation);
	bool transition = !c || !member_is(c, "status", values[value]);
	bool changed = transition || !member_is(c, "reason", reason) ||
		       !member_is(c, "message", message) ||
		       !json_equal(json_object_get(c, "observedGeneration"), generation);
	char text[TIMESTAMP_MAX];

	if (!c)
		c = condition_add(status, type);
	json_object_set_new(c, "status", json_string(values[value]));
	json_object_set_new(c, "reason", json_string(reason));
	json_object_set_new(c, "message", json_string(message));
	json_object_set_new(c, "observedGeneration", generation);
	if (transition)
		json_object_set_new(c, "lastTransitionTime",
				    json_string(timestamp_format(wall, text)));
	return changed;
}
