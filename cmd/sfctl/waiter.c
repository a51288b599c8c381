/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiter: see waiter.h.
 */
#include "waiter.h"

#include <strings.h>
#include <time.h>

#include "api/wellknown.h"

#define AWAY_MAX   (30 * USEC_PER_SEC) /* how long sfd may be away while we wait */
#define AWAY_PAUSE 200000000L          /* nanoseconds between two tries then */
#define LOOK_MIN   (2 * USEC_PER_SEC)  /* what an answer may take at least */

typedef struct Waiter {
	Cli *cli;
	const Target *target;
	const WaitFor *what;
	Progress *progress;
	char *name;  /* "instance.shakenfist.io/web-1" */
	char *uid;   /* WAIT_DELETE: the one we wait for */
	char *state; /* last seen: for the message when time is up */
	bool seen;   /* it has existed since we look */
	bool done;
	Error *err;
} Waiter;

usec_t wait_deadline(int64_t timeout)
{
	return timeout < 0 ? USEC_INFINITY : clock_now(clock_system()) + (usec_t)timeout;
}

void wait_for_done(WaitFor *w)
{
	free(w->type);
	free(w->value);
	free(w->uid);
	free(w->text);
	jsonpath_free(w->path);
	*w = (WaitFor){ 0 };
}

WaitFor wait_for_gone(const char *uid)
{
	return (WaitFor){ .kind = WAIT_DELETE, .uid = (char *)uid, .text = (char *)"deletion" };
}

static int parse_jsonpath(const char *text, WaitFor *w, Error *err)
{
	/* The value stands behind the = after the closing brace: filters hold == themselves. */
	const char *brace = strrchr(text, '}'), *equals = brace ? strchr(brace, '=') : NULL;
	_cleanup_(xfreep) char *expr = NULL;
	const char *value;
	size_t len;

	if (!brace)
		equals = strchr(text, '=');
	expr = equals ? xstrndup(text, (size_t)(equals - text)) : xstrdup(text);
	if (equals) {
		value = equals + 1 + (equals[1] == '=');
		len = strlen(value);
		if (len >= 2 && (*value == '"' || *value == '\'') && value[len - 1] == *value)
			w->value = xstrndup(value + 1, len - 2);
		else
			w->value = xstrdup(value);
	}
	w->kind = WAIT_JSONPATH;
	return jsonpath_compile(expr, &w->path, err);
}

static int parse_condition(const char *text, WaitFor *w, Error *err)
{
	const char *equals = strchr(text, '=');

	w->kind = WAIT_CONDITION;
	w->type = equals ? xstrndup(text, (size_t)(equals - text)) : xstrdup(text);
	w->value = xstrdup(equals ? equals + 1 : "True");
	if (!*w->type || !*w->value)
		return error_set(err, ERR_INVALID, "name a condition: condition=Ready");
	return 0;
}

int wait_for_parse(const char *text, WaitFor *ret, Error *err)
{
	WaitFor w = { .text = xstrdup(text) };
	int rc = 0;

	if (streq(text, "delete"))
		w.kind = WAIT_DELETE;
	else if (streq(text, "create"))
		w.kind = WAIT_CREATE;
	else if (str_has_prefix(text, "condition="))
		rc = parse_condition(text + strlen("condition="), &w, err);
	else if (str_has_prefix(text, "jsonpath="))
		rc = parse_jsonpath(text + strlen("jsonpath="), &w, err);
	else
		rc = error_set(err, ERR_INVALID,
			       "expected condition=TYPE[=STATUS], delete, create or "
			       "jsonpath={PATH}[=VALUE]");
	if (rc < 0) {
		wait_for_done(&w);
		return error_wrap_rc(err, rc, "--for=%s", text);
	}
	*ret = w;
	return 0;
}

/* ---- is it so? ---------------------------------------------------------------------------- */

static bool condition_met(const WaitFor *w, const json_t *object)
{
	const json_t *condition;
	size_t i;

	json_array_foreach (json_at(object, "status.conditions"), i, condition) {
		const char *type = json_string_at(condition, "type");
		const char *status = json_string_at(condition, "status");

		if (type && status && strcasecmp(type, w->type) == 0)
			return !condition_is_stale(object, condition) &&
			       strcasecmp(status, w->value) == 0;
	}
	return false;
}

static bool value_equals(const json_t *v, const char *wanted)
{
	_cleanup_(xfreep) char *text = NULL;

	if (json_is_string(v))
		return streq(json_string_value(v), wanted);
	text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
	return text && streq(text, wanted);
}

static bool jsonpath_met(const WaitFor *w, const json_t *object)
{
	json_t *found = jsonpath_find(w->path, object);
	bool met = json_array_size(found) > 0;
	const json_t *v;
	size_t i;

	json_array_foreach (found, i, v)
		met = met && (w->value ? value_equals(v, w->value) : !json_is_null(v));
	json_decref(found);
	return met;
}

/* True if the newest request for the object is another than ours. */
static bool request_replaced(const Waiter *w, const json_t *object)
{
	json_t *annotations = json_at(object, "metadata.annotations"), *newest;
	const char *text = json_string_value(json_object_get(annotations, ANNOTATION_POWER));
	bool replaced;

	newest = text ? json_loads(text, 0, NULL) : NULL;
	replaced = newest && !streq_ptr(json_string_at(newest, "id"), w->what->type);
	json_decref(newest);
	return replaced;
}

/* The request with our id is answered: done, or refused, which is an error. */
static int power_met(const Waiter *w, const json_t *object)
{
	const json_t *request = json_at(object, "status.powerRequest");
	const char *state = json_string_at(request, "state");

	if (!streq_ptr(json_string_at(request, "id"), w->what->type)) {
		if (request_replaced(w, object))
			return error_set(w->err, ERR_CONFLICT,
					 "%s: another request came after this %s", w->name,
					 w->what->text);
		return 0;
	}
	if (streq_ptr(state, "Refused") || streq_ptr(state, "Failed")) {
		_cleanup_(xfreep) char *how = object_state(object);

		return error_set(w->err, ERR_CONFLICT, "%s: %s was refused; the instance is %s",
				 w->name, w->what->text, how);
	}
	return streq_ptr(state, "Done");
}

/* 1 = yes, 0 = not yet, negative = it can never be. object NULL = there is none. */
static int is_met(Waiter *w, const json_t *object)
{
	const char *uid = json_string_at(object, "metadata.uid");

	switch (w->what->kind) {
	case WAIT_DELETE:
		if (object && !w->uid)
			w->uid = xstrdup(uid);
		return !object || !streq_ptr(uid, w->uid);
	case WAIT_CREATE:
		return object != NULL;
	case WAIT_CONDITION:
	case WAIT_JSONPATH:
	case WAIT_POWER:
		break;
	}
	if (!object)
		return error_set(w->err, ERR_NOT_FOUND,
				 w->seen ? "%s has been deleted" : "%s does not exist", w->name);
	if (w->what->kind == WAIT_CONDITION)
		return condition_met(w->what, object);
	if (w->what->kind == WAIT_JSONPATH)
		return jsonpath_met(w->what, object);
	return power_met(w, object);
}

static int look(Waiter *w, const json_t *object)
{
	int rc = is_met(w, object);

	if (rc == 0) {
		free(w->state);
		w->state = w->what->kind == WAIT_CONDITION
				   ? object_state_awaiting(object, w->what->type, w->what->value)
				   : object_state(object);
		progress_show(w->progress, w->name, w->state, object);
	}
	w->seen |= object != NULL;
	w->done = rc > 0;
	return rc;
}

static int on_event(void *arg, const json_t *event)
{
	Waiter *w = arg;
	const char *type = json_string_at(event, "type");
	const json_t *object = json_object_get(event, "object");

	if (streq(type, "BOOKMARK") ||
	    !streq_ptr(json_string_at(object, "metadata.name"), w->target->name))
		return 0;
	return look(w, streq(type, "DELETED") ? NULL : object);
}

/* ---- list, then watch --------------------------------------------------------------------- */

/* A server that hangs does not keep us beyond our time; but one look there must be. */
static usec_t look_timeout(const Waiter *w, const Context *ctx)
{
	usec_t usual = cli_request_timeout(w->cli), left = context_remaining(ctx);

	if (left == USEC_INFINITY)
		return usual;
	left = MAX(left, LOOK_MIN);
	return usual ? MIN(left, usual) : MIN(left, CLIENT_TIMEOUT_DEFAULT);
}

static int list_once(Waiter *w, const Context *ctx, const char *path, json_t **ret_list)
{
	const json_t *item, *object = NULL;
	json_t *list = NULL;
	size_t i;
	int rc;

	rc = cli_call(
		w->cli,
		&(ClientRequest){ .method = "GET", .path = path, .timeout = look_timeout(w, ctx) },
		&list, w->err);
	if (rc < 0) {
		json_decref(list);
		return rc;
	}
	json_array_foreach (json_object_get(list, "items"), i, item)
		if (streq_ptr(json_string_at(item, "metadata.name"), w->target->name))
			object = item;
	*ret_list = list;
	return look(w, object);
}

static int watch_once(Waiter *w, Context *ctx, const char *path, const json_t *list)
{
	_cleanup_(strbuf_done) StrBuf full = STRBUF_INIT;
	const char *rv = json_string_at(list, "metadata.resourceVersion");
	Client *client;
	int rc;

	rc = cli_client(w->cli, &client, w->err);
	if (rc < 0)
		return rc;
	strbuf_adds(&full, path);
	path_add_query(&full, "watch", "true");
	if (rv)
		path_add_query(&full, "resourceVersion", rv);
	return client_watch(client, ctx, strbuf_str(&full), NULL, on_event, w, w->err);
}

static void pause_a_moment(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = AWAY_PAUSE }, NULL);
}

static int wait_loop(Waiter *w, Context *ctx, const char *path)
{
	usec_t away_since = 0, now;
	int rc;

	for (;;) {
		json_t *list = NULL;

		rc = list_once(w, ctx, path, &list);
		if (rc == 0) {
			away_since = 0;
			rc = context_check(ctx, w->err);
			if (rc == 0)
				rc = watch_once(w, ctx, path, list);
		}
		json_decref(list);
		if (w->done)
			return 0;
		if (rc == 0 || rc == -ERR_GONE) {
			if (rc < 0)
				error_ignore(w->err);
			continue;
		}
		now = clock_now(ctx->clock);
		away_since = away_since ? away_since : now;
		if (rc != -ERR_UNAVAILABLE || !w->state || now > away_since + AWAY_MAX ||
		    now > ctx->deadline)
			return rc;
		error_ignore(w->err);
		pause_a_moment();
	}
}

int wait_object(Cli *cli, const Target *t, const WaitFor *what, usec_t deadline, Progress *progress,
		Error *err)
{
	Waiter w = { .cli = cli, .target = t, .what = what, .progress = progress, .err = err };
	_cleanup_(strbuf_done) StrBuf path = STRBUF_INIT;
	_cleanup_(xfreep) char *base = NULL, *selector = NULL;
	Context ctx = CONTEXT_BACKGROUND;
	int rc;

	ctx.deadline = deadline;
	base = resource_path(t->resource, t->namespace, NULL, NULL);
	selector = xasprintf("metadata.name=%s", t->name);
	strbuf_adds(&path, base);
	path_add_query(&path, "fieldSelector", selector);
	w.name = resource_object_name(t->resource, t->name);
	w.uid = xstrdup(what->uid);
	rc = wait_loop(&w, &ctx, strbuf_str(&path));
	progress_clear(progress);
	if (rc == -ERR_TIMEOUT && w.state)
		rc = error_set(err, ERR_TIMEOUT, "timed out waiting for %s of %s, which is: %s",
			       what->text, w.name, w.state);
	free(w.name);
	free(w.uid);
	free(w.state);
	return rc;
}
