/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake Console and the fake SeedWriter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "base/fs.h"
#include "base/memory.h"
#include "driver/fake/console.h"
#include "driver/fake/seed.h"

static Context ctx;

static void test_console_both_ways(void **state _unused_)
{
	Console *c = fake_console_new();
	int a = -1, b = -1;
	char buf[16] = "";

	assert_int_equal(c->ops->attach(c, &ctx, "n", "d", &a, NULL), 0);
	assert_int_equal(c->ops->attach(c, &ctx, "n", "d", &b, NULL), 0);
	assert_int_equal(fake_console_attached(c, "d"), 2);
	fake_console_print(c, "d", NULL, "hi");
	assert_int_equal(read(a, buf, sizeof(buf)), 2);
	assert_int_equal(read(b, buf, sizeof(buf)), 2);
	assert_int_equal(write(b, "ls\n", 3), 3);
	assert_int_equal(fake_console_typed(c, "d", buf, sizeof(buf)), 3);
	assert_string_equal(buf, "ls\n");
	fd_close(a);
	assert_int_equal(fake_console_attached(c, "d"), 1);
	fake_console_end(c, "d");
	assert_int_equal(read(b, buf, sizeof(buf)), 0);
	fd_close(b);
	c->ops->free(c);
}

static void test_console_log_rotates(void **state _unused_)
{
	Console *c = fake_console_new();
	_cleanup_(xfreep) char *text = NULL;
	struct stat st;
	int old = -1, new = -1;

	assert_int_equal(c->ops->log(c, &ctx, "n", "uid", &old, NULL), -ERR_NOT_FOUND);
	fake_console_print(c, NULL, "uid", "one\n");
	assert_int_equal(c->ops->log(c, &ctx, "n", "uid", &old, NULL), 0);
	fake_console_rotate(c, "uid");
	fake_console_print(c, NULL, "uid", "two\n");
	assert_int_equal(fstat(old, &st), 0);
	assert_int_equal(st.st_size, 4);
	assert_int_equal(c->ops->log(c, &ctx, "n", "uid", &new, NULL), 0);
	assert_int_equal(fs_read_fd(new, 100, &text, NULL, NULL), 0);
	assert_string_equal(text, "two\n");
	fd_close(old);
	fd_close(new);
	c->ops->free(c);
}

static void test_seed_writes_once(void **state _unused_)
{
	SeedWriter *inner = fake_seed_new();
	Fault fault = { 0 };
	SeedWriter *s = faulty_seed_new(inner, &fault);
	SeedNic nic = { .name = "eth0", .mac = { { 2, 0, 0, 0, 0, 1 } }, .dhcp4 = true };
	SeedConfig c = { .path = "/x/seed.iso",
			 .instance_id = "i",
			 .hostname = "web-1",
			 .user_data = "a\0b",
			 .user_data_len = 3,
			 .nics = &nic,
			 .n_nics = 1 };
	bool changed = false;

	assert_int_equal(s->ops->ensure(s, &ctx, &c, &changed, NULL), 0);
	assert_true(changed);
	assert_int_equal(s->ops->ensure(s, &ctx, &c, &changed, NULL), 0);
	assert_false(changed);
	nic.dhcp6 = true;
	assert_int_equal(s->ops->ensure(s, &ctx, &c, &changed, NULL), 0);
	assert_true(changed);
	assert_int_equal(fake_seed_changes(inner), 2);
	assert_memory_equal(fake_seed_get(inner, "/x/seed.iso")->user_data, "a\0b", 3);
	c.hostname = "a b";
	assert_int_equal(s->ops->ensure(s, &ctx, &c, &changed, NULL), -ERR_INVALID);
	assert_int_equal(fault.calls, 4);
	s->ops->free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_console_both_ways),
		cmocka_unit_test(test_console_log_rotates),
		cmocka_unit_test(test_seed_writes_once),
	};

	ctx = CONTEXT_BACKGROUND;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
