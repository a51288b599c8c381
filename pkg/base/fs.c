/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files: whole reads, atomic writes, openat2 beneath a directory. See fs.h.
 */
#include "base/fs.h"
#include "base/failpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/memory.h"
#include "base/random.h"
#include "base/strbuf.h"

int fs_read_fd(int fd, size_t max, char **ret, size_t *ret_len, Error *err)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;
	char chunk[16384];
	ssize_t n;

	for (;;) {
		n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set_errno(err, errno, "read");
		if (n == 0)
			break;
		if ((size_t)n > max - b.len)
			return error_set(err, ERR_EXHAUSTED, "larger than %zu bytes", max);
		strbuf_add(&b, chunk, (size_t)n);
	}
	if (ret_len)
		*ret_len = b.len;
	*ret = strbuf_take(&b);
	return 0;
}

int fs_read(const char *path, size_t max, char **ret, size_t *ret_len, Error *err)
{
	_cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int rc;

	if (fd < 0)
		return error_set_errno(err, errno, "open %s", path);
	rc = fs_read_fd(fd, max, ret, ret_len, err);
	return rc < 0 ? error_wrap_rc(err, rc, "%s", path) : rc;
}

int fs_write_all(int fd, const void *p, size_t n, Error *err)
{
	const char *at = p;
	ssize_t done;

	while (n > 0) {
		done = write(fd, at, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return error_set_errno(err, errno, "write");
		at += done;
		n -= (size_t)done;
	}
	return 0;
}

static int sync_parent(const char *path, Error *err)
{
	const char *slash = strrchr(path, '/');
	_cleanup_(xfreep) char *dir =
		slash ? xstrndup(path, MAX((size_t)(slash - path), (size_t)1)) : xstrdup(".");
	_cleanup_(fd_closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return error_set_errno(err, errno, "sync %s", dir);
	return 0;
}

static int write_temporary(const char *tmp, const void *p, size_t n, mode_t mode, bool sync,
			   Error *err)
{
	_cleanup_(fd_closep) int fd =
		open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc;

	if (fd < 0)
		return error_set_errno(err, errno, "create %s", tmp);
	rc = fs_write_all(fd, p, n, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "%s", tmp);
	/* The mode is set last, past the umask, so that a wide one never shows half a file. */
	if (fchmod(fd, mode) < 0 || (sync && fsync(fd) < 0))
		return error_set_errno(err, errno, "%s", tmp);
	return 0;
}

int fs_write_atomic(const char *path, const void *p, size_t n, mode_t mode, bool sync, Error *err)
{
	const char *slash = strrchr(path, '/');
	size_t dir = slash ? (size_t)(slash - path) + 1 : 0;
	_cleanup_(xfreep) char *tmp =
		xasprintf("%.*s.%s.%08x.tmp", (int)dir, path, path + dir, (unsigned)random_u64());
	int rc = write_temporary(tmp, p, n, mode, sync, err);

	if (rc == 0 && FAIL_POINT_AROUND("file.replace", rename(tmp, path)) < 0)
		rc = error_set_errno(err, errno, "rename to %s", path);
	if (rc < 0) {
		unlink(tmp);
		return rc;
	}
	return sync ? sync_parent(path, err) : 0;
}

/* ".NAME.01234567.tmp" */
static bool is_temporary(const char *name)
{
	const size_t tail = strlen(".01234567.tmp");
	size_t n = strlen(name);

	return name[0] == '.' && n > 1 + tail && name[n - tail] == '.' &&
	       strspn(name + n - tail + 1, "0123456789abcdef") == 8 && str_has_suffix(name, ".tmp");
}

void fs_drop_temporary(const char *directory)
{
	_cleanup_(closedirp) DIR *dir = opendir(directory);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (is_temporary(e->d_name))
			(void)unlinkat(dirfd(dir), e->d_name, 0);
}

int fs_mkdir_p(const char *path, mode_t mode, Error *err)
{
	_cleanup_(xfreep) char *copy = xstrdup(path);
	struct stat st;

	for (char *p = copy + 1;; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return error_set_errno(err, errno, "create directory %s", copy);
		*p = c;
		if (c == '\0')
			break;
	}
	if (stat(path, &st) < 0)
		return error_set_errno(err, errno, "%s", path);
	return S_ISDIR(st.st_mode) ? 0 : error_set_errno(err, ENOTDIR, "%s", path);
}

static int remove_at(int dirfd, const char *name, Error *err)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	struct dirent *e;
	int fd, rc;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return error_set_errno(err, errno, "remove %s", name);
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(err, errno, "open %s", name);
	dir = fdopendir(fd);
	while ((e = readdir(dir))) {
		if (streq(e->d_name, ".") || streq(e->d_name, ".."))
			continue;
		rc = remove_at(fd, e->d_name, err);
		if (rc < 0)
			return rc;
	}
	if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return error_set_errno(err, errno, "remove directory %s", name);
	return 0;
}

int fs_remove_tree(const char *path, Error *err)
{
	return remove_at(AT_FDCWD, path, err);
}

int fs_unlink(const char *path, Error *err)
{
	if (unlink(path) < 0 && errno != ENOENT)
		return error_set_errno(err, errno, "remove %s", path);
	return 0;
}

int fs_open_beneath(int dirfd, const char *path, int flags, mode_t mode, Error *err)
{
	struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC),
				.mode = flags & (O_CREAT | O_TMPFILE) ? mode : 0,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
	long fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));

	if (fd < 0)
		return error_set_errno(err, errno, "open %s", path);
	return (int)fd;
}

bool fs_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

void fs_raise_descriptor_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
}
