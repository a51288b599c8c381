/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this folder share. Private to pkg/json.
 */
#pragma once

#include "json/json.h"

/* Calls fn for each member of the text, which is JSON, that has the name of one before it. */
void json_find_doubled(const char *text, JsonDoubledFn fn, void *arg);
