/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durable writes of sfd beside those of etcd, over HTTP and JSON.
 *
 *     durable_writes SFD DIRECTORY PAIRS [MILLISECONDS]
 *
 * In turns, with 1, 10 and 50 clients of the same program, values of the same size, both stores in
 * DIRECTORY: sfd creates Instances (authenticated, decoded, validated, defaulted, stored); etcd
 * puts the bytes under a new key through its gateway, as it comes. Both have made it durable
 * before they answer. Each number of clients meets new stores.
 */
#include "load.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "base/base64.h"
#include "base/fs.h"
#include "base/memory.h"

#define VALUE_SIZE 1024
#define ETCD       "/usr/bin/etcd"
#define TARGET     "/apis/shakenfist.io/v1alpha1/namespaces/default/instances"

static const unsigned clients[] = { 1, 10, 50 };
static usec_t turn_time = 1000 * USEC_PER_MSEC;

/* An Instance of VALUE_SIZE bytes: what is missing is user data. Names have one length. */
static char *instance_body(unsigned n)
{
	static const char format[] =
		"{\"apiVersion\":\"shakenfist.io/v1alpha1\",\"kind\":\"Instance\",\"metadata\":{"
		"\"name\":\"web-%09u\",\"labels\":{\"app\":\"web\"}},\"spec\":{\"runStrategy\":"
		"\"Halted\",\"cpus\":2,\"memory\":\"1Gi\",\"disks\":[{\"name\":\"root\",\"size\":"
		"\"10Gi\"}],\"interfaces\":[{\"name\":\"eth0\",\"network\":\"front\"}],"
		"\"cloudInit\":{\"userData\":\"%.*s\"}}}";
	static char data[VALUE_SIZE];
	int bare = snprintf(NULL, 0, format, n, 0, "");

	memset(data, 'u', sizeof(data));
	return xasprintf(format, n, VALUE_SIZE - bare, data);
}

static char *next_create(const Load *l _unused_, unsigned client _unused_, unsigned n)
{
	_cleanup_(xfreep) char *body = instance_body(n);

	return bench_request("POST", TARGET, NULL, body);
}

/* Keys are different, the value is the same: its base64 is made once. */
static char *next_put(const Load *l, unsigned client _unused_, unsigned n)
{
	_cleanup_(xfreep) char *name = xasprintf(TARGET "/web-%09u", n);
	_cleanup_(xfreep) char *key = base64_encode(name, strlen(name));
	_cleanup_(xfreep) char *body =
		xasprintf("{\"key\":\"%s\",\"value\":\"%s\"}", key, (const char *)l->data);

	return bench_request("POST", "/v3/kv/put", NULL, body);
}

/* ---- etcd ---- */

typedef struct Etcd {
	pid_t pid;
	unsigned short port;
} Etcd;

static void etcd_start(Etcd *e, const char *dir)
{
	_cleanup_(xfreep) char *data = xasprintf("%s/etcd", dir);
	_cleanup_(xfreep) char *client = NULL, *peer = NULL, *cluster = NULL;
	_cleanup_(xfreep) char *log = xasprintf("%s/etcd.log", dir);
	unsigned short port = bench_free_port();

	e->port = bench_free_port();
	client = xasprintf("http://127.0.0.1:%u", e->port);
	peer = xasprintf("http://127.0.0.1:%u", port);
	cluster = xasprintf("default=%s", peer);
	e->pid = bench_start(
		(const char *const[]){ ETCD, "--data-dir", data, "--listen-client-urls", client,
				       "--advertise-client-urls", client, "--listen-peer-urls",
				       peer, "--initial-advertise-peer-urls", peer,
				       "--initial-cluster", cluster, "--logger", "zap",
				       "--log-outputs", log, NULL },
		-1);
	bench_wait_port(e->port);
}

static void etcd_stop(Etcd *e)
{
	int status;

	/* It ends by the signal that it was sent. */
	if (kill(e->pid, SIGTERM) < 0 || waitpid(e->pid, &status, 0) < 0)
		bench_die("etcd: %m");
}

/* ---- one number of clients ---- */

typedef struct Figures {
	Samples rate, p50, p99, cpu;
} Figures;

/* One turn, and what it cost the server. */
static void figures_add(Figures *f, Load *l, unsigned clients_n, pid_t server)
{
	double cpu = bench_cpu(server);
	unsigned before = atomic_load(&l->n);
	LoadResult r = load_run(l, clients_n, turn_time);

	samples_add(&f->cpu, (bench_cpu(server) - cpu) / (atomic_load(&l->n) - before));
	samples_add(&f->rate, r.rate);
	samples_add(&f->p50, r.p50);
	samples_add(&f->p99, r.p99);
}

static void figures_done(Figures *f)
{
	samples_done(&f->rate);
	samples_done(&f->p50);
	samples_done(&f->p99);
	samples_done(&f->cpu);
}

static void report(unsigned n, Figures *ours, Figures *theirs)
{
	_cleanup_(xfreep) char *name =
		xasprintf("durable writes, %u client%s", n, n > 1 ? "s" : "");
	_cleanup_(xfreep) char *p50 = xasprintf("%s: p50", name), *p99 = xasprintf("%s: p99", name);
	_cleanup_(xfreep) char *cpu = xasprintf("%s: processor time of one", name);

	bench_row(&(Row){ .name = name,
			  .unit = "/s",
			  .ours = &ours->rate,
			  .peer = "etcd",
			  .theirs = &theirs->rate,
			  .goal = n == 50 ? "ratio >= 2" : NULL });
	bench_row(&(Row){ .name = p50,
			  .unit = "ms",
			  .ours = &ours->p50,
			  .peer = "etcd",
			  .theirs = &theirs->p50,
			  .detail = true });
	bench_row(&(Row){ .name = p99,
			  .unit = "ms",
			  .ours = &ours->p99,
			  .peer = "etcd",
			  .theirs = &theirs->p99 });
	bench_row(&(Row){ .name = cpu,
			  .unit = "us",
			  .ours = &ours->cpu,
			  .peer = "etcd",
			  .theirs = &theirs->cpu });
	bench_point("durable writes / clients | sfd", "a second", n,
		    samples_quantile(&ours->rate, 0.5));
	bench_point("durable writes / clients | etcd", "a second", n,
		    samples_quantile(&theirs->rate, 0.5));
}

static void measure(const char *sfd, const char *base, unsigned n, unsigned long pairs)
{
	_cleanup_(xfreep) char *dir = xasprintf("%s/%u", base, n), *body = instance_body(0);
	_cleanup_(xfreep) char *value = base64_encode(body, VALUE_SIZE);
	Figures ours = { 0 }, theirs = { 0 };
	BenchServer server;
	Etcd etcd;

	if (fs_mkdir_p(dir, 0700, NULL) < 0)
		bench_die("%s: cannot be made", dir);
	bench_server_start(&server, sfd, dir);
	etcd_start(&etcd, dir);
	{
		Load create = { .server = &server,
				.transport = TRANSPORT_TCP,
				.next = next_create };
		Load put = { .port = etcd.port, .next = next_put, .data = value };

		/* Elections, first pages: not what is measured. */
		load_run(&create, 1, turn_time / 10);
		load_run(&put, 1, turn_time / 10);
		for (unsigned long i = 0; i < 2 * pairs; i++) {
			bool first = i % 4 == 0 || i % 4 == 3; /* who begins a pair changes */

			if (first)
				figures_add(&ours, &create, n, server.pid);
			else
				figures_add(&theirs, &put, n, etcd.pid);
		}
	}
	report(n, &ours, &theirs);
	figures_done(&ours);
	figures_done(&theirs);
	bench_server_stop(&server);
	etcd_stop(&etcd);
}

int main(int argc, char **argv)
{
	unsigned long pairs;

	if (argc < 4)
		bench_die("usage: durable_writes SFD DIRECTORY PAIRS [MILLISECONDS]");
	pairs = strtoul(argv[3], NULL, 10);
	if (argc > 4)
		turn_time = strtoull(argv[4], NULL, 10) * USEC_PER_MSEC;
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		measure(argv[1], argv[2], clients[i], pairs);
	return 0;
}
