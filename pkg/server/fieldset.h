/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What apply.c and fieldset.c share about leaves and the keys of list items. Pure.
 */
#pragma once

#include "api/schema.h"
#include "base/hashmap.h"

bool fieldset_is_leaf(const json_t *set);
/* "k:{"name":"root"}" or NULL if the item lacks a key; caller frees. */
char *list_item_key(const Schema *list, const json_t *item);
/* "v:"x"" or NULL for a composite; caller frees. */
char *set_item_key(const json_t *item);
/* Key -> item (borrowed, the first one with that key) of a list; NULL if `list` is none. Made once
 * per list: looking through all items for each key would take the square of their number. */
Hashmap *list_index(const Schema *schema, const json_t *list);
/* How this list merges: atomic also where its items do not carry what the schema's type needs. */
ListType list_type_of(const Schema *schema, const json_t *list);
