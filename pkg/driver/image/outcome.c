/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a Job when a role has ended: its state, the cache's content, the time of the next
 * try. Called by the cache's thread, with the lock held except where noted. See jobs.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/failpoint.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/memory.h"
#include "driver/image/jobs.h"

static void state_set(Job *j, ImageState state)
{
	image_state_done(&j->state);
	j->state = state;
}

void job_state_ready(Job *j, const Content *content, const ContentSource *source)
{
	ImageState s = { .phase = IMAGE_READY,
			 .virtual_size = content->virtual_size,
			 .file_size = content->file_size };

	memcpy(s.digest, content->digest, sizeof(s.digest));
	memcpy(s.source_checksum, content->source_checksum, sizeof(s.source_checksum));
	memcpy(s.source_format, content->source_format, sizeof(s.source_format));
	if (source) {
		memcpy(s.etag, source->etag, sizeof(s.etag));
		memcpy(s.last_modified, source->last_modified, sizeof(s.last_modified));
	}
	s.bytes_fetched = s.bytes_total = j->state.bytes_fetched;
	state_set(j, s);
}

static usec_t job_backoff(const Cache *c, const Job *j, int code)
{
	usec_t wait = c->options.backoff_min << (j->failures < 20 ? j->failures : 20);

	wait = MIN(wait, c->options.backoff_max);
	/* What is wrong for good may be a large download; a new spec is a new job anyway. */
	if (error_code_is_terminal(code))
		wait = c->options.backoff_max << (j->failures < 5 ? j->failures : 5);
	return wait + random_u64() % (wait / 4 + 1); /* many hosts, one server */
}

void job_failed(Cache *c, Job *j, Error *err)
{
	ContentSource *source;
	Content *old = *j->old_digest ? index_find_source(&c->index, j->name, &source) : NULL;
	usec_t now = clock_now(c->options.clock);
	ImageState s = { .phase = IMAGE_FAILED };

	j->step = JOB_IDLE;
	if (old) {
		/* A cached copy outlives its source. */
		source->checked = now;
		job_state_ready(j, old, source);
		j->state.source_gone = true;
		error_move(&j->state.error, err);
		return;
	}
	s.bytes_fetched = j->state.bytes_fetched;
	s.bytes_total = j->state.bytes_total;
	s.retry_after = now + job_backoff(c, j, (int)err->code);
	j->failures++;
	state_set(j, s);
	error_move(&j->state.error, err);
}

static void job_not_modified(Cache *c, Job *j)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	ContentSource *source;
	Content *old = index_find_source(&c->index, j->name, &source);

	if (!old) {
		/* It was evicted meanwhile: fetch it whole. */
		j->etag[0] = j->last_modified[0] = j->old_digest[0] = '\0';
		j->step = JOB_FETCH_QUEUED;
		return;
	}
	source->checked = clock_now(c->options.clock);
	j->step = JOB_IDLE;
	j->failures = 0;
	job_state_ready(j, old, source);
}

void job_fetched(Cache *c, Job *j)
{
	const json_t *r = j->result;

	if (json_bool_at(r, "notModified", false)) {
		job_not_modified(c, j);
		return;
	}
	snprintf(j->checksum_got, sizeof(j->checksum_got), "%s",
		 json_string_at(r, "checksum") ?: "");
	snprintf(j->sha512_got, sizeof(j->sha512_got), "%s", json_string_at(r, "sha512") ?: "");
	snprintf(j->etag, sizeof(j->etag), "%s", json_string_at(r, "etag") ?: "");
	snprintf(j->last_modified, sizeof(j->last_modified), "%s",
		 json_string_at(r, "lastModified") ?: "");
	j->state.bytes_fetched = j->state.bytes_total = (uint64_t)json_integer_at(r, "bytes", 0);
	j->state.rate = 0;
	j->state.phase = IMAGE_CONVERTING;
	j->step = JOB_CONVERT_QUEUED;
}

/* The role may have been talked into anything: what becomes visible is a file of its own, and only
 * to be read. */
static int converted_seal(const Cache *c, const char *name, Error *err)
{
	/* Nor does it wait for the writer of a pipe. */
	_cleanup_(fd_closep) int fd =
		fs_open_beneath(c->incoming_fd, name, O_RDONLY | O_NONBLOCK, 0, err);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return error_set_errno(err, errno, "stat");
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		return error_set(err, ERR_INVALID, "not a file of its own");
	if (fchmod(fd, 0444) < 0 || fsync(fd) < 0)
		return error_set_errno(err, errno, "make it read-only");
	return 0;
}

/* Moves the converted file to its content address. Not locked: it waits for the disk. */
int job_publish(const Cache *c, const Job *j, Error *err)
{
	char from[SOURCE_NAME_MAX + 16], to[80];
	const char *digest = json_string_at(j->result, "digest");
	int rc = content_file_name(digest ? digest : "", ".qcow2", to, err);

	if (rc < 0)
		return rc;
	snprintf(from, sizeof(from), "%s.qcow2", j->name);
	rc = converted_seal(c, from, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "converted image");
	/* Equal content keeps the file that disks may already stand on. */
	if (faccessat(c->index.fd, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		(void)unlinkat(c->incoming_fd, from, 0);
	else if (FAIL_POINT_AROUND("image.publish",
				   renameat(c->incoming_fd, from, c->index.fd, to)) < 0)
		return error_set_errno(err, errno, "publish image");
	if (fsync(c->index.fd) < 0)
		return error_set_errno(err, errno, "sync %s", c->index.directory);
	return 0;
}

void job_converted(Cache *c, Job *j)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	ContentSource source = { .checked = clock_now(c->options.clock) };
	Content *content = xnew0(Content, 1);

	snprintf(content->digest, sizeof(content->digest), "%s",
		 json_string_at(j->result, "digest"));
	content->virtual_size = (uint64_t)json_integer_at(j->result, "virtualSize", 0);
	content->file_size = (uint64_t)json_integer_at(j->result, "fileSize", 0);
	snprintf(content->source_format, sizeof(content->source_format), "%s",
		 json_string_at(j->result, "format") ?: "");
	memcpy(content->source_checksum, j->checksum_got, sizeof(content->source_checksum));
	memcpy(content->source_sha512, j->sha512_got, sizeof(content->source_sha512));
	content->used = clock_wall(c->options.clock);
	memcpy(source.name, j->name, sizeof(source.name));
	memcpy(source.etag, j->etag, sizeof(source.etag));
	memcpy(source.last_modified, j->last_modified, sizeof(source.last_modified));
	j->step = JOB_IDLE;
	j->failures = 0;
	job_state_ready(j, content, &source);
	/* Without its description the content is still there; it is only fetched again sometime. */
	if (FAIL_POINT_AROUND("image.describe", index_add(&c->index, content, &source, &err)) < 0)
		log_debug("image cache: %s", error_message(&err));
}
