/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Route: what the segments of a path name. See route.h. Pure; any thread.
 */
#include "server/route.h"

/* Paths of fixed text. A "*" takes any one segment. */
static const struct {
	const char *path[4];
	RouteType type;
} fixed_routes[] = {
	{{ NULL },              ROUTE_ROOT      },
	{ { "version" },        ROUTE_VERSION   },
	{ { "healthz" },        ROUTE_HEALTH    },
	{ { "livez" },          ROUTE_HEALTH    },
	{ { "readyz" },         ROUTE_HEALTH    },
	{ { "healthz", "*" },   ROUTE_HEALTH    },
	{ { "livez", "*" },     ROUTE_HEALTH    },
	{ { "readyz", "*" },    ROUTE_HEALTH    },
	{ { "metrics" },        ROUTE_METRICS   },
	{ { "api" },            ROUTE_API       },
	{ { "apis" },           ROUTE_GROUPS    },
	{ { "apis", "*" },      ROUTE_GROUP     },
	{ { "api", "*" },       ROUTE_RESOURCES },
	{ { "apis", "*", "*" }, ROUTE_RESOURCES },
	{ { "openapi", "v2" },  ROUTE_OPENAPI_V2},
	{ { "openapi", "v3" },  ROUTE_OPENAPI_V3},
};

static bool path_matches(const char *const pattern[4], const Target *t)
{
	size_t n = 0;

	while (n < 4 && pattern[n])
		n++;
	if (n != t->n_segments)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!streq(pattern[i], "*") && !streq(pattern[i], t->segments[i]))
			return false;
	return true;
}

/* rest: what follows the version. */
static void parse_resource(Route *route, char *const *rest, size_t n)
{
	bool core_namespace = !*route->group && n == 3 &&
			      (streq(rest[2], "status") || streq(rest[2], "finalize"));

	if (n >= 3 && streq(rest[0], "namespaces") && !core_namespace) {
		route->namespace = rest[1];
		rest += 2;
		n -= 2;
	}
	if (n == 0)
		return;
	route->of_resource = true;
	route->resource = rest[0];
	route->name = n > 1 ? rest[1] : NULL;
	route->subresource = n > 2 ? rest[2] : NULL;
	if (n <= 3)
		route->type = n == 1 ? ROUTE_COLLECTION : n == 2 ? ROUTE_NAMED : ROUTE_SUBRESOURCE;
}

Route route_parse(const Target *t)
{
	Route route = { .type = ROUTE_NONE, .group = "" };
	char *const *seg = t->segments;
	size_t n = t->n_segments;

	for (size_t i = 0; i < ARRAY_SIZE(fixed_routes); i++)
		if (path_matches(fixed_routes[i].path, t))
			route.type = fixed_routes[i].type;
	if (route.type == ROUTE_GROUP || (route.type == ROUTE_RESOURCES && n == 3))
		route.group = seg[1];
	if (route.type == ROUTE_RESOURCES)
		route.version = seg[n - 1];
	if (route.type != ROUTE_NONE)
		return route;
	if (n >= 4 && streq(seg[0], "openapi") && streq(seg[1], "v3")) {
		bool core = streq(seg[2], "api") && n == 4;

		if (core || (streq(seg[2], "apis") && n == 5)) {
			route.type = ROUTE_OPENAPI_V3_GROUP;
			route.group = core ? "" : seg[3];
			route.version = seg[n - 1];
		}
	} else if (n >= 3 && streq(seg[0], "api")) {
		route.version = seg[1];
		parse_resource(&route, seg + 2, n - 2);
	} else if (n >= 4 && streq(seg[0], "apis")) {
		route.group = seg[1];
		route.version = seg[2];
		parse_resource(&route, seg + 3, n - 3);
	}
	return route;
}
