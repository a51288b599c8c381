/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Progress: one line that says what is being waited for. On a terminal it is redrawn in place, with
 * a bar where there is a percentage; elsewhere a plain line is written whenever something worth
 * reading has changed. One thread.
 */
#pragma once

#include "sfctl.h"

typedef struct Progress {
	Cli *cli;
	char *last;       /* what was shown last */
	int last_percent; /* -1 = none */
	bool drawn;       /* a line stands on the terminal */
} Progress;

void progress_init(Progress *p, Cli *cli);
/* name: what it is about. state: how it is. object: its tree, or NULL if it is not there. */
void progress_show(Progress *p, const char *name, const char *state, const json_t *object);
/* Takes the line away again: before results or errors are printed. */
void progress_clear(Progress *p);
void progress_done(Progress *p);

/* How an object is in one word; NULL if nothing in it says so. */
const char *object_word(const json_t *object);
/* What was observed of an older generation says nothing about what is asked for now. */
bool condition_is_stale(const json_t *object, const json_t *condition);
/*
 * How an object is, in a few words: "WaitingForImage: image debian-12 is being fetched". Caller
 * frees. Never escaped: do that when printing.
 */
char *object_state(const json_t *object);
/* The same for who waits until that condition has that status: why it has not. */
char *object_state_awaiting(const json_t *object, const char *type, const char *status);
/* "1.5 GiB" */
#define BYTES_TEXT_MAX 32
const char *bytes_format(uint64_t bytes, char buf[static BYTES_TEXT_MAX]);
