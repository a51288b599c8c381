/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a domain's definition. See xml.h.
 *
 * Every guest has a q35 machine with spare PCIe ports (a device can be plugged in later without
 * moving the others), virtio disks, a serial console that virtlogd writes to a file, an entropy
 * source, a balloon and a panic device, which is how a crashed guest is told from one that shut
 * down. No graphics, no USB unless a disk sits there, no network boot.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "driver/libvirt/xml.h"

#define SPARE_PORTS 4

static void *xml_realloc(void *p, size_t size)
{
	return xrealloc(p, size, 1);
}

/*
 * libxml2 returns a node or an attribute without its content when out of memory: a guest without
 * the file of its disk. Out of memory ends the process, here too, and in libvirt's own use of it.
 * What it hands out is still given back with free(3).
 */
static __attribute__((constructor)) void xml_allocate_or_abort(void)
{
	xmlMemSetup(free, xmalloc, xml_realloc, xstrdup);
}

/* libxml2 returns NULL only when out of memory. */
static xmlNode *node_add(xmlNode *parent, const char *name)
{
	xmlNode *n = xmlNewChild(parent, NULL, (const xmlChar *)name, NULL);

	assert(n);
	return n;
}

static void attr_add(xmlNode *n, const char *name, const char *value)
{
	xmlAttr *a = xmlNewProp(n, (const xmlChar *)name, (const xmlChar *)value);

	assert(a);
}

static void attr_number(xmlNode *n, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	attr_add(n, name, text);
}

static xmlNode *text_add(xmlNode *parent, const char *name, const char *text)
{
	xmlNode *n = xmlNewTextChild(parent, NULL, (const xmlChar *)name, (const xmlChar *)text);

	assert(n);
	return n;
}

static xmlNode *number_add(xmlNode *parent, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return text_add(parent, name, text);
}

/* <name attr="value"/>, the commonest shape. */
static xmlNode *leaf_add(xmlNode *parent, const char *name, const char *attr, const char *value)
{
	xmlNode *n = node_add(parent, name);

	attr_add(n, attr, value);
	return n;
}

/* ---- metadata ---- */

void mark_to_node(const DomainMark *m, xmlNode *node)
{
	attr_add(node, "store", m->store_id);
	attr_add(node, "uid", m->uid);
	attr_number(node, "generation", (uint64_t)m->generation);
	if (*m->request_id)
		attr_add(node, "request", m->request_id);
	if (*m->config_hash)
		attr_add(node, "hash", m->config_hash);
	attr_number(node, "memory", m->memory);
	if (*m->virt_type)
		attr_add(node, "virt", m->virt_type);
	attr_number(node, "generator", DOMAIN_XML_GENERATOR);
}

static char *document_text(xmlDoc *doc, const xmlNode *node, bool pretty)
{
	xmlBuffer *buffer = xmlBufferCreate();
	char *text;

	assert(buffer);
	xmlNodeDump(buffer, doc, (xmlNode *)node, 0, pretty);
	text = xstrdup((const char *)xmlBufferContent(buffer));
	xmlBufferFree(buffer);
	return text;
}

char *domain_mark_write(const DomainMark *m)
{
	_cleanup_(xml_doc_freep) xmlDoc *doc = xmlNewDoc((const xmlChar *)"1.0");
	/* Without a namespace: libvirt adds the one that it is given beside. */
	xmlNode *node = xmlNewDocNode(doc, NULL, (const xmlChar *)"instance", NULL);

	assert(node);
	xmlDocSetRootElement(doc, node);
	mark_to_node(m, node);
	return document_text(doc, node, false);
}

static void write_metadata(xmlNode *domain, const DomainConfig *c, const DomainXmlEnv *env)
{
	xmlNode *node = node_add(node_add(domain, "metadata"), "instance");
	DomainMark m = { .generation = c->generation, .memory = c->memory };
	xmlNs *ns = xmlNewNs(node, (const xmlChar *)DOMAIN_METADATA_NS,
			     (const xmlChar *)DOMAIN_METADATA_PREFIX);

	assert(ns);
	xmlSetNs(node, ns);
	snprintf(m.store_id, sizeof(m.store_id), "%s", c->store_id);
	snprintf(m.uid, sizeof(m.uid), "%s", c->uid);
	snprintf(m.request_id, sizeof(m.request_id), "%s", c->request_id ? c->request_id : "");
	snprintf(m.config_hash, sizeof(m.config_hash), "%s", c->config_hash ? c->config_hash : "");
	snprintf(m.virt_type, sizeof(m.virt_type), "%s", env->virt_type);
	mark_to_node(&m, node);
}

/* ---- the machine ---- */

static void write_sizes(xmlNode *domain, const DomainConfig *c)
{
	unsigned max_cpus = MAX(c->cpus, c->max_cpus);
	xmlNode *n;

	n = number_add(domain, "memory", (MAX(c->memory, c->max_memory) + 1023) / 1024);
	attr_add(n, "unit", "KiB");
	n = number_add(domain, "currentMemory", (c->memory + 1023) / 1024);
	attr_add(n, "unit", "KiB");
	n = number_add(domain, "vcpu", max_cpus);
	attr_add(n, "placement", "static");
	if (c->cpus != max_cpus)
		attr_number(n, "current", c->cpus);
}

static void firmware_feature(xmlNode *firmware, const char *name, bool on)
{
	xmlNode *n = leaf_add(firmware, "feature", "enabled", on ? "yes" : "no");

	attr_add(n, "name", name);
}

static void write_os(xmlNode *domain, const DomainConfig *c)
{
	bool secure = c->firmware == FIRMWARE_UEFI_SECURE;
	xmlNode *os = node_add(domain, "os"), *n;

	if (c->firmware != FIRMWARE_BIOS)
		attr_add(os, "firmware", "efi");
	n = text_add(os, "type", "hvm");
	attr_add(n, "machine", c->machine ? c->machine : "q35");
	if (c->firmware == FIRMWARE_BIOS)
		return;
	n = node_add(os, "firmware");
	firmware_feature(n, "secure-boot", secure);
	firmware_feature(n, "enrolled-keys", secure);
	if (secure)
		leaf_add(os, "loader", "secure", "yes");
}

static void write_features(xmlNode *domain, const DomainConfig *c)
{
	xmlNode *features = node_add(domain, "features");

	node_add(features, "acpi");
	node_add(features, "apic");
	if (c->firmware == FIRMWARE_UEFI_SECURE)
		leaf_add(features, "smm", "state", "on");
}

/*
 * Without a wish: what the host's CPU is called (KVM), or all that the emulator can do. Both are
 * kept once libvirt has written them down.
 */
static void write_cpu(xmlNode *domain, const DomainConfig *c, const DomainXmlEnv *env)
{
	static const char *const modes[] = { "host-passthrough", "host-model", "maximum" };
	const char *model = c->cpu_model;
	xmlNode *cpu = node_add(domain, "cpu"), *n;
	bool is_mode = false;

	if (!model)
		model = streq(env->virt_type, "kvm") ? "host-model" : "maximum";
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		is_mode |= streq(model, modes[i]);
	if (is_mode) {
		attr_add(cpu, "mode", model);
	} else {
		attr_add(cpu, "mode", "custom");
		attr_add(cpu, "match", "exact");
		n = text_add(cpu, "model", model);
		attr_add(n, "fallback", "forbid");
	}
	n = node_add(cpu, "topology");
	attr_add(n, "sockets", "1");
	attr_add(n, "dies", "1");
	attr_number(n, "cores", MAX(c->cpus, c->max_cpus));
	attr_add(n, "threads", "1");
}

static void timer_add(xmlNode *clock, const char *name, const char *attr, const char *value)
{
	attr_add(leaf_add(clock, "timer", "name", name), attr, value);
}

static void write_clock(xmlNode *domain)
{
	xmlNode *clock = leaf_add(domain, "clock", "offset", "utc"), *pm;

	timer_add(clock, "rtc", "tickpolicy", "catchup");
	timer_add(clock, "pit", "tickpolicy", "delay");
	timer_add(clock, "hpet", "present", "no");
	text_add(domain, "on_poweroff", "destroy");
	text_add(domain, "on_reboot", "restart");
	text_add(domain, "on_crash", "destroy");
	pm = node_add(domain, "pm");
	leaf_add(pm, "suspend-to-mem", "enabled", "no");
	leaf_add(pm, "suspend-to-disk", "enabled", "no");
}

/* ---- devices ---- */

static void seclabel_add(xmlNode *source)
{
	attr_add(leaf_add(source, "seclabel", "model", "dac"), "relabel", "no");
}

/* The chain is named to its end: libvirt and QEMU probe nothing that a guest could have written. */
static void write_chain(xmlNode *disk, const DomainDisk *d, const DomainXmlEnv *env)
{
	xmlNode *backing = node_add(disk, "backingStore"), *source;

	if (!d->base_path)
		return;
	attr_add(backing, "type", "file");
	leaf_add(backing, "format", "type", d->base_format);
	source = leaf_add(backing, "source", "file", d->base_path);
	/* Others use this file too: it stays whose it is. */
	if (env->relabel)
		seclabel_add(source);
	node_add(backing, "backingStore");
}

static const char *target_prefix(const char *bus)
{
	return streq(bus, "virtio") ? "vd" : "sd";
}

static void write_disk(xmlNode *devices, const DomainConfig *c, size_t i, const DomainXmlEnv *env)
{
	const DomainDisk *d = &c->disks[i];
	/* virtio knows no CD-ROMs: read-only is all that is left of it. */
	bool cdrom = d->cdrom && !streq(d->bus, "virtio");
	xmlNode *disk = leaf_add(devices, "disk", "type", "file"), *n;
	unsigned letter = 0;
	char dev[8];

	for (size_t k = 0; k < i; k++)
		letter += streq(target_prefix(c->disks[k].bus), target_prefix(d->bus));
	snprintf(dev, sizeof(dev), "%s%c", target_prefix(d->bus), (char)('a' + letter));
	attr_add(disk, "device", cdrom ? "cdrom" : "disk");
	n = leaf_add(disk, "driver", "name", "qemu");
	attr_add(n, "type", d->format);
	if (!d->read_only && !cdrom)
		attr_add(n, "discard", "unmap");
	leaf_add(disk, "source", "file", d->path);
	write_chain(disk, d, env);
	n = leaf_add(disk, "target", "dev", dev);
	attr_add(n, "bus", d->bus);
	if (d->read_only || cdrom)
		node_add(disk, "readonly");
	text_add(disk, "serial", d->name);
	if (d->boot_order)
		attr_number(node_add(disk, "boot"), "order", d->boot_order);
}

static void write_nic(xmlNode *devices, const DomainNic *nic)
{
	xmlNode *n = leaf_add(devices, "interface", "type", "ethernet"), *target;
	char mac[MAC_TEXT_MAX];

	leaf_add(n, "mac", "address", mac_format(&nic->mac, mac));
	target = leaf_add(n, "target", "dev", nic->tap);
	/* The network made the tap and its filters, and takes it away again. */
	attr_add(target, "managed", "no");
	leaf_add(n, "model", "type", nic->model ? nic->model : "virtio");
	if (nic->mtu)
		attr_number(node_add(n, "mtu"), "size", nic->mtu);
	leaf_add(n, "rom", "enabled", "no");
}

static void controller_add(xmlNode *devices, const char *type, const char *model)
{
	attr_add(leaf_add(devices, "controller", "type", type), "model", model);
}

static bool has_bus(const DomainConfig *c, const char *bus)
{
	for (size_t i = 0; i < c->n_disks; i++)
		if (streq(c->disks[i].bus, bus))
			return true;
	return false;
}

static bool machine_is_pcie(const DomainConfig *c)
{
	return !c->machine || strstr(c->machine, "q35");
}

static void write_controllers(xmlNode *devices, const DomainConfig *c)
{
	bool scsi = has_bus(c, "scsi"), usb = has_bus(c, "usb");
	/* The balloon and the entropy source, and one each. */
	size_t ports = 2 + scsi + usb + c->n_nics + SPARE_PORTS;

	for (size_t i = 0; i < c->n_disks; i++)
		ports += streq(c->disks[i].bus, "virtio");
	if (machine_is_pcie(c))
		controller_add(devices, "pci", "pcie-root");
	for (size_t i = 0; machine_is_pcie(c) && i < ports; i++)
		controller_add(devices, "pci", "pcie-root-port");
	controller_add(devices, "usb", usb ? "qemu-xhci" : "none");
	if (scsi)
		controller_add(devices, "scsi", "virtio-scsi");
}

static void write_console(xmlNode *devices, const DomainConfig *c)
{
	xmlNode *serial = leaf_add(devices, "serial", "type", "pty"), *n;

	if (c->console_log)
		attr_add(leaf_add(serial, "log", "file", c->console_log), "append", "on");
	attr_add(leaf_add(serial, "target", "type", "isa-serial"), "port", "0");
	n = leaf_add(devices, "console", "type", "pty");
	attr_add(leaf_add(n, "target", "type", "serial"), "port", "0");
}

static void write_devices(xmlNode *domain, const DomainConfig *c, const DomainXmlEnv *env)
{
	xmlNode *devices = node_add(domain, "devices"), *n;

	write_controllers(devices, c);
	for (size_t i = 0; i < c->n_disks; i++)
		write_disk(devices, c, i, env);
	for (size_t i = 0; i < c->n_nics; i++)
		write_nic(devices, &c->nics[i]);
	write_console(devices, c);
	n = leaf_add(devices, "rng", "model", "virtio");
	attr_add(text_add(n, "backend", "/dev/urandom"), "model", "random");
	n = leaf_add(devices, "memballoon", "model", "virtio");
	attr_add(n, "freePageReporting", "on");
	leaf_add(devices, "panic", "model", "isa");
}

static int config_supported(const DomainConfig *c, Error *err)
{
	for (size_t i = 0; i < c->n_disks; i++)
		if (streq(c->disks[i].bus, "nvme"))
			return error_set(err, ERR_UNSUPPORTED,
					 "disk %s: this libvirt has no NVMe disks from files",
					 c->disks[i].name);
	if (c->firmware != FIRMWARE_BIOS && !machine_is_pcie(c))
		return error_set(err, ERR_UNSUPPORTED, "UEFI needs a q35 machine");
	return 0;
}

int domain_xml_write(const DomainConfig *c, const DomainXmlEnv *env, const char *old, char **ret,
		     Error *err)
{
	_cleanup_(xml_doc_freep) xmlDoc *old_doc = NULL;
	_cleanup_(xml_doc_freep) xmlDoc *doc = NULL;
	xmlNode *domain;
	int rc = config_supported(c, err);

	if (rc < 0)
		return rc;
	if (old && !(old_doc = xml_parse(old, err)))
		return error_wrap_rc(err, -ERR_INVALID, "present definition");
	doc = xmlNewDoc((const xmlChar *)"1.0");
	domain = xmlNewDocNode(doc, NULL, (const xmlChar *)"domain", NULL);
	assert(domain);
	xmlDocSetRootElement(doc, domain);
	attr_add(domain, "type", env->virt_type);
	text_add(domain, "name", c->name);
	text_add(domain, "uuid", c->uuid);
	if (!str_is_empty(c->title))
		text_add(domain, "title", c->title);
	write_metadata(domain, c, env);
	write_sizes(domain, c);
	write_os(domain, c);
	write_features(domain, c);
	write_cpu(domain, c, env);
	write_clock(domain);
	write_devices(domain, c, env);
	if (old_doc)
		xml_carry(domain, xmlDocGetRootElement(old_doc), c);
	*ret = document_text(doc, domain, env->pretty);
	return 0;
}
