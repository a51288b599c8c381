/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schemas and values by chance: see lib_chance.h.
 */
#include "tests/unit/api/lib_chance.h"

#include "base/memory.h"

#define DEPTH_MAX 3

/* ---- chance ---- */

uint64_t chance_state;

unsigned chance(unsigned n)
{
	uint64_t z = (chance_state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (unsigned)((z ^ (z >> 31)) % n);
}

/* ---- schemas ---- */

Node *node_new(unsigned depth)
{
	static const Type deep[] = { SCALAR, SCALAR, STRUCT,      STRUCT,    FREE_MAP,
				     SET,    KEYED,  ATOMIC_LIST, ATOMIC_MAP };
	static const Type flat[] = { SCALAR, SCALAR, SET, ATOMIC_LIST };
	Node *n = xnew0(Node, 1);

	n->type = depth == 0          ? STRUCT
		  : depth < DEPTH_MAX ? deep[chance(ARRAY_SIZE(deep))]
				      : flat[chance(ARRAY_SIZE(flat))];
	if (n->type == STRUCT || n->type == KEYED)
		n->n = 1 + chance(FIELDS_MAX);
	else if (n->type == FREE_MAP)
		n->n = 1;
	for (unsigned i = 0; i < n->n; i++)
		n->children[i] = node_new(depth + 1);
	return n;
}

void node_free(Node *n)
{
	for (unsigned i = 0; i < n->n; i++)
		node_free(n->children[i]);
	free(n);
}

static json_t *openapi_struct(const Node *n)
{
	json_t *properties = json_object();

	for (unsigned i = 0; i < n->n; i++) {
		_cleanup_(xfreep) char *name = xasprintf("f%u", i);

		json_object_set_new(properties, name, openapi_of(n->children[i]));
	}
	if (n->type == KEYED)
		json_object_set_new(properties, "fk", json_pack("{s:s}", "type", "string"));
	return json_pack("{s:s, s:o}", "type", "object", "properties", properties);
}

json_t *openapi_of(const Node *n)
{
	static const char list_type[] = "x-kubernetes-list-type";

	switch (n->type) {
	case STRUCT:
		return openapi_struct(n);
	case FREE_MAP:
		return json_pack("{s:s, s:o}", "type", "object", "additionalProperties",
				 openapi_of(n->children[0]));
	case ATOMIC_MAP:
		return json_pack("{s:s, s:s, s:{s:s}}", "type", "object", "x-kubernetes-map-type",
				 "atomic", "additionalProperties", "type", "integer");
	case ATOMIC_LIST:
		return json_pack("{s:s, s:{s:s}}", "type", "array", "items", "type", "integer");
	case SET:
		return json_pack("{s:s, s:s, s:{s:s}}", "type", "array", list_type, "set", "items",
				 "type", "integer");
	case KEYED:
		return json_pack("{s:s, s:s, s:[s], s:o}", "type", "array", list_type, "map",
				 "x-kubernetes-list-map-keys", "fk", "items", openapi_struct(n));
	default:
		return json_pack("{s:s}", "type", "integer");
	}
}

/* ---- values ---- */

static json_t *struct_new(const Node *n)
{
	json_t *v = json_object();

	for (unsigned i = 0; i < n->n; i++) {
		_cleanup_(xfreep) char *name = xasprintf("f%u", i);

		if (chance(3))
			json_object_set_new(v, name, value_new(n->children[i]));
	}
	return v;
}

json_t *value_new(const Node *n)
{
	json_t *v, *item;

	switch (n->type) {
	case STRUCT:
		return struct_new(n);
	case FREE_MAP:
	case ATOMIC_MAP:
		v = json_object();
		for (unsigned i = 0; i < 3; i++) {
			_cleanup_(xfreep) char *name = xasprintf("x%u", i);

			if (chance(2))
				json_object_set_new(v, name,
						    n->n ? value_new(n->children[0])
							 : json_integer(chance(3)));
		}
		return v;
	case ATOMIC_LIST:
	case SET:
		v = json_array();
		for (unsigned i = 0; i < 4; i++)
			if (chance(2))
				json_array_insert_new(v, chance((unsigned)json_array_size(v) + 1),
						      json_integer(i));
		return v;
	case KEYED:
		v = json_array();
		for (unsigned i = 0; i < 3; i++) {
			if (!chance(2))
				continue;
			item = struct_new(n);
			json_object_set_new(item, "fk", json_sprintf("n%u", i));
			json_array_insert_new(v, chance((unsigned)json_array_size(v) + 1), item);
		}
		return v;
	default:
		return json_integer(chance(3));
	}
}

json_t *value_mutate(const Node *n, const json_t *old)
{
	json_t *v = json_deep_copy(old), *at;
	_cleanup_(xfreep) char *name = NULL;
	unsigned i;

	if (chance(5) == 0 || (n->type != STRUCT && n->type != FREE_MAP)) {
		json_decref(v);
		return value_new(n);
	}
	i = chance(n->type == STRUCT ? n->n : 3);
	name = xasprintf("%c%u", n->type == STRUCT ? 'f' : 'x', i);
	at = json_object_get(v, name);
	if (n->type == FREE_MAP)
		i = 0;
	if (!at)
		json_object_set_new(v, name, value_new(n->children[i]));
	else if (chance(3) == 0)
		json_object_del(v, name);
	else
		json_object_set_new(v, name, value_mutate(n->children[i], at));
	return v;
}
