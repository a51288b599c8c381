/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns: what matches, what is refused in which words, and that nothing takes long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/pattern.h"

static int matches(const char *pattern, const char *text)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	size_t budget = PATTERN_WORK_MAX;
	Pattern *p = NULL;
	int rc;

	if (pattern_compile(pattern, &p, &err) < 0)
		fail_msg("%s: %s", pattern, error_message(&err));
	rc = pattern_match(p, text, &budget);
	pattern_free(p);
	return rc;
}

static void what_matches(void **state _unused_)
{
	static const struct {
		const char *pattern, *text;
		int want;
	} cases[] = {
		{"",				 "",           1},
		{ "abc",			     "xxabcxx",    1},
		{ "^abc$",			   "abc",        1},
		{ "^abc$",			   "abcd",       0},
		{ "^abc$",			   "abc\n",      0},
		{ "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "web-1",      1},
		{ "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "web-",       0},
		{ "^\\d{1,3}(\\.\\d{1,3}){3}$",      "10.20.0.10", 1},
		{ "^\\d{1,3}(\\.\\d{1,3}){3}$",      "10.20.0",    0},
		{ "^[\\w.-]+@[\\w-]+$",              "a.b-c@d_e",  1},
		{ "^[^/]+$",                         "a/b",        0},
		{ "^[]a]+$",                         "]a]",        1},
		{ "^[a\\]\\-z]+$",                   "a-]z",       1},
		{ "^[a-]+$",                         "a-",         1},
		{ "^(?:ab|cd)+$",                    "abcdab",     1},
		{ "^(?P<x>a)(?<y>b)$",               "ab",         1},
		{ "(?i)^héllo$",                    "HéLLO",     1},
		{ "^(?i:a)b$",                       "Ab",         1},
		{ "^(?i:a)b$",                       "AB",         0},
		{ "^a(?i)b|c$",                      "C",          1},
		{ "^.$",			     "é",         1},
		{ "^.$",			     "\n",         0},
		{ "(?s)^.$",                         "\n",         1},
		{ "(?m)^b$",                         "a\nb\nc",    1},
		{ "^[[:alpha:]_]+[[:^digit:]]$",     "ab_x",       1},
		{ "^\\x41\\x{e9}\\101\\t$",
                 "A\xc3\xa9"
		  "A\t",					   1},
		{ "^\\Qa.b\\E$",                     "a.b",        1},
		{ "^\\Qa.b\\E$",                     "axb",        0},
		{ "\\bcat\\b",                       "a cat.",     1},
		{ "\\bcat\\b",                       "concat",     0},
		{ "\\Bcat",                          "concat",     1},
		{ "^a{2}$",                          "aa",         1},
		{ "^a{2,}$",                         "a",          0},
		{ "^a{0}b$",                         "b",          1},
		{ "^a{,2}$",                         "a{,2}",      1},
		{ "^x{a}$",                          "x{a}",       1},
		{ "^(a|b|)$",                        "",           1},
		{ "^(a*)*$",                         "aaa",        1},
		{ "^(|a)+$",                         "aab",        0},
		{ "^a+?b??$",                        "aa",         1},
		{ "^\\S+\\s\\W\\D$",                 "ab ?x",      1},
		{ "^$",			      "a",          0},
		{ "a$|^b",			   "bc",         1},
		{ "\\Aab\\z",                        "ab",         1},
		{ "^[^a]$",                          "\xff",       1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (matches(cases[i].pattern, cases[i].text) != cases[i].want)
			fail_msg("%s on \"%s\" is not %d", cases[i].pattern, cases[i].text,
				 cases[i].want);
}

static void what_is_refused(void **state _unused_)
{
	static const struct {
		const char *pattern, *why;
	} cases[] = {
		{"(",								  "missing closing ): `(`"                      },
		{ "a)",								"unexpected ): `a)`"                          },
		{ "[a",								"missing closing ]: `[a`"                     },
		{ "*",								 "missing argument to repetition operator: `*`"},
		{ "a**",							       "invalid nested repetition operator: `**`"    },
		{ "a{1001}",							   "invalid repeat count: `{1001}`"              },
		{ "a{2,1}",							    "invalid repeat count: `{2,1}`"               },
		{ "(a)\\1",							    "invalid escape sequence: `\\1`"              },
		{ "(?=a)",							     "invalid or unsupported Perl syntax: `(?=`"   },
		{ "(?<=a)b",							   "invalid or unsupported Perl syntax: `(?<`"   },
		{ "[z-a]",							     "invalid character class range: `z-a`"        },
		{ "[[:no:]]",							  "invalid character class range: `[:no:]`"     },
		{ "\\p{L}",							    "invalid character class range: `\\p`"        },
		{ "\\y",							       "invalid escape sequence: `\\y`"              },
		{ "a\\",							       "trailing backslash at end of expression: ``" },
		{ "((a{500}){500}){500}",					      "expression too large"                        },
		{ "((((){1000}){1000}){1000}){1000}a{1000}b{1000}c{1000}(d{1000}){9}",
                 "too large"													 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(error_done) Error err = ERROR_INIT;
		Pattern *p = NULL;

		assert_int_equal(pattern_compile(cases[i].pattern, &p, &err), -ERR_INVALID);
		if (!strstr(error_message(&err), cases[i].why))
			fail_msg("%s: %s", cases[i].pattern, error_message(&err));
	}
}

/* States times characters at most, and never more than the budget. */
static void nothing_takes_long(void **state _unused_)
{
	_cleanup_(xfreep) char *text = xmalloc(100001);
	size_t budget = PATTERN_WORK_MAX;
	Pattern *p = NULL;

	memset(text, 'a', 100000);
	text[100000] = '\0';
	assert_int_equal(pattern_compile("^(a+)+$|(a|aa)*c", &p, NULL), 0);
	assert_int_equal(pattern_match(p, text, &budget), 1);
	pattern_free(p);
	assert_int_equal(pattern_compile("(a|aa)+(a?){900}b$", &p, NULL), 0);
	assert_int_equal(pattern_match(p, text, &budget), -ERR_EXHAUSTED);
	assert_int_equal(budget, 0);
	assert_int_equal(pattern_match(p, "ab", &budget), -ERR_EXHAUSTED);
	pattern_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_matches),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(nothing_takes_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
