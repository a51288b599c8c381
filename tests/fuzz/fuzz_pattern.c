/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pattern (the first line) on a text (the rest): it compiles or says why not, and a match takes
 * no more than its budget.
 */
#include "base/pattern.h"
#include "fuzz.h"

#define BUDGET 100000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(xfreep) char *pattern = xstrndup((const char *)data, size);
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(pattern_freep) Pattern *p = NULL;
	char *text = strchr(pattern, '\n');
	size_t budget = BUDGET, again = BUDGET;
	int rc;

	if (text)
		*text++ = '\0';
	if (pattern_compile(pattern, &p, &err) < 0) {
		FUZZ_REQUIRE(str_has_prefix(error_message(&err), "error parsing regexp: "));
		return 0;
	}
	rc = pattern_match(p, text ? text : "", &budget);
	FUZZ_REQUIRE(rc <= 1 && budget <= BUDGET);
	FUZZ_REQUIRE(pattern_match(p, text ? text : "", &again) == rc && again == budget);
	return 0;
}
