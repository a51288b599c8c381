/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifests: the documents of -f FILE, DIR or -, read and checked for syntax all together, ready to
 * be sent in an order that works. One thread.
 *
 * Of a folder everything that ends in .yaml, .yml or .json is read, to any depth, in order of name;
 * hidden files and editors' copies are passed over, a device or FIFO is an error, a loop of links
 * ends.
 */
#pragma once

#include "sfctl.h"
#include "yaml/yaml.h"

typedef struct Document {
	const YamlDoc *source; /* positions */
	char *prefix;          /* "" or "items[2].": where in its document it stands */
	const json_t *tree;    /* borrowed from source */
	const char *api_version, *kind, *name; /* borrowed from tree */
	const char *namespace;    /* its own, else the command's; NULL for cluster scope */
	const Resource *resource; /* set by manifests_resolve() */
	bool pending_kind;        /* its kind is defined by another document of the same set */
	bool broken;              /* an error was told about it already */
	size_t order;             /* as read */
} Document;

typedef struct Manifests {
	Document *items;
	size_t n, cap;
	YamlDocs **files;
	size_t n_files, cap_files;
} Manifests;

void manifests_done(Manifests *m);
/*
 * Reads all of them. Each error is printed ("web.yaml:3:5: …"), and the first one's exit code is
 * returned, EXIT_OK if there is none.
 */
int manifests_load(Cli *cli, char *const *paths, Manifests *ret);
/* Finds each document's kind and namespace and sorts for apply. Prints errors, as above. */
int manifests_resolve(Cli *cli, Manifests *m);
/* Where a kind stands in the order of apply: what others use comes first. */
int document_kind_order(const char *kind);
/*
 * What the documents of these files name, in the order of apply, or reversed: users before what
 * they use. Prints errors; the exit code.
 */
int targets_from_files(Cli *cli, char *const *paths, bool reverse, Targets *ret);
/* Prints "web.yaml:12:9: spec.cpus: text". path may be "" (the document itself). */
void document_error(Cli *cli, const Document *d, const char *path, const char *text);
/*
 * Prints every cause of the server's last answer to this document, with its position; an answer
 * without causes as one line. Returns the exit code.
 */
ExitCode document_report(Cli *cli, const Document *d, int rc, Error *err);
/* True if the last answer was a conflict of field managers. */
bool status_is_field_conflict(const json_t *status);
