/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dnsmasq's files and process. See dnsmasq.h.
 */
#include "driver/net/dnsmasq.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "base/hashmap.h"
#include "base/memory.h"
#include "base/spawn.h"
#include "driver/net/netns.h"

#define DNSMASQ_PATH  "/usr/sbin/dnsmasq"
#define START_TIMEOUT (5 * USEC_PER_SEC)
#define STOP_TIMEOUT  (2 * USEC_PER_SEC)
#define FILE_MAX      (256u * 1024)

const char *dnsmasq_user(void)
{
	return getpwnam("dnsmasq") ? "dnsmasq" : "nobody";
}

/* ---- process ---- */

static int pidfd_open_pid(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static int wait_readable(int fd, usec_t timeout)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, (int)(timeout / USEC_PER_MSEC));
}

bool dnsmasq_runs(const Dnsmasq *d)
{
	return d->pid > 0 && wait_readable(d->pidfd, 0) == 0;
}

void dnsmasq_reap(Dnsmasq *d)
{
	siginfo_t info;

	if (d->pid <= 0)
		return;
	/* One that was adopted is not our child: then this fails, and init has reaped it. */
	waitid(P_PIDFD, (id_t)d->pidfd, &info, WEXITED | WNOHANG);
	d->pidfd = fd_close(d->pidfd);
	d->pid = 0;
}

int dnsmasq_stop(Dnsmasq *d, Error *err)
{
	const int signals[] = { SIGTERM, SIGKILL };

	for (size_t i = 0; d->pid > 0 && i < ARRAY_SIZE(signals); i++) {
		if (syscall(SYS_pidfd_send_signal, d->pidfd, signals[i], NULL, 0) < 0 &&
		    errno != ESRCH)
			return error_set_errno(err, errno, "signal dnsmasq %d", (int)d->pid);
		if (wait_readable(d->pidfd, STOP_TIMEOUT) > 0)
			dnsmasq_reap(d);
	}
	return d->pid > 0 ? error_set(err, ERR_TIMEOUT, "dnsmasq %d does not end", (int)d->pid) : 0;
}

static bool proc_read(pid_t pid, const char *file, char **ret, size_t *ret_len)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	return fs_read(path, 64 * 1024, ret, ret_len, NULL) == 0;
}

static bool is_ours(pid_t pid, const char *directory)
{
	_cleanup_(xfreep) char *cmdline = NULL, *want = NULL;
	char path[64], exe[64];
	size_t len;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	n = readlink(path, exe, sizeof(exe) - 1);
	if (n < 0)
		return false;
	exe[n] = '\0';
	/* " (deleted)" after an upgrade of the package. */
	if (!str_has_prefix(exe, DNSMASQ_PATH) || !proc_read(pid, "cmdline", &cmdline, &len))
		return false;
	want = xasprintf("--conf-file=%s/dnsmasq.conf", directory);
	for (size_t i = 0; i < len; i += strlen(cmdline + i) + 1)
		if (streq(cmdline + i, want))
			return true;
	return false;
}

static bool is_in_netns(pid_t pid, int netns_fd)
{
	struct stat st;
	char path[64];

	if (netns_fd < 0)
		return true;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	return stat(path, &st) == 0 && st.st_ino == netns_inode(netns_fd);
}

/* Takes pid over if it is our dnsmasq; the descriptor is opened first, so that the pid cannot be
 * given to another process between the look and the use. */
static bool adopt_pid(Dnsmasq *d, pid_t pid, const char *directory)
{
	int fd = pid > 1 ? pidfd_open_pid(pid) : -1;

	if (fd < 0)
		return false;
	if (!is_ours(pid, directory) || wait_readable(fd, 0) != 0) {
		fd_close(fd);
		return false;
	}
	*d = (Dnsmasq){ .pid = pid, .pidfd = fd };
	return true;
}

static bool adopt_any(Dnsmasq *d, const char *directory)
{
	_cleanup_(closedirp) DIR *proc = opendir("/proc");
	struct dirent *e;

	while (proc && (e = readdir(proc))) {
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);

		if (pid > 1 && adopt_pid(d, pid, directory))
			return true;
	}
	return false;
}

int dnsmasq_adopt(Dnsmasq *d, const char *directory, int netns_fd, Error *err)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/dnsmasq.pid", directory), *text = NULL;

	if (dnsmasq_runs(d))
		return 0;
	dnsmasq_reap(d);
	if (fs_read(path, 64, &text, NULL, NULL) < 0 ||
	    !adopt_pid(d, (pid_t)strtol(text, NULL, 10), directory))
		adopt_any(d, directory);
	if (d->pid > 0 && !is_in_netns(d->pid, netns_fd))
		return dnsmasq_stop(d, err);
	return 0;
}

/* Why it did not start, in its own words. */
static int start_failure(const char *conf, Error *err)
{
	const char *const argv[] = { DNSMASQ_PATH, "--test", conf, NULL };
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT_MAX(1024);
	_cleanup_(error_done) Error e = ERROR_INIT;
	Context ctx = CONTEXT_BACKGROUND;
	Context bounded = context_with_timeout(&ctx, START_TIMEOUT);
	const char *line;

	if (spawn_run(&bounded, argv, NULL, &text, &e) == 0)
		return error_set(err, ERR_UNAVAILABLE, "dnsmasq ended at once");
	line = strbuf_str(&text) + strspn(strbuf_str(&text), "\n");
	return error_set(err, ERR_UNAVAILABLE, "%.*s", (int)strcspn(line, "\n"), line);
}

/* The pid file is written once every socket is bound. */
static int wait_ready(Dnsmasq *d, int inotify, const char *pid_file, const char *conf, Error *err)
{
	usec_t deadline = clock_now(clock_system()) + START_TIMEOUT, now;
	char buf[4096];

	while (!fs_exists(pid_file)) {
		struct pollfd p[] = {
			{.fd = inotify,   .events = POLLIN},
                        { .fd = d->pidfd, .events = POLLIN}
		};

		now = clock_now(clock_system());
		if (now >= deadline)
			return error_set(err, ERR_TIMEOUT, "dnsmasq is not ready after 5 s");
		poll(p, 2, (int)((deadline - now) / USEC_PER_MSEC) + 1);
		if (p[1].revents) {
			dnsmasq_reap(d);
			return start_failure(conf, err);
		}
		(void)!read(inotify, buf, sizeof(buf));
	}
	return 0;
}

static int dnsmasq_start(Dnsmasq *d, const char *directory, int netns_fd, Error *err)
{
	_cleanup_(xfreep) char *conf = xasprintf("--conf-file=%s/dnsmasq.conf", directory);
	_cleanup_(xfreep) char *pid_file = xasprintf("%s/dnsmasq.pid", directory);
	_cleanup_(fd_closep) int inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	const char *const argv[] = { DNSMASQ_PATH, conf, NULL };
	/* The journal's stream survives us; a pipe of whoever started us would not. */
	const SpawnFd journal = { .fd = 2, .target = 2 };
	const SpawnOptions o = {
		.argv = argv,
		.outlive = true,
		.netns_fd = netns_fd,
		.fds = &journal,
		.n_fds = getenv("JOURNAL_STREAM") ? 1 : 0,
	};
	int rc;

	if (inotify < 0 || inotify_add_watch(inotify, directory, IN_CREATE | IN_MOVED_TO) < 0)
		return error_set_errno(err, errno, "watch %s", directory);
	rc = fs_unlink(pid_file, err);
	if (rc == 0)
		rc = spawn_start(&o, &d->pid, &d->pidfd, err);
	if (rc < 0)
		return rc;
	return wait_ready(d, inotify, pid_file, conf, err);
}

int dnsmasq_restart(Dnsmasq *d, const char *directory, int netns_fd, Error *err)
{
	int rc = dnsmasq_stop(d, err);

	return rc < 0 ? rc : dnsmasq_start(d, directory, netns_fd, err);
}

/* ---- files ---- */

/* 1 if the file has other content or is not there. */
static int file_differs(const char *path, const StrBuf *want)
{
	_cleanup_(xfreep) char *text = NULL;
	size_t len = 0;

	return fs_read(path, FILE_MAX, &text, &len, NULL) < 0 || len != want->len ||
	       memcmp(text, strbuf_str(want), len) != 0;
}

/* *changed is set if an existing file was replaced; *created if it was new. */
static int file_converge(const char *path, const StrBuf *want, bool *changed, bool *created,
			 Change *c, Error *err)
{
	bool there = fs_exists(path);

	if (!file_differs(path, want))
		return 0;
	if (there && changed)
		*changed = true;
	if (!there && created)
		*created = true;
	if (!change_add(c, "wrote", path, NULL))
		return 0;
	return fs_write_atomic(path, strbuf_str(want), want->len, 0644, false, err);
}

typedef void (*RenderFn)(const NetworkPort *p, const char *domain, StrBuf *out);

static void render_dhcp(const NetworkPort *p, _unused_ const char *domain, StrBuf *out)
{
	dnsmasq_render_dhcp(p, out);
}

static int files_remove_others(const char *directory, Hashmap *wanted, bool *removed, Change *c,
			       Error *err)
{
	_cleanup_(closedirp) DIR *dir = opendir(directory);
	struct dirent *e;
	int rc = 0;

	while (dir && rc == 0 && (e = readdir(dir))) {
		_cleanup_(xfreep) char *path = NULL;

		if (e->d_name[0] == '.' || hashmap_contains(wanted, e->d_name))
			continue;
		path = xasprintf("%s/%s", directory, e->d_name);
		*removed = true;
		if (change_add(c, "removed", path, NULL))
			rc = fs_unlink(path, err);
	}
	return rc;
}

/* One file per port in directory/sub; *stale: something that dnsmasq may remember is not so now. */
static int files_converge(const DnsmasqConfig *c, const char *sub, RenderFn render, bool enabled,
			  bool *stale, Change *change, Error *err)
{
	_cleanup_(xfreep) char *directory = xasprintf("%s/%s", c->directory, sub);
	_cleanup_(hashmap_freep) Hashmap *wanted = hashmap_new(NULL);
	const NetworkConfig *n = c->network;
	int rc = change->look ? 0 : fs_mkdir_p(directory, 0755, err);

	for (size_t i = 0; enabled && i < n->n_ports; i++) {
		char name[16];

		network_tap_name(n->ports[i].id, name);
		hashmap_put(wanted, name, directory);
	}
	if (rc == 0)
		rc = files_remove_others(directory, wanted, stale, change, err);
	for (size_t i = 0; enabled && rc == 0 && i < n->n_ports; i++) {
		_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT;
		_cleanup_(xfreep) char *path = NULL;
		char name[16];

		network_tap_name(n->ports[i].id, name);
		path = xasprintf("%s/%s", directory, name);
		render(&n->ports[i], n->domain, &text);
		rc = file_converge(path, &text, stale, NULL, change, err);
	}
	return rc;
}

static int conf_converge(const DnsmasqConfig *c, bool *stale, Change *change, Error *err)
{
	_cleanup_(xfreep) char *conf = xasprintf("%s/dnsmasq.conf", c->directory);
	_cleanup_(xfreep) char *opts = xasprintf("%s/opts", c->directory);
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT;
	int rc;

	dnsmasq_render_conf(c, &text);
	rc = file_converge(conf, &text, stale, stale, change, err);
	if (rc < 0)
		return rc;
	strbuf_reset(&text);
	dnsmasq_render_options(c, &text);
	return file_converge(opts, &text, stale, stale, change, err);
}

static int dnsmasq_unwanted(Dnsmasq *d, const DnsmasqConfig *c, Change *change, Error *err)
{
	static const char *const names[] = { "dhcp.d", "hosts.d",     "dnsmasq.conf",
					     "opts",   "dnsmasq.pid", "restart" };
	int rc = dnsmasq_adopt(d, c->directory, -1, err);

	if (rc == 0 && d->pid > 0 && change_add(change, "stopped", "dnsmasq", NULL))
		rc = dnsmasq_stop(d, err);
	for (size_t i = 0; rc == 0 && !change->look && i < ARRAY_SIZE(names); i++) {
		_cleanup_(xfreep) char *path = xasprintf("%s/%s", c->directory, names[i]);

		rc = fs_remove_tree(path, err);
	}
	return rc;
}

/*
 * Whether the running process has read what is in its files must survive a crash of ours between
 * the two: while the file "restart" exists, it has not.
 */
static int mark_stale(const char *path, bool stale, Error *err)
{
	return stale ? fs_write_atomic(path, "", 0, 0644, false, err) : fs_unlink(path, err);
}

int dnsmasq_converge(Dnsmasq *d, const DnsmasqConfig *c, int netns_fd, Change *change, Error *err)
{
	_cleanup_(xfreep) char *marker = xasprintf("%s/restart", c->directory);
	Change look = { .look = true };
	bool stale = false;
	int rc;

	if (!dnsmasq_wanted(c->network))
		return dnsmasq_unwanted(d, c, change, err);
	rc = conf_converge(c, &stale, &look, err);
	if (rc == 0)
		rc = files_converge(c, "dhcp.d", render_dhcp, c->network->dhcp, &stale, &look, err);
	change_done(&look);
	if (rc == 0 && stale && !change->look)
		rc = mark_stale(marker, true, err);
	if (rc == 0)
		rc = conf_converge(c, &stale, change, err);
	if (rc == 0)
		rc = files_converge(c, "dhcp.d", render_dhcp, c->network->dhcp, &stale, change,
				    err);
	if (rc == 0)
		rc = files_converge(c, "hosts.d", dnsmasq_render_hosts, c->network->dns,
				    &(bool){ false }, change, err);
	if (rc == 0)
		rc = dnsmasq_adopt(d, c->directory, netns_fd, err);
	if (rc < 0)
		return rc;
	stale = stale || fs_exists(marker);
	if (dnsmasq_runs(d) && !stale)
		return 0;
	if (!change_add(change, d->pid > 0 ? "restarted" : "started", "dnsmasq", NULL))
		return 0;
	rc = dnsmasq_restart(d, c->directory, netns_fd, err);
	return rc < 0 ? error_wrap_rc(err, rc, "start dnsmasq") : mark_stale(marker, false, err);
}
