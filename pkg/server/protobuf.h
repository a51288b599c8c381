/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protobuf: the request bodies of typed Kubernetes clients (kubectl since 1.32, helm, client-go),
 * turned into the same trees that JSON gives. Answers stay JSON: every such client takes both.
 *
 * A body is "k8s\0" and an Unknown message that names apiVersion and kind and holds the object.
 * What is in an object is data (protobuf_kinds.c), so a kind is a table and not code. Nothing is
 * trusted: lengths, numbers, text and the count of values are bounded; what a table does not name
 * is skipped, as protobuf wants it. Pure; any thread.
 */
#pragma once

#include <jansson.h>

#include "base/error.h"

#define PROTO_VALUES_MAX 200000u /* of one body: a value may cost a hundred times its two bytes */

typedef enum ProtoType {
	PROTO_STRING,
	PROTO_BOOL,
	PROTO_INT,
	PROTO_TIME,      /* Time: RFC 3339, seconds */
	PROTO_MICROTIME, /* MicroTime: RFC 3339, microseconds */
	PROTO_JSON,      /* FieldsV1: a message whose one field is JSON text */
	PROTO_MESSAGE,
	PROTO_STRINGS,      /* repeated */
	PROTO_MESSAGES,     /* repeated */
	PROTO_MAP_STRING,   /* map<string, string> */
	PROTO_MAP_BYTES,    /* map<string, bytes>: base64 */
	PROTO_MAP_QUANTITY, /* map<string, Quantity>: a message whose one field is the text */
	PROTO_MAP_STRINGS, /* map<string, ExtraValue>: a message whose one field is repeated text */
} ProtoType;

/*
 * One field of a message; a table of them ends with number 0. Go writes the fields that are not
 * pointers even when they are empty, and JSON leaves them out: so do we, unless `pointer` says that
 * an empty value was meant.
 */
typedef struct ProtoField {
	unsigned number;
	const char *name;
	ProtoType type;
	bool pointer;
	const struct ProtoField *message; /* of PROTO_MESSAGE and PROTO_MESSAGES */
} ProtoField;

/* The fields of a kind, or NULL if it is not known in this form. */
const ProtoField *proto_kind(const char *api_version, const char *kind);

/*
 * The body as a tree with apiVersion and kind. -ERR_UNSUPPORTED: a kind without a table, named in
 * err; -ERR_INVALID: not what it should be.
 */
int proto_decode(const void *data, size_t len, json_t **ret, Error *err);
