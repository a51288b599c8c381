/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spawn: running another program, by argv, without a shell, with an environment of ours.
 *
 * The child gets PATH=/usr/sbin:/usr/bin:/sbin:/bin, LC_ALL=C and what `env` adds; descriptors are
 * closed except those in `fds`; it leads its own process group, dies with us unless `outlive`, and
 * signals are reset. posix_spawn or clone+exec only, never a bare fork. Any thread.
 */
#pragma once

#include <sys/types.h>

#include "base/context.h"
#include "base/strbuf.h"

typedef struct SpawnFd {
	int fd;     /* ours */
	int target; /* the number in the child: 0, 1, 2, 3... */
} SpawnFd;

typedef struct SpawnOptions {
	const char *const *argv; /* argv[0] is an absolute path; NULL-terminated */
	const char *const *env;  /* extra "NAME=value"; may be NULL */
	const SpawnFd *fds;      /* 0, 1, 2 default to /dev/null */
	size_t n_fds;
	bool outlive; /* do not kill it when we die (dnsmasq) */
	int netns_fd; /* enter this network namespace before exec; 0 = stay. (fd 0 is never a
			 namespace.) */
	const struct sock_fprog *filter; /* seccomp, for a child that may gain no privileges (the
					    caller sees to that); NULL = none */
} SpawnOptions;

/* Starts it; *ret_pidfd is a pidfd that becomes readable at exit (caller closes). Not waiting. */
int spawn_start(const SpawnOptions *o, pid_t *ret_pid, int *ret_pidfd, Error *err);
/* Waits until exit or the context ends (then SIGKILL to its group); *ret_status as waitpid(2) gives
 * it. */
int spawn_wait(Context *ctx, pid_t pid, int pidfd, int *ret_status, Error *err);
/*
 * Runs to the end, capturing at most out->max / errout->max bytes (0 = 1 MiB) of stdout and stderr
 * (either may be NULL). A non-zero exit or a signal is -ERR_UNAVAILABLE with "NAME: exit 1: first
 * line of stderr" as text.
 */
int spawn_run(Context *ctx, const char *const *argv, StrBuf *out, StrBuf *errout, Error *err);
/* The same with options; their descriptors are not used. */
int spawn_run_with(Context *ctx, const SpawnOptions *o, StrBuf *out, StrBuf *errout, Error *err);
