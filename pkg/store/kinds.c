/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kinds that are stored: a CustomResourceDefinition is compiled before it is stored (what does not
 * compile is refused) and in force from the moment its commit is visible, as far as its names are
 * accepted. When a name becomes free, those that wait for it are looked at again.
 */
#include "api/definition.h"
#include "base/log.h"
#include "base/memory.h"
#include "store/store_internal.h"
#include "json/json.h"

#define DEFINITIONS_MAX 2000

/* As a stored definition says that its names are taken: our own canonical text. */
#define NAMES_NOT_ACCEPTED "\"status\":\"False\",\"type\":\"NamesAccepted\""

const GroupResource *kinds_resource(const char *crd_name)
{
	const char *dot = strchr(crd_name, '.');
	_cleanup_(xfreep) char *plural = dot ? xstrndup(crd_name, (size_t)(dot - crd_name)) : NULL;

	return dot ? group_resource(dot + 1, plural) : NULL;
}

Key kinds_definition_key(const Kind *k)
{
	_cleanup_(xfreep) char *name = xasprintf("%s.%s", k->plural, k->group);

	return key_make(GR_CRD, "", name);
}

/* Columns, schema or storage version have changed: objects in memory get the form of now. No event.
 */
static void refresh_objects(Store *s, const Kind *k)
{
	Table *t = image_table(s->image, k->gr);

	for (size_t i = 0; t && i < t->n; i++) {
		Object *old = t->slots[i].object, *o;
		json_t *tree = object_decode(old);

		kind_refresh(k, tree);
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

	if (before && before->builtin)
		return; /* a description of ours: read only, and in force anyway */
	if (kind_registry_add(s->kinds, k, err) < 0)
		log_warning("definition %s is stored but not in force: %s", name,
			    error_message(err));
	else if (before ? before->form != k->form : k->form != 0)
		refresh_objects(s, k);
}

/* ---- names ---- */

static bool accept_against_registry(Store *s, json_t *crd)
{
	size_t n;
	Kind **others = kind_registry_list(s->kinds, &n);
	bool changed = definition_accept(crd, others, n, clock_wall(s->clock));

	for (size_t i = 0; i < n; i++)
		kind_unref(others[i]);
	free(others);
	return changed;
}

static void status_written(void *arg, int rc, const TxnResult *result, const Error *err)
{
	(void)arg;
	(void)result;
	/* Who came in between has been checked in its turn. */
	if (rc < 0 && rc != -ERR_CONFLICT)
		log_warning("status of a definition: %s", error_message(err));
}

/* On the writer's thread: the status that a look at its names gave is written. */
static void write_status(Store *s, const Object *o, const json_t *tree)
{
	Txn *t = txn_new();

	txn_update_status(t, o, json_object_get(tree, "status"));
	store_commit_async(s, t, status_written, NULL);
}

/* What was accepted when it was checked may have been taken since. */
static bool new_names_are_free(Store *s, const Object *o)
{
	_cleanup_(json_decrefp) json_t *tree = object_decode(o);

	json_object_del(tree, "status");
	accept_against_registry(s, tree);
	if (definition_is_established(tree))
		return true;
	write_status(s, o, tree);
	return false;
}

/* Names of this group have become free. */
static void review_group(Store *s, const char *group)
{
	Table *t = image_table(s->image, GR_CRD);

	for (size_t i = 0; t && i < t->n; i++) {
		Object *o = t->slots[i].object;
		const char *dot = strchr(object_key(o)->name, '.');

		_cleanup_(json_decrefp) json_t *tree = NULL;

		if (!dot || !streq(dot + 1, group) ||
		    !strstr(object_text(o, NULL), NAMES_NOT_ACCEPTED))
			continue;
		tree = object_decode(o);
		if (accept_against_registry(s, tree))
			write_status(s, o, tree);
	}
}

static bool words_differ(const char *const *a, const char *const *b)
{
	for (; *a && *b; a++, b++)
		if (!streq(*a, *b))
			return true;
	return *a || *b;
}

static bool names_differ(const Kind *a, const Kind *b)
{
	return !streq(a->singular, b->singular) || !streq(a->kind, b->kind) ||
	       !streq(a->list_kind, b->list_kind) || words_differ(a->short_names, b->short_names);
}

/* ---- a definition that is written ---- */

/* Too many kinds would slow down everything that asks for all of them. */
static int check_number(Store *s, const Change *c, Error *err)
{
	if (!c->created || store_count(s, GR_CRD, NULL) < DEFINITIONS_MAX)
		return 0;
	return error_set(err, ERR_FORBIDDEN,
			 "customresourcedefinitions \"%s\" is forbidden: there are %d definitions, "
			 "which is the most there can be",
			 c->key.name, DEFINITIONS_MAX);
}

int kinds_check(Store *s, Change *c, bool ours, Error *err)
{
	_cleanup_(kind_unrefp) Kind *known = NULL, *k = NULL;
	_cleanup_(xfreep) char *name = NULL;
	int rc;

	if (s->kinds)
		accept_against_registry(s, c->tree);
	rc = kind_from_crd(c->tree, false, &k, err);
	if (rc == 0)
		rc = check_number(s, c, err);
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
	if (known && known->builtin && ours)
		return 0;
	if (known && known->builtin)
		return error_set(err, ERR_FORBIDDEN,
				 "customresourcedefinitions \"%s\" is forbidden: the kind is built "
				 "in and changes with the program only",
				 c->key.name);
	if (c->defines)
		c->defines = kind_unref(c->defines);
	if (definition_is_established(c->tree))
		c->defines = TAKE_PTR(k);
	return 0;
}

static void undefine(Store *s, const char *name)
{
	const GroupResource *gr = kinds_resource(name);

	if (!gr)
		return;
	kind_registry_remove(s->kinds, gr);
	review_group(s, gr->group);
}

void kinds_apply(Store *s, const Change *c)
{
	_cleanup_(kind_unrefp) Kind *before = NULL;
	_cleanup_(error_done) Error err = ERROR_INIT;

	if (!s->kinds)
		return;
	if (c->outcome == OUTCOME_REMOVED) {
		undefine(s, c->key.name);
		return;
	}
	if (!c->defines || (c->created && !new_names_are_free(s, c->next)))
		return;
	before = kind_registry_find(s->kinds, c->defines->gr);
	define(s, c->defines, &err, c->key.name);
	if (before && names_differ(before, c->defines))
		review_group(s, c->defines->group);
}

void kinds_load(Store *s)
{
	Table *t = image_table(s->image, GR_CRD);

	for (size_t i = 0; s->kinds && t && i < t->n; i++) {
		_cleanup_(error_done) Error err = ERROR_INIT;
		_cleanup_(kind_unrefp) Kind *k = NULL;
		json_t *tree = object_decode(t->slots[i].object);
		bool established = definition_is_established(tree);
		int rc = kind_from_crd(tree, false, &k, &err);

		json_decref(tree);
		if (rc == 0 && established)
			define(s, k, &err, object_key(t->slots[i].object)->name);
		else if (rc < 0)
			log_warning("stored definition %s is not in force: %s",
				    object_key(t->slots[i].object)->name, error_message(&err));
	}
}

/* ---- kinds of ours ---- */

/* Kubernetes defines its own kinds without definitions. */
static bool is_published(const Kind *k)
{
	return k->builtin && streq(k->group, "shakenfist.io");
}

static void publish(Store *s, Txn *t, const Kind *k)
{
	_cleanup_(json_decrefp) json_t *tree = json_deep_copy(k->crd);
	_cleanup_(object_unrefp) Object *old = NULL;
	Key key = kinds_definition_key(k);

	definition_default(tree);
	json_set_at(tree, "metadata.labels",
		    json_pack("{s:s}", "app.kubernetes.io/managed-by", "sfd"));
	if (store_get(s, &key, &old, NULL) == 0)
		txn_update(t, old, tree);
	else
		txn_create(t, &key, tree, false);
}

int store_publish_kinds(Store *s, Error *err)
{
	Context ctx = { .clock = s->clock, .deadline = USEC_INFINITY };
	_cleanup_(txn_freep) Txn *t = txn_new();
	Kind **kinds;
	size_t n;
	int rc;

	txn_publish(t);
	kinds = kind_registry_list(s->kinds, &n);
	for (size_t i = 0; i < n; i++) {
		if (is_published(kinds[i]))
			publish(s, t, kinds[i]);
		kind_unref(kinds[i]);
	}
	free(kinds);
	rc = store_commit(s, &ctx, t, NULL, err);
	return rc < 0 ? error_wrap_rc(err, rc, "publish the kinds") : 0;
}
