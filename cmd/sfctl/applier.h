/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applier: sends documents to the server as server-side apply, first all as a dry run, so that
 * nothing is stored while anything is wrong. Shared by apply and diff. One thread.
 */
#pragma once

#include "manifest.h"

/* As whom, and how, fields are applied. */
typedef struct ApplyAs {
	const char *manager; /* NULL = FIELD_MANAGER */
	bool force;          /* takes fields over from others */
} ApplyAs;

#define FIELD_MANAGER_OPTION(type, member) \
	OPTION(0, "field-manager", STRING, type, member, "NAME", \
	       "whose fields these are: who applies under another name owns others", \
	       .preset = FIELD_MANAGER)

/*
 * Asks the server what would become of the document. *ret is the object as it would be (caller's),
 * or NULL where the server cannot say yet because its kind or namespace is made by the same
 * manifests: then the schema that we have was asked instead. Prints errors; the exit code.
 */
int document_try(Cli *cli, const Manifests *m, const Document *d, const ApplyAs *as, json_t **ret);
/*
 * Stores it: only over that resourceVersion, if it is not NULL and the manifest names none itself;
 * -ERR_CONFLICT if it has moved on. *ret is the object; errors are not printed yet.
 */
int document_store(Cli *cli, const Document *d, const ApplyAs *as, const char *version,
		   json_t **ret, Error *err);
/* The stored object; *ret stays NULL if there is none. */
int document_live(Cli *cli, const Document *d, json_t **ret, Error *err);
/* Prints what helps against a conflict of field managers. */
void print_conflict_hint(Cli *cli);
