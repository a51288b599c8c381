/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts a program as systemd would and says how long it took to READY=1, and what it then weighs
 * and has used of the processors.
 *
 *     ready FILE PROGRAM [ARGUMENT...]
 *
 * Prints "MILLISECONDS PSS-KIB PROCESSOR-MILLISECONDS" and ends the program again by SIGTERM. FILE
 * takes its standard error.
 */
#include "bench.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "base/fs.h"
#include "base/memory.h"

static int notify_socket(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = 60 };
	_cleanup_(xfreep) char *name = xasprintf("@bench-ready-%d", (int)getpid());
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));

	memcpy(addr.sun_path + 1, name + 1, strlen(name) - 1);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		bench_die("notify socket: %m");
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static bool message_is_ready(const char *text)
{
	const char *at = strstr(text, "READY=1");

	return at && (at == text || at[-1] == '\n');
}

static void wait_ready(int fd)
{
	char text[4096];

	do {
		ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

		if (n < 0)
			bench_die("no READY=1: %m");
		text[n] = '\0';
	} while (!message_is_ready(text));
}

static unsigned long pss(pid_t pid)
{
	_cleanup_(xfreep) char *path = xasprintf("/proc/%d/smaps_rollup", (int)pid);
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *text = NULL;
	const char *at;

	bench_check(fs_read(path, 1 << 16, &text, NULL, &err), &err, path);
	at = strstr(text, "\nPss:");
	return at ? strtoul(at + 5, NULL, 10) : 0;
}

/* Of all its threads, in milliseconds; what other work on the machine does not change. */
static double processor_time(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
		bench_die("processor time of %d: %m", (int)pid);
	return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
	usec_t from, to;
	unsigned long kib;
	double used;
	int fd, errors;
	pid_t pid;

	if (argc < 3)
		bench_die("usage: ready FILE PROGRAM [ARGUMENT...]");
	errors = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (errors < 0 || dup2(errors, STDERR_FILENO) < 0)
		bench_die("%s: %m", argv[1]);
	fd = notify_socket();
	from = clock_now(clock_system());
	pid = bench_start((const char *const *)&argv[2], -1);
	wait_ready(fd);
	to = clock_now(clock_system());
	used = processor_time(pid);
	kib = pss(pid);
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	printf("%.1f %lu %.1f\n", (double)(to - from) / 1000, kib, used);
	return 0;
}
