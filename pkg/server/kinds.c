/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds that are served: every served version of what the registry holds, renewed when its
 * generation moves; ordered by group (ours first), the version that clients prefer, plural.
 *
 * Looking a kind up by a client's text must not go through group_resource(): that interns what it
 * is given, for ever. Any thread; kinds_lock guards the copy.
 */
#include <stdlib.h>

#include "server/internal.h"

void kinds_free(Kind **kinds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		kind_unref(kinds[i]);
	free(kinds);
}

static int compare_kinds(const void *a, const void *b)
{
	const Kind *x = *(Kind *const *)a, *y = *(Kind *const *)b;
	int c = strcmp(x->group, y->group);

	/* Clients take a word of two groups for the first one's: ours stay what they are. */
	if (c && x->builtin != y->builtin)
		return x->builtin ? -1 : 1;
	if (c == 0)
		c = version_compare(x->version, y->version);
	return c ? c : strcmp(x->plural, y->plural);
}

static void kinds_refresh_locked(Server *s)
{
	uint64_t generation = kind_registry_generation(s->options.kinds);
	Kind **stored;
	size_t n, cap = 0;

	if (s->kinds && generation == s->kinds_generation)
		return;
	stored = kind_registry_list(s->options.kinds, &n);
	kinds_free(s->kinds, s->n_kinds);
	s->kinds = NULL;
	s->n_kinds = 0;
	for (size_t i = 0; i < n; i++)
		for (const Kind *const *v = stored[i]->versions; *v; v++) {
			if (!(*v)->served)
				continue;
			GROW_ARRAY(s->kinds, s->n_kinds, cap);
			s->kinds[s->n_kinds++] = kind_ref(*v);
		}
	kinds_free(stored, n);
	qsort(s->kinds, s->n_kinds, sizeof(*s->kinds), compare_kinds);
	s->kinds_generation = generation;
}

Kind *server_kind(Server *s, const char *group, const char *version, const char *plural)
{
	Kind *found = NULL;

	pthread_mutex_lock(&s->kinds_lock);
	kinds_refresh_locked(s);
	for (size_t i = 0; i < s->n_kinds && !found; i++) {
		Kind *k = s->kinds[i];

		if (streq(k->plural, plural) && streq(k->group, group) &&
		    streq(k->version, version))
			found = kind_ref(k);
	}
	pthread_mutex_unlock(&s->kinds_lock);
	return found;
}

Kind **server_kinds(Server *s, size_t *ret_n)
{
	Kind **copy;

	pthread_mutex_lock(&s->kinds_lock);
	kinds_refresh_locked(s);
	copy = xnew0(Kind *, s->n_kinds + 1);
	for (size_t i = 0; i < s->n_kinds; i++)
		copy[i] = kind_ref(s->kinds[i]);
	*ret_n = s->n_kinds;
	pthread_mutex_unlock(&s->kinds_lock);
	return copy;
}

bool server_describes_builtin(Server *s, const char *crd_name)
{
	const char *dot = strchr(crd_name, '.');
	bool found = false;

	pthread_mutex_lock(&s->kinds_lock);
	kinds_refresh_locked(s);
	for (size_t i = 0; dot && i < s->n_kinds && !found; i++) {
		const Kind *k = s->kinds[i];

		found = k->builtin && streq(k->group, dot + 1) &&
			strlen(k->plural) == (size_t)(dot - crd_name) &&
			str_has_prefix(crd_name, k->plural);
	}
	pthread_mutex_unlock(&s->kinds_lock);
	return found;
}

bool server_has_group(Server *s, const char *group, const char *version)
{
	bool found = false;

	pthread_mutex_lock(&s->kinds_lock);
	kinds_refresh_locked(s);
	for (size_t i = 0; i < s->n_kinds && !found; i++)
		found = streq(s->kinds[i]->group, group) &&
			(!version || streq(s->kinds[i]->version, version));
	pthread_mutex_unlock(&s->kinds_lock);
	return found;
}

/* On the store's writer thread, after the registry has followed. */
static void on_definition(void *arg, const WatchEvent *e _unused_)
{
	server_review_streams(arg);
}

int kinds_watch(Server *s, Error *err)
{
	Store *store = s->options.store;
	int rc;

	do {
		error_done(err);
		rc = store_watch(store, GR_CRD, store_revision(store), on_definition, s,
				 &s->definitions, err);
	} while (rc == -ERR_GONE); /* compacted between the two calls */
	return rc;
}
