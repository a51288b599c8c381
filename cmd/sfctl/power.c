/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl start, stop, restart, pause, resume: one request each, done exactly once by the server.
 */
#include "api/wellknown.h"
#include "waiter.h"
#include "json/json.h"

typedef struct PowerOptions {
	bool wait, force;
	int64_t timeout;
} PowerOptions;

static const Option options[] = { OPTION(0, "wait", BOOL, PowerOptions, wait, NULL,
					 "wait until it is done", .preset = "false"),
				  OPTION(0, "timeout", DURATION, PowerOptions, timeout, "DURATION",
					 "how long to wait; negative: for ever", .preset = "5m"),
				  OPTIONS_END };

static const Option forceful_options[] = {
	OPTION(0, "wait", BOOL, PowerOptions, wait, NULL, "wait until it is done",
	       .preset = "false"),
	OPTION(0, "timeout", DURATION, PowerOptions, timeout, "DURATION",
	       "how long to wait; negative: for ever", .preset = "5m"),
	OPTION(0, "force", FLAG, PowerOptions, force, NULL,
	       "do not ask the guest: as if its plug were pulled"),
	OPTIONS_END
};

/* The id of the request that the answer carries in the object's annotation; caller frees. */
static char *request_id(const json_t *object)
{
	json_t *annotations = json_at(object, "metadata.annotations"), *request;
	const char *text = json_string_value(json_object_get(annotations, ANNOTATION_POWER));
	char *id;

	request = text ? json_loads(text, 0, NULL) : NULL;
	id = xstrdup(json_string_at(request, "id"));
	json_decref(request);
	return id;
}

static int ask(Cli *cli, const Target *t, const char *verb, bool force, char **ret_id, Error *err)
{
	_cleanup_(xfreep) char *path = resource_path(t->resource, t->namespace, t->name, verb);
	json_t *body = force ? json_pack("{s:b}", "force", 1) : json_object();
	json_t *answer = NULL;
	int rc;

	rc = cli_call(cli, &(ClientRequest){ .method = "POST", .path = path, .body = body },
		      &answer, err);
	if (rc == 0)
		*ret_id = request_id(answer);
	json_decref(body);
	json_decref(answer);
	return rc;
}

static int power_one(Cli *cli, const PowerOptions *o, const Target *t, const char *verb,
		     const char *done, usec_t deadline, Error *err)
{
	_cleanup_(xfreep) char *name = resource_object_name(t->resource, t->name), *id = NULL;
	Progress progress;
	int rc;

	rc = ask(cli, t, verb, o->force, &id, err);
	if (rc < 0)
		return rc;
	if (o->wait && !id)
		return error_set(err, ERR_INTERNAL,
				 "%s: the server did not say which request it "
				 "is; it cannot be waited for",
				 name);
	if (o->wait) {
		WaitFor what = { .kind = WAIT_POWER, .type = id, .text = (char *)verb };

		progress_init(&progress, cli);
		rc = wait_object(cli, t, &what, deadline, &progress, err);
		progress_done(&progress);
		if (rc < 0)
			return rc;
	}
	fprintf(cli->out, "%s %s%s\n", name, o->wait ? "" : verb, o->wait ? done : " requested");
	fflush(cli->out);
	return 0;
}

static int power(Cli *cli, const PowerOptions *o, const Parsed *parsed, const char *verb,
		 const char *done, Error *err)
{
	usec_t deadline = wait_deadline(o->timeout);
	int code = EXIT_OK, rc;

	if (!parsed->args[0])
		return (int)cli_usage(cli, "%s: which instance?", verb);
	strv_foreach (a, parsed->args) {
		_cleanup_(xfreep) char *name = NULL;
		const Resource *r;

		rc = cli_instance(cli, *a, &r, &name, err);
		if (rc == 0)
			rc = power_one(cli, o, &(Target){ r, (char *)cli->namespace, name }, verb,
				       done, deadline, err);
		if (rc < 0)
			exit_code_merge(&code, (int)cli_report(cli, rc, err));
		if (rc == -ERR_UNAVAILABLE)
			break;
	}
	return code;
}

#define POWER_VERB(word, past, table, text, more) \
	static int run_##word(Cli *cli, const void *values, const Parsed *parsed, Error *err) \
	{ \
		return power(cli, values, parsed, #word, past, err); \
	} \
	const Verb verb_##word = { \
		.name = #word, \
		.synopsis = "INSTANCE...", \
		.summary = text, \
		.details = more, \
		.options = table, \
		.options_size = sizeof(PowerOptions), \
		.completes = "instance", \
		.run = run_##word, \
	}

POWER_VERB(start, "started", options, "start instances that are off", NULL);
POWER_VERB(stop, "stopped", forceful_options, "shut instances down",
	   "The guest is asked, and after its grace period made to. What happens then is up to\n"
	   "spec.runStrategy: with Always it stays off until `sfctl start`.\n");
POWER_VERB(restart, "restarted", forceful_options, "shut instances down and start them again",
	   "Changes that wait for a restart (status.pendingChanges) take effect.\n");
POWER_VERB(pause, "paused", options, "halt the processors of instances", NULL);
POWER_VERB(resume, "resumed", options, "let paused instances go on", NULL);
