/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums of files that grow, taken behind their writer.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <sys/mman.h>

#include "base/fs.h"
#include "base/memory.h"
#include "driver/image/hasher.h"

#include <cmocka.h>

#define SIZE (3u * 1024 * 1024 + 77)

static char *content(void)
{
	char *p = xmalloc(SIZE);

	for (size_t i = 0; i < SIZE; i++)
		p[i] = (char)(i * 7 + i / 4093);
	return p;
}

/* Written in pieces of all sizes; asked for in the middle, too. */
static void test_growing(void **state)
{
	_cleanup_(fd_closep) int fd = memfd_create("file", MFD_CLOEXEC);
	_cleanup_(xfreep) char *p = content();
	char got[SHA_HEX_MAX], wanted[SHA_HEX_MAX];
	size_t at = 0;

	(void)state;
	for (ShaAlgorithm a = SHA_256; a <= SHA_512; a++) {
		Hasher *h = hasher_new(fd, a);

		assert_int_equal(ftruncate(fd, 0), 0);
		for (size_t piece = 1; at < SIZE; piece = piece * 3 % 100003 + 1) {
			size_t n = MIN(piece, SIZE - at);

			assert_int_equal(pwrite(fd, p + at, n, (off_t)at), n);
			at += n;
			hasher_grow(h, at);
			if (piece % 16)
				continue;
			assert_int_equal(hasher_hex(h, got, NULL), 0);
			assert_string_equal(got, sha_hex_of(a, p, at, wanted));
		}
		assert_int_equal(hasher_hex(h, got, NULL), 0);
		assert_string_equal(got, sha_hex_of(a, p, SIZE, wanted));
		hasher_free(h);
		at = 0;
	}
}

static void test_nothing(void **state)
{
	_cleanup_(fd_closep) int fd = memfd_create("file", MFD_CLOEXEC);
	char got[SHA_HEX_MAX], wanted[SHA_HEX_MAX];
	Hasher *h = hasher_new(fd, SHA_256);

	(void)state;
	assert_int_equal(hasher_hex(h, got, NULL), 0);
	assert_string_equal(got, sha_hex_of(SHA_256, "", 0, wanted));
	hasher_free(h);
	hasher_free(hasher_new(fd, SHA_512)); /* never asked */
	hasher_free(NULL);
}

/* What was said to be there is not: an error, each time, and no wait without end. */
static void test_shorter_than_said(void **state)
{
	_cleanup_(fd_closep) int fd = memfd_create("file", MFD_CLOEXEC);
	_cleanup_(error_done) Error err = ERROR_INIT;
	char got[SHA_HEX_MAX];
	Hasher *h = hasher_new(fd, SHA_256);

	(void)state;
	assert_int_equal(fs_write_all(fd, "hello", 5, NULL), 0);
	hasher_grow(h, 6);
	assert_true(hasher_hex(h, got, &err) < 0);
	assert_true(hasher_hex(h, got, NULL) < 0);
	hasher_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_growing),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_shorter_than_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
