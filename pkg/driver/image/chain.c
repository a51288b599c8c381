/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading backing chains. See chain.h. Our disks are one level deep: a disk over cached content,
 * which has no base itself.
 */
#include "driver/image/chain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/random.h"

bool chain_digest(const char *base_path, char ret[static 72])
{
	const char *slash = strrchr(base_path, '/'), *name = slash ? slash + 1 : base_path;

	if (strlen(name) != 64 + 6 || strspn(name, "0123456789abcdef") != 64 ||
	    !streq(name + 64, ".qcow2"))
		return false;
	snprintf(ret, 72, "sha256:%.64s", name);
	return true;
}

static int disk_base(int fd, const char *name, Hashmap *digests, Error *err)
{
	_cleanup_(fd_closep) int disk = fs_open_beneath(fd, name, O_RDONLY, 0, err);
	ImageHeader h;
	char digest[72];
	int rc;

	if (disk == -ERR_NOT_FOUND)
		return error_ignore(err); /* removed while we looked */
	if (disk < 0)
		return disk;
	rc = qcow2_header_read(disk, &h, err);
	if (rc == 0 && chain_digest(h.backing, digest))
		hashmap_put(digests, digest, digests);
	return rc;
}

static int instance_bases(int root, const char *uid, Hashmap *digests, Error *err)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	struct dirent *e;
	int fd = fs_open_beneath(root, uid, O_RDONLY | O_DIRECTORY, 0, err), rc = 0;

	if (fd == -ERR_NOT_FOUND)
		return error_ignore(err);
	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	while (rc == 0 && (e = readdir(dir)))
		if (str_has_suffix(e->d_name, ".qcow2"))
			rc = disk_base(fd, e->d_name, digests, err);
	return error_wrap_rc(err, rc, "instance %s", uid);
}

int chain_bases(const char *state_dir, Hashmap *digests, Error *err)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/instances", state_dir);
	_cleanup_(closedirp) DIR *dir = opendir(path);
	struct dirent *e;
	int rc = 0;

	if (!dir && errno == ENOENT)
		return 0;
	if (!dir)
		return error_set_errno(err, errno, "open %s", path);
	while (rc == 0 && (e = readdir(dir)))
		if (uuid_is_valid(e->d_name))
			rc = instance_bases(dirfd(dir), e->d_name, digests, err);
	return rc;
}
