/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Usage: see usage.h.
 *
 * Disks of an image's own size and addresses on a network depend on another object: they are kept
 * as numbers of references, each with what that object weighs, and weighed anew when it changes. So
 * an image whose size becomes known, or a second CIDR, counts at once everywhere, and a create
 * looks at its own references only, however many others there are.
 */
#include "store/usage.h"

#include "api/quota.h"
#include "base/hashmap.h"
#include "base/memory.h"
#include "store/store_internal.h"
#include "json/json.h"

/* How many point at one object. */
typedef struct RefCount {
	int64_t n, weight;
} RefCount;

typedef struct RefCounts {
	Hashmap *refs; /* "namespace/name" -> RefCount; made with the first */
	int64_t total; /* of all numbers times weights */
} RefCounts;

typedef struct KindCount {
	const GroupResource *gr;
	int64_t n;
} KindCount;

typedef struct Bound {
	char *name;
	QuotaUnit unit;
	const char *kind; /* points into name or is constant */
	uint64_t value;
	json_t *hard; /* as it was written */
} Bound;

typedef struct Quota {
	Object *object;
	Bound *bounds; /* in order of name */
	size_t n;
} Quota;

struct Usage {
	Usage *next;
	char namespace[KEY_NAMESPACE_MAX];
	int64_t sums[QUOTA_STORAGE + 1]; /* storage: of disks that name a size */
	RefCounts images, networks;
	KindCount *kinds;
	size_t n_kinds, cap_kinds;
	Quota *quotas;
	size_t n_quotas;
};

/* ---- adding up ---- */

static Object *ref_get(Store *s, const GroupResource *gr, const char *ref)
{
	const char *slash = strchr(ref, '/');
	char namespace[KEY_NAMESPACE_MAX];
	Key key;

	if (!slash || (size_t)(slash - ref) >= sizeof(namespace) ||
	    strlen(slash + 1) >= KEY_NAME_MAX)
		return NULL;
	snprintf(namespace, sizeof(namespace), "%.*s", (int)(slash - ref), ref);
	key = key_make(gr, namespace, slash + 1);
	return image_get(s->image, &key);
}

/* What one reference counts: bytes of an image, once they are known; addresses on a network, one as
 * long as it is not there. */
static int64_t ref_weight(Store *s, const GroupResource *gr, const char *ref)
{
	Object *o = ref_get(s, gr, ref);
	_cleanup_(json_decrefp) json_t *tree = o ? object_decode(o) : NULL;

	if (gr == GR_IMAGE)
		return json_integer_at(tree, "status.virtualSize", 0);
	return tree ? (int64_t)json_array_size(json_at(tree, "spec.cidrs")) : 1;
}

static void refs_count(Store *s, const GroupResource *gr, RefCounts *r, const char *ref, int64_t by)
{
	RefCount *c;

	if (!r->refs)
		r->refs = hashmap_new(free);
	c = hashmap_get(r->refs, ref);
	if (!c) {
		c = xnew0(RefCount, 1);
		c->weight = ref_weight(s, gr, ref);
		hashmap_put(r->refs, ref, c);
	}
	c->n += by;
	r->total += by * c->weight;
	if (c->n == 0)
		hashmap_remove(r->refs, ref);
}

static void charge_count(Store *s, Usage *u, const char *charge, int64_t by)
{
	char *end = (char *)charge;

	for (size_t i = 0; i < ARRAY_SIZE(u->sums) && *end; i++)
		u->sums[i] += by * (int64_t)strtoull(end, &end, 10);
	while (*end == ' ') {
		bool image = end[1] == 'i';
		size_t len = strcspn(end + 2, " ");
		_cleanup_(xfreep) char *ref = xstrndup(end + 2, len);

		refs_count(s, image ? GR_IMAGE : GR_NETWORK, image ? &u->images : &u->networks, ref,
			   by);
		end += 2 + len;
	}
}

static void object_count(Store *s, Usage *u, const Object *o, int64_t by)
{
	const GroupResource *gr = object_key(o)->gr;
	size_t i;

	for (i = 0; i < u->n_kinds && u->kinds[i].gr != gr; i++)
		;
	if (i == u->n_kinds) {
		GROW_ARRAY(u->kinds, u->n_kinds, u->cap_kinds);
		u->kinds[u->n_kinds++] = (KindCount){ .gr = gr };
	}
	u->kinds[i].n += by;
	charge_count(s, u, object_head(o)->charge, by);
}

static void change_count(Store *s, Usage *u, const Change *c, int64_t by)
{
	if (gr_is_internal(c->key.gr) || c->outcome == OUTCOME_SAME ||
	    !streq(c->key.namespace, u->namespace))
		return;
	if (c->base)
		object_count(s, u, c->base, -by);
	if (c->outcome != OUTCOME_REMOVED)
		object_count(s, u, c->next, by);
}

static void job_count(Store *s, Usage *u, const Job *job, int64_t by)
{
	for (size_t i = 0; i < job->n_changes; i++)
		change_count(s, u, &job->changes[i], by);
}

/* ---- quotas ---- */

static void quotas_done(Usage *u)
{
	for (size_t i = 0; i < u->n_quotas; i++) {
		Quota *q = &u->quotas[i];

		for (size_t j = 0; j < q->n; j++) {
			free(q->bounds[j].name);
			json_decref(q->bounds[j].hard);
		}
		free(q->bounds);
		object_unref(q->object);
	}
	free(u->quotas);
	u->quotas = NULL;
	u->n_quotas = 0;
}

static int bound_compare(const void *a, const void *b)
{
	return strcmp(((const Bound *)a)->name, ((const Bound *)b)->name);
}

static void quota_read(Quota *q, Object *o)
{
	_cleanup_(json_decrefp) json_t *tree = object_decode(o);
	json_t *hard = json_at(tree, "spec.hard"), *v;
	const char *name;

	*q = (Quota){ .object = object_ref(o), .bounds = xnew0(Bound, json_object_size(hard) + 1) };
	json_object_foreach (hard, name, v) {
		Bound *b = &q->bounds[q->n];

		b->name = xstrdup(name);
		/* What another version of the program stored is not for this one to judge. */
		if (!quota_unit(b->name, &b->unit, &b->kind) || quota_bound(v, &b->value) < 0) {
			free(TAKE_PTR(b->name));
			continue;
		}
		b->hard = json_incref(v);
		q->n++;
	}
	if (q->n)
		qsort(q->bounds, q->n, sizeof(*q->bounds), bound_compare);
}

/* Of the objects that are there now; read again only when one has changed. */
static void quotas_refresh(Usage *u, const Table *t, size_t from, size_t to)
{
	bool same = to - from == u->n_quotas;

	for (size_t i = 0; same && i < u->n_quotas; i++)
		same = u->quotas[i].object == t->slots[from + i].object;
	if (same)
		return;
	quotas_done(u);
	u->quotas = xnew0(Quota, to - from);
	for (; from < to; from++)
		quota_read(&u->quotas[u->n_quotas++], t->slots[from].object);
}

/* ---- finding ---- */

static void usage_free(Usage *u)
{
	quotas_done(u);
	hashmap_free(u->images.refs);
	hashmap_free(u->networks.refs);
	free(u->kinds);
	free(u);
}

void usage_forget(Store *s)
{
	while (s->usages) {
		Usage *u = s->usages;

		s->usages = u->next;
		usage_free(u);
	}
}

static Usage *usage_make(Store *s, const char *namespace)
{
	Usage *u = xnew0(Usage, 1);
	size_t from, to;

	memcpy(u->namespace, namespace, strlen(namespace) + 1);
	for (size_t i = 0; i < s->image->n; i++) {
		const Table *t = &s->image->tables[i];

		if (gr_is_internal(t->gr))
			continue;
		table_range(t, namespace, &from, &to);
		for (; from < to; from++)
			object_count(s, u, t->slots[from].object, 1);
	}
	u->next = s->usages;
	s->usages = u;
	return u;
}

/* NULL where no quota is. */
static Usage *usage_get(Store *s, const char *namespace)
{
	const Table *t = image_table(s->image, GR_QUOTA);
	size_t from = 0, to = 0;
	Usage **at;

	if (t && *namespace)
		table_range(t, namespace, &from, &to);
	for (at = &s->usages; *at && !streq((*at)->namespace, namespace); at = &(*at)->next)
		;
	if (from == to) {
		Usage *u = *at;

		/* Nobody counts for it from now on. */
		if (u) {
			*at = u->next;
			usage_free(u);
		}
		return NULL;
	}
	if (!*at) {
		usage_make(s, namespace);
		at = &s->usages;
	}
	quotas_refresh(*at, t, from, to);
	return *at;
}

/* ---- measuring ---- */

static int64_t kind_measure(const Usage *u, const char *kind)
{
	char name[512];

	for (size_t i = 0; i < u->n_kinds; i++)
		if (streq(group_resource_format(u->kinds[i].gr, name, sizeof(name)), kind))
			return u->kinds[i].n;
	return 0;
}

static uint64_t measure(const Usage *u, const Bound *b)
{
	int64_t n;

	switch (b->unit) {
	case QUOTA_STORAGE:
		n = u->sums[QUOTA_STORAGE] + u->images.total;
		break;
	case QUOTA_ADDRESSES:
		n = u->networks.total;
		break;
	case QUOTA_COUNT:
		n = kind_measure(u, b->kind);
		break;
	default:
		n = u->sums[b->unit];
	}
	return n > 0 ? (uint64_t)n : 0;
}

/* ---- admission ---- */

static void add_amount(StrBuf *b, const char *name, json_t *value)
{
	strbuf_addf(b, "%s%s=", b->len ? "," : "", name);
	if (json_is_string(value))
		strbuf_adds(b, json_string_value(value));
	else
		strbuf_addf(b, "%lld", (long long)json_integer_value(value));
	json_decref(value);
}

/* Which object the refusal is about: the first that takes something. */
static const Key *job_subject(const Job *job, const char *namespace)
{
	for (size_t i = 0; i < job->n_changes; i++) {
		const Change *c = &job->changes[i];

		if (!gr_is_internal(c->key.gr) && streq(c->key.namespace, namespace) &&
		    (c->outcome == OUTCOME_CHANGED || c->created))
			return &c->key;
	}
	return &job->changes[0].key;
}

static int refuse(Job *job, const Usage *u, const Quota *q, const StrBuf *requested,
		  const StrBuf *used, const StrBuf *limited)
{
	const Key *key = job_subject(job, u->namespace);
	char name[512];

	return error_set(&job->err, ERR_FORBIDDEN,
			 "%s \"%s\" is forbidden: exceeded quota: %s, requested: %s, used: %s, "
			 "limited: %s",
			 group_resource_format(key->gr, name, sizeof(name)), key->name,
			 object_key(q->object)->name, strbuf_str(requested), strbuf_str(used),
			 strbuf_str(limited));
}

/* What of a namespace's use a job can change at all: most writes are statuses and events. */
typedef struct Touched {
	bool counts, charges;
} Touched;

static Touched job_touch(const Job *job, const char *namespace)
{
	Touched t = { 0 };

	for (size_t i = 0; i < job->n_changes; i++) {
		const Change *c = &job->changes[i];
		const char *before, *after;

		if (gr_is_internal(c->key.gr) || c->outcome == OUTCOME_SAME ||
		    !streq(c->key.namespace, namespace))
			continue;
		before = c->base ? object_head(c->base)->charge : "";
		after = c->outcome == OUTCOME_REMOVED ? "" : object_head(c->next)->charge;
		t.counts |= !c->base || c->outcome == OUTCOME_REMOVED;
		t.charges |= !streq(before, after);
	}
	return t;
}

static uint64_t measure_if(const Usage *u, const Bound *b, Touched t)
{
	return (b->unit == QUOTA_COUNT ? t.counts : t.charges) ? measure(u, b) : 0;
}

/* `before` holds what each bound measured without the job. */
static int quota_check(Job *job, const Usage *u, const Quota *q, const uint64_t *before,
		       Touched touched)
{
	_cleanup_(strbuf_done) StrBuf requested = STRBUF_INIT, used = STRBUF_INIT,
				      limited = STRBUF_INIT;

	for (size_t i = 0; i < q->n; i++) {
		const Bound *b = &q->bounds[i];
		uint64_t after = measure_if(u, b, touched);

		if (after <= before[i] || after <= b->value)
			continue;
		add_amount(&requested, b->name, quota_amount(b->unit, after - before[i]));
		add_amount(&used, b->name, quota_amount(b->unit, before[i]));
		add_amount(&limited, b->name, json_incref(b->hard));
	}
	return requested.len ? refuse(job, u, q, &requested, &used, &limited) : 0;
}

static int namespace_admit(Store *s, Job *job, const char *namespace)
{
	Touched touched = job_touch(job, namespace);
	_cleanup_(xfreep) uint64_t *before = NULL;
	size_t n = 0, at = 0;
	Usage *u = usage_get(s, namespace);
	int rc = 0;

	if (!u || (!touched.counts && !touched.charges))
		return 0;
	for (size_t i = 0; i < u->n_quotas; i++)
		n += u->quotas[i].n;
	before = xnew0(uint64_t, n + 1);
	for (size_t i = 0; i < u->n_quotas; i++)
		for (size_t j = 0; j < u->quotas[i].n; j++)
			before[at++] = measure_if(u, &u->quotas[i].bounds[j], touched);
	job_count(s, u, job, 1);
	at = 0;
	for (size_t i = 0; rc == 0 && i < u->n_quotas; i++) {
		rc = quota_check(job, u, &u->quotas[i], before + at, touched);
		at += u->quotas[i].n;
	}
	if (rc < 0)
		job_count(s, u, job, -1);
	return rc;
}

/* The namespace of change i, if no earlier change is in the same. */
static const char *namespace_of(const Job *job, size_t i)
{
	const Change *c = &job->changes[i];

	if (gr_is_internal(c->key.gr) || !*c->key.namespace || c->outcome == OUTCOME_SAME)
		return NULL;
	for (size_t j = 0; j < i; j++)
		if (!gr_is_internal(job->changes[j].key.gr) &&
		    job->changes[j].outcome != OUTCOME_SAME &&
		    streq(job->changes[j].key.namespace, c->key.namespace))
			return NULL;
	return c->key.namespace;
}

static void revert_before(Store *s, Job *job, size_t end)
{
	for (size_t i = 0; i < end; i++) {
		const char *namespace = namespace_of(job, i);
		Usage *u = namespace ? usage_get(s, namespace) : NULL;

		if (u)
			job_count(s, u, job, -1);
	}
}

int usage_admit(Store *s, Job *job)
{
	for (size_t i = 0; i < job->n_changes; i++) {
		const char *namespace = namespace_of(job, i);

		if (namespace)
			job->rc = namespace_admit(s, job, namespace);
		if (job->rc < 0) {
			revert_before(s, job, i);
			return job->rc;
		}
	}
	return 0;
}

void usage_revert(Store *s, Job *job)
{
	revert_before(s, job, job->n_changes);
}

/* ---- weights ---- */

void usage_reweigh(Store *s, const Key *key)
{
	char ref[KEY_NAMESPACE_MAX + KEY_NAME_MAX];

	if (key->gr != GR_IMAGE && key->gr != GR_NETWORK)
		return;
	snprintf(ref, sizeof(ref), "%s/%s", key->namespace, key->name);
	for (Usage *u = s->usages; u; u = u->next) {
		RefCounts *r = key->gr == GR_IMAGE ? &u->images : &u->networks;
		RefCount *c = r->refs ? hashmap_get(r->refs, ref) : NULL;
		int64_t weight;

		if (!c)
			continue;
		weight = ref_weight(s, key->gr, ref);
		r->total += c->n * (weight - c->weight);
		c->weight = weight;
	}
}

/* ---- telling ---- */

int store_quota_used(Store *s, const Object *quota, json_t **ret, Error *err)
{
	const char *name = object_key(quota)->name;
	json_t *used = NULL;
	Usage *u;

	pthread_mutex_lock(&s->lock);
	u = usage_get(s, object_key(quota)->namespace);
	for (size_t i = 0; u && i < u->n_quotas; i++) {
		const Quota *q = &u->quotas[i];

		if (!streq(object_key(q->object)->name, name))
			continue;
		used = json_object();
		for (size_t j = 0; j < q->n; j++)
			json_object_set_new(
				used, q->bounds[j].name,
				quota_amount(q->bounds[j].unit, measure(u, &q->bounds[j])));
	}
	pthread_mutex_unlock(&s->lock);
	if (!used)
		return error_set(err, ERR_NOT_FOUND, "resourcequotas \"%s\" not found", name);
	*ret = used;
	return 0;
}
