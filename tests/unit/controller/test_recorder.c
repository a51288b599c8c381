/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recorder: Events in Kubernetes' form, counted, limited per object and per namespace; the journal
 * entry beside them.
 */
#include "tests/unit/store/fixture.h"

#include <sched.h>

#include "controller/reasons.h"
#include "controller/recorder.h"

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

typedef struct World {
	Fixture *f;
	Recorder *r;
	Object *about;
} World;

static int setup(void **state)
{
	World *w = xnew0(World, 1);
	Key key = config_key("web-1");

	w->f = fixture_new(0);
	w->r = recorder_new(w->f->s, w->f->clock, "sfd", "node-1");
	create_config(w->f->s, "web-1", "1");
	w->about = get(w->f->s, &key);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	World *w = *state;

	recorder_free(w->r);
	object_unref(w->about);
	fixture_teardown((void **)&w->f);
	free(w);
	return 0;
}

/* Waits for what is in flight: a recorder is freed only then. */
static void settle(World *w)
{
	recorder_free(w->r);
	w->r = recorder_new(w->f->s, w->f->clock, "sfd", "node-1");
}

static ObjectList *events(World *w, const char *namespace)
{
	ListOptions o = { .gr = GR_EVENT, .namespace = namespace };
	ObjectList *l = NULL;

	assert_int_equal(store_list(w->f->s, &o, &l, NULL), 0);
	return l;
}

static void test_form(void **state)
{
	World *w = *state;
	_cleanup_(object_list_freep) ObjectList *l = NULL;
	json_t *t;

	recorder_event(w->r, w->about, EVENT_WARNING, REASON_INSTANCE_CRASHED, "guest %s crashed",
		       "web-1");
	settle(w);
	l = events(w, "default");
	assert_int_equal(l->n, 1);
	t = object_decode(l->items[0]);
	assert_true(str_has_prefix(json_string_at(t, "metadata.name"), "web-1."));
	assert_string_equal(json_string_at(t, "kind"), "Event");
	assert_string_equal(json_string_at(t, "apiVersion"), "v1");
	assert_string_equal(json_string_at(t, "involvedObject.kind"), "ConfigMap");
	assert_string_equal(json_string_at(t, "involvedObject.apiVersion"), "v1");
	assert_string_equal(json_string_at(t, "involvedObject.namespace"), "default");
	assert_string_equal(json_string_at(t, "involvedObject.name"), "web-1");
	assert_string_equal(json_string_at(t, "involvedObject.uid"), object_head(w->about)->uid);
	assert_string_equal(json_string_at(t, "type"), "Warning");
	assert_string_equal(json_string_at(t, "reason"), "Crashed");
	assert_string_equal(json_string_at(t, "message"), "guest web-1 crashed");
	assert_string_equal(json_string_at(t, "source.component"), "sfd");
	assert_string_equal(json_string_at(t, "source.host"), "node-1");
	assert_string_equal(json_string_at(t, "firstTimestamp"), "2026-01-01T00:00:00Z");
	assert_int_equal(json_integer_at(t, "count", 0), 1);
	json_decref(t);
}

static int64_t count_of(World *w)
{
	_cleanup_(object_list_freep) ObjectList *l = events(w, "default");
	int64_t n = -1;
	json_t *t;

	if (l->n == 1) {
		t = object_decode(l->items[0]);
		n = json_integer_at(t, "count", 0);
		json_decref(t);
	}
	return n;
}

static void test_the_same_again_is_counted(void **state)
{
	World *w = *state;
	usec_t deadline = clock_now(clock_system()) + 10 * USEC_PER_SEC;

	for (int i = 0; i < 7; i++) {
		recorder_event(w->r, w->about, EVENT_NORMAL, REASON_INSTANCE_STARTED, "started");
		fake_clock_advance(w->f->clock, USEC_PER_SEC);
	}
	/* Also what happened while a commit was in flight. */
	while (count_of(w) != 7 && clock_now(clock_system()) < deadline)
		sched_yield();
	assert_int_equal(count_of(w), 7);
}

static void test_different_texts_are_different(void **state)
{
	World *w = *state;
	_cleanup_(object_list_freep) ObjectList *l = NULL;

	recorder_event(w->r, w->about, EVENT_NORMAL, REASON_INSTANCE_STARTED, "a");
	recorder_event(w->r, w->about, EVENT_NORMAL, REASON_INSTANCE_STARTED, "b");
	recorder_event(w->r, w->about, EVENT_WARNING, REASON_INSTANCE_STARTED, "b");
	settle(w);
	l = events(w, "default");
	assert_int_equal(l->n, 3);
}

static void test_bucket(void **state)
{
	World *w = *state;
	_cleanup_(object_list_freep) ObjectList *l = NULL, *more = NULL;

	for (int i = 0; i < 100; i++)
		recorder_event(w->r, w->about, EVENT_NORMAL, REASON_INSTANCE_STARTED, "%d", i);
	fake_clock_advance(w->f->clock, USEC_PER_MIN);
	for (int i = 0; i < 100; i++)
		recorder_event(w->r, w->about, EVENT_NORMAL, REASON_INSTANCE_STARTED, "x%d", i);
	settle(w);
	l = events(w, "default");
	assert_int_equal(l->n, 25 + 5);
}

static void test_at_most_a_thousand_per_namespace(void **state)
{
	World *w = *state;
	_cleanup_(object_list_freep) ObjectList *l = NULL;

	for (int i = 0; i < 1010; i++) {
		recorder_event(w->r, w->about, EVENT_NORMAL, REASON_INSTANCE_STARTED, "%d", i);
		fake_clock_advance(w->f->clock, USEC_PER_MIN);
		if (i >= 998)
			settle(w);
	}
	settle(w);
	l = events(w, "default");
	assert_true(l->n <= 1000 && l->n > 990);
}

static void test_cluster_scoped_and_long_names(void **state)
{
	World *w = *state;
	_cleanup_(object_unrefp) Object *about = NULL;
	_cleanup_(object_list_freep) ObjectList *l = NULL;
	char name[KEY_NAME_MAX];
	Key key;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	key = key_make(GR_NAMESPACE, "", name);
	assert_int_equal(create_tree(w->f->s, &key,
				     json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind",
					       "Namespace", "metadata", "name", name),
				     NULL),
			 0);
	about = get(w->f->s, &key);
	recorder_event(w->r, about, EVENT_NORMAL, REASON_NAMESPACE_TERMINATING, "%01500d", 7);
	settle(w);
	l = events(w, "default");
	assert_int_equal(l->n, 1);
	assert_true(strlen(object_key(l->items[0])->name) < KEY_NAME_MAX);
}

/* ---- the journal ---- */

typedef struct Line {
	char text[256], id[64], fields[512];
} Line;

static void sink(void *arg, LogLevel level, const char *message_id, const char *text,
		 const LogField *fields, size_t n_fields)
{
	Line *l = arg;

	(void)level;
	snprintf(l->text, sizeof(l->text), "%s", text);
	snprintf(l->id, sizeof(l->id), "%s", message_id ? message_id : "");
	for (size_t i = 0; i < n_fields; i++) {
		text_add(l->fields, sizeof(l->fields), fields[i].name);
		text_add(l->fields, sizeof(l->fields), "=");
		text_add(l->fields, sizeof(l->fields), fields[i].value);
		text_add(l->fields, sizeof(l->fields), " ");
	}
}

static void test_journal(void **state)
{
	World *w = *state;
	Line l = { 0 };

	log_set_sink(sink, &l);
	recorder_event(w->r, w->about, EVENT_WARNING, REASON_INSTANCE_CRASHED, "oops");
	settle(w);
	log_set_sink(NULL, NULL);
	assert_string_equal(l.text, "ConfigMap default/web-1: Crashed: oops");
	assert_string_equal(l.id, "beb3a6b6cdd24416bce49c2671b8d07f");
	assert_non_null(strstr(l.fields, "SF_KIND=ConfigMap SF_NAMESPACE=default SF_NAME=web-1 "));
	assert_non_null(strstr(l.fields, "SF_REASON=Crashed"));
}

static void test_every_reason_has_its_own_id(void **state)
{
	static const char *const ids[] = {
#define ID(constant, word, id) id,
		REASONS(ID)
#undef ID
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		assert_int_equal(strlen(ids[i]), 32);
		assert_int_equal(strspn(ids[i], "0123456789abcdef"), 32);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(ids[i], ids[j]);
	}
	assert_null(reason_message_id("NoSuchReason"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_form),
		TEST(test_the_same_again_is_counted),
		TEST(test_different_texts_are_different),
		TEST(test_bucket),
		TEST(test_at_most_a_thousand_per_namespace),
		TEST(test_cluster_scoped_and_long_names),
		TEST(test_journal),
		cmocka_unit_test(test_every_reason_has_its_own_id),
	};

	log_set_level(LOG_LEVEL_WARNING);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
