/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views: kinds that have no objects of their own and show those of another kind in their form
 * (Kind.view_of). Names, labels and revisions are those of what is shown, so lists, selectors and
 * watches are the ordinary ones and every object that leaves the server passes here. A write is one
 * to the kind that is shown: its body is turned round when it is decoded. HTTP threads.
 */
#include "server/internal.h"
#include "server/render.h"

typedef struct View {
	const char *group, *plural;
	json_t *(*make)(Server *s, const json_t *stored);
	void (*take)(json_t *body); /* the way back; NULL = it cannot be written */
} View;

static const View views[] = {
	{"",	       "pods",   pod_from_instance, NULL           },
	{ "events.k8s.io", "events", view_event_make,   view_event_take},
};

static const View *view_of(const Kind *k)
{
	for (size_t i = 0; i < ARRAY_SIZE(views); i++)
		if (streq(views[i].group, k->group) && streq(views[i].plural, k->plural))
			return &views[i];
	assert(!"a view without a row");
	return NULL;
}

Object *view_object(Server *s, const Kind *k, Object *o)
{
	_cleanup_(json_decrefp) json_t *stored = NULL, *shown = NULL;
	const Key *from = object_key(o);
	Key key;

	if (!k->view_of)
		return object_ref(o);
	stored = object_decode(o);
	shown = view_of(k)->make(s, stored);
	key = key_make(k->gr, from->namespace, from->name);
	return object_new(&key, k, shown, object_create_revision(o), object_revision(o));
}

void view_take(const Kind *k, json_t *body)
{
	view_of(k)->take(body);
}
