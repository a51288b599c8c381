/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache's index. See index.h.
 */
#include "driver/image/index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/failpoint.h"
#include "base/fs.h"
#include "base/memory.h"
#include "driver/image/header.h"
#include "json/json.h"

#define CONTENT_JSON_MAX (64u * 1024)
#define SOURCES_MAX      64
#define DIGEST_LENGTH    64 /* of a file's name */

Content *content_free(Content *c)
{
	if (c)
		free(c->sources);
	free(c);
	return NULL;
}

static void content_release(void *p)
{
	content_free(p);
}

int content_file_name(const char *digest, const char *suffix, char buf[static 80], Error *err)
{
	if (!str_has_prefix(digest, "sha256:") || strlen(digest) != 71 ||
	    strspn(digest + 7, "0123456789abcdef") != 64)
		return error_set(err, ERR_INVALID, "\"%s\" is no image digest", digest);
	snprintf(buf, 80, "%s%s", digest + 7, suffix);
	return 0;
}

/* ---- descriptions on disk ---- */

static json_t *content_to_json(const Content *c)
{
	json_t *sources = json_object();

	for (size_t i = 0; i < c->n_sources; i++)
		json_object_set_new(sources, c->sources[i].name,
				    json_pack("{s:s, s:s}", "etag", c->sources[i].etag,
					      "lastModified", c->sources[i].last_modified));
	return json_pack("{s:s, s:I, s:I, s:s, s:s, s:s, s:o}", "digest", c->digest, "virtualSize",
			 (json_int_t)c->virtual_size, "fileSize", (json_int_t)c->file_size,
			 "sourceChecksum", c->source_checksum, "sourceSHA512", c->source_sha512,
			 "sourceFormat", c->source_format, "sources", sources);
}

static void copy_string(char *dst, size_t size, const json_t *j, const char *name)
{
	const char *s = json_string_value(json_object_get(j, name));

	snprintf(dst, size, "%s", s ? s : "");
}

static void content_from_json(Content *c, const json_t *j)
{
	const char *name;
	json_t *source;

	c->virtual_size = (uint64_t)json_integer_at(j, "virtualSize", 0);
	c->file_size = (uint64_t)json_integer_at(j, "fileSize", 0);
	copy_string(c->source_checksum, sizeof(c->source_checksum), j, "sourceChecksum");
	copy_string(c->source_sha512, sizeof(c->source_sha512), j, "sourceSHA512");
	copy_string(c->source_format, sizeof(c->source_format), j, "sourceFormat");
	json_object_foreach (json_object_get(j, "sources"), name, source) {
		ContentSource *s;

		GROW_ARRAY(c->sources, c->n_sources, c->cap_sources);
		s = &c->sources[c->n_sources++];
		*s = (ContentSource){ 0 };
		snprintf(s->name, sizeof(s->name), "%s", name);
		copy_string(s->etag, sizeof(s->etag), source, "etag");
		copy_string(s->last_modified, sizeof(s->last_modified), source, "lastModified");
	}
}

static int content_save(const Index *x, const Content *c, Error *err)
{
	_cleanup_(xfreep) char *text = NULL, *path = NULL;
	char name[80];
	json_t *j;
	int rc = content_file_name(c->digest, ".json", name, err);

	if (rc < 0)
		return rc;
	j = content_to_json(c);
	text = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	/* By the descriptor: the directory's name may lead elsewhere by now. */
	path = xasprintf("/proc/self/fd/%d/%s", x->fd, name);
	rc = fs_write_atomic(path, text, strlen(text), 0600, true, err);
	return rc < 0 ? error_wrap_rc(err, rc, "describe image %s", c->digest) : 0;
}

static void content_load_json(const Index *x, Content *c)
{
	_cleanup_(fd_closep) int fd = -1;
	_cleanup_(xfreep) char *text = NULL;
	struct stat st;
	json_t *j = NULL;
	char name[80];
	size_t len;

	if (content_file_name(c->digest, ".json", name, NULL) < 0)
		return;
	fd = fs_open_beneath(x->fd, name, O_RDONLY, 0, NULL);
	if (fd < 0 || fs_read_fd(fd, CONTENT_JSON_MAX, &text, &len, NULL) < 0 ||
	    json_decode(text, len, &j, NULL) < 0)
		return;
	content_from_json(c, j);
	json_decref(j);
	if (fstat(fd, &st) == 0)
		c->used = (usec_t)st.st_mtim.tv_sec * USEC_PER_SEC;
}

/* One file of the directory; what is not ours or damaged is passed over. */
static void index_load(Index *x, const char *file)
{
	_cleanup_(fd_closep) int fd = -1;
	Content *c;
	ImageHeader h;
	struct stat st;
	size_t n = strlen(file);

	if (n != DIGEST_LENGTH + 6 || !str_has_suffix(file, ".qcow2") ||
	    strspn(file, "0123456789abcdef") != DIGEST_LENGTH)
		return;
	fd = fs_open_beneath(x->fd, file, O_RDONLY, 0, NULL);
	if (fd < 0 || fstat(fd, &st) < 0 || qcow2_header_read(fd, &h, NULL) < 0)
		return;
	c = xnew0(Content, 1);
	snprintf(c->digest, sizeof(c->digest), "sha256:%.64s", file);
	c->used = (usec_t)st.st_mtim.tv_sec * USEC_PER_SEC;
	content_load_json(x, c);
	if (c->file_size && c->file_size != (uint64_t)st.st_size) {
		content_free(c);
		return;
	}
	c->file_size = (uint64_t)st.st_size;
	c->virtual_size = h.virtual_size;
	hashmap_put(x->contents, c->digest, c);
}

/* A description whose image is gone: it was removed first, and who did that has died. */
static void drop_description(const Index *x, const char *file)
{
	char image[80];

	if (strlen(file) != DIGEST_LENGTH + 5 || !str_has_suffix(file, ".json") ||
	    strspn(file, "0123456789abcdef") != DIGEST_LENGTH)
		return;
	snprintf(image, sizeof(image), "%.*s.qcow2", DIGEST_LENGTH, file);
	if (faccessat(x->fd, image, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		(void)unlinkat(x->fd, file, 0);
}

int index_open(Index *x, const char *directory, Error *err)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	struct dirent *e;
	int rc = fs_mkdir_p(directory, 0711, err);

	if (rc < 0)
		return rc;
	x->directory = xstrdup(directory);
	x->contents = hashmap_new(content_release);
	x->fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	dir = opendir(directory);
	if (x->fd < 0 || !dir)
		return error_set_errno(err, errno, "open %s", directory);
	fs_drop_temporary(directory);
	while ((e = readdir(dir))) {
		index_load(x, e->d_name);
		drop_description(x, e->d_name);
	}
	return 0;
}

void index_close(Index *x)
{
	fd_close(x->fd);
	free(x->directory);
	hashmap_free(x->contents);
}

/* ---- looking up ---- */

Content *index_get(const Index *x, const char *digest)
{
	return hashmap_get(x->contents, digest);
}

static ContentSource *content_source(Content *c, const char *name)
{
	for (size_t i = 0; i < c->n_sources; i++)
		if (streq(c->sources[i].name, name))
			return &c->sources[i];
	return NULL;
}

Content *index_find_source(const Index *x, const char *name, ContentSource **ret_source)
{
	hashmap_foreach (it, x->contents) {
		ContentSource *s = content_source(it.value, name);

		if (s) {
			*ret_source = s;
			return it.value;
		}
	}
	return NULL;
}

Content *index_find_checksum(const Index *x, const Checksum *sum)
{
	hashmap_foreach (it, x->contents) {
		Content *c = it.value;

		if (sum->algorithm == SHA_512 && streq(c->source_sha512, sum->hex))
			return c;
		if (sum->algorithm == SHA_256 && str_has_prefix(c->source_checksum, "sha256:") &&
		    streq(c->source_checksum + 7, sum->hex))
			return c;
	}
	return NULL;
}

bool index_verify(Index *x, Content *c)
{
	char name[80];

	if (content_file_name(c->digest, ".qcow2", name, NULL) == 0 &&
	    faccessat(x->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return true;
	hashmap_remove(x->contents, c->digest);
	return false;
}

/* ---- changing ---- */

static void source_drop(Index *x, const char *name, const Content *except)
{
	hashmap_foreach (it, x->contents) {
		Content *c = it.value;
		ContentSource *s = c == except ? NULL : content_source(c, name);

		if (!s)
			continue;
		*s = c->sources[--c->n_sources];
		(void)content_save(x, c, NULL); /* at worst it is asked for again */
	}
}

static void source_put(Content *c, const ContentSource *source)
{
	ContentSource *s = content_source(c, source->name);

	if (!s && c->n_sources >= SOURCES_MAX)
		s = &c->sources[0];
	if (!s) {
		GROW_ARRAY(c->sources, c->n_sources, c->cap_sources);
		s = &c->sources[c->n_sources++];
	}
	*s = *source;
}

int index_add(Index *x, Content *c, const ContentSource *source, Error *err)
{
	Content *there = index_get(x, c->digest);

	source_drop(x, source->name, there);
	if (there && there != c) {
		there->used = c->used;
		memcpy(there->source_checksum, c->source_checksum, sizeof(c->source_checksum));
		if (*c->source_sha512) /* taken only where it was asked for */
			memcpy(there->source_sha512, c->source_sha512, sizeof(c->source_sha512));
		memcpy(there->source_format, c->source_format, sizeof(c->source_format));
		content_free(c);
		c = there;
	} else if (!there) {
		hashmap_put(x->contents, c->digest, c);
	}
	source_put(c, source);
	return content_save(x, c, err);
}

void index_touch(Index *x, Content *c, usec_t wall)
{
	char name[80];

	/* A minute is as exact as eviction needs; the file's time is what survives us. */
	if (wall < c->used + USEC_PER_MIN)
		return;
	c->used = wall;
	if (content_file_name(c->digest, ".json", name, NULL) == 0)
		(void)utimensat(x->fd, name, NULL, AT_SYMLINK_NOFOLLOW);
}

int index_remove(Index *x, Content *c, uint64_t *ret_freed, Error *err)
{
	char image[80], json[80];
	uint64_t freed = c->file_size;
	int rc = content_file_name(c->digest, ".qcow2", image, err);

	if (rc == 0)
		rc = content_file_name(c->digest, ".json", json, err);
	if (rc < 0)
		return rc;
	if (FAIL_POINT_AROUND("image.evict", unlinkat(x->fd, image, 0)) < 0 && errno != ENOENT)
		return error_set_errno(err, errno, "remove %s", image);
	(void)unlinkat(x->fd, json, 0);
	hashmap_remove(x->contents, c->digest);
	*ret_freed = freed;
	return 0;
}
