/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics: see metrics.h. Observing is two atomic additions; a reader may see one without the
 * other, which is a matter of one observation until the next scrape.
 */
#include "base/metrics.h"

#include <math.h>

#include "base/memory.h"

#define MS(n)  ((n)*USEC_PER_MSEC)
#define SEC(n) ((n)*USEC_PER_SEC)

static const usec_t request_bounds[] = { MS(5),   MS(25),  MS(50),  MS(100),  MS(200),  MS(400),
					 MS(600), MS(800), SEC(1),  MS(1250), MS(1500), SEC(2),
					 SEC(3),  SEC(4),  SEC(5),  SEC(6),   SEC(8),   SEC(10),
					 SEC(15), SEC(20), SEC(30), SEC(45),  SEC(60) };
static const usec_t reconcile_bounds[] = {
	MS(5),    MS(10),  MS(25),   MS(50),   MS(100),  MS(150), MS(200),  MS(250),
	MS(300),  MS(350), MS(400),  MS(450),  MS(500),  MS(600), MS(700),  MS(800),
	MS(900),  SEC(1),  MS(1250), MS(1500), MS(1750), SEC(2),  MS(2500), SEC(3),
	MS(3500), SEC(4),  MS(4500), SEC(5),   SEC(6),   SEC(7),  SEC(8),   SEC(9),
	SEC(10),  SEC(15), SEC(20),  SEC(25),  SEC(30),  SEC(40), SEC(50),  SEC(60),
};
static const usec_t queue_bounds[] = { 1,       10,     100,     MS(1),    MS(10),
				       MS(100), SEC(1), SEC(10), SEC(100), SEC(1000) };
static const usec_t commit_bounds[] = { 125,     250,      500,      MS(1),    MS(2),   MS(4),
					MS(8),   MS(16),   MS(32),   MS(64),   MS(128), MS(256),
					MS(512), MS(1024), MS(2048), MS(4096), MS(8192) };

#define BOUNDS(array) \
	{ \
		array, ARRAY_SIZE(array) \
	}
const HistogramBounds histogram_bounds_request = BOUNDS(request_bounds);
const HistogramBounds histogram_bounds_reconcile = BOUNDS(reconcile_bounds);
const HistogramBounds histogram_bounds_queue = BOUNDS(queue_bounds);
const HistogramBounds histogram_bounds_commit = BOUNDS(commit_bounds);

void histogram_init(Histogram *h, const HistogramBounds *bounds)
{
	assert(bounds->n <= HISTOGRAM_BOUNDS_MAX);
	memset(h, 0, sizeof(*h));
	h->bounds = bounds;
}

void histogram_observe(Histogram *h, usec_t duration)
{
	size_t lo = 0, hi = h->bounds->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (h->bounds->bounds[mid] < duration)
			lo = mid + 1;
		else
			hi = mid;
	}
	atomic_fetch_add_explicit(&h->counts[lo], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&h->sum, duration, memory_order_relaxed);
}

/* ---- the text ---- */

/* In spans: there is hardly ever something to escape, and a scrape has thousands of labels. */
static void add_escaped(StrBuf *out, const char *s, bool quotes)
{
	const char *special = quotes ? "\n\\\"" : "\n\\";

	for (;;) {
		size_t n = strcspn(s, special);

		strbuf_add(out, s, n);
		s += n;
		if (!*s)
			return;
		strbuf_addc(out, '\\');
		strbuf_addc(out, *s == '\n' ? 'n' : *s);
		s++;
	}
}

static void add_count(StrBuf *out, uint64_t n)
{
	char digits[24], *p = digits + sizeof(digits);

	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	strbuf_add(out, p, (size_t)(digits + sizeof(digits) - p));
}

void metric_family(MetricWriter *w, const char *name, MetricType type, const char *help)
{
	static const char *const types[] = {
		[METRIC_COUNTER] = "counter",
		[METRIC_GAUGE] = "gauge",
		[METRIC_HISTOGRAM] = "histogram",
	};
	size_t len = strlen(name);

	assert(type != METRIC_COUNTER || str_has_suffix(name, "_total"));
	/* There the family of x_total is x. */
	if (w->open_metrics && type == METRIC_COUNTER)
		len -= strlen("_total");
	strbuf_addf(w->out, "# HELP %.*s ", (int)len, name);
	add_escaped(w->out, help, w->open_metrics);
	strbuf_addf(w->out, "\n# TYPE %.*s %s\n", (int)len, name, types[type]);
}

static void add_labels(StrBuf *out, const MetricLabel *labels, size_t n, const char *le)
{
	if (n == 0 && !le)
		return;
	strbuf_addc(out, '{');
	for (size_t i = 0; i < n; i++) {
		strbuf_adds(out, i ? "," : "");
		strbuf_adds(out, labels[i].name);
		strbuf_adds(out, "=\"");
		add_escaped(out, labels[i].value ? labels[i].value : "", true);
		strbuf_addc(out, '"');
	}
	if (le)
		strbuf_addf(out, "%sle=\"%s\"", n ? "," : "", le);
	strbuf_addc(out, '}');
}

void metric_value(MetricWriter *w, const char *name, const MetricLabel *labels, size_t n,
		  double value)
{
	strbuf_adds(w->out, name);
	add_labels(w->out, labels, n, NULL);
	strbuf_addc(w->out, ' ');
	/* Whole numbers in full: a byte count is no power of ten. */
	if (value >= 0 && value < 1e15 && floor(value) == value)
		add_count(w->out, (uint64_t)value);
	else
		strbuf_addf(w->out, "%.12g", value);
	strbuf_addc(w->out, '\n');
}

static void add_bucket(MetricWriter *w, const char *name, const MetricLabel *labels, size_t n,
		       const char *le, uint64_t count)
{
	strbuf_adds(w->out, name);
	strbuf_adds(w->out, "_bucket");
	add_labels(w->out, labels, n, le);
	strbuf_addc(w->out, ' ');
	add_count(w->out, count);
	strbuf_addc(w->out, '\n');
}

void metric_histogram(MetricWriter *w, const char *name, const MetricLabel *labels, size_t n,
		      const Histogram *h)
{
	uint64_t count = 0;
	char le[32];

	for (size_t i = 0; i < h->bounds->n; i++) {
		double bound = (double)h->bounds->bounds[i] / (double)USEC_PER_SEC;

		count += atomic_load_explicit(&h->counts[i], memory_order_relaxed);
		snprintf(le, sizeof(le), "%.9g%s", bound,
			 w->open_metrics && floor(bound) == bound ? ".0" : "");
		add_bucket(w, name, labels, n, le, count);
	}
	count += atomic_load_explicit(&h->counts[h->bounds->n], memory_order_relaxed);
	add_bucket(w, name, labels, n, "+Inf", count);
	strbuf_addf(w->out, "%s_sum", name);
	add_labels(w->out, labels, n, NULL);
	strbuf_addf(w->out, " %.9g\n%s_count",
		    (double)atomic_load_explicit(&h->sum, memory_order_relaxed) /
			    (double)USEC_PER_SEC,
		    name);
	add_labels(w->out, labels, n, NULL);
	strbuf_addf(w->out, " %llu\n", (unsigned long long)count);
}

void metric_single(MetricWriter *w, const char *name, MetricType type, const char *help,
		   double value)
{
	metric_family(w, name, type, help);
	metric_value(w, name, NULL, 0, value);
}

void metric_end(MetricWriter *w)
{
	if (w->open_metrics)
		strbuf_adds(w->out, "# EOF\n");
}
