/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authorization: the one place where it is decided whether somebody may do something.
 *
 * Every request passes through here with its verb and what it names, before anything is looked up,
 * so that a refusal never tells whether a thing exists. Today there is one role; rules per
 * namespace and kind come in here and nowhere else. Pure; any thread.
 */
#include "server/internal.h"

/* What needs no identity beyond the socket's own permission. */
static bool is_public_path(const char *path)
{
	static const char *const paths[] = { "/version", "/healthz", "/livez", "/readyz" };

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		size_t n = strlen(paths[i]);

		if (strncmp(path, paths[i], n) == 0 && (!path[n] || streq(path + n, "/")))
			return true;
	}
	return false;
}

bool authz_allow(const AccessRequest *a, char *why, size_t size)
{
	if (a->who->masters)
		return true;
	if (a->path && streq(a->verb, "get") && is_public_path(a->path))
		return true;
	if (a->path)
		snprintf(why, size, "User \"%s\" cannot %s path \"%s\"", a->who->name, a->verb,
			 a->path);
	else
		snprintf(why, size,
			 "User \"%s\" cannot %s resource \"%s\" in API group \"%s\"%s%s%s",
			 a->who->name, a->verb, a->resource, a->group,
			 a->namespace ? " in the namespace \"" : " at the cluster scope",
			 a->namespace ? a->namespace : "", a->namespace ? "\"" : "");
	return false;
}
