/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /metrics: every figure of the process, in the format that the scraper asks for. Names and labels
 * are those of Kubernetes' API server, client-go's workqueues and controller-runtime where the
 * figure is theirs; what is ours begins with sf_. HTTP threads.
 */
#include "server/metrics.h"
#include "server/handlers.h"
#include "server/reply.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fs.h"

#define CONTROLLERS_MAX 32

/* ---- the process ---- */

static size_t count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	if (!d)
		return 0;
	while (readdir(d))
		n++;
	closedir(d);
	return n - 3; /* ".", ".." and the directory itself */
}

/* Fields 23 and 24 of proc_pid_stat(5): bytes of address space, pages in memory. */
static void read_memory(double *ret_virtual, double *ret_resident)
{
	_cleanup_(xfreep) char *text = NULL;
	const char *p;
	long long pages;
	unsigned long long bytes;

	*ret_virtual = *ret_resident = 0;
	if (fs_read("/proc/self/stat", 4096, &text, NULL, NULL) < 0 || !(p = strrchr(text, ')')))
		return;
	for (int field = 2; field < 23; field++) {
		p = strchr(p + 1, ' ');
		if (!p)
			return;
	}
	if (sscanf(p, " %llu %lld", &bytes, &pages) != 2)
		return;
	*ret_virtual = (double)bytes;
	*ret_resident = (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void process_metrics(Server *s, MetricWriter *w)
{
	double virtual, resident, cpu;
	struct rlimit limit = { 0 };
	struct rusage usage = { 0 };

	getrusage(RUSAGE_SELF, &usage);
	getrlimit(RLIMIT_NOFILE, &limit);
	read_memory(&virtual, &resident);
	cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	      (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / (double)USEC_PER_SEC;
	metric_single(w, "process_cpu_seconds_total", METRIC_COUNTER, "Processor time used.", cpu);
	metric_single(w, "process_resident_memory_bytes", METRIC_GAUGE, "Memory in use.", resident);
	metric_single(w, "process_virtual_memory_bytes", METRIC_GAUGE, "Address space.", virtual);
	metric_single(w, "process_open_fds", METRIC_GAUGE, "Open file descriptors.",
		      (double)count_fds());
	metric_single(w, "process_max_fds", METRIC_GAUGE, "How many may be open.",
		      (double)limit.rlim_cur);
	metric_single(w, "process_start_time_seconds", METRIC_GAUGE,
		      "When the process started, since 1970.",
		      (double)s->started / (double)USEC_PER_SEC);
	metric_family(w, "sf_build_info", METRIC_GAUGE, "Which version this is.");
	metric_value(w, "sf_build_info",
		     (MetricLabel[]){
			     {"version", SF_VERSION  },
                             { "node",   s->node_name}
        },
		     2, 1);
}

/* ---- the store ---- */

static void write_kind(void *arg, const GroupResource *gr, size_t n)
{
	char name[512];

	metric_value(arg, "apiserver_storage_objects",
		     &(MetricLabel){ "resource", group_resource_format(gr, name, sizeof(name)) }, 1,
		     (double)n);
}

static void store_metrics(Store *store, MetricWriter *w)
{
	StoreStats st = { 0 };

	store_stats(store, &st);
	metric_family(w, "apiserver_storage_objects", METRIC_GAUGE, "Objects stored, by resource.");
	store_count_kinds(store, write_kind, w);
	metric_single(w, "sf_store_revision", METRIC_GAUGE, "Revision of the newest commit.",
		      (double)st.revision);
	metric_single(w, "sf_store_compacted_revision", METRIC_GAUGE,
		      "Oldest revision that can be watched.", (double)st.compacted);
	metric_single(w, "sf_store_available", METRIC_GAUGE,
		      "0 while the store is being opened again after a failed commit.",
		      store_is_available(store));
	metric_single(w, "sf_store_commits_total", METRIC_COUNTER, "Durable writes of the backend.",
		      (double)st.commits);
	metric_single(w, "sf_store_txns_total", METRIC_COUNTER,
		      "Transactions committed; several share one durable write.", (double)st.txns);
	metric_single(w, "sf_store_conflicts_total", METRIC_COUNTER,
		      "Transactions refused by a precondition.", (double)st.conflicts);
	metric_single(w, "sf_store_failures_total", METRIC_COUNTER,
		      "Commits whose outcome was unknown.", (double)st.failures);
	metric_single(w, "sf_store_reloads_total", METRIC_COUNTER,
		      "Times the backend was read again.", (double)st.reloads);
	metric_family(w, "sf_store_commit_duration_seconds", METRIC_HISTOGRAM,
		      "Time of a durable write, of all transactions in it together.");
	metric_histogram(w, "sf_store_commit_duration_seconds", NULL, 0,
			 store_commit_durations(store));
}

/* ---- connections ---- */

static void http_metrics(Server *s, MetricWriter *w)
{
	const HttpCounters *c = &s->counters;

	metric_single(w, "sf_http_connections_total", METRIC_COUNTER, "Connections accepted.",
		      (double)atomic_load(&c->connections));
	metric_single(w, "sf_http_connections_open", METRIC_GAUGE, "Connections open now.",
		      (double)atomic_load(&c->open));
	metric_single(w, "sf_http_sessions", METRIC_GAUGE, "Consoles and forwarded ports open now.",
		      (double)atomic_load(&c->sessions));
	metric_single(w, "sf_http_broken_total", METRIC_COUNTER,
		      "Requests whose connection ended before the answer was out.",
		      (double)atomic_load(&c->broken));
	metric_single(w, "sf_http_refused_total", METRIC_COUNTER, "Requests of users who may not.",
		      (double)atomic_load(&c->refused));
	metric_single(w, "sf_http_cut_total", METRIC_COUNTER, "Connections cut at a deadline.",
		      (double)atomic_load(&c->cut));
	metric_single(w, "sf_http_handshakes_failed_total", METRIC_COUNTER,
		      "TLS connections that ended before a request.",
		      (double)atomic_load(&c->handshakes_failed));
	metric_family(w, "sf_authentication_attempts_total", METRIC_COUNTER,
		      "Requests that came with a certificate or token.");
	metric_value(w, "sf_authentication_attempts_total", &(MetricLabel){ "result", "success" },
		     1, (double)atomic_load(&c->logins));
	metric_value(w, "sf_authentication_attempts_total", &(MetricLabel){ "result", "failure" },
		     1, (double)atomic_load(&c->logins_failed));
}

static void certificate_metrics(Server *s, MetricWriter *w)
{
	static const char name[] = "sf_certificate_expiration_timestamp_seconds";
	Authority *a = s->options.authority;

	if (!a)
		return;
	metric_family(w, name, METRIC_GAUGE,
		      "When the CA and the TLS listener's certificate end, in seconds since 1970.");
	metric_value(w, name, &(MetricLabel){ "certificate", "ca" }, 1,
		     (double)(authority_ca_not_after(a) / USEC_PER_SEC));
	metric_value(w, name, &(MetricLabel){ "certificate", "server" }, 1,
		     (double)(authority_server_not_after(a) / USEC_PER_SEC));
}

/* ---- controllers ---- */

typedef struct ControllerRows {
	ControllerStats rows[CONTROLLERS_MAX];
	size_t n;
} ControllerRows;

static void collect_controller(void *arg, const ControllerStats *st)
{
	ControllerRows *rows = arg;

	if (rows->n < CONTROLLERS_MAX)
		rows->rows[rows->n++] = *st;
}

typedef struct ControllerFigure {
	const char *name, *label, *help;
	MetricType type;
	double (*value)(const ControllerStats *s);
	const Histogram *(*histogram)(const ControllerStats *s); /* instead */
} ControllerFigure;

static double depth(const ControllerStats *s)
{
	return (double)s->queue.ready;
}

static double adds(const ControllerStats *s)
{
	return (double)s->queue.adds;
}

static double retries(const ControllerStats *s)
{
	return (double)s->queue.retries;
}

static double unfinished(const ControllerStats *s)
{
	return (double)s->queue.unfinished / (double)USEC_PER_SEC;
}

static double longest(const ControllerStats *s)
{
	return (double)s->queue.longest / (double)USEC_PER_SEC;
}

static double delayed(const ControllerStats *s)
{
	return (double)s->queue.waiting;
}

static double errors(const ControllerStats *s)
{
	return (double)s->results[RECONCILE_ERROR];
}

static double terminal(const ControllerStats *s)
{
	return (double)s->terminal;
}

static double active(const ControllerStats *s)
{
	return s->active;
}

static double workers(const ControllerStats *s)
{
	return s->workers;
}

static const Histogram *waits(const ControllerStats *s)
{
	return s->waits;
}

static const Histogram *works(const ControllerStats *s)
{
	return s->works;
}

static const Histogram *durations(const ControllerStats *s)
{
	return s->durations;
}

/* clang-format off */
static const ControllerFigure figures[] = {
	{ "workqueue_depth", "name", "Keys waiting for a worker.", METRIC_GAUGE, depth, NULL },
	{ "workqueue_adds_total", "name", "Keys added.", METRIC_COUNTER, adds, NULL },
	{ "workqueue_retries_total", "name", "Keys added again after a failure.", METRIC_COUNTER, retries, NULL },
	{ "workqueue_queue_duration_seconds", "name", "How long keys waited for a worker.", METRIC_HISTOGRAM, NULL, waits },
	{ "workqueue_work_duration_seconds", "name", "How long keys were worked on.", METRIC_HISTOGRAM, NULL, works },
	{ "workqueue_unfinished_work_seconds", "name", "How long the keys being worked on have been, together.", METRIC_GAUGE, unfinished, NULL },
	{ "workqueue_longest_running_processor_seconds", "name", "How long the oldest of them has been.", METRIC_GAUGE, longest, NULL },
	{ "sf_workqueue_delayed", "name", "Keys that wait for their time.", METRIC_GAUGE, delayed, NULL },
	{ "controller_runtime_reconcile_errors_total", "controller", "Reconciles that failed.", METRIC_COUNTER, errors, NULL },
	{ "controller_runtime_terminal_reconcile_errors_total", "controller", "Reconciles that failed so that trying again does not help.", METRIC_COUNTER, terminal, NULL },
	{ "controller_runtime_reconcile_time_seconds", "controller", "How long reconciles took.", METRIC_HISTOGRAM, NULL, durations },
	{ "controller_runtime_active_workers", "controller", "Workers that reconcile now.", METRIC_GAUGE, active, NULL },
	{ "controller_runtime_max_concurrent_reconciles", "controller", "Workers there are.", METRIC_GAUGE, workers, NULL },
};
/* clang-format on */

static void reconcile_results(const ControllerRows *rows, MetricWriter *w)
{
	static const char *const results[_RECONCILE_MAX] = {
		[RECONCILE_SUCCESS] = "success",
		[RECONCILE_REQUEUE_AFTER] = "requeue_after",
		[RECONCILE_REQUEUE] = "requeue",
		[RECONCILE_ERROR] = "error",
	};

	metric_family(w, "controller_runtime_reconcile_total", METRIC_COUNTER,
		      "Reconciles, by what came of them.");
	for (size_t i = 0; i < rows->n; i++)
		for (size_t j = 0; j < _RECONCILE_MAX; j++)
			metric_value(w, "controller_runtime_reconcile_total",
				     (MetricLabel[]){
					     {"controller", rows->rows[i].name},
					     { "result",    results[j]        }
                        },
				     2, (double)rows->rows[i].results[j]);
}

static void manager_metrics(Manager *m, MetricWriter *w)
{
	ControllerRows rows = { 0 };

	manager_stats(m, collect_controller, &rows);
	for (size_t i = 0; i < ARRAY_SIZE(figures); i++) {
		const ControllerFigure *f = &figures[i];

		metric_family(w, f->name, f->type, f->help);
		for (size_t j = 0; j < rows.n; j++) {
			MetricLabel label = { f->label, rows.rows[j].name };

			if (f->histogram)
				metric_histogram(w, f->name, &label, 1,
						 f->histogram(&rows.rows[j]));
			else
				metric_value(w, f->name, &label, 1, f->value(&rows.rows[j]));
		}
	}
	reconcile_results(&rows, w);
}

void handle_metrics(Request *r)
{
	const char *accept = request_header(r, MHD_HTTP_HEADER_ACCEPT);
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;
	MetricWriter w = { .out = &out,
			   .open_metrics =
				   accept && strstr(accept, "application/openmetrics-text") };
	Server *s = r->server;
	size_t len;

	request_metrics_write(s->request_metrics, &w);
	http_metrics(s, &w);
	certificate_metrics(s, &w);
	store_metrics(s->options.store, &w);
	if (s->options.manager)
		manager_metrics(s->options.manager, &w);
	object_metrics_write(s, &w);
	process_metrics(s, &w);
	metric_end(&w);
	len = out.len;
	reply_take(r, MHD_HTTP_OK,
		   w.open_metrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
				  : "text/plain; version=0.0.4; charset=utf-8",
		   strbuf_take(&out), len);
}
