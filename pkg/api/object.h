/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Object: one stored object at one revision. Immutable and refcounted, so every thread may hold and
 * read it.
 *
 * It keeps the serialized JSON and a small head with all that lists, selectors, tables, triggers
 * and garbage collection need, so that these decode nothing. The head can be stored beside the body
 * and read back (object_head_encode / object_new_from_parts): start-up decodes no bodies.
 */
#pragma once

#include <jansson.h>

#include "api/key.h"
#include "base/random.h"

struct Kind;

typedef struct OwnerReference {
	const char *api_version, *kind, *name, *uid;
	bool controller, block_owner_deletion;
} OwnerReference;

typedef struct Label {
	const char *key, *value;
} Label;

/* Strings live as long as the Object. */
typedef struct ObjectHead {
	char uid[UUID_MAX];
	int64_t generation;
	const char *creation_timestamp; /* RFC 3339 */
	const char *deletion_timestamp; /* NULL = not being deleted */
	const Label *labels;            /* sorted by key */
	size_t n_labels;
	const Label *annotations_kept; /* only those under shakenfist.io/ */
	size_t n_annotations_kept;
	const OwnerReference *owners;
	size_t n_owners;
	const char *const *finalizers; /* NULL-terminated */
	const char *cells;  /* JSON array: the kind's printer cells without Age; "" if the kind has
			       none */
	const char *charge; /* what it takes of its namespace's quotas (quota.h); "" = it is only
			       counted */
} ObjectHead;

typedef struct Object Object;

Object *object_ref(Object *o);
Object *object_unref(Object *o);
DEFINE_CLEANUP(Object *, object_unref)

const Key *object_key(const Object *o);
const ObjectHead *object_head(const Object *o);
int64_t object_revision(const Object *o); /* = metadata.resourceVersion */
int64_t object_create_revision(const Object *o);
bool object_is_deleting(const Object *o);
const char *object_label(const Object *o, const char *key); /* NULL if absent */
bool object_has_finalizer(const Object *o, const char *finalizer);

/* The canonical serialized JSON (compact), with metadata.resourceVersion; NUL-terminated. Lives as
 * long as o. */
const char *object_text(const Object *o, size_t *ret_len);
/* A fresh decoded tree, the caller's. */
json_t *object_decode(const Object *o);
/*
 * The same, lean: metadata.managedFields, which is half of many objects and read by few, is a
 * string that holds its JSON. For those who write: object_new() and api/managed.h take it so. A
 * lean tree is never shown to anybody.
 */
json_t *object_decode_lean(const Object *o);
void object_tree_lean(json_t *tree); /* in place */

/*
 * Builds an object at revision rev from its tree (not consumed). `kind` gives printer columns and
 * may be NULL. Sets metadata.resourceVersion in the text. The tree is complete: apiVersion, kind,
 * metadata.
 */
Object *object_new(const Key *key, const struct Kind *kind, const json_t *tree, int64_t create_rev,
		   int64_t rev);
/*
 * The same object at another revision: for a writer that learns the revision last. Cheap: splices
 * the text.
 */
Object *object_with_revision(const Object *o, int64_t create_rev, int64_t rev);
/* The head as one blob, and an object from stored parts: -ERR_INTERNAL if the blob is not ours
 * (then use object_new). */
void object_head_encode(const Object *o, void **ret, size_t *ret_len);
int object_new_from_parts(const Key *key, int64_t create_rev, int64_t rev, const void *head,
			  size_t head_len, const char *text, size_t text_len, Object **ret,
			  Error *err);

typedef struct ObjectList {
	Object **items; /* in key order, each one referenced */
	size_t n;
	int64_t revision;     /* of the state that was listed */
	char *continue_token; /* NULL = complete */
	uint64_t remaining;   /* how many more there are; 0 if complete */
} ObjectList;

ObjectList *object_list_free(ObjectList *l);
DEFINE_CLEANUP(ObjectList *, object_list_free)
