/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests counted by verb, resource, scope and code, under the names and labels of Kubernetes' API
 * server, so that its dashboards and alerts work.
 *
 * A series is found without a lock in a table that only grows; adding one takes a mutex. A label is
 * never a client's own text: resources are those of kinds that are served, subresources those of
 * rows of the route table, and what names neither is counted without. User-defined kinds come and
 * go, so there is a last series for all that no longer fits.
 */
#include "server/metrics.h"

#define SLOTS      2048 /* a power of two */
#define SERIES_MAX 1024
#define CODES_MAX  24 /* different ones of one series; we have fewer */

typedef struct SeriesLabels {
	const char *verb, *group, *version, *resource, *subresource, *scope, *dry_run;
} SeriesLabels;

typedef struct CodeCount {
	_Atomic unsigned code; /* 0 = free */
	_Atomic uint64_t n;
} CodeCount;

struct RequestSeries {
	uint64_t hash;
	SeriesLabels labels; /* owned, but verb, scope and dry_run */
	Histogram durations;
	_Atomic int64_t running;
	_Atomic uint64_t events;
	CodeCount codes[CODES_MAX];
};

struct RequestMetrics {
	_Atomic(RequestSeries *) slots[SLOTS];
	RequestSeries *rest;
	_Atomic int64_t in_flight[2]; /* read-only, mutating */
	pthread_mutex_t lock;         /* of adding */
	size_t n;
};

/* ---- series ---- */

static uint64_t hash_text(uint64_t h, const char *s)
{
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3u;
	return (h ^ 0xff) * 0x100000001b3u;
}

static uint64_t labels_hash(const SeriesLabels *l)
{
	uint64_t h = 0xcbf29ce484222325u;

	h = hash_text(h, l->verb);
	h = hash_text(h, l->group);
	h = hash_text(h, l->version);
	h = hash_text(h, l->resource);
	h = hash_text(h, l->subresource);
	h = hash_text(h, l->scope);
	return hash_text(h, l->dry_run);
}

static bool labels_equal(const SeriesLabels *a, const SeriesLabels *b)
{
	return streq(a->verb, b->verb) && streq(a->resource, b->resource) &&
	       streq(a->group, b->group) && streq(a->version, b->version) &&
	       streq(a->subresource, b->subresource) && streq(a->scope, b->scope) &&
	       streq(a->dry_run, b->dry_run);
}

static RequestSeries *series_new(const SeriesLabels *l, uint64_t hash)
{
	RequestSeries *s = xnew0(RequestSeries, 1);

	s->hash = hash;
	s->labels = *l;
	s->labels.group = xstrdup(l->group);
	s->labels.version = xstrdup(l->version);
	s->labels.resource = xstrdup(l->resource);
	s->labels.subresource = xstrdup(l->subresource);
	histogram_init(&s->durations, &histogram_bounds_request);
	return s;
}

static void series_free(RequestSeries *s)
{
	if (!s)
		return;
	free((char *)s->labels.group);
	free((char *)s->labels.version);
	free((char *)s->labels.resource);
	free((char *)s->labels.subresource);
	free(s);
}

/* The series, or the slot where it belongs. The table is never more than half full. */
static RequestSeries *series_find(RequestMetrics *m, const SeriesLabels *l, uint64_t hash,
				  size_t *ret_slot)
{
	for (size_t i = hash & (SLOTS - 1);; i = (i + 1) & (SLOTS - 1)) {
		RequestSeries *s = atomic_load_explicit(&m->slots[i], memory_order_acquire);

		*ret_slot = i;
		if (!s || (s->hash == hash && labels_equal(&s->labels, l)))
			return s;
	}
}

static RequestSeries *series_get(RequestMetrics *m, const SeriesLabels *l)
{
	uint64_t hash = labels_hash(l);
	RequestSeries *s;
	size_t slot;

	s = series_find(m, l, hash, &slot);
	if (s)
		return s;
	pthread_mutex_lock(&m->lock);
	s = series_find(m, l, hash, &slot);
	if (!s && m->n == SERIES_MAX) {
		s = m->rest;
	} else if (!s) {
		s = series_new(l, hash);
		m->n++;
		atomic_store_explicit(&m->slots[slot], s, memory_order_release);
	}
	pthread_mutex_unlock(&m->lock);
	return s;
}

RequestMetrics *request_metrics_new(void)
{
	static const SeriesLabels rest = { "other", "", "", "", "", "", "" };
	RequestMetrics *m = xnew0(RequestMetrics, 1);

	pthread_mutex_init(&m->lock, NULL);
	m->rest = series_get(m, &rest);
	return m;
}

RequestMetrics *request_metrics_free(RequestMetrics *m)
{
	if (!m)
		return NULL;
	for (size_t i = 0; i < SLOTS; i++)
		series_free(atomic_load(&m->slots[i]));
	pthread_mutex_destroy(&m->lock);
	free(m);
	return NULL;
}

/* ---- what a request is ---- */

static const char *verb_of(Request *r)
{
	static const char *const verbs[_RULE_MAX] = {
		[RULE_NONE] = "other",       [RULE_PATH_GET] = "GET",
		[RULE_PATH_POST] = "POST",   [RULE_PATH_PUT] = "PUT",
		[RULE_PATH_PATCH] = "PATCH", [RULE_PATH_DELETE] = "DELETE",
		[RULE_GET] = "GET",          [RULE_LIST] = "LIST",
		[RULE_WATCH] = "WATCH",      [RULE_CREATE] = "POST",
		[RULE_UPDATE] = "PUT",       [RULE_PATCH] = "PATCH",
		[RULE_DELETE] = "DELETE",    [RULE_DELETECOLLECTION] = "DELETECOLLECTION",
	};
	static const char *const raw[] = { "console", "portforward", "attach", "exec" };
	const char *type;

	for (size_t i = 0; r->row && r->route.subresource && i < ARRAY_SIZE(raw); i++)
		if (streq(r->route.subresource, raw[i]))
			return "CONNECT";
	if (r->rule == RULE_PATCH) {
		type = request_header(r, MHD_HTTP_HEADER_CONTENT_TYPE);
		if (type && str_has_prefix(type, "application/apply-patch"))
			return "APPLY";
	}
	return verbs[r->rule] ? verbs[r->rule] : "other";
}

static const char *scope_of(const Request *r)
{
	if (!r->kind)
		return "";
	if (r->route.name || r->rule == RULE_CREATE)
		return "resource";
	return r->route.namespace ? "namespace" : "cluster";
}

/* Paths that are no resources and that people look for. */
static const char *path_of(const Request *r)
{
	static const char *const paths[] = { "/healthz", "/livez", "/readyz", "/metrics",
					     "/version" };
	const char *first = r->target.n_segments ? r->target.segments[0] : "";

	for (size_t i = 0; r->row && i < ARRAY_SIZE(paths); i++)
		if (streq(paths[i] + 1, first))
			return paths[i];
	return "";
}

static RequestSeries *series_of(Request *r)
{
	const char *dry_run = target_query(&r->target, "dryRun");
	const Kind *k = r->kind;
	SeriesLabels l = { .verb = verb_of(r),
			   .group = k ? k->group : "",
			   .version = k ? k->version : "",
			   .resource = k ? k->plural : "",
			   .subresource = k && r->row && r->route.subresource ? r->route.subresource
					  : k                                 ? ""
									      : path_of(r),
			   .scope = scope_of(r),
			   .dry_run = dry_run && streq(dry_run, "All") ? "All" : "" };

	return series_get(r->server->request_metrics, &l);
}

/* ---- counting ---- */

static _Atomic int64_t *in_flight_of(Request *r)
{
	return &r->server->request_metrics
			->in_flight[r->method != METHOD_GET && r->method != METHOD_HEAD];
}

void request_count_begin(Request *r)
{
	r->series = series_of(r);
	atomic_fetch_add_explicit(in_flight_of(r), 1, memory_order_relaxed);
}

void request_count_stream(Request *r)
{
	if (!r->series || r->streams)
		return;
	r->streams = true;
	atomic_fetch_sub_explicit(in_flight_of(r), 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&r->series->running, 1, memory_order_relaxed);
}

static void count_code(RequestSeries *s, unsigned code)
{
	for (size_t i = 0; i < CODES_MAX; i++) {
		unsigned is = atomic_load_explicit(&s->codes[i].code, memory_order_relaxed);

		if (is == 0 && atomic_compare_exchange_strong(&s->codes[i].code, &is, code))
			is = code;
		if (is == code) {
			atomic_fetch_add_explicit(&s->codes[i].n, 1, memory_order_relaxed);
			return;
		}
	}
}

void request_count_end(Request *r)
{
	usec_t now = clock_now(server_clock(r->server));
	RequestSeries *s = r->series;

	if (s && r->streams)
		atomic_fetch_sub_explicit(&s->running, 1, memory_order_relaxed);
	else if (s)
		atomic_fetch_sub_explicit(in_flight_of(r), 1, memory_order_relaxed);
	if (!r->reply.code)
		return; /* its client did not wait for the answer */
	if (!s)
		s = series_of(r);
	count_code(s, r->reply.code);
	histogram_observe(&s->durations, now - r->began);
}

void request_count_event(RequestSeries *s)
{
	atomic_fetch_add_explicit(&s->events, 1, memory_order_relaxed);
}

/* ---- the text ---- */

#define LABELS 8 /* one is free for the code */

static size_t series_labels(const RequestSeries *s, bool dry_run, MetricLabel ret[LABELS])
{
	const SeriesLabels *l = &s->labels;
	size_t n = 0;

	ret[n++] = (MetricLabel){ "verb", l->verb };
	ret[n++] = (MetricLabel){ "group", l->group };
	ret[n++] = (MetricLabel){ "version", l->version };
	ret[n++] = (MetricLabel){ "resource", l->resource };
	ret[n++] = (MetricLabel){ "subresource", l->subresource };
	ret[n++] = (MetricLabel){ "scope", l->scope };
	if (dry_run)
		ret[n++] = (MetricLabel){ "dry_run", l->dry_run };
	return n;
}

typedef void (*SeriesFn)(const RequestMetrics *m, const RequestSeries *s, MetricWriter *w);

static void each_series(const RequestMetrics *m, MetricWriter *w, SeriesFn fn)
{
	for (size_t i = 0; i < SLOTS; i++) {
		const RequestSeries *s = atomic_load_explicit(&m->slots[i], memory_order_acquire);

		if (s)
			fn(m, s, w);
	}
}

static void write_codes(const RequestMetrics *m _unused_, const RequestSeries *s, MetricWriter *w)
{
	MetricLabel labels[LABELS];
	size_t n = series_labels(s, true, labels);
	char code[16];

	for (size_t i = 0; i < CODES_MAX && atomic_load(&s->codes[i].code); i++) {
		snprintf(code, sizeof(code), "%u", atomic_load(&s->codes[i].code));
		labels[n] = (MetricLabel){ "code", code };
		metric_value(w, "apiserver_request_total", labels, n + 1,
			     (double)atomic_load(&s->codes[i].n));
	}
}

static void write_durations(const RequestMetrics *m _unused_, const RequestSeries *s,
			    MetricWriter *w)
{
	MetricLabel labels[LABELS];
	size_t n = series_labels(s, true, labels);

	if (atomic_load(&s->codes[0].code))
		metric_histogram(w, "apiserver_request_duration_seconds", labels, n, &s->durations);
}

static bool is_long_running(const RequestSeries *s)
{
	return streq(s->labels.verb, "WATCH") || streq(s->labels.verb, "CONNECT") ||
	       streq(s->labels.subresource, "log");
}

static void write_running(const RequestMetrics *m _unused_, const RequestSeries *s, MetricWriter *w)
{
	MetricLabel labels[LABELS];
	size_t n = series_labels(s, false, labels);

	if (is_long_running(s))
		metric_value(w, "apiserver_longrunning_requests", labels, n,
			     (double)atomic_load(&s->running));
}

static bool same_watched(const RequestSeries *a, const RequestSeries *b)
{
	return streq(a->labels.verb, "WATCH") && streq(b->labels.verb, "WATCH") &&
	       streq(a->labels.resource, b->labels.resource) &&
	       streq(a->labels.group, b->labels.group) &&
	       streq(a->labels.version, b->labels.version);
}

/* Over all scopes, told with the first of them. */
static void write_events(const RequestMetrics *m, const RequestSeries *s, MetricWriter *w)
{
	const SeriesLabels *l = &s->labels;
	const RequestSeries *first = NULL;
	uint64_t events = 0;

	for (size_t i = 0; i < SLOTS; i++) {
		const RequestSeries *other =
			atomic_load_explicit(&m->slots[i], memory_order_acquire);

		if (!other || !same_watched(s, other))
			continue;
		if (!first)
			first = other;
		events += atomic_load(&other->events);
	}
	if (first != s)
		return;
	metric_value(w, "apiserver_watch_events_total",
		     (MetricLabel[]){
			     {"group",     l->group   },
			     { "version",  l->version },
			     { "resource", l->resource}
        },
		     3, (double)events);
}

void request_metrics_write(const RequestMetrics *m, MetricWriter *w)
{
	static const char *const kinds[] = { "readOnly", "mutating" };

	metric_family(w, "apiserver_request_total", METRIC_COUNTER,
		      "Requests answered, by verb, resource and status code.");
	each_series(m, w, write_codes);
	metric_family(w, "apiserver_request_duration_seconds", METRIC_HISTOGRAM,
		      "Time from a request's first line to the end of its answer.");
	each_series(m, w, write_durations);
	metric_family(w, "apiserver_current_inflight_requests", METRIC_GAUGE,
		      "Requests being handled, streams apart.");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		metric_value(w, "apiserver_current_inflight_requests",
			     &(MetricLabel){ "request_kind", kinds[i] }, 1,
			     (double)atomic_load(&m->in_flight[i]));
	metric_family(w, "apiserver_longrunning_requests", METRIC_GAUGE,
		      "Watches, followed logs, consoles and forwarded ports that are open.");
	each_series(m, w, write_running);
	metric_family(w, "apiserver_watch_events_total", METRIC_COUNTER, "Events sent to watches.");
	each_series(m, w, write_events);
}
