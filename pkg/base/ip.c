/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP and MAC addresses as values. See ip.h.
 */
#include "base/ip.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned address_bytes(int family)
{
	return family == AF_INET ? 4 : 16;
}

int ip_parse(const char *s, IpAddress *ret, Error *err)
{
	IpAddress a = { 0 };

	if (strchr(s, ':')) {
		a.family = AF_INET6;
		if (inet_pton(AF_INET6, s, a.bytes) != 1)
			return error_set(err, ERR_INVALID, "\"%.60s\" is not an IPv6 address", s);
		if (IN6_IS_ADDR_V4MAPPED((struct in6_addr *)a.bytes))
			return error_set(
				err, ERR_INVALID,
				"\"%.60s\" is an IPv4 address in IPv6 form: write the IPv4 address",
				s);
	} else {
		a.family = AF_INET;
		if (inet_pton(AF_INET, s, a.bytes) != 1)
			return error_set(err, ERR_INVALID, "\"%.60s\" is not an IP address", s);
	}
	*ret = a;
	return 0;
}

const char *ip_format(const IpAddress *a, char buf[static IP_TEXT_MAX])
{
	if (!a->family || !inet_ntop(a->family, a->bytes, buf, IP_TEXT_MAX))
		buf[0] = '\0';
	return buf;
}

bool ip_equal(const IpAddress *a, const IpAddress *b)
{
	return ip_compare(a, b) == 0;
}

int ip_compare(const IpAddress *a, const IpAddress *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return a->family ? memcmp(a->bytes, b->bytes, address_bytes(a->family)) : 0;
}

/* Clears the bits past `length`; true if any was set. */
static bool ip_mask(IpAddress *a, unsigned length)
{
	bool changed = false;

	for (unsigned i = 0; i < address_bytes(a->family); i++) {
		unsigned bits = length > i * 8 ? length - i * 8 : 0;
		uint8_t mask = bits >= 8 ? 0xff : (uint8_t)(0xff00 >> bits);

		changed |= (a->bytes[i] & ~mask) != 0;
		a->bytes[i] &= mask;
	}
	return changed;
}

static int prefix_length_parse(const char *s, unsigned max, unsigned *ret)
{
	unsigned long v;
	char *end;

	if (!isdigit((unsigned char)*s) || (s[0] == '0' && s[1]))
		return -ERR_INVALID;
	v = strtoul(s, &end, 10);
	if (*end || end - s > 3 || v > max)
		return -ERR_INVALID;
	*ret = (unsigned)v;
	return 0;
}

int ip_prefix_parse(const char *s, IpPrefix *ret, Error *err)
{
	char text[IP_TEXT_MAX], right[IP_TEXT_MAX];
	const char *slash = strchr(s, '/');
	IpPrefix p = { 0 };
	int rc;

	if (!slash || (size_t)(slash - s) >= sizeof(text))
		return error_set(err, ERR_INVALID,
				 "\"%.60s\" is not a CIDR: write it like 10.0.0.0/24", s);
	memcpy(text, s, (size_t)(slash - s));
	text[slash - s] = '\0';
	rc = ip_parse(text, &p.address, err);
	if (rc < 0)
		return rc;
	if (prefix_length_parse(slash + 1, address_bytes(p.address.family) * 8, &p.length) < 0)
		return error_set(err, ERR_INVALID,
				 "\"%.60s\" has no prefix length between 0 and %u", s,
				 address_bytes(p.address.family) * 8);
	if (ip_mask(&p.address, p.length))
		return error_set(err, ERR_INVALID, "\"%.60s\" has host bits set: did you mean %s?",
				 s, ip_prefix_format(&p, right));
	*ret = p;
	return 0;
}

const char *ip_prefix_format(const IpPrefix *p, char buf[static IP_TEXT_MAX])
{
	char text[IP_TEXT_MAX];

	snprintf(buf, IP_TEXT_MAX, "%.50s/%u", ip_format(&p->address, text), p->length);
	return buf;
}

bool ip_prefix_contains(const IpPrefix *p, const IpAddress *a)
{
	IpAddress m = *a;

	if (!p->address.family || p->address.family != a->family)
		return false;
	ip_mask(&m, p->length);
	return ip_equal(&m, &p->address);
}

bool ip_prefix_overlaps(const IpPrefix *a, const IpPrefix *b)
{
	return a->length <= b->length ? ip_prefix_contains(a, &b->address)
				      : ip_prefix_contains(b, &a->address);
}

IpAddress ip_prefix_nth(const IpPrefix *p, uint64_t i)
{
	IpAddress a = p->address;

	for (int b = (int)address_bytes(a.family) - 1; b >= 0 && i; b--) {
		i += a.bytes[b];
		a.bytes[b] = (uint8_t)i;
		i >>= 8;
	}
	return a;
}

uint64_t ip_prefix_size(const IpPrefix *p)
{
	unsigned bits = address_bytes(p->address.family) * 8 - p->length;

	return bits >= 64 ? UINT64_MAX : (uint64_t)1 << bits;
}

IpAddress ip_prefix_last(const IpPrefix *p)
{
	IpAddress a = p->address;

	for (unsigned bit = p->length; bit < address_bytes(a.family) * 8; bit++)
		a.bytes[bit / 8] |= (uint8_t)(0x80 >> (bit % 8));
	return a;
}

int mac_parse(const char *s, MacAddress *ret, Error *err)
{
	static const MacAddress zero;
	unsigned b[6];
	MacAddress m;
	int n = 0;

	if (sscanf(s, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &n) !=
		    6 ||
	    n != 17 || s[17] || strspn(s, "0123456789abcdefABCDEF:") != 17)
		return error_set(err, ERR_INVALID,
				 "\"%.40s\" is not a MAC address: write it like 52:54:00:12:34:56",
				 s);
	for (int i = 0; i < 6; i++)
		m.bytes[i] = (uint8_t)b[i];
	if (m.bytes[0] & 1)
		return error_set(err, ERR_INVALID, "\"%s\" is a multicast MAC address", s);
	if (mac_equal(&m, &zero))
		return error_set(err, ERR_INVALID, "\"%s\" is the empty MAC address", s);
	*ret = m;
	return 0;
}

const char *mac_format(const MacAddress *m, char buf[static MAC_TEXT_MAX])
{
	snprintf(buf, MAC_TEXT_MAX, "%02x:%02x:%02x:%02x:%02x:%02x", m->bytes[0], m->bytes[1],
		 m->bytes[2], m->bytes[3], m->bytes[4], m->bytes[5]);
	return buf;
}

bool mac_equal(const MacAddress *a, const MacAddress *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
