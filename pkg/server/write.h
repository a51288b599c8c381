/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a write: from bytes to a tree that may be stored (admission.c), whose fields are whose
 * (ownership.c), and the commit (write.c). What answers the request itself says so by returning
 * less than 0, or false. HTTP threads.
 */
#pragma once

#include "api/managed.h"
#include "server/internal.h"

/* ---- admission.c: from bytes to a tree that may be stored ---- */

/* Decodes the body; answers and returns < 0 if it cannot be. An empty body gives NULL. */
int body_decode(Request *r, json_t **ret);
/* The same for an object or a patch of one: it must not be empty, and fields that are named twice
 * are left in r->doubled, for admission_fields() to tell. */
int body_decode_object(Request *r, json_t **ret);
/* What a client says of managedFields is a list: a string would be taken for ours. */
int refuse_text(Request *r, const json_t *tree);
/* The key of the request's object; false (and answered) if its name cannot exist. */
bool request_key(Request *r, Key *ret);
/* apiVersion, kind, namespace and name agree with the URL or are filled in. */
int admission_identity(Request *r, json_t *tree, const char *name);
/* Unknown fields and those named twice, as fieldValidation says. */
int admission_fields(Request *r, json_t *tree);
/* The one way to say what can be said in two. */
void admission_normalize(Request *r, json_t *tree);
/* What a writer need not write out, and owns as if he had: defaults, normal forms. */
void admission_default(Request *r, json_t *tree);
/* What the server fills in and nobody owns; schema and cross-object rules. old NULL = a create. */
int admission_complete(Request *r, json_t *tree, const Object *old, const json_t *old_tree);
/* The status of what is about to be created, if it has one from the start; else false. */
bool admission_first_status(const Request *r, json_t *tree);
/* System metadata of a candidate comes from the stored object; NULL = there is none yet. */
void admission_keep_system(json_t *tree, const json_t *old_tree);
/* Rules between an Instance and the networks it names (read from the store). */
void admission_instance(Store *store, const json_t *tree, FieldErrors *errors);
/* Nobody gives by a role or binding what he has not; answers and returns < 0. old NULL = a create.
 */
int admission_rbac(Request *r, const json_t *tree, const json_t *old);
/* Warnings of what waits for a restart (admission_cost.c). */
void admission_tell_costs(Request *r, const json_t *old_tree, const json_t *tree);
/* metadata.resourceVersion of a body: 0 if absent; answers and < 0 if malformed. */
int body_revision(Request *r, const json_t *tree, int64_t *ret);
/* Preconditions that a body states by uid and resourceVersion; answers and < 0 if they fail. */
int body_preconditions(Request *r, const json_t *tree, const Object *base, bool *ret_pinned);

/* ---- ownership.c ---- */

/* Checks dryRun (and sets r->dry_run), fieldManager, fieldValidation, force; answers and < 0. */
int request_options(Request *r, bool apply);
/* 422 for one option, as a CreateOptions, ListOptions, ...: returns -ERR_INVALID. */
int reply_bad_option(Request *r, const char *field, FieldErrorType type, const char *fmt, ...)
	_printf_(4, 5);
int request_dry_run(Request *r);
/* fieldManager, or what the client calls itself; "" = neither. */
const char *request_manager(Request *r, char buf[static MANAGER_NAME_MAX + 1]);
/* Sets managedFields of what the request makes of old_tree (NULL = nothing). */
void ownership_update(Request *r, const json_t *old_tree, json_t *tree);
/* What an apply makes of old_tree (NULL = nothing), without defaults; NULL = answered. */
json_t *ownership_apply(Request *r, const json_t *old_tree, const json_t *applied);

/* ---- write.c ---- */

/* Commits (or tries, for a dry run) and calls done on an HTTP thread; t is taken over. */
void request_commit(Request *r, Txn *t, void (*done)(Request *r));
/* The stored object under the request's name, kept in r->base; answers if there is none. */
int read_base(Request *r, Key *key);
/* Stores `tree` in place of base (status only, if that subresource was named), and takes it over.
 */
void write_replace(Request *r, Object *base, json_t *tree, void (*done)(Request *r));
void write_create(Request *r, json_t *tree, const char *name);
/* A candidate for r->base: system metadata, the other half (status or all but it), all checks. */
int write_prepare(Request *r, json_t *tree, json_t *old_tree);
/* The same for what ownership_apply() gave. */
int write_prepare_applied(Request *r, json_t *tree, json_t *old_tree);
bool request_is_status(const Request *r);
/* No new objects of a kind whose definition is being deleted: answers and is true. */
bool refuse_terminating(Request *r);
void reply_create_error(Request *r, int rc, const Error *err, const char *name);
/* patch.c: JSON patch or merge patch, by the request's content type, of a document that is not a
 * stored object. Answers and < 0 on failure; *ret is a new reference. */
int patch_document(Request *r, const json_t *document, json_t *patch, json_t **ret);
