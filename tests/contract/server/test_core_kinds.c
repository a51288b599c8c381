/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets, ConfigMaps, Leases and Events as Kubernetes has them: what may be in them, what may
 * change, and how they look in a table.
 */
#include "tests/contract/server/fixture.h"

#define CONFIGMAPS "/api/v1/namespaces/default/configmaps"
#define EVENTS     "/api/v1/namespaces/default/events"
#define LEASES     "/apis/coordination.k8s.io/v1/namespaces/default/leases"
#define MERGE      "application/merge-patch+json"
#define STRATEGIC  "application/strategic-merge-patch+json"
#define MIB        (1024u * 1024)

/* A write that is invalid, with that text somewhere in the message. */
static void invalid(Fixture *f, const char *method, const char *target, const char *type,
		    const char *body, const char *text)
{
	_cleanup_(json_decrefp) json_t *status = call(f, 422, method, target, type, body);
	const char *message = json_string_at(status, "message");

	expect_text(status, "reason", "Invalid");
	if (!strstr(message, text))
		fail_msg("\"%s\" is not in: %s", text, message);
}

/* ---- data ---- */

static void test_keys(void **state)
{
	static const char *const bad[] = { "..a", ".", "..", "", "a b", "a/b", "\\u00e4" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(xfreep) char *body = xasprintf(
			"{\"metadata\":{\"name\":\"k\"},\"data\":{\"%s\":\"YQ==\"}}", bad[i]);

		invalid(*state, "POST", SECRETS, NULL, body, "a valid config key");
		invalid(*state, "POST", CONFIGMAPS, NULL, body, "a valid config key");
	}
	call_done(*state, 201, "POST", CONFIGMAPS, NULL,
		  "{\"metadata\":{\"name\":\"k\"},\"data\":{\".a-b_c.D\":\"\"}}");
	invalid(*state, "POST", CONFIGMAPS, NULL,
		"{\"metadata\":{\"name\":\"d\"},\"data\":{\"a\":\"\"},\"binaryData\":{\"a\":\"\"}}",
		"duplicate of key present in data");
}

/* A ConfigMap whose one value has that many bytes. */
static void put_size(Fixture *f, int expect, const char *name, size_t size)
{
	_cleanup_(strbuf_done) StrBuf body = STRBUF_INIT;

	strbuf_addf(&body, "{\"metadata\":{\"name\":\"%s\"},\"data\":{\"a\":\"", name);
	for (size_t i = 0; i < size; i++)
		strbuf_addc(&body, 'x');
	strbuf_adds(&body, "\"}}");
	call_done(f, expect, "POST", CONFIGMAPS, NULL, strbuf_str(&body));
}

static void test_size(void **state)
{
	put_size(*state, 201, "full", MIB);
	put_size(*state, 422, "over", MIB + 1);
}

/* base64 counts as what it stands for. */
static void test_size_of_base64(void **state)
{
	for (size_t extra = 0; extra < 2; extra++) {
		_cleanup_(strbuf_done) StrBuf body = STRBUF_INIT;

		strbuf_adds(&body, "{\"metadata\":{\"name\":\"big\"},\"data\":{\"a\":\"");
		for (size_t i = 0; i < MIB / 3; i++)
			strbuf_adds(&body, "AAAA");
		strbuf_adds(&body, extra ? "AAA=\"}}" : "AA==\"}}"); /* MIB = 3 n + 1 */
		call_done(*state, extra ? 422 : 201, "POST", SECRETS, NULL, strbuf_str(&body));
	}
}

static void test_immutable(void **state)
{
	call_done(*state, 201, "POST", CONFIGMAPS, NULL,
		  "{\"metadata\":{\"name\":\"i\"},\"data\":{\"a\":\"b\"},\"immutable\":true}");
	invalid(*state, "PATCH", CONFIGMAPS "/i", MERGE, "{\"data\":{\"a\":\"c\"}}",
		"data: Forbidden: field is immutable when `immutable` is set");
	invalid(*state, "PATCH", CONFIGMAPS "/i", MERGE, "{\"binaryData\":{\"b\":\"YQ==\"}}",
		"binaryData: Forbidden");
	invalid(*state, "PATCH", CONFIGMAPS "/i", MERGE, "{\"immutable\":false}",
		"immutable: Forbidden");
	invalid(*state, "PUT", CONFIGMAPS "/i", NULL,
		"{\"metadata\":{\"name\":\"i\"},\"data\":{\"a\":\"b\"}}", "immutable: Forbidden");
	/* What is no data may change, and it can be deleted. */
	call_done(*state, 200, "PATCH", CONFIGMAPS "/i", MERGE,
		  "{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"binaryData\":{}}");
	call_done(*state, 200, "DELETE", CONFIGMAPS "/i", NULL, NULL);

	call_done(
		*state, 201, "POST", SECRETS, NULL,
		"{\"metadata\":{\"name\":\"i\"},\"stringData\":{\"a\":\"b\"},\"immutable\":true}");
	invalid(*state, "PATCH", SECRETS "/i", MERGE, "{\"stringData\":{\"a\":\"c\"}}",
		"data: Forbidden");
}

/* ---- Secret ---- */

static void test_secret(void **state)
{
	_cleanup_(json_decrefp) json_t *made = NULL, *read = NULL;

	made = call(*state, 201, "POST", SECRETS, NULL,
		    "{\"metadata\":{\"name\":\"s\"},\"stringData\":{\"a\":\"b\"},\"data\":{\"c\":"
		    "\"ZA==\",\"a\":\"eA==\"}}");
	expect_text(made, "type", "Opaque");
	read = call(*state, 200, "GET", SECRETS "/s", NULL, NULL);
	expect_text(read, "data.a", "Yg==");
	expect_text(read, "data.c", "ZA==");
	assert_null(json_object_get(read, "stringData"));
	invalid(*state, "PATCH", SECRETS "/s", MERGE, "{\"type\":\"example.com/x\"}",
		"type: Invalid value: \"example.com/x\": field is immutable");
}

/* What a type promises, and that a message never shows what is in it. */
static void test_secret_types(void **state)
{
	static const struct {
		const char *type, *data, *missing;
	} cases[] = {
		{"kubernetes.io/tls",               "{\"tls.crt\":\"YQ==\"}",               "data[tls.key]: Required value"       },
		{ "kubernetes.io/dockercfg",        "{}",                                   "data[.dockercfg]: Required value"    },
		{ "kubernetes.io/dockerconfigjson", "{\".dockerconfigjson\":\"Z2VoZWlt\"}",
                 "data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\""                                         },
		{ "kubernetes.io/ssh-auth",         "{}",                                   "data[ssh-privatekey]: Required value"},
		{ "kubernetes.io/basic-auth",       "{}",                                   "data[username]: Required value"      },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(xfreep) char *body =
			xasprintf("{\"metadata\":{\"name\":\"t\"},\"type\":\"%s\",\"data\":%s}",
				  cases[i].type, cases[i].data);

		invalid(*state, "POST", SECRETS, NULL, body, cases[i].missing);
	}
	call_done(*state, 201, "POST", SECRETS, NULL,
		  "{\"metadata\":{\"name\":\"t\"},\"type\":\"kubernetes.io/basic-auth\",\"data\":{"
		  "\"password\":\"YQ==\"}}");
	call_done(*state, 201, "POST", SECRETS, NULL,
		  "{\"metadata\":{\"name\":\"j\"},\"type\":\"kubernetes.io/dockerconfigjson\","
		  "\"data\":{\".dockerconfigjson\":\"e30=\"}}");
}

/* Who gets the answer may keep a log of it. */
static void test_secret_is_not_shown(void **state)
{
	static const char *const bad[] = {
		"{\"metadata\":{\"name\":\"x\"},\"data\":{\"a\":\"geheim!\"}}",
		"{\"metadata\":{\"name\":\"x\"},\"data\":{\"a\":4711}}",
		"{\"metadata\":{\"name\":\"x\"},\"stringData\":{\"a\":4711}}",
		"{\"metadata\":{\"name\":\"x\"},\"data\":\"geheim\"}",
		"{\"metadata\":{\"name\":\"x\"},\"stringData\":[\"geheim\"]}",
		/* Of other kinds. */
		"{\"metadata\":{\"name\":\"x\"},\"spec\":{\"source\":{\"url\":"
		"\"ftp://user:geheim@example.com/x\"}}}",
		"{\"metadata\":{\"name\":\"x\"},\"spec\":{\"disks\":[{\"name\":\"root\",\"size\":"
		"\"1Gi\"}],\"cloudInit\":{\"userData\":[\"geheim\"]}}}",
	};
	static const char *const paths[] = {
		SECRETS,   SECRETS, SECRETS,
		SECRETS,   SECRETS, API_GROUP "/namespaces/default/images",
		INSTANCES,
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(json_decrefp) json_t *status =
			call(*state, 422, "POST", paths[i], NULL, bad[i]);
		_cleanup_(xfreep) char *text = json_text(status);

		if (strstr(text, "geheim") || strstr(text, "4711"))
			fail_msg("%s", text);
	}
}

/* ---- tables ---- */

static void test_data_column(void **state)
{
	call_done(*state, 201, "POST", CONFIGMAPS, NULL,
		  "{\"metadata\":{\"name\":\"c\"},\"data\":{\"a\":\"\",\"b\":\"\"},\"binaryData\":{"
		  "\"c\":\"\"}}");
	call_done(*state, 201, "POST", SECRETS, NULL, "{\"metadata\":{\"name\":\"s\"}}");
	expect_cell(*state, CONFIGMAPS "/c", "Data", "3");
	expect_cell(*state, SECRETS "/s", "Data", "0");
	expect_cell(*state, SECRETS "/s", "Type", "\"Opaque\"");
}

/* ---- Lease ---- */

/* The requests of client-go's leader election, in its order. */
static void test_leader_election(void **state)
{
	_cleanup_(json_decrefp) json_t *lease = NULL, *renewed = NULL, *stale = NULL;

	call_fails(*state, 404, "NotFound", "GET", LEASES "/op", NULL, NULL);
	lease = call(
		*state, 201, "POST", LEASES, NULL,
		"{\"metadata\":{\"name\":\"op\",\"namespace\":\"default\",\"creationTimestamp\":"
		"null},"
		"\"spec\":{\"holderIdentity\":\"a_1\",\"leaseDurationSeconds\":15,\"acquireTime\":"
		"\"2026-01-01T00:00:00.000000Z\",\"renewTime\":\"2026-01-01T00:00:00.123456Z\","
		"\"leaseTransitions\":0}}");
	json_set_at(lease, "spec.renewTime", json_string("2026-01-01T00:00:02.000001Z"));
	{
		_cleanup_(xfreep) char *body = json_text(lease);

		renewed = call(*state, 200, "PUT", LEASES "/op", NULL, body);
		expect_text(renewed, "spec.renewTime", "2026-01-01T00:00:02.000001Z");
		/* The other one saw the state before: it loses. */
		json_set_at(lease, "spec.holderIdentity", json_string("b_2"));
	}
	{
		_cleanup_(xfreep) char *body = json_text(lease);

		stale = call(*state, 409, "PUT", LEASES "/op", NULL, body);
		expect_text(stale, "reason", "Conflict");
	}
	expect_cell(*state, LEASES "/op", "Holder", "\"a_1\"");
	invalid(*state, "PATCH", LEASES "/op", MERGE, "{\"spec\":{\"leaseDurationSeconds\":0}}",
		"spec.leaseDurationSeconds");
	/* kubectl edit sends strategic merge for kinds that it knows. */
	call_done(*state, 200, "PATCH", LEASES "/op", STRATEGIC,
		  "{\"spec\":{\"holderIdentity\":\"\"}}");
}

/* ---- Event ---- */

#define EVENT(name, namespace, about) \
	"{\"metadata\":{\"name\":\"" name \
	"\",\"namespace\":\"" namespace "\",\"creationTimestamp\":null},\"involvedObject\":{" \
					"\"kind\":\"Instance\",\"namespace\":" \
					"\"" about "\",\"name\":\"Web-1\"},\"reason\":\"Synced\"," \
					"\"message\":\"m\",\"source\":{" \
					"\"component\":\"op\"},\"firstTimestamp\":\"2026-01-" \
					"01T00:00:00Z\",\"lastTimestamp\":" \
					"\"2026-01-01T00:00:00Z\",\"count\":1,\"type\":" \
					"\"Normal\",\"eventTime\":null," \
					"\"reportingComponent\":\"op\",\"reportingInstance\":" \
					"\"\"}"

/* As the recorder of client-go does it: a create, and for what happens again a patch. */
static void test_event(void **state)
{
	_cleanup_(json_decrefp) json_t *again = NULL;

	call_done(*state, 201, "POST", EVENTS, NULL, EVENT("web-1.1", "default", "default"));
	again = call(*state, 200, "PATCH", EVENTS "/web-1.1", STRATEGIC,
		     "{\"count\":2,\"lastTimestamp\":\"2026-01-01T00:00:01Z\"}");
	assert_int_equal(json_integer_at(again, "count", 0), 2);
	expect_cell(*state, EVENTS "/web-1.1", "Object", "\"instance/web-1\"");
	invalid(*state, "POST", EVENTS, NULL, EVENT("x.1", "default", "other"),
		"involvedObject.namespace: Invalid value: does not match event.namespace");
}

#define NEW_EVENTS "/apis/events.k8s.io/v1/namespaces/default/events"

/* client-go's newer recorder; others read the same objects by their older names. */
static void test_new_events(void **state)
{
	_cleanup_(json_decrefp) json_t *made = NULL, *core = NULL, *series = NULL, *patched = NULL;
	_cleanup_(json_decrefp) json_t *list = NULL;

	made = call(
		*state, 201, "POST", NEW_EVENTS, NULL,
		"{\"apiVersion\":\"events.k8s.io/v1\",\"kind\":\"Event\",\"metadata\":{\"name\":"
		"\"n.1\"},\"eventTime\":\"2026-01-01T00:00:00.000001Z\",\"reportingController\":"
		"\"example.com/op\",\"reportingInstance\":\"op-1\",\"action\":\"Sync\",\"reason\":"
		"\"Synced\",\"regarding\":{\"kind\":\"Instance\",\"namespace\":\"default\","
		"\"name\":"
		"\"web\"},\"note\":\"all is well\",\"type\":\"Normal\"}");
	expect_text(made, "apiVersion", "events.k8s.io/v1");
	expect_text(made, "note", "all is well");
	assert_null(json_object_get(made, "message"));
	core = call(*state, 200, "GET", EVENTS "/n.1", NULL, NULL);
	expect_text(core, "apiVersion", "v1");
	expect_text(core, "message", "all is well");
	expect_text(core, "involvedObject.name", "web");
	expect_text(core, "reportingComponent", "example.com/op");
	series = call(
		*state, 200, "PATCH", NEW_EVENTS "/n.1", STRATEGIC,
		"{\"series\":{\"count\":2,\"lastObservedTime\":\"2026-01-01T00:00:09.000000Z\"}}");
	expect_text(series, "apiVersion", "events.k8s.io/v1");
	assert_int_equal(json_integer_at(series, "series.count", 0), 2);
	patched = call(*state, 200, "PATCH", NEW_EVENTS "/n.1", "application/json-patch+json",
		       "[{\"op\":\"replace\",\"path\":\"/note\",\"value\":\"again\"},"
		       "{\"op\":\"test\",\"path\":\"/regarding/name\",\"value\":\"web\"}]");
	expect_text(patched, "note", "again");
	expect_cell(*state, NEW_EVENTS "/n.1", "Object", "\"instance/web\"");
	expect_cell(*state, NEW_EVENTS "/n.1", "Message", "\"again\"");
	/* Those of core/v1 too, and selected by the names they have here. */
	call_done(*state, 201, "POST", EVENTS, NULL, EVENT("o.1", "default", "default"));
	list = call(*state, 200, "GET", NEW_EVENTS "?fieldSelector=regarding.name%3DWeb-1", NULL,
		    NULL);
	assert_int_equal(json_array_size(json_object_get(list, "items")), 1);
	expect_text(list, "apiVersion", "events.k8s.io/v1");
	call_done(*state, 200, "DELETE", NEW_EVENTS "/n.1", NULL, NULL);
	call_fails(*state, 404, "NotFound", "GET", EVENTS "/n.1", NULL, NULL);
}

/* A client cannot fill the store with them: the oldest goes. */
static void test_events_are_bounded(void **state)
{
	Fixture *f = *state;
	ListOptions all = { .gr = GR_EVENT, .namespace = "default" };
	_cleanup_(object_list_freep) ObjectList *l = NULL;

	for (unsigned i = 0; i < 1003; i++) {
		_cleanup_(xfreep) char *body = xasprintf(
			"{\"metadata\":{\"name\":\"e-%04u\"},\"involvedObject\":{\"namespace\":"
			"\"default\"}}",
			i);

		call_done(f, 201, "POST", EVENTS, NULL, body);
	}
	assert_int_equal(store_list(f->store, &all, &l, NULL), 0);
	assert_int_equal(l->n, 1000);
	assert_string_equal(object_key(l->items[0])->name, "e-0003");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_keys),
		TEST(test_size),
		TEST(test_size_of_base64),
		TEST(test_immutable),
		TEST(test_secret),
		TEST(test_secret_types),
		TEST(test_secret_is_not_shown),
		TEST(test_data_column),
		TEST(test_leader_election),
		TEST(test_event),
		TEST(test_new_events),
		TEST(test_events_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
