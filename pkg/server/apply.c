/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-side apply. See apply.h for the rules. Pure; any thread.
 */
#include "server/apply.h"

#include <stdlib.h>

#include "base/memory.h"
#include "server/fieldset.h"
#include "json/json.h"

void apply_conflicts_done(ApplyConflicts *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->items[i].manager);
		free(c->items[i].path);
	}
	free(c->items);
	*c = (ApplyConflicts){ 0 };
}

static void conflict_add(ApplyConflicts *c, const char *manager, const char *path)
{
	if (c->n == APPLY_CONFLICTS_MAX)
		return;
	GROW_ARRAY(c->items, c->n, c->cap);
	c->items[c->n++] = (ApplyConflict){ .manager = xstrdup(manager), .path = xstrdup(path) };
}

/* ---- what of an object is owned ---- */

/* The applied object without what nobody owns: identity and what the server gives. */
static json_t *ownable(const json_t *applied)
{
	static const char *const metadata_fields[] = {
		"name",
		"namespace",
		"uid",
		"resourceVersion",
		"generation",
		"creationTimestamp",
		"deletionTimestamp",
		"managedFields",
		"deletionGracePeriodSeconds",
		"selfLink",
		"generateName",
	};
	json_t *copy = json_deep_copy(applied), *metadata;

	json_object_del(copy, "apiVersion");
	json_object_del(copy, "kind");
	metadata = json_object_get(copy, "metadata");
	for (size_t i = 0; i < ARRAY_SIZE(metadata_fields); i++)
		json_object_del(metadata, metadata_fields[i]);
	if (json_object_size(metadata) == 0)
		json_object_del(copy, "metadata");
	return copy;
}

/* One step down, by a FieldsV1 key; index is the value's list_index(). */
static const json_t *value_at(const json_t *value, const Hashmap *index, const char *key)
{
	if (str_has_prefix(key, "f:"))
		return json_object_get(value, key + 2);
	return index ? hashmap_get(index, key) : NULL;
}

static const Schema *schema_at(const Schema *schema, const char *key)
{
	if (!schema)
		return NULL;
	return str_has_prefix(key, "f:") ? schema_property(schema, key + 2) : schema_items(schema);
}

static char *path_step(const char *path, const char *key)
{
	if (str_has_prefix(key, "f:"))
		return xasprintf("%s.%s", path, key + 2);
	if (str_has_prefix(key, "k:")) {
		_cleanup_(json_decrefp) json_t *keys = json_loads(key + 2, 0, NULL);
		_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;
		const char *name;
		json_t *v;

		json_object_foreach (keys, name, v) {
			char *text = json_dumps(v, JSON_ENCODE_ANY);

			strbuf_addf(&b, "%s%s=%s", b.len ? "," : "", name, text ? text : "");
			free(text);
		}
		return xasprintf("%s[%s]", path, strbuf_str(&b));
	}
	return xasprintf("%s[=%s]", path, key + 2);
}

/* ---- conflicts ---- */

typedef struct ConflictScan {
	const char *manager;
	ApplyConflicts *conflicts;
	json_t *lost; /* what a forced apply takes from that manager, as a set */
} ConflictScan;

/* The same value; or one of the two owns only the empty container that the other fills. */
static bool merges_without_loss(const json_t *mine, const json_t *theirs, const json_t *applied,
				const json_t *live)
{
	if (json_same(applied, live))
		return true;
	return (!fieldset_is_leaf(mine) || !fieldset_is_leaf(theirs)) && applied && live &&
	       json_typeof(applied) == json_typeof(live);
}

/* Where both own a field and the applied value is another than the live one. */
static void find_conflicts(ConflictScan *scan, const Schema *schema, const json_t *mine,
			   const json_t *theirs, const json_t *applied, const json_t *live,
			   const char *path, json_t *lost)
{
	_cleanup_(hashmap_freep) Hashmap *applied_index = list_index(schema, applied),
					 *live_index = list_index(schema, live);
	const char *key;
	json_t *my_child;

	json_object_foreach ((json_t *)mine, key, my_child) {
		const json_t *their_child = json_object_get(theirs, key);
		const json_t *a, *l;
		_cleanup_(xfreep) char *step = NULL;

		if (!their_child || streq(key, "."))
			continue;
		a = value_at(applied, applied_index, key);
		l = value_at(live, live_index, key);
		step = path_step(path, key);
		if (!fieldset_is_leaf(my_child) && !fieldset_is_leaf(their_child)) {
			json_t *deeper = json_object();

			find_conflicts(scan, schema_at(schema, key), my_child, their_child, a, l,
				       step, deeper);
			if (json_object_size(deeper))
				json_object_set(lost, key, deeper);
			json_decref(deeper);
		} else if (!merges_without_loss(my_child, their_child, a, l)) {
			conflict_add(scan->conflicts, scan->manager, step);
			json_object_set_new(lost, key, json_object());
		}
	}
}

/* ---- removing ---- */

static int compare_pointers(const void *a, const void *b)
{
	const void *x = *(void *const *)a, *y = *(void *const *)b;

	return x < y ? -1 : x > y;
}

/* Takes those n items out of the list, in one pass. */
static void remove_items(json_t *list, const json_t **items, size_t n)
{
	_cleanup_(json_decrefp) json_t *all = n ? json_copy(list) : NULL;
	json_t *item;
	size_t i;

	if (!n)
		return;
	qsort(items, n, sizeof(*items), compare_pointers);
	json_array_clear(list);
	json_array_foreach (all, i, item)
		if (!bsearch(&item, items, n, sizeof(*items), compare_pointers))
			json_array_append(list, item);
}

/* Takes what was ours, is no longer named, and is nobody else's out of the live value. */
static void remove_disowned(const Schema *schema, json_t *live, const json_t *was, const json_t *is,
			    const json_t *others)
{
	_cleanup_(hashmap_freep) Hashmap *index = list_index(schema, live);
	_cleanup_(xfreep) const json_t **gone = xnew0(const json_t *, json_object_size(was) + 1);
	const char *key;
	size_t n_gone = 0;
	json_t *old;

	json_object_foreach ((json_t *)was, key, old) {
		const json_t *now = json_object_get(is, key);
		const json_t *other = json_object_get(others, key);
		json_t *child = (json_t *)value_at(live, index, key);
		bool member = str_has_prefix(key, "f:");

		if (!child)
			continue;
		if (!fieldset_is_leaf(old) && (member || now || other)) {
			remove_disowned(schema_at(schema, key), child, old, now, other);
			if (now || other || (json_is_object(child) && json_object_size(child)) ||
			    (json_is_array(child) && json_array_size(child)))
				continue;
		}
		if (now || other)
			continue;
		if (member)
			json_object_del(live, key + 2);
		else
			gone[n_gone++] = child;
	}
	remove_items(live, gone, n_gone);
}

/* ---- merging ---- */

static json_t *merge_value(const Schema *schema, json_t *live, const json_t *applied);

static json_t *merge_list(const Schema *schema, json_t *live, const json_t *applied)
{
	ListType type = list_type_of(schema, applied);
	_cleanup_(hashmap_freep) Hashmap *index = NULL;
	json_t *item;
	size_t i;

	if (type == LIST_ATOMIC || !json_is_array(live) ||
	    list_type_of(schema, live) == LIST_ATOMIC)
		return json_deep_copy(applied);
	index = list_index(schema, live);
	json_array_foreach (applied, i, item) {
		_cleanup_(xfreep) char *key =
			type == LIST_MAP ? list_item_key(schema, item) : set_item_key(item);
		json_t *found = hashmap_get(index, key);

		if (!found)
			json_array_append_new(live, json_deep_copy(item));
		else if (type == LIST_MAP)
			json_decref(merge_value(schema_items(schema), found, item));
	}
	return json_incref(live);
}

/* Sets everything of `applied` in `live`, in place where both are objects; the result, a new
 * reference. */
static json_t *merge_value(const Schema *schema, json_t *live, const json_t *applied)
{
	const char *name;
	json_t *v;

	if (json_is_array(applied))
		return merge_list(schema, live, applied);
	if (!json_is_object(applied) || !json_is_object(live) ||
	    (schema && schema_is_atomic_map(schema)))
		return json_deep_copy(applied);
	json_object_foreach ((json_t *)applied, name, v) {
		const Schema *child = schema ? schema_property(schema, name) : NULL;

		if (!json_is_null(v))
			json_object_set_new(live, name,
					    merge_value(child, json_object_get(live, name), v));
	}
	return json_incref(live);
}

/* ---- managedFields ---- */

static bool entry_is(const json_t *entry, const char *manager, const char *subresource)
{
	const char *sub = json_string_at(entry, "subresource");

	return streq_ptr(json_string_at(entry, "operation"), "Apply") &&
	       streq_ptr(json_string_at(entry, "manager"), manager) &&
	       streq(sub ? sub : "", subresource ? subresource : "");
}

static const json_t *entry_fields(const json_t *entry)
{
	const json_t *fields = json_object_get(entry, "fieldsV1");

	return json_is_object(fields) ? fields : NULL;
}

static json_t *entry_new(const Kind *kind, const char *manager, const char *subresource,
			 const char *now, json_t *fields)
{
	json_t *entry = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "manager", manager, "operation",
				  "Apply", "apiVersion", kind->api_version, "time", now,
				  "fieldsType", "FieldsV1", "fieldsV1", fields);

	if (subresource)
		json_object_set_new(entry, "subresource", json_string(subresource));
	return entry;
}

json_t *apply_new(const Kind *kind, const json_t *applied, const char *manager, const char *now)
{
	_cleanup_(json_decrefp) json_t *own = ownable(applied);
	json_t *tree = json_deep_copy(applied), *list = json_array();

	json_array_append_new(list,
			      entry_new(kind, manager, NULL, now, fieldset_of(kind->schema, own)));
	json_set_at(tree, "metadata.managedFields", list);
	return tree;
}

typedef struct Owners {
	json_t *mine;        /* what we owned before; borrowed, may be NULL */
	json_t *others;      /* union of everybody else's, after what force takes */
	json_t *list;        /* the managedFields to be; ours stays where it was */
	const json_t *entry; /* our old one */
	size_t at;           /* its place in list */
} Owners;

/* Sorts the entries into ours and others', looking for conflicts on the way. */
static void scan_owners(const ApplyRequest *a, const json_t *own, const json_t *set,
			ApplyConflicts *conflicts, Owners *ret)
{
	const json_t *entries = json_at(a->live, "metadata.managedFields");
	json_t *entry;
	size_t i;

	json_array_foreach (entries, i, entry) {
		const char *manager = json_string_at(entry, "manager");
		_cleanup_(json_decrefp) json_t *copy = json_deep_copy(entry);
		_cleanup_(json_decrefp) json_t *lost = json_object();
		ConflictScan scan = { .manager = manager ? manager : "",
				      .conflicts = conflicts,
				      .lost = lost };
		json_t *fields;

		if (entry_is(entry, a->manager, a->subresource)) {
			ret->entry = entry;
			ret->mine = (json_t *)entry_fields(entry);
			ret->at = json_array_size(ret->list);
			json_array_append(ret->list, copy);
			continue;
		}
		fields = (json_t *)entry_fields(copy);
		if (fields) {
			find_conflicts(&scan, a->kind->schema, set, fields, own, a->live, "", lost);
			if (fieldset_subtract(fields, lost) && json_object_size(lost))
				continue; /* nothing left to that manager */
			fieldset_union(ret->others, fields);
		}
		json_array_append(ret->list, copy);
	}
}

json_t *apply_to(const ApplyRequest *a, ApplyConflicts *conflicts)
{
	_cleanup_(json_decrefp) json_t *own = ownable(a->applied);
	_cleanup_(json_decrefp) json_t *set = fieldset_of(a->kind->schema, own);
	_cleanup_(json_decrefp) json_t *others = json_object();
	_cleanup_(json_decrefp) json_t *list = json_array();
	Owners owners = { .others = others, .list = list };
	json_t *tree;

	scan_owners(a, own, set, conflicts, &owners);
	if (conflicts->n && !a->force)
		return NULL;
	tree = json_deep_copy(a->live);
	if (owners.mine)
		remove_disowned(a->kind->schema, tree, owners.mine, set, others);
	json_decref(merge_value(a->kind->schema, tree, own));
	/* The same fields again: the entry keeps its time, so that nothing has changed. */
	if (!owners.entry)
		json_array_append_new(list, entry_new(a->kind, a->manager, a->subresource, a->now,
						      json_incref(set)));
	else if (!json_same(owners.mine, set))
		json_array_set_new(
			list, owners.at,
			entry_new(a->kind, a->manager, a->subresource, a->now, json_incref(set)));
	json_set_at(tree, "metadata.managedFields", json_deep_copy(list));
	return tree;
}
