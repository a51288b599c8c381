/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON: decoding, paths, both patches, jsonpath and templates, as tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "json/json.h"

static json_t *tree(const char *text)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	json_t *v = NULL;

	if (json_decode(text, strlen(text), &v, &err) < 0)
		fail_msg("%s: %s", text, error_message(&err));
	return v;
}

static void test_decode_refuses(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"{\"a\":1}x",
		"{\"a\":1,\"a\":2}",
		"[1,]",
		"\"\xff\"",
		"\"\\u0000\"",
		"99999999999999999999",
		"{\"a\":nul}",
		"[\"\x01\"]",
		"{\"a\":1e999}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(error_done) Error err = ERROR_INIT;
		json_t *v = NULL;

		if (json_decode(bad[i], strlen(bad[i]), &v, &err) != -ERR_INVALID)
			fail_msg("accepted %s", bad[i]);
		assert_null(v);
		assert_non_null(err.message);
	}
}

static void test_decode_depth(void **state)
{
	char text[2 * JSON_DEPTH_MAX + 3] = { 0 };
	json_t *v = NULL;

	(void)state;
	memset(text, '[', JSON_DEPTH_MAX);
	memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	assert_int_equal(json_decode(text, 2 * JSON_DEPTH_MAX, &v, NULL), 0);
	json_decref(v);
	memset(text, '[', JSON_DEPTH_MAX + 1);
	memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	assert_int_equal(json_decode(text, 2 * JSON_DEPTH_MAX + 2, &v, NULL), -ERR_INVALID);
}

static void test_canonical(void **state)
{
	_cleanup_(json_decrefp) json_t *v =
		tree("{\"b\":[1,{\"z\":null,\"a\":9223372036854775807}],\"a\":\"x\"}");
	_cleanup_(xfreep) char *text = json_canonical(v);

	(void)state;
	assert_string_equal(text, "{\"a\":\"x\",\"b\":[1,{\"a\":9223372036854775807,\"z\":null}]}");
}

/* As the serializer writes it, whatever the string has. */
static void require_added(const char *s)
{
	_cleanup_(json_decrefp) json_t *v = json_string(s);
	_cleanup_(xfreep) char *want = v ? json_text(v) : NULL;
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;

	strbuf_addc(&b, '.');
	assert_true(json_add_string(&b, s) == (v != NULL));
	assert_string_equal(strbuf_str(&b) + 1, want ? want : "");
}

static void test_add_string(void **state)
{
	static const char *const strings[] = { "",
					       "f:spec",
					       "k:{\"name\":\"a\\\\b\"}",
					       "gr\xc3\xbc\xc3\x9f",
					       "\"\"",
					       "\xff",
					       "a\"\xc3(",
					       "\xed\xa0\x80",
					       "\xe0\x80\x80",
					       "\xf0\x9f\x92\xa9" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		require_added(strings[i]);
	for (int c = 1; c < 256; c++)
		require_added((char[]){ 'a', '"', (char)c, 'b', '\\', '\0' });
}

static void test_same(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{"1",                  "1.0",                 true },
		{ "9007199254740993",  "9007199254740992",    false},
		{ "{\"a\":1,\"b\":2}", "{\"b\":2.0,\"a\":1}", true },
		{ "[1,2]",             "[2,1]",               false},
		{ "\"1\"",             "1",                   false},
		{ "null",              "null",                true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(json_decrefp) json_t *a = tree(cases[i].a), *b = tree(cases[i].b);

		if (json_same(a, b) != cases[i].same)
			fail_msg("%s and %s", cases[i].a, cases[i].b);
	}
	assert_true(json_same(NULL, NULL));
}

static void test_at(void **state)
{
	_cleanup_(json_decrefp) json_t *v = tree("{\"a\":{\"b\":3,\"s\":\"x\",\"t\":true}}");

	(void)state;
	assert_int_equal(json_integer_at(v, "a.b", 0), 3);
	assert_int_equal(json_integer_at(v, "a.c", 7), 7);
	assert_string_equal(json_string_at(v, "a.s"), "x");
	assert_true(json_bool_at(v, "a.t", false));
	assert_null(json_at(v, "a.b.c"));
	json_set_at(v, "n.e.w", json_integer(5));
	assert_int_equal(json_integer_at(v, "n.e.w", 0), 5);
}

static void test_merge_patch(void **state)
{
	/* The examples of RFC 7386, appendix A, as far as a target may be an object. */
	static const char *const cases[][3] = {
		{"{\"a\":\"b\"}",            "{\"a\":\"c\"}",                    "{\"a\":\"c\"}"            },
		{ "{\"a\":\"b\"}",           "{\"b\":\"c\"}",                    "{\"a\":\"b\",\"b\":\"c\"}"},
		{ "{\"a\":\"b\"}",           "{\"a\":null}",                     "{}"                       },
		{ "{\"a\":[\"b\"]}",         "{\"a\":\"c\"}",                    "{\"a\":\"c\"}"            },
		{ "{\"a\":{\"b\":\"c\"}}",   "{\"a\":{\"b\":\"d\",\"c\":null}}",
                 "{\"a\":{\"b\":\"d\"}}"								    },
		{ "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}",                      "{\"a\":[1]}"              },
		{ "{\"e\":null}",            "{\"a\":1}",                        "{\"a\":1,\"e\":null}"     },
		{ "{}",                      "{\"a\":{\"bb\":{\"ccc\":null}}}",  "{\"a\":{\"bb\":{}}}"      },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(json_decrefp) json_t *t = tree(cases[i][0]), *p = tree(cases[i][1]);
		_cleanup_(json_decrefp) json_t *r = json_merge_patch(t, p);
		_cleanup_(xfreep) char *text = json_canonical(r);

		assert_string_equal(text, cases[i][2]);
	}
}

static void test_json_patch(void **state)
{
	/* NULL as result: refused. */
	static const char *const cases[][3] = {
		{"{\"a\":1}",              "[{\"op\":\"add\",\"path\":\"/b\",\"value\":2}]",
                 "{\"a\":1,\"b\":2}"									     },
		{ "{\"a\":[1,3]}",         "[{\"op\":\"add\",\"path\":\"/a/1\",\"value\":2}]",
                 "{\"a\":[1,2,3]}"									       },
		{ "{\"a\":[1]}",           "[{\"op\":\"add\",\"path\":\"/a/-\",\"value\":2}]",
                 "{\"a\":[1,2]}"										 },
		{ "{\"a\":[1]}",           "[{\"op\":\"add\",\"path\":\"/a/2\",\"value\":2}]",      NULL         },
		{ "{\"a\":[1]}",           "[{\"op\":\"add\",\"path\":\"/a/01\",\"value\":2}]",     NULL         },
		{ "{\"a\":1}",             "[{\"op\":\"remove\",\"path\":\"/a\"}]",                 "{}"         },
		{ "{\"a\":1}",             "[{\"op\":\"remove\",\"path\":\"/b\"}]",                 NULL         },
		{ "{\"a\":1}",             "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":{}}]",
                 "{\"a\":{}}"										    },
		{ "{\"a\":[1,2]}",         "[{\"op\":\"replace\",\"path\":\"/a/1\",\"value\":9}]",
                 "{\"a\":[1,9]}"										 },
		{ "{\"a\":1}",             "[{\"op\":\"replace\",\"path\":\"/b\",\"value\":1}]",    NULL         },
		{ "{\"a\":1}",             "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b\"}]",   "{\"b\":1}"  },
		{ "{\"a\":{}}",            "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/b\"}]", NULL         },
		{ "{\"a\":{\"x\":1}}",     "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"}]",
                 "{\"a\":{\"x\":1},\"b\":{\"x\":1}}"							     },
		{ "{\"a\":1}",             "[{\"op\":\"test\",\"path\":\"/a\",\"value\":1}]",       "{\"a\":1}"  },
		{ "{\"a\":1}",             "[{\"op\":\"test\",\"path\":\"/a\",\"value\":2}]",       NULL         },
		{ "{\"a/b\":1,\"m~n\":2}",
                 "[{\"op\":\"remove\",\"path\":\"/a~1b\"},{\"op\":\"test\",\"path\":\"/"
		  "m~0n\",\"value\":2}]",							   "{\"m~n\":2}"},
		{ "{\"a\":1}",             "[{\"op\":\"frob\",\"path\":\"/a\"}]",                   NULL         },
		{ "{\"a\":1}",             "[{\"op\":\"add\",\"path\":\"a\",\"value\":1}]",         NULL         },
		{ "{\"a\":1}",             "{}",						    NULL         },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(json_decrefp) json_t *t = tree(cases[i][0]), *p = tree(cases[i][1]),
					       *r = NULL;
		_cleanup_(error_done) Error err = ERROR_INIT;
		_cleanup_(xfreep) char *text = NULL;
		int rc = json_patch_apply(t, p, &r, &err);

		if (!cases[i][2]) {
			if (rc != -ERR_INVALID)
				fail_msg("accepted %s", cases[i][1]);
			continue;
		}
		if (rc < 0)
			fail_msg("%s: %s", cases[i][1], error_message(&err));
		text = json_canonical(r);
		assert_string_equal(text, cases[i][2]);
	}
}

/* Each copy doubles the document: thirty of them would be gigabytes. */
static void test_json_patch_bomb(void **state)
{
	_cleanup_(json_decrefp) json_t *doc = tree("{\"a\":\"0123456789\"}"), *patch = json_array(),
				       *r = NULL;

	(void)state;
	for (int i = 0; i < 60; i++)
		json_array_append_new(patch, json_pack("{s:s,s:s,s:o}", "op", "copy", "from", "",
						       "path", json_sprintf("/x%d", i)));
	assert_int_equal(json_patch_apply(doc, patch, &r, NULL), -ERR_EXHAUSTED);
}

static const char doc_text[] =
	"{\"metadata\":{\"name\":\"web\",\"annotations\":{\"shakenfist.io/x\":\"y\"}},"
	"\"status\":{\"conditions\":[{\"type\":\"Other\",\"status\":\"False\"},{\"type\":\"Ready\","
	"\"status\":\"True\",\"n\":5}]},"
	"\"items\":[{\"name\":\"a\",\"v\":1},{\"name\":\"b\",\"v\":2},{\"name\":\"c\",\"v\":3}]}";

static void test_jsonpath_template(void **state)
{
	static const char *const cases[][2] = {
		{"{.metadata.name}",                                   "web"                     },
		{ "{$.metadata['name']}",                              "web"                     },
		{ "{.status.conditions[?(@.type==\"Ready\")].status}", "True"                    },
		{ "{.status.conditions[?(@.type=='Ready')].n}",        "5"                       },
		{ "{.items[*].name}",                                  "a b c"                   },
		{ "{.items[0].name}{\"\\t\"}{.items[-1].v}",           "a\t3"                    },
		{ "{.items[0:2].v}",                                   "1 2"                     },
		{ "{.items[::2].v}",                                   "1 3"                     },
		{ "{.items[?(@.v>1)].name}",                           "b c"                     },
		{ "{.items[?(@.v)].name}",                             "a b c"                   },
		{ "{.items[0,2].name}",                                "a c"                     },
		{ "{..name}",					  "web a b c"               },
		{ "{range .items[*]}{.name}={.v}{\"\\n\"}{end}",       "a=1\nb=2\nc=3\n"         },
		{ "{.metadata.annotations.shakenfist\\.io/x}",         "y"                       },
		{ "{.nothing.at.all}",                                 ""                        },
		{ "{.items[0]}",				       "{\"name\":\"a\",\"v\":1}"},
		{ "plain {.metadata.name} text",                       "plain web text"          },
		{ "{.items[9223372036854775807]}",                     ""                        },
		{ "{.items[0:9:9223372036854775807].v}",               "1"                       },
	};
	_cleanup_(json_decrefp) json_t *doc = tree(doc_text);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;
		_cleanup_(error_done) Error err = ERROR_INIT;

		if (jsonpath_template(cases[i][0], doc, &b, &err) < 0)
			fail_msg("%s: %s", cases[i][0], error_message(&err));
		assert_string_equal(strbuf_str(&b), cases[i][1]);
	}
}

static void test_jsonpath_refuses(void **state)
{
	static const char *const bad[] = {
		"{.a",   "{.a[}",   "{.a[?(@.b==]}", "{range .a}",       "{end}",
		"{\"x}", "{.a[x]}", "{.a[0:1:0]}",   "{.a[?(@.b ~ 1)]}", "{'",
	};
	_cleanup_(json_decrefp) json_t *doc = tree(doc_text);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;
		_cleanup_(error_done) Error err = ERROR_INIT;

		if (jsonpath_template(bad[i], doc, &b, &err) != -ERR_INVALID)
			fail_msg("accepted %s", bad[i]);
	}
}

static void test_jsonpath_compile(void **state)
{
	static const char *const good[] = {
		".status.phase", "{.status.phase}", "status.phase", "$.a", "@", ".",
		"{ .a }",        ".a['b.c']"
	};
	JsonPath *p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		_cleanup_(error_done) Error err = ERROR_INIT;

		if (jsonpath_compile(good[i], &p, &err) < 0)
			fail_msg("%s", error_message(&err));
		jsonpath_free(p);
	}
	assert_int_equal(jsonpath_compile("{.a} {.b}", &p, NULL), -ERR_INVALID);
	assert_int_equal(jsonpath_compile("", &p, NULL), -ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode_refuses),
		cmocka_unit_test(test_decode_depth),
		cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_add_string),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_at),
		cmocka_unit_test(test_merge_patch),
		cmocka_unit_test(test_json_patch),
		cmocka_unit_test(test_json_patch_bomb),
		cmocka_unit_test(test_jsonpath_template),
		cmocka_unit_test(test_jsonpath_refuses),
		cmocka_unit_test(test_jsonpath_compile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
