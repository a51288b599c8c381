/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Field sets: making them, their algebra, and their two texts. See fieldset.h. Children are sorted,
 * so each operation is one merge of two lists per level.
 */
#include "api/fieldset.h"

#include <math.h>
#include <stdlib.h>

#include "api/schema.h"
#include "base/memory.h"
#include "json/json.h"

#define EXACT_MAX 9007199254740992.0 /* 2^53: up to here a double is an integer or is not */

/* ---- making ---- */

void field_builder_add(FieldBuilder *b, const FieldSet *child)
{
	if (!child)
		return;
	if (b->n == b->cap) {
		size_t cap = b->cap ? b->cap * 2 : 8;
		const FieldSet **items = arena_new(b->arena, const FieldSet *, cap);

		if (b->n)
			memcpy(items, b->items, b->n * sizeof(*items));
		b->items = items;
		b->cap = cap;
	}
	if (b->n && strcmp(b->items[b->n - 1]->step, child->step) >= 0)
		b->unsorted = true;
	b->items[b->n++] = child;
}

static int compare_steps(const void *a, const void *b)
{
	return strcmp((*(const FieldSet *const *)a)->step, (*(const FieldSet *const *)b)->step);
}

/* Two children of one step are one: their union. */
static void builder_sort(FieldBuilder *b)
{
	size_t n = 1;

	qsort(b->items, b->n, sizeof(*b->items), compare_steps);
	for (size_t i = 1; i < b->n; i++) {
		if (streq(b->items[n - 1]->step, b->items[i]->step))
			b->items[n - 1] = fieldset_union(b->arena, b->items[n - 1], b->items[i]);
		else
			b->items[n++] = b->items[i];
	}
	b->n = n;
}

const FieldSet *field_builder_end(FieldBuilder *b, const char *step, bool member)
{
	FieldSet *s;

	if (b->n == 0 && !member)
		return NULL;
	if (b->unsorted)
		builder_sort(b);
	s = arena_new(b->arena, FieldSet, 1);
	*s = (FieldSet){
		.step = step, .member = member, .n = (uint32_t)b->n, .children = b->items
	};
	return s;
}

/* ---- algebra ---- */

const FieldSet *fieldset_union(Arena *a, const FieldSet *x, const FieldSet *y)
{
	FieldBuilder b = { .arena = a };
	uint32_t i = 0, j = 0;

	if (!x || !y || x == y)
		return x ? x : y;
	while (i < x->n || j < y->n) {
		int c = i == x->n   ? 1
			: j == y->n ? -1
				    : strcmp(x->children[i]->step, y->children[j]->step);

		if (c == 0)
			field_builder_add(&b,
					  fieldset_union(a, x->children[i++], y->children[j++]));
		else
			field_builder_add(&b, c < 0 ? x->children[i++] : y->children[j++]);
	}
	return field_builder_end(&b, x->step, x->member || y->member);
}

const FieldSet *fieldset_intersection(Arena *a, const FieldSet *x, const FieldSet *y)
{
	FieldBuilder b = { .arena = a };
	uint32_t i = 0, j = 0;

	if (!x || !y)
		return NULL;
	while (i < x->n && j < y->n) {
		int c = strcmp(x->children[i]->step, y->children[j]->step);

		if (c == 0)
			field_builder_add(&b,
					  fieldset_intersection(a, x->children[i], y->children[j]));
		i += c <= 0;
		j += c >= 0;
	}
	return field_builder_end(&b, x->step, x->member && y->member);
}

const FieldSet *fieldset_difference(Arena *a, const FieldSet *x, const FieldSet *y)
{
	FieldBuilder b = { .arena = a };
	uint32_t j = 0;

	if (!x || !y)
		return x;
	for (uint32_t i = 0; i < x->n; i++) {
		while (j < y->n && strcmp(y->children[j]->step, x->children[i]->step) < 0)
			j++;
		if (j < y->n && streq(y->children[j]->step, x->children[i]->step))
			field_builder_add(&b,
					  fieldset_difference(a, x->children[i], y->children[j]));
		else
			field_builder_add(&b, x->children[i]);
	}
	return field_builder_end(&b, x->step, x->member && !y->member);
}

const FieldSet *fieldset_child(const FieldSet *s, const char *step)
{
	uint32_t lo = 0, hi = s ? s->n : 0;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = strcmp(s->children[mid]->step, step);

		if (c == 0)
			return s->children[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

bool fieldset_contains(const FieldSet *x, const FieldSet *y)
{
	uint32_t i = 0;

	if (!y || x == y)
		return true;
	if (!x || (y->member && !x->member))
		return false;
	for (uint32_t j = 0; j < y->n; j++) {
		while (i < x->n && strcmp(x->children[i]->step, y->children[j]->step) < 0)
			i++;
		if (i == x->n || !streq(x->children[i]->step, y->children[j]->step) ||
		    !fieldset_contains(x->children[i], y->children[j]))
			return false;
	}
	return true;
}

/* ---- steps ---- */

const char *step_of_member(Arena *a, const char *name)
{
	return arena_strcat(a, "f:", name);
}

/* 1 and 1.0 are one value. A text of the heap; NULL for a list or mapping. */
static char *scalar_text(const json_t *v)
{
	double real = json_real_value(v);

	if (json_is_object(v) || json_is_array(v))
		return NULL;
	if (json_is_real(v) && real == floor(real) && fabs(real) <= EXACT_MAX)
		return xasprintf("%.0f", real);
	return json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
}

static const char *step_of_text(Arena *a, const char *prefix, char *text)
{
	_cleanup_(xfreep) char *owned = text;

	return text ? arena_strcat(a, prefix, text) : NULL;
}

static const char *step_of_keys(Arena *a, json_t *keys)
{
	const char *name;
	json_t *v;

	json_object_foreach (keys, name, v) {
		double real = json_real_value(v);

		if (json_is_real(v) && real == floor(real) && fabs(real) <= EXACT_MAX)
			json_object_set_new(keys, name, json_integer((json_int_t)real));
	}
	return step_of_text(a, "k:", json_canonical(keys));
}

/* Nearly every list has one key, and that a plain word. */
static const char *step_of_word(Arena *a, const char *key, const json_t *v)
{
	const char *s = json_string_value(v);
	size_t n, size;
	char *step;

	if (!s || s[n = strcspn(s, "\"\\\x7f")])
		return NULL;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < ' ')
			return NULL;
	size = strlen(key) + n + sizeof("k:{\"\":\"\"}");
	step = arena_alloc(a, size);
	snprintf(step, size, "k:{\"%s\":\"%s\"}", key, s);
	return step;
}

static const char *step_of_keyed(Arena *a, const Schema *list, const json_t *item)
{
	const char *const *first = schema_list_map_keys(list);
	_cleanup_(json_decrefp) json_t *keys = NULL;
	const char *step;

	if (!json_is_object(item))
		return NULL;
	step = first && *first && !first[1] ? step_of_word(a, *first, json_object_get(item, *first))
					    : NULL;
	if (step)
		return step;
	keys = json_object();
	for (const char *const *k = schema_list_map_keys(list); k && *k; k++) {
		json_t *v = json_object_get(item, *k);

		if (!v)
			v = (json_t *)schema_default_of(schema_property(schema_items(list), *k));
		if (json_is_object(v) || json_is_array(v))
			return NULL;
		if (v)
			json_object_set(keys, *k, v);
	}
	return json_object_size(keys) ? step_of_keys(a, keys) : NULL;
}

const char *step_of_item(Arena *a, const Schema *list, const json_t *item)
{
	switch (schema_list_type(list)) {
	case LIST_MAP:
		return step_of_keyed(a, list, item);
	case LIST_SET:
		return json_is_null(item) ? NULL : step_of_text(a, "v:", scalar_text(item));
	default:
		return NULL;
	}
}

/* ---- from JSON ---- */

/* A step as a client wrote it, in our form; NULL with *ret_bad, or NULL for what nobody knows. */
static const char *step_read(Arena *a, const char *text, bool *ret_bad)
{
	_cleanup_(json_decrefp) json_t *v = NULL;

	*ret_bad = strlen(text) < 2 || text[1] != ':';
	if (*ret_bad)
		return NULL;
	if (*text == 'f' || *text == 'i')
		return arena_strcat(a, "", text);
	if (*text != 'k' && *text != 'v')
		return NULL;
	v = json_loads(text + 2, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	*ret_bad = !v || (*text == 'k' && !json_is_object(v));
	if (*ret_bad)
		return NULL;
	return *text == 'k' ? step_of_keys(a, v) : step_of_text(a, "v:", scalar_text(v));
}

static bool is_atomic(const Schema *s)
{
	return s && (schema_is_atomic_map(s) ||
		     (schema_is_list(s) && schema_list_type(s) == LIST_ATOMIC));
}

static int read_node(Arena *a, const Schema *schema, const char *step, const json_t *v,
		     const FieldSet **ret);

static int read_child(FieldBuilder *b, const Schema *schema, const char *text, const json_t *v)
{
	const FieldSet *child = NULL;
	bool bad;
	const char *step = step_read(b->arena, text, &bad);
	int rc;

	if (bad)
		return -ERR_INVALID;
	if (!step)
		return 0;
	rc = read_node(b->arena, schema_at_step(schema, step), step, v, &child);
	if (rc == 0)
		field_builder_add(b, child);
	return rc;
}

static int read_node(Arena *a, const Schema *schema, const char *step, const json_t *v,
		     const FieldSet **ret)
{
	FieldBuilder b = { .arena = a };
	bool member = false;
	const char *text;
	json_t *child;

	json_object_foreach ((json_t *)v, text, child) {
		if (streq(text, "."))
			member = true;
		else if (!is_atomic(schema) && read_child(&b, schema, text, child) < 0)
			return -ERR_INVALID;
	}
	*ret = field_builder_end(&b, step, (member || b.n == 0) && *step);
	return 0;
}

int fieldset_from_json(Arena *a, const Schema *schema, const json_t *fields, const FieldSet **ret)
{
	return read_node(a, schema, "", fields, ret);
}

/* ---- to JSON and to paths ---- */

static bool add_child(StrBuf *b, const FieldSet *s)
{
	bool ok = json_add_string(b, s->step);

	strbuf_addc(b, ':');
	return ok && fieldset_add_text(b, s);
}

bool fieldset_add_text(StrBuf *b, const FieldSet *s)
{
	bool point = s && s->member && s->n && *s->step, ok = true;

	/* "." is before all steps in the order of texts, in which they are. */
	strbuf_adds(b, point ? "{\".\":{}" : "{");
	for (uint32_t i = 0; s && ok && i < s->n; i++) {
		if (point || i > 0)
			strbuf_addc(b, ',');
		ok = add_child(b, s->children[i]);
	}
	strbuf_addc(b, '}');
	return ok;
}

static void add_keys(StrBuf *path, const char *text)
{
	_cleanup_(json_decrefp) json_t *keys = json_load(text, strlen(text));
	const char *name;
	bool first = true;
	json_t *v;

	strbuf_addc(path, '[');
	json_object_foreach (keys, name, v) {
		_cleanup_(xfreep) char *value = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);

		strbuf_addf(path, "%s%s=%s", first ? "" : ",", name, value ? value : "");
		first = false;
	}
	strbuf_addc(path, ']');
}

static void add_step(StrBuf *path, const char *step)
{
	switch (*step) {
	case 'f':
		strbuf_addf(path, ".%s", step + 2);
		return;
	case 'k':
		add_keys(path, step + 2);
		return;
	case 'v':
		strbuf_addf(path, "[=%s]", step + 2);
		return;
	default:
		strbuf_addf(path, "[%s]", step + 2);
	}
}

static void each_below(const FieldSet *s, StrBuf *path, FieldPathFn fn, void *arg)
{
	size_t len = path->len;

	for (uint32_t i = 0; i < s->n; i++) {
		if (!s->children[i]->member)
			continue;
		add_step(path, s->children[i]->step);
		fn(arg, strbuf_str(path));
		strbuf_truncate(path, len);
	}
	for (uint32_t i = 0; i < s->n; i++) {
		if (!s->children[i]->n)
			continue;
		add_step(path, s->children[i]->step);
		each_below(s->children[i], path, fn, arg);
		strbuf_truncate(path, len);
	}
}

void fieldset_each(const FieldSet *s, FieldPathFn fn, void *arg)
{
	_cleanup_(strbuf_done) StrBuf path = STRBUF_INIT;

	if (s)
		each_below(s, &path, fn, arg);
}
