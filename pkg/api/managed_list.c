/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of metadata.managedFields: decoding, order, the bound on how many updaters are
 * remembered. See managed_internal.h.
 */
#include <stdlib.h>

#include "api/managed_internal.h"
#include "base/memory.h"
#include "json/json.h"

#define ANCIENT "ancient-changes"

void managed_list_done(ManagedList *l)
{
	free(l->items);
	json_decref(l->source);
	*l = (ManagedList){ .arena = l->arena };
}

/* ---- entries ---- */

static ManagedEntry *entry_find(ManagedList *l, const ManagedEntry *like)
{
	for (size_t i = 0; i < l->n; i++) {
		ManagedEntry *e = &l->items[i];

		/* An applier is the same one in every version. */
		if (e->apply == like->apply && streq(e->manager, like->manager) &&
		    streq(e->subresource, like->subresource) &&
		    (e->apply || streq(e->api_version, like->api_version)))
			return e;
	}
	return NULL;
}

static ManagedEntry entry_of(const FieldWriter *w, bool apply)
{
	return (ManagedEntry){
		.manager = str_is_empty(w->manager) ? "unknown" : w->manager,
		.api_version = w->kind->api_version,
		.subresource = w->subresource ? w->subresource : "",
		.apply = apply,
	};
}

ManagedEntry *managed_list_find(ManagedList *l, const FieldWriter *w, bool apply)
{
	ManagedEntry like = entry_of(w, apply);

	return entry_find(l, &like);
}

static ManagedEntry *entry_add(ManagedList *l, const ManagedEntry *e)
{
	GROW_ARRAY(l->items, l->n, l->cap);
	l->items[l->n] = *e;
	return &l->items[l->n++];
}

ManagedEntry *managed_list_add(ManagedList *l, const FieldWriter *w, bool apply)
{
	ManagedEntry e = entry_of(w, apply);

	return entry_add(l, &e);
}

void managed_entry_set(ManagedEntry *e, const FieldSet *set)
{
	if (e->set != set)
		e->json = NULL;
	e->set = set;
}

void managed_entry_touch(ManagedEntry *e, const char *now)
{
	e->time = now;
	e->at = 0;
	(void)timestamp_parse(now, &e->at);
	e->json = NULL;
}

/* ---- decoding ---- */

static int entry_decode(ManagedList *l, const Schema *schema, json_t *v, bool keep)
{
	const char *operation = json_string_at(v, "operation"), *time = json_string_at(v, "time");
	const char *manager = json_string_at(v, "manager");
	const char *subresource = json_string_at(v, "subresource");
	const json_t *fields = json_object_get(v, "fieldsV1");
	ManagedEntry e = { .manager = manager ? manager : "",
			   .api_version = json_string_at(v, "apiVersion"),
			   .subresource = subresource ? subresource : "",
			   .time = time,
			   .json = keep ? v : NULL },
		     *twin;

	if (!operation || str_is_empty(e.api_version) ||
	    !streq_ptr(json_string_at(v, "fieldsType"), "FieldsV1") ||
	    (!streq(operation, "Apply") && !streq(operation, "Update")) ||
	    (fields && !json_is_object(fields) && !json_is_null(fields)) ||
	    (time && timestamp_parse(time, &e.at) < 0) ||
	    fieldset_from_json(l->arena, schema, fields, &e.set) < 0)
		return -ERR_INVALID;
	e.apply = streq(operation, "Apply");
	twin = entry_find(l, &e);
	if (twin)
		*twin = e;
	else
		entry_add(l, &e);
	return 0;
}

int managed_list_decode(ManagedList *l, const Schema *schema, const json_t *list, bool keep)
{
	json_t *v;
	size_t i;

	if (json_is_string(list)) {
		l->source = json_load(json_string_value(list), json_string_length(list));
		list = l->source;
	}
	if (list && !json_is_array(list))
		return -ERR_INVALID;
	json_array_foreach (list, i, v) {
		if (i < MANAGED_ENTRIES_MAX * 2 && entry_decode(l, schema, v, keep) == 0)
			continue;
		managed_list_done(l);
		return -ERR_INVALID;
	}
	return 0;
}

/* ---- encoding ---- */

static int compare_identities(const ManagedEntry *x, const ManagedEntry *y)
{
	int c = strcmp(x->manager, y->manager);

	if (c == 0)
		c = strcmp(x->api_version, y->api_version);
	return c ? c : strcmp(x->subresource, y->subresource);
}

static int compare_entries(const void *a, const void *b)
{
	const ManagedEntry *x = a, *y = b;

	if (x->apply != y->apply)
		return x->apply ? -1 : 1;
	if (x->at / USEC_PER_SEC != y->at / USEC_PER_SEC)
		return x->at < y->at ? -1 : 1;
	return compare_identities(x, y);
}

/* Members in the order of their names, as json_canonical() has them. */
static bool entry_add_text(StrBuf *b, const ManagedEntry *e)
{
	bool ok;

	if (e->json) {
		_cleanup_(xfreep) char *text = json_canonical(e->json);

		strbuf_adds(b, text);
		return true;
	}
	strbuf_adds(b, "{\"apiVersion\":");
	ok = json_add_string(b, e->api_version);
	strbuf_adds(b, ",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":");
	ok = ok && fieldset_add_text(b, e->set);
	strbuf_adds(b, ",\"manager\":");
	ok = ok && json_add_string(b, e->manager);
	strbuf_adds(b, e->apply ? ",\"operation\":\"Apply\"" : ",\"operation\":\"Update\"");
	if (*e->subresource) {
		strbuf_adds(b, ",\"subresource\":");
		ok = ok && json_add_string(b, e->subresource);
	}
	if (e->time) {
		strbuf_adds(b, ",\"time\":");
		ok = ok && json_add_string(b, e->time);
	}
	strbuf_addc(b, '}');
	return ok;
}

json_t *managed_list_encode(ManagedList *l)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;

	if (l->n > 1)
		qsort(l->items, l->n, sizeof(*l->items), compare_entries);
	for (size_t i = 0; i < l->n; i++) {
		size_t before = b.len;

		if (!l->items[i].set)
			continue;
		strbuf_addc(&b, b.len ? ',' : '[');
		/* Who is named by what is no text cannot be told. */
		if (!entry_add_text(&b, &l->items[i]))
			strbuf_truncate(&b, before);
	}
	if (!b.len)
		return NULL;
	strbuf_addc(&b, ']');
	return json_stringn_nocheck(b.buf, b.len);
}

/* ---- the bound ---- */

static int compare_ages(const void *a, const void *b)
{
	const ManagedEntry *x = *(ManagedEntry *const *)a, *y = *(ManagedEntry *const *)b;

	if (x->at / USEC_PER_SEC != y->at / USEC_PER_SEC)
		return x->at < y->at ? -1 : 1;
	return compare_identities(x, y);
}

static ManagedEntry *first_of_version(ManagedEntry **old, size_t n, const char *version)
{
	for (size_t i = 0; i < n; i++)
		if (old[i]->set && streq(old[i]->api_version, version))
			return old[i];
	return NULL;
}

/* What `e` owns goes to the collected entry of its version, which `first` becomes if there is none.
 */
static void grow_ancient(ManagedList *l, ManagedEntry *first, ManagedEntry *e)
{
	ManagedEntry like = { .manager = ANCIENT,
			      .api_version = e->api_version,
			      .subresource = "" };
	ManagedEntry *bucket = entry_find(l, &like);

	if (!bucket || !bucket->set) {
		bucket = first;
		bucket->manager = ANCIENT;
		bucket->subresource = "";
	}
	bucket->set = fieldset_union(l->arena, bucket->set, e->set);
	bucket->time = e->time;
	bucket->at = e->at;
	bucket->json = NULL;
	if (bucket != e)
		e->set = NULL;
}

void managed_list_cap(ManagedList *l)
{
	_cleanup_(xfreep) ManagedEntry **old = NULL;
	size_t n = 0, left;

	for (size_t i = 0; i < l->n; i++)
		n += !l->items[i].apply && l->items[i].set;
	if (n <= MANAGED_UPDATERS_MAX)
		return;
	old = xnew(ManagedEntry *, n);
	n = 0;
	for (size_t i = 0; i < l->n; i++)
		if (!l->items[i].apply && l->items[i].set)
			old[n++] = &l->items[i];
	qsort(old, n, sizeof(*old), compare_ages);
	left = n;
	for (size_t i = 0; i < n && left > MANAGED_UPDATERS_MAX; i++) {
		ManagedEntry *first = first_of_version(old, i, old[i]->api_version);

		if (first) {
			grow_ancient(l, first, old[i]);
			left -= !old[i]->set;
		}
	}
}
