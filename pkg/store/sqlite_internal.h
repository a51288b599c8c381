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

/* Takes DIR/store.lock; the descriptor holds it. -ERR_CONFLICT names the holder. */
int store_lock(const char *dir, Error *err);

/*
 * Opens DIR/store.db with our settings and brings its schema forward through `steps` (one SQL text
 * per version, the first makes version 1). Before a migration of an existing file a copy is made:
 * store.db.v<N>.bak.
 */
int sqlite_open(const char *path, const char *const *steps, size_t n_steps, sqlite3 **ret,
		Error *err);
extern const char *const sqlite_schema[];
extern const size_t sqlite_schema_version;

/*
 * Ballast: a file of no content that is given up when the disk is full, so that deletes still work.
 * Creates are refused until the space to make it again is there.
 */
int ballast_make(const char *dir, Error *err); /* 0 = there; -ERR_EXHAUSTED = no space for it */
void ballast_drop(const char *dir);
