/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting the net role where there is no systemd. See net.h.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/memory.h"
#include "base/spawn.h"
#include "driver/net/net.h"

#define ROLE_FD   "3"
#define STOP_WAIT 2000 /* ms, until it is killed */

void net_spawn_done(NetSpawn *s)
{
	struct pollfd p = { .fd = s->pidfd, .events = POLLIN };
	siginfo_t info;

	if (s->pid <= 0)
		return;
	kill(s->pid, SIGTERM); /* our child, not waited for yet: the pid is its own */
	if (poll(&p, 1, STOP_WAIT) <= 0)
		kill(s->pid, SIGKILL);
	waitid(P_PIDFD, (id_t)s->pidfd, &info, WEXITED);
	s->pidfd = fd_close(s->pidfd);
	s->pid = 0;
}

int net_spawn(void *arg, int *ret_fd, Error *err)
{
	NetSpawn *s = arg;
	_cleanup_(fd_closep) int ours = -1, theirs = -1;
	const char *const argv[] = { s->exe,  "--role=net",    "--net-socket-fd",
				     ROLE_FD, "--runtime-dir", s->runtime_dir,
				     NULL };
	int fds[2], rc;

	net_spawn_done(s); /* of an earlier one, whose connection has ended */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return error_set_errno(err, errno, "socketpair");
	ours = fds[0];
	theirs = fds[1];
	rc = spawn_start(
		&(SpawnOptions){
			.argv = argv, .fds = (SpawnFd[]){{ 2, 2 }, { theirs, 3 }},
                             .n_fds = 2
        },
		&s->pid, &s->pidfd, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "start the net role");
	*ret_fd = TAKE_FD(ours);
	return 0;
}
