/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys, objects and their stored heads, kinds and their registry, quantities, conditions, typed
 * specs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/condition.h"
#include "api/object.h"
#include "api/quantity.h"
#include "api/schema.h"
#include "api/types.h"
#include "base/memory.h"
#include "json/json.h"

static const char instance_text[] =
	"{\"apiVersion\":\"shakenfist.io/"
	"v1alpha1\",\"kind\":\"Instance\",\"metadata\":{\"name\":\"web\","
	"\"namespace\":\"default\",\"uid\":\"6f9b1d3e-0000-4000-8000-000000000001\",\"generation\":"
	"3,"
	"\"creationTimestamp\":\"2026-01-01T00:00:00Z\",\"resourceVersion\":\"7\","
	"\"labels\":{\"b\":\"2\",\"a\":\"1\"},"
	"\"annotations\":{\"shakenfist.io/x\":\"y\",\"other\":\"resourceVersion\\\":\\\"9\"},"
	"\"finalizers\":[\"shakenfist.io/teardown\"],"
	"\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"X\",\"name\":\"n\",\"uid\":\"u\","
	"\"controller\":true}]},"
	"\"spec\":{\"disks\":[{\"name\":\"root\",\"image\":\"debian\",\"size\":\"10Gi\"}],"
	"\"interfaces\":[{\"name\":\"eth0\",\"network\":\"front\",\"addresses\":[\"10.0.0.5\"]}]},"
	"\"status\":{\"printableStatus\":\"Running\",\"metadata\":{\"resourceVersion\":\"5\"}}}";

static json_t *tree(const char *text)
{
	json_t *v = NULL;

	assert_int_equal(json_decode(text, strlen(text), &v, NULL), 0);
	return v;
}

static void keys_are_values(void **state _unused_)
{
	Key a = key_make(GR_INSTANCE, "default", "web"),
	    b = key_make(GR_INSTANCE, "default", "web"),
	    c = key_make(GR_INSTANCE, "defaul", "tweb"), n = key_make(GR_NODE, NULL, "one");
	char buf[900];

	assert_ptr_equal(GR_INSTANCE, group_resource("shakenfist.io", "instances"));
	assert_true(key_equal(&a, &b));
	assert_true(key_hash(&a) == key_hash(&b));
	assert_false(key_equal(&a, &c));
	assert_true(key_hash(&a) != key_hash(&c));
	assert_true(key_compare(&c, &a) < 0);
	assert_string_equal(key_format(&a, buf, sizeof(buf)),
			    "instances.shakenfist.io default/web");
	assert_string_equal(key_format(&n, buf, sizeof(buf)), "nodes.shakenfist.io one");
}

static void check_head(const Object *o)
{
	const ObjectHead *h = object_head(o);

	assert_string_equal(h->uid, "6f9b1d3e-0000-4000-8000-000000000001");
	assert_int_equal(h->generation, 3);
	assert_null(h->deletion_timestamp);
	assert_int_equal(h->n_labels, 2);
	assert_string_equal(h->labels[0].key, "a");
	assert_string_equal(object_label(o, "b"), "2");
	assert_null(object_label(o, "c"));
	assert_int_equal(h->n_annotations_kept, 1);
	assert_string_equal(h->annotations_kept[0].value, "y");
	assert_int_equal(h->n_owners, 1);
	assert_true(h->owners[0].controller);
	assert_false(h->owners[0].block_owner_deletion);
	assert_true(object_has_finalizer(o, "shakenfist.io/teardown"));
	assert_false(object_has_finalizer(o, "other"));
	assert_non_null(strstr(h->cells, "Running"));
}

static void an_object_survives_its_stored_parts(void **state _unused_)
{
	_cleanup_(kind_registry_freep) KindRegistry *r = kind_registry_new();
	_cleanup_(kind_unrefp) Kind *k = kind_registry_find(r, GR_INSTANCE);
	_cleanup_(json_decrefp) json_t *t = tree(instance_text);
	_cleanup_(object_unrefp) Object *o = NULL, *back = NULL;
	Key key = key_make(GR_INSTANCE, "default", "web");
	_cleanup_(xfreep) void *head = NULL;
	size_t head_len, len;
	const char *text;

	o = object_new(&key, k, t, 3, 12);
	check_head(o);
	/* The caller's tree is left alone. */
	assert_string_equal(json_string_at(t, "metadata.resourceVersion"), "7");
	object_head_encode(o, &head, &head_len);
	text = object_text(o, &len);
	assert_int_equal(object_new_from_parts(&key, 3, 12, head, head_len, text, len, &back, NULL),
			 0);
	check_head(back);
	assert_string_equal(object_text(back, NULL), text);
	assert_int_equal(object_revision(back), 12);
	assert_int_equal(object_create_revision(back), 3);
}

/* Whatever a damaged database holds, the blob is refused or read within its bounds. */
static void damaged_heads_are_refused(void **state _unused_)
{
	_cleanup_(json_decrefp) json_t *t = tree(instance_text);
	Key key = key_make(GR_INSTANCE, "default", "web");
	_cleanup_(object_unrefp) Object *o = object_new(&key, NULL, t, 1, 1);
	_cleanup_(xfreep) char *head = NULL;
	size_t len;

	object_head_encode(o, (void **)&head, &len);
	for (size_t n = 0; n < len; n++) {
		_cleanup_(xfreep) char *cut = memcpy(xmalloc(n + 1), head, n);
		Object *back = NULL;

		assert_int_equal(object_new_from_parts(&key, 1, 1, cut, n, "{}", 2, &back, NULL),
				 -ERR_INTERNAL);
	}
	for (size_t i = 0; i < len; i++) {
		_cleanup_(object_unrefp) Object *back = NULL;
		char was = head[i];

		head[i] = (char)(was ^ 0xff);
		(void)object_new_from_parts(&key, 1, 1, head, len, "{}", 2, &back, NULL);
		head[i] = was;
	}
}

static void only_the_revision_is_spliced(void **state _unused_)
{
	_cleanup_(json_decrefp) json_t *t = tree(instance_text), *got = NULL,
				       *want = tree(instance_text);
	Key key = key_make(GR_INSTANCE, "default", "web");
	_cleanup_(object_unrefp) Object *o = object_new(&key, NULL, t, 3, 9), *next = NULL;

	next = object_with_revision(o, 3, 1234567890123);
	got = object_decode(next);
	json_set_at(want, "metadata.resourceVersion", json_string("1234567890123"));
	assert_true(json_equal(got, want));
	assert_int_equal(object_revision(next), 1234567890123);
}

static void kinds_are_found_by_any_name(void **state _unused_)
{
	static const char *const words[] = { "vm",        "inst",      "Instance",
					     "instances", "INSTANCES", "instances.shakenfist.io" };
	_cleanup_(kind_registry_freep) KindRegistry *r = kind_registry_new();
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(kind_unrefp) Kind *again = NULL;
	Kind *k;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		k = kind_registry_find_by_word(r, words[i]);
		assert_non_null(k);
		assert_string_equal(k->kind, "Instance");
		kind_unref(k);
	}
	assert_null(kind_registry_find_by_word(r, "instances.example.com"));
	k = kind_registry_find(r, GR_INSTANCE);
	assert_int_equal(kind_from_crd(k->crd, false, &again, &err), 0);
	assert_int_equal(kind_registry_add(r, again, &err), -ERR_FORBIDDEN);
	kind_registry_remove(r, GR_INSTANCE);
	kind_unref(k);
	k = kind_registry_find(r, GR_INSTANCE);
	assert_non_null(k);
	kind_unref(k);
}

static void quantities(void **state _unused_)
{
	static const struct {
		const char *text;
		int64_t value; /* -1 = refused */
	} cases[] = {
		{"1Gi",                   1 << 30  },
		{ "500M",                 500000000},
		{ "1.5Gi",                3 << 29  },
		{ "250m",                 1        },
		{ "1e3",                  1000     },
		{ "0",                    0        },
		{ "1024",                 1024     },
		{ ".5Ki",                 512      },
		{ "1.",                   1        },
		{ "-1",                   -1       },
		{ "",                     -1       },
		{ "Gi",                   -1       },
		{ "1GB",                  -1       },
		{ "8Ei",                  -1       },
		{ "1e99",                 -1       },
		{ " 1",                   -1       },
		{ "1 Gi",                 -1       },
		{ "0x10",                 -1       },
		{ "99999999999999999999", -1       },
		{ "7Ei",                  7LL << 60},
		{ "1n",                   1        },
	};
	char buf[QUANTITY_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t v = 0;
		int rc = quantity_parse(cases[i].text, &v, NULL);

		if (cases[i].value < 0 ? rc != -ERR_INVALID
				       : (rc != 0 || v != (uint64_t)cases[i].value))
			fail_msg("\"%s\" gives %d and %llu", cases[i].text, rc,
				 (unsigned long long)v);
	}
	assert_string_equal(quantity_format(1536ULL << 20, buf), "1536Mi");
	assert_string_equal(quantity_format(1000, buf), "1000");
}

static void conditions_keep_the_time_of_their_status(void **state _unused_)
{
	_cleanup_(json_decrefp) json_t *status = json_object();
	const char *first = "2026-01-01T00:00:00Z";
	usec_t t0, day = 24 * USEC_PER_HOUR;

	assert_int_equal(timestamp_parse(first, &t0), 0);
	assert_true(condition_set(status, "Ready", CONDITION_FALSE, "Starting", "m", 1, t0));
	assert_false(condition_set(status, "Ready", CONDITION_FALSE, "Starting", "m", 1, t0 + day));
	assert_true(condition_set(status, "Ready", CONDITION_FALSE, "Other", "m", 1, t0 + day));
	assert_string_equal(json_string_at(condition_find(status, "Ready"), "lastTransitionTime"),
			    first);
	assert_true(condition_set(status, "Ready", CONDITION_TRUE, "Running", "m", 2, t0 + day));
	assert_string_equal(json_string_at(condition_find(status, "Ready"), "lastTransitionTime"),
			    "2026-01-02T00:00:00Z");
	assert_true(condition_is_true(status, "Ready"));
	assert_true(condition_remove(status, "Ready"));
	assert_null(condition_find(status, "Ready"));
}

static void typed_specs_hold_defaults(void **state _unused_)
{
	_cleanup_(instance_spec_freep) InstanceSpec *s = NULL, *bad = NULL;
	_cleanup_(json_decrefp) json_t *t = tree(instance_text);
	_cleanup_(error_done) Error err = ERROR_INIT;

	assert_int_equal(instance_spec_decode(t, &s, &err), 0);
	assert_int_equal(s->run_strategy, RUN_STRATEGY_ALWAYS);
	assert_int_equal(s->cpus, 1);
	assert_true(s->memory == 1ULL << 30);
	assert_int_equal(s->n_disks, 1);
	assert_string_equal(s->disks[0].image, "debian");
	assert_true(s->disks[0].size == 10ULL << 30);
	assert_string_equal(disk_bus_to_string(s->disks[0].bus), "virtio");
	assert_int_equal(s->interfaces[0].n_addresses, 1);
	assert_false(s->has_cloud_init);
	assert_int_equal(s->termination_grace_period_seconds, 60);
	/* What an older binary stored and this one rejects is an error, not a crash. */
	json_set_at(t, "spec.cpus", json_string("many"));
	assert_int_equal(instance_spec_decode(t, &bad, &err), -ERR_INVALID);
	assert_non_null(strstr(error_message(&err), "spec.cpus"));
}

static void immutable_fields_are_told(void **state _unused_)
{
	_cleanup_(kind_registry_freep) KindRegistry *r = kind_registry_new();
	_cleanup_(kind_unrefp) Kind *k = kind_registry_find(r, GR_INSTANCE);
	_cleanup_(json_decrefp) json_t *old = tree(instance_text), *now = tree(instance_text);
	json_t *disk = json_array_get(json_at(now, "spec.disks"), 0);
	FieldErrors errors = FIELD_ERRORS_INIT;

	json_object_del(now, "status");
	json_object_del(old, "status");
	object_validate(k, now, old, &errors);
	assert_int_equal(errors.n, 0);
	json_object_set_new(disk, "size", json_string("5Gi"));
	json_object_set_new(disk, "image", json_string("other"));
	json_object_set_new(json_array_get(json_at(now, "spec.interfaces"), 0), "network",
			    json_string("back"));
	object_validate(k, now, old, &errors);
	assert_int_equal(errors.n, 3);
	field_errors_done(&errors);
}

/* Long lists whose items must differ are checked in time that grows with their length. */
static void long_unique_lists_are_checked_quickly(void **state _unused_)
{
	_cleanup_(json_decrefp) json_t
		*schema = tree(
			"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\","
			"\"x-kubernetes-list-type\":\"set\",\"items\":{\"type\":\"integer\"}}}}"),
		*v = json_object(), *list = json_array();
	Schema *s = schema_compile(schema, "", NULL);
	FieldErrors errors = FIELD_ERRORS_INIT;
	usec_t begin = clock_now(clock_system());

	for (int i = 0; i < 100000; i++)
		json_array_append_new(list, json_integer(i));
	json_array_append_new(list, json_integer(5));
	json_object_set_new(v, "a", list);
	schema_validate(s, v, &errors);
	assert_int_equal(errors.n, 1);
	assert_string_equal(errors.items[0].path, "a[100000]");
	assert_true(clock_now(clock_system()) - begin < 20 * USEC_PER_SEC);
	field_errors_done(&errors);
	schema_free(s);
}

static void annotations_have_a_limit(void **state _unused_)
{
	_cleanup_(kind_registry_freep) KindRegistry *r = kind_registry_new();
	_cleanup_(kind_unrefp) Kind *k = kind_registry_find(r, GR_NAMESPACE);
	_cleanup_(json_decrefp) json_t *t = tree(
		"{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"a\"}}");
	_cleanup_(xfreep) char *text = memset(xcalloc(300001, 1), 'x', 300000);
	FieldErrors errors = FIELD_ERRORS_INIT;

	json_set_at(t, "metadata.annotations.a", json_string(text));
	object_validate(k, t, NULL, &errors);
	assert_int_equal(errors.n, 1);
	assert_int_equal(errors.items[0].type, FIELD_TOO_LONG);
	field_errors_done(&errors);
}

/* Sizes are bytes in status, and in a table what one reads, and may write as the size of a disk. */
static void sizes_are_columns_for_people(void **state _unused_)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{0,                 "0"     },
		{ 1023,             "1023"  },
		{ 1024,             "1Ki"   },
		{ 1025,             "1.1Ki" },
		{ 25624576,         "24.5Mi"},
		{ 46137344,         "44Mi"  },
		{ (1ULL << 30) - 1, "1Gi"   },
		{ 2361393152,       "2.2Gi" },
		{ 128ULL << 30,     "128Gi" },
		{ 2047ULL << 40,    "2Pi"   },
		{ 7ULL << 60,       "7Ei"   },
	};
	_cleanup_(kind_registry_freep) KindRegistry *r = kind_registry_new();
	_cleanup_(kind_unrefp) Kind *k = kind_registry_find(r, GR_IMAGE);
	_cleanup_(json_decrefp) json_t *bare = json_object(), *none = NULL;
	size_t size = 0;

	while (size < k->n_columns && !streq(k->columns[size].name, "Virtual"))
		size++;
	assert_true(size < k->n_columns);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(json_decrefp) json_t *t =
			json_pack("{s:{s:I}}", "status", "virtualSize", (json_int_t)cases[i].bytes);
		_cleanup_(json_decrefp) json_t *cells = kind_cells(k, t);
		const char *text = json_string_value(json_array_get(cells, size));
		uint64_t back;

		assert_non_null(text);
		assert_string_equal(text, cases[i].text);
		assert_int_equal(quantity_parse(text, &back, NULL), 0);
		assert_true(back >= cases[i].bytes);
	}
	none = kind_cells(k, bare);
	assert_true(json_is_null(json_array_get(none, size)));
}

static void explain_knows_every_field(void **state _unused_)
{
	_cleanup_(kind_registry_freep) KindRegistry *r = kind_registry_new();
	_cleanup_(kind_unrefp) Kind *k = kind_registry_find(r, GR_INSTANCE);
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;
	_cleanup_(error_done) Error err = ERROR_INIT;

	assert_int_equal(schema_explain(k, "spec.disks", false, &out, &err), 0);
	assert_non_null(strstr(out.buf, "image\t<string>"));
	assert_int_equal(schema_explain(k, "", true, &out, &err), 0);
	assert_int_equal(schema_explain(k, "spec.dissk", false, &out, &err), -ERR_NOT_FOUND);
	assert_non_null(strstr(error_message(&err), "did you mean \"disks\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_values),
		cmocka_unit_test(an_object_survives_its_stored_parts),
		cmocka_unit_test(damaged_heads_are_refused),
		cmocka_unit_test(only_the_revision_is_spliced),
		cmocka_unit_test(kinds_are_found_by_any_name),
		cmocka_unit_test(quantities),
		cmocka_unit_test(conditions_keep_the_time_of_their_status),
		cmocka_unit_test(typed_specs_hold_defaults),
		cmocka_unit_test(immutable_fields_are_told),
		cmocka_unit_test(long_unique_lists_are_checked_quickly),
		cmocka_unit_test(annotations_have_a_limit),
		cmocka_unit_test(sizes_are_columns_for_people),
		cmocka_unit_test(explain_knows_every_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
