/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Look-ups in a schema for those who walk an object with it field by field; and the schema of
 * metadata, which no definition of a kind spells out.
 */
#include <pthread.h>

#include "api/schema_internal.h"
#include "json/json.h"

/* Only what merging needs to know: which lists are sets and which have keys. */
static const char object_meta[] =
	"{\"type\":\"object\",\"properties\":{"
	"\"annotations\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}},"
	"\"creationTimestamp\":{\"type\":\"string\"},"
	"\"deletionGracePeriodSeconds\":{\"type\":\"integer\"},"
	"\"deletionTimestamp\":{\"type\":\"string\"},"
	"\"finalizers\":{\"type\":\"array\",\"x-kubernetes-list-type\":\"set\","
	"\"items\":{\"type\":\"string\"}},"
	"\"generateName\":{\"type\":\"string\"},"
	"\"generation\":{\"type\":\"integer\"},"
	"\"labels\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}},"
	"\"managedFields\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}},"
	"\"name\":{\"type\":\"string\"},"
	"\"namespace\":{\"type\":\"string\"},"
	"\"ownerReferences\":{\"type\":\"array\",\"x-kubernetes-list-type\":\"map\","
	"\"x-kubernetes-list-map-keys\":[\"uid\"],\"items\":{\"type\":\"object\","
	"\"x-kubernetes-map-type\":\"atomic\",\"properties\":{"
	"\"apiVersion\":{\"type\":\"string\"},\"blockOwnerDeletion\":{\"type\":\"boolean\"},"
	"\"controller\":{\"type\":\"boolean\"},\"kind\":{\"type\":\"string\"},"
	"\"name\":{\"type\":\"string\"},\"uid\":{\"type\":\"string\"}}}},"
	"\"resourceVersion\":{\"type\":\"string\"},"
	"\"selfLink\":{\"type\":\"string\"},"
	"\"uid\":{\"type\":\"string\"}}}";

static Schema *metadata_schema;

static void compile_metadata(void)
{
	json_t *openapi = json_loads(object_meta, 0, NULL);

	metadata_schema = schema_compile(openapi, "metadata", NULL);
	assert(metadata_schema);
	json_decref(openapi);
}

static const Schema *metadata(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, compile_metadata);
	return metadata_schema;
}

const Schema *schema_member(const Schema *s, const char *name)
{
	return s && s->root && streq(name, "metadata") ? metadata() : schema_property(s, name);
}

const Schema *schema_of_metadata(const char *name)
{
	return schema_property(metadata(), name);
}

const Schema *schema_at_step(const Schema *s, const char *step)
{
	return str_has_prefix(step, "f:") ? schema_member(s, step + 2) : schema_items(s);
}

bool schema_names(const Schema *s, const char *name)
{
	if (s && s->root &&
	    (streq(name, "apiVersion") || streq(name, "kind") || streq(name, "metadata")))
		return true;
	for (size_t i = 0; s && i < s->n_properties; i++)
		if (streq(s->properties[i].name, name))
			return true;
	return false;
}

bool schema_is_list(const Schema *s)
{
	return s && s->type == TYPE_ARRAY;
}

const json_t *schema_default_of(const Schema *s)
{
	return s ? s->dflt : NULL;
}
