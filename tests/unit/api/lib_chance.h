/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schemas and values by chance, the same ones for the same chance_state. One thread.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#define FIELDS_MAX 3

typedef enum Type {
	SCALAR,
	STRUCT,   /* members f0, f1, ... */
	FREE_MAP, /* members x0, x1, ... of one type */
	ATOMIC_MAP,
	ATOMIC_LIST,
	SET,
	KEYED, /* items are structs whose fk is the key */
} Type;

typedef struct Node {
	Type type;
	struct Node *children[FIELDS_MAX];
	unsigned n;
} Node;

extern uint64_t chance_state;
unsigned chance(unsigned n);    /* 0 to n - 1 */
Node *node_new(unsigned depth); /* depth 0 = a STRUCT */
void node_free(Node *n);
json_t *openapi_of(const Node *n);
json_t *value_new(const Node *n);
/* Something of it changes. A new reference. */
json_t *value_mutate(const Node *n, const json_t *old);
