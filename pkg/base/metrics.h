/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics: histograms of durations that any thread observes without a lock, and the text that
 * Prometheus reads: its own format 0.0.4 or OpenMetrics 1.0.0.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 * https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
 */
#pragma once

#include <stdatomic.h>

#include "base/clock.h"
#include "base/strbuf.h"

#define HISTOGRAM_BOUNDS_MAX 40

/* Upper bounds in microseconds, rising; static. */
typedef struct HistogramBounds {
	const usec_t *bounds;
	size_t n;
} HistogramBounds;

typedef struct Histogram {
	const HistogramBounds *bounds;
	_Atomic uint64_t counts[HISTOGRAM_BOUNDS_MAX + 1]; /* each bucket alone; the last is +Inf */
	_Atomic uint64_t sum;                              /* microseconds */
} Histogram;

/* Those that Kubernetes' and controller-runtime's dashboards expect. */
extern const HistogramBounds histogram_bounds_request, histogram_bounds_reconcile,
	histogram_bounds_queue, histogram_bounds_commit;

void histogram_init(Histogram *h, const HistogramBounds *bounds);
void histogram_observe(Histogram *h, usec_t duration);

/* ---- the text ---- */

typedef enum MetricType { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM } MetricType;

typedef struct MetricLabel {
	const char *name, *value; /* value NULL = "" */
} MetricLabel;

typedef struct MetricWriter {
	StrBuf *out;
	bool open_metrics;
} MetricWriter;

/* Begins a family; all its values follow before the next one. A counter's name ends in _total. */
void metric_family(MetricWriter *w, const char *name, MetricType type, const char *help);
void metric_value(MetricWriter *w, const char *name, const MetricLabel *labels, size_t n,
		  double value);
void metric_histogram(MetricWriter *w, const char *name, const MetricLabel *labels, size_t n,
		      const Histogram *h);
/* A family of one value without labels. */
void metric_single(MetricWriter *w, const char *name, MetricType type, const char *help,
		   double value);
void metric_end(MetricWriter *w);
