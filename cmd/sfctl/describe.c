/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl describe: everything about one object for a person to read: what is asked, what is, why,
 * what it depends on, and what happened.
 */
#include "api/wellknown.h"
#include "events.h"
#include "progress.h"
#include "quotas.h"
#include "related.h"
#include "rules.h"
#include "sfctl.h"
#include "yaml/yaml.h"
#include "json/json.h"

#define EVENTS_SHOWN 25

typedef struct DescribeOptions {
	const char *selector;
	bool all_namespaces, events;
} DescribeOptions;

static const Option options[] = { OPTION('l', "selector", STRING, DescribeOptions, selector,
					 "LABELS", "all of the kind with these labels"),
				  OPTION('A', "all-namespaces", FLAG, DescribeOptions,
					 all_namespaces, NULL, "of every namespace"),
				  OPTION(0, "show-events", BOOL, DescribeOptions, events, NULL,
					 "list what happened", .preset = "true"),
				  OPTIONS_END };

static void print_line(Cli *cli, const char *name, const char *value)
{
	_cleanup_(xfreep) char *safe = NULL;

	if (str_is_empty(value))
		return;
	safe = text_escape(value);
	fprintf(cli->out, "%-14s%s\n", name, safe);
}

static void print_map(Cli *cli, const char *title, json_t *map, const char *hidden)
{
	const char *key;
	json_t *value;

	json_object_foreach (map, key, value) {
		const char *text = json_string_value(value);
		_cleanup_(xfreep) char *line = xasprintf("%s=%s", key, text ? text : "");

		if (hidden && streq(hidden, key))
			continue;
		print_line(cli, title, line);
		if (*title)
			title = " ";
	}
}

static void print_times(Cli *cli, const json_t *object)
{
	static const struct {
		const char *title, *path;
	} times[] = {
		{"Created:",   "metadata.creationTimestamp"},
		{ "Deleting:", "metadata.deletionTimestamp"},
		{ "Started:",  "status.startTime"          },
	};

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		const char *when = json_string_at(object, times[i].path);
		_cleanup_(xfreep) char *line = NULL;
		char age[TIMESTAMP_MAX];

		if (!when)
			continue;
		line = xasprintf("%s (%s ago)", when, age_of(when, age));
		print_line(cli, times[i].title, line);
	}
}

static void print_list(Cli *cli, const char *title, const json_t *array)
{
	const json_t *item;
	size_t i;

	json_array_foreach (array, i, item) {
		_cleanup_(xfreep) char *owner = NULL;
		const char *text = json_string_value(item);

		if (json_is_object(item)) {
			const char *kind = json_string_at(item, "kind");
			const char *name = json_string_at(item, "name");

			owner = xasprintf("%s/%s", kind ? kind : "?", name ? name : "?");
			text = owner;
		}
		print_line(cli, i ? " " : title, text);
	}
}

static void print_head(Cli *cli, const Resource *r, const json_t *object)
{
	_cleanup_(xfreep) char *kind = xasprintf("%s (%s)", r->kind, r->api_version);
	_cleanup_(xfreep) char *state = object_state(object);

	print_line(cli, "Name:", json_string_at(object, "metadata.name"));
	print_line(cli, "Namespace:", json_string_at(object, "metadata.namespace"));
	print_line(cli, "Kind:", kind);
	if (object_word(object))
		print_line(cli, "State:", state);
	print_map(cli, "Labels:", json_at(object, "metadata.labels"), NULL);
	print_map(cli, "Annotations:", json_at(object, "metadata.annotations"), ANNOTATION_POWER);
	print_line(cli, "UID:", json_string_at(object, "metadata.uid"));
	print_times(cli, object);
	print_list(cli, "Owned by:", json_at(object, "metadata.ownerReferences"));
	print_list(cli, "Finalizers:", json_at(object, "metadata.finalizers"));
}

/* A part of the object as YAML, under a title. */
static void print_part(Cli *cli, const char *title, const json_t *part)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;
	_cleanup_(strv_freep) char **lines = NULL;

	if (!part || (json_is_object(part) && json_object_size(part) == 0))
		return;
	yaml_emit(part, &b);
	lines = strv_split(strbuf_str(&b), '\n');
	fprintf(cli->out, "\n%s\n", title);
	strv_foreach (line, lines) {
		_cleanup_(xfreep) char *safe = text_escape(*line);

		if (**line)
			fprintf(cli->out, "  %s\n", safe);
	}
}

/* Of a Secret: which keys, and how much is in each. */
static void print_secret(Cli *cli, const json_t *object)
{
	json_t *data = json_object_get(object, "data"), *value;
	const char *key;

	fputs("\nData:\n", cli->out);
	json_object_foreach (data, key, value) {
		_cleanup_(xfreep) char *safe = text_escape(key);
		size_t len = json_string_length(value), pad = 0;
		const char *text = json_string_value(value);

		while (text && pad < 2 && len > pad && text[len - 1 - pad] == '=')
			pad++;
		fprintf(cli->out, "  %s: %zu bytes\n", safe, len / 4 * 3 - MIN(pad, len / 4 * 3));
	}
}

static void print_parts(Cli *cli, const Resource *r, const json_t *object)
{
	static const char *const shown_apart[] = { "conditions", "pendingChanges" };
	static const char *const own[] = { "apiVersion", "kind",   "metadata",
					   "spec",       "status", "data" };
	json_t *status = json_copy(json_object_get(object, "status"));
	json_t *rest = json_copy((json_t *)object);

	for (size_t i = 0; i < ARRAY_SIZE(shown_apart); i++)
		json_object_del(status, shown_apart[i]);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		json_object_del(rest, own[i]);
	print_part(cli, "Spec:", json_object_get(object, "spec"));
	if (streq(r->kind, "Secret") && !*r->group)
		print_secret(cli, object);
	else
		print_part(cli, "Data:", json_object_get(object, "data"));
	if (streq(r->group, "rbac.authorization.k8s.io"))
		describe_rules(cli, rest);
	print_part(cli, "Other:", rest);
	print_part(cli, "Status:", status);
	json_decref(status);
	json_decref(rest);
}

static void add_value(Table *t, const json_t *v)
{
	_cleanup_(xfreep) char *text = NULL;

	if (!v || json_is_string(v)) {
		table_cell(t, json_string_value(v));
		return;
	}
	text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
	table_cell(t, text);
}

static void print_pending(Cli *cli, const json_t *object)
{
	static const char *const fields[] = { "path", "from", "to", "needs" };
	static const char *const titles[] = { "Field", "From", "To", "Needs" };
	const json_t *changes = json_at(object, "status.pendingChanges"), *change;
	_cleanup_(table_freep) Table *t = table_new();
	size_t i;

	if (!json_array_size(changes))
		return;
	for (size_t c = 0; c < ARRAY_SIZE(titles); c++)
		table_column(t, titles[c]);
	json_array_foreach (changes, i, change) {
		for (size_t c = 0; c < ARRAY_SIZE(fields); c++)
			add_value(t, json_object_get(change, fields[c]));
		table_end_row(t);
	}
	fputs("\nPending changes:\n", cli->out);
	table_print(t, cli->out, true, false, "  ");
}

static void print_conditions(Cli *cli, const json_t *object)
{
	const json_t *conditions = json_at(object, "status.conditions"), *condition;
	_cleanup_(table_freep) Table *t = table_new();
	char age[TIMESTAMP_MAX];
	size_t i;

	if (!json_array_size(conditions))
		return;
	table_column(t, "Type");
	table_column(t, "Status");
	table_column(t, "Since");
	table_column(t, "Reason");
	table_column(t, "Message");
	json_array_foreach (conditions, i, condition) {
		table_cell(t, json_string_at(condition, "type"));
		table_cell(t, json_string_at(condition, "status"));
		table_cell(t, age_of(json_string_at(condition, "lastTransitionTime"), age));
		table_cell(t, json_string_at(condition, "reason"));
		table_cell(t, json_string_at(condition, "message"));
		table_end_row(t);
	}
	fputs("\nConditions:\n", cli->out);
	table_print(t, cli->out, true, cli->color, "  ");
}

static void print_events(Cli *cli, const json_t *object)
{
	const char *namespace = json_string_at(object, "metadata.namespace");
	const char *uid = json_string_at(object, "metadata.uid");
	_cleanup_(xfreep) char *selector = xasprintf("involvedObject.uid=%s", uid ? uid : "");
	_cleanup_(table_freep) Table *t = table_new();
	_cleanup_(error_done) Error err = ERROR_INIT;
	json_t *list = NULL, *items;
	size_t n;

	if (events_list(cli, namespace, selector, &list, &err) < 0) {
		fputs("\nEvents: not to be had\n", cli->out);
		return;
	}
	items = json_object_get(list, "items");
	n = json_array_size(items);
	event_columns(t, false, false);
	for (size_t i = n > EVENTS_SHOWN ? n - EVENTS_SHOWN : 0; i < n; i++)
		event_row(t, json_array_get(items, i), false, false);
	if (n) {
		fprintf(cli->out, n > EVENTS_SHOWN ? "\nEvents (the last %d):\n" : "\nEvents:\n",
			EVENTS_SHOWN);
		table_print(t, cli->out, true, cli->color, "  ");
	} else {
		fputs("\nEvents: none\n", cli->out);
	}
	json_decref(list);
}

static int describe_one(Cli *cli, const DescribeOptions *o, const Target *t, bool first, Error *err)
{
	_cleanup_(xfreep) char *path = resource_path(t->resource, t->namespace, t->name, NULL);
	json_t *object = NULL;
	int rc;

	rc = cli_get(cli, path, &object, err);
	if (rc == 0) {
		if (!first)
			fputs("\n\n", cli->out);
		strip_managed_fields(object);
		print_head(cli, t->resource, object);
		if (streq(t->resource->kind, "ResourceQuota") && !*t->resource->group)
			quota_print(cli, object);
		else
			print_parts(cli, t->resource, object);
		if (streq(t->resource->kind, "Namespace") && !*t->resource->group)
			quotas_print(cli, t->name);
		print_pending(cli, object);
		print_conditions(cli, object);
		related_print(cli, t->resource, object);
		if (o->events && !streq(t->resource->kind, "Event"))
			print_events(cli, object);
	}
	json_decref(object);
	return rc;
}

static int run(Cli *cli, const void *values, const Parsed *parsed, Error *err)
{
	const DescribeOptions *o = values;
	Targets named = { 0 }, targets = { 0 };
	int rc, code = EXIT_OK;

	if (!parsed->args[0])
		return (int)cli_usage(cli, "describe: which object? KIND NAME, or KIND/NAME");
	rc = targets_parse(cli, parsed->args, &named, err);
	for (size_t i = 0; rc == 0 && i < named.n; i++) {
		const Target *t = &named.items[i];

		if (t->name)
			targets_add(&targets, t->resource, t->namespace, t->name);
		else
			rc = targets_list(cli, t->resource, o->all_namespaces, o->selector,
					  &targets, err);
	}
	for (size_t i = 0; rc == 0 && i < targets.n; i++) {
		int one = describe_one(cli, o, &targets.items[i], i == 0, err);

		if (one < 0)
			exit_code_merge(&code, (int)cli_report(cli, one, err));
		if (one == -ERR_UNAVAILABLE)
			break;
	}
	if (rc == 0 && !targets.n)
		fputs("nothing to describe\n", cli->err);
	targets_done(&named);
	targets_done(&targets);
	return rc < 0 ? rc : code;
}

const Verb verb_describe = {
	.name = "describe",
	.synopsis = "KIND [NAME...] | KIND/NAME...",
	.summary = "tell all about an object: spec, status, conditions, events",
	.options = options,
	.options_size = sizeof(DescribeOptions),
	.completes = "kind name",
	.run = run,
};
