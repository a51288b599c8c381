/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Helper threads, slots, and what happens when a call does not come back. See call.h.
 *
 * Helpers are started when no idle one is left and end when enough are idle. All of it is under one
 * lock; nothing of the user's runs under it.
 */
#include "driver/libvirt/call.h"

#include <signal.h>

#include "base/hashmap.h"
#include "base/memory.h"

#define IDLE_HELPERS_MAX 4
/* How late a cancellation is noticed: it comes without a signal. */
#define CANCEL_SLICE (100 * USEC_PER_MSEC)
/* Of so many slots it is kept why the last call failed, where nobody waited for it any more. */
#define LATE_FAILURES_MAX 256

static const struct {
	unsigned max;
	ErrorCode over; /* what one more is answered with */
} limits[_CALL_KIND_MAX] = {
	[CALL_LOOK] = {CALLS_LOOK_MAX,  ERR_UNAVAILABLE},
	[CALL_MAKE] = { CALLS_MAKE_MAX, ERR_UNAVAILABLE},
	[CALL_ASK] = { CALLS_ASK_MAX,  ERR_UNAVAILABLE},
	[CALL_OFF] = { CALLS_OFF_MAX,  ERR_EXHAUSTED  },
};

struct Calls {
	pthread_mutex_t lock;
	pthread_cond_t work;  /* the queue has something, or stopping */
	pthread_cond_t ended; /* some call ended, or some helper */
	Clock *clock;
	Call *queue, **queue_tail;
	Hashmap *slots;    /* slot -> Call that holds it */
	Hashmap *failures; /* slot -> text, of the last one that was left behind, if it failed */
	unsigned queued, idle, helpers, left[_CALL_KIND_MAX];
	bool stopping;
	unsigned refs; /* the owner's and one per helper */
};

static void calls_release(Calls *s)
{
	hashmap_free(s->slots);
	hashmap_free(s->failures);
	pthread_cond_destroy(&s->work);
	pthread_cond_destroy(&s->ended);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* Both unlock. */
static void calls_unref_unlock(Calls *s)
{
	bool last = --s->refs == 0;

	pthread_mutex_unlock(&s->lock);
	if (last)
		calls_release(s);
}

static void call_unref_unlock(Calls *s, Call *c)
{
	bool last = --c->refs == 0;

	pthread_mutex_unlock(&s->lock);
	if (last) {
		error_done(&c->error);
		free(c->slot);
		c->release(c);
	}
}

void call_unref(Calls *s, Call *c)
{
	pthread_mutex_lock(&s->lock);
	call_unref_unlock(s, c);
}

static void slot_leave(Calls *s, Call *c)
{
	if (c->slot && hashmap_get(s->slots, c->slot) == c)
		hashmap_take(s->slots, c->slot);
}

/* Nobody hears why one failed that was left behind: the next that hangs in its slot tells it. */
static void failure_note(Calls *s, const Call *c)
{
	HashmapIter any = { 0 };

	if (!c->slot)
		return;
	hashmap_remove(s->failures, c->slot);
	if (!c->left || c->rc >= 0)
		return;
	if (hashmap_size(s->failures) >= LATE_FAILURES_MAX && hashmap_next(s->failures, &any))
		hashmap_remove(s->failures, any.key);
	hashmap_put(s->failures, c->slot, xstrdup(error_message(&c->error)));
}

/* Runs one call; the lock is held on entry and on return. */
static void helper_serve(Calls *s)
{
	Call *c = s->queue;
	bool left;
	int rc;

	s->queue = c->next;
	if (!s->queue)
		s->queue_tail = &s->queue;
	s->queued--;
	pthread_mutex_unlock(&s->lock);
	rc = c->run(c, &c->error);
	pthread_mutex_lock(&s->lock);
	c->rc = rc;
	c->done = true;
	left = c->left;
	if (left) {
		c->crowded = s->left[c->kind] >= limits[c->kind].max;
		s->left[c->kind]--;
	}
	failure_note(s, c);
	slot_leave(s, c);
	pthread_cond_broadcast(&s->ended);
	if (left && c->returned) {
		pthread_mutex_unlock(&s->lock);
		c->returned(c);
		pthread_mutex_lock(&s->lock);
	}
	call_unref_unlock(s, c);
	pthread_mutex_lock(&s->lock);
}

static void *helper_main(void *arg)
{
	Calls *s = arg;

	pthread_setname_np(pthread_self(), "libvirt-call");
	pthread_mutex_lock(&s->lock);
	while (!s->stopping || s->queue) {
		if (s->queue) {
			helper_serve(s);
			continue;
		}
		if (s->idle >= IDLE_HELPERS_MAX)
			break;
		s->idle++;
		clock_wait(s->clock, &s->work, &s->lock, USEC_INFINITY);
		s->idle--;
	}
	s->helpers--;
	pthread_cond_broadcast(&s->ended);
	calls_unref_unlock(s);
	return NULL;
}

static int helper_start(Calls *s, Error *err)
{
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_t thread;
	int e;

	/* Signals are the main loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	s->refs++;
	s->helpers++;
	e = pthread_create(&thread, &attr, helper_main, s);
	if (e) {
		s->refs--;
		s->helpers--;
	}
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return e ? error_set_errno(err, e, "start a helper thread") : 0;
}

Calls *calls_new(Clock *clock)
{
	Calls *s = xnew0(Calls, 1);

	pthread_mutex_init(&s->lock, NULL);
	clock_cond_init(&s->work);
	clock_cond_init(&s->ended);
	s->clock = clock;
	s->queue_tail = &s->queue;
	s->slots = hashmap_new(NULL);
	s->failures = hashmap_new(free);
	s->refs = 1;
	return s;
}

unsigned calls_abandoned(Calls *s)
{
	unsigned n = 0;

	pthread_mutex_lock(&s->lock);
	for (int kind = 0; kind < _CALL_KIND_MAX; kind++)
		n += s->left[kind];
	pthread_mutex_unlock(&s->lock);
	return n;
}

static usec_t wait_until(const Context *ctx, usec_t deadline)
{
	return ctx->canceled ? MIN(deadline, clock_now(ctx->clock) + CANCEL_SLICE) : deadline;
}

/* The same text for as long as it hangs, so that it is told once. */
static int hangs(const Calls *s, const Call *c, Error *err)
{
	const char *before = c->slot ? hashmap_get(s->failures, c->slot) : NULL;
	char text[TIMESTAMP_MAX];

	return error_set(err, ERR_UNAVAILABLE, "libvirt has not answered a call (%s) since %s%s%s",
			 c->what ? c->what : "?", timestamp_format(c->started, text),
			 before ? "; the one before failed: " : "", before ? before : "");
}

/* Waits for the slot and takes it; the lock is held. */
static int slot_enter(Calls *s, Context *ctx, Call *c, Error *err)
{
	const Call *holder;
	int rc;

	if (!c->slot)
		return 0;
	while ((holder = hashmap_get(s->slots, c->slot))) {
		if (holder->left)
			return hangs(s, holder, err);
		if ((rc = context_check(ctx, err)) < 0)
			return rc;
		clock_wait(s->clock, &s->ended, &s->lock, wait_until(ctx, ctx->deadline));
	}
	hashmap_put(s->slots, c->slot, c);
	return 0;
}

static void queue_append(Calls *s, Call *c)
{
	c->refs++;
	c->started = clock_wall(s->clock);
	c->next = NULL;
	*s->queue_tail = c;
	s->queue_tail = &c->next;
	s->queued++;
	pthread_cond_signal(&s->work);
}

static int call_queue(Calls *s, Context *ctx, Call *c, Error *err)
{
	const Call *holder = c->slot ? hashmap_get(s->slots, c->slot) : NULL;
	int rc = context_check(ctx, err);

	if (rc == 0 && holder && holder->left)
		rc = hangs(s, holder, err);
	if (rc == 0 && s->left[c->kind] >= limits[c->kind].max)
		rc = error_set(err, limits[c->kind].over,
			       "libvirt has not answered %u calls for others, so it is not asked",
			       s->left[c->kind]);
	if (rc < 0 || (rc = slot_enter(s, ctx, c, err)) < 0)
		return rc;
	if (s->idle <= s->queued && (rc = helper_start(s, err)) < 0) {
		slot_leave(s, c);
		return rc;
	}
	queue_append(s, c);
	return 0;
}

void calls_post(Calls *s, Call *c)
{
	pthread_mutex_lock(&s->lock);
	/* Without a new helper an old one does it, later. */
	if (s->idle <= s->queued)
		(void)helper_start(s, NULL);
	queue_append(s, c);
	call_unref_unlock(s, c);
}

/* The lock is held. */
static usec_t patience(const Calls *s, const Call *c)
{
	if (c->kind == CALL_LOOK || c->kind == CALL_MAKE)
		return CALL_TIMEOUT_MAX;
	return s->left[CALL_ASK] || s->left[CALL_OFF] ? CALL_PATIENCE_CROWDED : CALL_PATIENCE;
}

int calls_run(Calls *s, Context *ctx, Call *c, Error *err)
{
	Context bounded;
	int rc;

	pthread_mutex_lock(&s->lock);
	bounded = context_with_timeout(ctx, patience(s, c));
	rc = call_queue(s, &bounded, c, err);
	while (rc == 0 && !c->done && (rc = context_check(&bounded, err)) == 0)
		clock_wait(s->clock, &s->ended, &s->lock, wait_until(ctx, bounded.deadline));
	if (rc == 0) {
		rc = c->rc;
		if (rc < 0)
			error_move(err, &c->error);
		pthread_mutex_unlock(&s->lock);
		return rc;
	}
	if (!c->started || c->done) {
		pthread_mutex_unlock(&s->lock);
		return rc;
	}
	c->left = true;
	s->left[c->kind]++;
	if (rc == -ERR_TIMEOUT && context_check(ctx, NULL) == 0) {
		error_ignore(err);
		rc = hangs(s, c, err);
	}
	pthread_mutex_unlock(&s->lock);
	if (c->abandoned)
		c->abandoned(c);
	return rc;
}

Calls *calls_free(Calls *s, usec_t patience)
{
	usec_t deadline;

	if (!s)
		return NULL;
	deadline = clock_now(s->clock) + patience;
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_broadcast(&s->work);
	while (s->helpers && clock_now(s->clock) < deadline)
		clock_wait(s->clock, &s->ended, &s->lock, deadline);
	calls_unref_unlock(s);
	return NULL;
}
