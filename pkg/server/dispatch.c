/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dispatch: from a request to its handler, through the one authorization decision.
 *
 * The tables say, per route and method, which verb is asked for; a route that is not in them cannot
 * be reached. HTTP threads.
 */
#include <strings.h>

#include "base/log.h"
#include "server/internal.h"

typedef void (*HandlerFn)(Request *r);

/* Routes that are not about a resource: GET only. */
static const HandlerFn plain_handlers[_ROUTE_MAX] = {
	[ROUTE_VERSION] = handle_version,       [ROUTE_HEALTH] = handle_health,
	[ROUTE_METRICS] = handle_metrics,       [ROUTE_API] = handle_api_versions,
	[ROUTE_GROUPS] = handle_groups,         [ROUTE_GROUP] = handle_group,
	[ROUTE_RESOURCES] = handle_resources,   [ROUTE_OPENAPI_V2] = handle_openapi_v2,
	[ROUTE_OPENAPI_V3] = handle_openapi_v3, [ROUTE_OPENAPI_V3_GROUP] = handle_openapi_v3_group,
};

typedef struct Subresource {
	const char *name, *plural; /* plural NULL = any kind that has a status */
	Method method;
	const char *verb;
	HandlerFn handler;
} Subresource;

static const Subresource subresources[] = {
	{"status",       NULL,         METHOD_GET,   "get",    handle_get        },
	{ "status",      NULL,         METHOD_PUT,   "update", handle_update     },
	{ "status",      NULL,         METHOD_PATCH, "patch",  handle_patch      },
	{ "finalize",    "namespaces", METHOD_PUT,   "update", handle_finalize   },
	{ "log",         "instances",  METHOD_GET,   "get",    handle_log        },
	{ "console",     "instances",  METHOD_GET,   "get",    handle_console    },
	{ "portforward", "instances",  METHOD_GET,   "get",    handle_portforward},
};

static bool wants_watch(const Request *r)
{
	return target_query_bool(&r->target, "watch");
}

const char *request_verb(const Request *r)
{
	bool named = r->route.name;

	switch (r->method) {
	case METHOD_GET:
	case METHOD_HEAD:
		if (r->route.type != ROUTE_RESOURCE)
			return "get";
		return wants_watch(r) && !r->route.subresource ? "watch" : named ? "get" : "list";
	case METHOD_POST:
		return "create";
	case METHOD_PUT:
		return "update";
	case METHOD_PATCH:
		return "patch";
	case METHOD_DELETE:
		return named ? "delete" : "deletecollection";
	case METHOD_OTHER:
		break;
	}
	return "";
}

/* What a local user who is nobody here should do about it; "" for all others. */
static const char *refusal_hint(const Request *r, char *buf, size_t size)
{
	const Identity *who = r->who;
	const char *group = r->server->admin_group;

	*buf = '\0';
	if (who->source != IDENTITY_UNIX)
		return buf;
	if (group)
		snprintf(buf, size,
			 "; use sudo, or let an administrator run \"usermod -aG %s %s\" (may do "
			 "everything, from the next login) or \"kubectl create rolebinding %s "
			 "--clusterrole=edit --user=%s --namespace=%s\"",
			 group, who->name, who->name, who->name,
			 r->route.namespace ? r->route.namespace : r->server->default_namespace);
	else
		snprintf(buf, size,
			 "; use sudo, or let an administrator run \"kubectl create rolebinding %s "
			 "--clusterrole=edit --user=%s --namespace=%s\"",
			 who->name, who->name,
			 r->route.namespace ? r->route.namespace : r->server->default_namespace);
	return buf;
}

static bool authorize(Request *r)
{
	bool is_resource = r->route.type == ROUTE_RESOURCE || r->route.type == ROUTE_REVIEW;
	AccessRequest a = {
		.who = r->who,
		.verb = r->verb,
		.path = is_resource ? NULL : r->target.path,
		.group = r->route.group,
		.resource = r->route.resource,
		.subresource = r->route.subresource,
		.namespace = r->route.namespace,
		.name = r->route.name,
	};
	char why[1024], hint[1024];

	if (authz_allow(&a, why, sizeof(why)))
		return true;
	atomic_fetch_add(&r->server->counters.refused, 1);
	refusal_hint(r, hint, sizeof(hint));
	if (is_resource) {
		_cleanup_(xfreep) char *text = xasprintf("%s%s", why, hint);

		reply_forbidden(r, r->route.name, text);
	} else {
		reply_failure(r, MHD_HTTP_FORBIDDEN, "Forbidden", json_object(), "forbidden: %s%s",
			      why, hint);
	}
	return false;
}

static void dispatch_plain(Request *r)
{
	if (r->method != METHOD_GET && r->method != METHOD_HEAD) {
		reply_method(r, "GET");
		return;
	}
	plain_handlers[r->route.type](r);
}

static bool is_power_verb(const Request *r)
{
	for (const char *const *v = r->kind->power_verbs; v && *v; v++)
		if (streq(*v, r->route.subresource))
			return true;
	return false;
}

static void dispatch_subresource(Request *r)
{
	bool known = false;

	if (is_power_verb(r)) {
		if (r->method == METHOD_POST)
			handle_power(r);
		else
			reply_method(r, "POST");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(subresources); i++) {
		const Subresource *sub = &subresources[i];

		if (!streq(sub->name, r->route.subresource) ||
		    (sub->plural ? !r->kind->builtin || !streq(sub->plural, r->kind->plural)
				 : !r->kind->has_status))
			continue;
		known = true;
		if (sub->method == r->method) {
			sub->handler(r);
			return;
		}
	}
	if (known)
		reply_method(r, "GET, PUT, PATCH");
	else
		reply_no_route(r);
}

static void dispatch_collection(Request *r)
{
	switch (r->method) {
	case METHOD_GET:
	case METHOD_HEAD:
		if (!wants_watch(r))
			handle_list(r);
		else if (r->method == METHOD_GET)
			handle_watch(r);
		else
			reply_method(r, "GET");
		return;
	case METHOD_POST:
		if (!r->kind->namespaced || r->route.namespace) {
			handle_create(r);
			return;
		}
		break;
	case METHOD_DELETE:
		if (!r->kind->namespaced || r->route.namespace) {
			handle_delete_collection(r);
			return;
		}
		break;
	default:
		break;
	}
	reply_method(r, r->route.namespace || !r->kind->namespaced ? "GET, POST, DELETE" : "GET");
}

static void dispatch_named(Request *r)
{
	switch (r->method) {
	case METHOD_GET:
	case METHOD_HEAD:
		if (wants_watch(r) && r->method == METHOD_GET)
			handle_watch(r);
		else
			handle_get(r);
		return;
	case METHOD_PUT:
		handle_update(r);
		return;
	case METHOD_PATCH:
		handle_patch(r);
		return;
	case METHOD_DELETE:
		handle_delete(r);
		return;
	default:
		reply_method(r, "GET, PUT, PATCH, DELETE");
	}
}

/* True if path and scope of the kind agree. */
static bool scope_matches(const Request *r)
{
	if (!r->kind->namespaced)
		return !r->route.namespace;
	return r->route.namespace || !r->route.name;
}

static void dispatch_resource(Request *r)
{
	r->kind = server_kind(r->server, r->route.group, r->route.version, r->route.resource);
	if (!r->kind || !scope_matches(r) ||
	    (r->route.namespace && strlen(r->route.namespace) >= KEY_NAMESPACE_MAX)) {
		reply_no_route(r);
		return;
	}
	r->accept = accept_parse(request_header(r, MHD_HTTP_HEADER_ACCEPT));
	if (r->route.subresource)
		dispatch_subresource(r);
	else if (r->route.name)
		dispatch_named(r);
	else
		dispatch_collection(r);
}

static bool is_stopping(Server *s)
{
	bool stopping;

	pthread_mutex_lock(&s->lock);
	stopping = s->stopping;
	pthread_mutex_unlock(&s->lock);
	return stopping;
}

void request_dispatch(Request *r)
{
	r->route = route_parse(&r->target);
	r->verb = request_verb(r);
	if (is_stopping(r->server)) {
		reply_failure(r, MHD_HTTP_SERVICE_UNAVAILABLE, "ServiceUnavailable", NULL,
			      "the server is stopping");
		r->reply.close = true;
		return;
	}
	if (r->method == METHOD_OTHER) {
		reply_method(r, "GET, POST, PUT, PATCH, DELETE");
		return;
	}
	if (!authorize(r))
		return;
	if (r->route.type == ROUTE_NONE)
		reply_no_route(r);
	else if (r->route.type == ROUTE_RESOURCE)
		dispatch_resource(r);
	else if (r->route.type == ROUTE_REVIEW)
		handle_review(r);
	else
		dispatch_plain(r);
}
