/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's object on its way into the store: prune, default, validate, then what readers of a
 * stored object do: typed spec, head, cells. The kind is the one the object names, Instance if it
 * names none of ours.
 */
#include "api/object.h"
#include "api/schema.h"
#include "api/types.h"
#include "fuzz.h"

static void decode_specs(const json_t *tree, const Kind *k)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(instance_spec_freep) InstanceSpec *instance = NULL;
	_cleanup_(network_spec_freep) NetworkSpec *network = NULL;
	_cleanup_(image_spec_freep) ImageSpec *image = NULL;

	/* What validated decodes: a reconciler never meets a stored object that does not. */
	if (streq(k->kind, "Instance"))
		FUZZ_REQUIRE(instance_spec_decode(tree, &instance, &err) == 0);
	if (streq(k->kind, "Network"))
		FUZZ_REQUIRE(network_spec_decode(tree, &network, &err) == 0);
	if (streq(k->kind, "Image"))
		FUZZ_REQUIRE(image_spec_decode(tree, &image, &err) == 0);
}

static void store(const Kind *k, const json_t *tree)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(object_unrefp) Object *o = NULL, *again = NULL, *later = NULL;
	_cleanup_(json_decrefp) json_t *decoded = NULL;
	_cleanup_(xfreep) void *head = NULL;
	const char *text;
	size_t head_len, len;
	Key key = key_make(k->gr, "default", "a");

	o = object_new(&key, k, tree, 1, 2);
	object_head_encode(o, &head, &head_len);
	text = object_text(o, &len);
	FUZZ_REQUIRE(object_new_from_parts(&key, 1, 2, head, head_len, text, len, &again, &err) ==
		     0);
	later = object_with_revision(again, 1, 1234567890123);
	FUZZ_REQUIRE(object_revision(later) == 1234567890123);
	decoded = object_decode(later);
	FUZZ_REQUIRE(
		streq_ptr(json_string_at(decoded, "metadata.resourceVersion"), "1234567890123"));
	FUZZ_REQUIRE(json_same(json_object_get(decoded, "spec"), json_object_get(tree, "spec")));
}

static Kind *kind_of(KindRegistry *kinds, const json_t *tree)
{
	const char *api_version = json_string_at(tree, "apiVersion"),
		   *name = json_string_at(tree, "kind");
	Kind *k = NULL;

	if (api_version && name)
		k = kind_registry_find_by_kind(kinds, api_version, name);
	return k ? k : kind_registry_find(kinds, GR_INSTANCE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static KindRegistry *kinds; /* compiled once: the inputs are what differs */
	_cleanup_(json_decrefp) json_t *tree = fuzz_json(data, size), *before = NULL;
	_cleanup_(kind_unrefp) Kind *k = NULL;
	FieldErrors unknown = FIELD_ERRORS_INIT, errors = FIELD_ERRORS_INIT,
		    old_errors = FIELD_ERRORS_INIT;

	if (!json_is_object(tree))
		return 0;
	kinds = kinds ? kinds : kind_registry_new();
	k = kind_of(kinds, tree);
	schema_prune(k->schema, tree, &unknown);
	schema_default(k->schema, tree);
	before = json_deep_copy(tree);
	schema_prune(k->schema, tree, NULL);
	schema_default(k->schema, tree);
	FUZZ_REQUIRE(json_same(before, tree));
	object_validate(k, tree, NULL, &errors);
	for (size_t i = 0; i < errors.n; i++)
		FUZZ_REQUIRE(errors.items[i].path && *errors.items[i].message &&
			     field_error_reason(errors.items[i].type));
	if (!errors.n)
		decode_specs(tree, k);
	object_validate(k, tree, before, &old_errors);
	store(k, tree);
	field_errors_done(&unknown);
	field_errors_done(&errors);
	field_errors_done(&old_errors);
	return 0;
}
