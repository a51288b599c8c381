/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jsonpath as kubectl understands it: parsing and look-up. See json.h and jsonpath.h.
 * Source of the syntax: the Kubernetes documentation, "JSONPath Support".
 */
#include "json/jsonpath.h"

#include <ctype.h>
#include <errno.h>

#include "base/memory.h"

static void step_done(Step *s)
{
	free(s->name);
	jsonpath_free(s->left);
	jsonpath_free(s->right);
	json_decref(s->literal);
	for (size_t i = 0; i < s->n_members; i++)
		step_done(&s->members[i]);
	free(s->members);
}

JsonPath *jsonpath_free(JsonPath *p)
{
	if (!p)
		return NULL;
	for (size_t i = 0; i < p->n_steps; i++)
		step_done(&p->steps[i]);
	free(p->steps);
	free(p);
	return NULL;
}

/* ---- parsing
 * ---------------------------------------------------------------------------------------------- */

static int parse_path(const char **s, unsigned depth, JsonPath **ret, Error *err);

static void skip_space(const char **s)
{
	while (**s == ' ' || **s == '\t')
		(*s)++;
}

char *jsonpath_quoted(const char **s)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;
	const char *p = *s;
	char quote = *p++;

	for (; *p && *p != quote; p++) {
		if (*p != '\\' || !p[1]) {
			strbuf_addc(&b, *p);
			continue;
		}
		switch (*++p) {
		case 'n':
			strbuf_addc(&b, '\n');
			break;
		case 't':
			strbuf_addc(&b, '\t');
			break;
		case 'r':
			strbuf_addc(&b, '\r');
			break;
		default:
			strbuf_addc(&b, *p);
		}
	}
	if (!*p)
		return NULL;
	*s = p + 1;
	return b.buf ? strbuf_take(&b) : xstrdup("");
}

/* A name after a dot; a backslash takes the next character as it is ("shakenfist\.io/x"). */
static char *parse_name(const char **s)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;
	const char *p = *s;

	for (; *p && !strchr(".[](){}<>=!,?@$'\" \t\n&|", *p); p++) {
		if (*p == '\\' && p[1])
			p++;
		strbuf_addc(&b, *p);
	}
	*s = p;
	return b.len ? strbuf_take(&b) : NULL;
}

static bool parse_number(const char **s, int64_t *ret)
{
	char *end;
	long long v;

	if (!isdigit((unsigned char)**s) && !(**s == '-' && isdigit((unsigned char)(*s)[1])))
		return false;
	errno = 0;
	v = strtoll(*s, &end, 10);
	if (errno)
		return false;
	*s = end;
	*ret = v;
	return true;
}

static int parse_filter_op(const char **s, FilterOp *ret, Error *err)
{
	static const struct {
		const char *text;
		FilterOp op;
	} ops[] = {
		{"==",  FILTER_EQ},
                { "!=", FILTER_NE},
                { "<=", FILTER_LE},
		{ ">=", FILTER_GE},
                { "<",  FILTER_LT},
                { ">",  FILTER_GT}
	};

	if (**s == ')') {
		*ret = FILTER_EXISTS;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		if (str_has_prefix(*s, ops[i].text)) {
			*s += strlen(ops[i].text);
			*ret = ops[i].op;
			return 0;
		}
	}
	return error_set(err, ERR_INVALID, "expected ==, !=, <, <=, >, >= or ) at \"%s\"", *s);
}

/* The right side: a string, number, true, false, null, or a path. */
static int parse_operand(const char **s, unsigned depth, Step *st, Error *err)
{
	static const struct {
		const char *text;
		json_t *(*make)(void);
	} words[] = {
		{"true",   json_true },
                { "false", json_false},
                { "null",  json_null }
	};
	const char *begin = *s;
	char *text, *end;
	int64_t v;

	if (**s == '@' || **s == '$' || **s == '.')
		return parse_path(s, depth + 1, &st->right, err);
	if (**s == '\'' || **s == '"') {
		text = jsonpath_quoted(s);
		if (!text)
			return error_set(err, ERR_INVALID, "a quoted string does not end: %s",
					 begin);
		st->literal = json_string(text);
		free(text);
		return st->literal ? 0 : error_set(err, ERR_INVALID, "the string is not UTF-8");
	}
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (str_has_prefix(*s, words[i].text)) {
			*s += strlen(words[i].text);
			st->literal = words[i].make();
			return 0;
		}
	}
	if (parse_number(s, &v)) {
		if (**s != '.' && **s != 'e') {
			st->literal = json_integer(v);
			return 0;
		}
		st->literal = json_real(strtod(begin, &end));
		*s = end;
		if (st->literal)
			return 0;
	}
	return error_set(err, ERR_INVALID, "expected a string, a number or a path at \"%s\"",
			 begin);
}

static int parse_filter(const char **s, unsigned depth, Step *st, Error *err)
{
	int rc;

	*s += 2; /* ?( */
	st->type = STEP_FILTER;
	skip_space(s);
	rc = parse_path(s, depth + 1, &st->left, err);
	if (rc < 0)
		return rc;
	skip_space(s);
	rc = parse_filter_op(s, &st->op, err);
	if (rc < 0)
		return rc;
	skip_space(s);
	if (st->op != FILTER_EXISTS) {
		rc = parse_operand(s, depth, st, err);
		if (rc < 0)
			return rc;
		skip_space(s);
	}
	if (**s != ')')
		return error_set(err, ERR_INVALID, "a filter must end with )] at \"%s\"", *s);
	(*s)++;
	return 0;
}

/* "3", "1:3", ":2", "::2" */
static int parse_range(const char **s, Step *st, Error *err)
{
	st->type = STEP_INDEX;
	st->by = 1;
	st->has_from = parse_number(s, &st->from);
	if (**s != ':')
		return st->has_from ? 0
				    : error_set(err, ERR_INVALID, "unexpected \"%s\" in []", *s);
	(*s)++;
	st->type = STEP_SLICE;
	st->has_to = parse_number(s, &st->to);
	if (**s == ':') {
		(*s)++;
		if (!parse_number(s, &st->by) || st->by < 1)
			return error_set(err, ERR_INVALID,
					 "the step of a slice must be at least 1");
	}
	return 0;
}

static int parse_member(const char **s, unsigned depth, Step *st, Error *err)
{
	if (**s == '*') {
		(*s)++;
		st->type = STEP_WILDCARD;
		return 0;
	}
	if ((*s)[0] == '?' && (*s)[1] == '(')
		return parse_filter(s, depth, st, err);
	if (**s == '\'' || **s == '"') {
		st->type = STEP_FIELD;
		st->name = jsonpath_quoted(s);
		return st->name ? 0 : error_set(err, ERR_INVALID, "a quoted name does not end");
	}
	return parse_range(s, st, err);
}

static int parse_bracket(const char **s, unsigned depth, Step *st, Error *err)
{
	Step *members = NULL;
	size_t n = 0, cap = 0;
	int rc = 0;

	do {
		(*s)++; /* [ or , */
		skip_space(s);
		GROW_ARRAY(members, n, cap);
		members[n] = (Step){ 0 };
		rc = parse_member(s, depth, &members[n++], err);
		skip_space(s);
	} while (rc == 0 && **s == ',' && n < JSONPATH_STEPS_MAX);
	if (rc == 0 && **s != ']')
		rc = **s ? error_set(err, ERR_INVALID, "expected ] at \"%s\"", *s)
			 : error_set(err, ERR_INVALID, "a [ has no ]");
	if (rc == 0 && n == 1) {
		*st = members[0];
		free(members);
	} else {
		*st = (Step){ .type = STEP_UNION, .members = members, .n_members = n };
	}
	if (rc == 0)
		(*s)++;
	return rc;
}

static int parse_dot(const char **s, Step *st, Error *err)
{
	(*s)++;
	if (**s == '.') {
		(*s)++;
		st->type = STEP_RECURSIVE;
		if (**s == '*')
			(*s)++;
		else if (**s != '[')
			st->name = parse_name(s);
		return 0;
	}
	if (**s == '*') {
		(*s)++;
		st->type = STEP_WILDCARD;
		return 0;
	}
	st->type = STEP_FIELD;
	st->name = parse_name(s);
	return st->name ? 0 : error_set(err, ERR_INVALID, "a field name is missing at \".%s\"", *s);
}

static int parse_path(const char **s, unsigned depth, JsonPath **ret, Error *err)
{
	_cleanup_(jsonpath_freep) JsonPath *p = xnew0(JsonPath, 1);
	int rc = 0;

	if (depth > 8)
		return error_set(err, ERR_INVALID, "filters are nested too deep");
	if (**s == '$' || **s == '@') {
		p->from_root = **s == '$';
		(*s)++;
	} else if (**s != '.' && **s != '[') {
		/* kubectl takes "metadata.name" for ".metadata.name". */
		Step st = { .type = STEP_FIELD, .name = parse_name(s) };

		if (!st.name)
			return error_set(err, ERR_INVALID, "a path is missing at \"%s\"", *s);
		GROW_ARRAY(p->steps, p->n_steps, p->cap);
		p->steps[p->n_steps++] = st;
	}
	while (rc == 0 && (**s == '[' || (**s == '.' && (*s)[1] && !strchr("})] \t", (*s)[1])))) {
		if (p->n_steps >= JSONPATH_STEPS_MAX)
			return error_set(err, ERR_INVALID, "a path has more than %d steps",
					 JSONPATH_STEPS_MAX);
		GROW_ARRAY(p->steps, p->n_steps, p->cap);
		p->steps[p->n_steps] = (Step){ 0 };
		rc = **s == '[' ? parse_bracket(s, depth, &p->steps[p->n_steps], err)
				: parse_dot(s, &p->steps[p->n_steps], err);
		p->n_steps++;
	}
	if (rc < 0)
		return rc;
	if (**s == '.' && p->n_steps == 0) /* "." alone is the document */
		(*s)++;
	*ret = TAKE_PTR(p);
	return 0;
}

int jsonpath_parse(const char **s, JsonPath **ret, Error *err)
{
	return parse_path(s, 0, ret, err);
}

int jsonpath_compile(const char *expr, JsonPath **ret, Error *err)
{
	_cleanup_(jsonpath_freep) JsonPath *p = NULL;
	const char *s = expr;
	bool braces;
	int rc;

	skip_space(&s);
	braces = *s == '{';
	s += braces;
	skip_space(&s);
	rc = jsonpath_parse(&s, &p, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "jsonpath %s", expr);
	skip_space(&s);
	if (braces && *s++ != '}')
		return error_set(err, ERR_INVALID, "jsonpath %s: expected } at \"%s\"", expr,
				 s - 1);
	skip_space(&s);
	if (*s)
		return error_set(err, ERR_INVALID, "jsonpath %s: unexpected \"%s\"", expr, s);
	*ret = TAKE_PTR(p);
	return 0;
}

/* ---- look-up
 * ---------------------------------------------------------------------------------------------- */

static void apply_step(const Step *st, const json_t *root, json_t *v, json_t *out);

static void emit(json_t *out, json_t *v)
{
	if (v && json_array_size(out) < JSONPATH_RESULTS_MAX)
		json_array_append(out, v);
}

static void apply_slice(const Step *st, json_t *v, json_t *out)
{
	int64_t n = (int64_t)json_array_size(v);
	int64_t from = st->has_from ? st->from : 0, to = st->has_to ? st->to : n;

	from = MAX(from < 0 ? from + n : from, (int64_t)0);
	to = MIN(to < 0 ? to + n : to, n);
	/* In this form i + by cannot overflow. */
	for (int64_t i = from; i < to; i += MIN(st->by, n))
		emit(out, json_array_get(v, (size_t)i));
}

static void apply_children(json_t *v, json_t *out)
{
	const char *key;
	json_t *c;
	size_t i;

	if (json_is_object(v)) {
		json_object_foreach (v, key, c)
			emit(out, c);
	} else if (json_is_array(v)) {
		json_array_foreach (v, i, c)
			emit(out, c);
	}
}

static void apply_recursive(const Step *st, json_t *v, json_t *out, unsigned depth)
{
	const char *key;
	json_t *c;
	size_t i;

	if (depth > 2 * JSON_DEPTH_MAX)
		return;
	if (!st->name)
		emit(out, v);
	else
		emit(out, json_object_get(v, st->name));
	if (json_is_object(v)) {
		json_object_foreach (v, key, c)
			apply_recursive(st, c, out, depth + 1);
	} else if (json_is_array(v)) {
		json_array_foreach (v, i, c)
			apply_recursive(st, c, out, depth + 1);
	}
}

/* < 0, 0, > 0; 2 = cannot be ordered. */
static int compare(const json_t *a, const json_t *b)
{
	int c;

	if (json_is_number(a) && json_is_number(b)) {
		double x = json_number_value(a), y = json_number_value(b);

		if (json_same(a, b))
			return 0;
		return x < y ? -1 : 1;
	}
	if (json_is_string(a) && json_is_string(b)) {
		c = strcmp(json_string_value(a), json_string_value(b));
		return c < 0 ? -1 : c > 0;
	}
	return json_same(a, b) ? 0 : 2;
}

static bool op_holds(FilterOp op, int c)
{
	switch (op) {
	case FILTER_EQ:
		return c == 0;
	case FILTER_NE:
		return c != 0;
	case FILTER_LT:
		return c < 0;
	case FILTER_LE:
		return c <= 0;
	case FILTER_GT:
		return c == 1;
	case FILTER_GE:
		return c == 0 || c == 1;
	default:
		return true;
	}
}

static bool filter_holds(const Step *st, const json_t *root, const json_t *v)
{
	_cleanup_(json_decrefp) json_t *left = jsonpath_eval(st->left, root, v), *right = NULL;
	const json_t *b = st->literal;

	if (json_array_size(left) == 0)
		return false;
	if (st->op == FILTER_EXISTS)
		return true;
	if (st->right) {
		right = jsonpath_eval(st->right, root, v);
		b = json_array_get(right, 0);
	}
	return b && op_holds(st->op, compare(json_array_get(left, 0), b));
}

static void apply_filter(const Step *st, const json_t *root, json_t *v, json_t *out)
{
	const char *key;
	json_t *c;
	size_t i;

	if (json_is_array(v)) {
		json_array_foreach (v, i, c)
			if (filter_holds(st, root, c))
				emit(out, c);
	} else if (json_is_object(v)) {
		json_object_foreach (v, key, c)
			if (filter_holds(st, root, c))
				emit(out, c);
	}
}

static void apply_step(const Step *st, const json_t *root, json_t *v, json_t *out)
{
	int64_t n = (int64_t)json_array_size(v);

	switch (st->type) {
	case STEP_FIELD:
		emit(out, json_object_get(v, st->name));
		break;
	case STEP_INDEX:
		if (st->from >= -n && st->from < n)
			emit(out,
			     json_array_get(v, (size_t)(st->from < 0 ? st->from + n : st->from)));
		break;
	case STEP_SLICE:
		apply_slice(st, v, out);
		break;
	case STEP_WILDCARD:
		apply_children(v, out);
		break;
	case STEP_RECURSIVE:
		apply_recursive(st, v, out, 0);
		break;
	case STEP_FILTER:
		apply_filter(st, root, v, out);
		break;
	case STEP_UNION:
		for (size_t i = 0; i < st->n_members; i++)
			apply_step(&st->members[i], root, v, out);
		break;
	}
}

json_t *jsonpath_eval(const JsonPath *p, const json_t *root, const json_t *v)
{
	json_t *found = json_array(), *next, *x;
	size_t i;

	emit(found, (json_t *)(p->from_root ? root : v));
	for (size_t k = 0; k < p->n_steps; k++) {
		next = json_array();
		json_array_foreach (found, i, x)
			apply_step(&p->steps[k], root, x, next);
		json_decref(found);
		found = next;
	}
	return found;
}

json_t *jsonpath_find(const JsonPath *p, const json_t *doc)
{
	return jsonpath_eval(p, doc, doc);
}
