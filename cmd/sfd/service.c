/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon: makes every part, puts adapters behind ports, runs the loop, and takes it all down in
 * the reverse order. The only place that knows every part. Main thread; the parts start their own
 * threads (pkg/README.md lists them all).
 *
 * Start: journal, loop (signals blocked before any thread), privileges, store, ports, API,
 * controllers, READY. Guests are never touched by a start or a stop.
 */
#include "service.h"

#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "api/quantity.h"
#include "base/fs.h"
#include "base/memory.h"
#include "daemon/daemon.h"
#include "driver/image/cache.h"
#include "driver/libvirt/libvirt.h"
#include "driver/net/net.h"
#include "driver/seed/iso.h"
#include "privileges.h"
#include "reconcile/reconcile.h"
#include "server/server.h"

#define STOP_GRACE      (10 * USEC_PER_SEC)
#define STATUS_DELAY    (200 * USEC_PER_MSEC) /* changes that come together make one STATUS= */
#define REVISION_DIGITS 32

typedef struct Service {
	const Options *o;
	Loop *loop;
	Store *store;
	KindRegistry *kinds;
	Recorder *recorder;
	Manager *manager;
	Hypervisor *hypervisor;
	Console *console;
	NetSpawn net_spawn; /* our own net role, where systemd does not run it */
	NetworkDriver *network;
	ImageCache *images;
	DiskStore *disks;
	SeedWriter *seeds;
	Authority *authority; /* where there is a TLS listener */
	Reconcilers *reconcilers;
	Server *server;
	LoopSource *status_timer;
	char node_name[KEY_NAME_MAX];
	char *revision_file;
	char exe[4096];
	struct utsname host;
	bool net_spawned, stopping;
	bool store_is_unusable; /* and would be so again: a person has to do something */
} Service;

/* ---- small things that several parts need ---- */

static char *path_in(const char *dir, const char *name)
{
	return xasprintf("%s/%s", dir, name);
}

static int make_directories(const Options *o, Error *err)
{
	static const struct {
		const char *name;
		mode_t mode;
	} dirs[] = {
		{"store",      0700},
                { "images",    0755},
                { "instances", 0711}
	};
	int rc = fs_mkdir_p(o->state_dir, 0755, err);

	if (rc < 0)
		return error_wrap_rc(err, rc, "--state-dir");
	rc = fs_mkdir_p(o->runtime_dir, 0755, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "--runtime-dir");
	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(dirs); i++) {
		_cleanup_(xfreep) char *path = path_in(o->state_dir, dirs[i].name);

		rc = fs_mkdir_p(path, dirs[i].mode, err);
		if (rc == 0 && chmod(path, dirs[i].mode) < 0)
			rc = error_set(err, ERR_FORBIDDEN, "%s: cannot set its mode", path);
	}
	return rc;
}

static void set_node_name(Service *s)
{
	size_t n;

	uname(&s->host);
	snprintf(s->node_name, sizeof(s->node_name), "%s",
		 s->o->node_name ? s->o->node_name : s->host.nodename);
	for (n = 0; s->node_name[n]; n++)
		if (s->node_name[n] >= 'A' && s->node_name[n] <= 'Z')
			s->node_name[n] = (char)(s->node_name[n] - 'A' + 'a');
}

static int64_t known_revision(const char *path)
{
	_cleanup_(xfreep) char *text = NULL;

	return fs_read(path, REVISION_DIGITS, &text, NULL, NULL) == 0 ? strtoll(text, NULL, 10) : 0;
}

/* ---- the parts ---- */

static int open_store_files(Service *s, Error *err)
{
	_cleanup_(error_done) Error unpublished = ERROR_INIT;
	_cleanup_(xfreep) char *dir = path_in(s->o->state_dir, "store");
	StoreOptions options = { .kinds = s->kinds };
	Backend *backend = NULL;
	int rc;

	if (streq(s->o->store, "memory")) {
		backend = memory_backend_new();
	} else if (streq(s->o->store, "sqlite")) {
		rc = sqlite_backend_open(dir, &backend, err);
		if (rc < 0)
			return error_wrap_rc(err, rc, "open the store");
		/* Beside the store's directory, not in it: who puts back an old store does not put
		 * this back with it. */
		s->revision_file = path_in(s->o->state_dir, "revision");
		options.revision_file = s->revision_file;
		options.known_revision = known_revision(s->revision_file);
	} else {
		return error_set(err, ERR_INVALID, "--store %s: choose sqlite or memory",
				 s->o->store);
	}
	rc = store_open(backend, &options, &s->store, err);
	if (rc == 0 && s->o->accept_store)
		rc = store_accept(s->store, err);
	/* Without them nobody but who looks for definitions misses anything. */
	if (rc == 0 && store_publish_kinds(s->store, &unpublished) < 0)
		log_warning("%s", error_message(&unpublished));
	if (rc == 0 && store_is_restored(s->store))
		log_warning("the store is older than what was once acknowledged: nothing is "
			    "collected until sfd is started "
			    "once with --accept-store");
	return rc < 0 ? error_wrap_rc(err, rc, "open the store") : 0;
}

static int open_store(Service *s, Error *err)
{
	int rc = open_store_files(s, err);

	s->store_is_unusable = rc == -ERR_INTERNAL; /* damaged */
	return rc;
}

/* Where systemd runs the net role its socket is there before us; elsewhere the role is our child.
 */
static int open_network(Service *s, Error *err)
{
	_cleanup_(xfreep) char *standard = path_in(s->o->runtime_dir, "net.sock");
	const char *socket = s->o->net_socket      ? s->o->net_socket
			     : fs_exists(standard) ? standard
						   : NULL;
	NetClientOptions options = { .socket_path = socket };
	ssize_t n;

	if (!socket) {
		n = readlink("/proc/self/exe", s->exe, sizeof(s->exe) - 1);
		if (n < 0)
			return error_set(err, ERR_INTERNAL,
					 "/proc/self/exe cannot be read: is /proc mounted?");
		s->net_spawn =
			(NetSpawn){ .exe = s->exe, .runtime_dir = s->o->runtime_dir, .pidfd = -1 };
		options = (NetClientOptions){ .connect = net_spawn, .connect_arg = &s->net_spawn };
		s->net_spawned = true;
	}
	return network_client_new(&options, &s->network, err);
}

static int open_images(Service *s, Error *err)
{
	ImageCacheOptions options;
	int rc;

	image_cache_options_init(&options);
	options.state_dir = s->o->state_dir;
	options.allow_loopback = s->o->image_allow_loopback;
	options.deny_private = s->o->image_deny_private;
	if (s->o->image_cache_size) {
		rc = quantity_parse(s->o->image_cache_size, &options.max_bytes, err);
		if (rc < 0)
			return error_wrap_rc(err, rc, "--image-cache-size");
	}
	if (s->o->image_cache_age)
		options.max_age = strtoull(s->o->image_cache_age, NULL, 10) * USEC_PER_HOUR;
	if (s->o->image_max_size) {
		rc = quantity_parse(s->o->image_max_size, &options.max_size, err);
		if (rc < 0)
			return error_wrap_rc(err, rc, "--image-max-size");
	}
	if (s->o->image_timeout)
		options.connect_seconds = options.low_speed_seconds =
			MAX((unsigned)strtoul(s->o->image_timeout, NULL, 10), 1u);
	rc = image_cache_new(&options, &s->images, err);
	if (rc == 0)
		rc = disk_store_new(&(DiskStoreOptions){ .state_dir = s->o->state_dir }, &s->disks,
				    err);
	return rc;
}

static int open_hypervisor(Service *s, Error *err)
{
	LibvirtOptions options = { .uri = s->o->libvirt_uri,
				   .virt_type = s->o->virt_type,
				   .store_id = store_id(s->store) };
	int rc = libvirt_hypervisor_new(&options, &s->hypervisor, err);

	return rc < 0 ? rc : libvirt_console_new(s->hypervisor, s->o->state_dir, &s->console, err);
}

static int open_ports(Service *s, Error *err)
{
	int rc = open_network(s, err);

	if (rc == 0)
		rc = open_hypervisor(s, err);
	if (rc == 0)
		rc = open_images(s, err);
	if (rc == 0)
		s->seeds = iso_seed_writer_new();
	return rc;
}

/* ---- STATUS= ---- */

static void status_send(void *arg)
{
	Service *s = arg;
	char text[256];

	if (s->stopping)
		return;
	reconcilers_summary(s->reconcilers, text, sizeof(text));
	notify_status("%s", text);
}

static void status_schedule(void *arg)
{
	Service *s = arg;

	loop_timer_again(s->status_timer, STATUS_DELAY);
}

static void on_change(void *arg)
{
	Service *s = arg;

	loop_post(s->loop, status_schedule, s);
}

/* ---- controllers and API ---- */

static bool stopping_host(void *arg _unused_)
{
	return host_is_stopping();
}

static void make_manager(Service *s)
{
	s->recorder = recorder_new(s->store, clock_system(), "sfd", s->node_name);
	s->manager = manager_new(s->store, clock_system());
	manager_set_recorder(s->manager, s->recorder);
}

static int make_controllers(Service *s, Error *err)
{
	ReconcileEnv env = { .store = s->store,
			     .kinds = s->kinds,
			     .clock = clock_system(),
			     .hypervisor = s->hypervisor,
			     .network = s->network,
			     .images = s->images,
			     .disks = s->disks,
			     .seeds = s->seeds,
			     .node_name = s->node_name,
			     .architecture = s->host.machine,
			     .recorder = s->recorder,
			     .manager = s->manager,
			     .authority = s->authority,
			     .endpoint = server_endpoint(s->server),
			     .host_is_stopping = stopping_host,
			     .changed = on_change,
			     .changed_arg = s };

	return reconcilers_new(&env, s->o->controllers, &s->reconcilers, err);
}

/* "192.0.2.7" of "tls:192.0.2.7:6443"; NULL for what is no TLS listener or means all addresses. */
static char *tls_address(const char *listen)
{
	const char *from = listen + strlen("tls:"), *to = strrchr(listen, ':');
	char *address;

	if (!str_has_prefix(listen, "tls:") || to < from)
		return NULL;
	if (*from == '[' && to - from > 2)
		address = xstrndup(from + 1, (size_t)(to - from) - 2);
	else
		address = xstrndup(from, (size_t)(to - from));
	if (streq(address, "0.0.0.0") || streq(address, "::")) {
		free(address);
		return NULL;
	}
	return address;
}

/* A CA and its certificates are only made where something is to be reached with them. */
static int open_authority(Service *s, const int *fds, size_t n, Error *err)
{
	_cleanup_(xfreep) char *dir = path_in(s->o->state_dir, "pki");
	_cleanup_(strv_freep) char **names = strv_copy(s->o->tls_san);
	AuthorityOptions options = { .dir = dir, .name = s->node_name };
	bool wanted = false;

	strv_foreach (listen, s->o->listen) {
		_cleanup_(xfreep) char *address = tls_address(*listen);

		wanted = wanted || str_has_prefix(*listen, "tls:");
		if (address)
			names = strv_append(names, address);
	}
	for (size_t i = 0; i < n; i++)
		wanted = wanted || server_fd_needs_tls(fds[i]);
	options.names = names;
	return wanted ? authority_open(&options, &s->authority, err) : 0;
}

/*
 * The local socket is always there: by systemd, by --listen, or else at its usual place. The same
 * path passed and named is one.
 */
static int listen_all(Service *s, const int *fds, size_t n, Error *err)
{
	_cleanup_(xfreep) char *standard = xasprintf("unix:%s/sfd.sock", s->o->runtime_dir);
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = server_listen_fd(s->server, fds[i], err);
	strv_foreach (address, s->o->listen) {
		if (rc == 0 && !server_listens_on(s->server, *address))
			rc = server_listen(s->server, *address, err);
	}
	if (rc == 0 && !server_listens_on(s->server, "unix:"))
		rc = server_listen(s->server, standard, err);
	return rc;
}

/* Opens what it listens on; nobody is answered yet. */
static int open_server(Service *s, Error *err)
{
	struct group *group = getgrnam(s->o->group);
	_cleanup_(xfreep) int *fds = NULL;
	size_t n = 0;
	ServerOptions options = { .store = s->store,
				  .kinds = s->kinds,
				  .clock = clock_system(),
				  .console = s->console,
				  .network = s->network,
				  .manager = s->manager,
				  .node_name = s->node_name,
				  .default_namespace = "default",
				  .tls_name = s->o->tls_san ? s->o->tls_san[0] : NULL,
				  .admin_gid = group ? group->gr_gid : (gid_t)-1 };
	int rc = activation_fds(&fds, &n, err);

	if (rc == 0)
		rc = open_authority(s, fds, n, err);
	options.authority = s->authority;
	if (rc == 0)
		rc = server_new(&options, &s->server, err);

	/* That of the default is made by the package, where there is one; --check says so. */
	if (!group && !streq(s->o->group, "sfd"))
		log_warning("there is no group \"%s\": only root may use the API", s->o->group);
	return rc < 0 ? rc : listen_all(s, fds, n, err);
}

/* ---- signals and health ---- */

static void on_stop(void *arg)
{
	Service *s = arg;

	loop_quit(s->loop, 0);
}

/* Reload: everything again. Options are read at start only, and say so in the manual. */
static void on_reload(void *arg)
{
	Service *s = arg;

	notify_reloading();
	manager_resync(s->manager, NULL);
	notify_ready(NULL);
}

static bool is_healthy(void *arg)
{
	Service *s = arg;
	char why[200];

	if (manager_is_healthy(s->manager, why, sizeof(why)))
		return true;
	log_error("not healthy: %s", why);
	return false;
}

static int watch_signals(Service *s, Error *err)
{
	int rc = loop_signal(s->loop, SIGTERM, on_stop, s, err);

	if (rc == 0)
		rc = loop_signal(s->loop, SIGINT, on_stop, s, err);
	if (rc == 0)
		rc = loop_signal(s->loop, SIGHUP, on_reload, s, err);
	if (rc == 0)
		rc = loop_watchdog(s->loop, is_healthy, s, err);
	if (rc == 0)
		rc = loop_timer(s->loop, STATUS_DELAY, status_send, s, &s->status_timer, err);
	return rc;
}

/* ---- life cycle ---- */

static int service_start(Service *s, Error *err)
{
	int rc = make_directories(s->o, err);

	if (rc < 0 && geteuid() != 0)
		error_wrap(err, "sfd needs root (systemctl start sfd)");
	set_node_name(s);
	s->kinds = kind_registry_new();
	/* Before any thread: capabilities belong to threads, and new ones inherit what is left. */
	if (rc == 0)
		rc = privileges_drop_daemon(err);
	if (rc == 0)
		rc = open_store(s, err);
	if (rc == 0)
		rc = open_ports(s, err);
	if (rc == 0)
		rc = watch_signals(s, err);
	if (rc == 0)
		make_manager(s);
	if (rc == 0)
		rc = open_server(s, err);
	if (rc == 0)
		rc = make_controllers(s, err);
	/* The API first: without it nothing is touched, and who asks is answered before thousands
	 * of objects have been looked after. */
	if (rc == 0)
		rc = server_start(s->server, err);
	if (rc == 0)
		rc = manager_start(s->manager, err);
	return rc;
}

#define FREE_PORT(port) \
	do { \
		if (port) \
			(port)->ops->free(port); \
	} while (0)

static void service_stop(Service *s)
{
	_cleanup_(error_done) Error err = ERROR_INIT;

	s->stopping = true;
	notify_stopping();
	if (s->server)
		server_stop(s->server, STOP_GRACE);
	if (s->manager && manager_stop(s->manager, STOP_GRACE, &err) < 0) {
		/* A worker hangs in a foreign call. Nothing of ours is half done that the next
		 * start would not see. */
		log_warning("stop: %s", error_message(&err));
		_exit(0);
	}
	server_free(s->server);
	loop_source_free(s->status_timer);
	FREE_PORT(s->console);
	FREE_PORT(s->hypervisor);
	FREE_PORT(s->network);
	FREE_PORT(s->images);
	FREE_PORT(s->disks);
	FREE_PORT(s->seeds);
	manager_free(s->manager);
	reconcilers_free(s->reconcilers);
	recorder_free(s->recorder);
	authority_free(s->authority);
	store_free(s->store);
	kind_registry_free(s->kinds);
	if (s->net_spawned)
		net_spawn_done(&s->net_spawn);
	loop_free(s->loop);
	free(s->revision_file);
}

int service_run(const Options *o)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Service s = { .o = o };
	int rc = loop_new(&s.loop, &err);

	fs_raise_descriptor_limit(); /* a connection of the API is one */
	if (rc == 0)
		rc = service_start(&s, &err);
	if (rc == 0) {
		log_notice("sfd %s runs as node %s", SF_VERSION, s.node_name);
		notify_ready("started");
		rc = loop_run(s.loop, &err);
	}
	if (rc < 0)
		log_error("%s", error_message(&err));
	service_stop(&s);
	if (rc < 0)
		return error_code_is_terminal(rc) || s.store_is_unusable ? EXIT_CONFIG : 1;
	return rc;
}

/* ---- the net role ---- */

static void net_is_ready(void *arg _unused_)
{
	notify_ready("networks are watched");
}

static void net_is_reloading(void *arg _unused_)
{
	notify_reloading();
}

static void net_is_alive(void *arg _unused_)
{
	notify_alive();
}

int net_service_run(const Options *o)
{
	_cleanup_(xfreep) char *standard = path_in(o->runtime_dir, "net.sock"),
			       *state = path_in(o->runtime_dir, "net");
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) int *fds = NULL;
	NetRoleOptions options = { .state_dir = state,
				   .ready = net_is_ready,
				   .reloading = net_is_reloading,
				   .alive = net_is_alive,
				   .alive_every = watchdog_interval() };
	int rc = fs_mkdir_p(o->runtime_dir, 0755, &err);

	if (rc == 0)
		rc = activation_fds(&fds, &options.n_listen_fds, &err);
	options.listen_fds = fds;
	if (o->net_socket_fd >= 0)
		options.connection_fd = o->net_socket_fd;
	else if (options.n_listen_fds == 0)
		options.socket_path = o->net_socket ? o->net_socket : standard;
	if (rc == 0)
		rc = net_role_main(&options, &err);
	if (rc < 0)
		log_error("net role: %s", error_message(&err));
	return rc < 0 ? 1 : 0;
}
