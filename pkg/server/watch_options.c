/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a watch asks for: from where, until when, and with what at its beginning; refused where
 * Kubernetes refuses. HTTP threads.
 */
#include <errno.h>

#include "server/reply.h"
#include "server/watch.h"

#define TIMEOUT_MAX 86400 /* seconds */

/* 0 = absent, 1 = *ret is set, < 0 = answered. */
static int parse_number(Request *r, const char *name, int64_t *ret)
{
	const char *text = target_query(&r->target, name);
	char *end;
	long long v;

	if (str_is_empty(text))
		return 0;
	errno = 0;
	v = strtoll(text, &end, 10);
	if (errno || *end || strspn(text, "0123456789") != strlen(text)) {
		reply_bad_request(r, "%s: Invalid value: \"%.64s\"", name, text);
		return -ERR_INVALID;
	}
	*ret = v;
	return 1;
}

static void add_cause(StrBuf *text, json_t *causes, const char *reason, const char *message)
{
	static const char field[] = "resourceVersionMatch";

	strbuf_addf(text, "%s%s: %s", text->len ? ", " : "", field, message);
	json_array_append_new(causes, json_pack("{s:s, s:s, s:s}", "reason", reason, "message",
						message, "field", field));
}

/* The rules of Kubernetes' ListOptions for a watch. */
static int check_match(Request *r, bool has_initial)
{
	static const char forbidden[] = "FieldValueForbidden";
	const char *match = target_query(&r->target, "resourceVersionMatch");
	bool is_older = match && streq(match, "NotOlderThan");
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT;
	json_t *causes = json_array();
	bool many;

	if (has_initial && !is_older)
		add_cause(&text, causes, forbidden,
			  "Forbidden: sendInitialEvents requires setting resourceVersionMatch to "
			  "NotOlderThan");
	if (!str_is_empty(match) && !has_initial)
		add_cause(&text, causes, forbidden,
			  "Forbidden: resourceVersionMatch is forbidden for watch unless "
			  "sendInitialEvents is provided");
	if (!str_is_empty(match) && !is_older) {
		_cleanup_(xfreep) char *message = xasprintf(
			"Unsupported value: \"%.64s\": supported values: \"NotOlderThan\"", match);

		add_cause(&text, causes, "FieldValueNotSupported", message);
	}
	if (text.len == 0) {
		json_decref(causes);
		return 0;
	}
	many = json_array_size(causes) > 1;
	reply_failure(r, MHD_HTTP_UNPROCESSABLE_CONTENT, "Invalid",
		      json_pack("{s:s, s:s, s:o}", "group", "meta.k8s.io", "kind", "ListOptions",
				"causes", causes),
		      "ListOptions.meta.k8s.io \"\" is invalid: %s%s%s", many ? "[" : "",
		      strbuf_str(&text), many ? "]" : "");
	return -ERR_INVALID;
}

int watch_options_parse(Request *r, WatchOptions *ret)
{
	WatchOptions o = { .from = -1, .timeout = USEC_INFINITY };
	bool has_initial = !str_is_empty(target_query(&r->target, "sendInitialEvents"));
	int64_t revision = 0, seconds = 0, head;

	if (parse_number(r, "resourceVersion", &revision) < 0 ||
	    parse_number(r, "timeoutSeconds", &seconds) < 0 || check_match(r, has_initial) < 0)
		return -ERR_INVALID;
	if (seconds > 0)
		o.timeout = (usec_t)MIN(seconds, (int64_t)TIMEOUT_MAX) * USEC_PER_SEC;
	o.send_initial = target_query_bool(&r->target, "sendInitialEvents");
	o.bookmarks = target_query_bool(&r->target, "allowWatchBookmarks");
	head = store_revision(r->server->options.store);
	if (revision > head) {
		/* A store that was restored: only a new list helps. */
		reply_expired(r, "too large resource version; please list again");
		return -ERR_GONE;
	}
	if (revision > 0 && !o.send_initial)
		o.from = revision;
	/* sendInitialEvents=false: live events only, from now or from the revision given. */
	else if (has_initial && !o.send_initial)
		o.from = head;
	*ret = o;
	return 0;
}
