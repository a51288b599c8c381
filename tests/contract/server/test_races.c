/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that lose a race: somebody else writes between what a handler reads and what it commits.
 *
 * The server's call of store_commit_async() comes here first (--wrap of the linker), where the
 * other write is made at once, so nothing depends on time. Chance is wrapped, too: two objects that
 * are given the same generated name are as certain as that.
 */
#include "base/random.h"
#include "controller/recorder.h"
#include "tests/contract/server/fixture.h"

#define NAMESPACES "/api/v1/namespaces"
#define TEAM       NAMESPACES "/team"

void __real_store_commit_async(Store *s, Txn *t, CommitFn done, void *arg);
void __wrap_store_commit_async(Store *s, Txn *t, CommitFn done, void *arg);
int __real_session_thread(void *(*run)(void *arg), void *arg);
int __wrap_session_thread(void *(*run)(void *arg), void *arg);
uint64_t __real_random_u64(void);
uint64_t __wrap_random_u64(void);

static Key label_what;          /* who is labeled meanwhile */
static atomic_uint label_times; /* before how many of the next commits */
static atomic_uint labels_made; /* in all */
static _Atomic(Fixture *) rotate_next;
static const char *rotate_uid;
static atomic_uint same_numbers; /* how many of the next numbers are the same */

/* Somebody else's write. */
static void label_object(Store *s, const Key *key)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(txn_freep) Txn *t = txn_new();
	_cleanup_(json_decrefp) json_t *tree = NULL;
	_cleanup_(object_unrefp) Object *o = NULL;
	Context ctx = CONTEXT_BACKGROUND;
	char number[16];

	if (store_get(s, key, &o, &err) < 0)
		fail_msg("%s", error_message(&err));
	tree = object_decode(o);
	snprintf(number, sizeof(number), "%u", atomic_fetch_add(&labels_made, 1));
	json_set_at(tree, "metadata.labels.mine", json_string(number));
	txn_update(t, o, tree);
	if (store_commit(s, &ctx, t, NULL, &err) < 0)
		fail_msg("%s", error_message(&err));
}

void __wrap_store_commit_async(Store *s, Txn *t, CommitFn done, void *arg)
{
	if (atomic_load(&label_times) > 0) {
		atomic_fetch_sub(&label_times, 1);
		label_object(s, &label_what);
	}
	__real_store_commit_async(s, t, done, arg);
}

uint64_t __wrap_random_u64(void)
{
	unsigned left = atomic_load(&same_numbers);

	if (left == 0)
		return __real_random_u64();
	atomic_store(&same_numbers, left - 1);
	return 42;
}

/* The thread that opens a followed log's next file: has ended, and that file was moved away, too,
 * before the follower goes on. */
int __wrap_session_thread(void *(*run)(void *arg), void *arg)
{
	Fixture *f = atomic_exchange(&rotate_next, NULL);

	if (!f)
		return __real_session_thread(run, arg);
	run(arg);
	fake_console_rotate(f->console, rotate_uid);
	fake_console_print(f->console, "default.vm", rotate_uid, "three\n");
	return 0;
}

static void lose_races(const GroupResource *gr, const char *namespace, const char *name,
		       unsigned times)
{
	label_what = key_make(gr, namespace, name);
	atomic_store(&label_times, times);
}

/* ---- finalize ---- */

static json_t *team_after_a_lost_race(Fixture *f, const char *body)
{
	call_done(f, 201, "POST", NAMESPACES, NULL,
		  "{\"metadata\":{\"name\":\"team\",\"labels\":{\"keep\":\"me\"}}}");
	lose_races(GR_NAMESPACE, "", "team", 1);
	call_done(f, 200, "PUT", TEAM "/finalize", NULL, body);
	assert_int_equal(atomic_load(&label_times), 0);
	return call(f, 200, "GET", TEAM, NULL, NULL);
}

/* It is of the finalizers still, and of nothing else. */
static void test_finalize_again_changes_finalizers_only(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *team =
		team_after_a_lost_race(f, "{\"spec\":{\"finalizers\":[\"kubernetes\"]}}");

	expect_text(team, "metadata.labels.keep", "me");
	assert_non_null(json_at(team, "metadata.labels.mine"));
}

/* The last finalizer of one that is being deleted goes, and the namespace with it. */
static void test_finalize_again_lets_go(void **state)
{
	Fixture *f = *state;

	call_done(f, 201, "POST", NAMESPACES, NULL, "{\"metadata\":{\"name\":\"team\"}}");
	call_done(f, 200, "DELETE", TEAM, NULL, NULL);
	lose_races(GR_NAMESPACE, "", "team", 1);
	call_done(f, 200, "PUT", TEAM "/finalize", NULL, "{\"spec\":{\"finalizers\":[]}}");
	assert_int_equal(atomic_load(&label_times), 0);
	call_fails(f, 404, "NotFound", "GET", TEAM, NULL, NULL);
}

/* ---- generateName ---- */

#define GENERATED "{\"metadata\":{\"generateName\":\"gen-\"}}"

/* The server chose the name: that it is taken is not the client's mistake. */
static void test_generated_name_that_is_taken(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *first = NULL, *second = NULL;

	atomic_store(&same_numbers, 3);
	first = call(f, 201, "POST", SECRETS, NULL, GENERATED);
	second = call(f, 201, "POST", SECRETS, NULL, GENERATED);
	assert_int_equal(atomic_load(&same_numbers), 0);
	assert_string_not_equal(json_string_at(first, "metadata.name"),
				json_string_at(second, "metadata.name"));
	assert_true(str_has_prefix(json_string_at(second, "metadata.name"), "gen-"));
	expect_text(second, "metadata.generateName", "gen-");
}

/* It does not try for ever, and in a dry run neither. */
static void test_generated_name_that_stays_taken(void **state)
{
	Fixture *f = *state;

	atomic_store(&same_numbers, 1000);
	call_done(f, 201, "POST", SECRETS, NULL, GENERATED);
	call_fails(f, 409, "AlreadyExists", "POST", SECRETS, NULL, GENERATED);
	call_fails(f, 409, "AlreadyExists", "POST", SECRETS "?dryRun=All", NULL, GENERATED);
	assert_true(atomic_load(&same_numbers) > 900);
	atomic_store(&same_numbers, 0);
	call_done(f, 201, "POST", SECRETS, NULL, GENERATED);
}

/* A name that the client gave is the client's. */
static void test_given_name_that_is_taken(void **state)
{
	static const char body[] = "{\"metadata\":{\"name\":\"n\",\"generateName\":\"gen-\"}}";
	Fixture *f = *state;

	call_done(f, 201, "POST", SECRETS, NULL, body);
	call_fails(f, 409, "AlreadyExists", "POST", SECRETS, NULL, body);
}

/* ---- told and counted once ---- */

/* A warning is about what was sent, however often the server had to compute. */
static void test_warned_once(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *warning = NULL;
	HttpAnswer a;

	call_done(f, 201, "POST", INSTANCES, NULL, INSTANCE_BODY("vm", ""));
	lose_races(group_resource("shakenfist.io", "instances"), "default", "vm", 3);
	a = http_call(f->path, "PATCH", INSTANCES "/vm?fieldValidation=Warn",
		      "application/merge-patch+json", "{\"spec\":{\"cpus\":2,\"nosuch\":1}}");
	assert_int_equal(a.code, 200);
	assert_int_equal(atomic_load(&label_times), 0);
	warning = http_header(&a, "Warning");
	assert_non_null(warning);
	assert_non_null(strstr(a.head, "nosuch"));
	assert_null(strstr(strstr(a.head, "nosuch") + 1, "nosuch"));
	http_answer_done(&a);
}

/* Fewer at once each time, and one at least, for ever. */
static void test_delete_collection_that_loses_often(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *left = NULL;

	for (char name[] = "a"; *name <= 'f'; ++*name)
		json_decref(make_secret(f, name, NULL));
	lose_races(GR_SECRET, "default", "a", 70);
	call_done(f, 200, "DELETE", SECRETS, NULL, NULL);
	assert_int_equal(atomic_load(&label_times), 0);
	left = call(f, 200, "GET", SECRETS, NULL, NULL);
	assert_int_equal(json_array_size(json_object_get(left, "items")), 0);
}

/* ---- events ---- */

#define EVENTS "/api/v1/namespaces/default/events"
#define EVENT(name) \
	"{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"metadata\":{\"name\":\"" name "\"}," \
	"\"involvedObject\":{\"kind\":\"X\",\"name\":\"x\",\"namespace\":\"default\"}," \
	"\"reason\":\"R\",\"type\":\"Normal\"}"

/* As many as there may be; the first is "e-0000". */
static void fill_events(Store *s)
{
	_cleanup_(json_decrefp) json_t *tree = json_loads(EVENT("x"), 0, NULL);
	_cleanup_(error_done) Error err = ERROR_INIT;
	Context ctx = CONTEXT_BACKGROUND;

	for (size_t n = store_count(s, GR_EVENT, "default"); n < EVENTS_PER_NAMESPACE;) {
		_cleanup_(txn_freep) Txn *t = txn_new();

		for (size_t i = 0; i < 40 && n < EVENTS_PER_NAMESPACE; i++, n++) {
			char name[16];
			Key key;

			snprintf(name, sizeof(name), "e-%04zu", n);
			key = key_make(GR_EVENT, "default", name);
			json_set_at(tree, "metadata.name", json_string(name));
			txn_create(t, &key, tree, false);
		}
		if (store_commit(s, &ctx, t, NULL, &err) < 0)
			fail_msg("%s", error_message(&err));
	}
}

/* The event that has to make room is changed meanwhile, which is not the fault of who makes one. */
static void test_event_that_makes_room(void **state)
{
	Fixture *f = *state;

	fill_events(f->store);
	lose_races(GR_EVENT, "default", "e-0000", 1);
	call_done(f, 201, "POST", EVENTS, NULL, EVENT("posted"));
	assert_int_equal(atomic_load(&label_times), 0);
	assert_int_equal(store_count(f->store, GR_EVENT, "default"), EVENTS_PER_NAMESPACE);
	lose_races(GR_EVENT, "default", "e-0002", 1);
	call_done(f, 201, "PATCH", EVENTS "/applied?fieldManager=m", "application/apply-patch+yaml",
		  EVENT("applied"));
	assert_int_equal(atomic_load(&label_times), 0);
	assert_int_equal(store_count(f->store, GR_EVENT, "default"), EVENTS_PER_NAMESPACE);
}

/* ---- logs ---- */

static void expect_line(HttpClient *c, const char *want)
{
	_cleanup_(xfreep) char *line = http_read_line(c, HTTP_DEADLINE_MS, NULL);

	assert_non_null(line);
	assert_string_equal(line, want);
}

/* The log is moved away twice within one look of who follows it. */
static void test_log_that_moves_on(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *vm =
		call(f, 201, "POST", INSTANCES, NULL, INSTANCE_BODY("vm", ""));
	HttpClient *c = http_connect(f->path);
	HttpAnswer a;

	rotate_uid = json_string_at(vm, "metadata.uid");
	fake_console_print(f->console, "default.vm", rotate_uid, "one\n");
	http_request(c, "GET", INSTANCES "/vm/log?follow=true", "", NULL);
	a = http_read_head(c);
	assert_int_equal(a.code, 200);
	http_answer_done(&a);
	expect_line(c, "one");
	atomic_store(&rotate_next, f);
	fake_console_rotate(f->console, rotate_uid);
	fake_console_print(f->console, "default.vm", rotate_uid, "two\n");
	expect_line(c, "two");
	expect_line(c, "three");
	assert_null(atomic_load(&rotate_next));
	http_close(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_finalize_again_changes_finalizers_only),
		TEST(test_finalize_again_lets_go),
		TEST(test_generated_name_that_is_taken),
		TEST(test_generated_name_that_stays_taken),
		TEST(test_given_name_that_is_taken),
		TEST(test_warned_once),
		TEST(test_delete_collection_that_loses_often),
		TEST(test_event_that_makes_room),
		TEST(test_log_that_moves_on),
	};

	return cmocka_run_group_tests_name("races", tests, NULL, NULL);
}
