/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between manifest.c (files) and document.c (what they say).
 */
#pragma once

#include "manifest.h"

/* Adds the object of a document, or each one of a List. Prints what is wrong; the exit code. */
int documents_add(Cli *cli, Manifests *m, const YamlDoc *source);
/*
 * `spec.disks[name="root"].size`, as conflicts name fields, by index: "spec.disks[0].size". Caller
 * frees; NULL if the tree has no such item. A path that names none comes back as it is.
 */
char *field_path_by_index(const json_t *tree, const char *path);
/* "properties[a].type" and "data["a b"]" as members: "properties.a.type", "data.a b". Numbers stay.
 * Caller frees. */
char *field_path_by_member(const char *path);
