/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts of dnsmasq's files. See dnsmasq.h; format: dnsmasq(8), version 2.90.
 *
 * leasefile-ro keeps no lease file: an address is the guest's for life, and a DHCPv6 server id made
 * from the gateway's MAC is then the same on every host. dhcp-broadcast keeps dnsmasq from writing
 * neighbour entries itself. dhcp-ignore-names: a name is given by us, never taken by who asks for
 * an address, who could be a guest without one. dhcp-script and everything else that runs something
 * is out of reach, because no text of a user can hold a newline here.
 */
#include "driver/net/dnsmasq.h"
#include "driver/net/names.h"

#define LEASE_TIME "24h"

static void add_dhcp(const DnsmasqConfig *c, StrBuf *out)
{
	const NetworkConfig *n = c->network;
	char a[IP_TEXT_MAX], b[IP_TEXT_MAX];

	strbuf_adds(out, "dhcp-authoritative\ndhcp-broadcast\ndhcp-ignore=tag:!known\n"
			 "dhcp-ignore-names\ndhcp-no-override\nleasefile-ro\n"
			 "dhcp-lease-max=65535\n");
	strbuf_addf(out, "dhcp-hostsdir=%s/dhcp.d\ndhcp-optsfile=%s/opts\n", c->directory,
		    c->directory);
	if (n->prefix4.address.family) {
		IpAddress mask = { .family = AF_INET };

		for (unsigned i = 0; i < n->prefix4.length; i++)
			mask.bytes[i / 8] |= (uint8_t)(0x80 >> (i % 8));
		strbuf_addf(out, "dhcp-range=%s,static,%s," LEASE_TIME "\n",
			    ip_format(&n->prefix4.address, a), ip_format(&mask, b));
	}
	if (n->prefix6.address.family) {
		strbuf_addf(out, "dhcp-range=%s,static,%u," LEASE_TIME "\nenable-ra\n",
			    ip_format(&n->prefix6.address, a), n->prefix6.length);
		strbuf_addf(out, "ra-param=" LAN_NAME ",mtu:%u,60,%u\n", c->mtu,
			    n->egress == EGRESS_NONE ? 0 : 1800);
	}
}

static void add_dns(const DnsmasqConfig *c, StrBuf *out)
{
	const NetworkConfig *n = c->network;
	char text[IP_TEXT_MAX];

	if (!n->dns)
		strbuf_adds(out, "port=0\n");
	if (n->dns)
		strbuf_addf(out, "hostsdir=%s/hosts.d\n", c->directory);
	if (n->prefix4.address.family)
		strbuf_addf(out, "domain=%s,%s,local\n", n->domain,
			    ip_prefix_format(&n->prefix4, text));
	if (n->prefix6.address.family)
		strbuf_addf(out, "domain=%s,%s,local\n", n->domain,
			    ip_prefix_format(&n->prefix6, text));
	if (n->dns && n->egress != EGRESS_NONE)
		for (size_t i = 0; i < c->upstreams->n; i++)
			strbuf_addf(out, "server=%s\n",
				    ip_format(&c->upstreams->addresses[i], text));
}

void dnsmasq_render_conf(const DnsmasqConfig *c, StrBuf *out)
{
	strbuf_addf(out, "user=%s\ngroup=nogroup\nkeep-in-foreground\nlog-facility=-\nquiet-ra\n",
		    c->user);
	strbuf_addf(out, "quiet-dhcp\nquiet-dhcp6\npid-file=%s/dnsmasq.pid\n", c->directory);
	strbuf_adds(out, "interface=" LAN_NAME "\nexcept-interface=lo\nbind-interfaces\nno-hosts\n"
			 "no-resolv\nno-poll\nno-ping\ndomain-needed\ncache-size=1000\n");
	add_dns(c, out);
	if (c->network->dhcp)
		add_dhcp(c, out);
}

void dnsmasq_render_options(const DnsmasqConfig *c, StrBuf *out)
{
	const NetworkConfig *n = c->network;
	char text[IP_TEXT_MAX];

	if (n->prefix4.address.family) {
		/* Without a value the option is not sent, while leaving it out would send ours. */
		if (n->egress == EGRESS_NONE)
			strbuf_adds(out, "option:router\n");
		else
			strbuf_addf(out, "option:router,%s\n", ip_format(&n->gateway4, text));
		if (n->dns)
			strbuf_addf(out, "option:dns-server,%s\n", ip_format(&n->gateway4, text));
		strbuf_addf(out, "option:mtu,%u\noption:domain-search,%s\n", c->mtu, n->domain);
	}
	if (n->prefix6.address.family) {
		if (n->dns)
			strbuf_addf(out, "option6:dns-server,[%s]\n",
				    ip_format(&n->gateway6, text));
		strbuf_addf(out, "option6:domain-search,%s\n", n->domain);
	}
}

/*
 * Names that guests' software trusts by themselves: web proxy discovery and IPv6 tunnels. A guest
 * of such a name gets its address, but the name leads nowhere.
 */
static bool name_is_reserved(const char *name)
{
	static const char *const names[] = { "wpad", "isatap", "localhost" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (streq(name, names[i]))
			return true;
	return false;
}

void dnsmasq_render_dhcp(const NetworkPort *p, StrBuf *out)
{
	char text[IP_TEXT_MAX];

	strbuf_adds(out, mac_format(&p->mac, text));
	for (size_t i = 0; i < p->n_addresses; i++)
		strbuf_addf(out, p->addresses[i].family == AF_INET ? ",%s" : ",[%s]",
			    ip_format(&p->addresses[i], text));
	if (name_is_reserved(p->hostname))
		strbuf_addc(out, '\n');
	else
		strbuf_addf(out, ",%s\n", p->hostname);
}

void dnsmasq_render_hosts(const NetworkPort *p, const char *domain, StrBuf *out)
{
	char text[IP_TEXT_MAX];

	for (size_t i = 0; i < p->n_addresses && !name_is_reserved(p->hostname); i++)
		strbuf_addf(out, "%s %s.%s %s\n", ip_format(&p->addresses[i], text), p->hostname,
			    domain, p->hostname);
}
