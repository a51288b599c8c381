/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handlers, one for each row of routes.c, and the kinds that exist only as questions. A handler
 * runs once its request is admitted and has its body; it replies, or suspends. HTTP threads.
 */
#pragma once

#include "server/internal.h"

void handle_root(Request *r);
void handle_version(Request *r);
void handle_health(Request *r);
void handle_metrics(Request *r);
void handle_api_versions(Request *r);
void handle_groups(Request *r);
void handle_group(Request *r);
void handle_resources(Request *r);
void handle_openapi_v2(Request *r);
void handle_openapi_v3(Request *r);
void handle_openapi_v3_group(Request *r);
void handle_review(Request *r);
void handle_get(Request *r);
void handle_list(Request *r);
void handle_watch(Request *r);
void handle_create(Request *r);
void handle_update(Request *r);
void handle_delete(Request *r);
void handle_delete_collection(Request *r);
void handle_patch(Request *r);
void handle_finalize(Request *r);
void handle_scale_get(Request *r);
void handle_scale_write(Request *r);
void handle_power(Request *r);
void handle_log(Request *r);
void handle_console(Request *r);
void handle_portforward(Request *r);
void handle_attach(Request *r);
void handle_attach_spdy(Request *r);
void handle_pod_exec(Request *r);
void handle_pod_portforward(Request *r);
void handle_pod_portforward_spdy(Request *r);

/* ---- review.c ---- */

typedef struct ReviewKind {
	const char *group, *resource, *kind; /* of version v1 */
	bool namespaced;
	/* Fills in tree's status, or errors, or replies. */
	void (*answer)(Request *r, json_t *tree, FieldErrors *errors);
} ReviewKind;
const ReviewKind *review_list(size_t *ret_n);
