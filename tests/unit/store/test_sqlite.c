/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SQLite store as files: lock, modes, schema versions, foreign and damaged files, a restored
 * backup, and kill -9 at random moments with a ledger of what was acknowledged.
 */
#include "tests/unit/store/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "base/random.h"
#include "store/sqlite_internal.h"

typedef struct Dir {
	char path[64];
	KindRegistry *kinds;
} Dir;

static int dir_setup(void **state)
{
	Dir *d = xnew0(Dir, 1);

	snprintf(d->path, sizeof(d->path), "/tmp/sf-sqlite-XXXXXX");
	assert_non_null(mkdtemp(d->path));
	d->kinds = kind_registry_new();
	*state = d;
	return 0;
}

static int dir_teardown(void **state)
{
	Dir *d = *state;

	fs_remove_tree(d->path, NULL);
	kind_registry_free(d->kinds);
	free(d);
	return 0;
}

static char *in_dir(const Dir *d, const char *name)
{
	return xasprintf("%s/%s", d->path, name);
}

static Store *open_store(const Dir *d, const char *revision_file)
{
	Backend *b = NULL;
	Store *s = NULL;

	assert_int_equal(sqlite_backend_open(d->path, &b, NULL), 0);
	assert_int_equal(
		store_open(b, &(StoreOptions){ .kinds = d->kinds, .revision_file = revision_file },
			   &s, NULL),
		0);
	return s;
}

/* A child of who was killed, which has not come to its exec, holds nothing. */
static void test_children_hold_no_lock(void **state)
{
	Dir *d = *state;
	Backend *b = NULL;
	pid_t holder, child = 0;
	int told[2], rc;

	assert_int_equal(pipe(told), 0);
	holder = fork();
	if (holder == 0) {
		if (sqlite_backend_open(d->path, &b, NULL) < 0)
			_exit(1);
		child = fork();
		if (child == 0)
			for (;;)
				pause();
		(void)!write(told[1], &child, sizeof(child));
		for (;;)
			pause();
	}
	assert_int_equal(read(told[0], &child, sizeof(child)), sizeof(child));
	assert_int_equal(kill(holder, SIGKILL), 0);
	assert_int_equal(waitpid(holder, NULL, 0), holder);
	rc = sqlite_backend_open(d->path, &b, NULL);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(rc, 0);
	b->ops->free(b);
	close(told[0]);
	close(told[1]);
}

/* In a process of its own: 0 if it is told that `holder` has the store. */
static int open_beside(const Dir *d, pid_t holder)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		_cleanup_(error_done) Error err = ERROR_INIT;
		Backend *b = NULL;
		char text[32];

		snprintf(text, sizeof(text), "process %ld:", (long)holder);
		_exit(sqlite_backend_open(d->path, &b, &err) != -ERR_CONFLICT ||
		      !strstr(error_message(&err), text));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void test_one_process_at_a_time(void **state)
{
	Dir *d = *state;
	Store *s = open_store(d, NULL);

	assert_int_equal(open_beside(d, getpid()), 0);
	store_free(s);
	store_free(open_store(d, NULL));
}

static void test_files_are_private(void **state)
{
	static const char *const names[] = { "store.db", "store.db-wal", "store.lock",
					     "store.ballast" };
	Dir *d = *state;
	mode_t old = umask(0);
	Store *s = open_store(d, NULL);
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_(xfreep) char *path = in_dir(d, names[i]);

		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
	umask(old);
	store_free(s);
}

static void test_survives_a_restart(void **state)
{
	Dir *d = *state;
	Store *s = open_store(d, NULL);
	Key a = config_key("a"), gone = config_key("gone");
	_cleanup_(object_unrefp) Object *before = NULL, *after = NULL;
	char id[UUID_MAX];
	int64_t rev;

	create_config(s, "a", "1");
	create_config(s, "gone", "1");
	set_config(s, "a", "2");
	delete_config(s, "gone");
	before = get(s, &a);
	rev = store_revision(s);
	snprintf(id, sizeof(id), "%s", store_id(s));
	store_free(s);
	s = open_store(d, NULL);
	after = get(s, &a);
	assert_string_equal(object_text(before, NULL), object_text(after, NULL));
	assert_int_equal(object_revision(before), object_revision(after));
	assert_int_equal(object_create_revision(before), object_create_revision(after));
	assert_int_equal(store_revision(s), rev);
	assert_string_equal(store_id(s), id);
	assert_false(store_exists(s, &gone));
	assert_false(store_is_restored(s));
	store_free(s);
}

static void write_events(void *arg, const WatchEvent *e)
{
	char *text = arg;

	text_add(text, 256, e->type == WATCH_ADDED ? "+" : e->type == WATCH_MODIFIED ? "~" : "-");
	text_add(text, 256, object_key(e->object)->name);
}

/* A client that watches from before the restart misses nothing. */
static void test_history_survives_a_restart(void **state)
{
	Dir *d = *state;
	Store *s = open_store(d, NULL);
	int64_t from;
	char text[256] = "";
	Watch *w;

	create_config(s, "a", "1");
	from = store_revision(s);
	set_config(s, "a", "2");
	create_config(s, "b", "1");
	delete_config(s, "a");
	store_free(s);
	s = open_store(d, NULL);
	assert_int_equal(store_watch(s, GR_CONFIGMAP, from, write_events, text, &w, NULL), 0);
	create_config(s, "c", "1");
	watch_close(w);
	assert_string_equal(text, "~a+b-a+c");
	store_free(s);
}

/* ---- schema ---- */

/* A list that was begun before a restart goes on after it, in the state that it began with; and a
 * quota counts what is there. */
static void test_lists_and_quotas_survive_a_restart(void **state)
{
	Dir *d = *state;
	_cleanup_(object_list_freep) ObjectList *first = NULL, *rest = NULL;
	ListOptions o = { .gr = GR_CONFIGMAP, .namespace = "default", .limit = 2 };
	Key quota = key_make(GR_QUOTA, "default", "few");
	_cleanup_(object_unrefp) Object *stored = NULL;
	_cleanup_(json_decrefp) json_t *used = NULL;
	Store *s = open_store(d, NULL);

	for (int i = 0; i < 4; i++)
		create_config(s, (const char *const[]){ "a", "b", "c", "d" }[i], "1");
	assert_int_equal(store_list(s, &o, &first, NULL), 0);
	set_config(s, "c", "2");
	delete_config(s, "d");
	create_config(s, "e", "1");
	assert_int_equal(
		create_tree(s, &quota,
			    json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:{s:s}}}", "apiVersion", "v1",
				      "kind", "ResourceQuota", "metadata", "name", "few",
				      "namespace", "default", "spec", "hard", "configmaps", "5"),
			    NULL),
		0);
	store_free(s);
	s = open_store(d, NULL);
	o.continue_token = first->continue_token;
	assert_int_equal(store_list(s, &o, &rest, NULL), 0);
	assert_int_equal(rest->revision, first->revision);
	assert_int_equal(rest->n, 2);
	assert_string_equal(object_key(rest->items[1])->name, "d");
	assert_non_null(strstr(object_text(rest->items[0], NULL), "\"k\":\"1\""));
	assert_int_equal(create_config(s, "f", "1"), 0);
	assert_int_equal(create_config(s, "g", "1"), -ERR_FORBIDDEN);
	stored = get(s, &quota);
	assert_int_equal(store_quota_used(s, stored, &used, NULL), 0);
	assert_string_equal(json_string_value(json_object_get(used, "configmaps")), "5");
	store_free(s);
}

static void test_newer_schema_is_refused_untouched(void **state)
{
	Dir *d = *state;
	_cleanup_(xfreep) char *path = in_dir(d, "store.db"), *was = NULL, *now = NULL;
	_cleanup_(error_done) Error err = ERROR_INIT;
	size_t was_len, now_len;
	Backend *b = NULL;
	sqlite3 *db;

	store_free(open_store(d, NULL));
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite_exec(db, path, "PRAGMA user_version = 99", NULL), 0);
	sqlite3_close(db);
	assert_int_equal(fs_read(path, 1 << 24, &was, &was_len, NULL), 0);
	assert_int_equal(sqlite_backend_open(d->path, &b, &err), -ERR_UNSUPPORTED);
	assert_non_null(strstr(error_message(&err), "schema 99"));
	assert_int_equal(fs_read(path, 1 << 24, &now, &now_len, NULL), 0);
	assert_int_equal(was_len, now_len);
	assert_memory_equal(was, now, was_len);
}

static void test_foreign_and_damaged_files(void **state)
{
	Dir *d = *state;
	_cleanup_(xfreep) char *path = in_dir(d, "store.db");
	_cleanup_(error_done) Error err = ERROR_INIT;
	Backend *b = NULL;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite_exec(db, path,
				     "PRAGMA application_id = 7; CREATE TABLE t (x INTEGER)", NULL),
			 0);
	sqlite3_close(db);
	assert_int_equal(sqlite_backend_open(d->path, &b, &err), -ERR_UNSUPPORTED);
	assert_int_equal(fs_write_atomic(path, "no database", 11, 0600, false, NULL), 0);
	assert_int_equal(sqlite_backend_open(d->path, &b, &err), -ERR_INTERNAL);
	assert_non_null(strstr(error_message(&err), "restore a backup"));
}

/* One step further than today's schema: a copy first, then all of it in one transaction. */
static void test_migration(void **state)
{
	const char *steps[] = { sqlite_schema[0], sqlite_schema[1],
				"CREATE TABLE extra (x INTEGER); "
				"INSERT INTO extra SELECT count(*) FROM log" };
	const char *broken[] = { steps[0], steps[1], steps[2],
				 "CREATE TABLE third (x INTEGER); INSERT INTO nothing VALUES (1)" };
	Dir *d = *state;
	_cleanup_(xfreep) char *path = in_dir(d, "store.db"),
			       *backup = in_dir(d, "store.db.v2.bak");
	_cleanup_(error_done) Error err = ERROR_INIT;
	Store *s = open_store(d, NULL);
	struct stat st;
	sqlite3 *db = NULL;

	create_config(s, "a", "1");
	store_free(s);
	assert_int_equal(sqlite_open(path, steps, 3, &db, NULL, &err), 0);
	assert_int_equal(sqlite_exec(db, path, "SELECT x FROM extra", &err), 0);
	sqlite3_close(db);
	assert_int_equal(stat(backup, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* Again: nothing to do. */
	assert_int_equal(sqlite_open(path, steps, 3, &db, NULL, &err), 0);
	sqlite3_close(db);
	/* A step that fails leaves the version before it. */
	assert_true(sqlite_open(path, broken, 4, &db, NULL, &err) < 0);
	assert_int_equal(sqlite_open(path, steps, 3, &db, NULL, &err), 0);
	assert_true(sqlite_exec(db, path, "SELECT x FROM third", NULL) < 0);
	sqlite3_close(db);
	/* The copy is the store as it was. */
	assert_int_equal(rename(backup, path), 0);
	s = open_store(d, NULL);
	assert_int_equal(store_count(s, GR_CONFIGMAP, NULL), 1);
	store_free(s);
}

/* A store of the first schema, as it was written then: its rows get their checksums. */
static void test_first_schema(void **state)
{
	static const char rows[] =
		"BEGIN; PRAGMA application_id = 1397122114; PRAGMA user_version = 1;"
		"INSERT INTO log VALUES (128, 0, 1, 0, '', 'configmaps', 'default', 'a', x'', "
		"CAST('{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\","
		"\"namespace\":\"default\",\"resourceVersion\":\"1\",\"uid\":"
		"\"11111111-1111-4111-8111-111111111111\"},\"data\":{\"k\":\"1\"}}' AS BLOB));"
		"INSERT INTO state VALUES ('', 'configmaps', 'default', 'a', 128, 0);"
		"UPDATE meta SET value = '1' WHERE name = 'head'; COMMIT";
	Dir *d = *state;
	_cleanup_(xfreep) char *path = in_dir(d, "store.db"),
			       *backup = in_dir(d, "store.db.v1.bak");
	Key a = config_key("a");
	struct stat st;
	sqlite3 *db;
	Store *s;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite_exec(db, path, sqlite_schema[0], NULL), 0);
	assert_int_equal(sqlite_exec(db, path, rows, NULL), 0);
	sqlite3_close(db);
	for (int i = 0; i < 2; i++) {
		s = open_store(d, NULL);
		assert_true(store_exists(s, &a));
		assert_int_equal(set_config(s, "a", i ? "3" : "2"), 0);
		store_free(s);
	}
	assert_int_equal(stat(backup, &st), 0);
}

/* ---- a restored backup ---- */

static void copy_file(const char *from, const char *to)
{
	_cleanup_(xfreep) char *text = NULL;
	size_t len;

	assert_int_equal(fs_read(from, 1 << 24, &text, &len, NULL), 0);
	assert_int_equal(fs_write_atomic(to, text, len, 0600, false, NULL), 0);
}

static void test_restored_store(void **state)
{
	Dir *d = *state;
	_cleanup_(xfreep) char *path = in_dir(d, "store.db"), *copy = in_dir(d, "copy.db");
	_cleanup_(xfreep) char *revision = in_dir(d, "revision");
	Store *s = open_store(d, revision);
	int64_t reached;
	Watch *w;

	create_config(s, "a", "1");
	store_free(s);
	copy_file(path, copy);
	s = open_store(d, revision);
	create_config(s, "b", "1");
	create_config(s, "c", "1");
	reached = store_revision(s);
	assert_false(store_is_restored(s));
	store_free(s);

	assert_int_equal(rename(copy, path), 0);
	s = open_store(d, revision);
	assert_true(store_is_restored(s));
	assert_int_equal(store_count(s, GR_CONFIGMAP, NULL), 1);
	/* Nobody who holds a revision of the lost part is told that nothing happened. */
	assert_int_equal(store_watch(s, NULL, reached - 1, write_events, NULL, &w, NULL),
			 -ERR_GONE);
	create_config(s, "d", "1");
	assert_true(store_revision(s) > reached);
	store_free(s);
	/* Until it is accepted, over restarts. */
	s = open_store(d, revision);
	assert_true(store_is_restored(s));
	assert_int_equal(store_accept(s, NULL), 0);
	assert_false(store_is_restored(s));
	store_free(s);
	s = open_store(d, revision);
	assert_false(store_is_restored(s));
	store_free(s);
}

static void test_replaced_store(void **state)
{
	Dir *d = *state;
	_cleanup_(xfreep) char *path = in_dir(d, "store.db"), *revision = in_dir(d, "revision");
	Store *s = open_store(d, revision);
	int64_t reached;

	create_config(s, "a", "1");
	reached = store_revision(s);
	store_free(s);
	assert_int_equal(unlink(path), 0);
	s = open_store(d, revision);
	assert_true(store_is_restored(s));
	assert_true(store_revision(s) > reached);
	store_free(s);
}

/* ---- kill -9 ---- */

#define KILLS 50

/* Commits for ever; each acknowledged write is told as one line "NAME VALUE" or "NAME -". */
static void child_write(const Dir *d, int fd, unsigned round)
{
	Store *s = open_store(d, NULL);
	char name[16], value[32], line[64];

	for (unsigned i = 0;; i++) {
		Key key;
		int rc, n;

		snprintf(name, sizeof(name), "c%u", i % 5);
		snprintf(value, sizeof(value), "%u.%u", round, i);
		key = config_key(name);
		if (!store_exists(s, &key)) {
			rc = create_config(s, name, value);
		} else if (i % 11 == 0) {
			rc = delete_config(s, name);
			snprintf(value, sizeof(value), "-");
		} else {
			rc = set_config(s, name, value);
		}
		if (rc < 0)
			_exit(1);
		n = snprintf(line, sizeof(line), "%s %s\n", name, value);
		if (write(fd, line, (size_t)n) != n)
			_exit(2);
	}
}

typedef struct Ledger {
	char value[5][32];
	unsigned lines;
} Ledger;

static void ledger_read(Ledger *l, const char *text)
{
	unsigned i;
	char value[32];

	for (const char *p = text; *p; p = strchr(p, '\n') + 1) {
		if (!strchr(p, '\n'))
			break;
		assert_int_equal(sscanf(p, "c%u %31s", &i, value), 2);
		memcpy(l->value[i], value, sizeof(value));
		l->lines++;
	}
}

/* How many keys differ from the ledger: at most the one whose answer was not yet told. */
static int ledger_compare(Ledger *l, Store *s)
{
	int differ = 0;

	for (unsigned i = 0; i < 5; i++) {
		_cleanup_(object_unrefp) Object *o = NULL;
		char name[16], now[32] = "-";
		json_t *t = NULL;
		Key key;

		snprintf(name, sizeof(name), "c%u", i);
		key = config_key(name);
		if (store_get(s, &key, &o, NULL) == 0)
			snprintf(now, sizeof(now), "%s", field(o, "data.k", &t));
		json_decref(t);
		differ += !streq(now, *l->value[i] ? l->value[i] : "-");
		memcpy(l->value[i], now, sizeof(now));
	}
	return differ;
}

static void test_kill(void **state)
{
	Dir *d = *state;
	Ledger ledger = { 0 };

	for (unsigned round = 0; round < KILLS; round++) {
		_cleanup_(xfreep) char *text = NULL;
		int pipefd[2], status;
		int64_t before;
		pid_t pid;
		Store *s;

		assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			child_write(d, pipefd[1], round);
		close(pipefd[1]);
		/* Half of the rounds die while they open, the others somewhere in their work. */
		if (round % 2)
			poll(&(struct pollfd){ .fd = pipefd[0], .events = POLLIN }, 1, 10000);
		poll(NULL, 0, (int)(random_u64() % 40));
		kill(pid, SIGKILL);
		assert_int_equal(fs_read_fd(pipefd[0], 1 << 24, &text, NULL, NULL), 0);
		close(pipefd[0]);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		ledger_read(&ledger, text);
		s = open_store(d, NULL);
		before = store_revision(s);
		assert_true(ledger_compare(&ledger, s) <= 1);
		assert_int_equal(create_config(s, "probe", "1"), 0);
		assert_int_equal(delete_config(s, "probe"), 0);
		assert_int_equal(store_revision(s), before + 2);
		store_free(s);
	}
	assert_true(ledger.lines > KILLS);
	print_message("%d kills, %u acknowledged writes, none lost\n", KILLS, ledger.lines);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, dir_setup, dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_process_at_a_time),
		TEST(test_children_hold_no_lock),
		TEST(test_files_are_private),
		TEST(test_survives_a_restart),
		TEST(test_history_survives_a_restart),
		TEST(test_lists_and_quotas_survive_a_restart),
		TEST(test_newer_schema_is_refused_untouched),
		TEST(test_foreign_and_damaged_files),
		TEST(test_migration),
		TEST(test_first_schema),
		TEST(test_restored_store),
		TEST(test_replaced_store),
		TEST(test_kill),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
