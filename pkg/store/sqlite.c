/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite backend: the log in one file. See backend.h for the port, sqlite_open.c for settings and
 * schema. One thread at a time uses it; it is the only process and the only connection.
 *
 * A commit that fails is unknown: the connection is closed at once, and load() opens a new one. An
 * fsync that failed is never repeated (the kernel may have dropped the pages and would report
 * success): a new connection first copies the whole WAL into the database, which writes the pages
 * anew.
 */
#include "base/failpoint.h"
#include "base/memory.h"
#include "store/backend.h"
#include "store/sqlite_internal.h"

#define ID(rev) ((rev)*TXN_OPS_MAX)
#define REV(id) ((id) / TXN_OPS_MAX)

typedef enum Statement {
	ST_BEGIN,
	ST_COMMIT,
	ST_LOAD,
	ST_LOOK,
	ST_INSERT,
	ST_STATE,
	ST_REPLAY_STATE,
	ST_REPLAY,
	ST_COMPACT_OLD,
	ST_COMPACT_STATE,
	ST_COMPACT_TOMBSTONES,
	ST_META_GET,
	ST_META_SET,
	_ST_MAX,
} Statement;

#define COLUMNS \
	"l.id, l.create_rev, l.deleted, l.grp, l.resource, l.namespace, l.name, l.head, l.body "

static const char *const statement_sql[_ST_MAX] = {
	[ST_BEGIN] = "BEGIN IMMEDIATE",
	[ST_COMMIT] = "COMMIT",
	[ST_LOAD] = "SELECT " COLUMNS "FROM state s JOIN log l ON l.id = s.id WHERE s.deleted = 0 "
		    "ORDER BY s.grp, s.resource, s.namespace, s.name",
	[ST_LOOK] = "SELECT s.id, l.create_rev, s.deleted FROM state s JOIN log l ON l.id = s.id "
		    "WHERE s.grp = ? AND s.resource = ? AND s.namespace = ? AND s.name = ?",
	[ST_INSERT] = "INSERT INTO log (grp, resource, namespace, name, id, prev, create_rev, "
		      "deleted, head, body, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
		      "?10, checksum(?5, ?6, ?7, ?8, ?1, ?2, ?3, ?4, ?9, ?10))",
	[ST_STATE] = "INSERT INTO state (grp, resource, namespace, name, id, deleted) "
		     "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET id = excluded.id, "
		     "deleted = excluded.deleted",
	[ST_REPLAY_STATE] = "SELECT " COLUMNS "FROM log l WHERE l.deleted = 0 AND l.id < ?1 AND "
			    "l.id IN (SELECT prev FROM log WHERE id >= ?1) ORDER BY l.id",
	[ST_REPLAY] = "SELECT " COLUMNS "FROM log l WHERE l.id >= ? ORDER BY l.id",
	[ST_COMPACT_OLD] = "DELETE FROM log WHERE id IN (SELECT prev FROM log WHERE id >= ? AND "
			   "id < ?)",
	[ST_COMPACT_STATE] = "DELETE FROM state WHERE deleted = 1 AND id >= ?1 AND id < ?2",
	[ST_COMPACT_TOMBSTONES] = "DELETE FROM log WHERE deleted = 1 AND id >= ? AND id < ?",
	[ST_META_GET] = "SELECT value FROM meta WHERE name = ?",
	[ST_META_SET] = "INSERT INTO meta (name, value, sum) VALUES (?1, ?2, checksum(?1, ?2)) "
			"ON CONFLICT DO UPDATE SET value = excluded.value, sum = excluded.sum",
};

typedef struct SqliteBackend {
	Backend backend;
	char *dir, *path;
	int lock_fd;
	sqlite3 *db; /* NULL = broken: load() opens it again */
	sqlite3_stmt *statements[_ST_MAX];
	const GroupResource *last_gr; /* of the row before: rows of a kind come together */
	int64_t rev, compacted;
	bool low_space; /* the ballast is given up: no creates */
} SqliteBackend;

static SqliteBackend *sqlite_of(Backend *b)
{
	return CONTAINER_OF(b, SqliteBackend, backend);
}

/* ---- connection ---- */

static void db_close(SqliteBackend *s)
{
	for (size_t i = 0; i < _ST_MAX; i++) {
		sqlite3_finalize(s->statements[i]);
		s->statements[i] = NULL;
	}
	if (s->db)
		sqlite3_close(s->db);
	s->db = NULL;
}

static int check_open(SqliteBackend *s, Error *err)
{
	if (!s->db)
		return error_set(err, ERR_UNAVAILABLE, "store %s is closed after a failed commit",
				 s->path);
	return 0;
}

static int fail(SqliteBackend *s, int result, const char *what, Error *err)
{
	return sqlite_error(err, s->db, result, s->path, what);
}

/* The statement, ready to be bound. */
static int use(SqliteBackend *s, Statement which, sqlite3_stmt **ret, Error *err)
{
	int result = SQLITE_OK;

	if (!s->statements[which])
		result = sqlite3_prepare_v3(s->db, statement_sql[which], -1,
					    SQLITE_PREPARE_PERSISTENT, &s->statements[which], NULL);
	if (result != SQLITE_OK)
		return fail(s, result, "prepare", err);
	*ret = s->statements[which];
	return 0;
}

/* Runs a statement without rows. */
static int run(SqliteBackend *s, sqlite3_stmt *st, const char *what, Error *err)
{
	int result = sqlite3_step(st), rc = 0;

	if (result != SQLITE_DONE && result != SQLITE_ROW)
		rc = fail(s, result, what, err);
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return rc;
}

static int run_simple(SqliteBackend *s, Statement which, Error *err)
{
	sqlite3_stmt *st;
	int rc = use(s, which, &st, err);

	return rc < 0 ? rc : run(s, st, statement_sql[which], err);
}

static void bind_text(sqlite3_stmt *st, int i, const char *text)
{
	sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
}

static void bind_key(sqlite3_stmt *st, const Key *key)
{
	bind_text(st, 1, key->gr->group);
	bind_text(st, 2, key->gr->resource);
	bind_text(st, 3, key->namespace);
	bind_text(st, 4, key->name);
}

/* ---- meta ---- */

static int sqlite_meta_get(Backend *self, const char *name, char **ret, Error *err)
{
	SqliteBackend *s = sqlite_of(self);
	sqlite3_stmt *st;
	int result, rc = check_open(s, err);

	if (rc < 0)
		return rc;
	rc = use(s, ST_META_GET, &st, err);
	if (rc < 0)
		return rc;
	bind_text(st, 1, name);
	result = sqlite3_step(st);
	if (result == SQLITE_ROW)
		*ret = xstrdup((const char *)sqlite3_column_text(st, 0));
	else if (result == SQLITE_DONE)
		rc = error_set(err, ERR_NOT_FOUND, "no value %s", name);
	else
		rc = fail(s, result, "read meta", err);
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return rc;
}

static int sqlite_meta_set(Backend *self, const char *name, const char *value, Error *err)
{
	SqliteBackend *s = sqlite_of(self);
	sqlite3_stmt *st;
	int rc = check_open(s, err);

	if (rc < 0)
		return rc;
	rc = use(s, ST_META_SET, &st, err);
	if (rc < 0)
		return rc;
	bind_text(st, 1, name);
	bind_text(st, 2, value);
	return run(s, st, "write meta", err);
}

static int meta_set_rev(SqliteBackend *s, const char *name, int64_t rev, Error *err)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)rev);
	return sqlite_meta_set(&s->backend, name, text, err);
}

static int meta_get_rev(SqliteBackend *s, const char *name, int64_t *ret, Error *err)
{
	_cleanup_(xfreep) char *text = NULL;
	int rc = sqlite_meta_get(&s->backend, name, &text, err);

	if (rc < 0)
		return rc;
	*ret = strtoll(text, NULL, 10);
	return 0;
}

/* ---- reading ---- */

static int record_read(SqliteBackend *s, sqlite3_stmt *st, Record *ret, Error *err)
{
	const char *group = (const char *)sqlite3_column_text(st, 3);
	const char *resource = (const char *)sqlite3_column_text(st, 4);
	const char *namespace = (const char *)sqlite3_column_text(st, 5);
	const char *name = (const char *)sqlite3_column_text(st, 6);

	/* key_make() aborts on what is too long: a damaged file is no reason to. */
	if (!group || !resource || !namespace || !name || strlen(namespace) >= KEY_NAMESPACE_MAX ||
	    strlen(name) >= KEY_NAME_MAX)
		return error_set(err, ERR_INTERNAL,
				 "damaged record in %s: run PRAGMA "
				 "integrity_check, restore a backup",
				 s->path);
	if (!s->last_gr || !streq(s->last_gr->resource, resource) ||
	    !streq(s->last_gr->group, group))
		s->last_gr = group_resource(group, resource);
	*ret = (Record){
		.key = key_make(s->last_gr, namespace, name),
		.rev = REV(sqlite3_column_int64(st, 0)),
		.create_rev = sqlite3_column_int64(st, 1),
		.deleted = sqlite3_column_int(st, 2) != 0,
		.head = sqlite3_column_blob(st, 7),
		.head_len = (size_t)sqlite3_column_bytes(st, 7),
		.body = sqlite3_column_blob(st, 8),
		.body_len = (size_t)sqlite3_column_bytes(st, 8),
	};
	return 0;
}

/* Calls fn for each row of a bound statement. */
static int records_read(SqliteBackend *s, sqlite3_stmt *st, RecordFn fn, void *arg, Error *err)
{
	int result = SQLITE_DONE, rc = 0;
	Record r;

	while (rc >= 0 && (result = sqlite3_step(st)) == SQLITE_ROW) {
		rc = record_read(s, st, &r, err);
		if (rc == 0)
			rc = fn(arg, &r);
	}
	if (rc >= 0 && result != SQLITE_DONE)
		rc = fail(s, result, "read", err);
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return rc < 0 ? rc : 0;
}

static int db_open(SqliteBackend *s, Error *err)
{
	SqliteOrigin origin = { 0 };
	int64_t rev = 0, compacted = 0;
	int rc;

	rc = FAIL_POINT_AROUND(
		"store.open",
		sqlite_open(s->path, sqlite_schema, sqlite_schema_version, &s->db, &origin, err));
	if (rc < 0)
		return rc;
	rc = meta_get_rev(s, "head", &rev, err);
	if (rc == 0)
		rc = meta_get_rev(s, "compacted", &compacted, err);
	if (rc < 0) {
		db_close(s);
		return rc;
	}
	s->rev = rev;
	s->compacted = compacted;
	s->backend.fresh = origin.fresh;
	s->backend.torn = origin.torn;
	s->low_space = FAIL_POINT_AROUND("store.ballast", ballast_make(s->dir, NULL)) < 0;
	return 0;
}

static int sqlite_load(Backend *self, RecordFn fn, void *arg, int64_t *ret_rev,
		       int64_t *ret_compacted, Error *err)
{
	SqliteBackend *s = sqlite_of(self);
	sqlite3_stmt *st;
	int rc = 0;

	if (!s->db)
		rc = db_open(s, err);
	if (rc == 0 && fn) {
		rc = use(s, ST_LOAD, &st, err);
		if (rc == 0)
			rc = records_read(s, st, fn, arg, err);
	}
	if (rc < 0)
		return rc;
	*ret_rev = s->rev;
	*ret_compacted = s->compacted;
	return 0;
}

static int sqlite_replay(Backend *self, int64_t from, RecordFn fn, void *arg, Error *err)
{
	static const Statement parts[] = { ST_REPLAY_STATE, ST_REPLAY };
	SqliteBackend *s = sqlite_of(self);
	sqlite3_stmt *st;
	int rc = check_open(s, err);

	if (rc < 0)
		return rc;
	if (from < s->compacted)
		return error_set(err, ERR_GONE, "too old resource version: %lld (%lld)",
				 (long long)from, (long long)s->compacted);
	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(parts); i++) {
		rc = use(s, parts[i], &st, err);
		if (rc < 0)
			break;
		sqlite3_bind_int64(st, 1, ID(from + 1));
		rc = records_read(s, st, fn, arg, err);
	}
	return rc;
}

/* ---- writing ---- */

typedef struct Head {
	int64_t id, create_rev;
	bool live;
} Head;

static int look(SqliteBackend *s, const Key *key, Head *ret, Error *err)
{
	sqlite3_stmt *st;
	int result, rc = use(s, ST_LOOK, &st, err);

	if (rc < 0)
		return rc;
	*ret = (Head){ 0 };
	bind_key(st, key);
	result = sqlite3_step(st);
	if (result == SQLITE_ROW)
		*ret = (Head){ .id = sqlite3_column_int64(st, 0),
			       .create_rev = sqlite3_column_int64(st, 1),
			       .live = sqlite3_column_int(st, 2) == 0 };
	else if (result != SQLITE_DONE)
		rc = fail(s, result, "look up", err);
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return rc;
}

/* 0 = all hold, 1 = one does not (t->rc and t->failed say it), < 0 = the batch fails. */
static int check_preconditions(SqliteBackend *s, BackendTxn *t, Error *err)
{
	for (size_t i = 0; i < t->n_preconditions; i++) {
		const Precondition *p = &t->preconditions[i];
		Head head;
		int rc = look(s, &p->key, &head, err);

		if (rc < 0)
			return rc;
		if ((p->rev == -1 && head.live) || (p->rev == 0 && !head.live) ||
		    (p->rev > 0 && head.live && REV(head.id) == p->rev))
			continue;
		t->failed = i;
		t->rc = -ERR_CONFLICT;
		return 1;
	}
	return 0;
}

static int insert(SqliteBackend *s, const Record *r, size_t position, int64_t prev, Error *err)
{
	sqlite3_stmt *st;
	int rc = use(s, ST_INSERT, &st, err);

	if (rc < 0)
		return rc;
	bind_key(st, &r->key);
	sqlite3_bind_int64(st, 5, ID(r->rev) + (int64_t)position);
	sqlite3_bind_int64(st, 6, prev);
	sqlite3_bind_int64(st, 7, r->create_rev);
	sqlite3_bind_int(st, 8, r->deleted);
	sqlite3_bind_blob64(st, 9, r->head, r->head_len, SQLITE_STATIC);
	sqlite3_bind_blob64(st, 10, r->body ? r->body : "", r->body_len, SQLITE_STATIC);
	rc = run(s, st, "append", err);
	if (rc < 0)
		return rc;
	rc = use(s, ST_STATE, &st, err);
	if (rc < 0)
		return rc;
	bind_key(st, &r->key);
	sqlite3_bind_int64(st, 5, ID(r->rev) + (int64_t)position);
	sqlite3_bind_int(st, 6, r->deleted);
	return run(s, st, "append", err);
}

/* Something is deleted by it, or on its way there. With it goes what has to be noted besides. */
static bool gives_up(const BackendTxn *t)
{
	for (size_t i = 0; i < t->n_records; i++)
		if (t->records[i].deleted || t->records[i].leaving)
			return true;
	return false;
}

static int append_txn(SqliteBackend *s, BackendTxn *t, int64_t rev,
		      void (*prepare)(void *arg, BackendTxn *txn), void *arg, Error *err)
{
	int64_t prev[TXN_OPS_MAX];
	bool creates = false;
	Head head;
	int rc;

	assert(t->n_records <= TXN_OPS_MAX);
	for (size_t i = 0; i < t->n_records; i++) {
		Record *r = &t->records[i];

		rc = look(s, &r->key, &head, err);
		if (rc < 0)
			return rc;
		prev[i] = head.id;
		r->rev = rev;
		r->create_rev = head.live ? head.create_rev : rev;
		creates |= !head.live;
	}
	if (s->low_space && !gives_up(t) && (creates || !space_for_changes(s->dir))) {
		t->rc = error_set(&t->err, ERR_EXHAUSTED,
				  "no space left on the file system of %s: delete something; "
				  "creating is possible again once there is room",
				  s->path);
		return 1;
	}
	t->rev = rev;
	if (prepare)
		prepare(arg, t);
	for (size_t i = 0; i < t->n_records; i++) {
		rc = FAIL_POINT_AROUND("store.append-record",
				       insert(s, &t->records[i], i, prev[i], err));
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int append_all(SqliteBackend *s, BackendTxn *txns, size_t n,
		      void (*prepare)(void *arg, BackendTxn *txn), void *arg, int64_t *rev,
		      Error *err)
{
	int rc = run_simple(s, ST_BEGIN, err);

	for (size_t i = 0; rc >= 0 && i < n; i++) {
		BackendTxn *t = &txns[i];

		t->rc = 0;
		rc = check_preconditions(s, t, err);
		if (rc == 0)
			rc = append_txn(s, t, *rev + 1, prepare, arg, err);
		if (rc == 0)
			(*rev)++;
	}
	if (rc >= 0)
		rc = FAIL_POINT_AROUND("store.append-head", meta_set_rev(s, "head", *rev, err));
	if (rc >= 0)
		rc = FAIL_POINT_AROUND("store.commit", run_simple(s, ST_COMMIT, err));
	return rc;
}

static int sqlite_append(Backend *self, BackendTxn *txns, size_t n,
			 void (*prepare)(void *arg, BackendTxn *txn), void *arg, Error *err)
{
	_cleanup_(error_done) Error cause = ERROR_INIT;
	SqliteBackend *s = sqlite_of(self);
	int64_t rev = s->rev;
	int rc = check_open(s, err);

	if (rc < 0)
		return rc;
	if (s->low_space)
		s->low_space = ballast_make(s->dir, NULL) < 0;
	rc = append_all(s, txns, n, prepare, arg, &rev, &cause);
	if (rc >= 0) {
		s->rev = rev;
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		txns[i].rc = rc;
	if (rc == -ERR_EXHAUSTED)
		ballast_drop(s->dir);
	db_close(s);
	return error_move(err, &cause);
}

static int compact_range(SqliteBackend *s, Statement which, int64_t rev, Error *err)
{
	sqlite3_stmt *st;
	int rc = use(s, which, &st, err);

	if (rc < 0)
		return rc;
	/* What came before s->compacted was dropped by the compaction to there. */
	sqlite3_bind_int64(st, 1, ID(s->compacted + 1));
	sqlite3_bind_int64(st, 2, ID(rev + 1));
	return run(s, st, "compact", err);
}

/* A failed compaction is rolled back and tried again by the next one; a failed commit is not. */
static int write_compaction(SqliteBackend *s, int64_t rev, int64_t head, Error *err)
{
	int rc = run_simple(s, ST_BEGIN, err);

	if (rc == 0)
		rc = compact_range(s, ST_COMPACT_OLD, MIN(rev, s->rev), err);
	if (rc == 0)
		rc = FAIL_POINT_AROUND("store.compact-state",
				       compact_range(s, ST_COMPACT_STATE, MIN(rev, s->rev), err));
	if (rc == 0)
		rc = compact_range(s, ST_COMPACT_TOMBSTONES, MIN(rev, s->rev), err);
	if (rc == 0)
		rc = meta_set_rev(s, "compacted", rev, err);
	if (rc == 0 && head > s->rev)
		rc = meta_set_rev(s, "head", head, err);
	if (rc == 0)
		rc = FAIL_POINT_AROUND("store.compact-commit", run_simple(s, ST_COMMIT, err));
	if (rc < 0) {
		if (rc == -ERR_EXHAUSTED)
			ballast_drop(s->dir);
		db_close(s);
		return rc;
	}
	s->compacted = rev;
	s->rev = MAX(s->rev, head);
	return 0;
}

static int sqlite_compact(Backend *self, int64_t rev, Error *err)
{
	SqliteBackend *s = sqlite_of(self);
	int rc = check_open(s, err);

	if (rc < 0)
		return rc;
	if (rev > s->rev)
		return error_set(err, ERR_INVALID, "compact to %lld: the head is %lld",
				 (long long)rev, (long long)s->rev);
	return rev <= s->compacted ? 0 : write_compaction(s, rev, s->rev, err);
}

static int sqlite_advance(Backend *self, int64_t rev, Error *err)
{
	SqliteBackend *s = sqlite_of(self);
	int rc = check_open(s, err);

	if (rc < 0)
		return rc;
	return rev <= s->rev ? 0 : write_compaction(s, rev, rev, err);
}

static Backend *sqlite_free(Backend *self)
{
	SqliteBackend *s = sqlite_of(self);

	db_close(s);
	fd_close(s->lock_fd);
	free(s->dir);
	free(s->path);
	free(s);
	return NULL;
}

static const BackendOps sqlite_ops = {
	.name = "sqlite",
	.load = sqlite_load,
	.append = sqlite_append,
	.replay = sqlite_replay,
	.compact = sqlite_compact,
	.advance = sqlite_advance,
	.meta_get = sqlite_meta_get,
	.meta_set = sqlite_meta_set,
	.free = sqlite_free,
};

int sqlite_backend_open(const char *dir, Backend **ret, Error *err)
{
	SqliteBackend *s;
	int rc, fd = store_lock(dir, err);

	if (fd < 0)
		return fd;
	s = xnew0(SqliteBackend, 1);
	s->backend.ops = &sqlite_ops;
	s->dir = xstrdup(dir);
	s->path = xasprintf("%s/store.db", dir);
	s->lock_fd = fd;
	rc = db_open(s, err);
	if (rc < 0) {
		sqlite_free(&s->backend);
		return rc;
	}
	*ret = &s->backend;
	return 0;
}
