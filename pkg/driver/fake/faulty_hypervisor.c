/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Hypervisor that passes every call on and fails the one its Fault names. See hypervisor.h.
 */
#include "base/memory.h"
#include "driver/fake/hypervisor.h"

typedef struct FaultyHypervisor {
	Hypervisor hypervisor;
	Hypervisor *inner;
	Fault *fault;
	DomainEventFn event;
	void *event_arg;
	FaultEvent on_its_way;
} FaultyHypervisor;

static FaultyHypervisor *faulty_of(Hypervisor *h)
{
	return CONTAINER_OF(h, FaultyHypervisor, hypervisor);
}

static int faulty_inspect(Hypervisor *self, Context *ctx, const char *domain, DomainInfo *ret,
			  Error *err)
{
	FaultyHypervisor *f = faulty_of(self);
	DomainInfo info;
	int rc = FAULT_CALL(f->fault, "inspect",
			    f->inner->ops->inspect(f->inner, ctx, domain, &info, err));

	if (rc >= 0)
		*ret = info;
	return rc;
}

static int faulty_list(Hypervisor *self, Context *ctx, DomainEntry **ret, size_t *ret_n, Error *err)
{
	FaultyHypervisor *f = faulty_of(self);
	_cleanup_(xfreep) DomainEntry *entries = NULL;
	size_t n = 0;
	int rc;

	if (f->fault->lists == LISTS_FAIL)
		return fault_error(f->fault, "list", err);
	rc = FAULT_CALL(f->fault, "list", f->inner->ops->list(f->inner, ctx, &entries, &n, err));

	if (rc >= 0) {
		*ret = TAKE_PTR(entries);
		*ret_n = fault_listed(f->fault, n);
	}
	return rc;
}

static int faulty_define(Hypervisor *self, Context *ctx, const DomainConfig *config, Error *err)
{
	FaultyHypervisor *f = faulty_of(self);

	return FAULT_CALL(f->fault, "define", f->inner->ops->define(f->inner, ctx, config, err));
}

static int faulty_power(Hypervisor *self, Context *ctx, const char *domain, DomainPower action,
			const char *request_id, Error *err)
{
	FaultyHypervisor *f = faulty_of(self);

	return FAULT_CALL(f->fault, domain_power_to_string(action),
			  f->inner->ops->power(f->inner, ctx, domain, action, request_id, err));
}

static int faulty_update_live(Hypervisor *self, Context *ctx, const DomainConfig *config,
			      Error *err)
{
	FaultyHypervisor *f = faulty_of(self);

	return FAULT_CALL(f->fault, "update",
			  f->inner->ops->update_live(f->inner, ctx, config, err));
}

static int faulty_remove(Hypervisor *self, Context *ctx, const char *domain, Error *err)
{
	FaultyHypervisor *f = faulty_of(self);

	return FAULT_CALL(f->fault, "remove", f->inner->ops->remove(f->inner, ctx, domain, err));
}

static int faulty_info(Hypervisor *self, Context *ctx, HypervisorInfo *ret, Error *err)
{
	FaultyHypervisor *f = faulty_of(self);
	HypervisorInfo info;
	int rc = FAULT_CALL(f->fault, "info", f->inner->ops->info(f->inner, ctx, &info, err));

	if (rc >= 0)
		*ret = info;
	return rc;
}

static void faulty_event(void *arg, const char *name)
{
	FaultyHypervisor *f = arg;

	pthread_mutex_lock(&f->on_its_way.lock);
	for (unsigned n = fault_event(f->fault, &f->on_its_way, &name); n > 0 && f->event; n--)
		f->event(f->event_arg, name);
	pthread_mutex_unlock(&f->on_its_way.lock);
}

static void faulty_subscribe(Hypervisor *self, DomainEventFn fn, void *arg)
{
	FaultyHypervisor *f = faulty_of(self);

	pthread_mutex_lock(&f->on_its_way.lock);
	f->event = fn;
	f->event_arg = arg;
	pthread_mutex_unlock(&f->on_its_way.lock);
	f->inner->ops->subscribe(f->inner, faulty_event, f);
}

static Hypervisor *faulty_free(Hypervisor *self)
{
	FaultyHypervisor *f;

	if (!self)
		return NULL;
	f = faulty_of(self);
	f->inner->ops->free(f->inner);
	pthread_mutex_destroy(&f->on_its_way.lock);
	free(f);
	return NULL;
}

static const HypervisorOps faulty_ops = {
	.name = "faulty",
	.inspect = faulty_inspect,
	.list = faulty_list,
	.define = faulty_define,
	.power = faulty_power,
	.update_live = faulty_update_live,
	.remove = faulty_remove,
	.info = faulty_info,
	.subscribe = faulty_subscribe,
	.free = faulty_free,
};

Hypervisor *faulty_hypervisor_new(Hypervisor *inner, Fault *fault)
{
	FaultyHypervisor *f = xnew0(FaultyHypervisor, 1);

	f->hypervisor.ops = &faulty_ops;
	pthread_mutex_init(&f->on_its_way.lock, NULL);
	f->inner = inner;
	f->fault = fault;
	return &f->hypervisor;
}
