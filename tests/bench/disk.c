/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long this disk takes to make 4 KiB durable: what every durable write is measured against.
 *
 *     disk DIRECTORY
 *
 * Prints the median and the 99th percentile of a write and fdatasync to a file that has its size,
 * in microseconds, as a JSON object.
 */
#include "bench.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/memory.h"

#define WRITES 500

int main(int argc, char **argv)
{
	_cleanup_(xfreep) char *path = NULL;
	static const char block[4096];
	Samples times = { 0 };
	int fd;

	if (argc != 2)
		bench_die("usage: disk DIRECTORY");
	path = xasprintf("%s/bench-disk-XXXXXX", argv[1]);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0 || unlink(path) < 0)
		bench_die("%s: %m", path);
	for (int i = 0; i < 2 * WRITES; i++) {
		usec_t from = clock_now(clock_system());

		if (pwrite(fd, block, sizeof(block), i % WRITES * (off_t)sizeof(block)) !=
			    (ssize_t)sizeof(block) ||
		    fdatasync(fd) < 0)
			bench_die("write: %m");
		if (i >= WRITES) /* the first half makes the file as large as it is */
			samples_add(&times, (double)(clock_now(clock_system()) - from));
	}
	printf("{\"p50\": %.0f, \"p99\": %.0f}\n", samples_quantile(&times, 0.5),
	       samples_quantile(&times, 0.99));
	samples_done(&times);
	fd_close(fd);
	return 0;
}
