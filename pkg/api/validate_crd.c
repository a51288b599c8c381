/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CustomResourceDefinition's rules beyond its schema: names that agree, groups that are the
 * user's own, versions, what may not change, columns and subresources; and, per version, a
 * structural schema (structural.c) that compiles. Texts are those of Kubernetes where it has one.
 */
#include "api/definition.h"
#include "api/validate.h"
#include "base/memory.h"
#include "json/json.h"

#define DNS_1035 \
	"a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with " \
	"an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or " \
	"'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
#define APPROVAL "api-approved.kubernetes.io"

/* ---- names ---- */

/* Groups whose kinds are part of the program, today or in Kubernetes' own server. */
static bool group_is_ours(const char *group)
{
	static const char *const ours[] = {
		"shakenfist.io",         "apiextensions.k8s.io", "apiregistration.k8s.io",
		"authentication.k8s.io", "authorization.k8s.io", "rbac.authorization.k8s.io",
		"coordination.k8s.io",   "events.k8s.io",        NULL
	};

	return strv_contains((char *const *)ours, group) || str_has_suffix(group, ".shakenfist.io");
}

static void check_group(const json_t *tree, FieldErrors *errors)
{
	const char *group = json_string_at(tree, "spec.group");
	const json_t *approval = json_object_get(json_at(tree, "metadata.annotations"), APPROVAL);
	char text[200];

	if (!group || !name_is_subdomain(group))
		field_errors_add(errors, FIELD_INVALID, "spec.group",
				 "Invalid value: %s: use a domain of yours, such as example.com",
				 quoted(group ? group : "", text));
	else if (!strchr(group, '.'))
		field_errors_add(errors, FIELD_INVALID, "spec.group",
				 "Invalid value: %s: should be a domain with at least one dot",
				 quoted(group, text));
	else if (group_is_ours(group))
		field_errors_add(errors, FIELD_FORBIDDEN, "spec.group",
				 "Forbidden: the group %s is not yours to define kinds in", group);
	else if ((str_has_suffix(group, ".k8s.io") || streq(group, "k8s.io") ||
		  str_has_suffix(group, ".kubernetes.io") || streq(group, "kubernetes.io")) &&
		 str_is_empty(json_string_value(approval)))
		field_errors_add(errors, FIELD_REQUIRED, "metadata.annotations[" APPROVAL "]",
				 "Required value: protected groups must have approval annotation "
				 "\"" APPROVAL "\", see "
				 "https://github.com/kubernetes/enhancements/pull/1111");
}

static bool is_dns_1035(const char *s)
{
	return name_is_label(s) && *s >= 'a' && *s <= 'z';
}

static void check_word(const char *word, const char *path, FieldErrors *errors)
{
	char text[200];

	if (word && !is_dns_1035(word))
		field_errors_add(errors, FIELD_INVALID, path, "Invalid value: %s: " DNS_1035,
				 quoted(word, text));
}

static void check_words(const json_t *list, const char *path, FieldErrors *errors)
{
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v) {
		_cleanup_(xfreep) char *at = xasprintf("%s[%zu]", path, i);

		check_word(json_string_value(v), at, errors);
	}
}

/* CamelCase: a label but for capital letters. */
static void check_kind(const char *kind, const char *path, FieldErrors *errors)
{
	_cleanup_(xfreep) char *lower = xstrdup_lower(kind);
	char text[200];

	if (kind && !is_dns_1035(lower))
		field_errors_add(errors, FIELD_INVALID, path,
				 "Invalid value: %s: may have mixed case, but should otherwise "
				 "match: " DNS_1035,
				 quoted(kind, text));
}

static void check_names(const json_t *tree, FieldErrors *errors)
{
	const json_t *names = json_at(tree, "spec.names");
	const char *plural = json_string_at(names, "plural"), *kind = json_string_at(names, "kind"),
		   *list = json_string_at(names, "listKind"),
		   *group = json_string_at(tree, "spec.group");
	_cleanup_(xfreep) char *wanted =
		xasprintf("%s.%s", plural ? plural : "", group ? group : "");
	char text[200];

	if (!streq_ptr(json_string_at(tree, "metadata.name"), wanted))
		field_errors_add(
			errors, FIELD_INVALID, "metadata.name",
			"Invalid value: must be spec.names.plural+\".\"+spec.group: \"%s\"",
			wanted);
	check_word(plural, "spec.names.plural", errors);
	check_word(json_string_at(names, "singular"), "spec.names.singular", errors);
	check_words(json_object_get(names, "shortNames"), "spec.names.shortNames", errors);
	check_words(json_object_get(names, "categories"), "spec.names.categories", errors);
	check_kind(kind, "spec.names.kind", errors);
	check_kind(list, "spec.names.listKind", errors);
	if (kind && streq_ptr(kind, list))
		field_errors_add(errors, FIELD_INVALID, "spec.names.listKind",
				 "Invalid value: %s: kind and listKind may not be the same",
				 quoted(list, text));
}

/* ---- versions ---- */

/* ".spec.replicas": members only. */
static bool is_simple_path(const char *path)
{
	for (const char *p = path; *p;) {
		size_t n = strcspn(p + 1, ".");

		if (*p != '.' || n == 0 || strcspn(p + 1, "[]{}()*@$'\" ") < n)
			return false;
		p += 1 + n;
	}
	return *path != '\0';
}

static void check_scale_path(const json_t *scale, const char *member, const char *below,
			     const char *at, FieldErrors *errors)
{
	const char *path = json_string_at(scale, member);
	_cleanup_(xfreep) char *where = xasprintf("%s.subresources.scale.%s", at, member);
	char text[200];

	if (!path || !*path)
		return; /* required by the schema, or not given */
	if (!is_simple_path(path))
		field_errors_add(errors, FIELD_INVALID, where,
				 "Invalid value: %s: should be a json path with a dot, such as "
				 ".spec.replicas",
				 quoted(path, text));
	else if (!str_has_prefix(path, below) &&
		 !(streq(member, "labelSelectorPath") && str_has_prefix(path, ".spec.")))
		field_errors_add(errors, FIELD_INVALID, where,
				 "Invalid value: %s: should be a json path under %.*s",
				 quoted(path, text), (int)strlen(below) - 1, below);
}

static void check_columns(const json_t *version, const char *at, FieldErrors *errors)
{
	const json_t *columns = json_object_get(version, "additionalPrinterColumns");
	json_t *c;
	size_t i;

	json_array_foreach (columns, i, c) {
		const char *path = json_string_at(c, "jsonPath");
		_cleanup_(jsonpath_freep) JsonPath *compiled = NULL;
		_cleanup_(error_done) Error err = ERROR_INIT;
		_cleanup_(xfreep) char *where =
			xasprintf("%s.additionalPrinterColumns[%zu].jsonPath", at, i);
		char text[200];

		if (!path || (*path == '.' && jsonpath_compile(path, &compiled, &err) == 0))
			continue;
		field_errors_add(
			errors, FIELD_INVALID, where,
			"Invalid value: %s: must be a json path that starts with a dot%s%s",
			quoted(path, text), err.code ? ": " : "",
			err.code ? error_message(&err) : "");
	}
}

static void check_version(const json_t *version, const char *at, FieldErrors *errors)
{
	const json_t *scale = json_at(version, "subresources.scale"),
		     *schema = json_at(version, "schema.openAPIV3Schema");
	_cleanup_(xfreep) char *name_at = xasprintf("%s.name", at),
			       *schema_at = xasprintf("%s.schema.openAPIV3Schema", at),
			       *warning_at = xasprintf("%s.deprecationWarning", at);

	check_word(json_string_at(version, "name"), name_at, errors);
	check_scale_path(scale, "specReplicasPath", ".spec.", at, errors);
	check_scale_path(scale, "statusReplicasPath", ".status.", at, errors);
	check_scale_path(scale, "labelSelectorPath", ".status.", at, errors);
	check_columns(version, at, errors);
	if (json_object_get(version, "deprecationWarning") &&
	    !json_is_true(json_object_get(version, "deprecated")))
		field_errors_add(errors, FIELD_INVALID, warning_at,
				 "Invalid value: can only be set for deprecated versions");
	if (!json_is_object(schema) || json_object_size(schema) == 0)
		field_errors_add(errors, FIELD_REQUIRED, schema_at,
				 "Required value: schemas are required");
	else
		validate_structural(schema, schema_at, errors);
}

static void check_versions(const json_t *tree, FieldErrors *errors)
{
	const json_t *versions = json_at(tree, "spec.versions");
	unsigned stored = 0;
	json_t *v;
	size_t i;

	json_array_foreach (versions, i, v) {
		_cleanup_(xfreep) char *at = xasprintf("spec.versions[%zu]", i);

		stored += json_is_true(json_object_get(v, "storage"));
		check_version(v, at, errors);
	}
	if (stored != 1)
		field_errors_add(
			errors, FIELD_INVALID, "spec.versions",
			"Invalid value: must have exactly one version marked as storage version, "
			"%u are",
			stored);
}

static bool has_version(const json_t *tree, const char *name)
{
	const json_t *versions = json_at(tree, "spec.versions");
	json_t *v;
	size_t i;

	json_array_foreach (versions, i, v)
		if (streq_ptr(json_string_at(v, "name"), name))
			return true;
	return false;
}

/* Objects may still be written in a version as long as the status says that they were. */
static void check_stored_versions(const json_t *tree, FieldErrors *errors)
{
	const json_t *stored = json_at(tree, "status.storedVersions");
	json_t *v;
	size_t i;

	json_array_foreach (stored, i, v) {
		_cleanup_(xfreep) char *at = xasprintf("status.storedVersions[%zu]", i);
		const char *name = json_string_value(v);

		if (!name || has_version(tree, name))
			continue;
		field_errors_add(errors, FIELD_INVALID, at,
				 "Invalid value: \"%.63s\": missing from spec.versions; %.63s was "
				 "previously a storage version, and must remain in spec.versions "
				 "until a storage migration ensures no data remains persisted in "
				 "%.63s and removes %.63s from status.storedVersions",
				 name, name, name, name);
	}
}

/* ---- the rest ---- */

static void check_conversion(const json_t *tree, FieldErrors *errors)
{
	const char *strategy = json_string_at(tree, "spec.conversion.strategy");
	char text[200];

	if (strategy && !streq(strategy, "None"))
		field_errors_add(errors, FIELD_NOT_SUPPORTED, "spec.conversion.strategy",
				 "Unsupported value: %s: supported values: \"None\"%s",
				 quoted(strategy, text),
				 streq(strategy, "Webhook")
					 ? " (this server calls no webhooks: store one version, or "
					   "let versions differ only by what can be left out)"
					 : "");
	else if (json_at(tree, "spec.conversion.webhook"))
		field_errors_add(errors, FIELD_FORBIDDEN, "spec.conversion.webhook",
				 "Forbidden: should not be set when strategy is not set to "
				 "Webhook");
	if (json_is_true(json_at(tree, "spec.preserveUnknownFields")))
		field_errors_add(errors, FIELD_INVALID, "spec.preserveUnknownFields",
				 "Invalid value: true: must be false");
}

static void check_immutable(const json_t *tree, const json_t *old, const char *path,
			    FieldErrors *errors)
{
	char text[200];

	if (!json_same(json_at(old, path), json_at(tree, path)))
		field_errors_add(
			errors, FIELD_INVALID, path, "Invalid value: %s: field is immutable",
			quoted(json_string_at(tree, path) ? json_string_at(tree, path) : "", text));
}

void validate_crd(const json_t *tree, const json_t *old, FieldErrors *errors)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	size_t before = errors->n + errors->dropped;
	Kind *kind = NULL;

	check_group(tree, errors);
	check_names(tree, errors);
	check_versions(tree, errors);
	check_stored_versions(tree, errors);
	check_conversion(tree, errors);
	if (old) {
		check_immutable(tree, old, "spec.group", errors);
		check_immutable(tree, old, "spec.names.plural", errors);
	}
	if (old && definition_is_established(old)) {
		check_immutable(tree, old, "spec.scope", errors);
		check_immutable(tree, old, "spec.names.kind", errors);
	}
	if (errors->n + errors->dropped > before)
		return;
	if (kind_from_crd(tree, false, &kind, &err) < 0)
		field_errors_add(errors, FIELD_INVALID, "spec.versions", "Invalid value: %s",
				 error_message(&err));
	kind_unref(kind);
}
