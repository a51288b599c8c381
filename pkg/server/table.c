/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table: objects as rows of cells, the way kubectl prints them (meta.k8s.io/v1 Table).
 *
 * Cells come from the object's head, so a table of ten thousand rows decodes nothing; ages are
 * computed here, at the moment of asking, because clients print cells as they are. Rows carry the
 * metadata that kubectl shows (namespace, labels) unless the whole object or none is asked for.
 * Pure.
 */
#include "server/internal.h"
#include "server/render.h"

static const char *const type_names[] = {
	[PRINTER_STRING] = "string",   [PRINTER_INTEGER] = "integer", [PRINTER_NUMBER] = "number",
	[PRINTER_BOOLEAN] = "boolean", [PRINTER_DATE] = "string",
};

static void column(StrBuf *out, const char *name, const char *type, const char *format,
		   const char *description, int priority)
{
	strbuf_adds(out, "{\"name\":");
	json_quote(out, name);
	strbuf_addf(out, ",\"type\":\"%s\",\"format\":", type);
	json_quote(out, format ? format : "");
	strbuf_adds(out, ",\"description\":");
	json_quote(out, description ? description : "");
	strbuf_addf(out, ",\"priority\":%d}", priority);
}

void table_head(StrBuf *out, const Kind *k, int64_t revision, const char *continue_token,
		uint64_t remaining, bool with_columns)
{
	strbuf_addf(out,
		    "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{"
		    "\"resourceVersion\":\"%lld\"",
		    (long long)revision);
	if (continue_token) {
		strbuf_adds(out, ",\"continue\":");
		json_quote(out, continue_token);
		if (remaining)
			strbuf_addf(out, ",\"remainingItemCount\":%llu",
				    (unsigned long long)remaining);
	}
	strbuf_adds(out, "},\"columnDefinitions\":");
	if (!with_columns) {
		strbuf_adds(out, "null,\"rows\":[");
		return;
	}
	strbuf_adds(out, "[");
	column(out, "Name", "string", "name", "Name of the object, unique within its namespace.",
	       k->name_is_wide);
	for (size_t i = 0; i < k->n_columns; i++) {
		const PrinterColumn *c = &k->columns[i];

		strbuf_addc(out, ',');
		column(out, c->name, type_names[c->type], c->type == PRINTER_DATE ? "" : c->format,
		       c->description, c->priority);
	}
	strbuf_adds(out, "],\"rows\":[");
}

void table_tail(StrBuf *out)
{
	strbuf_adds(out, "]}");
}

static void age_cell(StrBuf *out, const char *timestamp, usec_t wall)
{
	char buf[TIMESTAMP_MAX];
	usec_t then;

	if (str_is_empty(timestamp) || timestamp_parse(timestamp, &then) < 0)
		strbuf_adds(out, "\"<unknown>\"");
	else
		json_quote(out, duration_format(wall > then ? wall - then : 0, buf));
}

static bool is_age_column(const PrinterColumn *c)
{
	return c->type == PRINTER_DATE && streq(c->json_path, ".metadata.creationTimestamp");
}

static void row_cells(StrBuf *out, const Kind *k, const Object *o, usec_t wall)
{
	const ObjectHead *head = object_head(o);
	_cleanup_(json_decrefp) json_t *cells = NULL;

	/* The head's cells are of the storage version's columns. */
	if (k != k->stored) {
		_cleanup_(json_decrefp) json_t *tree = render_tree(k, o);

		cells = kind_cells(k, tree);
	} else if (!str_is_empty(head->cells))
		cells = json_load(head->cells, strlen(head->cells));
	json_quote(out, object_key(o)->name);
	for (size_t i = 0; i < k->n_columns; i++) {
		const PrinterColumn *c = &k->columns[i];
		const json_t *cell;

		strbuf_addc(out, ',');
		if (is_age_column(c)) {
			age_cell(out, head->creation_timestamp, wall);
			continue;
		}
		cell = json_array_get(cells, i);
		if (c->type == PRINTER_DATE) {
			age_cell(out, json_string_value(cell), wall);
		} else if (json_is_string(cell)) {
			json_quote(out, json_string_value(cell));
		} else if (!cell || json_is_null(cell)) {
			strbuf_adds(out, "null");
		} else {
			_cleanup_(xfreep) char *text =
				json_dumps(cell, JSON_COMPACT | JSON_ENCODE_ANY);

			strbuf_adds(out, text ? text : "null");
		}
	}
}

static void text_member(StrBuf *out, const char *name, const char *value)
{
	strbuf_addf(out, ",\"%s\":", name);
	json_quote(out, value);
}

/* What the head knows of metadata: all that kubectl's own columns need. */
static void row_metadata(StrBuf *out, const Object *o)
{
	const ObjectHead *head = object_head(o);
	const Key *key = object_key(o);

	strbuf_adds(out, "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\","
			 "\"metadata\":{\"name\":");
	json_quote(out, key->name);
	if (*key->namespace)
		text_member(out, "namespace", key->namespace);
	text_member(out, "uid", head->uid);
	strbuf_addf(out, ",\"resourceVersion\":\"%lld\",\"generation\":%lld",
		    (long long)object_revision(o), (long long)head->generation);
	if (head->creation_timestamp)
		text_member(out, "creationTimestamp", head->creation_timestamp);
	if (head->deletion_timestamp)
		text_member(out, "deletionTimestamp", head->deletion_timestamp);
	for (size_t i = 0; i < head->n_labels; i++) {
		strbuf_adds(out, i ? "," : ",\"labels\":{");
		json_quote(out, head->labels[i].key);
		strbuf_addc(out, ':');
		json_quote(out, head->labels[i].value);
	}
	strbuf_adds(out, head->n_labels ? "}}}" : "}}");
}

void table_row(StrBuf *out, const Kind *k, const Object *o, const char *include, usec_t wall)
{
	strbuf_adds(out, "{\"cells\":[");
	row_cells(out, k, o, wall);
	strbuf_adds(out, "]");
	if (include && streq(include, "Object")) {
		_cleanup_(xfreep) char *made = NULL;
		size_t len;
		const char *text = render_text(k, o, &len, &made);

		strbuf_adds(out, ",\"object\":");
		strbuf_add(out, text, len);
	} else if (!include || !streq(include, "None")) {
		strbuf_adds(out, ",\"object\":");
		row_metadata(out, o);
	}
	strbuf_adds(out, "}");
}
