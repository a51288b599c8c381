/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spawn: clone with a pidfd, a child that makes only async-signal-safe calls, exec. See spawn.h.
 *
 * posix_spawn(3) can neither enter a network namespace nor ask for a signal at our death, hence the
 * clone. The parent death signal belongs to the thread that spawned: a child of a thread that ends
 * is killed with it (prctl(2)).
 */
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/failpoint.h"
#include "base/memory.h"

#define SPAWN_FDS_MAX    16
#define SPAWN_FD_BASE    64 /* where the child parks descriptors while it sorts them */
#define SPAWN_OUTPUT_MAX (1024u * 1024)
#define SPAWN_POLL_MAX   USEC_PER_SEC

/* What the child needs, all prepared before the clone. */
typedef struct Child {
	const SpawnOptions *o;
	char *const *argv;
	char *const *env;
	pid_t parent;
	int status_fd; /* errno of a failure; closed by a successful exec */
} Child;

/* ThreadSanitizer does not see a raw clone. Told of a fork it looks away in the child, instead of
 * taking the child's descriptors for ours, and leaves it no lock that another thread held. */
#ifdef __SANITIZE_THREAD__
void __sanitizer_syscall_pre_impl_fork(void);
void __sanitizer_syscall_post_impl_fork(long pid);
#define spawn_clone_begin() __sanitizer_syscall_pre_impl_fork()
#define spawn_clone_end(p)  __sanitizer_syscall_post_impl_fork(p)
#else
#define spawn_clone_begin() ((void)0)
#define spawn_clone_end(p)  ((void)0)
#endif

static _noreturn_ void child_fail(const Child *c)
{
	int saved = errno;

	(void)!write(c->status_fd, &saved, sizeof(saved));
	_exit(127);
}

static void child_signals(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		sigaction(s, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Moves every wanted descriptor out of the way first, so that no dup2() overwrites one still
 * needed. */
static void child_descriptors(const Child *c)
{
	int parked[SPAWN_FDS_MAX], null;

	for (size_t i = 0; i < c->o->n_fds; i++) {
		parked[i] = fcntl(c->o->fds[i].fd, F_DUPFD_CLOEXEC, SPAWN_FD_BASE);
		if (parked[i] < 0)
			child_fail(c);
	}
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		child_fail(c);
	for (int fd = 0; fd <= 2; fd++)
		if (dup2(null, fd) < 0)
			child_fail(c);
	syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
	for (size_t i = 0; i < c->o->n_fds; i++)
		if (dup2(parked[i], c->o->fds[i].target) < 0)
			child_fail(c);
}

static _noreturn_ void child_run(const Child *c)
{
	setpgid(0, 0);
	child_signals();
	if (!c->o->outlive) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != c->parent)
			_exit(127); /* we were too late: it is gone */
	}
	if (c->o->netns_fd > 0 && setns(c->o->netns_fd, CLONE_NEWNET) < 0)
		child_fail(c);
	child_descriptors(c);
	if (c->o->filter && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, c->o->filter) < 0)
		child_fail(c);
	execve(c->argv[0], c->argv, c->env);
	child_fail(c);
}

static char **spawn_environment(const SpawnOptions *o)
{
	char **env = strv_append(NULL, "PATH=/usr/sbin:/usr/bin:/sbin:/bin");

	env = strv_append(env, "LC_ALL=C");
	for (const char *const *e = o->env; e && *e; e++)
		env = strv_append(env, *e);
	if (fail_point_environment())
		env = strv_append(env, fail_point_environment());
	return env;
}

static int spawn_reap(int pidfd)
{
	siginfo_t info;

	while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
	return 0;
}

int spawn_start(const SpawnOptions *o, pid_t *ret_pid, int *ret_pidfd, Error *err)
{
	_cleanup_(strv_freep) char **env = spawn_environment(o);
	_cleanup_(fd_closep) int read_end = -1, write_end = -1, pidfd = -1;
	Child c = { .o = o, .argv = (char *const *)o->argv, .env = env, .parent = getpid() };
	int fds[2], failure = 0;
	ssize_t n;
	long pid;

	assert(o->n_fds <= SPAWN_FDS_MAX);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_set_errno(err, errno, "pipe");
	read_end = fds[0];
	write_end = fcntl(fds[1], F_DUPFD_CLOEXEC, 2 * SPAWN_FD_BASE); /* above all targets */
	close(fds[1]);
	c.status_fd = write_end;
	/* Not clone3: a filter that looks at the flags must refuse that, as the image roles' does
	 * and RestrictNamespaces= of our units. */
	spawn_clone_begin();
	pid = syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, &pidfd, NULL, NULL);
	spawn_clone_end(pid);
	if (pid < 0)
		return error_set_errno(err, errno, "start %s", o->argv[0]);
	if (pid == 0)
		child_run(&c);
	write_end = fd_close(write_end);
	while ((n = read(read_end, &failure, sizeof(failure))) < 0 && errno == EINTR)
		;
	if (n == (ssize_t)sizeof(failure)) {
		spawn_reap(pidfd);
		return error_set_errno(err, failure, "start %s", o->argv[0]);
	}
	*ret_pid = (pid_t)pid;
	*ret_pidfd = TAKE_FD(pidfd);
	return 0;
}

static void spawn_kill(pid_t pid, int pidfd)
{
	/* The group first, while its leader still keeps the number from being used again. */
	kill(-pid, SIGKILL);
	syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}

static int poll_timeout(Context *ctx)
{
	return (int)(MIN(context_remaining(ctx), SPAWN_POLL_MAX) / USEC_PER_MSEC) + 1;
}

int spawn_wait(Context *ctx, pid_t pid, int pidfd, int *ret_status, Error *err)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int rc = 0, status = 0;

	while (poll(&p, 1, poll_timeout(ctx)) <= 0) {
		rc = context_check(ctx, err);
		if (rc < 0) {
			spawn_kill(pid, pidfd);
			break;
		}
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (rc == 0)
		*ret_status = status;
	return rc;
}

/* Reads both pipes until their ends or until the context ends. */
static int spawn_drain(Context *ctx, int fds[2], StrBuf *bufs[2], Error *err)
{
	struct pollfd p[2] = {
		{.fd = fds[0],  .events = POLLIN},
                { .fd = fds[1], .events = POLLIN}
	};
	char chunk[4096];
	ssize_t n;
	int rc;

	while (p[0].fd >= 0 || p[1].fd >= 0) {
		rc = context_check(ctx, err);
		if (rc < 0)
			return rc;
		if (poll(p, 2, poll_timeout(ctx)) <= 0)
			continue;
		for (int i = 0; i < 2; i++) {
			if (p[i].fd < 0 || !p[i].revents)
				continue;
			n = read(p[i].fd, chunk, sizeof(chunk));
			if (n > 0)
				strbuf_add(bufs[i], chunk, (size_t)n);
			else if (n == 0 || errno != EINTR)
				p[i].fd = -1;
		}
	}
	return 0;
}

static int spawn_status(const char *program, int status, const StrBuf *errout, Error *err)
{
	const char *name = strrchr(program, '/'), *text = strbuf_str(errout);
	char line[400], how[64];

	name = name ? name + 1 : program;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status))
		snprintf(how, sizeof(how), "exit %d", WEXITSTATUS(status));
	else
		snprintf(how, sizeof(how), "killed by signal %d", WTERMSIG(status));
	snprintf(line, sizeof(line), "%.*s", (int)MIN(strcspn(text, "\n"), sizeof(line) - 1), text);
	return error_set(err, ERR_UNAVAILABLE, "%s: %s%s%s", name, how, *line ? ": " : "", line);
}

int spawn_run_with(Context *ctx, const SpawnOptions *o, StrBuf *out, StrBuf *errout, Error *err)
{
	SpawnOptions options = *o;
	_cleanup_(strbuf_done) StrBuf own_out = STRBUF_INIT_MAX(SPAWN_OUTPUT_MAX);
	_cleanup_(strbuf_done) StrBuf own_err = STRBUF_INIT_MAX(SPAWN_OUTPUT_MAX);
	_cleanup_(fd_closep) int pidfd = -1;
	StrBuf *bufs[2] = { out ? out : &own_out, errout ? errout : &own_err };
	int outs[2], errs[2], rc, status = 0;
	pid_t pid;

	for (int i = 0; i < 2; i++)
		if (!bufs[i]->max)
			bufs[i]->max = SPAWN_OUTPUT_MAX;
	if (pipe2(outs, O_CLOEXEC) < 0)
		return error_set_errno(err, errno, "pipe");
	if (pipe2(errs, O_CLOEXEC) < 0) {
		close(outs[0]);
		close(outs[1]);
		return error_set_errno(err, errno, "pipe");
	}
	options.fds = (SpawnFd[]){
		{outs[1],  1},
                { errs[1], 2}
	};
	options.n_fds = 2;
	rc = spawn_start(&options, &pid, &pidfd, err);
	close(outs[1]);
	close(errs[1]);
	if (rc == 0) {
		rc = spawn_drain(ctx, (int[]){ outs[0], errs[0] }, bufs, err);
		if (rc < 0)
			spawn_kill(pid, pidfd);
		if (rc < 0)
			spawn_wait(&CONTEXT_BACKGROUND, pid, pidfd, &status, NULL);
		else
			rc = spawn_wait(ctx, pid, pidfd, &status, err);
	}
	close(outs[0]);
	close(errs[0]);
	if (rc < 0)
		return error_wrap_rc(err, rc, "%s", o->argv[0]);
	return spawn_status(o->argv[0], status, bufs[1], err);
}

int spawn_run(Context *ctx, const char *const *argv, StrBuf *out, StrBuf *errout, Error *err)
{
	return spawn_run_with(ctx, &(SpawnOptions){ .argv = argv }, out, errout, err);
}
