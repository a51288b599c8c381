/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names, marks and constants. See names.h.
 */
#include "driver/net/names.h"

#include <stdio.h>
#include <stdlib.h>

const MacAddress TRANSIT_HOST_MAC = {
	{0x02, 0x73, 0x67, 0, 0, 1}
};
const MacAddress TRANSIT_ROUTER_MAC = {
	{0x02, 0x73, 0x67, 0, 0, 2}
};
const MacAddress BRIDGE_MAC = {
	{0x02, 0x73, 0x67, 0, 0, 3}
};
const IpAddress TRANSIT_GATEWAY4 = {
	.family = AF_INET, .bytes = {169, 254, 0, 1}
};
const IpAddress LINK_LOCAL_GATEWAY = {
	.family = AF_INET6, .bytes = {0xfe, 0x80, [15] = 1}
};

NetNames net_names(uint32_t vni)
{
	const uint8_t v[3] = { (uint8_t)(vni >> 16), (uint8_t)(vni >> 8), (uint8_t)vni };
	NetNames n = {
		.gateway_mac = {{ 0x02, 0x73, 0x66, v[0], v[1], v[2] }                      },
		.transit4 = {  .family = AF_INET,                          .bytes = { 240, v[0], v[1], v[2] } },
		.transit6 = { .family = AF_INET6,
				.bytes = { 0xfd, 0x73, 0x66, 0x64, [13] = v[0], v[1], v[2] } },
	};

	snprintf(n.bridge, sizeof(n.bridge), "sfb%u", vni);
	snprintf(n.router, sizeof(n.router), "sfr%u", vni);
	snprintf(n.transit, sizeof(n.transit), "sfu%u", vni);
	snprintf(n.netns, sizeof(n.netns), "sf-%u", vni);
	return n;
}

void alias_format(char buf[static ALIAS_MAX], const char *store, const char *uid, const char *role)
{
	snprintf(buf, ALIAS_MAX, "sfd:%s:%s:%s", store, uid, role);
}

bool alias_parse(const char *alias, char store[static UUID_MAX], char uid[static UUID_MAX],
		 char role[static 16])
{
	const size_t id = UUID_MAX - 1;

	if (!str_has_prefix(alias, "sfd:") || strlen(alias) < 4 + id + 1 + id + 2 ||
	    alias[4 + id] != ':' || alias[4 + id + 1 + id] != ':')
		return false;
	memcpy(store, alias + 4, id);
	store[id] = '\0';
	memcpy(uid, alias + 4 + id + 1, id);
	uid[id] = '\0';
	snprintf(role, 16, "%s", alias + 4 + id + 1 + id + 1);
	return uuid_is_valid(store) && uuid_is_valid(uid);
}

uint32_t name_vni(const char *name)
{
	unsigned long v;
	char *end;

	if (!str_has_prefix(name, "sf") || !name[2] || !strchr("bru-", name[2]) || name[3] < '1' ||
	    name[3] > '9')
		return 0;
	v = strtoul(name + 3, &end, 10);
	return *end || v > 0xffffff ? 0 : (uint32_t)v;
}

uint32_t name_port(const char *name)
{
	unsigned long v;

	if (!str_has_prefix(name, "sft") || strlen(name) != 11 ||
	    strspn(name + 3, "0123456789abcdef") != 8)
		return 0;
	v = strtoul(name + 3, NULL, 16);
	return (uint32_t)v;
}

IpAddress mac_link_local(const MacAddress *mac)
{
	const uint8_t *m = mac->bytes;

	return (IpAddress){
		.family = AF_INET6,
		.bytes = {0xfe, 0x80, [8] = m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]}
	};
}
