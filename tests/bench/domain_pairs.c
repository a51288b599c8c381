/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long from "apply" to a domain that runs, beside what cannot be faster.
 *
 *     domain_pairs PAIRS SFCTL MANIFEST DIRECTORY
 *
 * MANIFEST is an Instance whose name is written NAME. In turns: (a) `sfctl apply`, timed from its
 * exec until libvirt says that the domain has started; (b) the floor: qemu-img create, define and
 * start of the same XML by this program over the connection it has; (c) `virt-install --import`.
 * All is removed again between the turns, outside of the measured time. The floor's tap and seed
 * are made before its time starts. DIRECTORY holds the floor's disks and is on sfd's file system.
 *
 * Threads: libvirt's events come on their own; `started` is under the lock.
 */
#include "bench.h"

#include <fcntl.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/strbuf.h"

#define WAIT_MAX   (60 * USEC_PER_SEC)
#define FLOOR_NAME "bench-floor"
#define OTHER_NAME "bench-other"
#define FLOOR_TAP  "benchtap0"
#define BRIDGE     "benchbr0"
#define INSTANCES  "/var/lib/sfd/instances/"
#define IMAGES     "/var/lib/sfd/images/"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static char started[256]; /* the domain that started last, and when */
static usec_t started_at;

static virConnectPtr conn;
static const char *sfctl, *directory;
static char *manifest; /* text, with NAME in it */
static char *floor_xml, *base_image;

/* ---- libvirt ---- */

static int on_lifecycle(virConnectPtr c _unused_, virDomainPtr dom, int event, int detail _unused_,
			void *arg _unused_)
{
	if (event != VIR_DOMAIN_EVENT_STARTED)
		return 0;
	pthread_mutex_lock(&lock);
	snprintf(started, sizeof(started), "%s", virDomainGetName(dom));
	started_at = clock_now(clock_system());
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	return 0;
}

static void *events_main(void *arg _unused_)
{
	for (;;)
		virEventRunDefaultImpl();
	return NULL;
}

static void quiet(void *arg _unused_, virErrorPtr e _unused_)
{
}

static void connect_libvirt(void)
{
	pthread_t thread;

	clock_cond_init(&changed);
	virSetErrorFunc(NULL, quiet);
	virEventRegisterDefaultImpl();
	conn = virConnectOpen("qemu:///system");
	if (!conn)
		bench_die("connect to libvirt: %s", virGetLastErrorMessage());
	if (virConnectDomainEventRegisterAny(conn, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
					     VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), NULL,
					     NULL) < 0 ||
	    pthread_create(&thread, NULL, events_main, NULL) != 0)
		bench_die("listen to libvirt: %s", virGetLastErrorMessage());
	pthread_detach(thread);
}

static void forget_started(void)
{
	pthread_mutex_lock(&lock);
	started[0] = '\0';
	pthread_mutex_unlock(&lock);
}

/* When it started. */
static usec_t wait_started(const char *name)
{
	usec_t deadline = clock_now(clock_system()) + WAIT_MAX, at;

	pthread_mutex_lock(&lock);
	while (!streq(started, name) && clock_now(clock_system()) < deadline)
		clock_wait(clock_system(), &changed, &lock, deadline);
	if (!streq(started, name))
		bench_die("domain %s did not start", name);
	at = started_at;
	pthread_mutex_unlock(&lock);
	return at;
}

static void remove_domain(const char *name)
{
	virDomainPtr dom = virDomainLookupByName(conn, name);

	if (!dom)
		bench_die("domain %s is gone", name);
	virDomainDestroy(dom);
	virDomainUndefine(dom);
	virDomainFree(dom);
}

/* ---- text ---- */

static char *replace_all(const char *text, const char *from, const char *to)
{
	StrBuf b = STRBUF_INIT;

	for (const char *at; (at = strstr(text, from)); text = at + strlen(from)) {
		strbuf_add(&b, text, (size_t)(at - text));
		strbuf_adds(&b, to);
	}
	strbuf_adds(&b, text);
	return strbuf_take(&b);
}

static void replace(char **text, const char *from, const char *to)
{
	char *old = *text;

	*text = replace_all(old, from, to);
	free(old);
}

/* What is between two marks, the first time; dies if it is not there. */
static char *between(const char *text, const char *from, const char *to)
{
	const char *a = strstr(text, from), *b;

	a = a ? a + strlen(from) : NULL;
	b = a ? strstr(a, to) : NULL;
	if (!b)
		bench_die("no %s in the domain's XML", from);
	return xstrndup(a, (size_t)(b - a));
}

static void cut(char **text, const char *from, const char *to)
{
	_cleanup_(xfreep) char *inner = between(*text, from, to);
	_cleanup_(xfreep) char *whole = xasprintf("%s%s%s", from, inner, to);

	replace(text, whole, "");
}

static void copy_file(const char *from, const char *to)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *data = NULL;
	size_t n;

	bench_check(fs_read(from, 16 << 20, &data, &n, &err), &err, from);
	bench_check(fs_write_atomic(to, data, n, 0644, false, &err), &err, to);
}

/* ---- sfd ---- */

static void sfctl_delete(const char *name)
{
	const char *argv[] = { sfctl, "delete", "instance", name, "--timeout=60s", NULL };

	bench_run(argv);
}

static double turn_sfd(const char *name, double *ret_sfctl)
{
	_cleanup_(xfreep) char *domain = xasprintf("default.%s", name);
	_cleanup_(xfreep) char *file = xasprintf("%s/instance.yaml", directory);
	_cleanup_(xfreep) char *text = replace_all(manifest, "NAME", name);
	const char *argv[] = { sfctl, "apply", "-f", file, NULL };
	_cleanup_(error_done) Error err = ERROR_INIT;
	usec_t from, to;
	pid_t pid;

	bench_check(fs_write_atomic(file, text, strlen(text), 0644, false, &err), &err, file);
	forget_started();
	from = clock_now(clock_system());
	pid = bench_start(argv, -1);
	bench_wait(pid, "sfctl apply");
	*ret_sfctl = (double)(clock_now(clock_system()) - from) / 1000;
	to = wait_started(domain);
	return (double)(to - from) / 1000;
}

/* The XML of the domain that sfd made, as one of the floor's: other name, uuid, tap and place, no
 * mark. */
static void learn_xml(const char *name)
{
	_cleanup_(xfreep) char *domain = xasprintf("default.%s", name);
	_cleanup_(xfreep) char *dir = xasprintf("%s/floor", directory);
	_cleanup_(xfreep) char *seed_from = NULL, *seed_to = xasprintf("%s/seed.iso", dir);
	_cleanup_(xfreep) char *uuid = NULL, *tap = NULL, *image = NULL;
	_cleanup_(xfreep) char *full_tap = NULL, *own_dir = NULL;
	virDomainPtr dom = virDomainLookupByName(conn, domain);
	char other[UUID_MAX];

	floor_xml = dom ? virDomainGetXMLDesc(dom, VIR_DOMAIN_XML_INACTIVE) : NULL;
	if (!floor_xml)
		bench_die("read domain %s", domain);
	virDomainFree(dom);
	uuid = between(floor_xml, "<uuid>", "</uuid>");
	tap = between(floor_xml, "<target dev='sft", "'");
	image = between(floor_xml, IMAGES, "'");
	base_image = xasprintf(IMAGES "%s", image);
	own_dir = xasprintf(INSTANCES "%s", uuid);
	seed_from = xasprintf("%s/seed.iso", own_dir);
	if (mkdir(dir, 0711) < 0)
		bench_die("%s: %m", dir);
	copy_file(seed_from, seed_to);
	full_tap = xasprintf("sft%s", tap);
	replace(&floor_xml, full_tap, FLOOR_TAP);
	replace(&floor_xml, own_dir, dir);
	replace(&floor_xml, domain, FLOOR_NAME);
	replace(&floor_xml, uuid, uuid_new(other));
	cut(&floor_xml, "<metadata>", "</metadata>");
	cut(&floor_xml, "<title>", "</title>");
}

/* ---- the floor ---- */

static void make_tap(const char *name)
{
	struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &r) < 0 || ioctl(fd, TUNSETPERSIST, 1) < 0)
		bench_die("tap %s: %m", name);
	fd_close(fd);
}

static double turn_floor(void)
{
	_cleanup_(xfreep) char *disk = xasprintf("%s/floor/root.qcow2", directory);
	const char *argv[] = { "/usr/bin/qemu-img", "create", "-q",    "-f", "qcow2", "-b",
			       base_image,          "-F",     "qcow2", disk, "1G",    NULL };
	usec_t from, to;
	virDomainPtr dom;

	unlink(disk);
	forget_started();
	from = clock_now(clock_system());
	bench_run(argv);
	dom = virDomainDefineXML(conn, floor_xml);
	if (!dom || virDomainCreate(dom) < 0)
		bench_die("the floor's domain: %s", virGetLastErrorMessage());
	to = wait_started(FLOOR_NAME);
	virDomainFree(dom);
	remove_domain(FLOOR_NAME);
	return (double)(to - from) / 1000;
}

/* ---- what people use today ---- */

static double turn_virt_install(void)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/other.qcow2", directory);
	_cleanup_(xfreep) char *seed =
		xasprintf("path=%s/floor/seed.iso,readonly=on,bus=virtio", directory);
	_cleanup_(xfreep) char *disk =
		xasprintf("path=%s,size=1,bus=virtio,format=qcow2,backing_store=%s,"
			  "backing_format=qcow2",
			  path, base_image);
	const char *argv[] = { "/usr/bin/virt-install",
			       "--import",
			       "--quiet",
			       "--name",
			       OTHER_NAME,
			       "--virt-type",
			       "qemu",
			       "--memory",
			       "128",
			       "--vcpus",
			       "1",
			       "--osinfo",
			       "generic",
			       "--graphics",
			       "none",
			       "--noautoconsole",
			       "--network",
			       "bridge=" BRIDGE ",model=virtio",
			       "--disk",
			       disk,
			       "--disk",
			       seed,
			       NULL };
	usec_t from, to;
	pid_t pid;

	unlink(path);
	forget_started();
	from = clock_now(clock_system());
	pid = bench_start(argv, -1);
	to = wait_started(OTHER_NAME);
	bench_wait(pid, "virt-install");
	remove_domain(OTHER_NAME);
	return (double)(to - from) / 1000;
}

/* ---- all ---- */

int main(int argc, char **argv)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Samples sfd = { 0 }, sfctl_only = { 0 }, bottom = { 0 }, other = { 0 }, ratios = { 0 },
		others = { 0 };
	bool virt_install = access("/usr/bin/virt-install", X_OK) == 0;
	double one, two, three;
	unsigned long pairs;

	if (argc != 5)
		bench_die("usage: domain_pairs PAIRS SFCTL MANIFEST DIRECTORY");
	pairs = strtoul(argv[1], NULL, 10);
	sfctl = argv[2];
	directory = argv[4];
	bench_check(fs_read(argv[3], 1 << 20, &manifest, NULL, &err), &err, argv[3]);
	connect_libvirt();
	/* One turn of each that does not count: caches, and the XML. */
	turn_sfd("bench-0", &three);
	learn_xml("bench-0");
	sfctl_delete("bench-0");
	make_tap(FLOOR_TAP);
	turn_floor();
	if (virt_install)
		turn_virt_install();
	for (unsigned long i = 1; i <= pairs; i++) {
		_cleanup_(xfreep) char *name = xasprintf("bench-%lu", i);

		/* Who goes first changes, so that neither always meets what the other left. */
		two = i % 2 ? turn_floor() : 0;
		one = turn_sfd(name, &three);
		sfctl_delete(name);
		two = i % 2 ? two : turn_floor();
		samples_add(&sfd, one);
		samples_add(&sfctl_only, three);
		samples_add(&bottom, two);
		samples_add(&ratios, one / two);
		if (!virt_install)
			continue;
		three = turn_virt_install();
		samples_add(&other, three);
		samples_add(&others, one / three);
	}
	/* The ratios are of the two of a pair: what else the machine does comes and goes, and meets
	 * both. */
	bench_row(&(Row){ .name = "sfctl apply until the domain runs",
			  .unit = "ms",
			  .ours = &sfd,
			  .peer = "qemu-img create, define, start",
			  .theirs = &bottom,
			  .ratios = &ratios,
			  .goal = "ratio <= 1.25" });
	bench_row(&(Row){ .name = "of that, sfctl apply itself",
			  .unit = "ms",
			  .ours = &sfctl_only,
			  .detail = true });
	if (other.n)
		bench_row(&(Row){ .name = "sfctl apply until the domain runs",
				  .unit = "ms",
				  .ours = &sfd,
				  .peer = "virt-install --import",
				  .theirs = &other,
				  .ratios = &others,
				  .goal = "ratio <= 1" });
	samples_done(&sfd);
	samples_done(&sfctl_only);
	samples_done(&bottom);
	samples_done(&other);
	samples_done(&ratios);
	samples_done(&others);
	return 0;
}
