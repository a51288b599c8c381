/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl apply as a whole command line: order, errors with their place, folders.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/retry.h"
#include "base/spawn.h"
#include "tests/unit/sfctl/lib_run.h"
#include "json/json.h"

typedef struct Folder {
	char path[64];
} Folder;

static int folder_setup(void **state)
{
	Folder *d = xnew0(Folder, 1);

	snprintf(d->path, sizeof(d->path), "/tmp/sfctl-test-XXXXXX");
	assert_non_null(mkdtemp(d->path));
	*state = d;
	return 0;
}

static int folder_teardown(void **state)
{
	Folder *d = *state;

	fs_remove_tree(d->path, NULL);
	free(d);
	return 0;
}

static void put(const Folder *d, const char *name, const char *text)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/%s", d->path, name);

	assert_int_equal(fs_write_atomic(path, text, strlen(text), 0644, false, NULL), 0);
}

/* Takes the folder's name out of what was printed. */
static char *without_folder(const Folder *d, const char *text)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;
	const char *hit;

	while ((hit = strstr(text, d->path))) {
		strbuf_add(&b, text, (size_t)(hit - text));
		text = hit + strlen(d->path) + 1;
	}
	strbuf_adds(&b, text);
	return strbuf_take(&b);
}

/* Of the whole folder; options: with a blank before each. */
static Run apply(const Folder *d, HttpFake *f, const char *options)
{
	_cleanup_(xfreep) char *line = xasprintf("apply -f %s%s", d->path, options);

	return sfctl(f, line);
}

#define APPLY_QUERY "?fieldManager=sfctl&fieldValidation=Strict"
static const char object_7[] =
	"{\"kind\":\"X\",\"metadata\":{\"name\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"7\"}}";
static const char object_8[] =
	"{\"kind\":\"X\",\"metadata\":{\"name\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"8\"}}";
/* Each dry run of what is not there yet makes up a uid. */
static const char object_0[] =
	"{\"kind\":\"X\",\"metadata\":{\"name\":\"n\",\"uid\":\"dry\",\"resourceVersion\":\"0\"}}";

static const char three_documents[] = "apiVersion: shakenfist.io/v1alpha1\n"
				      "kind: Instance\n"
				      "metadata: {name: web-1}\n"
				      "spec: {cpus: 2}\n"
				      "---\n"
				      "apiVersion: shakenfist.io/v1alpha1\n"
				      "kind: Network\n"
				      "metadata: {name: front}\n"
				      "---\n"
				      "apiVersion: v1\n"
				      "kind: Namespace\n"
				      "metadata: {name: lab}\n";

static void test_apply(void **state)
{
	HttpRule rules[] = {
		HTTP_RULE(.method = "PATCH", .path = "/api/v1/namespaces/lab" APPLY_QUERY "*",
			  .body = object_7),
		HTTP_RULE(.method = "PATCH", .path = NS "/networks/front" APPLY_QUERY "&dryRun=All",
			  .body = object_7),
		HTTP_RULE(.method = "PATCH", .path = NS "/networks/front" APPLY_QUERY,
			  .body = object_8),
		HTTP_RULE(.method = "PATCH", .path = INSTANCES "/web-1" APPLY_QUERY "&dryRun=All",
			  .code = 201, .body = object_0),
		HTTP_RULE(.method = "PATCH", .path = INSTANCES "/web-1" APPLY_QUERY, .code = 201,
			  .body = object_8),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run r = { 0 };
	const char *first_write, *last_try;

	put(*state, "all.yaml", three_documents);
	r = apply(*state, f, "");
	run_expect(&r, EXIT_OK,
		   "namespace/lab unchanged\n"
		   "network.shakenfist.io/front configured\n"
		   "instance.shakenfist.io/web-1 created\n",
		   "");
	/* Every document is tried before the first is stored. */
	last_try = strstr(r.log, "PATCH " INSTANCES "/web-1" APPLY_QUERY "&dryRun=All\n");
	first_write = strstr(r.log, "PATCH /api/v1/namespaces/lab" APPLY_QUERY "\n");
	assert_non_null(last_try);
	assert_non_null(first_write);
	assert_true(last_try < first_write);
	/* The dry runs told what there is. */
	assert_null(strstr(r.log, "GET " NS));
	http_fake_stop(f);
}

#define CONFLICT_HINT \
	"  Somebody else has set these fields to other values. Leave them out of the manifest " \
	"to\n" \
	"  let them be; write the values that they have to own them together; or take them over\n" \
	"  with --force-conflicts.\n"

/* An address that a manifest asks for is not given away to another instance of the same set. */
static void test_apply_addresses_first(void **state)
{
	HttpRule rules[] = {
		HTTP_RULE(.method = "PATCH", .path = INSTANCES "/*", .code = 201, .body = object_8),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run r = { 0 };

	put(*state, "all.yaml",
	    "{apiVersion: shakenfist.io/v1alpha1, kind: Instance, metadata: {name: any-1},\n"
	    " spec: {interfaces: [{name: eth0, network: front}]}}\n"
	    "---\n"
	    "{apiVersion: shakenfist.io/v1alpha1, kind: Instance, metadata: {name: any-2}}\n"
	    "---\n"
	    "{apiVersion: shakenfist.io/v1alpha1, kind: Instance, metadata: {name: fixed},\n"
	    " spec: {interfaces: [{name: eth0, network: front, addresses: [10.20.0.2]}]}}\n");
	r = apply(*state, f, "");
	run_expect(&r, EXIT_OK,
		   "instance.shakenfist.io/fixed unchanged\n"
		   "instance.shakenfist.io/any-1 unchanged\n"
		   "instance.shakenfist.io/any-2 unchanged\n",
		   "");
	http_fake_stop(f);
}

/* Told where it is written; where it is not, it is --namespace. */
static void test_apply_no_namespace(void **state)
{
	HttpRule rules[] = {
		HTTP_RULE(.method = "PATCH", .code = 404,
			  .path = "/api/v1/namespaces/nowhere/configmaps/*",
			  .body = "{\"kind\":\"Status\",\"reason\":\"NotFound\",\"code\":404,"
				  "\"message\":\"namespaces \\\"nowhere\\\" not "
				  "found\",\"details\":"
				  "{\"name\":\"nowhere\",\"kind\":\"namespaces\"}}"),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(xfreep) char *errors = NULL;
	_cleanup_(run_done) Run r = { 0 };

	put(*state, "a.yaml",
	    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: nowhere\n");
	put(*state, "b.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}\n");
	r = apply(*state, f, " -n nowhere");
	errors = without_folder(*state, r.err);
	assert_int_equal(r.code, EXIT_NOT_FOUND);
	assert_string_equal(errors,
			    "a.yaml:5:3: metadata.namespace: namespaces \"nowhere\" not found\n"
			    "b.yaml:1:1: namespaces \"nowhere\" not found\n"
			    "error: nothing was applied\n");
	http_fake_stop(f);
}

#define LEAVING(rv) \
	"{\"kind\":\"X\",\"metadata\":{\"name\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"" rv \
	"\",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"}}"
#define LEAVING_WEB \
	"{\"metadata\":{\"name\":\"web-1\",\"uid\":\"u\",\"deletionTimestamp\":" \
	"\"2026-01-01T00:00:00Z\"},\"status\":{}}"
static const char web_1[] =
	"{apiVersion: shakenfist.io/v1alpha1, kind: Instance, metadata: {name: web-1}}\n";

/* What is on its way out will go all the same: nobody is told that it is as he wants it. */
static void test_apply_onto_what_is_being_deleted(void **state)
{
	HttpRule rules[] = {
		HTTP_RULE(.method = "PATCH", .path = NS "/networks/*", .body = object_7),
		HTTP_RULE(.method = "GET", .path = INSTANCES "/web-1", .body = LEAVING("7")),
		HTTP_RULE(.method = "PATCH", .path = INSTANCES "/web-1" APPLY_QUERY "&dryRun=All",
			  .body = LEAVING("7")),
		HTTP_RULE(.method = "PATCH", .path = INSTANCES "/web-1" APPLY_QUERY,
			  .body = LEAVING("8")),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run r = { 0 }, dry = { 0 }, names = { 0 };
	const char *warning = "warning: instance.shakenfist.io/web-1 is being deleted: apply again "
			      "when it is gone\n";

	put(*state, "a.yaml", web_1);
	dry = apply(*state, f, " --dry-run=server");
	put(*state, "b.yaml",
	    "{apiVersion: shakenfist.io/v1alpha1, kind: Network, metadata: {name: front}}\n");
	r = apply(*state, f, "");
	names = apply(*state, f, " -o name");
	run_expect(&r, EXIT_CONFLICT, "network.shakenfist.io/front unchanged\n", warning);
	run_expect(&dry, EXIT_CONFLICT, "", warning);
	run_expect(&names, EXIT_CONFLICT,
		   "network.shakenfist.io/front\ninstance.shakenfist.io/web-1\n", warning);
	http_fake_stop(f);
}

/* Nothing differs, and yet there is something to do. */
static void test_diff_of_what_is_being_deleted(void **state)
{
#define SAME "{\"metadata\":{\"name\":\"front\"}}"
	HttpRule rules[] = {
		HTTP_RULE(.path = NS "/networks/*", .body = SAME),
		HTTP_RULE(.method = "PATCH", .path = NS "/networks/*", .body = SAME),
		HTTP_RULE(.path = INSTANCES "/web-1", .body = LEAVING("7")),
		HTTP_RULE(.method = "PATCH", .path = INSTANCES "/web-1*", .body = LEAVING("7")),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run r = { 0 }, json = { 0 };
	_cleanup_(xfreep) char *line = NULL, *json_line = NULL;
	_cleanup_(json_decrefp) json_t *list = NULL;

	put(*state, "a.yaml", web_1);
	put(*state, "b.yaml",
	    "{apiVersion: shakenfist.io/v1alpha1, kind: Network, metadata: {name: front}}\n");
	line = xasprintf("diff -f %s", ((Folder *)*state)->path);
	json_line = xasprintf("%s -o json", line);
	r = sfctl(f, line);
	json = sfctl(f, json_line);
	run_expect(&r, EXIT_FAILED,
		   "# instance.shakenfist.io/web-1: is being deleted\n"
		   "# 1 being deleted, 1 unchanged\n",
		   "");
	assert_int_equal(json_decode(json.out, strlen(json.out), &list, NULL), 0);
	assert_int_equal(json.code, EXIT_FAILED);
	assert_null(json_object_get(json_array_get(list, 0), "deleting"));
	assert_string_equal(json_string_at(json_array_get(list, 1), "action"), "none");
	assert_true(json_is_true(json_object_get(json_array_get(list, 1), "deleting")));
	http_fake_stop(f);
}

/* With --wait its end is waited for, and then it is made anew. */
static void test_apply_waits_for_the_end(void **state)
{
#define ONE_PATH INSTANCES "?fieldSelector=metadata.name%3Dweb-1"
	HttpRule rules[] = {
		HTTP_RULE(.method = "PATCH", .path = INSTANCES "/web-1" APPLY_QUERY "&dryRun=All",
			  .times = 1, .body = LEAVING("7")),
		HTTP_RULE(.path = ONE_PATH, .times = 1,
			  .body = "{\"items\":[" LEAVING_WEB "],\"metadata\":{"
				  "\"resourceVersion\":\"7\"}}"),
		HTTP_RULE(.path = ONE_PATH "&watch=true*", .times = 1, .chunked = true,
			  .body = "{\"type\":\"DELETED\",\"object\":" LEAVING_WEB "}\n"),
		HTTP_RULE(.method = "PATCH", .path = INSTANCES "/web-1" APPLY_QUERY "&dryRun=All",
			  .times = 1, .code = 201, .body = object_0),
		HTTP_RULE(.method = "PATCH", .path = INSTANCES "/web-1" APPLY_QUERY, .times = 1,
			  .code = 201, .body = object_8),
		HTTP_RULE(.path = ONE_PATH,
			  .body = "{\"items\":[{\"metadata\":{\"name\":\"web-1\"},"
				  "\"status\":{\"conditions\":[{\"type\":"
				  "\"Ready\",\"status\":\"True\"}]}}]}"),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run r = { 0 };

	put(*state, "a.yaml", web_1);
	r = apply(*state, f, " --wait");
	run_expect(&r, EXIT_OK,
		   "instance.shakenfist.io/web-1 created\n"
		   "instance.shakenfist.io/web-1 ready\n",
		   "instance.shakenfist.io/web-1: Terminating\n");
	http_fake_stop(f);
}

/* It does not go in time: nothing is stored. */
static void test_apply_waits_for_the_end_in_vain(void **state)
{
	HttpRule rules[] = {
		HTTP_RULE(.method = "PATCH", .path = INSTANCES "/web-1" APPLY_QUERY "&dryRun=All",
			  .body = LEAVING("7")),
		HTTP_RULE(.path = ONE_PATH "&watch=true*", .hang = true),
		HTTP_RULE(.path = ONE_PATH, .body = "{\"items\":[" LEAVING_WEB "],\"metadata\":{"
						    "\"resourceVersion\":\"7\"}}"),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run r = { 0 };

	put(*state, "a.yaml", web_1);
	r = apply(*state, f, " --wait --timeout=100ms");
	run_expect(&r, EXIT_TIMEOUT, "",
		   "instance.shakenfist.io/web-1: Terminating\n"
		   "error: timed out waiting for deletion of instance.shakenfist.io/web-1, which "
		   "is: Terminating\n"
		   "error: nothing was applied\n");
	assert_null(strstr(r.log, APPLY_QUERY "\n"));
	http_fake_stop(f);
}

static const char moved[] = STATUS(409, "Conflict", "the object has been modified");

/* The server wrote status between the dry run and the apply: nobody has changed anything. */
static void test_apply_beside_status(void **state)
{
	HttpRule rules[] = {
		HTTP_RULE(.method = "PATCH", .path = INSTANCES "/web-1" APPLY_QUERY "&dryRun=All",
			  .body = object_7),
		HTTP_RULE(.method = "PATCH", .path = INSTANCES "/web-1" APPLY_QUERY, .times = 1,
			  .code = 409, .body = moved),
		HTTP_RULE(.method = "GET", .path = INSTANCES "/web-1", .body = object_8),
		HTTP_RULE(.method = "PATCH", .path = INSTANCES "/web-1" APPLY_QUERY,
			  .body = object_8),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run r = { 0 };

	put(*state, "a.yaml", web_1);
	r = apply(*state, f, "");
	run_expect(&r, EXIT_OK, "instance.shakenfist.io/web-1 unchanged\n", "");
	assert_non_null(strstr(r.log, "\"resourceVersion\":\"7\""));
	assert_non_null(strstr(r.log, "\"resourceVersion\":\"8\""));
	http_fake_stop(f);
}

/* It moves faster than we can look: stored all the same. A manifest's own version is never left
 * out.
 */
static void test_apply_beside_much(void **state)
{
	HttpRule rules[] = {
		HTTP_RULE(.method = "PATCH", .path = INSTANCES "/*", .times = 1, .body = object_7),
		HTTP_RULE(.method = "PATCH", .path = INSTANCES "/*", .times = RETRY_ATTEMPTS,
			  .code = 409, .body = moved),
		HTTP_RULE(.method = "GET", .path = INSTANCES "/web-1", .body = object_7),
		HTTP_RULE(.method = "PATCH", .path = INSTANCES "/*", .times = 1, .body = object_8),
		HTTP_RULE(.method = "PATCH", .path = INSTANCES "/*", .times = 1, .body = object_7),
		HTTP_RULE(.method = "PATCH", .path = INSTANCES "/*", .code = 409, .body = moved),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run r = { 0 }, own = { 0 };
	_cleanup_(xfreep) char *errors = NULL;

	put(*state, "a.yaml", web_1);
	r = apply(*state, f, "");
	run_expect(&r, EXIT_OK, "instance.shakenfist.io/web-1 configured\n", "");
	put(*state, "a.yaml",
	    "{apiVersion: shakenfist.io/v1alpha1, kind: Instance,\n"
	    " metadata: {name: web-1, resourceVersion: \"3\"}}\n");
	own = apply(*state, f, "");
	errors = without_folder(*state, own.err);
	assert_int_equal(own.code, EXIT_CONFLICT);
	assert_string_equal(errors, "a.yaml:1:1: the object has been modified\n");
	http_fake_stop(f);
}

/* A conflict is told where the field stands, also in a list that the server knows by keys. */
static void test_apply_conflict(void **state)
{
	HttpRule rules[] = {
		HTTP_RULE(.method = "PATCH",
			  .path = INSTANCES
			  "/web-1?fieldManager=ci&fieldValidation=Strict&dryRun=All",
			  .code = 409,
			  .body = "{\"kind\":\"Status\",\"reason\":\"Conflict\",\"message\":"
				  "\"two\","
				  "\"code\":409,\"details\":{\"causes\":[{\"reason\":"
				  "\"FieldManagerConflict\",\"field\":"
				  "\".spec.disks[name=\\\"a]\\\"].size\",\"message\":"
				  "\"conflict with \\\"team\\\"\"},{\"reason\":"
				  "\"FieldManagerConflict\",\"field\":"
				  "\".spec.disks[name=\\\"gone\\\"].size\",\"message\":"
				  "\"conflict with \\\"team\\\"\"}]}}"),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(xfreep) char *err = NULL;
	_cleanup_(run_done) Run r = { 0 };

	put(*state, "keyed.yaml",
	    "apiVersion: shakenfist.io/v1alpha1\n"
	    "kind: Instance\n"
	    "metadata: {name: web-1}\n"
	    "spec:\n"
	    "  disks:\n"
	    "  - {name: root, size: 1Gi}\n"
	    "  - {name: \"a]\", size: 2Gi}\n");
	r = apply(*state, f, " --field-manager ci");
	err = without_folder(*state, r.err);
	assert_string_equal(
		err, "keyed.yaml:5:3: spec.disks[name=\"gone\"].size: conflict with \"team\"\n"
		     "keyed.yaml:7:18: spec.disks[name=\"a]\"].size: conflict with \"team\"\n"
		     "error: nothing was applied\n" CONFLICT_HINT);
	assert_int_equal(r.code, EXIT_CONFLICT);
	http_fake_stop(f);
}

static void test_apply_errors(void **state)
{
	HttpRule rules[] = {
		HTTP_RULE(.method = "PATCH", .path = INSTANCES "/web-1" APPLY_QUERY "&dryRun=All",
			  .code = 422,
			  .body = "{\"kind\":\"Status\",\"reason\":\"Invalid\",\"message\":\"all "
				  "of it\","
				  "\"code\":422,\"details\":{\"causes\":[{\"reason\":"
				  "\"FieldValueInvalid\","
				  "\"field\":\"spec.cpus\",\"message\":\"Invalid value: 0: too "
				  "few\"},"
				  "{\"reason\":\"FieldValueRequired\",\"field\":\"spec.memory\","
				  "\"message\":\"Required value\"}]}}"),
		HTTP_RULE(.method = "PATCH", .path = NS "/networks/front" APPLY_QUERY "&dryRun=All",
			  .code = 400,
			  .body = STATUS(
				  400, "BadRequest",
				  "strict decoding error: unknown field \\\"spec.dhpc\\\" (did you "
				  "mean \\\"dhcp\\\"?), unknown field \\\"spec.x\\\"")),
		HTTP_RULE(.method = "PATCH", .path = NS "/images/debian" APPLY_QUERY "&dryRun=All",
			  .code = 409,
			  .body = "{\"kind\":\"Status\",\"reason\":\"Conflict\",\"message\":"
				  "\"conflicts\","
				  "\"code\":409,\"details\":{\"causes\":[{\"reason\":"
				  "\"FieldManagerConflict\",\"field\":\".spec.pullPolicy\","
				  "\"message\":"
				  "\"conflict with \\\"other\\\"\"}]}}"),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(xfreep) char *err = NULL;
	_cleanup_(run_done) Run r = { 0 };

	put(*state, "bad.yaml",
	    "apiVersion: shakenfist.io/v1alpha1\n"
	    "kind: Instance\n"
	    "metadata:\n"
	    "  name: web-1\n"
	    "spec:\n"
	    "  cpus: 0\n"
	    "---\n"
	    "apiVersion: shakenfist.io/v1alpha1\n"
	    "kind: Network\n"
	    "metadata: {name: front}\n"
	    "spec:\n"
	    "  dhpc: {}\n"
	    "  x: 1\n"
	    "---\n"
	    "apiVersion: shakenfist.io/v1alpha1\n"
	    "kind: Image\n"
	    "metadata: {name: debian}\n"
	    "spec: {pullPolicy: Always}\n");
	r = apply(*state, f, "");
	err = without_folder(*state, r.err);
	assert_string_equal(err,
			    "bad.yaml:12:3: spec.dhpc: unknown field (did you mean \"dhcp\"?)\n"
			    "bad.yaml:13:3: spec.x: unknown field\n"
			    "bad.yaml:18:8: spec.pullPolicy: conflict with \"other\"\n"
			    "bad.yaml:5:1: spec.memory: Required value\n"
			    "bad.yaml:6:3: spec.cpus: Invalid value: 0: too few\n"
			    "error: nothing was applied\n" CONFLICT_HINT);
	assert_string_equal(r.out, "");
	assert_int_equal(r.code, EXIT_INVALID); /* the first error decides */
	assert_null(strstr(r.log, APPLY_QUERY "\n"));
	http_fake_stop(f);
}

/* What is wrong with the files themselves; no server is needed to say so. */
static void test_apply_syntax(void **state)
{
	static const struct {
		const char *text, *err;
	} cases[] = {
		{"apiVersion: v1\nkind: Namespace\n",
                 "x.yaml:1:1: metadata.name: Required value\n"                                                               },
		{ "just text\n",
                 "x.yaml:1:1: an object starts with apiVersion, kind and metadata\n"                                         },
		{ "apiVersion: v1\nkind: Namespace\nmetadata: {name: a/b}\n",
                 "x.yaml:3:12: metadata.name: 'a/b' cannot be a name: use lower-case letters, "
		  "digits, '-' and '.'\n"										    },
		{ "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, namespace: b}\n",
                 "x.yaml:3:21: metadata.namespace: this kind belongs to no namespace\n"                                      },
		{ "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n"
		  "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n",   "x.yaml:7:12: metadata.name: Namespace a is given twice; first at "
		  "x.yaml:3:12\n"},
		{ "apiVersion: v1\nkind: List\nitems:\n- kind: Namespace\n  apiVersion: v1\n",
                 "x.yaml:4:3: metadata.name: Required value\n"                                                               },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(xfreep) char *err = NULL, *wanted = NULL;
		_cleanup_(run_done) Run r = { 0 };

		put(*state, "x.yaml", cases[i].text);
		r = apply(*state, NULL, "");
		err = without_folder(*state, r.err);
		wanted = xasprintf("%serror: nothing was applied\n", cases[i].err);
		assert_string_equal(err, wanted);
		assert_int_equal(r.code, EXIT_INVALID);
	}
}

/* Of all verbs that read manifests. */
static void test_no_such_file(void **state _unused_)
{
#define NO_SUCH_FILE \
	"/nonexistent: there is no such file or folder: name one that is there, or - for " \
	"standard " \
	"input\n"
	_cleanup_(run_done) Run applied = sfctl(NULL, "apply -f /nonexistent");
	_cleanup_(run_done) Run deleted = sfctl(NULL, "delete -f /nonexistent");

	assert_string_equal(applied.err, NO_SUCH_FILE "error: nothing was applied\n");
	assert_int_equal(applied.code, EXIT_FAILED);
	assert_string_equal(deleted.err, NO_SUCH_FILE);
	assert_int_equal(deleted.code, EXIT_FAILED);
}

static void test_folders(void **state)
{
	Folder *d = *state;
	_cleanup_(xfreep) char *sub = xasprintf("%s/sub", d->path), *fifo = NULL, *loop = NULL;
	_cleanup_(xfreep) char *err = NULL;
	_cleanup_(run_done) Run first = { 0 }, second = { 0 };

	assert_int_equal(mkdir(sub, 0755), 0);
	loop = xasprintf("%s/loop", sub);
	assert_int_equal(symlink(d->path, loop), 0);
	put(d, "sub/a.yml", "kind: A\n");
	put(d, "b.json", "{\"kind\": \"B\"}");
	put(d, ".hidden.yaml", "{");
	put(d, "c.yaml~", "{");
	put(d, "#c.yaml#", "{");
	put(d, "notes.txt", "{");
	first = apply(d, NULL, "");
	err = without_folder(d, first.err);
	assert_string_equal(err, "b.json:1:1: apiVersion: Required value\n"
				 "b.json:1:1: metadata.name: Required value\n"
				 "sub/a.yml:1:1: apiVersion: Required value\n"
				 "sub/a.yml:1:1: metadata.name: Required value\n"
				 "error: nothing was applied\n");
	fifo = xasprintf("%s/z.yaml", d->path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	second = apply(d, NULL, ""); /* must not hang */
	assert_non_null(strstr(second.err, "z.yaml: not a regular file\n"));
	assert_int_equal(second.code, EXIT_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_apply, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_apply_addresses_first, folder_setup,
						folder_teardown),
		cmocka_unit_test_setup_teardown(test_apply_no_namespace, folder_setup,
						folder_teardown),
		cmocka_unit_test_setup_teardown(test_apply_onto_what_is_being_deleted, folder_setup,
						folder_teardown),
		cmocka_unit_test_setup_teardown(test_diff_of_what_is_being_deleted, folder_setup,
						folder_teardown),
		cmocka_unit_test_setup_teardown(test_apply_waits_for_the_end, folder_setup,
						folder_teardown),
		cmocka_unit_test_setup_teardown(test_apply_waits_for_the_end_in_vain, folder_setup,
						folder_teardown),
		cmocka_unit_test_setup_teardown(test_apply_beside_status, folder_setup,
						folder_teardown),
		cmocka_unit_test_setup_teardown(test_apply_beside_much, folder_setup,
						folder_teardown),
		cmocka_unit_test_setup_teardown(test_apply_conflict, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_apply_errors, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_apply_syntax, folder_setup, folder_teardown),
		cmocka_unit_test(test_no_such_file),
		cmocka_unit_test_setup_teardown(test_folders, folder_setup, folder_teardown),
	};

	run_prepare();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
