/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line, durations, tables and text diffs of sfctl: everything of it that is pure.
 */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/memory.h"
#include "cmd/sfctl/options.h"
#include "cmd/sfctl/table.h"
#include "cmd/sfctl/textdiff.h"

typedef struct Values {
	bool flag, wait;
	const char *output, *dry_run;
	char **files;
	int64_t tail, timeout;
} Values;

typedef struct Global {
	const char *namespace;
} Global;

static const Option table[] = {
	OPTION('x', "flag", FLAG, Values, flag, NULL, "a flag"),
	OPTION(0, "wait", BOOL, Values, wait, NULL, "wait", .preset = "true"),
	OPTION('o', "output", STRING, Values, output, "FORMAT", "format"),
	OPTION(0, "dry-run", STRING, Values, dry_run, "HOW", "dry", .implied = "server"),
	OPTION('f', "filename", LIST, Values, files, "FILE", "files"),
	OPTION(0, "tail", INTEGER, Values, tail, "N", "lines", .preset = "-1"),
	OPTION(0, "timeout", DURATION, Values, timeout, "TIME", "time", .preset = "5m"),
	OPTIONS_END
};
static const Option global[] = {
	OPTION('n', "namespace", STRING, Global, namespace, "NAME", "namespace"), OPTIONS_END
};

/* Parses a line of words; the caller looks at v, g and p. */
static int parse(const char *line, Values *v, Global *g, Parsed *p, Error *err)
{
	char **words = strv_split(line, ' ');
	static char **kept[64];
	static size_t n_kept;
	int rc;

	*v = (Values){ 0 };
	*g = (Global){ 0 };
	*p = (Parsed){ 0 };
	options_init(table, v);
	rc = options_parse(table, v, global, g, words ? words : (char *[]){ NULL }, p, err);
	/* Values point into the words: they live as long as the test. */
	assert_true(n_kept < ARRAY_SIZE(kept));
	kept[n_kept++] = words;
	return rc;
}

static void test_parse(void **state _unused_)
{
	Values v;
	Global g;
	Parsed p;

	assert_int_equal(parse("vm -x web-1 -oyaml -f a -f=b --filename c --filename=d -n lab "
			       "--wait=false --tail 5 --timeout=1h30m",
			       &v, &g, &p, NULL),
			 0);
	assert_int_equal(strv_len(p.args), 2);
	assert_string_equal(p.args[0], "vm");
	assert_string_equal(p.args[1], "web-1");
	assert_true(v.flag);
	assert_false(v.wait);
	assert_string_equal(v.output, "yaml");
	assert_int_equal(strv_len(v.files), 4);
	assert_string_equal(v.files[1], "b");
	assert_string_equal(g.namespace, "lab");
	assert_int_equal(v.tail, 5);
	assert_int_equal(v.timeout, 5400 * (int64_t)USEC_PER_SEC);
	assert_null(v.dry_run);
	options_done(table, &v);
	parsed_done(&p);
}

static void test_presets_and_dashes(void **state _unused_)
{
	Values v;
	Global g;
	Parsed p;

	assert_int_equal(parse("web-1 --dry-run - --wait -- ls -l --help", &v, &g, &p, NULL), 0);
	assert_string_equal(v.dry_run, "server"); /* given without a value: the next word is free */
	assert_true(v.wait);
	assert_int_equal(v.tail, -1);
	assert_int_equal(v.timeout, 300 * (int64_t)USEC_PER_SEC);
	assert_int_equal(strv_len(p.args), 5);
	assert_string_equal(p.args[1], "-");
	assert_string_equal(p.args[4], "--help");
	assert_int_equal(p.n_before, 2);
	assert_true(p.saw_dashes);
	assert_false(p.wants_help);
	parsed_done(&p);
	assert_int_equal(parse("-h", &v, &g, &p, NULL), 0);
	assert_true(p.wants_help);
	parsed_done(&p);
}

static void test_parse_errors(void **state _unused_)
{
	static const struct {
		const char *line, *text;
	} cases[] = {
		{"--outputs=yaml",  "unknown option --outputs (did you mean --output?)"       },
		{ "--namspace x",   "unknown option --namspace (did you mean --namespace?)"   },
		{ "--zzzzzzzz",     "unknown option --zzzzzzzz"                               },
		{ "-z",             "unknown option -z"                                       },
		{ "-o",             "-o needs a value (FORMAT)"                               },
		{ "--output",       "--output needs a value (FORMAT)"                         },
		{ "--flag=maybe",   "--flag takes no value"                                   },
		{ "--wait=maybe",   "--wait: 'maybe' is neither true nor false"               },
		{ "--tail=1x",      "--tail: '1x' is no number"                               },
		{ "--tail=",        "--tail: '' is no number"                                 },
		{ "--timeout=soon", "--timeout: 'soon' is no duration: write 30s, 5m or 1h30m"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(error_done) Error err = ERROR_INIT;
		Values v;
		Global g;
		Parsed p;

		assert_int_equal(parse(cases[i].line, &v, &g, &p, &err), -ERR_INVALID);
		assert_string_equal(error_message(&err), cases[i].text);
	}
}

static void test_durations(void **state _unused_)
{
	static const struct {
		const char *text;
		int64_t usec;
	} good[] = {
		{"0",      0         },
                { "90",    90000000  },
		{ "200ms", 200000    },
                { "1m30s", 90000000  },
		{ "-1s",   -1000000  },
                { "2h",    7200000000},
	};
	static const char *const bad[] = {
		"", "-", "s", "1x", "1m30", "1.5s", "99999999999999s", " 1s", "1 s", "0x10"
	};
	int64_t usec;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(duration_parse(good[i].text, &usec, NULL), 0);
		assert_int_equal(usec, good[i].usec);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(duration_parse(bad[i], &usec, NULL), -ERR_INVALID);
}

static void test_suggest(void **state _unused_)
{
	static const char *const words[] = { "instances", "images", "networks", "get" };

	assert_string_equal(suggest("instnaces", words, 4), "instances");
	assert_string_equal(suggest("image", words, 4), "images");
	assert_null(suggest("x", words, 4));
	assert_null(suggest("volumes", words, 4));
}

/* ---- tables ------------------------------------------------------------------------------- */

static char *printed(Table *t, bool head, bool color)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	table_print(t, f, head, color, "");
	fclose(f);
	return text;
}

static void add(Table *t, const char *a, const char *b, const char *c)
{
	table_cell(t, a);
	table_cell(t, b);
	table_cell(t, c);
	table_end_row(t);
}

static void test_table(void **state _unused_)
{
	_cleanup_(table_freep) Table *t = table_new();
	_cleanup_(xfreep) char *first = NULL, *second = NULL;

	table_column(t, "Name");
	table_column(t, "Status");
	table_column(t, "Message");
	add(t, "a", "Running", "line\none");
	add(t, "b\xc3\xa4r", "\033[31mred", NULL);
	first = printed(t, true, false);
	assert_string_equal(first, "NAME   STATUS        MESSAGE\n"
				   "a      Running       line one\n"
				   "b\xc3\xa4r    \\x1b[31mred\n");
	add(t, "a-much-longer-name", "Failed", "x"); /* later rows keep the columns */
	add(t, "c", "Running", "y");
	second = printed(t, true, true);
	assert_string_equal(second, "a-much-longer-name   \033[31mFailed\033[0m        x\n"
				    "c                    \033[32mRunning\033[0m       y\n");
}

static void test_escape(void **state _unused_)
{
	_cleanup_(xfreep) char *a = text_escape("a\tb\rc\x7f\xff\xc2\x9b"
						"31m");

	assert_string_equal(a, "a b\\x0dc\\x7f\\xff\\xc2\\x9b31m");
	assert_int_equal(text_width("\xe6\x97\xa5"), 2); /* a wide character */
	assert_int_equal(text_width("a\xffz"), 3);
}

/* ---- diffs -------------------------------------------------------------------------------- */

static void test_diff(void **state _unused_)
{
	static const struct {
		const char *a, *b, *diff;
	} cases[] = {
		{"x\n",			     "x\n",                            ""					   },
		{ "",			       "one\ntwo\n",                     "--- A\n+++ B\n@@ -0,0 +1,2 @@\n+one\n+two\n"},
		{ "one\n",                          "",			       "--- A\n+++ B\n@@ -1,1 +0,0 @@\n-one\n"      },
		{ "1\n2\n3\n4\n5\n6\n7\n8\n9\n",    "1\n2\n3\n4\nfive\n6\n7\n8\n9\n",
                 "--- A\n+++ B\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n"                                              },
 /* far apart: two hunks */
		{ "a\n1\n2\n3\n4\n5\n6\n7\n8\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\n8\nB\n",
                 "--- A\n+++ B\n@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n"
		  "@@ -7,4 +7,4 @@\n 6\n 7\n 8\n-b\n+B\n"									  },
 /* near: one */
		{ "a\n1\n2\nb\n",                   "A\n1\n2\nB\n",
                 "--- A\n+++ B\n@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n-b\n+B\n"                                                         },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;

		text_diff("A", cases[i].a, "B", cases[i].b, &out);
		assert_string_equal(strbuf_str(&out), cases[i].diff);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),        cmocka_unit_test(test_presets_and_dashes),
		cmocka_unit_test(test_parse_errors), cmocka_unit_test(test_durations),
		cmocka_unit_test(test_suggest),      cmocka_unit_test(test_table),
		cmocka_unit_test(test_escape),       cmocka_unit_test(test_diff),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
