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

#define PART_JSON_MAX 4096

static void part_path(const Part *p, const char *suffix, char buf[static 96])
{
	snprintf(buf, 96, "%s%s", p->name, suffix);
}

static void sums_reset(Part *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(p->sums); i++)
		p->sums[i] = hasher_free(p->sums[i]);
	p->sums[SHA_256] = hasher_new(p->fd, SHA_256);
	if (p->wants_sha512)
		p->sums[SHA_512] = hasher_new(p->fd, SHA_512);
	p->size = 0;
}

static void part_grown(Part *p, uint64_t size)
{
	p->size = size;
	for (size_t i = 0; i < ARRAY_SIZE(p->sums); i++)
		if (p->sums[i])
			hasher_grow(p->sums[i], size);
}

int part_sum(Part *p, ShaAlgorithm algorithm, char buf[static SHA_HEX_MAX], Error *err)
{
	int rc = hasher_hex(p->sums[algorithm], buf, err);

	return rc < 0 ? error_wrap_rc(err, rc, "%s.part", p->name) : 0;
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

/* sum: of the whole as it was when it was complete; "" if it was not. */
static int part_load(Part *p, char sum[static SHA_HEX_MAX], Error *err)
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
	snprintf(sum, SHA_HEX_MAX, "%s", json_string_at(j, "sha256") ?: "");
	json_decref(j);
	return 0;
}

int part_open(Part *p, int directory_fd, const char *name, bool sha512, Error *err)
{
	char path[96], sum[SHA_HEX_MAX] = "", now[SHA_HEX_MAX];
	struct stat st;
	int rc;

	*p = (Part){ .directory_fd = directory_fd, .fd = -1, .wants_sha512 = sha512 };
	snprintf(p->name, sizeof(p->name), "%s", name);
	part_path(p, ".part", path);
	p->fd = fs_open_beneath(directory_fd, path, O_RDWR | O_CREAT, 0600, err);
	if (p->fd < 0)
		return p->fd;
	sums_reset(p);
	if (part_load(p, sum, NULL) < 0)
		return part_reset(p, err);
	if (fstat(p->fd, &st) < 0 || lseek(p->fd, 0, SEEK_END) < 0)
		return error_set_errno(err, errno, "%s", path);
	if (p->length && (uint64_t)st.st_size > p->length)
		return part_reset(p, err);
	part_grown(p, (uint64_t)st.st_size);
	if (*sum && p->size == p->length) {
		rc = part_sum(p, SHA_256, now, err);
		p->complete = rc == 0 && streq(sum, now);
		return rc < 0 || p->complete ? rc : part_reset(p, err);
	}
	return part_validator(p) ? 0 : part_reset(p, err);
}

int part_write(Part *p, const void *data, size_t n, Error *err)
{
	int rc = fs_write_all(p->fd, data, n, err);

	if (rc < 0)
		return rc;
	part_grown(p, p->size + n);
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
	char sum[SHA_HEX_MAX] = "";
	_cleanup_(xfreep) char *text = NULL;
	json_t *j;
	int rc = p->complete ? part_sum(p, SHA_256, sum, err) : 0;

	if (rc < 0)
		return rc;
	j = json_pack("{s:s, s:s, s:I, s:s}", "etag", p->etag, "lastModified", p->last_modified,
		      "length", (json_int_t)p->length, "sha256", sum);
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
	for (size_t i = 0; i < ARRAY_SIZE(p->sums); i++)
		hasher_free(p->sums[i]);
	fd_close(p->fd);
}
