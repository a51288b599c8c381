/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rendering for watches. An object's own JSON is its stored text and only copied. Every other form
 * (a Table's row, metadata only, the last state of what left a selection) costs decoding, and a
 * thousand watches of one form would each pay for the same event: so the newest texts are kept in a
 * ring, by object and form. Ages in a Table are a matter of the second they were asked in, which is
 * part of the form. The ring's mutex is a leaf.
 */
#include "server/render.h"
#include "server/watch.h"

#define RING 64
/* Of what is kept. Larger ones are rare, and copying them is most of their cost. */
#define TEXT_MAX (64u * 1024)

typedef struct Rendered {
	Object *object; /* referenced: its address is not given to another */
	int64_t revision;
	RenderForm form; /* kind referenced */
	usec_t second;
	char *text;
	size_t len;
} Rendered;

struct RenderCache {
	pthread_mutex_t lock;
	Rendered ring[RING];
	size_t next;
};

RenderCache *render_cache_new(void)
{
	RenderCache *c = xnew0(RenderCache, 1);

	pthread_mutex_init(&c->lock, NULL);
	return c;
}

static void rendered_done(Rendered *e)
{
	object_unref(e->object);
	kind_unref(e->form.kind);
	free(e->text);
	*e = (Rendered){ 0 };
}

RenderCache *render_cache_free(RenderCache *c)
{
	if (!c)
		return NULL;
	for (size_t i = 0; i < RING; i++)
		rendered_done(&c->ring[i]);
	pthread_mutex_destroy(&c->lock);
	free(c);
	return NULL;
}

const char *include_parse(const char *text)
{
	static const char *const known[] = { "Object", "None" };

	for (size_t i = 0; text && i < ARRAY_SIZE(known); i++)
		if (streq(text, known[i]))
			return known[i];
	return NULL;
}

static bool rendered_is(const Rendered *e, const Rendered *want)
{
	const RenderForm *a = &e->form, *b = &want->form;

	return e->object == want->object && e->revision == want->revision &&
	       e->second == want->second && a->kind == b->kind && a->accept == b->accept &&
	       a->include == b->include && a->with_columns == b->with_columns;
}

static bool cache_find(RenderCache *c, const Rendered *want, StrBuf *out)
{
	bool found = false;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < RING && !found; i++) {
		const Rendered *e = &c->ring[i];

		found = rendered_is(e, want);
		if (found)
			strbuf_add(out, e->text, e->len);
	}
	pthread_mutex_unlock(&c->lock);
	return found;
}

static void cache_add(RenderCache *c, const Rendered *want, const char *text, size_t len)
{
	Rendered old, new = *want;

	object_ref(new.object);
	kind_ref(new.form.kind);
	new.text = xmemdup(text, len);
	new.len = len;
	pthread_mutex_lock(&c->lock);
	old = c->ring[c->next];
	c->ring[c->next] = new;
	c->next = (c->next + 1) % RING;
	pthread_mutex_unlock(&c->lock);
	rendered_done(&old);
}

void render_shared(Server *s, StrBuf *out, const RenderForm *form, Object *o, int64_t revision)
{
	_cleanup_(object_unrefp) Object *moved = NULL, *shown = NULL;
	usec_t wall = clock_wall(server_clock(s));
	Rendered want = { .object = o, .revision = revision, .form = *form };
	size_t from = out->len;

	if (form->accept == ACCEPT_TABLE)
		want.second = wall / USEC_PER_SEC;
	else
		want.form.with_columns = false;
	if (form->accept == ACCEPT_JSON && revision == object_revision(o) && !form->kind->view_of) {
		render_object(out, form->kind, form->accept, NULL, o, false, wall);
		return;
	}
	if (cache_find(s->render_cache, &want, out))
		return;
	if (revision != object_revision(o))
		moved = object_with_revision(o, object_create_revision(o), revision);
	shown = view_object(s, form->kind, moved ? moved : o);
	render_object(out, form->kind, form->accept, form->include, shown, form->with_columns,
		      wall);
	if (out->len - from <= TEXT_MAX)
		cache_add(s->render_cache, &want, out->buf + from, out->len - from);
}

/* ---- bookmarks ---- */

static void bookmark_metadata(StrBuf *out, int64_t revision, bool initial_end)
{
	strbuf_addf(out, "\"metadata\":{\"resourceVersion\":\"%lld\",\"creationTimestamp\":null",
		    (long long)revision);
	if (initial_end)
		strbuf_adds(out, ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}");
	strbuf_adds(out, "}");
}

static void bookmark_object(StrBuf *out, const char *kind, const char *api_version,
			    int64_t revision, bool initial_end)
{
	strbuf_adds(out, "{\"kind\":");
	json_quote(out, kind);
	strbuf_adds(out, ",\"apiVersion\":");
	json_quote(out, api_version);
	strbuf_adds(out, ",");
	bookmark_metadata(out, revision, initial_end);
	strbuf_adds(out, "}");
}

void render_bookmark(StrBuf *out, const RenderForm *form, int64_t revision, bool initial_end)
{
	static const char metadata_kind[] = "PartialObjectMetadata";
	static const char metadata_version[] = "meta.k8s.io/v1";

	if (form->accept == ACCEPT_JSON) {
		bookmark_object(out, form->kind->kind, form->kind->api_version, revision,
				initial_end);
		return;
	}
	if (form->accept == ACCEPT_METADATA) {
		bookmark_object(out, metadata_kind, metadata_version, revision, initial_end);
		return;
	}
	table_head(out, form->kind, revision, NULL, 0, form->with_columns);
	strbuf_adds(out, "{\"cells\":[\"\"");
	for (size_t i = 0; i < form->kind->n_columns; i++)
		strbuf_adds(out, ",null");
	strbuf_adds(out, "]");
	if (!form->include || !streq(form->include, "None")) {
		strbuf_adds(out, ",\"object\":");
		bookmark_object(out, metadata_kind, metadata_version, revision, initial_end);
	}
	strbuf_adds(out, "}");
	table_tail(out);
}
