/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CustomResourceDefinition's rules beyond its schema: names that agree, groups that are the
 * user's own, one served and stored version, and a schema that compiles.
 */
#include "api/validate.h"
#include "base/memory.h"
#include "json/json.h"

static void check_group(const char *group, FieldErrors *errors)
{
	char text[200];

	if (!group || !name_is_subdomain(group) || !strchr(group, '.'))
		field_errors_add(errors, FIELD_INVALID, "spec.group",
				 "Invalid value: %s: use a domain of yours, such as example.com",
				 quoted(group ? group : "", text));
	else if (streq(group, "shakenfist.io") || str_has_suffix(group, ".shakenfist.io") ||
		 str_has_suffix(group, ".k8s.io") || streq(group, "k8s.io"))
		field_errors_add(errors, FIELD_FORBIDDEN, "spec.group",
				 "Forbidden: the group %s is not yours to define kinds in", group);
}

static void check_versions(const json_t *versions, FieldErrors *errors)
{
	unsigned stored = 0;
	json_t *v;
	size_t i;

	json_array_foreach (versions, i, v)
		stored += json_is_true(json_object_get(v, "storage"));
	if (stored != 1)
		field_errors_add(
			errors, FIELD_INVALID, "spec.versions",
			"Invalid value: exactly one version must have storage: true, %u have",
			stored);
}

void validate_crd(const json_t *tree, const json_t *old, FieldErrors *errors)
{
	const char *group = json_string_at(tree, "spec.group"),
		   *plural = json_string_at(tree, "spec.names.plural");
	const char *name = json_string_at(tree, "metadata.name");
	_cleanup_(xfreep) char *wanted =
		xasprintf("%s.%s", plural ? plural : "", group ? group : "");
	_cleanup_(error_done) Error err = ERROR_INIT;
	size_t before = errors->n + errors->dropped;
	Kind *kind = NULL;

	check_group(group, errors);
	if (!streq_ptr(name, wanted))
		field_errors_add(
			errors, FIELD_INVALID, "metadata.name",
			"Invalid value: must be spec.names.plural+\".\"+spec.group: \"%s\"",
			wanted);
	check_versions(json_at(tree, "spec.versions"), errors);
	if (old && !json_same(json_at(old, "spec.scope"), json_at(tree, "spec.scope")))
		field_errors_add(errors, FIELD_INVALID, "spec.scope",
				 "Invalid value: field is immutable");
	if (errors->n + errors->dropped > before)
		return;
	if (kind_from_crd(tree, false, &kind, &err) < 0)
		field_errors_add(errors, FIELD_INVALID, "spec.versions", "Invalid value: %s",
				 error_message(&err));
	kind_unref(kind);
}
