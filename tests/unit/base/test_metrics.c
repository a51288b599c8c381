/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histograms and the exposition text, byte by byte.
 */
#include "base/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const usec_t bounds[] = { 5000, USEC_PER_SEC };
static const HistogramBounds two = { bounds, 2 };

static void test_text(void **state)
{
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;
	MetricWriter w = { .out = &out };
	MetricLabel label = { "l", "a \"b\"\n\\" };

	(void)state;
	metric_family(&w, "x_total", METRIC_COUNTER, "Line\nand \\.");
	metric_value(&w, "x_total", &label, 1, 1e10);
	metric_single(&w, "y", METRIC_GAUGE, "Why.", 0.25);
	metric_end(&w);
	assert_string_equal(strbuf_str(&out), "# HELP x_total Line\\nand \\\\.\n"
					      "# TYPE x_total counter\n"
					      "x_total{l=\"a \\\"b\\\"\\n\\\\\"} 10000000000\n"
					      "# HELP y Why.\n# TYPE y gauge\ny 0.25\n");
}

static void test_open_metrics(void **state)
{
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;
	MetricWriter w = { .out = &out, .open_metrics = true };

	(void)state;
	metric_single(&w, "x_total", METRIC_COUNTER, "X.", 2);
	metric_end(&w);
	assert_string_equal(strbuf_str(&out), "# HELP x X.\n# TYPE x counter\nx_total 2\n# EOF\n");
}

static void test_histogram(void **state)
{
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;
	MetricWriter w = { .out = &out };
	Histogram h;

	(void)state;
	histogram_init(&h, &two);
	histogram_observe(&h, 0);
	histogram_observe(&h, 5000); /* a bound belongs to its bucket */
	histogram_observe(&h, 5001);
	histogram_observe(&h, 2 * USEC_PER_SEC);
	metric_histogram(&w, "h", NULL, 0, &h);
	assert_string_equal(strbuf_str(&out),
			    "h_bucket{le=\"0.005\"} 2\nh_bucket{le=\"1\"} 3\n"
			    "h_bucket{le=\"+Inf\"} 4\nh_sum 2.010001\nh_count 4\n");
	strbuf_reset(&out);
	w.open_metrics = true;
	metric_histogram(&w, "h", &(MetricLabel){ "a", NULL }, 1, &h);
	assert_non_null(strstr(strbuf_str(&out), "h_bucket{a=\"\",le=\"1.0\"} 3\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_open_metrics),
		cmocka_unit_test(test_histogram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
