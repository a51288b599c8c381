/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The NetworkDriver wrapper that fails the call its Fault names. See network.h.
 */
#include "base/memory.h"
#include "driver/fake/network.h"

typedef struct FaultyDriver {
	NetworkDriver driver;
	NetworkDriver *inner;
	Fault *fault;
	NetworkEventFn event;
	void *event_arg;
	FaultEvent on_its_way;
} FaultyDriver;

static FaultyDriver *faulty_of(NetworkDriver *d)
{
	return CONTAINER_OF(d, FaultyDriver, driver);
}

static int faulty_ensure(NetworkDriver *self, Context *ctx, const NetworkConfig *config,
			 NetworkStatus *ret, Error *err)
{
	FaultyDriver *f = faulty_of(self);
	NetworkStatus s;
	int rc = FAULT_CALL(f->fault, "network ensure",
			    f->inner->ops->ensure(f->inner, ctx, config, &s, err));

	if (rc >= 0)
		*ret = s;
	return rc;
}

static int faulty_remove(NetworkDriver *self, Context *ctx, const char *uid, uint32_t vni,
			 Error *err)
{
	FaultyDriver *f = faulty_of(self);

	return FAULT_CALL(f->fault, "network remove",
			  f->inner->ops->remove(f->inner, ctx, uid, vni, err));
}

/* Reads own what they return, so a lost answer is the same as a call that never was. */
static int faulty_list(NetworkDriver *self, Context *ctx, const char *store_id, NetworkEntry **ret,
		       size_t *ret_n, Error *err)
{
	FaultyDriver *f = faulty_of(self);
	int rc;

	if (fault_next(f->fault) || f->fault->lists == LISTS_FAIL)
		return fault_error(f->fault, "network list", err);
	rc = f->inner->ops->list(f->inner, ctx, store_id, ret, ret_n, err);
	if (rc >= 0)
		*ret_n = fault_listed(f->fault, *ret_n);
	return rc;
}

static int faulty_address_seen(NetworkDriver *self, Context *ctx, const char *uid,
			       const IpAddress *address, bool *ret, Error *err)
{
	FaultyDriver *f = faulty_of(self);

	if (fault_next(f->fault))
		return fault_error(f->fault, "network address_seen", err);
	return f->inner->ops->address_seen(f->inner, ctx, uid, address, ret, err);
}

static int faulty_port_attached(NetworkDriver *self, Context *ctx, const char *uid,
				uint32_t port_id, bool *ret, Error *err)
{
	FaultyDriver *f = faulty_of(self);

	if (fault_next(f->fault))
		return fault_error(f->fault, "network port_attached", err);
	return f->inner->ops->port_attached(f->inner, ctx, uid, port_id, ret, err);
}

static int faulty_dial(NetworkDriver *self, Context *ctx, const char *uid, const IpAddress *address,
		       uint16_t port, int *ret_fd, Error *err)
{
	FaultyDriver *f = faulty_of(self);

	if (fault_next(f->fault))
		return fault_error(f->fault, "network dial", err);
	return f->inner->ops->dial(f->inner, ctx, uid, address, port, ret_fd, err);
}

static void faulty_event(void *arg, const char *uid, const char *what)
{
	FaultyDriver *f = arg;

	pthread_mutex_lock(&f->on_its_way.lock);
	for (unsigned n = fault_event(f->fault, &f->on_its_way, &uid); n > 0 && f->event; n--)
		f->event(f->event_arg, uid, what);
	pthread_mutex_unlock(&f->on_its_way.lock);
}

static void faulty_subscribe(NetworkDriver *self, NetworkEventFn fn, void *arg)
{
	FaultyDriver *f = faulty_of(self);

	pthread_mutex_lock(&f->on_its_way.lock);
	f->event = fn;
	f->event_arg = arg;
	pthread_mutex_unlock(&f->on_its_way.lock);
	f->inner->ops->subscribe(f->inner, faulty_event, f);
}

static NetworkDriver *faulty_free(NetworkDriver *self)
{
	FaultyDriver *f = faulty_of(self);

	f->inner->ops->free(f->inner);
	pthread_mutex_destroy(&f->on_its_way.lock);
	free(f);
	return NULL;
}

static const NetworkDriverOps faulty_ops = {
	.name = "faulty",
	.ensure = faulty_ensure,
	.remove = faulty_remove,
	.list = faulty_list,
	.address_seen = faulty_address_seen,
	.port_attached = faulty_port_attached,
	.dial = faulty_dial,
	.subscribe = faulty_subscribe,
	.free = faulty_free,
};

NetworkDriver *faulty_network_new(NetworkDriver *inner, Fault *fault)
{
	FaultyDriver *f = xnew0(FaultyDriver, 1);

	f->driver.ops = &faulty_ops;
	pthread_mutex_init(&f->on_its_way.lock, NULL);
	f->inner = inner;
	f->fault = fault;
	return &f->driver;
}
