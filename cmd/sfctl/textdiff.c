/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Textdiff: longest common subsequence of lines. Objects have hundreds of lines, so the plain
 * quadratic table, after cutting equal heads and tails, is fast and easy to trust; beyond a bound
 * everything between is shown as replaced.
 */
#include "textdiff.h"

#include "base/memory.h"

#define CONTEXT_LINES 3
#define TABLE_MAX     (16u * 1024 * 1024) /* cells */

typedef enum EditKind { EDIT_SAME, EDIT_REMOVED, EDIT_ADDED } EditKind;

typedef struct Edit {
	EditKind kind;
	const char *line;
	size_t a, b; /* line numbers, from 0, before this edit */
} Edit;

typedef struct Script {
	Edit *edits;
	size_t n, cap;
	size_t a, b;
} Script;

static void script_add(Script *s, EditKind kind, const char *line)
{
	GROW_ARRAY(s->edits, s->n, s->cap);
	s->edits[s->n++] = (Edit){ kind, line, s->a, s->b };
	s->a += kind != EDIT_ADDED;
	s->b += kind != EDIT_REMOVED;
}

static char **split_lines(const char *text)
{
	char **lines = strv_split(text, '\n');
	size_t n = strv_len(lines);

	if (n && !*lines[n - 1]) { /* behind the last newline there is no line */
		free(lines[n - 1]);
		lines[n - 1] = NULL;
	}
	return lines;
}

static void diff_middle(Script *s, char *const *a, size_t n, char *const *b, size_t m)
{
	_cleanup_(xfreep) uint32_t *lcs = NULL;
	size_t i = 0, j = 0, width = m + 1;

	if (n && m && (n + 1) * width <= TABLE_MAX) {
		lcs = xnew0(uint32_t, (n + 1) * width);
		for (size_t x = n; x-- > 0;)
			for (size_t y = m; y-- > 0;) {
				uint32_t down = lcs[(x + 1) * width + y];
				uint32_t right = lcs[x * width + y + 1];

				lcs[x * width + y] = streq(a[x], b[y])
							     ? lcs[(x + 1) * width + y + 1] + 1
							     : MAX(down, right);
			}
	}
	while (lcs && i < n && j < m) {
		if (streq(a[i], b[j])) {
			script_add(s, EDIT_SAME, a[i++]);
			j++;
		} else if (lcs[(i + 1) * width + j] >= lcs[i * width + j + 1]) {
			script_add(s, EDIT_REMOVED, a[i++]);
		} else {
			script_add(s, EDIT_ADDED, b[j++]);
		}
	}
	while (i < n)
		script_add(s, EDIT_REMOVED, a[i++]);
	while (j < m)
		script_add(s, EDIT_ADDED, b[j++]);
}

static void print_hunk(const Script *s, size_t from, size_t to, StrBuf *out)
{
	static const char marks[] = { [EDIT_SAME] = ' ', [EDIT_REMOVED] = '-', [EDIT_ADDED] = '+' };
	size_t removed = 0, added = 0, a = s->edits[from].a, b = s->edits[from].b;

	for (size_t i = from; i < to; i++) {
		removed += s->edits[i].kind != EDIT_ADDED;
		added += s->edits[i].kind != EDIT_REMOVED;
	}
	strbuf_addf(out, "@@ -%zu,%zu +%zu,%zu @@\n", removed ? a + 1 : a, removed,
		    added ? b + 1 : b, added);
	for (size_t i = from; i < to; i++)
		strbuf_addf(out, "%c%s\n", marks[s->edits[i].kind], s->edits[i].line);
}

static void print_hunks(const Script *s, StrBuf *out)
{
	size_t i = 0, from, to, next;

	while (i < s->n) {
		while (i < s->n && s->edits[i].kind == EDIT_SAME)
			i++;
		if (i == s->n)
			return;
		from = i > CONTEXT_LINES ? i - CONTEXT_LINES : 0;
		to = i;
		/* Changes with less than two contexts between them share a hunk. */
		for (next = i; next < s->n && next <= to + 2 * CONTEXT_LINES; next++)
			if (s->edits[next].kind != EDIT_SAME)
				to = next;
		to = MIN(to + 1 + CONTEXT_LINES, s->n);
		print_hunk(s, from, to, out);
		i = to;
	}
}

void text_diff(const char *a_name, const char *a, const char *b_name, const char *b, StrBuf *out)
{
	_cleanup_(strv_freep) char **x = NULL, **y = NULL;
	size_t n, m, head = 0, tail = 0;
	Script s = { 0 };

	if (streq(a, b))
		return;
	x = split_lines(a);
	y = split_lines(b);
	n = strv_len(x);
	m = strv_len(y);
	while (head < n && head < m && streq(x[head], y[head]))
		script_add(&s, EDIT_SAME, x[head++]);
	while (tail < n - head && tail < m - head && streq(x[n - 1 - tail], y[m - 1 - tail]))
		tail++;
	diff_middle(&s, x + head, n - head - tail, y + head, m - head - tail);
	for (size_t i = n - tail; i < n; i++)
		script_add(&s, EDIT_SAME, x[i]);
	strbuf_addf(out, "--- %s\n+++ %s\n", a_name, b_name);
	print_hunks(&s, out);
	free(s.edits);
}
