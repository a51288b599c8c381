/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML: whatever parses has positions and comes back from its own text as it was.
 */
#include "fuzz.h"
#include "yaml/yaml.h"

static void round_trip(const json_t *tree)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT;
	_cleanup_(yaml_docs_freep) YamlDocs *again = NULL;

	yaml_emit(tree, &text);
	/* A small text can grow past the bounds of one: indentation, quotes. */
	if (text.len > YAML_BYTES_MAX)
		return;
	if (yaml_parse(strbuf_str(&text), text.len, "again", &again, &err) < 0) {
		fprintf(stderr, "%s\n%s\n", error_message(&err), strbuf_str(&text));
		abort();
	}
	FUZZ_REQUIRE(again->n == 1);
	FUZZ_REQUIRE(json_same(yaml_doc_tree(again->docs[0]), tree));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(yaml_docs_freep) YamlDocs *docs = NULL;
	_cleanup_(xfreep) char *text = fuzz_text(data, size);

	if (yaml_parse(text, size, "input", &docs, &err) < 0) {
		FUZZ_REQUIRE(*error_message(&err));
		return 0;
	}
	for (size_t i = 0; i < docs->n; i++) {
		json_t *tree = yaml_doc_tree(docs->docs[i]);
		YamlMark start = yaml_doc_start(docs->docs[i]),
			 mark = yaml_doc_mark(docs->docs[i], "metadata.labels[3].a");

		FUZZ_REQUIRE(tree && start.line >= 1 && mark.line >= start.line);
		round_trip(tree);
	}
	return 0;
}
