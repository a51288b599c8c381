/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON: canonical text decodes to the same; patches. An array of two is a document and a patch.
 */
#include "fuzz.h"
#include "server/strategic.h"

static void canonical(const json_t *v)
{
	_cleanup_(xfreep) char *text = json_canonical(v), *again_text = NULL;
	_cleanup_(json_decrefp) json_t *again = NULL;

	FUZZ_REQUIRE(json_decode(text, strlen(text), &again, NULL) == 0);
	FUZZ_REQUIRE(json_same(v, again));
	again_text = json_canonical(again);
	FUZZ_REQUIRE(streq(text, again_text));
}

static void merge(const json_t *doc, const json_t *patch)
{
	_cleanup_(json_decrefp) json_t *target = json_deep_copy(doc);
	_cleanup_(json_decrefp) json_t *once = json_merge_patch(target, patch), *twice = NULL;
	_cleanup_(json_decrefp) json_t *copy = json_deep_copy(once);

	/* Merging the same again changes nothing. */
	twice = json_merge_patch(once, patch);
	FUZZ_REQUIRE(json_same(copy, twice));
}

static void patch_document(const json_t *doc, const json_t *patch)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(json_decrefp) json_t *before = json_deep_copy(doc), *result = NULL;

	if (json_patch_apply(doc, patch, &result, &err) < 0)
		FUZZ_REQUIRE(!result && *error_message(&err));
	else
		canonical(result);
	FUZZ_REQUIRE(json_same(before, doc));
}

static void merge_strategically(const json_t *doc, const json_t *patch)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(json_decrefp) json_t *before = json_deep_copy(doc), *result = NULL;

	if (!json_is_object(doc) || !json_is_object(patch))
		return;
	if (strategic_merge(NULL, doc, patch, &result, &err) < 0)
		FUZZ_REQUIRE(!result && *error_message(&err));
	else
		canonical(result);
	FUZZ_REQUIRE(json_same(before, doc));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(json_decrefp) json_t *v = fuzz_json(data, size);

	if (!v)
		return 0;
	canonical(v);
	json_string_at(v, "metadata.name");
	if (json_array_size(v) == 2) {
		merge(json_array_get(v, 0), json_array_get(v, 1));
		patch_document(json_array_get(v, 0), json_array_get(v, 1));
		merge_strategically(json_array_get(v, 0), json_array_get(v, 1));
	}
	return 0;
}
