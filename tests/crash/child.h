/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that is killed: a world of its own over a store in SQLite, with an API server. It
 * takes commands, one a line, and answers each with what there is to say and a line CHILD_DONE:
 * "arm SPEC" (of failpoint.h, or "malloc:N[:ever]"), "settle SECONDS", "age SECONDS", "check",
 * "again" (controllers anew; tells if that changed anything), "stop". The first answer comes by
 * itself, after the start.
 */
#pragma once

#include "tests/crash/cloud.h"

#define CHILD_DONE "."

typedef struct Child {
	CloudOptions options;
	const Fakes *fakes;
	const char *dir, *spec;
	usec_t age;
	int fd;
} Child;

_noreturn_ void child_run(const Child *c);
