/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of events.k8s.io/v1: those of core/v1, whose fields have other names there. Newer clients
 * (client-go's tools/events, controller-runtime) write them so; all others read them as they always
 * did. Pure.
 */
#include "server/internal.h"
#include "server/render.h"

#define EVENTS_API "events.k8s.io/v1"
#define CORE_API   "v1"

static const struct {
	const char *core, *events;
} names[] = {
	{"involvedObject",      "regarding"               },
	{ "message",            "note"                    },
	{ "reportingComponent", "reportingController"     },
	{ "source",             "deprecatedSource"        },
	{ "firstTimestamp",     "deprecatedFirstTimestamp"},
	{ "lastTimestamp",      "deprecatedLastTimestamp" },
	{ "count",              "deprecatedCount"         },
};

static void rename_member(json_t *o, const char *from, const char *to)
{
	json_t *v = json_object_get(o, from);

	if (!v)
		return;
	json_object_set(o, to, v);
	json_object_del(o, from);
}

json_t *view_event_make(Server *s _unused_, const json_t *stored)
{
	json_t *tree = json_copy((json_t *)stored);

	json_object_set_new(tree, "apiVersion", json_string(EVENTS_API));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		rename_member(tree, names[i].core, names[i].events);
	return tree;
}

/* "/note" and what is below, of a JSON patch. */
static void rename_pointer(json_t *operation, const char *member)
{
	const char *path = json_string_at(operation, member);
	_cleanup_(xfreep) char *moved = NULL;

	for (size_t i = 0; path && *path == '/' && i < ARRAY_SIZE(names); i++) {
		size_t n = strlen(names[i].events);

		if (strncmp(path + 1, names[i].events, n) != 0 ||
		    (path[n + 1] && path[n + 1] != '/'))
			continue;
		moved = xasprintf("/%s%s", names[i].core, path + n + 1);
		json_object_set_new(operation, member, json_string(moved));
		return;
	}
}

void view_event_take(json_t *body)
{
	json_t *operation;
	size_t i;

	json_array_foreach (body, i, operation) {
		rename_pointer(operation, "path");
		rename_pointer(operation, "from");
	}
	if (streq_ptr(json_string_at(body, "apiVersion"), EVENTS_API))
		json_object_set_new(body, "apiVersion", json_string(CORE_API));
	for (i = 0; i < ARRAY_SIZE(names); i++)
		rename_member(body, names[i].events, names[i].core);
}
