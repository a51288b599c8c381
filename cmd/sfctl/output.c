/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output: objects as YAML, JSON or by a template, and small helpers that several verbs print with.
 */
#include "sfctl.h"
#include "yaml/yaml.h"
#include "json/json.h"

int output_parse(const char *text, OutputFormat *ret, const char **ret_template, Error *err)
{
	static const struct {
		const char *word;
		OutputFormat format;
	} words[] = {
		{"wide",  OUTPUT_WIDE},
		{ "yaml", OUTPUT_YAML},
		{ "json", OUTPUT_JSON},
		{ "name", OUTPUT_NAME},
	};

	*ret_template = NULL;
	if (str_is_empty(text)) {
		*ret = OUTPUT_TABLE;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (streq(words[i].word, text)) {
			*ret = words[i].format;
			return 0;
		}
	if (str_has_prefix(text, "jsonpath=")) {
		*ret = OUTPUT_JSONPATH;
		*ret_template = text + strlen("jsonpath=");
		return 0;
	}
	return error_set(err, ERR_INVALID,
			 "-o %s: expected wide, yaml, json, name or jsonpath=TEMPLATE", text);
}

int output_tree(Cli *cli, OutputFormat format, const char *template, const json_t *tree, Error *err)
{
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;
	char *text;
	int rc;

	switch (format) {
	case OUTPUT_YAML:
		yaml_emit(tree, &out);
		break;
	case OUTPUT_JSON:
		text = json_dumps(tree, JSON_INDENT(4) | JSON_ENCODE_ANY);
		if (text)
			strbuf_addf(&out, "%s\n", text);
		free(text);
		break;
	default:
		rc = jsonpath_template(template, tree, &out, err);
		if (rc < 0)
			return error_wrap_rc(err, rc, "-o jsonpath");
		break;
	}
	fwrite(strbuf_str(&out), 1, out.len, cli->out);
	return 0;
}

void strip_managed_fields(json_t *object)
{
	json_object_del(json_object_get(object, "metadata"), "managedFields");
}

json_t *comparable_copy(const json_t *object)
{
	static const char *const own[] = { "managedFields", "resourceVersion", "generation", "uid",
					   "creationTimestamp" };
	json_t *copy = json_deep_copy(object), *metadata = json_object_get(copy, "metadata");

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		json_object_del(metadata, own[i]);
	json_object_del(copy, "status");
	return copy;
}

const char *age_of(const char *timestamp, char buf[static TIMESTAMP_MAX])
{
	usec_t then, now = clock_wall(clock_system());

	if (!timestamp || timestamp_parse(timestamp, &then) < 0)
		return "<unknown>";
	return duration_format(now > then ? now - then : 0, buf);
}

json_t *merge_diff(const json_t *a, const json_t *b)
{
	const char *key;
	json_t *value, *patch, *inner;

	if (json_same(a, b))
		return NULL;
	if (!json_is_object(a) || !json_is_object(b))
		return json_deep_copy(b);
	patch = json_object();
	json_object_foreach ((json_t *)b, key, value) {
		const json_t *old = json_object_get(a, key);

		inner = old ? merge_diff(old, value) : json_deep_copy(value);
		if (inner)
			json_object_set_new(patch, key, inner);
	}
	json_object_foreach ((json_t *)a, key, value)
		if (!json_object_get(b, key))
			json_object_set_new(patch, key, json_null());
	return patch;
}

/* ---- events ------------------------------------------------------------------------------- */

const char *event_time(const json_t *event)
{
	static const char *const fields[] = { "lastTimestamp", "series.lastObservedTime",
					      "eventTime", "metadata.creationTimestamp" };
	const char *s = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(fields) && str_is_empty(s); i++)
		s = json_string_at(event, fields[i]);
	return s ? s : "";
}

int events_compare(const void *a, const void *b)
{
	json_t *const *x = a, *const *y = b;
	int c = strcmp(event_time(*x), event_time(*y));
	int64_t rx, ry;

	if (c != 0)
		return c;
	/* Within one second the order of writing tells. */
	rx = strtoll(json_string_at(*x, "metadata.resourceVersion") ?: "0", NULL, 10);
	ry = strtoll(json_string_at(*y, "metadata.resourceVersion") ?: "0", NULL, 10);
	return rx < ry ? -1 : rx > ry;
}

int events_list(Cli *cli, const char *namespace, const char *selector, json_t **ret, Error *err)
{
	_cleanup_(strbuf_done) StrBuf path = STRBUF_INIT;
	_cleanup_(xfreep) char *base = NULL;
	_cleanup_(xfreep) json_t **sorted = NULL;
	json_t *list = NULL, *items, *in_order;
	const Resource *r;
	size_t n;
	int rc;

	rc = cli_resource_by_word(cli, "events", &r, err);
	if (rc < 0)
		return rc;
	base = resource_path(r, namespace, NULL, NULL);
	strbuf_adds(&path, base);
	if (selector)
		path_add_query(&path, "fieldSelector", selector);
	rc = cli_list(cli, strbuf_str(&path), NULL, &list, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "list events");
	items = json_object_get(list, "items");
	n = json_array_size(items);
	sorted = xnew0(json_t *, n + 1);
	for (size_t i = 0; i < n; i++)
		sorted[i] = json_array_get(items, i);
	qsort(sorted, n, sizeof(*sorted), events_compare);
	in_order = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append(in_order, sorted[i]);
	json_object_set_new(list, "items", in_order);
	*ret = list;
	return 0;
}
