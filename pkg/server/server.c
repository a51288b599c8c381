/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server: life cycle and listening sockets.
 *
 * Each listener has its own libmicrohttpd daemon with a pool of threads, because a Unix and a TCP
 * socket know different things about who is calling. Stopping goes in the order that leaves nobody
 * waiting: no new connections, streams and sessions told to end, commits in flight answered, then
 * the daemons. All functions here are the main thread's.
 */
#include "server/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/fs.h"
#include "base/ip.h"
#include "base/log.h"
#include "server/internal.h"
#include "server/metrics.h"
#include "server/session.h"
#include "server/watch.h"

#define LISTEN_BACKLOG 512
#define THREADS_MIN    2L
#define THREADS_MAX    8L

int server_new(const ServerOptions *options, Server **ret, Error *err)
{
	static char masters[] = GROUP_MASTERS;
	char *const groups[] = { masters, NULL };
	_cleanup_(authorizer_freep) Authorizer *authz = NULL;
	Server *s;
	int rc;

	if (!options->store || !options->kinds)
		return error_set(err, ERR_INVALID, "a server needs a store and its kinds");
	rc = authorizer_new(options->store, &authz, err);
	if (rc < 0)
		return rc;
	s = xnew0(Server, 1);
	s->authz = TAKE_PTR(authz);
	s->options = *options;
	if (!s->options.clock)
		s->options.clock = clock_system();
	s->node_name = xstrdup(options->node_name ? options->node_name : "");
	s->default_namespace =
		xstrdup(options->default_namespace ? options->default_namespace : "default");
	s->admin_group = options->admin_gid == (gid_t)-1 ? NULL : group_name(options->admin_gid);
	s->uid = geteuid();
	s->loopback = identity_new(IDENTITY_LOOPBACK, USER_LOOPBACK, groups, NULL);
	s->started = clock_wall(s->options.clock);
	s->epoll_fd = s->wake_fd = -1;
	s->next_wake = USEC_INFINITY;
	conns_set_limits(s);
	s->render_cache = render_cache_new();
	s->request_metrics = request_metrics_new();
	s->names = peer_names_new();
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->kinds_lock, NULL);
	s->openapi = openapi_new();
	clock_cond_init(&s->idle);
	s->anonymous = identity_new(IDENTITY_ANONYMOUS, USER_ANONYMOUS, NULL, NULL);
	s->tls_name = xstrdup(options->tls_name);
	rc = credential_cache_new(options->store, server_cut_credential, s, &s->credentials, err);
	if (rc < 0) {
		server_free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

/*
 * What is accepted inherits this. A peer that lost its power or network says nothing, for ever: its
 * watch would stay. And the last part of a TLS handshake must not wait for the peer to acknowledge
 * the first, which takes him 40 ms.
 */
static void set_tcp_options(int fd)
{
	static const struct {
		int level, option, value;
	} options[] = {
		{SOL_SOCKET,   SO_KEEPALIVE,  1 },
                { IPPROTO_TCP, TCP_KEEPIDLE,  60},
		{ IPPROTO_TCP, TCP_KEEPINTVL, 15},
                { IPPROTO_TCP, TCP_KEEPCNT,   4 },
		{ IPPROTO_TCP, TCP_NODELAY,   1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		(void)setsockopt(fd, options[i].level, options[i].option, &options[i].value,
				 sizeof(options[i].value));
}

static Listener *listener_add(Server *s, int fd)
{
	GROW_ARRAY(s->listeners, s->n_listeners, s->cap_listeners);
	s->listeners[s->n_listeners] = (Listener){ .fd = fd };
	return &s->listeners[s->n_listeners++];
}

/* A child that a dead server was just making has its sockets until it executes its program: what
 * counts is who called listen(). */
static bool listener_is_alive(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || cred.pid <= 0 ||
	       kill(cred.pid, 0) == 0 || errno != ESRCH;
}

/* A socket file that nobody listens on is left over from a crash; one that answers is not ours. */
static int unlink_stale(const struct sockaddr_un *addr, Error *err)
{
	_cleanup_(fd_closep) int fd = -1;
	struct stat st;

	if (lstat(addr->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : error_set_errno(err, errno, "%s", addr->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, ERR_EXISTS, "%s exists and is no socket", addr->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set_errno(err, errno, "socket");
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 ? listener_is_alive(fd)
									   : errno == EAGAIN)
		return error_set(err, ERR_CONFLICT, "another server listens on %s", addr->sun_path);
	if (unlink(addr->sun_path) < 0 && errno != ENOENT)
		return error_set_errno(err, errno, "remove stale %s", addr->sun_path);
	return 0;
}

static int listen_unix(Server *s, const char *path, Error *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_cleanup_(fd_closep) int fd = -1;
	size_t len = strlen(path);
	int rc;

	if (len == 0 || len >= sizeof(addr.sun_path))
		return error_set(err, ERR_INVALID, "socket path %s: 1 to %zu bytes are possible",
				 path, sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, len);
	rc = unlink_stale(&addr, err);
	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set_errno(err, errno, "socket");
	/* Everybody may connect: who it is says the kernel, and what they may, the rules. bind()
	 * gives the file the socket's mode, less the umask. */
	if (fchmod(fd, 0666) < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    chmod(path, 0666) < 0)
		return error_set_errno(err, errno, "bind %s", path);
	if (listen(fd, LISTEN_BACKLOG) < 0)
		return error_set_errno(err, errno, "%s", path);
	listener_add(s, TAKE_FD(fd))->path = xstrdup(path);
	return 0;
}

static bool is_loopback(const IpAddress *a)
{
	static const uint8_t one[16] = { [15] = 1 };

	return a->family == AF_INET ? a->bytes[0] == 127 : memcmp(a->bytes, one, 16) == 0;
}

/* "ADDR:PORT" or "[ADDR]:PORT" */
static int parse_endpoint(const char *s, IpAddress *ret_addr, uint16_t *ret_port, Error *err)
{
	_cleanup_(xfreep) char *host = NULL;
	const char *colon = strrchr(s, ':');
	unsigned long port;
	char *end;
	int rc;

	if (!colon)
		return error_set(err, ERR_INVALID, "\"%s\" is not ADDRESS:PORT", s);
	host = *s == '[' && colon > s + 1 && colon[-1] == ']'
		       ? xstrndup(s + 1, (size_t)(colon - s) - 2)
		       : xstrndup(s, (size_t)(colon - s));
	errno = 0;
	port = strtoul(colon + 1, &end, 10);
	if (errno || *end || end == colon + 1 || colon[1] == '-' || port > UINT16_MAX)
		return error_set(err, ERR_INVALID, "\"%s\" is no port", colon + 1);
	rc = ip_parse(host, ret_addr, err);
	if (rc == 0)
		*ret_port = (uint16_t)port;
	return rc;
}

static bool is_any(const IpAddress *a)
{
	static const uint8_t zero[16];

	return memcmp(a->bytes, zero, sizeof(zero)) == 0;
}

/* The address that this host would call others from; no packet is sent. */
static bool own_address(IpAddress *ret)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(9),
				  .sin_addr.s_addr = htonl(0xc0000201) }; /* 192.0.2.1 */
	_cleanup_(fd_closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(to);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&to, &len) < 0)
		return false;
	*ret = (IpAddress){ .family = AF_INET };
	memcpy(ret->bytes, &to.sin_addr, 4);
	return true;
}

/* A name that was given is better than an address, and any address better than "all". */
static char *endpoint_of(const Server *s, int fd, const IpAddress *bound)
{
	struct sockaddr_storage addr = { 0 };
	socklen_t len = sizeof(addr);
	IpAddress ip = *bound;
	char text[IP_TEXT_MAX];
	unsigned port;

	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		return NULL;
	/* At the same place in both families. */
	port = ntohs(((struct sockaddr_in *)&addr)->sin_port);
	if (s->tls_name)
		return xasprintf(strchr(s->tls_name, ':') ? "https://[%s]:%u" : "https://%s:%u",
				 s->tls_name, port);
	if (is_any(&ip) && !own_address(&ip))
		ip = (IpAddress){
			.family = AF_INET, .bytes = {127, 0, 0, 1}
		};
	return xasprintf(ip.family == AF_INET6 ? "https://[%s]:%u" : "https://%s:%u",
			 ip_format(&ip, text), port);
}

/* Takes the descriptor over, also when it is refused. */
static int listener_add_tcp(Server *s, int fd, const IpAddress *ip, bool tls, Error *err)
{
	Listener *l;

	if (tls && !s->options.authority) {
		fd_close(fd);
		return error_set(err, ERR_FORBIDDEN,
				 "plain TCP is for loopback addresses only, and TLS needs a CA");
	}
	set_tcp_options(fd);
	l = listener_add(s, fd);
	l->tcp = true;
	l->tls = tls;
	if (tls && !s->endpoint)
		s->endpoint = endpoint_of(s, fd, ip);
	return 0;
}

static int listen_tcp(Server *s, const char *endpoint, bool tls, Error *err)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in in4 = { .sin_family = AF_INET };
	_cleanup_(fd_closep) int fd = -1;
	const struct sockaddr *addr = (struct sockaddr *)&in4;
	socklen_t addr_len = sizeof(in4);
	IpAddress ip;
	uint16_t port;
	int rc, on = 1;

	rc = parse_endpoint(endpoint, &ip, &port, err);
	if (rc < 0)
		return rc;
	if (!tls && !is_loopback(&ip))
		return error_set(err, ERR_FORBIDDEN,
				 "plain TCP is for loopback addresses only, not %s: use tls:%s",
				 endpoint, endpoint);
	if (ip.family == AF_INET6) {
		memcpy(&in6.sin6_addr, ip.bytes, 16);
		in6.sin6_port = htons(port);
		addr = (struct sockaddr *)&in6;
		addr_len = sizeof(in6);
	} else {
		memcpy(&in4.sin_addr, ip.bytes, 4);
		in4.sin_port = htons(port);
	}
	fd = socket(ip.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set_errno(err, errno, "socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, addr, addr_len) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
		return error_set_errno(err, errno, "%s", endpoint);
	return listener_add_tcp(s, TAKE_FD(fd), &ip, tls, err);
}

int server_listen(Server *s, const char *address, Error *err)
{
	int rc;

	if (str_has_prefix(address, "unix:"))
		rc = listen_unix(s, address + strlen("unix:"), err);
	else if (str_has_prefix(address, "tcp:"))
		rc = listen_tcp(s, address + strlen("tcp:"), false, err);
	else if (str_has_prefix(address, "tls:"))
		rc = listen_tcp(s, address + strlen("tls:"), true, err);
	else
		return error_set(err, ERR_INVALID,
				 "listen address \"%s\": unix:PATH, tls:ADDRESS:PORT and "
				 "tcp:ADDRESS:PORT are known",
				 address);
	return error_wrap_rc(err, rc, "listen");
}

/* What a socket is bound to: family and, for TCP, the address; 0 for anything else. */
static IpAddress bound_address(int fd)
{
	struct sockaddr_storage addr = { 0 };
	socklen_t len = sizeof(addr);
	IpAddress ip = { 0 };

	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		return ip;
	ip.family = addr.ss_family;
	if (ip.family == AF_INET)
		memcpy(ip.bytes, &((struct sockaddr_in *)&addr)->sin_addr, 4);
	else if (ip.family == AF_INET6)
		memcpy(ip.bytes, &((struct sockaddr_in6 *)&addr)->sin6_addr, 16);
	else if (ip.family != AF_UNIX)
		ip.family = 0;
	return ip;
}

bool server_listens_on(const Server *s, const char *address)
{
	const char *path = address + strlen("unix:");
	struct sockaddr_un un;
	socklen_t len;

	if (!str_has_prefix(address, "unix:"))
		return false;
	for (size_t i = 0; i < s->n_listeners; i++) {
		len = sizeof(un);
		memset(&un, 0, sizeof(un));
		if (getsockname(s->listeners[i].fd, (struct sockaddr *)&un, &len) == 0 &&
		    un.sun_family == AF_UNIX &&
		    (!*path || strncmp(un.sun_path, path, sizeof(un.sun_path)) == 0))
			return true;
	}
	return false;
}

bool server_fd_needs_tls(int fd)
{
	IpAddress ip = bound_address(fd);

	return (ip.family == AF_INET || ip.family == AF_INET6) && !is_loopback(&ip);
}

/* Takes the descriptor over, also when it is refused. */
int server_listen_fd(Server *s, int fd, Error *err)
{
	IpAddress ip = bound_address(fd);
	int flags, rc;

	if (ip.family == 0) {
		rc = error_set(err, ERR_INVALID, "passed descriptor %d is neither Unix nor TCP",
			       fd);
		fd_close(fd);
		return rc;
	}
	flags = fcntl(fd, F_GETFL);
	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	if (ip.family != AF_UNIX)
		return error_wrap_rc(err, listener_add_tcp(s, fd, &ip, !is_loopback(&ip), err),
				     "passed socket");
	listener_add(s, fd);
	return 0;
}

const char *server_endpoint(const Server *s)
{
	return s->endpoint;
}

/* As many as there are processors, within reason. Each thread has its own part of the connections,
 * and looks through those that are suspended when one of them is resumed. */
static unsigned default_threads(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	n = MIN(n, THREADS_MAX);
	return (unsigned)MAX(n, THREADS_MIN);
}

int server_start(Server *s, Error *err)
{
	unsigned threads = s->options.threads ? s->options.threads : default_threads();
	_cleanup_(error_done) Error seed_err = ERROR_INIT;
	int rc;

	assert(!s->running);
	if (s->n_listeners == 0)
		return error_set(err, ERR_INVALID, "nothing to listen on");
	/* A store that takes no writes now must not keep root out: roles are there, or come later.
	 */
	if (rbac_seed(s->options.store, &seed_err) < 0)
		log_warning("%s", error_message(&seed_err));
	rc = caretaker_start(s, err);
	if (rc < 0)
		return rc;
	s->running = true;
	rc = kinds_watch(s, err);
	if (rc < 0) {
		server_stop(s, 0);
		return rc;
	}
	for (size_t i = 0; i < s->n_listeners; i++) {
		rc = http_listener_start(s, &s->listeners[i], threads, err);
		if (rc < 0) {
			server_stop(s, 0);
			return rc;
		}
	}
	return 0;
}

bool server_enter(Server *s)
{
	bool stopping;

	pthread_mutex_lock(&s->lock);
	stopping = s->stopping;
	if (!stopping)
		s->in_flight++;
	pthread_mutex_unlock(&s->lock);
	return !stopping;
}

void server_leave(Server *s)
{
	pthread_mutex_lock(&s->lock);
	s->in_flight--;
	pthread_cond_broadcast(&s->idle);
	pthread_mutex_unlock(&s->lock);
}

/* Waits until nothing is in flight; a commit always ends, so there is no bound but the store's. */
static void wait_in_flight(Server *s)
{
	pthread_mutex_lock(&s->lock);
	while (s->in_flight > 0)
		pthread_cond_wait(&s->idle, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

/* Gives requests that are being read or answered until `grace` to finish. */
static void wait_connections(Server *s, usec_t grace)
{
	struct timespec ts;
	usec_t until;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	until = (usec_t)ts.tv_sec * USEC_PER_SEC + (usec_t)ts.tv_nsec / 1000 + grace;
	ts = (struct timespec){ .tv_sec = (time_t)(until / USEC_PER_SEC),
				.tv_nsec = (long)(until % USEC_PER_SEC) * 1000 };
	pthread_mutex_lock(&s->lock);
	while (s->n_busy > 0)
		if (pthread_cond_timedwait(&s->idle, &s->lock, &ts) == ETIMEDOUT)
			break;
	pthread_mutex_unlock(&s->lock);
}

void server_stop(Server *s, usec_t grace)
{
	if (!s->running)
		return;
	s->definitions = watch_close(s->definitions);
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_mutex_unlock(&s->lock);
	for (size_t i = 0; i < s->n_listeners; i++)
		if (s->listeners[i].daemon)
			(void)MHD_quiesce_daemon(s->listeners[i].daemon);
	sessions_stop(s);
	peer_names_stop(s->names);
	server_end_streams(s);
	wait_connections(s, grace);
	wait_in_flight(s);
	caretaker_stop(s);
	for (size_t i = 0; i < s->n_listeners; i++)
		if (s->listeners[i].daemon)
			MHD_stop_daemon(TAKE_PTR(s->listeners[i].daemon));
	caretaker_done(s);
	s->running = false;
}

Server *server_free(Server *s)
{
	if (!s)
		return NULL;
	server_stop(s, 0);
	for (size_t i = 0; i < s->n_listeners; i++) {
		fd_close(s->listeners[i].fd);
		if (s->listeners[i].path)
			(void)unlink(s->listeners[i].path);
		free(s->listeners[i].path);
	}
	free(s->listeners);
	kinds_free(s->kinds, s->n_kinds);
	peer_names_free(s->names);
	render_cache_free(s->render_cache);
	request_metrics_free(s->request_metrics);
	pthread_cond_destroy(&s->idle);
	pthread_mutex_destroy(&s->kinds_lock);
	openapi_free(s->openapi);
	pthread_mutex_destroy(&s->lock);
	credential_cache_free(s->credentials);
	authorizer_free(s->authz);
	identity_unref(s->loopback);
	identity_unref(s->anonymous);
	free(s->admin_group);
	free(s->default_namespace);
	free(s->node_name);
	free(s->tls_name);
	free(s->endpoint);
	free(s);
	return NULL;
}
