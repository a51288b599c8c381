/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ImageCache port. See cache.h; the thread behind it is in jobs.c.
 */
#include "driver/image/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/memory.h"
#include "driver/image/chain.h"
#include "driver/image/jobs.h"

#define GIB ((uint64_t)1 << 30)

static Cache *cache_of(ImageCache *c)
{
	return CONTAINER_OF(c, Cache, cache);
}

void image_cache_options_init(ImageCacheOptions *o)
{
	*o = (ImageCacheOptions){
		.max_size = 64 * GIB,
		.min_free = GIB / 4,
		.max_fetches = 3,
		.max_converts = 1,
		.connect_seconds = 30,
		.total_seconds = 4 * 3600,
		.low_speed_bytes = 1024,
		.low_speed_seconds = 30,
		.convert_seconds = 1800,
		.backoff_min = 2 * USEC_PER_SEC,
		.backoff_max = 5 * USEC_PER_MIN,
		.revalidate_after = 5 * USEC_PER_MIN,
		.max_age = 30 * 24 * USEC_PER_HOUR,
		.evict_grace = 10 * USEC_PER_MIN,
		.part_max_age = 24 * USEC_PER_HOUR,
	};
}

/* ---- ensure ---- */

static void source_name(const ImageRequest *r, char buf[static SOURCE_NAME_MAX])
{
	_cleanup_(xfreep) char *text =
		xasprintf("%s\n%s\n%s", r->url, r->checksum ?: "", r->checksum_url ?: "");
	char hex[SHA_HEX_MAX];

	memcpy(buf, sha_hex_of(SHA_256, text, strlen(text), hex), SOURCE_NAME_MAX);
}

static int request_check(const ImageRequest *r, Error *err)
{
	Checksum sum;

	if (!uuid_is_valid(r->uid))
		return error_set(err, ERR_INVALID, "image uid \"%s\" is no UUID", r->uid);
	if (!str_has_prefix(r->url, "http://") && !str_has_prefix(r->url, "https://"))
		return error_set(err, ERR_INVALID, "image URL: neither http nor https");
	return r->checksum ? checksum_parse(r->checksum, &sum, err) : 0;
}

static void state_copy(ImageState *dst, const ImageState *src)
{
	*dst = *src;
	dst->error = ERROR_INIT;
	error_copy(&dst->error, &src->error);
}

/* The content this source has, or another source's with the very checksum that is asked for. */
static Content *cached_for(Cache *c, const ImageRequest *r, const char *name,
			   ContentSource **ret_source)
{
	Content *content = index_find_source(&c->index, name, ret_source);
	Checksum sum;

	if (!content && r->checksum && checksum_parse(r->checksum, &sum, NULL) == 0) {
		content = index_find_checksum(&c->index, &sum);
		*ret_source = NULL;
	}
	return content && index_verify(&c->index, content) ? content : NULL;
}

static void job_begin(Job *j, const Content *content, const ContentSource *source)
{
	ImageState s = { .phase = IMAGE_PENDING };

	j->old_digest[0] = j->etag[0] = j->last_modified[0] = '\0';
	if (content) {
		memcpy(j->old_digest, content->digest, sizeof(j->old_digest));
		memcpy(s.digest, content->digest, sizeof(s.digest));
	}
	if (source) {
		memcpy(j->etag, source->etag, sizeof(j->etag));
		memcpy(j->last_modified, source->last_modified, sizeof(j->last_modified));
	}
	image_state_done(&j->state);
	j->state = s;
	j->step = JOB_FETCH_QUEUED;
}

static Job *job_get(Cache *c, const ImageRequest *r, const char *name)
{
	Job *j = hashmap_get(c->jobs, name);

	if (!j) {
		j = image_job_new(name);
		j->url = xstrdup(r->url);
		j->checksum = xstrdup(r->checksum);
		j->checksum_url = xstrdup(r->checksum_url);
		hashmap_put(c->jobs, name, j);
	}
	j->max_size = r->max_size ? r->max_size : c->options.max_size;
	return j;
}

static bool name_is_used(const Cache *c, const char *name)
{
	hashmap_foreach (it, c->users)
		if (streq(it.value, name))
			return true;
	return false;
}

/* Nobody asks for this source any more. */
static void job_abandon(Cache *c, const char *name)
{
	Job *j = hashmap_get(c->jobs, name);

	if (!j || name_is_used(c, name))
		return;
	j->canceled = true;
	cache_wake(c);
}

/* Remembers that uid now asks for `name`, and lets go of what it asked for before. */
static void user_put(Cache *c, const char *uid, const char *name)
{
	const char *now = hashmap_get(c->users, uid);
	_cleanup_(xfreep) char *old = NULL;

	if (now && streq(now, name))
		return;
	old = hashmap_take(c->users, uid);
	hashmap_put(c->users, uid, xstrdup(name));
	if (old)
		job_abandon(c, old);
}

static void ensure_locked(Cache *c, const ImageRequest *r, ImageState *ret)
{
	usec_t now = clock_now(c->options.clock);
	char name[SOURCE_NAME_MAX];
	ContentSource *source = NULL;
	Content *content;
	Job *j;

	source_name(r, name);
	user_put(c, r->uid, name);
	content = cached_for(c, r, name, &source);
	j = job_get(c, r, name);
	j->canceled = false;
	if (!job_is_running(j)) {
		bool stale =
			r->revalidate && (!source || !source->checked ||
					  now - source->checked >= c->options.revalidate_after);

		if (content && !stale) {
			index_touch(&c->index, content, clock_wall(c->options.clock));
			if (j->state.phase != IMAGE_READY ||
			    !streq(j->state.digest, content->digest))
				job_state_ready(j, content, source);
		} else if (content || j->state.phase != IMAGE_FAILED ||
			   now >= j->state.retry_after) {
			job_begin(j, content, source);
			cache_wake(c);
		}
	}
	state_copy(ret, &j->state);
}

static int cache_ensure(ImageCache *self, Context *ctx, const ImageRequest *r, ImageState *ret,
			Error *err)
{
	Cache *c = cache_of(self);
	int rc = context_check(ctx, err);

	if (rc == 0)
		rc = request_check(r, err);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&c->lock);
	ensure_locked(c, r, ret);
	pthread_mutex_unlock(&c->lock);
	return 0;
}

static int cache_forget(ImageCache *self, Context *ctx, const char *uid, Error *err)
{
	Cache *c = cache_of(self);
	_cleanup_(xfreep) char *name = NULL;
	const Job *j;
	int rc = context_check(ctx, err);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&c->lock);
	name = hashmap_take(c->users, uid);
	if (name)
		job_abandon(c, name);
	/* The files are gone when we return; killing takes milliseconds. */
	while (rc == 0 && name && (j = hashmap_get(c->jobs, name)) && j->canceled) {
		usec_t soon = clock_now(clock_system()) + 100 * USEC_PER_MSEC;

		clock_wait(clock_system(), &c->gone, &c->lock, soon);
		rc = context_check(ctx, err);
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

static int cache_list(ImageCache *self, Context *ctx, char (**ret)[UUID_MAX], size_t *ret_n,
		      Error *err)
{
	Cache *c = cache_of(self);
	int rc = context_check(ctx, err);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&c->lock);
	*ret_n = hashmap_uuids(c->users, ret);
	pthread_mutex_unlock(&c->lock);
	return 0;
}

static int cache_path(ImageCache *self, Context *ctx, const char *digest,
		      char ret_path[static 4096], Error *err)
{
	Cache *c = cache_of(self);
	char name[80];
	Content *content;
	int rc = context_check(ctx, err);

	if (rc == 0)
		rc = content_file_name(digest, ".qcow2", name, err);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&c->lock);
	content = index_get(&c->index, digest);
	if (content && index_verify(&c->index, content)) {
		index_touch(&c->index, content, clock_wall(c->options.clock));
		snprintf(ret_path, 4096, "%s/%s", c->index.directory, name);
	} else {
		rc = error_set(err, ERR_NOT_FOUND, "image %s is not cached", digest);
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

static void cache_subscribe(ImageCache *self, ImageEventFn fn, void *arg)
{
	Cache *c = cache_of(self);

	pthread_mutex_lock(&c->lock);
	c->event = fn;
	c->event_arg = arg;
	pthread_mutex_unlock(&c->lock);
}

/* ---- eviction ---- */

static bool is_kept(const Cache *c, const Content *v, const ImageDigestList *keep,
		    const Hashmap *bases)
{
	if (hashmap_contains(bases, v->digest))
		return true;
	for (size_t i = 0; keep && i < keep->n; i++)
		if (streq(keep->digests[i], v->digest))
			return true;
	hashmap_foreach (it, c->jobs) {
		const Job *j = it.value;

		if (job_is_running(j) && streq(j->old_digest, v->digest))
			return true;
	}
	return false;
}

/* The least recently used content that may go and is older than `before`; NULL if none. */
static Content *evict_candidate(const Cache *c, const ImageDigestList *keep, const Hashmap *bases,
				usec_t before)
{
	Content *oldest = NULL;

	hashmap_foreach (it, c->index.contents) {
		Content *v = it.value;

		if (v->used < before && (!oldest || v->used < oldest->used) &&
		    !is_kept(c, v, keep, bases))
			oldest = v;
	}
	return oldest;
}

static usec_t ago(usec_t now, usec_t age)
{
	return now > age ? now - age : 0;
}

static int evict_locked(Cache *c, const ImageDigestList *keep, const Hashmap *bases,
			uint64_t *ret_freed, Error *err)
{
	const ImageCacheOptions *o = &c->options;
	usec_t now = clock_wall(o->clock), limit = ago(now, o->evict_grace);
	usec_t old = o->max_age ? MIN(ago(now, o->max_age), limit) : 0;
	uint64_t total = 0, freed;
	Content *v;
	int rc;

	hashmap_foreach (it, c->index.contents)
		total += ((const Content *)it.value)->file_size;
	for (;;) {
		v = evict_candidate(c, keep, bases, old);
		if (!v && o->max_bytes && total > o->max_bytes)
			v = evict_candidate(c, keep, bases, limit);
		if (!v)
			return 0;
		rc = index_remove(&c->index, v, &freed, err);
		if (rc < 0)
			return rc;
		total -= MIN(total, freed);
		*ret_freed += freed;
	}
}

/* Files of incoming/ that no job has touched for a while; max_age 0 = converted leftovers only. */
static void incoming_sweep(Cache *c, bool at_start)
{
	_cleanup_(closedirp) DIR *dir = opendir(c->incoming);
	usec_t wall = clock_wall(clock_system());
	struct dirent *e;
	struct stat st;

	while (dir && (e = readdir(dir))) {
		char name[SOURCE_NAME_MAX];
		bool old;

		snprintf(name, sizeof(name), "%.*s", (int)strcspn(e->d_name, "."), e->d_name);
		if (strlen(name) != 64 || hashmap_contains(c->jobs, name) ||
		    fstatat(c->incoming_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		old = (usec_t)st.st_mtim.tv_sec * USEC_PER_SEC < ago(wall, c->options.part_max_age);
		if (old || (at_start && str_has_suffix(e->d_name, ".qcow2")))
			(void)unlinkat(c->incoming_fd, e->d_name, 0);
	}
}

static int cache_evict(ImageCache *self, Context *ctx, const ImageDigestList *keep,
		       uint64_t *ret_freed, Error *err)
{
	Cache *c = cache_of(self);
	_cleanup_(hashmap_freep) Hashmap *bases = hashmap_new(NULL);
	uint64_t freed = 0;
	int rc = context_check(ctx, err);

	/* A disk that cannot be read may stand on anything: then nothing goes. */
	if (rc == 0)
		rc = chain_bases(c->state_dir, bases, err);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&c->lock);
	rc = evict_locked(c, keep, bases, &freed, err);
	incoming_sweep(c, false);
	pthread_mutex_unlock(&c->lock);
	if (rc == 0 && ret_freed)
		*ret_freed = freed;
	return rc;
}

/* ---- life ---- */

static void job_release(void *p)
{
	image_job_free(p);
}

static ImageCache *cache_free(ImageCache *self)
{
	Cache *c = cache_of(self);

	if (c->wake_fd >= 0) {
		pthread_mutex_lock(&c->lock);
		c->stop = true;
		pthread_mutex_unlock(&c->lock);
		cache_wake(c);
		pthread_join(c->thread, NULL);
	}
	hashmap_free(c->jobs);
	hashmap_free(c->users);
	index_close(&c->index);
	fd_close(c->wake_fd);
	fd_close(c->incoming_fd);
	pthread_cond_destroy(&c->gone);
	pthread_mutex_destroy(&c->lock);
	free(c->state_dir);
	free(c->incoming);
	free(c->program);
	free(c);
	return NULL;
}

static const ImageCacheOps cache_ops = {
	.name = "image",
	.ensure = cache_ensure,
	.forget = cache_forget,
	.list = cache_list,
	.path = cache_path,
	.evict = cache_evict,
	.subscribe = cache_subscribe,
	.free = cache_free,
};

static int directories_open(Cache *c, Error *err)
{
	_cleanup_(xfreep) char *images = xasprintf("%s/images", c->state_dir);
	int rc = fs_mkdir_p(c->state_dir, 0711, err);

	if (rc == 0)
		rc = fs_mkdir_p(c->incoming, 0700, err);
	if (rc < 0)
		return rc;
	c->incoming_fd = open(c->incoming, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (c->incoming_fd < 0)
		return error_set_errno(err, errno, "open %s", c->incoming);
	return index_open(&c->index, images, err);
}

int image_cache_new(const ImageCacheOptions *o, ImageCache **ret, Error *err)
{
	Cache *c = xnew0(Cache, 1);
	int rc;

	c->cache.ops = &cache_ops;
	c->options = *o;
	if (!c->options.clock)
		c->options.clock = clock_system();
	c->state_dir = xstrdup(o->state_dir);
	c->incoming = xasprintf("%s/incoming", o->state_dir);
	c->program = xstrdup(o->program ? o->program : "/proc/self/exe");
	c->incoming_fd = c->wake_fd = c->index.fd = -1;
	c->jobs = hashmap_new(job_release);
	c->users = hashmap_new(free);
	pthread_mutex_init(&c->lock, NULL);
	clock_cond_init(&c->gone);
	rc = directories_open(c, err);
	if (rc == 0) {
		incoming_sweep(c, true);
		c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (c->wake_fd < 0)
			rc = error_set_errno(err, errno, "eventfd");
	}
	if (rc == 0) {
		rc = pthread_create(&c->thread, NULL, cache_thread, c);
		if (rc != 0) {
			c->wake_fd = fd_close(c->wake_fd);
			rc = error_set_errno(err, rc, "start the image cache's thread");
		}
	}
	if (rc < 0) {
		cache_free(&c->cache);
		return error_wrap_rc(err, rc, "image cache");
	}
	*ret = &c->cache;
	return 0;
}
