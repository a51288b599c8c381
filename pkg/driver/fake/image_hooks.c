/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a test does to the fake ImageCache and asks it. See image.h.
 */
#include "base/memory.h"
#include "driver/fake/image_internal.h"

#define DEFAULT_SIZE         ((uint64_t)1 << 20)
#define DEFAULT_VIRTUAL_SIZE ((uint64_t)1 << 30)

void fake_image_source_set(ImageCache *self, const char *url, const FakeSource *source)
{
	FakeCache *c = fake_of(self);
	Source *s = xnew0(Source, 1);

	s->content = xstrdup(source->content ? source->content : "");
	s->sums = xstrdup(source->sums);
	s->etag = xstrdup(source->etag);
	s->size = source->size ? source->size : DEFAULT_SIZE;
	s->virtual_size = source->virtual_size ? source->virtual_size : DEFAULT_VIRTUAL_SIZE;
	s->failure = source->failure;
	pthread_mutex_lock(&c->lock);
	hashmap_put(c->sources, url, s);
	pthread_mutex_unlock(&c->lock);
}

void fake_image_source_remove(ImageCache *self, const char *url)
{
	FakeCache *c = fake_of(self);

	pthread_mutex_lock(&c->lock);
	hashmap_remove(c->sources, url);
	pthread_mutex_unlock(&c->lock);
}

void fake_image_set_manual(ImageCache *self, bool manual)
{
	FakeCache *c = fake_of(self);

	pthread_mutex_lock(&c->lock);
	c->manual = manual;
	pthread_mutex_unlock(&c->lock);
}

void fake_image_advance(ImageCache *self, uint64_t bytes)
{
	FakeCache *c = fake_of(self);
	char **changed = NULL;

	pthread_mutex_lock(&c->lock);
	hashmap_foreach (it, c->fetches) {
		if (!fake_fetch_step(c, it.value, bytes))
			continue;
		hashmap_foreach (job, c->jobs)
			if (streq(job.value, it.key))
				changed = strv_append(changed, job.key);
	}
	pthread_mutex_unlock(&c->lock);
	strv_foreach (uid, changed)
		fake_image_emit(c, *uid);
	strv_free(changed);
}

void fake_image_set_limit(ImageCache *self, uint64_t bytes)
{
	FakeCache *c = fake_of(self);

	pthread_mutex_lock(&c->lock);
	c->limit = bytes;
	pthread_mutex_unlock(&c->lock);
}

void fake_image_restart(ImageCache *self)
{
	FakeCache *c = fake_of(self);

	pthread_mutex_lock(&c->lock);
	hashmap_free(c->fetches);
	hashmap_free(c->jobs);
	c->fetches = hashmap_new(fake_fetch_release);
	c->jobs = hashmap_new(free);
	pthread_mutex_unlock(&c->lock);
	fake_image_emit(c, NULL);
}

void fake_image_lose(ImageCache *self, const char *digest)
{
	FakeCache *c = fake_of(self);

	pthread_mutex_lock(&c->lock);
	hashmap_remove(c->contents, digest);
	pthread_mutex_unlock(&c->lock);
	fake_image_emit(c, NULL);
}

void fake_image_pin(ImageCache *self, const char *digest, int by)
{
	FakeCache *c = fake_of(self);
	Content *content;

	pthread_mutex_lock(&c->lock);
	content = hashmap_get(c->contents, digest);
	if (content)
		content->pins += by;
	pthread_mutex_unlock(&c->lock);
}

unsigned fake_image_fetches(ImageCache *self)
{
	FakeCache *c = fake_of(self);
	unsigned n;

	pthread_mutex_lock(&c->lock);
	n = c->started;
	pthread_mutex_unlock(&c->lock);
	return n;
}

static size_t count_of(FakeCache *c, Hashmap *const *map)
{
	size_t n;

	pthread_mutex_lock(&c->lock);
	n = hashmap_size(*map);
	pthread_mutex_unlock(&c->lock);
	return n;
}

size_t fake_image_jobs(ImageCache *self)
{
	return count_of(fake_of(self), &fake_of(self)->jobs);
}

size_t fake_image_cached(ImageCache *self)
{
	return count_of(fake_of(self), &fake_of(self)->contents);
}
