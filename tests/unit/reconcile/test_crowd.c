/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A crowd: several users make, change and delete networks, images and instances of the same names,
 * all at once and at random. In the end whatever is still wanted runs, whatever is not is gone with
 * all that was held for it, and nobody was warned of what was only a race.
 *
 * SF_CROWD_SEED repeats one run's wishes (not the threads' order); without it a few seeds are run.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "reconcile/internal.h"
#include "tests/lib/world.h"
#include "json/json.h"

#define USERS     4
#define WISHES    80 /* of each */
#define NETWORKS  2
#define IMAGES    2
#define INSTANCES 12

#define VERSION "'apiVersion':'shakenfist.io/v1alpha1'"

typedef struct User {
	World *w;
	unsigned seed;
} User;

static unsigned chance(User *u, unsigned n)
{
	return (unsigned)rand_r(&u->seed) % n;
}

static void create_network(World *w, unsigned i)
{
	_cleanup_(xfreep) char *text = xasprintf(
		"{" VERSION ",'kind':'Network','metadata':{'name':'net-%u'},'spec':{'cidrs':"
		"['10.%u.0.0/24']}}",
		i, i);

	(void)world_try_create(w, text);
}

static void create_image(World *w, unsigned i)
{
	_cleanup_(xfreep) char *text = xasprintf(
		"{" VERSION ",'kind':'Image','metadata':{'name':'image-%u'},'spec':{'source':"
		"{'url':'http://images.test/%u'}}}",
		i, i);

	(void)world_try_create(w, text);
}

static void create_instance(User *u, unsigned i)
{
	unsigned net = i % NETWORKS;
	_cleanup_(xfreep) char *second =
		chance(u, 2) ? xasprintf(",{'name':'eth1','network':'net-%u'}", chance(u, NETWORKS))
			     : xstrdup("");
	_cleanup_(xfreep) char *addresses =
		chance(u, 3) ? xstrdup("") : xasprintf(",'addresses':['10.%u.0.%u']", net, 100 + i);
	_cleanup_(xfreep) char *image = chance(u, 4)
						? xasprintf("'image':'image-%u'", chance(u, IMAGES))
						: xstrdup("'size':'1Gi'");
	_cleanup_(xfreep) char *text = xasprintf(
		"{" VERSION ",'kind':'Instance','metadata':{'name':'vm-%u'},'spec':{'memory':"
		"'256Mi','disks':[{'name':'root',%s}],'interfaces':[{'name':'eth0','network':"
		"'net-%u'%s}%s]}}",
		i, image, net, addresses, second);

	(void)world_try_create(u->w, text);
}

static void modify(World *w, const char *resource, const char *word, unsigned i, const char *patch)
{
	_cleanup_(xfreep) char *name = xasprintf("%s-%u", word, i);

	(void)world_try_modify(w, resource, name, patch);
}

static void wish_instance(User *u)
{
	static const char *const patches[] = {
		"{'spec':{'runStrategy':'Halted'}}",
		"{'spec':{'runStrategy':'Always'}}",
		"{'spec':{'runStrategy':'Always'},'metadata':{'labels':{'a':'b'}}}",
		"{'metadata':{'labels':{'a':'c'}}}",
		"{'spec':{'memory':'512Mi'}}",
	};
	unsigned i = chance(u, INSTANCES), what = chance(u, 10);

	if (what < 4)
		create_instance(u, i);
	else if (what < 6)
		modify(u->w, "instance", "vm", i, NULL);
	else
		modify(u->w, "instance", "vm", i, patches[chance(u, ARRAY_SIZE(patches))]);
}

static void wish_network(User *u)
{
	unsigned i = chance(u, NETWORKS), what = chance(u, 6);

	if (what < 3)
		create_network(u->w, i);
	else if (what < 4)
		modify(u->w, "network", "net", i, NULL);
	else
		modify(u->w, "network", "net", i,
		       what & 1 ? "{'spec':{'egress':'None'}}" : "{'spec':{'egress':'NAT'}}");
}

static void wish_image(User *u)
{
	unsigned i = chance(u, IMAGES), what = chance(u, 6);

	if (what < 3)
		create_image(u->w, i);
	else if (what < 4)
		modify(u->w, "image", "image", i, NULL);
	else
		modify(u->w, "image", "image", i,
		       what & 1 ? "{'spec':{'source':{'url':'http://images.test/other'}}}"
				: "{'spec':{'pullPolicy':'Always'}}");
}

static void *use(void *arg)
{
	User *u = arg;

	for (int i = 0; i < WISHES; i++) {
		unsigned kind = chance(u, 10);

		if (kind < 6)
			wish_instance(u);
		else if (kind < 8)
			wish_network(u);
		else
			wish_image(u);
	}
	return NULL;
}

/* ---- afterwards ---- */

static void each(World *w, const GroupResource *gr, void (*fn)(World *w, const Object *o))
{
	_cleanup_(object_list_freep) ObjectList *l = NULL;

	assert_int_equal(store_list(w->store, &(ListOptions){ .gr = gr }, &l, NULL), 0);
	for (size_t i = 0; i < l->n; i++)
		fn(w, l->items[i]);
}

static void delete_it(World *w, const Object *o)
{
	const Key *key = object_key(o);

	(void)world_try_modify(w, key->gr->resource, key->name, NULL);
}

/* A network that goes waits for those who are on it. */
static void delete_if_stuck(World *w, const Object *o)
{
	_cleanup_(json_decrefp) json_t *tree = object_decode(o);
	const json_t *nic;
	size_t i;

	json_array_foreach (json_at(tree, "spec.interfaces"), i, nic) {
		Key key = key_make(GR_NETWORK, "default", json_string_at(nic, "network"));
		_cleanup_(object_unrefp) Object *net = NULL;

		if (store_get(w->store, &key, &net, NULL) == 0 && object_is_deleting(net))
			delete_it(w, o);
	}
}

static void runs_or_is_off(World *w, const Object *o)
{
	_cleanup_(json_decrefp) json_t *tree = object_decode(o);
	const char *word = json_string_at(tree, "status.printableStatus");
	bool halted = streq_ptr(json_string_at(tree, "spec.runStrategy"), "Halted");

	(void)w;
	if (!streq_ptr(word, halted ? "Stopped" : "Running")) {
		_cleanup_(xfreep) char *text = json_dumps(tree, JSON_INDENT(1));

		fail_msg("%s: %s", object_key(o)->name, text);
	}
	assert_int_equal(json_integer_at(tree, "status.observedGeneration", 0),
			 object_head(o)->generation);
	assert_int_equal(json_integer_at(tree, "status.failures", 0), 0);
}

static void is_ready(World *w _unused_, const Object *o)
{
	_cleanup_(json_decrefp) json_t *tree = object_decode(o);

	assert_string_equal(json_string_at(tree, "status.phase"), "Ready");
	assert_int_equal(json_integer_at(tree, "status.observedGeneration", 0),
			 object_head(o)->generation);
}

/* The data plane is what the newest spec says, whoever made sure of it last. */
static void has_its_egress(World *w, const Object *o)
{
	_cleanup_(json_decrefp) json_t *tree = object_decode(o);
	bool none = streq_ptr(json_string_at(tree, "spec.egress"), "None");
	NetworkConfig c;

	assert_true(fake_network_get(w->network, object_head(o)->uid, &c));
	free((void *)(uintptr_t)c.ports);
	assert_int_equal(c.egress == EGRESS_NONE, none);
	assert_int_equal(c.n_ports, json_integer_at(tree, "status.portsInUse", 0));
}

static void blames_nobody(World *w _unused_, const Object *o)
{
	_cleanup_(json_decrefp) json_t *tree = object_decode(o);

	if (streq_ptr(json_string_at(tree, "type"), "Warning"))
		fail_msg("%s: %s: %s", json_string_at(tree, "involvedObject.name"),
			 json_string_at(tree, "reason"), json_string_at(tree, "message"));
}

static void all_that_is_wanted_runs(World *w)
{
	world_settle(w);
	each(w, GR_INSTANCE, delete_if_stuck);
	world_settle(w);
	for (unsigned i = 0; i < NETWORKS; i++)
		create_network(w, i);
	for (unsigned i = 0; i < IMAGES; i++)
		create_image(w, i);
	world_settle(w);
	world_pass(w, 20); /* what waits for a moment only */
	each(w, GR_NETWORK, is_ready);
	each(w, GR_IMAGE, is_ready);
	each(w, GR_INSTANCE, runs_or_is_off);
	each(w, GR_NETWORK, has_its_egress);
}

static void nothing_is_left(World *w)
{
	char text[200];

	each(w, GR_INSTANCE, delete_it);
	world_settle(w);
	each(w, GR_NETWORK, delete_it);
	each(w, GR_IMAGE, delete_it);
	world_settle(w);
	assert_int_equal(store_count(w->store, GR_INSTANCE, NULL), 0);
	assert_int_equal(store_count(w->store, GR_NETWORK, NULL), 0);
	assert_int_equal(store_count(w->store, GR_IMAGE, NULL), 0);
	assert_int_equal(world_allocations(w), 0);
	assert_int_equal(waitlist_size(w->reconcilers->waits), 0);
	assert_int_equal(fake_hypervisor_count(w->hypervisor), 0);
	assert_int_equal(fake_network_count(w->network), 0);
	assert_int_equal(fake_disk_instances(w->disks), 0);
	assert_int_equal(fake_image_jobs(w->images), 0);
	reconcilers_summary(w->reconcilers, text, sizeof(text));
	assert_string_equal(text,
			    "0 of 0 instances running, 0 of 0 networks and 0 of 0 images ready");
}

static void crowd(unsigned seed)
{
	pthread_t threads[USERS];
	User users[USERS];
	World *w = world_new();

	print_message("SF_CROWD_SEED=%u\n", seed);
	for (unsigned i = 0; i < IMAGES; i++) {
		_cleanup_(xfreep) char *url = xasprintf("http://images.test/%u", i);

		fake_image_source_set(w->images, url, &(FakeSource){ .content = url });
	}
	fake_image_source_set(w->images, "http://images.test/other",
			      &(FakeSource){ .content = "other" });
	world_start(w);
	for (unsigned i = 0; i < USERS; i++) {
		users[i] = (User){ .w = w, .seed = seed * USERS + i };
		assert_int_equal(pthread_create(&threads[i], NULL, use, &users[i]), 0);
	}
	for (unsigned i = 0; i < USERS; i++)
		pthread_join(threads[i], NULL);
	all_that_is_wanted_runs(w);
	nothing_is_left(w);
	world_restart(w); /* which writes down the last events */
	each(w, GR_EVENT, blames_nobody);
	world_free(w);
}

static void a_crowd_gets_what_it_wants(void **state _unused_)
{
	const char *wanted = getenv("SF_CROWD_SEED");

	if (wanted) {
		crowd((unsigned)strtoul(wanted, NULL, 10));
		return;
	}
	for (unsigned seed = 1; seed <= 8; seed++)
		crowd(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_crowd_gets_what_it_wants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
