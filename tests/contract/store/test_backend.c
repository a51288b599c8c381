/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Backend contract, run over every implementation: what backend.h promises of load, append,
 * replay, compact, advance and meta.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/memory.h"
#include "store/backend.h"

typedef struct Fixture {
	char dir[64]; /* "" = nothing on disk */
	Backend *b;
} Fixture;

static const GroupResource *things(void)
{
	return group_resource("example.com", "things");
}

static int setup_memory(void **state)
{
	Fixture *f = xnew0(Fixture, 1);

	f->b = memory_backend_new();
	*state = f;
	return 0;
}

static int setup_sqlite(void **state)
{
	Fixture *f = xnew0(Fixture, 1);

	snprintf(f->dir, sizeof(f->dir), "/tmp/sf-backend-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(sqlite_backend_open(f->dir, &f->b, NULL), 0);
	*state = f;
	return 0;
}

static int setup_fault(void **state)
{
	Fixture *f = xnew0(Fixture, 1);

	f->b = fault_backend_new(memory_backend_new());
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	Fixture *f = *state;

	f->b->ops->free(f->b);
	if (*f->dir)
		fs_remove_tree(f->dir, NULL);
	free(f);
	return 0;
}

/* ---- helpers ---- */

static Key key_of(const char *name)
{
	return key_make(things(), "default", name);
}

static Record record(const char *name, const char *body)
{
	return (Record){ .key = key_of(name),
			 .head = body ? "head" : NULL,
			 .head_len = body ? 4 : 0,
			 .deleted = !body,
			 .body = body ? body : "last",
			 .body_len = strlen(body ? body : "last") };
}

/* One record with one precondition (rev -2 = none); the txn's rc. */
static int put(Backend *b, const char *name, const char *body, int64_t rev, int64_t *ret_rev)
{
	Record r = record(name, body);
	Precondition p = { .key = r.key, .rev = rev };
	BackendTxn t = {
		.records = &r, .n_records = 1, .preconditions = &p, .n_preconditions = rev != -2
	};

	assert_int_equal(b->ops->append(b, &t, 1, NULL, NULL, NULL), 0);
	if (t.rc == 0 && ret_rev)
		*ret_rev = t.rev;
	error_done(&t.err);
	return t.rc;
}

typedef struct Seen {
	char text[8192];
	int64_t rev, compacted;
} Seen;

static int see(void *arg, const Record *r)
{
	Seen *s = arg;
	size_t n = strlen(s->text);

	assert_true(r->deleted || (r->head_len == 4 && memcmp(r->head, "head", 4) == 0));
	snprintf(s->text + n, sizeof(s->text) - n, "%s%s=%.*s@%lld/%lld", r->deleted ? "-" : "",
		 r->key.name, (int)r->body_len, r->body, (long long)r->rev,
		 (long long)r->create_rev);
	n = strlen(s->text);
	snprintf(s->text + n, sizeof(s->text) - n, " ");
	return 0;
}

static Seen load(Backend *b)
{
	Seen s = { 0 };

	assert_int_equal(b->ops->load(b, see, &s, &s.rev, &s.compacted, NULL), 0);
	return s;
}

static Seen replay(Backend *b, int64_t from)
{
	Seen s = { 0 };

	assert_int_equal(b->ops->replay(b, from, see, &s, NULL), 0);
	return s;
}

/* Closes and opens what is on disk; the others go on as they are. */
static void reopen(Fixture *f)
{
	if (!*f->dir)
		return;
	f->b->ops->free(f->b);
	assert_int_equal(sqlite_backend_open(f->dir, &f->b, NULL), 0);
}

/* ---- the contract ---- */

static void test_empty(void **state)
{
	Fixture *f = *state;
	Seen s = load(f->b);

	assert_string_equal(s.text, "");
	assert_int_equal(s.rev, 0);
	assert_int_equal(s.compacted, 0);
	assert_string_equal(replay(f->b, 0).text, "");
}

static void test_load_is_in_key_order(void **state)
{
	Fixture *f = *state;

	put(f->b, "c", "1", 0, NULL);
	put(f->b, "a", "2", 0, NULL);
	put(f->b, "b", "3", 0, NULL);
	put(f->b, "a", "4", 2, NULL);
	reopen(f);
	assert_string_equal(load(f->b).text, "a=4@4/2 b=3@3/3 c=1@1/1 ");
	assert_int_equal(load(f->b).rev, 4);
}

static void test_preconditions(void **state)
{
	Fixture *f = *state;
	int64_t rev;

	assert_int_equal(put(f->b, "a", "x", -1, NULL), -ERR_CONFLICT);
	assert_int_equal(put(f->b, "a", "x", 7, NULL), -ERR_CONFLICT);
	assert_int_equal(put(f->b, "a", "x", 0, &rev), 0);
	assert_int_equal(rev, 1);
	assert_int_equal(put(f->b, "a", "y", 0, NULL), -ERR_CONFLICT);
	assert_int_equal(put(f->b, "a", "y", -1, &rev), 0);
	assert_int_equal(put(f->b, "a", "z", 1, NULL), -ERR_CONFLICT);
	assert_int_equal(put(f->b, "a", NULL, 2, &rev), 0);
	assert_int_equal(rev, 3);
	assert_int_equal(put(f->b, "a", "n", -1, NULL), -ERR_CONFLICT);
	assert_int_equal(put(f->b, "a", "n", 3, NULL), -ERR_CONFLICT);
	/* Over a tombstone: a new life. */
	assert_int_equal(put(f->b, "a", "n", 0, &rev), 0);
	assert_string_equal(load(f->b).text, "a=n@4/4 ");
}

static void test_failed_precondition_is_named(void **state)
{
	Fixture *f = *state;
	Record r = record("a", "x");
	Precondition p[] = {
		{.key = key_of("b"),  .rev = 0 },
                { .key = key_of("c"), .rev = -1}
	};
	BackendTxn t = { .records = &r, .n_records = 1, .preconditions = p, .n_preconditions = 2 };

	assert_int_equal(f->b->ops->append(f->b, &t, 1, NULL, NULL, NULL), 0);
	assert_int_equal(t.rc, -ERR_CONFLICT);
	assert_int_equal(t.failed, 1);
	assert_int_equal(load(f->b).rev, 0);
}

static void count_prepare(void *arg, BackendTxn *t)
{
	assert_true(t->rev > 0);
	for (size_t i = 0; i < t->n_records; i++)
		assert_int_equal(t->records[i].rev, t->rev);
	t->records[0].body = "prepared";
	t->records[0].body_len = 8;
	(*(int *)arg)++;
}

/* Each stands alone, is checked against earlier ones, and one that fails disturbs nobody. */
static void test_group_commit(void **state)
{
	Fixture *f = *state;
	Record r[4] = { record("a", "1"), record("a", "2"), record("b", "3"), record("c", "4") };
	Precondition p[4] = {
		{.key = key_of("a"),  .rev = 0},
		{ .key = key_of("a"), .rev = 0},
		{ .key = key_of("a"), .rev = 1},
		{ .key = key_of("c"), .rev = 0}
	};
	BackendTxn t[4];
	int prepared = 0;

	for (int i = 0; i < 4; i++)
		t[i] = (BackendTxn){ .records = &r[i],
				     .n_records = 1,
				     .preconditions = &p[i],
				     .n_preconditions = 1 };
	assert_int_equal(f->b->ops->append(f->b, t, 4, count_prepare, &prepared, NULL), 0);
	assert_int_equal(t[0].rc, 0);
	assert_int_equal(t[1].rc, -ERR_CONFLICT);
	assert_int_equal(t[2].rc, 0);
	assert_int_equal(t[3].rc, 0);
	assert_int_equal(t[3].rev, 3);
	assert_int_equal(prepared, 3);
	reopen(f);
	assert_string_equal(load(f->b).text, "a=prepared@1/1 b=prepared@2/2 c=prepared@3/3 ");
}

static void test_txn_of_many_records_has_one_revision(void **state)
{
	Fixture *f = *state;
	Record r[TXN_OPS_MAX];
	BackendTxn t = { .records = r, .n_records = TXN_OPS_MAX };
	char name[16];
	Seen s;

	for (int i = 0; i < TXN_OPS_MAX; i++) {
		snprintf(name, sizeof(name), "k%03d", i);
		r[i] = record(name, "v");
	}
	put(f->b, "k005", "old", 0, NULL);
	assert_int_equal(f->b->ops->append(f->b, &t, 1, NULL, NULL, NULL), 0);
	assert_int_equal(t.rev, 2);
	put(f->b, "z", "after", 0, NULL);
	s = replay(f->b, 1);
	assert_non_null(strstr(s.text, "k000=v@2/2 "));
	assert_non_null(strstr(s.text, "k005=v@2/1 "));
	assert_non_null(strstr(s.text, "k127=v@2/2 z=after@3/3 "));
	assert_true(str_has_prefix(s.text, "k005=old@1/1 k000"));
}

static void test_replay(void **state)
{
	Fixture *f = *state;

	put(f->b, "a", "1", 0, NULL);
	put(f->b, "b", "2", 0, NULL);
	put(f->b, "a", "3", 1, NULL);
	put(f->b, "b", NULL, 2, NULL);
	put(f->b, "b", "5", 0, NULL);
	reopen(f);
	assert_string_equal(replay(f->b, 0).text, "a=1@1/1 b=2@2/2 a=3@3/1 -b=last@4/2 b=5@5/5 ");
	assert_string_equal(replay(f->b, 2).text, "a=1@1/1 b=2@2/2 a=3@3/1 -b=last@4/2 b=5@5/5 ");
	assert_string_equal(replay(f->b, 3).text, "b=2@2/2 -b=last@4/2 b=5@5/5 ");
	/* A tombstone is no state. */
	assert_string_equal(replay(f->b, 4).text, "b=5@5/5 ");
	assert_string_equal(replay(f->b, 5).text, "");
}

static void test_compact(void **state)
{
	Fixture *f = *state;
	Seen s;

	put(f->b, "a", "1", 0, NULL);
	put(f->b, "a", "2", 1, NULL);
	put(f->b, "gone", "3", 0, NULL);
	put(f->b, "gone", NULL, 3, NULL);
	put(f->b, "a", "5", 2, NULL);
	put(f->b, "b", "6", 0, NULL);
	assert_int_equal(f->b->ops->compact(f->b, 4, NULL), 0);
	reopen(f);
	assert_int_equal(f->b->ops->replay(f->b, 3, see, &s, NULL), -ERR_GONE);
	/* The state at the compaction is still known. */
	assert_string_equal(replay(f->b, 4).text, "a=2@2/1 a=5@5/1 b=6@6/6 ");
	s = load(f->b);
	assert_string_equal(s.text, "a=5@5/1 b=6@6/6 ");
	assert_int_equal(s.rev, 6);
	assert_int_equal(s.compacted, 4);
	assert_int_equal(f->b->ops->compact(f->b, 4, NULL), 0);
	assert_int_equal(f->b->ops->compact(f->b, 2, NULL), 0);
	assert_int_equal(f->b->ops->compact(f->b, 7, NULL), -ERR_INVALID);
	assert_int_equal(f->b->ops->compact(f->b, 6, NULL), 0);
	assert_string_equal(replay(f->b, 6).text, "");
	/* A compacted tombstone leaves a key that can be made again. */
	assert_int_equal(put(f->b, "gone", "7", 0, NULL), 0);
	assert_int_equal(put(f->b, "a", "8", 5, NULL), 0);
	assert_string_equal(replay(f->b, 6).text, "a=5@5/1 gone=7@7/7 a=8@8/1 ");
	assert_string_equal(load(f->b).text, "a=8@8/1 b=6@6/6 gone=7@7/7 ");
}

static void test_advance(void **state)
{
	Fixture *f = *state;
	int64_t rev;
	Seen s;

	put(f->b, "a", "1", 0, NULL);
	put(f->b, "a", "2", 1, NULL);
	assert_int_equal(f->b->ops->advance(f->b, 1000, NULL), 0);
	assert_int_equal(f->b->ops->advance(f->b, 5, NULL), 0);
	reopen(f);
	s = load(f->b);
	assert_string_equal(s.text, "a=2@2/1 ");
	assert_int_equal(s.rev, 1000);
	assert_int_equal(s.compacted, 1000);
	assert_int_equal(f->b->ops->replay(f->b, 999, see, &s, NULL), -ERR_GONE);
	assert_int_equal(put(f->b, "a", "3", 2, &rev), 0);
	assert_int_equal(rev, 1001);
	assert_string_equal(replay(f->b, 1000).text, "a=2@2/1 a=3@1001/1 ");
	assert_int_equal(f->b->ops->compact(f->b, 1001, NULL), 0);
	assert_string_equal(load(f->b).text, "a=3@1001/1 ");
}

static void test_meta(void **state)
{
	Fixture *f = *state;
	char *v = NULL;

	assert_int_equal(f->b->ops->meta_get(f->b, "store-id", &v, NULL), -ERR_NOT_FOUND);
	assert_int_equal(f->b->ops->meta_set(f->b, "store-id", "x", NULL), 0);
	assert_int_equal(f->b->ops->meta_set(f->b, "store-id", "y'\"", NULL), 0);
	reopen(f);
	assert_int_equal(f->b->ops->meta_get(f->b, "store-id", &v, NULL), 0);
	assert_string_equal(v, "y'\"");
	free(v);
}

static void test_bytes_and_keys_are_kept(void **state)
{
	static const char body[] = "{\"a\":\"\xc3\xa4\",\"q\":\"'\"}";
	Fixture *f = *state;
	char name[KEY_NAME_MAX], big[200000];
	Record r = record("x", body);
	BackendTxn t = { .records = &r, .n_records = 1 };

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	memset(big, 'b', sizeof(big));
	r.key = key_make(group_resource("", "namespaces"), "", name);
	r.body = big;
	r.body_len = sizeof(big);
	assert_int_equal(f->b->ops->append(f->b, &t, 1, NULL, NULL, NULL), 0);
	put(f->b, "quote", body, 0, NULL);
	reopen(f);
	assert_non_null(strstr(replay(f->b, 1).text, body));
	f->b->ops->compact(f->b, 2, NULL);
	assert_int_equal(load(f->b).rev, 2);
}

static int stop_at_first(void *arg, const Record *r)
{
	(void)r;
	(*(int *)arg)++;
	return -ERR_CANCELED;
}

static void test_reader_stops(void **state)
{
	Fixture *f = *state;
	int64_t rev, compacted;
	int n = 0;

	put(f->b, "a", "1", 0, NULL);
	put(f->b, "b", "2", 0, NULL);
	assert_int_equal(f->b->ops->load(f->b, stop_at_first, &n, &rev, &compacted, NULL),
			 -ERR_CANCELED);
	assert_int_equal(f->b->ops->replay(f->b, 0, stop_at_first, &n, NULL), -ERR_CANCELED);
	assert_int_equal(n, 2);
	/* And may start again. */
	assert_string_equal(load(f->b).text, "a=1@1/1 b=2@2/2 ");
}

#define SUITE(setup) \
	cmocka_unit_test_setup_teardown(test_empty, setup, teardown), \
		cmocka_unit_test_setup_teardown(test_load_is_in_key_order, setup, teardown), \
		cmocka_unit_test_setup_teardown(test_preconditions, setup, teardown), \
		cmocka_unit_test_setup_teardown(test_failed_precondition_is_named, setup, \
						teardown), \
		cmocka_unit_test_setup_teardown(test_group_commit, setup, teardown), \
		cmocka_unit_test_setup_teardown(test_txn_of_many_records_has_one_revision, setup, \
						teardown), \
		cmocka_unit_test_setup_teardown(test_replay, setup, teardown), \
		cmocka_unit_test_setup_teardown(test_compact, setup, teardown), \
		cmocka_unit_test_setup_teardown(test_advance, setup, teardown), \
		cmocka_unit_test_setup_teardown(test_meta, setup, teardown), \
		cmocka_unit_test_setup_teardown(test_bytes_and_keys_are_kept, setup, teardown), \
		cmocka_unit_test_setup_teardown(test_reader_stops, setup, teardown)

int main(void)
{
	const struct CMUnitTest memory[] = { SUITE(setup_memory) };
	const struct CMUnitTest sqlite[] = { SUITE(setup_sqlite) };
	const struct CMUnitTest fault[] = { SUITE(setup_fault) };
	int failed = cmocka_run_group_tests_name("memory", memory, NULL, NULL);

	failed += cmocka_run_group_tests_name("sqlite", sqlite, NULL, NULL);
	failed += cmocka_run_group_tests_name("fault", fault, NULL, NULL);
	return failed;
}
