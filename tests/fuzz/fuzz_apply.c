/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-side apply of {"schema": …, "live": …, "applied": …}; managedFields of the live object are
 * part of the input, for clients write them. Forced, the same applied twice changes nothing more.
 */
#include "fuzz.h"
#include "server/apply.h"

#define NOW "2026-01-02T03:04:05Z"

static const char schema_text[] =
	"{\"type\":\"object\",\"properties\":{\"spec\":{\"type\":\"object\",\"properties\":{"
	"\"a\":{\"type\":\"integer\"},\"m\":{\"type\":\"object\",\"additionalProperties\":"
	"{\"type\":\"string\"}},\"flat\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
	"\"tags\":{\"type\":\"array\",\"x-kubernetes-list-type\":\"set\",\"items\":{\"type\":"
	"\"string\"}},\"disks\":{\"type\":\"array\",\"x-kubernetes-list-type\":\"map\","
	"\"x-kubernetes-list-map-keys\":[\"name\"],\"items\":{\"type\":\"object\","
	"\"properties\":{\"name\":{\"type\":\"string\"},\"size\":{\"type\":\"integer\"}}}}}}}}";

static Schema *schema_of(const json_t *input)
{
	const json_t *given = json_object_get(input, "schema");
	json_t *fixed = json_loads(schema_text, 0, NULL);
	Schema *s = schema_compile(given ? given : fixed, "", NULL);

	json_decref(fixed);
	return s;
}

static json_t *apply(const Kind *k, const json_t *live, const json_t *applied, bool force)
{
	ApplyRequest request = { .kind = k,
				 .live = live,
				 .applied = applied,
				 .manager = "fuzz",
				 .subresource = "",
				 .now = NOW,
				 .force = force };
	ApplyConflicts conflicts = { 0 };
	json_t *result = apply_to(&request, &conflicts);

	FUZZ_REQUIRE(result || (conflicts.n && !force));
	apply_conflicts_done(&conflicts);
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(json_decrefp) json_t *input = fuzz_json(data, size), *first = NULL, *once = NULL,
				       *twice = NULL, *polite = NULL;
	const json_t *live = json_object_get(input, "live"),
		     *applied = json_object_get(input, "applied");
	Schema *schema;
	Kind kind;

	if (!json_is_object(live) || !json_is_object(applied) || !(schema = schema_of(input)))
		return 0;
	kind = (Kind){ .schema = schema, .api_version = "test/v1", .kind = "Thing" };
	first = apply_new(&kind, applied, "fuzz", NOW);
	FUZZ_REQUIRE(json_is_object(first));
	polite = apply(&kind, live, applied, false);
	once = apply(&kind, live, applied, true);
	twice = apply(&kind, once, applied, true);
	FUZZ_REQUIRE(json_same(once, twice));
	schema_free(schema);
	return 0;
}
