/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership of {"schema": …, "live": …, "applied": …}: the live object is applied to, then replaced
 * by what was applied. managedFields of both are part of the input, for clients write them. Forced,
 * the same applied twice changes nothing more; what is written can be read again.
 */
#include "api/managed.h"
#include "api/managed_internal.h"
#include "api/schema.h"
#include "fuzz.h"

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

static json_t *apply(const FieldWriter *w, const json_t *live, const json_t *applied, bool force)
{
	FieldConflicts conflicts = { 0 };
	json_t *result = managed_apply(w, live, applied, force, &conflicts);

	FUZZ_REQUIRE(result ? !conflicts.total : conflicts.total && conflicts.n && !force);
	field_conflicts_done(&conflicts);
	return result;
}

/* What is written can be read again, and once it has been, nothing of it changes any more: entries
 * that nobody touched are kept as they came, which need not be the form that we write. */
static void require_readable(const Kind *k, const json_t *tree)
{
	json_t *managed = json_incref(json_at(tree, "metadata.managedFields"));

	for (int i = 0; i < 2; i++) {
		Arena arena = ARENA_INIT;
		ManagedList list = { .arena = &arena };
		json_t *again;

		FUZZ_REQUIRE(managed_list_decode(&list, k->schema, managed, false) == 0);
		again = managed_list_encode(&list);
		FUZZ_REQUIRE(i == 0 || json_same(managed, again));
		json_decref(managed);
		managed = again;
		managed_list_done(&list);
		arena_done(&arena);
	}
	json_decref(managed);
}

static void replace(const FieldWriter *w, const json_t *live, const json_t *by)
{
	json_t *tree = json_deep_copy(by);

	managed_update(w, live, tree);
	require_readable(w->kind, tree);
	managed_settle(live, tree);
	json_decref(tree);
}

/* Every object has metadata by the time that anybody looks for owners. */
static json_t *object_of(const json_t *input, const char *name)
{
	json_t *v = json_deep_copy(json_object_get(input, name));

	if (json_is_object(v) && !json_is_object(json_object_get(v, "metadata")))
		json_object_set_new(v, "metadata", json_object());
	return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(json_decrefp) json_t *input = fuzz_json(data, size), *first = NULL, *once = NULL,
				       *twice = NULL, *polite = NULL, *live = NULL, *applied = NULL;
	FieldWriter w = { .manager = "kubectl", .now = NOW };
	Schema *schema;
	Kind kind;

	live = object_of(input, "live");
	applied = object_of(input, "applied");
	if (!json_is_object(live) || !json_is_object(applied) || !(schema = schema_of(input)))
		return 0;
	kind = (Kind){ .schema = schema, .api_version = "test/v1", .kind = "Thing" };
	w.kind = &kind;
	replace(&w, live, applied);
	json_object_del(json_object_get(applied, "metadata"), "managedFields");
	replace(&w, NULL, live);
	first = apply(&w, NULL, applied, false);
	require_readable(&kind, first);
	polite = apply(&w, live, applied, false);
	once = apply(&w, live, applied, true);
	require_readable(&kind, once);
	twice = apply(&w, once, applied, true);
	FUZZ_REQUIRE(json_same(once, twice));
	schema_free(schema);
	return 0;
}
