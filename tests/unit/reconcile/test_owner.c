/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collection by ownerReferences: what goes with its owner, and above all what stays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "lib_world.h"

#define STRANGER "00000000-0000-4000-8000-000000000000"

static int setup(void **state)
{
	World *w = world_new();

	world_start(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

/* A thing of that kind whose only owner is named so. */
static void create_owned(World *w, const char *kind, const char *name, const char *owner_version,
			 const char *owner_kind, const char *owner, const char *uid)
{
	_cleanup_(xfreep) char *text =
		xasprintf("{'apiVersion':'%s','kind':'%s','metadata':{'name':'%s',"
			  "'ownerReferences':[{'apiVersion':'%s','kind':'%s','name':'%s',"
			  "'uid':'%s'}]}}",
			  streq(kind, "Node") ? "shakenfist.io/v1alpha1" : "v1", kind, name,
			  owner_version, owner_kind, owner, uid);

	world_create(w, text);
}

static void what_is_owned_goes_with_its_owner(void **state)
{
	World *w = *state;

	world_create(w, "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'owner'}}");
	create_owned(w, "ConfigMap", "owned", "v1", "ConfigMap", "owner",
		     world_string(w, "configmap", "owner", "metadata.uid"));
	world_settle(w);
	assert_true(world_exists(w, "configmap", "owned"));
	world_delete(w, "configmap", "owner");
	world_settle(w);
	assert_false(world_exists(w, "configmap", "owned"));
}

static void an_owner_of_the_same_name_is_a_stranger(void **state)
{
	World *w = *state;

	world_create(w, "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'owner'}}");
	create_owned(w, "ConfigMap", "owned", "v1", "ConfigMap", "owner", STRANGER);
	world_settle(w);
	assert_false(world_exists(w, "configmap", "owned"));
}

/* Nothing goes because its owner cannot be looked up. */
static void what_has_an_owner_beyond_knowing_stays(void **state)
{
	World *w = *state;

	create_owned(w, "ConfigMap", "a", "example.com/v9", "Unknown", "x", STRANGER);
	create_owned(w, "Node", "b", "v1", "ConfigMap", "owner", STRANGER);
	world_settle(w);
	assert_true(world_exists(w, "configmap", "a"));
	assert_true(world_exists(w, "node", "b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_owned_goes_with_its_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(an_owner_of_the_same_name_is_a_stranger, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_has_an_owner_beyond_knowing_stays, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
