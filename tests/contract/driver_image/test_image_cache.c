/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every ImageCache promises, asked of the fake and of the real one (with a web server of ours
 * and the roles as processes: this program answers to --role=).
 */
#include <setjmp.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/sha.h"
#include "driver/fake/image.h"
#include "driver/image/cache.h"
#include "driver/image/roles.h"
#include "tests/lib/hostile_http.h"

#include <cmocka.h>

#define UID_A "11111111-1111-4111-8111-111111111111"
#define UID_B "22222222-2222-4222-8222-222222222222"
#define WAIT  (20 * USEC_PER_SEC)
#define DISK  65536

typedef struct Env {
	bool real;
	Clock *clock;
	ImageCache *cache;
	HostileHttp *http;
	char *dir;
	uint64_t max_bytes;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned events;
} Env;

static void on_event(void *arg, const char *uid)
{
	Env *e = arg;

	(void)uid;
	pthread_mutex_lock(&e->lock);
	e->events++;
	pthread_cond_broadcast(&e->cond);
	pthread_mutex_unlock(&e->lock);
}

/* ---- the two worlds ---- */

static void cache_open(Env *e)
{
	ImageCacheOptions o;
	Error err = ERROR_INIT;

	if (e->real) {
		image_cache_options_init(&o);
		o.state_dir = e->dir;
		o.clock = e->clock;
		o.allow_loopback = true;
		o.min_free = 0;
		o.max_bytes = e->max_bytes;
		if (image_cache_new(&o, &e->cache, &err) < 0)
			fail_msg("%s", error_message(&err));
	}
	e->cache->ops->subscribe(e->cache, on_event, e);
}

static int setup(void **state, bool real)
{
	Env *e = xnew0(Env, 1);
	const char *tmp = getenv("TMPDIR");
	char *dir = xasprintf("%s/sf-cache-XXXXXX", tmp ? tmp : "/tmp");

	e->real = real;
	e->clock = fake_clock_new(USEC_PER_HOUR, clock_wall(clock_system()));
	e->dir = mkdtemp(dir);
	pthread_mutex_init(&e->lock, NULL);
	clock_cond_init(&e->cond);
	if (real)
		e->http = hostile_http_new();
	else
		e->cache = fake_image_cache_new(e->clock);
	cache_open(e);
	*state = e;
	return 0;
}

static int setup_fake(void **state)
{
	return setup(state, false);
}

static int setup_real(void **state)
{
	return setup(state, true);
}

static int teardown(void **state)
{
	Env *e = *state;

	e->cache->ops->free(e->cache);
	if (e->http)
		hostile_http_free(e->http);
	fs_remove_tree(e->dir, NULL);
	free(e->dir);
	fake_clock_free(e->clock);
	pthread_cond_destroy(&e->cond);
	pthread_mutex_destroy(&e->lock);
	free(e);
	return 0;
}

/* sfd stops and starts again. */
static void restart(Env *e)
{
	if (!e->real) {
		fake_image_restart(e->cache);
		return;
	}
	e->cache->ops->free(e->cache);
	cache_open(e);
}

static void limit(Env *e, uint64_t bytes)
{
	if (e->real) {
		e->max_bytes = bytes;
		restart(e);
	} else {
		fake_image_set_limit(e->cache, bytes);
	}
}

/* A disk image that holds `content`. */
static void disk_image(const char *content, char buf[static DISK])
{
	memset(buf, 0, DISK);
	buf[510] = 0x55;
	buf[511] = (char)0xaa;
	snprintf(buf + 1024, DISK - 1024, "%s", content);
}

static char *url_of(const Env *e, const char *name)
{
	_cleanup_(xfreep) char *path = xasprintf("/file/%s", name);

	return e->real ? hostile_http_url(e->http, path) : xasprintf("http://h%s", path);
}

static void source_set(Env *e, const char *name, const char *content, const char *etag)
{
	_cleanup_(xfreep) char *url = url_of(e, name);
	char disk[DISK];

	disk_image(content, disk);
	if (e->real)
		hostile_http_put(e->http, name, disk, sizeof(disk), etag);
	else
		fake_image_source_set(e->cache, url,
				      &(FakeSource){ .content = content, .etag = etag });
}

static void source_remove(Env *e, const char *name)
{
	_cleanup_(xfreep) char *url = url_of(e, name);

	if (e->real)
		hostile_http_remove(e->http, name);
	else
		fake_image_source_remove(e->cache, url);
}

static char *checksum_of(const Env *e, const char *content)
{
	char disk[DISK], hex[SHA_HEX_MAX];

	disk_image(content, disk);
	return xasprintf("sha256:%s", e->real ? sha_hex_of(SHA_256, disk, DISK, hex)
					      : sha_hex_of(SHA_256, content, strlen(content), hex));
}

static unsigned fetches(Env *e, const char *name)
{
	_cleanup_(xfreep) char *path = xasprintf("/file/%s", name);

	return e->real ? hostile_http_count(e->http, path) : fake_image_fetches(e->cache);
}

/* ---- asking ---- */

static ImageState ensure(Env *e, const ImageRequest *r)
{
	ImageState s = { 0 };
	Error err = ERROR_INIT;

	if (e->cache->ops->ensure(e->cache, &CONTEXT_BACKGROUND, r, &s, &err) < 0)
		fail_msg("ensure: %s", error_message(&err));
	return s;
}

/* Until it is ready or has failed; an event must say when to look again. */
static ImageState settle(Env *e, const ImageRequest *r)
{
	usec_t until = clock_now(clock_system()) + WAIT;
	ImageState s;
	unsigned seen;

	for (;;) {
		pthread_mutex_lock(&e->lock);
		seen = e->events;
		pthread_mutex_unlock(&e->lock);
		s = ensure(e, r);
		if (s.phase == IMAGE_READY || s.phase == IMAGE_FAILED)
			return s;
		image_state_done(&s);
		pthread_mutex_lock(&e->lock);
		while (e->events == seen && clock_now(clock_system()) < until)
			clock_wait(clock_system(), &e->cond, &e->lock, until);
		pthread_mutex_unlock(&e->lock);
		if (clock_now(clock_system()) >= until)
			fail_msg("no event within the deadline");
	}
}

static ImageState settle_ready(Env *e, const ImageRequest *r)
{
	ImageState s = settle(e, r);

	if (s.phase != IMAGE_READY)
		fail_msg("%s: %s", image_phase_to_string(s.phase), error_message(&s.error));
	return s;
}

static void test_fetch(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *url = url_of(e, "a"), *sum = checksum_of(e, "a");
	ImageRequest r = { .uid = UID_A, .url = url };
	char path[4096];
	ImageState s, again;

	source_set(e, "a", "a", "\"1\"");
	s = ensure(e, &r);
	assert_int_not_equal(s.phase, IMAGE_READY);
	assert_int_not_equal(s.phase, IMAGE_FAILED);
	s = settle_ready(e, &r);
	assert_int_equal(strlen(s.digest), 71);
	assert_string_equal(s.source_checksum, sum);
	assert_string_equal(s.etag, "\"1\"");
	assert_true(s.virtual_size > 0 && s.file_size > 0);
	assert_false(s.source_gone);
	assert_int_equal(e->cache->ops->path(e->cache, &CONTEXT_BACKGROUND, s.digest, path, NULL),
			 0);
	assert_true(path[0] == '/' && str_has_suffix(path, ".qcow2"));
	again = ensure(e, &r);
	assert_int_equal(again.phase, IMAGE_READY);
	assert_string_equal(again.digest, s.digest);
	assert_int_equal(fetches(e, "a"), 1);
}

static void test_shared(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *url = url_of(e, "a");
	ImageState a, b;

	source_set(e, "a", "a", NULL);
	a = ensure(e, &(ImageRequest){ .uid = UID_A, .url = url });
	b = ensure(e, &(ImageRequest){ .uid = UID_B, .url = url });
	a = settle_ready(e, &(ImageRequest){ .uid = UID_A, .url = url });
	b = settle_ready(e, &(ImageRequest){ .uid = UID_B, .url = url });
	assert_string_equal(a.digest, b.digest);
	assert_int_equal(fetches(e, "a"), 1);
}

static void test_equal_content(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *url_a = url_of(e, "a"), *url_b = url_of(e, "b");
	ImageState a, b;

	source_set(e, "a", "same", NULL);
	source_set(e, "b", "same", NULL);
	a = settle_ready(e, &(ImageRequest){ .uid = UID_A, .url = url_a });
	b = settle_ready(e, &(ImageRequest){ .uid = UID_B, .url = url_b });
	assert_string_equal(a.digest, b.digest);
}

static void test_checksum(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *url = url_of(e, "a"), *right = checksum_of(e, "a");
	_cleanup_(xfreep) char *wrong = checksum_of(e, "b");
	ImageState s;

	source_set(e, "a", "a", NULL);
	s = settle(e, &(ImageRequest){ .uid = UID_A, .url = url, .checksum = wrong });
	assert_int_equal(s.phase, IMAGE_FAILED);
	assert_int_equal(s.error.code, ERR_INVALID);
	assert_non_null(strstr(s.error.message, "mismatch"));
	assert_true(s.retry_after > clock_now(e->clock));
	assert_string_equal(s.digest, "");
	image_state_done(&s);
	s = settle_ready(e, &(ImageRequest){ .uid = UID_A, .url = url, .checksum = right });
}

static void test_absent_then_there(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *url = url_of(e, "a");
	ImageRequest r = { .uid = UID_A, .url = url };
	ImageState s = settle(e, &r);

	assert_int_equal(s.phase, IMAGE_FAILED);
	assert_int_equal(s.error.code, ERR_NOT_FOUND);
	image_state_done(&s);
	source_set(e, "a", "a", NULL);
	s = ensure(e, &r); /* too early */
	assert_int_equal(s.phase, IMAGE_FAILED);
	image_state_done(&s);
	fake_clock_advance(e->clock, USEC_PER_HOUR);
	settle_ready(e, &r);
}

static void test_source_gone(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *url = url_of(e, "a");
	ImageRequest r = { .uid = UID_A, .url = url };
	ImageState first, s;

	source_set(e, "a", "a", NULL);
	first = settle_ready(e, &r);
	source_remove(e, "a");
	s = settle_ready(e, &r);
	assert_false(s.source_gone); /* nobody asked */
	fake_clock_advance(e->clock, USEC_PER_HOUR);
	r.revalidate = true;
	r.digest = first.digest;
	s = settle_ready(e, &r);
	assert_true(s.source_gone);
	assert_string_equal(s.digest, first.digest);
	assert_int_equal(s.error.code, ERR_NOT_FOUND);
	image_state_done(&s);
	source_set(e, "a", "a", NULL);
	fake_clock_advance(e->clock, USEC_PER_HOUR);
	s = settle_ready(e, &r);
	assert_false(s.source_gone);
}

static void test_revalidate(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *url = url_of(e, "a");
	ImageRequest r = { .uid = UID_A, .url = url, .revalidate = true };
	ImageState first, s;
	unsigned asked;

	source_set(e, "a", "a", "\"1\"");
	first = settle_ready(e, &r);
	s = ensure(e, &r); /* asked a moment ago */
	assert_int_equal(s.phase, IMAGE_READY);
	asked = fetches(e, "a");
	fake_clock_advance(e->clock, USEC_PER_HOUR);
	s = ensure(e, &r);
	assert_int_not_equal(s.phase, IMAGE_READY);
	assert_string_equal(s.digest, first.digest); /* usable meanwhile */
	s = settle_ready(e, &r);
	assert_int_equal(fetches(e, "a"), asked + 1);
	assert_string_equal(s.digest, first.digest);
	source_set(e, "a", "b", "\"2\"");
	fake_clock_advance(e->clock, USEC_PER_HOUR);
	s = settle_ready(e, &r);
	assert_string_not_equal(s.digest, first.digest);
	assert_string_equal(s.etag, "\"2\"");
}

static void test_restart(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *url = url_of(e, "a");
	ImageRequest r = { .uid = UID_A, .url = url };
	ImageState first, s;

	source_set(e, "a", "a", "\"1\"");
	first = settle_ready(e, &r);
	source_remove(e, "a");
	restart(e);
	s = ensure(e, &r);
	assert_int_equal(s.phase, IMAGE_READY);
	assert_string_equal(s.digest, first.digest);
	assert_int_equal(fetches(e, "a"), 1);
}

static void test_evict(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *url_a = url_of(e, "a"), *url_b = url_of(e, "b");
	char kept[1][IMAGE_DIGEST_MAX], path[4096];
	ImageDigestList keep = { kept, 1 };
	uint64_t freed = 0;
	ImageState a, b;

	source_set(e, "a", "a", NULL);
	source_set(e, "b", "b", NULL);
	a = settle_ready(e, &(ImageRequest){ .uid = UID_A, .url = url_a });
	fake_clock_advance(e->clock, 2 * USEC_PER_HOUR);
	b = settle_ready(e, &(ImageRequest){ .uid = UID_B, .url = url_b });
	fake_clock_advance(e->clock, 2 * USEC_PER_HOUR);
	limit(e, a.file_size + b.file_size / 2);
	memcpy(kept[0], a.digest, IMAGE_DIGEST_MAX); /* the older one */
	assert_int_equal(e->cache->ops->evict(e->cache, &CONTEXT_BACKGROUND, &keep, &freed, NULL),
			 0);
	assert_true(freed > 0);
	assert_int_equal(e->cache->ops->path(e->cache, &CONTEXT_BACKGROUND, a.digest, path, NULL),
			 0);
	assert_int_equal(e->cache->ops->path(e->cache, &CONTEXT_BACKGROUND, b.digest, path, NULL),
			 -ERR_NOT_FOUND);
	freed = 0;
	assert_int_equal(e->cache->ops->evict(e->cache, &CONTEXT_BACKGROUND, &keep, &freed, NULL),
			 0);
	assert_int_equal(freed, 0);
	/* What was evicted comes back when it is asked for. */
	b = settle_ready(e, &(ImageRequest){ .uid = UID_B, .url = url_b });
	assert_int_equal(e->cache->ops->path(e->cache, &CONTEXT_BACKGROUND, b.digest, path, NULL),
			 0);
}

static void test_forget(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *url = url_of(e, "a");
	ImageRequest r = { .uid = UID_A, .url = url };
	char path[4096];
	ImageState s;

	assert_int_equal(e->cache->ops->forget(e->cache, &CONTEXT_BACKGROUND, UID_B, NULL), 0);
	source_set(e, "a", "a", NULL);
	s = settle_ready(e, &r);
	assert_int_equal(e->cache->ops->forget(e->cache, &CONTEXT_BACKGROUND, UID_A, NULL), 0);
	assert_int_equal(e->cache->ops->path(e->cache, &CONTEXT_BACKGROUND, s.digest, path, NULL),
			 0);
}

static void assert_listed(Env *e, const char *uid, size_t of)
{
	_cleanup_(xfreep) char(*uids)[UUID_MAX] = NULL;
	size_t n = 0, found = 0;

	assert_int_equal(e->cache->ops->list(e->cache, &CONTEXT_BACKGROUND, &uids, &n, NULL), 0);
	assert_int_equal(n, of);
	for (size_t i = 0; i < n; i++)
		found += streq(uids[i], uid);
	assert_int_equal(found, uid != NULL);
}

/* From the first time it was asked for, whatever came of it, until it is forgotten or sfd ends. */
static void test_list(void **state)
{
	Env *e = *state;
	_cleanup_(xfreep) char *url_a = url_of(e, "a"), *url_b = url_of(e, "b");
	ImageState s;

	assert_listed(e, NULL, 0);
	source_set(e, "a", "a", NULL);
	settle_ready(e, &(ImageRequest){ .uid = UID_A, .url = url_a });
	s = settle(e, &(ImageRequest){ .uid = UID_B, .url = url_b });
	assert_int_equal(s.phase, IMAGE_FAILED);
	image_state_done(&s);
	assert_listed(e, UID_A, 2);
	assert_listed(e, UID_B, 2);
	assert_int_equal(e->cache->ops->forget(e->cache, &CONTEXT_BACKGROUND, UID_A, NULL), 0);
	assert_listed(e, UID_B, 1);
	restart(e);
	assert_listed(e, NULL, 0);
}

static void test_refused(void **state)
{
	static const char *const urls[] = { "file:///etc/passwd", "ftp://h/x", "", "/x" };
	Env *e = *state;
	ImageState s;
	char path[4096];

	for (size_t i = 0; i < ARRAY_SIZE(urls); i++)
		assert_int_equal(e->cache->ops->ensure(
					 e->cache, &CONTEXT_BACKGROUND,
					 &(ImageRequest){ .uid = UID_A, .url = urls[i] }, &s, NULL),
				 -ERR_INVALID);
	assert_int_equal(e->cache->ops->ensure(e->cache, &CONTEXT_BACKGROUND,
					       &(ImageRequest){ .uid = "../x", .url = "http://h/" },
					       &s, NULL),
			 -ERR_INVALID);
	assert_true(e->cache->ops->path(e->cache, &CONTEXT_BACKGROUND, "sha256:../../x", path,
					NULL) < 0);
}

#define BOTH(fn) \
	{ #fn " (fake)", fn, setup_fake, teardown, NULL }, \
	{ \
#fn " (real)", fn, setup_real, teardown, NULL \
	}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_fetch),
		BOTH(test_shared),
		BOTH(test_equal_content),
		BOTH(test_checksum),
		BOTH(test_absent_then_there),
		BOTH(test_source_gone),
		BOTH(test_revalidate),
		BOTH(test_restart),
		BOTH(test_evict),
		BOTH(test_forget),
		BOTH(test_list),
		BOTH(test_refused),
	};

	if (argc > 1 && streq(argv[1], "--role=fetch"))
		return fetch_role_main(argc, argv);
	if (argc > 1 && streq(argv[1], "--role=convert"))
		return convert_role_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
