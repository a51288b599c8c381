/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake SeedWriter. See seed.h.
 */
#include "driver/fake/seed.h"

#include <pthread.h>

#include "base/hashmap.h"
#include "base/memory.h"

typedef struct FakeSeed {
	SeedWriter writer;
	pthread_mutex_t lock;
	Hashmap *seeds; /* path -> SeedConfig with strings of its own */
	ErrorCode failure;
	unsigned calls, changes;
} FakeSeed;

static FakeSeed *fake_of(SeedWriter *s)
{
	return CONTAINER_OF(s, FakeSeed, writer);
}

static void seed_release(void *p)
{
	SeedConfig *c = p;
	SeedNic *nics = (SeedNic *)c->nics;

	for (size_t i = 0; i < c->n_nics; i++) {
		free((char *)nics[i].name);
		free((char *)nics[i].search);
	}
	free(nics);
	strv_free((char **)c->ssh_keys);
	free((char *)c->path);
	free((char *)c->instance_id);
	free((char *)c->hostname);
	free((char *)c->domain);
	free((char *)c->user_data);
	free(c);
}

static SeedConfig *seed_copy(const SeedConfig *c)
{
	SeedConfig *copy = xmemdup(c, sizeof(*c));
	SeedNic *nics = c->n_nics ? xmemdup(c->nics, c->n_nics * sizeof(*c->nics)) : NULL;

	for (size_t i = 0; i < c->n_nics; i++) {
		nics[i].name = xstrdup(c->nics[i].name);
		nics[i].search = xstrdup(c->nics[i].search);
	}
	copy->nics = nics;
	copy->ssh_keys = c->ssh_keys ? strv_copy(c->ssh_keys) : NULL;
	copy->path = xstrdup(c->path);
	copy->instance_id = xstrdup(c->instance_id);
	copy->hostname = xstrdup(c->hostname);
	copy->domain = xstrdup(c->domain);
	copy->user_data = c->user_data ? xmemdup(c->user_data, c->user_data_len) : NULL;
	return copy;
}

static bool nic_equal(const SeedNic *a, const SeedNic *b)
{
	bool same = streq(a->name, b->name) && mac_equal(&a->mac, &b->mac) &&
		    a->dhcp4 == b->dhcp4 && a->dhcp6 == b->dhcp6 &&
		    a->n_addresses == b->n_addresses && ip_equal(&a->gateway4, &b->gateway4) &&
		    ip_equal(&a->gateway6, &b->gateway6) &&
		    a->n_name_servers == b->n_name_servers && streq_ptr(a->search, b->search) &&
		    a->mtu == b->mtu;

	for (size_t i = 0; same && i < a->n_addresses; i++)
		same = ip_equal(&a->addresses[i], &b->addresses[i]) &&
		       a->prefix_lengths[i] == b->prefix_lengths[i];
	for (size_t i = 0; same && i < a->n_name_servers; i++)
		same = ip_equal(&a->name_servers[i], &b->name_servers[i]);
	return same;
}

static bool keys_equal(char *const *a, char *const *b)
{
	size_t n = a ? strv_len(a) : 0;

	if (n != (b ? strv_len(b) : 0))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!streq(a[i], b[i]))
			return false;
	return true;
}

static bool seed_equal(const SeedConfig *a, const SeedConfig *b)
{
	bool same = streq(a->instance_id, b->instance_id) && streq(a->hostname, b->hostname) &&
		    streq_ptr(a->domain, b->domain) && !a->user_data == !b->user_data &&
		    keys_equal(a->ssh_keys, b->ssh_keys) && a->n_nics == b->n_nics;

	if (same && a->user_data)
		same = a->user_data_len == b->user_data_len &&
		       memcmp(a->user_data, b->user_data, a->user_data_len) == 0;
	for (size_t i = 0; same && i < a->n_nics; i++)
		same = nic_equal(&a->nics[i], &b->nics[i]);
	return same;
}

static int ensure_locked(FakeSeed *f, Context *ctx, const SeedConfig *config, bool *ret_changed,
			 Error *err)
{
	const SeedConfig *old;
	bool changed;
	int rc = context_check(ctx, err);

	if (rc == 0 && f->failure)
		rc = error_set(err, f->failure, "seed: fake failure");
	if (rc < 0 || (rc = seed_config_validate(config, err)) < 0)
		return rc;
	old = hashmap_get(f->seeds, config->path);
	changed = !old || !seed_equal(old, config);
	if (changed) {
		hashmap_put(f->seeds, config->path, seed_copy(config));
		f->changes++;
	}
	if (ret_changed)
		*ret_changed = changed;
	return 0;
}

static int fake_ensure(SeedWriter *self, Context *ctx, const SeedConfig *config, bool *ret_changed,
		       Error *err)
{
	FakeSeed *f = fake_of(self);
	int rc;

	pthread_mutex_lock(&f->lock);
	f->calls++;
	rc = ensure_locked(f, ctx, config, ret_changed, err);
	pthread_mutex_unlock(&f->lock);
	return rc;
}

static SeedWriter *fake_free(SeedWriter *self)
{
	FakeSeed *f;

	if (!self)
		return NULL;
	f = fake_of(self);
	hashmap_free(f->seeds);
	pthread_mutex_destroy(&f->lock);
	free(f);
	return NULL;
}

static const SeedWriterOps fake_ops = {
	.name = "fake",
	.ensure = fake_ensure,
	.free = fake_free,
};

SeedWriter *fake_seed_new(void)
{
	FakeSeed *f = xnew0(FakeSeed, 1);

	f->writer.ops = &fake_ops;
	pthread_mutex_init(&f->lock, NULL);
	f->seeds = hashmap_new(seed_release);
	return &f->writer;
}

const SeedConfig *fake_seed_get(SeedWriter *s, const char *path)
{
	FakeSeed *f = fake_of(s);
	const SeedConfig *c;

	pthread_mutex_lock(&f->lock);
	c = hashmap_get(f->seeds, path);
	pthread_mutex_unlock(&f->lock);
	return c;
}

static unsigned counter_read(FakeSeed *f, const unsigned *counter)
{
	unsigned v;

	pthread_mutex_lock(&f->lock);
	v = *counter;
	pthread_mutex_unlock(&f->lock);
	return v;
}

unsigned fake_seed_calls(SeedWriter *s)
{
	return counter_read(fake_of(s), &fake_of(s)->calls);
}

unsigned fake_seed_changes(SeedWriter *s)
{
	return counter_read(fake_of(s), &fake_of(s)->changes);
}

void fake_seed_forget(SeedWriter *s, const char *path)
{
	FakeSeed *f = fake_of(s);

	pthread_mutex_lock(&f->lock);
	hashmap_remove(f->seeds, path);
	pthread_mutex_unlock(&f->lock);
}

void fake_seed_set_failure(SeedWriter *s, ErrorCode code)
{
	FakeSeed *f = fake_of(s);

	pthread_mutex_lock(&f->lock);
	f->failure = code;
	pthread_mutex_unlock(&f->lock);
}

/* ---- the wrapper that fails calls ---- */

typedef struct FaultySeed {
	SeedWriter writer;
	SeedWriter *inner;
	Fault *fault;
} FaultySeed;

static int faulty_ensure(SeedWriter *self, Context *ctx, const SeedConfig *config,
			 bool *ret_changed, Error *err)
{
	FaultySeed *f = CONTAINER_OF(self, FaultySeed, writer);
	bool changed = false;
	int rc = FAULT_CALL(f->fault, "seed ensure",
			    f->inner->ops->ensure(f->inner, ctx, config, &changed, err));

	if (rc >= 0 && ret_changed)
		*ret_changed = changed;
	return rc;
}

static SeedWriter *faulty_free(SeedWriter *self)
{
	FaultySeed *f;

	if (!self)
		return NULL;
	f = CONTAINER_OF(self, FaultySeed, writer);
	f->inner->ops->free(f->inner);
	free(f);
	return NULL;
}

static const SeedWriterOps faulty_ops = {
	.name = "faulty",
	.ensure = faulty_ensure,
	.free = faulty_free,
};

SeedWriter *faulty_seed_new(SeedWriter *inner, Fault *fault)
{
	FaultySeed *f = xnew0(FaultySeed, 1);

	f->writer.ops = &faulty_ops;
	f->inner = inner;
	f->fault = fault;
	return &f->writer;
}
