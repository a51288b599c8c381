/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Target and Route: from the raw request target to what it names. Pure; nothing is looked up.
 *
 * A path is split at "/" before anything is decoded, so an encoded slash can never make a new
 * segment; empty segments, "." and "..", encoded slashes, control characters and broken escapes are
 * refused rather than cleaned up: two readers of one path must never disagree.
 */
#pragma once

#include "base/error.h"

#define PATH_SEGMENTS_MAX 16
#define QUERY_PARAMS_MAX  64

typedef struct QueryParam {
	char *name, *value;
} QueryParam;

typedef struct Target {
	char *path; /* as it came, without the query: for messages */
	char *segments[PATH_SEGMENTS_MAX];
	size_t n_segments;
	QueryParam *params; /* at most QUERY_PARAMS_MAX */
	size_t n_params, cap_params;
} Target;

/* raw is "/path?query"; -ERR_INVALID says what is wrong with it. target is filled even then. */
int target_parse(const char *raw, Target *target, Error *err);
void target_done(Target *t);
/* The path as it is understood, without escapes; caller frees. */
char *target_plain_path(const Target *t);
/* First value of that name, or NULL. */
const char *target_query(const Target *t, const char *name);
/* Anything but "", "0" and "false" is true; absent is false. */
bool target_query_bool(const Target *t, const char *name);

typedef enum Method {
	METHOD_GET,
	METHOD_HEAD,
	METHOD_POST,
	METHOD_PUT,
	METHOD_PATCH,
	METHOD_DELETE,
	METHOD_OTHER,
} Method;
Method method_from_string(const char *s);

typedef enum RouteType {
	ROUTE_NONE,
	ROUTE_ROOT, /* / */
	ROUTE_VERSION,
	ROUTE_HEALTH,
	ROUTE_METRICS,
	ROUTE_API,       /* /api */
	ROUTE_GROUPS,    /* /apis */
	ROUTE_GROUP,     /* /apis/G */
	ROUTE_RESOURCES, /* /api/v1, /apis/G/V */
	ROUTE_OPENAPI_V2,
	ROUTE_OPENAPI_V3,
	ROUTE_OPENAPI_V3_GROUP,
	ROUTE_COLLECTION,  /* …/instances */
	ROUTE_NAMED,       /* …/instances/NAME */
	ROUTE_SUBRESOURCE, /* …/instances/NAME/log */
	_ROUTE_MAX,
} RouteType;

/* Strings are borrowed from the Target; NULL where the path has none. */
typedef struct Route {
	RouteType type;
	bool of_resource;  /* about a resource; else its path alone says what it is about */
	const char *group; /* "" = core */
	const char *version, *namespace, *resource, *name, *subresource;
} Route;

/* ROUTE_NONE if no route has that shape; it may still be one of a resource, and below a
 * subresource.
 */
Route route_parse(const Target *t);
