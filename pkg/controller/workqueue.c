/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workqueue: one mutex, a hash of items, a FIFO of ready ones and a heap of delayed ones. See
 * workqueue.h.
 *
 * Of the workers that wait, one keeps the time (it waits until the earliest delay); the others wait
 * for a signal only. So an idle queue with a thousand delayed keys wakes one thread per due key and
 * never all of them.
 */
#include "controller/workqueue.h"

#include "base/memory.h"
#include "base/random.h"

#define NOT_IN_HEAP SIZE_MAX

typedef struct Item {
	Key key;
	uint64_t hash;
	struct Item *chain; /* of the hash bucket */
	struct Item *next;  /* of the ready list, or of those that a worker has */
	usec_t due;
	usec_t since; /* ready, or being worked on */
	size_t heap_index;
	unsigned failures;
	bool ready;      /* in the ready list */
	bool processing; /* a worker has it */
	bool dirty;      /* added while a worker had it */
} Item;

struct Workqueue {
	char *name;
	Clock *clock;
	usec_t backoff_min, backoff_max;

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t work, timer;
	Item **buckets;
	size_t n_items, n_buckets;
	Item *head, **tail;
	Item **heap;
	size_t n_heap, cap_heap;
	size_t n_ready, n_processing, n_idle;
	bool has_timekeeper, stopped;
	uint64_t adds, gets, retries;
	Item *working; /* those that a worker has */
	Histogram waits, works;
};

Workqueue *workqueue_new(const char *name, Clock *clock, usec_t backoff_min, usec_t backoff_max)
{
	Workqueue *q = xnew0(Workqueue, 1);

	assert(backoff_min > 0 && backoff_min <= backoff_max);
	q->name = xstrdup(name);
	q->clock = clock;
	q->backoff_min = backoff_min;
	q->backoff_max = backoff_max;
	q->n_buckets = 64;
	q->buckets = xnew0(Item *, q->n_buckets);
	q->tail = &q->head;
	histogram_init(&q->waits, &histogram_bounds_queue);
	histogram_init(&q->works, &histogram_bounds_queue);
	pthread_mutex_init(&q->lock, NULL);
	clock_cond_init(&q->work);
	clock_cond_init(&q->timer);
	return q;
}

Workqueue *workqueue_free(Workqueue *q)
{
	Item *next;

	if (!q)
		return NULL;
	for (size_t i = 0; i < q->n_buckets; i++) {
		for (Item *it = q->buckets[i]; it; it = next) {
			next = it->chain;
			free(it);
		}
	}
	pthread_mutex_destroy(&q->lock);
	pthread_cond_destroy(&q->work);
	pthread_cond_destroy(&q->timer);
	free(q->buckets);
	free(q->heap);
	free(q->name);
	free(q);
	return NULL;
}

/* ---- items ---- */

static void items_grow(Workqueue *q)
{
	size_t n = q->n_buckets * 2;
	Item **buckets = xnew0(Item *, n), *next;

	for (size_t i = 0; i < q->n_buckets; i++) {
		for (Item *it = q->buckets[i]; it; it = next) {
			next = it->chain;
			it->chain = buckets[it->hash & (n - 1)];
			buckets[it->hash & (n - 1)] = it;
		}
	}
	free(q->buckets);
	q->buckets = buckets;
	q->n_buckets = n;
}

static Item *item_find(Workqueue *q, const Key *key)
{
	uint64_t hash = key_hash(key);

	for (Item *it = q->buckets[hash & (q->n_buckets - 1)]; it; it = it->chain)
		if (it->hash == hash && key_equal(&it->key, key))
			return it;
	return NULL;
}

static Item *item_get(Workqueue *q, const Key *key)
{
	Item *it = item_find(q, key);

	if (it)
		return it;
	if (q->n_items >= q->n_buckets)
		items_grow(q);
	it = xnew0(Item, 1);
	it->key = *key;
	it->hash = key_hash(key);
	it->heap_index = NOT_IN_HEAP;
	it->chain = q->buckets[it->hash & (q->n_buckets - 1)];
	q->buckets[it->hash & (q->n_buckets - 1)] = it;
	q->n_items++;
	return it;
}

/* Forgets a key that nobody wants and that has no failures to remember. */
static void item_release(Workqueue *q, Item *it)
{
	Item **at = &q->buckets[it->hash & (q->n_buckets - 1)];

	if (it->ready || it->processing || it->failures || it->heap_index != NOT_IN_HEAP)
		return;
	while (*at != it)
		at = &(*at)->chain;
	*at = it->chain;
	free(it);
	q->n_items--;
}

/* ---- delays ---- */

static void heap_set(Workqueue *q, size_t i, Item *it)
{
	q->heap[i] = it;
	it->heap_index = i;
}

static void heap_up(Workqueue *q, size_t i, Item *it)
{
	for (; i > 0 && q->heap[(i - 1) / 2]->due > it->due; i = (i - 1) / 2)
		heap_set(q, i, q->heap[(i - 1) / 2]);
	heap_set(q, i, it);
}

static void heap_down(Workqueue *q, size_t i, Item *it)
{
	size_t child;

	while ((child = 2 * i + 1) < q->n_heap) {
		if (child + 1 < q->n_heap && q->heap[child + 1]->due < q->heap[child]->due)
			child++;
		if (q->heap[child]->due >= it->due)
			break;
		heap_set(q, i, q->heap[child]);
		i = child;
	}
	heap_set(q, i, it);
}

static void heap_add(Workqueue *q, Item *it, usec_t due)
{
	it->due = due;
	if (it->heap_index == NOT_IN_HEAP) {
		GROW_ARRAY(q->heap, q->n_heap, q->cap_heap);
		it->heap_index = q->n_heap++;
	}
	heap_up(q, it->heap_index, it);
}

static void heap_remove(Workqueue *q, Item *it)
{
	size_t i = it->heap_index;
	Item *last;

	if (i == NOT_IN_HEAP)
		return;
	it->heap_index = NOT_IN_HEAP;
	last = q->heap[--q->n_heap];
	if (last == it)
		return;
	if (i > 0 && q->heap[(i - 1) / 2]->due > last->due)
		heap_up(q, i, last);
	else
		heap_down(q, i, last);
}

/* ---- the queue ---- */

/* Wakes one waiter: one without a deadline if there is one, else the one that keeps the time. */
static void queue_wake(Workqueue *q)
{
	if (q->n_idle > 0)
		pthread_cond_signal(&q->work);
	else if (q->has_timekeeper)
		pthread_cond_signal(&q->timer);
}

/* The key is wanted now; a later wish is fulfilled by that too. */
static void item_want(Workqueue *q, Item *it)
{
	heap_remove(q, it);
	if (it->processing) {
		it->dirty = true;
		return;
	}
	if (it->ready)
		return;
	it->ready = true;
	it->since = clock_now(q->clock);
	it->next = NULL;
	*q->tail = it;
	q->tail = &it->next;
	q->n_ready++;
	queue_wake(q);
}

static void item_want_at(Workqueue *q, Item *it, usec_t due)
{
	bool first;

	if (it->ready || it->dirty || (it->heap_index != NOT_IN_HEAP && it->due <= due))
		return;
	heap_add(q, it, due);
	first = it->heap_index == 0;
	/* An earlier deadline than the timekeeper knows, or nobody keeps the time yet. */
	if (first && q->has_timekeeper)
		pthread_cond_signal(&q->timer);
	else if (first)
		queue_wake(q);
}

void workqueue_add(Workqueue *q, const Key *key)
{
	pthread_mutex_lock(&q->lock);
	if (!q->stopped) {
		q->adds++;
		item_want(q, item_get(q, key));
	}
	pthread_mutex_unlock(&q->lock);
}

static void add_after_locked(Workqueue *q, Item *it, usec_t delay)
{
	usec_t now = clock_now(q->clock);

	if (delay == 0)
		item_want(q, it);
	else
		item_want_at(q, it, delay > USEC_INFINITY - now ? USEC_INFINITY : now + delay);
}

void workqueue_add_after(Workqueue *q, const Key *key, usec_t delay)
{
	pthread_mutex_lock(&q->lock);
	if (!q->stopped) {
		q->adds++;
		add_after_locked(q, item_get(q, key), delay);
	}
	pthread_mutex_unlock(&q->lock);
}

/* min * 2^(failures - 1), at most max, then up to a quarter less so that keys do not march in step.
 */
static usec_t backoff_delay(const Workqueue *q, unsigned failures)
{
	usec_t delay = q->backoff_min;

	for (unsigned i = 1; i < failures && delay < q->backoff_max; i++)
		delay = delay > q->backoff_max / 2 ? q->backoff_max : delay * 2;
	return delay - random_u64() % (delay / 4 + 1);
}

void workqueue_add_rate_limited(Workqueue *q, const Key *key)
{
	Item *it;

	pthread_mutex_lock(&q->lock);
	if (!q->stopped) {
		it = item_get(q, key);
		it->failures++;
		q->adds++;
		q->retries++;
		add_after_locked(q, it, backoff_delay(q, it->failures));
	}
	pthread_mutex_unlock(&q->lock);
}

void workqueue_forget(Workqueue *q, const Key *key)
{
	Item *it;

	pthread_mutex_lock(&q->lock);
	it = item_find(q, key);
	if (it) {
		it->failures = 0;
		item_release(q, it);
	}
	pthread_mutex_unlock(&q->lock);
}

unsigned workqueue_failures(Workqueue *q, const Key *key)
{
	unsigned failures;
	Item *it;

	pthread_mutex_lock(&q->lock);
	it = item_find(q, key);
	failures = it ? it->failures : 0;
	pthread_mutex_unlock(&q->lock);
	return failures;
}

/* Moves what is due to the ready list. */
static void queue_ripen(Workqueue *q)
{
	usec_t now;

	if (q->n_heap == 0)
		return;
	now = clock_now(q->clock);
	while (q->n_heap > 0 && q->heap[0]->due <= now)
		item_want(q, q->heap[0]);
}

static void queue_wait(Workqueue *q)
{
	if (q->n_heap > 0 && !q->has_timekeeper) {
		q->has_timekeeper = true;
		clock_wait(q->clock, &q->timer, &q->lock, q->heap[0]->due);
		q->has_timekeeper = false;
	} else {
		q->n_idle++;
		clock_wait(q->clock, &q->work, &q->lock, USEC_INFINITY);
		q->n_idle--;
	}
}

static void item_begin(Workqueue *q, Item *it)
{
	usec_t now = clock_now(q->clock);

	histogram_observe(&q->waits, now - it->since);
	it->ready = false;
	it->processing = true;
	it->since = now;
	it->next = q->working;
	q->working = it;
	q->n_processing++;
	q->gets++;
}

/* Workers are few: so is what they have. */
static void item_end(Workqueue *q, Item *it)
{
	Item **at = &q->working;

	while (*at != it)
		at = &(*at)->next;
	*at = it->next;
	histogram_observe(&q->works, clock_now(q->clock) - it->since);
	it->processing = false;
	q->n_processing--;
}

bool workqueue_get(Workqueue *q, Key *ret)
{
	Item *it = NULL;

	pthread_mutex_lock(&q->lock);
	while (!q->stopped) {
		queue_ripen(q);
		it = q->head;
		if (it)
			break;
		queue_wait(q);
	}
	if (q->stopped) {
		pthread_mutex_unlock(&q->lock);
		return false;
	}
	q->head = it->next;
	if (!q->head)
		q->tail = &q->head;
	q->n_ready--;
	item_begin(q, it);
	*ret = it->key;
	/* Somebody else goes on: with the next key, or as the one that keeps the time. */
	if (q->n_ready > 0 || (q->n_heap > 0 && !q->has_timekeeper))
		queue_wake(q);
	pthread_mutex_unlock(&q->lock);
	return true;
}

void workqueue_done(Workqueue *q, const Key *key)
{
	Item *it;

	pthread_mutex_lock(&q->lock);
	it = item_find(q, key);
	assert(it && it->processing);
	item_end(q, it);
	if (it->dirty) {
		it->dirty = false;
		item_want(q, it);
	}
	item_release(q, it);
	pthread_mutex_unlock(&q->lock);
}

void workqueue_shutdown(Workqueue *q)
{
	pthread_mutex_lock(&q->lock);
	q->stopped = true;
	pthread_cond_broadcast(&q->work);
	pthread_cond_broadcast(&q->timer);
	pthread_mutex_unlock(&q->lock);
}

void workqueue_stats(Workqueue *q, WorkqueueStats *ret)
{
	pthread_mutex_lock(&q->lock);
	/* A delay that has passed counts as ready although no worker has looked yet. */
	queue_ripen(q);
	*ret = (WorkqueueStats){
		.ready = q->n_ready,
		.waiting = q->n_heap,
		.processing = q->n_processing,
		.adds = q->adds,
		.gets = q->gets,
		.retries = q->retries,
	};
	for (const Item *it = q->working; it; it = it->next) {
		usec_t age = clock_now(q->clock) - it->since;

		ret->unfinished += age;
		ret->longest = MAX(ret->longest, age);
	}
	pthread_mutex_unlock(&q->lock);
}

const Histogram *workqueue_waits(const Workqueue *q)
{
	return &q->waits;
}

const Histogram *workqueue_works(const Workqueue *q)
{
	return &q->works;
}
