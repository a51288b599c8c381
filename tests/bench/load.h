/* SPDX-License-Identifier: Apache-2.0 */
/*
 * So many clients that send one request after the other, each over a connection that it keeps: the
 * same program for whatever is measured, ours or not.
 */
#pragma once

#include <stdatomic.h>

#include "bench.h"

#define LOAD_CLIENTS_MAX 50

typedef struct Load Load;

struct Load {
	const BenchServer *server; /* over `transport`; NULL = plain TCP to `port` */
	Transport transport;
	unsigned short port;
	/* A request to be freed, the n-th of all, for that client; called from many threads. */
	char *(*next)(const Load *l, unsigned client, unsigned n);
	const void *data;
	atomic_uint n; /* the next number */
};

typedef struct LoadResult {
	double rate, p50, p99; /* a second; milliseconds */
} LoadResult;

/* Dies when an answer is not a success. */
LoadResult load_run(Load *l, unsigned clients, usec_t duration);
