/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What users' schemas say: each feature with a value that passes and one that does not, and the
 * words of the refusal; pruning; what may not change; versions in order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/definition.h"
#include "api/schema.h"
#include "base/memory.h"
#include "json/json.h"

/* JSON with ' for ". */
static json_t *tree(const char *text)
{
	_cleanup_(xfreep) char *copy = xstrdup(text);
	json_t *v;

	for (char *p = copy; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	v = json_loads(copy, JSON_DECODE_ANY, NULL);
	if (!v)
		fail_msg("no JSON: %s", copy);
	return v;
}

static Schema *compile(const char *text)
{
	_cleanup_(json_decrefp) json_t *openapi = tree(text);
	_cleanup_(error_done) Error err = ERROR_INIT;
	Schema *s = schema_compile(openapi, "", &err);

	if (!s)
		fail_msg("%s: %s", text, error_message(&err));
	return s;
}

/* A schema of one field x; want: "path: message" of the first error, or NULL for none. */
static void check(const char *schema, const char *value, const char *want)
{
	_cleanup_(xfreep) char *whole =
		xasprintf("{'type':'object','properties':{'x':%s}}", schema);
	_cleanup_(xfreep) char *object = xasprintf("{'x':%s}", value);
	_cleanup_(json_decrefp) json_t *v = tree(object);
	FieldErrors errors = FIELD_ERRORS_INIT;
	_cleanup_(xfreep) char *got = NULL;
	Schema *s = compile(whole);

	schema_default(s, v);
	schema_validate(s, v, &errors);
	if (errors.n)
		got = xasprintf("%s: %s", errors.items[0].path, errors.items[0].message);
	if (want ? !got || !strstr(got, want) : got != NULL)
		fail_msg("%s of %s: %s, expected %s", value, schema, got ? got : "fine",
			 want ? want : "fine");
	field_errors_done(&errors);
	schema_free(s);
}

#define INT_OR_STRING \
	"{'x-kubernetes-int-or-string':true,'anyOf':[{'type':'integer'},{'type':'string'}]}"
#define ONE_OF \
	"{'type':'object','properties':{'a':{'type':'string'},'b':{'type':'string'}}," \
	"'oneOf':[{'required':['a']},{'required':['b']}]}"
#define EMBEDDED \
	"{'type':'object','x-kubernetes-embedded-resource':true," \
	"'x-kubernetes-preserve-unknown-fields':true}"
#define MAP_LIST \
	"{'type':'array','x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':['n']," \
	"'items':{'type':'object','required':['n'],'properties':{'n':{'type':'string'}}}}"

static void every_feature(void **state _unused_)
{
	static const struct {
		const char *schema, *value, *want;
	} cases[] = {
		{"{'type':'integer','minimum':1,'maximum':3}",                                     "3",                                                                 NULL                            },
		{ "{'type':'integer','maximum':3}",                                                "4",
                 "x: Invalid value: 4: should be less than or equal to 3"															       },
		{ "{'type':'number','exclusiveMinimum':true,'minimum':0}",                         "0",
                 "x: Invalid value: 0: should be greater than 0"																	},
		{ "{'type':'number','multipleOf':0.5}",                                            "1.5",							       NULL                            },
		{ "{'type':'integer','multipleOf':3}",                                             "4",
                 "x: Invalid value: 4: should be a multiple of 3"																       },
		{ "{'type':'integer','format':'int32'}",                                           "2147483648",                                                        "must be of format int32"       },
		{ "{'type':'string','nullable':true}",                                             "null",                                                              NULL                            },
		{ "{'type':'string'}",							     "null",							      NULL                            }, /* not given */
		{ "{'type':'array','items':{'type':'string'}}",                                    "[null]",
                 "x[0]: Invalid value: null: must be a string"																	  },
		{ "{'type':'integer','minimum':9007199254740993}",                                 "9007199254740992",
                 "should be greater than or equal to 9007199254740993"																  },
		{ "{'type':'integer','minimum':9007199254740993}",                                 "9007199254740993",                                                  NULL                            },
		{ "{'type':'integer','maximum':9007199254740992}",                                 "9007199254740993",
                 "should be less than or equal to 9007199254740992"																     },
		{ "{'type':'integer','maximum':9223372036854775807}",                              "9223372036854775807",                                               NULL                            },
		{ "{'type':'integer','exclusiveMaximum':true,'maximum':9223372036854775807}",
                 "9223372036854775806",																 NULL                            },
		{ "{'type':'number','minimum':0.1}",                                               "0.05",
                 "should be greater than or equal to 0.1"																	       },
		{ "{'type':'integer'}",							    "2.0",							       NULL                            },
		{ "{'type':'integer'}",							    "2.5",							       "must be an integer"            },
		{ "{'type':'string','default':'d'}",                                               "null",							      NULL                            },
		{ INT_OR_STRING,								   "80",								NULL                            },
		{ INT_OR_STRING,								   "'http'",							    NULL                            },
		{ INT_OR_STRING,								   "1.5",							       "must be an integer or a string"},
		{ ONE_OF,									  "{'a':'1'}",							 NULL                            },
		{ ONE_OF,									  "{}",
                 "x: Invalid value: \"x\" must validate one and only one schema (oneOf). Found "
		  "none valid"																					  },
		{ ONE_OF,									  "{'a':'','b':''}",
                 "x: Invalid value: \"x\" must validate one and only one schema (oneOf). Found 2 "
		  "valid alternatives"																				  },
		{ "{'type':'string','anyOf':[{'maxLength':1},{'enum':['long']}]}",                 "'long'",                                                            NULL                            },
		{ "{'type':'string','anyOf':[{'maxLength':1},{'enum':['long']}]}",                 "'lang'",
                 "x: Invalid value: \"x\" must validate at least one schema (anyOf)"														    },
		{ "{'type':'string','not':{'enum':['never']}}",                                    "'never'",
                 "x: Invalid value: \"x\" must not validate the schema (not)"															   },
		{ "{'type':'string','allOf':[{'minLength':2},{'pattern':'^a'}]}",                  "'ab'",                                                              NULL                            },
		{ "{'type':'string','allOf':[{'minLength':2},{'pattern':'^a'}]}",                  "'b'",
                 "x: Invalid value: \"b\": should be at least 2 characters long"															},
		{ EMBEDDED,									"{'apiVersion':'v1','kind':'Pod','metadata':{'name':'a'},'spec':1}",
                 NULL																						   },
		{ EMBEDDED,									"{'kind':'Pod'}",						    "x.apiVersion: Required value"  },
		{ MAP_LIST,									"[{'n':'a'},{'n':'b'}]",                                             NULL                            },
		{ MAP_LIST,									"[{'n':'a'},{'n':'a'}]",                                             "x[1]: Duplicate value"         },
		{ "{'type':'array','uniqueItems':true,'items':{'type':'integer'}}",                "[1,2,1]",
                 "x[2]: Duplicate value: 1"																			     },
		{ "{'type':'array','x-kubernetes-list-type':'set','items':{'type':'string'}}",
                 "['a','a']",																	   "x[1]: Duplicate value: \"a\""  },
		{ "{'type':'object','additionalProperties':{'type':'integer'}}",                   "{'k':'v'}",
                 "x.k: Invalid value: \"v\": must be an integer"																	},
		{ "{'type':'object','maxProperties':1,'additionalProperties':{'type':'integer'}}",
                 "{'a':1,'b':2}",																       "x: Too many"                   },
		{ "{'type':'string','format':'date-time'}",                                        "'2026-01-02T03:04:05Z'",                                            NULL                            },
		{ "{'type':'string','format':'date'}",                                             "'2026-02-30'",                                                      "must be of format date"        },
		{ "{'type':'string','format':'duration'}",                                         "'1h30m'",                                                           NULL                            },
		{ "{'type':'string','format':'duration'}",                                         "'soon'",                                                            "must be of format duration"    },
		{ "{'type':'string','format':'email'}",                                            "'a@b@'",                                                            "must be of format email"       },
		{ "{'type':'string','format':'hostname'}",                                         "'A.example.com'",                                                   NULL                            },
		{ "{'type':'string','format':'uri'}",                                              "'https://a/b c'",                                                   "must be of format uri"         },
		{ "{'type':'string','format':'unheard-of'}",                                       "'x'",                                                               NULL                            },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check(cases[i].schema, cases[i].value, cases[i].want);
}

static void pruning_keeps_what_is_known(void **state _unused_)
{
	Schema *s = compile(
		"{'type':'object','properties':{'pod':" EMBEDDED ",'strict':{'type':'object',"
		"'x-kubernetes-embedded-resource':true,'properties':{'spec':{'type':'object'}}},"
		"'open':{'type':'object','x-kubernetes-preserve-unknown-fields':true,"
		"'properties':{'in':{'type':'object','properties':{'a':{'type':'string'}}}}}}}");
	_cleanup_(json_decrefp) json_t *v = tree(
		"{'metadata':{'name':'m','odd':1},'pod':{'kind':'Pod','any':1},'strict':{'kind':"
		"'K','metadata':{'name':'n'},'odd':1,'spec':{'odd':1}},'open':{'odd':1,'in':{'a':"
		"'1','odd':2}},'odd':1}");
	_cleanup_(json_decrefp) json_t *want =
		tree("{'metadata':{'name':'m'},'pod':{'kind':'Pod','any':1},'strict':{'kind':'K',"
		     "'metadata':{'name':'n'},'spec':{}},'open':{'odd':1,'in':{'a':'1'}}}");
	FieldErrors unknown = FIELD_ERRORS_INIT;

	schema_prune(s, v, &unknown);
	assert_true(json_same(v, want));
	assert_int_equal(unknown.n, 5);
	field_errors_done(&unknown);
	schema_free(s);
}

static void what_may_not_change(void **state _unused_)
{
	Schema *s = compile(
		"{'type':'object','properties':{'fixed':{'type':'string',"
		"'x-kubernetes-validations':[{'rule':'self == oldSelf','message':'stays'}]},"
		"'list':{'type':'array','x-kubernetes-list-type':'map',"
		"'x-kubernetes-list-map-keys':['n'],'items':{'type':'object','properties':{'n':{"
		"'type':'string'},'v':{'type':'integer','x-kubernetes-validations':[{'rule':"
		"'self==oldSelf'}]}}}}}}");
	_cleanup_(json_decrefp) json_t *old =
		tree("{'fixed':'a','list':[{'n':'p','v':1},{'n':'q','v':2}]}");
	_cleanup_(json_decrefp) json_t *moved = tree("{'list':[{'n':'q','v':2},{'n':'r','v':3}]}");
	_cleanup_(json_decrefp) json_t *changed =
		tree("{'fixed':'b','list':[{'n':'q','v':3},{'n':'p','v':1}]}");
	FieldErrors errors = FIELD_ERRORS_INIT;

	schema_validate_change(s, old, old, &errors);
	schema_validate_change(s, moved, old, &errors);
	assert_int_equal(errors.n, 0);
	schema_validate_change(s, changed, old, &errors);
	assert_int_equal(errors.n, 2);
	assert_string_equal(errors.items[0].path, "fixed");
	assert_string_equal(errors.items[0].message, "Invalid value: \"b\": stays");
	assert_string_equal(errors.items[1].path, "list[0].v");
	field_errors_done(&errors);
	schema_free(s);
}

static void versions_have_an_order(void **state _unused_)
{
	static const char *const order[] = { "v10",      "v2",      "v1",        "v11beta2",
					     "v10beta3", "v3beta1", "v12alpha1", "v11alpha2",
					     "foo1",     "foo10" };

	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		for (size_t j = 0; j < ARRAY_SIZE(order); j++) {
			int c = version_compare(order[i], order[j]);

			if ((c > 0) - (c < 0) != (i > j) - (i < j))
				fail_msg("%s and %s: %d", order[i], order[j], c);
		}
}

static void warnings_are_told(void **state _unused_)
{
	_cleanup_(json_decrefp) json_t *crd = tree(
		"{'spec':{'versions':[{'schema':{'openAPIV3Schema':{'type':'object','properties':{"
		"'a':{'type':'string','format':'odd','x-kubernetes-validations':[{'rule':"
		"'self.size() > 1'},{'rule':'self == oldSelf'}]}}}}}]}}");
	_cleanup_(strv_freep) char **warnings = definition_warnings(crd);

	assert_int_equal(strv_len(warnings), 2);
	assert_string_equal(warnings[0], "unrecognized format \"odd\"");
	assert_non_null(strstr(warnings[1], "1 rule in x-kubernetes-validations is kept"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_feature),
		cmocka_unit_test(pruning_keeps_what_is_known),
		cmocka_unit_test(what_may_not_change),
		cmocka_unit_test(versions_have_an_order),
		cmocka_unit_test(warnings_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
