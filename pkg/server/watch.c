/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watch: a suspended connection with a bounded queue.
 *
 * The store's writer puts references to immutable objects into the queue and resumes the
 * connection; its HTTP thread turns them into lines: selector transitions, tables and texts are
 * made there, not on the writer. A client that does not read fills its queue; it then gets one 410
 * and is cut: it must list again, and nobody else noticed. Lock: WatchStream.lock, after
 * Server.lock; never held over a call into the store.
 */
#include <errno.h>

#include "server/internal.h"

#define CUT_AFTER   (10 * USEC_PER_SEC) /* what a client has to read its last line */
#define WATCH_BLOCK (8u * 1024)         /* each open watch holds one */

typedef struct QueuedEvent {
	WatchType type;
	Object *object, *old;
} QueuedEvent;

typedef struct WatchStream {
	Server *server;
	Conn *conn;
	struct MHD_Connection *mhd;
	Kind *kind;
	Selection sel; /* borrows namespace and name */
	char *namespace;
	Accept accept;
	char *include;
	Watch *watch;
	/* The HTTP thread's. */
	ObjectList *initial;
	size_t initial_at;
	bool tell_initial_end, bookmarks, columns_sent, over, cut_set;
	int64_t seen; /* the revision up to which everything was sent */
	usec_t end_at, bookmark_at;
	StrBuf out;
	size_t out_at;
	/* Under lock. */
	pthread_mutex_t lock;
	QueuedEvent *queue; /* a ring */
	size_t head, n, cap, max;
	int64_t queued_revision; /* newest revision that the writer has shown us */
	bool overflow, closed, suspended;
} WatchStream;

/* ---- the writer's side ---- */

static void queue_grow(WatchStream *w)
{
	size_t cap = w->cap ? w->cap * 2 : 8;
	QueuedEvent *queue = xnew(QueuedEvent, cap);

	for (size_t i = 0; i < w->n; i++)
		queue[i] = w->queue[(w->head + i) % w->cap];
	free(w->queue);
	w->queue = queue;
	w->head = 0;
	w->cap = cap;
}

static void queue_clear(WatchStream *w)
{
	for (size_t i = 0; i < w->n; i++) {
		QueuedEvent *e = &w->queue[(w->head + i) % w->cap];

		object_unref(e->object);
		object_unref(e->old);
	}
	w->n = 0;
}

static void resume_locked(WatchStream *w)
{
	if (!w->suspended)
		return;
	w->suspended = false;
	MHD_resume_connection(w->mhd);
}

static bool event_concerns(const WatchStream *w, const WatchEvent *e)
{
	return selection_match_quick(&w->sel, e->object) ||
	       (e->old && selection_match_quick(&w->sel, e->old));
}

static void watch_event(void *arg, const WatchEvent *e)
{
	bool concerns;
	WatchStream *w = arg;

	concerns = event_concerns(w, e);
	pthread_mutex_lock(&w->lock);
	w->queued_revision = e->revision;
	if (concerns && !w->overflow && !w->closed) {
		if (w->n == w->max) {
			queue_clear(w);
			w->overflow = true;
		} else {
			if (w->n == w->cap)
				queue_grow(w);
			w->queue[(w->head + w->n++) % w->cap] =
				(QueuedEvent){ .type = e->type,
					       .object = object_ref(e->object),
					       .old = e->old ? object_ref(e->old) : NULL };
		}
		resume_locked(w);
	}
	pthread_mutex_unlock(&w->lock);
}

/* Under Server.lock, from the caretaker or server_stop(). */
static void watch_poke(void *arg, Poke why)
{
	WatchStream *w = arg;

	pthread_mutex_lock(&w->lock);
	if (why != POKE_TIMER)
		w->closed = true;
	resume_locked(w);
	pthread_mutex_unlock(&w->lock);
}

/* ---- lines ---- */

static void line_begin(WatchStream *w, const char *type)
{
	strbuf_addf(&w->out, "{\"type\":\"%s\",\"object\":", type);
}

static void line_end(WatchStream *w)
{
	strbuf_adds(&w->out, "}\n");
}

static void line_object(WatchStream *w, const char *type, const Object *o)
{
	line_begin(w, type);
	render_object(&w->out, w->kind, w->accept, w->include, o, !w->columns_sent,
		      clock_wall(server_clock(w->server)));
	w->columns_sent = true;
	line_end(w);
}

static void line_bookmark(WatchStream *w, int64_t revision, bool initial_end)
{
	line_begin(w, "BOOKMARK");
	if (w->accept == ACCEPT_TABLE) {
		table_head(&w->out, w->kind, revision, NULL, 0, !w->columns_sent);
		w->columns_sent = true;
		table_tail(&w->out);
	} else {
		bool plain = w->accept == ACCEPT_JSON;

		strbuf_adds(&w->out, "{\"kind\":");
		json_quote(&w->out, plain ? w->kind->kind : "PartialObjectMetadata");
		strbuf_adds(&w->out, ",\"apiVersion\":");
		json_quote(&w->out, plain ? w->kind->api_version : "meta.k8s.io/v1");
		strbuf_addf(
			&w->out,
			",\"metadata\":{\"resourceVersion\":\"%lld\",\"creationTimestamp\":null",
			(long long)revision);
		if (initial_end)
			strbuf_adds(&w->out,
				    ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}");
		strbuf_adds(&w->out, "}}");
	}
	line_end(w);
	w->bookmark_at = clock_now(server_clock(w->server)) + BOOKMARK_INTERVAL;
}

static void line_gone(WatchStream *w)
{
	_cleanup_(json_decrefp) json_t *status = status_failure(
		MHD_HTTP_GONE, "Expired", NULL,
		"the watch was not read fast enough; please list again and watch from there");
	_cleanup_(xfreep) char *text = json_text(status);

	line_begin(w, "ERROR");
	strbuf_adds(&w->out, text);
	line_end(w);
	w->over = true;
}

/* What the client must see of an event: an object that comes into or leaves its selection is added
 * or deleted for it. */
static void line_event(WatchStream *w, const QueuedEvent *e)
{
	bool is = e->type != WATCH_DELETED && selection_match(&w->sel, e->object);
	bool was = e->type != WATCH_ADDED && selection_match(&w->sel, e->old ? e->old : e->object);

	w->seen = object_revision(e->object);
	if (is)
		line_object(w, was ? "MODIFIED" : "ADDED", e->object);
	else if (was && e->type == WATCH_DELETED)
		line_object(w, "DELETED", e->object);
	else if (was) {
		/* The state it had in the selection, at the revision at which it left. */
		_cleanup_(object_unrefp) Object *last = object_with_revision(
			e->old, object_create_revision(e->old), object_revision(e->object));

		line_object(w, "DELETED", last);
	}
}

static bool initial_lines(WatchStream *w, size_t max)
{
	if (!w->initial)
		return false;
	while (w->initial_at < w->initial->n && w->out.len < max)
		line_object(w, "ADDED", w->initial->items[w->initial_at++]);
	if (w->initial_at < w->initial->n)
		return true;
	if (w->tell_initial_end)
		line_bookmark(w, w->initial->revision, true);
	w->initial = object_list_free(w->initial);
	return w->out.len > 0;
}

/* Takes one event out of the queue; false = empty. */
static bool queue_take(WatchStream *w, QueuedEvent *ret, bool *ret_overflow, bool *ret_closed)
{
	bool taken = false;

	pthread_mutex_lock(&w->lock);
	*ret_overflow = w->overflow;
	*ret_closed = w->closed;
	if (w->n > 0) {
		*ret = w->queue[w->head];
		w->head = (w->head + 1) % w->cap;
		w->n--;
		taken = true;
	}
	pthread_mutex_unlock(&w->lock);
	return taken;
}

/* Fills the buffer with what there is; the buffer stays empty if there is nothing. */
static void fill_lines(WatchStream *w, size_t max)
{
	usec_t now = clock_now(server_clock(w->server));
	bool overflow = false, closed = false;
	QueuedEvent e;

	if (initial_lines(w, max))
		return;
	while (w->out.len < max && queue_take(w, &e, &overflow, &closed)) {
		line_event(w, &e);
		object_unref(e.object);
		object_unref(e.old);
	}
	if (overflow)
		line_gone(w);
	else if (closed || now >= w->end_at)
		w->over = true;
	if (w->bookmarks && !w->over && w->out.len == 0 && now >= w->bookmark_at) {
		pthread_mutex_lock(&w->lock);
		if (w->n == 0 && w->queued_revision > w->seen)
			w->seen = w->queued_revision;
		pthread_mutex_unlock(&w->lock);
		line_bookmark(w, w->seen, false);
	}
}

/* Nothing to send: sleeps until the writer or the caretaker resumes. False = look again. */
static bool watch_suspend(WatchStream *w)
{
	usec_t wake = w->end_at;
	bool sleep;

	if (w->bookmarks)
		wake = MIN(wake, w->bookmark_at);
	conn_set_wake(w->conn, wake);
	pthread_mutex_lock(&w->lock);
	sleep = w->n == 0 && !w->overflow && !w->closed;
	if (sleep) {
		w->suspended = true;
		MHD_suspend_connection(w->mhd);
	}
	pthread_mutex_unlock(&w->lock);
	return sleep;
}

static ssize_t watch_read(void *cls, uint64_t pos _unused_, char *buf, size_t max)
{
	WatchStream *w = cls;
	size_t n;

	while (w->out_at == w->out.len) {
		strbuf_reset(&w->out);
		w->out_at = 0;
		if (w->over)
			return MHD_CONTENT_READER_END_OF_STREAM;
		fill_lines(w, max);
		if (w->over && !w->cut_set) {
			w->cut_set = true;
			conn_set_deadline(w->conn, CUT_AFTER);
		}
		if (w->out.len == 0 && !w->over && watch_suspend(w))
			return 0;
	}
	n = MIN(w->out.len - w->out_at, max);
	memcpy(buf, w->out.buf + w->out_at, n);
	w->out_at += n;
	return (ssize_t)n;
}

/* ---- begin and end ---- */

static void watch_stream_free(void *arg)
{
	WatchStream *w = arg;

	watch_close(w->watch);
	queue_clear(w);
	free(w->queue);
	object_list_free(w->initial);
	selection_done(&w->sel);
	strbuf_done(&w->out);
	kind_unref(w->kind);
	free(w->namespace);
	free(w->include);
	pthread_mutex_destroy(&w->lock);
	atomic_fetch_sub(&w->server->counters.watches, 1);
	free(w);
}

typedef struct WatchOptions {
	int64_t from; /* -1 = the current state first */
	bool send_initial;
	usec_t timeout; /* USEC_INFINITY = none */
} WatchOptions;

static int parse_number(Request *r, const char *name, int64_t *ret)
{
	const char *text = target_query(&r->target, name);
	char *end;
	long long v;

	if (str_is_empty(text))
		return 0;
	errno = 0;
	v = strtoll(text, &end, 10);
	if (errno || *end || strspn(text, "0123456789") != strlen(text)) {
		reply_bad_request(r, "%s: Invalid value: \"%.64s\"", name, text);
		return -ERR_INVALID;
	}
	*ret = v;
	return 1;
}

static int parse_options(Request *r, WatchOptions *ret)
{
	const char *match = target_query(&r->target, "resourceVersionMatch");
	int64_t revision = 0, seconds = 0;
	WatchOptions o = { .from = -1, .timeout = USEC_INFINITY };

	if (parse_number(r, "resourceVersion", &revision) < 0 ||
	    parse_number(r, "timeoutSeconds", &seconds) < 0)
		return -ERR_INVALID;
	if (seconds > 0)
		o.timeout = (usec_t)MIN(seconds, (int64_t)86400) * USEC_PER_SEC;
	o.send_initial = target_query_bool(&r->target, "sendInitialEvents");
	if (o.send_initial != (match && streq(match, "NotOlderThan"))) {
		reply_failure(r, MHD_HTTP_UNPROCESSABLE_CONTENT, "Invalid", NULL,
			      "resourceVersionMatch: Forbidden: sendInitialEvents=true and "
			      "resourceVersionMatch=NotOlderThan go together");
		return -ERR_INVALID;
	}
	if (revision > store_revision(r->server->options.store)) {
		/* A store that was restored: only a new list helps. */
		reply_expired(r, "too large resource version; please list again");
		return -ERR_GONE;
	}
	if (revision > 0 && !o.send_initial)
		o.from = revision;
	/* sendInitialEvents=false: live events only, from now or from the revision given. */
	if (!o.send_initial && target_query(&r->target, "sendInitialEvents") && o.from < 0)
		o.from = store_revision(r->server->options.store);
	*ret = o;
	return 0;
}

static bool match_object(void *arg, const Object *o)
{
	return selection_match(arg, o);
}

static int watch_open(Request *r, WatchStream *w, const WatchOptions *o, Error *err)
{
	Store *store = r->server->options.store;
	ListOptions list = { .gr = r->kind->gr,
			     .namespace = w->namespace,
			     .match = match_object,
			     .match_arg = &w->sel };
	int64_t from = o->from;
	int rc;

	if (from < 0) {
		rc = store_list(store, &list, &w->initial, err);
		if (rc < 0)
			return rc;
		from = w->initial->revision;
	}
	w->seen = w->queued_revision = from;
	/* History comes all at once and is no sign of a slow reader. */
	w->max = WATCH_QUEUE_MAX + (size_t)MAX(store_revision(store) - from, (int64_t)0);
	return store_watch(store, r->kind->gr, from, watch_event, w, &w->watch, err);
}

static WatchStream *watch_stream_new(Request *r)
{
	usec_t now = clock_now(server_clock(r->server));
	WatchStream *w = xnew0(WatchStream, 1);

	w->server = r->server;
	w->conn = r->conn;
	w->mhd = r->mhd;
	w->kind = kind_ref(r->kind);
	w->accept = r->accept;
	w->namespace = xstrdup(r->route.namespace);
	w->include = xstrdup(target_query(&r->target, "includeObject"));
	w->bookmarks = target_query_bool(&r->target, "allowWatchBookmarks");
	w->bookmark_at = now + BOOKMARK_INTERVAL;
	w->end_at = USEC_INFINITY;
	pthread_mutex_init(&w->lock, NULL);
	atomic_fetch_add(&r->server->counters.watches, 1);
	return w;
}

void handle_watch(Request *r)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	WatchOptions o;
	WatchStream *w;
	int rc;

	if (parse_options(r, &o) < 0)
		return;
	w = watch_stream_new(r);
	if (selection_parse(r, &w->sel) < 0) {
		watch_stream_free(w);
		return;
	}
	w->sel.namespace = w->namespace;
	w->tell_initial_end = o.send_initial;
	if (o.timeout != USEC_INFINITY)
		w->end_at = clock_now(server_clock(r->server)) + o.timeout;
	rc = watch_open(r, w, &o, &err);
	if (rc < 0) {
		watch_stream_free(w);
		reply_error(r, rc, &err, NULL);
		return;
	}
	r->stream = w;
	r->stream_free = watch_stream_free;
	conn_attach(r->conn, watch_poke, w);
	r->reply.code = MHD_HTTP_OK;
	r->reply.content_type = "application/json";
	r->reply.response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, WATCH_BLOCK,
							      watch_read, w, NULL);
}
