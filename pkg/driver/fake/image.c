/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake ImageCache. See image.h; what a test does to it is in image_hooks.c.
 *
 * A Job belongs to one Image (uid); equal sources share one Fetch, as in the real cache. One lock;
 * events are sent after it is released.
 */
#include "driver/fake/image_internal.h"

#include <stdio.h>
#include <strings.h>

#include "base/memory.h"
#include "base/sha.h"

#define DEFAULT_MAX_SIZE ((uint64_t)1 << 40)
#define BACKOFF_MIN      USEC_PER_SEC
#define BACKOFF_MAX      (5 * USEC_PER_MIN)
#define REVALIDATE_AFTER (5 * USEC_PER_MIN)

static void source_release(void *p)
{
	Source *s = p;

	free(s->content);
	free(s->sums);
	free(s->etag);
	free(s);
}

void fake_fetch_release(void *p)
{
	Fetch *f = p;

	free(f->key);
	free(f->url);
	free(f->checksum);
	free(f->checksum_url);
	free(f->old_digest);
	image_state_done(&f->state);
	free(f);
}

static void content_release(void *p)
{
	Content *c = p;

	free(c->source_key);
	image_state_done(&c->state);
	free(c);
}

void fake_image_emit(FakeCache *f, const char *uid)
{
	ImageEventFn fn;
	void *arg;

	pthread_mutex_lock(&f->lock);
	fn = f->event;
	arg = f->event_arg;
	pthread_mutex_unlock(&f->lock);
	if (fn)
		fn(arg, uid);
}

static void state_copy(ImageState *dst, const ImageState *src)
{
	*dst = *src;
	dst->error = ERROR_INIT;
	error_copy(&dst->error, &src->error);
}

const char *fake_image_digest(const char *content, char buf[static IMAGE_DIGEST_MAX])
{
	_cleanup_(xfreep) char *converted = xasprintf("qcow2:%s", content);
	char hex[SHA_HEX_MAX];

	snprintf(buf, IMAGE_DIGEST_MAX, "sha256:%.64s",
		 sha_hex_of(SHA_256, converted, strlen(converted), hex));
	return buf;
}

/* ---- a fetch ---- */

static int check_sum(const char *wanted, const char *content, Error *err)
{
	ShaAlgorithm a = str_has_prefix(wanted, "sha512:") ? SHA_512 : SHA_256;
	char hex[SHA_HEX_MAX];

	if (!str_has_prefix(wanted, "sha512:") && !str_has_prefix(wanted, "sha256:"))
		return error_set(err, ERR_INVALID,
				 "checksum %s: neither sha256: nor sha512:", wanted);
	if (strcasecmp(wanted + 7, sha_hex_of(a, content, strlen(content), hex)) != 0)
		return error_set(err, ERR_INVALID, "checksum mismatch: wanted %s, got %.6s:%s",
				 wanted, wanted, hex);
	return 0;
}

static int check_sums_file(const FakeCache *c, const Fetch *f, const char *content, Error *err)
{
	const Source *s = hashmap_get(c->sources, f->checksum_url);
	char hex[SHA_HEX_MAX];

	if (!s || !s->sums)
		return error_set(err, ERR_NOT_FOUND, "checksum file %s: 404", f->checksum_url);
	if (!strstr(s->sums, sha_hex_of(SHA_256, content, strlen(content), hex)))
		return error_set(err, ERR_INVALID, "checksum mismatch: not what %s says",
				 f->checksum_url);
	return 0;
}

/* What the server would answer now; 0 with *ret borrowed. */
static int fetch_source(const FakeCache *c, const Fetch *f, const Source **ret, Error *err)
{
	const Source *s = hashmap_get(c->sources, f->url);
	int rc = 0;

	if (!s)
		return error_set(err, ERR_NOT_FOUND, "%s: HTTP 404", f->url);
	if (s->failure)
		return error_set(err, s->failure, "%s: fake failure", f->url);
	if (s->size > f->max_size || s->virtual_size > f->max_size)
		return error_set(err, ERR_EXHAUSTED, "%s: larger than %llu bytes", f->url,
				 (unsigned long long)f->max_size);
	if (f->checksum)
		rc = check_sum(f->checksum, s->content, err);
	else if (f->checksum_url)
		rc = check_sums_file(c, f, s->content, err);
	if (rc == 0)
		*ret = s;
	return rc;
}

static void fetch_failed(FakeCache *c, Fetch *f, Error *err)
{
	Content *old = f->old_digest ? hashmap_get(c->contents, f->old_digest) : NULL;
	usec_t backoff = BACKOFF_MIN << MIN(f->failures, 9u);

	f->running = false;
	image_state_done(&f->state);
	if (old) {
		/* A cached copy outlives its source. */
		old->checked = clock_now(c->clock);
		state_copy(&f->state, &old->state);
		f->state.source_gone = true;
		error_move(&f->state.error, err);
		return;
	}
	f->failures++;
	f->state = (ImageState){ .phase = IMAGE_FAILED };
	f->state.retry_after =
		clock_now(c->clock) +
		(error_code_is_terminal(err->code) ? BACKOFF_MAX : MIN(backoff, BACKOFF_MAX));
	error_move(&f->state.error, err);
}

static void fetch_ready(FakeCache *c, Fetch *f, const Source *s)
{
	char digest[IMAGE_DIGEST_MAX], hex[SHA_HEX_MAX];
	Content *content = hashmap_get(c->contents, fake_image_digest(s->content, digest));
	ImageState state = { .phase = IMAGE_READY,
			     .bytes_fetched = s->size,
			     .bytes_total = s->size,
			     .virtual_size = s->virtual_size,
			     .file_size = s->size };

	if (!content) {
		content = xnew0(Content, 1);
		content->source_key = xstrdup("");
		hashmap_put(c->contents, digest, content);
	}
	memcpy(content->digest, digest, sizeof(digest));
	memcpy(state.digest, digest, sizeof(digest));
	memcpy(state.source_format, "qcow2", 6);
	snprintf(state.source_checksum, sizeof(state.source_checksum), "sha256:%s",
		 sha_hex_of(SHA_256, s->content, strlen(s->content), hex));
	snprintf(state.etag, sizeof(state.etag), "%s", s->etag ? s->etag : "");
	image_state_done(&content->state);
	content->state = state;
	content->used = content->checked = clock_now(c->clock);
	/* A source gives one content at a time. */
	hashmap_foreach (it, c->contents) {
		Content *v = it.value;

		if (v != content && streq(v->source_key, f->key)) {
			free(v->source_key);
			v->source_key = xstrdup("");
		}
	}
	free(content->source_key);
	content->source_key = xstrdup(f->key);
	image_state_done(&f->state);
	f->state = state;
	f->running = false;
	f->failures = 0;
}

bool fake_fetch_step(FakeCache *c, Fetch *f, uint64_t bytes)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	const Source *s = NULL;

	if (!f->running)
		return false;
	if (fetch_source(c, f, &s, &err) < 0) {
		fetch_failed(c, f, &err);
		return true;
	}
	if (f->state.bytes_fetched >= s->size) {
		fetch_ready(c, f, s);
		return true;
	}
	f->state.phase = IMAGE_FETCHING;
	f->state.bytes_total = s->size;
	f->state.rate = bytes;
	f->state.bytes_fetched = MIN(s->size, f->state.bytes_fetched + bytes);
	return true;
}

static void fetch_begin(FakeCache *c, Fetch *f, const char *old_digest)
{
	free(f->old_digest);
	f->old_digest = xstrdup(old_digest);
	image_state_done(&f->state);
	f->state = (ImageState){ .phase = IMAGE_FETCHING };
	if (old_digest)
		snprintf(f->state.digest, sizeof(f->state.digest), "%s", old_digest);
	f->running = true;
	c->started++;
}

/* ---- the port ---- */

static char *source_key(const ImageRequest *r)
{
	return xasprintf("%s %s %s", r->url, r->checksum ? r->checksum : "-",
			 r->checksum_url ? r->checksum_url : "-");
}

static Content *cached_for(FakeCache *c, const ImageRequest *r, const char *key)
{
	Content *content = r->digest ? hashmap_get(c->contents, r->digest) : NULL;

	if (content && streq(content->source_key, key))
		return content;
	hashmap_foreach (it, c->contents) {
		content = it.value;
		if (streq(content->source_key, key))
			return content;
	}
	return NULL;
}

static Fetch *fetch_get(FakeCache *c, const ImageRequest *r, const char *key)
{
	Fetch *f = hashmap_get(c->fetches, key);

	if (!f) {
		f = xnew0(Fetch, 1);
		f->key = xstrdup(key);
		f->url = xstrdup(r->url);
		f->checksum = xstrdup(r->checksum);
		f->checksum_url = xstrdup(r->checksum_url);
		f->max_size = r->max_size ? r->max_size : DEFAULT_MAX_SIZE;
		hashmap_put(c->fetches, key, f);
	}
	return f;
}

static bool ensure_locked(FakeCache *c, const ImageRequest *r, ImageState *ret)
{
	_cleanup_(xfreep) char *key = source_key(r);
	usec_t now = clock_now(c->clock);
	Content *content = cached_for(c, r, key);
	Fetch *f = hashmap_get(c->fetches, key);
	bool began = false;

	hashmap_put(c->jobs, r->uid, xstrdup(key));
	if (content && !(f && f->running) &&
	    !(r->revalidate && now - content->checked >= REVALIDATE_AFTER)) {
		content->used = now;
		state_copy(ret, f && f->state.phase == IMAGE_READY ? &f->state : &content->state);
		return false;
	}
	f = fetch_get(c, r, key);
	if (!f->running && (f->state.phase != IMAGE_FAILED || now >= f->state.retry_after)) {
		fetch_begin(c, f, content ? content->digest : NULL);
		began = true;
	}
	state_copy(ret, &f->state);
	if (began && !c->manual)
		while (f->running)
			fake_fetch_step(c, f, UINT64_MAX / 2);
	return began && !c->manual;
}

static int fake_ensure(ImageCache *self, Context *ctx, const ImageRequest *r, ImageState *ret,
		       Error *err)
{
	FakeCache *c = fake_of(self);
	bool changed;
	int rc = context_check(ctx, err);

	if (rc < 0)
		return rc;
	if (!uuid_is_valid(r->uid))
		return error_set(err, ERR_INVALID, "image uid \"%s\" is no UUID", r->uid);
	if (!str_has_prefix(r->url, "http://") && !str_has_prefix(r->url, "https://"))
		return error_set(err, ERR_INVALID, "image URL: neither http nor https");
	pthread_mutex_lock(&c->lock);
	changed = ensure_locked(c, r, ret);
	pthread_mutex_unlock(&c->lock);
	if (changed)
		fake_image_emit(c, r->uid);
	return 0;
}

static int fake_forget(ImageCache *self, Context *ctx, const char *uid, Error *err)
{
	FakeCache *c = fake_of(self);
	_cleanup_(xfreep) char *key = NULL;
	bool shared = false;
	int rc = context_check(ctx, err);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&c->lock);
	key = hashmap_take(c->jobs, uid);
	hashmap_foreach (it, c->jobs)
		shared |= key && streq(it.value, key);
	if (key && !shared)
		hashmap_remove(c->fetches, key);
	pthread_mutex_unlock(&c->lock);
	return 0;
}

static int fake_list(ImageCache *self, Context *ctx, char (**ret)[UUID_MAX], size_t *ret_n,
		     Error *err)
{
	FakeCache *c = fake_of(self);
	int rc = context_check(ctx, err);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&c->lock);
	*ret_n = hashmap_uuids(c->jobs, ret);
	pthread_mutex_unlock(&c->lock);
	return 0;
}

static int fake_path(ImageCache *self, Context *ctx, const char *digest, char ret_path[static 4096],
		     Error *err)
{
	FakeCache *c = fake_of(self);
	Content *content;
	int rc = context_check(ctx, err);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&c->lock);
	content = hashmap_get(c->contents, digest);
	if (content) {
		content->used = clock_now(c->clock);
		snprintf(ret_path, 4096, "/var/lib/sfd/images/%s.qcow2", digest + 7);
	}
	pthread_mutex_unlock(&c->lock);
	if (!content)
		return error_set(err, ERR_NOT_FOUND, "image %s is not cached", digest);
	return 0;
}

static bool keep_contains(const ImageDigestList *keep, const char *digest)
{
	for (size_t i = 0; keep && i < keep->n; i++)
		if (streq(keep->digests[i], digest))
			return true;
	return false;
}

static int fake_evict(ImageCache *self, Context *ctx, const ImageDigestList *keep,
		      uint64_t *ret_freed, Error *err)
{
	FakeCache *c = fake_of(self);
	uint64_t total = 0, freed = 0;
	int rc = context_check(ctx, err);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&c->lock);
	hashmap_foreach (it, c->contents)
		total += ((Content *)it.value)->state.file_size;
	while (c->limit && total > c->limit) {
		Content *oldest = NULL;

		hashmap_foreach (it, c->contents) {
			Content *v = it.value;

			if (!v->pins && !keep_contains(keep, v->digest) &&
			    (!oldest || v->used < oldest->used))
				oldest = v;
		}
		if (!oldest)
			break;
		total -= oldest->state.file_size;
		freed += oldest->state.file_size;
		hashmap_remove(c->contents, oldest->digest);
	}
	pthread_mutex_unlock(&c->lock);
	if (ret_freed)
		*ret_freed = freed;
	return 0;
}

static void fake_subscribe(ImageCache *self, ImageEventFn fn, void *arg)
{
	FakeCache *c = fake_of(self);

	pthread_mutex_lock(&c->lock);
	c->event = fn;
	c->event_arg = arg;
	pthread_mutex_unlock(&c->lock);
}

static ImageCache *fake_free(ImageCache *self)
{
	FakeCache *c = fake_of(self);

	hashmap_free(c->jobs);
	hashmap_free(c->fetches);
	hashmap_free(c->contents);
	hashmap_free(c->sources);
	pthread_mutex_destroy(&c->lock);
	free(c);
	return NULL;
}

static const ImageCacheOps fake_ops = {
	.name = "fake",
	.ensure = fake_ensure,
	.forget = fake_forget,
	.list = fake_list,
	.path = fake_path,
	.evict = fake_evict,
	.subscribe = fake_subscribe,
	.free = fake_free,
};

ImageCache *fake_image_cache_new(Clock *clock)
{
	FakeCache *c = xnew0(FakeCache, 1);

	c->cache.ops = &fake_ops;
	c->clock = clock;
	pthread_mutex_init(&c->lock, NULL);
	c->sources = hashmap_new(source_release);
	c->fetches = hashmap_new(fake_fetch_release);
	c->jobs = hashmap_new(free);
	c->contents = hashmap_new(content_release);
	return &c->cache;
}
