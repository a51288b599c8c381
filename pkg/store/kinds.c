/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kinds that are stored: a CustomResourceDefinition is compiled before it is stored (what does not
 * compile is refused) and in force from the moment its commit is visible.
 */
#include "base/log.h"
#include "base/memory.h"
#include "store/store_internal.h"

/* FNV-1a: stored beside every head, so it must be the same in every process. */
static uint64_t hash_text(uint64_t h, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		h = (h ^ *p) * 0x100000001b3ULL;
	return (h ^ 0xff) * 0x100000001b3ULL;
}

uint64_t kind_columns_hash(const Kind *k)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; k && i < k->n_columns; i++)
		h = hash_text(hash_text(h, k->columns[i].json_path), k->columns[i].name) +
		    (uint64_t)k->columns[i].type;
	return h;
}

/* Columns have changed: the cells that objects in memory carry are made anew. No event. */
static void refresh_cells(Store *s, const Kind *k)
{
	Table *t = image_table(s->image, k->gr);

	for (size_t i = 0; t && i < t->n; i++) {
		Object *old = t->slots[i].object, *o;
		json_t *tree = object_decode(old);

		o = object_new(object_key(old), k, tree, object_create_revision(old),
			       object_revision(old));
		json_decref(tree);
		pthread_mutex_lock(&s->lock);
		image_put(s->image, o);
		pthread_mutex_unlock(&s->lock);
		object_unref(o);
	}
}

static void define(Store *s, Kind *k, Error *err, const char *name)
{
	_cleanup_(kind_unrefp) Kind *before = kind_registry_find(s->kinds, k->gr);

	if (kind_registry_add(s->kinds, k, err) < 0)
		log_warning("definition %s is stored but not in force: %s", name,
			    error_message(err));
	else if (before && kind_columns_hash(before) != kind_columns_hash(k))
		refresh_cells(s, k);
}

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
		if (c->defines)
			define(s, c->defines, &err, c->key.name);
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
			define(s, k, &err, object_key(t->slots[i].object)->name);
		else
			log_warning("stored definition %s is not in force: %s",
				    object_key(t->slots[i].object)->name, error_message(&err));
	}
}
