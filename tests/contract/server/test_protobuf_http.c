/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protobuf bodies over HTTP, as kubectl 1.32 and later sends them; the answers are JSON.
 */
#include "tests/contract/server/fixture.h"

#define PROTOBUF "application/vnd.kubernetes.protobuf"

/* A string literal with NULs in it, and its length without the last one. */
#define BODY(text) (text), sizeof(text) - 1

/* Unknown{{"v1", "Namespace"}, {metadata{name: "t2", ...}, spec{}, status{}}}: kubectl create ns t2
 */
#define CREATE_NAMESPACE \
	"k8s\0\n\x0f\n\x02v1\x12\tNamespace\x12\x1a\n\x12\n\x02t2\x12\0\x1a\0\"\0*\x00" \
	"2\08\0B\0\x12\0\x1a\0\x1a\0\"\0"

static json_t *send_protobuf(Fixture *f, int expect, const char *method, const char *target,
			     const void *body, size_t len)
{
	HttpClient *c = http_connect(f->path);
	HttpAnswer a;
	json_t *json;

	http_sendf(c,
		   "%s %s HTTP/1.1\r\nHost: x\r\nAccept: " PROTOBUF
		   ",application/json\r\nContent-Type: " PROTOBUF "\r\nContent-Length: %zu\r\n\r\n",
		   method, target, len);
	http_send(c, body, len);
	a = http_read_answer(c);
	if (a.code != expect)
		fail_msg("%s %s: %d, expected %d: %s", method, target, a.code, expect, a.body);
	json = json_incref(a.json);
	http_answer_done(&a);
	http_close(c);
	return json;
}

static void test_create(void **state)
{
	_cleanup_(json_decrefp) json_t *made = NULL, *again = NULL;

	made = send_protobuf(*state, 201, "POST", "/api/v1/namespaces?fieldValidation=Strict",
			     BODY(CREATE_NAMESPACE));
	expect_text(made, "kind", "Namespace");
	expect_text(made, "metadata.name", "t2");
	expect_text(made, "status.phase", "Active");
	again = send_protobuf(*state, 409, "POST", "/api/v1/namespaces", BODY(CREATE_NAMESPACE));
	expect_text(again, "reason", "AlreadyExists");
}

/* The kind of the body must be the one of the URL, as in JSON. */
static void test_wrong_kind(void **state)
{
	_cleanup_(json_decrefp) json_t *status =
		send_protobuf(*state, 400, "POST", "/api/v1/namespaces/default/configmaps",
			      BODY(CREATE_NAMESPACE));

	expect_text(status, "reason", "BadRequest");
}

static void test_refused(void **state)
{
	_cleanup_(json_decrefp) json_t *unknown = NULL, *broken = NULL, *patch = NULL;

	unknown = send_protobuf(*state, 415, "POST", SECRETS,
				BODY("k8s\0\n\x09\n\x02v1\x12\x03Pod\x12\0"));
	expect_text(unknown, "reason", "UnsupportedMediaType");
	broken = send_protobuf(*state, 400, "POST", "/api/v1/namespaces", CREATE_NAMESPACE,
			       sizeof(CREATE_NAMESPACE) - 12);
	expect_text(broken, "reason", "BadRequest");
	patch = send_protobuf(*state, 415, "PATCH", "/api/v1/namespaces/default",
			      BODY(CREATE_NAMESPACE));
	expect_text(patch, "reason", "UnsupportedMediaType");
}

/* DeleteOptions{preconditions{uid: "other"}}, and then without any. */
static void test_delete_options(void **state)
{
	_cleanup_(json_decrefp) json_t *conflict = NULL, *done = NULL;

	json_decref(make_secret(*state, "a", NULL));
	conflict = send_protobuf(*state, 409, "DELETE", SECRETS "/a",
				 BODY("k8s\0\n\x13\n\x02v1\x12\rDeleteOptions\x12\x09\x12\x07\n\x05"
				      "other"));
	expect_text(conflict, "reason", "Conflict");
	done = send_protobuf(*state, 200, "DELETE", SECRETS "/a",
			     BODY("k8s\0\n\x13\n\x02v1\x12\rDeleteOptions\x12\0\x1a\0\"\0"));
	expect_text(done, "status", "Success");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_create),
		TEST(test_wrong_kind),
		TEST(test_refused),
		TEST(test_delete_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
