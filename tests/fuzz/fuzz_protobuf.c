/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protobuf request bodies: what is accepted is an object with apiVersion and kind that can be
 * written as JSON and read back; what is not says why.
 */
#include "fuzz.h"
#include "server/protobuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(json_decrefp) json_t *tree = NULL, *again = NULL;
	_cleanup_(xfreep) char *text = NULL;

	if (proto_decode(data, size, &tree, &err) < 0) {
		FUZZ_REQUIRE(!tree && *error_message(&err));
		return 0;
	}
	FUZZ_REQUIRE(proto_kind(json_string_at(tree, "apiVersion"), json_string_at(tree, "kind")));
	text = json_text(tree);
	FUZZ_REQUIRE(text);
	/* Empty keys and such are the schema's business; JSON they are. */
	FUZZ_REQUIRE(json_decode(text, strlen(text), &again, &err) == 0);
	FUZZ_REQUIRE(json_same(tree, again));
	return 0;
}
