/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiter: blocks until an object is as wanted, by list and watch, never by polling. Shared by wait,
 * delete, apply --wait, gc and the power verbs. One thread.
 */
#pragma once

#include "progress.h"
#include "sfctl.h"
#include "json/json.h"

typedef enum WaitKind {
	WAIT_CONDITION, /* status.conditions[type].status == value */
	WAIT_DELETE,    /* it is gone, or another object has its name */
	WAIT_CREATE,    /* it exists */
	WAIT_JSONPATH,  /* the path has the value, or any value */
	WAIT_POWER,     /* status.powerRequest of that id is done */
} WaitKind;

typedef struct WaitFor {
	WaitKind kind;
	char *type;  /* of the condition; the request's id for WAIT_POWER */
	char *value; /* wanted; NULL = any */
	JsonPath *path;
	char *uid;  /* WAIT_DELETE: of the object that is to go; NULL = whichever is there first */
	char *text; /* as given, for messages */
} WaitFor;

/* "condition=Ready", "condition=Ready=False", "delete", "create", "jsonpath={.status.x}=value" */
int wait_for_parse(const char *text, WaitFor *ret, Error *err);
void wait_for_done(WaitFor *w);
/* The end of that very object; NULL = of whichever is there first. Borrows uid, owns nothing. */
WaitFor wait_for_gone(const char *uid);

/*
 * 0 when it is so. -ERR_TIMEOUT says how the object is instead; -ERR_NOT_FOUND if there is none to
 * wait for. A server that goes away is tried again for a while: its restart ends no wait.
 */
int wait_object(Cli *cli, const Target *t, const WaitFor *what, usec_t deadline, Progress *progress,
		Error *err);
/* Microseconds from now as a deadline; negative = for ever. */
usec_t wait_deadline(int64_t timeout);
