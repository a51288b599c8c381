/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers: reply.c sends what was found or made, status.c says what went wrong in the words of
 * Kubernetes. Each decides r->reply, once. HTTP threads.
 */
#pragma once

#include "server/internal.h"

/* ---- reply.c: answers ---- */

void reply_json(Request *r, unsigned code, json_t *tree); /* steals tree */
void reply_text(Request *r, unsigned code, const char *text);
void reply_to_yaml(Request *r); /* an answer in JSON becomes one in YAML */
void reply_take(Request *r, unsigned code, const char *content_type, char *body, size_t len);
void reply_object(Request *r, unsigned code, Object *o); /* in the form that was asked for */
void reply_warning(Request *r, const char *text);
void reply_done(Reply *reply);

/* ---- status.c: errors as Kubernetes words them ---- */

/* A Status object. details is stolen and may be NULL. */
json_t *status_failure(unsigned code, const char *reason, json_t *details, const char *message);
void reply_failure(Request *r, unsigned code, const char *reason, json_t *details, const char *fmt,
		   ...) _printf_(5, 6);
void reply_bad_request(Request *r, const char *fmt, ...) _printf_(2, 3);
void reply_no_route(Request *r); /* 404: the server could not find the requested resource */
void reply_method(Request *r, const char *allow);
/* The same for a kind that is only a view. */
void reply_read_only(Request *r, const char *allow);
void reply_not_found(Request *r, const char *name);
void reply_exists(Request *r, const char *name);
void reply_conflict(Request *r, const char *name, const char *why); /* why NULL = modified */
void reply_forbidden(Request *r, const char *name, const char *why);
void reply_expired(Request *r, const char *message);
void reply_media_type(Request *r, const char *accepted);
void reply_invalid(Request *r, const char *name, const FieldErrors *errors);
void reply_invalid_as(Request *r, const char *group, const char *kind, const char *name,
		      const FieldErrors *errors);
void reply_too_large(Request *r, const char *why);
void reply_strict(Request *r, const FieldErrors *unknown);
void reply_not_acceptable(Request *r);
/* Any failure of the store or of decoding, by its code. */
void reply_error(Request *r, int rc, const Error *err, const char *name);
/* {"name","group","kind"[,"uid"]} */
json_t *status_details(const Request *r, const char *name, const char *uid);
void reply_deleted(Request *r, const char *name, const char *uid);
