/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Journal: the log sink with fields. Values go as they are: the journal's protocol carries any
 * bytes with their length, so nothing in them can begin another field. Any thread.
 */
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

#include "base/memory.h"
#include "daemon/daemon.h"

#define FIELDS_MAX 64

bool journal_available(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &device, &inode) != 2)
		return false;
	/* A child or a redirect inherits the variable, not the descriptor. */
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == (dev_t)device &&
	       st.st_ino == (ino_t)inode;
}

static bool is_repeated(const LogField *fields, size_t n, size_t i)
{
	for (size_t j = i + 1; j < n; j++)
		if (streq(fields[j].name, fields[i].name))
			return true;
	return false;
}

static void add(struct iovec *iov, size_t *n, const char *name, const char *value)
{
	char *text;

	if (*n >= FIELDS_MAX)
		return;
	text = xasprintf("%s=%s", name, value);
	iov[(*n)++] = (struct iovec){ .iov_base = text, .iov_len = strlen(text) };
}

void journal_sink(void *arg, LogLevel level, const char *message_id, const char *text,
		  const LogField *fields, size_t n_fields)
{
	struct iovec iov[FIELDS_MAX];
	char priority[2] = { (char)('0' + level), '\0' };
	size_t n = 0;

	(void)arg;
	add(iov, &n, "MESSAGE", text);
	add(iov, &n, "PRIORITY", priority);
	if (message_id)
		add(iov, &n, "MESSAGE_ID", message_id);
	/* A line's own field takes the place of one that its thread carries. */
	for (size_t i = 0; i < n_fields; i++)
		if (fields[i].value && !is_repeated(fields, n_fields, i))
			add(iov, &n, fields[i].name, fields[i].value);
	sd_journal_sendv(iov, (int)n);
	for (size_t i = 0; i < n; i++)
		free(iov[i].iov_base);
}
