/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DiskStore port: instances/UID/NAME.qcow2. See cache.h.
 *
 * A disk is made under a temporary name and renamed without replacing, so a name is a whole disk or
 * nothing. The instance's directory is locked (flock) around making and growing: two callers, of
 * this process or not, never work on one disk. What is on a disk is never parsed: the qcow2 header
 * is ours, the guest only ever writes what is inside; qemu-img is always told the format.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/failpoint.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/spawn.h"
#include "driver/image/cache.h"
#include "driver/image/chain.h"

#define QEMU_IMG "/usr/bin/qemu-img"
#define SECTOR   512
#define MIN_FREE ((uint64_t)256 << 20)

typedef struct Disks {
	DiskStore store;
	char *state_dir, *root; /* root: state_dir/instances */
	int root_fd;
	uint64_t min_free;
} Disks;

static Disks *disks_of(DiskStore *d)
{
	return CONTAINER_OF(d, Disks, store);
}

static bool name_is_valid(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= 63 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n &&
	       s[0] != '-' && s[n - 1] != '-';
}

static int check_names(Context *ctx, const char *uid, const char *name, Error *err)
{
	int rc = context_check(ctx, err);

	if (rc < 0)
		return rc;
	/* uuid_is_valid() takes either case; two spellings would be two directories. */
	if (!uuid_is_valid(uid) || strpbrk(uid, "ABCDEF"))
		return error_set(err, ERR_INVALID, "instance uid \"%s\" is no UUID", uid);
	if (name && !name_is_valid(name))
		return error_set(err, ERR_INVALID, "disk name \"%s\" is no DNS label", name);
	return 0;
}

/* The instance's directory, made if asked for. Returns the descriptor. */
static int directory_open(const Disks *d, const char *uid, bool make, Error *err)
{
	int fd;

	if (make && mkdirat(d->root_fd, uid, 0711) < 0 && errno != EEXIST)
		return error_set_errno(err, errno, "create %s/%s", d->root, uid);
	fd = fs_open_beneath(d->root_fd, uid, O_RDONLY | O_DIRECTORY, 0, err);
	return fd < 0 ? error_wrap_rc(err, fd, "%s", d->root) : fd;
}

static int disk_read(const Disks *d, int dir, const char *uid, const char *name, DiskInfo *ret,
		     Error *err)
{
	_cleanup_(fd_closep) int fd = -1;
	char file[80];
	ImageHeader h;
	struct stat st;
	struct statvfs vfs;
	DiskInfo *info;
	int rc;

	snprintf(file, sizeof(file), "%s.qcow2", name);
	fd = fs_open_beneath(dir, file, O_RDONLY, 0, err);
	if (fd < 0)
		return fd;
	rc = qcow2_header_read(fd, &h, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "disk %s/%s", uid, name);
	if (fstat(fd, &st) < 0 || fstatvfs(fd, &vfs) < 0)
		return error_set_errno(err, errno, "disk %s/%s", uid, name);
	info = xnew0(DiskInfo, 1);
	snprintf(info->path, sizeof(info->path), "%s/%s/%s", d->root, uid, file);
	snprintf(info->format, sizeof(info->format), "qcow2");
	memcpy(info->base_path, h.backing, sizeof(info->base_path));
	if (*h.backing)
		(void)chain_digest(h.backing, info->base_digest);
	info->virtual_size = h.virtual_size;
	info->allocated = (uint64_t)st.st_blocks * 512;
	info->room = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	*ret = *info;
	free(info);
	return 0;
}

static int space_check(const Disks *d, int dir, Error *err)
{
	struct statvfs s;

	if (fstatvfs(dir, &s) < 0)
		return error_set_errno(err, errno, "statvfs %s", d->root);
	if ((uint64_t)s.f_bavail * s.f_frsize < d->min_free)
		return error_set(err, ERR_EXHAUSTED, "no space left in %s", d->root);
	return 0;
}

/* The cached base: its path, its own size. */
static int base_open(const Disks *d, const DiskRequest *r, char **ret_path, uint64_t *ret_size,
		     Error *err)
{
	_cleanup_(xfreep) char *path = NULL;
	_cleanup_(fd_closep) int fd = -1;
	ImageHeader h;
	int rc;

	if (!str_has_prefix(r->digest, "sha256:") || strlen(r->digest) != 71 ||
	    strspn(r->digest + 7, "0123456789abcdef") != 64)
		return error_set(err, ERR_INVALID, "\"%s\" is no image digest", r->digest);
	path = xasprintf("%s/images/%s.qcow2", d->state_dir, r->digest + 7);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return error_set(err, ERR_NOT_FOUND, "image %s is not cached", r->digest);
	if (fd < 0)
		return error_set_errno(err, errno, "open %s", path);
	rc = qcow2_header_read(fd, &h, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "%s", path);
	*ret_size = h.virtual_size;
	*ret_path = TAKE_PTR(path);
	return 0;
}

static int run_create(Context *ctx, const char *path, const char *base, uint64_t size, Error *err)
{
	char bytes[32];
	const char *const blank[] = { QEMU_IMG, "create", "-q", "-f", "qcow2", path, bytes, NULL };
	const char *const over[] = { QEMU_IMG, "create", "-q", "-f", "qcow2", "-F",
				     "qcow2",  "-b",     base, path, bytes,   NULL };

	snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)size);
	return spawn_run(ctx, base ? over : blank, NULL, NULL, err);
}

/* Durable, private, then visible under its name unless that is taken. */
static int publish(int dir, const char *tmp, const char *file, Error *err)
{
	_cleanup_(fd_closep) int fd = fs_open_beneath(dir, tmp, O_RDONLY, 0, err);

	if (fd < 0)
		return fd;
	if (fchmod(fd, 0600) < 0 || fsync(fd) < 0)
		return error_set_errno(err, errno, "%s", file);
	if (renameat2(dir, tmp, dir, file, RENAME_NOREPLACE) < 0)
		return error_set_errno(err, errno, "rename to %s", file);
	if (fsync(dir) < 0)
		return error_set_errno(err, errno, "sync directory of %s", file);
	return 0;
}

static int disk_create(const Disks *d, Context *ctx, int dir, const DiskRequest *r, Error *err)
{
	_cleanup_(xfreep) char *base = NULL, *path = NULL;
	char tmp[96], file[80];
	uint64_t size = r->size, base_size = 0;
	int rc = space_check(d, dir, err);

	if (rc == 0 && r->digest)
		rc = base_open(d, r, &base, &base_size, err);
	if (rc < 0)
		return rc;
	if (!r->digest && !size)
		return error_set(err, ERR_INVALID, "neither image nor size");
	if (size && size < base_size)
		return error_set(err, ERR_INVALID,
				 "%llu bytes is smaller than its image of %llu: "
				 "raise its size, or leave it out",
				 (unsigned long long)size, (unsigned long long)base_size);
	size = ((size ? size : base_size) + SECTOR - 1) / SECTOR * SECTOR;
	snprintf(file, sizeof(file), "%s.qcow2", r->name);
	snprintf(tmp, sizeof(tmp), ".%s.new", r->name); /* one at a time: we hold the lock */
	(void)unlinkat(dir, tmp, 0);
	path = xasprintf("%s/%s/%s", d->root, r->instance_uid, tmp);
	rc = FAIL_POINT_AROUND("disk.create", run_create(ctx, path, base, size, err));
	if (rc == 0)
		rc = FAIL_POINT_AROUND("disk.publish", publish(dir, tmp, file, err));
	if (rc < 0)
		(void)unlinkat(dir, tmp, 0);
	return rc;
}

static int disk_grow(Context *ctx, const DiskInfo *info, uint64_t size, Error *err)
{
	char bytes[32];
	const char *const argv[] = { QEMU_IMG, "resize",   "-q",  "-f",
				     "qcow2",  info->path, bytes, NULL };

	snprintf(bytes, sizeof(bytes), "%llu",
		 (unsigned long long)((size + SECTOR - 1) / SECTOR * SECTOR));
	return spawn_run(ctx, argv, NULL, NULL, err);
}

static int ensure_locked(const Disks *d, Context *ctx, int dir, const DiskRequest *r, bool offline,
			 DiskInfo *info, Error *err)
{
	int rc = disk_read(d, dir, r->instance_uid, r->name, info, err);
	bool created = false;

	if (rc == -ERR_NOT_FOUND) {
		error_ignore(err);
		created = true;
		rc = disk_create(d, ctx, dir, r, err);
		if (rc == 0)
			rc = disk_read(d, dir, r->instance_uid, r->name, info, err);
	} else if (rc == 0 && offline && r->size > info->virtual_size) {
		rc = FAIL_POINT_AROUND("disk.grow", disk_grow(ctx, info, r->size, err));
		if (rc == 0)
			rc = disk_read(d, dir, r->instance_uid, r->name, info, err);
	}
	info->created = created;
	return rc;
}

/* Waits for whoever holds the directory, at most as long as the caller wants. */
static int directory_lock(Context *ctx, int dir, Error *err)
{
	struct timespec nap = { .tv_nsec = 5 * 1000 * 1000 };
	int rc;

	while (flock(dir, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return error_set_errno(err, errno, "lock directory");
		rc = context_check(ctx, err);
		if (rc < 0)
			return rc;
		nanosleep(&nap, NULL);
	}
	return 0;
}

static int disks_ensure(DiskStore *self, Context *ctx, const DiskRequest *r, bool offline,
			DiskInfo *ret, Error *err)
{
	Disks *d = disks_of(self);
	_cleanup_(fd_closep) int dir = -1;
	_cleanup_(xfreep) DiskInfo *info = xnew0(DiskInfo, 1);
	int rc = check_names(ctx, r->instance_uid, r->name, err);

	if (rc < 0)
		return rc;
	dir = directory_open(d, r->instance_uid, true, err);
	if (dir < 0)
		return dir;
	rc = directory_lock(ctx, dir, err);
	if (rc == 0)
		rc = ensure_locked(d, ctx, dir, r, offline, info, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "disk %s", r->name);
	*ret = *info;
	return 0;
}

static int disks_inspect(DiskStore *self, Context *ctx, const char *uid, const char *name,
			 DiskInfo *ret, Error *err)
{
	Disks *d = disks_of(self);
	_cleanup_(fd_closep) int dir = -1;
	int rc = check_names(ctx, uid, name, err);

	if (rc < 0)
		return rc;
	dir = directory_open(d, uid, false, err);
	if (dir < 0)
		return dir;
	return disk_read(d, dir, uid, name, ret, err);
}

static int disks_remove(DiskStore *self, Context *ctx, const char *uid, Error *err)
{
	Disks *d = disks_of(self);
	_cleanup_(xfreep) char *path = NULL;
	int rc = check_names(ctx, uid, NULL, err);

	if (rc < 0)
		return rc;
	path = xasprintf("%s/%s", d->root, uid);
	return FAIL_POINT_AROUND("disk.remove-tree", fs_remove_tree(path, err));
}

static int disks_list(DiskStore *self, Context *ctx, char (**ret)[UUID_MAX], size_t *ret_n,
		      Error *err)
{
	Disks *d = disks_of(self);
	_cleanup_(closedirp) DIR *dir = NULL;
	_cleanup_(xfreep) char(*uids)[UUID_MAX] = NULL;
	size_t n = 0, cap = 0;
	struct dirent *e;
	int rc = context_check(ctx, err);

	if (rc < 0)
		return rc;
	dir = opendir(d->root);
	if (!dir)
		return error_set_errno(err, errno, "open %s", d->root);
	while (errno = 0, (e = readdir(dir))) {
		if (!uuid_is_valid(e->d_name))
			continue;
		GROW_ARRAY(uids, n, cap);
		memcpy(uids[n++], e->d_name, UUID_MAX);
	}
	if (errno)
		return error_set_errno(err, errno, "read %s", d->root);
	*ret = TAKE_PTR(uids);
	*ret_n = n;
	return 0;
}

static int disks_directory(DiskStore *self, Context *ctx, const char *uid,
			   char ret_path[static 4096], Error *err)
{
	Disks *d = disks_of(self);
	_cleanup_(fd_closep) int dir = -1;
	int rc = check_names(ctx, uid, NULL, err);

	if (rc < 0)
		return rc;
	dir = directory_open(d, uid, true, err);
	if (dir < 0)
		return dir;
	snprintf(ret_path, 4096, "%s/%s", d->root, uid);
	return 0;
}

static DiskStore *disks_free(DiskStore *self)
{
	Disks *d = disks_of(self);

	fd_close(d->root_fd);
	free(d->state_dir);
	free(d->root);
	free(d);
	return NULL;
}

static const DiskStoreOps disks_ops = {
	.name = "image",
	.ensure = disks_ensure,
	.inspect = disks_inspect,
	.remove = disks_remove,
	.list = disks_list,
	.directory = disks_directory,
	.free = disks_free,
};

int disk_store_new(const DiskStoreOptions *o, DiskStore **ret, Error *err)
{
	Disks *d = xnew0(Disks, 1);
	int rc;

	d->store.ops = &disks_ops;
	d->state_dir = xstrdup(o->state_dir);
	d->root = xasprintf("%s/instances", o->state_dir);
	d->min_free = o->min_free ? o->min_free : MIN_FREE;
	d->root_fd = -1;
	rc = fs_mkdir_p(d->root, 0711, err);
	if (rc == 0) {
		d->root_fd = open(d->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (d->root_fd < 0)
			rc = error_set_errno(err, errno, "open %s", d->root);
	}
	if (rc < 0) {
		disks_free(&d->store);
		return error_wrap_rc(err, rc, "disk store");
	}
	*ret = &d->store;
	return 0;
}
