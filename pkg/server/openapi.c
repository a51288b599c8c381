/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenAPI: what `kubectl explain`, client-side checks and dry runs read, made from the kinds' own
 * schemas: v3 has one document per group and version, v2 one for all, in protobuf or JSON.
 *
 * All are made once for a generation of the kinds, when the first client asks. A hash in the URL
 * of a v3 document moves with its text, so that clients' caches are right. HTTP threads; lock
 * guards everything.
 */
#include "server/openapi.h"

#include <strings.h>

#include "base/sha.h"
#include "server/handlers.h"
#include "server/internal.h"
#include "server/reply.h"

#define MEDIA_V2 "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

typedef struct Document {
	char *group, *version, *text;
	size_t len;
} Document;

struct OpenApi {
	pthread_mutex_t lock;
	uint64_t generation;
	bool made;
	Document *v3;
	size_t n_v3, cap_v3;
	char *index, *v2; /* v2: protobuf, v2_len bytes */
	size_t v2_len;
};

OpenApi *openapi_new(void)
{
	OpenApi *o = xnew0(OpenApi, 1);

	pthread_mutex_init(&o->lock, NULL);
	return o;
}

static void clear(OpenApi *o)
{
	for (size_t i = 0; i < o->n_v3; i++) {
		free(o->v3[i].group);
		free(o->v3[i].version);
		free(o->v3[i].text);
	}
	o->n_v3 = 0;
	free(TAKE_PTR(o->index));
	free(TAKE_PTR(o->v2));
	o->made = false;
}

OpenApi *openapi_free(OpenApi *o)
{
	if (!o)
		return NULL;
	clear(o);
	free(o->v3);
	pthread_mutex_destroy(&o->lock);
	free(o);
	return NULL;
}

/* ---- making ---- */

static json_t *info(void)
{
	return json_pack("{s:s, s:s}", "title", "Shaken Fist", "version", SF_VERSION);
}

static json_t *v2_document(Kind **kinds, size_t n)
{
	json_t *paths = json_object(), *definitions = json_object();

	for (size_t i = 0; i < n; i++)
		openapi_add_kind(definitions, paths, kinds[i], OPENAPI_V2);
	openapi_add_meta(definitions, OPENAPI_V2);
	return json_pack("{s:s, s:o, s:o, s:o}", "swagger", "2.0", "info", info(), "paths", paths,
			 "definitions", definitions);
}

static void make_v2(OpenApi *o, Kind **kinds, size_t n)
{
	_cleanup_(json_decrefp) json_t *document = v2_document(kinds, n);
	_cleanup_(strbuf_done) StrBuf bytes = STRBUF_INIT;

	openapi_v2_encode(document, &bytes);
	o->v2_len = bytes.len;
	o->v2 = strbuf_take(&bytes);
}

/* The kinds of one group and version, which stand together. */
static void make_document(OpenApi *o, json_t *index, Kind **kinds, size_t n)
{
	const char *group = kinds[0]->group, *version = kinds[0]->version;
	_cleanup_(xfreep) char *path =
		*group ? xasprintf("apis/%s/%s", group, version) : xasprintf("api/%s", version);
	json_t *paths = json_object(), *schemas = json_object();
	_cleanup_(json_decrefp) json_t *document = NULL;
	_cleanup_(xfreep) char *url = NULL;
	char hash[SHA_HEX_MAX];
	Document *d;

	for (size_t i = 0; i < n; i++)
		openapi_add_kind(schemas, paths, kinds[i], OPENAPI_V3);
	openapi_add_meta(schemas, OPENAPI_V3);
	document = json_pack("{s:s, s:o, s:o, s:{s:o}}", "openapi", "3.0.0", "info", info(),
			     "paths", paths, "components", "schemas", schemas);
	GROW_ARRAY(o->v3, o->n_v3, o->cap_v3);
	d = &o->v3[o->n_v3++];
	*d = (Document){ .group = xstrdup(group),
			 .version = xstrdup(version),
			 .text = json_text(document) };
	d->len = strlen(d->text);
	sha_hex_of(SHA_256, d->text, d->len, hash);
	url = xasprintf("/openapi/v3/%s?hash=%.32s", path, hash);
	json_object_set_new(index, path, json_pack("{s:s}", "serverRelativeURL", url));
}

static bool same_version(const Kind *a, const Kind *b)
{
	return streq(a->group, b->group) && streq(a->version, b->version);
}

static void make_locked(Server *s)
{
	uint64_t generation = kind_registry_generation(s->options.kinds);
	_cleanup_(json_decrefp) json_t *index = NULL;
	OpenApi *o = s->openapi;
	Kind **kinds;
	size_t n;

	if (o->made && o->generation == generation)
		return;
	clear(o);
	kinds = server_kinds(s, &n);
	index = json_pack("{s:{}}", "paths");
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && same_version(kinds[i], kinds[end]); end++)
			;
		make_document(o, json_object_get(index, "paths"), kinds + i, end - i);
	}
	o->index = json_text(index);
	make_v2(o, kinds, n);
	kinds_free(kinds, n);
	/* The kinds may be newer than this: then the next one makes all again. */
	o->generation = generation;
	o->made = true;
}

/* ---- handlers ---- */

/* Only people ask for it in JSON: that is made anew. */
static void reply_v2_json(Request *r)
{
	size_t n;
	Kind **kinds = server_kinds(r->server, &n);

	reply_json(r, MHD_HTTP_OK, v2_document(kinds, n));
	kinds_free(kinds, n);
}

void handle_openapi_v2(Request *r)
{
	const char *accept = request_header(r, MHD_HTTP_HEADER_ACCEPT);
	OpenApi *o = r->server->openapi;

	if (!accept || !strcasestr(accept, "protobuf")) {
		reply_v2_json(r);
		return;
	}
	pthread_mutex_lock(&o->lock);
	make_locked(r->server);
	reply_take(r, MHD_HTTP_OK, MEDIA_V2, xmemdup(o->v2, o->v2_len), o->v2_len);
	pthread_mutex_unlock(&o->lock);
}

void handle_openapi_v3(Request *r)
{
	OpenApi *o = r->server->openapi;

	pthread_mutex_lock(&o->lock);
	make_locked(r->server);
	reply_take(r, MHD_HTTP_OK, "application/json", xstrdup(o->index), strlen(o->index));
	pthread_mutex_unlock(&o->lock);
}

void handle_openapi_v3_group(Request *r)
{
	OpenApi *o = r->server->openapi;
	bool found = false;

	pthread_mutex_lock(&o->lock);
	make_locked(r->server);
	for (size_t i = 0; i < o->n_v3 && !found; i++) {
		const Document *d = &o->v3[i];

		found = streq(d->group, r->route.group) && streq(d->version, r->route.version);
		if (found)
			reply_take(r, MHD_HTTP_OK, "application/json", xmemdup(d->text, d->len),
				   d->len);
	}
	pthread_mutex_unlock(&o->lock);
	if (!found)
		reply_no_route(r);
}
