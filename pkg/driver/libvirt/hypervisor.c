/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Hypervisor port over libvirt: checks what is asked, packs it into a call that can be left
 * behind, unpacks what came back. See libvirt.h.
 */
#include "driver/libvirt/hypervisor.h"

#include <stdio.h>

#include "base/memory.h"
#include "driver/domain_config.h"
#include "driver/libvirt/domain.h"
#include "driver/libvirt/errors.h"

typedef struct LibvirtHypervisor {
	Hypervisor hypervisor;
	Libvirt *libvirt;
} LibvirtHypervisor;

/* Input and output of every verb; what a verb does not use stays zero. */
typedef struct VerbCall {
	LibvirtCall base;
	DomainConfig *config;
	DomainPower action;
	char *request_id;
	DomainInfo info;
	DomainEntry *entries;
	size_t n_entries;
	HypervisorInfo host;
} VerbCall;

Libvirt *hypervisor_libvirt(Hypervisor *h)
{
	return CONTAINER_OF(h, LibvirtHypervisor, hypervisor)->libvirt;
}

static VerbCall *verb_of(LibvirtCall *c)
{
	return CONTAINER_OF(c, VerbCall, base);
}

static void verb_free(LibvirtCall *c)
{
	VerbCall *v = verb_of(c);

	domain_config_free(v->config);
	free(v->request_id);
	free(v->entries);
	free(v);
}

static VerbCall *verb_new(Hypervisor *self, CallKind kind, const char *what, const char *domain,
			  const char *slot,
			  int (*op)(LibvirtCall *c, virConnectPtr conn, Error *err))
{
	VerbCall *v = xnew0(VerbCall, 1);

	libvirt_call_init(&v->base, hypervisor_libvirt(self), kind, what, domain, slot);
	v->base.op = op;
	v->base.done = verb_free;
	return v;
}

static void verb_unrefp(VerbCall **v)
{
	if (*v)
		libvirt_call_unref(&(*v)->base);
}

static int op_inspect(LibvirtCall *c, virConnectPtr conn, Error *err)
{
	return domain_inspect(c->libvirt, conn, c->domain, &verb_of(c)->info, err);
}

static int libvirt_inspect(Hypervisor *self, Context *ctx, const char *domain, DomainInfo *ret,
			   Error *err)
{
	_cleanup_(verb_unrefp) VerbCall *v =
		verb_new(self, CALL_LOOK, "inspect", domain, NULL, op_inspect);
	int rc = libvirt_call_run(&v->base, ctx, err);

	if (rc == 0)
		*ret = v->info;
	return rc;
}

static int op_list(LibvirtCall *c, virConnectPtr conn, Error *err)
{
	VerbCall *v = verb_of(c);

	return domain_list(c->libvirt, conn, &v->entries, &v->n_entries, err);
}

static int libvirt_list(Hypervisor *self, Context *ctx, DomainEntry **ret, size_t *ret_n,
			Error *err)
{
	_cleanup_(verb_unrefp) VerbCall *v = verb_new(self, CALL_LOOK, "list", NULL, NULL, op_list);
	int rc = libvirt_call_run(&v->base, ctx, err);

	if (rc == 0) {
		*ret = TAKE_PTR(v->entries);
		*ret_n = v->n_entries;
	}
	return rc;
}

static int op_define(LibvirtCall *c, virConnectPtr conn, Error *err)
{
	DomainXmlEnv env;
	int rc = connection_env(c->connection, &env, err);

	return rc < 0 ? rc : domain_define(c->libvirt, conn, &env, verb_of(c)->config, err);
}

static int libvirt_define(Hypervisor *self, Context *ctx, const DomainConfig *config, Error *err)
{
	_cleanup_(verb_unrefp) VerbCall *v = NULL;
	const char *store_id = hypervisor_libvirt(self)->store_id;
	int rc = domain_config_validate(config, err);

	if (rc < 0)
		return rc;
	if (store_id && !streq(store_id, config->store_id))
		return error_set(err, ERR_INVALID, "domain %s: the mark is not this store's",
				 config->name);
	v = verb_new(self, CALL_MAKE, "define", config->name, config->name, op_define);
	v->config = domain_config_copy(config);
	return libvirt_call_run(&v->base, ctx, err);
}

static int op_power(LibvirtCall *c, virConnectPtr conn, Error *err)
{
	VerbCall *v = verb_of(c);

	return domain_power(c->libvirt, conn, c->domain, v->action, v->request_id, err);
}

static int libvirt_power(Hypervisor *self, Context *ctx, const char *domain, DomainPower action,
			 const char *request_id, Error *err)
{
	/* Force off works on a QEMU that answers nothing, so it does not queue behind that. */
	_cleanup_(xfreep) char *slot =
		xasprintf("%s%s", domain, action == POWER_DESTROY ? "/off" : "");
	CallKind kind = action == POWER_START     ? CALL_MAKE
			: action == POWER_DESTROY ? CALL_OFF
						  : CALL_ASK;
	_cleanup_(verb_unrefp) VerbCall *v =
		verb_new(self, kind, domain_power_to_string(action), domain, slot, op_power);

	v->action = action;
	v->request_id = xstrdup(request_id);
	return libvirt_call_run(&v->base, ctx, err);
}

static int op_update(LibvirtCall *c, virConnectPtr conn, Error *err)
{
	return domain_update_live(c->libvirt, conn, verb_of(c)->config, err);
}

static int libvirt_update_live(Hypervisor *self, Context *ctx, const DomainConfig *config,
			       Error *err)
{
	_cleanup_(verb_unrefp) VerbCall *v = NULL;
	int rc = domain_config_validate(config, err);

	if (rc < 0)
		return rc;
	v = verb_new(self, CALL_ASK, "update", config->name, config->name, op_update);
	v->config = domain_config_copy(config);
	return libvirt_call_run(&v->base, ctx, err);
}

static int op_remove(LibvirtCall *c, virConnectPtr conn, Error *err)
{
	return domain_remove(c->libvirt, conn, c->domain, err);
}

static int libvirt_remove(Hypervisor *self, Context *ctx, const char *domain, Error *err)
{
	_cleanup_(xfreep) char *slot = xasprintf("%s/off", domain);
	_cleanup_(verb_unrefp) VerbCall *v =
		verb_new(self, CALL_OFF, "remove", domain, slot, op_remove);

	return libvirt_call_run(&v->base, ctx, err);
}

static void format_version(HypervisorInfo *info, unsigned long libvirt, unsigned long hypervisor,
			   const char *type)
{
	_cleanup_(xfreep) char *text =
		xasprintf("libvirt %lu.%lu.%lu, %s %lu.%lu.%lu", libvirt / 1000000,
			  libvirt / 1000 % 1000, libvirt % 1000, type, hypervisor / 1000000,
			  hypervisor / 1000 % 1000, hypervisor % 1000);

	snprintf(info->version, sizeof(info->version), "%s", text);
}

static int op_info(LibvirtCall *c, virConnectPtr conn, Error *err)
{
	HypervisorInfo *info = &verb_of(c)->host;
	unsigned long libvirt, hypervisor;
	const char *type = virConnectGetType(conn);
	DomainXmlEnv env;
	virNodeInfo node;
	int rc;

	if (!type || virNodeGetInfo(conn, &node) < 0 ||
	    virConnectGetLibVersion(conn, &libvirt) < 0 ||
	    virConnectGetVersion(conn, &hypervisor) < 0)
		return libvirt_error(err, "ask about the host");
	rc = connection_env(c->connection, &env, err);
	if (rc < 0)
		return rc;
	info->cpus = node.cpus;
	info->memory = (uint64_t)node.memory * 1024;
	info->connected = true;
	snprintf(info->virt_type, sizeof(info->virt_type), "%s", env.virt_type);
	format_version(info, libvirt, hypervisor, type);
	return 0;
}

static int libvirt_info(Hypervisor *self, Context *ctx, HypervisorInfo *ret, Error *err)
{
	_cleanup_(verb_unrefp) VerbCall *v = verb_new(self, CALL_LOOK, "info", NULL, NULL, op_info);
	int rc = libvirt_call_run(&v->base, ctx, err);

	if (rc == 0)
		*ret = v->host;
	return rc;
}

static void libvirt_subscribe_events(Hypervisor *self, DomainEventFn fn, void *arg)
{
	libvirt_subscribe(hypervisor_libvirt(self), fn, arg);
}

static Hypervisor *libvirt_free(Hypervisor *self)
{
	if (!self)
		return NULL;
	libvirt_stop(hypervisor_libvirt(self));
	free(CONTAINER_OF(self, LibvirtHypervisor, hypervisor));
	return NULL;
}

static const HypervisorOps libvirt_ops = {
	.name = "libvirt",
	.inspect = libvirt_inspect,
	.list = libvirt_list,
	.define = libvirt_define,
	.power = libvirt_power,
	.update_live = libvirt_update_live,
	.remove = libvirt_remove,
	.info = libvirt_info,
	.subscribe = libvirt_subscribe_events,
	.free = libvirt_free,
};

int libvirt_hypervisor_new(const LibvirtOptions *options, Hypervisor **ret, Error *err)
{
	static const char *const types[] = { "auto", "kvm", "qemu", "test" };
	LibvirtHypervisor *h;
	bool known = !options->virt_type;
	int rc;

	for (size_t i = 0; !known && i < ARRAY_SIZE(types); i++)
		known = streq(options->virt_type, types[i]);
	if (!known)
		return error_set(err, ERR_INVALID,
				 "virtualization type \"%s\": neither auto, kvm nor qemu",
				 options->virt_type);
	h = xnew0(LibvirtHypervisor, 1);
	h->hypervisor.ops = &libvirt_ops;
	h->libvirt = libvirt_new(options);
	rc = libvirt_start(h->libvirt, err);
	if (rc < 0) {
		libvirt_free(&h->hypervisor);
		return rc;
	}
	*ret = &h->hypervisor;
	return 0;
}
