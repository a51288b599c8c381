/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an object uses and what uses it, with how each one is: the part of `describe` that spares
 * looking at three other objects.
 */
#pragma once

#include "sfctl.h"

/* Prints a "Related:" table, or nothing if there is nothing. Failures are left out silently. */
void related_print(Cli *cli, const Resource *r, const json_t *object);
