/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of routes: what a row asks for is what Kubernetes would ask for, and two rows that one
 * request could match ask for the same, so that the decision is never about another row.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/internal.h"

static const Op ops[] = { OP_GET, OP_HEAD, OP_WATCH, OP_POST, OP_PUT, OP_PATCH, OP_DELETE };

/* By method and shape alone. */
static Rule usual_rule(RouteType type, Op op)
{
	bool resource = type >= ROUTE_COLLECTION, collection = type == ROUTE_COLLECTION;

	switch (op) {
	case OP_GET:
	case OP_HEAD:
		return !resource ? RULE_PATH_GET : collection ? RULE_LIST : RULE_GET;
	case OP_WATCH:
		return RULE_WATCH;
	case OP_POST:
		return RULE_CREATE;
	case OP_PUT:
		return RULE_UPDATE;
	case OP_PATCH:
		return RULE_PATCH;
	default:
		return collection ? RULE_DELETECOLLECTION : RULE_DELETE;
	}
}

static void test_rules_are_the_usual_ones(void **state _unused_)
{
	size_t n;
	const RouteRow *rows = route_rows(&n);

	assert_true(n > 20);
	for (size_t i = 0; i < n; i++) {
		assert_non_null(rows[i].handler);
		assert_non_null(rows[i].offered);
		assert_true(rows[i].ops && rows[i].rule > RULE_NONE && rows[i].rule < _RULE_MAX);
		for (size_t k = 0; k < ARRAY_SIZE(ops); k++)
			if ((rows[i].ops & ops[k]) &&
			    rows[i].rule != usual_rule(rows[i].type, ops[k]))
				fail_msg("row %zu (%s/%s) asks for %s", i,
					 rows[i].resource ? rows[i].resource : "*",
					 rows[i].subresource ? rows[i].subresource : "*",
					 rule_verb(rows[i].rule));
	}
}

static bool could_be_same(const char *a, const char *b)
{
	return !a || !b || streq(a, b);
}

static void test_rows_agree(void **state _unused_)
{
	size_t n;
	const RouteRow *rows = route_rows(&n);

	for (size_t i = 0; i < n; i++)
		for (size_t k = i + 1; k < n; k++)
			if (rows[i].type == rows[k].type && (rows[i].ops & rows[k].ops) &&
			    could_be_same(rows[i].resource, rows[k].resource) &&
			    could_be_same(rows[i].subresource, rows[k].subresource) &&
			    rows[i].rule != rows[k].rule)
				fail_msg("rows %zu and %zu ask for %s and %s", i, k,
					 rule_verb(rows[i].rule), rule_verb(rows[k].rule));
}

/* A path that has no row asks for the verb of its method all the same. */
static void test_no_row(void **state _unused_)
{
	const Route sub = { .type = ROUTE_SUBRESOURCE,
			    .of_resource = true,
			    .group = "g",
			    .version = "v1",
			    .resource = "things",
			    .name = "t",
			    .subresource = "nothing" };
	const Route nowhere = { .type = ROUTE_NONE, .group = "" };

	for (size_t k = 0; k < ARRAY_SIZE(ops); k++)
		assert_int_equal(route_rule(&sub, ops[k]), usual_rule(ROUTE_SUBRESOURCE, ops[k]));
	assert_string_equal(rule_verb(route_rule(&nowhere, OP_GET)), "get");
	assert_string_equal(rule_verb(route_rule(&nowhere, OP_POST)), "post");
	assert_string_equal(rule_verb(route_rule(&nowhere, OP_PUT)), "put");
	assert_string_equal(rule_verb(route_rule(&nowhere, OP_PATCH)), "patch");
	assert_string_equal(rule_verb(route_rule(&nowhere, OP_DELETE)), "delete");
	/* no role grants what has no name */
	assert_string_equal(rule_verb(route_rule(&sub, OP_OTHER)), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules_are_the_usual_ones),
		cmocka_unit_test(test_rows_agree),
		cmocka_unit_test(test_no_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
