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

int main(int argc, char **argv)
{
	usec_t from, to;
	double used, kib;
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
	used = bench_cpu(pid) / 1000;
	kib = bench_pss(pid);
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	printf("%.1f %.0f %.1f\n", (double)(to - from) / 1000, kib, used);
	return 0;
}
