/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Discovery: which groups, versions and resources there are, in the legacy form and the aggregated
 * one that newer clients ask for. All of it is made from the kinds. HTTP threads.
 */
#include <strings.h>

#include "server/handlers.h"
#include "server/internal.h"
#include "server/reply.h"

static json_t *strings(const char *const *v)
{
	json_t *list = json_array();

	for (; v && *v; v++)
		json_array_append_new(list, json_string(*v));
	return list;
}

static json_t *kind_verbs(const Kind *k)
{
	static const char *const verbs[] = { API_GROUP_ALL_VERBS, NULL };
	static const char *const reading[] = { "get", "list", "watch", NULL };
	static const char *const one_by_one[] = { "create", "delete", "get",   "list",
						  "patch",  "update", "watch", NULL };

	if (k->gr == GR_NAMESPACE)
		return strings(one_by_one);
	return strings(k->read_only ? reading : verbs);
}

static json_t *status_verbs(void)
{
	return json_pack("[s, s, s]", "get", "patch", "update");
}

/* Calls fn for each subresource of a kind; verbs is stolen by fn. */
static void each_subresource(const Kind *k,
			     void (*fn)(json_t *out, const Kind *k, const char *name,
					json_t *verbs),
			     json_t *out)
{
	static const char *const streams[] = { "console", "log", "portforward" };

	if (k->has_status)
		fn(out, k, "status", status_verbs());
	if (k->scale)
		fn(out, k, "scale", status_verbs());
	if (k->builtin && streq(k->plural, "namespaces") && !*k->group)
		fn(out, k, "finalize", json_pack("[s]", "update"));
	for (const char *const *v = k->power_verbs; v && *v; v++)
		fn(out, k, *v, json_pack("[s]", "create"));
	if (k->builtin && !*k->group && streq(k->plural, "pods")) {
		fn(out, k, "attach", json_pack("[s, s]", "create", "get"));
		fn(out, k, "log", json_pack("[s]", "get"));
		fn(out, k, "portforward", json_pack("[s, s]", "create", "get"));
	}
	if (k->builtin && k->gr == GR_INSTANCE)
		for (size_t i = 0; i < ARRAY_SIZE(streams); i++)
			fn(out, k, streams[i], json_pack("[s]", "get"));
}

/* ---- legacy ---- */

static void legacy_subresource(json_t *out, const Kind *k, const char *name, json_t *verbs)
{
	_cleanup_(xfreep) char *full = xasprintf("%s/%s", k->plural, name);
	bool scale = streq(name, "scale");
	json_t *r = json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", full, "singularName", "",
			      "namespaced", k->namespaced, "kind", scale ? "Scale" : k->kind,
			      "verbs", verbs);

	if (scale) {
		json_object_set_new(r, "group", json_string("autoscaling"));
		json_object_set_new(r, "version", json_string("v1"));
	}
	json_array_append_new(out, r);
}

static void legacy_resource(json_t *out, const Kind *k)
{
	json_t *r = json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", k->plural, "singularName",
			      k->singular, "namespaced", k->namespaced, "kind", k->kind, "verbs",
			      kind_verbs(k));

	if (k->short_names && *k->short_names)
		json_object_set_new(r, "shortNames", strings(k->short_names));
	if (k->categories && *k->categories)
		json_object_set_new(r, "categories", strings(k->categories));
	json_array_append_new(out, r);
	each_subresource(k, legacy_subresource, out);
}

/* With its preferred version; others follow by add_version(). */
static json_t *group_object(const char *group, const char *version)
{
	_cleanup_(xfreep) char *gv = xasprintf("%s/%s", group, version);

	return json_pack("{s:s, s:[{s:s, s:s}], s:{s:s, s:s}}", "name", group, "versions",
			 "groupVersion", gv, "version", version, "preferredVersion", "groupVersion",
			 gv, "version", version);
}

static void add_version(json_t *group_object, const char *group, const char *version)
{
	_cleanup_(xfreep) char *gv = xasprintf("%s/%s", group, version);

	json_array_append_new(json_object_get(group_object, "versions"),
			      json_pack("{s:s, s:s}", "groupVersion", gv, "version", version));
}

static bool is_review_group(const char *group)
{
	size_t n;
	const ReviewKind *reviews = review_list(&n);

	for (size_t i = 0; i < n; i++)
		if (streq(reviews[i].group, group))
			return true;
	return false;
}

/* One per group, from kinds that come sorted by group and version. */
static json_t *group_list(Server *s)
{
	json_t *groups = json_array(), *group = NULL;
	size_t n;
	Kind **kinds = server_kinds(s, &n);

	for (size_t i = 0; i < n; i++) {
		const Kind *k = kinds[i], *last = i ? kinds[i - 1] : NULL;

		if (!*k->group)
			continue;
		if (!last || !streq(last->group, k->group)) {
			group = group_object(k->group, k->version);
			json_array_append_new(groups, group);
		} else if (!streq(last->version, k->version)) {
			add_version(group, k->group, k->version);
		}
	}
	kinds_free(kinds, n);
	json_array_append_new(groups, group_object("authentication.k8s.io", "v1"));
	json_array_append_new(groups, group_object("authorization.k8s.io", "v1"));
	return groups;
}

/* ---- aggregated ---- */

static json_t *response_kind(const Kind *k)
{
	return json_pack("{s:s, s:s, s:s}", "group", k->group, "version", k->version, "kind",
			 k->kind);
}

static void aggregated_subresource(json_t *out, const Kind *k, const char *name, json_t *verbs)
{
	json_t *kind = streq(name, "scale") ? json_pack("{s:s, s:s, s:s}", "group", "autoscaling",
							"version", "v1", "kind", "Scale")
					    : response_kind(k);

	json_array_append_new(out, json_pack("{s:s, s:o, s:o}", "subresource", name, "responseKind",
					     kind, "verbs", verbs));
}

static json_t *aggregated_resource(const Kind *k)
{
	json_t *r = json_pack("{s:s, s:o, s:s, s:s, s:o}", "resource", k->plural, "responseKind",
			      response_kind(k), "scope", k->namespaced ? "Namespaced" : "Cluster",
			      "singularResource", k->singular, "verbs", kind_verbs(k));
	json_t *subs = json_array();

	if (k->short_names && *k->short_names)
		json_object_set_new(r, "shortNames", strings(k->short_names));
	if (k->categories && *k->categories)
		json_object_set_new(r, "categories", strings(k->categories));
	each_subresource(k, aggregated_subresource, subs);
	if (json_array_size(subs))
		json_object_set(r, "subresources", subs);
	json_decref(subs);
	return r;
}

static json_t *aggregated_version(const char *version, json_t *resources)
{
	return json_pack("{s:s, s:s, s:o}", "version", version, "freshness", "Current", "resources",
			 resources);
}

static json_t *aggregated_group(const char *group)
{
	json_t *metadata = json_object();

	if (*group)
		json_object_set_new(metadata, "name", json_string(group));
	return json_pack("{s:o, s:[]}", "metadata", metadata, "versions");
}

static json_t *review_group(const char *group)
{
	json_t *list = json_array(), *object = aggregated_group(group);
	size_t n;
	const ReviewKind *reviews = review_list(&n);

	for (size_t i = 0; i < n; i++)
		if (streq(reviews[i].group, group))
			json_array_append_new(
				list,
				json_pack("{s:s, s:{s:s, s:s, s:s}, s:s, s:s, s:[s]}", "resource",
					  reviews[i].resource, "responseKind", "group", group,
					  "version", "v1", "kind", reviews[i].kind, "scope",
					  reviews[i].namespaced ? "Namespaced" : "Cluster",
					  "singularResource", "", "verbs", "create"));
	json_array_append_new(json_object_get(object, "versions"), aggregated_version("v1", list));
	return object;
}

/* core: only the core group (/api); else all others (/apis). */
static void reply_aggregated(Request *r, bool core)
{
	const char *version =
		r->discovery_v2 ? "apidiscovery.k8s.io/v2" : "apidiscovery.k8s.io/v2beta1";
	json_t *items = json_array(), *versions = NULL, *resources = NULL;
	const Kind *last = NULL;
	size_t n;
	Kind **kinds = server_kinds(r->server, &n);

	for (size_t i = 0; i < n; i++) {
		if (core != !*kinds[i]->group)
			continue;
		if (!last || !streq(last->group, kinds[i]->group)) {
			json_t *group = aggregated_group(kinds[i]->group);

			versions = json_object_get(group, "versions");
			json_array_append_new(items, group);
			resources = NULL;
		}
		if (!resources || !streq(last->version, kinds[i]->version)) {
			resources = json_array();
			json_array_append_new(versions,
					      aggregated_version(kinds[i]->version, resources));
		}
		json_array_append_new(resources, aggregated_resource(kinds[i]));
		last = kinds[i];
	}
	kinds_free(kinds, n);
	if (!core) {
		json_array_append_new(items, review_group("authentication.k8s.io"));
		json_array_append_new(items, review_group("authorization.k8s.io"));
	}
	reply_json(r, MHD_HTTP_OK,
		   json_pack("{s:s, s:s, s:{}, s:o}", "kind", "APIGroupDiscoveryList", "apiVersion",
			     version, "metadata", "items", items));
	r->reply.content_type =
		r->discovery_v2
			? "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
			: "application/json;g=apidiscovery.k8s.io;v=v2beta1;"
			  "as=APIGroupDiscoveryList";
}

static bool wants_aggregated(Request *r)
{
	const char *accept = request_header(r, MHD_HTTP_HEADER_ACCEPT);
	const char *beta;

	if (!accept || !strcasestr(accept, "as=APIGroupDiscoveryList"))
		return false;
	beta = strcasestr(accept, "v=v2beta1");
	for (const char *p = strcasestr(accept, "v=v2"); p && !r->discovery_v2;
	     p = strcasestr(p + 1, "v=v2"))
		r->discovery_v2 = p != strcasestr(p, "v=v2beta1");
	r->discovery_v2beta1 = beta && !r->discovery_v2;
	return r->discovery_v2 || r->discovery_v2beta1;
}

/* ---- handlers ---- */

static void add_path(json_t *paths, const char *prefix, const char *group, const char *version)
{
	_cleanup_(xfreep) char *path = xasprintf("%s%s%s%s%s", prefix, *group ? "/" : "", group,
						 version ? "/" : "", version ? version : "");

	json_array_append_new(paths, json_string(path));
}

/* GET /: the paths there are. */
void handle_root(Request *r)
{
	static const char *const others[] = { "/healthz",    "/livez",  "/metrics", "/openapi/v2",
					      "/openapi/v3", "/readyz", "/version" };
	_cleanup_(json_decrefp) json_t *groups = group_list(r->server);
	json_t *paths = json_array(), *group, *version;
	size_t i, j;

	add_path(paths, "/api", "", NULL);
	add_path(paths, "/api", "", "v1");
	add_path(paths, "/apis", "", NULL);
	json_array_foreach (groups, i, group) {
		add_path(paths, "/apis", json_string_at(group, "name"), NULL);
		json_array_foreach (json_object_get(group, "versions"), j, version)
			add_path(paths, "/apis", json_string_at(group, "name"),
				 json_string_at(version, "version"));
	}
	for (i = 0; i < ARRAY_SIZE(others); i++)
		add_path(paths, others[i], "", NULL);
	reply_json(r, MHD_HTTP_OK, json_pack("{s:o}", "paths", paths));
}

void handle_api_versions(Request *r)
{
	if (wants_aggregated(r))
		reply_aggregated(r, true);
	else
		reply_json(r, MHD_HTTP_OK,
			   json_pack("{s:s, s:[s], s:[]}", "kind", "APIVersions", "versions", "v1",
				     "serverAddressByClientCIDRs"));
}

void handle_groups(Request *r)
{
	if (wants_aggregated(r))
		reply_aggregated(r, false);
	else
		reply_json(r, MHD_HTTP_OK,
			   json_pack("{s:s, s:s, s:o}", "kind", "APIGroupList", "apiVersion", "v1",
				     "groups", group_list(r->server)));
}

void handle_group(Request *r)
{
	_cleanup_(json_decrefp) json_t *groups = group_list(r->server);
	json_t *group;
	size_t i;

	json_array_foreach (groups, i, group) {
		if (!streq_ptr(json_string_at(group, "name"), r->route.group))
			continue;
		json_object_set_new(group, "kind", json_string("APIGroup"));
		json_object_set_new(group, "apiVersion", json_string("v1"));
		reply_json(r, MHD_HTTP_OK, json_incref(group));
		return;
	}
	reply_no_route(r);
}

static void legacy_reviews(json_t *list, const char *group)
{
	size_t n;
	const ReviewKind *reviews = review_list(&n);

	for (size_t i = 0; i < n; i++)
		if (streq(reviews[i].group, group))
			json_array_append_new(list,
					      json_pack("{s:s, s:s, s:b, s:s, s:[s]}", "name",
							reviews[i].resource, "singularName", "",
							"namespaced", reviews[i].namespaced, "kind",
							reviews[i].kind, "verbs", "create"));
}

void handle_resources(Request *r)
{
	const char *group = r->route.group, *version = r->route.version;
	bool review = is_review_group(group) && streq(version, "v1");
	_cleanup_(xfreep) char *gv = *group ? xasprintf("%s/%s", group, version) : xstrdup(version);
	json_t *list;
	size_t n;
	Kind **kinds;

	if (!review && !server_has_group(r->server, group, version)) {
		reply_no_route(r);
		return;
	}
	list = json_array();
	kinds = server_kinds(r->server, &n);
	for (size_t i = 0; i < n; i++)
		if (streq(kinds[i]->group, group) && streq(kinds[i]->version, version))
			legacy_resource(list, kinds[i]);
	kinds_free(kinds, n);
	if (review)
		legacy_reviews(list, group);
	reply_json(r, MHD_HTTP_OK,
		   json_pack("{s:s, s:s, s:s, s:o}", "kind", "APIResourceList", "apiVersion", "v1",
			     "groupVersion", gv, "resources", list));
}
