/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dispatch: from a request to its handler, through the one authorization decision.
 *
 * request_admit() runs when the head is there: it asks who it is and whether they may, from what
 * method, path and query say and nothing else, before a byte of the body is read or anything is
 * looked up. request_dispatch() runs when the body is complete, for admitted requests only, and is
 * the only caller of handlers. HTTP threads.
 */
#include <strings.h>

#include "base/log.h"
#include "server/internal.h"
#include "server/metrics.h"
#include "server/render.h"
#include "server/reply.h"
#include "server/write.h"

/* ---- the decision ---- */

/* The least of the roles for people that has it; NULL if none has. */
static const char *role_that_allows(const Request *r, const AccessRequest *a)
{
	static const char *const roles[] = { "view", "edit", "admin" };

	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		_cleanup_(rule_set_unrefp) RuleSet *rules =
			authorizer_role(r->server->authz, NULL, roles[i]);

		for (size_t k = 0; rules && k < rules->n; k++)
			if (rule_allows(&rules->rules[k], a))
				return roles[i];
	}
	return NULL;
}

/* What sfctl kubeconfig reads and makes: somebody who may do that does it for him. */
static bool is_for_kubeconfig(const AccessRequest *a)
{
	if (a->path)
		return false;
	return streq(a->resource, "credentials") || streq_ptr(a->namespace, "kube-public");
}

static void add_binding(StrBuf *out, const AccessRequest *a, const char *role)
{
	bool cluster = str_is_empty(a->namespace);
	const char *name = a->who->name;

	strbuf_addf(out, "\"kubectl create %srolebinding %s --clusterrole=%s --user=%s%s%s\"",
		    cluster ? "cluster" : "", name, role, name,
		    cluster ? "" : " --namespace=", cluster ? "" : a->namespace);
}

/* What a local user who is nobody here should do about it; "" for all others. */
static void add_hint(StrBuf *out, const Request *r, const AccessRequest *a)
{
	const char *name = r->who->name, *group = r->server->admin_group, *role;

	if (r->who->source != IDENTITY_UNIX ||
	    authorizer_knows(r->server->authz, r->who, a->namespace))
		return;
	if (is_for_kubeconfig(a)) {
		strbuf_addf(out, "; ask an administrator: sudo sfctl kubeconfig --user %s", name);
		return;
	}
	role = role_that_allows(r, a);
	strbuf_adds(out, "; use sudo");
	if (group || role)
		strbuf_adds(out, ", or let an administrator run ");
	if (role)
		add_binding(out, a, role);
	if (group)
		strbuf_addf(out, "%s\"usermod -aG %s %s\" (may do everything, from the next login)",
			    role ? " or " : "", group, name);
}

/* `User "alice" cannot get resource "instances" in API group ...` */
static void add_refusal(StrBuf *out, const AccessRequest *a)
{
	bool sub = !str_is_empty(a->subresource);

	strbuf_addf(out, "User \"%s\" cannot %s ", a->who->name, a->verb);
	if (a->path) {
		strbuf_addf(out, "path \"%s\"", a->path);
		return;
	}
	strbuf_addf(out, "resource \"%s%s%s\" in API group \"%s\"", a->resource, sub ? "/" : "",
		    sub ? a->subresource : "", a->group);
	if (str_is_empty(a->namespace))
		strbuf_adds(out, " at the cluster scope");
	else
		strbuf_addf(out, " in the namespace \"%s\"", a->namespace);
}

static void refuse(Request *r, const AccessRequest *a, const char *reason)
{
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT;

	atomic_fetch_add(&r->server->counters.refused, 1);
	if (r->who->source == IDENTITY_ANONYMOUS) {
		reply_failure(r, MHD_HTTP_UNAUTHORIZED, "Unauthorized", NULL, "Unauthorized");
		return;
	}
	add_refusal(&text, a);
	if (*reason)
		strbuf_addf(&text, ": %s", reason);
	add_hint(&text, r, a);
	if (a->path)
		reply_failure(r, MHD_HTTP_FORBIDDEN, "Forbidden", json_object(), "forbidden: %s",
			      strbuf_str(&text));
	else
		reply_forbidden(r, a->name, strbuf_str(&text));
}

static bool decide(Request *r, const AccessRequest *a)
{
	_cleanup_(strbuf_done) StrBuf reason = STRBUF_INIT;
	bool allowed = authorizer_allows(r->server->authz, a, &reason);

	if (!allowed)
		refuse(r, a, strbuf_str(&reason));
	return allowed;
}

/*
 * As Kubernetes understands a request: a namespace is in itself, and a list or watch of one name is
 * about that name.
 */
static bool may_on_resource(Request *r, const char *verb)
{
	const Route *route = &r->route;
	Selector fields = SELECTOR_INIT;
	AccessRequest a = {
		.who = r->who,
		.verb = verb,
		.group = route->group,
		.resource = route->resource,
		.subresource = route->subresource,
		.namespace = route->namespace,
		.name = route->name,
	};
	bool allowed;

	if (!*a.group && streq(a.resource, "namespaces") && a.name && !a.namespace)
		a.namespace = a.name;
	if (streq(verb, "list") || streq(verb, "watch")) {
		/* One that cannot be parsed names nothing; its handler will say what is wrong. */
		(void)selector_parse_fields(target_query(&r->target, "fieldSelector"), &fields,
					    NULL);
		a.name = selector_exact(&fields, "metadata.name");
	}
	allowed = decide(r, &a);
	selector_done(&fields);
	return allowed;
}

bool request_may(Request *r, const char *verb)
{
	_cleanup_(xfreep) char *path = NULL;
	AccessRequest a = { .who = r->who, .verb = verb };

	if (r->route.of_resource)
		return may_on_resource(r, verb);
	path = target_plain_path(&r->target);
	a.path = path;
	return decide(r, &a);
}

void request_admit(Request *r)
{
	if (r->bad_target) {
		reply_bad_request(r, "%s", r->bad_reason);
		return;
	}
	if (!request_authenticate(r))
		return;
	if (r->impersonates) {
		reply_failure(r, MHD_HTTP_FORBIDDEN, "Forbidden", json_object(),
			      "forbidden: impersonation is not offered");
		return;
	}
	r->route = route_parse(&r->target);
	r->rule = route_rule(&r->route, request_op(r));
	r->verb = rule_verb(r->rule);
	r->admitted = request_may(r, r->verb);
}

/* ---- to the handler ---- */

/* True if path and scope of the kind agree. */
static bool scope_matches(const Request *r, const Kind *kind)
{
	if (r->route.namespace && strlen(r->route.namespace) >= KEY_NAMESPACE_MAX)
		return false;
	if (!kind->namespaced)
		return !r->route.namespace;
	return r->route.namespace || !r->route.name;
}

static bool is_write(const Request *r)
{
	return request_op(r) & (OP_POST | OP_PUT | OP_PATCH | OP_DELETE);
}

static void find_kind(Request *r)
{
	if (!r->route.of_resource)
		return;
	r->kind = server_kind(r->server, r->route.group, r->route.version, r->route.resource);
	if (r->kind && !scope_matches(r, r->kind))
		r->kind = kind_unref(r->kind);
	if (r->kind && r->kind->view_of && !r->kind->read_only && is_write(r)) {
		r->shown = r->kind;
		r->kind = kind_registry_find(r->server->options.kinds, r->shown->view_of);
	}
	if (r->kind && r->kind->deprecation_warning)
		reply_warning(r, r->kind->deprecation_warning);
}

/* What an answer may look like; false and answered if none of it is to be had. Streams decide
 * themselves. */
static bool find_form(Request *r)
{
	const char *include = target_query(&r->target, "includeObject");
	bool watch = r->method == METHOD_GET && target_query_bool(&r->target, "watch");

	if (!r->kind || (r->route.subresource && !request_is_status(r)))
		return true;
	r->accept = accept_parse(request_header(r, MHD_HTTP_HEADER_ACCEPT));
	if (r->accept == ACCEPT_NOTHING || (r->accept == ACCEPT_YAML && watch)) {
		reply_not_acceptable(r);
		return false;
	}
	if (r->accept == ACCEPT_YAML) {
		r->accept = ACCEPT_JSON;
		r->yaml = true;
	}
	if (r->accept == ACCEPT_TABLE && !str_is_empty(include) && !streq(include, "None") &&
	    !streq(include, "Metadata") && !streq(include, "Object")) {
		reply_bad_request(
			r,
			"Unable to convert to Table as requested: includeObject: Invalid "
			"value: \"%.64s\": must be 'Metadata', 'Object', 'None', or empty",
			include);
		return false;
	}
	return true;
}

static void reply_wrong_method(Request *r, unsigned ops)
{
	static const struct {
		Op op;
		const char *method;
	} methods[] = {
		{OP_GET,     "GET"   },
                { OP_POST,   "POST"  },
                { OP_PUT,    "PUT"   },
		{ OP_PATCH,  "PATCH" },
                { OP_DELETE, "DELETE"},
	};
	char allow[ALLOW_MAX] = "";
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		if (ops & methods[i].op)
			n += (size_t)snprintf(allow + n, sizeof(allow) - n, "%s%s", n ? ", " : "",
					      methods[i].method);
	if (r->kind && r->kind->read_only)
		reply_read_only(r, allow);
	else
		reply_method(r, allow);
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
	const RouteRow *row;
	unsigned ops;

	assert(r->admitted);
	if (is_stopping(r->server)) {
		reply_failure(r, MHD_HTTP_SERVICE_UNAVAILABLE, "ServiceUnavailable", NULL,
			      "the server is stopping");
		r->reply.close = true;
		return;
	}
	find_kind(r);
	row = r->row = route_find(r, &ops);
	request_count_begin(r);
	if (row) {
		assert(row->rule == r->rule);
		if (find_form(r))
			row->handler(r);
	} else if (ops) {
		reply_wrong_method(r, ops);
	} else {
		reply_no_route(r);
	}
}
