/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fetch role against a hostile server, as its own process: this program answers to
 * --role=fetch, so what runs is confined exactly as in production.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/sha.h"
#include "base/spawn.h"
#include "driver/image/role.h"
#include "driver/image/roles.h"
#include "driver/image/transfer.h"
#include "tests/lib/hostile_http.h"

#include <setjmp.h>

#include <cmocka.h>

#define NAME "00112233445566778899aabbccddeeff"

typedef struct Env {
	HostileHttp *http;
	char *dir;
	int dir_fd;
	json_t *request;
	json_int_t progress; /* bytes, as last told */
} Env;

static int setup(void **state)
{
	Env *e = xnew0(Env, 1);
	const char *tmp = getenv("TMPDIR");
	char *dir = xasprintf("%s/sf-fetch-XXXXXX", tmp ? tmp : "/tmp");

	e->http = hostile_http_new();
	e->dir = mkdtemp(dir);
	e->dir_fd = open(e->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	e->request = json_pack("{s:s, s:I, s:b, s:i, s:i, s:i, s:i}", "name", NAME, "maxSize",
			       (json_int_t)1000000, "allowLoopback", 1, "connectSeconds", 2,
			       "totalSeconds", 3, "lowSpeedBytes", 1000, "lowSpeedSeconds", 1);
	*state = e;
	return e->dir_fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	Env *e = *state;

	hostile_http_free(e->http);
	fs_remove_tree(e->dir, NULL);
	close(e->dir_fd);
	free(e->dir);
	json_decref(e->request);
	free(e);
	return 0;
}

static void set(Env *e, const char *name, const char *value)
{
	json_object_set_new(e->request, name, value ? json_string(value) : json_null());
}

static void set_path(Env *e, const char *path)
{
	_cleanup_(xfreep) char *url = hostile_http_url(e->http, path);

	set(e, "url", url);
}

/* Starts the role; its answers come out of *ret_out. */
static pid_t role_begin(Env *e, int *ret_out, int *ret_pidfd)
{
	static const char *const argv[] = { "/proc/self/exe", "--role=fetch", NULL };
	_cleanup_(xfreep) char *text = json_dumps(e->request, JSON_COMPACT);
	int in[2], out[2];
	pid_t pid;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(fs_write_all(in[1], text, strlen(text), NULL), 0);
	close(in[1]);
	assert_int_equal(spawn_start(
				 &(SpawnOptions){
					 .argv = argv,
					 .fds = (SpawnFd[]){{ in[0], 0 },
                                                            { out[1], 1 },
                                                            { 2, 2 },
                                                            { e->dir_fd, ROLE_DIRECTORY_FD }},
					 .n_fds = 4
        },
				 &pid, ret_pidfd, NULL),
			 0);
	close(in[0]);
	close(out[1]);
	*ret_out = out[0];
	return pid;
}

/* Runs the role; 0 with *ret_result, or its error. */
static int role_run(Env *e, json_t **ret_result, Error *err)
{
	_cleanup_(xfreep) char *text = NULL;
	_cleanup_(strv_freep) char **lines = NULL;
	int out, pidfd, status, rc = -ERR_INTERNAL;
	Context ctx = context_with_timeout(&CONTEXT_BACKGROUND, 20 * USEC_PER_SEC);
	pid_t pid = role_begin(e, &out, &pidfd);
	size_t len;

	assert_int_equal(fs_read_fd(out, 1 << 20, &text, &len, NULL), 0);
	close(out);
	assert_int_equal(spawn_wait(&ctx, pid, pidfd, &status, NULL), 0);
	close(pidfd);
	assert_true(WIFEXITED(status));
	lines = strv_split(text, '\n');
	strv_foreach (l, lines) {
		json_t *msg = NULL, *part;

		if (!**l)
			continue;
		assert_int_equal(json_decode(*l, strlen(*l), &msg, NULL), 0);
		if ((part = json_object_get(msg, "error")))
			rc = error_set(err, role_error_code(part), "%s",
				       json_string_at(part, "message"));
		if ((part = json_object_get(msg, "progress")))
			e->progress = json_integer_at(part, "bytes", -1);
		if ((part = json_object_get(msg, "result"))) {
			rc = 0;
			if (ret_result)
				*ret_result = json_incref(part);
		}
		json_decref(msg);
	}
	assert_int_equal(WEXITSTATUS(status), rc < 0 ? 1 : 0);
	return rc;
}

static bool part_exists(Env *e, const char *suffix)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/" NAME "%s", e->dir, suffix);

	return fs_exists(path);
}

static off_t part_size(Env *e)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/" NAME ".part", e->dir);
	struct stat st;

	return stat(path, &st) < 0 ? -1 : st.st_size;
}

/* What is wrong with how it failed, or NULL. */
static char *wrong_failure(Env *e, const char *path, ErrorCode code, const char *text)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	int rc;

	set_path(e, path);
	rc = role_run(e, NULL, &err);
	if (rc == 0)
		return xasprintf("%s was fetched, and must be refused: %s %s", path,
				 error_code_to_string(code), text ? text : "");
	if (rc != -(int)code || (text && !strstr(error_message(&err), text)))
		return xasprintf("%s: %s: %s; must be %s: %s", path, error_code_to_string(rc),
				 error_message(&err), error_code_to_string(code), text ? text : "");
	if (code != ERR_UNAVAILABLE && code != ERR_TIMEOUT && part_exists(e, ".part"))
		return xasprintf("%s left a partial file", path);
	return NULL;
}

static void expect_failure(Env *e, const char *path, ErrorCode code, const char *text)
{
	_cleanup_(xfreep) char *wrong = wrong_failure(e, path, code, text);

	if (wrong)
		fail_msg("%s", wrong);
}

/* One of a table: every case is tried, and the test fails at its end. */
static bool fails_as(Env *e, const char *path, ErrorCode code, const char *text)
{
	_cleanup_(xfreep) char *wrong = wrong_failure(e, path, code, text);

	if (wrong)
		print_error("%s\n", wrong);
	return !wrong;
}

static void test_stalled_download_tells_what_came(void **state)
{
	Env *e = *state;

	expect_failure(e, "/bad/stall-body", ERR_TIMEOUT, NULL);
	assert_int_equal(e->progress, strlen("hello"));
}

static void test_behaviours(void **state)
{
	static const struct {
		const char *kind;
		ErrorCode code;
		const char *text;
	} cases[] = {
		{"stall-headers",    ERR_TIMEOUT,     NULL                 },
		{ "stall-body",      ERR_TIMEOUT,     NULL                 },
		{ "drip",            ERR_TIMEOUT,     NULL                 },
		{ "headers-drip",    ERR_TIMEOUT,     NULL                 },
		{ "headers-many",    ERR_INVALID,     "header"             },
		{ "header-long",     ERR_UNAVAILABLE, NULL                 },
		{ "endless-chunks",  ERR_EXHAUSTED,   "larger than"        },
		{ "endless-body",    ERR_EXHAUSTED,   "larger than"        },
		{ "endless-error",   ERR_NOT_FOUND,   "404"                },
		{ "hops",            ERR_INVALID,     "redirects"          },
		{ "loop",            ERR_INVALID,     "redirects"          },
		{ "close",           ERR_UNAVAILABLE, NULL                 },
		{ "garbage",         ERR_INVALID,     NULL                 },
		{ "http09",          ERR_INVALID,     NULL                 },
		{ "empty",           ERR_INVALID,     "nothing"            },
		{ "truncated",       ERR_UNAVAILABLE, NULL                 },
		{ "length-double",   ERR_INVALID,     "Content-Length"     },
		{ "length-twice",    ERR_INVALID,     "two Content-Lengths"},
		{ "length-negative", ERR_INVALID,     NULL                 },
		{ "length-huge",     ERR_INVALID,     "Content-Length"     },
		{ "length-large",    ERR_EXHAUSTED,   "larger than"        },
		{ "length-garbage",  ERR_INVALID,     "Content-Length"     },
		{ "length-list",     ERR_INVALID,     "Content-Length"     },
		{ "length-chunked",  ERR_INVALID,     "Transfer-Encoding"  },
		{ "chunk-bad",       ERR_UNAVAILABLE, NULL                 },
		{ "chunk-huge",      ERR_UNAVAILABLE, NULL                 },
		{ "chunk-cut",       ERR_UNAVAILABLE, NULL                 },
		{ "gzip",            ERR_INVALID,     "Content-Encoding"   },
		{ "part-unasked",    ERR_CONFLICT,    "another part"       },
		{ "part-nameless",   ERR_INVALID,     "without saying"     },
		{ "part-reversed",   ERR_INVALID,     "Content-Range"      },
		{ "nowhere",         ERR_UNAVAILABLE, "302"                },
		{ "gone",            ERR_NOT_FOUND,   "410"                },
		{ "forbidden",       ERR_FORBIDDEN,   "403"                },
		{ "unauthorized",    ERR_FORBIDDEN,   "401"                },
		{ "error",           ERR_UNAVAILABLE, "500"                },
		{ "busy",            ERR_UNAVAILABLE, "503"                },
		{ "teapot",          ERR_UNAVAILABLE, "418"                },
		{ "unasked-304",     ERR_INVALID,     NULL                 },
	};
	Env *e = *state;
	size_t good = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(xfreep) char *path = xasprintf("/bad/%s", cases[i].kind);
		_cleanup_(xfreep) char *part = xasprintf("%s/" NAME ".part", e->dir);

		unlink(part);
		good += fails_as(e, path, cases[i].code, cases[i].text);
	}
	print_message("%zu behaviours\n", ARRAY_SIZE(cases));
	assert_int_equal(good, ARRAY_SIZE(cases));
}

static void test_redirects(void **state)
{
	static const char *const refused[] = {
		"file:///etc/passwd",
		"ftp://192.0.2.1/x",
		"gopher://192.0.2.1/x",
		"http://169.254.169.254/",
		"http://[fe80::1]/",
		"http://0.0.0.0/",
		"http://240.0.0.1/",
		"http://[fd73:6664::1]/",
		"http://224.0.0.1/",
		"http://[::ffff:169.254.169.254]/",
		"http://[64:ff9b::a9fe:a9fe]/",
		"http://0xa9fea9fe/",
		"http://2852039166/",
	};
	Env *e = *state;
	size_t good = 0;

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		_cleanup_(xfreep) char *path = xasprintf("/to/%s", refused[i]);

		good += fails_as(e, path, ERR_FORBIDDEN, "refused");
	}
	assert_int_equal(good, ARRAY_SIZE(refused));
	json_object_set_new(e->request, "denyPrivate", json_true());
	expect_failure(e, "/to/http://10.1.2.3/", ERR_FORBIDDEN, "private");
	expect_failure(e, "/to/http://[fd00::1]/", ERR_FORBIDDEN, "private");
}

static void test_loopback_refused(void **state)
{
	static const char *const hosts[] = { "127.0.0.1",          "127.1",     "2130706433",
					     "0x7f000001",         "localhost", "[::1]",
					     "[::ffff:127.0.0.1]", "0177.0.0.1" };
	Env *e = *state;

	json_object_set_new(e->request, "allowLoopback", json_false());
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		_cleanup_(error_done) Error err = ERROR_INIT;
		_cleanup_(xfreep) char *url =
			xasprintf("http://%s:%u/file/x", hosts[i], hostile_http_port(e->http));
		int rc;

		set(e, "url", url);
		rc = role_run(e, NULL, &err);
		if (rc != -ERR_FORBIDDEN)
			fail_msg("%s: %s", url, error_message(&err));
	}
	assert_int_equal(hostile_http_count(e->http, "/"), 0);
}

static void test_redirect_rules(void **state)
{
	(void)state;
	assert_int_equal(redirect_check("http://a/", "https://b/", NULL), 0);
	assert_int_equal(redirect_check("https://a/", "https://b/", NULL), 0);
	assert_int_equal(redirect_check("https://a/", "http://a/", NULL), -ERR_FORBIDDEN);
	assert_int_equal(redirect_check("http://a/", "dict://a/", NULL), -ERR_FORBIDDEN);
}

static void test_good(void **state)
{
	Env *e = *state;
	char hex[SHA_HEX_MAX];
	_cleanup_(xfreep) char *sum = NULL;
	json_t *result = NULL;

	hostile_http_put(e->http, "x", "hello world", 11, "\"v1\"");
	sum = xasprintf("sha256:%s", sha_hex_of(SHA_256, "hello world", 11, hex));
	set_path(e, "/file/x");
	set(e, "checksum", sum);
	assert_int_equal(role_run(e, &result, NULL), 0);
	assert_string_equal(json_string_at(result, "checksum"), sum);
	assert_string_equal(json_string_at(result, "etag"), "\"v1\"");
	assert_int_equal(json_integer_at(result, "bytes", 0), 11);
	assert_int_equal(part_size(e), 11);
	json_decref(result);
	/* Complete: nothing is asked again. */
	assert_int_equal(role_run(e, NULL, NULL), 0);
	assert_int_equal(hostile_http_count(e->http, "/file/x"), 1);
}

/* A complete part is not synced: what a power cut left of it has not the sum it had. */
static void test_torn(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *part = xasprintf("%s/" NAME ".part", e->dir);
	_cleanup_(fd_closep) int fd = -1;
	json_t *result = NULL;

	hostile_http_put(e->http, "x", "hello world", 11, "\"v1\"");
	set_path(e, "/file/x");
	assert_int_equal(role_run(e, NULL, NULL), 0);
	fd = open(part, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "\0\0\0", 3, 4), 3);
	assert_int_equal(role_run(e, &result, NULL), 0);
	assert_int_equal(hostile_http_count(e->http, "/file/x"), 2);
	assert_int_equal(hostile_http_sent(e->http), 22); /* the whole, not a part of it */
	json_decref(result);
}

static void test_conditional(void **state)
{
	Env *e = *state;
	json_t *result = NULL;

	hostile_http_put(e->http, "x", "hello world", 11, "\"v1\"");
	set_path(e, "/file/x");
	set(e, "etag", "\"v1\"");
	assert_int_equal(role_run(e, &result, NULL), 0);
	assert_true(json_bool_at(result, "notModified", false));
	assert_false(part_exists(e, ".part"));
	json_decref(result);
	set(e, "etag", "\"v0\"");
	assert_int_equal(role_run(e, &result, NULL), 0);
	assert_int_equal(json_integer_at(result, "bytes", 0), 11);
	json_decref(result);
}

static void test_checksum(void **state)
{
	Env *e = *state;
	char hex[SHA_HEX_MAX], sums[400];

	hostile_http_put(e->http, "x.img", "hello world", 11, NULL);
	set(e, "checksum",
	    "sha256:0000000000000000000000000000000000000000000000000000000000000000");
	expect_failure(e, "/file/x.img", ERR_INVALID, "mismatch");
	set(e, "checksum", "md5:5eb63bbbe01eeed093cb22bb8f5acdc3");
	expect_failure(e, "/file/x.img", ERR_INVALID, "sha256");
	set(e, "checksum", NULL);

	_cleanup_(xfreep) char *url = hostile_http_url(e->http, "/file/SHA256SUMS");
	set(e, "checksumURL", url);
	expect_failure(e, "/file/x.img", ERR_NOT_FOUND, "checksum file");
	hostile_http_put(e->http, "SHA256SUMS", "<html>sorry</html>", 18, NULL);
	expect_failure(e, "/file/x.img", ERR_INVALID, "web page");
	hostile_http_put(e->http, "SHA256SUMS", "0123  y.img\n", 12, NULL);
	expect_failure(e, "/file/x.img", ERR_INVALID, "does not name x.img");
	snprintf(sums, sizeof(sums), "%s *x.img\n", sha_hex_of(SHA_256, "hello world", 11, hex));
	hostile_http_put(e->http, "SHA256SUMS", sums, strlen(sums), NULL);
	set_path(e, "/file/x.img");
	assert_int_equal(role_run(e, NULL, NULL), 0);
}

static void test_short_length_needs_checksum(void **state)
{
	Env *e = *state;

	/* curl says success; the checksum, or later the header check, says what is wrong. */
	set(e, "checksum",
	    "sha256:b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9");
	expect_failure(e, "/bad/length-short", ERR_INVALID, "mismatch");
}

static void test_credentials(void **state)
{
	Env *e = *state;
	_cleanup_(hostile_http_freep) HostileHttp *other = hostile_http_new();
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *there = hostile_http_url(other, "/file/x"), *sent = NULL,
			       *leaked = NULL;
	char url[500];

	hostile_http_put(other, "x", "hello", 5, NULL);
	snprintf(url, sizeof(url), "http://user:hunter2@127.0.0.1:%u/to/%s",
		 hostile_http_port(e->http), there);
	set(e, "url", url);
	if (role_run(e, NULL, &err) < 0)
		fail_msg("%s", error_message(&err));
	sent = hostile_http_header(e->http, "Authorization");
	leaked = hostile_http_header(other, "Authorization");
	assert_non_null(sent);
	assert_null(leaked);
	/* Nor in what is told about failures. The name of another source is another one. */
	set(e, "name", "ffeeddccbbaa99887766554433221100");
	snprintf(url, sizeof(url), "http://user:hunter2@127.0.0.1:%u/file/absent?token=hunter2",
		 hostile_http_port(e->http));
	set(e, "url", url);
	assert_int_equal(role_run(e, NULL, &err), -ERR_NOT_FOUND);
	assert_null(strstr(error_message(&err), "hunter2"));
}

/* Kills the role when half of the file is there. */
static void interrupt(Env *e, off_t at_least)
{
	int out, pidfd, status;
	pid_t pid = role_begin(e, &out, &pidfd);
	usec_t until = clock_now(clock_system()) + 5 * USEC_PER_SEC;

	while (part_size(e) < at_least && clock_now(clock_system()) < until)
		sched_yield();
	assert_true(part_size(e) >= at_least);
	kill(pid, SIGKILL);
	assert_int_equal(spawn_wait(&CONTEXT_BACKGROUND, pid, pidfd, &status, NULL), 0);
	close(pidfd);
	close(out);
}

static void resume_case(Env *e, const char *etag_before, const char *etag_after, bool changed)
{
	size_t n = 300000;
	_cleanup_(xfreep) char *data = xmalloc(n);
	char hex[SHA_HEX_MAX];
	_cleanup_(xfreep) char *sum = NULL, *range = NULL;

	for (size_t i = 0; i < n; i++)
		data[i] = (char)(i * 7 + i / 251);
	hostile_http_release(e->http, false);
	hostile_http_put(e->http, "big", data, n, etag_before);
	set_path(e, "/hold/big");
	interrupt(e, (off_t)(n / 2));
	if (changed)
		data[10] ^= 1;
	hostile_http_put(e->http, "big", data, n, etag_after);
	hostile_http_release(e->http, true);
	sum = xasprintf("sha256:%s", sha_hex_of(SHA_256, data, n, hex));
	set(e, "checksum", sum);
	assert_int_equal(role_run(e, NULL, NULL), 0);
	assert_int_equal(part_size(e), n);
	range = hostile_http_header(e->http, "Range");
	if (etag_before && *etag_before == '"')
		assert_string_equal(range, "bytes=150000-");
	else
		assert_null(range);
}

static void test_resume(void **state)
{
	uint64_t sent;
	Env *e = *state;

	resume_case(e, "\"v1\"", "\"v1\"", false);
	sent = hostile_http_sent(e->http);
	assert_int_equal(sent, 300000 + 150000);
}

static void test_resume_changed(void **state)
{
	resume_case(*state, "\"v1\"", "\"v2\"", true);
}

static void test_resume_weak(void **state)
{
	resume_case(*state, "W/\"v1\"", "W/\"v1\"", true);
}

static void test_resume_without_etag(void **state)
{
	resume_case(*state, NULL, NULL, true);
}

static void test_no_space(void **state)
{
	Env *e = *state;

	hostile_http_put(e->http, "x", "hello", 5, NULL);
	json_object_set_new(e->request, "minFree", json_integer((json_int_t)1 << 60));
	expect_failure(e, "/file/x", ERR_EXHAUSTED, "no space");
}

static void test_bad_requests(void **state)
{
	Env *e = *state;

	set(e, "name", "../../etc/passwd0000");
	expect_failure(e, "/file/x", ERR_INVALID, "name");
	set(e, "name", NAME);
	set(e, "url", "file:///etc/passwd");
	assert_int_equal(role_run(e, NULL, NULL), -ERR_FORBIDDEN);
	set(e, "url", "not a url");
	assert_true(role_run(e, NULL, NULL) < 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_good, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stalled_download_tells_what_came, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_behaviours, setup, teardown),
		cmocka_unit_test_setup_teardown(test_redirects, setup, teardown),
		cmocka_unit_test_setup_teardown(test_loopback_refused, setup, teardown),
		cmocka_unit_test(test_redirect_rules),
		cmocka_unit_test_setup_teardown(test_torn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_conditional, setup, teardown),
		cmocka_unit_test_setup_teardown(test_checksum, setup, teardown),
		cmocka_unit_test_setup_teardown(test_short_length_needs_checksum, setup, teardown),
		cmocka_unit_test_setup_teardown(test_credentials, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resume, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resume_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resume_weak, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resume_without_etag, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_space, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_requests, setup, teardown),
	};

	if (argc > 1 && streq(argv[1], "--role=fetch"))
		return fetch_role_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
