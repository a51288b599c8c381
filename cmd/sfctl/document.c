/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents: what each one is about, in which order they are sent, and the server's errors put
 * beside the line they are about. See manifest.h.
 */
#include <ctype.h>

#include "base/hashmap.h"
#include "manifest_internal.h"
#include "table.h"
#include "json/json.h"

static YamlMark path_mark(const Document *d, const char *path)
{
	_cleanup_(xfreep) char *known =
		strchr(path, '=') ? field_path_by_index(d->tree, path) : field_path_by_member(path);
	_cleanup_(xfreep) char *full = xasprintf("%s%s", d->prefix, known ? known : path);
	size_t len = strlen(full);

	if (len && full[len - 1] == '.')
		full[len - 1] = '\0'; /* the item itself */
	return *full ? yaml_doc_mark(d->source, full) : yaml_doc_start(d->source);
}

void document_error(Cli *cli, const Document *d, const char *path, const char *text)
{
	_cleanup_(xfreep) char *safe = text_escape(text);
	_cleanup_(xfreep) char *file = text_escape(yaml_doc_name(d->source));
	_cleanup_(xfreep) char *shown = text_escape(path);
	YamlMark mark = path_mark(d, path);

	fflush(cli->out);
	fprintf(cli->err, "%s:%u:%u: %s%s%s\n", file, mark.line, mark.column, shown,
		*shown ? ": " : "", safe);
}

/* ---- reading ------------------------------------------------------------------------------ */

static const char *required_string(Cli *cli, Document *d, const char *path)
{
	const json_t *v = json_at(d->tree, path);

	if (json_is_null(v))
		v = NULL; /* "kind:" with nothing behind it */
	if (json_is_string(v) && *json_string_value(v))
		return json_string_value(v);
	d->broken = true;
	document_error(cli, d, path,
		       !v                  ? "Required value"
		       : json_is_string(v) ? "must not be empty"
					   : "must be a string: quote it");
	return NULL;
}

/* What cannot stand in a URL's path is refused before one is made; the server knows the rest. */
static void check_part(Cli *cli, Document *d, const char *path, const char *value)
{
	_cleanup_(error_done) Error err = ERROR_INIT;

	if (str_is_empty(value) || name_check(value, &err) == 0)
		return;
	document_error(cli, d, path, error_message(&err));
	d->broken = true;
}

static int add_object(Cli *cli, Manifests *m, const YamlDoc *source, const json_t *tree,
		      const char *prefix)
{
	Document d = { .source = source, .tree = tree, .order = m->n };
	const json_t *namespace;

	d.prefix = xstrdup(prefix);
	if (!json_is_object(tree)) {
		document_error(cli, &d, "", "an object starts with apiVersion, kind and metadata");
		d.broken = true;
	} else {
		d.api_version = required_string(cli, &d, "apiVersion");
		d.kind = required_string(cli, &d, "kind");
		d.name = required_string(cli, &d, "metadata.name");
		namespace = json_at(tree, "metadata.namespace");
		d.namespace = json_string_value(namespace);
		if (namespace)
			required_string(cli, &d, "metadata.namespace");
		check_part(cli, &d, "metadata.name", d.name);
		check_part(cli, &d, "metadata.namespace", d.namespace);
	}
	GROW_ARRAY(m->items, m->n, m->cap);
	m->items[m->n++] = d;
	return d.broken ? EXIT_INVALID : EXIT_OK;
}

int documents_add(Cli *cli, Manifests *m, const YamlDoc *source)
{
	const json_t *tree = yaml_doc_tree(source), *items = json_object_get(tree, "items");
	const char *kind = json_string_value(json_object_get(tree, "kind"));
	int code = EXIT_OK;

	if (!kind || !str_has_suffix(kind, "List") || !json_is_array(items))
		return add_object(cli, m, source, tree, "");
	for (size_t i = 0; i < json_array_size(items); i++) {
		_cleanup_(xfreep) char *prefix = xasprintf("items[%zu].", i);

		exit_code_merge(&code,
				add_object(cli, m, source, json_array_get(items, i), prefix));
	}
	return code;
}

/* ---- kinds and order ---------------------------------------------------------------------- */

static bool is_crd(const Document *d)
{
	return d->kind && streq(d->kind, "CustomResourceDefinition");
}

/* Kinds that this very set defines can be named by its other documents before they are served. */
static void add_defined_kinds(Cli *cli, Manifests *m)
{
	for (size_t i = 0; i < m->n; i++) {
		Kind *k = NULL;
		const Resource *known;

		if (m->items[i].broken || !is_crd(&m->items[i]) ||
		    kind_from_crd(m->items[i].tree, false, &k, NULL) < 0)
			continue; /* the server says what is wrong with it */
		for (const Kind *const *v = k->versions; *v; v++)
			if ((*v)->served &&
			    cli_resource_by_kind(cli, (*v)->api_version, k->kind, &known, NULL) < 0)
				cli_add_kind(cli, *v);
		kind_unref(k);
	}
}

static bool defined_here(const Manifests *m, const Resource *r)
{
	for (size_t i = 0; i < m->n; i++)
		if (is_crd(&m->items[i]) &&
		    streq_ptr(json_string_at(m->items[i].tree, "spec.group"), r->group) &&
		    streq_ptr(json_string_at(m->items[i].tree, "spec.names.plural"), r->plural))
			return true;
	return false;
}

int document_kind_order(const char *kind)
{
	static const struct {
		const char *kind;
		int order;
	} kinds[] = {
		{"Namespace",                 0},
                { "ResourceQuota",            1},
                { "CustomResourceDefinition", 1},
		{ "Secret",                   2},
                { "ConfigMap",                2},
                { "Network",                  3},
		{ "Image",                    4},
                { "Instance",                 5},
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (streq(kinds[i].kind, kind))
			return kinds[i].order;
	return 6;
}

static bool asks_for_address(const Document *d)
{
	const json_t *nic;
	size_t i;

	if (!streq(d->kind, "Instance"))
		return false;
	json_array_foreach (json_at(d->tree, "spec.interfaces"), i, nic)
		if (json_array_size(json_object_get(nic, "addresses")) > 0)
			return true;
	return false;
}

/* Of the instances first those that ask for an address: before it is given to another one. */
static int compare_documents(const void *a, const void *b)
{
	const Document *x = a, *y = b;
	int ox = document_kind_order(x->kind), oy = document_kind_order(y->kind);
	bool ax = asks_for_address(x), ay = asks_for_address(y);

	if (ox != oy)
		return ox - oy;
	if (ax != ay)
		return ax ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static int resolve_one(Cli *cli, Manifests *m, Document *d)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	int rc;

	rc = cli_resource_by_kind(cli, d->api_version, d->kind, &d->resource, &err);
	if (rc == -ERR_INVALID) {
		document_error(cli, d, "kind", error_message(&err));
		d->broken = true;
		return EXIT_INVALID;
	}
	if (rc < 0) {
		d->broken = true;
		return (int)cli_report(cli, rc, &err);
	}
	if (!d->resource->namespaced && d->namespace) {
		document_error(cli, d, "metadata.namespace", "this kind belongs to no namespace");
		d->broken = true;
		return EXIT_INVALID;
	}
	if (!d->resource->namespaced)
		d->namespace = NULL;
	else if (!d->namespace)
		d->namespace = cli->namespace;
	else if (cli->global.namespace && !streq(d->namespace, cli->global.namespace)) {
		_cleanup_(xfreep) char *text = xasprintf("is %s, but --namespace asks for %s",
							 d->namespace, cli->global.namespace);

		document_error(cli, d, "metadata.namespace", text);
		d->broken = true;
		return EXIT_INVALID;
	}
	d->pending_kind = defined_here(m, d->resource);
	return EXIT_OK;
}

/* The same object twice would be "configured" by itself for ever. */
static int refuse_twice(Cli *cli, Manifests *m)
{
	_cleanup_(hashmap_freep) Hashmap *seen = hashmap_new(NULL);
	int code = EXIT_OK;

	for (size_t i = 0; i < m->n; i++) {
		Document *d = &m->items[i], *first;
		_cleanup_(xfreep) char *key = NULL, *text = NULL;
		YamlMark mark;

		if (d->broken)
			continue;
		key = xasprintf("%s/%s/%s/%s", d->resource->group, d->resource->plural,
				d->namespace ? d->namespace : "", d->name);
		first = hashmap_get(seen, key);
		if (!first) {
			hashmap_put(seen, key, d);
			continue;
		}
		mark = path_mark(first, "metadata.name");
		text = xasprintf("%s %s is given twice; first at %s:%u:%u", d->kind, d->name,
				 yaml_doc_name(first->source), mark.line, mark.column);
		document_error(cli, d, "metadata.name", text);
		d->broken = true;
		exit_code_merge(&code, EXIT_INVALID);
	}
	return code;
}

int manifests_resolve(Cli *cli, Manifests *m)
{
	int code = EXIT_OK, one;

	add_defined_kinds(cli, m);
	for (size_t i = 0; i < m->n; i++) {
		if (m->items[i].broken)
			continue;
		one = resolve_one(cli, m, &m->items[i]);
		exit_code_merge(&code, one);
		if (one == EXIT_UNREACHABLE)
			return code; /* said once; the others would say the same */
	}
	exit_code_merge(&code, refuse_twice(cli, m));
	/* What could not be read has no kind to be put in order by, and nothing will be sent. */
	for (size_t i = 0; i < m->n; i++)
		if (m->items[i].broken)
			return code;
	if (code == EXIT_OK && m->n)
		qsort(m->items, m->n, sizeof(*m->items), compare_documents);
	return code;
}

int targets_from_files(Cli *cli, char *const *paths, bool reverse, Targets *ret)
{
	Manifests m;
	int code = manifests_load(cli, paths, &m);

	exit_code_merge(&code, manifests_resolve(cli, &m));
	for (size_t i = 0; code == EXIT_OK && i < m.n; i++) {
		const Document *d = &m.items[reverse ? m.n - 1 - i : i];

		targets_add(ret, d->resource, d->namespace, d->name);
	}
	manifests_done(&m);
	return code;
}

/* ---- the server's errors ------------------------------------------------------------------ */

bool status_is_field_conflict(const json_t *status)
{
	const json_t *cause;
	size_t i;

	json_array_foreach (json_at(status, "details.causes"), i, cause)
		if (streq_ptr(json_string_at(cause, "reason"), "FieldManagerConflict"))
			return true;
	return false;
}

/* ".spec.cpus" (conflicts) and "spec.cpus" (validation) mean the same place. */
static const char *cause_field(const json_t *cause)
{
	const char *field = json_string_at(cause, "field");

	if (!field || streq(field, "<nil>"))
		return "";
	return *field == '.' ? field + 1 : field;
}

/* strict decoding error: unknown field "spec.cpuz", unknown field "spec.x" (no causes then) */
static size_t report_strict(Cli *cli, const Document *d, const char *message)
{
	static const char marker[] = "unknown field \"";
	size_t n = 0;

	for (const char *p = strstr(message, marker); p; p = strstr(p, marker)) {
		const char *field = p + strlen(marker), *end = strchr(field, '"');
		_cleanup_(xfreep) char *path = NULL, *text = NULL;
		size_t rest;

		if (!end)
			break;
		path = xstrndup(field, (size_t)(end - field));
		rest = strcspn(end + 1, ","); /* " (did you mean …?)" */
		text = xasprintf("unknown field%.*s", (int)rest, end + 1);
		document_error(cli, d, path, text);
		n++;
		p = end;
	}
	return n;
}

typedef struct CauseAt {
	const json_t *cause;
	YamlMark mark;
	size_t order;
} CauseAt;

static int compare_causes(const void *a, const void *b)
{
	const CauseAt *x = a, *y = b;

	if (x->mark.line != y->mark.line)
		return x->mark.line < y->mark.line ? -1 : 1;
	if (x->mark.column != y->mark.column)
		return x->mark.column < y->mark.column ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* One line each, from the top of the file to its end, as a compiler does. */
static size_t report_causes(Cli *cli, const Document *d, const json_t *causes, const Error *err)
{
	size_t n = json_array_size(causes), i;
	_cleanup_(xfreep) CauseAt *sorted = xnew0(CauseAt, n + 1);
	const json_t *cause;

	json_array_foreach (causes, i, cause)
		sorted[i] = (CauseAt){ .cause = cause,
				       .mark = path_mark(d, cause_field(cause)),
				       .order = i };
	qsort(sorted, n, sizeof(*sorted), compare_causes);
	for (i = 0; i < n; i++) {
		const char *text = json_string_at(sorted[i].cause, "message");

		document_error(cli, d, cause_field(sorted[i].cause),
			       text ? text : error_message(err));
	}
	return n;
}

/* What an error without causes is about: the whole document, or its namespace, which is not there.
 */
static const char *place_of(const Document *d, int rc, const json_t *status)
{
	bool namespace = rc == -ERR_NOT_FOUND &&
			 streq_ptr(json_string_at(status, "details.kind"), "namespaces");

	return namespace && json_at(d->tree, "metadata.namespace") ? "metadata.namespace" : "";
}

ExitCode document_report(Cli *cli, const Document *d, int rc, Error *err)
{
	const json_t *status = cli->client ? client_status(cli->client) : NULL;
	ExitCode code = exit_code_from_error(rc);
	size_t n;

	if (!status) /* it did not get as far as the server */
		return cli_report(cli, rc, err);
	n = report_causes(cli, d, json_at(status, "details.causes"), err);
	if (!n && rc == -ERR_INVALID)
		n = report_strict(cli, d, error_message(err));
	if (!n)
		document_error(cli, d, place_of(d, rc, status), error_message(err));
	error_done(err);
	return code;
}
