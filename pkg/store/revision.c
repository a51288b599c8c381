/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The revision file: "UUID REVISION", outside the database, rewritten in place after each commit.
 * It is not synced: a power cut may leave it behind the database, never before it, and what it is
 * for (telling a restored backup from the store that was) survives being a little behind. Writing
 * in place needs no space.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/fs.h"
#include "base/memory.h"
#include "store/store_internal.h"

#define LINE_MAX 64

int revision_file_open(Store *s, const char *path, int64_t *known, bool *ret_other_store,
		       Error *err)
{
	_cleanup_(fd_closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	char line[LINE_MAX + 1], id[UUID_MAX];
	long long rev;
	ssize_t n;

	if (fd < 0)
		return error_set_errno(err, errno, "open %s", path);
	n = pread(fd, line, LINE_MAX, 0);
	if (n < 0)
		return error_set_errno(err, errno, "read %s", path);
	line[n] = '\0';
	*ret_other_store = false;
	/* Whatever else stands there is no knowledge: it is overwritten. */
	if (sscanf(line, "%36s %lld", id, &rev) == 2 && uuid_is_valid(id) && rev > 0) {
		*known = MAX(*known, (int64_t)rev);
		*ret_other_store = !streq(id, s->id);
	}
	s->revision_fd = TAKE_FD(fd);
	return 0;
}

void revision_file_write(Store *s)
{
	char line[LINE_MAX];
	int n;

	if (s->revision_fd < 0)
		return;
	/* Of one length always, so that a write never leaves an old tail. */
	n = snprintf(line, sizeof(line), "%s %020lld\n", s->id, (long long)s->revision);
	(void)!pwrite(s->revision_fd, line, (size_t)n, 0);
}
