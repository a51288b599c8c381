/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl diff: what apply would change, as the server says it, and what each change costs a running
 * guest.
 */
#include "api/schema.h"
#include "applier.h"
#include "table.h"
#include "textdiff.h"
#include "json/json.h"

typedef struct DiffOptions {
	char **files;
	bool force;
} DiffOptions;

static const Option options[] = { OPTION('f', "filename", LIST, DiffOptions, files, "FILE|DIR|-",
					 "manifests; may be given several times",
					 .choices = "@file"),
				  OPTION(0, "force-conflicts", FLAG, DiffOptions, force, NULL,
					 "as if apply were told to take fields over"),
				  OPTIONS_END };

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

static void mask_secret(const Document *d, json_t *live, json_t *would)
{
	json_t *before;

	if (!streq(d->kind, "Secret"))
		return;
	before = json_deep_copy(live);
	mask(live, would, "before");
	mask(would, before, "after");
	json_decref(before);
}

/* "live", "restart", …: of the nearest field on the way down that says. */
static void print_costs(Cli *cli, const Schema *s, const json_t *a, const json_t *b,
			const char *path, const char *cost)
{
	const char *own = s ? schema_apply_cost(s) : NULL, *key;
	json_t *patch, *value;

	cost = own ? own : cost;
	if (json_same(a, b))
		return;
	if (!json_is_object(a) || !json_is_object(b)) {
		if (cost && !streq(cost, "live"))
			fprintf(cli->out, "# %s: %s\n", path,
				streq(cost, "restart")    ? "takes effect when the guest restarts"
				: streq(cost, "recreate") ? "needs the instance to be made anew"
							  : "cannot be changed");
		return;
	}
	patch = merge_diff(a, b);
	json_object_foreach (patch, key, value) {
		_cleanup_(xfreep) char *inner = xasprintf("%s%s%s", path, *path ? "." : "", key);

		print_costs(cli, s ? schema_property(s, key) : NULL, json_object_get(a, key),
			    json_object_get(b, key), inner, cost);
	}
	json_decref(patch);
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

/* 1 = differs, 0 = the same. */
static int show_document(Cli *cli, const Document *d, const json_t *live, const json_t *would)
{
	_cleanup_(strbuf_done) StrBuf a = STRBUF_INIT, b = STRBUF_INIT, out = STRBUF_INIT;
	_cleanup_(xfreep) char *name = resource_object_name(d->resource, d->name);
	_cleanup_(xfreep) char *from = NULL, *to = NULL;
	json_t *x = live ? comparable_copy(live) : NULL, *y = comparable_copy(would);

	from = live ? xasprintf("live/%s", name) : xstrdup("/dev/null");
	to = xasprintf("manifest/%s", name);
	mask_secret(d, x, y);
	if (x && !json_same(x, y))
		yaml_emit(x, &a);
	if (!json_same(x, y))
		yaml_emit(y, &b);
	text_diff(from, strbuf_str(&a), to, strbuf_str(&b), &out);
	print_diff(cli, strbuf_str(&out));
	if (x && d->resource->compiled)
		print_costs(cli, d->resource->compiled->schema, x, y, "", NULL);
	json_decref(x);
	json_decref(y);
	return out.len > 0;
}

static int diff_one(Cli *cli, const Manifests *m, const Document *d, bool force, bool *conflict)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	json_t *live = NULL, *would = NULL;
	int rc, code;

	rc = document_live(cli, d, &live, &err);
	if (rc < 0) {
		code = (int)document_report(cli, d, rc, &err);
	} else {
		code = document_try(cli, m, d, force, &would);
		*conflict |= code == EXIT_CONFLICT &&
			     status_is_field_conflict(client_status(cli->client));
		if (code == EXIT_OK)
			code = show_document(cli, d, live, would ? would : d->tree) ? EXIT_FAILED
										    : EXIT_OK;
		else if (code == EXIT_FAILED)
			code = EXIT_TROUBLE;
	}
	json_decref(live);
	json_decref(would);
	return code;
}

static int run(Cli *cli, const void *values, const Parsed *parsed, Error *err _unused_)
{
	const DiffOptions *o = values;
	int code, worst = EXIT_OK, one;
	bool conflict = false;
	Manifests m;

	if (!o->files || parsed->args[0])
		return (int)cli_usage(cli, "diff: -f FILE, -f DIR or -f - is needed, nothing else");
	code = manifests_load(cli, o->files, &m);
	exit_code_merge(&code, manifests_resolve(cli, &m));
	if (code == EXIT_FAILED)
		code = EXIT_TROUBLE;
	for (size_t i = 0; code == EXIT_OK && i < m.n; i++) {
		one = diff_one(cli, &m, &m.items[i], o->force, &conflict);
		/* An error outweighs a difference. */
		if (one > worst || worst == EXIT_FAILED)
			worst = one > EXIT_FAILED || worst == EXIT_OK ? one : worst;
		if (one == EXIT_UNREACHABLE)
			break;
	}
	if (conflict)
		print_conflict_hint(cli);
	manifests_done(&m);
	return code != EXIT_OK ? code : worst;
}

const Verb verb_diff = {
	.name = "diff",
	.synopsis = "-f FILE|DIR|- [-f …]",
	.summary = "show what apply would change",
	.details = "Exits 0 if nothing differs, 1 if something does, more if it could not be found "
		   "out.\n"
		   "Lines with # say which changes wait for the guest's restart.\n",
	.options = options,
	.options_size = sizeof(DiffOptions),
	.completes = "",
	.run = run,
};
