/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole cloud in one process. See world.h.
 */
#include "tests/lib/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/condition.h"
#include "api/schema.h"
#include "api/wellknown.h"
#include "base/memory.h"
#include "json/json.h"

#define PATIENCE       20 /* tries of a client */
#define SETTLE_TIMEOUT (20 * USEC_PER_SEC)
#define START_WALL     (1700000000 * USEC_PER_SEC)

static void must(int rc, const Error *err, const char *what)
{
	if (rc < 0)
		fail_msg("%s: %s", what, error_message(err));
}

static bool host_stopping(void *arg)
{
	World *w = arg;
	void (*meanwhile)(World * w) = atomic_exchange(&w->meanwhile, NULL);

	if (meanwhile)
		meanwhile(w);
	return w->host_stopping;
}

static void make_controllers(World *w)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	ReconcileEnv env = { .store = w->store,
			     .kinds = w->kinds,
			     .clock = w->clock,
			     .hypervisor = w->hypervisor_port,
			     .network = w->network_port,
			     .images = w->images_port,
			     .disks = w->disks_port,
			     .seeds = w->seeds_port,
			     .node_name = "node-1",
			     .architecture = "x86_64",
			     .authority = w->authority,
			     .endpoint = w->endpoint,
			     .host_is_stopping = host_stopping,
			     .host_arg = w };

	w->recorder = env.recorder = recorder_new(w->store, w->clock, "sfd", "node-1");
	w->manager = env.manager = manager_new(w->store, w->clock);
	manager_set_recorder(w->manager, w->recorder);
	must(reconcilers_new(&env, w->controllers, &w->reconcilers, &err), &err, "reconcilers");
}

static void drop_controllers(World *w)
{
	_cleanup_(error_done) Error err = ERROR_INIT;

	must(manager_stop(w->manager, SETTLE_TIMEOUT, &err), &err, "stop");
	/* Real drivers have threads, which go on. */
	w->hypervisor_port->ops->subscribe(w->hypervisor_port, NULL, NULL);
	w->network_port->ops->subscribe(w->network_port, NULL, NULL);
	w->images_port->ops->subscribe(w->images_port, NULL, NULL);
	w->manager = manager_free(w->manager);
	w->reconcilers = reconcilers_free(w->reconcilers);
	w->recorder = recorder_free(w->recorder);
}

static void open_world_store(World *w, const WorldParts *parts, Error *err)
{
	StoreOptions options = parts->store ? *parts->store : (StoreOptions){ 0 };

	options.clock = w->clock;
	options.kinds = w->kinds;
	w->backend = fault_backend_new(parts->backend);
	if (store_open(w->backend, &options, &w->store, err) < 0)
		w->store = NULL;
}

World *world_new_of(const WorldParts *parts, Error *err)
{
	World *w = xnew0(World, 1);

	w->clock = parts->clock
			   ? parts->clock
			   : fake_clock_new(USEC_PER_HOUR + parts->age, START_WALL + parts->age);
	w->kinds = kind_registry_new();
	w->controllers = "all";
	open_world_store(w, parts, err);
	if (!w->store) {
		kind_registry_free(w->kinds);
		fake_clock_free(w->clock);
		free(w);
		return NULL;
	}
	w->hypervisor = parts->hypervisor ? parts->hypervisor : fake_hypervisor_new();
	w->network = parts->network ? parts->network : fake_network_new();
	w->images = parts->images ? parts->images : fake_image_cache_new(w->clock);
	w->disks = parts->disks ? parts->disks : fake_disk_store_new(w->images, NULL);
	w->seeds = parts->seeds ? parts->seeds : fake_seed_new();
	w->hypervisor_port = faulty_hypervisor_new(w->hypervisor, &w->fault);
	w->network_port = faulty_network_new(w->network, &w->fault);
	w->images_port = faulty_image_cache_new(w->images, &w->fault);
	w->disks_port = faulty_disk_store_new(w->disks, &w->fault);
	w->seeds_port = faulty_seed_new(w->seeds, &w->fault);
	make_controllers(w);
	return w;
}

World *world_new(void)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	World *w = world_new_of(&(WorldParts){ .backend = memory_backend_new() }, &err);

	must(w ? 0 : -(int)err.code, &err, "store");
	return w;
}

void world_start(World *w)
{
	_cleanup_(error_done) Error err = ERROR_INIT;

	must(manager_start(w->manager, &err), &err, "start");
	world_settle(w);
}

void world_restart(World *w)
{
	drop_controllers(w);
	make_controllers(w);
	world_start(w);
}

void world_reboot(World *w)
{
	drop_controllers(w);
	fake_hypervisor_host_crash(w->hypervisor);
	make_controllers(w);
	world_start(w);
}

void world_free(World *w)
{
	drop_controllers(w);
	w->hypervisor_port->ops->free(w->hypervisor_port);
	w->network_port->ops->free(w->network_port);
	w->disks_port->ops->free(w->disks_port);
	w->images_port->ops->free(w->images_port);
	w->seeds_port->ops->free(w->seeds_port);
	store_free(w->store);
	kind_registry_free(w->kinds);
	fake_clock_free(w->clock);
	free(w);
}

int world_setup(void **state)
{
	World *w = world_new();

	world_start(w);
	*state = w;
	return 0;
}

int world_teardown(void **state)
{
	world_free(*state);
	return 0;
}

/* ---- writing ---- */

static json_t *parse(const char *text)
{
	_cleanup_(xfreep) char *copy = xstrdup(text);
	json_error_t error;
	json_t *tree;

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	tree = json_loads(copy, 0, &error);
	if (!tree)
		fail_msg("%s at %d in %s", error.text, error.column, text);
	return tree;
}

static bool has_teardown(const GroupResource *gr)
{
	return gr == GR_INSTANCE || gr == GR_NETWORK || gr == GR_IMAGE;
}

void world_heal(World *w)
{
	w->fault.fail_at = 0;
	fault_backend_set(w->backend, 0, false, ERR_UNAVAILABLE);
}

/* True if the client asks again: nobody knows whether it was done. In the end somebody mends it. */
static bool is_unknown(World *w, int rc, unsigned *tries)
{
	if (!w->patient || (rc != -ERR_UNAVAILABLE && rc != -ERR_EXHAUSTED))
		return false;
	if (++*tries == PATIENCE)
		world_heal(w);
	fake_clock_advance(w->clock, USEC_PER_SEC);
	return true;
}

static void commit(World *w, Txn *t, const char *what)
{
	Context ctx = { .clock = clock_system(), .deadline = USEC_INFINITY };
	unsigned tries = 0;
	int rc;

	do {
		_cleanup_(error_done) Error err = ERROR_INIT;

		rc = store_commit(w->store, &ctx, t, NULL, &err);
		if (!is_unknown(w, rc, &tries) && !(tries && rc == -ERR_EXISTS))
			must(rc, &err, what);
	} while (rc == -ERR_UNAVAILABLE || rc == -ERR_EXHAUSTED);
}

/* The Txn that creates it. */
static Txn *creation(World *w, const char *text)
{
	_cleanup_(json_decrefp) json_t *tree = parse(text);
	_cleanup_(kind_unrefp) Kind *kind = kind_registry_find_by_kind(
		w->kinds, json_string_at(tree, "apiVersion"), json_string_at(tree, "kind"));
	FieldErrors errors = FIELD_ERRORS_INIT;
	Txn *t = txn_new();
	Key key;

	assert_non_null(kind);
	key = key_make(kind->gr, kind->namespaced ? "default" : "",
		       json_string_at(tree, "metadata.name"));
	if (kind->namespaced)
		json_set_at(tree, "metadata.namespace", json_string("default"));
	if (has_teardown(kind->gr))
		json_set_at(tree, "metadata.finalizers",
			    json_pack("[s]", "shakenfist.io/teardown"));
	schema_default(kind->schema, tree);
	object_validate(kind, tree, NULL, &errors);
	if (errors.n)
		fail_msg("%s: %s: %s", key.name, errors.items[0].path, errors.items[0].message);
	txn_create(t, &key, tree, false);
	return t;
}

void world_create(World *w, const char *text)
{
	_cleanup_(txn_freep) Txn *t = creation(w, text);

	commit(w, t, text);
}

int world_try_create(World *w, const char *text)
{
	Context ctx = { .clock = clock_system(), .deadline = USEC_INFINITY };
	_cleanup_(txn_freep) Txn *t = creation(w, text);

	return store_commit(w->store, &ctx, t, NULL, NULL);
}

static Key default_key(World *w, const char *resource, const char *name)
{
	_cleanup_(kind_unrefp) Kind *kind = kind_registry_find_by_word(w->kinds, resource);

	assert_non_null(kind);
	return key_make(kind->gr, kind->namespaced ? "default" : "", name);
}

/* One try. */
static int modify_once(World *w, const Key *key, const json_t *patch, Error *err)
{
	Context ctx = { .clock = clock_system(), .deadline = USEC_INFINITY };
	_cleanup_(json_decrefp) json_t *tree = NULL, *merged = NULL;
	_cleanup_(object_unrefp) Object *o = NULL;
	_cleanup_(txn_freep) Txn *t = txn_new();
	int rc = store_get(w->store, key, &o, err);

	if (rc < 0)
		return rc;
	if (patch) {
		tree = object_decode(o);
		merged = json_merge_patch(tree, patch);
		txn_update(t, o, merged);
	} else {
		txn_delete(t, o, &(DeleteOptions){ .grace_period_seconds = -1 });
	}
	return store_commit(w->store, &ctx, t, NULL, err);
}

/* Reads, merges, writes; again when somebody was faster. */
static void modify(World *w, const char *resource, const char *name, const json_t *patch)
{
	Key key = default_key(w, resource, name);
	unsigned tries = 0;
	int rc;

	do {
		_cleanup_(error_done) Error err = ERROR_INIT;

		rc = modify_once(w, &key, patch, &err);
		if (tries && rc == -ERR_NOT_FOUND)
			return; /* it was done, and is over */
		if (rc != -ERR_CONFLICT && !is_unknown(w, rc, &tries))
			must(rc, &err, name);
	} while (rc < 0);
}

int world_try_modify(World *w, const char *resource, const char *name, const char *text)
{
	_cleanup_(json_decrefp) json_t *patch = text ? parse(text) : NULL;
	Key key = default_key(w, resource, name);
	int rc;

	while ((rc = modify_once(w, &key, patch, NULL)) == -ERR_CONFLICT)
		continue;
	return rc;
}

void world_patch(World *w, const char *resource, const char *name, const char *text)
{
	_cleanup_(json_decrefp) json_t *patch = parse(text);

	modify(w, resource, name, patch);
}

void world_power(World *w, const char *instance, const char *id, const char *action)
{
	_cleanup_(xfreep) char *patch =
		xasprintf("{\"metadata\": {\"annotations\": {\"" ANNOTATION_POWER "\": "
			  "\"{\\\"id\\\":\\\"%s\\\",\\\"action\\\":\\\"%s\\\"}\"}}}",
			  id, action);

	world_patch(w, "instance", instance, patch);
}

void world_delete(World *w, const char *resource, const char *name)
{
	modify(w, resource, name, NULL);
}

/* ---- waiting and looking ---- */

void world_settle(World *w)
{
	_cleanup_(error_done) Error err = ERROR_INIT;

	must(manager_wait_idle(w->manager, SETTLE_TIMEOUT, &err), &err, "settle");
}

void world_pass(World *w, unsigned seconds)
{
	for (unsigned i = 0; i < seconds; i++) {
		fake_clock_advance(w->clock, USEC_PER_SEC);
		world_settle(w);
	}
}

json_t *world_get(World *w, const char *resource, const char *name)
{
	Key key = default_key(w, resource, name);
	_cleanup_(object_unrefp) Object *o = NULL;

	return store_get(w->store, &key, &o, NULL) < 0 ? NULL : object_decode(o);
}

bool world_exists(World *w, const char *resource, const char *name)
{
	Key key = default_key(w, resource, name);

	return store_exists(w->store, &key);
}

const char *world_string(World *w, const char *resource, const char *name, const char *path)
{
	_cleanup_(json_decrefp) json_t *tree = world_get(w, resource, name);
	const char *value = tree ? json_string_at(tree, path) : NULL;
	static char text[1024];

	snprintf(text, sizeof(text), "%s", value ? value : "");
	return text;
}

const char *world_ready(World *w, const char *instance, const char *member)
{
	_cleanup_(json_decrefp) json_t *tree = world_get(w, "instance", instance);
	const json_t *ready = condition_find(json_object_get(tree, "status"), "Ready");
	const char *value = json_string_at(ready, member);
	static char text[1024];

	snprintf(text, sizeof(text), "%s", value ? value : "");
	return text;
}

static int count_one(void *arg, const Key *key _unused_, const json_t *body _unused_,
		     int64_t rev _unused_)
{
	(*(size_t *)arg)++;
	return 0;
}

size_t world_allocations(World *w)
{
	size_t n = 0;

	assert_int_equal(store_record_list(w->store, GR_ALLOC, "", count_one, &n, NULL), 0);
	return n;
}

void world_create_hello(World *w)
{
	fake_image_source_set(w->images, "http://images.test/debian.qcow2",
			      &(FakeSource){ .content = "debian" });
	world_create(w, "{'apiVersion': 'shakenfist.io/v1alpha1', 'kind': 'Network', 'metadata': "
			"{'name': 'front'},"
			" 'spec': {'cidrs': ['10.20.0.0/24'], 'dns': {'domain': 'lab.internal'}}}");
	world_create(w, "{'apiVersion': 'shakenfist.io/v1alpha1', 'kind': 'Image', 'metadata': "
			"{'name': 'debian'},"
			" 'spec': {'source': {'url': 'http://images.test/debian.qcow2'}}}");
	world_create(w, "{'apiVersion': 'shakenfist.io/v1alpha1', 'kind': 'Instance', 'metadata': "
			"{'name': 'web'},"
			" 'spec': {'memory': '256Mi', 'disks': [{'name': 'root', 'image': "
			"'debian', 'size': '10Gi'}],"
			" 'interfaces': [{'name': 'eth0', 'network': 'front'}]}}");
}
