/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parsing a pattern of Go's syntax to a tree. See pattern.h. Pure.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/pattern_internal.h"

#define REPEAT_MAX  1000
#define NESTING_MAX 200
#define NODES_MAX   20000

typedef struct Flags {
	bool fold, multiline, dot_all;
} Flags;

typedef struct Parser {
	const char *p;
	PatternTree *tree;
	Flags flags;
	unsigned depth;
	Error *err;
	bool failed;
} Parser;

static size_t parse_alternatives(Parser *s);

/* ---- characters ---- */

uint32_t rune_next(const char **p)
{
	const unsigned char *s = (const unsigned char *)*p;
	unsigned n = s[0] < 0x80             ? 0
		     : (s[0] & 0xe0) == 0xc0 ? 1
		     : (s[0] & 0xf0) == 0xe0 ? 2
		     : (s[0] & 0xf8) == 0xf0 ? 3
					     : 4;
	uint32_t rune = n == 0 ? s[0] : n < 4 ? s[0] & (0x3fu >> n) : 0xfffd;

	for (unsigned i = 1; n < 4 && i <= n; i++) {
		if ((s[i] & 0xc0) != 0x80) {
			*p += 1;
			return 0xfffd;
		}
		rune = rune << 6 | (s[i] & 0x3f);
	}
	*p += n < 4 ? n + 1 : 1;
	return rune;
}

bool rune_set_has(const RuneSet *s, uint32_t rune)
{
	for (size_t i = 0; i < s->n; i++)
		if (rune >= s->ranges[i].from && rune <= s->ranges[i].to)
			return !s->negated;
	return s->negated;
}

static void set_add(RuneSet *s, uint32_t from, uint32_t to)
{
	GROW_ARRAY(s->ranges, s->n, s->cap);
	s->ranges[s->n++] = (RuneRange){ from, to };
}

/* The letters of ASCII in both cases. */
static void set_add_folded(RuneSet *s, uint32_t from, uint32_t to, bool fold)
{
	set_add(s, from, to);
	if (!fold)
		return;
	if (from <= 'z' && to >= 'a')
		set_add(s, MAX(from, (uint32_t)'a') - 32, MIN(to, (uint32_t)'z') - 32);
	if (from <= 'Z' && to >= 'A')
		set_add(s, MAX(from, (uint32_t)'A') + 32, MIN(to, (uint32_t)'Z') + 32);
}

/* All characters that `of` has not; its ranges are in order. */
static void set_add_others(RuneSet *s, const RuneRange *of, size_t n)
{
	uint32_t from = 0;

	for (size_t i = 0; i < n; i++) {
		if (of[i].from > from)
			set_add(s, from, of[i].from - 1);
		from = of[i].to + 1;
	}
	set_add(s, from, RUNE_MAX);
}

static const struct {
	char letter;
	RuneRange ranges[4];
	size_t n;
} perl_classes[] = {
	{'d',  { { '0', '9' } },					   1},
	{ 's', { { '\t', '\n' }, { '\f', '\r' }, { ' ', ' ' } },           3},
	{ 'w', { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } }, 4},
};

/* \d, \S and the like. */
static bool set_add_perl(RuneSet *s, char letter)
{
	bool negated = letter >= 'A' && letter <= 'Z';
	char low = negated ? (char)(letter + 32) : letter;

	for (size_t i = 0; i < ARRAY_SIZE(perl_classes); i++) {
		if (perl_classes[i].letter != low)
			continue;
		if (negated)
			set_add_others(s, perl_classes[i].ranges, perl_classes[i].n);
		for (size_t r = 0; !negated && r < perl_classes[i].n; r++)
			set_add(s, perl_classes[i].ranges[r].from, perl_classes[i].ranges[r].to);
		return true;
	}
	return false;
}

static const struct {
	const char *name;
	RuneRange ranges[4];
	size_t n;
} posix_classes[] = {
	{"alnum",   { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' } },               3},
	{ "alpha",  { { 'A', 'Z' }, { 'a', 'z' } },                             2},
	{ "ascii",  { { 0, 0x7f } },					    1},
	{ "blank",  { { '\t', '\t' }, { ' ', ' ' } },                           2},
	{ "cntrl",  { { 0, 0x1f }, { 0x7f, 0x7f } },                            2},
	{ "digit",  { { '0', '9' } },					   1},
	{ "graph",  { { '!', '~' } },					   1},
	{ "lower",  { { 'a', 'z' } },					   1},
	{ "print",  { { ' ', '~' } },					   1},
	{ "punct",  { { '!', '/' }, { ':', '@' }, { '[', '`' }, { '{', '~' } }, 4},
	{ "space",  { { '\t', '\r' }, { ' ', ' ' } },                           2},
	{ "upper",  { { 'A', 'Z' } },					   1},
	{ "word",   { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } }, 4},
	{ "xdigit", { { '0', '9' }, { 'A', 'F' }, { 'a', 'f' } },               3},
};

/* ---- errors and nodes ---- */

static size_t fail(Parser *s, const char *what, const char *from, size_t n)
{
	if (!s->failed)
		error_set(s->err, ERR_INVALID, "error parsing regexp: %s: `%.*s`", what, (int)n,
			  from);
	s->failed = true;
	return 0;
}

static size_t node(Parser *s, Node n)
{
	PatternTree *t = s->tree;

	if (t->n >= NODES_MAX)
		return fail(s, "expression too large", "", 0);
	GROW_ARRAY(t->nodes, t->n, t->cap);
	t->nodes[t->n] = n;
	return t->n++;
}

static size_t set_node(Parser *s, RuneSet *set)
{
	PatternTree *t = s->tree;

	GROW_ARRAY(t->sets, t->n_sets, t->cap_sets);
	t->sets[t->n_sets] = *set;
	return node(s, (Node){ .type = NODE_SET, .set = t->n_sets++ });
}

static size_t rune_node(Parser *s, uint32_t rune)
{
	RuneSet set = { 0 };

	set_add_folded(&set, rune, rune, s->flags.fold);
	return set_node(s, &set);
}

static size_t assert_node(Parser *s, Assertion a)
{
	return node(s, (Node){ .type = NODE_ASSERT, .assertion = a });
}

/* ---- escapes ---- */

static int hex_value(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

static uint32_t parse_hex(Parser *s, const char *from)
{
	bool braces = *s->p == '{';
	uint32_t rune = 0;
	unsigned n = 0;

	s->p += braces;
	while (hex_value(*s->p) >= 0 && n < (braces ? 8u : 2u)) {
		rune = rune * 16 + (uint32_t)hex_value(*s->p++);
		n++;
	}
	if (n == 0 || (!braces && n < 2) || (braces && *s->p != '}') || rune > RUNE_MAX)
		return (uint32_t)fail(s, "invalid escape sequence", from, (size_t)(s->p - from));
	s->p += braces;
	return rune;
}

/* What follows a backslash and stands for one character. */
static uint32_t parse_escape(Parser *s)
{
	static const char letters[] = "aftnrv", values[] = "\a\f\t\n\r\v";
	const char *from = s->p - 1, *known;
	char c = *s->p;

	if (!c)
		return (uint32_t)fail(s, "trailing backslash at end of expression", "", 0);
	s->p++;
	known = strchr(letters, c);
	if (known)
		return (uint32_t)values[known - letters];
	if (c == 'x')
		return parse_hex(s, from);
	if (c == '0' || (c >= '1' && c <= '7' && *s->p >= '0' && *s->p <= '7')) {
		uint32_t rune = (uint32_t)(c - '0');

		for (int i = 0; i < 2 && *s->p >= '0' && *s->p <= '7'; i++)
			rune = rune * 8 + (uint32_t)(*s->p++ - '0');
		return rune;
	}
	if ((unsigned char)c < 0x80 && !(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') &&
	    !(c >= 'A' && c <= 'Z'))
		return (uint32_t)c;
	return (uint32_t)fail(s, "invalid escape sequence", from, (size_t)(s->p - from));
}

/* \Q...\E: as it is written. */
static size_t parse_quoted(Parser *s)
{
	size_t all = node(s, (Node){ .type = NODE_EMPTY });

	while (*s->p && !(s->p[0] == '\\' && s->p[1] == 'E') && !s->failed) {
		size_t one = rune_node(s, rune_next(&s->p));

		all = node(s, (Node){ .type = NODE_CAT, .left = all, .right = one });
	}
	s->p += *s->p ? 2 : 0;
	return all;
}

static size_t parse_backslash(Parser *s)
{
	const char *from = s->p++;
	RuneSet set = { 0 };

	switch (*s->p) {
	case 'A':
		s->p++;
		return assert_node(s, ASSERT_TEXT_BEGIN);
	case 'z':
		s->p++;
		return assert_node(s, ASSERT_TEXT_END);
	case 'b':
		s->p++;
		return assert_node(s, ASSERT_WORD);
	case 'B':
		s->p++;
		return assert_node(s, ASSERT_NO_WORD);
	case 'Q':
		s->p++;
		return parse_quoted(s);
	case 'p':
	case 'P':
		return fail(s, "invalid character class range", from, 2);
	default:
		break;
	}
	if (set_add_perl(&set, *s->p)) {
		s->p++;
		return set_node(s, &set);
	}
	return rune_node(s, parse_escape(s));
}

/* ---- [classes] ---- */

/* "[:alpha:]" at s->p. */
static bool parse_posix_class(Parser *s, RuneSet *set)
{
	const char *name = s->p + 2, *end = strstr(name, ":]");
	bool negated = *name == '^';

	name += negated;
	if (!end)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(posix_classes); i++) {
		if (strlen(posix_classes[i].name) != (size_t)(end - name) ||
		    strncmp(posix_classes[i].name, name, (size_t)(end - name)) != 0)
			continue;
		if (negated)
			set_add_others(set, posix_classes[i].ranges, posix_classes[i].n);
		for (size_t r = 0; !negated && r < posix_classes[i].n; r++)
			set_add(set, posix_classes[i].ranges[r].from,
				posix_classes[i].ranges[r].to);
		s->p = end + 2;
		return true;
	}
	fail(s, "invalid character class range", s->p, (size_t)(end + 2 - s->p));
	return true;
}

static uint32_t class_rune(Parser *s)
{
	if (*s->p != '\\')
		return rune_next(&s->p);
	s->p++;
	return parse_escape(s);
}

static void class_range(Parser *s, RuneSet *set)
{
	const char *from = s->p;
	uint32_t low = class_rune(s), high = low;

	if (s->p[0] == '-' && s->p[1] && s->p[1] != ']') {
		s->p++;
		high = class_rune(s);
		if (high < low)
			fail(s, "invalid character class range", from, (size_t)(s->p - from));
	}
	set_add_folded(set, low, high, s->flags.fold);
}

static size_t parse_class(Parser *s)
{
	const char *from = s->p++;
	RuneSet set = { 0 };
	bool first = true;

	if (*s->p == '^') {
		set.negated = true;
		s->p++;
	}
	for (; *s->p && (*s->p != ']' || first) && !s->failed; first = false) {
		if (s->p[0] == '[' && s->p[1] == ':' && parse_posix_class(s, &set))
			continue;
		if (s->p[0] == '\\' && (s->p[1] == 'p' || s->p[1] == 'P'))
			fail(s, "invalid character class range", s->p, 2);
		else if (s->p[0] == '\\' && set_add_perl(&set, s->p[1]))
			s->p += 2;
		else
			class_range(s, &set);
	}
	if (!*s->p)
		fail(s, "missing closing ]", from, strlen(from));
	else
		s->p++;
	return set_node(s, &set);
}

/* ---- groups ---- */

/* Flags up to ':' or ')'. False = no such syntax. */
static bool parse_flags(Parser *s)
{
	bool on = true;

	for (; *s->p && *s->p != ':' && *s->p != ')'; s->p++)
		switch (*s->p) {
		case 'i':
			s->flags.fold = on;
			break;
		case 'm':
			s->flags.multiline = on;
			break;
		case 's':
			s->flags.dot_all = on;
			break;
		case 'U':
			break; /* which match is found makes no difference here */
		case '-':
			on = false;
			break;
		default:
			return false;
		}
	return *s->p;
}

static bool skip_name(Parser *s)
{
	const char *p = s->p + (*s->p == 'P'), *end;

	if (*p != '<' || p[1] == '=' || p[1] == '!')
		return false;
	end = strchr(p, '>');
	if (!end || end == p + 1)
		return false;
	s->p = end + 1;
	return true;
}

static size_t parse_group(Parser *s)
{
	const char *from = s->p++;
	Flags outer = s->flags;
	size_t inside;

	if (*s->p == '?') {
		s->p++;
		if (!skip_name(s)) {
			if (!parse_flags(s))
				return fail(s, "invalid or unsupported Perl syntax", from,
					    MIN(strlen(from), (size_t)3));
			if (*s->p++ == ')') /* for the rest of the group around */
				return node(s, (Node){ .type = NODE_EMPTY });
		}
	}
	if (++s->depth > NESTING_MAX)
		return fail(s, "expression nests too deeply", "", 0);
	inside = parse_alternatives(s);
	s->depth--;
	s->flags = outer;
	if (s->failed)
		return 0;
	if (*s->p != ')')
		return fail(s, "missing closing )", from, strlen(from));
	s->p++;
	return inside;
}

/* ---- the grammar ---- */

static size_t parse_one(Parser *s)
{
	RuneSet set = { .negated = true };

	switch (*s->p) {
	case '(':
		return parse_group(s);
	case '[':
		return parse_class(s);
	case '\\':
		return parse_backslash(s);
	case '^':
		s->p++;
		return assert_node(s, s->flags.multiline ? ASSERT_LINE_BEGIN : ASSERT_TEXT_BEGIN);
	case '$':
		s->p++;
		return assert_node(s, s->flags.multiline ? ASSERT_LINE_END : ASSERT_TEXT_END);
	case '.':
		s->p++;
		if (!s->flags.dot_all)
			set_add(&set, '\n', '\n');
		return set_node(s, &set);
	case '*':
	case '+':
	case '?':
		return fail(s, "missing argument to repetition operator", s->p, 1);
	default:
		return rune_node(s, rune_next(&s->p));
	}
}

/* "{2,5}" at s->p, which moves behind it; otherwise it is just text. */
static bool parse_counts(Parser *s, int *min, int *max)
{
	char *end;
	unsigned long low, high;

	if (s->p[1] < '0' || s->p[1] > '9')
		return false;
	low = high = strtoul(s->p + 1, &end, 10);
	if (*end == ',') {
		if (end[1] == '}') {
			high = ULONG_MAX;
			end++;
		} else if (end[1] >= '0' && end[1] <= '9') {
			high = strtoul(end + 1, &end, 10);
		} else {
			return false;
		}
	}
	if (*end != '}')
		return false;
	if (low > REPEAT_MAX || (high != ULONG_MAX && (high > REPEAT_MAX || high < low)))
		fail(s, "invalid repeat count", s->p, (size_t)(end + 1 - s->p));
	*min = (int)low;
	*max = high == ULONG_MAX ? -1 : (int)high;
	s->p = end + 1;
	return true;
}

static size_t parse_repeated(Parser *s)
{
	size_t one = parse_one(s);
	const char *before = NULL;

	while (!s->failed) {
		const char *at = s->p;
		int min = 0, max = -1;

		if (*s->p == '*' || *s->p == '+' || *s->p == '?') {
			min = *s->p == '+';
			max = *s->p == '?' ? 1 : -1;
			s->p++;
		} else if (*s->p != '{' || !parse_counts(s, &min, &max)) {
			break;
		}
		s->p += *s->p == '?'; /* lazy: the same here */
		if (before)
			return fail(s, "invalid nested repetition operator", before,
				    (size_t)(s->p - before));
		before = at;
		one = node(s, (Node){ .type = NODE_REPEAT, .left = one, .min = min, .max = max });
	}
	return one;
}

static size_t parse_sequence(Parser *s)
{
	size_t all = node(s, (Node){ .type = NODE_EMPTY });

	while (*s->p && *s->p != '|' && *s->p != ')' && !s->failed) {
		size_t one = parse_repeated(s);

		all = node(s, (Node){ .type = NODE_CAT, .left = all, .right = one });
	}
	return all;
}

static size_t parse_alternatives(Parser *s)
{
	size_t all = parse_sequence(s);

	while (*s->p == '|' && !s->failed) {
		size_t one;

		s->p++;
		one = parse_sequence(s);
		all = node(s, (Node){ .type = NODE_ALT, .left = all, .right = one });
	}
	return all;
}

int pattern_parse(const char *text, PatternTree *ret, Error *err)
{
	Parser s = { .p = text, .tree = ret, .err = err };

	*ret = (PatternTree){ 0 };
	ret->root = parse_alternatives(&s);
	if (!s.failed && *s.p)
		fail(&s, "unexpected )", text, strlen(text));
	return s.failed ? -ERR_INVALID : 0;
}

void pattern_tree_done(PatternTree *t)
{
	for (size_t i = 0; i < t->n_sets; i++)
		free(t->sets[i].ranges);
	free(t->sets);
	free(t->nodes);
	*t = (PatternTree){ 0 };
}
