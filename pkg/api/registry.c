/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KindRegistry: which kinds there are. A list under a mutex: there are a dozen, and look-ups are
 * short. See kind.h.
 */
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>

#include "api/builtin.h"
#include "api/kind.h"
#include "base/memory.h"

struct KindRegistry {
	pthread_mutex_t lock; /* guards everything */
	Kind **kinds;         /* ordered by group, then plural */
	size_t n, cap;
	uint64_t generation;
};

static int kind_order(const void *a, const void *b)
{
	const Kind *const *p = a, *const *q = b;
	int c = strcmp((*p)->group, (*q)->group);

	return c ? c : strcmp((*p)->plural, (*q)->plural);
}

KindRegistry *kind_registry_new(void)
{
	KindRegistry *r = xnew0(KindRegistry, 1);

	pthread_mutex_init(&r->lock, NULL);
	for (size_t i = 0; i < builtin_crds_n; i++) {
		json_t *crd = json_loadb(builtin_crds[i].text, builtin_crds[i].len, 0, NULL);
		Kind *k = NULL;
		int rc;

		assert(crd);
		rc = kind_from_crd(crd, true, &k, NULL);
		assert(rc == 0);
		GROW_ARRAY(r->kinds, r->n, r->cap);
		r->kinds[r->n++] = k;
		json_decref(crd);
	}
	qsort(r->kinds, r->n, sizeof(Kind *), kind_order);
	return r;
}

KindRegistry *kind_registry_free(KindRegistry *r)
{
	if (!r)
		return NULL;
	for (size_t i = 0; i < r->n; i++)
		kind_unref(r->kinds[i]);
	free(r->kinds);
	pthread_mutex_destroy(&r->lock);
	free(r);
	return NULL;
}

typedef bool (*KindMatch)(const Kind *k, const void *a, const void *b);

static Kind *find(KindRegistry *r, KindMatch match, const void *a, const void *b)
{
	Kind *found = NULL;

	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->n && !found; i++)
		if (match(r->kinds[i], a, b))
			found = kind_ref(r->kinds[i]);
	pthread_mutex_unlock(&r->lock);
	return found;
}

static bool match_gr(const Kind *k, const void *gr, const void *unused _unused_)
{
	return k->gr == gr;
}

/* The version of that name, which others see; NULL if it is not served. */
static const Kind *served_version(const Kind *k, const char *api_version)
{
	for (const Kind *const *v = k->versions; *v; v++)
		if ((*v)->served && streq((*v)->api_version, api_version))
			return *v;
	return NULL;
}

static bool match_kind(const Kind *k, const void *api_version, const void *kind)
{
	return streq(k->kind, kind) && served_version(k, api_version);
}

static bool match_word(const Kind *k, const void *word, const void *unused _unused_)
{
	const char *w = word, *dot = strchr(w, '.');
	size_t n = dot ? (size_t)(dot - w) : strlen(w);

	if (dot)
		return strncasecmp(w, k->plural, n) == 0 && !k->plural[n] &&
		       strcasecmp(dot + 1, k->group) == 0;
	if (strcasecmp(w, k->plural) == 0 || strcasecmp(w, k->singular) == 0 ||
	    strcasecmp(w, k->kind) == 0)
		return true;
	for (const char *const *s = k->short_names; *s; s++)
		if (strcasecmp(w, *s) == 0)
			return true;
	return false;
}

static bool match_builtin_word(const Kind *k, const void *word, const void *unused)
{
	return k->builtin && match_word(k, word, unused);
}

Kind *kind_registry_find(KindRegistry *r, const GroupResource *gr)
{
	return find(r, match_gr, gr, NULL);
}

Kind *kind_registry_find_by_kind(KindRegistry *r, const char *api_version, const char *kind)
{
	_cleanup_(kind_unrefp) Kind *k =
		api_version && kind ? find(r, match_kind, api_version, kind) : NULL;

	return k ? kind_ref(served_version(k, api_version)) : NULL;
}

Kind *kind_registry_find_by_word(KindRegistry *r, const char *word)
{
	Kind *k = find(r, match_builtin_word, word, NULL);

	return k ? k : find(r, match_word, word, NULL);
}

Kind **kind_registry_list(KindRegistry *r, size_t *ret_n)
{
	Kind **list;

	pthread_mutex_lock(&r->lock);
	list = xnew0(Kind *, r->n + 1);
	for (size_t i = 0; i < r->n; i++)
		list[i] = kind_ref(r->kinds[i]);
	*ret_n = r->n;
	pthread_mutex_unlock(&r->lock);
	return list;
}

int kind_registry_add(KindRegistry *r, Kind *k, Error *err)
{
	int rc = 0;
	size_t i;

	pthread_mutex_lock(&r->lock);
	for (i = 0; i < r->n && r->kinds[i]->gr != k->gr; i++)
		;
	if (i < r->n && r->kinds[i]->builtin) {
		rc = error_set(err, ERR_FORBIDDEN, "%s.%s is compiled in and cannot be replaced",
			       k->plural, k->group);
	} else if (i < r->n) {
		kind_unref(r->kinds[i]);
		r->kinds[i] = kind_ref(k);
		r->generation++;
	} else {
		GROW_ARRAY(r->kinds, r->n, r->cap);
		r->kinds[r->n++] = kind_ref(k);
		qsort(r->kinds, r->n, sizeof(Kind *), kind_order);
		r->generation++;
	}
	pthread_mutex_unlock(&r->lock);
	return rc;
}

void kind_registry_remove(KindRegistry *r, const GroupResource *gr)
{
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->n; i++) {
		if (r->kinds[i]->gr != gr || r->kinds[i]->builtin)
			continue;
		kind_unref(r->kinds[i]);
		memmove(r->kinds + i, r->kinds + i + 1, (r->n - i - 1) * sizeof(*r->kinds));
		r->n--;
		r->generation++;
		break;
	}
	pthread_mutex_unlock(&r->lock);
}

uint64_t kind_registry_generation(KindRegistry *r)
{
	uint64_t g;

	pthread_mutex_lock(&r->lock);
	g = r->generation;
	pthread_mutex_unlock(&r->lock);
	return g;
}
