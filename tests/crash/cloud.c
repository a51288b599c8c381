/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parent's side of a cloud that dies. See cloud.h; the child is in child.c.
 */
#include "tests/crash/cloud.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/spawn.h"
#include "tests/crash/child.h"
#include "tests/crash/host.h"
#include "tests/crash/survive.h"

#define ANSWER_MS 60000 /* a machine may be very slow */

struct Cloud {
	CloudOptions options;
	Fakes fakes;
	char dir[64];
	pid_t pid;      /* 0 = nothing runs */
	bool stuck;     /* it has left somebody without an answer */
	int fd, status; /* how the one before ended */
	usec_t age;
	struct {
		void *copy;
		size_t n;
		usec_t age;
	} saves[CLOUD_SAVES];
};

Cloud *cloud_new(const CloudOptions *options)
{
	Cloud *c = xnew0(Cloud, 1);

	c->options = *options;
	c->fd = -1;
	snprintf(c->dir, sizeof(c->dir), "%s/sf-crash-XXXXXX",
		 fs_exists("/dev/shm") ? "/dev/shm" : "/tmp");
	if (!mkdtemp(c->dir))
		abort();
	chmod(c->dir, 0755);
	fakes_new(&c->fakes);
	return c;
}

const Fakes *cloud_fakes(const Cloud *c)
{
	return &c->fakes;
}

const char *cloud_dir(const Cloud *c)
{
	return c->dir;
}

bool cloud_is_real(const Cloud *c)
{
	return c->options.real_images || c->options.real_network;
}

bool cloud_is_alive(const Cloud *c)
{
	return c->pid != 0;
}

bool cloud_is_stuck(const Cloud *c)
{
	return c->stuck;
}

static void reap(Cloud *c)
{
	if (!c->pid)
		return;
	while (waitpid(c->pid, &c->status, 0) < 0 && errno == EINTR)
		;
	c->pid = 0;
	c->fd = fd_close(c->fd);
}

void cloud_kill(Cloud *c)
{
	if (!c->pid)
		return;
	survive_hold();
	kill(c->pid, SIGKILL);
	reap(c);
	survive_begin();
}

static char *save_path(const Cloud *c, unsigned i)
{
	return xasprintf("%s.%u", c->dir, i);
}

Cloud *cloud_free(Cloud *c)
{
	cloud_kill(c);
	fs_remove_tree(c->dir, NULL);
	for (unsigned i = 0; i < CLOUD_SAVES; i++) {
		_cleanup_(xfreep) char *saved = save_path(c, i);

		fs_remove_tree(saved, NULL);
		free(c->saves[i].copy);
	}
	free(c);
	return NULL;
}

/* ---- commands ---- */

/* Its answer up to the line that ends it; false if it died or does not answer. */
static bool read_answer(Cloud *c, StrBuf *out)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	_cleanup_(strbuf_done) StrBuf line = STRBUF_INIT;
	char ch;

	for (;;) {
		if (poll(&p, 1, ANSWER_MS) <= 0) {
			fprintf(stderr, "no answer in %d s\n", ANSWER_MS / 1000);
			c->stuck = true;
			cloud_kill(c);
			return false;
		}
		if (read(c->fd, &ch, 1) != 1) {
			reap(c);
			return false;
		}
		if (ch != '\n') {
			strbuf_addc(&line, ch);
			continue;
		}
		if (streq(strbuf_str(&line), CHILD_DONE))
			return true;
		if (out)
			strbuf_addf(out, "%s\n", strbuf_str(&line));
		strbuf_reset(&line);
	}
}

bool cloud_command(Cloud *c, const char *command, StrBuf *out)
{
	_cleanup_(xfreep) char *text = xasprintf("%s\n", command);

	if (!c->pid)
		return false;
	if (send(c->fd, text, strlen(text), MSG_NOSIGNAL) < 0) {
		reap(c);
		return false;
	}
	return read_answer(c, out);
}

static char *log_path(const Cloud *c)
{
	return xasprintf("%s/log", c->dir);
}

static _noreturn_ void child_begin(Cloud *c, const char *spec, int fd, pid_t parent)
{
	_cleanup_(xfreep) char *path = log_path(c);
	int log;

	/* A new file: a role that is still dying has the one before. */
	unlink(path);
	log = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || log < 0 || dup2(log, STDERR_FILENO) < 0)
		_exit(126);
	child_run(&(Child){ .options = c->options,
			    .fakes = &c->fakes,
			    .dir = c->dir,
			    .spec = spec,
			    .age = c->age,
			    .fd = fd });
}

bool cloud_start(Cloud *c, const char *spec)
{
	pid_t parent = getpid();
	int fds[2];

	assert(!c->pid);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	survive_begin();
	fflush(NULL);
	c->stuck = false;
	c->pid = fork();
	if (c->pid < 0)
		abort();
	if (c->pid == 0) {
		close(fds[0]);
		child_begin(c, spec, fds[1], parent);
	}
	close(fds[1]);
	c->fd = fds[0];
	return read_answer(c, NULL);
}

bool cloud_arm(Cloud *c, const char *spec)
{
	_cleanup_(xfreep) char *command = xasprintf("arm %s", spec);

	return cloud_command(c, command, NULL);
}

bool cloud_settle(Cloud *c, unsigned seconds)
{
	_cleanup_(xfreep) char *command = xasprintf("settle %u", seconds);

	c->age += seconds * USEC_PER_SEC;
	return cloud_command(c, command, NULL);
}

bool cloud_age(Cloud *c, unsigned seconds)
{
	_cleanup_(xfreep) char *command = xasprintf("age %u", seconds);

	c->age += seconds * USEC_PER_SEC;
	return cloud_command(c, command, NULL);
}

void cloud_stop(Cloud *c)
{
	if (cloud_command(c, "stop", NULL))
		reap(c);
}

/* ---- HTTP ---- */

static int api_connect(const Cloud *c)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/api.sock", c->dir);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		fd = fd_close(fd);
	return fd;
}

static void send_all(int fd, const char *text)
{
	size_t left = strlen(text);

	for (ssize_t n; left && (n = send(fd, text, left, MSG_NOSIGNAL)) > 0; text += n)
		left -= (size_t)n;
}

/* All that comes until the other side closes; false if it never does. */
static bool receive_all(int fd, StrBuf *in)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char chunk[8192];
	ssize_t n;

	for (;;) {
		if (poll(&p, 1, ANSWER_MS) <= 0)
			return false;
		n = read(fd, chunk, sizeof(chunk));
		if (n <= 0)
			return true;
		strbuf_add(in, chunk, (size_t)n);
	}
}

int cloud_call(Cloud *c, const char *method, const char *target, const char *body, json_t **ret)
{
	_cleanup_(fd_closep) int fd = api_connect(c);
	_cleanup_(xfreep) char *request = NULL;
	_cleanup_(strbuf_done) StrBuf in = STRBUF_INIT;
	const char *text, *end;
	json_t *json = NULL;
	int code = 0;

	if (fd < 0)
		return CLOUD_UNSENT;
	request = xasprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
			    "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
			    method, target,
			    streq(method, "PATCH") ? "application/merge-patch+json"
						   : "application/json",
			    body ? strlen(body) : 0, body ? body : "");
	send_all(fd, request);
	if (!receive_all(fd, &in))
		c->stuck = true;
	text = strbuf_str(&in);
	end = strstr(text, "\r\n\r\n");
	/* Half an answer is none: nobody could act on it. */
	if (!end || sscanf(text, "HTTP/1.1 %d", &code) != 1 ||
	    json_decode(end + 4, strlen(end + 4), &json, NULL) < 0)
		return 0;
	if (ret)
		*ret = json;
	else
		json_decref(json);
	return code;
}

/* ---- what it said ---- */

char *cloud_log(const Cloud *c)
{
	_cleanup_(xfreep) char *path = log_path(c);
	_cleanup_(xfreep) char *text = NULL;

	if (fs_read(path, CLOUD_LOG_MAX, &text, NULL, NULL) < 0)
		return xstrdup("");
	if (!c->pid && WIFSIGNALED(c->status))
		return xasprintf("%sended by signal %d\n", text, WTERMSIG(c->status));
	return TAKE_PTR(text);
}

static bool has_said(const Cloud *c, const char *what)
{
	_cleanup_(xfreep) char *text = cloud_log(c);

	return strstr(text, what) != NULL;
}

/* Ours is forked and keeps our name; a role is sfd. */
static bool has_lost(const Cloud *c, bool role)
{
	_cleanup_(xfreep) char *text = cloud_log(c), *ours = NULL;

	ours = xasprintf(" in %s\n", program_invocation_short_name);
	for (const char *p = text; (p = strstr(p, CLOUD_KILLED)); p++) {
		const char *in = strstr(p, " in ");

		if (in && role != str_has_prefix(in, ours))
			return true;
	}
	return false;
}

bool cloud_was_hit(const Cloud *c)
{
	return has_lost(c, false);
}

bool cloud_lost_role(const Cloud *c)
{
	return has_lost(c, true);
}

bool cloud_lacked_memory(const Cloud *c)
{
	return has_said(c, ALLOCATION_FAILED);
}

int cloud_signal(const Cloud *c)
{
	return !c->pid && WIFSIGNALED(c->status) ? WTERMSIG(c->status) : 0;
}

/* ---- all of it ---- */

static void copy_directory(const char *from, const char *to)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	const char *const argv[] = { "/bin/cp", "-a", from, to, NULL };

	if (fs_remove_tree(to, &err) < 0 ||
	    spawn_run(&CONTEXT_BACKGROUND, argv, NULL, NULL, &err) < 0) {
		fprintf(stderr, "copy %s: %s\n", from, error_message(&err));
		abort();
	}
}

void cloud_save(Cloud *c, unsigned i)
{
	_cleanup_(xfreep) char *saved = save_path(c, i);

	assert(!c->pid);
	copy_directory(c->dir, saved);
	free(c->saves[i].copy);
	c->saves[i].copy = survive_save(&c->saves[i].n);
	c->saves[i].age = c->age;
}

void cloud_restore(Cloud *c, unsigned i)
{
	_cleanup_(xfreep) char *saved = save_path(c, i);

	assert(!c->pid);
	copy_directory(saved, c->dir);
	survive_restore(c->saves[i].copy, c->saves[i].n);
	c->age = c->saves[i].age;
	if (c->options.real_network)
		host_reset(c->dir);
}
