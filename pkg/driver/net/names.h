/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names, marks and constants of everything the net role makes, all derived from store, uid, VNI
 * and port id. Pure.
 */
#pragma once

#include "driver/network.h"

#define LINK_GROUP        95   /* device group of everything ours */
#define ROUTE_PROTOCOL    95   /* of our routes and neighbours */
#define LINK_GROUP_DOOMED 9595 /* links collected to be deleted in one go */
#define MTU_OVERHEAD      50   /* VXLAN over IPv4 */
#define MTU_MIN           1280
#define MTU_DEFAULT       1500 /* of an uplink that cannot be found */

#define LAN_NAME   "lan0"
#define UP_NAME    "up0"
#define TABLE_NAME "sfd"

typedef struct NetNames {
	char bridge[16], router[16], transit[16], netns[16];
	MacAddress gateway_mac;
	IpAddress transit4, transit6; /* of the router's end */
} NetNames;

extern const MacAddress TRANSIT_HOST_MAC, TRANSIT_ROUTER_MAC, BRIDGE_MAC;
extern const IpAddress TRANSIT_GATEWAY4;   /* 169.254.0.1 */
extern const IpAddress LINK_LOCAL_GATEWAY; /* fe80::1 */

NetNames net_names(uint32_t vni);

#define ALIAS_MAX 128
/* "sfd:<store>:<uid>:<role>" */
void alias_format(char buf[static ALIAS_MAX], const char *store, const char *uid, const char *role);
/* False if it is not one of ours. */
bool alias_parse(const char *alias, char store[static UUID_MAX], char uid[static UUID_MAX],
		 char role[static 16]);

/* The VNI in a name of ours ("sfb42", "sfr42", "sfu42", "sf-42"), 0 if it is none. */
uint32_t name_vni(const char *name);
/* The port id in a tap's name, 0 if it is none. */
uint32_t name_port(const char *name);
/* The link-local address that SLAAC would make from the MAC. */
IpAddress mac_link_local(const MacAddress *mac);
