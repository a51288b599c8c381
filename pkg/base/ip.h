/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP addresses, prefixes and MAC addresses as values: parse strictly, print canonically, compare,
 * count. An address is always 16 bytes; IPv4 sits in the first four with family AF_INET. Pure; any
 * thread.
 */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/error.h"

typedef struct IpAddress {
	int family; /* AF_INET, AF_INET6, or 0 = none */
	uint8_t bytes[16];
} IpAddress;

typedef struct IpPrefix {
	IpAddress address; /* host bits are zero */
	unsigned length;
} IpPrefix;

typedef struct MacAddress {
	uint8_t bytes[6];
} MacAddress;

#define IP_TEXT_MAX  64 /* holds an address or a prefix */
#define MAC_TEXT_MAX 18

/* Strict: dotted quad without leading zeros, or RFC 4291 text; no zone, no IPv4-mapped IPv6. */
int ip_parse(const char *s, IpAddress *ret, Error *err);
const char *ip_format(const IpAddress *a, char buf[static IP_TEXT_MAX]); /* RFC 5952 */
bool ip_equal(const IpAddress *a, const IpAddress *b);
int ip_compare(const IpAddress *a, const IpAddress *b); /* by family, then value */

/* "10.0.0.0/24"; host bits that are set are -ERR_INVALID and the text names the right prefix. */
int ip_prefix_parse(const char *s, IpPrefix *ret, Error *err);
const char *ip_prefix_format(const IpPrefix *p, char buf[static IP_TEXT_MAX]);
bool ip_prefix_contains(const IpPrefix *p, const IpAddress *a);
bool ip_prefix_overlaps(const IpPrefix *a, const IpPrefix *b);
/* The i-th address (0 = the network address); wraps past the end: check with ip_prefix_size(). */
IpAddress ip_prefix_nth(const IpPrefix *p, uint64_t i);
/* How many addresses, saturating at UINT64_MAX. */
uint64_t ip_prefix_size(const IpPrefix *p);
/* The last address: the broadcast address of an IPv4 prefix. */
IpAddress ip_prefix_last(const IpPrefix *p);

/* "52:54:00:ab:cd:ef", either case; multicast and all-zero are -ERR_INVALID. */
int mac_parse(const char *s, MacAddress *ret, Error *err);
const char *mac_format(const MacAddress *m, char buf[static MAC_TEXT_MAX]); /* lower case */
bool mac_equal(const MacAddress *a, const MacAddress *b);
