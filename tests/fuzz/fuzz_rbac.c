/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of a role, as anybody may write them: whatever they are, they cover themselves, and what
 * misses of others is told in rules that, added, cover them.
 */
#include "fuzz.h"
#include "server/rbac.h"
#include "json/json.h"

static void ask(const RuleSet *set)
{
	const AccessRequest requests[] = {
		{.verb = "get", .group = "",      .resource = "pods", .name = "a" },
		{ .verb = "*",  .group = "*",                 .resource = "*", .subresource = "*" },
		{ .verb = "",.group = "",.resource = "", .subresource = "" },
		{ .verb = "get",            .path = "/"                 },
	};

	for (size_t i = 0; i < set->n; i++)
		for (size_t k = 0; k < ARRAY_SIZE(requests); k++)
			(void)rule_allows(&set->rules[i], &requests[k]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(json_decrefp) json_t *tree = NULL, *missing = json_array();
	_cleanup_(rule_set_unrefp) RuleSet *set = NULL, *added = NULL;
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT;
	RuleSets held = { 0 };
	int rc;

	if (json_decode((const char *)data, size, &tree, NULL) < 0)
		return 0;
	set = rule_set_new(tree);
	ask(set);
	held = (RuleSets){ .items = &set, .n = 1 };
	rc = rules_cover(&held, set, NULL);
	FUZZ_REQUIRE(rc == 1 || rc == -ERR_EXHAUSTED);
	rc = rules_cover(&(RuleSets){ 0 }, set, missing);
	if (rc == 0) {
		for (size_t i = 0; i < json_array_size(missing); i++)
			rule_describe(json_array_get(missing, i), &text);
		added = rule_set_new(missing);
		held.items = &added;
		FUZZ_REQUIRE(json_array_size(missing) >= 500 || rules_cover(&held, set, NULL) == 1);
	}
	return 0;
}
