/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl wait: blocks until objects are as wanted.
 */
#include "manifest.h"
#include "waiter.h"

typedef struct WaitOptions {
	char **files;
	const char *what, *selector;
	bool all, all_namespaces;
	int64_t timeout;
} WaitOptions;

static const Option options[] = {
	OPTION(0, "for", STRING, WaitOptions, what, "WHAT",
	       "condition=TYPE[=STATUS], delete, create or jsonpath={PATH}[=VALUE]",
	       .preset = "condition=Ready",
	       .choices = "condition=Ready condition=AddressReady delete create jsonpath="),
	OPTION(0, "timeout", DURATION, WaitOptions, timeout, "DURATION",
	       "how long to wait in all; 0: only look; negative: for ever", .preset = "5m"),
	OPTION('f', "filename", LIST, WaitOptions, files, "FILE|DIR|-",
	       "the objects that these manifests name", .choices = "@file"),
	OPTION('l', "selector", STRING, WaitOptions, selector, "LABELS",
	       "all of the kind with these labels"),
	OPTION(0, "all", FLAG, WaitOptions, all, NULL, "all of the kind in the namespace"),
	OPTION('A', "all-namespaces", FLAG, WaitOptions, all_namespaces, NULL,
	       "with -l or --all: of every namespace"),
	OPTIONS_END
};

static int wait_all(Cli *cli, const Targets *targets, const WaitFor *what, int64_t timeout)
{
	usec_t deadline = wait_deadline(timeout);
	int code = EXIT_OK;
	Progress progress;

	progress_init(&progress, cli);
	for (size_t i = 0; i < targets->n; i++) {
		const Target *t = &targets->items[i];
		_cleanup_(xfreep) char *name = resource_object_name(t->resource, t->name);
		_cleanup_(error_done) Error err = ERROR_INIT;
		int rc = wait_object(cli, t, what, deadline, &progress, &err);

		if (rc < 0)
			exit_code_merge(&code, (int)cli_report(cli, rc, &err));
		else
			fprintf(cli->out, "%s %s\n", name,
				what->kind == WAIT_DELETE ? "deleted" : "condition met");
		fflush(cli->out);
		if (rc == -ERR_UNAVAILABLE)
			break;
	}
	progress_done(&progress);
	return code;
}

static int run(Cli *cli, const void *values, const Parsed *parsed, Error *err)
{
	const WaitOptions *o = values;
	Targets targets = { 0 };
	WaitFor what = { 0 };
	int rc;

	if (!o->files == !parsed->args[0])
		return (int)cli_usage(cli, "wait: give either KIND NAME or -f FILE");
	if (wait_for_parse(o->what, &what, err) < 0)
		return (int)cli_usage(cli, "wait: %s", error_message(err));
	rc = o->files ? targets_from_files(cli, o->files, false, &targets)
		      : targets_select(cli, parsed->args, o->all, o->all_namespaces, o->selector,
				       &targets, err);
	if (rc == 0 && targets.n == 0 && what.kind != WAIT_DELETE)
		rc = error_set(err, ERR_NOT_FOUND, "there is nothing to wait for");
	if (rc == 0)
		rc = wait_all(cli, &targets, &what, o->timeout);
	targets_done(&targets);
	wait_for_done(&what);
	return rc;
}

const Verb verb_wait = {
	.name = "wait",
	.synopsis = "KIND NAME... | KIND/NAME... | KIND -l LABELS | -f FILE",
	.summary = "block until objects are as wanted",
	.details = "  sfctl wait vm web-1\n"
		   "  sfctl wait vm --all --for=condition=AddressReady --timeout=2m\n"
		   "  sfctl wait image debian-12 --for=jsonpath='{.status.phase}'=Ready\n"
		   "  sfctl wait vm web-1 --for=delete\n",
	.options = options,
	.options_size = sizeof(WaitOptions),
	.completes = "kind name",
	.run = run,
};
