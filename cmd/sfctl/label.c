/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl label, sfctl annotate: small changes of metadata, by merge patch.
 */
#include "base/retry.h"
#include "sfctl.h"
#include "json/json.h"

typedef struct LabelOptions {
	bool overwrite, all, all_namespaces;
	const char *selector;
} LabelOptions;

static const Option options[] = { OPTION(0, "overwrite", FLAG, LabelOptions, overwrite, NULL,
					 "change values that are there already"),
				  OPTION('l', "selector", STRING, LabelOptions, selector, "LABELS",
					 "all of the kind with these labels"),
				  OPTION(0, "all", FLAG, LabelOptions, all, NULL,
					 "all of the kind in the namespace"),
				  OPTION('A', "all-namespaces", FLAG, LabelOptions, all_namespaces,
					 NULL, "with -l or --all: of every namespace"),
				  OPTIONS_END };

typedef struct Marker {
	Cli *cli;
	const LabelOptions *o;
	const char *map;  /* "labels" or "annotations" */
	const char *done; /* "labeled" */
	json_t *changes;  /* key to value, or null */
} Marker;

/* One object in hand. */
typedef struct Marking {
	const Marker *m;
	const char *path, *name;
} Marking;

/* KEY=VALUE sets, KEY- removes; the words before are what to change. */
static int parse_changes(char *const *args, json_t *changes, char ***ret_rest, Error *err)
{
	char **rest = xnew0(char *, 1);
	int rc = 0;

	strv_foreach (a, args) {
		const char *equals = strchr(*a, '=');
		size_t n = equals ? (size_t)(equals - *a) : strlen(*a);
		bool removal = !equals && n > 1 && (*a)[n - 1] == '-';
		_cleanup_(xfreep) char *key = NULL;

		if (!equals && !removal) {
			rest = strv_append(rest, *a);
			continue;
		}
		key = xstrndup(*a, removal ? n - 1 : n);
		if (!*key)
			rc = error_set(err, ERR_INVALID, "'%s': the key is empty", *a);
		else if (json_object_get(changes, key))
			rc = error_set(err, ERR_INVALID, "'%s' is given twice", key);
		else
			json_object_set_new(changes, key,
					    equals ? json_string(equals + 1) : json_null());
	}
	if (rc < 0)
		strv_free(rest);
	else
		*ret_rest = rest;
	return rc;
}

static int check_overwrite(const Marking *one, const json_t *old, Error *err)
{
	const Marker *m = one->m;
	const char *key;
	json_t *value;

	if (m->o->overwrite)
		return 0;
	json_object_foreach (m->changes, key, value) {
		const char *now = json_string_value(json_object_get(old, key));

		if (now && json_is_string(value) && !streq(now, json_string_value(value)))
			return error_set(err, ERR_CONFLICT,
					 "%s already has %s=%s; --overwrite changes it", one->name,
					 key, now);
	}
	return 0;
}

/* True if it is already as it shall be. */
static bool is_marked(const Marker *m, const json_t *old)
{
	const char *key;
	json_t *value;

	json_object_foreach (m->changes, key, value) {
		const json_t *now = json_object_get(old, key);

		if (json_is_null(value) ? now != NULL : !now || !json_equal(now, value))
			return false;
	}
	return true;
}

/* Without --overwrite only what was looked at is changed: a value may have come meanwhile. */
static int send_marks(const Marking *one, const json_t *object, Error *err)
{
	const Marker *m = one->m;
	json_t *body = json_pack("{s:{s:O}}", "metadata", m->map, m->changes);
	_cleanup_(strbuf_done) StrBuf full = STRBUF_INIT;
	int rc;

	if (!m->o->overwrite)
		json_object_set_new(
			json_object_get(body, "metadata"), "resourceVersion",
			json_string(json_string_at(object, "metadata.resourceVersion")));
	strbuf_adds(&full, one->path);
	path_add_query(&full, "fieldManager", FIELD_MANAGER "-edit");
	rc = cli_call(m->cli,
		      &(ClientRequest){ .method = "PATCH",
					.path = strbuf_str(&full),
					.content_type = TYPE_MERGE_PATCH,
					.body = body },
		      NULL, err);
	json_decref(body);
	return rc;
}

static int mark_once(void *arg, Error *err)
{
	_cleanup_(json_decrefp) json_t *object = NULL;
	const Marking *one = arg;
	const Marker *m = one->m;
	const json_t *old;
	int rc = cli_get(m->cli, one->path, &object, err);

	if (rc < 0)
		return rc;
	old = json_object_get(json_object_get(object, "metadata"), m->map);
	rc = check_overwrite(one, old, err);
	if (rc < 0)
		return rc;
	rc = send_marks(one, object, err);
	if (rc == 0)
		fprintf(m->cli->out, "%s %s\n", one->name,
			is_marked(m, old) ? "unchanged" : m->done);
	return m->o->overwrite ? rc : retry_if_conflict(rc);
}

static int mark_one(const Marker *m, const Target *t, Error *err)
{
	_cleanup_(xfreep) char *path = resource_path(t->resource, t->namespace, t->name, NULL);
	_cleanup_(xfreep) char *name = resource_object_name(t->resource, t->name);
	Marking one = { .m = m, .path = path, .name = name };

	return retry_on_conflict(mark_once, &one, err);
}

static int mark(Cli *cli, const LabelOptions *o, const Parsed *parsed, const char *map,
		const char *done, Error *err)
{
	Marker m = { .cli = cli, .o = o, .map = map, .done = done, .changes = json_object() };
	_cleanup_(strv_freep) char **rest = NULL;
	Targets targets = { 0 };
	int rc, code = EXIT_OK;

	rc = parse_changes(parsed->args, m.changes, &rest, err);
	if (rc == 0 && !json_object_size(m.changes))
		code = (int)cli_usage(cli, "say what to change: KEY=VALUE sets, KEY- removes");
	else if (rc == 0)
		rc = targets_select(cli, rest, o->all, o->all_namespaces, o->selector, &targets,
				    err);
	for (size_t i = 0; rc == 0 && i < targets.n; i++) {
		int one = mark_one(&m, &targets.items[i], err);

		if (one < 0)
			exit_code_merge(&code, (int)cli_report(cli, one, err));
		if (one == -ERR_UNAVAILABLE)
			break;
	}
	targets_done(&targets);
	json_decref(m.changes);
	return rc < 0 ? rc : code;
}

static int run_label(Cli *cli, const void *values, const Parsed *parsed, Error *err)
{
	return mark(cli, values, parsed, "labels", "labeled", err);
}

static int run_annotate(Cli *cli, const void *values, const Parsed *parsed, Error *err)
{
	return mark(cli, values, parsed, "annotations", "annotated", err);
}

const Verb verb_label = {
	.name = "label",
	.synopsis = "KIND NAME... KEY=VALUE... KEY-...",
	.summary = "set or remove labels",
	.details = "  sfctl label vm web-1 app=web tier=front\n"
		   "  sfctl label vm --all app-\n",
	.options = options,
	.options_size = sizeof(LabelOptions),
	.completes = "kind name",
	.run = run_label,
};

const Verb verb_annotate = {
	.name = "annotate",
	.synopsis = "KIND NAME... KEY=VALUE... KEY-...",
	.summary = "set or remove annotations",
	.options = options,
	.options_size = sizeof(LabelOptions),
	.completes = "kind name",
	.run = run_annotate,
};
