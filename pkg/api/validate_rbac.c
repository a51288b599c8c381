/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of Roles and their bindings that no schema can say, in Kubernetes' words: clients and
 * people know them. Pure.
 */
#include "api/validate.h"
#include "base/memory.h"
#include "json/json.h"

#define RBAC_GROUP "rbac.authorization.k8s.io"

/* `[]string{"/a", "/b"}`: how Kubernetes writes a list that is wrong. Caller frees. */
static char *go_strings(const json_t *list)
{
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;
	char text[200];
	json_t *v;
	size_t i;

	strbuf_adds(&out, "[]string{");
	json_array_foreach (list, i, v)
		strbuf_addf(&out, "%s%s", i ? ", " : "", quoted(json_string_value(v), text));
	strbuf_adds(&out, "}");
	return strbuf_take(&out);
}

static void required(FieldErrors *errors, const char *at, const char *field, const char *why)
{
	_cleanup_(xfreep) char *path = xasprintf("%s.%s", at, field);

	field_errors_add(errors, FIELD_REQUIRED, path, "Required value%s%s", *why ? ": " : "", why);
}

/* supported: as it stands in the message. */
static void unsupported(FieldErrors *errors, const char *at, const char *field, const char *value,
			const char *supported)
{
	_cleanup_(xfreep) char *path = xasprintf("%s.%s", at, field);
	char text[200];

	field_errors_add(errors, FIELD_NOT_SUPPORTED, path,
			 "Unsupported value: %s: supported values: %s", quoted(value, text),
			 supported);
}

static const char *text_of(const json_t *o, const char *field)
{
	const char *s = json_string_value(json_object_get(o, field));

	return s ? s : "";
}

/* ---- rules ---- */

static void check_path_rule(const json_t *rule, const char *at, bool namespaced,
			    FieldErrors *errors)
{
	static const char *const resource_fields[] = { "apiGroups", "resources", "resourceNames" };
	_cleanup_(xfreep) char *path = xasprintf("%s.nonResourceURLs", at);
	_cleanup_(xfreep) char *value = go_strings(json_object_get(rule, "nonResourceURLs"));
	size_t others = 0;

	for (size_t i = 0; i < ARRAY_SIZE(resource_fields); i++)
		others += json_array_size(json_object_get(rule, resource_fields[i]));
	if (namespaced)
		field_errors_add(errors, FIELD_INVALID, path,
				 "Invalid value: %s: namespaced rules cannot apply to non-resource "
				 "URLs",
				 value);
	if (others)
		field_errors_add(errors, FIELD_INVALID, path,
				 "Invalid value: %s: rules cannot apply to both regular resources "
				 "and non-resource URLs",
				 value);
}

static void check_rules(const json_t *tree, bool namespaced, FieldErrors *errors)
{
	json_t *rule;
	size_t i;

	json_array_foreach (json_object_get(tree, "rules"), i, rule) {
		_cleanup_(xfreep) char *at = xasprintf("rules[%zu]", i);

		if (!json_array_size(json_object_get(rule, "verbs")))
			required(errors, at, "verbs", "verbs must contain at least one value");
		if (json_array_size(json_object_get(rule, "nonResourceURLs"))) {
			check_path_rule(rule, at, namespaced, errors);
			continue;
		}
		if (!json_array_size(json_object_get(rule, "apiGroups")))
			required(errors, at, "apiGroups",
				 "resource rules must supply at least one api group");
		if (!json_array_size(json_object_get(rule, "resources")))
			required(errors, at, "resources",
				 "resource rules must supply at least one resource");
	}
}

void validate_role(const json_t *tree, const json_t *old _unused_, FieldErrors *errors)
{
	check_rules(tree, true, errors);
}

/* ---- aggregation ---- */

static void check_expression(const json_t *e, const char *at, FieldErrors *errors)
{
	const char *operator= text_of(e, "operator"), *key = text_of(e, "key");
	size_t n = json_array_size(json_object_get(e, "values"));
	bool set = streq(operator, "In") || streq(operator, "NotIn");
	char text[200];

	if (set && n == 0)
		required(errors, at, "values",
			 "must be specified when `operator` is 'In' or 'NotIn'");
	if ((streq(operator, "Exists") || streq(operator, "DoesNotExist")) && n) {
		_cleanup_(xfreep) char *path = xasprintf("%s.values", at);

		field_errors_add(errors, FIELD_FORBIDDEN, path,
				 "Forbidden: may not be specified when `operator` is 'Exists' or "
				 "'DoesNotExist'");
	} else if (!set && !streq(operator, "Exists") && !streq(operator, "DoesNotExist")) {
		_cleanup_(xfreep) char *path = xasprintf("%s.operator", at);

		field_errors_add(errors, FIELD_INVALID, path,
				 "Invalid value: %s: not a valid selector operator",
				 quoted(operator, text));
	}
	if (!name_is_qualified(key)) {
		_cleanup_(xfreep) char *path = xasprintf("%s.key", at);

		field_errors_add(errors, FIELD_INVALID, path,
				 "Invalid value: %s: not a valid key (like app or example.com/app)",
				 quoted(key, text));
	}
}

void validate_cluster_role(const json_t *tree, const json_t *old _unused_, FieldErrors *errors)
{
	const json_t *aggregation = json_object_get(tree, "aggregationRule");
	const json_t *selectors = json_object_get(aggregation, "clusterRoleSelectors");
	json_t *selector, *e;
	size_t i, k;

	check_rules(tree, false, errors);
	if (json_is_object(aggregation) && json_array_size(selectors) == 0)
		required(errors, "aggregationRule", "clusterRoleSelectors",
			 "at least one clusterRoleSelector required if aggregationRule is non-nil");
	json_array_foreach (selectors, i, selector) {
		json_array_foreach (json_object_get(selector, "matchExpressions"), k, e) {
			_cleanup_(xfreep) char *at = xasprintf(
				"aggregationRule.clusterRoleSelectors[%zu].matchExpressions[%zu]",
				i, k);

			check_expression(e, at, errors);
		}
	}
}

/* ---- bindings ---- */

static void check_subject(const json_t *subject, const char *at, bool namespaced,
			  FieldErrors *errors)
{
	const char *kind = text_of(subject, "kind"), *group = text_of(subject, "apiGroup");
	const char *name = text_of(subject, "name");
	char text[200];

	if (!*name)
		required(errors, at, "name", "");
	if (streq(kind, "ServiceAccount")) {
		if (*name && !name_is_subdomain(name)) {
			_cleanup_(xfreep) char *path = xasprintf("%s.name", at);

			field_errors_add(errors, FIELD_INVALID, path,
					 "Invalid value: %s: use up to 253 lower-case letters, "
					 "digits, '-' and '.'",
					 quoted(name, text));
		}
		if (*group)
			unsupported(errors, at, "apiGroup", group, "\"\"");
		if (!namespaced && !*text_of(subject, "namespace"))
			required(errors, at, "namespace", "");
	} else if (streq(kind, "User") || streq(kind, "Group")) {
		/* None is the one by kind: the server writes it. */
		if (*group && !streq(group, RBAC_GROUP))
			unsupported(errors, at, "apiGroup", group, "\"" RBAC_GROUP "\"");
	} else {
		unsupported(errors, at, "kind", kind, "\"ServiceAccount\", \"User\", \"Group\"");
	}
}

static void check_role_ref(const json_t *ref, bool namespaced, FieldErrors *errors)
{
	const char *kind = text_of(ref, "kind"), *name = text_of(ref, "name");
	char text[200];

	if (!streq(text_of(ref, "apiGroup"), RBAC_GROUP))
		unsupported(errors, "roleRef", "apiGroup", text_of(ref, "apiGroup"),
			    "\"" RBAC_GROUP "\"");
	if (!streq(kind, "ClusterRole") && !(namespaced && streq(kind, "Role")))
		unsupported(errors, "roleRef", "kind", kind,
			    namespaced ? "\"Role\", \"ClusterRole\"" : "\"ClusterRole\"");
	if (!*name)
		required(errors, "roleRef", "name", "");
	else if (!name_is_path_segment(name))
		field_errors_add(
			errors, FIELD_INVALID, "roleRef.name",
			"Invalid value: %s: may not be '.' or '..' nor contain '/' or '%%'",
			quoted(name, text));
}

/* To give another role is another grant: delete and make anew, so that nobody gets it by the way.
 */
static void check_same_role(const json_t *ref, const json_t *old, FieldErrors *errors)
{
	static const char *const fields[] = { "apiGroup", "kind", "name" };
	bool same = true;
	char group[200], kind[200], name[200];

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		same &= streq(text_of(ref, fields[i]), text_of(old, fields[i]));
	if (!same)
		field_errors_add(errors, FIELD_INVALID, "roleRef",
				 "Invalid value: rbac.RoleRef{APIGroup:%s, Kind:%s, Name:%s}: "
				 "cannot change roleRef",
				 quoted(text_of(ref, "apiGroup"), group),
				 quoted(text_of(ref, "kind"), kind),
				 quoted(text_of(ref, "name"), name));
}

static void check_binding(const json_t *tree, const json_t *old, bool namespaced,
			  FieldErrors *errors)
{
	const json_t *ref = json_object_get(tree, "roleRef");
	json_t *subject;
	size_t i;

	check_role_ref(ref, namespaced, errors);
	json_array_foreach (json_object_get(tree, "subjects"), i, subject) {
		_cleanup_(xfreep) char *at = xasprintf("subjects[%zu]", i);

		check_subject(subject, at, namespaced, errors);
	}
	if (old)
		check_same_role(ref, json_object_get(old, "roleRef"), errors);
}

void validate_role_binding(const json_t *tree, const json_t *old, FieldErrors *errors)
{
	check_binding(tree, old, true, errors);
}

void validate_cluster_role_binding(const json_t *tree, const json_t *old, FieldErrors *errors)
{
	check_binding(tree, old, false, errors);
}
