/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every DiskStore promises, asked of the fake and of the real one. The real one's base image
 * is put into the cache's directory by hand.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/spawn.h"
#include "driver/fake/disk.h"
#include "driver/fake/image.h"
#include "driver/image/cache.h"
#include "driver/image/chain.h"

#include <cmocka.h>

#define UID_A "11111111-1111-4111-8111-111111111111"
#define UID_B "22222222-2222-4222-8222-222222222222"
#define UID_I "33333333-3333-4333-8333-333333333333"
#define GIB   ((uint64_t)1 << 30)
#define HEX   "abababababababababababababababababababababababababababababababab"

typedef struct Env {
	bool real;
	ImageCache *images;
	DiskStore *disks;
	char *dir;
	char digest[IMAGE_DIGEST_MAX];
} Env;

static void run(const char *const *argv)
{
	Error err = ERROR_INIT;

	if (spawn_run(&CONTEXT_BACKGROUND, argv, NULL, NULL, &err) < 0)
		fail_msg("%s", error_message(&err));
}

static void base_real(Env *e)
{
	_cleanup_(xfreep) char *images = xasprintf("%s/images", e->dir);
	_cleanup_(xfreep) char *path = xasprintf("%s/" HEX ".qcow2", images);

	assert_int_equal(fs_mkdir_p(images, 0711, NULL), 0);
	run((const char *const[]){ "/usr/bin/qemu-img", "create", "-q", "-f", "qcow2", path, "1G",
				   NULL });
	snprintf(e->digest, sizeof(e->digest), "sha256:%s", HEX);
}

static void base_fake(Env *e)
{
	ImageRequest r = { .uid = UID_I, .url = "http://h/x" };
	ImageState s;

	e->images = fake_image_cache_new(clock_system());
	fake_image_source_set(e->images, r.url, &(FakeSource){ .content = "x" });
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			e->images->ops->ensure(e->images, &CONTEXT_BACKGROUND, &r, &s, NULL), 0);
	memcpy(e->digest, s.digest, sizeof(e->digest));
}

static int setup(void **state, bool real)
{
	Env *e = xnew0(Env, 1);
	const char *tmp = getenv("TMPDIR");
	char *dir = xasprintf("%s/sf-disk-XXXXXX", tmp ? tmp : "/tmp");
	Error err = ERROR_INIT;

	e->real = real;
	e->dir = mkdtemp(dir);
	if (real) {
		base_real(e);
		if (disk_store_new(&(DiskStoreOptions){ .state_dir = e->dir, .min_free = 1 },
				   &e->disks, &err) < 0)
			fail_msg("%s", error_message(&err));
	} else {
		base_fake(e);
		e->disks = fake_disk_store_new(e->images, NULL);
	}
	*state = e;
	return 0;
}

static int setup_fake(void **state)
{
	return setup(state, false);
}

static int setup_real(void **state)
{
	return setup(state, true);
}

static int teardown(void **state)
{
	Env *e = *state;

	e->disks->ops->free(e->disks);
	if (e->images)
		e->images->ops->free(e->images);
	fs_remove_tree(e->dir, NULL);
	free(e->dir);
	free(e);
	return 0;
}

static int ensure(Env *e, const char *uid, const char *name, const char *digest, uint64_t size,
		  bool offline, DiskInfo *ret)
{
	return e->disks->ops->ensure(
		e->disks, &CONTEXT_BACKGROUND,
		&(DiskRequest){ .instance_uid = uid, .name = name, .digest = digest, .size = size },
		offline, ret, NULL);
}

static void test_make(void **state)
{
	Env *e = *state;
	DiskInfo d, again;

	assert_int_equal(ensure(e, UID_A, "root", e->digest, 2 * GIB, false, &d), 0);
	assert_true(d.created);
	assert_int_equal(d.virtual_size, 2 * GIB);
	assert_string_equal(d.format, "qcow2");
	assert_string_equal(d.base_digest, e->digest);
	assert_true(str_has_suffix(d.path, UID_A "/root.qcow2"));
	assert_true(d.base_path[0] == '/');
	assert_int_equal(ensure(e, UID_A, "root", e->digest, 2 * GIB, true, &again), 0);
	assert_false(again.created);
	assert_string_equal(again.path, d.path);
	assert_int_equal(
		e->disks->ops->inspect(e->disks, &CONTEXT_BACKGROUND, UID_A, "root", &again, NULL),
		0);
	assert_int_equal(again.virtual_size, 2 * GIB);
	assert_string_equal(again.base_path, d.base_path);
}

static void test_sizes(void **state)
{
	Env *e = *state;
	DiskInfo d;

	assert_int_equal(ensure(e, UID_A, "own", e->digest, 0, false, &d), 0);
	assert_int_equal(d.virtual_size, GIB);
	assert_int_equal(ensure(e, UID_A, "small", e->digest, GIB / 2, false, &d), -ERR_INVALID);
	assert_int_equal(ensure(e, UID_A, "none", NULL, 0, false, &d), -ERR_INVALID);
	assert_int_equal(ensure(e, UID_A, "blank", NULL, GIB, false, &d), 0);
	assert_string_equal(d.base_path, "");
	assert_string_equal(d.base_digest, "");
}

static void test_grow(void **state)
{
	Env *e = *state;
	DiskInfo d;

	assert_int_equal(ensure(e, UID_A, "data", NULL, GIB, false, &d), 0);
	assert_int_equal(ensure(e, UID_A, "data", NULL, 2 * GIB, false, &d), 0);
	assert_int_equal(d.virtual_size, GIB); /* it may be running */
	assert_int_equal(ensure(e, UID_A, "data", NULL, 2 * GIB, true, &d), 0);
	assert_int_equal(d.virtual_size, 2 * GIB);
	assert_int_equal(ensure(e, UID_A, "data", NULL, GIB, true, &d), 0);
	assert_int_equal(d.virtual_size, 2 * GIB); /* never smaller */
}

static void test_unknown_base(void **state)
{
	Env *e = *state;
	DiskInfo d;

	assert_int_equal(ensure(e, UID_A, "root", "sha256:0000", GIB, false, &d),
			 e->real ? -ERR_INVALID : -ERR_NOT_FOUND);
	assert_int_equal(
		ensure(e, UID_A, "root",
		       "sha256:0000000000000000000000000000000000000000000000000000000000000000",
		       GIB, false, &d),
		-ERR_NOT_FOUND);
	assert_int_equal(
		e->disks->ops->inspect(e->disks, &CONTEXT_BACKGROUND, UID_A, "root", &d, NULL),
		-ERR_NOT_FOUND);
}

static void test_names(void **state)
{
	static const char *const names[] = {
		"",  "..",  "a/b", "a.b",     "-a",    "a-",
		"A", "a b", "a\n", "json:{}", "nbd:x", "\xe2\x80\xae"
	};
	static const char *const uids[] = { "", "..", "../" UID_A, "x", "/etc", UID_A "/.." };
	Env *e = *state;
	DiskInfo d;
	char path[4096];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (ensure(e, UID_A, names[i], NULL, GIB, false, &d) != -ERR_INVALID)
			fail_msg("disk name \"%s\" passes", names[i]);
	for (size_t i = 0; i < ARRAY_SIZE(uids); i++) {
		assert_int_equal(ensure(e, uids[i], "a", NULL, GIB, false, &d), -ERR_INVALID);
		assert_int_equal(
			e->disks->ops->remove(e->disks, &CONTEXT_BACKGROUND, uids[i], NULL),
			-ERR_INVALID);
		assert_int_equal(e->disks->ops->directory(e->disks, &CONTEXT_BACKGROUND, uids[i],
							  path, NULL),
				 -ERR_INVALID);
	}
}

static size_t count(Env *e)
{
	char(*uids)[UUID_MAX];
	size_t n;

	assert_int_equal(e->disks->ops->list(e->disks, &CONTEXT_BACKGROUND, &uids, &n, NULL), 0);
	free(uids);
	return n;
}

static void test_remove(void **state)
{
	Env *e = *state;
	DiskInfo d;
	char path[4096];

	assert_int_equal(count(e), 0);
	assert_int_equal(ensure(e, UID_A, "a", NULL, GIB, false, &d), 0);
	assert_int_equal(ensure(e, UID_A, "b", NULL, GIB, false, &d), 0);
	assert_int_equal(e->disks->ops->directory(e->disks, &CONTEXT_BACKGROUND, UID_B, path, NULL),
			 0);
	assert_true(str_has_suffix(path, UID_B));
	assert_int_equal(count(e), 2);
	assert_int_equal(e->disks->ops->remove(e->disks, &CONTEXT_BACKGROUND, UID_A, NULL), 0);
	assert_int_equal(e->disks->ops->remove(e->disks, &CONTEXT_BACKGROUND, UID_A, NULL), 0);
	assert_int_equal(count(e), 1);
	assert_int_equal(
		e->disks->ops->inspect(e->disks, &CONTEXT_BACKGROUND, UID_A, "a", &d, NULL),
		-ERR_NOT_FOUND);
}

/* ---- the real one only ---- */

static void test_modes(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *dir = xasprintf("%s/instances/" UID_A, e->dir);
	struct stat st;
	DiskInfo d;

	assert_int_equal(ensure(e, UID_A, "a", NULL, GIB, false, &d), 0);
	assert_int_equal(stat(d.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0711); /* QEMU's user must get to the file */
}

/* A directory that is a link, a disk that is a link: nothing is followed. */
static void test_links(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *victim = xasprintf("%s/victim", e->dir);
	_cleanup_(xfreep) char *inside = xasprintf("%s/victim/file", e->dir);
	_cleanup_(xfreep) char *dir = xasprintf("%s/instances/" UID_A, e->dir);
	_cleanup_(xfreep) char *b = xasprintf("%s/instances/" UID_B, e->dir);
	_cleanup_(xfreep) char *disk = xasprintf("%s/a.qcow2", b);
	_cleanup_(xfreep) char *sub = xasprintf("%s/sub", b);
	DiskInfo d;

	assert_int_equal(mkdir(victim, 0755), 0);
	assert_int_equal(fs_write_atomic(inside, "x", 1, 0644, false, NULL), 0);
	assert_int_equal(symlink(victim, dir), 0);
	assert_true(ensure(e, UID_A, "a", NULL, GIB, false, &d) < 0);
	assert_int_equal(e->disks->ops->remove(e->disks, &CONTEXT_BACKGROUND, UID_A, NULL), 0);
	assert_true(fs_exists(inside));
	assert_int_equal(mkdir(b, 0711), 0);
	assert_int_equal(symlink(inside, disk), 0);
	assert_int_equal(symlink(victim, sub), 0);
	assert_true(ensure(e, UID_B, "a", NULL, GIB, false, &d) < 0);
	assert_int_equal(e->disks->ops->remove(e->disks, &CONTEXT_BACKGROUND, UID_B, NULL), 0);
	assert_true(fs_exists(inside));
}

/* What a crash may leave: a temporary file, an empty disk. */
static void test_leftovers(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *dir = xasprintf("%s/instances/" UID_A, e->dir);
	_cleanup_(xfreep) char *tmp = xasprintf("%s/.a.new", dir);
	_cleanup_(xfreep) char *b = xasprintf("%s/b.qcow2", dir);
	DiskInfo d;

	assert_int_equal(mkdir(dir, 0711), 0);
	assert_int_equal(fs_write_atomic(tmp, "garbage", 7, 0600, false, NULL), 0);
	assert_int_equal(ensure(e, UID_A, "a", NULL, GIB, false, &d), 0);
	assert_true(d.created);
	assert_false(fs_exists(tmp));
	/* Something under the name is never replaced, whatever it is. */
	assert_int_equal(fs_write_atomic(b, "precious", 8, 0600, false, NULL), 0);
	assert_int_equal(ensure(e, UID_A, "b", NULL, GIB, false, &d), -ERR_INTERNAL);
	assert_true(fs_exists(b));
}

static void test_full(void **state)
{
	Env *e = *state;
	DiskStore *full;
	DiskInfo d;
	int rc;

	assert_int_equal(disk_store_new(&(DiskStoreOptions){ .state_dir = e->dir,
							     .min_free = (uint64_t)1 << 60 },
					&full, NULL),
			 0);
	rc = full->ops->ensure(full, &CONTEXT_BACKGROUND,
			       &(DiskRequest){ .instance_uid = UID_A, .name = "a", .size = GIB },
			       false, &d, NULL);
	assert_int_equal(rc, -ERR_EXHAUSTED);
	full->ops->free(full);
}

static void test_chain(void **state)
{
	Env *e = *state;
	_cleanup_(hashmap_freep) Hashmap *bases = hashmap_new(NULL);
	_cleanup_(xfreep) char *bad = xasprintf("%s/instances/" UID_A "/bad.qcow2", e->dir);
	DiskInfo d;

	assert_int_equal(ensure(e, UID_A, "a", e->digest, 0, false, &d), 0);
	assert_int_equal(ensure(e, UID_A, "b", NULL, GIB, false, &d), 0);
	assert_int_equal(chain_bases(e->dir, bases, NULL), 0);
	assert_int_equal(hashmap_size(bases), 1);
	assert_true(hashmap_contains(bases, e->digest));
	/* What cannot be read may stand on anything. */
	assert_int_equal(fs_write_atomic(bad, "x", 1, 0600, false, NULL), 0);
	assert_true(chain_bases(e->dir, bases, NULL) < 0);
}

typedef struct Racer {
	Env *e;
	unsigned created;
} Racer;

static void *race(void *arg)
{
	Racer *r = arg;
	DiskInfo d;

	for (int i = 0; i < 5; i++) {
		char name[16];

		snprintf(name, sizeof(name), "d%d", i);
		if (ensure(r->e, UID_A, name, r->e->digest, 0, true, &d) < 0)
			abort();
		r->created += d.created;
	}
	return NULL;
}

static void test_race(void **state)
{
	Racer racers[4] = { 0 };
	pthread_t threads[4];
	unsigned created = 0;

	for (size_t i = 0; i < 4; i++) {
		racers[i].e = *state;
		assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
	}
	for (size_t i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		created += racers[i].created;
	}
	assert_int_equal(created, 5);
}

#define BOTH(fn) \
	{ #fn " (fake)", fn, setup_fake, teardown, NULL }, \
	{ \
#fn " (real)", fn, setup_real, teardown, NULL \
	}
#define REAL(fn) \
	{ \
#fn " (real)", fn, setup_real, teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_make),  BOTH(test_sizes),  BOTH(test_grow),      BOTH(test_unknown_base),
		BOTH(test_names), BOTH(test_remove), BOTH(test_race),      REAL(test_modes),
		REAL(test_links), REAL(test_full),   REAL(test_leftovers), REAL(test_chain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
