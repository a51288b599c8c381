/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kinds that are stored: a CustomResourceDefinition is compiled before it is stored (what does not
 * compile is refused) and in force from the moment its commit is visible.
 */
#include "base/log.h"
#include "base/memory.h"
#include "store/store_internal.h"

int kinds_check(Store *s, Change *c, Error *err)
{
	_cleanup_(kind_unrefp) Kind *known = NULL, *k = NULL;
	_cleanup_(xfreep) char *name = NULL;
	int rc = kind_from_crd(c->tree, false, &k, err);

	if (rc < 0)
		return rc;
	name = xasprintf("%s.%s", k->plural, k->group);
	if (!streq(name, c->key.name))
		return error_set(
			err, ERR_INVALID,
			"CustomResourceDefinition \"%s\" is invalid: metadata.name: must be "
			"spec.names.plural+\".\"+spec.group: \"%s\"",
			c->key.name, name);
	if (!s->kinds)
		return 0;
	known = kind_registry_find(s->kinds, k->gr);
	if (known && known->builtin)
		return error_set(err, ERR_FORBIDDEN,
				 "customresourcedefinitions \"%s\" is forbidden: the kind is built "
				 "in and changes with the program only",
				 c->key.name);
	if (c->defines)
		kind_unref(c->defines);
	c->defines = TAKE_PTR(k);
	return 0;
}

void kinds_apply(Store *s, const Change *c)
{
	_cleanup_(kind_unrefp) Kind *gone = NULL;
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *plural = NULL;
	const char *dot = strchr(c->key.name, '.');

	if (!s->kinds)
		return;
	if (c->outcome != OUTCOME_REMOVED) {
		if (c->defines && kind_registry_add(s->kinds, c->defines, &err) < 0)
			log_warning("definition %s is stored but not in force: %s", c->key.name,
				    error_message(&err));
		return;
	}
	if (!dot)
		return;
	plural = xstrndup(c->key.name, (size_t)(dot - c->key.name));
	kind_registry_remove(s->kinds, group_resource(dot + 1, plural));
}

void kinds_load(Store *s)
{
	Table *t = image_table(s->image, GR_CRD);

	for (size_t i = 0; s->kinds && t && i < t->n; i++) {
		_cleanup_(error_done) Error err = ERROR_INIT;
		_cleanup_(kind_unrefp) Kind *k = NULL;
		json_t *tree = object_decode(t->slots[i].object);
		int rc = kind_from_crd(tree, false, &k, &err);

		json_decref(tree);
		if (rc == 0)
			rc = kind_registry_add(s->kinds, k, &err);
		if (rc < 0)
			log_warning("stored definition %s is not in force: %s",
				    object_key(t->slots[i].object)->name, error_message(&err));
	}
}
