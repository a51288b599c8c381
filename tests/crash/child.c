/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that is killed. See child.h.
 */
#include "tests/crash/child.h"

#include <signal.h>

#include "base/failpoint.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/memory.h"
#include "driver/image/cache.h"
#include "driver/net/net.h"
#include "server/server.h"
#include "tests/crash/survive.h"
#include "tests/lib/world.h"

/* Few, so that the store compacts in every story. */
#define HISTORY 8

typedef struct Alive {
	const Child *child;
	World *world;
	Server *server;
	Authority *authority;
	FILE *out;
	NetSpawn net_spawn;
} Alive;

static _noreturn_ void give_up(const char *what, const Error *err)
{
	fprintf(stderr, "%s: %s\n", what, error_message(err));
	_exit(1);
}

/* ---- parts ---- */

static void open_images(const Child *c, WorldParts *p, Error *err)
{
	ImageCacheOptions o;

	image_cache_options_init(&o);
	o.state_dir = c->dir;
	o.program = c->options.sfd;
	o.allow_loopback = true;
	o.min_free = 0;
	o.backoff_min = o.backoff_max = 200 * USEC_PER_MSEC;
	if (image_cache_new(&o, &p->images, err) < 0 ||
	    disk_store_new(&(DiskStoreOptions){ .state_dir = c->dir }, &p->disks, err) < 0)
		give_up("images", err);
}

static void open_network(Alive *a, WorldParts *p, Error *err)
{
	const Child *c = a->child;
	NetClientOptions o = { .connect = net_spawn, .connect_arg = &a->net_spawn };

	a->net_spawn = (NetSpawn){ .exe = c->options.sfd, .runtime_dir = c->dir, .pidfd = -1 };
	if (network_client_new(&o, &p->network, err) < 0)
		give_up("network", err);
}

static void open_world(Alive *a)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	const Child *c = a->child;
	_cleanup_(xfreep) char *store = xasprintf("%s/store", c->dir),
			       *revision = xasprintf("%s/revision", c->dir);
	StoreOptions options = { .history = HISTORY, .revision_file = revision };
	WorldParts p = { .store = &options, .age = c->age };

	if (fs_mkdir_p(store, 0700, &err) < 0 || sqlite_backend_open(store, &p.backend, &err) < 0)
		give_up("store", &err);
	p.hypervisor = surviving_hypervisor_new(c->fakes->hypervisor);
	p.seeds = surviving_seeds_new(c->fakes->seeds);
	if (c->options.real_images) {
		open_images(c, &p, &err);
	} else {
		p.images = surviving_images_new(c->fakes->images);
		p.disks = surviving_disks_new(c->fakes->disks);
	}
	if (c->options.real_network)
		open_network(a, &p, &err);
	else
		p.network = surviving_network_new(c->fakes->network);
	a->world = world_new_of(&p, &err);
	if (!a->world || store_publish_kinds(a->world->store, &err) < 0)
		give_up("world", &err);
}

/* The controllers learn of it with their first start, as they do in world.h. */
static void open_authority(Alive *a)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *dir = xasprintf("%s/pki", a->child->dir);

	if (authority_open(&(AuthorityOptions){ .dir = dir, .clock = a->world->clock },
			   &a->authority, &err) < 0)
		give_up("authority", &err);
	a->world->authority = a->authority;
	a->world->endpoint = "https://192.0.2.7:6443";
}

static void open_server(Alive *a)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *address = xasprintf("unix:%s/api.sock", a->child->dir);
	ServerOptions options = { .store = a->world->store,
				  .kinds = a->world->kinds,
				  .clock = clock_system(),
				  .network = a->world->network_port,
				  .node_name = "node-1",
				  .default_namespace = "default",
				  .threads = 1,
				  .admin_gid = (gid_t)-1 };

	if (server_new(&options, &a->server, &err) < 0 ||
	    server_listen(a->server, address, &err) < 0 || server_start(a->server, &err) < 0)
		give_up("server", &err);
}

/* ---- commands ---- */

/* A second pass over everything, by controllers that know nothing, must change nothing. */
static void again(Alive *a)
{
	_cleanup_(xfreep) char *before = check_fingerprint(a->world, a->child->fakes),
			       *after = NULL;

	world_restart(a->world);
	world_settle(a->world);
	after = check_fingerprint(a->world, a->child->fakes);
	if (!streq(before, after))
		fprintf(a->out, "a second pass changed something:\n--- %s\n+++ %s\n", before,
			after);
}

static void pass(Alive *a, unsigned seconds)
{
	world_settle(a->world);
	world_pass(a->world, seconds);
}

static void stop(Alive *a)
{
	server_stop(a->server, 2 * USEC_PER_SEC);
	server_free(a->server);
	world_free(a->world);
	authority_free(a->authority);
	if (a->child->options.real_network)
		net_spawn_done(&a->net_spawn);
}

static void obey(Alive *a, const char *command)
{
	unsigned n;

	if (sscanf(command, "arm malloc:%u", &n) == 1)
		allocations_fail(n, strstr(command, ":ever") != NULL);
	else if (str_has_prefix(command, "arm "))
		fail_point_set(command + 4);
	else if (sscanf(command, "settle %u", &n) == 1)
		pass(a, n);
	else if (sscanf(command, "age %u", &n) == 1) {
		fake_clock_advance(a->world->clock, n * USEC_PER_SEC);
		pass(a, 0);
	} else if (streq(command, "check") || streq(command, "check empty"))
		check_all(a->world, a->child->fakes, streq(command, "check empty"), a->out);
	else if (streq(command, "again"))
		again(a);
	else if (streq(command, "stop"))
		stop(a);
	else
		fprintf(a->out, "what is \"%s\"?\n", command);
}

static void answer(Alive *a)
{
	fprintf(a->out, CHILD_DONE "\n");
	fflush(a->out);
}

/* Whoever gives up ends between two calls of drivers, like who is killed. */
static void give_up_in_order(int signal)
{
	survive_hold_once();
	raise(signal);
}

void child_run(const Child *c)
{
	struct sigaction end = { .sa_handler = give_up_in_order, .sa_flags = (int)SA_RESETHAND };
	Alive a = { .child = c, .out = fdopen(dup(c->fd), "w") };
	FILE *in = fdopen(c->fd, "r");
	char line[512];

	log_set_level(LOG_LEVEL_WARNING);
	sigaction(SIGABRT, &end, NULL);
	sigaction(SIGSEGV, &end, NULL);
	fail_point_set_last_words(survive_hold);
	fail_point_set(c->spec);
	open_world(&a);
	open_authority(&a);
	open_server(&a);
	world_restart(a.world);
	answer(&a);
	while (fgets(line, sizeof(line), in)) {
		line[strcspn(line, "\n")] = '\0';
		obey(&a, line);
		answer(&a);
		if (streq(line, "stop"))
			_exit(0);
	}
	_exit(0);
}
