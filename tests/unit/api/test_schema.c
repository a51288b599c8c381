/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schemas of users and objects of anybody, with bad intent: what grows, what repeats, what is of
 * another type than it should be, and lists of errors that are full.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/schema.h"
#include "base/clock.h"
#include "base/memory.h"
#include "json/json.h"

static json_t *tree(const char *text)
{
	json_t *v = NULL;

	assert_int_equal(json_decode(text, strlen(text), &v, NULL), 0);
	return v;
}

static Schema *schema(const char *text, Error *err)
{
	_cleanup_(json_decrefp) json_t *v = tree(text);

	return schema_compile(v, "", err);
}

/* A schema whose empty object defaults to 10^depth values. */
static json_t *multiplying(unsigned depth)
{
	json_t *list = json_array();

	if (depth == 0) {
		json_decref(list);
		return json_pack("{s:s}", "type", "object");
	}
	for (int i = 0; i < 10; i++)
		json_array_append_new(list, json_object());
	return json_pack("{s:s,s:{s:{s:s,s:o,s:o}}}", "type", "object", "properties", "a", "type",
			 "array", "default", list, "items", multiplying(depth - 1));
}

static void defaults_do_not_multiply_without_end(void **state _unused_)
{
	_cleanup_(json_decrefp) json_t *openapi = multiplying(12), *v = json_object();
	Schema *s = schema_compile(openapi, "", NULL);
	FieldErrors errors = FIELD_ERRORS_INIT;

	assert_non_null(s);
	schema_default(s, v);
	schema_validate(s, v, &errors);
	assert_int_equal(errors.n, 1);
	assert_int_equal(errors.items[0].type, FIELD_TOO_MANY);
	field_errors_done(&errors);
	schema_free(s);
}

static void back_references_are_refused(void **state _unused_)
{
	_cleanup_(error_done) Error err = ERROR_INIT;

	assert_null(schema("{\"type\":\"string\",\"pattern\":\"(a*)*\\\\1\"}", &err));
	assert_int_equal(err.code, ERR_INVALID);
	schema_free(schema("{\"type\":\"string\",\"pattern\":\"^\\\\d\\\\.[\\\\1]$\"}", NULL));
}

/* One text takes long, many of them take no longer: there is one budget for all. */
static void matching_a_hostile_pattern_has_a_bound(void **state _unused_)
{
	Schema *s = schema("{\"type\":\"array\",\"items\":{\"type\":\"string\",\"pattern\":"
			   "\"^(a|b)*a(a|b){200}$\"}}",
			   NULL);
	Schema *plain = schema("{\"type\":\"string\",\"pattern\":\"^[a-z]+$\"}", NULL);
	_cleanup_(xfreep) char *text = memset(xcalloc(4001, 1), 'a', 4000);
	_cleanup_(json_decrefp) json_t *fine = json_string(text), *many = json_array();
	FieldErrors errors = FIELD_ERRORS_INIT;

	assert_non_null(s);
	for (int i = 0; i < 200; i++)
		json_array_append(many, fine);
	schema_validate(s, many, &errors);
	assert_in_range(errors.n + errors.dropped, 100, 199);
	assert_non_null(strstr(errors.items[0].message, "takes too long"));
	field_errors_done(&errors);
	schema_validate(plain, fine, &errors);
	assert_int_equal(errors.n, 0);
	schema_free(s);
	schema_free(plain);
}

/* The rules of a kind read fields by type. That the list of errors was full before hides nothing.
 */
static void a_full_list_of_errors_does_not_pass_for_none(void **state _unused_)
{
	static const char *const kinds[] = { "instances", "networks", "images" };
	_cleanup_(kind_registry_freep) KindRegistry *r = kind_registry_new();

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		_cleanup_(kind_unrefp) Kind *k =
			kind_registry_find(r, group_resource("shakenfist.io", kinds[i]));
		_cleanup_(json_decrefp) json_t *v =
			tree("{\"apiVersion\":\"shakenfist.io/v1alpha1\",\"kind\":\"Instance\","
			     "\"metadata\":{\"name\":[1],\"labels\":[]},\"spec\":{\"disks\":[1,[]],"
			     "\"interfaces\":[\"x\",{\"name\":{},\"addresses\":[1,{}]}],\"cidrs\":"
			     "[1,{}],\"gateways\":[[]],\"dns\":1,\"source\":[{}],\"memory\":[],"
			     "\"cloudInit\":\"x\"}}");
		FieldErrors errors = FIELD_ERRORS_INIT;

		for (int n = 0; n < 200; n++)
			field_errors_add(&errors, FIELD_UNKNOWN, "x", "unknown field");
		assert_true(errors.n < 200 && errors.n + errors.dropped == 200);
		object_validate(k, v, NULL, &errors);
		assert_true(errors.n + errors.dropped > 200);
		field_errors_done(&errors);
	}
}

/* "did you mean" is worth its time only for the errors that are told. */
static void many_unknown_fields_are_pruned_quickly(void **state _unused_)
{
	_cleanup_(kind_registry_freep) KindRegistry *r = kind_registry_new();
	_cleanup_(kind_unrefp) Kind *k = kind_registry_find(r, GR_INSTANCE);
	_cleanup_(json_decrefp) json_t *v = tree("{\"metadata\":{},\"spec\":{}}");
	FieldErrors unknown = FIELD_ERRORS_INIT;
	usec_t begin;

	for (int i = 0; i < 100000; i++) {
		_cleanup_(xfreep) char *name =
			xasprintf("terminationGracePeriodSecondsAndSomeMore%d", i);

		json_object_set_new(json_object_get(v, "spec"), name, json_null());
		json_object_set_new(json_object_get(v, "metadata"), name, json_null());
	}
	begin = clock_now(clock_system());
	schema_prune(k->schema, v, &unknown);
	assert_true(clock_now(clock_system()) - begin < 5 * USEC_PER_SEC);
	assert_int_equal(unknown.n + unknown.dropped, 200000);
	assert_int_equal(json_object_size(json_object_get(v, "spec")), 0);
	field_errors_done(&unknown);
}

static void long_keys_are_compared_whole(void **state _unused_)
{
	_cleanup_(xfreep) char *same = memset(xcalloc(301, 1), 'x', 300);
	Schema *s = schema("{\"type\":\"array\",\"x-kubernetes-list-type\":\"map\","
			   "\"x-kubernetes-list-map-keys\":[\"k\"],\"items\":{\"type\":\"object\","
			   "\"properties\":{\"k\":{\"type\":\"string\"}}}}",
			   NULL);
	_cleanup_(xfreep) char *a = xasprintf("%sa", same), *b = xasprintf("%sb", same);
	_cleanup_(json_decrefp) json_t *v = json_pack("[{s:s},{s:s}]", "k", a, "k", b);
	FieldErrors errors = FIELD_ERRORS_INIT;

	schema_validate(s, v, &errors);
	assert_int_equal(errors.n, 0);
	json_array_append_new(v, json_pack("{s:s}", "k", a));
	schema_validate(s, v, &errors);
	assert_int_equal(errors.n, 1);
	assert_int_equal(errors.items[0].type, FIELD_DUPLICATE);
	field_errors_done(&errors);
	schema_free(s);
}

static void members_of_wrong_types_say_nothing(void **state _unused_)
{
	Schema *s =
		schema("{\"type\":\"object\",\"required\":{\"a\":1},\"enum\":\"x\",\"pattern\":1,"
		       "\"properties\":{\"a\":{\"minimum\":\"1\",\"maxLength\":[],\"format\":1}}}",
		       NULL);
	_cleanup_(json_decrefp) json_t *v = tree("{\"a\":\"x\"}");
	FieldErrors errors = FIELD_ERRORS_INIT;

	assert_non_null(s);
	schema_validate(s, v, &errors);
	assert_int_equal(errors.n, 0);
	schema_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_do_not_multiply_without_end),
		cmocka_unit_test(back_references_are_refused),
		cmocka_unit_test(matching_a_hostile_pattern_has_a_bound),
		cmocka_unit_test(a_full_list_of_errors_does_not_pass_for_none),
		cmocka_unit_test(many_unknown_fields_are_pruned_quickly),
		cmocka_unit_test(long_keys_are_compared_whole),
		cmocka_unit_test(members_of_wrong_types_say_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
