/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instance "web" of world_create_hello(), as stories tell of it. For cmocka's tests.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/world.h"

#define DOMAIN_WEB "default.web"

#define assert_status(w, word) \
	assert_string_equal(world_string(w, "instance", "web", "status.printableStatus"), word)
/* Of its condition Ready. */
#define assert_ready(w, member, wanted) assert_string_equal(world_ready(w, "web", member), wanted)

static inline void power(World *w, const char *id, const char *action)
{
	world_power(w, "web", id, action);
	world_settle(w);
}
