/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Selectors: a small recursive-free parser for both kinds, and matching. See selector.h. Pure; any
 * thread.
 */
#include "server/selector.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "api/validate.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "json/json.h"

static SelectorTerm *term_add(Selector *s, SelectorOp op, const char *key, size_t len)
{
	SelectorTerm *t;

	s->terms = xrealloc(s->terms, s->n + 1, sizeof(*s->terms));
	t = &s->terms[s->n++];
	*t = (SelectorTerm){ .op = op, .key = xstrndup(key, len) };
	return t;
}

void selector_done(Selector *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->terms[i].key);
		strv_free(s->terms[i].values);
	}
	free(s->terms);
	*s = SELECTOR_INIT;
}

static const char *skip_space(const char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

static bool is_label_char(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '_' || c == '.' || c == '/';
}

static size_t word_length(const char *p)
{
	size_t n = 0;

	while (is_label_char(p[n]))
		n++;
	return n;
}

static bool take_keyword(const char **p, const char *word)
{
	size_t n = strlen(word);

	if (strncmp(*p, word, n) != 0 || is_label_char((*p)[n]))
		return false;
	*p = skip_space(*p + n);
	return true;
}

/* "(a, b)": values may be empty. */
static int parse_set(const char **p, SelectorTerm *t, Error *err)
{
	if (**p != '(')
		return error_set(err, ERR_INVALID, "expected \"(\" after in or notin");
	*p = skip_space(*p + 1);
	for (;;) {
		size_t n = word_length(*p);
		_cleanup_(xfreep) char *value = xstrndup(*p, n);

		t->values = strv_append(t->values, value);
		*p = skip_space(*p + n);
		if (**p == ')')
			break;
		if (**p != ',')
			return error_set(err, ERR_INVALID, "expected \",\" or \")\" in a set");
		*p = skip_space(*p + 1);
	}
	*p = skip_space(*p + 1);
	return 0;
}

static bool take_operator(const char **p, SelectorOp *ret)
{
	static const struct {
		const char *text;
		SelectorOp op;
	} operators[] = {
		{"==",  SELECTOR_IN     }, /* before its own beginning */
		{ "=",  SELECTOR_IN     },
                { "!=", SELECTOR_NOT_IN },
		{ ">",  SELECTOR_GREATER},
                { "<",  SELECTOR_LESS   },
	};

	for (size_t i = 0; i < ARRAY_SIZE(operators); i++) {
		if (!str_has_prefix(*p, operators[i].text))
			continue;
		*ret = operators[i].op;
		*p = skip_space(*p + strlen(operators[i].text));
		return true;
	}
	return false;
}

static bool parse_whole(const char *s, long long *ret)
{
	char *end;

	errno = 0;
	*ret = strtoll(s, &end, 10);
	return !errno && end != s && !*end;
}

/* One value, which may be empty; of > and < a number. */
static int parse_value(const char **p, SelectorTerm *t, Error *err)
{
	size_t n = word_length(*p);
	_cleanup_(xfreep) char *value = xstrndup(*p, n);
	long long number;

	if ((t->op == SELECTOR_GREATER || t->op == SELECTOR_LESS) && !parse_whole(value, &number))
		return error_set(
			err, ERR_INVALID,
			"values[0][%s]: Invalid value: \"%.63s\": for 'Gt', 'Lt' operators, "
			"the value must be an integer",
			t->key, value);
	t->values = strv_append(t->values, value);
	*p = skip_space(*p + n);
	return 0;
}

static int parse_label_term(const char **p, Selector *s, Error *err)
{
	bool not_there = **p == '!' && (*p)[1] != '=';
	char shown[200];
	SelectorTerm *t;
	size_t n;

	if (not_there)
		*p = skip_space(*p + 1);
	n = word_length(*p);
	if (n == 0)
		return error_set(err, ERR_INVALID, "expected a label key at \"%.20s\"", *p);
	if (s->n == SELECTOR_TERMS_MAX)
		return error_set(err, ERR_INVALID, "more than %d requirements", SELECTOR_TERMS_MAX);
	t = term_add(s, not_there ? SELECTOR_ABSENT : SELECTOR_EXISTS, *p, n);
	/* No label has such a key: it was meant otherwise. */
	if (!name_is_qualified(t->key))
		return error_set(err, ERR_INVALID, "key: Invalid value: %s: is no key of a label",
				 quoted(t->key, shown));
	*p = skip_space(*p + n);
	if (not_there || !**p || **p == ',')
		return 0;
	if (take_keyword(p, "in")) {
		t->op = SELECTOR_IN;
		return parse_set(p, t, err);
	}
	if (take_keyword(p, "notin")) {
		t->op = SELECTOR_NOT_IN;
		return parse_set(p, t, err);
	}
	if (!take_operator(p, &t->op))
		return error_set(err, ERR_INVALID,
				 "found '%.20s', expected: in, notin, =, ==, !=, gt, lt", *p);
	return parse_value(p, t, err);
}

int selector_parse_labels(const char *s, Selector *ret, Error *err)
{
	Selector out = SELECTOR_INIT;
	const char *p = skip_space(s ? s : "");
	int rc;

	while (*p) {
		rc = parse_label_term(&p, &out, err);
		if (rc == 0 && *p && *p != ',')
			rc = error_set(err, ERR_INVALID, "expected \",\" at \"%.20s\"", p);
		if (rc == 0 && *p == ',') {
			p = skip_space(p + 1);
			if (!*p)
				rc = error_set(err, ERR_INVALID,
					       "expected a requirement at the end");
		}
		if (rc < 0) {
			selector_done(&out);
			return rc;
		}
	}
	*ret = out;
	return 0;
}

/* One "path=value" of len bytes; a backslash takes the next character as it is. */
static int parse_field_term(const char *p, size_t len, Selector *s, Error *err)
{
	_cleanup_(strbuf_done) StrBuf value = STRBUF_INIT;
	size_t key = 0, from;
	SelectorTerm *t;
	bool not ;

	while (key < len && p[key] != '=' && p[key] != '!')
		key++;
	not = key < len && p[key] == '!';
	if (key == 0 || key >= len || (not &&(key + 1 >= len || p[key + 1] != '=')))
		return error_set(err, ERR_INVALID, "expected path=value or path!=value");
	from = key + 1;
	if (not || (from < len && p[from] == '='))
		from++;
	if (s->n == SELECTOR_TERMS_MAX)
		return error_set(err, ERR_INVALID, "more than %d requirements", SELECTOR_TERMS_MAX);
	for (size_t i = from; i < len; i++) {
		if (p[i] == '\\' && i + 1 < len)
			i++;
		strbuf_addc(&value, p[i]);
	}
	t = term_add(s, not ? SELECTOR_NOT_IN : SELECTOR_IN, p, key);
	t->values = strv_append(NULL, strbuf_str(&value));
	return 0;
}

int selector_parse_fields(const char *s, Selector *ret, Error *err)
{
	Selector out = SELECTOR_INIT;
	const char *p = s ? s : "";
	int rc = 0;

	while (*p && rc == 0) {
		size_t len = 0;

		while (p[len] && p[len] != ',')
			len += p[len] == '\\' && p[len + 1] ? 2 : 1;
		if (len > 0)
			rc = parse_field_term(p, len, &out, err);
		p += len;
		if (*p == ',')
			p++;
	}
	if (rc < 0) {
		selector_done(&out);
		return rc;
	}
	*ret = out;
	return 0;
}

static bool term_match(const SelectorTerm *t, const char *value)
{
	long long have, want;

	switch (t->op) {
	case SELECTOR_IN:
		return value && strv_contains(t->values, value);
	case SELECTOR_NOT_IN:
		return !value || !strv_contains(t->values, value);
	case SELECTOR_EXISTS:
		return value;
	case SELECTOR_ABSENT:
		return !value;
	case SELECTOR_GREATER:
	case SELECTOR_LESS:
		return value && parse_whole(value, &have) && parse_whole(t->values[0], &want) &&
		       (t->op == SELECTOR_GREATER ? have > want : have < want);
	}
	return false;
}

bool selector_match_labels(const Selector *s, const Object *o)
{
	for (size_t i = 0; i < s->n; i++)
		if (!term_match(&s->terms[i], object_label(o, s->terms[i].key)))
			return false;
	return true;
}

static bool is_head_field(const char *path)
{
	return streq(path, "metadata.name") || streq(path, "metadata.namespace");
}

bool selector_needs_tree(const Selector *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (!is_head_field(s->terms[i].key))
			return true;
	return false;
}

static bool match_value(const SelectorTerm *t, const json_t *v)
{
	char number[32];

	if (json_is_string(v))
		return term_match(t, json_string_value(v));
	if (json_is_boolean(v))
		return term_match(t, json_is_true(v) ? "true" : "false");
	if (json_is_integer(v)) {
		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(v));
		return term_match(t, number);
	}
	return term_match(t, "");
}

bool selector_match_fields(const Selector *s, const Object *o, const json_t *tree)
{
	const Key *key = object_key(o);

	for (size_t i = 0; i < s->n; i++) {
		const SelectorTerm *t = &s->terms[i];
		bool ok;

		if (streq(t->key, "metadata.name"))
			ok = term_match(t, key->name);
		else if (streq(t->key, "metadata.namespace"))
			ok = term_match(t, key->namespace);
		else
			ok = match_value(t, tree ? json_at(tree, t->key) : NULL);
		if (!ok)
			return false;
	}
	return true;
}

const char *selector_exact(const Selector *s, const char *path)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->terms[i].op == SELECTOR_IN && strv_len(s->terms[i].values) == 1 &&
		    streq(s->terms[i].key, path))
			return s->terms[i].values[0];
	return NULL;
}
