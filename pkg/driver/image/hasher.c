/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hasher. See hasher.h. The thread sleeps until there is a chunk's worth to read or somebody waits
 * for the sum.
 */
#include "driver/image/hasher.h"

#include <errno.h>
#include <pthread.h>

#include "base/memory.h"

#define CHUNK (256u * 1024)

struct Hasher {
	int fd;
	Sha *sha;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t grown, caught_up;
	uint64_t size, done; /* bytes in the file, in the sum */
	bool wanted, stop;
	int failed; /* errno of a read */
};

/* The next piece, 0 when it is time to end. Locked. */
static size_t hasher_next(Hasher *h)
{
	while (!h->stop &&
	       (h->failed || h->size == h->done || (h->size - h->done < CHUNK && !h->wanted))) {
		if (h->failed || h->size == h->done)
			pthread_cond_signal(&h->caught_up);
		pthread_cond_wait(&h->grown, &h->lock);
	}
	return h->stop ? 0 : (size_t)MIN(h->size - h->done, (uint64_t)CHUNK);
}

static void *hasher_run(void *arg)
{
	Hasher *h = arg;
	_cleanup_(xfreep) char *chunk = xmalloc(CHUNK);
	size_t want;

	pthread_mutex_lock(&h->lock);
	while ((want = hasher_next(h)) > 0) {
		uint64_t at = h->done;
		ssize_t n;

		pthread_mutex_unlock(&h->lock);
		n = pread(h->fd, chunk, want, (off_t)at);
		if (n > 0)
			sha_update(h->sha, chunk, (size_t)n);
		pthread_mutex_lock(&h->lock);
		if (n > 0)
			h->done += (uint64_t)n;
		else if (n == 0 || errno != EINTR)
			h->failed = n == 0 ? ENODATA : errno;
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

Hasher *hasher_new(int fd, ShaAlgorithm algorithm)
{
	Hasher *h = xnew0(Hasher, 1);

	h->fd = fd;
	h->sha = sha_new(algorithm);
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->grown, NULL);
	pthread_cond_init(&h->caught_up, NULL);
	if (pthread_create(&h->thread, NULL, hasher_run, h) != 0)
		abort(); /* out of memory */
	return h;
}

Hasher *hasher_free(Hasher *h)
{
	if (!h)
		return NULL;
	pthread_mutex_lock(&h->lock);
	h->stop = true;
	pthread_cond_signal(&h->grown);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->thread, NULL);
	pthread_cond_destroy(&h->caught_up);
	pthread_cond_destroy(&h->grown);
	pthread_mutex_destroy(&h->lock);
	sha_free(h->sha);
	free(h);
	return NULL;
}

void hasher_grow(Hasher *h, uint64_t size)
{
	pthread_mutex_lock(&h->lock);
	h->size = size;
	if (h->size - h->done >= CHUNK)
		pthread_cond_signal(&h->grown);
	pthread_mutex_unlock(&h->lock);
}

int hasher_hex(Hasher *h, char buf[static SHA_HEX_MAX], Error *err)
{
	int failed;

	pthread_mutex_lock(&h->lock);
	h->wanted = true;
	pthread_cond_signal(&h->grown);
	while (!h->failed && h->done < h->size)
		pthread_cond_wait(&h->caught_up, &h->lock);
	h->wanted = false;
	failed = h->failed;
	if (!failed)
		sha_hex(h->sha, buf);
	pthread_mutex_unlock(&h->lock);
	return failed ? error_set_errno(err, failed, "read it for its sum") : 0;
}
