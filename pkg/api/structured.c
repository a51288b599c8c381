/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking one value or two by their schema. See structured.h. Every walk is one pass; items of
 * lists are brought together by sorting them by their steps.
 */
#include "api/structured.h"

#include <stdlib.h>

#include "api/schema.h"
#include "base/hashmap.h"
#include "base/memory.h"
#include "json/json.h"

/* How a value takes part in a walk. */
typedef enum Shape { SHAPE_LEAF, SHAPE_MAP, SHAPE_LIST } Shape;

/* A list's items with their steps, sorted by step. n = 0 for what is no list. */
typedef struct Item {
	const char *step;
	json_t *value;
	size_t at;
} Item;

typedef struct Items {
	Item *items;
	size_t n;
} Items;

static int compare_items(const void *a, const void *b)
{
	return strcmp(((const Item *)a)->step, ((const Item *)b)->step);
}

/* False if the list cannot be walked item by item. */
static bool items_of(Arena *a, const Schema *s, const json_t *list, Items *ret)
{
	size_t n = json_array_size(list), i;
	bool sorted = true;
	json_t *v;

	*ret = (Items){ .items = n ? arena_new(a, Item, n) : NULL };
	json_array_foreach (list, i, v) {
		const char *step = step_of_item(a, s, v);

		if (!step)
			return false;
		sorted = sorted && (i == 0 || strcmp(ret->items[i - 1].step, step) < 0);
		ret->items[ret->n++] = (Item){ .step = step, .value = v, .at = i };
	}
	if (sorted)
		return true;
	qsort(ret->items, n, sizeof(*ret->items), compare_items);
	for (i = 1; i < n; i++)
		if (streq(ret->items[i - 1].step, ret->items[i].step))
			return false;
	return true;
}

/* `items` is filled in for SHAPE_LIST. */
static Shape shape_of(Arena *a, const Schema *s, const json_t *v, unsigned depth, Items *items)
{
	*items = (Items){ 0 };
	if (depth >= STRUCTURED_DEPTH)
		return SHAPE_LEAF;
	if (json_is_object(v))
		return schema_is_atomic_map(s) ? SHAPE_LEAF : SHAPE_MAP;
	if (json_is_array(v) && schema_is_list(s) && schema_list_type(s) != LIST_ATOMIC &&
	    items_of(a, s, v, items))
		return SHAPE_LIST;
	return SHAPE_LEAF;
}

/* What a walk passes over. */
typedef struct Walk {
	Arena *arena;
	StructuredSkipFn skip;
	void *arg;
} Walk;

static bool passed_over(const Walk *w, const char *step, unsigned depth, const char *name)
{
	if (!w->skip || depth > 1)
		return false;
	return w->skip(w->arg, depth ? step + 2 : "", name);
}

/* ---- the fields of a value ---- */

static const FieldSet *fields_of(const Walk *w, const Schema *s, const json_t *v, const char *step,
				 bool member, unsigned depth)
{
	Arena *a = w->arena;
	FieldBuilder b = { .arena = a };
	const char *name;
	json_t *child;
	Items items;

	switch (shape_of(a, s, v, depth, &items)) {
	case SHAPE_LEAF:
		return field_builder_end(&b, step, true);
	case SHAPE_LIST:
		for (size_t i = 0; i < items.n; i++)
			field_builder_add(&b, fields_of(w, schema_items(s), items.items[i].value,
							items.items[i].step, true, depth + 1));
		return field_builder_end(&b, step, member);
	case SHAPE_MAP:
		json_object_foreach ((json_t *)v, name, child) {
			bool empty = json_is_object(child) && json_object_size(child) == 0;

			if (passed_over(w, step, depth, name))
				continue;
			field_builder_add(&b,
					  fields_of(w, schema_member(s, name), child,
						    step_of_member(a, name),
						    empty || !schema_names(s, name), depth + 1));
		}
		break;
	}
	return field_builder_end(&b, step, member);
}

const FieldSet *structured_fields(Arena *a, const Schema *s, const json_t *v, StructuredSkipFn skip,
				  void *arg)
{
	Walk w = { .arena = a, .skip = skip, .arg = arg };
	const FieldSet *set = fields_of(&w, s, v, "", false, 0);

	return set && set->n ? set : NULL;
}

/* ---- comparing ---- */

typedef struct DifferenceBuilder {
	FieldBuilder removed, modified, added;
} DifferenceBuilder;

static Difference compare_values(const Walk *c, const Schema *s, const json_t *before,
				 const json_t *after, const char *step, unsigned depth);

static void add_difference(DifferenceBuilder *b, Difference d)
{
	field_builder_add(&b->removed, d.removed);
	field_builder_add(&b->modified, d.modified);
	field_builder_add(&b->added, d.added);
}

static Difference end_difference(DifferenceBuilder *b, const char *step, bool removed,
				 bool modified, bool added)
{
	return (Difference){
		.removed = field_builder_end(&b->removed, step, removed),
		.modified = field_builder_end(&b->modified, step, modified),
		.added = field_builder_end(&b->added, step, added),
	};
}

static void compare_member(const Walk *c, const Schema *s, const char *name, const json_t *before,
			   const json_t *after, const char *step, unsigned depth,
			   DifferenceBuilder *b)
{
	const Schema *member;

	/* Most of what is compared is a plain value that has stayed: no step is needed for that. */
	if (before && after && !json_is_object(before) && !json_is_array(before) &&
	    json_same(before, after))
		return;
	if (passed_over(c, step, depth, name))
		return;
	member = schema_member(s, name);
	add_difference(b, compare_values(c, member, before, after, step_of_member(c->arena, name),
					 depth + 1));
}

static void compare_maps(const Walk *c, const Schema *s, const json_t *before, const json_t *after,
			 const char *step, unsigned depth, DifferenceBuilder *b)
{
	const char *name;
	json_t *v;

	json_object_foreach ((json_t *)before, name, v)
		compare_member(c, s, name, v, json_object_get(after, name), step, depth, b);
	json_object_foreach ((json_t *)after, name, v)
		if (!json_object_get(before, name))
			compare_member(c, s, name, NULL, v, step, depth, b);
}

static void compare_lists(const Walk *c, const Schema *s, const Items *before, const Items *after,
			  unsigned depth, DifferenceBuilder *b)
{
	size_t i = 0, j = 0;

	while (i < before->n || j < after->n) {
		int order = i == before->n  ? 1
			    : j == after->n ? -1
					    : strcmp(before->items[i].step, after->items[j].step);
		const Item *x = order <= 0 ? &before->items[i++] : NULL;
		const Item *y = order >= 0 ? &after->items[j++] : NULL;

		add_difference(b, compare_values(c, schema_items(s), x ? x->value : NULL,
						 y ? y->value : NULL, x ? x->step : y->step,
						 depth + 1));
	}
}

static size_t container_size(const json_t *v)
{
	return json_is_object(v) ? json_object_size(v) : json_array_size(v);
}

static Difference compare_values(const Walk *c, const Schema *s, const json_t *before,
				 const json_t *after, const char *step, unsigned depth)
{
	DifferenceBuilder b = { { .arena = c->arena },
				{ .arena = c->arena },
				{ .arena = c->arena } };
	Items x = { 0 }, y = { 0 };
	Shape was = before ? shape_of(c->arena, s, before, depth, &x) : SHAPE_LEAF;
	Shape is = after ? shape_of(c->arena, s, after, depth, &y) : SHAPE_LEAF;
	bool alike = before && after && was == is && json_typeof(before) == json_typeof(after);
	bool leaf = (was == SHAPE_LEAF && is == SHAPE_LEAF) ||
		    container_size(before) + container_size(after) == 0;
	bool changed;

	if (before == after)
		return (Difference){ 0 };
	if (!leaf && (was == SHAPE_MAP || is == SHAPE_MAP))
		compare_maps(c, s, was == SHAPE_MAP ? before : NULL, is == SHAPE_MAP ? after : NULL,
			     step, depth, &b);
	if (!leaf && (was == SHAPE_LIST || is == SHAPE_LIST))
		compare_lists(c, s, was == SHAPE_LIST ? &x : &(Items){ 0 },
			      is == SHAPE_LIST ? &y : &(Items){ 0 }, depth, &b);
	changed = before && after && (leaf ? !json_same(before, after) : !alike);
	return end_difference(&b, step, !after, changed, !before);
}

Difference structured_compare(Arena *a, const Schema *s, const json_t *before, const json_t *after,
			      StructuredSkipFn skip, void *arg)
{
	Walk c = { .arena = a, .skip = skip, .arg = arg };

	return compare_values(&c, s, before, after, "", 0);
}

/* ---- merging ---- */

static json_t *merge_values(Arena *a, const Schema *s, const json_t *live, const json_t *applied,
			    unsigned depth);

static json_t *merge_maps(Arena *a, const Schema *s, const json_t *live, const json_t *applied,
			  unsigned depth)
{
	json_t *result = json_object(), *v;
	const char *name;

	json_object_foreach ((json_t *)live, name, v)
		json_object_set_new_nocheck(result, name,
					    merge_values(a, schema_member(s, name), v,
							 json_object_get(applied, name),
							 depth + 1));
	json_object_foreach ((json_t *)applied, name, v)
		if (!json_object_get(live, name))
			json_object_set_new_nocheck(result, name, json_deep_copy(v));
	return result;
}

static const Item *item_find(const Items *items, const char *step)
{
	Item key = { .step = step };

	return items->n ? bsearch(&key, items->items, items->n, sizeof(key), compare_items) : NULL;
}

/* In the order of the list itself. */
static Item *items_in_order(Arena *a, const Items *sorted)
{
	Item *v = sorted->n ? arena_new(a, Item, sorted->n) : NULL;

	for (size_t i = 0; i < sorted->n; i++)
		v[sorted->items[i].at] = sorted->items[i];
	return v;
}

typedef struct ListMerge {
	Arena *arena;
	const Schema *item_schema;
	const Items *live, *applied;
	Item *l, *r;  /* the same, in their own order */
	bool *merged; /* of the live items, by their place: those that were taken with applied ones
		       */
	json_t *result;
	unsigned depth;
} ListMerge;

static void take(ListMerge *m, const Item *l, const Item *r)
{
	if (l)
		m->merged[l->at] = true;
	json_array_append_new(m->result, merge_values(m->arena, m->item_schema, l ? l->value : NULL,
						      r ? r->value : NULL, m->depth + 1));
}

/* The place in r of the next applied item, from `from` on, that the live list has too. */
static size_t next_shared(const ListMerge *m, size_t from)
{
	while (from < m->applied->n && !item_find(m->live, m->r[from].step))
		from++;
	return from;
}

/*
 * Items that only the live list has stay where they are among their neighbours; the applied ones
 * come in their own order.
 */
static json_t *merge_lists(ListMerge *m)
{
	size_t i = 0, j = 0, shared = next_shared(m, 0);

	while (i < m->live->n || j < m->applied->n) {
		const Item *l = i < m->live->n ? &m->l[i] : NULL;
		const Item *r = j < m->applied->n ? &m->r[j] : NULL;
		bool both = l && item_find(m->applied, l->step);

		if (shared < j)
			shared = next_shared(m, j);
		if (l && !both) {
			take(m, l, NULL);
			i++;
		} else if (l && r && streq(l->step, r->step)) {
			take(m, l, r);
			i++, j++;
		} else if (l && r && shared < m->applied->n && !streq(m->r[shared].step, l->step)) {
			i++; /* it comes, or came, with the applied one */
		} else {
			if (l && (m->merged[l->at] || !r))
				i++;
			if (r)
				take(m, item_find(m->live, m->r[j++].step), r);
		}
	}
	return m->result;
}

static json_t *merge_values(Arena *a, const Schema *s, const json_t *live, const json_t *applied,
			    unsigned depth)
{
	ListMerge m = { .arena = a, .item_schema = schema_items(s), .depth = depth };
	Items x, y;
	Shape was, is;

	if (!live || !applied)
		return json_deep_copy(applied ? applied : live);
	was = shape_of(a, s, live, depth, &x);
	is = shape_of(a, s, applied, depth, &y);
	if (was != is || is == SHAPE_LEAF)
		return json_deep_copy(applied);
	if (is == SHAPE_MAP)
		return merge_maps(a, s, live, applied, depth);
	m.live = &x;
	m.applied = &y;
	m.l = items_in_order(a, &x);
	m.r = items_in_order(a, &y);
	m.merged = arena_new(a, bool, x.n + 1);
	memset(m.merged, 0, x.n + 1);
	m.result = json_array();
	return merge_lists(&m);
}

json_t *structured_merge(Arena *a, const Schema *s, const json_t *live, const json_t *applied)
{
	return merge_values(a, s, live, applied, 0);
}

/* ---- removing ---- */

static void remove_from_map(Arena *a, const Schema *s, json_t *map, const FieldSet *fields)
{
	for (uint32_t i = 0; i < fields->n; i++) {
		const FieldSet *f = fields->children[i];
		json_t *v = *f->step == 'f' ? json_object_get(map, f->step + 2) : NULL;

		if (!v)
			continue;
		if (f->member)
			json_object_del(map, f->step + 2);
		else
			structured_remove(a, schema_member(s, f->step + 2), v, f);
	}
}

static void remove_from_list(Arena *a, const Schema *s, json_t *list, const FieldSet *fields)
{
	_cleanup_(json_decrefp) json_t *all = NULL;
	json_t *item;
	Items items;
	size_t i;

	if (schema_list_type(s) == LIST_ATOMIC || !schema_is_list(s) ||
	    !items_of(a, s, list, &items))
		return;
	all = json_copy(list);
	json_array_clear(list);
	json_array_foreach (all, i, item) {
		const char *step = step_of_item(a, s, item);
		const FieldSet *f = fieldset_child(fields, step);

		if (f && f->member)
			continue;
		if (f)
			structured_remove(a, schema_items(s), item, f);
		json_array_append(list, item);
	}
}

void structured_remove(Arena *a, const Schema *s, json_t *tree, const FieldSet *fields)
{
	if (!fields)
		return;
	if (json_is_object(tree) && !schema_is_atomic_map(s))
		remove_from_map(a, s, tree, fields);
	else if (json_is_array(tree))
		remove_from_list(a, s, tree, fields);
}

const FieldSet *structured_with_named(Arena *a, const Schema *s, const FieldSet *fields)
{
	FieldBuilder b = { .arena = a };

	if (!fields)
		return NULL;
	for (uint32_t i = 0; i < fields->n; i++) {
		const FieldSet *f = fields->children[i];
		const FieldSet *below = structured_with_named(a, schema_at_step(s, f->step), f);
		FieldSet *named;

		if (!f->member && *f->step == 'f' && schema_names(s, f->step + 2)) {
			named = arena_new(a, FieldSet, 1);
			*named = *below;
			named->member = true;
			below = named;
		}
		field_builder_add(&b, below);
	}
	return field_builder_end(&b, fields->step, fields->member);
}
