/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the server share: connection, request, reply, route, and the functions by which
 * one part reaches another. Not for anyone outside this folder and its tests.
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

#include "api/managed.h"
#include "api/schema.h"
#include "base/ip.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "server/credentials.h"
#include "server/rbac.h"
#include "server/route.h"
#include "server/selector.h"
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

#define FINALIZER_TEARDOWN "shakenfist.io/teardown"
#define ANNOTATION_POWER   "shakenfist.io/power-request"

/* ---- who ---- */

#define GROUP_MASTERS         "system:masters" /* may do everything, whatever the rules say */
#define GROUP_AUTHENTICATED   "system:authenticated"
#define GROUP_UNAUTHENTICATED "system:unauthenticated"
#define USER_ANONYMOUS        "system:anonymous"
#define USER_LOOPBACK         "system:loopback"

/* How somebody came; decides no right, only what a refusal advises. */
typedef enum IdentitySource {
	IDENTITY_ANONYMOUS, /* TLS without any credential */
	IDENTITY_UNIX,      /* the kernel's word */
	IDENTITY_LOOPBACK,  /* plain TCP of this host: no user is known */
	IDENTITY_CERTIFICATE,
	IDENTITY_TOKEN,
} IdentitySource;

/*
 * A user name and groups: nothing else decides what somebody may do. Immutable and refcounted: a
 * Conn holds the one that its peer or certificate gave, a Request one of its own (the same, or that
 * of its bearer token), whoever keeps one longer takes a reference.
 */
typedef struct Identity {
	_Atomic unsigned refs;
	IdentitySource source;
	bool masters; /* in GROUP_MASTERS */
	uid_t uid;    /* of a Unix peer; else (uid_t)-1 */
	char *name;
	char **groups;    /* NULL-terminated */
	char *credential; /* uid of the Credential it came by; NULL = none */
	usec_t expires;   /* wall clock; 0 = never. Set by whoever makes it, before others see it */
} Identity;

/* Adds system:authenticated, or system:unauthenticated for the anonymous. groups and credential may
 * be NULL; all is copied. */
Identity *identity_new(IdentitySource source, const char *name, char *const *groups,
		       const char *credential);
Identity *identity_ref(Identity *i);
Identity *identity_unref(Identity *i);
DEFINE_CLEANUP(Identity *, identity_unref)

/* A peer of a Unix socket by its ids, its primary group first. */
typedef struct PeerIds {
	uid_t uid;
	bool admin; /* of this host: may do everything */
	size_t n;
	gid_t gids[];
} PeerIds;

typedef struct PeerNames PeerNames;

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

/* ---- reply.c: answers ---- */

void reply_json(Request *r, unsigned code, json_t *tree); /* steals tree */
void reply_text(Request *r, unsigned code, const char *text);
void reply_to_yaml(Request *r); /* an answer in JSON becomes one in YAML */
void reply_take(Request *r, unsigned code, const char *content_type, char *body, size_t len);
void reply_object(Request *r, unsigned code, Object *o); /* in the form that was asked for */
void reply_warning(Request *r, const char *text);
void reply_done(Reply *reply);

/* ---- status.c: errors as Kubernetes words them ---- */

/* A Status object. details is stolen and may be NULL. */
json_t *status_failure(unsigned code, const char *reason, json_t *details, const char *message);
void reply_failure(Request *r, unsigned code, const char *reason, json_t *details, const char *fmt,
		   ...) _printf_(5, 6);
void reply_bad_request(Request *r, const char *fmt, ...) _printf_(2, 3);
void reply_no_route(Request *r); /* 404: the server could not find the requested resource */
void reply_method(Request *r, const char *allow);
/* The same for a kind that is only a view. */
void reply_read_only(Request *r, const char *allow);
void reply_not_found(Request *r, const char *name);
void reply_exists(Request *r, const char *name);
void reply_conflict(Request *r, const char *name, const char *why); /* why NULL = modified */
void reply_forbidden(Request *r, const char *name, const char *why);
void reply_expired(Request *r, const char *message);
void reply_media_type(Request *r, const char *accepted);
void reply_invalid(Request *r, const char *name, const FieldErrors *errors);
void reply_invalid_as(Request *r, const char *group, const char *kind, const char *name,
		      const FieldErrors *errors);
void reply_too_large(Request *r, const char *why);
void reply_strict(Request *r, const FieldErrors *unknown);
void reply_not_acceptable(Request *r);
/* Any failure of the store or of decoding, by its code. */
void reply_error(Request *r, int rc, const Error *err, const char *name);
/* {"name","group","kind"[,"uid"]} */
json_t *status_details(const Request *r, const char *name, const char *uid);
void reply_deleted(Request *r, const char *name, const char *uid);

/* ---- authn.c ---- */

/* Of a Unix socket's peer, as the kernel noted them at connect(2); NULL if it does not say. The
 * caller frees. */
PeerIds *peer_ids_of(const Server *s, int fd);
PeerIds *peer_ids_copy(const PeerIds *ids);
Identity *identity_from_peer(const PeerIds *ids, const char *name, char *const *groups);

/* ---- names.c ---- */

/* who is the callee's; NULL = the server stops. */
typedef void (*PeerNamedFn)(void *arg, Identity *who);

PeerNames *peer_names_new(void);
PeerNames *peer_names_free(PeerNames *p);
/* Who it is, if all names are known already; else NULL. Does not block. */
Identity *peer_names_known(PeerNames *p, const PeerIds *ids);
/* Looks them up and calls done, from its own thread; false = it cannot. Does not block. */
bool peer_names_ask(PeerNames *p, const PeerIds *ids, PeerNamedFn done, void *arg);
/* Whoever waits is told so. */
void peer_names_stop(PeerNames *p);
/* What the machine calls a group, NULL = nothing; may take as long as its directory likes. Caller
 * frees. */
char *group_name(gid_t gid);

/* ---- authn_proof.c ---- */

/* Sets r->who from the connection or the head; false if it is answered (401). */
bool request_authenticate(Request *r);

/* ---- review.c ---- */

typedef struct ReviewKind {
	const char *group, *resource, *kind; /* of version v1 */
	bool namespaced;
	/* Fills in tree's status, or errors, or replies. */
	void (*answer)(Request *r, json_t *tree, FieldErrors *errors);
} ReviewKind;
const ReviewKind *review_list(size_t *ret_n);

/* ---- render.c, table.c ---- */

void json_quote(StrBuf *out, const char *s);
Accept accept_parse(const char *header);
/*
 * The object's text in version k. What is stored in it is borrowed from the object; the text of
 * another version is made, and *ret_made is the caller's (NULL otherwise).
 */
bool render_is_text(const Kind *k, const Object *o); /* the stored bytes are that text */
const char *render_text(const Kind *k, const Object *o, size_t *ret_len, char **ret_made);
/* The object's tree in version k, the caller's. */
json_t *render_tree(const Kind *k, const Object *o);
json_t *render_tree_lean(const Kind *k, const Object *o); /* for writing: api/object.h */
/* The object in that form, without a trailing newline. */
void render_object(StrBuf *out, const Kind *k, Accept accept, const char *include, const Object *o,
		   bool with_columns, usec_t wall);
json_t *render_metadata_only(const Object *o, bool item);
void table_head(StrBuf *out, const Kind *k, int64_t revision, const char *continue_token,
		uint64_t remaining, bool with_columns);
void table_row(StrBuf *out, const Kind *k, const Object *o, const char *include, usec_t wall);
void table_tail(StrBuf *out);

/* ---- view.c: kinds that show the objects of another one in their own form ---- */

/* The object as that kind shows it: itself, or made from it. A new reference. */
Object *view_object(Server *s, const Kind *k, Object *o);
/* A body (object, merge patch or JSON patch) in that form into the one of what it shows, in place.
 */
void view_take(const Kind *k, json_t *body);
json_t *view_event_make(Server *s, const json_t *stored);
void view_event_take(json_t *body);
/* A Pod from an Instance (pod.c); the tree is the caller's. */
json_t *pod_from_instance(Server *s, const json_t *instance);
bool pod_is_running(const json_t *instance);
/* Who asks for the Events of a Pod is asking for those of its Instance. */
void pod_events(Request *r, Selector *fields);

/* ---- handlers ---- */

void handle_root(Request *r);
void handle_version(Request *r);
void handle_health(Request *r);
void handle_metrics(Request *r);
void handle_api_versions(Request *r);
void handle_groups(Request *r);
void handle_group(Request *r);
void handle_resources(Request *r);
void handle_openapi_v2(Request *r);
void handle_openapi_v3(Request *r);
void handle_openapi_v3_group(Request *r);
void handle_review(Request *r);
void handle_get(Request *r);
void handle_list(Request *r);
void handle_watch(Request *r);
void handle_create(Request *r);
void handle_update(Request *r);
void handle_delete(Request *r);
void handle_delete_collection(Request *r);
void handle_patch(Request *r);
void handle_finalize(Request *r);
void handle_scale_get(Request *r);
void handle_scale_write(Request *r);
void handle_power(Request *r);
void handle_log(Request *r);
void handle_console(Request *r);
void handle_portforward(Request *r);
void handle_attach(Request *r);
void handle_attach_spdy(Request *r);
void handle_pod_exec(Request *r);
void handle_pod_portforward(Request *r);
void handle_pod_portforward_spdy(Request *r);

/* ---- get.c ---- */

/* limit=; answers and returns < 0 if it is none. */
int list_limit(Request *r, size_t *ret);
/* In the form that the client accepts; list is taken over. */
void reply_list(Request *r, ObjectList *list, bool count_remaining);
/* Why a list failed; for a token that is too old with another one that goes on. */
void reply_list_error(Request *r, const ListOptions *options, int rc, const Error *err);

/* What list, watch and deletecollection select by. */
typedef struct Selection {
	Selector labels, fields;
	const char *namespace; /* borrowed; NULL = all */
	const char *name;      /* borrowed from fields: metadata.name=X, or NULL */
	Server *server;
	const Kind *kind; /* borrowed: fields are of its form */
} Selection;
/* Answers and returns < 0 if a selector is wrong. */
int selection_parse(Request *r, Selection *ret);
void selection_done(Selection *sel);
bool selection_match_quick(const Selection *sel, const Object *o); /* name and labels only */
bool selection_match(const Selection *sel, const Object *o);

/* ---- admission.c: from bytes to a tree that may be stored ---- */

/* Decodes the body; answers and returns < 0 if it cannot be. An empty body gives NULL. */
int body_decode(Request *r, json_t **ret);
/* The same for an object or a patch of one: it must not be empty, and fields that are named twice
 * are left in r->doubled, for admission_fields() to tell. */
int body_decode_object(Request *r, json_t **ret);
/* What a client says of managedFields is a list: a string would be taken for ours. */
int refuse_text(Request *r, const json_t *tree);
/* The key of the request's object; false (and answered) if its name cannot exist. */
bool request_key(Request *r, Key *ret);
/* apiVersion, kind, namespace and name agree with the URL or are filled in. */
int admission_identity(Request *r, json_t *tree, const char *name);
/* Unknown fields and those named twice, as fieldValidation says. */
int admission_fields(Request *r, json_t *tree);
/* The one way to say what can be said in two. */
void admission_normalize(Request *r, json_t *tree);
/* What a writer need not write out, and owns as if he had: defaults, normal forms. */
void admission_default(Request *r, json_t *tree);
/* What the server fills in and nobody owns; schema and cross-object rules. old NULL = a create. */
int admission_complete(Request *r, json_t *tree, const Object *old, const json_t *old_tree);
/* The status of what is about to be created, if it has one from the start; else false. */
bool admission_first_status(const Request *r, json_t *tree);
/* System metadata of a candidate comes from the stored object; NULL = there is none yet. */
void admission_keep_system(json_t *tree, const json_t *old_tree);
/* Rules between an Instance and the networks it names (read from the store). */
void admission_instance(Store *store, const json_t *tree, FieldErrors *errors);
/* Nobody gives by a role or binding what he has not; answers and returns < 0. old NULL = a create.
 */
int admission_rbac(Request *r, const json_t *tree, const json_t *old);
/* Warnings of what waits for a restart (admission_cost.c). */
void admission_tell_costs(Request *r, const json_t *old_tree, const json_t *tree);
/* metadata.resourceVersion of a body: 0 if absent; answers and < 0 if malformed. */
int body_revision(Request *r, const json_t *tree, int64_t *ret);
/* Preconditions that a body states by uid and resourceVersion; answers and < 0 if they fail. */
int body_preconditions(Request *r, const json_t *tree, const Object *base, bool *ret_pinned);

/* ---- ownership.c ---- */

/* Checks dryRun (and sets r->dry_run), fieldManager, fieldValidation, force; answers and < 0. */
int request_options(Request *r, bool apply);
/* 422 for one option, as a CreateOptions, ListOptions, ...: returns -ERR_INVALID. */
int reply_bad_option(Request *r, const char *field, FieldErrorType type, const char *fmt, ...)
	_printf_(4, 5);
int request_dry_run(Request *r);
/* fieldManager, or what the client calls itself; "" = neither. */
const char *request_manager(Request *r, char buf[static MANAGER_NAME_MAX + 1]);
/* Sets managedFields of what the request makes of old_tree (NULL = nothing). */
void ownership_update(Request *r, const json_t *old_tree, json_t *tree);
/* What an apply makes of old_tree (NULL = nothing), without defaults; NULL = answered. */
json_t *ownership_apply(Request *r, const json_t *old_tree, const json_t *applied);

/* ---- write.c ---- */

/* Commits (or tries, for a dry run) and calls done on an HTTP thread; t is taken over. */
void request_commit(Request *r, Txn *t, void (*done)(Request *r));
/* The stored object under the request's name, kept in r->base; answers if there is none. */
int read_base(Request *r, Key *key);
/* Stores `tree` in place of base (status only, if that subresource was named), and takes it over.
 */
void write_replace(Request *r, Object *base, json_t *tree, void (*done)(Request *r));
void write_create(Request *r, json_t *tree, const char *name);
/* A candidate for r->base: system metadata, the other half (status or all but it), all checks. */
int write_prepare(Request *r, json_t *tree, json_t *old_tree);
/* The same for what ownership_apply() gave. */
int write_prepare_applied(Request *r, json_t *tree, json_t *old_tree);
bool request_is_status(const Request *r);
/* No new objects of a kind whose definition is being deleted: answers and is true. */
bool refuse_terminating(Request *r);
void reply_create_error(Request *r, int rc, const Error *err, const char *name);
/* patch.c: JSON patch or merge patch, by the request's content type, of a document that is not a
 * stored object. Answers and < 0 on failure; *ret is a new reference. */
int patch_document(Request *r, const json_t *document, json_t *patch, json_t **ret);

/* ---- session.c: blocking port calls and raw streams, each on a thread of its own ---- */

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
