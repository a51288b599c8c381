/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See load.h. A thread for each client.
 */
#include "load.h"

#include <pthread.h>

#include "base/memory.h"

typedef struct LoadClient {
	Load *load;
	unsigned number;
	usec_t end;
	pthread_t thread;
	Samples times;
} LoadClient;

static void *client_run(void *arg)
{
	LoadClient *c = arg;
	Load *l = c->load;
	BenchClient b;
	usec_t now;

	if (l->server)
		bench_connect(&b, l->server, l->transport);
	else
		bench_connect_port(&b, l->port);
	do {
		_cleanup_(xfreep) char *request = l->next(l, c->number, atomic_fetch_add(&l->n, 1));
		usec_t from = clock_now(clock_system());
		int code = bench_call(&b, request);

		if (code / 100 != 2)
			bench_die("%.60s: %d: %.400s", request, code, b.in.buf);
		now = clock_now(clock_system());
		samples_add(&c->times, (double)(now - from));
	} while (now < c->end);
	bench_close(&b);
	return NULL;
}

LoadResult load_run(Load *l, unsigned clients, usec_t duration)
{
	usec_t from = clock_now(clock_system());
	LoadClient c[LOAD_CLIENTS_MAX];
	Samples all = { 0 };
	LoadResult result;

	assert(clients <= LOAD_CLIENTS_MAX);
	for (unsigned i = 0; i < clients; i++) {
		c[i] = (LoadClient){ .load = l, .number = i, .end = from + duration };
		if (pthread_create(&c[i].thread, NULL, client_run, &c[i]) != 0)
			bench_die("no thread");
	}
	for (unsigned i = 0; i < clients; i++) {
		pthread_join(c[i].thread, NULL);
		for (size_t j = 0; j < c[i].times.n; j++)
			samples_add(&all, c[i].times.values[j]);
		samples_done(&c[i].times);
	}
	result.rate = (double)all.n * 1e6 / (double)(clock_now(clock_system()) - from);
	result.p50 = samples_quantile(&all, 0.5) / 1000;
	result.p99 = samples_quantile(&all, 0.99) / 1000;
	samples_done(&all);
	return result;
}
