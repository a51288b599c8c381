/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table: see table.h.
 */
#include "table.h"

#include <ctype.h>
#include <wchar.h>

#include "base/log.h"
#include "base/memory.h"

#define TABLE_GAP 3

struct Table {
	char **names;
	size_t *widths;
	size_t n_columns, cap_columns;
	char **cells; /* of the rows not printed yet, n_columns each */
	size_t n_cells, cap_cells;
	bool head_done;
};

Table *table_new(void)
{
	return xnew0(Table, 1);
}

static void table_drop_cells(Table *t)
{
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i]);
	t->n_cells = 0;
}

Table *table_free(Table *t)
{
	if (!t)
		return NULL;
	table_drop_cells(t);
	strv_free(t->names);
	free(t->widths);
	free(t->cells);
	free(t);
	return NULL;
}

size_t text_width(const char *s)
{
	mbstate_t state = { 0 };
	size_t width = 0, left = strlen(s), n;
	wchar_t wc;
	int w;

	while (left) {
		n = mbrtowc(&wc, s, left, &state);
		if (n == (size_t)-1 || n == (size_t)-2 || n == 0) {
			state = (mbstate_t){ 0 };
			n = 1;
			w = 1;
		} else {
			w = wcwidth(wc);
		}
		width += (size_t)MAX(w, 0);
		s += n;
		left -= n;
	}
	return width;
}

char *text_escape(const char *s)
{
	_cleanup_(xfreep) char *flat = xstrdup(s);
	size_t size = strlen(s) * 4 + 8; /* each byte may become \xNN */
	char *out = xmalloc(size);

	for (char *p = flat; *p; p++)
		if (*p == '\n' || *p == '\t')
			*p = ' ';
	log_escape(flat, out, size);
	return out;
}

const char *status_color(const char *word)
{
	static const char green[] = "\033[32m", yellow[] = "\033[33m", red[] = "\033[31m";
	static const struct {
		const char *word, *color;
	} words[] = {
		{"Running",            green },
		{ "Ready",             green },
		{ "Active",            green },
		{ "True",              green },
		{ "Provisioning",      yellow},
		{ "Pending",           yellow},
		{ "Fetching",          yellow},
		{ "Converting",        yellow},
		{ "Starting",          yellow},
		{ "Stopping",          yellow},
		{ "Terminating",       yellow},
		{ "WaitingForImage",   yellow},
		{ "WaitingForNetwork", yellow},
		{ "Warning",           yellow},
		{ "Unknown",           yellow},
		{ "CrashLoopBackOff",  red   },
		{ "Unschedulable",     red   },
		{ "Failed",            red   },
		{ "False",             red   },
		{ "NotReady",          red   },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (streq(words[i].word, word))
			return words[i].color;
	return NULL;
}

void table_column(Table *t, const char *name)
{
	_cleanup_(xfreep) char *upper = text_escape(name);

	assert(t->n_cells == 0);
	for (char *p = upper; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	GROW_ARRAY(t->widths, t->n_columns, t->cap_columns);
	t->widths[t->n_columns++] = 0;
	t->names = strv_append(t->names, upper);
}

size_t table_columns(const Table *t)
{
	return t->n_columns;
}

void table_cell(Table *t, const char *text)
{
	char *escaped = text_escape(text ? text : "");

	GROW_ARRAY(t->cells, t->n_cells, t->cap_cells);
	t->widths[t->n_cells % t->n_columns] =
		MAX(t->widths[t->n_cells % t->n_columns], text_width(escaped));
	t->cells[t->n_cells++] = escaped;
}

void table_end_row(Table *t)
{
	while (t->n_cells % t->n_columns)
		table_cell(t, "");
}

size_t table_rows(const Table *t)
{
	return t->n_columns ? t->n_cells / t->n_columns : 0;
}

static void print_row(const Table *t, FILE *out, char *const *cells, bool color, const char *indent)
{
	size_t last = t->n_columns;

	while (last && !*cells[last - 1]) /* no blanks at the end of a line */
		last--;
	fputs(indent, out);
	for (size_t i = 0; i < last; i++) {
		const char *sgr = color ? status_color(cells[i]) : NULL;

		fprintf(out, "%s%s%s", sgr ? sgr : "", cells[i], sgr ? "\033[0m" : "");
		if (i + 1 < last)
			fprintf(out, "%*s", (int)(t->widths[i] - text_width(cells[i])) + TABLE_GAP,
				"");
	}
	fputc('\n', out);
}

void table_print(Table *t, FILE *out, bool head, bool color, const char *indent)
{
	if (head && !t->head_done)
		for (size_t i = 0; i < t->n_columns; i++)
			t->widths[i] = MAX(t->widths[i], text_width(t->names[i]));
	if (head && !t->head_done && t->n_columns)
		print_row(t, out, t->names, false, indent);
	t->head_done = true;
	for (size_t i = 0; i + t->n_columns <= t->n_cells && t->n_columns; i += t->n_columns)
		print_row(t, out, t->cells + i, color, indent);
	table_drop_cells(t);
	fflush(out);
}
