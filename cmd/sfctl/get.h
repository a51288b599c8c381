/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server tables: rows that the server has laid out, put into a Table of ours. One thread.
 */
#pragma once

#include "sfctl.h"
#include "table.h"

typedef struct TableView {
	const Resource *resource;
	bool wide, namespaces, labels, full_names;
	Table *table; /* made when the first columns are known */
	bool *shown;  /* per column of the server */
	size_t n_columns;
} TableView;

void table_view_done(TableView *v);
/* Adds the rows of an answer: a Table, or an object or list where the server knows no tables. */
void table_view_add(TableView *v, const json_t *answer);
