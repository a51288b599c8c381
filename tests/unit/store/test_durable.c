/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Acknowledged means on the disk: between a write and its answer SQLite has synced the log. The
 * program's own fdatasync() and fsync() stand before libc's, for SQLite too, and count; so this
 * needs no power cut (hack/prove power-cuts makes those).
 */
#include "tests/unit/store/fixture.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "base/fs.h"

static atomic_uint syncs;

__attribute__((visibility("default"))) int fdatasync(int fd)
{
	atomic_fetch_add(&syncs, 1);
	return (int)syscall(SYS_fdatasync, fd);
}

__attribute__((visibility("default"))) int fsync(int fd)
{
	atomic_fetch_add(&syncs, 1);
	return (int)syscall(SYS_fsync, fd);
}

static void test_synced_before_the_answer(_unused_ void **state)
{
	char dir[] = "/tmp/sf-durable-XXXXXX", name[16];
	KindRegistry *kinds = kind_registry_new();
	Backend *b = NULL;
	Store *s = NULL;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(sqlite_backend_open(dir, &b, NULL), 0);
	assert_int_equal(store_open(b, &(StoreOptions){ .kinds = kinds }, &s, NULL), 0);
	for (int i = 0; i < 20; i++) {
		unsigned before = atomic_load(&syncs);

		snprintf(name, sizeof(name), "c%d", i);
		assert_int_equal(create_config(s, name, "v"), 0);
		assert_true(atomic_load(&syncs) > before);
		before = atomic_load(&syncs);
		assert_int_equal(set_config(s, name, "w"), 0);
		assert_true(atomic_load(&syncs) > before);
		before = atomic_load(&syncs);
		assert_int_equal(delete_config(s, name), 0);
		assert_true(atomic_load(&syncs) > before);
	}
	store_free(s);
	kind_registry_free(kinds);
	fs_remove_tree(dir, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_synced_before_the_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
