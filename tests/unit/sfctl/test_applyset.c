/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl apply --prune while somebody else works on the same ApplySet: what the one has added, the
 * other must not forget, or its members are never pruned.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/fs.h"
#include "tests/unit/sfctl/lib_run.h"
#include "json/json.h"

#define CORE    "/api/v1/namespaces/default"
#define PARENT  CORE "/secrets/set1"
#define CONFIG  CORE "/configmaps/a"
#define ID      "applyset-TJSViJwF6UhFlL4bnPXMWRnXnH4yPVy5hhP1Y3SCHVU-v1"
#define DRY_RUN "?fieldManager=sfctl&fieldValidation=Strict&dryRun=All"

/* The parent at that version, of these kinds. */
#define SET(version, kinds) \
	"{\"metadata\":{\"name\":\"set1\",\"namespace\":\"default\",\"resourceVersion\":" \
	"\"" version "\",\"labels\":{\"applyset.kubernetes.io/id\":\"" ID "\"},\"annotations\":{" \
	"\"applyset.kubernetes.io/tooling\":\"sfctl/v1.0.0\"," \
	"\"applyset.kubernetes.io/contains-group-kinds\":\"" kinds "\"," \
	"\"applyset.kubernetes.io/additional-namespaces\":\"\"}}}"
#define OBJECT "{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"2\"}}"
#define KINDS  "\"applyset.kubernetes.io/contains-group-kinds\":"

static Run apply_prune(HttpFake *f)
{
	char path[] = "/tmp/sfctl-test-XXXXXX";
	_cleanup_(xfreep) char *file = NULL, *line = NULL;
	static const char text[] = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n";
	Run r;

	assert_non_null(mkdtemp(path));
	file = xasprintf("%s/a.yaml", path);
	assert_int_equal(fs_write_atomic(file, text, strlen(text), 0644, false, NULL), 0);
	line = xasprintf("apply -f %s --prune --applyset set1", file);
	r = sfctl(f, line);
	fs_remove_tree(path, NULL);
	return r;
}

/* Somebody makes the set when we have seen that there is none, and then changes it once more. */
static void test_set_that_came_meanwhile(void **state _unused_)
{
	HttpRule rules[] = {
		HTTP_RULE(.method = "GET", .path = PARENT, .times = 1, .code = 404,
			  .body = STATUS(404, "NotFound", "none")),
		HTTP_RULE(.method = "GET", .path = CONFIG, .code = 404,
			  .body = STATUS(404, "NotFound", "none")),
		HTTP_RULE(.method = "PATCH", .path = CONFIG DRY_RUN, .body = OBJECT),
		HTTP_RULE(.method = "POST", .path = CORE "/secrets?*", .code = 409,
			  .body = STATUS(409, "AlreadyExists", "it is there")),
		HTTP_RULE(.method = "GET", .path = PARENT, .times = 1,
			  .body = SET("5", "Image.shakenfist.io")),
		HTTP_RULE(.method = "PATCH", .path = PARENT "?*", .times = 1, .code = 409,
			  .body = STATUS(409, "Conflict", "modified")),
		HTTP_RULE(.method = "GET", .path = PARENT, .times = 1,
			  .body = SET("6", "Image.shakenfist.io,Network.shakenfist.io")),
		HTTP_RULE(.method = "PATCH", .path = PARENT "?*", .times = 1,
			  .body = SET("7", "ConfigMap,Image.shakenfist.io,Network.shakenfist.io")),
		HTTP_RULE(.method = "PATCH", .path = CONFIG "?*", .body = OBJECT),
		/* And again before we take out what nothing is left of. */
		HTTP_RULE(.method = "PATCH", .path = PARENT "?*", .code = 409,
			  .body = STATUS(409, "Conflict", "modified")),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run r = apply_prune(f);

	run_expect(&r, EXIT_OK, "configmap/a unchanged\n", "");
	assert_non_null(strstr(r.log, "\"resourceVersion\":\"5\""));
	assert_non_null(
		strstr(r.log, KINDS "\"ConfigMap,Image.shakenfist.io,Network.shakenfist.io\""));
	assert_non_null(strstr(r.log, "\"resourceVersion\":\"7\""));
	http_fake_stop(f);
}

/* A secret of that name that is no set is not touched, also when it came meanwhile. */
static void test_no_set_that_came_meanwhile(void **state _unused_)
{
	HttpRule rules[] = {
		HTTP_RULE(.method = "GET", .path = PARENT, .times = 1, .code = 404,
			  .body = STATUS(404, "NotFound", "none")),
		HTTP_RULE(.method = "GET", .path = CONFIG, .code = 404,
			  .body = STATUS(404, "NotFound", "none")),
		HTTP_RULE(.method = "PATCH", .path = CONFIG DRY_RUN, .body = OBJECT),
		HTTP_RULE(.method = "POST", .path = CORE "/secrets?*", .code = 409,
			  .body = STATUS(409, "AlreadyExists", "it is there")),
		HTTP_RULE(.method = "GET", .path = PARENT,
			  .body = "{\"metadata\":{\"name\":\"set1\",\"resourceVersion\":\"5\"}}"),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run r = apply_prune(f);

	assert_int_equal(r.code, EXIT_CONFLICT);
	assert_non_null(strstr(r.err, "secret/set1 exists and is no ApplySet"));
	assert_null(strstr(r.log, "PATCH " PARENT));
	http_fake_stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_that_came_meanwhile),
		cmocka_unit_test(test_no_set_that_came_meanwhile),
	};

	run_prepare();
	return cmocka_run_group_tests_name("applyset", tests, NULL, NULL);
}
