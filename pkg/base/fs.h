/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files: reading whole, writing whole, and opening beneath a directory without following anything
 * out of it. Functions block on the disk. Any thread.
 */
#pragma once

#include <sys/types.h>

#include "base/error.h"

/* The whole file, NUL-terminated, at most max bytes (-ERR_EXHAUSTED). Caller frees *ret. */
int fs_read(const char *path, size_t max, char **ret, size_t *ret_len, Error *err);
int fs_read_fd(int fd, size_t max, char **ret, size_t *ret_len, Error *err);
/* Writes all of it, retrying short writes and EINTR. */
int fs_write_all(int fd, const void *p, size_t n, Error *err);
/* Temporary file beside it, write, optional fsync of file and directory, rename: readers see old or
 * new, never half. */
int fs_write_atomic(const char *path, const void *p, size_t n, mode_t mode, bool sync, Error *err);
/* Removes the temporary files of fs_write_atomic() from a directory, as far as it can: those of a
 * process that has died. Nobody may be writing there. */
void fs_drop_temporary(const char *directory);
/* mkdir -p; existing directories are fine and keep their mode. */
int fs_mkdir_p(const char *path, mode_t mode, Error *err);
/* rm -rf of a directory tree, never following links; 0 if absent. */
int fs_remove_tree(const char *path, Error *err);
/* unlink; 0 if absent. */
int fs_unlink(const char *path, Error *err);
/* openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS): returns the descriptor (>= 0) or a negative code.
 * O_CLOEXEC is added. */
int fs_open_beneath(int dirfd, const char *path, int flags, mode_t mode, Error *err);
bool fs_exists(const char *path);
/* As many open descriptors as this process may allow itself. */
void fs_raise_descriptor_limit(void);
