/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole check of a candidate object: metadata, schema, and the kind's own rules. All errors at
 * once. Pure.
 */
#include "api/validate.h"

#include <ctype.h>
#include <stdio.h>

#include "api/managed.h"
#include "base/log.h"
#include "base/memory.h"
#include "json/json.h"

#define LABEL_MAX       63
#define SUBDOMAIN_MAX   253
#define ANNOTATIONS_MAX (256u * 1024)

const char *quoted(const char *s, char buf[static 200])
{
	char escaped[160];

	log_escape(s, escaped, sizeof(escaped));
	snprintf(buf, 200, "\"%s%s\"", escaped, strlen(s) > sizeof(escaped) - 1 ? "..." : "");
	return buf;
}

/* ---- names ---- */

static bool is_lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool label_of(const char *s, size_t n)
{
	if (n == 0 || n > LABEL_MAX || !is_lower_alnum(s[0]) || !is_lower_alnum(s[n - 1]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_lower_alnum(s[i]) && s[i] != '-')
			return false;
	return true;
}

bool name_is_label(const char *s)
{
	return label_of(s, strlen(s));
}

bool name_is_subdomain(const char *s)
{
	size_t n;

	if (strlen(s) > SUBDOMAIN_MAX)
		return false;
	for (;; s += n + 1) {
		n = strcspn(s, ".");
		/* Each part like a label; Kubernetes does not bound a part of a subdomain to 63,
		 * DNS does. */
		if (!label_of(s, n))
			return false;
		if (!s[n])
			return true;
	}
}

bool name_is_path_segment(const char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		if (s[i] == '/' || s[i] == '%' || s[i] == '\\' || (unsigned char)s[i] < 0x20 ||
		    s[i] == 0x7f)
			return false;
	return n > 0 && n <= SUBDOMAIN_MAX && !streq(s, ".") && !streq(s, "..");
}

/* Letters, digits, '-', '_', '.', beginning and ending with a letter or digit. */
static bool is_name_part(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > LABEL_MAX || !isalnum((unsigned char)s[0]) ||
	    !isalnum((unsigned char)s[n - 1]))
		return false;
	return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == n;
}

bool name_is_qualified(const char *s)
{
	const char *slash = strchr(s, '/');
	_cleanup_(xfreep) char *prefix = NULL;

	if (!slash)
		return is_name_part(s);
	prefix = xstrndup(s, (size_t)(slash - s));
	return name_is_subdomain(prefix) && is_name_part(slash + 1);
}

/* ---- metadata ---- */

/* Members of metadata have types too, and no schema of a CRD that names them. */
static void check_types(const json_t *meta, FieldErrors *errors)
{
	static const struct {
		const char *name;
		json_type type;
		const char *hint;
	} members[] = {
		{"name",             JSON_STRING, "a string: quote it"},
		{ "generateName",    JSON_STRING, "a string: quote it"},
		{ "namespace",       JSON_STRING, "a string: quote it"},
		{ "finalizers",      JSON_ARRAY,  "a list of strings" },
		{ "ownerReferences", JSON_ARRAY,  "a list of mappings"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		_cleanup_(xfreep) char *at = xasprintf("metadata.%s", members[i].name);
		const json_t *v = json_object_get(meta, members[i].name);

		if (v && !json_is_null(v) && json_typeof(v) != members[i].type)
			field_errors_add(errors, FIELD_TYPE_INVALID, at,
					 "Invalid value: must be %s", members[i].hint);
	}
}

/* Five characters follow it. */
static void check_generate_name(const Kind *k, const char *prefix, FieldErrors *errors)
{
	_cleanup_(xfreep) char *made = xasprintf("%sxxxxx", prefix ? prefix : "");
	char text[200];

	if (prefix && k->name_format != NAME_PATH_SEGMENT && !name_is_subdomain(made))
		field_errors_add(errors, FIELD_INVALID, "metadata.generateName",
				 "Invalid value: %s: use lower-case letters, digits, '-' and '.', "
				 "beginning with a letter or digit",
				 quoted(prefix, text));
}

static void check_name(const Kind *k, const char *name, const char *generate, FieldErrors *errors)
{
	char text[200];

	if (!name && generate)
		return;
	if (str_is_empty(name)) {
		field_errors_add(errors, FIELD_REQUIRED, "metadata.name",
				 "Required value: name or generateName is required");
		return;
	}
	if (k->name_format == NAME_PATH_SEGMENT) {
		if (!name_is_path_segment(name))
			field_errors_add(errors, FIELD_INVALID, "metadata.name",
					 "Invalid value: %s: may not be '.' or '..' nor contain "
					 "'/' or '%%'",
					 quoted(name, text));
		return;
	}
	if (k->name_format == NAME_DNS_LABEL && !name_is_label(name))
		field_errors_add(errors, FIELD_INVALID, "metadata.name",
				 "Invalid value: %s: use 1 to 63 lower-case letters, digits and "
				 "'-', beginning and ending with a letter or digit",
				 quoted(name, text));
	else if (k->name_format == NAME_DNS_SUBDOMAIN && !name_is_subdomain(name))
		field_errors_add(errors, FIELD_INVALID, "metadata.name",
				 "Invalid value: %s: use up to 253 lower-case letters, digits, '-' "
				 "and '.', each part beginning and ending with a letter or digit",
				 quoted(name, text));
}

static void check_namespace(const Kind *k, const char *namespace, FieldErrors *errors)
{
	char text[200];

	if (k->namespaced && namespace && !name_is_label(namespace))
		field_errors_add(errors, FIELD_INVALID, "metadata.namespace",
				 "Invalid value: %s: a namespace is 1 to 63 lower-case letters, "
				 "digits and '-'",
				 quoted(namespace, text));
	if (!k->namespaced && !str_is_empty(namespace))
		field_errors_add(errors, FIELD_FORBIDDEN, "metadata.namespace",
				 "Forbidden: a %s belongs to no namespace", k->kind);
}

static void check_map(const json_t *map, const char *path, bool labels, FieldErrors *errors)
{
	size_t total = 0;
	char text[200];
	const char *key;
	json_t *value;

	if (map && !json_is_null(map) && !json_is_object(map)) {
		field_errors_add(errors, FIELD_TYPE_INVALID, path,
				 "Invalid value: must be a map of strings");
		return;
	}
	json_object_foreach ((json_t *)map, key, value) {
		_cleanup_(xfreep) char *at = xasprintf("%s.%s", path, key);
		const char *s = json_string_value(value);

		total += strlen(key) + (s ? strlen(s) : 0);
		if (!name_is_qualified(key))
			field_errors_add(
				errors, FIELD_INVALID, path,
				"Invalid value: %s: not a valid key (like app or example.com/app)",
				quoted(key, text));
		if (!s)
			field_errors_add(errors, FIELD_TYPE_INVALID, at,
					 "Invalid value: must be a string: quote it");
		else if (labels && *s && !is_name_part(s))
			field_errors_add(errors, FIELD_INVALID, at,
					 "Invalid value: %s: a label's value is up to 63 letters, "
					 "digits, '-', '_' and '.'",
					 quoted(s, text));
	}
	if (!labels && total > ANNOTATIONS_MAX)
		field_errors_add(errors, FIELD_TOO_LONG, path,
				 "Too long: %zu bytes, may not be more than %u", total,
				 ANNOTATIONS_MAX);
}

static void check_finalizers(const json_t *list, FieldErrors *errors)
{
	char text[200];
	json_t *f;
	size_t i;

	json_array_foreach (list, i, f) {
		const char *s = json_string_value(f);
		_cleanup_(xfreep) char *at = xasprintf("metadata.finalizers[%zu]", i);

		if (!s || !name_is_qualified(s))
			field_errors_add(errors, FIELD_INVALID, at,
					 "Invalid value: %s: use a name like example.com/finalizer",
					 quoted(s ? s : "", text));
	}
}

/* Worded as Kubernetes does, which names no number of an entry. */
static void check_owner(const json_t *o, FieldErrors *errors)
{
	static const char *const needed[][2] = {
		{"apiVersion", "version"},
		{ "kind",      "kind"   },
		{ "name",      "name"   },
		{ "uid",       "uid"    }
	};
	static const char *const flags[] = { "controller", "blockOwnerDeletion" };
	const char *version = json_string_at(o, "apiVersion");
	char text[200];

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		_cleanup_(xfreep) char *at = xasprintf("metadata.ownerReferences.%s", needed[i][0]);

		if (str_is_empty(json_string_value(json_object_get(o, needed[i][0]))))
			field_errors_add(errors, FIELD_INVALID, at,
					 "Invalid value: \"\": %s must not be empty", needed[i][1]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		_cleanup_(xfreep) char *at = xasprintf("metadata.ownerReferences.%s", flags[i]);
		const json_t *v = json_object_get(o, flags[i]);

		if (v && !json_is_boolean(v) && !json_is_null(v))
			field_errors_add(errors, FIELD_TYPE_INVALID, at,
					 "Invalid value: must be true or false");
	}
	if (version && strchr(version, '/') != strrchr(version, '/'))
		field_errors_add(errors, FIELD_INVALID, "metadata.ownerReferences.apiVersion",
				 "Invalid value: %s: write it as group/version, or v1",
				 quoted(version, text));
	if (streq_ptr(version, "v1") && streq_ptr(json_string_at(o, "kind"), "Event"))
		field_errors_add(
			errors, FIELD_INVALID, "metadata.ownerReferences",
			"Invalid value: /v1, Kind=Event is disallowed from being an owner");
}

static void check_owners(const json_t *list, FieldErrors *errors)
{
	const json_t *first = NULL;
	json_t *o;
	size_t i;

	json_array_foreach (list, i, o) {
		check_owner(o, errors);
		if (!json_is_true(json_object_get(o, "controller")))
			continue;
		if (first)
			field_errors_add(
				errors, FIELD_INVALID, "metadata.ownerReferences",
				"Invalid value: Only one reference can have Controller set "
				"to true. Found \"true\" in references for %s and %s",
				json_string_at(first, "name"), json_string_at(o, "name"));
		first = first ? first : o;
	}
}

/* What is being deleted only loses finalizers. */
static void check_new_finalizers(const json_t *meta, const json_t *was, FieldErrors *errors)
{
	json_t *f, *b;
	size_t i, j;

	if (!json_is_string(json_object_get(was, "deletionTimestamp")))
		return;
	json_array_foreach (json_object_get(meta, "finalizers"), i, f) {
		bool known = false;

		json_array_foreach (json_object_get(was, "finalizers"), j, b)
			known = known || json_equal(f, b);
		if (!known && json_is_string(f))
			field_errors_add(
				errors, FIELD_FORBIDDEN, "metadata.finalizers",
				"Forbidden: no new finalizers can be added if the object "
				"is being deleted, found new finalizers []string{\"%.253s\"}",
				json_string_value(f));
	}
}

void validate_metadata(const Kind *k, const json_t *tree, FieldErrors *errors)
{
	const json_t *meta = json_object_get(tree, "metadata");
	size_t before = errors->n + errors->dropped;

	if (!json_is_object(meta)) {
		field_errors_add(errors, FIELD_REQUIRED, "metadata", "Required value");
		return;
	}
	check_types(meta, errors);
	if (errors->n + errors->dropped > before)
		return;
	check_generate_name(k, json_string_value(json_object_get(meta, "generateName")), errors);
	check_name(k, json_string_value(json_object_get(meta, "name")),
		   json_string_value(json_object_get(meta, "generateName")), errors);
	check_namespace(k, json_string_value(json_object_get(meta, "namespace")), errors);
	check_map(json_object_get(meta, "labels"), "metadata.labels", true, errors);
	check_map(json_object_get(meta, "annotations"), "metadata.annotations", false, errors);
	check_finalizers(json_object_get(meta, "finalizers"), errors);
	check_owners(json_object_get(meta, "ownerReferences"), errors);
	if (managed_count(tree) > MANAGED_ENTRIES_MAX)
		field_errors_add(errors, FIELD_TOO_MANY, "metadata.managedFields",
				 "Too many: %zu: must have at most %d items", managed_count(tree),
				 MANAGED_ENTRIES_MAX);
}

/* ---- all of it ---- */

static const struct {
	const char *group, *resource;
	void (*validate)(const json_t *tree, const json_t *old, FieldErrors *errors);
} kind_rules[] = {
	{"",			   "configmaps",                validate_config_map          },
	{ "",			  "secrets",                   validate_secret              },
	{ "",			  "events",                    validate_event               },
	{ "",			  "resourcequotas",            validate_quota               },
	{ "shakenfist.io",             "instances",                 validate_instance            },
	{ "shakenfist.io",             "networks",                  validate_network             },
	{ "shakenfist.io",             "images",                    validate_image               },
	{ "shakenfist.io",             "credentials",               validate_credential          },
	{ "apiextensions.k8s.io",      "customresourcedefinitions", validate_crd                 },
	{ "rbac.authorization.k8s.io", "roles",                     validate_role                },
	{ "rbac.authorization.k8s.io", "clusterroles",              validate_cluster_role        },
	{ "rbac.authorization.k8s.io", "rolebindings",              validate_role_binding        },
	{ "rbac.authorization.k8s.io", "clusterrolebindings",       validate_cluster_role_binding},
};

static bool has_error(const FieldErrors *errors, const FieldError *e)
{
	for (size_t i = 0; i < errors->n; i++)
		if (errors->items[i].type == e->type && streq(errors->items[i].path, e->path) &&
		    streq(errors->items[i].message, e->message))
			return true;
	return false;
}

/*
 * A user's schema may have become stricter than what is stored. What was wrong before and has not
 * been touched is no error of this write: otherwise nobody could label such an object, or let go of
 * it. (Kubernetes calls this ratcheting.)
 */
static void validate_schema(const Kind *k, const json_t *tree, const json_t *old,
			    FieldErrors *errors)
{
	FieldErrors now = FIELD_ERRORS_INIT, before = FIELD_ERRORS_INIT;

	if (!old || k->builtin) {
		schema_validate(k->schema, tree, errors);
		return;
	}
	schema_validate(k->schema, tree, &now);
	if (now.n)
		schema_validate(k->schema, old, &before);
	for (size_t i = 0; i < now.n; i++)
		if (!has_error(&before, &now.items[i]))
			field_errors_add(errors, now.items[i].type, now.items[i].path, "%s",
					 now.items[i].message);
	if (now.dropped > before.dropped)
		errors->dropped += now.dropped - before.dropped;
	field_errors_done(&now);
	field_errors_done(&before);
}

void object_validate(const Kind *k, const json_t *tree, const json_t *old, FieldErrors *errors)
{
	size_t before;

	validate_metadata(k, tree, errors);
	if (old)
		check_new_finalizers(json_object_get(tree, "metadata"),
				     json_object_get(old, "metadata"), errors);
	before = errors->n + errors->dropped;
	validate_schema(k, tree, old, errors);
	if (old && errors->n + errors->dropped == before)
		schema_validate_change(k->schema, tree, old, errors);
	/* The kind's rules read fields by type: they only make sense of what has passed the schema.
	 */
	for (size_t i = 0; errors->n + errors->dropped == before && i < ARRAY_SIZE(kind_rules); i++)
		if (streq(k->group, kind_rules[i].group) &&
		    streq(k->plural, kind_rules[i].resource))
			kind_rules[i].validate(tree, old, errors);
}
