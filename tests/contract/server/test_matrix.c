/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what, all of it: every route of the table with every kind, method and namespace, asked
 * by users of every sort in every spelling of the path, against a policy that is written down here
 * again, by hand. Refusals must not tell what exists. Needs root.
 *
 * Each cell is asked in one of four spellings, in turns; with TEST_SPELLINGS=all in each of them.
 */
#include "tests/contract/server/as_user.h"

#include <sys/stat.h>

#include "server/internal.h"

typedef enum Who {
	NOBODY,
	VIEWER, /* of namespace a */
	EDITOR,
	ADMIN,
	CLUSTER_VIEWER,
	CLUSTER_ADMIN, /* by a binding */
	GETTER,        /* get instances in a, and nothing else */
	NAMED,         /* everything on the secret x in a */
	SUB,           /* get of every status and of instances' logs in a */
	GROUP,         /* create configmaps in b, by his group */
	MONITOR,       /* by system:monitoring's role */
	_WHO_MAX,
} Who;

/* ---- the policy ---- */

#define R "get list watch"
#define W "create update patch delete deletecollection"

/* What the roles for people give in a namespace. What is not here, they do not give. */
/* clang-format off */
static const struct {
	const char *group, *resource, *view, *edit, *admin;
} people[] = {
	/* group, resource, view, edit, admin */
	{ "",                          "configmaps",                R,     R " " W,      R " " W },
	{ "",                          "events",                    R,     R " " W,      R " " W },
	{ "events.k8s.io",             "events",                    R,     R " " W,      R " " W },
	{ "",                          "namespaces",                R,     R,            R },
	{ "",                          "namespaces/status",         R,     R,            R },
	{ "",                          "pods",                      R,     R,            R },
	{ "",                          "pods/status",               R,     R,            R },
	{ "",                          "pods/log",                  "get", "get",        "get" },
	{ "",                          "pods/attach",               "",    "create get", "create get" },
	{ "",                          "pods/exec",                 "",    "create get", "create get" },
	{ "",                          "pods/portforward",          "",    "create get", "create get" },
	{ "",                          "resourcequotas",            R,     R,            R },
	{ "",                          "resourcequotas/status",     R,     R,            R },
	{ "",                          "services",                  R,     R,            R },
	{ "",                          "secrets",                   "",    R " " W,      R " " W },
	{ "coordination.k8s.io",       "leases",                    "",    R " " W,      R " " W },
	{ "rbac.authorization.k8s.io", "roles",                     "",    "",           R " " W },
	{ "rbac.authorization.k8s.io", "rolebindings",              "",    "",           R " " W },
	{ "authorization.k8s.io",      "localsubjectaccessreviews", "",    "",           "create" },
	{ "shakenfist.io",             "images",                    R,     R " " W,      R " " W },
	{ "shakenfist.io",             "images/status",             R,     R,            R },
	{ "shakenfist.io",             "instances",                 R,     R " " W,      R " " W },
	{ "shakenfist.io",             "instances/status",          R,     R,            R },
	{ "shakenfist.io",             "instances/start",           "",    "create",     "create" },
	{ "shakenfist.io",             "instances/stop",            "",    "create",     "create" },
	{ "shakenfist.io",             "instances/restart",         "",    "create",     "create" },
	{ "shakenfist.io",             "instances/pause",           "",    "create",     "create" },
	{ "shakenfist.io",             "instances/resume",          "",    "create",     "create" },
	{ "shakenfist.io",             "instances/log",             "get", "get",        "get" },
	{ "shakenfist.io",             "instances/console",         "",    "create get", "create get" },
	{ "shakenfist.io",             "instances/portforward",     "",    "create get", "create get" },
	{ "shakenfist.io",             "networks",                  R,     R " " W,      R " " W },
	{ "shakenfist.io",             "networks/status",           R,     R,            R },
	{ "shakenfist.io",             "nodes",                     R,     R,            R },
	{ "shakenfist.io",             "nodes/status",              R,     R,            R },
};
/* clang-format on */

typedef struct Ask {
	const char *verb, *path, *group, *resource, *sub, *namespace, *name;
} Ask;

static bool has_word(const char *words, const char *word)
{
	_cleanup_(strv_freep) char **v = strv_split(words, ' ');

	return strv_contains(v, word);
}

static bool person_may(Who who, const Ask *a)
{
	_cleanup_(xfreep) char *what =
		a->sub ? xasprintf("%s/%s", a->resource, a->sub) : xstrdup(a->resource);

	for (size_t i = 0; i < ARRAY_SIZE(people); i++)
		if (streq(people[i].group, a->group) && streq(people[i].resource, what))
			return has_word(who == ADMIN    ? people[i].admin
					: who == EDITOR ? people[i].edit
							: people[i].view,
					a->verb);
	return false;
}

static bool path_is_open(const char *path)
{
	static const char *const open[] = { "/api", "/apis", "/openapi" };
	static const char *const exact[] = { "/healthz", "/livez", "/readyz", "/version",
					     "/version/" };

	for (size_t i = 0; i < ARRAY_SIZE(exact); i++)
		if (streq(path, exact[i]))
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(open); i++) {
		size_t n = strlen(open[i]);

		if (strncmp(path, open[i], n) == 0 && (!path[n] || path[n] == '/'))
			return true;
	}
	return false;
}

static bool policy(Who who, const Ask *a)
{
	bool in_a = streq_ptr(a->namespace, "a");

	if (who == CLUSTER_ADMIN)
		return true;
	if (a->path)
		return streq(a->verb, "get") &&
		       (path_is_open(a->path) ||
			(who == MONITOR &&
			 (streq(a->path, "/metrics") || str_has_prefix(a->path, "/metrics/") ||
			  str_has_prefix(a->path, "/healthz/") ||
			  str_has_prefix(a->path, "/livez/") ||
			  str_has_prefix(a->path, "/readyz/"))));
	if (streq(a->verb, "create") && !a->sub && str_has_prefix(a->resource, "selfsubject") &&
	    str_has_suffix(a->group, "thentication.k8s.io") ==
		    streq(a->resource, "selfsubjectreviews") &&
	    str_has_prefix(a->group, "auth"))
		return true;
	switch (who) {
	case VIEWER:
	case EDITOR:
	case ADMIN:
		return in_a && person_may(who, a);
	case CLUSTER_VIEWER:
		return person_may(who, a);
	case GETTER:
		return in_a && streq(a->verb, "get") && streq(a->group, "shakenfist.io") &&
		       streq(a->resource, "instances") && !a->sub;
	case NAMED:
		return in_a && !*a->group && streq(a->resource, "secrets") && !a->sub &&
		       streq_ptr(a->name, "x");
	case SUB:
		return in_a && streq(a->verb, "get") && streq(a->group, "shakenfist.io") &&
		       a->sub &&
		       (streq(a->sub, "status") ||
			(streq(a->sub, "log") && streq(a->resource, "instances")));
	case GROUP:
		return streq_ptr(a->namespace, "b") && streq(a->verb, "create") && !*a->group &&
		       streq(a->resource, "configmaps") && !a->sub;
	default:
		return false;
	}
}

/* ---- the same policy, as the server is told ---- */

static const char *user(Who who)
{
	static char name[32];

	snprintf(name, sizeof(name), "uid:%u", USER_BASE + who);
	return name;
}

static const char *subject(Who who)
{
	static char text[48];

	snprintf(text, sizeof(text), "User:%s", user(who));
	return text;
}

static void make_role(Fixture *f, const char *namespace, const char *name, const char *rule)
{
	_cleanup_(xfreep) char *path =
		xasprintf("/apis/rbac.authorization.k8s.io/v1/namespaces/%s/roles", namespace);
	_cleanup_(xfreep) char *body =
		xasprintf("{\"metadata\":{\"name\":\"%s\"},\"rules\":[%s]}", name, rule);

	call_done(f, 201, "POST", path, NULL, body);
}

static void make_policy(Fixture *f)
{
	call_done(f, 201, "POST", "/api/v1/namespaces", NULL, "{\"metadata\":{\"name\":\"a\"}}");
	call_done(f, 201, "POST", "/api/v1/namespaces", NULL, "{\"metadata\":{\"name\":\"b\"}}");
	make_role(f, "a", "getter",
		  "{\"verbs\":[\"get\"],\"apiGroups\":[\"shakenfist.io\"],"
		  "\"resources\":[\"instances\"]}");
	make_role(f, "a", "named",
		  "{\"verbs\":[\"*\"],\"apiGroups\":[\"\"],\"resources\":[\"secrets\"],"
		  "\"resourceNames\":[\"x\"]}");
	make_role(f, "a", "sub",
		  "{\"verbs\":[\"get\"],\"apiGroups\":[\"shakenfist.io\"],"
		  "\"resources\":[\"*/status\",\"instances/log\"]}");
	make_role(f, "b", "maker",
		  "{\"verbs\":[\"create\"],\"apiGroups\":[\"\"],\"resources\":[\"configmaps\"]}");
	bind_role(f, "a", "viewer", "ClusterRole", "view", subject(VIEWER));
	bind_role(f, "a", "editor", "ClusterRole", "edit", subject(EDITOR));
	bind_role(f, "a", "admin", "ClusterRole", "admin", subject(ADMIN));
	bind_role(f, NULL, "viewer", "ClusterRole", "view", subject(CLUSTER_VIEWER));
	bind_role(f, NULL, "admin", "ClusterRole", "cluster-admin", subject(CLUSTER_ADMIN));
	bind_role(f, NULL, "monitor", "ClusterRole", "system:monitoring", subject(MONITOR));
	bind_role(f, "a", "getter", "Role", "getter", subject(GETTER));
	bind_role(f, "a", "named", "Role", "named", subject(NAMED));
	bind_role(f, "a", "sub", "Role", "sub", subject(SUB));
	{
		_cleanup_(xfreep) char *group = xasprintf("Group:unix:gid:%u", USER_BASE + GROUP);

		bind_role(f, "b", "maker", "Role", "maker", group);
	}
	/* x is there, y is not: nobody who may not look can tell. */
	call_done(f, 201, "POST", "/api/v1/namespaces/a/secrets", NULL,
		  "{\"metadata\":{\"name\":\"x\"}}");
	call_done(f, 201, "POST", "/api/v1/namespaces/a/configmaps", NULL,
		  "{\"metadata\":{\"name\":\"x\"}}");
	call_done(f, 201, "POST", API_GROUP "/namespaces/a/instances", NULL,
		  INSTANCE_BODY("x", ""));
}

/* ---- asking ---- */

typedef struct Walk {
	Fixture *f;
	HttpClient *clients[_WHO_MAX];
	bool all_spellings;
	size_t cells, asked, refused;
} Walk;

static void reconnect(Walk *w, Who who)
{
	if (w->clients[who])
		http_close(w->clients[who]);
	w->clients[who] = connect_as(w->f->path, USER_BASE + who);
}

/* "/api/v1" as "/%61pi/%761" */
static char *escaped(const char *path)
{
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;

	for (const char *p = path; *p; p++)
		if (p > path && p[-1] == '/' && *p != '/')
			strbuf_addf(&out, "%%%02x", (unsigned char)*p);
		else
			strbuf_addc(&out, *p);
	return xstrdup(strbuf_str(&out));
}

#define SPELLINGS 4

/* The same request in another spelling. Nothing is ever done: all writes are dry. */
static char *spell(size_t how, const char *path, bool watch)
{
	_cleanup_(xfreep) char *other = how == 1 ? escaped(path) : xstrdup(path);
	const char *query = watch ? "watch=true&dryRun=All" : "dryRun=All";

	switch (how) {
	case 2:
		return xasprintf("%s/?%s", path, query);
	case 3:
		return xasprintf("%s?namespace=b&verb=get&user=root&%s&force=true", path, query);
	default:
		return xasprintf("%s?%s", other, query);
	}
}

/* `instances.shakenfist.io "x" is forbidden: User "uid:1" cannot get resource ...` */
static char *refusal(Who who, const Ask *a)
{
	_cleanup_(xfreep) char *what = NULL;
	_cleanup_(xfreep) char *where = NULL;

	if (a->path)
		return xasprintf("forbidden: User \"%s\" cannot %s path \"%s\"", user(who), a->verb,
				 a->path);
	what = a->name ? xasprintf("%s%s%s \"%s\" is", a->resource, *a->group ? "." : "", a->group,
				   a->name)
		       : xasprintf("%s%s%s is", a->resource, *a->group ? "." : "", a->group);
	where = a->namespace ? xasprintf("in the namespace \"%s\"", a->namespace)
			     : xstrdup("at the cluster scope");
	return xasprintf("%s forbidden: User \"%s\" cannot %s resource \"%s%s%s\" in API group "
			 "\"%s\" %s",
			 what, user(who), a->verb, a->resource, a->sub ? "/" : "",
			 a->sub ? a->sub : "", a->group, where);
}

static void ask_one(Walk *w, Who who, const char *method, const char *target, const Ask *a)
{
	bool headless = streq(method, "HEAD") || strstr(target, "watch=true");
	bool want = policy(who, a), got, closes;
	HttpAnswer answer;

	http_request(w->clients[who], method, target, "", NULL);
	answer = headless ? http_read_head(w->clients[who]) : http_read_answer(w->clients[who]);
	got = answer.code != 403;
	closes = strcasestr(answer.head, "connection: close") != NULL;
	if (answer.code == 0 || answer.code == 401 || answer.code == 500 || got != want)
		fail_msg("user %d: %s %s: %d, must be %s: %s", who, method, target, answer.code,
			 want ? "allowed" : "refused", answer.body ? answer.body : "");
	w->asked++;
	w->refused += !got;
	if (!got && !headless) {
		_cleanup_(xfreep) char *text = refusal(who, a);
		const char *message = json_string_at(answer.json, "message");

		if (!message || !str_has_prefix(message, text))
			fail_msg("%s %s: %s\nexpected: %s", method, target, message, text);
	}
	http_answer_done(&answer);
	if (headless || closes)
		reconnect(w, who);
}

static void ask_spelled(Walk *w, Who who, const char *method, bool watch, const char *path,
			const Ask *a, size_t how)
{
	_cleanup_(xfreep) char *slashed = NULL;
	_cleanup_(xfreep) char *target = spell(how, path, watch);
	Ask asked = *a;

	if (a->path && how == 2) {
		slashed = xasprintf("%s/", path);
		asked.path = slashed;
	}
	ask_one(w, who, method, target, &asked);
}

static void ask_all(Walk *w, const char *method, bool watch, const char *path, const Ask *a)
{
	for (Who who = 0; who < _WHO_MAX; who++) {
		size_t first = w->all_spellings ? 0 : w->cells % SPELLINGS;
		size_t last = w->all_spellings ? SPELLINGS - 1 : first;

		for (size_t how = first; how <= last; how++)
			ask_spelled(w, who, method, watch, path, a, how);
		w->cells++;
	}
}

/* ---- walking ---- */

static const struct {
	const char *method;
	bool watch;
} methods[] = {
	{"GET",     false},
        { "GET",    true },
        { "HEAD",   false},
        { "POST",   false},
	{ "PUT",    false},
        { "PATCH",  false},
        { "DELETE", false},
};

/* As Kubernetes names what is done. */
static const char *verb_of(const char *method, bool watch, bool named)
{
	if (streq(method, "GET") || streq(method, "HEAD"))
		return named ? "get" : watch ? "watch" : "list";
	if (streq(method, "POST"))
		return "create";
	if (streq(method, "PUT"))
		return "update";
	if (streq(method, "PATCH"))
		return "patch";
	return named ? "delete" : "deletecollection";
}

static void walk_resource(Walk *w, RouteType shape, const char *group, const char *version,
			  const char *plural, const char *sub)
{
	static const char *const namespaces[] = { "a", "b", NULL };
	static const char *const names[] = { "x", "y" };

	for (size_t n = 0; n < ARRAY_SIZE(namespaces); n++) {
		bool is_namespace = !*group && streq(plural, "namespaces") && !namespaces[n];
		_cleanup_(xfreep) char *in =
			namespaces[n] ? xasprintf("/namespaces/%s", namespaces[n]) : xstrdup("");
		_cleanup_(xfreep) char *base = xasprintf("%s%s/%s%s/%s", *group ? "/apis/" : "/api",
							 group, version, in, plural);

		/* /namespaces/x/log is a list of "log" in x. */
		if (is_namespace && sub && !streq(sub, "status") && !streq(sub, "finalize"))
			continue;
		for (size_t m = 0; m < ARRAY_SIZE(methods); m++) {
			Ask a = { .group = group,
				  .resource = plural,
				  .namespace = namespaces[n],
				  .verb = verb_of(methods[m].method, methods[m].watch,
						  shape != ROUTE_COLLECTION) };

			if (shape == ROUTE_COLLECTION) {
				ask_all(w, methods[m].method, methods[m].watch, base, &a);
				continue;
			}
			if (methods[m].watch)
				continue;
			for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
				_cleanup_(xfreep) char *path =
					xasprintf("%s/%s%s%s", base, names[k], sub ? "/" : "",
						  sub ? sub : "");

				a.name = names[k];
				a.sub = sub;
				/* a namespace is in itself, however it is named */
				if (is_namespace)
					a.namespace = names[k];
				ask_all(w, methods[m].method, false, path, &a);
			}
		}
	}
}

static bool is_of_kind(const RouteRow *row, const char *group, const char *plural)
{
	_cleanup_(xfreep) char *name = xasprintf("%s/%s", group, plural);

	return !row->resource || streq(row->resource, name);
}

/* Every shape and subresource of the table for one kind, and a subresource that there is not. */
static void walk_kind(Walk *w, const char *group, const char *version, const char *plural)
{
	static const char *const power[] = { "start", "stop", "nonsense" };
	const char *done[64] = { NULL };
	size_t n_done = 0, n;
	const RouteRow *rows = route_rows(&n);

	walk_resource(w, ROUTE_COLLECTION, group, version, plural, NULL);
	walk_resource(w, ROUTE_NAMED, group, version, plural, NULL);
	for (size_t i = 0; i < n; i++) {
		bool known = false;

		if (rows[i].type != ROUTE_SUBRESOURCE || !is_of_kind(&rows[i], group, plural))
			continue;
		if (!rows[i].subresource) { /* any: that of the kind's own words */
			for (size_t k = 0; k < ARRAY_SIZE(power); k++)
				walk_resource(w, ROUTE_SUBRESOURCE, group, version, plural,
					      power[k]);
			continue;
		}
		for (size_t k = 0; k < n_done; k++)
			known |= streq(done[k], rows[i].subresource);
		if (known)
			continue;
		assert_true(n_done < ARRAY_SIZE(done));
		done[n_done++] = rows[i].subresource;
		walk_resource(w, ROUTE_SUBRESOURCE, group, version, plural, rows[i].subresource);
	}
}

static Walk *walk_new(Fixture *f)
{
	Walk *w = xnew0(Walk, 1);

	w->f = f;
	w->all_spellings = streq_ptr(getenv("TEST_SPELLINGS"), "all");
	assert_int_equal(chmod(f->dir, 0755), 0);
	make_policy(f);
	for (Who who = 0; who < _WHO_MAX; who++)
		reconnect(w, who);
	return w;
}

static void walk_free(Walk *w)
{
	for (Who who = 0; who < _WHO_MAX; who++)
		http_close(w->clients[who]);
	print_message("%zu cells, asked %zu times, refused %zu\n", w->cells, w->asked, w->refused);
	free(w);
}

static void test_resources(void **state)
{
	Fixture *f = *state;
	Walk *w = walk_new(f);
	size_t n;
	Kind **kinds = kind_registry_list(f->kinds, &n);

	assert_true(n >= 12);
	for (size_t i = 0; i < n; i++) {
		walk_kind(w, kinds[i]->group, kinds[i]->version, kinds[i]->plural);
		kind_unref(kinds[i]);
	}
	free(kinds);
	walk_kind(w, "example.com", "v1", "nothings");
	walk_kind(w, "", "v1", "nothings");
	walk_free(w);
}

/* Rows that are not about a kind: paths, and reviews. */
static void test_paths(void **state)
{
	static const char *const paths[_ROUTE_MAX][4] = {
		[ROUTE_NONE] = {"/nothing",                      "/metrics/x", "/healthz/x", "/apisx" },
		[ROUTE_VERSION] = { "/version"                      },
		[ROUTE_HEALTH] = { "/healthz",         "/livez",                                  "/readyz" },
		[ROUTE_METRICS] = { "/metrics"                     },
		[ROUTE_API] = { "/api"         },
		[ROUTE_GROUPS] = { "/apis"                       },
		[ROUTE_GROUP] = { "/apis/shakenfist.io",                "/apis/nothing"          },
		[ROUTE_RESOURCES] = { "/api/v1", "/apis/shakenfist.io/v1alpha1","/apis/x/v1" },
		[ROUTE_OPENAPI_V2] = { "/openapi/v2"                 },
		[ROUTE_OPENAPI_V3] = { "/openapi/v3"                             },
		[ROUTE_OPENAPI_V3_GROUP] = { "/openapi/v3/api/v1",                              "/openapi/v3/apis/x/v1"               },
	};
	static const struct {
		const char *method, *verb;
	} verbs[] = {
		{"GET",     "get"   },
                { "HEAD",   "get"   },
                { "POST",   "post"  },
		{ "PUT",    "put"   },
                { "PATCH",  "patch" },
                { "DELETE", "delete"},
	};
	Walk *w = walk_new(*state);
	size_t n;
	const RouteRow *rows = route_rows(&n);

	for (size_t i = 0; i < n; i++) {
		if (rows[i].type == ROUTE_COLLECTION && rows[i].resource)
			walk_resource(w, ROUTE_COLLECTION, "authorization.k8s.io", "v1",
				      strchr(rows[i].resource, '/') + 1, NULL);
		/* There is but one way to write "/". */
		if (rows[i].type < ROUTE_COLLECTION && rows[i].type != ROUTE_ROOT &&
		    !paths[rows[i].type][0])
			fail_msg("route type %d has no path here", rows[i].type);
	}
	walk_resource(w, ROUTE_COLLECTION, "authentication.k8s.io", "v1", "selfsubjectreviews",
		      NULL);
	for (size_t type = 0; type < _ROUTE_MAX; type++)
		for (size_t p = 0; p < 4 && paths[type][p]; p++)
			for (size_t v = 0; v < ARRAY_SIZE(verbs); v++) {
				Ask a = { .verb = verbs[v].verb, .path = paths[type][p] };

				ask_all(w, verbs[v].method, false, a.path, &a);
			}
	walk_free(w);
}

/* Spellings that two readers could understand differently are understood by nobody. */
static void test_ambiguous_paths(void **state)
{
	static const char *const paths[] = {
		"//api/v1/namespaces/a/secrets",
		"/api/v1//namespaces/a/secrets",
		"/api/v1/namespaces/a/secrets//x",
		"/api/v1/namespaces/a/./secrets",
		"/api/v1/namespaces/b/../a/secrets",
		"/api/v1/namespaces/b/%2e%2e/a/secrets",
		"/api/v1/namespaces/b/%2E./a/secrets",
		"/version/../api/v1/namespaces/a/secrets",
		"/version/%2e%2e/api/v1/namespaces/a/secrets",
		"/api/v1/namespaces/a%2fsecrets",
		"/api/v1/namespaces/a/secrets%2Fx",
		"/api/v1/namespaces/a/secrets%00",
		"/api/v1/namespaces/a/secrets%0a",
		"/api/v1/namespaces/a/secrets\\x",
		"/api/v1/namespaces/a/secrets/%",
	};
	Walk *w = walk_new(*state);

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		for (Who who = 0; who < _WHO_MAX; who++) {
			HttpAnswer a = call_as(w->f, USER_BASE + who, "GET", paths[i], NULL, NULL);

			if (a.code != 400)
				fail_msg("%s: %d", paths[i], a.code);
			http_answer_done(&a);
		}
	walk_free(w);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_resources),
		TEST(test_paths),
		TEST(test_ambiguous_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
