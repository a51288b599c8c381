/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes cost: a table of fields, states of the guest, and what is said about them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/change.h"
#include "base/memory.h"
#include "json/json.h"

static KindRegistry *kinds;

static int setup(void **state _unused_)
{
	kinds = kind_registry_new();
	return 0;
}

static int teardown(void **state _unused_)
{
	kind_registry_free(kinds);
	return 0;
}

/* ' stands for ". */
static json_t *tree_of(const char *text)
{
	_cleanup_(xfreep) char *json = xstrdup(text);
	json_t *v;

	for (char *p = json; *p; p++)
		if (*p == '\'')
			*p = '"';
	v = json_loads(json, 0, NULL);
	if (!v)
		fail_msg("no JSON: %s", json);
	return v;
}

#define INSTANCE \
	"{'apiVersion':'shakenfist.io/v1alpha1','kind':'Instance','metadata':{'name':'web'}," \
	"'spec':{'runStrategy':'Always','cpus':2,'maxCpus':4,'memory':'1Gi','maxMemory':'4Gi'," \
	"'firmware':'BIOS','nodeName':'n1','disks':[{'name':'root','image':'debian','size':" \
	"'10Gi','bus':'virtio'}],'interfaces':[{'name':'eth0','network':'front','model':" \
	"'virtio'}],'cloudInit':{'userData':'#cloud-config'},'terminationGracePeriodSeconds':60}}"

typedef struct Row {
	const char *patch; /* merged into the instance */
	const char *path;  /* of the one change */
	ChangeCost running, halted;
} Row;

static const Row rows[] = {
	{"{'cpus':4}",								    "spec.cpus",                          COST_LIVE,    COST_NONE   },
	{ "{'cpus':1}",								   "spec.cpus",                          COST_RESTART, COST_NONE   },
	{ "{'memory':'2Gi'}",							     "spec.memory",                        COST_LIVE,    COST_NONE   },
	{ "{'memory':'512Mi'}",							   "spec.memory",                        COST_RESTART, COST_NONE   },
	{ "{'memory':'1024Mi'}",							  "spec.memory",                        COST_NONE,    COST_NONE   },
	{ "{'maxCpus':8}",								"spec.maxCpus",                       COST_RESTART, COST_NONE   },
	{ "{'maxMemory':null}",							   "spec.maxMemory",                     COST_RESTART, COST_NONE   },
	{ "{'firmware':'UEFI'}",							  "spec.firmware",                      COST_BLOCKED, COST_BLOCKED},
	{ "{'nodeName':'n2'}",							    "spec.nodeName",                      COST_BLOCKED, COST_BLOCKED},
	{ "{'runStrategy':'Halted'}",						     "spec.runStrategy",                   COST_LIVE,    COST_LIVE   },
	{ "{'cloudInit':{'userData':'#!/bin/sh'}}",                                       "spec.cloudInit.userData",            COST_NONE,
         COST_NONE																	},
	{ "{'terminationGracePeriodSeconds':5}",                                          "spec.terminationGracePeriodSeconds", COST_LIVE,
         COST_NONE																	},
	{ "{'disks':[{'name':'root','image':'debian','size':'20Gi','bus':'virtio'}]}",
         "spec.disks[root].size",											       COST_RESTART, COST_NONE   },
	{ "{'disks':[{'name':'root','image':'debian','size':'10240Mi','bus':'virtio'}]}",
         "spec.disks[root].size",											       COST_NONE,    COST_NONE   },
	{ "{'disks':[{'name':'root','image':'debian','size':'5Gi','bus':'virtio'}]}",
         "spec.disks[root].size",											       COST_BLOCKED, COST_BLOCKED},
	{ "{'disks':[{'name':'root','image':'fedora','size':'10Gi','bus':'virtio'}]}",
         "spec.disks[root].image",											      COST_BLOCKED, COST_BLOCKED},
	{ "{'disks':[{'name':'root','image':'debian','size':'10Gi','bus':'virtio'},"
	  "{'name':'data','size':'1Gi'}]}",				      "spec.disks[data]",                   COST_RESTART, COST_NONE   },
	{ "{'interfaces':[]}",							    "spec.interfaces[eth0]",              COST_RESTART, COST_NONE   },
	{ "{'interfaces':[{'name':'eth0','network':'back','model':'virtio'}]}",
         "spec.interfaces[eth0].network",										       COST_BLOCKED, COST_BLOCKED},
	{ "{'interfaces':[{'name':'eth0','network':'front','model':'e1000'}]}",
         "spec.interfaces[eth0].model",											 COST_RESTART, COST_NONE   },
};

static void expect_row(const Row *row, const ChangeObserved *seen, ChangeCost want)
{
	_cleanup_(kind_unrefp) Kind *k = kind_registry_find(kinds, GR_INSTANCE);
	_cleanup_(json_decrefp) json_t *from = tree_of(INSTANCE), *spec = tree_of(row->patch);
	_cleanup_(json_decrefp) json_t *patch = json_pack("{s:O}", "spec", spec);
	_cleanup_(json_decrefp) json_t *copy = json_deep_copy(from);
	_cleanup_(json_decrefp) json_t *to = json_merge_patch(copy, patch);
	FieldChanges c;

	changes_find(k, from, to, seen, &c);
	if (c.n != 1 || !streq(c.items[0].path, row->path) || c.items[0].cost != want)
		fail_msg("%s %s: %zu changes, %s %s, expected %s %s", row->patch,
			 seen->running ? "running" : "halted", c.n, c.n ? c.items[0].path : "",
			 c.n ? change_cost_to_string(c.items[0].cost) : "", row->path,
			 change_cost_to_string(want));
	assert_int_equal(changes_worst(&c), want);
	changes_done(&c);
}

static void test_each_field(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		expect_row(&rows[i], &(ChangeObserved){ .running = true }, rows[i].running);
		expect_row(&rows[i], &(ChangeObserved){ 0 }, rows[i].halted);
	}
}

static void test_what_runs_counts_and_not_what_was_asked(void **state _unused_)
{
	static const Row grown = { "{'cpus':3}", "spec.cpus", COST_LIVE, COST_NONE };

	/* Asked for 2, but 4 still run: 3 is less. */
	expect_row(&grown, &(ChangeObserved){ .running = true, .cpus = 4 }, COST_RESTART);
	expect_row(&grown, &(ChangeObserved){ .running = true, .cpus = 1 }, COST_LIVE);
}

static void test_observed_from_status(void **state _unused_)
{
	_cleanup_(json_decrefp) json_t *o =
		tree_of("{'status':{'printableStatus':'Running','pendingChanges':[{'path':"
			"'spec.cpus','from':4,'to':2},{'path':'spec.memory','from':'2Gi'}]}}");
	_cleanup_(json_decrefp) json_t *off = tree_of("{'status':{'printableStatus':'Stopped'}}");
	ChangeObserved seen;

	change_observe(o, &seen);
	assert_true(seen.running);
	assert_int_equal(seen.cpus, 4);
	assert_int_equal(seen.memory, (uint64_t)2 << 30);
	change_observe(off, &seen);
	assert_false(seen.running);
	change_observe(NULL, &seen);
	assert_false(seen.running);
}

static void test_several_and_the_worst(void **state _unused_)
{
	_cleanup_(kind_unrefp) Kind *k = kind_registry_find(kinds, GR_INSTANCE);
	_cleanup_(json_decrefp) json_t *from = tree_of(INSTANCE), *to = json_deep_copy(from);
	_cleanup_(json_decrefp) json_t *list = NULL;
	_cleanup_(xfreep) char *text = NULL;
	FieldChanges c;

	json_set_at(to, "spec.cpus", json_integer(3));
	json_set_at(to, "spec.maxMemory", json_string("8Gi"));
	json_set_at(to, "metadata.labels", json_pack("{s:s}", "a", "b"));
	json_set_at(to, "status", json_pack("{s:s}", "printableStatus", "Odd"));
	changes_find(k, from, to, &(ChangeObserved){ .running = true }, &c);
	assert_int_equal(c.n, 2);
	assert_int_equal(changes_worst(&c), COST_RESTART);
	list = changes_to_json(&c);
	assert_string_equal(json_string_at(json_array_get(list, 0), "path"), "spec.cpus");
	assert_int_equal(json_integer_at(json_array_get(list, 0), "to", 0), 3);
	text = change_sentence(&c.items[1]);
	assert_string_equal(text, "spec.maxMemory: takes effect when the guest restarts");
	changes_done(&c);
}

static void test_networks_and_unknown_kinds(void **state _unused_)
{
	_cleanup_(kind_unrefp) Kind *k = kind_registry_find(kinds, GR_NETWORK);
	_cleanup_(json_decrefp) json_t *from =
		tree_of("{'apiVersion':'shakenfist.io/v1alpha1','kind':'Network','metadata':"
			"{'name':'front'},'spec':{'cidrs':['10.0.0.0/24'],'egress':'NAT'}}");
	_cleanup_(json_decrefp) json_t *to = json_deep_copy(from);
	FieldChanges c;

	json_set_at(to, "spec.egress", json_string("None"));
	json_set_at(to, "spec.cidrs", json_pack("[s]", "10.9.0.0/24"));
	changes_find(k, from, to, NULL, &c);
	assert_int_equal(c.n, 2);
	assert_string_equal(c.items[0].path, "spec.cidrs");
	assert_int_equal(c.items[0].cost, COST_BLOCKED);
	assert_int_equal(c.items[1].cost, COST_LIVE);
	changes_done(&c);
	changes_find(NULL, from, to, NULL, &c);
	assert_int_equal(c.n, 2);
	assert_int_equal(changes_worst(&c), COST_NONE);
	changes_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_field),
		cmocka_unit_test(test_what_runs_counts_and_not_what_was_asked),
		cmocka_unit_test(test_observed_from_status),
		cmocka_unit_test(test_several_and_the_worst),
		cmocka_unit_test(test_networks_and_unknown_kinds),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
