/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named network namespaces, as iproute2 keeps them: a bind mount of the namespace on
 * /run/netns/NAME. setns(2) acts on the calling thread only; whoever enters must leave.
 */
#pragma once

#include <sys/types.h>

#include "base/error.h"

#define NETNS_DIR "/run/netns"

typedef struct NetnsSaved {
	int fd; /* where the thread came from; -1 = it stayed */
} NetnsSaved;

/* netns_fd -1 = stay. */
int netns_enter(int netns_fd, NetnsSaved *ret, Error *err);
/* Cannot fail: staying in a foreign namespace would be worse than ending. */
void netns_leave(NetnsSaved *saved);

/* Makes NETNS_DIR as iproute2 does (shared mount), once. */
int netns_setup(Error *err);
/* Descriptor (>= 0) of the named namespace; -ERR_NOT_FOUND also for a dead file. */
int netns_open(const char *name, Error *err);
/* Makes a new namespace under that name, replacing a dead file; returns its descriptor. */
int netns_create(const char *name, Error *err);
/* Puts the name back on a namespace that is still alive. */
int netns_bind(const char *name, int netns_fd, Error *err);
/* Takes the name away; the namespace dies with its last user. 0 if absent. */
int netns_remove(const char *name, Error *err);
ino_t netns_inode(int netns_fd);
