/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML at the door: documents in, JSON trees with positions out; and JSON trees back to YAML text.
 * The only user of libfyaml. Input is hostile: size, depth and node count are bounded; duplicate
 * keys, tags, anchors, aliases, merge keys, bad UTF-8, NUL and control characters are errors, each
 * with file:line:column and what to do. Plain scalars follow the YAML 1.2 core schema: only
 * true/false are booleans ("no" is a string).
 */
#pragma once

#include <jansson.h>

#include "base/error.h"
#include "base/strbuf.h"

#define YAML_BYTES_MAX (2u * 1024 * 1024) /* of one file */
#define YAML_DOCS_MAX  1000
#define YAML_NODES_MAX 32000

typedef struct YamlMark {
	unsigned line, column; /* from 1 */
} YamlMark;

typedef struct YamlDoc YamlDoc;

typedef struct YamlDocs {
	YamlDoc **docs;
	size_t n;
} YamlDocs;

/* name is for messages ("web.yaml", "<stdin>"). Empty documents are left out. JSON is YAML. */
int yaml_parse(const char *text, size_t len, const char *name, YamlDocs **ret, Error *err);
YamlDocs *yaml_docs_free(YamlDocs *d);
DEFINE_CLEANUP(YamlDocs *, yaml_docs_free)

json_t *yaml_doc_tree(const YamlDoc *d); /* borrowed */
const char *yaml_doc_name(const YamlDoc *d);
/* Where a field is: "spec.disks[0].size"; the nearest known parent if it is not in the text. */
YamlMark yaml_doc_mark(const YamlDoc *d, const char *path);
YamlMark yaml_doc_start(const YamlDoc *d);

/* Block style, keys in the tree's order, strings quoted where YAML 1.1 or 1.2 readers would take
 * them for something else. */
void yaml_emit(const json_t *tree, StrBuf *out);
