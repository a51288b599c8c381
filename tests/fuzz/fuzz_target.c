/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request target and the selectors in it: segments are never empty, "." or "..", hold no slash
 * and no control character.
 */
#include "fuzz.h"
#include "server/route.h"
#include "server/selector.h"

static void select_with(int (*parse)(const char *, Selector *, Error *), const char *text)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Selector s = SELECTOR_INIT;

	if (parse(text, &s, &err) == 0) {
		FUZZ_REQUIRE(s.n <= SELECTOR_TERMS_MAX);
		for (size_t i = 0; i < s.n; i++)
			FUZZ_REQUIRE(s.terms[i].key && *s.terms[i].key);
		selector_exact(&s, "metadata.name");
		selector_needs_tree(&s);
	} else {
		FUZZ_REQUIRE(*error_message(&err));
	}
	selector_done(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *text = fuzz_text(data, size);
	Target t = { 0 };
	Route route;

	if (target_parse(text, &t, &err) == 0) {
		for (size_t i = 0; i < t.n_segments; i++) {
			const char *s = t.segments[i];

			FUZZ_REQUIRE(*s && !streq(s, ".") && !streq(s, "..") && !strchr(s, '/'));
			for (; *s; s++)
				FUZZ_REQUIRE((unsigned char)*s >= 0x20 && *s != 0x7f);
		}
		route = route_parse(&t);
		FUZZ_REQUIRE(!route.of_resource || route.resource);
		if (target_query(&t, "labelSelector"))
			select_with(selector_parse_labels, target_query(&t, "labelSelector"));
		if (target_query(&t, "fieldSelector"))
			select_with(selector_parse_fields, target_query(&t, "fieldSelector"));
	} else {
		FUZZ_REQUIRE(*error_message(&err));
	}
	target_done(&t);
	select_with(selector_parse_labels, text);
	select_with(selector_parse_fields, text);
	return 0;
}
