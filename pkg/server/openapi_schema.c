/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Definitions and operations of a kind as they are published. See openapi.h.
 *
 * v3 takes a definition's schema nearly as it is. v2 knows less, and kubectl before 1.25 checks
 * manifests by it: what it would misread is left out, by the same rules as Kubernetes'
 * (apiextensions-apiserver, ToStructuralOpenAPIV2), so that it never refuses what the server takes.
 */
#include "server/openapi.h"

#include "base/memory.h"
#include "json/json.h"

#define MACHINERY     "io.k8s.apimachinery.pkg."
#define META          MACHINERY "apis.meta.v1."
#define QUANTITY      MACHINERY "api.resource.Quantity"
#define INT_OR_STRING MACHINERY "util.intstr.IntOrString"

/* ---- names ---- */

/*
 * "io.shakenfist.v1alpha1.Instance": the group's labels turned round. Kubernetes' own kinds are
 * called as there: io.k8s.api.core.v1.Secret.
 */
static char *definition_name(const Kind *k, const char *kind)
{
	_cleanup_(strv_freep) char **labels = strv_split(k->group, '.');
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;

	if (k->builtin && !*k->group)
		return xasprintf("io.k8s.api.core.%s.%s", k->version, kind);
	if (k->builtin && k->gr != GR_CRD && str_has_suffix(k->group, ".k8s.io"))
		return xasprintf("io.k8s.api.%s.%s.%s", labels[0], k->version, kind);
	for (size_t i = strv_len(labels); i-- > 0;)
		strbuf_addf(&out, "%s.", labels[i]);
	strbuf_addf(&out, "%s.%s", k->version, kind);
	return strbuf_take(&out);
}

static json_t *reference(const char *name, OpenApiForm form)
{
	_cleanup_(xfreep) char *to = xasprintf(
		"%s%s", form == OPENAPI_V2 ? "#/definitions/" : "#/components/schemas/", name);

	return json_pack("{s:s}", "$ref", to);
}

/* v3 allows nothing beside a $ref. */
static json_t *described_reference(const char *name, const char *description, OpenApiForm form)
{
	json_t *to = reference(name, form), *whole;

	if (form == OPENAPI_V2) {
		json_object_set_new(to, "description", json_string(description));
		return to;
	}
	whole = json_pack("{s:[o], s:s, s:{}}", "allOf", to, "description", description, "default");
	return whole;
}

static json_t *gvk(const Kind *k, const char *kind)
{
	return json_pack("{s:s, s:s, s:s}", "group", k->group, "version", k->version, "kind", kind);
}

/* ---- one schema ---- */

static void set_text(json_t *properties, const char *name, const char *description)
{
	json_object_set_new(properties, name,
			    json_pack("{s:s, s:s}", "description", description, "type", "string"));
}

/* What every whole object has, before what is its own. */
static json_t *object_properties(json_t *own, const char *metadata, OpenApiForm form)
{
	json_t *properties = json_object();

	set_text(properties, "apiVersion",
		 "Group and version of this kind, such as example.com/v1.");
	set_text(properties, "kind", "Name of this kind, in CamelCase.");
	if (metadata)
		json_object_set_new(
			properties, "metadata",
			described_reference(metadata,
					    "Standard metadata: name, namespace, labels, "
					    "annotations, owners, finalizers.",
					    form));
	json_object_update_missing(properties, own);
	return properties;
}

static void add_object_properties(json_t *schema, OpenApiForm form)
{
	json_t *own = json_object_get(schema, "properties");

	json_object_set_new(schema, "properties", object_properties(own, META "ObjectMeta", form));
}

static bool is_true(const json_t *schema, const char *member)
{
	return json_is_true(json_object_get(schema, member));
}

static void drop_required(json_t *schema, const char *name)
{
	json_t *required = json_object_get(schema, "required");

	for (size_t i = json_array_size(required); i-- > 0;)
		if (streq_ptr(json_string_value(json_array_get(required, i)), name))
			json_array_remove(required, i);
	if (required && json_array_size(required) == 0)
		json_object_del(schema, "required");
}

/* What v2 cannot say, and what kubectl makes too much of. */
static void reduce_to_v2(json_t *schema)
{
	static const char *const unsaid[] = { "oneOf",   "anyOf",   "allOf",
					      "not",     "default", "x-kubernetes-validations",
					      "example", "nullable" };
	const char *name;
	json_t *v;

	if (is_true(schema, "nullable")) {
		json_object_del(schema, "type");
		json_object_del(schema, "items");
		json_object_del(schema, "properties");
		json_object_del(schema, "additionalProperties");
	}
	if (is_true(schema, "x-kubernetes-preserve-unknown-fields")) {
		json_object_del(schema, "items");
		json_object_del(schema, "properties");
		json_object_del(schema, "required");
	}
	for (size_t i = 0; i < ARRAY_SIZE(unsaid); i++)
		json_object_del(schema, unsaid[i]);
	json_object_foreach (json_object_get(schema, "properties"), name, v)
		if (is_true(v, "nullable"))
			drop_required(schema, name);
}

/* A field that is an integer or a string has no type that OpenAPI could name: it refers to one that
 * clients know by name. */
static void name_int_or_string(json_t *schema, OpenApiForm form)
{
	bool quantity = streq_ptr(json_string_at(schema, "format"), "quantity");
	const char *name = quantity ? QUANTITY : INT_OR_STRING;
	_cleanup_(json_decrefp) json_t *description =
		json_incref(json_object_get(schema, "description"));
	_cleanup_(json_decrefp) json_t *dflt = json_incref(json_object_get(schema, "default"));
	_cleanup_(json_decrefp) json_t *named = described_reference(
		name, json_is_string(description) ? json_string_value(description) : "", form);

	json_object_clear(schema);
	json_object_update(schema, named);
	if (form == OPENAPI_V3 && dflt)
		json_object_set(schema, "default", dflt);
	else
		json_object_del(schema, "default");
}

static void publish(json_t *schema, OpenApiForm form)
{
	const char *name;
	json_t *v;

	if (is_true(schema, "x-kubernetes-int-or-string")) {
		name_int_or_string(schema, form);
		return;
	}
	json_object_del(schema, "x-sf-enum");
	if (form == OPENAPI_V2)
		reduce_to_v2(schema);
	json_object_foreach (json_object_get(schema, "properties"), name, v)
		publish(v, form);
	v = json_object_get(schema, "items");
	if (json_is_object(v))
		publish(v, form);
	v = json_object_get(schema, "additionalProperties");
	if (json_is_object(v))
		publish(v, form);
	if (is_true(schema, "x-kubernetes-embedded-resource") &&
	    json_object_get(schema, "properties"))
		add_object_properties(schema, form);
}

static json_t *kind_schema(const Kind *k, OpenApiForm form)
{
	bool open = is_true(k->openapi, "x-kubernetes-preserve-unknown-fields");
	json_t *schema;

	/* With any property kubectl would take the rest for wrong. */
	if (form == OPENAPI_V2 && open) {
		schema = json_pack("{s:s}", "type", "object");
	} else {
		schema = json_deep_copy(k->openapi);
		publish(schema, form);
		add_object_properties(schema, form);
	}
	json_object_set_new(schema, "x-kubernetes-group-version-kind",
			    json_pack("[o]", gvk(k, k->kind)));
	return schema;
}

static json_t *list_schema(const Kind *k, const char *item, OpenApiForm form)
{
	_cleanup_(json_decrefp) json_t *items =
		json_pack("{s:{s:s, s:s, s:o}}", "items", "description", "The objects.", "type",
			  "array", "items", reference(item, form));
	_cleanup_(xfreep) char *description = xasprintf("A list of %s.", k->plural);

	return json_pack("{s:s, s:s, s:[s], s:o, s:[o]}", "description", description, "type",
			 "object", "required", "items", "properties",
			 object_properties(items, META "ListMeta", form),
			 "x-kubernetes-group-version-kind", gvk(k, k->list_kind));
}

/* ---- operations ---- */

static json_t *parameter(const char *name, const char *type, const char *description,
			 OpenApiForm form)
{
	json_t *p = json_pack("{s:s, s:s, s:s}", "name", name, "in", "query", "description",
			      description);

	if (form == OPENAPI_V2)
		json_object_set_new(p, "type", json_string(type));
	else
		json_object_set_new(p, "schema", json_pack("{s:s}", "type", type));
	return p;
}

/* Clients look here for what the server can do. */
static json_t *operation(const Kind *k, const char *action, OpenApiForm form)
{
	json_t *parameters = json_array();

	if (!streq(action, "get") && !streq(action, "list")) {
		json_array_append_new(
			parameters,
			parameter("dryRun", "string", "All: check, and store nothing.", form));
		json_array_append_new(parameters,
				      parameter("fieldManager", "string",
						"Name of who owns what is written.", form));
		json_array_append_new(parameters,
				      parameter("fieldValidation", "string",
						"What becomes of unknown fields: Strict, Warn or "
						"Ignore.",
						form));
	}
	if (streq(action, "patch"))
		json_array_append_new(parameters,
				      parameter("force", "boolean",
						"Of an apply: take fields that others own.", form));
	return json_pack("{s:o, s:s, s:o, s:{s:{s:s}}}", "parameters", parameters,
			 "x-kubernetes-action", action, "x-kubernetes-group-version-kind",
			 gvk(k, k->kind), "responses", "200", "description", "OK");
}

static void add_paths(json_t *paths, const Kind *k, OpenApiForm form)
{
	_cleanup_(xfreep) char *base =
		xasprintf("/%s%s/%s%s/%s", *k->group ? "apis/" : "api", k->group, k->version,
			  k->namespaced ? "/namespaces/{namespace}" : "", k->plural);
	_cleanup_(xfreep) char *item = xasprintf("%s/{name}", base);

	json_object_set_new(paths, base,
			    json_pack("{s:o, s:o}", "get", operation(k, "list", form), "post",
				      operation(k, "post", form)));
	json_object_set_new(paths, item,
			    json_pack("{s:o, s:o, s:o, s:o}", "get", operation(k, "get", form),
				      "put", operation(k, "put", form), "patch",
				      operation(k, "patch", form), "delete",
				      operation(k, "delete", form)));
}

void openapi_add_kind(json_t *schemas, json_t *paths, const Kind *k, OpenApiForm form)
{
	_cleanup_(xfreep) char *name = definition_name(k, k->kind),
			       *list = definition_name(k, k->list_kind);

	json_object_set_new(schemas, name, kind_schema(k, form));
	json_object_set_new(schemas, list, list_schema(k, name, form));
	add_paths(paths, k, form);
}

/* ---- metadata ---- */

/* clang-format off */
#define TEXT(description)        "{\"type\":\"string\",\"description\":\"" description "\"}"
#define TIME(description)        "{\"type\":\"string\",\"format\":\"date-time\",\"description\":\"" description "\"}"
#define NUMBER(description)      "{\"type\":\"integer\",\"format\":\"int64\",\"description\":\"" description "\"}"
#define SWITCH(description)      "{\"type\":\"boolean\",\"description\":\"" description "\"}"
#define TEXTS(description)       "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"},\"description\":\"" description "\"}"
#define REFERENCES(name, description) "{\"type\":\"array\",\"items\":{\"$ref\":\"%" name "\"},\"description\":\"" description "\"}"

#define QUANTITY_TEXT \
	"A number with a suffix: 512Mi, 1.5Gi and 10G are bytes (Ki, Mi, Gi, Ti are powers of " \
	"1024; k, M, G, T of 1000)."

/* "%Name" refers to another of these. */
static const struct {
	const char *name, *schema;
} meta[] = {
	{"ObjectMeta",
	 "{\"type\":\"object\",\"description\":\"What every stored object has.\",\"properties\":{"
	 "\"annotations\":" TEXTS("Any text that tools keep with the object; not for selecting.") ","
	 "\"creationTimestamp\":" TIME("When it was created. Set by the server.") ","
	 "\"deletionGracePeriodSeconds\":" NUMBER("How long it has to end in an orderly way. Set by the server.") ","
	 "\"deletionTimestamp\":" TIME("When it was asked to be deleted; it goes when its finalizers are gone. Set by the server.") ","
	 "\"finalizers\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"x-kubernetes-list-type\":\"set\",\"x-kubernetes-patch-strategy\":\"merge\","
	 "\"description\":\"Whoever must finish something before the object may go.\"},"
	 "\"generateName\":" TEXT("If name is empty: what a name of its own begins with.") ","
	 "\"generation\":" NUMBER("Goes up whenever anything but metadata and status changes. Set by the server.") ","
	 "\"labels\":" TEXTS("Words to select objects by.") ","
	 "\"managedFields\":" REFERENCES("ManagedFieldsEntry", "Who set which fields. Kept by the server.") ","
	 "\"name\":" TEXT("Unique among the objects of its kind in its namespace. Cannot be changed.") ","
	 "\"namespace\":" TEXT("Where it lives; empty for kinds of cluster scope. Cannot be changed.") ","
	 "\"ownerReferences\":{\"type\":\"array\",\"items\":{\"$ref\":\"%OwnerReference\"},\"x-kubernetes-list-type\":\"map\",\"x-kubernetes-list-map-keys\":[\"uid\"],"
	 "\"x-kubernetes-patch-merge-key\":\"uid\",\"x-kubernetes-patch-strategy\":\"merge\","
	 "\"description\":\"Objects it belongs to: when all are gone, it is deleted.\"},"
	 "\"resourceVersion\":" TEXT("Changes with every write; in a write it says which state was meant. Set by the server.") ","
	 "\"selfLink\":" TEXT("No longer used.") ","
	 "\"uid\":" TEXT("Unique in time and space. Set by the server.") "}}"},
	{"OwnerReference",
	 "{\"type\":\"object\",\"description\":\"An object that this one belongs to, in the same namespace or in none.\","
	 "\"required\":[\"apiVersion\",\"kind\",\"name\",\"uid\"],\"x-kubernetes-map-type\":\"atomic\",\"properties\":{"
	 "\"apiVersion\":" TEXT("Group and version of the owner.") ","
	 "\"blockOwnerDeletion\":" SWITCH("If true, an owner that is deleted in the foreground waits for this object.") ","
	 "\"controller\":" SWITCH("If true, this owner manages the object; only one can.") ","
	 "\"kind\":" TEXT("Kind of the owner.") ","
	 "\"name\":" TEXT("Name of the owner.") ","
	 "\"uid\":" TEXT("Its uid: another object of that name is not meant.") "}}"},
	{"ManagedFieldsEntry",
	 "{\"type\":\"object\",\"description\":\"The fields that one manager has set.\",\"properties\":{"
	 "\"apiVersion\":" TEXT("Version that the fields are named in.") ","
	 "\"fieldsType\":" TEXT("FieldsV1.") ","
	 "\"fieldsV1\":{\"$ref\":\"%FieldsV1\"},"
	 "\"manager\":" TEXT("Who it was.") ","
	 "\"operation\":" TEXT("Apply or Update.") ","
	 "\"subresource\":" TEXT("By which subresource, if by one.") ","
	 "\"time\":" TIME("When the fields changed last.") "}}"},
	{"FieldsV1", "{\"type\":\"object\",\"description\":\"A set of fields as a tree of their names.\"}"},
	{"ListMeta",
	 "{\"type\":\"object\",\"description\":\"What every list has.\",\"properties\":{"
	 "\"continue\":" TEXT("If set, there is more: ask again with it.") ","
	 "\"remainingItemCount\":" NUMBER("How much more there is, if that is known.") ","
	 "\"resourceVersion\":" TEXT("State of the store that was listed; a watch goes on from there.") ","
	 "\"selfLink\":" TEXT("No longer used.") "}}"},
};
/* clang-format on */

/* "%Name" in place of a reference. */
static void resolve(json_t *schema, OpenApiForm form)
{
	const char *to = json_string_at(schema, "$ref"), *name;
	json_t *v;
	size_t i;

	if (to && *to == '%') {
		_cleanup_(xfreep) char *full = xasprintf(META "%s", to + 1);
		json_t *made = reference(full, form);

		json_object_update(schema, made);
		json_decref(made);
	}
	json_object_foreach (schema, name, v)
		resolve(v, form);
	json_array_foreach (schema, i, v)
		resolve(v, form);
}

void openapi_add_meta(json_t *schemas, OpenApiForm form)
{
	for (size_t i = 0; i < ARRAY_SIZE(meta); i++) {
		_cleanup_(xfreep) char *name = xasprintf(META "%s", meta[i].name);
		json_t *schema = json_loads(meta[i].schema, 0, NULL);

		assert(schema);
		resolve(schema, form);
		json_object_set_new(schemas, name, schema);
	}
	if (form == OPENAPI_V2) {
		json_object_set_new(
			schemas, QUANTITY,
			json_pack("{s:s, s:s}", "type", "string", "description", QUANTITY_TEXT));
		json_object_set_new(
			schemas, INT_OR_STRING,
			json_pack("{s:s, s:s}", "type", "string", "format", "int-or-string"));
		return;
	}
	json_object_set_new(schemas, QUANTITY,
			    json_pack("{s:[{s:s}, {s:s}], s:s}", "oneOf", "type", "string", "type",
				      "number", "description", QUANTITY_TEXT));
	json_object_set_new(schemas, INT_OR_STRING,
			    json_pack("{s:[{s:s}, {s:s}], s:s}", "oneOf", "type", "integer", "type",
				      "string", "format", "int-or-string"));
}
