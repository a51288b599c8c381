/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pattern: from a parsed tree to a program of states, and the match: Thompson's construction and a
 * walk of all states at once. See pattern.h.
 */
#include "base/pattern.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/pattern_internal.h"

typedef enum OpCode { OP_SET, OP_SPLIT, OP_JUMP, OP_ASSERT, OP_MATCH } OpCode;

typedef struct State {
	OpCode op;
	uint32_t x, y; /* next states; y only of a split */
	union {
		uint32_t set;
		Assertion assertion;
	};
} State;

struct Pattern {
	PatternTree tree; /* for its sets */
	State *states;
	size_t n, cap;
	bool anchored; /* can only match at the begin of a text */
};

/* ---- compiling ---- */

/* The number of a new state; 0 when there are too many (the first one is never a target). */
static uint32_t emit(Pattern *p, State s)
{
	if (p->n > PATTERN_STATES_MAX)
		return 0;
	GROW_ARRAY(p->states, p->n, p->cap);
	p->states[p->n] = s;
	return (uint32_t)p->n++;
}

static void compile(Pattern *p, size_t at);

/* What is written so often is there so often: min times, then optional ones or a loop. */
static void compile_repeat(Pattern *p, const Node *n)
{
	uint32_t loop;

	for (int i = 0; i < n->min && p->n <= PATTERN_STATES_MAX; i++) {
		size_t before = p->n;

		compile(p, n->left);
		if (p->n == before)
			break; /* nothing, however often */
	}
	if (n->max < 0) {
		loop = emit(p, (State){ .op = OP_SPLIT });
		compile(p, n->left);
		emit(p, (State){ .op = OP_JUMP, .x = loop });
		p->states[loop].x = loop + 1;
		p->states[loop].y = (uint32_t)p->n;
		return;
	}
	for (int i = n->min; i < n->max && p->n <= PATTERN_STATES_MAX; i++) {
		uint32_t split = emit(p, (State){ .op = OP_SPLIT });

		compile(p, n->left);
		p->states[split].x = split + 1;
		p->states[split].y = (uint32_t)p->n;
	}
}

static void compile_alternative(Pattern *p, const Node *n)
{
	uint32_t split = emit(p, (State){ .op = OP_SPLIT }), jump;

	compile(p, n->left);
	jump = emit(p, (State){ .op = OP_JUMP });
	p->states[split].x = split + 1;
	p->states[split].y = (uint32_t)p->n;
	compile(p, n->right);
	p->states[jump].x = (uint32_t)p->n;
}

/* Code that falls through to the state behind it. */
static void compile(Pattern *p, size_t at)
{
	const Node *n = &p->tree.nodes[at];

	switch (n->type) {
	case NODE_EMPTY:
		break;
	case NODE_SET:
		emit(p, (State){ .op = OP_SET, .x = (uint32_t)p->n + 1, .set = (uint32_t)n->set });
		break;
	case NODE_ASSERT:
		emit(p, (State){ .op = OP_ASSERT,
				 .x = (uint32_t)p->n + 1,
				 .assertion = n->assertion });
		break;
	case NODE_CAT:
		compile(p, n->left);
		compile(p, n->right);
		break;
	case NODE_ALT:
		compile_alternative(p, n);
		break;
	case NODE_REPEAT:
		compile_repeat(p, n);
		break;
	}
}

/* Sequences hang to the left: their first part is deep down there. */
static bool begins_anchored(const PatternTree *t, size_t at)
{
	const Node *n = &t->nodes[at];

	switch (n->type) {
	case NODE_ASSERT:
		return n->assertion == ASSERT_TEXT_BEGIN;
	case NODE_CAT:
		return begins_anchored(t, n->left) ||
		       (t->nodes[n->left].type == NODE_EMPTY && begins_anchored(t, n->right));
	case NODE_ALT:
		return begins_anchored(t, n->left) && begins_anchored(t, n->right);
	default:
		return false;
	}
}

int pattern_compile(const char *text, Pattern **ret, Error *err)
{
	Pattern *p = xnew0(Pattern, 1);
	int rc = pattern_parse(text, &p->tree, err);

	if (rc == 0) {
		emit(p, (State){ .op = OP_JUMP, .x = 1 });
		compile(p, p->tree.root);
		emit(p, (State){ .op = OP_MATCH });
		p->anchored = begins_anchored(&p->tree, p->tree.root);
		if (p->n > PATTERN_STATES_MAX)
			rc = error_set(err, ERR_INVALID,
				       "error parsing regexp: expression too large");
	}
	if (rc < 0) {
		pattern_free(p);
		return rc;
	}
	*ret = p;
	return 0;
}

Pattern *pattern_free(Pattern *p)
{
	if (!p)
		return NULL;
	pattern_tree_done(&p->tree);
	free(p->states);
	free(p);
	return NULL;
}

/* ---- matching ---- */

/* States without doubles, in a set that needs no clearing. */
typedef struct StateSet {
	uint32_t *dense, *sparse;
	uint32_t n;
} StateSet;

typedef struct Match {
	const Pattern *p;
	StateSet now, next;
	uint32_t *stack;
	uint32_t before, after; /* the characters on both sides; 0 = none */
	size_t steps;
	bool found;
} Match;

static bool set_insert(StateSet *s, uint32_t state)
{
	uint32_t at = s->sparse[state];

	if (at < s->n && s->dense[at] == state)
		return false;
	s->sparse[state] = s->n;
	s->dense[s->n++] = state;
	return true;
}

static bool is_word(uint32_t rune)
{
	return (rune >= '0' && rune <= '9') || (rune >= 'A' && rune <= 'Z') || rune == '_' ||
	       (rune >= 'a' && rune <= 'z');
}

static bool holds(const Match *m, Assertion a)
{
	switch (a) {
	case ASSERT_TEXT_BEGIN:
		return !m->before;
	case ASSERT_TEXT_END:
		return !m->after;
	case ASSERT_LINE_BEGIN:
		return !m->before || m->before == '\n';
	case ASSERT_LINE_END:
		return !m->after || m->after == '\n';
	case ASSERT_WORD:
		return is_word(m->before) != is_word(m->after);
	default:
		return is_word(m->before) == is_word(m->after);
	}
}

/* Adds a state and all that it leads to without a character. Each is added once, so the stack is
 * never longer than twice their number. */
static void add(Match *m, StateSet *set, uint32_t state)
{
	size_t n = 0;

	m->stack[n++] = state;
	while (n > 0) {
		uint32_t at = m->stack[--n];
		const State *s = &m->p->states[at];

		m->steps++;
		if (!set_insert(set, at))
			continue;
		if (s->op == OP_MATCH)
			m->found = true;
		if (s->op == OP_SPLIT)
			m->stack[n++] = s->y;
		if (s->op == OP_SPLIT || s->op == OP_JUMP ||
		    (s->op == OP_ASSERT && holds(m, s->assertion)))
			m->stack[n++] = s->x;
	}
}

static void step(Match *m, uint32_t rune)
{
	for (uint32_t i = 0; i < m->now.n; i++) {
		const State *s = &m->p->states[m->now.dense[i]];

		if (s->op != OP_SET)
			continue;
		m->steps += m->p->tree.sets[s->set].n;
		if (rune_set_has(&m->p->tree.sets[s->set], rune))
			add(m, &m->next, s->x);
	}
}

static void run(Match *m, const char *text, size_t budget)
{
	const char *p = text, *ahead;

	for (bool first = true; !m->found && m->steps <= budget; first = false) {
		uint32_t rune = *p ? rune_next(&p) : 0;
		StateSet swap;

		m->after = rune;
		/* A match may begin here. */
		if (first || !m->p->anchored)
			add(m, &m->now, 0);
		if (m->found || !rune || m->now.n == 0)
			return;
		m->before = rune;
		ahead = p;
		m->after = *ahead ? rune_next(&ahead) : 0;
		step(m, rune);
		swap = m->now;
		m->now = m->next;
		m->next = swap;
		m->next.n = 0;
	}
}

int pattern_match(const Pattern *p, const char *text, size_t *budget)
{
	uint32_t *space = xnew0(uint32_t, p->n * 6);
	Match m = {
		.p = p,
		.now = {.dense = space,             .sparse = space + p->n    },
		.next = { .dense = space + 2 * p->n, .sparse = space + 3 * p->n},
		.stack = space + 4 * p->n
	};

	run(&m, text, *budget);
	free(space);
	if (m.steps > *budget) {
		*budget = 0;
		return -ERR_EXHAUSTED;
	}
	*budget -= m.steps;
	return m.found;
}
