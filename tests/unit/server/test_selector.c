/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Label and field selectors against one object, and what is no selector.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "server/selector.h"
#include "json/json.h"

static Object *make_object(void)
{
	static const char text[] =
		"{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"s\","
		"\"namespace\":\"n\",\"uid\":\"00000000-0000-4000-8000-000000000000\","
		"\"generation\":1,\"creationTimestamp\":\"2026-01-01T00:00:00Z\","
		"\"labels\":{\"app\":\"web\",\"a.b/c\":\"\",\"tier\":\"front\",\"n\":\"3\"}},"
		"\"status\":{\"phase\":\"Ready\",\"n\":3,\"ok\":true}}";
	json_t *tree = json_loads(text, 0, NULL);
	Key key = key_make(GR_SECRET, "n", "s");
	Object *o = object_new(&key, NULL, tree, 1, 1);

	json_decref(tree);
	return o;
}

typedef struct Case {
	const char *text;
	int expect; /* 1 matches, 0 does not, -1 is no selector */
} Case;

static void test_labels(void **state _unused_)
{
	static const Case cases[] = {
		{"",				      1 },
		{ "app=web",			      1 },
		{ "app==web",                             1 },
		{ "app = web",                            1 },
		{ "app=db",			       0 },
		{ "app!=db",			      1 },
		{ "app!=web",                             0 },
		{ "none!=x",			      1 },
		{ "app",				  1 },
		{ "!app",				 0 },
		{ "! none",			       1 },
		{ "none",				 0 },
		{ "app in (web,db)",                      1 },
		{ "app in ( db , web )",                  1 },
		{ "app in (db)",                          0 },
		{ "app notin (db)",                       1 },
		{ "app notin (web)",                      0 },
		{ "none notin (x)",                       1 },
		{ "a.b/c=",			       1 },
		{ "a.b/c in ()",                          1 },
		{ "n>2",				  1 },
		{ "n > 3",				0 },
		{ "n<4",				  1 },
		{ "app>1",				0 },
		{ "none<1",			       0 },
		{ "n>x",				  -1},
		{ "n>",				   -1},
		{ "app=web,tier=front",                   1 },
		{ "app=web,tier=back",                    0 },
		{ "app in (web),tier notin (back),!none", 1 },
		{ "app=",				 0 },
		{ "in=x",				 0 },
		{ ",",				    -1},
		{ "app=web,",                             -1},
		{ "app=web;x",                            -1},
		{ "app in web",                           -1},
		{ "app in (web",                          -1},
		{ "=x",				   -1},
		{ "!",				    -1},
	};
	_cleanup_(object_unrefp) Object *o = make_object();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		Selector s = SELECTOR_INIT;
		int rc = selector_parse_labels(cases[i].text, &s, NULL);
		int got = rc < 0 ? -1 : selector_match_labels(&s, o);

		if (got != cases[i].expect)
			fail_msg("\"%s\": %d, expected %d", cases[i].text, got, cases[i].expect);
		selector_done(&s);
	}
}

static void test_fields(void **state _unused_)
{
	static const Case cases[] = {
		{"",				      1 },
		{ "metadata.name=s",                      1 },
		{ "metadata.name==s",                     1 },
		{ "metadata.name!=s",                     0 },
		{ "metadata.namespace=n,metadata.name=s", 1 },
		{ "metadata.namespace=m",                 0 },
		{ "status.phase=Ready",                   1 },
		{ "status.phase!=Ready",                  0 },
		{ "status.n=3",                           1 },
		{ "status.ok=true",                       1 },
		{ "status.none=",                         1 },
		{ "status.none!=",                        0 },
		{ "status.none=x",                        0 },
		{ "status=x",                             0 },
		{ "metadata.name=a\\,b",                  0 },
		{ "metadata.name",                        -1},
		{ "=x",				   -1},
		{ "!=x",				  -1},
		{ "a!b",				  -1},
	};
	_cleanup_(object_unrefp) Object *o = make_object();
	_cleanup_(json_decrefp) json_t *tree = object_decode(o);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		Selector s = SELECTOR_INIT;
		int rc = selector_parse_fields(cases[i].text, &s, NULL);
		int got = rc < 0 ? -1 : selector_match_fields(&s, o, tree);

		if (got != cases[i].expect)
			fail_msg("\"%s\": %d, expected %d", cases[i].text, got, cases[i].expect);
		selector_done(&s);
	}
}

static void test_exact(void **state _unused_)
{
	Selector s;

	assert_int_equal(selector_parse_fields("metadata.name=x,spec.a=b", &s, NULL), 0);
	assert_string_equal(selector_exact(&s, "metadata.name"), "x");
	assert_null(selector_exact(&s, "metadata.namespace"));
	assert_true(selector_needs_tree(&s));
	selector_done(&s);
	assert_int_equal(selector_parse_fields("metadata.name!=x", &s, NULL), 0);
	assert_null(selector_exact(&s, "metadata.name"));
	assert_false(selector_needs_tree(&s));
	selector_done(&s);
}

/* What can be no label selects nothing, which nobody meant to ask. */
static void test_keys_are_labels(void **state _unused_)
{
	static const char *const bad[] = { "/a=b", "-a=b", "a/b/c", "!a b", "example.com/=x" };
	Selector s;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(selector_parse_labels(bad[i], &s, NULL), -ERR_INVALID);
	assert_int_equal(selector_parse_labels("example.com/a.b_c in (x),!D", &s, NULL), 0);
	selector_done(&s);
}

static void test_bounded(void **state _unused_)
{
	_cleanup_(xfreep) char *text = xnew0(char, 3 * (SELECTOR_TERMS_MAX + 2));
	Selector s;

	for (int i = 0; i <= SELECTOR_TERMS_MAX; i++)
		memcpy(text + strlen(text), i ? ",a" : "a", 3 - (i == 0));
	assert_int_equal(selector_parse_labels(text, &s, NULL), -ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_labels),  cmocka_unit_test(test_fields),
		cmocka_unit_test(test_exact),   cmocka_unit_test(test_keys_are_labels),
		cmocka_unit_test(test_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
