/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The routes: every handler that a client can reach, and the rule that must allow it.
 *
 * One row is one shape of path, what is done to it, and the verb that authorization is asked for.
 * ROW() takes the rule as a name of its own: a row without one, or with one that does not exist, is
 * no C. A request that matches no row is asked for the verb of its method all the same, so that
 * "404" and "405" are for those who may know. hack/verify-routes proves that handlers are named
 * here and nowhere else. Pure; any thread.
 */
#include "server/handlers.h"
#include "server/internal.h"

/* ---- what a kind must be, to have that route; asked after the decision ---- */

static bool always(const Request *r _unused_)
{
	return true;
}

/* Of what has no kind. */
static bool in_v1(const Request *r)
{
	return streq(r->route.version, "v1") && !r->route.namespace;
}

static bool in_v1_namespace(const Request *r)
{
	return streq(r->route.version, "v1") && r->route.namespace;
}

static bool writable(const Request *r)
{
	return !r->kind->read_only;
}

/* Nothing is created or deleted in all namespaces at once. */
static bool in_one_scope(const Request *r)
{
	return (r->route.namespace || !r->kind->namespaced) && writable(r);
}

static bool with_status(const Request *r)
{
	return r->kind->has_status;
}

static bool with_scale(const Request *r)
{
	return r->kind->scale != NULL;
}

static bool built_in(const Request *r)
{
	return r->kind->builtin;
}

static bool with_power(const Request *r)
{
	for (const char *const *v = r->kind->power_verbs; v && *v; v++)
		if (streq(*v, r->route.subresource))
			return true;
	return false;
}

/* ---- the table ---- */

#define READ (OP_GET | OP_HEAD)

#define ROUTE(type_, ops_, resource_, subresource_, rule_, handler_, offered_, kindless_) \
	{ \
		.type = ROUTE_##type_, .ops = (ops_), .resource = (resource_), \
		.subresource = (subresource_), .rule = RULE_##rule_, .handler = handle_##handler_, \
		.offered = (offered_), .kindless = (kindless_) \
	}
#define ROW(type_, ops_, resource_, subresource_, rule_, handler_, offered_) \
	ROUTE(type_, ops_, resource_, subresource_, rule_, handler_, offered_, false)
#define PATH(type_, rule_, handler_) ROUTE(type_, READ, NULL, NULL, rule_, handler_, always, true)
#define REVIEW(resource_, rule_, offered_) \
	ROUTE(COLLECTION, OP_POST, resource_, NULL, rule_, review, offered_, true)

#define REVIEWS "authorization.k8s.io/"
#define ANY     NULL

/* clang-format off */
static const RouteRow rows[] = {
	PATH(ROOT,             PATH_GET, root),
	PATH(VERSION,          PATH_GET, version),
	PATH(HEALTH,           PATH_GET, health),
	PATH(METRICS,          PATH_GET, metrics),
	PATH(API,              PATH_GET, api_versions),
	PATH(GROUPS,           PATH_GET, groups),
	PATH(GROUP,            PATH_GET, group),
	PATH(RESOURCES,        PATH_GET, resources),
	PATH(OPENAPI_V2,       PATH_GET, openapi_v2),
	PATH(OPENAPI_V3,       PATH_GET, openapi_v3),
	PATH(OPENAPI_V3_GROUP, PATH_GET, openapi_v3_group),

	REVIEW("authentication.k8s.io/selfsubjectreviews", CREATE, in_v1),
	REVIEW(REVIEWS "localsubjectaccessreviews",        CREATE, in_v1_namespace),
	REVIEW(REVIEWS "selfsubjectaccessreviews",         CREATE, in_v1),
	REVIEW(REVIEWS "selfsubjectrulesreviews",          CREATE, in_v1),
	REVIEW(REVIEWS "subjectaccessreviews",             CREATE, in_v1),

	/*  path         method     resource  subresource     rule              handler     where */
	ROW(COLLECTION,  READ,      ANY,      NULL,           LIST,             list,       always),
	ROW(COLLECTION,  OP_WATCH,  ANY,      NULL,           WATCH,            watch,      always),
	ROW(COLLECTION,  OP_POST,   ANY,      NULL,           CREATE,           create,     in_one_scope),
	ROW(COLLECTION,  OP_DELETE, ANY,      NULL,           DELETECOLLECTION, delete_collection, in_one_scope),
	ROW(NAMED,       READ,      ANY,      NULL,           GET,              get,        always),
	ROW(NAMED,       OP_PUT,    ANY,      NULL,           UPDATE,           update,     writable),
	ROW(NAMED,       OP_PATCH,  ANY,      NULL,           PATCH,            patch,      writable),
	ROW(NAMED,       OP_DELETE, ANY,      NULL,           DELETE,           delete,     writable),
	ROW(SUBRESOURCE, READ,      ANY,      "status",       GET,              get,        with_status),
	ROW(SUBRESOURCE, OP_PUT,    ANY,      "status",       UPDATE,           update,     with_status),
	ROW(SUBRESOURCE, OP_PATCH,  ANY,      "status",       PATCH,            patch,      with_status),
	ROW(SUBRESOURCE, READ,      ANY,      "scale",        GET,              scale_get,   with_scale),
	ROW(SUBRESOURCE, OP_PUT,    ANY,      "scale",        UPDATE,           scale_write, with_scale),
	ROW(SUBRESOURCE, OP_PATCH,  ANY,      "scale",        PATCH,            scale_write, with_scale),
	ROW(SUBRESOURCE, OP_PUT,    "/namespaces", "finalize", UPDATE,          finalize,   built_in),
	ROW(SUBRESOURCE, OP_GET,    "shakenfist.io/instances", "log",         GET, log,         built_in),
	ROW(SUBRESOURCE, OP_GET,    "shakenfist.io/instances", "console",     GET, console,     built_in),
	ROW(SUBRESOURCE, OP_GET,    "shakenfist.io/instances", "portforward", GET, portforward, built_in),
	ROW(SUBRESOURCE, OP_GET,    "/pods",  "log",          GET,              log,              built_in),
	ROW(SUBRESOURCE, OP_GET,    "/pods",  "attach",       GET,              attach,           built_in),
	ROW(SUBRESOURCE, OP_POST,   "/pods",  "attach",       CREATE,           attach_spdy,      built_in),
	ROW(SUBRESOURCE, OP_GET,    "/pods",  "exec",         GET,              pod_exec,         built_in),
	ROW(SUBRESOURCE, OP_POST,   "/pods",  "exec",         CREATE,           pod_exec,         built_in),
	ROW(SUBRESOURCE, OP_GET,    "/pods",  "portforward",  GET,              pod_portforward,  built_in),
	ROW(SUBRESOURCE, OP_POST,   "/pods",  "portforward",  CREATE,           pod_portforward_spdy,  built_in),
	ROW(SUBRESOURCE, OP_POST,   ANY,      ANY,            CREATE,           power,      with_power),
};
/* clang-format on */

const RouteRow *route_rows(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(rows);
	return rows;
}

/* ---- rules ---- */

static const char *const rule_verbs[_RULE_MAX] = {
	[RULE_NONE] = "",
	[RULE_PATH_GET] = "get",
	[RULE_PATH_POST] = "post",
	[RULE_PATH_PUT] = "put",
	[RULE_PATH_PATCH] = "patch",
	[RULE_PATH_DELETE] = "delete",
	[RULE_GET] = "get",
	[RULE_LIST] = "list",
	[RULE_WATCH] = "watch",
	[RULE_CREATE] = "create",
	[RULE_UPDATE] = "update",
	[RULE_PATCH] = "patch",
	[RULE_DELETE] = "delete",
	[RULE_DELETECOLLECTION] = "deletecollection",
};

const char *rule_verb(Rule rule)
{
	return rule_verbs[rule];
}

/* What a request that has no row would do. */
static Rule implied_rule(const Route *route, Op op)
{
	bool collection = !route->name;

	switch (op) {
	case OP_GET:
	case OP_HEAD:
		return !route->of_resource ? RULE_PATH_GET : collection ? RULE_LIST : RULE_GET;
	case OP_WATCH:
	case OP_WATCH_HEAD:
		return RULE_WATCH;
	case OP_POST:
		return route->of_resource ? RULE_CREATE : RULE_PATH_POST;
	case OP_PUT:
		return route->of_resource ? RULE_UPDATE : RULE_PATH_PUT;
	case OP_PATCH:
		return route->of_resource ? RULE_PATCH : RULE_PATH_PATCH;
	case OP_DELETE:
		return !route->of_resource ? RULE_PATH_DELETE
		       : collection        ? RULE_DELETECOLLECTION
					   : RULE_DELETE;
	case OP_OTHER:
		break;
	}
	return RULE_NONE;
}

/* ---- finding ---- */

Op request_op(const Request *r)
{
	bool watch = r->route.type == ROUTE_COLLECTION && target_query_bool(&r->target, "watch");

	switch (r->method) {
	case METHOD_GET:
		return watch ? OP_WATCH : OP_GET;
	case METHOD_HEAD:
		return watch ? OP_WATCH_HEAD : OP_HEAD;
	case METHOD_POST:
		return OP_POST;
	case METHOD_PUT:
		return OP_PUT;
	case METHOD_PATCH:
		return OP_PATCH;
	case METHOD_DELETE:
		return OP_DELETE;
	case METHOD_OTHER:
		break;
	}
	return OP_OTHER;
}

/* pattern is "group/plural". */
static bool resource_matches(const char *pattern, const Route *route)
{
	size_t n = strcspn(pattern, "/");

	return strlen(route->group) == n && strncmp(pattern, route->group, n) == 0 &&
	       streq(pattern + n + 1, route->resource);
}

static bool row_has_path(const RouteRow *row, const Route *route)
{
	return row->type == route->type &&
	       (!row->resource || resource_matches(row->resource, route)) &&
	       (!row->subresource || streq(row->subresource, route->subresource));
}

Rule route_rule(const Route *route, Op op)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if ((rows[i].ops & op) && row_has_path(&rows[i], route))
			return rows[i].rule;
	return implied_rule(route, op);
}

static bool row_is_offered(const RouteRow *row, const Request *r)
{
	return (row->kindless || r->kind) && row->offered(r);
}

const RouteRow *route_find(const Request *r, unsigned *ret_ops)
{
	Op op = request_op(r);
	unsigned ops = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!row_has_path(&rows[i], &r->route) || !row_is_offered(&rows[i], r))
			continue;
		if (rows[i].ops & op)
			return &rows[i];
		ops |= rows[i].ops;
	}
	*ret_ops = ops;
	return NULL;
}
