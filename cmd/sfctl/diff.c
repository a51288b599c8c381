/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl diff: what apply would change, as the server says it, what each change costs a running
 * guest, and with --prune what would go.
 */
#include "api/change.h"
#include "applier.h"
#include "prune.h"
#include "table.h"
#include "textdiff.h"
#include "json/json.h"

typedef struct DiffOptions {
	char **files;
	const char *output;
	ApplyAs as;
	PruneOptions prune;
} DiffOptions;

static const Option options[] = {
	OPTION('f', "filename", LIST, DiffOptions, files, "FILE|DIR|-",
	       "manifests; may be given several times", .choices = "@file"),
	OPTION(0, "force-conflicts", FLAG, DiffOptions, as.force, NULL,
	       "as if apply were told to take fields over"),
	FIELD_MANAGER_OPTION(DiffOptions, as.manager),
	OPTION('o', "output", STRING, DiffOptions, output, "json",
	       "the changes as a list instead of text", .choices = "json"),
	PRUNE_OPTIONS(DiffOptions, prune),
	OPTIONS_END
};

typedef enum Action { ACTION_NONE, ACTION_CREATE, ACTION_UPDATE, ACTION_PRUNE, _ACTION_MAX } Action;

typedef struct Diff {
	Cli *cli;
	const DiffOptions *o;
	json_t *list; /* for -o json; else NULL */
	size_t actions[_ACTION_MAX];
	size_t kept, leaving;
	size_t costs[_COST_MAX]; /* objects by their worst change */
	ApplySet set;
	bool conflict;
	int code; /* EXIT_OK, EXIT_FAILED for a difference, or an error's */
} Diff;

/* An error outweighs a difference, and the first error counts. */
static void merge(Diff *d, int code)
{
	if (d->code == EXIT_OK || d->code == EXIT_FAILED)
		d->code = code == EXIT_OK ? d->code : code;
}

/* Of a Secret only whether a value changes is shown. */
static void mask(json_t *object, const json_t *other, const char *word)
{
	static const char *const maps[] = { "data", "stringData" };

	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		json_t *map = json_object_get(object, maps[i]), *value;
		const json_t *theirs = json_object_get(other, maps[i]);
		const char *key;
		void *next;

		json_object_foreach_safe(map, next, key, value)
		{
			bool same = json_same(value, json_object_get(theirs, key));

			json_object_set_new(map, key,
					    json_sprintf("*** (%s)", same ? "the same" : word));
		}
	}
}

static void mask_secret(const char *kind, json_t *live, json_t *would)
{
	json_t *before;

	if (!streq(kind, "Secret"))
		return;
	before = json_deep_copy(live);
	mask(live, would, "before");
	mask(would, before, "after");
	json_decref(before);
}

static void print_diff(Cli *cli, const char *text)
{
	_cleanup_(strv_freep) char **lines = strv_split(text, '\n');
	size_t n = strv_len(lines);

	for (size_t i = 0; i + 1 < n; i++) {
		_cleanup_(xfreep) char *safe = text_escape(lines[i]);
		const char *sgr = *safe == '+'   ? "\033[32m"
				  : *safe == '-' ? "\033[31m"
				  : *safe == '@' ? "\033[36m"
						 : NULL;

		if (cli->color && sgr)
			fprintf(cli->out, "%s%s\033[0m\n", sgr, safe);
		else
			fprintf(cli->out, "%s\n", safe);
	}
}

/* ---- one object --------------------------------------------------------------------------- */

static const char *text_of(const json_t *v, char **ret_owned)
{
	if (!v)
		return "unset";
	if (json_is_string(v))
		return json_string_value(v);
	return *ret_owned = json_text(v);
}

static void print_costs(Diff *d, const FieldChanges *changes)
{
	for (size_t i = 0; i < changes->n; i++) {
		const FieldChange *c = &changes->items[i];
		_cleanup_(xfreep) char *a = NULL, *b = NULL, *line = NULL, *safe = NULL;
		bool plain = !json_is_object(c->from) && !json_is_object(c->to) &&
			     !json_is_array(c->from) && !json_is_array(c->to) &&
			     !str_has_prefix(c->path, "data") && !str_has_prefix(c->path, "string");

		line = plain ? xasprintf("%s: %.60s -> %.60s: %s%s%s%s", c->path,
					 text_of(c->from, &a), text_of(c->to, &b),
					 change_cost_to_string(c->cost), *c->reason ? " (" : "",
					 c->reason, *c->reason ? ")" : "")
			     : xasprintf("%s: %s%s%s%s", c->path, change_cost_to_string(c->cost),
					 *c->reason ? " (" : "", c->reason, *c->reason ? ")" : "");
		safe = text_escape(line);
		fprintf(d->cli->out, "# %s\n", safe);
	}
}

static void print_texts(Diff *d, const char *from, const json_t *a, const char *to, const json_t *b)
{
	_cleanup_(strbuf_done) StrBuf x = STRBUF_INIT, y = STRBUF_INIT, out = STRBUF_INIT;

	if (a)
		yaml_emit(a, &x);
	if (b)
		yaml_emit(b, &y);
	text_diff(from, strbuf_str(&x), to, strbuf_str(&y), &out);
	print_diff(d->cli, strbuf_str(&out));
}

/* The new one: its entry in the list. */
static json_t *add_to_list(Diff *d, const char *name, const char *namespace, const char *action,
			   const FieldChanges *changes)
{
	json_t *o = json_pack("{s:s, s:s}", "object", name, "action", action);

	if (namespace)
		json_object_set_new(o, "namespace", json_string(namespace));
	if (changes) {
		json_object_set_new(o, "cost",
				    json_string(change_cost_to_string(changes_worst(changes))));
		json_object_set_new(o, "changes", changes_to_json(changes));
	}
	json_array_append_new(d->list, o);
	return o;
}

/* It goes whatever is stored over it, as apply says too: nothing of it costs a guest anything. */
static void show_leaving(Diff *d, const char *name, json_t *entry)
{
	d->leaving++;
	merge(d, EXIT_FAILED);
	if (entry)
		json_object_set_new(entry, "deleting", json_true());
	else
		fprintf(d->cli->out, "# %s: is being deleted\n", name);
}

/* x NULL: it would be new. Both without the server's book-keeping. */
static void show_pair(Diff *d, const Document *doc, const json_t *x, const json_t *y,
		      const json_t *live)
{
	_cleanup_(xfreep) char *name = resource_object_name(doc->resource, doc->name);
	_cleanup_(xfreep) char *from = NULL, *to = xasprintf("manifest/%s", name);
	FieldChanges changes = { 0 };
	ChangeObserved seen;
	bool leaving = live && json_string_at(live, "metadata.deletionTimestamp");
	json_t *entry = NULL;
	Action action = !x ? ACTION_CREATE : json_same(x, y) ? ACTION_NONE : ACTION_UPDATE;
	static const char *const words[] = { "none", "create", "update" };

	if (!leaving)
		d->actions[action]++;
	if (action != ACTION_NONE)
		merge(d, EXIT_FAILED);
	if (action == ACTION_UPDATE && !leaving) {
		change_observe(live, &seen);
		changes_find(doc->resource->compiled, x, y, &seen, &changes);
		d->costs[changes_worst(&changes)]++;
	}
	if (d->list) {
		entry = add_to_list(d, name, doc->namespace, words[action], x ? &changes : NULL);
	} else if (action != ACTION_NONE) {
		from = x ? xasprintf("live/%s", name) : xstrdup("/dev/null");
		print_texts(d, from, x, to, y);
		print_costs(d, &changes);
	}
	if (leaving)
		show_leaving(d, name, entry);
	changes_done(&changes);
}

static void show_document(Diff *d, const Document *doc, const json_t *live, const json_t *would)
{
	_cleanup_(json_decrefp) json_t *x = live ? comparable_copy(live) : NULL;
	_cleanup_(json_decrefp) json_t *y = comparable_copy(would);

	mask_secret(doc->kind, x, y);
	show_pair(d, doc, x, y, live);
}

/* What the server refuses because of what is there: a change that cannot be had. */
static void show_blocked(Diff *d, const json_t *live)
{
	const json_t *causes = json_at(client_status(d->cli->client), "details.causes"), *cause;
	size_t i;

	json_array_foreach (causes, i, cause) {
		const char *field = json_string_at(cause, "field");
		const char *message = json_string_at(cause, "message");
		_cleanup_(xfreep) char *safe = NULL;

		if (!live || d->list || !field || !message || !strstr(message, "immutable"))
			continue;
		safe = text_escape(message);
		fprintf(d->cli->out, "# %s: blocked (%s)\n", field, safe);
	}
}

static void diff_one(Diff *d, const Manifests *m, const Document *doc)
{
	_cleanup_(json_decrefp) json_t *live = NULL, *would = NULL;
	_cleanup_(error_done) Error err = ERROR_INIT;
	int rc = document_live(d->cli, doc, &live, &err), code;

	if (rc < 0) {
		code = (int)document_report(d->cli, doc, rc, &err);
	} else {
		code = document_try(d->cli, m, doc, &d->o->as, &would);
		if (code == EXIT_CONFLICT)
			d->conflict |= status_is_field_conflict(client_status(d->cli->client));
		if (code == EXIT_INVALID && d->cli->client && client_status(d->cli->client))
			show_blocked(d, live);
	}
	if (code == EXIT_OK)
		show_document(d, doc, live, would ? would : doc->tree);
	else
		merge(d, code == EXIT_FAILED ? EXIT_TROUBLE : code);
}

/* ---- what would go ------------------------------------------------------------------------ */

static void diff_member(Diff *d, const Member *m)
{
	_cleanup_(xfreep) char *name = resource_object_name(m->resource, m->name);
	_cleanup_(xfreep) char *from = xasprintf("live/%s", name);
	_cleanup_(xfreep) char *kept = prune_kept_because(m);
	_cleanup_(json_decrefp) json_t *x = comparable_copy(m->object), *nothing = json_object();

	if (m->fate == FATE_APPLIED)
		return;
	merge(d, EXIT_FAILED);
	if (kept)
		d->kept++;
	else
		d->actions[ACTION_PRUNE]++;
	if (d->list) {
		add_to_list(d, name, m->namespace, kept ? kept : "prune", NULL);
		return;
	}
	if (kept) {
		fprintf(d->cli->out, "# %s: %s\n", name, kept);
		return;
	}
	mask_secret(m->resource->kind, x, nothing);
	print_texts(d, from, x, "/dev/null", NULL);
}

/* ---- the end ------------------------------------------------------------------------------ */

static void print_summary(Diff *d)
{
	static const char *const what[] = { "unchanged", "new", "changed", "pruned" };
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT, costs = STRBUF_INIT;

	for (size_t c = _COST_MAX; c-- > COST_LIVE;)
		if (d->costs[c])
			strbuf_addf(&costs, "%s%zu %s", costs.len ? ", " : "", d->costs[c],
				    change_cost_to_string((ChangeCost)c));
	for (size_t a = ACTION_CREATE; a < _ACTION_MAX; a++)
		if (d->actions[a])
			strbuf_addf(&b, "%s%zu %s%s%s%s", b.len ? ", " : "", d->actions[a], what[a],
				    a == ACTION_UPDATE && costs.len ? " (" : "",
				    a == ACTION_UPDATE ? strbuf_str(&costs) : "",
				    a == ACTION_UPDATE && costs.len ? ")" : "");
	if (d->kept)
		strbuf_addf(&b, "%s%zu kept", b.len ? ", " : "", d->kept);
	if (d->leaving)
		strbuf_addf(&b, "%s%zu being deleted", b.len ? ", " : "", d->leaving);
	if (d->actions[ACTION_NONE] && b.len)
		strbuf_addf(&b, ", %zu unchanged", d->actions[ACTION_NONE]);
	if (b.len)
		fprintf(d->cli->out, "# %s\n", strbuf_str(&b));
}

static void diff_all(Diff *d, Manifests *m)
{
	if (d->o->prune.prune) {
		int code = prune_begin(d->cli, &d->o->prune, m, d->o->as.force, &d->set);

		if (code != EXIT_OK) {
			merge(d, code == EXIT_FAILED ? EXIT_TROUBLE : code);
			return;
		}
	}
	d->cli->hush = true; /* the costs are told below */
	for (size_t i = 0; i < m->n && d->code != EXIT_UNREACHABLE; i++)
		diff_one(d, m, &m->items[i]);
	d->cli->hush = false;
	for (size_t i = 0; i < d->set.n && d->code != EXIT_UNREACHABLE; i++)
		diff_member(d, &d->set.members[i]);
	if (prune_allowed(&d->set, &d->o->prune) != EXIT_OK)
		merge(d, EXIT_TROUBLE);
}

static int run(Cli *cli, const void *values, const Parsed *parsed, Error *err)
{
	const DiffOptions *o = values;
	Diff d = { .cli = cli, .o = o };
	Manifests m;
	int rc = 0;

	if (!o->files || parsed->args[0])
		return (int)cli_usage(cli, "diff: -f FILE, -f DIR or -f - is needed, nothing else");
	if (o->output && !streq(o->output, "json"))
		return (int)cli_usage(cli, "diff: -o json is the only one");
	if (prune_options_check(cli, &o->prune) != EXIT_OK)
		return EXIT_USAGE;
	d.list = o->output ? json_array() : NULL;
	d.code = manifests_load(cli, o->files, &m);
	exit_code_merge(&d.code, manifests_resolve(cli, &m));
	if (d.code == EXIT_FAILED)
		d.code = EXIT_TROUBLE;
	if (d.code == EXIT_OK)
		diff_all(&d, &m);
	if (d.conflict)
		print_conflict_hint(cli);
	if (d.list)
		rc = output_tree(cli, OUTPUT_JSON, NULL, d.list, err);
	else
		print_summary(&d);
	json_decref(d.list);
	applyset_done(&d.set);
	manifests_done(&m);
	return rc < 0 ? rc : d.code;
}

const Verb verb_diff = {
	.name = "diff",
	.synopsis = "-f FILE|DIR|- [-f …]",
	.summary = "show what apply would change, and what it costs",
	.details =
		"Exits 0 if nothing differs, 1 if something does, more if it could not be found "
		"out.\n"
		"Lines with # say what each change costs a guest: none, live, restart, recreate, "
		"or\n"
		"blocked. With --prune, what would be deleted is shown too.\n",
	.options = options,
	.options_size = sizeof(DiffOptions),
	.completes = "",
	.run = run,
};
