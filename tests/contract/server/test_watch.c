/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watch: exactly once and in order, initial state, selectors that objects enter and leave,
 * bookmarks, timeouts, history, clients that leave or do not read.
 */
#include "tests/contract/server/fixture.h"

#include <poll.h>
#include <sys/socket.h>

#define SOON HTTP_DEADLINE_MS

static HttpClient *watch_at(Fixture *f, const char *target, const char *headers)
{
	HttpClient *c = http_connect(f->path);
	HttpAnswer a;

	http_request(c, "GET", target, headers, NULL);
	a = http_read_head(c);
	if (a.code != 200)
		fail_msg("%s: %d", target, a.code);
	http_answer_done(&a);
	return c;
}

static HttpClient *watch(Fixture *f, const char *query)
{
	_cleanup_(xfreep) char *target = xasprintf(SECRETS "?watch=true%s", query);

	return watch_at(f, target, "");
}

/* The next event, which must have that type and name ("" = any). */
static json_t *next_event(HttpClient *c, const char *type, const char *name)
{
	_cleanup_(xfreep) char *line = http_read_line(c, SOON, NULL);
	json_t *event;

	if (!line)
		fail_msg("no event, expected %s %s", type, name);
	event = json_loads(line, 0, NULL);
	if (!event || !streq_ptr(json_string_at(event, "type"), type) ||
	    (*name && !streq_ptr(json_string_at(event, "object.metadata.name"), name)))
		fail_msg("got %s, expected %s %s", line, type, name);
	return event;
}

static void expect_event(HttpClient *c, const char *type, const char *name)
{
	json_decref(next_event(c, type, name));
}

static void label(Fixture *f, const char *name, const char *value)
{
	_cleanup_(xfreep) char *target = xasprintf(SECRETS "/%s", name);
	_cleanup_(xfreep) char *body =
		xasprintf("{\"metadata\":{\"labels\":{\"l\":\"%s\"}}}", value);

	call_done(f, 200, "PATCH", target, "application/merge-patch+json", body);
}

static void remove_secret(Fixture *f, const char *name)
{
	_cleanup_(xfreep) char *target = xasprintf(SECRETS "/%s", name);

	call_done(f, 200, "DELETE", target, NULL, NULL);
}

static void test_from_now(void **state)
{
	Fixture *f = *state;
	HttpClient *c;

	json_decref(make_secret(f, "a", NULL));
	c = watch(f, "");
	expect_event(c, "ADDED", "a");
	json_decref(make_secret(f, "b", NULL));
	expect_event(c, "ADDED", "b");
	label(f, "a", "1");
	expect_event(c, "MODIFIED", "a");
	remove_secret(f, "b");
	expect_event(c, "DELETED", "b");
	http_close(c);
}

static void test_from_revision(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *a = make_secret(f, "a", NULL);
	_cleanup_(xfreep) char *query =
		xasprintf("&resourceVersion=%s", json_string_at(a, "metadata.resourceVersion"));
	_cleanup_(json_decrefp) json_t *deleted = NULL;
	HttpClient *c;

	label(f, "a", "1");
	label(f, "a", "2");
	c = watch(f, query);
	expect_event(c, "MODIFIED", "a");
	expect_event(c, "MODIFIED", "a");
	remove_secret(f, "a");
	deleted = next_event(c, "DELETED", "a");
	assert_int_equal(
		strtoll(json_string_at(deleted, "object.metadata.resourceVersion"), NULL, 10),
		store_revision(f->store));
	http_close(c);
}

static void test_selector_transitions(void **state)
{
	Fixture *f = *state;
	HttpClient *c = watch(f, "&labelSelector=l%3D1");
	HttpClient *one = watch(f, "&fieldSelector=metadata.name%3Db");
	_cleanup_(json_decrefp) json_t *left = NULL;

	json_decref(make_secret(f, "a", NULL));
	json_decref(make_secret(f, "b", NULL));
	expect_event(one, "ADDED", "b");
	label(f, "a", "1");
	expect_event(c, "ADDED", "a");
	label(f, "a", "2");
	left = next_event(c, "DELETED", "a");
	expect_text(left, "object.metadata.labels.l", "1");
	assert_int_equal(strtoll(json_string_at(left, "object.metadata.resourceVersion"), NULL, 10),
			 store_revision(f->store));
	label(f, "b", "1");
	expect_event(c, "ADDED", "b");
	expect_event(one, "MODIFIED", "b");
	http_close(c);
	http_close(one);
}

static void test_field_transitions(void **state)
{
	Fixture *f = *state;
	HttpClient *c = watch(f, "&fieldSelector=type%3Dx%2Fy");

	json_decref(make_secret(f, "a", NULL));
	call_done(f, 201, "POST", SECRETS, NULL,
		  "{\"metadata\":{\"name\":\"b\"},\"type\":\"x/y\"}");
	expect_event(c, "ADDED", "b");
	http_close(c);
}

static void test_watch_list(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *end = NULL;
	HttpClient *c;

	json_decref(make_secret(f, "a", NULL));
	json_decref(make_secret(f, "b", NULL));
	c = watch(f, "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
		     "&allowWatchBookmarks=true&resourceVersion=1");
	expect_event(c, "ADDED", "a");
	expect_event(c, "ADDED", "b");
	end = next_event(c, "BOOKMARK", "");
	assert_string_equal(
		json_string_value(json_object_get(json_at(end, "object.metadata.annotations"),
						  "k8s.io/initial-events-end")),
		"true");
	json_decref(make_secret(f, "c", NULL));
	expect_event(c, "ADDED", "c");
	http_close(c);
}

static void test_timeout_ends_it(void **state)
{
	Fixture *f = *state;
	HttpClient *c = watch(f, "&timeoutSeconds=1");
	bool timeout;

	assert_null(http_read_line(c, SOON, &timeout));
	assert_false(timeout);
	/* The connection is good for another request. */
	http_request(c, "GET", "/version", "", NULL);
	{
		HttpAnswer a = http_read_answer(c);

		assert_int_equal(a.code, 200);
		http_answer_done(&a);
	}
	http_close(c);
}

static void test_future_revision(void **state)
{
	Fixture *f = *state;

	call_fails(f, 410, "Expired", "GET", SECRETS "?watch=1&resourceVersion=99999", NULL, NULL);
	call_fails(f, 400, "BadRequest", "GET", SECRETS "?watch=1&resourceVersion=x", NULL, NULL);
	call_fails(f, 400, "BadRequest", "GET", SECRETS "?watch=1&timeoutSeconds=x", NULL, NULL);
}

static void test_table_events(void **state)
{
	Fixture *f = *state;
	HttpClient *c = http_connect(f->path);
	_cleanup_(json_decrefp) json_t *first = NULL, *second = NULL;
	HttpAnswer a;

	http_request(c, "GET", SECRETS "?watch=1",
		     "Accept: application/json;as=Table;v=v1;g=meta.k8s.io\r\n", NULL);
	a = http_read_head(c);
	assert_int_equal(a.code, 200);
	http_answer_done(&a);
	json_decref(make_secret(f, "a", NULL));
	first = next_event(c, "ADDED", "");
	expect_text(first, "object.kind", "Table");
	assert_true(json_array_size(json_at(first, "object.columnDefinitions")) > 0);
	expect_text(json_array_get(json_at(first, "object.rows"), 0), "object.metadata.name", "a");
	json_decref(make_secret(f, "b", NULL));
	second = next_event(c, "ADDED", "");
	assert_true(json_is_null(json_at(second, "object.columnDefinitions")));
	http_close(c);
}

/* How many watches of secrets /metrics tells, polled until it is `want`. */
static void wait_watches(Fixture *f, long want)
{
	_cleanup_(xfreep) char *line = xasprintf(
		"\napiserver_longrunning_requests{verb=\"WATCH\",group=\"\",version=\"v1\","
		"resource=\"secrets\",subresource=\"\",scope=\"namespace\"} %ld\n",
		want);

	for (int i = 0; i < 500; i++) {
		HttpAnswer a = http_call(f->path, "GET", "/metrics", NULL, NULL);
		bool found = strstr(a.body, line);

		http_answer_done(&a);
		if (found)
			return;
		poll(NULL, 0, 10);
	}
	fail_msg("there are not %ld watches", want);
}

static void test_client_that_leaves(void **state)
{
	Fixture *f = *state;
	HttpClient *c[20], *half;

	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		c[i] = watch(f, "");
	wait_watches(f, (long)ARRAY_SIZE(c));
	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		http_close(c[i]);
	wait_watches(f, 0); /* though nothing happened that would be sent */
	half = watch(f, "");
	assert_int_equal(shutdown(half->fd, SHUT_WR), 0);
	wait_watches(f, 0);
	http_close(half);
}

static long long revision_of(const json_t *event)
{
	return strtoll(json_string_at(event, "object.metadata.resourceVersion"), NULL, 10);
}

static long long read_revision(HttpClient *c)
{
	_cleanup_(xfreep) char *line = http_read_line(c, SOON, NULL);
	_cleanup_(json_decrefp) json_t *event = json_loads(line ? line : "", 0, NULL);

	assert_non_null(event);
	return revision_of(event);
}

/* Its watch ends; it goes on after what it has read, and misses nothing. */
static void test_client_that_does_not_read(void **state)
{
	Fixture *f = *state;
	HttpClient *slow = watch(f, ""), *good, *again;
	_cleanup_(xfreep) char *big = xnew0(char, 60000);
	_cleanup_(xfreep) char *body = NULL, *query = NULL;
	long long last;
	char *line;
	bool timeout;
	int read;

	memset(big, 'x', 59999);
	body = xasprintf("{\"metadata\":{\"name\":\"big\",\"annotations\":{\"a\":\"%s\"}}}", big);
	call_done(f, 201, "POST", SECRETS, NULL, body);
	last = read_revision(slow);
	good = watch(f, "");
	expect_event(good, "ADDED", "big");
	for (int i = 0; i < 1500; i++) {
		char value[16];

		snprintf(value, sizeof(value), "%d", i);
		label(f, "big", value);
		expect_event(good, "MODIFIED", "big");
	}
	for (read = 1; (line = http_read_line(slow, SOON, &timeout)); read++) {
		_cleanup_(json_decrefp) json_t *event = json_loads(line, 0, NULL);

		assert_true(revision_of(event) > last);
		last = revision_of(event);
		free(line);
	}
	assert_false(timeout);
	assert_in_range(read, 1, 1500);
	query = xasprintf("&resourceVersion=%lld", last);
	again = watch(f, query);
	for (; read < 1501; read++)
		expect_event(again, "MODIFIED", "big");
	remove_secret(f, "big");
	expect_event(again, "DELETED", "big");
	http_close(slow);
	http_close(good);
	http_close(again);
}

/* Nothing of its own happened: the bookmark alone says how far the store went. */
static void test_bookmark_before_the_end(void **state)
{
	Fixture *f = *state;
	HttpClient *c;
	_cleanup_(json_decrefp) json_t *bookmark = NULL;
	bool timeout;

	json_decref(make_secret(f, "a", NULL));
	c = watch(f, "&timeoutSeconds=3&allowWatchBookmarks=true&resourceVersion=1"
		     "&fieldSelector=metadata.name%3Dx");
	label(f, "a", "1");
	bookmark = next_event(c, "BOOKMARK", "");
	expect_text(bookmark, "object.kind", "Secret");
	assert_int_equal(revision_of(bookmark), store_revision(f->store));
	label(f, "a", "2");
	json_decref(bookmark);
	bookmark = next_event(c, "BOOKMARK", "");
	assert_int_equal(revision_of(bookmark), store_revision(f->store));
	assert_null(http_read_line(c, SOON, &timeout));
	assert_false(timeout);
	http_close(c);
}

/* Everywhere, in a namespace, one name: each its own events. */
static void test_scopes(void **state)
{
	Fixture *f = *state;
	HttpClient *c[] = {
		watch_at(f, "/api/v1/secrets?watch=1", ""), watch_at(f, SECRETS "?watch=1", ""),
		watch_at(f, "/api/v1/secrets?watch=1&fieldSelector=metadata.name%3Da", ""),
		watch_at(f, "/api/v1/namespaces/other/secrets?watch=1", "")
	};

	call_done(f, 201, "POST", "/api/v1/namespaces", NULL,
		  "{\"metadata\":{\"name\":\"other\"}}");
	json_decref(make_secret(f, "a", NULL));
	json_decref(make_secret(f, "b", NULL));
	call_done(f, 201, "POST", "/api/v1/namespaces/other/secrets", NULL,
		  "{\"metadata\":{\"name\":\"a\"}}");
	for (size_t i = 0; i < 3; i++)
		expect_event(c[i], "ADDED", "a");
	for (size_t i = 0; i < 2; i++)
		expect_event(c[i], "ADDED", "b");
	expect_event(c[0], "ADDED", "a");
	expect_event(c[2], "ADDED", "a");
	expect_event(c[3], "ADDED", "a");
	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		http_close(c[i]);
}

/* Forms share their texts; what leaves a selection is told as it was, in each. */
static void test_forms_of_one_event(void **state)
{
	static const char table[] = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io\r\n";
	static const char metadata[] =
		"Accept: application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io\r\n";
	static const char target[] = SECRETS "?watch=1&labelSelector=l%3D1";
	Fixture *f = *state;
	HttpClient *c[] = { watch_at(f, target, table), watch_at(f, target, table),
			    watch_at(f, target, metadata), watch_at(f, target, metadata),
			    watch_at(f, target, "") };

	json_decref(make_secret(f, "a", "{\"l\":\"1\"}"));
	label(f, "a", "2");
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		_cleanup_(json_decrefp) json_t *added = next_event(c[i], "ADDED", "");
		_cleanup_(json_decrefp) json_t *deleted = next_event(c[i], "DELETED", "");
		const json_t *row = json_array_get(json_at(deleted, "object.rows"), 0);

		expect_text(added, "object.kind",
			    i < 2   ? "Table"
			    : i < 4 ? "PartialObjectMetadata"
				    : "Secret");
		expect_text(row ? row : deleted, "object.metadata.labels.l", "1");
		assert_int_equal(revision_of(deleted), store_revision(f->store));
		http_close(c[i]);
	}
}

static void test_options_that_contradict(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *status = NULL;

	status = call(f, 422, "GET", SECRETS "?watch=1&sendInitialEvents=true", NULL, NULL);
	expect_text(status, "message",
		    "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: "
		    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
	call_fails(f, 422, "Invalid", "GET", SECRETS "?watch=1&resourceVersionMatch=NotOlderThan",
		   NULL, NULL);
	call_fails(f, 422, "Invalid", "GET",
		   SECRETS "?watch=1&sendInitialEvents=true&resourceVersionMatch=Exact", NULL,
		   NULL);
}

/* Live events only, also without a revision. */
static void test_no_initial_events(void **state)
{
	Fixture *f = *state;
	HttpClient *c;

	json_decref(make_secret(f, "a", NULL));
	c = watch(f, "&sendInitialEvents=false&resourceVersionMatch=NotOlderThan");
	json_decref(make_secret(f, "b", NULL));
	expect_event(c, "ADDED", "b");
	http_close(c);
}

static void test_stop_ends_watches(void **state)
{
	Fixture *f = *state;
	HttpClient *c = watch(f, "&allowWatchBookmarks=1&resourceVersion=1");
	_cleanup_(json_decrefp) json_t *last = NULL;
	bool timeout;

	/* The store has called it up to there, and not only said that it will. */
	json_decref(make_secret(f, "a", NULL));
	expect_event(c, "ADDED", "a");
	server_stop(f->server, USEC_PER_SEC);
	/* Where to go on from, and a proper end. */
	last = next_event(c, "BOOKMARK", "");
	assert_int_equal(revision_of(last), store_revision(f->store));
	assert_null(http_read_line(c, SOON, &timeout));
	assert_false(timeout);
	http_close(c);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_from_now),
		TEST(test_from_revision),
		TEST(test_selector_transitions),
		TEST(test_field_transitions),
		TEST(test_watch_list),
		TEST(test_timeout_ends_it),
		TEST(test_future_revision),
		TEST(test_table_events),
		TEST(test_client_that_leaves),
		TEST(test_client_that_does_not_read),
		TEST(test_bookmark_before_the_end),
		TEST(test_scopes),
		TEST(test_forms_of_one_event),
		TEST(test_options_that_contradict),
		TEST(test_no_initial_events),
		TEST(test_stop_ends_watches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
