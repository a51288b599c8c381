/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user's kind: {"schema": …, "columns": […], "object": …}. A schema that compiles can be used on
 * anything: to prune, default, validate, explain, and to make cells.
 */
#include "api/definition.h"
#include "api/schema.h"
#include "fuzz.h"

static json_t *definition(const json_t *input)
{
	json_t *columns = json_object_get(input, "columns"),
	       *schema = json_object_get(input, "schema");

	return json_pack("{s:{s:s},s:{s:s,s:s,s:{s:s,s:s},s:[{s:s,s:b,s:b,s:{s:O?},s:O*}]}}",
			 "metadata", "name", "things.example.com", "spec", "group", "example.com",
			 "scope", "Namespaced", "names", "plural", "things", "kind", "Thing",
			 "versions", "name", "v1", "storage", 1, "served", 1, "schema",
			 "openAPIV3Schema", schema, "additionalPrinterColumns", columns);
}

static void use(const Kind *k, json_t *tree)
{
	_cleanup_(json_decrefp) json_t *cells = NULL, *before = NULL;
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;
	FieldErrors errors = FIELD_ERRORS_INIT;

	schema_prune(k->schema, tree, &errors);
	schema_default(k->schema, tree);
	before = json_deep_copy(tree);
	schema_default(k->schema, tree);
	FUZZ_REQUIRE(json_same(before, tree));
	object_validate(k, tree, NULL, &errors);
	cells = kind_cells(k, tree);
	FUZZ_REQUIRE(json_array_size(cells) == k->n_columns);
	schema_explain(k, "", true, &out, NULL);
	schema_explain(k, "spec.a", false, &out, NULL);
	field_errors_done(&errors);
}

/* What the server asks of a definition before it compiles it. */
static void check_definition(const json_t *crd)
{
	static KindRegistry *kinds;
	_cleanup_(strv_freep) char **warnings = definition_warnings(crd);
	FieldErrors errors = FIELD_ERRORS_INIT;
	Kind *k;

	kinds = kinds ? kinds : kind_registry_new();
	k = kind_registry_find(kinds, GR_CRD);
	object_validate(k, crd, NULL, &errors);
	kind_unref(k);
	field_errors_done(&errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(json_decrefp) json_t *input = fuzz_json(data, size), *crd = NULL;
	_cleanup_(kind_unrefp) Kind *k = NULL;
	json_t *object;

	if (!json_is_object(input))
		return 0;
	crd = definition(input);
	if (!crd)
		return 0;
	check_definition(crd);
	if (kind_from_crd(crd, false, &k, &err) < 0) {
		FUZZ_REQUIRE(*error_message(&err));
		return 0;
	}
	object = json_object_get(input, "object");
	if (json_is_object(object))
		use(k, object);
	return 0;
}
