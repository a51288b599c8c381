/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long until many Instances that are applied at once all run.
 *
 *     domain_fleet COUNT STREAMS PAIRS SFCTL MANIFEST DIRECTORY
 *
 * In turns: `sfctl apply` of one file, from its exec until libvirt has told of the last start; the
 * floor (see domains.h) in as many streams as sfd has workers for Instances. virt-install in as
 * many, once. The guests run while the others start, in each of them.
 */
#include "domains.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/memory.h"

#define STREAMS_MAX 16

typedef void (*StartFn)(const DomainBench *b, unsigned i);

typedef struct Streams {
	const DomainBench *bench;
	StartFn start;
	atomic_uint next;
	unsigned count;
} Streams;

static void *stream_main(void *arg)
{
	Streams *s = arg;
	unsigned i;

	while ((i = atomic_fetch_add(&s->next, 1)) < s->count)
		s->start(s->bench, i);
	return NULL;
}

/* Does it for each of 0 to count - 1. */
static void in_streams(const DomainBench *b, unsigned count, unsigned streams, StartFn start)
{
	Streams s = { .bench = b, .start = start, .count = count };
	pthread_t threads[STREAMS_MAX];

	for (unsigned i = 0; i < streams; i++)
		if (pthread_create(&threads[i], NULL, stream_main, &s) != 0)
			bench_die("no thread");
	for (unsigned i = 0; i < streams; i++)
		pthread_join(threads[i], NULL);
}

typedef struct Side {
	StartFn start, remove;
	char *(*name)(unsigned i);
} Side;

static const Side sides[] = {
	{floor_start,         floor_remove,        floor_name       },
	{ virt_install_start, virt_install_remove, virt_install_name},
};

static double turn_side(const DomainBench *b, const Side *side, unsigned count, unsigned streams)
{
	char **names = xnew0(char *, count + 1);
	usec_t from, to;

	for (unsigned i = 0; i < count; i++)
		names[i] = side->name(i);
	domains_forget();
	from = clock_now(clock_system());
	in_streams(b, count, streams, side->start);
	to = domains_wait_started(names, count);
	in_streams(b, count, streams, side->remove);
	strv_free(names);
	return (double)(to - from) / USEC_PER_SEC;
}

static double turn_sfd(DomainBench *b, unsigned count)
{
	char **names = xnew0(char *, count + 1), **domains = xnew0(char *, count + 1);
	usec_t from, to;

	for (unsigned i = 0; i < count; i++) {
		names[i] = xasprintf("bench-%u", i);
		domains[i] = xasprintf("default.%s", names[i]);
	}
	domains_forget();
	from = clock_now(clock_system());
	instances_apply(b, (const char *const *)names, count);
	to = domains_wait_started(domains, count);
	if (!b->xml)
		domain_bench_learn(b, names[0]);
	instances_delete(b, (const char *const *)names, count);
	strv_free(names);
	strv_free(domains);
	return (double)(to - from) / USEC_PER_SEC;
}

int main(int argc, char **argv)
{
	unsigned count, streams, pairs;
	Samples sfd = { 0 }, bottom = { 0 }, other = { 0 };
	_cleanup_(xfreep) char *name = NULL, *floor = NULL, *peer = NULL;
	DomainBench b;

	if (argc != 7)
		bench_die("usage: domain_fleet COUNT STREAMS PAIRS SFCTL MANIFEST DIRECTORY");
	count = (unsigned)strtoul(argv[1], NULL, 10);
	streams = MIN((unsigned)strtoul(argv[2], NULL, 10), (unsigned)STREAMS_MAX);
	pairs = (unsigned)strtoul(argv[3], NULL, 10);
	domain_bench_init(&b, argv[4], argv[5], argv[6]);
	turn_sfd(&b, 1); /* for the XML */
	for (unsigned i = 0; i < count; i++)
		floor_prepare(&b, i);
	for (unsigned i = 0; i < pairs; i++) {
		samples_add(&sfd, turn_sfd(&b, count));
		samples_add(&bottom, turn_side(&b, &sides[0], count, streams));
		/* It is slower by far: once tells it. */
		if (i == 0)
			samples_add(&other, turn_side(&b, &sides[1], count, streams));
	}
	name = xasprintf("sfctl apply of %u until all domains run", count);
	floor = xasprintf("create, define, start in %u streams", streams);
	peer = xasprintf("virt-install in %u streams", streams);
	bench_row(&(Row){ .name = name,
			  .unit = "s",
			  .ours = &sfd,
			  .peer = floor,
			  .theirs = &bottom,
			  .goal = "ratio <= 1.25" });
	bench_row(&(Row){ .name = name,
			  .unit = "s",
			  .ours = &sfd,
			  .peer = peer,
			  .theirs = &other,
			  .goal = "ratio <= 1" });
	bench_point("until all domains run / Instances at once | sfd", "s", count,
		    samples_quantile(&sfd, 0.5));
	bench_point("until all domains run / Instances at once | by hand", "s", count,
		    samples_quantile(&bottom, 0.5));
	domain_bench_done(&b);
	samples_done(&sfd);
	samples_done(&bottom);
	samples_done(&other);
	return 0;
}
