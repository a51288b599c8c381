/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What watches cost.
 *
 *     api_watch SFD DIRECTORY
 *
 * Memory of an idle watch, plain and with TLS, as the growth of sfd's share over a thousand of
 * them; processor time and latency of a write with and without two thousand watches of something
 * else; how long after a write was sent 1, 100 and 1,000 watches have its event, in each form.
 * Prints "NAME VALUE" lines for hack/bench and text for people on standard error.
 */
#include "bench.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "base/fs.h"
#include "base/memory.h"

#define WATCHES  1000
#define OTHERS   2000
#define WRITES   1000
#define SETTLE   300 /* ms: until what was freed and kept for later is the same before and after */
#define PATIENCE 10000

static BenchClient *open_watch(const BenchServer *s, Transport t, const char *target,
			       const char *accept)
{
	_cleanup_(xfreep) char *request =
		xasprintf("GET %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: kubectl/v1.35.2 "
			  "(linux/amd64) kubernetes/0000000\r\nAccept: %s\r\n"
			  "Accept-Encoding: gzip\r\n\r\n",
			  target, accept);
	BenchClient *c = xnew0(BenchClient, 1);

	bench_connect(c, s, t);
	bench_send(c, request, strlen(request));
	do
		bench_receive(c);
	while (!strstr(c->in.buf, "\r\n\r\n"));
	if (!strstr(c->in.buf, " 200 "))
		bench_die("%s: %.300s", target, c->in.buf);
	strbuf_done(&c->in);
	return c;
}

static void close_watches(BenchClient **c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bench_close(c[i]);
		free(c[i]);
	}
}

static char *own_namespace(size_t i)
{
	return xasprintf("/apis/shakenfist.io/v1alpha1/namespaces/team-%zu/instances?watch=true"
			 "&allowWatchBookmarks=true&resourceVersion=1&timeoutSeconds=3600",
			 i);
}

/* ---- memory ---- */

static void measure_memory(const BenchServer *s, Transport t)
{
	static BenchClient *c[WATCHES + 50];
	double before = 0, after;

	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		_cleanup_(xfreep) char *target = own_namespace(i);

		/* The first ones pay for what all share. */
		if (i == ARRAY_SIZE(c) - WATCHES) {
			poll(NULL, 0, SETTLE);
			before = bench_pss(s->pid);
		}
		c[i] = open_watch(s, t, target, "application/json, */*");
	}
	poll(NULL, 0, SETTLE);
	after = bench_pss(s->pid);
	printf("memory-%s %.2f\n", transport_names[t], (after - before) / WATCHES);
	close_watches(c, ARRAY_SIZE(c));
	poll(NULL, 0, SETTLE);
}

/* ---- a write beside watches of something else ---- */

static void measure_writes(const BenchServer *s, const char *name)
{
	static unsigned made;
	BenchClient c;
	usec_t from;
	double cpu;

	bench_connect(&c, s, TRANSPORT_UNIX);
	cpu = bench_cpu(s->pid);
	from = clock_now(clock_system());
	for (int i = 0; i < WRITES; i++) {
		_cleanup_(xfreep) char *body =
			xasprintf("{\"metadata\":{\"name\":\"w-%u\"}}", made++);

		bench_must(&c, 201, "POST", "/api/v1/namespaces/default/configmaps", body);
	}
	printf("write-cpu-%s %.1f\n", name, (bench_cpu(s->pid) - cpu) / WRITES);
	printf("write-time-%s %.1f\n", name, (double)(clock_now(clock_system()) - from) / WRITES);
	bench_close(&c);
}

static void measure_others(const BenchServer *s)
{
	static BenchClient *c[OTHERS];

	measure_writes(s, "alone");
	for (size_t i = 0; i < OTHERS; i++) {
		_cleanup_(xfreep) char *target = own_namespace(i);

		c[i] = open_watch(s, TRANSPORT_UNIX, target, "application/json");
	}
	measure_writes(s, "others");
	close_watches(c, OTHERS);
}

/* ---- delay ---- */

/* Until each watch had a line; the times of the middle and of the last one. */
static void wait_all(int epoll_fd, BenchClient **c, size_t n, usec_t from, Samples *middle,
		     Samples *last)
{
	struct epoll_event events[64];
	size_t seen = 0;

	while (seen < n) {
		int ready = epoll_wait(epoll_fd, events, ARRAY_SIZE(events), PATIENCE);

		if (ready <= 0)
			bench_die("an event does not come");
		for (int i = 0; i < ready; i++) {
			BenchClient *w = c[events[i].data.u32];

			while (bench_receive(w))
				;
			if (!strstr(strbuf_str(&w->in), "}\n"))
				continue;
			strbuf_reset(&w->in);
			if (++seen == (n + 1) / 2)
				samples_add(middle, (double)(clock_now(clock_system()) - from));
		}
	}
	samples_add(last, (double)(clock_now(clock_system()) - from));
}

static void measure_delay(const BenchServer *s, size_t n, const char *form, const char *accept)
{
	static BenchClient *c[WATCHES];
	static unsigned value;
	Samples middle = { 0 }, last = { 0 };
	int fd = epoll_create1(EPOLL_CLOEXEC), rounds = n > 100 ? 30 : 200;
	BenchClient writer;
	double cpu;

	for (size_t i = 0; i < n; i++) {
		struct epoll_event e = { .events = EPOLLIN, .data.u32 = (uint32_t)i };

		c[i] = open_watch(s, TRANSPORT_UNIX,
				  "/api/v1/namespaces/default/secrets?watch=1&resourceVersionMatch="
				  "NotOlderThan&sendInitialEvents=false",
				  accept);
		fcntl(c[i]->fd, F_SETFL, O_NONBLOCK);
		epoll_ctl(fd, EPOLL_CTL_ADD, c[i]->fd, &e);
	}
	bench_connect(&writer, s, TRANSPORT_UNIX);
	cpu = bench_cpu(s->pid);
	for (int i = 0; i < rounds; i++) {
		_cleanup_(xfreep) char *body =
			xasprintf("{\"metadata\":{\"annotations\":{\"n\":\"%u\"}}}", value++);
		_cleanup_(xfreep) char *request =
			bench_request("PATCH", "/api/v1/namespaces/default/secrets/s",
				      "application/merge-patch+json", body);
		usec_t from = clock_now(clock_system());

		if (bench_call(&writer, request) != 200)
			bench_die("the patch failed: %.300s", writer.in.buf);
		wait_all(fd, c, n, from, &middle, &last);
	}
	printf("delay-%s-%zu %.3f %.3f %.3f\n", form, n, samples_quantile(&middle, 0.5) / 1000,
	       samples_quantile(&last, 0.5) / 1000, samples_quantile(&last, 0.99) / 1000);
	printf("delay-cpu-%s-%zu %.1f\n", form, n, (bench_cpu(s->pid) - cpu) / rounds);
	bench_close(&writer);
	close_watches(c, n);
	fd_close(fd);
	samples_done(&middle);
	samples_done(&last);
}

int main(int argc, char **argv)
{
	static const size_t counts[] = { 1, 100, WATCHES };
	struct rlimit files = { 8192, 8192 };
	BenchClient c;
	BenchServer s;

	if (argc < 3)
		bench_die("api_watch SFD DIRECTORY");
	setlinebuf(stdout);
	setrlimit(RLIMIT_NOFILE, &files);
	if (fs_mkdir_p(argv[2], 0700, NULL) < 0)
		bench_die("%s: cannot be made", argv[2]);
	bench_server_start(&s, argv[1], argv[2]);
	bench_connect(&c, &s, TRANSPORT_UNIX);
	bench_must(&c, 201, "POST", "/api/v1/namespaces/default/secrets",
		   "{\"metadata\":{\"name\":\"s\"}}");
	bench_close(&c);
	measure_memory(&s, TRANSPORT_UNIX);
	measure_memory(&s, TRANSPORT_TLS);
	measure_others(&s);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		measure_delay(&s, counts[i], "json", "application/json");
	measure_delay(&s, WATCHES, "table", "application/json;as=Table;v=v1;g=meta.k8s.io");
	bench_server_stop(&s);
	return 0;
}
