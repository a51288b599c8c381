/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership of fields: what updates and applies do to it. See managed.h for the rules.
 */
#include "api/managed.h"

#include "api/managed_internal.h"
#include "api/schema.h"
#include "base/memory.h"
#include "json/json.h"

#define LAST_APPLIED_MANAGER "kubectl"
#define ANNOTATIONS_MAX      (256u * 1024)

void field_conflicts_done(FieldConflicts *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->items[i].manager);
		free(c->items[i].path);
	}
	free(c->items);
	*c = (FieldConflicts){ 0 };
}

/* ---- what is nobody's, or not this writer's ---- */

/* Identity, and what the server gives. */
static bool nobodys(const char *parent, const char *name)
{
	static const char *const metadata[] = { "name",
						"namespace",
						"uid",
						"resourceVersion",
						"generation",
						"creationTimestamp",
						"deletionTimestamp",
						"deletionGracePeriodSeconds",
						"managedFields",
						"selfLink" };

	if (!*parent)
		return streq(name, "apiVersion") || streq(name, "kind");
	if (!streq(parent, "metadata"))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(metadata); i++)
		if (streq(metadata[i], name))
			return true;
	return false;
}

static bool skip(void *arg, const char *parent, const char *name)
{
	const FieldWriter *w = arg;

	if (nobodys(parent, name))
		return true;
	if (*parent || !w->kind->has_status)
		return false;
	/* Each of the two ways to write leaves the other's part as it is. */
	return streq_ptr(w->subresource, "status") != streq(name, "status");
}

/* Metadata as such is always there, and nobody's. */
static const FieldSet metadata_itself = { .step = "f:metadata", .member = true };
static const FieldSet *const metadata_parts[] = { &metadata_itself };
static const FieldSet metadata_set = { .step = "", .n = 1, .children = metadata_parts };

static json_t *managed_of(const json_t *tree)
{
	return json_object_get(json_object_get(tree, "metadata"), "managedFields");
}

static void set_managed(json_t *tree, json_t *list)
{
	json_t *metadata = json_object_get(tree, "metadata");

	if (list)
		json_object_set_new(metadata, "managedFields", list);
	else
		json_object_del(metadata, "managedFields");
}

/* An empty object for what is compared with it, so that metadata as such is nobody's. */
static json_t *nothing(void)
{
	return json_pack("{s:{}}", "metadata");
}

static Difference compare(Arena *a, const FieldWriter *w, const json_t *before, const json_t *after)
{
	return structured_compare(a, w->kind->schema, before, after, skip, (void *)w);
}

static bool is_nothing(const Difference *d)
{
	return !d->removed && !d->modified && !d->added;
}

/* ---- updates ---- */

static bool is_reset(const json_t *list)
{
	const json_t *first = json_array_get(list, 0);

	return json_is_array(list) &&
	       (!first || (json_array_size(list) == 1 && json_is_object(first) &&
			   json_object_size(first) == 0));
}

/* As an array; a new reference. */
static json_t *list_of(const json_t *managed)
{
	return json_is_string(managed)
		       ? json_load(json_string_value(managed), json_string_length(managed))
		       : json_incref((json_t *)managed);
}

static bool same_list(const json_t *a, const json_t *b)
{
	_cleanup_(json_decrefp) json_t *x = NULL, *y = NULL;

	if (json_is_string(a) == json_is_string(b))
		return json_same(a, b);
	x = list_of(a);
	y = list_of(b);
	return json_same(x, y);
}

/* What the write starts from: the entries that the client wrote, or the live ones. */
static void read_entries(const FieldWriter *w, const json_t *live, const json_t *tree,
			 ManagedList *list, bool *ret_rewritten)
{
	const json_t *own = managed_of(tree), *old = managed_of(live);

	*ret_rewritten = false;
	/* Of a subresource only its own part is written. */
	if (!w->subresource && own && own != old && !same_list(own, old)) {
		*ret_rewritten = true;
		if (is_reset(own))
			return;
		if (managed_list_decode(list, w->kind->schema, own, false) == 0 && list->n)
			return;
		*ret_rewritten = false;
	}
	(void)managed_list_decode(list, w->kind->schema, old, true);
}

/* Everybody else loses what was changed, and everybody what is gone. */
static void take_from_others(ManagedList *list, const Difference *d)
{
	const FieldSet *changed = fieldset_union(list->arena, d->modified, d->added);

	for (size_t i = 0; i < list->n; i++) {
		ManagedEntry *e = &list->items[i];
		const FieldSet *lost = fieldset_intersection(
			list->arena, e->set, fieldset_union(list->arena, changed, d->removed));

		if (lost)
			managed_entry_set(e, fieldset_difference(list->arena, e->set, lost));
	}
}

/* The entries after w made that difference. */
static void update_entries(const FieldWriter *w, ManagedList *list, const Difference *d)
{
	const FieldSet *changed = fieldset_union(list->arena, d->modified, d->added);
	ManagedEntry *own = managed_list_find(list, w, false);
	const FieldSet *before = own ? own->set : NULL;

	take_from_others(list, d);
	if (!changed)
		return;
	if (!own)
		own = managed_list_add(list, w, false);
	/* The same set as before is not another one. */
	if (before && !d->removed && fieldset_contains(before, changed))
		own->set = before;
	else
		own->set = fieldset_union(list->arena, own->set, changed);
	managed_entry_touch(own, w->now);
	managed_list_cap(list);
}

void managed_update(const FieldWriter *w, const json_t *live, json_t *tree)
{
	_cleanup_(arena_done) Arena arena = ARENA_INIT;
	_cleanup_(managed_list_done) ManagedList list = { .arena = &arena };
	_cleanup_(json_decrefp) json_t *empty = live ? NULL : nothing();
	bool rewritten;
	Difference d;

	read_entries(w, live, tree, &list, &rewritten);
	if (list.n == 0 && live) {
		set_managed(tree, NULL);
		return;
	}
	d = compare(&arena, w, live ? live : empty, tree);
	if (is_nothing(&d) && !rewritten) {
		set_managed(tree, json_incref(managed_of(live)));
		return;
	}
	update_entries(w, &list, &d);
	set_managed(tree, managed_list_encode(&list));
}

/* ---- conflicts ---- */

static char *manager_text(const ManagedEntry *e)
{
	_cleanup_(json_decrefp) json_t *name = json_string(e->manager);
	_cleanup_(xfreep) char *quoted = json_dumps(name, JSON_ENCODE_ANY);
	bool sub = *e->subresource;

	return xasprintf("%s%s%s%s%s%s", quoted ? quoted : "\"\"",
			 sub ? " with subresource \"" : "", e->subresource, sub ? "\"" : "",
			 e->apply ? "" : " using ", e->apply ? "" : e->api_version);
}

typedef struct ConflictAdd {
	FieldConflicts *conflicts;
	const char *manager;
} ConflictAdd;

static void add_conflict(void *arg, const char *path)
{
	ConflictAdd *a = arg;
	FieldConflicts *c = a->conflicts;

	c->total++;
	if (c->n == MANAGED_CONFLICTS_MAX)
		return;
	GROW_ARRAY(c->items, c->n, c->cap);
	c->items[c->n++] = (FieldConflict){ .manager = xstrdup(a->manager), .path = xstrdup(path) };
}

static int compare_conflicts(const void *a, const void *b)
{
	return strcmp(((const FieldConflict *)a)->manager, ((const FieldConflict *)b)->manager);
}

/* What would have to be taken from others than `own`, but for what is allowed to be. */
static void find_conflicts(ManagedList *list, const ManagedEntry *own, const FieldSet *changed,
			   const FieldSet *allowed, FieldConflicts *conflicts)
{
	for (size_t i = 0; i < list->n; i++) {
		const ManagedEntry *e = &list->items[i];
		_cleanup_(xfreep) char *manager = NULL;
		const FieldSet *both;

		if (e == own)
			continue;
		both = fieldset_intersection(list->arena, e->set, changed);
		both = fieldset_difference(list->arena, both, allowed);
		if (!both)
			continue;
		manager = manager_text(e);
		fieldset_each(both, add_conflict,
			      &(ConflictAdd){ .conflicts = conflicts, .manager = manager });
	}
	/* Managers in order; qsort() need not be stable, so only where it is needed. */
	for (size_t i = 1; i < conflicts->n; i++)
		for (size_t j = i;
		     j > 0 && compare_conflicts(&conflicts->items[j - 1], &conflicts->items[j]) > 0;
		     j--) {
			FieldConflict t = conflicts->items[j];

			conflicts->items[j] = conflicts->items[j - 1];
			conflicts->items[j - 1] = t;
		}
}

/* ---- kubectl's own bookkeeping ---- */

static const char *last_applied(const json_t *tree)
{
	return json_string_value(
		json_object_get(json_at(tree, "metadata.annotations"), ANNOTATION_LAST_APPLIED));
}

/*
 * What the annotation of client-side apply says that kubectl applied, where it still is so: moving
 * to server-side apply, kubectl may take that without being asked.
 */
static const FieldSet *allowed_by_annotation(Arena *a, const FieldWriter *w, const json_t *live)
{
	const char *text = last_applied(live);
	_cleanup_(json_decrefp) json_t *tree = NULL;
	const FieldSet *set;
	Difference d;

	if (!streq_ptr(w->manager, LAST_APPLIED_MANAGER) || str_is_empty(text) ||
	    json_decode(text, strlen(text), &tree, NULL) < 0 ||
	    !streq_ptr(json_string_at(tree, "apiVersion"), w->kind->api_version))
		return NULL;
	set = structured_fields(a, w->kind->schema, tree, skip, (void *)w);
	d = compare(a, w, tree, live);
	set = fieldset_difference(a, set, d.modified);
	set = fieldset_difference(a, set, d.added);
	return fieldset_difference(a, set, d.removed);
}

/* Where there is such an annotation it stays true, so that one can go back to client-side apply. */
static void refresh_annotation(const FieldWriter *w, json_t *tree, const json_t *applied)
{
	_cleanup_(json_decrefp) json_t *copy = NULL;
	_cleanup_(xfreep) char *text = NULL, *line = NULL;
	json_t *annotations, *own, *v;
	size_t total = 0;
	const char *key;

	if (!streq_ptr(w->manager, LAST_APPLIED_MANAGER) || str_is_empty(last_applied(tree)))
		return;
	copy = json_deep_copy(applied);
	own = json_at(copy, "metadata.annotations");
	json_object_del(own, ANNOTATION_LAST_APPLIED);
	if (json_object_size(own) == 0)
		json_object_del(json_object_get(copy, "metadata"), "annotations");
	text = json_canonical(copy);
	line = xasprintf("%s\n", text);
	annotations = json_at(tree, "metadata.annotations");
	json_object_set_new(annotations, ANNOTATION_LAST_APPLIED, json_string(line));
	json_object_foreach (annotations, key, v)
		total += strlen(key) + json_string_length(v);
	if (total > ANNOTATIONS_MAX)
		json_object_del(annotations, ANNOTATION_LAST_APPLIED);
}

/* ---- apply ---- */

/* Everything that is there was written before anybody's fields were known. */
static void add_before_first_apply(const FieldWriter *w, const json_t *live, ManagedList *list)
{
	FieldWriter before = *w;
	_cleanup_(json_decrefp) json_t *empty = nothing();
	Difference d = compare(list->arena, w, empty, live);

	before.manager = "before-first-apply";
	update_entries(&before, list, &d);
}

static const FieldSet *union_of_all(const ManagedList *list)
{
	const FieldSet *all = NULL;

	for (size_t i = 0; i < list->n; i++)
		all = fieldset_union(list->arena, all, list->items[i].set);
	return all;
}

static const FieldSet *named_fields(Arena *a, const FieldWriter *w, const json_t *tree)
{
	const FieldSet *all = structured_fields(a, w->kind->schema, tree, skip, (void *)w);

	return structured_with_named(a, w->kind->schema, all);
}

/*
 * Takes out of the merged object what the writer had applied, no longer does, and nobody else owns.
 * First everything of it goes, then what others own comes back, then what was never the writer's
 * own but only lay in what went.
 */
static void prune(const FieldWriter *w, json_t *merged, const FieldSet *last, ManagedList *list)
{
	Arena *a = list->arena;
	const Schema *s = w->kind->schema;
	const FieldSet *mine, *all, *left, *managed;
	json_t *copy;

	mine = fieldset_difference(a, structured_with_named(a, s, last), &metadata_set);
	all = named_fields(a, w, merged);
	managed = structured_with_named(a, s, union_of_all(list));
	copy = json_deep_copy(merged);
	structured_remove(a, s, copy, mine);
	left = fieldset_union(a, named_fields(a, w, copy), managed);
	json_decref(copy);
	copy = json_deep_copy(merged);
	structured_remove(a, s, copy, fieldset_difference(a, all, left));
	left = fieldset_union(a, named_fields(a, w, copy), managed);
	json_decref(copy);
	structured_remove(a, s, merged,
			  fieldset_intersection(a, fieldset_difference(a, all, left), mine));
}

/* The writer's entry becomes what it applied now. */
static ManagedEntry *own_applied(const FieldWriter *w, ManagedList *list, const json_t *applied,
				 const FieldSet **ret_last)
{
	Arena *a = list->arena;
	const FieldSet *set = fieldset_difference(
		a, structured_fields(a, w->kind->schema, applied, skip, (void *)w), &metadata_set);
	ManagedEntry *own = managed_list_find(list, w, true);

	*ret_last = own ? own->set : NULL;
	if (!own)
		own = managed_list_add(list, w, true);
	else if (fieldset_contains(set, own->set) && fieldset_contains(own->set, set) &&
		 streq(own->api_version, w->kind->api_version))
		return own;
	own->set = set;
	own->api_version = w->kind->api_version;
	managed_entry_touch(own, w->now);
	return own;
}

/* Without its managedFields, sharing all else: they are not merged. */
static json_t *without_managed(const json_t *tree)
{
	json_t *copy = json_copy((json_t *)tree);
	json_t *metadata = json_copy(json_object_get(tree, "metadata"));

	json_object_del(metadata, "managedFields");
	json_object_set_new(copy, "metadata", metadata);
	return copy;
}

json_t *managed_apply(const FieldWriter *w, const json_t *live, const json_t *applied, bool force,
		      FieldConflicts *conflicts)
{
	_cleanup_(arena_done) Arena arena = ARENA_INIT;
	_cleanup_(managed_list_done) ManagedList list = { .arena = &arena };
	_cleanup_(json_decrefp) json_t *base = live ? without_managed(live) : nothing();
	_cleanup_(json_decrefp) json_t *merged = NULL;
	const FieldSet *last, *changed;
	ManagedEntry *own;
	Difference d;

	(void)managed_list_decode(&list, w->kind->schema, managed_of(live), true);
	if (live && list.n == 0)
		add_before_first_apply(w, live, &list);
	merged = structured_merge(&arena, w->kind->schema, base, applied);
	own = own_applied(w, &list, applied, &last);
	if (!fieldset_contains(own->set, last))
		prune(w, merged, last, &list);
	d = compare(&arena, w, base, merged);
	changed = fieldset_union(&arena, d.modified, d.added);
	if (!force)
		find_conflicts(&list, own, changed, allowed_by_annotation(&arena, w, base),
			       conflicts);
	if (conflicts->total)
		return NULL;
	if (!is_nothing(&d)) {
		const FieldSet *mine = own->set;

		take_from_others(&list, &d);
		own->set = mine;
		managed_entry_touch(own, w->now);
	}
	set_managed(merged, managed_list_encode(&list));
	refresh_annotation(w, merged, applied);
	return TAKE_PTR(merged);
}

/* ---- nothing has happened ---- */

static bool same_but_for_time(const json_t *a, const json_t *b)
{
	_cleanup_(json_decrefp) json_t *old = list_of(a), *now = list_of(b);
	size_t n = json_array_size(old), i;
	json_t *x;

	if (n != json_array_size(now))
		return false;
	json_array_foreach (old, i, x) {
		_cleanup_(json_decrefp) json_t *p = json_copy(x);
		_cleanup_(json_decrefp) json_t *q = json_copy(json_array_get(now, i));

		json_object_del(p, "time");
		json_object_del(q, "time");
		if (!json_same(p, q))
			return false;
	}
	return true;
}

void managed_settle(const json_t *live, json_t *tree)
{
	json_t *old = managed_of(live), *now = json_incref(managed_of(tree));

	if (old != now && old && now) {
		set_managed(tree, json_incref(old));
		if (!json_same(live, tree) || !same_but_for_time(old, now))
			set_managed(tree, json_incref(now));
	}
	json_decref(now);
}

size_t managed_count(const json_t *tree)
{
	static const char mark[] = "\"fieldsType\":"; /* in our text each entry has one */
	const json_t *managed = managed_of(tree);
	size_t n = 0;

	if (!json_is_string(managed))
		return json_array_size(managed);
	for (const char *p = strstr(json_string_value(managed), mark); p; p = strstr(p + 1, mark))
		n++;
	return n;
}
