/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's log as the truth, and what a watcher has seen against it.
 *
 * The log is read with the store's own backend while sfd is down. A View is what one watcher was
 * told, in order: lists with their items, events, bookmarks. ledger_check() derives from the log
 * alone what it had to be told: each event once, in order, selector transitions with the state
 * before, no bookmark past an event that comes later. One thread at a time.
 */
#pragma once

#include "api/key.h"
#include "base/memory.h"

#define ID_MAX 40 /* "namespace/name", both short */

typedef struct LogEntry {
	const GroupResource *gr;
	char id[ID_MAX];
	int64_t rev;
	bool deleted;
	char label[8], field[8]; /* metadata.labels.l and data.p; "" = absent */
	uint64_t hash;           /* of the stored text */
	ssize_t before;          /* the entry of its live state before; -1 = there is none */
} LogEntry;

typedef struct Ledger {
	LogEntry *entries;
	size_t n, cap;
	int64_t rev; /* up to which it was read */
} Ledger;

/* Reads on from DIRECTORY/store.db; fails the test if the history no longer reaches back. */
void ledger_read(Ledger *l, const char *directory);
void ledger_done(Ledger *l);
/* True if the log has that state. */
bool ledger_has(const Ledger *l, const GroupResource *gr, const char *id, int64_t rev);

/* What a watcher asks for: NULL = everything. */
typedef struct Wish {
	const char *namespace, *name;
	const char *label, *label_not; /* l=, l!= */
	const char *field;             /* data.p= */
	bool no_label;                 /* !l */
} Wish;

typedef enum SeenType {
	SEEN_LIST,
	SEEN_ITEM,
	SEEN_ADDED,
	SEEN_MODIFIED,
	SEEN_DELETED,
	SEEN_BOOKMARK
} SeenType;

typedef struct Seen {
	SeenType type;
	char id[ID_MAX];
	int64_t rev;
	uint64_t hash; /* of the object's text; 0 = not told in this form */
} Seen;

typedef struct View {
	const GroupResource *gr;
	Wish wish;
	Seen *seen;
	size_t n, cap;
} View;

void view_add(View *v, SeenType type, const char *id, int64_t rev, uint64_t hash);
void view_done(View *v);
/* Fails the test with what differs; how many events there were. `until`: it must have seen all up
 * to there. */
size_t ledger_check(const Ledger *l, const View *v, const char *who, int64_t until);
