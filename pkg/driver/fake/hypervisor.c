/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake Hypervisor's state machine. One lock guards everything; what is to be emitted is
 * remembered under it and delivered after it. See hypervisor.h.
 */
#include <stdio.h>

#include "base/memory.h"
#include "driver/fake/hypervisor_internal.h"

static void domain_release(void *p)
{
	FakeDomain *d = p;

	domain_config_free(d->persistent);
	domain_config_free(d->live);
	free(d);
}

static void script_release(void *p)
{
	FakeScript *s = p;

	free(s->start_failure);
	free(s);
}

FakeScript *fake_domain_script(FakeHypervisor *f, const char *name)
{
	FakeScript *s = hashmap_get(f->scripts, name);

	if (!s) {
		s = xnew0(FakeScript, 1);
		hashmap_put(f->scripts, name, s);
	}
	return s;
}

/* Takes the lock; every port function starts with it and ends with fake_leave(). */
static int fake_enter(FakeHypervisor *f, Context *ctx, Error *err)
{
	int rc;

	pthread_mutex_lock(&f->lock);
	f->calls++;
	rc = context_check(ctx, err);
	if (rc == 0 && f->failure)
		rc = error_set(err, f->failure, "libvirt: fake failure");
	return rc;
}

static int fake_leave(FakeHypervisor *f, int rc)
{
	pthread_mutex_unlock(&f->lock);
	return rc;
}

void fake_domain_emit(FakeHypervisor *f, const char *domain)
{
	DomainEventFn fn;
	void *arg;

	pthread_mutex_lock(&f->lock);
	fn = f->mute ? NULL : f->event;
	arg = f->event_arg;
	pthread_mutex_unlock(&f->lock);
	if (fn)
		fn(arg, domain);
}

/* Ends what runs; a transient domain is gone with it (then *d is no longer valid). */
void fake_domain_ends(FakeHypervisor *f, const char *name, FakeDomain *d, DomainReason reason)
{
	d->state = DOMAIN_SHUTOFF;
	d->reason = reason;
	d->pid = 0;
	d->live = domain_config_free(d->live);
	if (!d->persistent && !d->persistent_foreign)
		hashmap_remove(f->domains, name);
}

static void domain_starts(FakeHypervisor *f, const char *name, FakeDomain *d)
{
	d->state = DOMAIN_RUNNING;
	d->reason = DOMAIN_REASON_BOOTED;
	d->pid = f->next_pid++;
	if (d->persistent)
		d->live = domain_config_copy(d->persistent);
	fake_domain_script(f, name)->starts++;
}

/* ---- the port ---- */

static void info_fill(FakeHypervisor *f, const FakeDomain *d, DomainInfo *ret)
{
	const DomainConfig *c = d->persistent ? d->persistent : d->live;

	*ret = (DomainInfo){ .state = d->state,
			     .reason = d->reason,
			     .foreign = d->foreign,
			     .persistent = d->persistent || d->persistent_foreign,
			     .pid = d->pid };
	snprintf(ret->virt_type, sizeof(ret->virt_type), "%s", f->host.virt_type);
	if (d->foreign) {
		snprintf(ret->store_id, sizeof(ret->store_id), "%s", d->foreign_store);
		return;
	}
	snprintf(ret->uuid, sizeof(ret->uuid), "%s", c->uuid);
	snprintf(ret->store_id, sizeof(ret->store_id), "%s", c->store_id);
	snprintf(ret->uid, sizeof(ret->uid), "%s", c->uid);
	snprintf(ret->request_id, sizeof(ret->request_id), "%s", d->request_id);
	if (d->persistent) {
		ret->generation = c->generation;
		snprintf(ret->config_hash, sizeof(ret->config_hash), "%s",
			 c->config_hash ? c->config_hash : "");
	}
	if (!d->live)
		return;
	ret->live_cpus = d->live->cpus;
	ret->live_memory = d->live->memory;
	ret->started_generation = d->live->generation;
	snprintf(ret->live_hash, sizeof(ret->live_hash), "%s",
		 d->live->config_hash ? d->live->config_hash : "");
	ret->n_live_taps = d->live->n_nics;
	for (size_t i = 0; i < d->live->n_nics; i++)
		memcpy(ret->live_taps[i], d->live->nics[i].tap, sizeof(ret->live_taps[i]));
}

static int fake_inspect(Hypervisor *self, Context *ctx, const char *domain, DomainInfo *ret,
			Error *err)
{
	FakeHypervisor *f = fake_of(self);
	FakeDomain *d;
	int rc = fake_enter(f, ctx, err);

	if (rc < 0)
		return fake_leave(f, rc);
	d = hashmap_get(f->domains, domain);
	if (d)
		info_fill(f, d, ret);
	else
		*ret = (DomainInfo){ .state = DOMAIN_ABSENT };
	return fake_leave(f, 0);
}

static int fake_list(Hypervisor *self, Context *ctx, DomainEntry **ret, size_t *ret_n, Error *err)
{
	FakeHypervisor *f = fake_of(self);
	DomainEntry *entries;
	size_t n = 0;
	int rc = fake_enter(f, ctx, err);

	if (rc < 0)
		return fake_leave(f, rc);
	entries = xnew0(DomainEntry, hashmap_size(f->domains) + 1);
	hashmap_foreach (it, f->domains) {
		DomainEntry *e = &entries[n++];
		DomainInfo info;

		info_fill(f, it.value, &info);
		e->state = info.state;
		snprintf(e->name, sizeof(e->name), "%s", it.key);
		memcpy(e->store_id, info.store_id, sizeof(e->store_id));
		memcpy(e->uid, info.uid, sizeof(e->uid));
	}
	*ret = entries;
	*ret_n = n;
	return fake_leave(f, 0);
}

/* The domain, if it is there and ours; NULL without an error if it is absent. */
static int domain_ours(FakeHypervisor *f, const char *name, FakeDomain **ret, Error *err)
{
	FakeDomain *d = hashmap_get(f->domains, name);

	if (d && d->foreign)
		return error_set(err, ERR_CONFLICT, "domain %s does not carry our mark", name);
	*ret = d;
	return 0;
}

/* A QEMU that does not answer: the first call waits for it, the others are refused. */
static int domain_answers(FakeHypervisor *f, const char *name, Error *err)
{
	FakeScript *s = hashmap_get(f->scripts, name);

	if (!s || !s->hung)
		return 0;
	if (s->hang_seen)
		return error_set(err, ERR_UNAVAILABLE, "domain %s: an earlier call still hangs",
				 name);
	s->hang_seen = true;
	return error_set(err, ERR_TIMEOUT, "domain %s: deadline exceeded", name);
}

/* A domain that is slow to end: what is asked goes on by itself, if it was begun at all. */
static int domain_is_late(FakeHypervisor *f, const char *name, FakeLate what, Error *err)
{
	FakeScript *s = hashmap_get(f->scripts, name);

	if (!s || !s->slow_end)
		return 0;
	if (!s->late && f->late == FAKE_LATE_MAX)
		return error_set(err, ERR_EXHAUSTED, "%u others are under way", f->late);
	f->late += !s->late;
	s->late = what;
	return error_set(err, ERR_UNAVAILABLE, "a call is under way");
}

static int define_locked(FakeHypervisor *f, const DomainConfig *c, Error *err)
{
	FakeDomain *d = NULL;
	int rc = domain_config_validate(c, err);

	if (rc < 0 || (rc = domain_ours(f, c->name, &d, err)) < 0)
		return rc;
	hashmap_foreach (it, f->domains) {
		const FakeDomain *o = it.value;
		const DomainConfig *oc = o->persistent ? o->persistent : o->live;

		if (o != d && oc && streq(oc->uuid, c->uuid))
			return error_set(err, ERR_EXISTS, "domain %s has that uuid already",
					 it.key);
	}
	if (d) {
		const DomainConfig *old = d->persistent ? d->persistent : d->live;

		if (!streq(old->uid, c->uid) || !streq(old->store_id, c->store_id) ||
		    !streq(old->uuid, c->uuid))
			return error_set(err, ERR_CONFLICT, "domain %s belongs to another object",
					 c->name);
	} else {
		d = xnew0(FakeDomain, 1);
		d->state = DOMAIN_SHUTOFF;
		hashmap_put(f->domains, c->name, d);
	}
	domain_config_free(d->persistent);
	d->persistent = domain_config_copy(c);
	if (!str_is_empty(c->request_id))
		snprintf(d->request_id, sizeof(d->request_id), "%s", c->request_id);
	f->changes++;
	return 0;
}

static int fake_define(Hypervisor *self, Context *ctx, const DomainConfig *config, Error *err)
{
	FakeHypervisor *f = fake_of(self);
	int rc = fake_enter(f, ctx, err);

	if (rc == 0)
		rc = define_locked(f, config, err);
	fake_leave(f, rc);
	if (rc == 0)
		fake_domain_emit(f, config->name);
	return rc;
}

static FakeGuest guest_behaviour(FakeHypervisor *f, const char *name)
{
	FakeScript *s = hashmap_get(f->scripts, name);

	return s && s->guest_set ? s->guest : f->guest;
}

static int power_start(FakeHypervisor *f, const char *name, FakeDomain *d, Error *err)
{
	FakeScript *s = fake_domain_script(f, name);

	if (fake_domain_is_on(d))
		return 0;
	if (s->start_failure) {
		d->reason = DOMAIN_REASON_FAILED;
		return error_set(err, ERR_INTERNAL, "%s", s->start_failure);
	}
	domain_starts(f, name, d);
	return 1;
}

static void power_shutdown(FakeHypervisor *f, const char *name, FakeDomain *d)
{
	switch (guest_behaviour(f, name)) {
	case FAKE_GUEST_OBEYS:
		fake_domain_ends(f, name, d, DOMAIN_REASON_SHUTDOWN);
		break;
	case FAKE_GUEST_SLOW:
		d->state = DOMAIN_STOPPING;
		break;
	case FAKE_GUEST_IGNORES:
		break;
	}
}

/* 1 = done, 0 = there was nothing to do. */
int fake_domain_power(FakeHypervisor *f, const char *name, FakeDomain *d, DomainPower action,
		      Error *err)
{
	if (action == POWER_START)
		return power_start(f, name, d, err);
	if (!fake_domain_is_on(d)) {
		if (action == POWER_SHUTDOWN || action == POWER_DESTROY)
			return 0;
		return error_set(err, ERR_CONFLICT, "domain %s does not run", name);
	}
	switch (action) {
	case POWER_SHUTDOWN:
		/* A paused guest cannot answer. */
		if (d->state == DOMAIN_RUNNING)
			power_shutdown(f, name, d);
		return 1;
	case POWER_DESTROY:
		fake_domain_ends(f, name, d, DOMAIN_REASON_DESTROYED);
		return 1;
	case POWER_SUSPEND:
		if (d->state == DOMAIN_PAUSED)
			return 0;
		d->state = DOMAIN_PAUSED;
		d->reason = DOMAIN_REASON_USER;
		return 1;
	case POWER_RESUME:
		if (d->state != DOMAIN_PAUSED)
			return 0;
		d->state = DOMAIN_RUNNING;
		d->reason = DOMAIN_REASON_BOOTED;
		return 1;
	default:
		return 1;
	}
}

static int power_locked(FakeHypervisor *f, const char *name, DomainPower action,
			const char *request_id, Error *err)
{
	FakeDomain *d = NULL;
	int rc = domain_ours(f, name, &d, err);

	if (rc < 0)
		return rc;
	if (!d) {
		if (action == POWER_SHUTDOWN || action == POWER_DESTROY)
			return 0;
		return error_set(err, ERR_NOT_FOUND, "domain %s does not exist", name);
	}
	if (action != POWER_DESTROY && fake_domain_is_on(d) &&
	    (rc = domain_answers(f, name, err)) < 0)
		return rc;
	if (action == POWER_DESTROY && fake_domain_is_on(d) &&
	    (rc = domain_is_late(f, name, FAKE_LATE_OFF, err)) < 0)
		return rc;
	if (request_id)
		snprintf(d->request_id, sizeof(d->request_id), "%s", request_id);
	rc = fake_domain_power(f, name, d, action, err);
	if (rc > 0)
		f->changes++;
	return rc;
}

static int fake_power(Hypervisor *self, Context *ctx, const char *domain, DomainPower action,
		      const char *request_id, Error *err)
{
	FakeHypervisor *f = fake_of(self);
	int rc = fake_enter(f, ctx, err);

	if (rc == 0)
		rc = power_locked(f, domain, action, request_id, err);
	fake_leave(f, rc);
	/* A start that failed is heard of too. */
	if (rc > 0 || rc == -ERR_INTERNAL)
		fake_domain_emit(f, domain);
	return MIN(rc, 0);
}

static int update_locked(FakeHypervisor *f, const DomainConfig *c, Error *err)
{
	FakeDomain *d = NULL;
	int rc = domain_config_validate(c, err);

	if (rc < 0 || (rc = domain_ours(f, c->name, &d, err)) < 0)
		return rc;
	if (!d || !d->live || d->state == DOMAIN_STOPPING)
		return error_set(err, ERR_CONFLICT, "domain %s does not run", c->name);
	if ((rc = domain_answers(f, c->name, err)) < 0)
		return rc;
	if (c->cpus > MAX(d->live->max_cpus, d->live->cpus) || c->cpus < d->live->cpus)
		return error_set(err, ERR_UNSUPPORTED, "cpus need a restart");
	if (c->memory > MAX(d->live->max_memory, d->live->memory) || c->memory < d->live->memory)
		return error_set(err, ERR_UNSUPPORTED, "memory needs a restart");
	if (c->cpus != d->live->cpus || c->memory != d->live->memory)
		f->changes++;
	d->live->cpus = c->cpus;
	d->live->memory = c->memory;
	/* What runs is now what config says: hash and generation move along. */
	d->live->generation = c->generation;
	free((char *)d->live->config_hash);
	d->live->config_hash = xstrdup(c->config_hash);
	return 0;
}

static int fake_update_live(Hypervisor *self, Context *ctx, const DomainConfig *config, Error *err)
{
	FakeHypervisor *f = fake_of(self);
	int rc = fake_enter(f, ctx, err);

	if (rc == 0)
		rc = update_locked(f, config, err);
	return fake_leave(f, rc);
}

static int remove_locked(FakeHypervisor *f, const char *name, bool *ret_changed, Error *err)
{
	FakeDomain *d = NULL;
	int rc = domain_ours(f, name, &d, err);

	if (rc < 0)
		return rc;
	if (!d)
		return 0;
	if ((rc = domain_is_late(f, name, FAKE_LATE_REMOVE, err)) < 0)
		return rc;
	hashmap_remove(f->domains, name);
	f->changes++;
	*ret_changed = true;
	return 0;
}

static int fake_remove(Hypervisor *self, Context *ctx, const char *domain, Error *err)
{
	FakeHypervisor *f = fake_of(self);
	bool changed = false;
	int rc = fake_enter(f, ctx, err);

	if (rc == 0)
		rc = remove_locked(f, domain, &changed, err);
	fake_leave(f, rc);
	if (changed)
		fake_domain_emit(f, domain);
	return rc;
}

static int fake_info(Hypervisor *self, Context *ctx, HypervisorInfo *ret, Error *err)
{
	FakeHypervisor *f = fake_of(self);
	int rc = fake_enter(f, ctx, err);

	if (rc == 0)
		*ret = f->host;
	return fake_leave(f, rc);
}

static void fake_subscribe(Hypervisor *self, DomainEventFn fn, void *arg)
{
	FakeHypervisor *f = fake_of(self);

	pthread_mutex_lock(&f->lock);
	f->event = fn;
	f->event_arg = arg;
	pthread_mutex_unlock(&f->lock);
}

static Hypervisor *fake_free(Hypervisor *self)
{
	FakeHypervisor *f;

	if (!self)
		return NULL;
	f = fake_of(self);
	hashmap_free(f->domains);
	hashmap_free(f->scripts);
	pthread_mutex_destroy(&f->lock);
	free(f);
	return NULL;
}

static const HypervisorOps fake_ops = {
	.name = "fake",
	.inspect = fake_inspect,
	.list = fake_list,
	.define = fake_define,
	.power = fake_power,
	.update_live = fake_update_live,
	.remove = fake_remove,
	.info = fake_info,
	.subscribe = fake_subscribe,
	.free = fake_free,
};

Hypervisor *fake_hypervisor_new(void)
{
	FakeHypervisor *f = xnew0(FakeHypervisor, 1);

	f->hypervisor.ops = &fake_ops;
	pthread_mutex_init(&f->lock, NULL);
	f->domains = hashmap_new(domain_release);
	f->scripts = hashmap_new(script_release);
	f->next_pid = 10001;
	f->host = (HypervisorInfo){ .cpus = 8,
				    .memory = 16ULL << 30,
				    .virt_type = "qemu",
				    .version = "fake 1.0",
				    .connected = true };
	return &f->hypervisor;
}
