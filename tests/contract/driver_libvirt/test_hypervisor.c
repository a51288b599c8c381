/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every Hypervisor promises, over the fake and over libvirt with its in-process test driver.
 * What only a real QEMU shows is in tests/integration.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <poll.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/memory.h"
#include "driver/fake/hypervisor.h"
#include "driver/libvirt/libvirt.h"

#define STORE    "5fd00000-0000-4000-8000-00000000000a"
#define UUID_A   "11111111-1111-4111-8111-111111111111"
#define UUID_B   "22222222-2222-4222-8222-222222222222"
#define DEADLINE (30 * USEC_PER_SEC)

static Context ctx;

typedef struct Heard {
	pthread_mutex_t lock;
	unsigned named;
} Heard;

static Heard heard = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void on_event(void *arg _unused_, const char *name)
{
	pthread_mutex_lock(&heard.lock);
	heard.named += name && streq(name, "ns.a");
	pthread_mutex_unlock(&heard.lock);
}

/* The events of an earlier test's connection may still come in. */
static void hear_nothing_yet(void)
{
	pthread_mutex_lock(&heard.lock);
	heard.named = 0;
	pthread_mutex_unlock(&heard.lock);
}

static DomainConfig config(const char *name, const char *uuid)
{
	return (DomainConfig){ .name = name,
			       .uuid = uuid,
			       .store_id = STORE,
			       .uid = uuid,
			       .title = "ns/a",
			       .generation = 1,
			       .config_hash = "h1",
			       .cpus = 1,
			       .max_cpus = 2,
			       .memory = 64 << 20,
			       .max_memory = 128 << 20 };
}

static DomainInfo inspect(Hypervisor *h, const char *name)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	DomainInfo info;

	if (h->ops->inspect(h, &ctx, name, &info, &err) < 0)
		fail_msg("%s", error_message(&err));
	return info;
}

static int power(Hypervisor *h, DomainPower action)
{
	return h->ops->power(h, &ctx, "ns.a", action, NULL, NULL);
}

static void define(Hypervisor *h, const DomainConfig *c)
{
	_cleanup_(error_done) Error err = ERROR_INIT;

	if (h->ops->define(h, &ctx, c, &err) < 0)
		fail_msg("%s", error_message(&err));
}

static void test_absence_is_a_state(void **state)
{
	Hypervisor *h = *state;

	assert_int_equal(inspect(h, "ns.a").state, DOMAIN_ABSENT);
	assert_int_equal(power(h, POWER_SHUTDOWN), 0);
	assert_int_equal(power(h, POWER_DESTROY), 0);
	assert_int_equal(power(h, POWER_START), -ERR_NOT_FOUND);
	assert_int_equal(h->ops->remove(h, &ctx, "ns.a", NULL), 0);
}

static void test_life(void **state)
{
	Hypervisor *h = *state;
	DomainConfig c = config("ns.a", UUID_A);
	DomainInfo info;

	c.nics[c.n_nics++] = (DomainNic){ .name = "eth0",
					  .tap = "sft0000002a",
					  .mac = { { 0x52, 0x54, 0, 0, 0, 1 } },
					  .model = "virtio" };
	define(h, &c);
	info = inspect(h, c.name);
	assert_int_equal(info.state, DOMAIN_SHUTOFF);
	assert_int_equal(info.n_live_taps, 0);
	assert_true(info.persistent && !info.foreign);
	assert_string_equal(info.uuid, UUID_A);
	assert_string_equal(info.store_id, STORE);
	assert_string_equal(info.config_hash, "h1");
	assert_int_equal(info.live_cpus, 0);
	for (DomainPower p = POWER_REBOOT; p <= POWER_RESUME; p++)
		assert_int_equal(power(h, p), -ERR_CONFLICT);
	assert_int_equal(power(h, POWER_START), 0);
	assert_int_equal(power(h, POWER_START), 0);
	info = inspect(h, c.name);
	assert_int_equal(info.state, DOMAIN_RUNNING);
	assert_string_equal(info.live_hash, "h1");
	assert_int_equal(info.n_live_taps, 1);
	assert_string_equal(info.live_taps[0], "sft0000002a");
	assert_int_equal(info.started_generation, 1);
	assert_int_equal(power(h, POWER_SUSPEND), 0);
	assert_int_equal(power(h, POWER_SUSPEND), 0);
	assert_int_equal(inspect(h, c.name).reason, DOMAIN_REASON_USER);
	assert_int_equal(power(h, POWER_RESUME), 0);
	assert_int_equal(power(h, POWER_RESUME), 0);
	assert_int_equal(inspect(h, c.name).state, DOMAIN_RUNNING);
	assert_int_equal(h->ops->power(h, &ctx, c.name, POWER_DESTROY, "r1", NULL), 0);
	info = inspect(h, c.name);
	assert_int_equal(info.state, DOMAIN_SHUTOFF);
	assert_int_equal(info.reason, DOMAIN_REASON_DESTROYED);
	assert_string_equal(info.request_id, "r1");
	/* A definition that names no request keeps the one that was done. */
	define(h, &c);
	assert_string_equal(inspect(h, c.name).request_id, "r1");
	assert_int_equal(h->ops->remove(h, &ctx, c.name, NULL), 0);
	assert_int_equal(inspect(h, c.name).state, DOMAIN_ABSENT);
}

static void test_define_touches_nothing_that_runs(void **state)
{
	Hypervisor *h = *state;
	DomainConfig c = config("ns.a", UUID_A);
	DomainInfo info;

	define(h, &c);
	assert_int_equal(power(h, POWER_START), 0);
	c.generation = 2;
	c.config_hash = "h2";
	c.cpus = 2;
	define(h, &c);
	info = inspect(h, c.name);
	assert_int_equal(info.generation, 2);
	assert_string_equal(info.config_hash, "h2");
	assert_int_equal(info.started_generation, 1);
	assert_string_equal(info.live_hash, "h1");
	assert_int_equal(info.live_cpus, 1);
	c.memory = 256 << 20;
	c.max_memory = 0;
	assert_int_equal(h->ops->update_live(h, &ctx, &c, NULL), -ERR_UNSUPPORTED);
	assert_int_equal(h->ops->remove(h, &ctx, c.name, NULL), 0);
	assert_int_equal(inspect(h, c.name).state, DOMAIN_ABSENT);
	assert_int_equal(h->ops->update_live(h, &ctx, &c, NULL), -ERR_CONFLICT);
}

static void test_marks_are_respected(void **state)
{
	Hypervisor *h = *state;
	DomainConfig c = config("ns.a", UUID_A), other = config("ns.a", UUID_B);
	DomainEntry *list = NULL;
	size_t n = 0, ours = 0;

	define(h, &c);
	assert_int_equal(h->ops->define(h, &ctx, &other, NULL), -ERR_CONFLICT);
	assert_string_equal(inspect(h, "ns.a").uid, UUID_A);
	assert_int_equal(h->ops->list(h, &ctx, &list, &n, NULL), 0);
	for (size_t i = 0; i < n; i++)
		ours += streq(list[i].name, "ns.a") && streq(list[i].uid, UUID_A);
	assert_int_equal(ours, 1);
	free(list);
	assert_int_equal(h->ops->remove(h, &ctx, "ns.a", NULL), 0);
}

static void test_bad_configs_are_refused(void **state)
{
	static const char *const names[] = { "", "a/b", "-rf", ".", "a\nb", "a\tb", "\xff" };
	Hypervisor *h = *state;
	DomainConfig c;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		c = config(names[i], UUID_A);
		assert_int_equal(h->ops->define(h, &ctx, &c, NULL), -ERR_INVALID);
	}
	c = config("ns.a", "not a uuid");
	assert_int_equal(h->ops->define(h, &ctx, &c, NULL), -ERR_INVALID);
	c = config("ns.a", UUID_A);
	c.cpus = 0;
	assert_int_equal(h->ops->define(h, &ctx, &c, NULL), -ERR_INVALID);
	c = config("ns.a", UUID_A);
	c.n_disks = 1;
	c.disks[0] = (DomainDisk){ .name = "root", .path = "/x", .bus = "virtio" };
	assert_int_equal(h->ops->define(h, &ctx, &c, NULL), -ERR_INVALID);
	c.disks[0].format = "qcow2";
	c.disks[0].path = "relative";
	assert_int_equal(h->ops->define(h, &ctx, &c, NULL), -ERR_INVALID);
	assert_int_equal(inspect(h, "ns.a").state, DOMAIN_ABSENT);
}

static void test_events_and_info(void **state)
{
	Hypervisor *h = *state;
	DomainConfig c = config("ns.a", UUID_A);
	usec_t until = clock_now(ctx.clock) + DEADLINE;
	HypervisorInfo info;
	unsigned named = 0;

	define(h, &c);
	assert_int_equal(power(h, POWER_START), 0);
	while (named == 0) {
		assert_true(clock_now(ctx.clock) < until);
		poll(NULL, 0, 5);
		pthread_mutex_lock(&heard.lock);
		named = heard.named;
		pthread_mutex_unlock(&heard.lock);
	}
	assert_int_equal(h->ops->info(h, &ctx, &info, NULL), 0);
	assert_true(info.connected && info.cpus > 0 && info.memory > 0);
	assert_int_equal(h->ops->remove(h, &ctx, c.name, NULL), 0);
}

static void test_deadline(void **state)
{
	Hypervisor *h = *state;
	Context passed = { .clock = ctx.clock, .deadline = 1 };
	DomainInfo info = { .pid = 42 };

	assert_int_equal(h->ops->inspect(h, &passed, "ns.a", &info, NULL), -ERR_TIMEOUT);
	assert_int_equal(info.pid, 42);
}

static int setup_fake(void **state)
{
	Hypervisor *h = fake_hypervisor_new();

	h->ops->subscribe(h, on_event, NULL);
	hear_nothing_yet();
	*state = h;
	return 0;
}

static const char fixture[] = "<node><cpu><mhz>1000</mhz><model>i686</model><active>4</active>"
			      "<nodes>1</nodes><sockets>1</sockets><cores>4</cores>"
			      "<threads>1</threads></cpu><memory>8192000</memory></node>";

/* A fixture of its own for each: connections to one share their domains. */
static int setup_libvirt(void **state)
{
	static unsigned count;
	const char *tmp = getenv("TMPDIR");
	_cleanup_(xfreep) char *path =
		xasprintf("%s/sfd-contract-%d-%u.xml", tmp ? tmp : "/tmp", (int)getpid(), count++);
	_cleanup_(xfreep) char *uri = xasprintf("test://%s", path);
	_cleanup_(error_done) Error err = ERROR_INIT;
	Hypervisor *h = NULL;
	DomainInfo info;

	if (fs_write_atomic(path, fixture, strlen(fixture), 0600, false, &err) < 0 ||
	    libvirt_hypervisor_new(
		    &(LibvirtOptions){ .uri = uri, .virt_type = "test", .store_id = STORE }, &h,
		    &err) < 0)
		fail_msg("%s", error_message(&err));
	h->ops->subscribe(h, on_event, NULL);
	/* Connected from here on. */
	if (h->ops->inspect(h, &ctx, "none", &info, &err) < 0)
		fail_msg("%s", error_message(&err));
	unlink(path);
	hear_nothing_yet();
	*state = h;
	return 0;
}

static int teardown(void **state)
{
	Hypervisor *h = *state;

	h->ops->free(h);
	return 0;
}

#define BOTH(fn) \
	{ "fake: " #fn, fn, setup_fake, teardown, NULL }, \
	{ \
		"libvirt: " #fn, fn, setup_libvirt, teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_absence_is_a_state),
		BOTH(test_life),
		BOTH(test_define_touches_nothing_that_runs),
		BOTH(test_marks_are_respected),
		BOTH(test_bad_configs_are_refused),
		BOTH(test_events_and_info),
		BOTH(test_deadline),
	};

	ctx = CONTEXT_BACKGROUND;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
