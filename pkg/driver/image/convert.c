/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The convert role: judges a complete download and turns it into the cache's format, one plain
 * qcow2 (version 3, 64 KiB clusters, nothing compressed): guests read it for years, so the reading
 * must be cheap, and the same content always gives the same file.
 *
 * Request: {"input": NAME, "output": NAME, "maxVirtualSize", "minFree" (bytes, that must stay
 * free), "timeout": SECONDS}; names are files of the directory on descriptor 3. Result: {"digest":
 * "sha256:hex" of the output, "virtualSize", "fileSize", "format" of the input}. No network, no
 * capability, no file but the directory and the system's libraries; qemu-img runs under limits of
 * address space, processor time and file size. One thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/failpoint.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/spawn.h"
#include "driver/image/confine.h"
#include "driver/image/hasher.h"
#include "driver/image/header.h"
#include "driver/image/role.h"
#include "driver/image/roles.h"

#define QEMU_IMG            "/usr/bin/qemu-img"
#define GIB                 ((uint64_t)1 << 30)
#define ADDRESS_SPACE       (2 * GIB)
#define CPU_SECONDS         60 /* and this much more per GiB: */
#define CPU_SECONDS_PER_GIB 30
#define FILE_SIZE_SLACK     (64 * (GIB / 1024))
#define SPACE_SLACK         (4u * 1024 * 1024) /* what one write may have been too large by */
#define WRITEBACK_INTERVAL  (100 * USEC_PER_MSEC)

static const char *const read_paths[] = {
	"/usr/lib",         "/usr/lib64", "/lib",         "/lib64",
	"/etc/ld.so.cache", "/dev/null",  "/dev/urandom", NULL
};

typedef struct Convert {
	const char *input, *output;
	uint64_t max_virtual_size, min_free;
	uint64_t space; /* bytes the output may take; UINT64_MAX = whatever it needs */
	usec_t timeout;
	char directory[4096]; /* absolute */
} Convert;

static bool name_is_safe(const char *s)
{
	return s && *s && *s != '.' && !strchr(s, '/') && strlen(s) < 128;
}

static int convert_parse(const json_t *request, Convert *c, Error *err)
{
	char link[32];
	ssize_t n;

	c->input = json_string_at(request, "input");
	c->output = json_string_at(request, "output");
	c->max_virtual_size = (uint64_t)json_integer_at(request, "maxVirtualSize", 0);
	c->min_free = (uint64_t)json_integer_at(request, "minFree", 0);
	c->space = UINT64_MAX;
	c->timeout = (usec_t)json_integer_at(request, "timeout", 1800) * USEC_PER_SEC;
	if (!name_is_safe(c->input) || !name_is_safe(c->output))
		return error_set(err, ERR_INVALID, "request: input and output are needed");
	/* qemu-img gets absolute paths: a relative one with a colon would be a protocol. */
	snprintf(link, sizeof(link), "/proc/self/fd/%d", ROLE_DIRECTORY_FD);
	n = readlink(link, c->directory, sizeof(c->directory) - 1);
	if (n < 0)
		return error_set_errno(err, errno, "descriptor %d", ROLE_DIRECTORY_FD);
	c->directory[n] = '\0';
	return 0;
}

static uint64_t file_size_max(uint64_t virtual_size)
{
	return virtual_size + virtual_size / 20 + FILE_SIZE_SLACK;
}

/* A few KiB may rightly expand to the largest disk allowed: no further than there is space for. */
static int space_limit(Convert *c, uint64_t virtual_size, Error *err)
{
	struct statvfs s;
	uint64_t avail;

	if (fstatvfs(ROLE_DIRECTORY_FD, &s) < 0)
		return error_set_errno(err, errno, "statvfs");
	avail = (uint64_t)s.f_bavail * s.f_frsize;
	avail -= MIN(avail, c->min_free);
	if (avail < file_size_max(virtual_size))
		c->space = avail;
	return 0;
}

static int limits_set(Convert *c, uint64_t virtual_size, Error *err)
{
	uint64_t gib = (virtual_size + GIB - 1) / GIB;
	int rc = space_limit(c, virtual_size, err);

	if (rc < 0)
		return rc;
	return confine_limits(
		&(ConfineLimits){ .memory = ADDRESS_SPACE,
				  .file_size = MIN(c->space, file_size_max(virtual_size)),
				  .cpu_seconds = CPU_SECONDS + gib * CPU_SECONDS_PER_GIB },
		err);
}

static int no_space(const Convert *c, Error *err)
{
	return error_set(err, ERR_EXHAUSTED,
			 "no space in the image cache: converted, it takes more than the %llu MiB "
			 "that may be used",
			 (unsigned long long)(c->space >> 20));
}

/*
 * The output goes to the disk while qemu-img is still busy with the processor: at the end there is
 * little to wait for.
 */
typedef struct Writeback {
	const Convert *c;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t stopped;
	bool stop;
} Writeback;

static void *writeback_run(void *arg)
{
	Writeback *w = arg;
	_cleanup_(fd_closep) int fd = -1;

	pthread_mutex_lock(&w->lock);
	while (!w->stop) {
		clock_wait(clock_system(), &w->stopped, &w->lock,
			   clock_now(clock_system()) + WRITEBACK_INTERVAL);
		if (fd < 0)
			fd = fs_open_beneath(ROLE_DIRECTORY_FD, w->c->output, O_RDONLY, 0, NULL);
		if (fd >= 0 && !w->stop)
			(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void writeback_begin(Writeback *w, const Convert *c)
{
	*w = (Writeback){ .c = c };
	pthread_mutex_init(&w->lock, NULL);
	clock_cond_init(&w->stopped);
	if (pthread_create(&w->thread, NULL, writeback_run, w) != 0)
		abort(); /* out of memory */
}

static void writeback_end(Writeback *w)
{
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->stopped);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->stopped);
	pthread_mutex_destroy(&w->lock);
}

/* Whether the kernel stopped it at the limit. */
static bool output_is_full(const Convert *c)
{
	struct stat st;

	return fstatat(ROLE_DIRECTORY_FD, c->output, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       (uint64_t)st.st_size + SPACE_SLACK >= c->space;
}

static int convert_run(const Convert *c, const ImageHeader *h, Error *err)
{
	_cleanup_(xfreep) char *in = xasprintf("%s/%s", c->directory, c->input);
	_cleanup_(xfreep) char *out = xasprintf("%s/%s", c->directory, c->output);
	const char *const argv[] = {
		QEMU_IMG, "convert", "-f", image_format_to_string(h->format),
		"-O",     "qcow2",   "-o", "compat=1.1,cluster_size=65536,lazy_refcounts=off",
		in,       out,       NULL
	};
	Context ctx = context_with_timeout(&CONTEXT_BACKGROUND, c->timeout);
	Writeback writeback;
	int rc;

	writeback_begin(&writeback, c);
	rc = spawn_run_with(&ctx,
			    &(SpawnOptions){ .argv = argv, .filter = confine_program_filter() },
			    NULL, NULL, err);

	writeback_end(&writeback);
	if (rc < 0 && c->space != UINT64_MAX && output_is_full(c)) {
		error_done(err);
		return no_space(c, err);
	}
	/* The file passed our check, so what qemu-img says is about the file, or about space. */
	if (rc == -ERR_UNAVAILABLE && strstr(error_message(err), "No space left"))
		err->code = ERR_EXHAUSTED;
	return rc < 0 ? -(int)err->code : 0;
}

/* Makes the output durable and tells about it. */
static int output_finish(const Convert *c, const ImageHeader *h, Error *err)
{
	_cleanup_(fd_closep) int fd =
		fs_open_beneath(ROLE_DIRECTORY_FD, c->output, O_RDONLY, 0, err);
	char hex[SHA_HEX_MAX], digest[SHA_HEX_MAX + 8];
	Hasher *hasher;
	struct stat st;
	int rc;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return error_set_errno(err, errno, "converted image");
	/* The processor takes the sum while the disk writes. */
	hasher = hasher_new(fd, SHA_256);
	hasher_grow(hasher, (uint64_t)st.st_size);
	rc = fsync(fd) < 0 ? error_set_errno(err, errno, "sync converted image") : 0;
	if (rc == 0)
		rc = hasher_hex(hasher, hex, err);
	hasher_free(hasher);
	if (rc < 0)
		return rc;
	snprintf(digest, sizeof(digest), "sha256:%s", hex);
	role_answer("result",
		    json_pack("{s:s, s:I, s:I, s:s}", "digest", digest, "virtualSize",
			      (json_int_t)h->virtual_size, "fileSize", (json_int_t)st.st_size,
			      "format", image_format_to_string(h->format)));
	return 0;
}

static int convert(Convert *c, Error *err)
{
	_cleanup_(fd_closep) int fd =
		fs_open_beneath(ROLE_DIRECTORY_FD, c->input, O_RDONLY, 0, err);
	ImageHeader header;
	int rc;

	(void)unlinkat(ROLE_DIRECTORY_FD, c->output, 0); /* of an interrupted run */
	if (fd < 0)
		return fd;
	rc = FAIL_POINT_AROUND("convert.check",
			       image_header_check(fd, c->max_virtual_size, &header, err));
	if (rc == 0)
		rc = limits_set(c, header.virtual_size, err);
	if (rc < 0)
		return rc;
	rc = FAIL_POINT_AROUND("convert.run", convert_run(c, &header, err));
	if (rc == 0)
		rc = FAIL_POINT_AROUND("convert.finish", output_finish(c, &header, err));
	if (rc < 0)
		(void)unlinkat(ROLE_DIRECTORY_FD, c->output, 0);
	return rc;
}

int convert_role_main(_unused_ int argc, _unused_ char **argv)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	json_t *request = NULL;
	Convert c = { 0 };
	int rc = role_request(&request, &err);

	if (rc == 0)
		rc = convert_parse(request, &c, &err);
	if (rc == 0)
		rc = confine(&(Confine){ .read_paths = read_paths,
					 .directory_fd = ROLE_DIRECTORY_FD,
					 .program = QEMU_IMG },
			     &err);
	/* Before the first byte is looked at; what it says will make them tighter. */
	if (rc == 0)
		rc = confine_limits(
			&(ConfineLimits){ .memory = ADDRESS_SPACE,
					  .file_size = file_size_max(c.max_virtual_size) },
			&err);
	if (rc == 0)
		rc = convert(&c, &err);
	json_decref(request);
	return rc < 0 ? role_fail(&err) : 0;
}
