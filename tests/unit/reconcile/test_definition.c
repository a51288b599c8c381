/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A definition that is deleted takes its objects along; one that is held back holds it back, and is
 * named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "tests/lib/world.h"
#include "json/json.h"

#define CRD "things.example.com"

static int setup(void **state)
{
	World *w = world_new();

	world_start(w);
	world_create(w,
		     "{'apiVersion':'apiextensions.k8s.io/v1','kind':'CustomResourceDefinition',"
		     "'metadata':{'name':'" CRD "'},'spec':{'group':'example.com','scope':"
		     "'Namespaced','names':{'plural':'things','kind':'Thing','singular':'thing'},"
		     "'versions':[{'name':'v1','served':true,'storage':true,'schema':{"
		     "'openAPIV3Schema':{'type':'object'}}}]}}");
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

static void goes_with_its_objects(void **state)
{
	World *w = *state;

	world_create(w, "{'apiVersion':'example.com/v1','kind':'Thing','metadata':{'name':'a'}}");
	world_create(w, "{'apiVersion':'example.com/v1','kind':'Thing','metadata':{'name':'b'}}");
	world_delete(w, "crd", CRD);
	world_settle(w);
	assert_false(world_exists(w, "crd", CRD));
	assert_int_equal(store_count(w->store, group_resource("example.com", "things"), NULL), 0);
}

static void goes_at_once_without_any(void **state)
{
	World *w = *state;

	world_delete(w, "crd", CRD);
	assert_false(world_exists(w, "crd", CRD));
}

static void names_what_holds_it_back(void **state)
{
	World *w = *state;
	_cleanup_(json_decrefp) json_t *crd = NULL;
	const json_t *terminating;

	world_create(w, "{'apiVersion':'example.com/v1','kind':'Thing','metadata':{'name':'held',"
			"'finalizers':['example.com/hold']}}");
	world_create(w, "{'apiVersion':'example.com/v1','kind':'Thing','metadata':{'name':'b'}}");
	world_delete(w, "crd", CRD);
	world_settle(w);
	assert_true(world_exists(w, "crd", CRD));
	crd = world_get(w, "crd", CRD);
	terminating = json_array_get(json_at(crd, "status.conditions"), 2);
	assert_string_equal(json_string_at(terminating, "type"), "Terminating");
	assert_string_equal(json_string_at(terminating, "message"),
			    "CustomResource deletion is in progress: 1 object remains: "
			    "default/held (waits for example.com/hold)");
	world_patch(w, "things", "held", "{'metadata':{'finalizers':null}}");
	world_settle(w);
	assert_false(world_exists(w, "crd", CRD));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(goes_with_its_objects),
		TEST(goes_at_once_without_any),
		TEST(names_what_holds_it_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
