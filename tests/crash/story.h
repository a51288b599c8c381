/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A story of stories.yaml, told to a cloud: what was acknowledged is kept in mind, and a process
 * that comes after one that died must still know it. One thread.
 */
#pragma once

#include "tests/crash/cloud.h"

#define STEPS_MAX 24

/* All stories, from a file; aborts with a text if it is none. */
json_t *stories_load(const char *path);
const char *story_name(const json_t *story);
/* Where it may run: with fakes, with real drivers. */
bool story_is_for(const json_t *story, bool real);

/*
 * Makes what every story begins with and saves it as number 1; nothing at all is number 0. False,
 * and said on standard error, if that does not come to rest.
 */
bool story_prepare(Cloud *c, const json_t *stories, bool real);

typedef struct Told {
	Cloud *cloud;
	const json_t *stories, *story;
	bool sent[STEPS_MAX]; /* or let happen: it may have had its effects */
	bool acknowledged[STEPS_MAX];
	struct {
		char path[256], uid[UUID_MAX];
		int64_t generation, revision;
	} made[STEPS_MAX]; /* by the acknowledged ones; path "" = nothing to look for */
	bool again;        /* some process died: what was not acknowledged may be there */
	bool together;     /* with a role that dies everything dies; else it goes on without it */
	unsigned repeats;  /* restarts that were sent a second time */
	StrBuf problems;   /* a line each */
} Told;

/* Restores what the story begins with, and the host as it wants it. */
void told_begin(Told *t, Cloud *c, const json_t *stories, const json_t *story);
void told_done(Told *t);
/* A problem, and what the process has said. */
void told_add_log(Told *t, const char *what);
/* Tells what is not acknowledged yet, and lets it come to rest. False: it died on the way, or is
 * to. */
bool told_tell(Told *t);
/* After a restart: everything acknowledged is there. */
void told_verify(Told *t);
/* At the end: what clients see, what the drivers have, and that a second pass changes nothing. */
void told_check(Told *t);
