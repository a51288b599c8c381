/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl: what all verbs share: the command line tool's state, its exit codes, and the kinds that
 * the server serves. One thread, except where port_forward.c says otherwise.
 *
 * A verb writes results to cli->out and everything about the way there (progress, warnings, errors)
 * to cli->err, so that results can be piped and tests can read both.
 */
#pragma once

#include <jansson.h>
#include <stdio.h>

#include "api/kind.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "client/client.h"
#include "endpoint.h"
#include "options.h"

/* Part of the interface: documented in sfctl(1), never renumbered. */
typedef enum ExitCode {
	EXIT_OK = 0,
	EXIT_FAILED = 1,      /* and `diff`: there are differences */
	EXIT_USAGE = 2,       /* the command line is wrong */
	EXIT_NOT_FOUND = 3,   /* the object or its kind does not exist */
	EXIT_INVALID = 4,     /* a manifest, a name or a value is not acceptable */
	EXIT_CONFLICT = 5,    /* it exists already, or somebody else changed it or owns the field */
	EXIT_TIMEOUT = 6,     /* not within the time given */
	EXIT_UNREACHABLE = 7, /* no sfd answers, or it is not able to */
	EXIT_FORBIDDEN = 8,   /* you may not */
	EXIT_TROUBLE = 9,     /* `diff` only: what is EXIT_FAILED elsewhere */
} ExitCode;

#define FIELD_MANAGER    "sfctl"
#define DEFAULT_SERVER   "unix:/run/sfd/sfd.sock"
#define LIST_PAGE        500
#define TYPE_MERGE_PATCH "application/merge-patch+json"
#define TYPE_APPLY       "application/apply-patch+yaml"
#define ACCEPT_TABLE     "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

/* One kind as the server (or the binary) knows it. Lives as long as the Cli. */
typedef struct Resource {
	char *group, *version, *api_version;
	char *kind, *plural, *singular;
	char **short_names, **categories, **verbs;
	bool namespaced;
	bool alternate; /* a version beside the preferred one: only who names it means it */
	Kind *compiled; /* with schema; NULL for what only the server knows */
} Resource;

typedef struct Cli Cli;

typedef struct Verb {
	const char *name;
	const char *synopsis; /* what follows the verb */
	const char *summary;
	const char *details; /* paragraphs and examples of the help; may be NULL */
	const Option *options;
	size_t options_size;   /* of the struct that `options` fills */
	const char *completes; /* of its arguments: "kind", "kind name", "instance", "field", "" */
	bool offline;          /* needs no server */
	/* Returns an ExitCode, or a negative ErrorCode with *err to be printed. */
	int (*run)(Cli *cli, const void *options, const Parsed *parsed, Error *err);
} Verb;

typedef struct GlobalOptions {
	const char *namespace;
	EndpointOptions endpoint;
	int64_t request_timeout;
	bool verbose;
} GlobalOptions;

struct Cli {
	FILE *out, *err;
	bool color;    /* cli->out is a terminal that wants colours */
	bool terminal; /* cli->err is a terminal: progress may be drawn */
	GlobalOptions global;
	Endpoint endpoint; /* by option, kubeconfig, environment or default; see cli_endpoint() */
	const char *namespace; /* likewise */
	const Verb *const *verbs;
	const Option *global_options;
	Client *client;      /* made at the first call */
	KindRegistry *kinds; /* compiled in */
	Resource **resources;
	size_t n_resources, cap_resources;
	size_t n_compiled; /* the first of them: from `kinds` */
	bool discovered;   /* the server has been asked */
	bool hush;         /* the server's warnings are not printed: they will come again */
};

/* ---- cli.c ---- */

/* Options, environment and terminals are looked at; nothing is connected yet. */
void cli_init(Cli *cli, FILE *out, FILE *err);
void cli_done(Cli *cli);
/* Runs one command line (argv[0] is skipped). Returns the ExitCode. */
int cli_main(Cli *cli, const Verb *const *verbs, int argc, char *const *argv);
const Verb *cli_find_verb(const Cli *cli, const char *name);

/* Finds out which server is meant, and by which namespace; once. */
int cli_endpoint(Cli *cli, Error *err);
int cli_client(Cli *cli, Client **ret, Error *err);
/* One call; the server's warnings are printed. *ret (may be NULL) is the caller's. */
int cli_call(Cli *cli, const ClientRequest *request, json_t **ret, Error *err);
int cli_get(Cli *cli, const char *path, json_t **ret, Error *err);
usec_t cli_request_timeout(const Cli *cli);

ExitCode exit_code_from_error(int rc);
/* Prints "error: text" with what helps against it; returns the exit code. Clears err. */
ExitCode cli_report(Cli *cli, int rc, Error *err);
/* The first failure decides the exit code of a whole command. */
void exit_code_merge(int *code, int next);
/* "error: …" for wrong usage: -ERR_INVALID is EXIT_INVALID, this is EXIT_USAGE. */
ExitCode cli_usage(Cli *cli, const char *fmt, ...) _printf_(2, 3);

/* ---- resource.c ---- */

/* By what a user types; asks the server for words that are not compiled in. */
int cli_resource_by_word(Cli *cli, const char *word, const Resource **ret, Error *err);
/* True for a word of a kind that is known already; asks nobody. */
bool cli_word_is_kind(Cli *cli, const char *word);
int cli_resource_by_kind(Cli *cli, const char *api_version, const char *kind, const Resource **ret,
			 Error *err);
/* By "Instance.shakenfist.io" or "Secret"; NULL if none is known (see cli_discover()). */
const Resource *cli_resource_by_group_kind(const Cli *cli, const char *word);
/* Asks the server once which kinds it serves. */
int cli_discover(Cli *cli, Error *err);
/* Forgets what the server said: after a CustomResourceDefinition was applied. */
void cli_forget_discovery(Cli *cli);
/* Adds a kind that is not served yet (its definition is in the same manifests). */
void cli_add_kind(Cli *cli, const Kind *k);

/* "instances.shakenfist.io", "namespaces" / "instance.shakenfist.io/web-1", "namespace/lab". */
char *resource_full_name(const Resource *r);
char *resource_object_name(const Resource *r, const char *name);
/* "/apis/G/V/namespaces/NS/PLURAL/NAME/SUB"; namespace NULL = all, name and sub may be NULL. */
char *resource_path(const Resource *r, const char *namespace, const char *name, const char *sub);
/* Appends "?key=value" or "&key=value", encoded. */
void path_add_query(StrBuf *path, const char *key, const char *value);
/* The schema of a kind: compiled in, or from the definition on the server. A new reference. */
int cli_kind_schema(Cli *cli, const Resource *r, Kind **ret, Error *err);

/* Refuses names that cannot be one path segment: "", ".", "..", with "/" or control characters. */
int name_check(const char *name, Error *err);

/* Reads a list page by page; *ret is one list with all items. `accept` may be NULL. */
int cli_list(Cli *cli, const char *path, const char *accept, json_t **ret, Error *err);

/* ---- targets.c ---- */

/* One thing that the command line names. */
typedef struct Target {
	const Resource *resource;
	char *namespace; /* NULL for cluster scope */
	char *name;      /* NULL = all of the kind */
} Target;

typedef struct Targets {
	Target *items;
	size_t n, cap;
} Targets;

void targets_add(Targets *t, const Resource *r, const char *namespace, const char *name);
void targets_done(Targets *t);
/* KIND[,KIND...] [NAME...] or KIND/NAME... */
int targets_parse(Cli *cli, char *const *args, Targets *ret, Error *err);
/* All objects of a kind that match, as targets. */
int targets_list(Cli *cli, const Resource *r, bool all_namespaces, const char *selector,
		 Targets *ret, Error *err);
/*
 * What delete, wait, label and annotate name: args, each once, or with -l or --all every object of
 * the kinds that args names.
 */
int targets_select(Cli *cli, char *const *args, bool all, bool all_namespaces, const char *selector,
		   Targets *ret, Error *err);
/* The instance named by "web-1", "vm/web-1" or "instance/web-1"; *ret_name is the caller's. */
int cli_instance(Cli *cli, const char *arg, const Resource **ret, char **ret_name, Error *err);
/* -ERR_CONFLICT, saying what it is instead, for a guest that cannot answer. */
int instance_check_running(const json_t *object, const char *name, Error *err);

/* ---- output.c ---- */

typedef enum OutputFormat {
	OUTPUT_TABLE,
	OUTPUT_WIDE,
	OUTPUT_YAML,
	OUTPUT_JSON,
	OUTPUT_NAME,
	OUTPUT_JSONPATH
} OutputFormat;

/* "", "wide", "yaml", "json", "name", "jsonpath=TEMPLATE"; *ret_template points into text. */
int output_parse(const char *text, OutputFormat *ret, const char **ret_template, Error *err);
/* For yaml, json and jsonpath. */
int output_tree(Cli *cli, OutputFormat format, const char *template, const json_t *tree,
		Error *err);
/* Takes metadata.managedFields out: they are the server's book-keeping. */
void strip_managed_fields(json_t *object);
/* A copy with only what a person writes: without status and without the server's book-keeping. */
json_t *comparable_copy(const json_t *object);
/* "5m" since an RFC 3339 time; "<unknown>" if it is none. */
const char *age_of(const char *timestamp, char buf[static TIMESTAMP_MAX]);

/* A merge patch that makes b of a; NULL if they are the same. */
json_t *merge_diff(const json_t *a, const json_t *b);

/* Events, ordered by time: what `events` and `describe` show. */
int events_list(Cli *cli, const char *namespace, const char *selector, json_t **ret, Error *err);
int events_compare(const void *a, const void *b);
const char *event_time(const json_t *event);

/* NULL-terminated (verbs.c). */
extern const Verb *const sfctl_verbs[];
extern const Verb verb_apply, verb_diff, verb_get, verb_describe, verb_delete, verb_wait,
	verb_explain, verb_events, verb_logs, verb_console, verb_ssh, verb_port_forward, verb_start,
	verb_stop, verb_restart, verb_pause, verb_resume, verb_label, verb_annotate, verb_edit,
	verb_kubeconfig, verb_certificates, verb_gc, verb_auth, verb_api_resources, verb_version,
	verb_completion, verb_complete;
