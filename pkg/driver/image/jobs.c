/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache's thread: starts roles, reads what they say, moves their results into the cache, and
 * tells the subscriber. See jobs.h.
 */
#include "driver/image/jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/failpoint.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/spawn.h"
#include "driver/image/role.h"
#include "driver/image/roles.h"

#define RATE_WINDOW    (3 * USEC_PER_SEC)
#define DEADLINE_SLACK 30 /* seconds more than the role gives itself */
#define POLL_MAX       64

Job *image_job_new(const char *name)
{
	Job *j = xnew0(Job, 1);

	snprintf(j->name, sizeof(j->name), "%s", name);
	j->pidfd = j->out_fd = -1;
	j->line.max = ROLE_LINE_MAX;
	return j;
}

Job *image_job_free(Job *j)
{
	if (!j)
		return NULL;
	free(j->url);
	free(j->checksum);
	free(j->checksum_url);
	image_state_done(&j->state);
	fd_close(j->pidfd);
	fd_close(j->out_fd);
	strbuf_done(&j->line);
	json_decref(j->result);
	error_done(&j->error);
	free(j);
	return NULL;
}

void job_remove_files(const Cache *c, const char *name)
{
	static const char *const suffixes[] = { ".part", ".json", ".json.tmp", ".qcow2" };

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		char file[SOURCE_NAME_MAX + 16];

		snprintf(file, sizeof(file), "%s%s", name, suffixes[i]);
		(void)unlinkat(c->incoming_fd, file, 0);
	}
}

void cache_wake(Cache *c)
{
	uint64_t one = 1;

	(void)!write(c->wake_fd, &one, sizeof(one));
}

/* ---- starting a role ---- */

static void set_optional(json_t *j, const char *name, const char *value)
{
	if (!str_is_empty(value))
		json_object_set_new(j, name, json_string(value));
}

static json_t *fetch_request(const Cache *c, const Job *j)
{
	const ImageCacheOptions *o = &c->options;
	json_t *r =
		json_pack("{s:s, s:s, s:I, s:I, s:b, s:b, s:i, s:i, s:i, s:i}", "name", j->name,
			  "url", j->url, "maxSize", (json_int_t)j->max_size, "minFree",
			  (json_int_t)o->min_free, "denyPrivate", o->deny_private, "allowLoopback",
			  o->allow_loopback, "connectSeconds", (int)o->connect_seconds,
			  "totalSeconds", (int)o->total_seconds, "lowSpeedBytes",
			  (int)o->low_speed_bytes, "lowSpeedSeconds", (int)o->low_speed_seconds);

	set_optional(r, "checksum", j->checksum);
	set_optional(r, "checksumURL", j->checksum_url);
	set_optional(r, "etag", j->etag);
	set_optional(r, "lastModified", j->last_modified);
	return r;
}

static json_t *convert_request(const Cache *c, const Job *j)
{
	json_t *r = json_object();
	char name[SOURCE_NAME_MAX + 16];

	snprintf(name, sizeof(name), "%s.part", j->name);
	json_object_set_new(r, "input", json_string(name));
	snprintf(name, sizeof(name), "%s.qcow2", j->name);
	json_object_set_new(r, "output", json_string(name));
	json_object_set_new(r, "maxVirtualSize", json_integer((json_int_t)j->max_size));
	json_object_set_new(r, "minFree", json_integer((json_int_t)c->options.min_free));
	json_object_set_new(r, "timeout", json_integer(c->options.convert_seconds));
	return r;
}

/* The request goes through a file in memory: a pipe's writer could block on a child that is stuck.
 */
static int request_fd(const json_t *request, Error *err)
{
	_cleanup_(xfreep) char *text = json_dumps(request, JSON_COMPACT);
	_cleanup_(fd_closep) int fd = memfd_create("request", MFD_CLOEXEC);
	int rc;

	if (fd < 0)
		return error_set_errno(err, errno, "memfd");
	rc = fs_write_all(fd, text, strlen(text), err);
	if (rc == 0 && lseek(fd, 0, SEEK_SET) < 0)
		rc = error_set_errno(err, errno, "seek");
	return rc < 0 ? rc : TAKE_FD(fd);
}

static int role_start(Cache *c, Job *j, const char *role, json_t *request, unsigned seconds,
		      Error *err)
{
	const char *const argv[] = { c->program, role, NULL };
	_cleanup_(fd_closep) int in = -1, read_end = -1, write_end = -1;
	int fds[2], rc;

	in = request_fd(request, err);
	if (in < 0)
		return in;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_set_errno(err, errno, "pipe");
	read_end = fds[0];
	write_end = fds[1];
	(void)fcntl(read_end, F_SETFL, O_NONBLOCK);
	FAIL_POINT("image.start-role.before");
	rc = spawn_start(
		&(SpawnOptions){
			.argv = argv,
			.fds = (SpawnFd[]){{ in, 0 },
                                           { write_end, 1 },
                                           { STDERR_FILENO, 2 },
                                           { c->incoming_fd, ROLE_DIRECTORY_FD }},
			.n_fds = 4,
        },
		&j->pid, &j->pidfd, err);
	FAIL_POINT("image.start-role.after");
	if (rc < 0)
		return rc;
	j->out_fd = TAKE_FD(read_end);
	j->deadline = clock_now(clock_system()) + (seconds + DEADLINE_SLACK) * USEC_PER_SEC;
	j->expired = j->killed = false;
	strbuf_reset(&j->line);
	json_decref(j->result);
	j->result = NULL;
	error_done(&j->error);
	return 0;
}

/* ---- listening ---- */

static void job_progress(Job *j, const json_t *p)
{
	usec_t now = clock_now(clock_system());
	uint64_t bytes = (uint64_t)json_integer_at(p, "bytes", 0);

	if (!j->rate_since || bytes < j->rate_bytes) {
		j->rate_since = now;
		j->rate_bytes = bytes;
	} else if (now > j->rate_since) {
		j->state.rate = (bytes - j->rate_bytes) * USEC_PER_SEC / (now - j->rate_since);
		if (now - j->rate_since >= RATE_WINDOW) {
			j->rate_since = now;
			j->rate_bytes = bytes;
		}
	}
	j->state.bytes_fetched = bytes;
	j->state.bytes_total = (uint64_t)json_integer_at(p, "total", 0);
}

/* One line of a role; true if the state changed. */
static bool job_line(Job *j, const char *line, size_t len)
{
	json_t *msg = NULL, *part;
	bool changed = false;

	if (json_decode(line, len, &msg, NULL) < 0)
		return false;
	if ((part = json_object_get(msg, "progress"))) {
		job_progress(j, part);
		changed = true;
	} else if ((part = json_object_get(msg, "result"))) {
		json_decref(j->result);
		j->result = json_incref(part);
	} else if ((part = json_object_get(msg, "error"))) {
		error_set(&j->error, role_error_code(part), "%s",
			  json_string_at(part, "message") ?: "no message");
	}
	json_decref(msg);
	return changed;
}

static bool job_read(Job *j)
{
	char chunk[4096];
	bool changed = false;
	ssize_t n;

	while ((n = read(j->out_fd, chunk, sizeof(chunk))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if (chunk[i] != '\n') {
				strbuf_addc(&j->line, chunk[i]);
				continue;
			}
			if (!j->line.overflow)
				changed |= job_line(j, strbuf_str(&j->line), j->line.len);
			j->line.overflow = false;
			strbuf_reset(&j->line);
		}
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		j->out_fd = fd_close(j->out_fd);
	return changed;
}

/* Reaps the role and says how it went; *err is the reason when it did not. */
static int role_reap(Job *j, Error *err)
{
	siginfo_t info = { 0 };

	while (waitid(P_PIDFD, (id_t)j->pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
	j->pidfd = fd_close(j->pidfd);
	j->out_fd = fd_close(j->out_fd);
	j->pid = 0;
	if (info.si_code == CLD_EXITED && info.si_status == 0 && j->result)
		return 0;
	if (j->expired)
		return error_set(err, ERR_TIMEOUT, "gave up after too long");
	if (j->error.code)
		return error_move(err, &j->error);
	if (info.si_code == CLD_EXITED)
		return error_set(err, ERR_UNAVAILABLE, "ended with status %d", info.si_status);
	return error_set(err, ERR_UNAVAILABLE, "killed by signal %d", info.si_status);
}

/* A role has ended. Locked, but not while it waits for the disk. */
static void job_exited(Cache *c, Job *j)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	bool converting = j->step == JOB_CONVERTING;
	int rc;

	pthread_mutex_unlock(&c->lock);
	rc = role_reap(j, &err);
	if (rc == 0 && converting)
		rc = job_publish(c, j, &err);
	FAIL_POINT("image.remove-parts.before");
	if (converting && rc != -ERR_UNAVAILABLE && rc != -ERR_TIMEOUT)
		job_remove_files(c, j->name);
	FAIL_POINT("image.remove-parts.after");
	pthread_mutex_lock(&c->lock);
	if (rc < 0 && j->killed && !j->canceled) {
		j->step = JOB_FETCH_QUEUED; /* somebody wants it again after all */
	} else if (rc < 0) {
		error_wrap(&err, converting ? "convert" : "fetch");
		job_failed(c, j, &err);
	} else if (converting) {
		job_converted(c, j);
	} else {
		job_fetched(c, j);
	}
}

static void job_kill(const Job *j)
{
	if (j->pid > 0)
		(void)kill(-j->pid, SIGKILL); /* its group: qemu-img too */
}

/* ---- the loop ---- */

static unsigned jobs_at(const Cache *c, JobStep step)
{
	unsigned n = 0;

	hashmap_foreach (it, c->jobs)
		n += ((const Job *)it.value)->step == step;
	return n;
}

static void job_start(Cache *c, Job *j)
{
	bool fetch = j->step == JOB_FETCH_QUEUED;
	const ImageCacheOptions *o = &c->options;
	_cleanup_(error_done) Error err = ERROR_INIT;
	json_t *request = fetch ? fetch_request(c, j) : convert_request(c, j);
	int rc;

	j->step = fetch ? JOB_FETCHING : JOB_CONVERTING;
	j->state.phase = fetch ? IMAGE_FETCHING : IMAGE_CONVERTING;
	j->rate_since = 0;
	pthread_mutex_unlock(&c->lock);
	rc = role_start(c, j, fetch ? "--role=fetch" : "--role=convert", request,
			fetch ? o->total_seconds : o->convert_seconds, &err);
	pthread_mutex_lock(&c->lock);
	json_decref(request);
	if (rc < 0)
		job_failed(c, j, &err);
}

/* The next job that may start, NULL if none. */
static Job *job_next(const Cache *c)
{
	bool fetch = jobs_at(c, JOB_FETCHING) < c->options.max_fetches;
	bool convert = jobs_at(c, JOB_CONVERTING) < c->options.max_converts;

	hashmap_foreach (it, c->jobs) {
		Job *j = it.value;

		if ((fetch && j->step == JOB_FETCH_QUEUED) ||
		    (convert && j->step == JOB_CONVERT_QUEUED))
			return j;
	}
	return NULL;
}

/* Remembers which Images hear of a job's change. */
static char **users_of(const Cache *c, const Job *j, char **uids)
{
	hashmap_foreach (it, c->users)
		if (streq(it.value, j->name))
			uids = strv_append(uids, it.key);
	return uids;
}

static size_t jobs_poll(const Cache *c, struct pollfd *p, Job **jobs, int *ret_timeout)
{
	usec_t now = clock_now(clock_system()), next = USEC_INFINITY;
	size_t n = 0;

	hashmap_foreach (it, c->jobs) {
		Job *j = it.value;

		if (j->pidfd < 0 || 2 * n + 2 >= POLL_MAX)
			continue;
		jobs[n] = j;
		p[1 + 2 * n] = (struct pollfd){ .fd = j->out_fd, .events = POLLIN };
		p[2 + 2 * n] = (struct pollfd){ .fd = j->pidfd, .events = POLLIN };
		next = MIN(next, j->deadline);
		n++;
	}
	p[0] = (struct pollfd){ .fd = c->wake_fd, .events = POLLIN };
	*ret_timeout = next == USEC_INFINITY ? -1
		       : next <= now         ? 0
					     : (int)((next - now) / USEC_PER_MSEC) + 1;
	return n;
}

/* What one job's descriptors say. Locked. */
static char **job_handle(Cache *c, Job *j, const struct pollfd *p, char **uids)
{
	bool changed = false;

	if (p[0].revents && j->out_fd >= 0)
		changed = job_read(j);
	if (p[1].revents) {
		if (j->out_fd >= 0)
			(void)job_read(j); /* its last words */
		job_exited(c, j);
		changed = true;
	} else if (clock_now(clock_system()) >= j->deadline || j->canceled || c->stop) {
		j->killed = j->canceled;
		j->expired = !j->canceled;
		j->deadline = USEC_INFINITY;
		job_kill(j);
	}
	return changed ? users_of(c, j, uids) : uids;
}

/* Frees what was canceled and no longer runs. */
static void jobs_sweep(Cache *c)
{
	hashmap_foreach (it, c->jobs) {
		Job *j = it.value;

		if (!j->canceled || j->pidfd >= 0)
			continue;
		job_remove_files(c, j->name);
		hashmap_take(c->jobs, it.key);
		image_job_free(j);
		pthread_cond_broadcast(&c->gone);
	}
}

static void events_send(Cache *c, char **uids)
{
	ImageEventFn fn;
	void *arg;

	pthread_mutex_lock(&c->lock);
	fn = c->event;
	arg = c->event_arg;
	pthread_mutex_unlock(&c->lock);
	if (fn)
		strv_foreach (uid, uids)
			fn(arg, *uid);
	strv_free(uids);
}

static void thread_turn(Cache *c)
{
	struct pollfd p[POLL_MAX + 1];
	Job *jobs[POLL_MAX], *j;
	char **uids = NULL;
	uint64_t drained;
	int timeout;
	size_t n;

	pthread_mutex_lock(&c->lock);
	jobs_sweep(c);
	while (!c->stop && (j = job_next(c))) {
		job_start(c, j);
		uids = users_of(c, j, uids);
	}
	n = jobs_poll(c, p, jobs, &timeout);
	pthread_mutex_unlock(&c->lock);
	events_send(c, TAKE_PTR(uids));

	if (poll(p, 1 + 2 * n, timeout) < 0)
		return;
	if (p[0].revents)
		(void)!read(c->wake_fd, &drained, sizeof(drained));
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < n; i++)
		uids = job_handle(c, jobs[i], &p[1 + 2 * i], uids);
	pthread_mutex_unlock(&c->lock);
	events_send(c, uids);
}

static bool thread_done(Cache *c)
{
	bool done;

	pthread_mutex_lock(&c->lock);
	done = c->stop && jobs_at(c, JOB_FETCHING) + jobs_at(c, JOB_CONVERTING) == 0;
	pthread_mutex_unlock(&c->lock);
	return done;
}

void *cache_thread(void *arg)
{
	Cache *c = arg;

	pthread_setname_np(pthread_self(), "images");
	while (!thread_done(c))
		thread_turn(c);
	return NULL;
}
