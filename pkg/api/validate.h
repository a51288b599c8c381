/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of object_validate() share: the field error list is schema.h's; the name rules are
 * of RFC 1123. Private to pkg/api. Pure.
 */
#pragma once

#include "api/schema.h"

/* Rules that no schema can say, for the kinds compiled in. tree has passed its schema. old: NULL at
 * create. */
void validate_instance(const json_t *tree, const json_t *old, FieldErrors *errors);
void validate_network(const json_t *tree, const json_t *old, FieldErrors *errors);
void validate_image(const json_t *tree, const json_t *old, FieldErrors *errors);
void validate_quota(const json_t *tree, const json_t *old, FieldErrors *errors);
void validate_credential(const json_t *tree, const json_t *old, FieldErrors *errors);
void validate_role(const json_t *tree, const json_t *old, FieldErrors *errors);
void validate_cluster_role(const json_t *tree, const json_t *old, FieldErrors *errors);
void validate_role_binding(const json_t *tree, const json_t *old, FieldErrors *errors);
void validate_cluster_role_binding(const json_t *tree, const json_t *old, FieldErrors *errors);
void validate_crd(const json_t *tree, const json_t *old, FieldErrors *errors);
void validate_config_map(const json_t *tree, const json_t *old, FieldErrors *errors);
void validate_secret(const json_t *tree, const json_t *old, FieldErrors *errors);
void validate_event(const json_t *tree, const json_t *old, FieldErrors *errors);
/* A schema of a definition, at that path. */
void validate_structural(const json_t *schema, const char *path, FieldErrors *errors);
/* apiVersion, kind, metadata. */
void validate_metadata(const Kind *k, const json_t *tree, FieldErrors *errors);

/* Lower-case letters, digits and '-', not at the ends, 1 to 63. */
bool name_is_label(const char *s);
/* Labels joined by dots, 1 to 253. */
bool name_is_subdomain(const char *s);
/* Anything that can be one segment of a path, as names of roles are: "system:node". 1 to 253. */
bool name_is_path_segment(const char *s);
/* [prefix/]name of labels, annotations and finalizers. */
bool name_is_qualified(const char *s);
/* s quoted and escaped for a message, cut to a reasonable length. */
const char *quoted(const char *s, char buf[static 200]);
