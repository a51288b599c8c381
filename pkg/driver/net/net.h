/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data plane of virtual networks: the NetworkDriver that sfd uses (a client of the net role),
 * and the net role itself, which alone holds network privileges and knows no Object.
 *
 * The role is one thread. It outlives sfd where systemd runs it (it listens on a path) and ends
 * with sfd where sfd started it (a socket pair); in both cases bridges, namespaces, taps and
 * dnsmasq stay, and its successor adopts them.
 */
#pragma once

#include <sys/types.h>

#include "driver/network.h"

/* ---- inside sfd ---- */

/* Makes a connected stream socket to a net role; called on the driver's own thread, again after
 * each loss of the connection. */
typedef int (*NetConnectFn)(void *arg, int *ret_fd, Error *err);

typedef struct NetClientOptions {
	const char *socket_path; /* connect here, or: */
	NetConnectFn connect;
	void *connect_arg; /* must outlive the driver */
} NetClientOptions;

/*
 * Starts the driver and its thread; does not wait for the role. A call made while there is no
 * connection waits up to two seconds for one, then fails with -ERR_UNAVAILABLE. After each
 * connection the subscriber hears uid = NULL.
 */
int network_client_new(const NetClientOptions *o, NetworkDriver **ret, Error *err);

/*
 * Where there is no systemd: runs `exe --role=net --net-socket-fd 3 --runtime-dir DIR` with one end
 * of a socket pair as descriptor 3. For NetClientOptions.connect, with a NetSpawn as argument: the
 * role that ended is started again by the next attempt to connect.
 */
typedef struct NetSpawn {
	const char *exe;         /* absolute path of sfd */
	const char *runtime_dir; /* handed on as --runtime-dir */
	pid_t pid;               /* of the role started last; 0 = none yet */
	int pidfd;
} NetSpawn;
int net_spawn(void *spawn, int *ret_fd, Error *err);
/* Ends the role that was started last, if any, and waits for it; guests keep their networks. */
void net_spawn_done(NetSpawn *spawn);

/* ---- the net role ---- */

typedef struct NetRoleOptions {
	const char *socket_path; /* bind and listen here; NULL = no */
	const int *listen_fds;   /* or listen on these (socket activation) */
	size_t n_listen_fds;
	int connection_fd;     /* or serve this connected socket only, and end with it; 0 = none */
	const char *state_dir; /* absolute, e.g. /run/sfd/net; every directory above must be
				* searchable for dnsmasq's user */
	uid_t client_uid;      /* may connect besides root; owns the socket file */
	/* Each may be NULL: */
	void (*ready)(void *arg);     /* everything is known, requests are served */
	void (*reloading)(void *arg); /* SIGHUP: all is compared again, then ready() is called */
	void (*alive)(void *arg);     /* each alive_every, if that is not 0, while the role works */
	usec_t alive_every;
	void *arg;
} NetRoleOptions;

/* Runs until SIGTERM, SIGINT or the end of connection_fd; 0 or a negative code. */
int net_role_main(const NetRoleOptions *o, Error *err);
