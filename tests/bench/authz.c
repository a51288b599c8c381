/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one authorization decision costs, with N RoleBindings stored.
 *
 *     authz N ROUNDS    half of the bindings are of users, half of groups, in 100 namespaces; the
 * floor is one look-up in a hash map of as many keys
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hashmap.h"
#include "base/memory.h"
#include "server/internal.h"

#define NAMESPACES 100
#define DECISIONS  200000

static Store *open_store(KindRegistry *kinds)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	StoreOptions options = { .kinds = kinds };
	Store *store = NULL;

	bench_check(store_open(memory_backend_new(), &options, &store, &err), &err, "store");
	bench_check(rbac_seed(store, &err), &err, "roles");
	return store;
}

static void create(Store *store, const char *resource, const char *namespace, json_t *tree)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(txn_freep) Txn *t = txn_new();
	Context ctx = CONTEXT_BACKGROUND;
	Key key =
		key_make(group_resource(streq(resource, "namespaces") ? "" : RBAC_GROUP, resource),
			 namespace, json_string_at(tree, "metadata.name"));

	txn_create(t, &key, tree, false);
	bench_check(store_commit(store, &ctx, t, NULL, &err), &err, "create");
	json_decref(tree);
}

static void fill(Store *store, size_t n)
{
	for (size_t i = 0; i < NAMESPACES; i++) {
		_cleanup_(xfreep) char *name = xasprintf("ns-%zu", i);

		create(store, "namespaces", "",
		       json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "Namespace",
				 "metadata", "name", name));
	}
	for (size_t i = 0; i < n; i++) {
		_cleanup_(xfreep) char *namespace = xasprintf("ns-%zu", i % NAMESPACES);
		_cleanup_(xfreep) char *name = xasprintf("%s-%zu", i % 2 ? "group" : "user", i);

		create(store, "rolebindings", namespace,
		       json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:s, s:s, s:s}, s:[{s:s, s:s, s:s}]}",
				 "apiVersion", RBAC_GROUP "/v1", "kind", "RoleBinding", "metadata",
				 "name", name, "namespace", namespace, "roleRef", "apiGroup",
				 RBAC_GROUP, "kind", "ClusterRole", "name", i % 3 ? "edit" : "view",
				 "subjects", "kind", i % 2 ? "Group" : "User", "apiGroup",
				 RBAC_GROUP, "name", name));
	}
}

static void measure(Authorizer *a, const char *what, Identity *who, const char *verb,
		    const char *namespace, bool expect, long rounds, Samples *floor)
{
	const AccessRequest r = { .who = who,
				  .verb = verb,
				  .group = "shakenfist.io",
				  .resource = "instances",
				  .namespace = namespace,
				  .name = "web" };
	_cleanup_(xfreep) char *name = xasprintf("one decision, %s", what);
	Samples s = { 0 };

	for (long k = 0; k < rounds; k++) {
		usec_t start = clock_now(clock_system());

		for (size_t i = 0; i < DECISIONS; i++)
			if (authorizer_allows(a, &r, NULL) != expect)
				bench_die("%s: decided wrongly", what);
		samples_add(&s, (double)(clock_now(clock_system()) - start) * 1000 / DECISIONS);
	}
	bench_row(&(Row){ .name = name,
			  .unit = "ns",
			  .ours = &s,
			  .peer = "one look-up in a hash map",
			  .theirs = floor,
			  .detail = !expect });
	samples_done(&s);
	identity_unref(who);
}

static Samples measure_floor(size_t n, long rounds)
{
	_cleanup_(hashmap_freep) Hashmap *map = hashmap_new(NULL);
	Samples s = { 0 };

	for (size_t i = 0; i < n; i++) {
		_cleanup_(xfreep) char *key = xasprintf("ns-%zu\nUuser-%zu", i % NAMESPACES, i);

		hashmap_put(map, key, map);
	}
	for (long k = 0; k < rounds; k++) {
		usec_t start = clock_now(clock_system());

		for (size_t i = 0; i < DECISIONS; i++)
			if (!hashmap_get(map, "ns-0\nUuser-0"))
				bench_die("the floor has a hole");
		samples_add(&s, (double)(clock_now(clock_system()) - start) * 1000 / DECISIONS);
	}
	return s;
}

static Identity *somebody(const char *name, const char *group)
{
	_cleanup_(strv_freep) char **groups = NULL;

	if (group)
		groups = strv_append(groups, group);
	groups = strv_append(groups, "unix:users");
	groups = strv_append(groups, "unix:lab");
	return identity_new(IDENTITY_UNIX, name, groups, NULL);
}

int main(int argc, char **argv)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	KindRegistry *kinds = kind_registry_new();
	Authorizer *a = NULL;
	Samples floor;
	Store *store;
	size_t n;
	long rounds;

	if (argc != 3)
		bench_die("usage: authz N ROUNDS");
	n = strtoul(argv[1], NULL, 10);
	rounds = strtol(argv[2], NULL, 10);
	store = open_store(kinds);
	fill(store, n);
	bench_check(authorizer_new(store, &a, &err), &err, "authorizer");
	floor = measure_floor(n, rounds);
	measure(a, "allowed, by name", somebody("user-0", NULL), "get", "ns-0", true, rounds,
		&floor);
	measure(a, "allowed, by group", somebody("zoe", "group-1"), "get", "ns-1", true, rounds,
		&floor);
	measure(a, "refused, of 4 groups", somebody("zoe", "group-1"), "escalate", "ns-1", false,
		rounds, &floor);
	measure(a, "system:masters", somebody("root", GROUP_MASTERS), "delete", "ns-0", true,
		rounds, &floor);
	samples_done(&floor);
	authorizer_free(a);
	store_free(store);
	kind_registry_free(kinds);
	return 0;
}
