/* SPDX-License-Identifier: Apache-2.0 */
/*
 * History: the events since the last compaction, in revision order. See store_internal.h. Locking
 * is the Store's.
 */
#include "base/memory.h"
#include "store/store_internal.h"

void history_add(History *h, WatchType type, int64_t revision, Object *object, Object *old,
		 usec_t now)
{
	/* Move to the front once half of the array is free, so that it does not grow for ever. */
	if (h->start + h->n >= h->cap && h->start > h->n) {
		memmove(h->events, h->events + h->start, h->n * sizeof(*h->events));
		h->start = 0;
	}
	GROW_ARRAY(h->events, h->start + h->n, h->cap);
	h->events[h->start + h->n++] = (HistoryEvent){
		.event = {.type = type,
                          .revision = revision,
                          .object = object_ref(object),
                          .old = old ? object_ref(old) : NULL},
		.time = now,
	};
}

const HistoryEvent *history_at(const History *h, uint64_t number)
{
	assert(number >= h->first && number < h->first + h->n);
	return &h->events[h->start + (size_t)(number - h->first)];
}

uint64_t history_end(const History *h)
{
	return h->first + h->n;
}

uint64_t history_after(const History *h, int64_t rev)
{
	size_t lo = 0, hi = h->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (h->events[h->start + mid].event.revision <= rev)
			lo = mid + 1;
		else
			hi = mid;
	}
	return h->first + lo;
}

void history_trim(History *h, int64_t rev)
{
	for (; h->n > 0 && h->events[h->start].event.revision <= rev;
	     h->start++, h->n--, h->first++) {
		object_unref(h->events[h->start].event.object);
		if (h->events[h->start].event.old)
			object_unref(h->events[h->start].event.old);
	}
}

void history_done(History *h)
{
	history_trim(h, INT64_MAX);
	free(h->events);
}
