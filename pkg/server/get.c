/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading: get and list, and the selection that list, watch and deletecollection share.
 *
 * A list is written out from references to immutable objects: no lock is held and nothing is copied
 * while a slow client reads. HTTP threads.
 */
#include <errno.h>

#include "server/handlers.h"
#include "server/internal.h"
#include "server/list.h"
#include "server/render.h"
#include "server/reply.h"
#include "server/write.h"

/* ---- selection ---- */

/* Kubernetes selects by few fields; here it is any that the schema knows. */
static int check_field(const Request *r, const char *path, Error *err)
{
	const Schema *s = r->kind->schema;
	char name[256];

	if (streq(path, "metadata.name") || streq(path, "metadata.namespace"))
		return 0;
	for (const char *p = path; s; p += strlen(name) + 1) {
		size_t n = strcspn(p, ".");

		if (n == 0 || n >= sizeof(name))
			break;
		snprintf(name, sizeof(name), "%.*s", (int)n, p);
		if (schema_is_open(s))
			return 0;
		s = schema_property(s, name);
		if (s && !p[n])
			return 0;
	}
	return error_set(err, ERR_INVALID, "field label not supported: %s: %s have no such field",
			 path, r->kind->plural);
}

int selection_parse(Request *r, Selection *ret)
{
	const char *labels = target_query(&r->target, "labelSelector");
	const char *fields = target_query(&r->target, "fieldSelector");
	_cleanup_(error_done) Error err = ERROR_INIT;
	Selection sel = { .namespace = r->route.namespace, .server = r->server, .kind = r->kind };
	int rc;

	rc = selector_parse_labels(labels, &sel.labels, &err);
	if (rc < 0) {
		reply_bad_request(r, "unable to parse requirement: %s", error_message(&err));
		return rc;
	}
	rc = selector_parse_fields(fields, &sel.fields, &err);
	for (size_t i = 0; rc == 0 && i < sel.fields.n; i++)
		rc = check_field(r, sel.fields.terms[i].key, &err);
	if (rc < 0) {
		reply_bad_request(r, "%s", error_message(&err));
		selection_done(&sel);
		return rc;
	}
	if (r->kind && kind_source(r->kind) == GR_EVENT)
		pod_events(r, &sel.fields);
	sel.name = selector_exact(&sel.fields, "metadata.name");
	*ret = sel;
	return 0;
}

void selection_done(Selection *sel)
{
	selector_done(&sel->labels);
	selector_done(&sel->fields);
}

bool selection_match_quick(const Selection *sel, const Object *o)
{
	const Key *key = object_key(o);

	if (sel->namespace && !streq(sel->namespace, key->namespace))
		return false;
	if (sel->name && !streq(sel->name, key->name))
		return false;
	return selector_match_labels(&sel->labels, o);
}

bool selection_match(const Selection *sel, const Object *o)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	_cleanup_(object_unrefp) Object *shown = NULL;

	if (!selection_match_quick(sel, o))
		return false;
	if (sel->fields.n == 0)
		return true;
	if (selector_needs_tree(&sel->fields)) {
		shown = view_object(sel->server, sel->kind, (Object *)o);
		tree = object_decode(shown);
	}
	return selector_match_fields(&sel->fields, o, tree);
}

static bool match_object(void *arg, const Object *o)
{
	return selection_match(arg, o);
}

/* ---- resourceVersion of a read ---- */

static int parse_revision(Request *r, const char *text, int64_t *ret)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(text, &end, 10);
	if (errno || *end || end == text || v < 0 || strspn(text, "0123456789") != strlen(text)) {
		reply_bad_request(r, "resourceVersion: Invalid value: \"%.64s\"", text);
		return -ERR_INVALID;
	}
	*ret = v;
	return 0;
}

/* resourceVersion of a read that says "not older than": 0 if it says nothing. */
static int read_revision(Request *r, int64_t *ret)
{
	const char *text = target_query(&r->target, "resourceVersion");
	int64_t head;

	*ret = 0;
	if (str_is_empty(text))
		return 0;
	if (parse_revision(r, text, ret) < 0)
		return -ERR_INVALID;
	head = store_revision(r->server->options.store);
	if (*ret > head) {
		reply_failure(r, MHD_HTTP_GATEWAY_TIMEOUT, "Timeout",
			      json_pack("{s:[{s:s, s:s}], s:i}", "causes", "reason",
					"ResourceVersionTooLarge", "message",
					"Too large resource version", "retryAfterSeconds", 1),
			      "Too large resource version: %lld, current: %lld", (long long)*ret,
			      (long long)head);
		return -ERR_TIMEOUT;
	}
	return 0;
}

/*
 * Which state a list is of, by the rules of
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#resourceversion-in-metadata: the
 * newest one, which is not older than anything, unless exactly one is asked for.
 */
static int list_revision(Request *r, ListOptions *options)
{
	const char *match = target_query(&r->target, "resourceVersionMatch");
	int64_t wanted;

	if (read_revision(r, &wanted) < 0)
		return -ERR_INVALID;
	if (options->continue_token && wanted) {
		reply_bad_request(r,
				  "specifying resource version is not allowed when using continue");
		return -ERR_INVALID;
	}
	if (str_is_empty(match))
		return 0;
	if (options->continue_token)
		return reply_bad_option(r, "resourceVersionMatch", FIELD_FORBIDDEN,
					"Forbidden: resourceVersionMatch is forbidden when "
					"continue is provided");
	if (str_is_empty(target_query(&r->target, "resourceVersion")))
		return reply_bad_option(r, "resourceVersionMatch", FIELD_FORBIDDEN,
					"Forbidden: resourceVersionMatch is forbidden unless "
					"resourceVersion is provided");
	if (streq(match, "NotOlderThan"))
		return 0;
	if (!streq(match, "Exact"))
		return reply_bad_option(r, "resourceVersionMatch", FIELD_NOT_SUPPORTED,
					"Unsupported value: supported values: \"Exact\", "
					"\"NotOlderThan\", \"\"");
	if (!wanted)
		return reply_bad_option(
			r, "resourceVersionMatch", FIELD_FORBIDDEN,
			"Forbidden: resourceVersionMatch \"exact\" is forbidden for "
			"resourceVersion \"0\"");
	options->revision = wanted;
	return 0;
}

void handle_get(Request *r)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(object_unrefp) Object *o = NULL, *shown = NULL;
	int64_t revision;
	Key key;
	int rc;

	if (!request_key(r, &key) || read_revision(r, &revision) < 0)
		return;
	rc = store_get(r->server->options.store, &key, &o, &err);
	if (rc < 0) {
		reply_error(r, rc, &err, r->route.name);
		return;
	}
	shown = view_object(r->server, r->kind, o);
	reply_object(r, MHD_HTTP_OK, shown);
}

/* ---- list ---- */

/* The answer of a plain list while it is being sent. */
typedef struct ListStream {
	ObjectList *list;
	char *head;
	size_t head_len;
	size_t item; /* 0 = the head, 1.. = items, n + 1 = the tail */
	size_t at;   /* bytes of it that are out */
} ListStream;

static const char list_tail[] = "]}\n";

static const char *list_piece(const ListStream *ls, size_t *ret_len)
{
	if (ls->item == 0) {
		*ret_len = ls->head_len;
		return ls->head;
	}
	if (ls->item <= ls->list->n)
		return object_text(ls->list->items[ls->item - 1], ret_len);
	*ret_len = sizeof(list_tail) - 1;
	return list_tail;
}

static ssize_t list_read(void *cls, uint64_t pos _unused_, char *buf, size_t max)
{
	ListStream *ls = cls;
	size_t out = 0;

	while (out < max && ls->item <= ls->list->n + 1) {
		bool comma = ls->item > 0 && ls->item < ls->list->n;
		size_t len, total, n;
		const char *piece = list_piece(ls, &len);

		total = len + (comma ? 1 : 0);
		if (ls->at < len) {
			n = MIN(len - ls->at, max - out);
			memcpy(buf + out, piece + ls->at, n);
			out += n;
			ls->at += n;
		} else if (ls->at < total) {
			buf[out++] = ',';
			ls->at++;
		}
		if (ls->at == total) {
			ls->item++;
			ls->at = 0;
		}
	}
	return out ? (ssize_t)out : MHD_CONTENT_READER_END_OF_STREAM;
}

static void list_stream_free(void *cls)
{
	ListStream *ls = cls;

	object_list_free(ls->list);
	free(ls->head);
	free(ls);
}

static void list_metadata(StrBuf *out, const ObjectList *list, bool count_remaining)
{
	strbuf_addf(out, "\"metadata\":{\"resourceVersion\":\"%lld\"", (long long)list->revision);
	if (list->continue_token) {
		strbuf_adds(out, ",\"continue\":");
		json_quote(out, list->continue_token);
		if (count_remaining)
			strbuf_addf(out, ",\"remainingItemCount\":%llu",
				    (unsigned long long)list->remaining);
	}
	strbuf_adds(out, "}");
}

static void list_head(StrBuf *out, const char *kind, const char *api_version,
		      const ObjectList *list, bool count_remaining)
{
	strbuf_adds(out, "{\"kind\":");
	json_quote(out, kind);
	strbuf_adds(out, ",\"apiVersion\":");
	json_quote(out, api_version);
	strbuf_adds(out, ",");
	list_metadata(out, list, count_remaining);
	strbuf_adds(out, ",\"items\":[");
}

/* The stored bytes of all, as they are. list is taken over. */
static void reply_list_stored(Request *r, ObjectList *list, bool count_remaining)
{
	_cleanup_(strbuf_done) StrBuf head = STRBUF_INIT;
	ListStream *ls = xnew0(ListStream, 1);
	uint64_t total;

	list_head(&head, r->kind->list_kind, r->kind->api_version, list, count_remaining);
	ls->head_len = head.len;
	ls->head = strbuf_take(&head);
	ls->list = list;
	total = ls->head_len + sizeof(list_tail) - 1 + (list->n ? list->n - 1 : 0);
	for (size_t i = 0; i < list->n; i++) {
		size_t len;

		(void)object_text(list->items[i], &len);
		total += len;
	}
	r->reply.code = MHD_HTTP_OK;
	r->reply.content_type = "application/json";
	r->reply.response = MHD_create_response_from_callback(total, 64 * 1024, list_read, ls,
							      list_stream_free);
}

/* Each one rendered: as metadata only, or in a version that is not the stored one. */
static void reply_list_rendered(Request *r, const ObjectList *list, bool count_remaining)
{
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;
	size_t len;

	if (r->accept == ACCEPT_METADATA)
		list_head(&out, "PartialObjectMetadataList", "meta.k8s.io/v1", list,
			  count_remaining);
	else
		list_head(&out, r->kind->list_kind, r->kind->api_version, list, count_remaining);
	for (size_t i = 0; i < list->n; i++) {
		if (i)
			strbuf_addc(&out, ',');
		render_object(&out, r->kind, r->accept, NULL, list->items[i], false, 0);
	}
	strbuf_adds(&out, list_tail);
	len = out.len;
	reply_take(r, MHD_HTTP_OK, "application/json", strbuf_take(&out), len);
}

static bool list_is_text(const Kind *k, const ObjectList *list)
{
	for (size_t i = 0; i < list->n; i++)
		if (!render_is_text(k, list->items[i]))
			return false;
	return true;
}

static void reply_list_table(Request *r, const ObjectList *list, bool count_remaining)
{
	const char *include = target_query(&r->target, "includeObject");
	usec_t wall = clock_wall(server_clock(r->server));
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;
	size_t len;

	table_head(&out, r->kind, list->revision, list->continue_token,
		   count_remaining ? list->remaining : 0, true);
	for (size_t i = 0; i < list->n; i++) {
		if (i)
			strbuf_addc(&out, ',');
		table_row(&out, r->kind, list->items[i], include, wall);
	}
	table_tail(&out);
	strbuf_addc(&out, '\n');
	len = out.len;
	reply_take(r, MHD_HTTP_OK, "application/json", strbuf_take(&out), len);
}

void reply_list(Request *r, ObjectList *list, bool count_remaining)
{
	_cleanup_(object_list_freep) ObjectList *owned = list;

	if (r->accept == ACCEPT_TABLE)
		reply_list_table(r, list, count_remaining);
	else if (r->accept == ACCEPT_METADATA || r->yaml || !list_is_text(r->kind, list))
		reply_list_rendered(r, list, count_remaining);
	else
		reply_list_stored(r, TAKE_PTR(owned), count_remaining);
}

#define TOKEN_TOO_OLD \
	"The provided continue parameter is too old to display a consistent list result. You can " \
	"start a new list without the continue parameter, or use the continue token in this " \
	"response to retrieve the remainder of the results. Continuing with the provided token " \
	"results in an inconsistent list - objects that were created, modified, or deleted " \
	"between the time the first chunk was returned and now may show up in the list."

void reply_list_error(Request *r, const ListOptions *options, int rc, const Error *err)
{
	_cleanup_(xfreep) char *token = NULL;
	json_t *status;

	if (rc == -ERR_INVALID) {
		reply_bad_request(r, "continue: Invalid value: %s", error_message(err));
	} else if (rc != -ERR_GONE) {
		reply_error(r, rc, err, NULL);
	} else if (!options->continue_token || store_token_renew(options, &token, NULL) < 0) {
		reply_expired(r, "The resourceVersion for the provided list is too old.");
	} else {
		status = status_failure(MHD_HTTP_GONE, "Expired", NULL, TOKEN_TOO_OLD);
		json_object_set_new(json_object_get(status, "metadata"), "continue",
				    json_string(token));
		reply_json(r, MHD_HTTP_GONE, status);
	}
}

int list_limit(Request *r, size_t *ret)
{
	const char *text = target_query(&r->target, "limit");
	char *end;
	unsigned long long v;

	if (str_is_empty(text))
		return 0;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || *end || strspn(text, "0123456789") != strlen(text)) {
		reply_bad_request(r, "limit: Invalid value: \"%.64s\"", text);
		return -ERR_INVALID;
	}
	*ret = v;
	return 0;
}

static void show_list(Request *r, ObjectList *list)
{
	for (size_t i = 0; r->kind->view_of && i < list->n; i++) {
		Object *shown = view_object(r->server, r->kind, list->items[i]);

		object_unref(list->items[i]);
		list->items[i] = shown;
	}
}

void handle_list(Request *r)
{
	const char *token = target_query(&r->target, "continue");
	_cleanup_(selection_done) Selection sel = { 0 };
	_cleanup_(object_list_freep) ObjectList *list = NULL;
	_cleanup_(error_done) Error err = ERROR_INIT;
	ListOptions options = { .gr = kind_source(r->kind), .namespace = r->route.namespace };
	int rc;

	options.continue_token = str_is_empty(token) ? NULL : token;
	if (list_revision(r, &options) < 0 || list_limit(r, &options.limit) < 0 ||
	    selection_parse(r, &sel) < 0)
		return;
	if (sel.labels.n || sel.fields.n) {
		options.match = match_object;
		options.match_arg = &sel;
	}
	rc = store_list(r->server->options.store, &options, &list, &err);
	if (rc == 0)
		show_list(r, list);
	if (rc < 0)
		reply_list_error(r, &options, rc, &err);
	else
		reply_list(r, TAKE_PTR(list), !options.match);
}
