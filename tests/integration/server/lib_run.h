/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of the ledger: what its threads share. test_ledger.c: sfd, writers and the verdict;
 * lib_watchers.c: the watchers.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "tests/integration/server/lib_ledger.h"
#include "tests/lib/http.h"

typedef struct Run {
	char dir[64], socket[96], store[96];
	char *sfd;
	Ledger ledger;
	atomic_bool writers_stop, finish;
	_Atomic int64_t final;  /* the store's revision after the last write */
	_Atomic int64_t looked; /* the log's when it was last read */
	atomic_long budget;
	atomic_ulong writes, refused, resumes, lists, gone, bookmarks, pauses;
	unsigned kills, stops;
} Run;

/* Of the sfd that runs; 0 = none does. */
extern _Atomic pid_t sfd_pid;

/* Fails from any thread: cmocka's own way leads through the main thread only. */
_noreturn_ void broken(const char *fmt, ...) _printf_(1, 2);
void pause_ms(int ms);
unsigned random_below(unsigned *seed, unsigned n);
/* NULL = nobody listens. */
HttpClient *try_connect(const Run *run);
int64_t revision_of(const json_t *object);

/* ---- watchers ---- */

typedef enum Form { FORM_JSON, FORM_TABLE, FORM_METADATA } Form;
typedef enum Habit {
	HABIT_PLAIN,
	HABIT_SLOW,
	HABIT_AWAY,
	HABIT_WATCH_LIST,
	HABIT_NO_BOOKMARKS
} Habit;

typedef struct WatcherSpec {
	const char *path, *query; /* below /api/v1; what selects */
	Wish wish;
	Form form;
	Habit habit;
	bool secrets;
} WatcherSpec;

typedef struct Watcher {
	Run *run;
	const WatcherSpec *spec;
	pthread_t thread;
	unsigned seed;
	View view;
	int64_t last; /* told up to there; -1 = must list */
	char name[160];
} Watcher;

#define WATCHERS 20
extern const WatcherSpec watcher_specs[WATCHERS];

/* A thread of a Watcher: until it has seen all up to run->final once run->finish says so. */
void *watcher_run(void *arg);
