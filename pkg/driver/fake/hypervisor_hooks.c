/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The test's side of the fake hypervisor: looking in, and playing guests, administrator and host.
 * See hypervisor.h.
 */
#include <stdio.h>

#include "base/memory.h"
#include "driver/fake/hypervisor_internal.h"

/* ---- what a test may ask ---- */

size_t fake_hypervisor_count(Hypervisor *h)
{
	FakeHypervisor *f = fake_of(h);
	size_t n;

	pthread_mutex_lock(&f->lock);
	n = hashmap_size(f->domains);
	pthread_mutex_unlock(&f->lock);
	return n;
}

DomainState fake_hypervisor_state(Hypervisor *h, const char *domain)
{
	FakeHypervisor *f = fake_of(h);
	FakeDomain *d;
	DomainState state;

	pthread_mutex_lock(&f->lock);
	d = hashmap_get(f->domains, domain);
	state = d ? d->state : DOMAIN_ABSENT;
	pthread_mutex_unlock(&f->lock);
	return state;
}

const DomainConfig *fake_hypervisor_config(Hypervisor *h, const char *domain, bool live)
{
	FakeHypervisor *f = fake_of(h);
	const DomainConfig *c = NULL;
	FakeDomain *d;

	pthread_mutex_lock(&f->lock);
	d = hashmap_get(f->domains, domain);
	if (d)
		c = live ? d->live : d->persistent;
	pthread_mutex_unlock(&f->lock);
	return c;
}

unsigned fake_hypervisor_starts(Hypervisor *h, const char *domain)
{
	FakeHypervisor *f = fake_of(h);
	unsigned n;

	pthread_mutex_lock(&f->lock);
	n = fake_domain_script(f, domain)->starts;
	pthread_mutex_unlock(&f->lock);
	return n;
}

static unsigned counter_read(FakeHypervisor *f, const unsigned *counter)
{
	unsigned v;

	pthread_mutex_lock(&f->lock);
	v = *counter;
	pthread_mutex_unlock(&f->lock);
	return v;
}

unsigned fake_hypervisor_calls(Hypervisor *h)
{
	return counter_read(fake_of(h), &fake_of(h)->calls);
}

unsigned fake_hypervisor_changes(Hypervisor *h)
{
	return counter_read(fake_of(h), &fake_of(h)->changes);
}

/* ---- what a test may do ---- */

void fake_hypervisor_set_guest(Hypervisor *h, const char *domain, FakeGuest behaviour)
{
	FakeHypervisor *f = fake_of(h);

	pthread_mutex_lock(&f->lock);
	if (domain) {
		fake_domain_script(f, domain)->guest = behaviour;
		fake_domain_script(f, domain)->guest_set = true;
	} else {
		f->guest = behaviour;
	}
	pthread_mutex_unlock(&f->lock);
}

static FakeDomain *domain_must(FakeHypervisor *f, const char *name, bool on)
{
	FakeDomain *d = hashmap_get(f->domains, name);

	assert(d && (!on || fake_domain_is_on(d)));
	return d;
}

void fake_hypervisor_end(Hypervisor *h, const char *domain, DomainReason reason)
{
	FakeHypervisor *f = fake_of(h);

	pthread_mutex_lock(&f->lock);
	fake_domain_ends(f, domain, domain_must(f, domain, true), reason);
	pthread_mutex_unlock(&f->lock);
	fake_domain_emit(f, domain);
}

void fake_hypervisor_io_error(Hypervisor *h, const char *domain)
{
	FakeHypervisor *f = fake_of(h);
	FakeDomain *d;

	pthread_mutex_lock(&f->lock);
	d = domain_must(f, domain, true);
	d->state = DOMAIN_PAUSED;
	d->reason = DOMAIN_REASON_IO_ERROR;
	pthread_mutex_unlock(&f->lock);
	fake_domain_emit(f, domain);
}

void fake_hypervisor_virsh(Hypervisor *h, const char *domain, DomainPower action)
{
	FakeHypervisor *f = fake_of(h);

	pthread_mutex_lock(&f->lock);
	(void)fake_domain_power(f, domain, domain_must(f, domain, false), action, NULL);
	pthread_mutex_unlock(&f->lock);
	fake_domain_emit(f, domain);
}

void fake_hypervisor_undefine(Hypervisor *h, const char *domain)
{
	FakeHypervisor *f = fake_of(h);
	FakeDomain *d;

	pthread_mutex_lock(&f->lock);
	d = domain_must(f, domain, false);
	d->persistent = domain_config_free(d->persistent);
	d->persistent_foreign = false;
	if (!fake_domain_is_on(d))
		hashmap_remove(f->domains, domain);
	pthread_mutex_unlock(&f->lock);
	fake_domain_emit(f, domain);
}

void fake_hypervisor_add_foreign(Hypervisor *h, const char *domain, const char *store_id,
				 bool running)
{
	FakeHypervisor *f = fake_of(h);
	FakeDomain *d = xnew0(FakeDomain, 1);

	d->foreign = d->persistent_foreign = true;
	d->state = running ? DOMAIN_RUNNING : DOMAIN_SHUTOFF;
	snprintf(d->foreign_store, sizeof(d->foreign_store), "%s", store_id ? store_id : "");
	pthread_mutex_lock(&f->lock);
	assert(!hashmap_contains(f->domains, domain));
	hashmap_put(f->domains, domain, d);
	pthread_mutex_unlock(&f->lock);
	fake_domain_emit(f, domain);
}

void fake_hypervisor_host_crash(Hypervisor *h)
{
	FakeHypervisor *f = fake_of(h);

	pthread_mutex_lock(&f->lock);
	/* libvirt's live state lies in /run, so after a boot it knows no reason. */
	hashmap_foreach (it, f->domains)
		fake_domain_ends(f, it.key, it.value, DOMAIN_REASON_NONE);
	pthread_mutex_unlock(&f->lock);
	fake_domain_emit(f, NULL);
}

void fake_hypervisor_set_hung(Hypervisor *h, const char *domain, bool hung)
{
	FakeHypervisor *f = fake_of(h);

	pthread_mutex_lock(&f->lock);
	fake_domain_script(f, domain)->hung = hung;
	fake_domain_script(f, domain)->hang_seen = false;
	pthread_mutex_unlock(&f->lock);
	if (!hung)
		fake_domain_emit(f, domain);
}

static void late_done(FakeHypervisor *f, const char *name, FakeLate what)
{
	FakeDomain *d = hashmap_get(f->domains, name);

	if (d && what == FAKE_LATE_REMOVE)
		hashmap_remove(f->domains, name);
	else if (d && fake_domain_is_on(d))
		fake_domain_ends(f, name, d, DOMAIN_REASON_DESTROYED);
	f->changes += d != NULL;
}

/* What was under way; its place is free. *ret_woken: who hears of it, NULL = all. */
static FakeLate late_take(FakeHypervisor *f, const char *name, const char **ret_woken)
{
	FakeScript *s = fake_domain_script(f, name);
	FakeLate what = s->late;

	*ret_woken = f->late == FAKE_LATE_MAX ? NULL : name;
	f->late -= what != FAKE_LATE_NONE;
	s->late = FAKE_LATE_NONE;
	return what;
}

void fake_hypervisor_set_slow_end(Hypervisor *h, const char *domain, bool slow)
{
	FakeLate what = FAKE_LATE_NONE;
	FakeHypervisor *f = fake_of(h);
	const char *woken = NULL;

	pthread_mutex_lock(&f->lock);
	fake_domain_script(f, domain)->slow_end = slow;
	if (!slow)
		what = late_take(f, domain, &woken);
	if (what)
		late_done(f, domain, what);
	pthread_mutex_unlock(&f->lock);
	if (what)
		fake_domain_emit(f, woken);
}

void fake_hypervisor_give_up(Hypervisor *h, const char *domain)
{
	FakeHypervisor *f = fake_of(h);
	const char *woken;
	FakeLate what;

	pthread_mutex_lock(&f->lock);
	what = late_take(f, domain, &woken);
	pthread_mutex_unlock(&f->lock);
	if (what)
		fake_domain_emit(f, woken);
}

void fake_hypervisor_set_start_failure(Hypervisor *h, const char *domain, const char *text)
{
	FakeHypervisor *f = fake_of(h);
	FakeScript *s;

	pthread_mutex_lock(&f->lock);
	s = fake_domain_script(f, domain);
	free(s->start_failure);
	s->start_failure = xstrdup(text);
	pthread_mutex_unlock(&f->lock);
}

void fake_hypervisor_set_failure(Hypervisor *h, ErrorCode code)
{
	FakeHypervisor *f = fake_of(h);

	pthread_mutex_lock(&f->lock);
	f->failure = code;
	pthread_mutex_unlock(&f->lock);
	if (!code)
		fake_domain_emit(f, NULL);
}

void fake_hypervisor_set_mute(Hypervisor *h, bool mute)
{
	FakeHypervisor *f = fake_of(h);

	pthread_mutex_lock(&f->lock);
	f->mute = mute;
	pthread_mutex_unlock(&f->lock);
}

void fake_hypervisor_set_host(Hypervisor *h, unsigned cpus, uint64_t memory, const char *virt_type)
{
	FakeHypervisor *f = fake_of(h);

	pthread_mutex_lock(&f->lock);
	f->host.cpus = cpus;
	f->host.memory = memory;
	snprintf(f->host.virt_type, sizeof(f->host.virt_type), "%s", virt_type);
	pthread_mutex_unlock(&f->lock);
}
