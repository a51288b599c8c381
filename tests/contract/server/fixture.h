/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real Server on a Unix socket in a directory of its own, over the memory backend and fakes, and
 * short ways to talk to it. One per test.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>

#include "base/fs.h"
#include "base/memory.h"
#include "driver/fake/console.h"
#include "driver/fake/network.h"
#include "server/server.h"
#include "tests/lib/http.h"
#include "json/json.h"

#define API_GROUP "/apis/shakenfist.io/v1alpha1"
#define INSTANCES API_GROUP "/namespaces/default/instances"
#define NETWORKS  API_GROUP "/namespaces/default/networks"
#define SECRETS   "/api/v1/namespaces/default/secrets"

typedef struct Fixture {
	char dir[64], path[96];
	KindRegistry *kinds;
	Store *store;
	Console *console;
	NetworkDriver *network;
	Server *server;
} Fixture;

/* NULL = the system's clock. */
static inline int fixture_setup_on(void **state, Clock *clock)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *address = NULL;
	Fixture *f = xnew0(Fixture, 1);
	ServerOptions options = { 0 };

	memcpy(f->dir, "/tmp/server-test-XXXXXX", sizeof("/tmp/server-test-XXXXXX"));
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/api.sock", f->dir);
	address = xasprintf("unix:%s", f->path);
	f->kinds = kind_registry_new();
	if (store_open(memory_backend_new(), &(StoreOptions){ .kinds = f->kinds }, &f->store,
		       &err) < 0)
		fail_msg("%s", error_message(&err));
	f->console = fake_console_new();
	f->network = fake_network_new();
	options = (ServerOptions){ .store = f->store,
				   .kinds = f->kinds,
				   .console = f->console,
				   .network = f->network,
				   .node_name = "node-1",
				   .clock = clock,
				   .admin_gid = (gid_t)-1 };
	assert_int_equal(server_new(&options, &f->server, &err), 0);
	if (server_listen(f->server, address, &err) < 0 || server_start(f->server, &err) < 0)
		fail_msg("%s", error_message(&err));
	*state = f;
	return 0;
}

static inline int fixture_setup(void **state)
{
	return fixture_setup_on(state, NULL);
}

static inline int fixture_teardown(void **state)
{
	Fixture *f = *state;

	server_stop(f->server, 2 * USEC_PER_SEC);
	server_free(f->server);
	store_free(f->store);
	kind_registry_free(f->kinds);
	f->console->ops->free(f->console);
	f->network->ops->free(f->network);
	assert_int_equal(fs_remove_tree(f->dir, NULL), 0);
	free(f);
	return 0;
}

/* Sends, expects the code, and gives the body as JSON (the caller's; NULL if it is none). */
static inline json_t *call(Fixture *f, int expect, const char *method, const char *target,
			   const char *type, const char *body)
{
	HttpAnswer a = http_call(f->path, method, target, type, body);
	json_t *json = json_incref(a.json);

	if (a.code != expect)
		fail_msg("%s %s: %d, expected %d: %s", method, target, a.code, expect, a.body);
	http_answer_done(&a);
	return json;
}

static inline void call_done(Fixture *f, int expect, const char *method, const char *target,
			     const char *type, const char *body)
{
	json_decref(call(f, expect, method, target, type, body));
}

static inline void expect_text(const json_t *v, const char *path, const char *want)
{
	const char *got = json_string_at(v, path);

	if (!streq_ptr(got, want)) {
		_cleanup_(xfreep) char *text = v ? json_text(v) : NULL;

		fail_msg("%s is %s, expected %s, in %s", path, got ? got : "absent",
			 want ? want : "absent", text ? text : "nothing");
	}
}

/* A Status object with that reason. */
static inline void call_fails(Fixture *f, int expect, const char *reason, const char *method,
			      const char *target, const char *type, const char *body)
{
	_cleanup_(json_decrefp) json_t *status = call(f, expect, method, target, type, body);

	expect_text(status, "kind", "Status");
	expect_text(status, "status", "Failure");
	expect_text(status, "reason", reason);
	assert_int_equal(json_integer_at(status, "code", 0), expect);
}

/* The cell of that column in the first row of the Table, as JSON. */
static inline void expect_cell(Fixture *f, const char *target, const char *name, const char *want)
{
	HttpClient *c = http_connect(f->path);
	_cleanup_(xfreep) char *text = NULL;
	const json_t *column, *rows;
	HttpAnswer a;
	size_t i;

	http_request(c, "GET", target, "Accept: application/json;as=Table;v=v1;g=meta.k8s.io\r\n",
		     NULL);
	a = http_read_answer(c);
	assert_int_equal(a.code, 200);
	rows = json_object_get(a.json, "rows");
	json_array_foreach (json_object_get(a.json, "columnDefinitions"), i, column)
		if (streq_ptr(json_string_at(column, "name"), name))
			text = json_dumps(
				json_array_get(json_object_get(json_array_get(rows, 0), "cells"),
					       i),
				JSON_ENCODE_ANY);
	if (!streq_ptr(text, want))
		fail_msg("%s: %s is %s, expected %s: %s", target, name, text ? text : "no column",
			 want, a.body);
	http_answer_done(&a);
	http_close(c);
}

static inline json_t *make_secret(Fixture *f, const char *name, const char *labels)
{
	_cleanup_(xfreep) char *body =
		xasprintf("{\"metadata\":{\"name\":\"%s\",\"labels\":%s},\"type\":\"Opaque\"}",
			  name, labels ? labels : "{}");

	return call(f, 201, "POST", SECRETS, NULL, body);
}

#define INSTANCE_BODY(name, extra) \
	"{\"apiVersion\":\"shakenfist.io/v1alpha1\",\"kind\":\"Instance\",\"metadata\":{\"name\":" \
	"\"" name "\"},\"spec\":{\"memory\":\"1Gi\",\"disks\":[{\"name\":\"root\",\"size\":" \
	"\"1Gi\"}]" extra "}}"

/* A network that is set up, with one address seen on it: the instance default/vm's. */
static inline void make_reachable(Fixture *f, const char *address)
{
	_cleanup_(json_decrefp) json_t *network =
		call(f, 201, "POST", NETWORKS, NULL,
		     "{\"metadata\":{\"name\":\"front\"},\"spec\":{\"cidrs\":[\"10.20.0.0/24\"]}}");
	const char *uid = json_string_at(network, "metadata.uid");
	_cleanup_(xfreep) char *body = NULL;
	NetworkConfig config = { .vni = 7 };
	NetworkStatus status;
	IpAddress a;

	snprintf(config.uid, sizeof(config.uid), "%s", uid);
	snprintf(config.store_id, sizeof(config.store_id), "%s", store_id(f->store));
	assert_int_equal(ip_prefix_parse("10.20.0.0/24", &config.prefix4, NULL), 0);
	assert_int_equal(ip_parse("10.20.0.1", &config.gateway4, NULL), 0);
	assert_int_equal(ip_parse(address, &a, NULL), 0);
	assert_int_equal(
		f->network->ops->ensure(f->network, &CONTEXT_BACKGROUND, &config, &status, NULL),
		0);
	fake_network_see(f->network, uid, &a);
	body = xasprintf("{\"status\":{\"interfaces\":[{\"name\":\"eth0\",\"network\":\"front\","
			 "\"addresses\":[\"%s\"]}]}}",
			 address);
	call_done(f, 200, "PATCH", INSTANCES "/vm/status", "application/merge-patch+json", body);
}

/* The instance default/vm; its uid is the caller's. */
static inline char *make_instance(Fixture *f)
{
	_cleanup_(json_decrefp) json_t *made =
		call(f, 201, "POST", INSTANCES, NULL, INSTANCE_BODY("vm", ""));

	return xstrdup(json_string_at(made, "metadata.uid"));
}

static inline void wait_typed(Fixture *f, const char *want)
{
	char buf[256];

	for (int i = 0; i < 500; i++) {
		size_t n = fake_console_typed(f->console, "default.vm", buf, sizeof(buf));

		if (n == strlen(want) && memcmp(buf, want, n) == 0)
			return;
		poll(NULL, 0, 10);
	}
	fail_msg("\"%s\" was not typed", want);
}
