/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the contract tests do not ask of the fake image cache and disk store: manual progress, and
 * the wrappers that fail the n-th call before or after its effect.
 */
#include <setjmp.h>

#include "base/memory.h"
#include "driver/fake/disk.h"
#include "driver/fake/image.h"

#include <cmocka.h>

#define UID_A "11111111-1111-4111-8111-111111111111"
#define UID_B "22222222-2222-4222-8222-222222222222"
#define GIB   ((uint64_t)1 << 30)

static const ImageRequest request = { .uid = UID_A, .url = "http://h/x" };

static ImageState ensure(ImageCache *c)
{
	ImageState s = { 0 };

	assert_int_equal(c->ops->ensure(c, &CONTEXT_BACKGROUND, &request, &s, NULL), 0);
	return s;
}

static void test_progress(void **state)
{
	ImageCache *c = fake_image_cache_new(clock_system());
	char digest[IMAGE_DIGEST_MAX];
	ImageState s;

	(void)state;
	fake_image_set_manual(c, true);
	fake_image_source_set(c, request.url, &(FakeSource){ .content = "x", .size = 100 });
	assert_int_equal(ensure(c).phase, IMAGE_FETCHING);
	fake_image_advance(c, 60);
	s = ensure(c);
	assert_int_equal(s.bytes_fetched, 60);
	assert_int_equal(s.bytes_total, 100);
	fake_image_advance(c, 60);
	assert_int_equal(ensure(c).bytes_fetched, 100);
	fake_image_advance(c, 60);
	s = ensure(c);
	assert_int_equal(s.phase, IMAGE_READY);
	assert_string_equal(s.digest, fake_image_digest("x", digest));
	c->ops->free(c);
}

static void test_faulty_cache(void **state)
{
	Fault fault = { .fail_at = 1, .mode = FAULT_BEFORE };
	ImageCache *inner = fake_image_cache_new(clock_system());
	ImageCache *c = faulty_image_cache_new(inner, &fault);
	ImageState s;

	(void)state;
	fake_image_source_set(inner, request.url, &(FakeSource){ .content = "x" });
	assert_int_equal(c->ops->ensure(c, &CONTEXT_BACKGROUND, &request, &s, NULL),
			 -ERR_UNAVAILABLE);
	assert_int_equal(fake_image_fetches(inner), 0);
	atomic_store(&fault.calls, 0);
	fault.mode = FAULT_AFTER;
	assert_int_equal(c->ops->ensure(c, &CONTEXT_BACKGROUND, &request, &s, NULL),
			 -ERR_UNAVAILABLE);
	assert_int_equal(fake_image_fetches(inner), 1);
	assert_int_equal(ensure(c).phase, IMAGE_READY);
	assert_int_equal(atomic_load(&fault.calls), 2);
	c->ops->free(c);
}

static void test_faulty_disks(void **state)
{
	Fault fault = { .fail_at = 1, .mode = FAULT_AFTER, .code = ERR_TIMEOUT };
	ImageCache *images = fake_image_cache_new(clock_system());
	DiskStore *inner = fake_disk_store_new(images, NULL);
	DiskStore *d = faulty_disk_store_new(inner, &fault);
	DiskRequest r = { .instance_uid = UID_B, .name = "root", .size = GIB };
	DiskInfo info;

	(void)state;
	assert_int_equal(d->ops->ensure(d, &CONTEXT_BACKGROUND, &r, false, &info, NULL),
			 -ERR_TIMEOUT);
	assert_int_equal(fake_disk_count(inner), 1);
	assert_int_equal(d->ops->ensure(d, &CONTEXT_BACKGROUND, &r, false, &info, NULL), 0);
	assert_false(info.created);
	fake_disk_set_full(inner, true);
	r.name = "more";
	assert_int_equal(d->ops->ensure(d, &CONTEXT_BACKGROUND, &r, false, &info, NULL),
			 -ERR_EXHAUSTED);
	assert_int_equal(fake_disk_changes(inner), 2); /* the directory and one disk */
	d->ops->free(d);
	images->ops->free(images);
}

/* A base with a disk on it is not evicted, whatever the limit. */
static void test_pins(void **state)
{
	ImageCache *images = fake_image_cache_new(clock_system());
	DiskStore *d = fake_disk_store_new(images, NULL);
	uint64_t freed = 0;
	ImageState s;
	DiskInfo info;

	(void)state;
	fake_image_source_set(images, request.url, &(FakeSource){ .content = "x" });
	ensure(images);
	s = ensure(images);
	fake_image_set_limit(images, 1);
	assert_int_equal(
		d->ops->ensure(
			d, &CONTEXT_BACKGROUND,
			&(DiskRequest){ .instance_uid = UID_B, .name = "root", .digest = s.digest },
			false, &info, NULL),
		0);
	assert_int_equal(images->ops->evict(images, &CONTEXT_BACKGROUND, NULL, &freed, NULL), 0);
	assert_int_equal(freed, 0);
	assert_int_equal(d->ops->remove(d, &CONTEXT_BACKGROUND, UID_B, NULL), 0);
	assert_int_equal(images->ops->evict(images, &CONTEXT_BACKGROUND, NULL, &freed, NULL), 0);
	assert_true(freed > 0);
	assert_int_equal(fake_image_cached(images), 0);
	d->ops->free(d);
	images->ops->free(images);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_progress),
		cmocka_unit_test(test_faulty_cache),
		cmocka_unit_test(test_faulty_disks),
		cmocka_unit_test(test_pins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
