/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the SQLite store: lock, settings, schema and its migrations, ballast. See
 * sqlite_internal.h.
 *
 * The settings are for one process and one connection: EXCLUSIVE locking keeps the WAL's index in
 * memory (no -shm file, so a full disk cannot raise SIGBUS in it), and WAL with synchronous=FULL
 * loses no acknowledged commit in a power cut.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/failpoint.h"
#include "base/fs.h"
#include "base/memory.h"
#include "store/sqlite_internal.h"

#define APPLICATION_ID 0x53466442 /* "SFdB", in the file's header */
#define BALLAST_BYTES  (2u * 1024 * 1024)

/* Offsets in the database header: https://sqlite.org/fileformat.html, "The Database Header". */
#define HEADER_SIZE           100
#define HEADER_USER_VERSION   60
#define HEADER_APPLICATION_ID 68

/*
 * `log`: every record since the last compaction and the state of every key at it. id = revision *
 * 128 + position in the Txn (a Txn has at most 128 operations), so that ids are in revision order
 * and need no second index. prev: id of the key's record before, 0 if none. `state`: the newest
 * record of every key, tombstones included until compacted.
 */
static const char schema_1[] =
	"CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE log (id INTEGER PRIMARY KEY, prev INTEGER NOT NULL, create_rev INTEGER NOT "
	"NULL, deleted INTEGER NOT NULL, grp TEXT NOT NULL, resource TEXT NOT NULL, namespace TEXT "
	"NOT NULL, name TEXT NOT NULL, head BLOB, body BLOB NOT NULL) STRICT;"
	"CREATE TABLE state (grp TEXT NOT NULL, resource TEXT NOT NULL, namespace TEXT NOT NULL, "
	"name TEXT NOT NULL, id INTEGER NOT NULL, deleted INTEGER NOT NULL, "
	"PRIMARY KEY (grp, resource, namespace, name)) STRICT, WITHOUT ROWID;"
	"INSERT INTO meta VALUES ('head', '0'), ('compacted', '0');";

/* A checksum in each row, see sqlite_check.c. */
static const char schema_2[] = "ALTER TABLE log ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;"
			       "ALTER TABLE meta ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;"
			       "UPDATE log SET sum = checksum(" SQLITE_SUMMED ");"
			       "UPDATE meta SET sum = checksum(name, value);";

const char *const sqlite_schema[] = { schema_1, schema_2 };
const size_t sqlite_schema_version = ARRAY_SIZE(sqlite_schema);

static ErrorCode code_of(int result)
{
	switch (result & 0xff) {
	case SQLITE_FULL:
		return ERR_EXHAUSTED;
	case SQLITE_IOERR:
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
		return ERR_UNAVAILABLE;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return ERR_FORBIDDEN;
	default:
		return ERR_INTERNAL; /* CORRUPT, NOTADB, and bugs */
	}
}

int sqlite_error(Error *err, sqlite3 *db, int result, const char *path, const char *what)
{
	int os_errno = db ? sqlite3_system_errno(db) : 0;
	ErrorCode code = code_of(result);

	/* A write that found no space can come as an I/O error: only the errno tells. */
	if (os_errno == ENOSPC || os_errno == EDQUOT)
		code = ERR_EXHAUSTED;
	if ((result & 0xff) == SQLITE_CORRUPT || (result & 0xff) == SQLITE_NOTADB)
		return sqlite_damaged(err, path, db ? sqlite3_errmsg(db) : "it is no database");
	return error_set(err, code, "%s: %s (%s)", what, db ? sqlite3_errmsg(db) : "out of memory",
			 path);
}

int sqlite_exec(sqlite3 *db, const char *path, const char *sql, Error *err)
{
	int result = sqlite3_exec(db, sql, NULL, NULL, NULL);

	if (result != SQLITE_OK)
		return sqlite_error(err, db, result, path, "store");
	return 0;
}

/* ---- lock ---- */

/*
 * A lock of the process, not of the descriptor: a child that was cloned and has not come to its
 * exec yet has the descriptor too, and would hold the store after our death. One store of a
 * directory in a process, for closing any descriptor of the file gives the lock back.
 */
int store_lock(const char *dir, Error *err)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/store.lock", dir);
	_cleanup_(fd_closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET }, holder = whole;
	char pid[32];
	int n, rc;

	if (fd < 0)
		return error_set_errno(err, errno, "open %s", path);
	if (fcntl(fd, F_SETLK, &whole) < 0) {
		if (errno != EAGAIN && errno != EACCES)
			return error_set_errno(err, errno, "lock %s", path);
		if (fcntl(fd, F_GETLK, &holder) < 0 || holder.l_type == F_UNLCK)
			holder.l_pid = 0; /* it has just gone, or lives on another host */
		return error_set(err, ERR_CONFLICT,
				 "store %s is in use by process %ld: only one sfd may run on it",
				 dir, (long)holder.l_pid);
	}
	n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	/* On a full disk the lock counts, the PID in it is only for people. */
	if (ftruncate(fd, 0) == 0) {
		rc = fs_write_all(fd, pid, (size_t)n, NULL);
		(void)rc;
	}
	return TAKE_FD(fd);
}

/* ---- ballast ---- */

int ballast_make(const char *dir, Error *err)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/store.ballast", dir);
	_cleanup_(fd_closep) int fd = -1;
	struct statvfs vfs;
	struct stat st;

	if (stat(path, &st) == 0 && st.st_size == BALLAST_BYTES)
		return 0;
	/* More than it takes, or it would take the very space that was just made by deleting. */
	if (statvfs(dir, &vfs) == 0 && vfs.f_bavail * vfs.f_frsize < 4ull * BALLAST_BYTES)
		return error_set(err, ERR_EXHAUSTED, "no space left on the file system of %s", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_set_errno(err, errno, "create %s", path);
	errno = posix_fallocate(fd, 0, BALLAST_BYTES);
	if (errno == 0)
		return 0;
	unlink(path);
	return error_set_errno(err, errno, "reserve space in %s", path);
}

bool space_for_changes(const char *dir)
{
	struct statvfs vfs;

	return statvfs(dir, &vfs) == 0 && vfs.f_bavail * vfs.f_frsize >= BALLAST_BYTES / 2;
}

void ballast_drop(const char *dir)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/store.ballast", dir);

	unlink(path);
}

/* ---- schema ---- */

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int refuse_newer(const char *path, unsigned found, size_t known, Error *err)
{
	return error_set(err, ERR_UNSUPPORTED,
			 "%s was written by a newer sfd (schema %u, this one knows up to %zu): "
			 "install that version again or restore a backup; the file was not touched",
			 path, found, known);
}

/*
 * Looks at the header before SQLite opens the file: opening a WAL database, even to read, can write
 * to it. A file that does not exist is made, so that it has its mode from the start.
 */
static int check_header(const char *path, size_t known, SqliteOrigin *origin, Error *err)
{
	_cleanup_(fd_closep) int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	uint8_t h[HEADER_SIZE];
	ssize_t n;
	int rc;

	origin->fresh = fd < 0 && errno == ENOENT;
	if (origin->fresh) {
		rc = sqlite_check_wal(path, true, &origin->torn, err);
		if (rc < 0)
			return rc;
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	}
	if (fd < 0)
		return error_set_errno(err, errno, "open %s", path);
	n = pread(fd, h, sizeof(h), 0);
	if (n < 0)
		return error_set_errno(err, errno, "read %s", path);
	if (n == 0 && fchmod(fd, 0600) < 0)
		return error_set_errno(err, errno, "chmod %s", path);
	if (n == 0)
		return sqlite_check_wal(path, true, &origin->torn, err);
	if (n < HEADER_SIZE || memcmp(h, "SQLite format 3", 16) != 0)
		return sqlite_damaged(err, path, "it is no database");
	/* Before its first checkpoint a new file still says 0. */
	if (be32(h + HEADER_APPLICATION_ID) != APPLICATION_ID &&
	    (be32(h + HEADER_APPLICATION_ID) || be32(h + HEADER_USER_VERSION)))
		return error_set(err, ERR_UNSUPPORTED,
				 "%s is a database of another program; it was not touched: "
				 "restore a backup of the store",
				 path);
	if (be32(h + HEADER_USER_VERSION) > known)
		return refuse_newer(path, be32(h + HEADER_USER_VERSION), known, err);
	return sqlite_check_wal(path, false, &origin->torn, err);
}

static int user_version(sqlite3 *db, const char *path, unsigned *ret, Error *err)
{
	sqlite3_stmt *st = NULL;
	int result = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &st, NULL);

	if (result == SQLITE_OK)
		result = sqlite3_step(st);
	if (result == SQLITE_ROW)
		*ret = (unsigned)sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	return result == SQLITE_ROW ? 0 : sqlite_error(err, db, result, path, "read schema");
}

static int backup(sqlite3 *db, const char *path, unsigned version, Error *err)
{
	_cleanup_(xfreep) char *to = xasprintf("%s.v%u.bak", path, version);
	_cleanup_(xfreep) char *tmp = xasprintf("%s.tmp", to);
	_cleanup_(fd_closep) int fd = -1;
	char *sql;
	int rc;

	/* SQLite copies into an empty file as into none; ours has the right mode. */
	fd = open(tmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_set_errno(err, errno, "create %s", tmp);
	sql = sqlite3_mprintf("VACUUM INTO %Q", tmp);
	rc = FAIL_POINT_AROUND("store.backup-copy", sqlite_exec(db, path, sql, err));
	sqlite3_free(sql);
	if (rc < 0)
		return error_wrap_rc(err, rc, "back up to %s", to);
	if (fsync(fd) < 0 || FAIL_POINT_AROUND("store.backup-rename", rename(tmp, to)) < 0)
		return error_set_errno(err, errno, "back up to %s", to);
	return 0;
}

static int migrate(sqlite3 *db, const char *path, const char *const *steps, size_t n_steps,
		   Error *err)
{
	unsigned version = 0;
	char sql[64];
	int rc = user_version(db, path, &version, err);

	if (rc < 0 || version == n_steps)
		return rc;
	if (version > n_steps)
		return refuse_newer(path, version, n_steps, err);
	if (version > 0) {
		rc = backup(db, path, version, err);
		if (rc < 0)
			return rc;
	}
	rc = sqlite_exec(db, path, "BEGIN IMMEDIATE", err);
	for (size_t i = version; rc == 0 && i < n_steps; i++)
		rc = FAIL_POINT_AROUND("store.migrate-step", sqlite_exec(db, path, steps[i], err));
	snprintf(sql, sizeof(sql), "PRAGMA application_id = %d", APPLICATION_ID);
	if (rc == 0)
		rc = sqlite_exec(db, path, sql, err);
	snprintf(sql, sizeof(sql), "PRAGMA user_version = %zu", n_steps);
	if (rc == 0)
		rc = sqlite_exec(db, path, sql, err);
	if (rc == 0)
		rc = FAIL_POINT_AROUND("store.migrate-commit",
				       sqlite_exec(db, path, "COMMIT", err));
	if (rc < 0)
		return error_wrap_rc(err, rc, "migrate schema %u to %zu", version, n_steps);
	/* The version has to stand in the file's own header, where check_header() reads it. */
	return FAIL_POINT_AROUND("store.migrate-checkpoint",
				 sqlite_exec(db, path, "PRAGMA wal_checkpoint(TRUNCATE)", err));
}

/*
 * The whole log goes into the database before anything is built on it, and a new one is begun. What
 * was read may be in the kernel's memory only: where an fsync had failed before the process ended,
 * the next one would report success and the disk still not have it, nor then anything behind it.
 */
static int start_new_log(sqlite3 *db, const char *path, Error *err)
{
	_cleanup_(error_done) Error cause = ERROR_INIT;
	int rc = sqlite_exec(db, path, "PRAGMA wal_checkpoint(TRUNCATE)", &cause);

	/* Without room it has to wait; nothing else can be written then either. */
	if (rc == -ERR_EXHAUSTED)
		return 0;
	return rc < 0 ? error_move(err, &cause) : 0;
}

static int connect(const char *path, sqlite3 **ret, Error *err)
{
	int result = sqlite3_open_v2(path, ret,
				     SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
					     SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOFOLLOW,
				     NULL);
	int rc = result == SQLITE_OK ? 0 : sqlite_error(err, *ret, result, path, "open store");

	if (rc == 0)
		rc = sqlite_add_checksum(*ret, path, err);
	if (rc == 0)
		rc = sqlite_exec(*ret, path,
				 "PRAGMA locking_mode = EXCLUSIVE;"
				 "PRAGMA journal_mode = WAL;"
				 "PRAGMA synchronous = FULL;"
				 "PRAGMA journal_size_limit = 16777216;"
				 "PRAGMA cache_size = -1024;"
				 "PRAGMA temp_store = MEMORY;"
				 "PRAGMA trusted_schema = OFF;",
				 err);
	return rc;
}

int sqlite_open(const char *path, const char *const *steps, size_t n_steps, sqlite3 **ret,
		SqliteOrigin *ret_origin, Error *err)
{
	SqliteOrigin origin = { 0 };
	sqlite3 *db = NULL;
	int rc = check_header(path, n_steps, &origin, err);

	if (rc < 0)
		return rc;
	rc = connect(path, &db, err);
	if (rc == 0)
		rc = start_new_log(db, path, err);
	if (rc == 0)
		rc = migrate(db, path, steps, n_steps, err);
	if (rc == 0)
		rc = sqlite_check_content(db, path, err);
	if (rc < 0) {
		sqlite3_close(db);
		return rc;
	}
	*ret = db;
	if (ret_origin)
		*ret_origin = origin;
	return 0;
}
