/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kinds, compiled from CustomResourceDefinitions. See kind.h. What a CRD of ours says beyond
 * Kubernetes' form, as annotations: shakenfist.io/power-verbs (comma-separated subresources),
 * shakenfist.io/name-format (dns-label), shakenfist.io/view-of (plural.group),
 * shakenfist.io/read-only and shakenfist.io/name-column (wide); and that the group of a core kind
 * is empty (spec.group ""). A column may say x-sf-cell: count, path, first, ratio or bytes.
 */
#include "api/kind.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "api/quantity.h"
#include "api/quota.h"
#include "api/schema_internal.h"
#include "base/memory.h"
#include "json/json.h"

#define ANNOTATION_VERBS       "shakenfist.io/power-verbs"
#define ANNOTATION_NAME_FORMAT "shakenfist.io/name-format"
#define ANNOTATION_VIEW_OF     "shakenfist.io/view-of"
#define ANNOTATION_READ_ONLY   "shakenfist.io/read-only"
#define ANNOTATION_NAME_COLUMN "shakenfist.io/name-column"

/* What becomes of the matches of a column's path; other than the first only for kinds of ours. */
typedef enum CellForm {
	CELL_VALUE, /* the first one; texts are joined with commas */
	CELL_COUNT, /* how many there are */
	CELL_PATH,  /* in lower case, joined with slashes: "instance/web-1" */
	CELL_FIRST, /* the first text */
	CELL_RATIO, /* how many of them are true: "1/1" */
	CELL_BYTES, /* a number of bytes for people: "44Mi" */
} CellForm;

typedef struct Definition Definition;

typedef struct OwnedKind {
	Kind kind; /* first: what others see */
	KindScale scale;
	JsonPath **paths; /* of the columns */
	CellForm *forms;
	Definition *definition;
} OwnedKind;

/* All versions of one CRD, under one count. */
struct Definition {
	atomic_uint refs;
	OwnedKind *kinds; /* in the CRD's order */
	size_t n;
	const Kind **versions; /* in the order of preference */
	json_t *crd;
};

static OwnedKind *owned(const Kind *k)
{
	return (OwnedKind *)(uintptr_t)k;
}

Kind *kind_ref(const Kind *k)
{
	OwnedKind *o = owned(k);

	atomic_fetch_add_explicit(&o->definition->refs, 1, memory_order_relaxed);
	return &o->kind;
}

static void kind_done(OwnedKind *o)
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
	strv_free((char **)(uintptr_t)k->short_names);
	strv_free((char **)(uintptr_t)k->categories);
	strv_free((char **)(uintptr_t)k->power_verbs);
	schema_free((Schema *)k->schema);
	free((void *)k->version);
	free((void *)k->api_version);
	free((void *)k->deprecation_warning);
	free((void *)k->kind);
	free((void *)k->list_kind);
	free((void *)k->singular);
	free((void *)k->description);
}

static void definition_free(Definition *d)
{
	for (size_t i = 0; i < d->n; i++)
		kind_done(&d->kinds[i]);
	free(d->kinds);
	free(d->versions);
	json_decref(d->crd);
	free(d);
}

Kind *kind_unref(Kind *k)
{
	Definition *d = k ? owned(k)->definition : NULL;

	if (d && atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) == 1)
		definition_free(d);
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

static const char *annotation(const json_t *crd, const char *name)
{
	return json_string_value(json_object_get(json_at(crd, "metadata.annotations"), name));
}

static NameFormat name_format(const char *s)
{
	if (streq_ptr(s, "dns-label"))
		return NAME_DNS_LABEL;
	return streq_ptr(s, "path-segment") ? NAME_PATH_SEGMENT : NAME_DNS_SUBDOMAIN;
}

/* "instances.shakenfist.io" */
static const GroupResource *viewed(const json_t *crd)
{
	const char *name = annotation(crd, ANNOTATION_VIEW_OF);
	const char *dot = name ? strchr(name, '.') : NULL;
	_cleanup_(xfreep) char *plural = dot ? xstrndup(name, (size_t)(dot - name)) : NULL;

	return plural ? group_resource(dot + 1, plural) : NULL;
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
	static const char *const names[] = { [CELL_COUNT] = "count",
					     [CELL_PATH] = "path",
					     [CELL_FIRST] = "first",
					     [CELL_RATIO] = "ratio",
					     [CELL_BYTES] = "bytes" };
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

/* Two fields in one cell; CustomResourceDefinitions of users know paths only. */
static bool column_is_template(const Kind *k, const char *path)
{
	return k->builtin && *path == '{';
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
	rc = column_is_template(&o->kind, path) ? 0 : jsonpath_compile(path, &compiled, err);
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

/* Names are in force as far as they are accepted; a definition that was never stored says nothing
 * of that. */
static const json_t *names_of(const json_t *crd, bool builtin)
{
	const json_t *accepted = json_at(crd, "status.acceptedNames");

	return !builtin && !str_is_empty(json_string_at(accepted, "plural")) &&
			       !str_is_empty(json_string_at(accepted, "kind"))
		       ? accepted
		       : json_at(crd, "spec.names");
}

static int compile_names(OwnedKind *o, const json_t *crd, const json_t *version, bool builtin,
			 Error *err)
{
	const json_t *names = names_of(crd, builtin);
	const char *group = json_string_at(crd, "spec.group"),
		   *plural = json_string_at(names, "plural");
	const char *kind = json_string_at(names, "kind"), *name = json_string_at(version, "name");
	const char *singular = json_string_at(names, "singular"),
		   *list = json_string_at(names, "listKind");
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
	k->singular = singular ? xstrdup(singular) : xstrdup_lower(kind);
	k->short_names = (const char *const *)strings_at(names, "shortNames");
	k->categories = (const char *const *)strings_at(names, "categories");
	k->namespaced = streq(scope, "Namespaced");
	return 0;
}

static int compile_schema(OwnedKind *o, const json_t *version, bool builtin, Error *err)
{
	const json_t *openapi = json_at(version, "schema.openAPIV3Schema");
	Schema *schema;

	if (!openapi)
		return error_set(err, ERR_INVALID, "the version has no schema.openAPIV3Schema");
	schema = schema_compile(openapi, "", err);
	if (!schema)
		return -ERR_INVALID;
	if (builtin)
		schema_set_builtin(schema);
	o->kind.schema = schema;
	o->kind.openapi = openapi;
	o->kind.description = dup_or(json_string_at(openapi, "description"), "");
	return 0;
}

static void compile_subresources(OwnedKind *o, const json_t *version)
{
	const json_t *scale = json_at(version, "subresources.scale");

	o->kind.has_status = json_is_object(json_at(version, "subresources.status"));
	o->scale = (KindScale){ .spec_replicas = json_string_at(scale, "specReplicasPath"),
				.status_replicas = json_string_at(scale, "statusReplicasPath"),
				.label_selector = json_string_at(scale, "labelSelectorPath") };
	if (o->scale.spec_replicas && o->scale.status_replicas)
		o->kind.scale = &o->scale;
}

static char *deprecation_warning(const Kind *k, const json_t *version)
{
	const char *text = json_string_at(version, "deprecationWarning");

	if (!json_is_true(json_object_get(version, "deprecated")))
		return NULL;
	return text ? xstrdup(text) : xasprintf("%s %s is deprecated", k->api_version, k->kind);
}

/* FNV-1a: stored beside every head, so it must be the same in every process. */
static uint64_t hash_text(uint64_t h, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		h = (h ^ *p) * 0x100000001b3ULL;
	return (h ^ 0xff) * 0x100000001b3ULL;
}

/* Kinds of ours change with the program, whose objects are read with their defaults anyway. */
static uint64_t form_hash(const Kind *k)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < k->n_columns; i++)
		h = hash_text(hash_text(h, k->columns[i].json_path), k->columns[i].name) +
		    (uint64_t)k->columns[i].type;
	if (!k->builtin) {
		_cleanup_(xfreep) char *schema = json_canonical(k->openapi);

		h = hash_text(hash_text(h, k->api_version), schema);
	}
	return h;
}

/* crd is the definition's own copy: what the Kind borrows lives as long. */
static int compile_version(OwnedKind *o, const json_t *crd, const json_t *version, bool builtin,
			   Error *err)
{
	const char *verbs = annotation(crd, ANNOTATION_VERBS);
	Kind *k = &o->kind;
	int rc;

	k->builtin = builtin;
	rc = compile_names(o, crd, version, builtin, err);
	if (rc == 0)
		rc = compile_columns(o, version, err);
	if (rc == 0)
		rc = compile_schema(o, version, builtin, err);
	if (rc < 0)
		return rc;
	compile_subresources(o, version);
	k->served = json_bool_at(version, "served", builtin);
	k->terminating = json_at(crd, "metadata.deletionTimestamp") != NULL;
	k->deprecation_warning = deprecation_warning(k, version);
	k->name_format =
		builtin ? name_format(annotation(crd, ANNOTATION_NAME_FORMAT)) : NAME_DNS_SUBDOMAIN;
	if (builtin) {
		k->view_of = viewed(crd);
		k->read_only = annotation(crd, ANNOTATION_READ_ONLY) != NULL;
		k->name_is_wide = streq_ptr(annotation(crd, ANNOTATION_NAME_COLUMN), "wide");
	}
	k->power_verbs = (const char *const *)strv_split(builtin && verbs ? verbs : "", ',');
	k->crd = crd;
	k->form = form_hash(k);
	return 0;
}

static int compare_kinds(const void *a, const void *b)
{
	const Kind *const *x = a, *const *y = b;

	return version_compare((*x)->version, (*y)->version);
}

/* Once all are compiled: who is stored, and in which order they are offered. */
static void link_versions(Definition *d)
{
	size_t stored = 0;

	d->versions = xnew0(const Kind *, d->n + 1);
	for (size_t i = 0; i < d->n; i++) {
		const json_t *version = json_array_get(json_at(d->crd, "spec.versions"), i);

		d->versions[i] = &d->kinds[i].kind;
		if (json_is_true(json_object_get(version, "storage")))
			stored = i;
	}
	qsort(d->versions, d->n, sizeof(*d->versions), compare_kinds);
	for (size_t i = 0; i < d->n; i++) {
		d->kinds[i].kind.versions = d->versions;
		d->kinds[i].kind.stored = &d->kinds[stored].kind;
	}
}

int kind_from_crd(const json_t *crd, bool builtin, Kind **ret, Error *err)
{
	Definition *d = xnew0(Definition, 1);
	const json_t *versions;
	int rc = 0;

	atomic_init(&d->refs, 1);
	d->crd = json_deep_copy(crd);
	versions = json_at(d->crd, "spec.versions");
	d->kinds = xnew0(OwnedKind, json_array_size(versions) + 1);
	if (json_array_size(versions) == 0)
		rc = error_set(err, ERR_INVALID, "spec.versions: at least one is needed");
	for (; rc == 0 && d->n < json_array_size(versions); d->n++) {
		d->kinds[d->n].definition = d;
		rc = compile_version(&d->kinds[d->n], d->crd, json_array_get(versions, d->n),
				     builtin, err);
	}
	if (rc < 0) {
		definition_free(d);
		return rc;
	}
	link_versions(d);
	*ret = (Kind *)d->kinds[0].kind.stored;
	return 0;
}

/* ---- versions ---- */

/* "v2beta1": 2, beta, 1. What is not of that form has no major. */
typedef struct Version {
	unsigned long major, minor;
	int stage; /* 3 = stable, 2 = beta, 1 = alpha */
} Version;

static Version version_parse(const char *s)
{
	Version v = { 0 };
	char *end;

	if (s[0] != 'v' || s[1] < '1' || s[1] > '9')
		return v;
	v.major = strtoul(s + 1, &end, 10);
	if (!*end) {
		v.stage = 3;
		return v;
	}
	v.stage = str_has_prefix(end, "beta") ? 2 : str_has_prefix(end, "alpha") ? 1 : 0;
	end += v.stage == 2 ? strlen("beta") : v.stage == 1 ? strlen("alpha") : 0;
	if (!v.stage || *end < '1' || *end > '9')
		return (Version){ 0 };
	v.minor = strtoul(end, &end, 10);
	return *end ? (Version){ 0 } : v;
}

int version_compare(const char *a, const char *b)
{
	Version x = version_parse(a), y = version_parse(b);

	if (!x.stage || !y.stage)
		return x.stage || y.stage ? y.stage - x.stage : strcmp(a, b);
	if (x.stage != y.stage)
		return y.stage - x.stage;
	if (x.major != y.major)
		return x.major > y.major ? -1 : 1;
	return x.minor == y.minor ? 0 : x.minor > y.minor ? -1 : 1;
}

void kind_convert(const Kind *k, json_t *tree)
{
	const char *is = json_string_value(json_object_get(tree, "apiVersion"));

	if (!is || streq(is, k->api_version))
		return;
	json_object_set_new(tree, "apiVersion", json_string(k->api_version));
	schema_prune(k->schema, tree, NULL);
}

void kind_refresh(const Kind *k, json_t *tree)
{
	if (k->builtin)
		return;
	kind_convert(k, tree);
	schema_prune(k->schema, tree, NULL);
	schema_default(k->schema, tree);
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

static json_t *ratio_cell(const json_t *found)
{
	size_t i, n = 0;
	json_t *v;

	json_array_foreach (found, i, v)
		n += json_is_true(v);
	return json_sprintf("%zu/%zu", n, json_array_size(found));
}

static json_t *bytes_cell(const json_t *v)
{
	char text[QUANTITY_TEXT_MAX];
	json_int_t bytes = json_integer_value(v);

	return bytes < 0 ? json_null() : json_string(quantity_round((uint64_t)bytes, text));
}

/* The first match; several strings are joined, so that a list of addresses is one cell. */
static json_t *cell(const JsonPath *path, CellForm form, const json_t *tree)
{
	_cleanup_(json_decrefp) json_t *found = jsonpath_find(path, tree);
	json_t *v = json_array_get(found, 0);

	if (form == CELL_COUNT)
		return json_integer((json_int_t)json_array_size(found));
	if (form == CELL_RATIO)
		return ratio_cell(found);
	for (size_t i = 1; form == CELL_FIRST && i < json_array_size(found) && !json_is_string(v);
	     i++)
		v = json_array_get(found, i);
	if (!v)
		return json_null();
	if (form == CELL_BYTES)
		return bytes_cell(v);
	if (form == CELL_FIRST)
		return json_incref(v);
	if (form == CELL_PATH)
		return joined_cell(found, "/", true);
	if (json_array_size(found) == 1 || !json_is_string(v))
		return json_is_object(v) || json_is_array(v) ? json_deep_copy(v) : json_incref(v);
	return joined_cell(found, ",", false);
}

static json_t *template_cell(const char *template, const json_t *tree)
{
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;

	if (jsonpath_template(template, tree, &out, NULL) < 0)
		return json_null();
	return json_string(strbuf_str(&out));
}

json_t *kind_cells(const Kind *k, const json_t *tree)
{
	json_t *cells = json_array();

	for (size_t i = 0; i < k->n_columns; i++)
		if (k->gr == GR_QUOTA && k->columns[i].type == PRINTER_STRING)
			/* Kubernetes' columns, which no path can say. */
			json_array_append_new(cells,
					      quota_cell(tree, streq(k->columns[i].name, "Limit")));
		else if (!owned(k)->paths[i])
			json_array_append_new(cells, template_cell(k->columns[i].json_path, tree));
		else
			json_array_append_new(cells,
					      cell(owned(k)->paths[i], owned(k)->forms[i], tree));
	return cells;
}
