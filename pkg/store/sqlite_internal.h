/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the SQLite backend share: opening (lock, schema, ballast) apart from the log
 * itself. One thread at a time.
 */
#pragma once

#include <sqlite3.h>

#include "base/error.h"

/* "what: text of SQLite (path)" with the code that the result stands for. */
int sqlite_error(Error *err, sqlite3 *db, int result, const char *path, const char *what);
int sqlite_exec(sqlite3 *db, const char *path, const char *sql, Error *err);

/* Says that the file is not what was written, and what to do about it: -ERR_INTERNAL. */
int sqlite_damaged(Error *err, const char *path, const char *what);

/* The columns of `log` that a row's checksum is of. */
#define SQLITE_SUMMED "id, prev, create_rev, deleted, grp, resource, namespace, name, head, body"
int sqlite_add_checksum(sqlite3 *db, const char *path, Error *err); /* SQL: checksum(VALUE...) */
/* Everything in it is what was written, and complete; or -ERR_INTERNAL. Reads all of it. */
int sqlite_check_content(sqlite3 *db, const char *path, Error *err);
/*
 * Of the write-ahead log beside the file, before SQLite opens it. *ret_torn: it ends in something
 * that is not whole, which a power cut leaves of what nobody was told. More than that, a log whose
 * header or middle is broken, is -ERR_INTERNAL.
 */
int sqlite_check_wal(const char *path, bool db_is_empty, bool *ret_torn, Error *err);

/* Takes DIR/store.lock; the descriptor holds it. -ERR_CONFLICT names the holder. */
int store_lock(const char *dir, Error *err);

/*
 * Opens DIR/store.db with our settings and brings its schema forward through `steps` (one SQL text
 * per version, the first makes version 1). Before a migration of an existing file a copy is made:
 * store.db.v<N>.bak.
 */
typedef struct SqliteOrigin {
	bool fresh; /* there was no file */
	bool torn;  /* sqlite_check_wal() */
} SqliteOrigin;

int sqlite_open(const char *path, const char *const *steps, size_t n_steps, sqlite3 **ret,
		SqliteOrigin *ret_origin, Error *err);
extern const char *const sqlite_schema[];
extern const size_t sqlite_schema_version;

/*
 * Ballast: a file of no content that is given up when the disk is full, so that deletes still work.
 * Creates are refused until the space to make it again is there, and other changes once half of it
 * is used.
 */
int ballast_make(const char *dir, Error *err); /* 0 = there; -ERR_EXHAUSTED = no space for it */
void ballast_drop(const char *dir);
bool space_for_changes(const char *dir); /* while there is none of it: the rest is for deletes */
