/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which server sfctl talks to and what it shows there: options, kubeconfigs, environment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/memory.h"
#include "cmd/sfctl/sfctl.h"
#include "tests/unit/sfctl/lib_run.h"

#define CONFIG \
	"apiVersion: v1\nkind: Config\n" \
	"clusters:\n" \
	"- name: y\n  cluster: {server: 'https://a:6443', certificate-authority-data: Q0E=, " \
	"tls-server-name: sfd}\n" \
	"- name: files\n  cluster: {server: 'https://b', certificate-authority: sub/ca.crt, " \
	"insecure-skip-tls-verify: true}\n" \
	"- name: nowhere\n  cluster: {}\n" \
	"users:\n" \
	"- name: n\n  user: {client-certificate-data: Q1JU, client-key-data: S0VZ}\n" \
	"- name: token\n  user: {tokenFile: sub/token}\n" \
	"- name: bad\n  user: {client-key-data: '%%%'}\n" \
	"- name: cloud\n  user: {exec: {command: aws}}\n" \
	"contexts:\n" \
	"- name: one\n  context: {cluster: y, user: n, namespace: lab}\n" \
	"- name: two\n  context: {cluster: files, user: token}\n" \
	"- name: three\n  context: {cluster: nowhere}\n" \
	"- name: four\n  context: {cluster: y, user: bad}\n" \
	"- name: five\n  context: {cluster: y, user: cloud}\n" \
	"- name: six\n  context: {cluster: gone}\n" \
	"- name: seven\n  context: {cluster: y, user: gone}\n" \
	"current-context: one\n"

typedef struct Folder {
	char dir[64], config[96], other[96];
} Folder;

static void put(const Folder *f, const char *name, const char *text)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/%s", f->dir, name);

	assert_int_equal(fs_write_atomic(path, text, strlen(text), 0600, false, NULL), 0);
}

static int setup(void **state)
{
	Folder *f = xnew0(Folder, 1);
	char sub[96];

	run_prepare();
	unsetenv("KUBECONFIG");
	unsetenv("SFD_TOKEN");
	unsetenv("SFD_SERVER");
	memcpy(f->dir, "/tmp/endpoint-test-XXXXXX", sizeof("/tmp/endpoint-test-XXXXXX"));
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->config, sizeof(f->config), "%s/config", f->dir);
	snprintf(f->other, sizeof(f->other), "%s/other", f->dir);
	snprintf(sub, sizeof(sub), "%s/sub", f->dir);
	assert_int_equal(mkdir(sub, 0700), 0);
	put(f, "config", CONFIG);
	put(f, "sub/ca.crt", "the CA\n");
	put(f, "sub/token", "sfp_secret\n");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	Folder *f = *state;

	unsetenv("KUBECONFIG");
	unsetenv("SFD_TOKEN");
	unsetenv("SFD_SERVER");
	assert_int_equal(fs_remove_tree(f->dir, NULL), 0);
	free(f);
	return 0;
}

static Endpoint resolved(const EndpointOptions *o)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Endpoint e;

	if (endpoint_resolve(o, &e, &err) < 0)
		fail_msg("%s", error_message(&err));
	return e;
}

static void fails(const EndpointOptions *o, int code, const char *says)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Endpoint e;

	assert_int_equal(endpoint_resolve(o, &e, &err), -code);
	if (!strstr(error_message(&err), says))
		fail_msg("\"%s\" does not say \"%s\"", error_message(&err), says);
}

static void server_is(const EndpointOptions *o, const char *server)
{
	Endpoint e = resolved(o);

	assert_string_equal(e.client.server, server);
	endpoint_done(&e);
}

static void the_nearest_word_counts(void **state)
{
	Folder *f = *state;

	server_is(&(EndpointOptions){ 0 }, DEFAULT_SERVER);
	setenv("KUBECONFIG", f->config, 1);
	server_is(&(EndpointOptions){ 0 }, "https://a:6443");
	setenv("SFD_SERVER", "unix:/x", 1);
	server_is(&(EndpointOptions){ 0 }, "unix:/x");
	server_is(&(EndpointOptions){ .kubeconfig = f->config }, "https://a:6443");
	server_is(&(EndpointOptions){ .context = "two" }, "https://b");
	server_is(&(EndpointOptions){ .server = "unix:/y" }, "unix:/y");
	server_is(&(EndpointOptions){ .server = "https://c", .kubeconfig = f->config },
		  "https://c");
}

static void a_context_says_all(void **state)
{
	Folder *f = *state;
	Endpoint e = resolved(&(EndpointOptions){ .kubeconfig = f->config });

	assert_string_equal(e.namespace, "lab");
	assert_string_equal(e.client.ca, "CA");
	assert_string_equal(e.client.certificate, "CRT");
	assert_string_equal(e.client.key, "KEY");
	assert_string_equal(e.client.server_name, "sfd");
	assert_false(e.client.insecure);
	assert_null(e.client.token);
	endpoint_done(&e);
	e = resolved(&(EndpointOptions){ .kubeconfig = f->config, .context = "two" });
	assert_null(e.namespace);
	assert_string_equal(e.client.ca, "the CA");
	assert_string_equal(e.client.token, "sfp_secret");
	assert_true(e.client.insecure);
	endpoint_done(&e);
}

static void options_replace_what_a_file_says(void **state)
{
	Folder *f = *state;
	_cleanup_(xfreep) char *ca = xasprintf("%s/sub/ca.crt", f->dir),
			       *token = xasprintf("%s/sub/token", f->dir);
	Endpoint e;

	setenv("SFD_TOKEN", "from-environment", 1);
	e = resolved(&(EndpointOptions){ .kubeconfig = f->config,
					 .certificate_authority = ca,
					 .token_file = token,
					 .tls_server_name = "other" });
	assert_string_equal(e.client.ca, "the CA");
	assert_string_equal(e.client.token, "sfp_secret");
	assert_string_equal(e.client.server_name, "other");
	endpoint_done(&e);
	e = resolved(&(EndpointOptions){ .kubeconfig = f->config });
	assert_string_equal(e.client.token, "from-environment");
	endpoint_done(&e);
	e = resolved(&(EndpointOptions){ .kubeconfig = f->config, .token = "given" });
	assert_string_equal(e.client.token, "given");
	endpoint_done(&e);
	fails(&(EndpointOptions){ .client_key = "/nonexistent" }, ERR_NOT_FOUND, "--client-key");
}

static void several_files_are_one(void **state)
{
	Folder *f = *state;
	_cleanup_(xfreep) char *paths = xasprintf("%s/missing:%s:%s", f->dir, f->other, f->config);

	put(f, "other",
	    "clusters:\n- name: y\n  cluster: {server: 'https://first'}\n"
	    "current-context: one\n");
	setenv("KUBECONFIG", paths, 1);
	server_is(&(EndpointOptions){ 0 }, "https://first");
	server_is(&(EndpointOptions){ .context = "two" }, "https://b");
}

static void what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *context, *says;
		int code;
	} cases[] = {
		{"three",  "cluster \"nowhere\" has no server",  ERR_INVALID    },
		{ "four",  "bad: client-key: not base64",        ERR_INVALID    },
		{ "five",  "user \"cloud\" logs in by \"exec\"", ERR_UNSUPPORTED},
		{ "six",   "there is no cluster \"gone\"",       ERR_NOT_FOUND  },
		{ "seven", "there is no user \"gone\"",          ERR_NOT_FOUND  },
		{ "eight", "there is no context \"eight\"",      ERR_NOT_FOUND  },
	};
	Folder *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		fails(&(EndpointOptions){ .kubeconfig = f->config, .context = cases[i].context },
		      cases[i].code, cases[i].says);
	fails(&(EndpointOptions){ .context = "one" }, ERR_INVALID, "--context needs a kubeconfig");
	put(f, "other", "clusters: [\n");
	fails(&(EndpointOptions){ .kubeconfig = f->other }, ERR_INVALID, f->other);
	put(f, "other", "- a\n");
	fails(&(EndpointOptions){ .kubeconfig = f->other }, ERR_INVALID, "is none");
	put(f, "other", "");
	fails(&(EndpointOptions){ .kubeconfig = f->other }, ERR_INVALID, "no current-context");
	fails(&(EndpointOptions){ .kubeconfig = "/nonexistent" }, ERR_NOT_FOUND, "/nonexistent");
}

/* A web server that has never heard of the object has not said that there is none. */
static void another_server_is_no_answer(void **state _unused_)
{
	HttpRule rule = { .path = "*", .code = 404, .type = "text/html", .body = "<html>\n" };
	HttpFake *f = http_fake_start(&rule, 1);
	_cleanup_(xfreep) char *says =
		xasprintf("error: %s is not sfd: it answered 404\n", http_fake_address(f));
	_cleanup_(run_done) Run get = sfctl(f, "get vm hello --ignore-not-found");
	_cleanup_(run_done) Run gone = sfctl(f, "delete vm hello --ignore-not-found");
	_cleanup_(run_done) Run wait = sfctl(f, "wait vm hello --for=delete");

	run_expect(&get, EXIT_UNREACHABLE, "", says);
	run_expect(&gone, EXIT_UNREACHABLE, "", says);
	run_expect(&wait, EXIT_UNREACHABLE, "", says);
	http_fake_stop(f);
}

/* Nothing of this host helps where another one was meant. */
static void nobody_listens_for_tls(void **state _unused_)
{
	_cleanup_(run_done) Run r = { 0 };

	setenv("no_proxy", "*", 1);
	r = sfctl(NULL, "--server=https://127.0.0.1:1 get vm");
	run_expect(&r, EXIT_UNREACHABLE, "",
		   "error: cannot reach sfd at https://127.0.0.1:1: Connection refused\n"
		   "  Nobody listens there: is \"listen = tls:…\" in sfd.conf there, and is the "
		   "port right?\n");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_nearest_word_counts),          TEST(a_context_says_all),
		TEST(options_replace_what_a_file_says), TEST(several_files_are_one),
		TEST(what_is_wrong_is_named),           TEST(another_server_is_no_answer),
		TEST(nobody_listens_for_tls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
