/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of roles as tables. See rules.h.
 */
#include "rules.h"

#include "json/json.h"

char *strings_joined(const json_t *list)
{
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v)
		strbuf_addf(&out, "%s%s", i ? " " : "", json_string_value(v));
	return xstrdup(strbuf_str(&out));
}

/* "instances.shakenfist.io/log": as kubectl names it. */
static char *resource_text(const char *resource, const char *group)
{
	size_t n = strcspn(resource, "/");

	if (!*group)
		return xstrdup(resource);
	return xasprintf("%.*s.%s%s", (int)n, resource, group, resource + n);
}

/* A row, unless it is there already: several roles may say the same. */
static void add_row(Table *t, Hashmap *seen, const char *what, const char *names, const char *verbs)
{
	_cleanup_(xfreep) char *row = xasprintf("%s %s %s", what, names, verbs);

	if (hashmap_contains(seen, row))
		return;
	hashmap_put(seen, row, t);
	table_cell(t, what);
	table_cell(t, names);
	table_cell(t, verbs);
	table_end_row(t);
}

void rules_table_add(Table *t, Hashmap *seen, const json_t *rule)
{
	_cleanup_(xfreep) char *verbs = strings_joined(json_object_get(rule, "verbs"));
	_cleanup_(xfreep) char *names = strings_joined(json_object_get(rule, "resourceNames"));
	json_t *group, *resource, *url;
	size_t i, k;

	json_array_foreach (json_object_get(rule, "apiGroups"), i, group)
		json_array_foreach (json_object_get(rule, "resources"), k, resource) {
			_cleanup_(xfreep) char *text = resource_text(json_string_value(resource),
								     json_string_value(group));

			add_row(t, seen, text, names, verbs);
		}
	json_array_foreach (json_object_get(rule, "nonResourceURLs"), i, url)
		add_row(t, seen, json_string_value(url), "", verbs);
}

Table *rules_table(void)
{
	static const char *const columns[] = { "Resource or path", "Names", "Verbs" };
	Table *t = table_new();

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		table_column(t, columns[i]);
	return t;
}

static void describe_role(Cli *cli, const json_t *rules)
{
	_cleanup_(hashmap_freep) Hashmap *seen = hashmap_new(NULL);
	_cleanup_(table_freep) Table *t = rules_table();
	json_t *rule;
	size_t i;

	json_array_foreach (rules, i, rule)
		rules_table_add(t, seen, rule);
	fputs(table_rows(t) ? "\nRules:\n" : "\nRules: none\n", cli->out);
	table_print(t, cli->out, true, false, "  ");
}

static void describe_subjects(Cli *cli, const json_t *subjects)
{
	static const char *const fields[] = { "kind", "name", "namespace" };
	static const char *const columns[] = { "Kind", "Name", "Namespace" };
	_cleanup_(table_freep) Table *t = table_new();
	json_t *subject;
	size_t i;

	for (size_t f = 0; f < ARRAY_SIZE(columns); f++)
		table_column(t, columns[f]);
	json_array_foreach (subjects, i, subject) {
		for (size_t f = 0; f < ARRAY_SIZE(fields); f++)
			table_cell(t, json_string_at(subject, fields[f]));
		table_end_row(t);
	}
	fputs(table_rows(t) ? "\nSubjects:\n" : "\nSubjects: none\n", cli->out);
	table_print(t, cli->out, true, false, "  ");
}

void describe_rules(Cli *cli, json_t *rest)
{
	const json_t *ref = json_object_get(rest, "roleRef");

	if (ref) {
		const char *kind = json_string_at(ref, "kind"), *name = json_string_at(ref, "name");
		_cleanup_(xfreep) char *safe = text_escape(name ? name : "");

		fprintf(cli->out, "\nRole:         %s/%s\n", kind ? kind : "", safe);
		describe_subjects(cli, json_object_get(rest, "subjects"));
	} else {
		describe_role(cli, json_object_get(rest, "rules"));
	}
	json_object_del(rest, "rules");
	json_object_del(rest, "roleRef");
	json_object_del(rest, "subjects");
}
