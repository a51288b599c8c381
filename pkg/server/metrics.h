/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of /metrics share: request_metrics.c counts requests as Kubernetes' API server
 * does, object_metrics.c reads figures off the stored objects, metrics.c puts all together.
 */
#pragma once

#include "base/metrics.h"
#include "server/internal.h"

typedef struct RequestMetrics RequestMetrics;
typedef struct RequestSeries RequestSeries;

RequestMetrics *request_metrics_new(void);
RequestMetrics *request_metrics_free(RequestMetrics *m);

/* The three moments of a request, on its HTTP thread: it is known what it wants; its answer is a
 * stream that may last; it is over. Atomics only, but for the first request of its sort. */
void request_count_begin(Request *r);
void request_count_stream(Request *r);
void request_count_end(Request *r);
/* Of a watch: one more event was sent. */
void request_count_event(RequestSeries *s);

void request_metrics_write(const RequestMetrics *m, MetricWriter *w);
void object_metrics_write(Server *s, MetricWriter *w);
