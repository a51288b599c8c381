/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every hypervisor refuses before it does anything, so that the fake and the real one agree.
 * See hypervisor.h.
 */
#include "driver/hypervisor.h"

#include "base/memory.h"
#include "driver/text.h"

static const char *const disk_buses[] = { "virtio", "scsi", "sata", "nvme", "usb" };

/* Text that XML 1.0 can carry and a terminal can show: UTF-8 without control characters. */
static int text_validate(const char *what, const char *s, size_t max, bool required, Error *err)
{
	if (str_is_empty(s))
		return required ? error_set(err, ERR_INVALID, "%s is missing", what) : 0;
	if (strlen(s) > max)
		return error_set(err, ERR_INVALID, "%s is longer than %zu bytes", what, max);
	if (!text_is_printable(s))
		return error_set(err, ERR_INVALID,
				 "%s holds control characters or is not valid UTF-8", what);
	return 0;
}

int domain_name_validate(const char *name, Error *err)
{
	int rc = text_validate("domain name", name, DOMAIN_NAME_MAX, true, err);

	if (rc < 0)
		return rc;
	/* libvirt makes file names of it, and virsh options and numbers. */
	if (strchr(name, '/') || *name == '-' || *name == '.')
		return error_set(err, ERR_INVALID, "\"%s\" cannot be a domain name", name);
	return 0;
}

static int identity_validate(const DomainConfig *c, Error *err)
{
	int rc = domain_name_validate(c->name, err);

	if (rc < 0)
		return rc;
	if (!c->uuid || !uuid_is_valid(c->uuid))
		return error_set(err, ERR_INVALID, "uuid is not a UUID");
	if ((rc = text_validate("store id", c->store_id, UUID_MAX - 1, true, err)) < 0 ||
	    (rc = text_validate("uid", c->uid, UUID_MAX - 1, true, err)) < 0 ||
	    (rc = text_validate("title", c->title, 512, false, err)) < 0 ||
	    (rc = text_validate("request id", c->request_id, 63, false, err)) < 0 ||
	    (rc = text_validate("config hash", c->config_hash, 64, false, err)) < 0 ||
	    (rc = text_validate("CPU model", c->cpu_model, 128, false, err)) < 0 ||
	    (rc = text_validate("machine type", c->machine, 128, false, err)) < 0)
		return rc;
	return 0;
}

static int path_validate(const char *what, const char *path, Error *err)
{
	int rc = text_validate(what, path, 4095, true, err);

	if (rc < 0)
		return rc;
	return *path == '/' ? 0 : error_set(err, ERR_INVALID, "%s is not absolute", what);
}

static bool format_is_known(const char *format)
{
	return format && (streq(format, "qcow2") || streq(format, "raw"));
}

static bool bus_is_known(const char *bus)
{
	for (size_t i = 0; bus && i < ARRAY_SIZE(disk_buses); i++)
		if (streq(bus, disk_buses[i]))
			return true;
	return false;
}

static int disk_validate(const DomainConfig *c, size_t i, Error *err)
{
	const DomainDisk *d = &c->disks[i];
	int rc = text_validate("disk name", d->name, 63, true, err);

	if (rc < 0)
		return rc;
	rc = path_validate("path", d->path, err);
	if (rc == 0 && d->base_path)
		rc = path_validate("path of the backing file", d->base_path, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "disk %s", d->name);
	/* Never left to probing: a guest writes what a probe would read. */
	if (!format_is_known(d->format) || (d->base_path && !format_is_known(d->base_format)))
		return error_set(err, ERR_INVALID, "disk %s: format is neither qcow2 nor raw",
				 d->name);
	if (!bus_is_known(d->bus))
		return error_set(err, ERR_INVALID, "disk %s: unknown bus", d->name);
	for (size_t k = 0; k < i; k++)
		if (streq(c->disks[k].name, d->name) || streq(c->disks[k].path, d->path))
			return error_set(err, ERR_INVALID, "disk %s is given twice", d->name);
	return 0;
}

static int nic_validate(const DomainConfig *c, size_t i, Error *err)
{
	static const MacAddress none;
	const DomainNic *n = &c->nics[i];
	int rc = text_validate("interface name", n->name, 63, true, err);

	if (rc == 0)
		rc = text_validate("interface model", n->model, 32, false, err);
	if (rc < 0)
		return rc;
	if (!memchr(n->tap, '\0', sizeof(n->tap)) || !*n->tap || !text_is_printable(n->tap) ||
	    strpbrk(n->tap, "/ :"))
		return error_set(err, ERR_INVALID, "interface %s: bad name of its tap", n->name);
	if (mac_equal(&n->mac, &none) || n->mac.bytes[0] & 1)
		return error_set(err, ERR_INVALID, "interface %s: bad MAC address", n->name);
	for (size_t k = 0; k < i; k++)
		if (streq(c->nics[k].name, n->name) || streq(c->nics[k].tap, n->tap) ||
		    mac_equal(&c->nics[k].mac, &n->mac))
			return error_set(err, ERR_INVALID, "interface %s is given twice", n->name);
	return 0;
}

int domain_config_validate(const DomainConfig *c, Error *err)
{
	int rc = identity_validate(c, err);

	if (rc < 0)
		return rc;
	if (c->cpus == 0 || (c->max_cpus && c->max_cpus < c->cpus))
		return error_set(err, ERR_INVALID, "%u CPUs of at most %u", c->cpus, c->max_cpus);
	if (c->memory < (1U << 20) || (c->max_memory && c->max_memory < c->memory))
		return error_set(err, ERR_INVALID, "bad amount of memory");
	if (c->n_disks > DOMAIN_DISKS_MAX || c->n_nics > DOMAIN_NICS_MAX)
		return error_set(err, ERR_INVALID, "at most %u disks and %u interfaces",
				 DOMAIN_DISKS_MAX, DOMAIN_NICS_MAX);
	if (c->console_log &&
	    (rc = path_validate("path of the console log", c->console_log, err)) < 0)
		return rc;
	for (size_t i = 0; i < c->n_disks; i++)
		if ((rc = disk_validate(c, i, err)) < 0)
			return rc;
	for (size_t i = 0; i < c->n_nics; i++)
		if ((rc = nic_validate(c, i, err)) < 0)
			return rc;
	return 0;
}
