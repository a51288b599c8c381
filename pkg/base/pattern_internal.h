/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parser of patterns hands to the compiler, and the compiler to the matcher. Private to
 * base/pattern*.c.
 */
#pragma once

#include <stdint.h>

#include "base/pattern.h"

#define RUNE_MAX 0x10ffffu

typedef struct RuneRange {
	uint32_t from, to;
} RuneRange;

/* A set of characters. */
typedef struct RuneSet {
	RuneRange *ranges;
	size_t n, cap;
	bool negated;
} RuneSet;

typedef enum Assertion {
	ASSERT_TEXT_BEGIN,
	ASSERT_TEXT_END,
	ASSERT_LINE_BEGIN,
	ASSERT_LINE_END,
	ASSERT_WORD,
	ASSERT_NO_WORD,
} Assertion;

typedef enum NodeType {
	NODE_EMPTY,
	NODE_SET,
	NODE_ASSERT,
	NODE_CAT,    /* left, then right */
	NODE_ALT,    /* left or right */
	NODE_REPEAT, /* left, min to max times; max < 0 = for ever */
} NodeType;

typedef struct Node {
	NodeType type;
	size_t set; /* index into Tree.sets */
	Assertion assertion;
	size_t left, right; /* indexes into Tree.nodes */
	int min, max;
} Node;

/* A parsed pattern: everything in two arrays. */
typedef struct PatternTree {
	Node *nodes;
	size_t n, cap;
	RuneSet *sets;
	size_t n_sets, cap_sets;
	size_t root;
} PatternTree;

int pattern_parse(const char *text, PatternTree *ret, Error *err);
void pattern_tree_done(PatternTree *t);
bool rune_set_has(const RuneSet *s, uint32_t rune);
/* The character at *p, which moves behind it; bytes that are no UTF-8 are U+FFFD each. */
uint32_t rune_next(const char **p);
