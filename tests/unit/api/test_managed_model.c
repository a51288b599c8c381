/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership of fields against a model: random schemas, and random sequences of creates, updates,
 * applies and forced applies by several managers. The model knows objects and field sets only as
 * flat tables of paths, shares no code with what it checks, and must agree after every step on the
 * object, on every manager's fields, and on whether an apply conflicts.
 *
 *     test_managed_model [SEED [SEQUENCES]]
 *
 * The seed of a failure is printed and repeats it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/managed.h"
#include "api/schema.h"
#include "base/arena.h"
#include "base/hashmap.h"
#include "base/memory.h"
#include "base/random.h"
#include "tests/unit/api/lib_chance.h"
#include "json/json.h"

#define SEQUENCES 10000
#define STEPS     8
#define MANAGERS  3
#define OWNERS    (2 * MANAGERS + 1)
#define BEFORE    (2 * MANAGERS) /* "before-first-apply" */

static uint64_t seed; /* of the sequence that runs */

/* ---- the model: tables of paths ---- */

/* path -> text of a leaf; "{" or "[" for what holds others, "" where only the paths count */
typedef Hashmap Table;

static char empty_text[] = "", map_text[] = "{", list_text[] = "[";

static Table *table_new(void)
{
	return hashmap_new(NULL);
}

/* Texts are kept for the run of one sequence. */
static Arena texts;

static bool is_container(Type t)
{
	return t == STRUCT || t == FREE_MAP || t == SET || t == KEYED;
}

typedef void (*VisitFn)(void *arg, const char *path, const Node *n, const json_t *v);

static const Node *member_of(const Node *n, const char *name)
{
	static const Node key = { .type = SCALAR };

	if (n->type == FREE_MAP)
		return n->children[0];
	return streq(name, "fk") ? &key : n->children[name[1] - '0'];
}

/* Every value below, with its path; items of sets and keyed lists too. */
static void visit(const Node *n, const json_t *v, const char *path, VisitFn fn, void *arg)
{
	const char *name;
	json_t *child;
	size_t i;

	if (n->type == STRUCT || n->type == FREE_MAP) {
		json_object_foreach ((json_t *)v, name, child) {
			_cleanup_(xfreep) char *at = xasprintf("%s.%s", path, name);

			if (streq(name, "metadata"))
				continue;
			fn(arg, at, member_of(n, name), child);
			visit(member_of(n, name), child, at, fn, arg);
		}
	} else if (n->type == SET) {
		json_array_foreach (v, i, child) {
			static const Node item = { .type = SCALAR };
			_cleanup_(xfreep) char *at =
				xasprintf("%s[=%lld]", path, json_integer_value(child));

			fn(arg, at, &item, child);
		}
	} else if (n->type == KEYED) {
		Node item = *n;

		item.type = STRUCT;
		json_array_foreach (v, i, child) {
			_cleanup_(xfreep) char *at =
				xasprintf("%s[%s]", path, json_string_at(child, "fk"));

			fn(arg, at, &item, child);
			visit(&item, child, at, fn, arg);
		}
	}
}

static void add_path(void *arg, const char *path, const Node *n, const json_t *v)
{
	char *text = !is_container(n->type) ? NULL : json_is_object(v) ? map_text : list_text;

	if (!text) {
		_cleanup_(xfreep) char *own = json_canonical(v);

		text = arena_strcat(&texts, "", own);
	}
	hashmap_put(arg, path, text);
}

static Table *flatten(const Node *n, const json_t *v)
{
	Table *t = table_new();

	visit(n, v, "", add_path, t);
	return t;
}

/* ".name", "[key]" or "[=value]" at the end of a path. */
static const char *last_step(const char *path)
{
	const char *last = path + strlen(path);

	while (last > path && *last != '.' && *last != '[')
		last--;
	return last;
}

/* What an applier of v owns: leaves, items, members of free maps, empty maps. */
static void add_field(void *arg, const char *path, const Node *n, const json_t *v)
{
	const char *last = last_step(path);

	if (!is_container(n->type) || *last == '[' || last[1] == 'x' ||
	    (json_is_object(v) && json_object_size(v) == 0))
		hashmap_put(arg, path, empty_text);
}

static Table *fields_of(const Node *n, const json_t *v)
{
	Table *t = table_new();

	visit(n, v, "", add_field, t);
	return t;
}

/* fields_of() of a table. */
static Table *fields_of_table(const Table *t)
{
	Table *f = table_new();

	hashmap_foreach (it, t) {
		const char *last = last_step(it.key), *text = it.value;
		bool holds = false;

		hashmap_foreach (other, t)
			holds = holds || (str_has_prefix(other.key, it.key) &&
					  strchr(".[", other.key[strlen(it.key)]) &&
					  other.key[strlen(it.key)]);
		/* An empty map is a field, an empty set or keyed list is none. */
		if (*last == '[' || last[1] == 'x' || (text != map_text && text != list_text) ||
		    (text == map_text && !holds))
			hashmap_put(f, it.key, empty_text);
	}
	return f;
}

static bool is_below(const char *path, const char *above)
{
	size_t n = strlen(above);

	return str_has_prefix(path, above) && (path[n] == '.' || path[n] == '[' || !path[n]);
}

/* Each with what is above it, where the schema names that. */
static Table *with_named(const Table *t)
{
	Table *all = table_new();

	hashmap_foreach (it, t) {
		_cleanup_(xfreep) char *path = xstrdup(it.key);

		hashmap_put(all, path, empty_text);
		for (size_t i = strlen(path); i-- > 1;) {
			const char *last;

			if (path[i] != '.' && path[i] != '[')
				continue;
			path[i] = '\0';
			last = strrchr(path, '.');
			if (path[i - 1] != ']' && last && last[1] == 'f')
				hashmap_put(all, path, empty_text);
		}
	}
	return all;
}

static void remove_below(Table *t, const Table *gone)
{
	hashmap_foreach (it, t) {
		bool remove = false;

		hashmap_foreach (g, gone)
			remove = remove || is_below(it.key, g.key);
		if (remove)
			hashmap_remove(t, it.key);
	}
}

static Table *copy_of(const Table *t)
{
	Table *c = table_new();

	hashmap_foreach (it, t)
		hashmap_put(c, it.key, it.value);
	return c;
}

static void add_all(Table *t, const Table *more)
{
	hashmap_foreach (it, more)
		hashmap_put(t, it.key, it.value);
}

typedef struct Model {
	const Node *root;
	Table *object;         /* NULL = there is none */
	Table *owners[OWNERS]; /* appliers, updaters, and who wrote before the first apply */
} Model;

/* ---- the model: writes ---- */

/* The difference as tables: gone, and set (new or another). */
static void difference(const Table *before, const Table *after, Table *gone, Table *set)
{
	if (before)
		hashmap_foreach (it, before)
			if (!hashmap_contains(after, it.key))
				hashmap_put(gone, it.key, empty_text);
	hashmap_foreach (it, after) {
		const char *old = before ? hashmap_get(before, it.key) : NULL;

		if (!old || !streq(old, it.value))
			hashmap_put(set, it.key, empty_text);
	}
}

static void take(Model *m, unsigned but, const Table *what)
{
	for (unsigned i = 0; i < OWNERS; i++)
		if (i != but)
			hashmap_foreach (it, what)
				hashmap_remove(m->owners[i], it.key);
}

/* Only what has owners keeps track of them. */
static bool is_tracked(const Model *m)
{
	size_t n = 0;

	for (unsigned i = 0; i < OWNERS; i++)
		n += hashmap_size(m->owners[i]);
	return n > 0;
}

static void model_update(Model *m, unsigned manager, const json_t *v)
{
	Table *after = flatten(m->root, v);
	bool tracked = is_tracked(m);
	_cleanup_(hashmap_freep) Table *gone = table_new(), *set = table_new();

	difference(m->object, after, gone, set);
	take(m, OWNERS, gone);
	take(m, OWNERS, set);
	if (!m->object || tracked)
		add_all(m->owners[MANAGERS + manager], set);
	hashmap_free(m->object);
	m->object = after;
}

/* What the writer gave up and nobody else holds goes out of the merged object. */
static void model_prune(Model *m, Table *merged, const Table *last)
{
	_cleanup_(hashmap_freep) Table *mine = with_named(last), *held = table_new(),
				       *all_fields = fields_of_table(merged),
				       *all = with_named(all_fields), *first = copy_of(merged),
				       *second = copy_of(merged), *left_fields = NULL, *left = NULL,
				       *managed = NULL, *gone = table_new();

	for (unsigned i = 0; i < OWNERS; i++)
		add_all(held, m->owners[i]);
	managed = with_named(held);
	remove_below(first, mine);
	left_fields = fields_of_table(first);
	left = with_named(left_fields);
	hashmap_foreach (it, all)
		if (!hashmap_contains(left, it.key) && !hashmap_contains(managed, it.key))
			hashmap_put(gone, it.key, empty_text);
	remove_below(second, gone);
	hashmap_free(left_fields);
	hashmap_free(left);
	left_fields = fields_of_table(second);
	left = with_named(left_fields);
	hashmap_free(gone);
	gone = table_new();
	hashmap_foreach (it, all)
		if (!hashmap_contains(left, it.key) && !hashmap_contains(managed, it.key) &&
		    hashmap_contains(mine, it.key))
			hashmap_put(gone, it.key, empty_text);
	remove_below(merged, gone);
}

/* The number of conflicts; 0 = done. */
static size_t model_apply(Model *m, unsigned manager, const json_t *config, bool force)
{
	_cleanup_(hashmap_freep) Table *flat = flatten(m->root, config), *gone = table_new(),
				       *set = table_new(), *last = m->owners[manager];
	Table *merged = m->object ? copy_of(m->object) : table_new();
	size_t conflicts = 0;
	bool first = false;

	if (m->object && !is_tracked(m)) {
		hashmap_foreach (it, m->object)
			hashmap_put(m->owners[BEFORE], it.key, empty_text);
		first = true;
	}
	hashmap_foreach (it, flat)
		hashmap_put(merged, it.key, it.value);
	m->owners[manager] = fields_of(m->root, config);
	if (m->object)
		model_prune(m, merged, last);
	difference(m->object, merged, gone, set);
	for (unsigned i = 0; i < OWNERS; i++)
		hashmap_foreach (it, set)
			conflicts += i != manager && hashmap_contains(m->owners[i], it.key);
	if (conflicts && !force) {
		hashmap_free(m->owners[manager]);
		m->owners[manager] = TAKE_PTR(last);
		hashmap_free(merged);
		if (first)
			take(m, OWNERS, m->object); /* nothing was written */
		return conflicts;
	}
	take(m, manager, gone);
	take(m, manager, set);
	hashmap_free(m->object);
	m->object = merged;
	return 0;
}

/* ---- comparing ---- */

static void paths_of(const json_t *fields, const char *path, Table *t)
{
	const char *step;
	json_t *v;

	json_object_foreach ((json_t *)fields, step, v) {
		_cleanup_(xfreep) char *at = NULL;
		_cleanup_(json_decrefp) json_t *keys = NULL;

		if (streq(step, "."))
			continue;
		keys = *step == 'k' ? json_loads(step + 2, 0, NULL) : NULL;
		at = *step == 'f'   ? xasprintf("%s.%s", path, step + 2)
		     : *step == 'k' ? xasprintf("%s[%s]", path, json_string_at(keys, "fk"))
				    : xasprintf("%s[=%s]", path, step + 2);
		if (json_object_size(v) == 0 || json_object_get(v, "."))
			hashmap_put(t, at, empty_text);
		paths_of(v, at, t);
	}
}

static void expect_same(const Table *want, const Table *got, const char *what, unsigned step)
{
	hashmap_foreach (it, want) {
		const char *text = hashmap_get(got, it.key);

		if (!text || !streq(text, it.value))
			fail_msg("seed %llu, step %u, %s: %s is %s, the model says %s",
				 (unsigned long long)seed, step, what, it.key,
				 text ? text : "absent", *(char *)it.value ? it.value : "there");
	}
	hashmap_foreach (it, got)
		if (!hashmap_contains(want, it.key))
			fail_msg("seed %llu, step %u, %s: %s is there, the model says it is not",
				 (unsigned long long)seed, step, what, it.key);
}

static void check(const Model *m, const json_t *live, unsigned step)
{
	_cleanup_(hashmap_freep) Table *object = flatten(m->root, live);
	size_t entries = 0;

	expect_same(m->object, object, "object", step);
	for (unsigned i = 0; i < OWNERS; i++) {
		_cleanup_(hashmap_freep) Table *owned = table_new();
		_cleanup_(xfreep) char *name = i == BEFORE ? xstrdup("before-first-apply")
							   : xasprintf("m%u", i % MANAGERS);
		_cleanup_(xfreep) char *what =
			xasprintf("%s %s", name, i < MANAGERS ? "Apply" : "Update");
		json_t *e;
		size_t k;

		json_array_foreach (json_at(live, "metadata.managedFields"), k, e)
			if (streq_ptr(json_string_at(e, "manager"), name) &&
			    streq_ptr(json_string_at(e, "operation"),
				      i < MANAGERS ? "Apply" : "Update")) {
				paths_of(json_object_get(e, "fieldsV1"), "", owned);
				entries++;
			}
		expect_same(m->owners[i], owned, what, step);
	}
	assert_int_equal(entries, json_array_size(json_at(live, "metadata.managedFields")));
}

/* ---- sequences ---- */

typedef struct Run {
	Model model;
	Kind kind;
	json_t *live;
	unsigned step;
} Run;

static json_t *object_of(json_t *spec)
{
	return json_pack("{s:{}, s:o}", "metadata", "f0", spec);
}

/* Something like what there is, or something else. */
static json_t *mutated(const Run *r, bool alike)
{
	const json_t *old = json_object_get(r->live, "f0");
	const Node *n = r->model.root->children[0];

	return old && alike ? value_mutate(n, old) : value_new(n);
}

/* What is stored, and then read again in full. */
static void set_live(Run *r, json_t *next)
{
	json_t *metadata = json_object_get(next, "metadata");
	json_t *managed = json_object_get(metadata, "managedFields");

	if (json_is_string(managed))
		json_object_set_new(
			metadata, "managedFields",
			json_load(json_string_value(managed), json_string_length(managed)));
	json_decref(r->live);
	r->live = next;
}

static void step_update(Run *r, unsigned manager)
{
	_cleanup_(xfreep) char *name = xasprintf("m%u", manager);
	FieldWriter w = { .kind = &r->kind, .manager = name, .now = "2026-01-01T00:00:00Z" };
	json_t *next = object_of(mutated(r, true));

	managed_update(&w, r->live, next);
	model_update(&r->model, manager, next);
	set_live(r, next);
}

static void step_apply(Run *r, unsigned manager)
{
	_cleanup_(field_conflicts_done) FieldConflicts conflicts = { 0 };
	_cleanup_(xfreep) char *name = xasprintf("m%u", manager);
	FieldWriter w = { .kind = &r->kind, .manager = name, .now = "2026-01-01T00:00:00Z" };
	_cleanup_(json_decrefp) json_t *config = object_of(mutated(r, chance(3)));
	bool force = chance(2);
	json_t *next = managed_apply(&w, r->live, config, force, &conflicts);
	size_t want = model_apply(&r->model, manager, config, force);

	if (conflicts.total != want)
		fail_msg("seed %llu, step %u: %zu conflicts, the model says %zu",
			 (unsigned long long)seed, r->step, conflicts.total, want);
	if (next)
		set_live(r, next);
}

static void run_sequence(void)
{
	_cleanup_(json_decrefp) json_t *openapi = NULL;
	Node root = { .type = STRUCT, .n = 1 };
	Run r = { 0 };

	chance_state = seed;
	root.children[0] = node_new(0);
	openapi = openapi_of(&root);
	r.kind = (Kind){ .schema = schema_compile(openapi, "", NULL),
			 .api_version = "test/v1",
			 .kind = "Thing" };
	assert_non_null(r.kind.schema);
	r.model.root = &root;
	for (unsigned i = 0; i < OWNERS; i++)
		r.model.owners[i] = table_new();
	for (r.step = 0; r.step < STEPS; r.step++) {
		unsigned manager = chance(MANAGERS);

		if (chance(5) < 2)
			step_update(&r, manager);
		else
			step_apply(&r, manager);
		check(&r.model, r.live, r.step);
	}
	for (unsigned i = 0; i < OWNERS; i++)
		hashmap_free(r.model.owners[i]);
	hashmap_free(r.model.object);
	json_decref(r.live);
	schema_free((Schema *)r.kind.schema);
	node_free(root.children[0]);
	arena_done(&texts);
}

static uint64_t first_seed;
static unsigned long sequences = SEQUENCES;

static void test_against_model(void **state)
{
	(void)state;
	for (unsigned long i = 0; i < sequences; i++) {
		seed = first_seed + i;
		run_sequence();
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_against_model) };

	first_seed = argc > 1 ? strtoull(argv[1], NULL, 10) : random_u64();
	if (argc > 2)
		sequences = strtoul(argv[2], NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
