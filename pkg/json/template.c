/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kubectl's templates: text with {...} in it, where the braces hold a path, a quoted text, or range
 * and end. See json.h. A missing path prints nothing.
 */
#include "json/jsonpath.h"

#include "base/memory.h"

#define TEMPLATE_DEPTH_MAX  16
#define TEMPLATE_OUTPUT_MAX (64u * 1024 * 1024)

typedef enum PartType { PART_TEXT, PART_PATHS, PART_RANGE, PART_END } PartType;

typedef struct Part {
	PartType type;
	char *text;       /* TEXT */
	JsonPath **paths; /* PATHS: printed one after the other; RANGE: one */
	size_t n_paths;
	size_t end; /* RANGE: the index of its END */
} Part;

typedef struct Template {
	Part *parts;
	size_t n, cap;
} Template;

static void template_done(Template *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->parts[i].text);
		for (size_t j = 0; j < t->parts[i].n_paths; j++)
			jsonpath_free(t->parts[i].paths[j]);
		free(t->parts[i].paths);
	}
	free(t->parts);
}

static Part *part_add(Template *t, PartType type)
{
	GROW_ARRAY(t->parts, t->n, t->cap);
	t->parts[t->n] = (Part){ .type = type };
	return &t->parts[t->n++];
}

static int part_add_path(Part *p, const char **s, Error *err)
{
	JsonPath *path = NULL;
	int rc = jsonpath_parse(s, &path, err);

	if (rc < 0)
		return rc;
	p->paths = xrealloc(p->paths, p->n_paths + 1, sizeof(*p->paths));
	p->paths[p->n_paths++] = path;
	return 0;
}

static const char *skip(const char *s)
{
	return s + strspn(s, " \t\n");
}

static bool is_word(const char *s, const char *word)
{
	size_t n = strlen(word);

	return strncmp(s, word, n) == 0 && (s[n] == ' ' || s[n] == '\t' || s[n] == '}');
}

/* What is between braces; *s is behind the opening one and moves behind the closing one. */
static int parse_braces(Template *t, const char **s, Error *err)
{
	const char *begin = *s;
	Part *p;
	int rc = 0;

	*s = skip(*s);
	if (is_word(*s, "end")) {
		part_add(t, PART_END);
		*s = skip(*s + 3);
	} else if (is_word(*s, "range")) {
		*s = skip(*s + 5);
		rc = part_add_path(part_add(t, PART_RANGE), s, err);
		*s = skip(*s);
	} else {
		for (; rc == 0 && **s && **s != '}'; *s = skip(*s)) {
			if (**s == '"' || **s == '\'') {
				p = part_add(t, PART_TEXT);
				p->text = jsonpath_quoted(s);
				if (!p->text)
					return error_set(err, ERR_INVALID,
							 "a quoted text does not end: %s", *s);
			} else {
				rc = part_add_path(part_add(t, PART_PATHS), s, err);
			}
		}
	}
	if (rc < 0)
		return rc;
	if (**s != '}')
		return error_set(err, ERR_INVALID, "{%s: expected }", begin);
	(*s)++;
	return 0;
}

/* Pairs every range with its end. */
static int match_ranges(Template *t, Error *err)
{
	size_t open[TEMPLATE_DEPTH_MAX], depth = 0;

	for (size_t i = 0; i < t->n; i++) {
		if (t->parts[i].type == PART_RANGE) {
			if (depth == TEMPLATE_DEPTH_MAX)
				return error_set(err, ERR_INVALID,
						 "more than %d ranges inside each other",
						 TEMPLATE_DEPTH_MAX);
			open[depth++] = i;
		} else if (t->parts[i].type == PART_END) {
			if (depth == 0)
				return error_set(err, ERR_INVALID, "{end} without {range}");
			t->parts[open[--depth]].end = i;
		}
	}
	return depth ? error_set(err, ERR_INVALID, "{range} without {end}") : 0;
}

static int template_parse(const char *s, Template *t, Error *err)
{
	int rc = 0;

	while (rc == 0 && *s) {
		size_t n = strcspn(s, "{");

		if (n) {
			part_add(t, PART_TEXT)->text = xstrndup(s, n);
			s += n;
		} else {
			s++;
			rc = parse_braces(t, &s, err);
		}
	}
	return rc < 0 ? rc : match_ranges(t, err);
}

void jsonpath_print(const json_t *v, StrBuf *out)
{
	char *text;

	if (json_is_string(v)) {
		strbuf_adds(out, json_string_value(v));
		return;
	}
	text = json_text(v);
	strbuf_adds(out, text);
	free(text);
}

static void print_path(const JsonPath *p, const json_t *root, const json_t *v, StrBuf *out)
{
	_cleanup_(json_decrefp) json_t *found = jsonpath_eval(p, root, v);
	json_t *x;
	size_t i;

	json_array_foreach (found, i, x) {
		if (i)
			strbuf_addc(out, ' ');
		jsonpath_print(x, out);
	}
}

static void run(const Template *t, size_t from, size_t to, const json_t *root, const json_t *v,
		StrBuf *out)
{
	for (size_t i = from; i < to && out->len < TEMPLATE_OUTPUT_MAX; i++) {
		const Part *p = &t->parts[i];

		switch (p->type) {
		case PART_TEXT:
			strbuf_adds(out, p->text);
			break;
		case PART_PATHS:
			print_path(p->paths[0], root, v, out);
			break;
		case PART_RANGE: {
			_cleanup_(json_decrefp) json_t *found = jsonpath_eval(p->paths[0], root, v);
			json_t *x;
			size_t k;

			json_array_foreach (found, k, x)
				run(t, i + 1, p->end, root, x, out);
			i = p->end;
			break;
		}
		case PART_END:
			break;
		}
	}
}

int jsonpath_template(const char *tmpl, const json_t *doc, StrBuf *out, Error *err)
{
	_cleanup_(template_done) Template t = { 0 };
	int rc = template_parse(tmpl, &t, err);

	if (rc < 0)
		return error_wrap_rc(err, rc, "jsonpath template");
	run(&t, 0, t.n, doc, doc, out);
	return 0;
}
