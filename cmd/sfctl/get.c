/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl get: tables as the server lays them out, or objects as YAML, JSON, names or by a template;
 * once, or as they change.
 */
#include "get.h"

#include "manifest.h"
#include "json/json.h"

typedef struct GetOptions {
	char **files;
	const char *output, *selector, *field_selector, *sort_by;
	bool all_namespaces, watch, no_headers, labels, managed, ignore_missing;
} GetOptions;

static const Option options[] = {
	OPTION('o', "output", STRING, GetOptions, output, "FORMAT",
	       "wide, yaml, json, name or jsonpath=TEMPLATE",
	       .choices = "wide yaml json name jsonpath="),
	OPTION('l', "selector", STRING, GetOptions, selector, "LABELS",
	       "only objects with these labels: app=web,tier!=db"),
	OPTION(0, "field-selector", STRING, GetOptions, field_selector, "FIELDS",
	       "only objects with these values: status.phase=Ready"),
	OPTION('A', "all-namespaces", FLAG, GetOptions, all_namespaces, NULL, "of every namespace"),
	OPTION('w', "watch", FLAG, GetOptions, watch, NULL, "stay, and print each change"),
	OPTION('f', "filename", LIST, GetOptions, files, "FILE|DIR|-",
	       "the objects that these manifests name", .choices = "@file"),
	OPTION(0, "sort-by", STRING, GetOptions, sort_by, "JSONPATH",
	       "order by this field: .metadata.creationTimestamp"),
	OPTION(0, "no-headers", FLAG, GetOptions, no_headers, NULL,
	       "leave the line of headings out"),
	OPTION(0, "show-labels", FLAG, GetOptions, labels, NULL, "add a column with all labels"),
	OPTION(0, "show-managed-fields", FLAG, GetOptions, managed, NULL,
	       "keep metadata.managedFields in YAML and JSON"),
	OPTION(0, "ignore-not-found", FLAG, GetOptions, ignore_missing, NULL,
	       "an object that does not exist is no failure"),
	OPTIONS_END
};

typedef struct Get {
	Cli *cli;
	const GetOptions *o;
	OutputFormat format;
	const char *template;
	bool several_kinds;
	bool list;      /* more than one object may come: wrap them */
	TableView view; /* of the kind that is being collected */
	size_t n_shown;
	json_t *items;      /* for yaml, json and jsonpath */
	char *last_version; /* watch: where to go on */
	int code;
} Get;

static bool is_table(const Get *g)
{
	return g->format == OUTPUT_TABLE || g->format == OUTPUT_WIDE;
}

static char *get_path(const Get *g, const Target *t, bool as_list)
{
	_cleanup_(xfreep) char *base =
		resource_path(t->resource, g->o->all_namespaces ? NULL : t->namespace,
			      as_list ? NULL : t->name, NULL);
	_cleanup_(strbuf_done) StrBuf path = STRBUF_INIT;
	_cleanup_(xfreep) char *fields = NULL;

	strbuf_adds(&path, base);
	if (g->o->selector)
		path_add_query(&path, "labelSelector", g->o->selector);
	if (as_list && t->name)
		fields = xasprintf("metadata.name=%s%s%s", t->name, g->o->field_selector ? "," : "",
				   g->o->field_selector ? g->o->field_selector : "");
	if (fields || g->o->field_selector)
		path_add_query(&path, "fieldSelector", fields ? fields : g->o->field_selector);
	if (is_table(g) && g->o->sort_by)
		path_add_query(&path, "includeObject", "Object");
	return strbuf_take(&path);
}

/* ---- order -------------------------------------------------------------------------------- */

typedef struct Sortable {
	json_t *item;
	json_t *key; /* borrowed from item; NULL if absent */
	size_t at;
} Sortable;

static int compare_sortable(const void *a, const void *b)
{
	const Sortable *x = a, *y = b;
	double dx, dy;
	int c = 0;

	if (!x->key || !y->key) {
		c = (x->key != NULL) - (y->key != NULL);
	} else if (json_is_number(x->key) && json_is_number(y->key)) {
		dx = json_number_value(x->key);
		dy = json_number_value(y->key);
		c = dx < dy ? -1 : dx > dy;
	} else if (json_is_string(x->key) && json_is_string(y->key)) {
		c = strcmp(json_string_value(x->key), json_string_value(y->key));
	}
	return c ? c : x->at < y->at ? -1 : x->at > y->at;
}

/* Sorts rows (by row.object) or items in place. */
static int sort_array(const char *expr, json_t *array, bool rows, Error *err)
{
	_cleanup_(jsonpath_freep) JsonPath *path = NULL;
	_cleanup_(xfreep) Sortable *all = NULL;
	size_t n = json_array_size(array);
	int rc;

	rc = jsonpath_compile(expr, &path, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "--sort-by=%s", expr);
	all = xnew0(Sortable, n + 1);
	for (size_t i = 0; i < n; i++) {
		json_t *item = json_incref(json_array_get(array, i)), *found;

		found = jsonpath_find(path, rows ? json_object_get(item, "object") : item);
		all[i] = (Sortable){ item, json_array_get(found, 0), i };
		json_decref(found);
	}
	qsort(all, n, sizeof(*all), compare_sortable);
	json_array_clear(array);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, all[i].item);
	return 0;
}

/* ---- once --------------------------------------------------------------------------------- */

static void flush_table(Get *g)
{
	if (g->view.table && table_rows(g->view.table)) {
		if (g->n_shown && g->several_kinds)
			fputc('\n', g->cli->out);
		g->n_shown += table_rows(g->view.table);
		table_print(g->view.table, g->cli->out, !g->o->no_headers, g->cli->color, "");
	}
	table_view_done(&g->view);
}

static void print_names(Get *g, const Resource *r, const json_t *answer)
{
	const json_t *items = json_object_get(answer, "items");
	size_t n = json_is_array(items) ? json_array_size(items) : 1;

	for (size_t i = 0; i < n; i++) {
		const json_t *item = json_is_array(items) ? json_array_get(items, i) : answer;
		const char *name = json_string_at(item, "metadata.name");
		_cleanup_(xfreep) char *full = resource_object_name(r, name ? name : "");

		fprintf(g->cli->out, "%s\n", full);
		g->n_shown++;
	}
}

/* Items of a list do not always say what they are; alone they must. */
static void keep_item(Get *g, const Resource *r, json_t *item)
{
	if (!json_object_get(item, "kind")) {
		json_object_set_new(item, "kind", json_string(r->kind));
		json_object_set_new(item, "apiVersion", json_string(r->api_version));
	}
	if (!g->o->managed)
		strip_managed_fields(item);
	json_array_append(g->items, item);
	g->n_shown++;
}

static int take_answer(Get *g, const Target *t, json_t *answer, Error *err)
{
	json_t *items = json_object_get(answer, "items"), *rows = json_object_get(answer, "rows");
	json_t *item;
	size_t i;
	int rc = 0;

	if (g->o->sort_by && json_is_array(rows ? rows : items))
		rc = sort_array(g->o->sort_by, rows ? rows : items, rows != NULL, err);
	if (rc < 0)
		return rc;
	if (is_table(g)) {
		if (g->view.table && g->view.resource != t->resource)
			flush_table(g);
		g->view.resource = t->resource;
		g->view.wide = g->format == OUTPUT_WIDE;
		g->view.namespaces = g->o->all_namespaces;
		g->view.labels = g->o->labels;
		g->view.full_names = g->several_kinds;
		table_view_add(&g->view, answer);
	} else if (g->format == OUTPUT_NAME) {
		print_names(g, t->resource, answer);
	} else if (json_is_array(items)) {
		json_array_foreach (items, i, item)
			keep_item(g, t->resource, item);
	} else {
		keep_item(g, t->resource, answer);
	}
	return 0;
}

static int get_one(Get *g, const Target *t, Error *err)
{
	_cleanup_(xfreep) char *path = get_path(g, t, t->name == NULL);
	const char *accept = is_table(g) ? ACCEPT_TABLE : NULL;
	json_t *answer = NULL;
	const char *version;
	int rc;

	if (t->name)
		rc = cli_call(g->cli,
			      &(ClientRequest){ .method = "GET", .path = path, .accept = accept },
			      &answer, err);
	else
		rc = cli_list(g->cli, path, accept, &answer, err);
	if (rc == 0) {
		version = json_string_at(answer, "metadata.resourceVersion");
		free(g->last_version);
		g->last_version = xstrdup(version);
		rc = take_answer(g, t, answer, err);
	} else if (rc == -ERR_NOT_FOUND && g->o->ignore_missing) {
		rc = error_ignore(err);
	}
	json_decref(answer);
	return rc;
}

static int print_items(Get *g, Error *err)
{
	json_t *list;
	int rc;

	if (is_table(g) || g->format == OUTPUT_NAME)
		return 0;
	if (!g->list && json_array_size(g->items) == 1)
		return output_tree(g->cli, g->format, g->template, json_array_get(g->items, 0),
				   err);
	if (!g->list)
		return 0; /* it does not exist, and that has been said */
	list = json_pack("{s:s, s:s, s:{}, s:O}", "apiVersion", "v1", "kind", "List", "metadata",
			 "items", g->items);
	rc = output_tree(g->cli, g->format, g->template, list, err);
	json_decref(list);
	return rc;
}

static void say_nothing_found(const Get *g, const Targets *t)
{
	const Resource *r = t->items[0].resource;

	if (!g->list || g->n_shown || g->code != EXIT_OK ||
	    (!is_table(g) && g->format != OUTPUT_NAME))
		return;
	if (g->o->all_namespaces || (!g->several_kinds && !r->namespaced))
		fprintf(g->cli->err, "no %s found\n", g->several_kinds ? "objects" : r->plural);
	else
		fprintf(g->cli->err, "no %s found in namespace %s\n",
			g->several_kinds ? "objects" : r->plural, g->cli->namespace);
}

/* ---- watch -------------------------------------------------------------------------------- */

typedef struct GetWatch {
	Get *g;
	const Target *target;
	Error *err;
} GetWatch;

static int on_event(void *arg, const json_t *event)
{
	GetWatch *w = arg;
	Get *g = w->g;
	json_t *object = json_object_get(event, "object");
	const char *version = json_string_at(object, "metadata.resourceVersion");
	int rc = 0;

	if (version) {
		free(g->last_version);
		g->last_version = xstrdup(version);
	}
	if (streq(json_string_at(event, "type"), "BOOKMARK"))
		return 0;
	rc = take_answer(g, w->target, object, w->err);
	if (rc < 0)
		return rc;
	if (is_table(g)) {
		table_print(g->view.table, g->cli->out, !g->o->no_headers, g->cli->color, "");
	} else if (g->format != OUTPUT_NAME) {
		if (g->format == OUTPUT_YAML)
			fputs("---\n", g->cli->out);
		rc = output_tree(g->cli, g->format, g->template, json_array_get(g->items, 0),
				 w->err);
		json_array_clear(g->items);
	}
	fflush(g->cli->out);
	return rc;
}

static int watch(Get *g, const Target *t, Error *err)
{
	_cleanup_(xfreep) char *base = get_path(g, t, true);
	GetWatch w = { .g = g, .target = t, .err = err };
	Context ctx = CONTEXT_BACKGROUND;
	Client *client;
	int rc;

	rc = cli_client(g->cli, &client, err);
	while (rc == 0) {
		_cleanup_(strbuf_done) StrBuf path = STRBUF_INIT;

		strbuf_adds(&path, base);
		path_add_query(&path, "watch", "true");
		path_add_query(&path, "allowWatchBookmarks", "true");
		if (g->last_version)
			path_add_query(&path, "resourceVersion", g->last_version);
		rc = client_watch(client, &ctx, strbuf_str(&path),
				  is_table(g) ? ACCEPT_TABLE : NULL, on_event, &w, err);
		if (rc == -ERR_GONE) { /* too long away: what is now, and on from there */
			free(g->last_version);
			g->last_version = NULL;
			rc = error_ignore(err);
		}
	}
	return rc;
}

static int watch_first(Get *g, const Targets *t, Error *err)
{
	int rc;

	if (t->n != 1)
		return (int)cli_usage(g->cli, "get: -w watches one kind or one object");
	g->view.resource = t->items[0].resource;
	rc = get_one(g, &t->items[0], err);
	if (rc < 0)
		return rc;
	if (is_table(g) && g->view.table)
		table_print(g->view.table, g->cli->out, !g->o->no_headers, g->cli->color, "");
	else
		rc = print_items(g, err);
	json_array_clear(g->items);
	fflush(g->cli->out);
	return rc < 0 ? rc : watch(g, &t->items[0], err);
}

/* ---- the verb ----------------------------------------------------------------------------- */

static int get_all(Get *g, const Targets *t, Error *err)
{
	int rc;

	for (size_t i = 0; i < t->n; i++) {
		g->several_kinds |= t->items[i].resource != t->items[0].resource;
		g->list |= !t->items[i].name || t->n > 1;
	}
	if (g->o->watch)
		return watch_first(g, t, err);
	for (size_t i = 0; i < t->n; i++) {
		rc = get_one(g, &t->items[i], err);
		if (rc == -ERR_UNAVAILABLE)
			return rc;
		if (rc < 0)
			exit_code_merge(&g->code, (int)cli_report(g->cli, rc, err));
	}
	flush_table(g);
	rc = print_items(g, err);
	if (rc == 0)
		say_nothing_found(g, t);
	return rc < 0 ? rc : g->code;
}

static int run(Cli *cli, const void *values, const Parsed *parsed, Error *err)
{
	const GetOptions *o = values;
	Get g = { .cli = cli, .o = o };
	Targets targets = { 0 };
	int rc;

	if (output_parse(o->output, &g.format, &g.template, err) < 0)
		return (int)cli_usage(cli, "get: %s", error_message(err));
	if (!o->files && !parsed->args[0])
		return (int)cli_usage(cli, "get: which kind? `sfctl api-resources` lists them");
	g.items = json_array();
	rc = o->files ? targets_from_files(cli, o->files, false, &targets)
		      : targets_parse(cli, parsed->args, &targets, err);
	for (size_t i = 0; rc == 0 && i < targets.n; i++)
		if (targets.items[i].name && (o->all_namespaces || o->selector) && !o->watch)
			rc = (int)cli_usage(cli,
					    "get: a name together with -A or -l says two things");
	if (rc == 0)
		rc = get_all(&g, &targets, err);
	table_view_done(&g.view);
	json_decref(g.items);
	free(g.last_version);
	targets_done(&targets);
	return rc;
}

const Verb verb_get = {
	.name = "get",
	.synopsis = "KIND[,KIND] [NAME...] | KIND/NAME... | -f FILE",
	.summary = "list objects, or show one",
	.details = "  sfctl get vm                        all instances of the namespace\n"
		   "  sfctl get vm -A -o wide             of all namespaces, with more columns\n"
		   "  sfctl get vm web-1 -o yaml          one, whole\n"
		   "  sfctl get vm,networks -l app=web    two kinds, by label\n"
		   "  sfctl get vm web-1 -o jsonpath='{.status.interfaces[0].addresses[0]}'\n"
		   "  sfctl get images -w                 and each change from now on\n",
	.options = options,
	.options_size = sizeof(GetOptions),
	.completes = "kind name",
	.run = run,
};
