/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl apply of many documents, and of the same again, beside the requests that it cannot do
 * without.
 *
 *     apply_thousand SFD SFCTL DIRECTORY DOCUMENTS PAIRS
 *
 * In turns, each time on a server that has none of them: sfctl, from its exec until it has ended;
 * and a bare client that sends one server-side apply for each document, one after the other over
 * one connection, from bodies that it has ready. No controller runs.
 */
#include "bench.h"

#include <stdio.h>

#include "base/fs.h"
#include "base/memory.h"

#define INSTANCES "/apis/shakenfist.io/v1alpha1/namespaces/default/instances"

typedef struct Documents {
	size_t n;
	char **requests;
	char *file;
} Documents;

static char *document_yaml(size_t i)
{
	return xasprintf("---\n"
			 "apiVersion: shakenfist.io/v1alpha1\n"
			 "kind: Instance\n"
			 "metadata:\n"
			 "  name: web-%zu\n"
			 "  labels: {app: web}\n"
			 "spec:\n"
			 "  runStrategy: Halted\n"
			 "  cpus: 2\n"
			 "  memory: 1Gi\n"
			 "  disks:\n"
			 "  - {name: root, size: 10Gi}\n"
			 "  interfaces:\n"
			 "  - {name: eth0, network: front}\n",
			 i);
}

static char *document_request(size_t i)
{
	_cleanup_(xfreep) char *target =
		xasprintf(INSTANCES "/web-%zu?fieldManager=bench&fieldValidation=Strict", i);
	_cleanup_(xfreep) char *body = xasprintf(
		"{\"apiVersion\":\"shakenfist.io/v1alpha1\",\"kind\":\"Instance\",\"metadata\":{"
		"\"name\":\"web-%zu\",\"labels\":{\"app\":\"web\"}},\"spec\":{\"runStrategy\":"
		"\"Halted\",\"cpus\":2,\"memory\":\"1Gi\",\"disks\":[{\"name\":\"root\",\"size\":"
		"\"10Gi\"}],\"interfaces\":[{\"name\":\"eth0\",\"network\":\"front\"}]}}",
		i);

	return bench_request("PATCH", target, "application/apply-patch+yaml", body);
}

static Documents documents_new(const char *dir, size_t n)
{
	Documents d = { .n = n, .requests = xnew0(char *, n) };
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(strbuf_done) StrBuf yaml = STRBUF_INIT;

	for (size_t i = 0; i < n; i++) {
		_cleanup_(xfreep) char *text = document_yaml(i);

		strbuf_adds(&yaml, text);
		d.requests[i] = document_request(i);
	}
	d.file = xasprintf("%s/thousand.yaml", dir);
	bench_check(fs_write_atomic(d.file, yaml.buf, yaml.len, 0644, false, &err), &err, d.file);
	return d;
}

static void documents_done(Documents *d)
{
	for (size_t i = 0; i < d->n; i++)
		free(d->requests[i]);
	free(d->requests);
	free(d->file);
}

static double turn_sfctl(const BenchServer *s, const char *sfctl, const Documents *d)
{
	_cleanup_(xfreep) char *server = xasprintf("--server=unix:%s", s->socket);
	usec_t from = clock_now(clock_system());

	bench_run((const char *const[]){ sfctl, server, "apply", "-f", d->file, NULL });
	return (double)(clock_now(clock_system()) - from) / 1000;
}

static double turn_bare(const BenchServer *s, const Documents *d)
{
	usec_t from = clock_now(clock_system());
	BenchClient c;

	bench_connect(&c, s, TRANSPORT_UNIX);
	for (size_t i = 0; i < d->n; i++)
		if (bench_call(&c, d->requests[i]) / 100 != 2)
			bench_die("the apply of document %zu: %.400s", i, c.in.buf);
	bench_close(&c);
	return (double)(clock_now(clock_system()) - from) / 1000;
}

/* No controller lets them go: the finalizer is taken off by hand. */
static void let_go(BenchClient *c, size_t i)
{
	_cleanup_(xfreep) char *target = xasprintf(INSTANCES "/web-%zu", i);
	_cleanup_(xfreep) char *request =
		bench_request("PATCH", target, "application/merge-patch+json",
			      "{\"metadata\":{\"finalizers\":null}}");

	if (bench_call(c, request) != 200)
		bench_die("%s: %.400s", target, c->in.buf);
}

static void delete_all(const BenchServer *s, const Documents *d)
{
	BenchClient c;

	bench_connect(&c, s, TRANSPORT_UNIX);
	bench_must(&c, 200, "DELETE", INSTANCES, NULL);
	for (size_t i = 0; i < d->n; i++)
		let_go(&c, i);
	bench_close(&c);
}

int main(int argc, char **argv)
{
	Samples first = { 0 }, again = { 0 }, bare_first = { 0 }, bare_again = { 0 };
	_cleanup_(xfreep) char *name = NULL, *unchanged = NULL;
	unsigned long pairs;
	BenchServer s;
	Documents d;

	if (argc != 6)
		bench_die("usage: apply_thousand SFD SFCTL DIRECTORY DOCUMENTS PAIRS");
	if (fs_mkdir_p(argv[3], 0700, NULL) < 0)
		bench_die("%s: cannot be made", argv[3]);
	d = documents_new(argv[3], strtoul(argv[4], NULL, 10));
	pairs = strtoul(argv[5], NULL, 10);
	bench_server_start(&s, argv[1], argv[3]);
	for (unsigned long i = 0; i < pairs; i++) {
		samples_add(&first, turn_sfctl(&s, argv[2], &d));
		samples_add(&again, turn_sfctl(&s, argv[2], &d));
		delete_all(&s, &d);
		samples_add(&bare_first, turn_bare(&s, &d));
		samples_add(&bare_again, turn_bare(&s, &d));
		delete_all(&s, &d);
	}
	name = xasprintf("sfctl apply of %zu documents", d.n);
	unchanged = xasprintf("sfctl apply of %zu documents, unchanged", d.n);
	bench_row(&(Row){ .name = name,
			  .unit = "ms",
			  .ours = &first,
			  .peer = "one request each, bare client",
			  .theirs = &bare_first });
	bench_row(&(Row){ .name = unchanged,
			  .unit = "ms",
			  .ours = &again,
			  .peer = "one request each, bare client",
			  .theirs = &bare_again });
	bench_point("sfctl apply / documents | first", "ms", (double)d.n,
		    samples_quantile(&first, 0.5));
	bench_point("sfctl apply / documents | unchanged", "ms", (double)d.n,
		    samples_quantile(&again, 0.5));
	bench_server_stop(&s);
	documents_done(&d);
	samples_done(&first);
	samples_done(&again);
	samples_done(&bare_first);
	samples_done(&bare_again);
	return 0;
}
