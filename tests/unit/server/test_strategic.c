/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strategic merge patch: a table of documents, patches as kubectl makes them, and results.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "server/strategic.h"
#include "json/json.h"

static const char schema_text[] =
	"{\"type\":\"object\",\"properties\":{\"status\":{\"type\":\"object\",\"properties\":{"
	"\"conditions\":{\"type\":\"array\",\"x-kubernetes-list-type\":\"map\","
	"\"x-kubernetes-list-map-keys\":[\"type\"],\"items\":{\"type\":\"object\",\"properties\":{"
	"\"type\":{\"type\":\"string\"},\"status\":{\"type\":\"string\"}}}}}},\"rules\":{\"type\":"
	"\"array\",\"items\":{\"type\":\"object\"}}}}";

/* With ' for ", so that one can read it. */
static json_t *parse(const char *text)
{
	_cleanup_(xfreep) char *copy = xstrdup(text);
	json_t *v = NULL;

	for (char *p = copy; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	if (json_decode(copy, strlen(copy), &v, NULL) < 0)
		fail_msg("no JSON: %s", text);
	return v;
}

typedef struct Case {
	const char *name, *document, *patch, *result; /* result NULL = refused */
} Case;

/* clang-format off */
static const Case cases[] = {
	{ "a merge patch is one",
	  "{'data':{'a':'b','c':'d'},'type':'x'}", "{'data':{'a':null,'e':'f'}}",
	  "{'data':{'c':'d','e':'f'},'type':'x'}" },
	{ "nulls in what is new are none",
	  "{}", "{'data':{'a':null,'b':{'c':null}}}", "{'data':{'b':{}}}" },
	{ "plain lists are replaced",
	  "{'rules':[{'a':1},{'b':2}]}", "{'rules':[{'c':3}]}", "{'rules':[{'c':3}]}" },
	{ "finalizers are added",
	  "{'metadata':{'finalizers':['a/b']}}", "{'metadata':{'finalizers':['c/d','a/b']}}",
	  "{'metadata':{'finalizers':['a/b','c/d']}}" },
	{ "kubectl edit takes a finalizer away",
	  "{'metadata':{'finalizers':['a/b','c/d']}}",
	  "{'metadata':{'$deleteFromPrimitiveList/finalizers':['a/b'],'$setElementOrder/finalizers':['c/d']}}",
	  "{'metadata':{'finalizers':['c/d']}}" },
	{ "finalizers: null",
	  "{'metadata':{'finalizers':['a/b']}}", "{'metadata':{'finalizers':null}}",
	  "{'metadata':{}}" },
	{ "only metadata's finalizers",
	  "{'spec':{'finalizers':['a']}}", "{'spec':{'finalizers':['b']}}",
	  "{'spec':{'finalizers':['b']}}" },
	{ "owners by uid",
	  "{'metadata':{'ownerReferences':[{'uid':'1','name':'a'},{'uid':'2','name':'b'}]}}",
	  "{'metadata':{'ownerReferences':[{'uid':'2','name':'c'},{'uid':'3','name':'d'}]}}",
	  "{'metadata':{'ownerReferences':[{'uid':'1','name':'a'},{'uid':'2','name':'c'},{'uid':'3','name':'d'}]}}" },
	{ "an owner goes",
	  "{'metadata':{'ownerReferences':[{'uid':'1'},{'uid':'2'}]}}",
	  "{'metadata':{'ownerReferences':[{'$patch':'delete','uid':'1'}]}}",
	  "{'metadata':{'ownerReferences':[{'uid':'2'}]}}" },
	{ "an owner without its key",
	  "{}", "{'metadata':{'ownerReferences':[{'name':'x'}]}}", NULL },
	{ "conditions by type",
	  "{'status':{'conditions':[{'type':'A','status':'True'},{'type':'B','status':'True'}]}}",
	  "{'status':{'conditions':[{'type':'B','status':'False'}]}}",
	  "{'status':{'conditions':[{'type':'A','status':'True'},{'type':'B','status':'False'}]}}" },
	{ "in the order that was asked for",
	  "{'status':{'conditions':[{'type':'A'},{'type':'X'},{'type':'B'}]}}",
	  "{'status':{'$setElementOrder/conditions':[{'type':'B'},{'type':'C'},{'type':'A'}],'conditions':[{'type':'C'}]}}",
	  "{'status':{'conditions':[{'type':'B'},{'type':'C'},{'type':'A'},{'type':'X'}]}}" },
	{ "a list is replaced when it says so",
	  "{'status':{'conditions':[{'type':'A'}]}}",
	  "{'status':{'conditions':[{'$patch':'replace'},{'type':'B'}]}}",
	  "{'status':{'conditions':[{'type':'B'}]}}" },
	{ "a map is replaced when it says so",
	  "{'data':{'a':'b'}}", "{'data':{'$patch':'replace','c':'d'}}", "{'data':{'c':'d'}}" },
	{ "a map is emptied",
	  "{'data':{'a':'b'}}", "{'data':{'$patch':'delete','c':'d'}}", "{'data':{}}" },
	{ "keys are retained",
	  "{'data':{'a':'1','b':'2','c':'3'}}", "{'data':{'$retainKeys':['a','d'],'d':'4'}}",
	  "{'data':{'a':'1','d':'4'}}" },
	{ "an unknown directive", "{}", "{'data':{'$patch':'paint'}}", NULL },
	{ "a directive that is no text", "{}", "{'data':{'$patch':1}}", NULL },
	{ "odd directives are of no effect",
	  "{'a':'b'}",
	  "{'$deleteFromPrimitiveList/a':['b'],'$setElementOrder/a':3,'$deleteFromPrimitiveList/':1,'$retainKeys':1,'$x':1}",
	  "{'a':'b'}" },
};
/* clang-format on */

static void test_cases(void **state _unused_)
{
	_cleanup_(json_decrefp) json_t *openapi = parse(schema_text);
	Schema *schema = schema_compile(openapi, "", NULL);

	assert_non_null(schema);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const Case *c = &cases[i];
		_cleanup_(json_decrefp) json_t *document = parse(c->document), *got = NULL;
		_cleanup_(json_decrefp) json_t *patch = parse(c->patch);
		_cleanup_(json_decrefp) json_t *before = json_deep_copy(document);
		_cleanup_(json_decrefp) json_t *want = c->result ? parse(c->result) : NULL;
		_cleanup_(error_done) Error err = ERROR_INIT;
		_cleanup_(xfreep) char *text = NULL;
		int rc = strategic_merge(schema, document, patch, &got, &err);

		text = got ? json_text(got) : xstrdup(error_message(&err));
		if (rc != (want ? 0 : -ERR_INVALID) || (want && !json_same(got, want)))
			fail_msg("%s: %s", c->name, text);
		/* Neither is touched. */
		assert_true(json_same(document, before));
	}
	schema_free(schema);
}

/* Quadratic work must not be had for a few megabytes. */
static void test_long_lists(void **state _unused_)
{
	static const char *const members[] = { "finalizers", "$setElementOrder/finalizers",
					       "$deleteFromPrimitiveList/finalizers",
					       "$retainKeys" };

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		_cleanup_(json_decrefp) json_t *list = json_array(), *patch = NULL, *got = NULL;
		_cleanup_(json_decrefp) json_t *document = parse("{'metadata':{}}");

		for (int n = 0; n < 1001; n++)
			json_array_append_new(list, json_sprintf("a/%d", n));
		patch = json_pack("{s:{s:O}}", "metadata", members[i], list);
		assert_int_equal(strategic_merge(NULL, document, patch, &got, NULL), -ERR_INVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_long_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
