/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jsonpath, as columns of users' CRDs and `-o jsonpath` bring it: the first line is the path or
 * template, the rest the document.
 */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT_MAX(1U << 20);
	_cleanup_(jsonpath_freep) JsonPath *path = NULL;
	_cleanup_(json_decrefp) json_t *doc = NULL, *found = NULL;
	_cleanup_(xfreep) char *text = fuzz_text(data, size);
	char *line_end = strchr(text, '\n');

	if (!line_end)
		return 0;
	*line_end++ = '\0';
	doc = fuzz_json((const uint8_t *)line_end, strlen(line_end));
	if (!doc)
		return 0;
	if (jsonpath_compile(text, &path, &err) == 0) {
		found = jsonpath_find(path, doc);
		FUZZ_REQUIRE(json_is_array(found));
	}
	jsonpath_template(text, doc, &out, NULL);
	return 0;
}
