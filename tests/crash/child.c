/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that is killed. See child.h.
 */
#include "tests/crash/child.h"

#include <pthread.h>
#include <signal.h>

#include "base/failpoint.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/memory.h"
#include "driver/image/cache.h"
#include "driver/net/net.h"
#include "server/server.h"
#include "tests/crash/host.h"
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
	Clock *clock;              /* the world's, where it is not to make one */
	NetSpawn net_spawn;        /* with role_lock */
	pthread_mutex_t role_lock; /* the driver's thread starts it, ours ends it */
	pthread_cond_t role_started;
	unsigned roles;
} Alive;

static _noreturn_ void give_up(const char *what, const Error *err)
{
	fprintf(stderr, "%s: %s\n", what, error_message(err));
	_exit(1);
}

/* ---- parts ---- */

static void open_images(const Alive *a, WorldParts *p, Error *err)
{
	const Child *c = a->child;
	ImageCacheOptions o;

	image_cache_options_init(&o);
	o.state_dir = c->dir;
	o.program = c->options.sfd;
	o.clock = a->clock;
	o.allow_loopback = true;
	o.min_free = 0;
	o.backoff_min = o.backoff_max = 200 * USEC_PER_MSEC;
	if (image_cache_new(&o, &p->images, err) < 0 ||
	    disk_store_new(&(DiskStoreOptions){ .state_dir = c->dir }, &p->disks, err) < 0)
		give_up("images", err);
}

static int start_role(void *arg, int *ret_fd, Error *err)
{
	Alive *a = arg;
	int rc;

	pthread_mutex_lock(&a->role_lock);
	rc = net_spawn(&a->net_spawn, ret_fd, err);
	a->roles += rc == 0;
	pthread_cond_broadcast(&a->role_started);
	pthread_mutex_unlock(&a->role_lock);
	return rc;
}

/* So that the next one hears of the fail point. */
static void restart_role(Alive *a)
{
	unsigned before;

	pthread_mutex_lock(&a->role_lock);
	before = a->roles;
	if (a->net_spawn.pid > 0) /* not waited for yet */
		kill(a->net_spawn.pid, SIGTERM);
	while (a->roles == before)
		pthread_cond_wait(&a->role_started, &a->role_lock);
	pthread_mutex_unlock(&a->role_lock);
}

static void open_network(Alive *a, WorldParts *p, Error *err)
{
	const Child *c = a->child;
	NetClientOptions o = { .connect = start_role, .connect_arg = a };

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
	WorldParts p = { .store = &options, .clock = a->clock, .age = c->age };

	if (fs_mkdir_p(store, 0700, &err) < 0 || sqlite_backend_open(store, &p.backend, &err) < 0)
		give_up("store", &err);
	p.hypervisor = surviving_hypervisor_new(c->fakes->hypervisor);
	p.seeds = surviving_seeds_new(c->fakes->seeds);
	if (c->options.real_images) {
		open_images(a, &p, &err);
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

static char *fingerprint(const Alive *a)
{
	_cleanup_(xfreep) char *stored = check_fingerprint(a->world, a->child->fakes);
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;

	strbuf_adds(&b, stored);
	if (a->child->options.real_network)
		host_fingerprint(a->child->dir, &b);
	return strbuf_take(&b);
}

/* The lines of `text` that `other` does not have. */
static void tell_others(FILE *out, char sign, const char *text, const char *other)
{
	for (size_t n; *text; text += n) {
		_cleanup_(xfreep) char *line = NULL;

		n = strcspn(text, "\n");
		n += text[n] == '\n';
		line = xstrndup(text, n);
		if (!strstr(other, line))
			fprintf(out, "%c%s", sign, line);
	}
}

/* A second pass over everything, by controllers that know nothing, must change nothing. */
static void again(Alive *a)
{
	_cleanup_(xfreep) char *before = fingerprint(a), *after = NULL;

	world_restart(a->world);
	world_settle(a->world);
	after = fingerprint(a);
	if (streq(before, after))
		return;
	fputs("a second pass changed something:\n", a->out);
	tell_others(a->out, '-', before, after);
	tell_others(a->out, '+', after, before);
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

static void arm(Alive *a, const char *spec)
{
	fail_point_set(spec);
	if (a->child->options.real_network)
		restart_role(a);
}

static void check(Alive *a, bool empty)
{
	check_all(a->world, a->child->fakes, empty, a->out);
	host_check_files(a->child->dir, a->out);
	if (a->child->options.real_network)
		host_check(a->child->dir, a->world->store, a->out);
}

static void obey(Alive *a, const char *command)
{
	unsigned n;

	if (sscanf(command, "arm malloc:%u", &n) == 1)
		allocations_fail(n, strstr(command, ":ever") != NULL);
	else if (str_has_prefix(command, "arm "))
		arm(a, command + 4);
	else if (sscanf(command, "settle %u", &n) == 1)
		pass(a, n);
	else if (sscanf(command, "age %u", &n) == 1) {
		fake_clock_advance(a->world->clock, n * USEC_PER_SEC);
		pass(a, 0);
	} else if (streq(command, "check") || streq(command, "check empty"))
		check(a, streq(command, "check empty"));
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

/*
 * Whoever gives up ends between two calls of drivers, like who is killed. So do all that give up
 * beside it, for want of the same memory: until somebody has the lock, none of them ends anything.
 */
static void give_up_in_order(int number)
{
	survive_hold_once();
	signal(number, SIG_DFL);
	raise(number);
}

static const char *log_of_roles;

/* One death is enough; what comes after a role that died has to live. */
static bool nobody_was_hit(void)
{
	_cleanup_(xfreep) char *text = NULL;

	return fs_read(log_of_roles, CLOUD_LOG_MAX, &text, NULL, NULL) < 0 ||
	       !strstr(text, CLOUD_KILLED);
}

void child_run(const Child *c)
{
	struct sigaction end = { .sa_handler = give_up_in_order };
	_cleanup_(xfreep) char *log = xasprintf("%s/log", c->dir);
	Alive a = { .child = c,
		    .out = fdopen(dup(c->fd), "w"),
		    .role_lock = PTHREAD_MUTEX_INITIALIZER,
		    .role_started = PTHREAD_COND_INITIALIZER };
	FILE *in = fdopen(c->fd, "r");
	char line[512];

	log_set_level(LOG_LEVEL_WARNING);
	sigaction(SIGABRT, &end, NULL);
	sigaction(SIGSEGV, &end, NULL);
	fail_point_set_last_words(survive_hold);
	if (c->options.real_images) /* files have the host's time */
		a.clock =
			fake_clock_new(USEC_PER_HOUR + c->age, clock_wall(clock_system()) + c->age);
	log_of_roles = log;
	fail_point_set_gate(nobody_was_hit);
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
