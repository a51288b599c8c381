/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See domains.h. Who has started, and when, is under the lock.
 */
#include "domains.h"

#include <fcntl.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/random.h"

#define WAIT_MAX  (600 * USEC_PER_SEC)
#define BRIDGE    "benchbr0"
#define INSTANCES "/var/lib/sfd/instances/"
#define IMAGES    "/var/lib/sfd/images/"

typedef struct Start {
	char name[64];
	usec_t at;
} Start;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static Start *starts;
static size_t n_starts, cap_starts;

static virConnectPtr conn;

/* ---- libvirt ---- */

static int on_lifecycle(virConnectPtr c _unused_, virDomainPtr dom, int event, int detail _unused_,
			void *arg _unused_)
{
	Start *s;

	if (event != VIR_DOMAIN_EVENT_STARTED)
		return 0;
	pthread_mutex_lock(&lock);
	GROW_ARRAY(starts, n_starts, cap_starts);
	s = &starts[n_starts++];
	snprintf(s->name, sizeof(s->name), "%s", virDomainGetName(dom));
	s->at = clock_now(clock_system());
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

void domains_forget(void)
{
	pthread_mutex_lock(&lock);
	n_starts = 0;
	pthread_mutex_unlock(&lock);
}

static const Start *find_start(const char *name)
{
	for (size_t i = 0; i < n_starts; i++)
		if (streq(starts[i].name, name))
			return &starts[i];
	return NULL;
}

usec_t domain_wait_started(const char *name)
{
	usec_t deadline = clock_now(clock_system()) + WAIT_MAX, at = 0;
	const Start *s;

	pthread_mutex_lock(&lock);
	while (!(s = find_start(name)) && clock_now(clock_system()) < deadline)
		clock_wait(clock_system(), &changed, &lock, deadline);
	if (!s)
		bench_die("domain %s did not start", name);
	at = s->at;
	pthread_mutex_unlock(&lock);
	return at;
}

usec_t domains_wait_started(char *const *names, size_t n)
{
	usec_t last = 0;

	for (size_t i = 0; i < n; i++)
		last = MAX(last, domain_wait_started(names[i]));
	return last;
}

static char *domain_xml(const char *name)
{
	virDomainPtr dom = virDomainLookupByName(conn, name);
	char *xml = dom ? virDomainGetXMLDesc(dom, VIR_DOMAIN_XML_INACTIVE) : NULL;

	if (!xml)
		bench_die("domain %s cannot be read", name);
	virDomainFree(dom);
	return xml;
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

/* ---- the floor ---- */

void domain_bench_init(DomainBench *b, const char *sfctl, const char *manifest,
		       const char *directory)
{
	_cleanup_(error_done) Error err = ERROR_INIT;

	*b = (DomainBench){ .sfctl = sfctl, .directory = directory };
	bench_check(fs_read(manifest, 1 << 20, &b->manifest, NULL, &err), &err, manifest);
	connect_libvirt();
}

void domain_bench_done(DomainBench *b)
{
	free(b->manifest);
	free(b->xml);
	free(b->image);
}

static char *floor_dir(const DomainBench *b, unsigned i)
{
	return xasprintf("%s/floor-%u", b->directory, i);
}

char *floor_name(unsigned i)
{
	return xasprintf("bench-floor-%u", i);
}

char *floor_console(const DomainBench *b, unsigned i)
{
	_cleanup_(xfreep) char *dir = floor_dir(b, i);

	return xasprintf("%s/console.log", dir);
}

static char *instance_dir(const char *xml)
{
	_cleanup_(xfreep) char *uuid = between(xml, "<uuid>", "</uuid>");

	return xasprintf(INSTANCES "%s", uuid);
}

char *instance_console(const char *name)
{
	_cleanup_(xfreep) char *domain = xasprintf("default.%s", name);
	_cleanup_(xfreep) char *xml = domain_xml(domain);
	_cleanup_(xfreep) char *dir = instance_dir(xml);

	return xasprintf("%s/console.log", dir);
}

/* Marks for what differs from floor to floor: @DIR@, @TAP@, @NAME@, @UUID@. */
void domain_bench_learn(DomainBench *b, const char *name)
{
	_cleanup_(xfreep) char *domain = xasprintf("default.%s", name);
	_cleanup_(xfreep) char *xml = domain_xml(domain), *dir = instance_dir(xml);
	_cleanup_(xfreep) char *uuid = between(xml, "<uuid>", "</uuid>");
	_cleanup_(xfreep) char *tap = between(xml, "<target dev='sft", "'");
	_cleanup_(xfreep) char *full_tap = xasprintf("sft%s", tap);
	_cleanup_(xfreep) char *image = between(xml, IMAGES, "'");
	_cleanup_(xfreep) char *seed = xasprintf("%s/seed.iso", dir);
	_cleanup_(xfreep) char *copy = xasprintf("%s/seed.iso", b->directory);

	copy_file(seed, copy);
	b->image = xasprintf(IMAGES "%s", image);
	replace(&xml, full_tap, "@TAP@");
	replace(&xml, dir, "@DIR@");
	replace(&xml, domain, "@NAME@");
	replace(&xml, uuid, "@UUID@");
	cut(&xml, "<metadata>", "</metadata>");
	cut(&xml, "<title>", "</title>");
	b->xml = TAKE_PTR(xml);
}

static char *floor_tap(unsigned i)
{
	return xasprintf("benchtap%u", i);
}

void floor_prepare(const DomainBench *b, unsigned i)
{
	_cleanup_(xfreep) char *dir = floor_dir(b, i), *tap = floor_tap(i);
	_cleanup_(xfreep) char *from = xasprintf("%s/seed.iso", b->directory);
	_cleanup_(xfreep) char *to = xasprintf("%s/seed.iso", dir);
	struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", tap);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &r) < 0 || ioctl(fd, TUNSETPERSIST, 1) < 0)
		bench_die("tap %s: %m", tap);
	fd_close(fd);
	bench_run((const char *const[]){ "/usr/sbin/ip", "link", "set", tap, "master", BRIDGE, "up",
					 NULL });
	if (fs_mkdir_p(dir, 0711, NULL) < 0)
		bench_die("%s: cannot be made", dir);
	copy_file(from, to);
}

void floor_start(const DomainBench *b, unsigned i)
{
	_cleanup_(xfreep) char *dir = floor_dir(b, i), *disk = xasprintf("%s/root.qcow2", dir);
	_cleanup_(xfreep) char *tap = floor_tap(i), *name = floor_name(i), *xml = NULL;
	char uuid[UUID_MAX];
	virDomainPtr dom;

	bench_run((const char *const[]){ "/usr/bin/qemu-img", "create", "-q", "-f", "qcow2", "-b",
					 b->image, "-F", "qcow2", disk, "1G", NULL });
	xml = replace_all(b->xml, "@DIR@", dir);
	replace(&xml, "@TAP@", tap);
	replace(&xml, "@NAME@", name);
	replace(&xml, "@UUID@", uuid_new(uuid));
	dom = virDomainDefineXML(conn, xml);
	if (!dom || virDomainCreate(dom) < 0)
		bench_die("the floor's domain: %s", virGetLastErrorMessage());
	virDomainFree(dom);
}

void floor_remove(const DomainBench *b, unsigned i)
{
	_cleanup_(xfreep) char *dir = floor_dir(b, i), *disk = xasprintf("%s/root.qcow2", dir);
	_cleanup_(xfreep) char *name = floor_name(i), *console = floor_console(b, i);

	remove_domain(name);
	unlink(disk);
	unlink(console);
}

/* ---- sfd ---- */

void instances_apply(const DomainBench *b, const char *const *names, size_t n)
{
	_cleanup_(xfreep) char *file = xasprintf("%s/instances.yaml", b->directory);
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT;

	for (size_t i = 0; i < n; i++) {
		_cleanup_(xfreep) char *one = replace_all(b->manifest, "NAME", names[i]);

		strbuf_adds(&text, one);
	}
	bench_check(fs_write_atomic(file, text.buf, text.len, 0644, false, &err), &err, file);
	bench_run((const char *const[]){ b->sfctl, "apply", "-f", file, NULL });
}

void instances_delete(const DomainBench *b, const char *const *names, size_t n)
{
	const char **argv = xnew0(const char *, n + 5);

	argv[0] = b->sfctl;
	argv[1] = "delete";
	argv[2] = "instance";
	argv[3] = "--timeout=600s";
	memcpy(argv + 4, names, n * sizeof(*names));
	bench_run(argv);
	free(argv);
}

/* ---- what people use today ---- */

char *virt_install_name(unsigned i)
{
	return xasprintf("bench-other-%u", i);
}

/* In a folder of its own: virt-install makes each folder a pool, and fails when another one does.
 */
static char *virt_install_disk(const DomainBench *b, unsigned i)
{
	_cleanup_(xfreep) char *dir = floor_dir(b, i);

	return xasprintf("%s/other.qcow2", dir);
}

void virt_install_start(const DomainBench *b, unsigned i)
{
	_cleanup_(xfreep) char *name = virt_install_name(i), *path = virt_install_disk(b, i);
	_cleanup_(xfreep) char *dir = floor_dir(b, i);
	_cleanup_(xfreep) char *seed = xasprintf("path=%s/seed.iso,readonly=on,bus=virtio", dir);
	_cleanup_(xfreep) char *disk =
		xasprintf("path=%s,size=1,bus=virtio,format=qcow2,backing_store=%s,"
			  "backing_format=qcow2",
			  path, b->image);

	bench_run((const char *const[]){ "/usr/bin/virt-install",
					 "--import",
					 "--quiet",
					 "--name",
					 name,
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
					 NULL });
}

void virt_install_remove(const DomainBench *b, unsigned i)
{
	_cleanup_(xfreep) char *name = virt_install_name(i), *path = virt_install_disk(b, i);

	remove_domain(name);
	unlink(path);
}
