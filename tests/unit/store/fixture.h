/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the store's tests share: a store on a memory backend (or a given one) with all built-in
 * kinds, and short words for the writes they make.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/memory.h"
#include "store/store.h"
#include "json/json.h"

/* Appends to a fixed buffer that must have room. */
static inline void text_add(char *to, size_t size, const char *s)
{
	size_t at = strlen(to), n = strlen(s);

	assert_true(at + n < size);
	memcpy(to + at, s, n + 1);
}

typedef struct Fixture {
	KindRegistry *kinds;
	Clock *clock;
	Backend *fault; /* the decorator; owned by the store */
	Store *s;
} Fixture;

static inline Fixture *fixture_new(int64_t history)
{
	Fixture *f = xnew0(Fixture, 1);

	f->kinds = kind_registry_new();
	f->clock = fake_clock_new(USEC_PER_HOUR, 1767225600 * USEC_PER_SEC);
	f->fault = fault_backend_new(memory_backend_new());
	assert_int_equal(
		store_open(
			f->fault,
			&(StoreOptions){ .clock = f->clock, .kinds = f->kinds, .history = history },
			&f->s, NULL),
		0);
	return f;
}

static inline int fixture_setup(void **state)
{
	*state = fixture_new(0);
	return 0;
}

static inline int fixture_teardown(void **state)
{
	Fixture *f = *state;

	store_free(f->s);
	fake_clock_free(f->clock);
	kind_registry_free(f->kinds);
	free(f);
	return 0;
}

static inline Key config_key(const char *name)
{
	return key_make(GR_CONFIGMAP, "default", name);
}

static inline json_t *config_tree(const char *name, const char *value)
{
	return json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:s}}", "apiVersion", "v1", "kind",
			 "ConfigMap", "metadata", "name", name, "namespace", "default", "data", "k",
			 value);
}

/* Commits t (consumed). */
static inline int commit(Store *s, Txn *t, TxnResult *ret, Error *err)
{
	Context ctx = CONTEXT_BACKGROUND;
	int rc = store_commit(s, &ctx, t, ret, err);

	txn_free(t);
	return rc;
}

static inline int create_tree(Store *s, const Key *key, json_t *tree, Error *err)
{
	Txn *t = txn_new();

	txn_create(t, key, tree, false);
	json_decref(tree);
	return commit(s, t, NULL, err);
}

static inline int create_config(Store *s, const char *name, const char *value)
{
	Key key = config_key(name);

	return create_tree(s, &key, config_tree(name, value), NULL);
}

static inline Object *get(Store *s, const Key *key)
{
	Object *o = NULL;

	assert_int_equal(store_get(s, key, &o, NULL), 0);
	return o;
}

/* Sets data.k of a ConfigMap on top of its newest state. */
static inline int set_config(Store *s, const char *name, const char *value)
{
	Key key = config_key(name);
	_cleanup_(object_unrefp) Object *base = get(s, &key);
	json_t *tree = object_decode(base);
	Txn *t = txn_new();

	json_set_at(tree, "data.k", json_string(value));
	txn_update(t, base, tree);
	json_decref(tree);
	return commit(s, t, NULL, NULL);
}

static inline int delete_key(Store *s, const Key *key)
{
	_cleanup_(object_unrefp) Object *base = get(s, key);
	Txn *t = txn_new();

	txn_delete(t, base, NULL);
	return commit(s, t, NULL, NULL);
}

static inline int delete_config(Store *s, const char *name)
{
	Key key = config_key(name);

	return delete_key(s, &key);
}

static inline Key instance_key(const char *name)
{
	return key_make(GR_INSTANCE, "default", name);
}

static inline json_t *instance_tree(const char *name)
{
	return json_pack("{s:s, s:s, s:{s:s}, s:{s:i}, s:{s:s}}", "apiVersion",
			 "shakenfist.io/v1alpha1", "kind", "Instance", "metadata", "name", name,
			 "spec", "cpus", 1, "status", "printableStatus", "Lies");
}

static inline Object *make_instance(Store *s, const char *name, const char *finalizer)
{
	Key key = instance_key(name);
	json_t *tree = instance_tree(name), *list = json_array();

	if (finalizer) {
		json_array_append_new(list, json_string(finalizer));
		json_set_at(tree, "metadata.finalizers", list);
	} else {
		json_decref(list);
	}
	assert_int_equal(create_tree(s, &key, tree, NULL), 0);
	return get(s, &key);
}

/* A string field of a stored object; the tree is kept alive by *ret_tree. */
static inline const char *field(const Object *o, const char *path, json_t **ret_tree)
{
	json_decref(*ret_tree);
	*ret_tree = object_decode(o);
	return json_string_at(*ret_tree, path);
}
