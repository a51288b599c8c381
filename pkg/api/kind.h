/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kind: what a CustomResourceDefinition says of one of its versions, compiled: names, scope,
 * schema, columns, subresources. All versions of a definition live and die together: a reference to
 * one keeps them all. Objects are stored in the storage version; `stored` is its Kind.
 *
 * A Kind is immutable and refcounted; the KindRegistry holds the storage Kind of each definition.
 * Kinds compiled into the binary are registered at start and cannot be replaced at run time; those
 * from a user's CRD come and go with it. Any thread; the registry has its own lock.
 */
#pragma once

#include <jansson.h>

#include "api/key.h"

typedef struct Schema Schema;

typedef enum PrinterType {
	PRINTER_STRING,
	PRINTER_INTEGER,
	PRINTER_NUMBER,
	PRINTER_BOOLEAN,
	PRINTER_DATE
} PrinterType;

typedef struct PrinterColumn {
	const char *name; /* "Status" */
	PrinterType type;
	const char *format; /* OpenAPI format or "" */
	const char *description;
	const char *json_path; /* ".status.printableStatus"; of a compiled-in kind also a template:
				  "{.roleRef.kind}/{.roleRef.name}" */
	int priority;          /* > 0: only with -o wide */
} PrinterColumn;

typedef enum NameFormat {
	NAME_DNS_SUBDOMAIN,
	NAME_DNS_LABEL,
	NAME_PATH_SEGMENT, /* of roles: "system:node" */
} NameFormat;

/* Where a kind with the scale subresource keeps its numbers: simple paths like ".spec.replicas". */
typedef struct KindScale {
	const char *spec_replicas, *status_replicas;
	const char *label_selector; /* NULL = none */
} KindScale;

typedef struct Kind Kind;
struct Kind {
	const GroupResource *gr;
	const char *group;       /* "" = core */
	const char *version;     /* "v1alpha1" */
	const char *api_version; /* "shakenfist.io/v1alpha1" */
	bool served;
	const char *deprecation_warning; /* what users of this version are told; NULL = nothing */
	const Kind *stored;              /* the storage version: often this very one */
	const Kind *const *versions;     /* all of them, the preferred one first; NULL-terminated */
	const char *kind;                /* "Instance" */
	const char *list_kind;           /* "InstanceList" */
	const char *plural, *singular;
	const char *const *short_names; /* NULL-terminated */
	const char *const *categories;  /* NULL-terminated */
	const char *description;
	bool namespaced;
	bool builtin;
	bool terminating;               /* the definition is being deleted: no new objects */
	const GroupResource *view_of;   /* whose objects it shows in its own form; NULL = its own */
	bool read_only;                 /* nobody writes to it */
	bool name_is_wide;              /* its name tells nothing: only with -o wide */
	bool has_status;                /* status subresource */
	const KindScale *scale;         /* scale subresource; NULL = none */
	const char *const *power_verbs; /* subresources "start", "stop", ...: NULL-terminated, empty
					   for most */
	NameFormat name_format;
	const Schema *schema; /* of the whole object */
	const PrinterColumn
		*columns; /* without Name; with Age where the CRD names it or has no columns */
	size_t n_columns;
	uint64_t form;         /* a hash of what shapes a stored object and its cells */
	const json_t *openapi; /* the schema as it was written; read only */
	const json_t *crd;     /* the definition itself; read only */
};

/* Under which its objects are stored. */
static inline const GroupResource *kind_source(const Kind *k)
{
	return k->view_of ? k->view_of : k->gr;
}

Kind *kind_ref(const Kind *k);
Kind *kind_unref(Kind *k);
DEFINE_CLEANUP(Kind *, kind_unref)

/*
 * Compiles a CRD object (apiextensions.k8s.io/v1, already structurally valid) and gives the Kind of
 * its storage version; -ERR_INVALID with path and reason. Names are those that its status says are
 * accepted, if it says so.
 */
int kind_from_crd(const json_t *crd, bool builtin, Kind **ret, Error *err);

/* The order in which Kubernetes prefers versions: v2, v1, v2beta1, v1alpha1, others by name. As
 * strcmp(). */
int version_compare(const char *a, const char *b);

/*
 * A tree of this kind, in any version, as one of version k: apiVersion, and without what that
 * version's schema does not know. In place. There is nothing more to a conversion (strategy None).
 */
void kind_convert(const Kind *k, json_t *tree);
/* A stored tree of a user's kind as its definition has it now: also without fields that are no
 * longer known, and with defaults that are new. In place. */
void kind_refresh(const Kind *k, json_t *tree);

/* The values of the kind's columns for a tree, as a JSON array, Age columns as their timestamp. New
 * reference. */
json_t *kind_cells(const Kind *k, const json_t *tree);

typedef struct KindRegistry KindRegistry;

/* Holds all compiled-in kinds. */
KindRegistry *kind_registry_new(void);
KindRegistry *kind_registry_free(KindRegistry *r);
DEFINE_CLEANUP(KindRegistry *, kind_registry_free)

/* A new reference to the storage version, or NULL. */
Kind *kind_registry_find(KindRegistry *r, const GroupResource *gr);
/* The served version of that name; a new reference, or NULL. */
Kind *kind_registry_find_by_kind(KindRegistry *r, const char *api_version, const char *kind);
/* What a user types: plural, singular, short name, Kind, or "plural.group", in any case. */
Kind *kind_registry_find_by_word(KindRegistry *r, const char *word);
/* All storage versions, ordered by group then plural; caller unrefs each and frees the array. */
Kind **kind_registry_list(KindRegistry *r, size_t *ret_n);
/* -ERR_FORBIDDEN if a compiled-in kind has that name. Takes its own reference. */
int kind_registry_add(KindRegistry *r, Kind *k, Error *err);
void kind_registry_remove(KindRegistry *r, const GroupResource *gr); /* never a compiled-in one */
/* Goes up with each change: discovery caches by it. */
uint64_t kind_registry_generation(KindRegistry *r);
