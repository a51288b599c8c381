/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status of a CustomResourceDefinition. See definition.h. Pure.
 */
#include "api/definition.h"

#include "api/condition.h"
#include "api/schema.h"
#include "base/memory.h"
#include "json/json.h"

static bool condition_is(const json_t *status, const char *type, const char *value)
{
	return streq_ptr(json_string_at(condition_find(status, type), "status"), value);
}

/* True if the text was another one. */
static bool set_text(json_t *o, const char *name, const char *text)
{
	if (streq_ptr(json_string_at(o, name), text))
		return false;
	json_object_set_new(o, name, json_string(text));
	return true;
}

bool definition_set_condition(json_t *status, const char *type, const char *value,
			      const char *reason, const char *message, usec_t wall)
{
	json_t *list = json_object_get(status, "conditions");
	json_t *c = condition_find(status, type);
	char buf[TIMESTAMP_MAX];
	bool changed = false;

	if (!json_is_array(list)) {
		list = json_array();
		json_object_set_new(status, "conditions", list);
	}
	if (!c) {
		c = json_pack("{s:s}", "type", type);
		json_array_append_new(list, c);
	}
	if (set_text(c, "status", value)) {
		set_text(c, "lastTransitionTime", timestamp_format(wall, buf));
		changed = true;
	}
	changed |= set_text(c, "reason", reason);
	changed |= set_text(c, "message", message);
	return changed;
}

bool definition_is_established(const json_t *crd)
{
	return condition_is(json_object_get(crd, "status"), "Established", "True");
}

/* ---- names ---- */

typedef struct Naming {
	const char *group, *plural; /* of the definition in question */
	Kind *const *others;
	size_t n_others;
	const char *reason; /* of the last conflict; NULL = none */
	char *message;
} Naming;

static bool is_other(const Naming *n, const Kind *k)
{
	return streq(k->group, n->group) && !streq(k->plural, n->plural);
}

static bool resource_is_taken(const Naming *n, const char *word)
{
	for (size_t i = 0; i < n->n_others; i++) {
		const Kind *k = n->others[i];

		if (!is_other(n, k))
			continue;
		if (streq(k->plural, word) || streq(k->singular, word))
			return true;
		for (const char *const *s = k->short_names; *s; s++)
			if (streq(*s, word))
				return true;
	}
	return false;
}

static bool kind_is_taken(const Naming *n, const char *word)
{
	for (size_t i = 0; i < n->n_others; i++) {
		const Kind *k = n->others[i];

		if (is_other(n, k) && (streq(k->kind, word) || streq(k->list_kind, word)))
			return true;
	}
	return false;
}

static void conflict(Naming *n, const char *reason, const char *word)
{
	free(n->message);
	n->reason = reason;
	n->message = xasprintf("\"%s\" is already in use", word);
}

/* One name: accepted if it is what was accepted before, or free. */
static void accept_word(Naming *n, const json_t *spec, json_t *accepted, const char *member,
			bool (*taken)(const Naming *n, const char *word), const char *reason)
{
	const char *want = json_string_at(spec, member), *have = json_string_at(accepted, member);

	if (!want || streq_ptr(want, have))
		return;
	if (taken(n, want))
		conflict(n, reason, want);
	else
		json_object_set_new(accepted, member, json_string(want));
}

/* All of them or none. */
static void accept_short_names(Naming *n, const json_t *spec, json_t *accepted)
{
	const json_t *want = json_object_get(spec, "shortNames");
	const json_t *have = json_object_get(accepted, "shortNames");
	bool all_free = true;
	json_t *v;
	size_t i;

	json_array_foreach (want, i, v) {
		const char *word = json_string_value(v);

		if (!word || json_list_has(have, word) || !resource_is_taken(n, word))
			continue;
		conflict(n, "ShortNamesConflict", word);
		all_free = false;
	}
	if (all_free && want)
		json_object_set(accepted, "shortNames", (json_t *)want);
	else if (all_free)
		json_object_del(accepted, "shortNames");
}

static bool accept_names(const json_t *crd, json_t *status, Kind *const *others, size_t n_others,
			 usec_t wall)
{
	const json_t *spec = json_at(crd, "spec.names");
	_cleanup_(json_decrefp) json_t *before =
		json_deep_copy(json_object_get(status, "acceptedNames"));
	json_t *accepted = json_make_object(status, "acceptedNames"), *categories;
	Naming n = { .group = json_string_at(crd, "spec.group"),
		     .plural = json_string_at(spec, "plural"),
		     .others = others,
		     .n_others = n_others };
	bool changed;

	if (!n.group || !n.plural)
		return false;
	accept_word(&n, spec, accepted, "plural", resource_is_taken, "PluralConflict");
	accept_word(&n, spec, accepted, "singular", resource_is_taken, "SingularConflict");
	accept_short_names(&n, spec, accepted);
	accept_word(&n, spec, accepted, "kind", kind_is_taken, "KindConflict");
	accept_word(&n, spec, accepted, "listKind", kind_is_taken, "ListKindConflict");
	categories = json_object_get(spec, "categories");
	if (categories)
		json_object_set(accepted, "categories", categories);
	else
		json_object_del(accepted, "categories");
	changed = !json_same(before, accepted);
	if (n.reason)
		changed |= definition_set_condition(status, "NamesAccepted", "False", n.reason,
						    n.message, wall);
	else
		changed |= definition_set_condition(status, "NamesAccepted", "True", "NoConflicts",
						    "no conflicts found", wall);
	free(n.message);
	return changed;
}

/* Which versions objects may have been written in: the present one joins, nobody leaves. */
static bool store_versions(const json_t *crd, json_t *status)
{
	const json_t *versions = json_at(crd, "spec.versions");
	json_t *stored = json_object_get(status, "storedVersions"), *v;
	bool changed = false;
	size_t i;

	if (!json_is_array(stored)) {
		stored = json_array();
		json_object_set_new(status, "storedVersions", stored);
		changed = true;
	}
	json_array_foreach (versions, i, v) {
		const char *name = json_string_at(v, "name");

		if (!name || !json_is_true(json_object_get(v, "storage")) ||
		    json_list_has(stored, name))
			continue;
		json_array_append_new(stored, json_string(name));
		changed = true;
	}
	return changed;
}

bool definition_accept(json_t *crd, Kind *const *others, size_t n_others, usec_t wall)
{
	json_t *status = json_make_object(crd, "status");
	bool changed = accept_names(crd, status, others, n_others, wall);

	/* Once established it stays so: objects may be there. */
	if (!condition_is(status, "Established", "True"))
		changed |= condition_is(status, "NamesAccepted", "True")
				   ? definition_set_condition(
					     status, "Established", "True", "InitialNamesAccepted",
					     "the initial names have been accepted", wall)
				   : definition_set_condition(status, "Established", "False",
							      "NotAccepted",
							      "not all names are accepted", wall);
	return store_versions(crd, status) || changed;
}

void definition_terminate(json_t *crd, usec_t wall)
{
	json_t *metadata = json_make_object(crd, "metadata");
	json_t *list = json_object_get(metadata, "finalizers");

	if (!json_is_array(list)) {
		list = json_array();
		json_object_set_new(metadata, "finalizers", list);
	}
	if (!json_list_has(list, FINALIZER_CRD_CLEANUP))
		json_array_append_new(list, json_string(FINALIZER_CRD_CLEANUP));
	definition_set_condition(json_make_object(crd, "status"), "Terminating", "True",
				 "InstanceDeletionPending",
				 "CustomResourceDefinition marked for deletion; CustomResource "
				 "deletion will begin soon",
				 wall);
}

void definition_default(json_t *crd)
{
	json_t *spec = json_object_get(crd, "spec"), *names = json_object_get(spec, "names");
	const char *kind = json_string_at(names, "kind");
	json_t *conversion = json_object_get(spec, "conversion");

	if (!json_is_object(names) || !kind)
		return;
	if (str_is_empty(json_string_at(names, "singular"))) {
		_cleanup_(xfreep) char *singular = xstrdup_lower(kind);

		json_object_set_new(names, "singular", json_string(singular));
	}
	if (str_is_empty(json_string_at(names, "listKind"))) {
		_cleanup_(xfreep) char *list = xasprintf("%sList", kind);

		json_object_set_new(names, "listKind", json_string(list));
	}
	if (!conversion || json_is_null(conversion))
		json_object_set_new(spec, "conversion", json_pack("{s:s}", "strategy", "None"));
}

/* ---- warnings ---- */

static void warn_formats(const json_t *schema, char ***warnings)
{
	const char *format = json_string_at(schema, "format"), *name;
	json_t *v;
	size_t i;

	if (format && !schema_format_is_known(format)) {
		_cleanup_(xfreep) char *text = xasprintf("unrecognized format \"%.64s\"", format);

		if (!strv_contains(*warnings, text))
			*warnings = strv_append(*warnings, text);
	}
	json_object_foreach ((json_t *)schema, name, v)
		if (!streq(name, "default") && !streq(name, "enum") && !streq(name, "example"))
			warn_formats(v, warnings);
	json_array_foreach (schema, i, v)
		warn_formats(v, warnings);
}

char **definition_warnings(const json_t *crd)
{
	char **warnings = NULL;
	json_t *v;
	size_t i;

	json_array_foreach (json_at(crd, "spec.versions"), i, v) {
		const json_t *schema = json_at(v, "schema.openAPIV3Schema");
		size_t rules = schema_count_rules(schema);
		_cleanup_(xfreep) char *text = NULL;

		warn_formats(schema, &warnings);
		if (!rules)
			continue;
		text = xasprintf("spec.versions[%zu].schema.openAPIV3Schema: %zu rule%s in "
				 "x-kubernetes-validations %s kept but not enforced: this server "
				 "evaluates no CEL but \"self == oldSelf\"",
				 i, rules, rules == 1 ? "" : "s", rules == 1 ? "is" : "are");
		warnings = strv_append(warnings, text);
	}
	return warnings;
}
