/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named network namespaces. See netns.h.
 */
#include "driver/net/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/fs.h"
#include "base/memory.h"

int netns_enter(int netns_fd, NetnsSaved *ret, Error *err)
{
	NetnsSaved saved = { .fd = -1 };

	if (netns_fd >= 0) {
		saved.fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
		if (saved.fd < 0)
			return error_set_errno(err, errno, "open own network namespace");
		if (setns(netns_fd, CLONE_NEWNET) < 0) {
			int rc = error_set_errno(err, errno, "enter network namespace");

			fd_close(saved.fd);
			return rc;
		}
	}
	*ret = saved;
	return 0;
}

void netns_leave(NetnsSaved *saved)
{
	if (saved->fd < 0)
		return;
	if (setns(saved->fd, CLONE_NEWNET) < 0)
		abort();
	saved->fd = fd_close(saved->fd);
}

static void netns_path(const char *name, char buf[static 64])
{
	snprintf(buf, 64, NETNS_DIR "/%s", name);
}

int netns_setup(Error *err)
{
	int rc = fs_mkdir_p(NETNS_DIR, 0755, err);

	if (rc < 0)
		return rc;
	/* Shared, so that names made here are seen by, and go away in, mount namespaces made later.
	 */
	if (mount("", NETNS_DIR, "none", MS_SHARED | MS_REC, NULL) == 0)
		return 0;
	if (errno != EINVAL)
		return error_set_errno(err, errno, "share %s", NETNS_DIR);
	if (mount(NETNS_DIR, NETNS_DIR, "none", MS_BIND | MS_REC, NULL) < 0 ||
	    mount("", NETNS_DIR, "none", MS_SHARED | MS_REC, NULL) < 0)
		return error_set_errno(err, errno, "mount %s", NETNS_DIR);
	return 0;
}

int netns_open(const char *name, Error *err)
{
	_cleanup_(fd_closep) int fd = -1;
	struct statfs fs;
	char path[64];

	netns_path(name, path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return error_set_errno(err, errno, "open %s", path);
	if (fstatfs(fd, &fs) < 0)
		return error_set_errno(err, errno, "statfs %s", path);
	if (fs.f_type != NSFS_MAGIC)
		return error_set(err, ERR_NOT_FOUND, "%s is a dead file", path);
	return TAKE_FD(fd);
}

static int netns_bind_from(const char *source, const char *name, Error *err)
{
	char path[64];
	int fd, rc;

	rc = netns_remove(name, err);
	if (rc < 0)
		return rc;
	netns_path(name, path);
	fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (fd < 0)
		return error_set_errno(err, errno, "create %s", path);
	fd_close(fd);
	if (mount(source, path, "none", MS_BIND, NULL) < 0) {
		rc = error_set_errno(err, errno, "bind network namespace to %s", path);
		unlink(path);
		return rc;
	}
	return 0;
}

int netns_bind(const char *name, int netns_fd, Error *err)
{
	char source[64];

	snprintf(source, sizeof(source), "/proc/self/fd/%d", netns_fd);
	return netns_bind_from(source, name, err);
}

int netns_create(const char *name, Error *err)
{
	NetnsSaved saved;
	int rc;

	saved.fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (saved.fd < 0)
		return error_set_errno(err, errno, "open own network namespace");
	if (unshare(CLONE_NEWNET) < 0) {
		rc = error_set_errno(err, errno, "make a network namespace");
		fd_close(saved.fd);
		return rc;
	}
	rc = netns_bind_from("/proc/thread-self/ns/net", name, err);
	netns_leave(&saved);
	return rc < 0 ? rc : netns_open(name, err);
}

int netns_remove(const char *name, Error *err)
{
	char path[64];

	netns_path(name, path);
	while (umount2(path, MNT_DETACH) == 0)
		; /* a crash may have left more than one mount on it */
	if (unlink(path) < 0 && errno != ENOENT)
		return error_set_errno(err, errno, "remove %s", path);
	return 0;
}

ino_t netns_inode(int netns_fd)
{
	struct stat st;

	return fstat(netns_fd, &st) == 0 ? st.st_ino : 0;
}
