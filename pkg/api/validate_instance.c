/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An Instance's rules beyond its schema: a disk to boot from, sizes that a machine can have,
 * addresses and MACs that can be given, a seed that cloud-init can read.
 */
#include <stdio.h>

#include "api/quantity.h"
#include "api/validate.h"
#include "base/hashmap.h"
#include "base/ip.h"
#include "base/memory.h"
#include "json/json.h"

/* Less does not get through firmware and boot loader: SeaBIOS guests fail silently below 80 MiB. */
#define MEMORY_MIN    ((uint64_t)64 << 20)
#define MEMORY_MAX    ((uint64_t)16 << 40)
#define DISK_MIN      ((uint64_t)1 << 20)
#define DISK_MAX      ((uint64_t)64 << 40)
#define USER_DATA_MAX (512u * 1024)
/* The routers' own MAC range: 02:73:66 and the VNI. */
static const uint8_t gateway_oui[3] = { 0x02, 0x73, 0x66 };

static void check_size(const json_t *v, const char *path, uint64_t min, uint64_t max, uint64_t *ret,
		       FieldErrors *errors)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	char text[QUANTITY_TEXT_MAX];

	if (!v)
		return;
	if (quantity_parse_json(v, ret, &err) < 0)
		field_errors_add(errors, FIELD_INVALID, path, "Invalid value: %s",
				 error_message(&err));
	else if (*ret < min)
		field_errors_add(errors, FIELD_INVALID, path, "Invalid value: must be at least %s",
				 quantity_format(min, text));
	else if (*ret > max)
		field_errors_add(errors, FIELD_INVALID, path, "Invalid value: must be at most %s",
				 quantity_format(max, text));
}

static void check_machine(const json_t *tree, FieldErrors *errors)
{
	int64_t cpus = json_integer_at(tree, "spec.cpus", 1),
		max_cpus = json_integer_at(tree, "spec.maxCpus", 0);
	uint64_t memory = 0, max_memory = 0;

	check_size(json_at(tree, "spec.memory"), "spec.memory", MEMORY_MIN, MEMORY_MAX, &memory,
		   errors);
	check_size(json_at(tree, "spec.maxMemory"), "spec.maxMemory", MEMORY_MIN, MEMORY_MAX,
		   &max_memory, errors);
	if (max_cpus && max_cpus < cpus)
		field_errors_add(errors, FIELD_INVALID, "spec.maxCpus",
				 "Invalid value: %lld: must not be less than spec.cpus (%lld)",
				 (long long)max_cpus, (long long)cpus);
	if (max_memory && max_memory < memory)
		field_errors_add(errors, FIELD_INVALID, "spec.maxMemory",
				 "Invalid value: must not be less than spec.memory");
}

static void check_disks(const json_t *disks, FieldErrors *errors)
{
	json_t *d;
	size_t i;

	if (json_array_size(disks) == 0)
		field_errors_add(errors, FIELD_REQUIRED, "spec.disks",
				 "Required value: at least one disk to boot from");
	json_array_foreach (disks, i, d) {
		_cleanup_(xfreep) char *path = xasprintf("spec.disks[%zu]", i),
				       *size_path = xasprintf("%s.size", path);
		uint64_t size = 0;

		check_size(json_object_get(d, "size"), size_path, DISK_MIN, DISK_MAX, &size,
			   errors);
		if (!json_object_get(d, "image") && !json_object_get(d, "size"))
			field_errors_add(errors, FIELD_REQUIRED, size_path,
					 "Required value: a disk needs an image, a size, or both");
		if (streq_ptr(json_string_at(d, "name"), "cidata"))
			field_errors_add(errors, FIELD_INVALID, path,
					 "Invalid value: the name \"cidata\" is the seed's");
	}
}

static void check_mac(const char *text, const char *path, Hashmap *seen, FieldErrors *errors)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	char canonical[MAC_TEXT_MAX];
	MacAddress m;

	if (mac_parse(text, &m, &err) < 0) {
		field_errors_add(errors, FIELD_INVALID, path, "Invalid value: %s",
				 error_message(&err));
		return;
	}
	if (memcmp(m.bytes, gateway_oui, sizeof(gateway_oui)) == 0)
		field_errors_add(errors, FIELD_INVALID, path,
				 "Invalid value: \"%s\": 02:73:66 belongs to the networks' "
				 "gateways: use 52:54:00:...",
				 text);
	if (hashmap_contains(seen, mac_format(&m, canonical)))
		field_errors_add(errors, FIELD_DUPLICATE, path, "Duplicate value: \"%s\"",
				 canonical);
	hashmap_put(seen, canonical, seen);
}

/* seen: of all interfaces, by network, for two networks may have the same addresses. */
static void check_addresses(const json_t *nic, const char *path, Hashmap *seen, FieldErrors *errors)
{
	const json_t *list = json_object_get(nic, "addresses");
	const char *network = json_string_at(nic, "network");
	unsigned families[2] = { 0, 0 };
	char canonical[IP_TEXT_MAX];
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v) {
		_cleanup_(xfreep) char *at = xasprintf("%s.addresses[%zu]", path, i);
		_cleanup_(xfreep) char *key = NULL;
		_cleanup_(error_done) Error err = ERROR_INIT;
		IpAddress a;

		if (ip_parse(json_string_value(v), &a, &err) < 0) {
			field_errors_add(errors, FIELD_INVALID, at, "Invalid value: %s",
					 error_message(&err));
			continue;
		}
		if (families[a.family == AF_INET6]++)
			field_errors_add(errors, FIELD_TOO_MANY, at,
					 "Too many: one address of each family for an interface");
		key = xasprintf("%s %s", ip_format(&a, canonical), network ? network : "");
		if (hashmap_contains(seen, key))
			field_errors_add(errors, FIELD_DUPLICATE, at, "Duplicate value: \"%s\"",
					 canonical);
		hashmap_put(seen, key, seen);
	}
}

static void check_interfaces(const json_t *interfaces, FieldErrors *errors)
{
	_cleanup_(hashmap_freep) Hashmap *macs = hashmap_new(NULL), *addresses = hashmap_new(NULL);
	json_t *n;
	size_t i;

	json_array_foreach (interfaces, i, n) {
		_cleanup_(xfreep) char *path = xasprintf("spec.interfaces[%zu]", i),
				       *mac_path = xasprintf("%s.macAddress", path);
		const char *mac = json_string_at(n, "macAddress");

		if (mac)
			check_mac(mac, mac_path, macs, errors);
		check_addresses(n, path, addresses, errors);
	}
}

/* One line, printable: it goes into meta-data and from there into a file of the guest's. */
static bool is_key_line(const char *s)
{
	for (const unsigned char *p = (const unsigned char *)s; *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			return false;
	return strchr(s, ' ') != NULL;
}

static void check_cloud_init(const json_t *tree, FieldErrors *errors)
{
	const char *user_data = json_string_at(tree, "spec.cloudInit.userData");
	const char *hostname = json_string_at(tree, "spec.cloudInit.hostname");
	const json_t *keys = json_at(tree, "spec.cloudInit.sshAuthorizedKeys");
	char text[200];
	json_t *v;
	size_t i;

	if (user_data && strlen(user_data) > USER_DATA_MAX)
		field_errors_add(errors, FIELD_TOO_LONG, "spec.cloudInit.userData",
				 "Too long: %zu bytes, may not be more than %u", strlen(user_data),
				 USER_DATA_MAX);
	if (user_data && json_at(tree, "spec.cloudInit.userDataSecretRef"))
		field_errors_add(errors, FIELD_FORBIDDEN, "spec.cloudInit.userDataSecretRef",
				 "Forbidden: userData is given too: choose one of the two");
	if (hostname && !name_is_label(hostname))
		field_errors_add(
			errors, FIELD_INVALID, "spec.cloudInit.hostname",
			"Invalid value: %s: use 1 to 63 lower-case letters, digits and '-'",
			quoted(hostname, text));
	json_array_foreach (keys, i, v) {
		_cleanup_(xfreep) char *path =
			xasprintf("spec.cloudInit.sshAuthorizedKeys[%zu]", i);

		if (!is_key_line(json_string_value(v)))
			field_errors_add(errors, FIELD_INVALID, path,
					 "Invalid value: %s: one line as in authorized_keys: "
					 "\"ssh-ed25519 AAAA... name\"",
					 quoted(json_string_value(v), text));
	}
}

static json_t *named(const json_t *list, const char *name)
{
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v) {
		if (streq_ptr(json_string_at(v, "name"), name))
			return v;
	}
	return NULL;
}

/* What a guest has been given stays its own: its network, MAC and addresses; what a disk was made
 * from; where it is. */
static void check_fixed(const json_t *now, const json_t *before, const char *list,
			const char *const *members, FieldErrors *errors)
{
	json_t *v, *was;
	size_t i;

	json_array_foreach (json_at(now, list), i, v) {
		was = named(json_at(before, list), json_string_at(v, "name"));
		for (const char *const *m = members; was && *m; m++) {
			_cleanup_(xfreep) char *path = xasprintf("%s[%zu].%s", list, i, *m);
			json_t *old = json_object_get(was, *m), *new = json_object_get(v, *m);

			if (!json_same(old, new) &&
			    (old || json_array_size(new) || json_is_string(new)))
				field_errors_add(errors, FIELD_INVALID, path,
						 "Invalid value: field is immutable: add another "
						 "%s under a new name, or make a new instance",
						 streq(list, "spec.disks") ? "disk" : "interface");
		}
	}
}

static void check_shrink(const json_t *now, const json_t *before, FieldErrors *errors)
{
	uint64_t old_size, new_size;
	json_t *v, *was;
	size_t i;

	json_array_foreach (json_at(now, "spec.disks"), i, v) {
		_cleanup_(xfreep) char *path = xasprintf("spec.disks[%zu].size", i);

		was = named(json_at(before, "spec.disks"), json_string_at(v, "name"));
		if (was && json_object_get(was, "size") && json_object_get(v, "size") &&
		    quantity_parse_json(json_object_get(was, "size"), &old_size, NULL) == 0 &&
		    quantity_parse_json(json_object_get(v, "size"), &new_size, NULL) == 0 &&
		    new_size < old_size)
			field_errors_add(errors, FIELD_INVALID, path,
					 "Invalid value: a disk can grow but not shrink");
	}
}

static void check_change(const json_t *tree, const json_t *old, FieldErrors *errors)
{
	static const char *const nic[] = { "network", "macAddress", "addresses", NULL };
	static const char *const disk[] = { "image", NULL };
	const char *node = json_string_at(old, "spec.nodeName");

	check_fixed(tree, old, "spec.interfaces", nic, errors);
	check_fixed(tree, old, "spec.disks", disk, errors);
	check_shrink(tree, old, errors);
	if (node && !streq_ptr(node, json_string_at(tree, "spec.nodeName")))
		field_errors_add(errors, FIELD_INVALID, "spec.nodeName",
				 "Invalid value: field is immutable: guests do not move yet");
	if (!json_same(json_at(old, "spec.firmware"), json_at(tree, "spec.firmware")))
		field_errors_add(errors, FIELD_INVALID, "spec.firmware",
				 "Invalid value: field is immutable: a guest boots only with the "
				 "firmware it was installed with");
}

void validate_instance(const json_t *tree, const json_t *old, FieldErrors *errors)
{
	check_machine(tree, errors);
	check_disks(json_at(tree, "spec.disks"), errors);
	check_interfaces(json_at(tree, "spec.interfaces"), errors);
	check_cloud_init(tree, errors);
	if (old)
		check_change(tree, old, errors);
}
