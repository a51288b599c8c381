/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl apply: all documents are read, then tried on the server, then stored in order. Nothing is
 * stored while anything is wrong with any of them.
 */
#include "applier.h"
#include "base/retry.h"
#include "prune.h"
#include "table.h"
#include "json/json.h"

typedef struct ApplyOptions {
	char **files;
	const char *dry_run;
	const char *output;
	bool wait;
	ApplyAs as;
	int64_t timeout;
	PruneOptions prune;
} ApplyOptions;

static const Option options[] = {
	OPTION('f', "filename", LIST, ApplyOptions, files, "FILE|DIR|-",
	       "manifests; may be given several times", .choices = "@file"),
	OPTION(0, "dry-run", STRING, ApplyOptions, dry_run, "server",
	       "let the server say what would happen, and store nothing", .implied = "server",
	       .choices = "server none"),
	OPTION(0, "force-conflicts", FLAG, ApplyOptions, as.force, NULL,
	       "take fields over that somebody else has set"),
	FIELD_MANAGER_OPTION(ApplyOptions, as.manager),
	OPTION('o', "output", STRING, ApplyOptions, output, "FORMAT",
	       "yaml, json, name or jsonpath=TEMPLATE instead of one line each",
	       .choices = "yaml json name jsonpath="),
	OPTION(0, "wait", BOOL, ApplyOptions, wait, NULL, "wait until what was applied is ready"),
	OPTION(0, "timeout", DURATION, ApplyOptions, timeout, "DURATION",
	       "how long to wait in all; negative: for ever", .preset = "10m"),
	PRUNE_OPTIONS(ApplyOptions, prune),
	OPTIONS_END
};

/* What an object was before it was stored, as the dry run of the same document showed it: one that
 * is there keeps its uid and version in a dry run, one that would be made gets a uid of that dry
 * run only. That spares asking for each. */
typedef struct Before {
	bool known, deleting;
	char *uid, *version;
} Before;

typedef struct Apply {
	Cli *cli;
	const ApplyOptions *o;
	OutputFormat format;
	const char *template;
	bool dry_run;
	int code;
	bool conflict;   /* of field managers, somewhere */
	usec_t deadline; /* of --wait; 0 = not waited yet */
	json_t *shown;   /* objects, for -o yaml and json */
	Before *before;  /* of each document */
	ApplySet set;    /* with --prune */
} Apply;

static const char *version_of(const json_t *object)
{
	return json_string_at(object, "metadata.resourceVersion");
}

static const char *uid_of(const json_t *object)
{
	return json_string_at(object, "metadata.uid");
}

static bool is_deleting(const json_t *object)
{
	return json_string_at(object, "metadata.deletionTimestamp") != NULL;
}

static Before before_of(const json_t *object)
{
	const char *uid = uid_of(object), *version = version_of(object);

	return (Before){ .known = true,
			 .deleting = is_deleting(object),
			 .uid = uid ? xstrdup(uid) : NULL,
			 .version = version ? xstrdup(version) : NULL };
}

static void before_done(Before *b)
{
	free(b->uid);
	free(b->version);
}

/* After a dry run, when no resourceVersion has moved that could tell. */
static bool same_for_people(const json_t *a, const json_t *b)
{
	json_t *x = comparable_copy(a), *y = comparable_copy(b);
	bool same = json_same(x, y);

	json_decref(x);
	json_decref(y);
	return same;
}

/* What is on its way out stays so, whatever is stored over it: that wish is not fulfilled. */
static void warn_deleting(Apply *a, const char *name)
{
	fprintf(a->cli->err, "warning: %s is being deleted: apply again when it is gone\n", name);
	exit_code_merge(&a->code, EXIT_CONFLICT);
}

/* One document's result: a line, or the object for later. */
static void show(Apply *a, const Document *d, const char *what, json_t *object)
{
	_cleanup_(xfreep) char *name = resource_object_name(d->resource, d->name);

	if (is_deleting(object)) {
		warn_deleting(a, name);
		if (a->format == OUTPUT_TABLE)
			return;
	}
	if (a->format == OUTPUT_NAME) {
		fprintf(a->cli->out, "%s\n", name);
		return;
	}
	if (a->format != OUTPUT_TABLE) {
		strip_managed_fields(object);
		json_array_append(a->shown, object);
		return;
	}
	fprintf(a->cli->out, "%s %s%s\n", name, what, a->dry_run ? " (server dry run)" : "");
	fflush(a->cli->out);
}

static const char *what_happened(const Before *before, const json_t *object)
{
	if (!streq_ptr(before->uid, uid_of(object)))
		return "created";
	return streq_ptr(before->version, version_of(object)) ? "unchanged" : "configured";
}

static const char *what_would(const json_t *live, const json_t *object)
{
	if (!live)
		return "created";
	return same_for_people(live, object) ? "unchanged" : "configured";
}

/* Warnings come again when it is stored. */
static int try_one(Apply *a, const Manifests *m, size_t i)
{
	json_t *would = NULL;
	int code;

	a->cli->hush = true;
	code = document_try(a->cli, m, &m->items[i], &a->o->as, &would);
	a->cli->hush = false;
	if (would)
		a->before[i] = before_of(would);
	json_decref(would);
	exit_code_merge(&a->code, code);
	if (code == EXIT_CONFLICT && status_is_field_conflict(client_status(a->cli->client)))
		a->conflict = true;
	return code;
}

/* Before anything is stored: every document, so that all errors are told at once. */
static void try_all(Apply *a, const Manifests *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (try_one(a, m, i) == EXIT_UNREACHABLE)
			break;
}

/* Of the first wait: --timeout is for all of them together. */
static usec_t deadline_of(Apply *a)
{
	if (!a->deadline)
		a->deadline = wait_deadline(a->o->timeout);
	return a->deadline;
}

/* Waits for one of the documents. */
static int wait_one(Apply *a, const Document *d, const WaitFor *what, Progress *progress)
{
	Target t = { .resource = d->resource,
		     .namespace = (char *)d->namespace,
		     .name = (char *)d->name };
	_cleanup_(error_done) Error err = ERROR_INIT;
	int rc = wait_object(a->cli, &t, what, deadline_of(a), progress, &err);

	return rc < 0 ? (int)cli_report(a->cli, rc, &err) : EXIT_OK;
}

/* With --wait: what is on its way out is gone before anything is stored. */
static void wait_gone(Apply *a, const Manifests *m)
{
	Progress progress;

	progress_init(&progress, a->cli);
	for (size_t i = 0; i < m->n && a->code == EXIT_OK; i++) {
		WaitFor gone = wait_for_gone(a->before[i].uid);

		if (a->before[i].deleting)
			a->code = wait_one(a, &m->items[i], &gone, &progress);
	}
	progress_done(&progress);
}

/* What was tried over an object that is gone by now is tried as a new one. */
static void try_again(Apply *a, const Manifests *m)
{
	for (size_t i = 0; i < m->n && a->code == EXIT_OK; i++) {
		if (!a->before[i].deleting)
			continue;
		before_done(&a->before[i]);
		a->before[i] = (Before){ 0 };
		try_one(a, m, i);
	}
}

static void dry_run_all(Apply *a, const Manifests *m)
{
	for (size_t i = 0; i < m->n; i++) {
		const Document *d = &m->items[i];
		_cleanup_(error_done) Error err = ERROR_INIT;
		json_t *live = NULL, *would = NULL;
		int rc, code;

		rc = document_live(a->cli, d, &live, &err);
		if (rc < 0)
			code = (int)document_report(a->cli, d, rc, &err);
		else
			code = document_try(a->cli, m, d, &a->o->as, &would);
		if (code == EXIT_OK) {
			json_t *object = would ? would : (json_t *)d->tree;

			show(a, d, what_would(live, object), object);
		}
		if (code == EXIT_CONFLICT &&
		    status_is_field_conflict(client_status(a->cli->client)))
			a->conflict = true;
		exit_code_merge(&a->code, code);
		json_decref(live);
		json_decref(would);
	}
}

/* Where the dry run could not tell: the namespace or the kind came with the same set. */
static int learn_before(Apply *a, const Document *d, Before *before, Error *err)
{
	json_t *live = NULL;
	int rc = document_live(a->cli, d, &live, err);

	if (rc == 0)
		*before = before_of(live);
	json_decref(live);
	return rc;
}

/* One document on its way into the store. */
typedef struct Storing {
	Apply *a;
	const Document *d;
	Before *before;
	json_t **ret;
	bool moved; /* the last attempt met another version than was seen */
} Storing;

static int look_again(Storing *s, Error *err)
{
	json_decref(TAKE_PTR(*s->ret));
	before_done(s->before);
	*s->before = (Before){ 0 };
	return learn_before(s->a, s->d, s->before, err);
}

/* Over the version that was seen, and no other. */
static int store_once(void *arg, Error *err)
{
	Storing *s = arg;
	Cli *cli = s->a->cli;
	const char *version;
	int rc = s->moved ? look_again(s, err) : 0;

	s->moved = false;
	if (rc < 0)
		return rc;
	version = s->before->version;
	if (version && streq(version, "0"))
		version = NULL;
	rc = document_store(cli, s->d, &s->a->o->as, version, s->ret, err);
	s->moved = rc == -ERR_CONFLICT && version &&
		   !status_is_field_conflict(client_status(cli->client));
	return s->moved ? RETRY_CONFLICT : rc;
}

/*
 * Over what it was tried on, and nothing else: so it is known who made the difference. What the
 * server says of a running instance moves all the time; that is no conflict, and after some tries
 * it does not matter any more.
 */
static int store_one(Apply *a, const Document *d, Before *before, json_t **ret, Error *err)
{
	Storing s = { .a = a, .d = d, .before = before, .ret = ret };
	int rc;

	if (json_at(d->tree, "metadata.resourceVersion"))
		return document_store(a->cli, d, &a->o->as, NULL, ret, err);
	rc = retry_on_conflict(store_once, &s, err);
	if (rc != -ERR_CONFLICT || !s.moved)
		return rc;
	error_done(err);
	rc = look_again(&s, err);
	return rc < 0 ? rc : document_store(a->cli, d, &a->o->as, NULL, ret, err);
}

static void store_all(Apply *a, const Manifests *m)
{
	for (size_t i = 0; i < m->n; i++) {
		const Document *d = &m->items[i];
		_cleanup_(error_done) Error err = ERROR_INIT;
		Before *before = &a->before[i];
		json_t *stored = NULL;
		int rc = before->known ? 0 : learn_before(a, d, before, &err);

		if (rc == 0)
			rc = store_one(a, d, before, &stored, &err);
		if (rc == 0)
			show(a, d, what_happened(before, stored), stored);
		else
			exit_code_merge(&a->code, (int)document_report(a->cli, d, rc, &err));
		json_decref(stored);
		if (rc == -ERR_UNAVAILABLE)
			return;
	}
}

static bool has_ready(const Document *d)
{
	return d->resource->compiled && d->resource->compiled->has_status &&
	       streq(d->resource->group, "shakenfist.io");
}

static void wait_all(Apply *a, const Manifests *m)
{
	WaitFor ready = { .kind = WAIT_CONDITION,
			  .type = (char *)"Ready",
			  .value = (char *)"True",
			  .text = (char *)"condition=Ready" };
	Progress progress;

	progress_init(&progress, a->cli);
	for (size_t i = 0; i < m->n && a->code == EXIT_OK; i++) {
		const Document *d = &m->items[i];
		_cleanup_(xfreep) char *name = resource_object_name(d->resource, d->name);

		if (!has_ready(d))
			continue;
		a->code = wait_one(a, d, &ready, &progress);
		if (a->code == EXIT_OK)
			fprintf(a->cli->out, "%s ready\n", name);
		fflush(a->cli->out);
	}
	progress_done(&progress);
}

static int print_objects(Apply *a, Error *err)
{
	json_t *one = json_array_get(a->shown, 0), *list;
	int rc;

	if (a->format == OUTPUT_TABLE || a->format == OUTPUT_NAME || !one)
		return 0;
	if (json_array_size(a->shown) == 1)
		return output_tree(a->cli, a->format, a->template, one, err);
	list = json_pack("{s:s, s:s, s:O}", "apiVersion", "v1", "kind", "List", "items", a->shown);
	rc = output_tree(a->cli, a->format, a->template, list, err);
	json_decref(list);
	return rc;
}

/* The set's parent knows of all kinds before the first member of one is stored. */
static void widen(Apply *a, const Manifests *m)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	int rc = a->o->prune.prune ? applyset_widen(&a->set, m, &err) : 0;

	if (rc < 0)
		a->code = (int)cli_report(a->cli, rc, &err);
}

static void prune_all(Apply *a, const Manifests *m)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	FILE *to = a->format == OUTPUT_TABLE ? a->cli->out : a->cli->err;
	int rc;

	a->code = prune_run(&a->set, to, a->dry_run, a->o->wait, deadline_of(a));
	rc = a->code == EXIT_OK && !a->dry_run ? applyset_narrow(&a->set, m, &err) : 0;
	if (rc < 0)
		a->code = (int)cli_report(a->cli, rc, &err);
	if (a->dry_run)
		exit_code_merge(&a->code, prune_allowed(&a->set, &a->o->prune));
	if (prune_was_held_back(&a->set))
		exit_code_merge(&a->code, EXIT_FAILED);
}

static void apply_all(Apply *a, const Manifests *m)
{
	a->before = xnew0(Before, m->n);
	if (a->code == EXIT_OK)
		try_all(a, m);
	if (a->code == EXIT_OK && a->o->wait) {
		wait_gone(a, m);
		try_again(a, m);
	}
	if (a->code == EXIT_OK)
		widen(a, m);
	if (a->code == EXIT_OK)
		store_all(a, m);
	else if (a->code != EXIT_UNREACHABLE)
		fputs("error: nothing was applied\n", a->cli->err);
	if (a->code == EXIT_OK && a->o->wait)
		wait_all(a, m);
	for (size_t i = 0; i < m->n; i++)
		before_done(&a->before[i]);
	free(a->before);
}

static void say_empty(const Apply *a)
{
	strv_foreach (path, a->o->files) {
		_cleanup_(xfreep) char *safe = text_escape(streq(*path, "-") ? "<stdin>" : *path);

		fprintf(a->cli->err,
			"%s:1:1: no object in it: one starts with apiVersion, kind "
			"and metadata\n",
			safe);
	}
	fputs("error: nothing was applied\n", a->cli->err);
}

static int apply_manifests(Apply *a, Manifests *m, Error *err)
{
	a->code = manifests_load(a->cli, a->o->files, m);
	exit_code_merge(&a->code, manifests_resolve(a->cli, m));
	if (a->code == EXIT_OK && m->n == 0) {
		/* Nothing at all is more often a mistake than a wish. */
		say_empty(a);
		return EXIT_INVALID;
	}
	if (a->code == EXIT_OK && a->o->prune.prune)
		a->code = prune_begin(a->cli, &a->o->prune, m, a->o->as.force, &a->set);
	if (a->code == EXIT_OK && !a->dry_run)
		a->code = prune_allowed(&a->set, &a->o->prune);
	if (!a->dry_run)
		apply_all(a, m);
	else if (a->code == EXIT_OK)
		dry_run_all(a, m);
	if (a->code == EXIT_OK && a->o->prune.prune)
		prune_all(a, m);
	if (a->conflict)
		print_conflict_hint(a->cli);
	return print_objects(a, err);
}

static int run(Cli *cli, const void *values, const Parsed *parsed, Error *err)
{
	const ApplyOptions *o = values;
	Apply a = { .cli = cli, .o = o };
	Manifests m = { 0 };
	int rc;

	if (prune_options_check(cli, &o->prune) != EXIT_OK)
		return EXIT_USAGE;
	if (parsed->args[0])
		return (int)cli_usage(cli, "apply: '%s' is one word too many; did you mean -f %s?",
				      parsed->args[0], parsed->args[0]);
	if (!o->files)
		return (int)cli_usage(cli, "apply: -f FILE, -f DIR or -f - is needed");
	if (o->dry_run && !streq(o->dry_run, "server") && !streq(o->dry_run, "none"))
		return (int)cli_usage(cli,
				      "apply: --dry-run=%s: only the server can tell; "
				      "write --dry-run=server",
				      o->dry_run);
	if (output_parse(o->output, &a.format, &a.template, err) < 0 || a.format == OUTPUT_WIDE)
		return (int)cli_usage(cli, "apply: -o yaml, json, name or jsonpath=TEMPLATE");
	a.dry_run = o->dry_run && streq(o->dry_run, "server");
	a.shown = json_array();
	rc = apply_manifests(&a, &m, err);
	applyset_done(&a.set);
	json_decref(a.shown);
	manifests_done(&m);
	return rc < 0 ? rc : rc > 0 ? rc : a.code;
}

const Verb verb_apply = {
	.name = "apply",
	.synopsis = "-f FILE|DIR|- [-f …]",
	.summary = "make the server want what manifests say",
	.details =
		"Reads YAML or JSON, of a folder every .yaml, .yml and .json file in it, and "
		"applies\n"
		"it in an order that works: namespaces first, instances last. A field that has "
		"gone\n"
		"from the manifest goes from the object. Everything is checked before anything is\n"
		"stored.\n\n"
		"  sfctl apply -f web.yaml\n"
		"  sfctl apply -f lab/ --wait\n"
		"  make-manifests | sfctl apply -f -\n",
	.options = options,
	.options_size = sizeof(ApplyOptions),
	.completes = "",
	.run = run,
};
