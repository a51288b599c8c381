/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confine: a role of ours that touches bytes from outside gives up what it does not need: every
 * capability, new privileges for good, the file system but for a few paths (Landlock), the network
 * where it has no use for it, Unix sockets, and the system calls that escape from such places
 * (seccomp).
 *
 * Only ever tightens, for the process and all it starts. Call it in a process with one thread. A
 * kernel without Landlock gets the rest.
 */
#pragma once

#include "base/error.h"

typedef struct Confine {
	const char *const *read_paths; /* strv: files and trees to read; absent ones are skipped */
	int directory_fd;              /* everything beneath may be read, made, written, removed */
	bool network;                  /* may open sockets, of the internet's families only */
	const char *program; /* the one program that may be started; NULL = nothing but threads */
} Confine;

int confine(const Confine *c, Error *err);

/* For SpawnOptions: what the one program is started with, so that it starts nothing but threads. */
const struct sock_fprog *confine_program_filter(void);

typedef struct ConfineLimits {
	uint64_t memory;      /* bytes of address space */
	uint64_t file_size;   /* bytes, of any one file */
	uint64_t cpu_seconds; /* 0 = no limit */
} ConfineLimits;

/* For good, also for what is started. */
int confine_limits(const ConfineLimits *l, Error *err);
