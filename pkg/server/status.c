/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Status: every failure as the Status object that a Kubernetes server would send.
 *
 * Clients branch on `reason`, people read `message`; both follow Kubernetes' wording. A message
 * never contains a path of this host or text of the database: what the store says about itself is
 * logged, and the client is told the code. HTTP threads.
 */
#include "base/log.h"
#include "server/internal.h"
#include "server/reply.h"

/* People read messages on terminals, and names of clients' are in them: nothing but lines of
 * printable text, as valid UTF-8. Caller frees. */
static char *printable(const char *message)
{
	_cleanup_(strv_freep) char **lines = strv_split(message, '\n');
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;

	strv_foreach (line, lines) {
		size_t size = strlen(*line) * 4 + 8; /* each byte may become \xNN */
		_cleanup_(xfreep) char *safe = xmalloc(size);

		log_escape(*line, safe, size);
		strbuf_addf(&out, "%s%s", out.len ? "\n" : "", safe);
	}
	return strbuf_take(&out);
}

json_t *status_failure(unsigned code, const char *reason, json_t *details, const char *message)
{
	_cleanup_(xfreep) char *safe = printable(message);
	json_t *status =
		json_pack("{s:s, s:s, s:{}, s:s, s:s, s:s}", "kind", "Status", "apiVersion", "v1",
			  "metadata", "status", "Failure", "message", safe, "reason", reason);

	if (details)
		json_object_set_new(status, "details", details);
	json_object_set_new(status, "code", json_integer(code));
	return status;
}

void reply_failure(Request *r, unsigned code, const char *reason, json_t *details, const char *fmt,
		   ...)
{
	_cleanup_(xfreep) char *message = NULL;
	va_list ap;

	va_start(ap, fmt);
	message = xvasprintf(fmt, ap);
	va_end(ap);
	reply_json(r, code, status_failure(code, reason, details, message));
}

void reply_bad_request(Request *r, const char *fmt, ...)
{
	_cleanup_(xfreep) char *message = NULL;
	va_list ap;

	va_start(ap, fmt);
	message = xvasprintf(fmt, ap);
	va_end(ap);
	reply_failure(r, MHD_HTTP_BAD_REQUEST, "BadRequest", NULL, "%s", message);
}

json_t *status_details(const Request *r, const char *name, const char *uid)
{
	json_t *d = json_object();

	if (name)
		json_object_set_new(d, "name", json_string(name));
	if (r->route.group && *r->route.group)
		json_object_set_new(d, "group", json_string(r->route.group));
	if (r->route.resource)
		json_object_set_new(d, "kind", json_string(r->route.resource));
	if (uid)
		json_object_set_new(d, "uid", json_string(uid));
	return d;
}

/* "instances.shakenfist.io", "secrets" */
static const char *qualified(const Request *r, char *buf, size_t size)
{
	const char *group = r->route.group ? r->route.group : "";

	snprintf(buf, size, "%s%s%s", r->route.resource ? r->route.resource : "", *group ? "." : "",
		 group);
	return buf;
}

void reply_no_route(Request *r)
{
	reply_failure(r, MHD_HTTP_NOT_FOUND, "NotFound", json_object(),
		      "the server could not find the requested resource");
}

void reply_method(Request *r, const char *allow)
{
	snprintf(r->reply.allow, sizeof(r->reply.allow), "%s", allow);
	reply_failure(r, MHD_HTTP_METHOD_NOT_ALLOWED, "MethodNotAllowed",
		      status_details(r, NULL, NULL),
		      "the server does not allow this method on the requested resource");
}

void reply_not_found(Request *r, const char *name)
{
	char buf[512];

	reply_failure(r, MHD_HTTP_NOT_FOUND, "NotFound", status_details(r, name, NULL),
		      "%s \"%s\" not found", qualified(r, buf, sizeof(buf)), name);
}

void reply_read_only(Request *r, const char *allow)
{
	char buf[512];

	snprintf(r->reply.allow, sizeof(r->reply.allow), "%s", allow);
	if (!r->kind->view_of) {
		reply_failure(r, MHD_HTTP_METHOD_NOT_ALLOWED, "MethodNotAllowed",
			      status_details(r, r->route.name, NULL),
			      "%s are not offered: their list is served, and always empty",
			      r->kind->plural);
		return;
	}
	group_resource_format(kind_source(r->kind), buf, sizeof(buf));
	reply_failure(r, MHD_HTTP_METHOD_NOT_ALLOWED, "MethodNotAllowed",
		      status_details(r, r->route.name, NULL),
		      "%s only show %s and cannot be written: write to %s instead", r->kind->plural,
		      buf, buf);
}

void reply_exists(Request *r, const char *name)
{
	char buf[512];

	reply_failure(r, MHD_HTTP_CONFLICT, "AlreadyExists", status_details(r, name, NULL),
		      "%s \"%s\" already exists", qualified(r, buf, sizeof(buf)), name);
}

void reply_conflict(Request *r, const char *name, const char *why)
{
	char buf[512];

	reply_failure(r, MHD_HTTP_CONFLICT, "Conflict", status_details(r, name, NULL),
		      "Operation cannot be fulfilled on %s \"%s\": %s",
		      qualified(r, buf, sizeof(buf)), name,
		      why ? why
			  : "the object has been modified; please apply your changes to the latest "
			    "version and try again");
}

void reply_forbidden(Request *r, const char *name, const char *why)
{
	char buf[512];

	if (name)
		reply_failure(r, MHD_HTTP_FORBIDDEN, "Forbidden", status_details(r, name, NULL),
			      "%s \"%s\" is forbidden: %s", qualified(r, buf, sizeof(buf)), name,
			      why);
	else
		reply_failure(r, MHD_HTTP_FORBIDDEN, "Forbidden", status_details(r, NULL, NULL),
			      "%s is forbidden: %s", qualified(r, buf, sizeof(buf)), why);
}

void reply_expired(Request *r, const char *message)
{
	reply_failure(r, MHD_HTTP_GONE, "Expired", NULL, "%s", message);
}

void reply_media_type(Request *r, const char *accepted)
{
	reply_failure(r, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType",
		      status_details(r, r->route.name, NULL),
		      "the body of the request was in an unknown format - accepted media types "
		      "include: %s",
		      accepted);
}

void reply_not_acceptable(Request *r)
{
	reply_failure(r, MHD_HTTP_NOT_ACCEPTABLE, "NotAcceptable", json_object(),
		      "only the following media types are accepted: application/json, "
		      "application/yaml");
}

static json_t *causes_of(const FieldErrors *errors)
{
	json_t *causes = json_array();

	for (size_t i = 0; i < errors->n; i++)
		json_array_append_new(causes, json_pack("{s:s, s:s, s:s}", "reason",
							field_error_reason(errors->items[i].type),
							"message", errors->items[i].message,
							"field", errors->items[i].path));
	return causes;
}

void reply_invalid_as(Request *r, const char *group, const char *kind, const char *name,
		      const FieldErrors *errors)
{
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT;
	json_t *details = json_object();

	for (size_t i = 0; i < errors->n; i++)
		strbuf_addf(&text, "%s%s: %s", i ? ", " : "", errors->items[i].path,
			    errors->items[i].message);
	if (!str_is_empty(name))
		json_object_set_new(details, "name", json_string(name));
	if (*group)
		json_object_set_new(details, "group", json_string(group));
	json_object_set_new(details, "kind", json_string(kind));
	json_object_set_new(details, "causes", causes_of(errors));
	reply_failure(r, MHD_HTTP_UNPROCESSABLE_CONTENT, "Invalid", details,
		      "%s%s%s \"%s\" is invalid: %s%s%s", kind, *group ? "." : "", group,
		      name ? name : "", errors->n > 1 ? "[" : "", strbuf_str(&text),
		      errors->n > 1 ? "]" : "");
}

void reply_invalid(Request *r, const char *name, const FieldErrors *errors)
{
	reply_invalid_as(r, r->route.group, r->kind->kind, name, errors);
}

void reply_too_large(Request *r, const char *why)
{
	reply_failure(r, MHD_HTTP_CONTENT_TOO_LARGE, "RequestEntityTooLarge", NULL,
		      "Request entity too large: %s", why);
}

/* "unknown field "spec.cpuz"", with the hint that the schema may have added. */
static void unknown_field(StrBuf *out, const FieldError *e)
{
	const char *hint = strstr(e->message, "did you mean");

	if (e->type == FIELD_DOUBLED) {
		strbuf_addf(out, "duplicate field \"%s\"", e->path);
		return;
	}
	if (e->type != FIELD_UNKNOWN) {
		strbuf_addf(out, "%s: %s", e->path, e->message);
		return;
	}
	strbuf_addf(out, "unknown field \"%s\"", e->path);
	if (hint)
		strbuf_addf(out, ", %s", hint);
}

void reply_strict(Request *r, const FieldErrors *unknown)
{
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT;
	json_t *details = status_details(r, r->route.name, NULL);

	for (size_t i = 0; i < unknown->n; i++) {
		if (i)
			strbuf_adds(&text, ", ");
		unknown_field(&text, &unknown->items[i]);
	}
	json_object_set_new(details, "causes", causes_of(unknown));
	reply_failure(r, MHD_HTTP_BAD_REQUEST, "BadRequest", details,
		      "%s in version \"%s\" cannot be handled as a %s: strict decoding error: %s",
		      r->kind->kind, r->kind->version, r->kind->kind, strbuf_str(&text));
}

void reply_error(Request *r, int rc, const Error *err, const char *name)
{
	switch (-rc) {
	case ERR_NOT_FOUND:
		reply_not_found(r, name ? name : "");
		return;
	case ERR_EXISTS:
		reply_exists(r, name ? name : "");
		return;
	case ERR_CONFLICT:
		reply_conflict(r, name ? name : "", NULL);
		return;
	case ERR_FORBIDDEN: /* the store words it as Kubernetes does */
		reply_failure(r, MHD_HTTP_FORBIDDEN, "Forbidden", status_details(r, name, NULL),
			      "%s", error_message(err));
		return;
	case ERR_GONE:
		reply_expired(r, error_message(err));
		return;
	case ERR_INVALID:
		reply_bad_request(r, "%s", error_message(err));
		return;
	case ERR_UNSUPPORTED:
		reply_failure(r, MHD_HTTP_NOT_IMPLEMENTED, "NotImplemented", NULL, "%s",
			      error_message(err));
		return;
	case ERR_TIMEOUT:
		reply_failure(r, MHD_HTTP_GATEWAY_TIMEOUT, "Timeout", NULL,
			      "no answer in time; whether it was done is not known");
		return;
	case ERR_EXHAUSTED:
		log_warning("%s %s: %s", r->verb, r->target.path, error_message(err));
		reply_failure(
			r, MHD_HTTP_INSUFFICIENT_STORAGE, "InternalError", NULL,
			"the server has no room for this: the disk of its store is full, or a "
			"limit is reached; reads and deletes go on, its log names the path");
		return;
	case ERR_UNAVAILABLE:
	case ERR_CANCELED:
		log_warning("%s %s: %s", r->verb, r->target.path, error_message(err));
		reply_failure(r, MHD_HTTP_SERVICE_UNAVAILABLE, "ServiceUnavailable", NULL,
			      "the store did not answer; whether it was done is not known: read "
			      "again before you repeat");
		return;
	default:
		log_error("%s %s: %s", r->verb, r->target.path, error_message(err));
		reply_failure(r, MHD_HTTP_INTERNAL_SERVER_ERROR, "InternalError", NULL,
			      "an internal error occurred; the server's log says more");
	}
}

void reply_deleted(Request *r, const char *name, const char *uid)
{
	reply_json(r, MHD_HTTP_OK,
		   json_pack("{s:s, s:s, s:{}, s:s, s:o}", "kind", "Status", "apiVersion", "v1",
			     "metadata", "status", "Success", "details",
			     status_details(r, name, uid)));
}
