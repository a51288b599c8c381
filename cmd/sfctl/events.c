/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl events: what happened, oldest first, and what happens from now on.
 */
#include "events.h"

#include "sfctl.h"
#include "json/json.h"

typedef struct EventsOptions {
	bool all_namespaces, watch, no_headers;
	const char *about, *types;
} EventsOptions;

static const Option options[] = {
	OPTION('w', "watch", FLAG, EventsOptions, watch, NULL, "stay, and print each new event"),
	OPTION(0, "for", STRING, EventsOptions, about, "KIND/NAME", "only about this object"),
	OPTION(0, "types", STRING, EventsOptions, types, "TYPE", "only Normal or only Warning",
	       .choices = "Normal Warning"),
	OPTION('A', "all-namespaces", FLAG, EventsOptions, all_namespaces, NULL,
	       "of every namespace"),
	OPTION(0, "no-headers", FLAG, EventsOptions, no_headers, NULL,
	       "leave the line of headings out"),
	OPTIONS_END
};

typedef struct Events {
	Cli *cli;
	const EventsOptions *o;
	Table *table;
	char *last_version;
} Events;

void event_columns(Table *t, bool namespaces, bool objects)
{
	if (namespaces)
		table_column(t, "Namespace");
	table_column(t, "Last seen");
	table_column(t, "Type");
	table_column(t, "Reason");
	if (objects)
		table_column(t, "Object");
	table_column(t, "Message");
}

/* "3m (x5 over 12m)" */
static void add_when(Table *t, const json_t *event)
{
	const char *first = json_string_at(event, "firstTimestamp");
	int64_t count = json_integer_at(event, "count", 1);
	_cleanup_(xfreep) char *text = NULL;
	char last_age[TIMESTAMP_MAX], first_age[TIMESTAMP_MAX];
	const char *last = age_of(event_time(event), last_age);

	if (count > 1 && first)
		text = xasprintf("%s (x%lld over %s)", last, (long long)count,
				 age_of(first, first_age));
	table_cell(t, text ? text : last);
}

void event_row(Table *t, const json_t *event, bool namespaces, bool objects)
{
	const char *kind = json_string_at(event, "involvedObject.kind");
	const char *name = json_string_at(event, "involvedObject.name");
	_cleanup_(xfreep) char *object = NULL;

	if (namespaces)
		table_cell(t, json_string_at(event, "metadata.namespace"));
	add_when(t, event);
	table_cell(t, json_string_at(event, "type"));
	table_cell(t, json_string_at(event, "reason"));
	if (objects) {
		object = xasprintf("%s/%s", kind ? kind : "?", name ? name : "?");
		table_cell(t, object);
	}
	table_cell(t, json_string_at(event, "message"));
	table_end_row(t);
}

static void show_event(Events *e, const json_t *event)
{
	const char *type = json_string_at(event, "type");

	if (!e->o->types || streq_ptr(type, e->o->types))
		event_row(e->table, event, e->o->all_namespaces, true);
}

/* ---- once, and on ------------------------------------------------------------------------- */

static int make_selector(Events *e, char **ret, Error *err)
{
	_cleanup_(strv_freep) char **args = strv_append(NULL, e->o->about);
	Targets targets = { 0 };
	int rc;

	if (!strchr(e->o->about, '/'))
		return error_set(err, ERR_INVALID, "--for=%s: write KIND/NAME", e->o->about);
	rc = targets_parse(e->cli, args, &targets, err);
	if (rc < 0)
		return rc;
	*ret = xasprintf("involvedObject.name=%s,involvedObject.kind=%s", targets.items[0].name,
			 targets.items[0].resource->kind);
	targets_done(&targets);
	return 0;
}

static int list(Events *e, const char *selector, Error *err)
{
	json_t *all = NULL;
	const json_t *event;
	size_t i;
	int rc;

	rc = events_list(e->cli, e->o->all_namespaces ? NULL : e->cli->namespace, selector, &all,
			 err);
	if (rc < 0)
		return rc;
	e->last_version = xstrdup(json_string_at(all, "metadata.resourceVersion"));
	json_array_foreach (json_object_get(all, "items"), i, event)
		show_event(e, event);
	json_decref(all);
	if (table_rows(e->table))
		table_print(e->table, e->cli->out, !e->o->no_headers, e->cli->color, "");
	else if (!e->o->watch)
		fprintf(e->cli->err, "no events found%s%s\n",
			e->o->all_namespaces ? "" : " in namespace ",
			e->o->all_namespaces ? "" : e->cli->namespace);
	return 0;
}

static int on_event(void *arg, const json_t *event)
{
	Events *e = arg;
	const char *type = json_string_at(event, "type");
	const json_t *object = json_object_get(event, "object");
	const char *version = json_string_at(object, "metadata.resourceVersion");

	if (version) {
		free(e->last_version);
		e->last_version = xstrdup(version);
	}
	if (!streq(type, "BOOKMARK") && !streq(type, "DELETED")) /* expiry is no news */
		show_event(e, object);
	if (table_rows(e->table))
		table_print(e->table, e->cli->out, !e->o->no_headers, e->cli->color, "");
	return 0;
}

static int watch(Events *e, const char *selector, Error *err)
{
	_cleanup_(xfreep) char *base = NULL;
	Context ctx = CONTEXT_BACKGROUND;
	const Resource *r;
	Client *client;
	int rc;

	rc = cli_resource_by_word(e->cli, "events", &r, err);
	if (rc == 0)
		rc = cli_client(e->cli, &client, err);
	if (rc < 0)
		return rc;
	base = resource_path(r, e->o->all_namespaces ? NULL : e->cli->namespace, NULL, NULL);
	while (rc == 0) {
		_cleanup_(strbuf_done) StrBuf path = STRBUF_INIT;

		strbuf_adds(&path, base);
		path_add_query(&path, "watch", "true");
		path_add_query(&path, "allowWatchBookmarks", "true");
		if (selector)
			path_add_query(&path, "fieldSelector", selector);
		if (e->last_version)
			path_add_query(&path, "resourceVersion", e->last_version);
		rc = client_watch(client, &ctx, strbuf_str(&path), NULL, on_event, e, err);
		if (rc == -ERR_GONE) {
			free(e->last_version);
			e->last_version = NULL;
			rc = error_ignore(err);
		}
	}
	return rc;
}

static int run(Cli *cli, const void *values, const Parsed *parsed, Error *err)
{
	Events e = { .cli = cli, .o = values };
	_cleanup_(xfreep) char *selector = NULL;
	int rc = 0;

	if (parsed->args[0])
		return (int)cli_usage(cli,
				      "events: '%s' is one word too many; --for=KIND/NAME "
				      "narrows down",
				      parsed->args[0]);
	if (e.o->about)
		rc = make_selector(&e, &selector, err);
	if (rc < 0)
		return rc;
	e.table = table_new();
	event_columns(e.table, e.o->all_namespaces, true);
	rc = list(&e, selector, err);
	if (rc == 0 && e.o->watch)
		rc = watch(&e, selector, err);
	table_free(e.table);
	free(e.last_version);
	return rc;
}

const Verb verb_events = {
	.name = "events",
	.synopsis = "[--for KIND/NAME] [-w]",
	.summary = "tell what happened",
	.details = "Events are kept for a day; the journal keeps them longer: journalctl "
		   "SF_NAME=web-1\n",
	.options = options,
	.options_size = sizeof(EventsOptions),
	.completes = "",
	.run = run,
};
