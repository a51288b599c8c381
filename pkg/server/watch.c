/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watch: a suspended connection with a bounded queue.
 *
 * The store calls for changes of the watched kind, namespace and name only. Its writer puts
 * references to immutable objects into the queue and resumes the connection; its HTTP thread turns
 * them into lines: selector transitions and texts are made there, not on the writer. A client that
 * does not read fills its queue: its watch ends, and it goes on from what it read last, out of the
 * store's history; nobody else noticed. A bookmark never says more than was sent. Lock:
 * WatchStream.lock, after Server.lock; never held over a call into the store.
 */
#include "server/watch.h"
#include "server/handlers.h"
#include "server/list.h"
#include "server/metrics.h"
#include "server/reply.h"

#define CUT_AFTER (10 * USEC_PER_SEC) /* what a client has to read its last line */
/* Only clients of HTTP/1.0 get their lines through it; the others' buffer is the connection's. */
#define WATCH_BLOCK 512u
#define QUEUE_KEEP  16u /* of an empty queue: what a burst needed is given back */
/* Timers of all watches meet on these beats, so that thousands of them do not wake the caretaker
 * one by one. */
#define TIMER_BEAT USEC_PER_SEC

typedef struct QueuedEvent {
	WatchType type;
	Object *object, *old;
} QueuedEvent;

typedef struct WatchStream {
	Server *server;
	Conn *conn;
	struct MHD_Connection *mhd;
	RequestSeries *series;
	RenderForm form; /* owns its kind */
	Selection sel;   /* borrows the namespace */
	char *namespace;
	Watch *watch;
	/* The HTTP thread's. */
	ObjectList *initial;
	size_t initial_at;
	bool tell_initial_end, bookmarks, over, cut_set;
	int64_t seen; /* the revision up to which everything was sent */
	usec_t end_at, bookmark_at;
	StrBuf out;
	size_t out_at;
	/* Under lock. */
	pthread_mutex_t lock;
	QueuedEvent *queue; /* a ring */
	size_t head, n, cap, max;
	bool overflow, peer_gone, stopping, kind_gone, suspended;
} WatchStream;

/* ---- the writer's side ---- */

static void queue_resize(WatchStream *w, size_t cap)
{
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
	WatchStream *w = arg;

	if (!event_concerns(w, e))
		return;
	pthread_mutex_lock(&w->lock);
	if (!w->overflow && !w->peer_gone) {
		if (w->n == w->max) {
			queue_clear(w);
			w->overflow = true;
		} else {
			if (w->n == w->cap)
				queue_resize(w, w->cap ? w->cap * 2 : 4);
			w->queue[(w->head + w->n++) % w->cap] =
				(QueuedEvent){ .type = e->type,
					       .object = object_ref(e->object),
					       .old = e->old ? object_ref(e->old) : NULL };
		}
		resume_locked(w);
	}
	pthread_mutex_unlock(&w->lock);
}

/* False once its definition was removed or replaced. */
static bool kind_is_served(const WatchStream *w)
{
	const Kind *k = w->form.kind;
	_cleanup_(kind_unrefp) Kind *now = NULL;

	if (k->builtin)
		return true;
	now = server_kind(w->server, k->group, k->version, k->plural);
	return now == k;
}

/* Under Server.lock, from whoever has news for streams. */
static void watch_poke(void *arg, Poke why)
{
	WatchStream *w = arg;
	bool kind_gone = why == POKE_KINDS && !kind_is_served(w);

	if (why == POKE_KINDS && !kind_gone)
		return;
	pthread_mutex_lock(&w->lock);
	w->kind_gone |= kind_gone;
	w->peer_gone |= why == POKE_PEER_GONE;
	w->stopping |= why == POKE_STOPPING;
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

/* The object as it is, but at that revision. */
static void line_object(WatchStream *w, const char *type, Object *o, int64_t revision)
{
	line_begin(w, type);
	render_shared(w->server, &w->out, &w->form, o, revision);
	w->form.with_columns = false;
	line_end(w);
	request_count_event(w->series);
}

/* Once a minute, and shortly before the end that the client has asked for: it then resumes from
 * there. */
static void schedule_bookmark(WatchStream *w)
{
	usec_t now = clock_now(server_clock(w->server)), at = now + BOOKMARK_INTERVAL;

	at += TIMER_BEAT - at % TIMER_BEAT;
	if (w->end_at != USEC_INFINITY && w->end_at > now + BOOKMARK_BEFORE_END)
		at = MIN(at, w->end_at - BOOKMARK_BEFORE_END);
	w->bookmark_at = at;
}

static void line_bookmark(WatchStream *w, int64_t revision, bool initial_end)
{
	line_begin(w, "BOOKMARK");
	render_bookmark(&w->out, &w->form, revision, initial_end);
	w->form.with_columns = false;
	line_end(w);
	schedule_bookmark(w);
}

/* What the client must see of an event: an object that comes into or leaves its selection is added
 * or deleted for it. */
static void line_event(WatchStream *w, const QueuedEvent *e)
{
	bool is = e->type != WATCH_DELETED && selection_match(&w->sel, e->object);
	bool was = e->type != WATCH_ADDED && selection_match(&w->sel, e->old ? e->old : e->object);
	int64_t revision = object_revision(e->object);

	w->seen = revision;
	if (is)
		line_object(w, was ? "MODIFIED" : "ADDED", e->object, revision);
	else if (was) /* gone, or as it last was in the selection */
		line_object(w, "DELETED", e->type == WATCH_DELETED ? e->object : e->old, revision);
}

static bool initial_lines(WatchStream *w, size_t max)
{
	if (!w->initial)
		return false;
	while (w->initial_at < w->initial->n && w->out.len < max) {
		Object *o = w->initial->items[w->initial_at++];

		line_object(w, "ADDED", o, object_revision(o));
	}
	if (w->initial_at < w->initial->n)
		return true;
	if (w->tell_initial_end)
		line_bookmark(w, w->initial->revision, true);
	w->initial = object_list_free(w->initial);
	return w->out.len > 0;
}

typedef struct Look {
	bool empty, overflow, peer_gone, stopping, kind_gone;
} Look;

/* Takes one event out of the queue; false = empty. */
static bool queue_take(WatchStream *w, QueuedEvent *ret, Look *look)
{
	pthread_mutex_lock(&w->lock);
	*look = (Look){ .empty = w->n == 0,
			.overflow = w->overflow,
			.peer_gone = w->peer_gone,
			.stopping = w->stopping,
			.kind_gone = w->kind_gone };
	if (!look->empty) {
		*ret = w->queue[w->head];
		w->head = (w->head + 1) % w->cap;
		w->n--;
	} else if (w->cap > QUEUE_KEEP) {
		free(TAKE_PTR(w->queue));
		w->cap = w->head = 0;
	}
	pthread_mutex_unlock(&w->lock);
	return !look->empty;
}

/* Lines of what is in the queue, up to about max bytes. */
static Look take_all(WatchStream *w, size_t max)
{
	Look look = { 0 };
	QueuedEvent e;

	while (w->out.len < max && queue_take(w, &e, &look)) {
		line_event(w, &e);
		object_unref(e.object);
		object_unref(e.old);
	}
	return look;
}

/*
 * The store's word about how far it has called us comes before another look into the queue: an
 * event up to there is then taken, and not on its way. True if the bookmark is out.
 */
static bool tell_bookmark(WatchStream *w, size_t max)
{
	int64_t called = watch_revision(w->watch);
	Look look = take_all(w, max);

	if (!look.empty || look.overflow)
		return false;
	w->seen = MAX(w->seen, called);
	line_bookmark(w, w->seen, false);
	return true;
}

/* Fills the buffer with what there is; the buffer stays empty if there is nothing. */
static void fill_lines(WatchStream *w, size_t max)
{
	usec_t now = clock_now(server_clock(w->server));
	bool ends;
	Look look;

	if (initial_lines(w, max))
		return;
	look = take_all(w, max);
	if (look.stopping || look.kind_gone)
		w->end_at = MIN(w->end_at, now);
	ends = now >= w->end_at;
	/* The end waits for what is queued, but not for a client that is slower than the news, and
	 * a stop waits for nobody: what is left is in the history. */
	if (look.overflow || look.peer_gone || (look.stopping && !look.empty) ||
	    (ends && now - w->end_at >= CUT_AFTER))
		w->over = true;
	else if (!look.empty)
		return;
	else if (w->bookmarks && (ends || now >= w->bookmark_at))
		w->over = tell_bookmark(w, max) && ends;
	else
		w->over = ends;
}

/* Nothing to send: sleeps until the writer or the caretaker resumes. False = look again. */
static bool watch_suspend(WatchStream *w)
{
	usec_t wake = w->end_at;
	bool sleep;

	/* Its memory is not for an idle watch to keep. */
	strbuf_done(&w->out);
	if (w->bookmarks)
		wake = MIN(wake, w->bookmark_at);
	conn_set_wake(w->conn, wake);
	pthread_mutex_lock(&w->lock);
	sleep = w->n == 0 && !w->overflow && !w->peer_gone && !w->stopping && !w->kind_gone;
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
	kind_unref(w->form.kind);
	free(w->namespace);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

static bool match_object(void *arg, const Object *o)
{
	return selection_match(arg, o);
}

static int watch_open_at(Request *r, WatchStream *w, int64_t from, Error *err)
{
	Store *store = r->server->options.store;
	ListOptions list = { .gr = kind_source(r->kind),
			     .namespace = w->namespace,
			     .match = match_object,
			     .match_arg = &w->sel };
	WatchFilter filter = { kind_source(r->kind), w->namespace, w->sel.name };
	int rc;

	if (from < 0) {
		w->initial = object_list_free(w->initial);
		rc = store_list(store, &list, &w->initial, err);
		if (rc < 0)
			return rc;
		from = w->initial->revision;
	}
	w->seen = from;
	/* History comes all at once and is no sign of a slow reader. */
	w->max = WATCH_QUEUE_MAX + (size_t)MAX(store_revision(store) - from, (int64_t)0);
	return store_watch_filtered(store, &filter, from, watch_event, w, &w->watch, err);
}

static int watch_open(Request *r, WatchStream *w, int64_t from, Error *err)
{
	int rc;

	do {
		error_done(err);
		rc = watch_open_at(r, w, from, err);
	} while (rc == -ERR_GONE && from < 0); /* compacted between the list and the watch */
	return rc;
}

static WatchStream *watch_stream_new(Request *r, const WatchOptions *o)
{
	WatchStream *w = xnew0(WatchStream, 1);

	w->server = r->server;
	w->conn = r->conn;
	w->mhd = r->mhd;
	w->series = r->series;
	w->form = (RenderForm){ .kind = kind_ref(r->kind),
				.accept = r->accept,
				.include = include_parse(target_query(&r->target, "includeObject")),
				.with_columns = true };
	w->namespace = xstrdup(r->route.namespace);
	w->bookmarks = o->bookmarks;
	w->tell_initial_end = o->send_initial && o->bookmarks;
	w->end_at = USEC_INFINITY;
	if (o->timeout != USEC_INFINITY)
		w->end_at = clock_now(server_clock(r->server)) + o->timeout;
	schedule_bookmark(w);
	pthread_mutex_init(&w->lock, NULL);
	return w;
}

void handle_watch(Request *r)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	WatchOptions o;
	WatchStream *w;
	int rc;

	if (watch_options_parse(r, &o) < 0)
		return;
	w = watch_stream_new(r, &o);
	if (selection_parse(r, &w->sel) < 0) {
		watch_stream_free(w);
		return;
	}
	w->sel.namespace = w->namespace;
	rc = watch_open(r, w, o.from, &err);
	if (rc < 0) {
		watch_stream_free(w);
		reply_error(r, rc, &err, NULL);
		return;
	}
	r->stream = w;
	r->stream_free = watch_stream_free;
	conn_attach(r->conn, watch_poke, w);
	watch_poke(w, POKE_KINDS); /* it may have gone since it was looked up */
	r->reply.code = MHD_HTTP_OK;
	r->reply.content_type = "application/json";
	r->reply.response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, WATCH_BLOCK,
							      watch_read, w, NULL);
}
