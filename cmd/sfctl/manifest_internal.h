/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between manifest.c (files) and document.c (what they say).
 */
#pragma once

#include "manifest.h"

/* Adds the object of a document, or each one of a List. Prints what is wrong; the exit code. */
int documents_add(Cli *cli, Manifests *m, const YamlDoc *source);
