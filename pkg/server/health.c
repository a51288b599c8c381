/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the server says about itself: version, liveness, and figures for Prometheus. HTTP threads.
 */
#include <sys/utsname.h>

#include "server/internal.h"

/* kubectl compares minors and warns when they are more than one apart: claim a recent one. */
#define KUBERNETES_MAJOR "1"
#define KUBERNETES_MINOR "34"

static const char *platform_architecture(const char *machine)
{
	if (streq(machine, "x86_64"))
		return "amd64";
	return streq(machine, "aarch64") ? "arm64" : machine;
}

void handle_version(Request *r)
{
	_cleanup_(xfreep) char *platform = NULL;
	struct utsname u = { .machine = "unknown" };

	(void)uname(&u);
	platform = xasprintf("linux/%s", platform_architecture(u.machine));
	reply_json(r, MHD_HTTP_OK,
		   json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "major",
			     KUBERNETES_MAJOR, "minor", KUBERNETES_MINOR, "gitVersion",
			     "v" KUBERNETES_MAJOR "." KUBERNETES_MINOR ".0+sf" SF_VERSION,
			     "gitCommit", "", "gitTreeState", "clean", "buildDate",
			     "1970-01-01T00:00:00Z", "goVersion", "c", "compiler", "gcc",
			     "platform", platform));
}

/* All three ask the same: do the workers make progress. A server without a store does not start. */
void handle_health(Request *r)
{
	Server *s = r->server;
	char why[256] = "";

	if (s->options.manager && !manager_is_healthy(s->options.manager, why, sizeof(why))) {
		_cleanup_(xfreep) char *text = xasprintf("a worker hangs: %s", why);

		reply_text(r, MHD_HTTP_INTERNAL_SERVER_ERROR, text);
		return;
	}
	reply_text(r, MHD_HTTP_OK, "ok");
}

static void metric(StrBuf *out, const char *name, const char *type, const char *help, double value)
{
	strbuf_addf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.17g\n", name, help, name, type, name,
		    value);
}

static void store_metrics(StrBuf *out, Store *store)
{
	StoreStats st = { 0 };

	store_stats(store, &st);
	metric(out, "sf_store_revision", "gauge", "Revision of the newest commit.",
	       (double)st.revision);
	metric(out, "sf_store_compacted_revision", "gauge", "Oldest revision that can be watched.",
	       (double)st.compacted);
	metric(out, "sf_store_objects", "gauge", "Objects stored.", (double)st.objects);
	metric(out, "sf_store_commits_total", "counter", "Durable writes of the backend.",
	       (double)st.commits);
	metric(out, "sf_store_txns_total", "counter", "Transactions committed.", (double)st.txns);
	metric(out, "sf_store_conflicts_total", "counter",
	       "Transactions refused by a precondition.", (double)st.conflicts);
	metric(out, "sf_store_failures_total", "counter", "Commits whose outcome was unknown.",
	       (double)st.failures);
	metric(out, "sf_store_reloads_total", "counter", "Times the backend was read again.",
	       (double)st.reloads);
}

static void http_metrics(StrBuf *out, Server *s)
{
	static const char *const classes[] = { "broken", "1xx", "2xx", "3xx", "4xx", "5xx" };

	strbuf_adds(out, "# HELP sf_http_requests_total Requests by class of status code.\n"
			 "# TYPE sf_http_requests_total counter\n");
	for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
		strbuf_addf(out, "sf_http_requests_total{code=\"%s\"} %llu\n", classes[i],
			    (unsigned long long)atomic_load(&s->counters.requests[i]));
	metric(out, "sf_http_connections_total", "counter", "Connections accepted.",
	       (double)atomic_load(&s->counters.connections));
	metric(out, "sf_http_connections_open", "gauge", "Connections open now.",
	       (double)atomic_load(&s->counters.open));
	metric(out, "sf_http_watches", "gauge", "Watches open now.",
	       (double)atomic_load(&s->counters.watches));
	metric(out, "sf_http_sessions", "gauge", "Consoles and forwarded ports open now.",
	       (double)atomic_load(&s->counters.sessions));
	metric(out, "sf_http_refused_total", "counter", "Requests of users who may not.",
	       (double)atomic_load(&s->counters.refused));
	metric(out, "sf_http_cut_total", "counter", "Connections cut at a deadline.",
	       (double)atomic_load(&s->counters.cut));
}

typedef struct ControllerRows {
	ControllerStats rows[32];
	char names[32][64];
	size_t n;
} ControllerRows;

static void collect_controller(void *arg, const ControllerStats *st)
{
	ControllerRows *rows = arg;

	if (rows->n == ARRAY_SIZE(rows->rows))
		return;
	rows->rows[rows->n] = *st;
	snprintf(rows->names[rows->n], sizeof(rows->names[0]), "%s", st->name);
	rows->n++;
}

/* One family: all controllers' value of one column. */
static void controller_family(StrBuf *out, const ControllerRows *rows, const char *name,
			      const char *type, const char *help,
			      double (*value)(const ControllerStats *))
{
	strbuf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
	for (size_t i = 0; i < rows->n; i++)
		strbuf_addf(out, "%s{controller=\"%s\"} %.17g\n", name, rows->names[i],
			    value(&rows->rows[i]));
}

static double value_reconciles(const ControllerStats *s)
{
	return (double)s->reconciles;
}

static double value_errors(const ControllerStats *s)
{
	return (double)s->errors;
}

static double value_busy(const ControllerStats *s)
{
	return (double)s->busy / (double)USEC_PER_SEC;
}

static double value_depth(const ControllerStats *s)
{
	return (double)s->queue.ready;
}

static double value_retries(const ControllerStats *s)
{
	return (double)s->queue.retries;
}

static void manager_metrics(StrBuf *out, Manager *m)
{
	ControllerRows rows = { 0 };

	manager_stats(m, collect_controller, &rows);
	controller_family(out, &rows, "sf_reconciles_total", "counter", "Reconciles done.",
			  value_reconciles);
	controller_family(out, &rows, "sf_reconcile_errors_total", "counter", "Reconciles failed.",
			  value_errors);
	controller_family(out, &rows, "sf_reconcile_seconds_total", "counter",
			  "Time spent reconciling.", value_busy);
	controller_family(out, &rows, "sf_workqueue_depth", "gauge", "Keys waiting for a worker.",
			  value_depth);
	controller_family(out, &rows, "sf_workqueue_retries_total", "counter",
			  "Keys added again after a failure.", value_retries);
}

void handle_metrics(Request *r)
{
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;
	Server *s = r->server;
	size_t len;

	metric(&out, "sf_start_time_seconds", "gauge", "When the server started.",
	       (double)s->started / (double)USEC_PER_SEC);
	store_metrics(&out, s->options.store);
	http_metrics(&out, s);
	if (s->options.manager)
		manager_metrics(&out, s->options.manager);
	len = out.len;
	reply_take(r, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", strbuf_take(&out),
		   len);
}
