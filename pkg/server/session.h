/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions (session.c): blocking port calls and raw streams, each on a thread of its own, to which
 * a suspended request or an upgraded connection belongs meanwhile.
 */
#pragma once

#include "base/ip.h"
#include "server/internal.h"

#define SESSION_OPEN_SECONDS 10u

typedef struct Session Session;
/* Runs on the session's thread; gives a descriptor. */
typedef int (*SessionOpenFn)(Session *s, Context *ctx, int *ret_fd, Error *err);
struct Session {
	Server *server;
	Session *prev, *next;
	Request *request; /* until it is resumed */
	SessionOpenFn open;
	char *node, *target, *uid; /* of the port call */
	IpAddress address;
	uint16_t port;
	bool upgrade;
	int fd; /* the port's; -1 = none */
	int rc;
	Error err;
	/* Under Server.lock, with the condition. */
	pthread_cond_t cond;
	int sock; /* after the upgrade; -1 before */
	struct MHD_UpgradeResponseHandle *urh;
	char *extra;
	size_t n_extra;
	bool started, abandoned;
	atomic_bool canceled;
	void (*done)(Request *r);  /* on the HTTP thread, once open() returned */
	void (*relay)(Session *s); /* between sock and fd, on the session's thread: bytes as they
				      are, unless done() sets another one */
	void *state;               /* relay's; freed with the session */
};
Session *session_new(Request *r, SessionOpenFn open, void (*done)(Request *r));
/* Suspends the request and starts, or answers that there are too many. */
void session_start(Session *s);
void session_release(Request *r);
/* Answers 101 with that Upgrade and hands the socket to the session. */
void session_upgrade(Request *r, const char *protocol);
/* The connection ended before or without an upgrade. */
void session_abandon(Session *s);
void sessions_stop(Server *s);
/* A thread of that kind, detached: 0 or an errno. */
int session_thread(void *(*run)(void *arg), void *arg);
