/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quotas: see quotas.h.
 */
#include "quotas.h"

#include "table.h"
#include "json/json.h"

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_amount(Table *t, const json_t *v)
{
	_cleanup_(xfreep) char *text =
		json_is_integer(v) ? xasprintf("%lld", (long long)json_integer_value(v)) : NULL;

	table_cell(t, text ? text : json_is_string(v) ? json_string_value(v) : "?");
}

static void print_table(Cli *cli, const json_t *quota, const char *indent)
{
	json_t *hard = json_at(quota, "status.hard"), *used = json_at(quota, "status.used"), *v;
	_cleanup_(xfreep) const char **names = NULL;
	_cleanup_(table_freep) Table *t = table_new();
	const char *name;
	size_t n = 0;

	if (!hard)
		hard = json_at(quota, "spec.hard"); /* nobody has counted yet */
	names = xnew(const char *, json_object_size(hard) + 1);
	json_object_foreach (hard, name, v)
		names[n++] = name;
	qsort(names, n, sizeof(*names), compare_names);
	table_column(t, "Resource");
	table_column(t, "Used");
	table_column(t, "Hard");
	for (size_t i = 0; i < n; i++) {
		table_cell(t, names[i]);
		add_amount(t, json_object_get(used, names[i]));
		add_amount(t, json_object_get(hard, names[i]));
		table_end_row(t);
	}
	table_print(t, cli->out, true, false, indent);
}

void quota_print(Cli *cli, const json_t *quota)
{
	fputs("\n", cli->out);
	print_table(cli, quota, "");
}

void quotas_print(Cli *cli, const char *namespace)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *path = NULL;
	const Resource *r = NULL;
	json_t *list = NULL, *quota;
	size_t i;

	if (cli_resource_by_word(cli, "resourcequotas", &r, &err) < 0)
		return;
	path = resource_path(r, namespace, NULL, NULL);
	if (cli_list(cli, path, NULL, &list, &err) < 0)
		return;
	json_array_foreach (json_object_get(list, "items"), i, quota) {
		_cleanup_(xfreep) char *safe = text_escape(json_string_at(quota, "metadata.name"));

		fprintf(cli->out, "%s  %s:\n", i ? "" : "\nQuotas:\n", safe);
		print_table(cli, quota, "    ");
	}
	json_decref(list);
}
