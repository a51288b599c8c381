/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a guest's console, as `sfctl logs` and `kubectl logs` ask for it.
 *
 * The port call that opens it runs on a session's thread. A followed log is a suspended connection
 * that looks at the file again a few times a second for as long as somebody follows; a file that
 * grew too large is moved away and followed by a new one, which a short-lived thread opens, because
 * no HTTP thread waits for a port. A console says
 * no times: of what was there when the log was opened it is only known that it is no younger than
 * the file's last change, and that is the time it is told with; what comes later comes now. HTTP
 * threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "server/console.h"
#include "server/handlers.h"
#include "server/reply.h"
#include "server/session.h"

#define FOLLOW_INTERVAL (250 * USEC_PER_MSEC)
#define TAIL_SCAN_MAX   (16 * 1024 * 1024)
#define READ_BLOCK      4096
#define REOPEN_INTERVAL USEC_PER_SEC
#define REOPEN_TIMEOUT  (10 * USEC_PER_SEC)
#define FILE_NAME_MAX   256

typedef struct LogStream {
	atomic_uint refs; /* the request's, and that of the thread that opens the next file */
	Server *server;
	char *node, *uid;
	Conn *conn;
	struct MHD_Connection *mhd;
	int fd;
	bool follow, timestamps;
	off_t at, old_end; /* what is before old_end was there at the beginning */
	usec_t old_time;
	bool in_line;   /* timestamps: the line that is being sent has its own already */
	StrBuf stamped; /* timestamps: lines on their way */
	size_t stamped_at;
	uint64_t left;            /* bytes still to be sent; UINT64_MAX = no limit */
	char name[FILE_NAME_MAX]; /* under which the file was opened */
	usec_t reopen_at;         /* not earlier */
	pthread_mutex_t lock;
	/* Under lock. */
	bool suspended, closed, reopening;
	int next; /* the next file, or -1 */
	char next_name[FILE_NAME_MAX];
	bool gone; /* there is none: the instance was deleted */
} LogStream;

static void log_stream_unref(void *arg)
{
	LogStream *l = arg;

	if (atomic_fetch_sub(&l->refs, 1) != 1)
		return;
	fd_close(l->fd);
	fd_close(l->next);
	free(l->node);
	free(l->uid);
	strbuf_done(&l->stamped);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static void log_poke(void *arg, Poke why)
{
	LogStream *l = arg;

	pthread_mutex_lock(&l->lock);
	if (why == POKE_PEER_GONE || why == POKE_STOPPING)
		l->closed = true;
	if (l->suspended) {
		l->suspended = false;
		MHD_resume_connection(l->mhd);
	}
	pthread_mutex_unlock(&l->lock);
}

/* ---- the next file ---- */

/* By what name the file is known now; it changes when it is moved or removed. */
static void file_name(int fd, char name[static FILE_NAME_MAX])
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, name, FILE_NAME_MAX - 1);
	name[MAX(n, (ssize_t)0)] = '\0';
}

/* With the name at once: one that is read later may be what the file was moved to meanwhile, and
 * that it was replaced would never be seen. */
static int open_named(Console *console, Context *ctx, const char *node, const char *uid,
		      int *ret_fd, char name[static FILE_NAME_MAX], Error *err)
{
	int rc = console->ops->log(console, ctx, node, uid, ret_fd, err);

	if (rc == 0)
		file_name(*ret_fd, name);
	return rc;
}

static bool log_was_replaced(const LogStream *l)
{
	char name[FILE_NAME_MAX];
	struct stat st;

	file_name(l->fd, name);
	return !streq(name, l->name) || fstat(l->fd, &st) < 0 || st.st_size < l->at;
}

static void *open_next(void *arg)
{
	LogStream *l = arg;
	Server *server = l->server;
	char name[FILE_NAME_MAX] = "";
	Clock *clock = server_clock(server);
	Context ctx = { .clock = clock, .deadline = clock_now(clock) + REOPEN_TIMEOUT };
	int fd = -1, rc;

	pthread_setname_np(pthread_self(), "http-log");
	rc = open_named(server->options.console, &ctx, l->node, l->uid, &fd, name, NULL);
	pthread_mutex_lock(&l->lock);
	l->reopening = false;
	l->gone = rc == -ERR_NOT_FOUND;
	l->next = rc == 0 ? fd : -1;
	memcpy(l->next_name, name, sizeof(name));
	pthread_mutex_unlock(&l->lock);
	log_stream_unref(l);
	server_leave(server);
	return NULL;
}

/* The answer is looked for at the next beat; what did not work is tried again. */
static void start_opening(LogStream *l)
{
	usec_t now = clock_now(server_clock(l->server));

	if (now < l->reopen_at || !server_enter(l->server))
		return;
	l->reopen_at = now + REOPEN_INTERVAL;
	atomic_fetch_add(&l->refs, 1);
	pthread_mutex_lock(&l->lock);
	l->reopening = true;
	pthread_mutex_unlock(&l->lock);
	if (session_thread(open_next, l) == 0)
		return;
	pthread_mutex_lock(&l->lock);
	l->reopening = false;
	pthread_mutex_unlock(&l->lock);
	log_stream_unref(l);
	server_leave(l->server);
}

typedef enum Next { NEXT_WAIT, NEXT_READ, NEXT_END } Next;

/* At the end of the file, which others may go on with. */
static Next log_next(LogStream *l)
{
	char name[FILE_NAME_MAX];
	bool gone, reopening;
	struct stat st;
	int next;

	if (!log_was_replaced(l))
		return NEXT_WAIT;
	pthread_mutex_lock(&l->lock);
	next = TAKE_FD(l->next);
	memcpy(name, l->next_name, sizeof(name));
	gone = l->gone;
	reopening = l->reopening;
	pthread_mutex_unlock(&l->lock);
	if (next >= 0) {
		fd_close(l->fd);
		l->fd = next;
		l->at = l->old_end = 0;
		memcpy(l->name, name, sizeof(name));
		return NEXT_READ;
	}
	/* Removed, and no other in its place: nobody will print again. */
	if (gone && (fstat(l->fd, &st) < 0 || st.st_nlink == 0))
		return NEXT_END;
	if (!reopening)
		start_opening(l);
	return NEXT_WAIT;
}

static ssize_t log_wait(LogStream *l)
{
	bool closed;

	conn_set_wake(l->conn, clock_now(server_clock(l->server)) + FOLLOW_INTERVAL);
	pthread_mutex_lock(&l->lock);
	closed = l->closed;
	if (!closed) {
		l->suspended = true;
		MHD_suspend_connection(l->mhd);
	}
	pthread_mutex_unlock(&l->lock);
	return closed ? MHD_CONTENT_READER_END_OF_STREAM : 0;
}

/* "2026-01-31T12:00:00.000000000Z ", as Kubernetes has it. */
static void add_timestamp(StrBuf *out, usec_t wall)
{
	char text[TIMESTAMP_MAX];

	strbuf_addf(out, "%.19s.%06u000Z ", timestamp_format(wall, text),
		    (unsigned)(wall % USEC_PER_SEC));
}

static void stamp(LogStream *l, const char *p, size_t n, usec_t wall)
{
	while (n > 0) {
		const char *end = memchr(p, '\n', n);
		size_t len = end ? (size_t)(end - p) + 1 : n;

		if (!l->in_line)
			add_timestamp(&l->stamped, wall);
		strbuf_add(&l->stamped, p, len);
		l->in_line = !end;
		p += len;
		n -= len;
	}
}

/* Some of the file into the buffer, with times. Like pread(). */
static ssize_t read_stamped(LogStream *l, char *buf, size_t max)
{
	if (l->stamped_at == l->stamped.len) {
		bool old = l->at < l->old_end;
		char raw[READ_BLOCK];
		size_t want = old ? MIN(sizeof(raw), (size_t)(l->old_end - l->at)) : sizeof(raw);
		ssize_t n = pread(l->fd, raw, want, l->at);

		if (n <= 0)
			return n;
		l->at += n;
		strbuf_reset(&l->stamped);
		l->stamped_at = 0;
		stamp(l, raw, (size_t)n, old ? l->old_time : clock_wall(server_clock(l->server)));
	}
	max = MIN(max, l->stamped.len - l->stamped_at);
	memcpy(buf, l->stamped.buf + l->stamped_at, max);
	l->stamped_at += max;
	return (ssize_t)max;
}

static ssize_t read_plain(LogStream *l, char *buf, size_t max)
{
	ssize_t n = pread(l->fd, buf, max, l->at);

	if (n > 0)
		l->at += n;
	return n;
}

static ssize_t log_read(void *cls, uint64_t pos _unused_, char *buf, size_t max)
{
	LogStream *l = cls;
	Next next = NEXT_WAIT;
	ssize_t n;

	if (l->left == 0)
		return MHD_CONTENT_READER_END_OF_STREAM;
	max = (size_t)MIN((uint64_t)max, l->left);
	do {
		n = l->timestamps ? read_stamped(l, buf, max) : read_plain(l, buf, max);
		if (n == 0 && l->follow)
			next = log_next(l);
	} while (n == 0 && next == NEXT_READ);
	if (n > 0) {
		if (l->left != UINT64_MAX)
			l->left -= (uint64_t)n;
		return n;
	}
	if (n < 0 && errno != EINTR && errno != EAGAIN)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (!l->follow || next == NEXT_END)
		return MHD_CONTENT_READER_END_OF_STREAM;
	return log_wait(l);
}

/* Where the last `lines` lines begin. */
static off_t tail_offset(int fd, off_t size, unsigned long long lines)
{
	off_t at = size;
	char buf[4096];
	bool end = true; /* the newline that ends the last line is not a line's beginning */

	if (lines == 0)
		return size;
	while (at > 0 && size - at < TAIL_SCAN_MAX) {
		size_t want = (size_t)MIN((off_t)sizeof(buf), at);
		ssize_t n = pread(fd, buf, want, at - (off_t)want);

		if (n <= 0)
			return at;
		for (ssize_t i = n; i-- > 0;) {
			if (buf[i] != '\n' || end) {
				end = false;
				continue;
			}
			if (--lines == 0)
				return at - (off_t)want + i + 1;
		}
		at -= n;
	}
	return at;
}

/* ---- what was asked for ---- */

typedef struct LogOptions {
	bool has_tail;
	uint64_t tail, limit;
	usec_t since; /* wall clock; 0 = from the beginning */
} LogOptions;

static int parse_since(Request *r, usec_t *ret)
{
	const char *time = target_query(&r->target, "sinceTime");
	usec_t now = clock_wall(server_clock(r->server));
	uint64_t seconds = 0;
	int has_seconds = query_number(r, "sinceSeconds", &seconds);

	if (has_seconds < 0)
		return -ERR_INVALID;
	if (has_seconds && !str_is_empty(time)) {
		reply_bad_request(r, "at most one of sinceTime or sinceSeconds may be specified");
		return -ERR_INVALID;
	}
	if (has_seconds && seconds == 0) {
		reply_bad_request(r, "sinceSeconds: Invalid value: 0: must be greater than 0");
		return -ERR_INVALID;
	}
	if (has_seconds)
		*ret = seconds < now / USEC_PER_SEC ? now - seconds * USEC_PER_SEC : 1;
	else if (!str_is_empty(time) && timestamp_parse(time, ret) < 0) {
		reply_bad_request(r, "sinceTime: Invalid value: \"%.64s\"", time);
		return -ERR_INVALID;
	}
	return 0;
}

static int parse_log_options(Request *r, LogOptions *ret)
{
	const char *container = target_query(&r->target, "container");
	LogOptions o = { .limit = UINT64_MAX };
	int rc;

	if (!str_is_empty(container) && !streq(container, CONSOLE_CONTAINER)) {
		reply_bad_request(r, "container %.64s is not valid for pod %s", container,
				  r->route.name);
		return -ERR_INVALID;
	}
	if (target_query_bool(&r->target, "previous")) {
		reply_bad_request(r,
				  "previous terminated container \"" CONSOLE_CONTAINER
				  "\" in pod \"%s\" not found: one log goes on over all starts",
				  r->route.name);
		return -ERR_INVALID;
	}
	rc = query_number(r, "tailLines", &o.tail);
	o.has_tail = rc > 0;
	if (rc < 0 || query_number(r, "limitBytes", &o.limit) < 0 || parse_since(r, &o.since) < 0)
		return -ERR_INVALID;
	*ret = o;
	return 0;
}

/* ---- opening ---- */

static int open_log(Session *s, Context *ctx, int *ret_fd, Error *err)
{
	s->state = xnew0(char, FILE_NAME_MAX);
	return open_named(s->server->options.console, ctx, s->node, s->uid, ret_fd, s->state, err);
}

static void reply_no_log(Request *r, const Session *s)
{
	if (s->rc == -ERR_NOT_FOUND && r->kind->view_of)
		reply_bad_request(
			r, "container \"" CONSOLE_CONTAINER "\" in pod \"%s\" is waiting to start",
			r->route.name);
	else
		reply_open_failure(r, s,
				   "there is no console log: the instance has not been "
				   "started yet");
}

static LogStream *log_stream_new(Request *r, Session *s, const LogOptions *o)
{
	int fd = TAKE_FD(s->fd);
	LogStream *l = xnew0(LogStream, 1);
	struct stat st = { 0 };

	(void)fstat(fd, &st);
	atomic_init(&l->refs, 1);
	l->node = TAKE_PTR(s->node);
	l->uid = TAKE_PTR(s->uid);
	l->next = -1;
	memcpy(l->name, s->state, sizeof(l->name));
	l->server = r->server;
	l->conn = r->conn;
	l->mhd = r->mhd;
	l->fd = fd;
	l->follow = target_query_bool(&r->target, "follow");
	l->timestamps = target_query_bool(&r->target, "timestamps");
	l->left = o->limit;
	l->old_end = st.st_size;
	l->old_time =
		(usec_t)st.st_mtim.tv_sec * USEC_PER_SEC + (usec_t)st.st_mtim.tv_nsec / (1000);
	pthread_mutex_init(&l->lock, NULL);
	if (o->since > l->old_time) /* the console has been silent since */
		l->at = st.st_size;
	else if (o->has_tail)
		l->at = tail_offset(fd, st.st_size, o->tail);
	return l;
}

static void log_opened(Request *r)
{
	Session *s = r->session;
	LogOptions o;
	LogStream *l;

	if (s->rc < 0 || parse_log_options(r, &o) < 0) {
		if (s->rc < 0)
			reply_no_log(r, s);
		session_release(r);
		return;
	}
	l = log_stream_new(r, s, &o);
	session_release(r);
	r->stream = l;
	r->stream_free = log_stream_unref;
	conn_attach(r->conn, log_poke, l);
	r->reply.code = MHD_HTTP_OK;
	r->reply.content_type = "text/plain; charset=utf-8";
	r->reply.response =
		MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16 * 1024, log_read, l, NULL);
}

void handle_log(Request *r)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	LogOptions o;
	Session *s;

	if (parse_log_options(r, &o) < 0 || !console_instance(r, &tree))
		return;
	if (!r->server->options.console) {
		reply_unavailable(r, "this server has no console");
		return;
	}
	s = session_new(r, open_log, log_opened);
	s->node = xstrdup(console_node(r->server, tree));
	s->uid = xstrdup(object_head(r->base)->uid);
	session_start(s);
}
