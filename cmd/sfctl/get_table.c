/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server tables: see get.h.
 */
#include "get.h"
#include "json/json.h"

void table_view_done(TableView *v)
{
	table_free(v->table);
	free(v->shown);
	v->table = NULL;
	v->shown = NULL;
}

static void start_columns(TableView *v, const json_t *definitions)
{
	const json_t *column;
	size_t i;

	v->table = table_new();
	if (v->namespaces && v->resource->namespaced)
		table_column(v->table, "Namespace");
	v->n_columns = json_array_size(definitions);
	v->shown = xnew0(bool, v->n_columns + 1);
	json_array_foreach (definitions, i, column) {
		const char *name = json_string_at(column, "name");

		v->shown[i] = v->wide || json_integer_at(column, "priority", 0) == 0;
		if (v->shown[i])
			table_column(v->table, name ? name : "?");
	}
	if (!v->n_columns) {
		table_column(v->table, "Name");
		table_column(v->table, "Age");
	}
	if (v->labels)
		table_column(v->table, "Labels");
}

static void add_text(TableView *v, const char *text)
{
	table_cell(v->table, str_is_empty(text) ? "<none>" : text);
}

static void add_name(TableView *v, const char *name)
{
	_cleanup_(xfreep) char *full = NULL;

	if (v->full_names && name)
		full = resource_object_name(v->resource, name);
	add_text(v, full ? full : name);
}

static void add_cell(TableView *v, const json_t *cell)
{
	_cleanup_(xfreep) char *text = NULL;

	if (!cell || json_is_null(cell)) {
		add_text(v, NULL);
	} else if (json_is_string(cell)) {
		add_text(v, json_string_value(cell));
	} else {
		text = json_dumps(cell, JSON_COMPACT | JSON_ENCODE_ANY);
		add_text(v, text);
	}
}

static void add_labels(TableView *v, const json_t *object)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;
	json_t *labels = json_at(object, "metadata.labels"), *value;
	const char *key;

	json_object_foreach (labels, key, value)
		strbuf_addf(&b, "%s%s=%s", b.len ? "," : "", key,
			    json_string_value(value) ? json_string_value(value) : "");
	add_text(v, strbuf_str(&b));
}

static void add_row(TableView *v, const json_t *cells, const json_t *object)
{
	if (v->namespaces && v->resource->namespaced)
		add_text(v, json_string_at(object, "metadata.namespace"));
	for (size_t i = 0; i < v->n_columns; i++) {
		const json_t *cell = json_array_get(cells, i);

		if (i == 0 && v->shown[0] && json_is_string(cell))
			add_name(v, json_string_value(cell));
		else if (v->shown[i])
			add_cell(v, cell);
	}
	if (!v->n_columns) {
		char age[TIMESTAMP_MAX];

		add_name(v, json_string_at(object, "metadata.name"));
		add_text(v, age_of(json_string_at(object, "metadata.creationTimestamp"), age));
	}
	if (v->labels)
		add_labels(v, object);
	table_end_row(v->table);
}

void table_view_add(TableView *v, const json_t *answer)
{
	const json_t *rows = json_object_get(answer, "rows");
	const json_t *items = json_object_get(answer, "items"), *item;
	const char *kind = json_string_at(answer, "kind");
	size_t i;

	if (!v->table)
		start_columns(v, json_object_get(answer, "columnDefinitions"));
	if (kind && streq(kind, "Table")) {
		json_array_foreach (rows, i, item)
			add_row(v, json_object_get(item, "cells"), json_object_get(item, "object"));
	} else if (json_is_array(items)) {
		json_array_foreach (items, i, item)
			add_row(v, NULL, item);
	} else {
		add_row(v, NULL, answer);
	}
}
