/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sysctls. See sysctl.h.
 */
#include "driver/net/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/memory.h"
#include "driver/net/netns.h"

static int sysctl_open(const char *key, int flags, Error *err)
{
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/%s", key);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? error_set_errno(err, errno, "open %s", path) : fd;
}

int sysctl_read(const char *key, int *ret, Error *err)
{
	_cleanup_(fd_closep) int fd = sysctl_open(key, O_RDONLY, err);
	char buf[32];
	ssize_t n;

	if (fd < 0)
		return fd;
	n = read(fd, buf, sizeof(buf) - 1);
	if (n < 0)
		return error_set_errno(err, errno, "read sysctl %s", key);
	buf[n] = '\0';
	*ret = (int)strtol(buf, NULL, 10);
	return 0;
}

int sysctl_write(const char *key, int value, Error *err)
{
	_cleanup_(fd_closep) int fd = sysctl_open(key, O_WRONLY, err);
	char buf[16];
	int n = snprintf(buf, sizeof(buf), "%d", value);

	if (fd < 0)
		return fd;
	return fs_write_all(fd, buf, (size_t)n, err);
}

static int converge_one(const SysctlWant *w, const char *where, Change *c, Error *err)
{
	char text[64];
	int is, rc;

	rc = sysctl_read(w->key, &is, err);
	if (rc == -ERR_NOT_FOUND && w->optional) {
		error_done(err);
		return 0;
	}
	if (rc < 0 || is == w->value)
		return rc;
	snprintf(text, sizeof(text), "to %d in %s", w->value, where);
	if (!change_add(c, "set", w->key, text))
		return 0;
	return sysctl_write(w->key, w->value, err);
}

int sysctl_converge(int netns_fd, const SysctlWant *want, size_t n, const char *where, Change *c,
		    Error *err)
{
	NetnsSaved saved;
	int rc = netns_enter(netns_fd, &saved, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = converge_one(&want[i], where, c, err);
	netns_leave(&saved);
	return rc;
}
