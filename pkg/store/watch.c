/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches: each has the number of the next event it wants; the writer brings all of them up to date
 * after each commit, and a new one from its place in the history. So every call of fn is on one
 * thread, and history and live events cannot interleave.
 */
#include "base/memory.h"
#include "store/store_internal.h"

int store_watch(Store *s, const GroupResource *gr, int64_t from, WatchFn fn, void *arg, Watch **ret,
		Error *err)
{
	int64_t compacted, revision;
	Watch *w;

	pthread_mutex_lock(&s->lock);
	compacted = s->compacted;
	revision = s->revision;
	/* A revision from the future was given out by a store that is no more. */
	if (from < compacted || from > revision) {
		pthread_mutex_unlock(&s->lock);
		return error_set(err, ERR_GONE, "%s resource version: %lld (%lld)",
				 from < compacted ? "too old" : "unknown", (long long)from,
				 (long long)(from < compacted ? compacted : revision));
	}
	w = xnew0(Watch, 1);
	*w = (Watch){ .store = s,
		      .gr = gr,
		      .fn = fn,
		      .arg = arg,
		      .next_event = history_after(&s->history, from),
		      .next = s->watches };
	if (w->next)
		w->next->prev = w;
	s->watches = w;
	/* The caller must have its Watch before fn can run, as fn may close it. */
	*ret = w;
	if (w->next_event < history_end(&s->history)) {
		s->deliver = true;
		pthread_cond_signal(&s->work);
	}
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static void watch_unlink(Watch *w)
{
	if (w->prev)
		w->prev->next = w->next;
	else
		w->store->watches = w->next;
	if (w->next)
		w->next->prev = w->prev;
	free(w);
}

Watch *watch_close(Watch *w)
{
	Store *s;

	if (!w)
		return NULL;
	s = w->store;
	pthread_mutex_lock(&s->lock);
	atomic_store(&w->closed, true);
	if (w->running && pthread_equal(pthread_self(), s->writer)) {
		w->doomed = true;
	} else {
		while (w->running)
			pthread_cond_wait(&s->delivered, &s->lock);
		watch_unlink(w);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* The lock is held and given up meanwhile. */
static void watch_run(Store *s, Watch *w, uint64_t end)
{
	w->running = true;
	pthread_mutex_unlock(&s->lock);
	for (uint64_t i = w->next_event; i < end && !atomic_load(&w->closed); i++) {
		const WatchEvent *e = &history_at(&s->history, i)->event;

		if (!w->gr || object_key(e->object)->gr == w->gr)
			w->fn(w->arg, e);
	}
	pthread_mutex_lock(&s->lock);
	w->next_event = end;
	w->running = false;
	pthread_cond_broadcast(&s->delivered);
}

void watches_deliver(Store *s)
{
	Watch *next;
	uint64_t end;

	pthread_mutex_lock(&s->lock);
	s->deliver = false;
	end = history_end(&s->history);
	for (Watch *w = s->watches; w; w = next) {
		if (!atomic_load(&w->closed) && w->next_event < end)
			watch_run(s, w, end);
		/* Read after the run: while it ran, its neighbours could go. */
		next = w->next;
		if (w->doomed)
			watch_unlink(w);
	}
	pthread_mutex_unlock(&s->lock);
}

bool watches_need(const Store *s, int64_t rev)
{
	uint64_t end = history_after(&s->history, rev);

	for (const Watch *w = s->watches; w; w = w->next)
		if (w->next_event < end && !atomic_load(&w->closed))
			return true;
	return false;
}
