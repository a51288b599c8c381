/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kind: what a CustomResourceDefinition says, compiled: names, scope, schema, columns,
 * subresources. A Kind is immutable and refcounted; the KindRegistry maps names to the newest one.
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
	const char *json_path; /* ".status.printableStatus" */
	int priority;          /* > 0: only with -o wide */
} PrinterColumn;

typedef struct Kind {
	const GroupResource *gr;
	const char *group;       /* "" = core */
	const char *version;     /* "v1alpha1": the storage version */
	const char *api_version; /* "shakenfist.io/v1alpha1" */
	const char *kind;        /* "Instance" */
	const char *list_kind;   /* "InstanceList" */
	const char *plural, *singular;
	const char *const *short_names; /* NULL-terminated */
	const char *const *categories;  /* NULL-terminated */
	const char *description;
	bool namespaced;
	bool builtin;
	bool has_status;                /* status subresource */
	const char *const *power_verbs; /* subresources "start", "stop", ...: NULL-terminated, empty
					   for most */
	bool name_is_dns_label;         /* else DNS subdomain */
	const Schema *schema;           /* of the whole object */
	const PrinterColumn
		*columns; /* without Name; with Age where the CRD names it or has no columns */
	size_t n_columns;
	const json_t *crd; /* the definition itself; read only */
} Kind;

Kind *kind_ref(const Kind *k);
Kind *kind_unref(Kind *k);
DEFINE_CLEANUP(Kind *, kind_unref)

/* Compiles a CRD object (apiextensions.k8s.io/v1, already structurally valid); -ERR_INVALID with
 * path and reason. */
int kind_from_crd(const json_t *crd, bool builtin, Kind **ret, Error *err);

/* The values of the kind's columns for a tree, as a JSON array, Age columns as their timestamp. New
 * reference. */
json_t *kind_cells(const Kind *k, const json_t *tree);

typedef struct KindRegistry KindRegistry;

/* Holds all compiled-in kinds. */
KindRegistry *kind_registry_new(void);
KindRegistry *kind_registry_free(KindRegistry *r);
DEFINE_CLEANUP(KindRegistry *, kind_registry_free)

/* A new reference, or NULL. */
Kind *kind_registry_find(KindRegistry *r, const GroupResource *gr);
Kind *kind_registry_find_by_kind(KindRegistry *r, const char *api_version, const char *kind);
/* What a user types: plural, singular, short name, Kind, or "plural.group", in any case. */
Kind *kind_registry_find_by_word(KindRegistry *r, const char *word);
/* All, ordered by group then plural; caller unrefs each and frees the array. */
Kind **kind_registry_list(KindRegistry *r, size_t *ret_n);
/* -ERR_FORBIDDEN if a compiled-in kind has that name. Takes its own reference. */
int kind_registry_add(KindRegistry *r, Kind *k, Error *err);
void kind_registry_remove(KindRegistry *r, const GroupResource *gr); /* never a compiled-in one */
/* Goes up with each change: discovery caches by it. */
uint64_t kind_registry_generation(KindRegistry *r);
