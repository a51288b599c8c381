/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every implementation of the network port refuses, so that the fake and the real one refuse
 * the same. The real one runs this behind its socket: nothing of the request has been checked by
 * then as far as it is concerned.
 */
#include "driver/network.h"

#include "base/memory.h"

static bool label_is_valid(const char *s, size_t n)
{
	if (n < 1 || n > 63 || s[0] == '-' || s[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!(s[i] >= 'a' && s[i] <= 'z') && !(s[i] >= '0' && s[i] <= '9') && s[i] != '-')
			return false;
	return true;
}

static bool domain_is_valid(const char *s)
{
	size_t n = strlen(s);

	if (n < 1 || n > 253)
		return false;
	for (;;) {
		const char *dot = strchr(s, '.');
		size_t len = dot ? (size_t)(dot - s) : strlen(s);

		if (!label_is_valid(s, len))
			return false;
		if (!dot)
			return true;
		s = dot + 1;
	}
}

static int prefix_check(const IpPrefix *p, const IpAddress *gateway, int family,
			unsigned min_length, unsigned max_length, Error *err)
{
	char a[IP_TEXT_MAX], b[IP_TEXT_MAX];
	IpAddress last;

	if (!p->address.family) {
		if (gateway->family)
			return error_set(err, ERR_INVALID, "gateway %s without a prefix",
					 ip_format(gateway, a));
		return 0;
	}
	if (p->address.family != family)
		return error_set(err, ERR_INVALID, "prefix of the wrong address family");
	if (p->length < min_length || p->length > max_length)
		return error_set(err, ERR_INVALID, "%s: the prefix length must be %u to %u",
				 ip_prefix_format(p, a), min_length, max_length);
	last = ip_prefix_last(p);
	if (!ip_prefix_contains(p, &p->address))
		return error_set(err, ERR_INVALID, "%s has host bits set", ip_prefix_format(p, a));
	if (!ip_prefix_contains(p, gateway) || ip_equal(gateway, &p->address) ||
	    (family == AF_INET && ip_equal(gateway, &last)))
		return error_set(err, ERR_INVALID, "gateway %s is not a host address of %s",
				 ip_format(gateway, a), ip_prefix_format(p, b));
	return 0;
}

static bool mac_is_usable(const MacAddress *m)
{
	static const uint8_t reserved[2] = { 0x02, 0x73 };
	static const MacAddress zero;

	/* 02:73:66 are gateways, 02:73:67 the transit links. */
	return !(m->bytes[0] & 1) && !mac_equal(m, &zero) &&
	       !(memcmp(m->bytes, reserved, 2) == 0 &&
		 (m->bytes[2] == 0x66 || m->bytes[2] == 0x67));
}

static int port_check(const NetworkConfig *c, const NetworkPort *p, Error *err)
{
	char a[IP_TEXT_MAX], m[MAC_TEXT_MAX];

	if (!p->id)
		return error_set(err, ERR_INVALID, "port without an id");
	if (!uuid_is_valid(p->uid))
		return error_set(err, ERR_INVALID, "port %u: bad instance uid", p->id);
	if (!memchr(p->hostname, 0, sizeof(p->hostname)) ||
	    !label_is_valid(p->hostname, strlen(p->hostname)))
		return error_set(err, ERR_INVALID, "port %u: bad host name", p->id);
	if (!mac_is_usable(&p->mac))
		return error_set(err, ERR_INVALID, "port %u: MAC address %s is reserved", p->id,
				 mac_format(&p->mac, m));
	if (p->n_addresses > NETWORK_PORT_ADDRESSES_MAX)
		return error_set(err, ERR_INVALID, "port %u: too many addresses", p->id);
	for (size_t i = 0; i < p->n_addresses; i++) {
		const IpAddress *ip = &p->addresses[i];
		const IpPrefix *in = ip->family == AF_INET ? &c->prefix4 : &c->prefix6;
		IpAddress last;

		if (!ip_prefix_contains(in, ip))
			return error_set(err, ERR_INVALID,
					 "port %u: address %s is outside the network", p->id,
					 ip_format(ip, a));
		last = ip_prefix_last(in);
		if (ip_equal(ip, &c->gateway4) || ip_equal(ip, &c->gateway6) ||
		    ip_equal(ip, &in->address) || (ip->family == AF_INET && ip_equal(ip, &last)))
			return error_set(err, ERR_INVALID, "port %u: address %s is reserved", p->id,
					 ip_format(ip, a));
	}
	return 0;
}

typedef struct PortKey {
	uint8_t kind; /* what may be there once: id, MAC, address */
	uint8_t bytes[17];
	uint32_t port;
} PortKey;

static int port_key_compare(const void *a, const void *b)
{
	return memcmp(a, b, offsetof(PortKey, port));
}

/* Two ports with one id, MAC or address would be two owners of one record. */
static int ports_check_unique(const NetworkConfig *c, Error *err)
{
	_cleanup_(xfreep) PortKey *keys =
		xnew0(PortKey, c->n_ports * (2 + NETWORK_PORT_ADDRESSES_MAX) + 1);
	static const char *const kinds[] = { "id", "MAC address", "address" };
	size_t n = 0;

	for (size_t i = 0; i < c->n_ports; i++) {
		const NetworkPort *p = &c->ports[i];

		keys[n].port = p->id;
		memcpy(keys[n++].bytes, &p->id, sizeof(p->id));
		keys[n].port = p->id;
		keys[n].kind = 1;
		memcpy(keys[n++].bytes, &p->mac, sizeof(p->mac));
		for (size_t j = 0; j < p->n_addresses; j++) {
			keys[n].port = p->id;
			keys[n].kind = 2;
			keys[n].bytes[0] = (uint8_t)p->addresses[j].family;
			memcpy(keys[n++].bytes + 1, p->addresses[j].bytes,
			       p->addresses[j].family == AF_INET ? 4 : 16);
		}
	}
	qsort(keys, n, sizeof(*keys), port_key_compare);
	for (size_t i = 1; i < n; i++)
		if (port_key_compare(&keys[i - 1], &keys[i]) == 0)
			return error_set(err, ERR_INVALID, "ports %u and %u have the same %s",
					 keys[i - 1].port, keys[i].port, kinds[keys[i].kind]);
	return 0;
}

int network_config_validate(const NetworkConfig *c, Error *err)
{
	int rc;

	if (!uuid_is_valid(c->store_id) || !uuid_is_valid(c->uid))
		return error_set(err, ERR_INVALID, "network without a valid store id and uid");
	if (c->vni < 1 || c->vni > 0xffffff)
		return error_set(err, ERR_INVALID, "VNI %u is not between 1 and 16777215", c->vni);
	if (!c->prefix4.address.family && !c->prefix6.address.family)
		return error_set(err, ERR_INVALID, "network without a prefix");
	rc = prefix_check(&c->prefix4, &c->gateway4, AF_INET, 8, 29, err);
	if (rc < 0)
		return rc;
	/* Router advertisements and DHCPv6 know no wider link. */
	rc = prefix_check(&c->prefix6, &c->gateway6, AF_INET6, 64, 125, err);
	if (rc < 0)
		return rc;
	if (c->mtu && (c->mtu < 1280 || c->mtu > 65000))
		return error_set(err, ERR_INVALID, "MTU %u is not between 1280 and 65000", c->mtu);
	if (c->domain[0] &&
	    (!memchr(c->domain, 0, sizeof(c->domain)) || !domain_is_valid(c->domain)))
		return error_set(err, ERR_INVALID, "bad domain name");
	if (!c->domain[0] && (c->dns || c->dhcp))
		return error_set(err, ERR_INVALID, "DNS and DHCP need a domain name");
	if (c->n_upstreams > NETWORK_UPSTREAMS_MAX)
		return error_set(err, ERR_INVALID, "more than %d DNS upstreams",
				 NETWORK_UPSTREAMS_MAX);
	for (size_t i = 0; i < c->n_upstreams; i++)
		if (c->upstreams[i].family != AF_INET && c->upstreams[i].family != AF_INET6)
			return error_set(err, ERR_INVALID, "bad DNS upstream");
	if ((unsigned)c->egress > EGRESS_ROUTED)
		return error_set(err, ERR_INVALID, "bad egress");
	if (c->n_ports > NETWORK_PORTS_MAX)
		return error_set(err, ERR_EXHAUSTED, "more than %d ports", NETWORK_PORTS_MAX);
	for (size_t i = 0; i < c->n_ports; i++) {
		rc = port_check(c, &c->ports[i], err);
		if (rc < 0)
			return rc;
	}
	return ports_check_unique(c, err);
}

bool network_port_equal(const NetworkPort *a, const NetworkPort *b)
{
	if (a->id != b->id || !streq(a->uid, b->uid) || !streq(a->hostname, b->hostname) ||
	    !mac_equal(&a->mac, &b->mac) || a->multi_queue != b->multi_queue ||
	    a->n_addresses != b->n_addresses)
		return false;
	for (size_t i = 0; i < a->n_addresses; i++)
		if (!ip_equal(&a->addresses[i], &b->addresses[i]))
			return false;
	return true;
}

static bool prefix_equal(const IpPrefix *a, const IpPrefix *b)
{
	return ip_equal(&a->address, &b->address) && (!a->address.family || a->length == b->length);
}

bool network_settings_equal(const NetworkConfig *a, const NetworkConfig *b)
{
	if (!streq(a->store_id, b->store_id) || !streq(a->uid, b->uid) || a->vni != b->vni ||
	    a->mtu != b->mtu || a->dhcp != b->dhcp || a->dns != b->dns ||
	    !streq(a->domain, b->domain) || a->egress != b->egress ||
	    a->n_upstreams != b->n_upstreams || !prefix_equal(&a->prefix4, &b->prefix4) ||
	    !prefix_equal(&a->prefix6, &b->prefix6) || !ip_equal(&a->gateway4, &b->gateway4) ||
	    !ip_equal(&a->gateway6, &b->gateway6))
		return false;
	for (size_t i = 0; i < a->n_upstreams; i++)
		if (!ip_equal(&a->upstreams[i], &b->upstreams[i]))
			return false;
	return true;
}
