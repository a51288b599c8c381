/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules: the meaning of create, update, delete and finalize. See rules.h.
 */
#include "store/rules.h"

#include "base/random.h"
#include "json/json.h"

/* What clients cannot write: it is copied from the stored object. */
static const char *const system_fields[] = { "name",
					     "namespace",
					     "uid",
					     "resourceVersion",
					     "generation",
					     "creationTimestamp",
					     "deletionTimestamp",
					     "deletionGracePeriodSeconds",
					     "selfLink" };

static json_t *metadata_of(json_t *tree)
{
	json_t *m = json_object_get(tree, "metadata");

	if (!json_is_object(m)) {
		m = json_object();
		json_object_set_new(tree, "metadata", m);
	}
	return m;
}

static bool is_deleting(const json_t *tree)
{
	return json_is_string(
		json_object_get(json_object_get(tree, "metadata"), "deletionTimestamp"));
}

static size_t finalizers_left(const Key *key, const json_t *tree)
{
	size_t n =
		json_array_size(json_object_get(json_object_get(tree, "metadata"), "finalizers"));

	if (key->gr == GR_NAMESPACE)
		n += json_array_size(json_object_get(json_object_get(tree, "spec"), "finalizers"));
	return n;
}

static bool has_status(const Kind *kind)
{
	return !kind || kind->has_status;
}

static void set_timestamp(json_t *metadata, const char *field, usec_t wall)
{
	char buf[TIMESTAMP_MAX];

	json_object_set_new(metadata, field, json_string(timestamp_format(wall, buf)));
}

static void bump_generation(json_t *metadata)
{
	json_int_t n = json_integer_value(json_object_get(metadata, "generation"));

	json_object_set_new(metadata, "generation", json_integer(n + 1));
}

/* ---- create ---- */

static void create_namespace(const Key *key, json_t *tree)
{
	json_t *finalizers = json_array();

	json_array_append_new(finalizers, json_string("kubernetes"));
	json_object_set_new(json_make_object(tree, "spec"), "finalizers", finalizers);
	json_object_set_new(json_make_object(tree, "status"), "phase", json_string("Active"));
	json_object_set_new(json_make_object(metadata_of(tree), "labels"),
			    "kubernetes.io/metadata.name", json_string(key->name));
}

int rules_create(const Kind *kind, const Key *key, json_t *tree, bool with_status, usec_t wall,
		 Error *err)
{
	json_t *m = metadata_of(tree);
	char uid[UUID_MAX];

	if (kind && kind->namespaced != (*key->namespace != '\0'))
		return error_set(err, ERR_INVALID, "%s \"%s\": %s", kind->plural, key->name,
				 kind->namespaced ? "a namespace is required"
						  : "it belongs to no namespace");
	for (size_t i = 0; i < ARRAY_SIZE(system_fields); i++)
		json_object_del(m, system_fields[i]);
	json_object_set_new(m, "name", json_string(key->name));
	if (*key->namespace)
		json_object_set_new(m, "namespace", json_string(key->namespace));
	json_object_set_new(m, "uid", json_string(uuid_new(uid)));
	set_timestamp(m, "creationTimestamp", wall);
	json_object_set_new(m, "generation", json_integer(1));
	if (has_status(kind) && !with_status)
		json_object_del(tree, "status");
	if (key->gr == GR_NAMESPACE)
		create_namespace(key, tree);
	return 0;
}

/* ---- update ---- */

static void copy_field(json_t *to, const json_t *from, const char *name)
{
	json_t *v = json_object_get(from, name);

	if (v)
		json_object_set_new(to, name, json_deep_copy(v));
	else
		json_object_del(to, name);
}

static int check_new_finalizers(const json_t *old, const json_t *tree, Error *err)
{
	const json_t *before = json_object_get(json_object_get(old, "metadata"), "finalizers");
	const json_t *after = json_object_get(json_object_get(tree, "metadata"), "finalizers");
	json_t *a, *b;
	size_t i, j;

	json_array_foreach (after, i, a) {
		bool known = false;

		json_array_foreach (before, j, b) {
			known = known || json_equal(a, b);
		}
		if (!known)
			return error_set(err, ERR_INVALID,
					 "metadata.finalizers: Forbidden: no new finalizers can be "
					 "added if the object is being deleted, found new "
					 "finalizer \"%s\"",
					 json_is_string(a) ? json_string_value(a) : "?");
	}
	return 0;
}

static bool is_beside_spec(const char *name)
{
	return streq(name, "metadata") || streq(name, "status") || streq(name, "apiVersion") ||
	       streq(name, "kind");
}

/* True if any member but those beside spec differs. */
static bool spec_differs(const Kind *kind, json_t *a, json_t *b)
{
	const char *name;
	json_t *v;

	json_object_foreach (a, name, v) {
		if (is_beside_spec(name) && !(streq(name, "status") && !has_status(kind)))
			continue;
		if (!json_same(v, json_object_get(b, name)))
			return true;
	}
	return false;
}

int rules_update(const Kind *kind, const Key *key, const json_t *old, json_t *tree, Error *err)
{
	const json_t *was = json_object_get(old, "metadata");
	json_t *m = metadata_of(tree);
	int rc;

	for (size_t i = 0; i < ARRAY_SIZE(system_fields); i++)
		copy_field(m, was, system_fields[i]);
	if (has_status(kind))
		copy_field(tree, old, "status");
	if (key->gr == GR_NAMESPACE)
		copy_field(json_make_object(tree, "spec"), json_object_get(old, "spec"),
			   "finalizers");
	if (is_deleting(old)) {
		rc = check_new_finalizers(old, tree, err);
		if (rc < 0)
			return rc;
	}
	if (json_same(old, tree))
		return OUTCOME_SAME;
	if (spec_differs(kind, (json_t *)old, tree) || spec_differs(kind, tree, (json_t *)old))
		bump_generation(m);
	return is_deleting(tree) && finalizers_left(key, tree) == 0 ? OUTCOME_REMOVED
								    : OUTCOME_CHANGED;
}

int rules_status(json_t *tree, const json_t *status)
{
	if (json_same(json_object_get(tree, "status"), status))
		return OUTCOME_SAME;
	if (status)
		json_object_set_new(tree, "status", json_deep_copy(status));
	else
		json_object_del(tree, "status");
	return OUTCOME_CHANGED;
}

int rules_status_of(json_t *tree, const json_t *from)
{
	json_t *to = metadata_of(tree), *managed = json_object_get(to, "managedFields");
	json_t *now = json_object_get(json_object_get(from, "metadata"), "managedFields");
	int rc = rules_status(tree, json_object_get(from, "status"));

	if (now == managed || json_same(now, managed))
		return rc;
	copy_field(to, json_object_get(from, "metadata"), "managedFields");
	return OUTCOME_CHANGED;
}

/* ---- delete ---- */

/* True if something changed. */
static bool finalizer_remove(json_t *metadata, const char *finalizer)
{
	json_t *list = json_object_get(metadata, "finalizers");
	bool removed = false;

	for (size_t i = json_array_size(list); i-- > 0;) {
		const char *f = json_string_value(json_array_get(list, i));

		if (f && streq(f, finalizer))
			removed = json_array_remove(list, i) == 0;
	}
	if (list && json_array_size(list) == 0)
		json_object_del(metadata, "finalizers");
	return removed;
}

static void finalizer_add(json_t *metadata, const char *finalizer)
{
	json_t *list;

	finalizer_remove(metadata, finalizer);
	list = json_object_get(metadata, "finalizers");
	if (!json_is_array(list)) {
		list = json_array();
		json_object_set_new(metadata, "finalizers", list);
	}
	json_array_append_new(list, json_string(finalizer));
}

/* An explicit wish replaces what finalizers of an earlier one say; no wish leaves them. */
static void apply_propagation(json_t *metadata, const char *propagation)
{
	if (str_is_empty(propagation))
		return;
	finalizer_remove(metadata, FINALIZER_FOREGROUND);
	finalizer_remove(metadata, FINALIZER_ORPHAN);
	if (streq(propagation, "Foreground"))
		finalizer_add(metadata, FINALIZER_FOREGROUND);
	else if (streq(propagation, "Orphan"))
		finalizer_add(metadata, FINALIZER_ORPHAN);
}

int rules_delete(const Key *key, json_t *tree, int64_t grace, const char *propagation, usec_t wall)
{
	json_t *m = metadata_of(tree);

	if (is_deleting(tree))
		return OUTCOME_SAME;
	apply_propagation(m, propagation);
	if (finalizers_left(key, tree) == 0)
		return OUTCOME_REMOVED;
	set_timestamp(m, "deletionTimestamp", wall);
	json_object_set_new(m, "deletionGracePeriodSeconds", json_integer(grace > 0 ? grace : 0));
	bump_generation(m);
	if (key->gr == GR_NAMESPACE)
		json_object_set_new(json_make_object(tree, "status"), "phase",
				    json_string("Terminating"));
	return OUTCOME_CHANGED;
}

int rules_finalize(const Key *key, json_t *tree, const char *finalizer)
{
	if (!finalizer_remove(metadata_of(tree), finalizer))
		return OUTCOME_SAME;
	return is_deleting(tree) && finalizers_left(key, tree) == 0 ? OUTCOME_REMOVED
								    : OUTCOME_CHANGED;
}

int rules_namespace_finalize(const Key *key, json_t *tree)
{
	json_t *spec = json_make_object(tree, "spec");

	assert(key->gr == GR_NAMESPACE);
	if (json_array_size(json_object_get(spec, "finalizers")) == 0)
		return OUTCOME_SAME;
	json_object_del(spec, "finalizers");
	return is_deleting(tree) && finalizers_left(key, tree) == 0 ? OUTCOME_REMOVED
								    : OUTCOME_CHANGED;
}
