/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that outlives a process. See survive.h.
 */
#include "tests/crash/survive.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define REGION_SIZE ((size_t)64 << 20)
#define ALIGN       16
#define PUBLIC      __attribute__((visibility("default")))

/* glibc's own, under the names it keeps for those who replace the public ones. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *p);

typedef struct Region {
	pthread_mutex_t lock;
	size_t used; /* from the beginning of this struct */
} Region;

static Region *region;
static __thread bool inside, holding;
static atomic_ulong counted, fail_at;
static atomic_bool fail_for_ever, told;

/* ---- the region ---- */

static void lock_init(void)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	/* Who was killed had it, and left nothing half done. */
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&region->lock, &attributes);
	pthread_mutexattr_destroy(&attributes);
}

void survive_init(void)
{
	region = mmap(NULL, REGION_SIZE, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert(region != MAP_FAILED);
	region->used = (sizeof(*region) + ALIGN - 1) / ALIGN * ALIGN;
	lock_init();
}

void survive_begin(void)
{
	holding = false;
	lock_init();
}

static void region_lock(void)
{
	if (pthread_mutex_lock(&region->lock) == EOWNERDEAD)
		pthread_mutex_consistent(&region->lock);
	holding = true;
}

void survive_enter(void)
{
	region_lock();
	inside = true;
}

void survive_leave(void)
{
	inside = holding = false;
	pthread_mutex_unlock(&region->lock);
}

bool survive_suspend(void)
{
	bool was = inside;

	inside = false;
	return was;
}

void survive_resume(bool was_inside)
{
	inside = was_inside;
}

void survive_hold(void)
{
	region_lock();
}

void survive_hold_once(void)
{
	if (!holding)
		region_lock();
}

void *survive_save(size_t *ret_n)
{
	void *copy = malloc(region->used);

	assert(copy);
	memcpy(copy, region, region->used);
	*ret_n = region->used;
	return copy;
}

void survive_restore(const void *copy, size_t n)
{
	if (region->used > n)
		memset((char *)region + n, 0, region->used - n);
	memcpy(region, copy, n);
	lock_init();
}

static bool is_ours(const void *p)
{
	return region && (const char *)p > (const char *)region &&
	       (const char *)p < (const char *)region + REGION_SIZE;
}

/* The size stands before what is handed out; fresh memory is zero. The lock is held. */
static void *region_take(size_t size)
{
	size_t *head = (size_t *)((char *)region + region->used);

	region->used += ALIGN + (size + ALIGN - 1) / ALIGN * ALIGN;
	assert(region->used <= REGION_SIZE);
	*head = size;
	return (char *)head + ALIGN;
}

static size_t region_size(const void *p)
{
	return *(const size_t *)((const char *)p - ALIGN);
}

/* ---- malloc ---- */

void allocations_fail(unsigned long n, bool for_ever)
{
	atomic_store(&fail_at, 0);
	atomic_store(&counted, 0);
	atomic_store(&fail_for_ever, for_ever);
	atomic_store(&told, false);
	atomic_store(&fail_at, n);
}

unsigned long allocations_counted(void)
{
	return atomic_load(&counted);
}

static bool fails(void)
{
	unsigned long n = atomic_fetch_add(&counted, 1) + 1, at = atomic_load(&fail_at);

	if (!at || n < at || (n > at && !atomic_load(&fail_for_ever)))
		return false;
	/*
	 * Nothing else could say so without memory. Each that fails before it has been said says
	 * so: the next one may end the process at once. Nobody may be listening, and that is all
	 * right.
	 */
	if (!atomic_load(&told)) {
		(void)!write(STDERR_FILENO, ALLOCATION_FAILED "\n", sizeof(ALLOCATION_FAILED));
		atomic_store(&told, true);
	}
	errno = ENOMEM;
	return true;
}

PUBLIC void *malloc(size_t size)
{
	if (inside)
		return region_take(size);
	return fails() ? NULL : __libc_malloc(size);
}

PUBLIC void *calloc(size_t n, size_t size)
{
	if (inside)
		return region_take(n * size);
	return fails() ? NULL : __libc_calloc(n, size);
}

PUBLIC void *realloc(void *p, size_t size)
{
	void *moved;

	if (!inside && !is_ours(p))
		return fails() ? NULL : __libc_realloc(p, size);
	moved = malloc(size);
	if (p && moved)
		memcpy(moved, p, is_ours(p) && region_size(p) < size ? region_size(p) : size);
	return moved;
}

PUBLIC void free(void *p)
{
	if (p && !is_ours(p))
		__libc_free(p);
}

PUBLIC int posix_memalign(void **ret, size_t alignment, size_t size)
{
	void *p = fails() ? NULL : __libc_memalign(alignment, size);

	if (!p)
		return ENOMEM;
	*ret = p;
	return 0;
}

PUBLIC void *aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : __libc_memalign(alignment, size);
}
