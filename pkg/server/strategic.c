/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strategic merge patch. See strategic.h. Pure; depth is bounded by what JSON may have.
 */
#include "server/strategic.h"

#include "base/memory.h"
#include "json/json.h"

/* Items are looked for one by one, so a list that is merged is not longer than what makes sense. */
#define ITEMS_MAX 1000

#define DIRECTIVE "$patch"
#define RETAIN    "$retainKeys"
#define DELETIONS "$deleteFromPrimitiveList/"
#define ORDER     "$setElementOrder/"

/* How a list is merged. */
typedef struct Strategy {
	bool merges;
	const char *key; /* of its items; NULL = they are plain values */
} Strategy;

/* Where in the object: its metadata has no schema. */
typedef struct Place {
	const Schema *schema;
	bool root, metadata;
} Place;

static Place place_below(const Place *p, const char *name)
{
	return (Place){ .schema = p->schema ? schema_property(p->schema, name) : NULL,
			.metadata = p->root && streq(name, "metadata") };
}

static Strategy strategy_of(const Place *list, const Place *parent, const char *name)
{
	const char *const *keys;

	if (parent->metadata && streq(name, "finalizers"))
		return (Strategy){ .merges = true };
	if (parent->metadata && streq(name, "ownerReferences"))
		return (Strategy){ .merges = true, .key = "uid" };
	if (!list->schema || schema_list_type(list->schema) != LIST_MAP)
		return (Strategy){ 0 };
	keys = schema_list_map_keys(list->schema);
	return (Strategy){ .merges = keys && *keys, .key = keys ? *keys : NULL };
}

static int merge_map(const Place *p, json_t *to, const json_t *patch, Error *err);

/* ---- lists ---- */

static bool list_has(const json_t *list, const json_t *v)
{
	json_t *item;
	size_t i;

	json_array_foreach (list, i, item)
		if (json_same(item, v))
			return true;
	return false;
}

/* The index of the item whose key has that value, or the list's size. */
static size_t find_item(const json_t *list, const char *key, const json_t *value)
{
	json_t *item;
	size_t i;

	json_array_foreach (list, i, item)
		if (value && json_same(json_object_get(item, key), value))
			break;
	return i;
}

static int merge_item(const Place *p, const Strategy *s, json_t *list, const json_t *item,
		      Error *err)
{
	const json_t *value = json_object_get(item, s->key);
	const char *directive = json_string_at(item, DIRECTIVE);
	Place below = { .schema = p->schema ? schema_items(p->schema) : NULL };
	size_t at;

	if (!json_is_object(item) || !value)
		return error_set(err, ERR_INVALID,
				 "an item does not contain the declared merge key: %s", s->key);
	at = find_item(list, s->key, value);
	if (directive && streq(directive, "delete")) {
		/* Also what cannot be there twice, if it is. */
		for (; at < json_array_size(list); at = find_item(list, s->key, value))
			json_array_remove(list, at);
		return 0;
	}
	if (at == json_array_size(list))
		json_array_append_new(list, json_object());
	return merge_map(&below, json_array_get(list, at), item, err);
}

static bool replaces(const json_t *item)
{
	return streq_ptr(json_string_at(item, DIRECTIVE), "replace");
}

static int merge_list(const Place *p, const Strategy *s, json_t *list, const json_t *patch,
		      Error *err)
{
	json_t *item;
	size_t i;
	int rc = 0;

	/* An item that is only {$patch: replace} takes all that was there away. */
	json_array_foreach (patch, i, item)
		if (s->key && replaces(item))
			json_array_clear(list);
	json_array_foreach (patch, i, item) {
		if (!s->key && !list_has(list, item))
			json_array_append(list, item);
		else if (s->key && !replaces(item))
			rc = merge_item(p, s, list, item, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static void delete_values(json_t *list, const json_t *values)
{
	for (size_t i = json_array_size(list); i-- > 0;)
		if (list_has(values, json_array_get(list, i)))
			json_array_remove(list, i);
}

/* The items named by `order` in that order, then those that it does not know. */
static json_t *ordered(const json_t *list, const Strategy *s, const json_t *order)
{
	json_t *out = json_array(), *named, *item;
	size_t i, j;

	json_array_foreach (order, i, named) {
		json_array_foreach (list, j, item) {
			bool same = s->key ? json_same(json_object_get(item, s->key),
						       json_object_get(named, s->key))
					   : json_same(item, named);

			if (same && !list_has(out, item))
				json_array_append(out, item);
		}
	}
	json_array_foreach (list, j, item)
		if (!list_has(out, item))
			json_array_append(out, item);
	return out;
}

static bool is_long(const json_t *v)
{
	return json_array_size(v) > ITEMS_MAX;
}

static int refuse_long(const char *name, Error *err)
{
	return error_set(err, ERR_INVALID, "%.64s: a list of more than %d items is not merged",
			 name, ITEMS_MAX);
}

/* ---- maps ---- */

static int merge_member(const Place *p, json_t *to, const char *name, const json_t *v, Error *err)
{
	json_t *old = json_object_get(to, name);
	Place below = place_below(p, name);
	Strategy s = strategy_of(&below, p, name);

	if (json_is_null(v)) {
		json_object_del(to, name);
		return 0;
	}
	if (json_is_object(v)) {
		if (!json_is_object(old)) {
			old = json_object();
			json_object_set_new(to, name, old);
		}
		return merge_map(&below, old, v, err);
	}
	if (json_is_array(v) && s.merges) {
		if (is_long(v) || is_long(old))
			return refuse_long(name, err);
		if (!json_is_array(old)) {
			old = json_array();
			json_object_set_new(to, name, old);
		}
		return merge_list(&below, &s, old, v, err);
	}
	json_object_set_new(to, name, json_deep_copy(v));
	return 0;
}

/* $retainKeys: what is not named goes. */
static void retain_keys(json_t *to, const json_t *keys)
{
	const char *name;
	json_t *v;
	void *next;

	json_object_foreach_safe(to, next, name, v)
	{
		_cleanup_(json_decrefp) json_t *key = json_string(name);

		if (!list_has(keys, key))
			json_object_del(to, name);
	}
}

/* $setElementOrder/x comes last, when all items are there. */
static void set_orders(const Place *p, json_t *to, const json_t *patch)
{
	const char *name;
	json_t *v;

	json_object_foreach ((json_t *)patch, name, v) {
		const char *member = name + strlen(ORDER);
		json_t *list;
		Strategy s;
		Place below;

		if (!str_has_prefix(name, ORDER))
			continue;
		list = json_object_get(to, member);
		below = place_below(p, member);
		s = strategy_of(&below, p, member);
		if (json_is_array(list) && json_is_array(v) && s.merges)
			json_object_set_new(to, member, ordered(list, &s, v));
	}
}

static int take_directive(json_t *to, const json_t *patch, Error *err)
{
	const json_t *directive = json_object_get(patch, DIRECTIVE);
	const json_t *retain = json_object_get(patch, RETAIN);
	const char *what = json_string_value(directive);

	if (directive &&
	    (!what || (!streq(what, "replace") && !streq(what, "delete") && !streq(what, "merge"))))
		return error_set(err, ERR_INVALID, "unknown patch type found: %s",
				 what ? what : "no text");
	if (what && !streq(what, "merge"))
		json_object_clear(to);
	if (json_is_array(retain))
		retain_keys(to, retain);
	return what && streq(what, "delete");
}

/* Patches in place. */
static int merge_map(const Place *p, json_t *to, const json_t *patch, Error *err)
{
	const char *name;
	json_t *v;
	int rc;

	json_object_foreach ((json_t *)patch, name, v)
		if (*name == '$' && is_long(v))
			return refuse_long(name, err);
	rc = take_directive(to, patch, err);
	if (rc != 0)
		return MIN(rc, 0);
	json_object_foreach ((json_t *)patch, name, v)
		if (str_has_prefix(name, DELETIONS))
			delete_values(json_object_get(to, name + strlen(DELETIONS)), v);
	json_object_foreach ((json_t *)patch, name, v) {
		if (*name == '$')
			continue;
		rc = merge_member(p, to, name, v, err);
		if (rc < 0)
			return rc;
	}
	set_orders(p, to, patch);
	return 0;
}

int strategic_merge(const Schema *schema, const json_t *document, const json_t *patch, json_t **ret,
		    Error *err)
{
	_cleanup_(json_decrefp) json_t *to = json_deep_copy(document);
	Place root = { .schema = schema, .root = true };
	int rc = merge_map(&root, to, patch, err);

	if (rc < 0)
		return rc;
	*ret = TAKE_PTR(to);
	return 0;
}
