/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Change: a walk down two trees with the schema beside them. See change.h.
 */
#include "api/change.h"

#include "api/quantity.h"
#include "base/memory.h"
#include "json/json.h"

static const char *const cost_names[] = {
	[COST_NONE] = "none",         [COST_LIVE] = "live",       [COST_RESTART] = "restart",
	[COST_RECREATE] = "recreate", [COST_BLOCKED] = "blocked",
};

const char *change_cost_to_string(ChangeCost c)
{
	return cost_names[c];
}

ChangeCost change_cost_of_size(uint64_t live, uint64_t want, uint64_t max)
{
	if (live == want)
		return COST_NONE;
	return want > live && want <= max ? COST_LIVE : COST_RESTART;
}

/* ---- what is known of it ---- */

static uint64_t size_of(const json_t *v)
{
	uint64_t n = 0;

	return v && quantity_parse_json(v, &n, NULL) == 0 ? n : 0;
}

void change_observe(const json_t *object, ChangeObserved *ret)
{
	static const char *const on[] = { "Running", "Paused", "Starting", "Stopping", NULL };
	const char *word = json_string_at(object, "status.printableStatus"), *path;
	const json_t *pending = json_at(object, "status.pendingChanges"), *p;
	size_t i;

	*ret = (ChangeObserved){ .running = word && strv_contains((char *const *)on, word) };
	json_array_foreach (pending, i, p) {
		path = json_string_at(p, "path");
		if (streq_ptr(path, "spec.cpus"))
			ret->cpus = size_of(json_object_get(p, "from"));
		else if (streq_ptr(path, "spec.memory"))
			ret->memory = size_of(json_object_get(p, "from"));
	}
}

/* ---- the walk ---- */

typedef struct Walk {
	const Kind *kind;
	const json_t *from, *to;
	const ChangeObserved *seen;
	FieldErrors refused; /* by the kind's own rules */
	FieldChanges *changes;
	bool instance;
} Walk;

/* A place in both trees. */
typedef struct Place {
	const Schema *schema;
	const char *cost;  /* x-sf-apply of the nearest field on the way down that says */
	const char *path;  /* with keys of list entries */
	const char *index; /* with their numbers in the new tree, as errors are told */
} Place;

/* The refusal that is about this place or something in it. */
static const FieldError *refusal(const Walk *w, const char *index)
{
	size_t n = strlen(index);

	for (size_t i = 0; i < w->refused.n; i++) {
		const char *path = w->refused.items[i].path;

		if (strncmp(path, index, n) == 0 && (!path[n] || path[n] == '.' || path[n] == '['))
			return &w->refused.items[i];
	}
	return NULL;
}

static ChangeCost cost_from_schema(const char *cost)
{
	for (size_t i = 0; cost && i < ARRAY_SIZE(cost_names); i++)
		if (streq(cost_names[i], cost))
			return (ChangeCost)i;
	return cost && streq(cost, "immutable") ? COST_BLOCKED : COST_NONE;
}

/* CPUs and memory: how far the guest can grow decides. */
static ChangeCost cost_of_growth(const Walk *w, const char *max_path, uint64_t live,
				 const json_t *from, const json_t *to, const char **reason)
{
	uint64_t max = size_of(json_at(w->from, max_path)), want = size_of(to);
	ChangeCost cost;

	if (!live)
		live = size_of(from);
	cost = change_cost_of_size(live, want, max);
	if (cost == COST_RESTART)
		*reason = want < live ? "can only grow while the guest runs"
				      : "is beyond what the running guest can grow to";
	return cost;
}

static ChangeCost cost_in_instance(const Walk *w, const Place *p, const json_t *from,
				   const json_t *to, const char **reason)
{
	ChangeCost cost = cost_from_schema(p->cost);

	if (cost == COST_BLOCKED)
		return cost;
	if (streq(p->path, "spec.runStrategy")) {
		bool off = streq_ptr(json_string_value(to), "Halted");

		if (w->seen->running && off)
			*reason = "the guest is shut down";
		else if (!w->seen->running && streq_ptr(json_string_value(to), "Always"))
			*reason = "the guest is started";
		return COST_LIVE;
	}
	if (str_has_prefix(p->path, "spec.cloudInit")) {
		*reason = "cloud-init reads it at the first start only";
		return COST_NONE;
	}
	if (!w->seen->running) {
		*reason = "no guest runs: in force at the next start";
		return COST_NONE;
	}
	if (from && to && str_has_suffix(p->path, ".size") && size_of(from) == size_of(to))
		return COST_NONE; /* written in another unit */
	if (streq(p->path, "spec.cpus"))
		return cost_of_growth(w, "spec.maxCpus", w->seen->cpus, from, to, reason);
	if (streq(p->path, "spec.memory"))
		return cost_of_growth(w, "spec.maxMemory", w->seen->memory, from, to, reason);
	return cost;
}

static void add_change(Walk *w, const Place *p, const json_t *from, const json_t *to)
{
	const FieldError *e = refusal(w, p->index);
	const char *reason = "";
	FieldChange *c;

	GROW_ARRAY(w->changes->items, w->changes->n, w->changes->cap);
	c = &w->changes->items[w->changes->n++];
	*c = (FieldChange){ .path = xstrdup(p->path),
			    .from = from ? json_deep_copy(from) : NULL,
			    .to = to ? json_deep_copy(to) : NULL };
	if (e) {
		c->cost = COST_BLOCKED;
		reason = str_has_prefix(e->message, "Invalid value: ") ? e->message + 15
								       : e->message;
	} else if (w->instance) {
		c->cost = cost_in_instance(w, p, from, to, &reason);
	} else {
		c->cost = cost_from_schema(p->cost);
	}
	if (c->cost == COST_BLOCKED && !*reason)
		reason = "field is immutable";
	c->reason = xstrdup(reason);
}

static void walk(Walk *w, const Place *p, const json_t *from, const json_t *to);

static void walk_member(Walk *w, const Place *p, const char *name, const json_t *from,
			const json_t *to)
{
	_cleanup_(xfreep) char *path = xasprintf("%s%s%s", p->path, *p->path ? "." : "", name);
	_cleanup_(xfreep) char *index = xasprintf("%s%s%s", p->index, *p->index ? "." : "", name);
	const Schema *s = p->schema ? schema_property(p->schema, name) : NULL;
	const char *own = s ? schema_apply_cost(s) : NULL;

	walk(w, &(Place){ s, own ? own : p->cost, path, index }, json_object_get(from, name),
	     json_object_get(to, name));
}

static void walk_object(Walk *w, const Place *p, const json_t *from, const json_t *to)
{
	const char *name;
	json_t *v;

	json_object_foreach ((json_t *)to, name, v)
		walk_member(w, p, name, from, to);
	json_object_foreach ((json_t *)from, name, v)
		if (!json_object_get(to, name))
			walk_member(w, p, name, from, to);
}

/* "root", or "a,b" of several keys; NULL if the entry has none of them. Caller frees. */
static char *entry_key(const Schema *s, const json_t *entry)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;

	for (const char *const *k = schema_list_map_keys(s); k && *k; k++) {
		const json_t *v = json_object_get(entry, *k);

		if (json_is_string(v))
			strbuf_addf(&b, "%s%s", b.len ? "," : "", json_string_value(v));
		else if (json_is_integer(v))
			strbuf_addf(&b, "%s%lld", b.len ? "," : "",
				    (long long)json_integer_value(v));
	}
	return b.len ? strbuf_take(&b) : NULL;
}

static json_t *entry_find(const Schema *s, const json_t *list, const char *key)
{
	json_t *v;
	size_t i;

	json_array_foreach ((json_t *)list, i, v) {
		_cleanup_(xfreep) char *own = entry_key(s, v);

		if (streq_ptr(own, key))
			return v;
	}
	return NULL;
}

static void walk_entry(Walk *w, const Place *p, size_t number, const char *key, const json_t *from,
		       const json_t *to)
{
	_cleanup_(xfreep) char *path = xasprintf("%s[%s]", p->path, key);
	_cleanup_(xfreep) char *index =
		to ? xasprintf("%s[%zu]", p->index, number) : xstrdup("(removed)");

	walk(w, &(Place){ schema_items(p->schema), p->cost, path, index }, from, to);
}

static void walk_list(Walk *w, const Place *p, const json_t *from, const json_t *to)
{
	size_t i, before = w->changes->n;
	json_t *v;

	json_array_foreach ((json_t *)to, i, v) {
		_cleanup_(xfreep) char *key = entry_key(p->schema, v);

		if (key)
			walk_entry(w, p, i, key, entry_find(p->schema, from, key), v);
	}
	json_array_foreach ((json_t *)from, i, v) {
		_cleanup_(xfreep) char *key = entry_key(p->schema, v);

		if (key && !entry_find(p->schema, to, key))
			walk_entry(w, p, i, key, v, NULL);
	}
	/* Only their order differs, and the first disk is the one to boot from. */
	if (w->changes->n == before)
		add_change(w, p, from, to);
}

static void walk(Walk *w, const Place *p, const json_t *from, const json_t *to)
{
	if (json_same(from, to) || (!from && !to))
		return;
	if (json_is_object(from) && json_is_object(to))
		walk_object(w, p, from, to);
	else if (json_is_array(from) && json_is_array(to) && p->schema &&
		 schema_list_type(p->schema) == LIST_MAP)
		walk_list(w, p, from, to);
	else
		add_change(w, p, from, to);
}

/* What the kind's rules refuse because of what was before. */
static void find_refusals(Walk *w)
{
	FieldErrors all = FIELD_ERRORS_INIT, anyway = FIELD_ERRORS_INIT;

	object_validate(w->kind, w->to, w->from, &all);
	object_validate(w->kind, w->to, NULL, &anyway);
	for (size_t i = 0; i < all.n; i++) {
		bool known = false;

		for (size_t j = 0; !known && j < anyway.n; j++)
			known = streq(all.items[i].path, anyway.items[j].path) &&
				streq(all.items[i].message, anyway.items[j].message);
		if (!known)
			field_errors_add(&w->refused, all.items[i].type, all.items[i].path, "%s",
					 all.items[i].message);
	}
	field_errors_done(&all);
	field_errors_done(&anyway);
}

void changes_find(const Kind *k, const json_t *from, const json_t *to, const ChangeObserved *seen,
		  FieldChanges *ret)
{
	static const char *const beside[] = { "apiVersion", "kind", "metadata", "status", NULL };
	static const ChangeObserved nothing;
	Walk w = { .kind = k,
		   .from = from,
		   .to = to,
		   .seen = seen ? seen : &nothing,
		   .changes = ret,
		   .instance = k && k->gr == GR_INSTANCE };
	Place root = { .schema = k ? k->schema : NULL, .path = "", .index = "" };
	const char *name;
	json_t *v;

	*ret = (FieldChanges){ 0 };
	if (k && k->schema && !w.seen->accepted)
		find_refusals(&w);
	json_object_foreach ((json_t *)to, name, v)
		if (!strv_contains((char *const *)beside, name))
			walk_member(&w, &root, name, from, to);
	json_object_foreach ((json_t *)from, name, v)
		if (!json_object_get(to, name) && !strv_contains((char *const *)beside, name))
			walk_member(&w, &root, name, from, to);
	field_errors_done(&w.refused);
}

/* ---- results ---- */

ChangeCost changes_worst(const FieldChanges *c)
{
	ChangeCost worst = COST_NONE;

	for (size_t i = 0; i < c->n; i++)
		worst = MAX(worst, c->items[i].cost);
	return worst;
}

json_t *changes_to_json(const FieldChanges *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->n; i++) {
		const FieldChange *f = &c->items[i];
		json_t *o = json_pack("{s:s, s:s}", "path", f->path, "cost",
				      change_cost_to_string(f->cost));

		if (f->from)
			json_object_set(o, "from", f->from);
		if (f->to)
			json_object_set(o, "to", f->to);
		if (*f->reason)
			json_object_set_new(o, "reason", json_string(f->reason));
		json_array_append_new(list, o);
	}
	return list;
}

char *change_sentence(const FieldChange *c)
{
	static const char *const meaning[] = {
		[COST_NONE] = "touches nothing that runs",
		[COST_LIVE] = "is changed while it runs",
		[COST_RESTART] = "takes effect when the guest restarts",
		[COST_RECREATE] = "needs the object to be made anew",
		[COST_BLOCKED] = "is refused",
	};

	return xasprintf("%s: %s%s%s%s", c->path, meaning[c->cost], *c->reason ? " (" : "",
			 c->reason, *c->reason ? ")" : "");
}

void changes_done(FieldChanges *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->items[i].path);
		json_decref(c->items[i].from);
		json_decref(c->items[i].to);
		free(c->items[i].reason);
	}
	free(c->items);
	*c = (FieldChanges){ 0 };
}
