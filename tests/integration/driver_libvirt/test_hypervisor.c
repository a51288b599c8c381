/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The libvirt adapter against a real libvirtd and real QEMU processes (emulated, without an
 * operating system: what is tested lies outside of the guest).
 *
 * Sandbox: --libvirtd
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <libvirt/libvirt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/spawn.h"
#include "driver/libvirt/libvirt.h"

#define STORE    "5fd00000-0000-4000-8000-00000000000a"
#define DEADLINE (60 * USEC_PER_SEC)

static Context ctx;
static char *dir; /* below $TMPDIR */

typedef struct Heard {
	pthread_mutex_t lock;
	unsigned any, named;
	char last[256];
} Heard;

static Heard heard = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void on_event(void *arg _unused_, const char *name)
{
	pthread_mutex_lock(&heard.lock);
	if (name) {
		heard.named++;
		snprintf(heard.last, sizeof(heard.last), "%s", name);
	} else {
		heard.any++;
	}
	pthread_mutex_unlock(&heard.lock);
}

static unsigned heard_any(void)
{
	unsigned n;

	pthread_mutex_lock(&heard.lock);
	n = heard.any;
	pthread_mutex_unlock(&heard.lock);
	return n;
}

static void fail_error(const Error *err)
{
	fail_msg("%s: %s", error_code_to_string((int)err->code), error_message(err));
}

#define OK(call) \
	do { \
		_cleanup_(error_done) Error err_ = ERROR_INIT; \
		Error *err = &err_; \
		if ((call) < 0) \
			fail_error(err); \
	} while (0)

static Hypervisor *open_hypervisor(void)
{
	Hypervisor *h = NULL;

	OK(libvirt_hypervisor_new(
		&(LibvirtOptions){ .virt_type = "qemu", .store_id = STORE, .validate = true }, &h,
		err));
	h->ops->subscribe(h, on_event, NULL);
	return h;
}

static DomainInfo inspect(Hypervisor *h, const char *name)
{
	DomainInfo info;

	OK(h->ops->inspect(h, &ctx, name, &info, err));
	return info;
}

static void power(Hypervisor *h, const char *name, DomainPower action)
{
	OK(h->ops->power(h, &ctx, name, action, NULL, err));
}

/* Waits until the domain is in that state. */
static DomainInfo wait_state(Hypervisor *h, const char *name, DomainState state)
{
	usec_t until = clock_now(ctx.clock) + DEADLINE;
	DomainInfo info;

	do {
		info = inspect(h, name);
		if (info.state == state)
			return info;
		poll(NULL, 0, 20);
	} while (clock_now(ctx.clock) < until);
	fail_msg("%s is %s, not %s", name, domain_state_to_string(info.state),
		 domain_state_to_string(state));
	return info;
}

static void run(const char *const *argv)
{
	OK(spawn_run(&ctx, argv, NULL, NULL, err));
}

static void make_disks(void)
{
	_cleanup_(xfreep) char *base = xasprintf("%s/base.qcow2", dir);
	_cleanup_(xfreep) char *root = xasprintf("%s/root.qcow2", dir);
	_cleanup_(xfreep) char *seed = xasprintf("%s/seed.iso", dir);

	if (fs_exists(base))
		return;
	run((const char *[]){ "/usr/bin/qemu-img", "create", "-q", "-f", "qcow2", base, "16M",
			      NULL });
	run((const char *[]){ "/usr/bin/qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2",
			      "-b", base, root, NULL });
	OK(fs_write_atomic(seed, "seed", 4, 0600, false, err));
}

/* A domain with everything: disks with a chain, a seed, a tap, a console with its log. */
static DomainConfig config(const char *name)
{
	static char uuid[UUID_MAX], root[256], base[256], seed[256], console[256];
	DomainConfig c = { .name = name,
			   .uuid = uuid,
			   .store_id = STORE,
			   .uid = uuid,
			   .title = "a <title> & \"more\"",
			   .generation = 1,
			   .request_id = "",
			   .config_hash = "hash-1",
			   .cpus = 1,
			   .max_cpus = 2,
			   .memory = 64 << 20,
			   .max_memory = 128 << 20,
			   .console_log = console,
			   .n_disks = 2,
			   .n_nics = 1 };

	make_disks();
	uuid_new(uuid);
	snprintf(root, sizeof(root), "%s/root.qcow2", dir);
	snprintf(base, sizeof(base), "%s/base.qcow2", dir);
	snprintf(seed, sizeof(seed), "%s/seed.iso", dir);
	snprintf(console, sizeof(console), "%s/instances/%s/console.log", dir, uuid);
	c.disks[0] = (DomainDisk){ .name = "root",
				   .path = root,
				   .format = "qcow2",
				   .base_path = base,
				   .base_format = "qcow2",
				   .bus = "virtio",
				   .boot_order = 1 };
	c.disks[1] = (DomainDisk){
		.name = "cidata", .path = seed, .format = "raw", .bus = "virtio", .read_only = true
	};
	c.nics[0] = (DomainNic){ .name = "eth0",
				 .tap = "sft00000001",
				 .mac = { { 2, 0, 0, 0, 0, 1 } },
				 .model = "virtio",
				 .mtu = 1400 };
	return c;
}

static void make_instance_directory(const DomainConfig *c)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/instances/%s", dir, c->uid);

	OK(fs_mkdir_p(path, 0711, err));
}

static void define(Hypervisor *h, const DomainConfig *c)
{
	make_instance_directory(c);
	OK(h->ops->define(h, &ctx, c, err));
}

static void remove_domain(Hypervisor *h, const char *name)
{
	_cleanup_(xfreep) char *log = xasprintf("/var/log/libvirt/qemu/%s.log", name);

	OK(h->ops->remove(h, &ctx, name, err));
	assert_int_equal(inspect(h, name).state, DOMAIN_ABSENT);
	assert_false(fs_exists(log));
}

static void test_life(void **state)
{
	Hypervisor *h = *state;
	DomainConfig c = config("life.a");
	_cleanup_(xfreep) char *log = xstrdup("/var/log/libvirt/qemu/life.a.log");
	DomainInfo info;
	struct stat st;

	assert_int_equal(inspect(h, c.name).state, DOMAIN_ABSENT);
	define(h, &c);
	info = inspect(h, c.name);
	assert_int_equal(info.state, DOMAIN_SHUTOFF);
	assert_true(info.persistent && !info.foreign);
	assert_string_equal(info.uuid, c.uuid);
	assert_string_equal(info.uid, c.uid);
	assert_string_equal(info.config_hash, "hash-1");
	assert_string_equal(info.live_hash, "");
	power(h, c.name, POWER_START);
	power(h, c.name, POWER_START);
	info = inspect(h, c.name);
	assert_int_equal(info.state, DOMAIN_RUNNING);
	assert_string_equal(info.live_hash, "hash-1");
	assert_int_equal(info.n_live_taps, 1);
	assert_string_equal(info.live_taps[0], c.nics[0].tap);
	assert_string_equal(info.virt_type, "qemu");
	assert_int_equal(info.live_cpus, 1);
	assert_int_equal(info.live_memory, 64 << 20);
	assert_int_equal(info.started_generation, 1);
	assert_int_not_equal(info.pid, 0);
	assert_true(fs_exists(log));
	/* The shared file of the chain stays root's. */
	assert_int_equal(stat(c.disks[0].base_path, &st), 0);
	assert_int_equal(st.st_uid, 0);
	power(h, c.name, POWER_SUSPEND);
	info = inspect(h, c.name);
	assert_int_equal(info.state, DOMAIN_PAUSED);
	assert_int_equal(info.reason, DOMAIN_REASON_USER);
	power(h, c.name, POWER_RESUME);
	assert_int_equal(inspect(h, c.name).state, DOMAIN_RUNNING);
	OK(h->ops->power(h, &ctx, c.name, POWER_RESET, "request-7", err));
	assert_string_equal(inspect(h, c.name).request_id, "request-7");
	power(h, c.name, POWER_DESTROY);
	power(h, c.name, POWER_DESTROY);
	info = inspect(h, c.name);
	assert_int_equal(info.state, DOMAIN_SHUTOFF);
	assert_int_equal(info.reason, DOMAIN_REASON_DESTROYED);
	assert_string_equal(info.request_id, "request-7");
	assert_int_equal(h->ops->power(h, &ctx, c.name, POWER_RESET, NULL, NULL), -ERR_CONFLICT);
	remove_domain(h, c.name);
	remove_domain(h, c.name);
	assert_int_equal(h->ops->power(h, &ctx, c.name, POWER_START, NULL, NULL), -ERR_NOT_FOUND);
	power(h, c.name, POWER_DESTROY);
}

/* cmocka cuts long texts off before the place where they differ. */
static void assert_same_text(const char *a, const char *b)
{
	size_t i = 0;

	while (a[i] && a[i] == b[i])
		i++;
	if (a[i] != b[i])
		fail_msg("differs: \"%.80s\" and \"%.80s\"", a + i, b + i);
}

/* What libvirt chose at the first define stays, and what runs is not touched by a second one. */
static void test_definition_is_kept(void **state)
{
	Hypervisor *h = *state;
	DomainConfig c = config("kept.a");
	virConnectPtr conn = virConnectOpen("qemu:///system");
	virDomainPtr dom;
	_cleanup_(xfreep) char *first = NULL, *second = NULL;
	DomainInfo info;

	define(h, &c);
	dom = virDomainLookupByName(conn, c.name);
	first = virDomainGetXMLDesc(dom, VIR_DOMAIN_XML_INACTIVE);
	assert_non_null(strstr(first, "pc-q35-"));
	define(h, &c);
	second = virDomainGetXMLDesc(dom, VIR_DOMAIN_XML_INACTIVE);
	assert_same_text(first, second);
	power(h, c.name, POWER_START);
	c.generation = 2;
	c.config_hash = "hash-2";
	c.cpus = 2;
	c.memory = 128 << 20;
	define(h, &c);
	info = inspect(h, c.name);
	assert_string_equal(info.config_hash, "hash-2");
	assert_string_equal(info.live_hash, "hash-1");
	assert_int_equal(info.generation, 2);
	assert_int_equal(info.started_generation, 1);
	OK(h->ops->update_live(h, &ctx, &c, err));
	info = inspect(h, c.name);
	assert_string_equal(info.live_hash, "hash-2");
	assert_int_equal(info.live_cpus, 2);
	assert_int_equal(info.live_memory, 128 << 20);
	c.cpus = 1;
	assert_int_equal(h->ops->update_live(h, &ctx, &c, NULL), -ERR_UNSUPPORTED);
	virDomainFree(dom);
	virConnectClose(conn);
	remove_domain(h, c.name);
}

static void test_crash_and_shutdown_differ(void **state)
{
	Hypervisor *h = *state;
	DomainConfig c = config("ends.a");
	DomainInfo info;

	define(h, &c);
	power(h, c.name, POWER_START);
	kill(inspect(h, c.name).pid, SIGKILL);
	info = wait_state(h, c.name, DOMAIN_SHUTOFF);
	assert_int_equal(info.reason, DOMAIN_REASON_FAILED);
	power(h, c.name, POWER_START);
	kill(inspect(h, c.name).pid, SIGTERM);
	info = wait_state(h, c.name, DOMAIN_SHUTOFF);
	assert_int_equal(info.reason, DOMAIN_REASON_HOST_SHUTDOWN);
	remove_domain(h, c.name);
}

static void test_start_failure_is_told(void **state)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Hypervisor *h = *state;
	DomainConfig c = config("broken.a");

	c.disks[0].path = "/nonexistent/root.qcow2";
	define(h, &c);
	assert_true(h->ops->power(h, &ctx, c.name, POWER_START, NULL, &err) < 0);
	assert_non_null(strstr(error_message(&err), "/nonexistent/root.qcow2"));
	assert_int_equal(inspect(h, c.name).state, DOMAIN_SHUTOFF);
	remove_domain(h, c.name);
}

static const char foreign_xml[] =
	"<domain type='qemu'><name>foreign.a</name><memory unit='MiB'>64</memory>"
	"<os><type>hvm</type></os></domain>";

static void test_foreign_is_left_alone(void **state)
{
	Hypervisor *h = *state;
	virConnectPtr conn = virConnectOpen("qemu:///system");
	virDomainPtr dom = virDomainDefineXML(conn, foreign_xml);
	DomainConfig c = config("foreign.a");
	DomainEntry *list;
	size_t n, found = 0;

	assert_non_null(dom);
	assert_int_equal(virDomainCreate(dom), 0);
	assert_true(inspect(h, c.name).foreign);
	for (DomainPower p = POWER_START; p < _POWER_MAX; p++)
		assert_int_equal(h->ops->power(h, &ctx, c.name, p, "x", NULL), -ERR_CONFLICT);
	assert_int_equal(h->ops->define(h, &ctx, &c, NULL), -ERR_CONFLICT);
	assert_int_equal(h->ops->update_live(h, &ctx, &c, NULL), -ERR_CONFLICT);
	assert_int_equal(h->ops->remove(h, &ctx, c.name, NULL), -ERR_CONFLICT);
	assert_int_equal(virDomainIsActive(dom), 1);
	OK(h->ops->list(h, &ctx, &list, &n, err));
	for (size_t i = 0; i < n; i++)
		found += streq(list[i].name, c.name) && !*list[i].store_id;
	assert_int_equal(found, 1);
	free(list);
	virDomainDestroy(dom);
	virDomainUndefine(dom);
	virDomainFree(dom);
	virConnectClose(conn);
}

/* A QEMU that answers nothing makes its domain unknown and nothing else. */
static void test_stopped_qemu(void **state)
{
	Hypervisor *h = *state;
	DomainConfig a = config("stopped.a");
	Context brief;
	pid_t pid;

	a.n_disks = 0;
	a.n_nics = 0;
	define(h, &a);
	power(h, a.name, POWER_START);
	pid = inspect(h, a.name).pid;
	kill(pid, SIGSTOP);
	brief = context_with_timeout(&ctx, USEC_PER_SEC / 10);
	assert_int_equal(h->ops->power(h, &brief, a.name, POWER_SUSPEND, NULL, NULL), -ERR_TIMEOUT);
	assert_int_equal(h->ops->power(h, &ctx, a.name, POWER_SUSPEND, NULL, NULL),
			 -ERR_UNAVAILABLE);
	assert_int_equal(inspect(h, a.name).state, DOMAIN_RUNNING);
	assert_int_equal(inspect(h, "other.a").state, DOMAIN_ABSENT);
	kill(pid, SIGCONT);
	wait_state(h, a.name, DOMAIN_PAUSED);
	/* It answered, so it may be asked again. */
	for (usec_t until = clock_now(ctx.clock) + DEADLINE;
	     h->ops->power(h, &ctx, a.name, POWER_RESUME, NULL, NULL) < 0;) {
		assert_true(clock_now(ctx.clock) < until);
		poll(NULL, 0, 20);
	}
	kill(inspect(h, a.name).pid, SIGSTOP);
	/* libvirtd gives it 10 s before it is killed; nobody has to wait for that. */
	assert_int_equal(h->ops->remove(h, &ctx, a.name, NULL), -ERR_UNAVAILABLE);
	for (usec_t until = clock_now(ctx.clock) + DEADLINE;
	     h->ops->remove(h, &ctx, a.name, NULL) < 0;) {
		assert_true(clock_now(ctx.clock) < until);
		poll(NULL, 0, 20);
	}
	assert_int_equal(inspect(h, a.name).state, DOMAIN_ABSENT);
}

static pid_t libvirtd_pid(void)
{
	_cleanup_(xfreep) char *text = NULL;

	OK(fs_read("/run/sandbox/libvirtd.pid", 32, &text, NULL, err));
	return (pid_t)strtol(text, NULL, 10);
}

static void test_libvirtd_restarts(void **state)
{
	Hypervisor *h = *state;
	DomainConfig c = config("survivor.a");
	unsigned before;
	pid_t pid;
	usec_t until = clock_now(ctx.clock) + DEADLINE;
	DomainInfo info;

	define(h, &c);
	power(h, c.name, POWER_START);
	pid = inspect(h, c.name).pid;
	before = heard_any();
	run((const char *[]){ "/bin/bash", "-c", ". tests/lib/services.bash; service_kill libvirtd",
			      NULL });
	assert_int_equal(h->ops->inspect(h, &ctx, c.name, &info, NULL), -ERR_UNAVAILABLE);
	run((const char *[]){ "/bin/bash", "-c",
			      ". tests/lib/services.bash; service_start libvirtd && "
			      "service_wait libvirtd",
			      NULL });
	while (h->ops->inspect(h, &ctx, c.name, &info, NULL) < 0) {
		assert_true(clock_now(ctx.clock) < until);
		poll(NULL, 0, 20);
	}
	assert_int_equal(info.state, DOMAIN_RUNNING);
	assert_int_equal(info.pid, pid);
	assert_true(heard_any() >= before + 2);
	remove_domain(h, c.name);
}

/* A libvirtd that hangs costs no caller more than its deadline, and is used again afterwards. */
static void test_libvirtd_hangs(void **state)
{
	Hypervisor *h = *state;
	pid_t pid = libvirtd_pid();
	usec_t start, until;
	DomainInfo info;
	Context brief;

	inspect(h, "x");
	kill(pid, SIGSTOP);
	for (int i = 0; i < 15; i++) {
		start = clock_now(ctx.clock);
		brief = context_with_timeout(&ctx, 300 * USEC_PER_MSEC);
		assert_true(h->ops->inspect(h, &brief, "x", &info, NULL) < 0);
		assert_true(clock_now(ctx.clock) < start + 5 * USEC_PER_SEC);
	}
	kill(pid, SIGCONT);
	until = clock_now(ctx.clock) + DEADLINE;
	while (h->ops->inspect(h, &ctx, "x", &info, NULL) < 0) {
		assert_true(clock_now(ctx.clock) < until);
		poll(NULL, 0, 20);
	}
	assert_int_equal(info.state, DOMAIN_ABSENT);
}

/* Reads up to the end of file; -1 if it does not come. */
static int read_to_end(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char buf[4096];
	ssize_t n;

	do {
		if (poll(&p, 1, (int)(DEADLINE / USEC_PER_MSEC)) <= 0)
			return -1;
		n = read(fd, buf, sizeof(buf));
	} while (n > 0);
	return (int)n;
}

static void test_console(void **state)
{
	Hypervisor *h = *state;
	DomainConfig c = config("console.a");
	Console *console = NULL;
	int a = -1, b = -1, log = -1;

	OK(libvirt_console_new(h, dir, &console, err));
	assert_int_equal(console->ops->attach(console, &ctx, "n", c.name, &a, NULL),
			 -ERR_NOT_FOUND);
	define(h, &c);
	assert_int_equal(console->ops->attach(console, &ctx, "n", c.name, &a, NULL), -ERR_CONFLICT);
	assert_int_equal(console->ops->log(console, &ctx, "n", c.uid, &log, NULL), -ERR_NOT_FOUND);
	power(h, c.name, POWER_START);
	OK(console->ops->attach(console, &ctx, "n", c.name, &a, err));
	OK(console->ops->attach(console, &ctx, "n", c.name, &b, err));
	/* What one types the guest's line would echo; nothing reads it here, but it must pass. */
	assert_int_equal(write(b, "x", 1), 1);
	power(h, c.name, POWER_DESTROY);
	assert_int_equal(read_to_end(a), 0);
	assert_int_equal(read_to_end(b), 0);
	OK(console->ops->log(console, &ctx, "n", c.uid, &log, err));
	fd_close(a);
	fd_close(b);
	/* A second session follows the first at once. */
	power(h, c.name, POWER_START);
	OK(console->ops->attach(console, &ctx, "n", c.name, &a, err));
	fd_close(a);
	OK(console->ops->attach(console, &ctx, "n", c.name, &a, err));
	console->ops->free(console);
	assert_int_equal(read_to_end(a), 0);
	fd_close(a);
	fd_close(log);
	remove_domain(h, c.name);
}

static void test_host_info(void **state)
{
	Hypervisor *h = *state;
	HypervisorInfo info;

	OK(h->ops->info(h, &ctx, &info, err));
	assert_true(info.connected && info.cpus > 0 && info.memory > 0);
	assert_string_equal(info.virt_type, "qemu");
	assert_non_null(strstr(info.version, "QEMU"));
}

static unsigned sockets_open(void)
{
	struct stat st;
	unsigned n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
	return n;
}

/* Each would be woken by libvirtd's own keepalive for ever. */
static void test_idle_connections_close(void **state)
{
	Hypervisor *h = *state;
	usec_t until = clock_now(ctx.clock) + DEADLINE;
	DomainConfig c = config("idle.a");
	unsigned alone;

	while ((alone = sockets_open()) != 1 && clock_now(ctx.clock) < until)
		poll(NULL, 0, 20);
	assert_int_equal(alone, 1);
	define(h, &c);
	assert_true(sockets_open() > 1);
	until = clock_now(ctx.clock) + DEADLINE;
	while (sockets_open() > 1 && clock_now(ctx.clock) < until)
		poll(NULL, 0, 20);
	assert_int_equal(sockets_open(), 1);
	assert_int_equal(inspect(h, c.name).state, DOMAIN_SHUTOFF);
	remove_domain(h, c.name);
}

static int setup(void **state)
{
	dir = xasprintf("%s/adapter", getenv("TMPDIR"));
	OK(fs_mkdir_p(dir, 0711, err));
	run((const char *[]){ "/sbin/ip", "tuntap", "add", "dev", "sft00000001", "mode", "tap",
			      NULL });
	*state = open_hypervisor();
	return 0;
}

static int teardown(void **state)
{
	Hypervisor *h = *state;

	h->ops->free(h);
	free(dir);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_host_info),
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_definition_is_kept),
		cmocka_unit_test(test_crash_and_shutdown_differ),
		cmocka_unit_test(test_start_failure_is_told),
		cmocka_unit_test(test_foreign_is_left_alone),
		cmocka_unit_test(test_console),
		cmocka_unit_test(test_idle_connections_close),
		cmocka_unit_test(test_stopped_qemu),
		cmocka_unit_test(test_libvirtd_restarts),
		cmocka_unit_test(test_libvirtd_hangs),
	};

	ctx = CONTEXT_BACKGROUND;
	return cmocka_run_group_tests(tests, setup, teardown);
}
