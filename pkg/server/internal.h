/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all files of the server share: connection, request, routes and the server itself, and the
 * way of a request until it has a handler. The parts beside it have headers of their own:
 * identity.h, handlers.h, write.h, list.h, render.h, reply.h, session.h. Not for anyone outside
 * this folder and its tests.
 *
 * Threads: a Request belongs to the HTTP thread of its connection; while the connection is
 * suspended it belongs to whoever will resume it (the store's writer, or a session's thread). A
 * Conn's place in the list, its deadline and its wake are under Server.lock. Order of locks:
 * Server.lock, then kinds_lock or a stream's own lock, then libmicrohttpd's.
 */
#pragma once

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <strings.h>

#include "api/schema.h"
#include "api/wellknown.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "server/credentials.h"
#include "server/identity.h"
#include "server/rbac.h"
#include "server/route.h"
#include "server/server.h"
#include "json/json.h"

#define BODY_MAX             (3u * 1024 * 1024)
#define BODY_DISCARD_MAX     (16u * 1024 * 1024) /* read and dropped so that the 413 can be told */
#define HEAD_DEADLINE        (10 * USEC_PER_SEC)
#define BODY_DEADLINE        (60 * USEC_PER_SEC)
#define IDLE_DEADLINE        (120 * USEC_PER_SEC) /* longer than the 90 s of Go's clients */
#define REPLY_DEADLINE       (300 * USEC_PER_SEC)
#define CONNECTIONS_MAX      8192
#define CONNECTIONS_PER_USER 256 /* of a local user who is no administrator */
#define CONNECTIONS_OF_ROOT  16  /* more for administrators of this host: they must always get in */
#define DESCRIPTORS_INSIDE   256 /* never for connections: the store, the drivers, sessions */
#define WATCH_QUEUE_MAX      1024
#define BOOKMARK_INTERVAL    (60 * USEC_PER_SEC)
#define SESSIONS_MAX         64
#define CONFLICT_RETRIES     1000 /* a patch is never told of a race, as in Kubernetes */
#define ALLOW_MAX            48

#define API_GROUP_ALL_VERBS \
	"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"

/* ---- a connection ---- */

/* A stream that hangs on a connection (watch, followed log): poked when its time has come. */
typedef enum Poke { POKE_TIMER, POKE_PEER_GONE, POKE_STOPPING, POKE_KINDS } Poke;
typedef void (*PokeFn)(void *arg, Poke why);

typedef struct Conn {
	Server *server;
	struct Conn *prev, *next;
	struct MHD_Connection *mhd;
	uint64_t id;
	int fd;
	void *tls;      /* its session; NULL = plain */
	PeerIds *peer;  /* of a Unix socket */
	Identity *who;  /* by peer or certificate; NULL = not looked at yet */
	uid_t stranger; /* a local user who is no administrator; else (uid_t)-1. Never changes */
	Identity *used; /* by a credential, last: the connection falls with it. Under Server.lock */
	usec_t expires; /* of that; then the connection is shut down. Under Server.lock */
	bool served;    /* a request came */
	bool known;     /* a request of somebody with a name came. Written under Server.lock */
	bool shed;      /* shut down to make room. Under Server.lock */
	usec_t deadline; /* then the connection is shut down; USEC_INFINITY = none */
	PokeFn poke;     /* under Server.lock; NULL = no stream */
	void *poke_arg;
	usec_t wake; /* when to poke; USEC_INFINITY = never */
} Conn;

/* ---- a request and its reply ---- */

/* What must be allowed: a verb on a resource, or on a path that is none. */
typedef enum Rule {
	RULE_NONE, /* a method that nobody is ever granted by name */
	RULE_PATH_GET,
	RULE_PATH_POST,
	RULE_PATH_PUT,
	RULE_PATH_PATCH,
	RULE_PATH_DELETE,
	RULE_GET,
	RULE_LIST,
	RULE_WATCH,
	RULE_CREATE,
	RULE_UPDATE,
	RULE_PATCH,
	RULE_DELETE,
	RULE_DELETECOLLECTION,
	_RULE_MAX,
} Rule;
const char *rule_verb(Rule rule);

typedef enum Accept {
	ACCEPT_JSON,
	ACCEPT_TABLE,
	ACCEPT_METADATA,
	ACCEPT_YAML,
	ACCEPT_NOTHING, /* that we have */
} Accept;

typedef struct Reply {
	unsigned code; /* 0 = not decided yet */
	const char *content_type;
	char *body; /* owned */
	size_t len;
	Object *object;                /* instead of body: its text is sent */
	struct MHD_Response *response; /* instead of both: a stream or a big list */
	bool close;
	bool bad_credential;   /* of a 401: one was shown */
	char allow[ALLOW_MAX]; /* the methods, for 405 */
	char **warnings;
} Reply;

typedef struct Request Request;

/* What became of a commit; filled in on the writer's thread, read after the resume. */
typedef struct Commit {
	int rc;
	Error err;
	Object *object; /* the new state of the last object of the Txn; NULL if there is none */
	bool removed;
	bool changed;
	int64_t revision;
	void (*done)(Request *r);
} Commit;

/* Only the HTTP thread reads or writes this: a resume may come before the suspending call is back.
 */
typedef enum RequestState {
	REQUEST_HEAD,   /* head not yet looked at */
	REQUEST_NAMING, /* asleep until the peer has a name */
	REQUEST_BODY,   /* head accepted, body comes in or the handler runs */
	REQUEST_ASLEEP,
	REQUEST_ANSWERED,
} RequestState;

struct Request {
	Server *server;
	Conn *conn;
	struct MHD_Connection *mhd;
	Identity *who; /* from the head on; NULL before */
	RequestState state;
	Method method;
	Target target;
	const char *raw_target; /* where it lay in libmicrohttpd's buffer; compared, never read */
	size_t raw_target_len;
	bool bad_target, impersonates;
	char *bad_reason;
	Route route;
	Rule rule;
	const char *verb; /* "get", "list", ...: what authorization was asked for */
	bool admitted;    /* who it is may do it: only then a handler runs */
	Kind *kind;       /* of route.resource; of a write to a view, the kind that it shows */
	Kind *shown;      /* then the view; else NULL */
	Accept accept;    /* never ACCEPT_YAML: that is JSON, written otherwise at the end */
	bool yaml;
	bool discovery_v2, discovery_v2beta1;
	StrBuf body;
	size_t discarded;
	Reply reply;
	FieldErrors doubled; /* fields that the body names twice; told as fieldValidation says */
	/* Writes. */
	Commit commit;
	unsigned attempts;
	bool dry_run;
	Object *base;   /* what the write in flight was computed from */
	bool generated; /* the name of what is created is our choice */
	bool pinned;    /* the client named a resourceVersion: a lost race is its to know */
	struct Session *session;
	void *stream; /* of a watch or followed log; freed when the request is over */
	void (*stream_free)(void *stream);
	json_t *work; /* a handler's own state between two commits */
	/* For /metrics. */
	usec_t began;
	const struct RouteRow *row; /* NULL = none is */
	struct RequestSeries *series;
	bool streams; /* its answer lasts: no longer counted as in flight */
};

/* ---- the server ---- */

typedef struct Listener {
	Server *server;
	struct MHD_Daemon *daemon;
	int fd;
	char *path; /* of a Unix socket made by us: unlinked at the end */
	bool tcp, tls;
} Listener;

typedef struct OpenApi OpenApi;

typedef struct HttpCounters {
	_Atomic uint64_t connections, broken, refused, cut;
	_Atomic uint64_t logins, logins_failed; /* requests authenticated, and not */
	_Atomic uint64_t handshakes_failed;     /* TLS connections that ended before a request */
	_Atomic int64_t open, sessions;
} HttpCounters;

struct Server {
	ServerOptions options;
	char *node_name, *default_namespace, *admin_group;
	uid_t uid;
	Identity *loopback;  /* of everybody on plain TCP */
	Identity *anonymous; /* of who shows nothing over TLS */
	CredentialCache *credentials;
	PeerNames *names;
	char *tls_name, *endpoint;
	Authorizer *authz;
	Listener *listeners;
	size_t n_listeners, cap_listeners;
	HttpCounters counters;
	usec_t started;

	pthread_mutex_t lock;
	pthread_cond_t idle;      /* in_flight or sessions went down, or a connection went */
	Conn *conns, *conns_tail; /* the newest and the oldest */
	size_t n_conns, n_shed;
	size_t conns_max, conns_per_user; /* set once */
	usec_t shed_told;
	uint64_t next_conn_id;
	size_t in_flight; /* commits whose answer is not yet handed back, logs being opened */
	size_t n_busy;    /* connections with a request that has no complete answer yet */
	bool stopping, running, caretaker_stop;
	struct Session *sessions;
	size_t n_sessions;

	pthread_t caretaker;
	int epoll_fd, wake_fd;
	usec_t next_wake; /* under lock: when the caretaker looks again by itself */

	OpenApi *openapi;

	pthread_mutex_t kinds_lock;
	Kind **kinds; /* of generation kinds_generation; each referenced */
	size_t n_kinds;
	uint64_t kinds_generation;

	Watch *definitions; /* of kinds, while it runs */

	struct RenderCache *render_cache; /* of watches */
	struct RequestMetrics *request_metrics;
};

/* openapi.c: the documents, made once for a generation of the kinds. */
OpenApi *openapi_new(void);
OpenApi *openapi_free(OpenApi *o);

static inline Clock *server_clock(const Server *s)
{
	return s->options.clock;
}

/* The Kind served there, or NULL. Client's text is only compared, never interned. */
Kind *server_kind(Server *s, const char *group, const char *version, const char *plural);
/* All kinds, referenced; the caller unrefs each and frees the array. */
Kind **server_kinds(Server *s, size_t *ret_n);
void kinds_free(Kind **kinds, size_t n);
/* Watches of a kind end when its definition goes or changes: their clients look anew. */
int kinds_watch(Server *s, Error *err);
/* True if a definition of that name describes a compiled-in kind. */
bool server_describes_builtin(Server *s, const char *crd_name);
bool server_has_group(Server *s, const char *group, const char *version);

/* The server does not stop between the two; false = it stops already. */
bool server_enter(Server *s);
void server_leave(Server *s);

/* ---- caretaker.c: deadlines, peers that left, timers of streams ---- */

int caretaker_start(Server *s, Error *err);
void caretaker_stop(Server *s);
/* HTTP threads wake the caretaker also when it is no more: only once they are gone, too. */
void caretaker_done(Server *s);
void conn_add(Server *s, Conn *c);
void conn_remove(Server *s, Conn *c);
void conn_set_deadline(Conn *c, usec_t after); /* USEC_INFINITY = none */
/* Hooks a stream to its connection; from now on the peer's close is seen. */
void conn_attach(Conn *c, PokeFn poke, void *arg);
void conn_detach(Conn *c);
void conn_set_wake(Conn *c, usec_t at);
/* How many connections there may be, by how many descriptors there may be. */
void conns_set_limits(Server *s);
/* The connection acts for `who` from now on, and ends when that one's credential does. */
void conn_use(Conn *c, Identity *who);
/* Shuts down what acts by that credential. Any thread, the store's writer too. */
void server_cut_credential(void *server, const char *uid);
/* Tells all streams that the server stops; who does not read its end is cut. */
void server_end_streams(Server *s);
/* Tells them that what is served has changed. */
void server_review_streams(Server *s);

/* ---- http.c ---- */

int http_listener_start(Server *s, Listener *l, unsigned threads, Error *err);
void request_suspend(Request *r);
void request_resume(Request *r);
const char *request_header(Request *r, const char *name); /* NULL if absent */

/* ---- head.c ---- */

/* With the head: does it mean one thing only, and may such a thing come here at all? False = it is
 * answered, and nothing more is read. */
bool request_check_head(Request *r, const char *method, const char *version);

/* ---- dispatch.c, routes.c ---- */

/* With the head: who, and may they? Sets r->admitted, or leaves the refusal as reply. */
void request_admit(Request *r);
/* With the body, if admitted: calls the handler; sets a reply or suspends. */
void request_dispatch(Request *r);
/*
 * The decision about what the request names, for a verb that shows only later (an apply that turns
 * out to create). False = refused and answered.
 */
bool request_may(Request *r, const char *verb);

/* What is done to a path: the method, and whether a collection is to be watched. */
typedef enum Op {
	OP_GET = 1 << 0,
	OP_HEAD = 1 << 1,
	OP_WATCH = 1 << 2,
	OP_WATCH_HEAD = 1 << 3,
	OP_POST = 1 << 4,
	OP_PUT = 1 << 5,
	OP_PATCH = 1 << 6,
	OP_DELETE = 1 << 7,
	OP_OTHER = 1 << 8,
} Op;
Op request_op(const Request *r);

typedef struct RouteRow {
	RouteType type;
	unsigned ops;
	const char *resource;    /* "group/plural"; NULL = any */
	const char *subresource; /* NULL = any */
	Rule rule;
	void (*handler)(Request *r);
	bool (*offered)(const Request *r); /* does r->kind have it? */
	bool kindless;                     /* served without a kind */
} RouteRow;
/* All there are, for tests. */
const RouteRow *route_rows(size_t *ret_n);
/* What must be allowed for that, whether such a route exists or not. Looks nothing up. */
Rule route_rule(const Route *route, Op op);
/* The row for the request and its kind (r->kind, or NULL); else NULL and the ops that there are. */
const RouteRow *route_find(const Request *r, unsigned *ret_ops);

/* ---- authn_proof.c ---- */

/* Sets r->who from the connection or the head; false if it is answered (401). */
bool request_authenticate(Request *r);
