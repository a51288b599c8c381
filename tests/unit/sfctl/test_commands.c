/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole command lines of sfctl, in process, against a scripted server: what is asked of it, what is
 * printed, and the exit code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/spawn.h"
#include "tests/unit/sfctl/lib_run.h"

/* ---- errors everywhere -------------------------------------------------------------------- */

static void test_unreachable(void **state _unused_)
{
	_cleanup_(run_done) Run r = sfctl(NULL, "get vm");

	assert_int_equal(r.code, EXIT_UNREACHABLE);
	assert_true(str_has_prefix(r.err, "error: cannot reach sfd at unix:/nonexistent/sfd.sock: "
					  "No such file or directory\n"));
	assert_non_null(strstr(r.err, "sudo systemctl start sfd"));
}

static void test_usage(void **state _unused_)
{
	static const struct {
		const char *line;
		int code;
		const char *err;
	} cases[] = {
		{"aply -f x",                     EXIT_USAGE,       "error: unknown verb 'aply' (did you mean apply?)\n"   },
		{ "get vm --al-namespaces",       EXIT_USAGE,
                 "error: get: unknown option --al-namespaces (did you mean --all-namespaces?); "
		  "see `sfctl get --help`\n"									       },
		{ "apply web.yaml",               EXIT_USAGE,
                 "error: apply: 'web.yaml' is one word too many; did you mean -f web.yaml?\n"                              },
		{ "apply",                        EXIT_USAGE,       "error: apply: -f FILE, -f DIR or -f - is needed\n"    },
		{ "apply web.yaml -f x",          EXIT_USAGE,
                 "error: apply: 'web.yaml' is one word too many; did you mean -f web.yaml?\n"                              },
		{ "delete vm",                    EXIT_USAGE,
                 "error: delete: which vm? Give names, -l SELECTOR or --all\n"                                             },
		{ "-n a/b get vm",                EXIT_INVALID,
                 "error: namespace: 'a/b' cannot be a name: use lower-case letters, digits, '-' "
		  "and '.'\n"											      },
		{ "wait vm x --for=ready",        EXIT_USAGE,
                 "error: wait: --for=ready: expected condition=TYPE[=STATUS], delete, create or "
		  "jsonpath={PATH}[=VALUE]\n"									      },
		{ "port-forward x 80:99999",      EXIT_INVALID,     "error: port 99999: 1 to 65535\n"                      },
		{ "port-forward x 99999:80",      EXIT_INVALID,     "error: port 99999: 1 to 65535\n"                      },
		{ "port-forward x 80 0",          EXIT_INVALID,     "error: port 0: 1 to 65535\n"                          },
		{ "port-forward x 80:http",       EXIT_INVALID,
                 "error: '80:http': write LOCAL:REMOTE, like 8080:80\n"                                                    },
		{ "port-forward x --stdio=65536", EXIT_USAGE,
                 "error: port-forward: --stdio=65536: port 65536: 1 to 65535\n"                                            },
		{ "port-forward x 0:80",          EXIT_UNREACHABLE, NULL                                                   },
		{ "logs",                         EXIT_USAGE,       "error: logs: which instance?\n"                       },
		{ "logs a b",                     EXIT_USAGE,       "error: logs: 'b' is one word too many: one instance\n"},
		{ "console",                      EXIT_USAGE,       "error: console: which instance?\n"                    },
		{ "describe",                     EXIT_USAGE,
                 "error: describe: which object? KIND NAME, or KIND/NAME\n"                                                },
		{ "label vm x",                   EXIT_USAGE,
                 "error: say what to change: KEY=VALUE sets, KEY- removes\n"                                               },
		{ "completion fish",              EXIT_USAGE,       "error: completion: bash or zsh\n"                     },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(run_done) Run r = sfctl(NULL, cases[i].line);

		assert_int_equal(r.code, cases[i].code);
		if (cases[i].err)
			assert_string_equal(r.err, cases[i].err);
	}
}

static void test_help(void **state _unused_)
{
	_cleanup_(run_done) Run r = sfctl(NULL, "--help");

	assert_int_equal(r.code, EXIT_OK);
	for (const Verb *const *v = sfctl_verbs; *v; v++) {
		_cleanup_(xfreep) char *line = xasprintf("%s --help", (*v)->name);
		_cleanup_(run_done) Run one = { 0 };
		_cleanup_(xfreep) char *usage = xasprintf("Usage: sfctl %s", (*v)->name);

		if (!(*v)->summary)
			continue;
		one = sfctl(NULL, line);
		assert_int_equal(one.code, EXIT_OK);
		assert_non_null(strstr(one.out, usage));
		assert_non_null(strstr(r.out, (*v)->summary));
	}
}

/* ---- delete and wait ---------------------------------------------------------------------- */

#define ONE         "?fieldSelector=metadata.name%3Dweb-1"
#define LIST(items) "{\"metadata\":{\"resourceVersion\":\"20\"},\"items\":[" items "]}"
#define WATCH       ONE "&watch=true&resourceVersion=20"

static const char terminating[] =
	"{\"metadata\":{\"name\":\"web-1\",\"uid\":\"u-1\",\"resourceVersion\":\"20\","
	"\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"}}";

static void test_delete(void **state _unused_)
{
	_cleanup_(xfreep) char *list = xasprintf(LIST("%s"), terminating);
	_cleanup_(xfreep) char *gone = xasprintf("{\"type\":\"MODIFIED\",\"object\":%s}\n"
						 "{\"type\":\"DELETED\",\"object\":%s}\n",
						 terminating, terminating);
	HttpRule rules[] = {
		HTTP_RULE(.method = "DELETE", .path = INSTANCES "/web-1", .body = terminating),
		HTTP_RULE(.method = "DELETE", .path = INSTANCES "/quick",
			  .body = "{\"kind\":\"Status\",\"status\":\"Success\"}"),
		HTTP_RULE(.method = "DELETE", .path = INSTANCES "/none", .code = 404,
			  .body = STATUS(404, "NotFound", "it is not there")),
		HTTP_RULE(.path = INSTANCES ONE, .body = list),
		HTTP_RULE(.path = INSTANCES WATCH, .body = gone, .chunked = true),
	};
	static const struct {
		const char *line;
		int code;
		const char *out, *err;
	} cases[] = {
		{"delete vm web-1 quick",              EXIT_OK,
                 "instance.shakenfist.io \"quick\" deleted\n"
		  "instance.shakenfist.io \"web-1\" deleted\n",            "instance.shakenfist.io/web-1: Terminating\n"},
		{ "delete vm/web-1 --wait=false",      EXIT_OK,
                 "instance.shakenfist.io \"web-1\" is being deleted\n",    ""                                           },
		{ "delete vm none",                    EXIT_NOT_FOUND, "", "error: it is not there\n"                   },
		{ "delete vm none --ignore-not-found", EXIT_OK,        "", ""                                           },
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(run_done) Run r = sfctl(f, cases[i].line);

		run_expect(&r, cases[i].code, cases[i].out, cases[i].err);
	}
	http_fake_stop(f);
}

#define INSTANCE(generation, seen, word, ready) \
	"{\"metadata\":{\"name\":\"web-1\",\"uid\":\"u-1\",\"generation\":" #generation "}," \
	"\"status\":{\"printableStatus\":\"" word "\",\"conditions\":[{\"type\":\"Ready\"," \
	"\"status\":\"" ready \
	"\",\"reason\":\"R\",\"message\":\"m\",\"observedGeneration\":" #seen "}]}}"

static void test_wait(void **state _unused_)
{
	HttpRule rules[] = {
		/* What was seen of an older generation does not count. */
		HTTP_RULE(.path = INSTANCES ONE, .body = LIST(INSTANCE(2, 1, "Running", "True"))),
		HTTP_RULE(.path = INSTANCES WATCH, .chunked = true,
			  .body = "{\"type\":\"MODIFIED\",\"object\":" INSTANCE(
				  2, 2, "Starting",
				  "False") "}\n"
					   "{\"type\":\"MODIFIED\",\"object\":" INSTANCE(
						   2, 2, "Running", "True") "}\n"),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run r = sfctl(f, "wait vm web-1 --for=condition=ready");
	_cleanup_(run_done) Run path =
		sfctl(f, "wait vm web-1 --for=jsonpath={.status.printableStatus}=Running");

	run_expect(&r, EXIT_OK, "instance.shakenfist.io/web-1 condition met\n",
		   "instance.shakenfist.io/web-1: Running\n"
		   "instance.shakenfist.io/web-1: Starting: m\n");
	run_expect(&path, EXIT_OK, "instance.shakenfist.io/web-1 condition met\n", "");
	http_fake_stop(f);
}

static void test_wait_fails(void **state _unused_)
{
	HttpRule rules[] = {
		HTTP_RULE(.path = INSTANCES ONE, .body = LIST(INSTANCE(1, 1, "Stopped", "False"))),
		HTTP_RULE(.path = INSTANCES WATCH, .hang = true),
		HTTP_RULE(.path = INSTANCES "?fieldSelector=metadata.name%3Dnone",
			  .body = LIST("")),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run late = sfctl(f, "wait vm web-1 --timeout=100ms");
	_cleanup_(run_done) Run none = sfctl(f, "wait vm none");

	run_expect(&late, EXIT_TIMEOUT, "",
		   "instance.shakenfist.io/web-1: Stopped: m\n"
		   "error: timed out waiting for condition=Ready of instance.shakenfist.io/web-1, "
		   "which is: Stopped: m\n");
	run_expect(&none, EXIT_NOT_FOUND, "",
		   "error: instance.shakenfist.io/none does not exist\n");
	http_fake_stop(f);
}

static void test_power(void **state _unused_)
{
#define POWERED(id, state) \
	"{\"metadata\":{\"name\":\"web-1\",\"annotations\":{\"shakenfist.io/power-request\":" \
	"\"{\\\"id\\\":\\\"" id "\\\",\\\"action\\\":\\\"stop\\\"}\"}},\"status\":" \
	"{\"printableStatus\":\"Stopped\",\"powerRequest\":{\"id\":\"r-1\",\"state\":\"" state \
	"\"}}}"
	static const struct {
		const char *state, *newest;
		int code;
		const char *out;
	} cases[] = {
		{"Done",     "r-1", EXIT_OK,       "instance.shakenfist.io/web-1 stopped\n"},
		{ "Refused", "r-1", EXIT_CONFLICT, ""                                      },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *body =
			i == 0 ? LIST(POWERED("r-1", "Done")) : LIST(POWERED("r-1", "Refused"));
		HttpRule rules[] = {
			HTTP_RULE(.method = "POST", .path = INSTANCES "/web-1/stop", .code = 202,
				  .body = POWERED("r-1", "Pending")),
			HTTP_RULE(.path = INSTANCES ONE, .body = body),
		};
		HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
		_cleanup_(run_done) Run r = sfctl(f, "stop web-1 --wait --force");

		assert_string_equal(r.out, cases[i].out);
		assert_int_equal(r.code, cases[i].code);
		assert_non_null(strstr(r.log, "/web-1/stop\n{\"force\":true}\n"));
		http_fake_stop(f);
	}
}

/* ---- the others --------------------------------------------------------------------------- */

static const char object_8[] =
	"{\"kind\":\"X\",\"metadata\":{\"name\":\"n\",\"resourceVersion\":\"8\"}}";

static void test_label(void **state _unused_)
{
	HttpRule rules[] = {
		HTTP_RULE(.method = "GET", .path = INSTANCES "/web-1",
			  .body = "{\"metadata\":{\"labels\":{\"app\":\"web\"},\"resourceVersion\":"
				  "\"7\"}}"),
		HTTP_RULE(.method = "PATCH", .path = INSTANCES "/web-1?fieldManager=sfctl-edit",
			  .body = object_8),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run refused = sfctl(f, "label vm web-1 app=db");
	_cleanup_(run_done) Run done = sfctl(f, "label vm web-1 app=db tier- --overwrite");

	run_expect(&refused, EXIT_CONFLICT, "",
		   "error: instance.shakenfist.io/web-1 already has app=web; --overwrite changes "
		   "it\n");
	run_expect(&done, EXIT_OK, "instance.shakenfist.io/web-1 labeled\n", "");
	assert_non_null(
		strstr(done.log, "{\"metadata\":{\"labels\":{\"app\":\"db\",\"tier\":null}}}"));
	http_fake_stop(f);
}

/* --timeout holds also where the server takes the question and never answers. */
static void test_wait_for_a_server_that_hangs(void **state _unused_)
{
	HttpRule rule = HTTP_RULE(.path = INSTANCES "?*", .hang = true);
	HttpFake *f = http_fake_start(&rule, 1);
	usec_t began = clock_now(clock_system());
	_cleanup_(run_done) Run r = sfctl(f, "wait vm web-1 --for=condition=Ready --timeout=100ms");

	assert_int_equal(r.code, EXIT_TIMEOUT);
	assert_non_null(strstr(r.err, "does not answer in time"));
	assert_true(clock_now(clock_system()) - began < 45 * USEC_PER_SEC);
	http_fake_stop(f);
}

/* Somebody labels it between our look and our change. */
static void test_label_that_came_meanwhile(void **state _unused_)
{
	HttpRule rules[] = {
		HTTP_RULE(.method = "GET", .path = INSTANCES "/web-1", .times = 1,
			  .body = "{\"metadata\":{\"resourceVersion\":\"4\"}}"),
		HTTP_RULE(.method = "PATCH", .path = INSTANCES "/web-1*", .code = 409,
			  .body = STATUS(409, "Conflict", "modified")),
		HTTP_RULE(.method = "GET", .path = INSTANCES "/web-1",
			  .body = "{\"metadata\":{\"labels\":{\"app\":\"theirs\"},"
				  "\"resourceVersion\":\"5\"}}"),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run r = sfctl(f, "label vm web-1 app=mine");

	run_expect(&r, EXIT_CONFLICT, "",
		   "error: instance.shakenfist.io/web-1 already has app=theirs; --overwrite "
		   "changes it\n");
	assert_non_null(strstr(r.log, "\"resourceVersion\":\"4\""));
	http_fake_stop(f);
}

/* The server wrote status meanwhile: nothing to anybody. */
static void test_label_beside_status(void **state _unused_)
{
	HttpRule rules[] = {
		HTTP_RULE(.method = "GET", .path = INSTANCES "/web-1", .times = 1,
			  .body = "{\"metadata\":{\"labels\":{\"app\":\"mine\"},"
				  "\"resourceVersion\":\"4\"}}"),
		HTTP_RULE(.method = "PATCH", .path = INSTANCES "/web-1*", .times = 1, .code = 409,
			  .body = STATUS(409, "Conflict", "modified")),
		HTTP_RULE(.path = INSTANCES "/web-1*",
			  .body = "{\"metadata\":{\"labels\":{\"app\":\"mine\"},"
				  "\"resourceVersion\":\"5\"}}"),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run r = sfctl(f, "label vm web-1 app=mine");

	run_expect(&r, EXIT_OK, "instance.shakenfist.io/web-1 unchanged\n", "");
	http_fake_stop(f);
}

/* It never holds still. */
static void test_label_gives_up(void **state _unused_)
{
	HttpRule rules[] = {
		HTTP_RULE(.method = "GET", .path = INSTANCES "/web-1",
			  .body = "{\"metadata\":{\"resourceVersion\":\"4\"}}"),
		HTTP_RULE(.method = "PATCH", .path = INSTANCES "/web-1*", .code = 409,
			  .body = STATUS(409, "Conflict", "modified")),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run r = sfctl(f, "label vm web-1 app=mine");

	run_expect(&r, EXIT_CONFLICT, "",
		   "error: somebody else changed it 20 times in a row: modified\n");
	http_fake_stop(f);
}

static void test_gc(void **state _unused_)
{
#define NODES "/apis/shakenfist.io/v1alpha1/nodes"
	HttpRule rules[] = {
		HTTP_RULE(.path = NODES "?limit=500",
			  .body = LIST(
				  "{\"metadata\":{\"name\":\"n1\"},\"status\":{\"unmanaged\":["
				  "{\"type\":\"Guest\",\"name\":\"default.x\",\"uid\":\"u-1\"},"
				  "{\"type\":\"Disks\",\"uid\":\"u-1\"}]}}")),
	};
	static const struct {
		const char *line;
		int code;
		const char *out, *err;
	} cases[] = {
		{"gc",                      EXIT_OK,
                 "NODE   TYPE    NAME        UID\n"
		  "n1     Guest   default.x   u-1\n"
		  "n1     Disks   <none>      u-1\n",           "`sfctl gc --enforce UID` removes a guest and its disks for good\n"},
		{ "gc --enforce",           EXIT_USAGE,     "",
                 "error: gc --enforce: name uids as `sfctl gc` lists them, or --all\n"                                             },
		{ "gc --enforce u-1 --all", EXIT_USAGE,     "",
                 "error: gc --enforce: name uids as `sfctl gc` lists them, or --all\n"                                             },
		{ "gc u-1",                 EXIT_USAGE,     "", "error: gc: only --enforce removes what is named\n"                },
		{ "gc --enforce u-2",       EXIT_NOT_FOUND, "",
                 "error: nothing unmanaged has the uid \"u-2\"\n"                                                                  },
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(run_done) Run r = sfctl(f, cases[i].line);

		run_expect(&r, cases[i].code, cases[i].out, cases[i].err);
	}
	http_fake_stop(f);
}

static void test_events(void **state _unused_)
{
#define EVENT(time, rv, reason) \
	"{\"metadata\":{\"namespace\":\"default\",\"resourceVersion\":\"" rv "\"},\"type\":" \
	"\"Normal\",\"reason\":\"" reason "\",\"message\":\"text\",\"lastTimestamp\":\"" time \
	"\",\"involvedObject\":{\"kind\":\"Instance\",\"name\":\"web-1\"}}"
	HttpRule rule = { .path = "/api/v1/namespaces/default/events?fieldSelector="
				  "involvedObject.name%3Dweb-1%2CinvolvedObject.kind%3DInstance"
				  "&limit=500",
			  .body = LIST(EVENT("2026-01-01T00:00:02Z", "11", "Third") "," EVENT(
				  "2026-01-01T00:00:01Z", "9",
				  "First") "," EVENT("2026-01-01T00:00:01Z", "10", "Second")) };
	HttpFake *f = http_fake_start(&rule, 1);
	_cleanup_(run_done) Run r = sfctl(f, "events --for vm/web-1 --no-headers");
	const char *first = strstr(r.out, "First"), *second = strstr(r.out, "Second");

	assert_int_equal(r.code, EXIT_OK);
	assert_true(first && second && first < second && second < strstr(r.out, "Third"));
	assert_non_null(strstr(r.out, "Instance/web-1   text\n"));
	http_fake_stop(f);
}

static void test_logs(void **state _unused_)
{
	HttpRule rule = { .path = INSTANCES "/web-1/log?tailLines=5",
			  .type = "text/plain",
			  .body = "boot\r\n\033[1mlogin:\033[0m ",
			  .chunked = true };
	HttpFake *f = http_fake_start(&rule, 1);
	_cleanup_(run_done) Run r = sfctl(f, "logs vm/web-1 --tail=5");

	/* Not a terminal: as it came. */
	run_expect(&r, EXIT_OK, "boot\r\n\033[1mlogin:\033[0m ", "");
	http_fake_stop(f);
}

static void test_explain(void **state _unused_)
{
	_cleanup_(run_done) Run good = sfctl(NULL, "explain instance.spec.disks");
	_cleanup_(run_done) Run bad = sfctl(NULL, "explain instance.spec.diskz");

	assert_int_equal(good.code, EXIT_OK); /* without any server */
	assert_non_null(strstr(good.out, "image"));
	assert_int_equal(bad.code, EXIT_NOT_FOUND);
	assert_non_null(strstr(bad.err, "disks"));
}

/* A kind that is not compiled in is found by asking. */
static void test_discovery(void **state _unused_)
{
	HttpRule rules[] = {
		HTTP_RULE(.path = "/api/v1",
			  .body = "{\"resources\":[{\"name\":\"secrets\",\"kind\":\"Secret\","
				  "\"namespaced\":true,\"verbs\":[\"get\"]}]}"),
		HTTP_RULE(.path = "/apis", .body = "{\"groups\":[{\"name\":\"x.org\","
						   "\"versions\":[{\"version\":\"v1\"},"
						   "{\"version\":\"v1beta1\"}]}]}"),
		HTTP_RULE(.path = "/apis/x.org/v1beta1",
			  .body = "{\"resources\":[{\"name\":\"widgets\",\"singularName\":"
				  "\"widget\",\"kind\":\"Widget\",\"namespaced\":true,"
				  "\"shortNames\":[\"wd\"],\"verbs\":[\"get\"]}]}"),
		HTTP_RULE(.path = "/apis/x.org/v1",
			  .body = "{\"resources\":[{\"name\":\"widgets\",\"singularName\":"
				  "\"widget\","
				  "\"kind\":\"Widget\",\"namespaced\":true,\"shortNames\":[\"wd\"],"
				  "\"verbs\":[\"get\",\"list\"]},{\"name\":\"widgets/"
				  "status\",\"kind\":"
				  "\"Widget\"}]}"),
		HTTP_RULE(.path = "/apis/x.org/v1/namespaces/default/widgets?limit=500",
			  .body = LIST("{\"metadata\":{\"name\":\"w\"}}")),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run got = sfctl(f, "get wd -o name");
	_cleanup_(run_done) Run wrong = sfctl(f, "get widgts");
	_cleanup_(run_done) Run all = sfctl(f, "api-resources");

	run_expect(&got, EXIT_OK, "widget.x.org/w\n", "");
	run_expect(&wrong, EXIT_NOT_FOUND, "",
		   "error: there is no kind 'widgts' (did you mean widgets?)\n");
	run_expect(&all, EXIT_OK,
		   "NAME      SHORTNAMES   APIVERSION   NAMESPACED   KIND\n"
		   "secrets                v1           true         Secret\n"
		   "widgets   wd           x.org/v1     true         Widget\n",
		   "");
	http_fake_stop(f);
}

static void test_completion(void **state _unused_)
{
	_cleanup_(run_done) Run verbs = sfctl(NULL, "__complete -- ap");
	_cleanup_(run_done) Run options = sfctl(NULL, "__complete -- get --");
	_cleanup_(run_done) Run bash = sfctl(NULL, "completion bash");
	char path[] = "/tmp/sfctl-completion-XXXXXX";
	Context ctx = CONTEXT_BACKGROUND;
	int fd = mkstemp(path), rc;

	assert_non_null(strstr(verbs.out, "apply\n"));
	assert_null(strstr(verbs.out, "__complete"));
	assert_non_null(strstr(options.out, "--all-namespaces\n"));
	assert_non_null(strstr(options.out, "--output=\n"));
	assert_non_null(strstr(options.out, "--namespace=\n"));
	assert_int_equal(fs_write_all(fd, bash.out, strlen(bash.out), NULL), 0);
	close(fd);
	rc = spawn_run(&ctx, (const char *[]){ "/bin/bash", "-n", path, NULL }, NULL, NULL, NULL);
	unlink(path);
	assert_int_equal(rc, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unreachable),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_delete),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_gc),
		cmocka_unit_test(test_wait_fails),
		cmocka_unit_test(test_power),
		cmocka_unit_test(test_wait_for_a_server_that_hangs),
		cmocka_unit_test(test_label),
		cmocka_unit_test(test_label_that_came_meanwhile),
		cmocka_unit_test(test_label_beside_status),
		cmocka_unit_test(test_label_gives_up),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_logs),
		cmocka_unit_test(test_explain),
		cmocka_unit_test(test_discovery),
		cmocka_unit_test(test_completion),
	};

	run_prepare();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
