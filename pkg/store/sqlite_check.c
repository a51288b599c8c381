/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is the store's file what was written? See sqlite_internal.h. SQLite has no checksums in its
 * pages, and takes a write-ahead log with a damaged frame as one that ends there: a flipped bit
 * would be an object with another text, or none, in silence. So each row carries a checksum of
 * ours, opening looks at all of them, and at the log before SQLite does. One thread at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/memory.h"
#include "store/sqlite_internal.h"

int sqlite_damaged(Error *err, const char *path, const char *what)
{
	return error_set(
		err, ERR_INTERNAL,
		"%s is damaged: %s; restore a backup as sfd(8) says, \"RESTORING THE STORE\"", path,
		what);
}

/* ---- checksums of rows ---- */

static uint64_t sum_word(uint64_t sum, uint64_t word)
{
	/* Each step is a bijection of either input: one that differs cannot get lost. */
	sum = (sum ^ word) * 0x9e3779b97f4a7c15;
	return sum ^ sum >> 32;
}

static uint64_t sum_bytes(uint64_t sum, const uint8_t *bytes, size_t len)
{
	uint64_t word;

	sum = sum_word(sum, len);
	for (; len >= sizeof(word); bytes += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, bytes, sizeof(word));
		sum = sum_word(sum, word);
	}
	if (len == 0)
		return sum;
	word = 0;
	memcpy(&word, bytes, len);
	return sum_word(sum, word);
}

/* SQL: checksum(VALUE...), never 0. */
static void checksum(sqlite3_context *context, int n, sqlite3_value **values)
{
	uint64_t sum = 0;

	for (int i = 0; i < n; i++) {
		if (sqlite3_value_type(values[i]) == SQLITE_INTEGER) {
			sum = sum_word(sum, (uint64_t)sqlite3_value_int64(values[i]));
		} else {
			const void *bytes = sqlite3_value_blob(values[i]);

			sum = sum_bytes(sum, bytes, (size_t)sqlite3_value_bytes(values[i]));
		}
	}
	sqlite3_result_int64(context, sum ? (int64_t)sum : 1);
}

int sqlite_add_checksum(sqlite3 *db, const char *path, Error *err)
{
	int result = sqlite3_create_function(db, "checksum", -1, SQLITE_UTF8 | SQLITE_DETERMINISTIC,
					     NULL, checksum, NULL, NULL);

	return result == SQLITE_OK ? 0 : sqlite_error(err, db, result, path, "add checksums");
}

/* ---- content ---- */

typedef struct Check {
	const char *sql; /* gives one row: "ok", or what is wrong */
} Check;

static const Check checks[] = {
	{ "PRAGMA quick_check(1)" },
	{ "SELECT iif(count(*) = 2, 'ok', 'its head is missing') FROM meta "
	  "WHERE name IN ('head', 'compacted')" },
	{ "SELECT iif(count(*) = 0, 'ok', 'the value ' || name || ' is not what was written') "
	  "FROM meta WHERE sum IS NOT checksum(name, value)" },
	{ "SELECT iif(count(*) = 0, 'ok', 'record ' || id || ' is not what was written') "
	  "FROM log WHERE sum IS NOT checksum(" SQLITE_SUMMED ")" },
	{ "SELECT iif(count(*) = 0, 'ok', 'the state of ' || s.name || ' and its record differ') "
	  "FROM state s LEFT JOIN log l ON l.id = s.id WHERE l.id IS NULL OR "
	  "l.deleted IS NOT s.deleted OR l.name IS NOT s.name OR l.namespace IS NOT s.namespace OR "
	  "l.resource IS NOT s.resource OR l.grp IS NOT s.grp" },
	{ "SELECT iif(count(*) = 0, 'ok', 'record ' || l.id || ' belongs to nothing') FROM log l "
	  "LEFT JOIN state s ON s.grp = l.grp AND s.resource = l.resource AND "
	  "s.namespace = l.namespace AND s.name = l.name WHERE s.id IS NULL OR s.id < l.id" },
	{ "SELECT iif(count(*) = 0 OR max(id) / 128 <= (SELECT CAST(value AS INTEGER) FROM meta "
	  "WHERE name = 'head'), 'ok', 'it has records behind its head') FROM log" },
};

static int check_one(sqlite3 *db, const char *path, const Check *check, Error *err)
{
	sqlite3_stmt *st = NULL;
	const char *said;
	int rc = 0, result = sqlite3_prepare_v2(db, check->sql, -1, &st, NULL);

	if (result == SQLITE_OK)
		result = sqlite3_step(st);
	if (result == SQLITE_ROW) {
		said = (const char *)sqlite3_column_text(st, 0);
		if (!said || !streq(said, "ok"))
			rc = sqlite_damaged(err, path, said ? said : "it cannot be checked");
	} else {
		rc = sqlite_error(err, db, result, path, "check");
	}
	sqlite3_finalize(st);
	return rc;
}

int sqlite_check_content(sqlite3 *db, const char *path, Error *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(checks); i++)
		rc = check_one(db, path, &checks[i], err);
	return rc;
}

/* ---- write-ahead log: https://sqlite.org/fileformat2.html, "The Write-Ahead Log" ---- */

#define WAL_HEADER   32
#define FRAME_HEADER 24
#define WAL_MAGIC    0x377f0682u /* | 1: its checksums take big-endian words */

typedef struct Wal {
	int fd;
	off_t size;
	uint8_t *frame;
	size_t frame_size;
	bool big_endian;
	uint8_t salts[8];
	uint32_t sums[2];
} Wal;

static uint32_t word_at(const uint8_t *p, bool big_endian)
{
	return big_endian
		       ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
		       : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static void wal_sum(Wal *w, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i += 8) {
		w->sums[0] += word_at(p + i, w->big_endian) + w->sums[1];
		w->sums[1] += word_at(p + i + 4, w->big_endian) + w->sums[0];
	}
}

static bool wal_sum_is(const Wal *w, const uint8_t *p)
{
	return word_at(p, true) == w->sums[0] && word_at(p + 4, true) == w->sums[1];
}

/* 1 = a header that can be trusted; 0 = it cannot be. */
static int wal_read_header(Wal *w, const char *path, Error *err)
{
	uint8_t h[WAL_HEADER];
	uint32_t page_size;
	ssize_t n = pread(w->fd, h, sizeof(h), 0);

	if (n < 0)
		return error_set_errno(err, errno, "read %s", path);
	page_size = word_at(h + 8, true);
	if (n < WAL_HEADER || (word_at(h, true) & ~1u) != WAL_MAGIC || page_size < 512 ||
	    page_size > 65536)
		return 0;
	w->big_endian = word_at(h, true) & 1;
	wal_sum(w, h, 24);
	if (!wal_sum_is(w, h + 24))
		return 0;
	memcpy(w->salts, h + 16, sizeof(w->salts));
	w->frame_size = FRAME_HEADER + page_size;
	w->frame = xmalloc(w->frame_size);
	return 1;
}

/*
 * Behind the frames that hold, each commit was synced before the next began: of those that do not,
 * only the last commit may be one that never was whole. Anything of the same log behind it is proof
 * that what does not hold had been.
 */
static int wal_check_frames(Wal *w, const char *path, bool *ret_torn, Error *err)
{
	bool holds = true, lost_commit = false;

	for (off_t at = WAL_HEADER; at + (off_t)w->frame_size <= w->size;
	     at += (off_t)w->frame_size) {
		const uint8_t *f = w->frame;
		ssize_t n = pread(w->fd, w->frame, w->frame_size, at);

		if (n < 0)
			return error_set_errno(err, errno, "read %s", path);
		if ((size_t)n < w->frame_size)
			break;
		if (memcmp(f + 8, w->salts, sizeof(w->salts)) != 0) {
			holds = false;
			continue; /* of an earlier log in the same file, or damaged */
		}
		if (lost_commit)
			return sqlite_damaged(err, path, "a commit in the middle of it is broken");
		if (holds) {
			wal_sum(w, f, 8);
			wal_sum(w, f + FRAME_HEADER, w->frame_size - FRAME_HEADER);
			holds = wal_sum_is(w, f + 16);
		}
		if (!holds) {
			*ret_torn = true;
			lost_commit = word_at(f + 4, true) != 0;
		}
	}
	return 0;
}

int sqlite_check_wal(const char *path, bool db_is_empty, bool *ret_torn, Error *err)
{
	_cleanup_(xfreep) char *wal_path = xasprintf("%s-wal", path);
	_cleanup_(fd_closep) int fd = open(wal_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	Wal w = { .fd = fd };
	struct stat st;
	int rc;

	*ret_torn = false;
	if (fd < 0)
		return errno == ENOENT ? 0 : error_set_errno(err, errno, "open %s", wal_path);
	if (fstat(fd, &st) < 0)
		return error_set_errno(err, errno, "stat %s", wal_path);
	if (st.st_size == 0)
		return 0;
	if (db_is_empty) /* SQLite would delete the log, and with it all that there is */
		return sqlite_damaged(err, path, "it is empty or missing, and its log is there");
	w.size = st.st_size;
	rc = wal_read_header(&w, wal_path, err);
	/* The header is synced before the first frame is written. */
	if (rc == 0 && st.st_size > WAL_HEADER)
		return sqlite_damaged(err, wal_path, "its header is not what was written");
	if (rc <= 0)
		return rc;
	rc = wal_check_frames(&w, wal_path, ret_torn, err);
	*ret_torn |= (w.size - WAL_HEADER) % (off_t)w.frame_size != 0;
	free(w.frame);
	return rc;
}
