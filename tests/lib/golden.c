/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Golden files. See golden.h.
 */
#include "tests/lib/golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/memory.h"

#define GOLDEN_MAX (4u * 1024 * 1024)

static void fail_at_difference(const char *path, const char *want, const char *got)
{
	unsigned line = 1;
	size_t n = 0;

	while (want[n] && want[n] == got[n])
		line += want[n++] == '\n';
	while (n > 0 && want[n - 1] != '\n')
		n--;
	fail_msg("%s:%u: differs (UPDATE_GOLDEN=1 writes it anew)\nkept: %.*s\nmade: %.*s", path,
		 line, (int)strcspn(want + n, "\n"), want + n, (int)strcspn(got + n, "\n"),
		 got + n);
}

void golden_compare(const char *path, const char *text, size_t len)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *kept = NULL, *made = xmemdup(text ? text : "", len);
	size_t kept_len;

	if (getenv("UPDATE_GOLDEN")) {
		if (fs_write_atomic(path, made, len, 0644, false, &err) < 0)
			fail_msg("%s", error_message(&err));
		return;
	}
	if (fs_read(path, GOLDEN_MAX, &kept, &kept_len, &err) < 0)
		fail_msg("%s (UPDATE_GOLDEN=1 writes it)", error_message(&err));
	if (kept_len != len || memcmp(kept, made, len) != 0)
		fail_at_difference(path, kept, made);
}
