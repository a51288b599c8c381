/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table: rows of text in aligned columns, three spaces apart, as kubectl prints them.
 *
 * Cells are escaped, so that text of guests and of other people cannot drive the terminal; nothing
 * is ever cut. Widths only grow: rows that come later (a watch) keep the columns of those before.
 * One thread.
 */
#pragma once

#include <stdio.h>

#include "base/macro.h"

typedef struct Table Table;

Table *table_new(void);
Table *table_free(Table *t);
DEFINE_CLEANUP(Table *, table_free)

/* Columns first; the name is printed in capitals. */
void table_column(Table *t, const char *name);
size_t table_columns(const Table *t);
/* Cells of the current row, left to right; NULL is empty. table_end_row() fills up the rest. */
void table_cell(Table *t, const char *text);
void table_end_row(Table *t);
size_t table_rows(const Table *t);
/* Prints what has been added since the last call; the head before the first row, if wanted. */
void table_print(Table *t, FILE *out, bool head, bool color, const char *indent);

/* How many columns of a terminal s takes; bad UTF-8 counts one per byte. */
size_t text_width(const char *s);
/* s with control characters and bad UTF-8 as \xNN; newline and tab become a space. Caller frees. */
char *text_escape(const char *s);
/* The SGR sequence that fits a status word ("Running", "Failed", "False"), or NULL. */
const char *status_color(const char *word);
