/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake DiskStore and the wrapper that fails calls. See disk.h. One lock, never held across a
 * call of the image cache except to pin, which calls nothing back.
 */
#include "driver/fake/disk.h"

#include <pthread.h>
#include <stdio.h>

#include "base/hashmap.h"
#include "base/memory.h"
#include "driver/fake/image.h"

#define IMAGE_VIRTUAL_SIZE ((uint64_t)1 << 30)

typedef struct FakeDisks {
	DiskStore store;
	pthread_mutex_t lock;
	ImageCache *images;
	char *root;
	Hashmap *instances; /* uid -> Hashmap (name -> DiskInfo) */
	bool full;
	unsigned changes;
} FakeDisks;

static FakeDisks *fake_of(DiskStore *d)
{
	return CONTAINER_OF(d, FakeDisks, store);
}

static void instance_release(void *p)
{
	hashmap_free(p);
}

static bool name_is_valid(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= 63 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n &&
	       s[0] != '-' && s[n - 1] != '-';
}

static int check_uid(Context *ctx, const char *uid, Error *err)
{
	int rc = context_check(ctx, err);

	if (rc < 0)
		return rc;
	if (!uuid_is_valid(uid))
		return error_set(err, ERR_INVALID, "instance uid \"%s\" is no UUID", uid);
	return 0;
}

static int directory_locked(FakeDisks *d, const char *uid, Hashmap **ret, Error *err)
{
	Hashmap *disks = hashmap_get(d->instances, uid);

	if (!disks) {
		if (d->full)
			return error_set(err, ERR_EXHAUSTED, "no space left in %s", d->root);
		disks = hashmap_new(free);
		hashmap_put(d->instances, uid, disks);
		d->changes++;
	}
	*ret = disks;
	return 0;
}

static int create_locked(FakeDisks *d, Hashmap *disks, const DiskRequest *r, const char *base,
			 DiskInfo **ret, Error *err)
{
	DiskInfo *disk;

	if (!r->digest && !r->size)
		return error_set(err, ERR_INVALID, "disk %s: neither image nor size", r->name);
	if (r->digest && r->size && r->size < IMAGE_VIRTUAL_SIZE)
		return error_set(err, ERR_INVALID,
				 "disk %s: smaller than its image: raise its size, or leave it out",
				 r->name);
	if (d->full)
		return error_set(err, ERR_EXHAUSTED, "no space left in %s", d->root);
	disk = xnew0(DiskInfo, 1);
	snprintf(disk->path, sizeof(disk->path), "%s/%s/%s.qcow2", d->root, r->instance_uid,
		 r->name);
	memcpy(disk->format, "qcow2", 6);
	disk->virtual_size = r->size ? r->size : IMAGE_VIRTUAL_SIZE;
	disk->allocated = 196 * 1024;
	if (r->digest) {
		snprintf(disk->base_path, sizeof(disk->base_path), "%s", base);
		snprintf(disk->base_digest, sizeof(disk->base_digest), "%s", r->digest);
		fake_image_pin(d->images, r->digest, 1);
	}
	hashmap_put(disks, r->name, disk);
	d->changes++;
	*ret = disk;
	return 0;
}

static int ensure_locked(FakeDisks *d, const DiskRequest *r, const char *base, bool offline,
			 DiskInfo *ret, Error *err)
{
	Hashmap *disks;
	DiskInfo *disk;
	bool created = false;
	int rc = directory_locked(d, r->instance_uid, &disks, err);

	if (rc < 0)
		return rc;
	disk = hashmap_get(disks, r->name);
	if (!disk) {
		rc = create_locked(d, disks, r, base, &disk, err);
		if (rc < 0)
			return rc;
		created = true;
	} else if (offline && r->size > disk->virtual_size) {
		disk->virtual_size = r->size;
		d->changes++;
	}
	*ret = *disk;
	ret->created = created;
	return 0;
}

static int fake_ensure(DiskStore *self, Context *ctx, const DiskRequest *r, bool offline,
		       DiskInfo *ret, Error *err)
{
	FakeDisks *d = fake_of(self);
	char base[4096] = "";
	DiskInfo there;
	int rc = check_uid(ctx, r->instance_uid, err);

	if (rc < 0)
		return rc;
	if (!name_is_valid(r->name))
		return error_set(err, ERR_INVALID, "disk name \"%s\" is no DNS label", r->name);
	/* An existing disk needs no look at the cache: its base may be known under no name now. */
	rc = self->ops->inspect(self, ctx, r->instance_uid, r->name, &there, NULL);
	if (rc < 0 && r->digest) {
		rc = d->images->ops->path(d->images, ctx, r->digest, base, err);
		if (rc < 0)
			return error_wrap_rc(err, rc, "disk %s", r->name);
	}
	pthread_mutex_lock(&d->lock);
	rc = ensure_locked(d, r, base, offline, ret, err);
	pthread_mutex_unlock(&d->lock);
	return rc;
}

static int fake_inspect(DiskStore *self, Context *ctx, const char *uid, const char *name,
			DiskInfo *ret, Error *err)
{
	FakeDisks *d = fake_of(self);
	Hashmap *disks;
	DiskInfo *disk;
	int rc = check_uid(ctx, uid, err);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&d->lock);
	disks = hashmap_get(d->instances, uid);
	disk = disks ? hashmap_get(disks, name) : NULL;
	if (disk) {
		*ret = *disk;
		ret->room = d->full ? 0 : UINT64_MAX;
	}
	pthread_mutex_unlock(&d->lock);
	return disk ? 0 : error_set(err, ERR_NOT_FOUND, "instance %s has no disk %s", uid, name);
}

static int fake_remove(DiskStore *self, Context *ctx, const char *uid, Error *err)
{
	FakeDisks *d = fake_of(self);
	Hashmap *disks;
	int rc = check_uid(ctx, uid, err);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&d->lock);
	disks = hashmap_take(d->instances, uid);
	if (disks) {
		hashmap_foreach (it, disks) {
			const DiskInfo *disk = it.value;

			if (*disk->base_digest)
				fake_image_pin(d->images, disk->base_digest, -1);
		}
		hashmap_free(disks);
		d->changes++;
	}
	pthread_mutex_unlock(&d->lock);
	return 0;
}

static int fake_list(DiskStore *self, Context *ctx, char (**ret)[UUID_MAX], size_t *ret_n,
		     Error *err)
{
	FakeDisks *d = fake_of(self);
	int rc = context_check(ctx, err);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&d->lock);
	*ret_n = hashmap_uuids(d->instances, ret);
	pthread_mutex_unlock(&d->lock);
	return 0;
}

static int fake_directory(DiskStore *self, Context *ctx, const char *uid,
			  char ret_path[static 4096], Error *err)
{
	FakeDisks *d = fake_of(self);
	Hashmap *disks;
	int rc = check_uid(ctx, uid, err);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&d->lock);
	rc = directory_locked(d, uid, &disks, err);
	pthread_mutex_unlock(&d->lock);
	if (rc == 0)
		snprintf(ret_path, 4096, "%s/%s", d->root, uid);
	return rc;
}

static DiskStore *fake_free(DiskStore *self)
{
	FakeDisks *d = fake_of(self);

	hashmap_free(d->instances);
	pthread_mutex_destroy(&d->lock);
	free(d->root);
	free(d);
	return NULL;
}

static const DiskStoreOps fake_ops = {
	.name = "fake",
	.ensure = fake_ensure,
	.inspect = fake_inspect,
	.remove = fake_remove,
	.list = fake_list,
	.directory = fake_directory,
	.free = fake_free,
};

DiskStore *fake_disk_store_new(ImageCache *images, const char *root)
{
	FakeDisks *d = xnew0(FakeDisks, 1);

	d->store.ops = &fake_ops;
	d->images = images;
	d->root = xstrdup(root ? root : "/var/lib/sfd/instances");
	pthread_mutex_init(&d->lock, NULL);
	d->instances = hashmap_new(instance_release);
	return &d->store;
}

size_t fake_disk_instances(DiskStore *self)
{
	FakeDisks *d = fake_of(self);
	size_t n;

	pthread_mutex_lock(&d->lock);
	n = hashmap_size(d->instances);
	pthread_mutex_unlock(&d->lock);
	return n;
}

size_t fake_disk_count(DiskStore *self)
{
	FakeDisks *d = fake_of(self);
	size_t n = 0;

	pthread_mutex_lock(&d->lock);
	hashmap_foreach (it, d->instances)
		n += hashmap_size(it.value);
	pthread_mutex_unlock(&d->lock);
	return n;
}

unsigned fake_disk_changes(DiskStore *self)
{
	FakeDisks *d = fake_of(self);
	unsigned n;

	pthread_mutex_lock(&d->lock);
	n = d->changes;
	pthread_mutex_unlock(&d->lock);
	return n;
}

void fake_disk_set_full(DiskStore *self, bool full)
{
	FakeDisks *d = fake_of(self);

	pthread_mutex_lock(&d->lock);
	d->full = full;
	pthread_mutex_unlock(&d->lock);
}

/* ---- the wrapper that fails calls ---- */

typedef struct FaultyDisks {
	DiskStore store;
	DiskStore *inner;
	Fault *fault;
} FaultyDisks;

static FaultyDisks *faulty_of(DiskStore *d)
{
	return CONTAINER_OF(d, FaultyDisks, store);
}

static int faulty_ensure(DiskStore *self, Context *ctx, const DiskRequest *r, bool offline,
			 DiskInfo *ret, Error *err)
{
	FaultyDisks *f = faulty_of(self);
	DiskInfo info;
	int rc = FAULT_CALL(f->fault, "disk ensure",
			    f->inner->ops->ensure(f->inner, ctx, r, offline, &info, err));

	if (rc >= 0)
		*ret = info;
	return rc;
}

/* Reads own what they return, so a lost answer is the same as a call that never was. */
static int faulty_inspect(DiskStore *self, Context *ctx, const char *uid, const char *name,
			  DiskInfo *ret, Error *err)
{
	FaultyDisks *f = faulty_of(self);

	if (fault_next(f->fault))
		return fault_error(f->fault, "disk inspect", err);
	return f->inner->ops->inspect(f->inner, ctx, uid, name, ret, err);
}

static int faulty_remove(DiskStore *self, Context *ctx, const char *uid, Error *err)
{
	FaultyDisks *f = faulty_of(self);

	return FAULT_CALL(f->fault, "disk remove", f->inner->ops->remove(f->inner, ctx, uid, err));
}

static int faulty_list(DiskStore *self, Context *ctx, char (**ret)[UUID_MAX], size_t *ret_n,
		       Error *err)
{
	FaultyDisks *f = faulty_of(self);
	int rc;

	fault_visit(f->fault, "disk list");
	if (fault_next(f->fault) || f->fault->lists == LISTS_FAIL)
		return fault_error(f->fault, "disk list", err);
	rc = f->inner->ops->list(f->inner, ctx, ret, ret_n, err);
	if (rc >= 0)
		*ret_n = fault_listed(f->fault, *ret_n);
	return rc;
}

static int faulty_directory(DiskStore *self, Context *ctx, const char *uid,
			    char ret_path[static 4096], Error *err)
{
	FaultyDisks *f = faulty_of(self);

	return FAULT_CALL(f->fault, "disk directory",
			  f->inner->ops->directory(f->inner, ctx, uid, ret_path, err));
}

static DiskStore *faulty_free(DiskStore *self)
{
	FaultyDisks *f = faulty_of(self);

	f->inner->ops->free(f->inner);
	free(f);
	return NULL;
}

static const DiskStoreOps faulty_ops = {
	.name = "faulty",
	.ensure = faulty_ensure,
	.inspect = faulty_inspect,
	.remove = faulty_remove,
	.list = faulty_list,
	.directory = faulty_directory,
	.free = faulty_free,
};

DiskStore *faulty_disk_store_new(DiskStore *inner, Fault *fault)
{
	FaultyDisks *f = xnew0(FaultyDisks, 1);

	f->store.ops = &faulty_ops;
	f->inner = inner;
	f->fault = fault;
	return &f->store;
}
