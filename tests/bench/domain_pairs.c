/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long from "apply" to a domain that runs, beside what cannot be faster.
 *
 *     domain_pairs PAIRS SFCTL MANIFEST DIRECTORY
 *
 * In turns: (a) `sfctl apply`, timed from its exec until libvirt says that the domain has started;
 * (b) the floor: qemu-img create, define and start of the same XML by this program over the
 * connection it has; (c) `virt-install --import`. All is removed again between the turns, outside
 * of the measured time. See domains.h.
 */
#include "domains.h"

#include "base/memory.h"

static double turn_sfd(const DomainBench *b, const char *name, double *ret_sfctl)
{
	_cleanup_(xfreep) char *domain = xasprintf("default.%s", name);
	usec_t from;

	domains_forget();
	from = clock_now(clock_system());
	instances_apply(b, &name, 1);
	*ret_sfctl = (double)(clock_now(clock_system()) - from) / 1000;
	return (double)(domain_wait_started(domain) - from) / 1000;
}

static double turn_floor(const DomainBench *b)
{
	_cleanup_(xfreep) char *name = floor_name(0);
	usec_t from, to;

	domains_forget();
	from = clock_now(clock_system());
	floor_start(b, 0);
	to = domain_wait_started(name);
	floor_remove(b, 0);
	return (double)(to - from) / 1000;
}

static double turn_virt_install(const DomainBench *b)
{
	_cleanup_(xfreep) char *name = virt_install_name(0);
	usec_t from, to;

	domains_forget();
	from = clock_now(clock_system());
	virt_install_start(b, 0);
	to = domain_wait_started(name);
	virt_install_remove(b, 0);
	return (double)(to - from) / 1000;
}

/* One turn of each that does not count: caches, and the XML. */
static void warm_up(DomainBench *b)
{
	const char *name = "bench-0";
	double ignored;

	turn_sfd(b, name, &ignored);
	domain_bench_learn(b, name);
	instances_delete(b, &name, 1);
	floor_prepare(b, 0);
	turn_floor(b);
	turn_virt_install(b);
}

int main(int argc, char **argv)
{
	Samples sfd = { 0 }, sfctl = { 0 }, bottom = { 0 }, other = { 0 };
	Samples ratios = { 0 }, others = { 0 };
	unsigned long pairs;
	DomainBench b;

	if (argc != 5)
		bench_die("usage: domain_pairs PAIRS SFCTL MANIFEST DIRECTORY");
	pairs = strtoul(argv[1], NULL, 10);
	domain_bench_init(&b, argv[2], argv[3], argv[4]);
	warm_up(&b);
	for (unsigned long i = 1; i <= pairs; i++) {
		_cleanup_(xfreep) char *name = xasprintf("bench-%lu", i);
		/* Who goes first changes, so that neither always meets what the other left. */
		double two = i % 2 ? turn_floor(&b) : 0, one, three;

		one = turn_sfd(&b, name, &three);
		samples_add(&sfctl, three);
		instances_delete(&b, (const char *const *)&name, 1);
		two = i % 2 ? two : turn_floor(&b);
		three = turn_virt_install(&b);
		samples_add(&sfd, one);
		samples_add(&bottom, two);
		samples_add(&other, three);
		/* Of the two of a pair: what else the machine does comes and goes, and meets both.
		 */
		samples_add(&ratios, one / two);
		samples_add(&others, one / three);
	}
	bench_row(&(Row){ .name = "sfctl apply until the domain runs",
			  .unit = "ms",
			  .ours = &sfd,
			  .peer = "qemu-img create, define, start",
			  .theirs = &bottom,
			  .ratios = &ratios,
			  .goal = "ratio <= 1.25" });
	bench_row(&(Row){ .name = "of that, sfctl apply itself",
			  .unit = "ms",
			  .ours = &sfctl,
			  .detail = true });
	bench_row(&(Row){ .name = "sfctl apply until the domain runs",
			  .unit = "ms",
			  .ours = &sfd,
			  .peer = "virt-install --import",
			  .theirs = &other,
			  .ratios = &others,
			  .goal = "ratio <= 1" });
	domain_bench_done(&b);
	samples_done(&sfd);
	samples_done(&sfctl);
	samples_done(&bottom);
	samples_done(&other);
	samples_done(&ratios);
	samples_done(&others);
	return 0;
}
