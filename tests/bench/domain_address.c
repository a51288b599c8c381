/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long from "apply" to a guest that has its address, beside the bare guest's boot.
 *
 *     domain_address PAIRS SFCTL MANIFEST DIRECTORY
 *
 * Both end when the guest itself says on its console that DHCP gave it one. The floor (see
 * domains.h) boots the same domain on a bridge where a plain dnsmasq answers; who calls this has
 * it running. How long after that the Instance's status says so comes beside it.
 */
#include "domains.h"

#include <poll.h>

#include "base/fs.h"
#include "base/memory.h"

#define FACT     "SF-FACT addr "
#define WAIT_MAX (300 * USEC_PER_SEC)
#define LOOK     2 /* ms */

static usec_t wait_address(const char *console)
{
	usec_t deadline = clock_now(clock_system()) + WAIT_MAX;

	while (clock_now(clock_system()) < deadline) {
		_cleanup_(xfreep) char *text = NULL;

		if (fs_read(console, 1 << 20, &text, NULL, NULL) == 0 && strstr(text, FACT))
			return clock_now(clock_system());
		poll(NULL, 0, LOOK);
	}
	bench_die("no address in %s", console);
}

static double turn_sfd(DomainBench *b, const char *name, double *ret_told)
{
	_cleanup_(xfreep) char *domain = xasprintf("default.%s", name);
	_cleanup_(xfreep) char *object = xasprintf("instance/%s", name), *console = NULL;
	usec_t from, to;
	pid_t told;

	domains_forget();
	from = clock_now(clock_system());
	instances_apply(b, &name, 1);
	told = bench_start((const char *const[]){ b->sfctl, "wait", "--for=condition=AddressReady",
						  object, "--timeout=300s", NULL },
			   -1);
	domain_wait_started(domain);
	console = instance_console(name);
	to = wait_address(console);
	bench_wait(told, "sfctl wait");
	*ret_told = (double)(clock_now(clock_system()) - from) / 1000;
	if (!b->xml)
		domain_bench_learn(b, name);
	instances_delete(b, &name, 1);
	return (double)(to - from) / 1000;
}

static double turn_floor(const DomainBench *b)
{
	_cleanup_(xfreep) char *console = floor_console(b, 0);
	usec_t from = clock_now(clock_system()), to;

	floor_start(b, 0);
	to = wait_address(console);
	floor_remove(b, 0);
	return (double)(to - from) / 1000;
}

int main(int argc, char **argv)
{
	Samples sfd = { 0 }, status = { 0 }, bottom = { 0 }, ratios = { 0 };
	unsigned long pairs;
	DomainBench b;
	double told;

	if (argc != 5)
		bench_die("usage: domain_address PAIRS SFCTL MANIFEST DIRECTORY");
	pairs = strtoul(argv[1], NULL, 10);
	domain_bench_init(&b, argv[2], argv[3], argv[4]);
	turn_sfd(&b, "bench-0", &told);
	floor_prepare(&b, 0);
	for (unsigned long i = 1; i <= pairs; i++) {
		_cleanup_(xfreep) char *name = xasprintf("bench-%lu", i);
		double two = i % 2 ? turn_floor(&b) : 0, one = turn_sfd(&b, name, &told);

		two = i % 2 ? two : turn_floor(&b);
		samples_add(&sfd, one);
		samples_add(&status, told);
		samples_add(&bottom, two);
		samples_add(&ratios, one / two);
	}
	bench_row(&(Row){ .name = "sfctl apply until the guest has its address",
			  .unit = "ms",
			  .ours = &sfd,
			  .peer = "the same guest, by hand",
			  .theirs = &bottom,
			  .ratios = &ratios,
			  .goal = "ratio <= 1.1" });
	bench_row(&(Row){ .name = "sfctl apply until status says that it has",
			  .unit = "ms",
			  .ours = &status,
			  .detail = true });
	domain_bench_done(&b);
	samples_done(&sfd);
	samples_done(&status);
	samples_done(&bottom);
	samples_done(&ratios);
	return 0;
}
