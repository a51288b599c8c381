/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One libvirt connection that is kept up, and how every call over it is made. Private to this
 * folder. Any thread.
 *
 * Locks: Libvirt.lock guards everything here and is taken alone; the subscriber is called under
 * none.
 */
#pragma once

#include <libvirt/libvirt.h>
#include <pthread.h>

#include "base/hashmap.h"
#include "driver/libvirt/call.h"
#include "driver/libvirt/libvirt.h"
#include "driver/libvirt/xml.h"

#define CONNECT_TIMEOUT (3 * USEC_PER_SEC)
/* After so many abandoned calls a connection is replaced: libvirtd serves five at a time. */
#define CONNECTION_ABANDONED_MAX 3

typedef struct Libvirt Libvirt;

/*
 * A call that changes something has a connection of its own, taken from those that are idle or
 * opened for it: in libvirt 9.0 a thread that waits for a reply may keep the request of another
 * thread of the same connection from being sent, so nobody shares one with a call that may hang.
 * One that stays idle is closed: libvirtd asks each connection every 5 s whether we are there.
 */
#define SPARES_MAX     4
#define SPARE_IDLE_MAX (5 * USEC_PER_SEC)

/* Counted: one reference is the current one's, one each running call's. */
typedef struct Connection {
	Libvirt *libvirt; /* a reference */
	virConnectPtr conn;
	unsigned refs, abandoned; /* abandoned: of calls that share it */
	bool dead;
	bool remote;       /* a libvirtd is behind it */
	usec_t idle_since; /* of a spare */
	int lifecycle;     /* callback id, -1 = none */
	bool close_registered;
	/* Found out once per connection; "" and false until env_known. */
	bool env_known, relabel;
	char virt_type[16];
} Connection;

/* How a domain ended, where libvirt's state alone does not say it. */
typedef enum DomainEnd { END_NONE, END_PANIC, END_SIGNAL } DomainEnd;

struct Libvirt {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	Clock *clock;
	unsigned refs; /* owner, connector, connections, calls */
	char *uri, *virt_type, *store_id, *log_dir;
	bool validate;
	Calls *calls;
	Connection *current;            /* NULL = not connected */
	Connection *spares[SPARES_MAX]; /* idle; the longest comes first, the last is taken */
	unsigned n_spares;
	usec_t connecting_since, retry_at;
	unsigned failures;
	Error last_error;
	bool stopping, connector_ended;
	Hashmap *ends; /* domain name -> DomainEnd + 1 of its last end */
	DomainEventFn event;
	void *event_arg;
	unsigned emitting; /* calls of event that have not returned */
};

Libvirt *libvirt_new(const LibvirtOptions *o);
void libvirt_ref(Libvirt *lv);
void libvirt_unref(Libvirt *lv);
int libvirt_start(Libvirt *lv, Error *err);
void libvirt_stop(Libvirt *lv);
void libvirt_subscribe(Libvirt *lv, DomainEventFn fn, void *arg);
void libvirt_emit(Libvirt *lv, const char *domain);
DomainEnd libvirt_domain_end(Libvirt *lv, const char *domain);

/* What calls over the connection have in common; first member of their type. */
typedef struct LibvirtCall {
	Call call;
	Libvirt *libvirt;
	Connection *connection;
	int (*op)(struct LibvirtCall *c, virConnectPtr conn, Error *err);
	void (*done)(struct LibvirtCall *c); /* frees the user's type */
	char *domain;
} LibvirtCall;

/* Prepares c (zeroed, allocated by the caller); what: the verb, static; slot NULL = shares none. */
void libvirt_call_init(LibvirtCall *c, Libvirt *lv, CallKind kind, const char *what,
		       const char *domain, const char *slot);
/* Gets a connection and runs op on a helper thread; see calls_run(). */
int libvirt_call_run(LibvirtCall *c, Context *ctx, Error *err);
void libvirt_call_unref(LibvirtCall *c);

/* On a helper thread: virtualization type and relabelling, asked for once per connection. */
int connection_env(Connection *c, DomainXmlEnv *ret, Error *err);

/* ---- events.c ---- */

/* Starts libvirt's default event loop on a thread of its own, once per process. */
int events_start(Error *err);
/* Registers for lifecycle events and for the end of the connection. */
int events_register(Connection *c, Error *err);
void events_unregister(Connection *c);
