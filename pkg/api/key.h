/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key: the name of one stored thing: group, resource (the plural), namespace, name. A value:
 * copied, compared, hashed and queued without any allocation. Group and resource are interned
 * together and live for the whole process, so two keys of one kind share a pointer. Any thread.
 */
#pragma once

#include "base/error.h"

#define KEY_NAME_MAX      254 /* 253 bytes and NUL */
#define KEY_NAMESPACE_MAX 64
#define KEY_TEXT_MAX      900 /* of key_format() */

/* Interned; compare by pointer. group is "" for the core group. */
typedef struct GroupResource {
	const char *group;
	const char *resource;
} GroupResource;

const GroupResource *group_resource(const char *group, const char *resource);
/* "instances.shakenfist.io", "namespaces": as Kubernetes writes it in messages. buf of at least 512
 * bytes. */
const char *group_resource_format(const GroupResource *gr, char *buf, size_t size);

typedef struct Key {
	const GroupResource *gr;
	char namespace[KEY_NAMESPACE_MAX]; /* "" for cluster scope */
	char name[KEY_NAME_MAX];
} Key;

/* Aborts if a part is too long: names are validated at the door. */
Key key_make(const GroupResource *gr, const char *namespace, const char *name);
int key_compare(const Key *a,
		const Key *b); /* by group, resource, namespace, name: the order of lists */
bool key_equal(const Key *a, const Key *b);
uint64_t key_hash(const Key *k);
/* "instances.shakenfist.io default/web-1"; buf of KEY_TEXT_MAX bytes. */
const char *key_format(const Key *k, char *buf, size_t size);

/* The kinds that are compiled in. */
#define GR_INSTANCE   group_resource("shakenfist.io", "instances")
#define GR_IMAGE      group_resource("shakenfist.io", "images")
#define GR_NETWORK    group_resource("shakenfist.io", "networks")
#define GR_NODE       group_resource("shakenfist.io", "nodes")
#define GR_CREDENTIAL group_resource("shakenfist.io", "credentials")
#define GR_NAMESPACE  group_resource("", "namespaces")
#define GR_SECRET     group_resource("", "secrets")
#define GR_CONFIGMAP  group_resource("", "configmaps")
#define GR_QUOTA      group_resource("", "resourcequotas")
#define GR_EVENT      group_resource("", "events")
#define GR_CRD        group_resource("apiextensions.k8s.io", "customresourcedefinitions")
/* Internal records, never served: allocations (VNI, address, MAC, port id) and the like. */
#define GR_ALLOC group_resource("internal.shakenfist.io", "allocations")
