/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenAPI: what `kubectl explain` and client-side checks read, made from the kinds' own schemas.
 *
 * v2 is a constant: clients insist on getting protobuf from it and use nothing of it. v3 has one
 * document per group; the core group is not listed, because clients then expect every core type
 * spelled out. HTTP threads.
 */
#include "base/sha.h"
#include "server/internal.h"

/* Document{swagger: "2.0", info{title: "sf", version: "v0.0.1"}} */
static const unsigned char openapi_v2[] = { 0x0a, 0x03, 0x32, 0x2e, 0x30, 0x12, 0x0c,
					    0x0a, 0x02, 0x73, 0x66, 0x12, 0x06, 0x76,
					    0x30, 0x2e, 0x30, 0x2e, 0x31 };

void handle_openapi_v2(Request *r)
{
	reply_take(r, MHD_HTTP_OK, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
		   xmemdup(openapi_v2, sizeof(openapi_v2)), sizeof(openapi_v2));
}

/* "io.shakenfist.v1alpha1.Instance": the group's labels turned round. */
static char *schema_name(const Kind *k)
{
	_cleanup_(strv_freep) char **labels = strv_split(k->group, '.');
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;

	for (size_t i = strv_len(labels); i-- > 0;)
		strbuf_addf(&out, "%s.", labels[i]);
	strbuf_addf(&out, "%s.%s", k->version, k->kind);
	return strbuf_take(&out);
}

static json_t *kind_schema(const Kind *k)
{
	json_t *schema = json_deep_copy(k->openapi);

	json_object_set_new(schema, "x-kubernetes-group-version-kind",
			    json_pack("[{s:s, s:s, s:s}]", "group", k->group, "version", k->version,
				      "kind", k->kind));
	return schema;
}

static json_t *query_parameter(const char *name)
{
	return json_pack("{s:s, s:s, s:{s:s}}", "name", name, "in", "query", "schema", "type",
			 "string");
}

static json_t *operation(const Kind *k, const char *action)
{
	json_t *parameters = json_array();

	json_array_append_new(parameters, query_parameter("dryRun"));
	json_array_append_new(parameters, query_parameter("fieldValidation"));
	json_array_append_new(parameters, query_parameter("fieldManager"));
	return json_pack("{s:o, s:s, s:{s:s, s:s, s:s}, s:{s:{s:s}}}", "parameters", parameters,
			 "x-kubernetes-action", action, "x-kubernetes-group-version-kind", "group",
			 k->group, "version", k->version, "kind", k->kind, "responses", "200",
			 "description", "OK");
}

static void add_kind(json_t *paths, json_t *schemas, const Kind *k)
{
	_cleanup_(xfreep) char *name = schema_name(k);
	_cleanup_(xfreep) char *base =
		xasprintf("/%s%s%s/%s%s/%s", *k->group ? "apis/" : "api", k->group, "", k->version,
			  k->namespaced ? "/namespaces/{namespace}" : "", k->plural);
	_cleanup_(xfreep) char *item = xasprintf("%s/{name}", base);

	json_object_set_new(schemas, name, kind_schema(k));
	json_object_set_new(
		paths, base,
		json_pack("{s:o, s:o}", "get", operation(k, "list"), "post", operation(k, "post")));
	json_object_set_new(paths, item,
			    json_pack("{s:o, s:o, s:o, s:o}", "get", operation(k, "get"), "put",
				      operation(k, "put"), "patch", operation(k, "patch"), "delete",
				      operation(k, "delete")));
}

static json_t *group_document(Server *s, const char *group, const char *version)
{
	json_t *paths = json_object(), *schemas = json_object();
	size_t n;
	Kind **kinds = server_kinds(s, &n);

	for (size_t i = 0; i < n; i++)
		if (streq(kinds[i]->group, group) && streq(kinds[i]->version, version))
			add_kind(paths, schemas, kinds[i]);
	kinds_free(kinds, n);
	return json_pack("{s:s, s:{s:s, s:s}, s:o, s:{s:o}}", "openapi", "3.0.0", "info", "title",
			 "Shaken Fist", "version", SF_VERSION, "paths", paths, "components",
			 "schemas", schemas);
}

/* The hash makes clients' caches right: it moves with the document. */
static void list_group(Server *s, json_t *paths, const Kind *k)
{
	_cleanup_(xfreep) char *name = xasprintf("apis/%s/%s", k->group, k->version);
	_cleanup_(json_decrefp) json_t *document = NULL;
	_cleanup_(xfreep) char *text = NULL, *url = NULL;
	char hash[SHA_HEX_MAX];

	if (json_object_get(paths, name))
		return;
	document = group_document(s, k->group, k->version);
	text = json_canonical(document);
	sha_hex_of(SHA_256, text, strlen(text), hash);
	url = xasprintf("/openapi/v3/%s?hash=%.32s", name, hash);
	json_object_set_new(paths, name, json_pack("{s:s}", "serverRelativeURL", url));
}

void handle_openapi_v3(Request *r)
{
	json_t *paths = json_object();
	size_t n;
	Kind **kinds = server_kinds(r->server, &n);

	for (size_t i = 0; i < n; i++)
		if (*kinds[i]->group)
			list_group(r->server, paths, kinds[i]);
	kinds_free(kinds, n);
	reply_json(r, MHD_HTTP_OK, json_pack("{s:o}", "paths", paths));
}

void handle_openapi_v3_group(Request *r)
{
	if (!server_has_group(r->server, r->route.group, r->route.version)) {
		reply_no_route(r);
		return;
	}
	reply_json(r, MHD_HTTP_OK, group_document(r->server, r->route.group, r->route.version));
}
