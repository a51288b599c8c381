/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml: what comes in, with its positions; what is refused, and how it is told; what goes out comes
 * in again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "yaml/yaml.h"

static YamlDocs *parse(const char *text)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	YamlDocs *docs = NULL;

	if (yaml_parse(text, strlen(text), "web.yaml", &docs, &err) < 0)
		fail_msg("%s", error_message(&err));
	return docs;
}

static void assert_value(const char *yaml, const char *json)
{
	_cleanup_(xfreep) char *document = xasprintf("v: %s\n", yaml), *text = NULL;
	_cleanup_(yaml_docs_freep) YamlDocs *docs = parse(document);

	text = json_dumps(json_object_get(yaml_doc_tree(docs->docs[0]), "v"),
			  JSON_ENCODE_ANY | JSON_COMPACT);
	if (!streq(text, json))
		fail_msg("%s is read as %s, not %s", yaml, text, json);
}

static void plain_words_follow_the_core_schema(void **state _unused_)
{
	static const char *const cases[][2] = {
		{"no",                    "\"no\""              },
		{ "NO",                   "\"NO\""              },
		{ "on",                   "\"on\""              },
		{ "y",                    "\"y\""               },
		{ "true",                 "true"                },
		{ "False",                "false"               },
		{ "~",                    "null"                },
		{ "",                     "null"                },
		{ "\"\"",                 "\"\""                },
		{ "'true'",               "\"true\""            },
		{ "010",                  "10"                  },
		{ "0o17",                 "15"                  },
		{ "0x1F",                 "31"                  },
		{ "1_000",                "\"1_000\""           },
		{ "-0",                   "0"                   },
		{ "1e3",                  "1000.0"              },
		{ "12:30:45",             "\"12:30:45\""        },
		{ "2001-01-01",           "\"2001-01-01\""      },
		{ "9007199254740993",     "9007199254740993"    },
		{ "9223372036854775807",  "9223372036854775807" },
		{ "-9223372036854775808", "-9223372036854775808"},
		{ "1.2.3",                "\"1.2.3\""           },
		{ "1Gi",                  "\"1Gi\""             },
		{ "10.0.0.1",             "\"10.0.0.1\""        },
		{ "\"\\u00e9\"",          "\"\xc3\xa9\""        },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_value(cases[i][0], cases[i][1]);
}

static void positions_are_those_of_the_keys(void **state _unused_)
{
	_cleanup_(yaml_docs_freep) YamlDocs *docs =
		parse("# head\nkind: X\nspec:\n  disks:\n  - name: a\n    size: 1\n  - {name: "
		      "b}\n---\nkind: Y\n");
	YamlMark m;

	assert_int_equal(docs->n, 2);
	m = yaml_doc_mark(docs->docs[0], "spec.disks[0].size");
	assert_true(m.line == 6 && m.column == 5);
	m = yaml_doc_mark(docs->docs[0], "spec.disks[1].name");
	assert_true(m.line == 7 && m.column == 6);
	m = yaml_doc_mark(docs->docs[0], "spec.disks[1].size"); /* not there: the nearest parent */
	assert_true(m.line == 7 && m.column == 5);
	m = yaml_doc_mark(docs->docs[0], "metadata.name");
	assert_true(m.line == 2 && m.column == 1);
	m = yaml_doc_mark(docs->docs[1], "kind");
	assert_true(m.line == 9 && m.column == 1);
	assert_string_equal(yaml_doc_name(docs->docs[1]), "web.yaml");
}

static void empty_documents_are_left_out(void **state _unused_)
{
	static const char *const texts[] = { "", "# only a comment\n", "---\n---\n...\n", "~\n" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_(yaml_docs_freep) YamlDocs *docs = parse(texts[i]);

		assert_int_equal(docs->n, 0);
	}
}

static void json_is_yaml(void **state _unused_)
{
	_cleanup_(yaml_docs_freep) YamlDocs *docs =
		parse("{\"a\": [1, true, null, \"x\\n\"], \"b\": {}}");
	_cleanup_(xfreep) char *text = json_dumps(yaml_doc_tree(docs->docs[0]), JSON_COMPACT);

	assert_string_equal(text, "{\"a\":[1,true,null,\"x\\n\"],\"b\":{}}");
}

static void refused(const char *text, size_t len, const char *wanted)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	YamlDocs *docs = NULL;
	usec_t before = clock_now(clock_system());
	int rc = yaml_parse(text, len, "web.yaml", &docs, &err);

	if (rc == 0 || !strstr(error_message(&err), wanted))
		fail_msg("wanted \"%s\", got \"%s\"", wanted,
			 rc == 0 ? "no error" : error_message(&err));
	/* Far more than it takes, far less than anything quadratic would. */
	assert_true(clock_now(clock_system()) - before < 20 * USEC_PER_SEC);
}

#define REFUSED(text, wanted) refused((text), sizeof(text) - 1, (wanted))

static void what_is_wrong_is_told_with_its_place(void **state _unused_)
{
	REFUSED("a: 1\nb: 2\na: 3\n", "web.yaml:3:1: duplicate key \"a\" (the first is in line 1)");
	REFUSED("x:\n  a: 1\n  a: 2\n", "web.yaml:3:3: duplicate key");
	REFUSED("a: &x 1\nb: *x\n", "web.yaml:1:");
	REFUSED("a: &x 1\n", "anchors (&name) are not accepted");
	REFUSED("a: *x\n", "web.yaml:1:");
	REFUSED("a: !!binary aGk=\n", "tags (!name) are not accepted");
	REFUSED("a: !!python/object:os.system x\n", "tags");
	REFUSED("<<: {a: 1}\n", "merge keys");
	REFUSED("a:\n\tb: 1\n",
		"web.yaml:2:1: tab character may not be used as indentation: use spaces");
	REFUSED("a: \"x\\0y\"\n", "NUL");
	REFUSED("a: x\0y\n", "a NUL byte");
	REFUSED("a: \xff\n", "web.yaml:1:4: not UTF-8");
	REFUSED("a: \xc0\xaf\n", "not UTF-8");
	REFUSED("a: \xed\xa0\x80\n", "not UTF-8");
	REFUSED("\xff\xfe"
		"a\0",
		"UTF-16");
	REFUSED("a: \x1b[2J\n", "a control character");
	REFUSED("a: 18446744073709551616\n", "does not fit into 64 bits");
	REFUSED("a: 1e999\n", "too large");
	REFUSED("a: .inf\n", "not a number");
	REFUSED("? [a]\n: 1\n", "a key must be a plain word");
	REFUSED("a: [1, 2\n", "web.yaml:");
	REFUSED("a: b: c\n", "web.yaml:1:");
	REFUSED("a: \"unfinished\n", "web.yaml:");
}

static void large_and_deep_files_are_refused_quickly(void **state _unused_)
{
	_cleanup_(strbuf_done) StrBuf deep = STRBUF_INIT, block = STRBUF_INIT, many = STRBUF_INIT,
				      docs = STRBUF_INIT, huge = STRBUF_INIT;

	for (int i = 0; i < 100000; i++)
		strbuf_addc(&deep, '[');
	refused(deep.buf, deep.len, "web.yaml:1:");
	for (int i = 0; i < 500; i++) {
		for (int j = 0; j < i; j++)
			strbuf_addc(&block, ' ');
		strbuf_adds(&block, "a:\n");
	}
	refused(block.buf, block.len, "nested deeper than 64");
	strbuf_adds(&many, "a: [");
	for (int i = 0; i < YAML_NODES_MAX; i++)
		strbuf_adds(&many, "1,");
	strbuf_adds(&many, "1]\n");
	refused(many.buf, many.len, "values: split the file");
	for (int i = 0; i <= YAML_DOCS_MAX; i++)
		strbuf_adds(&docs, "--- 1\n");
	refused(docs.buf, docs.len, "documents: split the file");
	for (size_t i = 0; i <= YAML_BYTES_MAX; i++)
		strbuf_addc(&huge, 'x');
	refused(huge.buf, huge.len, "split the file");
}

/* A table of positions must not multiply one long key by all that is below it. */
static void long_keys_cost_no_more_than_their_length(void **state _unused_)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;
	_cleanup_(error_done) Error err = ERROR_INIT;
	YamlDocs *docs = NULL;

	strbuf_adds(&b, "? ");
	for (size_t i = 0; i < 1000000; i++)
		strbuf_addc(&b, 'k');
	strbuf_adds(&b, "\n:\n");
	for (size_t i = 0; i < 50000; i++)
		strbuf_adds(&b, "- 1\n");
	assert_int_equal(yaml_parse(b.buf, b.len, "long.yaml", &docs, &err), -ERR_INVALID);
	assert_non_null(strstr(error_message(&err), "key of more than"));
}

static void truncated_files_never_crash(void **state _unused_)
{
	static const char text[] = "apiVersion: v1\nkind: \"X\"\nspec: {a: [1, {b: 'c'}], d: |\n  "
				   "text\n}\n---\n- x\n- ? y\n  : z\n";

	for (size_t n = 0; n < sizeof(text); n++) {
		_cleanup_(error_done) Error err = ERROR_INIT;
		YamlDocs *docs = NULL;

		if (yaml_parse(text, n, "t", &docs, &err) < 0)
			assert_non_null(strstr(error_message(&err), "t:"));
		yaml_docs_free(docs);
	}
}

static void what_goes_out_comes_in_again(void **state _unused_)
{
	static const char *const trees[] = {
		"{\"a\":1,\"b\":[],\"c\":{},\"d\":null,\"e\":true,\"f\":1.5}",
		"{\"a\":[{\"b\":1,\"c\":[1,2,[3]]},{\"d\":\"x\"}]}",
		"{\"s\":[\"\",\" \",\"no\",\"1\",\"1Gi\",\"a: b\",\"a #b\",\"#x\",\"- "
		"x\",\"-\",\"null\",\"~\",\"\\\"\",\"'\",\"{a}\",\"*x\",\"&x\",\"!x\",\"%x\",\"@"
		"x\",\"0x1F\",\"1e3\",\".5\",\"2001-01-01\",\"12:30\",\"<<\",\"=\",\"a:\"]}",
		"{\"t\":\"line\\nline two\\n\",\"u\":\"line\\nno "
		"end\",\"v\":\"two\\n\\n\",\"w\":\"\\nx\",\"x\":\" "
		"x\\ny\",\"y\":\"a\\tb\",\"z\":\"x \\ny\"}",
		"{\"s\":[\"10: zzz\",\"5:\",\"7 #z\",\"+q: z\",\"1 zzz\",\"a\\u001bb\","
		"\"x\\u007f\",\"a\\u0085b\",\"a\\u2028b\",\"\\ufeffx\",\"a\\u001b\\nb\",\"0.5.1\"]"
		"}",
		"{\"#cloud-config\":\"x\",\"yes\":1,\"a b\":2,\"\":3}",
		"{\"user\":{\"data\":\"#cloud-config\\nruncmd:\\n  - echo "
		"hi\\n\"},\"u\\u00e9\":\"\\u2603\"}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(trees); i++) {
		json_t *tree = json_loads(trees[i], 0, NULL);
		_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;
		_cleanup_(yaml_docs_freep) YamlDocs *docs = NULL;

		assert_non_null(tree);
		yaml_emit(tree, &out);
		docs = parse(out.buf);
		if (!json_equal(tree, yaml_doc_tree(docs->docs[0])))
			fail_msg("case %zu does not come back:\n%s", i, out.buf);
		json_decref(tree);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_words_follow_the_core_schema),
		cmocka_unit_test(positions_are_those_of_the_keys),
		cmocka_unit_test(empty_documents_are_left_out),
		cmocka_unit_test(json_is_yaml),
		cmocka_unit_test(what_is_wrong_is_told_with_its_place),
		cmocka_unit_test(large_and_deep_files_are_refused_quickly),
		cmocka_unit_test(long_keys_cost_no_more_than_their_length),
		cmocka_unit_test(truncated_files_never_crash),
		cmocka_unit_test(what_goes_out_comes_in_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
