/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports to fakes that survive. See ports.h.
 *
 * A fake calls its subscriber in the thread that changed it, while the lock is held: the callback
 * runs with memory of its own process, and only enqueues.
 */
#include "tests/crash/ports.h"

#include "base/memory.h"
#include "tests/crash/survive.h"

/* ---- hypervisor ---- */

typedef struct Domains {
	Hypervisor port;
	Hypervisor *inner;
	DomainEventFn event;
	void *arg;
} Domains;

#define DOMAINS(self) (CONTAINER_OF(self, Domains, port)->inner)

static int domains_inspect(Hypervisor *self, Context *ctx, const char *domain, DomainInfo *ret,
			   Error *err)
{
	Hypervisor *h = DOMAINS(self);

	return INSIDE(h->ops->inspect(h, ctx, domain, ret, err));
}

static int domains_list(Hypervisor *self, Context *ctx, DomainEntry **ret, size_t *ret_n,
			Error *err)
{
	Hypervisor *h = DOMAINS(self);

	return INSIDE(h->ops->list(h, ctx, ret, ret_n, err));
}

static int domains_define(Hypervisor *self, Context *ctx, const DomainConfig *config, Error *err)
{
	Hypervisor *h = DOMAINS(self);

	return INSIDE(h->ops->define(h, ctx, config, err));
}

static int domains_power(Hypervisor *self, Context *ctx, const char *domain, DomainPower action,
			 const char *request_id, Error *err)
{
	Hypervisor *h = DOMAINS(self);

	return INSIDE(h->ops->power(h, ctx, domain, action, request_id, err));
}

static int domains_update_live(Hypervisor *self, Context *ctx, const DomainConfig *config,
			       Error *err)
{
	Hypervisor *h = DOMAINS(self);

	return INSIDE(h->ops->update_live(h, ctx, config, err));
}

static int domains_remove(Hypervisor *self, Context *ctx, const char *domain, Error *err)
{
	Hypervisor *h = DOMAINS(self);

	return INSIDE(h->ops->remove(h, ctx, domain, err));
}

static int domains_info(Hypervisor *self, Context *ctx, HypervisorInfo *ret, Error *err)
{
	Hypervisor *h = DOMAINS(self);

	return INSIDE(h->ops->info(h, ctx, ret, err));
}

static void domains_event(void *arg, const char *name)
{
	bool was = survive_suspend();
	const Domains *d = arg;

	if (d->event)
		d->event(d->arg, name);
	survive_resume(was);
}

static void domains_subscribe(Hypervisor *self, DomainEventFn fn, void *arg)
{
	Domains *d = CONTAINER_OF(self, Domains, port);

	d->event = fn;
	d->arg = arg;
	survive_enter();
	d->inner->ops->subscribe(d->inner, domains_event, d);
	survive_leave();
}

static Hypervisor *domains_free(Hypervisor *self)
{
	Domains *d = CONTAINER_OF(self, Domains, port);

	survive_enter();
	d->inner->ops->subscribe(d->inner, NULL, NULL);
	survive_leave();
	free(d);
	return NULL;
}

static const HypervisorOps domains_ops = { .name = "surviving",
					   .inspect = domains_inspect,
					   .list = domains_list,
					   .define = domains_define,
					   .power = domains_power,
					   .update_live = domains_update_live,
					   .remove = domains_remove,
					   .info = domains_info,
					   .subscribe = domains_subscribe,
					   .free = domains_free };

Hypervisor *surviving_hypervisor_new(Hypervisor *inner)
{
	Domains *d = xnew0(Domains, 1);

	d->port.ops = &domains_ops;
	d->inner = inner;
	return &d->port;
}

/* ---- network ---- */

typedef struct Nets {
	NetworkDriver port;
	NetworkDriver *inner;
	NetworkEventFn event;
	void *arg;
} Nets;

#define NETS(self) (CONTAINER_OF(self, Nets, port)->inner)

static int nets_ensure(NetworkDriver *self, Context *ctx, const NetworkConfig *config,
		       NetworkStatus *ret, Error *err)
{
	NetworkDriver *d = NETS(self);

	return INSIDE(d->ops->ensure(d, ctx, config, ret, err));
}

static int nets_remove(NetworkDriver *self, Context *ctx, const char *uid, uint32_t vni, Error *err)
{
	NetworkDriver *d = NETS(self);

	return INSIDE(d->ops->remove(d, ctx, uid, vni, err));
}

static int nets_list(NetworkDriver *self, Context *ctx, const char *store_id, NetworkEntry **ret,
		     size_t *ret_n, Error *err)
{
	NetworkDriver *d = NETS(self);

	return INSIDE(d->ops->list(d, ctx, store_id, ret, ret_n, err));
}

static int nets_address_seen(NetworkDriver *self, Context *ctx, const char *uid,
			     const IpAddress *address, bool *ret, Error *err)
{
	NetworkDriver *d = NETS(self);

	return INSIDE(d->ops->address_seen(d, ctx, uid, address, ret, err));
}

static int nets_port_attached(NetworkDriver *self, Context *ctx, const char *uid, uint32_t port_id,
			      bool *ret, Error *err)
{
	NetworkDriver *d = NETS(self);

	return INSIDE(d->ops->port_attached(d, ctx, uid, port_id, ret, err));
}

static int nets_dial(NetworkDriver *self, Context *ctx, const char *uid, const IpAddress *address,
		     uint16_t port, int *ret_fd, Error *err)
{
	NetworkDriver *d = NETS(self);

	return INSIDE(d->ops->dial(d, ctx, uid, address, port, ret_fd, err));
}

static void nets_event(void *arg, const char *uid, const char *what)
{
	bool was = survive_suspend();
	const Nets *n = arg;

	if (n->event)
		n->event(n->arg, uid, what);
	survive_resume(was);
}

static void nets_subscribe(NetworkDriver *self, NetworkEventFn fn, void *arg)
{
	Nets *n = CONTAINER_OF(self, Nets, port);

	n->event = fn;
	n->arg = arg;
	survive_enter();
	n->inner->ops->subscribe(n->inner, nets_event, n);
	survive_leave();
}

static NetworkDriver *nets_free(NetworkDriver *self)
{
	Nets *n = CONTAINER_OF(self, Nets, port);

	survive_enter();
	n->inner->ops->subscribe(n->inner, NULL, NULL);
	survive_leave();
	free(n);
	return NULL;
}

static const NetworkDriverOps nets_ops = { .name = "surviving",
					   .ensure = nets_ensure,
					   .remove = nets_remove,
					   .list = nets_list,
					   .address_seen = nets_address_seen,
					   .port_attached = nets_port_attached,
					   .dial = nets_dial,
					   .subscribe = nets_subscribe,
					   .free = nets_free };

NetworkDriver *surviving_network_new(NetworkDriver *inner)
{
	Nets *n = xnew0(Nets, 1);

	n->port.ops = &nets_ops;
	n->inner = inner;
	return &n->port;
}

/* ---- images ---- */

typedef struct Images {
	ImageCache port;
	ImageCache *inner;
	ImageEventFn event;
	void *arg;
} Images;

#define IMAGES(self) (CONTAINER_OF(self, Images, port)->inner)

static int images_ensure(ImageCache *self, Context *ctx, const ImageRequest *request,
			 ImageState *ret, Error *err)
{
	ImageCache *c = IMAGES(self);

	return INSIDE(c->ops->ensure(c, ctx, request, ret, err));
}

static int images_forget(ImageCache *self, Context *ctx, const char *uid, Error *err)
{
	ImageCache *c = IMAGES(self);

	return INSIDE(c->ops->forget(c, ctx, uid, err));
}

static int images_list(ImageCache *self, Context *ctx, char (**ret)[UUID_MAX], size_t *ret_n,
		       Error *err)
{
	ImageCache *c = IMAGES(self);

	return INSIDE(c->ops->list(c, ctx, ret, ret_n, err));
}

static int images_path(ImageCache *self, Context *ctx, const char *digest,
		       char ret_path[static 4096], Error *err)
{
	ImageCache *c = IMAGES(self);

	return INSIDE(c->ops->path(c, ctx, digest, ret_path, err));
}

static int images_evict(ImageCache *self, Context *ctx, const ImageDigestList *keep,
			uint64_t *ret_freed, Error *err)
{
	ImageCache *c = IMAGES(self);

	return INSIDE(c->ops->evict(c, ctx, keep, ret_freed, err));
}

static void images_event(void *arg, const char *uid)
{
	bool was = survive_suspend();
	const Images *i = arg;

	if (i->event)
		i->event(i->arg, uid);
	survive_resume(was);
}

static void images_subscribe(ImageCache *self, ImageEventFn fn, void *arg)
{
	Images *i = CONTAINER_OF(self, Images, port);

	i->event = fn;
	i->arg = arg;
	survive_enter();
	i->inner->ops->subscribe(i->inner, images_event, i);
	survive_leave();
}

static ImageCache *images_free(ImageCache *self)
{
	Images *i = CONTAINER_OF(self, Images, port);

	survive_enter();
	i->inner->ops->subscribe(i->inner, NULL, NULL);
	survive_leave();
	free(i);
	return NULL;
}

static const ImageCacheOps images_ops = { .name = "surviving",
					  .ensure = images_ensure,
					  .forget = images_forget,
					  .list = images_list,
					  .path = images_path,
					  .evict = images_evict,
					  .subscribe = images_subscribe,
					  .free = images_free };

ImageCache *surviving_images_new(ImageCache *inner)
{
	Images *i = xnew0(Images, 1);

	i->port.ops = &images_ops;
	i->inner = inner;
	return &i->port;
}

/* ---- disks ---- */

typedef struct Disks {
	DiskStore port;
	DiskStore *inner;
} Disks;

#define DISKS(self) (CONTAINER_OF(self, Disks, port)->inner)

static int disks_ensure(DiskStore *self, Context *ctx, const DiskRequest *request, bool offline,
			DiskInfo *ret, Error *err)
{
	DiskStore *d = DISKS(self);

	return INSIDE(d->ops->ensure(d, ctx, request, offline, ret, err));
}

static int disks_inspect(DiskStore *self, Context *ctx, const char *uid, const char *name,
			 DiskInfo *ret, Error *err)
{
	DiskStore *d = DISKS(self);

	return INSIDE(d->ops->inspect(d, ctx, uid, name, ret, err));
}

static int disks_remove(DiskStore *self, Context *ctx, const char *uid, Error *err)
{
	DiskStore *d = DISKS(self);

	return INSIDE(d->ops->remove(d, ctx, uid, err));
}

static int disks_list(DiskStore *self, Context *ctx, char (**ret)[UUID_MAX], size_t *ret_n,
		      Error *err)
{
	DiskStore *d = DISKS(self);

	return INSIDE(d->ops->list(d, ctx, ret, ret_n, err));
}

static int disks_directory(DiskStore *self, Context *ctx, const char *uid,
			   char ret_path[static 4096], Error *err)
{
	DiskStore *d = DISKS(self);

	return INSIDE(d->ops->directory(d, ctx, uid, ret_path, err));
}

static DiskStore *disks_free(DiskStore *self)
{
	free(CONTAINER_OF(self, Disks, port));
	return NULL;
}

static const DiskStoreOps disks_ops = { .name = "surviving",
					.ensure = disks_ensure,
					.inspect = disks_inspect,
					.remove = disks_remove,
					.list = disks_list,
					.directory = disks_directory,
					.free = disks_free };

DiskStore *surviving_disks_new(DiskStore *inner)
{
	Disks *d = xnew0(Disks, 1);

	d->port.ops = &disks_ops;
	d->inner = inner;
	return &d->port;
}

/* ---- seeds ---- */

typedef struct Seeds {
	SeedWriter port;
	SeedWriter *inner;
} Seeds;

static int seeds_ensure(SeedWriter *self, Context *ctx, const SeedConfig *config, bool *ret_changed,
			Error *err)
{
	SeedWriter *s = CONTAINER_OF(self, Seeds, port)->inner;

	return INSIDE(s->ops->ensure(s, ctx, config, ret_changed, err));
}

static SeedWriter *seeds_free(SeedWriter *self)
{
	free(CONTAINER_OF(self, Seeds, port));
	return NULL;
}

static const SeedWriterOps seeds_ops = { .name = "surviving",
					 .ensure = seeds_ensure,
					 .free = seeds_free };

SeedWriter *surviving_seeds_new(SeedWriter *inner)
{
	Seeds *s = xnew0(Seeds, 1);

	s->port.ops = &seeds_ops;
	s->inner = inner;
	return &s->port;
}

/* ---- all of them ---- */

void fakes_new(Fakes *ret)
{
	survive_enter();
	*ret = (Fakes){ .hypervisor = fake_hypervisor_new(),
			.network = fake_network_new(),
			.images = fake_image_cache_new(clock_system()),
			.seeds = fake_seed_new() };
	ret->disks = fake_disk_store_new(ret->images, NULL);
	survive_leave();
}

unsigned fakes_changes(const Fakes *f)
{
	return INSIDE(fake_hypervisor_changes(f->hypervisor) + fake_network_changes(f->network) +
		      fake_disk_changes(f->disks) + fake_seed_changes(f->seeds) +
		      fake_image_fetches(f->images));
}
