/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The published schemas: one definition per served version of a kind, with ObjectMeta and its like
 * spelled out, in the form of OpenAPI v3 or v2. Private to pkg/server. Pure.
 */
#pragma once

#include "api/kind.h"
#include "base/strbuf.h"

typedef enum OpenApiForm { OPENAPI_V2, OPENAPI_V3 } OpenApiForm;

/* Adds the definitions of a kind and of its list to schemas, and its operations to paths. */
void openapi_add_kind(json_t *schemas, json_t *paths, const Kind *k, OpenApiForm form);
/* Adds ObjectMeta and what it and lists refer to. */
void openapi_add_meta(json_t *schemas, OpenApiForm form);
/* A document of OpenAPI v2 (JSON) as the protobuf message openapi.v2.Document of gnostic
 * (https://github.com/google/gnostic, openapiv2/OpenAPIv2.proto). */
void openapi_v2_encode(const json_t *document, StrBuf *out);
