/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl api-resources: which kinds the server serves, and how they may be called.
 */
#include "sfctl.h"
#include "table.h"

typedef struct ApiOptions {
	const char *output;
	bool no_headers;
} ApiOptions;

static const Option options[] = { OPTION('o', "output", STRING, ApiOptions, output, "FORMAT",
					 "wide or name", .choices = "wide name"),
				  OPTION(0, "no-headers", FLAG, ApiOptions, no_headers, NULL,
					 "leave the line of headings out"),
				  OPTIONS_END };

static int by_name(const void *a, const void *b)
{
	const Resource *const *x = a, *const *y = b;
	int c = strcmp((*x)->group, (*y)->group);

	return c ? c : strcmp((*x)->plural, (*y)->plural);
}

static void add_row(Table *t, const Resource *r, bool wide)
{
	_cleanup_(xfreep) char *shorts = strv_join(r->short_names, ",");
	_cleanup_(xfreep) char *verbs = strv_join(r->verbs, ",");
	_cleanup_(xfreep) char *categories = strv_join(r->categories, ",");

	table_cell(t, r->plural);
	table_cell(t, shorts);
	table_cell(t, r->api_version);
	table_cell(t, r->namespaced ? "true" : "false");
	table_cell(t, r->kind);
	if (wide) {
		table_cell(t, verbs);
		table_cell(t, categories);
	}
	table_end_row(t);
}

static int run(Cli *cli, const void *values, const Parsed *parsed, Error *err)
{
	static const char *const columns[] = { "Name", "ShortNames", "APIVersion", "Namespaced",
					       "Kind", "Verbs",      "Categories" };
	const ApiOptions *o = values;
	bool names = o->output && streq(o->output, "name");
	bool wide = o->output && streq(o->output, "wide");
	_cleanup_(table_freep) Table *t = table_new();
	int rc;

	if (parsed->args[0] || (o->output && !names && !wide))
		return (int)cli_usage(cli, "api-resources: -o wide or -o name, nothing else");
	rc = cli_discover(cli, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ARRAY_SIZE(columns) - (wide ? 0 : 2); i++)
		table_column(t, columns[i]);
	qsort(cli->resources, cli->n_resources, sizeof(*cli->resources), by_name);
	for (size_t i = 0; i < cli->n_resources; i++) {
		const Resource *r = cli->resources[i];
		_cleanup_(xfreep) char *name = resource_full_name(r);

		if (!strv_len(r->verbs))
			continue; /* compiled in here, but not served there */
		if (r->alternate)
			continue;
		if (names)
			fprintf(cli->out, "%s\n", name);
		else
			add_row(t, r, wide);
	}
	if (!names)
		table_print(t, cli->out, !o->no_headers, false, "");
	return EXIT_OK;
}

const Verb verb_api_resources = {
	.name = "api-resources",
	.synopsis = "",
	.summary = "list the kinds that the server knows",
	.options = options,
	.options_size = sizeof(ApiOptions),
	.completes = "",
	.run = run,
};
