/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What to do about a syntax error: libfyaml says where the text stopped being YAML, in the words of
 * the standard; here is what those who wrote it most likely meant. Pure. See internal.h.
 */
#include <string.h>

#include "base/macro.h"
#include "yaml/internal.h"

#define LINE_UP "line it up with the keys that belong beside it"

/* The first that is part of the complaint counts. */
static const struct {
	const char *part, *hint;
} hints[] = {
	{"invalid indentation in mapping",         LINE_UP							 },
	{ "did not find expected key",             LINE_UP							 },
	{ "multiline plain key",
         "a key and its colon stand in one line; is this one, or the next, indented too far?"                      },
	{ "tab ",				  "use spaces"						    },
	{ "used as key",			   "a key and its colon stand in one line"                         },
	{ "invalid value after mapping",           "write it as \"key: value\", or indent it"                      },
	{ "could not find expected ':'",           "write it as \"key: value\""                                    },
	{ "block mapping key on same line",        "begin a new line"                                              },
	{ "nested block mapping on the same line",
         "quote the value if the colon is part of it, or begin a new line"                                         },
	{ "block sequence on the same line",       "begin the list in the next line"                               },
	{ "block scalar no linebreak",             "behind | or > stand only + or - and a digit from 1 to 9; "
				       "the text begins in the next line"    },
	{ "block scalar with wrongly indented",    "indent all lines of the text alike"                            },
	{ "escape",				"write \\\\ for a backslash, or put the text into single quotes"},
	{ "without whitespace",                    "put a space before the #"                                      },
	{ "after single-quoted scalar",            "write '' for an apostrophe, or quote the whole value"          },
	{ "after double-quoted scalar",
         "write \\\" for a quote in the text, or quote the whole value"                                            },
	{ "without closing quote",                 "close the quote"                                               },
	{ "wrongly indented double-quoted",        "close the quote, or indent what follows"                       },
	{ "wrongly indented single-quoted",        "close the quote, or indent what follows"                       },
	{ "marker in double-quoted",               "close the quote"                                               },
	{ "marker in single-quoted",               "close the quote"                                               },
	{ "without a closing bracket",             "close it"						      },
	{ "missing comma in flow",                 "put a comma between the entries, or close the bracket"         },
	{ "invalid comma",                         "remove it"						     },
	{ "extra comma",			   "remove it"						     },
	{ "extra closing bracket",                 "remove it"						     },
	{ "mismatched flow",                       "brackets are closed in the order in which they were opened"    },
	{ "wrongly indented flow",                 "indent what is between the brackets"                           },
	{ "wrongly indented mapping end",          "indent the closing bracket"                                    },
	{ "wrongly indented sequence end",         "indent the closing bracket"                                    },
	{ "indicator in a flow",                   "close the bracket"                                             },
	{ "plain scalar cannot start with",        "quote it"                                                      },
	{ "invalid comment",                       "put a space before the #"                                      },
	{ "expected node content",                 "a value is missing"                                            },
	{ "missing document start",                "begin the next document with ---"                              },
	{ "after document end marker",             "put it into a line of its own, after ---"                      },
	{ "directive",			     "remove the line"					       },
	{ "uri terminator",                        "tags (!name) are not accepted anyway"                          },
};

const char *yaml_syntax_hint(const char *complaint)
{
	for (size_t i = 0; i < ARRAY_SIZE(hints); i++)
		if (strstr(complaint, hints[i].part))
			return hints[i].hint;
	return NULL;
}
