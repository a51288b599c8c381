/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watchers of the ledger: each goes on from what it was told last, whatever ended its watch.
 * See lib_run.h.
 */
#include "tests/integration/server/lib_run.h"

#include <stdio.h>

#include "base/hashmap.h"
#include "json/json.h"

#define READ_DEADLINE 30000 /* ms */

static HttpClient *connect_again(const Run *run)
{
	HttpClient *c;

	while (!(c = try_connect(run)))
		pause_ms(10);
	return c;
}

static const char *const accepts[] = {
	[FORM_JSON] = "",
	[FORM_TABLE] = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io\r\n",
	[FORM_METADATA] =
		"Accept: application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io\r\n",
};

const WatcherSpec watcher_specs[WATCHERS] = {
	{"configmaps",                     "",                     { 0 },                              FORM_JSON,     HABIT_PLAIN,        false},
	{ "configmaps",                    "",                     { 0 },                              FORM_TABLE,    HABIT_PLAIN,        false},
	{ "configmaps",                    "",                     { 0 },                              FORM_METADATA, HABIT_PLAIN,        false},
	{ "configmaps",                    "",                     { 0 },                              FORM_JSON,     HABIT_SLOW,         false},
	{ "configmaps",                    "",                     { 0 },                              FORM_TABLE,    HABIT_SLOW,         false},
	{ "configmaps",                    "",                     { 0 },                              FORM_JSON,     HABIT_AWAY,         false},
	{ "configmaps",                    "",                     { 0 },                              FORM_JSON,     HABIT_WATCH_LIST,   false},
	{ "configmaps",                    "",                     { 0 },                              FORM_JSON,     HABIT_NO_BOOKMARKS, false},
	{ "namespaces/default/configmaps",
         "",						       { .namespace = "default" },
         FORM_JSON,												   HABIT_PLAIN,
         false																 },
	{ "namespaces/a/configmaps",       "",                     { .namespace = "a" },               FORM_JSON,     HABIT_PLAIN,        false},
	{ "namespaces/b/configmaps",
         "",						       { .namespace = "b" },
         FORM_METADATA,											       HABIT_WATCH_LIST,
         false																 },
	{ "configmaps",                    "&labelSelector=l%3D1", { .label = "1" },                   FORM_JSON,     HABIT_PLAIN,        false},
	{ "configmaps",
         "&labelSelector=l!%3D1",				  { .label_not = "1" },
         FORM_TABLE,												  HABIT_PLAIN,
         false																 },
	{ "configmaps",
         "&labelSelector=!l",				      { .no_label = true },
         FORM_METADATA,											       HABIT_SLOW,
         false																 },
	{ "namespaces/a/configmaps",
         "&labelSelector=l%3D2",				   { .namespace = "a", .label = "2" },
         FORM_JSON,												   HABIT_AWAY,
         false																 },
	{ "configmaps",
         "&fieldSelector=metadata.name%3Dc3",		      { .name = "c3" },
         FORM_JSON,												   HABIT_PLAIN,
         false																 },
	{ "namespaces/a/configmaps",
         "&fieldSelector=metadata.name%3Dc1",		      { .namespace = "a", .name = "c1" },
         FORM_TABLE,												  HABIT_PLAIN,
         false																 },
	{ "configmaps",
         "&fieldSelector=data.p%3D1",			      { .field = "1" },
         FORM_JSON,												   HABIT_PLAIN,
         false																 },
	{ "secrets",		       "",                     { 0 },                              FORM_JSON,     HABIT_PLAIN,        true },
	{ "secrets",
         "&labelSelector=l%3D1",				   { .label = "1" },
         FORM_METADATA,											       HABIT_WATCH_LIST,
         true																  },
};

static uint64_t text_hash(const char *line)
{
	static const char head[] = "\"object\":";
	const char *from = strstr(line, head) + strlen(head);

	return hash_bytes(from, strlen(from) - 1);
}

int64_t revision_of(const json_t *object)
{
	const char *rev = json_string_at(object, "metadata.resourceVersion");

	if (!rev)
		broken("an object without resourceVersion");
	return strtoll(rev, NULL, 10);
}

/* What carries the metadata in that form: a Table of one row, or the object itself. */
static const json_t *bearer_of(const json_t *object, Form form)
{
	return form == FORM_TABLE ? json_at(json_array_get(json_at(object, "rows"), 0), "object")
				  : object;
}

static void add_object(Watcher *w, SeenType type, const json_t *object, uint64_t hash)
{
	char id[ID_MAX];

	snprintf(id, sizeof(id), "%s/%s", json_string_at(object, "metadata.namespace"),
		 json_string_at(object, "metadata.name"));
	view_add(&w->view, type, id, revision_of(object), hash);
}

static bool take_list(Watcher *w, HttpClient *c)
{
	_cleanup_(xfreep) char *target =
		xasprintf("/api/v1/%s?limit=0%s", w->spec->path, w->spec->query);
	const json_t *item;
	HttpAnswer a;
	size_t i;

	http_request(c, "GET", target, "", NULL);
	a = http_read_answer(c);
	if (a.code == 200 && a.json) {
		w->last = revision_of(a.json);
		view_add(&w->view, SEEN_LIST, "", w->last, 0);
		json_array_foreach (json_at(a.json, "items"), i, item)
			add_object(w, SEEN_ITEM, item, 0);
		atomic_fetch_add(&w->run->lists, 1);
	}
	http_answer_done(&a);
	return w->last >= 0;
}

/* Before its end the list of a watch is no list: the next attempt begins anew. */
typedef struct WatchList {
	bool open;
	size_t mark; /* of the view */
} WatchList;

static void take_event(Watcher *w, WatchList *list, const char *line)
{
	_cleanup_(json_decrefp) json_t *event = json_loads(line, 0, NULL);
	const json_t *object = json_object_get(event, "object"), *bearer;
	const char *type = json_string_at(event, "type");

	if (!type || !object)
		broken("%s: no event: %s", w->name, line);
	if (streq(type, "ERROR")) {
		if (json_integer_at(object, "code", 0) != 410)
			broken("%s: %s", w->name, line);
		atomic_fetch_add(&w->run->gone, 1);
		w->last = -1;
		return;
	}
	bearer = bearer_of(object, w->spec->form);
	if (streq(type, "BOOKMARK")) {
		atomic_fetch_add(&w->run->bookmarks, 1);
		w->last = revision_of(bearer);
		if (list->open)
			w->view.seen[list->mark].rev = w->last;
		else
			view_add(&w->view, SEEN_BOOKMARK, "", w->last, 0);
		list->open = false;
		return;
	}
	if (!list->open)
		w->last = revision_of(bearer);
	add_object(w,
		   list->open                ? SEEN_ITEM
		   : streq(type, "ADDED")    ? SEEN_ADDED
		   : streq(type, "MODIFIED") ? SEEN_MODIFIED
					     : SEEN_DELETED,
		   bearer, w->spec->form == FORM_JSON ? text_hash(line) : 0);
}

static char *watch_target(Watcher *w, bool finishing, bool as_list)
{
	bool bookmarks = finishing || w->spec->habit != HABIT_NO_BOOKMARKS;
	unsigned seconds = finishing ? 1 : 1 + random_below(&w->seed, 4);

	if (as_list)
		return xasprintf("/api/v1/%s?watch=1&timeoutSeconds=%u%s&allowWatchBookmarks=true"
				 "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
				 w->spec->path, seconds, w->spec->query);
	return xasprintf("/api/v1/%s?watch=1&timeoutSeconds=%u%s&resourceVersion=%lld%s",
			 w->spec->path, seconds, w->spec->query, (long long)w->last,
			 bookmarks ? "&allowWatchBookmarks=true" : "");
}

static void read_events(Watcher *w, HttpClient *c, WatchList *list, bool finishing)
{
	char *line;
	bool timeout;

	while ((line = http_read_line(c, READ_DEADLINE, &timeout))) {
		take_event(w, list, line);
		free(line);
		if (w->spec->habit == HABIT_SLOW && !finishing &&
		    random_below(&w->seed, 1000) == 0) {
			atomic_fetch_add(&w->run->pauses, 1);
			pause_ms(500 + (int)random_below(&w->seed, 1500));
		}
	}
	if (timeout)
		broken("%s: nothing for %d ms, not even the end", w->name, READ_DEADLINE);
}

/* One watch, from where the last one ended to its own end, whatever that is. */
static void watch_once(Watcher *w, HttpClient *c, bool finishing)
{
	bool as_list = w->last < 0;
	_cleanup_(xfreep) char *target = watch_target(w, finishing, as_list);
	WatchList list = { .open = as_list, .mark = w->view.n };
	HttpAnswer a;

	http_request(c, "GET", target, accepts[w->spec->form], NULL);
	a = http_read_head(c);
	if (a.code == 410) {
		atomic_fetch_add(&w->run->gone, 1);
		w->last = -1;
	} else if (a.code == 200) {
		if (as_list)
			view_add(&w->view, SEEN_LIST, "", 0, 0);
		else
			atomic_fetch_add(&w->run->resumes, 1);
		read_events(w, c, &list, finishing);
		if (list.open)
			w->view.n = list.mark;
		else if (as_list)
			atomic_fetch_add(&w->run->lists, 1);
	} else if (a.code && a.code != 503) {
		broken("%s: %s: %d", w->name, target, a.code);
	}
	http_answer_done(&a);
}

/* Stays away until its place has left the history, or all comes to its end. */
static void stay_away(Watcher *w)
{
	while (atomic_load(&w->run->looked) < w->last + 12000 && !atomic_load(&w->run->finish))
		pause_ms(20);
}

void *watcher_run(void *arg)
{
	Watcher *w = arg;
	bool finishing = false;

	w->last = -1;
	while (!finishing || w->last < atomic_load(&w->run->final)) {
		HttpClient *c = connect_again(w->run);

		finishing = atomic_load(&w->run->finish);
		if (w->last >= 0 || w->spec->habit == HABIT_WATCH_LIST || take_list(w, c))
			watch_once(w, c, finishing);
		http_close(c);
		if (w->spec->habit == HABIT_AWAY && !finishing && w->last >= 0)
			stay_away(w);
	}
	return NULL;
}
