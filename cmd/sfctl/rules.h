/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of roles and what binds them, as a person reads them: `describe` and `auth can-i --list`.
 * One thread.
 */
#pragma once

#include "base/hashmap.h"
#include "sfctl.h"
#include "table.h"

/* A table of rules: one row per resource or path, and none twice; `seen` (values NULL or whatever)
 * is the table's memory of its rows. */
Table *rules_table(void);
void rules_table_add(Table *t, Hashmap *seen, const json_t *rule);
/* A list of strings with spaces between; caller frees. */
char *strings_joined(const json_t *list);
/* What is special about a role or binding; its fields are taken out of `rest`. */
void describe_rules(Cli *cli, json_t *rest);
