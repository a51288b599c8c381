/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confine: a role of ours that touches bytes from outside gives up what it does not need: every
 * capability, new privileges for good, the file system but for a few paths (Landlock), the network
 * where it has no use for it, and the system calls that escape from such places (seccomp).
 *
 * Only ever tightens, for the process and all it starts. Call it in a process with one thread. A
 * kernel without Landlock gets the rest.
 */
#pragma once

#include "base/error.h"

typedef struct Confine {
	const char *const *read_paths; /* strv: files and trees to read and execute; absent ones are
					  skipped */
	int directory_fd;              /* everything beneath may be read, made, written, removed */
	bool network;                  /* may open sockets */
	bool execute;                  /* may start other programs */
} Confine;

int confine(const Confine *c, Error *err);
