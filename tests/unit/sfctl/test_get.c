/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl get: tables and objects as they are printed, and lists that come in pages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/sfctl/lib_run.h"
#include "json/json.h"

#define COLUMNS \
	"\"columnDefinitions\":[{\"name\":\"Name\",\"type\":\"string\",\"priority\":0}," \
	"{\"name\":\"Status\",\"type\":\"string\",\"priority\":0}," \
	"{\"name\":\"Node\",\"type\":\"string\",\"priority\":1}," \
	"{\"name\":\"Age\",\"type\":\"string\",\"priority\":0}]"
#define ROW(ns, name, status, node) \
	"{\"cells\":[\"" name "\",\"" status "\"," node ",\"5m\"],\"object\":{\"metadata\":" \
	"{\"name\":\"" name "\",\"namespace\":\"" ns "\",\"resourceVersion\":\"7\"," \
	"\"labels\":{\"app\":\"" name "\"}}}}"
#define TABLE(rows) \
	"{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":" \
	"{\"resourceVersion\":\"9\"}," COLUMNS ",\"rows\":[" rows "]}"

static const char two_rows[] =
	TABLE(ROW("default", "web-1", "Running", "\"n1\"") "," ROW("default", "db", "", "null"));
static const char three_namespaces[] =
	TABLE(ROW("default", "web-1", "Running", "\"n1\"") "," ROW("lab", "x", "Failed", "null"));

static void test_get_table(void **state _unused_)
{
	HttpRule rules[] = {
		HTTP_RULE(.path = INSTANCES "?limit=500", .body = two_rows),
		HTTP_RULE(.path = INSTANCES "?labelSelector=app%3Dweb%2Ctier%21%3Ddb&limit=500",
			  .body = TABLE("")),
		HTTP_RULE(.path = "/apis/shakenfist.io/v1alpha1/instances?limit=500",
			  .body = three_namespaces),
	};
	static const struct {
		const char *line, *out, *err;
	} cases[] = {
		{"get vm",
                 "NAME    STATUS    AGE\n"
		  "web-1   Running   5m\n"
		  "db      <none>    5m\n",				     ""					 },
		{ "get Instances -o wide --show-labels",
                 "NAME    STATUS    NODE     AGE   LABELS\n"
		  "web-1   Running   n1       5m    app=web-1\n"
		  "db      <none>    <none>   5m    app=db\n",		  ""					 },
		{ "get instance -A --no-headers",
                 "default   web-1   Running   5m\n"
		  "lab       x       Failed    5m\n",			   ""					 },
		{ "get instances.shakenfist.io --sort-by=.metadata.name", NULL, NULL                                       },
		{ "get vm -l app=web,tier!=db",                           "",   "no instances found in namespace default\n"},
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(run_done) Run r = { 0 };

		if (!cases[i].out)
			continue;
		r = sfctl(f, cases[i].line);
		run_expect(&r, EXIT_OK, cases[i].out, cases[i].err);
	}
	http_fake_stop(f);
}

static void test_get_sorted(void **state _unused_)
{
	HttpRule rule = { .path = INSTANCES "?includeObject=Object&limit=500", .body = two_rows };
	HttpFake *f = http_fake_start(&rule, 1);
	_cleanup_(run_done) Run r = sfctl(f, "get vm --sort-by=.metadata.name --no-headers");

	run_expect(&r, EXIT_OK, "db      <none>    5m\nweb-1   Running   5m\n", "");
	http_fake_stop(f);
}

/* The second page came too late: the whole list is read at once. */
static void test_get_pages_that_are_too_old(void **state _unused_)
{
	HttpRule rules[] = {
		HTTP_RULE(.path = INSTANCES "?limit=500",
			  .body = "{\"kind\":\"InstanceList\",\"metadata\":{\"continue\":\"t1\"},"
				  "\"items\":[{\"metadata\":{\"name\":\"old\"}}]}"),
		HTTP_RULE(.path = INSTANCES "?limit=500&continue=t1", .code = 410,
			  .body = STATUS(410, "Expired", "too old")),
		HTTP_RULE(.path = INSTANCES, .body = "{\"kind\":\"InstanceList\",\"metadata\":{},"
						     "\"items\":[{\"metadata\":{\"name\":\"a\"}},"
						     "{\"metadata\":{\"name\":\"b\"}}]}"),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run r = sfctl(f, "get vm -o name");

	run_expect(&r, EXIT_OK, "instance.shakenfist.io/a\ninstance.shakenfist.io/b\n", "");
	http_fake_stop(f);
}

static void test_get_pages(void **state _unused_)
{
	HttpRule rules[] = {
		HTTP_RULE(.path = INSTANCES "?limit=500",
			  .body = "{\"kind\":\"InstanceList\",\"metadata\":{\"continue\":\"t/1\"},"
				  "\"items\":[{\"metadata\":{\"name\":\"a\"}}]}"),
		HTTP_RULE(.path = INSTANCES "?limit=500&continue=t%2F1",
			  .body = "{\"kind\":\"InstanceList\",\"metadata\":{},"
				  "\"items\":[{\"metadata\":{\"name\":\"b\"}}]}"),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run r = sfctl(f, "get vm -o name");

	run_expect(&r, EXIT_OK, "instance.shakenfist.io/a\ninstance.shakenfist.io/b\n", "");
	http_fake_stop(f);
}

static const char web_1[] =
	"{\"apiVersion\":\"shakenfist.io/v1alpha1\",\"kind\":\"Instance\",\"metadata\":{\"name\":"
	"\"web-1\",\"namespace\":\"default\",\"uid\":\"u-1\",\"resourceVersion\":\"7\","
	"\"generation\":2,\"managedFields\":[{\"manager\":\"sfctl\"}]},\"spec\":{\"cpus\":2},"
	"\"status\":{\"printableStatus\":\"Running\",\"observedGeneration\":2,\"conditions\":"
	"[{\"type\":\"Ready\",\"status\":\"True\",\"reason\":\"Running\",\"message\":\"\","
	"\"observedGeneration\":2}]}}";

static void test_get_objects(void **state _unused_)
{
	HttpRule rules[] = {
		HTTP_RULE(.path = INSTANCES "/web-1", .body = web_1),
		HTTP_RULE(.path = INSTANCES "/gone", .code = 404,
			  .body = STATUS(404, "NotFound",
					 "instances.shakenfist.io \\\"gone\\\" not found")),
	};
	static const struct {
		const char *line;
		int code;
		const char *out, *err;
	} cases[] = {
		{"get vm web-1 -o name",                   EXIT_OK,        "instance.shakenfist.io/web-1\n", ""},
		{ "get vm/web-1 -o jsonpath={.spec.cpus}", EXIT_OK,        "2",                              ""},
		{ "get vm gone -o yaml",                   EXIT_NOT_FOUND, "",
                 "error: instances.shakenfist.io \"gone\" not found\n"                                         },
		{ "get vm gone --ignore-not-found",        EXIT_OK,        "",                               ""},
		{ "get vm ../nodes",                       EXIT_INVALID,   "",
                 "error: '../nodes' cannot be a name: use lower-case letters, digits, '-' and "
		  "'.'\n"										      },
		{ "get vm web-1 -A",                       EXIT_USAGE,     "",
                 "error: get: a name together with -A or -l says two things\n"                                 },
		{ "get",				   EXIT_USAGE,     "",
                 "error: get: which kind? `sfctl api-resources` lists them\n"                                  },
		{ "get vm -o xml",                         EXIT_USAGE,     "",
                 "error: get: -o xml: expected wide, yaml, json, name or "
		  "jsonpath=TEMPLATE\n"									},
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(run_done) Run r = sfctl(f, cases[i].line);

		run_expect(&r, cases[i].code, cases[i].out, cases[i].err);
	}
	http_fake_stop(f);
}

static void test_get_yaml(void **state _unused_)
{
	HttpRule rule = { .path = INSTANCES "/web-1", .body = web_1 };
	HttpFake *f = http_fake_start(&rule, 1);
	_cleanup_(run_done) Run one = sfctl(f, "get vm web-1 -o yaml");
	_cleanup_(run_done) Run two = sfctl(f, "get vm web-1 web-1 -o json");
	json_t *list = json_loads(two.out, 0, NULL);

	assert_int_equal(one.code, EXIT_OK);
	assert_true(
		str_has_prefix(one.out, "apiVersion: shakenfist.io/v1alpha1\nkind: Instance\n"));
	assert_null(strstr(one.out, "managedFields"));
	assert_string_equal(json_string_at(list, "kind"), "List");
	assert_int_equal(json_array_size(json_object_get(list, "items")), 2);
	json_decref(list);
	http_fake_stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get_table),
		cmocka_unit_test(test_get_sorted),
		cmocka_unit_test(test_get_pages),
		cmocka_unit_test(test_get_pages_that_are_too_old),
		cmocka_unit_test(test_get_objects),
		cmocka_unit_test(test_get_yaml),
	};

	run_prepare();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
