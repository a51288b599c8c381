/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership of fields, as a request has to do with it: its options, who its manager is, and how the
 * answer tells of conflicts. The rules are in api/managed.h. HTTP threads.
 */
#include "api/managed.h"
#include "server/internal.h"
#include "server/reply.h"
#include "server/write.h"

/* ---- options ---- */

static const char *options_kind(const Request *r)
{
	switch (r->method) {
	case METHOD_POST:
		return "CreateOptions";
	case METHOD_PUT:
		return "UpdateOptions";
	case METHOD_DELETE:
		return "DeleteOptions";
	case METHOD_PATCH:
		return "PatchOptions";
	default:
		return "ListOptions";
	}
}

/* One character of UTF-8: its length, or 0 if it is none that can be printed. */
static size_t printable(const char *s)
{
	unsigned char c = (unsigned char)*s;
	size_t n = c < 0x80 ? 1 : (c & 0xe0) == 0xc0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : 4;

	if (c < ' ' || c == 0x7f || (c >= 0x80 && c < 0xc2) || c > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++)
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			return 0;
	/* C1 controls and the no-break space are not for people's eyes. */
	return n == 2 && c == 0xc2 && (unsigned char)s[1] <= 0xa0 ? 0 : n;
}

static void check_manager(const char *name, bool needed, FieldErrors *errors)
{
	size_t n;

	if (needed && str_is_empty(name))
		field_errors_add(errors, FIELD_REQUIRED, "fieldManager",
				 "Required value: is required for apply patch");
	if (name && strlen(name) > MANAGER_NAME_MAX)
		field_errors_add(errors, FIELD_TOO_LONG, "fieldManager",
				 "Too long: may not be more than %d bytes", MANAGER_NAME_MAX);
	for (const char *s = name; s && *s; s += n) {
		n = printable(s);
		if (n)
			continue;
		field_errors_add(errors, FIELD_INVALID, "fieldManager",
				 "Invalid value: should only contain printable characters");
		return;
	}
}

int request_options(Request *r, bool apply)
{
	static const char *const modes[] = { "Ignore", "Strict", "Warn", NULL };
	const char *dry_run = target_query(&r->target, "dryRun");
	const char *validation = target_query(&r->target, "fieldValidation");
	FieldErrors errors = FIELD_ERRORS_INIT;
	int rc = 0;

	if (dry_run && !streq(dry_run, "All"))
		field_errors_add(&errors, FIELD_NOT_SUPPORTED, "dryRun",
				 "Unsupported value: \"%.32s\": supported values: \"All\"",
				 dry_run);
	if (!str_is_empty(validation) && !strv_contains((char *const *)modes, validation))
		field_errors_add(&errors, FIELD_NOT_SUPPORTED, "fieldValidation",
				 "Unsupported value: \"%.32s\": supported values: \"Ignore\", "
				 "\"Strict\", \"Warn\"",
				 validation);
	if (r->method == METHOD_PATCH && !apply && target_query_bool(&r->target, "force"))
		field_errors_add(&errors, FIELD_FORBIDDEN, "force",
				 "Forbidden: may not be specified for non-apply patch");
	check_manager(target_query(&r->target, "fieldManager"), apply, &errors);
	if (errors.n) {
		reply_invalid_as(r, "meta.k8s.io", options_kind(r), "", &errors);
		rc = -ERR_INVALID;
	}
	r->dry_run = dry_run != NULL;
	field_errors_done(&errors);
	return rc;
}

int reply_bad_option(Request *r, const char *field, FieldErrorType type, const char *fmt, ...)
{
	_cleanup_(xfreep) char *problem = NULL;
	FieldErrors errors = FIELD_ERRORS_INIT;
	va_list ap;

	va_start(ap, fmt);
	problem = xvasprintf(fmt, ap);
	va_end(ap);
	field_errors_add(&errors, type, field, "%s", problem);
	reply_invalid_as(r, "meta.k8s.io", options_kind(r), "", &errors);
	field_errors_done(&errors);
	return -ERR_INVALID;
}

int request_dry_run(Request *r)
{
	return request_options(r, false);
}

const char *request_manager(Request *r, char buf[static MANAGER_NAME_MAX + 1])
{
	const char *name = target_query(&r->target, "fieldManager");
	const char *agent = request_header(r, MHD_HTTP_HEADER_USER_AGENT);
	size_t used = 0, n;

	if (!str_is_empty(name)) {
		snprintf(buf, MANAGER_NAME_MAX + 1, "%s", name);
		return buf;
	}
	/* "kubectl/v1.35.2 (linux/amd64)" is kubectl. */
	for (const char *s = agent; s && *s && *s != '/'; s += MAX(n, (size_t)1)) {
		n = printable(s);
		if (used + n > MANAGER_NAME_MAX)
			break;
		memcpy(buf + used, s, n);
		used += n;
	}
	buf[used] = '\0';
	return buf;
}

/* ---- writing ---- */

typedef struct Writer {
	FieldWriter w;
	char manager[MANAGER_NAME_MAX + 1], now[TIMESTAMP_MAX];
} Writer;

static const FieldWriter *writer_init(Writer *w, Request *r)
{
	w->w = (FieldWriter){
		.kind = r->kind,
		.manager = request_manager(r, w->manager),
		.subresource = r->route.subresource,
		.now = timestamp_format(clock_wall(server_clock(r->server)), w->now),
	};
	return &w->w;
}

void ownership_update(Request *r, const json_t *old_tree, json_t *tree)
{
	Writer w;

	managed_update(writer_init(&w, r), old_tree, tree);
}

static void reply_apply_conflicts(Request *r, const FieldConflicts *conflicts)
{
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT;
	json_t *causes = json_array();
	const char *manager = NULL;

	strbuf_addf(&text, "Apply failed with %zu conflict%s: ", conflicts->total,
		    conflicts->total == 1 ? "" : "s");
	for (size_t i = 0; i < conflicts->n; i++) {
		const FieldConflict *c = &conflicts->items[i];
		_cleanup_(xfreep) char *message = xasprintf("conflict with %s", c->manager);

		if (conflicts->total == 1) {
			strbuf_addf(&text, "%s: %s", message, c->path);
		} else {
			if (!streq_ptr(manager, c->manager))
				strbuf_addf(&text, "%sconflicts with %s:", i ? "\n" : "",
					    c->manager);
			strbuf_addf(&text, "\n- %s", c->path);
		}
		manager = c->manager;
		json_array_append_new(causes,
				      json_pack("{s:s, s:s, s:s}", "reason", "FieldManagerConflict",
						"message", message, "field", c->path));
	}
	reply_failure(r, MHD_HTTP_CONFLICT, "Conflict", json_pack("{s:o}", "causes", causes), "%s",
		      strbuf_str(&text));
}

/* What the applied object may say: of the status subresource the status, else all but that. */
static json_t *applicable(Request *r, const json_t *applied)
{
	json_t *copy = json_copy((json_t *)applied);

	if (request_is_status(r)) {
		json_t *status = json_object_get(applied, "status");

		json_object_clear(copy);
		if (status)
			json_object_set(copy, "status", status);
	} else if (r->kind->has_status) {
		json_object_del(copy, "status");
	}
	return copy;
}

json_t *ownership_apply(Request *r, const json_t *old_tree, const json_t *applied)
{
	_cleanup_(field_conflicts_done) FieldConflicts conflicts = { 0 };
	_cleanup_(json_decrefp) json_t *part = applicable(r, applied);
	json_t *tree;
	Writer w;

	tree = managed_apply(writer_init(&w, r), old_tree, part,
			     target_query_bool(&r->target, "force"), &conflicts);
	if (!tree)
		reply_apply_conflicts(r, &conflicts);
	return tree;
}
