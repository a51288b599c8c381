/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replies: what a handler leaves behind for http.c to send. HTTP threads.
 */
#include "server/reply.h"
#include "server/internal.h"
#include "server/render.h"
#include "yaml/yaml.h"

#define MEDIA_JSON   "application/json"
#define WARNINGS_MAX 4096 /* bytes of all of an answer */
#define WARNING_CUT  256  /* of one that is too long for what is left */

void reply_done(Reply *reply)
{
	if (reply->response)
		MHD_destroy_response(reply->response);
	object_unref(reply->object);
	strv_free(reply->warnings);
	free(reply->body);
	*reply = (Reply){ 0 };
}

/* An answer may replace an earlier one (a retry, an error after all); warnings stay. */
static void reply_reset(Reply *reply)
{
	if (reply->response)
		MHD_destroy_response(TAKE_PTR(reply->response));
	object_unref(TAKE_PTR(reply->object));
	free(TAKE_PTR(reply->body));
	reply->len = 0;
}

void reply_take(Request *r, unsigned code, const char *content_type, char *body, size_t len)
{
	reply_reset(&r->reply);
	r->reply.code = code;
	r->reply.content_type = content_type;
	r->reply.body = body;
	r->reply.len = len;
}

void reply_json(Request *r, unsigned code, json_t *tree)
{
	char *text = json_text(tree);

	json_decref(tree);
	reply_take(r, code, MEDIA_JSON, text, strlen(text));
}

void reply_text(Request *r, unsigned code, const char *text)
{
	reply_take(r, code, "text/plain; charset=utf-8", xstrdup(text), strlen(text));
}

void reply_object(Request *r, unsigned code, Object *o)
{
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;
	_cleanup_(object_unrefp) Object *shown = NULL;
	const Kind *kind = r->shown ? r->shown : r->kind;
	size_t len;

	shown = r->shown ? view_object(r->server, r->shown, o) : object_ref(o);
	if (r->accept == ACCEPT_JSON && render_is_text(kind, shown)) {
		reply_reset(&r->reply);
		r->reply.code = code;
		r->reply.content_type = MEDIA_JSON;
		r->reply.object = TAKE_PTR(shown);
		return;
	}
	render_object(&out, kind, r->accept, target_query(&r->target, "includeObject"), shown, true,
		      clock_wall(server_clock(r->server)));
	len = out.len;
	reply_take(r, code, MEDIA_JSON, strbuf_take(&out), len);
}

void reply_to_yaml(Request *r)
{
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;
	_cleanup_(json_decrefp) json_t *tree = NULL;
	size_t len = r->reply.len;
	const char *text = r->reply.object ? object_text(r->reply.object, &len) : r->reply.body;

	if (r->reply.response || !streq_ptr(r->reply.content_type, MEDIA_JSON) ||
	    !(tree = json_load(text, len)))
		return;
	yaml_emit(tree, &out);
	len = out.len;
	reply_take(r, r->reply.code, "application/yaml", strbuf_take(&out), len);
}

/*
 * 299 - "text", with what would end the header or the quotes taken out. All warnings of an answer
 * together are bounded, as in Kubernetes: one that does not fit is cut, and then there are no more.
 */
void reply_warning(Request *r, const char *text)
{
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;
	size_t used = 0, room;

	strv_foreach (w, r->reply.warnings)
		used += strlen(*w);
	if (used + WARNING_CUT > WARNINGS_MAX)
		return;
	room = WARNINGS_MAX - used;
	if (strlen(text) > room)
		room = WARNING_CUT;
	strbuf_adds(&out, "299 - \"");
	for (const char *p = text; *p && out.len < room; p++) {
		if (*p == '"' || *p == '\\')
			strbuf_addc(&out, '\\');
		strbuf_addc(&out, (unsigned char)*p < 0x20 || *p == 0x7f ? ' ' : *p);
	}
	strbuf_addc(&out, '"');
	r->reply.warnings = strv_append(r->reply.warnings, strbuf_str(&out));
}
