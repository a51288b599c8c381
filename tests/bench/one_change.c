/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one change costs among many Instances.
 *
 *     one_change fill SOCKET FROM TO          creates the Instances i-FROM to i-(TO - 1), which are
 * off one_change measure SOCKET PID CHANGES   "MILLISECONDS CPU-MICROSECONDS" of each of so many
 *
 * A change is a merge patch of i-0's spec.memory; it is over when a watch of that Instance has seen
 * that status knows of it (observedGeneration). The processor time is that of sfd, PID, meanwhile.
 */
#include "bench.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/memory.h"
#include "json/json.h"

#define INSTANCES "/apis/shakenfist.io/v1alpha1/namespaces/default/instances"

static void fill(const BenchServer *s, unsigned from, unsigned to)
{
	BenchClient c;

	bench_connect(&c, s, TRANSPORT_UNIX);
	for (unsigned i = from; i < to; i++) {
		_cleanup_(xfreep) char *body = xasprintf(
			"{\"metadata\":{\"name\":\"i-%u\",\"labels\":{\"app\":\"web\"}},\"spec\":{"
			"\"runStrategy\":\"Halted\",\"memory\":\"128Mi\",\"disks\":[{\"name\":"
			"\"root\",\"image\":\"guest\",\"size\":\"1Gi\"}],\"interfaces\":[{\"name\":"
			"\"eth0\",\"network\":\"front\"}]}}",
			i);

		bench_must(&c, 201, "POST", INSTANCES, body);
	}
	bench_close(&c);
}

static void open_watch(BenchClient *c, const BenchServer *s)
{
	static const char request[] =
		"GET " INSTANCES
		"?watch=true&fieldSelector=metadata.name%3Di-0&resourceVersionMatch=NotOlderThan"
		"&sendInitialEvents=false&timeoutSeconds=3600 HTTP/1.1\r\n"
		"Host: localhost\r\nAccept: application/json\r\n\r\n";
	const struct timeval patience = { .tv_sec = 60 };
	char *body;

	bench_connect(c, s, TRANSPORT_UNIX);
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	bench_send(c, request, strlen(request));
	do
		bench_receive(c);
	while (!(body = strstr(c->in.buf, "\r\n\r\n")));
	if (!strstr(c->in.buf, " 200 "))
		bench_die("the watch: %.300s", c->in.buf);
	strbuf_reset(&c->in);
}

/* Of an event's line, which stands in a chunk. */
static int64_t observed(const char *line)
{
	const char *at = strstr(line, "{\"type\"");
	const char *end = at ? strchr(at, '\n') : NULL;
	_cleanup_(json_decrefp) json_t *event = NULL;

	if (!end || json_decode(at, (size_t)(end - at), &event, NULL) < 0)
		return 0;
	return json_integer_at(event, "object.status.observedGeneration", 0);
}

static void wait_observed(BenchClient *watch, int64_t generation)
{
	for (;;) {
		const char *at = strbuf_str(&watch->in), *next;

		for (; (next = strstr(at, "}\n")); at = next + 2)
			if (observed(at) >= generation) {
				strbuf_reset(&watch->in);
				return;
			}
		if (!bench_receive(watch))
			bench_die("status does not know of generation %lld", (long long)generation);
	}
}

/* Another size each time; the generation that it makes. */
static int64_t change(BenchClient *c, int64_t generation)
{
	_cleanup_(xfreep) char *body =
		xasprintf("{\"spec\":{\"memory\":\"%dMi\"}}", (int)(generation % 512) + 129);
	_cleanup_(xfreep) char *request =
		bench_request("PATCH", INSTANCES "/i-0", "application/merge-patch+json", body);
	_cleanup_(json_decrefp) json_t *object = NULL;
	const char *at;

	if (bench_call(c, request) != 200)
		bench_die("the patch failed: %.300s", c->in.buf);
	at = strstr(c->in.buf, "\r\n\r\n") + 4;
	if (json_decode(at, c->in.len - (size_t)(at - c->in.buf), &object, NULL) < 0)
		bench_die("not an object: %.300s", at);
	return json_integer_at(object, "metadata.generation", 0);
}

static void measure(const BenchServer *s, unsigned changes)
{
	BenchClient c, watch;
	int64_t generation;

	bench_connect(&c, s, TRANSPORT_UNIX);
	open_watch(&watch, s);
	generation = change(&c, 0); /* which may change nothing */
	generation = change(&c, generation);
	wait_observed(&watch, generation);
	for (unsigned i = 0; i < changes; i++) {
		double cpu = bench_cpu(s->pid);
		usec_t from = clock_now(clock_system());
		double took;

		generation = change(&c, generation);
		wait_observed(&watch, generation);
		took = (double)(clock_now(clock_system()) - from) / 1000;
		printf("%.3f %.1f\n", took, bench_cpu(s->pid) - cpu);
	}
	bench_close(&c);
	bench_close(&watch);
}

int main(int argc, char **argv)
{
	BenchServer s = { 0 };

	if (argc != 5)
		bench_die("usage: one_change fill SOCKET FROM TO | measure SOCKET PID CHANGES");
	snprintf(s.socket, sizeof(s.socket), "%s", argv[2]);
	if (streq(argv[1], "fill")) {
		fill(&s, (unsigned)strtoul(argv[3], NULL, 10),
		     (unsigned)strtoul(argv[4], NULL, 10));
		return 0;
	}
	s.pid = (pid_t)strtol(argv[3], NULL, 10);
	measure(&s, (unsigned)strtoul(argv[4], NULL, 10));
	return 0;
}
