/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `explain`: what a field is, as text, in kubectl's form. Pure.
 */
#include <stdio.h>

#include "api/schema_internal.h"
#include "base/memory.h"

#define INDENT 2
#define WIDTH  80

static const char *type_text(const Schema *s, char buf[static 64])
{
	char inner[64];

	if (s->int_or_string)
		return s->format && streq(s->format, "quantity") ? "quantity" : "integer or string";
	if (s->type == TYPE_ARRAY && s->items) {
		snprintf(buf, 64, "[]%.50s", type_text(s->items, inner));
		return buf;
	}
	if (s->type == TYPE_OBJECT && s->additional) {
		snprintf(buf, 64, "map[string]%.50s", type_text(s->additional, inner));
		return buf;
	}
	if (s->type == TYPE_OBJECT)
		return "Object";
	return s->type == TYPE_ANY ? "any" : schema_type_to_string(s->type);
}

/* Words of text broken to lines of WIDTH. */
static void wrap(const char *text, unsigned indent, StrBuf *out)
{
	size_t column = 0, n;

	for (; *text; text += n + (text[n] == ' ')) {
		n = strcspn(text, " ");
		if (column && column + 1 + n > WIDTH) {
			strbuf_addc(out, '\n');
			column = 0;
		}
		if (column == 0) {
			strbuf_addf(out, "%*s", (int)indent, "");
			column = indent;
		} else {
			strbuf_addc(out, ' ');
			column++;
		}
		strbuf_add(out, text, n);
		column += n;
	}
	strbuf_addc(out, '\n');
}

static void facts(const Schema *s, unsigned indent, StrBuf *out)
{
	_cleanup_(xfreep) char *dflt =
		s->dflt ? json_dumps(s->dflt, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
	char number[64];
	json_t *v;
	size_t i;

	if (s->enumeration) {
		strbuf_addf(out, "%*sOne of: ", (int)indent, "");
		json_array_foreach (s->enumeration, i, v)
			strbuf_addf(out, "%s%s", i ? ", " : "",
				    json_string_value(v) ? json_string_value(v) : "");
		strbuf_addc(out, '\n');
	}
	if (dflt)
		strbuf_addf(out, "%*sDefault: %s\n", (int)indent, "", dflt);
	if (s->has_minimum)
		strbuf_addf(out, "%*sAt least: %s\n", (int)indent, "",
			    schema_number_text(s->minimum, number));
	if (s->has_maximum)
		strbuf_addf(out, "%*sAt most: %s\n", (int)indent, "",
			    schema_number_text(s->maximum, number));
	if (s->format)
		strbuf_addf(out, "%*sFormat: %s\n", (int)indent, "", s->format);
	if (s->pattern)
		strbuf_addf(out, "%*sPattern: %s\n", (int)indent, "", s->pattern);
	if (s->apply_cost)
		strbuf_addf(out, "%*sA change is: %s\n", (int)indent, "", s->apply_cost);
}

/* The schema whose members are listed: lists and maps show what they hold. */
static const Schema *inside(const Schema *s)
{
	while (s->type == TYPE_ARRAY && s->items)
		s = s->items;
	return s->n_properties == 0 && s->additional ? s->additional : s;
}

static void fields(const Schema *s, unsigned indent, bool recursive, StrBuf *out)
{
	char buf[64];

	for (size_t i = 0; i < s->n_properties; i++) {
		const SchemaProperty *p = &s->properties[i];
		const Schema *in = inside(p->schema);

		strbuf_addf(out, "%*s%s\t<%s>%s\n", (int)indent, "", p->name,
			    type_text(p->schema, buf), p->required ? " -required-" : "");
		if (recursive) {
			fields(in, indent + INDENT, true, out);
			continue;
		}
		if (p->schema->description)
			wrap(p->schema->description, indent + INDENT, out);
		strbuf_addc(out, '\n');
	}
}

static int no_such_field(const Kind *k, const Schema *s, const char *path, const char *name,
			 Error *err)
{
	const char *meant = schema_nearest_property(s, name);

	return error_set(err, ERR_NOT_FOUND, "%s has no field \"%s\" (in \"%s\")%s%s%s",
			 k->singular, name, path, meant ? ": did you mean \"" : "",
			 meant ? meant : "", meant ? "\"?" : "");
}

/* Kubernetes' ObjectMeta is the same for every kind and stands in no CRD. */
static int explain_metadata(const Kind *k, StrBuf *out)
{
	strbuf_addf(
		out,
		"KIND:       %s\nVERSION:    %s\n\nFIELD: metadata <ObjectMeta>\n\nDESCRIPTION:\n",
		k->kind, k->api_version);
	wrap("Standard object metadata: name, namespace, labels, annotations, owners and "
	     "finalizers are yours; the rest is set by the system.",
	     2 * INDENT, out);
	strbuf_adds(out, "\nFIELDS:\n");
	for (const char *const *f = metadata_fields; *f; f++)
		strbuf_addf(out, "  %s\n", *f);
	return 0;
}

int schema_explain(const Kind *k, const char *path, bool recursive, StrBuf *out, Error *err)
{
	_cleanup_(strv_freep) char **parts = strv_split(path, '.');
	const Schema *s = k->schema, *next;
	char buf[64];

	if (str_has_prefix(path, "metadata") && (path[8] == '\0' || path[8] == '.'))
		return explain_metadata(k, out);
	strv_foreach (part, parts) {
		next = schema_property(inside(s), *part);
		if (!next)
			return no_such_field(k, inside(s), path, *part, err);
		s = next;
	}
	strbuf_addf(out, "KIND:       %s\nVERSION:    %s\n", k->kind, k->api_version);
	if (*path)
		strbuf_addf(out, "\nFIELD: %s <%s>\n", path, type_text(s, buf));
	strbuf_adds(out, "\nDESCRIPTION:\n");
	wrap(s->description ? s->description : "-", 2 * INDENT, out);
	facts(s, 2 * INDENT, out);
	if (inside(s)->n_properties) {
		strbuf_adds(out, "\nFIELDS:\n");
		fields(inside(s), INDENT, recursive, out);
	}
	return 0;
}
