/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options: the command line as data. A verb lists its options once; parsing, help and completion
 * all read that table. Values land in the verb's own struct, at `offset`. One thread.
 */
#pragma once

#include <stdio.h>

#include "base/clock.h"
#include "base/error.h"

typedef enum OptionType {
	OPTION_FLAG,     /* bool: given or not */
	OPTION_BOOL,     /* bool: --x or --x=true or --x=false */
	OPTION_STRING,   /* const char *: the last one wins */
	OPTION_LIST,     /* char **: a strv, in order */
	OPTION_INTEGER,  /* int64_t */
	OPTION_DURATION, /* int64_t microseconds: "30s", "5m", "1h", "200ms", "90" seconds */
} OptionType;

typedef struct Option {
	char letter; /* 0 = none */
	const char *name;
	OptionType type;
	size_t offset;        /* in the verb's struct */
	const char *argument; /* how the help names the value: "FILE"; NULL for flags */
	const char *help;
	const char *preset;  /* parsed as if given first; NULL = zero */
	const char *implied; /* value of a STRING that is given without one (--x); NULL = needed */
	const char *choices; /* for completion: words separated by spaces; "@file", "@namespace",
				"@kind" ask for those */
} Option;

/* OPTION('f', "filename", LIST, ApplyOptions, files, "FILE", "help", .choices = "@file") */
#define OPTION(letter, name, type, values, field, argument, help, ...) \
	{ \
		letter, name, OPTION_##type, offsetof(values, field), argument, help, \
			##__VA_ARGS__ \
	}
#define OPTIONS_END \
	{ \
		.name = NULL \
	}

typedef struct Parsed {
	char **args;     /* what is no option, in order */
	size_t n_before; /* how many of them stood before "--" */
	bool saw_dashes; /* there was a "--" */
	bool wants_help; /* -h or --help */
} Parsed;

void parsed_done(Parsed *p);

/*
 * Sets each table's struct to its presets. `values` is zeroed by the caller and must be given back
 * to options_done(): lists are owned by it, strings point into argv.
 */
void options_init(const Option *table, void *values);
void options_done(const Option *table, void *values);
/*
 * Reads words (NULL-terminated) with two tables at once, the verb's and the global one; options may
 * stand anywhere before "--". -ERR_INVALID with "did you mean".
 */
int options_parse(const Option *table, void *values, const Option *global, void *global_values,
		  char *const *words, Parsed *ret, Error *err);
/* One aligned line per option. */
void options_help(const Option *table, FILE *out);

/* "1h30m", "5m", "30s", "200ms", "90" (seconds); a leading minus is allowed. */
int duration_parse(const char *s, int64_t *ret, Error *err);

/* The candidate nearest to word, if it is near enough to be meant; else NULL. */
const char *suggest(const char *word, const char *const *candidates, size_t n);
