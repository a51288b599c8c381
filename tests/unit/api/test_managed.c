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

/* What is stored, and then read again in full. */
static void set_live(Fixture *f, json_t *next)
{
	json_t *metadata = json_object_get(next, "metadata");
	const char *text = json_string_value(json_object_get(metadata, "managedFields"));

	if (text) {
		json_t *list = parse(text);
		_cleanup_(xfreep) char *canonical = json_canonical(list);

		assert_string_equal(text, canonical);
		json_object_set_new(metadata, "managedFields", list);
	}
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

/* Of this process, whatever else runs on the machine. */
static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* In time that grows with their length, not with its square. */
static void test_long_lists_merge_quickly(void **state)
{
	_cleanup_(xfreep) char *first = tags(0, 50000), *second = tags(25000, 50000);
	double begin = cpu_seconds();
	Fixture *f = *state;

	assert_int_equal(apply_as(f, "a", false, first), 0);
	assert_int_equal(apply_as(f, "b", false, second), 0);
	assert_int_equal(json_array_size(json_at(f->live, "spec.tags")), 75000);
	assert_int_equal(apply_as(f, "a", false, "{\"spec\":{\"tags\":[]}}"), 0);
	assert_int_equal(json_array_size(json_at(f->live, "spec.tags")), 50000);
	assert_true(cpu_seconds() - begin < 20);
}

/* ---- what managedFields look like ---- */

static json_t *entry_of(const Fixture *f, const char *manager)
{
	json_t *e;
	size_t i;

	json_array_foreach (json_at(f->live, "metadata.managedFields"), i, e)
		if (streq_ptr(json_string_at(e, "manager"), manager))
			return e;
	return NULL;
}

static void expect_fields(const Fixture *f, const char *manager, const char *want)
{
	json_t *e = entry_of(f, manager);
	_cleanup_(xfreep) char *got = e ? json_canonical(json_object_get(e, "fieldsV1")) : NULL;

	if (!streq_ptr(got, want))
		fail_msg("%s owns %s, expected %s", manager, got ? got : "nothing",
			 want ? want : "nothing");
}

/* Eleven updaters are one too many: the two oldest become one. */
static void test_old_updaters_are_merged(void **state)
{
	static const char *const times[] = { "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z" };
	Fixture *f = *state;

	for (int i = 0; i < MANAGED_UPDATERS_MAX + 1; i++) {
		_cleanup_(xfreep) char *name = xasprintf("u%d", i);
		_cleanup_(xfreep) char *patch =
			xasprintf("{\"metadata\":{\"labels\":{\"l%d\":\"x\"}}}", i);

		f->now = i < 2 ? times[i] : LATER;
		update_as(f, name, patch);
	}
	assert_int_equal(n_managers(f), MANAGED_UPDATERS_MAX);
	assert_null(entry_of(f, "u0"));
	expect_fields(f, "ancient-changes",
		      "{\"f:metadata\":{\"f:labels\":{\".\":{},\"f:l0\":{},\"f:l1\":{}}}}");
	assert_string_equal(json_string_at(entry_of(f, "ancient-changes"), "time"), times[1]);
	/* Appliers are not counted. */
	apply_as(f, "team", false, "{\"spec\":{\"a\":1}}");
	assert_int_equal(n_managers(f), MANAGED_UPDATERS_MAX + 1);
}

static void test_times(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *before = NULL;

	update_as(f, "u", "{\"spec\":{\"a\":1,\"b\":\"x\"}}");
	apply_as(f, "m", false, "{\"spec\":{\"deep\":{\"x\":1}}}");
	f->now = LATER;
	/* Taking a field away from somebody does not make his entry newer. */
	update_as(f, "v", "{\"spec\":{\"a\":2}}");
	assert_string_equal(json_string_at(entry_of(f, "u"), "time"), NOW);
	assert_string_equal(json_string_at(entry_of(f, "v"), "time"), LATER);
	before = json_deep_copy(f->live);
	update_as(f, "v", "{\"spec\":{\"a\":2}}");
	apply_as(f, "m", false, "{\"spec\":{\"deep\":{\"x\":1}}}");
	assert_true(json_same(before, f->live));
	/* Only times differ: the live ones stay. */
	json_decref(before);
	before = json_deep_copy(f->live);
	json_object_set_new(entry_of(f, "v"), "time", json_string(NOW));
	managed_settle(before, f->live);
	assert_true(json_same(before, f->live));
}

/* Appliers first, then by time, then by name. */
static void test_order_of_entries(void **state)
{
	static const char *const want[] = { "b", "c", "z", "a" };
	Fixture *f = *state;

	update_as(f, "z", "{\"spec\":{\"a\":1}}");
	f->now = LATER;
	update_as(f, "a", "{\"spec\":{\"b\":\"x\"}}");
	apply_as(f, "c", false, "{\"spec\":{\"deep\":{\"x\":1}}}");
	apply_as(f, "b", false, "{\"spec\":{\"deep\":{\"y\":1}}}");
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		assert_string_equal(
			json_string_at(
				json_array_get(json_at(f->live, "metadata.managedFields"), i),
				"manager"),
			want[i]);
}

/* finalizers are a set, owners are known by uid and whole, an empty map is a field of its own. */
static void test_metadata_and_shapes(void **state)
{
	Fixture *f = *state;

	apply_as(f, "m", false,
		 "{\"metadata\":{\"name\":\"x\",\"finalizers\":[\"a/"
		 "b\"],\"ownerReferences\":[{\"uid\":"
		 "\"1\",\"name\":\"o\"}],\"annotations\":{}},\"spec\":{\"deep\":{},\"flat\":[],"
		 "\"tags\":[],\"a\":null}}");
	expect_fields(
		f, "m",
		"{\"f:metadata\":{\"f:annotations\":{},\"f:finalizers\":{\"v:\\\"a/b\\\"\":{}},"
		"\"f:ownerReferences\":{\"k:{\\\"uid\\\":\\\"1\\\"}\":{}}},\"f:spec\":{"
		"\"f:a\":{},\"f:deep\":{},\"f:flat\":{}}}");
	assert_int_equal(apply_as(f, "n", false,
				  "{\"metadata\":{\"finalizers\":[\"c/d\"],\"ownerReferences\":[{"
				  "\"uid\":\"2\",\"name\":\"p\"}]}}"),
			 0);
	assert_int_equal(json_array_size(json_at(f->live, "metadata.finalizers")), 2);
	assert_int_equal(
		apply_as(f, "n", false,
			 "{\"metadata\":{\"ownerReferences\":[{\"uid\":\"1\",\"name\":\"p\"}"
			 "]}}"),
		1);
	assert_string_equal(f->conflict, "\"m\": .metadata.ownerReferences[uid=\"1\"]");
}

/* Applied items in their own order; what only the live list has, stays among its neighbours. */
static void test_order_of_lists(void **state)
{
	static const struct {
		const char *live, *applied, *want;
	} rows[] = {
		{"\"a\",\"b\",\"c\"",        "\"c\",\"a\"",       "\"b\",\"c\",\"a\""      },
		{ "\"a\",\"b\"",             "\"c\"",             "\"a\",\"b\",\"c\""      },
		{ "\"x\",\"a\",\"y\",\"b\"", "\"a\",\"b\"",       "\"x\",\"a\",\"y\",\"b\""},
		{ "\"a\",\"b\"",             "\"n\",\"a\",\"b\"", "\"n\",\"a\",\"b\""      },
		{ "",			"\"b\",\"a\"",       "\"b\",\"a\""            },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Fixture *f = *state;
		_cleanup_(xfreep) char *live =
			xasprintf("{\"spec\":{\"tags\":[%s]}}", rows[i].live);
		_cleanup_(xfreep) char *applied =
			xasprintf("{\"spec\":{\"tags\":[%s]}}", rows[i].applied);
		_cleanup_(xfreep) char *want = xasprintf("{\"tags\":[%s]}", rows[i].want);

		set_live(f, NULL);
		update_as(f, "u", live);
		assert_int_equal(apply_as(f, "m", false, applied), 0);
		expect_spec(f, want);
	}
}

/* What a client writes there is put into our form: keys in order, unknown kinds of steps dropped.
 */
static void test_written_fields_are_normal(void **state)
{
	Fixture *f = *state;

	update_as(f, "u", "{\"spec\":{\"a\":1}}");
	update_as(
		f, "u",
		"{\"metadata\":{\"managedFields\":[{\"manager\":\"w\",\"operation\":\"Apply\","
		"\"apiVersion\":\"test/v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:spec\":{"
		"\"f:tags\":{\"v:1.0\":{}},\"f:disks\":{\"k:{\\\"z\\\": 1, \\\"name\\\":"
		"\\\"q\\\"}\":{\"f:size\":{\"x:what\":{}}}},\"f:flat\":{\"i:0\":{}}}}}]}}");
	/* flat is atomic: owned as a whole by whoever owned an item. */
	expect_fields(f, "w",
		      "{\"f:spec\":{\"f:disks\":{\"k:{\\\"name\\\":\\\"q\\\",\\\"z\\\":1}\":{"
		      "\"f:size\":{}}},\"f:flat\":{},\"f:tags\":{\"v:1\":{}}}}");
	assert_null(entry_of(f, "u")); /* he was not in what he wrote */
	/* Wrong in any part: not believed at all. */
	update_as(
		f, "u",
		"{\"metadata\":{\"managedFields\":[{\"manager\":\"w\",\"operation\":\"Merge\"}]}}");
	assert_non_null(entry_of(f, "w"));
	update_as(f, "u", "{\"metadata\":{\"managedFields\":[]}}");
	assert_int_equal(n_managers(f), 0);
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
		cmocka_unit_test_setup_teardown(test_old_updaters_are_merged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_times, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order_of_entries, setup, teardown),
		cmocka_unit_test_setup_teardown(test_metadata_and_shapes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order_of_lists, setup, teardown),
		cmocka_unit_test_setup_teardown(test_written_fields_are_normal, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
