/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the generated decode functions are made of. See decode.h. Any thread; the compiled-in kinds
 * are compiled once.
 */
#include "api/decode.h"

#include <pthread.h>

#include "api/quantity.h"
#include "api/schema.h"
#include "base/memory.h"

static KindRegistry
	*kinds; /* never freed: its schemas are used for the whole life of the process */
static pthread_once_t kinds_once = PTHREAD_ONCE_INIT;

static void kinds_init(void)
{
	kinds = kind_registry_new();
}

char *decode_string(const json_t *o, const char *name)
{
	return xstrdup(json_string_value(json_object_get(o, name)));
}

int64_t decode_integer(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

bool decode_boolean(const json_t *o, const char *name)
{
	return json_is_true(json_object_get(o, name));
}

uint64_t decode_quantity(const json_t *o, const char *name)
{
	const json_t *v = json_object_get(o, name);
	uint64_t value;

	return v && quantity_parse_json(v, &value, NULL) == 0 ? value : 0;
}

char **decode_strings(const json_t *o, const char *name, size_t *ret_n)
{
	const json_t *list = json_object_get(o, name);
	size_t n = json_array_size(list);
	char **v = n ? xnew0(char *, n) : NULL;

	for (size_t i = 0; i < n; i++)
		v[i] = xstrdup(json_string_value(json_array_get(list, i)));
	*ret_n = n;
	return v;
}

void decode_strings_free(char **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i]);
	free(v);
}

int decode_enum(const json_t *o, const char *name, const char *const *names, size_t n)
{
	const char *text = json_string_value(json_object_get(o, name));

	for (size_t i = 0; text && i < n; i++)
		if (streq(names[i], text))
			return (int)i;
	return 0;
}

int decode_prepare(const char *group, const char *resource, const json_t *tree, json_t **ret,
		   Error *err)
{
	_cleanup_(kind_unrefp) Kind *k = NULL;
	FieldErrors errors = FIELD_ERRORS_INIT;
	json_t *copy;
	int rc = 0;

	pthread_once(&kinds_once, kinds_init);
	k = kind_registry_find(kinds, group_resource(group, resource));
	assert(k);
	copy = json_deep_copy(tree);
	/* Only what is asked for is read: a status of another version is no reason not to. */
	json_object_del(copy, "status");
	schema_default(k->schema, copy);
	schema_validate(k->schema, copy, &errors);
	if (errors.n) {
		rc = error_set(err, ERR_INVALID, "%s: %s", errors.items[0].path,
			       errors.items[0].message);
		json_decref(copy);
	} else {
		*ret = copy;
	}
	field_errors_done(&errors);
	return rc;
}
