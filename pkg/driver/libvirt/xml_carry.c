/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest keeps for life, taken from its present definition into a new one: machine type, CPU,
 * controllers, names and addresses of devices. Disks are recognised by serial, interfaces by MAC,
 * single devices by their kind. See xml.h.
 */
#include <stdio.h>

#include "driver/libvirt/xml.h"

static void attr_copy(xmlNode *to, const xmlNode *from, const char *name)
{
	char value[256];

	if (*xml_attr(from, name, value, sizeof(value)))
		xmlSetProp(to, (const xmlChar *)name, (const xmlChar *)value);
}

/* Moves a deep copy of `node` (may be NULL) under parent. */
static void copy_under(xmlNode *parent, const xmlNode *node)
{
	xmlNode *copy;

	if (!node)
		return;
	copy = xmlDocCopyNode((xmlNode *)node, parent->doc, 1);
	assert(copy);
	xmlAddChild(parent, copy);
}

static void replace_child(xmlNode *parent, const char *name, const xmlNode *by)
{
	xmlNode *old = xml_child(parent, name), *copy;

	if (!by)
		return;
	copy = xmlDocCopyNode((xmlNode *)by, parent->doc, 1);
	assert(copy);
	if (old) {
		xmlReplaceNode(old, copy);
		xmlFreeNode(old);
	} else {
		xmlAddChild(parent, copy);
	}
}

/* "q35" also means the version of it that the guest was first defined with. */
static bool machine_is_same(const char *wanted, const char *old)
{
	if (!wanted || streq(wanted, old))
		return true;
	return (streq(wanted, "q35") && str_has_prefix(old, "pc-q35-")) ||
	       (streq(wanted, "pc") && str_has_prefix(old, "pc-i440fx-"));
}

static bool carry_machine(xmlNode *domain, const xmlNode *old, const DomainConfig *c)
{
	xmlNode *type = xml_child(xml_child(domain, "os"), "type");
	const xmlNode *old_type = xml_child(xml_child(old, "os"), "type");
	char machine[128];

	xml_attr(old_type, "machine", machine, sizeof(machine));
	if (!*machine || !machine_is_same(c->machine, machine))
		return false;
	attr_copy(type, old_type, "machine");
	attr_copy(type, old_type, "arch");
	return true;
}

/* The model stays, how many there are follows spec. */
static void carry_cpu(xmlNode *domain, const xmlNode *old)
{
	xmlNode *cpu = xml_child(domain, "cpu"), *topology;
	const xmlNode *old_cpu = xml_child(old, "cpu");
	xmlNode *copy;

	if (!old_cpu)
		return;
	copy = xmlDocCopyNode((xmlNode *)old_cpu, domain->doc, 1);
	assert(copy);
	topology = xml_child(copy, "topology");
	if (topology) {
		xmlUnlinkNode(topology);
		xmlFreeNode(topology);
	}
	topology = xml_child(cpu, "topology");
	xmlUnlinkNode(topology);
	xmlAddChild(copy, topology);
	xmlReplaceNode(cpu, copy);
	xmlFreeNode(cpu);
}

/* USB comes and goes with the disks that need it; of other kinds whatever there is will do. */
static bool controller_is_same(const xmlNode *a, const xmlNode *b)
{
	char x[32], y[32];

	if (!streq(xml_attr(a, "type", x, sizeof(x)), xml_attr(b, "type", y, sizeof(y))))
		return false;
	if (!streq(x, "usb"))
		return true;
	return streq(xml_attr(a, "model", x, sizeof(x)), xml_attr(b, "model", y, sizeof(y)));
}

static bool has_same(const xmlNode *devices, const xmlNode *controller)
{
	for (xmlNode *n = xml_child(devices, "controller"); n; n = xml_next(n))
		if (controller_is_same(n, controller))
			return true;
	return false;
}

static bool controller_stays(const xmlNode *devices, const xmlNode *old_controller)
{
	char type[32];

	return !streq(xml_attr(old_controller, "type", type, sizeof(type)), "usb") ||
	       has_same(devices, old_controller);
}

/* All old ones, in their order, and behind them those new ones of whose kind there was none. */
static void carry_controllers(xmlNode *devices, const xmlNode *old)
{
	xmlNode *first = devices->children, *next;

	assert(first);
	for (xmlNode *n = xml_child(old, "controller"); n; n = xml_next(n)) {
		xmlNode *copy;

		if (!controller_stays(devices, n))
			continue;
		copy = xmlDocCopyNode(n, devices->doc, 1);
		assert(copy);
		xmlAddPrevSibling(first, copy);
	}
	for (xmlNode *n = first; n; n = next) {
		next = n->next;
		if (streq((const char *)n->name, "controller") && has_same(old, n)) {
			xmlUnlinkNode(n);
			xmlFreeNode(n);
		}
	}
}

static const xmlNode *find_disk(const xmlNode *devices, const char *serial)
{
	char text[80];

	for (xmlNode *n = xml_child(devices, "disk"); n; n = xml_next(n))
		if (streq(xml_text(xml_child(n, "serial"), text, sizeof(text)), serial))
			return n;
	return NULL;
}

static const xmlNode *find_nic(const xmlNode *devices, const char *mac)
{
	char text[MAC_TEXT_MAX];

	for (xmlNode *n = xml_child(devices, "interface"); n; n = xml_next(n))
		if (streq(xml_attr(xml_child(n, "mac"), "address", text, sizeof(text)), mac))
			return n;
	return NULL;
}

/* A name is free if no other disk of the new definition has it. */
static bool target_is_free(const xmlNode *devices, const xmlNode *self, const char *dev)
{
	char text[32];

	for (xmlNode *n = xml_child(devices, "disk"); n; n = xml_next(n))
		if (n != self &&
		    streq(xml_attr(xml_child(n, "target"), "dev", text, sizeof(text)), dev))
			return false;
	return true;
}

static void set_target(xmlNode *disk, const char *dev)
{
	xmlSetProp(xml_child(disk, "target"), (const xmlChar *)"dev", (const xmlChar *)dev);
}

/* Those that were there keep their names, then the others get what is left. */
static void carry_targets(xmlNode *devices, const xmlNode *old)
{
	char serial[80], dev[32], bus[16], old_bus[16], prefix[3];

	for (xmlNode *n = xml_child(devices, "disk"); n; n = xml_next(n)) {
		const xmlNode *o =
			find_disk(old, xml_text(xml_child(n, "serial"), serial, sizeof(serial)));
		const xmlNode *target = xml_child(o, "target");

		xml_attr(xml_child(n, "target"), "bus", bus, sizeof(bus));
		if (!o || !streq(bus, xml_attr(target, "bus", old_bus, sizeof(old_bus))))
			continue;
		set_target(n, xml_attr(target, "dev", dev, sizeof(dev)));
		copy_under(n, xml_child(o, "address"));
	}
	for (xmlNode *n = xml_child(devices, "disk"); n; n = xml_next(n)) {
		xml_attr(xml_child(n, "target"), "dev", dev, sizeof(dev));
		if (xml_child(n, "address") || target_is_free(devices, n, dev))
			continue;
		snprintf(prefix, sizeof(prefix), "%.2s", dev);
		for (char letter = 'a'; letter <= 'z'; letter++) {
			snprintf(dev, sizeof(dev), "%s%c", prefix, letter);
			if (target_is_free(devices, n, dev)) {
				set_target(n, dev);
				break;
			}
		}
	}
}

static void carry_nics(xmlNode *devices, const xmlNode *old)
{
	char mac[MAC_TEXT_MAX];

	for (xmlNode *n = xml_child(devices, "interface"); n; n = xml_next(n)) {
		const xmlNode *o =
			find_nic(old, xml_attr(xml_child(n, "mac"), "address", mac, sizeof(mac)));

		copy_under(n, xml_child(o, "address"));
	}
}

void xml_carry(xmlNode *domain, const xmlNode *old, const DomainConfig *c)
{
	static const char *const single[] = { "memballoon", "rng" };
	xmlNode *devices = xml_child(domain, "devices");
	const xmlNode *old_devices = xml_child(old, "devices");

	/* Addresses mean something only on the machine they are of. */
	if (!carry_machine(domain, old, c))
		return;
	if (!c->cpu_model)
		carry_cpu(domain, old);
	if (c->firmware != FIRMWARE_BIOS) {
		xmlNode *os = xml_child(domain, "os");
		const xmlNode *old_os = xml_child(old, "os");

		if (xml_child(old_os, "nvram"))
			replace_child(os, "nvram", xml_child(old_os, "nvram"));
	}
	carry_controllers(devices, old_devices);
	carry_targets(devices, old_devices);
	carry_nics(devices, old_devices);
	for (size_t i = 0; i < ARRAY_SIZE(single); i++)
		if (xml_child(devices, single[i]))
			copy_under(xml_child(devices, single[i]),
				   xml_child(xml_child(old_devices, single[i]), "address"));
}
