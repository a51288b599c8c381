/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership of fields as a function: what applies and updates do to it, removal, conflicts, force,
 * lists by their schema.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/managed.h"
#include "api/schema.h"
#include "base/clock.h"
#include "base/memory.h"
#include "json/json.h"

static const char schema_text[] =
	"{\"type\":\"object\",\"properties\":{\"metadata\":{\"type\":\"object\","
	"\"x-kubernetes-preserve-unknown-fields\":true},\"spec\":{\"type\":\"object\","
	"\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"string\"},"
	"\"flat\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
	"\"tags\":{\"type\":\"array\",\"x-kubernetes-list-type\":\"set\",\"items\":{\"type\":"
	"\"string\"}},\"deep\":{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"integer\"},"
	"\"y\":{\"type\":\"integer\"}}},"
	"\"disks\":{\"type\":\"array\",\"x-kubernetes-list-type\":\"map\","
	"\"x-kubernetes-list-map-keys\":[\"name\"],\"items\":{\"type\":\"object\",\"required\":"
	"[\"name\"],\"properties\":{\"name\":{\"type\":\"string\"},\"size\":{\"type\":\"integer\"},"
	"\"bus\":{\"type\":\"string\"}}}}}}}}";

typedef struct Fixture {
	Kind kind;
	Schema *schema;
	json_t *live;
	const char *now; /* NULL = NOW */
	char *conflict;
} Fixture;

static int setup(void **state)
{
	Fixture *f = xnew0(Fixture, 1);
	json_t *openapi = json_loads(schema_text, 0, NULL);

	f->schema = schema_compile(openapi, "", NULL);
	json_decref(openapi);
	assert_non_null(f->schema);
	f->kind = (Kind){ .schema = f->schema, .api_version = "test/v1", .kind = "Thing" };
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	Fixture *f = *state;

	json_decref(f->live);
	free(f->conflict);
	schema_free(f->schema);
	free(f);
	return 0;
}

#define NOW   "2026-01-01T00:00:00Z"
#define LATER "2026-02-01T00:00:00Z"

static FieldWriter writer(const Fixture *f, const char *manager)
{
	return (FieldWriter){ .kind = &f->kind, .manager = manager, .now = f->now ? f->now : NOW };
}

static json_t *parse(const char *text)
{
	json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);

	if (!v)
		fail_msg("no JSON: %s", text);
	return v;
}

static void set_live(Fixture *f, json_t *next)
{
	json_decref(f->live);
	f->live = next;
}

/* Applies text as manager; the number of conflicts, 0 = done. The first one is kept in f->conflict.
 */
static size_t apply_as(Fixture *f, const char *manager, bool force, const char *text)
{
	_cleanup_(field_conflicts_done) FieldConflicts conflicts = { 0 };
	_cleanup_(json_decrefp) json_t *applied = parse(text);
	FieldWriter w = writer(f, manager);
	json_t *next = managed_apply(&w, f->live, applied, force, &conflicts);

	assert_true(!next == (conflicts.total > 0));
	if (next)
		set_live(f, next);
	free(f->conflict);
	f->conflict = conflicts.n ? xasprintf("%s: %s", conflicts.items[0].manager,
					      conflicts.items[0].path)
				  : NULL;
	return conflicts.total;
}

/* A merge patch by manager; a create if there is nothing. */
static void update_as(Fixture *f, const char *manager, const char *patch_text)
{
	_cleanup_(json_decrefp) json_t *patch = parse(patch_text);
	json_t *base = f->live ? json_deep_copy(f->live) : parse("{\"metadata\":{}}");
	FieldWriter w = writer(f, manager);
	json_t *next = json_merge_patch(base, patch);

	json_decref(base);
	managed_update(&w, f->live, next);
	set_live(f, next);
}

static void expect_spec(Fixture *f, const char *text)
{
	_cleanup_(json_decrefp) json_t *want = json_loads(text, 0, NULL);
	json_t *got = json_object_get(f->live, "spec");

	if (!json_same(want, got)) {
		_cleanup_(xfreep) char *s = json_canonical(got);

		fail_msg("spec is %s, expected %s", s, text);
	}
}

static size_t n_managers(const Fixture *f)
{
	return json_array_size(json_at(f->live, "metadata.managedFields"));
}

static void test_removed_fields_go(void **state)
{
	Fixture *f = *state;

	apply_as(f, "m", false, "{\"spec\":{\"a\":1,\"b\":\"x\",\"deep\":{\"x\":1}}}");
	update_as(f, "other", "{\"spec\":{\"deep\":{\"y\":2}}}");
	assert_int_equal(apply_as(f, "m", false, "{\"spec\":{\"a\":2}}"), 0);
	expect_spec(f, "{\"a\":2,\"deep\":{\"y\":2}}");
	assert_int_equal(n_managers(f), 2);
}

static void test_same_again_changes_nothing(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *before = NULL;

	apply_as(f, "m", false, "{\"spec\":{\"a\":1,\"tags\":[\"x\"]}}");
	apply_as(f, "n", false, "{\"spec\":{\"b\":\"y\"}}");
	before = json_deep_copy(f->live);
	assert_int_equal(apply_as(f, "m", false, "{\"spec\":{\"a\":1,\"tags\":[\"x\"]}}"), 0);
	assert_int_equal(apply_as(f, "n", false, "{\"spec\":{\"b\":\"y\"}}"), 0);
	assert_true(json_same(before, f->live));
}

static void test_conflict_and_force(void **state)
{
	Fixture *f = *state;

	apply_as(f, "m", false, "{\"spec\":{\"a\":1,\"b\":\"x\"}}");
	assert_int_equal(apply_as(f, "n", false, "{\"spec\":{\"a\":2}}"), 1);
	expect_spec(f, "{\"a\":1,\"b\":\"x\"}");
	/* The same value is no conflict: both own it then. */
	assert_int_equal(apply_as(f, "n", false, "{\"spec\":{\"a\":1}}"), 0);
	assert_int_equal(apply_as(f, "m", false, "{\"spec\":{\"b\":\"x\"}}"), 0);
	expect_spec(f, "{\"a\":1,\"b\":\"x\"}");
	assert_int_equal(apply_as(f, "m", false, "{\"spec\":{\"a\":3,\"b\":\"x\"}}"), 1);
	assert_int_equal(apply_as(f, "m", true, "{\"spec\":{\"a\":3,\"b\":\"x\"}}"), 0);
	expect_spec(f, "{\"a\":3,\"b\":\"x\"}");
	assert_int_equal(n_managers(f), 1); /* n lost all it had */
}

static void test_keyed_list(void **state)
{
	Fixture *f = *state;

	apply_as(f, "m", false,
		 "{\"spec\":{\"disks\":[{\"name\":\"root\",\"size\":1},{\"name\":\"data\"}]}}");
	json_set_at(f->live, "spec.b", json_string("kept"));
	json_object_set_new(json_array_get(json_at(f->live, "spec.disks"), 1), "bus",
			    json_string("virtio"));
	assert_int_equal(apply_as(f, "n", false,
				  "{\"spec\":{\"disks\":[{\"name\":\"root\",\"bus\":\"sata\"},"
				  "{\"name\":\"more\"}]}}"),
			 0);
	assert_int_equal(
		apply_as(f, "m", false, "{\"spec\":{\"disks\":[{\"name\":\"root\",\"size\":2}]}}"),
		0);
	/* "data" went whole, with what was defaulted in it; what n owns stays. */
	expect_spec(f, "{\"b\":\"kept\",\"disks\":[{\"name\":\"root\",\"size\":2,\"bus\":\"sata\"},"
		       "{\"name\":\"more\"}]}");
	assert_int_equal(apply_as(f, "m", false, "{\"spec\":{}}"), 0);
	expect_spec(f, "{\"b\":\"kept\",\"disks\":[{\"name\":\"root\",\"bus\":\"sata\"},"
		       "{\"name\":\"more\"}]}");
}

static void test_set_and_atomic(void **state)
{
	Fixture *f = *state;

	apply_as(f, "m", false, "{\"spec\":{\"tags\":[\"a\",\"b\"],\"flat\":[\"1\",\"2\"]}}");
	assert_int_equal(apply_as(f, "n", false, "{\"spec\":{\"tags\":[\"c\"]}}"), 0);
	expect_spec(f, "{\"tags\":[\"a\",\"b\",\"c\"],\"flat\":[\"1\",\"2\"]}");
	assert_int_equal(apply_as(f, "n", false, "{\"spec\":{\"flat\":[\"1\"]}}"), 1);
	assert_int_equal(apply_as(f, "m", false, "{\"spec\":{\"tags\":[\"b\"],\"flat\":[\"3\"]}}"),
			 0);
	expect_spec(f, "{\"tags\":[\"b\",\"c\"],\"flat\":[\"3\"]}");
}

static void test_labels_are_owned(void **state)
{
	Fixture *f = *state;

	apply_as(f, "m", false, "{\"metadata\":{\"name\":\"x\",\"labels\":{\"a\":\"1\"}}}");
	update_as(f, "other", "{\"metadata\":{\"labels\":{\"b\":\"2\"}}}");
	assert_int_equal(apply_as(f, "m", false, "{\"metadata\":{\"name\":\"x\"}}"), 0);
	assert_null(json_at(f->live, "metadata.labels.a"));
	assert_string_equal(json_string_at(f->live, "metadata.labels.b"), "2");
	assert_string_equal(json_string_at(f->live, "metadata.name"), "x");
}

/* managedFields can be written by clients: nonsense in it must do no harm. */
static void test_hostile_managed_fields(void **state)
{
	static const char *const bad[] = {
		"[1,\"x\",null,{}]",
		"[{\"manager\":\"m\",\"operation\":\"Apply\",\"fieldsV1\":[1]}]",
		"[{\"manager\":\"m\",\"operation\":\"Apply\",\"fieldsV1\":{\"f:spec\":{\"q\":{},"
		"\"k:\":{},\"k:{\":{\"f:a\":{}},\"v:\":{},\"f:\":{},\"f:a\":3}}}]",
		"[{\"manager\":\"n\",\"operation\":\"Apply\",\"fieldsV1\":{\"f:spec\":{\"f:a\":{"
		"\"f:deep\":{}},\"\":{},\".\":{}}}}]",
		"{\"a\":1}",
	};
	Fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		apply_as(f, "m", true, "{\"spec\":{\"a\":1}}");
		json_set_at(f->live, "metadata.managedFields",
			    json_loads(bad[i], JSON_DECODE_ANY, NULL));
		apply_as(f, "m", true, "{\"spec\":{\"a\":2,\"b\":\"y\",\"tags\":[\"t\"]}}");
		assert_int_equal(json_integer_at(f->live, "spec.a", 0), 2);
	}
}

/* A long list of tags, each a number from `from` on. */
static char *tags(int from, int n)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;

	strbuf_adds(&b, "{\"spec\":{\"tags\":[");
	for (int i = 0; i < n; i++)
		strbuf_addf(&b, "%s\"%d\"", i ? "," : "", from + i);
	strbuf_adds(&b, "]}}");
	return strbuf_take(&b);
}

/* In time that grows with their length, not with its square. */
static void test_long_lists_merge_quickly(void **state)
{
	_cleanup_(xfreep) char *first = tags(0, 50000), *second = tags(25000, 50000);
	usec_t begin = clock_now(clock_system());
	Fixture *f = *state;

	assert_int_equal(apply_as(f, "a", false, first), 0);
	assert_int_equal(apply_as(f, "b", false, second), 0);
	assert_int_equal(json_array_size(json_at(f->live, "spec.tags")), 75000);
	assert_int_equal(apply_as(f, "a", false, "{\"spec\":{\"tags\":[]}}"), 0);
	assert_int_equal(json_array_size(json_at(f->live, "spec.tags")), 50000);
	assert_true(clock_now(clock_system()) - begin < 20 * USEC_PER_SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_removed_fields_go, setup, teardown),
		cmocka_unit_test_setup_teardown(test_same_again_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_conflict_and_force, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keyed_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_set_and_atomic, setup, teardown),
		cmocka_unit_test_setup_teardown(test_labels_are_owned, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_managed_fields, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_lists_merge_quickly, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
