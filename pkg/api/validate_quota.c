/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ResourceQuota's rules beyond its schema: names that mean something, and amounts in their unit.
 * What nobody counts is refused: a bound that is not kept would be worse than none.
 */
#include "api/quota.h"
#include "api/validate.h"
#include "base/memory.h"
#include "json/json.h"

void validate_quota(const json_t *tree, const json_t *old _unused_, FieldErrors *errors)
{
	json_t *hard = json_at(tree, "spec.hard"), *v;
	const char *name, *kind;
	QuotaUnit unit;
	char text[200];

	json_object_foreach (hard, name, v) {
		_cleanup_(xfreep) char *path = xasprintf("spec.hard[%s]", name);
		uint64_t bound = 0;

		if (!name_is_qualified(name))
			field_errors_add(errors, FIELD_INVALID, path,
					 "Invalid value: %s: must be a qualified name",
					 quoted(name, text));
		else if (!quota_unit(name, &unit, &kind))
			field_errors_add(errors, FIELD_INVALID, path,
					 strchr(name, '/')
						 ? "Invalid value: %s: nothing is counted under "
						   "this name; see explain quota.spec.hard"
						 : "Invalid value: %s: must be a standard "
						   "resource for quotas",
					 quoted(name, text));
		else if (quota_bound(v, &bound) < 0)
			field_errors_add(errors, FIELD_INVALID, path,
					 "Invalid value: must be greater than or equal to 0");
		else if (unit == QUOTA_COUNT && *kind && !quota_is_whole(v))
			field_errors_add(errors, FIELD_INVALID, path,
					 "Invalid value: must be an integer");
	}
}
