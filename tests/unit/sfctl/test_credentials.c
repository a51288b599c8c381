/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl kubeconfig and certificates against a scripted server: what is asked for, what is printed,
 * and what never leaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "pki/pki.h"
#include "tests/unit/sfctl/lib_run.h"

#define CREDENTIALS "/apis/shakenfist.io/v1alpha1/credentials"
#define CREATE      CREDENTIALS "?fieldManager=sfctl&fieldValidation=Strict"
#define WHOAMI      "/apis/authentication.k8s.io/v1/selfsubjectreviews"
#define INFO        "/api/v1/namespaces/kube-public/configmaps/cluster-info"

#define RULE_INFO \
	HTTP_RULE(.path = INFO, \
		  .body = "{\"data\":{\"kubeconfig\":\"clusters:\\n- name: ''\\n  cluster:\\n    " \
			  "server: https://192.0.2.7:6443\\n    certificate-authority-data: " \
			  "VGhlIENB\\n\"}}")
#define RULE_WHOAMI(name, group) \
	HTTP_RULE(.method = "POST", .path = WHOAMI, .code = 201, \
		  .body = "{\"status\":{\"userInfo\":{\"username\":\"" name \
			  "\",\"groups\":[\"" group "\",\"system:authenticated\"]}}}")
#define CREATED(name) \
	"{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"7\",\"creationTimestamp\":" \
	"\"2026-01-01T00:00:00Z\"}}"
#define RULE_CREATE(name) \
	HTTP_RULE(.method = "POST", .path = CREATE, .code = 201, .body = CREATED(name))
#define RULE_WATCH(name, status) \
	HTTP_RULE(.path = CREDENTIALS "?watch=true&fieldSelector=metadata.name%3D" name \
				      "&resourceVersion=7", \
		  .body = "{\"type\":\"MODIFIED\",\"object\":{\"status\":" status "}}\n")
#define SIGNED \
	"{\"certificate\":\"THE CERTIFICATE\",\"conditions\":[{\"type\":\"Issued\",\"status\":" \
	"\"True\"}]}"

static void has(const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("no \"%s\" in:\n%s", what, text);
}

static void an_administrators_own(void **state _unused_)
{
	HttpRule rules[] = { RULE_INFO, RULE_WHOAMI("root", "system:masters"),
			     RULE_CREATE("root-abcde"), RULE_WATCH("root-abcde", SIGNED) };
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run r = sfctl(f, "-n lab kubeconfig");

	assert_int_equal(r.code, EXIT_OK);
	has(r.out, "server: https://192.0.2.7:6443\n");
	has(r.out, "certificate-authority-data: VGhlIENB\n");
	has(r.out, "current-context: root@192.0.2.7\n");
	has(r.out, "namespace: lab\n");
	has(r.out, "client-certificate-data: VEhFIENFUlRJRklDQVRF\n"); /* THE CERTIFICATE */
	has(r.out, "client-key-data: LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0t");
	has(r.err, "credential root-abcde: user \"root\", groups system:masters, valid for 365d");
	has(r.log, "\"generateName\":\"root-\"");
	has(r.log, "\"groups\":[\"system:masters\"]");
	has(r.log, "\"expirationSeconds\":31536000");
	has(r.log, "BEGIN NEW CERTIFICATE REQUEST");
	assert_null(strstr(r.log, "PRIVATE"));
	http_fake_stop(f);
}

static void who_may_little_gets_little(void **state _unused_)
{
	HttpRule rules[] = { RULE_INFO, RULE_WHOAMI("system:loopback", "unix:ops"),
			     RULE_CREATE("admin-abcde"), RULE_WATCH("admin-abcde", SIGNED) };
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run r = sfctl(f, "kubeconfig --server https://sfd.example.com");

	assert_int_equal(r.code, EXIT_OK);
	has(r.out, "server: https://sfd.example.com\n");
	has(r.log, "\"user\":\"admin\",\"groups\":[]");
	http_fake_stop(f);
}

/* The token is in the kubeconfig, its hash with the server, and nothing else anywhere. */
static void a_token_stays_here(void **state _unused_)
{
	HttpRule rules[] = { RULE_INFO, RULE_CREATE("j-rgen-x-com-abcde") };
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run r =
		sfctl(f, "kubeconfig --user J_rgen@X.com --group a --group b --token --ttl 2h");
	char token[BEARER_LENGTH + 1] = "", hash[BEARER_HASH_MAX];
	const char *at = strstr(r.out, "token: ");

	assert_int_equal(r.code, EXIT_OK);
	assert_non_null(at);
	memcpy(token, at + strlen("token: "), BEARER_LENGTH);
	assert_true(bearer_is_wellformed(token));
	has(r.log, bearer_hash(token, hash));
	has(r.log, "\"generateName\":\"j-rgen-x.com-\"");
	has(r.log, "\"groups\":[\"a\",\"b\"]");
	has(r.log, "\"expirationSeconds\":7200");
	assert_null(strstr(r.log, token));
	assert_null(strstr(r.err, token));
	http_fake_stop(f);
}

static void what_is_not_signed_is_taken_back(void **state _unused_)
{
	HttpRule rules[] = {
		RULE_INFO,
		RULE_CREATE("bob-abcde"),
		RULE_WATCH("bob-abcde",
			   "{\"conditions\":[{\"type\":\"Issued\",\"status\":\"False\","
			   "\"reason\":\"CannotSign\",\"message\":\"no ink\"}]}"),
		HTTP_RULE(.method = "DELETE", .path = CREDENTIALS "/bob-abcde", .body = "{}"),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run r = sfctl(f, "kubeconfig --user bob");

	assert_int_equal(r.code, EXIT_UNREACHABLE);
	assert_string_equal(r.out, "");
	has(r.err, "it was not signed: no ink");
	has(r.log, "DELETE " CREDENTIALS "/bob-abcde");
	http_fake_stop(f);
}

/* Where there is no room for it, nobody has its key: it is not left behind for a year. */
static void what_cannot_be_written_is_taken_back(void **state _unused_)
{
	HttpRule rules[] = {
		RULE_INFO,
		RULE_CREATE("bob-abcde"),
		RULE_WATCH("bob-abcde", SIGNED),
		HTTP_RULE(.method = "DELETE", .path = CREDENTIALS "/bob-abcde", .body = "{}"),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	char *argv[] = { "sfctl", "--server", (char *)http_fake_address(f), "kubeconfig", "--user",
			 "bob",   NULL };
	FILE *full = fopen("/dev/full", "we"), *err;
	_cleanup_(run_done) Run r = { 0 };
	size_t size;
	Cli cli;

	assert_non_null(full);
	err = open_memstream(&r.err, &size);
	cli_init(&cli, full, err);
	r.code = cli_main(&cli, sfctl_verbs, ARRAY_SIZE(argv) - 1, argv);
	cli_done(&cli);
	fclose(full);
	fclose(err);
	r.log = http_fake_log(f);
	assert_string_equal(r.err, "error: write: No space left on device\n");
	assert_int_equal(r.code, EXIT_FAILED);
	has(r.log, "DELETE " CREDENTIALS "/bob-abcde");
	http_fake_stop(f);
}

static void wrong_usage_asks_nobody(void **state _unused_)
{
	static const struct {
		const char *line, *says;
	} cases[] = {
		{"kubeconfig bob",                    "the user is named by --user"    },
		{ "kubeconfig --token --certificate", "either --token or --certificate"},
		{ "kubeconfig --group ops",           "--group needs --user"           },
		{ "kubeconfig --ttl 30s",             "at least 10m"                   },
		{ "kubeconfig --user \x01",           "cannot be a user's name"        },
		{ "kubeconfig --user a --group \x7f", "cannot be a group's name"       },
		{ "certificates renew",               "say list, ca, renew NAME"       },
		{ "certificates revoke",              "say list, ca, renew NAME"       },
		{ "certificates rotate",              "say list, ca, renew NAME"       },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(run_done) Run r = sfctl(NULL, cases[i].line);

		assert_int_equal(r.code, EXIT_USAGE);
		has(r.err, cases[i].says);
	}
}

static void without_a_listener_the_fix_is_told(void **state _unused_)
{
	HttpFake *f = http_fake_start(NULL, 0);
	_cleanup_(run_done) Run r = sfctl(f, "kubeconfig --user bob");

	assert_int_equal(r.code, EXIT_NOT_FOUND);
	has(r.err, "listen = tls:0.0.0.0:6443");
	http_fake_stop(f);
}

static const char list[] =
	"{\"kind\":\"CredentialList\",\"metadata\":{},\"items\":["
	"{\"metadata\":{\"name\":\"a-1\"},\"spec\":{\"user\":\"a\",\"groups\":[\"x\",\"y\"],"
	"\"request\":\"…\"},\"status\":{\"serialNumber\":\"4f\",\"expirationTime\":"
	"\"2030-01-01T00:00:00Z\",\"conditions\":[{\"type\":\"Issued\",\"status\":\"True\"}]}},"
	"{\"metadata\":{\"name\":\"b-1\"},\"spec\":{\"user\":\"b\",\"tokenHash\":\"sha256:0\"},"
	"\"status\":{\"expirationTime\":\"2020-01-01T00:00:00Z\",\"conditions\":[{\"type\":"
	"\"Expired\",\"status\":\"True\"}]}},"
	"{\"metadata\":{\"name\":\"c-1\"},\"spec\":{\"user\":\"c\",\"request\":\"…\"}},"
	"{\"metadata\":{\"name\":\"d-1\"},\"spec\":{\"user\":\"d\",\"request\":\"…\"},\"status\":"
	"{\"conditions\":[{\"type\":\"Issued\",\"status\":\"False\",\"reason\":\"CAReplaced\"}]}}"
	"]}";

static void a_list_says_until_when(void **state _unused_)
{
	HttpRule rules[] = { HTTP_RULE(.path = CREDENTIALS "?limit=500", .body = list), RULE_INFO };
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run table = sfctl(f, "certificates"),
				names = sfctl(f, "certificates list -o name"),
				ca = sfctl(f, "certificates ca");

	run_expect(&table, EXIT_OK,
		   "NAME   USER   GROUPS   KIND          EXPIRES                SERIAL\n"
		   "a-1    a      x,y      Certificate   2030-01-01T00:00:00Z   4f\n"
		   "b-1    b      <none>   Token         Expired                <none>\n"
		   "c-1    c      <none>   Certificate   <pending>              <none>\n"
		   "d-1    d      <none>   Certificate   CAReplaced             <none>\n",
		   "");
	run_expect(&names, EXIT_OK,
		   "credential.shakenfist.io/a-1\ncredential.shakenfist.io/b-1\n"
		   "credential.shakenfist.io/c-1\ncredential.shakenfist.io/d-1\n",
		   "");
	run_expect(&ca, EXIT_OK, "The CA", "");
	http_fake_stop(f);
}

static void renewal_asks_for_the_same(void **state _unused_)
{
	HttpRule rules[] = {
		HTTP_RULE(.method = "GET", .path = CREDENTIALS "/a-1",
			  .body = "{\"metadata\":{\"name\":\"a-1\"},\"spec\":{\"user\":\"a\","
				  "\"groups\":[\"x\"],\"tokenHash\":\"sha256:0\","
				  "\"expirationSeconds\":86400}}"),
		RULE_INFO,
		RULE_CREATE("a-2"),
		HTTP_RULE(.method = "DELETE", .path = CREDENTIALS "/a-1", .body = "{}"),
	};
	HttpFake *f = http_fake_start(rules, ARRAY_SIZE(rules));
	_cleanup_(run_done) Run r = sfctl(f, "certificates renew a-1 --revoke");

	assert_int_equal(r.code, EXIT_OK);
	has(r.out, "token: sfp_");
	has(r.log, "\"groups\":[\"x\"]");
	has(r.log, "\"expirationSeconds\":86400");
	has(r.log, "DELETE " CREDENTIALS "/a-1");
	has(r.err, "credential a-1 revoked");
	http_fake_stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_administrators_own),
		cmocka_unit_test(who_may_little_gets_little),
		cmocka_unit_test(a_token_stays_here),
		cmocka_unit_test(what_is_not_signed_is_taken_back),
		cmocka_unit_test(what_cannot_be_written_is_taken_back),
		cmocka_unit_test(wrong_usage_asks_nobody),
		cmocka_unit_test(without_a_listener_the_fix_is_told),
		cmocka_unit_test(a_list_says_until_when),
		cmocka_unit_test(renewal_asks_for_the_same),
	};

	run_prepare();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
