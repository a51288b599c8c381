/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instance reconciler: from spec and allocation records to a DomainConfig, its hash, and what a
 * running guest still lacks of it. Pure but for the log. See instance.h.
 */
#include "api/change.h"
#include "api/quantity.h"
#include "base/memory.h"
#include "base/sha.h"
#include "reconcile/instance.h"

/* Goes up when the meaning of what is hashed changes: then every definition is written again, and
 * nothing restarts. */
#define CONFIG_VERSION 1
#define MTU_DEFAULT    1450

static unsigned nic_mtu(const InstanceNic *n)
{
	return n->spec && n->spec->mtu ? (unsigned)n->spec->mtu : MTU_DEFAULT;
}

/* What can be reached live: at least what there is from the start. */
static unsigned max_cpus(const InstanceSpec *s, unsigned cpus)
{
	return MAX((unsigned)s->max_cpus, cpus);
}

static uint64_t max_memory(const InstanceSpec *s, uint64_t memory)
{
	return MAX(s->max_memory, memory);
}

_Static_assert((int)INSTANCE_FIRMWARE_UEFI_SECURE == (int)FIRMWARE_UEFI_SECURE,
	       "the kind and the port count alike");

/* Without counts and sizes that can change live: those are compared by value with what runs. */
static void describe_fixed(const InstanceWork *w, unsigned cpus, uint64_t memory, StrBuf *b)
{
	const InstanceSpec *s = w->spec;
	char text[IP_TEXT_MAX];

	strbuf_addf(b, "v%d max %u %llu firmware %d machine %s cpu %s\n", CONFIG_VERSION,
		    max_cpus(s, cpus), (unsigned long long)max_memory(s, memory), (int)s->firmware,
		    s->machine_type ? s->machine_type : "", s->cpu_model ? s->cpu_model : "");
	for (size_t i = 0; i < s->n_disks; i++)
		strbuf_addf(b, "disk %s bus %d\n", s->disks[i].name, (int)s->disks[i].bus);
	for (size_t i = 0; i < w->n_nics; i++)
		strbuf_addf(b, "nic %s tap %08x mac %s model %s mtu %u\n", w->nics[i].name,
			    w->nics[i].port.id, mac_format(&w->nics[i].port.mac, text),
			    w->nics[i].model ? w->nics[i].model : "", nic_mtu(&w->nics[i]));
}

/* The hash that the config would have with these numbers of CPUs and bytes of memory. */
static void hash_with(const InstanceWork *w, unsigned cpus, uint64_t memory, char buf[static 65])
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;
	char hex[SHA_HEX_MAX];

	describe_fixed(w, cpus, memory, &b);
	strbuf_addf(&b, "cpus %u memory %llu\n", cpus, (unsigned long long)memory);
	snprintf(buf, 65, "%.64s", sha_hex_of(SHA_256, b.buf, b.len, hex));
}

void instance_config_hash(InstanceWork *w, char buf[static 65])
{
	buf[0] = '\0';
	for (size_t i = 0; i < w->n_nics; i++)
		if (!w->nics[i].allocated)
			return;
	hash_with(w, (unsigned)w->spec->cpus, w->spec->memory, buf);
}

static const char *bus_name(const InstanceSpec *s, size_t i)
{
	return disk_bus_to_string(s->disks[i].bus);
}

static void config_disks(InstanceWork *w, DomainConfig *c)
{
	for (size_t i = 0; i < w->spec->n_disks && c->n_disks < DOMAIN_DISKS_MAX - 1; i++)
		c->disks[c->n_disks++] =
			(DomainDisk){ .name = w->spec->disks[i].name,
				      .path = w->disks[i].path,
				      .format = w->disks[i].format,
				      .base_path =
					      *w->disks[i].base_path ? w->disks[i].base_path : NULL,
				      .base_format = "qcow2",
				      .bus = bus_name(w->spec, i),
				      .boot_order = i == 0 ? 1 : 0 };
	/* The seed is a read-only virtio disk: kernels made for clouds have no driver for the
	 * CD-ROM of a q35 machine. */
	if (*w->seed_path)
		c->disks[c->n_disks++] = (DomainDisk){ .name = "cidata",
						       .path = w->seed_path,
						       .format = "raw",
						       .bus = "virtio",
						       .read_only = true };
}

static void config_nics(InstanceWork *w, DomainConfig *c)
{
	for (size_t i = 0; i < w->n_nics; i++) {
		DomainNic *n = &c->nics[c->n_nics++];

		*n = (DomainNic){ .name = w->nics[i].name,
				  .mac = w->nics[i].port.mac,
				  .model = w->nics[i].model ? w->nics[i].model : "virtio",
				  .mtu = nic_mtu(&w->nics[i]) };
		network_tap_name(w->nics[i].port.id, n->tap);
	}
}

void instance_domain_config(InstanceWork *w, DomainConfig *ret)
{
	const InstanceSpec *s = w->spec;

	*ret = (DomainConfig){ .name = w->domain_name,
			       .uuid = w->uid,
			       .store_id = store_id(w->r->env.store),
			       .uid = w->uid,
			       .title = w->owner,
			       .generation = object_head(w->obj)->generation,
			       .request_id = w->domain.request_id,
			       .config_hash = w->config_hash,
			       .cpus = (unsigned)s->cpus,
			       .max_cpus = max_cpus(s, (unsigned)s->cpus),
			       .memory = s->memory,
			       .max_memory = max_memory(s, s->memory),
			       .firmware = (DomainFirmware)s->firmware,
			       .cpu_model = s->cpu_model,
			       .machine = s->machine_type,
			       .console_log = w->console_path };
	config_disks(w, ret);
	config_nics(w, ret);
}

static void pending_add(json_t *list, const char *path, json_t *from, json_t *to, bool live)
{
	json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:s}", "path", path, "from", from,
					      "to", to, "needs", live ? "nothing" : "restart"));
}

/* Disks grow while the guest is off: until then they are as the status last saw them. */
static void pending_disks(const InstanceWork *w, json_t *list)
{
	const json_t *disks = json_object_get(w->status, "disks"), *disk;
	char from[QUANTITY_TEXT_MAX], to[QUANTITY_TEXT_MAX];
	size_t j;

	for (size_t i = 0; i < w->spec->n_disks; i++) {
		_cleanup_(xfreep) char *path =
			xasprintf("spec.disks[%s].size", w->spec->disks[i].name);
		uint64_t want = w->spec->disks[i].size, have;

		json_array_foreach (disks, j, disk) {
			have = (uint64_t)json_integer_at(disk, "size", 0);
			if (have && want > have &&
			    streq_ptr(json_string_at(disk, "name"), w->spec->disks[i].name))
				pending_add(list, path, json_string(quantity_format(have, from)),
					    json_string(quantity_format(want, to)), false);
		}
	}
}

json_t *instance_pending_changes(InstanceWork *w, bool *ret_live)
{
	const DomainInfo *d = &w->domain;
	char from[QUANTITY_TEXT_MAX], to[QUANTITY_TEXT_MAX];
	json_t *list = json_array();
	char explained[65];
	bool live;

	*ret_live = false;
	if (d->state != DOMAIN_RUNNING && d->state != DOMAIN_PAUSED)
		return list;
	pending_disks(w, list);
	/* An interface that waits for an address or its network. */
	if (*d->live_hash && !*w->config_hash)
		pending_add(
			list, "spec.interfaces",
			json_sprintf("generation %lld", (long long)d->started_generation),
			json_sprintf("generation %lld", (long long)object_head(w->obj)->generation),
			false);
	if (!*d->live_hash || !*w->config_hash || streq(d->live_hash, w->config_hash))
		return list;
	*ret_live = true;
	if (d->live_cpus && d->live_cpus != (unsigned)w->spec->cpus) {
		live = change_cost_of_size(d->live_cpus, (uint64_t)w->spec->cpus,
					   (uint64_t)w->spec->max_cpus) == COST_LIVE;
		pending_add(list, "spec.cpus", json_integer(d->live_cpus),
			    json_integer((json_int_t)w->spec->cpus), live);
		*ret_live &= live;
	}
	if (d->live_memory && d->live_memory != w->spec->memory) {
		live = change_cost_of_size(d->live_memory, w->spec->memory, w->spec->max_memory) ==
		       COST_LIVE;
		pending_add(list, "spec.memory", json_string(quantity_format(d->live_memory, from)),
			    json_string(quantity_format(w->spec->memory, to)), live);
		*ret_live &= live;
	}
	/* Not explained by these two alone: something else differs too, which needs a restart. */
	hash_with(w, d->live_cpus, d->live_memory, explained);
	if (!streq(explained, d->live_hash)) {
		pending_add(
			list, "spec",
			json_sprintf("generation %lld", (long long)d->started_generation),
			json_sprintf("generation %lld", (long long)object_head(w->obj)->generation),
			false);
		*ret_live = false;
	}
	return list;
}
