/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl delete: asks for removal of all that is named, then waits until each is really gone.
 */
#include "manifest.h"
#include "waiter.h"
#include "json/json.h"

typedef struct DeleteOptions {
	char **files;
	const char *selector, *cascade, *dry_run;
	bool all, all_namespaces, wait, ignore_missing;
	int64_t timeout;
} DeleteOptions;

static const Option options[] = {
	OPTION('f', "filename", LIST, DeleteOptions, files, "FILE|DIR|-",
	       "the objects that these manifests name", .choices = "@file"),
	OPTION('l', "selector", STRING, DeleteOptions, selector, "LABELS",
	       "all of the kind with these labels"),
	OPTION(0, "all", FLAG, DeleteOptions, all, NULL, "all of the kind in the namespace"),
	OPTION('A', "all-namespaces", FLAG, DeleteOptions, all_namespaces, NULL,
	       "with -l or --all: of every namespace"),
	OPTION(0, "wait", BOOL, DeleteOptions, wait, NULL, "wait until they are gone",
	       .preset = "true"),
	OPTION(0, "timeout", DURATION, DeleteOptions, timeout, "DURATION",
	       "how long to wait in all; 0: for ever", .preset = "0"),
	OPTION(0, "ignore-not-found", FLAG, DeleteOptions, ignore_missing, NULL,
	       "what does not exist is no failure; -f and -l imply it"),
	OPTION(0, "cascade", STRING, DeleteOptions, cascade, "HOW",
	       "what becomes of objects owned by it: background, foreground or orphan",
	       .preset = "background", .choices = "background foreground orphan"),
	OPTION(0, "dry-run", STRING, DeleteOptions, dry_run, "server",
	       "only say what would be deleted", .implied = "server", .choices = "server none"),
	OPTIONS_END
};

typedef struct Delete {
	Cli *cli;
	const DeleteOptions *o;
	const char *policy; /* propagationPolicy */
	bool dry_run, forgiving;
	char **uids; /* per target: NULL = not to be waited for */
	int code;
} Delete;

static void say(const Delete *d, const Target *t, const char *what)
{
	_cleanup_(xfreep) char *kind =
		xasprintf("%s%s%s", t->resource->singular, *t->resource->group ? "." : "",
			  t->resource->group);

	fprintf(d->cli->out, "%s \"%s\" %s%s\n", kind, t->name, what,
		d->dry_run ? " (server dry run)" : "");
	fflush(d->cli->out);
}

/* Asks; *ret_uid is set if it is on its way out but not gone yet. */
static int request_delete(Delete *d, const Target *t, char **ret_uid, Error *err)
{
	_cleanup_(xfreep) char *base = resource_path(t->resource, t->namespace, t->name, NULL);
	_cleanup_(strbuf_done) StrBuf path = STRBUF_INIT;
	json_t *body, *answer = NULL;
	int rc;

	strbuf_adds(&path, base);
	if (d->dry_run)
		path_add_query(&path, "dryRun", "All");
	body = json_pack("{s:s, s:s, s:s}", "kind", "DeleteOptions", "apiVersion", "v1",
			 "propagationPolicy", d->policy);
	if (d->dry_run)
		json_object_set_new(body, "dryRun", json_pack("[s]", "All"));
	rc = cli_call(
		d->cli,
		&(ClientRequest){ .method = "DELETE", .path = strbuf_str(&path), .body = body },
		&answer, err);
	if (rc == 0 && !d->dry_run && json_string_at(answer, "metadata.deletionTimestamp"))
		*ret_uid = xstrdup(json_string_at(answer, "metadata.uid"));
	json_decref(body);
	json_decref(answer);
	return rc;
}

static void delete_one(Delete *d, const Target *t, char **ret_uid)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	int rc = request_delete(d, t, ret_uid, &err);

	if (rc == -ERR_NOT_FOUND && d->forgiving)
		return;
	if (rc < 0)
		exit_code_merge(&d->code, (int)cli_report(d->cli, rc, &err));
	else if (!*ret_uid)
		say(d, t, "deleted");
	else if (!d->o->wait)
		say(d, t, "is being deleted");
}

static void wait_gone(Delete *d, const Targets *targets)
{
	usec_t deadline = d->o->timeout > 0 ? wait_deadline(d->o->timeout) : USEC_INFINITY;
	Progress progress;

	progress_init(&progress, d->cli);
	for (size_t i = 0; i < targets->n; i++) {
		WaitFor gone = wait_for_gone(d->uids[i]);
		_cleanup_(error_done) Error err = ERROR_INIT;
		int rc;

		if (!d->uids[i])
			continue;
		rc = wait_object(d->cli, &targets->items[i], &gone, deadline, &progress, &err);
		if (rc < 0)
			exit_code_merge(&d->code, (int)cli_report(d->cli, rc, &err));
		else
			say(d, &targets->items[i], "deleted");
		if (rc == -ERR_UNAVAILABLE)
			break;
	}
	progress_done(&progress);
}

static void delete_all(Delete *d, const Targets *targets)
{
	d->uids = xnew0(char *, targets->n + 1);
	for (size_t i = 0; i < targets->n; i++) {
		delete_one(d, &targets->items[i], &d->uids[i]);
		if (d->code == EXIT_UNREACHABLE)
			break;
	}
	if (d->o->wait && d->code != EXIT_UNREACHABLE)
		wait_gone(d, targets);
	for (size_t i = 0; i < targets->n; i++)
		free(d->uids[i]);
	free(d->uids);
}

static const char *policy_of(const char *cascade)
{
	return streq(cascade, "background")   ? "Background"
	       : streq(cascade, "foreground") ? "Foreground"
	       : streq(cascade, "orphan")     ? "Orphan"
					      : NULL;
}

/* There is an object of that name among those that are to go; also if it cannot be told. */
static bool is_there(Cli *cli, const Targets *targets, const char *name)
{
	for (size_t i = 0; i < targets->n; i++) {
		const Target *t = &targets->items[i];
		_cleanup_(xfreep) char *path =
			resource_path(t->resource, t->namespace, t->name, NULL);
		_cleanup_(error_done) Error err = ERROR_INIT;

		if (streq(t->name, name) && cli_get(cli, path, NULL, &err) != -ERR_NOT_FOUND)
			return true;
	}
	return false;
}

/* `delete vm a network b`: whoever writes that means two objects, and would lose another one. */
static int check_names(Cli *cli, char *const *args, const Targets *targets)
{
	for (size_t i = 1; args[0] && args[i] && args[i + 1]; i++) {
		if (!cli_word_is_kind(cli, args[i]) || is_there(cli, targets, args[i]))
			continue;
		if (i == 1)
			return (int)cli_usage(cli, "delete: '%s' is a kind: write %s/%s", args[i],
					      args[i], args[i + 1]);
		return (int)cli_usage(cli, "delete: '%s' is a kind: write %s/%s %s/%s", args[i],
				      args[0], args[1], args[i], args[i + 1]);
	}
	return EXIT_OK;
}

static int run(Cli *cli, const void *values, const Parsed *parsed, Error *err)
{
	const DeleteOptions *o = values;
	Delete d = { .cli = cli, .o = o, .policy = policy_of(o->cascade) };
	Targets targets = { 0 };
	int rc;

	if (!d.policy)
		return (int)cli_usage(cli, "delete: --cascade=background, foreground or orphan");
	if (o->dry_run && !streq(o->dry_run, "server") && !streq(o->dry_run, "none"))
		return (int)cli_usage(cli, "delete: --dry-run=server is the only one");
	if (!o->files == !parsed->args[0])
		return (int)cli_usage(cli, "delete: give either KIND NAME or -f FILE");
	if (parsed->args[0] && !strchr(parsed->args[0], '/') && !parsed->args[1] && !o->all &&
	    !o->selector)
		return (int)cli_usage(cli, "delete: which %s? Give names, -l SELECTOR or --all",
				      parsed->args[0]);
	d.dry_run = o->dry_run && streq(o->dry_run, "server");
	d.forgiving = o->ignore_missing || o->files || o->selector || o->all;
	rc = o->files ? targets_from_files(cli, o->files, true, &targets)
		      : targets_select(cli, parsed->args, o->all, o->all_namespaces, o->selector,
				       &targets, err);
	if (rc == 0 && !d.forgiving)
		rc = check_names(cli, parsed->args, &targets);
	if (rc == 0 && targets.n == 0)
		fputs("nothing to delete\n", cli->err);
	if (rc == 0)
		delete_all(&d, &targets);
	targets_done(&targets);
	return rc != 0 ? rc : d.code;
}

const Verb verb_delete = {
	.name = "delete",
	.synopsis = "KIND NAME... | KIND/NAME... | KIND -l LABELS | -f FILE",
	.summary = "remove objects, and wait until they are gone",
	.details = "An instance is shut down first, within its terminationGracePeriodSeconds; its "
		   "disks go\n"
		   "with it.\n\n"
		   "  sfctl delete vm web-1\n"
		   "  sfctl delete -f lab/\n"
		   "  sfctl delete vm -l app=web --wait=false\n",
	.options = options,
	.options_size = sizeof(DeleteOptions),
	.completes = "kind name",
	.run = run,
};
