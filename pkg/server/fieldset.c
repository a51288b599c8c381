/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Field sets: which fields of an object a value has, as FieldsV1 trees, and their algebra.
 *
 * A leaf is an empty object. The member "." of a keyed list's item says that the item as such is
 * owned, not only fields in it. See apply.h. Pure.
 */
#include "server/fieldset.h"
#include "base/memory.h"
#include "server/apply.h"
#include "json/json.h"

bool fieldset_is_leaf(const json_t *set)
{
	return json_object_size(set) == 0;
}

char *list_item_key(const Schema *list, const json_t *item)
{
	const char *const *keys = schema_list_map_keys(list);
	_cleanup_(json_decrefp) json_t *key = json_object();
	_cleanup_(xfreep) char *text = NULL;

	if (!json_is_object(item))
		return NULL;
	for (; keys && *keys; keys++) {
		json_t *v = json_object_get(item, *keys);

		if (!v || json_is_object(v) || json_is_array(v))
			return NULL;
		json_object_set(key, *keys, v);
	}
	text = json_canonical(key);
	return xasprintf("k:%s", text);
}

char *set_item_key(const json_t *item)
{
	char *text, *key;

	if (json_is_object(item) || json_is_array(item))
		return NULL;
	text = json_dumps(item, JSON_ENCODE_ANY | JSON_COMPACT);
	key = xasprintf("v:%s", text ? text : "null");
	free(text);
	return key;
}

Hashmap *list_index(const Schema *schema, const json_t *list)
{
	Hashmap *index;
	json_t *item;
	size_t i;

	if (!json_is_array(list) || !schema)
		return NULL;
	index = hashmap_new(NULL);
	json_array_foreach (list, i, item) {
		_cleanup_(xfreep) char *key = schema_list_type(schema) == LIST_MAP
						      ? list_item_key(schema, item)
						      : set_item_key(item);

		if (key && !hashmap_contains(index, key))
			hashmap_put(index, key, item);
	}
	return index;
}

ListType list_type_of(const Schema *schema, const json_t *list)
{
	ListType type = schema ? schema_list_type(schema) : LIST_ATOMIC;
	_cleanup_(json_decrefp) json_t *seen = json_object();
	json_t *item;
	size_t i;

	/* A list whose items lack their keys, or share one, is invalid: as one value it stays as it
	 * is, and validation refuses it. */
	json_array_foreach (list, i, item) {
		_cleanup_(xfreep) char *key = type == LIST_MAP   ? list_item_key(schema, item)
					      : type == LIST_SET ? set_item_key(item)
								 : NULL;

		if (!key || json_object_get(seen, key))
			return LIST_ATOMIC;
		json_object_set_new(seen, key, json_true());
	}
	return type;
}

static json_t *fields_of_list(const Schema *schema, const json_t *value)
{
	ListType type = list_type_of(schema, value);
	json_t *set = json_object(), *item;
	size_t i;

	if (type == LIST_ATOMIC)
		return set;
	json_array_foreach (value, i, item) {
		_cleanup_(xfreep) char *key =
			type == LIST_MAP ? list_item_key(schema, item) : set_item_key(item);
		json_t *child = json_object();

		if (type == LIST_MAP) {
			json_decref(child);
			child = fieldset_of(schema_items(schema), item);
			json_object_set_new(child, ".", json_object());
		}
		json_object_set_new(set, key, child);
	}
	return set;
}

json_t *fieldset_of(const Schema *schema, const json_t *value)
{
	const char *name;
	json_t *set, *child;

	if (json_is_array(value))
		return fields_of_list(schema, value);
	set = json_object();
	if (!json_is_object(value) || (schema && schema_is_atomic_map(schema)))
		return set;
	json_object_foreach ((json_t *)value, name, child) {
		_cleanup_(xfreep) char *key = xasprintf("f:%s", name);

		if (!json_is_null(child))
			json_object_set_new(
				set, key,
				fieldset_of(schema ? schema_property(schema, name) : NULL, child));
	}
	return set;
}

bool fieldset_subtract(json_t *set, const json_t *other)
{
	const char *key;
	json_t *child;
	void *next;

	json_object_foreach_safe(set, next, key, child)
	{
		const json_t *theirs = json_object_get(other, key);

		if (!theirs)
			continue;
		if (fieldset_is_leaf(child) || fieldset_is_leaf(theirs) ||
		    fieldset_subtract(child, theirs))
			json_object_del(set, key);
	}
	return fieldset_is_leaf(set);
}

void fieldset_union(json_t *set, const json_t *other)
{
	const char *key;
	json_t *theirs;

	json_object_foreach ((json_t *)other, key, theirs) {
		json_t *mine = json_object_get(set, key);

		if (mine)
			fieldset_union(mine, theirs);
		else
			json_object_set_new(set, key, json_deep_copy(theirs));
	}
}
