/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prune: of the members of an ApplySet those that the manifests no longer name, with what stands
 * between a slip of the pen and a deleted guest. Shared by apply and diff. One thread.
 *
 *	- without a document nothing is pruned (the caller sees to that);
 *	- not more than a share of the set, unless it is only two objects;
 *	- what holds data (instances with their disks, namespaces, definitions with their objects)
 *only with --prune-data or the annotation shakenfist.io/prune=allow;
 *	- never what has the annotation shakenfist.io/prune=disabled;
 *	- not a network that an instance is on which stays.
 */
#pragma once

#include "applyset.h"
#include "waiter.h"

#define PRUNE_ALWAYS_ALLOWED 2 /* so many may go, whatever share of the set they are */

typedef struct PruneOptions {
	bool prune;
	const char *applyset;
	bool data;
	int64_t max_percent;
} PruneOptions;

/* Rows of a verb's option table; `field` is the PruneOptions in its struct. */
#define PRUNE_OPTIONS(values, field) \
	OPTION(0, "prune", FLAG, values, field.prune, NULL, \
	       "delete members of the ApplySet that the manifests no longer name"), \
		OPTION(0, "applyset", STRING, values, field.applyset, "NAME|KIND/NAME", \
		       "with --prune: the Secret (or ConfigMap/NAME) that keeps which objects " \
		       "belong together"), \
		OPTION(0, "prune-data", FLAG, values, field.data, NULL, \
		       "with --prune: also what holds data, such as instances"), \
		OPTION(0, "prune-max-percent", INTEGER, values, field.max_percent, "PERCENT", \
		       "with --prune: refuse if more of the set would go", .preset = "50")

/* EXIT_OK, or EXIT_USAGE and said what is wrong with them. */
int prune_options_check(Cli *cli, const PruneOptions *o);
/*
 * Reads the ApplySet, makes the documents its members and decides every member's fate. *ret is to
 * be given to applyset_done() in any case. Prints errors; the exit code.
 */
int prune_begin(Cli *cli, const PruneOptions *o, Manifests *m, bool take_over, ApplySet *ret);
/* EXIT_OK, or said that more would go than the cap allows. */
int prune_allowed(const ApplySet *s, const PruneOptions *o);
/* "kept (data: needs --prune-data)"; NULL for what is applied or pruned. Caller frees. */
char *prune_kept_because(const Member *member);
/* True for a fate that leaves something undone that the manifests ask for. */
bool prune_was_held_back(const ApplySet *s);
/*
 * Deletes what is FATE_PRUNED, users before what they use, and prints one line for each; in a dry
 * run only that. With wait, until they are gone. The exit code.
 */
int prune_run(ApplySet *s, FILE *to, bool dry_run, bool wait, usec_t deadline);
