/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Call sweeps. See sweep.h.
 *
 * The life: a network, an image, an instance and a bystander; a change; a guest that dies; a power
 * request; the end of all but the bystander. Whatever fails, the end of each chapter is the same,
 * nobody is started once too often, and nothing is destroyed that nobody asked to destroy.
 */
#include "tests/crash/sweep.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/memory.h"
#include "driver/libvirt/xml.h"
#include "tests/crash/survive.h"
#include "tests/lib/world.h"
#include "yaml/yaml.h"
#include "json/json.h"

#define WEB       "default.web"
#define BYSTANDER "default.still"
#define LOST      "11111111-1111-4111-8111-111111111111"
#define SICK      40  /* seconds that a failure which does not end goes on in a chapter */
#define HEAL      12  /* of back-off that a single failure may cost */
#define HEAL_LONG 330 /* and one that went on: the longest back-off */
#define TOO_LONG  120 /* s, of real time */
#define NULL_PAGE 4096

typedef struct Ill {
	const char *kind;
	unsigned n;
	bool store, for_ever, after;
	FaultLists lists;
	FaultEvents events;
} Ill;

static unsigned bad; /* of one life, in its process */

static void expect(World *w, const char *what, bool ok)
{
	if (ok)
		return;
	bad++;
	printf("  %s; web: %s, domain %s, started %u times\n", what,
	       world_string(w, "instance", "web", "status.printableStatus"),
	       domain_state_to_string(fake_hypervisor_state(w->hypervisor, WEB)),
	       fake_hypervisor_starts(w->hypervisor, WEB));
}

static void untouched(World *w)
{
	expect(w, "the bystander was touched",
	       fake_hypervisor_state(w->hypervisor, BYSTANDER) == DOMAIN_RUNNING &&
		       fake_hypervisor_starts(w->hypervisor, BYSTANDER) == 1);
	expect(w, "the foreign guest was touched",
	       fake_hypervisor_state(w->hypervisor, "foreign.guest") == DOMAIN_RUNNING);
	expect(w, "the lost guest was touched",
	       fake_hypervisor_state(w->hypervisor, "default.lost") == DOMAIN_RUNNING);
}

/* Everything comes to rest: with the failure, if it goes on, and then without. */
static void settle(World *w, const Ill *ill)
{
	world_settle(w);
	if (!ill->for_ever) {
		world_pass(w, HEAL);
	} else {
		world_pass(w, SICK);
		untouched(w);
		world_heal(w);
		world_pass(w, HEAL_LONG);
	}
	/* Nobody told anybody: they look by themselves, each half hour. */
	for (unsigned i = 0; (ill->events || ill->lists) && i < 40; i++) {
		fake_clock_advance(w->clock, USEC_PER_MIN);
		world_settle(w);
	}
	untouched(w);
}

static void lose_guest(World *w)
{
	DomainConfig c = { .name = "default.lost",
			   .uuid = LOST,
			   .store_id = store_id(w->store),
			   .uid = LOST,
			   .title = "default/lost",
			   .request_id = "",
			   .config_hash = "",
			   .cpus = 1,
			   .memory = 64u << 20 };
	Hypervisor *h = w->hypervisor;
	char path[4096];

	h->ops->define(h, &CONTEXT_BACKGROUND, &c, NULL);
	h->ops->power(h, &CONTEXT_BACKGROUND, c.name, POWER_START, NULL, NULL);
	w->disks->ops->directory(w->disks, &CONTEXT_BACKGROUND, LOST, path, NULL);
}

static void arm(World *w, const Ill *ill)
{
	w->patient = true;
	w->fault.mode = ill->after ? FAULT_AFTER : FAULT_BEFORE;
	w->fault.lists = ill->lists;
	w->fault.events = ill->events;
	w->fault.for_ever = ill->for_ever;
	w->fault.calls = 0;
	if (ill->store) {
		fault_backend_set_after(w->backend, ill->after);
		fault_backend_set(w->backend, ill->n, ill->for_ever, ERR_UNAVAILABLE);
	} else {
		w->fault.fail_at = ill->n;
		fault_backend_set(w->backend, 0, false, ERR_UNAVAILABLE);
	}
}

static void runs(World *w, unsigned starts)
{
	expect(w, "it does not run",
	       fake_hypervisor_state(w->hypervisor, WEB) == DOMAIN_RUNNING &&
		       streq(world_string(w, "instance", "web", "status.printableStatus"),
			     "Running"));
	expect(w, "it was started too often", fake_hypervisor_starts(w->hypervisor, WEB) == starts);
}

static void begin(World *w)
{
	world_start(w);
	world_create_hello(w);
	world_create(w,
		     "{'apiVersion': 'shakenfist.io/v1alpha1', 'kind': 'Instance', 'metadata': "
		     "{'name': 'still'}, 'spec': {'memory': '256Mi', 'disks': [{'name': 'root', "
		     "'image': 'debian'}], 'interfaces': [{'name': 'eth0', 'network': 'front'}]}}");
	world_settle(w);
	fake_hypervisor_add_foreign(w->hypervisor, "foreign.guest", NULL, true);
	lose_guest(w);
	world_delete(w, "instance", "web");
	world_pass(w, HEAL);
}

static void create_web(World *w)
{
	world_create(w, "{'apiVersion': 'shakenfist.io/v1alpha1', 'kind': 'Network', 'metadata': "
			"{'name': 'back'}, 'spec': {'cidrs': ['10.30.0.0/24']}}");
	world_create(w, "{'apiVersion': 'shakenfist.io/v1alpha1', 'kind': 'Instance', 'metadata': "
			"{'name': 'web'}, 'spec': {'memory': '256Mi', 'disks': [{'name': 'root', "
			"'image': 'debian', 'size': '10Gi'}], 'interfaces': [{'name': 'eth0', "
			"'network': 'front'}, {'name': 'eth1', 'network': 'back'}]}}");
}

static void end(World *w, const Ill *ill)
{
	world_delete(w, "instance", "web");
	world_delete(w, "network", "back");
	settle(w, ill);
	world_pass(w, 31); /* a network in use looks again after 30 s at the latest */
	expect(w, "objects left",
	       !world_exists(w, "instance", "web") && !world_exists(w, "network", "back"));
	expect(w, "domains are not the three that stay", fake_hypervisor_count(w->hypervisor) == 3);
	expect(w, "networks are not the one that stays", fake_network_count(w->network) == 1);
	expect(w, "disks are not the two that stay", fake_disk_instances(w->disks) == 2);
}

/* Lives it; *ret_calls (may be NULL) is how many there are to fail. */
static void live(const Ill *ill, unsigned *ret_calls)
{
	World *w = world_new();
	unsigned starts;

	begin(w);
	starts = fake_hypervisor_starts(w->hypervisor, WEB);
	arm(w, ill);
	create_web(w);
	settle(w, ill);
	runs(w, starts + 1);
	world_patch(w, "instance", "web", "{'spec': {'cpus': 2}}");
	settle(w, ill);
	expect(w, "its definition is old",
	       fake_hypervisor_config(w->hypervisor, WEB, false)->cpus == 2);
	runs(w, starts + 1);
	fake_hypervisor_virsh(w->hypervisor, WEB, POWER_DESTROY);
	settle(w, ill);
	runs(w, starts + 2);
	world_power(w, "web", "r1", "restart");
	settle(w, ill);
	runs(w, starts + 3);
	world_restart(w);
	settle(w, ill);
	runs(w, starts + 3);
	end(w, ill);
	if (ret_calls)
		*ret_calls = ill->store ? fault_backend_calls(w->backend) : w->fault.calls;
	world_free(w);
}

/* ---- a process each ---- */

/* 0 = good. What it prints is kept back unless it was bad. */
static int in_child(void (*fn)(const void *arg), const void *arg, const char *name, unsigned n)
{
	FILE *out = tmpfile();
	char line[512];
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0 || !out)
		abort();
	if (pid == 0) {
		dup2(fileno(out), STDOUT_FILENO);
		dup2(fileno(out), STDERR_FILENO);
		alarm(TOO_LONG);
		fn(arg);
		fflush(NULL);
		_exit(bad != 0);
	}
	while (waitpid(pid, &status, 0) < 0)
		;
	printf("%s %s %u\n", status ? "BAD" : "ok", name, n);
	if (status && WIFSIGNALED(status))
		printf("  ended by signal %d\n", WTERMSIG(status));
	rewind(out);
	while (status && fgets(line, sizeof(line), out))
		printf("%s", line);
	fclose(out);
	fflush(stdout);
	return status != 0;
}

static void live_one(const void *arg)
{
	live(arg, NULL);
}

static int sweep_ways(const char *kind)
{
	bool lists = streq(kind, "lists");
	int n_bad = 0;

	for (unsigned i = 1; i <= 3; i++) {
		Ill ill = { .kind = kind,
			    .lists = lists ? (FaultLists)i : LISTS_WHOLE,
			    .events = lists ? EVENTS_PASS : (FaultEvents)i };

		n_bad += in_child(live_one, &ill, kind, i);
	}
	return n_bad;
}

int sweep(const char *kind, unsigned part, unsigned of)
{
	Ill ill = { .kind = kind, .store = str_has_prefix(kind, "store") };
	unsigned calls = 0;
	int n_bad = 0;

	log_set_level(LOG_LEVEL_ERROR);
	if (streq(kind, "lists") || streq(kind, "events"))
		return sweep_ways(kind);
	live(&ill, &calls);
	if (bad)
		return 1;
	ill.after = str_has_suffix(kind, "-after");
	ill.for_ever = str_has_suffix(kind, "-for-ever");
	for (ill.n = 1 + part; ill.n <= calls; ill.n += of)
		n_bad += in_child(live_one, &ill, kind, ill.n);
	return n_bad;
}

/* ---- parsing ---- */

typedef struct Parse {
	const char *text;
	size_t len;
	unsigned n;
	bool for_ever;
} Parse;

static char *trees_text(const YamlDocs *docs)
{
	StrBuf b = STRBUF_INIT;

	for (size_t i = 0; i < docs->n; i++) {
		_cleanup_(xfreep) char *text = json_canonical(yaml_doc_tree(docs->docs[i]));

		strbuf_addf(&b, "%s\n", text);
	}
	return strbuf_take(&b);
}

/* A definition with a bit of everything. */
static int write_domain(char **ret, Error *err)
{
	DomainConfig c = { .name = "default.web",
			   .uuid = LOST,
			   .store_id = LOST,
			   .uid = LOST,
			   .title = "default/web",
			   .generation = 3,
			   .request_id = "r1",
			   .config_hash = "0123",
			   .cpus = 2,
			   .max_cpus = 4,
			   .memory = 256u << 20,
			   .console_log = "/var/lib/sfd/console.log",
			   .n_disks = 2,
			   .n_nics = 1 };

	c.disks[0] = (DomainDisk){ .name = "root",
				   .path = "/var/lib/sfd/root.qcow2",
				   .format = "qcow2",
				   .base_path = "/var/lib/sfd/base.qcow2",
				   .base_format = "qcow2",
				   .bus = "virtio",
				   .boot_order = 1 };
	c.disks[1] = (DomainDisk){ .name = "seed",
				   .path = "/var/lib/sfd/seed.iso",
				   .format = "raw",
				   .bus = "sata",
				   .read_only = true,
				   .cdrom = true };
	c.nics[0] = (DomainNic){ .name = "eth0", .tap = "sft00000001", .model = "virtio" };
	c.nics[0].mac.bytes[0] = 2;
	return domain_xml_write(&c, &(DomainXmlEnv){ .virt_type = "qemu" }, NULL, ret, err);
}

/* What was read (or written: text NULL), NULL for an error; *ret_n = how many allocations it took.
 * Caller frees. */
static char *parse(const Parse *p, unsigned *ret_n)
{
	_cleanup_(yaml_docs_freep) YamlDocs *docs = NULL;
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *xml = NULL;
	int rc;

	allocations_fail(p->n, p->for_ever);
	if (!p->text) {
		rc = write_domain(&xml, &err);
	} else {
		rc = yaml_parse(p->text, p->len, "file", &docs, &err);
	}
	*ret_n = (unsigned)allocations_counted();
	allocations_fail(0, false);
	return rc < 0 ? NULL : p->text ? trees_text(docs) : TAKE_PTR(xml);
}

/* libfyaml 0.7 follows the NULL that malloc() gave it: an end like abort()'s. Any other address
 * would be memory that it did not get. */
static void on_bad_address(int sig, siginfo_t *info, void *context _unused_)
{
	if ((uintptr_t)info->si_addr < NULL_PAGE)
		abort();
	signal(sig, SIG_DFL);
	raise(sig);
}

/* 0 = an error or everything that is there; 1 = something else. */
static _noreturn_ void parse_child(const Parse *p, const char *whole)
{
	struct sigaction act = { .sa_sigaction = on_bad_address, .sa_flags = SA_SIGINFO };
	_cleanup_(xfreep) char *text = NULL;
	unsigned n;

	fclose(stderr);
	sigaction(SIGSEGV, &act, NULL);
	alarm(TOO_LONG);
	text = parse(p, &n);
	_exit(text && !streq(text, whole));
}

/*
 * Out of memory ends the process by abort(), or is an error. It never takes for ever, never reads
 * half of what is there, and never touches memory that it did not get.
 */
static int parse_one(const Parse *p, const char *file, const char *whole)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0)
		parse_child(p, whole);
	while (waitpid(pid, &status, 0) < 0)
		;
	if (status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)) {
		printf("ok %s %u%s\n", status ? "aborted" : "answered", p->n,
		       p->for_ever ? " for ever" : "");
		return 0;
	}
	printf("BAD text %u%s of %s: status %#x\n", p->n, p->for_ever ? " for ever" : "", file,
	       (unsigned)status);
	return 1;
}

static int sweep_text(const char *file, const char *text, size_t len, unsigned step)
{
	Parse p = { .text = text, .len = len };
	_cleanup_(xfreep) char *whole = NULL;
	unsigned all;
	int n_bad = 0;

	whole = parse(&p, &all);
	for (p.n = 1; p.n <= all; p.n += step)
		for (int for_ever = 0; for_ever < 2; for_ever++) {
			p.for_ever = for_ever;
			n_bad += parse_one(&p, file, whole);
		}
	return n_bad;
}

int sweep_texts(char *const *files, unsigned step)
{
	int n_bad = sweep_text("a domain's XML", NULL, 0, step);

	strv_foreach (file, files) {
		_cleanup_(xfreep) char *text = NULL;
		size_t len;

		if (fs_read(*file, YAML_BYTES_MAX, &text, &len, NULL) < 0)
			return 1;
		n_bad += sweep_text(*file, text, len, step);
	}
	return n_bad;
}
