/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Part. See part.h.
 */
#include "driver/image/part.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/failpoint.h"
#include "base/fs.h"
#include "base/memory.h"
#include "json/json.h"

#define PART_CHUNK    (256u * 1024)
#define PART_JSON_MAX 4096

static void part_path(const Part *p, const char *suffix, char buf[static 96])
{
	snprintf(buf, 96, "%s%s", p->name, suffix);
}

static void sums_reset(Part *p)
{
	sha_free(p->sha256);
	sha_free(p->sha512);
	p->sha256 = sha_new(SHA_256);
	p->sha512 = sha_new(SHA_512);
	p->size = 0;
}

int part_reset(Part *p, Error *err)
{
	if (ftruncate(p->fd, 0) < 0 || lseek(p->fd, 0, SEEK_SET) < 0)
		return error_set_errno(err, errno, "empty %s.part", p->name);
	sums_reset(p);
	p->etag[0] = p->last_modified[0] = '\0';
	p->length = 0;
	p->complete = false;
	return 0;
}

const char *part_validator(const Part *p)
{
	/* A weak ETag promises an equivalent page, not equal bytes (RFC 9110, 13.1.5). */
	if (p->size == 0)
		return NULL;
	if (*p->etag && !str_has_prefix(p->etag, "W/"))
		return p->etag;
	return *p->last_modified ? p->last_modified : NULL;
}

static int part_load(Part *p, Error *err)
{
	char path[96];
	_cleanup_(fd_closep) int fd = -1;
	_cleanup_(xfreep) char *text = NULL;
	json_t *j = NULL;
	size_t len;
	int rc;

	part_path(p, ".json", path);
	fd = fs_open_beneath(p->directory_fd, path, O_RDONLY, 0, err);
	if (fd < 0)
		return fd;
	rc = fs_read_fd(fd, PART_JSON_MAX, &text, &len, err);
	if (rc == 0)
		rc = json_decode(text, len, &j, err);
	if (rc < 0)
		return rc;
	snprintf(p->etag, sizeof(p->etag), "%s", json_string_at(j, "etag") ?: "");
	snprintf(p->last_modified, sizeof(p->last_modified), "%s",
		 json_string_at(j, "lastModified") ?: "");
	p->length = (uint64_t)json_integer_at(j, "length", 0);
	p->complete = json_bool_at(j, "complete", false);
	json_decref(j);
	return 0;
}

/* Reads what an earlier process wrote into the sums. */
static int part_rehash(Part *p, Error *err)
{
	_cleanup_(xfreep) char *chunk = xmalloc(PART_CHUNK);
	ssize_t n;

	while ((n = read(p->fd, chunk, PART_CHUNK)) != 0) {
		if (n < 0 && errno != EINTR)
			return error_set_errno(err, errno, "read %s.part", p->name);
		if (n < 0)
			continue;
		sha_update(p->sha256, chunk, (size_t)n);
		sha_update(p->sha512, chunk, (size_t)n);
		p->size += (uint64_t)n;
	}
	return 0;
}

int part_open(Part *p, int directory_fd, const char *name, Error *err)
{
	char path[96];
	int rc;

	*p = (Part){ .directory_fd = directory_fd, .fd = -1 };
	snprintf(p->name, sizeof(p->name), "%s", name);
	part_path(p, ".part", path);
	p->fd = fs_open_beneath(directory_fd, path, O_RDWR | O_CREAT, 0600, err);
	if (p->fd < 0)
		return p->fd;
	sums_reset(p);
	if (part_load(p, NULL) < 0)
		return part_reset(p, err);
	rc = part_rehash(p, err);
	if (rc < 0)
		return rc;
	if (p->length && p->size > p->length)
		return part_reset(p, err);
	if (p->complete && p->size == p->length)
		return 0;
	p->complete = false;
	return part_validator(p) ? 0 : part_reset(p, err);
}

int part_write(Part *p, const void *data, size_t n, Error *err)
{
	int rc = fs_write_all(p->fd, data, n, err);

	if (rc < 0)
		return rc;
	sha_update(p->sha256, data, n);
	sha_update(p->sha512, data, n);
	p->size += n;
	return 0;
}

static int part_replace(const Part *p, const char *text, Error *err)
{
	char path[96], tmp[96];
	_cleanup_(fd_closep) int fd = -1;
	int rc;

	part_path(p, ".json", path);
	part_path(p, ".json.tmp", tmp);
	fd = fs_open_beneath(p->directory_fd, tmp, O_WRONLY | O_CREAT | O_TRUNC, 0600, err);
	if (fd < 0)
		return fd;
	rc = fs_write_all(fd, text, strlen(text), err);
	if (rc == 0 && (fsync(fd) < 0 ||
			FAIL_POINT_AROUND("part.rename", renameat(p->directory_fd, tmp,
								  p->directory_fd, path)) < 0))
		rc = error_set_errno(err, errno, "write %s", path);
	return rc;
}

int part_save(Part *p, Error *err)
{
	_cleanup_(xfreep) char *text = NULL;
	json_t *j;

	if (p->complete && fsync(p->fd) < 0)
		return error_set_errno(err, errno, "sync %s.part", p->name);
	j = json_pack("{s:s, s:s, s:I, s:b}", "etag", p->etag, "lastModified", p->last_modified,
		      "length", (json_int_t)p->length, "complete", p->complete);
	text = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	return part_replace(p, text, err);
}

void part_remove(Part *p)
{
	char path[96];

	part_path(p, ".part", path);
	(void)unlinkat(p->directory_fd, path, 0);
	part_path(p, ".json", path);
	(void)unlinkat(p->directory_fd, path, 0);
}

void part_done(Part *p)
{
	fd_close(p->fd);
	sha_free(p->sha256);
	sha_free(p->sha512);
}
