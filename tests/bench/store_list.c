/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store of many Instances, and how fast they come out of it.
 *
 *     store_list fill DIRECTORY N     makes DIRECTORY/store.db with N Instances that nobody runs
 *     store_list list DIRECTORY RUNS  opens it, then lists all of them RUNS times and copies every
 *                                     byte; beside it, in turns, the floor: one memcpy of as much
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/memory.h"
#include "store/store.h"

#define BATCH 32 /* creates of one Txn, below its limit of operations */

static int commit(Store *store, Txn *t, Error *err)
{
	Context ctx = { .clock = clock_system(), .deadline = USEC_INFINITY };

	return store_commit(store, &ctx, t, NULL, err);
}

static Store *open_store(const char *directory, KindRegistry *kinds)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	StoreOptions options = { .kinds = kinds };
	Backend *backend = NULL;
	Store *store = NULL;

	bench_check(fs_mkdir_p(directory, 0700, &err), &err, directory);
	bench_check(sqlite_backend_open(directory, &backend, &err), &err, directory);
	bench_check(store_open(backend, &options, &store, &err), &err, directory);
	return store;
}

/* What `sfctl get -o json` of a usual Instance shows, about 1.2 KB. */
static json_t *instance_tree(unsigned long i)
{
	_cleanup_(xfreep) char *name = xasprintf("web-%05lu", i);
	json_t *tree = json_pack(
		"{s:s, s:s, s:{s:s, s:{s:s, s:s}}, s:{s:s, s:i, s:s, s:s, s:i,"
		" s:[{s:s, s:s, s:s, s:s}], s:[{s:s, s:s, s:s}], s:{s:s, s:[s]}},"
		" s:{s:s, s:i, s:[{s:s, s:s, s:[s], s:s}],"
		" s:[{s:s, s:s, s:s, s:s, s:s}]}}",
		"apiVersion", "shakenfist.io/v1alpha1", "kind", "Instance", "metadata", "name",
		name, "labels", "app", "web", "tier", "front", "spec", "runStrategy", "Halted",
		"cpus", 1, "memory", "128Mi", "firmware", "BIOS", "terminationGracePeriodSeconds",
		60, "disks", "name", "root", "image", "guest", "size", "1Gi", "bus", "virtio",
		"interfaces", "name", "eth0", "network", "front", "model", "virtio", "cloudInit",
		"userData", "#cloud-config\npackages: [nginx]\n", "sshAuthorizedKeys",
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGV4YW1wbGVrZXlleGFtcGxla2V5ZXhhbXBsZQ ops",
		"status", "printableStatus", "Stopped", "observedGeneration", 1, "interfaces",
		"name", "eth0", "macAddress", "52:54:00:12:34:56", "addresses", "10.20.0.10", "tap",
		"sft12345678", "conditions", "type", "Ready", "status", "False", "reason",
		"Stopped", "message", "the guest is off", "lastTransitionTime",
		"2026-01-01T00:00:00Z");

	if (!tree)
		bench_die("the Instance of the bench is not well-formed");
	return tree;
}

static void fill(Store *store, unsigned long n)
{
	_cleanup_(error_done) Error err = ERROR_INIT;

	for (unsigned long i = 0; i < n; i += BATCH) {
		_cleanup_(txn_freep) Txn *t = txn_new();

		for (unsigned long k = i; k < n && k < i + BATCH; k++) {
			json_t *tree = instance_tree(k);
			Key key = key_make(GR_INSTANCE, "default",
					   json_string_value(json_object_get(
						   json_object_get(tree, "metadata"), "name")));

			txn_create(t, &key, tree, true);
			json_decref(tree);
		}
		bench_check(commit(store, t, &err), &err, "fill the store");
	}
}

/* Lists all and copies each body; the bytes. */
static size_t list_all(Store *store, char *room, size_t size)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(object_list_freep) ObjectList *list = NULL;
	ListOptions options = { .gr = GR_INSTANCE };
	size_t used = 0;

	bench_check(store_list(store, &options, &list, &err), &err, "list");
	for (size_t i = 0; i < list->n; i++) {
		size_t n;
		const char *body = object_text(list->items[i], &n);

		if (used + n > size)
			bench_die("the list is larger than %zu bytes", size);
		memcpy(room + used, body, n);
		used += n;
	}
	return used;
}

static void measure(Store *store, unsigned long runs)
{
	size_t size = 256 << 20, bytes = 0;
	char *room = xmalloc(size), *other = xmalloc(size);
	Samples list = { 0 }, copy = { 0 };

	memset(room, 1, size);
	memset(other, 2, size);
	for (unsigned long i = 0; i <= runs; i++) {
		usec_t a = clock_now(clock_system()), b, c;

		bytes = list_all(store, room, size);
		b = clock_now(clock_system());
		memcpy(other, room, bytes);
		c = clock_now(clock_system());
		if (i == 0) /* the first one brings it into the caches */
			continue;
		samples_add(&list, (double)bytes / (double)MAX(b - a, 1u));
		samples_add(&copy, (double)bytes / (double)MAX(c - b, 1u));
	}
	printf("  %zu Instances, %.1f MB\n", store_count(store, GR_INSTANCE, NULL),
	       (double)bytes / 1e6);
	bench_row(&(Row){ .name = "list of all, out of the store into memory",
			  .unit = "MB/s",
			  .ours = &list,
			  .peer = "one memcpy of as many bytes",
			  .theirs = &copy,
			  .goal = "value >= 500" });
	samples_done(&list);
	samples_done(&copy);
	free(room);
	free(other);
}

int main(int argc, char **argv)
{
	_cleanup_(kind_registry_freep) KindRegistry *kinds = kind_registry_new();
	_cleanup_(error_done) Error err = ERROR_INIT;
	unsigned long n;
	Store *store;

	if (argc != 4)
		bench_die("usage: store_list fill|list DIRECTORY N");
	n = strtoul(argv[3], NULL, 10);
	store = open_store(argv[2], kinds);
	if (streq(argv[1], "fill"))
		fill(store, n);
	else
		measure(store, n);
	store_free(store);
	return 0;
}
