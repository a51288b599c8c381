/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A full disk: a store on a small tmpfs in a mount namespace of its own. Writes fail with a text
 * that names the file, reads go on, deletes work, and with space everything does, without a
 * restart.
 */
#include "tests/unit/store/fixture.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include "base/fs.h"

#define DISK_SIZE "size=12m"

typedef struct World {
	char dir[64], state[96], filler[96];
	KindRegistry *kinds;
	Store *s;
} World;

static int setup(void **state)
{
	World *w = xnew0(World, 1);
	Backend *b = NULL;

	snprintf(w->dir, sizeof(w->dir), "/tmp/sf-full-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	assert_int_equal(mount("tmpfs", w->dir, "tmpfs", 0, DISK_SIZE), 0);
	snprintf(w->filler, sizeof(w->filler), "%s/filler", w->dir);
	snprintf(w->state, sizeof(w->state), "%s/store", w->dir);
	assert_int_equal(fs_mkdir_p(w->state, 0700, NULL), 0);
	w->kinds = kind_registry_new();
	assert_int_equal(sqlite_backend_open(w->state, &b, NULL), 0);
	assert_int_equal(store_open(b, &(StoreOptions){ .kinds = w->kinds }, &w->s, NULL), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	World *w = *state;

	store_free(w->s);
	kind_registry_free(w->kinds);
	umount2(w->dir, MNT_DETACH);
	rmdir(w->dir);
	free(w);
	return 0;
}

/* Takes all the space that is left. */
static void fill(World *w)
{
	static const char zeros[65536];
	int fd = open(w->filler, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	size_t chunk = sizeof(zeros);

	assert_true(fd >= 0);
	while (chunk > 0)
		if (write(fd, zeros, chunk) < 0)
			chunk /= 2;
	close(fd);
}

static int create_big(Store *s, unsigned i, Error *err)
{
	_cleanup_(xfreep) char *value = xmalloc(60001);
	char name[16];
	Key key;

	memset(value, 'v', 60000);
	value[60000] = '\0';
	snprintf(name, sizeof(name), "c%u", i);
	key = config_key(name);
	return create_tree(s, &key, config_tree(name, value), err);
}

static void test_full_and_back(void **state)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	World *w = *state;
	Key first = config_key("c0");
	unsigned n = 0, kept;
	usec_t deadline;
	int rc;

	for (; n < 20; n++)
		assert_int_equal(create_big(w->s, n, &err), 0);
	fill(w);
	/* What space the files already have may still take a few. */
	while ((rc = create_big(w->s, n, &err)) == 0)
		assert_true(++n < 400);
	assert_int_equal(rc, -ERR_EXHAUSTED);
	assert_non_null(strstr(error_message(&err), "store.db"));
	kept = n;
	assert_int_equal(store_count(w->s, GR_CONFIGMAP, NULL), kept);
	assert_true(store_exists(w->s, &first));
	/* Creating stays refused, deleting works. */
	assert_int_equal(create_big(w->s, n + 1, NULL), -ERR_EXHAUSTED);
	for (unsigned i = 0; i < kept / 2; i++) {
		char name[16];

		snprintf(name, sizeof(name), "c%u", i);
		assert_int_equal(delete_config(w->s, name), 0);
	}
	assert_int_equal(store_count(w->s, GR_CONFIGMAP, NULL), kept - kept / 2);
	/* Space is back. */
	assert_int_equal(unlink(w->filler), 0);
	deadline = clock_now(clock_system()) + 10 * USEC_PER_SEC;
	while ((rc = create_big(w->s, 1000, &err)) < 0 && clock_now(clock_system()) < deadline)
		sched_yield();
	assert_int_equal(rc, 0);
}

/* Nothing has failed yet when the first thing that is asked for is to delete. */
static void test_delete_comes_first(void **state)
{
	World *w = *state;
	char name[16];

	for (unsigned n = 0; n < 20; n++)
		assert_int_equal(create_big(w->s, n, NULL), 0);
	fill(w);
	for (unsigned i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		assert_int_equal(delete_config(w->s, name), 0);
	}
	assert_int_equal(store_count(w->s, GR_CONFIGMAP, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_full_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_delete_comes_first, setup, teardown),
	};

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		fprintf(stderr, "this test needs to be root in a mount namespace\n");
		return 1;
	}
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
