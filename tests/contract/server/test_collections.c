/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many objects at once over HTTP: lists that come in part while others write, tokens that are too
 * old or not ours, lists of an exact revision, and deleting what a selection names.
 */
#include <poll.h>

#include "tests/contract/server/fixture.h"

#include <pthread.h>

#define MANY       10000
#define CHUNK      500
#define WRITES     100 /* beside each chunk */
#define CONFIGMAPS "/api/v1/namespaces/default/configmaps"

static json_t *config_tree(const char *name, int value)
{
	return json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:o}}", "apiVersion", "v1", "kind",
			 "ConfigMap", "metadata", "name", name, "namespace", "default", "data", "v",
			 json_sprintf("%d", value));
}

/* Straight into the store: what is tested here is reading. */
static void config_create(Fixture *f, const char *name)
{
	Key key = key_make(GR_CONFIGMAP, "default", name);
	_cleanup_(json_decrefp) json_t *tree = config_tree(name, 0);
	_cleanup_(txn_freep) Txn *t = txn_new();
	Context ctx = CONTEXT_BACKGROUND;

	txn_create(t, &key, tree, false);
	assert_int_equal(store_commit(f->store, &ctx, t, NULL, NULL), 0);
}

static void config_change(Fixture *f, const char *name, int value, bool delete)
{
	Key key = key_make(GR_CONFIGMAP, "default", name);
	_cleanup_(json_decrefp) json_t *tree = config_tree(name, value);
	_cleanup_(object_unrefp) Object *base = NULL;
	_cleanup_(txn_freep) Txn *t = txn_new();
	Context ctx = CONTEXT_BACKGROUND;

	if (store_get(f->store, &key, &base, NULL) < 0)
		return;
	if (delete)
		txn_delete(t, base, NULL);
	else
		txn_update(t, base, tree);
	assert_int_equal(store_commit(f->store, &ctx, t, NULL, NULL), 0);
}

typedef struct Disturber {
	Fixture *f;
	atomic_bool stop;
	atomic_int writes, allowed;
} Disturber;

/* Changes, deletes and creates all over the range that is being listed; not so many that its
 * revision is forgotten. */
static void *disturb(void *arg)
{
	Disturber *d = arg;

	for (int i = 0; !atomic_load(&d->stop); i++) {
		char name[32];

		while (!atomic_load(&d->stop) && i >= atomic_load(&d->allowed))
			poll(NULL, 0, 1);
		snprintf(name, sizeof(name), "c-%05d", (i * 7919) % MANY);
		config_change(d->f, name, i + 1, i % 3 == 0);
		snprintf(name, sizeof(name), "c-%05d-new", (i * 104729) % MANY);
		if (i % 4 == 0 && i < MANY)
			config_create(d->f, name);
		atomic_fetch_add(&d->writes, 1);
	}
	return NULL;
}

/* From now on, and some more while the next page is made. */
static void let_it_write(Disturber *d)
{
	int seen = atomic_load(&d->writes);

	atomic_store(&d->allowed, seen + WRITES);
	while (atomic_load(&d->writes) == seen)
		poll(NULL, 0, 1);
}

static char *page_target(const char *base, int limit, const json_t *page)
{
	const char *token = page ? json_string_at(page, "metadata.continue") : NULL;

	return xasprintf("%s?limit=%d%s%s", base, limit, token ? "&continue=" : "",
			 token ? token : "");
}

/* What was there when the list began, once each and as it was, however much is written meanwhile.
 */
static void test_chunks_while_others_write(void **state)
{
	Fixture *f = *state;
	Disturber d = { .f = f };
	_cleanup_(json_decrefp) json_t *page = NULL;
	char revision[32] = "", name[32];
	pthread_t thread;
	int n = 0;

	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "c-%05d", i);
		config_create(f, name);
	}
	do {
		_cleanup_(xfreep) char *target = page_target(CONFIGMAPS, CHUNK, page);
		const json_t *item;
		size_t i;

		json_decref(page);
		page = call(f, 200, "GET", target, NULL, NULL);
		if (!n) {
			snprintf(revision, sizeof(revision), "%s",
				 json_string_at(page, "metadata.resourceVersion"));
			assert_int_equal(pthread_create(&thread, NULL, disturb, &d), 0);
		}
		let_it_write(&d);
		expect_text(page, "metadata.resourceVersion", revision);
		json_array_foreach (json_object_get(page, "items"), i, item) {
			snprintf(name, sizeof(name), "c-%05d", n++);
			expect_text(item, "metadata.name", name);
			expect_text(item, "data.v", "0");
		}
	} while (json_at(page, "metadata.continue"));
	atomic_store(&d.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(n, MANY);
}

static void test_token_that_is_too_old(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *page = NULL, *gone = NULL, *rest = NULL;
	_cleanup_(xfreep) char *target = NULL, *again = NULL, *other = NULL;

	config_create(f, "a");
	config_create(f, "c");
	page = call(f, 200, "GET", CONFIGMAPS "?limit=1", NULL, NULL);
	/* More writes than are kept. */
	for (int i = 0; i < 11100; i++)
		config_change(f, "c", i + 1, false);
	config_create(f, "b");
	target = page_target(CONFIGMAPS, 5, page);
	gone = call(f, 410, "GET", target, NULL, NULL);
	expect_text(gone, "reason", "Expired");
	assert_non_null(strstr(json_string_at(gone, "message"), "inconsistent list"));
	/* The answer says how to go on all the same. */
	again = page_target(CONFIGMAPS, 5, gone);
	rest = call(f, 200, "GET", again, NULL, NULL);
	assert_int_equal(json_array_size(json_object_get(rest, "items")), 2);
	expect_text(json_array_get(json_object_get(rest, "items"), 0), "metadata.name", "b");
	/* It is a token of this list and of no other. */
	other = page_target(SECRETS, 5, gone);
	call_fails(f, 400, "BadRequest", "GET", other, NULL, NULL);
	call_fails(f, 410, "Expired", "GET",
		   CONFIGMAPS "?resourceVersion=3&resourceVersionMatch=Exact", NULL, NULL);
}

static void test_exact_revision(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *before = NULL, *then = NULL;
	_cleanup_(xfreep) char *target = NULL;

	config_create(f, "a");
	config_create(f, "b");
	before = call(f, 200, "GET", CONFIGMAPS, NULL, NULL);
	config_change(f, "a", 7, false);
	config_change(f, "b", 0, true);
	config_create(f, "c");
	target = xasprintf(CONFIGMAPS "?resourceVersion=%s&resourceVersionMatch=Exact",
			   json_string_at(before, "metadata.resourceVersion"));
	then = call(f, 200, "GET", target, NULL, NULL);
	assert_true(json_same(before, then));
}

static void test_list_options_that_contradict(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *page = NULL;
	_cleanup_(xfreep) char *target = NULL, *both = NULL, *match = NULL;

	config_create(f, "a");
	config_create(f, "b");
	page = call(f, 200, "GET", CONFIGMAPS "?limit=1", NULL, NULL);
	target = page_target(CONFIGMAPS, 1, page);
	both = xasprintf("%s&resourceVersion=1", target);
	match = xasprintf("%s&resourceVersionMatch=NotOlderThan", target);
	call_fails(f, 400, "BadRequest", "GET", both, NULL, NULL);
	call_fails(f, 422, "Invalid", "GET", match, NULL, NULL);
	call_fails(f, 422, "Invalid", "GET", CONFIGMAPS "?resourceVersionMatch=Exact", NULL, NULL);
	call_fails(f, 422, "Invalid", "GET",
		   CONFIGMAPS "?resourceVersion=0&resourceVersionMatch=Exact", NULL, NULL);
	call_fails(f, 422, "Invalid", "GET",
		   CONFIGMAPS "?resourceVersion=1&resourceVersionMatch=Newest", NULL, NULL);
}

/* ---- deletecollection ---- */

static size_t count_items(const json_t *list)
{
	return json_array_size(json_object_get(list, "items"));
}

static void make_secrets(Fixture *f, int n)
{
	char name[16];

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "s-%03d", i);
		json_decref(make_secret(f, name, i % 3 ? "{\"go\":\"yes\"}" : "{\"go\":\"no\"}"));
	}
}

static void test_delete_collection(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *gone = NULL, *left = NULL, *none = NULL;

	make_secrets(f, 150);
	gone = call(f, 200, "DELETE", SECRETS "?labelSelector=go%3Dyes", NULL, "{}");
	expect_text(gone, "kind", "SecretList");
	expect_text(gone, "apiVersion", "v1");
	assert_int_equal(count_items(gone), 100);
	left = call(f, 200, "GET", SECRETS, NULL, NULL);
	assert_int_equal(count_items(left), 50);
	none = call(f, 200, "DELETE", SECRETS "?labelSelector=go%3Dmaybe", NULL, NULL);
	assert_int_equal(count_items(none), 0);
	call_fails(f, 405, "MethodNotAllowed", "DELETE", "/api/v1/secrets", NULL, NULL);
	call_fails(f, 405, "MethodNotAllowed", "DELETE", "/api/v1/namespaces", NULL, NULL);
}

static void test_delete_collection_dry_run(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *would = NULL, *left = NULL;

	make_secrets(f, 100);
	would = call(f, 200, "DELETE", SECRETS "?dryRun=All&fieldSelector=metadata.name!=s-000",
		     NULL, NULL);
	assert_int_equal(count_items(would), 99);
	call_done(f, 200, "DELETE", SECRETS, NULL, "{\"dryRun\":[\"All\"]}");
	left = call(f, 200, "GET", SECRETS, NULL, NULL);
	assert_int_equal(count_items(left), 100);
}

static void test_delete_collection_in_parts(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *some = NULL, *left = NULL, *rest = NULL;
	_cleanup_(xfreep) char *target = NULL;

	make_secrets(f, 10);
	some = call(f, 200, "DELETE", SECRETS "?limit=4", NULL, NULL);
	assert_int_equal(count_items(some), 4);
	left = call(f, 200, "GET", SECRETS, NULL, NULL);
	assert_int_equal(count_items(left), 6);
	target = page_target(SECRETS, 4, some);
	rest = call(f, 200, "DELETE", target, NULL, NULL);
	assert_int_equal(count_items(rest), 4);
}

static void test_delete_collection_marks_what_has_finalizers(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *marked = NULL;

	call_done(f, 201, "POST", INSTANCES, NULL, INSTANCE_BODY("a", ""));
	call_done(f, 200, "DELETE", INSTANCES "?propagationPolicy=Foreground", NULL, NULL);
	marked = call(f, 200, "GET", INSTANCES "/a", NULL, NULL);
	assert_non_null(json_at(marked, "metadata.deletionTimestamp"));
	assert_int_equal(json_array_size(json_at(marked, "metadata.finalizers")), 2);
	call_done(f, 200, "DELETE", INSTANCES, NULL, NULL);
}

static void test_delete_options_are_checked(void **state)
{
	static const char *const bad[] = {
		"{\"propagationPolicy\":\"Sideways\"}",
		"{\"orphanDependents\":true,\"propagationPolicy\":\"Orphan\"}",
		"{\"dryRun\":[\"Some\"]}",
	};
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *status = NULL, *left = NULL;

	make_secrets(f, 1);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		call_fails(f, 422, "Invalid", "DELETE", SECRETS "/s-000", NULL, bad[i]);
	status = call(f, 422, "DELETE", SECRETS "/s-000", NULL, bad[0]);
	expect_text(status, "message",
		    "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported "
		    "value: \"Sideways\": supported values: \"Background\", \"Foreground\", "
		    "\"Orphan\"");
	left = call(f, 200, "GET", SECRETS, NULL, NULL);
	assert_int_equal(count_items(left), 1);
	call_done(f, 200, "DELETE", SECRETS "/s-000", NULL, "{\"orphanDependents\":true}");
	left = (json_decref(left), call(f, 200, "GET", SECRETS "/s-000", NULL, NULL));
	assert_string_equal(
		json_string_value(json_array_get(json_at(left, "metadata.finalizers"), 0)),
		"orphan");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_chunks_while_others_write),
		TEST(test_token_that_is_too_old),
		TEST(test_exact_revision),
		TEST(test_list_options_that_contradict),
		TEST(test_delete_collection),
		TEST(test_delete_collection_dry_run),
		TEST(test_delete_collection_in_parts),
		TEST(test_delete_collection_marks_what_has_finalizers),
		TEST(test_delete_options_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
