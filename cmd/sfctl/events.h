/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of events, as `events` and `describe` print them.
 */
#pragma once

#include <jansson.h>

#include "table.h"

void event_columns(Table *t, bool namespaces, bool objects);
void event_row(Table *t, const json_t *event, bool namespaces, bool objects);
