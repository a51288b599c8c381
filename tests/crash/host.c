/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What real drivers leave on a host. See host.h. One thread; asks ip(8) and nft(8), and reads /proc
 * and /sys by itself.
 */
#include "tests/crash/host.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/hashmap.h"
#include "base/memory.h"
#include "base/spawn.h"
#include "driver/net/names.h"
#include "json/json.h"

#define NETNS_FOLDER "/run/netns"
#define LINKS_FOLDER "/sys/class/net"
#define OUTPUT_MAX   ((size_t)4 << 20)
#define PORT_LENGTH  11 /* of a tap's name, "sft01234567" */

/* Calls fn with each name in a folder; none there is none. */
static void each_name(const char *folder, void (*fn)(void *arg, const char *name), void *arg)
{
	struct dirent **names = NULL;
	int n = scandir(folder, &names, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		if (!streq(names[i]->d_name, ".") && !streq(names[i]->d_name, ".."))
			fn(arg, names[i]->d_name);
		free(names[i]);
	}
	free(names);
}

static void add_output(StrBuf *out, const char *const *argv)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(strbuf_done) StrBuf text = { .max = OUTPUT_MAX };

	if (spawn_run(&CONTEXT_BACKGROUND, argv, &text, NULL, &err) < 0)
		strbuf_addf(out, "%s: %s\n", argv[0], error_message(&err));
	strbuf_adds(out, strbuf_str(&text));
}

/* ---- processes ---- */

typedef struct Processes {
	const char *word, *program; /* the first argument; NULL = any */
	int signal;
	size_t n;
} Processes;

static void look_at_process(void *arg, const char *name)
{
	_cleanup_(xfreep) char *path = xasprintf("/proc/%s/cmdline", name), *text = NULL;
	pid_t pid = (pid_t)strtol(name, NULL, 10);
	Processes *p = arg;
	size_t len = 0;

	if (pid <= 0 || pid == getpid() || fs_read(path, OUTPUT_MAX, &text, &len, NULL) < 0 ||
	    !memmem(text, len, p->word, strlen(p->word)) ||
	    (p->program && !streq(text, p->program)))
		return;
	p->n++;
	if (p->signal)
		kill(pid, p->signal);
}

/* ---- a host that has just started ---- */

static void remove_netns(void *arg _unused_, const char *name)
{
	_cleanup_(xfreep) char *path = xasprintf(NETNS_FOLDER "/%s", name);

	if (!str_has_prefix(name, "sf-"))
		return;
	umount2(path, MNT_DETACH);
	unlink(path);
}

static void remove_link(void *arg _unused_, const char *name)
{
	const char *const argv[] = { "/sbin/ip", "link", "delete", name, NULL };

	/* The other end of a pair goes with the first: it may have gone. */
	if (str_has_prefix(name, "sf"))
		spawn_run(&CONTEXT_BACKGROUND, argv, NULL, NULL, NULL);
}

void host_reset(const char *dir)
{
	_cleanup_(xfreep) char *net = xasprintf("%s/net", dir);
	const char *const flush[] = { "/usr/sbin/nft", "flush", "ruleset", NULL };
	Processes all = { .word = dir, .signal = SIGKILL };

	do { /* until the last one is dead */
		all.n = 0;
		each_name("/proc", look_at_process, &all);
	} while (all.n && poll(NULL, 0, 2) == 0);
	each_name(NETNS_FOLDER, remove_netns, NULL);
	each_name(LINKS_FOLDER, remove_link, NULL);
	if (spawn_run(&CONTEXT_BACKGROUND, flush, NULL, NULL, NULL) < 0 ||
	    fs_remove_tree(net, NULL) < 0)
		abort();
}

/* ---- what is there and what should be ---- */

typedef struct Host {
	const char *dir, *folder; /* the one that is looked at */
	FILE *out;
	Hashmap *networks, *instances; /* by uid */
	Hashmap *links;                /* by name */
	StrBuf filters;
	size_t images, described;
} Host;

static void remember_uids(Store *store, const GroupResource *gr, Hashmap *uids)
{
	_cleanup_(object_list_freep) ObjectList *list = NULL;

	if (store_list(store, &(ListOptions){ .gr = gr }, &list, NULL) < 0)
		return;
	for (size_t i = 0; i < list->n; i++)
		hashmap_put(uids, object_head(list->items[i])->uid, uids);
}

static void check_link(void *arg, const char *name)
{
	_cleanup_(xfreep) char *path = xasprintf(LINKS_FOLDER "/%s/ifalias", name), *alias = NULL;
	char store[UUID_MAX], uid[UUID_MAX], role[16];
	Host *h = arg;

	if (!str_has_prefix(name, "sf"))
		return;
	hashmap_put(h->links, name, h);
	if (fs_read(path, 4096, &alias, NULL, NULL) < 0)
		return;
	alias[strcspn(alias, "\n")] = '\0';
	if (!alias_parse(alias, store, uid, role) || !hashmap_contains(h->networks, uid))
		fprintf(h->out, "link %s (%s) has no network\n", name, alias);
	if (str_has_prefix(name, "sft") && !strstr(strbuf_str(&h->filters), name))
		fprintf(h->out, "tap %s is in no filter\n", name);
}

static void check_netns(void *arg, const char *name)
{
	_cleanup_(xfreep) char *bridge = NULL;
	const Host *h = arg;

	if (!str_has_prefix(name, "sf-"))
		return;
	bridge = xasprintf("sfb%s", name + 3);
	if (!hashmap_contains(h->links, bridge))
		fprintf(h->out, "namespace %s has no network\n", name);
}

/* Every tap that a filter names: "sft" and its number, in quotes. */
static void check_filters(const Host *h)
{
	const char *p = strbuf_str(&h->filters);

	for (; (p = strstr(p, "\"sft")); p++) {
		_cleanup_(xfreep) char *name = xstrndup(p + 1, strcspn(p + 1, "\""));

		if (strlen(name) == PORT_LENGTH && !hashmap_contains(h->links, name))
			fprintf(h->out, "a filter names %s, which is not there\n", name);
	}
}

static void check_network_folder(void *arg, const char *name)
{
	const Host *h = arg;

	if (!str_has_suffix(name, ".sum") && !hashmap_contains(h->networks, name))
		fprintf(h->out, "net/%s has no network\n", name);
}

static void check_disks(void *arg, const char *name)
{
	const Host *h = arg;

	if (!hashmap_contains(h->instances, name))
		fprintf(h->out, "instances/%s has no instance\n", name);
}

static void tell_left(void *arg, const char *name)
{
	const Host *h = arg;

	fprintf(h->out, "%s/%s is left over\n", h->folder, name);
}

static void count_image(void *arg, const char *name)
{
	Host *h = arg;

	h->images += str_has_suffix(name, ".qcow2");
	h->described += str_has_suffix(name, ".json");
}

static void in_folder(Host *h, const char *folder, void (*fn)(void *arg, const char *name))
{
	_cleanup_(xfreep) char *path = xasprintf("%s/%s", h->dir, folder);

	h->folder = folder;
	each_name(path, fn, h);
}

/* Every kind of temporary name that drivers and the store use. */
void host_check_files(const char *dir, FILE *out)
{
	const char *const argv[] = {
		"/usr/bin/find", dir,  "(",     "-name",  "*.tmp", "-o", "-name",
		"*.new",         "-o", "-name", "*.part", ")",     NULL
	};
	_cleanup_(strbuf_done) StrBuf found = STRBUF_INIT;

	add_output(&found, argv);
	if (found.len)
		fprintf(out, "temporary files are left over: %s", strbuf_str(&found));
}

/* Each network of ours has a link of each sort, its namespace, and dnsmasq. */
static void check_missing(const Host *h, Store *store)
{
	_cleanup_(object_list_freep) ObjectList *list = NULL;

	if (store_list(store, &(ListOptions){ .gr = GR_NETWORK }, &list, NULL) < 0)
		return;
	for (size_t i = 0; i < list->n; i++) {
		_cleanup_(json_decrefp) json_t *tree = object_decode(list->items[i]);
		NetNames n = net_names((uint32_t)json_integer_at(tree, "status.vni", 0));
		_cleanup_(xfreep) char *netns = xasprintf(NETNS_FOLDER "/%s", n.netns);
		_cleanup_(xfreep) char *own =
			xasprintf("%s/net/%s/", h->dir, object_head(list->items[i])->uid);
		Processes dnsmasq = { .word = own, .program = "/usr/sbin/dnsmasq" };

		if (!hashmap_contains(h->links, n.bridge) ||
		    !hashmap_contains(h->links, n.router) ||
		    !hashmap_contains(h->links, n.transit) || !fs_exists(netns))
			fprintf(h->out, "network %s lacks a link or its namespace\n",
				object_key(list->items[i])->name);
		each_name("/proc", look_at_process, &dnsmasq);
		if (dnsmasq.n != 1)
			fprintf(h->out, "network %s has %zu of dnsmasq\n",
				object_key(list->items[i])->name, dnsmasq.n);
	}
}

void host_check(const char *dir, Store *store, FILE *out)
{
	const char *const nft[] = { "/usr/sbin/nft", "list", "ruleset", NULL };
	Processes dnsmasq = { .word = dir, .program = "/usr/sbin/dnsmasq" };
	Host h = { .dir = dir,
		   .out = out,
		   .networks = hashmap_new(NULL),
		   .instances = hashmap_new(NULL),
		   .links = hashmap_new(NULL) };

	remember_uids(store, GR_NETWORK, h.networks);
	remember_uids(store, GR_INSTANCE, h.instances);
	add_output(&h.filters, nft);
	each_name(LINKS_FOLDER, check_link, &h);
	each_name(NETNS_FOLDER, check_netns, &h);
	check_filters(&h);
	check_missing(&h, store);
	each_name("/proc", look_at_process, &dnsmasq);
	if (dnsmasq.n != hashmap_size(h.networks))
		fprintf(out, "%zu of dnsmasq for %zu networks\n", dnsmasq.n,
			hashmap_size(h.networks));
	in_folder(&h, "net", check_network_folder);
	in_folder(&h, "instances", check_disks);
	in_folder(&h, "incoming", tell_left);
	in_folder(&h, "images", count_image);
	if (h.images != h.described)
		fprintf(out, "%zu images, %zu described\n", h.images, h.described);
	hashmap_free(h.networks);
	hashmap_free(h.instances);
	hashmap_free(h.links);
	strbuf_done(&h.filters);
}

/* What was set of a link; what the kernel finds out about it (carrier, timers) comes late. */
static void add_link(void *arg, const char *name)
{
	static const char *const fields[] = { "ifindex", "flags",   "mtu",
					      "address", "ifalias", "netdev_group" };

	if (!str_has_prefix(name, "sf"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		_cleanup_(xfreep) char *path = xasprintf(LINKS_FOLDER "/%s/%s", name, fields[i]);
		_cleanup_(xfreep) char *text = NULL;

		if (fs_read(path, 4096, &text, NULL, NULL) == 0)
			strbuf_addf(arg, "%s %s %s", name, fields[i], text);
	}
}

/* The same of what is inside. */
static void add_netns(void *arg, const char *name)
{
	const char *const addresses[] = { "/sbin/ip", "-n", name, "-o", "address", NULL };
	const char *const routes[] = { "/sbin/ip", "-n", name, "route", NULL };
	const char *const nft[] = { "/sbin/ip", "netns", "exec",    name, "/usr/sbin/nft",
				    "-s",       "list",  "ruleset", NULL };
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;

	add_output(&b, addresses);
	add_output(&b, routes);
	add_output(&b, nft);
	strbuf_addf(arg, "%s\n", name);
	for (const char *p = strbuf_str(&b), *late; *p; p = late + strcspn(late, " \n")) {
		late = strstr(p, " linkdown");
		if (!late) {
			strbuf_adds(arg, p);
			break;
		}
		strbuf_add(arg, p, (size_t)(late++ - p));
	}
}

void host_fingerprint(const char *dir, StrBuf *out)
{
	const char *const nft[] = { "/usr/sbin/nft", "-s", "list", "ruleset", NULL };
	/* Not what is written all the time: the store and the log. */
	const char *const files[] = {
		"/usr/bin/find", dir,        "-path",   "*/store",         "-prune", "-o",
		"-type",         "f",        "!",       "-name",           "log",    "!",
		"-name",         "revision", "-printf", "%P %i %s %T@\\n", NULL
	};

	each_name(LINKS_FOLDER, add_link, out);
	each_name(NETNS_FOLDER, add_netns, out);
	add_output(out, nft);
	add_output(out, files);
}
