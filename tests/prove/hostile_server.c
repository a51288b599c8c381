/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hostile web server of tests/lib as a program, on all addresses: prints its port, then obeys a
 * line at a time and answers each with a line, until its input ends.
 *
 *	put NAME FILE [ETAG]    serves FILE as NAME
 *	turn                    what is under /turn/ shows its other face
 *	count PREFIX            requests so far whose path begins so
 *	times PREFIX            when they came, in milliseconds after the first of them
 */
#include <stdio.h>

#include "base/fs.h"
#include "base/memory.h"
#include "tests/lib/hostile_http.h"

#define FILE_MAX  (64u << 20)
#define TIMES_MAX 1000

static const char *put(HostileHttp *h, const char *name, const char *path, const char *etag)
{
	_cleanup_(xfreep) char *data = NULL;
	size_t len;

	if (fs_read(path, FILE_MAX, &data, &len, NULL) < 0)
		return "cannot read it";
	hostile_http_put(h, name, data, len, etag);
	return "ok";
}

static void times(HostileHttp *h, const char *prefix)
{
	static usec_t at[TIMES_MAX];
	size_t n = hostile_http_times(h, prefix, at, TIMES_MAX);

	for (size_t i = 0; i < n; i++)
		printf("%s%llu", i ? " " : "",
		       (unsigned long long)((at[i] - at[0]) / USEC_PER_MSEC));
	printf("\n");
}

int main(void)
{
	_cleanup_(hostile_http_freep) HostileHttp *h = hostile_http_new_public();
	char line[8192], word[16], a[4096], b[4096], c[256];

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("%u\n", hostile_http_port(h));
	while (fgets(line, sizeof(line), stdin)) {
		int n = sscanf(line, "%15s %4095s %4095s %255s", word, a, b, c);

		if (n >= 3 && streq(word, "put"))
			printf("%s\n", put(h, a, b, n > 3 ? c : NULL));
		else if (n == 2 && streq(word, "count"))
			printf("%u\n", hostile_http_count(h, a));
		else if (n == 2 && streq(word, "times"))
			times(h, a);
		else if (n == 1 && streq(word, "turn"))
			hostile_http_turn(h), printf("ok\n");
		else
			printf("no such command\n");
	}
	return 0;
}
