/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ImageCache wrapper that fails its n-th call. See image.h.
 */
#include "base/memory.h"
#include "driver/fake/image.h"

typedef struct FaultyCache {
	ImageCache cache;
	ImageCache *inner;
	Fault *fault;
	ImageEventFn event;
	void *event_arg;
	FaultEvent on_its_way;
} FaultyCache;

static FaultyCache *faulty_of(ImageCache *c)
{
	return CONTAINER_OF(c, FaultyCache, cache);
}

static int faulty_ensure(ImageCache *self, Context *ctx, const ImageRequest *r, ImageState *ret,
			 Error *err)
{
	FaultyCache *f = faulty_of(self);
	ImageState s = { 0 };
	bool hit = fault_next(f->fault);
	int rc;

	if (hit && f->fault->mode == FAULT_BEFORE)
		return fault_error(f->fault, "image ensure", err);
	rc = f->inner->ops->ensure(f->inner, ctx, r, &s, err);
	if (hit && rc >= 0) {
		image_state_done(&s);
		return fault_error(f->fault, "image ensure", err);
	}
	if (rc >= 0)
		*ret = s;
	return rc;
}

static int faulty_forget(ImageCache *self, Context *ctx, const char *uid, Error *err)
{
	FaultyCache *f = faulty_of(self);

	return FAULT_CALL(f->fault, "image forget", f->inner->ops->forget(f->inner, ctx, uid, err));
}

static int faulty_list(ImageCache *self, Context *ctx, char (**ret)[UUID_MAX], size_t *ret_n,
		       Error *err)
{
	FaultyCache *f = faulty_of(self);
	int rc;

	if (fault_next(f->fault) || f->fault->lists == LISTS_FAIL)
		return fault_error(f->fault, "image list", err);
	rc = f->inner->ops->list(f->inner, ctx, ret, ret_n, err);
	if (rc >= 0)
		*ret_n = fault_listed(f->fault, *ret_n);
	return rc;
}

static int faulty_path(ImageCache *self, Context *ctx, const char *digest,
		       char ret_path[static 4096], Error *err)
{
	FaultyCache *f = faulty_of(self);

	if (fault_next(f->fault))
		return fault_error(f->fault, "image path", err);
	return f->inner->ops->path(f->inner, ctx, digest, ret_path, err);
}

static int faulty_evict(ImageCache *self, Context *ctx, const ImageDigestList *keep,
			uint64_t *ret_freed, Error *err)
{
	FaultyCache *f = faulty_of(self);
	uint64_t freed = 0;
	int rc = FAULT_CALL(f->fault, "image evict",
			    f->inner->ops->evict(f->inner, ctx, keep, &freed, err));

	if (rc >= 0 && ret_freed)
		*ret_freed = freed;
	return rc;
}

static void faulty_event(void *arg, const char *uid)
{
	FaultyCache *f = arg;

	pthread_mutex_lock(&f->on_its_way.lock);
	for (unsigned n = fault_event(f->fault, &f->on_its_way, &uid); n > 0 && f->event; n--)
		f->event(f->event_arg, uid);
	pthread_mutex_unlock(&f->on_its_way.lock);
}

static void faulty_subscribe(ImageCache *self, ImageEventFn fn, void *arg)
{
	FaultyCache *f = faulty_of(self);

	pthread_mutex_lock(&f->on_its_way.lock);
	f->event = fn;
	f->event_arg = arg;
	pthread_mutex_unlock(&f->on_its_way.lock);
	f->inner->ops->subscribe(f->inner, faulty_event, f);
}

static ImageCache *faulty_free(ImageCache *self)
{
	FaultyCache *f = faulty_of(self);

	f->inner->ops->free(f->inner);
	pthread_mutex_destroy(&f->on_its_way.lock);
	free(f);
	return NULL;
}

static const ImageCacheOps faulty_ops = {
	.name = "faulty",
	.ensure = faulty_ensure,
	.forget = faulty_forget,
	.list = faulty_list,
	.path = faulty_path,
	.evict = faulty_evict,
	.subscribe = faulty_subscribe,
	.free = faulty_free,
};

ImageCache *faulty_image_cache_new(ImageCache *inner, Fault *fault)
{
	FaultyCache *f = xnew0(FaultyCache, 1);

	f->cache.ops = &faulty_ops;
	pthread_mutex_init(&f->on_its_way.lock, NULL);
	f->inner = inner;
	f->fault = fault;
	return &f->cache;
}
