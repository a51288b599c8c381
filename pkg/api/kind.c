/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kinds, compiled from CustomResourceDefinitions. See kind.h. Three things a CRD of ours says
 * beyond Kubernetes' form, as annotations: shakenfist.io/power-verbs (comma-separated
 * subresources), shakenfist.io/name-format (dns-label), and that the group of a core kind is empty
 * (spec.group ""). A column may say x-sf-cell: count, path or first.
 */
#include "api/kind.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "api/quota.h"
#include "api/schema_internal.h"
#include "base/memory.h"
#include "json/json.h"

#define ANNOTATION_VERBS       "shakenfist.io/power-verbs"
#define ANNOTATION_NAME_FORMAT "shakenfist.io/name-format"

/* What becomes of the matches of a column's path; other than the first only for kinds of ours. */
typedef enum CellForm {
	CELL_VALUE, /* the first one; texts are joined with commas */
	CELL_COUNT, /* how many there are */
	CELL_PATH,  /* in lower case, joined with slashes: "instance/web-1" */
	CELL_FIRST, /* the first text */
} CellForm;

typedef struct OwnedKind {
	Kind kind; /* first: what others see */
	atomic_uint refs;
	JsonPath **paths; /* of the columns */
	CellForm *forms;
} OwnedKind;

static OwnedKind *owned(const Kind *k)
{
	return (OwnedKind *)(uintptr_t)k;
}

Kind *kind_ref(const Kind *k)
{
	OwnedKind *o = owned(k);

	atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
	return &o->kind;
}

static void kind_free(OwnedKind *o)
{
	Kind *k = &o->kind;

	for (size_t i = 0; i < k->n_columns; i++) {
		free((void *)k->columns[i].name);
		free((void *)k->columns[i].format);
		free((void *)k->columns[i].description);
		free((void *)k->columns[i].json_path);
		jsonpath_free(o->paths[i]);
	}
	free((void *)k->columns);
	free(o->paths);
	free(o->forms);
	strv_free((char **)k->short_names);
	strv_free((char **)k->categories);
	strv_free((char **)k->power_verbs);
	schema_free((Schema *)k->schema);
	free((void *)k->version);
	free((void *)k->api_version);
	free((void *)k->kind);
	free((void *)k->list_kind);
	free((void *)k->singular);
	free((void *)k->description);
	json_decref((json_t *)k->crd);
	free(o);
}

Kind *kind_unref(Kind *k)
{
	if (k && atomic_fetch_sub_explicit(&owned(k)->refs, 1, memory_order_acq_rel) == 1)
		kind_free(owned(k));
	return NULL;
}

/* ---- compiling ---- */

static char **strings_at(const json_t *o, const char *path)
{
	const json_t *list = json_at(o, path);
	char **v = xnew0(char *, json_array_size(list) + 1);
	json_t *s;
	size_t i, n = 0;

	json_array_foreach (list, i, s) {
		if (json_is_string(s))
			v[n++] = xstrdup(json_string_value(s));
	}
	return v;
}

static const json_t *storage_version(const json_t *crd)
{
	const json_t *versions = json_at(crd, "spec.versions");
	json_t *v;
	size_t i;

	json_array_foreach (versions, i, v) {
		if (json_is_true(json_object_get(v, "storage")))
			return v;
	}
	return json_array_get(versions, 0);
}

static const char *annotation(const json_t *crd, const char *name)
{
	return json_string_value(json_object_get(json_at(crd, "metadata.annotations"), name));
}

static PrinterType printer_type(const char *s)
{
	static const char *const names[] = { [PRINTER_STRING] = "string",
					     [PRINTER_INTEGER] = "integer",
					     [PRINTER_NUMBER] = "number",
					     [PRINTER_BOOLEAN] = "boolean",
					     [PRINTER_DATE] = "date" };

	for (size_t i = 0; s && i < ARRAY_SIZE(names); i++)
		if (streq(names[i], s))
			return (PrinterType)i;
	return PRINTER_STRING;
}

static CellForm cell_form(const json_t *column)
{
	static const char *const names[] = {
		[CELL_COUNT] = "count", [CELL_PATH] = "path", [CELL_FIRST] = "first"
	};
	const char *form = json_string_at(column, "x-sf-cell");

	for (size_t i = CELL_COUNT; form && i < ARRAY_SIZE(names); i++)
		if (streq(form, names[i]))
			return (CellForm)i;
	return CELL_VALUE;
}

static const char *dup_or(const char *s, const char *otherwise)
{
	return xstrdup(s ? s : otherwise);
}

static int add_column(OwnedKind *o, const char *name, const char *type, const char *format,
		      const char *description, const char *path, int priority, Error *err)
{
	PrinterColumn *columns =
		xrealloc((void *)o->kind.columns, o->kind.n_columns + 1, sizeof(*columns));
	JsonPath *compiled = NULL;
	int rc;

	o->kind.columns = columns;
	o->paths = xrealloc(o->paths, o->kind.n_columns + 1, sizeof(*o->paths));
	o->forms = xrealloc(o->forms, o->kind.n_columns + 1, sizeof(*o->forms));
	rc = jsonpath_compile(path, &compiled, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "column %s", name);
	o->paths[o->kind.n_columns] = compiled;
	o->forms[o->kind.n_columns] = CELL_VALUE;
	columns[o->kind.n_columns++] = (PrinterColumn){ .name = xstrdup(name),
							.type = printer_type(type),
							.format = dup_or(format, ""),
							.description = dup_or(description, ""),
							.json_path = xstrdup(path),
							.priority = priority };
	return 0;
}

static int compile_columns(OwnedKind *o, const json_t *version, Error *err)
{
	const json_t *list = json_object_get(version, "additionalPrinterColumns");
	json_t *c;
	size_t i;
	int rc = 0;

	json_array_foreach (list, i, c) {
		const char *name = json_string_at(c, "name"), *path = json_string_at(c, "jsonPath");

		if (!name || !path)
			return error_set(err, ERR_INVALID,
					 "additionalPrinterColumns[%zu] needs name and jsonPath",
					 i);
		rc = add_column(o, name, json_string_at(c, "type"), json_string_at(c, "format"),
				json_string_at(c, "description"), path,
				(int)json_integer_at(c, "priority", 0), err);
		if (rc < 0)
			return rc;
		if (o->kind.builtin)
			o->forms[o->kind.n_columns - 1] = cell_form(c);
	}
	if (json_array_size(list) == 0)
		rc = add_column(o, "Age", "date", "", "", ".metadata.creationTimestamp", 0, err);
	return rc;
}

static int compile_names(OwnedKind *o, const json_t *crd, const json_t *version, Error *err)
{
	const char *group = json_string_at(crd, "spec.group"),
		   *plural = json_string_at(crd, "spec.names.plural");
	const char *kind = json_string_at(crd, "spec.names.kind"),
		   *name = json_string_at(version, "name");
	const char *singular = json_string_at(crd, "spec.names.singular"),
		   *list = json_string_at(crd, "spec.names.listKind");
	const char *scope = json_string_at(crd, "spec.scope");
	Kind *k = &o->kind;

	if (!group || str_is_empty(plural) || str_is_empty(kind) || str_is_empty(name) || !scope)
		return error_set(err, ERR_INVALID,
				 "a CustomResourceDefinition needs spec.group, spec.scope, "
				 "spec.names.plural, spec.names.kind and a version");
	k->gr = group_resource(group, plural);
	k->group = k->gr->group;
	k->plural = k->gr->resource;
	k->version = xstrdup(name);
	k->api_version = *group ? xasprintf("%s/%s", group, name) : xstrdup(name);
	k->kind = xstrdup(kind);
	k->list_kind = list ? xstrdup(list) : xasprintf("%sList", kind);
	k->singular = xstrdup(singular ? singular : kind);
	if (!singular)
		for (char *p = (char *)k->singular; *p; p++)
			*p = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
	k->short_names = (const char *const *)strings_at(crd, "spec.names.shortNames");
	k->categories = (const char *const *)strings_at(crd, "spec.names.categories");
	k->namespaced = streq(scope, "Namespaced");
	return 0;
}

int kind_from_crd(const json_t *crd, bool builtin, Kind **ret, Error *err)
{
	const json_t *version = storage_version(crd),
		     *openapi = json_at(version, "schema.openAPIV3Schema");
	const char *verbs = annotation(crd, ANNOTATION_VERBS),
		   *description = json_string_at(openapi, "description");
	OwnedKind *o = xnew0(OwnedKind, 1);
	Kind *k = &o->kind;
	int rc;

	atomic_init(&o->refs, 1);
	k->builtin = builtin;
	rc = compile_names(o, crd, version, err);
	if (rc == 0)
		rc = compile_columns(o, version, err);
	if (rc == 0 && !openapi)
		rc = error_set(err, ERR_INVALID, "the version has no schema.openAPIV3Schema");
	if (rc == 0) {
		Schema *schema = schema_compile(openapi, "", err);

		if (builtin)
			schema_keep_patterns(schema);
		k->schema = schema;
		rc = schema ? 0 : -ERR_INVALID;
	}
	k->description = dup_or(description, "");
	k->has_status = json_at(version, "subresources.status") != NULL;
	k->name_is_dns_label =
		builtin && streq_ptr(annotation(crd, ANNOTATION_NAME_FORMAT), "dns-label");
	k->power_verbs = (const char *const *)strv_split(builtin && verbs ? verbs : "", ',');
	k->crd = json_deep_copy(crd);
	if (rc < 0) {
		kind_free(o);
		return rc;
	}
	*ret = k;
	return 0;
}

/* ---- cells ---- */

static json_t *joined_cell(const json_t *found, const char *separator, bool lower)
{
	_cleanup_(strbuf_done) StrBuf joined = STRBUF_INIT;
	json_t *v;
	size_t i;

	json_array_foreach (found, i, v) {
		if (json_is_string(v))
			strbuf_addf(&joined, "%s%s", joined.len ? separator : "",
				    json_string_value(v));
	}
	for (size_t n = 0; lower && n < joined.len; n++)
		joined.buf[n] = (char)tolower((unsigned char)joined.buf[n]);
	return json_string(strbuf_str(&joined));
}

/* The first match; several strings are joined, so that a list of addresses is one cell. */
static json_t *cell(const JsonPath *path, CellForm form, const json_t *tree)
{
	_cleanup_(json_decrefp) json_t *found = jsonpath_find(path, tree);
	json_t *v = json_array_get(found, 0);

	if (form == CELL_COUNT)
		return json_integer((json_int_t)json_array_size(found));
	for (size_t i = 1; form == CELL_FIRST && i < json_array_size(found) && !json_is_string(v);
	     i++)
		v = json_array_get(found, i);
	if (!v)
		return json_null();
	if (form == CELL_FIRST)
		return json_incref(v);
	if (form == CELL_PATH)
		return joined_cell(found, "/", true);
	if (json_array_size(found) == 1 || !json_is_string(v))
		return json_is_object(v) || json_is_array(v) ? json_deep_copy(v) : json_incref(v);
	return joined_cell(found, ",", false);
}

json_t *kind_cells(const Kind *k, const json_t *tree)
{
	json_t *cells = json_array();

	for (size_t i = 0; i < k->n_columns; i++)
		if (k->gr == GR_QUOTA && k->columns[i].type == PRINTER_STRING)
			/* Kubernetes' columns, which no path can say. */
			json_array_append_new(cells,
					      quota_cell(tree, streq(k->columns[i].name, "Limit")));
		else
			json_array_append_new(cells,
					      cell(owned(k)->paths[i], owned(k)->forms[i], tree));
	return cells;
}
