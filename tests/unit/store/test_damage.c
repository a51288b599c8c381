/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store whose files are not what was written: bits flipped, ends cut off, files emptied, missing
 * or of another store. Opening it gives everything that was acknowledged, or fails and says how to
 * restore it; where a whole older state is left, it says that it is older. Never less in silence.
 */
#include "tests/unit/store/fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fs.h"

#define OBJECTS 12
#define ROUNDS  5

typedef struct World {
	char dir[64];
	char *db, *wal, *revision;
	KindRegistry *kinds;
	/* As it was when its process was killed. */
	char *db_bytes, *wal_bytes, *revision_bytes;
	size_t db_len, wal_len, revision_len;
} World;

static Store *open_in(World *w, Error *err)
{
	StoreOptions o = { .kinds = w->kinds, .revision_file = w->revision };
	Backend *b = NULL;
	Store *s = NULL;

	if (sqlite_backend_open(w->dir, &b, err) < 0)
		return NULL;
	return store_open(b, &o, &s, err) < 0 ? NULL : s;
}

/* Each object in ROUNDS values; then the process is gone, with all of it in the log. */
static void write_and_die(World *w)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		Store *s = open_in(w, NULL);
		char name[16], value[16];

		for (int i = 0; i < OBJECTS * ROUNDS; i++) {
			snprintf(name, sizeof(name), "c%d", i % OBJECTS);
			snprintf(value, sizeof(value), "%d", i / OBJECTS);
			if ((i < OBJECTS ? create_config : set_config)(s, name, value) < 0)
				_exit(1);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int setup(void **state)
{
	World *w = xnew0(World, 1);

	snprintf(w->dir, sizeof(w->dir), "/tmp/sf-damage-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->kinds = kind_registry_new();
	w->db = xasprintf("%s/store.db", w->dir);
	w->wal = xasprintf("%s/store.db-wal", w->dir);
	w->revision = xasprintf("%s/revision", w->dir);
	write_and_die(w);
	assert_int_equal(fs_read(w->db, 1 << 24, &w->db_bytes, &w->db_len, NULL), 0);
	assert_int_equal(fs_read(w->wal, 1 << 24, &w->wal_bytes, &w->wal_len, NULL), 0);
	assert_int_equal(fs_read(w->revision, 1 << 10, &w->revision_bytes, &w->revision_len, NULL),
			 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	World *w = *state;

	fs_remove_tree(w->dir, NULL);
	kind_registry_free(w->kinds);
	free(w->db);
	free(w->wal);
	free(w->revision);
	free(w->db_bytes);
	free(w->wal_bytes);
	free(w->revision_bytes);
	free(w);
	return 0;
}

static void put(const char *path, const void *bytes, size_t len)
{
	assert_int_equal(fs_write_atomic(path, bytes, len, 0600, false, NULL), 0);
}

static void put_all(World *w)
{
	put(w->db, w->db_bytes, w->db_len);
	put(w->wal, w->wal_bytes, w->wal_len);
	put(w->revision, w->revision_bytes, w->revision_len);
}

static bool is_whole(Store *s)
{
	for (int i = 0; i < OBJECTS; i++) {
		_cleanup_(object_unrefp) Object *o = NULL;
		_cleanup_(json_decrefp) json_t *t = NULL;
		char name[16];
		Key key;

		snprintf(name, sizeof(name), "c%d", i);
		key = config_key(name);
		if (store_get(s, &key, &o, NULL) < 0 ||
		    strtol(field(o, "data.k", &t), NULL, 10) != ROUNDS - 1)
			return false;
	}
	return store_count(s, GR_CONFIGMAP, NULL) == OBJECTS;
}

typedef enum Verdict { WHOLE, REFUSED, OLDER } Verdict;

static Verdict judge(World *w)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Store *s = open_in(w, &err);
	Verdict v = WHOLE;

	if (!s) {
		assert_int_equal(err.code, ERR_INTERNAL);
		assert_non_null(strstr(error_message(&err), "restore a backup"));
		return REFUSED;
	}
	if (!is_whole(s)) {
		assert_true(store_is_restored(s));
		v = OLDER;
	}
	store_free(s);
	return v;
}

static void test_as_it_was(void **state)
{
	World *w = *state;

	put_all(w);
	assert_int_equal(judge(w), WHOLE);
}

/* Each commit in the log was acknowledged: whatever of it is broken, wherever, is not passed over.
 */
static void test_bits_of_the_log(void **state)
{
	World *w = *state;
	unsigned refused = 0, n = 0;

	for (size_t at = 0; at < w->wal_len; at += 1 + w->wal_len / 150, n++) {
		_cleanup_(xfreep) char *wal = xmemdup(w->wal_bytes, w->wal_len);

		put_all(w);
		wal[at] ^= (char)(1 << at % 8);
		put(w->wal, wal, w->wal_len);
		refused += judge(w) == REFUSED;
	}
	assert_true(refused > n * 9 / 10);
}

/* The same after all of it went into the database. */
static void test_bits_of_the_database(void **state)
{
	_cleanup_(xfreep) char *was = NULL;
	World *w = *state;
	unsigned refused = 0;
	size_t len;

	put_all(w);
	store_free(open_in(w, NULL));
	assert_int_equal(fs_read(w->db, 1 << 24, &was, &len, NULL), 0);
	for (size_t at = 0; at < len; at += 1 + len / 300) {
		_cleanup_(xfreep) char *db = xmemdup(was, len);

		db[at] ^= (char)(1 << at % 8);
		unlink(w->wal);
		put(w->db, db, len);
		put(w->revision, w->revision_bytes, w->revision_len);
		refused += judge(w) == REFUSED;
	}
	assert_true(refused > 100); /* the rest is space that nothing is in */
}

/* A power cut leaves the last commit in pieces, if nobody was told of it: that is no damage. */
static void test_end_that_nobody_was_told_of(void **state)
{
	World *w = *state;
	Store *s;

	put_all(w);
	unlink(w->revision);
	put(w->wal, w->wal_bytes, w->wal_len - 100);
	s = open_in(w, NULL);
	assert_non_null(s);
	assert_int_equal(store_count(s, GR_CONFIGMAP, NULL), OBJECTS);
	store_free(s);
	/* Of what was told of, it is. */
	put_all(w);
	put(w->wal, w->wal_bytes, w->wal_len - 100);
	assert_int_equal(judge(w), REFUSED);
}

static void test_files_that_are_gone(void **state)
{
	World *w = *state;

	put_all(w);
	unlink(w->wal);
	assert_int_not_equal(judge(w), WHOLE);
	put_all(w);
	put(w->wal, "", 0);
	assert_int_not_equal(judge(w), WHOLE);
	/* SQLite would remove the log. */
	put_all(w);
	unlink(w->db);
	assert_int_equal(judge(w), REFUSED);
	put_all(w);
	put(w->db, "", 0);
	assert_int_equal(judge(w), REFUSED);
	put(w->db, w->db_bytes, w->db_len);
	assert_int_equal(judge(w), WHOLE);
	/* Emptied, and no log: not the same as a store that never was. */
	put_all(w);
	unlink(w->wal);
	put(w->db, "", 0);
	assert_int_equal(judge(w), REFUSED);
}

/* Two logs of one store: pages of different times, each of them whole. */
static void test_log_of_another_time(void **state)
{
	World *w = *state;
	_cleanup_(xfreep) char *wal = NULL;
	Store *s;
	size_t len;

	put_all(w);
	s = open_in(w, NULL);
	create_config(s, "later", "1");
	assert_int_equal(fs_read(w->wal, 1 << 24, &wal, &len, NULL), 0);
	store_free(s);
	put_all(w);
	put(w->wal, wal, len);
	assert_int_not_equal(judge(w), WHOLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_as_it_was, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bits_of_the_log, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bits_of_the_database, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end_that_nobody_was_told_of, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files_that_are_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_log_of_another_time, setup, teardown),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
