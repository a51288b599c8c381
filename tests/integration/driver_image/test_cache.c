/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real cache with real roles when things go wrong: killed roles, restarts in the middle,
 * deletion during a fetch, images that qemu-img would believe, programs that misbehave. Also what a
 * confined role can still do.
 */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/sha.h"
#include "base/spawn.h"
#include "driver/image/cache.h"
#include "driver/image/confine.h"
#include "driver/image/header.h"
#include "driver/image/roles.h"
#include "tests/lib/hostile_http.h"

#include <cmocka.h>

#define UID_A "11111111-1111-4111-8111-111111111111"
#define UID_B "22222222-2222-4222-8222-222222222222"
#define WAIT  (20 * USEC_PER_SEC)
#define DISK  (4u << 20)

typedef struct Env {
	ImageCacheOptions options;
	ImageCache *cache;
	HostileHttp *http;
	char *dir, *disk;
	atomic_uint events;
} Env;

static void on_event(void *arg, const char *uid)
{
	Env *e = arg;

	(void)uid;
	atomic_fetch_add(&e->events, 1);
}

static void cache_open(Env *e)
{
	Error err = ERROR_INIT;

	if (image_cache_new(&e->options, &e->cache, &err) < 0)
		fail_msg("%s", error_message(&err));
	e->cache->ops->subscribe(e->cache, on_event, e);
}

static void cache_close(Env *e)
{
	if (e->cache)
		e->cache = e->cache->ops->free(e->cache);
}

static int setup(void **state)
{
	Env *e = xnew0(Env, 1);
	const char *tmp = getenv("TMPDIR");
	char *dir = xasprintf("%s/sf-cache-XXXXXX", tmp ? tmp : "/tmp");

	e->dir = mkdtemp(dir);
	e->http = hostile_http_new();
	e->disk = xcalloc(1, DISK);
	for (size_t i = 0; i < DISK; i++)
		e->disk[i] = (char)(i * 7 + i / 4093);
	e->disk[510] = 0x55;
	e->disk[511] = (char)0xaa;
	image_cache_options_init(&e->options);
	e->options.state_dir = e->dir;
	e->options.allow_loopback = true;
	e->options.min_free = 0;
	/* Long enough for a poll every 2 ms to see a failure, short enough to wait for a retry. */
	e->options.backoff_min = e->options.backoff_max = 300 * USEC_PER_MSEC;
	cache_open(e);
	*state = e;
	return 0;
}

static int teardown(void **state)
{
	Env *e = *state;

	cache_close(e);
	hostile_http_free(e->http);
	fs_remove_tree(e->dir, NULL);
	free(e->disk);
	free(e->dir);
	free(e);
	return 0;
}

static void pause_briefly(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
}

static ImageState ensure(Env *e, const char *uid, const char *url)
{
	ImageState s = { 0 };
	Error err = ERROR_INIT;

	if (e->cache->ops->ensure(e->cache, &CONTEXT_BACKGROUND,
				  &(ImageRequest){ .uid = uid, .url = url }, &s, &err) < 0)
		fail_msg("%s", error_message(&err));
	return s;
}

static ImageState settle(Env *e, const char *uid, const char *url)
{
	usec_t until = clock_now(clock_system()) + WAIT;
	ImageState s = ensure(e, uid, url);

	while (s.phase != IMAGE_READY && s.phase != IMAGE_FAILED) {
		image_state_done(&s);
		if (clock_now(clock_system()) > until)
			fail_msg("neither ready nor failed in time");
		pause_briefly();
		s = ensure(e, uid, url);
	}
	return s;
}

static ImageState settle_ready(Env *e, const char *uid, const char *url)
{
	ImageState s = settle(e, uid, url);

	if (s.phase != IMAGE_READY)
		fail_msg("%s", error_message(&s.error));
	return s;
}

static void expect_failed(Env *e, const char *url, ErrorCode code, const char *text)
{
	ImageState s = settle(e, UID_A, url);

	if (s.phase != IMAGE_FAILED || s.error.code != code || !strstr(s.error.message, text))
		fail_msg("%s: %s", image_phase_to_string(s.phase), error_message(&s.error));
	image_state_done(&s);
}

/* How many files incoming/ holds, and the size of the largest .part. */
static size_t incoming(Env *e, off_t *ret_part)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/incoming", e->dir);
	_cleanup_(closedirp) DIR *dir = opendir(path);
	struct dirent *d;
	struct stat st;
	size_t n = 0;

	*ret_part = -1;
	while ((d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		n++;
		if (str_has_suffix(d->d_name, ".part") &&
		    fstatat(dirfd(dir), d->d_name, &st, 0) == 0)
			*ret_part = MAX(*ret_part, st.st_size);
	}
	return n;
}

static void wait_part(Env *e, off_t at_least)
{
	usec_t until = clock_now(clock_system()) + WAIT;
	off_t size;

	while (incoming(e, &size), size < at_least) {
		if (clock_now(clock_system()) > until)
			fail_msg("the partial file has %lld bytes", (long long)size);
		pause_briefly();
	}
}

/* Our own children that run a role: pid of the one, -1 if none. */
static pid_t role_pid(void)
{
	_cleanup_(closedirp) DIR *dir = opendir("/proc");
	struct dirent *d;
	pid_t found = -1;

	while ((d = readdir(dir))) {
		char path[300], name[64], mode;
		_cleanup_(xfreep) char *text = NULL;
		int pid, parent;

		snprintf(path, sizeof(path), "/proc/%s/stat", d->d_name);
		if (d->d_name[0] < '1' || d->d_name[0] > '9' ||
		    fs_read(path, 4096, &text, NULL, NULL) < 0)
			continue;
		if (sscanf(text, "%d (%63[^)]) %c %d", &pid, name, &mode, &parent) == 4 &&
		    parent == getpid() && mode != 'Z')
			found = pid;
	}
	return found;
}

static void test_role_killed(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *url = hostile_http_url(e->http, "/hold/d");
	ImageState s;
	pid_t pid;

	hostile_http_put(e->http, "d", e->disk, DISK, "\"1\"");
	s = ensure(e, UID_A, url);
	wait_part(e, DISK / 2);
	pid = role_pid();
	assert_true(pid > 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	s = settle(e, UID_A, url);
	assert_int_equal(s.phase, IMAGE_FAILED);
	assert_int_equal(s.error.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(s.error.message, "signal 9"));
	image_state_done(&s);
	hostile_http_release(e->http, true);
	while ((s = settle(e, UID_A, url)).phase == IMAGE_FAILED)
		image_state_done(&s); /* its turn has not come */
	assert_int_equal(s.phase, IMAGE_READY);
	assert_int_equal(hostile_http_sent(e->http), DISK + DISK / 2); /* not from the start */
}

static void test_restart_in_the_middle(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *url = hostile_http_url(e->http, "/hold/d");
	char hex[SHA_HEX_MAX];
	ImageState s;
	off_t size;

	hostile_http_put(e->http, "d", e->disk, DISK, "\"1\"");
	ensure(e, UID_A, url);
	wait_part(e, DISK / 2);
	cache_close(e);
	assert_int_equal(role_pid(), -1);
	hostile_http_release(e->http, true);
	cache_open(e);
	/* Another Image of the same source goes on with it. */
	s = settle_ready(e, UID_B, url);
	assert_string_equal(s.source_checksum + 7, sha_hex_of(SHA_256, e->disk, DISK, hex));
	assert_int_equal(hostile_http_sent(e->http), DISK + DISK / 2);
	assert_int_equal(incoming(e, &size), 0);
}

static void test_changed_in_the_middle(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *url = hostile_http_url(e->http, "/hold/d");
	char hex[SHA_HEX_MAX];
	ImageState s;

	hostile_http_put(e->http, "d", e->disk, DISK, "\"1\"");
	ensure(e, UID_A, url);
	wait_part(e, DISK / 2);
	cache_close(e);
	e->disk[4096] ^= 1;
	hostile_http_put(e->http, "d", e->disk, DISK, "\"2\"");
	hostile_http_release(e->http, true);
	cache_open(e);
	s = settle_ready(e, UID_A, url);
	assert_string_equal(s.source_checksum + 7, sha_hex_of(SHA_256, e->disk, DISK, hex));
}

/* Fetched, not yet converted, when sfd ends: the bytes are there and nobody is asked again. */
static void test_restart_before_conversion(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *url = hostile_http_url(e->http, "/file/d");
	usec_t until = clock_now(clock_system()) + WAIT;

	cache_close(e);
	e->options.max_converts = 0;
	cache_open(e);
	hostile_http_put(e->http, "d", e->disk, DISK, NULL);
	while (ensure(e, UID_A, url).phase != IMAGE_CONVERTING)
		assert_true(clock_now(clock_system()) < until);
	cache_close(e);
	e->options.max_converts = 1;
	cache_open(e);
	hostile_http_remove(e->http, "d");
	settle_ready(e, UID_A, url);
	assert_int_equal(hostile_http_count(e->http, "/file/d"), 1);
}

static void test_old_leftovers(void **state)
{
	static const char name[] =
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
	struct timespec old[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
	Env *e = *state;
	_cleanup_(xfreep) char *aged = xasprintf("%s/incoming/%s.part", e->dir, name);
	_cleanup_(xfreep) char *fresh = xasprintf("%s/incoming/%s.json", e->dir, name);
	_cleanup_(xfreep) char *half = xasprintf("%s/incoming/%s.qcow2", e->dir, name);
	off_t size;

	assert_int_equal(fs_write_atomic(aged, "x", 1, 0600, false, NULL), 0);
	assert_int_equal(fs_write_atomic(fresh, "x", 1, 0600, false, NULL), 0);
	assert_int_equal(fs_write_atomic(half, "x", 1, 0600, false, NULL), 0);
	assert_int_equal(utimensat(AT_FDCWD, aged, old, 0), 0);
	cache_close(e);
	cache_open(e);
	assert_int_equal(incoming(e, &size), 1);
	assert_true(fs_exists(fresh));
}

static void test_forget_in_the_middle(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *url = hostile_http_url(e->http, "/hold/d");
	off_t size;

	hostile_http_put(e->http, "d", e->disk, DISK, "\"1\"");
	ensure(e, UID_A, url);
	ensure(e, UID_B, url);
	wait_part(e, DISK / 2);
	assert_int_equal(e->cache->ops->forget(e->cache, &CONTEXT_BACKGROUND, UID_A, NULL), 0);
	assert_true(role_pid() > 0); /* the other one still wants it */
	assert_int_equal(e->cache->ops->forget(e->cache, &CONTEXT_BACKGROUND, UID_B, NULL), 0);
	assert_int_equal(role_pid(), -1);
	assert_int_equal(incoming(e, &size), 0);
	hostile_http_release(e->http, true);
	settle_ready(e, UID_A, url);
}

/* A spec that changes its source drops the old transfer. */
static void test_source_changed(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *old = hostile_http_url(e->http, "/hold/d");
	_cleanup_(xfreep) char *new = hostile_http_url(e->http, "/file/d");
	usec_t until = clock_now(clock_system()) + WAIT;
	off_t size;

	hostile_http_put(e->http, "d", e->disk, DISK, "\"1\"");
	ensure(e, UID_A, old);
	wait_part(e, DISK / 2);
	settle_ready(e, UID_A, new);
	while (incoming(e, &size) && clock_now(clock_system()) < until)
		pause_briefly();
	assert_int_equal(incoming(e, &size), 0);
}

static void qemu_img(Env *e, const char *name, const char *const *more)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/%s", e->dir, name);
	_cleanup_(xfreep) char *data = NULL;
	char **argv = strv_append(NULL, "/usr/bin/qemu-img");
	Error err = ERROR_INIT;
	size_t len;

	for (; *more; more++)
		argv = strv_append(argv, streq(*more, "OUT") ? path : *more);
	if (spawn_run(&CONTEXT_BACKGROUND, (const char *const *)argv, NULL, NULL, &err) < 0)
		fail_msg("%s", error_message(&err));
	strv_free(argv);
	assert_int_equal(fs_read(path, 64 << 20, &data, &len, NULL), 0);
	hostile_http_put(e->http, name, data, len, NULL);
}

static void test_hostile_images(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *b = hostile_http_url(e->http, "/file/backing");
	_cleanup_(xfreep) char *d = hostile_http_url(e->http, "/file/data");
	_cleanup_(xfreep) char *v = hostile_http_url(e->http, "/file/vmdk");
	_cleanup_(xfreep) char *l = hostile_http_url(e->http, "/file/large");
	_cleanup_(xfreep) char *h = hostile_http_url(e->http, "/bad/html");
	_cleanup_(xfreep) char *o = hostile_http_url(e->http, "/bad/length-short");
	_cleanup_(xfreep) char *raw = xasprintf("data_file=%s/x.raw", e->dir);
	off_t size;

	qemu_img(e, "backing",
		 (const char *const[]){ "create", "-q", "-f", "qcow2", "-u", "-F", "raw", "-b",
					"/etc/passwd", "OUT", "1M", NULL });
	qemu_img(e, "data",
		 (const char *const[]){ "create", "-q", "-f", "qcow2", "-o", raw, "OUT", "1M",
					NULL });
	qemu_img(e, "vmdk",
		 (const char *const[]){ "create", "-q", "-f", "vmdk", "OUT", "1M", NULL });
	qemu_img(e, "large",
		 (const char *const[]){ "create", "-q", "-f", "qcow2", "OUT", "100T", NULL });
	expect_failed(e, b, ERR_INVALID, "backing file");
	expect_failed(e, d, ERR_INVALID, "data file");
	expect_failed(e, v, ERR_INVALID, "VMDK");
	expect_failed(e, l, ERR_EXHAUSTED, "at most");
	expect_failed(e, h, ERR_INVALID, "text");
	expect_failed(e, o, ERR_INVALID, "text");
	assert_int_equal(e->cache->ops->forget(e->cache, &CONTEXT_BACKGROUND, UID_A, NULL), 0);
	assert_int_equal(incoming(e, &size), 0);
}

/* Compressed in, plain out, and a disk over it reads what the source held. */
static void test_conversion(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *raw = xasprintf("%s/in.raw", e->dir);
	_cleanup_(xfreep) char *url = hostile_http_url(e->http, "/file/packed");
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;
	Error err = ERROR_INIT;
	char path[4096];
	struct stat st;
	ImageState s;

	assert_int_equal(fs_write_atomic(raw, e->disk, DISK, 0644, false, NULL), 0);
	qemu_img(e, "packed",
		 (const char *const[]){ "convert", "-c", "-f", "raw", "-O", "qcow2", raw, "OUT",
					NULL });
	s = settle_ready(e, UID_A, url);
	assert_string_equal(s.source_format, "qcow2");
	assert_int_equal(s.virtual_size, DISK);
	assert_true(s.file_size > DISK);
	assert_int_equal(e->cache->ops->path(e->cache, &CONTEXT_BACKGROUND, s.digest, path, NULL),
			 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0444);
	assert_int_equal(st.st_size, s.file_size);
	if (spawn_run(&CONTEXT_BACKGROUND,
		      (const char *const[]){ "/usr/bin/qemu-img", "compare", "-f", "raw", "-F",
					     "qcow2", raw, path, NULL },
		      &out, NULL, &err) < 0)
		fail_msg("%s", error_message(&err));
}

static void program(Env *e, const char *text)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/role", e->dir);

	cache_close(e);
	assert_int_equal(fs_write_atomic(path, text, strlen(text), 0755, false, NULL), 0);
	e->options.program = path;
	cache_open(e);
	e->options.program = NULL;
}

static void test_misbehaving_roles(void **state)
{
	static const struct {
		const char *script, *text;
		ErrorCode code;
	} cases[] = {
		{"#!/bin/sh\nexit 139\n",							   "status 139", ERR_UNAVAILABLE},
		{ "#!/bin/sh\nkill -SEGV $$\n",						     "signal 11",  ERR_UNAVAILABLE},
		{ "#!/bin/sh\nexit 0\n",							    "status 0",   ERR_UNAVAILABLE},
		{ "#!/bin/sh\nhead -c 3000000 /dev/zero; echo; exit 1\n",                           "status 1",
                 ERR_UNAVAILABLE												 },
		{ "#!/bin/sh\necho '{\"error\":{\"code\":\"Bogus\",\"message\":\"m\"}}'; exit 1\n",
                 "m",											     ERR_INTERNAL   },
		{ "#!/bin/sh\necho '{\"result\":{\"digest\":\"../../x\"}}'\n",                      "digest",
                 ERR_INVALID												     },
		{ "#!/nonexistent/sh\n",							    "start",      ERR_NOT_FOUND  },
	};
	Env *e = *state;
	_cleanup_(xfreep) char *url = hostile_http_url(e->http, "/file/d");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		program(e, cases[i].script);
		expect_failed(e, url, cases[i].code, cases[i].text);
	}
}

/* A convert role that was taken over: what it leaves is not what it says. */
static void test_converted_link(void **state)
{
	static const char script[] =
		"#!/bin/sh\n"
		"case $1 in --role=fetch) echo '{\"result\":{\"checksum\":\"\",\"bytes\":1}}'; "
		"exit ;; esac\n"
		"out=$(sed 's/.*\"output\":\"\\([^\"]*\\)\".*/\\1/') && cd /proc/self/fd/3 || "
		"exit; rm -rf $out other\n"
		"%s\n"
		"echo "
		"'{\"result\":{\"digest\":\"sha256:%064d\",\"virtualSize\":1,\"fileSize\":1}}'\n";
	static const char *const ways[] = { "ln -s /etc/passwd $out", "mkdir $out", "mkfifo $out",
					    "echo x >$out; ln $out other", ":" };
	Env *e = *state;
	_cleanup_(xfreep) char *url = hostile_http_url(e->http, "/file/d");
	_cleanup_(xfreep) char *images = xasprintf("%s/images/%064d.qcow2", e->dir, 7);
	struct stat st;
	ImageState s;

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		_cleanup_(xfreep) char *text = xasprintf(script, ways[i], 7);

		program(e, text);
		s = settle(e, UID_A, url);
		if (s.phase != IMAGE_FAILED || !strstr(error_message(&s.error), "converted image"))
			fail_msg("%s: %s", ways[i], error_message(&s.error));
		image_state_done(&s);
		assert_int_equal(lstat(images, &st), -1);
	}
}

static void test_stuck_role(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *url = hostile_http_url(e->http, "/file/d");

	/* Closes its output and lives on: freeing the cache must not wait for it. */
	program(e, "#!/bin/sh\nexec sleep 1000 >/dev/null\n");
	ensure(e, UID_A, url);
	while (role_pid() < 0)
		pause_briefly();
	assert_int_equal(e->cache->ops->forget(e->cache, &CONTEXT_BACKGROUND, UID_A, NULL), 0);
	assert_int_equal(role_pid(), -1);
	ensure(e, UID_A, url);
	while (role_pid() < 0)
		pause_briefly();
	cache_close(e);
	assert_int_equal(role_pid(), -1);
}

static void test_in_use_is_kept(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *url = hostile_http_url(e->http, "/file/d");
	uint64_t freed = 1;
	DiskStore *disks;
	char path[4096];
	ImageState s;
	DiskInfo d;

	cache_close(e);
	e->options.max_bytes = 1;
	e->options.evict_grace = 0;
	cache_open(e);
	hostile_http_put(e->http, "d", e->disk, DISK, NULL);
	s = settle_ready(e, UID_A, url);
	assert_int_equal(disk_store_new(&(DiskStoreOptions){ .state_dir = e->dir, .min_free = 1 },
					&disks, NULL),
			 0);
	assert_int_equal(
		disks->ops->ensure(
			disks, &CONTEXT_BACKGROUND,
			&(DiskRequest){ .instance_uid = UID_B, .name = "root", .digest = s.digest },
			false, &d, NULL),
		0);
	assert_int_equal(e->cache->ops->evict(e->cache, &CONTEXT_BACKGROUND, NULL, &freed, NULL),
			 0);
	assert_int_equal(freed, 0);
	assert_int_equal(e->cache->ops->path(e->cache, &CONTEXT_BACKGROUND, s.digest, path, NULL),
			 0);
	assert_string_equal(path, d.base_path);
	/* A damaged disk may stand on anything. */
	assert_int_equal(truncate(d.path, 0), 0);
	assert_true(e->cache->ops->evict(e->cache, &CONTEXT_BACKGROUND, NULL, &freed, NULL) < 0);
	assert_int_equal(disks->ops->remove(disks, &CONTEXT_BACKGROUND, UID_B, NULL), 0);
	assert_int_equal(e->cache->ops->evict(e->cache, &CONTEXT_BACKGROUND, NULL, &freed, NULL),
			 0);
	assert_true(freed > 0);
	disks->ops->free(disks);
}

static void test_lost_file(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *url = hostile_http_url(e->http, "/file/d");
	char path[4096];
	ImageState s;

	hostile_http_put(e->http, "d", e->disk, DISK, NULL);
	s = settle_ready(e, UID_A, url);
	assert_int_equal(e->cache->ops->path(e->cache, &CONTEXT_BACKGROUND, s.digest, path, NULL),
			 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(e->cache->ops->path(e->cache, &CONTEXT_BACKGROUND, s.digest, path, NULL),
			 -ERR_NOT_FOUND);
	s = settle_ready(e, UID_A, url);
	assert_int_equal(e->cache->ops->path(e->cache, &CONTEXT_BACKGROUND, s.digest, path, NULL),
			 0);
}

/* ---- what a confined process can do ---- */

static const char *const probe_paths[] = { "/usr", "/lib", "/lib64", "/dev/null", NULL };

#define PROBE_READ   1
#define PROBE_SOCKET 2
#define PROBE_EXEC   4
#define PROBE_CAPS   8
#define PROBE_DIR    16

/* Runs as --role=probe; its exit status says what it could do. */
static int probe_main(bool network)
{
	static const char *const argv[] = { "/usr/bin/true", NULL };
	Confine c = { .read_paths = probe_paths,
		      .directory_fd = ROLE_DIRECTORY_FD,
		      .network = network,
		      .program = network ? NULL : argv[0] };
	_cleanup_(xfreep) char *status = NULL;
	Error err = ERROR_INIT;
	int result = 0;

	if (fs_read("/proc/self/status", 65536, &status, NULL, NULL) < 0 || confine(&c, &err) < 0)
		return 127;
	if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0)
		result |= PROBE_READ;
	if (socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0)
		result |= PROBE_SOCKET;
	if (spawn_run(&CONTEXT_BACKGROUND, argv, NULL, NULL, NULL) == 0)
		result |= PROBE_EXEC;
	if (chroot("/") == 0 || sethostname("x", 1) == 0)
		result |= PROBE_CAPS;
	if (openat(ROLE_DIRECTORY_FD, "made", O_CREAT | O_WRONLY | O_CLOEXEC, 0600) >= 0)
		result |= PROBE_DIR;
	return result;
}

static int probe(Env *e, const char *role)
{
	const char *const argv[] = { "/proc/self/exe", role, NULL };
	_cleanup_(fd_closep) int dir = open(e->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(fd_closep) int pidfd = -1;
	int status;
	pid_t pid;

	assert_int_equal(spawn_start(
				 &(SpawnOptions){
					 .argv = argv,
					 .fds = (SpawnFd[]){{ dir, 3 }, { 2, 2 }},
					 .n_fds = 2
        },
				 &pid, &pidfd, NULL),
			 0);
	assert_int_equal(spawn_wait(&CONTEXT_BACKGROUND, pid, pidfd, &status, NULL), 0);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_confinement(void **state)
{
	assert_int_equal(probe(*state, "--role=probe-net"), PROBE_SOCKET | PROBE_DIR);
	assert_int_equal(probe(*state, "--role=probe-exec"), PROBE_EXEC | PROBE_DIR);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_conversion, setup, teardown),
		cmocka_unit_test_setup_teardown(test_role_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restart_in_the_middle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changed_in_the_middle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restart_before_conversion, setup, teardown),
		cmocka_unit_test_setup_teardown(test_old_leftovers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forget_in_the_middle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_source_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_images, setup, teardown),
		cmocka_unit_test_setup_teardown(test_misbehaving_roles, setup, teardown),
		cmocka_unit_test_setup_teardown(test_converted_link, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stuck_role, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_use_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_confinement, setup, teardown),
	};

	if (argc > 1 && streq(argv[1], "--role=fetch"))
		return fetch_role_main(argc, argv);
	if (argc > 1 && streq(argv[1], "--role=convert"))
		return convert_role_main(argc, argv);
	if (argc > 1 && str_has_prefix(argv[1], "--role=probe"))
		return probe_main(streq(argv[1], "--role=probe-net"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
