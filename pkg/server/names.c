/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PeerNames: names of users and groups of the Unix socket's peers, which may live in a directory
 * far away.
 *
 * A look-up can take as long as that directory likes, so no HTTP thread does one: what was looked
 * up lately is remembered, for anything else the request waits, suspended, for a thread of our own,
 * which looks up one after the other. Root has a name without asking. A thread that hangs when the
 * server stops is left behind, with the memory that it uses: both own it. A leaf among the locks;
 * callbacks are called without it, on that thread or on the one that stops.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>

#include "server/internal.h"

#define ENTRY_MIN    1024u
#define ENTRY_MAX    (4u * 1024 * 1024)
#define KEEP_FOR     (60 * USEC_PER_SEC)
#define KEEP_UNKNOWN (10 * USEC_PER_SEC) /* somebody may just be making that user */
#define NAMES_MAX    512
#define STOP_WAIT    USEC_PER_SEC

typedef struct NameEntry {
	bool group;
	unsigned id;
	usec_t until;
	char *name;
} NameEntry;

typedef struct NameJob {
	struct NameJob *next;
	PeerIds *ids;
	PeerNamedFn done; /* NULL = it was told already */
	void *arg;
} NameJob;

struct PeerNames {
	_Atomic unsigned refs;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	bool started, ended, stopping, telling;
	NameJob *first, **last, *now;
	NameEntry entries[NAMES_MAX];
	size_t n;
};

PeerNames *peer_names_new(void)
{
	PeerNames *p = xnew0(PeerNames, 1);

	p->refs = 1;
	pthread_mutex_init(&p->lock, NULL);
	clock_cond_init(&p->changed);
	p->last = &p->first;
	return p;
}

static void job_free(NameJob *job)
{
	free(job->ids);
	free(job);
}

static void names_unref(PeerNames *p)
{
	if (atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	for (size_t i = 0; i < p->n; i++)
		free(p->entries[i].name);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* ---- what is remembered, under the lock ---- */

static NameEntry *entry_of(PeerNames *p, bool group, unsigned id)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->entries[i].group == group && p->entries[i].id == id)
			return &p->entries[i];
	return NULL;
}

static const char *name_known(PeerNames *p, bool group, unsigned id, usec_t now)
{
	const NameEntry *e = entry_of(p, group, id);

	return e && now < e->until ? e->name : NULL;
}

static void remember(PeerNames *p, bool group, unsigned id, const char *name, usec_t until)
{
	NameEntry *e = entry_of(p, group, id);

	if (!e && p->n < NAMES_MAX)
		e = &p->entries[p->n++];
	if (!e) {
		e = &p->entries[0];
		for (size_t i = 1; i < p->n; i++)
			if (p->entries[i].until < e->until)
				e = &p->entries[i];
	}
	free(e->name);
	*e = (NameEntry){ .group = group, .id = id, .until = until, .name = xstrdup(name) };
}

/* NULL if a name is missing. */
static Identity *identity_if_known(PeerNames *p, const PeerIds *ids)
{
	usec_t now = clock_now(clock_system());
	_cleanup_(strv_freep) char **groups = NULL;
	const char *user = ids->uid == 0 ? "root" : name_known(p, false, ids->uid, now);

	if (!user)
		return NULL;
	for (size_t i = 0; !ids->admin && i < ids->n; i++) {
		const char *group = name_known(p, true, ids->gids[i], now);

		if (!group)
			return NULL;
		if (!strv_contains(groups, group))
			groups = strv_append(groups, group);
	}
	return identity_from_peer(ids, user, groups);
}

/* ---- looking up ---- */

/* Names that could be mistaken for ours ("system:...") are not believed. */
static char *look_up_user(unsigned id, bool *ret_found)
{
	struct passwd pwd, *found = NULL;
	char *name = NULL;
	int rc = ERANGE;

	for (size_t n = ENTRY_MIN; rc == ERANGE && n <= ENTRY_MAX; n *= 4) {
		_cleanup_(xfreep) char *text = xmalloc(n);

		rc = getpwuid_r(id, &pwd, text, n, &found);
		if (rc == 0 && found && *found->pw_name &&
		    !str_has_prefix(found->pw_name, "system:") && !streq(found->pw_name, "root"))
			name = xstrdup(found->pw_name);
	}
	*ret_found = name != NULL;
	return name ? name : xasprintf("uid:%u", id);
}

/* An entry holds all members: of thousands, it is long. */
char *group_name(gid_t gid)
{
	struct group grp, *found = NULL;
	char *name = NULL;
	int rc = ERANGE;

	for (size_t n = ENTRY_MIN; rc == ERANGE && n <= ENTRY_MAX; n *= 4) {
		_cleanup_(xfreep) char *text = xmalloc(n);

		rc = getgrgid_r(gid, &grp, text, n, &found);
		if (rc == 0 && found)
			name = xstrdup(found->gr_name);
	}
	return name;
}

/* No group of /etc/group has a colon in its name: "unix:gid:7" is nobody's. */
static char *look_up_group(unsigned id, bool *ret_found)
{
	_cleanup_(xfreep) char *name = group_name(id);

	*ret_found = name != NULL;
	return name ? xasprintf("unix:%s", name) : xasprintf("unix:gid:%u", id);
}

/* With the lock, which is given back meanwhile. The caller frees. */
static char *look_up(PeerNames *p, bool group, unsigned id)
{
	const char *known = name_known(p, group, id, clock_now(clock_system()));
	bool found;
	char *name;

	if (known)
		return xstrdup(known);
	pthread_mutex_unlock(&p->lock);
	name = group ? look_up_group(id, &found) : look_up_user(id, &found);
	pthread_mutex_lock(&p->lock);
	remember(p, group, id, name, clock_now(clock_system()) + (found ? KEEP_FOR : KEEP_UNKNOWN));
	return name;
}

/* With the lock. NULL = it has to stop. */
static Identity *look_up_all(PeerNames *p, const PeerIds *ids)
{
	_cleanup_(strv_freep) char **groups = NULL;
	_cleanup_(xfreep) char *user =
		ids->uid == 0 ? xstrdup("root") : look_up(p, false, ids->uid);

	for (size_t i = 0; !ids->admin && i < ids->n && !p->stopping; i++) {
		_cleanup_(xfreep) char *group = look_up(p, true, ids->gids[i]);

		if (!strv_contains(groups, group))
			groups = strv_append(groups, group);
	}
	return p->stopping ? NULL : identity_from_peer(ids, user, groups);
}

static void *names_run(void *arg)
{
	PeerNames *p = arg;

	pthread_setname_np(pthread_self(), "http-names");
	pthread_mutex_lock(&p->lock);
	while (!p->stopping) {
		NameJob *job = p->first;
		Identity *who;

		if (!job) {
			pthread_cond_wait(&p->changed, &p->lock);
			continue;
		}
		p->first = job->next;
		if (!p->first)
			p->last = &p->first;
		p->now = job;
		who = look_up_all(p, job->ids);
		p->now = NULL;
		p->telling = job->done != NULL;
		pthread_mutex_unlock(&p->lock);
		if (job->done)
			job->done(job->arg, who);
		else
			identity_unref(who);
		job_free(job);
		pthread_mutex_lock(&p->lock);
		p->telling = false;
		pthread_cond_broadcast(&p->changed);
	}
	p->ended = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	names_unref(p);
	return NULL;
}

/* ---- from outside ---- */

Identity *peer_names_known(PeerNames *p, const PeerIds *ids)
{
	Identity *who;

	pthread_mutex_lock(&p->lock);
	who = identity_if_known(p, ids);
	pthread_mutex_unlock(&p->lock);
	return who;
}

/* With the lock. */
static bool start_thread(PeerNames *p)
{
	if (p->started || p->stopping)
		return p->started;
	atomic_fetch_add(&p->refs, 1);
	p->started = pthread_create(&p->thread, NULL, names_run, p) == 0;
	if (!p->started)
		atomic_fetch_sub(&p->refs, 1);
	return p->started;
}

bool peer_names_ask(PeerNames *p, const PeerIds *ids, PeerNamedFn done, void *arg)
{
	NameJob *job = xnew0(NameJob, 1);
	bool taken;

	*job = (NameJob){ .ids = peer_ids_copy(ids), .done = done, .arg = arg };
	pthread_mutex_lock(&p->lock);
	taken = !p->stopping && start_thread(p);
	if (taken) {
		*p->last = job;
		p->last = &job->next;
		pthread_cond_broadcast(&p->changed);
	}
	pthread_mutex_unlock(&p->lock);
	if (!taken)
		job_free(job);
	return taken;
}

/* With the lock, which is given back while they are told. */
static void tell_waiting(PeerNames *p)
{
	NameJob *job = TAKE_PTR(p->first);
	PeerNamedFn done = NULL;
	void *arg = NULL;

	p->last = &p->first;
	if (p->now) { /* its look-up goes on, for nobody */
		done = TAKE_PTR(p->now->done);
		arg = p->now->arg;
	}
	pthread_mutex_unlock(&p->lock);
	if (done)
		done(arg, NULL);
	while (job) {
		NameJob *next = job->next;

		job->done(job->arg, NULL);
		job_free(job);
		job = next;
	}
	pthread_mutex_lock(&p->lock);
}

void peer_names_stop(PeerNames *p)
{
	usec_t until = clock_now(clock_system()) + STOP_WAIT;
	bool started, ended;

	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_broadcast(&p->changed);
	tell_waiting(p);
	while (p->telling)
		pthread_cond_wait(&p->changed, &p->lock);
	while (p->started && !p->ended && clock_now(clock_system()) < until)
		clock_wait(clock_system(), &p->changed, &p->lock, until);
	started = p->started;
	ended = p->ended;
	p->started = false;
	pthread_mutex_unlock(&p->lock);
	if (!started)
		return;
	if (ended)
		pthread_join(p->thread, NULL);
	else
		pthread_detach(p->thread);
}

PeerNames *peer_names_free(PeerNames *p)
{
	if (p)
		names_unref(p);
	return NULL;
}
